"""Models per second of batched training against a plain loop per model, in one run.

Two plain loops stand for "a loop per model": one as most code is written (`DataLoader` over a
`TensorDataset`, `nn.Module`, autograd, `torch.optim.SGD`), and one that an expert would write
(the data as one tensor, indexed by batch). The target is stated for the first; the second is
printed too, for honesty. All must reach the same test accuracy. The rate is measured against the
machine's own float32 matrix product.
"""

import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from memlib import data, models
from memlib.ensemble import Recipe, linear_layers
from memlib.runtime import seeded
from memlib.schedules import learning_rates
from memlib.stability import draw_subsets, subset_runs
from tests.benchmarks import Outcome


def plain(model, dataset, rows, recipe, number, loader):
    with seeded(0, "init", number):
        network = model()
    images, labels = dataset.images[rows], dataset.labels[rows]
    optimizer = torch.optim.SGD(network.parameters(), recipe.lr, recipe.momentum)
    steps = -(-len(rows) // recipe.batch_size)
    rates = iter(learning_rates(recipe.schedule, recipe.lr, recipe.epochs, steps))
    batches = DataLoader(TensorDataset(images, labels), recipe.batch_size, shuffle=True)
    for _ in range(recipe.epochs):
        if not loader:
            order = torch.randperm(len(rows)).split(recipe.batch_size)
            batches = ((images[batch], labels[batch]) for batch in order)
        for x, y in batches:
            optimizer.param_groups[0]["lr"] = next(rates)
            loss = nn.functional.cross_entropy(network(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network


def matmul_rate(size=2048, repeats=10):
    """Float32 operations per second of one large matrix product."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    out = torch.mm(a, b)
    begun = time.perf_counter()
    for _ in range(repeats):
        torch.mm(a, b, out=out)
    return 2 * size**3 * repeats / (time.perf_counter() - begun)


def operations(network, samples, epochs, evaluated):
    """Multiplications and additions of training and of the final evaluation.

    Training takes 6 per weight and sample, 4 in the first layer (no gradient in the input);
    evaluation takes 2.
    """
    weights = [layer.weight.numel() for layer in linear_layers(network)]
    training = samples * epochs * (4 * weights[0] + 6 * sum(weights[1:]))
    return training + 2 * evaluated * sum(weights)


def race(name, width, recipe, target, looped=2, rounds=3):
    batched = 32 * torch.get_num_threads()
    dataset = data.load(name)
    test = data.load(name, "test")

    def model():
        return models.mlp(tuple(dataset.images.shape[1:]), width=width)

    members = draw_subsets(len(dataset), batched, 0.7, seed=0)
    rows = torch.from_numpy(np.nonzero(members[:looped])[1].reshape(looped, -1))
    rates = {"batched": [], "DataLoader loop": [], "tensor loop": []}
    peak, share, accuracy = [], [], {key: [] for key in rates}

    def right(logits):
        return float((logits.argmax(1) == test.labels).float().mean())

    subset_runs(dataset, model, models=2, recipe=Recipe(epochs=1))  # the first call loads kernels
    for _ in range(rounds):
        peak.append(matmul_rate())
        begun = time.perf_counter()
        runs = subset_runs(dataset, model, models=batched, recipe=recipe, targets=test)
        seconds = time.perf_counter() - begun
        rates["batched"].append(batched / seconds)
        evaluated = len(dataset) + len(test)
        work = batched * operations(model(), rows.shape[1], recipe.epochs, evaluated)
        share.append(work / seconds / peak[-1])
        accuracy["batched"] += runs.target_correct.mean(1).tolist()
        for key, loader in (("DataLoader loop", True), ("tensor loop", False)):
            begun = time.perf_counter()
            networks = [plain(model, dataset, rows[j], recipe, j, loader) for j in range(looped)]
            rates[key].append(looped / (time.perf_counter() - begun))
            accuracy[key] += [right(network(test.images)) for network in networks]
    speed = {key: float(np.median(value)) for key, value in rates.items()}
    print(f"\nmemorization of an MLP of width {width} on {name}, {recipe.epochs} epochs:")
    for key, value in speed.items():
        mean, spread = np.mean(accuracy[key]), np.std(accuracy[key])
        print(f"  {key:16s} {value:8.2f} models/s   test accuracy {mean:.3f} +- {spread:.3f}")
    ratio = speed["batched"] / speed["DataLoader loop"]
    expert = speed["batched"] / speed["tensor loop"]
    print(f"  ratio to the DataLoader loop {ratio:.1f}, to the tensor loop {expert:.1f}")
    part = float(np.median(share))
    print(f"  share of the matrix-product rate {part:.2f} of {np.median(peak) / 1e9:.0f} GFLOP/s")
    outcomes = [Outcome(f"{name}: batched over DataLoader loop", ratio, target, ratio >= target)]
    for key in ("DataLoader loop", "tensor loop"):
        gap = abs(np.mean(accuracy["batched"]) - np.mean(accuracy[key]))
        off = float(gap / np.hypot(np.std(accuracy["batched"]), np.std(accuracy[key])))
        label = f"{name}: accuracy, batched and {key}, joint deviations apart"
        outcomes.append(Outcome(label, off, 3, off <= 3))
    return part, outcomes


def main():
    share, outcomes = race("fmnist-mini", 128, Recipe(epochs=10), target=4)
    label = "fmnist-mini: share of the matrix-product rate"
    outcomes.append(Outcome(label, share, 0.5, share >= 0.5))
    return outcomes + race("digits", 64, Recipe(epochs=10, batch_size=50), target=10)[1]


if __name__ == "__main__":
    main()
