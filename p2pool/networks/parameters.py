"""What a network is made of. The values are in docs/protocol/networks.md."""

from __future__ import annotations

from dataclasses import dataclass

from p2pool.dash.address import AddressVersions

SHARE_VERSION = 16
ANNOUNCED_PROTOCOL = 3600
"""The protocol number in this node's `version` message. c2pool-dash can lift the lowest number that it accepts
from 1700 to 3600, by votes of the share chain; a node that announces less is then cut off when it next connects.
Messages are the same for both numbers, and every known node accepts any number from 1700 on."""
MINIMUM_PROTOCOL = 1700
"""The lowest number that this node accepts in a peer's `version`: legacy p2pool-dash announces it."""


@dataclass(frozen=True, slots=True)
class ParentChain:
    """A Dash block chain."""

    name: str
    """What getblockchaininfo reports as `chain`; for a main network "main", for any test network None."""
    chain: str | None
    known_block: str | None
    """A block hash (64 hex digits) that only this chain has; None if it has no fixed genesis."""
    p2p_magic: bytes
    p2p_port: int
    rpc_port: int
    addresses: AddressVersions
    block_period: int
    """Seconds between blocks."""
    dust_threshold: int
    """Duffs below which a payout is not worth an output: miners expected to earn less get harder shares."""
    symbol: str
    conf_section: str | None
    """The section of dash.conf that holds for this chain, and its data directory below Dash Core's."""
    conf_subdirectory: str


@dataclass(frozen=True, slots=True)
class Network:
    """A share chain. Targets are numbers; durations in seconds; lengths in shares."""

    name: str
    parent: ParentChain
    identifier: bytes
    prefix: bytes
    coinbase_extension: bytes
    share_period: int
    chain_length: int
    real_chain_length: int
    target_lookbehind: int
    spread: int
    max_target: int
    min_target: int
    p2p_port: int
    worker_port: int
    bootstrap: tuple[str, ...]
    persist: bool
    """Whether this node joins peers by default."""
    start_difficulty: float = 100.0
    """The difficulty that a stratum connection begins with."""
    min_difficulty: float = 0.001
    """The least difficulty that a stratum connection can have."""
