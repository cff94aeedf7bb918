"""The alerts at work on a clock: what is told to whom, once, and what is left for the next run."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.task import Clock

from p2pool.alerts.attempt import ATTEMPT_TIME
from p2pool.alerts.channel import (
    DeliveryOutcome,
    DeliveryResult,
    Destination,
    DestinationKind,
    OutboxEntry,
    delivered,
    failed,
)
from p2pool.alerts.last_run import read_last_run
from p2pool.alerts.message import NodeIdentity
from p2pool.alerts.outbox import MAX_WAITING
from p2pool.alerts.rules import QuietHours, Rules
from p2pool.alerts.service import LEAVE_TIME, AlertPorts, Alerts
from p2pool.alerts.watch import Thresholds, Watch
from p2pool.pool_stats import BanRecord, BlockStatus, DashdFigures, EventKind, PoolStats
from tests.alerts.happenings import block
from tests.chains import NOW
from tests.environment import make_environment
from tests.logged import logged
from tests.web.guarded import Threads

HOOK = Destination("hook", DestinationKind.WEBHOOK, "h", "http://h/", frozenset(EventKind))
BLOCKS = Destination("blocks", DestinationKind.WEBHOOK, "h", "http://h/", frozenset({EventKind.BLOCK_FOUND}))
MAIL = Destination("mail", DestinationKind.EMAIL, "example.org", "me@example.org")


class Way:
    """A channel that answers what it is told to, or nothing yet."""

    def __init__(self) -> None:
        self.got: list[OutboxEntry] = []
        self.answer: DeliveryResult | None = delivered("thanks", 200)
        self.defect: Exception | None = None

    async def deliver(self, delivery: OutboxEntry, now: float) -> DeliveryResult:
        self.got.append(delivery)
        if self.defect is not None:
            raise self.defect
        if self.answer is None:
            return await Deferred()
        return self.answer

    @property
    def told(self) -> list[str]:
        """Subjects, or events."""
        return [str(each.content.get("subject" if "body" in each.content else "event")) for each in self.got]


class Running:
    """A node's alerts; `again` is the next run in the same directory."""

    def __init__(self, directory: Path, *destinations: Destination, clock: Clock | None = None, **rules) -> None:
        self.directory, self.clock, self.rules = directory, clock or Clock(), rules
        self.threads, self.destinations = Threads(), destinations
        self.stats = PoolStats(self.now)
        self.stats.record_dashd(DashdFigures(problem=None))
        self.ways = {each.id: Way() for each in destinations}
        numbers = itertools.count(int(self.now * 1000))
        ports = AlertPorts(
            environment=make_environment(self.clock, clock=lambda: self.now, run_in_thread=self.threads),
            minute_of_day=lambda time: int(time % 86400 // 60),
            new_id=lambda: f"id{next(numbers)}",
            alert_sent=self.stats.record_alert,
            identity=lambda: NodeIdentity("n", "dash", "http://p/", "/log"),
            snapshot=lambda: self.stats.snapshot(self.now),
        )
        bans = {"192.0.2.1": BanRecord("192.0.2.1", NOW, NOW + 5, "why")}
        watch = Watch(Thresholds(), symbol="DASH", expects_peers=False, ban_of=bans.get)
        self.alerts = Alerts(
            ports,
            watch=watch,
            rules=Rules(**rules),
            destinations=destinations,
            channels=self.ways,
            directory=directory,
        )
        self.events: list[str] = []
        self.alerts.events.subscribe(lambda event: self.events.append(event.kind.value))

    @property
    def now(self) -> float:
        return NOW + self.clock.seconds()

    def start(self) -> Running:
        ensureDeferred(self.alerts.start())
        self.run(0)
        return self

    def run(self, seconds: float) -> None:
        self.clock.pump([1.0] * int(seconds) + [0.01] * 20)

    def stop(self) -> None:
        ended = ensureDeferred(self.alerts.stop())
        for _ in range(100):
            if not ended.called:
                self.clock.advance(0.05)
        assert ended.called
        ended.addErrback(lambda failure: failure.raiseException())

    def again(self, **rules) -> Running:
        clock = Clock()  # that of a run which was killed stands still
        clock.advance(self.clock.seconds())
        return Running(self.directory, *self.destinations, clock=clock, **(rules or self.rules))


def test_five_hundred_workers_that_go_down_are_one_message_and_five_hundred_posts(tmp_path):
    node = Running(tmp_path, HOOK, MAIL).start()
    for _ in range(30):
        for n in range(500):
            node.stats.record_accepted(f"yA.rig{n}", attempts=1e9, difficulty=1.0, dead=False, now=node.now)
        node.run(10)
    node.run(700)
    down = [subject for subject in node.ways["mail"].told if "down" in subject]
    assert down == ["[p2pool n] 500 workers are down"]
    node.run(100)
    assert node.ways["hook"].told.count("worker_down") == 500
    assert node.events.count("worker_down") == 500
    for n in range(500):
        node.stats.record_accepted(f"yA.rig{n}", attempts=1e9, difficulty=1.0, dead=False, now=node.now)
    node.run(10)
    assert node.events.count("worker_up") == 500


def test_who_is_notified_of_what(tmp_path):
    node = Running(tmp_path, HOOK, BLOCKS, MAIL).start()
    node.alerts.blocks_restored([block(7)])
    for record in (block(1), block(1), block(7)):
        node.alerts.block_changed(record)
    node.alerts.banned("192.0.2.1")
    node.run(5)
    assert node.ways["hook"].told == ["node_up", "block_found", "ban"]
    assert node.ways["blocks"].told == ["block_found"]
    assert node.ways["mail"].told == [
        "[p2pool n] the node started",
        "[p2pool n] block 101 found by yA.rig: 1.77000000 DASH",
    ]
    told = node.ways["blocks"].got[0].content
    assert (told["event"], told["timestamp"], told["node"], told["network"]) == ("block_found", NOW, "n", "dash")
    assert (told["block_hash"], told["block_height"], told["value"]) == (f"{1:064x}", 101, 1.77)
    assert node.stats.snapshot(node.now + 2).alerts == 2
    assert node.events == ["node_up", "block_found", "ban"]


def test_one_that_hangs_holds_up_nobody_and_is_one_attempt(tmp_path):
    node = Running(tmp_path, HOOK, BLOCKS)
    node.ways["hook"].answer = None
    node.start()
    for n in range(5):
        node.alerts.block_changed(block(n + 1))
        node.run(5)
    assert len(node.ways["blocks"].got) == 5
    assert node.ways["hook"].told == ["node_up"]
    shown = {each.id: each for each in node.alerts.figures().destinations}
    assert (shown["hook"].waiting, shown["blocks"].waiting) == (6, 0)


def test_one_that_never_answers_is_given_up_and_tried_again(tmp_path):
    node = Running(tmp_path, HOOK)
    node.ways["hook"].answer = None
    node.start()
    node.run(ATTEMPT_TIME + 1)
    (shown,) = node.alerts.figures().destinations
    assert shown.last_reason == "no answer within 90 s"
    node.ways["hook"].answer = delivered("thanks", 200)
    node.run(20)
    assert node.ways["hook"].told == ["node_up", "node_up"]
    assert node.alerts.figures().destinations[0].delivered == 1


def test_what_failed_is_tried_again_and_survives_a_restart(tmp_path):
    node = Running(tmp_path, BLOCKS).start()
    node.ways["blocks"].answer = failed("HTTP 500", 500)
    with logged() as log:
        node.alerts.block_changed(block())
        node.run(60)
    assert 3 <= len(node.ways["blocks"].got) <= 5
    assert len({each.id for each in node.ways["blocks"].got}) == 1
    assert [line for line in log.lines if "cannot deliver block_found to blocks: HTTP 500" in line]
    assert len(log.lines) == 1
    # No stop: it was killed.
    again = node.again().start()
    again.run(3600)
    assert [each.id for each in again.ways["blocks"].got] == [node.ways["blocks"].got[0].id]
    assert again.ways["blocks"].got[0].content == node.ways["blocks"].got[0].content
    third = again.again().start()
    third.run(3600)
    assert third.ways["blocks"].got == []


def test_what_is_held_in_quiet_hours_survives_a_restart(tmp_path):
    minute = int(NOW % 86400 // 60)
    rules = {"quiet": QuietHours(((minute - 10, minute + 60),))}
    node = Running(tmp_path, MAIL, **rules).start()
    node.run(10)
    assert node.ways["mail"].got == []
    assert (node.alerts.figures().held, node.alerts.figures().is_quiet) == (1, True)
    again = node.again().start()
    again.run(3600)
    assert again.ways["mail"].told == ["[p2pool n] the node was started 2 times during quiet hours"]


def test_an_orderly_stop_is_reported_and_the_next_start_knows(tmp_path):
    node = Running(tmp_path, HOOK, MAIL).start()
    node.run(100)
    node.alerts.leave()
    node.stop()
    assert node.ways["hook"].told[-1] == "node_down"
    assert node.ways["mail"].told[-1] == "[p2pool n] the node is stopping"
    assert node.events[-1] == "node_down"
    node.clock.advance(300)
    again = node.again().start()
    assert again.ways["hook"].got[0].content["orderly"] is True
    assert 299 < float(str(again.ways["hook"].got[0].content["away"])) < 302
    killed = again.again().start()
    assert killed.ways["hook"].got[0].content["orderly"] is False


def test_the_end_waits_two_seconds_for_one_that_hangs_and_keeps_what_it_had(tmp_path):
    node = Running(tmp_path, HOOK).start()
    node.ways["hook"].answer = None
    began = node.clock.seconds()
    node.stop()
    assert LEAVE_TIME <= node.clock.seconds() - began < LEAVE_TIME + 0.5
    again = node.again().start()
    again.run(60)
    assert sorted(again.ways["hook"].told) == ["node_down", "node_up"]


def test_what_the_end_cuts_off_is_said_so_whatever_its_way_calls_that(tmp_path):
    node = Running(tmp_path, HOOK).start()

    class Cut(Way):
        async def deliver(self, delivery: OutboxEntry, now: float) -> DeliveryResult:
            try:
                return await Deferred()
            except CancelledError:
                return failed("the connection failed: IPv4Address(type='TCP')")

    node.ways["hook"] = node.alerts._channels["hook"] = Cut()  # type: ignore[index]
    with logged() as log:
        node.stop()
    (line,) = log.lines
    assert "the node was stopped" in line


def test_a_note_that_the_node_runs_does_not_come_after_that_of_its_end(tmp_path):
    node = Running(tmp_path).start()
    node.threads.held = True  # a slow disk
    node.run(61)
    ended = ensureDeferred(node.alerts.stop())
    while not ended.called:
        node.threads._waiting.reverse()  # threads end in whatever order
        node.threads.release()
    last = read_last_run(tmp_path / "last-run.json")
    assert last is not None
    assert last.orderly


FOUND = Destination("found", DestinationKind.WEBHOOK, "h", "http://h/", frozenset({EventKind.BLOCK_FOUND}))


def test_a_block_is_reported_once_though_its_node_was_killed(tmp_path):
    node = Running(tmp_path, FOUND, MAIL, group=0.0).start()
    node.alerts.block_changed(block())
    node.run(1)
    (told,) = node.ways["found"].got
    again = node.again().start()  # the book was not written: the block comes out of the spool as news
    again.alerts.block_changed(block())
    again.run(5)
    assert again.ways["found"].got == []
    assert not [subject for subject in again.ways["mail"].told if "block" in subject]
    assert again.events.count("block_found") == 1  # whoever keeps events drops what they have
    again.alerts.block_changed(block(2))
    (other,) = again.ways["found"].got
    assert other.id != told.id


def test_where_even_that_it_was_told_is_lost_its_delivery_has_the_same_id(tmp_path):
    node = Running(tmp_path, FOUND, HOOK).start()
    node.threads.held = True  # killed before anything came to the disk
    node.alerts.block_changed(block())
    (told,) = node.ways["found"].got
    (hooked,) = [each for each in node.ways["hook"].got if each.content["event"] == "block_found"]
    assert hooked.id != told.id  # each destination has its own
    again = node.again().start()
    again.alerts.block_changed(block())
    (repeated,) = again.ways["found"].got
    assert (repeated.id, repeated.content) == (told.id, told.content)
    assert len(repeated.id) == 32


def test_what_is_on_its_way_since_the_last_run_is_not_there_twice(tmp_path):
    node = Running(tmp_path, FOUND)
    node.ways["found"].answer = failed("HTTP 500", 500)
    node.start().alerts.block_changed(block())
    again = node.again()
    again.ways["found"].answer = failed("HTTP 500", 500)
    again.start()
    again.alerts._notified._keys.clear()
    again.alerts.block_changed(block())
    assert again.alerts.figures().destinations[0].waiting == 1


def test_a_block_that_came_into_the_book_but_to_nobody_is_told_at_the_next_start(tmp_path):
    node = Running(tmp_path, FOUND).start()
    node.alerts.block_changed(block(1))
    node.run(1)
    node.threads.held = True  # killed after the book was written
    again = node.again().start()
    again.alerts.blocks_restored([block(1), block(2, BlockStatus.ACCEPTED), block(3, time=NOW - 1000)])
    assert [each.content["block_height"] for each in again.ways["found"].got] == [102]
    again.run(1)
    again.stop()
    third = again.again().start()
    third.alerts.blocks_restored([block(4)])  # it was stopped in good order
    assert third.ways["found"].got == []


def test_blocks_of_before_there_were_alerts_are_no_news(tmp_path):
    Running(tmp_path).start()
    node = Running(tmp_path, FOUND).start()
    node.alerts.blocks_restored([block(1)])
    assert node.ways["found"].got == []


def test_what_another_node_found_before_the_start_is_no_news(tmp_path):
    node = Running(tmp_path, HOOK, clock=Clock())
    node.start().run(10)
    others = block(1, time=NOW - 1, worker="another node")
    node.alerts.block_changed(others)
    node.alerts.block_changed(replace(others, status=BlockStatus.ORPHANED))
    node.alerts.block_changed(block(2, time=NOW - 1))  # out of the spool
    node.alerts.block_changed(block(3, time=NOW + 1, worker="another node"))
    node.alerts.blocks_learned([block(4, time=NOW - 9, worker="another node")])
    node.run(1)
    told = [(each.content["event"], each.content.get("block_height")) for each in node.ways["hook"].got]
    assert told[1:] == [("block_orphaned", 101), ("block_found", 102), ("block_found", 103)]


def test_a_block_that_is_orphaned_twice_is_reported_twice(tmp_path):
    node = Running(tmp_path, HOOK).start()
    for status in (BlockStatus.ORPHANED, BlockStatus.ACCEPTED, BlockStatus.ORPHANED):
        node.alerts.block_changed(block(1, status))
        node.run(1)
    assert node.ways["hook"].told.count("block_orphaned") == 2
    assert len({each.id for each in node.ways["hook"].got}) == len(node.ways["hook"].got)


def test_a_disk_that_is_full_is_one_line_and_nothing_is_lost(tmp_path):
    node = Running(tmp_path, BLOCKS).start()
    node.ways["blocks"].answer = failed("HTTP 500", 500)
    path = tmp_path / "alerts.sqlite"
    path.rename(tmp_path / "aside")
    path.mkdir()
    with logged() as log:
        node.alerts.block_changed(block())
        node.run(30)
    assert len([line for line in log.lines if "cannot write" in line]) == 1
    assert not log.tracebacks
    assert node.alerts.figures().problem is not None
    path.rmdir()
    node.run(30)
    assert node.alerts.figures().problem is None
    assert len(node.alerts._store.file.load()[0]) == 1


def test_a_bug_in_writing_is_one_traceback_and_shown(tmp_path, monkeypatch):
    node = Running(tmp_path, BLOCKS).start()

    def broken(*_):
        raise TypeError("not JSON")

    with monkeypatch.context() as patch, logged() as log:
        patch.setattr(node.alerts._store.file, "save", broken)
        node.alerts.block_changed(block())
        node.run(30)
    assert len(log.tracebacks) == 1
    assert node.alerts.figures().problem == "internal error; see the log"
    node.run(5)
    assert node.alerts.figures().problem is None


def test_a_disk_that_takes_longer_than_the_stop_is_not_waited_for_and_no_error(tmp_path):
    node = Running(tmp_path, BLOCKS).start()
    node.ways["blocks"].answer = failed("HTTP 500", 500)
    node.threads.held = True
    node.alerts.block_changed(block())
    with logged() as log:
        waiting = ensureDeferred(node.alerts._store.save_all())
        failures = []
        waiting.addErrback(failures.append)
        waiting.cancel()
        assert [each.type for each in failures] == [CancelledError]
        node.threads.release()
        node.run(1)
        node.threads.release()
    assert not log.tracebacks
    assert len(node.alerts._store.file.load()[0]) == 1


def test_an_internal_error_of_a_channel_is_in_the_log_and_tried_again(tmp_path):
    node = Running(tmp_path, BLOCKS).start()
    node.ways["blocks"].defect = KeyError("surprise")
    with logged() as log:
        node.alerts.block_changed(block())
        node.run(2)
    assert len(log.tracebacks) == 1
    node.ways["blocks"].defect = None
    node.run(20)
    assert node.alerts.figures().destinations[0].delivered == 1


def test_a_flood_is_bounded(tmp_path):
    node = Running(tmp_path, HOOK)
    node.ways["hook"].answer = None
    node.start()
    node.threads.held = True  # a disk that takes nothing meanwhile
    with logged() as log:
        for n in range(5000):
            node.alerts.block_changed(block(n + 1, BlockStatus.ORPHANED))
    assert len([line for line in log.lines if "more than 1000 are waiting" in line]) == 1
    assert node.alerts.figures().destinations[0].waiting <= MAX_WAITING
    assert len(node.events) <= 2001


def test_the_button_tells_what_each_answers(tmp_path):
    node = Running(tmp_path, HOOK, MAIL).start()
    node.ways["mail"].answer = failed("SMTP 550: nobody", 550, outcome=DeliveryOutcome.REJECTED)
    results = []
    node.alerts.test("all").addCallback(results.extend)
    assert [(each.destination, each.result.delivered, each.result.text) for each in results] == [
        ("hook", True, "thanks"),
        ("mail", False, "SMTP 550: nobody"),
    ]
    assert node.ways["hook"].told[-1] == "test"
    assert node.ways["mail"].told[-1] == "[p2pool n] test"
    with pytest.raises(ValueError, match="known ids: hook, mail"):
        node.alerts.test("nothing")
    node.ways["hook"].answer = None
    node.alerts.test("hook")
    with pytest.raises(ValueError, match="another test is running"):
        node.alerts.test("mail")


def test_without_destinations_there_are_events_but_no_file(tmp_path):
    node = Running(tmp_path).start()
    node.run(100)
    node.stop()
    assert node.events == ["node_up", "node_down"]
    assert [path.name for path in tmp_path.iterdir()] == ["last-run.json"]
