"""Networks as functions of their input: whether they are piecewise linear there, and their head."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from memlib.errors import InvalidInput, NotDifferentiable, WrongShape
from memlib.losses import evaluation
from memlib.runtime import seeded, signs

Forward = Callable[[Tensor], Tensor]

_BENDS, _NORMS = "bends everywhere", "divides by a norm of its input"
_SMOOTH: dict[type[nn.Module], str] = {
    **dict.fromkeys((nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish, nn.GLU, nn.Bilinear), _BENDS),
    **dict.fromkeys((nn.Sigmoid, nn.LogSigmoid, nn.Tanh, nn.Tanhshrink, nn.Softsign), _BENDS),
    **dict.fromkeys((nn.ELU, nn.CELU, nn.SELU, nn.Softplus, nn.Softmax, nn.LogSoftmax), _BENDS),
    **dict.fromkeys((nn.MultiheadAttention, nn.RNNBase, nn.LPPool1d, nn.LPPool2d), _BENDS),
    **dict.fromkeys((nn.LayerNorm, nn.GroupNorm, nn.LocalResponseNorm, nn.RMSNorm), _NORMS),
    **dict.fromkeys((nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d), _NORMS),
}
_BATCH_NORM = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_ELSE = 'Pass estimator="hutchinson", which takes smooth parts.'
#: What to do where PyTorch has no second derivative of a layer.
DIFFERENCES = 'Pass estimator="finite-difference", or replace the layer.'


def refuse_smooth(model: nn.Module, images: Tensor) -> None:
    """Raise unless the logits are piecewise linear in the input, as far as can be seen.

    The layers are known by their type; what a model does besides calling layers is seen in the
    second derivative of its logits, in eval mode, at the images given and at as many with random
    signs added (at blank ones alone, tanh bends as little as a line does). It is zero for a
    piecewise-linear network and nearly never for another.

    Args:
        model: Network from images to logits (b, C).
        images: A few inputs, (b, ...), on the device of the model.

    Raises:
        InvalidInput: A layer, or the logits as a whole, is smooth in the input; says which, why,
            and what to do instead.
        NotDifferentiable: PyTorch has no second derivative of a layer.

    Example:
        >>> import torch
        >>> from memlib.piecewise import refuse_smooth
        >>> refuse_smooth(torch.nn.Sequential(torch.nn.Linear(3, 2)), torch.zeros(1, 3))
    """
    for name, module in model.named_modules():
        reason = next((why for kind, why in _SMOOTH.items() if isinstance(module, kind)), None)
        if reason:
            value = f"layer {name!r} ({type(module).__name__})"
            fix = f"It {reason}, but the exact value is for piecewise-linear networks. {_ELSE}"
            raise InvalidInput("model", value, fix)
    with evaluation(model), torch.enable_grad():
        drawn = signs(0, np.arange(len(images)), images[0].numel(), "piecewise")
        noise = torch.from_numpy(drawn).to(images).view_as(images)
        images = torch.cat([images, images + noise]).detach().requires_grad_()
        logits = detached(model)(images)
        weights = torch.linspace(1, 2, logits.shape[1], dtype=logits.dtype, device=logits.device)
        (slope,) = torch.autograd.grad((logits @ weights).sum(), images, create_graph=True)
        if not slope.requires_grad:
            return
        along = slope.detach()
        with second_derivatives(DIFFERENCES):
            (second,) = torch.autograd.grad(slope, images, along, materialize_grads=True)
    # What remains of zero in batch norm is rounding; smooth parts leave far more.
    if bool(second.norm() * (1 + logits.detach().norm()) > 1e-4 * along.square().sum()):
        fix = f"The exact value is for piecewise-linear networks. {_ELSE}"
        raise InvalidInput("model", "an output with a second derivative in the input", fix)


@contextmanager
def second_derivatives(fix: str = "Replace the layer.") -> Iterator[None]:
    """Name what fails where a gradient is differentiated, as PyTorch cannot for every layer.

    Args:
        fix: What to do instead.

    Raises:
        NotDifferentiable: The block fails; the message ends in PyTorch's own, which names the
            operation.
    """
    try:
        yield
    except torch.cuda.OutOfMemoryError:
        raise
    except RuntimeError as error:
        reason = str(error).splitlines()[0].rstrip(".")
        fix = f"{fix} PyTorch says: {reason}."
        raise NotDifferentiable("model", "the gradient of a layer", fix) from error


def is_piecewise_linear(model: nn.Module, images: Tensor) -> bool:
    """Return whether `refuse_smooth` lets a model pass, as far as can be seen at the images given.

    Args:
        model: As in `refuse_smooth`, as is `images`.
    """
    try:
        refuse_smooth(model, images)
    except InvalidInput:
        return False
    return True


def count_classes(model: nn.Module, images: Tensor) -> int:
    """Return the number of logits, once they are known to be a differentiable function per sample.

    Args:
        model: Network; it is called in eval mode.
        images: A few inputs, (b, ...), on the device of the model.

    Returns:
        The number of classes.

    Raises:
        InvalidInput: A sample's logits depend on the others, as where a batch norm has no running
            statistics; or they have no gradient in the input.
        WrongShape: The output is not (b, C) with C at least 2, or there is none for such images.
    """
    for name, module in model.named_modules():
        if isinstance(module, _BATCH_NORM) and module.running_mean is None:
            value = f"layer {name!r} ({type(module).__name__})"
            fix = "Give it running statistics: without, a loss depends on the other samples."
            raise InvalidInput("model", value, fix)
    with evaluation(model), torch.enable_grad():
        logits = outputs_of(detached(model), images.detach().requires_grad_())
    shape = tuple(getattr(logits, "shape", ()))
    if len(shape) != 2 or shape[0] != len(images) or shape[1] < 2:
        fix = f"Its output must be ({len(images)}, classes), with two classes or more."
        raise WrongShape("model", shape, fix)
    if not logits.requires_grad:
        fix = "Let its logits be a differentiable function of the images."
        raise InvalidInput("model", "an output without a gradient in the input", fix)
    with evaluation(model):
        refuse_mixing(model, images)
    return shape[1]


def check_logits(
    model: nn.Module, images: Tensor, classes: int | None = None, *, slope: bool = False
) -> int:
    """Return the number of logits, once it is known that a model takes such images.

    Args:
        model: Network; it is called in eval mode.
        images: A few inputs, (b, ...), on the device of the model.
        classes: How many logits there must be, if that is known.
        slope: Whether they must have a gradient in the images.

    Raises:
        WrongShape: The model does not take the images, or does not return (b, classes).
        NotDifferentiable: The logits have no gradient in the images.
    """
    with evaluation(model), torch.set_grad_enabled(slope):
        logits = outputs_of(detached(model), images.detach().requires_grad_(slope))
    shape = tuple(getattr(logits, "shape", ()))
    if len(shape) != 2 or shape[0] != len(images) or classes not in (None, shape[1]):
        fix = f"It must return logits of shape ({len(images)}, {classes or 'classes'})."
        raise WrongShape("model", shape, fix)
    if slope and not logits.requires_grad:
        fix = "Let its logits be a differentiable function of the images."
        raise NotDifferentiable("model", type(model).__name__, fix)
    return shape[1]


def outputs_of(function: Forward, images: Tensor) -> Tensor:
    """Return a model's outputs, or say that it cannot take images of this shape and type.

    Args:
        function: The model, called for the first time.
        images: Inputs, (b, ...).

    Raises:
        WrongShape: The call fails; the message ends in PyTorch's own.
    """
    try:
        return function(images)
    except torch.cuda.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, IndexError) as error:
        shown = f"{tuple(images.shape)}, {images.dtype},"
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        raise WrongShape("images", shown, f"The model does not take them: {reason}.") from error


def refuse_mixing(model: nn.Module, images: Tensor) -> None:
    """Raise if a sample's output depends on the other samples of its batch, in the model's mode.

    The first image goes through the model beside two different companions, with the same random
    numbers of PyTorch. That sees what a model does in its own `forward` too, which no list of
    layers can. A model that draws from NumPy's or Python's generator is refused as well: its
    outputs differ from call to call, whatever the companion.

    Args:
        model: Network; its buffers and the global generators are left as they were.
        images: A few inputs, (b, ...), on the device of the model.

    Raises:
        InvalidInput: The two outputs of the image differ.

    Cost: two forward passes of two images.
    """

    def beside(companion: Tensor) -> Tensor:
        own = {name: buffer.clone() for name, buffer in model.named_buffers()}
        with seeded(0, "mixing"), torch.no_grad():
            outputs = called(model, own, torch.stack([images[0], companion]))
        return outputs[0]

    one, other = beside(images[0] + 1), beside(images[0] - 2)
    if not bool(torch.isfinite(one).all()):
        return  # an error of its own, for the caller to name
    if not torch.allclose(one, other, rtol=1e-4, atol=1e-4 * float(one.abs().max())):
        value = f"{type(model).__name__}, whose output for one sample depends on the others,"
        fix = "Let it treat every sample by itself, and draw random numbers by PyTorch alone."
        raise InvalidInput("model", value, fix)


def split(model: nn.Module) -> tuple[nn.Linear | None, nn.Module]:
    """Cut off a fully connected first layer, if it is narrower than the input.

    Args:
        model: Any network.

    Returns:
        The layer that takes the flattened input, and the network after it; or None and the whole
        network.
    """
    if type(model) is not nn.Sequential or len(model) < 2:
        return None, model
    if model._forward_pre_hooks or model._forward_hooks:  # which would not be called
        return None, model
    flat, linear = model[0], model[1]
    hooked = (flat._forward_hooks, flat._forward_pre_hooks, linear._forward_hooks)
    if any(hooked) or linear._forward_pre_hooks:
        return None, model  # what they change is not in the layer's weight
    if type(flat) is not nn.Flatten or (flat.start_dim, flat.end_dim) != (1, -1):
        return None, model
    if type(linear) is not nn.Linear or linear.out_features >= linear.in_features:
        return None, model
    return linear, model[2:]


def detached(module: nn.Module) -> Forward:
    """Return the module as a function of its input alone, without gradients in its weights.

    Args:
        module: Any module of one input.

    Returns:
        The function; the module's own parameters are left as they are.
    """
    named = [*module.named_parameters(), *module.named_buffers()]
    tensors = {name: tensor.detach() for name, tensor in named}
    return lambda images: called(module, tensors, images)


def called(module: nn.Module, tensors: Mapping[str, Tensor], images: Tensor) -> Tensor:
    """Return what a module gives with other tensors in the place of some of its own.

    `torch.func.functional_call` with two cares. A layer that stands at two places of a network has
    its tensors replaced once: PyTorch, which does it twice, puts the replacements back in the end,
    and the network has lost its parameters. And a first layer that changes its input in place gets
    a copy.

    Args:
        module: The module; it is left as it was.
        tensors: Parameters and buffers by name, as `named_parameters` and `named_buffers` name
            them; one that has several names is replaced at all of them.
        images: The input, (b, ...).
    """
    named = chain(module.named_parameters(), module.named_buffers())
    new = {id(old): tensors[name] for name, old in named if name in tensors}
    places = {
        f"{prefix}.{name}" if prefix else name: new[id(old)]
        for prefix, part in module.named_modules()  # each module once
        for name, old in chain(part._parameters.items(), part._buffers.items())
        if id(old) in new
    }
    result: Tensor = functional_call(module, places, (images.clone(),), tie_weights=False)
    return result
