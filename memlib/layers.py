"""A first layer whose gradient in the image costs little, for training that tracks it."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class InputConv2d(nn.Conv2d):
    """A convolution of stride 1 that stands first in a network and is `nn.Conv2d` in all results.

    With one or three channels of input, the CPU's own kernel for the gradient in the input runs
    far below the speed of a matrix product. On the CPU, and if the input asks for a gradient, this
    layer takes one product per image and adds up the `k * k` shifted parts: about a fifth of the
    time. Everywhere else it is `nn.Conv2d` itself.

    Args:
        inputs: Channels of the image.
        outputs: Channels of the result.
        size: Side k of the square kernel.
        padding: Zero pixels added on each side.
    """

    def __init__(self, inputs: int, outputs: int, size: int, *, padding: int = 0) -> None:
        super().__init__(inputs, outputs, size, padding=padding)

    def forward(self, images: Tensor) -> Tensor:
        """Return the convolved images, (b, outputs, h', w')."""
        if images.requires_grad and images.device.type == "cpu":
            result: Tensor = _Convolve.apply(images, self.weight, self.bias, self.padding[0])
            return result
        return super().forward(images)


class _Convolve(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(images: Tensor, weight: Tensor, bias: Tensor, padding: int) -> Tensor:
        return F.conv2d(images, weight, bias, padding=padding)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        images, weight, _, ctx.padding = inputs
        ctx.save_for_backward(images, weight)
        ctx.save_for_forward(images, weight)

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor:
        images, weight = ctx.saved_tensors
        along_images, along_weight, along_bias, _ = tangents
        result = images.new_zeros(())
        if along_images is not None:
            result = result + F.conv2d(along_images, weight, padding=ctx.padding)
        if along_weight is not None:
            result = result + F.conv2d(images, along_weight, padding=ctx.padding)
        return result if along_bias is None else result + along_bias[:, None, None]

    @staticmethod
    def backward(ctx: Any, *errors: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None, None]:
        (error,) = errors
        images, weight = ctx.saved_tensors
        pad, ones = [ctx.padding] * 2, [1, 1]
        of_weight = of_bias = None
        wanted = [False, *ctx.needs_input_grad[1:3]]
        if any(wanted):  # not if only the gradient in the image is asked for, as for curvature
            _, of_weight, of_bias = torch.ops.aten.convolution_backward(
                error, images, weight, [len(weight)], ones, pad, ones, False, [0, 0], 1, wanted
            )
        of_images = _gradient_in_images(error, weight, images.shape, ctx.padding)
        return of_images, of_weight, of_bias, None


def _gradient_in_images(error: Tensor, weight: Tensor, shape: torch.Size, padding: int) -> Tensor:
    """Return the gradient (b, c, h, w) in the images, from the one in the result."""
    batch, channels, height, width = shape
    rows, columns = error.shape[2:]
    size = weight.shape[2]
    product = weight.flatten(1).T.expand(batch, -1, -1)
    parts = torch.bmm(product, error.flatten(2))
    parts = parts.view(batch, channels, size, size, rows, columns)
    padded = error.new_zeros(batch, channels, height + 2 * padding, width + 2 * padding)
    for i in range(size):
        for j in range(size):
            padded[:, :, i : i + rows, j : j + columns] += parts[:, :, i, j]
    return padded[:, :, padding : padding + height, padding : padding + width]
