"""The source distribution and the wheel hold all that they need: they are built, checked, installed and run."""

from __future__ import annotations

import shutil
import sys
import sysconfig
import tarfile
from pathlib import Path

import pytest

from p2pool import __version__
from tests.e2e.installed import InstalledNode, run
from tests.support import ROOT

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="only in a clone: git names the files of the source"),
    pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler"),
]


@pytest.fixture(scope="module")
def tracked() -> set[str]:
    """The files of the repository that exist."""
    listed = run("git", "ls-files", "-z", directory=ROOT).split("\0")
    return {name for name in listed if name and (ROOT / name).exists()}


@pytest.fixture(scope="module")
def distributions(tracked: set[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make dist` leaves, made of a copy of the source: a build writes to it."""
    source = tmp_path_factory.mktemp("source")
    for name in tracked:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    run(sys.executable, "-m", "build", "--no-isolation", directory=source)
    return source / "dist"


def test_a_source_distribution_holds_the_repository(distributions: Path, tracked: set[str]) -> None:
    (path,) = distributions.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {each.name.partition("/")[2] for each in archive if each.isfile()}
    assert tracked - names == set()
    added = {name for name in names - tracked if not name.startswith("p2pool_dash.egg-info/")}
    assert added == {"PKG-INFO", "setup.cfg"}


def test_both_pass_the_checks_of_an_index(distributions: Path) -> None:
    files = [str(path) for path in sorted(distributions.iterdir())]
    assert len(files) == 2
    checked = run(sys.executable, "-m", "twine", "check", "--strict", *files, directory=distributions)
    assert checked.count("PASSED") == 2
    run(sys.executable, "-m", "check_wheel_contents", files[0], directory=distributions)


def test_a_wheel_runs_in_a_bare_environment_from_an_empty_directory(distributions: Path, tmp_path: Path) -> None:
    bare, empty = tmp_path / "bare", tmp_path / "empty"
    empty.mkdir()
    run(sys.executable, "-m", "venv", "--without-pip", str(bare), directory=empty)
    # Its dependencies are those of the tests, so that nothing is downloaded.
    (packages,) = bare.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (wheel,) = distributions.glob("*.whl")
    pip = (sys.executable, "-m", "pip", "--python", str(bare / "bin" / "python"))
    run(*pip, "install", "-q", "--no-index", "--no-deps", str(wheel), directory=empty)
    program = str(bare / "bin" / "p2pool-dash")
    shown = run(program, "--version", directory=empty)
    assert shown.startswith(f"p2pool-dash {__version__}\nPython 3.")
    assert "X11 provider: built-in" in shown
    with InstalledNode([program], tmp_path, directory=empty) as node:
        node.check_that_it_finds_a_block()
    assert list(empty.iterdir()) == []
    assert (tmp_path / ".p2pool-dash" / "simnet" / "shares.sqlite").exists()
