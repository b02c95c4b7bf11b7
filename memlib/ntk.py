"""The neural tangent kernel: inner products of Jacobians, exact or sketched, in bounded memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import jacrev, vjp, vmap

from memlib import runtime
from memlib.errors import UnknownName
from memlib.piecewise import called, second_derivatives
from memlib.runtime import whole_number

Kernel = Literal["exact", "coordinates", "projection"]
#: Samples on which the error of a sketched kernel is measured.
PROBED = 32
#: Rows of random signs drawn at once.
SIGN_ROWS = 4096


@dataclass(frozen=True)
class Sketch:
    """How Jacobians are shortened before their inner products are taken.

    Attributes:
        kind: `"exact"`, `"coordinates"` or `"projection"`, as in `linearize`.
        size: Coordinates per weight tensor, or random directions in all.
        seed: Which ones.
    """

    kind: Kernel = "exact"
    size: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in ("exact", "coordinates", "projection"):
            fix = "Pass 'exact', 'coordinates' or 'projection'."
            raise UnknownName("kernel", self.kind, fix)
        whole_number("size", self.size)


def tangent_kernel(
    network: nn.Module,
    left: Tensor,
    right: Tensor,
    sketch: Sketch,
    memory: int,
    progress: bool | None,
    seen: dict[str, bool] | None = None,
) -> Tensor:
    """Return inner products of Jacobians, `(m k, n k)`: the k outputs of a sample lie together.

    Args:
        network: As `memlib.linearized.linearize` keeps it: in float64, in eval mode.
        left: `(m, ...)`.
        right: `(n, ...)`; pass `left` itself for the symmetric kernel, which takes half the time.
        sketch: How Jacobians are shortened.
        memory: MiB for Jacobians.
        progress: Show a progress bar; None shows it where standard error is a terminal.
        seen: Filled with whether a weight has a gradient at any sample, by name.

    Cost: the Jacobians, `(m + n) k` backward passes if they fit in the memory, and `m n k^2 d`
    operations; else those of `right` are computed once for every block of `left`.
    """
    same = left is right
    outputs = called(network, trainable(network), left[:1]).shape[1]
    rows = rows_per_block(memory, outputs * sum(w.numel() for w in trainable(network).values()))
    lefts, rights = left.split(rows), right.split(rows)
    if sketch.kind != "exact":
        # Short rows: all of them fit, and no block is computed twice.
        with runtime.progress(total=len(lefts), desc="kernel", enabled=progress) as bar:
            first = torch.cat([_features(network, x, sketch, seen, bar) for x in lefts])
            second = first
            if not same:
                second = torch.cat([_features(network, x, sketch, seen) for x in rights])
        return first @ second.T
    table = left.new_empty(len(left) * outputs, len(right) * outputs)
    total = len(lefts) * len(rights) if not same else len(lefts) * (len(lefts) + 1) // 2
    with runtime.progress(total=total, desc="kernel", enabled=progress) as bar:
        for i, x in enumerate(lefts):
            first = _features(network, x, sketch, seen)
            here = slice(i * rows * outputs, i * rows * outputs + len(first))
            for j in range(i if same else 0, len(rights)):
                second = first if same and i == j else _features(network, rights[j], sketch, seen)
                there = slice(j * rows * outputs, j * rows * outputs + len(second))
                table[here, there] = first @ second.T
                if same and i != j:
                    table[there, here] = table[here, there].T
                bar.update()
    return table


def _features(
    network: nn.Module,
    images: Tensor,
    sketch: Sketch,
    seen: dict[str, bool] | None = None,
    bar: Any = None,
) -> Tensor:
    """The Jacobian of a few samples, `(c k, d)`, or what the sketch keeps of it."""
    weights = trainable(network)
    blocks = vmap(jacrev(lambda w, x: called(network, w, x[None])[0]), in_dims=(None, 0))(
        weights, images
    )
    if seen is not None:
        for name, block in blocks.items():
            seen[name] = seen[name] or bool(block.count_nonzero())
    flat = {name: block.flatten(2).flatten(0, 1) for name, block in blocks.items()}
    if bar is not None:
        bar.update()
    if sketch.kind == "exact":
        return torch.cat(list(flat.values()), 1)
    if sketch.kind == "coordinates":
        kept = []
        for name, block in flat.items():
            length = block.shape[1]
            size = min(sketch.size, length)
            draw = runtime.rng(sketch.seed, "coordinates", name)
            chosen = torch.from_numpy(draw.choice(length, size, replace=False)).to(block.device)
            kept.append(block[:, chosen] * math.sqrt(length / size))
        return torch.cat(kept, 1)
    rows = len(next(iter(flat.values())))
    total = images.new_zeros(rows, sketch.size)
    for name, block in flat.items():
        for start, part in enumerate(block.split(SIGN_ROWS, 1)):
            total += part @ _signs(sketch, name, start, part.shape[1], block.device)
    return total / math.sqrt(sketch.size)


def _signs(sketch: Sketch, name: str, part: int, rows: int, device: torch.device) -> Tensor:
    """Random signs, `(rows, size)`: the same for every sample, whatever the memory."""
    draw = runtime.generator(sketch.seed, "signs", name, part)
    bits = torch.randint(2, (rows, sketch.size), generator=draw, dtype=torch.int8)
    return bits.to(device, torch.float64) * 2 - 1


def sketch_error(network: nn.Module, images: Tensor, sketch: Sketch, memory: int) -> float:
    """Return the relative error (Frobenius) of a sketched kernel on a random few of the samples.

    Args:
        network: As in `tangent_kernel`, as are `sketch` and `memory`.
        images: `(n, ...)`, from which the few are drawn.
    """
    if sketch.kind == "exact":
        return 0.0
    draw = runtime.rng(sketch.seed, "probed")
    chosen = draw.choice(len(images), min(PROBED, len(images)), replace=False)
    some = images[torch.from_numpy(chosen).to(images.device)]
    exact = tangent_kernel(network, some, some, Sketch(), memory, False)
    estimate = tangent_kernel(network, some, some, sketch, memory, False)
    return float((estimate - exact).norm() / exact.norm())


def trainable(network: nn.Module) -> dict[str, Tensor]:
    """Return the weights that require a gradient, detached, by name."""
    return {name: w.detach() for name, w in network.named_parameters() if w.requires_grad}


def push(
    network: nn.Module, weights: dict[str, Tensor], change: dict[str, Tensor], images: Tensor
) -> Tensor:
    """Return `J(x) change`, `(n, k)`: what a change of the weights does to first order.

    The product with the transpose is linear in its vector, and its own transpose is this one.
    """

    def pull(vector: Tensor) -> dict[str, Tensor]:
        _, back, *_ = vjp(lambda w: called(network, w, images), weights)
        result: dict[str, Tensor] = back(vector)[0]
        return result

    zero = torch.zeros_like(called(network, weights, images))
    with second_derivatives():
        _, forth, *_ = vjp(pull, zero)
        pushed: Tensor = forth(change)[0]
    return pushed


def rows_per_block(memory: int, numbers: int) -> int:
    """Return how many samples with so many numbers each fit, four times over, in so many MiB.

    Two blocks of Jacobians are held, and a third one is in the making, in parts and joined.
    """
    return max(1, memory * 2**20 // (8 * 4 * numbers))
