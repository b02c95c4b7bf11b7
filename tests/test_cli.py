"""The command line: help that helps, files that resume, errors in one line."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from memlib import data, results
from memlib.cli import app

COMMANDS = (
    "data",
    "score",
    "trajectories",
    "memorization",
    "private",
    "detect",
    "results",
    "ledger",
)


def memlib(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command):
    shown = memlib(command, "--help")
    assert shown.exit_code == 0
    assert "Usage" in shown.output
    assert command in memlib("--help").output


def test_data_lists_and_describes():
    assert memlib("data").output.split() == list(data.NAMES)
    shown = memlib("data", "digits").output
    assert "1437 images of 1 x 8 x 8" in shown
    assert data.load("digits").fingerprint() in shown


def test_data_writes_what_it_changed_and_the_truth_about_it(tmp_path):
    out = tmp_path / "noisy.npz"
    call = ("data", "digits", "--flip", 0.1, "--duplicates", 20, "--seed", 3, "--out", out)
    assert memlib(*call).exit_code == 0
    arrays, stamp = results.load_arrays(out)
    clean = data.load("digits")
    assert len(arrays["images"]) == len(clean) + 20
    assert arrays["duplicated"].sum() == 20
    changed = arrays["labels"][: len(clean)] != clean.labels.numpy()
    assert np.array_equal(changed, arrays["flipped"][: len(clean)])
    assert stamp.settings["seed"] == 3
    written = out.stat().st_mtime_ns
    assert "already holds" in memlib(*call).output
    assert out.stat().st_mtime_ns == written
    refused = memlib("data", "digits", "--out", out)
    assert refused.exit_code == 2
    assert memlib("data", "digits", "--out", out, "--no-resume").exit_code == 0


def test_score_writes_the_table_and_leaves_no_checkpoint(tmp_path):
    out = tmp_path / "s.parquet"
    call = ("score", "--data", "digits", "--epochs", 2, "--tau", 0.05, "--out", out)
    assert memlib(*call).exit_code == 0
    table, stamp = results.load_table(out)
    assert {"csl", "csg", "learning_time_gradient"} <= set(table.columns)
    assert stamp.command == "memlib score"
    assert [path.name for path in tmp_path.iterdir()] == ["s.parquet"]
    shown = json.loads(memlib("results", out).output)
    assert shown["settings"]["epochs"] == 2


def test_score_adds_cumulative_curvature_only_if_asked(tmp_path):
    out = tmp_path / "s.parquet"
    call = ("score", "--data", "digits", "--epochs", 2, "--out", out)
    assert memlib(*call, "--curvature").exit_code == 0
    table, stamp = results.load_table(out)
    assert stamp.settings["curvature"] is True
    assert (table.cumulative_curvature > 0).all()
    assert memlib(*call).exit_code == 2  # the file is of other settings
    assert memlib(*call, "--no-resume").exit_code == 0
    assert "cumulative_curvature" not in results.load_table(out)[0]
    refused = memlib(*call[:-2], "--curvature", "--track", "train")
    assert refused.exit_code == 2
    assert 'Pass track="eval"' in refused.output


def test_a_killed_score_goes_on_and_ends_with_the_identical_table(tmp_path):
    def command(out):
        call = ["score", "--data", "digits", "--epochs", "60", "--no-progress", "--out", out]
        return [sys.executable, "-m", "memlib", *map(str, call)]

    killed, whole = tmp_path / "killed.parquet", tmp_path / "whole.parquet"
    process = subprocess.Popen(command(killed), stdout=subprocess.DEVNULL)
    checkpoint = tmp_path / "killed.parquet.checkpoint"
    deadline = time.monotonic() + 120
    while not checkpoint.exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not killed.exists()
    for out in (killed, whole):
        subprocess.run(command(out), check=True, stdout=subprocess.DEVNULL)
    first, second = (results.load_table(out)[0] for out in (killed, whole))
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_private_says_what_is_guaranteed_and_measures_below_it(tmp_path):
    out = tmp_path / "private.parquet"
    call = ("private", "--data", "digits", "--pairs", 2, "--epochs", 1, "--width", 4, "--noise", 2)
    shown = memlib(*call, "--out", out)
    assert shown.exit_code == 0, shown.output
    table, stamp = results.load_table(out)
    assert f"no sample is memorized more than {table['bound'].iloc[0]:.4f}" in shown.output
    assert "noise 2, sampling rate 0.139276, 7 steps" in shown.output
    assert (table["runs_in"] == 2).all()
    assert stamp.settings["recipe"]["noise"] == 2


def test_memorization_writes_scores_and_verdicts(tmp_path):
    out, verdicts = tmp_path / "m.parquet", tmp_path / "r.npz"
    call = ("memorization", "--data", "digits", "--models", 4, "--epochs", 2, "--width", 8)
    assert memlib(*call, "--out", out, "--runs-out", verdicts).exit_code == 0
    from memlib.runs import load_runs
    from memlib.stability import memorization_scores

    runs, _ = load_runs(verdicts)
    assert runs.target_correct.shape == (4, 360)
    stored, _ = results.load_table(out)
    again = memorization_scores(runs)
    pd.testing.assert_frame_equal(again, stored[again.columns])


def test_detect_judges_scores_over_seeds_and_goes_on_from_finished_ones(tmp_path):
    out = tmp_path / "found.parquet"
    call = ["detect", "--data", "digits", "--samples", 150, "--width", 16, "--epochs", 10]
    call += ["--score", "csl", "--score", "random", "--out", out]
    shown = memlib(*call, "--seeds", 2)
    assert shown.exit_code == 0, shown.output
    table, stamp = results.load_table(out)
    assert stamp.settings["trouble"] == "mislabels"
    assert table.loc["csl", "auroc"] > table.loc["random", "auroc"] + 0.2
    assert list(tmp_path.iterdir()) == [out]
    assert memlib(*call, "--seeds", 2).output == shown.output
    assert memlib(*call, "--seeds", 3).exit_code == 2  # other settings, not to be overwritten
    rare = memlib(*call[:-2], "--seeds", 1, "--trouble", "subclass")  # of two merged classes
    assert rare.exit_code == 0, rare.output
    mixed = memlib(*call[:-2], "--seeds", 1, "--trouble", "sources", "--other", "digits")
    assert mixed.exit_code == 0, mixed.output
    assert "0.0909" in mixed.output  # 15 of 150 + 15 samples are of the other source


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (("data", "nope"), "name: 'nope'"),
        (("data", "digits", "--flip", "1.5"), "fraction: 1.5"),
        (("score", "--data", "digits", "--epochs", "0"), "epochs: 0"),
        (("score", "--data", "digits", "--lr", "-1"), "lr: -1"),
        (("detect", "--data", "digits", "--trouble", "typos"), "trouble: 'typos'"),
        (("detect", "--data", "digits", "--trouble", "sources"), "other: None"),
        (
            ("detect", "--data", "digits", "--trouble", "sources", "--other", "fmnist-mini"),
            "sources: (1, 28, 28)",
        ),
        (("detect", "--data", "digits", "--fraction", "2"), "fraction: 2"),
        (("detect", "--data", "digits", "--score", "luck"), "scores: 'luck'"),
        (("memorization", "--data", "digits", "--models", "0"), "models: 0"),
        (("private", "--data", "digits", "--epsilon", "-1"), "epsilon: -1.0"),
        (("private", "--data", "digits"), "noise: None"),
        (("memorization", "--data", "digits", "--fraction", "1"), "fraction: 1"),
        (("results", "missing.parquet"), "missing.parquet"),
        (("ledger", "orders/thm-0.0"), "orders/thm-0.0"),
    ],
)
def test_an_error_is_one_line_that_names_the_value(call, named):
    shown = memlib(*call)
    assert shown.exit_code == 2
    assert named in shown.stderr
    assert shown.stderr.count("\n") == 1
    assert "Traceback" not in shown.output


def test_anew_keeps_the_old_file_until_the_new_one_is_there(tmp_path):
    out = tmp_path / "m.parquet"
    call = ("memorization", "--data", "digits", "--epochs", 1, "--width", 4, "--out", out)
    assert memlib(*call, "--models", 2).exit_code == 0
    content = out.read_bytes()
    assert memlib(*call, "--models", 0, "--no-resume").exit_code == 2
    assert memlib(*call, "--models", 3).exit_code == 2  # other settings, not to be overwritten
    assert out.read_bytes() == content
    assert memlib(*call, "--models", 3, "--no-resume").exit_code == 0
    assert results.load_table(out)[1].settings["models"] == 3


def test_diverged_training_is_one_line():
    shown = memlib("score", "--data", "digits", "--epochs", 2, "--lr", "1e30")
    assert shown.exit_code == 2
    assert shown.stderr.count("\n") == 1


def test_the_ledger_tells_how_many_changes_of_a_check_went_unseen():
    shown = memlib("ledger", "--mutants", "orders/eq-1")
    assert shown.exit_code == 0
    assert "0 went unseen" in shown.output


def test_the_ledger_prints_verdict_and_evidence():
    shown = memlib("ledger", "book/r4")
    assert shown.exit_code == 0
    assert "book/r4" in shown.output
    assert "holds" in shown.output
    assert "supports" in shown.output
