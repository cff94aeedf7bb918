"""The alerts of miners at work on a clock: from a request to messages, and over a restart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock

from p2pool.alerts.channel import DeliveryOutcome, DeliveryResult, OutboxEntry, delivered, failed
from p2pool.alerts.message import NodeIdentity
from p2pool.alerts.miners import service
from p2pool.alerts.miners.digest import GATHER
from p2pool.alerts.miners.file import MINERS_FILE
from p2pool.alerts.miners.service import MAX_ATTEMPTS, MinerAlertPorts, MinerAlerts
from p2pool.alerts.miners.settings import MinerAlertSettings
from p2pool.alerts.miners.subscribing import Problem, RequestRefused
from p2pool.networks import SIMNET
from p2pool.pool_stats import BlockStatus, EventKind, EventRecord, PoolStats
from tests.alerts.happenings import block
from tests.alerts.miners.desk import SECRET, SETTINGS, Owner
from tests.chains import NOW
from tests.environment import make_environment
from tests.logged import logged

ADDRESS = Owner().address
REQUEST = {"address": ADDRESS, "channel": "webhook", "destination": "https://h.example/1", "proof": "secret"}


class Way:
    """All destinations: what they got, and what they answer."""

    def __init__(self) -> None:
        self.got: list[OutboxEntry] = []
        self.answer: DeliveryResult | None = delivered("thanks", 200)

    async def deliver(self, delivery: OutboxEntry, now: float) -> DeliveryResult:
        self.got.append(delivery)
        return await Deferred() if self.answer is None else self.answer

    @property
    def events(self) -> list[str]:
        return [str(each.content["event"]) for each in self.got]


class Running:
    """A node's alerts of miners; `again` is the next run in the same directory."""

    def __init__(self, directory: Path, settings: MinerAlertSettings = SETTINGS, start: float = 0.0) -> None:
        self.directory, self.settings, self.clock = directory, settings, Clock()
        self.clock.advance(start)
        self.stats = PoolStats(self.now)
        self.paid: dict[int, dict[str, int]] = {}
        self.way = Way()
        environment = make_environment(self.clock, clock=lambda: self.now)
        ports = MinerAlertPorts(
            environment=environment,
            network=SIMNET,
            identity=lambda: NodeIdentity("n", "simnet", "http://p/", "/log"),
            snapshot=lambda: self.stats.snapshot(self.now),
            paid=self.paid.get,
            has_secret=lambda address, secret: (address, secret) == (ADDRESS, SECRET),
        )
        self.alerts = MinerAlerts(ports, settings, directory)
        ensureDeferred(self.alerts.start())

    @property
    def now(self) -> float:
        return NOW + self.clock.seconds()

    def run(self, seconds: float) -> None:
        self.clock.pump([1.0] * int(seconds) + [0.01] * 20)

    def again(self, settings: MinerAlertSettings = SETTINGS) -> Running:
        return Running(self.directory, settings, self.clock.seconds())

    def subscribe(self, **changes: Any) -> dict[str, Any]:
        return self.alerts.subscribe(REQUEST | {"secret": SECRET} | changes, "192.0.2.1")

    def confirmed(self) -> str:
        """Subscribe and confirm; return the token that ends it."""
        self.subscribe()
        self.run(1)
        content = self.way.got[-1].content
        self.alerts.confirm(content["confirm"].partition("#confirm=")[2])
        return content["unsubscribe"].partition("#unsubscribe=")[2]

    def silent(self, name: str = f"{ADDRESS}.rig") -> None:
        details = {"worker": name, "down_since": self.now - 60, "connections": 0, "hash_rate": 5.0}
        self.alerts.happened(EventRecord(self.now, EventKind.WORKER_DOWN, name, "down", details))


@pytest.fixture
def start(tmp_path, monkeypatch):
    """A function that starts a run in a directory of the test."""
    runs: list[Running] = []
    monkeypatch.setattr(service, "channel_to", lambda *_: runs[-1].way)

    def run(previous: Running | None = None, **settings: Any) -> Running:
        runs.append(Running(tmp_path) if previous is None else previous.again(**settings))
        return runs[-1]

    return run


def test_nothing_is_sent_before_the_destination_is_confirmed_nor_after_the_end(start):
    node = start()
    with logged() as log:
        assert node.subscribe() == {
            "address": ADDRESS,
            "events": ["block", "refused", "silent"],
            "confirmed": False,
        }
        node.silent()
        node.run(GATHER + 2)
        assert node.way.events == ["miner_confirm"]
        confirm = node.way.got[0].content["confirm"].partition("=")[2].partition("=")[2]
        assert node.alerts.confirm(confirm)["channel"] == "webhook"
        node.silent()
        node.silent("yOther.rig")
        node.run(GATHER + 2)
        assert node.way.events == ["miner_confirm", "miner_alert"]
        message = node.way.got[1].content
        assert message["events"][0]["event"] == "worker_silent"
        assert "worker rig has submitted nothing for 1 min 0 s; it is not connected" in message["body"]
        node.alerts.unsubscribe(message["unsubscribe"].partition("#unsubscribe=")[2])
        node.silent()
        node.run(GATHER + 2)
    assert node.way.events == ["miner_confirm", "miner_alert"]
    assert (node.alerts.figures().sent, node.alerts.figures().subscriptions) == (2, 0)
    assert len(log.lines) == 2  # it was set, and ended
    assert not any("h.example" in line or SECRET in line for line in log.lines)


def test_a_block_that_pays_after_the_confirmation(start):
    node = start()
    node.confirmed()
    node.paid |= {1: {ADDRESS: 5}, 2: {ADDRESS: 150_000_000}}
    old = block(1, BlockStatus.ACCEPTED, time=NOW - 100)
    new = block(2, BlockStatus.ACCEPTED, time=node.now + 1)
    node.stats.record_block(old)
    node.stats.record_block(new)
    node.run(10 + GATHER + 3)
    (message,) = node.way.got[1:]
    assert [(each["event"], each["value_duffs"]) for each in message.content["events"]] == [
        ("block_paid", 150_000_000)
    ]


def test_what_waits_and_who_is_to_be_told_over_a_restart(start):
    first = start()
    unsubscribe = first.confirmed()
    first.silent()
    first.way.answer = failed("HTTP 500")
    ensureDeferred(first.alerts.stop())
    stored = (first.directory / MINERS_FILE.name).read_text()
    assert SECRET not in stored
    assert oct((first.directory / MINERS_FILE.name).stat().st_mode)[-3:] == "600"
    second = start(first)
    second.run(2)
    assert second.way.events == ["miner_alert"]
    assert second.alerts.unsubscribe(unsubscribe)["address"] == ADDRESS
    second.run(5)
    third = start(second)
    third.silent()
    third.run(GATHER + 2)
    assert third.way.events == []


def test_a_damaged_file_is_quarantined_and_links_of_before_are_not_valid(start, tmp_path):
    unsubscribe = start().confirmed()
    (tmp_path / MINERS_FILE.name).write_text('{"version": 1, "key": "short"}')
    with logged() as log:
        node = start()
    assert ["starting without alerts that miners have set" in line for line in log.lines] == [True]
    with pytest.raises(RequestRefused, match="not valid"):
        node.alerts.unsubscribe(unsubscribe)
    node.confirmed()
    node.run(5)
    document = json.loads((tmp_path / MINERS_FILE.name).read_text())
    assert len(document["subscriptions"]) == 1


def test_a_destination_that_does_not_answer_does_not_hold_up_others(start, monkeypatch):
    monkeypatch.setattr("p2pool.alerts.miners.subscriptions.MAX_PER_ADDRESS", 100)
    monkeypatch.setattr("p2pool.alerts.miners.subscribing.REQUESTS", 100)
    node = start()
    node.way.answer = None
    for number in range(MAX_ATTEMPTS + 3):
        node.subscribe(destination=f"https://h.example/{number}")
    node.run(3)
    assert len(node.way.got) == MAX_ATTEMPTS
    node.way.answer = delivered("thanks", 200)
    node.run(90)  # the attempts are given up
    assert len({each.destination for each in node.way.got}) == MAX_ATTEMPTS + 3
    ended = ensureDeferred(node.alerts.stop())
    assert ended.called


def test_a_destination_that_refuses(start):
    node = start()
    node.way.answer = failed("HTTP 404", 404, outcome=DeliveryOutcome.REJECTED)
    node.subscribe()
    node.run(1)
    assert (node.alerts.figures().unconfirmed, node.alerts.figures().failed) == (0, 1)  # it cannot be confirmed
    node.way.answer = delivered("thanks", 200)
    node.confirmed()
    node.way.answer = failed("HTTP 404", 404, outcome=DeliveryOutcome.REJECTED)
    with logged() as log:
        for _ in range(3):
            node.silent()
            node.run(GATHER + 2)
    assert ["cannot be delivered; they end after a week" in line for line in log.lines] == [True]
    node.clock.advance(7 * 86400)
    node.run(11)
    assert node.alerts.figures().subscriptions == 0


def test_without_channels_there_is_nothing(tmp_path):
    node = Running(tmp_path, MinerAlertSettings())
    assert not node.alerts.is_offered
    assert node.alerts.figures().channels == ()
    with pytest.raises(RequestRefused) as refused:
        node.subscribe()
    assert refused.value.problem is Problem.STARTING
    node.silent()
    node.run(20)
    ensureDeferred(node.alerts.stop())
    assert list(tmp_path.iterdir()) == []
