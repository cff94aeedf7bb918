"""Connections to other daemons: opened, opened again when they break, asked for what was missed.

Two simulated daemons with equal rules follow one chain over such a connection, whichever of them opened it.
"""

from __future__ import annotations

from twisted.application.internet import ClientService
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from typing_extensions import override

from p2pool.base.backoff import reconnect_policy
from p2pool.base.endpoints import host_and_port
from p2pool.base.environment import Environment
from p2pool.simnet.p2p_server import P2pServer, SimulatedPeerProtocol
from p2pool.simnet.parameters import MAX_CONNECT

_CONNECT_SECONDS = 5
_FIRST_RETRY, _LAST_RETRY = 0.5, 10.0
_SYNCHRONISE_SECONDS = 20.0
"""How often peers are asked for blocks that no announcement led to."""


class TooManyPeers(Exception):
    """There are as many other daemons as may be dialled."""


class _OutboundFactory(Factory):
    noisy = False

    def __init__(self, server: P2pServer, where: str) -> None:
        self._server = server
        self._where = where

    @override
    def buildProtocol(self, addr: IAddress | None) -> SimulatedPeerProtocol | None:
        return self._server.build_outbound(self._where)


class PeerDialler:
    """Keeps one connection to each daemon that was added."""

    _log = Logger(namespace="p2pool.simnet.p2p")

    def __init__(self, environment: Environment, server: P2pServer) -> None:
        self._reactor = environment.reactor
        self._chance = environment.chance
        self._server = server
        self._services: dict[tuple[str, int], ClientService] = {}  # at most MAX_CONNECT
        self._loop: LoopingCall | None = None

    def add(self, host: str, port: int) -> None:
        """Connect to another daemon from now on. Raises TooManyPeers; one that is known already does not count."""
        if (host, port) in self._services:
            return
        if len(self._services) >= MAX_CONNECT:
            raise TooManyPeers
        service = ClientService(
            TCP4ClientEndpoint(self._reactor, host, port, timeout=_CONNECT_SECONDS),
            _OutboundFactory(self._server, host_and_port(host, port)),
            retryPolicy=reconnect_policy(self._chance, first=_FIRST_RETRY, longest=_LAST_RETRY),
            clock=self._reactor,
        )
        self._services[host, port] = service
        service.startService()
        self._keep_asking()

    def remove(self, host: str, port: int) -> bool:
        """Disconnect for good. Return False if it was not known."""
        service = self._services.pop((host, port), None)
        if service is None:
            return False
        service.stopService()
        return True

    def stop(self) -> Deferred[None]:
        """Disconnect from all; fires when the connections are gone."""
        if self._loop is not None and self._loop.running:
            self._loop.stop()
        services = tuple(self._services.values())
        self._services.clear()
        stopped = gatherResults([maybeDeferred(service.stopService) for service in services])
        return stopped.addCallback(lambda _: None)

    def _keep_asking(self) -> None:
        if self._loop is not None:
            return
        self._loop = LoopingCall(self._server.synchronise)
        self._loop.clock = self._reactor
        self._loop.start(_SYNCHRONISE_SECONDS, now=False).addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        self._log.failure("internal error: peers are no longer asked for missing blocks", failure=failure)
