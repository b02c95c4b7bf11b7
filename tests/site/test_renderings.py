"""Every page of the built book in the dark theme and on a phone."""

import pytest

from .checks import DARK, PHONE, THEME, axe
from .conftest import PAGES, TOC, Visitor

pytestmark = pytest.mark.site


@pytest.mark.parametrize("check", DARK)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_in_the_dark_theme(visitor: Visitor, name: str, check: str, record_property) -> None:
    page = visitor.visit(name, "dark").page
    theme = page.evaluate("() => document.documentElement.dataset.theme")
    assert theme == "dark" or (theme is None and name not in TOC)  # 404.html is on its own
    seen, wrong = DARK[check](page)
    record_property("seen", seen)
    assert wrong == []


@pytest.mark.parametrize("check", ["loads on a phone", *PHONE])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_on_a_phone(visitor: Visitor, name: str, check: str, record_property) -> None:
    visit = visitor.visit(name, "phone")
    seen, wrong = PHONE[check](visit.page) if check in PHONE else visit.loading()
    record_property("seen", seen)
    assert wrong == []


@pytest.mark.parametrize(("rule", "selector", "name", "why"), THEME)
def test_what_is_excused_as_the_themes_is_still_there(
    visitor: Visitor, rule: str, selector: str, name: str, why: str
) -> None:
    found = axe(visitor.visit(name, "light").page)[1]
    assert (rule, selector) in [(found_rule, at) for found_rule, at, _ in found]
    assert len(why) > 20
