"""Runs a lab's own code cells at the larger scale: its real networks, on a few small images.

The data sets and the numbers of epochs, seeds and probes are all that is smaller than on Colab.
What the cells assert about the world before they ask for the scale or for stored results must
hold; what they find in the data is noted instead, since a few images show nothing.
"""

import ast
import dataclasses
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import nbformat
import pytest
import torch

import memlib
from memlib import curvature_runs, data, decomposition, models, runs, stability, trajectories
from memlib.data import Dataset
from memlib.ensemble import Recipe
from memlib.shards import shard_trainer

LABS = Path(__file__).resolve().parent.parent / "notebooks"
# Two steps of the rate need three epochs, and lab 2's ten bins more than ten images.
EPOCHS, IMAGES, CLASSES = 3, 12, 4
SEEDS = 2  # the fewest with a spread


@dataclass(frozen=True)
class Outcome:
    """What became of a lab.

    Attributes:
        names: All that its cells defined.
        found: Each assertion on the data that held, as `ast.unparse` writes it.
        refuted: Each that did not.
    """

    names: dict[str, Any]
    found: tuple[str, ...]
    refuted: tuple[str, ...]


def stand_in(split: str = "train") -> Dataset:
    """Return images of CIFAR's shape: noise, and the more of its class's pattern the later one is.

    So some labels can be told from the other images, and some can only be memorized.
    """
    random = torch.Generator().manual_seed({"train": 0, "test": 1}[split])
    patterns = torch.randn(CLASSES, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    labels = torch.arange(IMAGES) % CLASSES
    noise = torch.randn(IMAGES, 3, 32, 32, generator=random)
    images = noise + torch.linspace(0, 2, IMAGES)[:, None, None, None] * patterns[labels]
    names = tuple(f"class {k}" for k in range(CLASSES))
    return Dataset(images, labels, torch.arange(IMAGES), names, "cifar100", (0.0,) * 3, (1.0,) * 3)


@contextmanager
def larger_scale(folder: Path) -> Iterator[list[dict[str, Any]]]:
    """Make `folder` a place where labs run at the larger scale, with the stand-in for CIFAR-100.

    In it lie the memorization scores of a few MLPs. What one lab trains and stores there, such as
    the tracked runs, the next one reads back.

    Yields:
        Every recipe of ResNet-18 that was asked for, as it was before it was shortened.
    """
    load, recipe, asked = data.load, trajectories.recipe, []

    def load_small(name: str, split: str = "train", **rest: Any) -> Dataset:
        if name == "fashion-mnist":
            return load("fmnist-mini", split).select(range(IMAGES))
        return stand_in(split) if name == "cifar100" else load(name, split, **rest)

    def short_recipe(model: str, epochs: int | None = None) -> dict[str, Any]:
        settings = recipe(model, epochs)
        if model != "resnet18":
            return settings
        asked.append(settings)
        return recipe(model, EPOCHS)

    def short_trainer(*arguments: Any) -> tuple[Any, Any]:
        train, loop = shard_trainer(*arguments)

        def short(dataset: Dataset, rows: Any, recipe: Recipe, *rest: Any) -> Any:
            few = dataclasses.replace(recipe, epochs=min(recipe.epochs, EPOCHS))
            return train(dataset, rows, few, *rest)

        return short, loop

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MEMLIB_SCALE", "gpu")
        sets = partial(decomposition.subset_sets, networks={"mlp": 8, "resnet18": 2})
        for old, new in ((load, load_small), (recipe, short_recipe)):
            _replace_everywhere(patch, old, new)
        _replace_everywhere(patch, decomposition.subset_sets, sets)
        _replace_everywhere(patch, runs.subset_runs, _few(runs.subset_runs))
        curved = curvature_runs.tracked
        _replace_everywhere(patch, curved, partial(curved, samples=2))
        for record in (trajectories.record, curvature_runs.record):
            _replace_everywhere(patch, record, partial(record, seeds=SEEDS))
        patch.setattr(curvature_runs, "PROBES", 2)
        dataset = stand_in()
        stability.memorization(
            dataset,
            lambda: models.mlp(dataset.images.shape[1:], CLASSES),
            models=20,
            recipe=Recipe(**recipe("mlp")),
            out="cifar100-memorization.parquet",
        )
        _replace_everywhere(patch, shard_trainer, short_trainer)
        yield asked


def _few(subset_runs: Callable[..., runs.Runs]) -> Callable[..., runs.Runs]:
    """Return the function that trains networks on subsets, for no more than 24 of them."""

    def few(*arguments: Any, models: int, **settings: Any) -> runs.Runs:
        return subset_runs(*arguments, models=min(models, 24), **settings)

    return few


def _replace_everywhere(patch: pytest.MonkeyPatch, old: object, new: object) -> None:
    """Replace a function under each name by which a module of memlib knows it."""
    for module in [m for name, m in sys.modules.items() if name.split(".")[0] == "memlib"]:
        for name in [name for name, value in vars(module).items() if value is old]:
            patch.setattr(module, name, new)


def run_lab(lab: str) -> Outcome:
    """Run a lab's code cells from the first to the last, inside of `larger_scale`.

    The cell that installs memlib is left out, and those that only show an entry of the ledger.

    Args:
        lab: Its path under `notebooks/`, without the suffix: `part2/inputs-and-weights`.
    """
    assert memlib.scale() == "gpu"
    book = nbformat.read(LABS / f"{lab}.ipynb", as_version=4)
    cells = [cell.source for cell in book.cells if cell.cell_type == "code"][1:]
    data_from = ("memlib.scale()", "results.stored(")
    start = next(k for k, source in enumerate(cells) if any(call in source for call in data_from))
    cells[start] = cells[start].replace("range(3)", f"range({SEEDS})")  # the settings name them
    found: list[str] = []
    refuted: list[str] = []

    def finding(holds: object, source: str) -> None:
        (found if holds else refuted).append(source)

    names: dict[str, Any] = {"memlib": memlib, "__name__": lab, "_finding": finding}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # means over no sample at all
        for k, source in enumerate(cells):
            if ".show()" in source:
                continue
            tree = ast.parse(source)
            tree = tree if k < start else ast.fix_missing_locations(_Noted().visit(tree))
            exec(compile(tree, f"{lab}, code cell {k + 2}", "exec"), names)
    plt.close("all")
    return Outcome(names, tuple(found), tuple(refuted))


class _Noted(ast.NodeTransformer):
    """Turns `assert x` into `_finding(x, "x")`: x is evaluated, and noted if it does not hold."""

    def visit_Assert(self, node: ast.Assert) -> ast.Expr:
        """Replace one assertion."""
        source = ast.Constant(ast.unparse(node.test))
        call = ast.Call(ast.Name("_finding", ast.Load()), [node.test, source], [])
        return ast.copy_location(ast.Expr(call), node)
