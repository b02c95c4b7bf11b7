"""Private networks trained in pairs on random halves: what private memorization starts from."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from memlib import results
from memlib.ensemble import linear_layers
from memlib.errors import TrainingDiverged, UnknownName
from memlib.private_ensemble import train_private_ensemble
from memlib.private_training import PrivateRecipe, train_private
from memlib.runs import Factory, Method, Runs, log_odds, run_settings
from memlib.runtime import progress as progress_bar
from memlib.runtime import rng, seeded, side_by_side, whole_number
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
    trainer, over = _trainer(model, method, dataset)
    recipe.bound(len(dataset) // 2)  # computed once here, and kept; it refuses bad settings
    if over is map:
        shard = 1

    def finish(start: int) -> tuple[dict[str, np.ndarray], float]:
        """Train a shard, or read it if an earlier call has finished it."""
        path = Path(folder) / f"shard-{start // 2 // shard:05d}.npz" if folder else None
        if path and path.exists():
            part, stamp = results.load_arrays(path, settings=settings)
            return part, stamp.wall_seconds
        begun = time.perf_counter()
        numbers = range(start, min(start + 2 * shard, len(members)))
        part = _verdicts(trainer(dataset, members, recipe, numbers, seed), dataset, targets, recipe)
        seconds = time.perf_counter() - begun
        if path:
            stamp = results.provenance("memlib.privacy.private_runs", settings, seconds)
            results.save_arrays(path, part, stamp)
        return part, seconds

    parts, seconds = [], 0.0
    with progress_bar(total=len(members), desc="private models", enabled=progress) as bar:
        for part, took in over(finish, range(0, len(members), 2 * shard)):
            parts.append(part)
            seconds += took
            bar.update(len(part["correct"]))
    nobody = np.empty(0, dtype=np.int64)
    return Runs(
        ids=dataset.ids.cpu().numpy(),
        members=members,
        target_ids=nobody if targets is None else targets.ids.cpu().numpy(),
        seconds=seconds,
        **{name: np.concatenate([part[name] for part in parts]) for name in parts[0]},
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
    """Return all that determines the numbers of a set of private runs, as plain values."""
    call: dict[str, Any] = {"recipe": recipe, "targets": targets, "method": method}
    call |= {"shard": whole_number("shard", shard), "pairs": pairs, "seed": seed}
    return run_settings(dataset, model, **call)


def _trainer(
    model: Factory, method: Method, dataset: Dataset
) -> tuple[Callable[..., Iterator[Callable[[Dataset], Tensor]]], Callable[..., Iterator[Any]]]:
    """Return how to train one shard, a predictor for each network, and how to map over shards."""
    if method not in ("auto", "batched", "sequential"):
        raise UnknownName("method", method, "Choose 'auto', 'batched' or 'sequential'.")
    if method == "auto":
        with seeded(0):
            method = "sequential" if linear_layers(model()) is None else "batched"
    batched = method == "batched"

    def train(
        dataset: Dataset, members: np.ndarray, recipe: PrivateRecipe, numbers: range, seed: int
    ) -> Iterator[Callable[[Dataset], Tensor]]:
        size, rows = len(dataset) // 2, [torch.from_numpy(members[j].nonzero()[0]) for j in numbers]
        own = [int(rng(seed, "fit", number).integers(2**31)) for number in numbers]
        if batched:
            ensemble = train_private_ensemble(
                model, dataset, rows, recipe, size=size, numbers=numbers, seeds=own, seed=seed
            )
            for place in range(len(ensemble)):
                yield partial(ensemble.predict, place)
            return
        for row, number, stream in zip(rows, numbers, own, strict=True):
            with seeded(seed, "init", number):
                network = model()
            half, where = dataset.select(row), dataset.images.device
            train_private(
                network, half, recipe, size=size, seed=stream, progress=False, device=where
            )
            yield partial(predict, network)

    return train, partial(side_by_side, where=dataset.images.device) if batched else map


def _verdicts(
    predictors: Iterator[Callable[[Dataset], Tensor]],
    dataset: Dataset,
    targets: Dataset | None,
    recipe: PrivateRecipe,
) -> dict[str, np.ndarray]:
    """Evaluate networks one after the other, as `memlib.runs` does."""
    correct, probability, on_targets, odds = [], [], [], []
    for predictor in predictors:
        logits = predictor(dataset)
        if not bool(torch.isfinite(logits).all()):
            raise TrainingDiverged(
                f"A network's logits are not finite, at lr={recipe.lr}. Lower lr."
            )
        correct.append((logits.argmax(1) == dataset.labels).cpu().numpy())
        own = logits.softmax(1).gather(1, dataset.labels[:, None])[:, 0]
        probability.append(own.cpu().numpy())
        hits = np.empty(0, dtype=bool)
        if targets is not None:
            hits = (predictor(targets).argmax(1) == targets.labels).cpu().numpy()
        on_targets.append(hits)
        odds.append(log_odds(logits, dataset.labels).cpu().numpy())
    parts = {"correct": correct, "probability": probability, "target_correct": on_targets}
    parts["log_odds"] = odds
    return {name: np.stack(part) for name, part in parts.items()}
