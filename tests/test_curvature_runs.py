"""Curvature over training belongs to the same weights as the tracked losses and gradients."""

import numpy as np
import pytest
import torch

from memlib import curvature_runs, data, trajectories
from memlib.curvature import input_curvature
from memlib.curvature_runs import watch_curvature
from memlib.errors import CorruptResult, ForeignResult, NotPositive, TooLarge, UnknownName

DIGITS = data.load("digits").select(range(120))


def test_a_run_is_that_of_the_trajectories():
    seen = {}
    original = trajectories.training.fit

    def spy(model, dataset, **settings):
        history = original(model, dataset, **settings)
        seen.setdefault("weights", []).append([p.detach().clone() for p in model.parameters()])
        return history

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trajectories.training, "fit", spy)
        trajectories.watch(DIGITS, "mlp", 1, epochs=3, progress=False)
        run = watch_curvature(DIGITS, "mlp", 1, samples=20, epochs=3, looks=9)
    ours, theirs = seen["weights"]
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert run.trace.shape == run.difference.shape == (4, 20)  # the last look is at w_N


def test_looks_are_at_the_start_of_every_epoch():
    run = watch_curvature(DIGITS, "mlp", 2, samples=20, epochs=3)
    part = DIGITS.select(range(20))
    first = trajectories.network("mlp", DIGITS, 2)
    expected = input_curvature(first, part.images, part.labels)
    np.testing.assert_allclose(run.trace[0], expected.trace, rtol=1e-5)
    estimate = input_curvature(
        first, part.images, part.labels, estimator="finite-difference", seed=2, ids=part.ids
    )
    np.testing.assert_allclose(run.difference[0], estimate.published, rtol=1e-2)
    assert run.trace.shape == (3, 20)
    assert run.ids.tolist() == part.ids.tolist()
    again = watch_curvature(DIGITS, "mlp", 2, samples=20, epochs=3, looks=2)
    np.testing.assert_array_equal(again.trace, run.trace[:2])


def test_recorded_runs_are_read_back_and_others_refused(tmp_path):
    settings = {"out": tmp_path / "runs.npz", "seeds": 2, "samples": 10, "epochs": 2}
    made = curvature_runs.record(DIGITS, ["mlp"], **settings)
    read = curvature_runs.load(settings["out"])
    again = curvature_runs.record(DIGITS, ["mlp"], **settings)
    for runs in (read, again):
        assert [(r.model, r.seed) for r in runs] == [("mlp", 0), ("mlp", 1)]
        for ours, theirs in zip(runs, made, strict=True):
            np.testing.assert_array_equal(ours.trace, theirs.trace)
            np.testing.assert_array_equal(ours.difference, theirs.difference)
    with pytest.raises(ForeignResult, match="samples"):
        curvature_runs.record(DIGITS, ["mlp"], **settings | {"samples": 11})
    settings["out"].write_bytes(settings["out"].read_bytes()[:-40])
    with pytest.raises(CorruptResult):
        curvature_runs.load(settings["out"])


def test_the_larger_scale_runs_the_same_code(tmp_path, monkeypatch):
    monkeypatch.setenv("MEMLIB_SCALE", "gpu")
    tiny = data.Dataset(
        images=torch.randn(8, 3, 32, 32),
        labels=torch.arange(8),
        ids=torch.arange(8),
        class_names=tuple("abcdefgh"),
        name="cifar100",
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
    )
    monkeypatch.setattr(data, "load", lambda name: tiny)
    runs = curvature_runs.tracked(folder=tmp_path, epochs=3, samples=4, seeds=1)
    assert list(runs) == [("MLP", 0), ("ResNet-18", 0)]
    assert all(run.trace.shape == (3, 4) and (run.trace > 0).all() for run in runs.values())


def test_the_stored_runs_begin_like_a_run_of_today():
    dataset = data.load("fmnist-mini")
    stored = {(run.model, run.seed): run for run in curvature_runs.load()}
    assert len(stored) == 6
    run = stored["mlp", 1]
    again = watch_curvature(dataset, "mlp", 1, looks=2)
    for kind in ("trace", "difference"):
        near = np.abs(getattr(run, kind)[:2] - getattr(again, kind))
        assert near.mean() < 0.01 * getattr(run, kind)[:2].mean()
    assert run.trace.shape == (40, 1000)
    assert stored["small-cnn", 0].trace.shape == (24, 1000)


def test_bad_counts_and_names_are_refused():
    with pytest.raises(TooLarge, match="samples: 121"):
        watch_curvature(DIGITS, "mlp", samples=121)
    with pytest.raises(NotPositive, match="samples: 0"):
        watch_curvature(DIGITS, "mlp", samples=0)
    with pytest.raises(NotPositive, match="looks: 0"):
        watch_curvature(DIGITS, "mlp", samples=2, looks=0)
    with pytest.raises(UnknownName, match="model: 'vgg'"):
        watch_curvature(DIGITS, "vgg", samples=2)
