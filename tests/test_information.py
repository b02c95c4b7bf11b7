"""Sample information is what training twice and the closed forms in rational numbers give."""

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from torch.func import jacrev

from memlib import models
from memlib.errors import (
    InvalidInput,
    NonFiniteImages,
    NonFiniteNumber,
    NotPositive,
    SingularKernel,
    TooLarge,
    UnknownName,
    WrongShape,
    WrongType,
)
from memlib.information import (
    GradientDescent,
    functional_sample_information,
    langevin_sample_information,
    linearize,
    sample_information,
    sgd_sample_information,
    steady_state,
)
from memlib.runtime import seeded
from memlib.summarize import summarize
from memlib.theory.book.langevin_si import NETWORKS, by_leverage, by_reverse
from memlib.theory.linearized import (
    Network,
    hessian,
    in_floats,
    lyapunov,
    minimum,
    noise,
    without,
)

SETTING = {"learning_rate": 0.1, "batch_size": 5}


def shifts(network: Network) -> np.ndarray:
    """w - w_{-i}, (n, d), by training twice in rational numbers."""
    whole = minimum(network)
    parts = [whole - minimum(without(network, i)) for i in range(network.samples)]
    return np.array([[float(x) for x in part] for part in parts])


@pytest.mark.parametrize("network", NETWORKS, ids=range(len(NETWORKS)))
def test_information_at_the_minimum_is_that_of_the_exact_world(network: Network) -> None:
    found, moved = in_floats(network), shifts(network)
    descent = GradientDescent(decay=float(network.decay))
    wanted = (moved**2).sum(1) / 2 / 0.5**2
    np.testing.assert_allclose(sample_information(found, descent, sigma=0.5), wanted, rtol=1e-10)
    jacobian = np.array(network.jacobian, dtype=float)
    others = torch.tensor([[[1.0, -2.0, 3.0][: jacobian.shape[1]]] * network.outputs] * 4)
    for inputs in (None, others):
        rows = jacobian if inputs is None else inputs.flatten(0, 1).numpy()
        count = network.samples if inputs is None else len(inputs)
        wanted = ((moved @ rows.T) ** 2).sum(1) / (2 * 3.0**2 * count)
        made = functional_sample_information(found, descent, evaluation=inputs, sigma=3.0)
        np.testing.assert_allclose(made, wanted, rtol=1e-10)


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("time", [torch.inf, 10**7])
def test_information_of_equal_samples_keeps_its_digits_where_decay_is_small(same, time) -> None:
    """Two equal samples with targets y and z, and one orthogonal to them: (2 + decay) w = y + z."""
    rows = torch.tensor([[0.6, 0.8], [0.6, 0.8], [-0.8, 0.6]], dtype=torch.float64)
    linear, decay = torch.nn.Linear(2, 1, bias=False), 1e-6
    torch.nn.init.zeros_(linear.weight)
    targets = torch.tensor([1.0, 1.0 if same else -2.0, 3.0], dtype=torch.float64)
    found = sample_information(
        linearize(linear, rows, targets), GradientDescent(time, 0.25, decay), sigma=1.0
    )

    def trained(total, count):
        kept = 0 if time == torch.inf else np.exp(time * np.log1p(-0.25 * (count + decay)))
        return total / (count + decay) * (1 - kept)

    y, z, other = targets.tolist()
    one = trained(y, 1) if not same else None
    # y/(1 + decay) - 2 y/(2 + decay), without its cancellation
    gap = -y * decay / ((1 + decay) * (2 + decay)) if same else one - trained(y + z, 2)
    back = gap if same else trained(z, 1) - trained(y + z, 2)
    wanted = np.array([back, gap, trained(other, 1)]) ** 2 / 2
    np.testing.assert_allclose(found, wanted, rtol=1e-8)


def test_langevin_information_of_little_leverage_is_not_negative() -> None:
    with seeded(0):
        network, images = models.mlp((1, 2, 2), 3, width=4).double(), torch.randn(6, 1, 2, 2)
    linear = linearize(network, images, network(images.double()).detach())
    found = langevin_sample_information(linear, **SETTING, decay=1e10)
    own = [linear.kernel[3 * i : 3 * i + 3, 3 * i : 3 * i + 3] for i in range(6)]
    # h is the block over the decay, up to 1e-9 of itself; -(tr h + log det(I - h))/2 = tr(h^2)/4
    wanted = [float(block.square().sum()) / 1e20 / 4 for block in own]
    np.testing.assert_allclose(found, wanted, rtol=1e-3)


@pytest.mark.parametrize("network", NETWORKS, ids=range(len(NETWORKS)))
def test_langevin_information_is_exact_and_as_printed(network: Network) -> None:
    found, call = in_floats(network), {**SETTING, "decay": float(network.decay), "sigma": 0.7}
    c = 5 / (0.1 * 0.7**2)
    parts = [[float(x) for x in by_leverage(network, i)] for i in range(network.samples)]
    wanted = [
        c * square + (trace - np.log(determinant)) / 2 for square, trace, determinant in parts
    ]
    np.testing.assert_allclose(langevin_sample_information(found, **call), wanted, rtol=1e-10)
    printed = [c * float(by_reverse(network, i)) for i in range(network.samples)]
    made = langevin_sample_information(found, **call, form="printed")
    np.testing.assert_allclose(made, printed, rtol=1e-10)


#: Samples with gradients in independent directions and others in one weight.
STEADY = (
    Network(((2, 0, 0, 1), (0, 1, 0, 2), (1, 0, 1, 0)), (1, 2, -1), NETWORKS[1].decay),
    Network(((1,), (1,), (1,)), (-2, 2, 3), 4 * NETWORKS[1].decay),
    NETWORKS[0],
)


@pytest.mark.parametrize("network", STEADY, ids=range(len(STEADY)))
@pytest.mark.parametrize("isotropic", [0.0, 0.3])
def test_the_steady_state_solves_its_lyapunov_equation(network, isotropic) -> None:
    found, call = in_floats(network), {**SETTING, "decay": float(network.decay)}
    h, spread = (np.array(m.tolist(), dtype=float) for m in (hessian(network), noise_of(network)))
    jacobian = np.array(network.jacobian, dtype=float)
    directions = np.linalg.svd(jacobian, full_matrices=False)[2][: np.linalg.matrix_rank(jacobian)]
    spread += isotropic * directions.T @ directions
    wanted = scipy.linalg.solve_continuous_lyapunov(h, 0.1 / 5 * spread)
    values, vectors = (part.numpy() for part in found.eigen)
    kept = values > 1e-12
    axes = (vectors[:, kept] / np.sqrt(values[kept])).T @ jacobian  # (p, d), orthonormal
    made = steady_state(found, **call, isotropic=isotropic).numpy()
    np.testing.assert_allclose(axes.T @ made @ axes, wanted, atol=1e-12)
    information = sgd_sample_information(found, **call, isotropic=isotropic)
    moved = shifts(network)
    inverse = np.linalg.pinv(wanted, rcond=1e-9)
    wanted = [shift @ inverse @ shift / 2 for shift in moved]
    np.testing.assert_allclose(information, wanted, rtol=1e-6)


def noise_of(network: Network):
    return noise(network, minimum(network))


def test_the_steady_state_is_also_that_of_rational_numbers() -> None:
    network = STEADY[1]
    exact = lyapunov(hessian(network), noise_of(network))[0]
    made = steady_state(in_floats(network), learning_rate=1.0, batch_size=1, decay=4.0)
    assert float(made) == pytest.approx(float(exact), rel=1e-12)


def test_with_isotropic_noise_alone_the_smoothing_is_langevins_as_printed() -> None:
    found = in_floats(NETWORKS[1])
    found_sgd = sgd_sample_information(found, **SETTING, decay=1.0, isotropic=1e12)
    printed = langevin_sample_information(found, **SETTING, decay=1.0, sigma=1e6, form="printed")
    np.testing.assert_allclose(found_sgd, printed, rtol=1e-6)


with seeded(0, "information"):
    SHAPE, IMAGES, VALIDATION = (1, 4, 4), torch.randn(12, 1, 4, 4), torch.randn(7, 1, 4, 4)
    MLP = models.mlp(SHAPE, classes=3, width=20)
FOUND = linearize(MLP, IMAGES, torch.arange(12) % 3, device="cpu")


@pytest.mark.parametrize(
    "descent", [GradientDescent(decay=0.1), GradientDescent(200, 1e-3)], ids=str
)
def test_information_is_that_of_the_network_linearized_without_the_sample(descent) -> None:
    whole = FOUND.predictions(descent, VALIDATION), FOUND.weights(descent)
    found = (
        functional_sample_information(FOUND, descent, evaluation=VALIDATION, sigma=2.0),
        sample_information(FOUND, descent, sigma=2.0),
    )
    for group in (None, [[3, 5], [4, 0, 11]]):
        made = (
            found[0]
            if group is None
            else functional_sample_information(
                FOUND, descent, evaluation=VALIDATION, sigma=2.0, groups=group
            )
        )
        for place, members in enumerate(group or [[i] for i in range(12)]):
            kept = [j for j in range(12) if j not in members]
            rest = linearize(MLP, IMAGES[kept], (torch.arange(12) % 3)[kept], device="cpu")
            moved = whole[0] - rest.predictions(descent, VALIDATION)
            assert made[place] == pytest.approx(float(moved.square().sum()) / (2 * 4 * 7), rel=1e-8)
            if group is None:
                end = rest.weights(descent)
                square = sum(float((whole[1][key] - end[key]).square().sum()) for key in end)
                assert found[1][place] == pytest.approx(square / (2 * 4), rel=1e-8)


def test_functional_information_is_weight_information_under_the_fisher_information() -> None:
    descent = GradientDescent(200, 1e-3)
    network = FOUND.network
    weights = {name: w.detach() for name, w in network.named_parameters()}
    call = torch.func.functional_call
    parts = jacrev(lambda w: call(network, w, (VALIDATION.double(),)))(weights)
    jacobian = torch.cat([part.flatten(2).flatten(0, 1) for part in parts.values()], 1)
    fisher = jacobian.T @ jacobian / len(VALIDATION)
    whole = FOUND.weights(descent)
    rest = linearize(MLP, IMAGES[1:], (torch.arange(12) % 3)[1:], device="cpu").weights(descent)
    shift = torch.cat([(whole[key] - rest[key]).flatten() for key in whole])
    made = functional_sample_information(FOUND, descent, evaluation=VALIDATION)
    assert made[0] == pytest.approx(float(shift @ fisher @ shift) / 2, rel=1e-8)


positive = st.floats(1e-3, 1e3)
bad_numbers = st.one_of(st.floats(max_value=0), st.sampled_from([float("nan"), float("inf")]))
MEASURES = {
    "f-si": lambda **call: functional_sample_information(FOUND, **call),
    "si": lambda **call: sample_information(FOUND, **call),
    "sgd": lambda **call: sgd_sample_information(FOUND, **({**SETTING, "decay": 1.0} | call)),
    "langevin": lambda **call: langevin_sample_information(
        FOUND, **({**SETTING, "decay": 1.0} | call)
    ),
}
FAULTS = {
    "sigma": (["f-si", "si", "langevin"], bad_numbers, (NotPositive, NonFiniteNumber)),
    "learning_rate": (["sgd", "langevin"], bad_numbers, (NotPositive, NonFiniteNumber)),
    "decay": (["sgd", "langevin"], bad_numbers, (NotPositive, NonFiniteNumber)),
    "batch_size": (
        ["sgd", "langevin"],
        st.one_of(st.integers(max_value=0), st.floats(), st.text(max_size=3)),
        (NotPositive, WrongType),
    ),
    "isotropic": (
        ["sgd"],
        st.one_of(st.floats(max_value=0, exclude_max=True), st.just(float("nan"))),
        NotPositive,
    ),
    "form": (["langevin"], st.text(max_size=9), UnknownName),
    "evaluation": (
        ["f-si"],
        st.builds(lambda n, side: torch.zeros(n, 1, side, side), st.integers(1, 4), st.just(5)),
        WrongShape,
    ),
    "groups": (
        ["f-si", "si"],
        st.builds(lambda n: [list(range(n))], st.integers(13, 40)),
        TooLarge,
    ),
}


@pytest.mark.parametrize("argument", FAULTS)
def test_bad_input_is_refused_by_its_own_exception(argument: str) -> None:
    names, strategy, errors = FAULTS[argument]

    @given(st.sampled_from(names), strategy)
    @settings(max_examples=20, deadline=None, derandomize=True)
    def refuses(name, value) -> None:
        with pytest.raises(errors) as caught:
            MEASURES[name](**{argument: value})
        assert isinstance(caught.value, InvalidInput)
        assert caught.value.argument == {"evaluation": "images"}.get(argument, argument)

    refuses()


def test_what_has_no_inverse_is_refused_with_a_way_out() -> None:
    doubled = linearize(
        MLP, torch.cat([IMAGES, IMAGES[:1]]), torch.zeros(13, dtype=torch.int64), device="cpu"
    )
    with pytest.raises(SingularKernel, match="positive decay or a finite time"):
        functional_sample_information(doubled)
    assert functional_sample_information(doubled, GradientDescent(decay=1e-3)).min() > 0
    fitted = linearize(MLP, IMAGES, FOUND.outputs, device="cpu")  # no noise at the minimum
    with pytest.raises(SingularKernel, match="isotropic"):
        sgd_sample_information(fitted, **SETTING, decay=1.0)
    assert sgd_sample_information(FOUND, **SETTING, decay=1.0, isotropic=0.1).min() > 0
    with pytest.raises(NonFiniteImages):
        functional_sample_information(FOUND, evaluation=VALIDATION / 0)


def test_nothing_is_made_on_another_device_than_the_data_is_on() -> None:
    # whatever names no device lands on "meta" here, where it has no values and cannot be mixed
    descents = [GradientDescent(decay=0.1), GradientDescent(9, 1e-3), GradientDescent(90, 1e-3)]
    for descent in descents:
        calls = [
            lambda d=descent: functional_sample_information(FOUND, d, evaluation=VALIDATION),
            lambda d=descent: sample_information(FOUND, d, groups=[[0], [1, 2]]),
            lambda d=descent: summarize(FOUND, d, keep=6, per_round=2)["score"],
        ]
        for call in [*calls, lambda: MEASURES["langevin"](), lambda: MEASURES["sgd"]()]:
            wanted = call()
            with torch.device("meta"):
                np.testing.assert_array_equal(call(), wanted)
    with torch.device("meta"):
        again = linearize(MLP, IMAGES, torch.arange(12, device="cpu") % 3, device="cpu")
    torch.testing.assert_close(again.kernel, FOUND.kernel, rtol=0, atol=0)
