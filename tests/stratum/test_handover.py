"""Miners that are handed over to another process: nothing changes for them, and nothing hostile is believed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import ISSLTransport
from zope.interface import implementer

from p2pool.base.errors import ParseError
from p2pool.base.plain_records import form_of, from_plain, to_plain
from p2pool.jobs.context import WorkContext
from p2pool.stratum import job_registry
from p2pool.stratum.guard import Guard, GuardSettings
from p2pool.stratum.handover_export import export_miners
from p2pool.stratum.handover_import import restore_shared
from p2pool.stratum.handover_records import MinersRecord
from p2pool.stratum.protocol import StratumProtocol
from p2pool.stratum.session import Session
from p2pool.stratum.session_context import SessionContext, SessionSettings
from p2pool.stratum.session_table import SessionTable
from tests.stratum.miner import ADDRESS, DISPATCHER, EASY, NOW, OTHER_ADDRESS, TIMEOUT, FakeStats, Miner, code
from tests.stratum.wire import StratumHarness, Transport, line, notifies
from tests.support import needs_interpreted


def exported(*miners: Miner, unread: bytes = b"") -> MinersRecord:
    """The record of miners that share a context."""
    return export_miners(
        miners[0].context, [(miner.session, "10.0.0.1", unread, b"") for miner in miners], miners[0].now
    )


def another(first: Miner) -> Miner:
    """A second miner of the same server."""
    miner = Miner(context=first.context)
    miner.session.state.extranonce1 = miner.extranonce1 = b"\x05\x06\x07\x08"
    return miner


def fresh(like: Miner) -> SessionContext:
    """The context of a new process with the same settings."""
    stats = FakeStats()
    return SessionContext(
        SessionSettings(network=like.context.settings.network, start_difficulty=1.0, min_difficulty=2.0**-30),
        work=like.work,
        stats=stats,
        guard=Guard(GuardSettings(), stats),
        sessions=SessionTable(TIMEOUT, random.Random(2)),
    )


def through_json(record: MinersRecord) -> MinersRecord:
    """What the other process reads."""
    return from_plain(MinersRecord, orjson.loads(orjson.dumps(to_plain(record))))


def moved(*miners: Miner) -> SessionContext:
    """Hand the miners over; they go on with the sessions of the new process, whose context is returned."""
    context = fresh(miners[0])
    handover = restore_shared(context, through_json(exported(*miners)))
    for miner, (_, restore) in zip(miners, handover.connections, strict=True):
        miner.session = restore(now=miner.now)
        miner.context, miner.registry, miner.stats = context, context.registry, context.stats
        miner.reputation = miner.session.reputation
        for sent in miner.session.state.jobs.values():
            sent.issued.job.share_target = miner.work.share_target
    return context


def test_a_submission_of_a_job_of_the_old_process_is_judged():
    miner = Miner()
    notify = miner.login()
    nonce = miner.find(notify, EASY)
    moved(miner)
    assert miner.submit(notify, nonce)[0]["result"] is True


def test_a_duplicate_stays_a_duplicate():
    miner = Miner()
    notify = miner.login()
    nonce = miner.find(notify, EASY)
    assert miner.submit(notify, nonce)[0]["result"] is True
    moved(miner)
    assert code(miner.submit(notify, nonce)) == 22


def test_a_rejected_submission_is_a_duplicate_when_it_is_repeated():
    miner = Miner(start_difficulty=2.0**-10)
    notify = miner.login()
    nonce = miner.find(notify, 2**256, above=EASY)
    assert code(miner.submit(notify, nonce)) == 23
    moved(miner)
    assert code(miner.submit(notify, nonce)) == 22


def test_shares_of_the_new_process_are_those_of_the_old_one():
    miner = Miner()
    notify = miner.login()
    before = miner.session.state.newest.issued.job
    moved(miner)
    after = miner.session.state.newest.issued.job
    for name in ("coinb1", "coinb2", "share_info", "bits", "timestamp", "version", "payee", "share_timestamp"):
        assert getattr(after, name) == getattr(before, name), name
    assert after.context.tip == before.context.tip
    assert notify[0] == miner.session.state.newest.issued.job_id


@needs_interpreted("p2pool.jobs.context")
def test_a_job_that_many_miners_of_a_site_share_counts_once(monkeypatch):
    """Else the jobs of a large farm would be released as too many."""
    monkeypatch.setattr(job_registry, "MAX_HELD_BYTES", 4 * job_registry.JOB_BYTES)
    monkeypatch.setattr(WorkContext, "size", 0)
    miners = [Miner()]
    for number in range(2, 9):
        miners.append(Miner(context=miners[0].context))
        miners[-1].session.state.extranonce1 = miners[-1].extranonce1 = bytes([number]) * 4
    notifies_of_all = [miner.login() for miner in miners]
    miners[0].registry.work_changed(0xABCD, False, NOW)
    for miner in miners:
        miner.session.send_work(NOW)
        miner.out()
    moved(*miners)
    for miner, notify in zip(miners, notifies_of_all, strict=True):
        assert miner.submit(notify, miner.find(notify, EASY))[0]["result"] is True


def test_new_work_follows_with_another_id():
    miner = Miner()
    notify = miner.login()
    context = moved(miner)
    context.registry.work_changed(0xABCD, False, NOW)
    miner.session.send_work(NOW)
    (sent,) = miner.out()
    assert sent["method"] == "mining.notify"
    assert sent["params"][0] != notify[0]


def test_a_saved_session_is_resumed_from_the_new_process():
    gone = Miner()
    notify = gone.login()
    session_id, extranonce1 = gone.session.state.session_id, gone.session.extranonce1
    nonce = gone.find(notify, EASY)
    gone.session.connection_lost(NOW)
    here = another(gone)
    context = moved(here)
    back = Miner(context=context)
    back.call("mining.subscribe", "test/1", session_id)
    assert back.session.extranonce1 == extranonce1
    back.call("mining.authorize", ADDRESS, "x")
    assert back.submit(notify, nonce)[0]["result"] is True


def test_two_sessions_keep_one_table_of_solutions():
    """Sessions that shared a job before share what was accepted for it."""
    first = Miner()
    notify = first.login()
    nonce = first.find(notify, EASY)
    second = another(first)
    second.session.state.jobs = first.session.state.jobs
    second.call("mining.subscribe", "test/1")
    second.call("mining.authorize", ADDRESS, "x")
    moved(first, second)
    assert first.submit(notify, nonce)[0]["result"] is True
    assert code(second.submit(notify, nonce)) == 22


def test_hosts_keep_what_they_were_charged():
    miner = Miner()
    miner.login()
    miner.raw(b"{}")
    cost = miner.reputation.host.cost.at(NOW)
    assert cost > 0
    moved(miner)
    assert miner.reputation.host.cost.at(NOW) == cost
    assert miner.reputation.host.working == 1


def _with_sent(**changes: Any) -> Callable[[MinersRecord], MinersRecord]:
    return lambda record: replace(record, sent=(replace(record.sent[0], **changes), *record.sent[1:]))


def _with_state(**changes: Any) -> Callable[[MinersRecord], MinersRecord]:
    def change(record: MinersRecord) -> MinersRecord:
        (connection,) = record.connections
        return replace(record, connections=(replace(connection, state=replace(connection.state, **changes)),))

    return change


def _with_vardiff(**changes: Any) -> Callable[[MinersRecord], MinersRecord]:
    def change(record: MinersRecord) -> MinersRecord:
        vardiff = record.connections[0].state.vardiff
        return _with_state(vardiff=replace(vardiff, **changes))(record)

    return change


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda record: replace(record, issued=record.issued[1:]), "that were issued"),
        (_with_sent(issued=99), "issued job 99"),
        (_with_sent(issued=-1), "issued job -1"),
        (_with_sent(difficulty=0.0), "difficulty 0.0"),
        (_with_sent(difficulty=float("inf")), "difficulty inf"),
        (_with_sent(extranonce1=b"abc"), "extranonce1 of 3 bytes"),
        (_with_state(extranonce1=b""), "without a usable id"),
        (_with_state(session_id=""), "without a usable id"),
        (_with_state(jobs=(99,), newest=None), "jobs that are not there"),
        (_with_state(newest=99), "newest job is not among"),
        (_with_vardiff(difficulty=-1.0), "difficulty -1.0"),
        (_with_vardiff(seconds=0.0), "one submission in 0.0 s"),
    ],
)
def test_a_record_that_makes_no_sense_is_an_error(change, problem):
    miner = Miner()
    notify = miner.login()
    miner.submit(notify, miner.find(notify, EASY))
    with pytest.raises(ParseError, match=problem):
        restore_shared(fresh(miner), change(exported(miner)))


def test_a_connection_in_no_known_handshake_is_an_error():
    miner = Miner()
    miner.login()
    record = exported(miner)
    record = replace(record, connections=(replace(record.connections[0], handshake="SHAKEN"),))
    ((_, restore),) = restore_shared(fresh(miner), record).connections
    with pytest.raises(ParseError, match="SHAKEN"):
        restore(now=NOW)


lines = st.lists(
    st.sampled_from(
        [
            b'{"id":1,"method":"mining.subscribe","params":["x/1"]}',
            b'{"id":2,"method":"mining.authorize","params":["%s","d=0.01"]}' % ADDRESS.encode(),
            b'{"id":3,"method":"mining.authorize","params":["%s.b","x"]}' % OTHER_ADDRESS.encode(),
            b'{"id":3,"method":"mining.authorize","params":["%s.b+5/0.1","x"]}' % ADDRESS.encode(),
            b'{"id":4,"method":"mining.configure","params":[["version-rolling"],{}]}',
            b'{"id":5,"method":"mining.extranonce.subscribe","params":[]}',
            b'{"id":6,"method":"mining.suggest_difficulty","params":[0.5]}',
            b'{"id":7,"method":"mining.ping","params":[]}',
            b'{"id":8,"method":"mining.submit","params":["%s","1","00000000","6553f100","00000000"]}'
            % ADDRESS.encode(),
            b'{"id":9,"method":"mining.authorize","params":["nobody","x"]}',
            b"work",
            b"lost",
        ]
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(first=lines, second=lines)
def test_a_record_that_is_restored_and_exported_again_is_the_same(first, second):
    miner = Miner()
    miners = [miner, another(miner)]
    for each, script in zip(miners, (first, second), strict=True):
        for words in script:
            if words == b"work":
                miner.registry.work_changed(random.choice((0xABCD, 0xABCE)), False, NOW)
                each.session.send_work(NOW)
                each.out()
            elif words == b"lost":
                each.session.connection_lost(NOW)
                each.session = Session(each.context, each.context.guard.connected("10.0.0.1", NOW), NOW)
            elif each.session.closing is None:
                DISPATCHER.receive_line(each.session, words, NOW)
                each.session.finish_input(NOW)
                each.out()
    before = exported(*miners)
    assert through_json(before) == before
    moved(*miners)
    after = exported(*miners)
    assert to_plain(after.connections) == to_plain(before.connections)
    assert after == before


def places(plain: object, at: tuple = ()) -> list[tuple]:
    """The way to each value within lists."""
    found = [at] if at else []
    if isinstance(plain, list):
        for index, item in enumerate(plain):
            found += places(item, (*at, index))
    return found


@pytest.fixture(scope="module")
def sample() -> list:
    """A record in plain form, with a saved session, jobs and solutions."""
    gone = Miner()
    gone.login()
    gone.session.connection_lost(NOW)
    miner = another(gone)
    notify = miner.login()
    miner.submit(notify, miner.find(notify, EASY))
    return to_plain(exported(miner))


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_hostile_record_is_an_error_or_harmless(sample, data):
    plain = orjson.loads(orjson.dumps(sample))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.sampled_from(places(plain)))
        inner = plain
        for index in at[:-1]:
            inner = inner[index]
        inner[at[-1]] = data.draw(
            st.one_of(
                st.none(),
                st.booleans(),
                st.integers(-(2**63), 2**63),
                st.floats(allow_nan=False),
                st.text(max_size=5),
                st.sampled_from(["0x" + "f" * 64, "ffff", "inf", [], [[]], {}]),
            )
        )
    miner = Miner()
    try:
        record = from_plain(MinersRecord, plain)
        for _, restore in restore_shared(fresh(miner), record).connections:
            restore(now=NOW)
    except ParseError:
        pass


# --- servers ---------------------------------------------------------------------------------------------------


@implementer(ISSLTransport)
class TlsTransport(Transport):
    """A transport that cannot be passed on."""


def adopted(record: MinersRecord) -> tuple[StratumHarness, list[tuple[StratumProtocol, Transport]]]:
    """A new server with the miners of a record."""
    harness = StratumHarness()
    restored = [
        (harness.server.adopt(each, restore), Transport())
        for each, restore in harness.server.restore_shared(through_json(record)).connections
    ]
    for protocol, transport in restored:
        protocol.makeConnection(transport)
    return harness, restored


def test_a_server_hands_its_connections_over():
    harness = StratumHarness()
    protocol, wire = harness.miner()
    (notify,) = notifies(wire.messages())
    later = line("mining.ping")
    protocol.dataReceived(later[:5])
    wire.dataBuffer = b"not taken yet"
    record, transports = harness.server.hand_over()
    assert transports == [wire]
    assert not wire.reads
    assert not wire.disconnecting
    assert len(harness.server) == 0
    protocol.dataReceived(later[5:])  # the reactor had read it already: the other process has the connection now
    assert record.connections[0].unsent == b"not taken yet"
    new, ((restored, transport),) = adopted(record)
    assert len(new.server) == 1
    restored.dataReceived(later[5:])
    assert transport.messages() == [{"id": 1, "result": "pong", "error": None}]
    assert restored.session.state.newest.issued.job_id == notify[0]
    new.server.serve(restored.session, restored.session.send_work, new.now())
    assert notifies(transport.messages()) == []
    restored.connectionLost()
    assert len(new.server) == 0


def test_miners_through_tls_are_asked_to_reconnect_and_their_sessions_saved():
    harness = StratumHarness()
    plain, _ = harness.miner()
    encrypted, transport = harness.server.buildProtocol(IPv4Address("TCP", "10.0.0.2", 1)), TlsTransport()
    encrypted.makeConnection(transport)
    encrypted.dataReceived(line("mining.subscribe", "test/1") + line("mining.authorize", OTHER_ADDRESS, "x"))
    transport.messages()
    session_id = encrypted.session.state.session_id
    assert harness.server.ask_to_reconnect(all_miners=False) == 1
    assert [message["method"] for message in transport.messages()] == ["client.reconnect"]
    record, transports = harness.server.hand_over()
    assert transports == [plain.transport]
    assert transport.aborted
    assert [saved.state.session_id for saved in record.saved] == [session_id]


def test_all_miners_reconnect_to_another_version():
    harness = StratumHarness()
    _, wire = harness.miner()
    wire.messages()
    assert harness.server.ask_to_reconnect(all_miners=True) == 1
    assert [message["method"] for message in wire.messages()] == ["client.reconnect"]
    record, transports = harness.server.hand_over(all_reconnect=True)
    assert transports == []
    assert record.connections == ()
    assert len(record.saved) == 1


def test_the_form_depends_on_the_fields():
    assert form_of(MinersRecord) == form_of(MinersRecord)
    assert len(form_of(MinersRecord)) == 16
