"""The role and the directive by which a page quotes its lab."""

import base64
import sys
from io import StringIO
from pathlib import Path

import nbformat
import pytest
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

from .conftest import ROOT

sys.path.insert(0, str(ROOT / "book" / "_ext"))
import lab_values

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)


def glued(name: str, text: str) -> nbformat.NotebookNode:
    """What glue(name, value) leaves in a cell's outputs."""
    prefix = "application/papermill.record/"
    meta = {"scrapbook": {"name": name, "mime_prefix": prefix}}
    return nbformat.v4.new_output("display_data", {f"{prefix}text/plain": text}, metadata=meta)


def write_lab(
    folder: Path, name: str = "chapter", value: str = "0.4213", alt: str = "A dot."
) -> Path:
    cell = nbformat.v4.new_code_cell("", outputs=[glued("score", value), glued("count", "12")])
    figure = nbformat.v4.new_code_cell(
        "",
        metadata={"mystnb": {"image": {"alt": alt}, "figure": {"name": "dot", "caption": "Dot."}}},
        outputs=[nbformat.v4.new_output("display_data", {"image/png": PNG})],
    )
    path = folder / "notebooks" / "part1" / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=[cell, figure]), path)
    return path


def build(folder: Path, text: str) -> tuple[str, str]:
    """Builds the page book/part1/chapter.md; returns its HTML and the warnings."""
    page = folder / "book" / "part1" / "chapter.md"
    page.parent.mkdir(parents=True)
    page.write_text(f"# Page\n\n{text}\n", "utf-8")
    warnings = StringIO()
    with docutils_namespace():
        app = Sphinx(
            folder,
            None,
            folder / "out",
            folder / "doctrees",
            "html",
            confoverrides={
                "extensions": ["myst_nb", "lab_values"],
                "myst_enable_extensions": ["colon_fence"],
                "nb_execution_mode": "off",
                "root_doc": "book/part1/chapter",
                "exclude_patterns": ["notebooks"],
                "html_theme": "basic",
            },
            status=None,
            warning=warnings,
        )
        app.build()
    return (folder / "out/book/part1/chapter.html").read_text("utf-8"), warnings.getvalue()


def test_a_page_quotes_its_own_lab_and_another_one(tmp_path: Path) -> None:
    write_lab(tmp_path)
    write_lab(tmp_path, "other", value="-0.25")
    html, warnings = build(tmp_path, "{num}`score:.2f` of {num}`count`; {num}`other::score:.0%`.")
    assert ">0.42</span> of <span" in html
    assert ">12</span>" in html
    assert ">\N{MINUS SIGN}25%</span>" in html
    assert warnings == ""


@pytest.mark.parametrize(
    ("quote", "complaint"),
    [
        ("{num}`absent:.2f`", "stores no 'absent'; it has: count, score"),
        ("{num}`nowhere::score:.2f`", "there is no one lab 'nowhere'"),
        ("{num}`score:.2q`", "does not fit the format '.2q'"),
        (":::{labfigure} absent\nCaption.\n:::", "stores no 'absent'; it has: dot"),
        (":::{labfigure} dot\n:::", "has no caption"),
    ],
)
def test_a_wrong_quotation_is_a_warning_and_so_fails_the_build(
    tmp_path: Path, quote: str, complaint: str
) -> None:
    write_lab(tmp_path)
    assert complaint in build(tmp_path, quote)[1]


def test_a_figure_brings_its_image_and_alternative_text(tmp_path: Path) -> None:
    write_lab(tmp_path)
    html, warnings = build(tmp_path, ":::{labfigure} dot\n:name: fig-dot\nA caption.\n:::")
    assert 'alt="A dot."' in html
    assert "A caption." in html
    assert 'id="fig-dot"' in html
    assert warnings == ""
    (image,) = (tmp_path / "out" / "_images").glob("*.png")
    assert image.read_bytes() == base64.b64decode(PNG)


def test_a_figure_without_alternative_text_is_refused(tmp_path: Path) -> None:
    write_lab(tmp_path, alt="")
    assert "has no alternative text" in build(tmp_path, ":::{labfigure} dot\nCaption.\n:::")[1]


@pytest.mark.parametrize(
    ("cell", "complaint"),
    [
        (
            nbformat.v4.new_code_cell(
                "1 / 0",
                execution_count=1,
                outputs=[nbformat.v4.new_output("error", ename="ZeroDivisionError")],
            ),
            "cell 3 failed: ZeroDivisionError",
        ),
        (nbformat.v4.new_code_cell("1 + 1"), "cell 3 was not run"),
    ],
    ids=["failed", "not run"],
)
def test_a_lab_with_a_cell_that_failed_or_was_not_run_fails_the_build(
    tmp_path: Path, cell: nbformat.NotebookNode, complaint: str
) -> None:
    path = write_lab(tmp_path)
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(cell)
    nbformat.write(notebook, path)
    wanted = f"WARNING: notebooks/part1/chapter.ipynb: {complaint}"
    assert wanted in build(tmp_path, "Text.")[1]


def test_a_lab_that_stores_a_key_twice_is_refused(tmp_path: Path) -> None:
    path = write_lab(tmp_path)
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("", outputs=[glued("score", "1")]))
    nbformat.write(notebook, path)
    with pytest.raises(lab_values.LabError, match="stores 'score' twice"):
        lab_values.read_lab(path, path.stat().st_mtime)
