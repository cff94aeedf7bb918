"""Submissions that come in one turn are hashed together, with the same answers; blocks come first."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import pytest

from p2pool.dash.pow import x11_digests
from p2pool.stratum import submission_batch
from p2pool.stratum.dispatch import Dispatcher
from p2pool.stratum.submission_batch import BATCH
from tests.logged import logged
from tests.stratum.miner import ADDRESS, code
from tests.stratum.wire import StratumHarness, Transport, line, notifies
from tests.support import needs_interpreted

USER = f"{ADDRESS}+0.000000001"
"""At this difficulty, one of four hashes is accepted."""
EVERY = 2**256 - 1


class Rig:
    """A miner of a harness that has its first job; it does not look at the hashes that it submits."""

    def __init__(self, harness: StratumHarness, number: int = 0) -> None:
        self.protocol, self.transport = harness.miner(USER)
        (self.notify,) = notifies(self.transport.messages())
        self.number = number

    def line(self, nonce: int, **changes: str) -> bytes:
        fields = {"job": self.notify[0], "extranonce2": f"{self.number:08x}", "ntime": self.notify[7], **changes}
        request = {
            "id": nonce,
            "method": "mining.submit",
            "params": [USER, fields["job"], fields["extranonce2"], fields["ntime"], f"{nonce:08x}"],
        }
        return json.dumps(request).encode() + b"\n"

    def lines(self, *nonces: int) -> bytes:
        return b"".join(map(self.line, nonces))

    def job(self):
        return self.protocol.session.state.jobs[self.notify[0]].issued.job


class Turn:
    """Stands for the reactor: has functions called when the test ends the turn."""

    def __init__(self, harness: StratumHarness) -> None:
        self.functions: list[Callable[[], None]] = []
        harness.server.dispatcher = Dispatcher(in_batches=True, after_events=self.functions.append)

    def end(self) -> None:
        while self.functions:
            self.functions.pop(0)()


def answers(transport: Transport) -> list[dict]:
    return [message for message in transport.messages() if "method" not in message]


@pytest.fixture
def sizes(monkeypatch) -> list[int]:
    """How many headers were hashed together, each time."""
    found: list[int] = []

    def counted(headers: list[bytes]) -> list[bytes]:
        found.append(len(headers))
        return x11_digests(headers)

    monkeypatch.setattr(submission_batch, "x11_digests", counted)
    return found


def mixed_lines(rig: Rig, rng: random.Random) -> list[bytes]:
    """Good and bad submissions, some of them twice, and other requests between them."""
    found = []
    for nonce in range(60):
        kind = rng.random()
        if kind < 0.6:
            found.append(rig.line(nonce))
        elif kind < 0.7:
            found += [rig.line(nonce)] * 2
        elif kind < 0.8 and found:
            found.append(rng.choice(found))
        elif kind < 0.85:
            found.append(rig.line(nonce, job="nonsense"))
        elif kind < 0.9:
            found.append(rig.line(nonce, ntime="zz"))
        elif kind < 0.95:
            found.append(rig.line(nonce).replace(USER[:6].encode(), b"nobody"))
        else:
            found.append(rng.choice([line("mining.ping"), b"\r\n", line("mining.nonsense"), b'{"id":"\x01"}\n']))
    return found


@pytest.mark.parametrize("seed", range(20))
def test_batches_change_no_answer_and_no_account(seed):
    results = []
    for in_batches in (True, False):
        rng = random.Random(seed)
        harness = StratumHarness()
        harness.work.share_target = 2**253
        harness.server.dispatcher = Dispatcher(in_batches=in_batches)
        rig = Rig(harness)
        data = b"".join(mixed_lines(rig, rng))
        while data:
            size = rng.randrange(1, 3000)
            rig.protocol.dataReceived(data[:size])
            data = data[size:]
        solved = sorted(outcome.header for outcome, _ in harness.work.solved_outcomes)
        assert len(set(solved)) == len(solved) > 0
        calls = sorted(map(repr, harness.stats.calls))
        results.append((answers(rig.transport), solved, calls))
    batched, single = results
    assert batched[0] == single[0]
    assert batched[1:] == single[1:]


def test_submissions_of_one_turn_are_hashed_together_and_answered_at_its_end(sizes):
    harness = StratumHarness()
    turn, rigs = Turn(harness), [Rig(harness, number) for number in range(3)]
    for rig in rigs:
        rig.protocol.dataReceived(rig.lines(1, 2))
    assert [answers(rig.transport) for rig in rigs] == [[]] * 3
    assert len(turn.functions) == 1
    turn.end()
    assert sizes == [6]
    assert [[answer["id"] for answer in answers(rig.transport)] for rig in rigs] == [[1, 2]] * 3
    assert harness.stats.of("record_submissions") == [(2, 0.0)] * 3
    rigs[0].protocol.dataReceived(rigs[0].lines(3))
    turn.end()
    assert [answer["id"] for answer in answers(rigs[0].transport)] == [3]


def test_a_full_batch_does_not_wait_for_the_end_of_the_turn(sizes):
    harness = StratumHarness()
    turn, first, second = Turn(harness), Rig(harness), Rig(harness, 1)
    first.protocol.dataReceived(first.lines(1))
    second.protocol.dataReceived(second.lines(*range(BATCH)))
    assert sizes == [BATCH]
    assert len(answers(first.transport)) == 1
    turn.end()
    assert len(answers(second.transport)) == BATCH
    assert sizes == [BATCH]  # the last one alone is not hashed side by side


def test_a_block_is_reported_before_the_others_are_judged_and_only_once():
    harness = StratumHarness()
    turn, others, finder = Turn(harness), [Rig(harness, number) for number in range(5)], Rig(harness, 9)
    job, extranonce1 = finder.job(), finder.protocol.session.extranonce1
    time, version = int(finder.notify[7], 16), job.version

    def found(nonce: int) -> int:
        return job.check(extranonce1 + bytes([0, 0, 0, 9]), timestamp=time, nonce=nonce, version=version).hash

    nonce = min(range(500), key=found)
    job.block_target = found(nonce)
    events: list[str] = []
    harness.work.solved = lambda outcome, worker: events.append("block")
    vars(harness.stats)["record_accepted"] = lambda *_, **__: events.append("accepted")
    vars(harness.stats)["record_refused"] = lambda *_, **__: events.append("refused")
    for rig in others:
        assert rig.job() is job  # one address, one job
        rig.protocol.dataReceived(rig.lines(1, 2))
    finder.protocol.dataReceived(finder.lines(nonce, nonce))
    assert events == []
    turn.end()
    assert events[:2] == ["block", "accepted"]
    assert events.count("block") == 1
    assert len(events) == 2 + 2 * 5 + 1
    first, second = answers(finder.transport)
    assert first["result"] is True
    assert code([second]) == 22


@pytest.mark.parametrize("stop", ["stop", "suspend", "hand_over"])
def test_submissions_that_wait_are_judged_before_the_server_lets_go(stop):
    harness = StratumHarness()
    turn, rig = Turn(harness), Rig(harness)
    rig.job().block_target = EVERY
    rig.protocol.dataReceived(rig.lines(1))
    getattr(harness.server, stop)()
    assert len(harness.work.solved_outcomes) == 1
    assert [answer["result"] for answer in answers(rig.transport)] == [True]
    turn.end()
    assert len(harness.work.solved_outcomes) == 1


def test_a_block_of_a_connection_that_ended_in_the_same_turn_is_reported():
    harness = StratumHarness()
    turn, rig = Turn(harness), Rig(harness)
    rig.job().block_target = EVERY
    rig.protocol.dataReceived(rig.lines(1))
    rig.protocol.connectionLost()
    turn.end()
    assert len(harness.work.solved_outcomes) == 1
    assert len(harness.server) == 0


@pytest.mark.parametrize("end", [b"{" * 9000, b"{" * 9000 + b"\n", b"no JSON\n"])
def test_answers_precede_the_close_of_a_connection_that_misbehaves(end):
    harness = StratumHarness()
    turn, rig = Turn(harness), Rig(harness)
    rig.protocol.dataReceived(rig.lines(1, 2, 3) + end)
    assert [answer["id"] for answer in answers(rig.transport)][:3] == [1, 2, 3]
    assert rig.transport.disconnecting
    turn.end()


def test_other_requests_are_answered_after_the_submissions_before_them():
    harness = StratumHarness()
    turn, rig = Turn(harness), Rig(harness)
    rig.protocol.dataReceived(rig.lines(5, 6) + line("mining.ping") + rig.lines(7))
    turn.end()
    assert [answer["id"] for answer in answers(rig.transport)] == [5, 6, 1, 7]


@needs_interpreted("p2pool.stratum.miner_state")
def test_a_bug_in_judging_ends_one_connection_only():
    harness = StratumHarness()
    turn, broken, working = Turn(harness), Rig(harness), Rig(harness, 1)
    session = broken.protocol.session
    sent = session.state.jobs[broken.notify[0]]
    sent.target = None  # comparing a hash with it fails
    broken.protocol.dataReceived(broken.lines(1))
    working.protocol.dataReceived(working.lines(1))
    with logged() as log:
        turn.end()
    assert broken.transport.disconnecting
    assert len(answers(working.transport)) == 1
    assert not working.transport.disconnecting
    assert len(log.tracebacks) == 1
