"""Runs all benchmarks, then says which targets were met; fails if one was missed: `make bench`."""

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path

import torch

from tests.benchmarks import Outcome

ROOT = Path(__file__).resolve().parent.parent


def summary(outcomes: Iterable[Outcome]) -> int:
    """Prints every target, the missed ones marked; returns how many were missed."""
    missed = 0
    for name, value, target, met in outcomes:
        missed += not met
        print(f"{name:<72} {value:7.3f}  target {target:<5g} {'met' if met else 'MISSED'}")
    return missed


def main() -> int:
    """Runs the benchmarks; returns the exit status."""
    outcomes: list[Outcome] = []
    threads = torch.get_num_threads()
    for path in sorted((ROOT / "tests" / "benchmarks").glob("bench_*.py")):
        print(f"== {path.stem}", flush=True)
        torch.set_num_threads(threads)  # whatever the one before has left
        outcomes += importlib.import_module(f"tests.benchmarks.{path.stem}").main()
    print("== targets")
    return 1 if summary(outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
