"""Checks of the subset estimator and its design: masked means, errors, number of networks."""

import math
from collections.abc import Iterable, Iterator
from itertools import product

import numpy as np

from memlib import bounds, stability
from memlib.check.comparison import Case, Function, compare

_TWO = (False, True)
_SINGLE = 1e-5  # what single precision can be off by


def runs(networks: Iterable[int], samples: int = 1) -> Iterator[Case]:
    """Yield every outcome of a few runs: all `correct` with all `members`, smallest first.

    Args:
        networks: Numbers of networks M.
        samples: Number of samples n.

    Yields:
        `{"correct": (M, n) bool, "members": (M, n) bool}`.

    Cost: 4**(M n) cases.
    """
    for models in networks:
        for bits in product(_TWO, repeat=2 * models * samples):
            both = np.array(bits).reshape(2, models, samples)
            yield {"correct": both[1], "members": both[0]}


def _both_sides(case: Case) -> bool:
    members = case["members"]
    return bool((members.any(0) & ~members.all(0)).all())


def _mean(correct: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return stability.masked_mean(correct, mask)[0]


def _variance(correct: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return stability.masked_mean(correct, mask)[1]


def _scores(correct: np.ndarray, members: np.ndarray) -> np.ndarray:
    return _mean(correct, members) - _mean(correct, ~members)


_MEANS: dict[str, Function] = {
    "The second mean is not conditioned on membership: it runs over all networks, also those that "
    "trained on the sample.": lambda correct, members: _mean(correct, members) - correct.mean(0),
    "It is not conditioned on membership: this is the accuracy of all networks.": (
        lambda correct, members: correct.mean(0)
    ),
    "Both sums are divided by the number of all runs: divide each by the runs on its side.": (
        lambda correct, members: ((correct & members) * 1.0 - (correct & ~members)).mean(0)
    ),
    "The sign is wrong: it is the mean of the networks with the sample minus that of those "
    "without.": lambda correct, members: -_scores(correct, members),
    "An absolute value is taken: memorization is signed.": (
        lambda correct, members: abs(_scores(correct, members))
    ),
    "The networks without the sample are left out: this is the accuracy in training.": (
        lambda correct, members: _mean(correct, members)
    ),
    "The accuracy in training is taken to be 1: this is one minus the accuracy of the networks "
    "without the sample.": lambda correct, members: 1 - _mean(correct, ~members),
    "Rows and columns are mixed up: take the means over the networks (axis 0), one per sample.": (
        lambda correct, members: _scores(correct.T, members.T)
    ),
}
_NEVER: dict[str, Function] = {
    "A mean over no networks counts as 0: a sample that was never in, or never out, has no score "
    "(NaN).": lambda correct, members: (
        np.nan_to_num(_mean(correct, members)) - np.nan_to_num(_mean(correct, ~members))
    ),
    "The score of a sample that was never in, or never out, is set to 0: it has none (NaN).": (
        lambda correct, members: np.nan_to_num(_scores(correct, members))
    ),
}


def masked_means(function: Function, cases: Iterable[Case] | None = None) -> None:
    """Check memorization scores from runs in which every sample is in some and out of some.

    Args:
        function: `function(correct, members)`, both `(M, n)` bool, returns the scores `(n,)`:
            accuracy of the networks with the sample minus that of those without.
        cases: Other runs to try; by default all of up to three networks and one sample, and all
            of two networks and two samples.

    Raises:
        Mistake: A score is wrong.

    Example:
        >>> from memlib import check
        >>> check.masked_means(lambda correct, members: correct.mean(0))
        Traceback (most recent call last):
        ...
        memlib.check.comparison.Mistake: <lambda> is wrong in 108 of 120 cases. The smallest:
            correct   [[0], [1]]
            members   [[0], [1]]
            expected  [1.0]
            returned  [0.5]
        It is not conditioned on membership: this is the accuracy of all networks.
    """
    if cases is None:
        cases = [*runs((2, 3)), *runs((2,), samples=2)]
        cases = [case for case in cases if _both_sides(case)]
    compare(function, _scores, cases, _MEANS, tolerance=_SINGLE)


def masked_means_missing(function: Function, cases: Iterable[Case] | None = None) -> None:
    """Check that a sample that was in all networks, or in none, has the score NaN.

    Args:
        function: As in `masked_means`.
        cases: Other runs to try; by default all of up to three networks and one sample, and of
            two networks and two samples, in which some sample is never in or never out.

    Raises:
        Mistake: A score is a number where it should be NaN, or the other way round.
    """
    if cases is None:
        cases = [*runs((1, 2, 3)), *runs((2,), samples=2)]
        cases = [case for case in cases if not _both_sides(case)]
    compare(function, _scores, cases, _NEVER | _MEANS, tolerance=_SINGLE)


def _errors(correct: np.ndarray, members: np.ndarray) -> np.ndarray:
    return np.sqrt(_variance(correct, members) + _variance(correct, ~members))


def _biased(correct: np.ndarray, members: np.ndarray) -> np.ndarray:
    sides = ((mask, _mean(correct, mask)) for mask in (members, ~members))
    return np.sqrt(sum(mean * (1 - mean) / mask.sum(0) for mask, mean in sides))


_ERRORS: dict[str, Function] = {
    "The variances divide by the number of runs on the side, not by one less: take the unbiased "
    "variance (NaN below two runs).": _biased,
    "This is the variance: the standard error is its square root.": (
        lambda correct, members: _errors(correct, members) ** 2
    ),
    "The variance of the verdicts is not divided by the number of runs: this is the spread of one "
    "verdict, not the error of the mean.": lambda correct, members: np.sqrt(
        _variance(correct, members) * members.sum(0)
        + _variance(correct, ~members) * (~members).sum(0)
    ),
    "Two standard errors are added: variances add, standard errors do not.": (
        lambda correct, members: (
            np.sqrt(_variance(correct, members)) + np.sqrt(_variance(correct, ~members))
        )
    ),
    "The variances are subtracted: the variance of a difference of independent means is the sum.": (
        lambda correct, members: np.sqrt(_variance(correct, members) - _variance(correct, ~members))
    ),
    "It is not conditioned on membership: one variance over all runs.": (
        lambda correct, members: np.sqrt(correct.var(0, ddof=1) / len(correct))
    ),
    "The variances are divided by the number of all runs: divide each by the runs on its side.": (
        lambda correct, members: np.sqrt(
            (
                _variance(correct, members) * members.sum(0)
                + _variance(correct, ~members) * (~members).sum(0)
            )
            / len(correct)
        )
    ),
}


def standard_errors(function: Function, cases: Iterable[Case] | None = None) -> None:
    """Check the standard errors of memorization scores.

    Args:
        function: `function(correct, members)`, both `(M, n)` bool, returns `(n,)`: the square root
            of the sum of the two means' unbiased variances, NaN below two runs on a side.
        cases: Other runs to try; by default all of up to four networks and one sample.

    Raises:
        Mistake: A standard error is wrong.
    """
    cases = runs((1, 2, 3, 4)) if cases is None else cases
    compare(function, _errors, cases, _ERRORS, tolerance=_SINGLE)


def _exact_number(p: float, q: float, fraction: float, target: float) -> float:
    return (bounds.standard_error(p, q, fraction, 1) / target) ** 2


def _needed(p: float, q: float, fraction: float, target: float) -> int:
    return max(1, math.ceil(_exact_number(p, q, fraction, target)))


def _sides(p: float, q: float, inside: float, outside: float, target: float) -> int:
    return math.ceil((p * (1 - p) / inside + q * (1 - q) / outside) / target**2)


_NUMBERS: dict[str, Function] = {
    "It is rounded down: then the standard error is above the target.": (
        lambda p, q, fraction, target: math.floor(_exact_number(p, q, fraction, target))
    ),
    "It is rounded to the nearest number: then the standard error may be above the target.": (
        lambda p, q, fraction, target: round(_exact_number(p, q, fraction, target))
    ),
    "The target is not squared: a standard error falls like one over the square root of M.": (
        lambda p, q, fraction, target: math.ceil(_exact_number(p, q, fraction, target) * target)
    ),
    "A square root is left: M is the variance of one run over the squared target.": (
        lambda p, q, fraction, target: math.ceil(math.sqrt(_exact_number(p, q, fraction, target)))
    ),
    "The two sides are swapped: a share f of the networks trained on the sample, 1 - f did not.": (
        lambda p, q, fraction, target: _sides(p, q, 1 - fraction, fraction, target)
    ),
    "Both means are divided by all networks: one side has f M of them, the other (1 - f) M.": (
        lambda p, q, fraction, target: _sides(p, q, 1, 1, target)
    ),
    "The networks without the sample are left out: their mean has an error, too.": (
        lambda p, q, fraction, target: _sides(p, 0, fraction, 1 - fraction, target)
    ),
    "The networks with the sample are left out: their mean has an error, too.": (
        lambda p, q, fraction, target: _sides(0, q, fraction, 1 - fraction, target)
    ),
    "The worst case p = q = 1/2 is taken for all samples.": (
        lambda p, q, fraction, target: _needed(0.5, 0.5, fraction, target)
    ),
}


def networks_needed(function: Function, cases: Iterable[Case] | None = None) -> None:
    """Check how many networks a design takes for a wanted standard error.

    Args:
        function: `function(p, q, fraction, target)` returns the least whole M >= 1 at which
            `memlib.bounds.standard_error(p, q, fraction, M)` is at most `target`.
        cases: Other designs to try; by default a grid, without those in which M is on the edge of
            rounding.

    Raises:
        Mistake: A number is wrong.
    """
    if cases is None:
        grid = product((0.5, 0.8, 1.0), (0.9, 0.5, 0.2), (0.5, 0.7, 0.9), (0.3, 0.1, 0.04))
        cases = [dict(zip(("p", "q", "fraction", "target"), point, strict=True)) for point in grid]
        cases = [case for case in cases if abs(_exact_number(**case) % 1 - 0.5) < 0.49]
        cases.sort(key=lambda case: _exact_number(**case))
    compare(function, _needed, cases, _NUMBERS)


def _optimum(p: float, q: float) -> float:
    one, other = math.sqrt(p * (1 - p)), math.sqrt(q * (1 - q))
    return one / (one + other)


_FRACTIONS: dict[str, Function] = {
    "The two sides are swapped: the side with the larger spread needs more networks.": (
        lambda p, q: _optimum(q, p)
    ),
    "The shares are those of the variances: they have to be those of the standard deviations.": (
        lambda p, q: p * (1 - p) / (p * (1 - p) + q * (1 - q))
    ),
    "This is best only where both sides spread alike.": lambda p, q: 0.5,
    "0.7 is a habit, not the minimum of the standard error.": lambda p, q: 0.7,
    "The shares are those of the accuracies: they have to be those of the standard deviations.": (
        lambda p, q: p / (p + q)
    ),
}


def best_fraction(function: Function, cases: Iterable[Case] | None = None) -> None:
    """Check which share of the networks has to train on a sample for the least standard error.

    Args:
        function: `function(p, q)`, 0 < p, q < 1, returns the share f in (0, 1), to 0.001.
        cases: Other accuracies to try.

    Raises:
        Mistake: A share is wrong.
    """
    if cases is None:
        cases = [{"p": p, "q": q} for p, q in product((0.5, 0.8, 0.9, 0.99), (0.5, 0.2, 0.9))]
    compare(function, _optimum, cases, _FRACTIONS, tolerance=1e-3)
