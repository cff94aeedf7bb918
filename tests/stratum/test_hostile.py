"""Miners that mean harm or are broken: nothing raises, nothing grows, the log stays short, no block is lost."""

from __future__ import annotations

import math
import random
import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pool.dash.pow import x11
from p2pool.dash.target import difficulty_to_target
from p2pool.stratum.job_registry import GRACE, MAX_VARIANTS
from p2pool.stratum.lingering import LINGER_TIME
from p2pool.stratum.methods import METHODS
from p2pool.stratum.protocol import MAX_LINGERING_BYTES, StratumProtocol
from p2pool.stratum.reputation import JUDGED_SUBMISSIONS
from tests.logged import logged
from tests.stratum.miner import ADDRESS, EASY, OTHER_ADDRESS, Miner, code
from tests.stratum.wire import StratumHarness, Transport, line, notifies

HOST = "10.0.0.1"
MAX_LINE, MAX_UNSENT = 8192, 256 * 1024


@pytest.fixture(autouse=True)
def log():
    """Whatever a test does: no tracebacks."""
    with logged() as log:
        yield log
    assert not log.tracebacks


def solver(protocol: StratumProtocol) -> Miner:
    """What computes headers for a connection."""
    miner = object.__new__(Miner)
    miner.extranonce1 = protocol.session.extranonce1
    return miner


def login(harness: StratumHarness, username: str = ADDRESS) -> tuple[StratumProtocol, Transport, list, Miner]:
    protocol, wire = harness.miner(username)
    return protocol, wire, notifies(wire.messages())[-1], solver(protocol)


def submission(notify: list, nonce: str, worker: object = ADDRESS, *more: object) -> bytes:
    return line("mining.submit", worker, notify[0], "00000000", notify[7], nonce, *more)


# --- a block is never lost to a limit --------------------------------------------------------------------------

BLOCK = 2**247
"""One hash of 512 is a block here."""


def refused_until_banned(
    harness: StratumHarness, protocol: StratumProtocol, wire: Transport, notify: list
) -> bytes:
    return line("mining.submit", ADDRESS, "ffff", "00000000", notify[7], "00000000") * (JUDGED_SUBMISSIONS + 20)


def low_until_banned(harness: StratumHarness, protocol: StratumProtocol, wire: Transport, notify: list) -> bytes:
    miner, lines = solver(protocol), []
    for nonce in range(JUDGED_SUBMISSIONS + 20):
        if x11(miner.header(notify, bytes(4), notify[7], nonce)) > BLOCK:
            lines.append(submission(notify, f"{nonce:08x}"))
    return b"".join(lines)


def duplicates_until_banned(
    harness: StratumHarness, protocol: StratumProtocol, wire: Transport, notify: list
) -> bytes:
    nonce = solver(protocol).find(notify, 2**256, above=BLOCK)
    return submission(notify, nonce) * (JUDGED_SUBMISSIONS + 20)


def malformed_until_banned(
    harness: StratumHarness, protocol: StratumProtocol, wire: Transport, notify: list
) -> bytes:
    for _ in range(5):
        other, _ = harness.connect()
        other.dataReceived(b"{nonsense\n")
    return b""


def authorizes_until_banned(
    harness: StratumHarness, protocol: StratumProtocol, wire: Transport, notify: list
) -> bytes:
    return line("mining.authorize", "nobody", "x") * 20


def over_long_line(harness: StratumHarness, protocol: StratumProtocol, wire: Transport, notify: list) -> bytes:
    return b"{" * (MAX_LINE + 1) + b"\n"


def unfinished_over_long_line(
    harness: StratumHarness, protocol: StratumProtocol, wire: Transport, notify: list
) -> bytes:
    protocol.dataReceived(b"{" * (MAX_LINE + 1))
    protocol.dataReceived(b"{" * 65536)
    return b"\n"


def garbage(harness: StratumHarness, protocol: StratumProtocol, wire: Transport, notify: list) -> bytes:
    return b"{nonsense\n\x00\xff\n[[[[\n7\n\n" * 20


def unread_answers(harness: StratumHarness, protocol: StratumProtocol, wire: Transport, notify: list) -> bytes:
    wire.dataBuffer = bytes(MAX_UNSENT + 1)
    return line("mining.ping") * 100


def lost_dashd(harness: StratumHarness, protocol: StratumProtocol, wire: Transport, notify: list) -> bytes:
    harness.server.suspend()
    return b""


def operator_s_ban(harness: StratumHarness, protocol: StratumProtocol, wire: Transport, notify: list) -> bytes:
    harness.server.guard.ban(HOST, now=harness.now(), seconds=300, reason="by hand")
    return b""


def old_and_low(harness: StratumHarness, protocol: StratumProtocol, wire: Transport, notify: list) -> bytes:
    """No limit at all, but a job on a former parent block within its grace time."""
    harness.server.work_changed(0xBEEF, clean=True)
    harness.reactor.advance(GRACE)
    return b""


BANNING = (
    *(refused_until_banned, low_until_banned, duplicates_until_banned, malformed_until_banned),
    *(authorizes_until_banned, operator_s_ban),
)
ENDING = (*BANNING, over_long_line, unfinished_over_long_line, garbage, unread_answers, lost_dashd)
HOW = ["same chunk", "later chunk", "split", "byte by byte"]


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("flood", [*ENDING, old_and_low], ids=lambda flood: flood.__name__)
def test_a_block_after_a_flood_is_used(flood: Callable[..., bytes], how: str):
    harness = StratumHarness()
    protocol, wire, notify, miner = login(harness)
    protocol.session.state.jobs[notify[0]].issued.job.block_target = BLOCK
    block = submission(notify, miner.find(notify, BLOCK, start=1000))
    data = flood(harness, protocol, wire, notify)
    if how == "same chunk":
        protocol.dataReceived(data + block)
        harness.reactor.advance(0)
    elif how == "split":
        protocol.dataReceived(data + block[:50])
        harness.reactor.advance(0)
        protocol.dataReceived(block[50:] + block)
    else:
        protocol.dataReceived(data)
        harness.reactor.advance(0)
        size = len(block) if how == "later chunk" else 1
        for start in range(0, len(block), size):
            protocol.dataReceived(block[start : start + size])
    ((outcome, worker),) = harness.work.solved_outcomes
    assert outcome.meets_block
    assert worker == ADDRESS
    # The limits did what they are for.
    assert wire.disconnecting is (flood in ENDING)
    assert harness.server.guard.is_banned(HOST, harness.now()) is (flood in BANNING)


@pytest.mark.parametrize("how", HOW[:2])
@pytest.mark.parametrize("worker", ["nobody", "", None, 7, [ADDRESS], {"a": 1}, ADDRESS + ".other"])
def test_a_block_of_a_worker_that_is_not_authorized_is_used(worker, how):
    harness = StratumHarness()
    protocol, _, notify, miner = login(harness)
    protocol.session.state.jobs[notify[0]].issued.job.block_target = BLOCK
    nonce = miner.find(notify, BLOCK)
    low = miner.find(notify, 2**256, above=BLOCK)
    flood = submission(notify, low, worker) * 150
    for chunk in (
        [flood + submission(notify, nonce, worker)]
        if how == HOW[0]
        else [flood, submission(notify, nonce, worker)]
    ):
        protocol.dataReceived(chunk)
        harness.reactor.advance(0)
    assert [outcome.meets_block for outcome, _ in harness.work.solved_outcomes] == [True]
    assert {c for _, c, _ in harness.stats.of("record_refused")} == {24}
    assert len(harness.stats.of("record_accepted")) == 1


@pytest.mark.parametrize("negotiated", [None, "0000e000", "00000000"])
def test_a_block_with_version_bits_that_it_may_not_roll_is_used(negotiated):
    harness = StratumHarness()
    protocol, wire, notify, miner = login(harness)
    if negotiated is not None:
        protocol.dataReceived(line("mining.configure", ["version-rolling"], {"version-rolling.mask": negotiated}))
        wire.clear()
    protocol.session.state.jobs[notify[0]].issued.job.block_target = BLOCK
    version = f"{int(notify[5], 16) | 0x00100000:08x}"
    hashes = {n: x11(miner.header(notify, bytes(4), notify[7], n, version)) for n in range(6000)}
    block = next(n for n, found in hashes.items() if found <= BLOCK)
    low = next(n for n, found in hashes.items() if found > BLOCK)
    protocol.dataReceived(submission(notify, f"{low:08x}", ADDRESS, "00100000"))
    assert wire.messages()[0]["error"][0] == 20
    protocol.dataReceived(submission(notify, f"{block:08x}", ADDRESS, "00100000"))
    assert wire.messages()[0]["result"] is True
    assert [outcome.meets_block for outcome, _ in harness.work.solved_outcomes] == [True]


def test_a_block_of_a_resumed_session_before_it_is_authorized_is_used():
    harness = StratumHarness()
    protocol, _, notify, miner = login(harness)
    session_id = protocol.session.state.session_id
    protocol.session.state.jobs[notify[0]].issued.job.block_target = BLOCK
    protocol.connectionLost()
    again, wire = harness.connect()
    again.dataReceived(line("mining.subscribe", "x", session_id))
    again.dataReceived(submission(notify, miner.find(notify, BLOCK)))
    assert len(harness.work.solved_outcomes) == 1
    again.dataReceived(submission(notify, miner.find(notify, 2**256, above=BLOCK)))
    assert wire.messages()[-1]["error"][0] == 24


def test_a_block_is_used_however_many_difficulties_others_wish():
    """A change of difficulty takes other work, of which there is little: one connection must not use up memory."""
    harness = StratumHarness()
    harness.server.start()
    _, greedy, _, _ = login(harness)
    protocol, _ = harness.connect(HOST)
    protocol.dataReceived(line("mining.subscribe") + line("mining.authorize", ADDRESS, "x"))
    for number in range(3001):
        protocol.dataReceived(line("mining.suggest_difficulty", 1 + number % 7))
    wire = protocol.transport
    messages = wire.messages()
    assert len(notifies(messages)) == 1 + MAX_VARIANTS
    assert sum(m.get("result") is True for m in messages) == 3002
    harness.reactor.pump([1] * 6)
    assert wire.messages() == []  # there is no other work on this tip for it
    harness.server.work_changed(harness.work.template.previous_block, clean=True)
    harness.reactor.advance(0)
    difficulty, notify = wire.messages()[-2:]
    assert difficulty["params"] == [1 + 3000 % 7]  # the last wish comes with the next work
    assert notify["method"] == "mining.notify"
    assert len(notifies(greedy.messages())) == 1
    harness.server.stop()


# --- lines -------------------------------------------------------------------------------------------------


def test_half_lines_are_never_requests(log):
    harness = StratumHarness()
    protocol, wire, notify, _ = login(harness)
    protocol.dataReceived(submission(notify, "00000000")[:-1])
    assert wire.messages() == []
    assert not harness.stats.of("record_refused")
    protocol.connectionLost()
    assert not harness.stats.of("record_refused")
    assert log.lines == []


@pytest.mark.parametrize("logged_in", [False, True])
def test_a_line_of_100_mb_costs_neither_memory_nor_log(log, logged_in):
    harness = StratumHarness()
    harness.server.start()
    protocol, wire = login(harness)[:2] if logged_in else harness.connect()
    piece = b"{" * 65536
    protocol.dataReceived(piece[:MAX_LINE])
    assert not wire.disconnecting
    tracemalloc.start()
    try:
        for number in range(1600):
            protocol.dataReceived(piece)
            assert wire.disconnecting
            assert len(protocol._buffer) <= len(piece) + MAX_LINE
            assert wire.aborted is (number * len(piece) > MAX_LINGERING_BYTES)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000
    protocol.connectionLost()
    assert len(log.lines) == 1
    assert len(harness.server) == 0
    harness.server.stop()
    assert not harness.reactor.getDelayedCalls()


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (b'{"id":1,"method":"mining.ping","params":' + b"[" * 900 + b"]" * 900 + b"}", True),
        (b'{"id":' + b"[" * 900 + b"]" * 900 + b',"method":"mining.ping"}', True),
        (b'{"id":{"a":' * 200 + b"1" + b"}" * 400 + b"}", False),
        (b'{"id":1,"method":"mining.authorize","params":' + b"[" * 4000 + b"]" * 4000 + b"}", False),
        (b"[" * 8000, False),
        (b'{"a":' * 1500, False),
        (b"[]", False),
        (b"[{}]", False),
        (b"{}", False),
        (b"0", False),
        (b"null", False),
        (b'"mining.ping"', False),
        (b'{"id":1,"method":["mining.ping"]}', False),
        (b'{"id":1,"method":{"mining.ping":1}}', False),
        (b'{"id":1,"method":1e300}', False),
        (b'{"id":1,"method":"mining.ping","params":{}}', True),
        (b'{"id":1,"method":"mining.ping","params":"x"}', True),
        (b'{"id":1,"method":"mining.ping","params":7}', True),
        (b'{"id":1,"method":"mining.ping","params":false}', True),
        (b'{"id":' + b"9" * 300 + b',"method":"mining.ping"}', True),
        (b'{"id":-' + b"9" * 8000 + b',"method":"mining.ping"}', False),
        (b'{"id":1e999,"method":"mining.ping"}', False),
        (b'{"id":NaN,"method":"mining.ping"}', False),
        (b'{"id":1,"method":"\\ud800"}', True),
        (b'{"id":"\\udfff\\ud800","method":"mining.ping"}', True),
        (b'{"id":1,"method":"\xed\xa0\x80"}', True),
        (b'{"id":1,"method":"' + "\u202e\u0000\U0001f4a9".encode() + b'"}', True),
        ('{"id":"\u202e\U0001f4a9","method":"\u202e\U0001f4a9"}'.encode(), True),
        (b'{"id":1,"id":2,"method":"x","method":"mining.ping"}', True),
        (b'{"id":99,"result":[[[[]]]],"error":{"a":{}}}', True),
        (b'{"id":{},"result":null}', True),
        (b'{"error":[]}', True),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", True),
        (b"\xef\xbb\xbf{}", False),
        (b"   \t ", True),
    ],
)
@pytest.mark.parametrize("logged_in", [False, True])
def test_odd_lines_are_answered_once_or_end_the_connection(log, text, kept, logged_in):
    harness = StratumHarness()
    protocol, wire = login(harness)[:2] if logged_in else harness.connect()
    protocol.dataReceived(text + b"\n")
    messages = wire.messages()
    assert len(messages) <= 1
    for message in messages:
        assert set(message) == {"id", "result", "error"}
        assert message["error"] is None or message["error"][0] == 20
    assert wire.disconnecting is not kept
    assert len(log.lines) == (not kept)
    protocol.dataReceived(line("mining.ping"))
    assert [m["result"] for m in wire.messages()] == (["pong"] if kept else [])


WRONG = [
    *(None, True, False, 0, -1, 7, 2**31, 2**64, 10**300, -(10**300), 1.5, 1e308, 5e-324, -0.0),
    *(
        "",
        " ",
        "0",
        "x",
        "00000000",
        "0x000000",
        "        ",
        "+1",
        "1_000",
        "nan",
        "-inf",
        "1e999",
        "f" * 64,
        "f" * 7000,
    ),
    *(
        "\u0000",
        "\u202e\U0001f4a9",
        "\u0661\u0662\u0663\u0664\u0661\u0662\u0663\u0664",
        ADDRESS + "+" * 90,
        "." * 300,
    ),
    *([], [[]], [None] * 300, {}, {"a": {}}, {"version-rolling.mask": [], "minimum-difficulty.value": {}}),
]
POSITIONS = range(7)


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("method", [*METHODS, "mining.unheard"])
def test_wrong_types_in_every_position_of_every_method(method, position):
    miner = Miner()
    notify = miner.login()
    valid = {
        "mining.configure": [
            ["version-rolling", "minimum-difficulty", "info", "subscribe-extranonce"],
            {"version-rolling.mask": "1fffe000", "minimum-difficulty.value": 0, "info.sw-version": "1"},
        ],
        "mining.subscribe": ["test/1", None, "pool", 7903],
        "mining.authorize": [ADDRESS, "x"],
        "mining.submit": [ADDRESS, notify[0], "00000000", notify[7], miner.find(notify, 2**256, above=EASY), None],
        "mining.suggest_difficulty": [1],
        "mining.suggest_target": ["00" * 4 + "ff" * 28],
        "mining.set_version_mask": ["1fffe000"],
    }.get(method, [])
    for wrong in WRONG:
        params = [*valid, *[None] * 7][:7]
        params[position] = wrong
        for sent in (params, params[: position + 1], [wrong] * position):
            answer, *more = miner.call(method, *sent)
            assert set(answer) == {"id", "result", "error"}
            assert answer["id"] == miner.request_id
            if answer["error"] is not None:
                assert code([answer]) in range(20, 26)
                assert len(answer["error"][1]) <= 200
                assert more == []
            assert {m["method"] for m in more} <= {
                *("mining.set_difficulty", "mining.notify", "mining.set_version_mask"),
            }
    session = miner.session
    assert session.closing is None
    assert miner.call("mining.ping")[0]["result"] == "pong"
    assert len(session.workers) == 1
    assert not miner.stats.of("record_accepted")
    assert math.isfinite(session.vardiff.difficulty)
    assert 2.0**-30 <= session.vardiff.difficulty <= 1_000_000
    assert session.version_mask is None or not session.version_mask & ~0x1FFFE000
    miner.registry.work_changed(0xBEEF, True, miner.now)
    session.send_work(miner.now)
    assert miner.out()[-1]["method"] == "mining.notify"


@pytest.mark.parametrize(
    "name", ["Dörk", "\U0001f4a9" * 9, "\u202e", "a\u0000b", "\t\r\n", "<script>", "%s{0}{x}", "'\"\\"]
)
def test_odd_worker_names_are_printable_everywhere_else(log, name):
    harness = StratumHarness()
    protocol, wire = harness.connect()
    protocol.dataReceived(line("mining.subscribe", name) + line("mining.authorize", f"{ADDRESS}.{name}", name))
    assert wire.messages()[1]["result"] is True
    ((worker, *_),) = harness.stats.of("record_worker_on")
    assert worker.isprintable()
    assert all(text.isprintable() for _, text in harness.stats.of("record_software"))
    protocol.dataReceived(b"{{{\n")
    (text,) = log.lines
    assert text.isprintable()


# --- many connections ----------------------------------------------------------------------------------------


def test_5000_connections_that_never_subscribe_leave_nothing_behind(log):
    harness = StratumHarness()
    harness.server.start()
    keeper, keeper_wire, _, _ = login(harness)
    crowd = [harness.connect(f"10.{n >> 8}.{n & 255}.1") for n in range(5000)]
    for protocol, _ in crowd[::3]:
        protocol.dataReceived(b'{"id":1,"method":"mining.subs')
    harness.reactor.pump([1] * 30)
    assert not any(wire.disconnecting for _, wire in crowd)
    harness.reactor.pump([1] * 6)
    assert all(wire.disconnecting for _, wire in crowd)
    harness.reactor.pump([1] * (int(LINGER_TIME) + 1))
    assert all(wire.aborted for _, wire in crowd)
    for protocol, wire in crowd:
        assert wire.value() == b""
        protocol.connectionLost()
    server = harness.server
    assert list(server.connections) == [keeper.session]
    assert len(server._context.sessions) == len(server._lingering) == 0
    assert len(server._context.sessions._extranonces) == len(server._context.sessions._live) == 1
    assert list(server.guard._hosts) == [HOST]
    assert len(log.lines) == 5000
    assert not keeper_wire.disconnecting
    server.stop()
    assert not harness.reactor.getDelayedCalls()


@pytest.mark.parametrize("first_words", [b"", line("mining.subscribe", "x"), b"\x00"])
def test_a_storm_of_one_host_ends_in_a_ban_and_one_log_line(log, first_words):
    harness = StratumHarness()
    let_in = 0
    for _ in range(3000):
        protocol, _ = harness.connect()
        let_in += protocol.session is not None
        if first_words:
            protocol.dataReceived(first_words)
        protocol.connectionLost()
        harness.reactor.advance(0.001)
    assert 5 <= let_in <= 40
    assert len(log.lines) == 1
    assert "reconnecting too fast" in log.lines[0]
    assert len(harness.server) == len(harness.server._context.sessions._extranonces) == 0
    assert harness.connect("10.0.0.2")[0].session is not None
    harness.server.start()
    harness.reactor.pump([10] * 31)
    assert harness.connect()[0].session is not None
    harness.server.stop()


def test_a_hall_that_reconnects_at_once_is_no_storm(log):
    harness = StratumHarness()
    for _ in range(4):
        hall = [harness.miner(f"{ADDRESS}.{n}") for n in range(300)]
        harness.reactor.advance(120)
        for protocol, _ in hall:
            protocol.connectionLost()
    assert harness.connect()[0].session is not None
    assert log.lines == []


def test_garbage_from_ever_new_connections_ends_in_a_ban(log):
    harness = StratumHarness()
    for _ in range(500):
        protocol, _ = harness.connect()
        protocol.dataReceived(b"{garbage\n" * 50)
        protocol.connectionLost()
    assert harness.server.guard.is_banned(HOST, harness.now())
    assert len(log.lines) <= 7  # one for each that was let in, and the ban


# --- floods of submissions -------------------------------------------------------------------------------------


def test_floods_are_refused_count_for_nothing_and_end_in_a_ban(log):
    harness = StratumHarness()
    protocol, wire, notify, miner = login(harness)
    session, difficulty = protocol.session, protocol.session.vardiff.difficulty
    low = [f"{n:08x}" for n in range(3000) if x11(miner.header(notify, bytes(4), notify[7], n)) > EASY]
    protocol.dataReceived(b"".join(submission(notify, nonce) for nonce in low))
    answers = wire.messages()
    assert len(answers) == len(low)
    assert {m["error"][0] for m in answers} == {23}
    assert len(harness.stats.of("record_refused")) == len(low)
    assert not harness.stats.of("record_accepted")
    assert not session.earning
    assert session.vardiff.difficulty == difficulty
    assert len(session._refused) <= 64
    harness.reactor.advance(0)
    assert wire.disconnecting
    assert harness.connect()[0].session is None
    assert len(log.lines) == 2  # the ban, and the connection that it closes


def test_duplicates_count_once_even_when_many_others_come_between(log):
    harness = StratumHarness()
    protocol, wire, notify, miner = login(harness)
    nonces = [miner.find(notify, difficulty_to_target(2.0**-20), start=start) for start in (0, 30_000, 60_000)]
    assert len(set(nonces)) == 3
    rng = random.Random(5)
    sent = [nonce for nonce in nonces for _ in range(30)]
    rng.shuffle(sent)
    protocol.dataReceived(b"".join(submission(notify, nonce) for nonce in sent))
    answers = [m for m in wire.messages() if "result" in m]
    assert [m["error"][0] for m in answers if not m["result"]] == [22] * 87
    assert len(harness.stats.of("record_accepted")) == 3
    # the same in capitals, and with version bits that say the same
    again = submission(notify, nonces[0].upper()) + submission(notify, nonces[1], ADDRESS, notify[5])
    protocol.dataReceived(again)
    assert [m["error"][0] for m in wire.messages()] == [22, 22]
    assert log.lines == []


def test_replays_of_old_jobs_are_refused_and_counted_once():
    harness = StratumHarness()
    harness.server.start()
    protocol, wire, notify, miner = login(harness)
    first = miner.find(notify, EASY)
    second = miner.find(notify, EASY, start=int(first, 16) + 1)
    protocol.dataReceived(submission(notify, first))
    jobs = [notify]
    for _ in range(40):
        harness.server.work_changed(harness.work.template.previous_block, clean=True)
        harness.reactor.advance(0.2)
        jobs += notifies(wire.messages())
    assert len({job[0] for job in jobs}) == 41
    protocol.dataReceived(submission(notify, first) * 10)
    assert {m["error"][0] for m in wire.messages()} == {22}
    harness.work.template = replace(harness.work.template, previous_block=0xBEEF)
    harness.server.work_changed(0xBEEF, clean=True)
    harness.reactor.pump([1] * int(GRACE + 6))
    wire.clear()
    protocol.dataReceived(b"".join(submission(job, nonce) for job in jobs[:20] for nonce in (first, second)))
    assert {m["error"][0] for m in wire.messages()} == {21}
    assert len(harness.stats.of("record_accepted")) == 1
    assert all(sent.issued.job is None for sent in list(protocol.session.state.jobs.values())[:41])
    harness.server.stop()


def test_jobs_of_another_connection_are_unknown_and_its_shares_worthless():
    harness = StratumHarness()
    one, _, notify, miner = login(harness)
    other, wire, _, _ = login(harness, OTHER_ADDRESS)
    nonce = miner.find(notify, EASY)
    other.dataReceived(submission(notify, nonce, OTHER_ADDRESS))
    assert wire.messages()[0]["error"][0] == 21
    twin, twin_wire, same, _ = login(harness, ADDRESS + ".twin")
    assert same[0] == notify[0]
    hashed = solver(twin).header(same, bytes(4), same[7], int(nonce, 16))
    assert x11(hashed) > EASY
    twin.dataReceived(submission(same, nonce, ADDRESS + ".twin"))
    assert twin_wire.messages()[0]["error"][0] == 23
    assert one.session.extranonce1 != twin.session.extranonce1
    assert not harness.stats.of("record_accepted")


# --- whole conversations -------------------------------------------------------------------------------------

LINES = [
    line("mining.configure", ["version-rolling", "minimum-difficulty"], {"minimum-difficulty.value": 0.5}),
    line("mining.configure", ["info", "subscribe-extranonce"], {"info.sw-version": "7"}),
    line("mining.subscribe", "cpuminer/2.5"),
    line("mining.subscribe", "GodMiner/2.0.1", None),
    line("mining.authorize", ADDRESS, "x"),
    line("mining.authorize", ADDRESS + ".b+0.5/7+s3", "d=64"),
    line("mining.authorize", OTHER_ADDRESS, "x"),
    line("mining.submit", ADDRESS, "1", "00000000", "6553f100", "00000000"),
    line("mining.submit", ADDRESS, "1", "00000001", "6553f101", "ffffffff", "1fffe000"),
    line("mining.submit", ADDRESS + ".b", "2", "00000001", "6553f101", "ffffffff", "00000000"),
    line("mining.suggest_difficulty", 1),
    line("mining.suggest_target", "00000000" + "ff" * 28),
    line("mining.extranonce.subscribe"),
    line("mining.set_version_mask", "00ffe000"),
    line("mining.ping"),
    b'{"id":1,"result":"x/1","error":null}\n',
    b'{"id":2,"result":"pong","error":null}\n',
    b'{"id":1,"error":{"code":-32601}}\r\n',
]
MUTATIONS = st.one_of(
    st.just(None),
    st.just(None),
    st.tuples(st.just("byte"), st.integers(0, 200), st.integers(0, 255)),
    st.tuples(st.just("cut"), st.integers(0, 200), st.integers(0, 20)),
    st.tuples(st.just("repeat"), st.integers(0, 200), st.integers(0, 20)),
    st.tuples(st.just("digit"), st.integers(0, 200), st.integers(0, 9)),
)


def mutated(text: bytes, mutation: tuple[str, int, int] | None) -> bytes:
    if mutation is None:
        return text
    kind, at, much = mutation
    at %= len(text)
    if kind == "byte":
        return text[:at] + bytes([much]) + text[at + 1 :]
    if kind == "cut":
        return text[:at] + text[at + much :]
    if kind == "repeat":
        return text[: at + much] + text[at:]
    digits = [index for index, byte in enumerate(text) if chr(byte).isdigit()]
    where = digits[at % len(digits)] if digits else 0
    return text[:where] + str(much).encode() + text[where + 1 :]


STEPS = st.lists(st.tuples(st.sampled_from(LINES), MUTATIONS, st.integers(0, 30)), max_size=25)


@settings(max_examples=500)
@given(STEPS, st.integers(1, 400), st.booleans())
def test_whole_conversations_never_raise(steps, size, logged_in):
    harness = StratumHarness()
    harness.server.start()
    with logged() as log:
        protocol, wire = harness.miner() if logged_in else harness.connect()
        for text, mutation, seconds in steps:
            data = mutated(text, mutation)
            for start in range(0, len(data), size):
                protocol.dataReceived(data[start : start + size])
            if seconds > 25:
                harness.reactor.pump([5.0] * (seconds - 25))
                harness.server.work_changed(0xB000 + seconds, clean=seconds % 2 == 0)
        for message in wire.messages():
            assert set(message) in ({"id", "result", "error"}, {"id", "method", "params"})
        protocol.connectionLost()
        harness.server.stop()
    assert not log.tracebacks
    assert len([text for text in log.lines if not text.startswith("banned ")]) <= 1
    assert len(harness.server) == 0
    assert len(harness.stats.of("record_worker_on")) == len(harness.stats.of("record_worker_off"))
    assert not harness.work.solved_outcomes


@pytest.mark.parametrize("worker", [b"%s.caf\xe9", b"%s\x00", b"nobody\x01"])
def test_a_block_in_a_line_with_a_bad_byte_counts_and_a_pseudoshare_does_not(worker):
    harness = StratumHarness()
    protocol, wire, notify, miner = login(harness)
    for nonce, is_block in ((miner.find(notify, EASY), False), (miner.find(notify, BLOCK), True)):
        protocol.session.state.jobs[notify[0]].issued.job.block_target = BLOCK if is_block else 0
        good = submission(notify, nonce)
        protocol.dataReceived(good.replace(ADDRESS.encode(), worker.replace(b"%s", ADDRESS.encode())))
        (answer,) = wire.messages()
        assert answer["id"] == 1
        assert (answer["error"] is None) is is_block
        if not is_block:
            assert code([answer]) == 20
        assert len(harness.work.solved_outcomes) == is_block
    assert len(harness.stats.of("record_accepted")) == 1


def test_a_rig_that_says_ever_more_of_itself_is_soon_no_news():
    """Each piece of news is recorded for all workers of a connection: 64 KB of them took half a second."""
    harness = StratumHarness()
    protocol, _, _, _ = login(harness)
    for number in range(1000):
        protocol.dataReceived(line("mining.configure", ["info"], {"info.hw-id": f"{number:04}"}))
    assert len(harness.stats.of("record_software")) < 50
