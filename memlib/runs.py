"""Many networks on random subsets of one data set: what every stability estimate starts from."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from memlib import results
from memlib.ensemble import Ensemble, Recipe, train_ensemble
from memlib.errors import CorruptResult, FractionOutOfRange
from memlib.runtime import progress as progress_bar
from memlib.runtime import rng, side_by_side, whole_number
from memlib.shards import (
    Factory,
    Mapper,
    Method,
    run_settings,
    shard_trainer,
    training_sets,
    verdict,
)

if TYPE_CHECKING:
    from memlib.data import Dataset

_BITS = ("members", "correct", "target_correct")


@dataclass(frozen=True, eq=False)
class Runs:
    """What `M` networks, each trained on its own subset, say about every sample.

    Attributes:
        ids: Sample ids `(n,)`.
        members: `(M, n)` bool, whether the sample was in the network's training set.
        correct: `(M, n)` bool, whether the trained network predicts the sample's label.
        probability: `(M, n)` float32, the softmax probability of the sample's label; None for
            runs read from a file, which keeps verdicts only.
        target_ids: Ids `(q,)` of a second data set; empty if none was given.
        target_correct: `(M, q)` bool, the same as `correct` for that data set.
        seconds: Seconds of training added up over the shards, those of earlier calls included.
            Shards that are trained side by side count one by one.
        log_odds: `(M, n)` float32, `log(p / (1 - p))` of that probability, from the logits, so that
            it tells networks apart where `p` rounds to 1; None as for `probability`.
    """

    ids: np.ndarray
    members: np.ndarray
    correct: np.ndarray
    probability: np.ndarray | None
    target_ids: np.ndarray
    target_correct: np.ndarray
    seconds: float = 0.0
    log_odds: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.members)


def draw_subsets(n: int, models: int, fraction: float, seed: int) -> np.ndarray:
    """Deal the training sets of many networks like cards: equal sizes, every sample equally often.

    A shuffled deck of all samples is dealt in hands of `round(fraction * n)`. When it runs out
    within a hand, the hand is filled from a freshly shuffled deck with samples it does not hold
    yet, and dealing goes on with the rest of that deck. Every sample is so in the floor or the
    ceiling of `models * size / n` hands: exactly balanced where that is whole. Nothing here looks
    at a sample's name, so, given which hands hold sample `i`, each hand is uniform among the sets
    of its size that agree with this. That makes the means in `memorization_scores` unbiased.

    Args:
        n: Number of samples.
        models: Number of training sets.
        fraction: Share of the samples in each, strictly between 0 and 1.
        seed: The seed. The first `k` training sets are the same for every `models >= k`.

    Returns:
        `(models, n)` bool.

    Raises:
        FractionOutOfRange: The fraction is outside (0, 1) or leaves a training set empty or full.
        NotPositive: `models` or `n` is below 1.
    """
    n, models = whole_number("n", n), whole_number("models", models)
    size = round(fraction * n) if 0 < fraction < 1 else 0
    if not 0 < size < n:
        fix = f"Pass a number in (0, 1) that leaves some of the {n} samples in and some out."
        raise FractionOutOfRange("fraction", fraction, fix)
    random = rng(seed, "subsets")
    members = np.zeros((models, n), dtype=bool)
    deck = np.empty(0, dtype=np.int64)
    for hand in members:
        dealt, deck = deck[:size], deck[size:]
        hand[dealt] = True
        if missing := size - len(dealt):
            fresh = random.permutation(n)
            filled = fresh[~hand[fresh]][:missing]
            hand[filled] = True
            deck = fresh[~np.isin(fresh, filled, assume_unique=True)]
    return members


def subset_runs(
    dataset: Dataset,
    model: Factory,
    *,
    models: int,
    fraction: float = 0.7,
    recipe: Recipe | None = None,
    seed: int = 0,
    targets: Dataset | None = None,
    folder: str | Path | None = None,
    shard: int = 16,
    method: Method = "auto",
    progress: bool | None = None,
) -> Runs:
    """Train networks on balanced random subsets of a data set and evaluate each on all of it.

    Args:
        dataset: The samples to be scored; training runs on the device of its images.
        model: Builds one freshly initialized network, for example `memlib.models.mlp`.
        models: Number of networks.
        fraction: Share of the samples in each training set; Feldman & Zhang (2020) use 0.7.
        recipe: How each network is trained; the default suits `mlp` on `fmnist-mini`.
        seed: Seed of the subsets, the initial weights and the order of the samples.
        targets: A second data set, usually the test set, on which each network is evaluated too.
        folder: Where finished shards are kept; the same call goes on where it was interrupted.
        shard: Networks trained at once, and the unit of resumption; 1 for sequential training. On
            a CPU every core trains a shard of its own.
        method: `"batched"` (fully connected networks, see `memlib.ensemble`), `"sequential"` (any
            network, one `memlib.training.fit` each), or `"auto"`: batched where possible.
        progress: Show a progress bar; None shows it only on a terminal.

    Returns:
        The runs, in order. Predictions are those of the final weights, in eval mode.

    Raises:
        FractionOutOfRange: See `draw_subsets`.
        NotPositive: `models` or `shard` is below 1.
        UnknownName: `method` is none of the three.
        InvalidInput: `method="batched"` and the network is not fully connected.
        ForeignResult: `folder` holds shards of other settings.
        CorruptResult: A shard was truncated or edited.
        TrainingDiverged: A network's probabilities are not finite.
    """
    recipe = recipe or Recipe()
    members = draw_subsets(len(dataset), models, fraction, seed)
    shard = whole_number("shard", shard)
    settings = run_settings(
        dataset,
        model,
        models=models,
        fraction=fraction,
        recipe=recipe,
        seed=seed,
        targets=targets,
        shard=shard,
        method=method,
    )
    train, over = shard_trainer(model, method, dataset)

    def one_shard(numbers: range) -> dict[str, np.ndarray]:
        rows = members[numbers.start : numbers.stop]
        return train(dataset, rows, recipe, numbers, seed, targets)

    return sharded_runs(
        one_shard,
        over,
        dataset,
        targets,
        members,
        step=1 if over is map else shard,  # those trained one by one are kept one by one
        command="memlib.runs.subset_runs",
        settings=settings,
        folder=folder,
        desc="subset models",
        progress=progress,
    )


def sharded_runs(
    train: Callable[[range], dict[str, np.ndarray]],
    over: Mapper,
    dataset: Dataset,
    targets: Dataset | None,
    members: np.ndarray,
    *,
    step: int,
    command: str,
    settings: dict[str, Any],
    folder: str | Path | None,
    desc: str,
    progress: bool | None,
) -> Runs:
    """Train networks shard by shard, keep each shard that is finished, and join them.

    Args:
        train: Trains the networks of these numbers and returns what `memlib.shards.verdicts` does.
        over: How `train` is mapped over the shards, in order: `map`, or several at a time.
        dataset: The samples that are scored.
        targets: A second data set, or None.
        members: `(M, n)` bool, the training set of each network.
        step: Networks in a shard.
        command: What the provenance of a shard calls the command.
        settings: All that determines the numbers.
        folder: Where finished shards are kept; None keeps none.
        desc: What the progress bar counts.
        progress: Show a progress bar; None shows it only on a terminal.

    Returns:
        The runs, in order.

    Raises:
        ForeignResult: `folder` holds shards of other settings.
        CorruptResult: A shard was truncated or edited.
    """

    def finish(start: int) -> tuple[dict[str, np.ndarray], float]:
        """Train a shard, or read it if an earlier call has finished it."""
        path = Path(folder) / f"shard-{start // step:05d}.npz" if folder else None
        if path and path.exists():
            part, stamp = results.load_arrays(path, settings=settings)
            return part, stamp.wall_seconds
        begun = time.perf_counter()
        part = train(range(start, min(start + step, len(members))))
        seconds = time.perf_counter() - begun
        if path:
            results.save_arrays(path, part, results.provenance(command, settings, seconds))
        return part, seconds

    parts, seconds = [], 0.0
    with progress_bar(total=len(members), desc=desc, enabled=progress) as bar:
        for part, took in over(finish, range(0, len(members), step)):
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


def save_runs(path: str | Path, runs: Runs, stamp: results.Provenance) -> None:
    """Store the verdicts of runs, one bit each: `3 M n / 8` bytes before compression.

    Args:
        path: An npz file.
        runs: The runs; their probabilities are not stored.
        stamp: What made them.
    """
    bits = {name: np.packbits(getattr(runs, name), axis=1) for name in _BITS}
    results.save_arrays(path, {"ids": runs.ids, "target_ids": runs.target_ids} | bits, stamp)


def load_runs(
    path: str | Path, *, settings: dict[str, Any] | None = None
) -> tuple[Runs, results.Provenance]:
    """Read runs that `save_runs` stored.

    Args:
        path: The npz file.
        settings: As in `memlib.results.load_arrays`.

    Returns:
        The runs, without probabilities, and what made them.

    Raises:
        CorruptResult: The file was truncated or edited.
        ForeignResult: It was made with other settings.
    """
    arrays, stamp = results.load_arrays(path, settings=settings)
    if missing := {"ids", "target_ids", *_BITS} - arrays.keys():
        raise CorruptResult(f"{path} holds no runs: {', '.join(sorted(missing))} are missing.")
    ids, target_ids = arrays["ids"], arrays["target_ids"]
    counts = dict(zip(_BITS, (len(ids), len(ids), len(target_ids)), strict=True))
    bits = {
        name: np.unpackbits(arrays[name], axis=1, count=count).astype(bool)
        for name, count in counts.items()
    }
    runs = Runs(ids, target_ids=target_ids, probability=None, seconds=stamp.wall_seconds, **bits)
    return runs, stamp


def probability_curves(
    dataset: Dataset,
    model: Factory,
    *,
    models: int,
    fraction: float = 0.7,
    recipe: Recipe | None = None,
    seed: int = 0,
    shard: int = 16,
    progress: bool | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Follow the probability of every label through training, in and out of the training set.

    Trains the networks of `subset_runs` with `method="batched"` and averages, before each epoch.

    Args:
        dataset: As in `subset_runs`, as are the other arguments.
        model: Builds one fully connected network.
        models: Number of networks.
        fraction: Share of the samples in each training set.
        recipe: How each network is trained.
        seed: The seed.
        shard: Networks trained at once.
        progress: Show a progress bar; None shows it only on a terminal.

    Returns:
        Two arrays `(epochs, n)`: the mean softmax probability of the sample's label over the
        networks that train on it, and over those that do not, after 0 to `epochs - 1` epochs.
        Their difference is the Gibbs memorization at that time, one minus the second is the
        held-out Gibbs loss. NaN where a sample is never in or never out.

    Raises:
        InvalidInput: As `subset_runs`.

    Cost: one forward pass over all samples per network and epoch beside the training.
    """
    recipe = recipe or Recipe()
    members = draw_subsets(len(dataset), models, fraction, seed)
    shard = whole_number("shard", shard)

    def follow(start: int) -> np.ndarray:
        """Sum the probabilities over a shard's networks, in and out, `(2, epochs, n)`."""
        numbers = range(start, min(start + shard, models))
        rows = members[start : numbers.stop]
        sums = np.zeros((2, recipe.epochs, len(dataset)))

        def observe(epoch: int, ensemble: Ensemble) -> None:
            for place, row in enumerate(rows):
                _, probability = verdict(ensemble.predict(place, dataset), dataset)
                sums[0, epoch] += np.where(row, probability, 0)
                sums[1, epoch] += np.where(row, 0, probability)

        own = training_sets(rows)
        train_ensemble(model, dataset, own, recipe, numbers=numbers, seed=seed, each_epoch=observe)
        return sums

    inside, outside = np.zeros((2, recipe.epochs, len(dataset)))
    with progress_bar(total=models, desc="curves", enabled=progress) as bar:
        for sums in side_by_side(follow, range(0, models, shard), dataset.images.device):
            inside += sums[0]
            outside += sums[1]
            bar.update(min(shard, models - bar.n))
    with np.errstate(invalid="ignore", divide="ignore"):
        return inside / members.sum(0), outside / (~members).sum(0)
