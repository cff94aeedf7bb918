"""Ports and connections that another process opened."""

from __future__ import annotations

import socket
from typing import Any, cast

from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IReactorSocket, IReactorTCP
from twisted.internet.protocol import ServerFactory


def adopt_port(reactor: IReactorTCP, factory: ServerFactory, listening: socket.socket) -> IListeningPort:
    """Listen with a socket that another process opened. Nothing is accepted before `startReading` of the port."""
    port = cast(IReactorSocket, reactor).adoptStreamPort(listening.fileno(), listening.family, factory)
    port.stopReading()  # type: ignore[attr-defined]
    return port


def adopt_connection(reactor: IReactorTCP, factory: IProtocolFactory, connection: socket.socket) -> None:
    """Continue a connection of another process with the protocol of a factory. Raises OSError if it has ended."""
    any_factory: Any = factory
    cast(IReactorSocket, reactor).adoptStreamConnection(connection.fileno(), connection.family, any_factory)
