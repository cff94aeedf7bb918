"""Handing bytes to the kernel at once, for what goes to thousands of connections at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import ISSLTransport

WriteSome = Callable[[bytes], object]


def direct_writer(transport: object) -> WriteSome | None:
    """Return what `write_at_once` needs of a transport; None unless it is a plain TCP connection (TLS buffers)."""
    return None if ISSLTransport.providedBy(transport) else getattr(transport, "writeSomeData", None)


def write_at_once(transport: Any, write_some: WriteSome | None, data: bytes) -> bool:
    """Hand bytes to the kernel at once if no others are queued; queue what it does not take. Return whether it
    took all of them.

    Twisted's own `write` queues, registers with the poll object and deregisters when it has written: this costs
    more than sending, and a job broadcast does it ten thousand times.
    """
    if write_some is None or transport.disconnecting or not transport.connected or unsent(transport):
        transport.write(data)
        return False
    sent = write_some(data)
    if not isinstance(sent, int):
        sent = 0  # the connection is lost, and the reactor will find out by itself
    if sent >= len(data):
        return True
    transport.write(data[sent:])
    return False


def unsent_bytes(transport: object) -> bytes:
    """Return the bytes that a plain TCP transport still holds."""
    buffered = bytes(getattr(transport, "dataBuffer", b""))[int(getattr(transport, "offset", 0)) :]
    return buffered + b"".join(getattr(transport, "_tempDataBuffer", ()))


def unsent(transport: object) -> int:
    """Return how many bytes the transport still holds (Twisted keeps them in two places, other transports in
    none)."""
    buffered = len(getattr(transport, "dataBuffer", b"")) - int(getattr(transport, "offset", 0))
    return buffered + int(getattr(transport, "_tempDataLen", 0))
