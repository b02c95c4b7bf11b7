"""The tests that a notebook carries: run them on its variables, and say in one line what is wrong.

An assignment's notebook holds its public tests in one collapsed cell, which makes a `Grader`; it
needs no test folder and no notebook file beside the kernel, so that it works on Colab. The
autograder runs its own tests through the same `run_test`.
"""

import sys
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from memlib.errors import UnknownName

_LONGEST = 2000  # characters of a message that are shown
_TEST = "<test>"


@dataclass(frozen=True)
class Part:
    """One test of a question.

    Args:
        name: What reports call it, for example `"q1 - 2"`.
        code: Python statements that raise where the answer is wrong.
        points: What passing it is worth.
        title: What it looks at, in a few words; may be empty.
    """

    name: str
    code: str
    points: float
    title: str = ""


@dataclass(frozen=True)
class Checked:
    """What the tests of one question said; shown as text, one line a part.

    Args:
        question: Its name.
        messages: For each part its name, its title, and the message or None if it passed.
    """

    question: str
    messages: tuple[tuple[str, str, str | None], ...]

    @property
    def passed(self) -> bool:
        """Whether every part passed."""
        return all(message is None for _, _, message in self.messages)

    def __repr__(self) -> str:
        count = sum(message is None for _, _, message in self.messages)
        lines = [f"{self.question}: {count} of {len(self.messages)} public tests passed"]
        for name, title, message in self.messages:
            lines.append(f"  {'passed' if message is None else 'FAILED'}  {name}  {title}".rstrip())
            lines += [f"          {line}" for line in (message or "").splitlines()]
        return "\n".join(lines)


@dataclass(frozen=True)
class Grader:
    """The public tests of an assignment, by question.

    Args:
        questions: The parts of each question.

    Example:
        >>> from memlib.selfcheck import Grader, Part
        >>> grader = Grader({"q1": (Part("q1 - 1", "assert square(3) == 9, 'square it'", 1),)})
        >>> square = abs
        >>> grader.check("q1")
        q1: 0 of 1 public tests passed
          FAILED  q1 - 1
                  square it
    """

    questions: dict[str, tuple[Part, ...]]

    def check(self, question: str, variables: dict[str, Any] | None = None) -> Checked:
        """Run the public tests of one question.

        Args:
            question: Its name.
            variables: What the tests look at; None takes the variables of the caller's module,
                in a notebook all of them.

        Returns:
            What each part said.

        Raises:
            UnknownName: There is no such question.
        """
        if question not in self.questions:
            raise UnknownName("question", question, f"There are {', '.join(self.questions)}.")
        # a copy: what a test defines does not stay
        space = dict(sys._getframe(1).f_globals if variables is None else variables)
        parts = self.questions[question]
        messages = ((part.name, part.title, run_test(part.code, space)) for part in parts)
        return Checked(question, tuple(messages))

    def check_all(self) -> list[Checked]:
        """Run the public tests of every question, on the variables of the caller's module."""
        space = sys._getframe(1).f_globals
        return [self.check(question, space) for question in self.questions]


def run_test(code: str, variables: dict[str, Any]) -> str | None:
    """Run one test.

    Args:
        code: Python statements that raise where the answer is wrong.
        variables: The namespace they run in; they may add to it.

    Returns:
        None if nothing was raised, else what was: the message alone of an assertion (so also of
        `memlib.check.Mistake`), the type and the place in the answer of anything else.
    """
    try:
        exec(compile(code, _TEST, "exec"), variables)
    except (Exception, SystemExit) as error:
        return describe(error, code)
    return None


def describe(error: BaseException, code: str = "") -> str:
    """Return an exception as the short text that a student sees, without a traceback.

    Args:
        error: What was raised.
        code: The test that was running, quoted where it gives no message of its own.

    Returns:
        At most 2,000 characters.
    """
    try:
        said = str.__str__(str(error)).strip()  # plain, even if it was of a subclass
    except Exception:  # a `__str__` of the answer's own
        said = "(its message cannot be shown)"
    if isinstance(error, AssertionError):
        text = said or f"This does not hold: {_line(error.__traceback__, code)}"
    elif isinstance(error, NameError):
        text = f"{said}. The cell that defines it is missing, was not run, or failed."
    else:
        text = f"{type_name(error)}: {said}{_place(error.__traceback__)}"
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def type_name(error: BaseException) -> str:
    """Return the name of an exception's class, whatever the class itself says about it."""
    return str(type.__dict__["__name__"].__get__(type(error)))


def _line(traceback: TracebackType | None, code: str) -> str:
    """Return the line of the test that raised."""
    number = 0
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == _TEST:
            number = traceback.tb_lineno
        traceback = traceback.tb_next
    lines = code.splitlines()
    return lines[number - 1].strip() if 0 < number <= len(lines) else "an assertion in the answer"


def _place(traceback: TracebackType | None) -> str:
    """Return where in the answer's own code it was raised, if it was."""
    place = ""
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if "ipykernel" in code.co_filename or "ipython-input" in code.co_filename:
            inside = "" if code.co_name.startswith("<") else f" of the cell with {code.co_name}"
            place = f" (line {traceback.tb_lineno}{inside or ' of the cell'})"
        traceback = traceback.tb_next
    return place
