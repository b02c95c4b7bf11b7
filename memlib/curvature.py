"""Input-loss curvature of every sample: trace of the Hessian in its pixels, and of its square.

Three estimators of one quantity: exact for piecewise-linear networks, Hessian-vector products for
any network, and the finite differences of gradients that published code uses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from memlib import runtime
from memlib.curvature_estimators import Draw, Mode, differences, entrance, exact, hutchinson
from memlib.errors import (
    EmptySelection,
    LabelOutOfRange,
    NonFiniteNumber,
    UnknownName,
    WrongShape,
    WrongType,
)
from memlib.losses import check_samples, evaluation
from memlib.piecewise import count_classes, detached, refuse_smooth

Estimator = Literal["exact", "hutchinson", "finite-difference"]
_Estimate = Callable[[Tensor, Tensor, Draw], tuple[Tensor, ...]]

_HELD = 2**24  # gradient entries kept at a time: 64 MiB in float32
# Numbers in one table of a pass in forward mode, 16 MiB in float32. The C library takes tables from
# 32 MiB on from the system and gives them back, anew for every operation: a third slower.
_TABLE = 2**22
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
    mode: Mode = "forward-over-reverse",
    step: float = 1e-3,
    passes: int = 100,
    ids: Tensor | np.ndarray | Sequence[int] | None = None,
    seed: int = 0,
    batch_size: int = 128,
    device: torch.device | str | None = None,
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
      for random signs v (Hutchinson, 1989; Eq. 13 of `privacy`), by `mode`.
      `"forward-over-reverse"` is the derivative of the gradient g along v: one pass for g, and its
      tangents along as many v as memory allows at once. `"reverse-over-reverse"` is the gradient
      of g . v: one graph of g, and a backward pass through it per probe. Both multiply as much
      and give the same numbers up to rounding. On one core and with ten probes, forward over
      reverse took 0.75 to 0.95 of the time of the other on three CNNs and the same on two MLPs, so
      it is the default; with a single probe of an MLP it took 1.8 of the time, and its first call
      loads rules of PyTorch for a second. The other mode also takes layers that have no derivative
      in forward mode.
    - `"finite-difference"`, the way of Eq. 14 of `privacy`: (g(x + h v) - g(x)) / h for H v, with
      step h and the gradient g, whose value at x is computed once. See `Curvature` for the three
      normalizations in use, and `finite_difference_errors` for what the step does.

    The random signs of a sample depend on `seed` and its id alone: the results do not depend, up
    to rounding, on the batch size, the order or the other samples, and both random estimators
    use the same signs.

    Cost, in passes over a batch: exact 1 forward and C - 1 backward, hutchinson 1 and
    `probes` of both, finite differences 1 + `probes` of both. If the network begins with a
    fully connected layer W narrower than the input, the exact estimator stops at that layer and
    uses W W^T, so that a backward pass costs b (width)^2 instead of b (width)(pixels). Memory:
    at most 2^24 gradient entries at a time, besides one batch's graph.

    Args:
        model: Network from images (b, ...) to logits (b, C); its mode, weights and gradients are
            left as they were.
        images: Inputs, `(n, ...)`.
        labels: Labels, `(n,)`; the exact value does not depend on them.
        estimator: Which of the three.
        probes: Random sign vectors per sample, for the two random estimators.
        mode: How Hutchinson's estimator multiplies by H.
        step: Length h of the step along each pixel, in units of the input.
        passes: Most backward passes of the exact estimator, at least 2.
        ids: One whole number per sample that its random signs belong to; None: its position.
        seed: Seed of the random signs.
        batch_size: Samples per pass, fewer if memory asks for it.
        device: Where to compute, on a copy of the model if it is elsewhere; None: where it is.
            Batches of images are moved there.
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
        NotDifferentiable: PyTorch has no second derivative of a layer, or none in this mode; finite
            differences need none.
        UnknownName: There is no such estimator or mode.

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
    if mode not in get_args(Mode):
        raise UnknownName("mode", mode, f"Pass one of {', '.join(get_args(Mode))}.")
    probes = runtime.whole_number("probes", probes)
    passes = runtime.whole_number("passes", passes, least=2)
    batch_size = runtime.whole_number("batch_size", batch_size)
    step = runtime.positive("step", step)
    check_samples(images, labels)
    numbers = _numbers(ids, len(images))
    model, place = runtime.placed(model, device, images.device)
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
        estimate = partial(exact, *entrance(model), classes, passes)
    elif estimator == "hutchinson":
        together = _TABLE // _widest(model, look)
        if mode == "forward-over-reverse":
            rows = max(1, min(rows, together // probes))
        estimate = partial(hutchinson, detached(model), probes, mode, together)
    else:
        estimate = partial(differences, detached(model), probes, step, rows)
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
    device: torch.device | str | None = None,
    progress: bool | None = False,
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
        device: As for `input_curvature`, as is `progress`, for every step a bar of its own.

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
            device=device,
            progress=progress,
        ).square

    value = square("hutchinson")
    return torch.stack([(square("finite-difference", h) - value).abs() / value for h in steps])


def _widest(model: nn.Module, images: Tensor) -> int:
    """The most numbers per image that goes into the model or comes out of a layer."""
    widths = [images[0].numel()]

    def note(module: nn.Module, inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            widths.append(output.numel() // len(images))

    handles = [module.register_forward_hook(note) for module in model.modules()]
    try:
        with evaluation(model), torch.no_grad():
            detached(model)(images)
    finally:
        for handle in handles:
            handle.remove()
    return max(widths)


def _drawing(seed: int, numbers: np.ndarray) -> Draw:
    def draw(probe: int, like: Tensor) -> Tensor:
        drawn = runtime.signs(seed, numbers, like[0].numel(), "curvature", probe)
        return torch.from_numpy(drawn).to(like).view_as(like)

    return draw


def _numbers(ids: Tensor | np.ndarray | Sequence[int] | None, count: int) -> np.ndarray:
    """Return the numbers that the samples' random signs belong to, (n,) int64."""
    if ids is None:
        return np.arange(count)
    numbers = ids.cpu().numpy() if isinstance(ids, Tensor) else np.asarray(ids)
    if numbers.shape != (count,):
        raise WrongShape("ids", numbers.shape, f"Pass one id per image, ({count},).")
    if numbers.dtype.kind not in "iu":
        raise WrongType("ids", numbers.dtype, "Pass whole numbers.")
    return numbers
