"""Gradients at the first layer, against autograd sample by sample and matrices written out."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from memlib import data, first_layer, models, runtime
from memlib.errors import InvalidInput, WrongShape

DIGITS = data.load("digits").select(range(6))
SHAPE = DIGITS.images.shape[1:]


def network(kind: str) -> nn.Sequential:
    with runtime.seeded(0, "init"):
        built = models.mlp(SHAPE, width=12) if kind == "mlp" else models.small_cnn(SHAPE, width=3)
    return built.double()


def matrix(layer: nn.Linear | nn.Conv2d) -> torch.Tensor:
    """The layer's matrix A, one column per pixel."""
    pixels = torch.eye(DIGITS.images[0].numel(), dtype=torch.float64)
    if isinstance(layer, nn.Linear):
        return layer.weight.detach()
    images = F.conv2d(pixels.view(-1, *SHAPE), layer.weight, None, layer.stride, layer.padding)
    return images.detach().flatten(1).T


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_norms_are_those_of_each_samples_own_gradient(kind: str) -> None:
    model = network(kind)
    found = first_layer.sample_gradients(model, DIGITS.images.double(), DIGITS.labels)
    layer = first_layer.first_layer(model)
    a = matrix(layer)
    for k, (image, label) in enumerate(zip(DIGITS.images.double(), DIGITS.labels, strict=True)):
        x = image[None].requires_grad_()
        loss = F.cross_entropy(model(x), label[None])
        in_x, in_w = torch.autograd.grad(loss, [x, layer.weight])
        assert float(found.inputs[k]) == pytest.approx(float(in_x.norm()))
        assert float(found.weights[k]) == pytest.approx(float(in_w.norm()))
        # with G the gradient in the output, A^T G is the input's gradient
        assert found.unshared[k] == pytest.approx(float(image.norm() * found.outputs[k]))
        assert found.inputs[k] <= torch.linalg.matrix_norm(a, 2) * found.outputs[k] * (1 + 1e-9)


def test_without_sharing_the_weights_gradient_is_the_unshared_one() -> None:
    found = first_layer.sample_gradients(network("mlp"), DIGITS.images.double(), DIGITS.labels)
    torch.testing.assert_close(found.weights, found.unshared)


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_the_spectral_norm_is_that_of_the_matrix_written_out(kind: str) -> None:
    layer = first_layer.first_layer(network(kind))
    wanted = float(torch.linalg.matrix_norm(matrix(layer), 2))
    assert first_layer.spectral_norm(layer, tuple(SHAPE)) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_the_batch_gradients_are_those_of_the_mean_loss(kind: str) -> None:
    model, x = network(kind), DIGITS.images.double().requires_grad_()
    loss = F.cross_entropy(model(x), DIGITS.labels)
    in_x, in_w = torch.autograd.grad(loss, [x, first_layer.first_layer(model).weight])
    found = first_layer.amplification(model, DIGITS.images.double(), DIGITS.labels)
    assert found.inputs == pytest.approx(float(in_x.norm()))
    assert found.weights == pytest.approx(float(in_w.norm()))
    assert found.measured == pytest.approx(found.inputs / found.weights)


def test_the_bounds_are_ordered_where_the_layer_is_fully_connected() -> None:
    model = network("mlp")
    found = first_layer.amplification(model, DIGITS.images.double(), DIGITS.labels)
    x, w = DIGITS.images.flatten(1).double(), first_layer.first_layer(model).weight.detach()
    assert 0 < found.measured <= found.sharp <= found.printed
    least = torch.linalg.svdvals(x)[-1]
    assert found.sharp == pytest.approx(float(torch.linalg.matrix_norm(w, 2) / least))
    printed = float(w.norm() * torch.linalg.pinv(x).norm())
    assert found.printed == pytest.approx(printed)


def test_two_copies_of_an_image_have_no_constant() -> None:
    images = DIGITS.images.double()
    images[1] = images[0]
    found = first_layer.amplification(network("mlp"), images, DIGITS.labels)
    assert found.sharp == found.printed == float("inf")


def test_more_samples_than_pixels_have_a_singular_value_of_zero() -> None:
    values = first_layer.singular_values(torch.randn(70, 1, 8, 8))
    assert len(values) == 70
    assert values[63] > 0 == values[64:].max()


def test_the_model_is_left_as_it_was() -> None:
    model = network("cnn").train()
    first_layer.sample_gradients(model, DIGITS.images.double(), DIGITS.labels)
    assert model.training
    assert all(p.grad is None for p in model.parameters())
    assert not first_layer.first_layer(model)._forward_hooks


def test_a_first_layer_of_another_kind_is_refused() -> None:
    with pytest.raises(InvalidInput, match="layer of weights"):
        first_layer.first_layer(nn.Sequential(nn.Flatten()))
    for layer in (nn.Conv2d(2, 2, 3, groups=2), nn.Conv2d(2, 2, 3, padding="same")):
        with pytest.raises(InvalidInput, match="groups=1"):
            first_layer.first_layer(layer)


def test_an_input_that_does_not_fit_the_convolution_is_refused() -> None:
    with pytest.raises(WrongShape, match="shape"):
        first_layer.spectral_norm(nn.Conv2d(1, 2, 3), (3, 8, 8))
