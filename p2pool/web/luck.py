"""Luck: the work that a block should have taken on average against the work that the pool put into it.

A round goes from one block of the pool to the next. Its work is that of the shares between the two if both are
held, corrected by the pool's stale proportion, which is exactly what the pool's hash rate over that time amounts
to; else the sampled hash rate summed over the time; else it is unknown. What is known once stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from p2pool.base.bounded import BoundedDict
from p2pool.dash.target import target_to_average_attempts, target_to_difficulty
from p2pool.history.records import RoundFigures
from p2pool.sharechain.tracker import Tracker
from p2pool.web.samples import HASHES_PER_DIFFICULTY, Samples

MAX_ROUNDS: Final = 2000
"""Rounds remembered: twice the blocks that pages show."""


@dataclass(frozen=True, slots=True)
class PoolBlock:
    """A block of the pool, with which a round ends. `share_hash` is None if it was not a share of the chain."""

    time: float
    block_hash: int
    share_hash: int | None


@dataclass(frozen=True, slots=True)
class Round:
    """The round that led to a block. Work in hashes; None if unknown. `method` says what `actual_work` comes
    from: "shares" or "samples"."""

    block: PoolBlock
    time_to_find: float | None = None
    difficulty: float | None = None
    expected_work: float | None = None
    actual_work: float | None = None
    method: str | None = None
    measurements: int = 0
    """Shares or samples that `actual_work` is the sum of; 0 if an earlier run knew it."""

    @property
    def luck(self) -> float | None:
        """Return the luck in percent: 200 for a block that took half of the work that it should have."""
        if self.expected_work is None or not self.actual_work:
            return None
        return 100 * self.expected_work / self.actual_work

    @property
    def hash_rate(self) -> float | None:
        """Return the pool's hash rate over the round, weighted by time, in hashes a second."""
        if self.actual_work is None or not self.time_to_find:
            return None
        return self.actual_work / self.time_to_find

    @property
    def expected_time(self) -> float | None:
        """Return the seconds that the block should have taken at that rate."""
        rate = self.hash_rate
        return None if self.expected_work is None or not rate else self.expected_work / rate


@dataclass(frozen=True, slots=True)
class Rounds:
    """All rounds, the oldest first; the first block's has no beginning. `current_work` went into the round that
    is not over, None if unknown."""

    rounds: Sequence[Round] = ()
    current_work: float | None = None

    def by_block(self) -> dict[int, Round]:
        """Return the rounds by block hash."""
        return {each.block.block_hash: each for each in self.rounds}

    def known_figures(self) -> Iterator[RoundFigures]:
        """Yield the rounds whose luck is known, as history keeps them."""
        for before, each in pairwise(self.rounds):
            if each.luck is not None:
                yield RoundFigures(
                    each.block.block_hash,
                    before.block.block_hash,
                    each.time_to_find or 0.0,
                    each.difficulty,
                    each.expected_work,
                    each.actual_work,
                    each.method,
                )


class ChainBlocks:
    """The shares of the best chain that are blocks. A new best share costs the shares that are new in its chain.
    Bound: MAX_ROUNDS."""

    def __init__(self) -> None:
        self._blocks: BoundedDict[int, PoolBlock] = BoundedDict(MAX_ROUNDS)
        self._top: int | None = None
        self._height = 0

    def of(self, tracker: Tracker, best: int | None) -> list[PoolBlock]:
        """Return the blocks of the chain that ends in `best`."""
        if best is None:
            return []
        height = tracker.height(best)
        if best != self._top or height != self._height:
            if self._walk(tracker, best, self._top) + self._height < height:
                self._walk(tracker, best, None)  # the chain has also grown at its lower end
            self._top, self._height = best, height
        forest = tracker.forest
        return [block for block in self._blocks.values() if forest.is_ancestor(block.block_hash, best)]

    def _walk(self, tracker: Tracker, start: int, end: int | None) -> int:
        """Record the blocks among the shares from `start` down to `end`; return how many shares were walked."""
        walked = 0
        for share in tracker.ancestors(start, tracker.height(start)):
            if share.hash == end:
                break
            walked += 1
            if share.is_block:
                # The Dash network holds the header's time of a block to its limits; the share's timestamp may lag.
                self._blocks[share.hash] = PoolBlock(share.header_timestamp, share.hash, share.hash)
        return walked


class LuckBook:
    """Computes rounds, and remembers those that are known. Bound: MAX_ROUNDS."""

    def __init__(self) -> None:
        self.chain = ChainBlocks()
        self._known: BoundedDict[tuple[int, int], Round] = BoundedDict(MAX_ROUNDS)
        """By the hashes of the blocks at both ends."""
        self._restored: BoundedDict[tuple[int, int], RoundFigures] = BoundedDict(MAX_ROUNDS)
        """What earlier runs knew, by the same keys."""

    def restore(self, rounds: Iterable[RoundFigures]) -> None:
        """Load the rounds that earlier runs knew; those that the shares still tell are computed from them."""
        for each in rounds:
            self._restored[each.start, each.block_hash] = each

    def rounds(
        self,
        tracker: Tracker,
        *,
        best: int | None,
        blocks: Sequence[PoolBlock],
        stale: float,
        samples: Samples,
        now: float,
    ) -> Rounds:
        """Return the rounds between these blocks, which are in the order of time. `stale` is the pool's stale
        proportion."""
        if not blocks:
            return Rounds()
        good = 1 - stale
        rounds = [Round(blocks[0], None, *_difficulty(tracker, blocks[0], samples))]
        for before, block in pairwise(blocks):
            ends = (before.block_hash, block.block_hash)
            known = self._known.get(ends)
            if known is None:
                known = _round(tracker, before=before, block=block, good=good, samples=samples)
                restored = self._restored.get(ends)
                if known.method != "shares" and restored is not None:
                    known = _restored_round(block, restored)
                if known.luck is not None:
                    self._known[ends] = known
            rounds.append(known)
        last = blocks[-1]
        current = _work_of_shares(tracker, first=last.share_hash, last=best, good=good)
        if current is None:
            current = samples.work_between(last.time, now)
        return Rounds(rounds, current)


def _restored_round(block: PoolBlock, figures: RoundFigures) -> Round:
    return Round(
        block,
        figures.time_to_find,
        figures.difficulty,
        figures.expected_work,
        figures.actual_work,
        figures.method,
    )


def _round(tracker: Tracker, *, before: PoolBlock, block: PoolBlock, good: float, samples: Samples) -> Round:
    difficulty, expected = _difficulty(tracker, block, samples)
    actual, method = _work_of_shares(tracker, first=before.share_hash, last=block.share_hash, good=good), "shares"
    if actual is None:
        actual, method = samples.work_between(before.time, block.time), "samples"
        measurements = samples.count_between(before.time, block.time)
    else:
        measurements = _shares_between(tracker, before.share_hash, block.share_hash)
    return Round(
        block,
        max(0.0, block.time - before.time),
        difficulty,
        expected,
        actual,
        None if actual is None else method,
        measurements,
    )


def _shares_between(tracker: Tracker, first: int | None, last: int | None) -> int:
    """Return how many shares came between two of one tree, the first not counted."""
    if first is None or last is None:
        return 0
    return max(0, tracker.height(last) - tracker.height(first))


def _work_of_shares(tracker: Tracker, *, first: int | None, last: int | None, good: float) -> float | None:
    """Return the work that came between two shares, the first not counted; None if they are not in one tree."""
    forest = tracker.forest
    if first is None or last is None or first not in forest or last not in forest:
        return None
    if forest.tail(first) != forest.tail(last):
        return None
    work = forest.work(last) - forest.work(first)
    return work / good if work >= 0 else None


def _difficulty(tracker: Tracker, block: PoolBlock, samples: Samples) -> tuple[float | None, float | None]:
    """Return (the Dash network's difficulty for this block, the work that it takes on average)."""
    share = None if block.share_hash is None else tracker.get(block.share_hash)
    if share is not None:
        target = share.block_target
        return target_to_difficulty(target), float(target_to_average_attempts(target))
    difficulty = samples.difficulty_at(block.time)
    return difficulty, None if difficulty is None else difficulty * HASHES_PER_DIFFICULTY
