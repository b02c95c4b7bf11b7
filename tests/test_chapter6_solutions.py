"""The code that chapter 6 prints in its solutions runs, and its assertions hold."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parent.parent / "book/part2/loss-and-memorization.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{len(block.splitlines())} lines")
def test_a_solution_that_the_page_prints_passes_its_own_assertions(block: str) -> None:
    assert "assert" in block
    exec(block, {})


def test_the_page_prints_the_code_of_both_code_exercises() -> None:
    assert len(BLOCKS) == 2
