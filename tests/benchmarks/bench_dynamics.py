"""What tracking costs: ratios of CPU time on one thread, variants interleaved, medians.

CSL, which costs about a hundredth, is measured in rounds of tracked, plain, plain, tracked.

Run as `python -m tests.benchmarks.bench_dynamics`, or with the others by `make bench`.
"""

import gc
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from memlib import data, models, training
from memlib.data import Dataset
from memlib.dynamics import DynamicsTracker
from memlib.runtime import seeded
from tests.benchmarks import Outcome


class WithInputGradient(nn.Module):
    """A network whose backward pass also computes the input gradient, and nothing with it."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        return self.inner(images.requires_grad_())


def interleaved(variants: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Return the seconds of CPU time of each variant, in rounds that change their order."""
    names, seconds = list(variants), {name: [] for name in variants}
    for name in names:
        variants[name]()
    for repeat in range(repeats):
        shift = repeat % len(names)
        for name in names[shift:] + names[:shift]:
            start = time.process_time()
            variants[name]()
            seconds[name].append(time.process_time() - start)
    return seconds


def paired(
    over: Callable[[], object], base: Callable[[], object], rounds: int
) -> tuple[list[float], list[float]]:
    """Return the seconds of CPU time of both in rounds of over, base, base, over.

    For ratios near 1: a steady drift of the machine's speed cancels within a round.
    """
    spent: dict[str, list[float]] = {"over": [], "base": []}
    over(), base()
    for _ in range(rounds):
        parts = {"over": 0.0, "base": 0.0}
        for name, call in (("over", over), ("base", base), ("base", base), ("over", over)):
            gc.collect()
            start = time.process_time()
            call()
            parts[name] += time.process_time() - start
        for name, seconds in parts.items():
            spent[name].append(seconds)
    return spent["over"], spent["base"]


def report(name: str, over: list[float], base: list[float], target: float) -> Outcome:
    """Print the median and the middle half of the rounds' ratios; return the median."""
    low, median, high = statistics.quantiles(
        [ours / theirs for ours, theirs in zip(over, base, strict=True)], n=4
    )
    print(f"{name:<52} {median:6.3f} [{low:.3f}, {high:.3f}]")
    return Outcome(name, median, target, median <= target)


def train(factory: Callable[[], nn.Module], dataset: Dataset, epochs: int, tracking: str) -> None:
    """Train one network untracked, with CSL, with CSG, or with the input gradient alone."""
    with seeded(0, "bench"):
        model = factory()
    tracker = None
    if tracking in ("csl", "csg"):
        tracker = DynamicsTracker(dataset.ids, dataset.num_classes, input_grads=tracking == "csg")
    elif tracking == "gradient":
        model = WithInputGradient(model)
    training.fit(model, dataset, epochs=epochs, lr=0.01, tracker=tracker, progress=False)


def per_sample_loop(stream: list[tuple[Tensor, Tensor, Tensor]]) -> dict[int, float]:
    """Sum the margins with one `.item()` per sample, as streaming code often does."""
    sums: dict[int, float] = {}
    for ids, logits, targets in stream:
        own = logits.gather(1, targets[:, None])[:, 0]
        rival = logits.scatter(1, targets[:, None], -torch.inf).amax(1)
        for place in range(len(ids)):
            sample, margin = ids[place].item(), (own[place] - rival[place]).item()
            sums[sample] = sums.get(sample, 0.0) + margin
    return sums


def streamed(stream: list[tuple[Tensor, Tensor, Tensor]], n: int) -> None:
    """Feed the same stream to a tracker, which computes all its scores."""
    tracker = DynamicsTracker(range(n), 10)
    for batch in stream:
        tracker.update(*batch)
    tracker.end_epoch()


def main() -> list[Outcome]:
    """Measure, print, and return what became of the targets."""
    outcomes = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    dataset = data.load("fmnist-mini")
    part = dataset.select(range(1024))
    cases = [("mlp", models.mlp, dataset, 5, 24), ("small_cnn", models.small_cnn, part, 1, 12)]
    for name, factory, samples, epochs, repeats in cases:
        kinds = ("untracked", "csl", "csg", "gradient")
        calls = {kind: partial(train, factory, samples, epochs, kind) for kind in kinds}
        csl = paired(calls.pop("csl"), calls["untracked"], 30)
        seconds = interleaved(calls, repeats)
        steps = epochs * -(-len(samples) // 128)
        step = 1e3 * statistics.median(seconds["untracked"]) / steps
        print(f"{name}: {step:.2f} ms a step of 128, untracked; ratios with the middle half")
        outcomes.append(report(f"{name}: csl over untracked", *csl, 1.02))
        pairs = [("csg", "gradient", 1.10)]
        if name == "small_cnn":
            pairs.append(("csg", "untracked", 1.15))
        for over, base, target in pairs:
            label = f"{name}: {over} over {base}"
            outcomes.append(report(label, seconds[over], seconds[base], target))
    torch.manual_seed(0)
    order = torch.randperm(5000).split(128)
    stream = [(ids, torch.randn(len(ids), 10), torch.randint(10, (len(ids),))) for ids in order]
    seconds = interleaved(
        {"loop": lambda: per_sample_loop(stream), "tracker": lambda: streamed(stream, 5000)}, 30
    )
    label = "tracker over per-sample .item() loop"
    outcomes.append(report(label, seconds["tracker"], seconds["loop"], 0.10))
    torch.set_num_threads(threads)
    return outcomes


if __name__ == "__main__":
    main()
