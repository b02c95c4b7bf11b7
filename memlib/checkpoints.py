"""Checkpoints of a training run: written whole, read back only if they belong to the run."""

import errno
import os
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from memlib.errors import CorruptResult, ForeignResult, shorten
from memlib.files import atomic_path

_FORMAT = "memlib checkpoint 1"


def write_checkpoint(
    path: str | os.PathLike[str], settings: dict[str, Any], content: dict[str, Any]
) -> None:
    """Write a run's state and PyTorch's global random state, atomically.

    Args:
        path: The file; the old one is replaced once the new one is on disk.
        settings: What determines the run, as plain values.
        content: State dicts, tensors and plain values.
    """
    random = [torch.get_rng_state(), *torch.cuda.get_rng_state_all()]
    whole = {"format": _FORMAT, "settings": settings, "random": random, "content": content}
    with atomic_path(Path(path)) as temporary:
        torch.save(whole, temporary)


def read_checkpoint(
    path: str | os.PathLike[str], settings: dict[str, Any], parts: Collection[str] = ()
) -> tuple[dict[str, Any], list[torch.Tensor]]:
    """Return the state of a run, from a file that `write_checkpoint` wrote.

    Nothing but tensors and plain values is unpickled (`weights_only=True`).

    Args:
        path: The file.
        settings: The settings of the run that wants to go on.
        parts: Keys that the content must have.

    Returns:
        The content, on the CPU, and the random states for `restore_random`.

    Raises:
        OSError: The file cannot be read.
        CorruptResult: The file is truncated, edited or no checkpoint.
        ForeignResult: It is of another run; the first setting that differs is named.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # PyTorch itself does not compare the checksums
        if damaged is not None:
            raise ValueError(f"checksum of {damaged}")
        whole = torch.load(path, map_location="cpu", weights_only=True)
        if whole["format"] != _FORMAT:
            raise ValueError(f"format {whole['format']!r}")
        stored, content, random = whole["settings"], whole["content"], whole["random"]
        for name in parts:
            content[name]
    except Exception as error:
        # A damaged file can send its reader to a place before its start, which is EINVAL.
        unread = isinstance(error, OSError) and error.errno != errno.EINVAL
        if unread or isinstance(error, MemoryError):
            raise  # nothing is known of the content
        # Damage can surface as any exception of the readers; all mean the same to the caller.
        raise CorruptResult(
            f"{path} is truncated, edited or no checkpoint of memlib ({shorten(error)}). "
            "Delete it to train anew."
        ) from error
    for key, ours in settings.items():
        theirs = stored.get(key)
        if theirs != ours:
            raise ForeignResult(
                f"{path}: {key} was {shorten(theirs)} there and is {shorten(ours)} here. "
                "Pass another checkpoint path, or delete the file to train anew."
            )
    return content, random


def restore_random(states: list[torch.Tensor]) -> None:
    """Set PyTorch's global generators: the CPU's, then those of the CUDA devices there are.

    Args:
        states: What `read_checkpoint` returned; states of devices that are not here are left out.
    """
    cpu, *cuda = states
    torch.set_rng_state(cpu)
    for number, state in enumerate(cuda[: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(state, number)
