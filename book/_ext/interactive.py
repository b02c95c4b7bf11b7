"""Lets a page show a figure that the reader moves with sliders, without a server.

``{interactive} NAME`` shows the figure of that name in `interactive_figures.FIGURES`. Its content
is the caption; ``:name:`` is what ``{numref}`` refers to. The page gets what the browser draws as
JSON, and for readers without scripts a table of the same values, computed here by memlib.
`assets/figures.js` draws; only pages with such a figure load it, and only after the page is parsed.
"""

import json
from html import escape
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from interactive_figures import FIGURES, Figure, Panel, as_data, show
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

LOGGER = logging.getLogger(__name__)


def table(figure: Figure, panel: Panel) -> str:
    """Returns the values of a panel, with the sliders where they start, as an HTML table."""
    start = figure.start()
    used = [s for s in figure.sliders if s.key != panel.key and s.key in panel.uses]
    settings = ", ".join(f"{s.symbol} = {show(s, s.start)}" for s in used)
    caption = ": ".join(filter(None, [panel.title, settings]))
    head = "".join(
        f'<th scope="col">{escape(text)}</th>'
        for text in (panel.x.label, *(curve.label for curve in panel.curves))
    )
    rows = []
    for x in panel.rows:
        values = [curve.value({**start, panel.key: x}) for curve in panel.curves]
        cells = "".join(f"<td>{show(panel.y, value)}</td>" for value in values)
        rows.append(f'<tr><th scope="row">{show(panel.x, x)}</th>{cells}</tr>')
    return (
        f'<table class="table"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )


def html(name: str) -> str:
    """Returns a figure's data and its tables."""
    figure = FIGURES[name]
    data = json.dumps(as_data(name), ensure_ascii=False).replace("<", "\\u003c")
    tables = "".join(table(figure, panel) for panel in figure.panels)
    # the places that the script fills, so that the text below does not move
    controls, plots = ("<div></div>" * len(rows) for rows in (figure.sliders, figure.panels))
    return (
        f'<script type="application/json" data-figure="{name}">{data}</script>'
        f'<div class="interactive-controls">{controls}</div>'
        f'<div class="interactive-plots">{plots}</div><noscript>{tables}</noscript>'
    )


class Interactive(SphinxDirective):
    """The directive ``{interactive} NAME``."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {"name": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """Returns the figure."""
        name, parsed = self.arguments[0], nodes.container()
        self.state.nested_parse(self.content, self.content_offset, parsed)
        if name not in FIGURES or len(parsed) != 1 or not isinstance(parsed[0], nodes.paragraph):
            known = ", ".join(FIGURES)
            problem = "needs one paragraph, its caption" if name in FIGURES else f"not in {known}"
            LOGGER.warning("{interactive} %s: %s", name, problem, location=self.get_location())
            return []
        caption = nodes.caption(parsed[0].rawsource, "", *parsed[0].children)
        figure = nodes.figure("", nodes.raw("", html(name), format="html"), caption)
        figure["classes"] += ["interactive"]
        self.set_source_info(figure)
        self.add_name(figure)
        return [figure]


def add_script(
    app: Sphinx,
    pagename: str,
    template: str,
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    """Gives a page with an interactive figure the script that draws it."""
    figures = [] if doctree is None else doctree.findall(nodes.figure)
    if any("interactive" in figure["classes"] for figure in figures):
        app.add_js_file("figures.js", loading_method="defer")


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the directive."""
    app.add_directive("interactive", Interactive)
    app.connect("html-page-context", add_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
