"""One training loop: SGD on a data set held as tensors on the device, with exact resume."""

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from memlib import runtime
from memlib.batches import Batch, batches
from memlib.checkpoints import read_checkpoint, restore_random, write_checkpoint
from memlib.curvature import input_curvature
from memlib.data import Dataset
from memlib.dynamics import DynamicsTracker
from memlib.errors import (
    InvalidInput,
    TrainingDiverged,
    UnknownIds,
    UnknownName,
    WrongShape,
)
from memlib.losses import evaluation
from memlib.schedules import learning_rates

_HELD = 2**22  # logits held back before they are counted and given to the tracker
_PARTS = ("model", "optimizer", "tracker", "history")  # of a checkpoint


@dataclass(frozen=True)
class History:
    """What a training run measured on its own training passes.

    Args:
        loss: Mean cross-entropy over the samples of each epoch, in nats, while the weights move.
        accuracy: Fraction of correct predictions of each epoch, in the same passes.
        seconds: Wall time of all epochs, interrupted ones not counted.
    """

    loss: tuple[float, ...] = ()
    accuracy: tuple[float, ...] = ()
    seconds: float = 0.0


Callback = Callable[[int, nn.Module, History], object]


def fit(
    model: nn.Module,
    dataset: Dataset,
    *,
    epochs: int,
    batch_size: int = 128,
    lr: float = 0.1,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    schedule: str = "constant",
    milestones: Sequence[int] = (),
    gamma: float = 0.1,
    augment: str | None = None,
    tracker: DynamicsTracker | None = None,
    track: str = "train",
    callbacks: Sequence[Callback] = (),
    seed: int = 0,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
    device: torch.device | str | None = None,
) -> History:
    """Train a classifier in place by stochastic gradient descent on the cross-entropy.

    The same arguments and initial weights give the same weights, bit for bit on the CPU with
    the same number of threads. Batches, augmentation and dropout have random streams of their
    own under `seed`; the global generators are left as they were. They are held for the whole
    run (`memlib.runtime.seeded`), so two calls in two threads run one after the other.

    Whatever ends the run, the model gets its mode back; an error or interruption also drops the
    tracker's open epoch, while the weights and the epochs closed stay as they are then.

    What the tracker sees. With `track="train"` it gets the logits of the training pass, for
    free: in train mode (dropout, batch norm), of the augmented images, while the weights move
    during the epoch. If it wants input gradients, they come from the same backward pass and cost
    one more product in the first layer; each is exactly the gradient of the sample's own loss
    (at its augmented image), unless the model has batch norm: then a sample's input moves the
    other losses of its batch, and their gradients are added in. With `track="eval"` one extra
    pass at the *start* of each epoch, in eval mode and without augmentation, gives index t of
    the scores exactly the weights w_t of Eq. 3 and 4 of `orders`, t = 0 .. epochs - 1 counted in
    epochs; it costs a forward pass (with input gradients, a backward pass too; with curvatures, the
    exact ones, a backward pass per class).

    Args:
        model: Network from images (b, c, h, w) to logits (b, k); it is moved to the device.
        dataset: Training samples.
        epochs: Passes over the data.
        batch_size: Samples per step; the last batch of an epoch may be smaller.
        lr: Learning rate; the peak for one-cycle.
        momentum: Momentum of SGD, in [0, 1).
        weight_decay: Factor of the weights added to their gradient.
        schedule: `"constant"`; `"step"`: times `gamma` at each milestone; `"one-cycle"`: up and
            down over all steps, the momentum held (the peak, if there is a single step).
        milestones: Epochs at which `"step"` lowers the rate, increasing.
        gamma: Factor of `"step"`.
        augment: `"crop-flip"`: a crop at random after padding by 4 black pixels, and a
            horizontal flip with probability 1/2; None for the images as they are.
        tracker: Tracker to feed; its `end_epoch` is called once per epoch.
        track: Which pass feeds it.
        callbacks: Each called as `callback(epoch, model, history)` after every epoch, before the
            checkpoint is written.
        seed: Seed of batches, augmentation and dropout.
        checkpoint: File written atomically before the first epoch and after each. If it exists,
            training goes on where it was, whatever the weights and the tracker hold by then, and
            the result equals the uninterrupted one; if it holds a finished run, fit returns at
            once with its weights. A run that fails in its first batch leaves none.
        progress: Show a bar; None: only where standard error is a terminal.
        device: Where to train; None takes `memlib.device()`.

    Returns:
        Loss and accuracy of each epoch, from the training passes.

    Raises:
        NotPositive: epochs, batch_size, lr or gamma is not positive.
        UnknownName: schedule, augment or track is none of those above.
        InvalidInput: momentum, weight_decay or milestones cannot be used, or the tracker has
            another number of classes, or wants curvatures in the training pass or of a network
            that is smooth in its input.
        WrongShape: The model's output is not (b, k).
        UnknownIds: The tracker does not know an id of the data set.
        TrainingDiverged: The loss is not finite; noticed at the end of the epoch.
        ForeignResult: The checkpoint is of other settings, model or data; names which.
        CorruptResult: The checkpoint is truncated, edited or not one of these.

    Example:
        >>> from memlib import data, models, training
        >>> digits = data.load("digits")
        >>> network = models.mlp(shape=digits.images.shape[1:], width=32)
        >>> history = training.fit(network, digits, epochs=3, progress=False)
        >>> len(history.loss)
        3
    """
    epochs = runtime.whole_number("epochs", epochs)
    batch_size = runtime.whole_number("batch_size", batch_size)
    _check_names(augment, track)
    if not 0.0 <= momentum < 1.0:
        raise InvalidInput("momentum", momentum, "Pass a number from 0 up to, not including, 1.")
    if not 0.0 <= weight_decay < math.inf:
        raise InvalidInput("weight_decay", weight_decay, "Pass 0 or a positive number.")
    steps = math.ceil(len(dataset) / batch_size)
    at_once = math.ceil(_HELD / (batch_size * dataset.num_classes))
    rates = learning_rates(schedule, lr, epochs, steps, milestones=milestones, gamma=gamma)
    if tracker is not None:
        if tracker.classes != dataset.num_classes:
            fix = f"Make the tracker with {dataset.num_classes} classes."
            raise InvalidInput("tracker", f"{tracker.classes} classes", fix)
        unknown = ~torch.isin(dataset.ids.cpu(), tracker.ids)
        if unknown.any():
            fix = "Make the tracker with dataset.ids."
            raise UnknownIds("tracker", dataset.ids.cpu()[unknown].tolist(), fix)
        if tracker.needs_curvatures and track == "train":
            fix = 'Pass track="eval": curvature is that of fixed weights.'
            raise InvalidInput("track", track, fix)
    path = None if checkpoint is None else Path(checkpoint)
    settings = {
        "epochs": epochs,
        "batch_size": batch_size,
        "lr": float(lr),
        "momentum": float(momentum),
        "weight_decay": float(weight_decay),
        "schedule": schedule,
        "milestones": [int(milestone) for milestone in milestones],
        "gamma": float(gamma),
        "augment": augment,
        "track": None if tracker is None else track,
        "seed": int(seed),
        "model": _signature(model),
        "dataset": "" if path is None else dataset.fingerprint(),
    }
    place = runtime.device(device)
    model.to(place)
    dataset = dataset.to(place)
    optimizer = torch.optim.SGD(model.parameters(), lr, momentum, weight_decay=weight_decay)
    history = History()
    with (
        _left_clean(model, tracker, path),
        runtime.seeded(seed, "training"),
        runtime.progress(total=epochs * steps, desc="training", enabled=progress) as bar,
    ):
        if path is not None and path.exists():
            content, random = read_checkpoint(path, settings, _PARTS)
            history = _restore(content, model, optimizer, tracker)
            restore_random(random)
            bar.update(len(history.loss) * steps)
        elif path is not None:  # an interruption of the first epoch can be taken back, too
            write_checkpoint(path, settings, _state(model, optimizer, tracker, history))
        for epoch in range(len(history.loss), epochs):
            started = time.perf_counter()
            if tracker is not None and track == "eval":
                _observe(model, dataset, batch_size, tracker)
                tracker.end_epoch()
            model.train()
            fed = tracker if track == "train" else None
            losses: list[Tensor] = []
            held: list[tuple[Tensor, ...]] = []
            correct = 0
            for step, batch in enumerate(
                batches(dataset, batch_size, augment, seed, epoch), epoch * steps
            ):
                optimizer.param_groups[0]["lr"] = rates[step]
                loss, *seen = _step(model, optimizer, batch, dataset.num_classes, fed)
                losses.append(loss)
                held.append(tuple(seen))
                if len(held) >= at_once:
                    correct += _settle(held, fed)
                bar.update()
            correct += _settle(held, fed)
            mean = _mean_loss(losses, len(dataset), batch_size, epoch, rates[epoch * steps :])
            if fed is not None:
                correct = fed.end_epoch()
            accuracy = correct / len(dataset)
            bar.set_postfix(loss=f"{mean:.3f}", accuracy=f"{accuracy:.3f}")
            history = History(
                (*history.loss, mean),
                (*history.accuracy, accuracy),
                history.seconds + time.perf_counter() - started,
            )
            for callback in callbacks:
                callback(epoch, model, history)
            if path is not None:
                write_checkpoint(path, settings, _state(model, optimizer, tracker, history))
    return history


@contextmanager
def _left_clean(
    model: nn.Module, tracker: DynamicsTracker | None, checkpoint: Path | None
) -> Iterator[None]:
    """Put the model's mode back at the end; after an error, drop the tracker's open epoch.

    An error before anything was changed also removes the checkpoint that the run began with: model
    and tracker are still what it holds, and the next call may be one with other settings.
    """
    was_training = model.training
    fresh = None if checkpoint is None or checkpoint.exists() else checkpoint
    before = _changes(model, tracker)
    try:
        yield
    except BaseException:
        if tracker is not None:
            tracker.drop_epoch()
        if fresh and _changes(model, tracker) == before:
            fresh.unlink(missing_ok=True)
        raise
    finally:
        model.train(was_training)


def _changes(model: nn.Module, tracker: DynamicsTracker | None) -> list[int]:
    """How often each tensor of the model was changed in place, and the epochs of the tracker."""
    tensors = [*model.parameters(), *model.buffers()]
    return [0 if tracker is None else tracker.epochs, *(tensor._version for tensor in tensors)]


@torch.no_grad()
def predict(model: nn.Module, dataset: Dataset, batch_size: int = 1024) -> Tensor:
    """Return the logits of all samples, in eval mode and without augmentation.

    Args:
        model: Network from images (b, c, h, w) to logits (b, k); its mode is left as it was.
        dataset: Samples.
        batch_size: Samples per forward pass.

    Returns:
        Logits (n, k) in the order of the data set, on the device of its labels.

    Raises:
        NotPositive: batch_size is below 1.
        WrongShape: The model's output is not (b, k).
    """
    parameter = next(model.parameters(), dataset.images)
    parts = dataset.images.split(runtime.whole_number("batch_size", batch_size))
    with evaluation(model):
        # Copies: a first layer may change its input in place, and these are the data set's own.
        logits = [model(part.to(parameter.device, copy=True)) for part in parts]
    for part, images in zip(logits, parts, strict=True):
        _check_logits(part, len(images), dataset.num_classes)
    return torch.cat(logits).to(dataset.labels.device)


def _step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    classes: int,
    tracker: DynamicsTracker | None,
) -> tuple[Tensor, ...]:
    """Take one step; return its mean loss, logits, labels, ids, and wanted gradient norms."""
    images, labels, ids = batch
    gradients = tracker is not None and tracker.needs_input_grads
    images.requires_grad_(gradients)
    logits = model(images.clone() if gradients else images)  # as in `_observe`
    _check_logits(logits, len(ids), classes)
    loss = F.cross_entropy(logits, labels, reduction="none").mean()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    seen: tuple[Tensor, ...] = (logits.detach(), labels, ids)
    if gradients:
        slope = torch.zeros_like(images) if images.grad is None else images.grad
        # Of the mean over the batch, each sample's own loss is a b-th part.
        seen += (torch.linalg.vector_norm(slope.flatten(1), dim=1) * len(ids),)
    optimizer.step()
    return loss.detach(), *seen


def _settle(held: list[tuple[Tensor, ...]], tracker: DynamicsTracker | None) -> int:
    """Give the steps held to the tracker, or count the correct among them; let go of them.

    The tracker counts for itself. In bulk, because between two steps even a small operation meets
    cold caches.
    """
    if not held:
        return 0
    logits, labels, ids, *norms = (torch.cat(column) for column in zip(*held, strict=True))
    held.clear()
    if tracker is not None:
        # A gradient reduced to its norm has the same norm.
        tracker.update(ids, logits, labels, norms[0][:, None] if norms else None)
        return 0
    return int((logits.argmax(1) == labels).sum())


def _observe(model: nn.Module, dataset: Dataset, batch_size: int, tracker: DynamicsTracker) -> None:
    """Feed the tracker every sample at the present weights, in eval mode, as it is."""
    gradients = tracker.needs_input_grads
    columns = [dataset.images, dataset.labels, dataset.ids]
    if tracker.needs_curvatures:
        columns.append(input_curvature(model, dataset.images, dataset.labels).trace)
    with evaluation(model), torch.set_grad_enabled(gradients):
        for images, labels, ids, *curvature in zip(
            *(tensor.split(batch_size) for tensor in columns), strict=True
        ):
            images = images.detach().requires_grad_(gradients)
            logits = model(images.clone())  # which a first layer may change in place
            _check_logits(logits, len(images), dataset.num_classes)
            own = None
            if gradients:
                total = F.cross_entropy(logits, labels, reduction="sum")
                (own,) = torch.autograd.grad(total, images)
            tracker.update(ids, logits, labels, own, *curvature)


def _mean_loss(
    losses: list[Tensor], n: int, batch_size: int, epoch: int, rates: list[float]
) -> float:
    """Return an epoch's mean loss per sample; refuse one that is not finite."""
    # One look per epoch: a look per step would make the device wait.
    values = torch.stack(losses).cpu().double()
    broken = ~torch.isfinite(values)
    if broken.any():
        step = int(broken.nonzero()[0])
        raise TrainingDiverged(
            f"The loss became {values[step].item()} in epoch {epoch}, step {step}, at learning "
            f"rate {rates[step]:g}. Lower lr, or warm up with schedule='one-cycle'."
        )
    sizes = torch.full_like(values, batch_size)
    sizes[-1] = n - batch_size * (len(values) - 1)
    return float(values @ sizes) / n


def _check_logits(logits: Tensor, batch: int, classes: int) -> None:
    if logits.shape != (batch, classes):
        fix = f"The model must return logits of shape ({batch}, {classes})."
        raise WrongShape("model", tuple(logits.shape), fix)


def _check_names(augment: str | None, track: str) -> None:
    if augment not in (None, "crop-flip"):
        raise UnknownName("augment", augment, 'Pass None or "crop-flip".')
    if track not in ("train", "eval"):
        raise UnknownName("track", track, 'Pass "train" or "eval".')


def _signature(model: nn.Module) -> str:
    """Return the architecture as text: modules, and name and shape of every tensor."""
    tensors = [f"{name} {tuple(value.shape)}" for name, value in model.state_dict().items()]
    return "\n".join([str(model), *tensors])


def _state(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    tracker: DynamicsTracker | None,
    history: History,
) -> dict[str, Any]:
    parts = (
        model.state_dict(),
        optimizer.state_dict(),
        None if tracker is None else tracker.state_dict(),
        [list(history.loss), list(history.accuracy), history.seconds],
    )
    return dict(zip(_PARTS, parts, strict=True))


def _restore(
    content: dict[str, Any],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    tracker: DynamicsTracker | None,
) -> History:
    if tracker is not None:  # first, since it may refuse: nothing is half restored
        tracker.load_state_dict(content["tracker"])
    model.load_state_dict(content["model"])
    optimizer.load_state_dict(content["optimizer"])
    loss, accuracy, seconds = content["history"]
    return History(tuple(loss), tuple(accuracy), seconds)
