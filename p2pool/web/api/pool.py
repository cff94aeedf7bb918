"""The pool as a whole: /global_stats, /rate, /difficulty, /stale_rates, /api/v1/pool and their like."""

from __future__ import annotations

from typing import Any, Final

from p2pool.dash.hashes import optional_hash_hex
from p2pool.dash.target import target_to_average_attempts, target_to_difficulty
from p2pool.node import Node
from p2pool.share.versions import MINTED
from p2pool.sharechain.figures import (
    ObservedRate,
    StaleRates,
    average_stale_proportion,
    easiest_target,
    observed_rate_of_last_hour,
    pool_attempts_per_second,
    stale_rates_of_last_hour,
)
from p2pool.web.api.endpoint import Endpoint, amount
from p2pool.web.api.schema import (
    AMOUNT,
    HASH,
    HASH_RATE,
    PART,
    SECONDS,
    count,
    mapping,
    nullable,
    number,
    record,
    text,
)
from p2pool.web.sources import Snapshot
from p2pool.web.votes import chain_votes

HASHES_PER_DIFFICULTY: Final = 2**32
"""With it front ends compute a network's hash rate from its difficulty."""

# Block explorers; the legacy interface has them as texts to which a hash or an address is appended.
EXPLORERS: Final[dict[str, tuple[str, str, str]]] = {
    "dash": (
        "https://chainz.cryptoid.info/dash/block.dws?",
        "https://chainz.cryptoid.info/dash/address.dws?",
        "https://chainz.cryptoid.info/dash/tx.dws?",
    ),
    "dash_testnet": (
        "https://blockexplorer.one/dash/testnet/blockHash/",
        "https://blockexplorer.one/dash/testnet/address/",
        "https://blockexplorer.one/dash/testnet/tx/",
    ),
}
"""(block, address, transaction) by network."""


def explorers(node: Node) -> tuple[str, str, str]:
    """Return the explorer's addresses for blocks, addresses and transactions; empty if the network has none."""
    return EXPLORERS.get(node.network.name, ("", "", ""))


def stale_proportion(snapshot: Snapshot) -> float:
    """Return the part of the pool's work of the last hour that was stale."""
    node, lookbehind = snapshot.node, snapshot.sources.lookbehind
    if node.best_share is None or not lookbehind:
        return 0.0
    return average_stale_proportion(node.tracker, node.best_share, lookbehind)


def nonstale_rate(snapshot: Snapshot) -> float:
    """Return hashes a second of the share chain over the last hour, by the timestamps of its shares."""
    node, lookbehind = snapshot.node, snapshot.sources.lookbehind
    if node.best_share is None or not lookbehind:
        return 0.0
    return pool_attempts_per_second(node.tracker, node.best_share, lookbehind)


def pool_rate(snapshot: Snapshot) -> float:
    """Return the pool's hash rate by the timestamps of shares, which other nodes compute as well: the chain's,
    corrected by the stale proportion of the whole chain."""
    return nonstale_rate(snapshot) / (1 - stale_proportion(snapshot))


def _observed_rate(node: Node) -> ObservedRate:
    return observed_rate_of_last_hour(node.tracker, node.best_share, node.found_times())


def rate_of_shares(snapshot: Snapshot) -> float:
    """Return the pool's hash rate over the time in which the shares were found, stale work included."""
    return snapshot.per_tip(_observed_rate).nonstale / (1 - stale_proportion(snapshot))


def observed_rate(snapshot: Snapshot) -> float:
    """Return the pool's hash rate for people. This node's miners are part of the pool: as long as there are few
    shares, more may be known of them."""
    return max(rate_of_shares(snapshot), snapshot.pool.hash_rate)


def stale_rates_of(node: Node) -> StaleRates:
    """Return the rates of good and stale work of the last hour."""
    return stale_rates_of_last_hour(node.tracker, node.best_share, node.found_times())


def version_votes(snapshot: Snapshot) -> dict[str, float]:
    """Return parts of the last hour's work by the share version that it votes for."""
    recent = chain_votes(snapshot.sources).recent
    return {str(version): recent.part(work) for version, work in recent.work.items()}


def best_max_target(snapshot: Snapshot) -> int:
    """Return the easiest target that a share can have now."""
    return easiest_target(snapshot.node.tracker, snapshot.node.best_share)


def share_difficulty(snapshot: Snapshot) -> float:
    """Return the JSON of /difficulty."""
    return target_to_difficulty(best_max_target(snapshot))


def network_difficulty(snapshot: Snapshot) -> float | None:
    """Return the JSON of /current_network_difficulty."""
    template = snapshot.node.template
    return None if template is None else target_to_difficulty(template.target)


def chain_height(node: Node) -> int:
    """Return the length of the best share chain."""
    return 0 if node.best_share is None else node.tracker.height(node.best_share)


def _network_hash_rate(snapshot: Snapshot) -> float:
    return (
        (network_difficulty(snapshot) or 0.0) * HASHES_PER_DIFFICULTY / snapshot.node.network.parent.block_period
    )


def global_stats(snapshot: Snapshot) -> dict[str, Any]:
    """Return the JSON of /global_stats."""
    template = snapshot.node.template
    return {
        "pool_nonstale_hash_rate": nonstale_rate(snapshot),
        "pool_hash_rate": pool_rate(snapshot),
        "pool_stale_prop": stale_proportion(snapshot),
        "min_difficulty": share_difficulty(snapshot),
        "network_block_difficulty": network_difficulty(snapshot) or 0.0,
        "network_hashrate": _network_hash_rate(snapshot),
        "network": snapshot.node.network.name,
        "symbol": snapshot.node.network.parent.symbol,
        "block_height": None if template is None else template.height - 1,
        "share_chain_height": chain_height(snapshot.node),
        "shares_held": len(snapshot.node.tracker),
    }


def pool_figures(snapshot: Snapshot) -> dict[str, Any]:
    """Return the JSON of /api/v1/pool."""
    node, template, rate = snapshot.node, snapshot.node.template, pool_rate(snapshot)
    observed = snapshot.per_tip(_observed_rate)
    observed_all = observed_rate(snapshot)
    attempts = None if template is None else float(target_to_average_attempts(template.target))
    subsidy = 0 if template is None else template.subsidy
    payments = 0 if template is None else template.payment_amount
    rates = snapshot.per_tip(stale_rates_of)
    return {
        "network": node.network.name,
        "symbol": node.network.parent.symbol,
        "hash_rate": rate,
        "nonstale_hash_rate": nonstale_rate(snapshot),
        "stale_proportion": stale_proportion(snapshot),
        "orphan_rate": rates.by_timestamps["orphan"],
        "dead_rate": rates.by_timestamps["doa"],
        "observed_hash_rate": observed_all,
        "observed_nonstale_hash_rate": observed.nonstale,
        "observed_orphan_rate": rates.observed["orphan"],
        "observed_dead_rate": rates.observed["doa"],
        "observed_seconds": observed.seconds,
        "share_difficulty": share_difficulty(snapshot),
        "share_period": node.network.share_period,
        "share_version": MINTED.type,
        "version_votes": version_votes(snapshot),
        "best_share": optional_hash_hex(node.best_share),
        "share_chain_height": chain_height(node),
        "shares_held": len(node.tracker),
        "block_height": None if template is None else template.height - 1,
        "network_difficulty": network_difficulty(snapshot),
        "network_hash_rate": _network_hash_rate(snapshot),
        "block_attempts": attempts,
        "expected_time_to_block": attempts / rate if attempts is not None and rate else None,
        "observed_time_to_block": attempts / observed_all if attempts is not None and observed_all else None,
        "block_value": amount(subsidy),
        "block_value_payments": amount(payments),
        "block_value_miners": amount(subsidy - payments),
    }


def currency_info(snapshot: Snapshot) -> dict[str, str]:
    """Return the JSON of /web/currency_info."""
    block, address, transaction = explorers(snapshot.node)
    return {
        "symbol": snapshot.node.network.parent.symbol,
        "block_explorer_url_prefix": block,
        "address_explorer_url_prefix": address,
        "tx_explorer_url_prefix": transaction,
    }


_HEIGHT = nullable(count("height of the Dash chain"))
ENDPOINTS = (
    Endpoint(
        "/api/v1/pool",
        "The pool as a whole; figures cover the last hour of the share chain",
        record(
            network=text(),
            symbol=text("symbol of the coin"),
            hash_rate={
                **HASH_RATE,
                "description": "hashes per second, including stale shares, by share timestamps, which lag in a "
                "slow pool; for comparison with other nodes",
            },
            nonstale_hash_rate={**HASH_RATE, "description": "hashes per second, by share timestamps"},
            stale_proportion=PART,
            orphan_rate={**HASH_RATE, "description": "hashes per second, by share timestamps"},
            dead_rate={**HASH_RATE, "description": "hashes per second, by share timestamps"},
            observed_hash_rate={
                **HASH_RATE,
                "description": "hashes per second, including stale shares, over the time in which the shares "
                "were found; the hash rate to display",
            },
            observed_nonstale_hash_rate=HASH_RATE,
            observed_orphan_rate=HASH_RATE,
            observed_dead_rate=HASH_RATE,
            observed_seconds={
                **SECONDS,
                "description": "time in which the shares of these figures were found, in seconds: an hour, or "
                "more in a slow pool",
            },
            share_difficulty=number("minimum share difficulty"),
            share_period=SECONDS,
            share_version=count(),
            version_votes=mapping(PART, "fractions of the work, by the share version that it votes for"),
            best_share=nullable(HASH),
            share_chain_height=count(),
            shares_held=count(),
            block_height=_HEIGHT,
            network_difficulty=nullable(number()),
            network_hash_rate=HASH_RATE,
            block_attempts=nullable(number("average number of hashes for a block")),
            expected_time_to_block=nullable({**SECONDS, "description": "seconds, computed from hash_rate"}),
            observed_time_to_block=nullable(
                {**SECONDS, "description": "seconds, computed from observed_hash_rate"}
            ),
            block_value=AMOUNT,
            block_value_payments=AMOUNT,
            block_value_miners=AMOUNT,
        ),
        view=pool_figures,
    ),
    Endpoint(
        "/global_stats",
        "The pool as a whole",
        record(
            pool_nonstale_hash_rate=HASH_RATE,
            pool_hash_rate=HASH_RATE,
            pool_stale_prop=PART,
            min_difficulty=number("minimum share difficulty"),
            network_block_difficulty=number(),
            network_hashrate=HASH_RATE,
            network=text(),
            symbol=text(),
            block_height=_HEIGHT,
            share_chain_height=count(),
            shares_held=count(),
        ),
        view=global_stats,
    ),
    Endpoint("/rate", "The pool's hash rate", HASH_RATE, view=pool_rate),
    Endpoint("/difficulty", "Minimum share difficulty", number(), view=share_difficulty),
    Endpoint(
        "/stale_rates",
        "Hash rates of good shares, and of the stale work that shares report",
        mapping(HASH_RATE),
        view=lambda snapshot: snapshot.per_tip(stale_rates_of).by_timestamps,
    ),
    Endpoint(
        "/current_network_difficulty",
        "The Dash network's difficulty; null before the first template",
        nullable(number()),
        view=network_difficulty,
    ),
    Endpoint(
        "/web/currency_info",
        "The coin, and the explorers for its blocks, addresses and transactions",
        record(
            symbol=text(),
            block_explorer_url_prefix=text(),
            address_explorer_url_prefix=text(),
            tx_explorer_url_prefix=text(),
        ),
        view=currency_info,
    ),
)
