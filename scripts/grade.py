"""Grades submissions: `make grade ASSIGNMENT=NAME SUBMISSIONS=folder`.

Writes `grades.csv` and `reports/STUDENT.md` to OUT. What was graded before is kept as long as the
submission, the tests, memlib and the time limit are the same; FORCE=1 grades everything again.

## What the isolation is, and is not

Each submission runs in a process of its own, in an empty temporary folder that is deleted
afterwards, without the caller's environment, as the user who grades. It has a time limit, after
which it and every process that it started are killed; limits on memory and on the size of files;
and no standard input or output, so that printing costs nothing. Tests, hidden ones included, are
never files there: they are sent to the process one at a time once its last cell has run, and the
verdict comes back over a pipe with a token that the answer cannot know in advance, so that nothing
that it prints or writes is taken for a result. Functions of memlib, NumPy, pandas, torch and Python
itself that an answer replaced are put back before each test.

On Linux 5.13 and newer, Landlock also takes the right away to open any file but the libraries, the
system's settings and that folder, and to look at other processes; with Linux 6.7 no TCP connection
can be made, and with Linux 6.12 no other process can be sent a signal. The end of the output says
which version of Landlock was in force.

It is not a container or another user:

- Tests and answer share one Python process. Code that is written to attack this grader can search
  the memory for a test while that test runs, or forge its verdict. Read a submission whose score
  surprises you.
- Without Landlock (macOS, older Linux, some containers), a submission can read, by absolute path,
  whatever you can read, the masters with their solutions and other submissions included, and write
  what you can write.
- UDP is not blocked, and without Linux 6.7 neither is TCP.
- Memory is limited for each process, not for all together. The number of processes is limited too,
  but not for root: do not grade as root. The size of each file is limited, not their number.
- A process that leaves its session is still found and killed on Linux; on macOS it is not.

To grade strangers rather than your own class, run this command in a virtual machine or a container
without a network.
"""

import argparse
import hashlib
import json
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

from memlib.files import atomic_path
from memlib.results import source_hash
from memlib.runtime import progress
from scripts import assignments, grade_confine
from scripts.assignments import Assignment
from scripts.grade_report import Graded, graded, refused, score, write_table
from scripts.grade_session import Interrupted, Limits, Step, run_submission
from scripts.submissions import NotANotebook, Submission, code_cells, collect, read

_HERE = Path(__file__).resolve().parent


def grade(
    assignment: Assignment,
    submissions: Path,
    out: Path,
    *,
    limits: Limits | None = None,
    jobs: int = 1,
    force: bool = False,
) -> list[Graded]:
    """Grade a folder of submissions.

    Args:
        assignment: The tests.
        submissions: The folder.
        out: Where the table and the reports go.
        limits: What each submission may use.
        jobs: How many run at the same time, on one thread each.
        force: Grade again what was graded before.

    Returns:
        One result for each entry of the folder.

    Raises:
        SystemExit: There is no such folder, or nothing in it.
        RuntimeError: No process could be started; nothing is wrong with the submission.
    """
    limits = limits or Limits()
    entries = collect(submissions, leave_out=out.resolve())
    state, stop = _state(assignment, limits), threading.Event()
    rows: list[Graded] = []
    with (
        ThreadPoolExecutor(jobs) as pool,
        progress(total=len(entries), desc=assignment.name) as bar,
    ):
        waiting = [
            pool.submit(_one, entry, assignment, out, limits, state, force, stop)
            for entry in entries
        ]
        try:
            for done in as_completed(waiting):
                row = done.result()
                rows.append(row)
                bar.write(_line(row, assignment), file=sys.stdout)
                bar.update()
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    keep = {row.report for row in rows}
    for path in (out / "reports").glob("*.md"):
        if path.name not in keep:  # of a submission that is not there any more
            path.unlink()
    write_table(out / "grades.csv", assignment, rows)
    return rows


def _one(
    submission: Submission,
    assignment: Assignment,
    out: Path,
    limits: Limits,
    state: str,
    force: bool,
    stop: threading.Event,
) -> Graded:
    """Grade one submission, or take what is stored if it and everything else is as it was."""
    store = out / ".graded" / submission.report.replace(".md", ".json")
    try:
        content = read(submission.path)
        key = hashlib.sha256(content).hexdigest() + state + submission.note
        if not force and store.exists():
            known = json.loads(store.read_text("utf-8"))
            if known["key"] == key:
                row = Graded(**known["row"])
                _write(out / "reports" / row.report, row.text)
                return row
        cells = [Step(name, code) for name, code in code_cells(content).items()]
        run = run_submission(
            cells,
            list(_tests(assignment)),
            preamble=assignment.preamble,
            limits=limits,
            stop=stop,
        )
        row = graded(submission, assignment, run, limits.seconds)
        _write(store, json.dumps({"key": key, "row": asdict(row)}))
    except NotANotebook as error:
        row = refused(submission, assignment, str(error))
    _write(out / "reports" / row.report, row.text)
    return row


def _tests(assignment: Assignment) -> Iterator[Step]:
    """Yield the tests, all public ones first: what a hidden one shows cannot reach a message."""
    for hidden in (False, True):
        for question in assignment.questions:
            for case in question.cases:
                if case.hidden == hidden:
                    yield Step(case.name, case.code, question.name)


def _state(assignment: Assignment, limits: Limits) -> str:
    """Return a digest of everything but the submission that a score depends on."""
    digest = hashlib.sha256((assignment.digest() + source_hash() + repr(limits)).encode())
    for path in sorted([*_HERE.glob("grade*.py"), _HERE / "submissions.py"]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, "utf-8")


def _line(row: Graded, assignment: Assignment) -> str:
    """Return one line for the terminal."""
    of_questions = " ".join(f"{name} {points:g}" for name, points in row.points.items())
    text = f"{row.student[:30]:30} {score(assignment, row.points):5.1f}  {row.status:14} "
    return f"{text}{row.seconds:6.1f} s  {of_questions}  {row.reason[:100]}".rstrip()


def _ensure_built(name: str) -> Assignment:
    """Return what the autograder knows of an assignment, built now if it is missing or old."""
    master = assignments.find(name)
    target = assignments.BUILT / name
    tests = target / "autograder" / "tests.json"
    if not tests.exists() or tests.stat().st_mtime < master.stat().st_mtime:
        print(f"Building {name} first: it is not built, or its master has changed.")
        return assignments.build(master, target)
    return assignments.load(target)


def main(arguments: list[str]) -> None:
    """Reads the command line of `make grade`."""
    parser = argparse.ArgumentParser(prog="make grade", description="Grades submissions.")
    parser.add_argument("--assignment", default="")
    parser.add_argument("--submissions", default="")
    parser.add_argument("--out", default="")
    parser.add_argument("--limit", default="120")
    parser.add_argument("--jobs", default="1")
    parser.add_argument("--force", default="")
    given = parser.parse_args(arguments)
    if not given.assignment or not given.submissions:
        raise SystemExit(
            "Say which: make grade ASSIGNMENT=NAME SUBMISSIONS=folder. "
            f"There are: {', '.join(assignments.masters()) or 'none yet'}."
        )
    limit, jobs = _positive("LIMIT", given.limit), int(_positive("JOBS", given.jobs))
    assignment = _ensure_built(given.assignment)
    default = assignments.ROOT / "results" / "grades" / given.assignment
    out = Path(given.out).resolve() if given.out else default
    try:
        rows = grade(
            assignment,
            Path(given.submissions),
            out,
            limits=Limits(seconds=limit),
            jobs=max(jobs, 1),
            force=given.force not in {"", "0"},
        )
    except (KeyboardInterrupt, Interrupted):
        raise SystemExit("Interrupted. The same command goes on where it stopped.") from None
    counts = Counter(row.status for row in rows)
    parts = ", ".join(f"{count} {status}" for status, count in counts.most_common())
    mean = sum(score(assignment, row.points) for row in rows) / len(rows)
    print(f"Submissions: {len(rows)} ({parts}). Mean score: {mean:.1f}.")
    landlock = grade_confine.version()
    print(
        f"Files, TCP and signals were confined by Landlock {landlock}."
        if landlock
        else "This system has no Landlock: a submission could read your files by absolute path "
        "(see the top of scripts/grade.py)."
    )
    print(f"{out / 'grades.csv'} and one report for each student in {out / 'reports'}")


def _positive(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise SystemExit(f"{name}={text!r} is not a positive number.")
    return value


if __name__ == "__main__":
    main(sys.argv[1:])
