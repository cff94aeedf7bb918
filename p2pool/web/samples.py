"""What the figures were in the last hour, day and month: samples in rings of fixed size, for graphs.

`Views` feeds a sample whenever another ten seconds begin; each ring keeps the means of its own periods. What
earlier runs left of them comes from history's database, once that is open.
"""

from __future__ import annotations

import heapq
import math
from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from p2pool.history.records import PERIOD, POOL_FIGURES
from p2pool.history.restoring import RestoredSample

TRAFFIC: Final = ("peer_bytes_received", "peer_bytes_sent")
"""Bytes a second, exchanged with other nodes. Known since this start only: history does not keep them."""
SCALARS: Final = (*POOL_FIGURES, *TRAFFIC)
"""One number each; NaN if unknown."""
KEYED: Final = ("worker_hash_rates", "worker_dead_hash_rates", "payouts", "version_rates")
"""One number a name."""
KEPT: Final = 20
"""Names that a keyed figure keeps, those with the greatest numbers: as many as a graph can show."""
HASHES_PER_DIFFICULTY: Final = 2.0**32
_INDEX: Final = {name: index for index, name in enumerate(SCALARS)}


@dataclass(frozen=True, slots=True)
class Keyed:
    """Numbers by name, packed: there are thousands of these."""

    names: tuple[str, ...]
    values: array[float]

    def items(self) -> Iterator[tuple[str, float]]:
        """Yield (name, number) of each entry."""
        return zip(self.names, self.values, strict=True)


_NOTHING: Final = Keyed((), array("f"))


def keyed(numbers: Mapping[str, float]) -> Keyed:
    """Return the KEPT greatest entries."""
    if not numbers:
        return _NOTHING
    kept = heapq.nlargest(KEPT, numbers, key=numbers.__getitem__) if len(numbers) > KEPT else list(numbers)
    kept.sort()
    return Keyed(tuple(kept), array("f", [numbers[name] for name in kept]))


@dataclass(frozen=True, slots=True)
class Sample:
    """The means of one period, which began at `start` (Unix seconds). `scalars` in the order of SCALARS, `keyed`
    in that of KEYED."""

    start: float
    scalars: array[float]
    keyed: tuple[Keyed, ...]

    def scalar(self, name: str) -> float | None:
        """Return one of SCALARS; None if it was unknown."""
        value = self.scalars[_INDEX[name]]
        return None if math.isnan(value) else value

    def of(self, name: str) -> Keyed:
        """Return the entries of one of KEYED."""
        return self.keyed[KEYED.index(name)]


def make_sample(
    now: float, scalars: Mapping[str, float | None], named: Mapping[str, Mapping[str, float]]
) -> Sample:
    """Return a sample of the current time; figures that are not given are unknown."""
    values = [scalars.get(name) for name in SCALARS]
    return Sample(
        now,
        array("d", [math.nan if value is None else value for value in values]),
        tuple(keyed(named.get(name, {})) for name in KEYED),
    )


def _restored_sample(each: RestoredSample) -> Sample:
    named = {
        "worker_hash_rates": each.workers,
        "worker_dead_hash_rates": each.dead,
        "payouts": each.payouts,
        "version_rates": each.versions,
    }
    return make_sample(each.start, dict(zip(POOL_FIGURES, each.pool, strict=True)), named)


def restored_samples(restored: Mapping[int, Sequence[RestoredSample]]) -> dict[int, list[Sample]]:
    """Return what `Samples.restore` takes. There are thousands: that takes too long for the reactor's thread."""
    return {period: [_restored_sample(each) for each in samples] for period, samples in restored.items()}


class Ring:
    """The means over periods of `period` seconds, the last `size` of them."""

    def __init__(self, period: int, size: int) -> None:
        self.period = period
        self._done: deque[Sample] = deque(maxlen=size - 1)
        self._slot: int | None = None
        self._listed: list[Sample] | None = None
        self._open: list[Sample] = []
        """The samples of the current period. Bound: period / PERIOD, if the clock does not step."""

    def add(self, sample: Sample) -> None:
        """Count a sample. If the clock steps back the sample counts into the newest period; if it steps farther
        than the ring reaches the ring is reset."""
        slot, self._listed = int(sample.start // self.period), None
        if self._slot is not None and slot < self._slot - (self._done.maxlen or 0):
            self._done.clear()
            self._open.clear()
            self._slot = None
        if self._slot is None or slot > self._slot:
            if self._open:
                self._done.append(self._mean())
            self._open, self._slot = [], slot
        if len(self._open) <= self.period // PERIOD:
            self._open.append(sample)

    def _mean(self) -> Sample:
        samples, start = self._open, float((self._slot or 0) * self.period)
        if len(samples) == 1:
            return Sample(start, samples[0].scalars, samples[0].keyed)
        scalars = array("d")
        for column in zip(*(sample.scalars for sample in samples), strict=True):
            known = [value for value in column if not math.isnan(value)]
            scalars.append(sum(known) / len(known) if known else math.nan)
        named = []
        for index in range(len(KEYED)):
            sums: dict[str, float] = {}
            for sample in samples:
                for name, value in sample.keyed[index].items():
                    sums[name] = sums.get(name, 0.0) + value
            named.append(keyed({name: total / len(samples) for name, total in sums.items()}))
        return Sample(start, scalars, tuple(named))

    def restore(self, older: Sequence[Sample]) -> None:
        """Put periods of an earlier run, the oldest first, before those that there are."""
        before = self.oldest
        kept = [sample for sample in older if before is None or sample.start < before]
        self._done, self._listed = deque((*kept, *self._done), maxlen=self._done.maxlen), None

    @property
    def oldest(self) -> float | None:
        """Return when the oldest period began; None before the first sample."""
        if self._done:
            return self._done[0].start
        return self._open[0].start if self._open else None

    def __len__(self) -> int:
        return len(self._done) + bool(self._open)

    def ends(self) -> tuple[Sample, Sample] | None:
        """Return the oldest and the newest sample; None before the first."""
        if not self._open:
            return None
        newest = self._mean()
        return (self._done[0] if self._done else newest), newest

    def samples(self) -> list[Sample]:
        """Return all samples, the oldest first, the current period as it is so far."""
        if self._listed is None:
            self._listed = [*self._done, *([self._mean()] if self._open else [])]
        return self._listed

    def after(self, when: float) -> Iterator[Sample]:
        """Iterate over the period that contains `when`, if it is there, and all later ones."""
        samples = self.samples()
        first = bisect_right(samples, when - self.period, key=lambda sample: sample.start)
        return islice(samples, first, None)


def _integrate(
    ring: Ring, rate: Callable[[Sample], float | None], *, start: float, end: float
) -> tuple[float, float]:
    """Return (a rate integrated over a time, the seconds in which it is known)."""
    total = covered = 0.0
    for sample in ring.after(start):
        if sample.start >= end:
            break
        length = min(end, sample.start + ring.period) - max(start, sample.start)
        value = rate(sample)
        if length > 0 and value is not None:
            total += value * length
            covered += length
    return total, covered


def _blocks_a_second(sample: Sample) -> float | None:
    rate, difficulty = sample.scalar("pool_hash_rate"), sample.scalar("network_difficulty")
    return rate / (difficulty * HASHES_PER_DIFFICULTY) if rate is not None and difficulty else None


class Samples:
    """The pool's figures of the last hour, day and month, as rings of samples."""

    def __init__(self) -> None:
        self.hour = Ring(PERIOD, 360)
        self.day = Ring(60, 1440)
        self.month = Ring(600, 4320)
        self.rendered: dict[tuple[str, ...], bytes] = {}
        """Graphs made from the samples of now. Bound: the sources and spans that there are."""
        self.first: float | None = None
        """When the first was made: the period that it is in began earlier."""
        self.newest: float | None = None
        """When the newest was made."""

    def due(self, now: float) -> bool:
        """Return whether another period has begun since the last sample."""
        return self.newest is None or now // PERIOD != self.newest // PERIOD

    def add(self, sample: Sample) -> None:
        """Take a sample of this moment."""
        self.newest = sample.start
        self.first = sample.start if self.first is None else min(self.first, sample.start)
        self.rendered = {}
        for ring in (self.hour, self.day, self.month):
            ring.add(sample)

    def restore(self, restored: Mapping[int, Sequence[Sample]]) -> None:
        """Load what an earlier run stored, by the rings' periods (`restored_samples` makes it)."""
        for ring in (self.hour, self.day, self.month):
            ring.restore(restored.get(ring.period, ()))
        starts = [ring.oldest for ring in (self.hour, self.day, self.month) if ring.oldest is not None]
        if starts:
            self.first = min(starts)
        self.rendered = {}

    def work_between(self, start: float, end: float) -> float | None:
        """Return the hashes that the pool made from `start` to `end` (Unix seconds), by its sampled hash rate;
        None if it was not sampled all the while."""
        ring = self._reaching(start)
        if ring is None or end <= start:
            return None
        total, covered = _integrate(ring, lambda sample: sample.scalar("pool_hash_rate"), start=start, end=end)
        # A sample or two may be missing, at the ends above all.
        return total / covered * (end - start) if covered >= 0.9 * (end - start) else None

    def count_between(self, start: float, end: float) -> int:
        """Return how many samples `work_between` sums up."""
        ring = self._reaching(start)
        return 0 if ring is None else sum(1 for sample in ring.after(start) if sample.start < end)

    def expected_blocks(self, start: float, end: float) -> tuple[float, float]:
        """Return (blocks that the pool should have found on average in the sampled part of a time, that part's
        seconds)."""
        ring = self._reaching(start) or self.month
        # The period that the first sample lies in began before it.
        return _integrate(ring, _blocks_a_second, start=max(start, self.first or start), end=end)

    def difficulty_at(self, when: float) -> float | None:
        """Return the Dash network's difficulty at a time; None if it was not sampled."""
        ring = self._reaching(when)
        if ring is None:
            return None
        nearest = next(ring.after(when), None)
        near = nearest is not None and nearest.start < when + 2 * ring.period
        return nearest.scalar("network_difficulty") if nearest is not None and near else None

    def _reaching(self, when: float) -> Ring | None:
        """Return the finest ring that reaches back to `start`."""
        if self.first is None or when < self.first:
            return None
        for ring in (self.hour, self.day, self.month):
            if ring.oldest is not None and ring.oldest <= when:
                return ring
        return None
