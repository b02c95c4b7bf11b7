"""What every stored lab must look like; that its outputs are right, pytest --nbval shows."""

import json
import re
from pathlib import Path

import nbformat
import pytest

from scripts import run_labs
from scripts.set_repository import SETUP_CELL, repository_url

ROOT = Path(__file__).resolve().parent.parent
LABS = sorted(
    path for path in (ROOT / "notebooks").glob("**/*.ipynb") if "checkpoint" not in path.as_posix()
)
PAGES = [path for path in sorted((ROOT / "book").glob("part*/*.md")) if path.stem != "scorecard"]

pytestmark = pytest.mark.skipif(not LABS, reason="There is no lab yet")


@pytest.fixture(params=LABS, ids=lambda path: path.stem)
def lab(request: pytest.FixtureRequest) -> nbformat.NotebookNode:
    return nbformat.read(request.param, as_version=4)


def code(lab: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in lab.cells if cell.cell_type == "code"]


def outputs(lab: nbformat.NotebookNode) -> list[tuple[int, nbformat.NotebookNode]]:
    return [(cell.execution_count, output) for cell in code(lab) for output in cell.outputs]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_every_chapter_has_a_lab_of_its_name(page: Path) -> None:
    assert ROOT / "notebooks" / page.parent.name / f"{page.stem}.ipynb" in LABS


def test_every_cell_was_run_once_in_order(lab: nbformat.NotebookNode) -> None:
    # nbval checks nothing in a cell that was not run
    assert [cell.execution_count for cell in code(lab)] == list(range(1, len(code(lab)) + 1))


def test_the_first_code_cell_is_the_setup_cell(lab: nbformat.NotebookNode) -> None:
    assert code(lab)[0].source == SETUP_CELL.format(url=repository_url())


def test_no_cell_failed_or_warned(lab: nbformat.NotebookNode) -> None:
    assert [n for n, output in outputs(lab) if output.output_type == "error"] == []
    assert [n for n, output in outputs(lab) if output.get("name") == "stderr"] == []


def test_the_lab_asserts_what_it_found(lab: nbformat.NotebookNode) -> None:
    assert any(re.search(r"^\s*assert\b|assert_\w+\(", cell.source, re.M) for cell in code(lab))


def test_a_result_that_is_not_compared_is_asserted_soon_after(lab: nbformat.NotebookNode) -> None:
    cells = code(lab)
    for position, cell in enumerate(cells):
        tags = cell.metadata.get("tags", [])
        assert "nbval-skip" not in tags
        only_glues = all("scrapbook" in output.get("metadata", {}) for output in cell.outputs)
        if "nbval-ignore-output" in tags and not only_glues:
            following = "\n".join(c.source for c in cells[position : position + 4])
            assert re.search(r"\bassert", following), f"nothing checks cell {cell.execution_count}"


def test_cells_are_short(lab: nbformat.NotebookNode) -> None:
    assert [c.execution_count for c in code(lab) if len(c.source.splitlines()) > 25] == []


def test_every_image_has_alternative_text_and_a_caption(lab: nbformat.NotebookNode) -> None:
    for cell in code(lab):
        if any("image/png" in output.get("data", {}) for output in cell.outputs):
            meta = cell.metadata.get("mystnb", {})
            where = f"cell {cell.execution_count}"
            assert len(meta.get("image", {}).get("alt", "")) >= 15, where
            assert meta.get("figure", {}).get("caption"), where


def test_prose_is_plain_markdown(lab: nbformat.NotebookNode) -> None:
    # Colab and Jupyter show Sphinx's directives and roles raw
    prose = "\n".join(cell.source for cell in lab.cells if cell.cell_type == "markdown")
    assert re.findall(r"\{[a-z:]+\}`|^:::|^`{3,}\{", prose, re.M) == []


def test_nothing_tells_of_the_machine_or_the_moment(lab: nbformat.NotebookNode) -> None:
    assert re.findall(r"/(?:home|root|work|Users)/\w+", nbformat.writes(lab)) == []
    assert [c for c in code(lab) if "execution" in c.metadata] == []
    assert lab.metadata.kernelspec.name == "python3"
    assert "version" not in lab.metadata.get("language_info", {})


def test_run_times_are_kept_of_labs_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_labs, "ROOT", tmp_path)
    monkeypatch.setattr(run_labs, "RUN_TIMES", tmp_path / "run_times.json")
    monkeypatch.setattr(run_labs, "run", lambda path: 3.0)
    for name in ("assignments/01-a/01-a.ipynb", "part1/b.ipynb"):
        path = tmp_path / "notebooks" / name
        path.parent.mkdir(parents=True)
        nbformat.write(nbformat.v4.new_notebook(), path)
    run_labs.main([])
    assert [*json.loads((tmp_path / "run_times.json").read_text("utf-8"))] == ["part1/b"]
