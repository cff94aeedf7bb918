"""Whatever fails between a gateway that finds a block and the chain, the block arrives, and holds up nothing."""

from __future__ import annotations

from itertools import count, pairwise
from pathlib import Path
from typing import Any

import fakeredis
import msgspec
import pytest
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock

from p2pool.base.time_slice import SLICE_TIME
from p2pool.broker.connection import BrokerError
from p2pool.broker.operations import Entry, GroupReader
from p2pool.dash.auxpow import AuxWork, commit_to
from p2pool.dash.block import parse_block
from p2pool.dash.target import MAX_UINT256
from p2pool.dashd.template import MAX_BLOCK_SIZE
from p2pool.gateway import solution_intake
from p2pool.gateway.action_messages import MaskState
from p2pool.gateway.block_completion import BlockCompletion
from p2pool.gateway.messages import SolutionMessage, pack_message, parse_message
from p2pool.gateway.names import NODE_GROUP, Names
from p2pool.gateway.ports import NotStored
from p2pool.gateway.solution_intake import AGAIN, ATTEMPTS, CHECK_MISSED, GIVE_UP, MAX_EXCERPT
from p2pool.gateway.solution_sender import BLOCK_AGAIN, SEND_AGAIN, SolutionSender
from p2pool.gateway.solution_spool import MAX_SOLUTION, SolutionSpool
from p2pool.gateway.transaction_fetch import FETCH_AGAIN, TransactionFetcher
from p2pool.node.node import Solution
from tests.environment import make_environment
from tests.gateway.fake_broker import FakeBroker
from tests.gateway.test_gateway import NodeSide, Pool
from tests.gateway.transactions import template_with, transaction
from tests.home import EVERY_HASH_A_BLOCK, at_work
from tests.logged import logged


@pytest.fixture
def pool(tmp_path, monkeypatch):
    monkeypatch.setattr("p2pool.broker.operations.WAIT", 0.001)
    return Pool(tmp_path)


def work(pool: Pool, *transactions: int, **changes: Any) -> None:
    """Let every hash be a block with these transactions."""
    changes = {"bits": EVERY_HASH_A_BLOCK} | changes
    pool.home.node.set_template(template_with(*map(transaction, transactions), **changes))
    pool.turn()


def blocks(home: Any) -> list[int]:
    return [value.block_hash for name, value in home.told if name == "block_found"]


_waiting: list[Deferred[Any]] = []
"""What nothing ever answers: it must be referred to, or those who wait for it would be collected."""


def never() -> Deferred[Any]:
    """Something that hangs."""
    _waiting.append(Deferred())
    return _waiting[-1]


def tick(pool: Pool, seconds: float = AGAIN) -> None:
    pool.node.clock.advance(seconds)
    pool.turn()


# --- the node ----------------------------------------------------------------------------------------------------


def test_a_slow_disk_of_the_node_holds_up_no_block(pool):
    work(pool, 1)
    disk: Deferred[None] = Deferred()
    pool.node.intake._store = lambda: disk
    first = pool.gateways[0].mine()
    pool.turn()
    second = pool.gateways[1].mine()
    pool.turn()
    assert {first.hash, second.hash} <= set(blocks(pool.home))
    assert len(pool.node.intake) == 2  # neither is acknowledged
    assert pool.node.broker.client.xlen(pool.node.names.solutions) == 2
    disk.callback(None)
    pool.node.intake._store = pool.node._store
    tick(pool)
    assert len(pool.node.intake) == 0


def test_a_slow_broker_holds_up_no_block(pool):
    work(pool, 1)
    outcomes = [gateway.mine() for gateway in pool.gateways]
    pool.node.broker.ask = lambda action, urgent=False: never()
    pool.turn()
    assert {each.hash for each in outcomes} <= set(blocks(pool.home))


def test_a_block_is_offered_before_its_share_is_stored(pool):
    work(pool, 1)
    outcome = pool.gateways[0].mine()
    order: list[str] = []
    pool.home.node.block_found.subscribe(lambda found: order.append("block"))

    async def store() -> None:
        order.append("store")

    pool.node.intake._store = store
    pool.turn()
    assert order[0] == "block"
    assert outcome.hash in blocks(pool.home)


def test_it_is_acknowledged_once_the_block_is_on_disk(pool):
    work(pool, 1)
    safe: set[int] = set()
    pool.node.intake._is_safe = safe.__contains__
    outcome = pool.gateways[0].mine()
    pool.turn()
    assert outcome.hash in blocks(pool.home)
    assert len(pool.gateways[0].sender) == 1
    safe.add(outcome.hash)
    tick(pool)
    assert len(pool.gateways[0].sender) == 0
    assert pool.node.broker.client.xlen(pool.node.names.solutions) == 0


def test_shares_that_could_not_be_stored_are_not_acknowledged(pool):
    pool.home.node.renew_work()
    pool.turn()

    async def full() -> None:
        raise NotStored("disk full")

    pool.node.intake._store = full
    outcome = pool.gateways[0].mine()
    pool.turn()
    assert outcome.hash in pool.home.tracker
    assert len(pool.gateways[0].sender) == 1
    pool.node.intake._store = pool.node._store
    tick(pool)
    assert len(pool.gateways[0].sender) == 0


def test_a_block_without_transactions_waits_and_holds_up_nothing(pool):
    work(pool, 1, 2)
    client = pool.node.broker.client
    outcome = pool.gateways[0].mine()
    pool.node.feed.transactions._templates.clear()
    pool.node.feed.transactions.offer = lambda key, template: None
    removed = {key: client.dump(key) for key in client.keys("*:template:*")}
    client.delete(*removed)
    pool.turn()
    assert outcome.hash not in blocks(pool.home)
    assert outcome.hash in pool.home.tracker  # its share is taken
    assert len(pool.gateways[0].sender) == 1
    other = pool.gateways[1].mine()
    pool.turn()
    assert other.hash in pool.home.tracker
    for key, dump in removed.items():
        client.restore(key, 0, dump)
    tick(pool, FETCH_AGAIN)
    assert outcome.hash in blocks(pool.home)
    tick(pool)
    assert len(pool.gateways[0].sender) == 0


def test_a_block_whose_transactions_never_come_is_kept_for_people(pool):
    work(pool, 1)
    outcome = pool.gateways[0].mine()
    pool.node.feed.transactions._templates.clear()
    pool.node.feed.transactions.offer = lambda key, template: None
    pool.node.broker.client.delete(*pool.node.broker.client.keys("*:template:*"))
    with logged() as log:
        pool.turn()
        tick(pool, GIVE_UP)
        tick(pool)
    assert any(f"no transactions for block 200 {outcome.hash:064x}" in line for line in log.lines)
    assert pool.node.broker.client.xlen(pool.node.names.rejected) == 1
    assert pool.node.broker.client.xlen(pool.node.names.solutions) == 0
    assert len(pool.gateways[0].sender) == 1  # it stays on the gateway's disk


def test_a_solution_that_fails_by_a_bug_is_quarantined_and_holds_up_nothing(pool):
    pool.home.node.renew_work()
    pool.turn()
    real = pool.node.intake._take
    bad = pool.gateways[0].mine()
    tries = []

    def take(solution: Solution) -> None:
        if solution.share is not None and solution.share.hash == bad.hash:
            tries.append(solution)
            raise ZeroDivisionError
        real(solution)

    pool.node.intake._take = take
    good = pool.gateways[1].mine()
    with logged() as log:
        pool.turn()
        assert good.hash in pool.home.tracker
        for _ in range(ATTEMPTS + 3):
            tick(pool)
    assert len(tries) == ATTEMPTS
    assert len(log.tracebacks) == ATTEMPTS
    assert sum("an internal error, see the log" in line for line in log.lines) == 1
    assert pool.node.broker.client.xlen(pool.node.names.rejected) == 1
    assert pool.node.broker.client.xlen(pool.node.names.solutions) == 0
    # The gateway keeps it, and sends it again now and then; this node drops it.
    assert list((pool.directory / "a").glob("*.solution"))
    pool.gateways[0].clock.advance(SEND_AGAIN)
    pool.turn()
    tick(pool)
    assert len(tries) == ATTEMPTS
    assert pool.node.broker.client.xlen(pool.node.names.rejected) == 1
    assert pool.node.broker.client.xlen(pool.node.names.solutions) == 0
    # A node that no longer has the bug takes it.
    home = at_work()
    repaired = NodeSide(pool.server, home)
    pool.gateways[0].clock.advance(60)
    for _ in range(4):
        repaired.broker.turn()
    assert bad.hash in home.tracker


def test_a_bug_in_the_share_costs_neither_the_block_nor_blocks_of_others(pool):
    work(pool, 1)
    real = pool.node.intake._take

    def take(solution: Solution) -> None:
        if solution.share is not None:
            raise ZeroDivisionError
        real(solution)

    pool.node.intake._take = take
    outcomes = [gateway.mine() for gateway in pool.gateways]
    with logged():
        pool.turn()
    assert {each.hash for each in outcomes} <= set(blocks(pool.home))


def test_what_is_flushed_between_reading_and_acknowledging_is_taken_once(pool):
    pool.home.node.renew_work()
    pool.turn()
    outcome = pool.gateways[0].mine()
    disk: Deferred[None] = Deferred()
    pool.node.intake._store = lambda: disk
    pool.turn()
    pool.node.broker.client.flushall()
    disk.callback(None)
    pool.turn()
    pool.turn()
    assert outcome.hash in pool.home.tracker
    assert len(pool.gateways[0].sender) == 0
    assert pool.home.stats.snapshot(pool.home.now).shares == 1


@pytest.mark.parametrize("killed", ["reading", "taking", "storing", "telling"])
def test_a_node_that_is_killed_at_any_point_is_followed_by_one_that_finishes(pool, killed):
    work(pool, 1, 2)
    gateway, intake = pool.gateways[0], pool.node.intake
    outcome = gateway.mine()
    group = next(each for each, _ in pool.node.broker.followers if isinstance(each, GroupReader))
    if killed == "reading":
        for _ in range(3):
            group(pool.node.broker.client)
    else:
        if killed == "storing":
            intake._store = never
        if killed == "telling":
            intake._acknowledge = lambda finished: never()
        if killed == "taking":
            intake._take = lambda solution: None
            intake._finish_soon = lambda: None
        for _ in range(3):
            pool.node.broker.turn()
    home = at_work(bits=EVERY_HASH_A_BLOCK)
    node = NodeSide(pool.server, home)
    for _ in range(6):
        node.broker.turn()
        node.clock.advance(AGAIN)
        gateway.broker.turn()
    assert outcome.hash in blocks(home)
    assert outcome.hash in home.tracker
    assert len(gateway.sender) == 0


def test_what_a_node_leaves_to_the_broker_is_read_again(pool, monkeypatch):
    monkeypatch.setattr(solution_intake, "MAX_OPEN", 4)
    pool.home.node.renew_work()
    pool.turn()

    async def full() -> None:
        raise NotStored("disk full")

    pool.node.intake._store = full
    gateway = pool.gateways[0]
    hashes = []
    for _ in range(6):
        hashes.append(gateway.mine().hash)
        pool.turn()
    assert len(pool.node.intake) == 4
    assert len(gateway.sender) == 6
    pool.node.intake._store = pool.node._store
    tick(pool)
    tick(pool)
    assert all(each in pool.home.tracker for each in hashes)
    assert len(gateway.sender) == 0
    assert pool.node.broker.client.xlen(pool.node.names.solutions) == 0


def test_a_block_that_waits_does_not_keep_others_from_being_read_after_a_restart(pool):
    work(pool, 1)
    waiting = pool.gateways[0].mine()
    pool.node.feed.transactions.offer = lambda key, template: None
    pool.node.broker.client.delete(*pool.node.broker.client.keys("*:template:*"))
    home = at_work()
    node = NodeSide(pool.server, home)
    node.feed.transactions.offer = lambda key, template: None
    for _ in range(4):
        node.broker.turn()
    assert len(node.intake) == 1
    assert waiting.hash in home.tracker
    other = pool.gateways[1].mine()
    for _ in range(3):
        node.broker.turn()
    assert other.hash in home.tracker


def test_auxiliary_blocks_are_taken_though_the_share_cannot_be_read(pool):
    home = pool.home
    home.node.set_aux(commit_to([AuxWork(7, 1234, MAX_UINT256)]))
    home.node.renew_aux_work()
    pool.turn()
    pool.gateways[0].mine()
    names = pool.node.names
    ((_, fields),) = pool.node.broker.client.xrange(names.solutions)
    message = parse_message(SolutionMessage, fields[b"data"])
    pool.node.broker.client.delete(names.solutions)
    broken = msgspec.structs.replace(message, share=message.share[:-1])
    pool.node.broker.client.xadd(names.solutions, {"data": pack_message(broken)})
    found: list[Any] = []
    home.node.aux_block_found.subscribe(found.append)
    with logged() as log:
        pool.turn()
        tick(pool)
    assert [each.work.chain_id for each in found] == [7]
    assert any("share is invalid" in line for line in log.lines)
    assert pool.node.broker.client.xlen(names.rejected) == 1


def test_a_block_that_fails_by_a_bug_is_tried_so_often_and_no_more(pool):
    work(pool, 1)
    real = pool.node.intake._take
    tries = []

    def take(solution: Solution) -> None:
        if solution.block is not None:
            tries.append(solution)
            raise ZeroDivisionError
        real(solution)

    pool.node.intake._take = take
    outcome = pool.gateways[0].mine()
    with logged():
        for _ in range(ATTEMPTS + 3):
            tick(pool)
    assert len(tries) == ATTEMPTS
    assert outcome.hash in pool.home.tracker  # its share is fine
    assert pool.node.broker.client.xlen(pool.node.names.rejected) == 1
    assert list((pool.directory / "a").glob("*.solution"))


def test_found_times_are_not_in_the_future(pool):
    work(pool, 1)
    gateway = pool.gateways[0]
    outcome = gateway.mine()
    ((_, fields),) = pool.node.broker.client.xrange(pool.node.names.solutions)
    message = parse_message(SolutionMessage, fields[b"data"])
    pool.node.broker.client.delete(pool.node.names.solutions)
    ahead = msgspec.structs.replace(message, found=pool.home.now + 1000)
    pool.node.broker.client.xadd(pool.node.names.solutions, {"data": pack_message(ahead)})
    pool.turn()
    assert next(v for n, v in pool.home.told if n == "block_found").time == pool.home.now
    assert pool.home.tracker.arrival(outcome.hash).time_seen == pool.home.now


def test_a_gateway_goes_on_with_the_node_s_clock_when_its_own_is_set(pool):
    work(pool, 1)
    gateway = pool.gateways[0]
    gateway.clock.advance(3.0)
    for step in (-5000.0, 5000.0):
        gateway.work._clock = lambda step=step: 1000.0 + gateway.clock.seconds() + step
        solved: list[Any] = []
        gateway.work.solved_work.subscribe(solved.append)
        gateway.mine()
        assert solved[-1].found == pytest.approx(pool.home.now + 3.0)


# --- the broker --------------------------------------------------------------------------------------------------


def test_solutions_are_not_appended_again_while_the_broker_has_them(pool):
    pool.home.node.renew_work()
    pool.turn()
    gateway = pool.gateways[0]
    for _ in range(3):
        gateway.mine()
    for _ in range(100):
        gateway.clock.advance(SEND_AGAIN)
    assert pool.node.broker.client.xlen(pool.node.names.solutions) == len(gateway.sender)


def test_the_stream_of_solutions_is_bounded(pool, monkeypatch):
    monkeypatch.setattr("p2pool.gateway.solution_sender.KEPT_SOLUTIONS", 0)
    pool.home.node.renew_work()
    pool.turn()
    pool.gateways[0].mine()
    assert pool.node.broker.client.xlen(pool.node.names.solutions) == 0
    monkeypatch.undo()
    monkeypatch.setattr("p2pool.broker.operations.WAIT", 0.001)
    pool.gateways[0].clock.advance(SEND_AGAIN)
    pool.turn()
    pool.turn()
    assert len(pool.gateways[0].sender) == 0


def test_blocks_are_sent_again_before_shares_and_at_least_every_so_often(pool):
    work(pool, 1)
    gateway = pool.gateways[0]
    gateway.mine()
    client = pool.node.broker.client
    gaps = []
    for _ in range(200):
        client.delete(pool.node.names.solutions)
        gateway.clock.advance(1.0)
        gaps.append(client.xlen(pool.node.names.solutions))
    sent = [second for second, count in enumerate(gaps) if count]
    assert max(b - a for a, b in pairwise(sent)) <= BLOCK_AGAIN + 1


# --- the gateway -------------------------------------------------------------------------------------------------


class Finder:
    """A gateway's completion and sender on a directory that outlives it."""

    def __init__(self, server: fakeredis.FakeServer, directory: Path, *, daemon: bool = True) -> None:
        self.clock = Clock()
        environment = make_environment(self.clock)
        self.broker = FakeBroker(server)
        names = Names(at_work().network.name)
        self.fetcher = TransactionFetcher(environment, self.broker, names=names)
        self.delivered: list[Any] = []
        self.completion = BlockCompletion(
            self.broker, names=names, fetcher=self.fetcher, deliver=self.delivered.append if daemon else None
        )
        self.sender = SolutionSender(
            environment,
            self.broker,
            names=names,
            spool=SolutionSpool(directory),
            left=self.completion.offer,
            delayed=self.completion.delayed,
        )
        Deferred.fromCoroutine(self.sender.start())

    def found(self, message: SolutionMessage) -> None:
        self.completion.offer(message)
        self.sender.send(message)


def found_block(pool: Pool) -> SolutionMessage:
    """A block that the first gateway found and nobody has heard of."""
    gateway = pool.gateways[0]
    messages: list[SolutionMessage] = []
    gateway.sender.send = messages.append
    gateway.mine()
    del gateway.sender.send
    return messages[0]


def test_a_gateway_delivers_a_whole_block_to_its_own_daemons(pool, tmp_path):
    work(pool, 1, 2)
    message = found_block(pool)
    finder = Finder(pool.server, tmp_path / "x")
    finder.fetcher.request(message.block.header[4:36], message.block.transactions)
    finder.found(message)
    (found,) = finder.delivered
    assert found.data.startswith(message.block.header)
    assert found.data.endswith(transaction(1).data + transaction(2).data)
    assert found.block_hash == int.from_bytes(message.hash, "little")
    assert (found.height, found.worker) == (200, "me.rig")


def test_a_gateway_without_the_transactions_delivers_as_soon_as_they_are_there(pool, tmp_path):
    work(pool, 1, 2)
    message = found_block(pool)
    finder = Finder(pool.server, tmp_path / "x")
    finder.broker.problem = "gone"
    with logged() as log:
        finder.found(message)
    assert any("waits for its transactions" in line for line in log.lines)
    assert finder.completion.waiting == 1
    assert len(list((tmp_path / "x").glob("*.solution"))) == 1
    finder.broker.problem = None
    finder.clock.advance(FETCH_AGAIN)
    assert len(finder.delivered) == 1
    assert finder.completion.waiting == 0


def test_a_gateway_that_is_killed_before_the_transactions_came_delivers_after_its_restart(pool, tmp_path):
    work(pool, 1)
    message = found_block(pool)
    killed = Finder(pool.server, tmp_path / "x")
    killed.broker.problem = "gone"
    with logged():
        killed.found(message)
    again = Finder(pool.server, tmp_path / "x")
    assert len(again.delivered) == 1
    assert pool.node.broker.client.xlen(pool.node.names.solutions) == 1


def test_a_gateway_without_a_daemon_leaves_blocks_to_the_node(pool, tmp_path):
    work(pool, 1)
    message = found_block(pool)
    finder = Finder(pool.server, tmp_path / "x", daemon=False)
    finder.found(message)
    assert (finder.delivered, finder.completion.waiting) == ([], 0)
    pool.turn()
    assert int.from_bytes(message.hash, "little") in blocks(pool.home)


def test_a_gateway_gives_a_restarted_node_the_transactions_that_the_broker_lost(pool, tmp_path):
    work(pool, 1, 2)
    message = found_block(pool)
    finder = Finder(pool.server, tmp_path / "x", daemon=False)
    finder.fetcher.request(message.block.header[4:36], message.block.transactions)
    pool.node.broker.client.flushall()
    finder.found(message)
    home = at_work(bits=EVERY_HASH_A_BLOCK)
    node = NodeSide(pool.server, home)
    for _ in range(4):
        node.broker.turn()
    assert blocks(home) == []
    for _ in range(8):
        finder.clock.advance(1.0)
        node.clock.advance(1.0)
        node.broker.turn()
    assert int.from_bytes(message.hash, "little") in blocks(home)


def test_a_disk_that_hangs_holds_up_no_solution_and_a_block_does_not_wait_behind_shares(pool, tmp_path):
    work(pool, 1)
    message = found_block(pool)
    threads: list[Any] = []
    environment = make_environment(run_in_thread=lambda act: threads.append(act) or never())
    broker = FakeBroker(pool.server)
    sender = SolutionSender(environment, broker, names=pool.node.names, spool=SolutionSpool(tmp_path / "x"))
    for n in range(50):
        sender.send(msgspec.structs.replace(message, block=None, hash=bytes([n]) * 32))
    sender.send(message)
    assert broker.client.xlen(pool.node.names.solutions) == 51
    assert len(threads) == 2  # one share and the block
    threads[1]()
    assert [path.name[:64] for path in (tmp_path / "x").glob("*.solution")] == [message.hash.hex()]


def test_a_disk_that_was_full_gets_the_solution_later(pool, tmp_path, monkeypatch):
    work(pool, 1)
    message = found_block(pool)
    finder = Finder(pool.server, tmp_path / "x")
    with monkeypatch.context() as patched:
        patched.setattr(SolutionSpool, "keep", _refuse)
        with logged() as log:
            finder.found(message)
            finder.clock.advance(1.0)
    assert sum("cannot write solutions to disk" in line for line in log.lines) == 1
    finder.clock.advance(1.0)
    assert len(list((tmp_path / "x").glob("*.solution"))) == 1
    assert finder.sender.disk.problem is None


def _refuse(*arguments: object) -> None:
    raise OSError(28, "No space left on device")


def test_untaken_solutions_are_bounded_and_blocks_are_not_forgotten(pool, tmp_path, monkeypatch):
    work(pool, 1)
    message = found_block(pool)
    monkeypatch.setattr("p2pool.gateway.solution_sender.MAX_UNTAKEN", 3)
    finder = Finder(pool.server, tmp_path / "x")
    finder.found(message)
    for n in range(5):
        finder.sender.send(msgspec.structs.replace(message, block=None, hash=bytes([n]) * 32))
    assert len(finder.sender) == 3
    assert message.hash in finder.sender._untaken
    assert len(list((tmp_path / "x").glob("*.solution"))) == 6


def test_the_whole_block_is_one(pool, tmp_path):
    """A template without transactions: what is delivered parses as a block."""
    work(pool)
    message = found_block(pool)
    finder = Finder(pool.server, tmp_path / "x")
    finder.found(message)
    block = parse_block(finder.delivered[0].data)
    assert len(block.transactions) == 1


def test_a_solution_that_another_process_read_for_this_node_is_read_again(pool):
    work(pool, 1)
    outcome = pool.gateways[0].mine()
    former = GroupReader(pool.node.names.solutions, NODE_GROUP)  # of a process that is being replaced
    assert sum(len(former(pool.node.broker.client)) for _ in range(3)) == 1
    pool.turn()
    assert outcome.hash not in blocks(pool.home)
    tick(pool, CHECK_MISSED)
    assert outcome.hash not in blocks(pool.home)
    tick(pool, CHECK_MISSED)
    assert outcome.hash in blocks(pool.home)
    assert len(pool.gateways[0].sender) == 0


def test_many_solutions_are_taken_in_several_turns_and_none_is_read_meanwhile(pool):
    reads = count()
    pool.home.node.renew_work()
    pool.turn()
    hashes = [pool.gateways[0].mine().hash for _ in range(10)]
    entries = [
        Entry("s", f"{number}-0", each.data)
        for number, each in enumerate(pool.gateways[0].sender._untaken.values())
    ]
    environment = make_environment(pool.node.clock, monotonic=lambda: SLICE_TIME / 4 * next(reads))
    pool.node.intake._environment = environment
    taking = pool.node.intake.take_entries(entries)
    assert 0 < sum(each in pool.home.tracker for each in hashes) < 10
    while not taking.called:
        pool.node.clock.advance(0)
    assert all(each in pool.home.tracker for each in hashes)


def test_what_is_too_large_to_be_a_solution_is_neither_parsed_nor_kept(pool):
    pool.node.broker.client.xadd(pool.node.names.solutions, {"data": bytes(MAX_SOLUTION + 1)})
    with logged() as log:
        pool.turn()
    ((_, kept),) = pool.node.broker.client.xrange(pool.node.names.rejected)
    assert len(kept[b"data"]) == MAX_EXCERPT
    assert len(pool.node.intake) == 0
    assert ["a solution of" in line for line in log.lines] == [True]


def test_a_rejected_solution_that_comes_again_is_kept_once(pool):
    for _ in range(3):
        pool.node.broker.client.xadd(pool.node.names.solutions, {"data": b"garbage"})
        pool.turn()
    assert pool.node.broker.client.xlen(pool.node.names.solutions) == 0
    assert pool.node.broker.client.xlen(pool.node.names.rejected) == 1


def test_the_bytes_of_solutions_that_are_not_acknowledged_are_bounded(pool, monkeypatch):
    monkeypatch.setattr(solution_intake, "MAX_OPEN_BYTES", 1000)
    pool.home.node.renew_work()
    pool.turn()
    pool.node.intake._store = never
    hashes = [pool.gateways[0].mine().hash for _ in range(6)]
    pool.turn()
    assert 1 <= len(pool.node.intake) <= 3
    assert all(each in pool.home.tracker for each in hashes)


def test_a_solution_with_all_transactions_of_the_largest_block_survives_a_restart(tmp_path):
    spool = SolutionSpool(tmp_path)
    spool.keep(b"\x01" * 32, bytes(MAX_BLOCK_SIZE // 2))
    assert [len(file.content) for file in spool.load(10)] == [MAX_BLOCK_SIZE // 2]


def test_however_solutions_are_malformed_the_log_does_not_grow_with_their_number(pool):
    for number in range(200):
        data = (b"\x81\xa1a" * 2000) if number % 2 else pack_message(MaskState(mask=number))
        pool.node.broker.client.xadd(pool.node.names.solutions, {"data": data})
    with logged() as log:
        pool.turn()
    assert len(log.lines) == 2
    assert not any("internal error" in line for line in log.lines)


def test_however_many_solutions_are_stored_together_the_broker_is_asked_a_few_times(pool):
    pool.home.node.renew_work()
    pool.turn()
    for _ in range(20):
        pool.gateways[0].mine()
    asked: list[Any] = []
    ask = pool.node.broker.ask
    disk: Deferred[None] = Deferred()
    pool.node.intake._store = lambda: disk
    pool.turn()
    pool.node.broker.ask = lambda action, urgent=False: asked.append(action) or ask(action)
    disk.callback(None)
    pool.turn()
    assert len(pool.gateways[0].sender) == 0
    assert len(asked) < 10


def test_a_broker_that_is_full_of_solutions_gets_room_though_it_takes_no_answers(pool):
    pool.home.node.renew_work()
    pool.turn()
    pool.gateways[0].mine()
    ask, full = pool.node.broker.ask, True

    def ask_full(action: Any, urgent: bool = False) -> Deferred[Any]:
        return fail(BrokerError("full")) if full and "append" in action.__qualname__ else ask(action)

    pool.node.broker.ask = ask_full
    pool.turn()
    assert pool.node.broker.client.xlen(pool.node.names.solutions) == 0
    assert len(pool.gateways[0].sender) == 1
    full = False
    tick(pool)
    assert len(pool.gateways[0].sender) == 0
