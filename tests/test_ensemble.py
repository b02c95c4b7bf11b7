"""Batched training is ordinary training: the same weights as a plain loop, faster."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from memlib import data, models
from memlib.ensemble import Recipe, initial_ensemble, linear_layers, train_ensemble
from memlib.errors import InvalidInput, NotPositive, UnknownName, WrongShape, WrongType
from memlib.runtime import generator, seeded
from memlib.stability import draw_subsets
from memlib.training import fit


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


def rows_of(members):
    return torch.from_numpy(np.nonzero(members)[1].reshape(len(members), -1))


def plain_loop(model, dataset, rows, recipe, number, seed):
    """One network by nn.Module, autograd and torch.optim, in the ensemble's sample order."""
    with seeded(seed, "init", number):
        network = model()
    optimizer = torch.optim.SGD(
        network.parameters(), recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay
    )
    steps = -(-len(rows) // recipe.batch_size)
    scheduler = None
    if recipe.schedule == "one-cycle":
        scheduler = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, recipe.lr, recipe.epochs * steps, cycle_momentum=False
        )
    stream = generator(seed, "order", number)
    for _ in range(recipe.epochs):
        order = rows[torch.randperm(len(rows), generator=stream)]
        for batch in order.split(recipe.batch_size):
            loss = nn.functional.cross_entropy(
                network(dataset.images[batch]), dataset.labels[batch]
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if scheduler:
                scheduler.step()
    return network


@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(epochs=2, batch_size=100, lr=0.1),
        Recipe(epochs=2, batch_size=64, lr=0.05, momentum=0.0, schedule="constant"),
        Recipe(epochs=2, batch_size=128, lr=0.05, weight_decay=0.05),
    ],
)
def test_batched_training_gives_the_weights_of_a_plain_loop(digits, depth, recipe):
    def model():
        return models.mlp((1, 8, 8), width=16, depth=depth)

    members = draw_subsets(len(digits), 3, 0.3, seed=1)
    numbers = range(5, 8)
    ensemble = train_ensemble(model, digits, rows_of(members), recipe, numbers=numbers, seed=9)
    for place, number in enumerate(numbers):
        network = plain_loop(model, digits, rows_of(members)[place], recipe, number, 9)
        for layer, expected in enumerate(linear_layers(network)):
            weight, bias = ensemble.weights[layer][place].T, ensemble.biases[layer][place, 0]
            torch.testing.assert_close(weight, expected.weight, rtol=1e-3, atol=1e-5)
            torch.testing.assert_close(bias, expected.bias, rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(
            ensemble.predict(place, digits), network(digits.images), rtol=1e-3, atol=1e-4
        )


def test_a_network_does_not_depend_on_the_networks_trained_beside_it(digits):
    members = rows_of(draw_subsets(len(digits), 6, 0.5, seed=0))
    recipe = Recipe(epochs=3)

    def model():
        return models.mlp((1, 8, 8), width=16)

    together = train_ensemble(model, digits, members, recipe, numbers=range(6), seed=0)
    alone = train_ensemble(model, digits, members[4:5], recipe, numbers=range(4, 5), seed=0)
    torch.testing.assert_close(together.weights[0][4], alone.weights[0][0], rtol=1e-4, atol=1e-6)


def test_networks_of_different_numbers_or_seeds_differ():
    def model():
        return models.mlp((1, 8, 8), width=4)

    weights = initial_ensemble(model, range(3), seed=0).weights[0]
    other = initial_ensemble(model, range(3), seed=1).weights[0]
    assert not torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], other[0])
    assert torch.equal(weights[1:2], initial_ensemble(model, range(1, 2), seed=0).weights[0])


def test_one_network_by_itself_predicts_what_it_does_among_the_others(digits):
    start = initial_ensemble(lambda: models.mlp((1, 8, 8), width=8), range(3), seed=0)
    alone = start.network(1)
    torch.testing.assert_close(alone(digits.images), start.predict(1, digits))
    with torch.no_grad():
        alone[1].weight.zero_()
    assert start.weights[0][1].abs().min() > 0, "its weights are its own"


def test_batched_and_sequential_training_share_the_schedule(digits):
    """fit and train_ensemble reach the same loss on the whole set, step sizes being the same."""
    recipe = Recipe(epochs=30, batch_size=len(digits), lr=0.5)

    def model():
        return models.mlp((1, 8, 8), width=8)

    everything = torch.arange(len(digits))[None]
    ensemble = train_ensemble(model, digits, everything, recipe, numbers=range(1), seed=3)
    with seeded(3, "init", 0):
        network = model()
    # One full batch per epoch: the order of the samples cannot matter.
    fit(
        network,
        digits,
        epochs=30,
        batch_size=len(digits),
        lr=0.5,
        schedule="one-cycle",
        progress=False,
        device="cpu",
    )
    torch.testing.assert_close(
        ensemble.predict(0, digits), network(digits.images), rtol=1e-3, atol=1e-3
    )


def test_each_epoch_sees_the_initial_weights_first(digits):
    seen = []

    def watch(epoch, ensemble):
        seen.append((epoch, copy.deepcopy(ensemble.weights[0])))

    def model():
        return models.mlp((1, 8, 8), width=4)

    rows = rows_of(draw_subsets(len(digits), 2, 0.5, seed=0))
    train_ensemble(
        model, digits, rows, Recipe(epochs=3), numbers=range(2), seed=0, each_epoch=watch
    )
    assert [epoch for epoch, _ in seen] == [0, 1, 2]
    assert torch.equal(seen[0][1], initial_ensemble(model, range(2), seed=0).weights[0])
    assert not torch.equal(seen[0][1], seen[1][1])


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.Linear(4, 2)),
        nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)),
        nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False)),
        nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.ReLU()),
        nn.Linear(4, 2),
        models.small_cnn(),
    ],
)
def test_only_fully_connected_relu_networks_are_batched(network):
    assert linear_layers(network) is None
    with pytest.raises(InvalidInput, match="sequential"):
        initial_ensemble(lambda: network, range(1), seed=0)


def test_rows_must_match_the_networks(digits):
    rows = torch.zeros(2, 5, dtype=torch.long)
    with pytest.raises(WrongShape, match="members"):
        train_ensemble(models.mlp, digits, rows, Recipe(), numbers=range(3), seed=0)


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("epochs", 0, NotPositive),
        ("batch_size", 0, NotPositive),
        ("batch_size", 10.5, WrongType),
        ("lr", 0, NotPositive),
        ("lr", float("nan"), NotPositive),
        ("momentum", float("nan"), InvalidInput),
        ("momentum", 2, InvalidInput),
        ("weight_decay", -1, InvalidInput),
        ("schedule", "step", UnknownName),
    ],
)
def test_a_recipe_refuses_what_cannot_train(field, value, error):
    with pytest.raises(error, match=field):
        Recipe(**{field: value})
