"""One miner for its owner: is it all right, and what will it earn? /api/v1/miners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from p2pool.dash.address import AddressError, payout_hash160
from p2pool.dash.address_problem import address_problem
from p2pool.dash.target import target_to_average_attempts
from p2pool.pool_stats import WorkerSnapshot, is_estimating
from p2pool.pool_stats.difficulty_reason import (
    DifficultyReason,
    difficulty_reason,
    difficulty_why,
    submission_interval,
)
from p2pool.pool_stats.judgement import (
    NAMED,
    Judgement,
    MinerState,
    Reason,
    judge,
    judge_address,
    usual_rate,
)
from p2pool.pool_stats.workers import HASHES_PER_DIFFICULTY, address_of
from p2pool.sharechain.expectations import (
    PROBABILITY,
    PeriodExpectation,
    PoolTerms,
    over,
    payout_time,
    share_time,
)
from p2pool.web.api.endpoint import Arguments, Endpoint, RequestContext, amount, free_text
from p2pool.web.api.payouts import MAX_TOTAL
from p2pool.web.api.pool import best_max_target, observed_rate, share_difficulty, stale_rates_of
from p2pool.web.api.rates import RATE_FIELDS, Estimate, rate_figures
from p2pool.web.api.schema import (
    AMOUNT,
    HASH_RATE,
    SECONDS,
    Schema,
    array,
    boolean,
    count,
    nullable,
    number,
    record,
    text,
    words,
)
from p2pool.web.payment_window import payment_window
from p2pool.web.sources import Snapshot

PERIODS: Final = (1, 7, 30)
"""Days for which income is told."""
NO_WORKER: Final = "This node has no record of a worker with this name."
_OWN_SHARES: Final = 16
"""Newest shares of an address whose work tells how hard its next one is."""


@dataclass(frozen=True, slots=True)
class _Rates:
    """The hash rate of a worker, or of an address that has none."""

    hash_rate: float = 0.0
    hash_rate_low: float = 0.0
    hash_rate_high: float = 0.0


@dataclass(frozen=True, slots=True)
class _Miner:
    """A worker, or all workers of an address: its judgement, rates, and the submissions a second to expect."""

    judgement: Judgement
    counts: dict[MinerState, int]
    rates: Estimate
    dead_rate: float
    submissions: float
    workers: Sequence[WorkerSnapshot]


# --- the pool's terms ---------------------------------------------------------------------------------------


def pool_terms(snapshot: Snapshot) -> PoolTerms | None:
    """Return what the pool is like for a miner; None before there are two shares and a template."""
    template, rate = snapshot.node.template, observed_rate(snapshot)
    window = snapshot.per_tip(payment_window)
    if template is None or window.shares < 2 or rate <= 0:
        return None
    work = snapshot.per_tip(stale_rates_of).observed
    total = sum(work.values())
    return PoolTerms(
        share_attempts=float(target_to_average_attempts(best_max_target(snapshot))),
        block_attempts=float(target_to_average_attempts(template.target)),
        pool_rate=rate,
        window=window.seconds,
        reward=float(template.subsidy - template.payment_amount),
        kept=(1 - snapshot.sources.fee / 100) * (1 - snapshot.sources.donation / 100),
        good=1 - work["doa"] / total if total else 1.0,
    )


def _terms_for(snapshot: Snapshot, address: str) -> PoolTerms | None:
    """Return the terms of an address: its shares may be harder than they must be."""
    terms, own = pool_terms(snapshot), snapshot.per_tip(payment_window).by_address.get(address)
    if terms is None or own is None:
        return terms
    newest = own.attempts[:_OWN_SHARES]
    attempts = max(terms.share_attempts, sum(newest) / len(newest))
    return PoolTerms(
        attempts, terms.block_attempts, terms.pool_rate, terms.window, terms.reward, terms.kept, terms.good
    )


def period(expected: PeriodExpectation) -> dict[str, Any]:
    """Return what is expected of a period for JSON."""
    return {
        "days": expected.days,
        "payouts": expected.payouts,
        "payouts_low": expected.payouts_low,
        "payouts_high": expected.payouts_high,
        "amount": _amount(expected.amount),
        "amount_low": _amount(expected.amount_low),
        "amount_high": _amount(expected.amount_high),
    }


def _amount(duffs: float) -> dict[str, Any]:
    """Return an expected amount: at most all that there will be, which a test network may promise in a day."""
    return amount(round(min(duffs, MAX_TOTAL * 1e8)))


# --- one miner ----------------------------------------------------------------------------------------------


def one_miner(context: RequestContext, arguments: Arguments) -> dict[str, Any]:
    """Return the JSON of /api/v1/miners/{name}: also of a miner that this node does not know, as it may be paid by
    the pool."""
    snapshot, name = context.snapshot, arguments["name"]
    address = address_of(name)
    miner = _find(snapshot, name, has_work=not context.sources.missing())
    judgement, rates = miner.judgement, miner.rates
    return {
        "name": name,
        "address": address,
        "is_address": name == address,
        "time": snapshot.pool.time,
        "state": judgement.state.value,
        "reason": judgement.reason.value,
        "why": judgement.why,
        "advice": judgement.advice,
        "facts": _facts(judgement, snapshot.pool.time),
        "workers": {state.value: miner.counts[state] for state in MinerState},
        **rate_figures(rates),
        "difficulty": _difficulty(snapshot, miner),
        "expected": _expected(snapshot, address, miner),
    }


def _facts(judgement: Judgement, now: float) -> dict[str, Any] | None:
    """Return what `why` says in figures; None if it is about no worker."""
    if not judgement.about:
        return None
    worker = judgement.about[0]
    rate, refusals = worker.hash_rate, worker.refusals
    return {
        "workers": [each.name.partition(".")[2] for each in judgement.about[:NAMED]],
        "more_workers": max(0, len(judgement.about) - NAMED),
        "first_seen": worker.first_seen,
        "last_accepted": worker.last_accepted,
        "hash_rate": rate,
        "usual_hash_rate": usual_rate(worker, now),
        "dead_part": worker.dead_rate / rate if rate > 0 else 0.0,
        "recent_submissions": 0 if refusals is None else refusals.accepted + refusals.refused,
        "recent_refused": 0 if refusals is None else refusals.refused,
        "refused_for_reason": 0 if refusals is None else refusals.of_code,
    }


def _find(snapshot: Snapshot, name: str, *, has_work: bool) -> _Miner:
    address = address_of(name)
    nobody = dict.fromkeys(MinerState, 0)
    try:
        payout_hash160(address, snapshot.node.network.parent.addresses, snapshot.node.network.name)
    except AddressError:
        problem = address_problem(address, snapshot.node.network.parent.addresses, snapshot.node.network.name)
        why = f"The node rejects it: {problem}."
        return _Miner(Judgement(Reason.WRONG_ADDRESS, why), nobody, _Rates(), 0.0, 0.0, ())
    if name == address:
        return _find_address(snapshot, address, has_work=has_work)
    worker = snapshot.workers.get(name)
    if worker is None:
        why = NO_WORKER
        return _Miner(Judgement(Reason.UNKNOWN, why), nobody, _Rates(), 0.0, 0.0, ())
    judgement = judge(worker, snapshot.pool.time, has_work=has_work)
    counts = {**nobody, judgement.state: 1}
    return _Miner(judgement, counts, worker, worker.dead_rate, _submissions((worker,)), (worker,))


def _find_address(snapshot: Snapshot, address: str, *, has_work: bool) -> _Miner:
    known = snapshot.once(_judged)
    miner = known.get((address, has_work))
    if miner is None:
        together = snapshot.workers.address(address)
        workers = () if together is None else together.workers
        judged = judge_address(workers, snapshot.pool.time, has_work=has_work)
        miner = _Miner(
            judged.judgement,
            judged.counts,
            _Rates() if together is None else together,
            0.0 if together is None else together.dead_rate,
            _submissions(workers),
            workers,
        )
        if together is not None:
            known[address, has_work] = miner
    return miner


def _judged(snapshot: Snapshot) -> dict[tuple[str, bool], _Miner]:
    """Return a place for the judgements of one snapshot's addresses. Bound: two for each that has workers."""
    return {}


def _submissions(workers: Sequence[WorkerSnapshot]) -> float:
    """Return how many submissions a second connected workers make on average."""
    return sum(
        [
            worker.hash_rate / (worker.difficulty * HASHES_PER_DIFFICULTY)
            for worker in workers
            if worker.connections and worker.difficulty > 0
        ]
    )


def _difficulty(snapshot: Snapshot, miner: _Miner) -> dict[str, Any] | None:
    connected = [worker for worker in miner.workers if worker.connections]
    if not connected:
        return None
    hardest = max(connected, key=lambda worker: worker.difficulty)
    of_share, pace = share_difficulty(snapshot), snapshot.sources.stratum_limits().share_rate
    if len(connected) > 1:
        reason = DifficultyReason.HIGHEST
    else:
        unsure = is_estimating(hardest.hash_rate, hardest.hash_rate_high)
        rate = 0.0 if unsure else hardest.hash_rate
        reason = difficulty_reason(hardest.difficulty, rate=rate, share_difficulty=of_share, pace=pace)
    return {
        "value": hardest.difficulty,
        "share_difficulty": of_share,
        "reason": reason.value,
        "interval": submission_interval(hardest.difficulty, hardest.hash_rate),
        "target_interval": pace,
        "why": difficulty_why(reason, hardest.difficulty, rate=hardest.hash_rate, pace=pace),
    }


def _expected(snapshot: Snapshot, address: str, miner: _Miner) -> dict[str, Any] | None:
    """Return what a miner may expect; None while the pool's figures are not known. Payouts go to the address: they
    are expected of all its workers."""
    terms = _terms_for(snapshot, address)
    if terms is None:
        return None
    rate = miner.rates.hash_rate
    together = snapshot.workers.address(address)
    of_address = 0.0 if together is None else together.hash_rate
    paid_for = snapshot.per_tip(payment_window).paid_for(address)
    dead = miner.dead_rate / rate if rate > 0 else 0.0
    return {
        "submission_time": 1 / miner.submissions if miner.submissions > 0 else None,
        "share_time": share_time(terms, rate),
        "payout_time": payout_time(terms, of_address, paid_for),
        "probability": PROBABILITY,
        "periods": [period(over(terms, rate, days=days, dead=dead)) for days in PERIODS],
    }


PERIOD_FIELDS: Final[Schema] = record(
    days=number("length of the period in days"),
    payouts=number("average number of blocks that pay the address"),
    payouts_low=count("lower end of the range of payouts"),
    payouts_high=count("upper end of the range of payouts"),
    amount={**AMOUNT, "description": "average amount"},
    amount_low={**AMOUNT, "description": "lower end of the range of the amount"},
    amount_high={**AMOUNT, "description": "upper end of the range of the amount"},
)
PROBABILITY_FIELD: Final = number("probability with which a figure is within its range, from 0 to 1")
ENDPOINTS = (
    Endpoint(
        "/api/v1/miners/{name}",
        "Whether a worker, or an address with all its workers, is all right, and what it may expect to earn",
        record(
            name=text("as requested"),
            address=text("the payout address in the name"),
            is_address=boolean("whether the name is an address: then the figures are those of all its workers"),
            time=number("when these figures were computed, in Unix seconds"),
            state=words(*MinerState, description="the judgement; docs/miners.md defines the states"),
            reason=words(*Reason, description="why it is in this state, for programs"),
            why=text("why it is in this state, as sentences"),
            advice=text("what to do, as sentences; empty if nothing is to be done"),
            facts=nullable(
                record(
                    "the figures in `why`, of the first worker that the reason is about; null if there is none",
                    workers=array(
                        text("the name without the address; may be empty"), "the first of these workers"
                    ),
                    more_workers=count("further ones"),
                    first_seen=number("when the worker first connected, in Unix seconds"),
                    last_accepted=nullable(number("when its last submission was accepted, in Unix seconds")),
                    hash_rate={**HASH_RATE, "description": "its present estimate"},
                    usual_hash_rate={**HASH_RATE, "description": "average of a day; 0 if it is not known"},
                    dead_part=number("part of its work that arrives too late, from 0 to 1"),
                    recent_submissions=count("submissions of the last minutes, accepted and rejected"),
                    recent_refused=count("how many of them were rejected"),
                    refused_for_reason=count("how many of those for the reason"),
                )
            ),
            workers=record(
                "number of workers by state",
                **{state.value: count(f"workers that are {state}") for state in MinerState},
            ),
            **RATE_FIELDS,
            difficulty=nullable(
                record(
                    "difficulty of submissions, the highest of its connected workers; null if none is connected",
                    value=number("the difficulty"),
                    share_difficulty=number("minimum share difficulty"),
                    reason=words(*DifficultyReason, description="why it is that, for programs"),
                    interval=nullable(number("average seconds between two submissions; null if not known")),
                    target_interval=number("seconds between two submissions that the node aims at"),
                    why=text("why it is that, as sentences"),
                )
            ),
            expected=nullable(
                record(
                    "averages if all hash rates stay as they are; null before the pool has figures",
                    submission_time=nullable({**SECONDS, "description": "seconds until the next submission"}),
                    share_time=nullable({**SECONDS, "description": "seconds until the next share"}),
                    payout_time=nullable(
                        {
                            **SECONDS,
                            "description": "seconds until the next payout to the address",
                        }
                    ),
                    probability=PROBABILITY_FIELD,
                    periods=array(PERIOD_FIELDS, "income of a miner that has been mining for more than a day"),
                )
            ),
        ),
        look_up=one_miner,
        parameters=(free_text("name", "the worker's username: ADDRESS or ADDRESS.worker", True),),
    ),
)
