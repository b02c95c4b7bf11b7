"""The chapters on learning time: their solutions run, and their labs do at the larger scale."""

import re
from contextlib import suppress
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch

import memlib
from memlib import data, models, results, trajectories
from memlib.data import Dataset

PART = Path(__file__).resolve().parent.parent / "book/part2"
PAGES = ("memorization-and-learning-time", "loss-gradient-and-learning-time")
BLOCKS = {
    f"{name}-{k}": block
    for name in PAGES
    for k, block in enumerate(
        re.findall(r"^```python\n(.*?)^```", (PART / f"{name}.md").read_text("utf-8"), re.M | re.S)
    )
}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_solution_that_the_page_prints_passes_its_own_assertions(name: str) -> None:
    assert "assert" in BLOCKS[name]
    exec(BLOCKS[name], {})


def test_each_page_prints_the_code_of_its_code_exercises() -> None:
    assert len(BLOCKS) == 2 * len(PAGES)


@pytest.fixture
def large_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The larger scale, with 80 small color images in place of CIFAR-100 and a few epochs."""
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(80) % 4
    images = torch.randn(80, 3, 8, 8, generator=random) + labels[:, None, None, None] / 2
    tiny = Dataset(
        images, labels, torch.arange(80), tuple("abcd"), "cifar100", (0.0,) * 3, (1.0,) * 3
    )
    scores = pd.DataFrame(
        {"memorization": np.linspace(0, 1, 80), "accuracy_out": np.linspace(1, 0, 80)},
        index=pd.Index(range(80), name="sample"),
    )
    stamp = results.provenance("a test", {"models": 2}, 0.0)
    results.save_table(tmp_path / "cifar100-memorization.parquet", scores, stamp)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEMLIB_SCALE", "gpu")
    monkeypatch.setattr(data, "load", lambda name: tiny)
    for model, epochs in (("mlp", 14), ("resnet18", 12)):  # the labs look at epoch 10
        monkeypatch.setitem(trajectories._RECIPES[model], "epochs", epochs)
    # test_trajectories.py trains the real one
    monkeypatch.setitem(trajectories._BUILD, "resnet18", models.small_cnn)


@pytest.mark.parametrize("name", PAGES[1:])
def test_the_lab_runs_to_its_end_at_the_larger_scale(name: str, large_scale: None) -> None:
    lab = nbformat.read(PART.parent.parent / "notebooks/part2" / f"{name}.ipynb", as_version=4)
    cells = [cell.source for cell in lab.cells if cell.cell_type == "code"][1:]
    start = next(k for k, source in enumerate(cells) if source.startswith("gpu = "))
    names: dict[str, object] = {"memlib": memlib}
    for source in [cells[0], *(c for c in cells[1:start] if "glue" not in c), *cells[start:]]:
        if ".show()" in source:
            continue
        with suppress(AssertionError):  # what 80 images show is no finding
            exec(source, names)
    assert list(names["names"]) == ["MLP", "ResNet-18"]
    assert Path("cifar100-trajectories.npz").exists()
