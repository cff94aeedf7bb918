"""What changed between two renderings of a view, as JSON that a page can apply. Pure; `web-static/js/live.js`
applies it.

A patch is one of
  {"value": V}                                  the whole value is V now;
  {"set": {K: V}, "in": {K: PATCH}, "gone": [K]}  of an object: keys that are new or have another value, keys whose
                                                values changed in part, keys that were removed; what is empty is
                                                left out. Of a list of unchanged length: K is an index as text;
  {"first": [V, ...], "keep": N}                of a list, most of all one with the newest first: it begins with
                                                these, and the first N of the former list follow.

The order of an object's keys is not kept, and true passes for 1, false for 0: no view has both in one place.
"""

from __future__ import annotations

from typing import Any, Final

Patch = dict[str, Any]

MAX_NEW: Final = 8
"""New entries at the beginning of a list that are detected; a list with more is sent whole."""
_ABSENT: Final = object()


class _Changes:
    """Values of one object or list that differ: as a whole, or in part if that is possible."""

    __slots__ = ("inside", "whole")

    def __init__(self) -> None:
        self.whole: dict[str, Any] = {}
        self.inside: dict[str, Patch] = {}

    def add(self, key: str, before: Any, value: Any) -> None:
        """Note that the value of `key` has changed."""
        patch = difference(before, value)
        if patch is None or "value" in patch:
            self.whole[key] = value
        else:
            self.inside[key] = patch

    def patch(self, gone: list[str]) -> Patch:
        """Return the patch without its empty parts; `gone` are the keys that were removed."""
        parts = {"set": self.whole, "in": self.inside, "gone": gone}
        return {name: part for name, part in parts.items() if part}


def difference(old: Any, new: Any) -> Patch | None:
    """Return the patch that makes `new` of `old`; None if they are equal. Both are what JSON was made of: what
    is rendered already (orjson.Fragment) is taken as a whole, and differs if it is another object."""
    if old == new:
        return None
    if type(old) is dict and type(new) is dict:
        return _of_objects(old, new)
    if type(old) is list and type(new) is list:
        return _of_lists(old, new)
    return {"value": new}


def _of_objects(old: dict[str, Any], new: dict[str, Any]) -> Patch:
    changes = _Changes()
    for key, value in new.items():
        before = old.get(key, _ABSENT)
        if before is _ABSENT:
            changes.whole[key] = value
        elif before != value:
            changes.add(key, before, value)
    gone = [key for key in old if key not in new]
    if len(changes.whole) == len(new) and not changes.inside:
        return {"value": new}
    return changes.patch(gone)


def _of_lists(old: list[Any], new: list[Any]) -> Patch:
    for count in range(min(MAX_NEW, len(new)) + 1):
        kept = len(new) - count
        if 0 < kept <= len(old) and new[count:] == old[:kept]:
            return {"first": new[:count], "keep": kept}
    if len(old) != len(new):
        return {"value": new}
    changes = _Changes()
    for index, (before, value) in enumerate(zip(old, new, strict=True)):
        if before != value:
            changes.add(str(index), before, value)
    return {"value": new} if len(changes.whole) == len(new) else changes.patch([])
