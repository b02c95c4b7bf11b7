"""Seeds, device, scale, progress bar and the cost of importing memlib."""

import io
import math
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch

import memlib
from memlib import data, runtime
from memlib.errors import NotPositive, UnknownName, WrongType


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((0,), (1,)),
        ((0, "a"), (0, "b")),
        ((0, 1), (0, "1")),
        ((0, 1, 23), (0, 12, 3)),
        ((0, "a", "b"), (0, "ab")),
        ((0, "a"), (0, "a", 0)),
    ],
)
def test_streams_with_different_names_give_different_numbers(one, other):
    draws = [runtime.rng(*stream).integers(2**63) for stream in (one, other)]
    assert draws[0] != draws[1]
    draws = [torch.rand(4, generator=runtime.generator(*stream)) for stream in (one, other)]
    assert not torch.equal(*draws)


def test_a_stream_gives_the_same_numbers_today_as_when_the_stored_results_were_made():
    assert runtime.rng(0, "subsets", 3).integers(10**6, size=3).tolist() == [99081, 647625, 271800]
    values = torch.randint(10**6, (3,), generator=runtime.generator(0, "init", 3))
    assert values.tolist() == [279081, 783482, 9680]
    assert runtime.rng(np.int64(0), "subsets", np.int32(3)).integers(10**6) == 99081


def test_seeded_restores_the_global_generator_and_repeats_itself():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with runtime.seeded(0, "init"):
        first = torch.nn.Linear(3, 3).weight
    assert torch.equal(torch.rand(3), expected)
    with runtime.seeded(0, "init"):
        again = torch.nn.Linear(3, 3).weight
    with runtime.seeded(0, "init", 1):
        other = torch.nn.Linear(3, 3).weight
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_seeded_restores_the_global_generator_when_the_block_fails():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with pytest.raises(ZeroDivisionError), runtime.seeded(0):
        torch.rand(1 // 0)
    assert torch.equal(torch.rand(3), expected)


def test_seed_must_be_whole_and_not_negative():
    with pytest.raises(NotPositive, match="seed: -1"):
        runtime.rng(-1)
    with pytest.raises(WrongType, match=r"seed: 0\.5"):
        runtime.generator(0.5)
    with pytest.raises(WrongType, match=r"stream: None"):
        runtime.generator(0, None)


def test_device_and_scale_follow_the_environment(monkeypatch):
    monkeypatch.setenv("MEMLIB_DEVICE", "cpu")
    monkeypatch.delenv("MEMLIB_SCALE", raising=False)
    assert runtime.device() == torch.device("cpu")
    assert memlib.scale() == "cpu"
    monkeypatch.setenv("MEMLIB_SCALE", "gpu")
    assert memlib.scale() == "gpu"
    monkeypatch.setenv("MEMLIB_SCALE", "huge")
    with pytest.raises(UnknownName, match=r"MEMLIB_SCALE: 'huge' .* cpu or gpu"):
        runtime.scale()
    monkeypatch.setenv("MEMLIB_DEVICE", "abacus")
    with pytest.raises(UnknownName, match=r"MEMLIB_DEVICE: 'abacus' .* cpu"):
        runtime.device()


def test_a_device_that_is_asked_for_is_there_or_named(monkeypatch):
    monkeypatch.setenv("MEMLIB_DEVICE", "abacus")
    assert runtime.device("cpu") == runtime.device(torch.device("cpu")) == torch.device("cpu")
    monkeypatch.delenv("MEMLIB_DEVICE")
    for missing in ("abacus", "cuda:99", 3.5):
        for call in (runtime.device, data.load("digits").to):
            with pytest.raises(UnknownName, match=r"device: .*This machine has .*cpu") as caught:
                call(missing)
            assert caught.value.__cause__


def test_a_positive_number_is_finite_and_no_truth_value():
    for value in (1, 0.5, np.float32(2), torch.tensor(3)):
        found = runtime.positive("step", value)
        assert found == value
        assert type(found) is float
    for value in (0, -1.0, math.inf, math.nan):
        with pytest.raises(NotPositive, match=f"^step: {value} "):
            runtime.positive("step", value)
    for value in (True, "1", None, [1.0], 1j):
        with pytest.raises(WrongType, match=r"^step: "):
            runtime.positive("step", value)


def test_an_accelerator_is_preferred_and_means_gpu_scale(monkeypatch):
    monkeypatch.delenv("MEMLIB_DEVICE", raising=False)
    monkeypatch.delenv("MEMLIB_SCALE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert runtime.device() == torch.device("cuda")
    assert runtime.scale() == "gpu"


def test_progress_shows_on_a_terminal_only_unless_told(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, enabled, shown in [
        (io.StringIO(), None, False),
        (Terminal(), None, True),
        (io.StringIO(), True, True),
        (Terminal(), False, False),
    ]:
        monkeypatch.setattr(sys, "stderr", stream)
        assert list(runtime.progress(range(3), desc="step", enabled=enabled)) == [0, 1, 2]
        assert ("step" in stream.getvalue()) == shown


def test_import_memlib_imports_nothing_heavy():
    code = """
import sys, memlib
assert "torch" not in sys.modules and "numpy" not in sys.modules
memlib.data, memlib.results, memlib.models
heavy = {"pandas", "pyarrow", "torchvision", "matplotlib", "sklearn"} & sys.modules.keys()
assert not heavy, heavy
try:
    memlib.nothing
except AttributeError as error:
    assert "nothing" in str(error)
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_submodule_that_memlib_names_is_there():
    for name in memlib._SUBMODULES:
        assert getattr(memlib, name).__name__ == f"memlib.{name}"
        assert name in dir(memlib)


@pytest.fixture
def four_threads():
    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("four_threads")
def test_side_by_side_keeps_the_order_and_the_number_of_threads():
    threads = torch.get_num_threads()

    def work(item):
        return item, torch.get_num_threads()

    found = list(runtime.side_by_side(work, range(9), torch.device("cpu")))
    assert found == [(item, 1) for item in range(9)]
    assert torch.get_num_threads() == threads


@pytest.mark.usefixtures("four_threads")
def test_side_by_side_computes_several_at_once():
    barrier = threading.Barrier(4, timeout=30)  # breaks unless four calls meet
    list(runtime.side_by_side(lambda _: barrier.wait(), range(4), torch.device("cpu")))


@pytest.mark.usefixtures("four_threads")
def test_side_by_side_inside_a_seeded_block_does_not_wait_for_itself():
    def draw(number):
        with runtime.seeded(1, number):
            return torch.get_num_threads(), torch.rand(1).item()

    found = []
    worker = threading.Thread(
        target=lambda: found.extend(_inside_a_block(draw)),
        daemon=True,
    )
    worker.start()
    worker.join(timeout=30)
    assert found == [(1, draw(number)[1]) for number in range(3)]


def _inside_a_block(draw):
    torch.set_num_threads(4)
    with runtime.seeded(0):
        return list(runtime.side_by_side(draw, range(3), torch.device("cpu")))


@pytest.mark.usefixtures("four_threads")
def test_side_by_side_raises_what_a_call_raises_and_starts_no_more():
    started = []

    def work(item):
        started.append(item)
        if item == 0:
            raise KeyError("zero")
        time.sleep(0.01)

    with pytest.raises(KeyError, match="zero"):
        list(runtime.side_by_side(work, range(1000), torch.device("cpu")))
    assert len(started) < 500


@pytest.mark.usefixtures("four_threads")
def test_seeded_blocks_of_several_threads_do_not_mix():
    def draw(number):
        with runtime.seeded(0, number):
            time.sleep(0.001)
            return torch.rand(3).tolist()

    together = list(runtime.side_by_side(draw, range(20), torch.device("cpu")))
    assert together == [draw(number) for number in range(20)]
