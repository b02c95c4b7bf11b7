"""One shard of many networks: how it is trained, what determines it, what its networks say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from memlib.ensemble import Recipe, linear_layers, train_ensemble
from memlib.errors import TrainingDiverged, UnknownName
from memlib.runtime import rng, seeded, side_by_side
from memlib.training import fit, predict

if TYPE_CHECKING:
    from memlib.data import Dataset
    from memlib.private_training import PrivateRecipe

Factory = Callable[[], nn.Module]
Method = Literal["auto", "batched", "sequential"]
Mapper = Callable[..., Iterator[Any]]  # `map`, or the same over several shards at a time
Predictor = Callable[["Dataset"], Tensor]  # from samples to logits (n, k)


def shard_map(model: Factory, method: Method, dataset: Dataset) -> tuple[bool, Mapper]:
    """Return whether networks are trained at once, and how training is mapped over shards.

    Args:
        model: Builds one network.
        method: `"batched"`, `"sequential"`, or `"auto"`: batched if the network is fully connected.
        dataset: Batched shards on a CPU are trained side by side.

    Returns:
        True for batched; and `map`, or the same over several shards at a time.

    Raises:
        UnknownName: `method` is none of the three.
    """
    if method not in ("auto", "batched", "sequential"):
        raise UnknownName("method", method, "Choose 'auto', 'batched' or 'sequential'.")
    if method == "auto":
        with seeded(0):
            method = "sequential" if linear_layers(model()) is None else "batched"
    batched = method == "batched"
    return batched, partial(side_by_side, where=dataset.images.device) if batched else map


def run_settings(
    dataset: Dataset,
    model: Factory,
    *,
    recipe: Recipe | PrivateRecipe,
    targets: Dataset | None = None,
    shard: int = 16,
    method: Method = "auto",
    **rest: Any,
) -> dict[str, Any]:
    """Return all that determines the numbers of a set of runs, as plain values for provenance.

    Args:
        dataset: The samples; the contents count, and the device.
        model: Builds one network; its structure counts.
        recipe: How each network is trained, a dataclass.
        targets: A second data set, or None.
        shard: Networks trained at once.
        method: How they are trained.
        **rest: Further settings, plain values.

    Returns:
        Settings for `memlib.results.provenance`.
    """
    with seeded(0):
        structure = " ".join(str(model()).split())
    return {
        "dataset": dataset.name,
        "fingerprint": dataset.fingerprint(),
        "targets": None if targets is None else targets.fingerprint(),
        "model": structure,
        "device": dataset.images.device.type,
        "recipe": asdict(recipe),
        "shard": shard,
        "method": method,
        **rest,
    }


def shard_trainer(
    model: Factory, method: Method, dataset: Dataset
) -> tuple[Callable[..., dict[str, np.ndarray]], Mapper]:
    """Return how to train one shard and evaluate its networks, and how to map that over shards.

    Args:
        model: As in `memlib.runs.subset_runs`, as is `method`.
        method: Whether its networks are trained at once.
        dataset: Its device decides whether shards are trained side by side.

    Returns:
        `train(dataset, members, recipe, numbers, seed, targets)`, which trains the networks of
        these numbers on the rows `(m, n)` of `members` and returns what `verdicts` does; and
        `map`, or the same over several shards at a time.

    Raises:
        UnknownName: `method` is none of the three.
    """
    batched, over = shard_map(model, method, dataset)
    predictors = _batched if batched else _sequential

    def train(
        dataset: Dataset,
        members: np.ndarray,
        recipe: Recipe,
        numbers: range,
        seed: int,
        targets: Dataset | None,
    ) -> dict[str, np.ndarray]:
        trained = predictors(model, dataset, training_sets(members), recipe, numbers, seed)
        return verdicts(trained, dataset, targets, numbers, recipe.lr)

    return train, over


def _batched(
    model: Factory, dataset: Dataset, rows: Tensor, recipe: Recipe, numbers: range, seed: int
) -> Iterator[Predictor]:
    ensemble = train_ensemble(model, dataset, rows, recipe, numbers=numbers, seed=seed)
    for place in range(len(ensemble)):
        yield partial(ensemble.predict, place)


def _sequential(
    model: Factory, dataset: Dataset, rows: Tensor, recipe: Recipe, numbers: range, seed: int
) -> Iterator[Predictor]:
    for row, number in zip(rows, numbers, strict=True):
        with seeded(seed, "init", number):
            network = model()
        own, where = dataset.select(row), dataset.images.device
        kept: dict[str, Any] = {"seed": own_seed(seed, number), "progress": False, "device": where}
        fit(network, own, **kept, **asdict(recipe))
        yield partial(predict, network)


def own_seed(seed: int, number: int) -> int:
    """Return the seed of one network's training, the same whichever others are trained with it.

    Args:
        seed: The seed of all.
        number: The network's number.
    """
    return int(rng(seed, "fit", number).integers(2**31))


def training_sets(members: np.ndarray) -> Tensor:
    """Turn a mask whose rows hold equally many samples into positions.

    Args:
        members: `(M, n)` bool, m samples in each row.

    Returns:
        `(M, m)` int64, increasing in each row.
    """
    return torch.from_numpy(np.nonzero(members)[1].reshape(len(members), -1))


def verdicts(
    predictors: Iterable[Predictor],
    dataset: Dataset,
    targets: Dataset | None,
    numbers: range,
    lr: float,
) -> dict[str, np.ndarray]:
    """Evaluate networks one after the other on every sample, and on every target.

    Args:
        predictors: One for each network, from samples to logits.
        dataset: The n samples.
        targets: A second data set of q samples, or None.
        numbers: The numbers of the m networks, for the error.
        lr: Their learning rate, for the error.

    Returns:
        `correct` (m, n) bool and `target_correct` (m, q) bool, whether the label is predicted
        (q = 0 without targets); `probability` and `log_odds` of the label, (m, n) float32.

    Raises:
        TrainingDiverged: A network's probabilities are not finite.
    """
    nobody, found = np.empty(0, dtype=bool), []
    for predictor in predictors:
        logits = predictor(dataset)
        correct, probability = verdict(logits, dataset)
        if not np.isfinite(probability).all():
            raise TrainingDiverged(
                f"A network among {numbers.start} to {numbers.stop - 1} gives probabilities "
                f"that are not finite, at lr={lr}. Lower lr."
            )
        hits = nobody if targets is None else verdict(predictor(targets), targets)[0]
        odds = log_odds(logits, dataset.labels).cpu().numpy()
        found.append((correct, probability, hits, odds))
    names = ("correct", "probability", "target_correct", "log_odds")
    return {
        name: np.stack(part) for name, part in zip(names, zip(*found, strict=True), strict=True)
    }


def verdict(logits: Tensor, dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Return whether each label is predicted, `(n,)` bool, and its softmax probability, `(n,)`.

    Args:
        logits: Outputs `(n, k)`.
        dataset: The samples that they belong to.

    Returns:
        Two NumPy arrays.
    """
    correct = logits.argmax(1) == dataset.labels
    probability = logits.softmax(1).gather(1, dataset.labels[:, None])[:, 0]
    return correct.cpu().numpy(), probability.cpu().numpy()


def log_odds(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the log odds of each label under the softmax: `log(p / (1 - p))`, without rounding p.

    Args:
        logits: Outputs `(b, k)`.
        labels: Labels `(b,)`, each from 0 to k - 1.

    Returns:
        `(b,)`: the label's logit minus the log-sum-exp of the others; higher = more confident.
    """
    others = logits.scatter(1, labels[:, None], -torch.inf).logsumexp(1)
    return logits.gather(1, labels[:, None])[:, 0] - others
