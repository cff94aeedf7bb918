"""What the node is doing: one in-memory object that everyone records into and reads snapshots from.

- `stats`: the counters; `workers`: the table of workers and addresses; `gateways`: the table of gateways;
  `process`: the node's own process
- `records` and `figures`: the values that go in and out
- `judgement`, with `recent_refusals`: whether a miner is all right; `difficulty_reason`: why its difficulty is so
"""

from p2pool.pool_stats.figures import (
    ChainFigures,
    DaemonRecord,
    DashdFigures,
    EarlyCloses,
    LostSoftware,
    NewerType,
    PeerCensus,
    PeerCounts,
    RefusedBranch,
    RefusedWork,
    SoftwareCount,
    StaleRatios,
    VoteFigures,
)
from p2pool.pool_stats.gateways import GatewaySums, WorkerSums
from p2pool.pool_stats.process import ProcessSnapshot, X11Figures
from p2pool.pool_stats.records import (
    AddressSnapshot,
    BanRecord,
    BlockRecord,
    BlockStatus,
    EventKind,
    EventRecord,
    GatewaySnapshot,
    HostLoad,
    HostRecord,
    PoolSnapshot,
    SecuritySnapshot,
    ShareRecord,
    WorkerSnapshot,
    is_estimating,
)
from p2pool.pool_stats.stats import PoolStats

__all__ = [
    "AddressSnapshot",
    "BanRecord",
    "BlockRecord",
    "BlockStatus",
    "ChainFigures",
    "DaemonRecord",
    "DashdFigures",
    "EarlyCloses",
    "EventKind",
    "EventRecord",
    "GatewaySnapshot",
    "GatewaySums",
    "HostLoad",
    "HostRecord",
    "LostSoftware",
    "NewerType",
    "PeerCensus",
    "PeerCounts",
    "PoolSnapshot",
    "PoolStats",
    "ProcessSnapshot",
    "RefusedBranch",
    "RefusedWork",
    "SecuritySnapshot",
    "ShareRecord",
    "SoftwareCount",
    "StaleRatios",
    "VoteFigures",
    "WorkerSnapshot",
    "WorkerSums",
    "X11Figures",
    "is_estimating",
]
