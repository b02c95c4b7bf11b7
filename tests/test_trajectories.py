"""Tracked runs: what is stored is what the recipes give, and both scales run the same code."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from memlib import data, results, trajectories
from memlib.data import Dataset
from memlib.dynamics import DynamicsTracker
from memlib.errors import ForeignResult, NotPositive, UnknownName, WrongShape
from memlib.theory.trajectories import learning_time as exact_learning_time


@pytest.fixture(scope="module")
def shipped():
    return {(run.model, run.seed): run for run in trajectories.load()}


@pytest.fixture
def cifar():
    """Twelve small color images of three classes, under the name of the large data set."""
    random = torch.Generator().manual_seed(0)
    images, labels = torch.randn(12, 3, 8, 8, generator=random), torch.arange(12) % 3
    names = ("a", "b", "c")
    return Dataset(images, labels, torch.arange(12), names, "cifar100", (0.0,) * 3, (1.0,) * 3)


def test_the_stored_runs_are_three_seeds_of_two_networks_on_every_training_sample(shipped):
    networks = [(model, seed) for model in ("mlp", "small-cnn") for seed in range(3)]
    assert list(shipped) == networks
    ids = data.load("fmnist-mini").ids.numpy()
    for run in shipped.values():
        rows = (trajectories.recipe(run.model)["epochs"] + 1, 5000)
        assert run.loss.shape == run.gradient.shape == run.correct.shape == rows
        assert np.array_equal(run.ids, ids)
        assert run.accuracy > 0.99
        assert (run.loss >= 0).all()
        assert (run.gradient >= 0).all()


def test_the_stored_runs_begin_as_they_do_when_trained_again(shipped):
    dataset = data.load("fmnist-mini")
    for model in ("mlp", "small-cnn"):
        assert trajectories.audit(dataset, shipped[model, 1]) < 0.005
    other = replace(shipped["mlp", 1], seed=2)
    assert trajectories.audit(dataset, other) > 0.05


def test_a_prediction_is_right_where_its_loss_is_below_ln_2(shipped):
    run = shipped["mlp", 0]
    assert run.correct[run.loss < 0.69].all()


def test_the_mlp_is_trained_as_for_the_stored_memorization_scores():
    made = results.load_table(results.stored("fmnist-mini-memorization.parquet"))[1].settings
    ours = trajectories.recipe("mlp")
    assert {key: made["recipe"][key] for key in ("epochs", "lr", "batch_size")} == {
        key: ours[key] for key in ("epochs", "lr", "batch_size")
    }


def test_the_recipe_of_resnet18_is_that_of_the_paper_and_shrinks_with_the_epochs():
    whole = trajectories.recipe("resnet18")
    assert (whole["epochs"], whole["lr"], whole["weight_decay"]) == (200, 0.1, 1e-4)
    assert (whole["batch_size"], whole["milestones"]) == (128, (120, 180))
    assert whole["augment"] == "crop-flip"
    assert trajectories.recipe("resnet18", 3)["milestones"] == (1, 2)
    with pytest.raises(NotPositive, match="epochs"):
        trajectories.recipe("resnet18", 2)
    with pytest.raises(UnknownName, match="vgg16"):
        trajectories.recipe("vgg16")


def test_the_large_scale_trains_resnet18_and_the_mlp_and_reads_them_back(
    cifar, tmp_path, monkeypatch
):
    monkeypatch.setenv("MEMLIB_SCALE", "gpu")
    monkeypatch.setattr(data, "load", lambda name: cifar)
    dataset, runs = trajectories.tracked(folder=tmp_path, epochs=3, progress=False)
    assert dataset is cifar
    assert list(runs) == [(name, seed) for name in ("MLP", "ResNet-18") for seed in range(3)]
    assert all(run.loss.shape == (4, 12) for run in runs.values())
    assert [path.name for path in tmp_path.iterdir()] == ["cifar100-trajectories.npz"]
    monkeypatch.setattr(trajectories, "watch", None)  # nothing is trained again
    again = trajectories.tracked(folder=tmp_path, epochs=3)[1]
    for key, run in runs.items():
        assert np.array_equal(run.loss, again[key].loss)
    with pytest.raises(ForeignResult, match="epochs"):
        trajectories.tracked(folder=tmp_path, epochs=4)


def test_what_is_stored_is_what_was_seen_to_nine_bits(cifar, tmp_path):
    seen, network = trajectories.watch(cifar, "mlp", 2, epochs=2, progress=False)
    kept = trajectories.record(cifar, ["mlp"], out=tmp_path / "runs.npz", epochs=2)[2]
    assert kept.seed == 2
    assert np.array_equal(kept.correct, seen.correct)
    for kind in ("loss", "gradient"):
        one, other = getattr(seen, kind), getattr(kept, kind)
        assert np.abs(one - other).max() > 0
        assert (np.abs(one - other) <= one / 512).all()
    # the last row is the trained network, the sums leave it out
    logits = network(cifar.images)
    own = torch.nn.functional.cross_entropy(logits, cifar.labels, reduction="none")
    assert seen.loss[-1] == pytest.approx(own.detach().numpy(), rel=1e-4)
    assert seen.csl == pytest.approx(seen.loss[0] + seen.loss[1])
    assert seen.csg == pytest.approx(seen.gradient[0] + seen.gradient[1])
    assert seen.epochs == 2
    assert seen.tau == pytest.approx(np.sort(seen.gradient[0])[5:7].mean() / 2)


def test_learning_time_is_that_of_exact_arithmetic():
    squares = np.random.default_rng(0).integers(0, 9, (7, 200)).astype(np.float32)
    for tau in (1, 3, 4, 8):
        found = trajectories.learning_time(squares, tau)
        exact = [
            exact_learning_time([Fraction(int(v)) for v in c], Fraction(tau)) for c in squares.T
        ]
        assert found.tolist() == [8 if time is None else time for time in exact]
    with pytest.raises(NotPositive, match="tau"):
        trajectories.learning_time(squares, 0)
    with pytest.raises(WrongShape, match="gradient"):
        trajectories.learning_time(squares[0], 1)


def test_the_first_and_the_stable_correct_epoch_are_the_trackers():
    correct = np.random.default_rng(1).random((5, 60)) < 0.3
    correct[:, :2] = True
    tracker = DynamicsTracker(np.arange(60), classes=2)
    for row in correct:
        logits = torch.tensor(np.stack([row, np.full(60, 0.5)], 1))
        tracker.update(torch.arange(60), logits, torch.zeros(60, dtype=torch.long))
        tracker.end_epoch()
    assert not correct.any(0).all()
    assert trajectories.first_correct(correct).tolist() == (
        tracker.scores()["learning_time_first"].tolist()
    )
    assert trajectories.stable_correct(correct).tolist() == (
        tracker.scores()["learning_time_stable"].tolist()
    )
    for function in (trajectories.first_correct, trajectories.stable_correct):
        with pytest.raises(WrongShape, match="correct"):
            function(correct[0])
