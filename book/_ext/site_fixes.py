"""Mends what two of the book's Sphinx extensions write into every page.

- sphinx-thebe adds its configuration script twice and loads Thebe from a server; the book uses
  neither, and the second declaration is a JavaScript error on each page.
- sphinx-proof gives all statements of a page the same HTML id (`proof-content`), and repeats the id
  of an unnumbered statement on its title. An id must be unique, so both copies go.
"""

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

DUPLICATE_ID = re.compile(r'(<section class="[\w-]+-content") id="proof-content"')
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


def mend_ids(
    app: Sphinx,
    pagename: str,
    template: str,
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    """Takes the duplicate ids of theorem-like statements off a page."""
    if "body" in context:
        context["body"] = TITLE_ID.sub(r"\1", DUPLICATE_ID.sub(r"\1", context["body"]))


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the extension."""
    app.connect("html-page-context", drop_thebe, priority=900)
    app.connect("html-page-context", mend_ids, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
