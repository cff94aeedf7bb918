"""Two gateways around one broker: a miner that reconnects to the other one finds its session there."""

from __future__ import annotations

import gc
import itertools
import json
import random
from dataclasses import replace
from typing import Any

import fakeredis
import msgspec
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock

from p2pool.app.shared_sessions import STOP_TIME, SharedSessions
from p2pool.base.errors import ParseError
from p2pool.base.plain_records import from_plain, to_plain
from p2pool.broker.operations import recent
from p2pool.dash.target import MAX_UINT256
from p2pool.gateway import prefix_lease, session_codec, session_exchange
from p2pool.gateway.messages import pack_message, parse_message
from p2pool.gateway.names import Names
from p2pool.gateway.prefix_lease import LEASE, RENEWAL
from p2pool.gateway.recent_contexts import MAX_CONTEXTS, RecentContexts
from p2pool.gateway.session_exchange import CLAIM_TIME, DEADLINE, PERIOD
from p2pool.gateway.session_messages import HandoverMessage, SessionRecord
from p2pool.jobs.context import WorkContext, build_work_context
from p2pool.jobs.job import Job
from p2pool.networks import DASH_REGTEST
from p2pool.share.generation import PayeeFields
from p2pool.sharechain.tracker import Tracker
from p2pool.stratum import session_table
from p2pool.stratum.handover_records import MinersRecord
from p2pool.stratum.limits import ServerLimits
from p2pool.stratum.protocol import StratumProtocol
from p2pool.stratum.server import StratumServer
from p2pool.stratum.session_context import SessionSettings
from tests.environment import make_environment
from tests.gateway import test_gateway
from tests.gateway.fake_broker import FakeBroker
from tests.logged import logged
from tests.stratum.miner import ADDRESS, EASY, NOW, FakeStats, Miner, code
from tests.stratum.wire import Transport, line, notifies
from tests.support import make_template

RUN = 77


class SlowBroker(FakeBroker):
    """A broker whose answers can be held back."""

    def __init__(self, server: fakeredis.FakeServer) -> None:
        super().__init__(server)
        self.slow = False
        self.held: list[tuple[Any, Deferred[Any]]] = []

    def ask(self, action: Any, *, urgent: bool = False) -> Deferred[Any]:
        if not self.slow:
            try:
                return super().ask(action)
            except Exception as error:
                failed: Deferred[Any] = Deferred()
                failed.errback(error)
                return failed
        self.held.append((action, Deferred()))
        return self.held[-1][1]

    def answer(self) -> None:
        self.slow, held, self.held = False, self.held, []
        for action, deferred in held:
            deferred.callback(action(self.client))


class Work:
    """A WorkPort of one gateway over contexts that all gateways have."""

    def __init__(self, nonce: int) -> None:
        self.context: WorkContext | None = None
        self.recent = RecentContexts()
        self.nonce = nonce
        self.solved_outcomes: list = []

    def make_job(self, key_hash: bytes, share_difficulty: float | None) -> Job | None:
        self.nonce += 1
        return Job(
            self.context,
            PayeeFields(key_hash, 655, 0, self.nonce),
            desired_target=MAX_UINT256,
            share_timestamp=int(NOW),
            header_timestamp=int(NOW),
        )

    def remember(self, data: bytes) -> None:
        raise AssertionError("no work is in the broker")

    def is_current(self, job: Job) -> bool:
        return job.context.tip == self.context.tip

    def solved(self, outcome, worker: str) -> None:
        self.solved_outcomes.append((outcome, worker))


class Gateway:
    """A stratum server that shares its sessions."""

    def __init__(self, pool: Pool, seed: int, timeout: float = 3600.0) -> None:
        self.pool = pool
        self.broker = SlowBroker(pool.redis)
        self.work = Work(1000 * seed)
        self.stats = FakeStats()
        self.clock = pool.clock
        environment = make_environment(self.clock, clock=pool.now, chance=random.Random(seed))
        self.server = StratumServer(
            environment,
            settings=SessionSettings(network=DASH_REGTEST, start_difficulty=2.0**-20, min_difficulty=2.0**-30),
            work=self.work,
            stats=self.stats,
            limits=ServerLimits(session_timeout=timeout),
        )
        self.shared = SharedSessions(
            environment, self.broker, names=pool.names, server=self.server, work=self.work
        )
        ensureDeferred(self.shared.start())
        self.broker.turn()

    @property
    def table(self):
        return self.server.session_context.sessions

    def give(self, number: int, context: WorkContext) -> None:
        self.work.recent.keep((RUN, number), context)
        self.work.context = context
        self.server.work_changed(context.template.previous_block, clean=True)

    def connect(self) -> tuple[StratumProtocol, Transport]:
        protocol, transport = self.server.buildProtocol(IPv4Address("TCP", "10.0.0.1", 1)), Transport()
        protocol.makeConnection(transport)
        return protocol, transport

    def stop(self) -> None:
        self.server.stop()
        ensureDeferred(self.shared.stop())


class Pool:
    """Gateways around one broker, with the same work."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.redis = fakeredis.FakeServer()
        self.names = Names("dash-regtest")
        self.gateways: list[Gateway] = []
        self.seeds = itertools.count(1)  # never one again: gateways of the same seed would draw the same names
        self.number = 0
        self.template = make_template(bits=0x1D00FFFF)
        self.share_limit = 2**200
        self.context = self._build()

    def now(self) -> float:
        return NOW + self.clock.seconds()

    def _build(self) -> WorkContext:
        context = build_work_context(
            Tracker(DASH_REGTEST), None, template=self.template, network=DASH_REGTEST, now=NOW
        )
        return replace(context, parent=replace(context.parent, target_limit=self.share_limit))

    def easy_shares(self) -> None:
        """From now on each submission that is easy to find is a share."""
        self.share_limit = MAX_UINT256 >> 1
        self.new_tip(subsidy=5)

    def gateway(self, **changes) -> Gateway:
        gateway = Gateway(self, next(self.seeds), **changes)
        self.gateways.append(gateway)
        gateway.give(self.number, self.context)
        return gateway

    def new_tip(self, **changes) -> None:
        self.clock.advance(1)
        self.template = replace(self.template, **changes)
        self.number += 1
        self.context = self._build()
        for gateway in self.gateways:
            gateway.give(self.number, self.context)

    def turn(self) -> None:
        """Let all read what is in the broker, until there is nothing new."""
        for _ in range(3):
            for gateway in self.gateways:
                gateway.broker.turn()

    def write(self) -> None:
        """The time until sessions are in the broker."""
        self.clock.advance(PERIOD)

    @property
    def client(self):
        return self.gateways[0].broker.client


class Rig:
    """A miner of one gateway after another."""

    header, find = Miner.header, Miner.find

    def __init__(self, pool: Pool, gateway: Gateway, session=None, before=(), username=ADDRESS) -> None:
        self.pool, self.gateway = pool, gateway
        self.protocol, self.wire = gateway.connect()
        for request in before:
            self.call(*request)
        (self.welcome,) = self._subscribe(session)
        subscriptions, extranonce1, _ = self.welcome["result"]
        self.session_id = subscriptions[0][1]
        self.extranonce1 = bytes.fromhex(extranonce1)
        self.greeting = self.call("mining.authorize", username, "x")
        (self.notify,) = notifies(self.greeting)

    def _subscribe(self, session) -> list[dict]:
        self.protocol.dataReceived(line("mining.subscribe", "rig/1", session))
        self.pool.turn()
        return self.wire.messages()

    @property
    def session(self):
        return self.protocol.session

    def call(self, method: str, *params) -> list[dict]:
        self.protocol.dataReceived(line(method, *params))
        return self.wire.messages()

    def submit(self, notify: list, nonce: str) -> list[dict]:
        return self.call("mining.submit", ADDRESS, notify[0], "00000000", notify[7], nonce)

    def nonces(self, notify: list, count: int) -> list[str]:
        found: list[str] = []
        for _ in range(count):
            found.append(self.find(notify, EASY, start=int(found[-1], 16) + 1 if found else 0))
        return found

    def leave(self) -> None:
        self.protocol.connectionLost()


@pytest.fixture
def pool(monkeypatch):
    monkeypatch.setattr("p2pool.broker.operations.WAIT", 0.001)
    return Pool()


def accepted(gateway: Gateway) -> float:
    """The work that a gateway credited, in submissions of the start difficulty."""
    return sum(call[1] for call in gateway.stats.of("record_accepted")) / 2**12


# --- a session that moves --------------------------------------------------------------------------------------


@pytest.mark.parametrize("leaves", [True, False])
def test_a_session_is_found_at_the_other_gateway_and_a_submission_in_flight_is_accepted(pool, leaves):
    a, b = pool.gateway(), pool.gateway()
    configure = ("mining.configure", ["version-rolling"], {"version-rolling.mask": "00ffe000"})
    first = Rig(pool, a, before=[configure, ("mining.suggest_difficulty", 2.0**-21), ("mining.ping",)])
    one, two = first.nonces(first.notify, 2)
    pool.write()
    assert first.submit(first.notify, one)[0]["result"] is True
    if leaves:
        first.leave()
    second = Rig(pool, b, first.session_id)
    assert (second.session_id, second.extranonce1) == (first.session_id, first.extranonce1)
    assert second.session.state.knows_ping
    assert second.session.version_mask == 0x00FFE000
    assert second.session.vardiff.difficulty == 2.0**-21
    assert [m["params"] for m in second.greeting if m.get("method") == "mining.set_difficulty"] == [[2.0**-21]]
    assert second.notify[0] != first.notify[0]
    assert second.notify[2] != first.notify[2]
    assert code(second.submit(first.notify, one)) == 22
    assert second.submit(first.notify, two)[0]["result"] is True
    assert code(second.submit(first.notify, two)) == 22
    assert (len(a.stats.of("record_accepted")), len(b.stats.of("record_accepted"))) == (1, 1)
    assert first.wire.disconnecting is not leaves
    if not leaves:
        return
    assert a.table.get(first.session_id) is None


def test_a_share_in_flight_for_a_job_of_the_other_gateway_is_the_very_same_share(pool):
    a, b = pool.gateway(), pool.gateway()
    pool.easy_shares()
    first = Rig(pool, a)
    nonce = first.find(first.notify, EASY)
    pool.write()
    first.leave()
    pool.new_tip(subsidy=7)
    second = Rig(pool, b, first.session_id)
    assert second.submit(first.notify, nonce)[0]["result"] is True
    ((outcome, _),) = b.work.solved_outcomes
    assert outcome.meets_share
    assert outcome.share().hash == outcome.hash
    assert outcome.job.payee.nonce == 1001


@pytest.mark.parametrize("shares", [True, False])
def test_the_connection_that_lost_its_session_goes_on_if_it_can_and_its_old_work_is_not_credited(pool, shares):
    a, b = pool.gateway(), pool.gateway()
    if shares:
        pool.easy_shares()
    first = Rig(pool, a, before=[("mining.extranonce.subscribe",)])
    one, two = first.nonces(first.notify, 2)
    pool.write()
    second = Rig(pool, b, first.session_id)
    messages = first.wire.messages()
    assert not first.wire.disconnecting
    assert [m["method"] for m in messages] == ["mining.set_extranonce", "mining.notify"]
    assert messages[0]["params"][0] != second.extranonce1.hex()
    assert second.submit(first.notify, one)[0]["result"] is True
    answers = [first.submit(first.notify, nonce)[0]["result"] for nonce in (one, two)]
    assert answers == [shares, shares]  # no share is lost
    assert len(a.work.solved_outcomes) == 2 * shares
    assert accepted(a) == 0
    assert accepted(b) == pytest.approx(2**-10 if shares else 1, rel=1e-4)  # easy shares limit the difficulty


def test_there_and_back_again_nothing_is_forgotten_and_no_work_is_sent_twice(pool):
    a, b = pool.gateway(), pool.gateway()
    rig, jobs, solved = Rig(pool, a), [], []
    for gateway in (b, a, b, a):
        jobs.append(rig.notify)
        solved.append(rig.find(rig.notify, EASY))
        assert rig.submit(rig.notify, solved[-1])[0]["result"] is True
        pool.write()
        rig.leave()
        rig = Rig(pool, gateway, rig.session_id)
    jobs.append(rig.notify)
    assert len({job[0] for job in jobs}) == len({job[2] for job in jobs}) == 5
    for job, nonce in zip(jobs, solved, strict=False):
        assert code(rig.submit(job, nonce)) == 22
    assert len(a.stats.of("record_accepted")) == len(b.stats.of("record_accepted")) == 2


def test_a_gateway_that_stopped_leaves_its_sessions_to_the_others(pool):
    a, b = pool.gateway(), pool.gateway()
    first = Rig(pool, a)
    one, two = first.nonces(first.notify, 2)
    assert first.submit(first.notify, one)[0]["result"] is True
    a.stop()
    pool.gateways.remove(a)
    before = pool.clock.seconds()
    second = Rig(pool, b, first.session_id)
    assert pool.clock.seconds() == before  # there was nobody to ask
    assert second.extranonce1 == first.extranonce1
    assert code(second.submit(first.notify, one)) == 22
    assert second.submit(first.notify, two)[0]["result"] is True


def test_a_gateway_that_was_killed_costs_a_moment(pool):
    a, b = pool.gateway(), pool.gateway()
    first = Rig(pool, a)
    nonce = first.find(first.notify, EASY)
    pool.write()
    pool.gateways.remove(a)
    protocol, wire = b.connect()
    protocol.dataReceived(line("mining.subscribe", "rig/1", first.session_id) + line("mining.authorize", ADDRESS))
    pool.turn()
    assert wire.messages() == []
    pool.clock.advance(DEADLINE)
    subscribed, authorized, *_ = wire.messages()
    assert subscribed["result"][1] == first.extranonce1.hex()
    assert authorized["result"] is True
    protocol.dataReceived(line("mining.submit", ADDRESS, first.notify[0], "00000000", first.notify[7], nonce))
    assert wire.messages()[0]["result"] is True


def test_what_a_slow_gateway_accepted_after_the_deadline_is_not_accepted_again(pool):
    a, b = pool.gateway(), pool.gateway()
    first = Rig(pool, a)
    one, two = first.nonces(first.notify, 2)
    pool.write()
    pool.gateways.remove(a)  # it does not read
    protocol, wire = b.connect()
    protocol.dataReceived(line("mining.subscribe", "rig/1", first.session_id) + line("mining.authorize", ADDRESS))
    pool.clock.advance(DEADLINE)
    assert wire.messages()[0]["result"][1] == first.extranonce1.hex()
    assert first.submit(first.notify, one)[0]["result"] is True
    pool.gateways.append(a)
    pool.turn()
    assert first.wire.disconnecting
    for nonce, answer in ((one, False), (two, True)):
        protocol.dataReceived(line("mining.submit", ADDRESS, first.notify[0], "00000000", first.notify[7], nonce))
        assert wire.messages()[0]["result"] is answer


def test_a_session_that_two_gateways_claim_is_that_of_the_last(pool):
    a, b, c = pool.gateway(), pool.gateway(), pool.gateway()
    first = Rig(pool, a)
    pool.write()
    ends = [gateway.connect() for gateway in (b, c)]
    for protocol, _ in ends:
        protocol.dataReceived(line("mining.subscribe", "rig/1", first.session_id))
    pool.turn()
    pool.clock.advance(DEADLINE)
    pool.turn()
    extranonces = [wire.messages()[0]["result"][1] for _, wire in ends]
    assert extranonces[0] != first.extranonce1.hex()
    assert extranonces[1] == first.extranonce1.hex()
    assert first.wire.disconnecting


@pytest.mark.parametrize("seconds", [0.0, CLAIM_TIME])
def test_a_claim_that_was_never_read_back_counts_for_a_while(pool, seconds):
    a, b = pool.gateway(), pool.gateway()
    first = Rig(pool, a)
    a.stop()
    pool.gateways.clear()
    second = Rig(pool, b, first.session_id)
    assert second.session_id == first.session_id
    b.broker.client.flushall()
    pool.clock.advance(seconds)
    claim = HandoverMessage(session_id=first.session_id, gateway="other", is_claim=True)
    b.shared.exchange.take(pack_message(claim))
    assert (b.table.get(first.session_id) is None) is bool(seconds)


def test_answers_keep_their_order_while_a_session_is_looked_for(pool):
    _, b = pool.gateway(), pool.gateway()
    b.broker.slow = True
    protocol, wire = b.connect()
    requests = [
        ("mining.ping",),
        ("mining.subscribe", "x", "d" + "0" * 31),
        ("mining.ping",),
        ("mining.nonsense",),
    ]
    data = b"".join(
        json.dumps({"id": number, "method": method, "params": params}).encode() + b"\n"
        for number, (method, *params) in enumerate(requests)
    )
    protocol.dataReceived(data + b'{"id":4,"method":')
    assert [m["id"] for m in wire.messages()] == [0]
    assert wire.producerState == "paused"
    protocol.dataReceived(b'"mining.ping"}\n')  # TLS had it already
    b.broker.answer()
    assert wire.producerState == "producing"
    assert [m["id"] for m in wire.messages()] == [1, 2, 3, 4]


@pytest.mark.parametrize("state", ["gone", "slow"])
def test_without_a_broker_a_miner_has_a_new_session_at_once(pool, state):
    a, b = pool.gateway(), pool.gateway()
    first = Rig(pool, a)
    pool.write()
    protocol, wire = b.connect()
    if state == "gone":
        b.broker.problem = "gone"
    else:
        b.broker.slow = True
    protocol.dataReceived(line("mining.subscribe", "rig/1", first.session_id))
    if state == "slow":
        assert wire.messages() == []
        pool.clock.advance(DEADLINE)
    assert wire.messages()[0]["result"][1] != first.extranonce1.hex()
    protocol.dataReceived(line("mining.subscribe", "rig/1", "d" + "1" * 31))
    assert len(wire.messages()) == 1  # it asks once


def test_a_connection_that_ends_while_it_waits_leaves_nothing_behind(pool):
    _, b = pool.gateway(), pool.gateway()
    b.broker.slow = True
    protocol, _ = b.connect()
    protocol.dataReceived(line("mining.subscribe", "rig/1", "d" + "0" * 31))
    protocol.connectionLost()
    assert len(b.server) == 0
    b.broker.answer()
    assert b.shared.exchange._wanted == {}


def taken_over(old: Gateway) -> tuple[Gateway, list[tuple[StratumProtocol, Transport]]]:
    """Hand all connections over to another process, and return it and them."""
    paused = ensureDeferred(old.shared.pause())
    old.pool.clock.advance(DEADLINE)
    assert paused.called
    record, transports = old.server.hand_over()
    old.stop()
    old.pool.gateways.remove(old)
    new = old.pool.gateway()
    read = from_plain(MinersRecord, orjson.loads(orjson.dumps(to_plain(record))))
    restored = new.server.restore_shared(read).connections
    assert len(restored) == len(transports)
    made = []
    for connection, restore in restored:
        protocol, transport = new.server.adopt(connection, restore), Transport()
        protocol.makeConnection(transport)
        if connection.unread:
            protocol.dataReceived(b"")
        made.append((protocol, transport))
    old.pool.turn()
    return new, made


def test_a_miner_that_waits_for_a_session_finds_it_after_a_take_over(pool):
    a, old = pool.gateway(), pool.gateway()
    first = Rig(pool, a)
    pool.write()
    paused = ensureDeferred(old.shared.pause())
    assert paused.called
    protocol, wire = old.connect()
    request = line("mining.subscribe", "rig/1", first.session_id)
    protocol.dataReceived(request + line("mining.ping"))
    assert wire.messages() == []
    _, ((_, there),) = taken_over(old)
    welcome, pong, *_ = there.messages()
    assert welcome["result"][1] == first.extranonce1.hex()
    assert pong["result"] == "pong"
    assert wire.messages() == []


def test_a_session_that_was_being_looked_for_is_handed_over_as_it_came(pool):
    """The take-over waits until the miner has its answer."""
    a, old = pool.gateway(), pool.gateway()
    first = Rig(pool, a)
    pool.write()
    protocol, wire = old.connect()
    protocol.dataReceived(line("mining.subscribe", "rig/1", first.session_id))
    assert wire.messages() == []
    new, _ = taken_over(old)
    assert wire.messages()[0]["result"][1] == first.extranonce1.hex()
    assert new.table.get(first.session_id) is not None


def test_what_is_sent_while_it_waits_is_bounded(pool):
    b = pool.gateway()
    b.broker.slow = True
    protocol, wire = b.connect()
    protocol.dataReceived(line("mining.subscribe", "rig/1", "d" + "0" * 31))
    for _ in range(17):
        protocol.dataReceived(b"x" * (1 << 16))
    assert wire.aborted


@pytest.mark.parametrize("text", ["", "x" * 32, "d" + "G" * 31, "d" * 33, "../" * 10, "d" + "0" * 30])
def test_what_is_no_session_id_is_not_looked_for(pool, text):
    b = pool.gateway()
    b.broker.slow = True
    assert b.shared.exchange.fetch(text, "site") is None


@pytest.mark.parametrize("limit", ["MAX_WANTED", "MAX_ASKED"])
def test_so_many_are_looked_for_at_a_time(pool, monkeypatch, limit):
    monkeypatch.setattr(session_exchange, limit, 2)
    b = pool.gateway()
    b.broker.slow = True
    ids = [f"d{number:031x}" for number in range(3)]
    assert [b.shared.exchange.fetch(each, "s") is None for each in ids] == [False, False, True]
    assert b.shared.exchange.fetch(ids[0], "s") is None
    pool.clock.advance(DEADLINE)
    assert (b.shared.exchange.fetch(ids[2], "s") is None) is (limit == "MAX_ASKED")
    b.broker.answer()
    assert b.shared.exchange.fetch(ids[0], "s") is not None


def test_one_site_does_not_use_up_what_belongs_to_all(pool, monkeypatch):
    monkeypatch.setattr(session_exchange, "MAX_ASKED_BY_SITE", 2)
    b = pool.gateway()
    b.broker.slow = True
    ids = [f"d{number:031x}" for number in range(8)]
    assert [b.shared.exchange.fetch(each, "s") is None for each in ids[:3]] == [False, False, True]
    assert b.shared.exchange.fetch(ids[3], "other") is not None
    b.broker.answer()
    assert b.shared.exchange.fetch(ids[4], "s") is not None
    assert not b.shared.exchange._asked


# --- hostile records -------------------------------------------------------------------------------------------


def stored(pool: Pool, rig: Rig) -> SessionRecord:
    return parse_message(SessionRecord, pool.client.get(pool.names.session(rig.session_id)))


def damaged(record: SessionRecord) -> dict[str, bytes]:
    """Records that must not be used, by what is wrong with them."""
    change = msgspec.structs.replace
    (job,) = record.jobs
    made = {
        "another session": change(record, session_id="d" + "0" * 31),
        "another network": change(record, network="dash"),
        "another format": change(record, schema=99),
        "difficulty nan": change(record, difficulty=float("nan")),
        "difficulty inf": change(record, difficulty=float("inf")),
        "difficulty negative": change(record, difficulty=-1.0),
        "extranonce1": change(record, extranonce1=b"123"),
        "job nan": change(record, jobs=[change(job, difficulty=float("nan"))]),
        "job id": change(record, jobs=[change(job, job_id="x" * 9)]),
        "other job": change(record, jobs=[change(job, nonce=job.nonce + 1)]),
        "other payee": change(record, jobs=[change(job, paid=bytes(20))]),
        "key": change(record, jobs=[change(job, accepted=[b"short"])]),
        "many jobs": change(record, jobs=[job] * 9),
        "many keys": change(record, jobs=[change(job, accepted=[bytes(16)] * 257)]),
    }
    return {name: pack_message(value) for name, value in made.items()} | {"garbage": b"\x80", "empty": b""}


NAMES = ["another session", "another network", "another format", "difficulty nan", "difficulty inf"]
NAMES += [
    "difficulty negative",
    "extranonce1",
    "job nan",
    "job id",
    "other job",
    "other payee",
    "key",
    "many jobs",
]
NAMES += ["many keys", "garbage", "empty"]


@pytest.mark.parametrize("name", NAMES)
def test_a_record_that_cannot_be_used_costs_one_log_line_and_the_miner_has_a_new_session(pool, name):
    a, b = pool.gateway(), pool.gateway()
    first = Rig(pool, a)
    pool.write()
    released = msgspec.structs.replace(stored(pool, first), released=True)
    pool.client.set(pool.names.session(first.session_id), damaged(released)[name])
    pool.gateways.remove(a)
    with logged() as log:
        second = Rig(pool, b, first.session_id)
    assert second.session_id != first.session_id
    assert [text for text in log.lines if "cannot use a session" in text]
    assert log.tracebacks == []


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff" * 40, b"\xc0"])
def test_what_cannot_be_read_in_the_stream_of_handovers_is_reported_and_passed_over(pool, data):
    a = pool.gateway()
    with logged() as log:
        a.shared.exchange.take(data)
    assert len([text for text in log.lines if "cannot use a session" in text]) == 1


@settings(max_examples=150)
@given(data=st.data())
def test_damaged_records_are_parse_errors_or_sessions_and_nothing_else(data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("p2pool.broker.operations.WAIT", 0.001)
        pool = Pool()
        a, b = pool.gateway(), pool.gateway()
        first = Rig(pool, a)
        pool.write()
        packed = bytearray(pool.client.get(pool.names.session(first.session_id)))
        for _ in range(data.draw(st.integers(1, 4))):
            packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
        del packed[data.draw(st.integers(len(packed) // 2, len(packed))) :]
        codec = b.shared.exchange._codec
        try:
            state = codec.state(parse_message(SessionRecord, bytes(packed)), site="s", now=pool.now())
        except ParseError:
            return
        b.table.adopt(state, site="s", now=pool.now())


def test_an_answer_about_another_session_is_ignored(pool):
    a, b = pool.gateway(), pool.gateway()
    first, other = Rig(pool, a), Rig(pool, a)
    pool.write()
    pool.gateways.remove(a)
    fetched = b.shared.exchange.fetch(first.session_id, "s")
    lie = HandoverMessage(session_id=first.session_id, gateway="liar", is_claim=False, record=stored(pool, other))
    b.shared.exchange.take(pack_message(lie))
    assert not fetched.called
    pool.clock.advance(DEADLINE)
    assert fetched.called
    assert b.table.get(first.session_id).extranonce1 == first.extranonce1


def test_an_extranonce_that_is_in_use_is_not_taken(pool):
    a, b = pool.gateway(), pool.gateway()
    first, local = Rig(pool, a), Rig(pool, b)
    pool.write()
    pool.gateways.remove(a)
    record = msgspec.structs.replace(stored(pool, first), released=True, extranonce1=local.extranonce1)
    pool.client.set(pool.names.session(first.session_id), pack_message(record))
    second = Rig(pool, b, first.session_id)
    assert second.session_id != first.session_id
    assert second.extranonce1 != local.extranonce1


def test_jobs_of_work_that_is_not_known_are_left_out(pool):
    a, b = pool.gateway(), pool.gateway()
    first = Rig(pool, a)
    nonce = first.find(first.notify, EASY)
    pool.write()
    b.work.recent = b.shared.exchange._codec._contexts = RecentContexts()
    second = Rig(pool, b, first.session_id)
    assert second.extranonce1 == first.extranonce1
    assert code(second.submit(first.notify, nonce)) == 21


def test_jobs_of_an_older_block_end_as_they_end_everywhere(pool):
    a, b = pool.gateway(), pool.gateway()
    first = Rig(pool, a)
    nonce = first.find(first.notify, EASY)
    pool.write()
    first.leave()
    pool.new_tip(previous_block=0xBEEF)
    pool.clock.advance(61)
    second = Rig(pool, b, first.session_id)
    assert second.extranonce1 == first.extranonce1
    assert code(second.submit(first.notify, nonce)) == 21


def test_connections_of_an_address_share_a_job_that_was_made_again(pool):
    a, b = pool.gateway(), pool.gateway()
    rigs = [Rig(pool, a) for _ in range(2)]
    pool.write()
    moved = [Rig(pool, b, rig.session_id) for rig in rigs]
    one, two = (rig.session.state.jobs[rigs[0].notify[0]].issued for rig in moved)
    assert one is two


def test_a_job_with_too_many_solutions_is_not_credited_elsewhere(pool, monkeypatch):
    monkeypatch.setattr(session_codec, "MAX_KEYS", 1)
    a, b = pool.gateway(), pool.gateway()
    first = Rig(pool, a)
    nonces = first.nonces(first.notify, 3)
    pool.write()
    for nonce in nonces[:2]:
        first.submit(first.notify, nonce)
    second = Rig(pool, b, first.session_id)
    assert second.extranonce1 == first.extranonce1
    assert [code(second.submit(first.notify, nonce)) for nonce in (nonces[0], nonces[2])] == [21, 21]


def test_a_session_with_more_shares_of_one_job_than_travel_stays(pool, monkeypatch):
    monkeypatch.setattr(session_codec, "MAX_KEYS", 1)
    a, b = pool.gateway(), pool.gateway()
    pool.easy_shares()
    first = Rig(pool, a)
    pool.write()
    for nonce in first.nonces(first.notify, 2):
        first.submit(first.notify, nonce)
    assert Rig(pool, b, first.session_id).session_id != first.session_id


def test_a_session_with_too_many_jobs_on_the_newest_work_stays(pool, monkeypatch):
    monkeypatch.setattr(session_codec, "MAX_JOBS", 1)
    a, b = pool.gateway(), pool.gateway()
    first = Rig(pool, a)
    pool.write()
    first.call("mining.suggest_difficulty", 2.0**-22)
    second = Rig(pool, b, first.session_id)
    assert second.session_id != first.session_id
    pool.new_tip(subsidy=9)
    third = Rig(pool, a)
    pool.write()
    pool.new_tip(subsidy=10)
    assert Rig(pool, b, third.session_id).extranonce1 == third.extranonce1


# --- what is written -------------------------------------------------------------------------------------------


def test_writes_are_bounded_and_follow_changes_not_submissions(pool, monkeypatch):
    monkeypatch.setattr(session_exchange, "MAX_WRITTEN", 2)
    a = pool.gateway()
    asked: list = []
    ask = a.broker.ask
    rigs = [Rig(pool, a) for _ in range(3)]
    a.broker.ask = lambda action: (asked.append(action), ask(action))[1]
    pool.write()
    assert len(pool.client.keys(pool.names.session("*"))) == 2
    pool.write()
    assert len(pool.client.keys(pool.names.session("*"))) == 3
    count = len(asked)
    for nonce in rigs[0].nonces(rigs[0].notify, 5):
        rigs[0].submit(rigs[0].notify, nonce)
    assert len(asked) == count
    pool.write()
    pool.write()
    assert len(stored(pool, rigs[0]).jobs[0].accepted) == 5
    assert len(asked) == count + 1
    pool.write()
    assert len(asked) == count + 1  # nothing changed


def test_sessions_expire_in_the_broker_unless_they_live(pool):
    a = pool.gateway(timeout=100.0)
    first = Rig(pool, a)
    pool.write()
    assert 99_000 < pool.client.pttl(pool.names.session(first.session_id)) <= 100_000
    pool.client.pexpire(pool.names.session(first.session_id), 10)
    for _ in range(60):
        pool.write()
    assert pool.client.pttl(pool.names.session(first.session_id)) > 10_000


def test_a_clock_that_is_set_back_lets_no_session_expire(pool, monkeypatch):
    a = pool.gateway(timeout=100.0)
    first = Rig(pool, a)
    pool.write()
    real = pool.now
    monkeypatch.setattr(a.shared.exchange, "_clock", lambda: real() - 3600)
    pool.client.pexpire(pool.names.session(first.session_id), 10)
    for _ in range(60):
        pool.write()
    assert pool.client.pttl(pool.names.session(first.session_id)) > 10_000


def test_without_a_session_timeout_nothing_travels(pool):
    a, b = pool.gateway(timeout=0.0), pool.gateway(timeout=0.0)
    first = Rig(pool, a)
    pool.write()
    assert pool.client.keys(pool.names.session("*")) == []
    assert Rig(pool, b, first.session_id).session_id != first.session_id


def test_the_broker_keeps_as_many_sessions_as_the_gateway(pool, monkeypatch):
    monkeypatch.setattr(session_table, "MAX_SAVED", 3)
    a = pool.gateway()
    for _ in range(6):
        rig = Rig(pool, a)
        pool.write()
        rig.leave()
    pool.write()
    pool.write()
    keys = {key.decode() for key in pool.client.keys(pool.names.session("*"))}
    assert keys == {pool.names.session(state.session_id) for state in a.table.saved_states()}
    assert len(keys) == 3


def test_one_write_at_a_time(pool):
    a = pool.gateway()
    Rig(pool, a)
    a.broker.slow = True
    pool.write()
    assert len(a.broker.held) == 1
    Rig(pool, a)
    pool.write()
    assert len(a.broker.held) == 1
    a.broker.answer()
    pool.write()
    assert len(pool.client.keys(pool.names.session("*"))) == 2


def test_a_stop_does_not_wait_for_a_broker_that_is_silent(pool):
    a = pool.gateway()
    Rig(pool, a)
    a.broker.slow = True
    with logged() as log:
        stopped = ensureDeferred(a.shared.stop())
        assert not stopped.called
        pool.clock.advance(STOP_TIME)
        assert stopped.called
        assert stopped.result is None
        a.broker.held.clear()
        gc.collect()
    assert not log.tracebacks


# --- prefixes --------------------------------------------------------------------------------------------------


def test_no_two_gateways_give_the_same_extranonce_or_job_id(pool):
    gateways = [pool.gateway() for _ in range(4)]
    rigs = [Rig(pool, gateway) for gateway in gateways for _ in range(5)]
    assert len({rig.extranonce1 for rig in rigs}) == 20
    assert len({rig.extranonce1[0] for rig in rigs} | {0}) == 5
    assert len({rig.notify[0] for rig in rigs}) == 4
    assert all(rig.notify[0][:2] == rig.extranonce1[:1].hex() and len(rig.notify[0]) == 8 for rig in rigs)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["connect", "connect", "leave", "move", "move", "start", "stop", "away", "time"]),
        st.integers(0, 30),
        st.integers(0, 30),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
@example([("start", 0, 0), ("stop", 0, 0), ("connect", 0, 0), ("start", 0, 0), ("time", 1, 0), ("move", 1, 0)])
def test_no_two_sessions_of_the_pool_ever_have_the_same_extranonce(steps):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("p2pool.broker.operations.WAIT", 0.001)
        patch.setattr(prefix_lease, "PREFIXES", range(1, 6))
        pool = Pool()
        rigs: list[Rig] = []
        pool.gateway()
        for kind, one, two in steps:
            gateway = pool.gateways[one % len(pool.gateways)]
            if kind == "connect" and len(rigs) < 12:
                rigs.append(Rig(pool, gateway))
            elif kind == "move" and rigs and gateway.broker.problem is None:
                former = rigs.pop(two % len(rigs))
                protocol, _ = gateway.connect()
                protocol.dataReceived(line("mining.subscribe", "rig/1", former.session_id))
                pool.turn()
                pool.clock.advance(DEADLINE)
                pool.turn()
                protocol.connectionLost()
                rigs.append(Rig(pool, gateway, former.session_id))
            elif kind == "leave" and rigs:
                rigs.pop(two % len(rigs)).leave()
            elif kind == "start" and len(pool.gateways) < 4:
                pool.gateway()
            elif kind == "stop" and len(pool.gateways) > 1 and gateway.broker.problem is None:
                pool.gateways.remove(gateway)
                for rig in [rig for rig in rigs if rig.gateway is gateway]:
                    rig.leave()
                    rigs.remove(rig)
                gateway.stop()
            elif kind == "away":
                gateway.broker.problem = None if gateway.broker.problem else "gone"
                pool.turn()  # one that is back reads what was taken over from it
            elif kind == "time":
                for _ in range(3 * one):
                    pool.clock.advance(1)
            live = [
                session.state.extranonce1
                for each in pool.gateways
                if each.broker.problem is None  # what was taken over from one that is away is its no more
                for session in each.table.live_sessions()
            ]
            pool.turn()
            prefixes = [each.shared.lease.prefix for each in pool.gateways if each.shared.lease.held]
            assert len(set(prefixes)) == len(prefixes)
            with_prefix = [extranonce1 for extranonce1 in live if extranonce1[0]]
            assert len(set(with_prefix)) == len(with_prefix)


def test_a_lease_is_renewed_and_released(pool):
    a = pool.gateway()
    prefix = a.shared.lease.prefix
    for _ in range(int(3 * LEASE)):
        pool.clock.advance(1)
    assert a.shared.lease.prefix == prefix
    assert pool.client.pttl(pool.names.prefix(prefix)) > 1000 * (LEASE - RENEWAL - 2)
    a.stop()
    assert pool.client.get(pool.names.prefix(prefix)) is None
    assert pool.client.get(pool.names.used_prefix(prefix)) is not None


def test_a_prefix_with_sessions_is_leased_again_only_if_no_other_is_free(pool, monkeypatch):
    monkeypatch.setattr(prefix_lease, "PREFIXES", range(1, 4))
    a = pool.gateway()
    former = a.shared.lease.prefix
    a.stop()
    b, c = pool.gateway(), pool.gateway()
    assert {b.shared.lease.prefix, c.shared.lease.prefix} == {1, 2, 3} - {former}
    d = pool.gateway()
    assert d.shared.lease.prefix == former
    with logged() as log:
        e = pool.gateway()
    assert e.shared.lease.prefix is None
    assert any("all 3 prefixes" in text for text in log.lines)
    assert Rig(pool, e).extranonce1[0] == 0
    b.stop()
    pool.clock.advance(2)
    assert e.shared.lease.prefix is not None


def test_the_prefix_of_a_session_that_moved_stays_marked(pool):
    a, b = pool.gateway(), pool.gateway()
    first = Rig(pool, a)
    pool.write()
    Rig(pool, b, first.session_id)
    mark = pool.names.used_prefix(first.extranonce1[0])
    pool.client.delete(mark)
    a.stop()
    pool.clock.advance(RENEWAL)
    assert pool.client.get(mark) is not None


def lapse(pool: Pool, gateway: Gateway) -> int:
    """The broker is away for longer than the lease; return the prefix."""
    prefix = gateway.shared.lease.prefix
    gateway.broker.problem = "gone"
    for _ in range(int(LEASE) + 1):
        pool.clock.advance(1)
    pool.client.delete(pool.names.prefix(prefix))
    return prefix


def test_a_lapsed_lease_is_kept_if_nobody_took_it(pool):
    _, a = pool.gateway(), pool.gateway()
    before = Rig(pool, a)
    prefix = lapse(pool, a)
    assert Rig(pool, a).extranonce1[0] == 0
    a.broker.problem = None
    pool.clock.advance(RENEWAL)
    assert a.shared.lease.prefix == prefix
    after = Rig(pool, a)
    assert after.extranonce1[0] == prefix
    assert after.extranonce1 != before.extranonce1


def test_a_lapsed_lease_that_another_took_is_replaced_for_new_sessions(pool):
    _, a = pool.gateway(), pool.gateway()
    before = Rig(pool, a)
    prefix = lapse(pool, a)
    pool.client.set(pool.names.prefix(prefix), "somebody")
    a.broker.problem = None
    pool.clock.advance(RENEWAL)
    assert a.shared.lease.prefix not in (None, prefix)
    assert Rig(pool, a).extranonce1[0] == a.shared.lease.prefix
    assert before.session.extranonce1[0] == prefix
    assert pool.client.get(pool.names.prefix(prefix)) == b"somebody"


def test_a_broker_that_lost_its_data_has_the_lease_again(pool):
    a = pool.gateway()
    prefix = a.shared.lease.prefix
    pool.client.flushall()
    pool.clock.advance(RENEWAL)
    assert a.shared.lease.prefix == prefix
    assert pool.client.get(pool.names.prefix(prefix)) is not None


def test_without_an_answer_a_gateway_starts_without_a_prefix(pool):
    a = pool.gateway()
    a.broker.slow = True
    slow = SlowBroker(pool.redis)
    slow.slow = True
    shared = SharedSessions(
        make_environment(pool.clock, clock=pool.now),
        slow,
        names=pool.names,
        server=a.server,
        work=a.work,
    )
    started = ensureDeferred(shared.start())
    assert not started.called
    pool.clock.advance(2.0)
    assert started.called
    assert shared.lease.prefix is None


def test_a_gateway_that_starts_late_remembers_the_work_of_before(monkeypatch, tmp_path):
    monkeypatch.setattr("p2pool.broker.operations.WAIT", 0.001)
    pool = test_gateway.Pool(tmp_path)
    pool.home.node.renew_work()
    pool.turn()
    early = pool.gateways[0]
    job = early.work.make_job(test_gateway.KEY, None)
    early.mine()
    pool.turn()
    late = test_gateway.GatewaySide(pool.server, pool.home, tmp_path / "late")
    entries: list = []
    late.broker.ask(recent(pool.node.names.work, 16)).addCallback(entries.extend)
    for entry in entries:
        late.work.remember(entry.data)
    late.broker.turn()
    late.work.remember(b"garbage")
    context = late.work.recent.get(early.work.recent.id_of(job.context))
    assert context.tip == job.context.tip != late.work.context.tip
    assert late.work.recent.is_newest(late.work.recent.id_of(late.work.context))


# --- contexts --------------------------------------------------------------------------------------------------


def test_so_many_contexts_are_remembered():
    pool = Pool()
    recent = RecentContexts()
    contexts = [replace(pool.context, created=float(number)) for number in range(MAX_CONTEXTS + 1)]
    for number, context in enumerate(contexts):
        recent.keep((1, number), context)
    assert len(recent) == MAX_CONTEXTS
    assert recent.get((1, 0)) is None
    assert recent.id_of(contexts[0]) is None
    assert recent.id_of(contexts[-1]) == (1, MAX_CONTEXTS)
    assert recent.is_newest((1, MAX_CONTEXTS))
    assert not recent.is_newest(None)
    recent.keep((1, MAX_CONTEXTS), contexts[0])
    assert recent.id_of(contexts[-1]) is None
    assert len(recent._ids) == MAX_CONTEXTS
