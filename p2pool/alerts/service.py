"""The alert service: checks the node every few seconds, fires events, and delivers notifications to people and
programs. Timers, threads and log lines are here; `watch`, `rules` and `outbox` decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredLock, gatherResults
from twisted.logger import Logger

from p2pool.alerts.attempt import make_attempt
from p2pool.alerts.channel import Channel, DeliveryResult, Destination, OutboxEntry, failed
from p2pool.alerts.figures import AlertFigures, DestinationFigures
from p2pool.alerts.last_run import LAST_RUN_FILE, LastRun, read_last_run, write_last_run
from p2pool.alerts.message import NodeIdentity, compose, trial_message
from p2pool.alerts.notified import ONCE, NotifiedOnce, entry_id
from p2pool.alerts.outbox import LostEntry, Outbox
from p2pool.alerts.outbox_file import OUTBOX_FILE
from p2pool.alerts.rules import Grouper, Rules
from p2pool.alerts.store import AlertStore
from p2pool.alerts.watch import Thresholds, Watch
from p2pool.base.environment import Environment
from p2pool.base.observable import Event
from p2pool.base.time_slice import cooperator
from p2pool.base.timer import Timer
from p2pool.pool_stats import BlockRecord, EventKind, EventRecord, PoolSnapshot

POLL_PERIOD: Final = 5.0
"""Seconds between two checks of the node."""
DELIVER_PERIOD: Final = 1.0
"""Seconds between two checks for entries that are due."""
HEARTBEAT_PERIOD: Final = 60.0
"""Seconds between two writes of the file that says that the node is running."""
LEAVE_TIME: Final = 2.0
"""Seconds that a stopping node waits for its last notifications."""
_log = Logger(namespace="p2pool.alerts")


@dataclass(frozen=True, slots=True)
class AlertPorts:
    """What the service needs of the rest of the node. `new_id` returns a unique id for an outbox entry;
    `alert_sent` is called for each message that people were sent; `identity` returns how messages call this
    node."""

    environment: Environment
    minute_of_day: Callable[[float], int]
    new_id: Callable[[], str]
    alert_sent: Callable[[], None]
    identity: Callable[[], NodeIdentity]
    snapshot: Callable[[], PoolSnapshot]


@dataclass(frozen=True, slots=True)
class TrialResult:
    """The result of a test message, which took `seconds`."""

    destination: str
    result: DeliveryResult
    seconds: float


class Alerts:
    """Notifies people and programs of events. `events` fires with every event, whether a destination wants it
    or not. `channels` are by the destination's id; files are in `directory`."""

    def __init__(
        self,
        ports: AlertPorts,
        *,
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
        self._notified = NotifiedOnce()
        self._last: LastRun | None = None
        self._outbox = Outbox(self._destinations, environment.chance)
        self._store = AlertStore(
            environment,
            directory / OUTBOX_FILE.name,
            outbox=self._outbox,
            grouper=self._grouper,
            notified=self._notified,
        )
        self._marker = directory / LAST_RUN_FILE.name
        self._marking = DeferredLock()
        self._cooperator = cooperator(environment)
        self._timers: list[Timer] = []
        self._attempts: dict[str, Deferred[None]] = {}
        """Attempts that are being made, by destination."""
        self._overflowing: set[str] = set()
        """Destinations with too many entries: that is logged once, not for each entry that is dropped."""
        self._started: float | None = None
        self._leave_by: float | None = None
        self._cut_off = False
        """Set when attempts were cancelled because the node is stopping."""
        self._testing = False

    def set_rules(self, rules: Rules, thresholds: Thresholds) -> None:
        """Decide by these rules and thresholds from now on what is an event, which of them people are notified
        of, and when."""
        self._grouper.rules = rules
        self._watch.set_thresholds(thresholds)

    # --- life --------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Load what an earlier run left, report that the node has started, and begin to check it."""
        world, now = self._environment, self._environment.clock()
        last: LastRun | None = await world.run_in_thread(lambda: read_last_run(self._marker))
        self._last = last
        if self._destinations:
            await self._store.load(now)
        self._started = now
        await self._mark(LastRun(now, False))
        self._report([self._watch.started(last, now)])
        self._timers = [
            Timer(world.reactor, POLL_PERIOD, self._check, name="check for alerts", now=False),
            Timer(world.reactor, DELIVER_PERIOD, self._deliver_due, name="deliver alerts", now=False),
            Timer(
                world.reactor,
                HEARTBEAT_PERIOD,
                self._still_running,
                name="note that the node is running",
                now=False,
            ),
        ]

    def leave(self) -> None:
        """Report that the node is stopping, and send that message without grouping."""
        if self._started is None or self._leave_by is not None:
            return
        now = self._environment.clock()
        self._leave_by = self._environment.reactor.seconds() + LEAVE_TIME
        self._store.is_ending = True
        self._report([self._watch.stopping(now - self._started, now)])

    async def stop(self) -> None:
        """Wait up to LEAVE_TIME since `leave` for the last notifications; then write all that are left to disk."""
        for timer in self._timers:
            timer.stop()
        if self._started is None:
            return
        self.leave()
        self._deliver_due()
        await self._wait_for_attempts()
        await self._store.save_all()
        await self._mark(LastRun(self._environment.clock(), True))

    async def _wait_for_attempts(self) -> None:
        reactor, left = self._environment.reactor, Deferred[None]()
        if self._leave_by is None:
            return
        deadline = reactor.callLater(max(0.0, self._leave_by - reactor.seconds()), left.callback, None)
        while self._outbox.has_due(self._environment.clock()) and not left.called:
            pause: Deferred[None] = Deferred()
            reactor.callLater(0.05, pause.callback, None)
            await pause
        if deadline.active():
            deadline.cancel()
        self._leave_by, self._cut_off = reactor.seconds(), True
        for attempt in list(self._attempts.values()):
            attempt.cancel()

    async def _still_running(self) -> None:
        await self._mark(LastRun(self._environment.clock(), False))

    async def _mark(self, run: LastRun) -> None:
        # One after another: that the node is running must not be written after that it was stopped.
        await self._marking.acquire()
        try:
            # A disk error is logged by those who have more to write.
            with suppress(OSError):
                await self._environment.run_in_thread(lambda: write_last_run(self._marker, run))
        finally:
            self._marking.release()

    # --- what happens ------------------------------------------------------------------------------------

    def blocks_restored(self, records: Sequence[BlockRecord]) -> None:
        """Take note of blocks of earlier runs, and report those that the last run, if it was killed, may not have
        reported."""
        self._watch.blocks_restored(records)
        last = self._last
        if last is not None and not last.orderly and self._notified.is_restored:
            found = [self._watch.block_found(each) for each in records if each.time > last.time - HEARTBEAT_PERIOD]
            self._report(event for event in found if not self._notified.knows(event))

    def blocks_learned(self, records: Sequence[BlockRecord]) -> None:
        """Take note of blocks from before the start that were learned from the share chain: they are not
        reported."""
        self._watch.blocks_restored(records)

    def block_changed(self, record: BlockRecord) -> None:
        """Report a block that is new or whose status changed. One that others found before the start is not
        reported as found."""
        if self._started is not None and record.time < self._started and not record.found_here:
            self._watch.block_is_old(record)
        self._report(self._watch.block_changed(record, self._environment.clock()))

    def banned(self, host: str) -> None:
        """Report that a host of miners was banned."""
        self._report(self._watch.banned(host, self._environment.clock()))

    async def _check(self) -> None:
        def checking() -> Iterable[None]:
            for event in self._watch.check(self._ports.snapshot()):
                if event is not None:
                    self._report([event])
                yield None

        await self._cooperator.cooperate(iter(checking())).whenDone()

    def _report(self, events: Iterable[EventRecord]) -> None:
        for event in events:
            self.events.fire(event)
            self._notify(event)
        self._deliver_due()

    def _notify(self, event: EventRecord) -> None:
        now = self._environment.clock()
        if not self._notified.take(event):
            return
        if event.kind in ONCE:
            self._store.state_changed()
        if any(each.for_people for each in self._destinations.values()) and self._grouper.offer(event, now):
            self._store.state_changed()
        content: dict[str, object] | None = None
        for destination in self._destinations.values():
            if destination.events is not None and event.kind in destination.events:
                content = content or self._object(event)
                name = entry_id(event, destination.id, self._ports.identity())
                self._put(destination, content, now=now, name=name)

    def _object(self, event: EventRecord) -> dict[str, object]:
        """Return what a webhook is sent for an event: docs/alerts.md says the type of each field."""
        return {
            **event.details,
            **self._named(event.kind.value, event.time),
            "subject": event.subject,
            "text": event.text,
        }

    def _named(self, event: str, time: float) -> dict[str, object]:
        """Return the fields of every webhook object. `timestamp` is a whole number: programs keep it as one."""
        identity = self._ports.identity()
        return {"event": event, "timestamp": int(time), "node": identity.node, "network": identity.network}

    def _put(
        self, destination: Destination, content: Mapping[str, object], *, now: float, name: str | None = None
    ) -> None:
        entry = OutboxEntry(name or self._ports.new_id(), destination.id, content, now)
        if entry.id in self._outbox.mailboxes[destination.id].waiting:
            return  # it is waiting since the last run
        lost = self._outbox.put(entry)
        if lost is None:
            self._overflowing.discard(destination.id)
        elif destination.id not in self._overflowing:
            self._overflowing.add(destination.id)
            self._log_lost(lost)

    # --- delivering --------------------------------------------------------------------------------------

    def _deliver_due(self) -> None:
        """Try all entries that are due, and write what changed."""
        if not self._store.is_loaded:
            return
        now = self._environment.clock()
        notices = self._grouper.due(now, leaving=self._leave_by is not None)
        for notice in notices:
            message = compose(notice, self._ports.identity())
            for destination in self._destinations.values():
                if destination.for_people:
                    self._put(destination, {"subject": message.subject, "body": message.body}, now=now)
        if notices:
            self._store.state_changed()
        for name in self._destinations:
            entry = self._outbox.next(name, now)
            if entry is not None:
                self._attempt(entry)
        self._store.save()

    def _attempt(self, entry: OutboxEntry) -> None:
        attempt: Deferred[None] = Deferred.fromCoroutine(self._deliver(entry))
        if not attempt.called:
            self._attempts[entry.destination] = attempt

    async def _deliver(self, entry: OutboxEntry) -> None:
        result = await self._try(entry)
        self._attempts.pop(entry.destination, None)
        had_failed = self._outbox.mailboxes[entry.destination].failures
        lost = self._outbox.answered(entry, result, self._environment.clock())
        if result.delivered:
            if self._destinations[entry.destination].for_people:
                self._ports.alert_sent()
            _log.info("delivered {what} to {destination}", what=_what(entry), destination=entry.destination)
        elif lost is not None:
            self._log_lost(lost)
        elif not had_failed:
            _log.warn(
                "cannot deliver {what} to {destination}: {reason}; retrying for a day",
                destination=entry.destination,
                what=_what(entry),
                reason=result.text,
            )
        # Not at once: with a server that answers without delay this would never return.
        self._environment.reactor.callLater(0, self._deliver_unless_stopped)

    def _deliver_unless_stopped(self) -> None:
        if self._leave_by is None or self._environment.reactor.seconds() < self._leave_by:
            self._deliver_due()

    async def _try(self, entry: OutboxEntry) -> DeliveryResult:
        result = await make_attempt(self._environment, self._channels[entry.destination], entry)
        if self._cut_off and not result.delivered:
            return failed("the node was stopped")
        return result

    def _log_lost(self, lost: LostEntry | None) -> None:
        if lost is not None:
            _log.warn(
                "gave up delivering {what} to {destination}: {reason}",
                destination=lost.entry.destination,
                what=_what(lost.entry),
                reason=lost.reason,
            )

    # --- for pages and operators -------------------------------------------------------------------------

    def figures(self) -> AlertFigures:
        """Return what pages show of the alerts."""
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
        """Deliver a test message at once, to one destination or to "all". Raises ValueError if there is no such
        destination, or if another test is running."""
        chosen = [each for each in self._destinations.values() if destination in (each.id, "all")]
        if not chosen:
            known = ", ".join(self._destinations) or "none: see --webhook, --alert-email and --alert-url"
            raise ValueError(f"there is no destination with this id; known ids: {known}")
        if self._testing:
            raise ValueError("another test is running: wait for its result")
        self._testing = True
        tests = [Deferred.fromCoroutine(self._test(each)) for each in chosen]

        def over(result: Any) -> Any:
            self._testing = False
            return result

        return gatherResults(tests, consumeErrors=True).addBoth(over)

    async def _test(self, destination: Destination) -> TrialResult:
        ports, now = self._ports, self._environment.clock()
        if destination.for_people:
            message = trial_message(ports.identity())
            content: dict[str, object] = {"subject": message.subject, "body": message.body}
        else:
            content = self._named("test", now)
            content |= {"subject": "", "text": "a test that an operator of this node requested"}
        began = self._environment.reactor.seconds()
        result = await self._try(OutboxEntry(ports.new_id(), destination.id, content, now))
        return TrialResult(destination.id, result, self._environment.reactor.seconds() - began)


def _what(entry: OutboxEntry) -> str:
    """Return how the log calls an entry."""
    content = entry.content
    return str(content.get("subject") if "body" in content else content.get("event"))


def _names(events: Iterable[EventKind]) -> tuple[str, ...]:
    return tuple(kind.value for kind in EventKind if kind in events)


def _hour(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"
