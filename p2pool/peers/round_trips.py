"""How long each peer takes to answer: measured now and then by asking for a share that cannot be."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from p2pool.peers.session import PeerSession
from p2pool.peers.share_intake import Answer

FIRST_AFTER = 10.0
"""Seconds after the handshake: at first both sides are busy with what they send each other."""
PERIOD = 60.0
KEPT = 3
"""The shortest of so many is the answer: what lies above it is the peer's other work, not the way to it."""
NO_SHARE = 0
"""No share has this hash, so every node answers at once and with nothing."""


@dataclass(slots=True)
class _Measured:
    due: float
    times: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))


class RoundTrips:
    """Round-trip times in seconds, by connection. Bound: one entry for each open connection."""

    def __init__(self, monotonic: Callable[[], float], rng: random.Random) -> None:
        self._monotonic = monotonic
        self._rng = rng
        self._measured: dict[PeerSession, _Measured] = {}

    def step(self, peers: Sequence[PeerSession]) -> None:
        """Ask the peers that are due and have nothing else to answer. To be called once a second."""
        now = self._monotonic()
        for peer in peers:
            measured = self._measured.setdefault(peer, _Measured(now + FIRST_AFTER))
            if now >= measured.due and not peer.requests:
                measured.due = now + PERIOD
                self._ask(peer, measured, now)

    def _ask(self, peer: PeerSession, measured: _Measured, now: float) -> None:
        def answered(shares: Answer | None) -> None:
            if shares is not None:
                measured.times.append(max(0.0, self._monotonic() - now))

        peer.request(self._rng.getrandbits(256), NO_SHARE, parents=0, stops=(), now=now, answered=answered)

    def of(self, peer: PeerSession) -> float | None:
        """Return the shortest of the last few; None if none is known yet."""
        measured = self._measured.get(peer)
        return min(measured.times) if measured is not None and measured.times else None

    def forget(self, peer: PeerSession) -> None:
        """Forget a connection that has ended."""
        self._measured.pop(peer, None)
