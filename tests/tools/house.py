"""Print how well the code keeps the habits of its layout: `python -m tests.tools.house`.

Each figure is a count, with the places that make it up when `--list` is given.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support import parse_module

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "p2pool"
MAX_POSITIONAL = 3
"""Parameters besides self that a call may pass without naming them."""
MIN_DOCSTRING_WORDS = 4


@dataclass(frozen=True)
class Figure:
    """One measured habit: a value for people, and the places behind it."""

    name: str
    value: str
    places: tuple[str, ...] = ()


@dataclass(frozen=True)
class Module:
    """A parsed source file; `name` is its dotted name."""

    name: str
    path: Path
    tree: ast.Module
    lines: int

    @property
    def where(self) -> str:
        """Return the path relative to the repository."""
        return str(self.path.relative_to(ROOT))


def read_modules(package: Path = PACKAGE) -> list[Module]:
    """Parse every module of a package folder, sorted by name."""
    modules = []
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        lines = len(path.read_text("utf-8").splitlines())
        modules.append(Module(name, path, parse_module(path), lines))
    return modules


def imported_modules(module: Module, known: Mapping[str, Module]) -> Iterator[str]:
    """Yield the dotted names of the modules of this project that a module imports, wherever in the file."""
    for node in ast.walk(module.tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names = [
                f"{node.module}.{alias.name}" if f"{node.module}.{alias.name}" in known else node.module
                for alias in node.names
            ]
        yield from (name for name in names if name in known and name != module.name)


def strongly_connected(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return the groups of two or more nodes that reach each other (Tarjan's algorithm, iterative)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    groups: list[list[str]] = []
    for root in graph:
        if root in index:
            continue
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        work = [(root, iter(graph[root]))]
        while work:
            node, successors = work[-1]
            for successor in successors:
                if successor not in index:
                    index[successor] = low[successor] = len(index)
                    stack.append(successor)
                    on_stack.add(successor)
                    work.append((successor, iter(graph[successor])))
                    break
                if successor in on_stack:
                    low[node] = min(low[node], index[successor])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    group = []
                    while True:
                        member = stack.pop()
                        on_stack.discard(member)
                        group.append(member)
                        if member == node:
                            break
                    if len(group) > 1:
                        groups.append(sorted(group))
    return sorted(groups)


def _room(name: str) -> str:
    """Return the entry of the top level that a module is in."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else parts[0]


def circles(modules: list[Module]) -> tuple[list[list[str]], list[list[str]]]:
    """Return the import circles between entries of the top level, and those of modules within one."""
    known = {module.name: module for module in modules}
    graph = {module.name: sorted(set(imported_modules(module, known))) for module in modules}
    rooms: dict[str, set[str]] = {}
    for name, targets in graph.items():
        rooms.setdefault(_room(name), set()).update(
            _room(target) for target in targets if _room(target) != _room(name)
        )
    inside = {
        name: [t for t in targets if _room(t) == _room(name) and t.count(".") > 1]
        for name, targets in graph.items()
        if name.count(".") > 1
    }
    return strongly_connected(rooms), strongly_connected(inside)


def functions(modules: list[Module]) -> Iterator[tuple[Module, ast.FunctionDef | ast.AsyncFunctionDef, bool]]:
    """Yield each function with its module and whether it is a method."""
    for module in modules:
        methods = {
            id(child) for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef) for child in node.body
        }
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield module, node, id(node) in methods


def positional_count(node: ast.FunctionDef | ast.AsyncFunctionDef, is_method: bool) -> int:
    """Return how many parameters a caller may pass unnamed, without self or cls."""
    count = len(node.args.posonlyargs) + len(node.args.args)
    static = any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in node.decorator_list)
    return count - (is_method and not static)


def _documented(modules: list[Module]) -> Iterator[tuple[str, str]]:
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.get_docstring(node)
                if text is not None:
                    name = "" if isinstance(node, ast.Module) else f":{node.name}"
                    yield f"{module.where}{name}", text


def _declared_settings(modules: list[Module]) -> Iterator[tuple[Module, ast.ClassDef, str, ast.Call]]:
    """Yield the fields of settings dataclasses: module, class, name and the call that declares it."""
    for module in modules:
        for owner in (node for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef)):
            for node in owner.body:
                if (
                    isinstance(node, ast.AnnAssign)
                    and isinstance(node.target, ast.Name)
                    and isinstance(node.value, ast.Call)
                    and isinstance(node.value.func, ast.Name)
                    and node.value.func.id in ("setting", "switch")
                ):
                    yield module, owner, node.target.id, node.value


def settings_declared_again(modules: list[Module]) -> list[str]:
    """Return the places that repeat what a setting's declaration says: another field declares the same flag, the
    program adds a flag by hand, another class has a number as the default of a field of the same name (unless the
    setting's own default is None), or help has the default written out. A default that is repeated under another
    name is not seen."""
    found: list[str] = []
    flags: set[str] = set()
    owners: dict[str, ast.ClassDef] = {}
    for module, owner, name, call in _declared_settings(modules):
        texts = {each.arg: each.value for each in call.keywords}
        named = texts.get("flag")
        flag = str(named.value) if isinstance(named, ast.Constant) else "--" + name.replace("_", "-")
        if flag in flags:
            found.append(f"{module.where}:{call.lineno} {flag} is declared again")
        flags.add(flag)
        if not (call.args and isinstance(call.args[0], ast.Constant) and call.args[0].value is None):
            owners[name] = owner
        strings = [each.value for each in ast.walk(texts["help"]) if isinstance(each, ast.Constant)]
        if any(isinstance(each, str) and "(default" in each for each in strings):
            found.append(f"{module.where}:{call.lineno} help of {flag} has the default written out")
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                for each in node.body:
                    if (
                        isinstance(each, ast.AnnAssign)
                        and isinstance(each.target, ast.Name)
                        and each.target.id in owners
                        and owners[each.target.id] is not node
                        and _is_number(each.value)
                    ):
                        found.append(f"{module.where}:{each.lineno} default of {each.target.id}")
            elif isinstance(node, ast.Call) and _room(module.name) == "app":
                first = node.args[0] if node.args else None
                is_parser = isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument"
                if is_parser and isinstance(first, ast.Constant) and str(first.value) in flags:
                    found.append(f"{module.where}:{node.lineno} {first.value!s} is added by hand")
    return found


def _is_number(node: ast.expr | None) -> bool:
    """Return whether an expression is made of numbers only."""
    if isinstance(node, ast.BinOp):
        return _is_number(node.left) and _is_number(node.right)
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)


def measure(modules: list[Module]) -> list[Figure]:
    """Return all figures of a list of modules."""
    rooms = sorted({_room(module.name) for module in modules if module.name != PACKAGE.name})
    files = [room for room in rooms if (PACKAGE / f"{room}.py").exists()]
    between, within = circles(modules)
    wide = [
        (f"{module.where}:{node.lineno} {node.name}: {count}", node.name)
        for module, node, is_method in functions(modules)
        if (count := positional_count(node, is_method)) > MAX_POSITIONAL
    ]
    constructors = [place for place, name in wide if name == "__init__"]
    others = [place for place, name in wide if name != "__init__"]
    largest_file = max(modules, key=lambda module: module.lines)
    length, place = max(
        ((node.end_lineno or node.lineno) - node.lineno + 1, f"{module.where}:{node.name}")
        for module, node, _ in functions(modules)
    )
    untyped = [
        f"{module.where}:{node.lineno}"
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.arg)
        and node.arg == "reactor"
        and isinstance(node.annotation, ast.Name)
        and node.annotation.id == "Any"
    ]
    again = settings_declared_again(modules)
    short = [f"{place}: {text}" for place, text in _documented(modules) if len(text.split()) < MIN_DOCSTRING_WORDS]
    return [
        Figure("modules at the top level", f"{len(files)} files, {len(rooms)} with packages", tuple(rooms)),
        Figure("import circles between packages", str(len(between)), tuple(map(" <-> ".join, between))),
        Figure("import circles inside packages", str(len(within)), tuple(map(" <-> ".join, within))),
        Figure("constructors with more than 3 positional parameters", str(len(constructors)), tuple(constructors)),
        Figure("functions with more than 3 positional parameters", str(len(others)), tuple(others)),
        Figure("largest file", f"{largest_file.lines} lines, {largest_file.where}"),
        Figure("largest function", f"{length} lines, {place}"),
        Figure("parameters `reactor: Any`", str(len(untyped)), tuple(untyped)),
        Figure("docstrings under four words", str(len(short)), tuple(short)),
        Figure("settings declared more than once", str(len(again)), tuple(again)),
    ]


def main(arguments: list[str]) -> int:
    """Print the figures; with `--list`, the places behind them as well."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.house", description=__doc__)
    parser.add_argument("--list", action="store_true", help="print the places behind each figure")
    options = parser.parse_args(arguments)
    for figure in measure(read_modules()):
        print(f"{figure.name}: {figure.value}")
        if options.list:
            for place in figure.places:
                print(f"    {place}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
