"""The files around the library: they agree with each other and with what the README promises."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from memlib.theory.claims import PAPERS
from scripts.set_repository import SETUP_CELL, files, repository_url, set_repository

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
COMPANIONS = ("versions", "code-notes", "rosetta")
GENERATED = {
    "book/ledger",
    "book/theorem-map",
    *(f"book/ledger/{page}" for page in (*PAPERS, *COMPANIONS)),
}


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def toc_pages(entry: dict | list) -> list[str]:
    """All pages below an entry of the table of contents, in reading order."""
    if isinstance(entry, list):
        return [page for item in entry for page in toc_pages(item)]
    own = [entry[key] for key in ("root", "file") if key in entry]
    return own + [
        p for key in ("parts", "chapters", "sections") for p in toc_pages(entry.get(key, []))
    ]


def requirements() -> set[str]:
    lines = (line.split("#")[0].strip() for line in read("requirements.txt").splitlines())
    return {line for line in lines if line}


def test_requirements_txt_and_pyproject_name_the_same_packages_and_versions() -> None:
    extras = PROJECT["optional-dependencies"]
    parts = (extras[name] for name in ("book", "test", "coursework", "detection", "privacy"))
    stated = {*PROJECT["dependencies"], *(line for part in parts for line in part)}
    assert requirements() - stated == {"setuptools>=77", "wheel"}
    assert stated - requirements() == set()


def test_memlib_pins_nothing() -> None:
    assert all(re.fullmatch(r"[\w-]+>=[\d.]+", d) for d in PROJECT["dependencies"])


def test_memlib_depends_on_what_it_imports() -> None:
    distribution = {"sklearn": "scikit-learn", "z3": "z3-solver", "flint": "python-flint"}
    # what hands a lab's numbers to the pages, and the extra [detection]
    optional = {"myst_nb", "cleanlab"}
    nodes = [n for p in ROOT.glob("memlib/**/*.py") for n in ast.walk(ast.parse(p.read_bytes()))]
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [n.module for n in nodes if isinstance(n, ast.ImportFrom) and n.module]
    packages = {name.split(".")[0] for name in names}
    foreign = packages - sys.stdlib_module_names - optional - {"memlib"}
    stated = {dependency.split(">=")[0] for dependency in PROJECT["dependencies"]}
    assert {distribution.get(name, name) for name in foreign} == stated


def test_every_page_of_the_table_of_contents_exists_and_every_page_is_in_it() -> None:
    listed = toc_pages(TOC)
    assert len(listed) == len(set(listed))
    there = {
        path.relative_to(ROOT).with_suffix("").as_posix()
        for pattern in ("book/**/*.md", "notebooks/**/*.ipynb")
        for path in ROOT.glob(pattern)
        if "checkpoint" not in path.as_posix()
        and "assignments" not in path.parts
        # what the ledger wrote is there after a build only
        and path.parent != ROOT / "book" / "ledger"
    }
    assert set(listed) == there | GENERATED


def test_the_api_reference_covers_every_module() -> None:
    # left out: the command line, which documents itself, and the claims with what stands beside
    # them in their packages, which the ledger shows
    pages = "".join(page.read_text("utf-8") for page in (ROOT / "book/api").glob("*.md"))
    shown = set(re.findall(r"automodule:: memlib\.(\S+)", pages))
    there = {
        ".".join(path.relative_to(ROOT / "memlib").with_suffix("").parts)
        for path in (ROOT / "memlib").glob("**/*.py")
        if not path.stem.startswith("_")
        and "\nCLAIMS" not in path.read_text("utf-8")
        and path.parent.parent.name != "theory"
        and path.parent.name != "cli"
    }
    assert shown == there


def test_a_lab_follows_its_chapter() -> None:
    listed = toc_pages(TOC)
    for position, page in enumerate(listed):
        if page.startswith("notebooks/part"):
            assert listed[position - 1] == page.replace("notebooks/", "book/", 1)


def test_the_readme_names_only_what_exists() -> None:
    readme = read("README.md")
    linked = re.findall(r"\]\(([^)#]+)[^)]*\)", readme)
    local = [link for link in linked if "://" not in link]
    assert [link for link in local if not (ROOT / link).exists()] == []
    targets = set(re.findall(r"make ([a-z]+)", readme + read("CONTRIBUTING.md")))
    assert targets <= set(re.findall(r"^([a-z]+):", read("Makefile"), re.M))


def test_every_make_target_is_in_the_help() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", read("Makefile"), re.M)[1].split()
    shown = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True).stdout
    assert re.findall(r"^make (\w+)", shown, re.M) == phony


def test_the_example_of_the_readme_has_at_most_ten_lines() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", read("README.md"), re.S)
    assert len([line for line in example.splitlines() if line.strip()]) <= 10


def test_the_example_of_the_readme_runs_and_so_does_the_loop_of_ones_own(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", read("README.md"), re.S)
    snippets = re.findall(r"```python\n(.*?)```", read("book/colab.md"), re.S)
    (loop,) = [snippet for snippet in snippets if "tracker.update" in snippet]
    check = "\nassert len(scores) == len(dataset) and 'csl' in scores\ndel scores\n"
    code = example + check + loop + check
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def make_venv(tmp_path: Path):
    """Runs scripts/make_venv.sh with a stand-in for Python, which installs nothing."""
    python = tmp_path / "python"
    python.write_text(
        '#!/bin/sh\n[ "$2" = venv ] || exit 0\n'
        'mkdir -p "$3/bin" && touch "$3/pyvenv.cfg" && cp "$0" "$3/bin/python"\n'
    )
    python.chmod(0o755)

    def run(folder: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [ROOT / "scripts" / "make_venv.sh", folder],
            env={**os.environ, "PYTHON": str(python)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    return run


def test_a_venv_that_was_cut_off_is_made_again(make_venv, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "pyvenv.cfg").touch()
    (venv / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")  # as without its pip
    (venv / "bin" / "python").chmod(0o755)
    for _ in range(2):
        assert make_venv(venv).returncode == 0
    assert "was cut off" not in make_venv(venv).stdout


def test_a_folder_that_is_no_venv_is_left_alone(make_venv, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    done = make_venv(tmp_path / "mine")
    assert done.returncode == 1
    assert "is no virtual environment" in done.stderr
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_the_page_on_colab_shows_the_setup_cell() -> None:
    assert f"```python\n{SETUP_CELL.format(url=repository_url())}\n```" in read("book/colab.md")


def test_first_sentences_are_short() -> None:
    for path in [*(ROOT / "book").glob("**/*.md"), ROOT / "README.md"]:
        text = re.sub(
            r"^(---\n.*?\n---|#.*|```.*?```|!\[.*|\s*)$",
            "",
            path.read_text("utf-8"),
            flags=re.M | re.S,
        )
        first = re.split(r"(?<=[.?!])\s", text.strip(), maxsplit=1)[0]
        assert len(first.split()) <= 25, f"{path.name}: {first}"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the project's text, as its own repository."""
    for path in files(ROOT):
        if path.stat().st_size < 1_000_000:
            target = tmp_path / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return tmp_path


def test_one_command_changes_the_address_everywhere(copy: Path) -> None:
    old = repository_url(copy)
    new = "https://github.com" + "/someone/their-book"  # in pieces: this file is changed, too
    before = {path: path.read_bytes() for path in files(copy)}
    assert {"_config.yml", "README.md", "pyproject.toml", "CITATION.cff", "book/colab.md"} <= {
        path.relative_to(copy).as_posix() for path in set_repository(new, copy)
    }
    slug = old.removeprefix("https://github.com/")
    left = [p for p in files(copy) if slug.encode() in p.read_bytes()]
    assert left == []
    assert repository_url(copy) == new
    assert SETUP_CELL.format(url=new) in (copy / "book/colab.md").read_text("utf-8")
    set_repository(old, copy)
    assert {path: path.read_bytes() for path in files(copy)} == before


@pytest.mark.parametrize(
    "url",
    [
        "",
        "github.com/a/b",
        "https://github.com/a",
        "https://github.com/a/b.git",
        "https://github.com/a/b/",
    ],
)
def test_an_address_of_another_form_is_refused(copy: Path, url: str) -> None:
    with pytest.raises(SystemExit, match="is not of the form"):
        set_repository(url, copy)


def test_no_file_is_large() -> None:
    assert [p for p in files(ROOT) if p.stat().st_size > 5_000_000] == []
