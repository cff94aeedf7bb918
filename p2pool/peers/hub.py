"""All connections together: who is connected, what is passed on, asked for and sent to all. Without sockets."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from dataclasses import dataclass

from twisted.logger import Logger
from twisted.python.failure import Failure
from typing_extensions import override

from p2pool.base.bounded import BoundedSet
from p2pool.base.environment import Environment
from p2pool.base.hosts import parse_address
from p2pool.base.observable import Event
from p2pool.base.ordered_set import OrderedSet
from p2pool.base.text import printable
from p2pool.base.turns import Turns
from p2pool.dash.block import BlockHeader
from p2pool.networks.parameters import Network
from p2pool.peers.address_book import AddressBook
from p2pool.peers.address_samples import AddressSamples
from p2pool.peers.addresses import Bans, group_of, is_dialable, is_loopback, may_be_told, source_group
from p2pool.peers.allowance import AddressAllowance, AddressAllowances
from p2pool.peers.broadcast import ShareBroadcaster
from p2pool.peers.download import Downloader
from p2pool.peers.errors import Drop, Misbehaviour, OwnNode
from p2pool.peers.eviction import Incoming, choose_to_evict
from p2pool.peers.figures import FoundBy, KnownNode, NodeOrigin
from p2pool.peers.handshake import Introduction, PeerState
from p2pool.peers.messages import (
    AddrMe,
    Addrs,
    BestBlock,
    PeerAddress,
    PeerPing,
    SeenAddress,
)
from p2pool.peers.peer_watch import LOGGED_SOFTWARE, PeerWatch
from p2pool.peers.ports import PoolPort
from p2pool.peers.round_trips import RoundTrips
from p2pool.peers.session import Hub, PeerSession
from p2pool.peers.settings import PeerSettings
from p2pool.peers.share_intake import ShareSender
from p2pool.peers.transaction_relay import TransactionRelay
from p2pool.peers.transactions import TransactionPool
from p2pool.pool_stats import PeerCensus
from p2pool.share.parsing import PackedContents, ParsedShare
from p2pool.share.share import Share

_log = Logger(namespace="p2pool.peers")

PASS_ON = 0.8
"""The probability with which an address that was heard is sent on to one peer."""
PING_PERIOD = 100.0
LONGEST_PAUSE = 90.0
"""Seconds until the next ping at the latest: after 100 s of silence the other side disconnects."""
ASK_ADDRESSES_PERIOD = 20.0
PREFERRED_ADDRESSES = 1000
TRIM_PERIOD = 10.0
MAX_PER_GROUP = 3
"""Incoming connections of one /16 of IPv4, or /32 of IPv6."""
_GIVEN, _NAMED, _OUR_ADDRESSES = 1000, 1000, 100


@dataclass(frozen=True, slots=True)
class HubSettings:
    """`listen_port` is 0 if this node does not listen; `external` is the address at which others are to reach it,
    if that is not the one that they see."""

    network: Network
    sub_version: bytes
    listen_port: int
    max_incoming: int = PeerSettings.max_conns
    advertise: bool = True
    external: PeerAddress | None = None


class PeerHub(Hub):
    """All connections, and what is exchanged on them. `sender_of` gives the label of the
    peer that a held share came from, None if it is this node's own."""

    def __init__(
        self,
        environment: Environment,
        settings: HubSettings,
        *,
        pool: PoolPort,
        transactions: TransactionPool,
        sender_of: Callable[[int], str | None],
    ) -> None:
        monotonic, chance = environment.monotonic, environment.chance
        self.settings = settings
        self.transactions = transactions
        self.addresses = AddressBook(chance)
        self.bans = Bans()
        self.given: BoundedSet[tuple[str, int]] = BoundedSet(_GIVEN)
        """Where nodes of --p2pool-node were reached."""
        self.named: BoundedSet[str] = BoundedSet(_NAMED)
        """Hosts that bootstrap names and lists gave in this run."""
        self._ours: BoundedSet[tuple[str, int]] = BoundedSet(_OUR_ADDRESSES)
        """Where this node reached itself."""
        self.peers_changed: Event[int] = Event()
        """How many peers there are now."""
        self.bytes_received = self.bytes_sent = 0
        """Of all connections since the start."""
        self.nonce = environment.nonce()
        self.sessions: OrderedSet[PeerSession] = OrderedSet()
        """All connections, also those without a handshake yet. Bound: max_incoming and those that this node
        dials."""
        self.broadcaster = ShareBroadcaster(transactions, sender_of)
        self._pool = pool
        self._clock = environment.clock
        self.monotonic = monotonic
        self._call_soon = environment.call_soon
        self.turns = Turns(monotonic, environment.call_soon)
        self._rng = chance
        self._pings: dict[PeerSession, float] = {}
        self.round_trips = RoundTrips(monotonic, chance)
        self._next_ask = self._next_trim = monotonic()
        self._next_advertisement = 0.0
        self._samples = AddressSamples(self.addresses, chance)
        self._allowances = AddressAllowances()
        self._watch = PeerWatch()
        self.downloader = Downloader(pool, lambda: self.peers, chance)
        self._relay = TransactionRelay(
            pool,
            transactions,
            sessions=lambda: self.sessions,
            peers=lambda: self.peers,
            monotonic=monotonic,
            call_soon=self.call_soon,
        )

    # --- connections -------------------------------------------------------------------------------------

    @property
    def peers(self) -> list[PeerSession]:
        """Return the connections whose handshake is done."""
        return [session for session in self.sessions if session.state is PeerState.READY]

    @property
    def has_chain(self) -> bool:
        """Return whether there is a share to build on."""
        return self._pool.best_share_hash() is not None

    def session_of(self, label: str) -> PeerSession | None:
        """Return the connection with a label; None once it has ended."""
        return next((session for session in self.sessions if session.label == label), None)

    def may_accept(self, host: str) -> bool:
        """Return whether an incoming connection is accepted, be it in place of another one."""
        if self.bans.is_banned(host, self._clock()):
            return False
        incoming = [session for session in self.sessions if session.incoming]
        group = group_of(host)
        neighbours = sum(1 for session in incoming if group_of(session.host) == group)
        if neighbours >= MAX_PER_GROUP and not is_loopback(host):
            return False
        return len(incoming) < self.settings.max_incoming or self._to_evict() is not None

    def _to_evict(self) -> PeerSession | None:
        """Return the incoming connection that makes room for another one; None if none does."""
        incoming = [
            Incoming(
                session,
                group=group_of(session.host),
                connected_at=session.connected_at,
                round_trip=self.round_trips.of(session),
                brought_at=session.brought_at,
            )
            for session in self.sessions
            if session.incoming
        ]
        return choose_to_evict(incoming, self.monotonic(), self.addresses.secret_number)

    def open(
        self,
        host: str,
        port: int,
        *,
        incoming: bool,
        ours: tuple[str, int],
        write: Callable[[bytes], None],
        fail: Callable[[Exception], None],
        flow: Callable[[bool], None],
    ) -> PeerSession:
        """Take a new connection, and send this node's `version`; `ours` is this end of it."""
        introduction = Introduction(
            prefix=self.settings.network.prefix,
            nonce=self.nonce,
            sub_version=self.settings.sub_version,
            best_share_hash=self._pool.shown_share_hash(),
            host=ours[0],
            port=ours[1],
        )
        session = PeerSession(
            self,
            introduction,
            host=host,
            port=port,
            incoming=incoming,
            write=write,
            now=self.monotonic(),
            fail=fail,
            flow=flow,
        )
        if incoming and sum(1 for each in self.sessions if each.incoming) >= self.settings.max_incoming:
            evicted = self._to_evict()
            if evicted is not None:
                evicted.failed(Drop(""))
        self.sessions.add(session)
        session.hello()
        return session

    def close(self, session: PeerSession, error: Exception | None) -> None:
        """Handle the end of a connection, and log it in one line if there is something to say."""
        if session not in self.sessions:
            return
        self.sessions.discard(session)
        self._pings.pop(session, None)
        self.round_trips.forget(session)
        session.close()
        if isinstance(error, Misbehaviour):
            self.bans.ban(session.host, self._clock())
            _log.warn(
                "disconnected peer {peer} and banned its host for an hour: {error}",
                peer=session.label,
                error=printable(str(error)),
            )
        elif isinstance(error, OwnNode):
            if not session.incoming:
                self._ours.add((session.host, session.port))
                self.addresses.forget(session.host, session.port)
        elif isinstance(error, Drop):
            if str(error):
                _log.info("disconnected peer {peer}: {error}", peer=session.label, error=printable(str(error)))
        elif error is not None:
            _log.failure("internal error on the connection to peer {peer}", Failure(error), peer=session.label)
        else:
            self._left(session)
        if session.version is not None:
            self.peers_changed.fire(len(self.peers))
        self.downloader.step(self.monotonic())

    def _left(self, session: PeerSession) -> None:
        """Handle a connection that the other side has ended."""
        if session.version is not None:
            if not session.incoming:
                self._answers(session)
            _log.info("peer {peer} disconnected", peer=session.label)
        self._watch.left(session, self.peers, self.monotonic())

    @override
    def welcome(self, session: PeerSession) -> None:
        version = session.version
        if version is None:
            return
        if not session.incoming:
            self._answers(session)
        for other in self.sessions:
            if other is not session and other.version is not None and other.version.nonce == version.nonce:
                session.disown()
                raise Drop("")
        self._plan_ping(session)
        _log.info(
            "peer {peer} {how}: {software}, protocol {protocol}",
            peer=session.label,
            how="connected to this node" if session.incoming else "connected",
            software=session.software(LOGGED_SOFTWARE),
            protocol=version.version,
        )
        self.peers_changed.fire(len(self.peers))
        self._call_soon(lambda: self.downloader.step(self.monotonic()))

    # --- time --------------------------------------------------------------------------------------------

    def tick(self, fail: Callable[[PeerSession, Exception], None]) -> None:
        """Check the time limits; to be called once a second. `fail` ends a connection."""
        now = self.monotonic()
        for session in list(self.sessions):
            try:
                session.check_time(now)
            except Drop as error:
                fail(session, error)
        for session, due in list(self._pings.items()):
            if now >= due:
                self._plan_ping(session)
                session.send(PeerPing())
        peers = self.peers
        self._watch.step(peers, now)
        if now >= self._next_ask:
            self._next_ask = now + self._rng.expovariate(1 / ASK_ADDRESSES_PERIOD)
            if peers and len(self.addresses) < PREFERRED_ADDRESSES:
                self._rng.choice(peers).request_addresses(8)
        if now >= self._next_advertisement:
            self._next_advertisement = now + self._rng.expovariate(1 / (100.0 * len(peers) + 1))
            self._advertise(peers)
        if now >= self._next_trim:
            self._next_trim = now + TRIM_PERIOD
            self._relay.trim()
        self.round_trips.step(peers)
        self.downloader.step(now)

    def census(self) -> PeerCensus:
        """Return what the peers are, by their own account."""
        return self._watch.census(self.peers, now=self.monotonic(), unix=self._clock())

    def _plan_ping(self, session: PeerSession) -> None:
        pause = min(self._rng.expovariate(1 / PING_PERIOD), LONGEST_PAUSE)
        self._pings[session] = self.monotonic() + pause

    def _advertise(self, peers: Sequence[PeerSession]) -> None:
        settings = self.settings
        if not settings.advertise or not settings.listen_port:
            return
        for peer in peers:
            if settings.external is not None:
                peer.send(Addrs((SeenAddress(int(self._clock()), settings.external),)))
            else:
                peer.send(AddrMe(settings.listen_port))

    # --- addresses ---------------------------------------------------------------------------------------

    @override
    def listens(self, session: PeerSession, port: int) -> None:
        if is_loopback(session.host):
            if self.peers and self._rng.random() < PASS_ON:
                self._rng.choice(self.peers).send(AddrMe(port))
            return
        services = 0 if session.version is None else session.version.services
        address = PeerAddress(session.host, port, services)
        self._take_address(SeenAddress(int(self._clock()), address), session, NodeOrigin.INCOMING)

    @override
    def address_heard(self, seen: SeenAddress, session: PeerSession) -> None:
        self._take_address(seen, session, NodeOrigin.PEER)

    def is_ours(self, host: str, port: int) -> bool:
        """Return whether this node is reached at that address, as far as it knows."""
        external = self.settings.external
        return (external is not None and (host, port) == (external.host, external.port)) or (
            host,
            port,
        ) in self._ours

    def known_nodes(self) -> list[KnownNode]:
        """Return the known addresses of other nodes, without those at which peers see this one."""
        ours = set()
        for session in self.peers:
            if session.version is not None:
                receiver, port = session.version.receiver, self.settings.listen_port
                ours.add((receiver.host, receiver.port if session.incoming else port))
        return [
            each
            for each in self.addresses.seen()
            if (each.host, each.port) not in ours and not self.is_ours(each.host, each.port)
        ]

    def found_by(self, session: PeerSession) -> FoundBy:
        """Return how a peer became known."""
        if session.incoming:
            return FoundBy(NodeOrigin.INCOMING)
        if (session.host, session.port) in self.given:
            return FoundBy(NodeOrigin.GIVEN)
        return self.addresses.found_by(session.host, session.port) or FoundBy(NodeOrigin.REMEMBERED)

    def use_addresses(self, book: AddressBook) -> None:
        """Take another address book in place of the empty one."""
        self.addresses = book
        self._samples = AddressSamples(book, self._rng)

    def is_trusted(self, session: PeerSession) -> bool:
        """Return whether the operator, or the package, names the peer as a node to begin with."""
        return session.host in self.named or (session.host, session.port) in self.given

    def _answers(self, session: PeerSession) -> None:
        """Take note that a node was reached where it listens."""
        if session.version is not None and parse_address(session.host) is not None:
            address = PeerAddress(session.host, session.port, session.version.services)
            self.addresses.answered(address, self._clock(), found_by=self.found_by(session))

    def _take_address(self, seen: SeenAddress, session: PeerSession, origin: NodeOrigin) -> None:
        now, address = self._clock(), seen.address
        if self.is_ours(address.host, address.port) or not is_dialable(address, session.host):
            return
        is_news = self.addresses.add(
            address,
            float(min(seen.timestamp, int(now))),
            now=now,
            source=source_group(session.host),
            found_by=FoundBy(origin),
        )
        if is_news and self._rng.random() < PASS_ON:
            peer = self._rng.choice(self.peers)
            if may_be_told(address.host, peer.host):
                peer.send(Addrs((seen,)))

    @override
    def addresses_for(self, session: PeerSession, count: int) -> Sequence[SeenAddress]:
        return self._samples.answer(session.host, count, now=self.monotonic(), unix=self._clock())

    @override
    def address_allowance(self, host: str, now: float) -> AddressAllowance:
        return self._allowances.of(source_group(host), now)

    # --- shares ------------------------------------------------------------------------------------------

    @override
    def parse_steps(self, packed: Sequence[PackedContents]) -> Generator[None, None, list[ParsedShare]]:
        return self._pool.parse_steps(packed)

    @override
    def newer_share(self, kind: int, sender: ShareSender) -> None:
        self._watch.newer_share(kind, sender, self._clock())

    @override
    def shares_came(self, shares: Sequence[Share], session: PeerSession) -> None:
        if self._pool.add_shares(shares, session.label):
            session.brought_at = self.monotonic()

    @override
    def share_hash_heard(self, share_hash: int, session: PeerSession) -> None:
        self.downloader.fetch(share_hash, session, self.monotonic())

    @override
    def shares_for(self, hashes: Sequence[int], parents: int, stops: Collection[int]) -> Iterator[Share]:
        for share_hash in hashes:
            for share in self._pool.chain_part(share_hash, parents + 1):
                if share.hash in stops:
                    break
                yield share

    @override
    def best_block(self, header: BlockHeader, block_hash: int) -> None:
        self._pool.best_block_heard(header, block_hash)

    def send_best_block(self, header: BlockHeader) -> None:
        """Tell peers that the parent chain has a new best block."""
        self._relay.send_all([BestBlock(header)])

    def call_soon(self, function: Callable[[], None]) -> None:
        """Call a function after the current event."""
        self._call_soon(function)

    @override
    def transactions_came(self, transactions: Sequence[tuple[int, bytes]], session: PeerSession) -> None:
        self._relay.take(transactions, session)
