"""Getting a found block to dashd, whatever it takes, and saying what became of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pool.base.files import write_file
from p2pool.base.observable import Event
from p2pool.dashd.rpc import RpcError, RpcUnavailable

_log = Logger(namespace="p2pool.blocks")

FIRST_RETRY, RETRY_PERIOD = 0.25, 2.0
"""Seconds before a block is offered again: at first (a connection that was just closed), and later on."""
RETRY_TIME = 3600.0
"""A block is offered again for so many seconds; by then it is long buried by others."""
OTHER_ROAD_AFTER = 1.0
ALREADY_THERE, NOT_BEST = "duplicate", "inconclusive"
"""dashd holds the block; whether in its best chain, it does not say with this."""
PARENT_MISSING = "prev-blk-not-found"
"""Passes: a dashd that was killed gets the parent from its peers again."""
BEATEN = "another block of its height came first"
_FINAL_ERRORS = frozenset({-22})
"""The block cannot be decoded: asking again changes nothing. Any other error (warming up, ...) may pass."""


class BlockSink(Protocol):
    """Takes a block: None for accepted, else the reason. Raises RpcError, RpcUnavailable."""

    async def submit_block(self, data: bytes) -> str | None:
        """See DashdService."""

    async def confirmations(self, block_hash: int) -> int | None:
        """See DashdService."""


class BlockSubmitter:
    """Offers each block until dashd has answered. A block is a file for as long as it is not accepted: `.pending`
    while it waits (offered again after a restart), `.hex` where it was refused, for people to look at.

    `result` fires with (block hash, reason), an empty reason for accepted. `delayed` fires with (height, block),
    once, where dashd has not answered soon: there may be another road to it. That one comes second because of a
    block that arrives on both at once dashd says no more than that it is a duplicate.
    """

    def __init__(
        self, reactor: Any, sink: BlockSink, directory: Path, run_in_thread: Callable[..., Deferred[Any]]
    ) -> None:
        self.result: Event[tuple[int, str]] = Event()
        self.delayed: Event[tuple[int, bytes]] = Event()
        self._reactor = reactor
        self._sink = sink
        self._directory = directory
        self._run_in_thread = run_in_thread
        self._tasks: dict[int, Deferred[None]] = {}
        """By block hash. Bound: blocks are as rare as their work is hard, and each ends after RETRY_TIME."""

    def offer(self, block_hash: int, height: int, data: bytes) -> None:
        """Send a block to dashd now, and again until it is answered."""
        if block_hash in self._tasks:
            return
        pending = self._directory / f"{height}-{block_hash:064x}.pending"
        task = Deferred.fromCoroutine(self._submit(block_hash, height, data, pending))
        if not task.called:
            self._tasks[block_hash] = task
        task.addBoth(self._ended, block_hash)

    def _ended(self, result: object, block_hash: int) -> None:
        self._tasks.pop(block_hash, None)
        if isinstance(result, Failure) and not result.check(CancelledError):
            _log.failure("sending a block failed", result)

    async def resume(self) -> None:
        """Offer what an earlier run had to leave. A block that is long there is a duplicate, and done with."""
        for block_hash, height, data in await self._run_in_thread(lambda: _read_pending(self._directory)):
            _log.info("block {height} {block_hash:064x} is offered again", height=height, block_hash=block_hash)
            self.offer(block_hash, height, data)

    async def stop(self) -> None:
        """Give up what is under way; it is on disk when this returns."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await DeferredList(tasks, consumeErrors=True)

    async def _submit(self, block_hash: int, height: int, data: bytes, pending: Path) -> None:
        # Both at once: neither a slow disk nor a slow dashd holds up the other.
        asked = Deferred.fromCoroutine(self._sink.submit_block(data))
        keeping = Deferred.fromCoroutine(self._keep(pending, data))
        other_road = self._reactor.callLater(OTHER_ROAD_AFTER, self.delayed.fire, (height, data))
        try:
            reason = await self._ask_until_answered(block_hash, height, data, asked)
        except CancelledError:
            await keeping
            raise
        finally:
            if other_road.active():
                other_road.cancel()
        await self._settle(block_hash, height, reason, pending, keeping)

    async def _ask_until_answered(
        self, block_hash: int, height: int, data: bytes, asked: Deferred[str | None]
    ) -> str | None:
        """What dashd says in the end, or why it was given up."""
        deadline = self._reactor.seconds() + RETRY_TIME
        complained, wait = False, FIRST_RETRY
        while True:
            try:
                reason = await asked
                if reason != PARENT_MISSING:
                    return reason
                raise RpcUnavailable(f"dashd says {reason}")
            except CancelledError:
                raise
            except Exception as error:
                if isinstance(error, RpcError) and error.code in _FINAL_ERRORS:
                    return str(error)
                if not complained:
                    complained = True
                    self._complain(block_hash, height, error)
                if self._reactor.seconds() >= deadline:
                    return f"not taken within {RETRY_TIME:g} s: {error}"
            await deferLater(self._reactor, wait, lambda: None)
            wait = min(wait * 2, RETRY_PERIOD)
            asked = Deferred.fromCoroutine(self._sink.submit_block(data))

    def _complain(self, block_hash: int, height: int, error: Exception) -> None:
        if not isinstance(error, RpcError | RpcUnavailable):
            # A defect of ours must not cost the block either.
            _log.failure("sending block {height} failed", height=height)
        _log.error(
            "block {height} {block_hash:064x} NOT YET SENT: {error}; trying again every {period:g} s",
            height=height,
            block_hash=block_hash,
            error=error,
            period=RETRY_PERIOD,
        )

    async def _settle(
        self, block_hash: int, height: int, reason: str | None, pending: Path, keeping: Deferred[bool]
    ) -> None:
        if reason in (ALREADY_THERE, NOT_BEST):
            depth = await self._sink.confirmations(block_hash)
            beaten = depth < 0 if depth is not None else reason == NOT_BEST
            reason = BEATEN if beaten else None
        if reason in (None, BEATEN):
            _log.info(
                "block {height} {block_hash:064x} {what}",
                height=height,
                block_hash=block_hash,
                what="accepted by dashd" if reason is None else f"is valid, but {BEATEN}",
            )
            self.result.fire((block_hash, reason or ""))
            if await keeping:
                await self._file_action(pending, lambda: pending.unlink(missing_ok=True))
            return
        kept = self._directory / f"{block_hash:064x}.hex"
        held = await keeping and await self._file_action(pending, lambda: os.replace(pending, kept))
        _log.error(
            "block {height} {block_hash:064x} REFUSED by dashd: {reason}; the block is {kept}",
            height=height,
            block_hash=block_hash,
            reason=reason,
            kept=f"kept in {kept}" if held else "lost",
        )
        self.result.fire((block_hash, reason or "refused"))

    async def _keep(self, path: Path, data: bytes) -> bool:
        """Write the block's hex to disk, as `dash-cli submitblock` takes it. False where that failed."""
        return await self._file_action(path, lambda: write_file(path, data.hex().encode() + b"\n"))

    async def _file_action(self, path: Path, action: Callable[[], None]) -> bool:
        try:
            await self._run_in_thread(action)
        except OSError as error:
            _log.error("the file of a found block, {path}: {error}", path=str(path), error=error)
            return False
        return True


def _read_pending(directory: Path) -> list[tuple[int, int, bytes]]:
    """(block hash, height, block) of each `.pending` file; what cannot be read stays where it is, with a line."""
    blocks = []
    for path in sorted(directory.glob("*.pending")):
        try:
            height, _, block_hash = path.stem.partition("-")
            blocks.append((int(block_hash, 16), int(height), bytes.fromhex(path.read_text("ascii"))))
        except (OSError, ValueError) as error:
            _log.warn("{path} is not a block to offer again: {error}", path=str(path), error=error)
    return blocks
