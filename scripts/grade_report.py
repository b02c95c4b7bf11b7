"""What comes out of grading: the scores, one report for each student, one table for all."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from memlib.files import atomic_path
from scripts.assignments import Assignment, Case, Question
from scripts.grade_session import Outcome, Run
from scripts.submissions import Submission, readable

_NOT_REACHED = Outcome(False, "was not reached")


@dataclass(frozen=True)
class Graded:
    """One graded submission; plain values, so that it can be stored as JSON.

    Args:
        student: As in `Submission`.
        report: File name of the report.
        points: Earned points by question.
        status: `graded`, `timed out`, `crashed`, or `not a notebook`.
        reason: What went wrong, in one line; empty if nothing did.
        seconds: Time that its cells and tests took.
        text: The report.
    """

    student: str
    report: str
    points: dict[str, float]
    status: str
    reason: str
    seconds: float
    text: str


def most(question: Question) -> float:
    """Return the points that a question is worth."""
    return sum(case.points for case in question.cases)


def score(assignment: Assignment, points: dict[str, float]) -> float:
    """Return the score from 0 to 100."""
    return 100 * sum(points.values()) / sum(most(question) for question in assignment.questions)


def refused(submission: Submission, assignment: Assignment, why: str) -> Graded:
    """Return the zero of a file that could not be run."""
    points = {question.name: 0.0 for question in assignment.questions}
    reason = "; ".join(filter(None, [submission.note, f"{readable(submission.path.name)} {why}"]))
    text = _head(submission, assignment, points, "not a notebook", reason, "")
    return Graded(
        submission.student, submission.report, points, "not a notebook", reason, 0.0, text
    )


def graded(submission: Submission, assignment: Assignment, run: Run, limit: float) -> Graded:
    """Return the points and the report of a submission that was run.

    Args:
        submission: Whose it is.
        assignment: Its questions.
        run: What became of its cells and tests.
        limit: The time limit in seconds.
    """
    points = {question.name: earned(question, run) for question in assignment.questions}
    status = _status(run)
    reason = "; ".join(filter(None, [submission.note, *_reasons(assignment, run)]))
    used = f"Its cells and tests took {run.seconds:.1f} s of at most {limit:g} s."
    blocks = [_head(submission, assignment, points, status, reason, used)]
    blocks += [_of_question(question, points, run) for question in assignment.questions]
    failed = {n: o for n, o in run.outcomes.items() if n.startswith("cell ") and not o.passed}
    if failed:
        blocks.append("## Cells that failed\n\nCounted from 1, code cells only.\n")
        blocks += [f"- {name}\n\n{_quoted(o.message)}\n" for name, o in failed.items()]
    text = "\n".join(blocks)
    return Graded(submission.student, submission.report, points, status, reason, run.seconds, text)


def _status(run: Run) -> str:
    if any(outcome.stopped for outcome in run.outcomes.values()) or "used up" in run.cut_short:
        return "timed out"
    return "crashed" if any(outcome.fatal for outcome in run.outcomes.values()) else "graded"


def _reasons(assignment: Assignment, run: Run) -> list[str]:
    """Return what explains a low score, the gravest first."""
    found = [
        f"{name} {outcome.message}"
        for name, outcome in run.outcomes.items()
        if outcome.fatal or outcome.stopped
    ]
    if run.cut_short:
        found.append(run.cut_short)
    failed = [
        name
        for name, outcome in run.outcomes.items()
        if name.startswith("cell ") and not (outcome.passed or outcome.fatal or outcome.stopped)
    ]
    if failed:
        found.append(f"{len(failed)} cells failed" if len(failed) > 1 else f"{failed[0]} failed")
    public = [case.name for q in assignment.questions for case in q.cases if not case.hidden]
    said = "\n".join(run.outcomes.get(name, _NOT_REACHED).message or "" for name in public)
    missing = dict.fromkeys(re.findall(r"^name '(\w+)' is not defined", said, re.M))
    if missing:
        found.append(f"not defined: {', '.join(missing)}")
    return found


def earned(question: Question, run: Run) -> float:
    """Return the points of a question: those of its parts that passed, or all or none."""
    passed = [c.points for c in question.cases if run.outcomes.get(c.name, _NOT_REACHED).passed]
    if question.all_or_nothing and len(passed) < len(question.cases):
        return 0.0
    return float(sum(passed))


def _head(
    submission: Submission,
    assignment: Assignment,
    points: dict[str, float],
    status: str,
    reason: str,
    used: str,
) -> str:
    total = sum(most(question) for question in assignment.questions)
    lines = [
        f"# {assignment.name}: {submission.student}",
        "",
        f"**Score: {score(assignment, points):.1f} of 100** "
        f"({sum(points.values()):g} of {total:g} points). Status: {status}.",
    ]
    lines += ["", f"What went wrong: {reason}."] if reason else []
    lines += ["", used] if used else []
    return "\n".join(lines) + "\n"


def _of_question(question: Question, points: dict[str, float], run: Run) -> str:
    lines = [f"## {question.name}: {points[question.name]:g} of {most(question):g} points", ""]
    if question.all_or_nothing:
        lines += ["Every part has to pass.", ""]
    for case in question.cases:
        lines += _of_case(case, run.outcomes.get(case.name, _NOT_REACHED))
    return "\n".join(lines) + "\n"


def _of_case(case: Case, outcome: Outcome) -> list[str]:
    label = case.name + (" (hidden)" if case.hidden else "")
    label += f", {case.title}" if case.title else ""
    if outcome.passed:
        return [f"- {label}: passed, {case.points:g} of {case.points:g} points"]
    lines = [f"- {label}: **failed**, 0 of {case.points:g} points"]
    lines += [f"  {case.hint}"] if case.hint else []
    # of a hidden test only what the grader itself has to say: its message could quote the test
    if not case.hidden or outcome.fatal or outcome.stopped or outcome is _NOT_REACHED:
        lines += ["", _quoted(outcome.message), ""]
    return lines


def _quoted(message: str | None) -> str:
    """Return a message as an indented block in which nothing is Markdown."""
    text = message or ""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return "\n".join(f"  {line}" for line in [f"{fence}text", *text.splitlines(), fence])


def write_table(path: Path, assignment: Assignment, rows: list[Graded]) -> None:
    """Write the table of all scores.

    Args:
        path: The CSV file.
        assignment: Its questions are columns.
        rows: One for each submission.
    """
    names = [question.name for question in assignment.questions]
    total = sum(most(question) for question in assignment.questions)
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["student", "score", "points", "max_points", *names, "status", "reason"])
        for row in sorted(rows, key=lambda row: row.student.casefold()):
            numbers = [f"{row.points[name]:g}" for name in names]
            share = f"{score(assignment, row.points):.1f}"
            sums = [share, f"{sum(row.points.values()):g}", f"{total:g}"]
            writer.writerow([_inert(row.student), *sums, *numbers, row.status, _inert(row.reason)])


def _inert(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
