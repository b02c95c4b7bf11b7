"""What the attacks cost: memory and time per network, whatever their number, and against loops.

- The likelihood-ratio attack on M networks and n samples reads `M n` log odds twice and takes some
  twenty operations on each: the limit is memory traffic. Its working memory beside runs and scores
  is a dozen vectors of length n. "reference" is the way of the paper's description: for every
  attacked network and sample, collect the shadow networks' confidences in and out, fit two
  Gaussians, take the ratio. It is timed on some of the samples, each of which costs the same.
- Training holds one shard of networks at a time on each core: the peak of a process of its own
  (Linux) above what it holds before, after a first shard, on one core. The allocator makes that
  peak differ by up to 30 MiB from run to run, so what is reported is its growth per network, from
  32 to 1,024, over the memory of a network's weights: the results of a network, ten bytes per
  sample, are 0.01 of that; a network that were kept would make it 1 or more.
- The adversarial distance treats a batch at once; "one by one" is the same search with one image
  per call, as in attack libraries' loops.
- The table of all scores of 1,000 `fmnist-mini` images: seconds per group, without a target.
"""

import json
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
import torch
from scipy.stats import norm

from memlib import data, detection, models
from memlib.attacks import adversarial_distance, lira
from memlib.runs import Runs, draw_subsets
from memlib.runtime import seeded
from tests.benchmarks import Outcome

TRAIN = """
import json, os, re, sys, time
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
from memlib import data, models
from memlib.ensemble import Recipe
from memlib.runs import subset_runs

def memory(name):
    return int(re.search(name + r":\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024

def train(networks):
    subset_runs(images, lambda: models.mlp(width=256), models=networks, fraction=0.5,
                recipe=Recipe(epochs=1), progress=False)

images = data.load("fmnist-mini").select(range(1000))
train(16)
open("/proc/self/clear_refs", "w").write("5")  # the peak starts anew
before, begun = memory("VmRSS"), time.process_time()
train(int(sys.argv[1]))
print(json.dumps([time.process_time() - begun, memory("VmHWM") - before]))
"""


def gaussian_runs(networks: int, samples: int) -> Runs:
    """Runs with Gaussian log odds, two higher for members."""
    members = draw_subsets(samples, networks, 0.5, 0)
    odds = np.random.default_rng(0).standard_normal(members.shape, dtype=np.float32) + 2 * members
    nobody = np.empty(0, dtype=np.int64)
    return Runs(
        ids=np.arange(samples),
        members=members,
        correct=odds > 0,
        probability=None,
        target_ids=nobody,
        target_correct=nobody,
        log_odds=odds.astype(np.float32),
    )


def reference(runs: Runs, samples: int) -> np.ndarray:
    """The attack as described, one network and one sample at a time: `(M, samples)`."""
    assert runs.log_odds is not None
    score = np.empty((len(runs), samples))
    for attacked in range(len(runs)):
        others = np.arange(len(runs)) != attacked
        for sample in range(samples):
            confidence = runs.log_odds[others, sample].astype(np.float64)
            member = runs.members[others, sample]
            fits = [confidence[member], confidence[~member]]
            inside, outside = (
                norm.logpdf(runs.log_odds[attacked, sample], f.mean(), f.std(ddof=1)) for f in fits
            )
            score[attacked, sample] = inside - outside
    return score


def seconds(call: Callable[[], object]) -> float:
    """Seconds of CPU time."""
    begun = time.process_time()
    call()
    return time.process_time() - begun


def attack_outcomes() -> list[Outcome]:
    """The likelihood-ratio attack: memory and time over M, and against the loop."""
    samples, working, spent = 5000, {}, {}
    for networks in (32, 256):
        runs = gaussian_runs(networks, samples)
        lira(runs, progress=False)
        spent[networks] = min(seconds(lambda r=runs: lira(r, progress=False)) for _ in range(3))
        tracemalloc.start()
        score = lira(runs, progress=False).score
        working[networks] = (tracemalloc.get_traced_memory()[1] - score.nbytes) / 2**20
        tracemalloc.stop()
        print(
            f"attack, M={networks}, n={samples}: {spent[networks]:.3f} s, "
            f"{working[networks]:.2f} MiB beside runs and scores"
        )
    runs, part = gaussian_runs(32, samples), 20
    loop = []
    taken = seconds(lambda: loop.append(reference(runs, part)))
    np.testing.assert_allclose(
        lira(runs, progress=False).score[:, :part], loop[0], rtol=1e-3, atol=1e-3
    )
    ratio = taken / part * samples / spent[32]
    growth = working[256] / working[32]
    per_network = spent[256] / 256 / (spent[32] / 32)
    return [
        Outcome("attack: working memory, 256 against 32 networks", growth, 1.1, growth <= 1.1),
        Outcome("attack: time per network, 256 against 32", per_network, 1.5, per_network <= 1.5),
        Outcome("attack: reference / memlib, M=32, n=5000", ratio, 100, ratio >= 100),
    ]


def training_outcomes() -> list[Outcome]:
    """Training of the shadow networks: memory of each further one, time over their number."""
    found = {}
    for networks in (32, 1024):
        call = [sys.executable, "-c", TRAIN, str(networks)]
        shown = subprocess.run(call, check=True, capture_output=True, text=True).stdout
        found[networks] = json.loads(shown)
        print(
            f"{networks} networks on 1,000 images: {found[networks][0]:.2f} s, "
            f"peak {found[networks][1]:.1f} MiB above the start"
        )
    weights = sum(weight.nbytes for weight in models.mlp(width=256).parameters()) / 2**20
    growth = (found[1024][1] - found[32][1]) / (1024 - 32) / weights
    per_network = found[1024][0] / 1024 / (found[32][0] / 32)
    return [
        Outcome(
            "shadow networks: memory of a further one, over its weights", growth, 0.1, growth <= 0.1
        ),
        Outcome(
            "shadow networks: time per network, 1,024 against 32",
            per_network,
            1.3,
            per_network <= 1.3,
        ),
    ]


def distance_outcomes() -> list[Outcome]:
    """The adversarial distance: a batch against one image per call."""
    digits = data.load("digits").select(range(256))
    with seeded(0, "bench"):
        network = models.mlp((1, 8, 8))
    images, labels = digits.images, network(digits.images).argmax(1)
    whole = seconds(lambda: adversarial_distance(network, images, labels, progress=False))
    part = 8
    single = seconds(
        lambda: adversarial_distance(
            network, images[:part], labels[:part], batch_size=1, progress=False
        )
    )
    ratio = single / part * len(images) / whole
    print(f"adversarial distance of 256 digits: {whole:.2f} s")
    return [Outcome("adversarial distance: one by one / batch of 256", ratio, 10, ratio >= 10)]


def print_table() -> None:
    """All scores of 1,000 images, group by group."""
    dataset = data.load("fmnist-mini").select(range(1000))
    noisy, wrong = data.flip_labels(dataset, 0.1, seed=0)
    groups = (
        ["csl"],
        ["csl", "csg"],
        ["curvature"],
        ["negative_distance"],
        ["functional_information"],
        ["confident_learning"],
        ["negative_ssft"],
        ["memorization", "membership"],
    )
    for scores in groups:
        spent = seconds(
            lambda s=scores: detection.score_table(noisy, models.mlp, scores=s, progress=False)
        )
        print(f"{' and '.join(scores):<40} {spent:6.2f} s, trainings included")
    spent = time.process_time()
    table = detection.score_table(noisy, models.mlp, progress=False)
    print(f"{'all':<40} {time.process_time() - spent:6.2f} s")
    print(detection.judge(table, wrong).round(3).to_string())


def main() -> list[Outcome]:
    """Measure; print; return the targets."""
    torch.set_num_threads(1)
    print_table()
    return attack_outcomes() + training_outcomes() + distance_outcomes()


if __name__ == "__main__":
    for outcome in main():
        print(outcome)
