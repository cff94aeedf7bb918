"""What a hash rate would earn in this pool and alone, and whether the pool suits it: /api/v1/calculator."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Any, Final

from p2pool.base.text import format_duration
from p2pool.sharechain.expectations import PROBABILITY, PoolTerms, alone, over, payout_time, share_time
from p2pool.web.api.endpoint import Arguments, Endpoint, EndpointParameter, RequestContext
from p2pool.web.api.miners import PERIOD_FIELDS, PERIODS, PROBABILITY_FIELD, period, pool_terms
from p2pool.web.api.pool import share_difficulty
from p2pool.web.api.schema import HASH_RATE, SECONDS, array, nullable, number, record, text, words

MAX_HASH_RATE: Final = 1e21
"""Hashes a second: more than any network has."""
LARGE: Final = 2 * 86400.0
"""Seconds between blocks for a miner that is large enough to mine alone."""
PATIENCE: Final = 30 * 86400.0
"""Seconds between two blocks of a pool that is small."""
NEARLY_ALL: Final = 0.9
FEW: Final = 0.1
"""Parts of the pool's blocks that pay a miner."""


class Fit(StrEnum):
    """Whether the pool suits a hash rate."""

    REGULAR = "regular"
    BURSTS = "bursts"
    RARE = "rare"
    SMALL_POOL = "small_pool"
    ALONE = "alone"


def fit(*, share_time: float, block_time: float, alone_time: float, window: float) -> Fit:
    """Return whether the pool suits a miner by its average seconds between shares, those between the pool's blocks
    and its own if it mined alone, and the seconds for which a share is paid."""
    if alone_time <= LARGE:
        return Fit.ALONE
    if block_time > PATIENCE:
        return Fit.SMALL_POOL
    paid = -math.expm1(-window / share_time)
    return Fit.REGULAR if paid >= NEARLY_ALL else Fit.BURSTS if paid >= FEW else Fit.RARE


def fit_words(fit: Fit, *, share_time: float, block_time: float, alone_time: float) -> str:
    """Return the answer to "is this pool for me?". Seconds as of `fit`."""
    share, block = format_duration(share_time), format_duration(block_time)
    match fit:
        case Fit.REGULAR:
            return f"Yes. You would find a share about every {share}, and nearly every block would pay you."
        case Fit.BURSTS:
            return (
                f"Yes, if irregular payouts do not matter to you. You would find a share about every {share}; "
                "blocks pay you only while one of your shares is among the newest. On average you lose nothing."
            )
        case Fit.RARE:
            return (
                f"Probably not. You would find a share about every {share}, and most blocks would not pay you. On "
                "average you lose nothing, but a pool with an operator pays small miners more regularly."
            )
        case Fit.SMALL_POOL:
            return (
                f"Only if you can wait. At its present size the pool finds a block about every {block}. On "
                "average you lose nothing, and each miner who joins makes blocks more frequent."
            )
    return (
        f"You could mine alone: you would find a block about every {format_duration(alone_time)}. The pool pays "
        "more evenly, for its fee and donation, and nobody holds your money in either case."
    )


def calculator(context: RequestContext, arguments: Arguments) -> dict[str, Any] | None:
    """Return the JSON of /api/v1/calculator: for a miner that joins the pool as it is now. None while the pool has
    no hash rate, and before the first template."""
    snapshot, rate = context.snapshot, arguments["hash_rate"]
    terms = pool_terms(snapshot)
    if terms is None:
        return None
    joined = terms.with_miner(rate, snapshot.node.network.share_period)
    times = {
        "share_time": share_time(joined, rate) or 0.0,
        "block_time": joined.block_attempts / joined.pool_rate,
        "alone_time": joined.block_attempts / rate,
    }
    judged = fit(**times, window=joined.window)
    return {
        "hash_rate": rate,
        "pool_hash_rate": joined.pool_rate,
        "share_difficulty": share_difficulty(snapshot) * joined.share_attempts / terms.share_attempts,
        "probability": PROBABILITY,
        "fit": judged.value,
        "answer": fit_words(judged, **times),
        "pool": {
            "share_time": times["share_time"],
            "block_time": times["block_time"],
            "first_payout_time": payout_time(joined, rate, 0.0),
            "payout_time": _between_payouts(joined, rate),
            "periods": [period(over(joined, rate, days=days)) for days in PERIODS],
        },
        "alone": {
            "payout_time": times["alone_time"],
            "periods": [period(alone(joined, rate, days=days)) for days in PERIODS],
        },
    }


def _between_payouts(terms: PoolTerms, rate: float) -> float:
    """Return the average seconds between two payouts of a miner that has long been mining."""
    payouts = over(terms, rate, days=1.0).payouts
    return min(86400 / payouts, 1e12) if payouts > 0 else 1e12


def _read_rate(given: str) -> float:
    rate = float(given)
    if not 1 <= rate <= MAX_HASH_RATE:
        raise ValueError
    return rate


_RATE = EndpointParameter(
    "hash_rate",
    number("hashes per second", minimum=1, maximum=MAX_HASH_RATE),
    _read_rate,
    "bad_hash_rate",
    "hash_rate must be a number of hashes per second, from 1 to 1e21",
    default=1e9,
)
_PERIODS = array(PERIOD_FIELDS, "income by the length of the period")
ENDPOINTS = (
    Endpoint(
        "/api/v1/calculator",
        "What a hash rate would earn in this pool, and alone; 1 GH/s by default",
        nullable(
            record(
                "null while the pool has no hash rate, and before the first template",
                hash_rate={**HASH_RATE, "description": "as requested, in hashes per second"},
                pool_hash_rate={**HASH_RATE, "description": "hashes per second of the pool with this miner"},
                share_difficulty=number("minimum share difficulty with this miner"),
                probability=PROBABILITY_FIELD,
                fit=words(*Fit, description="whether the pool suits the hash rate, for programs"),
                answer=text("whether the pool suits the hash rate, as sentences"),
                pool=record(
                    "in this pool, as a miner that has been mining for more than a day",
                    share_time={**SECONDS, "description": "average seconds between two shares"},
                    block_time={**SECONDS, "description": "average seconds between two blocks of the pool"},
                    first_payout_time=number("average seconds from the start to the first payout"),
                    payout_time={**SECONDS, "description": "average seconds between two payouts"},
                    periods=_PERIODS,
                ),
                alone=record(
                    "if it mined alone, without a pool",
                    payout_time={**SECONDS, "description": "average seconds between two blocks"},
                    periods=_PERIODS,
                ),
            )
        ),
        look_up=calculator,
        parameters=(_RATE,),
    ),
)
