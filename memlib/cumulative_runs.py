"""Losses summed over training, on many random subsets: what the decomposition of CSL starts from.

What ships with memlib was made by `python scripts/store_cumulative.py`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from memlib import data, results, trajectories
from memlib.data import Dataset
from memlib.ensemble import Ensemble, Recipe, train_ensemble
from memlib.errors import InvalidInput
from memlib.runs import draw_subsets
from memlib.runtime import device, scale, seeded
from memlib.runtime import progress as progress_bar
from memlib.shards import own_seed, shard_map, training_sets
from memlib.training import History, fit, predict

STORED = "fmnist-mini-cumulative.npz"
_SUMS = ("gibbs", "cross_entropy")
_STEPS = 255  # of a stored probability


@dataclass(frozen=True, eq=False)
class CumulativeRuns:
    """What `M` networks, each trained on its own subset, lose on every sample over training.

    Sums run over the weights w_0, ..., w_{N-1} at the start of each epoch, in eval mode.

    Attributes:
        model: The network, a key of `memlib.trajectories.NAMES`.
        seed: Seed of subsets, weights and batches.
        epochs: N, the number of epochs.
        ids: Sample ids `(n,)`.
        members: `(M, n)` bool, whether the sample was in the network's training set.
        gibbs: `(M, n)` float32, the sum of 1 - p_y, in [0, N].
        cross_entropy: `(M, n)` float32, the sum of cross-entropies, in nats.
        probability: `(M, n)` float32, p_y of the trained network.
    """

    model: str
    seed: int
    epochs: int
    ids: np.ndarray
    members: np.ndarray
    gibbs: np.ndarray
    cross_entropy: np.ndarray
    probability: np.ndarray

    def __len__(self) -> int:
        return len(self.members)


def cumulative_runs(
    dataset: Dataset,
    model: str,
    *,
    models: int,
    fraction: float = 0.7,
    seed: int = 0,
    epochs: int | None = None,
    progress: bool | None = None,
) -> CumulativeRuns:
    """Train networks on random subsets and add up what each loses on every sample.

    Args:
        dataset: The samples; training runs on the device of its images.
        model: `"mlp"`, `"small-cnn"` or `"resnet18"`, trained by `memlib.trajectories.recipe`.
        models: Number of networks.
        fraction: Share of the samples in each training set.
        seed: Seed of the subsets, weights and batches.
        epochs: Number of epochs, if not the recipe's.
        progress: Show a bar; None: only where standard error is a terminal.

    Returns:
        The sums.

    Raises:
        UnknownName: There is no such network.
        FractionOutOfRange, NotPositive: See `memlib.runs.draw_subsets`.

    Cost: one forward pass over all samples per network and epoch beside the training.
    """
    members = draw_subsets(len(dataset), models, fraction, seed)
    numbers = range(len(members))
    looks = _train(dataset, model, members, numbers, seed, epochs, progress)
    gibbs, cross_entropy, probability = looks.astype(np.float32).transpose(1, 0, 2)
    done = (dataset.ids.cpu().numpy(), members, gibbs, cross_entropy, probability)
    return CumulativeRuns(model, seed, trajectories.recipe(model, epochs)["epochs"], *done)


def audit(dataset: Dataset, runs: CumulativeRuns, numbers: range) -> float:
    """Train some of the networks once more and compare what they lose on every sample.

    Args:
        dataset: What the runs were trained on.
        runs: The runs.
        numbers: Which of its networks.

    Returns:
        The mean absolute difference of the sums of 1 - p_y over their mean, the largest of the
        networks. Rounding in storage leaves about 0.0002; where networks are trained side by
        side, another number of them rounds its matrix products otherwise, and training enlarges
        that. Two different networks differ by more than 0.1.

    Cost: that of training these networks.
    """
    looks = _train(dataset, runs.model, runs.members[numbers], numbers, runs.seed, runs.epochs)
    kept = runs.gibbs[numbers]
    return float((np.abs(looks[:, 0] - kept).mean(1) / kept.mean(1)).max())


def _train(
    dataset: Dataset,
    model: str,
    members: np.ndarray,
    numbers: range,
    seed: int,
    epochs: int | None,
    progress: bool | None = False,
) -> np.ndarray:
    """Train the numbered networks; return sums of both losses, and final probabilities."""
    settings, build = trajectories.recipe(model, epochs), partial(_build, model, dataset)
    looks = np.zeros((len(members), 3, len(dataset)))
    train = _batched if shard_map(build, "auto", dataset)[0] else _sequential
    with progress_bar(total=len(members), desc="subset models", enabled=progress) as bar:
        train(dataset, build, settings, members, numbers, seed, looks, bar.update)
    return looks


def _build(model: str, dataset: Dataset) -> nn.Module:
    """A network whose weights depend on the state of PyTorch's global generator."""
    return trajectories.network(model, dataset, int(torch.randint(2**31, ())))


def _look(logits: Tensor, labels: Tensor) -> np.ndarray:
    """Gibbs loss, cross-entropy and probability of every label, `(3, n)`."""
    own = logits.double().log_softmax(1).gather(1, labels[:, None])[:, 0]
    return torch.stack([-own.expm1(), -own, own.exp()]).cpu().numpy()


def _add(looks: np.ndarray, look: np.ndarray) -> None:
    """Add the losses to the sums; a probability replaces the one before."""
    looks[:2] += look[:2]
    looks[2] = look[2]


def _batched(
    dataset: Dataset,
    build: Callable[[], nn.Module],
    settings: dict[str, Any],
    members: np.ndarray,
    numbers: range,
    seed: int,
    looks: np.ndarray,
    done: Callable[[int], Any],
) -> None:
    def observe(epoch: int, ensemble: Ensemble) -> None:
        for place, sums in enumerate(looks):
            _add(sums, _look(ensemble.predict(place, dataset), dataset.labels))

    ensemble = train_ensemble(
        build,
        dataset,
        training_sets(members),
        Recipe(**settings),
        numbers=numbers,
        seed=seed,
        each_epoch=observe,
    )
    for place, sums in enumerate(looks):
        sums[2] = _look(ensemble.predict(place, dataset), dataset.labels)[2]
    done(len(members))


def _sequential(
    dataset: Dataset,
    build: Callable[[], nn.Module],
    settings: dict[str, Any],
    members: np.ndarray,
    numbers: range,
    seed: int,
    looks: np.ndarray,
    done: Callable[[int], Any],
) -> None:
    where = dataset.images.device
    for number, row, sums in zip(numbers, members, looks, strict=True):
        with seeded(seed, "init", number):
            network = build().to(where)
        _add(sums, _look(predict(network, dataset, 250), dataset.labels))

        def observe(
            epoch: int, network: nn.Module, history: History, sums: np.ndarray = sums
        ) -> None:
            look = _look(predict(network, dataset, 250), dataset.labels)
            if epoch + 1 < settings["epochs"]:
                _add(sums, look)
            else:
                sums[2] = look[2]

        own = dataset.select(torch.from_numpy(np.flatnonzero(row)))
        kept: dict[str, Any] = {"callbacks": [observe], "progress": False, "device": where}
        fit(network, own, seed=own_seed(seed, number), **settings, **kept)
        done(1)


# Storage ---------------------------------------------------------------------------------------


def record(
    dataset: Dataset,
    networks: Mapping[str, int],
    *,
    out: Path | str,
    sets: Sequence[int] = (1, 2, 3),
    fraction: float = 0.7,
    epochs: int | None = None,
    progress: bool | None = None,
) -> list[CumulativeRuns]:
    """Train disjoint sets of networks and write their sums to one file.

    Sums are stored in half precision, a relative error below 0.1 %, and probabilities in steps of
    1/255. Each finished set is kept beside the file, so that an interrupted call goes on.

    Args:
        dataset: The samples.
        networks: Networks in each set, by key of `memlib.trajectories.NAMES`.
        out: The file, npz.
        sets: The seed of each set.
        fraction: Share of the samples in each training set.
        epochs: Number of epochs, if not the recipes'.
        progress: Show a bar; None: only where standard error is a terminal.

    Returns:
        The sets as `load` reads them back, network by network.

    Raises:
        UnknownName: There is no such network.
        FractionOutOfRange, NotPositive: See `memlib.runs.draw_subsets`.
        ForeignResult: The file, or a part beside it, is of other settings.
    """
    out = Path(out)
    settings: dict[str, Any] = {"data": dataset.name, "fingerprint": dataset.fingerprint()}
    settings |= {"networks": dict(networks), "sets": list(sets), "fraction": fraction}
    settings["recipes"] = {model: trajectories.recipe(model, epochs) for model in networks}
    if out.exists():
        results.load_arrays(out, settings=settings)
        return load(out)
    arrays, parts, seconds = {"ids": dataset.ids.cpu().numpy()}, [], 0.0
    for model, models in networks.items():
        for seed in sets:
            part = out.with_name(f"{out.name}.{model}-{seed}.npz")
            if not part.exists():
                began = time.perf_counter()
                runs = cumulative_runs(
                    dataset,
                    model,
                    models=models,
                    fraction=fraction,
                    seed=seed,
                    epochs=epochs,
                    progress=progress,
                )
                took = time.perf_counter() - began
                results.save_arrays(part, _packed(runs), _stamp(settings, took))
            packed, made = results.load_arrays(part, settings=settings)
            arrays |= {f"{model}-{seed}-{name}": values for name, values in packed.items()}
            seconds += made.wall_seconds
            parts.append(part)
    results.save_arrays(out, arrays, _stamp(settings, seconds))
    for part in parts:
        part.unlink()
    return load(out)


def load(path: Path | str | None = None) -> list[CumulativeRuns]:
    """Read the sets that `record` wrote; without a path those that ship with memlib.

    Shipped are three disjoint sets each of the MLP and the small CNN on `fmnist-mini`.

    Args:
        path: The file.

    Returns:
        The sets, network by network.

    Raises:
        MissingData: There is no such file.
        CorruptResult: It is truncated, edited, or holds something else.

    Example:
        >>> from memlib import cumulative_runs
        >>> runs = cumulative_runs.load()[0]
        >>> runs.model, runs.gibbs.shape == runs.members.shape
        ('mlp', True)
    """
    arrays, made = results.load_arrays(results.stored(STORED) if path is None else path)
    ids, found = arrays["ids"], []
    for model, kept in made.settings["recipes"].items():
        for seed in made.settings["sets"]:
            part = {name: arrays[f"{model}-{seed}-{name}"] for name in (*_SUMS, "probability")}
            bits = np.unpackbits(arrays[f"{model}-{seed}-members"], axis=1, count=len(ids))
            sums = (part[name].astype(np.float32) for name in _SUMS)
            probability = part["probability"].astype(np.float32) / _STEPS
            values = (ids, bits.astype(bool), *sums, probability)
            found.append(CumulativeRuns(model, seed, kept["epochs"], *values))
    return found


def subset_sets(
    *,
    folder: Path | str = ".",
    networks: Mapping[str, int] = MappingProxyType({"mlp": 16, "resnet18": 4}),
    epochs: int | None = None,
    progress: bool | None = None,
) -> tuple[Dataset, dict[str, list[CumulativeRuns]]]:
    """Return the data set and the sets of networks of a lab, at the scale that `scale()` says.

    At `"cpu"` these are `fmnist-mini` and the sets that ship with memlib. At `"gpu"` three sets
    of 16 MLPs and 4 ResNet-18 are trained on CIFAR-100, or read back from the folder; that takes
    half a day on one accelerator, is stored in `cifar100-cumulative.npz`, and can be interrupted.

    Args:
        folder: Where the sets of the larger scale are kept.
        networks: Networks in each set at the larger scale.
        epochs: Number of epochs at the larger scale, if not the recipes'.
        progress: Show a bar; None: only where standard error is a terminal.

    Returns:
        The data set, on the accelerator at `"gpu"`, and the sets by name (`"MLP"`, `"CNN"` or
        `"ResNet-18"`).

    Raises:
        MissingData: CIFAR-100 is not there; the message says how to get it.
    """
    if scale() == "gpu":
        dataset, out = data.load("cifar100").to(device()), Path(folder) / "cifar100-cumulative.npz"
        found = record(dataset, networks, out=out, epochs=epochs, progress=progress)
    else:
        dataset, found = data.load("fmnist-mini"), load()
    names = dict.fromkeys(trajectories.NAMES[runs.model] for runs in found)
    return dataset, {
        name: [runs for runs in found if trajectories.NAMES[runs.model] == name] for name in names
    }


def _packed(runs: CumulativeRuns) -> dict[str, np.ndarray]:
    packed = {name: getattr(runs, name).astype(np.float16) for name in _SUMS}
    packed["probability"] = (runs.probability * _STEPS).round().astype(np.uint8)
    return packed | {"members": np.packbits(runs.members, axis=1)}


def _stamp(settings: dict[str, Any], seconds: float) -> results.Provenance:
    return results.provenance("python scripts/store_cumulative.py", settings, seconds)


def join(sets: Sequence[CumulativeRuns]) -> CumulativeRuns:
    """Return several sets of networks of one kind as one.

    Args:
        sets: Sets of the same network, samples and number of epochs.

    Returns:
        One set, with the seed of the first.

    Raises:
        InvalidInput: They differ, or there is none.
    """
    kinds = {(runs.model, runs.epochs, runs.ids.tobytes()) for runs in sets}
    if len(kinds) != 1:
        raise InvalidInput("sets", f"{len(kinds)} kinds", "Pass sets of one network and data set.")
    rows = ("members", "gibbs", "cross_entropy", "probability")
    stacked = (np.concatenate([getattr(runs, name) for runs in sets]) for name in rows)
    first = sets[0]
    return CumulativeRuns(first.model, first.seed, first.epochs, first.ids, *stacked)
