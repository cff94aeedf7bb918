"""The floors of docs/architecture.md: an import may lead down, or to a sibling that is named here."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.support import ROOT, parse_module

FLOORS: dict[str, int] = {
    "base": 0,
    "wire": 0,
    "dash": 1,
    "networks": 1,
    "pool_stats": 1,
    "share": 2,
    "simnet": 2,
    "sharechain": 3,
    "history": 3,
    "dashd": 4,
    "jobs": 4,
    "node": 5,
    "peers": 5,
    "stratum": 5,
    "alerts": 5,
    "persistence": 6,
    "bench_log": 6,
    "peer_pool": 6,
    "web": 6,
    "flags": 7,
    "peer_flags": 7,
    "legacy_flags": 7,
    "state_files": 7,
    "config": 7,
    "shown_settings": 7,
    "datadir": 7,
    "logs": 7,
    "worker_port": 7,
    "peering": 7,
    "mining": 7,
    "pages": 7,
    "embedded": 7,
    "recording": 7,
    "dash_core": 7,
    "alerting": 7,
    "ban_file": 6,
    "tls": 7,
    "own_certificate": 7,
    "proxy_protocol": 6,
    "first_bytes": 6,
    "app": 7,
    "cli": 7,
    "__main__": 7,
}
SIBLINGS = {
    ("wire", "base"),
    ("networks", "dash"),
    ("jobs", "dashd"),
    ("config", "flags"),
    ("config", "legacy_flags"),
    ("flags", "legacy_flags"),
    ("flags", "peer_flags"),
    ("alerting", "config"),
    ("app", "alerting"),
    ("app", "config"),
    ("app", "dash_core"),
    ("app", "datadir"),
    ("app", "logs"),
    ("app", "mining"),
    ("app", "pages"),
    ("app", "peering"),
    ("app", "embedded"),
    ("app", "recording"),
    ("app", "shown_settings"),
    ("app", "state_files"),
    ("shown_settings", "config"),
    ("dash_core", "config"),
    ("mining", "config"),
    ("mining", "own_certificate"),
    ("mining", "tls"),
    ("mining", "worker_port"),
    ("pages", "config"),
    ("own_certificate", "tls"),
    ("pages", "own_certificate"),
    ("pages", "tls"),
    ("pages", "worker_port"),
    ("peering", "config"),
    ("embedded", "config"),
    ("embedded", "dash_core"),
    ("recording", "config"),
    ("cli", "app"),
    ("cli", "config"),
    ("__main__", "cli"),
}
REACTOR_ALLOWED = {"app", "cli"}
PACKAGE = ROOT / "p2pool"
FILES = sorted(PACKAGE.rglob("*.py"))


def module_of(path: Path) -> str:
    """The floor's name for a file: its package below p2pool, or its own name."""
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imported(path: Path) -> list[tuple[int, str]]:
    """(line, dotted name) of every import in a file, wherever it stands."""
    found = []
    for node in ast.walk(parse_module(path)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return found


def test_every_module_has_a_floor():
    assert {module_of(p) for p in FILES} - {"__init__"} <= set(FLOORS)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_lead_down(path):
    module = module_of(path)
    for line, name in imported(path):
        parts = name.split(".")
        if parts[0] == "twisted" and "reactor" in parts:
            assert module in REACTOR_ALLOWED or path.stem == "__main__" or is_program(path, line), (
                f"{path}:{line} imports the reactor"
            )
        if parts[0] != "p2pool" or len(parts) < 2 or module == "__init__":
            continue
        target = parts[1]
        if target == module or target.startswith("__"):
            continue
        assert target in FLOORS, f"{path}:{line}: {name}"
        down = FLOORS[target] < FLOORS[module]
        assert down or (module, target) in SIBLINGS, f"{path}:{line}: {module} must not import {target}"


def is_program(path: Path, line: int) -> bool:
    """Whether the line stands in a function `main`: a module that is a program of its own may pick a reactor."""
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
    module = module_of(path)
    for node in ast.walk(parse_module(path)):
        assert not isinstance(node, ast.Assert), f"{path}:{node.lineno}: assert"
        if module in ("app", "cli") or not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called in ("time.time", "time.sleep") and path.stem != "__main__":
            assert is_program(path, node.lineno), f"{path}:{node.lineno}: {called}()"


def test_the_architecture_page_names_every_floor():
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    for module in FLOORS:
        if (PACKAGE / module).exists() or (PACKAGE / f"{module}.py").exists():
            assert module in page, f"docs/architecture.md does not name {module}"
