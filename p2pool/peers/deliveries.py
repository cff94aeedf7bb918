"""Which hosts deliver shares when they are asked, and how fast. Pure. Called by `download`.

A host that lets its turn pass comes after all others for a while, and longer each time. It is remembered by host:
a new connection does not make it unknown again. Nobody is excluded: it may be the only one that has a share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from p2pool.base.bounded import BoundedDict

FIRST_PENALTY: Final = 30.0
LONGEST_PENALTY: Final = 1920.0
"""Seconds in which others are asked first: doubled with each turn that is lost."""
FORGIVEN_AFTER: Final = 600.0
"""Seconds after a penalty until the next one is the first again."""
UNKNOWN_RATE: Final = 10.0
"""Shares per second: who is slower, or has nothing, comes after those that have not been asked yet."""
KEPT: Final = 0.5
"""Weight of the newest answer in a host's rate."""
_HOSTS: Final = 1024


@dataclass(slots=True)
class _Host:
    rate: float | None = None
    lost: int = 0
    until: float = 0.0


class Deliveries:
    """What each host did when it was asked. Bound: _HOSTS; the host seen first is forgotten first."""

    def __init__(self) -> None:
        self._hosts: BoundedDict[str, _Host] = BoundedDict(_HOSTS)

    def delivered(self, host: str, shares: int, seconds: float) -> None:
        """Take note of an answer with so many new shares, `seconds` after it was asked for."""
        known = self._hosts.setdefault(host, _Host())
        rate = shares / max(seconds, 0.01)
        known.rate = rate if known.rate is None else known.rate + KEPT * (rate - known.rate)

    def lost_turn(self, host: str, now: float) -> None:
        """Take note that a host let its turn pass, or answered something else."""
        known = self._hosts.setdefault(host, _Host())
        if now > known.until + FORGIVEN_AFTER:
            known.lost = 0
        known.until = now + min(LONGEST_PENALTY, FIRST_PENALTY * 2.0**known.lost)
        known.lost = min(known.lost + 1, 16)

    def has_penalty(self, host: str, now: float) -> bool:
        """Return whether others are asked first."""
        known = self._hosts.get(host)
        return known is not None and now < known.until

    def lost_turns(self, host: str) -> int:
        """Return how many turns a host has lost lately."""
        known = self._hosts.get(host)
        return 0 if known is None else known.lost

    def rate(self, host: str) -> float:
        """Return the shares per second that a host delivers; UNKNOWN_RATE if it has not been asked yet."""
        known = self._hosts.get(host)
        return UNKNOWN_RATE if known is None or known.rate is None else known.rate
