"""Relative entropy of finite distributions, without rounding.

A distribution is a dict from outcome to `Fraction`. Its divergence from another is the logarithm
of a rational number, divided by a whole number: two such numbers are compared by their powers.

Example:
    >>> from fractions import Fraction
    >>> from memlib.theory.divergences import coin, divergence
    >>> divergence(coin(Fraction(3, 4)), coin(Fraction(1, 2)))
    Log(ratio=Fraction(27, 16), over=4)
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import total_ordering
from math import lcm, log

Distribution = Mapping[Hashable, Fraction]


@total_ordering
@dataclass(frozen=True, eq=False)
class Log:
    """The number ln(ratio) / over, in nats. Equality and order are those of the numbers."""

    ratio: Fraction
    over: int = 1

    def __add__(self, other: "Log") -> "Log":
        over = lcm(self.over, other.over)
        powers = (self.ratio ** (over // self.over), other.ratio ** (over // other.over))
        return Log(powers[0] * powers[1], over)

    def __neg__(self) -> "Log":
        return Log(1 / self.ratio, self.over)

    def __sub__(self, other: "Log") -> "Log":
        return self + -other

    def __rmul__(self, factor: Fraction | int) -> "Log":
        factor = Fraction(factor)
        return Log(self.ratio**factor.numerator, self.over * factor.denominator)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Log) and (self - other).ratio == 1

    def __lt__(self, other: "Log") -> bool:
        return (self - other).ratio < 1

    def __float__(self) -> float:
        return (log(self.ratio.numerator) - log(self.ratio.denominator)) / self.over

    def __hash__(self) -> int:
        return hash(round(float(self), 9))


ZERO = Log(Fraction(1))


def coin(chance: Fraction | int) -> Distribution:
    """The distribution of a bit that is 1 with this probability."""
    return {bit: p for bit, p in ((0, 1 - Fraction(chance)), (1, Fraction(chance))) if p}


def point(outcome: Hashable) -> Distribution:
    """The distribution that always gives this outcome."""
    return {outcome: Fraction(1)}


def is_distribution(p: Distribution) -> bool:
    """Whether the probabilities are not negative and add up to 1."""
    return all(chance >= 0 for chance in p.values()) and sum(p.values()) == 1


def mixture(parts: Iterable[tuple[Fraction, Distribution]]) -> Distribution:
    """The distribution of an outcome whose own distribution is drawn first.

    Args:
        parts: Pairs (probability, distribution).
    """
    mixed: dict[Hashable, Fraction] = {}
    for weight, p in parts:
        for outcome, chance in p.items():
            mixed[outcome] = mixed.get(outcome, Fraction(0)) + weight * chance
    return mixed


def covers(q: Distribution, p: Distribution) -> bool:
    """Whether q gives every outcome of p positive probability, so that KL(p || q) is finite."""
    return all(q.get(outcome, 0) > 0 for outcome, chance in p.items() if chance > 0)


def divergence(p: Distribution, q: Distribution) -> Log:
    """Relative entropy KL(p || q), exactly.

    Raises:
        ValueError: It is infinite: an outcome of p is impossible under q.
    """
    if not covers(q, p):
        raise ValueError(f"KL(p || q) is infinite: q={dict(q)} does not cover p={dict(p)}")
    terms = [Fraction(c) * Log(c / q[outcome]) for outcome, c in p.items() if c > 0]
    return sum(terms, ZERO)


def average(weighted: Sequence[tuple[Fraction, Log]]) -> Log:
    """The mean of numbers that come with probabilities."""
    return sum((weight * value for weight, value in weighted), ZERO)
