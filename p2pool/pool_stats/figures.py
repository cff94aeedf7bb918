"""What others know and pool_stats shows: the share chain, other nodes, Dash Core. Recorded whole, once a second,
by whoever asks them; until then they have their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StaleRatios:
    """Parts of all shares: those that missed the best chain, and those that were too late when they were found."""

    orphan: float = 0.0
    dead: float = 0.0


@dataclass(frozen=True, slots=True)
class RefusedBranch:
    """A share that this node refuses, and what others built on it. `work` is that of the last hour, in average
    attempts; `shares` are all; `software` counts them by the software of whoever sent them first."""

    first_share: int
    reason: str
    since: float
    last: float
    shares: int
    work: float
    software: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class RefusedWork:
    """The work of all shares heard in the last hour, in average attempts, by whether this node accepts them.

    `part` (0 to 1) is the refused part of it, `part_since` the leading branch's part of what was heard since that
    branch began; `branches` come with the most work first.
    """

    accepted: float = 0.0
    refused: float = 0.0
    part: float = 0.0
    part_since: float = 0.0
    branches: tuple[RefusedBranch, ...] = ()
    is_majority: bool = False
    """Whether more than half of what was heard since the leading branch began is on it."""
    problem: str | None = None
    """What an operator must know of it, as a sentence; None while it is no majority."""

    @property
    def heard(self) -> float:
        """Return the work of all shares heard in the last hour."""
        return self.accepted + self.refused


@dataclass(frozen=True, slots=True)
class VoteFigures:
    """Parts of the work that vote for share versions above this node's: of the whole chain, of its oldest tenth,
    and of the last hour. None if the chain is too short."""

    leading: int | None = None
    """The higher version that most of the work votes for; None if no share does."""
    chain: float | None = None
    window: float | None = None
    recent: float | None = None
    refused: bool = False
    """Whether c2pool-dash refuses shares that vote as this node's do, upon parent shares that vote otherwise."""
    problem: str | None = None
    """What an operator has to know; None while higher versions do not dominate."""
    refused_shares: int = 0
    """Shares of the best chain, of the last hour, that c2pool-dash refuses for their votes."""
    branch_problem: str | None = None
    """Why nodes that run c2pool-dash follow another branch; None if they do not, as far as votes show."""


@dataclass(frozen=True, slots=True)
class ChainFigures:
    """The share chain and the parent chain. Rates in hashes a second, stale work included. `height` is the length
    of the best chain that is held, `absolute_height` its place since the first share ever. Times are in Unix
    seconds and difficulties Dash's. What is not known is 0, times of the last share None."""

    height: int = 0
    absolute_height: int = 0
    held: int = 0
    verified: int = 0
    heads: int = 0
    last_share_time: float | None = None
    """The share's timestamp, which lags in a slow pool."""
    last_share_found: float | None = None
    """When it was found, as far as this node can tell."""
    share_difficulty: float = 0.0
    pool_rate: float = 0.0
    """By the timestamps of shares, which other nodes come to as well."""
    observed_rate: float = 0.0
    """Over the time in which the shares were found: for people."""
    stales: StaleRatios = StaleRatios()
    """Of the whole chain, over the last hour."""
    own_stales: StaleRatios = StaleRatios()
    """Of this node's newest shares."""
    block_height: int = 0
    network_difficulty: float = 0.0
    store_problem: str | None = None
    """Why shares are not written; None while all is well."""
    work_problem: str | None = None
    """Why there is no work for miners though Dash Core gives templates; None while there is."""
    block_problem: str | None = None
    """Why dashd would refuse a block found now; None if it would not."""
    left_out: int = 0
    """Transactions of dashd's template that blocks leave out because they would be too large."""
    votes: VoteFigures = VoteFigures()
    refused: RefusedWork = RefusedWork()


@dataclass(frozen=True, slots=True)
class NewerType:
    """A share type above the one that this software knows, as other nodes sent it since the start. `kind` is None
    for all types above the last one that is counted by itself. `peer` (host:port) sent the first one, and calls
    its software `software`; `hosts` counts those that sent some, up to a bound. Unix seconds."""

    kind: int | None
    shares: int
    first_seen: float
    last_seen: float
    peer: str
    software: str
    hosts: int

    @property
    def name(self) -> str:
        """Return the type as text."""
        return "other" if self.kind is None else str(self.kind)


@dataclass(frozen=True, slots=True)
class SoftwareCount:
    """Connected nodes of one software that announce one protocol. `protocol` is None if several are counted
    together."""

    software: str
    protocol: int | None
    incoming: int
    outgoing: int


@dataclass(frozen=True, slots=True)
class LostSoftware:
    """A software of which nodes were connected for long, and none is any more for `lost_for` seconds. `most` is
    the largest number that there was at once."""

    software: str
    lost_for: float
    most: int


@dataclass(frozen=True, slots=True)
class EarlyCloses:
    """Nodes that closed the connection soon after it was made, and are not connected now. `hosts` counts them,
    `sites` their neighbourhoods (/16 of IPv4, /32 of IPv6), `closes` the connections, `lasting` for how many
    seconds that goes on. `lowest` and `highest` are the protocols that they announced, None if none did."""

    hosts: int = 0
    sites: int = 0
    closes: int = 0
    lasting: float = 0.0
    since: float | None = None
    lowest: int | None = None
    highest: int | None = None


@dataclass(frozen=True, slots=True)
class PeerCensus:
    """What other nodes are, by their own account."""

    software: tuple[SoftwareCount, ...] = ()
    """Software with most nodes first; the rest together as "other"."""
    newer_types: tuple[NewerType, ...] = ()
    lost: tuple[LostSoftware, ...] = ()
    early_closes: EarlyCloses = EarlyCloses()


@dataclass(frozen=True, slots=True)
class PeerCounts:
    """Connected nodes by direction; round-trip times in seconds, None if none is known."""

    incoming: int = 0
    outgoing: int = 0
    nearest: float | None = None
    farthest: float | None = None
    census: PeerCensus = PeerCensus()


@dataclass(frozen=True, slots=True)
class DaemonRecord:
    """One dashd. `height` and `answer_time` (seconds, smoothed) are None if nothing is known."""

    name: str
    well: bool
    serving: bool
    height: int | None
    answer_time: float | None


@dataclass(frozen=True, slots=True)
class DashdFigures:
    """Dash Core as a whole. `problem` says why there are no fresh templates, `spool_problem` why a found block is
    not on disk; None while all is well."""

    problem: str | None = "not polled yet"
    daemons: tuple[DaemonRecord, ...] = ()
    broadcaster_peers: int = 0
    blocks_waiting: int = 0
    spool_problem: str | None = None
