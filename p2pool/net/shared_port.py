"""A TCP port that several processes of this machine share: the system spreads new connections over those that
listen on it (SO_REUSEPORT). They must run as the same user."""

from __future__ import annotations

import errno
import socket

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IReactorSocket
from twisted.internet.protocol import ServerFactory

from p2pool.base.endpoints import cannot_listen
from p2pool.net.worker_port import LISTEN_BACKLOG

_OR_SHARE = ", or start all gateways that use it as the same user with --share-port"


class ReservedPort:
    """A port that is kept for processes that share it. It does not listen, so it gets no connections, and no
    process that does not share it can take the port."""

    def __init__(self, address: tuple[str, int], *, whom: str, flag: str) -> None:
        """Reserve the port at an address (interface, port), 0 for any free one. Raises OperatorError."""
        self._socket = _bound_socket(address, whom=whom, flag=flag)
        self.host = address[0]
        self.number = int(self._socket.getsockname()[1])

    def close(self) -> None:
        """Give the port back; processes that listen keep it."""
        self._socket.close()


def open_shared_port(
    reactor: IReactorSocket, factory: ServerFactory, address: tuple[str, int], *, whom: str, flag: str
) -> IListeningPort:
    """Listen at an address (interface, port) with others that share it. The interface "" means all interfaces, of
    IPv6 and IPv4 if the system has IPv6. Raises OperatorError, which names `flag`."""
    bound = _bound_socket(address, whom=whom, flag=flag)
    try:
        bound.listen(LISTEN_BACKLOG)
        return reactor.adoptStreamPort(bound.fileno(), bound.family, factory)
    except OSError as error:
        raise cannot_listen(
            CannotListenError(*address, error), address, purpose=whom, flag=flag + _OR_SHARE
        ) from None
    finally:
        bound.close()  # the reactor has a descriptor of its own


def _bound_socket(address: tuple[str, int], *, whom: str, flag: str) -> socket.socket:
    host, port = address
    try:
        if not host:
            try:
                return _bind("::", port)
            except OSError as error:
                if error.errno in (errno.EADDRINUSE, errno.EACCES):
                    raise
        return _bind(host or "0.0.0.0", port)
    except OSError as error:
        raise cannot_listen(
            CannotListenError(host, port, error), address, purpose=whom, flag=flag + _OR_SHARE
        ) from None


def _bind(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setblocking(False)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if host == "::":
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound
