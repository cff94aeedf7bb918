"""The sources of the figures that views show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from p2pool.alerts.figures import AlertFigures
from p2pool.alerts.miners.figures import MinerAlertFigures
from p2pool.dash.address import payee_text
from p2pool.dashd.figures import DashCoreFigures
from p2pool.dashd.merged import AuxFigures
from p2pool.dashd.payout_addresses import PayoutAddresses
from p2pool.history.service import History
from p2pool.jobs.context import WorkContext
from p2pool.node import Node
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
from p2pool.pool_stats import PeerCensus, PoolSnapshot, PoolStats
from p2pool.sharechain.figures import shares_of_last_hour
from p2pool.stratum.settings import StratumSettings
from p2pool.web.access import WebRateFigures
from p2pool.web.health import Missing
from p2pool.web.settings import WebSettings
from p2pool.web.view_cache import ViewCache
from p2pool.web.worker_index import WorkerIndex

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class OpenPort:
    """A port that is open: what for, and with TLS the certificate's SHA-256 (pairs of digits and colons), the last
    second of its validity, and the SHA-256 of another one for clients that know only keys of its kind."""

    purpose: str
    port: int
    fingerprint: str | None = None
    not_after: int | None = None
    other_fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class NodePorts:
    """The addresses and ports at which the node can be reached, as far as it knows."""

    external_ip: str | None = None
    worker_port: int | None = None
    p2p_port: int | None = None
    worker_tls_port: int | None = None
    """The port for miners with TLS; None without one."""
    onion: str | None = None
    """NAME.onion while the node is published as an onion service."""
    onion_problem: str | None = None
    """Why it is not published though it should be; None if it need not be."""


@dataclass(frozen=True, slots=True)
class StratumLimits:
    """What miners are held to. `share_rate` is the time between two submissions of a connection that vardiff aims
    at, in seconds; `min_difficulty` is None if the network's own is in force."""

    max_connections: int = StratumSettings.max_connections
    max_connections_per_host: int = StratumSettings.max_connections_per_ip
    share_rate: float = StratumSettings.share_rate
    min_difficulty: float | None = None
    never_banned: int = 0
    """Networks that the operator has exempted."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything that pages may show.

    `store_problem` says why shares are not written, None while they are. `peers` are in the order in which they
    are listed.
    """

    node: Node
    stats: PoolStats
    dashd: Callable[[], DashCoreFigures]
    store_problem: Callable[[], str | None]
    peers: Callable[[], Sequence[PeerFigures]]
    fee: float
    donation: float
    payouts: PayoutAddresses
    version: str
    merged: Callable[[], Sequence[AuxFigures]] = tuple
    """The daemons of auxiliary chains."""
    metrics_max_workers: int = WebSettings.metrics_max_workers
    """Workers that /metrics names."""
    ports: Callable[[], NodePorts] = NodePorts
    web_rates: Callable[[], WebRateFigures | None] = lambda: None
    """None if requests are not counted."""
    process_memory: Callable[[], float | None] = lambda: None
    """Bytes of memory that the process uses; None if unknown."""
    ban_duration: float = StratumSettings.ban_duration
    """Seconds."""
    stratum_limits: Callable[[], StratumLimits] = StratumLimits
    web_password: bool = False
    """Set if pages need user and password."""
    broadcaster_enabled: bool = True
    history: History | None = None
    """None if no history is kept."""
    lost_databases: Callable[[], Sequence[str]] = tuple
    """Sentences about databases that were found empty or missing at the start."""
    broker_problem: Callable[[], str | None] = lambda: None
    """Why the broker to the gateways cannot be used; None while it can, or if there is none."""
    alerts: Callable[[], AlertFigures | None] = lambda: None
    """None without alert destinations."""
    miner_alerts: Callable[[], MinerAlertFigures] = MinerAlertFigures
    """Alerts that miners have set."""
    traffic: Callable[[], PeerTraffic] = PeerTraffic
    census: Callable[[], PeerCensus] = PeerCensus
    """What the connected nodes are, by their own account."""
    known_nodes: Callable[[], Sequence[KnownNode]] = tuple
    """Other nodes that were seen at some time, in any order."""
    address_counts: Callable[[], AddressCounts] = AddressCounts
    ended_connections: Callable[[], Sequence[EndedConnection]] = tuple
    """Why connections with other nodes ended, the newest first."""
    mapped_ports: Callable[[], Sequence[MappedPort]] = tuple
    """The ports that routers forward to this node."""
    reachable: Callable[[], ReachableFigures] = ReachableFigures
    """Whether other nodes can connect to this one."""
    look_ups: Callable[[], NodeLookUps] = NodeLookUps
    peers_notice: Callable[[], str | None] = lambda: None
    """What is wrong with the connections to other nodes though miners have work; None if nothing is."""
    listening: Callable[[], Sequence[OpenPort]] = tuple
    missing: Callable[[], Sequence[Missing]] = tuple
    """What keeps miners from getting work; asked at each request for /readyz."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What the operator has set, by the flag's name, fit for the public."""
    cache: ViewCache = field(default_factory=ViewCache, repr=False, compare=False)

    @property
    def lookbehind(self) -> int:
        """Return how many shares make the last hour, as far as they are held; 0 if there are fewer than two."""
        return shares_of_last_hour(self.node.tracker, self.node.best_share)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one refresh of all views is rendered from: the sources, and the pool's statistics of one instant."""

    sources: Sources
    pool: PoolSnapshot

    @property
    def node(self) -> Node:
        """Return the node that the sources belong to."""
        return self.sources.node

    @property
    def cache(self) -> ViewCache:
        """Return what is kept from one refresh to the next."""
        return self.sources.cache

    @property
    def workers(self) -> WorkerIndex:
        """Return the workers of the snapshot, sorted."""
        return self.once(_index_workers)

    def once(self, make: Callable[[Snapshot], T]) -> T:
        """Return `make(snapshot)`, computed once for each snapshot."""
        return self.sources.cache.per_snapshot(self.pool, make, lambda: make(self))

    def per_tip(self, make: Callable[[Node], T]) -> T:
        """Return `make(node)`, computed once for each best share and template."""
        return self.sources.cache.per_tip(self.node, make)

    def per_work(self, make: Callable[[Snapshot, WorkContext], T]) -> T | None:
        """Return `make(snapshot, context)`, computed once for each work context; None without work."""
        context = self.node.context
        return None if context is None else self.sources.cache.per_work(context, make, lambda: make(self, context))


def _index_workers(snapshot: Snapshot) -> WorkerIndex:
    return WorkerIndex(snapshot.pool.workers)


def script_to_text(node: Node, script: bytes) -> str:
    """Return the address of a script on the node's network, or "!<hex>" if it has none."""
    return payee_text(script, node.network.parent.addresses)
