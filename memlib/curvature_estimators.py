"""The estimators of input curvature: each returns the columns of `Curvature` for one batch.

`memlib.curvature` checks what they are given, cuts the samples into batches and puts the results
together.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import jvp, vjp, vmap

from memlib.piecewise import DIFFERENCES, Forward, detached, second_derivatives, split

Mode = Literal["reverse-over-reverse", "forward-over-reverse"]
Draw = Callable[[int, Tensor], Tensor]  # random signs of a probe, in the shape of a tensor

_OTHER_MODE = 'Pass mode="reverse-over-reverse", which takes more layers.'


def entrance(model: nn.Module) -> tuple[Forward, Forward, Tensor | None]:
    """Return what leads from images to where backward passes stop, the rest, and the metric there.

    Args:
        model: A piecewise-linear network. If it begins with a fully connected layer W narrower
            than the input, the passes stop at that layer, where the metric is W W^T; else None.
    """
    first, rest = split(model)
    if first is None:
        return torch.Tensor.detach, detached(rest), None
    enter, weight = detached(first), first.weight.detach()
    return lambda images: enter(images.flatten(1)), detached(rest), weight @ weight.T


def exact(
    enter: Forward,
    forward: Forward,
    metric: Tensor | None,
    classes: int,
    passes: int,
    images: Tensor,
    _: Tensor,
    draw: Draw,
) -> tuple[Tensor, ...]:
    """Return both traces and their standard errors, `(b,)` each, of a piecewise-linear network.

    Args:
        enter: As `entrance` returns it, as are `forward` and `metric`.
        classes: Number of logits.
        passes: Most backward passes.
        images: `(b, ...)`.
        draw: Random signs for mixtures of classes, where there are more than passes.
    """
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


def hutchinson(
    forward: Forward,
    probes: int,
    mode: Mode,
    together: int,
    images: Tensor,
    labels: Tensor,
    draw: Draw,
) -> tuple[Tensor, ...]:
    """Return both traces and their standard errors, `(b,)` each, from products H v.

    Args:
        forward: The network as a function of its input.
        probes: Random sign vectors per sample.
        mode: How H v is computed.
        together: How many products, of an image and a probe each, go into one pass in forward mode.
        images: `(b, ...)`.
        labels: `(b,)`.
        draw: The random signs.
    """
    if mode == "reverse-over-reverse":
        pairs = _products_in_reverse(forward, probes, images, labels, draw)
    else:
        stacked = max(1, together // len(images))  # probes
        pairs = _products_forward(forward, probes, stacked, images, labels, draw)
    forms, norms = [], []
    for v, product in pairs:
        forms.append((v * product).flatten(1).sum(1))
        norms.append(product.flatten(1).square().sum(1))
    (trace, trace_error), (square, square_error) = _mean(forms), _mean(norms)
    return trace, square, trace_error, square_error


def _products_in_reverse(
    forward: Forward, probes: int, images: Tensor, labels: Tensor, draw: Draw
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield v and H v, the gradient of `g(x) . v` with the gradient g of the loss."""
    images = images.requires_grad_()
    gradient = _gradient(forward, images, labels, create_graph=True)
    for probe in range(probes):
        v = draw(probe, images)
        with second_derivatives(DIFFERENCES):
            (product,) = torch.autograd.grad(
                gradient, images, v, retain_graph=True, materialize_grads=True
            )
        yield v, product


def _products_forward(
    forward: Forward, probes: int, stacked: int, images: Tensor, labels: Tensor, draw: Draw
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield v and H v, the directional derivative of the gradient; g is computed once a stack."""
    images = images.clone()  # of a view, PyTorch would make a tangent as large as what it views

    def slope(x: Tensor) -> Tensor:
        # The loss' gradient in the logits is written out: its derivative costs less so.
        logits, back = vjp(forward, x)[:2]
        chance = logits.softmax(1)
        result: Tensor = back(chance.scatter_add(1, labels[:, None], -torch.ones_like(chance)))[0]
        return result

    push = vmap(lambda v: jvp(slope, (images,), (v,))[1])
    for start in range(0, probes, stacked):
        group = range(start, min(start + stacked, probes))
        vectors = torch.stack([draw(probe, images) for probe in group])
        with second_derivatives(_OTHER_MODE), warnings.catch_warnings():
            # Of PyTorch's own rules of differentiation, which its forward mode loads.
            warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated")
            products = push(vectors)
        yield from zip(vectors, products, strict=True)


def differences(
    forward: Forward,
    probes: int,
    step: float,
    rows: int,
    images: Tensor,
    labels: Tensor,
    draw: Draw,
) -> tuple[Tensor, ...]:
    """Return the columns of `Curvature`, `(b,)` each, from differences of gradients.

    Args:
        forward: As in `hutchinson`, as are `probes`, `images`, `labels` and `draw`.
        step: Length of the step along each pixel.
        rows: How many images may go into one pass.
    """
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
