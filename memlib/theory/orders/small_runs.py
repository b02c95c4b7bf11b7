"""Every run of a small family of trainings: in how many do two quantities order samples alike?

Two samples, a linear classifier with Gibbs loss, gradient descent. A count says how a sentence
without a quantifier fares in a world that can be listed; it says nothing about networks.
"""

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cache
from itertools import product

from memlib.theory.linear_classifier import Training
from memlib.theory.worlds import total

#: The second sample: its input along that of the first, and across, and its label. The first has
#: the input 1 and the label 1. A third weight of 1, of which no score depends, makes input
#: gradients visible.
ALONG, ACROSS = (
    tuple(Fraction(k, 2) for k in (-1, 0, 1, 2)),
    tuple(Fraction(k, 2) for k in (1, 2, 4)),
)
LABELS, START = (1, -1), (0, 0, 1)
RATES, STEPS = (Fraction(1, 2), Fraction(1)), (2, 4)
#: Half of every squared gradient at the start.
TAU = Fraction(1, 2)

FAMILY = tuple(
    Training((((1, 0, 0), 1), ((along, across, 0), label)), START, rate, steps)
    for along, across, label, rate, steps in product(ALONG, ACROSS, LABELS, RATES, STEPS)
)

#: What is compared, of sample i of a run. The draft's CSL has one term more than the published.
QUANTITIES: Mapping[str, Callable[[Training, int], Fraction]] = {
    "time": lambda run, i: Fraction(run.time(i, TAU)),
    "csl": lambda run, i: total(run.curve(i)),
    "published csl": lambda run, i: total(run.curve(i)[: run.steps]),
    "csg": lambda run, i: total(run.squares(i)),
    "mem": lambda run, i: run.memorization(i),
}


@cache
def agreement(first: str, second: str) -> tuple[int, int, int]:
    """Compare the order of the two samples by two of the `QUANTITIES`.

    Returns:
        In how many runs of the `FAMILY` both order the samples alike, in how many oppositely, and
        in how many one of them does not tell them apart.
    """
    signs = [
        (QUANTITIES[first](run, 0) - QUANTITIES[first](run, 1))
        * (QUANTITIES[second](run, 0) - QUANTITIES[second](run, 1))
        for run in FAMILY
    ]
    alike, opposite = sum(sign > 0 for sign in signs), sum(sign < 0 for sign in signs)
    return alike, opposite, len(signs) - alike - opposite


def told(*pairs: tuple[str, str]) -> str:
    """One or more comparisons in a sentence; more than one are numbered."""
    found = [
        f"alike in {alike}, opposite in {opposite}, tied in {tied}"
        for alike, opposite, tied in (agreement(*pair) for pair in pairs)
    ]
    if len(found) > 1:
        found = [f"({number}) {text}" for number, text in enumerate(found, start=1)]
    return (
        f"All {len(FAMILY)} runs of a small family (two samples, twelve inputs and both labels for "
        f"the second, two step sizes, two and four steps): {'; '.join(found)}."
    )
