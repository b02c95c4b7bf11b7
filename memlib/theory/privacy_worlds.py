"""Finite private algorithms: what differential privacy demands of two distributions, exactly.

A *mechanism* maps a data set to the distribution of the hypothesis that training returns. Data
sets are neighbors when one is the other without one sample. `factor` is always e^epsilon, a number
E >= 1: with it everything here is rational.

Example:
    >>> from fractions import Fraction
    >>> from memlib.theory.privacy_worlds import is_private, membership_response
    >>> response = membership_response((0, 1), Fraction(3, 4))
    >>> [is_private(response, [(0, 1), (1, 0)], Fraction(factor)) for factor in (2, 3)]
    [False, True]
"""

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from itertools import chain, combinations, product
from typing import Any

from memlib.theory.worlds import ONE, Data, Distribution, Sample, total, without

Mechanism = Callable[[Data], Distribution]
Row = tuple[list[Fraction], Fraction]

ZERO = Fraction(0)


# For the solver ----------------------------------------------------------------------------------


def probabilities(*values: Any) -> list[Any]:
    """The z3 formulas that say that each value is in [0, 1]."""
    return [bound for value in values for bound in (value >= 0, value <= 1)]


def positive(*values: Any) -> list[Any]:
    """The z3 formulas that say that each value is positive."""
    return [value > 0 for value in values]


def private_event(p: Any, q: Any, factor: Any, delta: Any = 0) -> list[Any]:
    """What (epsilon, delta)-privacy says about one event and its complement, both ways round.

    Args:
        p: z3 term, the probability of the event when the sample is in the data set.
        q: The same when it is left out.
        factor: e^epsilon.
        delta: The additive part.

    Returns:
        z3 formulas: p and q are probabilities, the factor is at least 1, and four inequalities.
    """
    pairs = ((p, q), (q, p), (1 - p, 1 - q), (1 - q, 1 - p))
    return [factor >= 1, *probabilities(p, q), *(a <= factor * b + delta for a, b in pairs)]


# For linear programs -----------------------------------------------------------------------------


def events(outcomes: int) -> Iterable[tuple[int, ...]]:
    """All non-empty sets of outcomes."""
    sizes = range(1, outcomes + 1)
    return chain.from_iterable(combinations(range(outcomes), size) for size in sizes)


def private_pairs(
    outcomes: int, factor: Fraction, delta: Fraction = ZERO
) -> tuple[list[Row], list[Row]]:
    """All pairs of distributions that privacy allows, as rows of a linear program.

    Args:
        outcomes: How many hypotheses there are, k.
        factor: e^epsilon.
        delta: The additive part.

    Returns:
        Rows `a.x <= b` (one per event and direction) and rows `a.x = b` (the two sums), where x
        holds the k probabilities with the sample and the k without it.
    """

    def row(event: Iterable[int], here: Fraction, there: Fraction) -> list[Fraction]:
        inside = set(event)
        return [
            *(here if k in inside else ZERO for k in range(outcomes)),
            *(there if k in inside else ZERO for k in range(outcomes)),
        ]

    at_most = [
        (row(event, *signs), Fraction(delta))
        for event in events(outcomes)
        for signs in ((ONE, -factor), (-factor, ONE))
    ]
    whole = range(outcomes)
    return at_most, [(row(whole, ONE, ZERO), ONE), (row(whole, ZERO, ONE), ONE)]


# Mechanisms --------------------------------------------------------------------------------------


def constant(hypothesis: Any) -> Mechanism:
    """Returns the same hypothesis whatever the data: 0-private."""
    return lambda data: {hypothesis: ONE}


def membership_response(
    sample: Sample, keep: Fraction, reveal: Fraction = ZERO, answers: tuple[Any, Any] = (1, 0)
) -> Mechanism:
    """Randomized response on one question: is this sample in the data?

    Args:
        sample: The sample asked about.
        keep: Probability of the true answer.
        reveal: Before that, with this probability the true answer is given, marked as certain.
        answers: The hypotheses that stand for yes and no.

    Returns:
        A mechanism on the two answers (and on `("certain", answer)` if `reveal` is positive).
    """

    def respond(data: Data) -> Distribution:
        yes, no = answers
        truth, lie = (yes, no) if sample in data else (no, yes)
        rest = ONE - reveal
        found = {truth: rest * keep, lie: rest * (ONE - keep)}
        return {**found, ("certain", truth): reveal} if reveal else found

    return respond


def size_response(keep: Fraction, answers: tuple[Any, Any]) -> Mechanism:
    """Randomized response on: is the number of samples even? Every neighbor changes the truth."""

    def respond(data: Data) -> Distribution:
        odd = len(data) % 2
        return {answers[odd]: keep, answers[1 - odd]: ONE - keep}

    return respond


def hockey_stick(p: Distribution, q: Distribution, factor: Fraction) -> Fraction:
    """The least delta with P(R) <= factor * Q(R) + delta for all events R."""
    return total(max(p[k] - factor * q.get(k, ZERO), ZERO) for k in p)


def neighbors(universe: Sequence[Sample], size: int) -> Iterable[tuple[Data, Data]]:
    """Every data set of 1 to `size` samples from the universe, with each one sample left out."""
    for n in range(1, size + 1):
        for data in product(universe, repeat=n):
            for i in range(n):
                yield data, without(data, i)


def is_private(
    mechanism: Mechanism,
    universe: Sequence[Sample],
    factor: Fraction,
    delta: Fraction = ZERO,
    size: int = 2,
) -> bool:
    """Whether a mechanism is (epsilon, delta)-private on all data sets of at most `size` samples.

    Cost: it is run on all of them.
    """
    return all(
        max(hockey_stick(p, q, factor), hockey_stick(q, p, factor)) <= delta
        for p, q in ((mechanism(a), mechanism(b)) for a, b in neighbors(universe, size))
    )


def chance(distribution: Distribution, event: Callable[[Any], bool]) -> Fraction:
    """The probability that the hypothesis is in an event."""
    return total(p for hypothesis, p in distribution.items() if event(hypothesis))


def average(distribution: Distribution, value: Callable[[Any], Fraction]) -> Fraction:
    """The mean of a number that depends on the hypothesis."""
    return total(p * value(hypothesis) for hypothesis, p in distribution.items())


# The library -------------------------------------------------------------------------------------


def agrees(computed: Any, exact: Any) -> bool:
    """Whether a number that `memlib` computes in floating point is the exact one, to 12 digits."""
    return abs(float(computed) - float(exact)) <= 1e-12
