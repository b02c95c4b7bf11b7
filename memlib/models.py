"""The networks used throughout, at the input sizes used: MLP, small CNN, ResNet-18."""

import copy
from collections.abc import Sequence
from itertools import pairwise
from math import gcd, prod

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from memlib.errors import WrongShape
from memlib.layers import InputConv2d
from memlib.runtime import whole_number


def _checked(shape: Sequence[int], least: int = 1) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise WrongShape("shape", shape, "Pass (channels, height, width), as (1, 28, 28).")
    channels, height, width = (whole_number("shape", size) for size in shape)
    if min(height, width) < least:
        raise WrongShape("shape", shape, f"Pass images of at least {least} x {least} pixels.")
    return channels, height, width


def mlp(
    shape: Sequence[int] = (1, 28, 28), classes: int = 10, width: int = 128, depth: int = 1
) -> nn.Sequential:
    """Return a fully connected ReLU network: Flatten, (Linear, ReLU) x depth, Linear.

    Args:
        shape: Shape of one image, (c, h, w).
        classes: Number of logits k.
        width: Units in each hidden layer.
        depth: Number of hidden layers; 0 gives a linear classifier.

    Returns:
        A network from (b, c, h, w) to logits (b, k), initialized from PyTorch's global generator
        (wrap the call in `memlib.runtime.seeded`).

    Raises:
        WrongShape: The shape is not (c, h, w).
        NotPositive: A size is below 1, or the depth below 0.
        WrongType: A size is not whole.
    """
    sizes = [
        prod(_checked(shape)),
        *[whole_number("width", width)] * whole_number("depth", depth, least=0),
        whole_number("classes", classes),
    ]
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def small_cnn(
    shape: Sequence[int] = (1, 28, 28), classes: int = 10, width: int = 16
) -> nn.Sequential:
    """Return two 3x3 convolutions with ReLU and 2x2 max pooling, then one linear layer.

    It has no batch norm, so that a sample's logits and gradients do not depend on the others.

    Args:
        shape: Shape of one image, (c, h, w), at least 4 x 4 pixels.
        classes: Number of logits k.
        width: Channels of the first convolution; the second has twice as many.

    Returns:
        A network from (b, c, h, w) to logits (b, k), initialized from PyTorch's global generator.

    Raises:
        WrongShape: The shape is not (c, h, w) or the image is too small to pool twice.
        NotPositive: A size is below 1.
        WrongType: A size is not whole.
    """
    channels, rows, columns = _checked(shape, least=4)
    width = whole_number("width", width)
    return nn.Sequential(
        InputConv2d(channels, width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(2 * width * (rows // 4) * (columns // 4), whole_number("classes", classes)),
    )


def resnet18(shape: Sequence[int] = (3, 32, 32), classes: int = 10) -> nn.Module:
    """Return a ResNet-18; for images up to 64 pixels, the variant usual on CIFAR.

    That variant has a 3x3 first convolution of stride 1 and no first pooling. It has batch norm:
    in train mode a sample's logits and gradients depend on its batch.

    Args:
        shape: Shape of one image, (c, h, w).
        classes: Number of logits k.

    Returns:
        A network from (b, c, h, w) to logits (b, k), initialized from PyTorch's global generator.

    Raises:
        WrongShape: The shape is not (c, h, w).
        NotPositive: A size is below 1.
        WrongType: A size is not whole.
    """
    from torchvision.models import resnet18 as build  # takes seconds to import

    channels, rows, columns = _checked(shape)
    network: nn.Module = build(weights=None, num_classes=whole_number("classes", classes))
    if max(rows, columns) <= 64:
        network.conv1 = nn.Conv2d(channels, 64, 3, stride=1, padding=1, bias=False)
        network.maxpool = nn.Identity()
    elif channels != 3:
        network.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
    return network


class _OwnGroupNorm(nn.Module):
    """Group norm whose result may be overwritten, as the blocks of torchvision's networks do.

    What a layer with a backward hook returns may not be.
    """

    def __init__(self, groups: int, channels: int, *, affine: bool) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.norm(x)
        return result.clone()


def with_group_norm(model: nn.Module, groups: int = 32) -> nn.Module:
    """Return a copy of a network with group norm in place of each batch norm.

    Group norm looks at one sample only, so that each gradient is one sample's own, which private
    training needs. Activations that overwrite their input are replaced by ones that do not: the
    gradients of single samples are read there.

    Args:
        model: Any network, such as `resnet18()`; it is left as it is.
        groups: Groups of channels; where they do not divide the channels, their greatest common
            divisor is taken.

    Returns:
        A copy whose norms start as the identity (scale 1, shift 0); other weights are the same.

    Raises:
        NotPositive: groups is below 1.
        WrongType: groups is not whole.
    """
    most = whole_number("groups", groups)
    network = copy.deepcopy(model)
    for name, module in list(network.named_modules()):
        if isinstance(module, _BatchNorm):
            channels = module.num_features
            fresh = _OwnGroupNorm(gcd(most, channels), channels, affine=module.affine)
            if not name:
                return fresh
            parent, _, last = name.rpartition(".")
            setattr(network.get_submodule(parent), last, fresh)
        elif getattr(module, "inplace", False):
            module.inplace = False
    return network
