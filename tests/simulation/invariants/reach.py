"""Find every table of a node: all containers that can be reached from its services, whatever holds them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from types import CellType, CoroutineType, FunctionType, GeneratorType, MethodType
from typing import Any, Final

from twisted.internet.defer import Deferred

from p2pool.share.share import Share
from p2pool.sharechain.forest import ChainEntry

ELEMENTS: Final = 60
"""Elements of a table that are looked into: the newest ones, and as many of the oldest."""
_SIZED: Final = (dict, list, set, frozenset, deque, tuple, bytearray)
_OURS: Final = ("p2pool.", "tests.simulation.pool_node")
_LOOKED_INTO: Final = (*_OURS, "twisted.internet.task", "twisted.application", "twisted.python.failure")
_LEAVES: Final = (str, bytes, int, float, type(None), type, Share, ChainEntry)


def tables_of(*roots: object) -> Iterator[tuple[str, Any]]:
    """Yield (name, container) of all that can be reached: through attributes, elements, closures, bound methods,
    partials, Deferreds and coroutines that wait. A name is that of the class, or function, and of the attribute.
    Shares are not looked into, nor is what does not belong to the program."""
    seen: set[int] = set()
    waiting: list[tuple[str, Any]] = [("root", root) for root in roots]
    while waiting:
        name, thing = waiting.pop()
        if isinstance(thing, _LEAVES) or id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, _SIZED) or (_is_ours(thing) and _has_length(thing)):
            yield name, thing
        waiting.extend(_inside(name, thing))


def _is_ours(thing: object) -> bool:
    return type(thing).__module__.startswith(_OURS)


def _has_length(thing: object) -> bool:
    return any("__len__" in vars(kind) for kind in type(thing).__mro__)


def _inside(name: str, thing: Any) -> Iterable[tuple[str, Any]]:
    """Return what a thing holds, with names."""
    if isinstance(thing, Mapping):
        some = [*islice(thing.items(), ELEMENTS), *islice(reversed(thing.items()), ELEMENTS)] if thing else ()
        found = [(f"{name}[]", each) for pair in some for each in pair]
    elif isinstance(thing, list | tuple | deque):
        found = [(f"{name}[]", each) for each in (*islice(thing, ELEMENTS), *islice(reversed(thing), ELEMENTS))]
    elif isinstance(thing, set | frozenset):
        found = [(f"{name}[]", each) for each in islice(thing, 2 * ELEMENTS)]
    elif isinstance(thing, MethodType):
        return [(name, thing.__self__), (name, thing.__func__)]
    elif isinstance(thing, partial):
        return [(name, thing.func), (f"{name}()", thing.args), (f"{name}()", thing.keywords)]
    elif isinstance(thing, FunctionType):
        if not thing.__module__.startswith(_LOOKED_INTO):
            return []  # an observer of the world's: what it holds is not the node's
        return [(f"{thing.__qualname__}.{each}", cell) for each, cell in _closure(thing)]
    elif isinstance(thing, CellType):
        return [(name, each) for each in _content(thing)]
    elif isinstance(thing, Deferred):
        return [(f"{name} callbacks", each) for _, each in _attributes(thing)]
    elif isinstance(thing, CoroutineType | GeneratorType):
        return _waiting_code(thing)
    else:
        found = []
    if type(thing).__module__.startswith(_LOOKED_INTO):
        found += [(f"{type(thing).__name__}.{each}", value) for each, value in _attributes(thing)]
    return found


def _closure(function: FunctionType) -> Iterable[tuple[str, CellType]]:
    return zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)


def _content(cell: CellType) -> tuple[object, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:  # it is empty
        return ()


def _waiting_code(code: Any) -> list[tuple[str, Any]]:
    """Return the variables of a coroutine or generator that waits, and what it waits for."""
    frame = getattr(code, "cr_frame", None) or getattr(code, "gi_frame", None)
    if frame is None:
        return []
    awaited = getattr(code, "cr_await", None) or getattr(code, "gi_yieldfrom", None)
    return [(f"{code.__qualname__}.{each}", value) for each, value in frame.f_locals.items()] + [
        (code.__qualname__, awaited)
    ]


def _attributes(thing: object) -> Iterator[tuple[str, Any]]:
    yield from getattr(thing, "__dict__", {}).items()
    for kind in type(thing).__mro__:
        for name in getattr(kind, "__slots__", ()):
            if hasattr(thing, name):
                yield name, getattr(thing, name)
