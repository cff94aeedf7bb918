"""An adversary that makes up a share chain."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from p2pool.dash.merkle import coinbase_branch
from p2pool.dashd.template import BlockTemplate
from p2pool.dashd.template_parsing import parse_template
from p2pool.jobs.context import build_work_context
from p2pool.jobs.job import Job
from p2pool.networks import Network
from p2pool.peers.messages import Envelope, Message, ShareReply, ShareReq, Shares
from p2pool.share.generation import PayeeFields
from p2pool.share.share import Share
from p2pool.sharechain.tracker import Tracker
from tests.simulation.adversaries.identity import Link, PeerAdversary

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

EASIEST = 2**256 - 1
AT_ONCE = 50
"""Shares in one message."""


def cheap_chain(
    network: Network, template: BlockTemplate, count: int, *, key_hash: bytes, end: int
) -> list[Share]:
    """Return a chain of its own, oldest share first: so many shares as easy as rules allow, for the payee of
    `key_hash`, the last one found at `end` (Unix seconds), the others as long before it as rules allow."""
    tracker, shares, best = Tracker(network), [], None
    step = 2 * network.share_period - 1
    for number in range(count):
        found = end - (count - 1 - number) * step
        context = build_work_context(tracker, best, template=template, network=network, now=float(found))
        payee = PayeeFields(key_hash=key_hash, donation=0, stale_info=0, nonce=number)
        job = Job(context, payee, desired_target=EASIEST, share_timestamp=found, header_timestamp=found)
        nonce = 0
        while not (
            solved := job.check(bytes(8), timestamp=found, nonce=nonce, version=template.version)
        ).meets_share:
            nonce += 1
        share = solved.share()
        tracker.add(share, float(found))
        tracker.trust(share.hash)
        shares.append(share)
        best = share.hash
    return shares


class Forge(PeerAdversary):
    """At `begin`, a part of the world's time, makes up a share chain of its own: `length` times as long as the one
    that is kept, of the cheapest shares, on an old Dash block, with timestamps that reach far back. It offers that
    chain to everybody, again and again, and keeps its `rootless` oldest shares to itself. It hopes that nodes take
    it for the better chain, or at least are busy with it.

    A node can tell that chain from its own only by the work. While a world's chain is shorter than the one that is
    kept, the longer one of two without a common root is the better one whatever its work, so `begin` must be late.
    """

    def __init__(
        self, simulation: Simulation, name: str, *, begin: float = 0.6, length: float = 2.0, rootless: int = 0
    ) -> None:
        super().__init__(simulation, name)
        self.begin, self.length, self.rootless = begin, length, rootless
        self.chain: list[Share] = []
        """Newest share first."""

    def start(self) -> None:
        """Connect, and forge when the time has come."""
        super().start()
        self.reactor.callLater(self.begin * self.simulation.duration, self._forge)

    def _forge(self) -> None:
        simulation, network = self.simulation, self.simulation.network
        chain = simulation.dash.chain
        now = int(chain.epoch + self.events.now)
        template = parse_template(chain.template(chain.genesis, now), network.parent.addresses, float(now))
        empty = replace(template, transactions=(), branch=tuple(coinbase_branch([])), depends=())
        count = int(self.length * network.chain_length)
        shares = cheap_chain(network, empty, count, key_hash=self.chance.randbytes(20), end=now)
        self.chain = shares[self.rootless :][::-1]
        self.best = self.chain[0].hash
        self._offer()
        self.every(self.reactor, 300.0, self._offer)

    def _offer(self) -> None:
        for start in range(0, len(self.chain), AT_ONCE):
            self.tell_all(Shares(tuple(_envelope(share) for share in self.chain[start : start + AT_ONCE])))

    def heard(self, link: Link, message: Message) -> None:
        """Answer requests with what was forged."""
        if not isinstance(message, ShareReq):
            return
        found: list[Share] = []
        for number, share in enumerate(self.chain):
            if share.hash in message.hashes:
                found += self.chain[number : number + 1 + min(message.parents, 500)]
        link.send(ShareReply(message.id, 0, tuple(_envelope(share) for share in found)))


def _envelope(share: Share) -> Envelope:
    return Envelope(share.version.type, share.contents)
