"""What has to be true of a page.

Each check returns how many things it looked at, and what is wrong. A check leaves the page as it
found it, so that the next one can have it. `test_checks.py` breaks a small page in every way that
a check is there to notice.
"""

import io
import itertools
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page
from scipy.ndimage import maximum_filter, minimum_filter

Finding = tuple[int, list[str]]
Check = Callable[[Page], Finding]
AXE = Path(__file__).parent / "axe" / "axe.min.js"

# (rule, selector, page that shows it, why it is the theme's and stays)
THEME: list[tuple[str, str, str, str]] = []


def mathematics(page: Page) -> Finding:
    """Every formula is typeset, also in a collapsed box, and none as an error."""
    total, bad = page.evaluate(
        """() => {
            const bare = [...document.querySelectorAll(".math:not(:has(mjx-container))")];
            const failed = [...document.querySelectorAll("mjx-merror, [data-mjx-error]")];
            const say = e => (e.getAttribute("data-mjx-error") || "not typeset") + ": "
                + (e.closest(".math") || e).textContent.trim().slice(0, 60);
            return [document.querySelectorAll(".math").length, [...bare, ...failed].map(say)];
        }"""
    )
    return total, bad


def markup(page: Page) -> Finding:
    """No directive, role or dollar sign is left raw in the text."""
    text = page.evaluate(
        """() => [...document.querySelectorAll("article")].map(article => {
            const copy = article.cloneNode(true);
            copy.querySelectorAll("pre, code, mjx-container, script, style, svg")
                .forEach(e => e.remove());
            return copy.textContent;
        }).join("\\n")"""
    )
    raw = re.findall(r"\{[a-z:]+\}`|^:::|^```|\$\$|\$[^$\s][^$\n]*\$|\[[\w-]+::", text, re.M)
    return len(text.split()), raw


def images(page: Page) -> Finding:
    """Every image has loaded and says what it shows; every figure has a caption."""
    return page.evaluate(
        """() => {
            const bad = [];
            const images = [...document.querySelectorAll("img")];
            for (const i of images) {
                const [src, alt] = [i.getAttribute("src"), i.getAttribute("alt")?.trim()];
                if (alt === undefined) bad.push(`${src}: no alternative text`);
                else if (i.closest("article")
                    && !i.matches(".toggler")  // the theme's arrow that folds a list says "-"
                    && (alt.length < 15 || /\\.(png|svg|jpg)$/.test(alt)))
                    bad.push(`${src}: the alternative text is only "${alt}"`);
                if (i.complete && i.naturalWidth === 0) bad.push(`${src}: does not load`);
            }
            const named = e => e.getAttribute("aria-label") || (e.getAttribute("aria-labelledby")
                || "").split(" ").map(id => document.getElementById(id)?.textContent).join("");
            const drawings = [...document.querySelectorAll("article svg")].filter(
                e => !e.closest("button, summary, mjx-container, [aria-hidden=true]"));
            for (const e of drawings)
                if (named(e).trim().length < 15) bad.push(`svg in ${e.parentElement.className
                    || e.parentElement.tagName}: no name for a screen reader`);
            const figures = [...document.querySelectorAll("article figure")];
            for (const f of figures)
                if (!f.querySelector("figcaption")?.textContent.trim())
                    bad.push(`figure ${f.id}: no caption`);
            return [images.length + drawings.length, bad];
        }"""
    )


def ids(page: Page) -> Finding:
    """No two elements have one id (MathJax repeats those of its glyphs, which nothing links to)."""
    found = page.evaluate("() => [...document.querySelectorAll('[id]')].map(e => e.id)")
    counts = Counter(i for i in found if not i.startswith(("mjx-", "MJX-")))
    return len(found), [f"#{i} is {count} elements" for i, count in counts.items() if count > 1]


def headings(page: Page) -> Finding:
    """There is one h1, it comes first, and no level is skipped on the way down."""
    found = page.evaluate(
        """() => [...document.querySelectorAll("main :is(h1, h2, h3, h4, h5, h6)")]
            .filter(e => e.checkVisibility())
            .map(e => [Number(e.tagName[1]), e.textContent.trim().slice(0, 40)])"""
    )
    levels = [level for level, _ in found]
    bad = [] if levels.count(1) == 1 and levels[0] == 1 else [f"not one h1 at the top: {levels}"]
    for (above, _), (level, text) in itertools.pairwise(found):
        if level > above + 1:
            bad.append(f"h{above} is followed by h{level} {text!r}")
    return len(found), bad


def width(page: Page) -> Finding:
    """The page needs no sideways scrolling; what is wider scrolls within its own box."""
    return page.evaluate(
        """() => {
            const limit = document.documentElement.clientWidth;
            const needed = Math.max(
                document.documentElement.scrollWidth, document.body.scrollWidth);
            if (needed <= limit) return [1, []];
            const scrolls = e => e && e !== document.body && (
                ["auto", "scroll", "hidden"].includes(getComputedStyle(e).overflowX)
                || getComputedStyle(e).position === "fixed" || scrolls(e.parentElement));
            const wide = [...document.querySelectorAll("body *")].filter(e => e.checkVisibility()
                && e.getBoundingClientRect().right > limit + 1 && !scrolls(e));
            const say = e => `${e.tagName.toLowerCase()}.${e.className} reaches to `
                + `${Math.round(e.getBoundingClientRect().right)} of ${limit}: `
                + e.textContent.trim().slice(0, 40);
            return [1, [`the page is ${needed} wide`, ...wide.slice(0, 3).map(say)]];
        }"""
    )


BOXES = ".admonition.dropdown, article details"
# of each box: its title, whether its text is seen, and what it tells a screen reader
STATES = """() => [...document.querySelectorAll("BOXES")].map(box => {
    const title = box.querySelector(":scope > summary, :scope > .admonition-title");
    const control = box.matches("details") ? title : title.querySelector("button");
    const seen = [...box.children].filter(e => e !== title)
        .map(e => e.checkVisibility({opacityProperty: true, visibilityProperty: true}));
    return {
        title: title.textContent.trim().slice(0, 40),
        seen: seen.some(Boolean) && (seen.every(Boolean) || "partly"),
        said: box.matches("details") ? box.open : control?.getAttribute("aria-expanded") === "true",
        focused: !!control && control === document.activeElement,
    };
})""".replace("BOXES", BOXES)


def boxes(page: Page) -> Finding:
    """A collapsed box opens and closes by mouse and by keyboard, tells so, and moves no other.

    Of boxes with one title, such as the proofs of the ledger, the first three are tried.
    """
    bad: list[str] = []
    states = page.evaluate(STATES)
    tried: Counter[str] = Counter()
    for i, state in enumerate(states):
        box = page.locator(BOXES).nth(i)
        if tried[state["title"]] == 3 or not box.is_visible():
            continue  # not visible: in another box, which is closed
        tried[state["title"]] += 1
        title = box.locator(":scope > summary, :scope > .admonition-title")
        control = title.locator("button")
        key = control if control.count() else title
        part = title.locator(":scope > :not(button, a, svg)").first
        ways: list[tuple[str, Callable[[], object]]] = [
            ("a click", lambda t=title: t.click(position={"x": 4, "y": 8})),
            ("Enter", lambda k=key: k.press("Enter")),
            ("Space", lambda k=key: k.press("Space")),
            ("a click on a part of the title", lambda t=part: t.click()),
        ]
        if not part.count():
            ways = [*ways[:3], ways[0]]
        opened, before = state["seen"], states
        for way, act in ways:
            act()
            now = page.evaluate(STATES)
            moved = [
                k
                for k, (a, b) in enumerate(zip(before, now, strict=True))
                if a["seen"] != b["seen"]
            ]
            before, opened = now, not opened
            if now[i]["seen"] != opened or now[i]["said"] != opened:
                bad.append(f"{state['title']!r}: {way} does not {'open' if opened else 'close'} it")
            elif "click" not in way and not now[i]["focused"]:
                bad.append(f"{state['title']!r}: the keyboard does not reach it")
            elif any(k != i and not inside(page, i, k) for k in moved):
                bad.append(f"{state['title']!r}: {way} moves another box")
            else:
                continue
            break
    return tried.total(), bad


def inside(page: Page, outer: int, inner: int) -> bool:
    """Whether the one box is within the other."""
    return page.locator(BOXES).evaluate_all(f"all => all[{outer}].contains(all[{inner}])")


def printing(page: Page) -> Finding:
    """On paper every collapsed box is open; afterwards each is as it was."""
    before = page.evaluate(STATES)
    if not before:
        return 0, []
    page.emulate_media(media="print")
    page.evaluate("() => window.dispatchEvent(new Event('beforeprint'))")
    printed = page.evaluate(STATES)
    page.evaluate("() => window.dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    after = page.evaluate(STATES)
    bad = [f"{s['title']!r} is not printed in full" for s in printed if s["seen"] is not True]
    bad += [
        f"{a['title']!r} is {'open' if b['seen'] else 'closed'} after printing"
        for a, b in zip(before, after, strict=True)
        if a["seen"] != b["seen"]
    ]
    return len(before), bad


def accessibility(page: Page) -> Finding:
    """axe-core finds nothing serious or critical, also in the collapsed boxes, but for THEME."""
    return excused(axe(page))


def colors(page: Page) -> Finding:
    """axe-core's rules on color find nothing: the others do not depend on the theme."""
    return excused(axe(page, ["color-contrast", "link-in-text-block"]))


Violation = tuple[str, str, str]


def excused(result: tuple[int, list[Violation]]) -> Finding:
    """What axe found, without what THEME lists."""
    rules, found = result
    known = {(rule, selector) for rule, selector, _, _ in THEME}
    return rules, [f"{rule}: {at}: {why}" for rule, at, why in found if (rule, at) not in known]


def axe(page: Page, rules: list[str] | None = None) -> tuple[int, list[Violation]]:
    """How many of axe's rules applied, and every serious or critical (rule, selector, reason).

    Contrast takes axe longer than all the rest. It looks at three of the elements that have the
    same tag, attributes, class and style, and so have all they are in: the words of a program.
    """
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE.read_text("utf-8"))
    return page.evaluate(
        """async rules => {
            const closed = [...document.querySelectorAll(".admonition.toggle-hidden")];
            const folded = [...document.querySelectorAll("article details:not([open])")];
            closed.forEach(e => e.classList.remove("toggle-hidden"));
            folded.forEach(e => e.open = true);
            for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame);
            const [kinds, alike] = [new Map([[null, 0]]), new Map()];
            for (const e of document.querySelectorAll("*")) {
                const kind = [kinds.get(e.parentElement), e.localName, e.className.baseVal
                    ?? e.className, e.style?.cssText, ...e.getAttributeNames()].join(" ");
                if (!alike.has(kind)) alike.set(kind, {number: alike.size + 1, elements: 0});
                kinds.set(e, alike.get(kind).number);
                e.toggleAttribute("data-alike", ++alike.get(kind).elements > 3);
            }
            axe.configure({rules: [{id: "color-contrast", selector: "*:not([data-alike])"}]});
            const only = rules ? {runOnly: rules} : {};
            const options = {resultTypes: ["violations"], ...only};
            const {passes, violations} = await axe.run(document, options);
            closed.forEach(e => e.classList.add("toggle-hidden"));
            folded.forEach(e => e.open = false);
            document.querySelectorAll("[data-alike]").forEach(e => delete e.dataset.alike);
            return [passes.length + violations.length, violations
                .filter(v => ["serious", "critical"].includes(v.impact))
                .flatMap(v => v.nodes.map(n => [v.id, n.target.join(" "),
                    n.failureSummary.split("\\n").slice(1).join(" ").trim()]))];
        }""",
        rules,
    )


def luminance(colors: np.ndarray) -> np.ndarray:
    """Relative luminance (n,) of colors (n, 3) between 0 and 255, as WCAG defines it."""
    part = colors / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


def contrast(pixels: np.ndarray, ground_in: np.ndarray) -> np.ndarray:
    """The contrast (h, w) of each pixel (h, w, 3) with the ground: the commonest color there."""
    weights = np.array([65536, 256, 1])
    packed = pixels @ weights
    colors, where = np.unique(packed, return_inverse=True)
    light = luminance(colors[:, None] // weights % 256)
    found, counts = np.unique(packed[ground_in], return_counts=True)
    ground = light[np.searchsorted(colors, found[counts.argmax()])]
    ink = light[where.reshape(packed.shape)]
    return (np.maximum(ink, ground) + 0.05) / (np.minimum(ink, ground) + 0.05)


def readable(light: np.ndarray, dark: np.ndarray) -> list[str]:
    """Complains where what stands out of the light page does not stand out of the dark one.

    A patch of 15 × 15 pixels or more that is the same in both themes is left out: a photograph
    brings its own ground, and is as legible on the one page as on the other.
    """
    if light.shape != dark.shape:
        return ["its size depends on the theme"]
    same = (light == dark).all(axis=2).astype(np.uint8)
    # squares by filters that go along each side in turn: binary_opening is 50 times slower
    patches = maximum_filter(minimum_filter(same, 15, mode="constant"), 15, mode="constant")
    rest = maximum_filter(patches, 5, mode="constant") == 0
    on_light, on_dark = contrast(light, rest), contrast(dark, rest)
    ink = (on_light >= 3) & rest  # 3 is what WCAG asks of a line
    if not patches.any() and ink.mean() < 0.001:
        return ["hardly anything stands out of the light page"]
    if not ink.any():
        return []  # a photograph without a word
    kept = float((on_dark[ink] >= 2.5).mean())  # less, for the soft edge of a line
    return [] if kept >= 0.9 else [f"only {kept:.0%} of the ink is seen in the dark theme"]


def figures(page: Page) -> Finding:
    """What a figure shows on a light page stands out on a dark one, pixel by pixel."""
    found = page.locator("article img, .interactive-plots svg, .theorem-map svg").all()
    if not found:
        return 0, []
    shots: dict[str, list[np.ndarray]] = {}
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        pictures = (Image.open(io.BytesIO(figure.screenshot(caret="initial"))) for figure in found)
        shots[scheme] = [np.asarray(picture.convert("RGB")).astype(int) for picture in pictures]
    names = (figure.evaluate("e => e.getAttribute('src') || 'a drawing'") for figure in found)
    pairs = zip(names, shots["light"], shots["dark"], strict=True)
    return len(found), [f"{name}: {w}" for name, *pair in pairs for w in readable(*pair)]


LIGHT: dict[str, Check] = {
    "markup": markup,
    "images": images,
    "ids": ids,
    "headings": headings,
    "print": printing,
    "axe": accessibility,
    "boxes": boxes,
    "figures": figures,
}
DARK: dict[str, Check] = {"axe, dark": colors}
PHONE: dict[str, Check] = {"math": mathematics, "360 px": width}
