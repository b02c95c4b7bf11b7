"""Bad input to attacks, troubles and detection, generated: each is refused by its own exception.

Every kind below draws twenty different bad inputs.
"""

from collections.abc import Callable

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings

from memlib import attacks, corruptions, data, detection, membership, models, splits
from memlib.errors import (
    EmptySelection,
    FractionOutOfRange,
    InvalidInput,
    LabelOutOfRange,
    NonFiniteImages,
    NonFiniteNumber,
    NotPositive,
    TooLarge,
    UnknownName,
    WrongShape,
    WrongType,
)

N, K = 12, 3
SMALL = data.Dataset(
    images=torch.linspace(-1, 1, N * 4).reshape(N, 1, 2, 2),
    labels=torch.arange(N) % K,
    ids=torch.arange(100, 100 + N),
    class_names=("cat", "dog", "fox"),
    name="small",
    mean=(0.5,),
    std=(0.25,),
)


def model():
    return models.mlp((1, 2, 2), classes=K, width=4)


NETWORK = model()
ATTACK = membership.Membership(
    ids=np.arange(6),
    score=np.arange(24.0).reshape(4, 6),
    members=np.arange(24).reshape(4, 6) % 2 == 0,
)
TABLE = pd.DataFrame({"csl": np.arange(4.0), "csg": np.arange(4.0)})
TRUTH = np.array([True, False, True, False])
GROUPS = {"a": [0, 1], "b": [2]}

words = st.text(max_size=20)
not_fraction = st.one_of(st.floats(max_value=0), st.floats(min_value=1), st.just(float("nan")))
too_small = st.integers(max_value=0)
not_whole = st.one_of(st.floats(), st.none(), st.booleans(), st.text(max_size=3))
not_finite = st.sampled_from([float("nan"), float("inf"), float("-inf")])
not_positive = st.one_of(st.floats(max_value=0), not_finite)
shapes = st.lists(st.integers(0, 5), max_size=3).map(tuple)
outside = st.one_of(st.integers(max_value=-1), st.integers(min_value=K))

Kind = tuple[st.SearchStrategy, Callable[[object], object], type[Exception], str]
KINDS: dict[str, Kind] = {
    "unknown trouble": (
        words.filter(lambda w: w not in corruptions.TROUBLES),
        lambda v: corruptions.planter(v, 0.1),
        UnknownName,
        "trouble",
    ),
    "planted share outside (0, 1)": (
        not_fraction,
        lambda v: corruptions.planter("mislabels", v),
        FractionOutOfRange,
        "fraction",
    ),
    "class noise outside (0, 1)": (
        not_fraction,
        lambda v: corruptions.flip_between_classes(SMALL, v, seed=0),
        FractionOutOfRange,
        "fraction",
    ),
    "class noise onto no class": (
        st.tuples(st.integers(0, K - 1), outside),
        lambda v: corruptions.flip_between_classes(SMALL, 0.5, onto=dict([v]), seed=0),
        LabelOutOfRange,
        "onto",
    ),
    "group of no class": (
        outside,
        lambda v: corruptions.undersample(SMALL, {"a": [0, v], "b": [2]}, rare=0, keep=1, seed=0),
        LabelOutOfRange,
        "groups",
    ),
    "rare class in no group": (
        outside,
        lambda v: corruptions.undersample(SMALL, GROUPS, rare=v, keep=1, seed=0),
        UnknownName,
        "rare",
    ),
    "more kept than there are": (
        st.integers(min_value=5),
        lambda v: corruptions.undersample(SMALL, GROUPS, rare=0, keep=v, seed=0),
        TooLarge,
        "keep",
    ),
    "adversarial share outside (0, 1)": (
        not_fraction,
        lambda v: attacks.adversarial_copies(SMALL, NETWORK, v, seed=0),
        FractionOutOfRange,
        "fraction",
    ),
    "step of the sign method": (
        not_positive,
        lambda v: attacks.fgsm(NETWORK, SMALL, v),
        NotPositive,
        "epsilon",
    ),
    "labels of another shape": (
        shapes.filter(lambda s: s != (N,)),
        lambda v: attacks.adversarial_distance(
            NETWORK, SMALL.images, torch.zeros(v, dtype=torch.int64)
        ),
        WrongShape,
        "labels",
    ),
    "image that is not finite": (
        st.tuples(st.integers(0, N - 1), not_finite),
        lambda v: attacks.adversarial_distance(
            NETWORK,
            SMALL.images.index_put((torch.tensor(v[0]),), torch.tensor(v[1])),
            SMALL.labels,
        ),
        NonFiniteImages,
        "images",
    ),
    "no search steps": (
        too_small,
        lambda v: attacks.adversarial_distance(NETWORK, SMALL.images, SMALL.labels, steps=v),
        NotPositive,
        "steps",
    ),
    "rate that is no rate": (
        st.one_of(
            st.floats(max_value=0, exclude_max=True),
            st.floats(min_value=1, exclude_min=True),
            st.just(float("nan")),
        ),
        lambda v: membership.roc(ATTACK, rates=np.array([0.5, v])),
        InvalidInput,
        "rates",
    ),
    "level outside (0, 1)": (
        not_fraction,
        lambda v: membership.roc(ATTACK, level=v),
        FractionOutOfRange,
        "level",
    ),
    "unknown band": (words, lambda v: membership.roc(ATTACK, band=v), UnknownName, "band"),
    "no resamples": (
        too_small,
        lambda v: membership.roc(ATTACK, resamples=v),
        NotPositive,
        "resamples",
    ),
    "unknown score": (
        words.filter(lambda w: w not in detection.SCORES),
        lambda v: detection.score_table(SMALL, model, scores=[v]),
        UnknownName,
        "scores",
    ),
    "too few networks": (
        st.integers(max_value=7),
        lambda v: detection.score_table(SMALL, model, networks=v),
        NotPositive,
        "networks",
    ),
    "folds that are not whole": (
        not_whole,
        lambda v: splits.fold_numbers(np.zeros(9), v, seed=0),
        WrongType,
        "folds",
    ),
    "more folds than samples": (
        st.integers(min_value=N + 1),
        lambda v: splits.out_of_fold(SMALL, model, folds=v),
        TooLarge,
        "folds",
    ),
    "probabilities of another shape": (
        shapes.filter(lambda s: s != (N, K)),
        lambda v: splits.confident_learning(SMALL, np.zeros(v)),
        WrongShape,
        "probabilities",
    ),
    "probability that is not finite": (
        not_finite,
        lambda v: splits.confident_learning(SMALL, np.full((N, K), v)),
        NonFiniteNumber,
        "probabilities",
    ),
    "rows that do not sum to one": (
        st.floats(0.34, 100),
        lambda v: splits.confident_learning(SMALL, np.full((N, K), v)),
        InvalidInput,
        "probabilities",
    ),
    "truth of another shape": (
        shapes.filter(lambda s: s != (4,)),
        lambda v: detection.judge(TABLE, np.zeros(v, dtype=bool)),
        WrongShape,
        "truth",
    ),
    "truth of one kind": (
        st.booleans(),
        lambda v: detection.judge(TABLE, np.full(4, v)),
        EmptySelection,
        "truth",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_bad_input_is_refused_by_name(kind):
    values, call, error, argument = KINDS[kind]

    @settings(max_examples=20, deadline=None, derandomize=True, database=None)
    @given(values)
    def refused(value):
        with pytest.raises(error) as caught:
            call(value)
        assert caught.value.argument == argument

    refused()
