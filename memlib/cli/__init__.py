"""The command line: `memlib data`, `score`, `trajectories`, `memorization`, `detect`, and so on."""

from collections.abc import Callable

import typer

from memlib.cli.claims import ledger
from memlib.cli.files import data, show_results
from memlib.cli.many import detect, memorization, private
from memlib.cli.one import score, trajectories

__all__ = ["app"]

COMMANDS: dict[str, Callable[..., None]] = {
    "data": data,
    "score": score,
    "trajectories": trajectories,
    "memorization": memorization,
    "private": private,
    "detect": detect,
    "results": show_results,
    "ledger": ledger,
}

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Measure what a neural network memorized: one row per sample, one column per score, "
    "higher = more memorized or harder.",
)
for _name, _command in COMMANDS.items():
    app.command(_name)(_command)
