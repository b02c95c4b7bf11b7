"""Which networks can be trained privately: what the guarantee and Opacus ask of a network.

The guarantee holds if the data reach the weights through clipped gradients of single samples and
in no other way. A list of layers sees the usual breaches; the network is tried for all others.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from memlib import runtime
from memlib.errors import InvalidInput, NotDifferentiable
from memlib.losses import evaluation

_STATISTICS = "It keeps statistics of the data, which no noise protects; take one without."


def refuse_layers(model: nn.Module) -> None:
    """Raise for a layer whose type breaches the guarantee, and for a model without weights.

    Args:
        model: The network.

    Raises:
        InvalidInput: A layer mixes samples, changes another's output in place, or keeps
            statistics; or nothing is to be trained. Names the layer.
    """
    for name, module in model.named_modules():
        shown = f"{type(module).__name__} at {name or 'the top'!r}"
        if isinstance(module, _BatchNorm):
            fix = (
                "Batch norm mixes samples, so no gradient is one sample's own; take "
                "memlib.models.with_group_norm(model)."
            )
            raise InvalidInput("model", shown, fix)
        if getattr(module, "inplace", False):
            fix = "It changes in place what Opacus has to see; pass inplace=False."
            raise InvalidInput("model", shown, fix)
        own = [*module.parameters(recurse=False)]
        keeps = any(p.requires_grad for p in own) and [*module.buffers(recurse=False)]
        if keeps or getattr(module, "track_running_stats", False):
            raise InvalidInput("model", shown, _STATISTICS)
    if not any(p.requires_grad for p in model.parameters()):
        raise InvalidInput("model", type(model).__name__, "Pass one with weights to train.")


def refuse_dead(model: nn.Module, images: Tensor) -> None:
    """Raise for a weight to be trained that the logits do not depend on.

    Args:
        model: The network; it is called in eval mode.
        images: A few inputs, (b, ...), on its device.

    Raises:
        NotDifferentiable: There is such a weight; names it.
    """
    named = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    with evaluation(model), torch.enable_grad():
        # With the images too, so that there is a graph whatever the weights do.
        images = images.detach().requires_grad_()
        total = model(images.clone()).sum() + 0 * images.sum()
        found = torch.autograd.grad(total, [weight for _, weight in named], allow_unused=True)
    for (name, _), gradient in zip(named, found, strict=True):
        if gradient is None:
            fix = "Its gradient cannot be clipped: use it, or freeze it by requires_grad_(False)."
            raise NotDifferentiable("model", f"weight {name!r}", fix)


def refuse_memory(model: nn.Module, images: Tensor) -> None:
    """Raise if what the model was given stays in it otherwise than through gradients.

    Two copies are given different images and then the same one, with the same random numbers of
    PyTorch. They must agree in their outputs then, and in their buffers. A model that draws from
    NumPy's or Python's generator does not pass: to have its numbers repeat, draw them by PyTorch.

    Args:
        model: The network; it is left as it was.
        images: A few inputs, (b, ...), on its device.

    Raises:
        InvalidInput: The copies differ.
    """
    left = []
    for shift in (1, -2):
        network = copy.deepcopy(model).train()
        with runtime.seeded(0, "memory"), torch.no_grad():
            network(images + shift)
            left.append([part.double() for part in (network(images), *network.buffers())])
    for one, other in zip(*left, strict=True):
        scale = 1e-4 * float(one.abs().max()) if one.numel() else 0.0
        if not torch.allclose(one, other, rtol=1e-4, atol=scale, equal_nan=True):
            shown = f"{type(model).__name__}, which remembers the images that it was given,"
            fix = f"{_STATISTICS} If it draws random numbers, let it draw them by PyTorch."
            raise InvalidInput("model", shown, fix)


def check_gradients(model: nn.Module, optimizer: Any, images: Tensor, labels: Tensor) -> None:
    """Raise unless Opacus' gradients of single samples add up to PyTorch's gradient of their sum.

    Opacus sees a weight where its own layer uses it, and nowhere else.

    Args:
        model: The network, in train mode and with Opacus' hooks in it.
        optimizer: Opacus' optimizer of its weights; the gradients are gone in the end.
        images: A few inputs, (b, ...), on the device of the model.
        labels: Their labels, (b,).

    Raises:
        InvalidInput: The gradients of a weight do not add up; names it.
    """
    optimizer.zero_grad(set_to_none=True)
    with runtime.seeded(0, "gradients"):
        F.cross_entropy(model(images), labels, reduction="sum").backward()
    named = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    whole = {name: torch.zeros_like(w) if w.grad is None else w.grad for name, w in named}
    largest = max(float(gradient.abs().max()) for gradient in whole.values())
    for name, gradient in whole.items() if math.isfinite(largest) else []:
        single: Any = getattr(model.get_parameter(name), "grad_sample", None)
        fits = isinstance(single, Tensor) and single.shape == (len(images), *gradient.shape)
        if not fits or not torch.allclose(single.sum(0), gradient, rtol=1e-3, atol=1e-5 * largest):
            fix = "Use it in its own layer only, with the samples along the first axis."
            shown = f"{name}, whose gradients Opacus does not see one by one,"
            raise InvalidInput("model", shown, fix)
    optimizer.zero_grad(set_to_none=True)
