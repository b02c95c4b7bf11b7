"""Input-loss curvature of every sample: trace of the Hessian in its pixels, and of its square.

Three estimators of one quantity: exact for piecewise-linear networks, Hessian-vector products for
any network, and the finite differences of gradients that published code uses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from memlib import runtime
from memlib.errors import (
    EmptySelection,
    LabelOutOfRange,
    NonFiniteImages,
    NonFiniteNumber,
    NotPositive,
    UnknownName,
    WrongShape,
    WrongType,
)
from memlib.losses import evaluation
from memlib.piecewise import Forward, count_classes, detached, refuse_smooth, split

Estimator = Literal["exact", "hutchinson", "finite-difference"]
_Estimate = Callable[[Tensor, Tensor, "_Draw"], tuple[Tensor, ...]]
_Draw = Callable[[int, Tensor], Tensor]  # random signs of a probe, in the shape of a tensor

_HELD = 2**24  # gradient entries kept at a time: 64 MiB in float32
_LOOKED_AT = 8  # samples on which the model is tried


@dataclass(frozen=True, eq=False)
class Curvature:
    """Curvature of each sample's loss in its own input; H is the Hessian, higher = more curved.

    Attributes:
        trace: tr(H), `(n,)`, signed, in nats per squared unit of input (Eq. 7 of `privacy`).
        square: tr(H^2), the squared Frobenius norm, `(n,)`, in squared units of the trace.
        trace_error: Standard error of `trace` over the random probes, `(n,)`; 0 where it is exact,
            NaN for a single probe.
        square_error: The same for `square`.
        printed: Finite differences only: the mean over probes of the squared norm of the
            difference of gradients, as Eq. 14 of `privacy` is printed: step^2 times `square`.
        published: Finite differences only: the mean norm of the difference, as the authors' code
            has it: neither squared nor divided by the step; at most the root of `printed`.
    """

    trace: Tensor
    square: Tensor
    trace_error: Tensor
    square_error: Tensor
    printed: Tensor | None = None
    published: Tensor | None = None

    def __len__(self) -> int:
        return len(self.trace)

    @property
    def root(self) -> Tensor:
        """The root of tr(H^2), `(n,)`, in units of the trace: the Frobenius norm of H."""
        return self.square.sqrt()


def input_curvature(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    estimator: Estimator = "exact",
    probes: int = 10,
    step: float = 1e-3,
    passes: int = 100,
    ids: Tensor | np.ndarray | Sequence[int] | None = None,
    seed: int = 0,
    batch_size: int = 128,
    progress: bool | None = False,
) -> Curvature:
    """Return the curvature of each sample's cross-entropy in its own pixels, in eval mode.

    Estimators:

    - `"exact"`, for networks that are piecewise linear in the input (ReLU, max and average
      pooling, batch norm in eval mode): there H = J^T (diag(p) - p p^T) J with the Jacobian J of
      the logits and p their softmax, whatever the label, and the trace is the mean squared
      gradient over labels drawn from p (claim `book/curvature-identity`). One forward pass and
      C - 1 backward passes give J up to what the softmax ignores, and both traces without error.
      With more than `passes` + 1 classes, `passes` random mixtures of the labels' gradients
      are taken instead: J^T (diag(p) - p p^T)^(1/2) v with random signs v, which has a standard
      error of at most sqrt(2 / passes) of the trace even where p is nearly certain (drawn labels
      would nearly always be the same one). At a kink, where H does not exist, it takes the piece
      that PyTorch's derivative of the ReLU takes.
    - `"hutchinson"`, for every twice differentiable network: v^T H v and the squared norm of H v
      for random signs v (Hutchinson, 1989; Eq. 13 of `privacy`), one gradient and one backward
      pass through it per probe. Reverse mode twice: on a CPU it takes three quarters of the time
      of forward over reverse.
    - `"finite-difference"`, the way of Eq. 14 of `privacy`: (g(x + h v) - g(x)) / h for H v, with
      step h and the gradient g, whose value at x is computed once. See `Curvature` for the three
      normalizations in use, and `finite_difference_errors` for what the step does.

    The random signs of a sample depend on `seed` and its id alone: the results do not depend, up
    to rounding, on the batch size, the order or the other samples, and both random estimators
    use the same signs.

    Cost, in passes over a batch: exact 1 forward and C - 1 backward, hutchinson about 2 and
    2 `probes` backward, finite differences 1 + `probes` of both. If the network begins with a
    fully connected layer W narrower than the input, the exact estimator stops at that layer and
    uses W W^T, so that a backward pass costs b (width)^2 instead of b (width)(pixels). Memory:
    at most 2^24 gradient entries at a time, besides one batch's graph.

    Args:
        model: Network from images (b, ...) to logits (b, C); its mode, weights and gradients are
            left as they were. Images are moved to its device.
        images: Inputs, `(n, ...)`.
        labels: Labels, `(n,)`; the exact value does not depend on them.
        estimator: Which of the three.
        probes: Random sign vectors per sample, for the two random estimators.
        step: Length h of the step along each pixel, in units of the input.
        passes: Most backward passes of the exact estimator, at least 2.
        ids: One whole number per sample that its random signs belong to; None: its position.
        seed: Seed of the random signs.
        batch_size: Samples per pass, fewer if memory asks for it.
        progress: Show a bar; None: only where standard error is a terminal.

    Returns:
        The curvatures, in the order of the images, on their device.

    Raises:
        InvalidInput: The model has a part that is smooth in its input (exact), or that depends
            on the other samples, or its logits have no gradient in the input.
        WrongShape: Images, labels, ids or logits do not fit one another.
        WrongType: Images or logits are not floating point, labels or ids not whole numbers.
        EmptySelection: There are no images.
        NonFiniteImages, NonFiniteNumber: An image, or a curvature, is NaN or infinite.
        LabelOutOfRange: A label is not in 0 .. C-1.
        NotPositive: probes, step, passes, batch_size or the seed is too small.
        UnknownName: There is no such estimator.

    Example:
        >>> from memlib import data, models
        >>> from memlib.curvature import input_curvature
        >>> from memlib.runtime import seeded
        >>> digits = data.load("digits").select(range(50))
        >>> with seeded(0, "init"):
        ...     network = models.mlp(shape=digits.images.shape[1:], width=32)
        >>> exact = input_curvature(network, digits.images, digits.labels)
        >>> float(exact.trace.min()) > 0
        True
    """
    names = ("exact", "hutchinson", "finite-difference")
    if estimator not in names:
        raise UnknownName("estimator", estimator, f"Pass one of {', '.join(names)}.")
    probes = runtime.whole_number("probes", probes)
    passes = runtime.whole_number("passes", passes, least=2)
    batch_size = runtime.whole_number("batch_size", batch_size)
    try:
        usable = 0.0 < step < math.inf
    except TypeError:
        raise WrongType("step", step, "Pass a positive number.") from None
    if not usable:
        raise NotPositive("step", step, "Pass a positive, finite number.")
    numbers = _checked(images, labels, ids)
    place = next(model.parameters(), images).device
    look = images[:_LOOKED_AT].to(place)
    classes = count_classes(model, look)
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        bad = labels[(labels < 0) | (labels >= classes)].unique().tolist()
        raise LabelOutOfRange("labels", bad, f"Pass labels from 0 to {classes - 1}.")
    kept = min(passes, classes - 1) if estimator == "exact" else 1
    rows = max(1, min(batch_size, _HELD // (kept * images[0].numel())))
    estimate: _Estimate
    if estimator == "exact":
        refuse_smooth(model, look)
        estimate = partial(_exact, *_entrance(model), classes, passes)
    elif estimator == "hutchinson":
        estimate = partial(_hutchinson, detached(model), probes)
    else:
        estimate = partial(_differences, detached(model), probes, step, rows)
    parts = []
    with evaluation(model), torch.enable_grad():
        starts = range(0, len(images), rows)
        for start in runtime.progress(starts, desc="curvature", enabled=progress):
            chosen = slice(start, start + rows)
            pixels, own = images[chosen].detach().to(place), labels[chosen].long().to(place)
            part = estimate(pixels, own, _drawing(seed, numbers[chosen]))
            parts.append(tuple(value.to(images.device) for value in part))
    found = Curvature(*(torch.cat(column) for column in zip(*parts, strict=True)))
    finite = torch.isfinite(found.trace) & torch.isfinite(found.square)
    if not finite.all():
        bad = (~finite).nonzero()[:, 0].tolist()
        fix = "Look at the weights and at these samples."
        raise NonFiniteNumber("model", f"the curvature of the samples at {bad}", fix)
    return found


def finite_difference_errors(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    steps: Sequence[float],
    *,
    probes: int = 10,
    seed: int = 0,
    batch_size: int = 128,
) -> Tensor:
    """Return by how much finite differences miss tr(H^2), for each step and sample.

    Both estimates use the same random signs, so that only the step makes the difference. Small
    steps lose digits to rounding, an error of order (rounding unit) / step; large ones cross kinks
    of the network, or leave the second order, and the error grows with the step.

    Args:
        model: As for `input_curvature`.
        images: Inputs, `(n, ...)`; their precision is the one that small steps run into.
        labels: Labels, `(n,)`.
        steps: Steps h, `(s,)`.
        probes: Random sign vectors per sample.
        seed: Their seed.
        batch_size: Samples per pass.

    Returns:
        `abs(estimate - value) / value`, `(s, n)`, where the value is Hutchinson's with the same
        signs; NaN for a sample whose curvature is 0.

    Raises:
        EmptySelection: There is no step.
        InvalidInput: As for `input_curvature`.
    """
    if not len(steps):
        raise EmptySelection("steps", steps, "Pass at least one step.")

    def square(estimator: Estimator, step: float = 1.0) -> Tensor:
        return input_curvature(
            model,
            images,
            labels,
            estimator=estimator,
            step=step,
            probes=probes,
            seed=seed,
            batch_size=batch_size,
        ).square

    value = square("hutchinson")
    return torch.stack([(square("finite-difference", h) - value).abs() / value for h in steps])


# The three estimators: each returns the columns of `Curvature` for one batch ---------------------


def _entrance(model: nn.Module) -> tuple[Forward, Forward, Tensor | None]:
    """What leads from images to where the backward passes stop, the rest, and the metric there."""
    first, rest = split(model)
    if first is None:
        return torch.Tensor.detach, detached(rest), None
    enter, weight = detached(first), first.weight.detach()
    return lambda images: enter(images.flatten(1)), detached(rest), weight @ weight.T


def _exact(
    enter: Forward,
    forward: Forward,
    metric: Tensor | None,
    classes: int,
    passes: int,
    images: Tensor,
    _: Tensor,
    draw: _Draw,
) -> tuple[Tensor, ...]:
    start = enter(images).requires_grad_()
    logits = forward(start)
    chance = logits.detach().softmax(1)
    top = logits.argmax(1, keepdim=True)

    def pulled(cotangents: Iterable[Tensor]) -> Tensor:
        """The Gram matrix (b, q, q) of the input gradients along q cotangents of the logits."""
        rows = [
            torch.autograd.grad(logits, start, each, retain_graph=True)[0].flatten(1)
            for each in cotangents
        ]
        stacked = torch.stack(rows, 1)
        return (stacked if metric is None else stacked @ metric) @ stacked.mT

    if classes - 1 <= passes:
        # H = J'^T (diag(p') - p' p'^T) J', with each class but the top one, and J' the gradients
        # of its logit less the top one's: no digit is lost where the top class is nearly certain.
        others = (top + torch.arange(1, classes, device=top.device)) % classes
        p = chance.gather(1, others)
        unit = torch.zeros_like(chance).scatter_(1, top, -1)
        gram = pulled(unit.scatter(1, others[:, [j]], 1) for j in range(classes - 1))
        product = (torch.diag_embed(p) - p[:, :, None] * p[:, None]) @ gram
        trace = product.diagonal(dim1=1, dim2=2).sum(1)
        square = (product * product.mT).sum((1, 2))
        return trace, square, torch.zeros_like(trace), torch.zeros_like(square)

    root = chance.sqrt()

    def mixture(probe: int) -> Tensor:
        mixed = root * draw(probe, chance)
        mixed = mixed - chance * mixed.sum(1, keepdim=True)
        # Its entries add up to 0; by difference the top one keeps its digits.
        mixed.scatter_(1, top, 0)
        return mixed.scatter_(1, top, -mixed.sum(1, keepdim=True))

    gram = pulled(mixture(probe) for probe in range(passes))
    norms = gram.diagonal(dim1=1, dim2=2)
    # E (u . w)^2 = tr(H^2) for two independent mixtures: the mean over all pairs.
    pairs = (gram.square().sum(2) - norms.square()) / (passes - 1)
    trace, trace_error = _mean(norms.T)
    square, square_error = _mean(pairs.T)
    return trace, square, trace_error, 2 * square_error


def _hutchinson(
    forward: Forward, probes: int, images: Tensor, labels: Tensor, draw: _Draw
) -> tuple[Tensor, ...]:
    images = images.requires_grad_()
    gradient = _gradient(forward, images, labels, create_graph=True)
    forms, norms = [], []
    for probe in range(probes):
        v = draw(probe, images)
        (product,) = torch.autograd.grad(
            gradient, images, v, retain_graph=True, materialize_grads=True
        )
        forms.append((v * product).flatten(1).sum(1))
        norms.append(product.flatten(1).square().sum(1))
    (trace, trace_error), (square, square_error) = _mean(forms), _mean(norms)
    return trace, square, trace_error, square_error


def _differences(
    forward: Forward,
    probes: int,
    step: float,
    rows: int,
    images: Tensor,
    labels: Tensor,
    draw: _Draw,
) -> tuple[Tensor, ...]:
    stacked = max(1, rows // len(images))  # probes whose points go into one pass
    base = _gradient(forward, images.requires_grad_(), labels)
    forms, norms = [], []
    for start in range(0, probes, stacked):
        group = range(start, min(start + stacked, probes))
        v = torch.stack([draw(probe, images) for probe in group])
        points = (images.detach() + step * v).flatten(0, 1).requires_grad_()
        there = _gradient(forward, points, labels.repeat(len(group))).view_as(v)
        change = there - base
        forms += list((v * change).flatten(2).sum(2))
        norms += list(change.flatten(2).square().sum(2))
    (trace, trace_error), (square, square_error) = _mean(forms), _mean(norms)
    root, _ = _mean([norm.sqrt() for norm in norms])
    parts = (trace / step, square / step**2, trace_error / step, square_error / step**2)
    return *parts, square, root


def _mean(values: Sequence[Tensor] | Tensor) -> tuple[Tensor, Tensor]:
    """Mean and its standard error over the first axis, (m, b)."""
    table = values if isinstance(values, Tensor) else torch.stack(list(values))
    if len(table) == 1:
        return table[0], torch.full_like(table[0], torch.nan)
    return table.mean(0), table.std(0) / math.sqrt(len(table))


def _gradient(
    forward: Forward, images: Tensor, labels: Tensor, *, create_graph: bool = False
) -> Tensor:
    total = F.cross_entropy(forward(images), labels, reduction="sum")
    return torch.autograd.grad(total, images, create_graph=create_graph)[0]


def _drawing(seed: int, numbers: np.ndarray) -> _Draw:
    def draw(probe: int, like: Tensor) -> Tensor:
        drawn = runtime.signs(seed, numbers, like[0].numel(), "curvature", probe)
        return torch.from_numpy(drawn).to(like).view_as(like)

    return draw


def _checked(
    images: Tensor, labels: Tensor, ids: Tensor | np.ndarray | Sequence[int] | None
) -> np.ndarray:
    """Check the samples; return the numbers that their random signs belong to, (n,) int64."""
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
    if ids is None:
        return np.arange(len(images))
    numbers = ids.cpu().numpy() if isinstance(ids, Tensor) else np.asarray(ids)
    if numbers.shape != (len(images),):
        raise WrongShape("ids", numbers.shape, f"Pass one id per image, ({len(images)},).")
    if numbers.dtype.kind not in "iu":
        raise WrongType("ids", numbers.dtype, "Pass whole numbers.")
    return numbers
