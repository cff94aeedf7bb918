"""Keeps the node's shares on disk: loads them at the start, writes them as they come, archives what is old.

The composition root starts it before there is work and stops it last.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from p2pool.base.environment import Environment
from p2pool.base.errors import OperatorError
from p2pool.base.known_databases import KnownDatabases
from p2pool.base.observable import Event
from p2pool.base.time_slice import TimeSlice
from p2pool.base.timer import Timer
from p2pool.node import Node
from p2pool.share.share import Share
from p2pool.sharechain.archive import ShareArchive
from p2pool.sharechain.importing import ImportCounts, read_share_files, share_files
from p2pool.sharechain.store import SHARES_FILE, ShareDatabase, ShareStore, StoredShare, open_database
from p2pool.sharechain.tracker import Thought

_log = Logger(namespace="p2pool.store")
T = TypeVar("T")

FLUSH_PERIOD = 1.0
"""Seconds between two writes. A kill loses at most two seconds of shares: this, and the time of a write."""
_CHUNK = 250
"""Shares that are taken over in one turn of the reactor: a few milliseconds."""
_PROGRESS_PERIOD = 5.0
_IMPORTED = "imported share files"


class Persistence:
    """The store behind a node. `directory` is the network's own below the data directory.

    `announce` fires with (share, whether it is this node's own) once others may hear of a share: at once, but for
    a share that is a block, which is on disk first.
    """

    def __init__(
        self,
        environment: Environment,
        node: Node,
        directory: Path,
        *,
        archive: bool = True,
        import_from: Path | None = None,
    ) -> None:
        self.announce: Event[tuple[Share, bool]] = Event()
        self._environment = environment
        self._node = node
        self._directory = directory
        self._archive = ShareArchive(directory / "share-archive") if archive else None
        self._import_from = import_from
        self._store: ShareStore | None = None
        self._no_store: str | None = None
        self._known = KnownDatabases(directory)
        self.emptied: str | None = None
        """A sentence if the store was found empty or missing at the start."""
        self._preloaded: frozenset[int] = frozenset()
        """The shares that were loaded before `start`, while another process wrote to the store."""
        self._stopping = False
        self._loading = DeferredLock()
        """Held by `start`; the file must not be closed under what reads it."""
        self._timer: Timer | None = None

    @property
    def problem(self) -> str | None:
        """Return why shares are not written, as text for the operator; None while all is well."""
        return self._no_store if self._store is None else self._store.problem

    # --- start -------------------------------------------------------------------------------------------

    async def preload(self) -> None:
        """Load what another process has stored that still writes to the store; `start` then loads what it stored
        later. Shares that it removes meanwhile stay, until the node removes them for the same reasons."""
        path = self._directory / SHARES_FILE.name
        try:
            database = await self._in_thread(lambda: ShareDatabase(path, read_only=True))
            try:
                await self._take_over(lambda: self._stored(database), self._node.load, "loaded in advance")
            finally:
                await self._in_thread(database.close)
        except sqlite3.Error as error:
            _log.info("cannot load shares in advance from {path}: {why}", path=str(path), why=error)
        await self._trust_loaded()
        self._preloaded = frozenset(self._node.tracker.forest.nodes)

    async def start(self) -> None:
        """Load what is stored and choose the best share. OperatorError if files cannot be imported."""
        async with self._loading:
            self._node.share_added.subscribe(self._share_added)
            self._node.thought.subscribe(self._thought)
            database = await self._open()
            if database is not None:
                self._store = ShareStore(database, self._environment.run_in_thread, self._archive)
                self._store_early_shares(self._store)
                unverified = [each for each in self._preloaded if each not in self._node.tracker.verified]
                if unverified:
                    self._node.were_verified(await self._in_thread(lambda: database.verified(unverified)))
                await self._take_over(lambda: self._stored(database), self._node.load, "loaded")
            await self._import(database)
            await self._trust_loaded()
            if not self._stopping:
                self._node.loaded()
                self._timer = Timer(
                    self._environment.reactor, FLUSH_PERIOD, self._flush_pending, name="write shares"
                )

    async def _trust_loaded(self) -> None:
        """Take loaded shares for verified that were verified before. Between the steps, others get their turn."""
        turn = TimeSlice(self._environment)
        for _ in self._node.trusting_loaded():
            await turn.pause_if_over()

    def _store_early_shares(self, store: ShareStore) -> None:
        """Write the shares that came while the store was being opened: other nodes connect before that, and a
        slow disk can take minutes."""
        tracker, own = self._node.tracker, set(self._node.own_share_hashes())
        for share_hash, entry in tracker.forest.nodes.items():
            if share_hash not in self._preloaded:
                arrival = tracker.arrival(share_hash)
                store.add(entry.share, arrival.time_seen, share_hash in own, live=arrival.live)
                if share_hash in tracker.verified:
                    store.mark_verified(share_hash)

    async def _open(self) -> ShareDatabase | None:
        path = self._directory / SHARES_FILE.name
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(self._environment.clock()))

        def open_known() -> tuple[ShareDatabase, Path | None, str | None]:
            emptied = self._known.before_opening(path, stamp)
            opened = open_database(path, stamp)
            self._known.opened(path)
            return *opened, emptied

        try:
            database, quarantined, self.emptied = await self._in_thread(open_known)
        except (sqlite3.Error, OSError) as error:
            self._no_store = f"cannot open the share store {path}: {error}"
            _log.error(
                "{problem}. Mining continues, but this run keeps the share chain in memory only. Repair the disk, "
                "then restart the node: it downloads the chain from other nodes",
                problem=self._no_store,
            )
            return None
        if self.emptied is not None:
            _log.error("{problem}. Requesting the share chain from other nodes", problem=self.emptied)
        if quarantined is not None:
            _log.warn(
                "the share store {path} is corrupt: quarantined as {aside}; created a new one",
                path=str(path),
                aside=str(quarantined),
            )
        return database

    def _stored(self, database: ShareDatabase) -> Iterator[StoredShare]:
        """Yield the stored shares that are not loaded yet; called in a thread."""
        total, done, logged = database.count(), 0, self._environment.monotonic()
        for item in database.read(self._node.network, held=self._preloaded):
            if isinstance(item, str):
                self._log(_log.warn, "{problem}; skipped", problem=item)
                continue
            done += 1
            if self._environment.monotonic() - logged > _PROGRESS_PERIOD:
                logged = self._environment.monotonic()
                self._log(_log.info, "loading shares: {done} of {total}", done=done, total=total)
            yield item

    def _log(self, level: Callable[..., None], line: str, **fields: object) -> None:
        """Log from a thread."""
        self._environment.reactor.callFromThread(lambda: level(line, **fields))

    async def _take_over(
        self, source: Callable[[], Iterator[StoredShare]], take: Callable[[list[StoredShare]], None], done: str
    ) -> None:
        """Read in a thread, and hand over what is read in portions."""
        started = self._environment.monotonic()

        def read() -> int:
            shares, count = source(), 0
            while not self._stopping and (chunk := list(islice(shares, _CHUNK))):
                count += len(chunk)
                self._environment.reactor.callFromThread(take, chunk)
            return count

        count = await self._in_thread(read)
        if count:
            _log.info(
                "{count} shares {done} in {took:.1f} s",
                count=count,
                done=done,
                took=self._environment.monotonic() - started,
            )

    async def _in_thread(self, function: Callable[[], T]) -> T:
        result: T = await self._environment.run_in_thread(function)
        return result

    # --- shares of legacy p2pool-dash --------------------------------------------------------------------

    def _files_to_import(self) -> list[Path]:
        """Return the files of --import-shares, else those of legacy p2pool-dash in the data directory. Blocks."""
        if self._import_from is None:
            return [path for path in share_files(self._directory) if path.suffix != ".gz"]
        try:
            return share_files(self._import_from)
        except OSError as error:
            raise OperatorError(f"--import-shares: cannot read {self._import_from}: {error.strerror}") from None

    async def _import(self, database: ShareDatabase | None) -> None:
        paths = await self._in_thread(self._files_to_import)
        if self._import_from is None:
            once = database is not None and await self._in_thread(lambda: database.fact(_IMPORTED)) is not None
            if once or not paths:
                return
        counts = ImportCounts()
        held = set(self._node.tracker.forest.nodes)

        def shares() -> Iterator[StoredShare]:
            for share in read_share_files(paths, self._node.network, counts):
                if share.hash not in held:
                    held.add(share.hash)
                    yield StoredShare(share, float(share.timestamp), verified=False, own=False)

        await self._take_over(shares, self._take_imported, "imported")
        _log.info(
            "read {files} share files: {shares} shares, {damaged} corrupt lines{first}",
            files=counts.files,
            shares=counts.shares,
            damaged=counts.damaged,
            first=f" (the first: {counts.first_damage})" if counts.damaged else "",
        )
        await self.flush()
        if database is not None and self.problem is None and not self._stopping:
            await self._in_thread(
                lambda: database.set_fact(
                    _IMPORTED, time.strftime("%F %T", time.gmtime(self._environment.clock()))
                )
            )

    def _take_imported(self, chunk: list[StoredShare]) -> None:
        self._node.load(chunk)
        if self._store is not None:
            for stored in chunk:
                self._store.add(stored.share, stored.time_seen, own=False)

    # --- from the node -----------------------------------------------------------------------------------

    def _share_added(self, added: tuple[Share, bool]) -> None:
        share, own = added
        if self._store is not None:
            arrival = self._node.tracker.arrival(share.hash)
            self._store.add(share, arrival.time_seen, own, live=arrival.live)
        if share.is_block:
            flushed = Deferred.fromCoroutine(self.flush())
            flushed.addErrback(
                lambda failure: _log.failure("cannot write the share of a found block to disk", failure)
            )
            flushed.addCallback(lambda _: self._announce(added))
        else:
            self._announce(added)

    def _announce(self, added: tuple[Share, bool]) -> None:
        """Announce a share, unless it is no longer held: while a block's share was being written, it may have
        been rejected, or pruned with the chain that it is on."""
        if added[0].hash in self._node.tracker:
            self.announce.fire(added)

    def _thought(self, thought: Thought) -> None:
        """Write down what the choice of the best share changed."""
        if self._store is None:
            return
        for share in thought.verified:
            self._store.mark_verified(share.hash)
        for share in thought.removed:
            self._store.remove(share.hash)
        for share in thought.pruned:
            self._store.prune(share.hash)

    async def flush(self) -> None:
        """Write all that is not written yet."""
        if self._store is not None:
            await self._store.flush()

    def _flush_pending(self) -> Awaitable[None] | None:
        """Write what is pending. Most times nothing is."""
        return self.flush() if self._store is not None and self._store.is_pending else None

    async def stop(self) -> None:
        """Write what is left and close the file."""
        self._stopping = True
        async with self._loading:
            if self._timer is not None:
                self._timer.stop()
            if self._store is not None:
                await self._store.close()
