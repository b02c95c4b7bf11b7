"""Planted troubles change what they say, as much as they say, and tell the truth."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from memlib import corruptions, data, models
from memlib.corruptions import TROUBLES, duplicate, flip_between_classes, mix_sources, undersample
from memlib.ensemble import Recipe
from memlib.errors import (
    DuplicateIds,
    EmptySelection,
    FractionOutOfRange,
    InvalidInput,
    LabelOutOfRange,
    NotPositive,
    TooLarge,
    UnknownName,
    WrongShape,
)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits").select(range(400))


def test_class_dependent_noise_takes_the_same_share_of_each_class_and_one_wrong_label(digits):
    noisy, wrong = flip_between_classes(digits, 0.2, seed=0)
    for label in range(10):
        members = (digits.labels == label).numpy()
        assert wrong[members].sum() == round(0.2 * members.sum())
        assert (noisy.labels[members & wrong] == (label + 1) % 10).all()
    assert torch.equal(noisy.labels[~wrong], digits.labels[~wrong])
    assert torch.equal(noisy.images, digits.images)


def test_only_the_named_classes_are_mislabeled(digits):
    noisy, wrong = flip_between_classes(digits, 0.5, onto={4: 9, 9: 4}, seed=1)
    pairs = zip(digits.labels[wrong], noisy.labels[wrong], strict=True)
    changed = {(int(a), int(b)) for a, b in pairs}
    assert changed == {(4, 9), (9, 4)}


def test_duplicates_with_the_same_label_are_both_in_trouble_and_a_wrong_one_alone(digits):
    same, truth = duplicate(digits, 15, labels="same", seed=0)
    assert truth.sum() == 30
    images = same.images[truth]
    equal = (images[:, None] == images[None]).flatten(2).all(2)
    assert (equal.sum(1) == 2).all()  # each equals itself and its twin
    wrong, truth = duplicate(digits, 15, labels="wrong", seed=0)
    assert truth.sum() == 15
    assert truth[400:].all()
    assert len(wrong) == 415


def test_an_under_sampled_class_keeps_as_many_as_said_and_the_others_all(digits):
    groups = {"round": [0, 6, 8], "straight": [1, 7]}
    coarse, rare = undersample(digits, groups, rare=8, keep=5, seed=0)
    old = digits.labels[digits.positions(coarse.ids.numpy())].numpy()
    assert rare.sum() == 5
    assert (old[rare] == 8).all()
    assert coarse.class_names == ("round", "straight")
    for label in (0, 6, 1, 7):
        assert (old == label).sum() == int((digits.labels == label).sum())
    np.testing.assert_array_equal(coarse.labels.numpy(), np.isin(old, [1, 7]))
    assert torch.equal(coarse.ids, coarse.ids.sort().values)  # the order of before


@pytest.fixture(scope="module")
def other(digits):
    return data.Dataset(
        images=(digits.pixels() - 0.5) / 0.25,
        labels=digits.labels,
        ids=digits.ids,
        class_names=tuple(f"digit {c}" for c in range(10)),
        name="other digits",
        mean=(0.5,),
        std=(0.25,),
    )


def test_mixed_sources_have_equal_pixels_where_they_had_and_name_each_source(digits, other):
    mixed, source = mix_sources([digits, other])
    assert source.tolist() == [0] * 400 + [1] * 400
    torch.testing.assert_close(mixed.images[:400], mixed.images[400:], atol=1e-5, rtol=1e-5)
    assert mixed.ids.tolist() == list(range(800))
    assert mixed.class_names == digits.class_names


def test_a_planted_source_adds_its_share_of_other_samples_and_these_alone_are_true(digits, other):
    inverted = replace(other, images=((1 - digits.pixels()) - 0.5) / 0.25)
    mixed, truth = corruptions.planter("sources", 0.05, other=inverted)(digits, 0)
    assert truth.dtype == bool
    assert np.flatnonzero(truth).tolist() == list(range(400, 420))
    assert torch.equal(mixed.images[:400], digits.images)
    # each is the inverse of one sample, and no sample is there twice
    distance = (1 - mixed.pixels()[400:, None] - digits.pixels()[None]).abs().flatten(2).amax(2)
    assert (distance < 1e-5).any(1).all()
    assert len(mixed.images[400:].unique(dim=0)) == 20
    turned = inverted.select(np.random.default_rng(5).permutation(400))
    again, _ = corruptions.planter("sources", 0.05, other=turned)(digits, 0)
    assert again.fingerprint() == mixed.fingerprint()


@pytest.mark.parametrize("trouble", TROUBLES)
def test_every_named_trouble_is_planted_anew_by_each_seed_and_reproduced_by_the_same(
    digits, other, trouble
):
    plant = corruptions.planter(
        trouble,
        0.1,
        model=lambda: models.mlp((1, 8, 8), width=16),
        recipe=Recipe(epochs=10),
        epsilon=0.3,
        other=other if trouble == "sources" else None,
    )
    (first, truth), (again, same), (third, differs) = (plant(digits, seed) for seed in (0, 0, 1))
    assert first.fingerprint() == again.fingerprint() != third.fingerprint()
    np.testing.assert_array_equal(truth, same)
    assert truth.dtype == bool
    assert len(truth) == len(first)
    assert 0 < truth.sum() < len(truth)
    assert len(differs) == len(third)
    turned, moved = plant(digits.select(np.random.default_rng(5).permutation(400)), 0)
    assert turned.fingerprint() == first.fingerprint()  # of the same samples, whatever their order
    np.testing.assert_array_equal(truth, moved)


def test_bad_troubles_are_refused(digits, other):
    groups = {"a": [0, 1], "b": [2]}
    cases = [
        (lambda: flip_between_classes(digits, 1.5, seed=0), FractionOutOfRange, "fraction"),
        (lambda: flip_between_classes(digits, 1e-9, seed=0), NotPositive, "fraction"),
        (lambda: flip_between_classes(digits, 0.5, onto={1: 1}, seed=0), LabelOutOfRange, "onto"),
        (lambda: flip_between_classes(digits, 0.5, onto={1: 10}, seed=0), LabelOutOfRange, "onto"),
        (lambda: undersample(digits, {"a": [0]}, rare=0, keep=1, seed=0), EmptySelection, "groups"),
        (
            lambda: undersample(digits, {"a": [0], "b": []}, rare=0, keep=1, seed=0),
            EmptySelection,
            "groups",
        ),
        (
            lambda: undersample(digits, {"a": [0], "b": [0]}, rare=0, keep=1, seed=0),
            DuplicateIds,
            "groups",
        ),
        (
            lambda: undersample(digits, {"a": [0], "b": [12]}, rare=0, keep=1, seed=0),
            LabelOutOfRange,
            "groups",
        ),
        (lambda: undersample(digits, groups, rare=2, keep=1, seed=0), UnknownName, "rare"),
        (lambda: undersample(digits, groups, rare=5, keep=1, seed=0), UnknownName, "rare"),
        (lambda: undersample(digits, groups, rare=0, keep=0, seed=0), NotPositive, "keep"),
        (lambda: undersample(digits, groups, rare=0, keep=999, seed=0), TooLarge, "keep"),
        (lambda: mix_sources([digits]), EmptySelection, "sources"),
        (
            lambda: mix_sources([digits, data.load("fmnist-mini").select(range(5))]),
            WrongShape,
            "sources",
        ),
        *(
            (lambda name=name: corruptions.planter(name, 1e-9)(digits, 0), NotPositive, "^fraction")
            for name in ("mislabels", "class-mislabels", "duplicates", "subclass")
        ),
        (lambda: corruptions.planter("typos", 0.1), UnknownName, "trouble"),
        (lambda: corruptions.planter("mislabels", 0.0), FractionOutOfRange, "fraction"),
        (lambda: corruptions.planter("adversarial", 0.1), InvalidInput, "model"),
        (lambda: corruptions.planter("sources", 0.1), InvalidInput, "other"),
        (lambda: corruptions.planter("mislabels", 0.1, other=other), InvalidInput, "other"),
        (
            lambda: corruptions.planter("sources", 0.1, other=data.load("fmnist-mini"))(digits, 0),
            WrongShape,
            "sources",
        ),
        (
            lambda: corruptions.planter("sources", 0.1, other=other.select(range(39)))(digits, 0),
            TooLarge,
            "fraction",
        ),
        (
            lambda: corruptions.planter("sources", 1e-9, other=other)(digits, 0),
            NotPositive,
            "fraction",
        ),
    ]
    for call, error, argument in cases:
        with pytest.raises(error, match=argument):
            call()
