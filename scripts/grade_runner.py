"""The process in which one submission runs: `scripts.grade_session` starts it and talks to it.

Two processes, really. The first sets the limits, waits for the second, kills whatever that one
started, and reports how it ended. The second runs the notebook's cells in IPython, and after the
last of them the tests.

Both get this text over a pipe, so that neither their arguments nor their environment name a folder
of the project. A request is one line, with a token that the reply must repeat, and the code to run;
the answer's code cannot know the token in advance, and what it prints goes to another place.
"""

import builtins
import json
import os
import signal
import sys
import types
from contextlib import nullcontext
from os import _exit as end
from os import getpid, write
from signal import signal as set_handler
from time import perf_counter
from typing import Any, BinaryIO

from scripts import grade_confine

#: Modules outside memlib whose functions are put back, if an answer replaced them, before a test.
_GUARDED = (
    *("builtins", "fractions", "math", "pandas"),
    *("numpy", "numpy.linalg", "numpy.random", "numpy.testing"),
    *("torch", "torch.autograd", "torch.nn", "torch.nn.functional", "torch.testing"),
)
#: Classes outside memlib of which the same holds.
_GUARDED_CLASSES = ("DataFrame", "Fraction", "Module", "Series", "Tensor")


def main(requests: BinaryIO, replies: int) -> None:
    """Start the second process, wait for it, and end with its status.

    Args:
        requests: What the grader writes to.
        replies: The file descriptor that the grader reads from.
    """
    boot = json.loads(requests.readline())
    grade_confine.die_with_parent(signal.SIGTERM)
    grade_confine.adopt_orphans()
    grade_confine.limit_resources(**boot["limits"])
    child = os.fork()
    if child == 0:
        _second(boot, requests, replies)
        end(0)

    def stop(*_: object) -> None:
        grade_confine.kill_descendants(child)
        end(128 + signal.SIGTERM)

    set_handler(signal.SIGTERM, stop)
    os.close(replies)
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == child:
            break
    grade_confine.kill_descendants(child)
    killed_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    end(128 + killed_by if killed_by else os.WEXITSTATUS(status))


def _second(boot: dict[str, Any], requests: BinaryIO, replies: int) -> None:
    """Load what the tests need, give up all other rights, and serve."""
    os.setsid()
    grade_confine.die_with_parent(signal.SIGKILL)
    set_handler(signal.SIGINT, signal.SIG_IGN)
    sys.path[:] = boot["path"]
    sys.argv = [""]
    selfcheck = _private(boot["selfcheck"])
    exec(boot["preamble"], {"__name__": "__main__"})  # before any right is given up
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    shell: Any = InteractiveShell.instance(config=config, colors="nocolor")
    shell.showtraceback = lambda *_, **__: None  # nobody reads it, and it can take long
    shell.showsyntaxerror = lambda *_, **__: None
    shell._tee = lambda *_, **__: nullcontext()  # IPython 9 would keep all that is printed
    for name in [name for name in sys.modules if name.split(".")[0] == "scripts"]:
        del sys.modules[name]
    sys.path[:] = [folder for folder in sys.path if folder not in boot["forget"]]
    landlock = grade_confine.restrict(boot["readable"], [os.getcwd()]) if boot["confine"] else 0
    _reply(replies, f"({boot['token']!a}, {getpid()!a}, {landlock!a})")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    _serve(requests, replies, shell, boot["preamble"], selfcheck)


def _private(source: str) -> Any:
    """Return a copy of memlib.selfcheck that no import finds."""
    module = types.ModuleType("memlib.selfcheck")
    exec(compile(source, "<selfcheck>", "exec"), vars(module))
    return module


def _serve(requests: BinaryIO, replies: int, shell: Any, preamble: str, selfcheck: Any) -> None:
    """Run what is asked for, one step at a time, until the grader closes the pipe."""
    me, restore = getpid(), _restorer()
    run_test, describe, type_name = selfcheck.run_test, selfcheck.describe, selfcheck.type_name
    spaces: dict[str, dict[str, Any]] = {}
    while header := requests.readline():
        token, kind, question, size = header.decode().split()
        code = requests.read(int(size)).decode()
        began = perf_counter()
        try:
            set_handler(signal.SIGINT, signal.default_int_handler)
            if kind == "cell":
                done = shell.run_cell(code, store_history=False)
                error = done.error_before_exec or done.error_in_exec
                message = None if error is None else describe(error)
            else:
                restore()
                if question not in spaces:
                    spaces[question] = {**shell.user_ns, "__builtins__": builtins}
                    exec(preamble, spaces[question])
                message = run_test(code, spaces[question])
            set_handler(signal.SIGINT, signal.SIG_IGN)
            passed = message is None
        except BaseException as error:  # an interrupt, or an exception that is none of Python's own
            set_handler(signal.SIGINT, signal.SIG_IGN)
            passed, message = False, type_name(error)
        if getpid() != me:  # the answer forked, and its copy came back here
            end(0)
        # Literals, written by formatting alone: there is no function here that an answer could
        # have replaced. The verdict comes before the text, which may be an object of the answer's.
        _reply(replies, f"({token!a}, {passed!a}, {perf_counter() - began!a}, {message!a})")


def _reply(replies: int, answer: str) -> None:
    rest = answer.encode() + b"\n"
    while rest:
        rest = rest[write(replies, rest) :]


def _restorer() -> Any:
    """Return a function that undoes what an answer did to the names that tests rely on."""
    loaded = dict(sys.modules)
    modules = [
        (module, dict(vars(module)), name.split(".")[0] == "memlib")
        for name, module in loaded.items()
        if name.split(".")[0] == "memlib" or name in _GUARDED
    ]
    code = [
        (value, value.__code__, value.__defaults__, value.__kwdefaults__)
        for _, names, ours in modules
        for value in names.values()
        if ours and isinstance(value, types.FunctionType)
    ]

    classes = [
        (value, dict(vars(value)))
        for _, names, _ in modules
        for value in names.values()
        if isinstance(value, type)
        and (str(value.__module__).startswith("memlib") or value.__qualname__ in _GUARDED_CLASSES)
    ]

    def restore() -> None:
        sys.settrace(None)
        sys.setprofile(None)
        sys.modules.update(loaded)
        for module, names, ours in modules:
            now = vars(module)
            for name, value in names.items():
                if (ours or callable(value)) and now.get(name) is not value:
                    now[name] = value
        for function, compiled, defaults, keywords in code:
            function.__code__ = compiled
            function.__defaults__, function.__kwdefaults__ = defaults, keywords
        for owner, attributes in classes:
            present = vars(owner)
            for name in set(present) - set(attributes):
                if callable(present[name]):  # it would hide an inherited method
                    type.__delattr__(owner, name)
            for name, value in attributes.items():
                if present.get(name) is not value and name not in {"__dict__", "__weakref__"}:
                    type.__setattr__(owner, name, value)

    return restore
