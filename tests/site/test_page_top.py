"""The line under the title of each chapter and lab, and the terms that a page explains."""

import json
import re
import sys
from collections import Counter
from pathlib import Path

import nbformat
import pytest
from docutils import nodes
from playwright.sync_api import Page

from memlib.theory import CLAIMS
from scripts.run_labs import code_hash

from .conftest import ROOT, SITE, Visitor

sys.path.insert(0, str(ROOT / "book" / "_ext"))
from glossary_tips import is_explained
from page_top import words

pytestmark = pytest.mark.site

LABS = sorted((ROOT / "notebooks").glob("part*/*.ipynb"))
CHAPTERS = [path.relative_to(ROOT / "notebooks").with_suffix("").as_posix() for path in LABS]
PAGES = [f"{kind}/{chapter}.html" for kind in ("book", "notebooks") for chapter in CHAPTERS]


@pytest.fixture
def page(visitor: Visitor, name: str) -> Page:
    return visitor.visit(name, "light").page


def shown_claims(chapter: str) -> set[str]:
    """The claims that a chapter teaches by the ledger, or names in its source."""
    text = (ROOT / "book" / f"{chapter}.md").read_text("utf-8")
    named = re.findall(r"\{claim\}`([^`]+)`|\{asprinted\} (\S+)", text)
    return {c.id for c in CLAIMS if c.chapter == chapter} | {a or b for a, b in named}


@pytest.mark.parametrize("name", PAGES)
def test_the_line_lists_the_claims_of_the_chapter_and_counts_their_verdicts(page: Page) -> None:
    chapter = page.url.split("/", 4)[-1].removesuffix(".html")
    verdict = {claim.id: str(claim.verdict) for claim in CLAIMS}
    line = page.locator(".page-top")
    summary = line.locator("summary").inner_text()
    ids = shown_claims(chapter)
    counted = {word: int(n) for n, word in re.findall(r"(\d+) \S (\w+)", summary)}
    assert summary.startswith(f"{len(ids)} claim")
    assert counted == Counter(verdict[i] for i in ids)
    line.locator("summary").press("Enter")
    links = line.locator("details a")
    assert set(links.all_inner_texts()) == ids
    for entry in links.evaluate_all("all => all.map(a => a.getAttribute('href'))"):
        file, target = entry.split("book/ledger/" if "book/" in entry else "ledger/")[1].split("#")
        assert f'id="{target}"' in (SITE / "book/ledger" / file).read_text("utf-8")
    line.locator("summary").press("Enter")


@pytest.mark.parametrize("name", PAGES)
def test_the_line_says_how_long_it_takes_and_stands_right_under_the_title(page: Page) -> None:
    text = page.locator("h1 + .page-top").inner_text()
    assert re.search(r"\d+ min to read, at 200 words a minute", text)
    chapter = page.url.split("/", 4)[-1].removesuffix(".html")
    stored = json.loads((ROOT / "notebooks/run_times.json").read_text("utf-8"))[chapter]
    (number, unit) = re.search(
        r"lab runs in (\d+) (s|min) on 2 cores, no GPU needed", text
    ).groups()
    assert abs(int(number) * {"s": 1, "min": 60}[unit] - stored["seconds"]) < 60
    assert stored["cores"] == 2


def test_only_chapters_and_labs_have_the_line(address: str) -> None:
    with_line = {
        path.relative_to(SITE).as_posix()
        for path in SITE.glob("**/*.html")
        if 'class="page-top"' in path.read_text("utf-8")
    }
    assert with_line == set(PAGES)


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_the_run_time_of_a_lab_was_measured_with_its_present_code(path: Path) -> None:
    stored = json.loads((ROOT / "notebooks/run_times.json").read_text("utf-8"))
    name = path.relative_to(ROOT / "notebooks").with_suffix("").as_posix()
    again = f"run `make labs LABS={path.relative_to(ROOT)}`"
    assert stored[name]["code"] == code_hash(nbformat.read(path, as_version=4)), again
    assert stored[name]["seconds"] > 0


def test_reading_time_counts_prose_and_formulas_but_nothing_collapsed_and_no_code() -> None:
    read = nodes.paragraph("", "", nodes.Text("four words and then "), nodes.math("", "a + b"))
    closed = nodes.admonition("", nodes.paragraph("", "not read"), classes=["dropdown"])
    code = nodes.literal_block("", "x = 1")
    assert words(nodes.section("", read, closed, code)) == 5


@pytest.mark.parametrize(
    ("term", "explained"),
    [
        *[(term, True) for term in ("CSL", "learning time", "leave-one-out", "C-score")],
        *[(term, False) for term in ("claim", "influence", "gap (verdict)")],
    ],
)
def test_a_term_that_often_means_something_else_is_not_explained(
    term: str, explained: bool
) -> None:
    assert is_explained(term) is explained


@pytest.mark.parametrize("name", [f"book/{chapter}.html" for chapter in CHAPTERS])
def test_a_keyboard_opens_a_definition_and_escape_closes_it(page: Page, address: str) -> None:
    tips = page.locator("button.tip")
    assert tips.count() >= 4
    terms = [text.lower().removesuffix("s") for text in tips.all_inner_texts()]
    assert len(terms) == len(set(terms))
    assert page.locator(".tip-text:popover-open").count() == 0
    tips.first.press("Enter")
    opened = page.locator(".tip-text:popover-open")
    box = opened.bounding_box()
    assert box["x"] >= 0
    assert box["y"] >= 0
    assert box["y"] + box["height"] <= page.viewport_size["height"]
    target = opened.locator("a").get_attribute("href").split("#")[1]
    glossary = (SITE / "book/glossary.html").read_text("utf-8")
    assert re.search(rf'<dt id="{target}">{re.escape(terms[0])}', glossary, re.I)
    page.keyboard.press("Escape")
    assert opened.count() == 0


@pytest.mark.parametrize("name", PAGES)
def test_a_definition_stands_in_no_link_title_code_or_collapsed_box(page: Page) -> None:
    inside = "article :is(a, h1, h2, h3, code, .admonition-title, .dropdown, figure) button.tip"
    assert page.locator(inside).count() == 0


@pytest.mark.parametrize("name", [f"book/{chapter}.html" for chapter in CHAPTERS])
def test_a_chapter_has_three_goals_and_three_takeaways_in_boxes_of_one_design(page: Page) -> None:
    boxes = [page.locator(f"article .{kind}") for kind in ("goals", "takeaways")]
    for box in boxes:
        assert box.count() == 1
        assert box.locator("li").count() == 3
    style = (
        "e => { const s = getComputedStyle(e); return [s.borderTop, s.borderBottom, s.padding]; }"
    )
    assert boxes[0].evaluate(style) == boxes[1].evaluate(style)
