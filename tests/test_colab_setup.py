"""The labs' setup cell, run in a clean virtual environment with memlib built from this tree.

The clean environment sees the installed packages (torch is not downloaded again) but not memlib.
"""

import os
import shutil
import subprocess
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from scripts.set_repository import SETUP_CELL, files, repository_url

ROOT = Path(__file__).resolve().parent.parent
REPORT = """
from pathlib import Path
from memlib import data, results
table, _ = results.load_table(results.stored("fmnist-mini-memorization.parquet"))
print(Path(memlib.__file__).parent, len(data.load("fmnist-mini")), len(table))
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as a clone would have it, committed."""
    tree = tmp_path_factory.mktemp("clone")
    for path in files(ROOT):
        name = path.relative_to(ROOT)
        if name.parts[0] in {"memlib", "pyproject.toml", "README.md", "LICENSE"}:
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, tree / name)
    git = ["git", "-C", str(tree), "-c", "user.name=test", "-c", "user.email=test@localhost"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "tree"]):
        subprocess.run([*git, *arguments], check=True)
    return tree


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    """A new virtual environment with every installed package except memlib; returns its Python."""
    venv.create(tmp_path / "clean", with_pip=True)
    packages = tmp_path / "packages"
    packages.mkdir()
    for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if "memlib" not in entry.name and not entry.name.startswith("pip"):
            (packages / entry.name).symlink_to(entry)
    (site,) = (tmp_path / "clean" / "lib").glob("python*/site-packages")
    for old in [*site.glob("setuptools*"), *site.glob("pkg_resources")]:  # Python 3.11 bundles one
        shutil.rmtree(old)
    (site / "others.pth").write_text(f"{packages}\n")
    return tmp_path / "clean" / "bin" / "python"


def run_cell(python: Path, folder: Path, **environment: str) -> str:
    """Runs the setup cell, and a report, as IPython would; returns what it printed."""
    script = folder / "cell.ipy"
    script.write_text(SETUP_CELL.format(url=repository_url()) + REPORT, "utf-8")
    done = subprocess.run(
        [python, "-m", "IPython", "--no-banner", "--quick", str(script)],
        cwd=folder,
        env={**os.environ, "IPYTHONDIR": str(folder / "ipython"), "PYTHONPATH": "", **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def pip(python: Path, *arguments: str) -> None:
    subprocess.run([python, "-m", "pip", "-q", *arguments], check=True)


def test_the_cell_needs_no_network_where_the_wheel_is_installed(
    tree: Path, clean: Path, tmp_path: Path
) -> None:
    build = ["--no-deps", "--no-build-isolation", "--no-index"]
    pip(clean, "wheel", *build, "-w", str(tmp_path), str(tree))
    (wheel,) = tmp_path.glob("memlib-*.whl")
    package = ROOT / "memlib"
    shipped = [*package.glob("stored/*"), package / "datasets" / "LICENSE-fashion-mnist.txt"]
    with zipfile.ZipFile(wheel) as archive:
        assert {p.relative_to(ROOT).as_posix() for p in shipped} <= set(archive.namelist())
    pip(clean, "install", "--no-deps", "--no-index", str(wheel))
    # any attempt to reach the repository fails at once
    nowhere = {"GIT_ALLOW_PROTOCOL": "none", "PIP_NO_INDEX": "1"}
    assert (
        run_cell(clean, tmp_path, **nowhere)
        == f"{clean.parents[1]}/lib/{_lib(clean)}/memlib 5000 5000\n"
    )


def test_the_cell_installs_memlib_from_the_repository_where_it_is_missing(
    tree: Path, clean: Path, tmp_path: Path
) -> None:
    # git fetches this tree in place of the address: the rest is what happens on Colab
    instead = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{tree}.insteadOf",
        "GIT_CONFIG_VALUE_0": repository_url(),
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads 0 as "no isolation": the packages are here
    }
    assert run_cell(clean, tmp_path, **instead).splitlines()[-1] == (
        f"{clean.parents[1]}/lib/{_lib(clean)}/memlib 5000 5000"
    )


def _lib(python: Path) -> str:
    (site,) = (python.parents[1] / "lib").glob("python*/site-packages")
    return site.relative_to(python.parents[1] / "lib").as_posix()
