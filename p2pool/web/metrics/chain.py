"""Metrics of the share chain, of other nodes, and of the pool's blocks."""

from __future__ import annotations

from collections import Counter

from p2pool.pool_stats import BlockStatus, PoolSnapshot
from p2pool.web.metrics.declared import Declared, DeclaredTimes, MetricType, announced_counter, by_word, gauge


def _by_scope(pool: float, own: float) -> dict[str, float]:
    return {"pool": pool, "local": own}


def _blocks(snapshot: PoolSnapshot) -> dict[str, float]:
    counts = Counter(block.status for block in snapshot.blocks)
    return {status.value: counts[status] for status in BlockStatus}


def _round_trips(snapshot: PoolSnapshot) -> dict[str, float]:
    """Yield the round trips of the nearest and the farthest peer. No label names one: their ports change with
    every connection, and series would pile up."""
    known = {"nearest": snapshot.peers.nearest, "farthest": snapshot.peers.farthest}
    return {which: seconds for which, seconds in known.items() if seconds is not None}


CHAIN: tuple[Declared | DeclaredTimes, ...] = (
    gauge(
        "p2pool_pool_hashrate",
        "Hash rate of the whole pool over the last hour, stale work included, in hashes per second, by the "
        "timestamps of shares. Use it to compare with other nodes; timestamps lag in a slow pool.",
        lambda s: s.chain.pool_rate,
    ),
    gauge(
        "p2pool_pool_observed_hashrate",
        "Hash rate of the whole pool, stale work included, in hashes per second, over the time in which the "
        "last hour's shares were found.",
        lambda s: max(s.chain.observed_rate, s.hash_rate),  # this node's miners are part of the pool
    ),
    gauge(
        "p2pool_share_chain_height",
        "Length of the best share chain that the node holds.",
        lambda s: s.chain.height,
    ),
    gauge(
        "p2pool_share_chain_absolute_height",
        "Height of the best share, counted from the first share of the chain.",
        lambda s: s.chain.absolute_height,
    ),
    gauge(
        "p2pool_share_chain_last_share_timestamp_seconds",
        "Timestamp of the best share, in Unix time. It lags in a slow pool.",
        lambda s: s.chain.last_share_time,
    ),
    gauge(
        "p2pool_share_chain_last_share_found_timestamp_seconds",
        "When the best share was found, as far as this node can tell, in Unix time.",
        lambda s: s.chain.last_share_found,
    ),
    gauge(
        "p2pool_share_chain_shares_held", "Shares that the node holds, including forks.", lambda s: s.chain.held
    ),
    gauge(
        "p2pool_share_chain_shares_verified", "Verified shares that the node holds.", lambda s: s.chain.verified
    ),
    gauge(
        "p2pool_share_chain_heads",
        "Heads (ends of chains and forks) that the node holds.",
        lambda s: s.chain.heads,
    ),
    gauge("p2pool_share_difficulty", "Minimum difficulty of a share.", lambda s: s.chain.share_difficulty),
    gauge(
        "p2pool_stale_ratio",
        "Fraction of the pool's shares in the last hour that were stale.",
        lambda s: s.chain.stales.orphan + s.chain.stales.dead,
    ),
    by_word(
        "p2pool_orphan_ratio",
        MetricType.GAUGE,
        "Fraction of the shares that were orphaned: of the pool's in the last hour, or of this node's newest "
        "shares.",
        label="scope",
        values=lambda s: _by_scope(s.chain.stales.orphan, s.chain.own_stales.orphan),
    ),
    by_word(
        "p2pool_dead_on_arrival_ratio",
        MetricType.GAUGE,
        "Fraction of the shares that were dead on arrival: of the pool's in the last hour, or of this node's "
        "newest shares.",
        label="scope",
        values=lambda s: _by_scope(s.chain.stales.dead, s.chain.own_stales.dead),
    ),
    gauge(
        "p2pool_store_problem",
        "1 while the node cannot write shares to disk.",
        lambda s: float(s.chain.store_problem is not None),
    ),
    gauge(
        "p2pool_work_problem",
        "1 while miners get no work although Dash Core provides templates: no other node is connected, or the "
        "share chain has not been downloaded.",
        lambda s: float(s.chain.work_problem is not None),
    ),
    gauge(
        "p2pool_block_problem",
        "1 while dashd would reject a block found now, because it is too large or lacks something required.",
        lambda s: float(s.chain.block_problem is not None),
    ),
    gauge(
        "p2pool_transactions_left_out",
        "Transactions of dashd's template that the node leaves out, because its blocks would be too large.",
        lambda s: s.chain.left_out,
    ),
    by_word(
        "p2pool_peers",
        MetricType.GAUGE,
        "Connected p2pool nodes, by direction of the connection.",
        label="direction",
        values=lambda s: {"incoming": s.peers.incoming, "outgoing": s.peers.outgoing},
    ),
    by_word(
        "p2pool_peer_round_trip_seconds",
        MetricType.GAUGE,
        "Round-trip times to the nearest and the farthest connected node.",
        label="of",
        values=_round_trips,
    ),
    announced_counter(
        "p2pool_blocks_found", "Blocks of the pool that the Dash network accepted.", lambda s: s.blocks_accepted
    ),
    by_word(
        "p2pool_blocks",
        MetricType.GAUGE,
        "The pool's newest thousand blocks, including those of earlier runs, by status.",
        label="status",
        values=_blocks,
    ),
    gauge(
        "p2pool_last_block_timestamp_seconds",
        "When the pool's newest block was found, in Unix time.",
        lambda s: max((block.time for block in s.blocks), default=None),
    ),
)
