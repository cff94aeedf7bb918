"""Connections to other nodes: listening, dialling, names, and what is kept of addresses and bans between runs."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, cast

from twisted.application.service import Service
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pool.base.backoff import Backoff
from p2pool.base.bounded import BoundedDict
from p2pool.base.environment import Environment
from p2pool.base.errors import ParseError
from p2pool.base.state_file import StateFile, StateFormat
from p2pool.base.timer import Timer
from p2pool.peers.addresses import NAMED, group_of
from p2pool.peers.bootstrap import MAX_FOUND, Bootstrap, BootstrapSettings, Found
from p2pool.peers.figures import NodeLookUps
from p2pool.peers.hub import PeerHub
from p2pool.peers.kept_node import KeptNode
from p2pool.peers.messages import PeerAddress
from p2pool.peers.protocol import PeerFactory
from p2pool.peers.session import PeerSession
from p2pool.peers.settings import PeerSettings

_log = Logger(namespace="p2pool.peers")

MAX_ATTEMPTS = 30
DIAL_TIME = 5.0
REST_AFTER_FAILURE = 60.0
TICK = 1.0
SAVE_PERIOD = 60.0
FEW_PEERS = 2
"""With fewer outgoing connections than this the node looks for other nodes: one could be lying, or cut off."""
EXPLORE_PERIOD = 600.0
"""Seconds for which there is one connection more than wanted, to a node that is drawn again each time. Without it,
parts of a network that could not reach each other for some minutes stay apart for ever: by then each node has all
the connections that it wants, within its own part."""
REMEMBERED_FIRST = 30.0
"""Seconds in which remembered nodes alone are dialled."""
LOOK_UP_PERIOD, LONGEST_PERIOD = 60.0, 960.0
"""Seconds between two look-ups: they double while it is of no use."""
PEERS_FILE = StateFormat("peers.json", "the addresses and bans of other nodes", 8 << 20)
"""Ten thousand addresses and as many bans are about one and a half million bytes."""


@dataclass(frozen=True, slots=True)
class DialSettings:
    """Which connections there are to be. `listen` is (interface, port), None for no listening; `always` are kept
    connected; `bootstrap` says where to look for nodes while fewer than FEW_PEERS are connected, None for nowhere;
    `outgoing` is how many outgoing connections are wanted."""

    listen: tuple[str, int] | None
    always: Sequence[tuple[str, int]] = ()
    bootstrap: BootstrapSettings | None = None
    outgoing: int = PeerSettings.outgoing_conns


class PeerService(Service):
    """The adapter between `PeerHub` and the network. What it knows is kept in `directory`."""

    def __init__(self, environment: Environment, hub: PeerHub, *, settings: DialSettings, directory: Path) -> None:
        self.hub = hub
        self._reactor = environment.reactor
        self._settings = settings
        self._file = StateFile(directory / PEERS_FILE.name, PEERS_FILE)
        self._clock = environment.clock
        self._run_in_thread = environment.run_in_thread
        self._rng = environment.chance
        self._accepting = PeerFactory(hub, True)
        self._dialling = PeerFactory(hub, False)
        self._dialling.ended.subscribe(self._connection_ended)
        self._attempts: dict[str, Deferred[Any]] = {}
        """By group. At most MAX_ATTEMPTS."""
        self._resting: BoundedDict[str, float] = BoundedDict(1000)
        """Host -> until when it is not dialled again."""
        self._kept = [KeptNode(environment, hub, each, dial_time=DIAL_TIME) for each in settings.always]
        """The nodes of --p2pool-node."""
        self._timers: list[Timer] = []
        self._port: IListeningPort | None = None
        self._saved: dict[str, object] = {}
        self._bootstrap: Bootstrap | None = None
        if settings.bootstrap is not None:
            self._bootstrap = Bootstrap(
                settings.bootstrap, environment.run_in_thread, environment.run_in_daemon_thread
            )
        self._looking = False
        self._look_up_backoff = Backoff(LOOK_UP_PERIOD, LONGEST_PERIOD)
        self._next_look_up = 0.0
        """On the reactor's clock."""
        self._next_exploration = 0.0
        """On the reactor's clock."""
        self._named: deque[PeerAddress] = deque(maxlen=MAX_FOUND)
        """Addresses of the last look-up that were not dialled yet: they come before those that are remembered."""
        self.last_look_up = NodeLookUps()

    # --- life --------------------------------------------------------------------------------------------

    def listen(self) -> None:
        """Open the port for other nodes. Raises CannotListenError."""
        if self._settings.listen is not None:
            interface, port = self._settings.listen
            self._port = self._listen(port, interface)

    def _listen(self, port: int, interface: str) -> IListeningPort:
        """Open the port. "" stands for all interfaces, of IPv6 and IPv4 if the machine has IPv6."""
        if not interface:
            with contextlib.suppress(CannotListenError):
                return self._reactor.listenTCP(port, self._accepting, interface="::")
        return self._reactor.listenTCP(port, self._accepting, interface=interface)

    @property
    def port(self) -> int:
        """Return the port that this node listens on, 0 if it does not."""
        return 0 if self._port is None else cast(IPv4Address, self._port.getHost()).port

    async def start(self) -> None:
        """Read what is kept, and begin to dial."""
        super().startService()  # type: ignore[no-untyped-call]
        self._take_kept(await self._run_in_thread(lambda: self._file.read(_document)))
        if not self.running:
            return
        for node in self._kept:
            node.startService()
        self._next_exploration = self._reactor.seconds() + EXPLORE_PERIOD
        if self.hub.addresses:
            self._next_look_up = self._reactor.seconds() + REMEMBERED_FIRST
        self._timers = [
            Timer(self._reactor, TICK, self._tick, name="keep up connections to other nodes"),
            Timer(self._reactor, SAVE_PERIOD, self.save, name="save the known nodes", now=False),
        ]

    async def stop(self) -> None:
        """End all connections, and save what is known of other nodes."""
        started = bool(self.running)
        super().stopService()  # type: ignore[no-untyped-call]
        for timer in self._timers:
            timer.stop()
        for attempt in list(self._attempts.values()):
            attempt.cancel()
        if started:
            for node in self._kept:
                node.stopService()
        if self._port is not None:
            await maybeDeferred(self._port.stopListening)
            self._port = None
        for factory in self._factories():
            for protocol in list(factory.protocols):
                protocol.close()
        if started:
            await self.save()

    def _tick(self) -> None:
        self.hub.tick(self.fail)
        self._look_for_nodes()
        self._dial()

    def _factories(self) -> tuple[PeerFactory, ...]:
        """Return the factories of all connections."""
        return self._accepting, self._dialling, *(node.factory for node in self._kept)

    def fail(self, session: PeerSession, error: Exception) -> None:
        """End a connection because of an error."""
        for factory in self._factories():
            for protocol in factory.protocols:
                if protocol.session is session:
                    protocol.fail(error)
                    return

    # --- dialling ----------------------------------------------------------------------------------------

    def _dial(self) -> None:
        """Make one more attempt to connect, if there are too few outgoing connections: one per second is quick
        enough without being a flood. If there are enough, make one after EXPLORE_PERIOD.

        Incoming ones do not count: whoever connects to this node must not decide all that it hears.
        """
        wanted, sessions = self._settings.outgoing, self.hub.sessions
        outgoing = sum(1 for session in sessions if not session.incoming)
        enough = outgoing >= wanted
        if enough and not (wanted and self._reactor.seconds() >= self._next_exploration):
            return
        if len(self._attempts) >= MAX_ATTEMPTS:
            return
        now = self._clock()
        connected = {(session.host, session.port) for session in sessions}
        good = (seen.address for seen in self.hub.addresses.good(8, now, self._rng))
        for address in chain(tuple(self._named), good):
            group = group_of(address.host)
            if group in self._attempts:
                continue
            with contextlib.suppress(ValueError):
                self._named.remove(address)
            rests = self._resting.get(address.host, 0.0) > now
            if not (
                rests or (address.host, address.port) in connected or self.hub.bans.is_banned(address.host, now)
            ):
                if enough:
                    self._explore(replaces=outgoing > wanted)
                self._try(address, group)
                return

    def _explore(self, *, replaces: bool) -> None:
        """Make room for one connection more than wanted: it `replaces` the newest one if there is one already."""
        self._next_exploration = self._reactor.seconds() + EXPLORE_PERIOD
        dialled = list(self._dialling.protocols)
        if replaces and dialled:
            dialled[-1].close()

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
        """Without a handshake the address is of no use: a dead end, this node itself, or a peer that is connected
        already."""
        if session.version is None:
            self._rest(session.host)

    # --- looking for nodes -------------------------------------------------------------------------------

    def _look_for_nodes(self) -> None:
        """Ask names and lists while too few are connected: not only at the start, since an address book may be
        full of nodes that are gone. Incoming connections do not count, as for dialling."""
        now = self._reactor.seconds()
        outgoing = sum(1 for session in self.hub.peers if not session.incoming)
        if outgoing >= min(FEW_PEERS, self._settings.outgoing):
            self._next_look_up = now + REMEMBERED_FIRST
            self._look_up_backoff.reset()
            self._named.clear()
        elif self._bootstrap is not None and not self._looking and now >= self._next_look_up:
            self._looking = True
            self._next_look_up = now + self._look_up_backoff.next_wait()
            look_up = Deferred.fromCoroutine(self._look_up_nodes(self._bootstrap))
            look_up.addErrback(
                lambda failure: _log.failure("internal error: looking up other nodes failed", failure)
            )

    async def _look_up_nodes(self, bootstrap: Bootstrap) -> None:
        self._named.clear()
        try:
            found = await bootstrap.ask(self.hub.is_ours, self._take_named)
        finally:
            self._looking = False
        if self.running:
            self.last_look_up = NodeLookUps(self._clock(), found)

    def _take_named(self, found: Found) -> None:
        self.hub.addresses.add(found.address, self._clock(), source=NAMED, found_by=found.by)
        self._named.append(found.address)

    # --- what is kept ------------------------------------------------------------------------------------

    def _take_kept(self, kept: dict[str, object] | None) -> None:
        if kept is not None:
            self.hub.addresses.read_json(kept.get("addresses"))
            self.hub.bans.read_json(kept.get("bans"), self._clock())

    async def save(self) -> None:
        """Write addresses and bans, if they have changed. A failure is logged once."""
        document: dict[str, object] = {
            "addresses": self.hub.addresses.to_json(),
            "bans": self.hub.bans.to_json(),
        }
        if document == self._saved:
            return
        if await self._run_in_thread(lambda: self._file.save(document)):
            self._saved = document


def _document(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ParseError("it is not an object")
    return value
