"""The modules that mypyc compiles: where that was asked for they are compiled, and everywhere they can be."""

from __future__ import annotations

import ast
import importlib
import os
from importlib.machinery import ExtensionFileLoader
from importlib.util import spec_from_loader
from pathlib import Path

import pytest

from p2pool.app import compiled
from p2pool.app.cli import main
from p2pool.app.compiled import MODULES
from tests.support import ROOT, parse_module

ASKED_FOR = os.environ.get("P2POOL_COMPILE", "0") not in ("", "0")


def source(module: str) -> Path:
    """Return the file of a module."""
    return ROOT / (module.replace(".", "/") + ".py")


def test_modules_are_listed_once_and_in_order():
    assert list(MODULES) == sorted(set(MODULES))


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_compiled_where_that_was_asked_for(module):
    loaded = importlib.import_module(module)
    assert isinstance(loaded.__loader__, ExtensionFileLoader) == compiled.is_compiled(module)
    assert compiled.is_compiled(module) or not ASKED_FOR


def test_compiled_modules_are_not_older_than_their_source():
    compiled.check_compiled()


@pytest.mark.parametrize(("seconds", "outdated"), [(0, False), (50, False), (70, True)])
def test_the_program_does_not_start_with_modules_that_were_compiled_before_their_source_changed(
    seconds, outdated, tmp_path, monkeypatch, capsys
):
    """Python imports the compiled one, whatever its source says since."""
    for name, time in (("job.cpython-311.so", 1e9), ("job.py", 1e9 + seconds)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time, time))
    loader = ExtensionFileLoader("p2pool.jobs.job", str(tmp_path / "job.cpython-311.so"))
    monkeypatch.setattr(compiled, "MODULES", ("p2pool.jobs.job",))
    monkeypatch.setattr(compiled, "find_spec", lambda name: spec_from_loader(name, loader))
    assert compiled.is_outdated("p2pool.jobs.job") == outdated
    if outdated:
        assert main(["--net", "simnet"]) != 0
        assert "p2pool.jobs.job changed after it was compiled (1 of 1 modules" in capsys.readouterr().err


DIVIDE_FLOATS = {"p2pool.base.rates", "p2pool.stratum.session", "p2pool.stratum.vardiff"}
"""Modules whose quotients are of floats, or of integers far below 2**53."""


@pytest.mark.parametrize("module", MODULES)
def test_no_module_divides_large_integers(module):
    """Python rounds such a quotient once. Compiled code rounds both numbers first: targets would differ."""
    divides = any(isinstance(node, ast.Div) for node in ast.walk(parse_module(source(module))))
    assert divides == (module in DIVIDE_FLOATS)


def test_no_interpreted_class_has_a_compiled_base():
    """Compiled code refuses that, when the class is made or its first object: compile the subclass as well."""
    found = []
    for path in (*ROOT.glob("p2pool/**/*.py"), *ROOT.glob("tests/**/*.py")):
        if ".".join(path.relative_to(ROOT).with_suffix("").parts) in MODULES:
            continue
        nodes = list(ast.walk(parse_module(path)))
        origins = {
            alias.asname or alias.name: node.module
            for node in nodes
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        for node in nodes:
            if isinstance(node, ast.ClassDef):
                bases = {ast.unparse(base).partition("[")[0] for base in node.bases}
                found += [f"{path}: {node.name}" for base in bases if origins.get(base) in MODULES]
    assert found == []


def test_nothing_refers_weakly_to_compiled_objects():
    """A weak reference would be freed together with its object: the process would crash later."""
    for path in ROOT.glob("p2pool/**/*.py"):
        assert not _imports(path, "weakref"), path
    for module in MODULES:
        # Libraries may keep weak references to what is theirs.
        assert not _imports(source(module), "twisted.internet.protocol"), module


def _imports(path, module):
    nodes = list(ast.walk(parse_module(path)))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return module in names or any(isinstance(node, ast.ImportFrom) and node.module == module for node in nodes)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "no"),
        (1, f"1 of {len(MODULES)} modules: build them again"),
        (len(MODULES) - 1, f"{len(MODULES) - 1} of {len(MODULES)} modules: build them again"),
        (len(MODULES), "yes"),
    ],
)
def test_a_build_is_described(count, text, monkeypatch):
    monkeypatch.setattr(compiled, "is_compiled", lambda module: module in MODULES[:count])
    assert compiled.describe() == text


def test_what_is_no_module_is_not_compiled():
    assert not compiled.is_compiled("p2pool.no_such_module")
    assert not compiled.is_compiled("p2pool.app.compiled")
