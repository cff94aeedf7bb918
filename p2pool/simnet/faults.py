"""Faults on demand: what a real Dash Core does on a bad day. Read by the RPC server, set by `simnet_*` calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class ErrorKind(Enum):
    """What a failing call answers."""

    INTERNAL = "internal"
    WARM_UP = "warmup"
    NOT_CONNECTED = "notconnected"
    INITIAL_DOWNLOAD = "initialdownload"


@dataclass(frozen=True, slots=True)
class CannedError:
    """The JSON-RPC error of a fault."""

    code: int
    message: str


_WARM_UP = -28
WARM_UP_STAGES = (
    "Loading banlist…",
    "Loading block index…",
    "Verifying blocks…",
    "Starting network threads…",
)
"""The messages of a Dash Core while it starts, one after the other."""

_ERRORS = {
    ErrorKind.INTERNAL: CannedError(-32603, "Internal error (simulated)"),
    ErrorKind.WARM_UP: CannedError(_WARM_UP, WARM_UP_STAGES[1]),
    ErrorKind.NOT_CONNECTED: CannedError(-9, "Dash Core is not connected!"),
    ErrorKind.INITIAL_DOWNLOAD: CannedError(-10, "Dash Core is in initial sync and waiting for blocks..."),
}


class FaultControls:
    """The faults in force. `now` gives seconds. Calls named `simnet_*` are never affected."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._silent_until = float("-inf")
        self._errors_left = 0
        self._error = ErrorKind.INTERNAL
        self._warm_up_began = float("-inf")
        self._warm_up_seconds = 0.0
        self.delay_seconds = 0.0
        """By how much every answer is late."""

    def silence(self, seconds: float) -> None:
        """Accept calls and answer nothing for so long; calls made in that time are never answered."""
        self._silent_until = self._now() + seconds

    def fail(self, calls: int, kind: ErrorKind = ErrorKind.INTERNAL) -> None:
        """Answer the next calls with an error."""
        self._errors_left = calls
        self._error = kind

    def warm_up(self, seconds: float) -> None:
        """Behave as a daemon that has just been started: every call fails for so long, stage by stage."""
        self._warm_up_began = self._now()
        self._warm_up_seconds = seconds

    def delay(self, seconds: float) -> None:
        """Answer late from now on; 0 ends it."""
        self.delay_seconds = seconds

    @property
    def silent(self) -> bool:
        """Return whether calls get no answer now."""
        return self._now() < self._silent_until

    def take_error(self) -> CannedError | None:
        """Return the error for this call, counted down; None if it is to be answered properly."""
        elapsed = self._now() - self._warm_up_began
        if elapsed < self._warm_up_seconds:
            stage = int(elapsed / self._warm_up_seconds * len(WARM_UP_STAGES))
            return CannedError(_WARM_UP, WARM_UP_STAGES[stage])
        if self._errors_left <= 0:
            return None
        self._errors_left -= 1
        return _ERRORS[self._error]
