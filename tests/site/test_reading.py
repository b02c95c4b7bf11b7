"""What a reader does with the site: searches, turns pages, changes the theme, opens the sidebar."""

import re
from collections.abc import Iterator
from urllib.parse import quote_plus

import pytest
from playwright.sync_api import Browser, Page, expect

from memlib.theory import CLAIMS
from memlib.theory.ledger import anchor

from .conftest import RENDERINGS, SITE, TOC

pytestmark = pytest.mark.site

# (page, anchor, name) of every statement that has a name
NAMED = [
    (path.relative_to(SITE).with_suffix("").as_posix(), found[1], found[2])
    for path in sorted((SITE / "book").glob("**/*.html"))
    for found in re.finditer(
        r'<div class="proof [^"]*admonition" id="([^"]+)">\s*<p class="admonition-title">'
        r'<span class="caption-number">[^<]*</span>\s*\(([^<$]+?)\)</p>',
        path.read_text("utf-8"),
    )
]
RESULTS = """query => Search._performSearch(...Search._parseQuery(query))
    .reverse().map(([page, , anchor]) => [page, anchor.slice(1)])"""
CHOICE = """() => [document.documentElement.dataset.mode, document.documentElement.dataset.theme]"""


@pytest.fixture
def page(browser: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The welcome page, in the rendering that the test asks for, without what came before."""
    context = browser.new_context(
        **RENDERINGS[getattr(request, "param", "light")], base_url=address, reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto(TOC[0], wait_until="load")
    yield page
    context.close()


def test_the_search_finds_every_named_statement_and_every_claim_first(page: Page) -> None:
    page.goto("search.html?q=memorization", wait_until="load")
    page.locator("#search-results li a").first.wait_for()
    wanted = list(NAMED)
    assert len(wanted) >= 4
    wanted += [(f"book/ledger/{claim.paper}", anchor(claim.id), claim.id) for claim in CLAIMS]
    missed = {
        query: found
        for name, place, query in wanted
        if [name, place] not in (found := page.evaluate(RESULTS, query)[:2])
    }
    assert missed == {}


@pytest.mark.parametrize(
    "query", [CLAIMS[0].id, pytest.param(NAMED[0][2] if NAMED else "", id="a theorem")]
)
def test_a_reader_searches_by_keyboard_and_follows_the_first_result(page: Page, query: str) -> None:
    page.keyboard.press("Control+k")
    page.keyboard.type(query)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/search.html?q={quote_plus(query)}*")
    first = page.locator("#search-results li a").first
    first.click()
    page.wait_for_load_state("load")
    place = page.url.split("#")[1]
    assert place in {anchor(CLAIMS[0].id), NAMED[0][1]}
    expect(page.locator(f"[id='{place}']").locator("xpath=..")).to_be_in_viewport()


def test_the_search_says_so_when_it_finds_nothing(page: Page) -> None:
    page.goto("search.html?q=zyzzyva", wait_until="load")
    expect(page.locator("#search-results")).to_contain_text("did not match any documents")


@pytest.mark.parametrize("page", ["light", "dark"], indirect=True)
def test_the_theme_button_goes_round_three_themes_and_the_book_remembers(page: Page) -> None:
    system = (
        "dark"
        if page.evaluate("() => matchMedia('(prefers-color-scheme: dark)').matches")
        else "light"
    )
    assert page.evaluate(CHOICE) == ["auto", system]
    ground = "() => getComputedStyle(document.body).backgroundColor"
    shown, grounds = [], {}
    button = page.locator(".bd-header-article .theme-switch-button")
    for act in (button.click, lambda: button.press("Enter"), lambda: button.press("Space")):
        act()
        mode, theme = page.evaluate(CHOICE)
        shown.append(mode)
        assert theme == (system if mode == "auto" else mode)
        icons = page.locator(".bd-header-article .theme-switch-button [data-mode]")
        assert [i.get_attribute("data-mode") for i in icons.all() if i.is_visible()] == [mode]
        page.goto(TOC[1], wait_until="load")
        assert page.evaluate(CHOICE) == [mode, theme]
        grounds.setdefault(theme, set()).add(page.evaluate(ground))
    assert sorted(shown) == ["auto", "dark", "light"]
    assert len(grounds["light"] | grounds["dark"]) == 2


def test_the_theme_follows_the_system_until_a_reader_chooses(page: Page) -> None:
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        expect(page.locator(f"html[data-mode=auto][data-theme={scheme}]")).to_be_attached()


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_on_a_phone_the_sidebar_opens_leads_to_a_page_and_closes(page: Page) -> None:
    sidebar, button = page.locator(".bd-sidebar-primary"), page.locator("button.primary-toggle")
    expect(sidebar).not_to_be_in_viewport()
    button.tap()
    expect(sidebar).to_be_in_viewport()
    page.locator("label.overlay-primary").click(position={"x": 340, "y": 400})
    expect(sidebar).not_to_be_in_viewport()
    for key in ("Enter", "Space"):
        button.press(key)
        expect(sidebar).to_be_in_viewport()
        expect(page.locator(".bd-sidebar-primary :focus")).to_be_attached()
        page.keyboard.press("Escape")
        expect(sidebar).not_to_be_in_viewport()
        expect(button).to_be_focused()
    button.tap()
    sidebar.get_by_role("link", name="Notation").tap()
    page.wait_for_url("**/notation.html")
    expect(page.locator(".bd-sidebar-primary")).not_to_be_in_viewport()


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_on_a_phone_the_keyboard_does_not_walk_through_a_closed_sidebar(page: Page) -> None:
    for _ in range(12):
        page.keyboard.press("Tab")
        where = page.evaluate(
            "() => document.activeElement.closest('.bd-sidebar-primary')?.className"
        )
        assert where is None


def test_on_a_wide_screen_the_sidebar_folds_away_and_comes_back(page: Page) -> None:
    sidebar, button = page.locator(".bd-sidebar-primary"), page.locator("button.primary-toggle")
    expect(sidebar).to_be_in_viewport()
    button.click()
    expect(sidebar).not_to_be_in_viewport()
    button.press("Enter")
    expect(sidebar).to_be_in_viewport()


def test_a_chapter_in_the_sidebar_folds_by_keyboard(page: Page) -> None:
    fold = page.locator(".bd-sidebar-primary details").first
    inner = fold.locator("a").first
    was = inner.is_visible()
    fold.locator("summary").press("Enter")
    assert inner.is_visible() != was
    fold.locator("summary").press("Space")
    assert inner.is_visible() == was


def test_next_leads_through_the_whole_book_and_previous_back(
    browser: Browser, address: str
) -> None:
    context = browser.new_context(java_script_enabled=False, base_url=address)
    page = context.new_page()
    page.route(re.compile(r"/_(static|images)/"), lambda route: route.abort())
    page.goto(TOC[0])
    walked = [TOC[0]]
    for side in ["right-next"] * (len(TOC) - 1) + ["left-prev"]:
        with page.expect_navigation(wait_until="domcontentloaded"):
            page.locator(f"a.{side}").press("Enter")
        walked.append(page.url.split("#")[0].removeprefix(f"{address}/"))
    assert walked == [*TOC, TOC[-2]]
    expect(page.locator("a.right-next")).to_have_count(1)
    context.close()


def test_a_link_into_a_closed_box_opens_it(page: Page) -> None:
    page.goto("book/part1/what-memorization-is.html", wait_until="load")
    inner = page.evaluate(
        """() => {
            const text = document.querySelector(".toggle-hidden > :not(.admonition-title)");
            text.id = "somewhere-inside";
            return text.checkVisibility({opacityProperty: true, visibilityProperty: true});
        }"""
    )
    assert not inner
    page.evaluate("() => { location.hash = '#somewhere-inside'; }")
    expect(page.locator("#somewhere-inside")).to_be_in_viewport()
    assert page.locator("#somewhere-inside").is_visible()
