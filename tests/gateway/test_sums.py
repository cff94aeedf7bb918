"""Statistics of gateways: whatever dies or repeats itself, each submission is counted once, for one pool."""

from __future__ import annotations

import random

import fakeredis
import msgspec
import pytest
from twisted.internet.task import Clock

from p2pool.broker.operations import StreamReader
from p2pool.dash.address import encode_address
from p2pool.gateway import sums_collector
from p2pool.gateway.messages import TermsPart, pack_message, parse_message
from p2pool.gateway.names import Names
from p2pool.gateway.remote_work import RemoteTerms
from p2pool.gateway.sums_collector import SumsCollector
from p2pool.gateway.sums_intake import ANSWER_PERIOD, KEPT_ANSWERS, SumsIntake
from p2pool.gateway.sums_messages import MAX_COUNTED, MAX_RATES, MAX_WORKERS_SENT, CountedMessage, SumsMessage
from p2pool.gateway.sums_sender import (
    FIRST_PATIENCE,
    HEARTBEAT,
    LAST_PATIENCE,
    RATES_TIME,
    GatewayIdentity,
    SumsSender,
)
from p2pool.networks import DASH_REGTEST
from p2pool.pool_stats import GatewaySnapshot, PoolSnapshot, PoolStats
from p2pool.pool_stats.gateways import FORGET, GATEWAY_SILENCE, MAX_GATEWAYS
from tests.environment import make_environment
from tests.gateway.fake_broker import FakeBroker
from tests.home import KEY
from tests.logged import logged

NAMES = Names("simnet")
START = 1_700_000_000.0


class World:
    """A node and gateways around one server, all by one clock."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.server = fakeredis.FakeServer()
        self.chance = random.Random(5)
        self.node = NodeSide(self)
        self.a, self.b = GatewaySide(self, "a"), GatewaySide(self, "b")

    @property
    def now(self) -> float:
        return START + self.clock.seconds()

    def environment(self):
        return make_environment(self.clock, clock=lambda: self.now, chance=self.chance)

    def turn(self) -> None:
        """Let everyone read all that there is."""
        for _ in range(4):
            for side in (self.node, self.a, self.b):
                side.broker.turn()

    def wait(self, seconds: float = 1.0) -> None:
        """Let time pass, a second at a time."""
        for _ in range(int(seconds)):
            self.clock.advance(1.0)
            self.turn()

    def restart_node(self) -> None:
        """Kill the node, and start another one."""
        self.node.intake.stop()
        self.node = NodeSide(self)

    @property
    def pool(self) -> PoolSnapshot:
        return self.node.stats.snapshot(self.now)

    def row(self, name: str) -> GatewaySnapshot:
        return next(each for each in self.pool.gateways if each.name == name)

    def worker(self, name: str):
        return next(each for each in self.pool.workers if each.name == name)


class NodeSide:
    """The node's end."""

    def __init__(self, world: World) -> None:
        self.broker = FakeBroker(world.server)
        self.stats = PoolStats(world.now)
        self.intake = SumsIntake(world.environment(), self.broker, names=NAMES, stats=self.stats)
        self.intake.start()


class GatewaySide:
    """The gateway's end."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.broker = FakeBroker(world.server)
        self.stats = PoolStats(world.now)
        self.collector = SumsCollector(self.stats)
        self.sender = SumsSender(
            world.environment(),
            self.broker,
            names=NAMES,
            collector=self.collector,
        )
        self.broker.follow(
            StreamReader(NAMES.counted), lambda entries: [self.sender.take(entry.data) for entry in entries]
        )
        self.sender.start(GatewayIdentity(name, f"{name}.example:7903", "1.2"))

    def connect(self, worker: str) -> None:
        self.collector.record_connected(self.world.now)
        self.collector.record_worker_on(worker, difficulty=8.0, now=self.world.now, site="192.0.2.1")
        self.collector.record_software(worker, "miner/1")

    def leave(self, worker: str) -> None:
        self.collector.record_worker_off(worker)
        self.collector.record_disconnected()

    def submit(self, worker: str = "yA.rig", count: int = 1, *, attempts: float = 1000.0, dead: bool = False):
        for _ in range(count):
            self.collector.record_accepted(
                worker, attempts=attempts, difficulty=8.0, dead=dead, now=self.world.now
            )

    def refuse(self, worker: str | None = "yA.rig", code: int = 23) -> None:
        self.collector.record_refused(worker, code, self.world.now)


@pytest.fixture
def world(monkeypatch):
    monkeypatch.setattr("p2pool.broker.operations.WAIT", 0.001)
    world = World()
    world.wait(2)
    return world


def test_one_worker_s_figures_are_summed_over_gateways(world):
    world.a.connect("yA.rig")
    world.b.connect("yA.rig")
    world.b.connect("yA.rig")
    world.a.submit(count=3)
    world.b.submit(count=2)
    world.b.submit(dead=True)
    world.a.refuse()
    world.b.refuse(code=21)
    world.b.refuse(None, 25)
    world.wait(2)
    rig = world.worker("yA.rig")
    assert (rig.connections, rig.accepted, rig.dead, rig.refused_by) == (3, 6, 1, {23: 1, 21: 1})
    assert (rig.difficulty, rig.software) == (8.0, "miner/1")
    pool = world.pool
    assert (pool.connections, pool.accepted, pool.dead, pool.refused) == (3, 6, 1, {23: 1, 21: 1, 25: 1})
    assert pool.security.connected == 3
    assert world.node.stats.hash_rate(world.now) == pytest.approx(6000 / 20)
    assert world.node.stats.address_hash_rate("yA", world.now) == pytest.approx(rig.hash_rate)
    assert 6000 / 20 < rig.hash_rate < 6000 / 5
    a, b = world.row("a"), world.row("b")
    assert (a.connections, a.workers, a.accepted, a.refused) == (1, 1, 3, 1)
    assert (b.connections, b.workers, b.accepted, b.refused, b.dead) == (2, 1, 3, 2, 1)
    assert (a.address, a.version, a.present) == ("a.example:7903", "1.2", True)
    assert rig.hash_rate / 3 < a.hash_rate < rig.hash_rate / 2
    assert pool.addresses["yA"].connections == 3


def test_the_node_s_own_miners_count_with_those_of_gateways(world):
    stats = world.node.stats
    stats.record_connected(world.now)
    stats.record_worker_on("yA.rig", difficulty=4.0, now=world.now)
    stats.record_accepted("yA.rig", attempts=1000, difficulty=4.0, dead=False, now=world.now)
    world.a.connect("yA.rig")
    world.a.submit()
    world.wait(2)
    assert (world.pool.connections, world.pool.accepted) == (2, 2)
    assert (world.worker("yA.rig").connections, world.worker("yA.rig").accepted) == (2, 2)
    world.a.leave("yA.rig")
    world.wait(2)
    assert (world.pool.connections, world.worker("yA.rig").connections) == (1, 1)


def test_rejected_connections_and_offences_are_counted(world):
    world.a.collector.record_turned_away("banned", world.now)
    world.a.collector.record_offence("malformed lines")
    world.b.collector.record_turned_away("banned", world.now)
    world.wait(2)
    security = world.pool.security
    assert (security.turned_away, security.offences) == ({"banned": 2}, {"malformed lines": 1})


def test_a_report_that_comes_again_is_counted_once(world):
    world.a.submit(count=5)
    world.clock.advance(1.0)
    ((_, fields),) = world.node.broker.client.xrevrange(NAMES.sums, count=1)
    for _ in range(3):
        world.node.broker.client.xadd(NAMES.sums, fields)
    world.wait(2)
    assert world.pool.accepted == 5
    assert world.node.broker.client.xlen(NAMES.sums) == 0  # acknowledged


def test_what_waits_while_the_broker_is_gone_is_merged_and_counted_once(world):
    world.a.connect("yA.rig")
    for side in (world.node, world.a, world.b):
        side.broker.problem = "gone"
    for _ in range(30):
        world.a.submit()
        world.wait()
    assert world.pool.accepted == 0
    for side in (world.node, world.a, world.b):
        side.broker.problem = None
    world.wait(int(FIRST_PATIENCE) + 3)
    assert world.pool.accepted == 30
    assert world.row("a").connections == 1
    assert world.a.collector.unsent == 0


def test_a_broker_that_lost_everything_costs_nothing_that_is_not_sent_again(world):
    world.a.submit(count=4)
    world.clock.advance(1.0)
    world.node.broker.client.flushall()
    world.a.submit(count=3)
    world.wait(2)
    assert world.pool.accepted == 0
    world.wait(int(FIRST_PATIENCE) + 2)
    assert world.pool.accepted == 7


def test_an_answer_that_is_lost_makes_the_report_come_again_and_count_once(world):
    world.a.submit(count=4)
    world.clock.advance(1.0)
    world.node.broker.turn()
    world.node.broker.client.delete(NAMES.counted)
    world.wait(int(FIRST_PATIENCE) + 3)
    world.a.submit()
    world.wait(2)
    assert world.pool.accepted == 5


def test_a_node_that_died_before_it_acknowledged_does_not_count_again_in_its_next_run(world):
    world.a.submit(count=4)
    world.clock.advance(1.0)
    client = world.node.broker.client
    (entry,) = client.xrange(NAMES.sums)
    world.node.broker.turn()
    assert world.pool.accepted == 4
    client.xadd(NAMES.sums, entry[1])  # as if it had not been acknowledged
    world.restart_node()
    world.wait(3)
    assert world.pool.accepted == 0
    world.a.submit()
    world.wait(2)
    assert world.pool.accepted == 1


def test_a_report_that_was_read_and_not_counted_is_counted_by_the_next_run(world):
    world.a.submit(count=4)
    world.clock.advance(1.0)
    read, _ = world.node.broker.followers[0]
    assert len(read(world.node.broker.client)) == 1  # and it dies here
    world.restart_node()
    world.wait(2)
    assert world.pool.accepted == 4


def test_a_node_that_restarts_hears_of_all_workers_that_are_connected(world):
    for number in range(3):
        world.a.connect(f"yA.{number}")
    world.wait(2)
    world.restart_node()
    world.wait(3)
    assert world.pool.connections == 3
    assert sorted(worker.name for worker in world.pool.workers) == ["yA.0", "yA.1", "yA.2"]
    assert {worker.software for worker in world.pool.workers} == {"miner/1"}


def test_a_gateway_that_is_silent_for_a_minute_is_gone_and_comes_back(world):
    world.a.connect("yA.rig")
    world.a.submit()
    world.wait(2)
    world.a.broker.problem = "gone"
    world.wait(GATEWAY_SILENCE - 10)
    assert world.row("a").present
    with logged() as log:
        world.wait(30)
        assert not world.row("a").present
        world.wait(ANSWER_PERIOD)
    assert "gateway a is gone: no report for 87 s" in "\n".join(log.lines)
    row = world.row("a")
    assert (row.present, row.connections, row.accepted) == (False, 0, 1)
    assert world.now - row.last_heard > GATEWAY_SILENCE
    assert (world.pool.connections, world.worker("yA.rig").connections) == (0, 0)
    assert world.row("b").present  # it has nothing to report, and does
    world.a.broker.problem = None
    world.wait(FIRST_PATIENCE + 2)
    assert (world.row("a").present, world.row("a").connections) == (True, 1)
    assert (world.pool.connections, world.worker("yA.rig").connections) == (1, 1)


def test_a_gateway_without_news_reports_that_it_is_there(world):
    heard = world.row("a").last_heard
    world.wait(HEARTBEAT + 2)
    assert world.row("a").last_heard > heard


def test_a_gateway_that_stops_sends_what_it_has_and_is_gone_at_once(world):
    world.a.connect("yA.rig")
    world.wait(2)
    world.a.submit(count=2)
    world.a.leave("yA.rig")
    world.wait(ANSWER_PERIOD)
    assert world.a.sender.stop().called
    with logged() as log:
        world.turn()
        world.wait(ANSWER_PERIOD)
    assert log.lines == ["gateway a has stopped"]
    assert (world.row("a").present, world.pool.accepted) == (False, 2)
    assert world.worker("yA.rig").connections == 0


def test_a_gateway_that_cannot_send_when_it_stops_says_what_is_lost(world):
    world.a.submit(count=2)
    world.a.broker.problem = "no answer"
    with logged() as log:
        world.a.sender.stop()
    assert "the statistics of 2 submissions are lost: no answer" in "\n".join(log.lines)


def test_a_gateway_that_was_killed_and_restarted_counts_its_connections_anew(world):
    world.a.connect("yA.rig")
    world.a.submit()
    world.wait(2)
    world.a.broker.problem = "killed"
    world.clock.advance(1.0)
    again = GatewaySide(world, "a")
    again.connect("yA.other")
    again.submit("yA.other")
    for _ in range(3):
        world.clock.advance(1.0)
        again.broker.turn()
        world.turn()
    assert (world.pool.connections, world.pool.accepted) == (1, 2)
    assert (world.worker("yA.rig").connections, world.worker("yA.other").connections) == (0, 1)
    assert world.row("a").accepted == 2
    world.a.broker.problem = None  # a process that hands over reports last what it still has
    world.a.submit()
    world.a.sender.stop()
    world.turn()
    assert (world.row("a").present, world.row("a").connections, world.pool.accepted) == (True, 1, 3)


def test_work_of_a_long_outage_does_not_look_like_that_of_a_second(world):
    world.a.broker.problem = "gone"
    for _ in range(1200):
        world.a.submit(attempts=100.0)
        world.clock.advance(1.0)
    world.a.broker.problem = None
    world.wait(10)
    world.clock.advance(550)  # the window is almost full
    world.turn()
    assert world.pool.accepted == 1200
    assert world.node.stats.hash_rate(world.now) == pytest.approx(100, rel=0.1)


def test_work_of_the_time_without_a_node_does_not_look_like_that_of_the_second_in_which_it_returned(world):
    world.node.intake.stop()
    world.node.broker.problem = "gone"
    for _ in range(300):
        world.a.submit(attempts=100.0)
        world.clock.advance(1.0)
        world.a.broker.turn()
    world.restart_node()
    world.wait(5)
    assert world.pool.accepted == 300
    assert world.node.stats.hash_rate(world.now) == pytest.approx(100, rel=0.1)
    assert world.row("a").hash_rate == pytest.approx(100, rel=0.1)


def test_more_workers_than_one_report_holds_follow_in_the_next_one(world):
    count = MAX_WORKERS_SENT + 5
    for number in range(count):
        world.a.submit(f"yA.{number}")
    world.wait(3)
    assert world.pool.accepted == count
    assert len(world.pool.workers) == count


def test_more_workers_than_a_gateway_remembers_are_counted_without_a_name(world, monkeypatch):
    monkeypatch.setattr(sums_collector, "MAX_WORKERS", 3)
    for number in range(5):
        world.a.connect(f"yA.{number}")
        world.a.submit(f"yA.{number}", 2)
    world.wait(2)
    assert world.pool.accepted == 10
    assert world.row("a").accepted == 10
    assert len(world.pool.workers) == 3


def test_rates_of_addresses_that_mine_in_several_places_go_back_to_gateways(world):
    for gateway in (world.a, world.b):
        gateway.connect("yA.rig")
    world.a.connect("yB")
    for _ in range(10):
        for gateway in (world.a, world.b):
            gateway.submit(attempts=6000.0)
        world.a.submit("yB", attempts=6000.0)
        world.wait(10)
    rate = world.node.stats.address_hash_rate("yA", world.now)
    assert rate == pytest.approx(world.worker("yA.rig").hash_rate)
    assert world.a.sender.address_hash_rate("yA", world.now) == pytest.approx(rate, rel=0.1)
    assert world.b.sender.address_hash_rate("yA", world.now) == pytest.approx(rate, rel=0.1)
    assert world.node.stats.shared_rates(10, world.now) == [("yA", rate)]
    alone = world.worker("yB").hash_rate
    assert world.a.sender.address_hash_rate("yB", world.now) == pytest.approx(alone, rel=0.1)
    assert world.b.sender.address_hash_rate("yB", world.now) == 0
    world.node.broker.problem = "gone"
    world.wait(RATES_TIME + 1)
    assert world.a.sender.address_hash_rate("yA", world.now) < rate / 2


def test_jobs_of_a_gateway_judge_an_address_by_all_of_its_miners(world):
    address = encode_address(DASH_REGTEST.parent.addresses.pubkey_hash, KEY)
    for gateway in (world.a, world.b):
        gateway.connect(f"{address}.rig")
        gateway.submit(f"{address}.rig", attempts=6000.0)
    world.wait(ANSWER_PERIOD + 2)
    part = TermsPart(
        fee=0.0,
        donation=0,
        stale_info=0,
        operator_key_hash=None,
        recent_finders=[],
        local_rate=world.node.stats.hash_rate(world.now),
        pool_rate=None,
    )
    terms = RemoteTerms(part, node_clock=lambda: 0.0, network=DASH_REGTEST, rates=world.b.sender)
    assert terms.address_rate(KEY, world.now) == pytest.approx(terms.local_rate(world.now), rel=0.1)
    assert terms.address_rate(KEY, world.now) > 1.5 * world.b.stats.address_hash_rate(address, world.now)


def test_an_address_at_the_node_and_at_one_gateway_is_shared(world):
    world.node.stats.record_worker_on("yA", difficulty=1.0, now=world.now)
    world.a.connect("yA")
    world.a.connect("yB")
    world.wait(2)
    assert [address for address, _ in world.node.stats.shared_rates(10, world.now)] == ["yA"]


def test_what_cannot_be_read_is_logged_once_and_holds_up_nobody(world):
    client = world.node.broker.client
    report = parse_message(SumsMessage, last_report(world))
    hostile = [
        b"garbage",
        pack_message(msgspec.structs.replace(report, schema=99)),
        pack_message(msgspec.structs.replace(report, seconds=float("nan"))),
        pack_message(msgspec.structs.replace(report, connections=-1)),
        pack_message(CountedMessage(run=1, counted={}, rates=None)),
    ]
    with logged() as log:
        for data in hostile:
            client.xadd(NAMES.sums, {"data": data})
            client.xadd(NAMES.counted, {"data": data})
            world.turn()
    assert not log.tracebacks
    assert "cannot count what a gateway reports" in "\n".join(log.lines)
    with logged() as log:
        for data in hostile:  # between reports that are well
            world.wait(HEARTBEAT + 2)
            client.xadd(NAMES.sums, {"data": data})
            world.turn()
    assert log.lines == []
    world.a.submit()
    world.wait(3)
    assert world.pool.accepted == 1
    assert client.xlen(NAMES.sums) == 0


def last_report(world: World) -> bytes:
    world.clock.advance(HEARTBEAT + 1)
    ((_, fields), *_) = world.node.broker.client.xrevrange(NAMES.sums)
    return fields[b"data"]


def test_a_gateway_is_forgotten_after_a_day(world):
    world.a.broker.problem = "gone"
    world.clock.advance(FORGET / 2)
    world.wait(2)
    world.clock.advance(FORGET / 2)
    world.wait(2)
    assert [each.name for each in world.pool.gateways] == ["b"]


def test_a_gateway_without_a_node_repeats_its_report_and_merges_the_rest(world):
    world.node.intake.stop()
    world.node.broker.followers.clear()
    for _ in range(600):
        world.a.submit()
        world.wait()
    client = world.node.broker.client
    numbers = {
        report.number
        for _, fields in client.xrange(NAMES.sums)
        if (report := parse_message(SumsMessage, fields[b"data"])).gateway == "a"
    }
    assert len(numbers) == 1
    assert client.xlen(NAMES.sums) < 40
    world.node = NodeSide(world)
    world.wait(LAST_PATIENCE + 3)
    assert world.pool.accepted == 600


def test_so_many_runs_of_gateways_are_remembered(world):
    report = parse_message(SumsMessage, last_report(world))
    client = world.node.broker.client
    for run in range(MAX_COUNTED + 5):
        client.xadd(NAMES.sums, {"data": pack_message(msgspec.structs.replace(report, run=run, gateway=str(run)))})
    for _ in range(5):
        world.turn()
    ((_, fields),) = client.xrevrange(NAMES.counted, count=1)
    answer = parse_message(CountedMessage, fields[b"data"])
    assert len(answer.counted) == MAX_COUNTED
    assert MAX_COUNTED + 4 in answer.counted
    assert len(world.pool.gateways) == MAX_GATEWAYS


def test_rates_of_so_many_addresses_are_sent(world):
    for number in range(MAX_RATES + 5):
        for gateway in (world.a, world.b):
            gateway.connect(f"y{number}")
            gateway.submit(f"y{number}", attempts=1000.0 + number)
    world.wait(ANSWER_PERIOD + 2)
    rates = [world.a.sender.address_hash_rate(f"y{number}", world.now) for number in range(MAX_RATES + 5)]
    own = [world.a.stats.address_hash_rate(f"y{number}", world.now) for number in range(MAX_RATES + 5)]
    assert [rate > here for rate, here in zip(rates, own, strict=True)] == [False] * 5 + [True] * MAX_RATES


def test_answers_in_the_broker_are_bounded(world):
    for _ in range(2 * KEPT_ANSWERS):
        world.clock.advance(ANSWER_PERIOD)
    assert world.node.broker.client.xlen(NAMES.counted) <= KEPT_ANSWERS + 100


def test_two_gateways_with_one_name_are_one_line_in_the_log(world):
    world.a.sender.stop()
    world.b.sender.stop()
    first, second = GatewaySide(world, "north"), GatewaySide(world, "north")
    with logged() as log:
        for _ in range(5):
            for side in (first, second):
                world.clock.advance(HEARTBEAT)
                side.broker.turn()
                world.node.broker.turn()
                side.broker.turn()
    lines = [line for line in log.lines if "two gateways have the name north" in line]
    assert len(lines) == 1
