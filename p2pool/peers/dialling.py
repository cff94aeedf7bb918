"""Outgoing connections: with whom, how many, and how they change. Called by `service` once a second.

Incoming connections do not count: whoever connects to this node must not decide all that it hears.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from p2pool.base.backoff import Backoff
from p2pool.base.bounded import BoundedDict
from p2pool.base.environment import Environment
from p2pool.base.hosts import EVERY_KIND, NetworkKind, kinds_of, parse_address
from p2pool.base.outgoing import endpoint_to
from p2pool.peers.addresses import dial_group
from p2pool.peers.bootstrap import MAX_FOUND
from p2pool.peers.hub import PeerHub
from p2pool.peers.kept_node import SHORT_LIVED
from p2pool.peers.messages import PeerAddress
from p2pool.peers.protocol import PeerFactory, PeerProtocol
from p2pool.peers.session import PeerSession

MAX_ATTEMPTS = 30
DIAL_TIME = 5.0
REST_AFTER_FAILURE = 60.0
HURRY_TIME, HURRIED_REST = 60.0, 5.0
"""Seconds after the loss of the last peer in which a host that failed is dialled again sooner, and how soon: most
often the node's own connection failed, and what its miners solve waits for a peer."""
FEW_PEERS = 2
"""With fewer outgoing connections than this the node looks for other nodes: one could be lying, or cut off."""
EXPLORE_PERIOD = 300.0
"""Seconds for which there is one connection more than wanted, to a node that is drawn again each time. It shows
which new addresses are good ones. Without it, parts of a network that could not reach each other for some
minutes stay apart for ever: by then each node has all the connections that it wants, within its own part."""
EXPLORE_AGAIN = 30.0
"""Seconds until the next such connection if nobody was reached."""
STARVED_TIME: Final = 5.0
"""Seconds without a share from the peers that this node chose, while it has no share chain. After that it dials
another one each second, in place of those that bring nothing."""
QUIET_PERIODS: Final = 10
"""Share periods without a share from any peer, while there is a chain: chance has it once in 22,000 times. After
that another peer is dialled, again after EXPLORE_AGAIN seconds, and ever more rarely: the pool may be small
now."""
REST_AFTER_STARVING: Final = 300.0
"""Seconds before a peer is dialled again that made room for another since it brought nothing."""
MAX_ANCHORS: Final = 2
"""Outgoing connections that are made again first after a restart: whoever fills the address book does not gain
by a restart what it could not have before."""


class Dialler:
    """Keeps up the outgoing connections, as many as `wanted`, in networks of those `kinds`; those of --p2pool-node
    count."""

    def __init__(
        self, environment: Environment, hub: PeerHub, *, wanted: int, kinds: frozenset[NetworkKind] = EVERY_KIND
    ) -> None:
        self.factory = PeerFactory(hub, False)
        self.factory.began.subscribe(self._began)
        self.factory.ended.subscribe(self._ended)
        self.named: deque[PeerAddress] = deque(maxlen=MAX_FOUND)
        """Addresses of the last look-up that were not dialled yet: they come before those that are
        remembered."""
        self._anchors: list[PeerAddress] = []
        """What is left to dial of the anchors of the last run."""
        self._hub = hub
        self._reactor = environment.reactor
        self._clock: Callable[[], float] = environment.clock
        self._chance: random.Random = environment.chance
        self._environment = environment
        self._wanted = wanted
        self._kinds = kinds
        self._attempts: dict[str, Deferred[Any]] = {}
        """By group. At most MAX_ATTEMPTS."""
        self._resting: BoundedDict[str, float] = BoundedDict(1000)
        """Host -> until when it is not dialled again."""
        self._next_exploration = self._hurries_until = 0.0
        """On the reactor's clock."""
        self._fed_at = self._next_turn = 0.0
        """When a peer last brought a share, or this node began to wait for one; when it turns to another peer. On
        the monotonic clock."""
        self._turn_backoff = Backoff(EXPLORE_AGAIN, EXPLORE_PERIOD)
        self._explored: tuple[str, int] | None = None
        """The address that was explored last."""

    def start(self) -> None:
        """Let the time until the first exploration begin."""
        self._next_exploration = self._reactor.seconds() + EXPLORE_PERIOD

    def stop(self) -> None:
        """Give up all attempts to connect."""
        for attempt in list(self._attempts.values()):
            attempt.cancel()

    # --- anchors -----------------------------------------------------------------------------------------

    def anchors(self) -> list[tuple[str, int]]:
        """Return the outgoing peers that are to be dialled first after a restart: those connected longest."""
        outgoing = [peer for peer in self._hub.peers if not peer.incoming]
        return [(peer.host, peer.port) for peer in sorted(outgoing, key=_connected_at)[:MAX_ANCHORS]]

    def take_anchors(self, value: object) -> list[tuple[str, int]]:
        """Load what `anchors` gave, and return it; whatever else it is, is ignored."""
        for each in value[:MAX_ANCHORS] if isinstance(value, list) else ():
            match each:
                case [str(host), int(port)] if 0 < port < 65536 and parse_address(host) is not None:
                    self._anchors.append(PeerAddress(host, port))
        return [(each.host, each.port) for each in self._anchors]

    # --- who is dialled ----------------------------------------------------------------------------------

    def step(self) -> None:
        """Make one more attempt to connect, if there are too few outgoing connections: one per second is quick
        enough without being a flood. If there are enough, make one after EXPLORE_PERIOD, or at once to a node
        that a bootstrap source names if none of those is connected."""
        if not self._wanted or len(self._attempts) >= MAX_ATTEMPTS:
            return
        self._note_shares()
        address: PeerAddress | None = None
        outgoing = [session for session in self._hub.sessions if not session.incoming]
        groups = {dial_group(session.host, session.port) for session in outgoing}
        if len(outgoing) < self._wanted:
            named, drawn = [*self._anchors, *self.named], self._hub.addresses.draw(self._clock())
            address = self._first(chain(named, drawn), groups)
            if address is None and len(outgoing) < FEW_PEERS:
                address = self._first(self._hub.addresses.draw(self._clock()), set())
        elif self.named and not self.has_trusted():
            address = self._first(tuple(self.named), set())
        elif self.is_starved and len(outgoing) <= self._wanted + 1 and self._hub.monotonic() >= self._next_turn:
            address = self._turn_to_another(groups)
        elif self._reactor.seconds() >= self._next_exploration:
            address = self._explore(groups)
        if address is not None:
            self._try(address)

    def has_trusted(self) -> bool:
        """Return whether a node that the operator or the package names is a peer."""
        return any(map(self._hub.is_trusted, self._hub.peers))

    @property
    def is_starved(self) -> bool:
        """Return whether peers have not brought a share for too long: they may be many hosts of one owner."""
        period = self._hub.settings.network.share_period
        patience = QUIET_PERIODS * period if self._hub.has_chain else STARVED_TIME
        return self._hub.monotonic() - self._fed_at > patience

    def _note_shares(self) -> None:
        """Take note of when a peer last brought a share; without a chain, of those that this node chose: others
        could bring it one share at a time."""
        peers = self._hub.peers
        chosen = [peer for peer in peers if not peer.incoming]
        senders = peers if self._hub.has_chain else chosen
        fed_at = max((peer.brought_at for peer in senders if peer.brought_at is not None), default=self._fed_at)
        if not chosen:
            fed_at = self._hub.monotonic()
        if fed_at > self._fed_at:
            self._fed_at = fed_at
            self._next_turn = 0.0
            self._turn_backoff.reset()

    def _turn_to_another(self, groups: set[str]) -> PeerAddress | None:
        """Return the address for a connection in place of one that brings nothing."""
        drawn = self._hub.addresses.draw(self._clock(), new_first=self._chance.random() < 0.5)
        address = self._first(chain([*self._anchors, *self.named], drawn), groups)
        if address is not None and self._hub.has_chain:
            self._next_turn = self._hub.monotonic() + self._turn_backoff.next_wait()
        return address

    def _explore(self, groups: set[str]) -> PeerAddress | None:
        """Return the address for the connection more than wanted: one that may lose its place in the book, else
        a new or a tried one."""
        book, now = self._hub.addresses, self._clock()
        connected = {(peer.host, peer.port) for peer in self._hub.peers if not peer.incoming}
        contested = book.contested()
        for each in contested:
            if (each.host, each.port) in connected:
                book.answered(each, now)
        address = self._first(contested, set())
        if address is None:
            address = self._first(book.draw(now, new_first=self._chance.random() < 0.5), groups)
        if address is not None:
            self._next_exploration = self._reactor.seconds() + EXPLORE_PERIOD
            self._explored = address.host, address.port
        return address

    def _first(self, addresses: Iterable[PeerAddress], groups: set[str]) -> PeerAddress | None:
        """Return the first address that may be dialled now, and is in none of the groups. The named ones that
        are passed over are not tried again."""
        now = self._clock()
        connected = {(session.host, session.port) for session in self._hub.sessions}
        for address in addresses:
            key, group = (address.host, address.port), dial_group(address.host, address.port)
            if group in self._attempts:
                continue
            self._take_out(address)
            rests = self._resting.get(address.host, 0.0) > now
            excluded = rests or key in connected or group in groups or not kinds_of(address.host) & self._kinds
            if not (excluded or self._hub.bans.is_banned(address.host, now)):
                return address
        return None

    def _take_out(self, address: PeerAddress) -> None:
        """Note that an address that was to be dialled first had its turn."""
        for first in (self._anchors, self.named):
            if address in first:
                first.remove(address)

    # --- attempts ----------------------------------------------------------------------------------------

    def _try(self, address: PeerAddress) -> None:
        group = dial_group(address.host, address.port)
        endpoint = endpoint_to(self._environment, address.host, address.port, timeout=DIAL_TIME)
        attempt = endpoint.connect(self.factory)
        self._attempts[group] = attempt

        def ended(result: object) -> None:
            self._attempts.pop(group, None)
            if isinstance(result, Failure) and not result.check(CancelledError):
                self._failed(address.host, address.port)

        attempt.addBoth(ended)

    def _failed(self, host: str, port: int) -> None:
        """Take note that nobody of use was reached. Without any peer the fault may be this node's."""
        hurries = self._reactor.seconds() < self._hurries_until and not self._hub.peers
        self._resting[host] = self._clock() + (HURRIED_REST if hurries else REST_AFTER_FAILURE)
        self._hub.addresses.failed(host, port, self._clock(), counts=bool(self._hub.peers))
        if self._explored == (host, port):
            self._next_exploration = min(self._next_exploration, self._reactor.seconds() + EXPLORE_AGAIN)

    def _began(self, session: PeerSession) -> None:
        """Close what a new connection makes too many: those made last, but for nodes that are named; if this node
        is starved without a chain, those that had their turn, the oldest first. (With a chain, maybe nobody finds
        anything, and a peer that was honest for long must not make room for whoever comes then.)"""
        outgoing = sum(1 for each in self._hub.sessions if not each.incoming)
        others = [each for each in reversed(list(self.factory.protocols)) if each.session is not session]
        is_starved = self.is_starved and not self._hub.has_chain
        if is_starved:
            others.sort(key=_last_use)
        for protocol in others:
            if outgoing <= self._wanted + 1:
                break
            each = protocol.session
            if each is None or not self._may_close(each, is_starved):
                continue
            if is_starved:
                self._resting[each.host] = self._clock() + REST_AFTER_STARVING
            protocol.close()
            outgoing -= 1

    def _may_close(self, session: PeerSession, is_starved: bool) -> bool:
        if is_starved:
            return self._hub.downloader.has_no_turn_left(session, self._hub.monotonic())
        return not self._hub.is_trusted(session)

    def _ended(self, session: PeerSession) -> None:
        """Take note of the end of a connection. Without a handshake the address is of no use: a dead end, this
        node itself, or a peer that is connected already. A node that a bootstrap source names is dialled again
        at once if it stayed for a while: it may have made room for another one. So is the last peer."""
        if session.version is not None:
            lasted = self._hub.monotonic() - session.connected_at
            is_last = not self._hub.peers
            if is_last:
                self._hurries_until = self._reactor.seconds() + HURRY_TIME
            if is_last or (session.host in self._hub.named and lasted >= SHORT_LIVED):
                self.named.appendleft(PeerAddress(session.host, session.port))
            return
        if session.is_second:
            self._resting[session.host] = self._clock() + REST_AFTER_FAILURE
        else:
            self._failed(session.host, session.port)


def _last_use(protocol: PeerProtocol) -> float:
    peer = protocol.session
    return 0.0 if peer is None else peer.connected_at if peer.brought_at is None else peer.brought_at


def _connected_at(peer: PeerSession) -> float:
    return peer.connected_at
