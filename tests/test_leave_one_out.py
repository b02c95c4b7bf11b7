"""Leaving out every sample at once is what a loop over trainings gives."""

import math

import hypothesis.strategies as st
import mpmath
import pytest
import torch
from hypothesis import given, settings
from torch.utils._python_dispatch import TorchDispatchMode

from memlib import leave_one_out
from memlib.descent import GradientDescent, coefficients, contour
from memlib.errors import (
    DuplicateIds,
    EmptySelection,
    InvalidInput,
    NonFiniteNumber,
    NotPositive,
    SingularKernel,
    TooLarge,
    UnknownIds,
    WrongShape,
    WrongType,
)
from memlib.leave_one_out import (
    changes,
    held_out_predictions,
    spectrum,
    squared_changes,
    trained_coefficients,
)

MINIMA = [GradientDescent(), GradientDescent(decay=0.1)]
STEPS = [GradientDescent(t, 0.5, decay) for t in (1, 7, 15, 16, 2000) for decay in (0.0, 0.1)]
OVERSHOOT = [GradientDescent(t, 1.7, decay) for t in (5, 33, 2000, 10**6) for decay in (0.0, 0.1)]
FLOW = [GradientDescent(t, 0.5, decay, True) for t in (0.3, 7, 2000, 1e4) for decay in (0.0, 0.1)]
TRAININGS = MINIMA + STEPS + OVERSHOOT + FLOW


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def system(n: int, k: int, condition: float, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """A kernel with eigenvalues from 1 / condition to 1, residuals, and 5 evaluation inputs."""
    vectors = torch.linalg.qr(normal(n * k, n * k, seed=seed))[0]
    values = torch.logspace(0, -math.log10(condition), n * k, dtype=torch.float64)
    kernel = vectors * values @ vectors.T
    kernel = (kernel + kernel.T) / 2
    return kernel, normal(n, k, seed=seed + 1), normal(5 * k, n * k, seed=seed + 2) @ kernel


def stepwise(kernel: torch.Tensor, residuals: torch.Tensor, descent: GradientDescent):
    """a, `(n k,)`, by the steps themselves, by matrix powers, or by one solve."""
    shifted = kernel + descent.decay * torch.eye(len(kernel), dtype=torch.float64)
    right = residuals.flatten()
    if math.isinf(descent.time):
        return torch.linalg.solve(shifted, right)
    if descent.continuous:
        # a' = eta (r - M a): the exponential of the flow with one more coordinate, for r
        flow = torch.zeros(len(right) + 1, len(right) + 1, dtype=torch.float64)
        flow[:-1, :-1], flow[:-1, -1] = -shifted, right
        return torch.linalg.matrix_exp(descent.learning_rate * descent.time * flow)[:-1, -1]
    step = torch.zeros(len(right) + 1, len(right) + 1, dtype=torch.float64)
    step[:-1, :-1] = torch.eye(len(right), dtype=torch.float64) - descent.learning_rate * shifted
    step[:-1, -1], step[-1, -1] = descent.learning_rate * right, 1
    return torch.linalg.matrix_power(step, int(descent.time))[:-1, -1]


def left_out(kernel, residuals, descent, group):
    """a - a_g, `(n k,)`, by training without the group."""
    kept = torch.ones_like(residuals, dtype=torch.bool)
    kept[list(group)] = False
    rows = kept.flatten().nonzero()[:, 0]
    change = stepwise(kernel, residuals, descent)
    if len(rows):
        rest = residuals.flatten()[rows][:, None]
        change[rows] -= stepwise(kernel[rows][:, rows], rest, descent)
    return change


def loop(kernel, residuals, descent, cross, groups):
    """Both sums of `squared_changes`, one training per group."""
    deltas = [left_out(kernel, residuals, descent, group) for group in groups]
    weights = torch.stack([d @ kernel @ d for d in deltas])
    return weights, torch.stack([(cross @ d).square().sum() for d in deltas])


def relative(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found / wanted - 1).abs().max())


@pytest.mark.parametrize("descent", TRAININGS, ids=str)
def test_all_samples_at_once_agree_with_a_loop_over_trainings(descent: GradientDescent) -> None:
    shapes = ((30, 1, 1e2, None), (30, 1, 1e6, None), (9, 3, 1e6, None))
    for n, k, condition, groups in (*shapes, (12, 2, 1e4, [[3], [0, 7], [2, 5], [1, 4, 8, 9]])):
        kernel, residuals, cross = system(n, k, condition)
        alone = groups or [[i] for i in range(n)]
        wanted = loop(kernel, residuals, descent, cross, alone)
        found = squared_changes(kernel, residuals, descent, cross=cross, groups=groups)
        own = squared_changes(kernel, residuals, descent, groups=groups)[1]
        wanted_own = loop(kernel, residuals, descent, kernel, alone)[1]
        assert max(map(relative, (*found, own), (*wanted, wanted_own))) < 1e-8


@pytest.mark.parametrize(
    "descent",
    [GradientDescent(), GradientDescent(10**6, 1.7), GradientDescent(1e6, 0.5, 0.0, True)],
    ids=str,
)
def test_at_condition_a_million_nine_digits_agree_with_forty_digit_arithmetic(descent) -> None:
    # the loops in float64 lose more digits than this: their matrix powers are worse conditioned
    kernel, residuals, cross = system(12, 1, 1e6)

    def trained(rows: list[int]) -> mpmath.matrix:
        values, vectors = mpmath.eigsy(mpmath.matrix(kernel[rows][:, rows].tolist()))
        rotated = vectors.T * mpmath.matrix(residuals[rows].tolist())
        for j, s in enumerate(values):
            if math.isinf(descent.time):
                left = 0
            elif descent.continuous:
                left = mpmath.exp(-descent.learning_rate * mpmath.mpf(descent.time) * s)
            else:
                left = (1 - descent.learning_rate * s) ** int(descent.time)
            rotated[j] *= (1 - left) / s
        whole = mpmath.zeros(len(kernel), 1)
        for place, value in zip(rows, vectors * rotated, strict=True):
            whole[place] = value
        return whole

    found = squared_changes(kernel, residuals, descent, cross=cross)
    with mpmath.workdps(40):
        for i in (0, 5, 11):
            change = trained(list(range(12))) - trained([j for j in range(12) if j != i])
            predictions = mpmath.matrix(cross.tolist()) * change
            weights = (change.T * mpmath.matrix(kernel.tolist()) * change)[0]
            wanted = weights, (predictions.T * predictions)[0]
            errors = [
                float(mpmath.mpf(float(f[i])) / w - 1) for f, w in zip(found, wanted, strict=True)
            ]
            assert max(map(abs, errors)) < 1e-9


@pytest.mark.parametrize("descent", TRAININGS, ids=str)
def test_held_out_predictions_are_those_of_a_network_trained_without_the_sample(descent) -> None:
    kernel, residuals, _ = system(8, 2, 1e3)
    whole = kernel @ stepwise(kernel, residuals, descent)
    for i, found in enumerate(held_out_predictions(kernel, residuals, descent)):
        moved = kernel @ left_out(kernel, residuals, descent, [i])
        torch.testing.assert_close(found, (whole - moved)[2 * i : 2 * i + 2], rtol=0, atol=1e-10)


@pytest.mark.parametrize("descent", TRAININGS, ids=str)
def test_trained_coefficients_are_those_of_the_steps_themselves(descent: GradientDescent) -> None:
    kernel, residuals, _ = system(10, 2, 1e4)
    found = trained_coefficients(kernel, residuals, descent)
    torch.testing.assert_close(found, stepwise(kernel, residuals, descent), rtol=1e-9, atol=1e-9)


def test_at_a_finite_time_equal_samples_and_a_kernel_of_small_rank_are_no_trouble() -> None:
    rows = normal(6, 3)
    kernel = torch.cat([rows, rows]) @ torch.cat([rows, rows]).T
    residuals, descent = normal(12, 1, seed=1), GradientDescent(300, 1 / float(kernel.trace()))
    found = squared_changes(kernel, residuals, descent)
    wanted = loop(kernel, residuals, descent, kernel, [[i] for i in range(12)])
    assert max(map(relative, found, wanted)) < 1e-8


def test_the_whole_training_set_can_be_left_out() -> None:
    kernel, residuals, cross = system(5, 2, 10)
    for descent in (GradientDescent(), GradientDescent(40, 1.0)):
        _, found = squared_changes(kernel, residuals, descent, cross=cross, groups=[range(5)])
        trained = cross @ stepwise(kernel, residuals, descent)
        torch.testing.assert_close(found[0], trained.square().sum())


def test_neither_the_batches_nor_a_known_spectrum_change_the_result(monkeypatch) -> None:
    kernel, residuals, cross = system(20, 3, 1e3)
    for descent in (GradientDescent(), GradientDescent(100, 0.5)):
        whole = squared_changes(kernel, residuals, descent, cross=cross)
        eigen = spectrum(kernel)
        with monkeypatch.context() as patch:
            patch.setattr(leave_one_out, "TABLE", 200)
            assert len(list(changes(kernel, residuals, descent)[1])) > 10
            parts = squared_changes(kernel, residuals, descent, cross=cross, eigen=eigen)
        torch.testing.assert_close(parts, whole, rtol=1e-12, atol=0)


@pytest.mark.parametrize("eta", [0.3, 1.0, 1.3, 1.7, 1.99])
def test_few_steps_are_as_exact_as_many(eta: float) -> None:
    # too few for the parabola, which goes astray below ten steps, they take the circle
    s = torch.linspace(0, 1, 200, dtype=torch.float64)
    for steps in range(1, 41):
        points, weights = contour(GradientDescent(steps, eta), 1.0)
        found = (weights / (s[:, None] - points)).sum(1).real
        wanted = coefficients(GradientDescent(steps, eta), s)
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=0)


@given(
    eta=st.floats(1e-6, 1.999),
    steps=st.integers(1, 10**7),
    value=st.one_of(st.just(0.0), st.floats(1e-250, 1)),
    continuous=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_the_sum_over_the_contour_is_the_polynomial(eta, steps, value, continuous) -> None:
    descent = GradientDescent(steps, eta, continuous=continuous)
    s = torch.tensor([value, 1.0], dtype=torch.float64)
    points, weights = contour(descent, 1.0)
    found = (weights / (s[:, None] - points)).sum(1).real
    torch.testing.assert_close(found, coefficients(descent, s), rtol=1e-10, atol=0)


@given(seed=st.integers(0, 10**6), n=st.integers(2, 8), k=st.integers(1, 3), data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_group_of_any_kernel_agrees_with_its_training(seed, n, k, data) -> None:
    kernel, residuals, cross = system(n, k, 10 ** (seed % 6), seed=seed)
    descent = data.draw(st.sampled_from(TRAININGS))
    group = data.draw(st.sets(st.integers(0, n - 1), min_size=1))
    found = squared_changes(kernel, residuals, descent, cross=cross, groups=[sorted(group)])
    wanted = loop(kernel, residuals, descent, cross, [group])
    assert max(map(relative, found, wanted)) < 1e-8


class Largest(TorchDispatchMode):
    """Notes the largest number of entries that any operation returns."""

    def __init__(self) -> None:
        super().__init__()
        self.entries = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for each in result if isinstance(result, tuple | list) else [result]:
            if isinstance(each, torch.Tensor):
                self.entries = max(self.entries, each.numel())
        return result


@pytest.mark.parametrize("descent", [STEPS[1], STEPS[-1], OVERSHOOT[2], FLOW[1]], ids=str)
def test_a_large_group_agrees_with_its_training_in_the_memory_of_the_kernel(descent) -> None:
    kernel, residuals, cross = system(60, 2, 1e3)
    groups = [range(40), range(5, 60)]
    with Largest() as largest:
        found = squared_changes(kernel, residuals, descent, cross=cross, groups=groups)
    assert largest.entries <= 2 * kernel.numel()
    wanted = loop(kernel, residuals, descent, cross, groups)
    assert max(map(relative, found, wanted)) < 1e-8


BAD_TRAININGS = {
    "no time": ({"time": 0}, NotPositive),
    "negative time": ({"time": -1, "learning_rate": 0.1}, NotPositive),
    "time that is not a number": ({"time": math.nan, "learning_rate": 0.1}, NotPositive),
    "half a step": ({"time": 2.5, "learning_rate": 0.1}, WrongType),
    "finite time without a rate": ({"time": 10}, WrongType),
    "rate 0": ({"time": 10, "learning_rate": 0.0}, NotPositive),
    "infinite rate": ({"time": 10, "learning_rate": math.inf}, NonFiniteNumber),
    "negative decay": ({"decay": -1e-9}, NotPositive),
    "decay that is not a number": ({"decay": math.nan}, NonFiniteNumber),
    "time in words": ({"time": "3", "learning_rate": 0.1}, WrongType),
    "rate in words": ({"time": 3, "learning_rate": "fast"}, WrongType),
    "no decay": ({"decay": None}, WrongType),
    "a truth value": ({"time": True, "learning_rate": 0.1}, WrongType),
}


@pytest.mark.parametrize("name", BAD_TRAININGS)
def test_a_bad_training_is_refused_by_its_own_exception(name: str) -> None:
    fields, error = BAD_TRAININGS[name]
    with pytest.raises(error) as caught:
        GradientDescent(**fields)
    assert caught.value.argument in fields or caught.value.argument == "learning_rate"


def bad(kernel=None, residuals=None, descent=None, **call):
    whole = system(6, 2, 10.0)
    kernel = whole[0] if kernel is None else kernel
    residuals = whole[1] if residuals is None else residuals
    return squared_changes(kernel, residuals, descent or GradientDescent(), **call)


positions = st.integers(0, 5)
GOOD = system(6, 2, 10.0)
WRONG = {
    "kernel not square": (
        st.builds(lambda i: {"kernel": GOOD[0][:i]}, st.integers(0, 11)),
        WrongShape,
    ),
    "residuals of other size": (
        st.builds(lambda i, k: {"residuals": normal(i, k)}, st.integers(7, 30), st.integers(1, 9)),
        WrongShape,
    ),
    "no residuals": (
        st.builds(lambda k: {"residuals": normal(0, k), "kernel": normal(0, 0)}, st.integers(1, 9)),
        EmptySelection,
    ),
    "asymmetric": (
        st.builds(
            lambda i, e: {"kernel": GOOD[0] + e * torch.eye(12).roll(1 + i, 0)},
            st.integers(0, 4),
            st.floats(1e-6, 1.0),
        ),
        WrongShape,
    ),
    "not finite": (
        st.builds(
            lambda name, v: {name: torch.full_like(GOOD[name == "residuals"], v)},
            st.sampled_from(["kernel", "residuals"]),
            st.sampled_from([math.nan, math.inf, -math.inf]),
        ),
        NonFiniteNumber,
    ),
    "cross kernel of other width": (
        st.builds(lambda m, w: {"cross": normal(m, w)}, st.integers(1, 5), st.integers(13, 20)),
        WrongShape,
    ),
    "cross kernel not finite": (
        st.builds(lambda m: {"cross": normal(m, 12) / 0}, st.integers(1, 5)),
        NonFiniteNumber,
    ),
    "equal samples, no decay, no end": (
        st.builds(
            lambda d, s: {"kernel": normal(12, d, seed=s) @ normal(12, d, seed=s).T},
            st.integers(1, 11),
            st.integers(0, 99),
        ),
        SingularKernel,
    ),
    "not a Gram matrix": (
        st.builds(
            lambda v, t: {
                "kernel": torch.diag(torch.tensor([-v] + [1.0] * 11)),
                "descent": GradientDescent(t, 0.1) if t else None,
            },
            st.floats(1e-6, 0.9),
            st.sampled_from([None, 3, 300]),
        ),
        SingularKernel,
    ),
    "steps that diverge": (
        st.builds(
            lambda t, e: {"descent": GradientDescent(t, e)}, st.integers(1, 9), st.floats(2.01, 99)
        ),
        TooLarge,
    ),
    "no group": (st.just({"groups": []}), EmptySelection),
    "empty group": (
        st.builds(lambda g: {"groups": [[g], []]}, positions),
        EmptySelection,
    ),
    "sample twice": (st.builds(lambda g: {"groups": [[0], [g, g]]}, positions), DuplicateIds),
    "sample that is not there": (
        st.builds(lambda g: {"groups": [[g]]}, st.one_of(st.integers(6, 99), st.integers(-99, -1))),
        UnknownIds,
    ),
    "more left out than there are": (
        st.builds(lambda g: {"groups": [list(range(g))]}, st.integers(7, 99)),
        TooLarge,
    ),
    "positions that are not whole": (
        st.builds(lambda g: {"groups": [[g]]}, st.floats(0, 5)),
        WrongType,
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_bad_input_is_refused_by_its_own_exception(name: str) -> None:
    strategy, error = WRONG[name]

    @given(strategy)
    @settings(max_examples=20, deadline=None, derandomize=True)
    def refuses(call) -> None:
        with pytest.raises(error) as caught:
            bad(**call)
        assert isinstance(caught.value, InvalidInput)
        assert caught.value.argument in {*call, "kernel", "learning_rate"}

    refuses()
