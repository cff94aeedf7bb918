"""The layers of docs/architecture.md: an import may lead down, or to a sibling that is named here."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.support import ROOT, parse_module
from tests.tools.house import circles, read_modules

LAYERS: dict[str, int] = {
    "base": 0,
    "wire": 0,
    "dash": 1,
    "net": 1,
    "networks": 1,
    "pool_stats": 1,
    "share": 2,
    "simnet": 2,
    "sharechain": 3,
    "history": 3,
    "dashd": 4,
    "jobs": 4,
    "peers": 5,
    "stratum": 5,
    "alerts": 5,
    "broker": 1,
    "node": 6,
    "gateway": 7,
    "web": 7,
    "app": 8,
    "operators": 9,
    "__main__": 10,
}
SIBLINGS = {
    ("wire", "base"),
    ("networks", "dash"),
    ("jobs", "dashd"),
}
REACTOR_ALLOWED = {"app/process.py", "app/cli.py", "operators/asynchronous.py"}
PACKAGE = ROOT / "p2pool"
FILES = sorted(PACKAGE.rglob("*.py"))


def module_of(path: Path) -> str:
    """Return the layer's name for a file: its package below p2pool, or its own name."""
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imported(path: Path) -> list[tuple[int, str]]:
    """(line, dotted name) of every import in a file, wherever it is."""
    found = []
    for node in ast.walk(parse_module(path)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return found


def test_every_module_has_a_layer():
    assert {module_of(p) for p in FILES} - {"__init__"} <= set(LAYERS)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_lead_down(path):
    module = module_of(path)
    for line, name in imported(path):
        parts = name.split(".")
        if parts[0] == "twisted" and "reactor" in parts:
            assert (
                str(path.relative_to(PACKAGE)) in REACTOR_ALLOWED
                or path.stem == "__main__"
                or is_program(path, line)
            ), f"{path}:{line} imports the reactor"
        if parts[0] != "p2pool" or len(parts) < 2 or module == "__init__":
            continue
        target = parts[1]
        if target == module or target.startswith("__"):
            continue
        assert target in LAYERS, f"{path}:{line}: {name}"
        down = LAYERS[target] < LAYERS[module]
        assert down or (module, target) in SIBLINGS, f"{path}:{line}: {module} must not import {target}"


def is_program(path: Path, line: int) -> bool:
    """Return whether the line is in a function `main`: a module that is a program may pick a reactor."""
    for node in ast.walk(parse_module(path)):
        if (
            isinstance(node, ast.FunctionDef)
            and node.name == "main"
            and node.lineno <= line <= (node.end_lineno or 0)
        ):
            return True
    return False


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_clocks_are_passed_in_and_rules_are_not_asserted(path):
    for node in ast.walk(parse_module(path)):
        assert not isinstance(node, ast.Assert), f"{path}:{node.lineno}: assert"
        if str(path.relative_to(PACKAGE)) in REACTOR_ALLOWED or not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called in ("time.time", "time.sleep") and path.stem != "__main__":
            assert is_program(path, node.lineno), f"{path}:{node.lineno}: {called}()"


def test_no_imports_are_circular():
    """Those for type checkers count: what two modules need of each other belongs into a third."""
    between, within = circles(read_modules())
    assert between == []
    assert within == []


def test_every_package_lists_its_modules():
    """A package's docstring is the map of its modules."""
    missing = []
    for package in sorted(path.parent for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE):
        words = set(re.findall(r"\w+", ast.get_docstring(parse_module(package / "__init__.py")) or ""))
        missing += [
            str(path) for path in package.glob("*.py") if path.stem not in {"__init__", "__main__"} | words
        ]
    assert missing == []


def test_the_architecture_page_names_every_layer():
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    for module in set(LAYERS) - {"__main__"}:
        if (PACKAGE / module).exists() or (PACKAGE / f"{module}.py").exists():
            assert module in page, f"docs/architecture.md does not name {module}"
