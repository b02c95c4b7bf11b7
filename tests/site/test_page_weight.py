"""What a page makes the reader download, and what the build leaves out for that."""

import re
import sys
from pathlib import Path

import pytest

from .conftest import PAGES as ALL
from .conftest import ROOT, SITE, Visitor

sys.path.insert(0, str(ROOT / "book" / "_ext"))
from page_weight import purged

pytestmark = pytest.mark.site

PAGES = [
    name for name in ALL if Path(name).parts[0] in {"book", "notebooks", "search.html", "404.html"}
]
# how many icons there are, and the classes of those that show nothing
ICONS = """() => {
    const icons = [...document.querySelectorAll("i[class*=fa-], span[class*=fa-]")];
    const empty = icons.filter(e => getComputedStyle(e, "::before").content === "none");
    return [icons.length, empty.map(e => e.className)];
}"""


@pytest.mark.parametrize("check", ["weight"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_weighs_less_than_a_megabyte(
    visitor: Visitor, name: str, check: str, record_property
) -> None:
    """Uncompressed, without MathJax: a server that compresses sends about a quarter of it."""
    weight = visitor.visit(name, "light").weight()
    record_property("seen", len(weight))
    assert f"{Path(name).name}" in weight
    assert sum(weight.values()) < 1_000_000, sorted(weight.items(), key=lambda item: -item[1])[:5]


@pytest.mark.parametrize("check", ["icons"])
@pytest.mark.parametrize("name", PAGES)
def test_every_icon_of_a_page_is_drawn(
    visitor: Visitor, name: str, check: str, record_property
) -> None:
    seen, missing = visitor.visit(name, "light").page.evaluate(ICONS)
    record_property("seen", seen)
    assert missing == []


@pytest.mark.parametrize("name", PAGES)
def test_no_script_of_ours_keeps_a_page_from_being_painted(name: str) -> None:
    ours = {path.name for path in (ROOT / "assets").glob("*.js")}
    for tag in re.findall(r"<script[^>]*src=[^>]*>", (SITE / name).read_text("utf-8")):
        if any(f"/{script}" in tag for script in ours) or "mathjax" in tag:
            assert " defer" in tag or " async" in tag


def test_our_style_sheets_have_fewer_than_200_lines() -> None:
    sheets = [*(ROOT / "assets").glob("*.css"), *(ROOT / "book").glob("**/*.css")]
    assert sum(len(sheet.read_text("utf-8").splitlines()) for sheet in sheets) < 200


@pytest.mark.parametrize(
    ("css", "left"),
    [
        (".used{a:b}.unused{a:b}", ".used{a:b}"),
        (".used,.unused{a:b}", ".used{a:b}"),
        ("p.used>.unused{a:b}h1{a:b}", "h1{a:b}"),
        (".used:not(.unused){a:b}", ".used:not(.unused){a:b}"),
        (":is(.unused,.other) .used{a:b}", ":is(.unused,.other) .used{a:b}"),
        ("@media print{.used{a:b}.unused{a:b}}", "@media print{.used{a:b}}"),
        ("@media print{.unused{a:b}}", ""),
        ("@keyframes x{0%{a:b}}", "@keyframes x{0%{a:b}}"),
        (".bs-tooltip-auto{a:b}", ".bs-tooltip-auto{a:b}"),
        ('@charset "UTF-8";/* {.x */:root{--y:.5rem}', '@charset "UTF-8";:root{--y:.5rem}'),
    ],
)
def test_a_rule_goes_only_if_it_needs_a_class_that_no_page_has(css: str, left: str) -> None:
    assert purged(css, {"used"}) == left
