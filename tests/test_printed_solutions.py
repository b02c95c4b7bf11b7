"""The code that the chapters print in their solutions runs, and its assertions hold."""

import re
from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).resolve().parent.parent / "book").glob("part*/*.md"))
BLOCKS = {
    f"{page.stem}, block {number}": block
    for page in PAGES
    for number, block in enumerate(
        re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.M | re.S), start=1
    )
}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_solution_that_a_page_prints_passes_its_own_assertions(name: str) -> None:
    assert "assert" in BLOCKS[name]
    exec(BLOCKS[name], {})


def test_every_chapter_prints_the_code_of_its_code_exercises() -> None:
    for page in PAGES:
        text = page.read_text("utf-8")
        asked = len(re.findall(r"^\*Code\.\*", text, re.M))
        assert asked == len(re.findall(r"^```python$", text, re.M)), page.name
