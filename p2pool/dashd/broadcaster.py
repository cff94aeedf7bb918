"""Connections to nodes of the Dash network, kept ready for the moment when a block is found.

This node sends them each block that it finds; they announce new blocks (with headers, which prove their work), and
show whether this machine's clock is right.
"""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure
from typing_extensions import override

from p2pool.base.environment import Environment
from p2pool.base.errors import ParseError
from p2pool.base.outgoing import endpoint_to
from p2pool.base.state_file import StateFile, StateFormat
from p2pool.base.text import printable
from p2pool.base.timer import Timer
from p2pool.base.turns import Turns
from p2pool.dash.block import BlockHeader
from p2pool.dashd.broadcast_counts import BroadcastCounts, BroadcasterTotals
from p2pool.dashd.network_peers import (
    FROM_DASHD,
    FROM_NETWORK,
    Address,
    KnownPeer,
    PeerBook,
    parse_address,
    peer_entries,
    usable_address,
)
from p2pool.dashd.p2p import P2pConnection, P2pOwner
from p2pool.dashd.p2p_session import Heard, P2pSession, pack_block
from p2pool.dashd.rpc import RpcError, RpcUnavailable

_log = Logger(namespace="p2pool.broadcaster")

DIAL_PERIOD = 5.0
DIALS_AT_ONCE = 3
CONNECT_TIME = 10.0
ASK_PERIOD, ASK_RETRY = 300.0, 15.0
"""Seconds between requests to dashd for the nodes that it is connected to: usually, and until it names some."""
SAVE_PERIOD = 300.0
HEADERS_PAUSE = 1.0
"""Seconds between requests for headers to a node that announces blocks by hash."""
MAX_MISSED = 5
"""New blocks that a node may fail to announce before it is replaced by another."""
MISSED_PAUSE = 30.0
"""Seconds after a block within which another one is not counted: daemons that catch up go through many, which
others have announced long ago."""
MAX_ADDRESSES = 200
"""Addresses that one node may send: a tenth of the book, so that it takes many to fill it with bad ones."""
CLOCKS = 4
"""Nodes whose clocks must be known before this machine's clock is compared with them."""
NETWORK_PEERS_FILE = StateFormat(
    "broadcaster-peers.json", "the addresses of the Dash network's nodes", 1024 * 1024
)


@dataclass(frozen=True, slots=True)
class BroadcasterSettings:
    """`ours` are the daemons' own addresses, which have links of their own."""

    max_peers: int
    magic: bytes
    sub_version: bytes
    ours: frozenset[Address]


@dataclass(frozen=True, slots=True)
class BroadcasterPeer:
    """What pages show of one connection. `clock_offset` is how far its clock is ahead of this machine's, in
    seconds; `score` and `source` are what is known of its address; `delivered` are the blocks that it took,
    `failed` those that could not be sent to it, `relayed` the new blocks that it announced."""

    host: str
    port: int
    software: str
    connected_for: float
    clock_offset: float
    score: float = 0.0
    source: str = FROM_NETWORK
    delivered: int = 0
    failed: int = 0
    relayed: int = 0


class _Peer:
    """One connection, from the dialling on."""

    def __init__(self, address: Address, connection: P2pConnection, now: float) -> None:
        self.address = address
        self.connection = connection
        self.since = now
        self.clock_offset = 0.0
        self.missed = 0
        self.announced: int | None = None
        """The newest block that it announced."""
        self.asked_headers = float("-inf")
        self.addresses = 0
        self.delivered = self.failed = self.relayed = 0


class _PeerFactory(Factory):
    noisy = False

    def __init__(self, connection: P2pConnection) -> None:
        self._connection = connection

    @override
    def buildProtocol(self, addr: IAddress | None) -> P2pConnection:
        return self._connection


class BlockBroadcaster(Service, P2pOwner):
    """Keeps up to `max_peers` connections. `ask_addresses` asks dashd for its peers; `headers_heard` is called
    with headers (it raises ParseError for those without work); `tip` gives the newest block that is known."""

    def __init__(
        self,
        environment: Environment,
        settings: BroadcasterSettings,
        *,
        book: PeerBook,
        path: Path,
        ask_addresses: Callable[[], Awaitable[list[str]]],
        headers_heard: Callable[[Sequence[BlockHeader]], None],
        tip: Callable[[], int | None],
    ) -> None:
        self.book = book
        self._counts = BroadcastCounts()
        self._environment = environment
        self._reactor = environment.reactor
        self._settings = settings
        self._file = StateFile(path, NETWORK_PEERS_FILE)
        self._run_in_thread = environment.run_in_thread
        self._clock = environment.clock
        self._ask_addresses = ask_addresses
        self._headers_heard = headers_heard
        self._tip = tip
        self._turns = Turns(self._reactor.seconds, environment.call_soon)
        self._peers: dict[P2pConnection, _Peer] = {}
        """Ready ones. Bound: max_peers."""
        self._dialling: dict[Address, Deferred[Any]] = {}
        """Bound: DIALS_AT_ONCE."""
        self._handshakes: dict[P2pConnection, _Peer] = {}
        """Connected ones without a handshake yet. Bound: max_peers."""
        self._newest: int | None = None
        self._newest_since = float("-inf")
        self._next_ask = float("-inf")
        self._saving = DeferredLock()
        self._timers: list[Timer] = []

    # --- life --------------------------------------------------------------------------------------------

    @override
    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]
        Deferred.fromCoroutine(self._begin()).addErrback(
            lambda f: _log.failure("internal error while starting the broadcaster", f)
        )

    async def _begin(self) -> None:
        await self._load()
        if self.running:
            self._timers = [
                Timer(self._reactor, ASK_RETRY, self._ask, name="ask dashd for peers"),
                Timer(self._reactor, DIAL_PERIOD, self._dial, name="connect to Dash peers"),
                Timer(self._reactor, SAVE_PERIOD, self.save, name="save the Dash peers", now=False),
            ]

    @override
    async def stopService(self) -> None:
        super().stopService()  # type: ignore[no-untyped-call]
        for timer in self._timers:
            timer.stop()
        for dialling in list(self._dialling.values()):
            dialling.cancel()
        for connection in [*self._peers, *self._handshakes]:
            connection.disconnect()
        if self._timers:
            await self.save()

    async def _load(self) -> None:
        entries = await self._run_in_thread(lambda: self._file.read(peer_entries))
        if entries is not None:
            self.book.restore(entries)

    async def save(self) -> None:
        """Write the addresses to disk. A failure is logged once."""
        await self._saving.acquire()
        document = self.book.dump()
        try:
            await self._run_in_thread(lambda: self._file.save(document))
        finally:
            self._saving.release()

    # --- dialling ----------------------------------------------------------------------------------------

    async def _ask(self) -> None:
        if self._reactor.seconds() < self._next_ask:
            return
        try:
            addresses = await self._ask_addresses()
        except (RpcError, RpcUnavailable):
            return
        self._counts.refreshes += 1
        self._counts.refreshed = self._clock()
        if addresses:
            self._next_ask = self._reactor.seconds() + ASK_PERIOD
        for text in addresses:
            self.book.learn(parse_address(text, self.book.allow_local), FROM_DASHD)

    def _dial(self) -> None:
        missing = self._settings.max_peers - len(self._peers) - len(self._handshakes) - len(self._dialling)
        count = min(missing, DIALS_AT_ONCE - len(self._dialling))
        if count <= 0:
            return
        held = {peer.address for peer in (*self._peers.values(), *self._handshakes.values())}
        for address in self.book.pick(count, held | set(self._dialling) | self._settings.ours, self._clock()):
            self._connect(address)

    def _connect(self, address: Address) -> None:
        host, port = address
        self._counts.attempts += 1
        session = P2pSession(
            self._settings.magic,
            sub_version=self._settings.sub_version,
            nonce=self._environment.nonce(),
            now=self._clock(),
        )
        connection = P2pConnection(self._environment, session, self, turns=self._turns, host=host)
        endpoint = endpoint_to(self._environment, host, port, timeout=CONNECT_TIME)
        dialling: Deferred[Any] = endpoint.connect(_PeerFactory(connection))
        self._dialling[address] = dialling
        dialling.addCallbacks(
            lambda _: self._connected(address, connection), lambda failure: self._not_connected(address, failure)
        )
        dialling.addErrback(
            lambda failure: _log.failure("internal error while connecting to {host}", failure, host=host)
        )

    def _connected(self, address: Address, connection: P2pConnection) -> None:
        self._dialling.pop(address, None)
        if not self.running:
            connection.disconnect()
        elif not connection.over:
            self._handshakes[connection] = _Peer(address, connection, self._reactor.seconds())

    def _not_connected(self, address: Address, failure: Failure) -> None:
        self._dialling.pop(address, None)
        if self.running:
            self._counts.count_failure(failure)
            self.book.failed(address, self._clock())

    # --- connections -------------------------------------------------------------------------------------

    @override
    def p2p_ready(self, connection: P2pConnection) -> None:
        peer = self._handshakes.pop(connection, None)
        version = connection.session.version
        if peer is None or version is None:
            connection.disconnect()
            return
        peer.clock_offset = version.time - self._clock()
        self._peers[connection] = peer
        self._counts.connected += 1
        self.book.worked(peer.address)
        connection.write(connection.session.ask_addresses())
        self._ask_headers(peer)

    def _ask_headers(self, peer: _Peer) -> None:
        tip, now = self._tip(), self._reactor.seconds()
        if tip is not None and now - peer.asked_headers >= HEADERS_PAUSE:
            peer.asked_headers = now
            peer.connection.write(peer.connection.session.ask_headers(tip))

    @override
    def p2p_heard(self, connection: P2pConnection, heard: Heard) -> None:
        peer = self._peers.get(connection)
        if peer is None:
            return
        for entry in heard.addresses[: max(0, MAX_ADDRESSES - peer.addresses)]:
            peer.addresses += 1
            self.book.learn(usable_address(entry.address.ip, entry.address.port, self.book.allow_local))
        if heard.headers:
            try:
                self._headers_heard(heard.headers)
            except ParseError as error:
                connection.disconnect(str(error))
                return
            self._announced(peer, heard.headers[-1].hash())
        if heard.blocks:
            self._announced(peer, heard.blocks[-1])
            if heard.blocks[-1] != self._tip():
                self._ask_headers(peer)

    def _announced(self, peer: _Peer, block_hash: int) -> None:
        """Record that a node has a block, whether before or after the own daemons."""
        if block_hash == self._newest != peer.announced:
            self._of_use(peer)
        peer.relayed += block_hash != peer.announced
        peer.announced = block_hash

    def _of_use(self, peer: _Peer) -> None:
        peer.missed = 0
        self.book.useful(peer.address)

    def block_known(self, block_hash: int) -> None:
        """Note that the own daemons have a new block: every node should announce it as well. One that lags behind
        is of no use."""
        now = self._reactor.seconds()
        chance = now - self._newest_since >= MISSED_PAUSE
        self._newest, self._newest_since = block_hash, now
        for peer in list(self._peers.values()):
            if peer.announced == block_hash:
                self._of_use(peer)
                continue
            peer.missed += chance
            if peer.missed > MAX_MISSED:
                peer.connection.disconnect(f"it did not announce the last {MAX_MISSED} blocks")

    @override
    def p2p_lost(self, connection: P2pConnection, why: str) -> None:
        unfinished = self._handshakes.pop(connection, None)
        peer = unfinished or self._peers.pop(connection, None)
        if peer is None or not self.running:
            return
        self._counts.failed += unfinished is not None
        _log.debug(
            "the connection to Dash node {host} ended: {why}", host=peer.address[0], why=why or "it disconnected"
        )
        self.book.failed(peer.address, self._clock())

    # --- what it is for ----------------------------------------------------------------------------------

    def send_block(self, data: bytes) -> int:
        """Send a block to all nodes that were not sent it yet. Return how many took it."""
        peers = [peer for connection, peer in self._peers.items() if connection.needs(data)]
        if not peers:
            return 0
        message, taken = pack_block(self._settings.magic, data), 0
        for peer in peers:
            if peer.connection.send_block(message):
                taken += 1
                peer.delivered += 1
            else:
                peer.failed += 1
        self._counts.deliveries += taken
        self._counts.failed_deliveries += len(peers) - taken
        return taken

    def clock_offset(self) -> float | None:
        """Return by how many seconds the network's clocks are ahead of this machine's; None if too few are
        known."""
        offsets = [peer.clock_offset for peer in self._peers.values()]
        return statistics.median(offsets) if len(offsets) >= CLOCKS else None

    def figures(self) -> list[BroadcasterPeer]:
        """Return what pages show of each node, those connected longest first."""
        now = self._reactor.seconds()
        unknown = KnownPeer()
        return [
            BroadcasterPeer(
                host=peer.address[0],
                port=peer.address[1],
                software=printable(connection.session.version.sub_version.decode("latin-1"), 100),
                connected_for=now - peer.since,
                clock_offset=peer.clock_offset,
                score=(known := self.book.known.get(peer.address, unknown)).score,
                source=known.source,
                delivered=peer.delivered,
                failed=peer.failed,
                relayed=peer.relayed,
            )
            for connection, peer in self._peers.items()
            if connection.session.version is not None
        ]

    def totals(self) -> BroadcasterTotals:
        """Return what pages show of the whole: counters, known addresses, and settings."""
        return BroadcasterTotals(
            replace(self._counts),
            len(self.book.known),
            self.book.sources(),
            self.book.resting(self._clock()),
            self._settings.max_peers,
            DIALS_AT_ONCE,
            CONNECT_TIME,
            ASK_PERIOD,
        )
