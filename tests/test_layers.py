"""The first convolution: the results of nn.Conv2d, and a cheaper gradient in the image."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap

from memlib.layers import InputConv2d


def pair(channels, size, padding):
    layer = InputConv2d(channels, 4, size, padding=padding).double()
    plain = nn.Conv2d(channels, 4, size, padding=padding).double()
    plain.load_state_dict(layer.state_dict())
    return layer, plain


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("size", "padding"), [(3, 1), (3, 0), (5, 2), (1, 0)])
def test_value_and_all_gradients_are_those_of_conv2d(channels, size, padding):
    layer, plain = pair(channels, size, padding)
    images = torch.randn(3, channels, 7, 6, dtype=torch.float64)
    results = []
    for network in (layer, plain):
        own = images.clone().requires_grad_()
        value = network(own)
        value.square().sum().backward()
        results.append((value.detach(), own.grad, network.weight.grad, network.bias.grad))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_first_and_second_derivatives_agree_with_finite_differences():
    layer, _ = pair(1, 3, 1)
    images = torch.randn(2, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: layer(x).tanh(), images)
    assert torch.autograd.gradgradcheck(lambda x: layer(x).tanh(), images)


def test_it_works_inside_torch_func():
    layer, plain = pair(1, 3, 1)
    images = torch.randn(5, 1, 6, 6, dtype=torch.float64)

    def gradients(network):
        def loss(image):
            return (
                functional_call(network, dict(network.named_parameters()), image[None]).tanh().sum()
            )

        return vmap(grad(loss))(images)

    torch.testing.assert_close(gradients(layer), gradients(plain), rtol=1e-12, atol=1e-12)


def test_without_a_gradient_in_the_image_it_is_conv2d_itself(monkeypatch):
    layer, plain = pair(1, 3, 1)
    images = torch.randn(2, 1, 5, 5, dtype=torch.float64)
    monkeypatch.setattr("memlib.layers._Convolve.apply", None)  # would fail if it were called
    assert torch.equal(layer(images), plain(images))
