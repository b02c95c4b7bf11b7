"""Influence functions against each other, and data summarization against scores from scratch.

Influence: a network of d = 2,410 weights on n = 300 digits, cross-entropy, 20 samples left out. The
limit is the number of products with the Hessian, each a pass through all n samples. The exact
method takes d of them and a factorization, `d^3 / 3` operations, for all samples together.
Conjugate gradients and LiSSA take one per step and sample: LiSSA as many as it is told (1,000 in
`unique`), conjugate gradients until a residual of 1e-10, here some tens, since a damping of 0.3 is
what makes this Hessian positive definite. So the exact method pays where samples times steps are
more than d, and is impossible beyond some ten thousand weights. LiSSA is timed with a tenth of its
steps, each of which costs the same. It solves another system (its damping counts `scale` times), so
of the three only the first two can be compared in what they find.

Summarization: from n = 600 samples to half, 5 % of n a round, at infinite time. "From scratch" is
what a round means: the scores of the samples that are left, by the same functions, from a kernel
cut to them. Down-dating one inverse saves the factorization of every round, which is n^3 against
4 n^2 g operations for g removed samples; what both do for the scores, and copies of the tables that
remain, keep the ratio near 2. At a finite time there is nothing to win, as the last lines show:
eighteen resolvents are more to carry over than a new eigendecomposition is to compute.

CPU time on one thread; medians of interleaved rounds.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from memlib import data, models, training
from memlib.descent import GradientDescent, contour
from memlib.influence import Changes, influence
from memlib.leave_one_out import spectrum, squared_changes
from memlib.linearized import LinearizedModel, linearize
from memlib.runtime import seeded
from memlib.summarize import summarize
from tests.benchmarks import Outcome
from tests.benchmarks.bench_dynamics import interleaved

LEFT_OUT, SHARE = 20, 10  # samples; a tenth of LiSSA's steps


def influences() -> list[Outcome]:
    """The three ways to solve for influence."""
    digits = data.load("digits").select(range(300))
    with seeded(0, "bench"):
        network = models.mlp((1, 8, 8), width=32)
    training.fit(network, digits, epochs=20, lr=0.05, batch_size=50, progress=False)
    call = partial(
        influence,
        network.eval(),
        digits.images,
        digits.labels,
        loss="cross-entropy",
        samples=range(LEFT_OUT),
        device="cpu",
        progress=False,
    )
    ways: dict[str, Callable[[], Changes]] = {
        "exact": partial(call, method="exact", damping=0.3),
        "cg": partial(call, method="cg", damping=0.3),
        "lissa": partial(call, method="lissa", steps=1000 // SHARE),
    }
    seconds = interleaved(ways, 2)
    exact, cg = statistics.median(seconds["exact"]), statistics.median(seconds["cg"])
    lissa = SHARE * statistics.median(seconds["lissa"])
    weights = sum(parameter.numel() for parameter in network.parameters())
    print(
        f"influence, {weights} weights, {LEFT_OUT} samples: exact {exact:.2f} s, conjugate "
        f"gradients {cg:.2f} s, LiSSA {lissa:.1f} s"
    )
    found, wanted = ways["cg"]().predictions, ways["exact"]().predictions
    error = float(abs(found / wanted - 1).max())
    return [
        Outcome("influence: LiSSA / exact", lissa / exact, 1, lissa >= exact),
        Outcome("influence: LiSSA / conjugate gradients", lissa / cg, 1, lissa >= cg),
        Outcome("influence: conjugate gradients against exact, error", error, 1e-6, error <= 1e-6),
    ]


def from_scratch(
    linear: LinearizedModel, descent: GradientDescent, keep: int, step: int
) -> np.ndarray:
    """The order of removal, with the scores of every round computed anew."""
    kernel, residuals = linear.kernel, linear.residuals
    left, removed = torch.arange(len(linear)), []
    while len(left) > keep:
        call = kernel[left][:, left], residuals[left], descent
        _, scores = squared_changes(*call, cross=kernel[:, left], progress=False)
        gone = scores.argsort(stable=True)[: min(step, len(left) - keep)]
        removed.append(left[gone])
        stays = torch.ones(len(left), dtype=torch.bool)
        stays[gone] = False
        left = left[stays]
    return torch.cat(removed).numpy()


def down_dated(resolvents: Tensor, gone: int) -> None:
    """Take rows and columns out of resolvents `(q, n, n)`, one after the other."""
    for whole in resolvents:
        spread = torch.linalg.solve(whole[:gone, :gone], whole[:gone, gone:])
        whole[gone:, gone:] - whole[gone:, :gone] @ spread


def summaries() -> list[Outcome]:
    """Down-dating against scores from scratch, and what it would cost at a finite time."""
    digits = data.load("digits").select(range(600))
    with seeded(0, "bench"):
        network = models.mlp((1, 8, 8), classes=1, width=128)
    linear = linearize(network, digits.images, digits.labels % 2 * 2.0 - 1, device="cpu")
    outcomes = []
    descent = GradientDescent(decay=0.01 * float(linear.kernel.diagonal().mean()))
    for step, target in ((30, 1.5), (6, 1.5)):
        ways = {
            "carried": lambda g=step: summarize(
                linear, descent, keep=300, per_round=g, progress=False
            ).index.to_numpy(),
            "anew": lambda g=step: from_scratch(linear, descent, 300, g),
        }
        seconds = interleaved(ways, 4)
        ratio = statistics.median(
            a / b for a, b in zip(seconds["anew"], seconds["carried"], strict=True)
        )
        same = bool((ways["carried"]() == ways["anew"]()).all())
        label = f"summarization, n=600, {step} a round: from scratch / down-dating"
        outcomes.append(Outcome(label, ratio, target, ratio >= target and same))
        print(f"{label} {ratio:.2f}, the same order: {same}")
    stopped = GradientDescent(2000, 1 / float(linear.eigen[0][-1]))
    points, _ = contour(stopped, float(linear.eigen[0][-1]))
    unit = torch.eye(600, dtype=torch.complex128)
    resolvents = torch.stack([torch.linalg.inv(linear.kernel - z * unit) for z in points])
    spent = {}
    for name, call in {
        "a new eigendecomposition": lambda: spectrum(linear.kernel),
        "18 resolvents without one sample": lambda: down_dated(resolvents, 1),
        "18 resolvents without 30": lambda: down_dated(resolvents, 30),
        "one product of the kernel's size": lambda: linear.kernel @ linear.kernel,
    }.items():
        begun = time.process_time()
        for _ in range(5):
            call()
        spent[name] = (time.process_time() - begun) / 5
        print(f"finite time, n=600: {name} {1e3 * spent[name]:.0f} ms")
    return outcomes


def main() -> list[Outcome]:
    """Measure, print, and return what became of the targets."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return influences() + summaries()
    finally:
        torch.set_num_threads(threads)


if __name__ == "__main__":
    for outcome in main():
        print(outcome)
