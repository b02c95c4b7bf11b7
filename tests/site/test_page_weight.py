"""What a page makes the reader download, and what the build leaves out for that."""

import re
import sys

import pytest
from playwright.sync_api import Browser

from .conftest import ROOT, SITE

sys.path.insert(0, str(ROOT / "book" / "_ext"))
from page_weight import purged

pytestmark = pytest.mark.site

PAGES = sorted(
    path.relative_to(SITE).as_posix()
    for path in SITE.glob("**/*.html")
    if path.relative_to(SITE).parts[0] in {"book", "notebooks", "search.html", "404.html"}
)
MISSING_ICONS = """() => [...document.querySelectorAll("i[class*=fa-], span[class*=fa-]")]
    .filter(e => getComputedStyle(e, "::before").content === "none")
    .map(e => e.className)"""


@pytest.mark.parametrize("name", PAGES)
def test_a_page_weighs_less_than_a_megabyte_and_all_its_icons_are_there(
    browser: Browser, address: str, name: str
) -> None:
    """Uncompressed, without MathJax: a server that compresses sends about a quarter of it."""
    context = browser.new_context()
    page, weight = context.new_page(), {}
    page.on("response", lambda r: weight.update({r.url: len(r.body())}))
    page.route("**/mathjax/**", lambda route: route.abort())
    page.goto(f"{address}/{name}", wait_until="load")
    page.wait_for_load_state("networkidle")
    heaviest = sorted(((n, url) for url, n in weight.items()), reverse=True)
    assert sum(n for n, _ in heaviest) < 1_000_000, heaviest[:5]
    assert page.evaluate(MISSING_ICONS) == []
    context.close()


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
