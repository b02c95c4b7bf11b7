"""Lets a page quote the numbers and figures that a lab has stored, so that nothing is typed twice.

In a page, ``book/part1/NAME.md``, the lab is ``notebooks/part1/NAME.ipynb``:

- ``{num}`key` `` is the value that the lab stored with ``memlib.notebook.glue("key", value)``;
  ``{num}`key:.2f` `` formats it; ``{num}`OTHER::key:.2f` `` takes it from the lab OTHER.
- ``{labfigure}`` is a figure of the lab, by the ``figure.name`` in its cell's ``mystnb`` metadata
  or by its glued key. The caption is the directive's content. The alternative text is ``:alt:``,
  or else what the lab's cell says. ``:lab: OTHER`` takes it from the lab OTHER.

A key that the lab does not have, a value that the format does not fit, a figure without caption or
alternative text, a stored cell that failed or was never run: each is a warning, and so fails the
build.
"""

import ast
import base64
import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.directives.patches import Figure
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

LOGGER = logging.getLogger(__name__)


class LabError(ValueError):
    """A page asks for something that no lab has."""


@lru_cache(maxsize=64)
def read_lab(path: Path, modified: float) -> tuple[dict[str, str], dict[str, tuple[bytes, str]]]:
    """Reads what a lab has stored.

    Returns:
        The values, key to text; and the figures, name to (PNG bytes, alternative text).
    """
    values: dict[str, str] = {}
    figures: dict[str, tuple[bytes, str]] = {}
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        meta = cell["metadata"].get("mystnb", {})
        alt = meta.get("image", {}).get("alt", "")
        for output in cell.get("outputs", []):
            scrapbook = output.get("metadata", {}).get("scrapbook", {})
            prefix = len(scrapbook.get("mime_prefix", ""))
            data = {mime[prefix:]: "".join(value) for mime, value in output.get("data", {}).items()}
            key = scrapbook.get("name") or meta.get("figure", {}).get("name")
            if key and "image/png" in data:
                figures.setdefault(key, (base64.b64decode(data["image/png"]), alt))
            elif scrapbook and "text/plain" in data:
                if key in values:
                    raise LabError(f"{path.name} stores {key!r} twice")
                values[key] = data["text/plain"]
    return values, figures


def lab_of(env: BuildEnvironment, name: str | None) -> Path:
    """Finds the lab of the current page, or the one of that name (its file's, without suffix)."""
    root = Path(env.srcdir) / "notebooks"
    if name is None:
        path = root.joinpath(*env.docname.split("/")[1:]).with_suffix(".ipynb")
        found = [path] if path.is_file() else []
    else:
        found = sorted(root.glob(f"**/{name}.ipynb"))
    if len(found) != 1:
        raise LabError(f"there is no one lab {name or env.docname!r} under notebooks/")
    env.note_dependency(str(found[0]))
    return found[0]


def pick(things: dict[str, Any], key: str, lab: Path) -> Any:
    """Returns things[key]; the error lists what there is."""
    if key not in things:
        raise LabError(
            f"{lab.name} stores no {key!r}; it has: {', '.join(sorted(things)) or 'nothing'}"
        )
    return things[key]


def format_value(text: str, spec: str) -> str:
    """Formats a stored value; a number gets a true minus sign."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = text
    try:
        shown = format(value, spec)
    except (ValueError, TypeError) as error:
        raise LabError(f"the value {text!r} does not fit the format {spec!r}") from error
    return shown.replace("-", "\N{MINUS SIGN}") if isinstance(value, int | float) else shown


class Num(SphinxRole):
    """The role ``{num}`[LAB::]key[:format]` ``."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Returns the formatted value as inline text."""
        lab_name, _, rest = self.text.rpartition("::")
        key, _, spec = rest.partition(":")
        try:
            lab = lab_of(self.env, lab_name or None)
            text = format_value(pick(read_lab(lab, lab.stat().st_mtime)[0], key, lab), spec)
        except LabError as error:
            LOGGER.warning("{num}: %s", error, location=self.get_location())
            text = f"[{self.text}]"
        return [nodes.inline(self.rawtext, text, classes=["lab-value"])], []


class LabFigure(Figure):
    """The directive ``{labfigure} name``."""

    option_spec: ClassVar[dict[str, Any]] = {
        **(Figure.option_spec or {}),
        "lab": directives.unchanged_required,
    }

    def run(self) -> list[nodes.Node]:
        """Returns a figure whose image file is written from the lab's stored output."""
        try:
            env = self.state.document.settings.env
            lab = lab_of(env, self.options.pop("lab", None))
            png, alt = pick(read_lab(lab, lab.stat().st_mtime)[1], self.arguments[0], lab)
            self.options.setdefault("alt", alt)
            if not self.options["alt"].strip():
                raise LabError(f"the figure {self.arguments[0]!r} has no alternative text")
            if not self.content:
                raise LabError(f"the figure {self.arguments[0]!r} has no caption")
        except LabError as error:
            location = self.state_machine.get_source_and_line(self.lineno)
            LOGGER.warning("{labfigure}: %s", error, location=f"{location[0]}:{location[1]}")
            return []
        folder = Path(env.mystnb_config.output_folder) / "labfigures"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{hashlib.sha256(png).hexdigest()[:16]}.png"
        file.write_bytes(png)
        self.arguments[0] = "/" + file.relative_to(env.srcdir).as_posix()
        return super().run()


def faults(path: Path) -> list[str]:
    """Lists the cells of a lab that failed, and those that hold code and were never run."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    found = []
    for number, cell in enumerate(cells, start=1):
        if cell["cell_type"] == "code":
            errors = [out["ename"] for out in cell["outputs"] if out["output_type"] == "error"]
            found += [f"cell {number} failed: {name}" for name in errors]
            if "".join(cell["source"]).strip() and cell["execution_count"] is None:
                found.append(f"cell {number} was not run")
    return found


def check_labs(app: Sphinx) -> None:
    """Warns of every fault of every lab: the build shows stored outputs and runs nothing."""
    for path in sorted((Path(app.srcdir) / "notebooks").glob("**/*.ipynb")):
        if ".ipynb_checkpoints" not in path.parts:
            for fault in faults(path):
                LOGGER.warning("%s: %s", path.relative_to(app.srcdir), fault)


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the role, the directive and the check of the labs."""
    app.connect("builder-inited", check_labs)
    app.add_role("num", Num())
    app.add_directive("labfigure", LabFigure)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
