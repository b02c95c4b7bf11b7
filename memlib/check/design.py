"""Check the plan of an experiment by simulating it: cost, false alarms, power.

Two training recipes are compared on the same samples, each by the subset estimator. A plan says how
many networks train on which share, with which seeds, and from which difference on the second recipe
is said to memorize a sample less.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from memlib.check.comparison import Case, Mistake, compare, describe, outcome
from memlib.runtime import rng

#: `(in_a, out_a, in_b, out_b)`: four accuracies on a sample; larger = b memorizes it less.
Statistic = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]

SAMPLES = 10  # how many samples are tested at once
BUDGET = 500.0  # trainings on the full data set, for both recipes together
LUCK = 0.1  # how much an initialization moves the accuracy on samples not trained on
PER_NETWORK, PER_RECIPE = "one per network", "one per recipe"
_FAMILY, _POWER = 0.05, 0.9
_REPEATS = 40_000


@dataclass(frozen=True)
class Truth:
    """What is true of a sample: its accuracies under two recipes.

    Args:
        in_a: Accuracy of recipe a's networks that trained on it.
        out_a: Accuracy of recipe a's networks that did not.
        in_b: The same as `in_a` for recipe b.
        out_b: The same as `out_a` for recipe b.
    """

    in_a: float
    out_a: float
    in_b: float
    out_b: float


#: Nothing to find: the memorization of the sample is the same under both recipes.
NULLS = (Truth(1, 0.5, 1, 0.5), Truth(1, 0.8, 1, 0.8), Truth(0.9, 0.4, 1, 0.5))
#: Memorization falls from 0.5 to 0.3.
EFFECT = Truth(1, 0.5, 1, 0.7)


@dataclass(frozen=True)
class Plan:
    """The plan of an experiment, as `plan` reads it from a dictionary.

    Args:
        fraction: Share of the samples that each network trains on, 0.5 to 0.9.
        models: Networks for each recipe.
        seeds: `"one per network"` or `"one per recipe"`: who shares an initialization.
        threshold: A reduction is reported if the statistic is larger.
    """

    fraction: float
    models: int
    seeds: str
    threshold: float

    @property
    def cost(self) -> float:
        """Trainings on the full data set, for both recipes: time goes with samples seen."""
        return 2 * self.models * self.fraction

    @property
    def out(self) -> int:
        """Networks of each recipe that did not train on a given sample."""
        return self.models - round(self.fraction * self.models)


def read(given: Any) -> Plan:
    """Read a plan.

    Args:
        given: A dictionary with the four entries of `Plan`.

    Returns:
        The plan.

    Raises:
        Mistake: An entry is missing, unknown or out of range; the message names it.
    """
    names = tuple(Plan.__dataclass_fields__)
    if not isinstance(given, Mapping) or {*given} != {*names}:
        raise Mistake(f"The plan is {describe(given)}: give a dictionary with {names}.")
    ranges = {
        "fraction": (_number(given["fraction"], 0.5, 0.9), "from 0.5 to 0.9"),
        "models": (_number(given["models"], 2, 10_000) and given["models"] % 1 == 0, "whole, > 1"),
        "seeds": (
            given["seeds"] in (PER_NETWORK, PER_RECIPE),
            f"{PER_NETWORK!r} or {PER_RECIPE!r}",
        ),
        "threshold": (_number(given["threshold"], -1, 1), "from -1 to 1"),
    }
    for name, (fits, wanted) in ranges.items():
        if not fits:
            raise Mistake(f"The plan's {name} is {describe(given[name])}: it has to be {wanted}.")
    return Plan(**given)


def _number(value: Any, low: float, high: float) -> bool:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return number and bool(low <= value <= high)


def cost(given: Any, budget: float = BUDGET) -> None:
    """Check that a plan is complete and within the budget.

    Args:
        given: As in `read`.
        budget: Trainings on the full data set.

    Raises:
        Mistake: The plan cannot be read, or costs more.
    """
    plan = read(given)
    if plan.cost > budget + 1e-9:
        raise Mistake(
            f"The plan costs 2 x {plan.models} x {plan.fraction:g} = {plan.cost:g} full trainings; "
            f"the budget is {budget:g}. Both recipes have to be trained."
        )


def _difference(in_a: Any, out_a: Any, in_b: Any, out_b: Any) -> Any:
    memorized_a, memorized_b = in_a - out_a, in_b - out_b
    return memorized_a - memorized_b


_STATISTICS: dict[str, Callable[..., Any]] = {
    "The sign is wrong: it is larger where recipe b memorizes less.": (
        lambda **means: -_difference(**means)
    ),
    "Absolute values are taken of the scores: memorization is signed.": (
        lambda in_a, out_a, in_b, out_b: abs(in_a - out_a) - abs(in_b - out_b)
    ),
    "An absolute value is taken of the difference: an increase is no reduction.": (
        lambda **means: abs(_difference(**means))
    ),
    "Only the networks without the sample are compared: recipe b may be better on every sample.": (
        lambda in_a, out_a, in_b, out_b: out_b - out_a
    ),
    "Only the networks with the sample are compared: that is fit, not memorization.": (
        lambda in_a, out_a, in_b, out_b: in_a - in_b
    ),
    "This is the memorization under recipe b alone: compare it with that under a.": (
        lambda in_a, out_a, in_b, out_b: in_b - out_b
    ),
}


def statistic(function: Any, cases: Iterable[Case] | None = None) -> None:
    """Check the statistic of a plan: memorization under recipe a minus that under b.

    Args:
        function: `function(in_a, out_a, in_b, out_b)`, four arrays of accuracies of one shape,
            returns an array of that shape.
        cases: Other accuracies to try.

    Raises:
        Mistake: A value is wrong.
    """
    if cases is None:
        names = ("in_a", "out_a", "in_b", "out_b")
        grid = sorted(product((0.0, 0.5, 1.0), repeat=4), key=sum)
        cases = [{n: np.array([v]) for n, v in zip(names, p, strict=True)} for p in grid]
    compare(function, _difference, cases, _STATISTICS)


def alarm_rate(plan: Plan, function: Statistic, truth: Truth, seed: int = 0) -> float:
    """Simulate a plan: how often is a reduction reported for a sample?

    An initialization is lucky or unlucky, with equal chances: it moves the accuracy on samples
    that were not trained on up or down by 0.1. All else is independent.

    Args:
        plan: The plan.
        function: The statistic.
        truth: What is true of the sample.
        seed: Seed of the 40,000 repetitions.

    Returns:
        The share of repetitions in which the statistic is above the threshold.

    Raises:
        Mistake: The statistic is not one number per repetition.
    """
    random = rng(seed, "alarm rate")

    def accuracies(inside: float, outside: float) -> tuple[np.ndarray, np.ndarray]:
        held = plan.models - plan.out
        luck = random.choice([-LUCK, LUCK], _REPEATS) * (plan.seeds == PER_RECIPE)
        # With a seed for each network luck is part of its own coin toss: the mean accuracy stays.
        return (
            random.binomial(held, inside, _REPEATS) / held,
            random.binomial(plan.out, np.clip(outside + luck, 0, 1)) / plan.out,
        )

    a, b = accuracies(truth.in_a, truth.out_a), accuracies(truth.in_b, truth.out_b)
    names = ("in_a", "out_a", "in_b", "out_b")
    value = outcome(function, dict(zip(names, (*a, *b), strict=True)))
    if np.shape(value) != (_REPEATS,):
        raise Mistake(f"The statistic is {describe(value)}: one number per repetition is needed.")
    return float((np.asarray(value) > plan.threshold).mean())


_CURES: dict[str, Callable[[Plan], Plan]] = {
    "The networks of a recipe share one initialization: its luck does not average out over them.": (
        lambda plan: replace(plan, seeds=PER_NETWORK)
    ),
}
_FALSE_CURES: dict[str, Callable[[Plan], Plan]] = {
    **_CURES,
    "The threshold is too low for the standard error of the statistic.": (
        lambda plan: replace(plan, threshold=0.99)
    ),
}
_POWER_CURES: dict[str, Callable[[Plan], Plan]] = {
    **_CURES,
    "Too few networks are without the sample: at this cost a smaller fraction leaves more out.": (
        lambda plan: replace(plan, fraction=0.5, models=int(plan.cost))
    ),
    "The threshold is too high: it has to leave room below the effect.": (
        lambda plan: replace(plan, threshold=plan.threshold / 2)
    ),
}


def _cured(
    plan: Plan, cures: Mapping[str, Callable[[Plan], Plan]], passes: Callable[[Plan], bool]
) -> str:
    """The first change of the plan after which it passes, in words."""
    found = (text for text, change in cures.items() if passes(change(plan)))
    return next(found, "No single change of the plan cures it.")


def false_alarms(
    given: Any, function: Statistic, truths: Iterable[Truth] = NULLS, samples: int = SAMPLES
) -> None:
    """Check that a plan seldom reports a reduction where there is none.

    With `samples` samples tested at once, the probability of any false alarm has to be at most
    5 % (the outcomes of different samples are taken as independent).

    Args:
        given: The plan, as in `read`.
        function: The statistic.
        truths: Accuracies under which nothing is to be found.
        samples: How many samples are tested.

    Raises:
        Mistake: There are too many false alarms, and what would cure them.
    """
    plan = read(given)
    for truth in truths:

        def family(plan: Plan, truth: Truth = truth) -> float:
            return 1 - (1 - alarm_rate(plan, function, truth)) ** samples

        if family(plan) > _FAMILY:
            single = alarm_rate(plan, function, truth)
            reason = _cured(plan, _FALSE_CURES, lambda p: family(p) <= _FAMILY)
            if _FAMILY / 2 < single <= _FAMILY and plan.seeds == PER_NETWORK:
                reason = f"The threshold is that of one sample, but {samples} are tested at once."
            raise Mistake(
                f"False alarms: with {truth} there is nothing to find, and a sample is reported "
                f"with probability {single:.4f}, some of {samples} with probability "
                f"{family(plan):.4f}; at most {_FAMILY} is asked for. {reason}"
            )


def power(given: Any, function: Statistic, truths: Iterable[Truth] = (EFFECT,)) -> None:
    """Check that a plan finds the effect that it is made for, with probability 90 %.

    Args:
        given: The plan, as in `read`.
        function: The statistic.
        truths: Accuracies under which memorization falls.

    Raises:
        Mistake: The effect is found less often, and what would cure it.
    """
    plan = read(given)
    for truth in truths:

        def found(plan: Plan, truth: Truth = truth) -> float:
            return alarm_rate(plan, function, truth)

        if found(plan) < _POWER:
            reason = _cured(plan, _POWER_CURES, lambda p: found(p) >= _POWER)
            raise Mistake(
                f"Power: with {truth} a reduction is reported with probability {found(plan):.4f}; "
                f"at least {_POWER} is asked for. Each recipe has {plan.out} networks without the "
                f"sample. {reason}"
            )
