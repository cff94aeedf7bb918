"""Connections to other nodes: listening, looking for nodes, what is kept of addresses and bans between runs."""

from __future__ import annotations

import contextlib
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from twisted.application.service import Service
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from p2pool.base.backoff import Backoff
from p2pool.base.environment import Environment
from p2pool.base.errors import ParseError
from p2pool.base.hosts import EVERY_KIND, NetworkKind, kinds_of, parse_address
from p2pool.base.outgoing import resolve
from p2pool.base.state_file import StateFile, StateFormat
from p2pool.base.timer import Timer
from p2pool.peers.address_book import KEY_SIZE, NAMED, AddressBook
from p2pool.peers.bootstrap import Bootstrap, BootstrapSettings, Found
from p2pool.peers.dialling import DIAL_TIME, FEW_PEERS, Dialler
from p2pool.peers.figures import NodeLookUps
from p2pool.peers.hub import PeerHub
from p2pool.peers.kept_node import KeptNode
from p2pool.peers.known_address import read_addresses
from p2pool.peers.protocol import PeerFactory
from p2pool.peers.session import PeerSession
from p2pool.peers.settings import PeerSettings

_log = Logger(namespace="p2pool.peers")

TICK = 1.0
SAVE_PERIOD = 60.0
REMEMBERED_FIRST = 30.0
"""Seconds in which remembered nodes alone are dialled."""
LOOK_UP_PERIOD, LONGEST_PERIOD = 60.0, 960.0
"""Seconds between two look-ups: they double while it is of no use."""
PEERS_FILE = StateFormat("peers.json", "the addresses and bans of other nodes", 8 << 20)
"""Five thousand addresses and ten thousand bans are about one and a half million bytes."""
_KEY = re.compile(f"[0-9a-f]{{{2 * KEY_SIZE}}}")


@dataclass(frozen=True, slots=True)
class DialSettings:
    """Which connections there are to be. `listen` is (interface, port), None for no listening; `always` are kept
    connected; `bootstrap` says where to look for nodes while fewer than FEW_PEERS are connected, None for nowhere;
    `outgoing` is how many outgoing connections are wanted, and `kinds` the networks in which the node looks for
    them itself."""

    listen: tuple[str, int] | None
    always: Sequence[tuple[str, int]] = ()
    bootstrap: BootstrapSettings | None = None
    outgoing: int = PeerSettings.outgoing_conns
    kinds: frozenset[NetworkKind] = EVERY_KIND


class PeerService(Service):
    """The adapter between `PeerHub` and the network. What it knows is kept in `directory`."""

    def __init__(self, environment: Environment, hub: PeerHub, *, settings: DialSettings, directory: Path) -> None:
        self.hub = hub
        self._environment = environment
        self._reactor = environment.reactor
        self._settings = settings
        self._file = StateFile(directory / PEERS_FILE.name, PEERS_FILE)
        self._clock = environment.clock
        self._chance = environment.chance
        self._run_in_thread = environment.run_in_thread
        self._accepting = PeerFactory(hub, True)
        self._dialler = Dialler(environment, hub, wanted=settings.outgoing, kinds=settings.kinds)
        self._kept = [KeptNode(environment, hub, each, dial_time=DIAL_TIME) for each in settings.always]
        """The nodes of --p2pool-node."""
        self._timers: list[Timer] = []
        self._port: IListeningPort | None = None
        self._saved: dict[str, object] = {}
        self._bootstrap: Bootstrap | None = None
        if settings.bootstrap is not None:
            self._bootstrap = Bootstrap(settings.bootstrap, environment.run_in_thread, self._resolve)
        self._looking = False
        self._look_up_backoff = Backoff(LOOK_UP_PERIOD, LONGEST_PERIOD)
        self._next_look_up = 0.0
        """On the reactor's clock."""
        self._anchors: list[tuple[str, int]] = []
        """Which peers the next run dials first."""
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
        self._take_kept(await self._run_in_thread(self._read))
        if not self.running:
            return
        for node in self._kept:
            node.startService()
        self._dialler.start()
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
        self._dialler.stop()
        self._note_anchors()
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
        self._dialler.step()

    def _factories(self) -> tuple[PeerFactory, ...]:
        """Return the factories of all connections."""
        return self._accepting, self._dialler.factory, *(node.factory for node in self._kept)

    def fail(self, session: PeerSession, error: Exception) -> None:
        """End a connection because of an error."""
        for factory in self._factories():
            for protocol in factory.protocols:
                if protocol.session is session:
                    protocol.fail(error)
                    return

    # --- looking for nodes -------------------------------------------------------------------------------

    def _look_for_nodes(self) -> None:
        """Ask names and lists while too few are connected, or none of those that they name: not only at the
        start, since an address book may be full of nodes that are gone, or of those of one owner. Incoming
        connections do not count, as for dialling."""
        now = self._reactor.seconds()
        outgoing = sum(1 for session in self.hub.peers if not session.incoming)
        are_enough = outgoing >= min(FEW_PEERS, self._settings.outgoing) and self._dialler.has_trusted()
        if are_enough and self.hub.has_chain and not self._dialler.is_starved:
            self._next_look_up = now + REMEMBERED_FIRST
            self._look_up_backoff.reset()
            self._dialler.named.clear()
        elif self._bootstrap is not None and not self._looking and now >= self._next_look_up:
            self._looking = True
            self._next_look_up = now + self._look_up_backoff.next_wait()
            look_up = Deferred.fromCoroutine(self._look_up_nodes(self._bootstrap))
            look_up.addErrback(
                lambda failure: _log.failure("internal error: looking up other nodes failed", failure)
            )

    async def _look_up_nodes(self, bootstrap: Bootstrap) -> None:
        self._dialler.named.clear()
        try:
            found = await bootstrap.ask(self.hub.is_ours, self._take_named)
        finally:
            self._looking = False
        if self.running:
            self.last_look_up = NodeLookUps(self._clock(), found)

    async def _resolve(self, host: str, port: int) -> list[str]:
        """Return the addresses of a name, or the name if only the proxy finds it; none if --onlynet excludes
        them."""
        return await resolve(self._environment, host, port) if kinds_of(host) & self._settings.kinds else []

    def _take_named(self, found: Found) -> None:
        now = self._clock()
        if parse_address(found.address.host) is not None:  # other nodes cannot be told names
            self.hub.addresses.add(found.address, now, now=now, source=NAMED, found_by=found.by)
        self.hub.named.add(found.address.host)
        self._dialler.named.append(found.address)

    # --- what is kept ------------------------------------------------------------------------------------

    def _read(self) -> KeptPeers | None:
        return self._file.read(lambda document: read_kept_peers(document, self._chance, self._clock()))

    def _take_kept(self, kept: KeptPeers | None) -> None:
        if kept is not None:
            self.hub.use_addresses(kept.book)
            self.hub.bans.read_json(kept.bans, self._clock())
            self._anchors = self._dialler.take_anchors(kept.anchors)

    def _note_anchors(self) -> None:
        """Remember which peers the next run is to dial first; without any, those of this run stay."""
        self._anchors = self._dialler.anchors() or self._anchors

    async def save(self) -> None:
        """Write addresses and bans, if they have changed. A failure is logged once."""
        if self.running:
            self._note_anchors()
        document: dict[str, object] = {
            "addresses": self.hub.addresses.to_json(),
            "address_key": self.hub.addresses.key.hex(),
            "anchors": self._anchors,
            "bans": self.hub.bans.to_json(),
        }
        if document == self._saved:
            return
        if await self._run_in_thread(lambda: self._file.save(document)):
            self._saved = document


@dataclass(frozen=True, slots=True)
class KeptPeers:
    """What an earlier run kept; `anchors` and `bans` are not checked yet."""

    book: AddressBook
    anchors: object
    bans: object


def read_kept_peers(document: object, chance: random.Random, now: float) -> KeptPeers:
    """Return what the file says. Called in a thread: a full book takes tenths of a second. Raises ParseError."""
    if not isinstance(document, dict):
        raise ParseError("it is not an object")
    key = document.get("address_key")
    book = AddressBook(chance, bytes.fromhex(key) if isinstance(key, str) and _KEY.fullmatch(key) else b"")
    book.load(read_addresses(document.get("addresses")), now)
    return KeptPeers(book, document.get("anchors"), document.get("bans"))
