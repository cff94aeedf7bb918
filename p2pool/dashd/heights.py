"""Heights of blocks that shares were mined on, requested from dashd in the background.

The choice between chains needs them and must not wait: what is not known yet counts as unknown, is requested
here, and the choice is made again when the answer has come.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from p2pool.base.bounded import BoundedDict
from p2pool.dash.hashes import hash_hex
from p2pool.dashd.rpc import Caller, RpcError, RpcUnavailable

_log = Logger(namespace="p2pool.dashd")

MAX_QUEUE = 2_000
"""Hashes that wait; a tail is judged by a sixteenth of the chain's length (270 of them)."""
ASK_AGAIN = 60.0
"""Seconds before a block that dashd did not know is asked for again."""


class BlockHeights:
    """Requests heights of blocks; `learned(block hash, height)` is called once dashd has answered."""

    def __init__(self, rpc: Caller, learned: Callable[[int, int], None], clock: Callable[[], float]) -> None:
        self._rpc = rpc
        self._learned = learned
        self._clock = clock
        self._queue: dict[int, None] = {}
        self._not_known: BoundedDict[int, float] = BoundedDict(MAX_QUEUE)
        """Block hash -> when dashd did not know it."""
        self._task: Deferred[None] | None = None

    def request(self, block_hash: int) -> None:
        """Ask for a block's height, unless that is under way or was in vain a moment ago."""
        if block_hash in self._queue or len(self._queue) >= MAX_QUEUE:
            return
        asked = self._not_known.get(block_hash)
        if asked is not None and abs(self._clock() - asked) < ASK_AGAIN:
            return
        self._queue[block_hash] = None
        if self._task is None:
            self._task = task = Deferred.fromCoroutine(self._ask())
            task.addBoth(self._asked)

    def stop(self) -> None:
        """Give up what is under way."""
        if self._task is not None:
            self._task.cancel()

    def _asked(self, result: object) -> None:
        self._task = None
        self._queue.clear()

    async def _ask(self) -> None:
        """Request the heights one after another: they are not urgent, and templates must not wait behind them."""
        while self._queue:
            block_hash = next(iter(self._queue))
            try:
                header = await self._rpc.call("getblockheader", hash_hex(block_hash))
            except RpcError:
                self._not_known[block_hash] = self._clock()
            except (RpcUnavailable, CancelledError):
                return  # the next choice asks again
            else:
                height = header.get("height") if isinstance(header, dict) else None
                if isinstance(height, int) and not isinstance(height, bool) and 0 <= height < 2**32:
                    self._learned(block_hash, height)
                else:
                    self._not_known[block_hash] = self._clock()
            self._queue.pop(block_hash, None)
