"""Draw memlib/datasets/fmnist_mini.npz from Debian's package dataset-fashion-mnist.

Usage: python scripts/draw_fmnist_mini.py [FILE]. Prints the checksum that memlib.datasets holds.
The draw depends on no random number generator: of each class it keeps the images whose place in
the original, hashed with the seed, comes first. The same inputs give the same bytes.
"""

import hashlib
import io
import sys
from pathlib import Path

import numpy as np

from memlib.datasets import DEBIAN, SHIPPED, read_idx
from memlib.files import atomic_path, write_npz

SEED = 0
PER_CLASS = {"train": 500, "test": 100}


def draw(labels: np.ndarray, part: str, per_class: int) -> np.ndarray:
    """Return the sorted positions of `per_class` samples of each class, by hashed order."""

    def order(position: int) -> bytes:
        return hashlib.sha256(f"fmnist-mini {SEED} {part} {position}".encode()).digest()

    chosen = [
        sorted(np.flatnonzero(labels == label).tolist(), key=order)[:per_class]
        for label in range(10)
    ]
    return np.sort(np.concatenate(chosen)).astype(np.int32)


def archive(folder: Path = DEBIAN) -> bytes:
    """Return the content of fmnist_mini.npz, from the four IDX files in a folder."""
    arrays: dict[str, np.ndarray] = {}
    for part, prefix in (("train", "train"), ("test", "t10k")):
        images = read_idx(folder / f"{prefix}-images-idx3-ubyte.gz")
        labels = read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz")
        ids = draw(labels, part, PER_CLASS[part])
        arrays |= {f"{part}_images": images[ids], f"{part}_labels": labels[ids], f"{part}_ids": ids}
    content = io.BytesIO()
    write_npz(content, arrays)
    return content.getvalue()


def main() -> None:
    """Write the file and print its checksum and size."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else SHIPPED / "fmnist_mini.npz"
    content = archive()
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    print(f"{path}\nsha256 {hashlib.sha256(content).hexdigest()}\n{len(content):,} bytes")


if __name__ == "__main__":
    main()
