"""What a simulated world is made of: read from a small TOML file in `worlds/`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

from p2pool.networks import SIMNET, Network

WORLDS: Final = Path(__file__).with_name("worlds")
EPOCH: Final = 1_760_000_000.0
"""Unix seconds at which every world begins."""
LATENCY: Final = {
    ("eu", "eu"): 0.018,
    ("us", "us"): 0.032,
    ("asia", "asia"): 0.040,
    ("eu", "us"): 0.055,
    ("us", "asia"): 0.085,
    ("eu", "asia"): 0.105,
}
"""Seconds one way between two homes or data centres, halves of usual round trips."""
NETWORK: Final = replace(
    SIMNET,
    share_period=20,
    chain_length=4320,
    real_chain_length=4320,
    target_lookbehind=100,
    spread=10,
    max_target=2**256 // 2**8 - 1,
    min_difficulty=2.0**-30,
    start_difficulty=2.0**-26,
    identifier=b"simulate",
    prefix=b"simulate",
)
"""Dash's share chain, with shares that cost a few thousand cheap hashes."""


@dataclass(frozen=True, kw_only=True)
class FaultRates:
    """How often things go wrong: for each node and day, partitions and reorganisations in the whole
    world a day."""

    kill: float = 0.0
    kill_at_block: float = 0.0
    power_cut: float = 0.0
    data_loss: float = 0.0
    dashd_restart: float = 0.0
    dashd_silent: float = 0.0
    dashd_stuck: float = 0.0
    disk_full: float = 0.0
    disk_slow: float = 0.0
    clock_jump: float = 0.0
    freeze: float = 0.0
    kill_at_event: float = 0.0
    crash_in_call: float = 0.0
    disk_hang: float = 0.0
    old_backup: float = 0.0
    dashd_wrong: float = 0.0
    partitions: float = 0.0
    reorganisations: float = 0.0
    calm_hours: float = 1.0
    """Hours at the end in which nothing new goes wrong, so that the world can heal."""


@dataclass(frozen=True, kw_only=True)
class GatewayFaultRates:
    """How often things go wrong with gateways and brokers: for each gateway, or each broker, and day."""

    gateway_kill: float = 0.0
    gateway_freeze: float = 0.0
    gateway_power_cut: float = 0.0
    gateway_disk_full: float = 0.0
    gateway_disk_slow: float = 0.0
    gateway_cut: float = 0.0
    broker_down: float = 0.0
    broker_silent: float = 0.0
    broker_empty: float = 0.0
    broker_slow: float = 0.0
    broker_cut: float = 0.0
    kill_at_share: float = 0.0


@dataclass(frozen=True, kw_only=True)
class World:
    """The size and the habits of a world."""

    name: str
    nodes: int
    miners: int
    hours: float
    regions: dict[str, float] = field(default_factory=lambda: {"eu": 0.45, "us": 0.3, "asia": 0.25})
    """The weight of each region among nodes and miners."""
    latency_factor: float = 1.0
    outgoing: int = 3
    """Connections that each node makes."""
    seeds: int = 3
    """Nodes that all know from the start, by --bootstrap."""
    whale: float = 0.25
    """The part of the hash rate that one miner has; the others have theirs by Zipf's law."""
    share_attempts: int = 4096
    """Hashes of an average share once the difficulty has settled."""
    share_period: int = 20
    chain_length: int = 4320
    pool_part: float = 0.1
    """The part of Dash's hash rate that works in the pool."""
    block_period: float = 150.0
    clock_error: float = 2.0
    """Seconds by which machines' clocks are off, at most."""
    tempo: str = "slow"
    """"usual": timers as in a real node; with "slow", "rare" and "rarest", those that only look after things come
    less often."""
    check_once: bool = False
    """Whether a share that one node found to be right is taken for right by all: see `shared_shares`."""
    pseudoshare_period: int = 30
    other_votes: int = 0
    """How many nodes, the last ones, vote for the share version that c2pool-dash prepares."""
    needs_peers: int = 0
    """How many nodes, the last ones, have work for miners only while they have peers, as on the main network."""
    surroundings: int = 0
    """How many nodes, the first ones, have history, alerts and pages, which cost as much as all the rest."""
    faults: FaultRates = field(default_factory=FaultRates)
    fixed_faults: list[dict[str, Any]] = field(default_factory=list)
    """Faults at times of their own: tables with `time`, `kind`, `seconds`, and as needed `target` and `size`."""
    gateways: int = 0
    """Gateways of each node that has a broker; all miners are at gateways then."""
    brokers: int = 1
    """How many nodes have a broker, if there are gateways: the first ones."""
    gateway_faults: GatewayFaultRates = field(default_factory=GatewayFaultRates)
    adversaries: dict[str, int | dict[str, Any]] = field(default_factory=dict)
    """How many of each kind, or the parameters of one: see `adversaries`."""

    @property
    def network(self) -> Network:
        """Return the share chain's parameters."""
        return replace(
            NETWORK,
            share_period=self.share_period,
            chain_length=self.chain_length,
            real_chain_length=self.chain_length,
        )

    @property
    def hash_rate(self) -> float:
        """Return the hashes per second of all miners."""
        return self.share_attempts / self.share_period


def read_world(name: str, **changes: Any) -> World:
    """Return the world of a file in `worlds/`, or of a path, with some values changed. Raises ValueError."""
    path = Path(name) if name.endswith(".toml") else WORLDS / f"{name}.toml"
    values: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    known = {each.name for each in fields(World)}
    if unknown := sorted(values.keys() - known):
        raise ValueError(f"{path.name}: {', '.join(unknown)}: not known; known are {', '.join(sorted(known))}")
    faults = FaultRates(**values.pop("faults", {}))
    values["gateway_faults"] = GatewayFaultRates(**values.pop("gateway_faults", {}))
    given = {key: value for key, value in changes.items() if value is not None}
    return World(name=path.stem, faults=faults, **{**values, **given})
