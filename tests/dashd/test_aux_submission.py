"""Blocks of auxiliary chains on their way to the daemon: sent at once, a few times, kept where none took them."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from p2pool.dash.auxpow import AuxWork
from p2pool.dashd.aux_submission import MAX_KEPT, MAX_REFUSALS, MAX_UNDER_WAY, RETRIES
from p2pool.dashd.merged import AuxDaemon, MergedMining
from p2pool.dashd.rpc import RpcError
from tests.dashd.test_merged import DOWN, TARGET, FakeRpc, answer
from tests.environment import make_environment
from tests.logged import logged


class Way:
    """One daemon, and the way back to it."""

    def __init__(self, tmp_path, *answers: Any) -> None:
        self.rpc = FakeRpc(*answers)
        self.reactor = Clock()
        self.environment = make_environment(self.reactor, run_in_thread=self.run_in_thread)
        self.mining = MergedMining(self.environment, (), tmp_path / "aux-blocks")
        self.daemon = AuxDaemon(self.environment, self.rpc, url="http://daemon/", table=self.mining.table)
        self.mining.daemons.append(self.daemon)
        self.directory = tmp_path / "aux-blocks"
        self.proofs = 0
        self.broken_disk = False

    def run_in_thread(self, function) -> Deferred:
        try:
            if self.broken_disk:
                raise OSError(28, "No space left on device")
            return succeed(function())
        except Exception:
            return fail(Failure())

    def offer(self, block: int = 1, chain_id: int = 1) -> AuxWork:
        work = AuxWork(chain_id, block, TARGET)
        self.daemon._given.add(work)

        def proof() -> bytes:
            self.proofs += 1
            return b"\x01\x02"

        self.mining.offer(work, proof, "me.rig")
        return work

    def wait(self, seconds: float) -> Way:
        for _ in range(round(seconds * 2)):
            self.reactor.advance(0.5)
        return self

    @property
    def kept(self) -> list[str]:
        return sorted(path.name for path in self.directory.glob("*"))


def test_a_block_is_sent_at_once_and_only_once(tmp_path):
    way = Way(tmp_path, True)
    with logged() as log:
        for _ in range(5):
            way.offer(0xBEEF)
    assert way.rpc.sent == [(f"{0xBEEF:064x}", "0102")]
    assert way.proofs == 1
    assert way.daemon.figures.accepted == 1
    assert way.kept == []
    (line,) = log.lines
    assert line == f"BLOCK of chain 1 {0xBEEF:064x} found by me.rig, accepted by http://daemon/"


REFUSALS = [
    (RpcError(-8, "block hash unknown"), "block hash unknown (code -8)"),
    (RpcError(-22, "AuxPow decode failed"), "code -22"),
    ("high-hash", "high-hash"),
    ("duplicate-invalid", "duplicate-invalid"),
]
UNCLEAR = [
    (False, "False"),
    (None, "None"),
    ("yes", "'yes'"),
    ("duplicate-inconclusive", "duplicate-inconclusive"),
    (1, "answered 1"),
    ({"a": [1] * 10_000}, "{"),
    (RpcError(-1, "whatever"), "whatever (code -1)"),
]


@pytest.mark.parametrize(("reply", "part"), [*REFUSALS, *UNCLEAR])
def test_a_block_that_is_not_taken_is_kept(tmp_path, reply, part):
    way = Way(tmp_path, reply)
    with logged() as log:
        way.offer(5)
        way.wait(sum(RETRIES) + 1)
    assert len(way.rpc.sent) == (1 if (reply, part) in REFUSALS else 1 + len(RETRIES))
    assert way.kept == [f"1-{5:064x}.hex"]
    assert (way.directory / way.kept[0]).read_text() == "0102\n"
    (line,) = log.lines
    assert part in line
    assert way.kept[0] in line
    assert len(line) < 700
    assert way.daemon.figures.refused == 1


@pytest.mark.parametrize("reply", [reply for reply, _ in UNCLEAR])
def test_an_answer_without_a_verdict_is_not_final(tmp_path, reply):
    way = Way(tmp_path, reply, reply, True)
    way.offer(5)
    way.wait(sum(RETRIES))
    assert len(way.rpc.sent) == 3
    assert (way.daemon.figures.accepted, way.kept) == (1, [])


@pytest.mark.parametrize("reply", [reply for reply, _ in UNCLEAR])
def test_a_block_that_is_in_the_chain_was_taken_whatever_was_answered(tmp_path, reply):
    way = Way(tmp_path, reply, RpcError(-8, "block hash unknown"))
    way.offer(5)
    way.rpc.depths[f"{5:064x}"] = 1
    way.wait(sum(RETRIES))
    assert (way.daemon.figures.accepted, way.daemon.figures.refused, way.kept) == (1, 0, [])


def test_an_answer_that_was_lost_does_not_make_a_refusal_of_the_next(tmp_path):
    way = Way(tmp_path, DOWN, RpcError(-8, "block hash unknown"))
    way.rpc.depths[f"{5:064x}"] = 2
    way.offer(5)
    assert way.wait(2).daemon.figures.accepted == 1


@pytest.mark.parametrize("depth", [-1, 0, True, "1", None])
def test_one_that_is_not_in_the_best_chain_was_not_taken(tmp_path, depth):
    way = Way(tmp_path, False)
    way.rpc.depths[f"{5:064x}"] = depth
    way.offer(5)
    assert way.wait(sum(RETRIES) + 1).daemon.figures.refused == 1


def test_refused_proofs_of_one_block_are_tried_a_few_times_only(tmp_path):
    way = Way(tmp_path, "high-hash")
    with logged() as log:
        for _ in range(50):
            way.offer(5)
    assert len(way.rpc.sent) == MAX_REFUSALS == way.proofs
    assert len(log.lines) == 1


def test_a_hostile_daemon_fills_neither_log_nor_disk(tmp_path):
    way = Way(tmp_path, False)
    with logged() as log:
        for block in range(300):
            way.offer(block)
            way.reactor.advance(5)
        way.wait(sum(RETRIES) + 1)
    assert len(way.kept) == MAX_KEPT
    assert way.kept[-1] == f"1-{299:064x}.hex"
    assert len(log.lines) <= 300 * 5 / 60 + 1
    assert "others before it" in log.lines[-1]


def test_without_an_answer_a_block_is_sent_again_and_accepted(tmp_path):
    way = Way(tmp_path, DOWN, RpcError(-28, "Loading"), True)
    way.offer()
    assert len(way.rpc.sent) == 1
    way.offer()  # on its way
    way.wait(RETRIES[0] + RETRIES[1])
    assert len(way.rpc.sent) == 3
    assert way.daemon.figures.accepted == 1
    assert way.kept == []
    assert way.reactor.getDelayedCalls() == []


def test_a_block_that_is_never_answered_is_kept_in_the_end(tmp_path):
    way = Way(tmp_path, DOWN)
    way.offer()
    with logged() as log:
        way.wait(sum(RETRIES) + 1)
    assert len(way.rpc.sent) == 1 + len(RETRIES)
    assert len(way.kept) == 1
    (line,) = log.lines
    assert "not answered: connection refused" in line
    assert way.reactor.getDelayedCalls() == []


def test_few_blocks_wait_for_a_daemon_that_hangs(tmp_path):
    way = Way(tmp_path, Deferred())
    for block in range(30):
        way.offer(block)
    assert len(way.rpc.sent) == way.proofs == MAX_UNDER_WAY


def test_a_full_disk_costs_a_line(tmp_path):
    way = Way(tmp_path, "high-hash")
    way.broken_disk = True
    with logged() as log:
        way.offer()
    assert len(log.lines) == 2
    assert "No space left" in log.lines[0]
    assert log.lines[1].endswith("the proof is lost")
    assert not log.tracebacks


def test_what_is_under_way_is_kept_at_the_end(tmp_path):
    way = Way(tmp_path, DOWN)
    way.offer(7)
    stopped: list = []
    Deferred.fromCoroutine(way.mining.stop()).addBoth(stopped.append)
    assert stopped == [None]
    assert way.kept == [f"1-{7:064x}.hex"]
    assert way.reactor.getDelayedCalls() == []


def test_a_block_goes_to_the_daemon_that_gave_it_whoever_else_claims_its_hash(tmp_path):
    way = Way(tmp_path, True)
    liar = FakeRpc(answer(2, 1))
    other = AuxDaemon(way.environment, liar, url="http://liar/", table=way.mining.table)
    way.mining.daemons.insert(0, other)
    other._given.add(AuxWork(2, 1, TARGET))
    way.offer(1)
    assert liar.sent == []
    assert len(way.rpc.sent) == 1
    way.mining.offer(AuxWork(9, 9, 9), lambda: b"", "nobody gave this")
    assert len(way.rpc.sent) == 1
