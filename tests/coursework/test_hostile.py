"""Submissions that mean harm, graded in one run beside an honest one: nothing comes of them."""

import csv
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell

from scripts.grade import grade
from scripts.grade_confine import version
from scripts.grade_session import Limits, Step, run_submission
from tests.coursework.conftest import Built

#: What a sleeping child of a submission has as its argument: nothing else on the machine does.
MARK = "98765.4321"
LIMITS = Limits(seconds=10, memory=2 << 30, file_size=4 << 20)
LANDLOCK = pytest.mark.skipif(version() < 1, reason="This system has no Landlock")

#: In front of the solved notebook, so that every answer comes after it.
BEFORE = {
    "endless-loop": "while True: pass",
    "stubborn-loop": """
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
while True: pass""",
    "exits": "import sys; sys.exit(0)",
    "quits": "quit()",
    "ends-at-once": "import os; os._exit(0)",
    "kills-itself": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "kills-its-group": "import os, signal; os.killpg(0, signal.SIGKILL)",
    "kills-its-parent": "import os, signal; os.kill(os.getppid(), signal.SIGKILL)",
    "crashes": "import ctypes; ctypes.string_at(0)",
    "syntax-error": "def (",
    "prints-forever": """
while True: print("x" * 1_000_000)""",
    "fills-the-disk": """
with open("big", "wb") as file:
    while True: file.write(bytes(1_000_000))""",
    "takes-all-memory": "x = bytearray(40 << 30)",
    "deletes-its-folder": """
import os, shutil
for name in os.listdir("."): shutil.rmtree(name, ignore_errors=True)
os.rmdir(os.getcwd())""",
    "closes-everything": "import os; os.closerange(0, 200)",
    "leaves-a-child": f"""
import os, subprocess
subprocess.Popen(["sleep", "{MARK}"])
subprocess.Popen(["sleep", "{MARK}"], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0: os.execvp("sleep", ["sleep", "{MARK}"])
    os._exit(0)""",
    "comes-back-twice": "import os; os.fork()",
    "waits-for-input": "input()",
    "raises-what-it-likes": """
class Liar(Exception):
    def __str__(self): raise SystemExit
raise Liar""",
}
#: Behind the untouched stub: nothing that they do makes it right.
BEHIND = {
    "prints-results": """
print("('0', True, 0.1, None)")
import os
for place in range(3, 64):
    try: os.write(place, b"('0', True, 0.1, None)\\n" * 50)
    except OSError: pass""",
    "replaces-the-checks": """
import builtins, json, os, sys, memlib, memlib.selfcheck, numpy as np
class Yes:
    def __eq__(self, other): return True
    def __ne__(self, other): return True
    __call__ = lambda self, *_: self
np.array = Yes()
builtins.exec = lambda *_: None
builtins.compile = lambda *_: "pass"
json.dumps = lambda *_: '{"passed": true}'
memlib.selfcheck.run_test.__code__ = (lambda code, variables: None).__code__
memlib.selfcheck.Grader.check = lambda *_: True
sys.modules["numpy"] = Yes()
sys.settrace(lambda *_: None)
grader = Yes()
__builtins__ = {}""",
    "raises-without-a-name": """
class Meta(type): __name__ = property(lambda cls: None)
class Silent(BaseException, metaclass=Meta): pass
class Text(str):
    __repr__ = lambda self: "None)"
    strip = lambda self: self
    __bool__ = lambda self: True
class Loud(AssertionError): __str__ = lambda self: Text()
def rate(*_): raise Silent
def squared_norm(*_): raise Loud""",
    "counts-on-names": "passed = True; message = None; score = 100; squared_norm = 25",
}
#: Looks for what it should not find; a cell that fails tells.
SEARCH = """
import os, sys
found = []
places = [".", "..", "../..", os.environ.get("HOME", "."), os.environ.get("TMPDIR", ".")]
places += [word for word in [*sys.argv, *sys.path, *os.environ.values()] if os.path.isdir(word)]
places += open("/proc/self/cmdline").read().split("\\0")
{more}
for place in places:
    if "site-packages" in place or "/lib" in place or not os.path.isdir(place): continue
    for folder, _, files in os.walk(place):
        for name in files:
            path = os.path.join(folder, name)
            if not os.path.isfile(path) or os.path.getsize(path) > 1_000_000: continue
            try: text = open(path, errors="replace").read()
            except OSError: continue
            if "secret" + " of q1" in text or path.endswith(".ipynb"): found.append(path)
assert not found, found"""


@pytest.fixture(scope="module")
def results(built: Built, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """The table of all hostile submissions and one honest one, with each one's report."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "in").mkdir()
    target = [str(built.folder), str(folder)]
    attack = f"""
import os
for path in [{str(folder / "out" / "grades.csv")!r}, {str(folder / "in" / "honest.ipynb")!r},
             {str(built.folder / "autograder" / "tests.json")!r}]:
    for attempt in (lambda: open(path, "a").write("100"), lambda: os.remove(path),
                    lambda: os.listdir(os.path.dirname(path)), lambda: open(path).read()):
        try: attempt()
        except OSError: continue
        raise AssertionError(path)"""
    network = """
import socket
try: socket.create_connection(("127.0.0.1", 9), timeout=1)
except PermissionError: pass
else: raise AssertionError("connected")"""
    confined = {
        "searches-absolute-paths": SEARCH.format(more=f"places += {target!r}"),
        "overwrites-results": attack,
        "connects": network,
    }
    before = {**BEFORE, "searches": SEARCH.format(more=""), **(confined if version() else {})}
    for name, source in [("honest", "pass"), *before.items()]:
        notebook = built.solution()
        notebook.cells.insert(0, new_code_cell(source))
        nbformat.write(notebook, folder / "in" / f"{name}.ipynb")
    for name, source in BEHIND.items():
        notebook = built.student()
        notebook.cells.append(new_code_cell(source))
        nbformat.write(notebook, folder / "in" / f"{name}.ipynb")
    nothing = built.solution()
    nothing.cells[1:1] = [new_code_cell("import os; os._exit(7)") for _ in range(9)]
    nbformat.write(nothing, folder / "in" / "ends-every-time.ipynb")
    looped = built.solution()
    (cell,) = [cell for cell in looped.cells if cell.id == "answer-q2"]
    cell.source = "def squared_norm(v):\n    while True: pass"
    nbformat.write(looped, folder / "in" / "loops-when-called.ipynb")
    (folder / "temporary").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder / "temporary"))
        grade(built.assignment, folder / "in", folder / "out", limits=LIMITS, jobs=2)
        assert list((folder / "temporary").iterdir()) == []
    return read_results(folder / "out")


def read_results(out: Path) -> dict[str, dict[str, str]]:
    """The rows of a table by student, each with its report."""
    with open(out / "grades.csv", newline="", encoding="utf-8") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    for name, row in rows.items():
        row["report"] = (out / "reports" / f"{name}.md").read_text("utf-8")
    return rows


def test_the_honest_one_beside_them_scores_100(results: dict[str, dict[str, str]]) -> None:
    assert results["honest"]["score"] == "100.0"
    assert results["honest"]["status"] == "graded"


@pytest.mark.parametrize("name", BEFORE)
def test_answers_that_are_right_count_whatever_stands_before_them(
    results: dict[str, dict[str, str]], name: str
) -> None:
    assert results[name]["score"] == "100.0", results[name]["report"]


@pytest.mark.parametrize("name", BEHIND)
def test_a_forgery_earns_nothing(results: dict[str, dict[str, str]], name: str) -> None:
    assert results[name]["score"] == "0.0", results[name]["report"]


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("endless-loop", "timed out", r"cell 1 was stopped after 5\.0 s$"),
        ("stubborn-loop", "timed out", r"cell 1 was stopped after \d\.\d s, and did not react"),
        ("prints-forever", "timed out", r"cell 1 was stopped after"),
        ("ends-at-once", "crashed", r"cell 1 ended the process \(exit code 0\)"),
        ("kills-itself", "crashed", r"cell 1 ended the process \(signal 9, Killed\)"),
        ("kills-its-group", "crashed", r"cell 1 ended the process \(signal 9, Killed\)"),
        ("crashes", "crashed", r"cell 1 ended the process \(signal 11"),
        ("closes-everything", "crashed", r"cell 1 ended the process"),
        ("exits", "graded", r"cell 1 failed"),
        ("syntax-error", "graded", r"cell 1 failed"),
        ("waits-for-input", "graded", r"cell 1 failed"),
        ("raises-what-it-likes", "graded", r"cell 1 failed"),
        ("fills-the-disk", "graded", r"cell 1 failed"),
        ("takes-all-memory", "graded", r"cell 1 failed"),
        ("ends-every-time", "crashed", r".*5 steps ended the process$"),
        ("loops-when-called", "timed out", r"q2 - 1 was stopped after"),
    ],
)
def test_what_went_wrong_is_told(
    results: dict[str, dict[str, str]], name: str, status: str, reason: str
) -> None:
    assert results[name]["status"] == status
    assert re.match(reason, results[name]["reason"]), results[name]["reason"]


def test_a_limit_on_files_and_memory_holds(results: dict[str, dict[str, str]]) -> None:
    assert "File too large" in results["fills-the-disk"]["report"]
    assert "MemoryError" in results["takes-all-memory"]["report"]


def test_an_answer_that_loops_loses_its_own_question_alone(
    results: dict[str, dict[str, str]],
) -> None:
    row = results["loops-when-called"]
    assert (row["q1"], row["q2"], row["q3"]) == ("5", "0", "2")


def test_nothing_is_found_from_the_working_folder_even_without_landlock(
    results: dict[str, dict[str, str]],
    built: Built,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "Cells that failed" not in results["searches"]["report"]
    (tmp_path / "in").mkdir()
    (tmp_path / "temporary").mkdir()
    for name in ("searches", "searches-too", "kills-its-parent"):  # two at the same time
        notebook = built.solution()
        source = SEARCH.format(more="") if name != "kills-its-parent" else BEFORE[name]
        notebook.cells.insert(0, new_code_cell(source))
        nbformat.write(notebook, tmp_path / "in" / f"{name}.ipynb")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    limits = replace(LIMITS, confine=False, seconds=60)
    grade(built.assignment, tmp_path / "in", tmp_path / "out", limits=limits, jobs=2)
    rows = read_results(tmp_path / "out")
    for name in ("searches", "searches-too"):
        assert "Cells that failed" not in rows[name]["report"], rows[name]["report"]
    # the parent that it kills is its own supervisor, not the grader
    assert rows["kills-its-parent"]["status"] == "crashed"
    assert rows["kills-its-parent"]["score"] == "100.0"


def test_the_search_would_find_a_test_in_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("secret of q1")
    done = subprocess.run(
        [sys.executable, "-c", SEARCH.format(more="")],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert "note.txt" in done.stderr


def test_functions_and_methods_of_memlib_that_were_replaced_are_put_back() -> None:
    cell = """
from memlib import errors
errors.shorten.__code__ = (lambda value: "nothing").__code__
errors.UnknownName.__str__ = lambda self: "nothing"
errors.NotPositive = None"""
    test = """
text = str(errors.UnknownName("argument", 7, "Fix it."))
assert text == "argument: 7 is not a known name. Fix it.", text
assert issubclass(errors.NotPositive, errors.InvalidInput)"""
    run = run_submission(
        [Step("cell 1", cell)], [Step("q1", test, "q1")], preamble="from memlib import errors"
    )
    assert run.outcomes["cell 1"].passed
    assert run.outcomes["q1"].passed, run.outcomes["q1"].message


def test_what_references_compute_with_is_put_back() -> None:
    preamble = """
from fractions import Fraction
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F"""
    cell = """
F.cross_entropy = lambda logits, labels, **_: 0 * logits.sum(1)
torch.autograd.grad = lambda loss, pixels: [0 * pixels]
torch.nn.Module.eval = lambda self: self
np.random.default_rng = lambda *_: None
pd.Series.corr = lambda *_, **__: 0.5
Fraction.__eq__ = lambda *_: True"""
    test = """
x = torch.ones(1, 2, requires_grad=True)
loss = F.cross_entropy(x, torch.tensor([0]), reduction="none")
assert loss > 0.6, "cross-entropy"
assert torch.autograd.grad(loss.sum(), x)[0].abs().sum() > 0, "gradient"
assert not torch.nn.Dropout().eval().training, "eval"
assert np.random.default_rng(0).random() < 1, "random"
assert pd.Series([1, 2, 3]).corr(pd.Series([1, 2, 3])) > 0.9, "correlation"
assert not Fraction(1, 2) == Fraction(1, 3), "fractions"
"""
    cells = [Step("cell 1", preamble + cell)]
    run = run_submission(cells, [Step("q1", test, "q1")], preamble=preamble)
    assert run.outcomes["cell 1"].passed, run.outcomes["cell 1"].message
    assert run.outcomes["q1"].passed, run.outcomes["q1"].message


@pytest.mark.skipif(sys.platform != "linux", reason="macOS counts in other units")
def test_what_is_printed_is_kept_nowhere() -> None:
    cell = 'for _ in range(400): print("x" * 1_000_000)'
    test = """
import resource
assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 300_000  # kB; 400 MB were printed"""
    run = run_submission([Step("cell 1", cell)], [Step("q1", test, "q1")])
    assert run.outcomes["q1"].passed, run.outcomes["q1"].message


@LANDLOCK
@pytest.mark.parametrize("name", ["searches-absolute-paths", "overwrites-results"])
def test_with_landlock_absolute_paths_lead_nowhere_either(
    results: dict[str, dict[str, str]], name: str
) -> None:
    assert "Cells that failed" not in results[name]["report"], results[name]["report"]
    assert results[name]["score"] == "100.0"


@LANDLOCK
def test_with_landlock_no_other_process_can_be_looked_at() -> None:
    cell = f"""
import os
assert open("/proc/self/cmdline").read() and open("/proc/meminfo").read()
for process in ({os.getpid()}, os.getppid()):
    for name in ("cmdline", "environ", "maps", "status"):
        try: open(f"/proc/{{process}}/{{name}}").read()
        except PermissionError: continue
        raise AssertionError((process, name))"""
    run = run_submission([Step("cell 1", cell)], [])
    assert run.outcomes["cell 1"].passed, run.outcomes["cell 1"].message


@pytest.mark.skipif(version() < 4, reason="This system's Landlock does not know TCP")
def test_with_landlock_no_connection_is_made(results: dict[str, dict[str, str]]) -> None:
    assert "Cells that failed" not in results["connects"]["report"]


@pytest.mark.skipif(sys.platform != "linux", reason="Looks into /proc")
def test_no_process_and_no_folder_is_left(results: dict[str, dict[str, str]]) -> None:
    assert results["leaves-a-child"]["score"] == "100.0"

    def running() -> list[str]:
        commands = []
        for entry in os.listdir("/proc"):
            try:
                commands.append(Path(f"/proc/{entry}/cmdline").read_text(errors="replace"))
            except OSError:
                continue
        return [command for command in commands if MARK in command]

    end = time.monotonic() + 2  # the last one may still be on its way out
    while running() and time.monotonic() < end:
        time.sleep(0.1)
    assert running() == []
