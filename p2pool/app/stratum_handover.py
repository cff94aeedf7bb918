"""Handing the miners of a StratumAssembly over to another process, and continuing those of an earlier one."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any

from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from typing_extensions import override

from p2pool.app.handover import HandedOver, HandoverRecord, PortRecord, SilentRecord
from p2pool.base.environment import IReactor
from p2pool.base.handover_socket import close_all
from p2pool.net.adopted_sockets import adopt_connection
from p2pool.net.worker_port import PortFactory, WorkerPort
from p2pool.stratum.handover_records import ConnectionRecord
from p2pool.stratum.protocol import StratumProtocol
from p2pool.stratum.server import StratumServer

_log = Logger(namespace="p2pool.stratum")

OpenedPort = tuple[str, tuple[str, int], IListeningPort, PortFactory]
"""What a port is for, its address in the settings, the port, and its factory."""


def prepare_handover(server: StratumServer, ports: Iterable[OpenedPort], *, whole: bool) -> bool:
    """Let new connections wait for the next process, and ask miners whose connections cannot be handed over to
    reconnect: all of them unless `whole`. Return whether there are any."""
    for _, _, port, _ in ports:
        port.stopReading()  # type: ignore[attr-defined]
    return server.ask_to_reconnect(all_miners=not whole) > 0


def hand_over_miners(server: StratumServer, ports: Iterable[OpenedPort], *, whole: bool) -> HandedOver:
    """Stop serving miners, without closing connections and ports, and return all of it for another process; unless
    `whole`, the connections end."""
    paused = server.clock()
    port_records, silent_records, sockets, silent_sockets = [], [], [], []
    for purpose, (host, number), port, factory in ports:
        listening: Any = port
        if isinstance(factory, WorkerPort):
            factory.browsers.end_all()  # the next process has other pages
        port_records.append(PortRecord(purpose, host, number))
        sockets.append(listening.socket)
        for transport, unread in factory.detach_silent():
            silent_records.append(SilentRecord(purpose, unread))
            silent_sockets.append(transport.getHandle())
    miners, transports = server.hand_over(all_reconnect=not whole)
    return HandedOver(
        HandoverRecord(paused, tuple(port_records), tuple(silent_records), miners),
        (*sockets, *silent_sockets, *(transport.getHandle() for transport in transports)),
    )


class MinersTaker:
    """Continues the miners of an earlier process. Constructed before there is work; `adopt` follows when there
    is."""

    def __init__(self, reactor: IReactor, server: StratumServer, handed: HandedOver) -> None:
        """Restore all sessions. Raises ParseError."""
        self._reactor = reactor
        self._server = server
        self._handed = handed
        self._miners: list[tuple[ConnectionRecord, StratumProtocol]] = [
            (record, server.adopt(record, restore))
            for record, restore in server.restore_shared(handed.record.miners).connections
        ]

    def port(self, purpose: str, address: tuple[str, int]) -> socket.socket | None:
        """Return the socket that listens for a purpose at an address of the settings; None if there is none."""
        return self._handed.port(purpose, address)

    def adopt(self, ports: Iterable[OpenedPort]) -> int:
        """Serve all connections from now on, and accept new ones. Return how many miners are connected."""
        opened = list(ports)
        factories = {purpose: factory for purpose, _, _, factory in opened}
        for (record, protocol), (_, connection) in zip(self._miners, self._handed.miners, strict=True):
            self._adopt_miner(connection, protocol, record)
        for silent, connection in self._handed.silent:
            if silent.purpose in factories:
                self._adopt(connection, factories[silent.purpose], silent.unread)
        for _, _, port, _ in opened:
            port.startReading()  # type: ignore[attr-defined]
        close_all(self._handed.sockets)
        return len(self._server)

    def _adopt_miner(self, connection: socket.socket, protocol: StratumProtocol, record: ConnectionRecord) -> None:
        session, server = protocol.session, self._server
        if session is None or session not in server.connections:
            close_all([connection])
        elif not self._adopt(connection, _Continued(protocol), b""):
            server.unregister(session)
        else:
            if record.unsent and protocol.transport is not None:
                protocol.transport.write(record.unsent)
            server.serve(session, session.send_work, server.clock())
            if record.unread:
                protocol.dataReceived(b"")  # it may have waited for a session of another server

    def _adopt(self, connection: socket.socket, factory: Any, unread: bytes) -> bool:
        """Continue a connection. Return False if its client closed it meanwhile."""
        made = _Remembering(factory)
        try:
            adopt_connection(self._reactor, made, connection)
        except OSError:
            return False
        finally:
            close_all([connection])  # a copy is in use now: ten thousand miners must not need two each
        if unread and made.protocol is not None:
            made.protocol.dataReceived(unread)
        return made.protocol is not None


class _Continued(Factory):
    """Gives a protocol that is there already."""

    noisy = False

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol

    @override
    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        return self._protocol


class _Remembering(Factory):
    """Builds protocols as another factory does, and remembers the last one."""

    noisy = False

    def __init__(self, factory: Any) -> None:
        self._factory = factory
        self.protocol: Any = None

    @override
    def buildProtocol(self, addr: IAddress | None) -> Any:
        self.protocol = self._factory.buildProtocol(addr)
        return self.protocol
