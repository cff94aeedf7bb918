"""Blocks of a pool on a simulated Dash Core, made from the answer of getblocktemplate as a node makes them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from p2pool.dashd.template import BlockTemplate
from p2pool.dashd.template_parsing import TransactionCache, parse_template
from p2pool.jobs.context import WorkContext, build_work_context
from p2pool.jobs.job import Job
from p2pool.networks import Network
from p2pool.share.generation import PayeeFields
from p2pool.sharechain.tracker import Tracker
from tests.chains import easy_network, grow_chain
from tests.simnet.conftest import PARAMETERS, Simulation

FINDER = bytes(range(20))


class PoolMiner:
    """A pool of `payees` miners that mines on a simulation."""

    def __init__(self, simulation: Simulation, payees: int = 3) -> None:
        self.simulation = simulation
        self.network: Network = replace(easy_network(), parent=PARAMETERS.parent)
        self.known = TransactionCache()
        self.tracker = Tracker(self.network)
        self.best: int | None = None
        self._payees = payees

    def template(self, **changes: Any) -> BlockTemplate:
        """What the simulation's answer, with changes, is for a node."""
        answer = self.simulation.call("getblocktemplate") | changes
        return parse_template(
            answer, self.network.parent.addresses, self.simulation.clock.seconds(), known=self.known
        )

    def context(self, template: BlockTemplate | None = None) -> WorkContext:
        """Work on a template, on a share chain that pays everybody."""
        template = template or self.template()
        if self.best is None:
            easy = replace(template, transactions=(), depends=(), branch=(), bits=0x207FFFFF)
            shares = grow_chain(self.tracker, easy, self._payees + 2, self._payees)
            self.best = shares[-1].hash
        return build_work_context(
            self.tracker, self.best, template=template, network=self.network, now=template.received
        )

    def mine(self, context: WorkContext | None = None) -> bytes:
        """A block from a job on the work."""
        context = context or self.context()
        template = context.template
        timestamp = max(int(self.simulation.clock.seconds()), template.minimum_time)
        job = Job(
            context,
            PayeeFields(FINDER, 655, 0, 1),
            desired_target=2**256 - 1,
            share_timestamp=timestamp,
            header_timestamp=timestamp,
        )
        for nonce in range(1 << 20):
            outcome = job.check(bytes(8), timestamp=timestamp, nonce=nonce, version=template.version)
            if outcome.meets_block:
                return outcome.block()
        raise RuntimeError("no block found")
