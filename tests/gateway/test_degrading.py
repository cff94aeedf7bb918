"""A broker that is slow, full, read-only or new, as node and gateways meet it."""

from __future__ import annotations

from typing import Any

import fakeredis
import pytest
from twisted.internet.defer import Deferred

from p2pool.broker.connection import BrokerError
from p2pool.broker.operations import StreamReader
from p2pool.gateway import solution_sender
from p2pool.gateway.messages import WorkMessage, parse_message
from p2pool.gateway.remote_work import CLOCK_MESSAGES, SILENCE, NodeClock
from p2pool.gateway.solution_intake import GATHERING
from p2pool.gateway.solution_sender import CHECK, SEND_AGAIN
from p2pool.gateway.work_feed import REPEAT
from tests.e2e.gateway_faults import orphans
from tests.e2e.gateway_pool import Found
from tests.gateway.test_gateway import GatewaySide, NodeSide, Pool
from tests.home import EVERY_HASH_A_BLOCK, at_work
from tests.support import make_template


@pytest.fixture
def pool(tmp_path, monkeypatch):
    monkeypatch.setattr("p2pool.broker.operations.WAIT", 0.001)
    return Pool(tmp_path)


class SlowAnswers:
    """In place of a broker's `ask`: keeps what is asked until the test lets it happen."""

    def __init__(self, broker: Any) -> None:
        self._client = broker.client
        self.waiting: list[tuple[Any, Deferred[Any]]] = []
        broker.ask = self

    def __call__(self, action: Any, *, urgent: bool = False) -> Deferred[Any]:
        self.waiting.append((action, Deferred()))
        return self.waiting[-1][1]

    def answer(self) -> None:
        """Let all happen that waits now."""
        waiting, self.waiting = self.waiting, []
        for action, deferred in waiting:
            deferred.callback(action(self._client))

    def fail(self) -> None:
        """Fail all that waits now."""
        waiting, self.waiting = self.waiting, []
        for _, deferred in waiting:
            deferred.errback(BrokerError("slow"))


def published(pool: Pool) -> list[int]:
    """Return the heights of the works in the stream."""
    entries = pool.node.broker.client.xrange(pool.node.names.work)
    return [parse_message(WorkMessage, fields[b"data"]).template.height for _, fields in entries]


def test_a_slow_broker_gets_the_newest_work_and_not_all_that_there_was(pool):
    slow = SlowAnswers(pool.node.broker)
    for height in range(201, 210):
        pool.home.node.set_template(make_template(previous_block=height, height=height))
    assert len(slow.waiting) == 1
    slow.answer()
    slow.answer()
    assert published(pool) == [201, 209]
    assert slow.waiting == []


def test_work_goes_on_after_the_broker_failed(pool):
    slow = SlowAnswers(pool.node.broker)
    pool.home.node.set_template(make_template(previous_block=1, height=201))
    pool.home.node.set_template(make_template(previous_block=2, height=202))
    slow.fail()
    slow.answer()
    assert published(pool) == [202]


def test_work_is_sent_again_at_once_to_a_broker_that_is_back(pool):
    pool.home.node.renew_work()
    pool.node.broker.client.flushall()
    pool.node.feed.repeat()
    assert len(published(pool)) == 1


def test_work_that_was_passed_over_still_makes_former_jobs_worthless(pool):
    pool.home.node.renew_work()
    pool.turn()
    gateway = pool.gateways[0]
    client, stream = pool.node.broker.client, pool.node.names.work
    pool.home.node.set_template(make_template(previous_block=0xBEEF, height=201))
    pool.home.node.set_template(make_template(previous_block=0xBEEF, height=201, transactions=[b"\x05" * 32]))
    first, second = client.xrange(stream)[-2:]
    assert [parse_message(WorkMessage, fields[b"data"]).clean for _, fields in (first, second)] == [True, False]
    gateway.work.take(second[1][b"data"])  # the app passes over all but the newest
    assert gateway.changes[-1].clean is True


def test_solutions_that_a_full_broker_refused_are_tried_one_at_a_time_until_it_has_room(pool):
    pool.home.node.renew_work()
    pool.turn()
    gateway = pool.gateways[0]
    gateway.broker.problem = "full"
    outcomes = [gateway.mine() for _ in range(3)]
    slow = SlowAnswers(gateway.broker)
    for _ in range(20):
        gateway.clock.advance(CHECK)
    assert len(slow.waiting) == 1
    slow.answer()  # it has room again
    gateway.broker.problem = None
    gateway.clock.advance(SEND_AGAIN)
    slow.answer()
    pool.turn()
    assert all(outcome.hash in pool.home.tracker for outcome in outcomes)


def test_a_slow_broker_gets_each_solution_once(pool):
    pool.home.node.renew_work()
    pool.turn()
    gateway = pool.gateways[0]
    slow = SlowAnswers(gateway.broker)
    gateway.mine()
    for _ in range(20):
        gateway.clock.advance(SEND_AGAIN)
    assert len(slow.waiting) == 1


# --- the order of shares after an outage -------------------------------------------------------------------------


def wait(pool: Pool, seconds: float) -> None:
    """Let time pass for everybody."""
    pool.home.now += seconds
    for gateway in pool.gateways:
        gateway.clock.advance(seconds)


def outage(pool: Pool, problem: str | None) -> None:
    """Let the broker be gone for all, or come back, which they notice at once."""
    pool.node.broker.problem = problem
    pool.node.intake.broker_changed(problem)
    for gateway in pool.gateways:
        gateway.broker.problem = problem
        if problem is None:
            gateway.sender.broker_is_back()


def gather(pool: Pool) -> None:
    """Let the node take what waits for shares of other gateways."""
    pool.turn()
    pool.node.clock.advance(GATHERING)
    pool.turn()


def test_all_that_was_found_in_an_outage_is_sent_at_once_the_oldest_first(pool):
    pool.home.node.renew_work()
    pool.turn()
    gateway = pool.gateways[0]
    outage(pool, "gone")
    outcomes = []
    for _ in range(4):
        outcomes.append(gateway.mine())
        wait(pool, 1)
    outage(pool, None)
    gather(pool)
    assert all(each.hash in pool.home.tracker for each in outcomes)
    added = [value[0].hash for name, value in pool.home.told if name == "share_added"]
    assert added == [each.hash for each in outcomes]


@pytest.mark.parametrize("first", [0, 1])
def test_the_share_that_was_found_first_in_an_outage_wins_whoever_delivers_first(pool, first):
    pool.home.node.renew_work()
    pool.turn()
    outage(pool, "gone")
    older = pool.gateways[first].mine()
    wait(pool, 3)
    younger = pool.gateways[1 - first].mine()
    wait(pool, 3)
    outage(pool, None)
    gather(pool)
    assert {older.hash, younger.hash} <= {share.hash for share in pool.home.tracker.heads()}
    assert pool.home.node.best_share == older.hash
    assert pool.gateways[0].work.context.parent.previous_hash == older.hash


def test_nothing_is_built_on_a_younger_share_before_the_older_one_can_have_come(pool):
    pool.home.node.renew_work()
    pool.turn()
    outage(pool, "gone")
    older = pool.gateways[0].mine()
    wait(pool, 3)
    younger = pool.gateways[1].mine()
    outage(pool, None)
    pool.gateways[0].broker.problem = "gone"  # it notices later that the broker is back
    work = pool.home.node.context
    pool.turn()
    pool.node.clock.advance(GATHERING - 0.1)
    assert pool.home.node.context is work
    outage(pool, None)
    pool.turn()
    pool.node.clock.advance(0.1)
    pool.turn()
    assert {older.hash, younger.hash} <= {share.hash for share in pool.home.tracker.heads()}
    assert pool.home.node.best_share == older.hash
    assert [len(gateway.sender) for gateway in pool.gateways] == [0, 0]
    third = pool.gateways[0].mine()  # and from now on nothing waits
    pool.turn()
    assert pool.home.node.best_share == third.hash


def test_a_share_that_is_found_later_than_that_does_not_wait(pool):
    pool.home.node.renew_work()
    pool.turn()
    outage(pool, "gone")
    outage(pool, None)
    pool.node.clock.advance(GATHERING)
    outcome = pool.gateways[0].mine()
    pool.turn()
    assert pool.home.node.best_share == outcome.hash


def test_shares_wait_once_in_an_outage_that_is_only_half_over(pool):
    pool.home.node.renew_work()
    pool.turn()
    pool.node.intake.broker_changed("full")  # of what the node writes; shares come all the same
    first = pool.gateways[0].mine()
    gather(pool)
    assert pool.home.node.best_share == first.hash
    second = pool.gateways[0].mine()
    pool.turn()
    assert second.hash in pool.home.tracker


def test_blocks_wait_for_nobody(pool):
    pool.home.node.set_template(make_template(bits=EVERY_HASH_A_BLOCK))
    pool.turn()
    outage(pool, "gone")
    outcome = pool.gateways[0].mine()
    outage(pool, None)
    pool.turn()
    assert pool.home.last("block_found").block_hash == outcome.hash
    assert outcome.hash not in pool.home.tracker
    pool.node.intake.stop()  # the share comes again at the next start
    pool.node.clock.advance(GATHERING)
    assert outcome.hash not in pool.home.tracker
    home = at_work()
    again = NodeSide(pool.server, home)
    for _ in range(4):
        again.broker.turn()
    assert outcome.hash in home.tracker


def test_a_broken_broker_is_tried_with_what_is_oldest_and_gets_the_rest_when_it_takes_that(pool):
    pool.home.node.renew_work()
    pool.turn()
    gateway = pool.gateways[0]
    gateway.broker.problem = "gone"
    outcomes = [gateway.mine() for _ in range(3)]
    slow = SlowAnswers(gateway.broker)
    gateway.clock.advance(CHECK)
    assert len(slow.waiting) == 1
    slow.answer()  # it is back, but for the streams
    assert len(slow.waiting) == 2
    slow.answer()
    assert slow.waiting == []
    pool.turn()
    added = [value[0].hash for name, value in pool.home.told if name == "share_added"]
    assert added == [each.hash for each in outcomes]


def test_so_many_are_sent_again_at_once(pool, monkeypatch):
    monkeypatch.setattr(solution_sender, "MOST_AT_ONCE", 3)
    pool.home.node.renew_work()
    pool.turn()
    gateway = pool.gateways[0]
    gateway.broker.problem = "gone"
    outcomes = [gateway.mine() for _ in range(9)]
    slow = SlowAnswers(gateway.broker)
    gateway.clock.advance(CHECK)
    sent = []
    while slow.waiting:
        sent.append(len(slow.waiting))
        slow.answer()
    assert sent[:2] == [1, 3]
    assert max(sent) == 3
    pool.turn()
    assert all(each.hash in pool.home.tracker for each in outcomes)


def test_a_gateway_that_hears_the_node_late_finds_nothing_before_others_did(pool, tmp_path):
    home = pool.home
    home.node.renew_work()
    pool.turn()
    wait(pool, 9)
    client, stream = pool.node.broker.client, pool.node.names.work
    ((_, fields),) = client.xrange(stream)
    client.delete(stream)
    seconds, microseconds = client.time()
    client.xadd(stream, fields, id=f"{1000 * (seconds - 9) + microseconds // 1000}-0")
    late = GatewaySide(pool.server, home, tmp_path / "late")
    late.broker.turn()
    first = pool.gateways[0].mine()
    pool.turn()
    assert home.node.best_share == first.hash
    wait(pool, 1)
    late.clock.advance(1)
    second = late.mine()  # it has not read the new work yet
    pool.turn()
    assert second.hash in home.tracker
    assert home.node.best_share == first.hash


def test_the_clock_of_the_node_is_that_of_the_message_that_was_under_way_shortest():
    now = 100.0
    clock = NodeClock(lambda: now)
    clock.take(1, 1000.0, 0.0)
    now += 10
    clock.take(1, 1001.0, 0.0)  # it waited for nine seconds
    assert clock.now() == 1010.0
    for _ in range(CLOCK_MESSAGES):  # or the node's clock was set back
        clock.take(1, 1001.0, 0.0)
    assert clock.now() == 1001.0
    clock.take(2, 500.0, 3.0)  # another machine
    assert clock.now() == 503.0
    clock.take(2, 501.0, 0.0)  # the age was by a clock that is wrong
    assert clock.now() == 501.0
    clock.take(2, 500.0, 3600.0)  # after an outage in which the broker's clock was set
    assert clock.now() == 501.0


def test_a_message_that_waited_for_the_broker_does_not_show_that_the_node_lives(pool):
    pool.home.node.renew_work()
    pool.turn()
    gateway = pool.gateways[0]
    gateway.clock.advance(200)
    ((_, fields),) = pool.node.broker.client.xrange(pool.node.names.work)
    gateway.work.take(fields[b"data"], 195.0)  # the broker's clock is a little behind
    assert gateway.work.problem() == "the node has sent nothing for 200 s"
    gateway.work.take(fields[b"data"], 4000.0)  # the broker's clock was set
    assert gateway.work.problem() == "the node has sent nothing for 200 s"


def test_what_a_network_that_was_cut_delivers_late_does_not_show_that_the_node_lives(pool):
    pool.home.node.renew_work()
    pool.turn()
    gateway, node = pool.gateways[0], pool.node
    ((_, fields),) = node.broker.client.xrange(node.names.work)
    for clock in (gateway.clock, node.clock):
        clock.advance(REPEAT)
    pool.turn()
    assert gateway.work.problem() is None
    gateway.clock.advance(200)
    gateway.work.take(fields[b"data"])  # it lay in the buffers of a machine, not in the broker
    assert gateway.work.problem() == "the node has sent nothing for 200 s"
    node.clock.advance(200)
    pool.turn()
    assert gateway.work.problem() is None


def test_a_new_gateway_does_not_take_what_a_dead_node_sent_for_fresh_work(pool, tmp_path):
    pool.home.node.renew_work()
    ((_, fields),) = pool.node.broker.client.xrange(pool.node.names.work)
    late = GatewaySide(pool.server, pool.home, tmp_path / "late")
    late.clock.advance(pool.home.now - 1000.0 + SILENCE + 1)  # both clocks are right
    late.work.take(fields[b"data"])
    assert late.work.problem() == "the node has sent nothing for 31 s"


def test_a_new_gateway_that_has_another_time_takes_the_second_message(pool, tmp_path):
    pool.home.node.renew_work()
    late = GatewaySide(pool.server, pool.home, tmp_path / "late")
    late.clock.advance(pool.home.now - 1000.0 + 3600)
    late.broker.turn()
    assert late.work.problem() == "the node has sent nothing for 3600 s"
    for clock in (late.clock, pool.node.clock):
        clock.advance(REPEAT)
    late.broker.turn()
    assert late.work.problem() is None


def test_a_node_whose_clock_runs_at_another_speed_lives(pool):
    pool.home.node.renew_work()
    gateway, node = pool.gateways[0], pool.node
    for _ in range(int(2 * SILENCE)):  # after these, the two are twice as far apart as a silent node is silent
        gateway.clock.advance(REPEAT + 1)
        node.clock.advance(REPEAT)
        pool.turn()
    assert gateway.work.problem() is None


def test_work_of_a_node_that_died_long_ago_is_no_work(pool, tmp_path):
    pool.home.node.renew_work()
    pool.turn()
    ((_, fields),) = pool.node.broker.client.xrange(pool.node.names.work)
    late = GatewaySide(pool.server, pool.home, tmp_path / "late")
    late.work.take(fields[b"data"], 600.0)
    assert late.work.problem() == "the node has sent nothing for 600 s"
    assert 569 < late.work.missing() < 571
    late.work.take(fields[b"data"])
    assert late.work.problem() is None
    assert late.work.missing() == 0


def test_what_is_read_at_first_says_how_old_it_is():
    client = fakeredis.FakeRedis()
    seconds, microseconds = client.time()
    client.xadd("s", {"data": b"old"}, id=f"{1000 * (seconds - 20) + microseconds // 1000}-0")
    client.xadd("t", {"data": b"of a clock that runs ahead"}, id=f"{1000 * (seconds + 20)}-0")
    reader = StreamReader("s", "t")
    old, ahead = reader(client)
    assert old.age == pytest.approx(20, abs=1)
    assert ahead.age == 0.0
    client.xadd("s", {"data": b"new"})
    (new,) = reader(client)
    assert new.age == 0.0


def found(name: str, time: float, block: bool = False) -> Found:
    return Found(name, time, "worker", block)


def test_the_script_of_faults_knows_which_orphan_should_have_won():
    shares = [found("a", 1), found("b", 2), found("c", 3), found("d", 4), found("e", 5, True), found("f", 6)]
    parents = {"a": "0", "b": "0", "c": "a", "d": "b", "e": "a", "f": "e"}
    result = orphans(shares, parents, {"0", "a", "e"})
    assert [each.hash for each in result.first] == ["f"]
    assert [each.hash for each in result.later] == ["b", "c"]  # b came after a; e is a block
    assert [each.hash for each in result.on_orphans] == ["d"]
