"""Files written whole or not at all, and archives whose bytes depend on their content only."""

import hashlib
import os
import platform
import re
import secrets
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import numpy as np

_ABANDONED = 86_400  # seconds after which a temporary file of another machine is nobody's


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Give a temporary path to write to, and move it to `path` once the block has succeeded.

    Args:
        path: Where the file shall be. Missing folders are made; an old file is replaced.

    Yields:
        A path in the same folder, ending in `.tmp`. If the block raises, it is removed and the
        old file stays as it was. What a killed process left behind is removed by the next call
        for the same file: at once on the same machine, after a day on another.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target)
    writer = f"{_machine()}-{os.getpid()}-{secrets.token_hex(4)}"
    temporary = target.parent / f".{target.name}.{writer}.tmp"
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _machine() -> str:
    """Tells machines that share a folder apart, in eight hexadecimal digits."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _sweep(target: Path) -> None:
    """Remove the temporary files of writers of this file that are no more."""
    name = re.compile(re.escape(f".{target.name}.") + r"([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.tmp")
    for path in target.parent.iterdir():
        if found := name.fullmatch(path.name):
            with suppress(FileNotFoundError):  # another call may sweep, or finish, at this moment
                here = found[1] == _machine() and os.name == "posix"
                old = time.time() - path.stat().st_mtime > _ABANDONED
                if old or (here and not _alive(int(found[2]))):
                    path.unlink()


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)  # signal 0 is none: it asks whether there is such a process
    except ProcessLookupError:
        return False
    except PermissionError:  # there is, of another user
        return True
    return True


def write_npz(file: IO[bytes], arrays: dict[str, np.ndarray], comment: bytes = b"") -> None:
    """Write arrays as compressed npz whose bytes depend on nothing but the arrays (and zlib).

    Args:
        file: Open for writing.
        arrays: Arrays without Python objects, by name.
        comment: The archive's comment, which ends the file.
    """
    with zipfile.ZipFile(file, "w") as members:
        members.comment = comment
        for name, array in arrays.items():
            # Unlike np.savez: a fixed date and system, and no array name is an argument's.
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type, entry.create_system = zipfile.ZIP_DEFLATED, 3
            with members.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
