"""Gives every page its address, its citation, a way to report a problem, and what others ask for.

The site's address is `html.baseurl` of `_config.yml`, or else where GitHub Pages serves the
repository, so `make url` changes it, too. From it come the canonical link, the preview that other
sites show (Open Graph), `sitemap.xml`, `robots.txt` and `404.html`. At the foot of a page stand
its BibTeX entry (from `CITATION.cff`, `_config.yml` and memlib's version) and a link to the issue
form with page and version filled in; the theme's own button leads to the same form.
"""

import re
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

from memlib import __version__

CARD = ("_static/social-card.png", "The book's title beside bars that fall from left to right")


def pages_address(repository: str) -> str:
    """Returns where GitHub Pages serves a repository; empty for another host."""
    found = re.fullmatch(r"https://github\.com/([\w.-]+)/([\w.-]+)", repository)
    if not found:
        return ""
    host = f"{found[1].lower()}.github.io"
    return f"https://{host}/" if found[2].lower() == host else f"https://{host}/{found[2]}/"


def set_address(app: Sphinx, config: Config) -> None:
    """Sets the site's address where the configuration names none."""
    config.html_baseurl = config.html_baseurl or pages_address(
        config.html_theme_options["repository_url"]
    )


def describe(doctree: nodes.document, limit: int = 200) -> str:
    """Returns the first sentences of a page, within the limit if the first one is."""
    paragraph = next(
        (p for p in doctree.findall(nodes.paragraph) if not p.next_node(nodes.math)), None
    )
    sentences = re.split(r"(?<=[.?!])\s+", paragraph.astext()) if paragraph else [""]
    text = sentences[0]
    for sentence in sentences[1:]:
        if len(f"{text} {sentence}") > limit:
            break
        text += f" {sentence}"
    return text


def preview(title: str, book: str, description: str, address: str, base: str) -> str:
    """Returns the meta elements from which other sites and search engines make a preview."""
    said = [
        ("property", "og:type", "article"),
        ("property", "og:site_name", book),
        ("property", "og:title", title),
        ("property", "og:description", description),
        ("name", "description", description),
    ]
    if base:
        said += [
            ("property", "og:url", address),
            ("property", "og:image", base + CARD[0]),
            ("property", "og:image:alt", CARD[1]),
            ("name", "twitter:card", "summary_large_image"),
        ]
    return "".join(f'<meta {key}="{name}" content="{escape(text)}"/>\n' for key, name, text in said)


def bibtex(srcdir: Path, pagename: str, title: str, year: str, address: str) -> str:
    """Returns the page's BibTeX entry."""
    cited = yaml.safe_load((srcdir / "CITATION.cff").read_text("utf-8"))
    authors = " and ".join(f"{{{author['name']}}}" for author in cited["authors"])
    plain = re.sub(r"([&%$#_])", r"\\\1", title)
    key = re.sub(r"[^a-z0-9]+", "-", f"{cited['title'].split(':')[0]} {pagename}".lower())
    return (
        f"@misc{{{key},\n"
        f"  title  = {{{plain}}},\n"
        f"  author = {{{authors}}},\n"
        f"  year   = {{{year}}},\n"
        f"  note   = {{In: {cited['title']}. Version {__version__}}},\n"
        f"  url    = {{{address}}},\n"
        "}"
    )


def add_to_page(
    app: Sphinx,
    pagename: str,
    template: str,
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    """Gives a page its preview and its foot."""
    if doctree is None:
        context["metatags"] = (
            context.get("metatags", "") + '<meta name="robots" content="noindex"/>'
        )
        return
    repository = app.config.html_theme_options["repository_url"]
    source = app.env.doc2path(pagename, base=False)
    base = app.config.html_baseurl
    address = f"{base}{pagename}.html" if base else f"{repository}/blob/HEAD/{source}"
    title = app.env.titles[pagename].astext()
    year = app.config.copyright
    form = urlencode({"template": "problem.yml", "where": source, "version": __version__})
    context["metatags"] += preview(title, app.config.html_title, describe(doctree), address, base)
    context["page_bibtex"] = bibtex(Path(app.srcdir), pagename, title, year, address)
    context["page_report"] = f"{repository}/issues/new?{form}"


def fill_issue_button(
    app: Sphinx,
    pagename: str,
    template: str,
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    """Lets the theme's button open the same form as the link at the foot of the page."""
    for button in context.get("header_buttons", []):
        for entry in button.get("buttons", []):
            if entry.get("label") == "source-issues-button":
                entry["url"] = context.get("page_report", entry["url"])


def write_files(app: Sphinx, exception: Exception | None) -> None:
    """Writes what the site as a whole needs: sitemap.xml, robots.txt, 404.html."""
    if exception or app.builder.name != "html":
        return
    out, base = Path(app.outdir), app.config.html_baseurl
    if base:
        pages = "".join(
            f"<url><loc>{escape(base + name)}.html</loc></url>\n"
            for name in sorted(app.env.found_docs)
        )
        space = "http://www.sitemaps.org/schemas/sitemap/0.9"
        (out / "sitemap.xml").write_text(
            f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="{space}">\n{pages}</urlset>\n'
        )
        (out / "robots.txt").write_text(f"User-agent: *\nAllow: /\n\nSitemap: {base}sitemap.xml\n")
    context = {"base": base, "title": app.config.html_title}
    (out / "404.html").write_text(app.builder.templates.render("404.html", context), "utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the extension."""
    app.connect("config-inited", set_address)
    # before the theme drops the templates that come out empty, and after it made its buttons
    app.connect("html-page-context", add_to_page, priority=400)
    app.connect("html-page-context", fill_issue_button, priority=900)
    app.connect("build-finished", write_files, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
