"""Figures about a chain that front ends expect."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, islice

from p2pool.dash.target import target_to_average_attempts
from p2pool.share.share import STALE_DOA, STALE_NONE, STALE_ORPHAN
from p2pool.share.weights import WEIGHT_UNIT
from p2pool.sharechain.forest import Forest
from p2pool.sharechain.found_times import FoundTimes
from p2pool.sharechain.tracker import Tracker

_STALE_NAMES = {STALE_ORPHAN: "orphan", STALE_DOA: "doa"}


def stale_name(stale_info: int) -> str | None:
    """Return the name of a stale_info: None for 0, "orphan" for 253, "doa" for 254, "unkN" for others."""
    if stale_info == STALE_NONE:
        return None
    return _STALE_NAMES.get(stale_info, f"unk{stale_info}")


def expected_payouts(tracker: Tracker, best: int, *, block_target: int, subsidy: int) -> dict[bytes, int]:
    """Return duffs by script if a block were found now, without the finder's part; the rest goes to the
    donation."""
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


def observed_seconds(tracker: Tracker, best: int, *, count: int, found: FoundTimes) -> float:
    """Return the seconds in which the last count-1 shares were found (at least 1), as far as this node can tell;
    by their timestamps if it cannot."""
    span = found.span(best, count)
    if span is None:
        near, far = tracker.get(best), tracker.nth_parent(best, count - 1)
        if near is None or far is None:
            raise KeyError(best)
        span = near.timestamp - far.timestamp
    return max(1.0, span)


def observed_attempts_per_second(tracker: Tracker, best: int, *, count: int, found: FoundTimes) -> float:
    """Return the work of the last count-1 shares over the time in which they were found: the rate for people."""
    return tracker.forest.work_over(best, count - 1) / observed_seconds(tracker, best, count=count, found=found)


def average_stale_proportion(tracker: Tracker, best: int, count: int) -> float:
    """Return s / (count + s), s being the shares among the last `count` that announce a stale one."""
    stales = sum(1 for share in tracker.ancestors(best, count) if share.stale_info != STALE_NONE)
    return stales / (count + stales)


def stale_work(tracker: Tracker, best: int, count: int) -> dict[str, int]:
    """Return the work of the last count-1 shares by "good" (all of them), "orphan", "doa" (those that announce
    one)."""
    work: dict[str, int] = {}
    for share in tracker.ancestors(best, count - 1):
        work["good"] = work.get("good", 0) + share.attempts
        name = stale_name(share.stale_info)
        if name is not None:
            work[name] = work.get(name, 0) + share.attempts
    return work


def shares_of_last_hour(tracker: Tracker, best: int | None) -> int:
    """Return how many shares make the last hour, as far as they are held; 0 if there are fewer than two."""
    if best is None:
        return 0
    hour = max(2, 3600 // tracker.network.share_period)
    height = tracker.height(best)
    return min(height, hour) if height >= 2 else 0


@dataclass(frozen=True, slots=True)
class ObservedRate:
    """Hashes a second of the share chain without stale work, and the seconds in which its shares were found."""

    nonstale: float = 0.0
    seconds: float = 0.0


def observed_rate_of_last_hour(tracker: Tracker, best: int | None, found: FoundTimes) -> ObservedRate:
    """Return the rate of the last hour's shares; zeros if there are fewer than two."""
    count = shares_of_last_hour(tracker, best)
    if best is None or not count:
        return ObservedRate()
    return ObservedRate(
        observed_attempts_per_second(tracker, best, count=count, found=found),
        observed_seconds(tracker, best, count=count, found=found),
    )


@dataclass(frozen=True, slots=True)
class StaleRates:
    """Hashes a second of the share chain's last hour: the chain's own ("good"), and what its shares announce as
    stale ("orphan", "doa"). `by_timestamps` divides by the time between the timestamps, `observed` by the time
    in which the shares were found."""

    by_timestamps: dict[str, float]
    observed: dict[str, float]


def stale_rates_of_last_hour(tracker: Tracker, best: int | None, found: FoundTimes) -> StaleRates:
    """Return the rates of good and stale work of the last hour's shares; zeros if there are fewer than two."""
    work = {"good": 0, "orphan": 0, "doa": 0}
    count = shares_of_last_hour(tracker, best)
    if best is None or count < 2:
        return StaleRates(dict.fromkeys(work, 0.0), dict.fromkeys(work, 0.0))
    near, far = tracker.get(best), tracker.nth_parent(best, count - 1)
    seconds = max(1, near.timestamp - far.timestamp) if near is not None and far is not None else 1
    observed = observed_seconds(tracker, best, count=count, found=found)
    work |= stale_work(tracker, best, count)
    return StaleRates(
        {name: hashes / seconds for name, hashes in work.items()},
        {name: hashes / observed for name, hashes in work.items()},
    )


def easiest_target(tracker: Tracker, best: int | None) -> int:
    """Return the easiest target that a share on the best one can have."""
    share = None if best is None else tracker.get(best)
    return tracker.network.max_target if share is None else share.max_target


def newest_heads(forest: Forest, most: int) -> list[int]:
    """Return the hashes of shares without children, the newest heads first."""
    return list(islice(reversed(forest.heads), most))


def oldest_shares(forest: Forest, most: int) -> list[int]:
    """Return the hashes of shares whose parent share is not held or that have none."""
    return list(islice(chain.from_iterable(tree.roots for tree in forest.trees.values()), most))
