"""Mends what some of the book's Sphinx extensions write into every page.

- sphinx-thebe adds its configuration script twice and loads Thebe from a server; the book uses
  neither, and the second declaration is a JavaScript error on each page.
- sphinx-proof and sphinx-exercise give all statements of a page the same HTML id (`proof-content`,
  `exercise-content`, `solution-content`), and repeat the id of an unnumbered statement on its
  title. An id must be unique, so these go.
"""

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

DUPLICATE_ID = re.compile(r'(<section[^>]*?) id="(?:proof|exercise|solution)-content"')
THEBE = re.compile(
    r'<script type="text/x-thebe-config">.*?</script>\s*<script>kernelName = .*?</script>', re.S
)
TITLE_ID = re.compile(r'(<p class="admonition-title") id="[^"]*"')


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
    """Takes duplicate ids and Thebe's settings out of the text of a page."""
    if "body" in context:
        body = TITLE_ID.sub(r"\1", DUPLICATE_ID.sub(r"\1", context["body"]))
        context["body"] = THEBE.sub("", body)


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the extension."""
    app.connect("html-page-context", drop_thebe, priority=900)
    app.connect("html-page-context", mend_body, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
