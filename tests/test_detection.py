"""Planted troubles are found, by every score that should find them, in one index space."""

import copy
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from memlib import corruptions, data, detection, models, splits
from memlib.data import Dataset
from memlib.descent import GradientDescent
from memlib.detection import DETECTORS, SCORES, detection_table, judge, score_table
from memlib.ensemble import Recipe
from memlib.errors import (
    DuplicateIds,
    EmptySelection,
    ForeignResult,
    InvalidInput,
    NonFiniteNumber,
    NotPositive,
    TooLarge,
    UnknownName,
    WrongShape,
)
from memlib.information import functional_sample_information, linearize
from memlib.runtime import seeded
from memlib.splits import confident_learning, fold_numbers, out_of_fold, second_split_forgetting

QUICK = Recipe(epochs=12, batch_size=50)


def small():
    return models.mlp((1, 8, 8), width=24)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits").select(range(300))


@pytest.fixture(scope="module")
def noisy(digits):
    return data.flip_labels(digits, 0.1, seed=0)


@pytest.fixture(scope="module")
def table(noisy):
    return score_table(noisy[0], small, recipe=QUICK, networks=8, progress=False)


def shuffled(dataset):
    return dataset.select(np.random.default_rng(5).permutation(len(dataset)))


def test_one_call_scores_every_sample_in_every_way(noisy, table):
    assert tuple(table.columns) == SCORES
    assert table.index.tolist() == noisy[0].ids.tolist()
    assert np.isfinite(table.to_numpy()).all()
    assert {"csl", "functional_information", "membership", "random"} < set(SCORES)


@pytest.mark.parametrize(
    "layers", [(nn.BatchNorm2d(2), nn.ReLU()), (nn.GroupNorm(1, 2), nn.GELU())], ids=str
)
def test_networks_with_normalization_dropout_and_smooth_layers_get_all_scores(digits, layers):
    def build():
        parts = nn.Conv2d(1, 2, 3), *copy.deepcopy(layers), nn.Dropout(), nn.Flatten()
        return nn.Sequential(*parts, nn.Linear(72, 10))

    some, quick = digits.select(range(60)), Recipe(epochs=1)
    found = score_table(some, build, recipe=quick, networks=8, progress=False)
    assert tuple(found.columns) == SCORES
    assert np.isfinite(found.to_numpy()).all()
    turned = score_table(shuffled(some), build, scores=["curvature"], recipe=quick, progress=False)
    pd.testing.assert_frame_equal(turned.loc[found.index], found[["curvature"]])


def test_a_permutation_of_the_data_permutes_every_score(noisy, table):
    turned = score_table(shuffled(noisy[0]), small, recipe=QUICK, networks=8, progress=False)
    assert turned.index.tolist() != table.index.tolist()
    pd.testing.assert_frame_equal(turned.loc[table.index], table)


def test_a_score_does_not_depend_on_the_scores_asked_for_beside_it(noisy, table):
    some = ["negative_ssft", "csl", "confident_learning"]
    alone = score_table(noisy[0], small, scores=some, recipe=QUICK, progress=False)
    pd.testing.assert_frame_equal(alone, table[some])


def test_the_dynamics_of_one_epoch_are_the_losses_of_the_untrained_network_in_eval_mode(digits):
    def build():
        layers = nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 10)
        return nn.Sequential(*layers)

    with seeded(0, "init"):
        network = build().eval()
    wanted = nn.functional.cross_entropy(network(digits.images), digits.labels, reduction="none")
    found = score_table(digits, build, scores=["csl"], recipe=Recipe(epochs=1), progress=False)
    np.testing.assert_allclose(found["csl"], wanted.detach(), rtol=1e-5)


# AUROC that a mean over three seeds must exceed: the mean over eight seeds minus three times its
# standard deviation over seeds divided by sqrt(3), rounded down.
LEAST = {
    "final_loss": 0.99,
    "in_confidence": 0.99,
    "negative_aum": 0.99,
    "csl": 0.99,
    "confident_learning": 0.98,
    "csg": 0.98,
    "negative_distance": 0.98,
    "cslt": 0.96,
    "negative_ssft": 0.96,
    "functional_information": 0.96,
    "negative_ssft_first": 0.94,
    "confident_learning_flag": 0.87,
    "learning_time_first": 0.65,
    "curvature": 0.55,
}


def test_planted_mislabels_are_found_by_every_score_that_can(digits):
    planter = corruptions.planter("mislabels", 0.1)
    result = detection_table(digits, planter, small, recipe=QUICK, progress=False)
    assert set(result.index) == set(DETECTORS)
    assert (result["seeds"] == 3).all()
    np.testing.assert_allclose(result["share"], 0.1)
    for score, least in LEAST.items():
        assert result.loc[score, "auroc"] > least, score
    assert abs(result.loc["random", "auroc"] - 0.5) < 0.12
    assert result.loc["random", "average_precision"] == pytest.approx(0.1, abs=0.08)


def test_a_score_that_finds_trouble_by_low_values_stands_before_one_at_chance(digits, monkeypatch):
    plant = corruptions.planter("mislabels", 0.1)
    truth = plant(digits, 0)[1]
    found = {"csl": 0.4, "csg": 0.0, "cslt": 0.9, "random": 0.5}
    columns = {}
    for name, auroc in found.items():  # this share of the others lies below all in trouble
        columns[name] = np.where(truth, 0.0, 1.0)
        columns[name][np.flatnonzero(~truth)[: round(auroc * (~truth).sum())]] = -1.0
    fake = pd.DataFrame(columns, index=digits.ids.numpy())
    monkeypatch.setattr(detection, "score_table", lambda *args, **rest: fake)
    result = detection_table(digits, plant, small, seeds=(0,), scores=list(found), progress=False)
    assert result.index.tolist() == ["csg", "cslt", "csl", "random"]
    np.testing.assert_allclose(result["auroc"], [0.0, 0.9, 0.4, 0.5])


def test_a_wrong_copy_looks_hard_and_an_exact_copy_only_uninformative(digits):
    """Two equal samples train like any other; what tells them is that each is redundant."""
    call = {"seeds": (0, 1), "recipe": QUICK, "progress": False}
    call["scores"] = ["csl", "final_loss", "functional_information"]
    exact, wrong = (
        detection_table(digits, corruptions.planter(kind, 0.1), small, **call)["auroc"]
        for kind in ("duplicates", "wrong-duplicates")
    )
    assert (wrong > 0.85).all()
    assert (abs(exact[["csl", "final_loss"]] - 0.5) < 0.15).all()
    assert exact["functional_information"] < 0.2  # far less informative than the others


def information(dataset, width):
    """Functional information of the network of that width that `score_table` begins with."""
    with seeded(0, "init"):
        network = models.mlp((1, 8, 8), width=width)
    linear = linearize(network, dataset.images, dataset.labels, progress=False)
    descent = GradientDescent(decay=0.01 * float(linear.kernel.diagonal().mean()))
    return functional_sample_information(linear, descent, progress=False)


def information_column(dataset, width):
    def build():
        return models.mlp((1, 8, 8), width=width)

    table = score_table(dataset, build, scores=["functional_information"], progress=False)
    return table["functional_information"]


def test_the_information_of_few_samples_is_from_the_kernel_of_all_outputs(noisy, monkeypatch):
    few = noisy[0].select(range(60))
    monkeypatch.setattr(detection, "_EXACT", 600)  # just as many outputs
    np.testing.assert_allclose(information_column(few, 16), information(few, 16), rtol=1e-9)
    monkeypatch.setattr(detection, "_EXACT", 599)
    relative = information_column(few, 16) / information(few, 16) - 1
    assert abs(relative).max() > 0.1


def test_with_one_kernel_for_all_classes_wide_networks_give_the_exact_information(
    noisy, monkeypatch
):
    monkeypatch.setattr(detection, "_EXACT", 0)
    few = noisy[0].select(range(60))

    def rank_correlation(width):
        return spearmanr(information_column(few, width), information(few, width)).statistic

    assert rank_correlation(512) > max(0.9, rank_correlation(16))


def test_classes_that_no_label_names_are_left_out_without_a_warning(digits, recwarn):
    few = digits.select(range(12))  # the digits 0 to 9, then 0 and 1
    one = digits.select((digits.labels == 3).numpy())
    for dataset, flagged in ((few, None), (few.select(range(3)), None), (one, 0)):
        uniform = np.full((len(dataset), 10), 0.1)
        judged = confident_learning(dataset, uniform)
        assert np.isfinite(judged.to_numpy()).all()
        assert flagged is None or judged["confident_learning_flag"].sum() == flagged
    assert not recwarn.list


def test_without_cleanlab_the_error_says_what_to_install(digits, monkeypatch):
    monkeypatch.setitem(sys.modules, "cleanlab.filter", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'memlib\[detection\]'"):
        confident_learning(digits, np.full((300, 10), 0.1))


def test_every_sample_is_predicted_by_a_fresh_network_that_did_not_see_it(digits, monkeypatch):
    trained: list[tuple[nn.Module, Dataset]] = []
    real_fit = splits.fit

    def watch(network, dataset, **rest):
        trained.append((network, dataset))
        return real_fit(network, dataset, **rest)

    monkeypatch.setattr(splits, "fit", watch)
    data_set = shuffled(digits)
    held_out = out_of_fold(data_set, small, folds=4, recipe=QUICK, progress=False)
    assert len({id(network) for network, _ in trained}) == 4
    seen = np.zeros(len(digits), dtype=int)
    for network, dataset in trained:
        unseen = ~np.isin(data_set.ids, dataset.ids)
        seen += ~unseen
        expected = network(data_set.images[unseen]).double().softmax(1).detach()
        np.testing.assert_allclose(held_out[unseen], expected, atol=1e-6)
    assert (seen == 3).all()


def test_folds_are_of_equal_size_and_stratified(digits):
    labels = digits.labels.numpy()
    fold = fold_numbers(labels, 3, seed=0)
    counts = np.array([np.bincount(labels[fold == f], minlength=10) for f in range(3)])
    assert np.ptp(counts, axis=0).max() <= 1
    assert np.ptp(counts.sum(1)) <= 1
    assert (fold != fold_numbers(labels, 3, seed=1)).any()


def test_confident_learning_is_in_the_index_space_of_the_data(digits):
    """The label of one sample is made absurd: that row, and that id, is the most suspicious."""
    data_set = shuffled(digits)
    sure = torch.nn.functional.one_hot(data_set.labels, 10).double() * 0.8 + 0.02
    labels = data_set.labels.clone()
    labels[77] = (labels[77] + 1) % 10
    judged = confident_learning(data_set.relabel(labels), sure.numpy())
    assert judged["confident_learning"].idxmax() == int(data_set.ids[77])
    flagged = judged.index[judged["confident_learning_flag"] == 1]
    assert flagged.tolist() == [int(data_set.ids[77])]
    # 1 - (normalized margin + 1) / 2, with p_y - max p_k = 0.82 - 0.02 for all others.
    others = judged["confident_learning"].drop(int(data_set.ids[77]))
    np.testing.assert_allclose(others, (1 - 0.8) / 2, atol=1e-9)


def test_forgetting_times_follow_both_definitions(monkeypatch, digits):
    """Verdicts over epochs 0..4 are scripted; R = right, W = wrong."""
    scripts = ["RRRRR", "WWWWW", "RRWWW", "RWRWW", "RWRRR", "RRRRW"]
    authors = [5, 0, 2, 3, 5, 4]
    first = [5, 0, 2, 1, 1, 4]
    pattern = np.array([[mark == "W" for mark in script] for script in scripts])
    small_set = digits.select(range(12))
    which = {int(name): place % 6 for place, name in enumerate(small_set.ids)}
    turn = {}

    def predict(network, dataset):
        epoch = turn.setdefault(id(network), 0)
        turn[id(network)] += 1
        wrong = torch.tensor([pattern[which[int(name)], epoch] for name in dataset.ids])
        shown = torch.where(wrong, (dataset.labels + 1) % 10, dataset.labels)
        return torch.nn.functional.one_hot(shown, 10).float()

    monkeypatch.setattr(splits, "predict", predict)
    times = second_split_forgetting(
        small_set, small, recipe=Recipe(epochs=4, batch_size=6), progress=False
    )
    assert times["ssft"].tolist() == 2 * authors
    assert times["ssft_first"].tolist() == 2 * first


def test_each_half_is_fine_tuned_on_the_other_by_the_network_it_trained(digits, monkeypatch):
    calls = []
    real_fit = splits.fit

    def watch(network, dataset, **rest):
        calls.append((id(network), frozenset(dataset.ids.tolist())))
        return real_fit(network, dataset, **rest)

    monkeypatch.setattr(splits, "fit", watch)
    second_split_forgetting(digits, small, recipe=Recipe(epochs=1), progress=False)
    (a, one), (b, two), (c, three), (d, four) = calls
    assert a == b != c == d
    assert one == four
    assert two == three
    assert one | two == set(digits.ids.tolist())
    assert not one & two


def test_the_judge_counts_ties_half_and_takes_infinity():
    truth = np.array([True, True, False, False])
    scores = pd.DataFrame(
        {
            "best": [3.0, np.inf, 1, -np.inf],
            "flat": 1.0,
            "worst": [0, 1, 2, 3],
            "half": [1, 0, 1, 0],
        }
    )
    judged = judge(scores, truth)
    assert judged["auroc"].tolist() == [1.0, 0.5, 0.0, 0.5]
    assert judged.loc["best", "average_precision"] == 1.0
    assert judged.loc["flat", "average_precision"] == 0.5
    assert judged.loc["worst", "average_precision"] == pytest.approx((1 / 3 + 2 / 4) / 2)


def test_finished_seeds_are_kept_and_other_settings_are_refused(digits, tmp_path, monkeypatch):
    call = {
        "plant": corruptions.planter("mislabels", 0.1),
        "model": small,
        "scores": ["csl", "random"],
        "folder": tmp_path,
        "progress": False,
    }
    quick = replace(QUICK, epochs=2)
    whole = detection_table(digits, seeds=(0, 1), recipe=quick, **call)
    monkeypatch.setattr(detection, "score_table", None)  # not called again
    pd.testing.assert_frame_equal(
        detection_table(digits, seeds=(0, 1), recipe=quick, **call), whole
    )
    single = detection_table(digits, seeds=(1,), recipe=quick, **call)
    assert single["auroc_sd"].isna().all()
    with pytest.raises(ForeignResult):
        detection_table(digits, seeds=(0,), recipe=replace(quick, epochs=3), **call)


def test_bad_calls_are_refused(digits):
    good = pd.DataFrame({"a": [1.0, 2.0]})
    cases = [
        (lambda: score_table(digits, small, scores=["luck"]), UnknownName, "scores"),
        (lambda: score_table(digits, small, scores=[]), EmptySelection, "scores"),
        (lambda: score_table(digits, small, scores="csl"), EmptySelection, "scores"),
        (lambda: score_table(digits, small, scores=["csl", "csl"]), DuplicateIds, "scores"),
        (lambda: score_table(digits, small, networks=7), NotPositive, "networks"),
        (lambda: out_of_fold(digits, small, folds=1), NotPositive, "folds"),
        (lambda: out_of_fold(digits.select([0, 1]), small, folds=3), TooLarge, "folds"),
        (lambda: second_split_forgetting(digits.select([0]), small), TooLarge, "folds"),
        (lambda: confident_learning(digits, np.ones((300, 9))), WrongShape, "probabilities"),
        (lambda: confident_learning(digits, np.ones((300, 10))), InvalidInput, "probabilities"),
        (
            lambda: confident_learning(digits, np.full((300, 10), np.nan)),
            NonFiniteNumber,
            "probabilities",
        ),
        (lambda: judge(good, np.array([True])), WrongShape, "truth"),
        (lambda: judge(good, np.array([1, 0])), WrongShape, "truth"),
        (lambda: judge(good, np.array([True, True])), EmptySelection, "truth"),
        (lambda: judge(good[[]], np.array([True, False])), EmptySelection, "table"),
        (lambda: judge(good.replace(1, np.nan), np.array([True, False])), NonFiniteNumber, "table"),
        (lambda: detection_table(digits, None, small, seeds=()), EmptySelection, "seeds"),
        (lambda: detection_table(digits, None, small, seeds=(1, 1)), DuplicateIds, "seeds"),
        (lambda: detection_table(digits, None, small, scores=["x"]), UnknownName, "scores"),
    ]
    for call, error, argument in cases:
        with pytest.raises(error, match=argument):
            call()


def test_the_ten_lines_of_the_reference_give_all_scores(capsys):
    page = (Path(__file__).parents[1] / "book" / "api" / "scores.md").read_text("utf-8")
    (script,) = re.findall(r"```python\n(.*?)```", page, re.S)
    assert len(script.strip().splitlines()) <= 10
    names: dict[str, Any] = {}
    exec(script.replace("range(1000)", "range(120)"), names)
    assert tuple(names["scores"].columns) == SCORES
    assert len(names["scores"]) == 120
    assert names["judge"](names["scores"], names["wrong"]).loc["csl", "auroc"] > 0.8
    assert "auroc" in capsys.readouterr().out
