"""A node that keeps what others are due."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final

from typing_extensions import override

from p2pool.dash.target import bits_to_target
from p2pool.jobs.context import WorkContext
from p2pool.jobs.job import Job
from p2pool.jobs.job_maker import JobMaker
from p2pool.share.payouts import paid_payments
from p2pool.share.share import Share
from p2pool.share.weights import Weights
from tests.simulation.adversaries.dishonest_node import DishonestNode
from tests.simulation.pool_node import PoolProcess

FIRST_SHARES: Final = 2
"""Shares at the beginning of a chain that owe nothing to anybody: the window is below the parent."""


class Thief(DishonestNode):
    """A node whose shares and blocks pay nobody but their finder. It hopes that others build on its shares all the
    same, so that they pay it too: it would earn twice."""

    def change(self, process: PoolProcess) -> None:
        """Let the process make such jobs."""
        process.node._jobs = _ThievishJobs(process.node.job_terms, self.events.chance(f"jobs of {self.name}"))
        process.node.share_added.subscribe(partial(self._send, process))

    def _send(self, process: PoolProcess, added: tuple[Share, bool]) -> None:
        """Send a share that its own node is about to refuse."""
        share, own = added
        if own and share.absheight > FIRST_SHARES:
            self.forged.add(share.hash)
            process.peers.hub.broadcaster.broadcast([share], process.peers.hub.peers)


class _ThievishJobs(JobMaker):
    """Makes jobs that pay nobody but their finder."""

    @override
    def make(
        self, context: WorkContext, key_hash: bytes, *, share_difficulty: float | None, now: float
    ) -> Job | None:
        job = super().make(context, key_hash, share_difficulty=share_difficulty, now=now)
        return None if job is None else thievish(job)


def thievish(job: Job) -> Job:
    """Return a job like another one, with an empty window."""
    context = job.context
    paid = paid_payments(context.template.payments, context.network.parent.addresses)
    payouts = context.version.payouts(Weights({}, 0, 0), context.template.subsidy, paid)
    return Job(
        replace(context, payouts=payouts),
        job.payee,
        desired_target=bits_to_target(job.bits),
        share_timestamp=job.share_timestamp,
        header_timestamp=job.timestamp,
    )
