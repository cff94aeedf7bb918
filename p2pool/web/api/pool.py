"""The pool's and this node's figures: /local_stats, /global_stats, /rate and their like."""

from __future__ import annotations

from typing import Any

from p2pool.dash.target import target_to_average_attempts, target_to_difficulty
from p2pool.networks.parameters import PROTOCOL_VERSION, SHARE_VERSION
from p2pool.sharechain.figures import (
    average_stale_proportion,
    desired_version_work,
    pool_attempts_per_second,
)
from p2pool.web.api.peers import peer_counts
from p2pool.web.sources import Moment

DUFFS = 1e-8


def stale_proportion(moment: Moment) -> float:
    """The part of the pool's work of the last hour that was stale."""
    node, lookbehind = moment.node, moment.sources.lookbehind
    if node.best_share is None or not lookbehind:
        return 0.0
    return average_stale_proportion(node.tracker, node.best_share, lookbehind)


def nonstale_rate(moment: Moment) -> float:
    """Hashes a second of the share chain over the last hour."""
    node, lookbehind = moment.node, moment.sources.lookbehind
    if node.best_share is None or not lookbehind:
        return 0.0
    return pool_attempts_per_second(node.tracker, node.best_share, lookbehind)


def pool_rate(moment: Moment) -> float:
    """The pool's hash rate: the chain's, corrected by the stale proportion of the whole chain."""
    return nonstale_rate(moment) / (1 - stale_proportion(moment))


def _best_max_target(moment: Moment) -> int:
    node = moment.node
    share = None if node.best_share is None else node.tracker.get(node.best_share)
    return node.network.max_target if share is None else share.max_target


def global_stats(moment: Moment) -> dict[str, Any]:
    """/global_stats."""
    template = moment.node.template
    difficulty = target_to_difficulty(template.target) if template is not None else 0.0
    block_period = moment.node.network.parent.block_period
    best = moment.node.best_share
    return {
        "pool_nonstale_hash_rate": nonstale_rate(moment),
        "pool_hash_rate": pool_rate(moment),
        "pool_stale_prop": stale_proportion(moment),
        "min_difficulty": target_to_difficulty(_best_max_target(moment)),
        "network_block_difficulty": difficulty,
        "network_hashrate": difficulty * 2**32 / block_period,
        "network": moment.node.network.name,
        "symbol": moment.node.network.parent.symbol,
        "block_height": None if template is None else template.height - 1,
        "share_chain_height": 0 if best is None else moment.node.tracker.height(best),
        "shares_held": len(moment.node.tracker),
    }


def local_stats(moment: Moment) -> dict[str, Any]:
    """/local_stats."""
    node, snapshot, sources = moment.node, moment.snapshot, moment.sources
    stales = node.stale_counts()
    template = node.template
    subsidy = 0 if template is None else template.subsidy
    payments = 0 if template is None else template.payment_amount
    good = 1 - stale_proportion(moment)
    total = stales.total
    return {
        "miner_hash_rates": {w.name: w.hash_rate for w in snapshot.workers if w.hash_rate > 0},
        "miner_dead_hash_rates": {w.name: w.dead_rate for w in snapshot.workers if w.dead_rate > 0},
        "miner_last_difficulties": {w.name: w.difficulty for w in snapshot.workers if w.connections},
        "hash_rate": snapshot.hash_rate,
        "dead_hash_rate": snapshot.dead_rate,
        "efficiency_if_miner_perfect": (1 - stales.orphans / total) / good if total else None,
        "efficiency": (1 - (stales.orphans + stales.dead) / total) / good if total else None,
        "peers": peer_counts(moment),
        "shares": {"total": total, "orphan": stales.orphans, "dead": stales.dead},
        "submissions": {
            "accepted": snapshot.accepted,
            "dead": snapshot.dead,
            "refused": {str(code): count for code, count in snapshot.refused.items()},
        },
        "connections": snapshot.connections,
        "uptime": snapshot.time - snapshot.start_time,
        # As floats: the JSON writer knows no integers beyond 64 bits.
        "attempts_to_share": float(target_to_average_attempts(_best_max_target(moment))),
        "attempts_to_block": None if template is None else float(target_to_average_attempts(template.target)),
        "block_value": subsidy * DUFFS,
        "block_value_payments": payments * DUFFS,
        "block_value_miner": (subsidy - payments) * DUFFS,
        "warnings": warnings(moment),
        "donation_proportion": sources.donation / 100,
        "version": sources.version,
        "protocol_version": PROTOCOL_VERSION,
        "fee": sources.fee,
        "merged_mining": [
            {"daemon": f.where, "chain_id": f.chain_id, "accepted": f.accepted, "refused": f.refused}
            for f in sources.merged()
        ],
    }


def warnings(moment: Moment) -> list[str]:
    """What an operator should know."""
    problems = {
        "work": moment.node.work_problem,
        "shares": moment.sources.store_problem(),
        "votes": unknown_version_problem(moment),
        "payout address": moment.sources.payouts.problem,
    }
    merged = [(f"merged mining with {each.where}", each.problem) for each in moment.sources.merged()]
    others = [f"{what}: {problem}" for what, problem in [*problems.items(), *merged] if problem is not None]
    return [*moment.sources.dashd().warnings, *others]


def unknown_version_problem(moment: Moment) -> str | None:
    """Whether more than half of the last hour's work votes for share versions that this software does not know."""
    node, lookbehind = moment.node, moment.sources.lookbehind
    if node.best_share is None or not lookbehind:
        return None
    work = desired_version_work(node.tracker, node.best_share, lookbehind)
    unknown = {version: part for version, part in work.items() if version > SHARE_VERSION}
    part = sum(unknown.values()) / sum(work.values())
    if part <= 0.5:
        return None
    version = max(unknown, key=lambda each: unknown[each])
    return (
        f"{part:.0%} of the pool's work votes for share version {version}, which this software does not know: "
        "upgrade it"
    )
