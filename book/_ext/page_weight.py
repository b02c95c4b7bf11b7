"""Leaves out of the theme's files what no page of the book uses: 2.5 MB a page become 0.5 MB.

- The theme loads all of Font Awesome, a script and three fonts. At the end of the build the icons
  that the built pages, scripts and style sheets name are written to `_static/icons.css`: one rule
  for each, and fonts with no other glyphs in them. `book/_templates/static` links it.
- The style sheets of Bootstrap and of sphinx-design lose the rules for classes that no built page
  and no script names.
"""

import base64
import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont
from sphinx.application import Sphinx

#: Family: the file of its font, the weight that the theme asks for.
FONTS = {
    "Font Awesome 6 Free": ("fa-solid-900.ttf", 900),
    "Font Awesome 6 Brands": ("fa-brands-400.ttf", 400),
}
BASE = """\
/* Icons of Font Awesome Free 6.5.2 (https://fontawesome.com): fonts under the SIL OFL 1.1 */
:root{--fa-font-solid:normal 900 1em/1 "Font Awesome 6 Free";
--fa-font-brands:normal 400 1em/1 "Font Awesome 6 Brands"}
.fas,.fa-solid{font:var(--fa-font-solid)}
.fab,.fa-brands{font:var(--fa-font-brands)}
.fas,.fa-solid,.fab,.fa-brands{display:inline-block;text-rendering:auto}
.bd-search .fa-solid.fa-magnifying-glass{position:static}
"""
ICON_RULE = re.compile(r'([^{}]*?):before\{content:"\\([0-9a-f]{4})"\}')
ICON_CHARACTER = re.compile(r"[\ue000-\uf8ff]|\\[ef][0-9a-f]{3}(?![0-9a-f])")
#: Classes that Bootstrap's script puts together from pieces.
COMPOSED = "bs-"


def used_icons(static: Path, words: set[str], rules: str) -> dict[str, int]:
    """Returns the icons that some built file shows: name to code point.

    An icon that a style sheet writes as a character, without a name, is under that character.
    """
    used = {
        name: int(point, 16)
        for selectors, point in ICON_RULE.findall(rules)
        for name in re.findall(r"\.(fa-[\w-]+)", selectors)
        if name in words
    }
    for sheet in [*static.glob("*.css"), *static.glob("styles/*.css")]:
        for found in ICON_CHARACTER.findall(sheet.read_text("utf-8")):
            used[found] = ord(found) if len(found) == 1 else int(found[1:], 16)
    return dict(sorted(used.items()))


def font_face(path: Path, family: str, weight: int, points: set[int]) -> str:
    """Returns the rule with a font that has only these glyphs."""
    font = TTFont(path)
    subsetter = subset.Subsetter(subset.Options(name_IDs=[], layout_features=[]))
    subsetter.populate(unicodes=points & set(font.getBestCmap()))
    subsetter.subset(font)
    file = io.BytesIO()
    font.save(file)
    data = base64.b64encode(file.getvalue()).decode()
    return (
        f'@font-face{{font-family:"{family}";font-weight:{weight};font-display:block;'
        f"src:url(data:font/ttf;base64,{data})}}\n"
    )


def write_icons(static: Path, words: set[str]) -> None:
    """Writes icons.css in place of the theme's copy of Font Awesome."""
    (folder,) = (static / "vendor" / "fontawesome").glob("*")
    used = used_icons(static, words, (folder / "css" / "all.min.css").read_text("utf-8"))
    faces = [
        font_face(folder / "webfonts" / file, family, weight, set(used.values()))
        for family, (file, weight) in FONTS.items()
    ]
    rules = [
        f'.{name}::before{{content:"\\{point:x}"}}\n'
        for name, point in used.items()
        if name.startswith("fa-")
    ]
    (static / "icons.css").write_text(BASE + "".join([*faces, *rules]), "utf-8")
    shutil.rmtree(static / "vendor")


def blocks(css: str) -> Iterator[tuple[str, str]]:
    """Splits a style sheet without comments into its outermost blocks: what is before `{`, inside.

    A statement without a block, such as `@charset`, stays in front of the next block.
    """
    start = 0
    while (opening := css.find("{", start)) >= 0:
        depth, end = 1, opening + 1
        while depth:
            depth += {"{": 1, "}": -1}.get(css[end], 0)
            end += 1
        yield css[start:opening], css[opening + 1 : end - 1]
        start = end


def purged(css: str, words: set[str]) -> str:
    """Returns a style sheet without the rules that need a class that is none of the words."""
    kept = []
    for head, body in blocks(re.sub(r"/\*.*?\*/", "", css, flags=re.S)):
        if head.lstrip().startswith(("@media", "@supports")):
            if inner := purged(body, words):
                kept.append(f"{head}{{{inner}}}")
            continue
        # commas within :is(…) or :not(…) separate no rules
        selectors = re.split(r",(?![^()]*\))", head)
        needed = [
            selector
            for selector in selectors
            if head.lstrip().startswith("@")
            or all(
                name in words or name.startswith(COMPOSED)
                for name in re.findall(
                    r"\.(-?[a-zA-Z_][\w-]*)", re.sub(r"\([^()]*\)", "", selector)
                )
            )
        ]
        if needed:
            kept.append(f"{','.join(needed)}{{{body}}}")
    return "".join(kept)


def lighten(app: Sphinx, exception: Exception | None) -> None:
    """Rewrites the theme's files in the built book."""
    if exception or app.builder.name != "html":
        return
    out = Path(app.outdir)
    static = out / "_static"
    scripts = [*static.glob("*.js"), *static.glob("scripts/*.js")]
    text = "".join(path.read_text("utf-8") for path in [*out.glob("**/*.html"), *scripts])
    words = set(re.findall(r"[\w-]+", text))
    write_icons(static, words)
    for sheet in (static / "styles" / "bootstrap.css", *static.glob("sphinx-design*.css")):
        sheet.write_text(purged(sheet.read_text("utf-8"), words), "utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the extension."""
    app.connect("build-finished", lighten)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
