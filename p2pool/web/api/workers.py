"""Workers and payout addresses one by one: /api/v1/workers, /api/v1/addresses, /miner_stats, /miner_payouts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Final, TypeVar

from p2pool.base.text import format_dash
from p2pool.dash.address import AddressError, decode_address
from p2pool.dash.hashes import hash_hex
from p2pool.dash.target import target_to_average_attempts
from p2pool.pool_stats import BlockRecord, BlockStatus, WorkerSnapshot
from p2pool.pool_stats.judgement import STATES, MinerState, Reason, judge_address, reason_of
from p2pool.pool_stats.workers import address_of
from p2pool.web.api.block_status import STATUSES, statuses
from p2pool.web.api.endpoint import (
    MAX_TEXT,
    OFFSET,
    Arguments,
    Endpoint,
    EndpointParameter,
    ErrorResponse,
    RequestContext,
    amount,
    choice,
    free_text,
    whole_number,
)
from p2pool.web.api.payouts import payout_amounts, payout_total
from p2pool.web.api.pool import best_max_target, explorers, stale_proportion
from p2pool.web.api.rates import RATE_FIELDS, RATES_BY_WINDOW, rate_figures, rates_by_window
from p2pool.web.api.schema import (
    AMOUNT,
    DASH,
    DEAD_HASH_RATE,
    HASH,
    HASH_RATE,
    PART,
    SECONDS,
    TIME,
    array,
    boolean,
    count,
    either,
    nullable,
    number,
    record,
    text,
    with_optional,
    words,
)
from p2pool.web.api.stratum import REFUSED_BY, WORKER, refusals, worker_figures
from p2pool.web.sources import Snapshot
from p2pool.web.worker_index import ADDRESS_ORDERS, ORDERS, AddressFigures, TooManyLists, WorkerFilter

MAX_WORKERS, DEFAULT_WORKERS = 500, 100
"""Workers on a page: at most 300 kB."""
MAX_BLOCKS: Final = 50
"""Blocks that /miner_payouts lists."""

UNKNOWN_WORKER = ErrorResponse(404, "unknown_worker", "this node has no record of a worker with this name")
UNKNOWN_ADDRESS = ErrorResponse(
    404, "unknown_address", "this address has no workers on this node and no payout in the next block"
)
BUSY = ErrorResponse(503, "busy", "too many worker searches at once; try again in a second")


_NAMED = record(
    "",
    **WORKER["properties"],
    state=words(*MinerState, description="the judgement; docs/miners.md defines the states"),
    reason=words(*Reason, description="why it is in this state, for programs"),
)


def _named(worker: WorkerSnapshot, now: float, has_work: bool) -> dict[str, Any]:
    reason = reason_of(worker, now, has_work=has_work)
    return {
        "name": worker.name,
        **worker_figures(worker),
        "state": STATES[reason].value,
        "reason": reason.value,
    }


def _selected(arguments: Arguments) -> WorkerFilter:
    search, connected, group = arguments["search"], arguments.get("connected"), arguments["state"]
    return WorkerFilter(
        search=None if search is None else search.casefold(),
        address=arguments.get("address"),
        connected=None if connected is None else connected == "true",
        states=None if group is None else STATE_GROUPS[group],
    )


T = TypeVar("T")


def _page(rows: Sequence[T], arguments: Arguments) -> Sequence[T]:
    """Return a page of rows in rising order, without reversing all of them."""
    offset, limit = arguments["offset"], arguments["limit"]
    if arguments["order"] == "asc":
        return rows[offset : offset + limit]
    end = len(rows) - offset
    return rows[max(0, end - limit) : max(0, end)][::-1]


def _listed(
    context: RequestContext,
    arguments: Arguments,
    *,
    word: str,
    ordered: Callable[..., Sequence[T]],
    known: int,
    shown: Callable[[T, float, bool], dict[str, Any]],
) -> dict[str, Any]:
    """Return a page of a list for JSON, under `word`. `ordered` is the index's method; `known` is how many rows
    there are; `shown(row, now, has_work)` returns one of them."""
    now, has_work = context.snapshot.pool.time, not context.sources.missing()

    def state_of(worker: WorkerSnapshot) -> MinerState:
        return STATES[reason_of(worker, now, has_work=has_work)]

    try:
        rows = ordered(arguments["sort"], _selected(arguments), context.client, state_of=state_of)
    except TooManyLists:
        raise BUSY.exception() from None
    return {
        "time": now,
        "known": known,
        "total": len(rows),
        "offset": arguments["offset"],
        "limit": arguments["limit"],
        word: [shown(row, now, has_work) for row in _page(rows, arguments)],
    }


def worker_page(context: RequestContext, arguments: Arguments) -> dict[str, Any]:
    """Return the JSON of /api/v1/workers."""
    index = context.snapshot.workers
    return _listed(
        context, arguments, word="workers", ordered=index.ordered, known=len(index.workers), shown=_named
    )


def one_worker(context: RequestContext, arguments: Arguments) -> dict[str, Any]:
    """Return the JSON of /api/v1/workers/{name}."""
    worker = context.snapshot.workers.get(arguments["name"])
    if worker is None:
        raise UNKNOWN_WORKER.exception()
    return _named(worker, context.snapshot.pool.time, not context.sources.missing())


# --- addresses ----------------------------------------------------------------------------------------------


def _miner(snapshot: Snapshot, address: str) -> tuple[AddressFigures | None, int]:
    """Return (an address's workers, the duffs that it would get)."""
    return snapshot.workers.address(address), snapshot.per_tip(payout_amounts).get(address, 0)


def _address(context: RequestContext, address: str) -> tuple[AddressFigures | None, int]:
    """Return (an address's workers, the duffs that it would get). Raises EndpointError if it has neither."""
    workers, duffs = _miner(context.snapshot, address)
    if workers is None and not duffs:
        raise UNKNOWN_ADDRESS.exception()
    return workers, duffs


def _address_figures(together: AddressFigures) -> dict[str, Any]:
    return {
        "workers": sum(1 for worker in together.workers if worker.connections),
        "known_workers": len(together.workers),
        "connections": together.connections,
        "difficulty": together.difficulty,
        **rate_figures(together),
        "dead_hash_rate": together.dead_rate,
        "hash_rates": rates_by_window(together.hash_rate, together.hash_rates),
        "accepted": together.accepted,
        "refused": together.refused,
        "refused_by": refusals(together.refused_by),
        "dead": together.dead,
        "shares": together.shares,
        "last_share": together.last_share,
    }


def address_page(context: RequestContext, arguments: Arguments) -> dict[str, Any]:
    """Return the JSON of /api/v1/addresses."""
    index = context.snapshot.workers

    def shown(address: str, now: float, has_work: bool) -> dict[str, Any]:
        together = index.address(address) or _NOBODY
        state = judge_address(together.workers, now, has_work=has_work).judgement.state
        return {"address": address, **_address_figures(together), "state": state.value}

    return _listed(
        context,
        arguments,
        word="addresses",
        ordered=index.ordered_addresses,
        known=len(index.by_address()),
        shown=shown,
    )


def one_address(context: RequestContext, arguments: Arguments) -> dict[str, Any]:
    """Return the JSON of /api/v1/addresses/{address}."""
    snapshot, address = context.snapshot, arguments["address"]
    workers, duffs = _address(context, address)
    total = snapshot.per_tip(payout_total)
    return {
        "address": address,
        **_address_figures(workers or _NOBODY),
        "next_payout": amount(duffs),
        "next_payout_part": duffs / total if total else 0.0,
    }


_NOBODY: Final = AddressFigures(
    (), 0, 0.0, 0.0, 0.0, 0.0, 0, 0, 0, 0, 0.0, None, hash_rates=(0.0, 0.0, 0.0), refused_by={}
)

NO_ADDRESS: Final = {"error": "No address provided"}
NO_MINER: Final = {"error": "Miner not found", "active": False}
"""What legacy p2pool-dash answers, with status 200: its front end shows the text."""


def miner_stats(context: RequestContext, arguments: Arguments) -> dict[str, Any]:
    """Return the JSON of /miner_stats/{address}."""
    snapshot, address = context.snapshot, arguments["address"]
    if not address:
        return NO_ADDRESS
    workers, duffs = _miner(snapshot, address)
    if workers is None and not duffs:
        return NO_MINER
    together = workers or _NOBODY
    rate = together.hash_rate
    return {
        "address": address,
        "active": rate > 0 or together.connections > 0,
        "hashrate": rate,
        "dead_hashrate": together.dead_rate,
        "doa_rate": together.dead_rate / rate if rate else 0.0,
        "share_difficulty": together.difficulty,
        "time_to_share": target_to_average_attempts(best_max_target(snapshot)) / rate if rate else None,
        "current_payout": duffs / 1e8,
        "global_stale_prop": stale_proportion(snapshot),
    }


def miner_payouts(context: RequestContext, arguments: Arguments) -> dict[str, Any]:
    """Return the JSON of /miner_payouts/{address}: the blocks that it found or that are known to pay it. What a
    block pays is known of the blocks that came while this node was running. An unknown address has none."""
    snapshot, address = context.snapshot, arguments["address"]
    if not address:
        return NO_ADDRESS
    blocks = snapshot.once(_blocks_by_address).get(address, [])
    paid = [(block, _paid(snapshot, block, address)) for block in blocks]
    sums = {status: sum(duffs or 0 for block, duffs in paid if block.status is status) for status in BlockStatus}
    confirmed, maturing = sums[BlockStatus.CONFIRMED], sums[BlockStatus.ACCEPTED] + sums[BlockStatus.SENT]
    explorer = explorers(context.node)[0]
    return {
        "address": address,
        "blocks_found": sum(1 for block in blocks if address_of(block.worker) == address),
        "blocks_paid": sum(1 for _, duffs in paid if duffs),
        "total_estimated_rewards": (confirmed + maturing) / 1e8,
        "confirmed_rewards": confirmed / 1e8,
        "maturing_rewards": maturing / 1e8,
        "blocks": [
            {
                "timestamp": block.time,
                "block_hash": hash_hex(block.block_hash),
                "block_height": block.height,
                "block_reward": block.subsidy / 1e8,
                "estimated_payout": None if duffs is None else duffs / 1e8,
                "payout": None if duffs is None else format_dash(duffs),
                **statuses(block.status),
                "explorer_url": explorer and f"{explorer}{hash_hex(block.block_hash)}",
            }
            for block, duffs in islice(paid, MAX_BLOCKS)
        ],
    }


def _paid(snapshot: Snapshot, block: BlockRecord, address: str) -> int | None:
    """Return the duffs that a block pays an address; None if unknown."""
    paid = snapshot.cache.paid.get(block.block_hash)
    return None if paid is None else paid.amounts.get(address, 0)


def _blocks_by_address(snapshot: Snapshot) -> dict[str, list[BlockRecord]]:
    """Return the blocks that an address found or that are known to pay it, the newest first."""
    paid, found = snapshot.cache.paid, dict[str, list[BlockRecord]]()
    for block in reversed(snapshot.pool.blocks):
        pays = paid[block.block_hash].amounts if block.block_hash in paid else ()
        for address in {address_of(block.worker), *pays}:
            found.setdefault(address, []).append(block)
    return found


def _read_address(given: str) -> str:
    try:
        decode_address(given)
    except AddressError as error:
        raise ValueError from error
    return given


ADDRESS = EndpointParameter(
    "address",
    text("a Dash address", minLength=26, maxLength=35),
    _read_address,
    "not_an_address",
    "not a valid Dash address; check for typing errors",
    in_path=True,
    status=404,
)
_ANY_ADDRESS = EndpointParameter(
    "address",
    text("a Dash address; any other text counts as an unknown address", maxLength=MAX_TEXT),
    str,
    "not_an_address",
    f"an address must have at most {MAX_TEXT} characters",
    in_path=True,
    status=404,
)
_ERROR = with_optional(record("present for an unknown address, with status 200", error=text()), active=boolean())
_PAID_BLOCK = record(
    "",
    timestamp=TIME,
    block_hash=HASH,
    block_height=count(),
    block_reward=DASH,
    estimated_payout=nullable(number("DASH; null for blocks of earlier runs if unknown")),
    payout=nullable(text("estimated_payout as an exact decimal number")),
    **STATUSES,
    explorer_url=text(),
)
STATE_GROUPS: Final = {
    "ok": frozenset({MinerState.OK, MinerState.STARTING}),
    "low": frozenset({MinerState.SLOW, MinerState.REFUSED, MinerState.SILENT}),
    "offline": frozenset({MinerState.OFFLINE}),
}
_STATE: Final = choice(
    "state",
    "only workers that are OK or starting (ok), slow, refused or silent (low), or not connected (offline)",
    tuple(STATE_GROUPS),
    default=None,
)
_SEARCH: Final = free_text("search", "only workers whose name or software contains this text, ignoring case")
_ORDER: Final = choice("order", "ascending or descending", ("asc", "desc"), default="desc")
_TOGETHER: Final = {
    "workers": count("connected workers"),
    "known_workers": count("workers with statistics, connected or not"),
    "connections": count(),
    "difficulty": number("highest difficulty of its connected workers; 0 without any"),
    **RATE_FIELDS,
    "dead_hash_rate": DEAD_HASH_RATE,
    "hash_rates": RATES_BY_WINDOW,
    "accepted": count(),
    "refused": count(),
    "refused_by": REFUSED_BY,
    "dead": count(),
    "shares": count(),
    "last_share": nullable(TIME),
}
_PAGE_FIELDS: Final = {
    "time": {**TIME, "description": "when these figures were computed, Unix seconds"},
    "known": count("number of all of them, matching or not"),
    "total": count("number of matching ones on all pages"),
    "offset": count(),
    "limit": count(),
}
_LIMIT = whole_number("limit", "maximum number of entries", low=1, high=MAX_WORKERS, default=DEFAULT_WORKERS)
ENDPOINTS = (
    Endpoint(
        "/api/v1/workers",
        "All workers with statistics, page by page",
        record(**_PAGE_FIELDS, workers=array(_NAMED)),
        look_up=worker_page,
        parameters=(
            choice("sort", "sort key", tuple(ORDERS), default="hash_rate"),
            _ORDER,
            OFFSET,
            _LIMIT,
            _SEARCH,
            _STATE,
            free_text("address", "only workers of this payout address"),
            choice(
                "connected",
                "only connected (true) or disconnected (false) workers",
                ("true", "false"),
                default=None,
            ),
        ),
        refusals=(BUSY,),
    ),
    Endpoint(
        "/api/v1/workers/{name}",
        "One worker",
        _NAMED,
        look_up=one_worker,
        parameters=(free_text("name", "the worker's username: ADDRESS or ADDRESS.worker", True),),
        refusals=(UNKNOWN_WORKER,),
    ),
    Endpoint(
        "/api/v1/addresses",
        "All payout addresses with statistics, page by page; one matches if one of its workers does",
        record(
            **_PAGE_FIELDS,
            addresses=array(
                record(
                    address=text(),
                    **_TOGETHER,
                    state=words(*MinerState, description="the judgement; docs/miners.md defines the states"),
                )
            ),
        ),
        look_up=address_page,
        parameters=(
            choice("sort", "sort key", tuple(ADDRESS_ORDERS), default="hash_rate"),
            _ORDER,
            OFFSET,
            _LIMIT,
            _SEARCH,
            _STATE,
        ),
        refusals=(BUSY,),
    ),
    Endpoint(
        "/api/v1/addresses/{address}",
        "Totals of all workers of a payout address, and its payout from the next block",
        record(
            address=text(),
            **_TOGETHER,
            next_payout=AMOUNT,
            next_payout_part=PART,
        ),
        look_up=one_address,
        parameters=(ADDRESS,),
        refusals=(UNKNOWN_ADDRESS,),
    ),
    Endpoint(
        "/miner_stats/{address}",
        "Totals of all workers of a payout address",
        either(
            record(
                address=text(),
                active=boolean(),
                hashrate=HASH_RATE,
                dead_hashrate=HASH_RATE,
                doa_rate=PART,
                share_difficulty=number("highest difficulty of its workers"),
                time_to_share=nullable(SECONDS),
                current_payout=DASH,
                global_stale_prop=PART,
            ),
            _ERROR,
        ),
        look_up=miner_stats,
        parameters=(_ANY_ADDRESS,),
    ),
    Endpoint(
        "/miner_payouts/{address}",
        f"The latest {MAX_BLOCKS} blocks that an address found or that pay it",
        either(
            record(
                address=text(),
                blocks_found=count("blocks that workers of the address found on this node"),
                blocks_paid=count("blocks that are known to pay the address"),
                total_estimated_rewards=DASH,
                confirmed_rewards=DASH,
                maturing_rewards=DASH,
                blocks=array(_PAID_BLOCK),
            ),
            _ERROR,
        ),
        look_up=miner_payouts,
        parameters=(_ANY_ADDRESS,),
    ),
)
