"""Runs labs and stores their outputs: `make labs`, or `make labs LABS=notebooks/part1/NAME.ipynb`.

Two runs write the same bytes where the results are the same: no time stamps, no machine's details.
`--clean` only takes those out, without running anything (the pre-commit hook).
How long a lab took goes to `notebooks/run_times.json`, from where the book quotes it.
"""

import hashlib
import json
import os
import resource
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

import memlib

ROOT = Path(__file__).resolve().parent.parent
RUN_TIMES = ROOT / "notebooks" / "run_times.json"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def clean(notebook: nbformat.NotebookNode) -> None:
    """Takes out of a notebook what depends on the moment or the machine."""
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    for cell in notebook.cells:
        for key in ("execution", "collapsed", "scrolled", "jupyter", "colab", "outputId", "id"):
            cell.metadata.pop(key, None)


def processor_seconds() -> float:
    """Returns the processor time of the kernels that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(path: Path) -> float:
    """Executes a lab in its own folder and writes it back; if a cell fails, the file stays.

    Returns:
        The seconds that it took, or its processor time if that is less: then the machine was busy
        with other things, and alone it would not have taken longer than that.
    """
    notebook = nbformat.read(path, as_version=4)
    start, used = time.perf_counter(), processor_seconds()
    NotebookClient(
        notebook,
        timeout=1200,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    write(path, notebook)
    return min(time.perf_counter() - start, processor_seconds() - used)


def code_hash(notebook: nbformat.NotebookNode) -> str:
    """Returns what changes when a lab's code does."""
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256(json.dumps(code).encode()).hexdigest()[:16]


def record(path: Path, seconds: float) -> None:
    """Stores how long a lab took, on how many cores, at which scale and for which code."""
    stored = json.loads(RUN_TIMES.read_text("utf-8")) if RUN_TIMES.exists() else {}
    stored[path.relative_to(ROOT / "notebooks").with_suffix("").as_posix()] = {
        "seconds": round(seconds),
        "cores": len(os.sched_getaffinity(0)),
        "scale": memlib.scale(),
        "code": code_hash(nbformat.read(path, as_version=4)),
    }
    RUN_TIMES.write_text(json.dumps(stored, indent=2, sort_keys=True) + "\n", "utf-8")


def write(path: Path, notebook: nbformat.NotebookNode) -> None:
    """Writes a notebook in its one layout."""
    clean(notebook)
    nbformat.validate(notebook)
    path.write_text(nbformat.writes(notebook, version=4).rstrip("\n") + "\n", "utf-8")


def main(arguments: list[str]) -> None:
    """Runs, or only cleans, the labs that are named, or all."""
    only_clean = "--clean" in arguments
    named = [Path(a).resolve() for a in arguments if a != "--clean"]
    for path in named or sorted((ROOT / "notebooks").glob("**/*.ipynb")):
        if ".ipynb_checkpoints" in path.parts:
            continue
        if only_clean:
            write(path, nbformat.read(path, as_version=4))
        else:
            seconds = run(path)
            if "assignments" not in path.parts:  # the book quotes the time of labs alone
                record(path, seconds)
            print(f"{path.relative_to(ROOT)}: {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
