"""Assignment 2: its solution is right, nothing else is, and every wrong answer is understood."""

import re
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
from tests.coursework.conftest import failures, overview, told_mistake, variables

ROOT = Path(__file__).resolve().parents[2]
MASTER = MASTERS / "02-learning-time" / "02-learning-time.ipynb"
BANK = wrong_answers(MASTER)
QUESTIONS = [f"q{n}" for n in range(1, 9)]
PAGES = [ROOT / "book" / "coursework" / name for name in ("assignments.md", "instructors.md")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("assignment-2") / MASTER.stem


@pytest.fixture(scope="module")
def assignment(folder: Path) -> Assignment:
    """The assignment, built; that its solution passes is tested here, part by part."""
    return build(MASTER, folder, prove=False)


@pytest.fixture(scope="module")
def solution(assignment: Assignment, folder: Path) -> dict[str, Any]:
    return variables(folder / "solution.ipynb")


def test_there_are_eight_exercises_of_100_points_together(assignment: Assignment) -> None:
    assert [q.name for q in assignment.questions] == QUESTIONS
    assert sum(case.points for q in assignment.questions for case in q.cases) == 100


def test_every_exercise_has_public_and_hidden_parts_that_count_by_themselves(
    assignment: Assignment,
) -> None:
    for question in assignment.questions:
        assert {case.hidden for case in question.cases} == {True, False}
        assert not question.all_or_nothing
        assert all(case.title and case.points > 0 for case in question.cases)
    hidden = [case.points for q in assignment.questions for case in q.cases if case.hidden]
    assert 15 <= sum(hidden) <= 25  # about a fifth, as the students are told


def test_points_and_minutes_of_the_headings_are_those_of_the_overviews_and_the_tests(
    assignment: Assignment,
) -> None:
    rows = overview(MASTER, assignment)
    assert 180 <= sum(int(row[1]) for row in rows) <= 300  # three to five hours
    told = PAGES[0].read_text("utf-8").split("## Assignment 2")[1].split("\n## ")[0]
    assert re.findall(r"^\| (\d) \|.*\| (\d+) \| (\d+) \|$", told, re.M) == rows


def test_the_student_gets_neither_solutions_nor_hidden_tests(
    assignment: Assignment, folder: Path
) -> None:
    kept = secrets(nbformat.read(folder / "solution.ipynb", as_version=4), assignment)
    assert len(kept) > 15
    for path in [folder / "student" / MASTER.name, *PAGES]:
        text = squeeze(path.read_text("utf-8"))
        assert [secret for secret in kept if secret in text] == [], path.name


def test_every_wrong_answer_replaces_an_answer_cell(assignment: Assignment, folder: Path) -> None:
    names = {path.stem for path in write_bank(MASTER, folder)}
    assert names == {"solution", "stub", *(answer.name for answer in BANK)}
    assert len(names) == len(BANK) + 2


def test_the_formula_of_exercise_8_is_that_of_its_model() -> None:
    signal, noise, runs = sympy.symbols("signal noise runs", positive=True)
    r = signal / (signal + noise)
    correlation = sympy.sqrt(signal / (signal + noise / runs))
    target = sympy.sqrt(runs * r / (1 + (runs - 1) * r))
    assert sympy.simplify(correlation**2 - target**2) == 0
    needed = correlation**2 * (1 - r) / (r * (1 - correlation**2))
    assert sympy.simplify(needed - runs) == 0


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_solution_passes_every_part(
    assignment: Assignment, solution: dict[str, Any], question: str
) -> None:
    assert failures(assignment, question, solution) == {}


def test_the_bank_has_wrong_answers_to_every_question() -> None:
    assert {answer.question for answer in BANK} == set(QUESTIONS)
    assert len(BANK) >= 20


@pytest.mark.parametrize("answer", BANK, ids=lambda answer: answer.name)
def test_a_wrong_answer_is_told_its_mistake_and_keeps_the_other_parts(
    assignment: Assignment, solution: dict[str, Any], answer: WrongAnswer
) -> None:
    failed, parts = told_mistake(assignment, solution, answer)
    assert failed < parts or parts <= 3  # small questions ask for one thing only


@pytest.mark.parametrize("question", QUESTIONS)
def test_nothing_is_earned_by_an_untouched_notebook(
    assignment: Assignment, solution: dict[str, Any], question: str
) -> None:
    (cells,) = ([c for c in nbformat.read(MASTER, 4).cells if c.id == f"answer-{question}"],)
    names = re.findall(r"^(?:def )?(\w+)(?:\(| = )", cells[0].source, re.M)
    space = {name: value for name, value in solution.items() if name not in names}
    space |= dict.fromkeys(names, ...)
    (cases,) = (q.cases for q in assignment.questions if q.name == question)
    assert {*failures(assignment, question, space)} == {case.name for case in cases}
