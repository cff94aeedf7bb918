"""The rounds between the pool's blocks, and the luck in them: what several endpoints show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from p2pool.dash.target import target_to_average_attempts
from p2pool.pool_stats import BlockRecord, BlockStatus
from p2pool.web.api.pool import observed_rate, stale_proportion
from p2pool.web.api.schema import HASH_RATE, SECONDS, nullable, number, words
from p2pool.web.luck import PoolBlock, Round, Rounds
from p2pool.web.sources import Snapshot

LUCK_DAYS: Final = (1, 7, 30)
LUCK = nullable(number("percent: 200 if the block took half of the expected work"))
ROUND_FIELDS = {
    "time_to_find": nullable({**SECONDS, "description": "time since the previous block, seconds"}),
    "expected_time": nullable(SECONDS),
    "expected_work": nullable(number("hashes")),
    "actual_work": nullable(number("hashes")),
    "pool_hash_rate": nullable({**HASH_RATE, "description": "hashes per second, weighted by time"}),
    "luck": LUCK,
    "method": nullable(words("shares", "samples", description="source of actual_work")),
}


def rounds_of(snapshot: Snapshot) -> Rounds:
    """Return the rounds of the pool's blocks."""
    return snapshot.once(_rounds)


def rounds_by_block(snapshot: Snapshot) -> dict[int, Round]:
    """Return the rounds by the hash of the block that ended them."""
    return snapshot.once(_by_block)


def _by_block(snapshot: Snapshot) -> dict[int, Round]:
    return rounds_of(snapshot).by_block()


def round_of(found: BlockRecord, rounds: dict[int, Round]) -> Round:
    """Return the round that a block ended; one of which nothing is known, if it is not among the rounds."""
    return rounds.get(found.block_hash) or Round(PoolBlock(found.time, found.block_hash, found.share_hash))


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


def round_fields(this: Round) -> dict[str, Any]:
    """Return what `ROUND_FIELDS` describes."""
    return {
        "time_to_find": this.time_to_find,
        "expected_time": this.expected_time,
        "expected_work": this.expected_work,
        "actual_work": this.actual_work,
        "pool_hash_rate": this.hash_rate,
        "luck": this.luck,
        "method": this.method,
    }


@dataclass(frozen=True, slots=True)
class LuckTotals:
    """The luck of all rounds together. `average` and `with_current` (with the work of the current round) are in
    percent, as is `current`; `since` is the time of the current round."""

    known: Sequence[Round]
    average: float | None
    with_current: float | None
    current_expected_time: float | None
    since: float | None
    current: float | None
    current_progress: float | None


def luck_totals(snapshot: Snapshot) -> LuckTotals:
    """Return the totals of all rounds. The luck is the ratio of sums: the mean of ratios would show more luck
    than there was."""
    rounds = rounds_of(snapshot)
    known = [each for each in rounds.rounds if each.luck is not None]
    expected = sum(each.expected_work or 0.0 for each in known)
    actual = sum(each.actual_work or 0.0 for each in known)
    template, rate = snapshot.node.template, observed_rate(snapshot)
    attempts = None if template is None else float(target_to_average_attempts(template.target))
    since = max(0.0, snapshot.pool.time - rounds.rounds[-1].block.time) if rounds.rounds else None
    current = rounds.current_work
    return LuckTotals(
        known=known,
        average=_part(expected, actual),
        with_current=_part(expected, actual + (current or 0.0)) if known else None,
        current_expected_time=attempts / rate if attempts is not None and rate else None,
        since=since,
        current=_part(attempts, current) if attempts is not None and current else None,
        current_progress=current / attempts if attempts and current is not None else None,
    )


def _part(expected: float, actual: float) -> float | None:
    return 100 * expected / actual if actual else None


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
