"""Every link of every page of the site leads to a file that is there, and to an id in it."""

import re
import subprocess
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
import yaml

from .conftest import PAGES, ROOT, SITE, TOC

pytestmark = pytest.mark.site

MODULES = sorted(p.relative_to(SITE).as_posix() for p in SITE.glob("_modules/**/*.html"))
REPOSITORY = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["repository"]["url"]


class Reader(HTMLParser):
    """Gathers the ids of a file, and all it refers to: links, images, scripts, forms."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = {"", "top"}
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Takes what one element says."""
        for key, value in attrs:
            if key == "id" or (key == "name" and tag == "a"):
                self.ids.add(value or "")
            if key in ("href", "xlink:href", "src", "action", "poster") and value:
                self.links.append(value)
            if key == "srcset" and value:
                self.links += [part.split()[0] for part in value.split(",")]
            if key == "content" and value and (found := re.match(r"\d+;\s*url=(.*)", value)):
                self.links.append(found[1])


@cache
def read(path: Path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text("utf-8"))
    return reader


def broken(site: Path, name: str) -> tuple[int, list[str]]:
    """How many links within the site the file has, and those that lead nowhere."""
    base, bad, inside = "http://site/", [], 0
    for link in read(site / name).links:
        url = urlsplit(urljoin(base + name, link))
        if url.netloc != "site" or url.scheme != "http":
            continue
        inside += 1
        target = site / unquote(url.path).lstrip("/")
        target = target / "index.html" if target.is_dir() else target
        if not target.is_file():
            bad.append(f"{link}: there is no such file")
        elif target.suffix == ".html" and unquote(url.fragment) not in read(target).ids:
            bad.append(f"{link}: there is no such place in the file")
    return inside, bad


@pytest.mark.parametrize("check", ["links"])
@pytest.mark.parametrize("name", ["index.html", *PAGES])
def test_every_link_of_a_page_leads_somewhere(
    address: str, name: str, check: str, record_property
) -> None:
    inside, bad = broken(SITE, name)
    record_property("seen", inside)
    assert inside or name not in TOC
    assert bad == []


def test_every_link_of_the_source_listings_leads_somewhere(address: str) -> None:
    assert MODULES
    assert {name: bad for name in MODULES if (bad := broken(SITE, name)[1])} == {}


def test_a_link_into_the_repository_names_a_file_that_is_there(address: str) -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    places = re.compile(re.escape(REPOSITORY) + r"/(?:edit|blob|raw|tree)/main/([^?#]+)")
    named = {
        (name, unquote(found[1]))
        for name in PAGES
        for link in read(SITE / name).links
        if (found := places.match(link))
    }
    assert named
    present = set(tracked) | {str(p) for t in tracked for p in Path(t).parents}
    assert [(name, path) for name, path in sorted(named) if path.rstrip("/") not in present] == []


@pytest.mark.parametrize("check", ["neighbors"])
@pytest.mark.parametrize("name", TOC)
def test_a_pages_neighbors_are_those_of_the_table_of_contents(
    address: str, name: str, check: str, record_property
) -> None:
    text = (SITE / name).read_text("utf-8")
    at = TOC.index(name)
    wanted = {"left-prev": TOC[at - 1] if at else None, "right-next": (*TOC, None)[at + 1]}
    record_property("seen", sum(map(bool, wanted.values())))
    for side, neighbor in wanted.items():
        found = re.findall(rf'<a class="{side}"\s+href="([^"]+)"', text)
        leads = [urlsplit(urljoin(f"http://site/{name}", link)).path[1:] for link in found]
        assert leads == ([neighbor] if neighbor else [])


def test_a_broken_link_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "other.html").write_text('<p id="here">', "utf-8")
    (tmp_path / "page.html").write_text(
        '<a href="other.html#here"></a><a href="#">top</a><a href="https://example.org/x">away</a>'
        '<a href="other.html#gone"></a><img src="gone.png"><a href="gone/"></a>'
        '<svg><use href="#no">',
        "utf-8",
    )
    inside, bad = broken(tmp_path, "page.html")
    assert inside == 6
    assert [line.split(":")[0] for line in bad] == ["other.html#gone", "gone.png", "gone/", "#no"]
