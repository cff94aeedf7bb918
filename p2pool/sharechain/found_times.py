"""When shares were found, for people: ages, hash rates, times until something.

The timestamp of a share is part of the consensus and lies 1 to 2 * share_period - 1 seconds after its parent's: in
a pool that is slower it lags behind without end. Better sources are:

- when this node first saw the share, if it came live: found by a miner here, or sent by a peer as the newest
  share. A share that was downloaded, imported or loaded from an old store has no such time;
- the time in its header, which is the clock of its finder's dashd. No rule checks it, so it is believed only as
  far as its neighbours in the chain agree: the median of up to eleven shares takes its place. A miner who makes
  fewer than half of eleven successive shares moves none of them by more than eleven places, and most by none.

A first-seen time is believed if header times confirm that this node's clock was right, so that a clock that was
set (or wrong at the start) does not spoil the figures. Nothing here decides about the validity of a share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import median
from typing import NamedTuple

from p2pool.sharechain.forest import ChainEntry
from p2pool.sharechain.tracker import Tracker

AGREEMENT = 600.0
"""Seconds. Work may be minutes old when a share is found on it; clocks of computers on the network differ less."""
NEIGHBOURS = 5
"""Shares on either side that a header time is compared with."""
BELOW = 11
"""Shares below that a header time cannot precede, by their median."""
_WITNESSES = 3
"""Minimum number of live neighbours that confirm this machine's clock if a share's own header does not."""


class FoundSource(Enum):
    """What a `FoundTime` rests on."""

    FIRST_SEEN = "first_seen"
    HEADER = "header"


class FoundTime(NamedTuple):
    """When a share was found, Unix seconds, and how that is known."""

    time: float
    source: FoundSource


@dataclass(frozen=True, slots=True)
class Sighting:
    """What is known of one share. `live` says whether it came as it was found."""

    header_time: float
    first_seen: float
    live: bool

    @property
    def agrees(self) -> bool:
        """Return whether it came live and its header confirms this machine's clock."""
        return self.live and abs(self.first_seen - self.header_time) <= AGREEMENT


def found_times(
    chain: Sequence[Sighting], now: float, *, start: int = 0, end: int | None = None
) -> list[FoundTime]:
    """Return when the shares `chain[start:end]` were found. `chain` is one chain, the newest share first; those
    around that range help to judge it. Header times in the future count as `now`, Unix seconds."""
    values = [each.first_seen if each.agrees else min(each.header_time, now) for each in chain]
    return [_found(chain, values, index) for index in range(start, len(chain) if end is None else end)]


def _found(chain: Sequence[Sighting], values: Sequence[float], index: int) -> FoundTime:
    if chain[index].agrees or _clock_was_right(chain, index):
        return FoundTime(chain[index].first_seen, FoundSource.FIRST_SEEN)
    # If there are as many on both sides, honest times stay as they are: they ascend.
    radius = min(NEIGHBOURS, index, len(values) - 1 - index)
    time = median(values[index - radius : index + radius + 1])
    below = values[index + 1 : index + 1 + BELOW]
    if len(below) >= _WITNESSES:
        time = max(time, median(below))
    if index + 1 < len(chain) and chain[index + 1].agrees:
        time = max(time, values[index + 1])
    return FoundTime(time, FoundSource.HEADER)


def _clock_was_right(chain: Sequence[Sighting], index: int) -> bool:
    """Return whether a live share whose header disagrees came among live ones whose headers agree: its header
    lies."""
    if not chain[index].live:
        return False
    around = (*chain[max(0, index - NEIGHBOURS) : index], *chain[index + 1 : index + 1 + NEIGHBOURS])
    live = [each.agrees for each in around if each.live]
    return sum(live) >= _WITNESSES and 2 * sum(live) > len(live)


class FoundTimes:
    """Finding times of held shares. `best` is the best share, None for none; `now` Unix seconds."""

    def __init__(self, tracker: Tracker, best: int | None, now: float) -> None:
        self._tracker = tracker
        self._best = best
        self._now = now

    def of(self, share_hash: int) -> FoundTime:
        """Return when a held share was found. KeyError if it is not held."""
        entry = self._tracker.forest.nodes[share_hash]
        sighting = self._sighting(entry)
        if sighting.agrees:  # whatever its neighbours say
            return FoundTime(sighting.first_seen, FoundSource.FIRST_SEEN)
        return self.of_chain(share_hash, 1)[0]

    def _sighting(self, entry: ChainEntry) -> Sighting:
        arrival = self._tracker.arrival(entry.share.hash)
        return Sighting(entry.share.header_timestamp, arrival.time_seen, arrival.live)

    def of_chain(self, share_hash: int, count: int) -> list[FoundTime]:
        """Return when a held share and its ancestors were found, as many of `count` as are held, newest first."""
        top, above = self._top(share_hash)
        sightings: list[Sighting] = []
        walk: ChainEntry | None = top
        while walk is not None and len(sightings) < above + count + BELOW:
            sightings.append(self._sighting(walk))
            walk = walk.parent
        return found_times(sightings, self._now, start=above, end=min(len(sightings), above + count))

    def _top(self, share_hash: int) -> tuple[ChainEntry, int]:
        """Return the share of the best chain that is up to NEIGHBOURS above this one, and how many. Above a share
        that is not in the best chain nothing is read: anybody can make such forks."""
        forest = self._tracker.forest
        node = forest.nodes[share_hash]
        best = None if self._best is None else forest.nodes.get(self._best)
        if best is None or not forest.is_ancestor(share_hash, best.share.hash):
            return node, 0
        distance = best.depth - node.depth
        above = min(NEIGHBOURS, distance)
        top = forest.nth_parent_node(best, distance - above)
        return (node, 0) if top is None else (top, above)

    def span(self, share_hash: int, count: int) -> float | None:
        """Return the seconds between the first and the last of `count` shares that end in this one; None if
        header times make no sense, or if fewer are held."""
        far = self._tracker.nth_parent(share_hash, count - 1)
        if far is None:
            return None
        seconds = self.of(share_hash).time - self.of(far.hash).time
        return seconds if seconds > 0 else None
