"""Was a sample in the training set? The likelihood-ratio attack, and the curve that judges it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from memlib.errors import InvalidInput, NonFiniteNumber, NotPositive, UnknownName, WrongShape
from memlib.runtime import open_fraction, rng, whole_number
from memlib.runtime import progress as progress_bar

if TYPE_CHECKING:
    from memlib.runs import Runs

Mode = Literal["online", "offline"]
Variance = Literal["per-sample", "pooled"]
Band = Literal["clopper-pearson", "samples", "networks"]
_LEAST_VARIANCE = 1e-12  # of a log odds: what float32 cannot tell from no spread at all


@dataclass(frozen=True, eq=False)
class Membership:
    """What an attack says about every network and sample.

    Attributes:
        ids: Sample ids `(n,)`.
        score: `(M, n)` float32, higher = more probably trained on.
        members: `(M, n)` bool, the truth: whether network `j` was trained on sample `i`.
    """

    ids: np.ndarray
    score: np.ndarray
    members: np.ndarray


@dataclass(frozen=True, eq=False)
class Roc:
    """How many members an attack finds at each rate of false alarms.

    Attributes:
        false_positive_rate: `(p,)` bounds on the false-positive rate.
        true_positive_rate: `(p,)` the largest one of a threshold that keeps the bound.
        lower: `(p,)` lower end of the band around `true_positive_rate`.
        upper: `(p,)` upper end.
        auc: Area under the whole curve, in [0, 1]; 1/2 = chance.
    """

    false_positive_rate: np.ndarray
    true_positive_rate: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    auc: float


def lira(
    runs: Runs,
    *,
    mode: Mode = "online",
    variance: Variance = "per-sample",
    progress: bool | None = None,
) -> Membership:
    """Attack each of many networks by a likelihood ratio, with the others as shadow networks.

    Carlini et al. (2022), Algorithm 1: the confidence of a network in a sample's label is the log
    odds `log(p / (1 - p))`, nearly Gaussian over networks. Two Gaussians are fitted to the
    networks that trained on the sample and to those that did not. The attacked network is left
    out of both fits. One query per sample, without augmentation.

    Networks for it: `memlib.runs.subset_runs(dataset, model, models=M, fraction=0.5)`, in which
    every sample is in M/2 training sets if M and the number of samples are even.

    Args:
        runs: Networks with log odds, as `subset_runs` returns them.
        mode: `"online"` scores the log of the ratio of the two densities. `"offline"` uses only
            networks that did not train on the sample (the paper's one-sided test, Eq. 4) and
            scores `-log P[Z > confidence]` with `Z` from their Gaussian: the surprise, in nats,
            at so much confidence if the sample was left out.
        variance: `"per-sample"` fits each sample's own variances, without bias. `"pooled"` has one
            variance in and one out for all samples, each the mean squared deviation from the
            sample's own mean on that side (the paper's advice for few networks).
        progress: Show a progress bar; None shows it only on a terminal.

    Returns:
        The scores of all M networks and n samples, higher = more probably trained on.

    Raises:
        InvalidInput: The runs have no log odds.
        NonFiniteNumber: A log odds is not finite.
        UnknownName: `mode` or `variance` is none of those above.
        NotPositive: A sample has too few networks in or out: two beside the attacked one for a
            variance of its own, else one.

    Cost: O(M n) time; beside runs and result O(n) memory, whatever M is.
    """
    if mode not in ("online", "offline"):
        raise UnknownName("mode", mode, "Pass 'online' or 'offline'.")
    if variance not in ("per-sample", "pooled"):
        raise UnknownName("variance", variance, "Pass 'per-sample' or 'pooled'.")
    if runs.log_odds is None:
        fix = "Pass what subset_runs returns; stored runs keep verdicts only."
        raise InvalidInput("runs", "log_odds=None", fix)
    for row in runs.log_odds:
        if not np.isfinite(row).all():
            fix = "Lower the learning rate, so that the networks' logits are finite."
            raise NonFiniteNumber("runs", "a log odds", fix)
    least = 2 if variance == "per-sample" else 1
    outside = _Side(runs, inside=False, least=least)
    inside = _Side(runs, inside=True, least=least) if mode == "online" else None
    score = np.empty(runs.log_odds.shape, dtype=np.float32)
    for network in progress_bar(range(len(runs)), desc="attacks", enabled=progress):
        confidence = runs.log_odds[network].astype(np.float64)
        member = runs.members[network]
        mean, spread = outside.without(confidence, ~member, pooled=variance == "pooled")
        surprise = (confidence - mean) / spread
        if inside is None:
            score[network] = _surprise(surprise)
            continue
        mean, own_spread = inside.without(confidence, member, pooled=variance == "pooled")
        expected = (confidence - mean) / own_spread
        score[network] = (surprise**2 - expected**2) / 2 + np.log(spread / own_spread)
    return Membership(ids=runs.ids, score=score, members=runs.members)


class _Side:
    """Mean and variance of the confidence in every sample, over the networks on one side."""

    def __init__(self, runs: Runs, *, inside: bool, least: int) -> None:
        assert runs.log_odds is not None
        self.count = runs.members.sum(0) if inside else len(runs) - runs.members.sum(0)
        if self.count.min() <= least:
            worst = int(self.count.argmin())
            where = "in" if inside else "out"
            few = f"{self.count[worst]} networks {where} for id {runs.ids[worst]}"
            fix = f"Train more: each sample needs {least + 1} networks in and as many out."
            raise NotPositive("runs", few, fix)
        self.mean = np.zeros(len(runs.ids))
        self.squares = np.zeros(len(runs.ids))
        sides = runs.members if inside else ~runs.members
        for confidence, mine in zip(runs.log_odds, sides, strict=True):
            self.mean += np.where(mine, confidence, 0)
        self.mean /= self.count
        for confidence, mine in zip(runs.log_odds, sides, strict=True):
            self.squares += np.where(mine, confidence - self.mean, 0) ** 2

    def without(
        self, confidence: np.ndarray, mine: np.ndarray, *, pooled: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation once a network is left out, where it was counted."""
        deviation = np.where(mine, confidence - self.mean, 0)
        left = self.count - mine
        shift = deviation / left  # by how much the mean of the others lies below the mean of all
        squares = np.maximum(self.squares - deviation**2 - left * shift**2, 0)
        if pooled:
            freedom = int((left - 1).sum())
            if freedom == 0:
                fix = "Train more: without the attacked one, no sample has two on one side."
                raise NotPositive("runs", f"{left.max()} networks beside one", fix)
            variance = np.broadcast_to(squares.sum() / freedom, squares.shape)
        else:
            variance = squares / (left - 1)
        return self.mean - shift, np.sqrt(np.maximum(variance, _LEAST_VARIANCE))


def _surprise(deviations: np.ndarray) -> np.ndarray:
    from scipy.stats import norm

    surprise: np.ndarray = -norm.logsf(deviations)
    return surprise


def roc(
    membership: Membership,
    *,
    rates: np.ndarray | None = None,
    band: Band = "samples",
    level: float = 0.95,
    resamples: int = 200,
    seed: int = 0,
) -> Roc:
    """Return the receiver operating characteristic of an attack, with a confidence band.

    One threshold serves all samples and networks (as in Carlini et al. 2022). At each rate it is
    the lowest that keeps the share of false alarms at or below the rate: of `N` non-members at
    most `floor(rate N)` lie above it, also where scores are tied.

    Args:
        membership: Scores and truth, of any shape `(M, n)`.
        rates: Rates of false alarms, increasing, each in [0, 1]; None takes 31 from `10 / N` (or
            1/100, if that is less) to 1, evenly on a logarithmic axis.
        band: `"samples"`: percentile bootstrap over the samples, all networks of a sample
            together. `"networks"`: over the networks. `"clopper-pearson"`: exact binomial limits
            for the true-positive rate of the given threshold; they take all (network, sample)
            pairs as independent and the threshold as known, and are too narrow where one sample
            is as easy for every network.
        level: Probability that the band is meant to cover each point (not the whole curve).
        resamples: Resamples of the bootstrap.
        seed: Its seed.

    Returns:
        The curve at the rates.

    Raises:
        UnknownName: There is no such band.
        FractionOutOfRange: The level is outside (0, 1).
        InvalidInput: A rate is outside [0, 1] or the rates decrease, or all are members or none.
        NonFiniteNumber: A score is NaN.
        WrongShape: Scores and truth have different shapes.
        NotPositive: `resamples` is below 1, or the seed negative.

    Cost: one sort of the `M n` scores, and O(M n) per resample.
    """
    if band not in ("clopper-pearson", "samples", "networks"):
        raise UnknownName("band", band, "Pass 'clopper-pearson', 'samples' or 'networks'.")
    level = open_fraction("level", level)
    score, members = membership.score, membership.members
    if score.shape != members.shape or score.ndim != 2:
        raise WrongShape("membership", (score.shape, members.shape), "Pass (M, n) for both.")
    if not members.any() or members.all():
        fix = "Pass some of each: a curve compares members with non-members."
        raise InvalidInput("membership", "members are all or none", fix)
    if np.isnan(score).any():
        raise NonFiniteNumber("membership", "a score", "Remove samples without a score.")
    total = int((~members).sum())
    if rates is None:
        rates = np.geomspace(min(10 / total, 0.01), 1, 31)
    rates = np.asarray(rates, dtype=np.float64)
    if rates.ndim != 1 or not len(rates) or not ((rates >= 0) & (rates <= 1)).all():
        raise InvalidInput("rates", rates, "Pass a vector of rates from 0 to 1.")
    if (np.diff(rates) < 0).any():
        raise InvalidInput("rates", rates, "Pass them in increasing order.")

    from scipy.stats import beta, rankdata

    curve = _Curve(score, members)
    found = curve.found(rates, np.ones(score.shape[0]), np.ones(score.shape[1]))
    if band == "clopper-pearson":
        positive = int(members.sum())
        hits, tail = np.round(found * positive), (1 - level) / 2
        lower = np.where(hits > 0, beta.ppf(tail, hits, positive - hits + 1), 0)
        upper = np.where(hits < positive, beta.ppf(1 - tail, hits + 1, positive - hits), 1)
    else:
        random = rng(seed, "roc", band)
        count = score.shape[1] if band == "samples" else score.shape[0]
        drawn = []
        for _ in range(whole_number("resamples", resamples)):
            weights = np.bincount(random.integers(count, size=count), minlength=count)
            every = np.ones(score.shape[0] if band == "samples" else score.shape[1])
            pair = (every, weights) if band == "samples" else (weights, every)
            drawn.append(curve.found(rates, *pair))
        lower, upper = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    # The mean rank of the members gives the area (Mann & Whitney), infinite scores included.
    auc = (rankdata(score.ravel())[members.ravel()].mean() - (members.sum() + 1) / 2) / total
    return Roc(
        false_positive_rate=rates,
        true_positive_rate=found,
        lower=lower,
        upper=upper,
        auc=float(auc),
    )


class _Curve:
    """Scores sorted once, so that every weighting of networks and samples costs O(M n)."""

    def __init__(self, score: np.ndarray, members: np.ndarray) -> None:
        self.sides: list[dict[str, Any]] = []
        for mask in (members, ~members):
            network, sample = np.nonzero(mask)
            order = np.argsort(-score[mask], kind="stable")
            self.sides.append(
                {
                    "score": score[mask][order],
                    "network": network[order].astype(np.int32),
                    "sample": sample[order].astype(np.int32),
                }
            )

    def found(self, rates: np.ndarray, networks: np.ndarray, samples: np.ndarray) -> np.ndarray:
        """Return the true-positive rates `(p,)`; NaN if the weights leave no member or no other."""
        (inside, reached), (outside, passed) = (
            (side["score"], np.cumsum(networks[side["network"]] * samples[side["sample"]]))
            for side in self.sides
        )
        if not reached[-1] or not passed[-1]:
            return np.full(len(rates), np.nan)
        # The non-member that a threshold must not let pass: the first beyond the allowed number.
        blocked = np.searchsorted(passed, np.floor(rates * passed[-1] + 1e-9), side="right")
        limit = np.append(outside, -np.inf)[blocked]
        above = np.searchsorted(-inside, -limit, side="left")
        above[blocked == len(outside)] = len(inside)  # nobody is blocked: all are let in
        return np.concatenate([[0.0], reached])[above] / reached[-1]
