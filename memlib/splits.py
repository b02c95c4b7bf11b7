"""Scores by networks that are trained on a part of the data: confident learning and SSFT.

Every part gets a network of its own, freshly initialized, and all results are in one index space,
that of the data set. The samples are put in the order of their ids first, so that the result does
not depend on the order in which they come.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from memlib.ensemble import Recipe
from memlib.errors import InvalidInput, NonFiniteNumber, TooLarge, WrongShape
from memlib.runtime import progress as progress_bar
from memlib.runtime import rng, seeded, whole_number
from memlib.training import Callback, fit, predict

if TYPE_CHECKING:
    import pandas as pd

    from memlib.data import Dataset
    from memlib.shards import Factory


def fold_numbers(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Deal samples into folds of equal size, every class as evenly as possible.

    Args:
        labels: `(n,)` labels.
        folds: Number of folds, from 2 to n.
        seed: Seed of the shuffle before the deal.

    Returns:
        int64 `(n,)`: the fold of each sample, from 0 to `folds - 1`. Sizes differ by at most one,
        and so do the numbers of a class.

    Raises:
        NotPositive: There are fewer than two folds.
        TooLarge: There are more folds than samples.
    """
    if whole_number("folds", folds, least=2) > len(labels):
        raise TooLarge("folds", folds, f"Pass at most one fold for each of {len(labels)} samples.")
    order = rng(seed, "folds", folds).permutation(len(labels))
    order = order[np.argsort(np.asarray(labels)[order], kind="stable")]
    numbers = np.empty(len(labels), dtype=np.int64)
    numbers[order] = np.arange(len(labels)) % folds
    return numbers


def out_of_fold(
    dataset: Dataset,
    model: Factory,
    *,
    folds: int = 3,
    recipe: Recipe | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> np.ndarray:
    """Predict every sample by a network that was not trained on it: k-fold cross-validation.

    Args:
        dataset: The samples; training runs on the device of its images.
        model: Builds one freshly initialized network, for example `memlib.models.mlp`.
        folds: Number of folds; `orders` uses 3.
        recipe: How each network is trained.
        seed: Seed of the folds, the initial weights and the batches.
        progress: Show a progress bar; None shows it only on a terminal.

    Returns:
        Softmax probabilities `(n, k)` float64, row by row those of the data set. A permutation of
        the data set permutes them, bit for bit.

    Raises:
        NotPositive: There are fewer than two folds.
        TooLarge: There are more folds than samples.
        TrainingDiverged: The loss is not finite.

    Cost: `folds` trainings on a share of `1 - 1 / folds` each.
    """
    order, ordered = _by_id(dataset)
    fold = fold_numbers(ordered.labels.cpu().numpy(), folds, seed)
    probabilities = np.empty((len(dataset), dataset.num_classes))
    for number in progress_bar(range(folds), desc="folds", enabled=progress):
        network = _trained(model, ordered.select(fold != number), recipe, seed, "fold", number)
        logits = predict(network, ordered.select(fold == number))
        probabilities[order[fold == number]] = logits.double().softmax(1).cpu().numpy()
    return probabilities


def confident_learning(dataset: Dataset, probabilities: np.ndarray) -> pd.DataFrame:
    """Judge every label by confident learning (Northcutt et al. 2021), with cleanlab.

    Args:
        dataset: The samples and the labels to judge.
        probabilities: `(n, k)` out-of-sample probabilities, as `out_of_fold` returns them.

    Returns:
        One row per sample (index `sample`), higher = more probably mislabeled:
        `confident_learning` in [0, 1], one minus cleanlab's label quality by normalized margin
        `p_y - max p_k`; and `confident_learning_flag`, 1 where cleanlab counts the label among
        its issues (`find_label_issues`, which estimates how many there are), else 0.

    Raises:
        WrongShape: The probabilities are not (n, k).
        NonFiniteNumber: A probability is not finite.
        InvalidInput: A row is no distribution.
        ModuleNotFoundError: cleanlab is not installed; it comes with `memlib[detection]`.
    """
    import pandas as pd

    probabilities = np.asarray(probabilities)
    if probabilities.shape != (len(dataset), dataset.num_classes):
        fix = f"Pass shape ({len(dataset)}, {dataset.num_classes})."
        raise WrongShape("probabilities", probabilities.shape, fix)
    if not np.isfinite(probabilities).all():
        raise NonFiniteNumber("probabilities", "one of them", "Pass finite probabilities.")
    if probabilities.min() < 0 or abs(probabilities.sum(1) - 1).max() > 1e-3:
        raise InvalidInput("probabilities", "a row", "Pass rows that are at least 0 and sum to 1.")
    try:
        from cleanlab.filter import find_label_issues
        from cleanlab.rank import get_label_quality_scores
    except ModuleNotFoundError as error:
        fix = "confident learning needs cleanlab: pip install 'memlib[detection]'"
        raise ModuleNotFoundError(fix, name=error.name) from None
    labels = dataset.labels.cpu().numpy()
    quality = get_label_quality_scores(labels, probabilities, method="normalized_margin")
    # Classes that no label names have no threshold; cleanlab counts among the others.
    named, own = np.unique(labels, return_inverse=True)
    among = probabilities[:, named] + np.finfo(float).tiny
    among /= among.sum(1, keepdims=True)
    issues = np.zeros(len(labels), dtype=bool)
    if len(named) > 1:
        issues = find_label_issues(own, among, n_jobs=1, min_examples_per_class=0)
    columns = {"confident_learning": 1 - quality, "confident_learning_flag": issues.astype(int)}
    return pd.DataFrame(columns, index=pd.Index(dataset.ids.cpu().numpy(), name="sample"))


def second_split_forgetting(
    dataset: Dataset,
    model: Factory,
    *,
    recipe: Recipe | None = None,
    second: Recipe | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Measure after how many epochs of training on the other half each sample is forgotten: SSFT.

    Each half of the data trains a fresh network, which then goes on with the other half. Epoch 0
    is the network before that, epoch t the network after t epochs on the other half.

    - `ssft`, as Maini et al. (2022) define it: the first epoch from which on the sample is
      misclassified to the end, `min {t : wrong at t, t + 1, ..., T}`.
    - `ssft_first`, as `orders` (appendix C.5) words it, "how quickly a sample is misclassified":
      the first epoch at which it is wrong, for however long.

    Args:
        dataset: The samples; training runs on the device of its images.
        model: Builds one freshly initialized network.
        recipe: How each network is trained on its own half.
        second: How it goes on with the other half; None takes `recipe` again.
        seed: Seed of the halves, the initial weights and the batches.
        progress: Show a progress bar; None shows it only on a terminal.

    Returns:
        One row per sample (index `sample`) with the two times, int64, from 0 (wrong at the end of
        training on its own half already) to `T + 1` (never forgotten). Mislabeled samples are
        forgotten early: *smaller* = more suspicious.

    Raises:
        TooLarge: There are fewer than two samples.
        TrainingDiverged: The loss is not finite.

    Cost: two trainings on each half, and an evaluation of half the data per epoch of the second.
    """
    import pandas as pd

    order, ordered = _by_id(dataset)
    half = fold_numbers(ordered.labels.cpu().numpy(), 2, seed)
    second = second or recipe or Recipe()
    wrong = np.empty((second.epochs + 1, len(dataset)), dtype=bool)
    for number in progress_bar(range(2), desc="halves", enabled=progress):
        mine, other = (ordered.select(half == which) for which in (number, 1 - number))
        network = _trained(model, mine, recipe, seed, "half", number)
        seen = [predict(network, mine)]

        def observe(epoch: int, network: nn.Module, history: object) -> None:
            seen.append(predict(network, mine))  # noqa: B023, used before the next turn

        _go_on(network, other, second, seed, "second", number, callbacks=[observe])
        verdicts = [(logits.argmax(1) != mine.labels).cpu().numpy() for logits in seen]
        wrong[:, order[half == number]] = np.stack(verdicts)
    never = len(wrong)
    stays = np.logical_and.accumulate(wrong[::-1])[::-1]  # wrong from here to the end
    columns = {
        name: np.where(hits.any(0), hits.argmax(0), never)
        for name, hits in (("ssft", stays), ("ssft_first", wrong))
    }
    return pd.DataFrame(columns, index=pd.Index(dataset.ids.cpu().numpy(), name="sample"))


def _by_id(dataset: Dataset) -> tuple[np.ndarray, Dataset]:
    """Return the positions in increasing order of the ids, and the data set in that order."""
    order = np.argsort(dataset.ids.cpu().numpy())
    return order, dataset.select(order)


def _trained(
    model: Factory, dataset: Dataset, recipe: Recipe | None, seed: int, *stream: int | str
) -> nn.Module:
    with seeded(seed, "init", *stream):
        network = model()
    _go_on(network, dataset, recipe or Recipe(), seed, *stream)
    return network


def _go_on(
    network: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    seed: int,
    *stream: int | str,
    callbacks: list[Callback] | None = None,
) -> None:
    own_seed = int(rng(seed, "fit", *stream).integers(2**31))
    where: torch.device = dataset.images.device
    fit(
        network,
        dataset,
        seed=own_seed,
        callbacks=callbacks or [],
        progress=False,
        device=where,
        **asdict(recipe),
    )
