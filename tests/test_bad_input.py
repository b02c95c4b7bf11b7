"""Bad input, generated: each is refused by its own exception, and nothing half-written remains.

Every kind below draws at least twenty different bad inputs; there are more than ten kinds each for
data, for results and for run-time helpers.
"""

import pickle
import string
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings

from memlib import data, errors, models, results, runtime
from memlib.errors import (
    CorruptResult,
    DuplicateIds,
    EmptySelection,
    ForeignResult,
    FractionOutOfRange,
    InvalidInput,
    LabelOutOfRange,
    MissingData,
    NonFiniteImages,
    NonFiniteNumber,
    NotPositive,
    TooLarge,
    UnknownIds,
    UnknownName,
    WrongShape,
    WrongType,
    shorten,
)

EXAMPLES = 20
N, K = 12, 3
SMALL = data.Dataset(
    images=torch.linspace(-1, 1, N * 8).reshape(N, 2, 2, 2),
    labels=torch.arange(N) % K,
    ids=torch.arange(100, 100 + N),
    class_names=("cat", "dog", "fox"),
    name="small",
    mean=(0.5, 0.5),
    std=(0.25, 0.5),
)
TABLE = pd.DataFrame({"csl": [0.5, 1.5]})
ARRAYS = {"loss": np.arange(3.0)}
SETTINGS = {"seed": 3, "data": "digits", "steps": [1, 2], "sgd": {"lr": 0.1}}
MADE = results.provenance("test", SETTINGS, 0.0)

words = st.text(string.ascii_letters + string.digits + "-_ äß", min_size=0, max_size=30)
positions = st.integers(0, N - 1)
not_whole = st.one_of(
    st.floats(), st.text(max_size=5), st.none(), st.booleans(), st.lists(st.integers(), max_size=2)
)
not_fraction = st.one_of(
    st.floats(max_value=0), st.floats(min_value=1), st.just(float("nan")), st.integers()
)
not_number = st.one_of(
    st.text(max_size=5), st.none(), st.lists(st.integers()), st.complex_numbers()
)
not_finite = st.sampled_from([float("nan"), float("inf"), float("-inf")])
too_small = st.integers(max_value=0)
negative = st.integers(max_value=-1)
far = st.one_of(st.integers(-(2**62), -1), st.integers(K, 2**62))

# kind -> (strategy of bad values, what to do with one, exception, argument, value it must show)
Kind = tuple[
    st.SearchStrategy,
    Callable[[object], object],
    type[InvalidInput],
    str,
    Callable[[object], object],
]


def same(value: object) -> object:
    return value


def with_item(tensor: torch.Tensor, place: object, item: object) -> torch.Tensor:
    changed = tensor.clone()
    changed[place] = item
    return changed


def columns_of(value: object) -> pd.DataFrame:
    return pd.DataFrame({"ok": [1, 2], "bad": pd.Series([value, value], dtype=object)})


shapes = st.lists(st.integers(1, 4), min_size=0, max_size=6).map(tuple)
at = st.tuples(positions, st.integers(0, 1), st.integers(0, 1), st.integers(0, 1))
pair = st.tuples(positions, positions).filter(lambda two: two[0] != two[1])

DATA: dict[str, Kind] = {
    "unknown data set": (
        words.filter(lambda w: w != "digits"),
        data.load,
        UnknownName,
        "name",
        same,
    ),
    "unknown split": (
        words,
        lambda v: data.load("digits", v),
        UnknownName,
        "split",
        same,
    ),
    "folder without data": (
        st.text(string.ascii_lowercase, min_size=12, max_size=20),
        lambda v: data.load("imagenet-folder", root=f"/nowhere/{v}"),
        MissingData,
        "root",
        lambda v: f"/nowhere/{v}/train",
    ),
    "images of another rank": (
        shapes.filter(lambda s: len(s) != 4),
        lambda v: replace(SMALL, images=torch.zeros(v)),
        WrongShape,
        "images",
        same,
    ),
    "no images": (
        st.tuples(*[st.integers(0, 4)] * 4).filter(lambda s: 0 in s),
        lambda v: replace(SMALL, images=torch.zeros(v)),
        EmptySelection,
        "images",
        same,
    ),
    "images that are not finite": (
        st.tuples(at, not_finite),
        lambda v: replace(SMALL, images=with_item(SMALL.images, *v)),
        NonFiniteImages,
        "images",
        lambda v: f"position {v[0][0]}",
    ),
    "images that are no tensor": (
        not_whole,
        lambda v: replace(SMALL, images=v),
        WrongType,
        "images",
        type,
    ),
    "label out of range": (
        st.tuples(positions, far),
        lambda v: SMALL.relabel(with_item(SMALL.labels, *v)),
        LabelOutOfRange,
        "labels",
        lambda v: v[1],
    ),
    "labels of another length": (
        shapes.filter(lambda s: s != (N,)),
        lambda v: SMALL.relabel(torch.zeros(v, dtype=torch.int64)),
        WrongShape,
        "labels",
        same,
    ),
    "ids twice": (
        pair,
        lambda v: replace(SMALL, ids=with_item(SMALL.ids, v[0], 100 + v[1])),
        DuplicateIds,
        "ids",
        lambda v: 100 + v[1],
    ),
    "ids of another length": (
        shapes.filter(lambda s: s != (N,)),
        lambda v: replace(SMALL, ids=torch.zeros(v, dtype=torch.int64)),
        WrongShape,
        "ids",
        same,
    ),
    "mean of another length": (
        st.lists(st.floats(-1, 1), max_size=5).map(tuple).filter(lambda m: len(m) != 2),
        lambda v: replace(SMALL, mean=v),
        WrongShape,
        "mean",
        same,
    ),
    "mean not finite": (
        st.tuples(st.floats(-1, 1), not_finite),
        lambda v: replace(SMALL, mean=v),
        NonFiniteNumber,
        "mean",
        same,
    ),
    "mean of no numbers": (
        st.one_of(st.integers(), st.none(), st.tuples(st.text("abc", min_size=1), st.none())),
        lambda v: replace(SMALL, mean=v),
        WrongType,
        "mean",
        same,
    ),
    "deviation not positive": (
        st.tuples(st.floats(0.1, 1), st.floats(-5, 0)),
        lambda v: replace(SMALL, std=v),
        NotPositive,
        "std",
        same,
    ),
    "positions out of range": (
        st.tuples(positions, st.one_of(st.integers(-(2**62), -1), st.integers(N, 2**62))),
        SMALL.select,
        UnknownIds,
        "positions",
        lambda v: v[1],
    ),
    "positions twice": (
        st.lists(positions, min_size=1, max_size=6, unique=True),
        lambda v: SMALL.select([*v, v[0]]),
        DuplicateIds,
        "ids",
        lambda v: 100 + v[0],
    ),
    "mask of another length": (
        st.lists(st.booleans(), min_size=1, max_size=2 * N).filter(lambda m: len(m) != N),
        SMALL.select,
        WrongShape,
        "positions",
        lambda v: (len(v),),
    ),
    "positions of another rank": (
        shapes.filter(lambda s: len(s) != 1),
        lambda v: SMALL.select(np.zeros(v, int)),
        WrongShape,
        "positions",
        same,
    ),
    "positions that are no whole numbers": (
        st.one_of(
            st.lists(st.floats(), min_size=1),
            st.lists(st.text(), min_size=1),
            st.lists(st.none(), min_size=1),
        ),
        SMALL.select,
        WrongType,
        "positions",
        same,
    ),
    "flipped fraction outside (0, 1)": (
        not_fraction,
        lambda v: data.flip_labels(SMALL, v, seed=0),
        FractionOutOfRange,
        "fraction",
        same,
    ),
    "flipped fraction of nobody": (
        st.floats(0, 0.4 / N, exclude_min=True),
        lambda v: data.flip_labels(SMALL, v, seed=0),
        NotPositive,
        "fraction",
        same,
    ),
    "flipped fraction that is no number": (
        not_number,
        lambda v: data.flip_labels(SMALL, v, seed=0),
        WrongType,
        "fraction",
        same,
    ),
    "no duplicates": (
        too_small,
        lambda v: data.add_duplicates(SMALL, v, labels="same", seed=0),
        NotPositive,
        "count",
        same,
    ),
    "more duplicates than samples": (
        st.integers(N + 1),
        lambda v: data.add_duplicates(SMALL, v, labels="wrong", seed=0),
        TooLarge,
        "count",
        same,
    ),
    "part of a duplicate": (
        not_whole,
        lambda v: data.add_duplicates(SMALL, v, labels="wrong", seed=0),
        WrongType,
        "count",
        same,
    ),
    "duplicates with an unknown kind of label": (
        words,
        lambda v: data.add_duplicates(SMALL, 1, labels=v, seed=0),
        UnknownName,
        "labels",
        same,
    ),
}

RUNTIME: dict[str, Kind] = {
    "negative seed": (negative, runtime.rng, NotPositive, "seed", same),
    "negative seed of a flip": (
        negative,
        lambda v: data.flip_labels(SMALL, 0.5, seed=v),
        NotPositive,
        "seed",
        same,
    ),
    "seed that is not whole": (not_whole, runtime.generator, WrongType, "seed", same),
    "stream of another type": (
        st.one_of(st.floats(), st.none(), st.lists(st.integers()), st.binary()),
        lambda v: runtime.rng(0, v),
        WrongType,
        "stream",
        same,
    ),
    "count below the least": (
        st.tuples(st.integers(), st.integers(1, 10**6)),
        lambda v: runtime.whole_number("models", v[0] - v[1], least=v[0]),
        NotPositive,
        "models",
        lambda v: v[0] - v[1],
    ),
    "fraction outside (0, 1)": (
        not_fraction,
        lambda v: runtime.open_fraction("fraction", v),
        FractionOutOfRange,
        "fraction",
        same,
    ),
    "network without units": (
        too_small,
        lambda v: models.mlp(width=v),
        NotPositive,
        "width",
        same,
    ),
    "network for no image": (
        shapes.filter(lambda s: len(s) != 3),
        models.small_cnn,
        WrongShape,
        "shape",
        same,
    ),
}

RESULTS: dict[str, Kind] = {
    "settings that JSON cannot hold": (
        st.one_of(st.binary(), st.complex_numbers(), st.sets(st.integers()), st.dates()),
        lambda v: results.provenance("test", {"deep": [1, {"x": v}]}, 0.0),
        WrongType,
        "settings.deep[1].x",
        same,
    ),
    "settings that are no dictionary": (
        not_whole,
        lambda v: results.provenance("test", v, 0.0),
        WrongType,
        "settings",
        same,
    ),
    "column of no plain type": (
        st.one_of(st.binary(), st.dates(), st.lists(st.integers()), st.complex_numbers()),
        lambda v: results.save_table("FILE", columns_of(v), MADE),
        WrongType,
        "table",
        lambda v: None,
    ),
    "no table": (
        not_whole,
        lambda v: results.save_table("FILE", v, MADE),
        WrongType,
        "table",
        type,
    ),
    "column twice": (
        words,
        lambda v: results.save_table("FILE", pd.DataFrame([[1, 2]], columns=[v, v]), MADE),
        DuplicateIds,
        "table",
        same,
    ),
    "table without columns": (
        st.integers(0, 10**6),
        lambda v: results.save_table("FILE", pd.DataFrame(index=pd.RangeIndex(v)), MADE),
        EmptySelection,
        "table",
        lambda v: (v, 0),
    ),
    "array with a name that no file can have": (
        st.one_of(st.integers(), words.map(lambda w: f"{w}/"), words.map(lambda w: f".{w}")),
        lambda v: results.save_arrays("FILE", {"ok": np.zeros(2), v: np.zeros(2)}, MADE),
        UnknownName,
        "arrays",
        same,
    ),
    "array of objects": (
        st.text(string.ascii_letters, min_size=1, max_size=8).filter(lambda w: w != "memlib"),
        lambda v: results.save_arrays("FILE", {v: np.array([None])}, MADE),
        WrongType,
        "arrays",
        lambda v: f"{v} (object)",
    ),
    "missing table": (
        st.text(string.ascii_letters, min_size=1, max_size=8),
        lambda v: results.load_table(f"nowhere/{v}"),
        MissingData,
        "path",
        lambda v: f"nowhere/{v}",
    ),
    "missing arrays": (
        st.text(string.ascii_letters, min_size=1, max_size=8),
        lambda v: results.load_arrays(f"nowhere/{v}"),
        MissingData,
        "path",
        lambda v: f"nowhere/{v}",
    ),
    "unknown stored result": (words, results.stored, UnknownName, "name", same),
}

generated = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)


def check(kind: Kind, folder: Path, monkeypatch) -> int:
    strategy, call, error, argument, shown = kind
    monkeypatch.chdir(folder)
    seen = set()

    @generated
    @given(strategy)
    def refuses(value: object) -> None:
        seen.add(repr(value))
        with pytest.raises(InvalidInput) as caught:
            call(value)
        assert type(caught.value) is error
        assert caught.value.argument == argument
        if shown(value) is not None:
            assert shorten(shown(value)) == shorten(caught.value.value)
        message = str(caught.value)
        assert message.startswith(f"{argument}: {shorten(caught.value.value)} {error.problem}. ")
        assert len(caught.value.fix) > 10
        assert message.endswith((".", caught.value.fix))
        assert caught.value.fix[0].isupper()
        assert not list(folder.iterdir()), "something was written"

    refuses()
    return len(seen)


@pytest.mark.parametrize("kind", DATA)
def test_bad_data_are_refused(kind, tmp_path, monkeypatch):
    assert check(DATA[kind], tmp_path, monkeypatch) >= 10


@pytest.mark.parametrize("kind", RUNTIME)
def test_bad_run_time_settings_are_refused(kind, tmp_path, monkeypatch):
    assert check(RUNTIME[kind], tmp_path, monkeypatch) >= 10


@pytest.mark.parametrize("kind", RESULTS)
def test_bad_results_are_refused_and_nothing_is_written(kind, tmp_path, monkeypatch):
    assert check(RESULTS[kind], tmp_path, monkeypatch) >= 10


def test_there_are_over_200_bad_inputs():
    assert 10 * len({**DATA, **RUNTIME, **RESULTS}) >= 200
    assert len({**DATA, **RUNTIME, **RESULTS}) == len(DATA) + len(RUNTIME) + len(RESULTS)


def save(kind: str, path: Path, made: results.Provenance) -> None:
    if kind == "table":
        results.save_table(path, TABLE, made)
    else:
        results.save_arrays(path, ARRAYS, made)


def load(kind: str, path: Path, **options: object) -> object:
    return (results.load_table if kind == "table" else results.load_arrays)(path, **options)


both = pytest.mark.parametrize("kind", ["table", "arrays"])


@both
def test_a_file_cut_or_overwritten_anywhere_is_refused_and_left_alone(kind, tmp_path):
    path = tmp_path / "result"
    save(kind, path, MADE)
    original = path.read_bytes()

    @generated
    @given(st.integers(0, len(original) - 1), st.binary(max_size=40))
    def refuses(length: int, junk: bytes) -> None:
        path.write_bytes(original[:length] + junk)
        if path.read_bytes() == original:
            return
        with pytest.raises(CorruptResult) as caught:
            load(kind, path)
        assert str(path) in str(caught.value)
        assert str(caught.value).endswith("Delete it and compute it again.")
        assert path.read_bytes() == original[:length] + junk
        assert list(tmp_path.iterdir()) == [path]

    refuses()


@both
def test_a_file_of_another_run_is_refused_and_the_setting_named(kind, tmp_path):
    path = tmp_path / "result"
    save(kind, path, MADE)
    values = st.one_of(st.integers(), st.text(max_size=5), st.booleans(), st.none())
    changes = st.tuples(st.sampled_from([*SETTINGS, "new"]), values)

    @generated
    @given(changes.filter(lambda change: change != ("seed", 3) and change != ("data", "digits")))
    def refuses(change: tuple[str, object]) -> None:
        key, value = change
        with pytest.raises(ForeignResult) as caught:
            load(kind, path, settings={**SETTINGS, key: value})
        message = str(caught.value)
        assert f"{key} is {SETTINGS.get(key, 'absent')!r}" in message or key == "new"
        assert f"{value!r} in this call" in message
        assert str(path) in message
        assert message.endswith("delete the file to compute it again.")

    refuses()


@generated
@given(st.sampled_from(["table", "arrays"]), st.sampled_from(["seed", "lr"]), not_finite)
def test_settings_that_are_not_finite_are_refused(kind, key, value):
    with pytest.raises(NonFiniteNumber, match=rf"settings\.{key}: "):
        results.provenance(kind, {key: value}, 0.0)


@pytest.mark.parametrize(
    "error",
    [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, InvalidInput)],
)
def test_an_error_travels_between_processes_and_is_a_value_error(error):
    one = error("fraction", 1.5, "Pass less.")
    other = pickle.loads(pickle.dumps(one))
    assert (type(other), str(other)) == (error, str(one))
    assert (other.argument, other.value, other.fix) == ("fraction", 1.5, "Pass less.")
    assert isinstance(one, ValueError)
    assert str(one) == f"fraction: 1.5 {error.problem}. Pass less."


@generated
@given(
    st.one_of(
        st.text(min_size=200),
        st.lists(st.integers(), min_size=100),
        st.integers(10**90),
        st.just(torch.zeros(50, 50)),
        st.just(np.arange(10**5).reshape(100, -1)),
    )
)
def test_a_long_value_is_shown_as_one_line_of_at_most_80_characters(value):
    assert len(shorten(value)) <= 80
    assert "\n" not in shorten(value)
    assert "..." in shorten(value)
