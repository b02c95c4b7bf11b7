"""Subsets, runs, and the estimators that read them."""

import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from memlib import data, models, results, stability
from memlib.ensemble import Recipe, train_ensemble
from memlib.errors import (
    CorruptResult,
    DuplicateIds,
    EmptySelection,
    ForeignResult,
    FractionOutOfRange,
    InvalidInput,
    NotPositive,
    TrainingDiverged,
    UnknownIds,
    UnknownName,
    WrongType,
)
from memlib.runs import probability_curves

QUICK = Recipe(epochs=3)
FITTING = Recipe(epochs=30, batch_size=20, lr=0.1)


def small_mlp():
    return models.mlp((1, 8, 8), width=16)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits").select(range(200))


@pytest.fixture(scope="module")
def runs(digits):
    test = data.load("digits", "test").select(range(50))
    return stability.subset_runs(digits, small_mlp, models=20, recipe=FITTING, targets=test)


def random_runs(models, n, q, seed, fraction=0.7):
    random = np.random.default_rng(seed)
    return stability.Runs(
        ids=random.permutation(1000)[:n],
        members=random.random((models, n)) < fraction,
        correct=random.random((models, n)) < 0.6,
        probability=random.random((models, n)).astype(np.float32),
        target_ids=np.arange(q),
        target_correct=random.random((models, q)) < 0.5,
    )


# --- subsets


@given(
    n=st.integers(2, 60),
    models=st.integers(1, 30),
    fraction=st.floats(0.05, 0.95),
    seed=st.integers(0, 99),
)
def test_subsets_have_one_size_and_hold_every_sample_equally_often(n, models, fraction, seed):
    size = round(fraction * n)
    if not 0 < size < n:
        with pytest.raises(FractionOutOfRange):
            stability.draw_subsets(n, models, fraction, seed)
        return
    members = stability.draw_subsets(n, models, fraction, seed)
    assert (members.sum(1) == size).all()
    assert members.sum(0).max() - members.sum(0).min() <= ((models * size) % n != 0)


def test_more_models_keep_the_first_subsets():
    few, many = (stability.draw_subsets(30, m, 0.7, seed=3) for m in (7, 50))
    assert np.array_equal(few, many[:7])
    assert not np.array_equal(few, stability.draw_subsets(30, 7, 0.7, seed=4))


@pytest.mark.parametrize("hand", [0, 1, 2])
def test_every_hand_is_uniform_also_one_dealt_from_two_decks(hand):
    n, size, draws = 5, 3, 3000
    index = {subset: k for k, subset in enumerate(combinations(range(n), size))}
    counts = np.zeros(len(index))
    for seed in range(draws):
        members = stability.draw_subsets(n, 3, size / n, seed)
        counts[index[tuple(np.nonzero(members[hand])[0])]] += 1
    expected = draws / len(index)
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert chi_square < 27.9  # the 0.999 quantile for 9 degrees of freedom


# --- estimators


@given(st.integers(1, 12), st.integers(1, 8), st.integers(0, 10**6))
def test_scores_are_differences_of_exact_means(models, n, seed):
    runs = random_runs(models, n, 0, seed)
    table = stability.memorization_scores(runs)
    for column, sample in enumerate(runs.ids):
        inside = [
            int(c)
            for c, m in zip(runs.correct[:, column], runs.members[:, column], strict=True)
            if m
        ]
        outside = [
            int(c)
            for c, m in zip(runs.correct[:, column], runs.members[:, column], strict=True)
            if not m
        ]
        row = table.loc[sample]
        assert (row.runs_in, row.runs_out) == (len(inside), len(outside))
        if not inside or not outside:
            assert np.isnan(row.memorization)
            continue
        exact = Fraction(sum(inside), len(inside)) - Fraction(sum(outside), len(outside))
        assert row.memorization == pytest.approx(float(exact), abs=1e-12)
        if min(len(inside), len(outside)) < 2:
            assert np.isnan(row.memorization_se)
        else:
            variance = np.var(inside, ddof=1) / len(inside) + np.var(outside, ddof=1) / len(outside)
            assert row.memorization_se == pytest.approx(np.sqrt(variance), abs=1e-12)


@pytest.mark.parametrize("block", [1, 3, 100])
def test_influence_is_the_difference_of_means_for_every_pair(block):
    runs = random_runs(40, 7, 5, seed=0)
    table = stability.influence_scores(runs, threshold=-2, block=block)
    assert len(table) == 35
    assert table.influence.is_monotonic_decreasing
    for pair in table.itertuples():
        i = list(runs.ids).index(pair.sample)
        inside = runs.members[:, i]
        hit = runs.target_correct[:, pair.target]
        assert pair.influence == pytest.approx(hit[inside].mean() - hit[~inside].mean(), abs=1e-6)
        variance = sum(hit[side].var(ddof=1) / side.sum() for side in (inside, ~inside))
        assert pair.influence_se == pytest.approx(np.sqrt(variance), abs=1e-6)


def test_influence_on_themselves_leaves_out_memorization():
    runs = random_runs(40, 7, 0, seed=0)
    table = stability.influence_scores(runs, threshold=-2, block=3)
    assert len(table) == 42
    assert (table["sample"] != table["target"]).all()
    assert (stability.influence_scores(runs, threshold=0.1).influence >= 0.1).all()


def test_influence_is_stored_and_foreign_settings_are_refused(digits, tmp_path):
    out = tmp_path / "i.parquet"
    test = data.load("digits", "test").select(range(20))
    call = {"models": 8, "recipe": FITTING, "threshold": 0.2, "out": out}
    table = stability.influence(digits, test, small_mlp, **call)
    assert (table.influence >= 0.2).all()
    assert set(table["target"]) <= set(test.ids.tolist())
    pd.testing.assert_frame_equal(stability.influence(digits, test, small_mlp, **call), table)
    with pytest.raises(ForeignResult, match="threshold"):
        stability.influence(digits, test, small_mlp, **call | {"threshold": 0.3})
    assert [path.name for path in tmp_path.iterdir()] == ["i.parquet"]


def test_the_standard_error_is_the_spread_over_repetitions():
    """With known accuracies, the mean squared standard error equals the variance of the score."""
    random = np.random.default_rng(0)
    scores, errors = [], []
    for _ in range(300):
        members = stability.draw_subsets(50, 40, 0.7, int(random.integers(10**6)))
        correct = random.random(members.shape) < np.where(members, 0.9, 0.4)
        nothing = np.empty((40, 0), dtype=bool)
        runs = stability.Runs(
            np.arange(50), members, correct, correct.astype(np.float32), np.empty(0), nothing
        )
        table = stability.memorization_scores(runs)
        scores.append(table.memorization)
        errors.append(table.memorization_se)
    assert np.mean(scores) == pytest.approx(0.5, abs=0.005)
    assert np.mean(np.square(errors)) == pytest.approx(np.var(scores, ddof=1), rel=0.05)


# --- runs


def test_trained_networks_fit_their_own_subset_better(runs):
    assert runs.correct[runs.members].mean() > 0.99
    assert 0.7 < runs.correct[~runs.members].mean() < 0.97
    assert runs.target_correct.mean() > 0.7
    assert runs.target_correct.shape == (20, 50)
    assert runs.probability.dtype == np.float32


def test_shards_change_nothing_but_rounding(digits, runs):
    others = stability.subset_runs(digits, small_mlp, models=20, recipe=FITTING, shard=7)
    np.testing.assert_allclose(others.probability, runs.probability, atol=1e-3)


def test_any_network_trains_sequentially(digits, tmp_path):
    def cnn():
        return models.small_cnn((1, 8, 8), width=4)

    runs = stability.subset_runs(digits, cnn, models=2, recipe=FITTING, folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2  # each network is kept as soon as it is trained
    assert runs.correct[runs.members].mean() > 0.3
    with pytest.raises(InvalidInput, match="sequential"):
        stability.subset_runs(digits, cnn, models=2, recipe=QUICK, method="batched")


def test_leave_one_out_finds_the_mislabeled_sample(digits):
    labels = digits.labels.clone()
    labels[17] = (labels[17] + 5) % 10
    noisy = digits.relabel(labels)
    wrong, right = int(noisy.ids[17]), int(noisy.ids[18])
    recipe = Recipe(epochs=60, batch_size=50, lr=0.1)
    table = stability.leave_one_out(
        noisy, small_mlp, samples=[wrong, right], repeats=6, recipe=recipe
    )
    assert table.index.tolist() == [wrong, right]
    assert table.memorization[wrong] > 0.8
    assert abs(table.memorization[right]) < 0.2
    assert (table[["runs_in", "runs_out"]] == 6).all(axis=None)


def test_leave_one_out_leaves_out_exactly_one(digits, monkeypatch):
    seen = []
    train = train_ensemble

    def spy(model, dataset, members, *args, **kwargs):
        seen.extend(members.tolist())
        return train(model, dataset, members, *args, **kwargs)

    monkeypatch.setattr("memlib.shards.train_ensemble", spy)
    samples = [int(digits.ids[i]) for i in (3, 5)]
    stability.leave_one_out(digits, small_mlp, samples=samples, repeats=2, recipe=QUICK, shard=3)
    everything = list(range(len(digits)))
    assert seen[:2] == [everything] * 2
    assert seen[2:4] == [[i for i in everything if i != 3]] * 2
    assert seen[4:] == [[i for i in everything if i != 5]] * 2


def test_probability_curves_end_where_the_runs_begin(digits):
    """Trained for one epoch more, the curve's last point is the runs' mean probability."""
    call = {"models": 6, "fraction": 0.5, "seed": 2}
    steady = {"batch_size": 50, "lr": 0.1, "schedule": "constant"}
    inside, outside = probability_curves(
        digits, small_mlp, recipe=Recipe(epochs=5, **steady), shard=4, **call
    )
    runs = stability.subset_runs(digits, small_mlp, recipe=Recipe(epochs=4, **steady), **call)
    assert inside.shape == outside.shape == (5, len(digits))
    mean_in, _ = stability.masked_mean(runs.probability, runs.members)
    mean_out, _ = stability.masked_mean(runs.probability, ~runs.members)
    np.testing.assert_allclose(inside[-1], mean_in, atol=1e-4)
    np.testing.assert_allclose(outside[-1], mean_out, atol=1e-4)
    np.testing.assert_allclose(inside[0].mean(), 0.1, atol=0.03)


# --- storage


COMMAND = [
    sys.executable,
    "-m",
    "memlib",
    "memorization",
    "--data",
    "digits",
    "--models",
    "64",
    "--epochs",
    "30",
    "--no-progress",
    "--out",
]


def test_a_killed_run_goes_on_and_ends_with_the_identical_table(tmp_path):
    killed, whole = tmp_path / "killed.parquet", tmp_path / "whole.parquet"
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}  # so that the shards come one by one
    process = subprocess.Popen([*COMMAND, str(killed)], stdout=subprocess.DEVNULL, env=one_thread)
    shards = tmp_path / "killed.parquet.runs"
    deadline = time.monotonic() + 120
    while not list(shards.glob("shard-*.npz")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not killed.exists()
    assert 1 <= len(list(shards.glob("shard-*.npz"))) < 4
    for path in (killed, whole):
        subprocess.run([*COMMAND, str(path)], check=True, stdout=subprocess.DEVNULL, env=one_thread)
    first, second = (results.load_table(path)[0] for path in (killed, whole))
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["killed.parquet", "whole.parquet"]


def test_a_resumed_run_trains_only_what_is_missing(digits, tmp_path, monkeypatch):
    call = {"models": 6, "recipe": QUICK, "folder": tmp_path, "shard": 2}
    first = stability.subset_runs(digits, small_mlp, **call)
    (tmp_path / "shard-00001.npz").unlink()
    trained = []

    def spy(*args, numbers, **kwargs):
        trained.append(numbers)
        return train_ensemble(*args, numbers=numbers, **kwargs)

    monkeypatch.setattr("memlib.shards.train_ensemble", spy)
    again = stability.subset_runs(digits, small_mlp, **call)
    assert trained == [range(2, 4)]
    assert np.array_equal(first.probability, again.probability)


def test_the_number_of_threads_changes_no_bit(digits):
    threads, runs = torch.get_num_threads(), []
    for number in (1, 4):
        torch.set_num_threads(number)
        runs.append(stability.subset_runs(digits, small_mlp, models=8, recipe=QUICK, shard=2))
    torch.set_num_threads(threads)
    assert np.array_equal(runs[0].probability, runs[1].probability)


def test_a_finished_table_is_returned_and_a_foreign_one_refused(digits, tmp_path):
    out = tmp_path / "m.parquet"
    first = stability.memorization(digits, small_mlp, models=4, recipe=QUICK, out=out)
    written = out.stat().st_mtime_ns
    again = stability.memorization(digits, small_mlp, models=4, recipe=QUICK, out=out)
    pd.testing.assert_frame_equal(first, again)
    assert out.stat().st_mtime_ns == written
    with pytest.raises(ForeignResult, match="models"):
        stability.memorization(digits, small_mlp, models=5, recipe=QUICK, out=out)
    with pytest.raises(ForeignResult, match="seed"):
        stability.memorization(digits, small_mlp, models=4, recipe=QUICK, seed=1, out=out)


def test_no_file_of_other_settings_is_overwritten_or_believed(digits, tmp_path):
    out, runs_out = tmp_path / "m.parquet", tmp_path / "r.npz"
    call = {"recipe": QUICK, "out": out, "runs_out": runs_out}
    stability.memorization(digits, small_mlp, models=4, **call)
    content = out.read_bytes(), runs_out.read_bytes()
    for kept in ({"out": out}, {"runs_out": runs_out}, {"out": out, "runs_out": runs_out}):
        with pytest.raises(ForeignResult, match="models"):
            stability.memorization(digits, small_mlp, models=2, recipe=QUICK, **kept)
    runs_out.unlink()
    with pytest.raises(ForeignResult, match="models"):
        stability.memorization(digits, small_mlp, models=2, **call)
    assert out.read_bytes() == content[0]
    stability.memorization(digits, small_mlp, models=2, resume=False, **call)
    assert results.load_table(out)[1].settings["models"] == 2
    with pytest.raises(CorruptResult, match="no runs"):
        results.save_arrays(runs_out, {"a": np.zeros(1)}, results.load_table(out)[1])
        stability.memorization(digits, small_mlp, models=2, **call)


def test_a_refused_call_leaves_old_files_alone(digits, tmp_path):
    out = tmp_path / "m.parquet"
    stability.memorization(digits, small_mlp, models=2, recipe=QUICK, out=out)
    content = out.read_bytes()
    with pytest.raises(NotPositive, match="models"):
        stability.memorization(digits, small_mlp, models=0, out=out, resume=False)
    assert out.read_bytes() == content


def test_networks_that_diverge_give_no_scores(digits):
    with pytest.raises(TrainingDiverged, match="lr=1e"):
        stability.subset_runs(digits, small_mlp, models=2, recipe=Recipe(epochs=3, lr=1e30))


def test_a_shard_of_other_settings_or_damaged_is_refused(digits, tmp_path):
    call = {"models": 4, "recipe": QUICK, "folder": tmp_path, "shard": 2}
    stability.subset_runs(digits, small_mlp, **call)
    with pytest.raises(ForeignResult, match="fraction"):
        stability.subset_runs(digits, small_mlp, fraction=0.6, **call)
    shard = tmp_path / "shard-00001.npz"
    shard.write_bytes(shard.read_bytes()[:-40])
    with pytest.raises(CorruptResult):
        stability.subset_runs(digits, small_mlp, **call)


# --- bad input


BAD = st.one_of(
    st.tuples(
        st.just("fraction"),
        st.one_of(st.floats(max_value=0), st.floats(min_value=1), st.just(float("nan"))),
        st.just(FractionOutOfRange),
    ),
    st.tuples(st.just("models"), st.integers(max_value=0), st.just(NotPositive)),
    st.tuples(st.just("shard"), st.integers(max_value=0), st.just(NotPositive)),
    st.tuples(st.just("models"), st.floats(), st.just(WrongType)),
    st.tuples(
        st.just("method"),
        st.text().filter(lambda t: t not in ("auto", "batched", "sequential")),
        st.just(UnknownName),
    ),
)


@settings(max_examples=100)
@given(BAD)
def test_bad_arguments_are_refused_by_name_and_nothing_is_written(digits, tmp_path_factory, bad):
    argument, value, error = bad
    folder = tmp_path_factory.mktemp("bad")
    call = {"models": 2, "recipe": QUICK} | {argument: value}
    with pytest.raises(error) as caught:
        stability.memorization(digits, small_mlp, out=folder / "m.parquet", **call)
    assert caught.value.argument == argument
    assert str(caught.value).startswith(f"{argument}: ")
    assert not list(folder.iterdir())


def test_leave_one_out_refuses_what_it_cannot_score(digits):
    call = {"repeats": 1, "recipe": QUICK}
    with pytest.raises(DuplicateIds, match="samples"):
        stability.leave_one_out(digits, small_mlp, samples=[0, 0], **call)
    with pytest.raises(EmptySelection, match="samples"):
        stability.leave_one_out(digits, small_mlp, samples=[], **call)
    with pytest.raises(UnknownIds, match="-5"):
        stability.leave_one_out(digits, small_mlp, samples=[-5], **call)
    with pytest.raises(NotPositive, match="repeats"):
        stability.leave_one_out(digits, small_mlp, samples=[int(digits.ids[0])], repeats=0)
