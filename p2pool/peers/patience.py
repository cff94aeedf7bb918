"""How long a peer may take for one answer before its turn goes to the next one. Pure. Called by `share_requests`.

A turn that is over costs the peer neither its connection nor its request: it may be slow and honest, and what it
sends is still taken. Another peer is asked as well.
"""

from __future__ import annotations

from typing import Final

STALL: Final = 3.0
"""Seconds without a byte of the answer. Three times the slowest round trip that is seen in practice."""
MIN_RATE: Final = 10_000
"""Bytes per second of the answer, after the first STALL seconds: about 15 shares. If several peers are sending
answers, they need so much together: the line of this node may be what is slow."""
LONGEST: Final = 20.0
"""Seconds of a turn, however fast the bytes come: nothing proves that they are shares before the last one."""
MOST_WAITING: Final = 10.0
"""Seconds for which an answer may wait in this node without being counted."""


class Patience:
    """Judges one answer by its progress. `now` is a monotonic clock's time in seconds."""

    __slots__ = ("_asked_at", "_done", "_progress_at", "_waited", "_waited_at", "received")

    def __init__(self, now: float) -> None:
        self._asked_at = self._progress_at = self._waited_at = now
        self._waited = 0.0
        self._done = False
        self.received = 0
        """Bytes of the answer that have come."""

    def heard(self, received: int, now: float) -> None:
        """Take how many bytes of the answer have come so far."""
        if received > self.received:
            self.received, self._progress_at = received, now

    def wait(self, now: float) -> None:
        """Note that what the peer sent is waiting here; to be called about once a second while it does."""
        pause = min(1.0, max(0.0, now - self._waited_at), MOST_WAITING - self._waited)
        self._waited_at = now
        self._waited += pause
        self._asked_at += pause
        self._progress_at += pause

    def complete(self) -> None:
        """Note that the answer is here, however long this node works on it."""
        self._done = True

    def is_spent(self, now: float, answering: int = 1) -> bool:
        """Return whether the turn is over; `answering` is how many peers are sending answers."""
        elapsed = now - self._asked_at
        return not self._done and (
            now - self._progress_at > STALL
            or self.received * max(1, answering) < MIN_RATE * (elapsed - STALL)
            or elapsed > LONGEST
        )
