"""Everything that has to do with other nodes, put together: one object for the composition root."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from p2pool import __version__
from p2pool.app.config import Config
from p2pool.app.peer_patience import PeerPatience
from p2pool.app.routes import public_environment
from p2pool.base.endpoints import cannot_listen, host_and_port
from p2pool.base.environment import Environment
from p2pool.base.errors import ParseError
from p2pool.base.hosts import NetworkKind, is_global, kinds_of, parse_address
from p2pool.base.text import format_duration
from p2pool.base.timer import Timer
from p2pool.dash.block import BlockHeader
from p2pool.dash.target import bits_to_target
from p2pool.dashd.block_notifications import NotificationSource
from p2pool.dashd.found_block import FoundBlock
from p2pool.dashd.pool import DaemonPool
from p2pool.dashd.rpc import RpcError, RpcUnavailable
from p2pool.dashd.template import BlockTemplate
from p2pool.net.port_control import NONCE_SIZE
from p2pool.networks.bootstrap import built_in_nodes
from p2pool.node import Node
from p2pool.node.peers_adapter import PeerNews, PeerPool
from p2pool.peers.addresses import dial_group, is_loopback
from p2pool.peers.bootstrap import LIST_FILE, BootstrapSettings
from p2pool.peers.errors import Misbehaviour
from p2pool.peers.figures import (
    AddressCounts,
    EndedConnection,
    KnownNode,
    MappedPort,
    NodeLookUps,
    PeerFigures,
    PeerTraffic,
    ReachableFigures,
)
from p2pool.peers.hub import HubSettings, PeerHub
from p2pool.peers.messages import PeerAddress
from p2pool.peers.port_mapping import PortMapping
from p2pool.peers.service import DialSettings, PeerService
from p2pool.peers.transactions import TransactionPool
from p2pool.share.share import Share
from p2pool.web.health import DOWNLOADING_SHARES, NO_PEERS, Missing

_log = Logger(namespace="p2pool.peers")

PROGRESS_PERIOD = 5.0
PROGRESS_SHARES = 100
"""Fewer new shares in a period are normal and not logged."""

SHOWN_SOFTWARE = 100
"""Characters of what a peer calls its software."""


def bootstrap_settings(config: Config) -> BootstrapSettings:
    """Return where to look for other nodes; the package's own names only on networks with peers by default."""
    network = config.network
    return BootstrapSettings(
        port=network.p2p_port,
        given=config.bootstrap,
        built_in=tuple((name, network.p2p_port) for name in network.bootstrap) if network.persist else (),
        file=config.datadir / LIST_FILE,
        built_in_list=(lambda: built_in_nodes(network.name)) if network.persist else None,
    )


class PeersAssembly:
    """This node among the others. Blocks that others found go to `block_found`."""

    def __init__(
        self,
        environment: Environment,
        config: Config,
        *,
        node: Node,
        block_found: Callable[[FoundBlock], None],
    ) -> None:
        network = config.network
        self._environment = environment = public_environment(environment, config)
        self._reactor = environment.reactor
        self._config = config
        self._node = node
        self._block_found = block_found
        self._dashd: DaemonPool | None = None
        self._sent_block: int | None = None
        self.transactions = TransactionPool()
        host, port = config.p2pool_host, config.p2pool_port
        external = config.external_ip
        self._named = [(name, port or network.p2p_port) for name, port in config.p2pool_nodes]
        self._pool = PeerPool(node, self._block_heard)
        self.hub = PeerHub(
            environment,
            HubSettings(
                network=network,
                sub_version=f"p2pool-dash/{__version__}".encode(),
                listen_port=port,
                max_incoming=config.max_conns,
                # What peers see is the proxy's address: nobody can connect to it.
                advertise=not config.disable_advertise and (config.proxy is None or external is not None),
                external=None if external is None else PeerAddress(external[0], external[1] or port),
            ),
            pool=self._pool,
            transactions=self.transactions,
            sender_of=self._sender_of,
        )
        self.service = PeerService(
            environment,
            self.hub,
            settings=DialSettings(
                listen=(host, port),
                always=self._named,
                bootstrap=bootstrap_settings(config) if config.wanted_outgoing else None,
                outgoing=config.wanted_outgoing,
                kinds=config.kinds,
            ),
            directory=config.datadir,
        )
        self._patience = PeerPatience(environment, config.peer_patience, node.renew_work)
        self._news: PeerNews | None = None
        self._mapping: PortMapping | None = None
        self._timer: Timer | None = None
        self._received = 0

    def _sender_of(self, share_hash: int) -> str | None:
        return self._node.tracker.arrival(share_hash).sender

    def listen(self) -> None:
        """Open the port for other nodes. Raises OperatorError."""
        try:
            self.service.listen()
        except CannotListenError as error:
            where = self._config.p2pool_host, self._config.p2pool_port
            raise cannot_listen(error, where, purpose="other nodes", flag="--p2pool-port") from None

    async def start(self, dashd: DaemonPool) -> None:
        """Start to connect to other nodes; called once the shares are loaded."""
        self._dashd = dashd
        self._news = PeerNews(
            self._node,
            self.hub,
            pool=self._pool,
            transactions=self.transactions,
            call_later=self._reactor.callLater,
            punish=self._punish,
            block_found=self._block_found,
        )
        self._node.refused.software_of = self._software_of
        dashd.template.subscribe(self._template)
        if self._config.network.persist:
            self._node.may_work = self._work_problem
            self.hub.peers_changed.subscribe(self._peers_changed)
        self._node.thought.subscribe(lambda thought: self.hub.downloader.step(self.hub.monotonic()))
        if self._config.connect_only:
            nodes = ", ".join(host_and_port(host, port) for host, port in self._named)
            _log.info("--connect-only: this node connects only to {nodes}", nodes=nodes)
        await self.service.start()
        self._timer = Timer(
            self._reactor, PROGRESS_PERIOD, self._log_progress, name="log the download progress", now=False
        )
        self._map_port()

    def _map_port(self) -> None:
        """Have routers let other nodes in, unless the operator or the settings are against it."""
        config = self._config
        if not config.network.persist or config.disable_upnp or config.proxy is not None or not self._is_open:
            return
        host = config.p2pool_host
        self._mapping = PortMapping(
            self._environment,
            self.service.port,
            nonce_of=self._mapping_nonce,
            kinds=config.kinds & kinds_of(host) if host else config.kinds,
            changed=self._mapping_changed,
        )
        self._mapping.start()

    @property
    def _is_open(self) -> bool:
        """Return whether the port for other nodes is open to more than this machine."""
        return bool(self.service.port) and not is_loopback(self._config.p2pool_host)

    def _mapping_nonce(self, host: str) -> bytes:
        """Return the secret by which routers know this node at its address `host`, also after a restart."""
        secret = self.hub.addresses.secret_number
        return b"".join(secret("port mapping", host, part).to_bytes(8, "big") for part in range(2))[:NONCE_SIZE]

    def _mapping_changed(self) -> None:
        self.hub.outside_port = next(
            (each.port for each in self.mapped_ports() if each.network is NetworkKind.IPV4), None
        )

    async def stop(self) -> None:
        """Close all connections to other nodes."""
        if self._timer is not None:
            self._timer.stop()
        self._patience.stop()
        given_back = None if self._mapping is None else Deferred.fromCoroutine(self._mapping.stop())
        await self.service.stop()
        if given_back is not None:
            await given_back

    def share_announced(self, announced: tuple[Share, bool]) -> None:
        """Send a share that is on disk to the peers."""
        if self._news is not None:
            self._news.share_announced(announced)

    def figures(self) -> list[PeerFigures]:
        """Return what pages show of each peer, those connected longest first."""
        now = self.hub.monotonic()
        return [
            PeerFigures(
                host=session.host,
                port=session.port,
                incoming=session.incoming,
                software=session.software(SHOWN_SOFTWARE),
                protocol=session.version.version,
                connected_for=now - session.connected_at,
                known_transactions=len(session.remote),
                remembered_bytes=session.remembered_size,
                round_trip=self.hub.round_trips.of(session),
                found_by=self.hub.found_by(session),
                group=dial_group(session.host, session.port),
                brought_shares=session.brought_shares,
                last_brought=None if session.brought_at is None else now - session.brought_at,
                last_end=self.hub.ended.of(session.host_key),
            )
            for session in sorted(self.hub.peers, key=lambda session: session.connected_at)
            if session.version is not None
        ]

    def traffic(self) -> PeerTraffic:
        """Return the bytes exchanged with other nodes since the start."""
        return PeerTraffic(self.hub.bytes_received, self.hub.bytes_sent)

    def known_nodes(self) -> list[KnownNode]:
        """Return the known addresses of other nodes."""
        return self.hub.known_nodes()

    def look_ups(self) -> NodeLookUps:
        """Return when other nodes were last looked up, and how many addresses that gave."""
        return self.service.last_look_up

    def address_counts(self) -> AddressCounts:
        """Return how many addresses of other nodes are known."""
        book = self.hub.addresses
        return AddressCounts(len(book) - book.tried_count, book.tried_count)

    def ended(self) -> list[EndedConnection]:
        """Return why the last connections with other nodes ended, the newest first."""
        return self.hub.ended.newest()

    def mapped_ports(self) -> list[MappedPort]:
        """Return the ports that routers forward to this node."""
        return [] if self._mapping is None else self._mapping.mapped

    def reachable(self) -> ReachableFigures:
        """Return whether other nodes can connect to this one, as far as it knows."""
        hosts = (parse_address(peer.host) for peer in self.hub.peers if peer.incoming)
        return self.hub.reachability.figures(
            self._environment.clock(),
            self.mapped_ports(),
            open_outside=self._is_open,
            connected=any(host is not None and is_global(host) for host in hosts),
        )

    def _log_progress(self) -> None:
        """Log, while a chain is downloaded, how much of it is here and how long the rest will take."""
        received, before = self.hub.downloader.received, self._received
        self._received = received
        if received - before < PROGRESS_SHARES or not self._node.wanted:
            return
        held = len(self._node.tracker)
        highest = max((share.absheight for share in self._node.tracker.heads()), default=0)
        total = min(highest, 2 * self._node.network.chain_length)
        _log.info(
            "downloading the share chain: {held} of about {total} shares, {left} to go",
            held=held,
            total=max(total, held),
            left=format_duration(max(0, total - held) * PROGRESS_PERIOD / (received - before)),
        )

    def _software_of(self, label: str) -> str:
        """Return what a peer calls its software; empty if it is gone."""
        session = self.hub.session_of(label)
        return "" if session is None else session.software(SHOWN_SOFTWARE)

    def _peers_changed(self, peer_count: int) -> None:
        """Let miners have work, or wait for a peer, or take the work away."""
        self._patience.peers_changed(peer_count, has_work=self._node.context is not None)
        self._node.renew_work()

    def _lacks_peers(self) -> bool:
        return not self.hub.peers and not self._patience.left

    @property
    def is_cut_off(self) -> bool:
        """Return whether the last connection to another node ended longer than --peer-patience ago."""
        return self._patience.is_over

    def notice(self) -> str | None:
        """Return what an operator should know while the last work is kept without peers; None otherwise."""
        left = self._patience.left
        if not left:
            return None
        return f"not connected to any other node: miners keep their work for another {format_duration(left)}"

    def _work_problem(self) -> str | None:
        """Return why there must be no work: a share off the network's chain earns nothing."""
        if self._lacks_peers():
            return "not connected to any other node"
        if self._node.best_share is None:
            return "the share chain is being downloaded"
        return None

    def missing(self) -> list[Missing]:
        """Return what is missing for work, for /readyz; nothing on a network that needs no other nodes."""
        if not self._config.network.persist:
            return []
        if self._lacks_peers():
            return [NO_PEERS]
        return [DOWNLOADING_SHARES] if self._node.best_share is None else []

    def _punish(self, label: str, why: str) -> None:
        session = self.hub.session_of(label)
        if session is not None:
            self.service.fail(session, Misbehaviour(why))

    def _block_heard(self, header: BlockHeader) -> None:
        if self._dashd is not None:
            with contextlib.suppress(
                ParseError
            ):  # it has the work of a block; for what target does not matter here
                self._dashd.headers_heard(NotificationSource.POOL, (header,))

    def _template(self, template: BlockTemplate) -> None:
        if template.previous_block != self._sent_block:
            self._sent_block = template.previous_block
            sending = Deferred.fromCoroutine(self._send_best_block(template.previous_block))
            sending.addErrback(lambda failure: _log.failure("cannot send a new block's header to peers", failure))

    async def _send_best_block(self, block_hash: int) -> None:
        """Announce a new block of the parent chain to peers."""
        if self._dashd is None or not self.hub.peers:
            return
        try:
            header = await self._dashd.block_header(block_hash)
        except (RpcError, RpcUnavailable, ParseError):
            return
        if header.hash() <= bits_to_target(header.bits):  # not so a chain's first block, which nobody mined
            self.hub.send_best_block(header)
