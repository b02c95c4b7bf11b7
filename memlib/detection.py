"""Find what is wrong in a data set: every score of every sample, and how well each one finds it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from memlib import results
from memlib.attacks import adversarial_distance, lira
from memlib.curvature import input_curvature
from memlib.dynamics import DynamicsTracker
from memlib.ensemble import Recipe
from memlib.errors import (
    DuplicateIds,
    EmptySelection,
    NonFiniteNumber,
    NotPositive,
    UnknownName,
    WrongShape,
)
from memlib.piecewise import check_logits, is_piecewise_linear
from memlib.runs import subset_runs
from memlib.runtime import progress as progress_bar
from memlib.runtime import rng, seeded
from memlib.shards import run_settings
from memlib.splits import confident_learning, out_of_fold, second_split_forgetting
from memlib.stability import memorization_scores
from memlib.training import fit, predict

if TYPE_CHECKING:
    import pandas as pd

    from memlib.corruptions import Plant
    from memlib.data import Dataset
    from memlib.shards import Factory

_DYNAMICS = (
    "csl",
    "csg",
    "cslt",
    "learning_time_first",
    "forgetting_events",
    "negative_aum",
)
_FINAL = ("final_loss", "in_confidence", "curvature", "negative_distance")
_LINEAR = ("functional_information",)
_FOLDS = ("confident_learning", "confident_learning_flag")
_HALVES = ("negative_ssft", "negative_ssft_first")
_NETWORKS = ("memorization", "membership")
_EXACT = 2000  # outputs n k up to which the kernel of all of them is used
#: Scores that take a training or a few, in the order of the tables.
DETECTORS = (*_DYNAMICS, *_FINAL, *_LINEAR, *_FOLDS, *_HALVES, "random")
#: All scores; the last two take many trainings.
SCORES = (*DETECTORS, *_NETWORKS)


def score_table(
    dataset: Dataset,
    model: Factory,
    *,
    scores: Sequence[str] = SCORES,
    recipe: Recipe | None = None,
    seed: int = 0,
    folds: int = 3,
    networks: int = 64,
    device: torch.device | str | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Score every sample in every way: one row per sample, one column per score, higher = worse.

    Three kinds of training, each done only if a score wants it: one network on all samples, its
    dynamics watched in eval mode at the start of each epoch; networks on folds and halves
    (`memlib.splits`); many networks on random halves (`memlib.runs`). A permutation of the data
    set permutes the rows.

    Args:
        dataset: The samples.
        model: Builds one freshly initialized network, for example `memlib.models.mlp`.
        scores: Names of columns, each once, out of `SCORES`.

            - `csl`, `csg`, `cslt`, `learning_time_first`, `forgetting_events`, `negative_aum`:
              the columns of `memlib.dynamics.DynamicsTracker.scores`.
            - `final_loss` (nats) and `in_confidence` (one minus the probability of the label,
              `orders`, appendix C.5) of the trained network.
            - `curvature`: trace of the input Hessian of its loss, exact for piecewise-linear
              networks, else from ten random probes (`memlib.curvature.input_curvature`).
            - `negative_distance`: minus `memlib.attacks.adversarial_distance`.
            - `functional_information`: functional sample information (`unique`, Eq. 8), in nats,
              of the network linearized at its initial weights, in eval mode, and trained to the
              end, with a decay of 1 % of the kernel's mean diagonal (which duplicates would make
              singular). With at most 2,000 outputs n k, from the kernel of all of them. With more,
              added up over the classes, which are given one kernel, that of the outputs' sum over
              `sqrt(k)`: the kernels agree as the network gets wide (for 100 digits, the rank
              correlation of the two scores is 0.63 at width 32 and 0.96 at width 256). What that
              changes in the finding of wrong labels is less than the spread: with 10 % of them in
              150 images, an MLP of width 128 and three seeds, the AUROC is 0.898 exactly and 0.894
              so on `fmnist-mini` (standard deviations 0.010 and 0.024, rank correlation 0.91), and
              0.993 and 0.994 on `digits` (rank correlation 0.86). It is a matter of time, not of
              memory alone: the kernel of all outputs takes O(n^2 k^2 P) with P weights, 8 s in
              place of 0.2 s there, and with it minutes for 1,000 images of ten classes. Memory
              O(n^2), time O(n^2 P) with the one kernel: minutes for thousands of samples, so leave
              it out there.
            - `confident_learning`, `confident_learning_flag`: `memlib.splits.confident_learning`.
            - `negative_ssft`, `negative_ssft_first`: minus the times of
              `memlib.splits.second_split_forgetting`.
            - `random`: uniform noise, what a score without information does.
            - `memorization`: `memlib.stability.memorization_scores` at half the samples.
            - `membership`: mean score of the online likelihood-ratio attack (`memlib.attacks.lira`)
              on the networks that were trained on the sample, in nats.
        recipe: How each network is trained.
        seed: Seed of everything.
        folds: Folds of confident learning; `orders` uses 3.
        networks: Networks on random halves, at least 8.
        device: Where to train and score; None: where the images are.
        progress: Show progress bars; None shows them only on a terminal.

    Returns:
        The table, its index `sample` the ids in the order of the data set.

    Raises:
        UnknownName: There is no such score.
        DuplicateIds: A score is named twice.
        EmptySelection: None is named.
        NotPositive: `networks` is below 8.
        WrongShape: The network does not take the images, or its logits are not the classes.
        InvalidInput: As the functions named above.
        TrainingDiverged: A loss is not finite.

    Example:
        >>> from memlib import data, detection, models
        >>> digits = data.load("digits").select(range(100))
        >>> table = detection.score_table(
        ...     digits, lambda: models.mlp((1, 8, 8), width=16), scores=["csl", "negative_ssft"]
        ... )
        >>> table.shape, list(table.columns)
        ((100, 2), ['csl', 'negative_ssft'])
    """
    import pandas as pd

    wanted = _check_scores(scores)
    if networks < 8:
        fix = "Pass at least 8, so that of every sample three are in and three are out."
        raise NotPositive("networks", networks, fix)
    recipe = recipe or Recipe()
    dataset = dataset if device is None else dataset.to(device)
    with seeded(seed, "init"):
        look = model().to(dataset.images.device)
    check_logits(look, dataset.images[:1], dataset.num_classes)
    ordered = dataset.select(np.argsort(dataset.ids.cpu().numpy()))
    common: dict[str, Any] = {"recipe": recipe, "seed": seed, "progress": progress}
    columns: dict[str, Any] = {}
    if wanted & {*_DYNAMICS, *_FINAL}:
        columns |= _by_one_network(ordered, model, wanted, **common)
    if wanted & {*_LINEAR}:
        columns["functional_information"] = _information(ordered, model, seed, progress)
    if wanted & {*_FOLDS}:
        held_out = out_of_fold(ordered, model, folds=folds, **common)
        columns |= dict(confident_learning(ordered, held_out))
    if wanted & {*_HALVES}:
        times = second_split_forgetting(ordered, model, **common)
        columns |= {f"negative_{name}": -time for name, time in times.items()}
    if wanted & {*_NETWORKS}:
        columns |= _by_many_networks(ordered, model, networks, **common)
    columns["random"] = rng(seed, "random score").random(len(ordered))
    index = pd.Index(ordered.ids.cpu().numpy(), name="sample")
    table = pd.DataFrame({name: np.asarray(columns[name]) for name in scores}, index=index)
    return table.loc[dataset.ids.cpu().numpy()]


def _check_scores(scores: Sequence[str]) -> set[str]:
    if isinstance(scores, str) or not len(scores):
        raise EmptySelection("scores", scores, f"Pass a list of some of {', '.join(SCORES)}.")
    for name in scores:
        if name not in SCORES:
            raise UnknownName("scores", name, f"Pass some of {', '.join(SCORES)}.")
        if list(scores).count(name) > 1:
            raise DuplicateIds("scores", name, "Name each score once.")
    return set(scores)


class _CommonOutput(nn.Module):
    """A network of one output, the sum of another's k over sqrt(k)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = self.network(images)
        return outputs.sum(1, keepdim=True) / outputs.shape[1] ** 0.5


def _by_one_network(
    dataset: Dataset,
    model: Factory,
    wanted: set[str],
    recipe: Recipe,
    seed: int,
    progress: bool | None,
) -> dict[str, Any]:
    """Return the scores of one training on all samples, and of the network it ends with."""
    with seeded(seed, "init"):
        network = model()
    tracker = DynamicsTracker(dataset.ids, dataset.num_classes, input_grads="csg" in wanted)
    where = dataset.images.device
    fit(
        network,
        dataset,
        tracker=tracker,
        track="eval",
        seed=seed,
        progress=progress,
        device=where,
        **asdict(recipe),
    )
    columns: dict[str, Any] = dict(tracker.scores())
    logits = predict(network, dataset).double()
    loss = cross_entropy(logits, dataset.labels, reduction="none").cpu().numpy()
    columns |= {"final_loss": loss, "in_confidence": -np.expm1(-loss)}
    if "curvature" in wanted:
        linear = is_piecewise_linear(network, dataset.images[:8])
        curvature = input_curvature(
            network,
            dataset.images,
            dataset.labels,
            estimator="exact" if linear else "hutchinson",
            ids=dataset.ids,
            seed=seed,
            progress=progress,
        )
        columns["curvature"] = curvature.trace.cpu().numpy()
    if "negative_distance" in wanted:
        distance = adversarial_distance(network, dataset.images, dataset.labels, progress=progress)
        columns["negative_distance"] = -distance.cpu().numpy()
    return columns


def _information(dataset: Dataset, model: Factory, seed: int, progress: bool | None) -> np.ndarray:
    """Return functional sample information (n,) of the initial network, over all classes."""
    from memlib.descent import GradientDescent
    from memlib.information import functional_sample_information, linearize

    with seeded(seed, "init"):
        network = model().to(dataset.images.device).eval()
    wanted = one_hot(dataset.labels, dataset.num_classes).double()
    missing = wanted - predict(network, dataset).double()
    exact = wanted.numel() <= _EXACT
    linear = linearize(
        network if exact else _CommonOutput(network),
        dataset.images,
        wanted if exact else missing[:, 0],
        device=dataset.images.device,
        progress=progress,
    )
    descent = GradientDescent(decay=0.01 * float(linear.kernel.diagonal().mean()))
    if exact:
        return functional_sample_information(linear, descent, progress=progress)
    total = np.zeros(len(dataset))
    for residual in missing.T.to(linear.outputs)[:, :, None]:
        one = replace(linear, targets=linear.outputs + residual)
        total += functional_sample_information(one, descent, progress=False)
    return total


def _by_many_networks(
    dataset: Dataset,
    model: Factory,
    networks: int,
    recipe: Recipe,
    seed: int,
    progress: bool | None,
) -> dict[str, Any]:
    """Return memorization and the mean attack score of members, from networks on random halves."""
    runs = subset_runs(
        dataset, model, models=networks, fraction=0.5, recipe=recipe, seed=seed, progress=progress
    )
    attack = lira(runs, progress=progress)
    inside = np.where(attack.members, attack.score, 0).sum(0, dtype=np.float64)
    return {
        "memorization": memorization_scores(runs)["memorization"],
        "membership": inside / attack.members.sum(0),
    }


def judge(table: pd.DataFrame, truth: np.ndarray) -> pd.DataFrame:
    """Measure how well each score tells the samples that are in trouble from the others.

    Args:
        table: One row per sample, one column per score, higher = more suspicious.
        truth: `(n,)` bool, row by row whether the sample is in trouble.

    Returns:
        One row per score (index `score`): `auroc`, the probability that a sample in trouble
        scores above one that is not (ties count half; 1/2 = chance), and `average_precision`, the
        mean precision over the ranks of the samples in trouble (their share = chance).

    Raises:
        WrongShape: There is not one truth per row.
        EmptySelection: No sample is in trouble, or every one, or there is no score.
        NonFiniteNumber: A score is NaN.
    """
    import pandas as pd
    from sklearn.metrics import average_precision_score, roc_auc_score

    truth = np.asarray(truth)
    if truth.dtype != bool or truth.shape != (len(table),):
        fix = f"Pass bool ({len(table)},), one for each row of the table."
        raise WrongShape("truth", (str(truth.dtype), truth.shape), fix)
    if truth.all() or not truth.any():
        fix = "Plant trouble in some samples, and not in all."
        raise EmptySelection("truth", f"{truth.sum()} of {len(truth)}", fix)
    if not len(table.columns):
        raise EmptySelection("table", "no column", "Pass at least one score.")
    for name, column in table.items():
        if column.isna().any():
            raise NonFiniteNumber(
                "table", f"{name} of {column.index[column.isna()][0]}", "Drop it."
            )
    # sklearn refuses infinity; only the order counts.
    ranks = table.rank()
    return pd.DataFrame(
        {
            "auroc": [roc_auc_score(truth, ranks[name]) for name in ranks],
            "average_precision": [average_precision_score(truth, ranks[name]) for name in ranks],
        },
        index=pd.Index(list(table.columns), name="score"),
    )


def detection_table(
    dataset: Dataset,
    plant: Plant,
    model: Factory,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    scores: Sequence[str] = DETECTORS,
    recipe: Recipe | None = None,
    folder: str | Path | None = None,
    device: torch.device | str | None = None,
    progress: bool | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Plant trouble in a data set and measure how well each score finds it, over several seeds.

    Each seed draws the trouble, the initial weights and the batches anew.

    Args:
        dataset: The data set without planted trouble.
        plant: What plants it, called as `plant(dataset, seed)`; for example
            `memlib.corruptions.planter("mislabels", 0.1)`.
        model: Builds one freshly initialized network.
        seeds: The seeds, each once.
        scores: As in `score_table`.
        recipe: How each network is trained.
        folder: Where the table of each finished seed is kept; the same call goes on from there.
        device: Where to train and score; None: where the images are.
        progress: Show progress bars; None shows them only on a terminal.
        options: `folds` and `networks`, as in `score_table`.

    Returns:
        One row per score (index `score`), those first whose AUROC is farthest from chance, 1/2, on
        either side: an AUROC near 0 finds the trouble by low values, as functional sample
        information finds duplicates. The columns: `auroc` and `average_precision`, means over the
        seeds; `auroc_sd` and `average_precision_sd`, standard deviations over the seeds
        (NaN for a single one); `seeds`, how many; `share`, the mean share of samples in trouble,
        which is the average precision of chance.

    Raises:
        EmptySelection: There is no seed or no score.
        DuplicateIds: A seed is there twice.
        ForeignResult: `folder` holds tables of other settings.
        InvalidInput: As `score_table` and `judge`.
    """
    import pandas as pd

    if not len(seeds):
        raise EmptySelection("seeds", seeds, "Pass at least one seed.")
    if len(set(seeds)) < len(seeds):
        raise DuplicateIds("seeds", list(seeds), "Pass each seed once.")
    _check_scores(scores)
    recipe = recipe or Recipe()
    dataset = dataset if device is None else dataset.to(device)
    parts, shares = [], []
    for seed in progress_bar(seeds, desc="seeds", enabled=progress):
        changed, truth = plant(dataset, seed)
        settings = run_settings(changed, model, recipe=recipe, seed=int(seed), scores=list(scores))
        settings |= options | {"in_trouble": int(truth.sum())}
        path = None if folder is None else Path(folder) / f"seed-{seed}.parquet"
        if path is not None and path.exists():
            table, _ = results.load_table(path, settings=settings)
        else:
            begun = time.perf_counter()
            table = score_table(
                changed,
                model,
                scores=scores,
                recipe=recipe,
                seed=seed,
                progress=progress,
                **options,
            )
            if path is not None:
                spent = time.perf_counter() - begun
                stamp = results.provenance("memlib.detection.detection_table", settings, spent)
                results.save_table(path, table, stamp)
        parts.append(judge(table, truth))
        shares.append(truth.mean())
    every = pd.concat(parts).groupby(level="score")
    mean, spread = every.mean(), every.std()
    summary = pd.DataFrame(
        {
            "auroc": mean["auroc"],
            "auroc_sd": spread["auroc"],
            "average_precision": mean["average_precision"],
            "average_precision_sd": spread["average_precision"],
            "seeds": len(parts),
            "share": np.mean(shares),
        }
    )
    order = (summary["auroc"] - 0.5).abs().sort_values(ascending=False, kind="stable")
    return summary.loc[order.index]
