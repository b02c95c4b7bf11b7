"""Store the cumulative losses of networks on random subsets of `fmnist-mini`, for chapter 6.

Usage: python scripts/store_cumulative.py. Takes about twenty minutes on one core, and goes on where
it was if interrupted; the lab computes a part again and compares.
"""

from pathlib import Path

import torch

from memlib import cumulative_runs, data, results

TARGET = Path(results.__file__).parent / "stored" / cumulative_runs.STORED
NETWORKS = {"mlp": 16, "small-cnn": 10}


def main() -> None:
    """Write the sums."""
    torch.set_num_threads(1)
    cumulative_runs.record(data.load("fmnist-mini"), NETWORKS, out=TARGET)
    print(TARGET)


if __name__ == "__main__":
    main()
