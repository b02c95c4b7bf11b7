"""What students handed in: which files there are, and the code cells of each."""

import hashlib
import re
import stat
import unicodedata
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import nbformat

_LARGEST = 50_000_000  # bytes of a notebook
_CHECK = re.compile(r"grader\.check(_all)?\([^()\n]*\)\s*;?")


class NotANotebook(Exception):
    """A file that cannot be graded; the message says why, to the student."""


@dataclass(frozen=True)
class Submission:
    """One entry of the folder of submissions.

    Args:
        student: The file's name without its ending; the whole name where two files share one.
        path: The file.
        note: What whoever grades should know about it; may be empty.
    """

    student: str
    path: Path
    note: str = ""

    @property
    def report(self) -> str:
        """The file name of its report: plain characters, and unique."""
        plain = re.sub(r"[^\w.-]+", "_", self.student)[:80]
        if plain == self.student and not plain.startswith(".") and plain.isascii():
            return f"{plain}.md"
        digest = hashlib.sha256(self.path.name.encode(errors="surrogateescape")).hexdigest()
        return f"{plain.lstrip('.')}-{digest[:8]}.md"


def collect(folder: Path, leave_out: Path | None = None) -> list[Submission]:
    """Return what a folder holds, one entry a file, link or subfolder, by name.

    Args:
        folder: The folder of submissions. Names that start with a dot are the system's own and
            are left out.
        leave_out: The folder of results, if it lies inside.

    Raises:
        SystemExit: It is no folder, or there is nothing in it.
    """
    if not folder.is_dir():
        raise SystemExit(f"SUBMISSIONS={str(folder)!r} is not a folder.")
    paths = sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and (leave_out is None or path.resolve() != leave_out)
    )
    if not paths:
        raise SystemExit(
            f"SUBMISSIONS={str(folder)!r} is empty. Put one notebook for each student there, "
            "named after the student."
        )
    names = {path: readable(path.stem) for path in paths}
    # "Ann.ipynb" and "ann .IPYNB" are one student to a person, and to some file systems
    count = Counter(_key(name) for name in names.values())
    twice = "two files have this student's name"
    return [
        Submission(readable(path.name), path, twice)
        if count[_key(name)] > 1
        else Submission(name, path)
        for path, name in names.items()
    ]


def _key(name: str) -> str:
    return unicodedata.normalize("NFKC", name).strip().casefold()


def readable(text: str) -> str:
    """Return a text without control characters and without bytes that are no text."""
    text = text.encode(errors="surrogateescape").decode(errors="replace")
    return "".join("?" if unicodedata.category(c) in {"Cc", "Cf"} else c for c in text)


def read(path: Path) -> bytes:
    """Return the bytes of a submission.

    Raises:
        NotANotebook: It is no regular file, is too large, or has another ending.
    """
    try:
        kind = path.lstat()
        if stat.S_ISLNK(kind.st_mode):
            raise NotANotebook("is a symbolic link, which is not followed")
        if stat.S_ISDIR(kind.st_mode):
            raise NotANotebook("is a folder; the notebooks must lie side by side")
        if not stat.S_ISREG(kind.st_mode):
            raise NotANotebook("is no regular file")
        if path.suffix.lower() != ".ipynb":
            raise NotANotebook("does not end in .ipynb")
        if kind.st_size > _LARGEST:
            raise NotANotebook(f"is larger than {_LARGEST // 1_000_000} MB")
        return path.read_bytes()
    except OSError as error:
        raise NotANotebook(f"cannot be read: {error.strerror}") from error


def code_cells(content: bytes) -> dict[str, str]:
    """Return the code cells of a notebook by name, `"cell 3"` for the third code cell.

    Cells that do nothing but call the notebook's own checks are left out: the tests run anyway.

    Args:
        content: The bytes of the file.

    Raises:
        NotANotebook: They are no notebook in Python; the message says what they are.
    """
    if not content.strip():
        raise NotANotebook("is empty")
    if content.startswith(b"%PDF"):
        raise NotANotebook("is a PDF with another name")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old formats, which are converted
            notebook = nbformat.reads(content.decode("utf-8-sig"), as_version=4)
        language = notebook.metadata.get("kernelspec", {}).get("language", "python")
        sources = [str(c.source) for c in notebook.cells if c.cell_type == "code"]
    except UnicodeDecodeError:
        raise NotANotebook("is no text") from None
    except (nbformat.reader.NotJSONError, RecursionError):
        raise NotANotebook("is no notebook: its JSON is broken or cut off") from None
    except Exception as error:  # whatever else a malformed structure raises in nbformat
        raise NotANotebook(f"is no notebook ({type(error).__name__} while reading it)") from error
    if str(language).lower() != "python":
        raise NotANotebook(f"is a notebook in {readable(str(language))[:30]}")
    if not any(source.strip() for source in sources):
        raise NotANotebook("holds no code")
    return {
        f"cell {number}": source
        for number, source in enumerate(sources, 1)
        if source.strip() and not _CHECK.fullmatch(source.strip())
    }
