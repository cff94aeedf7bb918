"""Whether a miner is all right: one word, why, and what to do about it. Pure; for pages, the API and alerts.

docs/miners.md ("Is my miner OK?") has the same definitions for people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from p2pool.base.text import format_duration, format_rate
from p2pool.pool_stats.recent_refusals import Refusals
from p2pool.pool_stats.records import WorkerSnapshot, is_estimating
from p2pool.pool_stats.workers import HASHES_PER_DIFFICULTY

SILENCE: Final = 120.0
"""Seconds without an accepted submission after which a connected worker is silent, unless they are rare."""
INTERVALS: Final = 12.0
"""Mean intervals between submissions that must have passed as well: by chance once in 160,000."""
FIRST_SUBMISSION: Final = 900.0
"""Seconds that a new worker has for its first submission: the search for its difficulty takes as long."""
LOW_RATE: Final = 0.7
"""A worker is slow if its hash rate is, with a probability of 95 %, below this part of its usual one."""
KNOWN_FOR: Final = 1800.0
"""Seconds for which a worker must be known before it has a usual hash rate."""
LATE_PART: Final = 0.15
"""The part of its work that arrives too late, above which a worker is slow."""
LATE_ENOUGH: Final = 50
"""Accepted submissions before that is judged."""
REFUSED_PART: Final = 0.2
"""The rejected part of its submissions in the last minutes, above which a worker is refused."""
REFUSED_ENOUGH: Final = 5
"""Rejected submissions before that is judged."""
AWAY_PART: Final = 0.1
"""The part of its usual hash rate that an address may lack because workers are offline."""
NAMED: Final = 3
"""Workers that the judgement of an address names."""


class MinerState(StrEnum):
    """What pages, the API and alerts call a miner."""

    OK = "ok"
    STARTING = "starting"
    """Too new to be judged."""
    SLOW = "slow"
    REFUSED = "refused"
    SILENT = "silent"
    """Connected, without accepted submissions."""
    OFFLINE = "offline"


class Reason(StrEnum):
    """Why a miner is in its state; each belongs to one state."""

    WORKING = "working"
    NEW = "new"
    RECONNECTED = "reconnected"
    BELOW_USUAL = "below_usual"
    LATE = "late"
    WORKERS_OFFLINE = "workers_offline"
    STALE = "stale"
    DUPLICATE = "duplicate"
    LOW_DIFFICULTY = "low_difficulty"
    UNAUTHORIZED = "unauthorized"
    NOT_SUBSCRIBED = "not_subscribed"
    MALFORMED = "malformed"
    WRONG_ADDRESS = "wrong_address"
    STOPPED = "stopped"
    NEVER_SUBMITTED = "never_submitted"
    NO_WORK = "no_work"
    DISCONNECTED = "disconnected"
    UNKNOWN = "unknown"


STATES: Final = {
    Reason.WORKING: MinerState.OK,
    Reason.NEW: MinerState.STARTING,
    Reason.RECONNECTED: MinerState.STARTING,
    Reason.BELOW_USUAL: MinerState.SLOW,
    Reason.LATE: MinerState.SLOW,
    Reason.WORKERS_OFFLINE: MinerState.SLOW,
    Reason.STALE: MinerState.REFUSED,
    Reason.DUPLICATE: MinerState.REFUSED,
    Reason.LOW_DIFFICULTY: MinerState.REFUSED,
    Reason.UNAUTHORIZED: MinerState.REFUSED,
    Reason.NOT_SUBSCRIBED: MinerState.REFUSED,
    Reason.MALFORMED: MinerState.REFUSED,
    Reason.WRONG_ADDRESS: MinerState.REFUSED,
    Reason.STOPPED: MinerState.SILENT,
    Reason.NEVER_SUBMITTED: MinerState.SILENT,
    Reason.NO_WORK: MinerState.SILENT,
    Reason.DISCONNECTED: MinerState.OFFLINE,
    Reason.UNKNOWN: MinerState.OFFLINE,
}
ADVICE: Final = {
    Reason.WORKING: "",
    Reason.NEW: "Wait a few minutes: the node is finding the difficulty that suits the miner.",
    Reason.RECONNECTED: "Wait a minute. If it reconnects again and again, check its network and its log.",
    Reason.BELOW_USUAL: "Check the miner for failed boards, heat, or a lower power setting.",
    Reason.LATE: "Mine on a node that is closer to you, and update the mining software: it must switch to new "
    "work at once.",
    Reason.WORKERS_OFFLINE: "Check the power and the network of these workers. If you renamed them, the old names "
    "are forgotten after a day.",
    Reason.STALE: "Restart the miner. If it continues, update its software, or mine on a node that is closer.",
    Reason.DUPLICATE: "Update the mining software: it sends the same result more than once.",
    Reason.LOW_DIFFICULTY: "Lower the clock and check the temperature: errors of the hardware look like this. If "
    "all submissions are rejected, the miner is not set to X11, or its software ignores the difficulty.",
    Reason.UNAUTHORIZED: "Restart the miner: it submits under a name with which it did not log in.",
    Reason.NOT_SUBSCRIBED: "Use other mining software: this one does not follow the stratum protocol.",
    Reason.MALFORMED: "Use other mining software: this one does not follow the stratum protocol.",
    Reason.WRONG_ADDRESS: "Correct the username of the miner: it begins with your Dash address.",
    Reason.STOPPED: "Look at the miner: it is connected but seems to hang. Restart it.",
    Reason.NEVER_SUBMITTED: "Check that the miner is set to X11 and is hashing. A backup connection, which "
    "submits nothing while its main pool works, looks the same.",
    Reason.NO_WORK: "Nothing is wrong with the miner. It should use its backup pool until the node has work.",
    Reason.DISCONNECTED: "Check the power and the network of the miner, and whether it mines on its backup pool.",
    Reason.UNKNOWN: "Compare the URL and the username in the miner with those on the dashboard. A worker is "
    "forgotten after a day without a connection.",
}
"""What to do, as one or two sentences; empty if nothing is to be done."""
NO_RECORD: Final = "This node has no record of it."
_REFUSED: Final = {
    20: Reason.MALFORMED,
    21: Reason.STALE,
    22: Reason.DUPLICATE,
    23: Reason.LOW_DIFFICULTY,
    24: Reason.UNAUTHORIZED,
    25: Reason.NOT_SUBSCRIBED,
}
"""By stratum error code."""
_REJECTED_AS: Final = {
    Reason.MALFORMED: "malformed",
    Reason.STALE: "stale",
    Reason.DUPLICATE: "duplicates",
    Reason.LOW_DIFFICULTY: "below the difficulty",
    Reason.UNAUTHORIZED: "from an unauthorised worker",
    Reason.NOT_SUBSCRIBED: "sent before subscribing",
}
_SEVERITY: Final = (
    MinerState.REFUSED,
    MinerState.SILENT,
    MinerState.SLOW,
    MinerState.STARTING,
    MinerState.OK,
    MinerState.OFFLINE,
)
"""An address is in the first of these states that one of its workers is in."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The judgement of a miner. `why` and `advice` are sentences for people; `advice` is empty if there is nothing
    to do. `about` are the workers that the reason is about; `why` has the figures of the first one."""

    reason: Reason
    why: str
    about: tuple[WorkerSnapshot, ...] = ()

    @property
    def state(self) -> MinerState:
        """Return the state that the reason belongs to."""
        return STATES[self.reason]

    @property
    def advice(self) -> str:
        """Return what to do."""
        return ADVICE[self.reason]


def reason_of(worker: WorkerSnapshot, now: float, *, has_work: bool = True) -> Reason:
    """Return why a worker is in its state at `now`. `has_work` is whether the node has work for miners."""
    if not worker.connections:
        return Reason.DISCONNECTED
    refusals = worker.refusals
    if refusals is not None and _is_refused(refusals):
        return _REFUSED.get(refusals.code, Reason.MALFORMED)
    last = worker.last_accepted
    if last is None:
        if now - worker.first_seen < FIRST_SUBMISSION:
            return Reason.NEW
        return Reason.NEVER_SUBMITTED if has_work else Reason.NO_WORK
    if now - last > SILENCE and now - last > (patience := _patience(worker)):
        if now - worker.last_seen <= patience:
            return Reason.RECONNECTED
        return Reason.STOPPED if has_work else Reason.NO_WORK
    if is_estimating(worker.hash_rate, worker.hash_rate_high):
        return Reason.NEW if now - worker.first_seen < KNOWN_FOR else Reason.WORKING
    if worker.accepted >= LATE_ENOUGH and worker.dead_rate > LATE_PART * worker.hash_rate:
        return Reason.LATE
    if worker.hash_rate_high < LOW_RATE * usual_rate(worker, now):
        return Reason.BELOW_USUAL
    return Reason.WORKING


def _is_refused(refusals: Refusals) -> bool:
    enough = max(REFUSED_ENOUGH - 1, REFUSED_PART * (refusals.accepted + refusals.refused))
    return refusals.refused > enough


def usual_rate(worker: WorkerSnapshot, now: float) -> float:
    """Return the average hash rate of a day, in hashes a second; 0 if the worker is too new to have one."""
    return worker.hash_rates[-1] if now - worker.first_seen >= KNOWN_FOR else 0.0


def _patience(worker: WorkerSnapshot) -> float:
    """Return the seconds without an accepted submission after which it is silent."""
    rate = max(worker.hash_rates[1:])
    interval = worker.difficulty * HASHES_PER_DIFFICULTY / rate if rate > 0 else 0.0
    return max(SILENCE, INTERVALS * interval)


def judge(worker: WorkerSnapshot, now: float, *, has_work: bool = True) -> Judgement:
    """Return the judgement of a worker at `now`. Arguments as of `reason_of`."""
    reason = reason_of(worker, now, has_work=has_work)
    return Judgement(reason, _why(worker, reason, now), (worker,))


def _why(worker: WorkerSnapshot, reason: Reason, now: float) -> str:
    refusals, last = worker.refusals, worker.last_accepted
    accepted = "none was ever accepted" if last is None else f"the last one was accepted {_ago(last, now)}"
    if refusals is not None and STATES[reason] is MinerState.REFUSED:
        total = refusals.accepted + refusals.refused
        part = f"{refusals.refused} of its last {total} submissions were rejected"
        return f"{part}, {refusals.of_code} of them as {_REJECTED_AS[reason]}."
    match reason:
        case Reason.WORKING:
            return f"It is connected, and its last submission was accepted {_ago(last or now, now)}."
        case Reason.NEW:
            return "It has connected, and there are too few submissions yet to judge it."
        case Reason.RECONNECTED:
            return f"It has reconnected and submitted nothing since: {accepted}."
        case Reason.BELOW_USUAL:
            usual = format_rate(usual_rate(worker, now))
            return f"Its hash rate is {format_rate(worker.hash_rate)}; its average of a day is {usual}."
        case Reason.LATE:
            return f"{worker.dead_rate / worker.hash_rate:.0%} of its work arrives too late to count."
        case Reason.STOPPED:
            return f"It is connected but submits nothing: {accepted}."
        case Reason.NEVER_SUBMITTED:
            return f"It is connected but has submitted nothing in {format_duration(now - worker.first_seen)}."
        case Reason.NO_WORK:
            return "The node has no work for miners at the moment."
    return f"It is not connected. Of its submissions, {accepted}."


def _ago(then: float, now: float) -> str:
    return f"{format_duration(max(0.0, now - then))} ago"


@dataclass(frozen=True, slots=True)
class AddressJudgement:
    """The judgement of an address, and how many of its workers are in each state."""

    judgement: Judgement
    counts: dict[MinerState, int]


def judge_address(workers: Sequence[WorkerSnapshot], now: float, *, has_work: bool = True) -> AddressJudgement:
    """Return the judgement of an address by its workers: that of its only worker, or the worst of those connected.
    An address that lacks a part of its usual hash rate because workers are offline is slow. Arguments as of
    `reason_of`."""
    if not workers:
        why = NO_RECORD
        return AddressJudgement(Judgement(Reason.UNKNOWN, why), dict.fromkeys(MinerState, 0))
    reasons = [reason_of(worker, now, has_work=has_work) for worker in workers]
    counts = dict.fromkeys(MinerState, 0)
    for each in reasons:
        counts[STATES[each]] += 1
    if len(workers) == 1:
        return AddressJudgement(judge(workers[0], now, has_work=has_work), counts)
    worst = next(state for state in _SEVERITY if counts[state])
    reason = next(each for each in reasons if STATES[each] is worst)
    named = [worker for worker, each in zip(workers, reasons, strict=True) if STATES[each] is worst]
    if worst is MinerState.OK and counts[MinerState.OFFLINE]:
        away = [worker for worker in workers if not worker.connections]
        lost = sum([worker.hash_rates[-1] for worker in away])
        if lost > AWAY_PART * sum([worker.hash_rates[-1] for worker in workers]):
            reason, named = Reason.WORKERS_OFFLINE, away
    if reason is Reason.DISCONNECTED:
        why = "None of its workers is connected."
    else:
        why = _summary(counts)
        if STATES[reason] is not MinerState.OK:
            why += f" {_names(named)}: {_of_worker(named[0], reason, now)}"
    return AddressJudgement(Judgement(reason, why, tuple(named)), counts)


def _of_worker(worker: WorkerSnapshot, reason: Reason, now: float) -> str:
    why = _why(worker, reason, now)
    return why[0].lower() + why[1:]


def _summary(counts: dict[MinerState, int]) -> str:
    total = sum(counts.values())
    if counts[MinerState.OK] == total:
        return f"All {total} workers are OK."
    others = [f"{count} {state.value}" for state, count in counts.items() if count and state is not MinerState.OK]
    return f"{counts[MinerState.OK]} of {total} workers OK, {', '.join(others)}."


def _isolated(name: str) -> str:
    """Return a name for a sentence: letters that are read from the right would take the comma and the name after
    it along."""
    return name if name.isascii() else f"\u2068{name}\u2069"


def _names(workers: Sequence[WorkerSnapshot]) -> str:
    names = [_isolated(worker.name.partition(".")[2]) or "the unnamed worker" for worker in workers[:NAMED]]
    more = len(workers) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
