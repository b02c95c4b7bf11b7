"""Checks of training dynamics: CSL and CSG of every sample, learning times."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from memlib import data, models, runtime, training
from memlib.check.comparison import Case, Function, compare
from memlib.dynamics import DynamicsTracker
from memlib.losses import evaluation, input_gradients

TrainEpoch = Callable[[nn.Module, int], object]


class Dropped(nn.Module):
    """Dropout without chance: in training every other unit is dropped and the rest is doubled."""

    def forward(self, units: Tensor) -> Tensor:
        """Return the units, half of them dropped in training mode; all of them in eval mode."""
        mask = torch.arange(units.shape[1], device=units.device) % 2
        return 2 * units * mask if self.training else units


def double(model: nn.Module, epoch: int) -> None:
    """Stand in for an epoch of training: double all weights, and leave the model in train mode."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    model.train()


def train_digits(model: nn.Module, epoch: int) -> None:
    """Train for one epoch on the first 40 digits, and leave the model in train mode."""
    digits = data.load("digits").select(range(40))
    training.fit(model, digits, epochs=1, batch_size=10, seed=epoch, progress=False, device="cpu")
    model.train()


def _small_runs() -> list[Case]:
    images = torch.tensor([[[[1.0, 2.0]]], [[[0.5, -1.0]]]])
    labels = torch.tensor([0, 1])
    weights = torch.tensor([[0.5, -0.25], [0.25, 0.125]])
    linear = models.mlp((1, 1, 2), classes=2, depth=0)
    with torch.no_grad():
        for parameter in linear.parameters():
            parameter.copy_(weights if parameter.ndim == 2 else torch.zeros(2))
    dropping = nn.Sequential(nn.Flatten(), Dropped(), *linear[1:])
    digits = data.load("digits").select(range(40))
    with runtime.seeded(0, "init"):
        plain = models.mlp((1, 8, 8), width=16)
    network = nn.Sequential(*plain[:-1], Dropped(), plain[-1])
    sizes: list[tuple[nn.Module, Tensor, Tensor, int, TrainEpoch]] = [
        (linear, images[:1], labels[:1], 1, double),
        (linear, images, labels, 1, double),
        (linear, images, labels, 2, double),
        (dropping, images, labels, 2, double),
        (network, digits.images, digits.labels, 3, train_digits),
    ]
    names = ("model", "images", "labels", "epochs", "train_epoch")
    return [dict(zip(names, values, strict=True)) for values in sizes]


def _watch(
    model: nn.Module, images: Tensor, labels: Tensor, epochs: int, train_epoch: TrainEpoch
) -> tuple[np.ndarray, np.ndarray]:
    """The right answer, by memlib's own tracker."""
    ids = torch.arange(len(labels))
    with evaluation(model), torch.no_grad():
        classes = model(images[:1]).shape[1]
    tracker = DynamicsTracker(ids, classes, input_grads=True)
    for epoch in range(epochs):
        with evaluation(model), torch.no_grad():
            logits = model(images)
        tracker.update(ids, logits, labels, input_gradients(model, images, labels))
        tracker.end_epoch()
        train_epoch(model, epoch)
    scores = tracker.scores()
    return scores["csl"].to_numpy(), scores["csg"].to_numpy()


Measure = Callable[[Tensor, Tensor], Tensor]  # (logits, labels) -> the loss that is differentiated


def _own(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels, reduction="none")


def _gibbs(logits: Tensor, labels: Tensor) -> Tensor:
    return 1 - logits.softmax(1).gather(1, labels[:, None])[:, 0]


def _wrong(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    epochs: int,
    train_epoch: TrainEpoch,
    *,
    late: bool = False,
    mode: bool = False,
    averaged: bool = False,
    accumulated: bool = False,
    power: int = 2,
    epoch_mean: bool = False,
    last: bool = False,
    loss: Measure = _own,
) -> tuple[Tensor, Tensor]:
    """Both scores with one mistake built in: the options are what can go wrong."""
    images = images.clone().requires_grad_()
    losses, squares = [], []
    for epoch in range(epochs):
        if late:
            train_epoch(model, epoch)
        model.train(mode)
        each = loss(model(images), labels)
        losses.append(each.mean().expand(len(each)) if averaged else each)
        if images.grad is not None and not accumulated:
            images.grad = None
        (each.mean() if averaged else each.sum()).backward()
        assert images.grad is not None
        squares.append(images.grad.flatten(1).norm(dim=1) ** power)
        if not late:
            train_epoch(model, epoch)
    kept = slice(-1, None) if last else slice(None)
    both = (torch.stack(values[kept]).detach().double() for values in (losses, squares))
    csl, csg = (values.mean(0) if epoch_mean else values.sum(0) for values in both)
    return csl, csg


_BOTH: dict[str, Function] = {
    "The scores are taken in train mode, with dropout: switch to eval mode before, each time.": (
        partial(_wrong, mode=True)
    ),
    "The epochs are off by one: score at the start of each epoch, the first time before any "
    "training (w_0, ..., w_{N-1}).": partial(_wrong, late=True),
    "The mean over the epochs is returned: CSL and CSG are sums.": partial(_wrong, epoch_mean=True),
    "Only the last epoch is scored: add up all of them.": partial(_wrong, last=True),
}
_LOSS: dict[str, Function] = {
    "The mean loss of the batch stands for the loss of each sample: take the loss per sample "
    '(reduction="none").': partial(_wrong, averaged=True),
    "The loss is 1 - p: CSL adds up cross-entropies.": partial(_wrong, loss=_gibbs),
}
_GRADIENT: dict[str, Function] = {
    "The norm is added up: CSG is a sum of squared norms.": partial(_wrong, power=1),
    "The mean loss of the batch is differentiated: that divides every gradient by the number of "
    "samples; differentiate the sum.": partial(_wrong, averaged=True),
    "Gradients of earlier epochs are still in images.grad: reset it, or use torch.autograd.grad.": (
        partial(_wrong, accumulated=True)
    ),
}


def _part(function: Function, place: int) -> Function:
    """The function that returns one of the two values, as a NumPy array."""

    def part(**case: Any) -> Any:
        if not callable(function):
            raise TypeError("not a function")
        both = function(**case)
        rows = isinstance(both, np.ndarray | Tensor) and both.ndim > 1
        if not (isinstance(both, tuple | list) or rows) or len(both) != 2:
            return both
        value = both[place]
        return value.detach().numpy() if isinstance(value, Tensor) else value

    part.__name__ = getattr(function, "__name__", "the answer")
    return part


def _compare_part(
    function: Function,
    place: int,
    returns: str,
    reference: Function,
    cases: Iterable[Case],
    mistakes: Mapping[str, Function],
    tolerance: float,
) -> None:
    compare(
        _part(function, place) if callable(function) else function,
        _part(reference, place),
        cases,
        {text: _part(variant, place) for text, variant in mistakes.items()},
        returns=returns,
        tolerance=tolerance,
    )


def cumulative_loss(function: Function, cases: Iterable[Case] | None = None) -> None:
    """Check the cumulative sample loss (CSL) of a training run.

    Args:
        function: `function(model, images, labels, epochs, train_epoch)` returns `(csl, csg)`, each
            `(n,)`. `train_epoch(model, epoch)` trains the model in place, and leaves it in train
            mode. CSL is the sum of each sample's cross-entropy in nats at the start of every
            epoch, in eval mode. Only `csl` is looked at.
        cases: Other runs to try; by default a linear network on one or two samples for one or two
            epochs, without and with a layer that drops units, and three epochs on 40 digits.

    Raises:
        Mistake: A sum is wrong.
    """
    runs = _small_runs() if cases is None else cases
    _compare_part(function, 0, "csl", _watch, runs, _BOTH | _LOSS, 1e-4)


def cumulative_gradient(function: Function, cases: Iterable[Case] | None = None) -> None:
    """Check the cumulative squared input gradient (CSG) of a training run.

    Args:
        function: As in `cumulative_loss`. CSG is the sum of the squared Euclidean norm of the
            gradient of each sample's own loss in its own pixels. Only `csg` is looked at.
        cases: As in `cumulative_loss`.

    Raises:
        Mistake: A sum is wrong.
    """
    runs = _small_runs() if cases is None else cases
    _compare_part(function, 1, "csg", _watch, runs, _BOTH | _GRADIENT, 1e-4)


# Learning times --------------------------------------------------------------------------------


def verdicts() -> list[Case]:
    """Return all runs of up to four epochs of one sample, and of up to three epochs of two.

    Returns:
        `{"correct": (epochs, n) bool}`, smallest first.
    """
    shapes = [(1, 1), (2, 1), (3, 1), (4, 1), (2, 2), (3, 2)]
    return [
        {"correct": np.array(bits).reshape(epochs, n)}
        for epochs, n in shapes
        for bits in product((False, True), repeat=epochs * n)
    ]


def _times(correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The right answer, by memlib's own tracker."""
    ids = torch.arange(correct.shape[1])
    tracker = DynamicsTracker(ids, classes=2)
    for right in torch.from_numpy(correct).double():
        tracker.update(ids, torch.stack([right, torch.full_like(right, 0.5)], 1), ids * 0)
        tracker.end_epoch()
    scores = tracker.scores()
    return scores["learning_time_first"].to_numpy(), scores["learning_time_stable"].to_numpy()


def _first(correct: np.ndarray, never: int | None = None) -> np.ndarray:
    never = len(correct) if never is None else never
    return np.where(correct.any(0), correct.argmax(0), never)


def _stable(correct: np.ndarray, never: int | None = None) -> np.ndarray:
    stable = _times(correct)[1]
    return np.where(stable == len(correct), len(correct) if never is None else never, stable)


_FIRST: dict[str, Function] = {
    "A sample that is never learned gets 0: argmax of all-False is 0, and never is N.": (
        lambda correct: _first(correct, never=0)
    ),
    "A sample that is never learned gets N - 1: that is the last epoch, and never is N.": (
        lambda correct: _first(correct, never=len(correct) - 1)
    ),
    "A sample that is never learned gets -1: never is N.": (
        lambda correct: _first(correct, never=-1)
    ),
    "A sample that is never learned gets NaN: never is N, so that times can be ordered.": (
        lambda correct: np.where(correct.any(0), correct.argmax(0), np.nan)
    ),
    "The epochs are off by one: they are counted from 0.": lambda correct: _first(correct) + 1,
    "Wrong epochs are counted (CSLT): later wrong epochs do not matter here.": (
        lambda correct: (~correct).sum(0)
    ),
    "This is the epoch from which all predictions are correct: the first correct one is asked "
    "for.": _stable,
    "Rows and columns are mixed up: epochs are rows, samples are columns.": (
        lambda correct: _first(correct.T)
    ),
}
_STABLE: dict[str, Function] = {
    "A sample that is always correct gets N: argmax of all-False is 0, so the last wrong epoch "
    "has to be looked for only where there is one.": (
        lambda correct: np.where(correct.all(0), len(correct), _stable(correct))
    ),
    "A sample that is never learned gets 0: never is N.": (
        lambda correct: _stable(correct, never=0)
    ),
    "A sample that is never learned gets N - 1: that is the last epoch, and never is N.": (
        lambda correct: _stable(correct, never=len(correct) - 1)
    ),
    "The epochs are off by one: this is the last wrong epoch, and the sample is stable from the "
    "next one.": lambda correct: _stable(correct) - 1,
    "The epochs are off by one: they are counted from 0.": lambda correct: _stable(correct) + 1,
    "This is the first correct epoch: the sample may be forgotten after it.": _first,
    "Wrong epochs are counted (CSLT): the epoch after the last wrong one is asked for.": (
        lambda correct: (~correct).sum(0)
    ),
}


def _two_times(correct: np.ndarray, first: Function, stable: Function) -> tuple[Any, Any]:
    return first(correct), stable(correct)


def first_learned(function: Function, cases: Iterable[Case] | None = None) -> None:
    """Check the epoch in which each sample is predicted correctly for the first time.

    Args:
        function: `function(correct)`, `(N, n)` bool, returns `(first, stable)`, each `(n,)`:
            0-based epochs, N for what is never learned. Only `first` is looked at.
        cases: Other runs to try; by default `verdicts()`.

    Raises:
        Mistake: A time is wrong.
    """
    variants = {text: partial(_two_times, first=f, stable=_stable) for text, f in _FIRST.items()}
    runs = verdicts() if cases is None else cases
    _compare_part(function, 0, "first", _times, runs, variants, 1e-9)


def stably_learned(function: Function, cases: Iterable[Case] | None = None) -> None:
    """Check the first epoch from which each sample is always predicted correctly.

    Args:
        function: As in `first_learned`. Only `stable` is looked at.
        cases: As in `first_learned`.

    Raises:
        Mistake: A time is wrong.
    """
    variants = {text: partial(_two_times, first=_first, stable=f) for text, f in _STABLE.items()}
    runs = verdicts() if cases is None else cases
    _compare_part(function, 1, "stable", _times, runs, variants, 1e-9)
