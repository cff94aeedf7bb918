"""What is installed: lists of requirements that setuptools can read, and the data files of packages."""

from __future__ import annotations

import re
import runpy
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
    "requirements.lock": ["requirements.txt", "requirements-postgresql.txt", "requirements-broker.txt"],
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
