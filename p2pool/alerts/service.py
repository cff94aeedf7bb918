"""The alerts at work: looks at the node every few seconds, hands events to whoever listens, and sees to it that
what people and programs are to be told leaves. Timers, threads and the log are here; what is decided is decided
in `watch`, `rules` and `outbox`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, DeferredLock, gatherResults
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.task import Cooperator
from twisted.logger import Logger

from p2pool.alerts.channel import Answer, Channel, Delivery, Destination, failed
from p2pool.alerts.figures import AlertFigures, DestinationFigures
from p2pool.alerts.last_run import LAST_RUN_FILE, LastRun, read_last_run, write_last_run
from p2pool.alerts.message import Place, compose, trial_message
from p2pool.alerts.outbox import Lost, Outbox
from p2pool.alerts.rules import Grouper, Rules
from p2pool.alerts.store import AlertStore
from p2pool.alerts.told import ONCE, ToldOnce, delivery_id
from p2pool.alerts.watch import Watch
from p2pool.base.environment import Environment
from p2pool.base.observable import Event
from p2pool.base.timer import Timer
from p2pool.pool_stats import BlockRecord, EventKind, EventRecord, PoolSnapshot

LOOK_PERIOD: Final = 5.0
"""Seconds between two looks at the node."""
PUMP_PERIOD: Final = 1.0
"""Seconds between two looks at what is due."""
MARK_PERIOD: Final = 60.0
"""Seconds between two notes that the node still runs."""
ATTEMPT_TIME: Final = 90.0
"""Seconds after which an attempt is given up, whatever its channel waits for: what a library does is its own."""
LEAVE_TIME: Final = 2.0
"""Seconds that the end of the node waits for what it says last."""
_log = Logger(namespace="p2pool.alerts")


@dataclass(frozen=True, slots=True)
class AlertPorts:
    """What the service asks of the rest of the node. `new_id` gives a name for a delivery that no other has;
    `alert_sent` is called for each message that people were sent; `place` says which node speaks."""

    environment: Environment
    minute_of_day: Callable[[float], int]
    new_id: Callable[[], str]
    alert_sent: Callable[[], None]
    place: Callable[[], Place]
    snapshot: Callable[[], PoolSnapshot]


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What a test message met. `seconds` is how long it took."""

    destination: str
    answer: Answer
    seconds: float


class Alerts:
    """See the module. `events` fires with everything that happens, wanted by somebody or not. `channels` are by
    the destination's id; files are below `directory`."""

    def __init__(
        self,
        ports: AlertPorts,
        watch: Watch,
        rules: Rules,
        destinations: Sequence[Destination],
        channels: Mapping[str, Channel],
        directory: Path,
    ) -> None:
        self.events: Event[EventRecord] = Event()
        self._ports = ports
        self._environment = environment = ports.environment
        self._watch = watch
        self._destinations = {each.id: each for each in destinations}
        self._channels = channels
        self._grouper = Grouper(rules, ports.minute_of_day)
        self._told = ToldOnce()
        self._last: LastRun | None = None
        self._outbox = Outbox(self._destinations, environment.chance)
        self._store = AlertStore(
            directory / "alerts.sqlite",
            self._outbox,
            self._grouper,
            self._told,
            run_in_thread=environment.run_in_thread,
            call_soon=environment.call_soon,
        )
        self._marker = directory / LAST_RUN_FILE.name
        self._marking = DeferredLock()
        self._cooperator = Cooperator(scheduler=environment.call_soon)
        self._timers: list[Timer] = []
        self._under_way: dict[str, Deferred[None]] = {}
        """Attempts by destination."""
        self._overflowing: set[str] = set()
        """Destinations for which too much is waiting: that is said once, not for each thing that is dropped."""
        self._started: float | None = None
        self._leave_by: float | None = None
        self._cut_off = False
        """Whether attempts were ended because the node ends."""
        self._testing = False

    # --- life --------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take over what an earlier run left, tell that the node runs, and begin to look."""
        world, now = self._environment, self._environment.clock()
        last: LastRun | None = await world.run_in_thread(lambda: read_last_run(self._marker))
        self._last = last
        if self._destinations:
            await self._store.load(now)
        self._started = now
        await self._mark(LastRun(now, False))
        self._happened([self._watch.started(last, now)])
        self._timers = [
            Timer(world.reactor, LOOK_PERIOD, self._look, name="check for alerts", now=False),
            Timer(world.reactor, PUMP_PERIOD, self._pump, name="deliver alerts", now=False),
            Timer(
                world.reactor, MARK_PERIOD, self._still_running, name="note that the node is running", now=False
            ),
        ]

    def leave(self) -> None:
        """The node is being stopped: say so, and wait for nothing more that could be told together with it."""
        if self._started is None or self._leave_by is not None:
            return
        now = self._environment.clock()
        self._leave_by = self._environment.reactor.seconds() + LEAVE_TIME
        self._store.is_ending = True
        self._happened([self._watch.stopping(now - self._started, now)])

    async def stop(self) -> None:
        """What was said last has LEAVE_TIME since `leave` to go; then everything that is left is on disk."""
        for timer in self._timers:
            timer.stop()
        if self._started is None:
            return
        self.leave()
        self._pump()
        await self._wait_for_attempts()
        await self._store.save_all()
        await self._mark(LastRun(self._environment.clock(), True))

    async def _wait_for_attempts(self) -> None:
        reactor, left = self._environment.reactor, Deferred[None]()
        if self._leave_by is None:
            return
        deadline = reactor.callLater(max(0.0, self._leave_by - reactor.seconds()), left.callback, None)
        while self._outbox.has_due(self._environment.clock()) and not left.called:
            look: Deferred[None] = Deferred()
            reactor.callLater(0.05, look.callback, None)
            await look
        if deadline.active():
            deadline.cancel()
        self._leave_by, self._cut_off = reactor.seconds(), True
        for attempt in list(self._under_way.values()):
            attempt.cancel()

    async def _still_running(self) -> None:
        await self._mark(LastRun(self._environment.clock(), False))

    async def _mark(self, run: LastRun) -> None:
        # One after another: a note that the node runs must not come to the disk after that of its end.
        await self._marking.acquire()
        try:
            # A disk that does not take it is told of by those who have more to write.
            with suppress(OSError):
                await self._environment.run_in_thread(lambda: write_last_run(self._marker, run))
        finally:
            self._marking.release()

    # --- what happens ------------------------------------------------------------------------------------

    def blocks_restored(self, records: Sequence[BlockRecord]) -> None:
        """Blocks of earlier runs: no news, unless the last run was killed between the find and the telling."""
        self._watch.blocks_restored(records)
        last = self._last
        if last is not None and not last.orderly and self._told.is_restored:
            found = [self._watch.block_found(each) for each in records if each.time > last.time - MARK_PERIOD]
            self._happened(event for event in found if not self._told.knows(event))

    def blocks_learned(self, records: Sequence[BlockRecord]) -> None:
        """Blocks of before the start that the share chain tells of: no news."""
        self._watch.blocks_restored(records)

    def block_changed(self, record: BlockRecord) -> None:
        """A block that is new, or of which something became. What others found before the start is no news."""
        if self._started is not None and record.time < self._started and not record.found_here:
            self._watch.block_is_old(record)
        self._happened(self._watch.block_changed(record, self._environment.clock()))

    def banned(self, host: str) -> None:
        """A host of miners was banned."""
        self._happened(self._watch.banned(host, self._environment.clock()))

    async def _look(self) -> None:
        def looking() -> Iterable[None]:
            for event in self._watch.looking(self._ports.snapshot()):
                if event is not None:
                    self._happened([event])
                yield None

        await self._cooperator.cooperate(iter(looking())).whenDone()

    def _happened(self, events: Iterable[EventRecord]) -> None:
        for event in events:
            self.events.fire(event)
            self._tell(event)
        self._pump()

    def _tell(self, event: EventRecord) -> None:
        now = self._environment.clock()
        if not self._told.take(event):
            return
        if event.kind in ONCE:
            self._store.state_changed()
        if any(each.for_people for each in self._destinations.values()) and self._grouper.offer(event, now):
            self._store.state_changed()
        content: dict[str, object] | None = None
        for destination in self._destinations.values():
            if destination.events is not None and event.kind in destination.events:
                content = content or self._object(event)
                self._put(destination, content, now, delivery_id(event, destination.id, self._ports.place()))

    def _object(self, event: EventRecord) -> dict[str, object]:
        """What a webhook is sent for an event: docs/alerts.md says the type of each field."""
        return {
            **event.details,
            **self._named(event.kind.value, event.time),
            "subject": event.subject,
            "text": event.text,
        }

    def _named(self, event: str, time: float) -> dict[str, object]:
        """The fields of every webhook object. `timestamp` is a whole number: programs keep it as one."""
        place = self._ports.place()
        return {"event": event, "timestamp": int(time), "node": place.node, "network": place.network}

    def _put(
        self, destination: Destination, content: Mapping[str, object], now: float, name: str | None = None
    ) -> None:
        delivery = Delivery(name or self._ports.new_id(), destination.id, content, now)
        if delivery.id in self._outbox.mailboxes[destination.id].waiting:
            return  # it is on its way since the last run
        lost = self._outbox.put(delivery)
        if lost is None:
            self._overflowing.discard(destination.id)
        elif destination.id not in self._overflowing:
            self._overflowing.add(destination.id)
            self._say_lost(lost)

    # --- delivering --------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Begin everything that is due, and write what changed."""
        if not self._store.is_loaded:
            return
        now = self._environment.clock()
        notices = self._grouper.due(now, leaving=self._leave_by is not None)
        for notice in notices:
            message = compose(notice, self._ports.place())
            for destination in self._destinations.values():
                if destination.for_people:
                    self._put(destination, {"subject": message.subject, "body": message.body}, now)
        if notices:
            self._store.state_changed()
        for name in self._destinations:
            delivery = self._outbox.next(name, now)
            if delivery is not None:
                self._attempt(delivery)
        self._store.save()

    def _attempt(self, delivery: Delivery) -> None:
        attempt: Deferred[None] = Deferred.fromCoroutine(self._deliver(delivery))
        if not attempt.called:
            self._under_way[delivery.destination] = attempt

    async def _deliver(self, delivery: Delivery) -> None:
        answer = await self._ask(delivery)
        self._under_way.pop(delivery.destination, None)
        had_failed = self._outbox.mailboxes[delivery.destination].failures
        lost = self._outbox.answered(delivery, answer, self._environment.clock())
        if answer.delivered:
            if self._destinations[delivery.destination].for_people:
                self._ports.alert_sent()
            _log.info("{what} told to {where}", what=_what(delivery), where=delivery.destination)
        elif lost is not None:
            self._say_lost(lost)
        elif not had_failed:
            _log.warn(
                "{where} cannot be told of {what}: {reason}; it is tried again for a day",
                where=delivery.destination,
                what=_what(delivery),
                reason=answer.text,
            )
        # Not at once: a server that answers without delay would have us go round without end.
        self._environment.reactor.callLater(0, self._pump_unless_stopped)

    def _pump_unless_stopped(self) -> None:
        if self._leave_by is None or self._environment.reactor.seconds() < self._leave_by:
            self._pump()

    async def _ask(self, delivery: Delivery) -> Answer:
        async def attempt() -> Answer:
            return await self._channels[delivery.destination].deliver(delivery, self._environment.clock())

        try:
            answer = await Deferred.fromCoroutine(attempt()).addTimeout(ATTEMPT_TIME, self._environment.reactor)
            if self._cut_off and not answer.delivered:
                return failed("the node was stopped meanwhile")
            return answer
        except DeferredTimeout:
            return failed(f"no answer within {ATTEMPT_TIME:g} s")
        except CancelledError:
            return failed("the node was stopped meanwhile")
        except Exception:
            _log.failure("delivering to {where} failed", where=delivery.destination)
            return failed("a defect of this node, which is in its log")

    def _say_lost(self, lost: Lost | None) -> None:
        if lost is not None:
            _log.warn(
                "{where} is not told of {what}: {reason}",
                where=lost.delivery.destination,
                what=_what(lost.delivery),
                reason=lost.reason,
            )

    # --- for pages and operators -------------------------------------------------------------------------

    def figures(self) -> AlertFigures:
        """What pages show."""
        rules = self._grouper.rules
        return AlertFigures(
            destinations=tuple(self._figures_of(each) for each in self._destinations.values()),
            events=_names(rules.events) if any(each.for_people for each in self._destinations.values()) else (),
            quiet_times=tuple(f"{_hour(begin)}-{_hour(end)}" for begin, end in rules.quiet.spans),
            is_quiet=self._grouper.is_quiet(self._environment.clock()),
            held=self._grouper.held,
            problem=self._store.problem,
        )

    def _figures_of(self, destination: Destination) -> DestinationFigures:
        mailbox = self._outbox.mailboxes[destination.id]
        due = min((each.next_attempt for each in mailbox.waiting.values()), default=None)
        return DestinationFigures(
            id=destination.id,
            kind=destination.kind.value,
            host=destination.shown,
            events=_names(destination.events if destination.events is not None else self._grouper.rules.events),
            waiting=len(mailbox.waiting),
            delivered=mailbox.delivered,
            lost=mailbox.lost,
            last_success=mailbox.last_success,
            last_failure=mailbox.last_failure,
            last_reason=mailbox.last_reason,
            next_attempt=None if due is None else max(due, mailbox.rest_until),
        )

    def test(self, destination: str) -> Deferred[list[TrialResult]]:
        """Deliver a test message at once, to one destination or to "all". Raises ValueError where there is
        none, or where a test is under way."""
        chosen = [each for each in self._destinations.values() if destination in (each.id, "all")]
        if not chosen:
            known = ", ".join(self._destinations) or "none: see --webhook, --alert-email and --alert-url"
            raise ValueError(f"there is no such destination; there are: {known}")
        if self._testing:
            raise ValueError("a test is under way: wait for its answer")
        self._testing = True
        tests = [Deferred.fromCoroutine(self._test(each)) for each in chosen]

        def over(result: Any) -> Any:
            self._testing = False
            return result

        return gatherResults(tests, consumeErrors=True).addBoth(over)

    async def _test(self, destination: Destination) -> TrialResult:
        ports, now = self._ports, self._environment.clock()
        if destination.for_people:
            message = trial_message(ports.place())
            content: dict[str, object] = {"subject": message.subject, "body": message.body}
        else:
            content = self._named("test", now)
            content |= {"subject": "", "text": "a test: somebody asked this node to send one"}
        began = self._environment.reactor.seconds()
        answer = await self._ask(Delivery(ports.new_id(), destination.id, content, now))
        return TrialResult(destination.id, answer, self._environment.reactor.seconds() - began)


def _what(delivery: Delivery) -> str:
    """A delivery in the log's words."""
    content = delivery.content
    return str(content.get("subject") if "body" in content else content.get("event"))


def _names(events: Iterable[EventKind]) -> tuple[str, ...]:
    return tuple(kind.value for kind in EventKind if kind in events)


def _hour(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"
