"""Results on disk: tables and arrays with provenance, written whole or not at all.

A file carries what made it (command, settings, versions, source) and the SHA-256 of all its bytes,
which is compared before anything is parsed. The checksum finds damage and edits; it is no
signature, for anyone can compute it.
"""

import functools
import hashlib
import io
import json
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

import memlib
from memlib.errors import (
    CorruptResult,
    DuplicateIds,
    EmptySelection,
    ForeignResult,
    MissingData,
    NonFiniteNumber,
    UnknownName,
    WrongType,
)
from memlib.files import atomic_path, write_npz

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_KEY = "memlib"  # where the provenance stands: in a table's schema metadata, beside the arrays
_MARK = b"memlib-sha256:"  # what the checksum stands behind: in the metadata, in the zip's comment
_BLANK = b"0" * 64
_PACKAGE = Path(__file__).parent
_REDO = "Delete it and compute it again."


@dataclass(frozen=True)
class Provenance:
    """What made a result.

    Args:
        command: The command or function that computed it.
        settings: Everything that determines the numbers, the seed included; JSON values. Tuples
            become lists, NumPy numbers plain ones.
        versions: Version of Python and of each package that matters.
        wall_seconds: Seconds that it took. Where finished parts are kept (shards and sets of
            networks, the epochs of `memlib score`), the sum over the parts, those of earlier calls
            included; parts that ran side by side count one by one. Else those of the last call.
        source_hash: `source_hash()` of the memlib that computed it.
        created: Day, UTC, as 2026-01-31.

    Raises:
        WrongType: The settings hold something that JSON has no word for.
        NonFiniteNumber: The settings hold NaN or infinity.
    """

    command: str
    settings: dict[str, Any]
    versions: dict[str, str]
    wall_seconds: float
    source_hash: str
    created: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", normalize(self.settings))


def provenance(command: str, settings: dict[str, Any], wall_seconds: float) -> Provenance:
    """Return the provenance of a result computed here and now.

    Args:
        command: The command or function that computed it.
        settings: Everything that determines the numbers, the seed included.
        wall_seconds: Seconds that it took, as in `Provenance`.

    Returns:
        The provenance, with versions, source hash and date filled in.

    Raises:
        WrongType: The settings hold something that JSON has no word for.
        NonFiniteNumber: The settings hold NaN or infinity.
    """
    versions = {"python": platform.python_version(), "memlib": memlib.__version__}
    for package in ("torch", "numpy", "pandas"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "unknown"
    today = datetime.now(UTC).date().isoformat()
    return Provenance(command, settings, versions, float(wall_seconds), source_hash(), today)


@functools.cache
def source_hash() -> str:
    """Return the SHA-256 of memlib's Python source files, names and contents, in sorted order."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py"), key=lambda path: path.relative_to(_PACKAGE).parts):
        for part in (path.relative_to(_PACKAGE).as_posix().encode(), path.read_bytes()):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def normalize(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings as JSON gives them back: tuples as lists, NumPy numbers as plain ones.

    Args:
        settings: A dictionary with string keys.

    Returns:
        A copy made of dictionaries, lists, strings, numbers, booleans and None.

    Raises:
        WrongType: It is no dictionary, or holds something that JSON has no word for.
        NonFiniteNumber: It holds NaN or infinity, which equal nothing.
    """
    fix = "Use strings, numbers, booleans, None, and lists or dictionaries of these."

    def plain(value: Any, key: str) -> Any:
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or isinstance(value, bool | int | str):
            return value
        if isinstance(value, float):
            if not np.isfinite(value):
                raise NonFiniteNumber(key, value, "Use a finite number, or None.")
            return value
        if isinstance(value, list | tuple):
            return [plain(item, f"{key}[{place}]") for place, item in enumerate(value)]
        if isinstance(value, dict) and all(isinstance(name, str) for name in value):
            return {name: plain(item, f"{key}.{name}") for name, item in value.items()}
        raise WrongType(key, value, fix)

    if not isinstance(settings, dict):
        raise WrongType("settings", settings, "Pass a dictionary.")
    result: dict[str, Any] = plain(settings, "settings")
    return result


def save_table(path: Path | str, table: "pd.DataFrame", provenance: Provenance) -> None:
    """Write a table as parquet with its provenance and checksum, whole or not at all.

    Args:
        path: The file.
        table: Columns and index of numbers, booleans or strings; NaN allowed.
        provenance: What made it.

    Raises:
        EmptySelection: There is no column.
        DuplicateIds: Two columns have one name.
        WrongType: A column holds something else, or it is no table.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not isinstance(table, pd.DataFrame):
        raise WrongType("table", type(table), "Pass a pandas DataFrame.")
    if not len(table.columns):
        raise EmptySelection("table", tuple(table.shape), "Keep at least one column.")
    twice = table.columns[table.columns.duplicated()]
    if len(twice):
        raise DuplicateIds("table", twice[0], "Give every column a name of its own.")
    fix = "Use columns of whole numbers, floats, booleans or strings."
    try:
        content = pa.Table.from_pandas(table)
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        raise WrongType("table", str(error), fix) from error
    for field in content.schema:
        if not _storable(field.type):
            raise WrongType("table", f"column {field.name} ({field.type})", fix)
    notes = {_KEY.encode(): _json(asdict(provenance)), f"{_KEY}-checksum".encode(): _MARK + _BLANK}
    content = content.replace_schema_metadata({**(content.schema.metadata or {}), **notes})
    with atomic_path(path) as temporary:
        pq.write_table(content, temporary, compression="zstd")
        _seal(temporary)


def load_table(
    path: Path | str, *, settings: dict[str, Any] | None = None
) -> tuple["pd.DataFrame", Provenance]:
    """Read a table that `save_table` wrote, once its checksum is confirmed.

    Args:
        path: The file.
        settings: The settings it must have been computed with; None takes any.

    Returns:
        The table and its provenance.

    Raises:
        MissingData: There is no such file.
        CorruptResult: The file is truncated, edited, or was not written by `save_table`.
        ForeignResult: It is whole but has other settings; the first difference is named.
    """
    import pyarrow.parquet as pq

    with _unsealed(path) as file:
        content = pq.ParquetFile(file).read()
        made = Provenance(**json.loads(content.schema.metadata[_KEY.encode()]))
        table = content.to_pandas()
    _check_settings(path, made, settings)
    return table, made


def save_arrays(path: Path | str, arrays: dict[str, np.ndarray], provenance: Provenance) -> None:
    """Write named arrays as npz with their provenance and checksum, whole or not at all.

    Args:
        path: The file.
        arrays: Arrays of numbers, booleans or fixed-width strings, by name.
        provenance: What made them.

    Raises:
        UnknownName: An array has the name that the header needs, or one that is not plain.
        WrongType: An array holds Python objects or records.
    """
    for name, array in arrays.items():
        if not isinstance(name, str) or name == _KEY or not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            fix = f"Name arrays by letters, digits, _ and -, and none {_KEY}."
            raise UnknownName("arrays", name, fix)
        if np.asarray(array).dtype.kind not in "biufcSU":
            fix = "Use arrays of numbers, booleans or strings."
            raise WrongType("arrays", f"{name} ({np.asarray(array).dtype})", fix)
    content = {name: np.asarray(array) for name, array in arrays.items()}
    content[_KEY] = np.frombuffer(_json(asdict(provenance)), np.uint8)
    with atomic_path(path) as temporary:
        with open(temporary, "wb") as file:
            write_npz(file, content, comment=_MARK + _BLANK)
        _seal(temporary)


def load_arrays(
    path: Path | str, *, settings: dict[str, Any] | None = None
) -> tuple[dict[str, np.ndarray], Provenance]:
    """Read arrays that `save_arrays` wrote, once their checksum is confirmed; never a pickle.

    Args:
        path: The file.
        settings: The settings they must have been computed with; None takes any.

    Returns:
        The arrays by name, and their provenance.

    Raises:
        MissingData: There is no such file.
        CorruptResult: The file is truncated, edited, or was not written by `save_arrays`.
        ForeignResult: It is whole but has other settings; the first difference is named.
    """
    with _unsealed(path) as file, np.load(file, allow_pickle=False) as members:
        arrays = {name: members[name] for name in members.files}
        made = Provenance(**json.loads(arrays.pop(_KEY).tobytes()))
    _check_settings(path, made, settings)
    return arrays, made


def stored(name: str) -> Path:
    """Return the path of a result that ships with memlib.

    Args:
        name: File name, as in `memlib/stored`.

    Returns:
        The path, for `load_table` or `load_arrays`.

    Raises:
        UnknownName: There is no such file; the message lists those there are.
    """
    folder = _PACKAGE / "stored"
    names = sorted(path.name for path in folder.glob("*") if path.suffix in {".parquet", ".npz"})
    if name not in names:
        raise UnknownName("name", name, f"Stored are: {', '.join(names) or 'no results'}.")
    return folder / name


# --- checksum and settings ----------------------------------------------------------------------


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, allow_nan=False).encode()


def _storable(kind: "pa.DataType") -> bool:
    from pyarrow import types

    checks = (types.is_integer, types.is_floating, types.is_boolean, types.is_null)
    return any(check(kind) for check in (*checks, types.is_string, types.is_large_string))


def _digest(content: bytes, place: int) -> bytes:
    """Return the SHA-256 of a file's bytes in hexadecimal, its own 64 among them taken as zeros."""
    digest = hashlib.sha256(content[:place] + _BLANK + content[place + len(_BLANK) :])
    return digest.hexdigest().encode()


def _seal(path: Path) -> None:
    content = path.read_bytes()
    if content.count(_MARK) != 1:
        raise UnknownName("content", _MARK.decode(), "Keep memlib's own mark out of the content.")
    place = content.index(_MARK) + len(_MARK)
    with open(path, "r+b") as file:
        file.seek(place)
        file.write(_digest(content, place))


@contextmanager
def _unsealed(path: Path | str) -> Iterator[IO[bytes]]:
    source = Path(path)
    if not source.is_file():
        raise MissingData("path", source, "Compute it first, or correct the path.")
    content = source.read_bytes()
    place = content.find(_MARK) + len(_MARK)
    if content[place : place + len(_BLANK)] != _digest(content, place):
        raise CorruptResult(f"{source} is truncated, edited or not memlib's. {_REDO}")
    try:
        yield io.BytesIO(content)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise CorruptResult(f"{source} holds another kind of result ({reason}). {_REDO}") from error


def _check_settings(path: Path | str, made: Provenance, asked: dict[str, Any] | None) -> None:
    if asked is None:
        return
    difference = _difference("", made.settings, normalize(asked))
    if difference is not None:
        key, have, want = difference
        raise ForeignResult(
            f"{path} was computed with other settings: {key} is {have} in the file and {want} in "
            "this call. Pass another path, or delete the file to compute it again."
        )


def _difference(key: str, have: Any, want: Any) -> tuple[str, str, str] | None:
    """Return the first place where two settings differ, with both values, else None."""
    if isinstance(have, dict) and isinstance(want, dict):
        for name in sorted({*have, *want}):
            place = f"{key}.{name}" if key else name
            if name not in have or name not in want:
                shown = [repr(side[name]) if name in side else "absent" for side in (have, want)]
                return place, shown[0], shown[1]
            found = _difference(place, have[name], want[name])
            if found is not None:
                return found
        return None
    if isinstance(have, list) and isinstance(want, list) and len(have) == len(want):
        for position, (one, other) in enumerate(zip(have, want, strict=True)):
            found = _difference(f"{key}[{position}]", one, other)
            if found is not None:
                return found
        return None
    # 1 equals 1.0, but True does not equal 1.
    same = have == want and isinstance(have, bool) == isinstance(want, bool)
    return None if same else (key, repr(have), repr(want))
