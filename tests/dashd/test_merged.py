"""Daemons of auxiliary chains: what is understood, what their trouble costs, when miners hear of their blocks."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from p2pool.base.errors import ParseError
from p2pool.dash.auxpow import MAX_CHAIN_ID, AuxWork
from p2pool.dash.target import bits_to_target
from p2pool.dashd import merged as merged_module
from p2pool.dashd.aux_submission import MAX_REFUSALS, RETRIES
from p2pool.dashd.daemon_url import parse_daemon_url
from p2pool.dashd.merged import (
    PAUSE,
    POLL_PERIOD,
    SAY_PERIOD,
    WELL_AFTER,
    WORK_LIFETIME,
    AuxDaemon,
    AuxTable,
    MergedMining,
    parse_aux_work,
)
from p2pool.dashd.rpc import RpcError, RpcUnavailable
from tests.dashd.wires import Wire, refuse
from tests.logged import logged

DOWN = RpcUnavailable("connection refused")
BITS = 0x1E0FFFFF
TARGET = bits_to_target(BITS)


def answer(chain_id: int = 1, block: int = 0xABC, target: int = TARGET, **changes: Any) -> dict[str, Any]:
    """What a daemon of today says; None takes a field away."""
    fields = {
        "hash": f"{block:064x}",
        "chainid": chain_id,
        "previousblockhash": "00" * 32,
        "coinbasevalue": 5_000_000_000,
        "height": 7,
        "_target": target.to_bytes(32, "little").hex(),
    } | changes
    return {name: value for name, value in fields.items() if value is not None}


# --- answers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"_target": None, "bits": f"{BITS:08x}", "nothing": "else"},
        {"bits": f"{BITS:08x}"},
        {"bits": f"{BITS:08x}", "_target": TARGET.to_bytes(32, "big").hex()},
        {"bits": f"{BITS:08x}", "_target": None},
        {"hash": f"{0xABC:064X}"},
        {"something": "else"},
    ],
)
def test_forms_of_an_answer(changes):
    assert parse_aux_work(answer(**changes)) == AuxWork(1, 0xABC, TARGET)


def test_the_target_of_older_daemons_which_counts_where_both_are_given():
    old = answer(_target=None) | {"target": (6).to_bytes(32, "little").hex()}
    assert parse_aux_work(old).target == 6
    assert parse_aux_work(answer(target=5) | old).target == 6


@pytest.mark.parametrize("chain_id", [0, MAX_CHAIN_ID])
def test_the_least_and_the_greatest_chain(chain_id):
    assert parse_aux_work(answer(chain_id, target=2**256 - 1)) == AuxWork(chain_id, 0xABC, 2**256 - 1)


GARBAGE = [
    None,
    5,
    "text",
    [],
    {},
    True,
    answer(hash=None),
    answer(hash="ab"),
    answer(hash=5),
    answer(hash="0x" + "0" * 62),
    answer(hash=" " * 64),
    answer(hash="00" * 33),
    answer(hash="é" * 64),
    answer(chainid=None),
    answer(chainid=-1),
    answer(chainid="1"),
    answer(chainid=1.0),
    answer(chainid=True),
    answer(chainid=2**30),
    answer(chainid=2**64),
    answer(_target=None),
    answer(_target="p2pool"),
    answer(_target="ff" * 33),
    answer(_target="00" * 32),
    answer(_target=7),
    answer(bits="1e0ffff"),
    answer(bits=5),
    answer(bits="1e0fffff", target=TARGET - 1),
    answer(bits="1e000000", _target=None),
    answer(bits="ff0fffff", _target=None),
    answer(bits="1e8fffff", _target=None),
    answer(bits="1e8fffff"),
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_refused_in_one_line(garbage):
    with pytest.raises(ParseError) as caught:
        parse_aux_work(garbage)
    text = str(caught.value)
    assert text.startswith("getauxblock: ")
    assert text.isprintable()
    assert len(text) < 250


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists)


@given(
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("hash", "chainid", "target", "_target", "bits", "height"), JSON)
    )
)
def test_any_json_is_work_or_a_parse_error(fields):
    try:
        work = parse_aux_work(fields)
    except ParseError:
        return
    assert 0 <= work.chain_id <= MAX_CHAIN_ID
    assert 0 < work.target < 2**256


# --- a stage ---------------------------------------------------------------------------------------------


class FakeRpc:
    """Answers in turn; the last answer stays. An exception is raised, a Deferred waited for, a function called."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.sent: list[tuple] = []
        self.polls = 0

    async def call(self, method: str, *params: Any, timeout: float = 0) -> Any:
        assert method == "getauxblock"
        assert timeout > 0
        if params:
            self.sent.append(params)
        else:
            self.polls += 1
        given = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(given, Exception):
            raise given
        return await given if isinstance(given, Deferred) else given


class Stage:
    """A table and its daemons on one clock."""

    def __init__(self, *rpcs: FakeRpc) -> None:
        self.clock = Clock()
        self.table = AuxTable(self.clock)
        self.commitments: list = []
        self.rounds: list[float] = []
        self.table.changed.subscribe(self.commitments.append)
        self.table.work_due.subscribe(lambda _: self.rounds.append(self.clock.seconds()))
        self.daemons = [
            AuxDaemon(self.clock, rpc, f"http://daemon{n}/", self.table) for n, rpc in enumerate(rpcs, 1)
        ]
        self.tasks = [Deferred.fromCoroutine(daemon.run()) for daemon in self.daemons]

    def wait(self, seconds: float, step: float = 0.5) -> Stage:
        for _ in range(round(seconds / step)):
            self.clock.advance(step)
        return self

    def stop(self) -> None:
        """Nothing of it goes on."""
        self.table.stop()
        for task in self.tasks:
            task.addErrback(lambda failure: None)
            task.cancel()
        assert self.clock.getDelayedCalls() == []

    @property
    def works(self) -> tuple[AuxWork, ...]:
        newest = self.commitments[-1]
        return () if newest is None else newest.works


# --- the table -------------------------------------------------------------------------------------------


def test_a_daemon_is_polled_and_its_new_block_goes_out_at_once():
    rpc = FakeRpc(answer(block=1))
    stage = Stage(rpc)
    assert stage.works == (AuxWork(1, 1, TARGET),)
    assert stage.rounds == [0]
    stage.wait(20)
    assert rpc.polls == pytest.approx(20 / POLL_PERIOD, abs=1)
    assert len(stage.commitments) == 1  # the same block is no news
    rpc.answers = [answer(block=2)]
    stage.wait(POLL_PERIOD)
    assert stage.works == (AuxWork(1, 2, TARGET),)
    assert len(stage.rounds) == 2
    assert stage.daemons[0].figures.problem is None
    assert stage.daemons[0].figures.chain_id == 1
    stage.stop()


def test_many_changes_make_few_rounds_and_the_last_one_is_told():
    rpcs = [FakeRpc(answer(chain, chain)) for chain in range(16)]
    stage = Stage(*rpcs)
    for second in range(60):
        for chain, rpc in enumerate(rpcs):
            rpc.answers = [answer(chain, 1000 * second + chain)]
        stage.wait(1)
    assert all(later - earlier >= PAUSE for earlier, later in zip(stage.rounds, stage.rounds[1:], strict=False))
    assert len(stage.rounds) >= 60 / PAUSE - 1
    told = len(stage.rounds)
    stage.wait(60)
    assert len(stage.rounds) - told <= 1  # nothing new, no rounds
    assert stage.rounds[-1] <= 60 + PAUSE
    assert {work.hash for work in stage.works} == {59_000 + chain for chain in range(16)}
    stage.stop()


def test_of_two_daemons_of_one_chain_the_later_one_waits_and_is_there_when_the_first_is_gone():
    first, second = FakeRpc(answer(5, 1)), FakeRpc(answer(5, 2))
    with logged() as log:
        stage = Stage(first, second).wait(100)
        assert stage.works == (AuxWork(5, 1, TARGET),)
        warnings = [line for line in log.lines if "trying again" in line]
        assert len(warnings) == 1
        assert "http://daemon1/ mines chain 5 already" in warnings[0]
        assert "daemon2" in warnings[0]
        assert stage.daemons[1].figures.problem in warnings[0]
        first.answers = [DOWN]
        stage.wait(WORK_LIFETIME + 100)
    assert stage.works == (AuxWork(5, 2, TARGET),)
    assert not log.tracebacks
    stage.stop()


def test_a_daemon_that_changes_to_a_taken_chain_has_no_work():
    first, second = FakeRpc(answer(1, 1)), FakeRpc(answer(2, 2))
    stage = Stage(first, second)
    assert len(stage.works) == 2
    second.answers = [answer(1, 3)]
    stage.wait(1)
    assert stage.works == (AuxWork(1, 1, TARGET),)
    second.answers = [answer(3, 4)]
    stage.wait(60)
    assert stage.works == (AuxWork(1, 1, TARGET), AuxWork(3, 4, TARGET))
    stage.stop()


def test_a_dead_daemon_s_block_is_given_up_after_a_while():
    rpc = FakeRpc(answer(), DOWN)
    stage = Stage(rpc).wait(WORK_LIFETIME)
    assert len(stage.works) == 1
    stage.wait(60)
    assert stage.commitments[-1] is None
    rpc.answers = [answer()]
    stage.wait(60)
    assert len(stage.works) == 1
    stage.stop()


# --- trouble ---------------------------------------------------------------------------------------------


def test_trouble_is_said_once_and_its_end_once():
    rpc = FakeRpc(answer(), DOWN)
    with logged() as log:
        stage = Stage(rpc).wait(300)
        assert len(log.lines) == 2  # the chain, and the trouble
        assert "connection refused; trying again" in log.lines[1]
        assert rpc.polls < 20  # with back-off
        assert stage.daemons[0].figures.problem == "connection refused"
        rpc.answers = [answer(block=9)]
        stage.wait(40)
        assert stage.daemons[0].figures.problem is None
        assert log.lines[2:] == ["merged mining with http://daemon1/ works again"]
    stage.stop()


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_costs_a_line(garbage):
    with logged() as log:
        stage = Stage(FakeRpc(garbage)).wait(50)
    assert len(log.lines) == 1
    assert not log.tracebacks
    assert stage.commitments == []
    stage.stop()


def test_a_daemon_that_flaps_with_ever_new_troubles_fills_no_log():
    troubles = [answer(block=n) if n % 2 else RpcError(-1, f"trouble {n}") for n in range(2000)]
    with logged() as log:
        stage = Stage(FakeRpc(*troubles)).wait(600)
    assert stage.daemons[0]._rpc.polls > 300
    assert len(log.lines) <= 2 + 2 * 600 / SAY_PERIOD
    stage.stop()


def test_trouble_that_begins_in_the_quiet_time_is_said_when_that_is_over():
    rpc = FakeRpc(DOWN, answer())
    with logged() as log:
        stage = Stage(rpc).wait(WELL_AFTER + 5)
        assert "works again" in log.lines[-1]
        rpc.answers = [RpcError(-32601, "Method not found")]
        stage.wait(10)
        assert "works again" in log.lines[-1]
        stage.wait(SAY_PERIOD + 40)
        assert "Method not found" in log.lines[-1]
    assert len(log.lines) == 4
    stage.stop()


def test_a_defect_of_ours_is_logged_and_does_not_end_the_polling(monkeypatch):
    rpc = FakeRpc(answer())
    with logged() as log, monkeypatch.context() as patch:
        patch.setattr(merged_module, "parse_aux_work", lambda value: 1 // 0)
        stage = Stage(rpc).wait(200)
        assert len(log.tracebacks) == 1
    stage.wait(60)
    assert len(stage.works) == 1
    stage.stop()


def test_a_daemon_that_never_answers_keeps_nobody_waiting():
    stuck, well = FakeRpc(Deferred()), FakeRpc(answer(2, 2))
    stage = Stage(stuck, well).wait(20)
    assert stuck.polls == 1
    assert well.polls > 15
    assert len(stage.works) == 1
    stage.stop()


# --- blocks ----------------------------------------------------------------------------------------------


class Way:
    """One daemon, and the way back to it."""

    def __init__(self, tmp_path, *answers: Any) -> None:
        self.rpc = FakeRpc(*answers)
        self.reactor = Clock()
        self.mining = MergedMining(self.reactor, (), tmp_path / "aux-blocks", self.run_in_thread)
        self.daemon = AuxDaemon(self.reactor, self.rpc, "http://daemon/", self.mining.table)
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


@pytest.mark.parametrize(
    ("reply", "part"),
    [
        (False, "False"),
        (None, "None"),
        ("yes", "'yes'"),
        (1, "answers 1"),
        ({"a": [1] * 10_000}, "{"),
        (RpcError(-8, "block hash unknown"), "block hash unknown (code -8)"),
    ],
)
def test_a_refused_block_is_kept(tmp_path, reply, part):
    way = Way(tmp_path, reply)
    with logged() as log:
        way.offer(5)
    assert len(way.rpc.sent) == 1
    assert way.kept == [f"1-{5:064x}.hex"]
    assert (way.directory / way.kept[0]).read_text() == "0102\n"
    (line,) = log.lines
    assert part in line
    assert way.kept[0] in line
    assert len(line) < 700
    assert way.daemon.figures.refused == 1


def test_refused_proofs_of_one_block_are_tried_a_few_times_only(tmp_path):
    way = Way(tmp_path, False)
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
    assert len(way.kept) == 100
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
    assert len(way.rpc.sent) == way.proofs == 8


def test_a_full_disk_costs_a_line(tmp_path):
    way = Way(tmp_path, False)
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
    other = AuxDaemon(way.reactor, liar, "http://liar/", way.mining.table)
    way.mining.daemons.insert(0, other)
    other._given.add(AuxWork(2, 1, TARGET))
    way.offer(1)
    assert liar.sent == []
    assert len(way.rpc.sent) == 1
    way.mining.offer(AuxWork(9, 9, 9), lambda: b"", "nobody gave this")
    assert len(way.rpc.sent) == 1


# --- over HTTP -------------------------------------------------------------------------------------------


def http(body: bytes, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode() + body


def body_of(wire: Wire) -> tuple[bytes, dict]:
    head, _, body = wire.take().partition(b"\r\n\r\n")
    (token,) = [line[21:] for line in head.split(b"\r\n") if line.startswith(b"Authorization: Basic ")]
    return base64.b64decode(token), json.loads(body)


class OverHttp:
    """The real clients of two daemons, and the other ends of their connections."""

    def __init__(self, tmp_path, urls) -> None:
        self.reactor = MemoryReactorClock()
        self.mining = MergedMining(self.reactor, urls, tmp_path / "aux", lambda function: succeed(function()))
        self.mining.start()
        self.wires: list[Wire] = []

    def accept(self) -> Wire:
        self.wires.append(Wire(self.reactor, len(self.wires)))
        return self.wires[-1]

    def stop(self) -> None:
        """Nothing goes on."""
        stopped: list = []
        Deferred.fromCoroutine(self.mining.stop()).addBoth(stopped.append)
        self.reactor.advance(0)
        assert stopped == [None]
        for wire in self.wires:
            wire.hang_up()
        assert self.reactor.getDelayedCalls() == []


@pytest.fixture
def over_http(tmp_path):
    cookie = tmp_path / "cookie"
    cookie.write_text("__cookie__:abc")
    urls = [
        parse_daemon_url("--merged", "http://me:p%40ss@127.0.0.1:1001"),
        parse_daemon_url("--merged", f"http://127.0.0.1:1002?cookie={cookie}"),
    ]
    made = OverHttp(tmp_path, urls)
    yield made
    made.stop()


def test_two_daemons_with_their_own_credentials(over_http):
    reactor, mining = over_http.reactor, over_http.mining
    first, second = over_http.accept(), over_http.accept()
    assert (first.port, second.port) == (1001, 1002)
    assert body_of(first)[0] == b"me:p@ss"
    assert body_of(second)[0] == b"__cookie__:abc"
    told: list = []
    mining.table.changed.subscribe(told.append)
    first.send(http(json.dumps({"result": answer(1, 11), "error": None}).encode()))
    second.send(http(json.dumps({"result": answer(2, 22), "error": None}).encode()))
    assert [work.hash for work in told[-1].works] == [11, 22]
    assert [(f.where, f.chain_id) for f in mining.figures] == [
        ("http://127.0.0.1:1001/", 1),
        ("http://127.0.0.1:1002/", 2),
    ]
    mining.offer(told[-1].works[1], lambda: b"\xaa", "w")
    reactor.advance(0)
    method = body_of(second)[1]
    assert (method["method"], method["params"]) == ("getauxblock", [f"{22:064x}", "aa"])
    second.send(http(b'{"result":true}'))
    assert mining.figures[1].accepted == 1


@pytest.mark.parametrize(
    "said",
    [
        http(b"<html>"),
        http(b'{"result":{"chainid":18446744073709551616,"hash":"' + b"0" * 64 + b'"}}'),
        http(b'{"result":{"chainid":1' + b"0" * 4000 + b"}}"),
        http(b" " * 70_000, length=10**12),
        http(b"[" * 60_000),
        http(b'{"result":' + b"[" * 500 + b"]" * 500 + b"}"),
        b"\x00" * 1000 + b"\r\n\r\n",
        b"HTTP/1.1 999 \xff\r\n\r\n",
    ],
    ids=["html", "overflow", "digits", "huge", "brackets", "deep", "binary", "status"],
)
def test_hostile_answers_cost_a_line_and_the_other_daemon_nothing(over_http, said):
    reactor, mining = over_http.reactor, over_http.mining
    with logged() as log:
        hostile, well = over_http.accept(), over_http.accept()
        hostile.send(said)
        hostile.hang_up()
        well.send(http(json.dumps({"result": answer(2, 22), "error": None}).encode()))
        reactor.advance(0.5)
    assert len([line for line in log.lines if "1001" in line]) == 1
    assert not log.tracebacks
    assert mining.figures[0].problem is not None
    assert mining.figures[1].problem is None


def test_a_daemon_that_is_not_there(over_http):
    reactor, mining = over_http.reactor, over_http.mining
    with logged() as log:
        refuse(reactor, 0)
        reactor.advance(0.5)
    assert len(log.lines) == 1
    assert "refused" in mining.figures[0].problem
