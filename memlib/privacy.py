"""Privacy measured: what private networks memorize, what that certifies, and scores by budget."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.special import betaincinv, ndtri
from torch import nn

from memlib import results
from memlib.accounting import MemorizationBound, checked_delta, epsilon_spent, noise_for
from memlib.curvature import input_curvature
from memlib.errors import EmptySelection, InvalidInput, WrongShape, WrongType
from memlib.private_runs import draw_pairs, pair_settings, private_runs
from memlib.private_training import PrivateHistory, PrivateRecipe, train_private
from memlib.runtime import open_fraction, seeded, whole_number
from memlib.runtime import progress as progress_bar
from memlib.shards import Factory, Method
from memlib.stability import memorization_scores
from memlib.training import predict

if TYPE_CHECKING:
    import pandas as pd

    from memlib.data import Dataset

__all__ = [
    "MemorizationBound",
    "PrivateHistory",
    "PrivateRecipe",
    "certified_epsilon",
    "certified_mu",
    "draw_pairs",
    "epsilon_spent",
    "noise_for",
    "private_memorization",
    "private_runs",
    "score_by_privacy",
    "train_private",
]

Score = Callable[[nn.Module, "Dataset"], Any]


def private_memorization(
    dataset: Dataset,
    model: Factory,
    recipe: PrivateRecipe,
    *,
    pairs: int,
    confidence: float = 0.95,
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = True,
    shard: int = 8,
    method: Method = "auto",
    device: torch.device | str | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Estimate what private networks memorize of every sample, and what that certifies.

    With `out`, finished shards lie in the folder `<out>.runs` while it runs; killed and called
    again, it goes on there and ends with the identical table.

    Args:
        dataset: As in `private_runs`, as are `model`, `recipe`, `pairs`, `seed`, `shard`,
            `method`, `device` and `progress`.
        confidence: Of the certificates.
        out: Parquet file for the table and its provenance.
        resume: Return what the file holds already and go on from finished shards; False computes
            everything anew and then replaces it.

    Returns:
        The table of `memlib.stability.memorization_scores`, one row per sample, higher = more
        memorized, with `runs_in` = `runs_out` = pairs, and two more columns. `bound` is what the
        accountant allows: no sample's true memorization is above it. `epsilon_certified` is
        `certified_epsilon` at the delta of the recipe: with the given confidence for each sample
        by itself, the training is not private at a smaller epsilon.

    Raises:
        InvalidInput: As `private_runs`.
        FractionOutOfRange: confidence is not in (0, 1).
        ForeignResult: `out` was made with other settings; it stays as it was.
        CorruptResult: `out` was truncated or edited.
    """
    open_fraction("confidence", confidence)
    dataset = dataset if device is None else dataset.to(device)
    settings = pair_settings(dataset, model, recipe, pairs, seed, None, shard, method)
    settings |= {"confidence": confidence}
    folder = None if out is None else Path(f"{out}.runs")
    if folder is not None and not resume:
        shutil.rmtree(folder, ignore_errors=True)
    if resume and out is not None and folder is not None and Path(out).exists():
        table, _ = results.load_table(out, settings=settings)
        shutil.rmtree(folder, ignore_errors=True)  # left by a kill after the last write
        return table
    runs = private_runs(
        dataset,
        model,
        recipe,
        pairs=pairs,
        seed=seed,
        folder=folder,
        shard=shard,
        method=method,
        progress=progress,
    )
    table = memorization_scores(runs)
    table["bound"] = recipe.bound(len(dataset) // 2).value
    table["epsilon_certified"] = certified_epsilon(
        (runs.correct & runs.members).sum(0),
        table["runs_in"],
        (runs.correct & ~runs.members).sum(0),
        table["runs_out"],
        delta=recipe.delta,
        confidence=confidence,
    )
    if out is not None and folder is not None:
        stamp = results.provenance("memlib.privacy.private_memorization", settings, runs.seconds)
        results.save_table(out, table, stamp)
        shutil.rmtree(folder, ignore_errors=True)
    return table


def certified_epsilon(
    correct_in: Any,
    runs_in: Any,
    correct_out: Any,
    runs_out: Any,
    *,
    delta: float = 0.0,
    confidence: float = 0.95,
    samples: int = 1,
) -> np.ndarray:
    """Return a lower confidence bound on the epsilon of an algorithm, from what it memorized.

    Clopper-Pearson bounds, each at half of 1 - confidence, put p (accuracy in training) above
    some p0 and q (accuracy when left out) below some q0. Privacy demands p <= e^eps q + delta and
    1 - q <= e^eps (1 - p) + delta, so epsilon is at least log((p0 - delta)/q0) and at least
    log((1 - q0 - delta)/(1 - p0)) (the audit of Jagielski, Ullman and Oprea, 2020, with the label
    as the test). For delta = 0 and p + q = 1 that is 2 artanh(p - q), the inverse of
    `memlib.bounds.memorization_bound`; elsewhere it is more.

    Args:
        correct_in: Number of networks trained on the sample that predict its label; a number or
            an array, as are the others, one entry per sample.
        runs_in: Number of independent networks trained on it.
        correct_out: Number of networks not trained on it that predict its label.
        runs_out: Number of independent networks not trained on it.
        delta: The additive part of the guarantee that is tested, in [0, 1).
        confidence: Probability, in (0, 1), with which the result is below the true epsilon.
        samples: Number of samples that were tried. For the largest of many certificates pass
            their number: each is then computed at (1 - confidence)/samples (Bonferroni).

    Returns:
        Lower bounds, 0 or larger, in the shape of the counts.

    Raises:
        InvalidInput: A count is negative or not whole, or more are correct than there are.
        WrongShape: The counts do not fit together.
        FractionOutOfRange: confidence is not in (0, 1), or delta not in [0, 1).
        NotPositive: samples is below 1, or delta is negative.

    Example:
        >>> from memlib.privacy import certified_epsilon
        >>> round(float(certified_epsilon(100, 100, 0, 100)), 2)
        3.28
    """
    part = checked_delta(delta)
    p, q = _confident(correct_in, runs_in, correct_out, runs_out, confidence, samples)
    hits, misses = (p - part) / q, (1 - q - part) / (1 - p)
    return np.log(np.maximum(np.maximum(hits, misses), 1.0))


def certified_mu(
    correct_in: Any,
    runs_in: Any,
    correct_out: Any,
    runs_out: Any,
    *,
    confidence: float = 0.95,
    samples: int = 1,
) -> np.ndarray:
    """Return a lower confidence bound on the mu of an algorithm that is mu-Gaussian private.

    As `certified_epsilon`; Gaussian privacy demands Phi^-1(p) - Phi^-1(q) <= mu. For an algorithm
    with Gaussian noise it certifies more than an epsilon does (Nasr et al., 2023).

    Args:
        correct_in: As in `certified_epsilon`, as are `runs_in`, `correct_out`, `runs_out`,
            `confidence` and `samples`.

    Returns:
        Lower bounds, 0 or larger, in the shape of the counts.

    Raises:
        InvalidInput: As `certified_epsilon`.
    """
    p, q = _confident(correct_in, runs_in, correct_out, runs_out, confidence, samples)
    return np.maximum(ndtri(p) - ndtri(q), 0.0)


def score_by_privacy(
    dataset: Dataset,
    model: Factory,
    recipes: Sequence[PrivateRecipe],
    *,
    score: Score | None = None,
    on: Dataset | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    device: torch.device | str | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Train at several privacy levels and measure a score of the samples at each.

    With the default score, the curvature of the loss in the input, it is Figure 5 of `privacy`:
    curvature against epsilon.

    Args:
        dataset: Training samples, all of them for every network.
        model: Builds one freshly initialized network without batch norm.
        recipes: One for each privacy level.
        score: Called as `score(network, samples)`; returns one number per sample. None takes the
            exact trace of `memlib.curvature.input_curvature`, which needs a piecewise-linear
            network: one with group norm takes a score with another estimator.
        on: Samples to be scored; None takes the training samples.
        seeds: A network is trained for each; the initial weights depend on the seed alone.
        device: Where to train and score; None: where the images of `dataset` are.
        progress: Show a progress bar; None shows it only on a terminal.

    Returns:
        One row per recipe and seed: `noise`, `epsilon` (spent at the recipe's delta), `bound` on
        memorization, `seed`, `accuracy` on the scored samples, and of the scores of the samples
        `mean` and `median`.

    Raises:
        EmptySelection: There is no recipe or no seed.
        InvalidInput: As `memlib.private_training.train_private`.
        WrongShape: The score is not one number per sample.
    """
    import pandas as pd

    for name, given in (("recipes", recipes), ("seeds", seeds)):
        if len(given) == 0:
            raise EmptySelection(name, given, "Pass at least one.")
    measure = _input_curvature if score is None else score
    dataset = dataset if device is None else dataset.to(device)
    place = dataset.images.device
    scored = dataset if on is None else on.to(place)
    rows = []
    with progress_bar(total=len(recipes) * len(seeds), desc="levels", enabled=progress) as bar:
        for recipe in recipes:
            for seed in seeds:
                with seeded(seed, "init"):
                    network = model()
                history = train_private(
                    network, dataset, recipe, seed=seed, progress=False, device=place
                )
                values = torch.as_tensor(measure(network, scored)).double()
                if values.shape != (len(scored),):
                    fix = f"Return one number for each of the {len(scored)} samples."
                    raise WrongShape("score", tuple(values.shape), fix)
                right = predict(network, scored).argmax(1) == scored.labels
                rows.append(
                    {
                        "noise": history.noise,
                        "epsilon": history.epsilon(recipe.delta),
                        "bound": history.bound().value,
                        "seed": seed,
                        "accuracy": float(right.double().mean()),
                        "mean": float(values.mean()),
                        "median": float(values.median()),
                    }
                )
                bar.update()
    return pd.DataFrame(rows)


def _input_curvature(network: nn.Module, samples: Dataset) -> Any:
    return input_curvature(network, samples.images, samples.labels).trace


def _confident(
    correct_in: Any,
    runs_in: Any,
    correct_out: Any,
    runs_out: Any,
    confidence: float,
    samples: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return a lower bound on p and an upper bound on q, by Clopper and Pearson (1934)."""
    tail = (1 - open_fraction("confidence", confidence)) / 2 / whole_number("samples", samples)
    hits_in, count_in = _counts("in", correct_in, runs_in)
    hits_out, count_out = _counts("out", correct_out, runs_out)
    try:
        np.broadcast_shapes(hits_in.shape, hits_out.shape)
    except ValueError:
        fix = f"Pass counts that fit those of shape {hits_in.shape}."
        raise WrongShape("correct_out", hits_out.shape, fix) from None
    low = betaincinv(np.maximum(hits_in, 1), count_in - hits_in + 1, tail)
    high = betaincinv(hits_out + 1, np.maximum(count_out - hits_out, 1), 1 - tail)
    return np.where(hits_in == 0, 0.0, low), np.where(hits_out == count_out, 1.0, high)


def _counts(side: str, correct: Any, runs: Any) -> tuple[np.ndarray, np.ndarray]:
    arrays = []
    for name, values in ((f"correct_{side}", correct), (f"runs_{side}", runs)):
        try:
            array = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError):
            raise WrongType(name, values, "Pass whole numbers.") from None
        if not (array >= 0).all() or not (array == np.floor(array)).all() or np.isinf(array).any():
            raise InvalidInput(name, values, "Pass whole numbers, 0 or larger.")
        arrays.append(array)
    try:
        hits, count = np.broadcast_arrays(*arrays)
    except ValueError:
        fix = f"Pass counts that fit those of shape {arrays[0].shape}."
        raise WrongShape(f"runs_{side}", arrays[1].shape, fix) from None
    if (hits > count).any():
        raise InvalidInput(f"correct_{side}", correct, "Pass at most the number of runs.")
    return hits, count
