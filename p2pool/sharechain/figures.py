"""Figures about a chain that front ends expect (share-chain format, "Figures that front ends expect")."""

from __future__ import annotations

from p2pool.dash.target import target_to_average_attempts
from p2pool.share.share import STALE_DOA, STALE_NONE, STALE_ORPHAN
from p2pool.share.weights import WEIGHT_UNIT
from p2pool.sharechain.found_times import FoundTimes
from p2pool.sharechain.tracker import Tracker

_STALE_NAMES = {STALE_ORPHAN: "orphan", STALE_DOA: "doa"}


def stale_name(stale_info: int) -> str | None:
    """0 -> None, 253 -> "orphan", 254 -> "doa", others "unkN"."""
    if stale_info == STALE_NONE:
        return None
    return _STALE_NAMES.get(stale_info, f"unk{stale_info}")


def expected_payouts(tracker: Tracker, best: int, block_target: int, subsidy: int) -> dict[bytes, int]:
    """Duffs by script if a block were found now, without the finder's part; the rest goes to the donation."""
    newest = tracker.get(best)
    if newest is None:
        raise KeyError(best)
    network = tracker.network
    weights = tracker.weights(
        best,
        min(tracker.height(best), network.real_chain_length),
        WEIGHT_UNIT * network.spread * target_to_average_attempts(block_target),
    )
    total = weights.total
    payouts = {script: subsidy * weight // total for script, weight in weights.by_script.items()}
    rest = subsidy - sum(payouts.values())
    donation_script = newest.version.donation_script
    payouts[donation_script] = payouts.get(donation_script, 0) + rest
    return payouts


def pool_attempts_per_second(tracker: Tracker, best: int, count: int) -> float:
    """Return the work of the last count-1 shares over the time between the timestamps of the first and the last of
    `count` (at least 2). Timestamps are part of the consensus and lag in a slow pool: this is for comparing with
    other nodes."""
    near, far = tracker.get(best), tracker.nth_parent(best, count - 1)
    if near is None or far is None:
        raise KeyError(best)
    return tracker.forest.work_over(best, count - 1) / max(1, near.timestamp - far.timestamp)


def observed_seconds(tracker: Tracker, best: int, count: int, found: FoundTimes) -> float:
    """Return the seconds in which the last count-1 shares were found (at least 1), as far as this node can tell;
    by their timestamps if it cannot."""
    span = found.span(best, count)
    if span is None:
        near, far = tracker.get(best), tracker.nth_parent(best, count - 1)
        if near is None or far is None:
            raise KeyError(best)
        span = near.timestamp - far.timestamp
    return max(1.0, span)


def observed_attempts_per_second(tracker: Tracker, best: int, count: int, found: FoundTimes) -> float:
    """Return the work of the last count-1 shares over the time in which they were found: the rate for people."""
    return tracker.forest.work_over(best, count - 1) / observed_seconds(tracker, best, count, found)


def average_stale_proportion(tracker: Tracker, best: int, count: int) -> float:
    """s / (count + s), s being the shares among the last `count` that announce a stale one."""
    stales = sum(1 for share in tracker.ancestors(best, count) if share.stale_info != STALE_NONE)
    return stales / (count + stales)


def stale_work(tracker: Tracker, best: int, count: int) -> dict[str, int]:
    """Work of the last count-1 shares by "good" (all of them), "orphan", "doa" (those that announce one)."""
    work: dict[str, int] = {}
    for share in tracker.ancestors(best, count - 1):
        work["good"] = work.get("good", 0) + share.attempts
        name = stale_name(share.stale_info)
        if name is not None:
            work[name] = work.get(name, 0) + share.attempts
    return work
