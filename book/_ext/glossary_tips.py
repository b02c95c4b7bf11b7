"""Explains a term of the glossary where a chapter or a lab first uses it.

The first occurrence in a paragraph of the page becomes a button; it opens the definition in a
popover, by mouse, keyboard or touch, and Escape closes it. That needs no script. Text that is a
link, code, a formula or a title stays as it is, and so does what is collapsed.

A term of one ordinary word (claim, gap, influence) is left alone: it often means something else.
"""

import re
from html import escape

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

GLOSSARY = "book/glossary"
PAGES = re.compile(r"(?:book|notebooks)/part\d+/.+")
CLOSED = (
    nodes.reference,
    nodes.literal,
    nodes.math,
    nodes.title,
    nodes.raw,
    nodes.FixedTextElement,
)


class Tip(nodes.inline):
    """A term in a text; its attributes are what the popover says."""


def is_explained(term: str) -> bool:
    """Tells whether a term is one that text cannot mean otherwise."""
    return "(" not in term and bool(re.search(r"[ A-Z-]", term))


def as_html(node: nodes.Node) -> str:
    """Returns a definition without its links."""
    if isinstance(node, nodes.Text):
        return escape(node.astext())
    inner = "".join(as_html(child) for child in node.children)
    if isinstance(node, nodes.math):
        return f'<span class="math notranslate nohighlight">\\({escape(node.astext())}\\)</span>'
    tag = {nodes.emphasis: "em", nodes.literal: "code"}.get(type(node))
    return f"<{tag}>{inner}</{tag}>" if tag else inner


def read_glossary(app: Sphinx) -> dict[str, tuple[str, str]]:
    """Returns the terms, in lower case: the id in the glossary, the definition as HTML."""
    terms = {}
    page = app.env.get_and_resolve_doctree(GLOSSARY, app.builder)
    for item in page.findall(nodes.definition_list_item):
        for term in item.findall(nodes.term):
            name = term.astext()
            if is_explained(name):
                paragraphs = item[-1].children
                terms[name.lower()] = (term["ids"][0], " ".join(map(as_html, paragraphs)))
    return terms


def may_explain(text: nodes.Text) -> bool:
    """Tells whether a text stands in open prose."""
    above, node = [], text.parent
    while node is not None:
        above.append(node)
        node = node.parent
    classes = {
        name for node in above if isinstance(node, nodes.Element) for name in node["classes"]
    }
    return (
        any(isinstance(node, nodes.paragraph) for node in above)
        and not any(isinstance(node, CLOSED) for node in above)
        and not classes & {"dropdown", "as-printed", "cell_output", "goals"}
    )


def explain(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Makes the first occurrence of each term on a page a tip."""
    if not PAGES.fullmatch(docname) or app.builder.name != "html":
        return
    left = read_glossary(app)
    home = app.builder.get_relative_uri(docname, GLOSSARY)
    for text in [text for text in doctree.findall(nodes.Text) if may_explain(text)]:
        # the longest term first: "CSLT" before "CSL", "memorization score" before a part of it
        names = "|".join(re.escape(name) for name in sorted(left, key=len, reverse=True))
        parts, rest = [], text.astext()
        while names and (found := re.search(rf"\b({names})s?\b(?!-)", rest, re.I)):
            target, definition = left.pop(found[1].lower())
            tip = Tip("", found[0], tip=f"{docname.split('/')[-1]}-{target}")
            tip["href"], tip["definition"] = f"{home}#{target}", definition
            parts += [nodes.Text(rest[: found.start()]), tip]
            rest = rest[found.end() :]
            names = "|".join(re.escape(name) for name in sorted(left, key=len, reverse=True))
        if parts:
            text.parent.replace(text, [*parts, nodes.Text(rest)])


def visit_tip(translator: HTML5Translator, node: Tip) -> None:
    """Opens the button."""
    translator.body.append(f'<button class="tip" type="button" popovertarget="{node["tip"]}">')


def depart_tip(translator: HTML5Translator, node: Tip) -> None:
    """Closes the button and writes the popover."""
    translator.body.append(
        f'</button><span class="tip-text" id="{node["tip"]}" popover>{node["definition"]} '
        f'<a href="{node["href"]}">Glossary: {escape(node.astext())}</a></span>'
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the extension."""
    app.add_node(Tip, html=(visit_tip, depart_tip))
    app.connect("doctree-resolved", explain)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
