"""The part of history that lives on the reactor thread: it keeps what is to be written, has it written every
minute, and has questions answered, all of it in threads that nobody waits for at the end. A database that is slow,
away or full costs history and one line in the log; miners never notice.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred, DeferredSemaphore, ensureDeferred
from twisted.logger import Logger

from p2pool.base.known_databases import KnownDatabases
from p2pool.base.observable import Event
from p2pool.base.timer import Timer
from p2pool.history.database import DamagedDatabase, HistoryDatabase, Target, set_aside
from p2pool.history.records import DAY, HOUR, PERIOD, HistoryBusy, HistoryProblem, HistorySample
from p2pool.history.restoring import Restored, read_restored
from p2pool.history.thinning import remove_forgotten_series, remove_old, roll_up
from p2pool.history.writing import SampleWriter
from p2pool.pool_stats import EventRecord

T = TypeVar("T")
Run = Callable[[Callable[[], Any]], "Deferred[Any]"]

FLUSH_PERIOD: Final = 60.0
"""Seconds between two writings. In the first minute there is one for each sample: whoever has just begun wants to
see something."""
EVENT_DELAY: Final = 2.0
"""Seconds until an event is written, with those that come together."""
MAX_WAITING_ROWS: Final = 240_000
"""Workers in samples that wait for the database: forty minutes of a thousand workers, up to 120 MB. As many again
may be with the thread that writes."""
ROWS_OF_SAMPLE: Final = 40
"""What a sample takes beside its workers, in such rows: without any, samples of sixteen hours wait."""
EVEN: Final = HOUR / 2
"""Seconds for which the clock has to go evenly before anything is removed: one that is years ahead until the right
time is known would take all history along."""
MAX_LEAP: Final = 60.0
"""Seconds from one writing to the next by which a clock may be corrected and still goes evenly."""
BUSY: Final = 3 * FLUSH_PERIOD
"""Seconds that a writing may take before that is a problem."""
MAX_WAITING_EVENTS: Final = 10_000
READERS: Final = 3
"""Questions that are answered at a time."""
MAX_QUESTIONS: Final = 50
"""Those that are answered and those that wait."""
_NOT_WRITTEN: Final = "history is not written: {problem}; mining goes on, it is tried again"
_NOT_THINNED: Final = "history is not read or thinned: {problem}; mining goes on, it is tried again"
_log = Logger(namespace="p2pool.history")


@dataclass(frozen=True, slots=True)
class HistoryState:
    """For pages. `problem` says why nothing is written, None while all is well; `waiting` counts samples."""

    problem: str | None
    database: str
    where: str
    node: str
    retention: float
    waiting: int
    written: float | None
    """When samples were written last, Unix seconds."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Of a writing that went well: what earlier runs left, told once, and what failed beside it."""

    restored: Restored | None
    problem: str | None


class History:
    """See the module. `restored` fires once, when the database is open, with what earlier runs left."""

    def __init__(
        self,
        reactor: Any,
        target: Target,
        node_name: str,
        retention: float,
        clock: Callable[[], float],
        run_in_thread: Run,
        *,
        known: KnownDatabases | None = None,
    ) -> None:
        """`retention` in seconds. `run_in_thread` runs a callable in a thread that ends with the program. With
        `known`, a file that was emptied or lost since an earlier run is reported."""
        self.restored: Event[Restored] = Event()
        self.problem: str | None = None
        self._reactor = reactor
        self._target = target
        self._node_name = node_name
        self._retention = retention
        self._clock = clock
        self._run = run_in_thread
        self._known = known
        self.emptied: str | None = None
        """A sentence if the file was found empty or missing at the start."""
        self._database: HistoryDatabase | None = None
        self._writer: SampleWriter | None = None
        self._samples: deque[HistorySample] = deque()
        self._rows = 0
        """What `_samples` take: see `_weight`."""
        self._events: deque[EventRecord] = deque(maxlen=MAX_WAITING_EVENTS)
        self._flushing: Deferred[None] | None = None
        self._flushing_since = self._even_since = 0.0
        self._clock_offset: float | None = None
        """The clock's time less the reactor's, which never leaps."""
        self._readers = DeferredSemaphore(READERS)
        self._questions = 0
        self._timer: Timer | None = None
        self._soon: Any = None
        """The call that writes what just happened."""
        self._recorded = 0
        self._written: float | None = None
        self._thinned = self._names_removed = 0.0
        self._damaged = self._has_restored = False

    @property
    def state(self) -> HistoryState:
        """How it is now."""
        return HistoryState(
            self.problem,
            self._target.kind,
            str(self._target),
            self._node_name,
            self._retention,
            len(self._samples),
            self._written,
        )

    def start(self) -> None:
        """Open the database beside all else, and write from then on."""
        self._timer = Timer(self._reactor, FLUSH_PERIOD, self.flush, name="write history")

    async def stop(self) -> None:
        """Write what waits; whoever waits for that decides for how long."""
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
        """Take a sample."""
        self._keep(sample)
        self._forget_oldest()
        busy = 0.0 if self._flushing is None else self._reactor.seconds() - self._flushing_since
        if busy >= BUSY:
            self._report(f"{self._target} has not answered for {int(busy)} seconds")
        self._recorded += 1
        if self._recorded * PERIOD <= FLUSH_PERIOD or self.problem is not None:
            self._flush_now()  # a warning must not outlast what it warns of by a minute

    def _keep(self, sample: HistorySample) -> None:
        self._samples.append(sample)
        self._rows += _weight(sample)

    def _forget_oldest(self) -> None:
        while self._rows > MAX_WAITING_ROWS and len(self._samples) > 1:
            self._rows -= _weight(self._samples.popleft())

    def record_event(self, event: EventRecord) -> None:
        """Take an event. It is written soon: pages look for it."""
        self._events.append(event)
        if self._timer is not None and self._soon is None:
            self._soon = self._reactor.callLater(EVENT_DELAY, self._flush_now)

    def _flush_now(self) -> None:
        self._soon = None
        ensureDeferred(self.flush()).addErrback(lambda failure: _log.failure("history", failure))

    async def flush(self) -> None:
        """Write all that waits, unless that is being done."""
        if self._flushing is not None:
            return
        self._flushing, self._flushing_since = Deferred(), self._reactor.seconds()
        samples, events = list(self._samples), list(self._events)
        self._samples.clear()
        self._events.clear()
        self._rows = 0
        try:
            outcome = await self._run(lambda: self._write(samples, events))
        except HistoryProblem as problem:
            self._put_back(samples, events)
            self._report(str(problem))
        except BaseException as error:
            self._put_back(samples, events)
            self.problem = f"{type(error).__name__}: {error}"  # whoever called logs it
            raise
        else:
            self._was_written(bool(samples), outcome)
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
        """One alarm, not one a minute."""
        if self.problem is None:
            _log.error(line, problem=problem)
        self.problem = problem

    def _was_written(self, wrote: bool, outcome: _Outcome) -> None:
        if wrote:
            self._written = self._clock()
        if outcome.problem is not None:
            self._report(outcome.problem, _NOT_THINNED)
        elif self.problem is not None:
            self.problem = None
            _log.info("history is written again")
        if outcome.restored is not None:
            self.restored.fire(outcome.restored)

    def _write(self, samples: list[HistorySample], events: list[EventRecord]) -> _Outcome:
        """In a thread, one at a time. Once the samples are written, no failure makes them be written again."""
        restored = problem = None
        database, writer, now = self._database, self._writer, self._clock()
        try:
            if database is None or writer is None or self._damaged:
                database = self._open()
                writer = SampleWriter(database, writer)
                self._database, self._writer = database, writer
            # Before the first writing, which writes rounds, too.
            try:
                restored = self._read_restored(database, now)
            except DamagedDatabase:
                raise
            except HistoryProblem as error:
                problem = str(error)
            writer.write(samples, events)
        except DamagedDatabase:
            self._damaged = True
            raise
        try:
            self._thin(database, now)
        except HistoryProblem as error:
            self._damaged |= isinstance(error, DamagedDatabase)
            problem = str(error)
        return _Outcome(restored, problem)

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
        aside = None
        if self._damaged and self._target.path is not None:
            aside = set_aside(self._target.path, stamp)
        else:
            self._report_if_emptied(stamp)
        database = HistoryDatabase(self._target, self._node_name, stamp)
        if self._known is not None and self._target.path is not None:
            self._known.opened(self._target.path)
        self._damaged = False
        aside = aside or database.set_aside
        if aside is not None:
            _log.warn(
                "the history database {path} is damaged; it is set aside as {aside} and a new one begun",
                path=str(self._target.path),
                aside=str(aside),
            )
        return database

    def _report_if_emptied(self, stamp: str) -> None:
        if self._known is None or self._target.path is None:
            return
        try:
            problem = self._known.before_opening(self._target.path, stamp)
        except OSError as error:
            raise HistoryProblem(f"{self._target}: {error.strerror}") from None
        if problem is not None:
            self.emptied = problem
            _log.error("{problem}", problem=problem)

    def _thin(self, database: HistoryDatabase, now: float) -> None:
        roll_up(database, now)
        if not self._goes_evenly(now):
            return
        if not 0 <= now - self._thinned < HOUR / 6:
            remove_old(database, now, self._retention)
            self._thinned = now
        if not 0 <= now - self._names_removed < DAY:
            remove_forgotten_series(database, now)
            self._names_removed = now

    def _goes_evenly(self, now: float) -> bool:
        """Whether the clock has gone evenly for long enough to remove what is old by it."""
        steady = self._reactor.seconds()
        offset, before = now - steady, self._clock_offset
        self._clock_offset = offset
        if before is None or abs(offset - before) > MAX_LEAP:
            self._even_since = steady
        return bool(steady - self._even_since >= EVEN)

    # --- reading -----------------------------------------------------------------------------------------

    async def ask(self, question: Callable[[HistoryDatabase], T]) -> T:
        """The answer of `question(database)`, which a thread gives. Raises HistoryProblem."""
        database = self._database
        if database is None and self.problem is None:
            raise HistoryBusy("the history database is not open yet; try again in a moment")
        if database is None:
            raise HistoryProblem(self.problem)
        if self._questions >= MAX_QUESTIONS:
            raise HistoryBusy("history is asked too many questions at once; try again in a moment")
        self._questions += 1
        try:
            answer: T = await self._readers.run(lambda: self._run(lambda: question(database)))
        except DamagedDatabase:
            if database is self._database:
                self._damaged = True  # the next writing sets it aside
            raise
        finally:
            self._questions -= 1
        return answer


def _weight(sample: HistorySample) -> int:
    """What a sample takes, in rows of MAX_WAITING_ROWS."""
    return ROWS_OF_SAMPLE + len(sample.workers)
