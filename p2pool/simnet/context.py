"""What the RPC methods of one simulated daemon share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from p2pool.simnet.chain import SimulatedChain
from p2pool.simnet.clock import ShiftedClock
from p2pool.simnet.deployments import Signalling
from p2pool.simnet.long_poll import LongPolls
from p2pool.simnet.render import Json
from p2pool.simnet.status import NodeStatus

_MAIN_CHAIN = "main"
_LARGEST_TIME_OFFSET = 70 * 60


class PeerTable(Protocol):
    """What the p2p side reports of its connections."""

    def render(self) -> list[Json]:
        """Return the entries of getpeerinfo."""

    def inbound_count(self) -> int:
        """Return the number of connections that others opened."""

    def outbound_count(self) -> int:
        """Return the number of connections that this daemon opened."""

    def traffic(self) -> tuple[int, int]:
        """Return the bytes received and sent since the start."""


@dataclass(frozen=True, slots=True)
class NodeContext:
    """One daemon, as its RPC methods see it."""

    chain: SimulatedChain
    chain_name: str
    clock: ShiftedClock
    """The daemon's own, which can be wrong."""
    uptime: Callable[[], float]
    """Seconds since the start."""
    long_polls: LongPolls
    peers: PeerTable
    status: NodeStatus
    zmq_address: str | None = None
    """Where `hashblock` is published, as tcp://host:port."""
    signalling_until: int = 0
    """The last height whose template asks for a version bit."""
    wallet: bool = True

    @property
    def signalling(self) -> Signalling:
        """Return what soft forks depend on."""
        return Signalling(self.signalling_until, self.chain.rules.v24_height, self.chain.count_version_bit)

    @property
    def is_main(self) -> bool:
        """Return whether it simulates the main network, which gives no template before it is connected and
        synced."""
        return self.chain_name == _MAIN_CHAIN

    @property
    def time_offset(self) -> int:
        """By how many seconds others are ahead, as getnetworkinfo says: all of them are right. Without others
        nobody notices, and beyond 70 minutes Dash Core believes itself."""
        offset = -int(self.clock.offset)
        return offset if self.connection_count and abs(offset) <= _LARGEST_TIME_OFFSET else 0

    @property
    def connection_count(self) -> int:
        """Return the number of connections in both directions."""
        return self.peers.inbound_count() + self.peers.outbound_count()
