"""Reading from sockets and handing bytes to the kernel at once, for connections of which there are thousands."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.tcp import Connection

WriteSome = Callable[[bytes], object]
READ_SIZE: Final = 16384
"""Bytes that are read at once; the rest is read in the next turn, after all other connections."""


def direct_writer(transport: object) -> WriteSome | None:
    """Return what `write_at_once` needs of a transport; None unless it is a plain TCP connection (TLS buffers)."""
    if ISSLTransport.providedBy(transport):
        return None
    if isinstance(transport, Connection):
        return transport.socket.send
    return getattr(transport, "writeSomeData", None)


def write_at_once(transport: Any, write_some: WriteSome | None, data: bytes) -> bool:
    """Hand bytes to the kernel at once if no others are queued; queue what it does not take. Return whether it
    took all of them.

    Twisted's own `write` queues, registers with the poll object and deregisters when it has written: this costs
    more than sending, and a job broadcast does it ten thousand times.
    """
    if (
        write_some is None
        or transport.disconnecting
        or not transport.connected
        or transport._tempDataLen
        or len(transport.dataBuffer) > transport.offset
    ):
        transport.write(data)
        return False
    try:
        sent = write_some(data)
    except OSError:
        sent = 0  # the kernel has no room, or the connection is lost, which the reactor will find out by itself
    if not isinstance(sent, int):
        sent = 0  # the connection is lost
    if sent >= len(data):
        return True
    transport.write(data[sent:])
    return False


def read_directly(transport: Any, received: Callable[[bytes], None]) -> None:
    """Let what a plain TCP connection receives go to `received` without Twisted's functions in between. Does
    nothing for other transports, whose protocols get their input as usual.

    The connection holds `received` until `stop_direct_reading`, or its end.
    """
    if not isinstance(transport, Connection) or ISSLTransport.providedBy(transport):
        return
    transport.doRead = partial(_read, transport, received)  # type: ignore[method-assign]


def _read(transport: Connection, received: Callable[[bytes], None]) -> ConnectionDone | ConnectionLost | None:
    """Read once from a connection; return why it ended, or None if it did not."""
    try:
        data = transport.socket.recv(READ_SIZE)
    except BlockingIOError:
        return None
    except OSError:
        return CONNECTION_LOST
    if not data:
        return CONNECTION_DONE
    received(data)
    return None


def stop_direct_reading(transport: object) -> None:
    """Let a connection that ended release what `read_directly` gave it, so that no cycle keeps both in memory."""
    if isinstance(transport, Connection):
        vars(transport).pop("doRead", None)


def unsent_bytes(transport: object) -> bytes:
    """Return the bytes that a plain TCP transport still holds."""
    buffered = bytes(getattr(transport, "dataBuffer", b""))[int(getattr(transport, "offset", 0)) :]
    return buffered + b"".join(getattr(transport, "_tempDataBuffer", ()))


def unsent(transport: object) -> int:
    """Return how many bytes the transport still holds (Twisted keeps them in two places, other transports in
    none)."""
    buffered = len(getattr(transport, "dataBuffer", b"")) - int(getattr(transport, "offset", 0))
    return buffered + int(getattr(transport, "_tempDataLen", 0))
