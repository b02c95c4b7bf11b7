"""Runs one submission in its own process and folder, step by step, within a time limit.

A step is a cell or a test. Each may use half of the time that is left; then it is interrupted, and
what it defines is missing, but the rest goes on. A step that will not be interrupted, or that ends
the process, is left out, and the others run again in a new process, a few times.
"""

import ast
import json
import os
import re
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import memlib
from memlib import selfcheck

_HERE = Path(__file__).resolve().parent
_GRACE = 2.0  # seconds that an interrupted step has to end
_STARTUP = 300.0  # seconds that loading the libraries may take; not the answer's fault
_STARTS = 5  # processes for one submission
_LEAST = 0.05  # seconds that are not worth a step
_LONGEST_REPLY = 100_000
_BOOT = """
import json, sys, types
requests = open(int(sys.argv[1]), "rb")
sys.modules["scripts"] = scripts = types.ModuleType("scripts")
for name, source in json.loads(requests.readline()).items():
    module = sys.modules["scripts." + name] = types.ModuleType("scripts." + name)
    setattr(scripts, name, module)
    exec(compile(source, "<grader>", "exec"), vars(module))
module.main(requests, int(sys.argv[2]))
"""


@dataclass(frozen=True)
class Limits:
    """What a submission may use.

    Args:
        seconds: Wall-clock time for all its cells and tests; loading the libraries is not counted.
        memory: Bytes of data of each of its processes.
        file_size: Bytes of each file that it writes.
        processes: How many processes and threads it may start (no limit for root).
        confine: Use Landlock where there is one; off only to prove what holds without it.
    """

    seconds: float = 120.0
    memory: int = 6 << 30
    file_size: int = 64 << 20
    processes: int = 256
    confine: bool = True


@dataclass(frozen=True)
class Step:
    """One thing to run.

    Args:
        name: `"cell 3"`, or the name of a test.
        code: Python, with magics in cells.
        question: The question of a test; empty for a cell.
    """

    name: str
    code: str
    question: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of one step.

    Args:
        passed: It raised nothing.
        message: What it raised, or why it was stopped; None if it passed.
        fatal: It ended the process, or the process had to be ended.
        stopped: It took too long.
    """

    passed: bool
    message: str | None
    fatal: bool = False
    stopped: bool = False


@dataclass(frozen=True)
class Run:
    """What became of all steps.

    Args:
        outcomes: By step name; steps that were not reached are missing.
        seconds: Wall-clock time used, without loading the libraries.
        cut_short: Why steps are missing; empty if none is.
        landlock: The version of Landlock that confined it; 0 for none.
    """

    outcomes: dict[str, Outcome]
    seconds: float
    cut_short: str
    landlock: int


class Interrupted(Exception):
    """Whoever grades asked to stop."""


class _Ended(Exception):
    """The process ended before it answered; the message says how."""


class _Stuck(_Ended):
    """It has to be ended: it did not react to an interrupt."""


def run_submission(
    cells: list[Step],
    tests: list[Step],
    *,
    preamble: str = "",
    limits: Limits | None = None,
    stop: threading.Event | None = None,
) -> Run:
    """Run a submission's cells in order, then the tests.

    Args:
        cells: Its code cells.
        tests: In the order in which they run. No test is known to the process before the last cell
            has run, and none before the one at hand is done.
        preamble: Import statements that the tests rely on.
        limits: What it may use.
        stop: Set from another thread to give up.

    Returns:
        The outcomes, as far as time and `_STARTS` went.

    Raises:
        Interrupted: `stop` was set.
        RuntimeError: The process did not start: something is wrong with this machine.
    """
    limits, stop = limits or Limits(), stop or threading.Event()
    left = limits.seconds
    settled: dict[str, Outcome] = {}  # tests that were run, and whatever cost a process
    for _ in range(_STARTS):
        outcomes = dict(settled)
        with _Process(preamble, limits, stop) as process:
            for step in (step for step in [*cells, *tests] if step.name not in settled):
                if left <= _LEAST:
                    break
                began = time.monotonic()
                outcome = process.step(step, left)
                left -= time.monotonic() - began
                outcomes[step.name] = outcome
                if step.question or outcome.fatal:
                    settled[step.name] = outcome
                if outcome.fatal:
                    break
            else:
                return Run(outcomes, limits.seconds - left, "", process.landlock)
        if left <= _LEAST:
            why = f"the {limits.seconds:g} s were used up"
            return Run(outcomes, limits.seconds, why, process.landlock)
    why = f"{_STARTS} steps ended the process"
    return Run(outcomes, limits.seconds - left, why, process.landlock)


class _Process:
    """The process of one submission, in a folder of its own; both are gone afterwards."""

    def __init__(self, preamble: str, limits: Limits, stop: threading.Event) -> None:
        self.stop, self.process_id, self.landlock = stop, 0, 0
        self._folder = Path(tempfile.mkdtemp(prefix="memlib-grade-"))
        (self._folder / "work").mkdir()
        theirs_in, self._requests = os.pipe()
        self._replies, theirs_out = os.pipe()
        os.set_blocking(self._requests, False)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed in __exit__)
        self._received = b""
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _BOOT, str(theirs_in), str(theirs_out)],
            cwd=self._folder / "work",
            env=_environment(self._folder / "work"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            pass_fds=(theirs_in, theirs_out),
            start_new_session=True,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._start = _boot(preamble, limits)

    def __enter__(self) -> "_Process":
        token = secrets.token_hex(16)
        sources = {
            name: (_HERE / f"{name}.py").read_text("utf-8")
            for name in ("grade_confine", "grade_runner")
        }
        frames = [sources, {**self._start, "token": token}]
        try:
            text = "".join(json.dumps(frame) + "\n" for frame in frames)
            answer = self._exchange(text.encode(), token, _STARTUP, _STARTUP)
        except _Ended as how:
            self._errors.seek(0)
            said = self._errors.read()[-2000:].decode(errors="replace")
            self.__exit__()
            raise RuntimeError(f"A submission's process did not start; it {how}.\n{said}") from None
        except BaseException:
            self.__exit__()
            raise
        self.process_id, self.landlock = answer[1:]
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()  # it kills its descendants first
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self.process_id:
            _kill_group(self.process_id)
        for place in (self._requests, self._replies):
            os.close(place)
        self._errors.close()
        _remove(self._folder)

    def step(self, step: Step, left: float) -> Outcome:
        """Run one step, which may use half of the seconds that are left."""
        token, code = secrets.token_hex(16), step.code.encode(errors="replace")
        question = "".join(step.question.split()) or "-"
        header = f"{token} {'test' if step.question else 'cell'} {question} {len(code)}\n"
        began = time.monotonic()
        try:
            answer = self._exchange(header.encode() + code, token, left / 2, left / 2 + _GRACE)
        except _Ended as how:
            return Outcome(False, str(how), fatal=True, stopped=isinstance(how, _Stuck))
        if answer[1] is True:
            return Outcome(True, None)
        if time.monotonic() - began >= left / 2:
            return Outcome(False, f"was stopped after {left / 2:.1f} s", stopped=True)
        return Outcome(False, _plain(answer[3]))

    def _exchange(self, request: bytes, token: str, soft: float, hard: float) -> tuple[Any, ...]:
        """Send a request and return the reply, after an interrupt if `soft` seconds have passed."""
        began, interrupted = time.monotonic(), False
        while True:
            if self.stop.is_set():
                raise Interrupted
            passed = time.monotonic() - began
            if passed > soft and not interrupted and self.process_id:
                interrupted = True
                with suppress(ProcessLookupError):
                    os.kill(self.process_id, signal.SIGINT)
            if passed > hard:
                raise _Stuck(f"was stopped after {passed:.1f} s, and did not react to that")
            ended = self._process.poll() is not None
            wanted = [self._requests] if request and not ended else []
            readable, writable, _ = select.select([self._replies], wanted, [], 0 if ended else 0.1)
            if writable:
                try:
                    request = request[os.write(self._requests, request[:65536]) :]
                except BrokenPipeError:
                    request = b""  # it is about to end
            chunk = os.read(self._replies, 65536) if readable else b""
            *lines, self._received = (self._received + chunk).split(b"\n")
            self._received = self._received[:_LONGEST_REPLY]
            for line in lines:
                # anything else was not written by the runner for this request
                if line.startswith(f"('{token}', ".encode()):
                    return _parsed(line)
            if not chunk and (ended or readable):
                raise _Ended(self._how_it_ended())

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            return "closed its connection to the grader"
        number = code - 128 if code > 128 else -code
        if number == signal.SIGXCPU:
            return "used up its processor time"
        if code < 0 or code > 128:
            return f"ended the process (signal {number}, {signal.strsignal(number)})"
        return f"ended the process (exit code {code})"


def _parsed(line: bytes) -> tuple[Any, ...]:
    try:
        return tuple(ast.literal_eval(line.decode()))
    except Exception as error:  # an answer that replaced what writes the reply
        raise _Ended("sent a reply that cannot be read") from error


def _boot(preamble: str, limits: Limits) -> dict[str, Any]:
    """Return what a new process is told: everything but the answer and the tests."""
    package = Path(memlib.__file__).resolve().parent
    project = (package.parent, _HERE, _HERE.parent)
    # folders that hold the project, or the folder in which the grader was started
    forget = [
        entry
        for entry in sys.path
        if not entry or any(at.is_relative_to(Path(entry).resolve()) for at in project)
    ]
    system = ["/usr", "/lib", "/lib64", "/bin", "/etc", "/sys", "/System", "/Library"]
    # of the processes its own alone: the others' command lines and environments are not for it
    system += [f"/proc/{name}" for name in ("self", "cpuinfo", "meminfo", "stat", "sys")]
    readable = [*system, sys.prefix, sys.base_prefix, str(package), *sys.path]
    return {
        "limits": {
            "seconds": limits.seconds,
            "memory": limits.memory,
            "file_size": limits.file_size,
            "processes": limits.processes,
        },
        "path": [entry for entry in sys.path if entry],
        "forget": forget,
        "confine": limits.confine,
        "readable": sorted({entry for entry in readable if entry not in forget}),
        "preamble": preamble,
        "selfcheck": Path(selfcheck.__file__).read_text("utf-8"),
    }


def _environment(work: Path) -> dict[str, str]:
    """Return the environment of a submission: nothing of the caller's but where programs are."""
    one_thread = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"]),
        "LANG": "C.UTF-8",
        "MPLBACKEND": "Agg",
        "MEMLIB_DEVICE": "cpu",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        **dict.fromkeys(("HOME", "TMPDIR", "IPYTHONDIR", "MPLCONFIGDIR"), str(work)),
        **dict.fromkeys(one_thread, "1"),
    }


def _plain(text: object) -> str:
    """Return a message without the characters that would drive a terminal."""
    return re.sub(r"[^\S\n]|[\x00-\x09\x0b-\x1f\x7f-\x9f]", " ", str(text))


def _kill_group(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _remove(folder: Path) -> None:
    """Remove a folder even if what ran in it took the rights to its subfolders away."""
    for place, folders, _ in os.walk(folder):
        for name in folders:
            path = Path(place, name)
            if not path.is_symlink():
                path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
