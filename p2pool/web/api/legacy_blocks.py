"""The pool's blocks and its luck as legacy p2pool-dash shows them: /recent_blocks, /block_history, /luck_stats."""

from __future__ import annotations

from typing import Any, Final

from p2pool.dash.hashes import hash_hex, optional_hash_hex
from p2pool.dash.target import target_to_difficulty
from p2pool.pool_stats import BlockRecord
from p2pool.web.api.block_status import STATUSES, statuses
from p2pool.web.api.endpoint import Endpoint
from p2pool.web.api.legacy_luck import LUCK_SUMMARY, luck_summary
from p2pool.web.api.pool import explorers
from p2pool.web.api.rounds import LUCK, luck_totals, round_of, rounds_by_block, rounds_of
from p2pool.web.api.schema import (
    DASH,
    HASH,
    HASH_RATE,
    PART,
    SECONDS,
    TIME,
    array,
    boolean,
    count,
    mapping,
    nullable,
    number,
    record,
    text,
    with_optional,
    words,
)
from p2pool.web.luck import Round
from p2pool.web.sources import Snapshot

RECENT: Final = 100


def _block(snapshot: Snapshot, found: BlockRecord, rounds: dict[int, Round]) -> dict[str, Any]:
    this = round_of(found, rounds)
    explorer = explorers(snapshot.node)[0]
    return {
        "ts": found.time,
        "hash": hash_hex(found.block_hash),
        "number": found.height,
        "share": optional_hash_hex(found.share_hash),
        "miner": found.worker,
        "value": found.subsidy * 1e-8,
        "block_reward": found.subsidy * 1e-8,
        **statuses(found.status),
        "reason": found.reason or None,
        "confirmations": found.confirmations,
        "chainlock": found.chainlocked,
        "from_history": found.share_hash is None or found.share_hash not in snapshot.node.tracker.forest,
        "explorer_url": explorer and f"{explorer}{hash_hex(found.block_hash)}",
        "network_difficulty": this.difficulty,
        "actual_hash_difficulty": target_to_difficulty(found.block_hash),
        "pool_hashrate_at_find": this.hash_rate,
        "avg_hashrate_used": this.hash_rate,
        "time_to_find": this.time_to_find,
        "expected_time": this.expected_time,
        "luck": this.luck,
        "hashrate_samples_used": this.measurements,
        "luck_method": _luck_method(snapshot, this),
        "luck_approximate": this.method != "shares",
    }


def _luck_method(snapshot: Snapshot, this: Round) -> str | None:
    """Return how the luck is known, in the words of legacy p2pool-dash."""
    if this.method is not None:
        return "time_weighted_avg"
    rounds = rounds_of(snapshot).rounds
    return "first_block" if rounds and rounds[0].block == this.block else None


def _blocks(snapshot: Snapshot, most: int) -> list[dict[str, Any]]:
    """Return the JSON of the blocks, the newest first."""
    by_block = rounds_by_block(snapshot)
    return [_block(snapshot, found, by_block) for found in reversed(snapshot.pool.blocks[-most:])]


def recent_blocks(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return the JSON of /recent_blocks: the newest RECENT, newest first, with the luck of all these in the
    first of them."""
    blocks, by_block = _blocks(snapshot, RECENT), rounds_by_block(snapshot)
    if blocks:
        listed = [by_block.get(found.block_hash) for found in snapshot.pool.blocks[-RECENT:]]
        blocks[0] |= luck_summary([each for each in listed if each is not None])
    return blocks


def block_history(snapshot: Snapshot) -> dict[str, dict[str, Any]]:
    """Return the JSON of /block_history: all that are remembered by their hashes, newest first."""
    return {
        block["hash"]: {
            **block,
            "block_height": block["number"],
            "share_hash": block["share"],
            "pool_hashrate": block["pool_hashrate_at_find"],
            "network_diff": block["network_difficulty"],
            "stale_prop": None,
        }
        for block in _blocks(snapshot, len(snapshot.pool.blocks))
    }


def _statuses(found: BlockRecord | None) -> dict[str, Any]:
    """Return the status of a block of the chain, null if it is not among those that are remembered."""
    return dict.fromkeys(STATUSES) if found is None else statuses(found.status)


def luck_stats(snapshot: Snapshot) -> dict[str, Any]:
    """Return the JSON of /luck_stats."""
    rounds = rounds_of(snapshot)
    total = luck_totals(snapshot)
    known = total.known
    lucks = [each.luck for each in known if each.luck is not None]
    times = [each.time_to_find for each in rounds.rounds if each.time_to_find]
    found = {each.block_hash: each for each in snapshot.pool.blocks}
    return {
        "blocks_found": len(rounds.rounds),
        "blocks_with_luck": len(known),
        "luck_available": bool(known),
        "luck_approximate": any(each.method != "shares" for each in known),
        "avg_luck": total.with_current,
        "average_luck": total.average,
        "min_luck": min(lucks, default=None),
        "max_luck": max(lucks, default=None),
        "avg_time_between_blocks": sum(times) / len(times) if times else None,
        "min_time_between_blocks": min(times, default=None),
        "max_time_between_blocks": max(times, default=None),
        "current_expected_time": total.current_expected_time,
        "time_since_last_block": total.since,
        "current_luck_trend": total.current,
        "note": "100 * expected work / actual work, both summed",
        "blocks": [
            {
                "number": found[each.block.block_hash].height if each.block.block_hash in found else None,
                "ts": each.block.time,
                "luck": each.luck,
                "time_to_find": each.time_to_find,
                "expected_time": each.expected_time,
                **_statuses(found.get(each.block.block_hash)),
            }
            for each in reversed(rounds.rounds)
        ],
    }


_OLD_BLOCK = {
    "ts": TIME,
    "hash": HASH,
    "number": count("height"),
    "share": nullable(HASH),
    "miner": text("the worker; empty or 'another node' if it was not found here"),
    "value": DASH,
    "block_reward": DASH,
    **STATUSES,
    "reason": nullable(text("why the block was rejected or orphaned")),
    "confirmations": count(),
    "chainlock": boolean(),
    "from_history": boolean("whether the node no longer holds its share, or never did"),
    "explorer_url": text(),
    "network_difficulty": nullable(number()),
    "actual_hash_difficulty": number("difficulty that the block's hash would meet"),
    "pool_hashrate_at_find": nullable({**HASH_RATE, "description": "average over the round, weighted by time"}),
    "avg_hashrate_used": nullable(HASH_RATE),
    "time_to_find": nullable(SECONDS),
    "expected_time": nullable(SECONDS),
    "luck": LUCK,
    "hashrate_samples_used": count("number of shares or samples that the luck is computed from"),
    "luck_method": nullable(words("time_weighted_avg", "first_block")),
    "luck_approximate": boolean(),
}
_OLD_LUCK = record(
    blocks_found=count(),
    blocks_with_luck=count(),
    luck_available=boolean(),
    luck_approximate=boolean(),
    avg_luck=nullable(number("percent, including the work of the current round")),
    average_luck=nullable(number("percent, over the blocks found")),
    min_luck=LUCK,
    max_luck=LUCK,
    avg_time_between_blocks=nullable(SECONDS),
    min_time_between_blocks=nullable(SECONDS),
    max_time_between_blocks=nullable(SECONDS),
    current_expected_time=nullable(SECONDS),
    time_since_last_block=nullable(SECONDS),
    current_luck_trend=nullable(number("percent")),
    note=text(),
    blocks=array(
        record(
            number=nullable(count()),
            ts=TIME,
            luck=LUCK,
            time_to_find=nullable(SECONDS),
            expected_time=nullable(SECONDS),
            **{name: nullable(schema) for name, schema in STATUSES.items()},
        )
    ),
)
ENDPOINTS = (
    Endpoint(
        "/recent_blocks",
        f"The pool's newest {RECENT} blocks, newest first. The first one also has the luck of all of them",
        array(with_optional(record(**_OLD_BLOCK), **LUCK_SUMMARY)),
        view=recent_blocks,
    ),
    Endpoint(
        "/block_history",
        "All blocks of the pool that the node knows, by hash",
        mapping(
            record(
                **_OLD_BLOCK,
                block_height=count(),
                share_hash=nullable(HASH),
                pool_hashrate=nullable(HASH_RATE),
                network_diff=nullable(number()),
                stale_prop=nullable(PART),
            )
        ),
        view=block_history,
    ),
    Endpoint("/luck_stats", "The pool's luck, block by block", _OLD_LUCK, view=luck_stats),
)
