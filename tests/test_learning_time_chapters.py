"""The chapters on learning time: the solutions that their pages print run."""

import re
from pathlib import Path

import pytest

PART = Path(__file__).resolve().parent.parent / "book/part2"
PAGES = ("memorization-and-learning-time", "loss-gradient-and-learning-time")
BLOCKS = {
    f"{name}-{k}": block
    for name in PAGES
    for k, block in enumerate(
        re.findall(r"^```python\n(.*?)^```", (PART / f"{name}.md").read_text("utf-8"), re.M | re.S)
    )
}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_solution_that_the_page_prints_passes_its_own_assertions(name: str) -> None:
    assert "assert" in BLOCKS[name]
    exec(BLOCKS[name], {})


def test_each_page_prints_the_code_of_its_code_exercises() -> None:
    assert len(BLOCKS) == 2 * len(PAGES)
