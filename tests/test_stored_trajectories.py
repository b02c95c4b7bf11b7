"""The stored trajectories are those of the second chapter's lab."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from memlib import results
from memlib.theory import trajectories

LAB = Path(__file__).resolve().parent.parent / "notebooks/part1/watching-a-network-learn.ipynb"
ARRAYS, STAMP = results.load_arrays(results.stored("fmnist-mini-trajectories.npz"))


def glued() -> dict[str, str]:
    """What the lab stores for its page."""
    stored = {}
    for cell in json.loads(LAB.read_text("utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            if name := output.get("metadata", {}).get("scrapbook", {}).get("name"):
                stored[name] = "".join(*output["data"].values())
    return stored


def test_they_are_the_two_samples_of_the_lab_in_its_first_run() -> None:
    lab = glued()
    assert ARRAYS["ids"].tolist() == [int(lab["easy-id"]), int(lab["hard-id"])]
    # Six digits agree where one processor made both; the margin is for the rounding of another.
    csl = [float(lab["easy-csl"]), float(lab["hard-csl"])]
    assert ARRAYS["loss"].sum(1) == pytest.approx(csl, rel=0.02)
    assert ARRAYS["loss"][1].max() == pytest.approx(float(lab["hard-peak"]), rel=0.02)
    assert ARRAYS["loss"].shape == ARRAYS["gradient"].shape == (2, int(lab["mlp-epochs"]))
    tau, spread = float(lab["mlp-tau"]), float(lab["mlp-tau-sd"])
    assert abs(float(ARRAYS["tau"]) - tau) < 2 * spread


def test_the_hard_sample_is_learned_at_one_or_never_and_sometimes_before_the_easy_one() -> None:
    easy, hard = ([Fraction(value) for value in row] for row in ARRAYS["gradient"])
    means = ARRAYS["gradient"].cumsum(1) / np.arange(1, len(hard) + 1)
    taus = [Fraction(float(mean)) for mean in means.ravel()]  # the learning times change only here
    assert {trajectories.learning_time(hard, tau) for tau in taus} == {1, None}
    between = (hard[0] + easy[0]) / 2
    assert trajectories.learning_time(hard, between) == 1
    assert trajectories.learning_time(easy, between) > 1
