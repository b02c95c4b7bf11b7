"""The loss of each sample by itself, and its gradient in the sample's own input."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from memlib.errors import EmptySelection, NonFiniteImages, WrongShape, WrongType


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
        logits = model(images.clone())  # which a first layer may change in place
        total = F.cross_entropy(logits, labels, reduction="sum")
        (gradient,) = torch.autograd.grad(total, images)
    return gradient


def check_samples(images: Tensor, labels: Tensor) -> None:
    """Raise unless images and labels, given as plain tensors, belong together and can be used.

    Args:
        images: Inputs, (n, ...).
        labels: Labels, (n,); their range is the model's matter.

    Raises:
        WrongType: They are no tensors, images not floating point, or labels not whole numbers.
        WrongShape: Images are no batch, or there is not one label for each.
        EmptySelection: There are no images.
        NonFiniteImages: An image is NaN or infinite; names the positions.
    """
    for name, value in (("images", images), ("labels", labels)):
        if not isinstance(value, Tensor):
            raise WrongType(name, type(value).__name__, "Pass a tensor.")
    if not images.is_floating_point():
        raise WrongType("images", images.dtype, "Pass floating-point images.")
    if images.ndim < 2:
        raise WrongShape("images", tuple(images.shape), "Pass (samples, ...).")
    if not images.numel():
        raise EmptySelection("images", tuple(images.shape), "Pass at least one image.")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise WrongType("labels", labels.dtype, "Pass whole numbers, int64.")
    if labels.shape != images.shape[:1]:
        fix = f"Pass one label per image, ({len(images)},)."
        raise WrongShape("labels", tuple(labels.shape), fix)
    finite = torch.isfinite(images).flatten(1).all(1)
    if not finite.all():
        bad = (~finite).nonzero()[:, 0].tolist()
        raise NonFiniteImages("images", f"positions {bad}", "Leave these images out.")


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
