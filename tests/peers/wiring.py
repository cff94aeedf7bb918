"""Peers without sockets: sessions and hubs that the test talks to, pools that hold what it says."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Collection, Generator, Sequence
from functools import lru_cache

from twisted.internet.testing import StringTransport

from p2pool.base.environment import Environment
from p2pool.base.turns import Turns
from p2pool.dash.hashes import sha256d_int
from p2pool.networks import Network
from p2pool.peers import messages
from p2pool.peers.allowance import AddressAllowance
from p2pool.peers.download import Downloader
from p2pool.peers.errors import Drop
from p2pool.peers.handshake import Introduction
from p2pool.peers.hub import HubSettings, PeerHub
from p2pool.peers.messages import (
    Envelope,
    Message,
    PeerAddress,
    PeerVersion,
    RawTransaction,
    ShareReq,
    parse_message,
)
from p2pool.peers.session import PeerSession
from p2pool.peers.transactions import TransactionPool
from p2pool.share.parsing import PackedContents, ParsedShare, parse_shares_steps
from p2pool.share.share import Share
from p2pool.sharechain.tracker import Tracker
from p2pool.wire.codec import pack_varstr
from p2pool.wire.framer import Framer, frame
from tests.chains import NOW, easy_network, grow_chain
from tests.environment import PostponingReactor, make_environment
from tests.support import make_template

NETWORK = easy_network(40)
PREFIX = NETWORK.prefix
TX = [bytes([n]) * 32 for n in (1, 2)]
"""Hashes, in hashing order, of what the first share of `chain(..., with_transactions=True)` names."""
HOST = "203.0.113.9"


@lru_cache(maxsize=8)
def chain(count: int, with_transactions: bool = False) -> tuple[Share, ...]:
    """A chain of shares, oldest first."""
    template = make_template(transactions=TX if with_transactions else [])
    return tuple(grow_chain(Tracker(NETWORK), template, count, 3))


def with_tracker(count: int, best: int | None = None, seed: int = 1, tracker: Tracker | None = None) -> Tracker:
    """A tracker that holds a chain of its own."""
    tracker = tracker or Tracker(NETWORK)
    grow_chain(tracker, make_template(), count, 3, best, seed)
    return tracker


def envelope(share: Share, kind: int = 16) -> Envelope:
    return Envelope(kind, share.contents)


def transaction(number: int, size: int = 100) -> RawTransaction:
    """A transaction of so many bytes, at least 27: one output with a long script."""
    for width in (1, 3, 5):  # of the script's length
        script = pack_varstr(number.to_bytes(8, "little") + bytes(max(0, size - 26 - width)))
        data = bytes(4) + b"\x00\x01" + bytes(8) + script + bytes(4)
        if len(data) == size:
            return RawTransaction(sha256d_int(data), data)
    raise ValueError(f"no such transaction has {size} bytes")


def version(nonce: int = 77, number: int = 1700, best: int | None = None) -> PeerVersion:
    return PeerVersion(number, 0, PeerAddress("1.1.1.1", 1), PeerAddress("2.2.2.2", 2), nonce, b"test", 1, best)


def framed(*said: Message) -> bytes:
    return b"".join(frame(PREFIX, message.command, message.pack()) for message in said)


class Heard:
    """Reads what one side writes."""

    def __init__(self) -> None:
        self._framer = Framer(PREFIX, messages.MAX_PAYLOAD)
        self.largest = 0
        self.messages: list[Message] = []

    def __call__(self, data: bytes) -> None:
        for command, payload in self._framer.feed(data):
            self.largest = max(self.largest, len(payload))
            message = parse_message(command, payload)
            assert message is not None
            self.messages.append(message)

    def take(self, kind: type | None = None) -> list:
        """What was heard since the last time, or of that what is of one kind."""
        taken, self.messages = self.messages, []
        return [message for message in taken if kind is None or isinstance(message, kind)]


class StubHub:
    """Implements `session.Hub`: notes every call, answers with what the test put in."""

    def __init__(self) -> None:
        self.transactions = TransactionPool()
        self.calls: list[tuple] = []
        self.soon: deque[Callable[[], None]] = deque()
        self.tick = 0.0
        """Seconds that each look at the clock takes: SLICE_TIME makes each step the last of its slice."""
        self.clock = 0.0
        self.turns = Turns(self._seconds, self.soon.append)
        self.held: tuple[Share, ...] = ()
        self.addresses: list = []
        self.unwelcome = False
        self.newer: list[int] = []
        """Types of shares that are newer than we know."""

    def _seconds(self) -> float:
        self.clock += self.tick
        return self.clock

    def names(self) -> list[str]:
        return [call[0] for call in self.calls]

    def run(self, turns: int = 10_000) -> int:
        """So many postponed calls, or all; returns how many there were."""
        done = 0
        while self.soon and done < turns:
            self.soon.popleft()()
            done += 1
        return done

    def welcome(self, session):
        if self.unwelcome:
            raise Drop("")
        self.calls.append(("welcome",))

    def address_heard(self, seen, session):
        self.calls.append(("address", seen))

    def listens(self, session, port):
        self.calls.append(("listens", port))

    def addresses_for(self, session, count):
        self.calls.append(("addresses_for", count))
        return self.addresses[:count]

    def address_allowance(self, host, now):
        return AddressAllowance(now)

    def shares_came(self, shares, session):
        self.calls.append(("shares", tuple(share.hash for share in shares)))

    def share_hash_heard(self, share_hash, session):
        self.calls.append(("share_hash", share_hash))

    def transactions_came(self, transactions, session):
        self.transactions.add(transactions)

    def parse_steps(self, packed):
        return parse_shares_steps(packed, NETWORK)

    def newer_share(self, kind, session):
        self.newer.append(kind)

    def shares_for(self, hashes, parents, stops):
        self.calls.append(("asked", len(hashes), parents, tuple(stops)))
        yield from self.held

    def best_block(self, header, block_hash):
        self.calls.append(("best_block", block_hash))


class Talk:
    """A session, its hub and its other end; `ready` where the handshake is done."""

    def __init__(self, ready: bool = True, host: str = HOST) -> None:
        self.hub = StubHub()
        self.heard = Heard()
        self.flow: list[bool] = []
        self.failed: list[Exception] = []
        introduction = Introduction(PREFIX, 5, b"us", None, "198.51.100.1", 9999)
        self.session = PeerSession(
            self.hub,
            introduction,
            host=host,
            port=4000,
            incoming=True,
            write=self.heard,
            now=0.0,
            fail=self._fail,
            flow=self.flow.append,
        )
        self.now = 0.0
        if ready:
            self.say(version())
            self.heard.take()
            self.hub.calls.clear()

    def _fail(self, error: Exception) -> None:
        self.failed.append(error)
        self.session.close()

    def say(self, *said: Message) -> None:
        """Say it and let it be worked through; an error is raised, whenever it came."""
        self.raw(framed(*said))

    def raw(self, data: bytes) -> None:
        self.session.receive(data, self.now)
        self.hub.run()
        if self.failed:
            raise self.failed[0]


class Recorder:
    """What a request was answered with."""

    def __init__(self) -> None:
        self.answers: list = []

    def __call__(self, shares) -> None:
        self.answers.append(None if shares is None else [share.hash for share in shares])


class StubPool:
    """Implements `ports.PoolPort` over a tracker, without a node."""

    def __init__(self, tracker: Tracker | None = None, best: int | None = None) -> None:
        self.tracker = tracker or Tracker(NETWORK)
        self.best = best
        self.missing: list[int] = []
        self.above: list[str] = []
        self.came: list[tuple[list[int], str]] = []
        self.headers: list[int] = []

    def best_share_hash(self) -> int | None:
        return self.best

    shown_share_hash = best_share_hash

    def has_share(self, share_hash: int) -> bool:
        return share_hash in self.tracker

    def chain_part(self, share_hash: int, count: int) -> Sequence[Share]:
        return list(self.tracker.ancestors(share_hash, count))

    def request_stops(self, maximum: int) -> tuple[int, ...]:
        return (11, 12)[:maximum]

    def parse_steps(self, packed: Sequence[PackedContents]) -> Generator[None, None, list[ParsedShare]]:
        return parse_shares_steps(packed, NETWORK)

    def add_shares(self, shares: Sequence[Share], sender: str, requested: bool = False) -> int:
        self.came.append(([share.hash for share in shares], sender))
        return sum(self.tracker.add(share, NOW, sender) for share in shares)

    def wanted(self) -> Sequence[int]:
        return self.missing

    def senders_above(self, share_hash: int) -> Collection[str]:
        return self.above

    def best_block_heard(self, header, block_hash: int) -> None:
        self.headers.append(block_hash)


class Depot:
    """A downloader and its peers."""

    def __init__(self, peers: int = 1, seed: int = 1) -> None:
        self.pool = StubPool()
        self.talks = [Talk(host=f"203.0.113.{number}") for number in range(1, peers + 1)]
        self.downloader = Downloader(self.pool, self.peers, random.Random(seed))

    def peers(self) -> list:
        return [talk.session for talk in self.talks if not talk.session.closed]

    def step(self, now: float) -> list[tuple[Talk, ShareReq]]:
        """What is asked, by whom."""
        for talk in self.talks:
            talk.now = now
        self.downloader.step(now)
        return self.asked()

    def asked(self) -> list[tuple[Talk, ShareReq]]:
        return [(talk, message) for talk in self.talks for message in talk.heard.take(ShareReq)]


class Moment:
    """Both clocks, and what is postponed."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.tick = 0.0
        """Seconds that each look at the monotonic clock takes."""
        self.soon: deque[Callable[[], None]] = deque()

    def unix(self) -> float:
        return NOW + self.now

    def monotonic(self) -> float:
        self.now += self.tick
        return self.now

    def environment(self, chance: random.Random) -> Environment:
        return make_environment(
            PostponingReactor(self.soon.append), clock=self.unix, monotonic=self.monotonic, chance=chance
        )

    def run(self) -> None:
        while self.soon:
            self.soon.popleft()()


class Always(random.Random):
    """Chance that always, or never, passes on what has a probability; everything else is left to chance."""

    passes = True

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._times = random.Random(seed)

    def random(self) -> float:
        return 0.0 if self.passes else 0.99

    def expovariate(self, lambd: float = 1.0) -> float:
        return self._times.expovariate(lambd)

    def getrandbits(self, k: int) -> int:
        return super().getrandbits(k)


def make_hub(moment: Moment, pool=None, seed: int = 1, network: Network = NETWORK, **settings) -> PeerHub:
    pool = pool or StubPool()

    def sender_of(share_hash: int) -> str | None:
        return pool.tracker.arrival(share_hash).sender

    fields = {"network": network, "sub_version": b"test", "listen_port": 9000} | settings
    return PeerHub(
        moment.environment(Always(seed)),
        HubSettings(**fields),
        pool=pool,
        transactions=TransactionPool(),
        sender_of=sender_of,
    )


class Guest:
    """The far end of a connection to a hub, played by the test."""

    def __init__(
        self, hub: PeerHub, host: str = HOST, port: int = 4000, incoming: bool = True, nonce: int | None = None
    ) -> None:
        self.hub = hub
        self.heard = Heard()
        self.ended: Exception | None = None
        self.session = hub.open(
            host,
            port,
            incoming=incoming,
            ours=("198.51.100.1", 9000),
            write=self.heard,
            fail=self._fail,
            flow=lambda paused: None,
        )
        if nonce is not None:
            self.say(version(nonce))
            self.heard.take()

    def _fail(self, error: Exception) -> None:
        self.ended = error
        self.hub.close(self.session, error)

    def say(self, *said: Message) -> None:
        try:
            self.session.receive(framed(*said), self.hub.monotonic())
        except Drop as error:
            self._fail(error)

    def leave(self) -> None:
        self.hub.close(self.session, None)


class Pipe(StringTransport):
    """One end of a connection between two protocols; what is written waits until `Wire.carry`."""

    def __init__(self, ours: tuple[str, int], theirs: tuple[str, int]) -> None:
        from twisted.internet.address import IPv4Address, IPv6Address

        def address(host: str, port: int):
            return IPv6Address("TCP", host, port) if ":" in host else IPv4Address("TCP", host, port)

        super().__init__(hostAddress=address(*ours), peerAddress=address(*theirs))
        self.paused = False
        self.aborted = False

    def setTcpNoDelay(self, enabled: bool) -> None:
        pass

    def setTcpKeepAlive(self, enabled: bool) -> None:
        pass

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False

    def abortConnection(self) -> None:
        self.aborted = True
