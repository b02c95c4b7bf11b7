"""The loss of each sample by itself, and its gradient in the sample's own input."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def input_gradients(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient of each sample's cross-entropy in its own pixels, in eval mode.

    One forward and one backward pass for the whole batch: in eval mode no sample's logits depend
    on another's input, so that the gradient of the summed loss is the per-sample gradient.

    Args:
        model: Network from images to logits (b, k); its mode and its parameters' gradients are
            left as they were.
        images: Inputs, (b, c, h, w).
        labels: Labels, (b,).

    Returns:
        The gradients, in the shape of `images`.
    """
    with evaluation(model), torch.enable_grad():
        images = images.detach().requires_grad_()
        total = F.cross_entropy(model(images), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(total, images)
    return gradient


@contextmanager
def evaluation(model: nn.Module) -> Iterator[None]:
    """Put a model into eval mode inside a `with` block; each module gets its own mode back.

    Args:
        model: The model.
    """
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def sample_losses(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return three losses of each sample, accurate also where they are tiny.

    Args:
        logits: Outputs (b, k); half precision is raised to float32.
        targets: Labels (b,), int64, each from 0 to k - 1.

    Returns:
        The cross-entropy in nats; the Gibbs loss 1 - p_y, from the same odds; and minus the
        margin, max_{k != y} logit_k - logit_y. Each (b,), higher = worse.
    """
    # Classes first: with few classes, reductions along contiguous memory are several times faster.
    rivals = logits.T.contiguous()
    rivals = rivals if rivals.dtype == torch.float64 else rivals.float()
    rivals = (rivals - rivals.gather(0, targets[None])).scatter_(0, targets[None], -torch.inf)
    top = rivals.amax(0)
    # The log of the odds against the label, from which all three follow without cancellation.
    # exp is many times slower where its result is zero or denormal; e^-87 changes no digit.
    odds = (rivals - top).clamp_(min=-87).exp_().sum(0).log_().add_(top)
    return F.softplus(odds, threshold=50), odds.sigmoid(), top
