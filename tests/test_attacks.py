"""The adversarial distance is the smallest norm that works, and copies are what they say."""

import numpy as np
import pytest
import torch
from torch import nn

from memlib import attacks, data, models
from memlib.errors import (
    FractionOutOfRange,
    LabelOutOfRange,
    NonFiniteImages,
    NotPositive,
    TooLarge,
    WrongShape,
    WrongType,
)
from memlib.runtime import seeded
from memlib.training import fit, predict
from tests.test_membership import spread_world


@pytest.fixture(scope="module")
def digits():
    return data.load("digits").select(range(200))


@pytest.fixture(scope="module")
def network(digits):
    with seeded(0, "init"):
        network = models.mlp((1, 8, 8), width=24)
    fit(network, digits, epochs=25, batch_size=50, progress=False, device="cpu")
    return network


def test_the_distance_to_linear_boundaries_is_the_closed_form(digits):
    """min over k of (z_y - z_k) / |w_y - w_k|, or 0 where the label is not predicted."""
    with seeded(1, "init"):
        linear = models.mlp((1, 8, 8), depth=0).double()
    images, labels = digits.images.double(), digits.labels
    logits, weight = linear(images).detach(), linear[1].weight.detach()
    labels = torch.where(torch.arange(200) % 2 == 0, logits.argmax(1), labels)
    ahead = logits.gather(1, labels[:, None]) - logits
    gaps = (weight[labels][:, None] - weight[None]).norm(dim=2)
    exact = torch.where(gaps > 0, ahead / gaps, torch.inf).amin(1).clamp(min=0)
    found = attacks.adversarial_distance(linear, images, labels, steps=2, halvings=40)
    torch.testing.assert_close(found, exact, rtol=1e-9, atol=0)
    assert 0.4 < (found == 0).double().mean() < 0.6


def test_the_distance_in_a_plane_is_never_below_and_mostly_that_of_a_fine_grid():
    angle = torch.linspace(0, 2 * torch.pi, 181, dtype=torch.float64)[:-1]
    radius = torch.linspace(0, 9, 226, dtype=torch.float64)
    ring = torch.stack([angle.cos(), angle.sin()], 1)
    ratios = []
    for seed in range(3):
        with seeded(seed, "init"):
            network = nn.Sequential(nn.Linear(2, 12), nn.ReLU(), nn.Linear(12, 3)).double()
        stream = torch.Generator().manual_seed(seed)
        points = 3 * torch.randn(30, 2, dtype=torch.float64, generator=stream)
        labels = network(points).argmax(1)
        found = attacks.adversarial_distance(network, points, labels)
        for point, label, distance in zip(points, labels, found.tolist(), strict=True):
            fooled = (network(point + radius[:, None, None] * ring).argmax(2) != label).any(1)
            if fooled.any():
                nearest = float(radius[fooled][0])  # too large by a step of the grid, 0.04
                assert distance >= nearest - 0.041
                ratios.append(distance / nearest)
    assert len(ratios) > 70
    assert np.quantile(ratios, 0.75) < 1.03
    assert np.isinf(ratios).mean() < 0.05


def test_starting_anew_towards_other_rivals_finds_nearer_ones_more_often_than_not(monkeypatch):
    found = {}
    for refinements in (attacks._REFINEMENTS, 100):
        monkeypatch.setattr(attacks, "_REFINEMENTS", refinements)
        parts = []
        for seed in range(10):
            with seeded(seed, "init"):
                network = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 4)).double()
                network[0].weight.data *= 3
                points = torch.randn(20, 2, dtype=torch.float64)
            labels = network(points).argmax(1)
            parts.append(attacks.adversarial_distance(network, points, labels))
        found[refinements] = torch.cat(parts)
    anew, once = found.values()
    assert (anew < 0.99 * once).sum() > 3 * (once < 0.99 * anew).sum()


def test_a_tie_is_no_distance_at_all():
    images, labels = torch.zeros(3, 1, 2, 2), torch.arange(3)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(4, 3, bias=False))
    assert attacks.adversarial_distance(linear, images, labels).tolist() == [0, 0, 0]


def test_a_change_of_that_length_fools_a_trained_network_and_random_ones_do_not(digits, network):
    distance = attacks.adversarial_distance(network, digits.images, digits.labels)
    right = predict(network, digits).argmax(1) == digits.labels
    assert bool((distance[~right] == 0).all())
    assert bool((distance[right] > 0).all())
    assert bool(torch.isfinite(distance).all())
    stream = torch.Generator().manual_seed(0)
    for _ in range(20):
        away = torch.randn(digits.images.shape, generator=stream)
        away *= (
            0.999 * distance[:, None, None, None] / away.flatten(1).norm(dim=1)[:, None, None, None]
        )
        verdict = network(digits.images + away).argmax(1)
        assert bool((verdict[right] == digits.labels[right]).all())


def test_the_distance_does_not_depend_on_batch_or_order_and_leaves_the_model_alone(digits, network):
    network.train()
    before = [parameter.clone() for parameter in network.parameters()]
    images, labels = digits.images[:60], digits.labels[:60]
    together = attacks.adversarial_distance(network, images, labels)
    apart = attacks.adversarial_distance(network, images, labels, batch_size=7)
    torch.testing.assert_close(apart, together, rtol=1e-3, atol=1e-5)
    turned = attacks.adversarial_distance(network, images.flip(0), labels.flip(0)).flip(0)
    torch.testing.assert_close(turned, together, rtol=1e-3, atol=1e-5)
    assert network.training
    for old, new in zip(before, network.parameters(), strict=True):
        assert torch.equal(old, new)


def test_a_first_layer_that_works_in_place_changes_neither_images_nor_distances():
    torch.manual_seed(0)
    images, relu = torch.randn(6, 4), nn.ReLU()
    kept, model = images.clone(), nn.Sequential(relu, nn.Linear(4, 3))
    labels = model(images).argmax(1)
    wanted = attacks.adversarial_distance(model, images, labels)
    relu.inplace = True
    assert torch.equal(attacks.adversarial_distance(model, images, labels), wanted)
    assert torch.equal(images, kept)


def test_more_search_never_finds_more(digits, network):
    images, labels = digits.images[:40], digits.labels[:40]
    lengths = [
        attacks.adversarial_distance(network, images, labels, steps=steps) for steps in (1, 4, 12)
    ]
    assert bool((lengths[1] <= lengths[0]).all())
    assert bool((lengths[2] <= lengths[1]).all())
    assert lengths[2].mean() < lengths[0].mean()


def test_where_nothing_fools_the_distance_is_infinite():
    constant = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    with torch.no_grad():
        constant[1].weight.zero_()
        constant[1].bias.copy_(torch.tensor([1.0, 0.0]))
    found = attacks.adversarial_distance(constant, torch.ones(2, 1, 2, 2), torch.tensor([0, 1]))
    assert found.tolist() == [torch.inf, 0.0]


def test_the_gradient_sign_step_moves_every_pixel_by_epsilon_and_raises_the_loss(digits, network):
    moved = attacks.fgsm(network, digits, 0.03, batch_size=64)
    pixels = (moved - digits.images) * digits.std[0]
    assert float(pixels.abs().max()) <= 0.03 + 1e-6
    shown = moved * digits.std[0] + digits.mean[0]
    assert float(shown.min()) >= -1e-6
    assert float(shown.max()) <= 1 + 1e-6
    loss = nn.functional.cross_entropy
    assert loss(network(moved), digits.labels) > loss(network(digits.images), digits.labels)


def test_adversarial_copies_fool_the_network_and_nothing_else_changes(digits, network):
    copies, changed = attacks.adversarial_copies(digits, network, 0.1, epsilon=0.2, seed=0)
    assert int(changed.sum()) == 20
    verdict = predict(network, copies).argmax(1)
    assert bool((verdict[changed] != digits.labels[changed]).all())
    assert bool((predict(network, digits).argmax(1)[changed] == digits.labels[changed]).all())
    assert torch.equal(copies.images[~changed], digits.images[~changed])
    assert torch.equal(copies.labels, digits.labels)
    assert torch.equal(copies.ids, digits.ids)
    other = attacks.adversarial_copies(digits, network, 0.1, epsilon=0.2, seed=1)[1]
    assert (other != changed).any()
    assert np.array_equal(
        attacks.adversarial_copies(digits, network, 0.1, epsilon=0.2, seed=0)[1], changed
    )


def test_bad_attacks_are_refused(digits, network):
    images, labels = digits.images[:4], digits.labels[:4]
    with pytest.raises(WrongShape, match="labels"):
        attacks.adversarial_distance(network, images, labels[:3])
    with pytest.raises(NonFiniteImages, match=r"positions \[2\]"):
        hole = images.clone()
        hole[2, 0, 0, 0] = torch.nan
        attacks.adversarial_distance(network, hole, labels)
    for label in (-1, 10):
        with pytest.raises(LabelOutOfRange, match=rf"labels: \[{label}\]"):
            attacks.adversarial_distance(network, images, torch.full((4,), label))
    with pytest.raises(WrongShape, match="The model does not take them"):
        attacks.adversarial_distance(network, images[:, :, :7], labels)
    with pytest.raises(WrongType, match="images"):
        attacks.adversarial_distance(network, images.long(), labels)
    with pytest.raises(NotPositive, match="steps"):
        attacks.adversarial_distance(network, images, labels, steps=0)
    with pytest.raises(WrongShape, match="model"):
        attacks.adversarial_distance(nn.Identity(), images, labels)
    for epsilon in (0, -1, float("nan"), float("inf")):
        with pytest.raises(NotPositive, match="epsilon"):
            attacks.fgsm(network, digits, epsilon)
    with pytest.raises(FractionOutOfRange, match="fraction"):
        attacks.adversarial_copies(digits, network, 1.0, seed=0)
    with pytest.raises(NotPositive, match="fraction"):
        attacks.adversarial_copies(digits, network, 1e-6, seed=0)
    with pytest.raises(TooLarge, match="only"):
        attacks.adversarial_copies(digits, network, 0.9, epsilon=1e-4, seed=0)


def test_nothing_is_made_on_another_device_than_the_data_is_on(digits, network):
    # whatever names no device lands on "meta" here, where it has no values and cannot be mixed
    few = digits.select(range(9))
    runs, _ = spread_world(10, 7)
    calls = [
        lambda: attacks.adversarial_distance(network, few.images, few.labels, batch_size=4),
        lambda: attacks.lira(runs).score,
        lambda: attacks.lira(runs, mode="offline", variance="pooled").score,
    ]
    for call in calls:
        wanted = call()
        with torch.device("meta"):
            np.testing.assert_array_equal(call(), wanted)
