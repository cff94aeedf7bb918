"""A node that lies about the time."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from p2pool.dash.target import bits_to_target
from p2pool.jobs.context import WorkContext
from p2pool.jobs.job import Job
from p2pool.jobs.job_maker import JobMaker, JobTerms
from p2pool.peers.messages import Addrs, PeerAddress, SeenAddress
from p2pool.share.share import Share
from tests.simulation.adversaries.dishonest_node import DishonestNode
from tests.simulation.pool_node import P2P_PORT, PoolProcess

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

DAY: Final = 86_400
LIES: Final[tuple[tuple[str, int, int, bool], ...]] = (
    ("as late as rules allow", DAY, 0, False),
    ("as early as rules allow", -DAY, 0, False),
    ("a day ahead", DAY, 0, True),
    ("a day back", -DAY, 0, True),
    ("a header of the future", 0, DAY, False),
    ("a header of long ago", 0, -DAY, False),
)
"""(what, seconds by which the share's timestamp is off, and the header's, whether rules are broken)."""


class FalseTime(DishonestNode):
    """A node whose shares have false timestamps: in turn as late and as early as the chain's rules allow, beyond
    that, and in the header that Dash judges; it also sends addresses that were seen in the far future. It hopes to
    make shares easier for itself, to have others take its shares for newer or older than they are, and to find a
    node that is confused. Each lie lasts for `period` seconds."""

    def __init__(self, simulation: Simulation, name: str, *, part: float = 0.1, period: float = 300.0) -> None:
        super().__init__(simulation, name, part=part)
        self.period = period

    def change(self, process: PoolProcess) -> None:
        """Let the process make jobs with false times."""
        chance = self.events.chance(f"jobs of {self.name}")
        process.node._jobs = _FalseJobs(process.node.job_terms, chance, self)
        process.node.share_added.subscribe(partial(self._send, process))
        self.every(process.reactor, 60.0, partial(self._send_addresses, process))

    @property
    def lie(self) -> tuple[str, int, int, bool]:
        """Return the lie of the moment."""
        return LIES[int(self.events.now / self.period) % len(LIES)]

    def _send(self, process: PoolProcess, added: tuple[Share, bool]) -> None:
        """Send a share that its own node is about to refuse."""
        share, own = added
        if own and self._breaks_rules(process, share):
            self.forged.add(share.hash)
            process.peers.hub.broadcaster.broadcast([share], process.peers.hub.peers)

    def _breaks_rules(self, process: PoolProcess, share: Share) -> bool:
        """Return whether a share is older than its parent, or younger by two periods or more."""
        parent = process.node.tracker.get(share.previous_hash)
        longest = 2 * self.simulation.network.share_period
        return parent is not None and not 0 < share.timestamp - parent.timestamp < longest

    def _send_addresses(self, process: PoolProcess) -> None:
        seen = self.chance.choice((0, 2**32 - 1, 2**64 - 1))
        for peer in process.peers.hub.peers:
            peer.send(Addrs((SeenAddress(seen, PeerAddress(self.machine.host.address, P2P_PORT)),)))


class _FalseJobs(JobMaker):
    """Makes jobs with the times of a lie."""

    def __init__(self, terms: JobTerms, chance: Random, liar: FalseTime) -> None:
        super().__init__(terms, chance)
        self._liar = liar

    @override
    def make(
        self, context: WorkContext, key_hash: bytes, *, share_difficulty: float | None, now: float
    ) -> Job | None:
        job = super().make(context, key_hash, share_difficulty=share_difficulty, now=now)
        if job is None:
            return None
        _, share_off, header_off, breaks_rules = self._liar.lie
        if breaks_rules:  # without a parent's timestamp any other one is right
            context = replace(context, parent=replace(context.parent, previous_timestamp=None))
        return Job(
            context,
            job.payee,
            desired_target=bits_to_target(job.bits),
            share_timestamp=job.share_timestamp + share_off,
            header_timestamp=job.timestamp + header_off,
        )
