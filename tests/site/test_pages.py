"""Every page of the built book, as a reader's browser shows it."""

import re
from collections import Counter
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, Page

from .conftest import ROOT, SITE

pytestmark = pytest.mark.site

PAGES = sorted(
    path.relative_to(SITE).as_posix()
    for path in SITE.glob("**/*.html")
    if path.relative_to(SITE).parts[0] not in {"_static", "_modules", "_sources", "reports"}
)
READ = [name for name in PAGES if name.startswith(("book/", "notebooks/"))]


@dataclass
class Visit:
    """A page that was opened, and everything that went wrong on the way."""

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def visit(browser: Browser, address: str, name: str, request: pytest.FixtureRequest):
    """Opens the page that the test is parametrized with and waits for its mathematics."""
    context = browser.new_context(**getattr(request, "param", {}))
    visit = Visit(context.new_page())
    visit.page.on("console", lambda m: visit.errors.append(m.text) if m.type == "error" else None)
    visit.page.on("pageerror", lambda error: visit.errors.append(str(error)))
    visit.page.on("request", lambda r: visit.requests.append(r.url))
    visit.page.on(
        "response",
        lambda r: visit.errors.append(f"{r.status} {r.url}") if r.status >= 400 else None,
    )
    visit.page.goto(f"{address}/{name}", wait_until="load")
    if visit.page.locator(".math").count():
        visit.page.evaluate("() => MathJax.startup.promise")
    yield visit
    context.close()


def test_the_book_has_its_pages(address: str) -> None:
    assert "book/welcome.html" in READ
    assert {"book/ledger.html", "book/api.html", "search.html", "index.html"} <= set(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_loads_without_errors_and_asks_no_other_server(visit: Visit, address: str) -> None:
    assert visit.errors == []
    assert [url for url in visit.requests if not url.startswith((address, "data:"))] == []


@pytest.mark.parametrize("name", READ)
def test_all_mathematics_is_typeset(visit: Visit) -> None:
    # also what is in a collapsed box
    assert visit.page.locator(".math:not(:has(mjx-container))").count() == 0
    assert visit.page.locator("mjx-merror, [data-mjx-error]").count() == 0


@pytest.mark.parametrize("name", READ)
def test_no_markup_is_left_raw(visit: Visit) -> None:
    text = visit.page.evaluate(
        """() => {
            const article = document.querySelector("article").cloneNode(true);
            article.querySelectorAll("pre, code, mjx-container, script").forEach(e => e.remove());
            return article.textContent;
        }"""
    )
    assert re.findall(r"\{[a-z:]+\}`|^:::|^```|\$\$|\$[^$\s][^$\n]*\$|\[[\w-]+::", text, re.M) == []


@pytest.mark.parametrize("name", READ)
def test_every_figure_has_a_caption_and_every_image_alternative_text(visit: Visit) -> None:
    images = visit.page.locator("article img").evaluate_all(
        "all => all.map(i => [i.src, (i.alt || '').trim(), i.naturalWidth])"
    )
    assert [src for src, alt, _ in images if len(alt) < 15 or alt.endswith(".png")] == []
    assert [src for src, _, width in images if width == 0] == []
    captions = visit.page.locator("article figure").evaluate_all(
        "all => all.map(f => f.querySelector('figcaption')?.textContent.trim() || '')"
    )
    assert "" not in captions


@pytest.mark.parametrize("name", READ)
def test_ids_are_unique_and_links_within_the_site_lead_somewhere(visit: Visit) -> None:
    ids = visit.page.evaluate("() => [...document.querySelectorAll('[id]')].map(e => e.id)")
    outside_math = Counter(i for i in ids if not i.startswith(("mjx-", "MJX-")))
    assert [i for i, count in outside_math.items() if count > 1] == []
    here = visit.page.evaluate(
        """() => [...document.querySelectorAll("article a[href^='#']")]
            .map(a => decodeURIComponent(a.hash.slice(1))).filter(Boolean)"""
    )
    assert [i for i in here if i not in ids] == []


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("visit", [{"viewport": {"width": 390, "height": 844}}], indirect=True)
def test_a_phone_needs_no_sideways_scrolling(visit: Visit) -> None:
    assert visit.page.evaluate("() => document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("name", [name for name in READ if name.startswith("notebooks/")] or [None])
def test_a_lab_opens_on_colab(name: str | None, address: str) -> None:
    if name is None:
        pytest.skip("The book has no lab yet")
    slug = re.search(r"url: https://github\.com/(\S+)", (ROOT / "_config.yml").read_text())[1]
    wanted = f"https://colab.research.google.com/github/{slug}/blob/main/{name[:-5]}.ipynb"
    assert wanted in (SITE / name).read_text()
