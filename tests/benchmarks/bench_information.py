"""Sample information of all samples against a loop over samples, in one run.

The references do what `unique` describes, one sample after the other, with the same library of
matrix products: at a finite time a power of the matrix `I - eta K` without the sample, by repeated
squaring; at infinite time the update of the inverse of Eq. (30). They start from the same kernel as
memlib (its Jacobians are not timed) and look at the same predictions, on m = 360 test digits or, as
memlib does by default, on the training samples (m = n). The samples of a loop cost the same, so a
few are timed and scaled up; the table says how many.

What the limit is. At a finite time memlib takes one eigendecomposition, about `9 n^3` operations,
`4 m n^2` for m predictions, and `8 q n^2` for the q = 18 points of the contour. At infinite time
the inverse takes `n^3` and the predictions `2 m n^2` (none on the training samples). The share that
is printed is this count over the time, against the machine's own float64 matrix product. At
infinite time a third to a half is reached: factorizing and inverting a small matrix is slower than
a product. An eigendecomposition does half of its work in matrix-vector products, which read
`8 n^3 / 3` bytes, and cannot come near 1 once the kernel is larger than the cache.

Where the two differ, the loops are less exact: they subtract two nearly equal predictions. The
tests compare memlib with 40-digit arithmetic.
"""

import math
import subprocess
import sys
import time

import torch
from torch import nn

from memlib import data
from memlib.descent import GradientDescent
from memlib.leave_one_out import squared_changes
from memlib.linearized import cross_kernel, linearize
from memlib.runtime import seeded
from tests.benchmarks import Outcome

STEPS = 2000
#: Prints the MiB that the call needs at n = 2000 above what was there before (Linux).
MEMORY = """
import ctypes
from pathlib import Path
from tests.benchmarks.bench_information import squared_changes, stopped, system
def kilobytes(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))
found = system(2000)
descent = stopped(found[0])
ctypes.CDLL("libc.so.6").malloc_trim(0)  # nothing freed is counted as there
Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
before = kilobytes("VmRSS")
squared_changes(*found[:2], descent, cross=found[2])
print((kilobytes("VmHWM") - before) / 1024)
"""


def system(n, outputs=1):
    """Kernel, residuals and cross kernel of an MLP 64-256-k on n digits (k = 1: odd or even)."""
    train, test = data.load("digits"), data.load("digits", "test")
    images, labels = train.images[:n], train.labels[:n]
    if n > len(images):  # the rest are copies with noise
        with seeded(0, "copies"):
            copies = images[: n - len(images)] + 0.3 * torch.randn(n - len(images), 1, 8, 8)
        images, labels = torch.cat([images, copies]), torch.cat([labels, labels[: len(copies)]])
    with seeded(0, "network"):
        layers = nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, outputs)
        network = nn.Sequential(nn.Flatten(), *layers)
    wanted = labels if outputs > 1 else 2.0 * (labels % 2) - 1
    found = linearize(network, images, wanted, device="cpu", memory=4096)
    return found.kernel, found.residuals, cross_kernel(found, test.images)


def stopped(kernel):
    """2,000 steps at two thirds of the largest stable rate."""
    return GradientDescent(STEPS, 4 / 3 / float(torch.linalg.eigvalsh(kernel)[-1]))


def powers(kernel, residuals, cross, descent, groups):
    """Sums of squared prediction changes, a power of the reduced matrix for every group."""

    def trained(rows):
        own = kernel[rows][:, rows]
        step = torch.eye(len(rows), dtype=own.dtype) - descent.learning_rate * own
        left = torch.linalg.matrix_power(step, int(descent.time))
        right = residuals.flatten()[rows]
        return cross[:, rows] @ torch.linalg.solve(own, right - left @ right)

    everything = torch.arange(len(kernel))
    whole, k = trained(everything), residuals.shape[1]
    for i in groups:
        rows = torch.cat([everything[: i * k], everything[(i + 1) * k :]])
        yield float((whole - trained(rows)).square().sum())


def updates(kernel, residuals, cross, descent, groups):
    """The same at infinite time, by Eq. (30) for every sample (one output)."""
    inverse = torch.linalg.inv(kernel)
    whole = cross @ (inverse @ residuals.flatten())
    everything = torch.arange(len(kernel))
    for i in groups:
        rows = torch.cat([everything[:i], everything[i + 1 :]])
        part, column = inverse[rows][:, rows], kernel[rows, i]
        pulled = part @ column
        smaller = part - torch.outer(pulled, pulled) / (kernel[i, i] + column @ pulled)
        predicted = cross[:, rows] @ (smaller @ residuals[rows, 0])
        yield float((whole - predicted).square().sum())


def least_time(function, rounds):
    """The least of some times, and the result."""
    best = math.inf
    for _ in range(rounds):
        begun = time.perf_counter()
        result = function()
        best = min(best, time.perf_counter() - begun)
    return best, result


def product_rate(size=1000):
    """Float64 operations per second of a matrix product."""
    a = torch.randn(size, size, dtype=torch.float64)
    return 2 * size**3 / least_time(lambda: a @ a, 5)[0]


def race(n, reference, looped, target, outputs=1, own=False):
    """The ratio of a loop to memlib, on the test digits or on the samples' own predictions."""
    kernel, residuals, cross = system(n, outputs)
    descent = stopped(kernel) if reference is powers else GradientDescent()
    seconds, (_, found) = least_time(
        lambda: squared_changes(kernel, residuals, descent, cross=None if own else cross),
        5 if outputs == 1 else 1,
    )
    if own:
        cross = kernel
    begun = time.perf_counter()
    wanted = torch.tensor(list(reference(kernel, residuals, cross, descent, range(looped))))
    loop = (time.perf_counter() - begun) / looped * n
    size, inputs = n * outputs, len(cross)
    work = size**3 + 2 * inputs * size**2 * (not own)
    if reference is powers:
        work = 9 * size**3 + 4 * inputs * size**2 + 8 * 18 * size**2 * outputs
    share = work / seconds / product_rate()
    error = float((found[:looped] / wanted - 1).abs().max())
    label = f"n={n} k={outputs} m={inputs // outputs} t={descent.time:g}"
    print(
        f"  {label:26} {seconds:8.4f} s   loop {loop:9.1f} s (from {looped:3} samples)   ratio "
        f"{loop / seconds:6.0f}   share of the product rate {share:.2f}   differ by {error:.0e}",
        flush=True,
    )
    return Outcome(
        f"F-SI {label}: loop over memlib", loop / seconds, target, loop / seconds >= target
    )


def growth(small=500, large=2000):
    """The exponent with which the time at 2,000 steps grows in n."""
    times = []
    for n in (small, large):
        kernel, residuals, cross = system(n)
        call = kernel, residuals, stopped(kernel)
        times.append(
            least_time(lambda call=call, cross=cross: squared_changes(*call, cross=cross), 5)[0]
        )
    exponent = math.log(times[1] / times[0]) / math.log(large / small)
    print(f"  from n={small} to n={large}: {times[0]:.3f} s, {times[1]:.3f} s")
    return Outcome(f"F-SI t={STEPS}: growth exponent in n", exponent, 3.1, exponent <= 3.1)


def main():
    torch.set_num_threads(1)
    print("F-SI of all samples, 1 thread:")
    race(700, updates, 350, target=0)  # for comparison, no target
    outcomes = [
        race(500, powers, 20, target=75),
        race(700, powers, 10, target=170),
        race(300, powers, 1, target=100, outputs=10),
        race(700, updates, 350, target=400, own=True),
        growth(),
    ]
    done = subprocess.run(
        [sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True
    )
    kernels = float(done.stdout) / (2000**2 * 8 / 2**20)
    print(f"  peak memory at n=2000 above what was there: {float(done.stdout):.0f} MiB")
    label = "F-SI n=2000: peak memory, in sizes of the kernel"
    return [*outcomes, Outcome(label, kernels, 6, kernels <= 6)]


if __name__ == "__main__":
    main()
