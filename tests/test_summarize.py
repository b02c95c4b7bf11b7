"""Summaries are those of scores computed anew, from a network linearized on what is left."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

from memlib import models, summarize
from memlib.errors import InvalidInput, NotPositive, SingularKernel, TooLarge, WrongType
from memlib.information import GradientDescent, functional_sample_information, linearize
from memlib.runtime import seeded

with seeded(0, "summarize"):
    IMAGES, VALIDATION = torch.randn(30, 1, 4, 4), torch.randn(11, 1, 4, 4)
    NETWORKS = {k: models.mlp((1, 4, 4), classes=k, width=30) for k in (1, 3)}
LABELS = {1: torch.arange(30) % 2 * 2.0 - 1, 3: torch.arange(30) % 3}
FOUND = {k: linearize(NETWORKS[k], IMAGES, LABELS[k], device="cpu") for k in (1, 3)}
DESCENTS = [GradientDescent(decay=0.3), GradientDescent(100, 1e-3)]


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("descent", DESCENTS, ids=str)
@pytest.mark.parametrize("inputs", [None, VALIDATION], ids=["training", "validation"])
def test_every_round_removes_what_is_least_informative_among_the_rest(k, descent, inputs) -> None:
    found = summarize.summarize(FOUND[k], descent, keep=5, per_round=4, evaluation=inputs)
    assert found["round"].tolist() == [i // 4 for i in range(25)]
    left = list(range(30))
    for _, removed in found.groupby("round"):
        rest = linearize(NETWORKS[k], IMAGES[left], LABELS[k][left], device="cpu")
        seen = IMAGES if inputs is None else inputs
        scores = functional_sample_information(rest, descent, evaluation=seen)
        order = np.argsort(scores)[: len(removed)]
        assert removed.index.tolist() == [left[i] for i in order]
        np.testing.assert_allclose(removed["score"], scores[order], rtol=1e-8)
        left = [i for i in left if i not in removed.index]
    assert len(left) == 5


def test_the_most_informative_can_be_removed_and_one_round_is_the_plain_order() -> None:
    descent = DESCENTS[0]
    scores = functional_sample_information(FOUND[3], descent)
    once = {
        largest: summarize.summarize(FOUND[3], descent, keep=1, per_round=29, largest=largest)
        for largest in (False, True)
    }
    assert once[False].index.tolist() == np.argsort(scores)[:29].tolist()
    assert once[True].index.tolist() == np.argsort(-scores)[:29].tolist()


def test_of_two_equal_samples_one_is_removed_and_the_other_becomes_informative() -> None:
    network, labels = NETWORKS[1], LABELS[1].clone()
    images = IMAGES.clone()
    images[7], labels[7] = images[3], labels[3]
    found = linearize(network, images, labels, device="cpu")
    table = summarize.summarize(found, GradientDescent(decay=1e-3), keep=1, per_round=1)
    assert table.index[0] in (3, 7)
    other = ({3, 7} - {table.index[0]}).pop()
    assert other not in table.index[:10]


def test_updates_keep_their_digits_over_many_rounds() -> None:
    with seeded(0, "rounds"):
        images = torch.randn(300, 1, 4, 4)
    labels = (images.sum((1, 2, 3)) > 0) * 2.0 - 1
    found = linearize(NETWORKS[1], images, labels, device="cpu")
    descent = GradientDescent(decay=1e-4 * float(found.eigen[0][-1]))
    table = summarize.summarize(found, descent, keep=20, per_round=5)
    left = sorted({*range(300)} - {*table.index[:-5]})
    rest = linearize(NETWORKS[1], images[left], labels[left], device="cpu")
    scores = functional_sample_information(rest, descent, evaluation=images)
    wanted = [scores[left.index(i)] for i in table.index[-5:]]
    np.testing.assert_allclose(table["score"][-5:], wanted, rtol=1e-8)


@given(
    st.sampled_from(["keep", "per_round"]),
    st.one_of(
        st.integers(max_value=0),
        st.floats(),
        st.text(max_size=3),
        st.lists(st.integers(), max_size=2),
    ),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_counts_that_are_not_positive_whole_numbers_are_refused(name, value) -> None:
    with pytest.raises((NotPositive, WrongType)) as caught:
        summarize.summarize(FOUND[1], **({"keep": 3} | {name: value}))
    assert isinstance(caught.value, InvalidInput)
    assert caught.value.argument == name


def test_more_kept_than_there_are_and_a_singular_kernel_are_refused() -> None:
    for keep in (30, 31, 10**6):
        with pytest.raises(TooLarge, match="keep"):
            summarize.summarize(FOUND[1], keep=keep)
    doubled = linearize(NETWORKS[1], IMAGES[[0, 0, 1]], LABELS[1][:3], device="cpu")
    with pytest.raises(SingularKernel, match="decay"):
        summarize.summarize(doubled, keep=1)
