"""Reading from sockets and handing bytes to the kernel at once, for connections of which there are thousands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.tcp import Connection, Server
from typing_extensions import override

WriteSome = Callable[[Any, bytes], object]
"""Hands bytes to the kernel by a transport; returns how many it took."""
READ_SIZE: Final = 16384
"""Bytes that are read at once; the rest is read in the next turn, after all other connections."""


def direct_writer(transport: object) -> WriteSome | None:
    """Return what `write_at_once` needs of a transport; None unless it is a plain TCP connection (TLS buffers)."""
    if ISSLTransport.providedBy(transport):
        return None
    if isinstance(transport, Connection):
        return _send
    return _write_some_data if hasattr(transport, "writeSomeData") else None


def _send(transport: Connection, data: bytes) -> int:
    return transport.socket.send(data)


def _write_some_data(transport: Any, data: bytes) -> object:
    return transport.writeSomeData(data)


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
        sent = write_some(transport, data)
    except OSError:
        sent = 0  # the kernel has no room, or the connection is lost, which the reactor will find out by itself
    if not isinstance(sent, int):
        sent = 0  # the connection is lost
    if sent >= len(data):
        return True
    transport.write(data[sent:])
    return False


class _DirectServer(Server):
    """A connection that was accepted, whose protocol gets its input without Twisted's functions in between."""

    @override
    def doRead(self) -> ConnectionDone | ConnectionLost | None:  # type: ignore[override]
        """Read once; return why the connection ended, or None if it did not."""
        try:
            data = self.socket.recv(READ_SIZE)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if not data:
            return CONNECTION_DONE
        self.protocol.dataReceived(data)
        return None


_NAME: Final = "a miner's connection"


def read_directly(transport: object) -> None:
    """Let a plain TCP connection that was accepted give its input to its protocol without Twisted's functions in
    between. Does nothing to other transports.

    The connection gets another class, since anything that it held for this would be in memory for each of
    thousands. For the same reason, its name in logs becomes that of all.
    """
    if type(transport) is Server and not ISSLTransport.providedBy(transport):
        transport.__class__ = _DirectServer
        transport.logstr = transport.repstr = _NAME


def unsent_bytes(transport: object) -> bytes:
    """Return the bytes that a plain TCP transport still holds."""
    buffered = bytes(getattr(transport, "dataBuffer", b""))[int(getattr(transport, "offset", 0)) :]
    return buffered + b"".join(getattr(transport, "_tempDataBuffer", ()))


def unsent(transport: object) -> int:
    """Return how many bytes the transport still holds (Twisted keeps them in two places, other transports in
    none)."""
    buffered = len(getattr(transport, "dataBuffer", b"")) - int(getattr(transport, "offset", 0))
    return buffered + int(getattr(transport, "_tempDataLen", 0))
