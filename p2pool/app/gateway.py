"""The composition root of a gateway: a process that has miners and nothing else of a node. Called by `process`."""

from __future__ import annotations

import socket
from typing import Final

from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.task import deferLater
from twisted.logger import Logger

from p2pool import __version__
from p2pool.app.config import Config
from p2pool.app.gateway_daemons import GatewayDaemons
from p2pool.app.gateway_web import gateway_site
from p2pool.app.handover import HandedOver
from p2pool.app.process_watch import ProcessWatch
from p2pool.app.service_status import ServiceStatus
from p2pool.app.shared_pool import SharedPool
from p2pool.app.shared_sessions import SharedSessions
from p2pool.app.stopping import StopTimes
from p2pool.app.stratum import StratumAssembly
from p2pool.app.web import apply_keys
from p2pool.base.endpoints import host_and_port, reachable_host
from p2pool.base.environment import Environment
from p2pool.base.errors import OperatorError
from p2pool.broker.connection import Broker, BrokerError
from p2pool.broker.operations import Entry, StreamReader, recent
from p2pool.dash.pow import PROVIDER
from p2pool.gateway.block_completion import BlockCompletion
from p2pool.gateway.names import Names
from p2pool.gateway.node_watch import NodeWatch
from p2pool.gateway.remote_work import RemoteWork, Solved
from p2pool.gateway.solution_codec import solution_message
from p2pool.gateway.solution_sender import SolutionSender
from p2pool.gateway.solution_spool import SolutionSpool
from p2pool.gateway.sums_collector import SumsCollector
from p2pool.gateway.sums_sender import GatewayIdentity, SumsSender
from p2pool.gateway.template_transactions import previous_block_of
from p2pool.gateway.work_codec import WorkChangeSent
from p2pool.net.worker_port import WebConnections
from p2pool.pool_stats import PoolStats
from p2pool.web.access import Access
from p2pool.web.health import NO_BROKER, NO_WORK, Missing

PREPARE_TIME: Final = 10.0
"""Seconds that the broker has to answer a gateway that takes over, before the earlier process is asked to stop."""
RECONNECT_TIME: Final = 1.0
"""Seconds that miners who were asked to reconnect have for it, before another process takes over."""
MINERS_END, SENDER_END, NETWORK_END, DISK_END = 2.0, 4.0, 7.0, 9.2
"""Seconds after a signal by which miners, the last solutions, connections, and the disk have to be done."""
_log = Logger(namespace="p2pool.gateway")


class GatewayApp:
    """All services of one gateway."""

    def __init__(self, config: Config, environment: Environment) -> None:
        """Raise OperatorError if no broker is named."""
        if config.broker is None:
            raise OperatorError("a gateway needs --broker URL: the Redis that its node uses")
        if config.gateways:
            raise OperatorError("--gateways is for the node, which starts gateways: leave it out here")
        self.config = config
        self._environment = environment
        self.name = config.gateway_name or f"{socket.gethostname()}:{config.worker_port}"
        self.stats = PoolStats(environment.clock())
        self.broker = Broker(environment, config.broker)
        self._names = Names(config.network.name)
        collector = SumsCollector(self.stats)
        self.sums = SumsSender(environment, self.broker, names=self._names, collector=collector)
        self.work = RemoteWork(environment, config.network, broker=self.broker, names=self._names, rates=self.sums)
        self.daemons = GatewayDaemons(environment, config, stats=self.stats)
        self.blocks = BlockCompletion(
            self.broker, names=self._names, fetcher=self.work.transactions, deliver=self.daemons.deliver
        )
        self.sender = SolutionSender(
            environment,
            self.broker,
            names=self._names,
            spool=SolutionSpool(config.datadir / "solutions"),
            left=self.blocks.offer,
            delayed=self.blocks.delayed,
        )
        self.stratum = StratumAssembly(
            environment,
            config,
            work=self.work,
            stats=collector,
            problem=self.work.problem,
            missing=self.work.missing,
        )
        self.sessions = SharedSessions(
            environment,
            self.broker,
            names=self._names,
            server=self.stratum.server,
            work=self.work,
        )
        self.shared = SharedPool(
            environment,
            self.broker,
            names=self._names,
            stratum=self.stratum,
            name=self.name,
            is_gateway=True,
        )
        self.process_watch = ProcessWatch(environment, self.stats)
        self.service_status = ServiceStatus(
            environment, self.stats, height=lambda: self._height, missing=self.missing
        )
        self.broker.changed.subscribe(self._broker_changed)
        self._broker_started = False
        self._access: Access | None = None
        """Who may read /metrics, once the ports are open."""
        self.node_watch = NodeWatch(environment, problem=self.work.problem, network=config.network.name)

    # --- life --------------------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Connect to the broker while an earlier process still serves the miners. Raises OperatorError if there is
        no work: then they must not wait for it."""
        self.broker.start()
        self._broker_started = True
        try:
            entries = await self.broker.ask(recent(self._names.work, 1)).addTimeout(
                PREPARE_TIME, self._environment.reactor
            )
        except (BrokerError, DeferredTimeoutError):
            raise OperatorError(f"the broker does not answer: {self.broker.problem}", 1) from None
        if not entries:
            raise OperatorError("the broker has no work of a node", 1)

    async def start(self, handed: HandedOver | None = None) -> None:
        """Open the ports and follow the node's work; `handed` is what an earlier process handed over, for `adopt`.
        Raises OperatorError, and ParseError for a state that cannot be used."""
        config = self.config
        if handed is not None:
            self.stratum.take_over(handed)
        _log.info(
            "p2pool-dash {version} gateway on {network}, broker {broker}; X11 provider: {provider}",
            version=__version__,
            network=config.network.name,
            broker=self.broker,
            provider=PROVIDER,
        )
        self.work.work_changed.subscribe(self._work_changed)
        self.work.solved_work.subscribe(self._solved)
        if not self._broker_started:
            self.broker.start()
        if handed is not None:
            self.fetch_transactions(handed)
        # Blocks of an earlier run must not wait for the broker, as the sessions do.
        await self.daemons.start()
        await self.sender.start()
        await self.sessions.start()
        site = gateway_site(self._environment, config, stats=self.stats, health=self._health, missing=self.missing)
        self._access = site.access
        self.stratum.listen(site, dashboard="", browsers=WebConnections(config.web_trusted_proxy))
        names = self._names
        self.broker.follow(StreamReader(names.work, names.taken, names.counted), self._came)
        self.sums.start(self._identity())
        self.shared.start()
        self.stratum.start()
        self.process_watch.start()
        self.service_status.start()
        self.node_watch.start()

    @property
    def has_work(self) -> bool:
        """Return whether there is work for miners."""
        return self.work.context is not None

    def adopt(self) -> int:
        """Serve the miners of an earlier process from now on. Return how many they are."""
        return self.stratum.adopt()

    async def hand_over(self, *, whole: bool) -> HandedOver:
        """Stop everything but the miners' connections and ports, and return these for another process; unless
        `whole`, miners have to reconnect."""
        asked = self.stratum.prepare_handover(whole=whole)
        times = StopTimes(self._environment.reactor, bounded=False)
        await times.part(self.sessions.pause, by=MINERS_END)
        if asked:
            await deferLater(self._environment.reactor, RECONNECT_TIME, lambda: None)
        handed = self.stratum.hand_over(whole=whole)
        await self._stop(times)
        return handed

    async def stop(self) -> None:
        """Close the ports and connections; what the node has not stored yet is on disk."""
        await self._stop(StopTimes(self._environment.reactor, bounded=True))

    async def _stop(self, times: StopTimes) -> None:
        _log.info("stopping")
        self.process_watch.stop()
        self.service_status.stop()
        self.node_watch.stop()
        await times.part(self.stratum.stop, by=MINERS_END)
        await times.part(self.sender.stop, by=SENDER_END)
        self.work.transactions.stop()
        # At the same time: a broker that hangs holds up each of them.
        await times.together(
            self.daemons.stop, self.shared.stop, self.sessions.stop, self.sums.stop, by=NETWORK_END
        )
        await times.part(self.sender.disk.finished, by=DISK_END)  # another process may use the directory then
        self.broker.stop()
        _log.info("stopped")

    def fetch_transactions(self, handed: HandedOver) -> None:
        """Fetch the transactions of the work that miners of an earlier process still have: a block may be found on
        it while the broker is away."""
        contexts = sorted(handed.record.miners.jobs.contexts, key=lambda context: context.created)
        for context in contexts:
            self.work.transactions.request(previous_block_of(context.template), context.transactions_key)

    def apply(self, config: Config) -> None:
        """Use the settings that can be changed while the gateway runs: see `reload`."""
        self.config = config
        self.stratum.apply(config)
        if self._access is not None:
            apply_keys(self._access, config)

    async def reload_certificates(self) -> list[str]:
        """Load a TLS certificate whose files have changed. Return whose it is."""
        return ["stratum"] if await self.stratum.reload_certificate() else []

    # --- events ------------------------------------------------------------------------------------------

    def _broker_changed(self, problem: str | None) -> None:
        if problem is None:
            self.sender.broker_is_back()

    def _came(self, entries: list[Entry]) -> None:
        """Take what the node wrote: of several works that came together, the newest."""
        works = [entry for entry in entries if entry.stream == self._names.work]
        for entry in works[-1:]:
            self.work.take(entry.data, entry.age)
        for entry in entries:
            if entry.stream == self._names.taken:
                self.sender.taken(entry.data)
            elif entry.stream == self._names.counted:
                self.sums.take(entry.data)

    def _work_changed(self, change: WorkChangeSent) -> None:
        self.stratum.work_changed(change.context, clean=change.clean, more_to_come=change.more_to_come)

    def _solved(self, solved: Solved) -> None:
        message = solution_message(solved.outcome, gateway=self.name, worker=solved.worker, found=solved.found)
        try:
            self.blocks.offer(message)
        finally:
            self.sender.send(message)

    @property
    def _height(self) -> int | None:
        """Return the height of the block that miners work on; None without work."""
        context = self.work.context
        return None if context is None else context.template.height

    def _identity(self) -> GatewayIdentity:
        """Return what the node shows of this gateway."""
        host = self.config.worker_host
        if reachable_host(host) != host:
            host = socket.gethostname()
        return GatewayIdentity(self.name, host_and_port(host, self.stratum.port), __version__)

    # --- web ---------------------------------------------------------------------------------------------

    def _health(self) -> dict[str, object]:
        """Return what /healthz says in addition to that the gateway is alive."""
        problem = self.work.problem()
        return {
            "gateway": self.name,
            "work": problem is None,
            "problem": problem,
            "broker": self.broker.problem is None,
            "connections": len(self.stratum.server),
            "unsent_solutions": len(self.sender),
            "solutions_problem": self.sender.disk.problem,
            "incomplete_blocks": self.blocks.waiting,
            "dashd": self.daemons.problem,
        }

    def missing(self) -> list[Missing]:
        """Return what keeps miners from getting fresh work, for /readyz."""
        if self.work.problem() is None:
            return []
        return [NO_WORK if self.broker.problem is None else NO_BROKER]
