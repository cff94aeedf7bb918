"""A node and its gateways around one broker: work goes out, solutions come in, whatever dies in between."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import fakeredis
import pytest
from twisted.internet.task import Clock

from p2pool.broker.operations import GroupReader, StreamReader
from p2pool.gateway.names import Names
from p2pool.gateway.remote_work import SILENCE, RemoteWork
from p2pool.gateway.solution_codec import solution_message
from p2pool.gateway.solution_intake import SolutionIntake
from p2pool.gateway.solution_sender import SEND_AGAIN, SolutionSender
from p2pool.gateway.solution_spool import SolutionSpool
from p2pool.gateway.transaction_fetch import FETCH_AGAIN, TransactionFetcher
from p2pool.gateway.work_codec import WorkChangeSent
from p2pool.gateway.work_feed import REPEAT, TRANSACTIONS_FIRST, WorkFeed
from p2pool.pool_stats import PoolStats
from tests.environment import make_environment
from tests.gateway.fake_broker import FakeBroker
from tests.home import EVERY_HASH_A_BLOCK, KEY, Home, at_work
from tests.logged import logged
from tests.support import make_template


class NodeSide:
    """The node's end."""

    def __init__(self, server: fakeredis.FakeServer, home: Home, seed: int = 3) -> None:
        self.home = home
        self.broker = FakeBroker(server)
        self.stored = 0
        self.is_cut_off = False
        environment = make_environment(chance=random.Random(seed), clock=lambda: home.now)
        self.clock: Any = environment.reactor
        self.names = Names(home.network.name)
        node = home.node
        self.feed = WorkFeed(
            environment,
            self.broker,
            names=self.names,
            view=home.tracker,
            terms=node.job_terms,
            blocked=lambda: node.work_problem,
            withdrawn=lambda: self.is_cut_off,
        )
        node.work_changed.subscribe(
            lambda change: self.feed.work_changed(
                WorkChangeSent(change.context, clean=change.clean, more_to_come=False)
            )
        )
        self.intake = SolutionIntake(
            environment,
            self.broker,
            names=self.names,
            network=home.network,
            transactions=self.feed.transactions.transactions,
            fetcher=TransactionFetcher(environment, self.broker, names=self.names),
            take=node.take_solution,
            store=self._store,
            is_safe=lambda block_hash: True,
        )
        self.feed.start()
        self.intake.start()

    async def _store(self) -> None:
        self.stored += 1


class GatewaySide:
    """The gateway's end, on a directory that outlives it."""

    def __init__(self, server: fakeredis.FakeServer, home: Home, directory: Path) -> None:
        self.home = home
        self.broker = FakeBroker(server)
        self.clock = Clock()
        environment = make_environment(
            self.clock, clock=lambda: 1000.0 + self.clock.seconds(), chance=random.Random(directory.name)
        )
        names = Names(home.network.name)
        self.work = RemoteWork(environment, home.network, broker=self.broker, names=names, rates=PoolStats(0.0))
        self.sender = SolutionSender(environment, self.broker, names=names, spool=SolutionSpool(directory))
        self.changes: list[WorkChangeSent] = []
        self.work.work_changed.subscribe(self.changes.append)
        self.work.solved_work.subscribe(
            lambda solved: self.sender.send(
                solution_message(solved.outcome, gateway="g", worker=solved.worker, found=solved.found)
            )
        )
        self.broker.follow(
            StreamReader(names.work), lambda entries: [self.work.take(e.data, e.age) for e in entries]
        )
        self.broker.follow(StreamReader(names.taken), lambda entries: [self.sender.taken(e.data) for e in entries])
        self.started = self.sender.start()
        from twisted.internet.defer import ensureDeferred

        ensureDeferred(self.started)

    def mine(self, worker: str = "me.rig"):
        outcome = self.home.solve(self.work.make_job(KEY, None))
        self.work.solved(outcome, worker)
        return outcome


@pytest.fixture
def pool(tmp_path, monkeypatch):
    monkeypatch.setattr("p2pool.broker.operations.WAIT", 0.001)
    return Pool(tmp_path)


class Pool:
    """A node with two gateways, and the server between them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.server = fakeredis.FakeServer()
        self.home = at_work()
        self.node = NodeSide(self.server, self.home)
        self.gateways = [GatewaySide(self.server, self.home, directory / name) for name in ("a", "b")]

    def turn(self) -> None:
        """Let everyone read all that there is: a node begins with its group, and with what an earlier run left."""
        for _ in range(4):
            self.node.broker.turn()
            for gateway in self.gateways:
                gateway.broker.turn()
            self.home.run()


def test_work_reaches_gateways_that_are_there_and_those_that_come_later(pool, tmp_path):
    pool.turn()
    assert all(side.work.context is None for side in pool.gateways)
    pool.home.node.renew_work()
    pool.turn()
    late = GatewaySide(pool.server, pool.home, tmp_path / "late")
    late.broker.turn()
    jobs = [side.work.make_job(KEY, None) for side in (*pool.gateways, late)]
    expected = pool.home.node.context.tip
    assert [job.context.tip for job in jobs] == [expected] * 3
    assert all(side.work.is_current(job) for side, job in zip((*pool.gateways, late), jobs, strict=True))


def test_a_share_of_a_gateway_is_the_node_s_and_makes_new_work_for_all(pool):
    pool.home.node.renew_work()
    pool.turn()
    outcome = pool.gateways[0].mine()
    pool.turn()
    assert pool.home.node.best_share == outcome.hash
    assert pool.home.node.own_share_hashes() == [outcome.hash]
    pool.turn()
    assert [side.work.context.parent.previous_hash for side in pool.gateways] == [outcome.hash] * 2
    assert [side.changes[-1].clean for side in pool.gateways] == [True, True]
    assert len(pool.gateways[0].sender) == 0  # the node has said that it is stored
    assert list((pool.directory / "a").glob("*.solution")) == []
    assert pool.node.broker.client.xlen(pool.node.names.solutions) == 0


def test_many_solutions_are_acknowledged_with_as_many_requests_as_one(pool):
    pool.home.node.renew_work()
    pool.turn()
    requests = []
    real = pool.node.broker.ask

    def ask(action: Any, *, urgent: bool = False) -> Any:
        requests.append(action.__qualname__)
        return real(action, urgent=urgent)

    pool.node.broker.ask = ask
    gateway = pool.gateways[0]
    for _ in range(50):
        gateway.mine()
    pool.turn()
    assert len(gateway.sender) == 0
    assert [each.partition(".")[0] for each in requests if "append_all" in each or "acknowledge" in each] == [
        "acknowledge",
        "append_all",
    ]


def test_a_solution_is_logged_as_sent_only_while_the_broker_takes_it(pool):
    pool.home.node.renew_work()
    pool.turn()
    gateway = pool.gateways[0]
    with logged() as log:
        gateway.mine()
        gateway.broker.problem = "gone"
        gateway.mine()
    sent, waits = (line for line in log.lines if line.startswith("solution "))
    assert "of me.rig sent to the node: " in sent
    assert "of me.rig waits for the broker: " in waits


def test_a_block_is_completed_with_the_transactions_of_its_own_template(pool):
    home = pool.home
    home.node.set_template(make_template(bits=EVERY_HASH_A_BLOCK, transactions=[b"\x05" * 32, b"\x06" * 32]))
    template = home.node.template
    pool.turn()
    gateway = pool.gateways[1]
    outcome = gateway.home.solve(gateway.work.make_job(KEY, None))
    home.node.set_template(make_template(bits=EVERY_HASH_A_BLOCK, previous_block=0xBEEF, height=201))
    gateway.work.solved(outcome, "w")
    home.told.clear()
    pool.turn()
    found = home.last("block_found")
    assert found.block_hash == outcome.hash
    assert found.height == 200
    assert found.data.endswith(b"".join(transaction.data for transaction in template.transactions))


def test_gateways_fetch_the_transactions_of_the_work_in_the_background(pool):
    pool.home.node.set_template(make_template(transactions=[b"\x05" * 32]))
    pool.turn()
    context = pool.gateways[0].work.context
    expected = tuple(transaction.data for transaction in pool.home.node.template.transactions)
    assert context.template.transactions == ()
    assert pool.gateways[0].work.transactions.get(context.transactions_key) == expected


def test_transactions_that_come_late_are_asked_for_again(pool):
    gateway = pool.gateways[0]
    pool.node.feed.transactions.offer = lambda key, template: None
    pool.home.node.set_template(make_template(transactions=[b"\x05" * 32]))
    pool.node.clock.advance(TRANSACTIONS_FIRST)
    pool.turn()
    key = gateway.work.context.transactions_key
    assert gateway.work.transactions.get(key) is None
    del pool.node.feed.transactions.offer
    pool.node.feed.transactions.offer(key, pool.home.node.template)
    gateway.clock.advance(FETCH_AGAIN)
    assert gateway.work.transactions.get(key) is not None


def test_a_node_that_restarts_completes_a_block_of_the_work_of_its_former_run(pool):
    pool.home.node.set_template(make_template(bits=EVERY_HASH_A_BLOCK, transactions=[b"\x05" * 32]))
    pool.turn()
    data = pool.home.node.template.transactions[0].data
    outcome = pool.gateways[0].mine()
    home = at_work(bits=EVERY_HASH_A_BLOCK)
    node = NodeSide(pool.server, home)
    for _ in range(4):
        node.broker.turn()
    found = home.last("block_found")
    assert found.block_hash == outcome.hash
    assert found.data.endswith(data)


def test_a_solution_that_a_killed_node_had_read_is_read_again(pool):
    pool.home.node.renew_work()
    pool.turn()
    outcome = pool.gateways[0].mine()
    read = next(each for each, _ in pool.node.broker.followers if isinstance(each, GroupReader))

    assert sum(len(read(pool.node.broker.client)) for _ in range(3)) == 1  # and it dies here
    home = at_work()
    node = NodeSide(pool.server, home)
    for _ in range(3):
        node.broker.turn()
    assert outcome.hash in home.tracker


def test_without_a_broker_gateways_go_on_and_deliver_when_it_is_back(pool):
    pool.home.node.renew_work()
    pool.turn()
    gateway = pool.gateways[0]
    for side in (pool.node, *pool.gateways):
        side.broker.problem = "gone"
    outcome = gateway.mine()
    gateway.clock.advance(60)
    pool.turn()
    assert outcome.hash not in pool.home.tracker
    for side in (pool.node, *pool.gateways):
        side.broker.problem = None
    gateway.clock.advance(SEND_AGAIN)
    pool.turn()
    assert outcome.hash in pool.home.tracker


def test_a_broker_that_lost_everything_costs_no_solution(pool):
    pool.home.node.renew_work()
    pool.turn()
    outcome = pool.gateways[0].mine()
    pool.node.broker.client.flushall()
    pool.turn()
    assert outcome.hash not in pool.home.tracker
    pool.gateways[0].clock.advance(SEND_AGAIN)
    pool.turn()
    pool.turn()
    assert outcome.hash in pool.home.tracker
    pool.turn()
    assert len(pool.gateways[0].sender) == 0


def test_a_gateway_that_was_killed_sends_what_is_on_its_disk(pool):
    pool.home.node.renew_work()
    pool.turn()
    gateway = pool.gateways[0]
    gateway.broker.problem = "gone"
    outcome = gateway.mine()
    again = GatewaySide(pool.server, pool.home, pool.directory / "a")
    assert len(again.sender) == 1
    pool.turn()
    assert outcome.hash in pool.home.tracker
    again.broker.turn()
    assert len(again.sender) == 0
    assert list((pool.directory / "a").iterdir()) == []


def test_a_solution_is_taken_once_however_often_it_comes(pool):
    pool.home.node.renew_work()
    pool.turn()
    gateway = pool.gateways[0]
    gateway.mine()
    gateway.clock.advance(SEND_AGAIN)
    gateway.clock.advance(SEND_AGAIN)
    pool.turn()
    assert pool.home.stats.snapshot(pool.home.now).shares == 1


def test_what_cannot_be_read_is_kept_for_people_and_does_not_hold_up_the_rest(pool):
    pool.home.node.renew_work()
    pool.turn()
    pool.node.broker.client.xadd(pool.node.names.solutions, {"data": b"garbage"})
    outcome = pool.gateways[0].mine()
    pool.turn()
    assert outcome.hash in pool.home.tracker
    ((_, kept),) = pool.node.broker.client.xrange(pool.node.names.rejected)
    assert kept == {b"data": b"garbage"}
    assert pool.node.broker.client.xlen(pool.node.names.solutions) == 0


def test_work_that_is_repeated_makes_no_broadcast_but_shows_that_the_node_lives(pool):
    pool.home.node.renew_work()
    pool.turn()
    gateway = pool.gateways[0]
    count = len(gateway.changes)
    gateway.clock.advance(SILENCE + 1)
    assert "has sent nothing for 31 s" in gateway.work.problem()
    pool.node.clock.advance(REPEAT)
    pool.turn()
    assert gateway.work.problem() is None
    assert len(gateway.changes) == count


def test_work_is_withdrawn_when_the_node_has_been_without_others_for_too_long(pool):
    gateway, node = pool.gateways[0], pool.node
    pool.home.node.renew_work()
    pool.turn()
    job = gateway.work.make_job(KEY, None)
    assert (gateway.work.problem(), gateway.work.missing()) == (None, 0.0)

    node.is_cut_off = True
    node.feed._blocked = lambda: "not connected to any other node"
    node.clock.advance(REPEAT)
    pool.turn()
    assert gateway.work.problem() == "the node has lost all other nodes"
    assert gateway.work.missing() == math.inf  # miners leave at once
    assert gateway.work.is_current(job)
    assert len(gateway.changes) == 1

    node.is_cut_off = False
    node.clock.advance(REPEAT)
    pool.turn()
    assert gateway.work.problem() is not None  # until there is work again
    node.feed._blocked = lambda: None
    node.clock.advance(REPEAT)
    pool.turn()
    assert (gateway.work.problem(), gateway.work.missing()) == (None, 0.0)


def test_a_gateway_that_cannot_read_the_work_says_so_wherever_it_says_why_there_is_none(pool):
    gateway = pool.gateways[0]
    gateway.work.take(b"garbage")
    assert gateway.work.problem().startswith("cannot use the node's work: ")
    pool.home.node.renew_work()
    pool.turn()
    assert gateway.work.problem() is None
    gateway.work.take(b"garbage")
    assert gateway.work.problem() is None
    gateway.clock.advance(SILENCE + 1)
    assert gateway.work.problem().startswith("cannot use the node's work: ")


def test_work_that_cannot_be_read_leaves_the_former_work(pool):
    pool.home.node.renew_work()
    pool.turn()
    gateway = pool.gateways[0]
    tip = gateway.work.context.tip
    pool.node.broker.client.xadd(pool.node.names.work, {"data": b"\x80"})
    pool.turn()
    assert gateway.work.context.tip == tip


def test_before_anything_came_there_is_a_reason(pool):
    gateway = pool.gateways[0]
    assert gateway.work.problem() == "the node has not sent any work yet"
    gateway.broker.problem = "redis://127.0.0.1:6379/0: refused"
    assert gateway.work.problem() == "redis://127.0.0.1:6379/0: refused"
    assert gateway.work.make_job(KEY, None) is None


def test_a_second_node_on_the_broker_is_reported_and_an_earlier_run_is_not(pool):
    pool.home.node.renew_work()
    pool.turn()
    with logged() as log:
        second = NodeSide(pool.server, at_work(), seed=4)
        second.home.node.renew_work()
        for _ in range(3):
            second.broker.turn()
    assert log.lines == []
    with logged() as log:
        for _ in range(3):
            for node in (pool.node, second):
                node.clock.advance(REPEAT)
                node.broker.turn()
    assert ["another node sends work" in line for line in log.lines] == [True, True]
