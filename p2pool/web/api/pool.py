"""The pool as a whole: /global_stats, /rate, /difficulty, /stale_rates, /api/v1/pool and their like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from p2pool.dash.target import target_to_average_attempts, target_to_difficulty
from p2pool.networks.parameters import SHARE_VERSION
from p2pool.node import Node
from p2pool.sharechain.figures import (
    average_stale_proportion,
    observed_attempts_per_second,
    observed_seconds,
    pool_attempts_per_second,
    stale_work,
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
from p2pool.web.sources import Moment, shares_of_last_hour
from p2pool.web.votes import chain_votes

HASHES_PER_DIFFICULTY: Final = 2**32
"""As front ends reckon a network's hash rate from its difficulty."""

# Where people look things up; the old interface has them as texts that a hash or an address is put behind.
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
    """The explorer's addresses for blocks, addresses and transactions; empty where the network has none."""
    return EXPLORERS.get(node.network.name, ("", "", ""))


def stale_proportion(moment: Moment) -> float:
    """The part of the pool's work of the last hour that was stale."""
    node, lookbehind = moment.node, moment.sources.lookbehind
    if node.best_share is None or not lookbehind:
        return 0.0
    return average_stale_proportion(node.tracker, node.best_share, lookbehind)


def nonstale_rate(moment: Moment) -> float:
    """Hashes a second of the share chain over the last hour, by the timestamps of its shares."""
    node, lookbehind = moment.node, moment.sources.lookbehind
    if node.best_share is None or not lookbehind:
        return 0.0
    return pool_attempts_per_second(node.tracker, node.best_share, lookbehind)


def pool_rate(moment: Moment) -> float:
    """The pool's hash rate by the timestamps of shares, which other nodes come to as well: the chain's, corrected
    by the stale proportion of the whole chain."""
    return nonstale_rate(moment) / (1 - stale_proportion(moment))


@dataclass(frozen=True, slots=True)
class ObservedRate:
    """Hashes a second of the share chain without stale work, and the seconds in which its shares were found."""

    nonstale: float = 0.0
    seconds: float = 0.0


def _observed_rate(node: Node) -> ObservedRate:
    lookbehind, best = shares_of_last_hour(node), node.best_share
    if best is None or not lookbehind:
        return ObservedRate()
    found = node.found_times()
    return ObservedRate(
        observed_attempts_per_second(node.tracker, best, lookbehind, found),
        observed_seconds(node.tracker, best, lookbehind, found),
    )


def observed_rate(moment: Moment) -> float:
    """The pool's hash rate for people: over the time in which the shares were found, stale work included."""
    return moment.per_tip(_observed_rate).nonstale / (1 - stale_proportion(moment))


def stale_rates_of(node: Node) -> dict[str, float]:
    """Hashes a second of the last hour by timestamps: the chain's ("good"), and what its shares announce as
    stale."""
    lookbehind, best = shares_of_last_hour(node), node.best_share
    if best is None or lookbehind < 2:
        return {"good": 0.0, "orphan": 0.0, "doa": 0.0}
    near, far = node.tracker.get(best), node.tracker.nth_parent(best, lookbehind - 1)
    seconds = max(1, near.timestamp - far.timestamp) if near is not None and far is not None else 1
    work = {"good": 0, "orphan": 0, "doa": 0, **stale_work(node.tracker, best, lookbehind)}
    return {name: hashes / seconds for name, hashes in work.items()}


def observed_stale_rates_of(node: Node) -> dict[str, float]:
    """Return what `stale_rates_of` does, over the time in which the shares were found."""
    lookbehind, best = shares_of_last_hour(node), node.best_share
    if best is None or lookbehind < 2:
        return {"good": 0.0, "orphan": 0.0, "doa": 0.0}
    seconds = observed_seconds(node.tracker, best, lookbehind, node.found_times())
    work = {"good": 0, "orphan": 0, "doa": 0, **stale_work(node.tracker, best, lookbehind)}
    return {name: hashes / seconds for name, hashes in work.items()}


def version_votes(moment: Moment) -> dict[str, float]:
    """Parts of the last hour's work by the share version that it votes for."""
    recent = chain_votes(moment.sources).recent
    return {str(version): recent.part(work) for version, work in recent.work.items()}


def best_max_target(moment: Moment) -> int:
    """The easiest target that a share can have now."""
    node = moment.node
    share = None if node.best_share is None else node.tracker.get(node.best_share)
    return node.network.max_target if share is None else share.max_target


def share_difficulty(moment: Moment) -> float:
    """/difficulty."""
    return target_to_difficulty(best_max_target(moment))


def network_difficulty(moment: Moment) -> float | None:
    """/current_network_difficulty."""
    template = moment.node.template
    return None if template is None else target_to_difficulty(template.target)


def chain_height(node: Node) -> int:
    """Length of the best share chain."""
    return 0 if node.best_share is None else node.tracker.height(node.best_share)


def _network_hash_rate(moment: Moment) -> float:
    return (network_difficulty(moment) or 0.0) * HASHES_PER_DIFFICULTY / moment.node.network.parent.block_period


def global_stats(moment: Moment) -> dict[str, Any]:
    """/global_stats."""
    template = moment.node.template
    return {
        "pool_nonstale_hash_rate": nonstale_rate(moment),
        "pool_hash_rate": pool_rate(moment),
        "pool_stale_prop": stale_proportion(moment),
        "min_difficulty": share_difficulty(moment),
        "network_block_difficulty": network_difficulty(moment) or 0.0,
        "network_hashrate": _network_hash_rate(moment),
        "network": moment.node.network.name,
        "symbol": moment.node.network.parent.symbol,
        "block_height": None if template is None else template.height - 1,
        "share_chain_height": chain_height(moment.node),
        "shares_held": len(moment.node.tracker),
    }


def pool_figures(moment: Moment) -> dict[str, Any]:
    """/api/v1/pool."""
    node, template, rate = moment.node, moment.node.template, pool_rate(moment)
    observed = moment.per_tip(_observed_rate)
    observed_all = observed_rate(moment)
    attempts = None if template is None else float(target_to_average_attempts(template.target))
    subsidy = 0 if template is None else template.subsidy
    payments = 0 if template is None else template.payment_amount
    rates, observed_rates = moment.per_tip(stale_rates_of), moment.per_tip(observed_stale_rates_of)
    return {
        "network": node.network.name,
        "symbol": node.network.parent.symbol,
        "hash_rate": rate,
        "nonstale_hash_rate": nonstale_rate(moment),
        "stale_proportion": stale_proportion(moment),
        "orphan_rate": rates["orphan"],
        "dead_rate": rates["doa"],
        "observed_hash_rate": observed_all,
        "observed_nonstale_hash_rate": observed.nonstale,
        "observed_orphan_rate": observed_rates["orphan"],
        "observed_dead_rate": observed_rates["doa"],
        "observed_seconds": observed.seconds,
        "share_difficulty": share_difficulty(moment),
        "share_period": node.network.share_period,
        "share_version": SHARE_VERSION,
        "version_votes": version_votes(moment),
        "best_share": None if node.best_share is None else f"{node.best_share:064x}",
        "share_chain_height": chain_height(node),
        "shares_held": len(node.tracker),
        "block_height": None if template is None else template.height - 1,
        "network_difficulty": network_difficulty(moment),
        "network_hash_rate": _network_hash_rate(moment),
        "block_attempts": attempts,
        "expected_time_to_block": attempts / rate if attempts is not None and rate else None,
        "observed_time_to_block": attempts / observed_all if attempts is not None and observed_all else None,
        "block_value": amount(subsidy),
        "block_value_payments": amount(payments),
        "block_value_miners": amount(subsidy - payments),
    }


def currency_info(moment: Moment) -> dict[str, str]:
    """/web/currency_info."""
    block, address, transaction = explorers(moment.node)
    return {
        "symbol": moment.node.network.parent.symbol,
        "block_explorer_url_prefix": block,
        "address_explorer_url_prefix": address,
        "tx_explorer_url_prefix": transaction,
    }


_HEIGHT = nullable(count("height of the Dash chain"))
ENDPOINTS = (
    Endpoint(
        "/api/v1/pool",
        "The pool as a whole; figures cover the share chain's last hour",
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
                "were found; the hash rate to show to people",
            },
            observed_nonstale_hash_rate=HASH_RATE,
            observed_orphan_rate=HASH_RATE,
            observed_dead_rate=HASH_RATE,
            observed_seconds={
                **SECONDS,
                "description": "seconds within which the shares of these figures were found: an hour, or more "
                "in a slow pool",
            },
            share_difficulty=number("difficulty of the easiest share"),
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
            min_difficulty=number("difficulty of the easiest share"),
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
    Endpoint("/difficulty", "Difficulty of the easiest share", number(), view=share_difficulty),
    Endpoint(
        "/stale_rates",
        "Hash rates of the share chain (good) and of the stale work that its shares announce",
        mapping(HASH_RATE),
        view=lambda moment: moment.per_tip(stale_rates_of),
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
