"""What is installed: lists of requirements that setuptools can read, and the data files of packages."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
DYNAMIC = PROJECT["tool"]["setuptools"]["dynamic"]
FILES = [DYNAMIC["dependencies"]["file"], *(each["file"] for each in DYNAMIC["optional-dependencies"].values())]


@pytest.mark.parametrize("name", sorted({name for each in FILES for name in each}))
def test_lists_of_requirements_hold_requirements_only(name: str) -> None:
    """pip knows options there, such as -r; setuptools refuses them, and nothing can be installed."""
    assert ranges(name)


def ranges(name: str) -> list[Requirement]:
    """The requirements of a list."""
    lines = [line.partition(" #")[0].strip() for line in (ROOT / name).read_text("utf-8").splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


LOCKS = {
    "requirements-build.lock": ["requirements-build.txt"],
    "requirements.lock": [
        *("requirements.txt", "requirements-postgresql.txt", "requirements-broker.txt", "requirements-cli.txt"),
        "requirements-miner-alerts.txt",
    ],
    "requirements-dev.lock": ["requirements-dev.txt"],
    "requirements-docs.lock": ["requirements-docs.txt"],
}
"""Lock files, and the lists that `.ci/lock` makes them of."""


def locked(name: str) -> dict[str, list[Requirement]]:
    """The pinned releases of a lock file by package: several if they differ by environment."""
    found: dict[str, list[Requirement]] = {}
    for entry in (ROOT / name).read_text("utf-8").replace("\\\n", " ").splitlines():
        text, *hashes = entry.split(" --hash=")
        requirement = Requirement(text)
        (pin,) = requirement.specifier
        assert pin.operator == "==", entry
        assert hashes, text
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", each.strip()) for each in hashes), text
        found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


def pinned(requirement: Requirement) -> str:
    """The version of a line of a lock file."""
    (pin,) = requirement.specifier
    return pin.version


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_files_agree_with_the_ranges(lock: str) -> None:
    """Where this fails, run `.ci/lock`."""
    found = locked(lock)
    for name in LOCKS[lock]:
        for wanted in ranges(name):
            pins = found.get(canonicalize_name(wanted.name), [])
            assert any(wanted.specifier.contains(pinned(pin)) for pin in pins), f"{wanted} is not in {lock}"


def test_lock_files_agree_with_each_other() -> None:
    """They are installed one after the other: none may replace what another has installed."""
    pins: dict[str, set[str]] = {}
    for lock in LOCKS:
        for package, found in locked(lock).items():
            pins.setdefault(package, set()).add(" ".join(sorted(map(pinned, found))))
    assert {package: versions for package, versions in pins.items() if len(versions) > 1} == {}


def test_all_lists_of_requirements_are_locked() -> None:
    assert {name for names in LOCKS.values() for name in names} == {path.name for path in ROOT.glob("*req*.txt")}
    build = {canonicalize_name(Requirement(each).name) for each in PROJECT["build-system"]["requires"]}
    assert build <= set(locked("requirements-build.lock"))


def given_to_setup(monkeypatch: pytest.MonkeyPatch, compiling: str = "0") -> dict[str, Any]:
    """What setup.py passes to setuptools, with this value of P2POOL_COMPILE and without mypyc."""
    given: dict[str, Any] = {}
    monkeypatch.setattr("setuptools.setup", given.update)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("P2POOL_COMPILE", compiling)
    monkeypatch.chdir(ROOT)
    runpy.run_path(str(ROOT / "setup.py"))
    return given


def test_a_wheel_holds_the_data_files_of_packages(monkeypatch) -> None:
    given = given_to_setup(monkeypatch)
    held = set()
    for package, patterns in given["package_data"].items():
        folder = ROOT / given["package_dir"].get(package, package.replace(".", "/"))
        held.update(path for pattern in patterns for path in folder.glob(pattern))
    data = {
        path
        for path in (ROOT / "p2pool").rglob("*")
        if path.is_file() and path.suffix in (".txt", ".json", ".typed")
    }
    assert ROOT / "p2pool/networks/bootstrap_nodes/dash.txt" in data
    assert {str(path.relative_to(ROOT)) for path in data - held} == set()


def test_the_extensions_are_built_of_all_sources_and_may_fail(monkeypatch) -> None:
    given = given_to_setup(monkeypatch)
    assert given["setup_requires"] == []
    extensions = given["ext_modules"]
    assert [extension.name for extension in extensions] == ["p2pool.dash._x11", "p2pool.dash._sha256"]
    for extension in extensions:
        folder = ROOT / extension.name.replace(".", "/")
        files = {path.relative_to(ROOT) for path in folder.glob("*.[ch]")}
        assert {*map(Path, extension.sources), *map(Path, extension.depends)} == files
        assert extension.optional
    everything = {path.parent.name for path in (ROOT / "p2pool").rglob("*.[ch]")}
    assert everything == {"_x11", "_sha256"}


def test_an_isolated_build_that_compiles_installs_what_checks_types(monkeypatch) -> None:
    """mypyc compiles what it knows the types of: those of the packages that the node uses count."""
    given = given_to_setup(monkeypatch, "1")
    names = {canonicalize_name(Requirement(each).name) for each in given["setup_requires"]}
    assert {"mypy", "mypy-zope", "types-requests", "twisted", "orjson", "sqlalchemy"} <= names
    assert "bdist_wheel" not in given["options"], "the wheel would be taken for one of all versions of Python"
    assert given["options"]["build"]["build_base"] != "build"


def built_version(monkeypatch: pytest.MonkeyPatch, folder: Path) -> str:
    """The version that is built of the source in a folder, or why none is."""
    given: dict[str, Any] = {}
    monkeypatch.setattr("setuptools.setup", given.update)
    monkeypatch.chdir(folder)
    try:
        runpy.run_path(str(ROOT / "setup.py"))
    except SystemExit as refusal:
        return str(refusal.code)
    return str(given["version"])


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_version_names_the_commit_of_what_is_not_released(monkeypatch, tmp_path: Path) -> None:
    source = tmp_path / "p2pool" / "__init__.py"
    source.parent.mkdir()
    source.write_text('"""A text."""\n\n__version__ = "2.1.0"\n')
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "P2POOL_COMPILE"):
        monkeypatch.delenv(name, raising=False)

    def git(*words: str) -> None:
        identity = ("-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    def commit() -> None:
        git("add", ".")
        git("commit", "-q", "--allow-empty", "-m", "m")

    def version() -> str:
        return re.sub(r"g[0-9a-f]{7,}", "gHASH", built_version(monkeypatch, tmp_path))

    assert version() == "2.1.0", "a source without a repository, as in a source distribution"
    git("init", "-q")
    assert version() == "2.1.0", "no commit"
    commit()
    assert version() == "2.1.0+gHASH"
    git("tag", "v2.1.0")
    assert version() == "2.1.0"
    source.write_text(source.read_text() + "# changed\n")
    assert version() == "2.1.0+0.gHASH.dirty"
    commit()
    assert version() == "2.1.0+1.gHASH"
    source.write_text(source.read_text().replace("2.1.0", "2.2.0"))
    commit()
    assert version() == "2.2.0+gHASH"
    git("tag", "v2.1.1")
    assert version() == "HEAD is tagged v2.1.1, but p2pool/__init__.py has version 2.2.0: change one of them"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert version() == "2.2.0", "no git"
