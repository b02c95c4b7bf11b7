"""What a network's first layer does to gradients: from its weights to its input, and back.

The layer is `H = A x` for an image `x`; `A` is the weight matrix of a fully connected layer, and
for a convolution the matrix in which each weight stands many times. With `G` the gradient of the
loss in `H`, the input's gradient is `A^T G`, and that of a fully connected layer's weights `G x^T`.
Everything is measured in eval mode and computed in float64 from the layer on.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from memlib.errors import InvalidInput, WrongShape
from memlib.losses import evaluation

_ROUNDS = 1000  # of the power iteration, at most
_SETTLED = 1e-10  # relative change at which it stops


@dataclass(frozen=True, eq=False)
class FirstLayerGradients:
    """Norms of the gradient of each sample's own loss, at the first layer.

    Attributes:
        inputs: `(b,)`, in the sample's input.
        outputs: `(b,)`, in the layer's output.
        weights: `(b,)`, in the layer's weights, without its bias.
        unshared: `(b,)`, in the matrix `A`, as if each of its entries were a weight of its own:
            `|x_i|` times `outputs`. The same as `weights` if the layer is fully connected.
    """

    inputs: Tensor
    outputs: Tensor
    weights: Tensor
    unshared: Tensor


@dataclass(frozen=True)
class Amplification:
    """The gradient in a batch over that in the first layer's weights, and two bounds of the ratio.

    Attributes:
        inputs: Norm of the mean loss's gradient in the whole batch.
        weights: Norm of its gradient in the layer's weights, without the bias.
        sharp: `sigma_max(A) / sigma_min(X)`, with one column of `X` per sample; infinite if the
            columns are dependent.
        printed: `k_g` of Lemma D.1 of `orders`, `|W_1|_F |X^+|_F`, or infinite likewise.
    """

    inputs: float
    weights: float
    sharp: float
    printed: float

    @property
    def measured(self) -> float:
        """The ratio itself, `inputs / weights`."""
        return self.inputs / self.weights if self.weights else float("inf")


def first_layer(model: nn.Module) -> nn.Linear | nn.Conv2d:
    """Return the first fully connected or convolutional layer, in the order of definition.

    Args:
        model: Network whose input reaches that layer unchanged, or flattened.

    Returns:
        The layer.

    Raises:
        InvalidInput: There is none, or it is a convolution in groups or with another padding than
            a number of zeros.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            if isinstance(module, nn.Conv2d) and (
                module.groups != 1 or module.padding_mode != "zeros" or module.padding == "same"
            ):
                fix = "Its first layer needs groups=1 and padding by a number of zeros."
                raise InvalidInput("model", module, fix)
            return module
    raise InvalidInput("model", type(model).__name__, "Pass a network with a layer of weights.")


def sample_gradients(model: nn.Module, images: Tensor, labels: Tensor) -> FirstLayerGradients:
    """Measure the gradients of each sample's cross-entropy on both sides of the first layer.

    Args:
        model: Network from images `(b, c, h, w)` to logits `(b, k)`; left as it was.
        images: Inputs `(b, c, h, w)`.
        labels: Labels `(b,)`.

    Returns:
        Four norms per sample.

    Raises:
        InvalidInput: See `first_layer`.

    Cost: one forward and one backward pass; memory for the patches of a convolution.
    Source: the identities behind Lemma D.1 of `orders`, Eq. (25) and (26).
    """
    below, error, gradient = _backward(model, images, labels)
    layer = first_layer(model)
    if isinstance(layer, nn.Linear):
        of_weights = below.norm(dim=1) * error.norm(dim=1)
    else:
        patches = _patches(layer, below)
        of_weights = torch.bmm(error.flatten(2), patches.transpose(1, 2)).flatten(1).norm(dim=1)
    outputs, size = error.flatten(1).norm(dim=1), below.flatten(1).norm(dim=1)
    return FirstLayerGradients(gradient.flatten(1).norm(dim=1), outputs, of_weights, size * outputs)


def amplification(model: nn.Module, images: Tensor, labels: Tensor) -> Amplification:
    """Compare the gradient of a batch's mean loss in the batch with that in the first weights.

    For a fully connected layer `measured <= sharp <= printed`. For a convolution neither bound
    need hold, nor would any other that is made of the weights and the inputs.

    Args:
        model: Network from images `(b, c, h, w)` to logits `(b, k)`; left as it was.
        images: Inputs `(b, c, h, w)`, the columns of `X`.
        labels: Labels `(b,)`.

    Returns:
        The two norms and the two bounds of their ratio.

    Raises:
        InvalidInput: See `first_layer`.

    Cost: one backward pass, and the singular values of the `(pixels, b)` matrix `X`.
    Source: Lemma D.1 of `orders`, and its repair in the ledger.
    """
    below, error, gradient = _backward(model, images, labels)
    layer = first_layer(model)
    if isinstance(layer, nn.Linear):
        of_weights = error.T @ below
    else:
        patches = _patches(layer, below)
        of_weights = torch.einsum("bop,bqp->oq", error.flatten(2), patches)
    values = singular_values(images)
    inverse, sharp = float("inf"), float("inf")
    if values[-1] > 0:
        inverse = float((1 / values).norm())
        sharp = spectral_norm(layer, tuple(below.shape[1:])) / float(values[-1])
    batch = len(images)
    return Amplification(
        float(gradient.norm()) / batch,
        float(of_weights.norm()) / batch,
        sharp,
        float(layer.weight.detach().double().norm()) * inverse,
    )


def singular_values(images: Tensor) -> Tensor:
    """Return the `b` singular values of the matrix with one column per image, largest first.

    Args:
        images: Inputs `(b, ...)`.

    Returns:
        `(b,)` in float64; those within rounding of 0 are 0, as are all beyond the pixel count.
    """
    matrix = images.detach().flatten(1).double()
    values = torch.linalg.svdvals(matrix)
    floor = values[0] * max(matrix.shape) * torch.finfo(images.dtype).eps
    values = torch.where(values > floor, values, 0.0)
    return torch.cat([values, values.new_zeros(len(matrix) - len(values))])


def spectral_norm(layer: nn.Linear | nn.Conv2d, shape: tuple[int, ...]) -> float:
    """Return the largest singular value of a layer's matrix `A`, from an input to its output.

    Args:
        layer: The layer; its bias does not matter.
        shape: Shape of one input, `(c, h, w)` for a convolution.

    Returns:
        The value: exact for a fully connected layer, by power iteration for a convolution
        (from below, to about 10 digits).

    Raises:
        WrongShape: The input does not fit a convolution.
    """
    weight = layer.weight.detach().double()
    if isinstance(layer, nn.Linear):
        return float(torch.linalg.matrix_norm(weight, 2))
    if len(shape) != 3 or shape[0] != layer.in_channels:
        raise WrongShape("shape", shape, f"Pass ({layer.in_channels}, height, width).")
    vector = torch.ones(1, *shape, dtype=weight.dtype, device=weight.device).requires_grad_()
    found = 0.0
    for _ in range(_ROUNDS):
        with torch.enable_grad():
            half = F.conv2d(vector, weight, None, layer.stride, layer.padding, layer.dilation)
            (image,) = torch.autograd.grad(half.square().sum() / 2, vector)  # A^T A v
        before, found = found, float(image.norm() / vector.detach().norm()) ** 0.5
        vector = (image / image.norm()).detach().requires_grad_()
        if abs(found - before) <= _SETTLED * found:
            break
    return found


def _backward(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the first layer's input, and the summed loss's gradients in its output and input."""
    layer, seen = first_layer(model), {}

    def keep(_: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        seen["below"], seen["output"] = given[0], output

    handle = layer.register_forward_hook(keep)
    try:
        with evaluation(model), torch.enable_grad():
            images = images.detach().requires_grad_()
            logits = model(images.clone())  # which a first layer may change in place
            total = F.cross_entropy(logits, labels, reduction="sum")
            error, gradient = torch.autograd.grad(total, [seen["output"], images])
    finally:
        handle.remove()
    return seen["below"].detach().double(), error.double(), gradient.double()


def _patches(layer: nn.Conv2d, below: Tensor) -> Tensor:
    """Return what each output position of a convolution sees, `(b, c * k * k, positions)`."""
    padding = 0 if isinstance(layer.padding, str) else layer.padding  # "valid" is none
    size, steps = layer.kernel_size, layer.stride
    return F.unfold(below, size, dilation=layer.dilation, padding=padding, stride=steps)
