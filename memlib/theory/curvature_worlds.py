"""Losses with exact curvature, and the constants that a learner has on a finite population.

A `Spline` is a twice continuously differentiable, piecewise polynomial function of one real
variable with rational coefficients: its values, its curvature, its bounds and the Lipschitz
constant of its second derivative are exact. A `RiskWorld` is a deterministic learner, a cost and a
finite population; stability, generalization and model bias are then maxima over finitely many
data sets.

Example:
    >>> from memlib.theory.curvature_worlds import EULER, at
    >>> [int(at(EULER, x, order)) for x, order in ((0, 0), (Fraction(1, 2), 0), (0, 2))]
    [0, 1, 24]
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import pairwise, product
from math import comb
from typing import Any

from memlib.theory.worlds import Data, Sample, mean, total, without

Polynomial = tuple[Fraction | int, ...]
Predict = Callable[[Any], Any]


# Splines -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spline:
    """A piecewise polynomial. `pieces[k]` holds the coefficients of 1, x, x^2, ... between knots k
    and k+1; if `periodic`, it repeats for ever.
    """

    knots: tuple[Fraction | int, ...]
    pieces: tuple[Polynomial, ...]
    periodic: bool = False


def differentiate(coefficients: Polynomial, times: int = 1) -> Polynomial:
    """The coefficients of a derivative."""
    for _ in range(times):
        coefficients = tuple(k * c for k, c in enumerate(coefficients))[1:] or (0,)
    return coefficients


def evaluate(coefficients: Polynomial, x: Fraction | int) -> Fraction:
    """The value of a polynomial."""
    return total(Fraction(c) * Fraction(x) ** k for k, c in enumerate(coefficients))


def at(spline: Spline, x: Fraction | int, order: int = 0) -> Fraction:
    """The value of a spline at x, or of its derivative of that order.

    Raises:
        ValueError: x is outside the knots of a spline that is not periodic.
    """
    first, last = spline.knots[0], spline.knots[-1]
    if spline.periodic:
        x = first + (Fraction(x) - first) % (last - first)
    for (low, high), piece in zip(pairwise(spline.knots), spline.pieces, strict=True):
        if low <= x <= high:
            return evaluate(differentiate(piece, order), x)
    raise ValueError(f"x = {x} is outside [{first}, {last}], where the spline is given")


def bernstein(
    coefficients: Polynomial, low: Fraction | int, high: Fraction | int
) -> list[Fraction]:
    """The Bernstein coefficients of a polynomial on [low, high]: it stays between the least and
    the largest of them.
    """
    degree, width = len(coefficients) - 1, Fraction(high) - low
    shifted = [
        total(
            Fraction(c) * comb(k, j) * Fraction(low) ** (k - j)
            for k, c in enumerate(coefficients)
            if k >= j
        )
        * width**j
        for j in range(degree + 1)
    ]
    return [
        total(Fraction(comb(i, j), comb(degree, j)) * shifted[j] for j in range(i + 1))
        for i in range(degree + 1)
    ]


def bounds(spline: Spline, order: int = 0) -> tuple[Fraction, Fraction]:
    """Two numbers between which a spline (or its derivative of that order) stays everywhere.

    They come from Bernstein coefficients: safe, and exact where the extremes are at knots.
    """
    found = [
        value
        for (low, high), piece in zip(pairwise(spline.knots), spline.pieces, strict=True)
        for value in bernstein(differentiate(piece, order), low, high)
    ]
    return min(found), max(found)


def is_smooth(spline: Spline) -> bool:
    """Whether value, slope and curvature agree where pieces meet (also across a period)."""
    inner = zip(spline.knots[1:-1], pairwise(spline.pieces), strict=True)
    joints = [(x, a, x, b) for x, (a, b) in inner]
    if spline.periodic:
        joints.append((spline.knots[-1], spline.pieces[-1], spline.knots[0], spline.pieces[0]))
    return all(
        evaluate(differentiate(a, order), x) == evaluate(differentiate(b, order), y)
        for x, a, y, b in joints
        for order in range(3)
    )


def hessian_constant(spline: Spline) -> Fraction:
    """A Lipschitz constant of the second derivative: a bound on the third.

    Raises:
        ValueError: The second derivative jumps at a knot, so that there is none.
    """
    if not is_smooth(spline):
        raise ValueError("the pieces do not meet with equal value, slope and curvature")
    return max(abs(value) for value in bounds(spline, 3))


def taylor(value: Any, expansion: Any, rho: Any, size: Any) -> list[Any]:
    """The z3 formulas that say what a Hessian with Lipschitz constant rho guarantees: at distance
    `size` a value is within rho size^3 / 6 of its second-order expansion.
    """
    rest = rho * size * size * size / 6
    return [value - expansion <= rest, expansion - value <= rest]


def flipped(spline: Spline, level: Fraction | int = 1) -> Spline:
    """The spline `level - f`."""
    pieces = tuple((level - p[0], *(-c for c in p[1:])) for p in spline.pieces)
    return Spline(spline.knots, pieces, spline.periodic)


#: Euler's spline, scaled to period 1 and values in [0, 1]: of all such functions with third
#: derivative at most 96 it has the largest second derivative, 24, reached at every integer.
EULER = Spline(
    (0, Fraction(1, 2), 1),
    ((0, 0, 12, -16), (-4, 24, -36, 16)),
    periodic=True,
)


# Deterministic learners on finite populations -----------------------------------------------------


@dataclass(frozen=True)
class RiskWorld:
    """A deterministic learner (data to predictor), a cost `c(prediction, label)`, a finite
    population of samples with probabilities, and what E[y | x] predicts.
    """

    learner: Callable[[Data], Predict]
    cost: Callable[[Any, Any], Fraction]
    population: tuple[tuple[Sample, Fraction], ...]
    conditional_mean: Predict


def evenly(samples: Iterable[Sample]) -> tuple[tuple[Sample, Fraction], ...]:
    """A population in which all samples are equally likely."""
    every = tuple(samples)
    return tuple((sample, Fraction(1, len(every))) for sample in every)


def loss(world: RiskWorld, predict: Predict, sample: Sample) -> Fraction:
    """The loss of a predictor on a sample."""
    return Fraction(world.cost(predict(sample[0]), sample[1]))


def risk(world: RiskWorld, predict: Predict) -> Fraction:
    """The population risk R."""
    return total(p * loss(world, predict, sample) for sample, p in world.population)


def empirical(world: RiskWorld, predict: Predict, data: Data) -> Fraction:
    """The empirical risk R_emp."""
    return mean([loss(world, predict, sample) for sample in data])


def data_sets(world: RiskWorld, size: int) -> list[Data]:
    """Every data set of that size that can be drawn."""
    return list(product([sample for sample, _ in world.population], repeat=size))


@cache
def error_stability(world: RiskWorld, size: int) -> Fraction:
    """The least beta of Eq. (3), over all data sets of that size."""
    found = []
    for data in data_sets(world, size):
        full = risk(world, world.learner(data))
        found += [abs(full - risk(world, world.learner(without(data, i)))) for i in range(size)]
    return max(found)


@cache
def generalization(world: RiskWorld, size: int) -> Fraction:
    """The least rate gamma' of Eq. (4) that holds with probability one."""
    return max(
        abs(empirical(world, h, data) - risk(world, h))
        for data, h in ((data, world.learner(data)) for data in data_sets(world, size))
    )


@cache
def empirical_gap(world: RiskWorld, size: int) -> Fraction:
    """The least gamma of Eq. (20) to (22), and of (24), that holds for all data sets and all i."""
    found = []
    for data in data_sets(world, size):
        full, r = world.learner(data), risk(world, world.learner(data))
        found.append(abs(empirical(world, full, data) - r))
        for i in range(size):
            rest = without(data, i)
            left = world.learner(rest)
            found.append(abs(empirical(world, full, rest) - r))
            found += [abs(empirical(world, left, s) - risk(world, left)) for s in (data, rest)]
    return max(found)


@cache
def model_bias(world: RiskWorld, size: int) -> Fraction:
    """The least Delta of Eq. (5), over all data sets of that size and of one less."""
    best = risk(world, world.conditional_mean)
    return max(
        abs(risk(world, world.learner(data)) - best)
        for n in (size - 1, size)
        for data in data_sets(world, n)
    )


def twins(shifts: Iterable[Fraction | int]) -> dict[str, Fraction]:
    """Moments of an equally likely shift: `mean`, `second` and `third` (absolute)."""
    values = [Fraction(shift) for shift in shifts]
    return {
        "mean": mean(values),
        "second": mean([v**2 for v in values]),
        "third": mean([abs(v) ** 3 for v in values]),
    }


def hit(predict: Predict, sample: Sample) -> int:
    """1 if the prediction is the label, else 0."""
    return int(predict(sample[0]) == sample[1])


def memorized(world: RiskWorld, data: Data, i: int) -> int:
    """Feldman's memorization of sample i by the world's deterministic learner: -1, 0 or 1."""
    with_it, left = world.learner(data), world.learner(without(data, i))
    return hit(with_it, data[i]) - hit(left, data[i])


def has_twins(data: Data, i: int, shifts: Iterable[Fraction | int]) -> bool:
    """Whether another sample has the label of sample i and an input that is one shift away."""
    x, y = data[i]
    return any((x + shift, y) in without(data, i) for shift in shifts)


def constant_world(
    profile: Spline, inputs: Iterable[int], labels: tuple[int, ...] = (0, 1)
) -> RiskWorld:
    """A learner that always returns x -> x + c, whatever the data, and so is 0-private.

    Labels are equally likely and independent of the input, with mean c = E[y | x]. The cost is a
    function of the residual, `profile(prediction - label - c)`: the loss of the learner's predictor
    at (x, y) is `profile(x - y)`. That is `profile(x)` if the only label is 0, or if the profile
    has period 1.
    """
    center = mean([Fraction(label) for label in labels])

    def learn(data: Data) -> Predict:
        return lambda x: x + center

    return RiskWorld(
        learn,
        lambda prediction, label: at(profile, prediction - label - center),
        evenly(product(inputs, labels)),
        lambda x: center,
    )
