"""Private networks trained in pairs on random halves: what private memorization starts from."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from memlib.private_ensemble import train_private_ensemble
from memlib.private_training import PrivateRecipe, train_private
from memlib.runs import Runs, sharded_runs
from memlib.runtime import rng, seeded, whole_number
from memlib.shards import (
    Factory,
    Method,
    Predictor,
    own_seed,
    run_settings,
    shard_map,
    verdicts,
)
from memlib.training import predict

if TYPE_CHECKING:
    from memlib.data import Dataset

_FEWEST = 40  # samples; below, a training set could come out empty


def draw_pairs(n: int, pairs: int, seed: int) -> np.ndarray:
    """Draw training sets in pairs: a coin for every sample, and the complement.

    Every sample is in exactly one set of each pair. Given that a set holds sample `i`, each other
    sample is in it with probability 1/2, independently, and the same is true given that it does
    not hold `i`: in-runs and out-runs differ by adding one sample, which is what differential
    privacy speaks of. Subsets of equal size would differ by exchanging two.

    Args:
        n: Number of samples, at least 40.
        pairs: Number of pairs.
        seed: The seed. The first `k` pairs are the same for every `pairs >= k`.

    Returns:
        `(2 pairs, n)` bool; rows `2 j` and `2 j + 1` are a pair.

    Raises:
        NotPositive: `pairs` is below 1 or `n` below 40.
    """
    n, pairs = whole_number("n", n, least=_FEWEST), whole_number("pairs", pairs)
    random = rng(seed, "pairs")
    coins = np.stack([random.random(n) < 0.5 for _ in range(pairs)])
    return np.stack([coins, ~coins], axis=1).reshape(2 * pairs, n)


def private_runs(
    dataset: Dataset,
    model: Factory,
    recipe: PrivateRecipe,
    *,
    pairs: int,
    seed: int = 0,
    targets: Dataset | None = None,
    folder: str | Path | None = None,
    shard: int = 8,
    method: Method = "auto",
    device: torch.device | str | None = None,
    progress: bool | None = None,
) -> Runs:
    """Train private networks on pairs of random halves and evaluate each on all samples.

    All networks take their sampling rate, steps and divisor from `n // 2`, however many samples
    their own half has: the mechanism is the same with and without a sample, so each network is as
    private as `recipe.bound(n // 2)` says.

    Args:
        dataset: The n samples to be scored.
        model: Builds one freshly initialized network without batch norm.
        recipe: How each network is trained.
        pairs: Number of pairs (see `draw_pairs`): every sample is in this many runs, and out of
            as many.
        seed: Seed of the halves, initial weights, draws and noise.
        targets: A second data set, usually the test set, on which each network is evaluated too.
        folder: Where finished shards are kept; the same call goes on where it was interrupted.
        shard: Pairs trained at once, and the unit of resumption.
        method: `"batched"` (fully connected networks, see `memlib.private_ensemble`),
            `"sequential"` (any network, one `train_private` each), or `"auto"`: batched where
            possible.
        device: Where to train and evaluate; None: where the images are.
        progress: Show a progress bar; None shows it only on a terminal.

    Returns:
        The runs, in order, for `memlib.stability.memorization_scores` and for the attacks of
        `memlib.membership`.

    Raises:
        NotPositive: `pairs` or `shard` is below 1, or there are fewer than 40 samples.
        UnknownName: `method` is none of the three.
        InvalidInput: The network cannot be trained privately, or not by this method.
        TooLarge: The expected batch is larger than half the data.
        ForeignResult: `folder` holds shards of other settings.
        CorruptResult: A shard was truncated or edited.
        TrainingDiverged: A network's probabilities are not finite.

    Cost: two trainings per pair; memory for one shard of networks at a time, and nine bytes per
    network and sample.
    """
    if device is not None:
        dataset, targets = dataset.to(device), None if targets is None else targets.to(device)
    members = draw_pairs(len(dataset), pairs, seed)
    settings = pair_settings(dataset, model, recipe, pairs, seed, targets, shard, method)
    batched, over = shard_map(model, method, dataset)
    recipe.bound(len(dataset) // 2)  # computed once here, and kept; it refuses bad settings
    predictors = _batched if batched else _sequential

    def one_shard(numbers: range) -> dict[str, np.ndarray]:
        rows = [torch.from_numpy(members[number].nonzero()[0]) for number in numbers]
        trained = predictors(model, dataset, rows, recipe, numbers, seed)
        return verdicts(trained, dataset, targets, numbers, recipe.lr)

    return sharded_runs(
        one_shard,
        over,
        dataset,
        targets,
        members,
        step=2 * (settings["shard"] if batched else 1),  # one by one: each pair is kept
        command="memlib.privacy.private_runs",
        settings=settings,
        folder=folder,
        desc="private models",
        progress=progress,
    )


def pair_settings(
    dataset: Dataset,
    model: Factory,
    recipe: PrivateRecipe,
    pairs: int,
    seed: int,
    targets: Dataset | None,
    shard: int,
    method: Method,
) -> dict[str, Any]:
    """Return all that determines the numbers of a set of private runs, as plain values.

    Args:
        dataset: As in `private_runs`, as are `model`, `recipe`, `pairs`, `seed`, `targets`,
            `shard` and `method`.

    Returns:
        Settings for `memlib.results.provenance`.

    Raises:
        NotPositive: `shard` is below 1.
    """
    call: dict[str, Any] = {"recipe": recipe, "targets": targets, "method": method}
    call |= {"shard": whole_number("shard", shard), "pairs": pairs, "seed": seed}
    return run_settings(dataset, model, **call)


def _batched(
    model: Factory,
    dataset: Dataset,
    rows: list[Tensor],
    recipe: PrivateRecipe,
    numbers: range,
    seed: int,
) -> Iterator[Predictor]:
    size, seeds = len(dataset) // 2, [own_seed(seed, number) for number in numbers]
    ensemble = train_private_ensemble(
        model, dataset, rows, recipe, size=size, numbers=numbers, seeds=seeds, seed=seed
    )
    for place in range(len(ensemble)):
        yield partial(ensemble.predict, place)


def _sequential(
    model: Factory,
    dataset: Dataset,
    rows: list[Tensor],
    recipe: PrivateRecipe,
    numbers: range,
    seed: int,
) -> Iterator[Predictor]:
    size, where = len(dataset) // 2, dataset.images.device
    for row, number in zip(rows, numbers, strict=True):
        with seeded(seed, "init", number):
            network = model()
        own = own_seed(seed, number)
        half = dataset.select(row)
        train_private(network, half, recipe, size=size, seed=own, progress=False, device=where)
        yield partial(predict, network)
