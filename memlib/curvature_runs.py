"""Curvature over training: of the tracked runs, exactly and as published code estimates it.

The runs are those of `memlib.trajectories`, trained again with the same seeds, so that loss,
gradient and curvature of a sample at an epoch belong to the same weights. Curvature is measured on
some of the samples, since it costs as much as several epochs of training.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from memlib import data, results, runtime, training, trajectories
from memlib.curvature import input_curvature
from memlib.data import Dataset
from memlib.errors import TooLarge

STORED = "fmnist-mini-curvature.npz"
STEP, PROBES = 1e-3, 10  # of `orders`, C.5, and `privacy`, 6.2
SAMPLES = 1000
_KINDS = ("trace", "difference")


@dataclass(frozen=True, eq=False)
class CurvatureRun:
    """Input curvature of some samples at w_0, ..., w_{N-1} of one training run of N epochs.

    Attributes:
        model: The network, a key of `memlib.trajectories.NAMES`.
        seed: Seed of its weights and batches.
        ids: Sample ids `(m,)`, the order of the columns.
        trace: `(N, m)` float32, tr(H), exact, in nats per squared unit of normalized pixel.
        difference: `(N, m)` float32, the score of published code: the mean norm of the difference
            of gradients at steps of 0.001 along ten random sign vectors.
    """

    model: str
    seed: int
    ids: np.ndarray
    trace: np.ndarray
    difference: np.ndarray


def watch_curvature(
    dataset: Dataset,
    model: str,
    seed: int = 0,
    *,
    samples: int = SAMPLES,
    epochs: int | None = None,
    looks: int | None = None,
    device: torch.device | str | None = None,
    progress: bool | None = False,
) -> CurvatureRun:
    """Train a network by its recipe and measure curvature at the start of every epoch.

    Cost per look, for a thousand images and ten classes, on one core: a tenth of a second for the
    MLP, three for the small CNN, nearly all of it for the finite differences.

    Args:
        dataset: Training samples.
        model: A key of `memlib.trajectories.NAMES`.
        seed: Seed of the weights, batches and random signs.
        samples: Curvature is measured of this many samples, the first ones.
        epochs: Number of epochs, if not the recipe's.
        looks: Stop after so many measurements; None: one per epoch.
        device: Where to train and measure; None takes `memlib.device()`.
        progress: Show a bar, a look at a time; None: only where standard error is a terminal.

    Returns:
        The curvatures, one row per look.

    Raises:
        UnknownName: There is no such network.
        NotPositive: A count is below 1.
        TooLarge: The data set has fewer samples.
    """
    samples = runtime.whole_number("samples", samples)
    if samples > len(dataset):
        raise TooLarge("samples", samples, f"The data set has {len(dataset)}.")
    recipe = trajectories.recipe(model, epochs)
    wanted = recipe["epochs"] if looks is None else runtime.whole_number("looks", looks)
    part = dataset.select(range(samples))
    place = runtime.device(device)
    network = trajectories.network(model, dataset, seed).to(place)
    rows: dict[str, list[np.ndarray]] = {kind: [] for kind in _KINDS}

    def look(epoch: int, model: nn.Module, history: training.History) -> None:
        if len(rows["trace"]) == wanted:
            raise _EnoughError
        exact = input_curvature(model, part.images, part.labels)
        estimate = input_curvature(
            model,
            part.images,
            part.labels,
            estimator="finite-difference",
            step=STEP,
            probes=PROBES,
            ids=part.ids,
            seed=seed,
        )
        assert estimate.published is not None
        rows["trace"].append(exact.trace.cpu().numpy().astype(np.float32))
        rows["difference"].append(estimate.published.cpu().numpy().astype(np.float32))
        bar.update()

    with runtime.progress(total=wanted, desc="looks", enabled=progress) as bar:
        look(-1, network, training.History())
        with suppress(_EnoughError):
            training.fit(
                network,
                dataset,
                **recipe,
                callbacks=[look],
                seed=seed,
                progress=False,
                device=place,
            )
    kept = {kind: np.stack(values[:wanted]) for kind, values in rows.items()}
    return CurvatureRun(model, seed, part.ids.cpu().numpy().copy(), **kept)


def record(
    dataset: Dataset,
    networks: Sequence[str],
    *,
    out: Path | str,
    seeds: int = 3,
    samples: int = SAMPLES,
    epochs: int | None = None,
    device: torch.device | str | None = None,
    progress: bool | None = False,
) -> list[CurvatureRun]:
    """Measure several networks and seeds and write them to one file; an existing one is read.

    Args:
        dataset: Training samples.
        networks: Keys of `memlib.trajectories.NAMES`.
        out: The file, npz.
        seeds: Number of runs of each network, with the seeds 0, 1, ...
        samples: Curvature is measured of this many samples, the first ones.
        epochs: Number of epochs, if not the recipes'.
        device: As in `watch_curvature`, as is `progress`, for every run a bar of its own.

    Returns:
        The runs, network by network.

    Raises:
        UnknownName, NotPositive, TooLarge: As for `watch_curvature`.
        ForeignResult: The file holds runs of other settings.
    """
    out, count = Path(out), runtime.whole_number("seeds", seeds)
    settings = {"data": dataset.name, "fingerprint": dataset.fingerprint(), "seeds": count}
    settings |= {"samples": samples, "step": STEP, "probes": PROBES}
    settings["recipes"] = {model: trajectories.recipe(model, epochs) for model in networks}
    if out.exists():
        results.load_arrays(out, settings=settings)
        return load(out)
    began = time.perf_counter()
    runs = [
        watch_curvature(
            dataset,
            model,
            seed,
            samples=samples,
            epochs=epochs,
            device=device,
            progress=progress,
        )
        for model in networks
        for seed in range(count)
    ]
    arrays = {f"{r.model}-{r.seed}-{kind}": getattr(r, kind) for r in runs for kind in _KINDS}
    stamp = results.provenance(
        "memlib.curvature_runs.record", settings, time.perf_counter() - began
    )
    results.save_arrays(out, arrays | {"ids": runs[0].ids}, stamp)
    return runs


def load(path: Path | str | None = None) -> list[CurvatureRun]:
    """Read the runs that `record` wrote; without a path those that ship with memlib.

    Shipped are three seeds each of the MLP and the small CNN on `fmnist-mini`, 1,000 samples.

    Args:
        path: The file.

    Returns:
        The runs, network by network, seeds in order.

    Raises:
        MissingData: There is no such file.
        CorruptResult: It is truncated, edited, or holds something else.
    """
    arrays, made = results.load_arrays(results.stored(STORED) if path is None else path)
    return [
        CurvatureRun(
            model, seed, arrays["ids"], *(arrays[f"{model}-{seed}-{kind}"] for kind in _KINDS)
        )
        for model in made.settings["recipes"]
        for seed in range(made.settings["seeds"])
    ]


def tracked(
    *,
    folder: Path | str = ".",
    epochs: int | None = None,
    samples: int = SAMPLES,
    seeds: int = 3,
    device: torch.device | str | None = None,
    progress: bool | None = None,
) -> dict[tuple[str, int], CurvatureRun]:
    """Return the runs of a lab, at the scale that `memlib.scale()` says.

    At `"gpu"` the MLP and ResNet-18 are trained on CIFAR-100, which takes hours and is stored in
    `cifar100-curvature.npz`.

    Args:
        folder: Where the runs of the larger scale are kept.
        epochs: Number of epochs at the larger scale, if not the recipes'.
        samples: Number of samples measured at the larger scale.
        seeds: Number of runs of each network at the larger scale.
        device: As in `watch_curvature`, as is `progress`.

    Returns:
        The runs by name (`"MLP"`, `"CNN"` or `"ResNet-18"`) and seed.

    Raises:
        MissingData: CIFAR-100 is not there; the message says how to get it.
    """
    if runtime.scale() == "gpu":
        out = Path(folder) / "cifar100-curvature.npz"
        runs = record(
            data.load("cifar100"),
            ["mlp", "resnet18"],
            out=out,
            epochs=epochs,
            samples=samples,
            seeds=seeds,
            device=device,
            progress=progress,
        )
    else:
        runs = load()
    return {(trajectories.NAMES[run.model], run.seed): run for run in runs}


class _EnoughError(Exception):
    """A run has been measured as often as was asked for."""
