"""What pages show of the other nodes: values that `hub`, `service` and `addresses` make."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from p2pool.base.hosts import NetworkKind


class NodeOrigin(Enum):
    """How a node became known. The words are in peers.json and in the API."""

    GIVEN = "p2pool_node"
    """--p2pool-node."""
    BOOTSTRAP = "bootstrap"
    """--bootstrap."""
    FILE = "bootstrap_file"
    """The operator's list in the data directory."""
    BUILT_IN = "built_in"
    """A name or list that comes with the package."""
    PEER = "peer"
    """Another node sent its address."""
    INCOMING = "incoming"
    """It connected to this node."""
    REMEMBERED = "remembered"
    """An earlier version of the program remembered it without saying how it became known."""


class FoundBy(NamedTuple):
    """How a node became known, and the name that had its address, "" if it was none."""

    origin: NodeOrigin
    name: str = ""


REMEMBERED: Final = FoundBy(NodeOrigin.REMEMBERED)


class NodeLookUps(NamedTuple):
    """When names and lists were last asked for other nodes, Unix seconds (None: not since the start), and how many
    addresses they named."""

    time: float | None = None
    found: int = 0


class EndedConnection(NamedTuple):
    """A connection with another node that ended at `time` (Unix seconds), after `lasted` seconds, and why."""

    time: float
    host: str
    port: int
    incoming: bool
    software: str
    lasted: float
    reason: str


@dataclass(frozen=True, slots=True)
class PeerFigures:
    """Another node that this node is connected to. Times in seconds; `round_trip` is None if it is not known yet.

    `known_transactions` is how many it says it has, `remembered_bytes` the size of those that it has this node
    keep.
    """

    host: str
    port: int
    incoming: bool
    software: str
    protocol: int
    connected_for: float
    known_transactions: int
    remembered_bytes: int
    round_trip: float | None
    found_by: FoundBy = REMEMBERED
    group: str = ""
    """Its neighbourhood, see `addresses.dial_group`."""
    brought_shares: int = 0
    """How many new shares it was the first to bring."""
    last_brought: float | None = None
    """Seconds since the last of them."""
    last_end: EndedConnection | None = None
    """How the last connection with the same host ended."""


class AddressCounts(NamedTuple):
    """How many addresses of other nodes are known: those that were only heard of, and those that answered."""

    new: int = 0
    tried: int = 0


class PeerTraffic(NamedTuple):
    """Bytes exchanged with all other nodes since the start."""

    received: int = 0
    sent: int = 0


class KnownNode(NamedTuple):
    """Where another node listened when it was seen, Unix seconds."""

    host: str
    port: int
    first_seen: float
    last_seen: float
    found_by: FoundBy = REMEMBERED
    group: str = ""
    """Its neighbourhood, see `addresses.dial_group`."""
    answered: bool = False
    """Whether it is in the table of tried addresses: it answered this node at some time."""
    sources: tuple[str, ...] = ()
    """The neighbourhoods of the peers that sent it, while it is in the table of new ones. At most four."""


class MappedPort(NamedTuple):
    """A port that a router forwards to this node: in which network, by which method (PCP, NAT-PMP, UPnP), the
    router's address and port that others connect to, and since when, Unix seconds."""

    network: NetworkKind
    method: str
    host: str
    port: int
    since: float


class Reachable(Enum):
    """Whether other nodes can connect to this one. The words are in the API."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class KnownBy(Enum):
    """How that is known. The words are in the API."""

    INCOMING = "incoming"
    """Another node connected from a public address."""
    ROUTER = "router"
    """A router forwards the port; or it does, but has itself no public address."""
    SILENCE = "silence"
    """Others are told where this node listens, and nobody came for a day."""
    SETTINGS = "settings"
    """The port is not open, or to this machine only."""
    NOTHING = "nothing"


class ReachableFigures(NamedTuple):
    """Whether other nodes can connect to this one, since when (Unix seconds), and how that is known."""

    reachable: Reachable = Reachable.UNKNOWN
    since: float | None = None
    known_by: KnownBy = KnownBy.NOTHING
