"""The node's side of its gateways: the broker, the work that goes out, and the solutions that come in."""

from __future__ import annotations

import socket
from collections.abc import Callable

from p2pool.app.shared_pool import SharedPool
from p2pool.app.stratum import StratumAssembly
from p2pool.base.environment import Environment
from p2pool.broker.connection import Broker
from p2pool.broker.settings import BrokerAddress
from p2pool.gateway.names import Names
from p2pool.gateway.ports import NotStored
from p2pool.gateway.solution_intake import SolutionIntake
from p2pool.gateway.sums_intake import SumsIntake
from p2pool.gateway.transaction_fetch import TransactionFetcher
from p2pool.gateway.work_codec import WorkChangeSent
from p2pool.gateway.work_feed import WorkFeed
from p2pool.jobs.context import WorkContext
from p2pool.node import Node
from p2pool.node.persistence import Persistence


class BrokerAssembly:
    """Everything of a node that is for gateways. `problem` returns why there is no work, None while there is;
    `withdrawn` whether miners must not wait for it either; `is_safe` whether a found block is on disk."""

    def __init__(
        self,
        environment: Environment,
        address: BrokerAddress,
        *,
        node: Node,
        persistence: Persistence,
        problem: Callable[[], str | None],
        withdrawn: Callable[[], bool],
        is_safe: Callable[[int], bool],
    ) -> None:
        self._persistence = persistence
        self._environment = environment
        self._names = names = Names(node.network.name)
        self._shared: SharedPool | None = None
        self.broker = Broker(environment, address)
        self._feed = WorkFeed(
            environment,
            self.broker,
            names=names,
            view=node.tracker,
            terms=node.job_terms,
            blocked=problem,
            withdrawn=withdrawn,
        )
        self._intake = SolutionIntake(
            environment,
            self.broker,
            names=names,
            network=node.network,
            transactions=self._feed.transactions.transactions,
            fetcher=TransactionFetcher(environment, self.broker, names=names),
            take=node.take_solution,
            store=self._store,
            is_safe=is_safe,
        )
        self._sums = SumsIntake(environment, self.broker, names=names, stats=node.stats)

    def share(self, stratum: StratumAssembly) -> SharedPool:
        """Share bans, limits and actions on miners with the gateways, from the start on."""
        self._shared = SharedPool(
            self._environment,
            self.broker,
            names=self._names,
            stratum=stratum,
            name=f"node {socket.gethostname()}",
            is_gateway=False,
        )
        return self._shared

    def start(self) -> None:
        """Connect to the broker, and serve gateways."""
        self.broker.changed.subscribe(self._broker_changed)
        self.broker.start()
        if self._shared is not None:
            self._shared.start()
        self._feed.start()
        self._intake.start()
        self._sums.start()

    def _broker_changed(self, problem: str | None) -> None:
        """Send the work again as soon as the broker is back: it may be another one, or an empty one. The gateways
        then deliver what they found meanwhile."""
        self._intake.broker_changed(problem)
        if problem is None:
            self._feed.repeat()

    def work_changed(self, context: WorkContext, *, clean: bool, more_to_come: bool) -> None:
        """Publish new work for all gateways."""
        self._feed.work_changed(WorkChangeSent(context, clean=clean, more_to_come=more_to_come))

    async def stop(self) -> None:
        """Serve gateways no longer; they keep what they find for the next start."""
        self._feed.stop()
        self._intake.stop()
        self._sums.stop()
        try:
            if self._shared is not None:
                await self._shared.stop()
        finally:
            self.broker.stop()

    async def _store(self) -> None:
        await self._persistence.flush()
        if self._persistence.problem is not None:
            raise NotStored(self._persistence.problem)
