"""The command that puts the claims on trial: `memlib ledger`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from memlib.cli.options import Progress, clear_errors


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
    with clear_errors():
        if mutants:
            sys.exit(mutation_report(names, typer.echo, paper=paper, progress=progress))
        sys.exit(main(names, page, map, typer.echo, paper=paper, long=long, progress=progress))
