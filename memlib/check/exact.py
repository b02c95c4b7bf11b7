"""Checks of exact memorization: finite learners and Gibbs posteriors, in rational arithmetic."""

from collections.abc import Callable, Iterable
from fractions import Fraction
from itertools import combinations, product
from math import comb
from typing import Any

from memlib.check.comparison import Case, Function, Mistake, compare, describe
from memlib.theory import worlds

Train = Callable[[worlds.Data, int], Callable[[Any], Any]]  # (data, coin) -> (x -> label)

_COINS = 2
_SAMPLES = tuple(product((0, 1), repeat=2))
_FLOAT = "A rounded number is returned: work in fractions, so that nothing is rounded."


# Learners with a coin: small, and different where mistakes are ---------------------------------


def by_heart(data: worlds.Data, coin: int) -> Callable[[Any], Any]:
    """Answer as one of the samples at x does, the coin says which; elsewhere the coin itself."""

    def predict(x: Any) -> Any:
        labels = [y for other, y in data if other == x]
        return labels[coin % len(labels)] if labels else coin

    return predict


def at_random(data: worlds.Data, coin: int) -> Callable[[Any], Any]:
    """Answer everywhere as the sample does that the coin picks; without data, the coin itself."""
    return lambda x: data[coin % len(data)][1] if data else coin


def contrary(data: worlds.Data, coin: int) -> Callable[[Any], Any]:
    """Answer the opposite of `by_heart` where it has samples: training makes it worse there."""
    known = {x for x, _ in data}
    heart = by_heart(data, coin)
    return lambda x: 1 - heart(x) if x in known else coin


def _learner(train: Train, coins: int) -> worlds.Learner:
    """The learner of `memlib.theory.worlds` whose randomness is a uniform coin."""
    return lambda data: lambda x: worlds.uniform([train(data, c)(x) for c in range(coins)])


def _worlds(sizes: Iterable[int]) -> Iterable[Case]:
    for n in sizes:
        for data in product(_SAMPLES, repeat=n):
            for train, i in product((by_heart, at_random, contrary), range(n)):
                yield {"train": train, "data": data, "i": i, "coins": _COINS}


# Leaving one out -------------------------------------------------------------------------------


def _memorization(train: Train, data: worlds.Data, i: int, coins: int) -> Fraction:
    return worlds.memorization(_learner(train, coins), data, i)


def _accuracy(train: Train, data: worlds.Data, sample: worlds.Sample, coins: int) -> Fraction:
    return worlds.accuracy(_learner(train, coins), data, sample)


def _by_value(train: Train, data: worlds.Data, i: int, coins: int) -> Fraction:
    rest = tuple(sample for sample in data if sample != data[i])
    return _accuracy(train, data, data[i], coins) - _accuracy(train, rest, data[i], coins)


def _changed(train: Train, data: worlds.Data, i: int, coins: int) -> Fraction:
    x, rest = data[i][0], worlds.without(data, i)
    changed = [train(data, coin)(x) != train(rest, coin)(x) for coin in range(coins)]
    return Fraction(sum(changed), coins)


_LEFT_OUT: dict[str, Function] = {
    "All samples equal to the i-th are left out: leave out one, by its position, and keep its "
    "twins.": _by_value,
    "The predictions are compared with each other: compare each with the label of the sample.": (
        _changed
    ),
    "An absolute value is taken: memorization is signed.": (
        lambda train, data, i, coins: abs(_memorization(train, data, i, coins))
    ),
    "The sign is wrong: it is the accuracy with the sample minus that without.": (
        lambda train, data, i, coins: -_memorization(train, data, i, coins)
    ),
    "Only one coin is tossed: average over all of them.": (
        lambda train, data, i, coins: _memorization(train, data, i, 1)
    ),
    "Coins are counted: divide by their number.": (
        lambda train, data, i, coins: coins * _memorization(train, data, i, coins)
    ),
    _FLOAT: lambda train, data, i, coins: float(_memorization(train, data, i, coins)),
}


def exact_memorization(function: Function, cases: Iterable[Case] | None = None) -> None:
    """Check the memorization of a sample by a learner with finite randomness.

    Args:
        function: `function(train, data, i, coins)` returns the fraction
            Pr[train(data, c)(x_i) = y_i] - Pr[train(data without i, c)(x_i) = y_i], the coin c
            being uniform in range(coins).
        cases: Other worlds to try; by default three learners on all data sets of up to three
            samples with two inputs and two labels.

    Raises:
        Mistake: A score is wrong, or not exact.
    """
    compare(function, _memorization, _worlds((1, 2, 3)) if cases is None else cases, _LEFT_OUT)


# Subsets ---------------------------------------------------------------------------------------


def _subset(train: Train, data: worlds.Data, i: int, m: int, coins: int) -> Fraction:
    return worlds.subset_memorization(_learner(train, coins), data, i, m)


def _unconditional(train: Train, data: worlds.Data, i: int, m: int, coins: int) -> Fraction:
    learner = _learner(train, coins)
    whole = [
        worlds.accuracy(learner, worlds.select(data, subset), data[i])
        for subset in combinations(range(len(data)), m)
    ]
    return worlds.subset_accuracy(learner, data, i, m, inside=True) - worlds.mean(whole)


def _divided_by_all(train: Train, data: worlds.Data, i: int, m: int, coins: int) -> Fraction:
    learner, n = _learner(train, coins), len(data)
    inside = worlds.subset_accuracy(learner, data, i, m, inside=True) * comb(n - 1, m - 1)
    outside = worlds.subset_accuracy(learner, data, i, m, inside=False) * comb(n - 1, m)
    return (inside - outside) / comb(n, m)


_SUBSETS: dict[str, Function] = {
    "The subsets without the sample have m - 1 elements: all subsets have m, with it or without.": (
        lambda train, data, i, m, coins: worlds.subset_influence(_learner(train, coins), data, i, m)
    ),
    "The second mean is not conditioned on membership: it runs over all subsets, also those with "
    "the sample.": _unconditional,
    "Both sums are divided by the number of all subsets: divide each by the subsets on its side.": (
        _divided_by_all
    ),
    "Only the whole data set is used: average over the subsets of size m.": (
        lambda train, data, i, m, coins: _memorization(train, data, i, coins)
    ),
    "An absolute value is taken: memorization is signed.": (
        lambda train, data, i, m, coins: abs(_subset(train, data, i, m, coins))
    ),
    _FLOAT: lambda train, data, i, m, coins: float(_subset(train, data, i, m, coins)),
}


def subset_memorization(function: Function, cases: Iterable[Case] | None = None) -> None:
    """Check the memorization of a sample at a subset size, by enumeration.

    Args:
        function: `function(train, data, i, m, coins)` returns the fraction: accuracy on sample i
            over all subsets of size m with i, minus that over all subsets of size m without it.
            Subsets keep the order of the data.
        cases: Other worlds to try; by default three learners on all data sets of two or three
            samples with two inputs and two labels, at every 1 <= m < n.

    Raises:
        Mistake: A score is wrong, or not exact.
    """
    if cases is None:
        cases = [
            dict(case) | {"m": m} for case in _worlds((2, 3)) for m in range(1, len(case["data"]))
        ]
    compare(function, _subset, cases, _SUBSETS)


# Gibbs posteriors ------------------------------------------------------------------------------


def _two_kinds(right: int, wrong: int) -> tuple[list[dict[int, int]], worlds.Data, int]:
    """A world of one sample, labeled 1, on which so many hypotheses are right and wrong."""
    return [{0: 1}] * right + [{0: 0}] * wrong, ((0, 1),), 0


def _of_world(world: Any, a: Fraction) -> Fraction:
    hypotheses, data, i = world
    return worlds.memorization(worlds.gibbs(hypotheses, a), tuple(data), i)


def _gibbs(q: Fraction, a: Fraction) -> Fraction:
    return _of_world(_two_kinds(q.numerator, q.denominator - q.numerator), a)


_GIBBS: dict[str, Function] = {
    "The weight of the right hypotheses is multiplied by a: it is that of the wrong ones.": (
        lambda q, a: q * a / (q * a + 1 - q) - q
    ),
    "The weights are not normalized again: the wrong hypotheses lose weight, and all have to sum "
    "to 1.": lambda q, a: (1 - a) * (1 - q),
    "This is the accuracy in training: subtract that without the sample.": (
        lambda q, a: q + _gibbs(q, a)
    ),
    "The sign is wrong: it is the accuracy with the sample minus that without.": (
        lambda q, a: -_gibbs(q, a)
    ),
    _FLOAT: lambda q, a: float(_gibbs(q, a)),
}


def gibbs_memorization(function: Function, cases: Iterable[Case] | None = None) -> None:
    """Check the memorization under a Gibbs posterior, as a function of the held-out accuracy.

    Args:
        function: `function(q, a)`, both `Fraction`: q in [0, 1] is the probability of a right
            answer without the sample, and a in (0, 1] is what an error multiplies the weight of a
            hypothesis by. Returns the memorization, a `Fraction`.
        cases: Other values to try.

    Raises:
        Mistake: A value is wrong, or not exact.
    """
    if cases is None:
        shares = sorted({Fraction(k, d) for d in range(1, 6) for k in range(d + 1)})
        shares.sort(key=lambda share: share.denominator)
        factors = (Fraction(1), Fraction(1, 2), Fraction(1, 4), Fraction(4, 9))
        cases = [{"q": q, "a": a} for q, a in product(shares, factors)]
    compare(function, _gibbs, cases, _GIBBS)


_EXTREMES: dict[str, Function] = {
    "Right and wrong hypotheses weigh as 1 to 1, or as a to 1: memorization is largest in "
    "between.": lambda s, t: _two_kinds(1, 1),
    "Right and wrong hypotheses are swapped.": lambda s, t: _two_kinds(t, s),
}


def worst_world(function: Function, cases: Iterable[Case] | None = None) -> None:
    """Check a finite world in which a Gibbs posterior memorizes as much as it can.

    Args:
        function: `function(s, t)`, 0 < s < t whole numbers, returns `(hypotheses, data, i)`: a
            list of dicts from x to a label, a tuple of samples `(x, y)`, and a position, such that
            the memorization of sample i by `memlib.theory.worlds.gibbs(hypotheses, a)` at
            a = (s/t)**2 is exactly (t - s) / (t + s).
        cases: Other pairs of numbers to try; by default all up to 5.

    Raises:
        Mistake: The memorization in a world is less, or the world cannot be used.
    """
    if cases is None:
        cases = [{"s": s, "t": t} for t in range(2, 6) for s in range(1, t)]

    def measured(make: Function) -> Function:
        def memorization(s: int, t: int) -> Fraction | None:
            world = make(s=s, t=t)
            return None if world is None else _of_world(world, Fraction(s, t) ** 2)

        return memorization

    variants = {text: measured(make) for text, make in _EXTREMES.items()}
    compare(
        measured(function) if callable(function) else function,
        lambda s, t: Fraction(t - s, t + s),
        cases,
        variants,
        name=getattr(function, "__name__", "the answer"),
        returns="its memorization",
    )


def refutation(pair: Any) -> None:
    """Check a counterexample to "under a Gibbs posterior, mem <= (1 - a) / 2".

    Args:
        pair: `(q, a)`, two fractions as in `gibbs_memorization`, 0 < a < 1.

    Raises:
        Mistake: The pair is out of range or not exact, or the statement holds there.
    """
    shown = describe(pair)
    exact = isinstance(pair, tuple) and len(pair) == 2
    if not (exact and all(isinstance(value, Fraction) for value in pair)):
        raise Mistake(f"The counterexample is {shown}: give two fractions, (q, a).")
    q, a = pair
    if not (0 <= q <= 1 and 0 < a < 1):
        raise Mistake(f"The counterexample is {shown}: 0 <= q <= 1 and 0 < a < 1 is asked for.")
    if _gibbs(q, a) <= (1 - a) / 2:
        raise Mistake(
            f"At (q, a) = {shown} the statement holds: memorization {_gibbs(q, a)} is at most "
            f"(1 - a)/2 = {(1 - a) / 2}. Where is memorization largest for a given a?"
        )
