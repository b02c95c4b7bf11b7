"""Assignment 1: its solution is right, nothing else is, and every wrong answer is understood."""

import csv
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
import sympy

from scripts.assignments import (
    MASTERS,
    Assignment,
    WrongAnswer,
    build,
    secrets,
    squeeze,
    write_bank,
    wrong_answers,
)
from scripts.grade import grade
from scripts.grade_session import Limits
from tests.coursework.conftest import failures, overview, told_mistake, variables

ROOT = Path(__file__).resolve().parents[2]
MASTER = MASTERS / "01-memorization" / "01-memorization.ipynb"
BANK = wrong_answers(MASTER)
GRADED = ("solution", "stub", "never-learned-is-zero")  # by the grader itself; the rest in one go
PAGES = [ROOT / "book" / "coursework" / name for name in ("assignments.md", "instructors.md")]
TYPICAL = {  # what students have always got wrong
    "membership-not-conditioned",
    "divided-by-all-runs",
    "scores-in-train-mode",
    "never-learned-is-zero",
    "batch-mean-loss",
    "epochs-off-by-one",
    "norm-not-squared",
    "argmax-of-all-false",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("assignment-1") / "01-memorization"


@pytest.fixture(scope="module")
def assignment(folder: Path) -> Assignment:
    """The assignment, built; with its bank."""
    built = build(MASTER, folder)
    write_bank(MASTER, folder)
    return built


@pytest.fixture(scope="module")
def solution(assignment: Assignment, folder: Path) -> dict[str, Any]:
    """The variables of a session in which every cell of the solution was run."""
    return variables(folder / "solution.ipynb")


@pytest.fixture(scope="module")
def graded(
    assignment: Assignment, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, str]]:
    """The rows of the table, and the reports, of some submissions."""
    submissions, out = tmp_path_factory.mktemp("submissions"), tmp_path_factory.mktemp("out")
    for name in GRADED:
        shutil.copy(folder / "bank" / f"{name}.ipynb", submissions)
    grade(assignment, submissions, out, limits=Limits(seconds=300))
    with open(out / "grades.csv", newline="", encoding="utf-8") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    for name, row in rows.items():
        row["report"] = (out / "reports" / f"{name}.md").read_text("utf-8")
    return rows


# The assignment --------------------------------------------------------------------------------


def test_there_are_eight_exercises_of_100_points_together(assignment: Assignment) -> None:
    assert [q.name for q in assignment.questions] == [f"q{n}" for n in range(1, 9)]
    assert sum(case.points for q in assignment.questions for case in q.cases) == 100


def test_every_exercise_has_public_parts_and_a_hidden_one_that_count_by_themselves(
    assignment: Assignment,
) -> None:
    for question in assignment.questions:
        hidden = [case for case in question.cases if case.hidden]
        assert hidden
        assert len(question.cases) - len(hidden) >= 2
        assert not question.all_or_nothing
        assert all(case.title and case.points > 0 for case in question.cases)


def test_points_and_minutes_of_the_headings_are_those_of_the_overview_and_the_tests(
    assignment: Assignment,
) -> None:
    rows = overview(MASTER, assignment)
    assert 180 <= sum(int(row[1]) for row in rows) <= 300  # three to five hours


def test_the_student_gets_neither_solutions_nor_hidden_tests(
    assignment: Assignment, folder: Path
) -> None:
    solved = nbformat.read(folder / "solution.ipynb", as_version=4)
    kept = secrets(solved, assignment)
    assert len(kept) > 20
    handed_out = [folder / "student" / MASTER.name, *PAGES]
    for path in handed_out:
        text = squeeze(path.read_text("utf-8"))
        assert [secret for secret in kept if secret in text] == [], path.name


def test_the_bound_of_exercise_3_is_true_and_attained() -> None:
    q, r = sympy.symbols("q r", positive=True)
    memorization = (1 - r**2) * q * (1 - q) / (q + r**2 * (1 - q))  # r is the root of a
    gap = (1 - r) / (1 + r) - memorization
    square = (1 - r) * ((1 + r) * q - r) ** 2 / (1 + r) / (q + r**2 * (1 - q))
    assert sympy.simplify(gap - square) == 0
    assert sympy.simplify(gap.subs(q, r / (1 + r))) == 0


# Answers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("question", [f"q{n}" for n in range(1, 9)])
def test_the_solution_passes_every_part(
    assignment: Assignment, solution: dict[str, Any], question: str
) -> None:
    assert failures(assignment, question, solution) == {}


def test_the_bank_holds_what_students_always_get_wrong() -> None:
    assert {answer.name for answer in BANK} >= TYPICAL
    assert {answer.question for answer in BANK} == {f"q{n}" for n in range(1, 9)}


@pytest.mark.parametrize("answer", BANK, ids=lambda answer: answer.name)
def test_a_wrong_answer_is_told_its_mistake_and_keeps_the_other_parts(
    assignment: Assignment, solution: dict[str, Any], answer: WrongAnswer
) -> None:
    failed, parts = told_mistake(assignment, solution, answer)
    # a mistake about time or mode spoils both scores of question 5, and only that question
    assert failed < parts or answer.name in {"scores-in-train-mode", "epochs-off-by-one"}


@pytest.mark.slow
def test_the_grader_gives_100_to_the_solution_and_0_to_the_stub(
    graded: dict[str, dict[str, str]],
) -> None:
    assert graded["solution"]["score"] == "100.0"
    assert graded["stub"]["score"] == "0.0"


@pytest.mark.slow
def test_the_report_names_the_mistake_and_gives_credit_for_the_rest(
    graded: dict[str, dict[str, str]],
) -> None:
    (answer,) = (answer for answer in BANK if answer.name == GRADED[2])
    row = graded[answer.name]
    assert answer.mistake in row["report"]
    assert 0 < float(row["points"]) < 100
    assert float(row[answer.question]) > 0
