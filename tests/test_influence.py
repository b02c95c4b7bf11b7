"""Influence functions solve what they say; retraining is the truth that they approximate."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import nn

from memlib import models
from memlib.errors import (
    DuplicateIds,
    EmptySelection,
    InvalidInput,
    NonFiniteNumber,
    NotDifferentiable,
    NotPositive,
    SingularKernel,
    TooLarge,
    TrainingDiverged,
    UnknownIds,
    UnknownName,
    WrongType,
)
from memlib.influence import influence, retraining, train
from memlib.information import GradientDescent, linearize
from memlib.leave_one_out import squared_changes
from memlib.linearized import cross_kernel
from memlib.runtime import seeded

N = 14
with seeded(0, "influence"):
    IMAGES, VALIDATION = torch.randn(N, 1, 4, 4), torch.randn(6, 1, 4, 4)
    LINEAR = nn.Sequential(nn.Flatten(), nn.Linear(16, 1))
    MLP = models.mlp((1, 4, 4), classes=3, width=6)
LABELS, CLASSES = torch.arange(N) % 2 * 2.0 - 1, torch.arange(N) % 3
DECAY = 2.0
CALL = {"evaluation": VALIDATION, "device": "cpu"}


def test_retraining_a_linear_network_confirms_its_linearization() -> None:
    descent = GradientDescent(50, 0.02, 0.5)
    found = linearize(LINEAR, IMAGES, LABELS, device="cpu")
    cross = cross_kernel(found, VALIDATION)
    weights, predictions = squared_changes(found.kernel, found.residuals, descent, cross=cross)
    true = retraining(LINEAR, IMAGES, LABELS, descent, **CALL)
    np.testing.assert_allclose(true.weights, weights, rtol=1e-9)
    np.testing.assert_allclose(true.predictions, predictions, rtol=1e-9)


def test_for_a_quadratic_loss_influence_is_the_truth_but_for_the_leverage() -> None:
    model = train(LINEAR, IMAGES, LABELS, GradientDescent(1500, 0.01, DECAY), device="cpu")
    found = influence(model, IMAGES, LABELS, method="exact", decay=DECAY, damping=0.0, **CALL)
    inputs = torch.cat([IMAGES.flatten(1), torch.ones(N, 1)], 1).double()
    hessian = inputs.T @ inputs + DECAY * torch.eye(17, dtype=torch.float64)
    leverage = (inputs @ torch.linalg.inv(hessian) * inputs).sum(1).numpy()
    true = linearize(LINEAR, IMAGES, LABELS, device="cpu")
    cross = cross_kernel(true, VALIDATION)
    call = true.kernel, true.residuals, GradientDescent(decay=DECAY)
    for estimate, exact in zip(
        (found.weights, found.predictions), squared_changes(*call, cross=cross), strict=True
    ):
        np.testing.assert_allclose(estimate, exact.numpy() * (1 - leverage) ** 2, rtol=1e-8)


@pytest.mark.parametrize("loss", ["squared", "cross-entropy"])
def test_the_three_methods_solve_the_same_equation(loss) -> None:
    model = train(MLP, IMAGES, CLASSES, GradientDescent(300, 0.01), loss=loss, device="cpu")
    call = {"loss": loss, "decay": 0.5, "samples": [3, 0, 9], **CALL}
    exact = influence(model, IMAGES, CLASSES, method="exact", damping=0.5, **call)
    cg = influence(model, IMAGES, CLASSES, method="cg", damping=0.5, **call)
    # LiSSA's damping counts `scale` times, and so does its convergence's rate
    lissa = influence(
        model, IMAGES, CLASSES, method="lissa", damping=0.05, scale=10.0, steps=400, **call
    )
    assert exact.samples.tolist() == [3, 0, 9]
    for other, digits in ((cg, 1e-7), (lissa, 1e-6)):
        np.testing.assert_allclose(other.weights, exact.weights, rtol=digits)
        np.testing.assert_allclose(other.predictions, exact.predictions, rtol=digits)


def test_influence_of_a_smooth_network_nears_retraining_when_samples_count_little() -> None:
    smooth = nn.Sequential(nn.Flatten(), nn.Linear(16, 5), nn.Tanh(), nn.Linear(5, 1))
    with seeded(0, "smooth"):
        for weight in smooth.parameters():
            nn.init.normal_(weight, std=0.3)
    errors = []
    for decay in (30.0, 300.0):
        descent = GradientDescent(250, 0.5 / (decay + 60), decay)
        model = train(smooth, IMAGES, LABELS, descent, device="cpu")
        true = retraining(smooth, IMAGES, LABELS, descent, **CALL)
        estimate = influence(
            model, IMAGES, LABELS, method="exact", decay=decay, damping=0.0, **CALL
        )
        errors.append(np.abs(estimate.weights / true.weights - 1).max())
    assert errors[1] < errors[0] / 3
    assert errors[1] < 0.2


def test_the_damping_of_the_paper_is_for_training_without_decay() -> None:
    call = {"method": "lissa", "steps": 5, "samples": [2], **CALL}
    for decay, damping in ((0.0, 0.01), (2.0, 0.0)):
        made = influence(MLP, IMAGES, CLASSES, decay=decay, **call)
        stated = influence(MLP, IMAGES, CLASSES, decay=decay, damping=damping, **call)
        np.testing.assert_array_equal(made.weights, stated.weights)
    long = influence(MLP, IMAGES, CLASSES, **CALL, method="lissa", samples=[2])
    told = {"steps": 1000, "scale": 1000.0, "damping": 0.01}  # Table 2 of `unique`
    wanted = influence(MLP, IMAGES, CLASSES, **CALL, **told, method="lissa", samples=[2])
    np.testing.assert_array_equal(long.weights, wanted.weights)


def test_the_batches_of_samples_do_not_change_the_result_and_the_seed_does(monkeypatch) -> None:
    model = train(MLP, IMAGES, CLASSES, GradientDescent(50, 0.01), device="cpu")
    call = {"method": "lissa", "steps": 20, "scale": 50.0, **CALL}
    whole = influence(model, IMAGES, CLASSES, **call)
    one = [influence(model, IMAGES, CLASSES, **call, samples=[i]) for i in range(N)]
    np.testing.assert_allclose(np.concatenate([part.weights for part in one]), whole.weights)
    true = retraining(MLP, IMAGES, CLASSES, GradientDescent(50, 0.01), **CALL)
    alone = retraining(MLP, IMAGES, CLASSES, GradientDescent(50, 0.01), samples=[4], **CALL)
    np.testing.assert_allclose(alone.predictions, true.predictions[[4]])
    drawn = [influence(model, IMAGES, CLASSES, **call, batch_size=3, seed=s) for s in (0, 0, 1)]
    np.testing.assert_array_equal(drawn[0].weights, drawn[1].weights)
    assert (drawn[0].weights != drawn[2].weights).all()
    monkeypatch.setattr("memlib.influence._vectors", lambda memory, d: 4)
    parts = influence(model, IMAGES, CLASSES, **call, batch_size=3, seed=0)
    np.testing.assert_allclose(parts.weights, drawn[0].weights)


positions = st.integers(0, N - 1)
bad_numbers = st.one_of(
    st.floats(max_value=0, exclude_max=True), st.sampled_from([float("nan"), float("inf")])
)
FAULTS = {
    "method": (st.text(max_size=9), UnknownName),
    "loss": (st.text(max_size=9), UnknownName),
    "decay": (bad_numbers, (NotPositive, NonFiniteNumber)),
    "damping": (bad_numbers, (NotPositive, NonFiniteNumber)),
    "scale": (st.one_of(bad_numbers, st.just(0.0)), NotPositive),
    "steps": (st.one_of(st.integers(max_value=0), st.floats()), (NotPositive, WrongType)),
    "batch_size": (st.one_of(st.integers(max_value=0), st.floats()), (NotPositive, WrongType)),
    "memory": (st.one_of(st.integers(max_value=0), st.floats()), (NotPositive, WrongType)),
    "samples": (
        st.one_of(
            st.just([]),
            st.builds(lambda i: [i, i], positions),
            st.builds(lambda i: [i], st.one_of(st.integers(N, 99), st.integers(-9, -1))),
            st.builds(lambda x: [x], st.floats(0, 9)),
        ),
        (EmptySelection, DuplicateIds, UnknownIds, WrongType),
    ),
}


@pytest.mark.parametrize("argument", FAULTS)
def test_bad_options_are_refused_by_their_own_exception(argument: str) -> None:
    strategy, errors = FAULTS[argument]

    @given(strategy)
    @settings(max_examples=15, deadline=None, derandomize=True)
    def refuses(value) -> None:
        with pytest.raises(errors) as caught:
            influence(MLP, IMAGES, CLASSES, **({"method": "lissa"} | CALL | {argument: value}))
        assert isinstance(caught.value, InvalidInput)
        assert caught.value.argument == argument

    refuses()


def test_what_cannot_be_solved_or_trained_says_so_and_what_to_do() -> None:
    for method in ("exact", "cg"):  # without labels that fit, the Hessian bends down somewhere
        with pytest.raises(SingularKernel, match="larger damping"):
            influence(MLP, IMAGES, 5 * LABELS[:, None].repeat(1, 3), method=method, damping=0.0)
    with pytest.raises(TrainingDiverged, match="scale"):
        influence(MLP, IMAGES, CLASSES, method="lissa", scale=1e-3, steps=200)
    with pytest.raises(SingularKernel, match="larger damping"):  # more weights than samples
        influence(LINEAR, IMAGES, LABELS, method="exact", damping=0.0)
    normed = nn.Sequential(nn.Flatten(), nn.Linear(16, 1))
    nn.utils.parametrizations.weight_norm(normed[1])  # PyTorch differentiates it once only
    with pytest.raises(InvalidInput, match="not symmetric"):
        influence(normed, IMAGES, LABELS, method="exact", damping=9.0)
    once = nn.Sequential(nn.Flatten(), nn.Linear(16, 3), nn.Hardsigmoid(), nn.Linear(3, 3))
    for method in ("exact", "cg", "lissa"):
        with pytest.raises(NotDifferentiable, match=r"Replace the layer.*hardsigmoid"):
            influence(once, IMAGES, CLASSES, method=method)
    with pytest.raises(NotPositive, match="more steps"):
        influence(MLP, IMAGES, CLASSES, method="cg", steps=1, damping=5.0)
    wide = models.mlp((1, 4, 4), classes=3, width=600)
    with pytest.raises(TooLarge, match="'cg'"):
        influence(wide, IMAGES, CLASSES, method="exact")
    for descent in (GradientDescent(), GradientDescent(2.0, 0.1, continuous=True)):
        with pytest.raises(WrongType, match="steps"):
            retraining(MLP, IMAGES, CLASSES, descent)
    with pytest.raises(TrainingDiverged, match="learning_rate"):
        train(LINEAR, IMAGES, LABELS, GradientDescent(2000, 10.0))
    with pytest.raises(InvalidInput, match="one output"):
        retraining(LINEAR, IMAGES, LABELS, GradientDescent(4, 0.01), loss="cross-entropy")
