"""Checks of learning time by Eq. 4 of `orders`, its bound by CSG, and their units."""

import math
from collections.abc import Callable, Iterable
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np

from memlib import trajectories
from memlib.check.comparison import Case, Function, Mistake, compare, describe
from memlib.theory.trajectories import learning_time as exact_time

TAU = Fraction(1)


def gradients(epochs: Iterable[int] = (1, 2, 3)) -> list[Case]:
    """Return all short runs with squared gradients 0, 1, 2 and 4, at two thresholds.

    Args:
        epochs: Numbers of epochs N.

    Returns:
        `{"squares": (N, n) float, "tau": float}`, smallest first; one sample each, and one run of
        four epochs and three samples.
    """
    single = [
        {"squares": np.array(values, dtype=float)[:, None], "tau": tau}
        for count in epochs
        for values in product((0, 1, 2, 4), repeat=count)
        for tau in (1.0, 1.5)
    ]
    several = np.array([[9.0, 0.5, 3.0], [0.0, 2.0, 3.0], [0.0, 0.0, 3.0], [3.0, 0.0, 3.0]])
    return [*single, {"squares": several, "tau": 2.0}]


def _time(squares: np.ndarray, tau: float, never: int | None = None, shift: int = 0) -> Any:
    time = trajectories.learning_time(squares, tau)
    last = len(squares) + 1
    return np.where(time == last, last if never is None else never, time + shift)


def _first(below: np.ndarray) -> np.ndarray:
    """1-based row of the first True, one more than the rows if there is none."""
    return np.where(below.any(0), below.argmax(0) + 1, len(below) + 1)


def _means(squares: np.ndarray) -> np.ndarray:
    return squares.cumsum(0) / np.arange(1, len(squares) + 1)[:, None]


_TIMES: dict[str, Function] = {
    "The gradient of one epoch is compared with tau: Eq. 4 compares the mean of the first T.": (
        lambda squares, tau: _first(squares <= tau)
    ),
    "Never is 1 here: argmax of all-False is 0, and a sample that is never learned gets N + 1.": (
        lambda squares, tau: _time(squares, tau, never=1)
    ),
    "A sample that is never learned gets N: T = N can be reached, and never is N + 1.": (
        lambda squares, tau: _time(squares, tau, never=len(squares))
    ),
    "T is counted from 0: it is a number of epochs, at least 1.": (
        lambda squares, tau: _time(squares, tau, shift=-1)
    ),
    "T is counted from 0: it is a number of epochs, at least 1, and never is N + 1.": (
        lambda squares, tau: _time(squares, tau) - 1
    ),
    "The sum is compared with tau: divide the sum of the first T by T.": (
        lambda squares, tau: _first(squares.cumsum(0) <= tau)
    ),
    "The sum of the first T is divided by N: divide it by T.": (
        lambda squares, tau: _first(squares.cumsum(0) / len(squares) <= tau)
    ),
    "The mean has to be at most tau; strictly below is too strict.": (
        lambda squares, tau: _first(_means(squares) < tau)
    ),
    "This is the first T from which on the mean stays at or below tau: the first T is asked for.": (
        lambda squares, tau: _first(np.logical_and.accumulate((_means(squares) <= tau)[::-1])[::-1])
    ),
    "The entries are squared once more: they are squared norms already.": (
        lambda squares, tau: _time(squares**2, tau)
    ),
    "Roots are taken: Eq. 4 averages squared norms.": (
        lambda squares, tau: _time(np.sqrt(squares), tau)
    ),
}


def gradient_times(function: Function, cases: Iterable[Case] | None = None) -> None:
    """Check learning times by Eq. 4: the first T at which a mean of squared gradients is small.

    Args:
        function: `function(squares, tau)`, `(N, n)` squared norms and a threshold, returns `(n,)`:
            the least T >= 1 at which the mean of the first T rows is at most tau, else N + 1.
        cases: Other runs to try; by default `gradients()`.

    Raises:
        Mistake: A time is wrong.
    """
    compare(function, _time, gradients() if cases is None else cases, _TIMES)


def _bound(squares: np.ndarray, tau: float) -> np.ndarray:
    return 1 + squares.sum(0) / tau


def _until_learned(squares: np.ndarray, tau: float) -> np.ndarray:
    """What R4 has: CSG of the first T - 1 epochs."""
    before = np.arange(len(squares))[:, None] < trajectories.learning_time(squares, tau) - 1
    return 1 + (squares * before).sum(0) / tau


_BOUNDS: dict[str, Function] = {
    "The 1 is missing: a sample with no gradient at all has T = 1.": (
        lambda squares, tau: squares.sum(0) / tau
    ),
    "The mean stands for the sum: CSG adds up.": lambda squares, tau: 1 + squares.mean(0) / tau,
    "CSG is multiplied by tau: a smaller threshold makes learning later.": (
        lambda squares, tau: 1 + squares.sum(0) * tau
    ),
    "Only the gradients until T are added up (R4): the bound asked for uses the whole run.": (
        _until_learned
    ),
    "Roots are taken: CSG adds up squared norms.": (
        lambda squares, tau: 1 + np.sqrt(squares).sum(0) / tau
    ),
}


def learning_bound(function: Function, cases: Iterable[Case] | None = None) -> None:
    """Check the bound of R1 on learning time, 1 + CSG / tau.

    Args:
        function: `function(squares, tau)` as in `gradient_times`, returns `(n,)` bounds.
        cases: Other runs to try.

    Raises:
        Mistake: A bound is wrong.
    """
    compare(function, _bound, gradients() if cases is None else cases, _BOUNDS)


def tight_run(function: Function, cases: Iterable[Case] | None = None) -> None:
    """Check runs in which learning time comes as near to its bound as is asked for, at tau = 1.

    Args:
        function: `function(time, gap)`, a whole number of at least 2 and a positive fraction,
            returns a list of at least `time` squared gradients (non-negative whole numbers or
            fractions) whose learning time is `time` and for which 1 + CSG exceeds it by at most
            `gap`.
        cases: Other numbers to try.

    Raises:
        Mistake: A run is no run, has another learning time, or leaves too much room.
    """
    if not callable(function):
        raise Mistake(f"The answer is {describe(function)}, not a function: run its cell first.")
    if cases is None:
        gaps = (Fraction(1), Fraction(1, 4), Fraction(1, 100))
        cases = [{"time": time, "gap": gap} for time in (2, 3, 7) for gap in gaps]
    for case in cases:
        given = function(**case)
        shown = ", ".join(f"{key} = {describe(value)}" for key, value in case.items())
        run = _squares(given, f"For {shown} the run")
        time = exact_time(run, TAU)
        if len(run) < case["time"]:
            raise Mistake(f"For {shown} the run has {len(run)} epochs: too few for that time.")
        if time != case["time"]:
            word = "never" if time is None else time
            raise Mistake(f"For {shown} the run {describe(given)} has the learning time {word}.")
        room = 1 + sum(run) - case["time"]
        if room > case["gap"]:
            raise Mistake(
                f"For {shown} the run {describe(given)} has 1 + CSG - T = {room}: too much room. "
                "Where do gradients count without making learning later?"
            )


def _squares(given: Any, what: str) -> list[Fraction]:
    exact = isinstance(given, list | tuple) and 1 <= len(given) <= 1000
    if not exact or not all(type(v) in (int, Fraction) and v >= 0 for v in given):
        raise Mistake(f"{what} is {describe(given)}: give a list of whole numbers or fractions.")
    return [Fraction(value) for value in given]


def reversal(pair: Any) -> None:
    """Check a counterexample to "of two learned samples, the one with less CSG is learned first".

    Args:
        pair: `(a, b)`, two lists of equally many squared gradients, whole numbers or fractions.
            At tau = 1 both are learned, a has less CSG and the larger learning time.

    Raises:
        Mistake: It is no counterexample; the message says why.
    """
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise Mistake(f"The counterexample is {describe(pair)}: give two lists, (a, b).")
    a, b = (_squares(run, f"Run {name}") for run, name in zip(pair, "ab", strict=True))
    if len(a) != len(b):
        raise Mistake(f"The runs have {len(a)} and {len(b)} epochs: give equally many.")
    times = [exact_time(run, TAU) for run in (a, b)]
    if None in times:
        raise Mistake(f"The learning times are {describe(times)}: both have to be learned.")
    if sum(a) >= sum(b):
        raise Mistake(f"CSG is {sum(a)} and {sum(b)}: a has to have less.")
    if times[0] <= times[1]:  # type: ignore[operator]
        raise Mistake(f"The learning times are {times[0]} and {times[1]}: a's has to be larger.")


# Several runs ----------------------------------------------------------------------------------


def _exact_runs(r: float, target: float) -> float:
    return target**2 * (1 - r) / (r * (1 - target**2))


def _runs(r: float, target: float) -> int:
    return max(1, math.ceil(_exact_runs(r, target)))


_RUNS: dict[str, Function] = {
    "This is the correlation of two means with each other: with the expected score it is the "
    "root.": lambda r, target: max(1, math.ceil(target * (1 - r) / (r * (1 - target)))),
    "It is rounded down: then the target is missed.": (
        lambda r, target: max(1, math.floor(_exact_runs(r, target)))
    ),
    "It is not rounded: a number of runs is whole.": lambda r, target: _exact_runs(r, target),
    "This is one run too many.": lambda r, target: _runs(r, target) + 1,
    "This is how often the noise of one run fits into the target: the runs' own signal counts, "
    "too.": lambda r, target: max(1, math.ceil((1 - r) / (1 - target))),
}


def runs_needed(function: Function, cases: Iterable[Case] | None = None) -> None:
    """Check how many runs have to be averaged for a wanted correlation with the expected score.

    Args:
        function: `function(r, target)`: the correlation of the scores of two single runs, in
            (0, 1), and the wanted correlation of the mean of m runs with the expected score, in
            (0, 1). Returns the least m >= 1.
        cases: Other values to try; by default a grid, without those where m is on the edge of
            rounding.

    Raises:
        Mistake: A number is wrong.
    """
    if cases is None:
        grid = product((0.5, 0.3, 0.8, 0.95), (0.5, 0.8, 0.9, 0.99))
        cases = [{"r": r, "target": target} for r, target in grid]
        cases = [case for case in cases if abs(_exact_runs(**case) % 1 - 0.5) < 0.49]
        cases.sort(key=lambda case: _exact_runs(**case))
    compare(function, _runs, cases, _RUNS)


# Units -----------------------------------------------------------------------------------------

_NAMES = ("csl", "csg", "tau", "time")


def _scaled(csl: Any, csg: Any, tau: Any, time: Any, factor: Any) -> tuple[Any, ...]:
    return csl, csg / factor**2, tau / factor**2, time


def _powers(*powers: int) -> Callable[..., tuple[Any, ...]]:
    """The mistake that gives each of the four scores another power of the factor."""

    def wrong(csl: Any, csg: Any, tau: Any, time: Any, factor: Any) -> tuple[Any, ...]:
        values = (csl, csg, tau, time)
        return tuple(v * factor**power for v, power in zip(values, powers, strict=True))

    return wrong


_UNITS: dict[str, Function] = {
    "CSG goes the wrong way: larger pixels make a gradient in the pixels smaller.": (
        _powers(0, 2, 2, 0)
    ),
    "CSG adds up squares: a gradient that is c times smaller counts c^2 times less.": (
        _powers(0, -1, -1, 0)
    ),
    "tau is a squared gradient, too: with the old one learning times would change.": (
        _powers(0, -2, 0, 0)
    ),
    "tau is a squared gradient: c^2, not c.": _powers(0, -2, -1, 0),
    "The network computes the same outputs, so its losses stay.": _powers(-1, -2, -2, 0),
    "Learning time has no unit of pixels in it: it stays.": _powers(0, -2, -2, -2),
}


def rescaled(function: Function, cases: Iterable[Case] | None = None) -> None:
    """Check what becomes of four numbers when the unit of the pixels changes.

    Args:
        function: `function(csl, csg, tau, time, factor)` returns the four after every pixel is
            multiplied by `factor` and the first layer's weights are divided by it, tau being
            changed such that learning times stay.
        cases: Other numbers to try.

    Raises:
        Mistake: One of the four is wrong.
    """
    if cases is None:
        numbers = ((2.0, 3.0, 0.5, 7), (4.5, 8.0, 2.0, 5))
        cases = [
            dict(zip((*_NAMES, "factor"), (*row, factor), strict=True))
            for row in numbers
            for factor in (2.0, 255.0, 0.25)
        ]
    compare(function, _scaled, cases, _UNITS)
