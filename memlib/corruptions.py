"""Data sets with a planted trouble and its truth, for detectors to be judged by.

Symmetric label noise and duplicates are in `memlib.data`, adversarial images in `memlib.attacks`;
`planter` has them all by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from memlib.attacks import adversarial_copies
from memlib.data import Dataset, add_duplicates, flip_labels
from memlib.ensemble import Recipe
from memlib.errors import (
    DuplicateIds,
    EmptySelection,
    InvalidInput,
    LabelOutOfRange,
    NotPositive,
    TooLarge,
    UnknownName,
    WrongShape,
)
from memlib.runtime import open_fraction, rng, seeded, whole_number
from memlib.training import fit

if TYPE_CHECKING:
    from memlib.shards import Factory

Plant = Callable[[Dataset, int], tuple[Dataset, np.ndarray]]
TROUBLES = (
    "mislabels",
    "class-mislabels",
    "duplicates",
    "wrong-duplicates",
    "subclass",
    "adversarial",
    "sources",
)


def flip_between_classes(
    dataset: Dataset, fraction: float, *, onto: Mapping[int, int] | None = None, seed: int
) -> tuple[Dataset, np.ndarray]:
    """Mislabel a share of each class as one other class: class-dependent noise.

    Of every class c that `onto` names, exactly `round(fraction * n_c)` samples, drawn without
    replacement, get the label `onto[c]`.

    Args:
        dataset: What to change.
        fraction: Share of each class to mislabel, inside (0, 1).
        onto: The wrong label of each class; None takes the next class, the first after the last.
        seed: Seed of the draw.

    Returns:
        The data set with the noisy labels, and the truth: bool (n,), true where the label is wrong.

    Raises:
        FractionOutOfRange: The fraction is not inside (0, 1).
        NotPositive: The fraction is so small that no label would change, there is only one class,
            or the seed is negative.
        LabelOutOfRange: `onto` names no class, or a class as its own wrong label.

    Example:
        >>> from memlib import corruptions, data
        >>> digits = data.load("digits")
        >>> noisy, wrong = corruptions.flip_between_classes(digits, 0.1, onto={1: 7}, seed=0)
        >>> noisy.labels[wrong].unique().tolist(), digits.labels[wrong].unique().tolist()
        ([7], [1])
    """
    fraction = open_fraction("fraction", fraction)
    classes = dataset.num_classes
    if classes < 2:
        raise NotPositive("dataset.num_classes", classes, "Wrong labels need two classes.")
    if onto is None:
        onto = {label: (label + 1) % classes for label in range(classes)}
    for pair in onto.items():
        if not all(label in range(classes) for label in pair) or pair[0] == pair[1]:
            fix = f"Map classes from 0 to {classes - 1} to other ones."
            raise LabelOutOfRange("onto", pair, fix)
    random = rng(seed, "flip_between_classes")
    own = dataset.labels.cpu().numpy()
    labels, flipped = own.copy(), np.zeros(len(dataset), dtype=bool)
    for label, wrong in sorted(onto.items()):
        members = np.flatnonzero(own == label)
        chosen = random.choice(members, size=round(fraction * len(members)), replace=False)
        labels[chosen], flipped[chosen] = wrong, True
    if not flipped.any():
        fix = "Take a larger fraction, or classes with more samples."
        raise NotPositive("fraction", fraction, fix)
    noisy = dataset.relabel(torch.from_numpy(labels).to(dataset.labels.device))
    return replace(noisy, name=f"{dataset.name}, classes mislabeled"), flipped


def duplicate(
    dataset: Dataset, count: int, *, labels: Literal["same", "wrong"], seed: int
) -> tuple[Dataset, np.ndarray]:
    """Append copies as `memlib.data.add_duplicates` does, with the truth that judges a detector.

    Args:
        dataset: What to change.
        count: Number of copies, each of another sample.
        labels: `"same"` keeps the original's label; `"wrong"` draws uniformly from the others.
        seed: Seed of the draw.

    Returns:
        The data set of n + count samples, and the truth: bool (n + count,). With the same label,
        copy and original are one and the same to any training, and both are true: what is to be
        found is that there are two. With a wrong label, only the copy is.

    Raises:
        InvalidInput: As `add_duplicates`.
    """
    more, copies = add_duplicates(dataset, count, labels=labels, seed=seed)
    found = np.zeros(len(more), dtype=bool)
    found[len(dataset) :] = True
    if labels == "same":
        found[dataset.positions(copies["original_id"].to_numpy())] = True
    return more, found


def undersample(
    dataset: Dataset, groups: Mapping[str, Sequence[int]], *, rare: int, keep: int, seed: int
) -> tuple[Dataset, np.ndarray]:
    """Merge classes into coarser ones, and thin out one of the merged: an under-sampled sub-class.

    The design of `unique`, section 6: cats (200 samples) and dogs (4,000) are one class "pets".

    Args:
        dataset: What to change.
        groups: The old classes of each new one, by its name; samples of others are left out.
        rare: The old class that is thinned out.
        keep: How many of its samples stay, drawn without replacement.
        seed: Seed of the draw.

    Returns:
        The data set with the new labels, the samples in their old order with their ids, and the
        truth: bool (n',), true for the samples of the rare class.

    Raises:
        EmptySelection: There are fewer than two groups, or one is empty.
        LabelOutOfRange: A group holds no class number.
        DuplicateIds: A class is in two groups.
        UnknownName: `rare` is in no group, or alone in its own.
        NotPositive: `keep` is below 1.
        TooLarge: `keep` is above the number of its samples.

    Example:
        >>> from memlib import corruptions, data
        >>> groups = {"tops": [0, 2, 6], "shoes": [5, 7, 9]}
        >>> coarse, rare = corruptions.undersample(
        ...     data.load("fmnist-mini"), groups, rare=6, keep=25, seed=0
        ... )
        >>> len(coarse), int(rare.sum()), coarse.class_names
        (2525, 25, ('tops', 'shoes'))
    """
    if len(groups) < 2 or not all(len(group) for group in groups.values()):
        raise EmptySelection("groups", dict(groups), "Pass two groups of classes or more.")
    new_label: dict[int, int] = {}
    for label, group in enumerate(groups.values()):
        for old in group:
            if old not in range(dataset.num_classes):
                fix = f"Pass classes from 0 to {dataset.num_classes - 1}."
                raise LabelOutOfRange("groups", old, fix)
            if old in new_label:
                raise DuplicateIds("groups", old, "Put each class into one group.")
            new_label[int(old)] = label
    partners = [old for old in new_label if new_label[old] == new_label.get(rare) and old != rare]
    if not partners:
        fix = "Pass a class that stands in a group with others."
        raise UnknownName("rare", rare, fix)
    old_labels = dataset.labels.cpu().numpy()
    members = np.flatnonzero(old_labels == rare)
    if whole_number("keep", keep) > len(members):
        raise TooLarge("keep", keep, f"Keep at most all {len(members)} samples of class {rare}.")
    kept = rng(seed, "undersample").choice(members, size=keep, replace=False)
    chosen = np.isin(old_labels, [old for old in new_label if old != rare])
    chosen[kept] = True
    old_labels = old_labels[chosen]
    labels = torch.tensor([new_label[old] for old in old_labels.tolist()])
    coarse = replace(
        dataset.select(chosen),
        labels=labels.to(dataset.labels.device),
        class_names=tuple(groups),
        name=f"{dataset.name}, {dataset.class_names[rare]} under-sampled",
    )
    return coarse, old_labels == rare


def mix_sources(sources: Sequence[Dataset]) -> tuple[Dataset, np.ndarray]:
    """Put data sets for one task into one, as section 6 of `unique` does with two kinds of digits.

    All images get the normalization of the first source, so that equal pixels are equal numbers.

    Args:
        sources: Data sets with images of one shape and the same number of classes, which class
            `c` means the same in. Class names are the first's.

    Returns:
        The samples of all sources in their order, with ids 0 to n - 1, and the truth: int64 (n,),
        the number of each sample's source.

    Raises:
        EmptySelection: There are fewer than two sources.
        WrongShape: Their images or numbers of classes differ.
    """
    if len(sources) < 2:
        raise EmptySelection("sources", len(sources), "Pass at least two data sets.")
    first = sources[0]
    for source in sources[1:]:
        if source.images.shape[1:] != first.images.shape[1:]:
            fix = f"Bring all images to shape {tuple(first.images.shape[1:])}."
            raise WrongShape("sources", tuple(source.images.shape[1:]), fix)
        if source.num_classes != first.num_classes:
            fix = f"Pass data sets of {first.num_classes} classes."
            raise WrongShape("sources", f"{source.num_classes} classes", fix)
    place = first.images.device
    mean, std = (
        torch.tensor(part, device=place)[:, None, None] for part in (first.mean, first.std)
    )
    images = [(source.to(place).pixels() - mean) / std for source in sources]
    number = np.repeat(np.arange(len(sources)), [len(source) for source in sources])
    mixed = Dataset(
        images=torch.cat(images),
        labels=torch.cat([source.labels.to(place) for source in sources]),
        ids=torch.arange(sum(map(len, sources)), device=place),
        class_names=first.class_names,
        name=" and ".join(source.name for source in sources),
        mean=first.mean,
        std=first.std,
    )
    return mixed, number


def _add_source(
    dataset: Dataset, other: Dataset, share: float, seed: int
) -> tuple[Dataset, np.ndarray]:
    """Append a share of the samples of another source; the truth is bool, true for these."""
    count = _count(share, len(dataset))
    if count > len(other):
        fix = f"Take a smaller fraction: {other.name} has {len(other)} samples, not {count}."
        raise TooLarge("fraction", share, fix)
    chosen = rng(seed, "sources").choice(len(other), size=count, replace=False)
    mixed, source = mix_sources([dataset, _by_id(other).select(chosen)])
    return mixed, source == 1


def _count(share: float, n: int) -> int:
    """Return how many samples a share of n is, at least 1."""
    count = round(share * n)
    if count == 0:
        fix = f"Of {n} samples take at least {1 / n:.2g}." if n else "There are no samples."
        raise NotPositive("fraction", share, fix)
    return count


def _by_id(dataset: Dataset) -> Dataset:
    return dataset.select(np.argsort(dataset.ids.cpu().numpy()))


def planter(
    trouble: str,
    fraction: float,
    *,
    model: Factory | None = None,
    recipe: Recipe | None = None,
    epsilon: float = 0.05,
    other: Dataset | None = None,
) -> Plant:
    """Return what plants a named trouble, as `memlib.detection.detection_table` calls it.

    Args:
        trouble: One of `TROUBLES`:

            - `"mislabels"`: `memlib.data.flip_labels`, to classes drawn uniformly.
            - `"class-mislabels"`: `flip_between_classes`, each class to the next.
            - `"duplicates"`, `"wrong-duplicates"`: `duplicate`, `round(fraction n)` copies.
            - `"subclass"`: `undersample`; the lower and the upper half of the classes become two,
              and of class 0 a share `fraction` stays. Networks for it have two outputs.
            - `"adversarial"`: `memlib.attacks.adversarial_copies`, against a network of its own.
            - `"sources"`: `mix_sources` with `round(fraction n)` samples of `other`, drawn without
              replacement; the truth says which these are.
        fraction: The share of samples (for `"subclass"`: of class 0), inside (0, 1).
        model: Builds the network that adversarial images fool.
        recipe: How it is trained.
        epsilon: Largest change of an adversarial image's pixels, in pixels in [0, 1].
        other: The second source, with images of the same shape and the same classes; for
            `"sources"` only.

    Returns:
        A function of a data set and a seed that returns the changed data set and the truth, (n,)
        bool. The samples come in the order of their ids, so that the draw depends on the ids and
        not on the order of the data set; the functions named above draw positions.

    Raises:
        UnknownName: There is no such trouble.
        FractionOutOfRange: The fraction is not inside (0, 1).
        InvalidInput: Adversarial images are asked for without a model, or sources without `other`,
            or `other` is passed for another trouble.
    """
    share = open_fraction("fraction", fraction)
    if trouble not in TROUBLES:
        raise UnknownName("trouble", trouble, f"Pass one of {', '.join(TROUBLES)}.")
    if trouble == "adversarial" and model is None:
        raise InvalidInput("model", model, "Pass what builds the network to be fooled.")
    if (trouble == "sources") != (other is not None):
        fix = "Pass the second data set with the trouble 'sources', and with that alone."
        raise InvalidInput("other", None if other is None else other.name, fix)

    def plant(dataset: Dataset, seed: int) -> tuple[Dataset, np.ndarray]:
        dataset = _by_id(dataset)
        if trouble == "mislabels":
            return flip_labels(dataset, share, seed=seed)
        if trouble == "class-mislabels":
            return flip_between_classes(dataset, share, seed=seed)
        if trouble == "subclass":
            half = dataset.num_classes // 2
            groups = {
                f"classes 0 to {half - 1}": range(half),
                f"classes {half} to {dataset.num_classes - 1}": range(half, dataset.num_classes),
            }
            keep = _count(share, int((dataset.labels == 0).sum()))
            return undersample(dataset, groups, rare=0, keep=keep, seed=seed)
        if model is not None and trouble == "adversarial":
            with seeded(seed, "init", "fooled"):
                network = model()
            where, plan = dataset.images.device, recipe or Recipe()
            fit(network, dataset, seed=seed, progress=False, device=where, **asdict(plan))
            return adversarial_copies(dataset, network, share, epsilon=epsilon, seed=seed)
        if other is not None:
            return _add_source(dataset, other, share, seed)
        labels: Literal["same", "wrong"] = "same" if trouble == "duplicates" else "wrong"
        return duplicate(dataset, _count(share, len(dataset)), labels=labels, seed=seed)

    return plant
