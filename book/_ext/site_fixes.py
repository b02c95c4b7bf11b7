"""Mends what the theme and some of the book's Sphinx extensions write into every page.

- sphinx-thebe adds its configuration script twice and loads Thebe from a server; the book uses
  neither, and the second declaration is a JavaScript error on each page.
- sphinx-proof and sphinx-exercise give all statements of a page the same HTML id (`proof-content`,
  `exercise-content`, `solution-content`), and repeat the id of an unnumbered statement on its
  title. An id must be unique, so these go; so does the id that the theme gives to the search
  field of each page and again to the one of the search page.
- docutils calls a bibliography a list, but not its entries list items.
- The theme does not name the buttons that unfold a chapter, and names its search field otherwise
  than it reads.
- A page that is generated has no source that could be edited in the repository.
- The search ranks a page that has the words of a title in its text before the thing that is
  called so; `search_scorer.js` ranks names first.

`assets/site_fixes.js` mends what shows only in the browser.
"""

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

GENERATED = ("book/ledger", "book/theorem-map")  # how their names begin
BODY = [
    (re.compile(r'(<section[^>]*?) id="(?:proof|exercise|solution)-content"'), r"\1"),
    (re.compile(r'(<p class="admonition-title") id="[^"]*"'), r"\1"),
    (re.compile(r'<div role="list" (class="citation-list")'), r"<div \1"),
    (re.compile(r'(<div class="citation" id="[^"]*") role="doc-biblioentry"'), r"\1"),
    (
        re.compile(
            r'<script type="text/x-thebe-config">.*?</script>\s*<script>kernelName = .*?</script>',
            re.S,
        ),
        "",
    ),
]
FILE = [
    (re.compile(r'(search-button-field[^>]*) aria-label="Search"'), r"\1"),
    (
        re.compile(r'(<a class="[^"]*reference internal"[^>]*>([^<]*)</a><details[^>]*><summary)>'),
        r'\1 aria-label="Pages of: \2">',
    ),
    (re.compile(r'id="search-input"(?=.*id="search-input")', re.S), 'id="search-dialog-input"'),
]


def drop_thebe(
    app: Sphinx,
    pagename: str,
    template: str,
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    """Takes Thebe's scripts off a page."""
    context["script_files"] = [
        script
        for script in context["script_files"]
        if "thebe"
        not in f"{getattr(script, 'filename', script)}{getattr(script, 'attributes', '')}".lower()
    ]


def mend_body(
    app: Sphinx,
    pagename: str,
    template: str,
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    """Mends the text of a page, and takes the edit button off a generated one."""
    for pattern, replacement in BODY if "body" in context else []:
        context["body"] = pattern.sub(replacement, context["body"])
    if pagename.startswith(GENERATED):
        for group in context.get("header_buttons", []):
            if "buttons" in group:
                kept = [b for b in group["buttons"] if b["label"] != "source-edit-button"]
                group["buttons"] = kept


def mend_files(app: Sphinx, exception: Exception | None) -> None:
    """Mends what the theme's templates write around the text."""
    for path in [] if exception else Path(app.outdir).glob("**/*.html"):
        text = mended = path.read_text("utf-8")
        for pattern, replacement in FILE:
            mended = pattern.sub(replacement, mended)
        if mended != text:
            path.write_text(mended, "utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the extension."""
    app.add_js_file("site_fixes.js", loading_method="defer")
    app.config.html_search_scorer = str(Path(__file__).with_name("search_scorer.js"))
    app.connect("html-page-context", drop_thebe, priority=900)
    app.connect("html-page-context", mend_body, priority=900)
    app.connect("build-finished", mend_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
