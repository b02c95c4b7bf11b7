"""Store losses and squared input gradients of the second chapter's easy and hard sample.

Usage: python scripts/store_trajectories.py. Trains the lab's MLP (seed 0) once, in seconds; a
test compares the result with the numbers that the lab stores.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from memlib import data, dynamics, models, results, runtime, training

TARGET = Path(results.__file__).parent / "stored" / "fmnist-mini-trajectories.npz"
RECIPE: dict[str, Any] = {"epochs": 24, "lr": 0.05, "batch_size": 100, "schedule": "one-cycle"}
CLASS = "Coat"


def main() -> None:
    """Write the trajectories."""
    torch.set_num_threads(1)
    began = time.perf_counter()
    clothes = data.load("fmnist-mini")
    scores, _ = results.load_table(results.stored("fmnist-mini-memorization.parquet"))
    label = clothes.class_names.index(CLASS)
    of_class = scores.loc[clothes.ids.numpy()[clothes.labels.numpy() == label]].memorization_gibbs
    pair = np.array([of_class.idxmin(), of_class.idxmax()])

    with runtime.seeded(0, "init"):
        network = models.mlp(shape=clothes.images.shape[1:], classes=clothes.num_classes)
    some = slice(0, 1000)
    start = dynamics.input_gradients(network, clothes.images[some], clothes.labels[some])
    tau = float(start.flatten(1).square().sum(1).median()) / 2
    tracker = dynamics.DynamicsTracker(
        clothes.ids, clothes.num_classes, tau=tau, input_grads=True, trajectories=True
    )
    training.fit(network, clothes, **RECIPE, tracker=tracker, track="eval", seed=0, progress=False)

    places = clothes.positions(pair)
    curves = tracker.trajectories()
    arrays = {name: curves[name][:, places].T.astype(np.float64) for name in ("loss", "gradient")}
    settings = {"data": clothes.name, "model": "mlp", "seed": 0, "class": CLASS, **RECIPE}
    stamp = results.provenance(
        "python scripts/store_trajectories.py", settings, time.perf_counter() - began
    )
    results.save_arrays(TARGET, arrays | {"ids": pair, "tau": np.array(tau)}, stamp)
    print(TARGET)


if __name__ == "__main__":
    main()
