"""Tracked training runs: every sample's loss, input gradient and verdict at every epoch.

The book's networks and how each is trained stand here once, for every lab and for both scales.
The runs on `fmnist-mini` ship with memlib.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from memlib import data, models, results, runtime, training
from memlib.data import Dataset
from memlib.dynamics import DynamicsTracker
from memlib.errors import UnknownName
from memlib.learning_times import first_correct, learning_time, stable_correct
from memlib.losses import input_gradients

__all__ = [
    "NAMES",
    "STORED",
    "Trajectories",
    "audit",
    "first_correct",
    "learning_time",
    "load",
    "network",
    "recipe",
    "record",
    "stable_correct",
    "tracked",
    "watch",
]

STORED = "fmnist-mini-loss-and-gradient.npz"
NAMES = {"mlp": "MLP", "small-cnn": "CNN", "resnet18": "ResNet-18"}  # as labs and figures say
_BUILD: dict[str, Any] = {
    "mlp": models.mlp,
    "small-cnn": models.small_cnn,
    "resnet18": models.resnet18,
}
_RECIPES: dict[str, dict[str, Any]] = {
    "mlp": {"epochs": 40, "lr": 0.05, "batch_size": 100, "schedule": "one-cycle"},
    "small-cnn": {"epochs": 24, "lr": 0.1, "batch_size": 100, "schedule": "one-cycle"},
    "resnet18": {
        "epochs": 200,
        "lr": 0.1,
        "batch_size": 128,
        "weight_decay": 1e-4,
        "schedule": "step",
        "augment": "crop-flip",
    },
}
_KINDS = ("loss", "gradient", "correct")


@dataclass(frozen=True, eq=False)
class Trajectories:
    """What one training run of N epochs says about every sample, at the weights w_0, ..., w_N.

    Row t < N is the start of epoch t, in eval mode: the sums over rows 0 to N - 1 are the CSL and
    CSG of Eq. 3 of `orders`. Row N is the trained network. Batch norm has the running statistics
    of its initialization in row 0, so that loss and gradients can be extreme there.

    Attributes:
        model: The network, a key of `NAMES`.
        seed: Seed of its weights and batches.
        ids: Sample ids `(n,)`, the order of the columns.
        loss: `(N + 1, n)` float32, cross-entropy in nats.
        gradient: `(N + 1, n)` float32, squared norm of the loss gradient in the sample's own
            input, in (nats per unit of normalized pixel)^2.
        correct: `(N + 1, n)` bool.
    """

    model: str
    seed: int
    ids: np.ndarray
    loss: np.ndarray
    gradient: np.ndarray
    correct: np.ndarray

    @property
    def epochs(self) -> int:
        """N, the number of epochs."""
        return len(self.loss) - 1

    @property
    def csl(self) -> np.ndarray:
        """Cumulative loss `(n,)`, nats, over t < N; higher = harder."""
        return self.loss[:-1].sum(0, dtype=np.float64)

    @property
    def csg(self) -> np.ndarray:
        """Cumulative squared input gradient `(n,)` over t < N; higher = harder."""
        return self.gradient[:-1].sum(0, dtype=np.float64)

    @property
    def tau(self) -> float:
        """The book's threshold for Eq. 4: half the median squared gradient at w_0."""
        return float(np.median(self.gradient[0])) / 2

    @property
    def accuracy(self) -> float:
        """Share of the training samples that the trained network gets right."""
        return float(self.correct[-1].mean())


def recipe(model: str, epochs: int | None = None) -> dict[str, Any]:
    """Return how the book trains a network, as keyword arguments of `memlib.training.fit`.

    `"mlp"` and `"small-cnn"` have the recipe that fits nearly all of `fmnist-mini`; the MLP's is
    that of the stored memorization scores. `"resnet18"` has that of `orders`, appendix C.1: SGD
    at 0.1 with momentum 0.9, weight decay 1e-4, batches of 128, crop and flip, the rate divided by
    10 after 60 % and 90 % of the epochs (120 and 180 of 200).

    Args:
        model: `"mlp"`, `"small-cnn"` or `"resnet18"`.
        epochs: Number of epochs, if not the usual one; at least 3 for `"resnet18"`.

    Returns:
        The settings, a new dictionary.

    Raises:
        UnknownName: There is no such network.
        NotPositive: There are too few epochs.

    Example:
        >>> from memlib.trajectories import recipe
        >>> recipe("resnet18")["milestones"]
        (120, 180)
    """
    if model not in _RECIPES:
        raise UnknownName("model", model, f"Pass {', '.join(_RECIPES)}.")
    settings = dict(_RECIPES[model])
    least = 3 if settings["schedule"] == "step" else 1  # two milestones need room
    if epochs is not None:
        settings["epochs"] = runtime.whole_number("epochs", epochs, least=least)
    if settings["schedule"] == "step":
        settings["milestones"] = (settings["epochs"] * 3 // 5, settings["epochs"] * 9 // 10)
    return settings


def network(model: str, dataset: Dataset, seed: int) -> nn.Module:
    """Return a freshly initialized network for a data set, that of the tracked run of this seed.

    Args:
        model: `"mlp"`, `"small-cnn"` or `"resnet18"`.
        dataset: Gives the shape of the images and the number of classes.
        seed: Seed of the weights.

    Returns:
        The network.

    Raises:
        UnknownName: There is no such network.
    """
    if model not in _BUILD:
        raise UnknownName("model", model, f"Pass {', '.join(_BUILD)}.")
    with runtime.seeded(seed, "init"):
        built: nn.Module = _BUILD[model](dataset.images.shape[1:], dataset.num_classes)
    return built


def watch(
    dataset: Dataset,
    model: str,
    seed: int = 0,
    *,
    epochs: int | None = None,
    checkpoint: Path | str | None = None,
    progress: bool | None = None,
) -> tuple[Trajectories, nn.Module]:
    """Train a network by its recipe and look at every sample at the start of every epoch.

    Takes seconds for the MLP on `fmnist-mini`, a minute for the small CNN, and hours for ResNet-18
    on CIFAR-100. The look costs a forward and a backward pass over the data per epoch.

    Args:
        dataset: Training samples.
        model: `"mlp"`, `"small-cnn"` or `"resnet18"`.
        seed: Seed of the weights, batches and augmentation.
        epochs: Number of epochs, if not the recipe's.
        checkpoint: File that an interrupted call goes on from.
        progress: Show a bar; None: only where standard error is a terminal.

    Returns:
        The trajectories and the trained network.

    Raises:
        UnknownName: There is no such network.
        NotPositive: There are too few epochs.
    """
    settings = recipe(model, epochs)
    built = network(model, dataset, seed)
    tracker = _tracker(dataset)
    training.fit(
        built,
        dataset,
        **settings,
        tracker=tracker,
        track="eval",
        seed=seed,
        checkpoint=checkpoint,
        progress=progress,
    )
    place = next(built.parameters()).device
    for rows in torch.arange(len(dataset)).split(settings["batch_size"]):  # once more, at w_N
        part = dataset.select(rows).to(place)
        gradients = input_gradients(built, part.images, part.labels)
        tracker.update(part.ids, training.predict(built, part), part.labels, gradients)
    tracker.end_epoch()
    kept = tracker.trajectories()
    loss, gradient, correct = (kept[kind] for kind in _KINDS)
    ids = tracker.ids.numpy().copy()
    return Trajectories(model, seed, ids, loss, gradient, correct.astype(bool)), built


def record(
    dataset: Dataset,
    networks: Sequence[str],
    *,
    out: Path | str,
    seeds: int = 3,
    epochs: int | None = None,
    resume: bool = True,
    progress: bool | None = None,
) -> list[Trajectories]:
    """Track runs of several networks and seeds and write them to one file.

    Losses and gradients are stored with nine significant bits, a relative error below 0.2 %. An
    interrupted call goes on from the checkpoints beside the file.

    Args:
        dataset: Training samples.
        networks: Keys of `NAMES`.
        out: The file, npz.
        seeds: Number of runs of each network, with the seeds 0, 1, ...
        epochs: Number of epochs, if not the recipes'.
        resume: Go on from what an earlier call left; False starts anew.
        progress: Show a bar; None: only where standard error is a terminal.

    Returns:
        The runs as `load` reads them back, network by network.

    Raises:
        UnknownName: There is no such network.
        NotPositive: There are too few epochs or seeds.
        ForeignResult: The file holds runs of other settings.
    """
    out, count = Path(out), runtime.whole_number("seeds", seeds)
    settings = {"data": dataset.name, "fingerprint": dataset.fingerprint(), "seeds": count}
    settings["recipes"] = {model: recipe(model, epochs) for model in networks}
    if resume and out.exists():
        results.load_arrays(out, settings=settings)
        return load(out)
    began = time.perf_counter()
    arrays: dict[str, np.ndarray] = {"ids": dataset.ids.cpu().numpy()}
    checkpoints = []
    for model in networks:
        for seed in range(count):
            checkpoint = out.with_name(f"{out.name}.{model}-{seed}.checkpoint")
            if not resume:
                checkpoint.unlink(missing_ok=True)
            checkpoints.append(checkpoint)
            run, _ = watch(
                dataset, model, seed, epochs=epochs, checkpoint=checkpoint, progress=progress
            )
            for kind in _KINDS:
                values = getattr(run, kind)
                packed = np.packbits(values) if values.dtype == bool else _packed(values)
                arrays[f"{model}-{seed}-{kind}"] = packed
    stamp = results.provenance("memlib trajectories", settings, time.perf_counter() - began)
    results.save_arrays(out, arrays, stamp)
    for checkpoint in checkpoints:
        checkpoint.unlink()
    return load(out)


def load(path: Path | str | None = None) -> list[Trajectories]:
    """Read the runs that `record` wrote; without a path those that ship with memlib.

    Shipped are three seeds each of the MLP and the small CNN on `fmnist-mini`.

    Args:
        path: The file.

    Returns:
        The runs, network by network, seeds in order.

    Raises:
        MissingData: There is no such file.
        CorruptResult: It is truncated, edited, or holds something else.

    Example:
        >>> from memlib import trajectories
        >>> run = trajectories.load()[0]
        >>> run.model, run.seed, run.loss.shape
        ('mlp', 0, (41, 5000))
    """
    arrays, made = results.load_arrays(results.stored(STORED) if path is None else path)
    runs = []
    for model in made.settings["recipes"]:
        for seed in range(made.settings["seeds"]):
            *codes, bits = (arrays[f"{model}-{seed}-{kind}"] for kind in _KINDS)
            loss, gradient = map(_unpacked, codes)
            correct = np.unpackbits(bits, count=loss.size).astype(bool).reshape(loss.shape)
            runs.append(Trajectories(model, seed, arrays["ids"], loss, gradient, correct))
    return runs


def tracked(
    *, folder: Path | str = ".", epochs: int | None = None, progress: bool | None = None
) -> tuple[Dataset, dict[tuple[str, int], Trajectories]]:
    """Return the data set and the tracked runs of a lab, at the scale that `memlib.scale()` says.

    At `"cpu"` these are `fmnist-mini` and the runs that ship with memlib. At `"gpu"` the MLP and
    ResNet-18 are trained on CIFAR-100, three seeds each, or read back from the folder; that takes
    hours, is stored in `cifar100-trajectories.npz`, and can be interrupted.

    Args:
        folder: Where the runs of the larger scale are kept.
        epochs: Number of epochs at the larger scale, if not the recipes'.
        progress: Show a bar; None: only where standard error is a terminal.

    Returns:
        The data set, and the runs by name (`"MLP"`, `"CNN"` or `"ResNet-18"`) and seed.

    Raises:
        MissingData: CIFAR-100 is not there; the message says how to get it.
    """
    if runtime.scale() == "gpu":
        dataset, out = data.load("cifar100"), Path(folder) / "cifar100-trajectories.npz"
        runs = record(dataset, ["mlp", "resnet18"], out=out, epochs=epochs, progress=progress)
    else:
        dataset, runs = data.load("fmnist-mini"), load()
    return dataset, {(NAMES[run.model], run.seed): run for run in runs}


def audit(dataset: Dataset, run: Trajectories, rows: int = 2) -> float:
    """Train the first epochs of a run once more and compare.

    Args:
        dataset: What the run was trained on.
        run: The run, of the recipe's number of epochs.
        rows: How many of its first epochs; the first is the untrained network.

    Returns:
        The largest mean difference of the samples' loss or squared gradient in one epoch, over
        the mean of the stored one. Rounding in storage leaves about 0.001.

    Raises:
        NotPositive: rows is below 1.
    """
    again = _tracker(dataset)
    rows = runtime.whole_number("rows", rows)

    def stop(epoch: int, model: nn.Module, history: training.History) -> None:
        if epoch + 1 == rows:
            raise _EnoughError

    settings = {**recipe(run.model), "tracker": again, "track": "eval", "seed": run.seed}
    with suppress(_EnoughError):
        built = network(run.model, dataset, run.seed)
        training.fit(built, dataset, **settings, callbacks=[stop], progress=False)
    worst = 0.0
    for kind, values in again.trajectories().items():
        if kind in ("loss", "gradient"):
            kept = getattr(run, kind)[:rows]
            differences = np.abs(values - kept).mean(1) / kept.mean(1)
            worst = max(worst, float(differences.max()))
    return worst


class _EnoughError(Exception):
    """Ends a training run early."""


def _tracker(dataset: Dataset) -> DynamicsTracker:
    return DynamicsTracker(dataset.ids, dataset.num_classes, input_grads=True, trajectories=True)


def _packed(values: np.ndarray) -> np.ndarray:
    """Non-negative float32 as uint16: the exponent and nine significant bits, rounded."""
    return ((values.view(np.uint32) + (1 << 14)) >> 15).astype(np.uint16)


def _unpacked(codes: np.ndarray) -> np.ndarray:
    """Float32 from what `_packed` returned."""
    return (codes.astype(np.uint32) << 15).view(np.float32)
