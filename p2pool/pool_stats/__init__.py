"""What the node is doing, in one in-memory object that all share: `stats` counts, `workers` is its table of
workers, `records` are the values that go in and out."""

from p2pool.pool_stats.records import (
    BanRecord,
    BlockRecord,
    BlockStatus,
    HostRecord,
    PoolSnapshot,
    SecuritySnapshot,
    ShareRecord,
    WorkerSnapshot,
)
from p2pool.pool_stats.stats import PoolStats

__all__ = [
    "BanRecord",
    "BlockRecord",
    "BlockStatus",
    "HostRecord",
    "PoolSnapshot",
    "PoolStats",
    "SecuritySnapshot",
    "ShareRecord",
    "WorkerSnapshot",
]
