"""A linearized network is the Taylor expansion, its kernel the Jacobians' inner products."""

import copy

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import nn
from torch.func import functional_call, jacrev

from memlib import influence, models, ntk
from memlib.descent import GradientDescent
from memlib.errors import (
    EmptySelection,
    InvalidInput,
    LabelOutOfRange,
    NonFiniteImages,
    NonFiniteNumber,
    NotDifferentiable,
    NotPositive,
    TooLarge,
    TrainMode,
    UnknownName,
    WrongShape,
    WrongType,
)
from memlib.leave_one_out import squared_changes
from memlib.linearized import LinearizedModel, cross_kernel, linearize
from memlib.runtime import seeded

with seeded(0, "linearized"):
    IMAGES, OTHERS = torch.randn(9, 1, 4, 4), torch.randn(5, 1, 4, 4)
    CNN = models.small_cnn((1, 4, 4), classes=3, width=2)
    NORMED = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten())
    NORMED(IMAGES)
CLASSES = torch.arange(9) % 3
DESCENTS = [
    GradientDescent(decay=0.5),
    GradientDescent(40, 1e-3, 0.5),
    GradientDescent(0.2, 0.3, 0.5, True),
]


def jacobian(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """(n k, d), from one call on all images."""
    network = copy.deepcopy(model).double()
    weights = {name: w.detach() for name, w in network.named_parameters() if w.requires_grad}
    parts = jacrev(lambda w: functional_call(network, w, (images.double(),)))(weights)
    return torch.cat([part.flatten(2).flatten(0, 1) for part in parts.values()], 1)


def linear(model: nn.Module = CNN, labels: torch.Tensor = CLASSES, **call) -> LinearizedModel:
    return linearize(model, IMAGES, labels, device="cpu", **call)


@pytest.mark.parametrize("model", [CNN, NORMED.eval()], ids=["cnn", "batch norm in eval mode"])
@pytest.mark.parametrize("memory", [1, 1024])
def test_the_kernel_is_that_of_the_jacobians_in_any_memory(model, memory, monkeypatch) -> None:
    if memory == 1:
        monkeypatch.setattr(ntk, "rows_per_block", lambda memory, numbers: 2)
    k = len(model(IMAGES)[0])
    j, others = jacobian(model, IMAGES), jacobian(model, OTHERS)
    found = linear(model, torch.zeros(9, k), memory=memory)
    torch.testing.assert_close(found.kernel, j @ j.T, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(cross_kernel(found, OTHERS), others @ j.T, rtol=1e-12, atol=1e-12)


class Tied(nn.Module):
    """Uses the weight of its first layer twice: in a layer after it, and by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(16, 16), nn.Linear(16, 16)
        self.second.weight = self.first.weight

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        inner = self.second(self.first(images.flatten(1)).relu())
        return (inner.relu() @ self.first.weight)[:, :2]


def reused(kind: str) -> nn.Module:
    with seeded(0, "reused"):
        if kind == "tied":
            return Tied()
        twice = nn.Linear(16, 16)
        relu = nn.ReLU(inplace=True)
        return nn.Sequential(relu, nn.Flatten(), twice, relu, twice, nn.Linear(16, 2))


@pytest.mark.parametrize("kind", ["tied", "shared"])
def test_a_weight_used_twice_is_one_weight(kind) -> None:
    model, kept = reused(kind).double(), IMAGES.double()
    images, parameters = kept.clone(), list(model.parameters())
    found = linearize(model, images, CLASSES % 2, device="cpu")
    rows = []
    for image in kept:
        for output in model(image[None].clone())[0]:
            row = torch.autograd.grad(output, parameters, retain_graph=True)
            rows.append(torch.cat([part.flatten() for part in row]))
    j = torch.stack(rows)
    torch.testing.assert_close(found.kernel, j @ j.T, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.outputs, model(kept.clone()).detach())
    assert torch.equal(images, kept)
    descent = GradientDescent(20, 1e-3)
    change = found.weights(descent)
    start = dict(found.network.named_parameters())
    moved = torch.cat([(change[name] - start[name]).flatten() for name in change])
    wanted = found.outputs + (j @ moved).view_as(found.outputs)
    torch.testing.assert_close(found.predictions(descent, images), wanted.detach())
    kept_parameters = zip(parameters, model.parameters(), strict=True)
    assert all(one is other for one, other in kept_parameters)
    loose = influence.retraining(model, images, CLASSES % 2, descent, samples=[0], device="cpu")
    assert np.isfinite(loose.weights).all()


def test_tensors_that_ask_for_a_gradient_get_none() -> None:
    images, labels = IMAGES.clone().requires_grad_(), torch.ones(9, 3).requires_grad_()
    found, plain = linear(), linearize(CNN, images, labels, device="cpu")
    torch.testing.assert_close(plain.kernel, found.kernel)
    assert not plain.kernel.requires_grad
    assert not plain.residuals.requires_grad
    others = OTHERS.clone().requires_grad_()
    assert not cross_kernel(found, others).requires_grad
    assert not found.predictions(DESCENTS[1], others).requires_grad
    kernel, residuals = (part.clone().requires_grad_() for part in (found.kernel, found.residuals))
    for descent in DESCENTS:
        weights, predictions = squared_changes(kernel, residuals, descent)
        assert not weights.requires_grad
        assert not predictions.requires_grad


def test_no_block_of_jacobians_is_larger_than_a_quarter_of_the_memory(monkeypatch) -> None:
    sizes = []
    whole = ntk._features
    monkeypatch.setattr(
        ntk, "_features", lambda *call: sizes.append((f := whole(*call)).numel() * 8) or f
    )
    with seeded(0, "wide"):
        wide = models.mlp((1, 4, 4), classes=3, width=1000)
    linear(wide, memory=3)
    assert 2**20 / 4 < max(sizes) <= 3 * 2**20 / 4


@pytest.mark.parametrize("descent", DESCENTS[:2], ids=str)
def test_weights_and_predictions_are_where_gradient_descent_leads(descent) -> None:
    found, j = linear(), jacobian(CNN, IMAGES)
    hessian = j.T @ j + descent.decay * torch.eye(j.shape[1], dtype=torch.float64)
    pull = j.T @ found.residuals.flatten()
    change = torch.zeros_like(pull)
    if descent.learning_rate is None:
        change = torch.linalg.solve(hessian, pull)
    else:
        for _ in range(int(descent.time)):
            change -= descent.learning_rate * (hessian @ change - pull)
    check(found, descent, change)


def test_under_gradient_flow_they_solve_the_differential_equation() -> None:
    from scipy.integrate import solve_ivp

    found, j, descent = linear(), jacobian(CNN, IMAGES), DESCENTS[2]
    hessian = j.T @ j + descent.decay * torch.eye(j.shape[1], dtype=torch.float64)
    pull = (j.T @ found.residuals.flatten()).numpy()
    flow = solve_ivp(
        lambda _, w: descent.learning_rate * (pull - hessian.numpy() @ w),
        (0, descent.time),
        0 * pull,
        method="Radau",
        rtol=1e-10,
        atol=1e-12,
    )
    check(found, descent, torch.from_numpy(flow.y[:, -1]), 1e-8)


def check(found, descent, change, tolerance=1e-10) -> None:
    """Weights and predictions of a network whose weights moved by `change`."""
    moved = found.weights(descent)
    start = {name: w for name, w in found.network.named_parameters() if w.requires_grad}
    flat = torch.cat([(moved[name] - start[name]).flatten() for name in start])
    torch.testing.assert_close(flat, change, rtol=0, atol=tolerance)
    for images in (None, OTHERS):
        x = IMAGES if images is None else images
        wanted = found.network(x.double()).detach() + (jacobian(CNN, x) @ change).view(-1, 3)
        torch.testing.assert_close(
            found.predictions(descent, images), wanted, rtol=0, atol=10 * tolerance
        )


def test_frozen_layers_are_not_linearized() -> None:
    with seeded(0, "frozen"):
        model = models.mlp((1, 4, 4), classes=3, width=5)
    model[1].requires_grad_(False)
    found = linear(model)
    features = torch.cat([model[:-1](IMAGES), torch.ones(9, 1)], 1).double()
    torch.testing.assert_close(
        found.kernel, torch.kron(features @ features.T, torch.eye(3).double()), rtol=1e-6, atol=1e-6
    )
    assert set(found.weights(DESCENTS[0])) == {"3.weight", "3.bias"}


def test_training_the_original_later_does_not_move_the_expansion() -> None:
    with seeded(0, "later"):
        model = models.mlp((1, 4, 4), classes=3, width=5)
    found = linear(model)
    before = found.predictions(DESCENTS[1], OTHERS)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    torch.testing.assert_close(found.predictions(DESCENTS[1], OTHERS), before, rtol=0, atol=0)


def test_a_sketched_kernel_is_right_on_average_and_states_its_error() -> None:
    exact = linear()
    for kind in ("coordinates", "projection"):
        found = [linear(kernel=kind, size=8, seed=seed) for seed in range(60)]
        mean = torch.stack([sketch.kernel for sketch in found]).mean(0)
        errors = [float((s.kernel - exact.kernel).norm() / exact.kernel.norm()) for s in found]
        # the samples are fewer than those probed: the stated error is the whole kernel's
        assert errors == pytest.approx([sketch.kernel_error for sketch in found])
        assert (mean - exact.kernel).norm() / exact.kernel.norm() < 4 * max(errors) / 60**0.5
        ratios = [float(sketch.kernel.trace() / exact.kernel.trace()) for sketch in found]
        assert abs(np.mean(ratios) - 1) < 4 * np.std(ratios) / 60**0.5 < 0.2
    large = [linear(kernel="projection", size=size).kernel_error for size in (50, 5000)]
    assert large[1] < large[0] / 5
    assert exact.kernel_error == 0


def test_a_sketch_of_all_coordinates_is_exact_and_a_sketch_does_not_depend_on_memory(
    monkeypatch,
) -> None:
    exact = linear().kernel
    torch.testing.assert_close(linear(kernel="coordinates", size=10**6).kernel, exact)
    whole = linear(kernel="projection", size=30)
    predicted = whole.predictions(DESCENTS[1], IMAGES)
    torch.testing.assert_close(predicted, whole.predictions(DESCENTS[1]))
    monkeypatch.setattr(ntk, "rows_per_block", lambda memory, numbers: 2)
    torch.testing.assert_close(linear(kernel="projection", size=30).kernel, whole.kernel)


class Rounded(nn.Module):
    """Rounds what comes through: its gradient is 0."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.round(x)


class Argmax(nn.Module):
    """Has no gradient at all."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.argmax(1, keepdim=True).double()


def net(*layers: nn.Module) -> nn.Module:
    with seeded(0, "fault"):
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 4), *layers)


def broken(value: float) -> nn.Module:
    model = net()
    nn.init.constant_(model[1].bias, value)
    return model


widths = st.integers(1, 6)
not_finite = st.sampled_from([float("nan"), float("inf"), float("-inf")])
FAULTS = {
    "batch norm in train mode": (
        st.builds(lambda w: {"model": net(nn.Linear(4, w), nn.BatchNorm1d(w)).train()}, widths),
        TrainMode,
    ),
    "dropout in train mode": (
        st.builds(lambda p: {"model": net(nn.Dropout(p)).train()}, st.floats(0, 0.9)),
        TrainMode,
    ),
    "rounding": (
        st.builds(lambda w: {"model": net(Rounded(), nn.Linear(4, 2 + w))}, widths),
        NotDifferentiable,
    ),
    "argmax": (
        st.builds(lambda w: {"model": net(nn.Linear(4, w), Argmax())}, widths),
        NotDifferentiable,
    ),
    "nothing to train": (
        st.builds(lambda w: {"model": net(nn.Linear(4, w)).requires_grad_(False)}, widths),
        NotDifferentiable,
    ),
    "weights not finite": (
        st.builds(lambda v: {"model": broken(v)}, not_finite),
        NonFiniteNumber,
    ),
    "images not finite": (
        st.builds(
            lambda v, i: {"images": IMAGES.index_fill(0, torch.tensor([i]), v)},
            not_finite,
            st.integers(0, 8),
        ),
        NonFiniteImages,
    ),
    "labels not finite": (
        st.builds(lambda v: {"labels": torch.full((9, 4), v)}, not_finite),
        NonFiniteNumber,
    ),
    "labels of another shape": (
        st.builds(lambda n, k: {"labels": torch.zeros(n, k)}, st.integers(0, 8), st.integers(1, 9)),
        WrongShape,
    ),
    "a class that is not there": (
        st.builds(
            lambda c: {"labels": torch.full((9,), c)},
            st.one_of(st.integers(4, 99), st.integers(-99, -1)),
        ),
        LabelOutOfRange,
    ),
    "labels that are no tensor": (
        st.builds(lambda c: {"labels": c}, st.lists(st.integers(0, 3))),
        WrongType,
    ),
    "whole numbers as images": (
        st.builds(lambda n: {"images": torch.ones(n, 16, dtype=torch.int64)}, widths),
        WrongType,
    ),
    "images without a batch": (
        st.builds(lambda n: {"images": torch.ones(n)}, widths),
        WrongShape,
    ),
    "no image": (
        st.builds(lambda n: {"images": torch.ones(0, n)}, widths),
        EmptySelection,
    ),
    "outputs of another shape": (
        st.builds(lambda w: {"model": net(nn.Unflatten(1, (2, 2)))}, widths),
        WrongShape,
    ),
    "an unknown kernel": (
        st.builds(lambda name: {"kernel": name}, st.text(max_size=9)),
        UnknownName,
    ),
    "a size or memory below 1": (
        st.builds(
            lambda name, value: {name: value},
            st.sampled_from(["size", "memory"]),
            st.integers(-9, 0),
        ),
        NotPositive,
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_bad_input_is_refused_by_its_own_exception(name: str) -> None:
    strategy, error = FAULTS[name]
    model = net()

    @given(strategy)
    @settings(max_examples=10, deadline=None, derandomize=True)
    def refuses(call) -> None:
        arguments = {"model": model, "images": IMAGES, "labels": CLASSES} | call
        with pytest.raises(error) as caught:
            linearize(**arguments, device="cpu")
        assert isinstance(caught.value, InvalidInput)
        assert caught.value.argument in call
        assert caught.value.fix

    refuses()


def test_samples_that_are_mixed_outside_of_layers_are_refused() -> None:
    class Centered(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = net()

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.inner(images - images.mean(0))

    with pytest.raises(InvalidInput, match="Centered, whose output for one sample depends"):
        linearize(Centered(), IMAGES, CLASSES, device="cpu")


def test_images_that_the_model_does_not_take_are_refused() -> None:
    with pytest.raises(WrongShape, match="The model does not take them"):
        linearize(net(), IMAGES[:, :, :3], CLASSES, device="cpu")


def test_predictions_of_many_images_hold_no_graph() -> None:
    found = linear()
    kept = []
    handle = found.network.register_forward_hook(lambda module, given, out: kept.append(out))
    try:
        for descent in DESCENTS[:1]:
            found.predictions(descent, OTHERS)
    finally:
        handle.remove()
    assert not kept[0].requires_grad


def test_later_images_must_fit_the_first_and_steps_must_not_diverge() -> None:
    found = linear()
    with pytest.raises(WrongShape, match=r"\(1, 4, 4\)"):
        found.predictions(DESCENTS[0], torch.zeros(2, 1, 5, 5))
    with pytest.raises(NonFiniteImages):
        cross_kernel(found, OTHERS / 0)
    with pytest.raises(TooLarge, match="diverge"):
        found.weights(GradientDescent(10, 1e3))
