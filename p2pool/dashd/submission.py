"""Getting a found block to dashd, whatever it takes, and saying what became of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from p2pool.base.observable import Event
from p2pool.dashd.rpc import RpcError, RpcUnavailable

_log = Logger(namespace="p2pool.blocks")

RETRY_PERIOD = 2.0
RETRY_TIME = 3600.0
"""A block is offered again for so many seconds; by then it is long buried by others."""
ALREADY_THERE = "duplicate"
_FINAL_ERRORS = frozenset({-22})
"""The block cannot be decoded: asking again changes nothing. Any other error (warming up, ...) may pass."""


class BlockSink(Protocol):
    """Takes a block: None for accepted, else the reason. Raises RpcError, RpcUnavailable."""

    async def submit_block(self, data: bytes) -> str | None:
        """See DashdService."""


class BlockSubmitter:
    """Offers each block until dashd has answered. Refused or unanswered ones are kept as hex files.

    `result` fires with (block hash, reason), an empty reason for accepted.
    """

    def __init__(
        self, reactor: Any, sink: BlockSink, directory: Path, run_in_thread: Callable[..., Deferred[None]]
    ) -> None:
        self.result: Event[tuple[int, str]] = Event()
        self._reactor = reactor
        self._sink = sink
        self._directory = directory
        self._run_in_thread = run_in_thread

    async def submit(self, block_hash: int, height: int, data: bytes) -> None:
        """Offer a block. Never raises."""
        started = self._reactor.seconds()
        complained = False
        while True:
            try:
                reason = await self._sink.submit_block(data)
                break
            except (RpcError, RpcUnavailable) as error:
                if isinstance(error, RpcError) and error.code in _FINAL_ERRORS:
                    reason = str(error)
                    break
                if not complained:
                    complained = True
                    await self._keep(block_hash, data)
                    _log.error(
                        "block {height} {block_hash:064x} NOT YET SENT: {error}; trying again every {period:g} s",
                        height=height,
                        block_hash=block_hash,
                        error=error,
                        period=RETRY_PERIOD,
                    )
            if self._reactor.seconds() - started > RETRY_TIME:
                reason = "dashd did not answer"
                break
            await deferLater(self._reactor, RETRY_PERIOD, lambda: None)
        await self._settle(block_hash, height, data, reason)

    async def _settle(self, block_hash: int, height: int, data: bytes, reason: str | None) -> None:
        if reason in (None, ALREADY_THERE):
            _log.info("block {height} {block_hash:064x} accepted by dashd", height=height, block_hash=block_hash)
            self.result.fire((block_hash, ""))
            return
        path = await self._keep(block_hash, data)
        _log.error(
            "block {height} {block_hash:064x} REFUSED by dashd: {reason}; the block is {kept}",
            height=height,
            block_hash=block_hash,
            reason=reason,
            kept="lost" if path is None else f"kept in {path}",
        )
        self.result.fire((block_hash, reason or "refused"))

    async def _keep(self, block_hash: int, data: bytes) -> Path | None:
        """Write the block's hex to disk, for `dash-cli submitblock`. None where that failed."""
        path = self._directory / f"{block_hash:064x}.hex"
        try:
            await self._run_in_thread(lambda: _write_file(path, data.hex().encode() + b"\n"))
        except OSError as error:
            _log.error("cannot keep the block in {path}: {error}", path=str(path), error=error)
            return None
        return path


def _write_file(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
