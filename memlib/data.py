"""Data sets as tensors with stable ids, and changes to them that tell the truth of each change."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from memlib import datasets, runtime
from memlib.errors import (
    DuplicateIds,
    EmptySelection,
    LabelOutOfRange,
    NonFiniteImages,
    NonFiniteNumber,
    NotPositive,
    TooLarge,
    UnknownIds,
    UnknownName,
    WrongShape,
    WrongType,
)
from memlib.runtime import open_fraction, rng, whole_number

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images, whole, in memory; frozen: every change gives a new data set.

    Args:
        images: float32 (n, c, h, w), normalized: `(pixels - mean) / std`, pixels in [0, 1].
        labels: int64 (n,), each from 0 to k - 1.
        ids: int64 (n,), distinct. An id stays with its sample through every selection.
        class_names: The k names.
        name: What the data are.
        mean: Mean subtracted, one number per channel.
        std: Standard deviation divided by, one number per channel.

    Raises:
        WrongShape: Lengths or dimensions do not fit together.
        WrongType: A tensor has another dtype, or is no tensor.
        EmptySelection: There is no sample.
        LabelOutOfRange: A label is no class number.
        NonFiniteImages: An image holds NaN or infinity.
        NonFiniteNumber: The mean or the deviation does.
        NotPositive: A standard deviation is not above 0.
        DuplicateIds: Two samples have one id.
    """

    images: Tensor
    labels: Tensor
    ids: Tensor
    class_names: tuple[str, ...]
    name: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        _check_tensor("images", self.images, torch.float32)
        if self.images.ndim != 4:
            raise WrongShape("images", tuple(self.images.shape), "Pass shape (n, c, h, w).")
        if 0 in self.images.shape:
            raise EmptySelection("images", tuple(self.images.shape), "Keep at least one sample.")
        if not bool(torch.isfinite(self.images).all()):
            bad = int((~torch.isfinite(self.images).flatten(1).all(1)).nonzero()[0, 0])
            raise NonFiniteImages("images", f"position {bad}", "Remove or repair that image.")
        object.__setattr__(self, "class_names", tuple(self.class_names))
        _check_labels(self.labels, len(self), self.num_classes)
        _check_tensor("ids", self.ids, torch.int64)
        if self.ids.shape != (len(self),):
            fix = f"Pass one id for each of the {len(self)} images."
            raise WrongShape("ids", tuple(self.ids.shape), fix)
        ordered = self.ids.sort().values
        twice = ordered[1:][ordered[1:] == ordered[:-1]]
        if len(twice):
            raise DuplicateIds("ids", int(twice[0]), "Give every sample an id of its own.")
        for argument in ("mean", "std"):
            given = getattr(self, argument)
            try:
                numbers = tuple(float(number) for number in given)
            except (TypeError, ValueError):
                raise WrongType(argument, given, "Pass a tuple of numbers.") from None
            object.__setattr__(self, argument, numbers)
            if len(numbers) != self.images.shape[1]:
                fix = f"Pass one number for each of the {self.images.shape[1]} channels."
                raise WrongShape(argument, numbers, fix)
            if not np.isfinite(numbers).all():
                raise NonFiniteNumber(argument, numbers, "Pass finite numbers.")
        if min(self.std) <= 0:
            raise NotPositive("std", self.std, "Pass numbers above 0; 1 leaves a channel as it is.")

    def __len__(self) -> int:
        """Return the number of samples n."""
        return len(self.images)

    @property
    def num_classes(self) -> int:
        """Number of classes k, also where a class has no sample left."""
        return len(self.class_names)

    def select(self, positions: Any) -> "Dataset":
        """Return the samples at some positions, in that order, with their ids.

        Args:
            positions: Whole numbers from 0 to n - 1, or a boolean mask (n,): tensor, array, list.

        Returns:
            A data set of copies.

        Raises:
            EmptySelection: No position is given.
            UnknownIds: A position is outside 0 to n - 1.
            DuplicateIds: A position is given twice.
            WrongShape: It is not a vector, or a mask of another length.
            WrongType: It is neither whole numbers nor a mask.
        """
        try:
            given = positions if isinstance(positions, Tensor) else np.array(positions)
            index = torch.as_tensor(given, device=self.ids.device)
        except (TypeError, ValueError, RuntimeError):
            fix = "Pass whole numbers or a boolean mask."
            raise WrongType("positions", positions, fix) from None
        if index.ndim != 1:
            raise WrongShape("positions", tuple(index.shape), "Pass one dimension.")
        if index.dtype == torch.bool:
            if len(index) != len(self):
                fix = f"Pass a mask of length {len(self)}."
                raise WrongShape("positions", tuple(index.shape), fix)
            index = index.nonzero()[:, 0]
        if len(index) == 0:
            raise EmptySelection("positions", positions, "Keep at least one sample.")
        if index.is_floating_point() or index.is_complex():
            raise WrongType("positions", positions, "Pass whole numbers or a boolean mask.")
        index = index.long()
        outside = index[(index < 0) | (index >= len(self))]
        if len(outside):
            fix = f"Pass positions from 0 to {len(self) - 1}."
            raise UnknownIds("positions", int(outside[0]), fix)
        return replace(
            self, images=self.images[index], labels=self.labels[index], ids=self.ids[index]
        )

    def positions(self, ids: Any) -> np.ndarray:
        """Return where samples stand, the inverse of indexing `ids`.

        Args:
            ids: Ids of samples, in any order: sequence or array.

        Returns:
            int64 (len(ids),), so that `dataset.ids[dataset.positions(ids)]` is `ids`.

        Raises:
            UnknownIds: An id is not in the data set.
            WrongType: An id is not a whole number.
        """
        given = np.asarray(ids)
        if given.size and given.dtype.kind not in "iu":
            raise WrongType("ids", ids, "Pass whole numbers.")
        wanted = given.astype(np.int64)
        own = self.ids.cpu().numpy()
        order = np.argsort(own)
        place = order[np.clip(np.searchsorted(own, wanted, sorter=order), 0, len(own) - 1)]
        missing = wanted[own[place] != wanted]
        if len(missing):
            raise UnknownIds("ids", missing.tolist(), f"Use ids of the data set {self.name!r}.")
        return place

    def relabel(self, labels: Tensor) -> "Dataset":
        """Return the same images and ids with other labels.

        Args:
            labels: int64 (n,), each from 0 to k - 1.

        Returns:
            A data set that shares the images.

        Raises:
            WrongShape: There is not one label for each sample.
            WrongType: The labels are no int64 tensor.
            LabelOutOfRange: A label is no class number.
        """
        return replace(self, labels=labels)

    def to(self, device: torch.device | str) -> "Dataset":
        """Return the data set on a device; tensors already there are shared.

        Args:
            device: For example `"cuda"`.

        Returns:
            A data set whose tensors live there.

        Raises:
            UnknownName: There is no such device.
        """
        place = runtime.device(device)
        images, labels, ids = (t.to(place) for t in (self.images, self.labels, self.ids))
        return replace(self, images=images, labels=labels, ids=ids)

    def pixels(self) -> Tensor:
        """Return the images as they look, the normalization undone.

        Returns:
            float32 (n, c, h, w), clipped to [0, 1].
        """
        mean, std = _per_channel(self.mean, self.images), _per_channel(self.std, self.images)
        return (self.images * std + mean).clamp_(0, 1)

    def fingerprint(self) -> str:
        """Return a SHA-256 of the content: images, labels, ids, class names, normalization.

        The name and the device do not enter. A run's settings hold it to say which data it saw.

        Returns:
            64 hexadecimal digits.
        """
        digest = hashlib.sha256()
        for tensor in (self.images, self.labels, self.ids):
            array = tensor.detach().cpu().contiguous().numpy()
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(array.data)
        digest.update(repr((self.class_names, self.mean, self.std)).encode())
        return digest.hexdigest()


def _check_tensor(argument: str, value: object, dtype: torch.dtype) -> None:
    fix = f"Pass torch.as_tensor({argument}, dtype={dtype})."
    if not isinstance(value, Tensor):
        raise WrongType(argument, type(value), fix)
    if value.dtype != dtype:
        raise WrongType(argument, value.dtype, fix)


def _check_labels(labels: Tensor, count: int, classes: int) -> None:
    _check_tensor("labels", labels, torch.int64)
    if labels.shape != (count,):
        fix = f"Pass one label for each of the {count} images."
        raise WrongShape("labels", tuple(labels.shape), fix)
    outside = labels[(labels < 0) | (labels >= classes)]
    if len(outside):
        fix = f"Pass labels from 0 to {classes - 1}, or more class names."
        raise LabelOutOfRange("labels", int(outside[0]), fix)


def _per_channel(numbers: tuple[float, ...], like: Tensor) -> Tensor:
    return torch.tensor(numbers, dtype=like.dtype, device=like.device)[:, None, None]


# --- loading ------------------------------------------------------------------------------------

_Reader = Callable[[bool, Path | None], datasets.Raw]
# Mean and standard deviation of the training split's pixels, one number per channel.
_SOURCES: dict[str, tuple[_Reader, tuple[float, ...], tuple[float, ...]]] = {
    "fmnist-mini": (datasets.fmnist_mini, (0.285494,), (0.352561,)),
    "digits": (datasets.digits, (0.305312,), (0.376003,)),
    "fashion-mnist": (datasets.fashion_mnist, (0.286041,), (0.353024,)),
    "cifar10": (datasets.cifar10, (0.491400, 0.482158, 0.446531), (0.247032, 0.243485, 0.261588)),
    "cifar100": (datasets.cifar100, (0.507075, 0.486549, 0.440918), (0.267334, 0.256438, 0.276150)),
}
NAMES = (*_SOURCES, "imagenet-folder")
# Those usual for ImageNet.
_IMAGENET: tuple[tuple[float, ...], ...] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def load(name: str, split: str = "train", *, root: Path | str | None = None) -> Dataset:
    """Return a data set by name, normalized by its training split's mean and deviation.

    The names, with the numbers of training and test images, their shape, and where they come from:

    - `fmnist-mini`: 5,000 + 1,000 of (1, 28, 28), shipped with memlib, as many of each class.
    - `digits`: 1,437 + 360 of (1, 8, 8), from scikit-learn, 36 test images of each class.
    - `fashion-mnist`: 60,000 + 10,000 of (1, 28, 28), from the root, else from the folder of
      Debian's package dataset-fashion-mnist, else downloaded.
    - `cifar10`, `cifar100`: 50,000 + 10,000 of (3, 32, 32), from the root, else downloaded.
    - `imagenet-folder`: those in root/split, one folder for each class, cut to (3, 224, 224) and
      normalized as is usual for ImageNet.

    An image's id is its place in the original data set (for `fmnist-mini`, in the split of
    Fashion-MNIST that it was drawn from; for `imagenet-folder`, among the sorted files). Training
    and test images can therefore have the same id, except in `digits`.

    Args:
        name: One of the names above.
        split: `"train"` or `"test"`; for `imagenet-folder` also `"val"`.
        root: Folder that holds the data or takes the download. The default is the environment
            variable `MEMLIB_DATA`, else `~/.cache/memlib` (for `imagenet-folder`, `imagenet`
            inside it). `fmnist-mini` and `digits` come with their packages and ignore it.

    Returns:
        The data set.

    Raises:
        UnknownName: There is no such data set or split.
        MissingData: The data are not there and cannot be downloaded.
        CorruptResult: A file is damaged.
        TooLarge: The images of `imagenet-folder` would take over 16 GB.

    Example:
        >>> from memlib import data
        >>> dataset = data.load("fmnist-mini")
        >>> tuple(dataset.images.shape), dataset.class_names[:2]
        ((5000, 1, 28, 28), ('T-shirt/top', 'Trouser'))
    """
    if name not in NAMES:
        raise UnknownName("name", name, f"Pass one of {', '.join(NAMES)}.")
    splits = ["train", "test", *(["val"] if name == "imagenet-folder" else [])]
    if split not in splits:
        raise UnknownName("split", split, f"Pass one of {', '.join(splits)}.")
    folder = None if root is None else Path(root).expanduser()
    if name == "imagenet-folder":
        raw = datasets.imagenet_folder(split, folder)
        mean, std = _IMAGENET
    else:
        read, mean, std = _SOURCES[name]
        raw = read(split == "train", folder)
    images = torch.tensor(raw.pixels, dtype=torch.float32).div_(raw.largest)
    images.sub_(_per_channel(mean, images)).div_(_per_channel(std, images))
    labels, ids = (torch.tensor(part, dtype=torch.int64) for part in (raw.labels, raw.ids))
    return Dataset(images, labels, ids, raw.class_names, name, mean, std)


# --- changes with ground truth ------------------------------------------------------------------


def _other_labels(labels: Tensor, classes: int, random: np.random.Generator) -> Tensor:
    """Return for each label (n,) another one, uniformly among the classes - 1 others."""
    if classes < 2:
        raise NotPositive("dataset.num_classes", classes, "Wrong labels need two classes.")
    step = random.integers(1, classes, size=len(labels))
    return (labels + torch.from_numpy(step).to(labels.device)) % classes


def flip_labels(dataset: Dataset, fraction: float, *, seed: int) -> tuple[Dataset, np.ndarray]:
    """Give a share of the samples a wrong label: symmetric noise, as in `orders`, section 5.3.

    Exactly `round(fraction * n)` samples, drawn without replacement, each get a label drawn
    uniformly from the k - 1 other classes.

    Args:
        dataset: What to change.
        fraction: Share of the samples to mislabel, inside (0, 1).
        seed: Seed of the draw.

    Returns:
        The data set with the noisy labels, and the truth: bool (n,), true where the label is wrong.

    Raises:
        FractionOutOfRange: The fraction is not inside (0, 1).
        NotPositive: The fraction is so small that no label would change, there is only one class,
            or the seed is negative.

    Example:
        >>> from memlib import data
        >>> noisy, wrong = data.flip_labels(data.load("digits"), 0.1, seed=0)
        >>> int(wrong.sum()), len(noisy)
        (144, 1437)
    """
    count = round(open_fraction("fraction", fraction) * len(dataset))
    if count == 0:
        fix = f"Of {len(dataset)} samples take at least {1 / len(dataset):.2g}."
        raise NotPositive("fraction", fraction, fix)
    random = rng(seed, "flip_labels")
    flipped = np.zeros(len(dataset), dtype=bool)
    flipped[random.choice(len(dataset), size=count, replace=False)] = True
    where = torch.from_numpy(flipped).to(dataset.labels.device)
    labels = dataset.labels.clone()
    labels[where] = _other_labels(labels[where], dataset.num_classes, random)
    return replace(dataset, labels=labels, name=f"{dataset.name}, labels flipped"), flipped


def add_duplicates(
    dataset: Dataset, count: int, *, labels: Literal["same", "wrong"], seed: int
) -> tuple[Dataset, "pd.DataFrame"]:
    """Append exact copies of randomly drawn samples, with the same label or with a wrong one.

    The design of `orders`, section 5.4, which adds 250. Copies stand at the end and have fresh
    ids, from the largest id + 1 on.

    Args:
        dataset: What to change.
        count: Number of copies, each of another sample.
        labels: `"same"` keeps the original's label; `"wrong"` draws uniformly from the others.
        seed: Seed of the draw.

    Returns:
        The data set of n + count samples, and the truth: one row per copy with the columns
        `original_id`, `duplicate_id`, `original_label`, `duplicate_label`.

    Raises:
        NotPositive: The count is below 1, a wrong label is asked for where there is only one class,
            or the seed is negative.
        WrongType: The count is not whole.
        TooLarge: The count is above n.
        UnknownName: `labels` is neither "same" nor "wrong".

    Example:
        >>> from memlib import data
        >>> more, truth = data.add_duplicates(data.load("digits"), 2, labels="same", seed=0)
        >>> len(more), bool((truth.original_label == truth.duplicate_label).all())
        (1439, True)
    """
    import pandas as pd

    count = whole_number("count", count)
    if count > len(dataset):
        raise TooLarge("count", count, f"Copy at most all {len(dataset)} samples once.")
    if labels not in ("same", "wrong"):
        raise UnknownName("labels", labels, "Pass 'same' or 'wrong'.")
    random = rng(seed, "add_duplicates")
    chosen = random.choice(len(dataset), size=count, replace=False)
    copies = dataset.select(chosen)
    given = copies.labels
    if labels == "wrong":
        given = _other_labels(given, dataset.num_classes, random)
    fresh = torch.arange(1, count + 1, device=dataset.ids.device) + dataset.ids.max()
    changed = replace(
        dataset,
        images=torch.cat([dataset.images, copies.images]),
        labels=torch.cat([dataset.labels, given]),
        ids=torch.cat([dataset.ids, fresh]),
        name=f"{dataset.name}, duplicates with {labels} label",
    )
    columns = {
        "original_id": copies.ids,
        "duplicate_id": fresh,
        "original_label": copies.labels,
        "duplicate_label": given,
    }
    return changed, pd.DataFrame({name: column.cpu().numpy() for name, column in columns.items()})
