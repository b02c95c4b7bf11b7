"""Private training is DP-SGD as it is written, resumes exactly, and hides no warning."""

import copy
import math
import os
import signal
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from memlib import data, models, private_training
from memlib.errors import CorruptResult, ForeignResult, InvalidInput, TooLarge, WrongShape
from memlib.private_ensemble import train_private_ensemble
from memlib.private_training import PrivateRecipe, train_private
from memlib.runtime import generator, seeded

RECIPE = PrivateRecipe(
    epochs=3, batch_size=12, lr=0.4, momentum=0.6, clip=0.7, noise=0.8, schedule="one-cycle"
)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits").select(range(60))


def network(dropout=0.0):
    with seeded(0, "test network"):
        return nn.Sequential(
            nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 10)
        )


def equal(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@torch.no_grad()
def distance(one, other):
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return math.sqrt(sum(float((a - b).square().sum()) for a, b in pairs))


def written_out(model, dataset, recipe, seed, size):
    """DP-SGD one sample at a time, by autograd alone."""
    draws, noises = generator(seed, "draws"), generator(seed, "noise")
    parameters = list(model.parameters())
    momenta = [torch.zeros_like(p) for p in parameters]
    for lr in recipe.rates(size):
        drawn = (torch.rand(len(dataset), generator=draws) < recipe.batch_size / size).nonzero()
        sums = [torch.zeros_like(p) for p in parameters]
        for place in drawn[:, 0].tolist():
            loss = F.cross_entropy(model(dataset.images[[place]]), dataset.labels[[place]])
            gradients = torch.autograd.grad(loss, parameters)
            norm = math.sqrt(sum(float(g.square().sum()) for g in gradients))
            for total, gradient in zip(sums, gradients, strict=True):
                total += gradient * min(1.0, recipe.clip / norm)
        for parameter, momentum, total in zip(parameters, momenta, sums, strict=True):
            deviation = recipe.noise * recipe.clip
            noise = torch.normal(0.0, deviation, parameter.shape, generator=noises)
            momentum.mul_(recipe.momentum).add_((total + noise) / recipe.batch_size)
            with torch.no_grad():
                parameter -= lr * momentum


@pytest.mark.parametrize("momentum", [0.0, 0.6])
@pytest.mark.parametrize("chunk", [3, 256])
def test_it_is_dp_sgd_written_out_one_sample_at_a_time(digits, momentum, chunk):
    recipe = PrivateRecipe(epochs=2, batch_size=12, lr=0.4, momentum=momentum, clip=0.7, noise=0.8)
    ours, theirs = network(), network()
    history = train_private(ours, digits, recipe, size=50, seed=5, chunk=chunk)
    written_out(theirs, digits, recipe, 5, 50)
    assert distance(ours, network()) > 0.5
    assert distance(ours, theirs) < 1e-5
    assert (history.steps, history.sample_rate) == (8, 0.24)


def test_the_rate_falls_at_the_milestones(digits):
    recipe = replace(RECIPE, schedule="step", milestones=[1, 2], gamma=0.5)
    assert recipe.rates(60) == [0.4] * 5 + [0.2] * 5 + [0.1] * 5
    ours, theirs = network(), network()
    train_private(ours, digits, recipe, seed=5)
    written_out(theirs, digits, recipe, 5, 60)
    assert distance(ours, theirs) < 1e-5


def test_no_momentum_is_left_from_an_earlier_run(digits):
    once, twice = network(), network()
    train_private(once, digits, RECIPE)
    train_private(twice, digits, RECIPE, seed=3)
    twice.load_state_dict(network().state_dict())
    train_private(twice, digits, RECIPE)
    assert equal(once, twice)


def test_one_sample_moves_a_step_by_at_most_the_clipped_norm(digits):
    recipe = PrivateRecipe(epochs=1, batch_size=30, lr=1.0, clip=0.25, noise=0)
    loud = digits.images.clone()
    loud[7] *= 1000
    loud = data.Dataset(
        loud, *(getattr(digits, k) for k in digits.__dataclass_fields__ if k != "images")
    )
    start = network()
    moved = []
    for present in (loud, loud.select([k for k in range(60) if k != 7])):
        model = copy.deepcopy(start)
        with pytest.MonkeyPatch.context() as patch:
            # every sample is drawn
            patch.setattr(private_training.torch, "rand", lambda n, **_: torch.zeros(n))
            patch.setattr(PrivateRecipe, "steps_of_an_epoch", lambda self, size: 1)
            train_private(model, present, recipe, size=60)
        moved.append(model)
    # The others' gradients cancel; without clipping the loud one's alone is hundreds.
    assert distance(*moved) == pytest.approx(0.25 / 30, rel=1e-3)


def test_every_sample_is_drawn_independently_at_the_sampling_rate(digits, monkeypatch):
    drawn = []

    def record(model, optimizer, dataset, batch, chunk):
        drawn.append(torch.zeros(len(dataset)).index_fill(0, batch, 1.0))
        return torch.zeros(())

    monkeypatch.setattr(private_training, "_step", record)
    recipe = PrivateRecipe(epochs=600, batch_size=12, noise=1.0)
    history = train_private(network(), digits, recipe)
    table = torch.stack(drawn).double()  # steps x samples
    steps, q = len(table), 0.2
    assert history.drawn[0] == int(table[:5].sum())
    error = math.sqrt(q * (1 - q) / steps)
    assert (table.mean(0) - q).abs().max() < 4.5 * error  # 60 samples, each 1 in 150,000
    # Sizes of independent draws spread by n q (1 - q); a fixed batch would not spread at all.
    assert float(table.sum(1).var()) == pytest.approx(60 * q * (1 - q), rel=0.1)
    # A sample's own draws follow no order: an epoch does not present each sample once.
    assert float((table[1:] * table[:-1]).mean()) == pytest.approx(q * q, rel=0.05)


def test_a_step_that_draws_nothing_still_adds_noise(digits, monkeypatch):
    monkeypatch.setattr(private_training.torch, "rand", lambda n, **_: torch.ones(n))
    ours, theirs = network(), network()
    train_private(ours, digits, RECIPE, seed=2)
    written_out(theirs, digits, RECIPE, 2, 60)
    assert distance(ours, network()) > 0.1
    assert distance(ours, theirs) < 1e-5


def test_an_epoch_that_draws_nothing_has_no_loss(digits, monkeypatch):
    monkeypatch.setattr(private_training.torch, "rand", lambda n, **_: torch.ones(n))
    history = train_private(network(), digits, RECIPE)
    assert history.drawn == (0, 0, 0)
    assert all(math.isnan(loss) for loss in history.loss)


class Stopped(Exception):
    pass


@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_resumed_run_is_bit_for_bit_the_uninterrupted_one(digits, tmp_path, after, dropout):
    def stop(epoch, model, history):
        if epoch == after:
            raise Stopped

    whole, resumed = network(dropout), network(dropout)
    history = train_private(whole, digits, RECIPE, seed=4)
    with pytest.raises(Stopped):
        train_private(
            resumed, digits, RECIPE, seed=4, checkpoint=tmp_path / "run", callbacks=[stop]
        )
    fresh = network(dropout)
    again = train_private(fresh, digits, RECIPE, seed=4, checkpoint=tmp_path / "run")
    assert equal(whole, fresh)
    assert (again.loss, again.drawn) == (history.loss, history.drawn)
    finished = train_private(network(dropout), digits, RECIPE, seed=4, checkpoint=tmp_path / "run")
    assert finished == again


CHILD = """
import sys, time
from memlib import data
from memlib.private_training import train_private
from tests.test_private_training import RECIPE, network
def wait(epoch, model, history):
    if epoch == 1:
        print("ready", flush=True)
        time.sleep(600)
digits = data.load("digits").select(range(60))
train_private(network(0.5), digits, RECIPE, checkpoint=sys.argv[1], callbacks=[wait], device="cpu")
"""


def test_a_killed_process_goes_on_where_it_was(digits, tmp_path):
    root, path = Path(__file__).parents[1], tmp_path / "run.pt"
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
    ) as child:
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGKILL)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        resumed, whole = network(0.5), network(0.5)
        history = train_private(resumed, digits, RECIPE, checkpoint=path, device="cpu")
        assert len(torch.load(path, weights_only=True)["content"]["history"][0]) == 3
        train_private(whole, digits, RECIPE, device="cpu")
    finally:
        torch.set_num_threads(threads)
    assert history.steps == 15
    assert equal(resumed, whole)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("noise", {"noise": 0.9}),
        ("clip", {"clip": 1.0}),
        ("momentum", {"momentum": 0.0}),
        ("batch_size", {"batch_size": 10}),
        ("schedule", {"schedule": "constant"}),
    ],
)
def test_a_checkpoint_of_another_guarantee_is_refused_by_name(digits, tmp_path, name, change):
    train_private(network(), digits, RECIPE, checkpoint=tmp_path / "run")
    with pytest.raises(ForeignResult, match=rf"\b{name} was "):
        train_private(network(), digits, replace(RECIPE, **change), checkpoint=tmp_path / "run")
    with pytest.raises(ForeignResult, match=r"\bsize was 60"):
        train_private(network(), digits, RECIPE, size=50, checkpoint=tmp_path / "run")
    (tmp_path / "run").write_bytes((tmp_path / "run").read_bytes()[:-100])
    with pytest.raises(CorruptResult):
        train_private(network(), digits, RECIPE, checkpoint=tmp_path / "run")


def test_training_leaves_no_trace_but_the_weights(digits):
    model = network(0.5).eval()
    before = [sorted(vars(m)) for m in (*model.modules(), *model.parameters())]
    state = torch.get_rng_state()
    train_private(model, digits, RECIPE)

    def fail(epoch, model, history):
        raise Stopped

    with pytest.raises(Stopped):
        train_private(model, digits, RECIPE, callbacks=[fail])
    assert [sorted(vars(m)) for m in (*model.modules(), *model.parameters())] == before
    assert not any(m._forward_hooks or m._backward_hooks for m in model.modules())
    assert all(p.grad is None for p in model.parameters())
    assert not model.training
    assert torch.equal(torch.get_rng_state(), state)
    copy.deepcopy(model)


def test_training_warns_of_nothing_and_hides_no_other_warning(digits):
    class Loud(nn.Module):
        def forward(self, images):
            warnings.warn("a warning of the model's own", stacklevel=1)
            return images

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train_private(network(), digits, RECIPE)
        with pytest.raises(UserWarning, match="of the model's own"):
            train_private(nn.Sequential(Loud(), *network()), digits, RECIPE)


@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_is_refused_and_its_fix_works(digits, affine):
    with seeded(0):
        model = nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.BatchNorm2d(4, affine=affine),
            nn.ReLU(inplace=True),
            nn.Flatten(),
            nn.Linear(4 * 36, 10),
        )
    with pytest.raises(InvalidInput, match=r"BatchNorm2d at '1'.*with_group_norm"):
        train_private(model, digits, RECIPE)
    fixed = models.with_group_norm(model, groups=2)
    assert isinstance(model[1], nn.BatchNorm2d)
    assert model[2].inplace
    train_private(fixed, digits, RECIPE)
    assert torch.equal(model[0].weight, models.with_group_norm(model)[0].weight)


def test_layers_that_keep_statistics_and_models_without_weights_are_refused(digits):
    tracking = nn.Sequential(
        nn.InstanceNorm2d(1, affine=True, track_running_stats=True), *network()
    )
    without_weights = nn.Sequential(nn.InstanceNorm2d(1, track_running_stats=True), *network())
    for model in (tracking, without_weights):
        with pytest.raises(InvalidInput, match="statistics"):
            train_private(model, digits, RECIPE)
    frozen = network().requires_grad_(False)
    with pytest.raises(InvalidInput, match="weights to train"):
        train_private(frozen, digits, RECIPE)
    with pytest.raises(TooLarge, match="batch_size"):
        train_private(network(), digits, RECIPE, size=11)
    with pytest.raises(WrongShape, match="logits"):
        train_private(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), digits, RECIPE)


class Mixing(nn.Module):
    """Mixes the samples of a batch where no list of layers shows it, in train mode."""

    def __init__(self, mix):
        super().__init__()
        self.inner, self.mix = network(dropout=0.5), mix

    def forward(self, images):
        return self.inner(self.mix(images) if self.training else images)


@pytest.mark.parametrize(
    "mix",
    [
        lambda images: images - images.mean(0),
        lambda images: F.batch_norm(images, None, None, training=True),
        lambda images: images / images.abs().max(),
    ],
)
def test_samples_that_are_mixed_outside_of_layers_are_refused(digits, mix):
    model = Mixing(mix)
    with pytest.raises(InvalidInput, match=r"Mixing.*depends on the others"):
        train_private(model, digits, RECIPE)
    assert model.training
    train_private(Mixing(lambda images: images / 2), digits, replace(RECIPE, epochs=1))


class Remembering(nn.Module):
    """Subtracts the mean of earlier batches in train mode, and has no weight of its own."""

    def __init__(self, kept):
        super().__init__()
        self.register_buffer("mean", torch.zeros(1, 8, 8) if kept == "buffer" else None)
        self.kept, self.other = kept, torch.zeros(1, 8, 8)

    def forward(self, images):
        if not self.training:
            return images
        if self.kept == "attribute":
            before, self.other = self.other, images.detach().mean(0)
        elif self.kept == "assigned":
            before, self.mean = 0 if self.mean is None else self.mean, images.detach().mean(0)
        else:
            before = self.mean.clone()
            self.mean.mul_(0.9).add_(0.1 * images.detach().mean(0))
        return images - before


def test_a_buffer_that_images_do_not_change_is_no_memory(digits):
    model = network()
    model.register_buffer("mask", torch.tensor([True, False]))
    model.register_buffer("none", torch.zeros(0))
    train_private(model, digits, replace(RECIPE, epochs=1))


@pytest.mark.parametrize("kept", ["buffer", "assigned", "attribute"])
def test_a_model_that_remembers_the_images_is_refused(digits, kept):
    model = nn.Sequential(Remembering(kept), *network())
    with pytest.raises(InvalidInput, match="remembers"):
        train_private(model, digits, RECIPE)
    for value in (model[0].mean, model[0].other):
        assert value is None or not value.any()


def test_a_model_that_draws_by_numpy_is_told_to_draw_by_pytorch(digits):
    random = np.random.default_rng(0)
    with pytest.raises(InvalidInput, match="let it draw them by PyTorch"):
        train_private(Mixing(lambda images: images * random.normal()), digits, RECIPE)
    noisy = Mixing(lambda images: images + torch.randn(()))
    train_private(noisy, digits, replace(RECIPE, epochs=1))


class Reusing(nn.Module):
    """Uses a layer's weight outside of the layer, too, or alone."""

    def __init__(self, layer):
        super().__init__()
        with seeded(0, "test network"):
            self.first, self.last = nn.Linear(64, 8, bias=False), nn.Linear(64, 10)
        self.layer = layer

    def forward(self, images):
        flat = images.flatten(1)
        inner = self.first(flat) if self.layer else F.linear(flat, self.first.weight)
        return self.last(inner.relu() @ self.first.weight)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Reusing(True), r"first\.weight.*one by one"),
        (Reusing(False), r"first\.weight.*one by one"),
        (nn.Sequential(nn.Identity(), *network(), nn.ReLU(inplace=True)), "inplace=False"),
    ],
)
def test_weights_whose_gradients_opacus_does_not_see_are_refused(digits, model, message):
    model(digits.images[:3]).sum().backward()  # what is left from here is no sample's gradient
    before = copy.deepcopy(model)
    with pytest.raises(InvalidInput, match=message):
        train_private(model, digits, RECIPE)
    assert equal(model, before)


def test_a_weight_without_a_gradient_is_refused_until_it_is_frozen(digits):
    model = network()
    model.register_parameter("idle", nn.Parameter(torch.ones(2)))
    with pytest.raises(InvalidInput, match="weight 'idle'"):
        train_private(model, digits, RECIPE)
    model.idle.requires_grad_(False)
    train_private(model, digits, replace(RECIPE, epochs=1))


def test_frozen_weights_stay_and_the_others_train(digits):
    model = network()
    model[1].requires_grad_(False)
    train_private(model, digits, RECIPE)
    assert torch.equal(model[1].weight, network()[1].weight)
    assert not torch.equal(model[4].weight, network()[4].weight)


def test_a_residual_network_with_group_norm_has_the_gradients_of_single_samples():
    images = data.load("fmnist-mini").select(range(3))
    recipe = PrivateRecipe(epochs=1, batch_size=2, lr=0.1, clip=0.5, noise=0)
    with seeded(0):
        ours = models.with_group_norm(models.resnet18((1, 28, 28)))
    start, theirs = copy.deepcopy(ours), copy.deepcopy(ours)
    train_private(ours, images, recipe, seed=1, device="cpu")
    written_out(theirs, images, recipe, 1, 3)
    assert distance(ours, start) > 1e-3
    assert distance(ours, theirs) < 1e-3 * distance(ours, start)


def test_the_small_cnn_and_its_own_first_layer_train_privately():
    images = data.load("fmnist-mini").select(range(12))
    recipe = PrivateRecipe(epochs=1, batch_size=4, lr=0.1, clip=0.5, noise=0.5)
    with seeded(0):
        ours = models.small_cnn(width=4)
    theirs = copy.deepcopy(ours)
    train_private(ours, images, recipe, seed=1, device="cpu")
    written_out(theirs, images, recipe, 1, 12)
    assert distance(ours, theirs) < 1e-5


def test_a_budget_gives_the_noise_and_the_history_what_was_spent(digits):
    recipe = PrivateRecipe(epochs=2, batch_size=12, epsilon=2.0, delta=1e-3)
    history = train_private(network(), digits, recipe)
    assert 1.9 < history.epsilon(1e-3) <= 2.0
    assert history.bound() == recipe.bound(60)
    assert history.bound().value < 0.5


@pytest.mark.parametrize("momentum", [0.0, 0.6])
@pytest.mark.parametrize("depth", [0, 2])
def test_networks_trained_at_once_are_those_trained_one_by_one(digits, momentum, depth):
    recipe = PrivateRecipe(epochs=2, batch_size=12, lr=0.4, momentum=momentum, clip=0.7, noise=0.8)

    def make():
        return models.mlp((1, 8, 8), width=8, depth=depth)

    rows = [torch.arange(0, 60, 2), torch.arange(25), torch.tensor([3])]
    seeds = [11, 12, 13]
    ensemble = train_private_ensemble(
        make, digits, rows, recipe, size=30, numbers=range(4, 7), seeds=seeds, seed=9
    )
    for place, (row, own) in enumerate(zip(rows, seeds, strict=True)):
        with seeded(9, "init", 4 + place):
            one = make()
        train_private(one, digits.select(row), recipe, size=30, seed=own, device="cpu")
        logits = one.eval()(digits.images).detach()
        assert torch.allclose(ensemble.predict(place, digits), logits, atol=1e-5)
    with pytest.raises(WrongShape, match="rows"):
        train_private_ensemble(
            make, digits, rows, recipe, size=30, numbers=range(2), seeds=seeds, seed=9
        )
