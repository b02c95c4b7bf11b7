"""Commands that train many networks: `memlib memorization`, `private` and `detect`."""

from __future__ import annotations

import time
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
    with clear_errors():
        from memlib import data as data_sets
        from memlib import runtime, stability
        from memlib.ensemble import Recipe

        place = runtime.device()
        dataset = data_sets.load(data, root=root).to(place)
        targets = data_sets.load(data, "test", root=root).to(place) if runs_out else None
        table = stability.memorization(
            dataset,
            build(model, dataset, width),
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
        report(table, out)


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
    with clear_errors():
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
        plain = build(model, dataset, width)

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
        report(table, out)


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
    with clear_errors():
        import shutil
        from dataclasses import asdict

        from memlib import corruptions, detection, results, runtime
        from memlib import data as data_sets
        from memlib.ensemble import Recipe

        dataset = data_sets.load(data, root=root).to(runtime.device())
        if samples is not None:
            dataset = dataset.select(range(samples))
        merged = 2 if trouble == "subclass" else None
        factory = build(model, dataset, width, merged)
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
