"""A small assignment, built once: what the machinery is tested on."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_raw_cell

import memlib
from memlib.selfcheck import run_test
from scripts.assignments import Assignment, WrongAnswer, build, write_bank
from scripts.run_labs import KERNEL
from scripts.set_repository import SETUP_CELL, repository_url

NAME = "00-small"
WRONG_ANSWERS = """
[[answer]]
name = "divided-by-all"
question = "q1"
mistake = "You divided by the number of all runs"
source = '''
def rate(hits, held_out):
    return (hits & held_out).sum() / len(hits)
'''

[[answer]]
name = "norm-of-sum"
question = "q2"
mistake = "Square each entry"
source = '''
def squared_norm(v):
    return np.abs(v).sum()
'''
"""


def failures(assignment: Assignment, question: str, space: dict[str, Any]) -> dict[str, str]:
    """The messages of the failing parts of a question, hidden ones included."""
    (cases,) = (q.cases for q in assignment.questions if q.name == question)
    messages = {case.name: run_test(case.code, dict(space)) for case in cases}
    return {name: message for name, message in messages.items() if message is not None}


def variables(solution: Path) -> dict[str, Any]:
    """The variables of a session in which every cell of a solution was run."""
    space: dict[str, Any] = {"memlib": memlib}
    for cell in nbformat.read(solution, as_version=4).cells:
        if cell.cell_type == "code" and "%pip" not in cell.source:
            exec(cell.source, space)
    return space


def overview(master: Path, assignment: Assignment) -> list[tuple[str, str, str]]:
    """Exercise, minutes and points of the first cell: those of the headings and of the tests."""
    prose = [c.source for c in nbformat.read(master, 4).cells if c.cell_type == "markdown"]
    rows = re.findall(r"^\| (\d) \|.*\| (\d+) \| (\d+) \|$", prose[0], re.M)
    heads = re.findall(r"^## (\d)\. .* \((\d+) points, (\d+) minutes\)$", "\n".join(prose), re.M)
    assert rows == [(n, minutes, points) for n, points, minutes in heads]
    points = [sum(case.points for case in q.cases) for q in assignment.questions]
    assert points == [float(row[2]) for row in rows]
    return rows


def told_mistake(
    assignment: Assignment, solution: dict[str, Any], answer: WrongAnswer
) -> tuple[int, int]:
    """Return how many parts a wrong answer fails, and of how many; one names the mistake."""
    space = dict(solution)
    exec(answer.source, space)
    failed = failures(assignment, answer.question, space)
    public = {c.name for q in assignment.questions for c in q.cases if not c.hidden}
    assert any(answer.mistake in text for name, text in failed.items() if name in public)
    (parts,) = (len(q.cases) for q in assignment.questions if q.name == answer.question)
    return len(failed), parts


def _question(
    name: str, text: str, solution: list[str], tests: list[str], points: list[float]
) -> list[nbformat.NotebookNode]:
    """The cells of one question; a list of points stands for its tests."""
    cells = [
        new_raw_cell(f"# BEGIN QUESTION\nname: {name}\npoints: {points}"),
        new_markdown_cell(text),
    ]
    cells += [new_raw_cell("# BEGIN SOLUTION"), *(new_code_cell(s) for s in solution)]
    for number, cell in enumerate(cells[-len(solution) :], 1):
        cell["id"] = f"answer-{name}" + ("" if number == 1 else f"-{number}")
    cells += [new_raw_cell("# END SOLUTION"), new_raw_cell("# BEGIN TESTS")]
    cells += [*(new_code_cell(test) for test in tests), new_raw_cell("# END TESTS")]
    return [*cells, new_raw_cell("# END QUESTION")]


def write_master(folder: Path) -> Path:
    """Writes the master and its wrong answers to folder/00-small."""
    rate = """def rate(hits, held_out):
    # BEGIN SOLUTION
    chosen = hits[held_out]
    return chosen.sum() / len(chosen)
    # END SOLUTION"""
    norm = """def squared_norm(v):
    return float((np.asarray(v) ** 2).sum())  # SOLUTION"""
    public = """hits = np.array([True, True, False, False])
out = np.array([True, False, False, True])
assert rate(hits, out) != 0.25, "You divided by the number of all runs, not of those without it."
assert rate(hits, out) == 0.5, "One of the two runs without the sample is a hit: expected 0.5.\""""
    titled = '''""" # BEGIN TEST CONFIG
success_message: all runs held out
""" # END TEST CONFIG
assert rate(np.array([True, False]), np.array([True, True])) == 0.5'''
    hidden = '''""" # BEGIN TEST CONFIG
hidden: true
failure_message: Try a single run.
""" # END TEST CONFIG
assert rate(np.array([False, True, True]), np.array([False, False, True])) == 1.0, "secret of q1"'''
    cells = [
        new_raw_cell(f"# ASSIGNMENT CONFIG\nname: {NAME}\ninit_cell: true"),
        new_markdown_cell("# A small assignment"),
        new_code_cell(SETUP_CELL.format(url=repository_url())),
        new_code_cell("import numpy as np"),
        *_question("q1", "A rate", [rate], [public, titled, hidden], [2, 1, 2]),
        *_question(
            "q2",
            "A norm",
            [norm],
            [
                'assert squared_norm([3, 4]) == 25, "Square each entry, then add."',
                "# HIDDEN\nassert squared_norm([1, 2, 2]) == 9, 'secret of q2'",
            ],
            [1, 2],
        ),
        *_question("q3", "A number", ["answer = 6 * 7  # SOLUTION"], ["assert answer == 42"], [2]),
    ]
    notebook = new_notebook(cells=cells, metadata={"kernelspec": KERNEL})
    path = folder / NAME / f"{NAME}.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(notebook, path)
    path.with_name("wrong_answers.toml").write_text(WRONG_ANSWERS, "utf-8")
    return path


@dataclass(frozen=True)
class Built:
    """The small assignment: its master, its folder in dist, what the autograder knows."""

    master: Path
    folder: Path
    assignment: Assignment

    def student(self) -> nbformat.NotebookNode:
        """The notebook that is handed out."""
        return nbformat.read(self.folder / "student" / self.master.name, as_version=4)

    def solution(self) -> nbformat.NotebookNode:
        """The notebook with the solutions."""
        return nbformat.read(self.folder / "solution.ipynb", as_version=4)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("assignment")
    master = write_master(folder / "masters")
    assignment = build(master, folder / "dist" / NAME)
    write_bank(master, folder / "dist" / NAME)
    return Built(master, folder / "dist" / NAME, assignment)
