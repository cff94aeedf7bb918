"""The peers by software and announced protocol, and a software of which all peers were lost. Pure. Called by
`peer_watch`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from p2pool.peers.software import OTHER
from p2pool.pool_stats import LostSoftware, SoftwareCount

MAX_ROWS = 12
"""Rows of software and protocol that are shown; the rest is counted together."""
MAX_NAMES = 16
"""Names of software that are watched."""
ESTABLISHED = 1800.0
"""Seconds for which nodes of a software have to be connected before their loss counts."""
GAP = 60.0
"""Seconds without any of them that do not count as an interruption: connections are made anew."""
FORGOTTEN = 86_400.0
"""Seconds after which a software that was lost is no longer missed."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A connected peer, as it is counted."""

    software: str
    protocol: int
    incoming: bool


def count_software(peers: Iterable[Counted]) -> tuple[SoftwareCount, ...]:
    """Return the peers by software and protocol, those with most peers first."""
    counts: Counter[tuple[str, int, bool]] = Counter((p.software, p.protocol, p.incoming) for p in peers)
    keys = sorted(
        {(software, protocol) for software, protocol, _ in counts},
        key=lambda key: (-counts[*key, True] - counts[*key, False], key),
    )
    rows = [SoftwareCount(*key, counts[*key, True], counts[*key, False]) for key in keys]
    rest = rows[MAX_ROWS:]
    if rest:
        others = SoftwareCount(OTHER, None, sum(r.incoming for r in rest), sum(r.outgoing for r in rest))
        rows = [*rows[:MAX_ROWS], others]
    return tuple(rows)


@dataclass(slots=True)
class _Presence:
    since: float
    last: float
    most: int = 0

    @property
    def is_established(self) -> bool:
        return self.last - self.since >= ESTABLISHED


class SoftwareWatch:
    """The software that was connected for long and no longer is. Bound: MAX_NAMES, and none is pushed out by what
    others call themselves once its nodes were connected for ESTABLISHED seconds."""

    def __init__(self) -> None:
        self._seen: dict[str, _Presence] = {}

    def observe(self, software: Iterable[str], now: float) -> None:
        """Take note of the connected peers' software. `now` never jumps; to be called every few seconds."""
        present = Counter(software)
        for name, seen in list(self._seen.items()):
            away = now - seen.last
            if name not in present and away > (FORGOTTEN if seen.is_established else GAP):
                del self._seen[name]
        for name, count in present.items():
            if name not in self._seen and len(self._seen) >= MAX_NAMES:
                continue
            seen = self._seen.setdefault(name, _Presence(now, now))
            seen.last = now
            seen.most = max(seen.most, count)

    def lost(self, now: float) -> tuple[LostSoftware, ...]:
        """Return what is missed since the last `observe` that saw it, longest first."""
        missed = [
            LostSoftware(name, now - seen.last, seen.most)
            for name, seen in self._seen.items()
            if seen.is_established and now - seen.last > GAP
        ]
        return tuple(sorted(missed, key=lambda each: -each.lost_for))
