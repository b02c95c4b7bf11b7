"""Bad input to attacks, private training, troubles and detection: each has its own exception.

Every kind below draws twenty different bad inputs.
"""

from collections.abc import Callable
from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from torch import nn

from memlib import (
    attacks,
    corruptions,
    data,
    detection,
    membership,
    models,
    private_ensemble,
    private_training,
    splits,
)
from memlib.errors import (
    EmptySelection,
    FractionOutOfRange,
    InvalidInput,
    LabelOutOfRange,
    NonFiniteImages,
    NonFiniteNumber,
    NotDifferentiable,
    NotPositive,
    TooLarge,
    UnknownIds,
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

other_sizes = st.tuples(*[st.integers(1, 6)] * 3).filter(lambda size: np.prod(size) != 4)
other_counts = st.integers(1, 40).filter(lambda classes: classes != K)
words_of_no_device = words.filter(lambda word: word.split(":")[0] not in ("cpu", "cuda", "meta"))
PRIVATE = private_training.PrivateRecipe(epochs=1, batch_size=4, noise=1.0)


def sized(size: tuple[int, ...]) -> data.Dataset:
    return replace(SMALL, images=torch.zeros(N, *size), mean=(0.0,) * size[0], std=(1.0,) * size[0])


def classifying(classes: int) -> nn.Module:
    return models.mlp((1, 2, 2), classes=classes, width=4)


def poisoned(place: int, value: float) -> nn.Module:
    network = model()
    with torch.no_grad():
        network[1].weight.view(-1)[place] = value
    return network


def ensemble(rows=None, dataset=SMALL, build=model):
    return private_ensemble.train_private_ensemble(
        build,
        dataset,
        [torch.arange(N) if rows is None else rows],
        PRIVATE,
        size=N,
        numbers=range(1),
        seeds=[0],
        seed=0,
    )


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
    "images that the attacked network does not take": (
        other_sizes,
        lambda v: attacks.fgsm(NETWORK, sized(v), 0.1),
        WrongShape,
        "images",
    ),
    "images that no boundary is searched for": (
        other_sizes,
        lambda v: attacks.adversarial_distance(NETWORK, sized(v).images, SMALL.labels),
        WrongShape,
        "images",
    ),
    "attacked network of other classes": (
        other_counts,
        lambda v: attacks.fgsm(classifying(v), SMALL, 0.1),
        WrongShape,
        "model",
    ),
    "step that is no number": (
        st.one_of(st.none(), st.text(max_size=3), st.lists(st.integers(), max_size=2)),
        lambda v: attacks.fgsm(NETWORK, SMALL, v),
        WrongType,
        "epsilon",
    ),
    "attacked network that is not finite": (
        st.tuples(st.integers(0, 15), not_finite),
        lambda v: attacks.fgsm(poisoned(*v), SMALL, 0.1),
        NonFiniteNumber,
        "model",
    ),
    "logits that are not finite": (
        st.tuples(st.integers(0, 15), st.just(float("nan"))),
        lambda v: attacks.adversarial_distance(poisoned(*v), SMALL.images, SMALL.labels),
        NonFiniteNumber,
        "model",
    ),
    "label that is no class": (
        st.tuples(st.integers(0, N - 1), st.one_of(st.integers(-(2**40), -1), st.integers(K, 99))),
        lambda v: attacks.adversarial_distance(
            NETWORK, SMALL.images, SMALL.labels.index_fill(0, torch.tensor(v[0]), v[1])
        ),
        LabelOutOfRange,
        "labels",
    ),
    "attack on no device": (
        words_of_no_device,
        lambda v: attacks.fgsm(NETWORK, SMALL, 0.1, device=v),
        UnknownName,
        "device",
    ),
    "images that the private network does not take": (
        other_sizes,
        lambda v: private_training.train_private(model(), sized(v), PRIVATE, device="cpu"),
        WrongShape,
        "images",
    ),
    "private network of other classes": (
        other_counts,
        lambda v: private_training.train_private(classifying(v), SMALL, PRIVATE, device="cpu"),
        WrongShape,
        "model",
    ),
    "images that the private networks do not take": (
        other_sizes,
        lambda v: ensemble(dataset=sized(v)),
        WrongShape,
        "model",
    ),
    "private networks of other classes": (
        other_counts,
        lambda v: ensemble(build=lambda: classifying(v)),
        WrongShape,
        "model",
    ),
    "rows of nobody": (
        st.tuples(st.integers(0, 3), st.one_of(st.integers(-99, -1), st.integers(N, 99))),
        lambda v: ensemble(torch.arange(4).index_fill(0, torch.tensor(v[0]), v[1])),
        UnknownIds,
        "rows",
    ),
    "rows of another rank": (
        shapes.filter(lambda s: len(s) != 1),
        lambda v: ensemble(torch.zeros(v, dtype=torch.int64)),
        WrongType,
        "rows",
    ),
    "images that no network of a table takes": (
        other_sizes,
        lambda v: detection.score_table(sized(v), model, scores=["csl"]),
        WrongShape,
        "images",
    ),
    "networks of a table with other classes": (
        other_counts,
        lambda v: detection.score_table(SMALL, lambda: classifying(v), scores=["csl"]),
        WrongShape,
        "model",
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


class Cut(nn.Module):
    """A network whose logits have no gradient, and which has a layer that it does not use."""

    def __init__(self, *, inside: bool) -> None:
        super().__init__()
        self.inner, self.spare, self.inside = model(), nn.Linear(2, 2), inside

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = self.inner(images)
        return logits.detach() if self.inside else logits


def test_networks_without_a_gradient_are_refused_and_the_weight_is_named():
    pair = SMALL.images, SMALL.labels
    for call in (
        lambda m: attacks.fgsm(m, SMALL, 0.1),
        lambda m: attacks.adversarial_distance(m, *pair, steps=1),
    ):
        with pytest.raises(NotDifferentiable, match="'Cut'"):
            call(Cut(inside=True))
        assert len(call(Cut(inside=False))) == N
    for inside, weight in ((True, "inner.1.weight"), (False, "spare.weight")):
        with pytest.raises(NotDifferentiable, match=weight):
            private_training.train_private(Cut(inside=inside), SMALL, PRIVATE, device="cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool, torch.complex64])
def test_labels_that_are_no_whole_numbers_are_refused(dtype):
    with pytest.raises(WrongType, match=r"^labels: "):
        attacks.adversarial_distance(NETWORK, SMALL.images, SMALL.labels.to(dtype))
    with pytest.raises(WrongType, match=r"^images: 'list'"):
        attacks.adversarial_distance(NETWORK, SMALL.images.tolist(), SMALL.labels)
    with pytest.raises(EmptySelection, match=r"^images: "):
        attacks.adversarial_distance(NETWORK, SMALL.images[:0], SMALL.labels[:0])
