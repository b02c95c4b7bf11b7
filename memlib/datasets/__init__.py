"""Where the images come from: the files shipped here, a folder, or torchvision's download.

Each reader takes which split to read (`train` for training images, else test images) and the root,
the folder that holds the data or takes the download, or None for `home()`. It returns raw pixels,
which `memlib.data.load` normalizes and checks, and raises `MissingData` where they cannot be had,
`CorruptResult` where a file is damaged.
"""

import gzip
import hashlib
import os
import struct
import zlib
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from memlib.errors import CorruptResult, MissingData, TooLarge
from memlib.runtime import progress

SHIPPED = Path(__file__).parent
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
FMNIST_MINI_SHA256 = "482c1f1431b3ebcbde87f3e6649fad17cf11806f8d0880b8745e81ff6385f447"

_FASHION = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_MEMORY = 16 * 10**9  # bytes that a data set may take as float32


class Raw(NamedTuple):
    """What a file holds: pixels uint8 (n, c, h, w), the largest pixel value, labels, ids, names."""

    pixels: np.ndarray
    largest: int
    labels: np.ndarray
    ids: np.ndarray
    class_names: tuple[str, ...]


def home() -> Path:
    """Return the folder in which data sets are kept: `$MEMLIB_DATA`, else `~/.cache/memlib`."""
    return Path(os.environ.get("MEMLIB_DATA") or Path.home() / ".cache" / "memlib")


def read_idx(path: Path) -> np.ndarray:
    """Read one file in IDX format, the format of MNIST, gzipped or not.

    Args:
        path: The file, of unsigned bytes.

    Returns:
        uint8 array of the shape that the file states.

    Raises:
        CorruptResult: The file is truncated, damaged, or not IDX of unsigned bytes.
    """
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        zero, kind, dimensions = struct.unpack_from(">HBB", content)
        shape = struct.unpack_from(f">{dimensions}I", content, 4)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise CorruptResult(f"{path} is no readable IDX file ({error}). Fetch it again.") from error
    start = 4 + 4 * dimensions
    if (zero, kind) != (0, 8) or len(content) != start + prod(shape):
        raise CorruptResult(f"{path} is damaged: its length or header is wrong. Fetch it again.")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def fmnist_mini(train: bool, root: Path | None) -> Raw:
    """Read the 5,000 + 1,000 images of Fashion-MNIST shipped here; ids are places in the original.

    The checksum of the file is compared first: a changed file raises `CorruptResult`.
    """
    path = SHIPPED / "fmnist_mini.npz"
    fix = "Install memlib again."
    if not path.is_file():
        raise MissingData("fmnist-mini", path, fix)
    if hashlib.sha256(path.read_bytes()).hexdigest() != FMNIST_MINI_SHA256:
        raise CorruptResult(f"{path} differs from the file that memlib ships. {fix}")
    part = "train" if train else "test"
    with np.load(path, allow_pickle=False) as arrays:
        images, labels, ids = (arrays[f"{part}_{name}"] for name in ("images", "labels", "ids"))
    return Raw(images[:, None], 255, labels, ids, _FASHION)


def digits(train: bool, root: Path | None) -> Raw:
    """Read scikit-learn's 1,797 digits: 36 of each class, evenly spaced, are the test split."""
    from sklearn.datasets import load_digits  # takes seconds to import

    bunch = load_digits()
    labels = bunch.target
    test = np.zeros(len(labels), dtype=bool)
    for label in range(10):
        members = np.flatnonzero(labels == label)
        test[members[(2 * np.arange(36) + 1) * len(members) // 72]] = True
    ids = np.flatnonzero(test != train)
    pixels = bunch.images[ids, None].astype(np.uint8)
    return Raw(pixels, 16, labels[ids], ids, tuple(str(digit) for digit in range(10)))


def fashion_mnist(train: bool, root: Path | None) -> Raw:
    """Read all of Fashion-MNIST from the root, else Debian's folder, else by torchvision."""
    part = "train" if train else "t10k"
    names = [f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"]
    base = home() if root is None else root

    def find() -> list[Path] | None:
        for folder in (base, base / "FashionMNIST" / "raw", DEBIAN):
            for suffix in (".gz", ""):
                paths = [folder / f"{name}{suffix}" for name in names]
                if all(path.is_file() for path in paths):
                    return paths
        return None

    paths = find()
    if paths is None:
        from torchvision.datasets import FashionMNIST

        fix = (
            f"Put {names[0]}.gz and {names[1]}.gz there, or install Debian's dataset-fashion-mnist"
        )
        _torchvision(FashionMNIST, base, train, fix)
        paths = find()
    if paths is None:
        raise CorruptResult(f"{base} lacks {names[0]} after the download. Empty it and try again.")
    pixels, labels = (read_idx(path) for path in paths)
    if pixels.ndim != 3 or labels.shape != pixels.shape[:1]:
        raise CorruptResult(f"{paths[0]} and {paths[1]} do not fit together. Fetch both again.")
    return Raw(pixels[:, None], 255, labels, np.arange(len(labels)), _FASHION)


def cifar10(train: bool, root: Path | None) -> Raw:
    """Read CIFAR-10 through torchvision, which checks its MD5 sums; ids are places in its order."""
    from torchvision.datasets import CIFAR10

    return _cifar(CIFAR10, train, root)


def cifar100(train: bool, root: Path | None) -> Raw:
    """Read CIFAR-100 through torchvision, as `cifar10`."""
    from torchvision.datasets import CIFAR100

    return _cifar(CIFAR100, train, root)


def _cifar(source: Any, train: bool, root: Path | None) -> Raw:
    fix = f"Unpack {source.url} there"
    found = _torchvision(source, home() if root is None else root, train, fix)
    pixels = found.data.transpose(0, 3, 1, 2)
    return Raw(pixels, 255, np.array(found.targets), np.arange(len(pixels)), tuple(found.classes))


def _torchvision(source: Callable[..., Any], root: Path, train: bool, fix: str) -> Any:
    try:
        return source(str(root), train=train, download=True)
    except (OSError, RuntimeError) as error:
        fix = f"{fix}, or pass root=; downloading failed ({error})."
        raise MissingData("root", root, fix) from error


def imagenet_folder(split: str, root: Path | None) -> Raw:
    """Read a folder of one folder of images per class: resized to 256, the central 224 x 224 kept.

    Ids are places in the list of files, sorted by class and name: stable while the folder is.
    """
    from torchvision.datasets import ImageFolder
    from torchvision.transforms.functional import center_crop, resize

    folder = (home() / "imagenet" if root is None else root) / split
    fix = "Put one folder of images for each class there, or pass root=."
    try:
        found = ImageFolder(str(folder))
    except (OSError, RuntimeError) as error:
        raise MissingData("root", folder, fix) from error
    size = len(found) * 3 * 224 * 224
    if 4 * size > _MEMORY:
        fix = f"Its {len(found)} images need {4 * size / 1e9:.0f} GB of at most "
        raise TooLarge("root", folder, f"{fix}{_MEMORY / 1e9:.0f}: pass a smaller folder.")
    pixels = np.empty((len(found), 3, 224, 224), np.uint8)
    for position, (path, _) in enumerate(progress(found.samples, desc=split)):
        try:
            image = found.loader(path)
        except OSError as error:
            raise CorruptResult(f"{path} is no readable image. Replace or remove it.") from error
        pixels[position] = np.asarray(center_crop(resize(image, 256), 224)).transpose(2, 0, 1)
    return Raw(pixels, 255, np.array(found.targets), np.arange(len(found)), tuple(found.classes))
