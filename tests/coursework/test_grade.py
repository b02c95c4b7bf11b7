"""The autograder on honest work: scores, partial credit, reports, the table, and going on."""

import csv
import json
import os
import re
import shutil
import threading
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from scripts import grade as command
from scripts.assignments import Question, wrong_answers
from scripts.grade import grade
from scripts.grade_report import Graded, earned, score, write_table
from scripts.grade_session import Interrupted, Limits, Outcome, Run, Step, run_submission
from scripts.submissions import NotANotebook, Submission, code_cells, collect
from tests.coursework.conftest import Built

LIMITS = Limits(seconds=20)


def table(out: Path) -> dict[str, dict[str, str]]:
    with open(out / "grades.csv", newline="", encoding="utf-8") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def out(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The graded bank."""
    folder = tmp_path_factory.mktemp("grades")
    grade(built.assignment, built.folder / "bank", folder, limits=LIMITS, jobs=2)
    return folder


def test_the_solution_scores_100_and_the_stub_0(out: Path) -> None:
    rows = table(out)
    assert (rows["solution"]["score"], rows["stub"]["score"]) == ("100.0", "0.0")
    assert rows["solution"]["reason"] == ""


def test_a_wrong_answer_gets_its_message_and_the_credit_of_the_other_questions(
    built: Built, out: Path
) -> None:
    for answer in wrong_answers(built.master):
        report = (out / "reports" / f"{answer.name}.md").read_text("utf-8")
        assert answer.mistake in report
        row = table(out)[answer.name]
        lost = 10 - float(row["points"])
        assert (
            0
            < lost
            <= sum(
                case.points
                for question in built.assignment.questions
                if question.name == answer.question
                for case in question.cases
            )
        )


def test_each_part_counts_by_itself(out: Path) -> None:
    # two of the three parts fail; one point of five is left
    assert table(out)["divided-by-all"]["q1"] == "1"


def test_the_table_has_one_column_a_question(out: Path) -> None:
    header = (out / "grades.csv").read_text("utf-8").splitlines()[0]
    assert header == "student,score,points,max_points,q1,q2,q3,status,reason"
    assert table(out)["norm-of-sum"] == {
        "student": "norm-of-sum",
        "score": "70.0",
        "points": "7",
        "max_points": "10",
        "q1": "5",
        "q2": "0",
        "q3": "2",
        "status": "graded",
        "reason": "",
    }


def test_a_report_names_hidden_tests_and_does_not_show_them(built: Built, out: Path) -> None:
    report = (out / "reports" / "stub.md").read_text("utf-8")
    assert "- q1 - 3 (hidden): **failed**, 0 of 2 points\n  Try a single run." in report
    assert "Traceback" not in report
    for question in built.assignment.questions:
        for case in question.cases:
            if case.hidden:
                assert case.code not in report
    assert "secret" not in report


def test_a_failing_assertion_without_a_message_is_shown_itself(out: Path) -> None:
    report = (out / "reports" / "stub.md").read_text("utf-8")
    assert "This does not hold: assert answer == 42" in report


# --- what is missing or broken in a notebook ----------------------------------------------------


def changed(built: Built, **sources: str | None) -> nbformat.NotebookNode:
    """The solution with the answers to some questions replaced, or their cells removed."""
    notebook = built.solution()
    for question, source in sources.items():
        (cell,) = [cell for cell in notebook.cells if cell.id == f"answer-{question}"]
        if source is None:
            notebook.cells.remove(cell)
        else:
            cell.source = source
    return notebook


def test_cells_that_are_missing_or_fail_do_not_take_the_others_down(
    built: Built, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    no_imports = changed(built)
    no_imports.cells = [c for c in no_imports.cells if c.get("id", "").startswith("answer")]
    old = {
        "nbformat": 3,
        "nbformat_minor": 0,
        "metadata": {"name": "old"},
        "worksheets": [
            {
                "cells": [
                    {"cell_type": "code", "input": c.source, "language": "python", "outputs": []}
                    for c in built.solution().cells
                    if c.cell_type == "code"
                ]
            }
        ],
    }
    (folder / "old-format.ipynb").write_text(json.dumps(old), "utf-8")
    for name, notebook in {
        "missing-cell": changed(built, q2=None),
        "syntax-error": changed(built, q1="def rate(hits, held_out)\n    return 0.5"),
        "raises": changed(built, q3="1 / 0"),
        "calls-exit": changed(built, q3="answer = 42\nimport sys\nsys.exit(1)"),
        "no-imports": no_imports,
        "function-raises": changed(built, q2="def squared_norm(v):\n    return v[9]"),
        "empty": new_notebook(cells=[new_code_cell("pass")]),
    }.items():
        nbformat.write(notebook, folder / f"{name}.ipynb")
    grade(built.assignment, folder, tmp_path / "out", limits=LIMITS, jobs=2)
    rows = table(tmp_path / "out")
    assert {name: (row["q1"], row["q2"], row["q3"]) for name, row in rows.items()} == {
        "missing-cell": ("5", "0", "2"),
        "syntax-error": ("0", "3", "2"),
        "raises": ("5", "3", "0"),
        "calls-exit": ("5", "3", "2"),
        "no-imports": ("5", "0", "2"),  # its own code needs NumPy; the tests bring theirs
        "old-format": ("5", "3", "2"),
        "function-raises": ("5", "0", "2"),
        "empty": ("0", "0", "0"),
    }
    assert {row["status"] for row in rows.values()} == {"graded"}
    assert rows["missing-cell"]["reason"] == "not defined: squared_norm"
    assert rows["syntax-error"]["reason"] == "cell 4 failed; not defined: rate"
    report = (tmp_path / "out" / "reports" / "raises.md").read_text("utf-8")
    assert "ZeroDivisionError: division by zero (line 1 of the cell)" in report
    report = (tmp_path / "out" / "reports" / "function-raises.md").read_text("utf-8")
    assert "IndexError: list index out of range (line 2 of the cell with squared_norm)" in report


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"%PDF-1.7\n\xff\xfe", "is a PDF with another name"),
        (b"\xff\xfe\x00", "is no text"),
        (b'{"cells": [{"cell_type": "co', "broken or cut off"),
        (b"[" * 100_000, "broken or cut off"),
        (b"[1, 2]", "is no notebook"),
        (b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [1]}', "is no notebook"),
        (b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}', "holds no code"),
        (b'{"nbformat": 99, "nbformat_minor": 0, "metadata": {}, "cells": []}', "is no notebook"),
        (
            b'{"nbformat": 4, "nbformat_minor": 5, "cells": [],'
            b' "metadata": {"kernelspec": {"language": "R", "name": "ir", "display_name": "R"}}}',
            "is a notebook in R",
        ),
    ],
)
def test_what_is_no_notebook_is_refused_with_a_reason(content: bytes, why: str) -> None:
    with pytest.raises(NotANotebook, match=why):
        code_cells(content)


def test_entries_that_are_no_files_and_odd_names_are_reported(built: Built, tmp_path: Path) -> None:
    folder, solution = tmp_path / "in", built.folder / "solution.ipynb"
    folder.mkdir()
    (folder / "a-folder.ipynb").mkdir()
    (folder / "a-link.ipynb").symlink_to(solution)
    os.mkfifo(folder / "a-pipe.ipynb")
    (folder / ".DS_Store").touch()
    (folder / "essay.pdf").write_bytes(b"%PDF-1.7")
    (folder / "renamed.ipynb").write_bytes(b"%PDF-1.7")
    with open(folder / "huge.ipynb", "wb") as file:
        file.truncate(60_000_000)
    for name in ("Ann.ipynb", "ann .IPYNB", "=cmd() \x1b[31m.ipynb", "Zoë Ünal.ipynb"):
        shutil.copyfile(solution, folder / name)
    shutil.copyfile(solution, os.fsencode(folder) + b"/bytes-\xff.ipynb")
    grade(built.assignment, folder, tmp_path / "out", limits=LIMITS, jobs=2)
    rows = table(tmp_path / "out")
    assert {name: (row["score"], row["reason"]) for name, row in rows.items()} == {
        "a-folder": ("0.0", "a-folder.ipynb is a folder; the notebooks must lie side by side"),
        "a-link": ("0.0", "a-link.ipynb is a symbolic link, which is not followed"),
        "a-pipe": ("0.0", "a-pipe.ipynb is no regular file"),
        "essay": ("0.0", "essay.pdf does not end in .ipynb"),
        "renamed": ("0.0", "renamed.ipynb is a PDF with another name"),
        "huge": ("0.0", "huge.ipynb is larger than 50 MB"),
        "Ann.ipynb": ("100.0", "two files have this student's name"),
        "ann .IPYNB": ("100.0", "two files have this student's name"),
        "'=cmd() ?[31m": ("100.0", ""),
        "Zoë Ünal": ("100.0", ""),
        "bytes-\ufffd": ("100.0", ""),
    }
    assert len(list((tmp_path / "out" / "reports").iterdir())) == len(rows)
    zeros = {row["status"] for row in rows.values() if row["score"] == "0.0"}
    assert zeros == {"not a notebook"}


def test_reports_never_share_a_file_and_never_leave_their_folder() -> None:
    names = ["a", "a/b", "..", "a b", "a_b", "é", "e\u0301", "x" * 300, "x" * 301]
    reports = [Submission(name, Path(f"{name}.ipynb".replace("/", "-"))).report for name in names]
    assert len({report.casefold() for report in reports}) == len(names)
    assert all("/" not in report and len(report) < 110 for report in reports)
    assert not any(report.startswith(".") for report in reports)


def test_results_inside_the_folder_of_submissions_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "ann.ipynb").touch()
    assert [entry.student for entry in collect(tmp_path, leave_out=tmp_path / "out")] == ["ann"]


def test_a_folder_without_submissions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"is empty. Put one notebook for each student there"):
        collect(tmp_path)
    with pytest.raises(SystemExit, match="is not a folder"):
        collect(tmp_path / "no")


# --- going on after an interruption -------------------------------------------------------------


def test_what_was_graded_is_kept_until_it_or_the_tests_or_the_limit_change(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[int] = []

    def fake(cells: list[Step], tests: list[Step], **_: object) -> Run:
        ran.append(len(cells))
        return Run({test.name: Outcome(True, None) for test in tests}, 0.1, "", 0)

    monkeypatch.setattr(command, "run_submission", fake)
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in ("ann", "bob"):
        nbformat.write(built.solution(), folder / f"{name}.ipynb")

    def again(**options: object) -> int:
        ran.clear()
        rows = grade(built.assignment, folder, out, **{"limits": LIMITS, **options})
        assert [row.status for row in rows] == ["graded"] * len(list(folder.iterdir()))
        return len(ran)

    assert again() == 2
    assert again() == 0
    assert again(force=True) == 2
    assert again(limits=Limits(seconds=21)) == 2
    assert again() == 2
    nbformat.write(changed(built, q3="answer = 0"), folder / "bob.ipynb")
    (out / "reports" / "ann.md").unlink()
    assert again() == 1
    assert (out / "reports" / "ann.md").exists()
    (folder / "bob.ipynb").unlink()
    assert again() == 0
    assert [path.name for path in (out / "reports").iterdir()] == ["ann.md"]


def test_an_interrupted_session_ends_its_process_at_once() -> None:
    stop = threading.Event()
    threading.Timer(1.5, stop.set).start()
    with pytest.raises(Interrupted):
        run_submission([Step("cell 1", "while True: pass")], [], stop=stop)


def test_a_machine_that_cannot_start_a_submission_is_no_zero() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)did not start.*no_such_library"):
        run_submission([], [], preamble="import no_such_library")


# --- points and the command ---------------------------------------------------------------------


def test_all_or_nothing_gives_nothing_for_a_part(built: Built, tmp_path: Path) -> None:
    first = built.assignment.questions[0]
    whole = Question(first.name, True, first.cases)
    outcomes = {case.name: Outcome(case.name != "q1 - 2", None) for case in first.cases}
    run = Run(outcomes, 0.0, "", 0)
    assert (earned(first, run), earned(whole, run)) == (4.0, 0.0)


def test_no_cell_of_the_table_is_a_formula(built: Built, tmp_path: Path) -> None:
    points = {"q1": 5.0, "q2": 0.0, "q3": 0.0}
    assert score(built.assignment, points) == 50.0
    write_table(
        tmp_path / "grades.csv",
        built.assignment,
        [Graded("=1+1", "x.md", points, "graded", "+cmd", 0.0, "")],
    )
    line = (tmp_path / "grades.csv").read_text("utf-8").splitlines()[1]
    assert line == "'=1+1,50.0,5,10,5,0,0,graded,'+cmd"


def test_the_command_says_what_is_missing(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command.assignments, "masters", lambda: {"00-small": built.master})
    with pytest.raises(SystemExit, match=r"make grade ASSIGNMENT=.*There are: 00-small"):
        command.main([])
    with pytest.raises(SystemExit, match="LIMIT='soon' is not a positive number"):
        command.main(["--assignment=00-small", "--submissions=x", "--limit=soon"])


def test_the_command_builds_what_is_missing_grades_and_tells(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    calls = []

    def fake(master: Path, target: Path) -> object:
        calls.append(target)
        shutil.copytree(built.folder, target)
        return built.assignment

    monkeypatch.setattr(command.assignments, "BUILT", tmp_path / "dist")
    monkeypatch.setattr(command.assignments, "find", lambda name: built.master)
    monkeypatch.setattr(command.assignments, "build", fake)
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copyfile(built.folder / "solution.ipynb", folder / "ann.ipynb")
    given = ["--assignment=00-small", f"--submissions={folder}", f"--out={tmp_path / 'out'}"]
    command.main(given)
    command.main(given)
    assert len(calls) == 1
    said = capsys.readouterr().out
    assert re.search(r"^ann +100\.0 +graded +\d\.\d s +q1 5 q2 3 q3 2$", said, re.M)
    assert "Submissions: 1 (1 graded). Mean score: 100.0." in said
    assert re.search(r"Landlock", said)
