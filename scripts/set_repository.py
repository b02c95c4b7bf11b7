"""Changes the repository's address everywhere: `make url URL=https://github.com/you/yours`.

The one place that says where the repository is, is `repository.url` in `_config.yml`. Files that
have to quote it (the labs' setup cell, the README, the package's metadata) are rewritten with it.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: The first code cell of every lab.
SETUP_CELL = """\
# Get memlib where it is missing, as on Colab.
try:
    import memlib
except ModuleNotFoundError:
    %pip install -q git+{url}
    import memlib"""


def repository_url(root: Path = ROOT) -> str:
    """Returns the address that `_config.yml` names."""
    found = re.search(
        r"^repository:\n\s+url: (\S+)$", (root / "_config.yml").read_text("utf-8"), re.M
    )
    if not found:
        raise SystemExit("_config.yml names no repository.url.")
    return found[1]


def files(root: Path = ROOT) -> list[Path]:
    """Returns the files of the project: what git tracks or would track."""
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [
        root / name for name in sorted(set(listed.split("\0"))) if name and (root / name).is_file()
    ]


def set_repository(url: str, root: Path = ROOT) -> list[Path]:
    """Replaces the address in every text file that quotes it.

    Args:
        url: `https://HOST/OWNER/NAME`, without a trailing slash or `.git`.
        root: the project's folder.

    Returns:
        The files that changed.

    Raises:
        SystemExit: the address has another form.
    """
    if not re.fullmatch(r"https://[\w.-]+/[\w.-]+/[\w.-]+", url) or url.endswith(".git"):
        raise SystemExit(f"URL={url!r} is not of the form https://github.com/OWNER/NAME.")
    old = repository_url(root)
    # the address itself, and OWNER/NAME in links through Colab; never a longer name
    pairs = [(old, url), *[(f"/github/{u}", f"/github/{v}") for u, v in [(_slug(old), _slug(url))]]]
    changed = []
    for path in files(root):
        try:
            before = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        after = before
        for was, becomes in pairs:
            after = re.sub(re.escape(was) + r"(?![\w-])", becomes.replace("\\", r"\\"), after)
        if after != before:
            path.write_text(after, "utf-8", newline="")
            changed.append(path)
    return changed


def _slug(url: str) -> str:
    return "/".join(url.split("/")[-2:])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("Say which: make url URL=https://github.com/OWNER/NAME")
    for path in set_repository(sys.argv[1]):
        print(path.relative_to(ROOT))
