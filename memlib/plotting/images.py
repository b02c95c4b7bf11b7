"""Figures of images: a grid, and pairs with what binds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt

from memlib.errors import EmptySelection, WrongShape
from memlib.plotting.look import style
from memlib.runtime import whole_number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from memlib.data import Dataset


def image_grid(
    dataset: Dataset, ids: Sequence[int], captions: Sequence[str], *, columns: int = 6
) -> Figure:
    """Draw samples as a grid of images, each with a short caption above.

    Args:
        dataset: Where the samples are.
        ids: Ids of the samples, in reading order.
        captions: One caption per sample.
        columns: Images per row.

    Returns:
        The figure.

    Raises:
        EmptySelection: No sample is named.
        WrongShape: The numbers of ids and captions differ.
        UnknownIds: An id is not in the data set.
    """
    if len(ids) == 0:
        raise EmptySelection("ids", ids, "Name at least one sample.")
    if len(captions) != len(ids):
        raise WrongShape("captions", len(captions), f"Pass one caption for each of {len(ids)} ids.")
    columns = min(whole_number("columns", columns), len(ids))
    rows = -(-len(ids) // columns)
    images = dataset.select(dataset.positions(ids)).pixels().permute(0, 2, 3, 1).cpu().numpy()
    with style():
        figure, axes = plt.subplots(
            rows, columns, figsize=(1.15 * columns, 1.4 * rows), squeeze=False
        )
        for axis in axes.flat:
            axis.set_axis_off()
        for axis, image, caption in zip(axes.flat, images, captions, strict=False):
            axis.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=1)
            axis.set_title(caption, fontsize=9)
    return figure


def image_pairs(
    pairs: Sequence[tuple[Dataset, int, Dataset, int]], captions: Sequence[str]
) -> Figure:
    """Draw pairs of samples from two data sets, one above the other.

    Args:
        pairs: (data set, id, data set, id): the upper and the lower sample of each pair.
        captions: One caption per pair.

    Returns:
        The figure.

    Raises:
        EmptySelection: There is no pair.
        WrongShape: The numbers of pairs and captions differ.
        UnknownIds: An id is not in its data set.
    """
    if not pairs:
        raise EmptySelection("pairs", pairs, "Pass at least one pair.")
    if len(captions) != len(pairs):
        raise WrongShape("captions", len(captions), f"Pass one caption for each of {len(pairs)}.")
    with style():
        figure, axes = plt.subplots(2, len(pairs), figsize=(1.4 * len(pairs), 3), squeeze=False)
        for column, ((upper, sample, lower, target), caption) in enumerate(
            zip(pairs, captions, strict=True)
        ):
            for axis, dataset, name in zip(
                axes[:, column], (upper, lower), (sample, target), strict=True
            ):
                image = dataset.select(dataset.positions([name])).pixels()[0].permute(1, 2, 0)
                axis.imshow(image.squeeze().cpu().numpy(), cmap="gray", vmin=0, vmax=1)
                axis.set_axis_off()
            axes[0, column].set_title(caption, fontsize=9)
    return figure
