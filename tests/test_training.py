"""Training does what a plain PyTorch loop does, and goes on exactly where it was stopped."""

import os
import signal
import subprocess
import sys
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from memlib import errors, runtime, training
from memlib.data import Dataset
from memlib.dynamics import DynamicsTracker
from memlib.errors import (
    CorruptResult,
    ForeignResult,
    InvalidInput,
    NotPositive,
    TrainingDiverged,
    UnknownIds,
    UnknownName,
    WrongShape,
    WrongType,
)
from memlib.losses import input_gradients
from memlib.schedules import learning_rates
from memlib.training import fit, predict


def small_data(n=50, channels=1, classes=3):
    random = torch.Generator().manual_seed(3)
    pixels = torch.rand(n, channels, 8, 8, generator=random)
    mean, std = (0.5, 0.25, 0.4)[:channels], (0.25, 0.5, 0.3)[:channels]
    shape = (1, channels, 1, 1)
    return Dataset(
        images=(pixels - torch.tensor(mean).view(shape)) / torch.tensor(std).view(shape),
        labels=torch.randint(classes, (n,), generator=random),
        ids=torch.randperm(n, generator=random) * 10 + 5,
        class_names=tuple("abcdefgh"[:classes]),
        name="small",
        mean=mean,
        std=std,
    )


def network(dropout=0.0, channels=1, classes=3, norm=False):
    with runtime.seeded(0, "test network"):
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(64 * channels, 16),
            nn.BatchNorm1d(16) if norm else nn.Identity(),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(16, classes),
        )


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_equal_bits(ours, theirs):
    """Compare nested dicts, lists, tensors and plain values, tensors bit for bit."""
    assert type(ours) is type(theirs)
    if isinstance(ours, torch.Tensor):
        assert torch.equal(ours.nan_to_num(-7.0), theirs.nan_to_num(-7.0))
    elif isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        for key in ours:
            assert_equal_bits(ours[key], theirs[key])
    elif isinstance(ours, list | tuple):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_equal_bits(one, other)
    else:
        assert ours == theirs


class Stopped(Exception):
    pass


def stop_after(last):
    def callback(epoch, model, history):
        if epoch == last:
            raise Stopped

    return callback


class Spy(nn.Module):
    """Keeps the images that it is given, and whether it was in train mode."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        self.images, self.modes = [], []

    def forward(self, images):
        self.images.append(images.detach().clone())
        self.modes.append(self.training)
        return self.inner(images)


def test_fit_equals_a_plain_pytorch_loop_bit_for_bit():
    data, ours, theirs = small_data(), network(), network()
    history = fit(
        ours, data, epochs=4, batch_size=16, lr=0.2, momentum=0.8, weight_decay=1e-3,
        schedule="step", milestones=[2, 3], gamma=0.5, seed=11,
    )  # fmt: skip
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.2, momentum=0.8, weight_decay=1e-3)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 3], 0.5)
    for epoch in range(4):
        order = torch.randperm(50, generator=runtime.generator(11, "batches", epoch))
        total = correct = 0.0
        for start in range(0, 50, 16):
            batch = order[start : start + 16]
            logits = theirs(data.images[batch])
            losses = F.cross_entropy(logits, data.labels[batch], reduction="none")
            optimizer.zero_grad()
            losses.mean().backward()
            optimizer.step()
            total += losses.sum().item()
            correct += (logits.argmax(1) == data.labels[batch]).sum().item()
        scheduler.step()
        assert history.loss[epoch] == pytest.approx(total / 50, rel=1e-6)
        assert history.accuracy[epoch] == correct / 50
    assert_equal_bits(weights(ours), weights(theirs))
    assert history.seconds > 0


def test_the_seed_decides_and_the_global_generator_is_left_alone():
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(len(results))
        before = torch.get_rng_state()
        model = network(dropout=0.5)
        fit(model, small_data(), epochs=2, batch_size=16, augment="crop-flip", seed=seed)
        assert torch.equal(torch.get_rng_state(), before)
        results.append(weights(model))
    assert_equal_bits(results[0], results[1])
    assert not torch.equal(results[0]["1.weight"], results[2]["1.weight"])


def test_each_epoch_presents_each_sample_once_in_a_new_order():
    data, spy = small_data(), Spy(network())
    fit(spy, data, epochs=3, batch_size=16)
    epochs = [torch.cat(spy.images[4 * epoch : 4 * epoch + 4]) for epoch in range(3)]
    orders = [
        [int((data.images == image).all(dim=(1, 2, 3)).nonzero()) for image in epoch]
        for epoch in epochs
    ]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    assert spy.modes == [True] * 12


def test_augmented_images_are_crops_of_the_blackened_frame_and_mirror_images():
    data = small_data(n=600, channels=2)
    spy = Spy(network(channels=2))
    fit(spy, data, epochs=1, batch_size=128, augment="crop-flip", seed=5)
    order = torch.randperm(600, generator=runtime.generator(5, "batches", 0))
    frames = torch.zeros(600, 2, 16, 16)
    frames[:, :, 4:-4, 4:-4] = data.pixels()[order]
    mean, std = (torch.tensor(numbers).view(1, 2, 1, 1) for numbers in (data.mean, data.std))
    frames = (frames - mean) / std  # black is a pixel of 0, whatever the normalization
    images, seen = torch.cat(spy.images), set()
    for row, column, flip in product(range(9), range(9), (False, True)):
        view = frames[:, :, row : row + 8, column : column + 8]
        view = view.flip(3) if flip else view
        hits = (view - images).abs().amax((1, 2, 3)) < 1e-5
        seen |= {(row, column, flip, int(place)) for place in hits.nonzero()}
    assert {key[3] for key in seen} == set(range(600))
    seen = {key[:3] for key in seen}
    assert {key[0] for key in seen} == {key[1] for key in seen} == set(range(9))
    assert len(seen) > 140  # of 162, with 600 draws
    assert len({key[:2] for key in seen if key[2]}) > 60


def test_augmentation_does_not_depend_on_other_random_numbers():
    spies = [Spy(network(dropout)) for dropout in (0.0, 0.5)]
    for spy in spies:
        fit(spy, small_data(), epochs=2, batch_size=16, augment="crop-flip")
    assert_equal_bits(spies[0].images, spies[1].images)


def test_training_leaves_the_mode_of_the_model():
    for mode in (True, False):
        spy = Spy(network()).train(mode)
        fit(spy, small_data(), epochs=1)
        assert spy.modes == [True]
        assert spy.training is spy.inner.training is mode


def test_training_is_not_augmented_unless_asked():
    spy = Spy(network())
    fit(spy, small_data(), epochs=1, batch_size=50)
    assert torch.equal(
        spy.images[0].sum((1, 2, 3)).sort()[0], small_data().images.sum((1, 2, 3)).sort()[0]
    )


def test_learning_rates_are_those_of_the_named_schedules():
    assert learning_rates("constant", 0.3, 2, 3) == [0.3] * 6
    step = learning_rates("step", 1.0, 4, 2, milestones=[1, 3], gamma=0.1)
    assert step == pytest.approx([1, 1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01])
    cycle = learning_rates("one-cycle", 0.5, 10, 10)
    peak = int(np.argmax(cycle))
    assert cycle[0] == pytest.approx(0.5 / 25)
    assert cycle[-1] == pytest.approx(0.5 / 25 / 1e4)
    assert cycle[peak] == pytest.approx(0.5)
    assert peak == 29  # the peak stands at 30 % of the steps
    assert all(a < b for a, b in pairwise(cycle[: peak + 1]))
    assert all(a > b for a, b in pairwise(cycle[peak:]))
    assert learning_rates("one-cycle", 0.5, 1, 1) == [0.5]


def test_one_cycle_changes_the_rate_at_every_step(tmp_path):
    model, data = network(), small_data()
    fit(model, data, epochs=2, batch_size=16, schedule="one-cycle", momentum=0, weight_decay=0)
    plain = network()
    rates = learning_rates("one-cycle", 0.1, 2, 4)
    for epoch in range(2):
        order = torch.randperm(50, generator=runtime.generator(0, "batches", epoch))
        for step, batch in enumerate(order.split(16), 4 * epoch):
            loss = F.cross_entropy(plain(data.images[batch]), data.labels[batch])
            for parameter, slope in zip(
                plain.parameters(), torch.autograd.grad(loss, [*plain.parameters()]), strict=True
            ):
                parameter.data -= rates[step] * slope
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_callbacks_see_epoch_model_and_history_so_far():
    seen = []
    model = network()

    def note(epoch, given, history):
        assert given is model
        seen.append((epoch, len(history.loss), len(history.accuracy)))

    fit(model, small_data(), epochs=3, callbacks=[note, note])
    assert seen == [(0, 1, 1)] * 2 + [(1, 2, 2)] * 2 + [(2, 3, 3)] * 2


def test_a_tracker_changes_neither_weights_nor_history():
    data = small_data()
    runs = []
    for track in (None, "train", "eval"):
        model = network(dropout=0.3)
        tracker = track and DynamicsTracker(data.ids, 3, input_grads=True)
        history = fit(
            model, data, epochs=3, batch_size=16, augment="crop-flip", tracker=tracker,
            track=track or "train",
        )  # fmt: skip
        runs.append((weights(model), history.loss, history.accuracy))
    assert_equal_bits(runs[0], runs[1])
    assert_equal_bits(runs[0], runs[2])


def test_the_training_pass_is_tracked_sample_by_sample():
    data, model = small_data(), network()
    tracker = DynamicsTracker(data.ids, 3, input_grads=True, trajectories=True)
    # The rate is below the resolution of the weights: what is tracked is the initial network.
    history = fit(model, data, epochs=2, batch_size=7, lr=1e-30, tracker=tracker)
    logits = predict(network(), data)
    loss = F.cross_entropy(logits, data.labels, reduction="none")
    own = input_gradients(network(), data.images, data.labels)
    kept = tracker.trajectories()
    for epoch in (0, 1):
        np.testing.assert_allclose(kept["loss"][epoch], loss, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(
            kept["gradient"][epoch], own.square().sum((1, 2, 3)), rtol=1e-4, atol=1e-7
        )
    assert history.loss[0] == pytest.approx(float(loss.mean()), rel=1e-5)


def test_the_training_pass_is_tracked_in_train_mode_and_augmented():
    data, spy = small_data(), Spy(network(dropout=0.5))
    tracker = DynamicsTracker(data.ids, 3, trajectories=True)
    history = fit(spy, data, epochs=3, batch_size=16, augment="crop-flip", tracker=tracker)
    assert len(spy.modes) == 12  # no extra pass
    mean = tracker.trajectories()["loss"].mean(1)
    np.testing.assert_allclose(mean, history.loss, rtol=1e-5)  # of the very same logits
    plain = F.cross_entropy(predict(network(), data), data.labels)
    assert abs(mean[0] - float(plain)) > 1e-3


def test_the_eval_pass_sees_the_weights_at_the_start_of_each_epoch():
    data, spy = small_data(), Spy(network(dropout=0.5, norm=True))
    tracker = DynamicsTracker(data.ids, 3, input_grads=True, trajectories=True)
    snapshots = [weights(spy)]
    fit(
        spy, data, epochs=3, batch_size=16, lr=0.5, augment="crop-flip", tracker=tracker,
        track="eval", callbacks=[lambda epoch, model, history: snapshots.append(weights(model))],
    )  # fmt: skip
    assert spy.modes == ([False] * 4 + [True] * 4) * 3
    kept = tracker.trajectories()
    for t in range(3):  # index t is w_t, and the last weights are not looked at
        spy.load_state_dict(snapshots[t])
        loss = F.cross_entropy(predict(spy, data), data.labels, reduction="none")
        own = input_gradients(spy, data.images, data.labels)
        np.testing.assert_allclose(kept["loss"][t], loss, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(
            kept["gradient"][t], own.square().sum((1, 2, 3)), rtol=1e-4, atol=1e-7
        )


def test_a_first_layer_in_place_changes_neither_the_data_set_nor_what_is_measured():
    data, tables = small_data(), []
    before = data.images.clone()
    for inplace in (False, True):
        for track in ("train", "eval"):
            model = nn.Sequential(nn.LeakyReLU(0.1, inplace=inplace), network())
            tracker = DynamicsTracker(data.ids, data.num_classes, input_grads=track == "train")
            fit(model, data, epochs=2, tracker=tracker, track=track, progress=False)
            tables.append([predict(model, data), input_gradients(model, data.images, data.labels)])
            tables[-1].append(torch.from_numpy(tracker.scores().to_numpy(dtype=float)))
            assert torch.equal(data.images, before)
    for plain, in_place in zip(tables[:2], tables[2:], strict=True):
        for one, other in zip(plain, in_place, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_predict_is_in_eval_mode_and_leaves_the_mode():
    data, model = small_data(), network(dropout=0.5)
    model[0].eval()
    logits = predict(model, data, batch_size=7)
    assert [module.training for module in model][:2] == [False, True]
    model.eval()
    torch.testing.assert_close(logits, model(data.images).detach())
    assert not logits.requires_grad


RECIPES = {
    "plain": {},
    "dropout and augmentation": {"dropout": 0.4, "augment": "crop-flip"},
    "one-cycle": {"schedule": "one-cycle"},
    "steps and batch norm": {"schedule": "step", "milestones": (2, 4), "norm": True},
    "tracked in training": {"track": "train", "augment": "crop-flip", "dropout": 0.4},
    "tracked in eval": {"track": "eval", "dropout": 0.4, "schedule": "one-cycle"},
}


def run(recipe, path, **rest):
    """Train by a recipe with a checkpoint; return everything that a run leaves behind."""
    recipe = dict(recipe)
    model = network(recipe.pop("dropout", 0.0), norm=recipe.pop("norm", False))
    data, tracker = small_data(), None
    if "track" in recipe:
        tracker = DynamicsTracker(data.ids, 3, tau=0.1, input_grads=True, trajectories=True)
    history = fit(
        model, data, epochs=6, batch_size=16, weight_decay=1e-3, tracker=tracker, checkpoint=path,
        **recipe, **rest,
    )  # fmt: skip
    stored = torch.load(path, weights_only=True)
    stored["content"]["history"].pop()  # the wall time
    table = None if tracker is None else torch.tensor(tracker.scores().to_numpy(dtype=float))
    return [weights(model), history.loss, history.accuracy, table, stored]


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_a_resumed_run_is_bit_for_bit_equal_to_an_uninterrupted_one(recipe, tmp_path):
    whole = run(recipe, tmp_path / "whole.pt")
    path = tmp_path / "broken.pt"
    for last in (1, 2, 4):  # stopped three times, each after the epoch and before its checkpoint
        with pytest.raises(Stopped):
            run(recipe, path, callbacks=[stop_after(last)])
    assert_equal_bits(run(recipe, path), whole)
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["broken.pt", "whole.pt"]


class Interrupts(nn.Module):
    """Interrupts the run, as Ctrl-C does, at one of its calls."""

    def __init__(self, at):
        super().__init__()
        self.left = at

    def forward(self, images):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return images


@pytest.mark.parametrize("track", ["train", "eval"])
@pytest.mark.parametrize("at", [1, 3, 5, 8, 11])  # 4 steps in an epoch
def test_an_interrupted_run_goes_on_in_the_same_process_with_the_same_objects(track, at, tmp_path):
    def attempt(model, tracker, name):
        return fit(
            model, data, epochs=3, batch_size=16, tracker=tracker, track=track,
            checkpoint=tmp_path / name,
        )  # fmt: skip

    def fresh(at):
        tracker = DynamicsTracker(data.ids, 3, input_grads=True, trajectories=True)
        return nn.Sequential(Interrupts(at), network(0.3, norm=True)).eval(), tracker

    data = small_data()
    model, tracker = fresh(at)
    with pytest.raises(KeyboardInterrupt):
        attempt(model, tracker, "broken.pt")
    again = attempt(model, tracker, "broken.pt")
    whole, straight = fresh(0)
    history = attempt(whole, straight, "whole.pt")
    assert_equal_bits(weights(model), weights(whole))
    assert_equal_bits(tracker.state_dict(), straight.state_dict())
    assert (again.loss, again.accuracy) == (history.loss, history.accuracy)


@pytest.mark.parametrize("expected", [KeyboardInterrupt, TrainingDiverged, Stopped])
def test_an_error_drops_the_open_epoch_of_the_tracker_and_puts_the_mode_back(expected, monkeypatch):
    monkeypatch.setattr(training, "_HELD", 1)  # each step goes to the tracker at once
    data = small_data()
    tracker = DynamicsTracker(data.ids, 3)
    model = nn.Sequential(Interrupts(3 if expected is KeyboardInterrupt else 0), network()).eval()
    more = {"callbacks": [stop_after(0)]} if expected is Stopped else {}
    more |= {"lr": 1e30} if expected is TrainingDiverged else {}
    with pytest.raises(expected):
        fit(model, data, epochs=2, batch_size=16, tracker=tracker, **more)
    assert not model.training
    assert not tracker.state_dict()["sums"].any()
    assert tracker.epochs == (expected is Stopped)


def test_divergence_is_known_without_torch():
    assert training.TrainingDiverged is errors.TrainingDiverged
    code = "import sys; from memlib.errors import TrainingDiverged; print('torch' in sys.modules)"
    root = Path(__file__).parents[1]
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert child.stdout == "False\n", child.stderr


def test_a_finished_checkpoint_returns_at_once_without_training(tmp_path):
    path = tmp_path / "run.pt"
    whole = run(RECIPES["tracked in training"], path)
    before = path.read_bytes()
    again = run(RECIPES["tracked in training"], path, callbacks=[stop_after(k) for k in range(6)])
    assert_equal_bits(again, whole)
    assert path.read_bytes() == before


CHILD = """
import sys, time, torch
from tests.test_training import RECIPES, run
torch.set_num_threads(1)
def wait(epoch, model, history):
    if epoch == 3:
        print("ready", flush=True)
        time.sleep(600)
run(RECIPES["tracked in training"], sys.argv[1], callbacks=[wait])
"""


def test_a_killed_process_goes_on_where_it_was(tmp_path):
    path = tmp_path / "run.pt"
    root = Path(__file__).parents[1]
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    ) as child:
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    assert len(torch.load(path, weights_only=True)["content"]["history"][0]) == 3
    resumed = run(RECIPES["tracked in training"], path)
    assert_equal_bits(resumed, run(RECIPES["tracked in training"], tmp_path / "whole.pt"))


FOREIGN = {
    "epochs": 3,
    "batch_size": 10,
    "lr": 0.2,
    "momentum": 0.5,
    "weight_decay": 0.1,
    "schedule": "one-cycle",
    "augment": "crop-flip",
    "seed": 1,
}


@pytest.mark.parametrize("name", [*FOREIGN, "dataset", "model", "track", "tau"])
def test_a_checkpoint_of_another_run_is_refused_by_name(name, tmp_path):
    def attempt(**changed):
        data = small_data()
        tracker = DynamicsTracker(data.ids, 3, input_grads=True, tau=changed.pop("tau", 1.0))
        if changed.pop("dataset", False):
            data = data.relabel(data.labels.roll(1))
        model = network(norm=changed.pop("model", False))
        start = weights(model)
        try:
            fit(
                model, data, **{"epochs": 2, "tracker": tracker, **changed},
                checkpoint=tmp_path / "run.pt",
            )  # fmt: skip
        finally:
            attempt.untouched = torch.equal(weights(model)["1.weight"], start["1.weight"])

    attempt()
    stored = (tmp_path / "run.pt").read_bytes()
    change = {
        **{key: {key: value} for key, value in FOREIGN.items()},
        "dataset": {"dataset": True},
        "model": {"model": True},
        "track": {"track": "eval"},
        "tau": {"tau": 2.0},
    }[name]
    with pytest.raises(ForeignResult, match=rf"\b{name} was "):
        attempt(**change)
    assert attempt.untouched
    assert (tmp_path / "run.pt").read_bytes() == stored


@pytest.fixture(scope="module")
def one_epoch(tmp_path_factory):
    """The bytes of a finished checkpoint and the weights that it leads to."""
    path, model = tmp_path_factory.mktemp("whole") / "run.pt", network()
    fit(model, small_data(), epochs=1, checkpoint=path)
    return path.read_bytes(), weights(model)


@settings(deadline=None, max_examples=60)
@given(where=st.floats(0, 1, exclude_max=True), cut=st.booleans())
def test_a_truncated_or_edited_checkpoint_is_refused(one_epoch, tmp_path_factory, where, cut):
    path = tmp_path_factory.getbasetemp() / "damaged.pt"
    whole, trained = one_epoch
    content = bytearray(whole)
    place = int(where * len(content))
    if cut:
        path.write_bytes(content[:place])
    else:
        content[place] ^= 0xFF
        path.write_bytes(content)
    model, refused = network(), None
    try:
        fit(model, small_data(), epochs=1, checkpoint=path)
    except CorruptResult as error:
        refused = str(error)
    if refused:
        assert str(path) in refused
        assert_equal_bits(weights(model), weights(network()))
    else:  # a byte of padding or of a time stamp carries nothing
        assert not cut
        assert_equal_bits(weights(model), trained)


def test_a_foreign_file_is_no_checkpoint(tmp_path):
    for number, content in enumerate((b"", b"hello", {"format": "else"}, [1])):
        path = tmp_path / f"{number}.pt"
        path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
        with pytest.raises(CorruptResult, match="no checkpoint"):
            fit(network(), small_data(), epochs=1, checkpoint=path)


@pytest.mark.parametrize(
    "gone", [("settings",), ("random",), ("content",), *(("content", p) for p in training._PARTS)]
)
def test_a_checkpoint_that_lacks_a_part_is_refused(gone, tmp_path):
    path = tmp_path / "run.pt"
    fit(network(), small_data(), epochs=1, checkpoint=path)
    stored = torch.load(path, weights_only=True)
    inner = stored["content"] if len(gone) == 2 else stored
    del inner[gone[-1]]
    torch.save(stored, path)
    with pytest.raises(CorruptResult, match=f"{gone[-1]}.*Delete it"):
        fit(network(), small_data(), epochs=1, checkpoint=path)


@pytest.mark.parametrize("error", [PermissionError("not yours"), MemoryError("too little")])
def test_a_checkpoint_that_cannot_be_read_now_is_not_called_damaged(error, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise error

    path = tmp_path / "run.pt"
    fit(network(), small_data(), epochs=1, checkpoint=path)
    monkeypatch.setattr(torch, "load", refuse)
    with pytest.raises(type(error), match=str(error)):
        fit(network(), small_data(), epochs=1, checkpoint=path)


def test_a_directory_that_points_before_the_start_of_the_file_is_damage(one_epoch, tmp_path):
    path, content = tmp_path / "run.pt", bytearray(one_epoch[0])
    for mark, field in ((b"PK\5\6", 16), (b"PK\6\6", 48)):  # where zip and zip64 say it starts
        place = content.rfind(mark) + field
        content[place : place + 4] = b"\xf0\xff\xff\x0f"
    path.write_bytes(content)
    with pytest.raises(CorruptResult, match="Invalid argument"):
        fit(network(), small_data(), epochs=1, checkpoint=path)


class Harmful:
    """Unpickling it writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("track", ["train", "eval"])
def test_a_run_that_fails_in_its_first_batch_leaves_no_checkpoint(track, tmp_path):
    data, path = small_data(), tmp_path / "run.pt"
    tracker = DynamicsTracker(data.ids, data.num_classes)
    call = {"epochs": 2, "tracker": tracker, "track": track, "checkpoint": path}
    with pytest.raises(WrongShape):
        fit(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), data, **call)
    assert not path.exists()
    fit(network(), data, **call)
    assert path.exists()


def test_a_run_that_fails_after_a_step_keeps_the_weights_it_began_with(tmp_path):
    model, path = network(), tmp_path / "run.pt"
    begun = {name: value.clone() for name, value in model.state_dict().items()}
    calls = []

    def give_out(*_):
        calls.append(None)
        if len(calls) == 2:
            raise RuntimeError("out of memory")

    handle = model.register_forward_hook(give_out)
    with pytest.raises(RuntimeError, match="out of memory"):
        fit(model, small_data(), epochs=1, batch_size=16, checkpoint=path)
    handle.remove()
    stored = torch.load(path, weights_only=True)["content"]["model"]
    assert all(torch.equal(stored[name], value) for name, value in begun.items())
    assert not all(torch.equal(model.state_dict()[name], value) for name, value in begun.items())


def test_a_checkpoint_cannot_run_code(tmp_path):
    path, mark = tmp_path / "run.pt", tmp_path / "mark"
    torch.save({"format": "memlib checkpoint 1", "settings": Harmful(mark)}, path)
    with pytest.raises(CorruptResult):
        fit(network(), small_data(), epochs=1, checkpoint=path)
    assert not mark.exists()


def test_a_diverging_run_says_when_and_keeps_the_last_good_checkpoint(tmp_path):
    path = tmp_path / "run.pt"

    def explode(epoch, model, history):
        if epoch == 1:
            with torch.no_grad():
                model[5].weight.fill_(float("inf"))

    tracker = DynamicsTracker(small_data().ids, 3)
    with pytest.raises(TrainingDiverged, match=r"nan in epoch 2, step 0, at learning rate 0\.1"):
        fit(
            network(), small_data(), epochs=4, batch_size=16, callbacks=[explode], checkpoint=path,
            tracker=tracker,
        )  # fmt: skip
    assert len(torch.load(path, weights_only=True)["content"]["history"][0]) == 2
    with pytest.raises(TrainingDiverged, match=r"epoch 0, step [1-9]\d*, at learning rate 1e\+30"):
        fit(network(), small_data(), epochs=1, batch_size=5, lr=1e30)


def test_a_tracker_of_other_classes_is_refused_before_training():
    data, model = small_data(), network()
    with pytest.raises(InvalidInput, match="3 classes"):
        fit(model, data, epochs=1, tracker=DynamicsTracker(data.ids, 4))
    assert_equal_bits(weights(model), weights(network()))


def test_an_epoch_settled_in_several_parts_gives_the_same_scores(monkeypatch):
    class Counting(DynamicsTracker):
        def update(self, ids, *rest):
            sizes.append(len(ids))
            super().update(ids, *rest)

    data, results = small_data(), []
    for held, expected in ((2**22, [50]), (100, [48, 2])):  # at once, and every three steps
        sizes = []
        monkeypatch.setattr(training, "_HELD", held)
        tracker, model = Counting(data.ids, 3, input_grads=True), network()
        history = fit(model, data, epochs=2, batch_size=16, tracker=tracker)
        assert sizes == expected * 2
        results.append((history.loss, history.accuracy, tracker.scores()))
    assert results[0][:2] == results[1][:2]
    np.testing.assert_allclose(results[0][2], results[1][2], rtol=1e-5, atol=1e-6)


def test_a_tracker_that_does_not_know_an_id_is_refused_before_training():
    data, model = small_data(), network()
    with pytest.raises(UnknownIds, match=str(int(data.ids[0]))):
        fit(model, data, epochs=1, tracker=DynamicsTracker(data.ids[1:], 3))
    assert_equal_bits(weights(model), weights(network()))


BAD = {
    "epochs": [(0, NotPositive), (-3, NotPositive), (1.5, WrongType), (True, WrongType)],
    "batch_size": [(0, NotPositive), (-1, NotPositive), ("8", WrongType)],
    "lr": [(0.0, NotPositive), (-0.1, NotPositive), (float("nan"), NotPositive)],
    "momentum": [(1.0, InvalidInput), (-0.1, InvalidInput), (float("nan"), InvalidInput)],
    "weight_decay": [(-1.0, InvalidInput), (float("inf"), InvalidInput)],
    "schedule": [("cosine", UnknownName), ("", UnknownName)],
    "gamma": [(0.0, NotPositive), (-1.0, NotPositive)],
    "milestones": [((1,), InvalidInput)],
    "augment": [("cutmix", UnknownName)],
    "track": [("both", UnknownName)],
}


@pytest.mark.parametrize(
    ("argument", "value", "expected"),
    [(name, *case) for name, cases in BAD.items() for case in cases],
)
def test_a_bad_argument_is_named_with_its_value_and_the_fix(argument, value, expected, tmp_path):
    model = network()
    with pytest.raises(expected) as error:
        fit(model, small_data(), **{"epochs": 2, argument: value}, checkpoint=tmp_path / "run.pt")
    assert type(error.value) is expected
    assert error.value.argument == argument
    assert repr(value) in str(error.value)
    assert error.value.fix in str(error.value)
    assert_equal_bits(weights(model), weights(network()))
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("milestones", [(), (2, 1), (1, 1), (0,), (3,)])
def test_milestones_must_increase_and_lie_inside_the_run(milestones):
    with pytest.raises(InvalidInput) as error:
        fit(network(), small_data(), epochs=3, schedule="step", milestones=milestones)
    assert error.value.argument == "milestones"


@pytest.mark.parametrize("inner", [network(classes=4), network(classes=2), nn.Identity()])
def test_a_model_output_of_the_wrong_shape_is_refused(inner):
    for call in (lambda: fit(inner, small_data(), epochs=1), lambda: predict(inner, small_data())):
        if isinstance(inner, nn.Identity):
            inner.register_parameter("weight", nn.Parameter(torch.zeros(1)))
        with pytest.raises(WrongShape, match=r"model.*3\)"):
            call()


def test_a_progress_bar_shows_loss_and_accuracy(capsys):
    fit(network(), small_data(), epochs=2, batch_size=16, progress=True)
    bar = capsys.readouterr().err
    assert "8/8" in bar
    assert "loss=" in bar
    assert "accuracy=" in bar
    fit(network(), small_data(), epochs=2, progress=False)
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_training_on_the_gpu_tracks_and_resumes(tmp_path):
    data = small_data()
    tracker = DynamicsTracker(data.ids, 3, input_grads=True)
    options = {"epochs": 3, "augment": "crop-flip", "checkpoint": tmp_path / "run.pt"}
    with pytest.raises(Stopped):
        fit(network(0.3), data, tracker=tracker, callbacks=[stop_after(1)], **options)
    history = fit(network(0.3), data, tracker=tracker, **options)
    assert len(history.loss) == 3
    assert tracker.scores().notna().all(axis=None)
