"""What is installed: every list of requirements can be read by setuptools, which pyproject.toml has read them."""

from __future__ import annotations

import tomllib

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
