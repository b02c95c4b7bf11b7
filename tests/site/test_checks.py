"""Each check of a page notices what it is there to notice: a small page is broken in every way."""

from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from .checks import DARK, LIGHT, PHONE, readable
from .conftest import Visit

pytestmark = pytest.mark.site

GOOD = """<!DOCTYPE html>
<html lang="en"><head><title>A page</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
.toggle-hidden > :not(.admonition-title) { display: none }
@media (prefers-color-scheme: dark) { body { background: #111; color: #eee } }
.wide { overflow-x: auto }
</style></head><body><main><article>
<h1>Title</h1><h2>Section</h2><h3>Subsection</h3>
<p>Text with <span class="math"><mjx-container>x</mjx-container></span> in it.</p>
<figure id="fig"><img alt="A square that is gray, on nothing" src="data:image/svg+xml,
<svg xmlns='http://www.w3.org/2000/svg' width='40' height='40'>
<path d='M9 9h9v9h-9z' fill='gray'/></svg>">
<figcaption>A square.</figcaption></figure>
<div class="wide" tabindex="0"><pre>long</pre></div>
<div class="admonition dropdown" id="first"><p class="admonition-title">Proof of <em>it</em>
<button type="button" aria-label="Show or hide" aria-expanded="true">v</button></p>
<p>Body.</p></div>
<div class="admonition dropdown" id="second"><p class="admonition-title">Solution
<button type="button" aria-label="Show or hide" aria-expanded="true">v</button></p>
<p>Body.</p></div>
<details><summary>Table</summary><p>1, 2, 3</p></details>
</article></main><script>
const turn = box => {
    const open = !box.classList.toggle("toggle-hidden");
    box.querySelector("button").setAttribute("aria-expanded", open);
};
const boxes = [...document.querySelectorAll(".admonition")];
boxes.forEach(box => {
    turn(box);
    box.firstElementChild.addEventListener("click", () => window.clicked(box));
});
window.clicked = turn;
let closed = [];
const foldedParts = () => [...boxes.filter(b => b.matches(".toggle-hidden")),
    ...document.querySelectorAll("details:not([open])")];
const flip = e => e.matches("details") ? e.open = !e.open : turn(e);
window.before = () => { closed = foldedParts(); closed.forEach(flip); };
window.after = () => closed.forEach(flip);
addEventListener("beforeprint", () => window.before());
addEventListener("afterprint", () => window.after());
</script></body></html>"""
BREAK = [
    ("math", "document.querySelector('mjx-container').remove()"),
    ("math", "document.querySelector('mjx-container').innerHTML = '<mjx-merror>x</mjx-merror>'"),
    ("markup", "document.querySelector('h2').after('See {ref}`thm` and $x$.')"),
    ("images", "document.querySelector('img').removeAttribute('alt')"),
    ("images", "document.querySelector('img').alt = 'figure-one-of-two.png'"),
    ("images", "document.querySelector('figcaption').remove()"),
    ("images", "document.querySelector('article').append(document.createElementNS("
     "'http://www.w3.org/2000/svg', 'svg'))"),
    ("ids", "document.querySelector('#second').id = 'first'"),
    ("headings", "document.querySelector('h2').remove()"),
    ("headings", "document.querySelector('h2').outerHTML = '<h1>Another</h1>'"),
    ("headings", "document.querySelector('h1').remove()"),
    ("print", "window.before = () => {}; window.after = () => {}"),
    ("print", "window.after = () => {}"),
    ("boxes", "window.clicked = () => {}"),
    ("boxes", "window.clicked = () => boxes.forEach(turn)"),
    ("boxes", "window.clicked = box => { turn(box);"
     "box.querySelector('button').setAttribute('aria-expanded', 'false'); }"),
    ("boxes", "boxes[0].querySelector('button').remove()"),
    ("boxes", "boxes[0].querySelector('button').addEventListener('keydown',"
     "e => e.preventDefault())"),
    ("boxes", "boxes[1].firstElementChild.addEventListener('mousedown', () => turn(boxes[1]))"),
    ("boxes", "document.querySelector('em').addEventListener('click',"
     "e => { e.stopPropagation(); turn(boxes[1]); })"),
    ("boxes", "document.querySelector('summary').addEventListener('click',"
     "e => e.preventDefault())"),
    ("figures", "document.querySelector('img').src = `data:image/svg+xml,${encodeURIComponent("
     "'<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"40\" height=\"40\">"
     "<path d=\"M9 9h9v9h-9z\"/></svg>')}`"),
    ("axe", "document.querySelector('button').removeAttribute('aria-label')"
     "|| (document.querySelector('button').textContent = '')"),
    ("axe", "document.querySelector('#first p:last-child').style.color = '#bbb'"),
    ("axe, dark", "document.querySelector('h2').style.color = '#444'"),
    ("360 px", "document.querySelector('figure').style.width = '400px'"),
    ("360 px", "document.querySelector('.wide').style.overflow = 'visible';"
     "document.querySelector('pre').textContent = 'long '.repeat(90)"),
]  # fmt: skip


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 360, "height": 740})
    yield context.new_page()
    context.close()


def show(page: Page, check: str) -> None:
    """Shows the good page, in the theme that the check is for."""
    page.goto("about:blank")
    page.emulate_media(color_scheme="dark" if check in DARK else "light")
    page.set_content(GOOD)


@pytest.mark.parametrize("check", [*LIGHT, *DARK, *PHONE])
def test_no_check_complains_of_a_page_that_is_right(page: Page, check: str) -> None:
    show(page, check)
    before = page.content()
    seen, wrong = {**LIGHT, **DARK, **PHONE}[check](page)
    assert seen
    assert wrong == []
    assert page.content() == before


@pytest.mark.parametrize(("check", "harm"), BREAK)
def test_a_check_notices_what_is_wrong(page: Page, check: str, harm: str) -> None:
    show(page, check)
    page.evaluate(f"() => {{ {harm} }}")
    page.wait_for_function("() => [...document.images].every(image => image.complete)")
    assert {**LIGHT, **DARK, **PHONE}[check](page)[1] != []


@pytest.mark.parametrize(
    ("harm", "wanted"),
    [
        ("console.error('loud')", "loud"),
        ("setTimeout(() => { throw Error('thrown') })", "thrown"),
        ("fetch('/gone.txt')", "404"),
        ("fetch('http://127.0.0.2:9/x').catch(() => 0)", "http://127.0.0.2:9/x"),
    ],
)
def test_a_visit_notes_errors_and_requests_to_elsewhere(
    browser: Browser, address: str, harm: str, wanted: str
) -> None:
    context = browser.new_context()
    visit = Visit(context.new_page(), address, "index.html")
    visit.listen()
    visit.page.goto(f"{address}/favicon.ico")
    assert visit.loading()[1] == []
    visit.page.evaluate(f"() => {{ {harm} }}")
    visit.page.wait_for_timeout(200)
    assert any(wanted in line for line in visit.loading()[1])
    context.close()


def test_a_photograph_is_legible_in_both_themes_and_a_line_has_to_be() -> None:
    def picture(ground: int, line: int, photograph: bool = True) -> np.ndarray:
        pixels = np.full((60, 60, 3), ground)
        if photograph:
            pixels[5:35, 5:35] = 0  # it brings its own black ground
            pixels[15:20, 10:30] = 255
        pixels[50:52, 5:50] = line
        return pixels

    assert readable(picture(255, 120), picture(18, 120)) == []
    assert readable(picture(255, 60), picture(18, 60)) != []
    assert readable(picture(255, 120, False), picture(18, 120, False)) == []
    assert readable(picture(255, 240, False), picture(18, 240, False)) != []
