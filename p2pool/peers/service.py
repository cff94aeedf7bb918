"""Connections to other nodes: listening, dialling, names, and what is kept of addresses and bans between runs."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.application.internet import ClientService, backoffPolicy
from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pool.base.bounded import BoundedDict
from p2pool.base.errors import ParseError
from p2pool.base.state_file import StateFile, StateFormat
from p2pool.base.timer import Timer
from p2pool.peers.addresses import group_of
from p2pool.peers.hub import PeerHub
from p2pool.peers.messages import PeerAddress
from p2pool.peers.protocol import PeerFactory
from p2pool.peers.session import PeerSession

_log = Logger(namespace="p2pool.peers")

MAX_ATTEMPTS = 30
DIAL_TIME = 5.0
REST_AFTER_FAILURE = 60.0
SAVE_PERIOD = 60.0
LOOK_UP_PERIOD = 60.0
PEERS_FILE = StateFormat("peers.json", "the addresses and bans of other nodes", 8 << 20)
"""Ten thousand addresses and as many bans are about one and a half million bytes."""


@dataclass(frozen=True, slots=True)
class DialSettings:
    """`listen` is (interface, port), None for no listening; `always` are kept connected; names of `bootstrap` are
    resolved at the start, and again while nobody is known. So many `outgoing` connections are wanted."""

    listen: tuple[str, int] | None
    always: Sequence[tuple[str, int]] = ()
    bootstrap: Sequence[tuple[str, int]] = ()
    outgoing: int = 6


class PeerService(Service):
    """The adapter between `PeerHub` and the network. `run_in_thread` runs a callable off the reactor thread;
    `look_up` does so with one that nobody waits for at the end."""

    def __init__(
        self,
        reactor: Any,
        hub: PeerHub,
        settings: DialSettings,
        directory: Path,
        clock: Callable[[], float],
        run_in_thread: Callable[[Callable[[], Any]], Deferred[Any]],
        look_up: Callable[[Callable[[], Any]], Deferred[Any]],
        rng: random.Random,
    ) -> None:
        self.hub = hub
        self._reactor = reactor
        self._settings = settings
        self._file = StateFile(directory / PEERS_FILE.name, PEERS_FILE)
        self._clock = clock
        self._run_in_thread = run_in_thread
        self._look_up = look_up
        self._rng = rng
        self._accepting = PeerFactory(hub, True)
        self._dialling = PeerFactory(hub, False)
        self._dialling.ended.subscribe(self._connection_ended)
        self._attempts: dict[str, Deferred[Any]] = {}
        """By group. At most MAX_ATTEMPTS."""
        self._resting: BoundedDict[str, float] = BoundedDict(1000)
        """Host -> until when it is not dialled again."""
        self._kept: list[ClientService] = []
        self._timers: list[Timer] = []
        self._port: Any = None
        self._saved: dict[str, object] = {}
        self._not_found: set[str] = set()
        """Bootstrap nodes that it was said of."""

    # --- life --------------------------------------------------------------------------------------------

    def listen(self) -> None:
        """Open our port. Raises CannotListenError."""
        if self._settings.listen is not None:
            interface, port = self._settings.listen
            self._port = self._listen(port, interface)

    def _listen(self, port: int, interface: str) -> Any:
        """All interfaces are those of IPv6 with those of IPv4 in them, where the machine has IPv6."""
        if not interface:
            with contextlib.suppress(CannotListenError):
                return self._reactor.listenTCP(port, self._accepting, interface="::")
        return self._reactor.listenTCP(port, self._accepting, interface=interface)

    @property
    def port(self) -> int:
        """The port that we listen on, 0 where we do not."""
        return 0 if self._port is None else int(self._port.getHost().port)

    async def start(self) -> None:
        """Read what is kept, and begin to dial."""
        super().startService()  # type: ignore[no-untyped-call]
        self._take_kept(await self._run_in_thread(lambda: self._file.read(_document)))
        if not self.running:
            return
        for host, port in self._settings.always:
            service = ClientService(
                HostnameEndpoint(self._reactor, host, port, timeout=DIAL_TIME),
                self._dialling,
                retryPolicy=backoffPolicy(initialDelay=1.0, maxDelay=60.0),
                clock=self._reactor,
            )
            service.startService()
            self._kept.append(service)
        self._timers = [
            Timer(self._reactor, 1.0, self._tick),
            Timer(self._reactor, SAVE_PERIOD, self.save, now=False),
            Timer(self._reactor, LOOK_UP_PERIOD, self._find_bootstrap_nodes_again, now=False),
        ]
        self._find_bootstrap_nodes()

    async def stop(self) -> None:
        """End all connections and keep what we know."""
        started = bool(self.running)
        super().stopService()  # type: ignore[no-untyped-call]
        for timer in self._timers:
            timer.stop()
        for attempt in list(self._attempts.values()):
            attempt.cancel()
        for service in self._kept:
            service.stopService()
        if self._port is not None:
            await maybeDeferred(self._port.stopListening)
            self._port = None
        for factory in (self._accepting, self._dialling):
            for protocol in list(factory.protocols):
                protocol.close()
        if started:
            await self.save()

    def _tick(self) -> None:
        self.hub.tick(self.fail)
        self._dial()

    def fail(self, session: PeerSession, error: Exception) -> None:
        """End a connection."""
        for factory in (self._accepting, self._dialling):
            for protocol in factory.protocols:
                if protocol.session is session:
                    protocol.fail(error)
                    return

    # --- dialling ----------------------------------------------------------------------------------------

    def _dial(self) -> None:
        """One more attempt, where outgoing connections are wanted: one a second is quick enough, and no flood.

        Incoming ones do not count: whoever connects to us must not decide all that we hear.
        """
        wanted, sessions = self._settings.outgoing, self.hub.sessions
        outgoing = sum(1 for session in sessions if not session.incoming)
        if outgoing >= wanted or len(self._attempts) >= MAX_ATTEMPTS:
            return
        now = self._clock()
        connected = {(session.host, session.port) for session in sessions}
        for seen in self.hub.addresses.good(8, now, self._rng):
            address = seen.address
            group = group_of(address.host)
            rests = self._resting.get(address.host, 0.0) > now
            if not (
                rests
                or group in self._attempts
                or (address.host, address.port) in connected
                or self.hub.bans.is_banned(address.host, now)
            ):
                self._try(address, group)
                return

    def _try(self, address: PeerAddress, group: str) -> None:
        endpoint = HostnameEndpoint(self._reactor, address.host, address.port, timeout=DIAL_TIME)
        attempt = endpoint.connect(self._dialling)
        self._attempts[group] = attempt

        def ended(result: object) -> None:
            self._attempts.pop(group, None)
            if isinstance(result, Failure):
                self._rest(address.host)

        attempt.addBoth(ended)

    def _rest(self, host: str) -> None:
        self._resting[host] = self._clock() + REST_AFTER_FAILURE

    def _connection_ended(self, session: PeerSession) -> None:
        """Where there was no handshake there is nothing for us: a dead end, ourselves, a peer that we have."""
        if not session.ready:
            self._rest(session.host)

    def _find_bootstrap_nodes(self) -> None:
        for host, port in self._settings.bootstrap:
            self._resolve(host, port)

    def _find_bootstrap_nodes_again(self) -> None:
        """A machine may come up before its network does."""
        if not self.hub.addresses and not self.hub.peers:
            self._find_bootstrap_nodes()

    def _resolve(self, host: str, port: int) -> None:
        """Names of well-known nodes -> addresses; a name that has none costs one line."""

        def found(addresses: Sequence[Any]) -> None:
            for _family, _type, _protocol, _name, address in addresses:
                self.hub.addresses.add(PeerAddress(str(address[0]), port), self._clock())

        def failed(failure: Failure) -> None:
            if host not in self._not_found:
                self._not_found.add(host)
                _log.warn("bootstrap node {host}: {error}", host=host, error=failure.getErrorMessage())

        lookup = self._look_up(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        lookup.addCallbacks(found, failed)

    # --- what is kept ------------------------------------------------------------------------------------

    def _take_kept(self, kept: dict[str, object] | None) -> None:
        if kept is not None:
            self.hub.addresses.read_json(kept.get("addresses"))
            self.hub.bans.read_json(kept.get("bans"), self._clock())

    async def save(self) -> None:
        """Write addresses and bans, where they have changed."""
        document: dict[str, object] = {
            "addresses": self.hub.addresses.to_json(),
            "bans": self.hub.bans.to_json(),
        }
        if document == self._saved:
            return
        try:
            await self._run_in_thread(lambda: self._file.write(document))
        except OSError as error:
            _log.warn(
                "{file} cannot be written: {error}", file=str(self._file.path), error=error.strerror or error
            )
        else:
            self._saved = document


def _document(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ParseError("it is not an object")
    return value
