"""A stored result comes back as it was, or not at all."""

import hashlib
import os
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

import memlib
from memlib import files, results
from memlib.errors import (
    CorruptResult,
    DuplicateIds,
    EmptySelection,
    ForeignResult,
    MissingData,
    NonFiniteNumber,
    UnknownName,
    WrongType,
    shorten,
)

MADE = results.provenance("memlib score", {"seed": 3, "data": "digits", "lr": 0.1}, 1.5)
TABLE = pd.DataFrame(
    {
        "csl": [0.5, np.nan, 2.25, -0.0],
        "epochs": np.array([4, 0, 7, 1], np.int32),
        "mislabeled": [True, False, False, True],
        "name": ["coat", "", "ä", "shirt"],
    },
    index=pd.Index([5, 0, 13, 18], name="sample"),
)
ARRAYS = {
    "loss": np.linspace(0, 1, 7).reshape(7, 1).astype(np.float32),
    "file": np.array([[True, False]]),
    "scalar": np.array(3),
    "empty": np.zeros((0, 4), np.int8),
    "names": np.array(["coat", "bag"]),
}
fast = settings(
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def same_arrays(one, other):
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype
        and one[name].shape == other[name].shape
        and one[name].tobytes() == other[name].tobytes()
        for name in one
    )


def write(kind: str, path: Path, made: results.Provenance = MADE) -> None:
    if kind == "table":
        results.save_table(path, TABLE, made)
    else:
        results.save_arrays(path, ARRAYS, made)


def loads_unchanged(kind: str, path: Path) -> bool:
    """True: loaded, identical. False: refused. Anything else fails the test."""
    try:
        if kind == "table":
            content, made = results.load_table(path)
            pd.testing.assert_frame_equal(content, TABLE, check_exact=True)
        else:
            content, made = results.load_arrays(path)
            assert same_arrays(content, ARRAYS)
    except CorruptResult as error:
        if str(path) in str(error) and "Delete it and compute it again." in str(error):
            return False
        raise
    assert made == MADE
    return True


both = pytest.mark.parametrize("kind", ["table", "arrays"])


@both
def test_what_is_saved_is_loaded_with_its_provenance(kind, tmp_path):
    write(kind, tmp_path / "deep" / "result")
    assert loads_unchanged(kind, tmp_path / "deep" / "result")


columns = st.one_of(
    hnp.arrays(
        st.sampled_from([np.float64, np.float32, np.int64, np.int8, np.uint64, np.bool_]), 5
    ),
    st.lists(st.text(st.characters(codec="utf-8"), max_size=4), min_size=5, max_size=5),
)


@fast
@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=5), columns, min_size=1, max_size=4
    ),
    st.sampled_from(
        [pd.RangeIndex(5), pd.Index(list("abcde"), name="x"), pd.Index([4, 4, 1, 0, 9])]
    ),
)
def test_any_table_of_plain_columns_survives(tmp_path, content, index):
    table = pd.DataFrame(content, index=index)
    results.save_table(tmp_path / "t", table, MADE)
    pd.testing.assert_frame_equal(results.load_table(tmp_path / "t")[0], table, check_exact=True)


@fast
@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True).filter(lambda name: name != "memlib"),
        hnp.arrays(
            st.one_of(hnp.floating_dtypes(), hnp.integer_dtypes(), hnp.unicode_string_dtypes()),
            hnp.array_shapes(min_dims=0, min_side=0, max_side=3),
        ),
    )
)
def test_any_plain_arrays_survive(tmp_path, content):
    results.save_arrays(tmp_path / "a", content, MADE)
    assert same_arrays(results.load_arrays(tmp_path / "a")[0], content)


@both
def test_a_flipped_bit_anywhere_is_refused(kind, tmp_path):
    path = tmp_path / "result"
    write(kind, path)
    original = path.read_bytes()
    for place in range(0, len(original), 5):
        damaged = bytearray(original)
        damaged[place] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        assert not loads_unchanged(kind, path), place


@both
def test_a_truncated_file_is_refused_wherever_it_ends(kind, tmp_path):
    path = tmp_path / "result"
    write(kind, path)
    original = path.read_bytes()
    for length in [*range(0, len(original), 17), len(original) - 1]:
        path.write_bytes(original[:length])
        assert not loads_unchanged(kind, path), length


def rename(content: pa.Table, header: bytes) -> tuple[pa.Table, bytes]:
    names = ["csg" if name == "csl" else name for name in content.column_names]
    return content.rename_columns(names), header


def change_a_cell(content: pa.Table, header: bytes) -> tuple[pa.Table, bytes]:
    return content.set_column(1, "epochs", [pa.array([4, 0, 7, 2], pa.int32())]), header


def swap_the_provenance(content: pa.Table, header: bytes) -> tuple[pa.Table, bytes]:
    return content, header.replace(b'"seed": 3', b'"seed": 4')


@pytest.mark.parametrize("edit", [rename, change_a_cell, swap_the_provenance])
def test_a_table_edited_with_the_tools_of_its_format_is_refused(edit, tmp_path):
    path = tmp_path / "t"
    write("table", path)
    before = pq.read_table(path)
    after, header = edit(before, before.schema.metadata[b"memlib"])
    assert (after, header) != (before, before.schema.metadata[b"memlib"])
    metadata = {**before.schema.metadata, b"memlib": header}
    pq.write_table(after.replace_schema_metadata(metadata), path)
    assert not loads_unchanged("table", path)


@pytest.mark.parametrize("name", ["loss", "memlib"])
def test_arrays_edited_with_the_tools_of_their_format_are_refused(name, tmp_path):
    path = tmp_path / "a.npz"
    write("arrays", path)
    with zipfile.ZipFile(path) as members:
        comment = members.comment
    content = dict(np.load(path))
    content[name] = content[name][::-1]
    with open(path, "wb") as file:
        files.write_npz(file, content, comment)
    assert not loads_unchanged("arrays", path)


def test_other_tools_read_the_files_too(tmp_path):
    write("table", tmp_path / "t.parquet")
    write("arrays", tmp_path / "a.npz")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), TABLE)
    with np.load(tmp_path / "a.npz") as arrays:
        assert same_arrays({name: arrays[name] for name in ARRAYS}, ARRAYS)


@both
def test_files_of_another_make_are_refused(kind, tmp_path):
    path = tmp_path / "result"
    for content in (b"", b"PAR1", b"PK", bytes(range(256)), b"csl,epochs\n1,2\n"):
        path.write_bytes(content)
        assert not loads_unchanged(kind, path)
    write("arrays" if kind == "table" else "table", path)
    assert not loads_unchanged(kind, path)
    if kind == "table":
        TABLE.to_parquet(path)
    else:
        with open(path, "wb") as file:
            np.savez(file, loss=ARRAYS["loss"])
    assert not loads_unchanged(kind, path)


def test_a_pickle_is_never_opened_even_under_a_fitting_checksum(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "exploded",))

    np.save(tmp_path / "bomb.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as members:
        members.write(tmp_path / "bomb.npy", "loss.npy")
        members.comment = b"memlib-sha256:" + b"0" * 64
    results._seal(tmp_path / "a.npz")
    with pytest.raises(CorruptResult, match="allow_pickle"):
        results.load_arrays(tmp_path / "a.npz")
    assert not (tmp_path / "exploded").exists()


def test_an_unreadable_file_is_not_called_corrupt(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError("not yours")

    write("table", tmp_path / "t")
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(PermissionError):
        results.load_table(tmp_path / "t")


def test_content_that_looks_like_the_checksum_is_refused(tmp_path):
    table = pd.DataFrame({"memlib-sha256:": [1]})
    with pytest.raises(UnknownName, match="memlib-sha256"):
        results.save_table(tmp_path / "t", table, MADE)
    assert not list(tmp_path.iterdir())


@both
def test_equal_settings_are_accepted_however_they_are_written(kind, tmp_path):
    made = replace(MADE, settings={"seed": np.int64(3), "steps": (1, 2), "lr": 1, "name": None})
    write(kind, tmp_path / "r", made)
    load = results.load_table if kind == "table" else results.load_arrays
    asked = {"name": None, "lr": 1.0, "steps": [1, np.float64(2)], "seed": 3}
    assert load(tmp_path / "r", settings=asked)[1] == made


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 4}, "seed is 3 in the file and 4 in this call"),
        ({"steps": [1, 2, 4]}, "steps[2] is 3 in the file and 4 in this call"),
        ({"steps": [1]}, "steps is [1, 2, 3] in the file and [1] in this call"),
        ({"sgd": {"lr": 0.1, "nesterov": 1}}, "sgd.nesterov is True in the file and 1 in this"),
        ({"sgd": {"lr": 0.1}}, "sgd.nesterov is True in the file and absent in this call"),
        ({"new": "x"}, "new is absent in the file and 'x' in this call"),
        ({"seed": "3"}, "seed is 3 in the file and '3' in this call"),
        ({"sgd": None}, "in the file and None in this call"),
    ],
)
@both
def test_other_settings_are_refused_and_the_first_difference_is_named(
    kind, changes, words, tmp_path
):
    settings = {"seed": 3, "steps": [1, 2, 3], "sgd": {"lr": 0.1, "nesterov": True}}
    path = tmp_path / "r"
    write(kind, path, replace(MADE, settings=settings))
    load = results.load_table if kind == "table" else results.load_arrays
    load(path, settings=settings)
    with pytest.raises(ForeignResult) as caught:
        load(path, settings=settings | changes)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("value", [object(), {1, 2}, b"x", {1: 2}, np.zeros(2), Path("x")])
def test_settings_that_json_cannot_hold_are_refused(value):
    with pytest.raises(WrongType, match=r"settings\.deep\[1\]"):
        results.provenance("x", {"deep": [0, value]}, 0.0)


def test_settings_must_equal_themselves():
    with pytest.raises(NonFiniteNumber, match=r"settings\.tau: nan"):
        results.provenance("x", {"tau": float("nan")}, 0.0)


def test_provenance_says_what_ran_and_when():
    assert MADE.versions.keys() >= {"python", "memlib", "torch", "numpy", "pandas"}
    assert MADE.versions["memlib"] == memlib.__version__
    assert len(MADE.created) == 10
    assert MADE.wall_seconds == 1.5


def test_source_hash_covers_every_python_file_of_memlib():
    package = Path(memlib.__file__).parent
    digest = hashlib.sha256()
    names = sorted(path.relative_to(package).parts for path in package.rglob("*.py"))
    assert ("results.py",) in names
    assert ("datasets", "__init__.py") in names
    for name in names:
        for part in ("/".join(name).encode(), package.joinpath(*name).read_bytes()):
            digest.update(len(part).to_bytes(8, "big") + part)
    results.source_hash.cache_clear()
    assert results.source_hash() == digest.hexdigest() == results.source_hash()


def fail_half_way(path: Path, error: type[BaseException]) -> None:
    path.write_text("half")
    raise error


def test_atomic_path_leaves_the_old_file_and_no_other_when_the_block_fails(tmp_path):
    path = tmp_path / "r"
    path.write_text("old")
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), files.atomic_path(path) as temporary:
            fail_half_way(temporary, error)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"r": "old"}
    with files.atomic_path(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == tmp_path
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"r": "new"}


def test_a_block_that_writes_nothing_is_an_error_and_keeps_the_old_file(tmp_path):
    (tmp_path / "r").write_text("old")
    with pytest.raises(FileNotFoundError), files.atomic_path(tmp_path / "r"):
        pass
    assert (tmp_path / "r").read_text() == "old"


def test_what_a_killed_writer_left_is_removed_by_the_next_write_of_the_same_file(tmp_path):
    code = """
import os, signal, sys
from memlib.files import atomic_path
with atomic_path(sys.argv[1]) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    for name in ("r", "s"):
        done = subprocess.run([sys.executable, "-c", code, tmp_path / name])
        assert done.returncode == -signal.SIGKILL
    left = {path.name.split(".")[1]: path for path in tmp_path.iterdir()}
    assert [*map(Path.read_text, left.values())] == ["half", "half"]
    with files.atomic_path(tmp_path / "r") as temporary:
        temporary.write_text("whole")
    assert {*tmp_path.iterdir()} == {tmp_path / "r", left["s"]}


def test_no_writer_removes_what_another_is_writing(tmp_path):
    with files.atomic_path(tmp_path / "r") as first:
        first.write_text("first")
        with files.atomic_path(tmp_path / "r") as second:  # as from another thread
            second.write_text("second")
        assert first.exists()
    assert (tmp_path / "r").read_text() == "first"


def test_what_another_machine_wrote_is_removed_after_a_day(tmp_path):
    for age, name in ((80_000, "fresh"), (90_000, "stale")):
        path = tmp_path / f".r.{'0' * 8}-99999999-{hashlib.md5(name.encode()).hexdigest()[:8]}.tmp"
        path.write_text(name)
        os.utime(path, (time.time() - age,) * 2)
    with files.atomic_path(tmp_path / "r") as temporary:
        temporary.write_text("whole")
    assert sorted(path.read_text() for path in tmp_path.iterdir()) == ["fresh", "whole"]


def test_a_saved_file_is_readable_by_those_whom_the_umask_allows(tmp_path):
    write("table", tmp_path / "t")
    (tmp_path / "plain").touch()
    assert (tmp_path / "t").stat().st_mode == (tmp_path / "plain").stat().st_mode


@both
def test_a_failed_save_keeps_the_old_result(kind, tmp_path, monkeypatch):
    write(kind, tmp_path / "r")
    monkeypatch.setattr(os, "replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write(kind, tmp_path / "r", replace(MADE, command="later"))
    assert [path.name for path in tmp_path.iterdir()] == ["r"]
    assert loads_unchanged(kind, tmp_path / "r")


def test_the_same_arrays_give_the_same_bytes(tmp_path, monkeypatch):
    write("arrays", tmp_path / "one")
    monkeypatch.setattr("time.time", lambda: 2e9)
    write("arrays", tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_tables_that_parquet_would_change_are_refused(tmp_path):
    for table in (
        pd.DataFrame({"a": [object()]}),
        pd.DataFrame({"a": [1, "x"]}),
        pd.DataFrame({"a": [[1, 2]]}),
        pd.DataFrame({"a": pd.to_datetime(["2026-01-01"])}),
        pd.DataFrame({"a": pd.Categorical(["x"])}),
        pd.DataFrame({"a": ["\ud800"]}, dtype=object),
        {"a": [1]},
    ):
        with pytest.raises(WrongType, match="table"):
            results.save_table(tmp_path / "t", table, MADE)
    with pytest.raises(EmptySelection, match="table"):
        results.save_table(tmp_path / "t", pd.DataFrame(index=[1, 2]), MADE)
    with pytest.raises(DuplicateIds, match="table: 'a'"):
        results.save_table(tmp_path / "t", pd.DataFrame([[1, 2]], columns=["a", "a"]), MADE)
    assert not list(tmp_path.iterdir())


def test_arrays_that_npz_cannot_hold_are_refused(tmp_path):
    for name in ("memlib", "", "a/b", "a.npy", "ä", 3):
        with pytest.raises(UnknownName, match="arrays"):
            results.save_arrays(tmp_path / "a", {name: np.zeros(1)}, MADE)
    for array in (np.array([None]), np.zeros(1, [("x", int)]), np.array(["2026"], "M8[Y]")):
        with pytest.raises(WrongType, match="arrays"):
            results.save_arrays(tmp_path / "a", {"x": array}, MADE)
    assert not list(tmp_path.iterdir())


def test_a_missing_file_is_named(tmp_path):
    for load in (results.load_table, results.load_arrays):
        with pytest.raises(MissingData, match="nowhere"):
            load(tmp_path / "nowhere")


def test_a_long_path_keeps_the_name_of_its_file(tmp_path):
    path = tmp_path.joinpath(*["folder"] * 20, "run-17.npz")
    with pytest.raises(MissingData, match=r"path: '.*\.\.\.[\w/]*/run-17\.npz' does"):
        results.load_arrays(path)
    for name in ("run-17.npz", "r" * 200):
        shown = shorten(tmp_path / ("folder/" * 20) / name)
        assert len(shown) == 80
        assert shown.endswith(name[-50:] + "'")
    assert shorten(Path("a/b.npz")) == "'a/b.npz'"


def test_stored_finds_what_ships_and_lists_it_otherwise(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "_PACKAGE", tmp_path)
    with pytest.raises(UnknownName, match="no results"):
        results.stored("m.parquet")
    (tmp_path / "stored").mkdir()
    (tmp_path / "stored" / "m.parquet").touch()
    (tmp_path / "stored" / "secret.txt").touch()
    assert results.stored("m.parquet") == tmp_path / "stored" / "m.parquet"
    for name in ("n.parquet", "secret.txt", "../stored/m.parquet"):
        with pytest.raises(UnknownName, match=r"Stored are: m\.parquet\."):
            results.stored(name)
