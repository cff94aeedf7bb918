"""Where the views take their figures from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol, TypeVar

from p2pool.dash.address import encode_address
from p2pool.dash.script import p2pkh_hash, p2sh_hash
from p2pool.dashd.broadcast_counts import BroadcasterTotals
from p2pool.dashd.broadcaster import BroadcasterPeer
from p2pool.dashd.merged import AuxFigures
from p2pool.dashd.payout_addresses import PayoutAddresses
from p2pool.dashd.pool import DaemonFigures
from p2pool.history.service import History
from p2pool.jobs.context import WorkContext
from p2pool.node import Node
from p2pool.peers.figures import KnownNode, NodeLookUps, PeerFigures, PeerTraffic
from p2pool.pool_stats import PeerCensus, PoolSnapshot, PoolStats
from p2pool.sharechain.figures import shares_of_last_hour
from p2pool.web.memory import Memory
from p2pool.web.worker_index import WorkerIndex

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DashCoreFigures:
    """Dash Core as pages show it. `problem` says why there are no fresh templates, None while there are;
    `blocks_waiting` counts found blocks that are not settled yet."""

    problem: str | None
    warnings: Sequence[str] = ()
    daemons: Sequence[DaemonFigures] = ()
    broadcaster: Sequence[BroadcasterPeer] = ()
    blocks_waiting: int = 0
    spool_problem: str | None = None
    """Why the newest found block is not on disk; None while all is well."""
    broadcasting: Callable[[], BroadcasterTotals] = BroadcasterTotals
    links_up: int = 0
    """Daemons that found blocks can be sent to over their own protocol, too."""


@dataclass(frozen=True, slots=True)
class ListeningPort:
    """A port that is open: what for, and with TLS the certificate's SHA-256 (pairs of digits and colons), the last
    second of its validity, and the SHA-256 of another one for clients that know only keys of its kind."""

    purpose: str
    port: int
    fingerprint: str | None = None
    not_after: int | None = None
    other_fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class NodePorts:
    """Where the node can be reached, as far as it knows."""

    external_ip: str | None = None
    worker_port: int | None = None
    p2p_port: int | None = None
    worker_tls_port: int | None = None
    """Where miners connect through TLS; None where they cannot."""


@dataclass(frozen=True, slots=True)
class StratumLimits:
    """What miners are held to. `share_rate` is the time between two submissions of a connection that vardiff aims
    at, in seconds; `min_difficulty` is None if the network's own is in force."""

    max_connections: int = 10_000
    max_connections_per_host: int = 1000
    share_rate: float = 10.0
    min_difficulty: float | None = None
    never_banned: int = 0
    """Networks that the operator has exempted."""


class WebRates(Protocol):
    """How often the web was asked, by whatever counts that. `rate` is requests a second and `burst` requests at
    once, of one host, None without a limit; `requests` are all since the start, `limited` those that came too
    fast; `hosts` those that asked of late."""

    @property
    def rate(self) -> float | None: ...
    @property
    def burst(self) -> float | None: ...
    @property
    def requests(self) -> int: ...
    @property
    def limited(self) -> int: ...
    @property
    def hosts(self) -> int: ...


class AlertDestination(Protocol):
    """Where webhooks and alerts go, as pages show it: no address, no URL, but the `host`. Times in Unix
    seconds, None for never; `delivered` and `lost` since the start; `last_reason` is why the last attempt
    failed that did."""

    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def events(self) -> Sequence[str]: ...
    @property
    def waiting(self) -> int: ...
    @property
    def delivered(self) -> int: ...
    @property
    def lost(self) -> int: ...
    @property
    def last_success(self) -> float | None: ...
    @property
    def last_failure(self) -> float | None: ...
    @property
    def last_reason(self) -> str: ...
    @property
    def next_attempt(self) -> float | None: ...


class AlertsShown(Protocol):
    """Alerts as pages show them. `events` are what people are told, `held` how many of them wait for the quiet
    time to be over; `problem` says why what waits is not on disk, None while it is."""

    @property
    def destinations(self) -> Sequence[AlertDestination]: ...
    @property
    def events(self) -> Sequence[str]: ...
    @property
    def quiet_times(self) -> Sequence[str]: ...
    @property
    def is_quiet(self) -> bool: ...
    @property
    def held(self) -> int: ...
    @property
    def problem(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything that pages may look at.

    `store_problem` says why shares are not written, None while all is well. `peers` are in the order in which they
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
    metrics_max_workers: int = 100
    """Workers that /metrics names."""
    ports: Callable[[], NodePorts] = NodePorts
    web_rates: Callable[[], WebRates | None] = lambda: None
    """None where nobody counts."""
    process_memory: Callable[[], float | None] = lambda: None
    """Bytes that the process takes; None where that is not known."""
    ban_duration: float = 300.0
    """Seconds."""
    stratum_limits: StratumLimits = StratumLimits()
    web_password: bool = False
    """Whether pages need user and password."""
    broadcaster_enabled: bool = True
    history: History | None = None
    """None where none is kept."""
    lost_databases: Callable[[], Sequence[str]] = tuple
    """Sentences about databases that were found empty or missing at the start."""
    alerts: Callable[[], AlertsShown | None] = lambda: None
    """None where nobody is told anything."""
    traffic: Callable[[], PeerTraffic] = PeerTraffic
    census: Callable[[], PeerCensus] = PeerCensus
    """What the connected nodes are, by their own account."""
    known_nodes: Callable[[], Sequence[KnownNode]] = tuple
    """Other nodes that were seen at some time, in any order."""
    look_ups: Callable[[], NodeLookUps] = NodeLookUps
    listening: Callable[[], Sequence[ListeningPort]] = tuple
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What the operator has set, by the flag's name, fit for everybody's eyes."""
    memory: Memory = field(default_factory=Memory, repr=False, compare=False)

    @property
    def lookbehind(self) -> int:
        """How many shares make the last hour, as far as they are held; 0 where there are fewer than two."""
        return shares_of_last_hour(self.node.tracker, self.node.best_share)


@dataclass(frozen=True, slots=True)
class Moment:
    """The snapshot that one refresh of all views is made from."""

    sources: Sources
    snapshot: PoolSnapshot

    @property
    def node(self) -> Node:
        """The node."""
        return self.sources.node

    @property
    def memory(self) -> Memory:
        """What is remembered from one refresh to the next."""
        return self.sources.memory

    @property
    def workers(self) -> WorkerIndex:
        """The snapshot's workers in order."""
        return self.once(_index_workers)

    def once(self, make: Callable[[Moment], T]) -> T:
        """What `make(moment)` gives, made once for each snapshot."""
        return self.sources.memory.per_snapshot(self.snapshot, make, lambda: make(self))

    def per_tip(self, make: Callable[[Node], T]) -> T:
        """What `make(node)` gives, made once for each best share and template."""
        return self.sources.memory.per_tip(self.node, make)

    def per_work(self, make: Callable[[Moment, WorkContext], T]) -> T | None:
        """What `make(moment, context)` gives, made once for each new work; None without work."""
        context = self.node.context
        return (
            None if context is None else self.sources.memory.per_work(context, make, lambda: make(self, context))
        )


def _index_workers(moment: Moment) -> WorkerIndex:
    return WorkerIndex(moment.snapshot.workers)


# Bound: base58 is slow, and every tip asks for the address of every payee.
_address = lru_cache(maxsize=20_000)(encode_address)


def script_to_text(node: Node, script: bytes) -> str:
    """The address of a script, or "!<hex>" where it has none."""
    versions = node.network.parent.addresses
    key_hash = p2pkh_hash(script)
    if key_hash is not None:
        return _address(versions.pubkey_hash, key_hash)
    script_hash = p2sh_hash(script)
    if script_hash is not None:
        return _address(versions.script_hash, script_hash)
    return "!" + script.hex()
