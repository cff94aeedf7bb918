"""A node on a clock of its own, with all that it tells the world, in order."""

from __future__ import annotations

import random

from p2pool.jobs.job import Job, Outcome
from p2pool.node import Node, NodeSettings
from p2pool.pool_stats import PoolStats
from p2pool.share.share import Share
from p2pool.sharechain.tracker import Tracker
from tests.chains import NOW, easy_network, grow_chain
from tests.environment import PostponingReactor, make_environment
from tests.support import make_template

KEY, OPERATOR = b"\x07" * 20, b"\x01" * 20
EVERY_HASH_A_BLOCK = 0x2100FFFF
"""A block target that (nearly) every hash meets."""


class Home:
    """A node, its clock, its postponed calls, and all that it told the world, in order."""

    def __init__(self, chain_length: int = 40, fee: float = 0.0, rng: random.Random | None = None) -> None:
        self.now = NOW
        self.soon: list = []
        self.told: list = []
        self.network = easy_network(chain_length)
        self.tracker = Tracker(self.network)
        self.stats = PoolStats(NOW)
        self.operator: bytes | None = OPERATOR
        settings = NodeSettings(lambda: self.operator, fee, 655)
        rng = rng or random.Random(1)
        self.node = Node(
            make_environment(PostponingReactor(self.soon.append), clock=lambda: self.now, chance=rng),
            self.network,
            tracker=self.tracker,
            settings=settings,
            stats=self.stats,
        )
        for name in ("work_changed", "block_found", "share_added", "thought"):
            getattr(self.node, name).subscribe(lambda value, name=name: self.told.append((name, value)))
        for name in ("record_block", "record_share"):
            self.spy(self.stats, name)
        self.spy(self.tracker, "add")

    def spy(self, thing: object, name: str) -> None:
        method = getattr(thing, name)

        def spied(*arguments, **options):
            self.told.append((name, arguments))
            return method(*arguments, **options)

        setattr(thing, name, spied)

    def run(self) -> None:
        """The next turn of the reactor."""
        calls, self.soon[:] = list(self.soon), []
        for call in calls:
            call()

    def names(self) -> list[str]:
        """What was told since the last call."""
        names = [name for name, _ in self.told]
        self.told.clear()
        return names

    def last(self, name: str):
        return next(value for told, value in reversed(self.told) if told == name)

    def solve(self, job: Job | None = None, nonce: int = 0) -> Outcome:
        """Something that meets the job's share target."""
        job = job or self.node.make_job(KEY, None)
        header_time, version = job.timestamp, job.version
        outcomes = (
            job.check(bytes(8), timestamp=header_time, nonce=nonce + n, version=version) for n in range(1 << 16)
        )
        return next(o for o in outcomes if o.meets_share)

    def mine(self, seconds: float = 20, job: Job | None = None) -> Share:
        """One more share of our own, thought about."""
        self.now += seconds
        outcome = self.solve(job)
        self.node.solved(outcome, "worker")
        self.run()
        return outcome.share()


def at_work(**changes) -> Home:
    """With a template, nothing told yet."""
    home = Home()
    home.node.set_template(make_template(**changes))
    home.told.clear()
    return home


def elsewhere(home: Home, best: int | None, count: int, seed: int = 9) -> list[Share]:
    """Shares that another node made on top of `best`; our node has not seen them."""
    other = Tracker(home.network)
    if best is not None:
        for share in reversed(list(home.tracker.ancestors(best, 10_000))):
            other.add(share, NOW)
            other.trust(share.hash)
    return grow_chain(other, make_template(), count, 3, best, seed)


# --- work --------------------------------------------------------------------------------------------------------
