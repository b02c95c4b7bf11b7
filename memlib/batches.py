"""The batches of an epoch: their order, and their augmentation on the device."""

from collections.abc import Iterator

import torch
from torch import Tensor

from memlib.data import Dataset
from memlib.runtime import generator

_PADDING = 4  # pixels on each side before the random crop, as usual on CIFAR

Batch = tuple[Tensor, Tensor, Tensor]  # images, labels, ids


def batches(
    dataset: Dataset, batch_size: int, augment: str | None, seed: int, epoch: int
) -> Iterator[Batch]:
    """Yield the batches of one epoch.

    Args:
        dataset: The samples; the batches are on its device.
        batch_size: Samples in each; the last may have fewer.
        augment: `"crop-flip"` or None, as in `memlib.training.fit`.
        seed: Seed of the order and of the augmentation, the same on every device.
        epoch: Its number; each has an order of its own.

    Yields:
        Images (b, c, h, w), labels (b,) and ids (b,).
    """
    n, place = len(dataset), dataset.images.device
    # Drawn on the CPU, so that the order is the same on every device.
    order = torch.randperm(n, generator=generator(seed, "batches", epoch)).to(place)
    if augment is not None:
        random = generator(seed, "augmentation", epoch)
        shifts = torch.randint(2 * _PADDING + 1, (n, 2), generator=random).to(place)
        flips = (torch.rand(n, generator=random) < 0.5).to(place)
        black = torch.tensor([-m / s for m, s in zip(dataset.mean, dataset.std, strict=True)])
        black = black.to(dataset.images)
    labels, ids = dataset.labels[order], dataset.ids[order]
    for start in range(0, n, batch_size):
        part = slice(start, start + batch_size)
        images = dataset.images[order[part]]
        if augment is not None:
            images = _crop_flip(images, shifts[part], flips[part], black)
        yield images, labels[part], ids[part]


def _crop_flip(images: Tensor, shifts: Tensor, flips: Tensor, black: Tensor) -> Tensor:
    """Crop each image (c, h, w) of a batch at its shift (2,) after padding, and mirror some."""
    count, channels, height, width = images.shape
    size = (count, channels, height + 2 * _PADDING, width + 2 * _PADDING)
    padded = black[:, None, None].expand(size).clone()
    padded[:, :, _PADDING:-_PADDING, _PADDING:-_PADDING] = images
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # a view: (b, c, 9, 9, h, w)
    crops = windows[torch.arange(count, device=images.device), :, shifts[:, 0], shifts[:, 1]]
    return torch.where(flips[:, None, None, None], crops.flip(3), crops)
