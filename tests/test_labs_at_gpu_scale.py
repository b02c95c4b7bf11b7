"""The labs run from start to end at the larger scale, as they do on Colab, on small data."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from memlib import trajectories
from tests import labs_at_gpu_scale
from tests.labs_at_gpu_scale import LABS, larger_scale, run_lab, stand_in

# By lab, as `ast.unparse` writes it: what it asserts of the data that holds of any data.
PROVED: dict[str, tuple[str, ...]] = {
    "part1/what-memorization-is": (  # the stored runs are the same at both scales
        "np.array_equal(verdicts.members, members)",
        "np.allclose(stability.memorization_scores(verdicts).memorization, scores.memorization)",
        "abs(mem.mean() - gap) < 1e-09",
    ),
    "part1/watching-a-network-learn": (
        "all((count == (0, 0) for count in broken.values()))",  # R1 and R4
        "(np.minimum(time, trackers[key].epochs) == streamed).mean() > 0.999",
        "worst <= 1",  # CSLT <= CSL / ln 2
        "all(((t.learning_time_first <= t.csl / np.log(2)).all() for t in tables.values()))",
        "np.abs(csl_gibbs - (held_out - memory)).max() < 1e-09",  # R2
    ),
    "part2/inputs-and-weights": (
        "(grown[:, 0] <= grown[:, 1]).all() and (grown[:, 1] <= grown[:, 2]).all()",
        "(curve[:, 0] <= curve[:, 1]).all() and used['MLP', -1][0] <= 1",
        "share['MLP'][0] == share[unshared][0] == 0",
        "weights < pixels and float(in_weights.norm()) < 1e-09 < 0.01 < float(in_image.norm())",
        "conv1.weight.numel() < 3072 and lowest > 0.1",
        "(np.diff(chain[:4]) > 0).all()",
    ),
    "part2/memorization-and-learning-time": (
        "len(means) == 1 or abs(weighted - r / np.sqrt(explained)) < 1e-09",
    ),
    "part2/loss-gradient-and-learning-time": (
        "all(((time <= bound).all() for time, bound in pairs.values()))",  # R1
        "(time < early).all()",  # R4
        "abs(run.csl.mean() - xi - (drop[0] - drop[1])) < 1e-06",  # CSL cancels
    ),
    "part2/loss-and-memorization": (
        "abs(mean[:3].sum() - mean[3]) < 1e-06",  # a covariance is linear
        "mean[0] <= mean[1] <= mean[2] < mean[3]",  # no signal
        "mean[5] <= 0.05",  # Chebyshev
    ),
    "part2/the-final-gradient": (),
    "part2/curvature-and-gradient": (
        "torch.equal(*same)",
        "all((max((slack(name, seed)[0] for seed in seeds)) < 1.01 for name in names))",
    ),
}
MLPS_ALONE = "part1/what-memorization-is"  # it trains nothing else, at any scale


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    """The larger scale, in one folder for all labs; the recipes of ResNet-18 asked for so far."""
    with larger_scale(tmp_path_factory.mktemp("labs")) as recipes:
        yield recipes


def test_the_networks_are_those_of_the_recipes(asked: list[dict[str, Any]]) -> None:
    network = trajectories.network("resnet18", stand_in(), 0)
    assert sum(weight.numel() for weight in network.parameters()) == 11_168_832 + 4 * 513
    assert trajectories.recipe("resnet18")["epochs"] == 3 < asked[-1]["epochs"]


def test_every_lab_that_asks_for_the_scale_is_run_here() -> None:
    asking = []
    for path in sorted(LABS.glob("part*/*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        if any(cell.cell_type == "code" and "memlib.scale()" in cell.source for cell in cells):
            asking.append(path.relative_to(LABS).with_suffix("").as_posix())
    assert MLPS_ALONE in asking
    assert [lab for lab in asking if lab not in PROVED] == []


@pytest.mark.parametrize("lab", PROVED)
def test_the_lab_runs_to_its_end_with_the_larger_networks(
    lab: str, asked: list[dict[str, Any]]
) -> None:
    asked.clear()
    outcome = run_lab(lab)
    paper = {"epochs": 200, "lr": 0.1, "weight_decay": 1e-4, "batch_size": 128}
    paper |= {"milestones": (120, 180), "augment": "crop-flip", "schedule": "step"}
    assert bool(asked) == (lab != MLPS_ALONE)
    assert all(recipe == paper for recipe in asked)
    assert set(PROVED[lab]) <= set(outcome.found)
    assert not set(PROVED[lab]) & set(outcome.refuted)


def write_lab(folder: Path, *cells: str) -> None:
    made = [nbformat.v4.new_code_cell(source) for source in ("import memlib", *cells)]
    nbformat.write(nbformat.v4.new_notebook(cells=made), folder / "small.ipynb")


@pytest.mark.usefixtures("asked")
def test_what_the_data_refute_is_noted_and_what_is_exact_must_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labs_at_gpu_scale, "LABS", tmp_path)
    scale = 'gpu = memlib.scale() == "gpu"'
    write_lab(
        tmp_path, "x = 1\nassert x == 1", scale, "assert gpu and x == 2\nassert gpu or x == 3"
    )
    outcome = run_lab("small")
    assert (outcome.found, outcome.refuted) == (("gpu or x == 3",), ("gpu and x == 2",))
    write_lab(tmp_path, "x = 1\nassert x == 2", scale)
    with pytest.raises(AssertionError):
        run_lab("small")
