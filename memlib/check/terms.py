"""Checks of the three cumulative losses, and of CSL as difficulty minus memorization (R2)."""

from collections.abc import Iterable
from itertools import product
from typing import Any

import numpy as np
import torch

from memlib import decomposition, stability
from memlib.check.comparison import Case, Function, Mistake, compare, describe
from memlib.check.estimates import runs
from memlib.dynamics import DynamicsTracker

_ROUNDING = 1e-6

# Three sums ------------------------------------------------------------------------------------


def logits() -> list[Case]:
    """Return short runs of few samples and two or three classes, smallest first.

    Returns:
        `{"logits": (N, n, k) float, "labels": (n,) int}`; the last run has logits of a thousand.
    """
    small = [
        {"logits": np.array(values, dtype=float).reshape(epochs, 1, 2), "labels": np.array([y])}
        for epochs, sizes in ((1, (0, 1, 3)), (2, (0, 2)))
        for values in product(sizes, repeat=2 * epochs)
        for y in (0, 1)
        if all(values[2 * t] != values[2 * t + 1] for t in range(epochs))  # no ties
    ]
    random = np.random.default_rng(0)
    several = {"logits": random.normal(size=(4, 3, 3)), "labels": np.array([2, 0, 1])}
    large = np.array([[[1000.0, 0.0]], [[0.0, 1000.0]]])
    return [*small, several, {"logits": large, "labels": np.array([1])}]


def _watched(column: str) -> Function:
    """The right answer, by memlib's own tracker."""

    def sums(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
        tracker = DynamicsTracker(np.arange(len(labels)), logits.shape[2])
        for epoch in torch.from_numpy(logits):
            tracker.update(torch.arange(len(labels)), epoch, torch.from_numpy(labels))
            tracker.end_epoch()
        return tracker.scores()[column].to_numpy()

    return sums


def _chances(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def _own(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Probability of the label `(N, n)`."""
    return _chances(logits)[:, np.arange(len(labels)), labels]


def _mean(column: str) -> Function:
    return lambda logits, labels: _watched(column)(logits, labels) / len(logits)


def _last(column: str) -> Function:
    return lambda logits, labels: _watched(column)(logits[-1:], labels)


def _anywhere(column: str) -> dict[str, Function]:
    return {
        "The mean over the epochs is returned: it is a sum.": _mean(column),
        "Only the last epoch counts: add up all of them.": _last(column),
    }


def _unstable(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        power = np.exp(logits)
        chance = (power / power.sum(-1, keepdims=True))[:, np.arange(len(labels)), labels]
        return -np.log(chance).sum(0)


def _in_bits(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return _watched("csl")(logits, labels) / np.log(2)


_NATS: dict[str, Function] = _anywhere("csl") | {
    "exp overflows where a logit is large: subtract the largest logit first, or use logsumexp.": (
        _unstable
    ),
    "The logarithm is that of base 2: nats are asked for.": _in_bits,
    "This is the sum of 1 - p_y, the Gibbs loss: cross-entropy is asked for.": (
        _watched("csl_gibbs")
    ),
    "The sign is missing: cross-entropy is minus the logarithm of p_y.": (
        lambda logits, labels: -_watched("csl")(logits, labels)
    ),
}
_GIBBS: dict[str, Function] = _anywhere("csl_gibbs") | {
    "This is one minus the largest probability: that of the label is asked for.": (
        lambda logits, labels: (1 - _chances(logits).max(-1)).sum(0)
    ),
    "This is the sum of p_y: a loss falls where p_y rises.": (
        lambda logits, labels: _own(logits, labels).sum(0)
    ),
    "This is the sum of cross-entropies: the Gibbs loss is 1 - p_y.": _watched("csl"),
    "This counts wrong predictions (CSLT): the Gibbs loss is the chance of a sampled one.": (
        _watched("cslt")
    ),
}
_COUNTS: dict[str, Function] = _anywhere("cslt") | {
    "Right predictions are counted: CSLT counts wrong ones, so that it is larger where samples are "
    "harder.": lambda logits, labels: len(logits) - _watched("cslt")(logits, labels),
    "This is the first epoch with a right prediction: all wrong epochs count.": (
        lambda logits, labels: np.where(
            (right := logits.argmax(-1) == labels).any(0), right.argmax(0), len(logits)
        )
    ),
    "This is the sum of 1 - p_y: CSLT counts epochs.": _watched("csl_gibbs"),
}


def csl_nats(function: Function, cases: Iterable[Case] | None = None) -> None:
    """Check CSL in nats from the logits of a run.

    Args:
        function: `function(logits, labels)`, `(N, n, k)` and `(n,)`, returns `(n,)`: the sum over
            the epochs of the cross-entropy. Logits may be as large as a thousand.
        cases: Other runs to try; by default `logits()`.

    Raises:
        Mistake: A sum is wrong.
    """
    tried = logits() if cases is None else cases
    compare(function, _watched("csl"), tried, _NATS, tolerance=_ROUNDING)


def csl_gibbs(function: Function, cases: Iterable[Case] | None = None) -> None:
    """Check CSL of the Gibbs loss, the sum of 1 - p_y.

    Args:
        function: As in `csl_nats`, with the Gibbs loss.
        cases: As in `csl_nats`.

    Raises:
        Mistake: A sum is wrong.
    """
    tried = logits() if cases is None else cases
    compare(function, _watched("csl_gibbs"), tried, _GIBBS, tolerance=_ROUNDING)


def wrong_epochs(function: Function, cases: Iterable[Case] | None = None) -> None:
    """Check CSLT, the number of epochs with a wrong prediction.

    Args:
        function: As in `csl_nats`, with the 0-1 loss.
        cases: As in `csl_nats`.

    Raises:
        Mistake: A number is wrong.
    """
    tried = logits() if cases is None else cases
    compare(function, _watched("cslt"), tried, _COUNTS)


# Difficulty and memorization -------------------------------------------------------------------


def _losses() -> list[Case]:
    """Small runs with whole losses: what `estimates.runs` has, with a loss for a verdict."""
    return [
        {"losses": 3.0 * case["correct"] + case["members"], "members": case["members"]}
        for case in (*runs((1, 2, 3)), *runs((2,), samples=2))
    ]


def _complete(case: Case) -> bool:
    members = case["members"]
    return bool((members.any(0) & ~members.all(0)).all())


def _mean_over(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return stability.masked_mean(values, mask)[0]


def _terms(losses: np.ndarray, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    csl, held_out = (_mean_over(losses, mask) for mask in (members, ~members))
    return held_out, held_out - csl


_TERMS: dict[str, Function] = {
    "Memorization has the wrong sign: it is the held-out loss minus the loss in training.": (
        lambda losses, members: (_terms(losses, members)[0], -_terms(losses, members)[1])
    ),
    "The held-out loss is that of all networks: only those without the sample count.": (
        lambda losses, members: (
            losses.mean(0),
            losses.mean(0) - _mean_over(losses, members),
        )
    ),
    "The two sides are swapped: members says who trained on the sample.": (
        lambda losses, members: _terms(losses, ~members)
    ),
    "The second value is the loss in training: subtract it from the held-out one.": (
        lambda losses, members: (
            _terms(losses, members)[0],
            _mean_over(losses, members),
        )
    ),
    "The two are in the wrong order: held-out difficulty comes first.": (
        lambda losses, members: _terms(losses, members)[::-1]
    ),
    "Sums are divided by the number of all networks: divide each by its own.": (
        lambda losses, members: (
            (out := (losses * ~members).mean(0)),
            out - (losses * members).mean(0),
        )
    ),
    "An absolute value is taken: memorization is signed.": (
        lambda losses, members: (_terms(losses, members)[0], abs(_terms(losses, members)[1]))
    ),
}
_GAPS: dict[str, Function] = {
    "A mean over no networks counts as 0: it does not exist (NaN).": (
        lambda losses, members: (
            (out := np.nan_to_num(_mean_over(losses, ~members))),
            out - np.nan_to_num(_mean_over(losses, members)),
        )
    ),
    "What does not exist is set to 0: leave it NaN.": (
        lambda losses, members: tuple(map(np.nan_to_num, _terms(losses, members)))
    ),
}


def two_terms(function: Function, cases: Iterable[Case] | None = None) -> None:
    """Check held-out difficulty and cumulative memorization, where both sides have networks.

    Args:
        function: `function(losses, members)`, both `(M, n)`: the cumulative Gibbs loss of every
            network on every sample, and who trained on it. Returns `(held_out, memorized)`, each
            `(n,)`; NaN where a mean does not exist.
        cases: Other runs to try; by default all small ones.

    Raises:
        Mistake: A value is wrong.
    """
    tried = [case for case in _losses() if _complete(case)] if cases is None else cases
    compare(function, _terms, tried, _TERMS)


def two_terms_missing(function: Function) -> None:
    """Check the same where a sample was in every training set, or in none.

    Args:
        function: As in `two_terms`.

    Raises:
        Mistake: A value is wrong.
    """
    compare(function, _terms, [case for case in _losses() if not _complete(case)], _GAPS)


_PROXIES: dict[str, Function] = {
    "The variance of CSL has the wrong sign in it: it is that of a difference.": (
        lambda rho, ratio: (rho - ratio) / np.sqrt(1 + 2 * rho * ratio + ratio**2)
    ),
    "The two terms are taken as uncorrelated in the variance of CSL.": (
        lambda rho, ratio: (rho - ratio) / np.sqrt(1 + ratio**2)
    ),
    "This is the correlation with difficulty: that with memorization is asked for.": (
        lambda rho, ratio: -decomposition.proxy_correlation(rho, 1 / ratio)
    ),
    "The sign is wrong: CSL is difficulty minus memorization.": (
        lambda rho, ratio: -decomposition.proxy_correlation(rho, ratio)
    ),
    "This is a covariance: divide by both standard deviations.": (
        lambda rho, ratio: rho * ratio - ratio**2
    ),
    "CSL is taken as the sum of the two terms: memorization is subtracted.": (
        lambda rho, ratio: (rho + ratio) / np.sqrt(1 + 2 * rho * ratio + ratio**2)
    ),
}


def proxy_correlation(function: Function, cases: Iterable[Case] | None = None) -> None:
    """Check the correlation of CSL with cumulative memorization.

    Args:
        function: `function(rho, ratio)`: the correlation of H and M, and the standard deviation of
            M over that of H. Returns the correlation of H - M with M.
        cases: Other values to try.

    Raises:
        Mistake: A correlation is wrong.
    """
    if cases is None:
        grid = product((0.5, 0.9, 0.0, -0.5), (0.5, 1.0, 0.25, 2.0))
        cases = [{"rho": rho, "ratio": ratio} for rho, ratio in grid]
    compare(function, decomposition.proxy_correlation, cases, _PROXIES)


_EVEN: dict[str, Function] = {
    "Here CSL is uncorrelated with difficulty: memorization is asked for.": lambda rho: 1 / rho,
    "The slope of H on M has to be 1: that is rho / v, not v / rho^2.": lambda rho: rho**2,
    "At v = 1 the two vary alike; that is not enough.": lambda rho: 1.0,
}


def break_even(function: Function, cases: Iterable[Case] | None = None) -> None:
    """Check where CSL is uncorrelated with cumulative memorization.

    Args:
        function: `function(rho)`, the correlation of H and M in (0, 1), returns the standard
            deviation of M over that of H at which H - M is uncorrelated with M.
        cases: Other values to try.

    Raises:
        Mistake: A value is wrong.
    """
    tried = [{"rho": k / 8} for k in range(1, 8)] if cases is None else cases
    compare(function, lambda rho: rho, tried, _EVEN)


def upside_down(pair: Any) -> None:
    """Check a counterexample to "if H and M rise together, so do CSL and M".

    Args:
        pair: `(held_out, memorized)`, two lists of equally many numbers, at least three, with
            0 <= memorized <= held_out, a correlation of at least 0.9, and a correlation of
            held_out - memorized with memorized of at most -0.9.

    Raises:
        Mistake: It is no counterexample; the message says why.
    """
    shown = describe(pair)
    try:
        h, m = (np.asarray(values, dtype=float) for values in pair)
    except (TypeError, ValueError):
        raise Mistake(f"The counterexample is {shown}: give two lists of numbers.") from None
    if h.ndim != 1 or h.shape != m.shape or len(h) < 3 or not np.isfinite([h, m]).all():
        raise Mistake(f"The counterexample is {shown}: give two lists of at least three numbers.")
    if not ((m >= 0).all() and (m <= h).all()):
        raise Mistake(f"In {shown} some M is not between 0 and H.")
    if min(h.std(), m.std(), (h - m).std()) < 1e-9:
        raise Mistake(f"In {shown} H, M or CSL does not vary: it has no correlation.")
    with_h, with_csl = (np.corrcoef(m, values)[0, 1] for values in (h, h - m))
    if with_h < 0.9:
        raise Mistake(f"H and M have the correlation {with_h:.3f}: at least 0.9 is asked for.")
    if with_csl > -0.9:
        raise Mistake(
            f"CSL and M have the correlation {with_csl:.3f}: at most -0.9 is asked for. How must "
            "H grow with M, so that CSL falls?"
        )
