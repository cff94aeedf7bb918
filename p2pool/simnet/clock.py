"""What the simulation needs of a reactor, as types: the real one and `twisted.internet.task.Clock` both fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Cancellable(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Do not make it. Raises where it was made."""


class Clock(Protocol):
    """Time. `seconds` must be Unix time: blocks carry it."""

    def seconds(self) -> float:
        """Now."""

    def callLater(self, delay: float, callable: Callable[..., object], *args: object) -> Cancellable:
        """Call after `delay` seconds."""


class ShiftedClock:
    """A daemon's own idea of the time: that of the machine, and `offset` seconds more."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self.offset = 0.0

    def now(self) -> float:
        """Unix time in seconds."""
        return self._seconds() + self.offset


class ListeningPort(Protocol):
    """A listening socket."""

    def getHost(self) -> object:
        """Its address, with the attribute `port`."""

    def stopListening(self) -> object:
        """Close it; a Deferred or None."""


class SimnetReactor(Clock, Protocol):
    """A reactor that listens."""

    def listenTCP(self, port: int, factory: object, backlog: int = 50, interface: str = "") -> ListeningPort:
        """Listen; CannotListenError where the port is in use."""
