"""Builds assignments from their masters: `make assignments`, `make bank ASSIGNMENT=NAME`.

A master is `notebooks/assignments/NAME/NAME.ipynb` in the format of otter-grader, which takes it
apart. What is handed out is one notebook: its public tests stand in a collapsed cell, so that it
checks itself where there is neither a test folder nor a notebook file, as on Colab.
"""

import ast
import doctest
import hashlib
import json
import pprint
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from otter.test_files.ok_test import OKTestFile

from memlib.files import atomic_path

ROOT = Path(__file__).resolve().parent.parent
MASTERS = ROOT / "notebooks" / "assignments"
BUILT = ROOT / "dist" / "assignments"

_TESTS_CELL = """\
# @title Public tests: run this cell, change nothing in it
from memlib.selfcheck import Grader, Part

grader = Grader(
{questions}
)"""
_TESTS_TAG = "public-tests"
# Otter's own first cell, and its last two: they look for files, and make a zip to hand in.
_OTTERS_OWN = r"^# Initialize Otter\n|grader\.export\(|^## Submission\n\nMake sure you have run"


@dataclass(frozen=True)
class Case:
    """One test of a question: a part, in reports.

    Args:
        name: `"q1 - 2"`.
        title: What it looks at; may be empty.
        hint: What a student may read when it fails, beside its message if it is public.
        points: What it is worth.
        hidden: Whether only the autograder has it.
        code: Python statements that raise where the answer is wrong.
    """

    name: str
    title: str
    hint: str
    points: float
    hidden: bool
    code: str


@dataclass(frozen=True)
class Question:
    """A question and its tests.

    Args:
        name: `"q1"`.
        all_or_nothing: Whether one failing test costs all points.
        cases: Its tests.
    """

    name: str
    all_or_nothing: bool
    cases: tuple[Case, ...]


@dataclass(frozen=True)
class Assignment:
    """What the autograder knows.

    Args:
        name: `"01-memorization"`.
        questions: With public and hidden tests.
        preamble: The import statements of the cells that are given to the students.
    """

    name: str
    questions: tuple[Question, ...]
    preamble: str

    def digest(self) -> str:
        """Return the SHA-256 of all of it."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()


def masters(folder: Path = MASTERS) -> dict[str, Path]:
    """Return the masters by name."""
    found = sorted(folder.glob("*/*.ipynb"))
    return {path.stem: path for path in found if path.stem == path.parent.name}


def find(name: str, folder: Path = MASTERS) -> Path:
    """Return the master of one assignment.

    Raises:
        SystemExit: There is none of this name; the message lists those there are.
    """
    known = masters(folder)
    if name not in known:
        raise SystemExit(f"ASSIGNMENT={name!r} does not exist. There are: {_names(known)}.")
    return known[name]


def _names(known: dict[str, Path]) -> str:
    return ", ".join(known) or "none yet"


def build(master: Path, target: Path, *, prove: bool = True) -> Assignment:
    """Make the student's notebook, the solution and the autograder's tests from a master.

    Args:
        master: The master notebook.
        target: A folder, which is replaced as a whole; the old one stays if anything fails.
        prove: Run the solution against the tests.

    Returns:
        The assignment, as `load(target)` gives it.

    Raises:
        SystemExit: The master fails its own tests, or cannot be graded; the message says why.
    """
    raw = target.with_name(f".{target.name}.building")
    shutil.rmtree(raw, ignore_errors=True)
    raw.mkdir(parents=True)
    try:
        _run_otter(master, raw, [] if prove else ["--no-run-tests"])
        solved = nbformat.read(raw / "autograder" / master.name, as_version=4)
        student = nbformat.read(raw / "student" / master.name, as_version=4)
        extra = [
            p.name for p in (raw / "student").iterdir() if p.name not in {master.name, "tests"}
        ]
        if extra:
            _refuse(master, f"hands out {', '.join(extra)}; a student gets the notebook alone")
        assignment = Assignment(master.stem, _questions(master, raw, solved), _preamble(student))
        shutil.rmtree(raw / "student")
        (raw / "student").mkdir()
        student = self_contained(student, assignment)
        leaked = [
            text
            for text in secrets(solved, assignment)
            if text in squeeze(nbformat.writes(student))
        ]
        if leaked:
            _refuse(master, f"would hand out a solution or a hidden test: {leaked[0][:80]}")
        nbformat.write(student, raw / "student" / master.name)
        nbformat.write(self_contained(solved, assignment), raw / "solution.ipynb")
        text = json.dumps(asdict(assignment), indent=1)
        (raw / "autograder" / "tests.json").write_text(text, "utf-8")
        shutil.rmtree(target, ignore_errors=True)
        raw.rename(target)
    finally:
        shutil.rmtree(raw, ignore_errors=True)
    return assignment


def _refuse(master: Path, why: str) -> None:
    raise SystemExit(f"{master.name} {why}.")


def _run_otter(master: Path, target: Path, options: list[str]) -> None:
    command = [sys.executable, "-m", "otter", "assign", "--no-pdfs", *options]
    command += [str(master), str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = (done.stdout + done.stderr).strip()
        raise SystemExit(f"{said}\n\n{master.name} was not built: see above.")


def _questions(master: Path, raw: Path, solved: nbformat.NotebookNode) -> tuple[Question, ...]:
    """Return the questions with all tests, in the order of the master."""
    specs: dict[str, Any] = solved.metadata.get("otter", {}).get("tests", {})
    if not specs:
        files = (raw / "autograder" / "tests").glob("*.py")
        loaded = {path.stem: runpy.run_path(str(path)) for path in files}
        specs = {name: loaded[name].get("test") for name in sorted(loaded, key=_natural)}
    if not specs:
        _refuse(master, "has no tests")
    return tuple(_question(master, name, spec) for name, spec in specs.items())


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part or 0), text) for text, part in re.findall(r"(\D*)(\d*)", name)]


def _question(master: Path, name: str, spec: Any) -> Question:
    if not isinstance(spec, dict):
        _refuse(master, f"has tests of {name} in another format: set `tests: {{ok_format: true}}`")
    cases = []
    for case in OKTestFile.from_spec(spec).test_cases:
        examples = doctest.DocTestParser().get_examples(case.body)
        if any(example.want for example in examples):
            _refuse(master, f"has a test that shows a value ({case.name}): write assertions")
        code = "".join(example.source for example in examples).strip()
        ast.parse(code)
        title, hint = case.success_message or "", case.failure_message or ""
        cases.append(Case(case.name, title, hint, float(case.points or 0), case.hidden, code))
    return Question(name, bool(spec.get("all_or_nothing", False)), tuple(cases))


def _preamble(student: nbformat.NotebookNode) -> str:
    """Return the import statements of the given cells, those in a top-level `try` included."""
    statements: dict[str, None] = {}
    for cell in student.cells:
        if cell.cell_type == "code" and "otter_answer_cell" not in cell.metadata.get("tags", []):
            tree = ast.parse(TransformerManager().transform_cell(cell.source))
            inside = [n for node in tree.body if isinstance(node, ast.Try) for n in node.body]
            for node in [*tree.body, *inside]:
                if isinstance(node, ast.Import | ast.ImportFrom):
                    statements[ast.unparse(node)] = None
    return "\n".join(line for line in statements if line != "import otter")


def self_contained(
    notebook: nbformat.NotebookNode, assignment: Assignment
) -> nbformat.NotebookNode:
    """Return a notebook of otter's with the public tests inside it, and nothing else of otter's.

    Args:
        notebook: The student's or the solved one.
        assignment: Its tests; hidden ones are left out.
    """
    notebook = nbformat.reads(nbformat.writes(notebook), as_version=4)
    notebook.metadata.pop("otter", None)
    cells = [
        cell
        for cell in notebook.cells
        if cell.source.strip() and not re.search(_OTTERS_OWN, cell.source)
    ]
    for cell in cells:
        cell.metadata.pop("otter", None)
    first = next((i for i, cell in enumerate(cells) if cell.cell_type == "code"), -1)
    notebook.cells = [*cells[: first + 1], _tests_cell(assignment), *cells[first + 1 :]]
    return notebook


def _tests_cell(assignment: Assignment) -> nbformat.NotebookNode:
    lines = []
    for question in assignment.questions:
        parts = [
            f"            Part({case.name!r}, points={case.points:g}, title={case.title!r}, code="
            f"\n{_literal(case.code)}),"
            for case in question.cases
            if not case.hidden
        ]
        lines += [f"        {question.name!r}: (", *parts, "        ),"]
    source = _TESTS_CELL.format(questions="    {\n" + "\n".join(lines) + "\n    }")
    metadata = {
        "cellView": "form",  # Colab
        "jupyter": {"source_hidden": True},
        "tags": [_TESTS_TAG, "hide-input"],
        "editable": False,
        "deletable": False,
    }
    return nbformat.v4.new_code_cell(source, id=_TESTS_TAG, metadata=metadata)


def _literal(code: str) -> str:
    """Return a text as an indented Python literal, one line of text a line."""
    text = pprint.pformat(code, width=88)
    return "\n".join(f"                {line}" for line in text.splitlines())


def load(target: Path) -> Assignment:
    """Return what `build` left in a folder.

    Raises:
        SystemExit: Nothing is built there; the message says the command.
    """
    path = target / "autograder" / "tests.json"
    if not path.exists():
        raise SystemExit(f"{path} is missing. Build it first: make assignments")
    read = json.loads(path.read_text("utf-8"))
    questions = tuple(
        Question(q["name"], q["all_or_nothing"], tuple(Case(**case) for case in q["cases"]))
        for q in read["questions"]
    )
    return Assignment(read["name"], questions, read["preamble"])


# --- what must not be handed out ----------------------------------------------------------------


def squeeze(text: str) -> str:
    """Return a text without white space, quotes and escapes: no layout hides a solution then."""
    return re.sub(r"\\n|[\\\s\"']", "", text)


def secrets(solved: nbformat.NotebookNode, assignment: Assignment) -> list[str]:
    """Return the squeezed texts of every solution and every hidden test.

    Args:
        solved: The notebook with solutions, as otter marks them.
        assignment: Its tests.

    Returns:
        One text for each block between `# BEGIN SOLUTION` and `# END SOLUTION`, for each line that
        ends in `# SOLUTION`, for each written model answer, and for each hidden test; none
        shorter than 30 characters, which could stand anywhere.
    """
    found = [case.code for q in assignment.questions for case in q.cases if case.hidden]
    for cell in solved.cells:
        if "otter_assign_solution_cell" in cell.metadata.get("tags", []):
            if cell.cell_type == "markdown":
                found.append(cell.source)
            found += re.findall(
                r"# BEGIN SOLUTION[^\n]*\n(.*?)\n[ \t]*# END SOLUTION", cell.source, re.S
            )
            found += re.findall(r"^(.*?)#\s?SOLUTION\b", cell.source, re.M)
    return [text for text in map(squeeze, found) if len(text) >= 30]


# --- the bank of wrong answers ------------------------------------------------------------------


@dataclass(frozen=True)
class WrongAnswer:
    """A typical mistake, as an answer.

    Args:
        name: Of its submission.
        question: The question that it answers.
        mistake: A text that the student's report must show.
        source: What stands in the answer cell.
        cell: The id of that cell.
    """

    name: str
    question: str
    mistake: str
    source: str
    cell: str


def wrong_answers(master: Path) -> list[WrongAnswer]:
    """Return the wrong answers beside a master, in `wrong_answers.toml`."""
    path = master.with_name("wrong_answers.toml")
    if not path.exists():
        raise SystemExit(f"{path} is missing: the bank is made from it.")
    entries = tomllib.loads(path.read_text("utf-8")).get("answer", [])
    return [
        WrongAnswer(**{"cell": f"answer-{entry.get('question', '')}", **entry}) for entry in entries
    ]


def write_bank(master: Path, target: Path) -> list[Path]:
    """Write the solution, the stub and each wrong answer as submissions.

    Args:
        master: The master notebook, with `wrong_answers.toml` beside it.
        target: What `build` made of it; the bank goes to its folder `bank`.

    Returns:
        The submissions.

    Raises:
        SystemExit: A wrong answer replaces a cell that does not exist.
    """
    load(target)
    bank = target / "bank"
    shutil.rmtree(bank, ignore_errors=True)
    bank.mkdir()
    shutil.copyfile(target / "solution.ipynb", bank / "solution.ipynb")
    shutil.copyfile(target / "student" / master.name, bank / "stub.ipynb")
    for answer in wrong_answers(master):
        notebook = nbformat.read(target / "solution.ipynb", as_version=4)
        found = [cell for cell in notebook.cells if cell.get("id") == answer.cell]
        if not found:
            raise SystemExit(f"{answer.name}: {master.name} has no cell with id {answer.cell}.")
        found[0].source, found[0].outputs = answer.source.strip("\n"), []
        with atomic_path(bank / f"{answer.name}.ipynb") as temporary:
            nbformat.write(notebook, temporary)
    return sorted(bank.glob("*.ipynb"))


def main(arguments: list[str]) -> None:
    """Builds the assignments that are named, or all; `--bank NAME` writes a bank."""
    if arguments[:1] == ["--bank"]:
        name = " ".join(arguments[1:])
        master = find(name)
        build(master, BUILT / name)
        for path in write_bank(master, BUILT / name):
            print(path.relative_to(ROOT))
        return
    known = [find(name) for name in arguments] or list(masters().values())
    if not known:
        raise SystemExit(f"There is no assignment in {MASTERS.relative_to(ROOT)} yet.")
    for master in known:
        assignment = build(master, BUILT / master.stem)
        points = sum(case.points for q in assignment.questions for case in q.cases)
        print(
            f"{(BUILT / master.stem).relative_to(ROOT)}: {len(assignment.questions)} questions, "
            f"{points:g} points; its solution passes every test"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
