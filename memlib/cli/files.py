"""Commands on what is stored: `memlib data` and `memlib results`."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from memlib.cli.options import Out, Resume, Root, Seed, clear_errors


class Copies(StrEnum):
    """The labels of duplicates."""

    same = "same"
    wrong = "wrong"


def data(
    name: Annotated[str | None, typer.Argument(help="Data set; left out, all are listed.")] = None,
    split: Annotated[str, typer.Option(help="train or test.")] = "train",
    root: Root = None,
    flip: Annotated[float, typer.Option(help="Share of labels to flip at random.")] = 0.0,
    duplicates: Annotated[int, typer.Option(help="Number of copies to add.")] = 0,
    copies: Annotated[Copies, typer.Option(help="Which label the copies carry.")] = Copies.wrong,
    seed: Seed = 0,
    out: Out = None,
    resume: Resume = True,
) -> None:
    """List the data sets, describe one, or write it with label noise and duplicates.

    The written file (npz, no pickle) holds images, labels, ids and the truth about the changes:
    `flipped` and `duplicated`, one bool per sample.
    """
    from memlib import data as data_sets

    with clear_errors():
        if name is None:
            typer.echo("\n".join(data_sets.NAMES))
            return
        import numpy as np

        from memlib import results

        begun = time.perf_counter()
        dataset = data_sets.load(name, split, root=root)
        flipped = np.zeros(len(dataset), dtype=bool)
        if flip:
            dataset, flipped = data_sets.flip_labels(dataset, flip, seed=seed)
        originals = len(dataset)
        if duplicates:
            dataset, _ = data_sets.add_duplicates(
                dataset, duplicates, labels=copies.value, seed=seed
            )
        counts = np.bincount(dataset.labels.numpy(), minlength=dataset.num_classes)
        size = " x ".join(map(str, dataset.images.shape[1:]))
        typer.echo(f"{dataset.name} ({split}): {len(dataset)} images of {size} pixels")
        typer.echo(f"pixels normalized with mean {dataset.mean} and std {dataset.std}")
        for class_name, count in zip(dataset.class_names, counts, strict=True):
            typer.echo(f"{count:8d}  {class_name}")
        typer.echo(f"{flipped.sum()} labels flipped, {len(dataset) - originals} copies added")
        typer.echo(f"sha256 {dataset.fingerprint()}")
        if out is None:
            return
        settings = {"data": name, "split": split, "flip": flip, "duplicates": duplicates}
        settings["copies"] = copies.value
        settings |= {"seed": seed, "fingerprint": dataset.fingerprint()}
        if resume and out.exists():
            results.load_arrays(out, settings=settings)
            typer.echo(f"{out} already holds exactly this")
            return
        arrays = {
            "images": dataset.images.numpy(),
            "labels": dataset.labels.numpy(),
            "ids": dataset.ids.numpy(),
            "flipped": np.pad(flipped, (0, len(dataset) - originals)),
            "duplicated": np.arange(len(dataset)) >= originals,
        }
        stamp = results.provenance("memlib data", settings, time.perf_counter() - begun)
        results.save_arrays(out, arrays, stamp)
        typer.echo(f"written to {out}")


def show_results(
    file: Annotated[Path, typer.Argument(help="A parquet or npz file that memlib wrote.")],
) -> None:
    """Check a stored result and print what made it."""
    import json
    from dataclasses import asdict

    from memlib import results

    with clear_errors():
        load = results.load_arrays if file.suffix == ".npz" else results.load_table
        content, stamp = load(file)
        names = list(content) if isinstance(content, dict) else list(content.columns)
        typer.echo(json.dumps(asdict(stamp) | {"holds": names}, indent=2))
