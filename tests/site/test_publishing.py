"""What a page tells others about itself: address, citation, preview; how to report a problem."""

import re
import sys
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from docutils import nodes
from playwright.sync_api import Browser

from memlib import __version__
from scripts.set_repository import repository_url

from .conftest import ROOT, SITE

sys.path.insert(0, str(ROOT / "book" / "_ext"))
from publishing import describe, pages_address, preview

pytestmark = pytest.mark.site

PAGES = sorted(
    path.relative_to(SITE).as_posix()
    for folder in ("book", "notebooks")
    for path in (SITE / folder).glob("**/*.html")
)
FORM = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE/problem.yml").read_text("utf-8"))


def html(name: str) -> str:
    return (SITE / name).read_text("utf-8")


@pytest.mark.parametrize(
    ("repository", "address"),
    [
        ("https://github.com/Some-One/book", "https://some-one.github.io/book/"),
        ("https://github.com/one/One.github.io", "https://one.github.io/"),
        ("https://example.org/one/book", ""),
    ],
)
def test_the_address_of_the_site_follows_from_that_of_the_repository(
    repository: str, address: str
) -> None:
    assert pages_address(repository) == address


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_its_citation_and_the_address_under_which_it_will_be_found(name: str) -> None:
    address = pages_address(repository_url(ROOT)) + name
    page = html(name)
    (entry,) = re.findall(r"<pre>(@misc.*?)</pre>", page, re.S)
    fields = dict(re.findall(r"^  (\w+) += \{(.*)\},$", unescape(entry), re.M))
    assert fields["url"] == address
    assert f"Version {__version__}" in fields["note"]
    assert fields["year"] in (ROOT / "_config.yml").read_text("utf-8")
    assert re.sub(r"\\", "", fields["title"]) in unescape(page.partition("</title>")[0])
    assert f'<link rel="canonical" href="{address}"' in page
    assert f'<meta property="og:url" content="{address}"/>' in page


@pytest.mark.parametrize("name", PAGES)
def test_reporting_a_problem_opens_the_form_with_page_and_version_filled_in(name: str) -> None:
    links = [unescape(link) for link in re.findall(r'href="([^"]*/issues/new[^"]*)"', html(name))]
    # the theme's button and the link at the foot are the same; a text may link the form, too
    filled = [link for link in links if "&where=" in link]
    assert len(filled) >= 2
    assert len(set(filled)) == 1
    query = parse_qs(urlsplit(filled[0]).query)
    assert query["template"] == ["problem.yml"]
    assert set(query) - {"template"} <= {field["id"] for field in FORM["body"]}
    assert (ROOT / query["where"][0]).exists()
    assert query["version"] == [__version__]


def test_every_preview_shows_the_card_and_says_something_of_its_own() -> None:
    image = pages_address(repository_url(ROOT)) + "_static/social-card.png"
    assert all(f'property="og:image" content="{image}"' in html(name) for name in PAGES)
    assert (SITE / "_static/social-card.png").stat().st_size < 100_000
    said = [re.search(r'name="description" content="([^"]*)"', html(n))[1] for n in PAGES]
    assert len(set(said)) == len(said)
    assert all(15 < len(text) <= 320 for text in said)


def test_a_preview_takes_sentences_without_formulas_and_escapes_them() -> None:
    formula = nodes.paragraph("", "", nodes.Text("With "), nodes.math("", "x"))
    prose = nodes.paragraph("", "Short one. " + "Long one " * 30 + ".")
    page = nodes.section("", formula, prose)
    assert describe(page) == "Short one."
    assert 'content="a &quot;b&quot;"' in preview('a "b"', "book", "x", "", "")


def test_the_sitemap_lists_every_page() -> None:
    listed = re.findall(r"<loc>(.*?)</loc>", html("sitemap.xml"))
    assert sorted(listed) == sorted(pages_address(repository_url(ROOT)) + name for name in PAGES)
    assert f"{pages_address(repository_url(ROOT))}sitemap.xml" in html("robots.txt")
    assert 'name="robots" content="noindex"' in html("search.html")


def test_the_page_that_is_shown_for_a_missing_one_needs_no_other_file(
    browser: Browser, address: str
) -> None:
    page, requests = browser.new_page(), []
    page.on("request", lambda r: requests.append(r.url))
    page.goto(f"{address}/404.html", wait_until="networkidle")
    assert [url for url in requests if not url.startswith("data:")] == [f"{address}/404.html"]
    links = page.locator("a").evaluate_all("all => all.map(a => a.href)")
    base = pages_address(repository_url(ROOT))
    assert links
    assert all((SITE / link.removeprefix(base)).exists() for link in links)
    page.close()
