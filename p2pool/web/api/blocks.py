"""The pool's blocks and its luck: /recent_blocks, /block_history, /luck_stats, /api/v1/blocks, /api/v1/luck."""

from __future__ import annotations

from typing import Any, Final

from p2pool.base.errors import ParseError
from p2pool.dash.target import target_to_average_attempts, target_to_difficulty
from p2pool.dash.transaction import parse_transaction
from p2pool.pool_stats import BlockRecord, BlockStatus
from p2pool.share.errors import ShareInvalid
from p2pool.web.api.block_status import STATUS, STATUSES, statuses
from p2pool.web.api.endpoint import OFFSET, Arguments, Endpoint, RequestContext, amount, whole_number
from p2pool.web.api.legacy_luck import LUCK_SUMMARY, luck_summary
from p2pool.web.api.pool import explorers, observed_rate, stale_proportion
from p2pool.web.api.schema import (
    AMOUNT,
    DASH,
    HASH,
    HASH_RATE,
    PART,
    SECONDS,
    TIME,
    array,
    boolean,
    count,
    integer,
    mapping,
    nullable,
    number,
    record,
    text,
    with_optional,
    words,
)
from p2pool.web.luck import PoolBlock, Round, Rounds
from p2pool.web.sources import Snapshot, script_to_text

RECENT: Final = 100
MAX_PAGE, DEFAULT_PAGE = 200, 50
LUCK_DAYS: Final = (1, 7, 30)
_NEAR: Final = 20
"""A block's payouts are worked out while its share is so near the best one: later it would cost a window."""


# --- rounds -------------------------------------------------------------------------------------------------


def rounds_of(snapshot: Snapshot) -> Rounds:
    """Return the rounds of the pool's blocks."""
    return snapshot.once(_rounds)


def _rounds_by_block(snapshot: Snapshot) -> dict[int, Round]:
    return rounds_of(snapshot).by_block()


def _rounds(snapshot: Snapshot) -> Rounds:
    """Return the pool's rounds, computed again if the best share or the blocks have changed."""
    node, cache = snapshot.node, snapshot.cache
    known = {block.block_hash: block for block in cache.luck.chain.of(node.tracker, node.best_share)}
    for found in snapshot.pool.blocks:
        if found.status is BlockStatus.REFUSED:
            known.pop(found.block_hash, None)
        else:
            known[found.block_hash] = PoolBlock(found.time, found.block_hash, found.share_hash)
    blocks = sorted(known.values(), key=lambda block: block.time)

    def make() -> Rounds:
        return cache.luck.rounds(
            node.tracker,
            best=node.best_share,
            blocks=blocks,
            stale=stale_proportion(snapshot),
            samples=cache.samples,
            now=snapshot.pool.time,
        )

    return cache.latest("rounds", (node.best_share, tuple(blocks)), make)


def learn_payouts(snapshot: Snapshot) -> None:
    """Record what the newest blocks pay, one block in each refresh."""
    node, cache = snapshot.node, snapshot.cache
    best = node.best_share
    for found in reversed(snapshot.pool.blocks[-5:]):
        if best is None or found.share_hash is None or found.block_hash in cache.paid:
            continue
        share = node.tracker.get(found.share_hash)
        if share is None or node.tracker.height(best) - node.tracker.height(found.share_hash) > _NEAR:
            continue
        try:
            outputs = parse_transaction(node.tracker.rebuild(share).gentx).outputs
        except (ShareInvalid, ParseError):
            continue
        amounts: dict[str, int] = {}
        for output in outputs:
            if output.value:
                address = script_to_text(node, output.script)
                amounts[address] = amounts.get(address, 0) + output.value
        cache.paid[found.block_hash] = amounts
        return


# --- the old interface --------------------------------------------------------------------------------------


def _block(snapshot: Snapshot, found: BlockRecord, rounds: dict[int, Round]) -> dict[str, Any]:
    this = rounds.get(found.block_hash) or Round(PoolBlock(found.time, found.block_hash, found.share_hash))
    explorer = explorers(snapshot.node)[0]
    return {
        "ts": found.time,
        "hash": f"{found.block_hash:064x}",
        "number": found.height,
        "share": None if found.share_hash is None else f"{found.share_hash:064x}",
        "miner": found.worker,
        "value": found.subsidy * 1e-8,
        "block_reward": found.subsidy * 1e-8,
        **statuses(found.status),
        "reason": found.reason or None,
        "confirmations": found.confirmations,
        "chainlock": found.chainlocked,
        "from_history": found.share_hash is None or found.share_hash not in snapshot.node.tracker.forest,
        "explorer_url": explorer and f"{explorer}{found.block_hash:064x}",
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
    by_block = snapshot.once(_rounds_by_block)
    return [_block(snapshot, found, by_block) for found in reversed(snapshot.pool.blocks[-most:])]


def recent_blocks(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return the JSON of /recent_blocks: the newest RECENT, newest first, with the luck of all these in the
    first of them."""
    blocks, by_block = _blocks(snapshot, RECENT), snapshot.once(_rounds_by_block)
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


def _part(expected: float, actual: float) -> float | None:
    return 100 * expected / actual if actual else None


def _summary(snapshot: Snapshot, rounds: Rounds) -> dict[str, Any]:
    """Return the totals of all rounds. The luck is the ratio of sums: the mean of ratios would show more luck
    than there was."""
    known = [each for each in rounds.rounds if each.luck is not None]
    expected = sum(each.expected_work or 0.0 for each in known)
    actual = sum(each.actual_work or 0.0 for each in known)
    template, rate = snapshot.node.template, observed_rate(snapshot)
    attempts = None if template is None else float(target_to_average_attempts(template.target))
    since = max(0.0, snapshot.pool.time - rounds.rounds[-1].block.time) if rounds.rounds else None
    current = rounds.current_work
    return {
        "known": known,
        "average": _part(expected, actual),
        "with_current": _part(expected, actual + (current or 0.0)) if known else None,
        "current_expected_time": attempts / rate if attempts is not None and rate else None,
        "since": since,
        "current": _part(attempts, current) if attempts is not None and current else None,
        "current_progress": current / attempts if attempts and current is not None else None,
    }


def luck_stats(snapshot: Snapshot) -> dict[str, Any]:
    """Return the JSON of /luck_stats."""
    rounds = rounds_of(snapshot)
    total = _summary(snapshot, rounds)
    known: list[Round] = total["known"]
    lucks = [each.luck for each in known if each.luck is not None]
    times = [each.time_to_find for each in rounds.rounds if each.time_to_find]
    found = {each.block_hash: each for each in snapshot.pool.blocks}
    return {
        "blocks_found": len(rounds.rounds),
        "blocks_with_luck": len(known),
        "luck_available": bool(known),
        "luck_approximate": any(each.method != "shares" for each in known),
        "avg_luck": total["with_current"],
        "average_luck": total["average"],
        "min_luck": min(lucks, default=None),
        "max_luck": max(lucks, default=None),
        "avg_time_between_blocks": sum(times) / len(times) if times else None,
        "min_time_between_blocks": min(times, default=None),
        "max_time_between_blocks": max(times, default=None),
        "current_expected_time": total["current_expected_time"],
        "time_since_last_block": total["since"],
        "current_luck_trend": total["current"],
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


# --- version 1 ----------------------------------------------------------------------------------------------


def round_fields(this: Round) -> dict[str, Any]:
    return {
        "time_to_find": this.time_to_find,
        "expected_time": this.expected_time,
        "expected_work": this.expected_work,
        "actual_work": this.actual_work,
        "pool_hash_rate": this.hash_rate,
        "luck": this.luck,
        "method": this.method,
    }


def block_page(context: RequestContext, arguments: Arguments) -> dict[str, Any]:
    """Return the JSON of /api/v1/blocks."""
    snapshot, offset, limit = context.snapshot, arguments["offset"], arguments["limit"]
    blocks = snapshot.pool.blocks
    end = len(blocks) - offset
    page = reversed(blocks[max(0, end - limit) : max(0, end)])
    by_block = snapshot.once(_rounds_by_block)
    return {
        "total": len(blocks),
        "offset": offset,
        "limit": limit,
        "blocks": [_block_v1(found, by_block) for found in page],
    }


def _block_v1(found: BlockRecord, rounds: dict[int, Round]) -> dict[str, Any]:
    this = rounds.get(found.block_hash) or Round(PoolBlock(found.time, found.block_hash, found.share_hash))
    return {
        "time": found.time,
        "hash": f"{found.block_hash:064x}",
        "height": found.height,
        "share": None if found.share_hash is None else f"{found.share_hash:064x}",
        "worker": found.worker,
        "value": amount(found.subsidy),
        "status": found.status.value,
        "reason": found.reason or None,
        "confirmations": found.confirmations,
        "chainlock": found.chainlocked,
        "network_difficulty": this.difficulty,
        "difficulty": target_to_difficulty(found.block_hash),
        "round": round_fields(this),
    }


def luck_periods(snapshot: Snapshot, rounds: Rounds) -> list[dict[str, Any]]:
    """Return the blocks of the last days against those that the pool's hash rate and the network's difficulty
    amounted to over the same time, computed once for each sample. What was not sampled counts on neither side."""
    samples, now = snapshot.cache.samples, snapshot.pool.time

    def make() -> list[dict[str, Any]]:
        periods = []
        for days in LUCK_DAYS:
            start = now - days * 86400
            expected, seconds = samples.expected_blocks(start, now)
            times = [each.block.time for each in rounds.rounds if each.block.time >= start]
            found = sum(1 for when in times if samples.difficulty_at(when) is not None)
            luck = 100 * found / expected if expected else None
            periods.append(
                {"days": days, "seconds": seconds, "blocks": found, "expected_blocks": expected, "luck": luck}
            )
        return periods

    return snapshot.cache.latest("luck periods", (samples.newest, len(rounds.rounds)), make)


def luck(snapshot: Snapshot) -> dict[str, Any]:
    """Return the JSON of /api/v1/luck."""
    rounds = rounds_of(snapshot)
    total = _summary(snapshot, rounds)
    return {
        "blocks": len(rounds.rounds),
        "known_rounds": len(total["known"]),
        "luck": total["average"],
        "luck_with_current_round": total["with_current"],
        "current_round": {
            "time": total["since"],
            "work": rounds.current_work,
            "expected_time": total["current_expected_time"],
            "progress": total["current_progress"],
        },
        "periods": luck_periods(snapshot, rounds),
        "rounds": [
            {"time": each.block.time, "hash": f"{each.block.block_hash:064x}", **round_fields(each)}
            for each in reversed(rounds.rounds[-RECENT:])
        ],
    }


_LUCK = nullable(number("percent: 200 if the block took half of the expected work"))
ROUND_FIELDS = {
    "time_to_find": nullable({**SECONDS, "description": "time since the previous block, seconds"}),
    "expected_time": nullable(SECONDS),
    "expected_work": nullable(number("hashes")),
    "actual_work": nullable(number("hashes")),
    "pool_hash_rate": nullable({**HASH_RATE, "description": "hashes per second, weighted by time"}),
    "luck": _LUCK,
    "method": nullable(words("shares", "samples", description="source of actual_work")),
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
    "reason": nullable(text("why the block was refused or orphaned")),
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
    "luck": _LUCK,
    "hashrate_samples_used": count("number of shares or samples by which the round was measured"),
    "luck_method": nullable(words("time_weighted_avg", "first_block")),
    "luck_approximate": boolean(),
}
_OLD_LUCK = record(
    blocks_found=count(),
    blocks_with_luck=count(),
    luck_available=boolean(),
    luck_approximate=boolean(),
    avg_luck=nullable(number("percent, including the work of the current round")),
    average_luck=nullable(number("percent of blocks found")),
    min_luck=_LUCK,
    max_luck=_LUCK,
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
            luck=_LUCK,
            time_to_find=nullable(SECONDS),
            expected_time=nullable(SECONDS),
            **{name: nullable(schema) for name, schema in STATUSES.items()},
        )
    ),
)
ENDPOINTS = (
    Endpoint(
        "/api/v1/blocks",
        "All blocks of the pool that the node knows, newest first, page by page",
        record(
            total=count("number of entries on all pages"),
            offset=count(),
            limit=count(),
            blocks=array(
                record(
                    time=TIME,
                    hash=HASH,
                    height=count(),
                    share=nullable(HASH),
                    worker=text("empty or 'another node' if it was not found here"),
                    value=AMOUNT,
                    status=STATUS,
                    reason=nullable(text("why the block was refused or orphaned")),
                    confirmations=count(),
                    chainlock=boolean(),
                    network_difficulty=nullable(number()),
                    difficulty=number("difficulty that the block's hash would meet"),
                    round=record("the mining round that led to the block", **ROUND_FIELDS),
                )
            ),
        ),
        look_up=block_page,
        parameters=(
            OFFSET,
            whole_number("limit", "maximum number of entries", low=1, high=MAX_PAGE, default=DEFAULT_PAGE),
        ),
    ),
    Endpoint(
        "/api/v1/luck",
        f"The pool's luck, and the newest {RECENT} rounds; what cannot be known of the shares and samples is null",
        record(
            blocks=count(),
            known_rounds=count(),
            luck=nullable(number("percent, over all known rounds")),
            luck_with_current_round=nullable(number("percent, including the work of the current round")),
            current_round=record(
                "",
                time=nullable(SECONDS),
                work=nullable(number("hashes")),
                expected_time=nullable(SECONDS),
                progress=nullable(number("work so far, relative to the average for a block")),
            ),
            periods=array(
                record(
                    days=integer(),
                    seconds={**SECONDS, "description": "days of the period in which the hash rate was sampled"},
                    blocks=count("blocks found in the sampled time"),
                    expected_blocks=number(
                        "blocks expected from the pool's hash rate and the network's difficulty in that time"
                    ),
                    luck=nullable(number("percent: 200 for twice as many blocks as expected")),
                ),
                "luck over the last day, week and month",
            ),
            rounds=array(record(time=TIME, hash=HASH, **ROUND_FIELDS)),
        ),
        view=luck,
    ),
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
