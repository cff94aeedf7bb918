"""The part of history that runs on the reactor thread: it queues samples and events, has them written every
minute, and has queries answered, all of it in threads that nobody waits for at the end. A database that is slow,
unreachable or full costs history and one log line; miners never notice.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred, DeferredSemaphore, ensureDeferred
from twisted.logger import Logger

from p2pool.base.environment import Environment
from p2pool.base.known_databases import KnownDatabases
from p2pool.base.observable import Event
from p2pool.base.timer import Timer
from p2pool.history.database import CorruptDatabase, DatabaseLocation, HistoryDatabase, quarantine_file
from p2pool.history.downsampling import remove_forgotten_series, remove_old, roll_up
from p2pool.history.records import DAY, HOUR, PERIOD, HistoryBusy, HistoryProblem, HistorySample
from p2pool.history.restoring import Restored, read_restored
from p2pool.history.writing import SampleWriter
from p2pool.pool_stats import EventRecord

T = TypeVar("T")

FLUSH_PERIOD: Final = 60.0
"""Seconds between two writes. In the first minute there is one for each sample: a new operator should see
something."""
EVENT_DELAY: Final = 2.0
"""Seconds until an event is written, together with those that follow."""
MAX_WAITING_ROWS: Final = 240_000
"""Workers in samples that are queued: forty minutes of a thousand workers, up to 120 MB. As many again may be
with the thread that writes."""
ROWS_OF_SAMPLE: Final = 40
"""What a sample takes in addition to its workers, in such rows: without workers, samples of sixteen hours are
queued."""
STEADY: Final = HOUR / 2
"""Seconds for which the clock must be steady before anything is removed: one that is years ahead until it is
corrected would have all history removed."""
MAX_CLOCK_STEP: Final = 60.0
"""Seconds from one write to the next by which a clock may be corrected and still count as steady."""
BUSY: Final = 3 * FLUSH_PERIOD
"""Seconds that a write may take before that is reported as a problem."""
MAX_WAITING_EVENTS: Final = 10_000
READERS: Final = 3
"""Queries that are answered at a time."""
MAX_QUERIES: Final = 50
"""Queries that are answered or queued."""
_NOT_WRITTEN: Final = "cannot write history: {problem}; mining continues; retrying every minute"
_NOT_MAINTAINED: Final = "cannot read or downsample history: {problem}; mining continues; retrying every minute"
_log = Logger(namespace="p2pool.history")


@dataclass(frozen=True, slots=True)
class HistoryState:
    """History as pages show it. `problem` says why nothing is written, None while all is well; `waiting` counts
    queued samples."""

    problem: str | None
    database: str
    location: str
    node: str
    retention: float
    waiting: int
    written: float | None
    """When samples were last written, Unix seconds."""


@dataclass(frozen=True, slots=True)
class _WriteResult:
    """The result of a successful write: what earlier runs left, given once, and what else failed."""

    restored: Restored | None
    problem: str | None


class History:
    """Records samples and events, and answers queries. `restored` fires once, when the database is open, with what
    earlier runs left."""

    def __init__(
        self,
        environment: Environment,
        location: DatabaseLocation,
        *,
        node_name: str,
        retention: float,
        known: KnownDatabases | None = None,
    ) -> None:
        """Take `retention` in seconds. With `known`, a file that was emptied or lost since an earlier run is
        reported."""
        self.restored: Event[Restored] = Event()
        self.problem: str | None = None
        self._reactor = environment.reactor
        self._location = location
        self._node_name = node_name
        self._retention = retention
        self._clock = environment.clock
        self._run = environment.run_in_daemon_thread
        self._known = known
        self.emptied: str | None = None
        """A sentence if the file was found empty or missing at the start."""
        self._database: HistoryDatabase | None = None
        self._writer: SampleWriter | None = None
        self._samples: deque[HistorySample] = deque()
        self._rows = 0
        """What `_samples` take, as `_weight` measures it."""
        self._events: deque[EventRecord] = deque(maxlen=MAX_WAITING_EVENTS)
        self._flushing: Deferred[None] | None = None
        self._flushing_since = self._steady_since = 0.0
        self._clock_offset: float | None = None
        """The clock's time less the reactor's, which never steps."""
        self._readers = DeferredSemaphore(READERS)
        self._queries = 0
        self._timer: Timer | None = None
        self._soon: Any = None
        """The call that writes the newest events."""
        self._recorded = 0
        self._written: float | None = None
        self._removed_old = self._names_removed = 0.0
        self._is_corrupt = self._has_restored = False

    @property
    def state(self) -> HistoryState:
        """Return the state of history now."""
        return HistoryState(
            self.problem,
            self._location.kind,
            str(self._location),
            self._node_name,
            self._retention,
            len(self._samples),
            self._written,
        )

    def start(self) -> None:
        """Open the database in the background, and write from then on."""
        self._timer = Timer(self._reactor, FLUSH_PERIOD, self.flush, name="write history")

    async def stop(self) -> None:
        """Write what is queued; the caller decides for how long to wait."""
        if self._timer is not None:
            self._timer.stop()
        if self._soon is not None:
            self._soon.cancel()
        if self._flushing is not None:
            await self._flushing
        await self.flush()
        database, self._database = self._database, None
        if database is not None:
            await self._run(database.close)

    # --- writing -----------------------------------------------------------------------------------------

    def record(self, sample: HistorySample) -> None:
        """Queue a sample to be written."""
        self._keep(sample)
        self._forget_oldest()
        busy = 0.0 if self._flushing is None else self._reactor.seconds() - self._flushing_since
        if busy >= BUSY:
            self._report(f"{self._location} has not answered for {int(busy)} seconds")
        self._recorded += 1
        if self._recorded * PERIOD <= FLUSH_PERIOD or self.problem is not None:
            self._flush_now()  # a warning must not outlast its cause by a minute

    def _keep(self, sample: HistorySample) -> None:
        self._samples.append(sample)
        self._rows += _weight(sample)

    def _forget_oldest(self) -> None:
        while self._rows > MAX_WAITING_ROWS and len(self._samples) > 1:
            self._rows -= _weight(self._samples.popleft())

    def record_event(self, event: EventRecord) -> None:
        """Queue an event. It is written soon: pages ask for it."""
        self._events.append(event)
        if self._timer is not None and self._soon is None:
            self._soon = self._reactor.callLater(EVENT_DELAY, self._flush_now)

    def _flush_now(self) -> None:
        self._soon = None
        ensureDeferred(self.flush()).addErrback(
            lambda failure: _log.failure("internal error: writing history failed", failure)
        )

    async def flush(self) -> None:
        """Write all that is queued, unless a write is being made."""
        if self._flushing is not None:
            return
        self._flushing, self._flushing_since = Deferred(), self._reactor.seconds()
        samples, events = list(self._samples), list(self._events)
        self._samples.clear()
        self._events.clear()
        self._rows = 0
        try:
            result = await self._run(lambda: self._write(samples, events))
        except HistoryProblem as problem:
            self._put_back(samples, events)
            self._report(str(problem))
        except BaseException as error:
            self._put_back(samples, events)
            self.problem = f"{type(error).__name__}: {error}"  # the caller logs it
            raise
        else:
            self._was_written(bool(samples), result)
        finally:
            done, self._flushing = self._flushing, None
            done.callback(None)

    def _put_back(self, samples: list[HistorySample], events: list[EventRecord]) -> None:
        newer, self._samples, self._rows = self._samples, deque(), 0
        for sample in (*samples, *newer):
            self._keep(sample)
        self._forget_oldest()
        later = list(self._events)
        self._events.clear()
        self._events.extend((*events, *later))

    def _report(self, problem: str, line: str = _NOT_WRITTEN) -> None:
        """Log a problem once, not each minute."""
        if self.problem is None:
            _log.error(line, problem=problem)
        self.problem = problem

    def _was_written(self, wrote: bool, result: _WriteResult) -> None:
        if wrote:
            self._written = self._clock()
        if result.problem is not None:
            self._report(result.problem, _NOT_MAINTAINED)
        elif self.problem is not None:
            self.problem = None
            _log.info("history is written again")
        if result.restored is not None:
            self.restored.fire(result.restored)

    def _write(self, samples: list[HistorySample], events: list[EventRecord]) -> _WriteResult:
        """Write in a thread, one at a time. Once the samples are written, no failure has them written again."""
        restored = problem = None
        database, writer, now = self._database, self._writer, self._clock()
        try:
            if database is None or writer is None or self._is_corrupt:
                database = self._open()
                writer = SampleWriter(database, writer)
                self._database, self._writer = database, writer
            # Before the first write, which writes rounds as well.
            try:
                restored = self._read_restored(database, now)
            except CorruptDatabase:
                raise
            except HistoryProblem as error:
                problem = str(error)
            writer.write(samples, events)
        except CorruptDatabase:
            self._is_corrupt = True
            raise
        try:
            self._downsample(database, now)
        except HistoryProblem as error:
            self._is_corrupt |= isinstance(error, CorruptDatabase)
            problem = str(error)
        return _WriteResult(restored, problem)

    def _read_restored(self, database: HistoryDatabase, now: float) -> Restored | None:
        if self._has_restored:
            return None
        restored = read_restored(database, now)
        self._has_restored = True
        return restored

    def _open(self) -> HistoryDatabase:
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(self._clock()))
        former, self._database = self._database, None
        if former is not None:
            former.close()
        quarantined = None
        if self._is_corrupt and self._location.path is not None:
            quarantined = quarantine_file(self._location.path, stamp)
        else:
            self._report_if_emptied(stamp)
        database = HistoryDatabase(self._location, self._node_name, stamp)
        if self._known is not None and self._location.path is not None:
            self._known.opened(self._location.path)
        self._is_corrupt = False
        quarantined = quarantined or database.quarantined_as
        if quarantined is not None:
            _log.warn(
                "the history database {path} is corrupt: quarantined as {quarantined}; starting with a new one",
                path=str(self._location.path),
                quarantined=str(quarantined),
            )
        return database

    def _report_if_emptied(self, stamp: str) -> None:
        if self._known is None or self._location.path is None:
            return
        try:
            problem = self._known.before_opening(self._location.path, stamp)
        except OSError as error:
            raise HistoryProblem(f"{self._location}: {error.strerror}") from None
        if problem is not None:
            self.emptied = problem
            _log.error("history database: {problem}", problem=problem)

    def _downsample(self, database: HistoryDatabase, now: float) -> None:
        roll_up(database, now)
        if not self._is_clock_steady(now):
            return
        if not 0 <= now - self._removed_old < HOUR / 6:
            remove_old(database, now, self._retention)
            self._removed_old = now
        if not 0 <= now - self._names_removed < DAY:
            remove_forgotten_series(database, now)
            self._names_removed = now

    def _is_clock_steady(self, now: float) -> bool:
        """Return whether the clock was steady for long enough to remove what is old by it."""
        steady = self._reactor.seconds()
        offset, before = now - steady, self._clock_offset
        self._clock_offset = offset
        if before is None or abs(offset - before) > MAX_CLOCK_STEP:
            self._steady_since = steady
        return bool(steady - self._steady_since >= STEADY)

    # --- reading -----------------------------------------------------------------------------------------

    async def ask(self, query: Callable[[HistoryDatabase], T]) -> T:
        """Return `query(database)`, which a thread runs. Raises HistoryProblem."""
        database = self._database
        if database is None and self.problem is None:
            raise HistoryBusy("the history database is not open yet; try again in a moment")
        if database is None:
            raise HistoryProblem(self.problem)
        if self._queries >= MAX_QUERIES:
            raise HistoryBusy("too many history queries at once; try again in a moment")
        self._queries += 1
        try:
            answer: T = await self._readers.run(lambda: self._run(lambda: query(database)))
        except CorruptDatabase:
            if database is self._database:
                self._is_corrupt = True  # the next write quarantines it
            raise
        finally:
            self._queries -= 1
        return answer


def _weight(sample: HistorySample) -> int:
    """Return what a sample takes, in rows of MAX_WAITING_ROWS."""
    return ROWS_OF_SAMPLE + len(sample.workers)
