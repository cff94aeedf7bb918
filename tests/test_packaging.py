"""What is installed: lists of requirements that setuptools can read, and the data files of packages."""

from __future__ import annotations

import runpy
import tomllib
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests.support import ROOT

DYNAMIC = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["dynamic"]
FILES = [DYNAMIC["dependencies"]["file"], *(each["file"] for each in DYNAMIC["optional-dependencies"].values())]


@pytest.mark.parametrize("name", sorted({name for each in FILES for name in each}))
def test_lists_of_requirements_hold_requirements_only(name: str) -> None:
    """pip knows options there, such as -r; setuptools refuses them, and nothing can be installed."""
    lines = [line.partition(" #")[0].strip() for line in (ROOT / name).read_text("utf-8").splitlines()]
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert requirements


def test_a_wheel_holds_the_data_files_of_packages(monkeypatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr("setuptools.setup", given.update)
    monkeypatch.chdir(ROOT)
    runpy.run_path(str(ROOT / "setup.py"))
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
