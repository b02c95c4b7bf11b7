"""Every page of the built book, as a reader's browser shows it on a wide screen."""

import re

import pytest

from .checks import LIGHT
from .conftest import LABS, PAGES, ROOT, SITE, TOC, Visitor

pytestmark = pytest.mark.site


def test_the_book_has_its_pages(address: str) -> None:
    assert TOC[0] == "book/welcome.html"
    assert set(TOC) | {"search.html", "genindex.html"} <= set(PAGES)
    assert "url=book/welcome.html" in (SITE / "index.html").read_text("utf-8")


@pytest.mark.parametrize("check", ["loads", *LIGHT])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_on_a_wide_screen(visitor: Visitor, name: str, check: str, record_property) -> None:
    visit = visitor.visit(name, "light")
    seen, wrong = LIGHT[check](visit.page) if check in LIGHT else visit.loading()
    record_property("seen", seen)
    assert wrong == []


@pytest.mark.parametrize("name", LABS)
def test_a_lab_opens_on_colab(name: str, address: str) -> None:
    slug = re.search(r"url: https://github\.com/(\S+)", (ROOT / "_config.yml").read_text())[1]
    wanted = f"https://colab.research.google.com/github/{slug}/blob/main/{name[:-5]}.ipynb"
    assert wanted in (SITE / name).read_text()
