"""Compare a function with a reference, and name the mistake where they differ.

Cases are tried smallest first, so that the counterexample in the message is the smallest there is.
A likely mistake is named only if making it reproduces what was returned in *every* case.
"""

import copy
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from numbers import Rational
from typing import Any

import numpy as np
from torch import Tensor, nn

from memlib.errors import shorten

Function = Callable[..., Any]
Case = Mapping[str, Any]  # the arguments of one call, by name

_PARTS = ("numerator", "denominator")
_SHOWN = 16  # arrays up to this size are shown whole
_NEUTRAL = "No single known mistake returns this in all cases: work out this one by hand."
#: What every function can get wrong.
_ANYWHERE: dict[str, Function] = {
    "Nothing is returned: the function ends without a return.": lambda **_: None
}


class Mistake(AssertionError):
    """An answer that is wrong. The message has the smallest failing case and the likely reason."""


@dataclass(frozen=True)
class Raised:
    """The outcome of a call that raised an exception, by the exception's name and text."""

    name: str
    text: str


def compare(
    function: Function,
    reference: Function,
    cases: Iterable[Case],
    mistakes: Mapping[str, Function] | None = None,
    *,
    name: str = "",
    returns: str = "returned",
    tolerance: float = 1e-9,
    reveal: bool = True,
) -> None:
    """Call a function on every case, and raise a `Mistake` if it differs from the reference.

    Every call gets copies of the arguments. NaN equals NaN; where the reference gives fractions,
    only whole numbers and fractions are taken.

    Args:
        function: The function to check.
        reference: Gives the right answers.
        cases: Arguments by name, the smallest case first.
        mistakes: What to say, and a function that makes this mistake. The first that returns what
            `function` returns, in all cases, is named.
        name: What the message calls the function; its own name if empty.
        returns: What the message calls the value that is compared.
        tolerance: Relative and absolute tolerance for floating-point numbers.
        reveal: Whether the message shows the expected value.

    Raises:
        Mistake: The two differ in at least one case, or `function` cannot be called.

    Example:
        >>> from memlib.check.comparison import compare
        >>> cases = [{"x": x} for x in range(9)]
        >>> twice = {"It squares x.": lambda x: x * x}
        >>> compare(lambda x: x**2, lambda x: 2 * x, cases, twice, name="double")
        Traceback (most recent call last):
        ...
        memlib.check.comparison.Mistake: double is wrong in 7 of 9 cases. The smallest:
            x         1
            expected  2
            returned  1
        It squares x.
    """
    name = name or getattr(function, "__name__", "the answer")
    if not callable(function):
        raise Mistake(f"{name} is {shorten(function)}, not a function: run its cell first.")
    cases = list(cases)
    expected = [reference(**copy.deepcopy(dict(case))) for case in cases]
    actual = [outcome(function, case) for case in cases]

    def same(values: Iterable[Any]) -> Iterable[bool]:
        return (agree(a, v, tolerance) for a, v in zip(actual, values, strict=True))

    wrong = [place for place, right in enumerate(same(expected)) if not right]
    if not wrong:
        return
    first = wrong[0]
    likely = _form(expected[first], actual[first]) or _NEUTRAL
    for text, variant in (_ANYWHERE | dict(mistakes or {})).items():
        if all(same(outcome(variant, case) for case in cases)):
            likely = text
            break
    shown = dict(cases[first]) | ({"expected": expected[first]} if reveal else {})
    shown |= {returns: actual[first]}
    width = max(map(len, shown))
    lines = [f"    {key:{width}}  {describe(value)}" for key, value in shown.items()]
    place = _first_wrong(expected[first], actual[first], tolerance)
    if place is not None:
        values = (describe(np.asarray(value)[place]) for value in (expected[first], actual[first]))
        where = f"at {[*map(int, place)]}"
        lines.append(f"    {where:{width}}  expected {next(values)}, {returns} {next(values)}")
    count = f" in {len(wrong)} of {len(cases)} cases. The smallest" if len(cases) > 1 else ""
    raise Mistake("\n".join([f"{name} is wrong{count}:", *lines, likely]))


def _form(expected: Any, actual: Any) -> str:
    """Return how an array's form is wrong, whatever its numbers are; empty if it is right."""
    if not isinstance(expected, np.ndarray | Tensor) or isinstance(actual, Raised):
        return ""
    try:
        given = np.asarray(actual)
    except (TypeError, ValueError, RuntimeError) as error:  # ragged, or wants gradients
        return f"It cannot be read as an array: {shorten(str(error))}"
    if given.shape != tuple(expected.shape):
        return f"The shape is {given.shape}: {tuple(expected.shape)} is asked for."
    if given.dtype.kind == "O":
        return "It holds objects: convert them to numbers, for example by astype(float)."
    return ""


def _first_wrong(expected: Any, actual: Any, tolerance: float) -> tuple[int, ...] | None:
    """Return the index of the first wrong entry of an array that is too large to be shown."""
    if not isinstance(expected, np.ndarray | Tensor) or np.size(expected) <= _SHOWN:
        return None
    if isinstance(actual, Raised) or _form(expected, actual):
        return None
    wanted, given = np.asarray(expected), np.asarray(actual)
    return next(
        (at for at in np.ndindex(wanted.shape) if not agree(given[at], wanted[at], tolerance)), None
    )


def outcome(function: Function, case: Case) -> Any:
    """Return what a function returns for a case, or what it raised; its warnings are dropped.

    Args:
        function: The function.
        case: Its arguments by name, which are copied.

    Returns:
        The value, or a `Raised`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return function(**copy.deepcopy(dict(case)))
        except Exception as error:  # shown in the message, and compared
            return Raised(type(error).__name__, str(error))


def agree(one: Any, other: Any, tolerance: float = 1e-9) -> bool:
    """Tell whether two values are the same answer.

    Args:
        one: A number, string, array or tensor, or a tuple, list or dictionary of these.
        other: The same.
        tolerance: Relative and absolute tolerance for floating-point numbers.

    Returns:
        True if shapes, keys and values agree.
    """
    if isinstance(one, Raised) or isinstance(other, Raised):
        return type(one) is type(other) and bool(one.name == other.name)
    if isinstance(one, dict) or isinstance(other, dict):
        return (
            type(one) is type(other)
            and one.keys() == other.keys()
            and all(agree(one[key], other[key], tolerance) for key in one)
        )
    if any(isinstance(one, kind) and isinstance(other, kind) for kind in (tuple, list)):
        return len(one) == len(other) and all(
            agree(a, b, tolerance) for a, b in zip(one, other, strict=True)
        )
    if isinstance(one, Fraction) or isinstance(other, Fraction):
        if not (isinstance(one, Rational) and isinstance(other, Rational)):
            return False
        # not ==, which a class of the answer's own may define as it likes
        return all(int(getattr(one, p)) == int(getattr(other, p)) for p in _PARTS)
    try:
        a, b = (np.asarray(value) for value in (one, other))
        if a.dtype.kind not in "biuf" or b.dtype.kind not in "biuf":
            return type(one) is type(other) and bool(one == other)
        return a.shape == b.shape and np.allclose(a, b, tolerance, tolerance, equal_nan=True)
    except (TypeError, ValueError, RuntimeError):  # ragged, or a tensor that wants gradients
        return False


def describe(value: Any) -> str:
    """Return a value as one line of a message.

    Args:
        value: Anything; arrays of more than 16 numbers are shown by their shape.

    Returns:
        The line.
    """
    if isinstance(value, Raised):
        return f"raised {value.name}: {shorten(value.text)}"
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, nn.Module):
        size = sum(parameter.numel() for parameter in value.parameters())
        return f"a network with {size} parameters"
    if isinstance(value, np.ndarray | Tensor):
        shape = tuple(value.shape)
        if np.prod(shape) > _SHOWN:
            return f"an array of shape {shape}"
        plain = np.asarray(value.detach() if isinstance(value, Tensor) else value)
        if plain.dtype == bool:
            plain = plain.astype(int)
        # in double precision a rounded number is shown without the digits of a single one
        return str((plain.astype(float).round(6) if plain.dtype.kind == "f" else plain).tolist())
    if isinstance(value, tuple):
        return f"({', '.join(map(describe, value))}{',' * (len(value) == 1)})"
    if isinstance(value, list):
        return f"[{', '.join(map(describe, value[:_SHOWN]))}{', ...' * (len(value) > _SHOWN)}]"
    if isinstance(value, np.generic):
        return describe(value.item())
    if isinstance(value, float):
        text = f"{value:.6g}"
        return f"{text}.0" if text.lstrip("-").isdigit() else text  # a float that is whole
    if callable(value):
        return str(getattr(value, "__name__", shorten(value)))
    return shorten(value)
