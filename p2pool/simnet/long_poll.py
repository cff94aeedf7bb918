"""Long polls: calls of getblocktemplate that are answered when the tip changes or, later, the mempool grew."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from p2pool.simnet.chain import SimulatedChain
from p2pool.simnet.index import ChainBlock

# More waiting calls than a node and its operator's tools have; beyond it a call is answered at once.
_MAX_WAITING = 64
_RECHECK_SECONDS = 10.0
"""After the patience has passed, the mempool is checked again this often, as Dash Core does."""


class _WaitingCall:
    __slots__ = ("deferred", "timer", "updates")

    def __init__(self, updates: int) -> None:
        self.updates = updates
        self.deferred: Deferred[None] = Deferred()
        self.timer: IDelayedCall | None = None


class LongPolls:
    """The calls that wait on one chain."""

    def __init__(self, chain: SimulatedChain, reactor: IReactorTime, patience: float) -> None:
        self._chain = chain
        self._reactor = reactor
        self._patience = patience
        self._waiting: set[_WaitingCall] = set()
        self._unsubscribe = chain.tip_changed.subscribe(self._tip_changed)

    async def wait(self, watched_tip: str, updates: int) -> None:
        """Return when the tip is another than `watched_tip` (64 hex digits), or when after some patience the
        mempool's counter is another than `updates`."""
        if self._chain.tip_hash != watched_tip or len(self._waiting) >= _MAX_WAITING:
            return
        waiting = _WaitingCall(updates)
        self._waiting.add(waiting)
        waiting.timer = self._reactor.callLater(self._patience, self._check_mempool, waiting)
        try:
            await waiting.deferred
        finally:  # also if the caller went away and the wait was cancelled
            self._waiting.discard(waiting)
            if waiting.timer is not None:
                waiting.timer.cancel()

    def release(self) -> None:
        """Answer all calls now: the service stops."""
        self._unsubscribe()
        self._release_all()

    def _tip_changed(self, tip: ChainBlock) -> None:
        self._release_all()

    def _release_all(self) -> None:
        for waiting in tuple(self._waiting):
            self._finish(waiting)

    def _check_mempool(self, waiting: _WaitingCall) -> None:
        waiting.timer = None
        if self._chain.mempool.updates != waiting.updates:
            self._finish(waiting)
        else:
            waiting.timer = self._reactor.callLater(_RECHECK_SECONDS, self._check_mempool, waiting)

    def _finish(self, waiting: _WaitingCall) -> None:
        self._waiting.discard(waiting)
        waiting.deferred.callback(None)
