"""Where and how a run happens: seeds, device, scale, progress bar."""

import copy
import hashlib
import json
import math
import operator
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from tqdm.std import tqdm

from memlib.errors import FractionOutOfRange, NotPositive, UnknownName, WrongType

# The constants of SplitMix64 (Steele, Lea and Flood, 2014).
_GOLDEN, _MIX = 0x9E3779B97F4A7C15, ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))
_GLOBAL_GENERATOR = threading.RLock()
_HELD = threading.local()  # how many `seeded` blocks this thread is inside of


def _sequence(seed: int, stream: tuple[int | str, ...]) -> np.random.SeedSequence:
    parts: list[int | str] = [whole_number("seed", seed, least=0)]
    for part in stream:
        try:
            parts.append(part if isinstance(part, str) else int(operator.index(part)))
        except TypeError:
            raise WrongType("stream", part, "Pass whole numbers and strings.") from None
    # JSON keeps 1 apart from "1", and (12, 3) apart from (1, 23).
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return np.random.SeedSequence(int.from_bytes(digest, "big"))


def rng(seed: int, *stream: int | str) -> np.random.Generator:
    """Return a NumPy generator for one named stream of randomness under one seed.

    Args:
        seed: The run's seed, 0 or larger.
        stream: What the numbers are for, for example `"subsets"` or `("init", model)`. Streams
            with different names are independent of each other.

    Returns:
        A fresh generator; the same arguments give the same numbers.

    Raises:
        NotPositive: The seed is negative.
        WrongType: The seed is not whole, or a part of the stream is neither whole nor a string.

    Example:
        >>> from memlib.runtime import rng
        >>> a, b = rng(0, "flip"), rng(0, "flip")
        >>> bool(a.integers(1000) == b.integers(1000))
        True
    """
    return np.random.Generator(np.random.PCG64(_sequence(seed, stream)))


def _torch_seed(seed: int, stream: tuple[int | str, ...]) -> int:
    return int(_sequence(seed, stream).generate_state(1, np.uint64)[0])


def generator(seed: int, *stream: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a PyTorch generator for one named stream of randomness under one seed.

    PyTorch's CPU generator takes 32 bits of seed: of 10,000 streams, two coincide with
    probability about 1 %.

    Args:
        seed: The run's seed, 0 or larger.
        stream: What the numbers are for, as in `rng`.
        device: Where the generator lives; the numbers differ between CPU and CUDA.

    Returns:
        A fresh generator; the same arguments give the same numbers on the same kind of device.

    Raises:
        NotPositive: The seed is negative.
        WrongType: The seed is not whole, or a part of the stream is neither whole nor a string.
    """
    return torch.Generator(device=device).manual_seed(_torch_seed(seed, stream))


def signs(seed: int, ids: np.ndarray, size: int, *stream: int | str) -> np.ndarray:
    """Return random signs of which each row depends on its sample's id alone.

    A row is the same whatever rows stand beside it, and on every machine: estimators that use them
    do not depend on the batch size or the order of the samples.

    Args:
        seed: The run's seed, 0 or larger.
        ids: Whole numbers, one per sample, (n,).
        size: Signs per sample.
        stream: What they are for, as in `rng`.

    Returns:
        -1 and 1 with equal chances, int8, (n, size).

    Raises:
        NotPositive: The seed is negative, or there is no sign to draw.
        WrongType: The seed or size is not whole, or a part of the stream is of another type.

    Example:
        >>> import numpy as np
        >>> from memlib.runtime import signs
        >>> both, one = signs(0, np.array([7, 3]), 5), signs(0, np.array([3]), 5)
        >>> bool((both[1] == one[0]).all())
        True
    """
    size = whole_number("size", size)
    key = _sequence(seed, stream).generate_state(1, np.uint64)
    streams = _scrambled(_scrambled(ids.astype(np.uint64)) + key)
    counters = np.arange(1, -(-size // 64) + 1, dtype=np.uint64)
    bits = _scrambled(streams[:, None] + counters * np.uint64(_GOLDEN)).astype("<u8")
    drawn = np.unpackbits(bits.view(np.uint8), axis=1, count=size).view(np.int8)
    return 2 * drawn - 1


def _scrambled(words: np.ndarray) -> np.ndarray:
    for shift, factor in _MIX:
        words = (words ^ (words >> np.uint64(shift))) * np.uint64(factor)
    return words


@contextmanager
def seeded(seed: int, *stream: int | str) -> Iterator[None]:
    """Seed PyTorch's global CPU and CUDA generators inside a `with` block, restore them after.

    For code that takes no generator, such as the initialization of layers. The generators are the
    whole process's, so one thread at a time is inside such a block; the others wait.

    Args:
        seed: The run's seed, 0 or larger.
        stream: What the numbers are for, as in `rng`.

    Raises:
        NotPositive: The seed is negative.
        WrongType: The seed is not whole, or a part of the stream is neither whole nor a string.

    Example:
        >>> import torch
        >>> from memlib.runtime import seeded
        >>> with seeded(0, "init"):
        ...     layer = torch.nn.Linear(2, 2)
    """
    value = _torch_seed(seed, stream)
    cuda = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with _GLOBAL_GENERATOR, torch.random.fork_rng(devices=cuda):
        # Not torch.manual_seed: it would also seed back ends that fork_rng does not restore.
        torch.default_generator.manual_seed(value)
        if cuda:
            torch.cuda.manual_seed_all(value)
        _HELD.blocks = getattr(_HELD, "blocks", 0) + 1
        try:
            yield
        finally:
            _HELD.blocks -= 1


def side_by_side(
    function: Callable[[Any], Any], items: Iterable[Any], where: torch.device
) -> Iterator[Any]:
    """Apply a function to every item, on a CPU to as many at once as there are cores.

    Each call runs in a thread of its own with a single PyTorch thread. Results do not depend on
    the number of cores then, and a core that others use delays only its own call; operations that
    are spread over all cores wait for the slowest at every step. Inside a `seeded` block the calls
    follow one another, since another thread would wait for the block's end.

    Args:
        function: What to compute; it must not depend on the order of the calls.
        items: Its arguments.
        where: The device it computes on; on any but the CPU the calls follow one another.

    Yields:
        The results, in the order of the items.
    """
    if where.type != "cpu":
        yield from map(function, items)
        return
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
    alone = getattr(_HELD, "blocks", 0) > 0
    try:
        if alone:
            torch.set_num_threads(1)
        yield from (map if alone else pool.map)(function, items)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)


def device(name: torch.device | str | None = None) -> torch.device:
    """Return the device to run on: CUDA, else Apple's MPS, else the CPU.

    The environment variable `MEMLIB_DEVICE` (for example `cpu` or `cuda:1`) overrides the choice.

    Args:
        name: The device that is asked for; None leaves the choice.

    Returns:
        The device.

    Raises:
        UnknownName: The name, or `MEMLIB_DEVICE`, is of no device of this machine.
    """
    available = ["cpu"]
    if torch.backends.mps.is_available():
        available.insert(0, "mps")
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        available = ["cuda", *(f"cuda:{i}" for i in range(count)), *available]
    fix = f"This machine has {', '.join(available)}."
    if name is not None:
        try:
            return torch.empty(0, device=name).device
        except (RuntimeError, AssertionError, TypeError) as error:  # of the name, or of a driver
            raise UnknownName("device", name, fix) from error
    chosen = os.environ.get("MEMLIB_DEVICE") or available[0]
    if chosen not in available:
        raise UnknownName("MEMLIB_DEVICE", chosen, fix)
    return torch.device(chosen)


_device = device  # for a function with an argument of that name


def placed(
    model: torch.nn.Module, device: torch.device | str | None, otherwise: torch.device
) -> tuple[torch.nn.Module, torch.device]:
    """Return a model on a device, for what computes with it and must leave it as it is.

    Args:
        model: The model.
        device: Where it is wanted; None: where it is.
        otherwise: Where a model without parameters is.

    Returns:
        The model itself if it is there, else a copy; and the device.

    Raises:
        UnknownName: There is no such device.
    """
    own = next((parameter.device for parameter in model.parameters()), otherwise)
    if device is None:
        return model, own
    wanted = _device(device)
    if own.type == wanted.type and wanted.index in (None, own.index):
        return model, own
    return copy.deepcopy(model).to(wanted), wanted


def scale() -> Literal["cpu", "gpu"]:
    """Return the size at which labs run: `"gpu"` on an accelerator, else `"cpu"`.

    The environment variable `MEMLIB_SCALE` overrides the choice.

    Returns:
        `"cpu"` (embedded data, a minute on two cores) or `"gpu"` (the papers' scale).

    Raises:
        UnknownName: `MEMLIB_SCALE` is neither.
    """
    name = os.environ.get("MEMLIB_SCALE") or ("cpu" if device().type == "cpu" else "gpu")
    if name == "cpu":
        return "cpu"
    if name == "gpu":
        return "gpu"
    raise UnknownName("MEMLIB_SCALE", name, "Set it to cpu or gpu, or unset it.")


def progress(
    iterable: Iterable[Any] | None = None,
    *,
    total: int | None = None,
    desc: str = "",
    enabled: bool | None = None,
) -> "tqdm[Any]":
    """Return a plain-text progress bar on standard error.

    Args:
        iterable: What to walk through; leave it out to call `update` by hand.
        total: Number of steps, where `iterable` does not know it.
        desc: Text in front of the bar.
        enabled: Show it or not; None shows it only where standard error is a terminal, so that
            logs and stored notebooks stay free of it.

    Returns:
        A `tqdm` bar: iterate over it, or use it as a context manager with `update`.
    """
    shown = sys.stderr.isatty() if enabled is None else enabled
    return tqdm(iterable, total=total, desc=desc, disable=not shown, dynamic_ncols=True)


def whole_number(argument: str, value: object, least: int = 1) -> int:
    """Return `value` as an int once it is known to be whole and large enough.

    Args:
        argument: Name of the argument, for the error.
        value: What the caller passed.
        least: The smallest value allowed.

    Returns:
        The value as a plain int.

    Raises:
        WrongType: It is not whole.
        NotPositive: It is below `least`.
    """
    fix = f"Pass a whole number that is {least} or larger."
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise WrongType(argument, value, fix) from None
    if isinstance(value, bool):
        raise WrongType(argument, value, fix)
    if number < least:
        raise NotPositive(argument, value, fix)
    return number


def positive(argument: str, value: object) -> float:
    """Return `value` as a float once it is known to be a positive, finite number.

    Args:
        argument: Name of the argument, for the error.
        value: What the caller passed.

    Returns:
        The value as a plain float.

    Raises:
        WrongType: It is not a real number.
        NotPositive: It is 0, negative, infinite or NaN.
    """
    fix = "Pass a positive, finite number."
    number = _real(argument, value, fix)
    if not 0.0 < number < math.inf:
        raise NotPositive(argument, value, fix)
    return number


def open_fraction(argument: str, value: object) -> float:
    """Return `value` as a float once it is known to lie in the open interval (0, 1).

    Args:
        argument: Name of the argument, for the error.
        value: What the caller passed.

    Returns:
        The value as a plain float.

    Raises:
        WrongType: It is not a real number.
        FractionOutOfRange: It is not inside (0, 1); NaN is not.
    """
    fix = "Pass a number larger than 0 and smaller than 1."
    number = _real(argument, value, fix)
    if not 0.0 < number < 1.0:
        raise FractionOutOfRange(argument, value, fix)
    return number


def _real(argument: str, value: object, fix: str) -> float:
    if isinstance(value, bool):
        raise WrongType(argument, value, fix)
    try:
        return float(operator.pos(value))  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise WrongType(argument, value, fix) from None
