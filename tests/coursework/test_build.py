"""From a master to what is handed out: one notebook that checks itself and gives nothing away."""

import html
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

from scripts import assignments
from scripts.assignments import Assignment, build, find, load, masters, secrets, squeeze, write_bank
from tests.coursework.conftest import NAME, Built, write_master
from tests.site.conftest import SITE, missing

TEXT = {".html", ".js", ".json", ".ipynb", ".txt", ".py", ".md", ".svg", ".xml"}
#: As on Colab: the notebook is nowhere on the disk, and otter-grader is not installed.
ELSEWHERE = "import sys; sys.modules['otter'] = None"


def printed_in(notebook: nbformat.NotebookNode, folder: Path) -> str:
    """Runs a notebook from memory in a folder; returns everything that it shows."""
    notebook.cells.insert(0, new_code_cell(ELSEWHERE))
    NotebookClient(
        notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    return "\n".join(str(out.get("text") or out["data"]["text/plain"]) for out in outputs)


def test_the_handed_out_notebook_checks_itself_in_an_empty_folder(
    built: Built, tmp_path: Path
) -> None:
    shown = printed_in(built.student(), tmp_path)
    assert "q1: 0 of 2 public tests passed" in shown
    assert "One of the two runs without the sample is a hit" in shown
    assert "Traceback" not in shown
    assert list(tmp_path.iterdir()) == []


def test_the_solution_passes_the_checks_of_its_own_notebook(built: Built, tmp_path: Path) -> None:
    shown = printed_in(built.solution(), tmp_path)
    assert re.findall(r"(q\d): (\d) of (\d)", shown) == [
        ("q1", "2", "2"),
        ("q2", "1", "1"),
        ("q3", "1", "1"),
    ]
    assert "FAILED" not in shown


def test_the_handed_out_folder_holds_one_notebook_and_nothing_else(built: Built) -> None:
    assert [p.name for p in (built.folder / "student").iterdir()] == [f"{NAME}.ipynb"]


def test_the_tests_stand_in_one_collapsed_cell_behind_the_setup_cell(built: Built) -> None:
    code = [cell for cell in built.student().cells if cell.cell_type == "code"]
    assert "import memlib" in code[0].source
    assert code[1].id == "public-tests"
    assert code[1].metadata.jupyter.source_hidden
    assert code[1].metadata.cellView == "form"


def hidden_texts(built: Built) -> list[str]:
    solved = nbformat.read(built.folder / "autograder" / f"{NAME}.ipynb", as_version=4)
    return secrets(solved, built.assignment)


def test_every_solution_and_every_hidden_test_is_looked_for(built: Built) -> None:
    texts = hidden_texts(built)
    for part in ["secret of q1", "secret of q2", "chosen.sum() / len(chosen)", "asarray(v) ** 2"]:
        assert any(squeeze(part) in text for text in texts), part


def test_no_solution_and_no_hidden_test_is_in_the_handed_out_notebook(built: Built) -> None:
    # the file as it is: cells, outputs, metadata
    content = squeeze((built.folder / "student" / f"{NAME}.ipynb").read_text("utf-8"))
    assert [text for text in hidden_texts(built) if text in content] == []
    assert "SOLUTION" not in content


def leaks(site: Path, texts: list[str]) -> list[str]:
    """Files of a site that hold one of the texts, as source or as highlighted HTML."""
    found = []
    for path in sorted(site.rglob("*")):
        if path.suffix in TEXT and path.is_file():
            raw = path.read_text("utf-8", errors="replace")
            plain = html.unescape(re.sub(r"<[^>]*>", "", raw))
            if any(text in squeeze(raw) or text in squeeze(plain) for text in texts):
                found.append(path.relative_to(site).as_posix())
    return found


def test_the_search_of_a_site_finds_a_solution_in_a_page_and_in_a_download(
    built: Built, tmp_path: Path
) -> None:
    (tmp_path / "_sources").mkdir()
    nbformat.write(built.solution(), tmp_path / "_sources" / "copy.ipynb")
    lines = "\n".join(cell.source for cell in built.solution().cells)
    spans = re.sub(r"(\w+)", r"<span>\1</span>", html.escape(lines))
    (tmp_path / "page.html").write_text(f"<pre>{spans}</pre>", "utf-8")
    (tmp_path / "other.html").write_text("<pre>def rate(hits, held_out): ...</pre>", "utf-8")
    assert leaks(tmp_path, hidden_texts(built)) == ["_sources/copy.ipynb", "page.html"]


def test_no_solution_and_no_hidden_test_is_on_the_site(tmp_path: Path) -> None:
    if not (SITE / "index.html").exists():
        missing("The book is not built: run `make book` first")
    texts = []
    for name, master in masters().items():
        assignment = build(master, tmp_path / name, prove=False)
        solved = nbformat.read(tmp_path / name / "autograder" / master.name, as_version=4)
        texts += secrets(solved, assignment)
    assert leaks(SITE, texts) == []


def test_what_is_built_can_be_loaded(built: Built) -> None:
    assert load(built.folder) == built.assignment
    assert isinstance(built.assignment, Assignment)
    assert built.assignment.preamble == "import memlib\nimport numpy as np"


def test_the_bank_holds_the_solution_the_stub_and_each_wrong_answer(built: Built) -> None:
    names = {path.stem for path in (built.folder / "bank").iterdir()}
    assert names == {"solution", "stub", "divided-by-all", "norm-of-sum"}
    wrong = nbformat.read(built.folder / "bank" / "norm-of-sum.ipynb", as_version=4)
    solved = built.solution()
    changed = [a.id for a, b in zip(wrong.cells, solved.cells, strict=True) if a.source != b.source]
    assert changed == ["answer-q2"]


def with_cell(master: Path, old: str, new: str) -> Path:
    """Changes the text of a master."""
    text = master.read_text("utf-8")
    assert old in text
    master.write_text(text.replace(old, new), "utf-8")
    return master


def test_a_master_that_fails_its_own_tests_is_not_built_and_the_old_build_stays(
    tmp_path: Path,
) -> None:
    master = with_cell(write_master(tmp_path), "answer = 6 * 7", "answer = 6 * 8")
    target = tmp_path / "dist" / NAME
    target.mkdir(parents=True)
    (target / "old").touch()
    with pytest.raises(SystemExit, match=r"(?s)q3.*was not built") as stopped:
        build(master, target)
    assert isinstance(stopped.value.code, str)  # so that the exit status is 1
    assert [path.name for path in target.parent.iterdir()] == [NAME]
    assert (target / "old").exists()


def test_a_master_whose_given_cell_repeats_a_hidden_test_is_refused(tmp_path: Path) -> None:
    test = "assert squared_norm([1, 2, 2]) == 9, 'secret of q2'"
    master = with_cell(write_master(tmp_path), "A number", f"For example `{test}`.")
    with pytest.raises(SystemExit, match="would hand out a solution or a hidden test"):
        build(master, tmp_path / "dist", prove=False)
    assert not (tmp_path / "dist").exists()


def test_a_wrong_answer_to_a_question_that_does_not_exist_is_refused(
    built: Built, tmp_path: Path
) -> None:
    master = write_master(tmp_path)
    with_cell(master.with_name("wrong_answers.toml"), '"q2"', '"q9"')
    with pytest.raises(SystemExit, match="has no cell with id answer-q9"):
        write_bank(master, built.folder)


def test_an_unknown_assignment_is_answered_with_those_there_are(built: Built) -> None:
    with pytest.raises(SystemExit, match=f"'99-no' does not exist. There are: {NAME}"):
        find("99-no", built.master.parents[1])


def test_a_missing_build_says_the_command(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="make assignments"):
        load(tmp_path)


def test_the_command_builds_every_master(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(assignments, "ROOT", tmp_path)
    monkeypatch.setattr(assignments, "BUILT", tmp_path)
    monkeypatch.setattr(assignments, "masters", lambda: {NAME: built.master})
    assignments.main([])
    said = f"{NAME}: 3 questions, 10 points; its solution passes every test\n"
    assert capsys.readouterr().out == said


def test_the_script_runs_from_the_command_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.assignments", "99-no"],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "does not exist" in done.stderr
