"""Lets a page show a claim's statement and verdict as the ledger has them.

- ``{claim}`orders/thm-4.3` `` links to the claim's entry and shows its verdict.
- ``{asprinted} orders/thm-4.3`` is a box with the statement and the assumptions as printed, the
  verdict and the link; its content, if any, follows the statement.
- ``{scorecard}`` is a table of the claims whose ids are its content, one a line: what holds, the
  effect, and the chapter.
- ``{errata}`` lists the book's own errors, from `errata.yml` beside the page.

The search finds a claim by its id: each entry of the ledger is in the index, under the id.

The first three and the search read `memlib.theory.CLAIMS`: a page and the ledger cannot disagree.
An unknown id is a warning, and so fails the build.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

from memlib.theory import CLAIMS
from memlib.theory.claims import Claim
from memlib.theory.ledger import anchor, badge
from memlib.theory.ledger_pages import first_sentence

LOGGER = logging.getLogger(__name__)
BY_ID = {claim.id: claim for claim in CLAIMS}


def entry_link(claim: Claim, docname: str, text: str) -> addnodes.pending_xref:
    """Returns a link to the claim's entry in the ledger."""
    return addnodes.pending_xref(
        "",
        nodes.inline("", text),
        refdomain="std",
        reftype="ref",
        reftarget=anchor(claim.id),
        refexplicit=True,
        refwarn=True,
        refdoc=docname,
    )


def verdict_badge(claim: Claim) -> nodes.inline:
    """Returns the verdict, as the ledger shows it."""
    text = badge(claim.verdict)
    return nodes.inline("", text, classes=["verdict", f"verdict-{claim.verdict}"])


class ClaimRole(SphinxRole):
    """The role ``{claim}`ID` ``."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Returns the link and the verdict."""
        claim = BY_ID.get(self.text)
        if claim is None:
            LOGGER.warning("no claim %r", self.text, location=self.get_location())
            return [nodes.literal("", self.text)], []
        link = entry_link(claim, self.env.docname, claim.id)
        return [link, nodes.Text(" "), verdict_badge(claim)], []


class AsPrinted(SphinxDirective):
    """The directive ``{asprinted} ID``."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Returns the box."""
        claim = BY_ID.get(self.arguments[0])
        if claim is None:
            LOGGER.warning("no claim %r", self.arguments[0], location=self.get_location())
            return []
        title, messages = self.state.inline_text(f"As printed: {claim.title}", self.lineno)
        source = "" if claim.paper == "book" else f" {{cite:p}}`{claim.paper}`"
        assumed = (
            ["Assumptions: " + "; ".join(claim.assumptions) + "."] if claim.assumptions else []
        )
        text = "\n\n".join([f"{claim.location}{source}", claim.printed.strip(), *assumed])
        box = nodes.admonition(classes=["admonition", "as-printed"])
        box += [nodes.title("", "", *title), *messages]
        where = self.get_source_info()[0]
        for lines in (StringList(text.split("\n"), where), self.content):
            self.state.nested_parse(lines, self.content_offset, box)
        link = entry_link(claim, self.env.docname, f"{claim.id}: the evidence")
        box += nodes.paragraph("", "", verdict_badge(claim), nodes.Text(" \N{MIDDLE DOT} "), link)
        return [box]


def scorecard_lines(claims: Sequence[Claim], chapters: Mapping[str, str]) -> list[str]:
    """Returns claims as a table in Markdown, a row each, with nothing that the ledger has not.

    Args:
        claims: The claims, in the order of the rows.
        chapters: For a claim's chapter, if it is there, the link to it from the page.
    """
    rows = ["| Claim | What holds | Effect | Chapter |", "| :-- " * 4 + "|"]
    for claim in claims:
        cells = [
            f"{claim.title} {{claim}}`{claim.id}`",
            claim.gist or first_sentence(claim.holds),
            first_sentence(claim.effect) or "–",
            chapters.get(claim.chapter, "–"),
        ]
        rows.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return rows


class Scorecard(SphinxDirective):
    """The directive ``{scorecard}``."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Returns the table."""
        ids = [line.strip() for line in self.content if line.strip()]
        for name in ids:
            if name not in BY_ID:
                LOGGER.warning("no claim %r", name, location=self.get_location())
        claims = [BY_ID[name] for name in ids if name in BY_ID]
        there = {c.chapter for c in claims if f"book/{c.chapter}" in self.env.found_docs}
        chapters = {chapter: f"[](/book/{chapter}.md)" for chapter in there}
        box = nodes.container(classes=["scorecard"])
        lines = scorecard_lines(claims, chapters)
        self.state.nested_parse(StringList(lines, self.get_location()), self.content_offset, box)
        return [box]


FIELDS = ("date", "where", "was", "is", "found")


def errata_lines(entries: Sequence[Mapping[str, object]]) -> list[str]:
    """Returns the book's own errors as a table in Markdown, newest first as in the file.

    Raises:
        ValueError: An entry does not have exactly the fields `FIELDS`.
    """
    if not entries:
        return ["No error of ours in a published version is known so far."]
    rows = ["| Date | Where | The book said | Right is | Found by |", "| :-- " * 5 + "|"]
    for entry in entries:
        if set(entry) != set(FIELDS):
            raise ValueError(f"an entry of errata.yml needs {', '.join(FIELDS)}: {dict(entry)}")
        cells = [str(entry[name]) for name in FIELDS]
        if cells[1] in BY_ID:
            cells[1] = f"{{claim}}`{cells[1]}`"
        rows.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return rows


class Errata(SphinxDirective):
    """The directive ``{errata}``."""

    def run(self) -> list[nodes.Node]:
        """Returns the table."""
        path = Path(self.env.doc2path(self.env.docname)).with_name("errata.yml")
        self.env.note_dependency(str(path))
        lines = errata_lines(yaml.safe_load(path.read_text(encoding="utf-8")))
        box = nodes.container()
        self.state.nested_parse(StringList(lines, str(path)), self.content_offset, box)
        return [box]


class IndexClaims(SphinxTransform):
    """Puts the ids of the claims into the index, from where the search takes them whole.

    Of its text the search keeps words only: of "orders/eq-4" it would know "orders" and "eq".
    """

    default_priority = 800  # before the index is collected

    def apply(self, **kwargs: object) -> None:
        """Marks the entries, where this page is one of the ledger's."""
        if not self.env.docname.startswith("book/ledger/"):
            return
        for claim in BY_ID.values():
            for section in self.document.findall(nodes.section):
                if anchor(claim.id) in section["ids"] + section["names"]:
                    entry = ("single", claim.id, anchor(claim.id), "main", None)
                    section.insert(1, addnodes.index(entries=[entry]))  # after the title


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the role, the directives and the index of claims."""
    app.add_transform(IndexClaims)
    app.add_role("claim", ClaimRole())
    app.add_directive("asprinted", AsPrinted)
    app.add_directive("scorecard", Scorecard)
    app.add_directive("errata", Errata)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
