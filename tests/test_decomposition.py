"""CSL is held-out difficulty minus memorization: the bookkeeping, the formula, what is stored."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from memlib import cumulative_runs, data, decomposition, trajectories
from memlib.data import Dataset
from memlib.ensemble import Recipe
from memlib.errors import ForeignResult, InvalidInput, NotPositive, UnknownName
from memlib.runs import probability_curves
from memlib.runtime import device, seeded
from memlib.training import predict

SETTINGS = {"models": 4, "fraction": 0.5, "seed": 7, "epochs": 3}


@pytest.fixture(scope="module")
def digits():
    return data.load("digits").select(range(40))


@pytest.fixture(scope="module")
def shipped():
    return decomposition.load()


def curves(dataset, epochs):
    """Mean probabilities in and out by the other module that follows networks through training."""
    kept = Recipe(**trajectories.recipe("mlp", epochs))
    return probability_curves(
        dataset,
        lambda: cumulative_runs._build("mlp", dataset),
        models=4,
        fraction=0.5,
        seed=7,
        recipe=kept,
    )


def test_the_sums_are_those_of_the_probability_curves(digits):
    table = decomposition.decompose(decomposition.cumulative_runs(digits, "mlp", **SETTINGS))
    inside, outside = curves(digits, 3)
    assert np.allclose(table.csl, (1 - inside).sum(0), atol=1e-5)
    assert np.allclose(table.held_out, (1 - outside).sum(0), atol=1e-5)
    assert np.allclose(table.memorized, (inside - outside).sum(0), atol=1e-5)


@pytest.mark.parametrize("model", ["mlp", "small-cnn"])
def test_after_one_epoch_the_sum_is_the_loss_of_the_untrained_network(digits, model):
    runs = decomposition.cumulative_runs(digits, model, **{**SETTINGS, "epochs": 1})
    with seeded(7, "init", 0):
        untrained = cumulative_runs._build(model, digits)
    chance = predict(untrained, digits).softmax(1)[range(40), digits.labels].numpy()
    assert np.allclose(runs.gibbs[0], 1 - chance, atol=1e-5)
    assert not np.allclose(runs.probability[0], chance, atol=1e-3)


def test_the_last_probability_is_that_of_the_trained_network(digits):
    short, longer = (
        decomposition.cumulative_runs(digits, "small-cnn", **{**SETTINGS, "epochs": epochs})
        for epochs in (1, 2)
    )
    assert short.gibbs.shape == short.members.shape == (4, 40)
    assert not np.allclose(short.probability, 1 - short.gibbs)  # w_1 against w_0
    assert (longer.gibbs > short.gibbs).all()  # one more term, none is zero


@pytest.mark.parametrize("model", ["mlp", "small-cnn"])
def test_cross_entropy_is_at_least_the_gibbs_loss_and_networks_differ(digits, model):
    runs = decomposition.cumulative_runs(digits, model, **SETTINGS)
    assert (runs.cross_entropy >= runs.gibbs).all()
    assert (np.diff(runs.gibbs, axis=0) != 0).any(1).all()
    assert (runs.members.sum(1) == 20).all()


def test_csl_is_held_out_minus_memorized_for_both_losses(shipped):
    for runs in shipped:
        table = decomposition.decompose(runs)
        for suffix in ("", "_nats"):
            parts = table[f"held_out{suffix}"] - table[f"memorized{suffix}"]
            assert np.allclose(table[f"csl{suffix}"], parts)


def test_a_sample_in_all_training_sets_has_no_held_out_loss(shipped):
    runs = shipped[0]
    members = runs.members.copy()
    members[:, 0] = True
    row = decomposition.decompose(replace(runs, members=members)).iloc[0]
    assert np.isnan(row[["held_out", "memorized", "memorization"]]).all()
    assert np.isfinite(row["csl"])


def test_what_is_stored_is_read_back_and_a_part_of_another_call_is_refused(digits, tmp_path):
    out = tmp_path / "sums.npz"
    settings = {"out": out, "sets": (7,), "fraction": 0.5}
    (stored,) = cumulative_runs.record(digits, {"mlp": 4}, epochs=3, **settings)
    fresh = decomposition.cumulative_runs(digits, "mlp", **SETTINGS)
    assert np.array_equal(stored.members, fresh.members)
    assert np.abs(stored.gibbs / fresh.gibbs - 1).max() < 1e-3
    assert np.abs(stored.probability - fresh.probability).max() < 1 / 500
    assert [path.name for path in tmp_path.iterdir()] == ["sums.npz"]
    with pytest.raises(ForeignResult, match="epochs"):
        cumulative_runs.record(digits, {"mlp": 4}, epochs=2, **settings)


def test_an_interrupted_call_goes_on_with_the_sets_that_are_done(digits, tmp_path, monkeypatch):
    whole = cumulative_runs.cumulative_runs
    calls = []

    def once(*arguments, **settings):
        calls.append(settings["seed"])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(*arguments, **settings)

    monkeypatch.setattr(cumulative_runs, "cumulative_runs", once)
    settings = {"out": tmp_path / "sums.npz", "sets": (1, 2), "epochs": 1}
    with pytest.raises(KeyboardInterrupt):
        cumulative_runs.record(digits, {"mlp": 2}, **settings)
    assert len(cumulative_runs.record(digits, {"mlp": 2}, **settings)) == 2
    assert calls == [1, 2, 2]


def test_the_shipped_sets_are_disjoint_draws_of_two_networks_by_the_books_recipes(shipped):
    assert [(runs.model, runs.seed) for runs in shipped] == [
        (model, seed) for model in ("mlp", "small-cnn") for seed in (1, 2, 3)
    ]
    for runs in shipped:
        assert runs.epochs == trajectories.recipe(runs.model)["epochs"]
        assert np.array_equal(runs.ids, data.load("fmnist-mini").ids.numpy())
        assert (runs.members.sum(1) == 3500).all()
        assert runs.gibbs.max() <= runs.epochs
        assert runs.probability[runs.members].mean() > 0.98


def test_the_larger_scale_runs_end_to_end_on_a_stand_in(tmp_path, monkeypatch):
    random = torch.Generator().manual_seed(0)
    images, labels = torch.randn(12, 3, 8, 8, generator=random), torch.arange(12) % 3
    names = ("a", "b", "c")
    cifar = Dataset(images, labels, torch.arange(12), names, "cifar100", (0.0,) * 3, (1.0,) * 3)
    monkeypatch.setenv("MEMLIB_SCALE", "gpu")
    monkeypatch.setattr(data, "load", lambda name: cifar)
    dataset, sets = decomposition.subset_sets(
        folder=tmp_path, networks={"mlp": 2, "resnet18": 1}, epochs=3
    )
    assert dataset.fingerprint() == cifar.fingerprint()
    assert dataset.images.device.type == device().type
    assert {name: [len(runs) for runs in each] for name, each in sets.items()} == {
        "MLP": [2, 2, 2],
        "ResNet-18": [1, 1, 1],
    }
    table = decomposition.decompose(decomposition.join(sets["ResNet-18"]))
    assert table.csl.notna().sum() >= 8  # each of three networks trains on eight of the twelve
    assert (tmp_path / "cifar100-cumulative.npz").exists()


def test_an_audit_finds_the_network_it_looks_for_and_no_other(digits):
    for model in ("mlp", "small-cnn"):
        runs = decomposition.cumulative_runs(digits, model, **{**SETTINGS, "epochs": None})
        assert decomposition.audit(digits, runs, range(2, 3)) < 0.01
        other = replace(runs, gibbs=np.roll(runs.gibbs, 1, axis=0))
        assert decomposition.audit(digits, other, range(2, 3)) > 0.05


def test_sets_of_two_networks_are_not_joined(shipped):
    joined = decomposition.join([runs for runs in shipped if runs.model == "mlp"])
    assert len(joined) == sum(len(runs) for runs in shipped if runs.model == "mlp")
    with pytest.raises(InvalidInput, match="sets"):
        decomposition.join(shipped)


def test_the_correlation_of_csl_with_memorization_follows_from_two_numbers():
    random = np.random.default_rng(0)
    held, memory = random.multivariate_normal([0, 0], [[4, 1.5], [1.5, 1]], 1000).T
    rho, ratio = np.corrcoef(held, memory)[0, 1], memory.std() / held.std()
    csl = held - memory
    assert np.isclose(decomposition.proxy_correlation(rho, ratio), np.corrcoef(csl, memory)[0, 1])
    assert np.isclose(
        -decomposition.proxy_correlation(rho, 1 / ratio), np.corrcoef(csl, held)[0, 1]
    )


@pytest.mark.parametrize("rho", [-0.5, 0.3, 0.9])
def test_csl_goes_with_memorization_exactly_where_the_slope_is_above_one(rho):
    for ratio in (0.1, 0.5, 1.0, 2.0):
        if rho != ratio:
            assert (decomposition.proxy_correlation(rho, ratio) > 0) == (rho / ratio > 1)


def test_impossible_values_are_refused(digits):
    with pytest.raises(InvalidInput, match="rho"):
        decomposition.proxy_correlation(1.0, 0.5)
    with pytest.raises(NotPositive, match="ratio"):
        decomposition.proxy_correlation(0.5, 0.0)
    with pytest.raises(UnknownName, match="model"):
        decomposition.cumulative_runs(digits, "linear", models=2)
