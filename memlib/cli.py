"""The command line: `memlib data`, `score`, `trajectories`, `memorization`, `detect`, and so on."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memlib.errors import CorruptResult, ForeignResult, InvalidInput, TrainingDiverged

if TYPE_CHECKING:
    import pandas as pd

    from memlib.data import Dataset

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Measure what a neural network memorized: one row per sample, one column per score, "
    "higher = more memorized or harder.",
)


class Network(StrEnum):
    """The networks that the commands train."""

    mlp = "mlp"
    small_cnn = "small-cnn"
    resnet18 = "resnet18"


class Track(StrEnum):
    """Which pass of an epoch the scores are taken from."""

    train = "train"
    eval = "eval"


class Copies(StrEnum):
    """The labels of duplicates."""

    same = "same"
    wrong = "wrong"


DataName = Annotated[str, typer.Option("--data", help="Data set; `memlib data` lists them.")]
Root = Annotated[Path | None, typer.Option(help="Folder that holds the data set.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Out = Annotated[Path | None, typer.Option(help="File to write; without it, a summary is printed.")]
Resume = Annotated[
    bool, typer.Option(help="Go on from what an earlier call left at --out, or start anew.")
]
Progress = Annotated[
    bool | None, typer.Option(help="Show a progress bar; the default is: on a terminal.")
]


_MENDABLE = (
    InvalidInput,
    CorruptResult,
    ForeignResult,
    TrainingDiverged,
    OSError,
    ModuleNotFoundError,  # of an extra; its message says what to install
)


@contextmanager
def _clear_errors() -> Iterator[None]:
    """Turn the errors that a user can mend into one line and exit status 2."""
    try:
        yield
    except _MENDABLE as error:
        typer.echo(f"memlib: {error}", err=True)
        raise typer.Exit(2) from None


def _factory(
    network: Network, dataset: Dataset, width: int | None, classes: int | None = None
) -> Callable[[], Any]:
    from memlib import models

    builders: dict[Network, Callable[..., Any]] = {
        Network.mlp: models.mlp,
        Network.small_cnn: models.small_cnn,
        Network.resnet18: models.resnet18,
    }
    size = {} if width is None or network is Network.resnet18 else {"width": width}
    shape = tuple(dataset.images.shape[1:])
    outputs = dataset.num_classes if classes is None else classes
    return lambda: builders[network](shape=shape, classes=outputs, **size)


def _report(table: pd.DataFrame, out: Path | None) -> None:
    typer.echo(table.describe().T[["count", "mean", "std", "min", "50%", "max"]].to_string())
    if out is not None:
        typer.echo(f"{len(table)} samples written to {out}")


@app.command()
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

    with _clear_errors():
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


@app.command()
def score(
    data: DataName = "fmnist-mini",
    root: Root = None,
    model: Annotated[Network, typer.Option(help="Network to train.")] = Network.mlp,
    width: Annotated[int | None, typer.Option(help="Its width; not for resnet18.")] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the data.")] = 30,
    batch_size: Annotated[int, typer.Option(help="Samples per step.")] = 128,
    lr: Annotated[float, typer.Option(help="Peak learning rate (one-cycle schedule).")] = 0.05,
    track: Annotated[Track, typer.Option(help="Score the training pass, or an eval pass.")] = (
        Track.eval
    ),
    gradients: Annotated[bool, typer.Option(help="Score input gradients too (CSG).")] = True,
    curvature: Annotated[bool, typer.Option(help="Score the exact input curvature too.")] = False,
    tau: Annotated[float | None, typer.Option(help="Threshold of the learning time, Eq. 4.")] = (
        None
    ),
    seed: Seed = 0,
    out: Out = None,
    resume: Resume = True,
    progress: Progress = None,
) -> None:
    """Train one network and score every sample by how its training went: CSL, CSG, and so on.

    An interrupted call goes on from `<out>.checkpoint`, written after each epoch.
    """
    with _clear_errors():
        from memlib import data as data_sets
        from memlib import results, training
        from memlib.dynamics import DynamicsTracker
        from memlib.runtime import seeded

        dataset = data_sets.load(data, root=root)
        recipe: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size, "lr": lr}
        recipe["track"] = track.value
        settings: dict[str, Any] = {"data": data, "fingerprint": dataset.fingerprint()}
        settings |= {"model": model.value, "width": width, "gradients": gradients, "tau": tau}
        settings |= recipe | {"seed": seed} | ({"curvature": True} if curvature else {})
        checkpoint = None if out is None else Path(f"{out}.checkpoint")
        if resume and out is not None and checkpoint is not None and out.exists():
            _report(results.load_table(out, settings=settings)[0], out)
            checkpoint.unlink(missing_ok=True)  # left by a kill after the last write
            return
        with seeded(seed, "init"):
            network = _factory(model, dataset, width)()
        tracker = DynamicsTracker(
            dataset.ids,
            dataset.num_classes,
            tau=tau,
            input_grads=gradients or tau is not None,
            curvatures=curvature,
        )
        if not resume and checkpoint is not None:
            checkpoint.unlink(missing_ok=True)
        history = training.fit(
            network,
            dataset,
            schedule="one-cycle",
            tracker=tracker,
            seed=seed,
            checkpoint=checkpoint,
            progress=progress,
            **recipe,
        )
        table = tracker.scores()
        if out is not None and checkpoint is not None:
            stamp = results.provenance("memlib score", settings, history.seconds)
            results.save_table(out, table, stamp)
            checkpoint.unlink()
        _report(table, out)


@app.command()
def trajectories(
    out: Annotated[Path, typer.Option(help="Npz file to write.")],
    data: DataName = "fmnist-mini",
    root: Root = None,
    model: Annotated[
        list[Network] | None, typer.Option(help="Network to train; may be repeated.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Runs of each network, with seeds 0, 1, ...")] = 3,
    epochs: Annotated[int | None, typer.Option(help="Epochs, if not the recipe's.")] = None,
    resume: Resume = True,
    progress: Progress = None,
) -> None:
    """Store every sample's loss, squared input gradient and verdict in every epoch of some runs.

    Each network has its recipe. An interrupted call goes on from the checkpoints beside --out.
    """
    with _clear_errors():
        from memlib import data as data_sets
        from memlib import trajectories as tracked

        dataset = data_sets.load(data, root=root)
        names = [network.value for network in model or (Network.mlp, Network.small_cnn)]
        runs = tracked.record(
            dataset, names, out=out, seeds=seeds, epochs=epochs, resume=resume, progress=progress
        )
        for run in runs:
            typer.echo(
                f"{run.model}, seed {run.seed}: {run.epochs} epochs, training accuracy "
                f"{run.accuracy:.4f}, mean CSL {run.csl.mean():.3f}, mean CSG {run.csg.mean():.3f}"
            )
        typer.echo(f"{len(runs)} runs written to {out}")


@app.command()
def memorization(
    data: DataName = "fmnist-mini",
    root: Root = None,
    model: Annotated[Network, typer.Option(help="Network to train.")] = Network.mlp,
    width: Annotated[int | None, typer.Option(help="Its width; not for resnet18.")] = None,
    models: Annotated[int, typer.Option(help="Number of networks.")] = 1000,
    fraction: Annotated[float, typer.Option(help="Share of the samples each is trained on.")] = 0.7,
    epochs: Annotated[int, typer.Option(help="Passes over a network's samples.")] = 40,
    batch_size: Annotated[int, typer.Option(help="Samples per step.")] = 100,
    lr: Annotated[float, typer.Option(help="Peak learning rate (one-cycle schedule).")] = 0.05,
    seed: Seed = 0,
    out: Out = None,
    runs_out: Annotated[
        Path | None,
        typer.Option(help="Npz file for each network's verdicts, test set included."),
    ] = None,
    resume: Resume = True,
    progress: Progress = None,
) -> None:
    """Estimate every sample's memorization from many networks on random subsets.

    An interrupted call goes on from the shards in `<out>.runs`.
    """
    with _clear_errors():
        from memlib import data as data_sets
        from memlib import runtime, stability
        from memlib.ensemble import Recipe

        place = runtime.device()
        dataset = data_sets.load(data, root=root).to(place)
        targets = data_sets.load(data, "test", root=root).to(place) if runs_out else None
        table = stability.memorization(
            dataset,
            _factory(model, dataset, width),
            models=models,
            fraction=fraction,
            recipe=Recipe(epochs=epochs, batch_size=batch_size, lr=lr),
            seed=seed,
            targets=targets,
            out=out,
            runs_out=runs_out,
            resume=resume,
            progress=progress,
        )
        _report(table, out)


@app.command()
def private(
    data: DataName = "fmnist-mini",
    root: Root = None,
    model: Annotated[Network, typer.Option(help="Network to train.")] = Network.mlp,
    width: Annotated[int | None, typer.Option(help="Its width; not for resnet18.")] = None,
    pairs: Annotated[int, typer.Option(help="Pairs of networks, on complementary halves.")] = 50,
    epsilon: Annotated[float | None, typer.Option(help="The budget, or pass --noise.")] = None,
    noise: Annotated[float | None, typer.Option(help="Noise multiplier; 0: no privacy.")] = None,
    delta: Annotated[float, typer.Option(help="Additive part of the guarantee.")] = 1e-5,
    epochs: Annotated[int, typer.Option(help="Expected draws of a sample.")] = 20,
    batch_size: Annotated[int, typer.Option(help="Expected samples per step.")] = 100,
    lr: Annotated[float, typer.Option(help="Learning rate.")] = 0.5,
    momentum: Annotated[float, typer.Option(help="Momentum of SGD.")] = 0.0,
    clip: Annotated[float, typer.Option(help="Norm each sample's gradient is clipped to.")] = 1.0,
    seed: Seed = 0,
    out: Out = None,
    resume: Resume = True,
    progress: Progress = None,
) -> None:
    """Measure what private training (DP-SGD) memorizes, below the bound that its noise proves.

    An interrupted call goes on from the shards in `<out>.runs`.
    """
    with _clear_errors():
        from memlib import data as data_sets
        from memlib import models, privacy, runtime

        dataset = data_sets.load(data, root=root).to(runtime.device())
        recipe = privacy.PrivateRecipe(
            epochs=epochs,
            batch_size=batch_size,
            lr=lr,
            momentum=momentum,
            clip=clip,
            noise=noise,
            epsilon=epsilon,
            delta=delta,
        )
        plain = _factory(model, dataset, width)

        def factory() -> Any:
            return models.with_group_norm(plain()) if model is Network.resnet18 else plain()

        table = privacy.private_memorization(
            dataset,
            factory,
            recipe,
            pairs=pairs,
            seed=seed,
            out=out,
            resume=resume,
            progress=progress,
        )
        bound = recipe.bound(len(dataset) // 2)
        typer.echo(f"{bound.assumption}; no sample is memorized more than {bound.value:.4f}")
        _report(table, out)


@app.command()
def detect(
    trouble: Annotated[
        str,
        typer.Option(
            help="What to plant: mislabels, class-mislabels, duplicates, wrong-duplicates, "
            "subclass, adversarial or sources."
        ),
    ] = "mislabels",
    fraction: Annotated[float, typer.Option(help="Share of the samples to plant it in.")] = 0.1,
    data: DataName = "fmnist-mini",
    root: Root = None,
    samples: Annotated[int | None, typer.Option(help="Take the first samples only.")] = None,
    model: Annotated[Network, typer.Option(help="Network to train.")] = Network.mlp,
    width: Annotated[int | None, typer.Option(help="Its width; not for resnet18.")] = None,
    seeds: Annotated[int, typer.Option(help="How often to plant and train, from --seed on.")] = 3,
    score: Annotated[
        list[str] | None, typer.Option(help="A score to judge; may be repeated. Default: all.")
    ] = None,
    epochs: Annotated[int, typer.Option(help="Passes over a network's samples.")] = 40,
    batch_size: Annotated[int, typer.Option(help="Samples per step.")] = 100,
    lr: Annotated[float, typer.Option(help="Peak learning rate (one-cycle schedule).")] = 0.05,
    epsilon: Annotated[
        float, typer.Option(help="Largest change of an adversarial image's pixels, of 1.")
    ] = 0.05,
    other: Annotated[
        str | None, typer.Option(help="Data set that sources takes the other samples from.")
    ] = None,
    seed: Seed = 0,
    out: Out = None,
    resume: Resume = True,
    progress: Progress = None,
) -> None:
    """Plant trouble in a data set and judge every score by how well it finds it.

    One row per score: area under the ROC curve and average precision (chance is the share
    planted), mean and standard deviation over the seeds. Scores whose area is farthest from chance
    (0.5) stand first; near 0, low values find the trouble. An interrupted call goes on from the
    finished seeds in `<out>.seeds`. The score functional_information takes minutes for thousands
    of samples.
    """
    with _clear_errors():
        import shutil
        from dataclasses import asdict

        from memlib import corruptions, detection, results, runtime
        from memlib import data as data_sets
        from memlib.ensemble import Recipe

        dataset = data_sets.load(data, root=root).to(runtime.device())
        if samples is not None:
            dataset = dataset.select(range(samples))
        merged = 2 if trouble == "subclass" else None
        factory = _factory(model, dataset, width, merged)
        recipe = Recipe(epochs, batch_size, lr)
        second = None if other is None else data_sets.load(other, root=root)
        plant = corruptions.planter(
            trouble, fraction, model=factory, recipe=recipe, epsilon=epsilon, other=second
        )
        scores = score or list(detection.DETECTORS)
        settings: dict[str, Any] = {"data": data, "fingerprint": dataset.fingerprint()}
        settings |= {"trouble": trouble, "fraction": fraction, "epsilon": epsilon}
        settings |= {"other": None if second is None else second.fingerprint()}
        settings |= {"model": model.value, "width": width, "scores": scores}
        settings |= {"recipe": asdict(recipe), "seed": seed, "seeds": seeds}
        if resume and out is not None and out.exists():
            typer.echo(results.load_table(out, settings=settings)[0].round(4).to_string())
            return
        folder = None if out is None else Path(f"{out}.seeds")
        if not resume and folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        begun = time.perf_counter()
        table = detection.detection_table(
            dataset,
            plant,
            factory,
            seeds=range(seed, seed + seeds),
            scores=scores,
            recipe=recipe,
            folder=folder,
            progress=progress,
        )
        if out is not None and folder is not None:
            stamp = results.provenance("memlib detect", settings, time.perf_counter() - begun)
            results.save_table(out, table, stamp)
            shutil.rmtree(folder)
        typer.echo(table.round(4).to_string())


@app.command("results")
def show_results(
    file: Annotated[Path, typer.Argument(help="A parquet or npz file that memlib wrote.")],
) -> None:
    """Check a stored result and print what made it."""
    import json
    from dataclasses import asdict

    from memlib import results

    with _clear_errors():
        load = results.load_arrays if file.suffix == ".npz" else results.load_table
        content, stamp = load(file)
        names = list(content) if isinstance(content, dict) else list(content.columns)
        typer.echo(json.dumps(asdict(stamp) | {"holds": names}, indent=2))


@app.command()
def ledger(
    ids: Annotated[list[str] | None, typer.Argument(help="Claim ids; left out, all.")] = None,
    claim: Annotated[list[str] | None, typer.Option(help="A claim id; may be repeated.")] = None,
    paper: Annotated[str | None, typer.Option(help="All claims of a paper, by its key.")] = None,
    long: Annotated[
        bool, typer.Option("--long", help="Let searches try 50 times as much.")
    ] = False,
    mutants: Annotated[
        bool, typer.Option("--mutants", help="Change each check; fail if a change goes unseen.")
    ] = False,
    page: Annotated[
        Path | None, typer.Option(help="Write the ledger here, its further pages beside it.")
    ] = None,
    map: Annotated[Path | None, typer.Option(help="Write the theorem map here.")] = None,
    progress: Progress = None,
) -> None:
    """Put the claims on trial: run all their evidence; fail if a verdict is not earned."""
    from memlib.theory.ledger import main, mutation_report

    names = [*(ids or []), *(claim or [])]
    with _clear_errors():
        if mutants:
            sys.exit(mutation_report(names, typer.echo, paper=paper, progress=progress))
        sys.exit(main(names, page, map, typer.echo, paper=paper, long=long, progress=progress))
