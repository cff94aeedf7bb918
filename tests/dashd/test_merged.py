"""Daemons of auxiliary chains: what is understood, what their trouble costs, when miners hear of their blocks."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock

from p2pool.base.errors import ParseError
from p2pool.dash.auxpow import MAX_CHAIN_ID, AuxWork
from p2pool.dash.target import bits_to_target
from p2pool.dashd import merged as merged_module
from p2pool.dashd.daemon_url import parse_daemon_url
from p2pool.dashd.merged import (
    MAX_ANSWER,
    PAUSE,
    POLL_PERIOD,
    REPORT_PERIOD,
    WELL_AFTER,
    WORK_LIFETIME,
    AuxDaemon,
    AuxTable,
    MergedMining,
    parse_aux_work,
)
from p2pool.dashd.rpc import RpcError, RpcUnavailable
from tests.dashd.wires import Wire, refuse
from tests.environment import make_environment
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
        self.depths: dict[str, Any] = {}
        """What it says of blocks, by their hash; others it does not know."""

    async def call(self, method: str, *params: Any, timeout: float = 0) -> Any:
        assert timeout > 0
        if method == "getblockheader":
            if params[0] not in self.depths:
                raise RpcError(-5, "Block not found")
            return {"confirmations": self.depths[params[0]]}
        assert method == "getauxblock"
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
        environment = make_environment(self.clock)
        self.table = AuxTable(environment)
        self.commitments: list = []
        self.rounds: list[float] = []
        self.table.changed.subscribe(self.commitments.append)
        self.table.work_due.subscribe(lambda _: self.rounds.append(self.clock.seconds()))
        self.daemons = [
            AuxDaemon(environment, rpc, url=f"http://daemon{n}/", table=self.table)
            for n, rpc in enumerate(rpcs, 1)
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


def test_many_changes_make_few_rounds_and_the_last_one_is_reported():
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
        warnings = [line for line in log.lines if "retrying" in line]
        assert len(warnings) == 1
        assert "chain 5 is already mined with http://daemon1/" in warnings[0]
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
        assert "connection refused; retrying" in log.lines[1]
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
    assert stage.daemons[0]._rpc.polls > 300  # type: ignore[attr-defined]
    assert len(log.lines) <= 2 + 2 * 600 / REPORT_PERIOD
    stage.stop()


def test_trouble_that_begins_in_the_quiet_period_is_logged_when_that_is_over():
    rpc = FakeRpc(DOWN, answer())
    with logged() as log:
        stage = Stage(rpc).wait(WELL_AFTER + 5)
        assert "works again" in log.lines[-1]
        rpc.answers = [RpcError(-32601, "Method not found")]
        stage.wait(10)
        assert "works again" in log.lines[-1]
        stage.wait(REPORT_PERIOD + 40)
        assert "Method not found" in log.lines[-1]
    assert len(log.lines) == 4
    stage.stop()


def test_an_internal_error_is_logged_and_does_not_end_the_polling(monkeypatch):
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
        self.mining = MergedMining(make_environment(self.reactor), urls, tmp_path / "aux")
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
    assert [(f.url, f.chain_id) for f in mining.figures] == [
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
        b"HTTP/1.1 200 OK\r\nno colon\r\nX: y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=[
        "html",
        "overflow",
        "digits",
        "huge",
        "brackets",
        "deep",
        "binary",
        "status",
        "colon",
        "size",
        "elsewhere",
    ],
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


def test_headers_without_end_are_cut_off(over_http):
    hostile = over_http.accept()
    hostile.send(b"HTTP/1.1 200 OK\r\n")
    sent = 0
    while not hostile.disconnecting and sent < 10_000:
        hostile.send(b"X-%d: %s\r\n" % (sent, b"y" * 900))
        sent += 1
    assert hostile.disconnecting
    assert sent * 900 < 2 * MAX_ANSWER
    over_http.reactor.advance(0.5)
    assert "more than 65536 bytes of headers" in over_http.mining.figures[0].problem


def test_a_connection_may_go_on_for_ever_with_answers_of_their_size(over_http):
    wire = over_http.accept()
    padded = http(json.dumps({"result": answer(1, 11), "error": None}).encode().ljust(60_000))
    for _ in range(10):
        assert body_of(wire)[1]["method"] == "getauxblock"
        wire.send(padded)
        assert over_http.mining.figures[0].problem is None
        over_http.reactor.advance(POLL_PERIOD)
    assert not wire.disconnecting


def test_a_daemon_that_is_not_there(over_http):
    reactor, mining = over_http.reactor, over_http.mining
    with logged() as log:
        refuse(reactor, 0)
        reactor.advance(0.5)
    assert len(log.lines) == 1
    assert "refused" in mining.figures[0].problem


def test_https_begins_with_a_tls_handshake(tmp_path):
    url = parse_daemon_url("--merged", "https://me:p@127.0.0.1:1001")
    made = OverHttp(tmp_path, [url])
    wire = made.accept()
    assert wire.port == 1001
    assert wire.take()[:2] == b"\x16\x03"
    wire.hang_up()
    made.reactor.advance(0.5)
    assert made.mining.figures[0].problem is not None
    made.stop()
