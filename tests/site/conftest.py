"""The built book, served to a headless Chromium, and visits to its pages."""

import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Browser, Page, sync_playwright

from ..test_repository import toc_pages

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "_build" / "html"
# the first draws the same pages with none of the rest of a browser around them
BROWSERS = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"]
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--process-per-site",
]
# index.html only leads to the welcome page
PAGES = sorted(
    path.relative_to(SITE).as_posix()
    for path in SITE.glob("**/*.html")
    if path.relative_to(SITE).parts[0] not in {"_static", "_modules", "_sources", "reports"}
    and path != SITE / "index.html"
)
TOC = [f"{page}.html" for page in toc_pages(yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8")))]
LABS = [name for name in TOC if name.startswith("notebooks/")]

RENDERINGS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {
        "viewport": {"width": 360, "height": 740},
        "color_scheme": "light",
        "has_touch": True,
        "is_mobile": True,
    },
}
# on a page with more formulas only the phone's rendering typesets them: the other checks do not
# depend on how a formula looks, and each takes long where there are a thousand
FEW = 50
# the page is in the theme of the system; 404.html has none of its own
FOLLOWS = "scheme => [scheme, undefined].includes(document.documentElement.dataset.theme)"
# what fades in is there at once, so that no check has to wait for it
STILL = "*, ::before, ::after { transition: none !important; animation: none !important; }"


def missing(reason: str) -> None:
    """Fails on CI, where everything has to be there; elsewhere skips and says why."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    names = (os.environ.get("CHROMIUM", ""), *BROWSERS)
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found is None:
        missing(f"No Chromium: apt-get install {BROWSERS[0]}, or name one: CHROMIUM=/path/to/it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        browser.close()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Says nothing."""

    def copyfile(self, source: Any, outputfile: Any) -> None:
        """Lets a page that is closed early hang up."""
        try:
            super().copyfile(source, outputfile)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """Where the built book is served."""
    if not (SITE / "index.html").exists():
        missing("The book is not built: run `make book` first")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=SITE)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@dataclass
class Visit:
    """A page that was opened, and everything that went wrong since."""

    page: Page
    address: str
    name: str
    scheme: str = "light"
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def listen(self) -> None:
        """Notes errors and requests from now on."""
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("response", self.refuse)

    def refuse(self, response: Any) -> None:
        """Notes an answer that is an error."""
        if response.status >= 400:
            self.errors.append(f"{response.status} {response.url}")

    def loading(self) -> tuple[int, list[str]]:
        """How many files the page asked for; errors, and what it asked another server for."""
        away = [url for url in self.requests if not url.startswith((self.address, "data:"))]
        return len(self.requests), self.errors + away

    def weight(self) -> dict[str, int]:
        """The bytes of each file that the page asked for, but for MathJax's; uncompressed."""
        paths = {url.removeprefix(self.address).partition("?")[0] for url in self.requests}
        files = [SITE / path[1:] for path in paths if path.startswith("/")]
        return {file.name: file.stat().st_size for file in files if "mathjax" not in file.parts}

    def go(self, name: str) -> None:
        """Opens a page of the book and waits until its mathematics is typeset."""
        self.page.goto(f"{self.address}/{name}", wait_until="load")
        self.page.evaluate("() => window.MathJax?.startup?.promise")
        self.page.add_style_tag(content=STILL)


def formulas(name: str) -> int:
    """The number of formulas on a page of the book."""
    return (SITE / name).read_text("utf-8").count('class="math ')


@dataclass
class Visitor:
    """Opens pages, each in a rendering; the last one stays open, so that its checks share it."""

    browser: Browser
    address: str
    contexts: dict[tuple[bool, bool], Any] = field(default_factory=dict)
    last: tuple[str, bool, Visit] | None = None

    def visit(self, name: str, rendering: str) -> Visit:
        """The page in that rendering: the one that is open, or else a new one.

        A wide page goes from the one theme to the other as it does for a reader whose system does.
        """
        phone, scheme = rendering == "phone", RENDERINGS[rendering]["color_scheme"]
        if not self.last or self.last[:2] != (name, phone):
            self.open(name, phone)
        _, _, visit = self.last
        if visit.scheme != scheme:
            visit.page.emulate_media(color_scheme=scheme)
            visit.page.wait_for_function(FOLLOWS, arg=scheme)
            visit.scheme = scheme
        return visit

    def open(self, name: str, phone: bool) -> None:
        """Opens a page in place of the last one."""
        typeset = phone or formulas(name) <= FEW
        if (phone, typeset) not in self.contexts:
            context = self.browser.new_context(**RENDERINGS["phone" if phone else "light"])
            if not typeset:
                context.route("**/mathjax/**", lambda route: route.fulfill(body=""))
            self.contexts[phone, typeset] = context
        visit = Visit(self.contexts[phone, typeset].new_page(), self.address, name)
        if self.last:
            self.last[2].page.close()  # not before the new one is there, which takes its process
        visit.listen()
        self.last = (name, phone, visit)
        visit.go(name)


@pytest.fixture(scope="session")
def visitor(browser: Browser, address: str) -> Iterator[Visitor]:
    visitor = Visitor(browser, address)
    yield visitor
    for context in visitor.contexts.values():
        context.close()
