"""What the commands share: options, networks by name, errors in one line, the summary."""

from __future__ import annotations

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


class Network(StrEnum):
    """The networks that the commands train."""

    mlp = "mlp"
    small_cnn = "small-cnn"
    resnet18 = "resnet18"


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
def clear_errors() -> Iterator[None]:
    """Turn the errors that a user can mend into one line and exit status 2."""
    try:
        yield
    except _MENDABLE as error:
        typer.echo(f"memlib: {error}", err=True)
        raise typer.Exit(2) from None


def build(
    network: Network, dataset: Dataset, width: int | None, classes: int | None = None
) -> Callable[[], Any]:
    """Return what builds the network anew for each call, fitting the data set.

    Args:
        network: Which network.
        dataset: Whose images go in.
        width: Its width; None takes the network's own, and ResNet-18 has no other.
        classes: Number of outputs; None takes one per class of the data set.
    """
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


def report(table: pd.DataFrame, out: Path | None) -> None:
    """Print a summary of a table of scores, and where it was written to."""
    typer.echo(table.describe().T[["count", "mean", "std", "min", "50%", "max"]].to_string())
    if out is not None:
        typer.echo(f"{len(table)} samples written to {out}")
