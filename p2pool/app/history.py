"""The history, put together for the composition root: which database, the name under which this node writes
into it, and what pages load from earlier runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from twisted.logger import Logger

from p2pool.app.config import Config
from p2pool.base.environment import Environment
from p2pool.base.errors import ParseError, reason_of
from p2pool.base.known_databases import KnownDatabases
from p2pool.base.state_file import StateFile, StateFormat
from p2pool.base.text import printable
from p2pool.history.records import DAY
from p2pool.history.restoring import Restored
from p2pool.history.service import History
from p2pool.pool_stats import EventRecord
from p2pool.web.samples import restored_samples
from p2pool.web.view_cache import ViewCache

NODE_NAME_FILE: Final = StateFormat("node-name", "the name under which this node's history is kept", 4096)
_GIVEN: Final = re.compile("[0-9a-f]{16}")
_log = Logger(namespace="p2pool.history")


class HistoryAssembly:
    """The history of this node; `history` is None if none is kept."""

    def __init__(self, environment: Environment, config: Config) -> None:
        self.history: History | None = None
        self._run_in_thread = environment.run_in_daemon_thread
        if config.stats_db is not None:
            self.history = History(
                environment,
                config.stats_db,
                node_name=config.stats_node or node_name(config.datadir, environment),
                retention=config.stats_retention * DAY,
                known=KnownDatabases(config.datadir),
            )

    def problem(self) -> str | None:
        """Return why history is not written, None while it is, or if none is kept."""
        return None if self.history is None else self.history.problem

    def emptied(self) -> str | None:
        """Return a sentence if the database was found empty or missing at the start."""
        return None if self.history is None else self.history.emptied

    def record_event(self, event: EventRecord) -> None:
        """Record an event, if history is kept."""
        if self.history is not None:
            self.history.record_event(event)

    def start(self, cache: ViewCache) -> None:
        """Write from now on; what earlier runs left is loaded into `cache` once the database is open."""
        if self.history is not None:
            self.history.restored.subscribe(lambda restored: self._restore(cache, restored))
            self.history.start()

    def _restore(self, cache: ViewCache, restored: Restored) -> None:
        made = self._run_in_thread(lambda: restored_samples(restored.samples))
        made.addCallback(lambda samples: cache.restore(samples, restored.rounds))
        made.addErrback(
            lambda failure: _log.failure("internal error: loading the figures of earlier runs failed", failure)
        )

    async def stop(self) -> None:
        """Write what is queued, and stop."""
        if self.history is not None:
            await self.history.stop()


def node_name(directory: Path, environment: Environment) -> str:
    """Return the name of this node if none was given: chosen once, and kept in its data directory."""
    file = StateFile(directory / NODE_NAME_FILE.name, NODE_NAME_FILE)
    kept = file.read_bytes(_parse_name)
    if kept is not None:
        return kept
    name = environment.random_hex(8)
    try:
        file.write_bytes(name.encode() + b"\n")
    except OSError as error:
        _log.warn(
            "cannot write {path}: {error}; after a restart this node would begin a new history. Make the data "
            "directory writable",
            path=str(file.path),
            error=reason_of(error),
        )
    return name


def _parse_name(data: bytes) -> str:
    text = data.decode("utf-8", "replace").strip()
    if _GIVEN.fullmatch(text) is None:
        raise ParseError(f"it does not hold the name of a node: {printable(text)}")
    return text
