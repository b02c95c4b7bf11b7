"""Limits for a process that runs code nobody has read: resources, files, signals, the network.

Runs in that process itself, with the standard library alone.

Landlock (Linux 5.13 and newer, no privileges needed) lets a process give up rights for good, for
itself and its children: here all files outside two lists, TCP connections (Linux 6.7), and signals
to processes outside (Linux 6.12).
"""

import ctypes
import os
import resource
import signal
import struct
import sys
import time
from contextlib import suppress

# include/uapi/linux/landlock.h; the system calls have these numbers on x86-64 and on ARM
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_READ = 0b1101  # execute, read a file, list a folder
_ALL = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_OF_FILES = 0b111 | 1 << 14 | 1 << 15  # what a rule for a file, not a folder, may grant
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_SET_PDEATHSIG, _SET_CHILD_SUBREAPER, _SET_NO_NEW_PRIVS = 1, 36, 38


def limit_resources(seconds: float, memory: int, file_size: int, processes: int) -> None:
    """Set the limits that every later child inherits.

    Args:
        seconds: CPU time of each process: the last resort against one that nothing else ended.
        memory: Bytes of data of each process.
        file_size: Bytes of any file that it writes.
        processes: How many more processes and threads the user may have; no limit for root.
    """
    limits = {
        resource.RLIMIT_CPU: int(seconds) + 5,
        resource.RLIMIT_FSIZE: file_size,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: 1024,
    }
    if sys.platform == "linux":
        # data: private writable memory. The address space also counts libraries, which for torch
        # with CUDA are several GB, so its limit is only there for shared memory.
        limits[resource.RLIMIT_DATA] = memory
        limits[resource.RLIMIT_AS] = memory + (32 << 30)
        limits[resource.RLIMIT_NPROC] = _threads_of_this_user() + processes
    for what, most in limits.items():
        hard = resource.getrlimit(what)[1]
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (value, value))


def _threads_of_this_user() -> int:
    count = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if os.stat(f"/proc/{name}").st_uid == os.getuid():
                    count += len(os.listdir(f"/proc/{name}/task"))
            except OSError:  # it has ended
                continue
    return count


def die_with_parent(number: int) -> None:
    """Ask the kernel for a signal to this process as soon as its parent ends (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PDEATHSIG, number, 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent has ended (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill_descendants(group: int) -> None:
    """Kill a process group and, on Linux, every descendant of this process, until none is left."""
    for _ in range(200):
        with suppress(ProcessLookupError, PermissionError):  # empty: what is left has left it
            os.killpg(group, signal.SIGKILL)
        for child in _descendants(os.getpid()):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                continue
        except ChildProcessError:
            return
        time.sleep(0.01)


def _descendants(root: int) -> list[int]:
    if sys.platform != "linux":
        return []
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    # "pid (command) state parent ...", where the command may hold anything
                    parents[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
            except OSError:  # it has ended
                continue
    found, front = [], [root]
    while front:
        front = [child for child, parent in parents.items() if parent in front]
        found += front
    return found


def version() -> int:
    """Return the version of Landlock that this system has; 0 for none."""
    if sys.platform != "linux":
        return 0
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return max(0, int(libc.syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint(1))))


def restrict(readable: list[str], writable: list[str]) -> int:
    """Give up every right over files outside two lists, TCP, and signals to other processes.

    Args:
        readable: Folders and files that may still be read; those that do not exist are skipped.
        writable: Folders in which anything may still be done.

    Returns:
        The version of Landlock that enforces it; 0 where there is none, and nothing happened.
    """
    landlock = version()
    if not landlock:
        return 0
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    everything = _ALL[max(known for known in _ALL if known <= landlock)]
    # files; from version 4 on TCP; from version 6 on abstract sockets and signals
    fields = [everything] + [0b11] * ((landlock >= 4) + (landlock >= 6))
    handled = struct.pack(f"{len(fields)}Q", *fields)
    rules = libc.syscall(_CREATE, handled, ctypes.c_size_t(len(handled)), ctypes.c_uint(0))
    if rules < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset")
    wanted = [(path, _READ) for path in readable] + [(path, everything) for path in writable]
    wanted += [(path, _READ | 0b10) for path in _DEVICES]
    for path, rights in wanted:
        try:
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        allowed = rights & (everything if os.path.isdir(path) else everything & _OF_FILES)
        rule = struct.pack("=Qi", allowed, place)
        failed = libc.syscall(_ADD, ctypes.c_int(rules), ctypes.c_int(1), rule, ctypes.c_uint(0))
        os.close(place)
        if failed:
            raise OSError(ctypes.get_errno(), "landlock_add_rule", path)
    libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.syscall(_RESTRICT, ctypes.c_int(rules), ctypes.c_uint(0)):
        raise OSError(ctypes.get_errno(), "landlock_restrict_self")
    os.close(rules)
    return landlock
