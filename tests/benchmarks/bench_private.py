"""Many private networks: time against one Opacus run each, and time and memory as they grow.

The loop is `memlib.private_training.train_private`, one network after the other: Opacus' gradients
of single samples, `b P` numbers written and read several times per step, with b samples and P
weights, so it is limited by memory. At once, no sample's gradient is written: a step is three
matrix products per layer, `6 b P` operations, and P normal numbers, about 1.5 ns each. For the MLP
on `fmnist-mini` the normal numbers take a fifth of the time, matrix products a quarter and passes
over the weights most of the rest. For the small one on `digits` starting operations is the limit.

CPU time on one thread, ten pairs of alternating order. The loop reads and writes every sample's
gradient, so its time depends on who else uses the memory: over runs of this benchmark the ratio
for the MLP lay between 9 and 14. The target, 8, is below all of them.

Memory is the highest that a run reaches, in a fresh interpreter, the imports left out: one shard of
networks at a time, and nine bytes per network and sample.
"""

import statistics
import subprocess
import sys
import time

import torch

from memlib import data, models
from memlib.data import Dataset
from memlib.private_runs import private_runs
from memlib.private_training import PrivateRecipe
from tests.benchmarks import Outcome

RECIPE = PrivateRecipe(epochs=1, batch_size=50, lr=0.5, noise=1.0)

# Linux forgets the highest memory of a process when 5 is written to its clear_refs.
MEASURED = """
import re, sys, time
from pathlib import Path
import torch
from memlib.private_runs import private_runs
from tests.benchmarks.bench_private import RECIPE, digits, small
torch.set_num_threads(1)
samples = digits()
private_runs(samples, small, RECIPE, pairs=8)
Path("/proc/self/clear_refs").write_text("5")
begun = time.process_time()
private_runs(samples, small, RECIPE, pairs=int(sys.argv[1]))
seconds = time.process_time() - begun
print(seconds, re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def digits() -> Dataset:
    """Return a thousand digits."""
    return data.load("digits").select(range(1000))


def small() -> torch.nn.Module:
    """Return a small fully connected network."""
    return models.mlp((1, 8, 8), width=32)


def measured(pairs: int) -> tuple[float, float]:
    """Return the milliseconds per network, and the highest memory in MiB, of that many pairs."""
    command = [sys.executable, "-c", MEASURED, str(pairs)]
    done = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return 1e3 * float(done[0]) / (2 * pairs), float(done[1]) / 1024


def milliseconds(dataset: Dataset, model: object, method: str, pairs: int) -> float:
    """Return the milliseconds of CPU time per network."""
    begun = time.process_time()
    private_runs(dataset, model, RECIPE, pairs=pairs, method=method)
    return 1e3 * (time.process_time() - begun) / (2 * pairs)


def race(name: str, dataset: Dataset, model: object, pairs: int, target: float) -> Outcome:
    """Measure both ways, in pairs of alternating order, and return the median of the ratios."""
    for method in ("sequential", "batched"):  # imports and accounts
        milliseconds(dataset, model, method, 1)
    rounds: list[tuple[float, float]] = []
    for number in range(10):
        ways = [("sequential", 1), ("batched", pairs)][:: -1 if number % 2 else 1]
        spent = {way: milliseconds(dataset, model, way, count) for way, count in ways}
        rounds.append((spent["sequential"], spent["batched"]))
    low, ratio, high = statistics.quantiles([loop / at_once for loop, at_once in rounds], n=4)
    loop, at_once = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(
        f"{name}: {loop:.1f} ms a network by Opacus one by one, {at_once:.1f} ms all at once; "
        f"ratio {ratio:.1f} [{low:.1f}, {high:.1f}]"
    )
    label = f"private networks on {name}: one by one over all at once"
    return Outcome(label, ratio, target, ratio >= target)


def main() -> list[Outcome]:
    """Measure, print, and return what became of the targets."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        images = data.load("fmnist-mini").select(range(2000))
        outcomes = [
            race("fmnist-mini", images, models.mlp, pairs=4, target=8),
            race("digits", digits(), small, pairs=16, target=5),
        ]
    finally:
        torch.set_num_threads(threads)
    (few_time, few), (many_time, many) = measured(64), measured(1024)
    print(f"highest memory: {few:.0f} MiB for 128 networks, {many:.0f} MiB for 2048")
    slower, larger = many_time / few_time, many / few
    return [
        *outcomes,
        Outcome("private networks: highest memory, 2048 over 128", larger, 1.1, larger <= 1.1),
        Outcome("private networks: time of each, 2048 over 128", slower, 1.3, slower <= 1.3),
    ]


if __name__ == "__main__":
    main()
