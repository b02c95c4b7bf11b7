"""Measure curvature over training and store it in the package: minutes.

Usage: python scripts/store_curvature.py. A lab trains the first epochs again and compares.
"""

from pathlib import Path

import torch

from memlib import curvature_runs, data, results


def main() -> None:
    """Write the runs that `memlib.curvature_runs.load` reads."""
    torch.set_num_threads(1)
    out = Path(results.__file__).parent / "stored" / curvature_runs.STORED
    out.unlink(missing_ok=True)
    curvature_runs.record(data.load("fmnist-mini"), ["mlp", "small-cnn"], out=out)
    print(out)


if __name__ == "__main__":
    main()
