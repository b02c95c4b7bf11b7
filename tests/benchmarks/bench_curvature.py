"""Input curvature: time of the exact value against finite differences, and error against cost.

The exact value of a sample with C classes costs one forward and C - 1 backward passes, ten probes
of finite differences 11 of both: with a backward pass in the input as dear as a forward pass, a
ratio of 10 / 22. The reference is finite differences as the papers' own code takes them,
re-implemented from its description: batch by batch, one probe after the other, and the base
gradient again for every probe. Hutchinson's products are taken in both modes, with the same signs.

How near that is to the limit: the operations that cannot be avoided are the products of the
backward passes, printed as a share of the machine's own rate of float32 matrix products. By the
profiler, on the CNN half of the time goes into ReLU masks and pooling indices, which move as many
numbers as the convolutions multiply; on the MLP, which stops at its first layer of 128 units,
where a matrix W W^T stands for its 784 pixels, a third goes into products and the rest into as
many small steps (forward pass, masks, softmax, Gram matrices, the check for finite pixels).

Run as `python -m tests.benchmarks.bench_curvature`, or with the others by `make bench`.
"""

import statistics
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from memlib import data, models, training
from memlib.curvature import input_curvature
from memlib.runtime import seeded
from tests.benchmarks import Outcome
from tests.benchmarks.bench_dynamics import interleaved, report
from tests.benchmarks.bench_stability import matmul_rate

STEP, PROBES = 1e-3, 10


def gradient(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient of the summed loss in the images."""
    images = images.clone().requires_grad_()
    return torch.autograd.grad(F.cross_entropy(model(images), labels, reduction="sum"), images)[0]


def reference(model: nn.Module, images: Tensor, labels: Tensor, batch: int = 128) -> Tensor:
    """Return the papers' score, tr(H^2) up to a factor, (n,)."""
    scores = []
    for x, y in zip(images.split(batch), labels.split(batch), strict=True):
        total = torch.zeros(len(x))
        for _ in range(PROBES):
            v = torch.randint_like(x, 2) * 2 - 1
            change = gradient(model, x + STEP * v, y) - gradient(model, x, y)
            total += change.flatten(1).square().sum(1)
        scores.append(total / PROBES)
    return torch.cat(scores)


def backward_operations(model: nn.Module, images: Tensor) -> float:
    """Multiplications and additions of one backward pass in the input, per sample.

    Of a fully connected first layer that narrows the input, those of W W^T in its stead.
    """
    total, shape = 0, images[:1]
    for position, layer in enumerate(model):
        if isinstance(layer, nn.Linear):
            first = position == 1 and layer.out_features < layer.in_features
            total += 2 * layer.out_features * (layer.out_features if first else layer.in_features)
        shape = layer(shape)
        if isinstance(layer, nn.Conv2d):
            total += 2 * layer.weight.numel() * shape.shape[2] * shape.shape[3]
    return total


def errors(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    """Print what each estimator misses of tr(H^2) and what it costs, over the exact value."""
    exact = input_curvature(model, images, labels)

    def row(name: str, seconds: float, found: Tensor, base: float) -> None:
        off = ((found - exact.square).abs() / exact.square)[exact.square > 0]
        ranks = [torch.argsort(torch.argsort(v)).double() for v in (found, exact.square)]
        rank = float(torch.corrcoef(torch.stack(ranks))[0, 1])
        print(
            f"  {name:<44} {seconds / base:6.2f} x the time   median error {off.median():8.2g}"
            f"   rank correlation {rank:.4f}"
        )

    variants = {("exact", 1): partial(input_curvature, model, images, labels)}
    ways = {
        "hutchinson, forward over reverse": ("hutchinson", "forward-over-reverse"),
        "hutchinson, reverse over reverse": ("hutchinson", "reverse-over-reverse"),
        "finite differences": ("finite-difference", "forward-over-reverse"),
    }
    for name, (estimator, mode) in ways.items():
        for probes in (1, 3, 10, 30):
            variants[name, probes] = partial(
                input_curvature,
                model,
                images,
                labels,
                estimator=estimator,
                mode=mode,
                probes=probes,
            )
    times = interleaved(variants, 2)
    base = statistics.median(times["exact", 1])
    for (estimator, probes), call in variants.items():
        name = estimator if estimator == "exact" else f"{estimator}, {probes} probes"
        row(name, statistics.median(times[estimator, probes]), call().square, base)
    forward, reverse = (
        times[f"hutchinson, {way} over reverse", 10] for way in ("forward", "reverse")
    )
    ratio = statistics.median(a / b for a, b in zip(forward, reverse, strict=True))
    print(
        f"  hutchinson, 10 probes: forward over reverse takes {ratio:.2f} of reverse over reverse"
    )
    own = interleaved({"reference": partial(reference, model, images, labels)}, 2)
    found = reference(model, images, labels) / STEP**2
    row("reference, 10 probes", statistics.median(own["reference"]), found, base)


def main() -> list[Outcome]:
    """Measure, print, and return what became of the targets."""
    outcomes = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    dataset = data.load("fmnist-mini")
    for name, factory, n, epochs in (
        ("mlp", models.mlp, 2048, 5),
        ("cnn", models.small_cnn, 256, 1),
    ):
        part = dataset.select(range(n))
        with seeded(0, "bench"):
            model = factory()
        training.fit(model, dataset, epochs=epochs, lr=0.05, progress=False)
        model.eval()
        samples = (model, part.images, part.labels)
        seconds = interleaved(
            {
                "exact": partial(input_curvature, *samples),
                "differences": partial(
                    input_curvature, *samples, estimator="finite-difference", probes=PROBES
                ),
                "reference": partial(reference, *samples),
            },
            6,
        )
        work = 9 * n * backward_operations(model, part.images)
        share = work / statistics.median(seconds["exact"]) / matmul_rate()
        print(f"{name}: {n} samples, {1e3 * statistics.median(seconds['exact']):.0f} ms exact, ")
        print(f"  {share:.2f} of the matrix-product rate; ratios of time with the middle half")
        for other in ("differences", "reference"):
            label = f"{name}: exact curvature over ten-probe {other}"
            outcomes.append(report(label, seconds["exact"], seconds[other], 1.0))
        errors(*samples)
    torch.set_num_threads(threads)
    return outcomes


if __name__ == "__main__":
    main()
