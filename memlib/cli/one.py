"""Commands that follow single training runs: `memlib score` and `memlib trajectories`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from memlib.cli.options import (
    DataName,
    Network,
    Out,
    Progress,
    Resume,
    Root,
    Seed,
    build,
    clear_errors,
    report,
)


class Track(StrEnum):
    """Which pass of an epoch the scores are taken from."""

    train = "train"
    eval = "eval"


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
    with clear_errors():
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
            report(results.load_table(out, settings=settings)[0], out)
            checkpoint.unlink(missing_ok=True)  # left by a kill after the last write
            return
        with seeded(seed, "init"):
            network = build(model, dataset, width)()
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
        report(table, out)


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
    with clear_errors():
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
