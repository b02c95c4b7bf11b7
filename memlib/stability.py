"""Stability-based memorization and influence: two masked means over many runs.

Training (`memlib.runs`) and estimation are apart: a set of runs is trained once, stored shard by
shard, and read by every estimator here.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from memlib import results
from memlib.ensemble import Recipe
from memlib.errors import DuplicateIds, EmptySelection
from memlib.runs import (
    Runs,
    draw_subsets,
    load_runs,
    save_runs,
    subset_runs,
)
from memlib.runtime import progress as progress_bar
from memlib.runtime import whole_number
from memlib.shards import Factory, Method, run_settings, shard_trainer

if TYPE_CHECKING:
    import pandas as pd

    from memlib.data import Dataset

__all__ = [
    "Runs",
    "draw_subsets",
    "influence",
    "influence_scores",
    "leave_one_out",
    "masked_mean",
    "memorization",
    "memorization_scores",
    "subset_runs",
]


def memorization_scores(runs: Runs) -> pd.DataFrame:
    """Estimate every sample's memorization from a set of runs, with standard errors.

    The score of sample `i` is the mean of `correct` over the runs that trained on it minus the
    mean over the runs that did not (Feldman & Zhang 2020, Sec. 2). For subsets of size `m` it is
    unbiased for `E[correct | i in S] - E[correct | i not in S]` over uniform subsets `S` of size
    `m`: not for the leave-one-out difference at the full data set.

    Args:
        runs: The runs.

    Returns:
        One row per sample (index `sample`), higher = more memorized. `memorization` lies in
        [-1, 1] (signed, as in Feldman 2020); `memorization_gibbs` is the same with the probability
        of the label in place of 0/1 correctness, which is the memorization of the classifier that
        samples its label from the softmax (absent for runs without probabilities).
        `memorization_se` and `memorization_gibbs_se` are standard errors that treat the runs as
        independent. `accuracy_in` and `accuracy_out` are the two means, `runs_in` and `runs_out`
        their counts. A score is NaN where a sample was never in or never out, a standard error
        also below two runs on either side.

    Cost: O(M n) time and memory.
    """
    return _differences(runs.ids, runs.correct, runs.probability, runs.members, ~runs.members)


def _differences(
    ids: np.ndarray,
    correct: np.ndarray,
    probability: np.ndarray | None,
    inside: np.ndarray,
    outside: np.ndarray,
) -> pd.DataFrame:
    """The table of `memorization_scores`, for the runs that two `(M, n)` masks call in and out."""
    import pandas as pd

    values = {"memorization": correct, "memorization_gibbs": probability}
    columns: dict[str, np.ndarray] = {}
    for name, of_runs in values.items():
        if of_runs is not None:
            mean_in, variance_in = masked_mean(of_runs, inside)
            mean_out, variance_out = masked_mean(of_runs, outside)
            columns |= {
                name: mean_in - mean_out,
                f"{name}_se": np.sqrt(variance_in + variance_out),
            }
    columns["accuracy_in"], columns["accuracy_out"] = (
        masked_mean(correct, side)[0] for side in (inside, outside)
    )
    columns |= {"runs_in": inside.sum(0), "runs_out": outside.sum(0)}
    return pd.DataFrame(columns, index=pd.Index(ids, name="sample"))


def masked_mean(values: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each sample's mean over the runs that a mask selects, and that mean's variance.

    Args:
        values: `(M, n)`, one row per run.
        mask: `(M, n)` bool.

    Returns:
        `(n,)` means, NaN where the mask selects no run; `(n,)` unbiased estimates of the variance
        of the mean, NaN where it selects fewer than two.
    """
    count = mask.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(mask, values, 0).sum(0, dtype=np.float64) / count
        deviations = np.where(mask, values - mean, 0)
        return mean, np.square(deviations).sum(0) / (count - 1) / count


def influence_scores(runs: Runs, *, threshold: float = 0.15, block: int = 500) -> pd.DataFrame:
    """Find the pairs in which training on a sample raises the accuracy on a target.

    The influence of sample `i` on target `j` is the mean of "`j` is predicted correctly" over the
    runs that trained on `i` minus the mean over the others (Feldman & Zhang 2020, Eq. 2). Targets
    are the second data set of the runs or, without one, the samples themselves (then pairs with
    `i = j`, which are memorization, are left out).

    Args:
        runs: The runs.
        threshold: Pairs with less influence are dropped; the `(n, q)` matrix is never held whole.
        block: Samples treated at once.

    Returns:
        One row per pair, the largest influence first: `sample`, `target`, `influence` in [-1, 1]
        (higher = the target depends more on the sample), `influence_se`.

    Cost: 2 M n q operations; O(M (n + q) + block q) memory.
    """
    import pandas as pd

    own = len(runs.target_ids) == 0
    target_ids = runs.ids if own else runs.target_ids
    correct = (runs.correct if own else runs.target_correct).astype(np.float32)
    hits = correct.sum(0)
    found = []
    for start in range(0, len(runs.ids), whole_number("block", block)):
        inside = runs.members[:, start : start + block].T.astype(np.float32)
        count_in = inside.sum(1, keepdims=True)
        count_out = len(runs) - count_in
        hits_in = inside @ correct
        with np.errstate(invalid="ignore", divide="ignore"):
            mean_in, mean_out = hits_in / count_in, (hits - hits_in) / count_out
            variance_in = mean_in * (1 - mean_in) / (count_in - 1)
            variance_out = mean_out * (1 - mean_out) / (count_out - 1)
        difference = mean_in - mean_out
        if own:
            row = np.arange(len(difference))
            difference[row, start + row] = np.nan
        sample, target = np.nonzero(difference >= threshold)
        pairs = {
            "sample": runs.ids[start + sample],
            "target": target_ids[target],
            "influence": difference[sample, target],
            "influence_se": np.sqrt(variance_in + variance_out)[sample, target],
        }
        found.append(pd.DataFrame(pairs))
    table = pd.concat(found)
    return table.sort_values("influence", ascending=False, kind="stable", ignore_index=True)


def memorization(
    dataset: Dataset,
    model: Factory,
    *,
    models: int,
    fraction: float = 0.7,
    recipe: Recipe | None = None,
    seed: int = 0,
    targets: Dataset | None = None,
    out: str | Path | None = None,
    runs_out: str | Path | None = None,
    resume: bool = True,
    shard: int = 16,
    method: Method = "auto",
    progress: bool | None = None,
) -> pd.DataFrame:
    """Estimate the memorization of every sample by training networks on random subsets.

    `subset_runs`, then `memorization_scores`. With `out`, finished shards lie in the folder
    `<out>.runs` while it runs; killed and called again, it goes on there and ends with the
    identical table.

    Args:
        dataset: As in `subset_runs`, as are `model`, `models`, `fraction`, `recipe`, `seed`,
            `targets`, `shard`, `method` and `progress`.
        out: Parquet file for the table and its provenance.
        runs_out: Npz file for the verdicts of all runs (see `memlib.runs.save_runs`).
        resume: Return what the files hold already and go on from finished shards; False computes
            everything anew and then replaces the files.

    Returns:
        The table of `memorization_scores`.

    Raises:
        ForeignResult: A file exists and was made with other settings; it stays as it was.
        CorruptResult: A file exists and was truncated or edited.
        InvalidInput: As `subset_runs`.

    Example:
        >>> from memlib import data, models, stability
        >>> digits = data.load("digits").select(range(100))
        >>> table = stability.memorization(digits, lambda: models.mlp((1, 8, 8)), models=4)
        >>> table.columns[0]
        'memorization'
    """
    call: dict[str, Any] = {"models": models, "fraction": fraction, "seed": seed}
    call |= {"recipe": recipe or Recipe(), "targets": targets, "shard": shard, "method": method}
    draw_subsets(len(dataset), models, fraction, seed)  # refuses bad arguments before any file
    shard_trainer(model, method, dataset)
    settings = run_settings(dataset, model, **call)
    files = [Path(path) for path in (out, runs_out) if path is not None]
    folder = Path(f"{files[0]}.runs") if files else None
    if not resume and folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    if resume and runs_out is not None and Path(runs_out).exists():
        load_runs(runs_out, settings=settings)
    if resume and out is not None and Path(out).exists():
        table, _ = results.load_table(out, settings=settings)
        if folder is not None and all(file.exists() for file in files):
            shutil.rmtree(folder, ignore_errors=True)  # left by a kill after the last write
            return table
    runs = subset_runs(dataset, model, folder=folder, progress=progress, **call)
    table = memorization_scores(runs)
    stamp = results.provenance("memlib.stability.memorization", settings, runs.seconds)
    if runs_out is not None:
        save_runs(runs_out, runs, stamp)
    if out is not None:
        results.save_table(out, table, stamp)
    if folder is not None:
        shutil.rmtree(folder)
    return table


def influence(
    dataset: Dataset,
    targets: Dataset,
    model: Factory,
    *,
    models: int,
    threshold: float = 0.15,
    fraction: float = 0.7,
    recipe: Recipe | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    shard: int = 16,
    method: Method = "auto",
    progress: bool | None = None,
) -> pd.DataFrame:
    """Find the training samples on which single targets depend: subset runs, two masked means.

    With `out` it goes on after an interruption as `memorization` does.

    Args:
        dataset: The training samples.
        targets: The samples whose accuracy is watched, usually the test set.
        model: As in `subset_runs`, as are `models`, `fraction`, `recipe`, `seed`, `shard`,
            `method` and `progress`.
        threshold: As in `influence_scores`.
        out: Parquet file for the table and its provenance.

    Returns:
        The table of `influence_scores`.

    Raises:
        ForeignResult: `out` exists and was made with other settings; it stays as it was.
        CorruptResult: `out` exists and was truncated or edited.
        InvalidInput: As `subset_runs`.
    """
    call: dict[str, Any] = {"models": models, "fraction": fraction, "seed": seed}
    call |= {"recipe": recipe or Recipe(), "targets": targets, "shard": shard, "method": method}
    settings = run_settings(dataset, model, **call) | {"threshold": threshold}
    if out is not None and Path(out).exists():
        return results.load_table(out, settings=settings)[0]
    folder = None if out is None else Path(f"{out}.runs")
    runs = subset_runs(dataset, model, folder=folder, progress=progress, **call)
    table = influence_scores(runs, threshold=threshold)
    if out is not None:
        stamp = results.provenance("memlib.stability.influence", settings, runs.seconds)
        results.save_table(out, table, stamp)
        shutil.rmtree(f"{out}.runs")
    return table


def leave_one_out(
    dataset: Dataset,
    model: Factory,
    *,
    samples: Sequence[int],
    repeats: int,
    recipe: Recipe | None = None,
    seed: int = 0,
    shard: int = 16,
    method: Method = "auto",
    progress: bool | None = None,
) -> pd.DataFrame:
    """Estimate memorization as Feldman (2020) defines it, retraining without each sample in turn.

    `repeats` networks are trained on the whole data set and, for each chosen sample, `repeats`
    more without it, every one from a random stream of its own.

    Args:
        dataset: The data set S.
        model: As in `subset_runs`, as are `recipe`, `seed`, `shard`, `method` and `progress`.
        samples: Ids of the samples to score.
        repeats: Networks per training set.

    Returns:
        The table of `memorization_scores` with one row per chosen sample. All rows share the
        networks trained on the whole data set, so their errors are correlated.

    Raises:
        EmptySelection: No sample is chosen.
        DuplicateIds: A sample is chosen twice.
        UnknownIds: A chosen sample is not in the data set.
        NotPositive: `repeats` or `shard` is below 1.
        UnknownName: `method` is none of the three.

    Cost: `repeats * (1 + len(samples))` trainings: for small data sets.
    """
    repeats, shard = whole_number("repeats", repeats), whole_number("shard", shard)
    if len(samples) == 0:
        raise EmptySelection("samples", samples, "Name at least one sample id.")
    if len(set(samples)) < len(samples):
        raise DuplicateIds("samples", samples, "Name every sample once.")
    ids = dataset.ids.cpu().numpy()
    chosen = dataset.positions(samples)
    train, over = shard_trainer(model, method, dataset)

    # Row r of the first block is the r-th full network; then come `repeats` rows per sample.
    left_out = np.concatenate([np.full(repeats, -1), np.repeat(chosen, repeats)])
    members = np.arange(len(ids)) != left_out[:, None]
    starts = [*range(0, repeats, shard), *range(repeats, len(members), shard)]
    blocks = zip(starts, [*starts[1:], len(members)], strict=True)

    def retrain(block: tuple[int, int]) -> dict[str, np.ndarray]:
        numbers = range(*block)
        return train(dataset, members[slice(*block)], recipe or Recipe(), numbers, seed, None)

    parts = []
    with progress_bar(total=len(members), desc="leave one out", enabled=progress) as bar:
        for part in over(retrain, blocks):
            parts.append(part)
            bar.update(len(part["correct"]))
    correct = np.concatenate([part["correct"] for part in parts])[:, chosen]
    probability = np.concatenate([part["probability"] for part in parts])[:, chosen]
    full = np.broadcast_to(left_out[:, None] < 0, correct.shape)
    return _differences(ids[chosen], correct, probability, full, left_out[:, None] == chosen)
