"""The pool's blocks and what became of them, kept on disk between runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from p2pool.base.bounded import BoundedDict
from p2pool.base.files import write_file
from p2pool.base.observable import Event
from p2pool.base.text import printable
from p2pool.pool_stats import BlockRecord, BlockStatus

_log = Logger(namespace="p2pool.blocks")

MAX_BLOCKS = 1000
MAX_FILE = 4 * 1024 * 1024
_HASHES = ("block_hash", "share_hash")


class BlockBook:
    """Records by block hash, the oldest first. `changed` fires with each record that is new or has changed."""

    def __init__(self, path: Path, run_in_thread: Callable[..., Deferred[Any]]) -> None:
        self.changed: Event[BlockRecord] = Event()
        self.records: BoundedDict[int, BlockRecord] = BoundedDict(MAX_BLOCKS)
        self._path = path
        self._run_in_thread = run_in_thread
        self._dirty = False
        self._complained = False

    def put(self, record: BlockRecord) -> None:
        """Remember a record, in place of an earlier one of the same block."""
        if self.records.get(record.block_hash) != record:
            self.records[record.block_hash] = record
            self._dirty = True
            self.changed.fire(record)

    async def load(self) -> None:
        """Take over what an earlier run wrote. A damaged file is set aside."""
        try:
            records = await self._run_in_thread(lambda: _read(self._path))
        except OSError as error:
            _log.warn("cannot read {path}: {error}", path=str(self._path), error=error.strerror or error)
            return
        except (ValueError, TypeError, KeyError) as error:
            aside = self._path.with_name(
                f"{self._path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"
            )
            _log.warn(
                "{path} is damaged ({error}); it is set aside as {aside}",
                path=str(self._path),
                error=printable(str(error), 100),
                aside=aside.name,
            )
            await self._run_in_thread(lambda: self._path.rename(aside))
            return
        for record in records[-MAX_BLOCKS:]:
            self.records[record.block_hash] = record

    async def save(self) -> None:
        """Write what changed. A disk that does not take it costs one line, and is tried again."""
        if not self._dirty:
            return
        self._dirty = False
        data = orjson.dumps({"version": 1, "blocks": [_plain(record) for record in self.records.values()]})
        try:
            await self._run_in_thread(lambda: write_file(self._path, data))
        except OSError as error:
            self._dirty = True
            if not self._complained:
                self._complained = True
                _log.error("cannot write {path}: {error}", path=str(self._path), error=error.strerror or error)
        else:
            self._complained = False


def _plain(record: BlockRecord) -> dict[str, Any]:
    """A record as JSON: hashes as hex, since JSON has no integers so large."""
    plain = asdict(record)
    for name in _HASHES:
        plain[name] = None if plain[name] is None else f"{plain[name]:064x}"
    return plain


def _read(path: Path) -> list[BlockRecord]:
    """In a thread. Raises OSError; ValueError, TypeError or KeyError for what is not such a file."""
    try:
        with open(path, "rb") as file:
            document = orjson.loads(file.read(MAX_FILE))
    except FileNotFoundError:
        return []
    return [_record(entry) for entry in document["blocks"]]


def _record(entry: dict[str, Any]) -> BlockRecord:
    share = entry["share_hash"]
    return BlockRecord(
        time=float(entry["time"]),
        block_hash=int(entry["block_hash"], 16),
        height=int(entry["height"]),
        worker=printable(str(entry["worker"]), 200),
        share_hash=None if share is None else int(share, 16),
        subsidy=int(entry["subsidy"]),
        status=BlockStatus(entry["status"]),
        reason=printable(str(entry["reason"]), 200),
        confirmations=int(entry["confirmations"]),
        chainlocked=entry["chainlocked"] is True,
    )
