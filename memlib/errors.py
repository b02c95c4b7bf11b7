"""Exceptions that name the argument, the value it had and the way to fix it."""

import os
import reprlib

_SHOWN, _NAME = 80, 60  # characters of a value, and of the end of a path, that are shown


def shorten(value: object) -> str:
    """Return `value` as one line of at most 80 characters, as the messages show it.

    Args:
        value: Anything; a long container, string or tensor is abbreviated.

    Returns:
        Its `repr` with runs of white space collapsed and the end cut off behind "...". A path
        is shown as text, and folders in the middle are left out, so that its file's name stays.
    """
    if isinstance(value, os.PathLike):
        text, end = repr(os.fspath(value)), len(os.path.basename(value)) + 2
        end = min(end, _NAME)
        whole = len(text) <= _SHOWN
        return text if whole else f"{text[: _SHOWN - 3 - end]}...{text[-end:]}"
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = 10 * _SHOWN
    text = " ".join(short.repr(value).split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


class InvalidInput(ValueError):
    """An argument that cannot be used. Its message reads "argument: value problem. fix".

    Args:
        argument: Name of the argument, as the caller wrote it.
        value: What it was; kept whole in the attribute, shortened in the message.
        fix: One sentence that says what to pass or do instead.

    Example:
        >>> from memlib.errors import FractionOutOfRange
        >>> print(FractionOutOfRange("fraction", 1.5, "Pass a number between 0 and 1."))
        fraction: 1.5 is outside the open interval (0, 1). Pass a number between 0 and 1.
    """

    problem = "cannot be used"

    def __init__(self, argument: str, value: object, fix: str) -> None:
        # The three arguments go to the base class so that pickling (worker processes) works.
        super().__init__(argument, value, fix)
        self.argument = argument
        self.value = value
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.argument}: {shorten(self.value)} {self.problem}. {self.fix}"


class UnknownName(InvalidInput):
    """A name (data set, split, score, option) that memlib does not have."""

    problem = "is not a known name"


class LabelOutOfRange(InvalidInput):
    """A label below 0 or at least the number of classes."""

    problem = "is not the number of a class"


class NonFiniteImages(InvalidInput):
    """An image that holds NaN or infinity."""

    problem = "is not finite"


class NonFiniteNumber(InvalidInput):
    """A setting or parameter that is NaN or infinite."""

    problem = "is not finite"


class DuplicateIds(InvalidInput):
    """An id (or position, or column) that occurs more than once."""

    problem = "occurs more than once"


class UnknownIds(InvalidInput):
    """An id or position that the data set or tracker does not contain."""

    problem = "does not exist there"


class UnseenIds(InvalidInput):
    """Ids that were never given to the tracker, so that they have no score."""

    problem = "was never seen"


class EmptySelection(InvalidInput):
    """A selection of no samples at all."""

    problem = "selects nothing"


class FractionOutOfRange(InvalidInput):
    """A fraction outside the open interval (0, 1)."""

    problem = "is outside the open interval (0, 1)"


class NotPositive(InvalidInput):
    """A count, size or rate that is zero or negative, or too small to be of use."""

    problem = "is too small"


class WrongShape(InvalidInput):
    """A tensor, array or table whose shape does not fit the others."""

    problem = "has the wrong shape"


class WrongType(InvalidInput):
    """A value of a type that is not taken here."""

    problem = "has the wrong type"


class MissingData(InvalidInput):
    """A folder in which the data set was looked for and not found."""

    problem = "does not hold the data"


class TooLarge(InvalidInput):
    """A data set that does not fit in memory, or a count above what there is."""

    problem = "is too large"


class SingularKernel(InvalidInput):
    """A kernel or Hessian that is not positive definite where its inverse is needed."""

    problem = "is not positive definite"


class TrainMode(InvalidInput):
    """A layer in train mode, whose output for one sample depends on its batch or on chance."""

    problem = "is in train mode"


class NotDifferentiable(InvalidInput):
    """A network, or a weight in it, through which no gradient comes."""

    problem = "has no gradient"


class TrainingDiverged(RuntimeError):
    """The training loss became NaN or infinite; the message names epoch, step and rate."""


class CorruptResult(RuntimeError):
    """A stored file that is truncated, edited, or not one of memlib's."""


class ForeignResult(RuntimeError):
    """A stored file that is whole but was computed with other settings than those asked for."""
