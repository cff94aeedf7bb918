"""The assembly of everything about Dash Core: one object for the composition root."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from twisted.logger import Logger

from p2pool import __version__
from p2pool.app.config import Config
from p2pool.app.routes import dashd_environment, public_environment
from p2pool.base.endpoints import loopback_address
from p2pool.base.environment import Environment
from p2pool.base.errors import OperatorError
from p2pool.base.paths import default_in_home
from p2pool.base.timer import Timer
from p2pool.dash.address import payee_text
from p2pool.dash.block import BlockHeader
from p2pool.dash.script import claimed_height
from p2pool.dashd.announced import AnnouncedChain
from p2pool.dashd.block_notifications import BlockNotifications, NotificationSource
from p2pool.dashd.block_store import BLOCKS_FILE, BlockStore
from p2pool.dashd.broadcast_counts import BroadcasterTotals
from p2pool.dashd.broadcaster import NETWORK_PEERS_FILE, BlockBroadcaster, BroadcasterSettings
from p2pool.dashd.chain_blocks import LIST_PERIOD, ChainBlockLister
from p2pool.dashd.credentials import (
    CredentialSource,
    credential_source,
    read_dash_conf,
)
from p2pool.dashd.daemon import BlockLink, Daemon
from p2pool.dashd.daemon_url import DaemonUrl
from p2pool.dashd.figures import DashCoreFigures
from p2pool.dashd.followup import FOLLOW_PERIOD, BlockFollower
from p2pool.dashd.found_block import FoundBlock
from p2pool.dashd.heights import BlockHeights
from p2pool.dashd.network_peers import PeerBook, usable_address
from p2pool.dashd.p2p import DashdLink
from p2pool.dashd.pool import DaemonPool
from p2pool.dashd.rpc import RpcClient, RpcError, RpcUnavailable
from p2pool.dashd.service import DashdService
from p2pool.dashd.settings import DASH_CONF
from p2pool.dashd.spool import BlockSpool
from p2pool.dashd.submission import BlockSubmitter
from p2pool.dashd.template import BlockTemplate
from p2pool.dashd.template_parsing import TransactionCache
from p2pool.dashd.zmq_notice import ZmqSubscriber
from p2pool.node import Node
from p2pool.pool_stats import BlockRecord, PoolStats
from p2pool.share.share import Share

_log = Logger(namespace="p2pool.dashd")

ANSWER_TIME = 5.0
"""Seconds that a daemon has to answer before a process takes over."""
SAVE_PERIOD = 1.0
ROOM_PERIOD = 2.0
"""Seconds between two checks whether a disk that refused a found block has room again."""
MAX_CLOCK_OFFSET = 60.0
"""Seconds by which this machine's clock may differ from those of the network before the operator is warned."""


@dataclass(frozen=True, slots=True)
class DaemonAddress:
    """Where one daemon is: RPC address without credentials, p2p host and port, ZMQ address."""

    url: str
    credentials: CredentialSource
    host: str
    p2p_port: int
    zmq: str | None


def daemon_addresses(config: Config, *, local: bool = True) -> list[DaemonAddress]:
    """Return the daemons that the configuration names, the single one first; without any the one on this machine,
    unless `local` is false, as for gateways. Raises OperatorError."""
    if not local and not config.names_daemons:
        return []
    parent, given = config.network.parent, config.dashd_config_path
    conf = read_dash_conf(given or default_in_home(DASH_CONF), parent, required=given is not None)
    found = []
    if config.single_daemon:
        port = config.dashd_rpc_port or conf.port("rpcport") or parent.rpc_port
        single = DaemonUrl(
            "https" if config.dashd_rpc_ssl else "http", config.dashd_address or loopback_address(), port
        )
        source = credential_source(config.rpc_arguments, conf, parent)
        p2p_port = config.dashd_p2p_port or parent.p2p_port
        found.append(DaemonAddress(single.address(port), source, single.host, p2p_port, config.dashd_zmq))
    for url in config.dashd:
        credentials = url.credentials("given in its URL") or credential_source((), conf, parent)
        found.append(
            DaemonAddress(
                url.address(parent.rpc_port), credentials, url.host, url.p2p_port or parent.p2p_port, url.zmq
            )
        )
    urls = [address.url for address in found]
    for address in urls:
        if urls.count(address) > 1:
            raise OperatorError(
                f"dashd at {address} is given more than once, by --dashd or by --dashd and the flags of the "
                "local dashd: give it once"
            )
    return found


async def require_daemon(environment: Environment, addresses: Sequence[DaemonAddress]) -> None:
    """Return if one of the daemons answers, of which `environment` is. Raises OperatorError if none does."""
    problems = []
    for address in addresses:
        rpc = RpcClient(environment, address.url, address.credentials)
        try:
            await rpc.call("getbestblockhash", timeout=ANSWER_TIME)
        except (RpcError, RpcUnavailable) as error:
            problems.append(str(error))
        else:
            return
        finally:
            await rpc.close()
    raise OperatorError(f"no Dash Core answers: {'; '.join(problems)}", 1)


class DashdAssembly:
    """Daemons, links, the network's nodes, and the blocks on their way. `new_template` is called with each
    template to work on. `node` is None for a gateway, whose daemons take its blocks and do nothing else."""

    def __init__(
        self,
        environment: Environment,
        config: Config,
        *,
        node: Node | None,
        stats: PoolStats,
        new_template: Callable[[BlockTemplate], None],
    ) -> None:
        self._environment = dashd_environment(environment, config)
        self._reactor = environment.reactor
        self._config = config
        self._node = node
        self._stats = stats
        self._clock = environment.clock
        self._new_template = new_template
        self.notifications = BlockNotifications(environment.reactor.seconds, stats.record_new_block_job)
        self.block_store = BlockStore(config.datadir / BLOCKS_FILE.name, environment.run_in_thread)
        self.spool = BlockSpool(config.datadir / "blocks", environment.run_in_thread)
        self.pool: DaemonPool | None = None
        self.submitter: BlockSubmitter | None = None
        self.broadcaster: BlockBroadcaster | None = None
        self._rpcs: list[RpcClient] = []
        self._links: list[DashdLink] = []
        self._zmqs: list[ZmqSubscriber] = []
        self._heights: BlockHeights | None = None
        self._timers: list[Timer] = []
        self._tip: int | None = None

    # --- life --------------------------------------------------------------------------------------------

    async def start(self, addresses: Sequence[DaemonAddress]) -> None:
        """Begin to poll the daemons, and resume the delivery of blocks."""
        await self.block_store.load()
        self._stats.restore_blocks(self.block_store.records.values())
        self.block_store.changed.subscribe(self._stats.record_block)
        self.block_store.learned.subscribe(self._stats.restore_blocks)
        chain, transactions = AnnouncedChain(), TransactionCache()
        daemons = [self._daemon(address, transactions) for address in addresses]
        self.pool = pool = DaemonPool(self._environment, daemons, chain)
        pool.template.subscribe(self._template)
        links: list[BlockLink] = list(self._links)
        if not self._config.disable_broadcaster:
            self.broadcaster = self._make_broadcaster(pool, addresses)
            links.append(self.broadcaster)
        self.submitter = BlockSubmitter(
            self._environment,
            daemons=daemons,
            links=links,
            spool=self.spool,
            store=self.block_store,
            record_sent=self._stats.record_block_sent,
        )
        follower = BlockFollower(
            serving=lambda: pool.serving,
            store=self.block_store,
            spool=self.spool,
            lost=self.submitter.offer_again,
        )
        if self._node is not None:
            self._heights = BlockHeights(pool, self._node.learn_block_height, self._clock)
            self._node.block_wanted.subscribe(self._heights.request)
        pool.start()
        for service in (*self._links, self.broadcaster):
            if service is not None:
                service.startService()
        for subscriber in self._zmqs:
            subscriber.start()
        self._timers = [
            Timer(self._reactor, SAVE_PERIOD, self.block_store.save_changes, name="write blocks.json", now=False),
            Timer(
                self._reactor,
                ROOM_PERIOD,
                self.spool.check_room,
                name="check the disk space for blocks",
                now=False,
            ),
            Timer(self._reactor, FOLLOW_PERIOD, follower.poll, name="follow the found blocks", now=False),
        ]
        await self.submitter.resume()
        if self._node is not None:
            self._list_chain(self._node, pool)

    def _list_chain(self, node: Node, pool: DaemonPool) -> None:
        """List the blocks of the share chain from now on."""
        lister = ChainBlockLister(
            lambda: pool.serving, self.block_store, clock=self._clock, started=self._stats.start_time
        )
        self._timers.append(
            Timer(self._reactor, LIST_PERIOD, lister.poll, name="check the blocks on the chain", now=False)
        )
        self._list_blocks(node, lister, (each.share for each in node.tracker.verified.nodes.values()))
        node.thought.subscribe(lambda thought: self._list_blocks(node, lister, thought.verified))

    def _list_blocks(self, node: Node, lister: ChainBlockLister, shares: Iterable[Share]) -> None:
        """List those of the shares that are blocks, regardless of who found them."""
        found = [share for share in shares if share.is_block]
        if not found:
            return
        own = set(node.own_share_hashes())
        versions = self._config.network.parent.addresses
        for share in found:
            lister.request(
                BlockRecord(
                    time=float(share.header_timestamp),
                    block_hash=share.hash,
                    height=claimed_height(share.coinbase, share.coinbase_payload) or 0,
                    worker=payee_text(share.script, versions) if share.hash in own else "another node",
                    share_hash=share.hash,
                    subsidy=share.subsidy,
                )
            )

    def _daemon(self, address: DaemonAddress, transactions: TransactionCache) -> Daemon:
        config, parent = self._config, self._config.network.parent
        rpc = RpcClient(self._environment, address.url, address.credentials)
        service = DashdService(
            self._environment,
            rpc,
            network=config.network,
            name=address.url,
            notifications=self.notifications,
            transactions=transactions,
            long_poll=self._node is not None,
        )
        daemon = Daemon(address.url, rpc, service, clock=self._clock)
        link = DashdLink(
            self._environment,
            host=address.host,
            port=address.p2p_port,
            magic=parent.p2p_magic,
            sub_version=_sub_version(),
            announced=lambda block_hash: daemon.announced(NotificationSource.P2P, block_hash),
        )
        self._rpcs.append(rpc)
        self._links.append(link)
        if address.zmq is not None:
            self._zmqs.append(
                ZmqSubscriber(
                    self._environment,
                    address.zmq,
                    lambda block_hash: daemon.announced(NotificationSource.ZMQ, block_hash),
                )
            )
        return daemon

    def _make_broadcaster(self, pool: DaemonPool, addresses: Sequence[DaemonAddress]) -> BlockBroadcaster:
        parent = self._config.network.parent
        local = parent.chain == "regtest"
        ours = (usable_address(address.host, address.p2p_port, allow_local=True) for address in addresses)

        async def network_peers() -> list[str]:
            return await pool.serving.network_peers()

        def headers_heard(headers: Sequence[BlockHeader]) -> None:
            pool.headers_heard(NotificationSource.NETWORK, headers)

        return BlockBroadcaster(
            public_environment(self._environment, self._config),
            BroadcasterSettings(
                max_peers=self._config.broadcaster_max_peers,
                magic=parent.p2p_magic,
                sub_version=_sub_version(),
                ours=frozenset(address for address in ours if address is not None),
            ),
            book=PeerBook(local, self._environment.chance, self._config.kinds),
            path=self._config.datadir / NETWORK_PEERS_FILE.name,
            ask_addresses=network_peers,
            headers_heard=headers_heard,
            tip=lambda: self._tip,
        )

    async def stop(self) -> None:
        """Stop everything; found blocks and what became of them are on disk when this returns."""
        for timer in self._timers:
            timer.stop()
        if self.submitter is not None:
            await self.submitter.stop()
        await self.block_store.save()
        for subscriber in self._zmqs:
            subscriber.stop()
        if self.broadcaster is not None:
            await self.broadcaster.stopService()
        for link in self._links:
            await link.stopService()
        if self._heights is not None:
            self._heights.stop()
        if self.pool is not None:
            await self.pool.stop()
        for rpc in self._rpcs:
            await rpc.close()

    # --- events ------------------------------------------------------------------------------------------

    def _template(self, template: BlockTemplate) -> None:
        if template.previous_block != self._tip:
            self._tip = template.previous_block
            if self.broadcaster is not None:
                self.broadcaster.block_known(template.previous_block)
        self._new_template(template)

    def job_sent(self, parent_block: int) -> None:
        """Record that a first job on this block was sent."""
        self.notifications.job_sent(parent_block)

    def block_found(self, found: FoundBlock) -> None:
        """Deliver a block that was found, here or by a peer. (There is no work before `start`.)"""
        if self.submitter is not None:
            self.submitter.offer(found)

    def is_safe(self, block_hash: int) -> bool:
        """Return whether a block that was delivered is on disk, or its fate known."""
        return self.submitter is not None and self.submitter.is_safe(block_hash)

    # --- figures -----------------------------------------------------------------------------------------

    @property
    def problem(self) -> str | None:
        """Return why there are no fresh templates; None while there are."""
        return "not polled yet" if self.pool is None else self.pool.problem

    def figures(self) -> DashCoreFigures:
        """Return what pages and metrics show of Dash Core."""
        if self.pool is None:
            return DashCoreFigures("not polled yet", ["dashd: not polled yet"])
        spool = [] if self.spool.problem is None else [f"blocks: {self.spool.problem}"]
        return DashCoreFigures(
            problem=self.pool.problem,
            warnings=[*self.pool.problems(), *spool, *self.advice()],
            daemons=self.pool.figures(),
            broadcaster=() if self.broadcaster is None else self.broadcaster.figures(),
            broadcasting=BroadcasterTotals if self.broadcaster is None else self.broadcaster.totals,
            links_up=sum(1 for link in self._links if link.up is not None),
            blocks_waiting=0 if self.submitter is None else self.submitter.waiting,
            spool_problem=self.spool.problem,
        )

    def advice(self) -> list[str]:
        """Return what the operator should know and the log does not have."""
        found = [] if self.pool is None else self.pool.advice()
        offset = None if self.broadcaster is None else self.broadcaster.clock_offset()
        if offset is not None and abs(offset) > MAX_CLOCK_OFFSET:
            where = "behind" if offset > 0 else "ahead of"
            found.append(
                f"clock: this machine's clock is {abs(round(offset))} s {where} the network's: synchronise it"
            )
        return found


def _sub_version() -> bytes:
    return f"/p2pool-dash:{__version__}/".encode()
