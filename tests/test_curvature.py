"""Input curvature: equal to the Hessian where it is exact, to its means where it is estimated."""

from itertools import product

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from memlib import curvature, models, runtime, training
from memlib.curvature import finite_difference_errors, input_curvature
from memlib.data import Dataset
from memlib.dynamics import DynamicsTracker
from memlib.errors import (
    EmptySelection,
    ForeignResult,
    InvalidInput,
    LabelOutOfRange,
    NonFiniteImages,
    NonFiniteNumber,
    NotDifferentiable,
    NotPositive,
    UnknownName,
    WrongShape,
    WrongType,
)
from memlib.losses import input_gradients
from tests.test_bad_input import check, far, not_finite, not_whole, same, too_small, words

ESTIMATORS = ("exact", "hutchinson", "finite-difference")
every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS)


class Residual(nn.Module):
    """Batch norm, a skip connection, leaky and average-pooled: piecewise linear all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.second, self.last = nn.Conv2d(3, 3, 3, padding=1, bias=False), nn.Linear(12, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        hidden = F.leaky_relu(self.norm(self.first(images)), 0.1)
        hidden = torch.relu(hidden + self.second(hidden))
        return self.last(F.dropout(F.avg_pool2d(hidden, 3), 0.5, self.training).flatten(1))


SHAPES = {"mlp": (1, 5, 5), "deep": (1, 4, 4), "wide": (1, 3, 3), "linear": (1, 5, 5)}
BUILT = {
    "mlp": lambda: models.mlp((1, 5, 5), 4, width=9),
    "deep": lambda: models.mlp((1, 4, 4), 5, width=7, depth=3),
    "wide": lambda: models.mlp((1, 3, 3), 3, width=20),
    "linear": lambda: models.mlp((1, 5, 5), 4, depth=0),
    "two classes": lambda: models.mlp((1, 5, 5), 2, width=9),
    "cnn": lambda: models.small_cnn((1, 6, 6), 4, width=3),
    "residual": Residual,
    "smooth": lambda: nn.Sequential(nn.Flatten(), nn.Linear(9, 6), nn.Tanh(), nn.Linear(6, 3)),
}
SHAPES |= {"two classes": (1, 5, 5), "cnn": (1, 6, 6), "residual": (2, 6, 6), "smooth": (1, 3, 3)}
PIECEWISE = [name for name in BUILT if name != "smooth"]


def case(name: str, n: int = 5, dtype: torch.dtype = torch.float64):
    """A network with lively weights, images and labels."""
    with runtime.seeded(3, name):
        model = BUILT[name]().to(dtype)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(2)
        images = torch.randn(n, *SHAPES[name], dtype=dtype)
    classes = model.eval()(images).shape[1]
    return model, images, torch.arange(n) % classes


def hessians(model, images, labels):
    """The input Hessian of each sample's loss, by torch.func, (n, d, d)."""

    def loss(image, label):
        return F.cross_entropy(model(image[None]), label[None])

    found = [torch.func.hessian(loss)(image, y) for image, y in zip(images, labels, strict=True)]
    return torch.stack(found).reshape(len(images), images[0].numel(), -1).detach()


def mean_squared_gradient(model, images):
    """The mean over labels, drawn from the softmax, of the squared norm of the input gradient."""
    chances = model(images).softmax(1).detach()
    return sum(
        chance
        * input_gradients(model, images, torch.full((len(images),), k)).flatten(1).square().sum(1)
        for k, chance in enumerate(chances.T)
    )


def all_signs(monkeypatch, size):
    """Make the probes run through all sign vectors; return how many there are."""
    table = np.array(list(product((-1, 1), repeat=size)), dtype=np.int8)
    monkeypatch.setattr(
        runtime, "signs", lambda seed, ids, size, *stream: table[[stream[-1]] * len(ids)]
    )
    return len(table)


# Values -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PIECEWISE)
def test_exact_curvature_is_that_of_the_hessian(name):
    model, images, labels = case(name)
    full = hessians(model, images, labels)
    found = input_curvature(model, images, labels)
    trace, square = full.diagonal(dim1=1, dim2=2).sum(1), full.square().sum((1, 2))
    assert trace.min() > 1e-3
    torch.testing.assert_close(found.trace, trace, rtol=1e-8, atol=0)
    torch.testing.assert_close(found.square, square, rtol=1e-8, atol=0)
    torch.testing.assert_close(found.root, square.sqrt(), rtol=1e-8, atol=0)
    assert not found.trace_error.any()
    assert not found.square_error.any()
    assert len(found) == len(images)


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_exact_trace_is_the_mean_squared_gradient_over_drawn_labels_whatever_the_label(name):
    model, images, labels = case(name)
    mean = mean_squared_gradient(model, images)
    found = input_curvature(model, images, labels)
    torch.testing.assert_close(found.trace, mean, rtol=1e-10, atol=0)
    other = input_curvature(model, images, labels.flip(0))
    assert torch.equal(found.trace, other.trace)


@pytest.mark.parametrize("name", ["smooth", "wide"])
def test_hutchinson_over_all_sign_vectors_is_trace_and_squared_norm(name, monkeypatch):
    model, images, labels = case(name)
    full = hessians(model, images, labels)
    found = input_curvature(
        model,
        images,
        labels,
        estimator="hutchinson",
        probes=all_signs(monkeypatch, images[0].numel()),
    )
    trace = full.diagonal(dim1=1, dim2=2).sum(1)
    torch.testing.assert_close(found.trace, trace, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(found.square, full.square().sum((1, 2)), rtol=1e-10, atol=0)
    spread = 2 * (full.square().sum((1, 2)) - full.diagonal(dim1=1, dim2=2).square().sum(1))
    error = (spread / (2 ** images[0].numel() - 1)).sqrt()  # Eq. 13's variance, claim privacy/eq-13
    torch.testing.assert_close(found.trace_error, error, rtol=1e-10, atol=0)
    if name == "smooth":
        assert found.trace.min() < 0 < found.trace.max()  # the trace keeps its sign


@pytest.mark.parametrize("probes", [1, 7])
@pytest.mark.parametrize("name", BUILT)
def test_forward_over_reverse_is_reverse_over_reverse_with_every_probe(name, probes, monkeypatch):
    model, images, labels = case(name)
    options = {"estimator": "hutchinson", "probes": probes}
    found = input_curvature(model, images, labels, **options, mode="forward-over-reverse")
    wanted = input_curvature(model, images, labels, **options, mode="reverse-over-reverse")
    assert wanted.square.min() > 0
    monkeypatch.setattr(curvature, "_TABLE", 3 * curvature._widest(model, images))
    stacked = input_curvature(model, images, labels, **options)  # by default, three at a time
    columns = ["trace", "square", *(["trace_error", "square_error"] if probes > 1 else [])]
    for column, other in product(columns, (found, stacked)):
        ours, theirs = getattr(other, column), getattr(wanted, column)
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10 * float(theirs.abs().max()))


def test_a_part_without_a_derivative_in_forward_mode_is_refused_and_reverse_mode_takes_it():
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, pulled):
            return 3 * ctx.saved_tensors[0] ** 2 * pulled

    model, images, labels = Wrapped(after=Cube.apply), IMAGES[:, :, :3, :3], LABELS % 3
    with pytest.raises(NotDifferentiable, match="reverse-over-reverse"):
        input_curvature(model, images, labels, estimator="hutchinson")
    plain = Wrapped(after=lambda x: x**3)
    plain.load_state_dict(model.state_dict())
    found, wanted = (
        input_curvature(m, images, labels, estimator="hutchinson", mode="reverse-over-reverse")
        for m in (model, plain)
    )
    torch.testing.assert_close(found.square, wanted.square)


def test_curvature_of_a_smooth_network_depends_on_the_label():
    model, images, labels = case("smooth")
    probes = {"estimator": "hutchinson", "probes": 50}
    found = input_curvature(model, images, labels, **probes).trace
    assert not torch.allclose(found, input_curvature(model, images, 2 - labels, **probes).trace)


@pytest.mark.parametrize("name", ["smooth", "mlp"])
def test_finite_differences_approach_hutchinson_and_state_three_normalizations(name):
    model, images, labels = case(name)
    step = 1e-6
    exact = input_curvature(model, images, labels, estimator="hutchinson")
    found = input_curvature(model, images, labels, estimator="finite-difference", step=step)
    for column in ("trace", "square", "trace_error", "square_error"):
        near, value = getattr(found, column), getattr(exact, column)
        torch.testing.assert_close(near, value, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.printed, step**2 * found.square)
    assert (found.published < found.printed.sqrt()).all()
    one = input_curvature(model, images, labels, estimator="finite-difference", step=step, probes=1)
    torch.testing.assert_close(one.published, one.printed.sqrt())
    assert one.trace_error.isnan().all()
    assert exact.printed is exact.published is None


def test_mixtures_of_many_classes_are_unbiased_with_the_error_they_state():
    with runtime.seeded(0, "many"):
        model = models.mlp((1, 4, 4), 60, width=30).double()
        images, labels = torch.randn(200, 1, 4, 4).double(), torch.zeros(200, dtype=torch.int64)
    exact = input_curvature(model, images, labels)
    found = input_curvature(model, images, labels, passes=40)
    for name in ("trace", "square"):
        ratio = getattr(found, name) / getattr(exact, name)
        assert abs(float(ratio.mean()) - 1) < 4 * float(ratio.std()) / 200**0.5
        stated = getattr(found, f"{name}_error") / getattr(exact, name)
        assert 0.8 < float(stated.square().mean().sqrt() / ratio.std()) < 1.25
    assert (found.trace_error <= 2 * (2 / 40) ** 0.5 * exact.trace).all()
    again = input_curvature(model, images, labels, passes=40, seed=1)
    assert not torch.equal(found.trace, again.trace)


@pytest.mark.parametrize("classes", [4, 60])
def test_curvature_of_a_certain_sample_keeps_its_digits(classes):
    with runtime.seeded(1, "certain"):
        model = models.mlp((1, 4, 4), classes, width=30)
        images, labels = torch.randn(60, 1, 4, 4), torch.zeros(60, dtype=torch.int64)
    with torch.no_grad():
        model[-1].weight.mul_(100)
    rough = input_curvature(model, images, labels, passes=10)
    fine = input_curvature(model.double(), images.double(), labels, passes=10)
    certain = 1 - model(images.double()).softmax(1).amax(1) < 1e-5
    assert certain.sum() > 2
    for name in ("trace", "square"):
        torch.testing.assert_close(
            getattr(rough, name).double(), getattr(fine, name), rtol=1e-3, atol=1e-37
        )


def test_the_error_of_a_finite_step_is_smallest_between_rounding_and_kinks():
    model, images, labels = case("cnn", n=40, dtype=torch.float32)
    steps = (1e-7, 1e-3, 1.0)
    errors = finite_difference_errors(model, images, labels, steps)
    small, middle, large = errors.median(1).values.tolist()
    assert middle < 0.01 < 0.1 < min(small, large)


# What the result does not depend on ---------------------------------------------------------------


@pytest.mark.parametrize("passes", [2, 100])
@every_estimator
def test_batch_size_order_and_company_do_not_matter(estimator, passes):
    model, images, labels = case("cnn", n=12)
    ids = torch.arange(40, 52)
    options = {"estimator": estimator, "probes": 3, "passes": passes, "seed": 5}
    found = input_curvature(model, images, labels, ids=ids, **options)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    for rows, size in ((order, 5), (order[:4], 128), (order[:1], 1), (torch.arange(12), 1)):
        again = input_curvature(
            model, images[rows], labels[rows], ids=ids[rows], batch_size=size, **options
        )
        for name in ("trace", "square", "trace_error", "square_error"):
            ours, theirs = getattr(found, name)[rows], getattr(again, name)
            torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-9)
    if estimator != "exact" or passes == 2:
        moved = input_curvature(model, images, labels, ids=ids + 1, **options)
        assert torch.isclose(found.trace, moved.trace, rtol=1e-3).sum() < 3


def test_memory_bounds_the_rows_of_a_pass(monkeypatch):
    model, images, labels = case("cnn", n=6)
    found = input_curvature(model, images, labels)
    monkeypatch.setattr(curvature, "_HELD", 2 * 3 * 36)  # two samples, three classes, 36 pixels
    sizes = []
    model.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    again = input_curvature(model, images, labels)
    torch.testing.assert_close(found.trace, again.trace)
    assert sizes[-3:] == [2, 2, 2]


@every_estimator
def test_the_model_and_the_images_are_left_as_they_were(estimator):
    model, images, labels = case("residual")
    model.train()
    model.norm.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    input_curvature(model, images, labels, estimator=estimator, probes=2)
    assert model.training
    assert not model.norm.training
    assert model.second.training
    assert not images.requires_grad
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@every_estimator
def test_a_layer_at_two_places_keeps_its_parameters(estimator):
    torch.manual_seed(0)
    twice = nn.Linear(6, 6).double()
    model = nn.Sequential(nn.Flatten(), twice, nn.ReLU(), twice, nn.Linear(6, 3).double())
    images, labels = torch.randn(4, 1, 2, 3, dtype=torch.float64), torch.arange(4) % 3
    parameters = list(model.parameters())
    found = input_curvature(model, images, labels, estimator=estimator, probes=2)
    kept = zip(parameters, model.parameters(), strict=True)
    assert all(one is other and one.requires_grad for one, other in kept)
    if estimator == "exact":
        wanted = hessians(model, images, labels).diagonal(dim1=1, dim2=2).sum(1)
        torch.testing.assert_close(found.trace, wanted)


def test_batch_norm_and_dropout_are_taken_in_eval_mode():
    model, images, labels = case("residual")
    found = input_curvature(model, images, labels)
    assert torch.equal(found.trace, input_curvature(model.train(), images, labels).trace)


def test_a_hook_before_the_network_is_part_of_it():
    model, images, labels = case("mlp")
    model.register_forward_pre_hook(lambda module, inputs: (2 * inputs[0],))
    full = hessians(model, images, labels)
    found = input_curvature(model, images, labels).trace
    torch.testing.assert_close(found, full.diagonal(dim1=1, dim2=2).sum(1))


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("layer", [0, 1])
def test_a_hook_on_the_first_layers_is_part_of_it(layer, before):
    model, images, labels = case("mlp")
    if before:
        model[layer].register_forward_pre_hook(lambda module, inputs: (3 * inputs[0],))
    else:
        model[layer].register_forward_hook(lambda module, inputs, output: 3 * output)
    full = hessians(model, images, labels)
    found = input_curvature(model, images, labels).trace
    torch.testing.assert_close(found, full.diagonal(dim1=1, dim2=2).sum(1))


@every_estimator
@pytest.mark.parametrize("start", [0, 1])
def test_a_layer_that_changes_its_input_in_place_makes_no_difference(estimator, start):
    torch.manual_seed(0)
    images, labels = torch.randn(5, 2, 3, 3), torch.arange(5) % 4
    kept, relu = images.clone(), nn.ReLU()
    layers = [relu, nn.Flatten(), nn.Linear(18, 9), relu, nn.Linear(9, 4)]
    model = nn.Sequential(*layers[start:])
    wanted = input_curvature(model, images, labels, estimator=estimator, probes=3)
    relu.inplace = True
    found = input_curvature(model, images, labels, estimator=estimator, probes=3)
    assert torch.equal(found.trace, wanted.trace)
    assert torch.equal(images, kept)


def test_it_works_where_gradients_are_switched_off():
    model, images, labels = case("mlp")
    with torch.no_grad():
        assert input_curvature(model, images, labels).trace.min() > 0


# What is refused ----------------------------------------------------------------------------------


class Wrapped(nn.Module):
    """A network with something done to its logits or its input outside of any layer."""

    def __init__(self, before=None, after=None) -> None:
        super().__init__()
        self.inner, self.before, self.after = models.mlp((1, 3, 3), 3, width=5), before, after

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = self.inner(images if self.before is None else self.before(images))
        return logits if self.after is None else self.after(logits)


LAYERS = [nn.GELU, nn.Tanh, nn.Sigmoid, nn.SiLU, nn.Softplus, nn.ELU, nn.Mish, nn.Hardswish]
LAYERS += [lambda: nn.LayerNorm(5), lambda: nn.GroupNorm(1, 5), lambda: nn.Softmax(1)]
FUNCTIONS = [torch.sin, F.gelu, torch.sigmoid, torch.square, F.silu, lambda x: F.layer_norm(x, [3])]


@pytest.mark.parametrize("layer", LAYERS)
def test_smooth_layers_are_refused_by_name_with_the_reason(layer):
    model = nn.Sequential(nn.Flatten(), nn.Linear(9, 5), layer(), nn.Linear(5, 3))
    with pytest.raises(InvalidInput, match=r"layer '2' \(\w+\).*hutchinson") as caught:
        input_curvature(model, torch.randn(4, 1, 3, 3), torch.zeros(4, dtype=torch.int64))
    assert "bends everywhere" in str(caught.value) or "norm of its input" in str(caught.value)


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_smooth_functions_outside_of_layers_are_refused(function, place):
    torch.manual_seed(0)
    images, labels = torch.randn(4, 1, 3, 3), torch.zeros(4, dtype=torch.int64)
    model = Wrapped(**{place: function})
    with pytest.raises(InvalidInput, match="second derivative"):
        input_curvature(model, images, labels)
    assert input_curvature(model, images, labels, estimator="hutchinson").square.min() > 0


def test_a_smooth_function_is_refused_though_the_first_images_are_blank():
    images, labels = torch.randn(12, 1, 3, 3), torch.zeros(12, dtype=torch.int64)
    images[:8] = 0
    for function in (torch.tanh, torch.square, torch.sin):
        with pytest.raises(InvalidInput, match="second derivative"):
            input_curvature(Wrapped(before=function), images, labels)


def test_a_layer_without_second_derivatives_is_named_and_finite_differences_take_it():
    model = nn.Sequential(nn.Flatten(), nn.Linear(9, 5), nn.Hardsigmoid(), nn.Linear(5, 3))
    images, labels = torch.randn(4, 1, 3, 3), torch.zeros(4, dtype=torch.int64)
    for fix, options in (
        ("finite-difference", {"estimator": "exact"}),
        ("reverse-over-reverse", {"estimator": "hutchinson"}),
        ("finite-difference", {"estimator": "hutchinson", "mode": "reverse-over-reverse"}),
    ):
        with pytest.raises(NotDifferentiable, match=rf"{fix}.* PyTorch says: .*hardsigmoid") as e:
            input_curvature(model, images, labels, **options)
        assert e.value.__cause__
    found = input_curvature(model, images, labels, estimator="finite-difference")
    assert torch.isfinite(found.trace).all()


def test_a_model_that_draws_by_numpy_is_refused_and_told_to_draw_by_pytorch():
    random, images = np.random.default_rng(0), torch.randn(4, 1, 3, 3)
    model = Wrapped(before=lambda x: x + float(random.normal()))
    for estimator in ESTIMATORS:
        with pytest.raises(InvalidInput, match="draw random numbers by PyTorch alone"):
            input_curvature(model, images, torch.zeros(4, dtype=torch.int64), estimator=estimator)


def test_resnet_is_piecewise_linear():
    torch.manual_seed(0)
    model = models.resnet18((3, 8, 8), 2).eval()
    images, labels = torch.randn(1, 3, 8, 8), torch.tensor([1])
    found = input_curvature(model, images, labels).trace
    torch.testing.assert_close(found, mean_squared_gradient(model, images), rtol=1e-4, atol=0)


def test_batch_norm_without_running_statistics_is_refused():
    model = nn.Sequential(nn.BatchNorm2d(1, track_running_stats=False), models.mlp((1, 3, 3), 3))
    images, labels = torch.randn(4, 1, 3, 3), torch.zeros(4, dtype=torch.int64)
    for estimator in ESTIMATORS:
        with pytest.raises(InvalidInput, match=r"layer '0' \(BatchNorm2d\).*running statistics"):
            input_curvature(model, images, labels, estimator=estimator)


def test_images_that_the_model_does_not_take_are_refused():
    model, images, labels = case("mlp")
    for bad in (images[:, :, :4], images.double()):
        with pytest.raises(
            WrongShape, match=r"images: .*The model does not take them: .*mat1"
        ) as e:
            input_curvature(model.float(), bad, labels)
        assert e.value.__cause__


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_samples_that_are_mixed_outside_of_layers_are_refused(estimator):
    model = Wrapped(before=lambda images: images - images.mean(0))
    images, labels = torch.randn(4, 1, 3, 3), torch.zeros(4, dtype=torch.int64)
    for rows in (4, 1):
        with pytest.raises(InvalidInput, match=r"Wrapped.*depends on the others"):
            input_curvature(model, images[:rows], labels[:rows], estimator=estimator)


def test_logits_without_a_gradient_in_the_input_are_refused():
    images, labels = torch.randn(4, 1, 3, 3), torch.zeros(4, dtype=torch.int64)
    for model in (Wrapped(before=torch.Tensor.detach), Wrapped(before=torch.zeros_like)):
        with pytest.raises(InvalidInput, match="without a gradient"):
            input_curvature(model, images, labels)


def test_a_network_with_infinite_weights_names_the_samples():
    model, images, labels = case("mlp")
    with torch.no_grad():
        model[1].weight[0] = torch.inf
    with pytest.raises(NonFiniteNumber, match="samples at"):
        input_curvature(model, images, labels)


MODEL, IMAGES, LABELS = case("mlp", n=12, dtype=torch.float32)
other_shape = st.lists(st.integers(1, 4), max_size=4).map(tuple)
BAD = {
    "unknown estimator": (
        words,
        lambda v: input_curvature(MODEL, IMAGES, LABELS, estimator=v),
        UnknownName,
        "estimator",
        same,
    ),
    "unknown mode": (
        words,
        lambda v: input_curvature(MODEL, IMAGES, LABELS, estimator="hutchinson", mode=v),
        UnknownName,
        "mode",
        same,
    ),
    "unknown device": (
        words,
        lambda v: input_curvature(MODEL, IMAGES, LABELS, device=v),
        UnknownName,
        "device",
        same,
    ),
    "part of a probe": (
        not_whole,
        lambda v: input_curvature(MODEL, IMAGES, LABELS, estimator="hutchinson", probes=v),
        WrongType,
        "probes",
        same,
    ),
    "no probes": (
        too_small,
        lambda v: input_curvature(MODEL, IMAGES, LABELS, estimator="hutchinson", probes=v),
        NotPositive,
        "probes",
        same,
    ),
    "a single pass": (
        st.integers(max_value=1),
        lambda v: input_curvature(MODEL, IMAGES, LABELS, passes=v),
        NotPositive,
        "passes",
        same,
    ),
    "empty batches": (
        too_small,
        lambda v: input_curvature(MODEL, IMAGES, LABELS, batch_size=v),
        NotPositive,
        "batch_size",
        same,
    ),
    "step that is not positive": (
        st.floats(max_value=0) | not_finite,
        lambda v: input_curvature(MODEL, IMAGES, LABELS, estimator="finite-difference", step=v),
        NotPositive,
        "step",
        same,
    ),
    "step that is no number": (
        st.text(max_size=5) | st.none() | st.lists(st.integers()),
        lambda v: input_curvature(MODEL, IMAGES, LABELS, step=v),
        WrongType,
        "step",
        same,
    ),
    "images that are not finite": (
        st.tuples(st.integers(0, 11), st.integers(0, 4), not_finite),
        lambda v: input_curvature(MODEL, spoiled(IMAGES, v), LABELS),
        NonFiniteImages,
        "images",
        lambda v: f"positions [{v[0]}]",
    ),
    "label out of range": (
        st.tuples(st.integers(0, 11), far.filter(lambda label: label != 3)),
        lambda v: input_curvature(MODEL, IMAGES, spoiled(LABELS, v)),
        LabelOutOfRange,
        "labels",
        lambda v: [v[1]],
    ),
    "labels of another length": (
        other_shape.filter(lambda s: s != (12,)),
        lambda v: input_curvature(MODEL, IMAGES, torch.zeros(v, dtype=torch.int64)),
        WrongShape,
        "labels",
        same,
    ),
    "ids of another length": (
        other_shape.filter(lambda s: s != (12,)),
        lambda v: input_curvature(MODEL, IMAGES, LABELS, ids=np.zeros(v, int)),
        WrongShape,
        "ids",
        same,
    ),
    "one axis of images": (
        st.integers(1, 40),
        lambda v: input_curvature(MODEL, torch.zeros(v), torch.zeros(v, dtype=torch.int64)),
        WrongShape,
        "images",
        lambda v: (v,),
    ),
    "no images": (
        st.lists(st.integers(0, 4), min_size=2, max_size=5).map(tuple).filter(lambda s: 0 in s),
        lambda v: input_curvature(MODEL, torch.zeros(v), torch.zeros(v[0], dtype=torch.int64)),
        EmptySelection,
        "images",
        same,
    ),
    "logits of another rank": (
        st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple),
        lambda v: input_curvature(
            Wrapped(after=lambda z: z.sum() + torch.zeros(8, 2, *v)),
            torch.zeros(8, 1, 3, 3),
            torch.zeros(8, dtype=torch.int64),
        ),
        WrongShape,
        "model",
        lambda v: (8, 2, *v),
    ),
}  # fmt: skip


def spoiled(tensor, change):
    *place, value = change
    changed = tensor.clone()
    changed.view(12, -1)[tuple(place) if len(place) > 1 else (place[0], 0)] = value
    return changed


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_refused(kind, tmp_path, monkeypatch):
    assert check(BAD[kind], tmp_path, monkeypatch) >= 10


def test_other_types_are_refused_by_name():
    calls = {
        "images": (IMAGES.tolist(), LABELS),
        "labels": (IMAGES, LABELS.tolist()),
    }
    for name, (images, labels) in calls.items():
        with pytest.raises(WrongType, match=f"^{name}: 'list'"):
            input_curvature(MODEL, images, labels)
    for name, images, labels, ids in (
        ("images", IMAGES.long(), LABELS, None),
        ("labels", IMAGES, LABELS.float(), None),
        ("labels", IMAGES, LABELS > 0, None),
        ("ids", IMAGES, LABELS, np.zeros(12)),
    ):
        with pytest.raises(WrongType, match=f"^{name}: "):
            input_curvature(MODEL, images, labels, ids=ids)
    with pytest.raises(EmptySelection, match="steps"):
        finite_difference_errors(MODEL, IMAGES, LABELS, [])


# Over training ------------------------------------------------------------------------------------

DATA = Dataset(
    images=IMAGES,
    labels=LABELS,
    ids=torch.arange(100, 112),
    class_names=tuple("abcd"),
    name="small",
    mean=(0.0,),
    std=(1.0,),
)


@pytest.mark.parametrize("gradients", [False, True])
def test_training_adds_up_the_curvature_at_the_start_of_every_epoch(gradients):
    def network():
        with runtime.seeded(0, "init"):
            return models.mlp((1, 5, 5), 4, width=9)

    tracker = DynamicsTracker(
        DATA.ids, 4, curvatures=True, input_grads=gradients, trajectories=True
    )
    seen = [input_curvature(network(), DATA.images, DATA.labels).trace]
    model = network()
    training.fit(
        model,
        DATA,
        epochs=3,
        batch_size=5,
        tracker=tracker,
        track="eval",
        progress=False,
        callbacks=[
            lambda *state: seen.append(input_curvature(state[1], DATA.images, DATA.labels).trace)
        ],
    )
    expected = torch.stack(seen[:3])
    scores = tracker.scores()
    assert ("csg" in scores) == gradients
    np.testing.assert_allclose(scores["cumulative_curvature"], expected.sum(0), rtol=1e-5)
    np.testing.assert_allclose(tracker.trajectories()["curvature"], expected, rtol=1e-5)
    assert ("gradient" in tracker.trajectories()) == gradients


def test_a_tracker_with_curvatures_can_be_saved_merged_and_told_from_one_without():
    def filled(ids):
        tracker = DynamicsTracker(ids, 3, curvatures=True)
        for epoch in range(2):
            own = torch.tensor(ids) + float(epoch)
            tracker.update(torch.tensor(ids), torch.eye(3)[:2], torch.tensor([0, 1]), None, own)
            tracker.end_epoch()
        return tracker

    joined = DynamicsTracker.merge([filled([4, 5]), filled([8, 9])])
    assert joined.scores()["cumulative_curvature"].tolist() == [9.0, 11.0, 17.0, 19.0]
    again = DynamicsTracker([4, 5, 8, 9], 3, curvatures=True)
    again.load_state_dict(joined.state_dict())
    assert again.scores().equals(joined.scores())
    without = DynamicsTracker([4, 5, 8, 9], 3)
    with pytest.raises(ForeignResult, match="curvatures"):
        without.load_state_dict(joined.state_dict())
    state = without.state_dict()
    del state["settings"]["curvatures"]  # as files written before there were curvatures
    without.load_state_dict(state)


def test_curvatures_that_do_not_fit_the_tracker_are_refused():
    batch = torch.arange(2), torch.eye(2), torch.arange(2)
    own = torch.ones(2)
    with pytest.raises(InvalidInput, match="curvatures=True"):
        DynamicsTracker(range(2), 2).update(*batch, curvatures=own)
    for tracker, gradients in (
        (DynamicsTracker(range(2), 2, curvatures=True), None),
        (DynamicsTracker(range(2), 2, curvatures=True, input_grads=True), torch.ones(2, 3)),
    ):
        with pytest.raises(InvalidInput, match=r"^curvatures: None"):
            tracker.update(*batch, gradients)
        for wrong in (torch.ones(3), torch.ones(2, 1), [1.0, 1.0]):
            with pytest.raises(WrongShape, match=r"^curvatures"):
                tracker.update(*batch, gradients, wrong)
        tracker.update(*batch, gradients, torch.tensor([1.0, torch.nan]))
        with pytest.raises(NonFiniteNumber, match=r"\[1\]"):
            tracker.end_epoch()
    tracker = DynamicsTracker(DATA.ids, 4, curvatures=True)
    with pytest.raises(InvalidInput, match='track="eval"'):
        training.fit(MODEL, DATA, epochs=1, tracker=tracker, progress=False)


# Random signs -------------------------------------------------------------------------------------


def test_signs_are_balanced_and_uncorrelated_across_samples_and_streams():
    n, size = 300, 500
    draws = [
        runtime.signs(seed, np.arange(start, start + n), size, "test", probe).astype(float)
        for seed, start, probe in ((0, 0, 0), (0, 0, 1), (1, 0, 0), (0, 10**12, 0), (0, -n, 0))
    ]
    for i, first in enumerate(draws):
        assert set(np.unique(first)) == {-1.0, 1.0}
        assert abs(first.mean()) < 4 / (n * size) ** 0.5
        gram = first @ first.T / size - np.eye(n)
        assert abs(gram).max() < 6 / size**0.5
        columns = first.T @ first / n - np.eye(size)
        assert abs(columns).max() < 6 / n**0.5
        for second in draws[:i]:
            assert abs((first * second).mean()) < 4 / (n * size) ** 0.5


def test_signs_are_the_same_everywhere():
    drawn = runtime.signs(0, np.array([3, 7]), 9, "test")
    assert drawn.dtype == np.int8
    assert drawn.tolist() == [[-1, -1, -1, 1, 1, 1, -1, -1, 1], [-1, 1, 1, -1, 1, -1, 1, 1, -1]]
    with pytest.raises(NotPositive):
        runtime.signs(0, np.array([3]), 0)


@every_estimator
@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_nothing_is_made_on_another_device_than_the_images_are_on(name, estimator):
    # whatever names no device lands on "meta" here, where it has no values and cannot be mixed
    network = BUILT[name]()
    images, labels = torch.randn(7, *SHAPES[name]), torch.arange(7) % 4

    def curve(**rest):
        return input_curvature(network, images, labels, estimator=estimator, batch_size=3, **rest)

    for rest in ({}, {"passes": 2, "probes": 1, "ids": np.arange(7)}):
        wanted = curve(**rest)
        with torch.device("meta"):
            found = curve(**rest)
        assert torch.equal(found.trace, wanted.trace)
        assert torch.equal(found.square, wanted.square)
