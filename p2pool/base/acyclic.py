"""Exempts objects from the search for reference cycles.

A full garbage collection visits every object that can refer to others. A node holds tens of thousands of values
that live for a day and cannot be in a cycle: to visit them finds nothing, and delays the miners.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable


def _load() -> Callable[[object], None]:
    """Return CPython's function, or one that does nothing on another Python."""
    try:
        untrack = ctypes.pythonapi.PyObject_GC_UnTrack
    except AttributeError:
        return lambda value: None
    untrack.argtypes = [ctypes.py_object]
    untrack.restype = None
    return untrack


never_in_cycles: Callable[[object], None] = _load()
"""Exempt an array, or an instance of a class with `__slots__`, from garbage collection. It is freed with its last
reference.

Call this only for an object from which no chain of references leads back to it, now or later: a cycle through
it would never be freed. References to classes, and to objects that live as long as the process, do no harm.
"""
