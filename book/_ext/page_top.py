"""Puts one line under the title of each chapter and lab: what it takes, and what is on trial there.

- Reading time: the words of the prose, a formula being one, at `WORDS_PER_MINUTE`. What is
  collapsed, code and outputs do not count.
- The lab's run time, from `notebooks/run_times.json`, which `make labs` measures. A lab that was
  measured at the scale "cpu" needs no GPU. A lab without a measurement fails the build.
- The claims: those whose `chapter` is this one, and those that the chapter's page shows by
  ``{claim}`` or ``{asprinted}``. Opened, the line lists them with links to the ledger.
"""

import json
import re
from collections import Counter
from collections.abc import Callable
from functools import partial
from html import escape
from math import ceil
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util import logging

from memlib.theory import CLAIMS
from memlib.theory.claims import Claim
from memlib.theory.ledger import VERDICTS, anchor, badge

LOGGER = logging.getLogger(__name__)
WORDS_PER_MINUTE = 200
CHAPTER = re.compile(r"(?:book|notebooks)/(part\d+/.+)")
NOT_READ = (nodes.literal_block, nodes.math_block, nodes.raw, nodes.comment)


def words(node: nodes.Node) -> int:
    """Counts what a reader reads who opens no collapsed box."""
    if isinstance(node, nodes.Text):
        return len(node.split())
    if isinstance(node, nodes.math):
        return 1
    hidden = {"dropdown", "cell_output"} & set(getattr(node, "attributes", {}).get("classes", []))
    if isinstance(node, NOT_READ) or hidden:
        return 0
    return sum(words(child) for child in node.children)


def claims_of(app: Sphinx, chapter: str) -> list[Claim]:
    """Returns the claims that a chapter teaches or shows, in the ledger's order."""
    page = app.env.get_doctree(f"book/{chapter}")
    shown = {link["reftarget"] for link in page.findall(addnodes.pending_xref)}
    return [c for c in CLAIMS if c.chapter == chapter or anchor(c.id) in shown]


def claims_item(claims: list[Claim], uri: Callable[[str], str]) -> str:
    """Returns the number of claims by verdict, and the list of them, as HTML."""
    count = Counter(claim.verdict for claim in claims)
    counts = ", ".join(f"{count[v]} {escape(badge(v))}" for v in VERDICTS if count[v])
    entries = "".join(
        f'<li><a href="{uri(f"book/ledger/{c.paper}")}#{anchor(c.id)}">{c.id}</a> '
        f'<span class="verdict verdict-{c.verdict}">{escape(badge(c.verdict))}</span></li>'
        for c in claims
    )
    noun = "claim" if len(claims) == 1 else "claims"
    return (
        f"<details><summary>{len(claims)} {noun} on trial: {counts}</summary>"
        f"<ul>{entries}</ul></details>"
    )


def lab_item(app: Sphinx, pagename: str, chapter: str) -> str:
    """Returns the lab's run time and whether it needs a GPU, as HTML."""
    stored = Path(app.srcdir) / "notebooks" / "run_times.json"
    measured = json.loads(stored.read_text("utf-8")).get(chapter)
    lab = f"notebooks/{chapter}"
    if measured is None:
        LOGGER.warning("%s has no run time: run `make labs LABS=%s.ipynb`", lab, lab)
        return ""
    name = "This lab"
    if pagename != lab:
        name = f'<a href="{app.builder.get_relative_uri(pagename, lab)}">The lab</a>'
    gpu = "no GPU needed" if measured["scale"] == "cpu" else "needs a GPU"
    seconds = measured["seconds"]
    time = f"{seconds} s" if seconds < 90 else f"{ceil(seconds / 60)} min"
    return f"{name} runs in {time} on {measured['cores']} cores, {gpu}"


def add_line(
    app: Sphinx,
    pagename: str,
    template: str,
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    """Puts the line under the title."""
    found = CHAPTER.fullmatch(pagename)
    if not found or doctree is None or app.builder.name != "html":
        return
    if f"notebooks/{found[1]}" not in app.env.found_docs:
        return  # the page that ends a part
    minutes = ceil(words(doctree) / WORDS_PER_MINUTE)
    claims = claims_of(app, found[1])
    items = [
        f"{minutes} min to read, at {WORDS_PER_MINUTE} words a minute",
        lab_item(app, pagename, found[1]),
        claims_item(claims, partial(app.builder.get_relative_uri, pagename)),
    ]
    line = "".join(f"<li>{item}</li>" for item in items if item)
    head, title, rest = context["body"].partition("</h1>")
    context["body"] = f'{head}{title}<ul class="page-top" aria-label="This page">{line}</ul>{rest}'


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the extension."""
    app.connect("html-page-context", add_line)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
