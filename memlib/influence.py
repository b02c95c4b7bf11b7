"""Influence functions, the usual estimate of what leaving out a sample changes, and the truth.

Around trained weights w, leaving out sample i moves them by about `H^{-1} grad l_i(w) / n`, with
the Hessian H of the mean loss (Koh & Liang 2017). Three ways to solve for it stand here, and
training again without the sample, by which `unique` judges them and linearized networks (Table 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from memlib import runtime
from memlib.descent import GradientDescent
from memlib.errors import (
    DuplicateIds,
    EmptySelection,
    InvalidInput,
    NonFiniteNumber,
    NotPositive,
    SingularKernel,
    TooLarge,
    TrainingDiverged,
    UnknownIds,
    UnknownName,
    WrongType,
)
from memlib.runtime import whole_number
from memlib.weight_space import Loss, Problem

Method = Literal["exact", "cg", "lissa"]
#: Weights that the exact method takes at most: it holds a d x d matrix.
LARGEST = 10_000


@dataclass(frozen=True)
class Changes:
    """What leaving out single samples moves, estimated or true.

    Attributes:
        samples: Positions of the samples, `(s,)`.
        weights: `|w - w_{-i}|^2`, `(s,)`; higher = the weights depend more on the sample.
        predictions: `sum_x |f_w(x) - f_{w_{-i}}(x)|^2` over the evaluation inputs, `(s,)`.
    """

    samples: np.ndarray
    weights: np.ndarray
    predictions: np.ndarray


def influence(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    method: Method,
    loss: Loss = "squared",
    decay: float = 0.0,
    damping: float | None = None,
    steps: int = 1000,
    scale: float = 1000.0,
    batch_size: int | None = None,
    samples: Sequence[int] | None = None,
    evaluation: Tensor | None = None,
    memory: int = 64,
    seed: int = 0,
    device: torch.device | str | None = None,
    progress: bool | None = None,
) -> Changes:
    """Estimate by influence functions what leaving out each sample moves.

    The defaults are those of `unique` (Table 2): LiSSA with 1,000 steps and scale 1,000, damping
    0.01 where there is no decay.

    Args:
        model: A trained network `(n, ...) -> (n, k)`, in eval mode.
        images: `(n, ...)`, what it was trained on.
        labels: As in `memlib.linearized.linearize`.
        method: `"exact"`: factorizes the Hessian. `"cg"`: conjugate gradients, at most `steps` of
            them. `"lissa"`: `s <- v + (1 - damping) s - H s / scale`, `steps` times, and at the end
            `s / scale`: it goes to `(H + damping * scale I)^{-1} v`, so that its damping counts
            `scale` times what it does in the other two.
        loss: `"squared"`, `|f - y|^2 / 2`, or `"cross-entropy"`.
        decay: lambda of a penalty `lambda / 2 |w|^2` on the sum of losses, as in `GradientDescent`.
        damping: Added to the Hessian of the mean loss; None for 0.01 without decay and 0 with it.
        steps: See `method`.
        scale: See `method`; LiSSA diverges where it is below the largest eigenvalue of H.
        batch_size: Samples of which LiSSA takes each Hessian, drawn anew; None for all.
        samples: Positions of the samples to leave out; None for all.
        evaluation: Inputs to predict, `(m, ...)`; None for the training samples.
        memory: MiB for the vectors that are treated at once; for each of them, the activations of
            a pass through the training samples come on top.
        seed: Of LiSSA's batches.
        device: As in `linearize`.
        progress: Show a progress bar; None shows it where standard error is a terminal.

    Returns:
        The estimated changes, to first order for weights and predictions.

    Raises:
        SingularKernel: The damped Hessian is not positive definite ("exact", "cg").
        TrainingDiverged: LiSSA diverged.
        TooLarge: The network has too many weights for "exact".
        NotPositive: `steps` was too few for "cg", or a number is negative.
        UnknownName, NonFiniteNumber: An option cannot be used.
        NotDifferentiable: PyTorch has no second derivative of a layer.
        InvalidInput: The Hessian is not symmetric ("exact"); as `linearize`; samples as in
            `Dataset.select`.

    Cost: per sample `steps` passes through the training samples (through a batch for LiSSA); the
    exact method takes d of them in all and d^3 operations.
    """
    if method not in ("exact", "cg", "lissa"):
        raise UnknownName("method", method, "Pass 'exact', 'cg' or 'lissa'.")
    _not_negative("decay", decay)
    if damping is None:
        damping = 0.0 if decay > 0 else 0.01
    _not_negative("damping", damping)
    if not scale > 0 or not math.isfinite(scale):
        raise NotPositive("scale", scale, "Pass a positive number.")
    whole_number("steps", steps)
    problem = Problem.of(model, images, labels, loss, device)
    n, d = len(problem.images), len(problem.start)
    batch = n if batch_size is None else min(n, whole_number("batch_size", batch_size))
    chosen = _positions(samples, n)
    inputs = problem.evaluation(evaluation)
    shift = damping + decay / n
    everything = torch.arange(n, device=problem.images.device)
    if method == "exact":
        factor = _factor(problem, shift, damping, memory)

    def solve(vectors: Tensor) -> Tensor:
        if method == "exact":
            return torch.cholesky_solve(vectors.T, factor).T
        if method == "cg":
            return _conjugate_gradients(
                lambda v: problem.curve(v, everything) + shift * v, vectors, steps, damping
            )
        solution = vectors
        draw = runtime.rng(seed, "lissa")  # anew: neither memory nor company changes the batches
        for _ in range(steps):
            rows = everything
            if batch < n:
                rows = torch.from_numpy(draw.choice(n, batch, replace=False)).to(everything.device)
            curved = problem.curve(solution, rows) + decay / n * solution
            solution = vectors + (1 - damping) * solution - curved / scale
            if not bool(torch.isfinite(solution).all()):
                fix = "pass a larger scale, above the largest eigenvalue of the Hessian"
                raise TrainingDiverged(f"LiSSA diverged with scale={scale:g}: {fix}")
        return solution / scale

    parts = []
    with runtime.progress(total=len(chosen), desc="influence", enabled=progress) as bar:
        for rows in torch.from_numpy(chosen).split(_vectors(memory, d)):
            moved = solve(problem.gradients(rows.to(everything.device))) / n
            predicted = problem.push(moved, inputs)
            parts.append(torch.stack([moved.square().sum(1), predicted.square().sum((1, 2))]))
            bar.update(len(rows))
    weights, predictions = torch.cat(parts, 1).cpu().numpy()
    return Changes(chosen, weights, predictions)


def retraining(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    descent: GradientDescent,
    *,
    loss: Loss = "squared",
    samples: Sequence[int] | None = None,
    evaluation: Tensor | None = None,
    memory: int = 64,
    device: torch.device | str | None = None,
    progress: bool | None = None,
) -> Changes:
    """Return what leaving out each sample truly moves: train without it, from the same weights.

    Full-batch gradient descent, so that nothing but the sample differs. Many trainings run side by
    side.

    Args:
        model: The network at its initial weights, in eval mode.
        images: As in `influence`, as are `labels`, `loss`, `samples`, `evaluation`, `device` and
            `progress`.
        descent: The training: a number of steps, with decay towards the initial weights.
        memory: MiB for the weights that are trained at once; activations come on top.

    Returns:
        The changes.

    Raises:
        WrongType: `descent` is not a number of steps.
        TrainingDiverged: The weights became infinite.
        InvalidInput: As `influence`.

    Cost: `t` passes through the training samples per sample that is left out.
    """
    problem = Problem.of(model, images, labels, loss, device)
    chosen = _positions(samples, len(problem.images))
    inputs = problem.evaluation(evaluation)
    n, where = len(problem.images), problem.images.device
    with runtime.progress(total=len(chosen), desc="retrain", enabled=progress) as bar:
        whole = problem.train(descent, torch.ones(1, n, dtype=torch.float64, device=where))
        wanted = problem.predict(whole, inputs)
        parts = []
        for rows in torch.from_numpy(chosen).split(_vectors(memory, len(problem.start))):
            present = torch.ones(len(rows), n, dtype=torch.float64, device=where)
            present[torch.arange(len(rows)), rows.to(where)] = 0.0
            rest = problem.train(descent, present)
            predicted = problem.predict(rest, inputs) - wanted
            moved = (rest - whole).square().sum(1)
            parts.append(torch.stack([moved, predicted.square().sum((1, 2))]))
            bar.update(len(rows))
    weights, predictions = torch.cat(parts, 1).cpu().numpy()
    return Changes(chosen, weights, predictions)


def train(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    descent: GradientDescent,
    *,
    loss: Loss = "squared",
    device: torch.device | str | None = None,
) -> nn.Module:
    """Return a copy of the network, in float64, trained on all samples as in `retraining`.

    Args:
        model: As in `retraining`, as are `images`, `labels`, `descent`, `loss` and `device`.

    Raises:
        InvalidInput, TrainingDiverged: As `retraining`.
    """
    problem = Problem.of(model, images, labels, loss, device)
    present = torch.ones(1, len(problem.images), dtype=torch.float64, device=problem.images.device)
    end = problem.named(problem.train(descent, present)[0])
    problem.network.load_state_dict(end, strict=False)
    return problem.network


def _factor(problem: Problem, shift: float, damping: float, memory: int) -> Tensor:
    """The Cholesky factor of the damped Hessian, `(d, d)`."""
    d, device = len(problem.start), problem.start.device
    if d > LARGEST:
        raise TooLarge("model", f"{d} weights", f"Pass 'cg': 'exact' takes {LARGEST} at most.")
    rows = torch.arange(len(problem.images), device=device)
    unit = torch.eye(d, dtype=torch.float64, device=device)
    matrix = torch.cat([problem.curve(part, rows) for part in unit.split(_vectors(memory, d))])
    if float((matrix - matrix.T).abs().max()) > 1e-6 * float(matrix.abs().max()):
        # so of PyTorch's weight norm, on the CPU
        fix = "PyTorch's second derivatives of a layer are wrong: replace it."
        raise InvalidInput("model", "a Hessian that is not symmetric", fix)
    matrix = (matrix + matrix.T) / 2 + shift * unit
    factor, failed = torch.linalg.cholesky_ex(matrix)
    tiny = d * torch.finfo(matrix.dtype).eps * float(matrix.diagonal().max())
    if int(failed) or float(factor.diagonal().square().min()) <= tiny:
        raise SingularKernel("damping", f"{damping}: H + damping I", "Pass a larger damping.")
    return factor


def _conjugate_gradients(
    apply: Callable[[Tensor], Tensor], vectors: Tensor, steps: int, damping: float
) -> Tensor:
    """Solve `A x = v` for every row v, to a relative residual of 1e-10."""
    solution, residual = torch.zeros_like(vectors), vectors
    direction, square = vectors, vectors.square().sum(1)
    goal = 1e-20 * square
    for _ in range(steps):
        open_rows = square > goal
        if not bool(open_rows.any()):
            return solution
        curved = apply(direction)
        bend = (direction * curved).sum(1)
        if bool((bend[open_rows] <= 0).any()):
            raise SingularKernel("damping", f"{damping}: H + damping I", "Pass a larger damping.")
        length = torch.where(open_rows, square / torch.where(open_rows, bend, 1.0), 0.0)[:, None]
        solution, residual = solution + length * direction, residual - length * curved
        following = residual.square().sum(1)
        ratio = torch.where(open_rows, following / torch.where(square > 0, square, 1.0), 0.0)
        direction, square = residual + ratio[:, None] * direction, following
    if bool((square > goal).any()):
        worst = float((square / vectors.square().sum(1)).max().sqrt())
        fix = f"{worst:.0e} of the residual is left: pass more steps or a larger damping."
        raise NotPositive("steps", steps, fix)
    return solution


def _vectors(memory: int, d: int) -> int:
    """How many of the vectors `(d,)` are treated at once: about eight tables of them are held."""
    return max(1, whole_number("memory", memory) * 2**20 // (8 * 8 * d))


def _positions(samples: Sequence[int] | None, n: int) -> np.ndarray:
    if samples is None:
        return np.arange(n)
    chosen = np.asarray(samples)
    if chosen.size == 0:
        raise EmptySelection("samples", samples, "Name at least one sample.")
    if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
        raise WrongType("samples", samples, "Pass a sequence of whole numbers.")
    if chosen.min() < 0 or chosen.max() >= n:
        raise UnknownIds("samples", samples, f"Pass positions from 0 to {n - 1}.")
    if len(np.unique(chosen)) < len(chosen):
        raise DuplicateIds("samples", samples, "Name every sample once.")
    return chosen.astype(np.int64)


def _not_negative(name: str, value: float) -> None:
    if not math.isfinite(value):
        raise NonFiniteNumber(name, value, "Pass a finite number.")
    if value < 0:
        raise NotPositive(name, value, "Pass 0 or a positive number.")
