"""Whole nodes wired in memory: everything but sockets, dashd and disk."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from p2pool.dash.block import BlockHeader
from p2pool.dash.hashes import sha256d
from p2pool.dashd.template import BlockTemplate, TemplateTransaction
from p2pool.networks import Network
from p2pool.node.job_terms import NodeSettings
from p2pool.node.node import FoundBlock, Node
from p2pool.node.peers_adapter import PeerNews, PeerPool
from p2pool.peers.errors import Misbehaviour
from p2pool.peers.hub import HubSettings, PeerHub
from p2pool.peers.protocol import PeerFactory, PeerProtocol
from p2pool.peers.transactions import TransactionPool
from p2pool.pool_stats import PoolStats
from p2pool.share.share import Share
from p2pool.sharechain.tracker import Tracker
from tests.chains import NOW, easy_network, grow_chain
from tests.peers.wiring import Always, Moment, Pipe, transaction
from tests.support import make_template

LONG, SHORT = easy_network(4320), easy_network(40)


class Member:
    """A node with all that it needs to be among others, but without sockets, dashd and disk."""

    def __init__(self, moment: Moment, number: int = 1, network: Network = LONG) -> None:
        self.moment, self.number, self.network = moment, number, network
        self.tracker = Tracker(network)
        settings = NodeSettings(lambda: bytes([number]) * 20, 0.0, 655)
        self.node = Node(
            moment.environment(random.Random(number)),
            network,
            tracker=self.tracker,
            settings=settings,
            stats=PoolStats(NOW),
        )
        self.later: list[tuple[float, Callable[[], None]]] = []
        self.blocks: list[FoundBlock] = []
        self.heard_of_blocks = 0
        self.announcing = True
        """Whether what is mined counts as written at once."""

    def join(self, template: BlockTemplate | None = None) -> Member:
        """Its shares are loaded: it takes part."""
        self.node.loaded()
        self.transactions = TransactionPool()
        self.pool = PeerPool(self.node, self.block_heard)
        self.hub = PeerHub(
            self.moment.environment(Always(self.number)),
            HubSettings(self.network, b"test", 9000, advertise=False),
            pool=self.pool,
            transactions=self.transactions,
            sender_of=lambda share_hash: self.tracker.arrival(share_hash).sender,
        )
        self.news = PeerNews(
            self.node,
            self.hub,
            pool=self.pool,
            transactions=self.transactions,
            call_later=lambda seconds, call: self.later.append((self.moment.now + seconds, call)),
            punish=self.punish,
            block_found=self.blocks.append,
        )
        self.node.thought.subscribe(lambda thought: self.hub.downloader.step(self.moment.now))
        self.incoming = PeerFactory(self.hub, True)
        self.outgoing = PeerFactory(self.hub, False)
        self.node.set_template(template or make_template())
        self.moment.run()
        return self

    def block_heard(self, header: BlockHeader) -> None:
        self.heard_of_blocks += 1

    def fail(self, session, error: Exception) -> None:
        session._fail(error)

    def punish(self, label: str, why: str) -> None:
        for session in list(self.hub.sessions):
            if session.label == label:
                self.fail(session, Misbehaviour(why))

    def tick(self) -> None:
        self.hub.tick(self.fail)
        for due, call in list(self.later):
            if due <= self.moment.now:
                self.later.remove((due, call))
                call()
        self.moment.run()

    def mine(self) -> Share:
        """One more share of its own."""
        self.moment.now += 20
        job = self.node.make_job(bytes([self.number]) * 20, None)
        rng = random.Random(self.moment.now * 100 + self.number)
        outcomes = (
            job.check(rng.randbytes(8), timestamp=job.timestamp, nonce=n, version=job.version)
            for n in range(1 << 16)
        )
        outcome = next(o for o in outcomes if o.meets_share)
        self.node.solved(outcome, "worker")
        if self.announcing:
            self.news.share_announced((outcome.share(), True))
        self.moment.run()
        return outcome.share()


class Street:
    """Members and the connections between them."""

    def __init__(self, *members: Member) -> None:
        self.members = members
        self.wires: list[tuple[PeerProtocol, PeerProtocol]] = []

    def connect(self, one: Member, other: Member) -> None:
        ours = (f"8.{one.number}.0.1", 5000 + len(self.wires)), (f"8.{other.number}.0.1", 9000)
        ends = []
        for factory, (here, there) in ((one.outgoing, ours), (other.incoming, ours[::-1])):
            pipe = Pipe(here, there)
            protocol = factory.buildProtocol(pipe.getPeer())
            assert protocol is not None
            protocol.makeConnection(pipe)
            ends.append(protocol)
        self.wires.append((ends[0], ends[1]))
        self.settle()

    def settle(self, seconds: int = 0) -> None:
        """Carry everything until nothing is left to say."""
        for _ in range(seconds + 1):
            moved = True
            while moved:
                moved = False
                for wire in self.wires:
                    moved |= self.carry(*wire)
            if seconds:
                for member in self.members:
                    member.tick()
                self.members[0].moment.now += 1

    def carry(self, one: PeerProtocol, other: PeerProtocol) -> bool:
        moved = False
        for source, sink in ((one, other), (other, one)):
            moment = self.members[0].moment
            moment.run()
            data = source.transport.value()
            if data and not sink.transport.paused:
                source.transport.clear()
                for start in range(0, len(data), 65536):
                    sink.dataReceived(data[start : start + 65536])
                    moment.run()
                moved = True
        return moved

    def all_stand(self) -> bool:
        return not any(end.transport.aborted for wire in self.wires for end in wire)


def with_chain(member: Member, count: int, seed: int = 1) -> Member:
    grow_chain(member.tracker, make_template(), count, 3, None, seed)
    return member


def bests(*members: Member) -> list[int | None]:
    return [member.node.best_share for member in members]


def real_template(*numbers: int, **changes) -> BlockTemplate:
    """A template whose transactions are real ones."""
    items = [transaction(number) for number in numbers]
    hashes = [sha256d(item.data) for item in items]
    return replace(
        make_template(transactions=hashes, **changes),
        transactions=tuple(TemplateTransaction(i.data, h, 0) for i, h in zip(items, hashes, strict=True)),
    )
