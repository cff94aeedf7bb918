"""The pool's blocks and its luck: /api/v1/blocks and /api/v1/luck. The older paths are in `legacy_blocks`."""

from __future__ import annotations

from typing import Any, Final

from p2pool.base.errors import ParseError
from p2pool.dash.hashes import hash_hex, optional_hash_hex, sha256d_int
from p2pool.dash.target import target_to_difficulty
from p2pool.dash.transaction import parse_transaction
from p2pool.history.records import BlockPayouts
from p2pool.pool_stats import BlockRecord
from p2pool.share.errors import ShareInvalid
from p2pool.web.api.block_status import STATUS
from p2pool.web.api.endpoint import OFFSET, Arguments, Endpoint, RequestContext, amount, whole_number
from p2pool.web.api.rounds import (
    ROUND_FIELDS,
    luck_periods,
    luck_totals,
    round_fields,
    round_of,
    rounds_by_block,
    rounds_of,
)
from p2pool.web.api.schema import (
    AMOUNT,
    HASH,
    SECONDS,
    TIME,
    array,
    boolean,
    count,
    integer,
    nullable,
    number,
    record,
    text,
)
from p2pool.web.luck import Round
from p2pool.web.sources import Snapshot, script_to_text

RECENT: Final = 100
MAX_PAGE, DEFAULT_PAGE = 200, 50
_NEAR: Final = 20
"""A block's payouts are worked out while its share is so near the best one: later it would cost a window."""


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
            coinbase = node.tracker.rebuild(share).gentx
            outputs = parse_transaction(coinbase).outputs
        except (ShareInvalid, ParseError):
            continue
        amounts: dict[str, int] = {}
        for output in outputs:
            if output.value:
                address = script_to_text(node, output.script)
                amounts[address] = amounts.get(address, 0) + output.value
        cache.paid[found.block_hash] = BlockPayouts(sha256d_int(coinbase), amounts)
        return


def block_page(context: RequestContext, arguments: Arguments) -> dict[str, Any]:
    """Return the JSON of /api/v1/blocks."""
    snapshot, offset, limit = context.snapshot, arguments["offset"], arguments["limit"]
    blocks = snapshot.pool.blocks
    end = len(blocks) - offset
    page = reversed(blocks[max(0, end - limit) : max(0, end)])
    by_block = rounds_by_block(snapshot)
    return {
        "total": len(blocks),
        "offset": offset,
        "limit": limit,
        "blocks": [_block_v1(found, by_block) for found in page],
    }


def _block_v1(found: BlockRecord, rounds: dict[int, Round]) -> dict[str, Any]:
    this = round_of(found, rounds)
    return {
        "time": found.time,
        "hash": hash_hex(found.block_hash),
        "height": found.height,
        "share": optional_hash_hex(found.share_hash),
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


def luck(snapshot: Snapshot) -> dict[str, Any]:
    """Return the JSON of /api/v1/luck."""
    rounds = rounds_of(snapshot)
    total = luck_totals(snapshot)
    return {
        "blocks": len(rounds.rounds),
        "known_rounds": len(total.known),
        "luck": total.average,
        "luck_with_current_round": total.with_current,
        "current_round": {
            "time": total.since,
            "work": rounds.current_work,
            "expected_time": total.current_expected_time,
            "progress": total.current_progress,
        },
        "periods": luck_periods(snapshot, rounds),
        "rounds": [
            {"time": each.block.time, "hash": hash_hex(each.block.block_hash), **round_fields(each)}
            for each in reversed(rounds.rounds[-RECENT:])
        ],
    }


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
                    reason=nullable(text("why the block was rejected or orphaned")),
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
        f"The pool's luck, and its latest {RECENT} rounds; null if neither shares nor samples cover a round",
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
                    seconds={
                        **SECONDS,
                        "description": "part of the period that is covered by samples, in seconds",
                    },
                    blocks=count("blocks found in that time"),
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
)
