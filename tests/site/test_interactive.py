"""The figures with sliders: the browser computes what memlib does, and a keyboard is enough."""

import math
import random
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page

from .conftest import ROOT, SITE

sys.path.insert(0, str(ROOT / "book" / "_ext"))
from interactive_figures import FIGURES, show

pytestmark = pytest.mark.site

PAGE_OF = {
    name: path.relative_to(SITE).as_posix()
    for path in sorted((SITE / "book").glob("**/*.html"))
    for name in re.findall(r'data-figure="([^"]+)"', path.read_text())
}
COMPUTE = """([name, settings]) => {
    const script = document.querySelector(`script[data-figure="${name}"]`);
    const spec = JSON.parse(script.textContent);
    return settings.map(values => spec.panels.map(panel => panel.curves.map(curve =>
        panel.values.concat(panel.rows).map(
            x => interactiveFigures.evaluate(spec, curve, {...values, [panel.key]: x})))));
}"""


@pytest.fixture(scope="module")
def contexts(browser: Browser) -> Iterator[dict[str, BrowserContext]]:
    """The browser's contexts so far, by their options."""
    opened: dict[str, BrowserContext] = {}
    yield opened
    for context in opened.values():
        context.close()


@pytest.fixture
def page(
    browser: Browser,
    contexts: dict[str, BrowserContext],
    address: str,
    name: str,
    request: pytest.FixtureRequest,
) -> Iterator[Page]:
    """The page of a figure, in which nothing may go wrong."""
    options = getattr(request, "param", {})
    if str(options) not in contexts:
        contexts[str(options)] = browser.new_context(**options)
        contexts[str(options)].route("**/mathjax/**", lambda route: route.fulfill(body=""))
    page, errors = contexts[str(options)].new_page(), []
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{address}/{PAGE_OF[name]}", wait_until="load")
    yield page
    page.close()
    assert errors == []


def figure_of(page: Page, name: str) -> Locator:
    return page.locator(f"figure.interactive:has(script[data-figure='{name}'])")


def settings_of(name: str) -> list[dict[str, Any]]:
    """Every value of every slider: alone from the start, and in twenty random combinations."""
    figure, rng = FIGURES[name], random.Random(0)
    alone = [{**figure.start(), s.key: v} for s in figure.sliders for v in s.values]
    return alone + [{s.key: rng.choice(s.values) for s in figure.sliders} for _ in range(20)]


def sentence(name: str, values: dict[str, Any]) -> str:
    """What the figure should say, by memlib."""
    figure = FIGURES[name]
    words = {slider.key: show(slider, values[slider.key]) for slider in figure.sliders}
    for panel in figure.panels:
        if panel.key in values:
            words |= {curve.key: show(panel.y, curve.value(values)) for curve in panel.curves}
    return figure.readout.format(**words)


def test_every_figure_is_on_a_page(address: str) -> None:
    assert set(PAGE_OF) == set(FIGURES)


@pytest.mark.parametrize("name", FIGURES)
def test_the_browser_computes_what_memlib_does(page: Page, name: str) -> None:
    settings = settings_of(name)
    computed = page.evaluate(COMPUTE, [name, settings])
    for values, panels in zip(settings, computed, strict=True):
        for panel, curves in zip(FIGURES[name].panels, panels, strict=True):
            points = [*panel.values, *panel.rows]
            for curve, shown in zip(panel.curves, curves, strict=True):
                expected = [curve.value({**values, panel.key: x}) for x in points]
                assert shown == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", FIGURES)
def test_no_curve_leaves_its_axes(name: str) -> None:
    for values in settings_of(name):
        for panel in FIGURES[name].panels:
            for x in panel.values:
                drawn = [curve.value({**values, panel.key: x}) for curve in panel.curves]
                inside = [panel.y.low <= y <= panel.y.high for y in drawn]
                assert all(inside), (values, x, drawn)


@pytest.mark.parametrize("name", FIGURES)
def test_the_keyboard_moves_every_slider_and_the_sentence_follows(page: Page, name: str) -> None:
    figure, values = figure_of(page, name), FIGURES[name].start()
    readout = figure.locator(".interactive-readout")
    assert readout.inner_text() == sentence(name, values)
    for slider in FIGURES[name].sliders:
        control = figure.get_by_label(slider.label)
        before = readout.inner_text()
        for key, position in (("Home", 0), ("ArrowRight", 1), ("End", -1), ("ArrowLeft", -2)):
            control.press(key)
            values[slider.key] = slider.values[position]
            assert readout.inner_text() == sentence(name, values)
            spoken = f"{slider.symbol} = {show(slider, values[slider.key])}"
            assert control.get_attribute("aria-valuetext") == spoken
        assert readout.inner_text() != before


@pytest.mark.parametrize("name", FIGURES)
def test_the_dots_stand_where_the_axes_say(page: Page, name: str) -> None:
    figure = figure_of(page, name)
    for slider in FIGURES[name].sliders:
        figure.get_by_label(slider.label).press("ArrowLeft")
    moved = {s.key: s.values[s.values.index(s.start) - 1] for s in FIGURES[name].sliders}
    times = {curve.key: curve for panel in FIGURES[name].panels for curve in panel.curves}
    plots = figure.locator(".interactive-plots > div > svg").all()
    for plot, panel in zip(plots, FIGURES[name].panels, strict=True):
        marked = [c for c in panel.curves if panel.key in moved or c.mark]
        places = [moved.get(panel.key) or times[curve.mark].value(moved) for curve in marked]
        expected = [
            (x, curve.value({**moved, panel.key: x}))
            for x, curve in zip(places, marked, strict=True)
            if x <= panel.x.high  # a sample that is never learned has no dot
        ]
        dots = plot.locator("circle").evaluate_all(
            "all => all.map(c => [c.cx, c.cy].map(v => v.baseVal.value))"
        )
        pixels = [(where(plot, "x", panel.x, x), where(plot, "y", panel.y, y)) for x, y in expected]
        assert dots
        assert dots == [pytest.approx(pair, abs=0.02) for pair in pixels]


def where(plot: Locator, name: str, axis: Any, value: float) -> float:
    """The pixel of a value, by the grid lines of the first and the last tick."""
    lines = plot.locator("line.grid").evaluate_all(
        "all => all.map(l => [l.x1, l.x2, l.y1, l.y2].map(v => v.baseVal.value))"
    )
    upright = [x1 for x1, x2, *_ in lines if x1 == x2]
    level = [y1 for *_, y1, y2 in lines if y1 == y2]
    pixels = upright if name == "x" else level
    low, high, at = (math.log(v) if axis.log else v for v in (axis.ticks[0], axis.ticks[-1], value))
    return pixels[0] + (at - low) / (high - low) * (pixels[-1] - pixels[0])


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("page", [{"java_script_enabled": False}], indirect=True)
def test_without_scripts_the_page_has_the_table_and_no_dead_slider(page: Page, name: str) -> None:
    figure, start = figure_of(page, name), FIGURES[name].start()
    assert figure.locator("input").count() == 0
    tables = figure.locator("table").all()
    for table, panel in zip(tables, FIGURES[name].panels, strict=True):
        assert table.is_visible()
        cells = table.locator("tbody td").all_inner_texts()
        values = [c.value({**start, panel.key: x}) for x in panel.rows for c in panel.curves]
        assert cells == [show(panel.y, value) for value in values]


@pytest.mark.parametrize("name", FIGURES)
def test_the_table_says_the_same_with_scripts_and_follows_the_sliders(
    page: Page, name: str
) -> None:
    figure, values = figure_of(page, name), FIGURES[name].start()
    written = page.evaluate(
        """async (name) => {
            const text = await (await fetch(location.href)).text();
            const page = new DOMParser().parseFromString(text, "text/html");
            const figure = page.querySelector(`script[data-figure="${name}"]`).closest("figure");
            return [...figure.querySelectorAll("table")].map(t => t.innerHTML);
        }""",
        name,
    )
    shown = "all => all.map(t => t.innerHTML)"
    assert figure.locator("details table").evaluate_all(shown) == written
    for slider in FIGURES[name].sliders:
        figure.get_by_label(slider.label).press("Home")
        values[slider.key] = slider.values[0]
    figure.locator("summary").press("Enter")
    for table, panel in zip(figure.locator("table").all(), FIGURES[name].panels, strict=True):
        rows = [c.value({**values, panel.key: x}) for x in panel.rows for c in panel.curves]
        cells = table.locator("tbody td").all_inner_texts()
        assert cells == [show(panel.y, value) for value in rows]


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize(
    "page",
    [
        {"color_scheme": scheme, "viewport": {"width": width, "height": 740}}
        for scheme in ("light", "dark")
        for width in (360, 1280)
    ],
    indirect=True,
    ids=lambda given: f"{given['color_scheme']} {given['viewport']['width']}",
)
def test_lines_and_text_stand_out_in_both_themes_and_nothing_is_cut_off(
    page: Page, name: str
) -> None:
    figure = figure_of(page, name)
    width = page.viewport_size["width"]
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    cut = figure.locator("svg text").evaluate_all(
        """all => all.filter(t => {
            const [a, b] = [t.getBoundingClientRect(), t.closest("svg").getBoundingClientRect()];
            return a.left < b.left - 1 || a.right > b.right + 1 || a.bottom > b.bottom + 1;
        }).map(t => t.textContent)"""
    )
    assert cut == []
    background = luminance(page.evaluate("() => getComputedStyle(document.body).backgroundColor"))
    inks = {
        "svg text": ("fill", 4.5),
        ".interactive-plots path.curve": ("stroke", 3),
        ".interactive-readout": ("color", 4.5),
    }
    for selector, (ink, least) in inks.items():
        colors = figure.locator(selector).evaluate_all(
            f"all => all.map(e => getComputedStyle(e).{ink})"
        )
        assert colors
        for color in set(colors):
            light, dark = sorted([luminance(color), background], reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= least, (selector, color)


def luminance(color: str) -> float:
    """Relative luminance of "rgb(r, g, b)", as WCAG defines it."""
    parts = [int(v) / 255 for v in re.findall(r"\d+", color)[:3]]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("name", ["privacy-bound"])
def test_only_pages_with_a_figure_load_the_script_and_none_waits_for_it(
    page: Page, name: str
) -> None:
    for path in SITE.glob("book/**/*.html"):
        tags = re.findall(r"<script[^>]*figures\.js[^>]*>", path.read_text())
        wanted = path.relative_to(SITE).as_posix() in PAGE_OF.values()
        assert [" defer" in tag for tag in tags] == [True] * wanted, path
