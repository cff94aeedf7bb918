"""Deliberate defects as edits of the source of p2pool's modules, made while they are imported."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

ROOT = Path(__file__).resolve().parents[3]


class EditFails(Exception):
    """The code is no longer what an edit was written for."""


@dataclass(frozen=True)
class Edit:
    """Replaces `old`, which must occur once in the source of `module`, with `new`."""

    module: str
    old: str
    new: str

    @property
    def path(self) -> Path:
        """Return the file of the module."""
        path = ROOT.joinpath(*self.module.split("."))
        return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")

    def apply(self, source: str) -> str:
        """Return the changed source. Raises EditFails."""
        found = source.count(self.old)
        if found != 1:
            raise EditFails(f"{self.module} has this {found} times, not once: {self.old!r}")
        return source.replace(self.old, self.new)


class _EditedModule(importlib.machinery.SourceFileLoader):
    """Loads a module from its changed source; nothing of it is kept in a cache."""

    def __init__(self, name: str, path: str, edits: Sequence[Edit]) -> None:
        super().__init__(name, path)
        self._edits = edits

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of the changed source."""
        source = Path(self.path).read_text("utf-8")
        for edit in self._edits:
            source = edit.apply(source)
        return compile(source, self.path, "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, edits: Iterable[Edit]) -> None:
        self._edits: dict[str, list[Edit]] = {}
        for edit in edits:
            self._edits.setdefault(edit.module, []).append(edit)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the module's specification if it is one of those to be changed."""
        edits = self._edits.get(fullname)
        if edits is None:
            return None
        file = str(edits[0].path)
        return importlib.util.spec_from_file_location(fullname, file, loader=_EditedModule(fullname, file, edits))


def install(edits: Iterable[Edit]) -> None:
    """Change modules that are imported from now on. Raises EditFails if one of them is imported already."""
    edits = list(edits)
    for edit in edits:
        if edit.module in sys.modules:
            raise EditFails(f"{edit.module} is imported already")
    sys.meta_path.insert(0, _Finder(edits))
