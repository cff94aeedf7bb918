"""The one thing that a simulation replaces: proof of work. A hash costs half a microsecond instead of sixteen.
(Also, no object is exempt from garbage collection: the simulation counts those that the collector knows.)

`install` must be called before anything else of p2pool is imported: modules take the function from `dash.pow`.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable

from p2pool.base import acyclic
from p2pool.dash import pow as proof_of_work
from p2pool.dash.x11_providers import one_by_one


def digest(header: bytes) -> bytes:
    """Return the 32 bytes of the cheap hash of a header."""
    return hashlib.sha256(header).digest()


class SystemTimeRead(AssertionError):
    """The program read the system's clock, which a simulated process must not know of."""


def _forbid(function: Callable[[], float]) -> Callable[[], float]:
    def guarded() -> float:
        caller = sys._getframe(1).f_globals.get("__name__", "")
        if caller.startswith("p2pool."):
            raise SystemTimeRead(f"{caller} reads the system's clock")
        return function()

    return guarded


def install() -> None:
    """Let every module that is imported from now on use the cheap hash, and exempt no object."""
    acyclic.never_in_cycles = lambda value: None
    proof_of_work.PROVIDER = one_by_one("simulated", digest)
    proof_of_work.x11_digest = proof_of_work.PROVIDER.digest
    proof_of_work.x11_digests = proof_of_work.PROVIDER.many
    time.time, time.monotonic = _forbid(time.time), _forbid(time.monotonic)
