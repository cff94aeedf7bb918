"""The miner's stratum session: bytes in, bytes and events out, no sockets."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.base.errors import ParseError
from p2pool.dash.pow import x11
from p2pool.dash.target import DIFFICULTY_1_TARGET, difficulty_to_target
from p2pool.simnet.miner_events import (
    Authorized,
    Event,
    HandshakeRefused,
    MessageShown,
    ReconnectRequested,
    ServerFault,
    ShareAccepted,
    ShareRefused,
    Subscribed,
    WorkChanged,
)
from p2pool.simnet.miner_session import MAX_LINE, MAX_MALFORMED, MAX_UNANSWERED, MinerSession
from p2pool.simnet.miner_work import FoundShare, Work, parse_notify

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "stratum_jobs.json").read_text())["jobs"]
VECTOR = VECTORS[0]


def notify_params(vector: dict[str, Any] = VECTOR, job_id: str = "1", clean: bool = True) -> list[Any]:
    names = ("prevhash", "coinb1", "coinb2", "merkle_branch", "version", "nbits", "ntime")
    return [job_id, *(vector[name] for name in names), clean]


def line(**message: Any) -> bytes:
    return json.dumps(message).encode() + b"\n"


def notify(**arguments: Any) -> bytes:
    return line(id=None, method="mining.notify", params=notify_params(**arguments))


SUBSCRIBED = line(
    id=1,
    result=[[["mining.set_difficulty", "ab"], ["mining.notify", "ab"]], "00c0ffee", 4],
    error=None,
)
AUTHORIZED = line(id=2, result=True, error=None)
DIFFICULTY = line(id=None, method="mining.set_difficulty", params=[0.5])


def sent(output: bytes) -> list[dict[str, Any]]:
    return [json.loads(text) for text in output.splitlines()]


def working_session() -> tuple[MinerSession, Work]:
    session = MinerSession("address.worker")
    session.connected()
    _, events = session.receive(SUBSCRIBED + AUTHORIZED + DIFFICULTY + notify(), 0.0)
    changed = events[-1]
    assert isinstance(changed, WorkChanged)
    return session, changed.work


# --- headers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["share_index"]))
def test_the_header_is_rebuilt_from_the_fields_of_notify(vector: dict[str, Any]) -> None:
    job = parse_notify(notify_params(vector))
    extranonce1, extranonce2 = bytes.fromhex(vector["extranonce1"]), bytes.fromhex(vector["extranonce2"])
    header = job.header(extranonce1, extranonce2, int(vector["nonce"], 16))
    assert header.hex() == vector["header"]
    assert f"{x11(header):064x}" == vector["pow_hash"]


def test_the_extranonces_stand_between_the_halves_of_the_coinbase() -> None:
    job = parse_notify(notify_params())
    one = job.header(b"\x01\x02", b"\x03\x04")
    assert one == job.header(b"\x01", b"\x02\x03\x04")
    assert one != job.header(b"\x01\x02", b"\x04\x03")


@pytest.mark.parametrize(
    ("index", "value"),
    [
        (0, 7), (0, ""), (0, "x" * 65), (0, "\u00e9"),
        (1, "00" * 31), (1, None), (1, " " + "0" * 63),
        (2, "0"), (2, "zz"), (2, []), (3, "00 00"), (3, {}),
        (4, "00"), (4, ["00"]), (4, [1]), (4, ["00" * 32] * 33),
        (5, "1"), (5, 1), (6, "0000000000"), (7, None), (8, 1), (8, "true"),
    ],
)  # fmt: skip
def test_a_notify_of_wrong_types_is_a_parse_error(index: int, value: object) -> None:
    params = notify_params()
    params[index] = value
    with pytest.raises(ParseError):
        parse_notify(params)
    with pytest.raises(ParseError):
        parse_notify(params[:8])


# --- the handshake --------------------------------------------------------------------------------------


def test_subscribes_then_authorizes_then_works() -> None:
    session = MinerSession("address.worker", "d=1", previous_session="old")
    assert sent(session.connected()) == [
        {"id": 1, "method": "mining.subscribe", "params": [session.user_agent, "old"]}
    ]
    output, events = session.receive(SUBSCRIBED, 0.0)
    assert events == [Subscribed("ab")]
    assert sent(output) == [{"id": 2, "method": "mining.authorize", "params": ["address.worker", "d=1"]}]
    assert not session.authorized
    output, events = session.receive(AUTHORIZED, 0.0)
    assert events == [Authorized()]
    assert session.authorized
    assert [message["method"] for message in sent(output)] == ["mining.extranonce.subscribe"]
    output, events = session.receive(line(id=3, result=None, error=[20, "unknown", None]), 0.0)
    assert (output, events) == (b"", [])
    assert session.receive(DIFFICULTY, 0.0) == (b"", [])
    _, [changed] = session.receive(notify(), 0.0)
    assert isinstance(changed, WorkChanged)
    assert changed.work.extranonce1 == bytes.fromhex("00c0ffee")
    assert changed.work.extranonce2_size == 4
    assert changed.work.difficulty == 0.5
    assert changed.work.target == difficulty_to_target(0.5)


def test_a_job_before_the_answer_to_authorize_is_work_only_after_it() -> None:
    session = MinerSession("address")
    session.connected()
    _, events = session.receive(SUBSCRIBED + DIFFICULTY + notify(), 0.0)
    assert events == [Subscribed("ab")]
    _, events = session.receive(AUTHORIZED, 0.0)
    assert [type(event) for event in events] == [Authorized, WorkChanged]


def everything() -> bytes:
    return SUBSCRIBED + AUTHORIZED.replace(b"\n", b"\r\n") + b"\n" + DIFFICULTY + notify()


@given(st.lists(st.integers(1, 1500), min_size=1))
def test_fragments_make_no_difference(sizes: list[int]) -> None:
    whole, parts = MinerSession("a"), MinerSession("a")
    whole.connected()
    parts.connected()
    data = everything()
    expected = whole.receive(data, 0.0)
    output, events, position = b"", list[Event](), 0
    for size in [*sizes, len(data)]:
        some_output, some_events = parts.receive(data[position : position + size], 0.0)
        output, events, position = output + some_output, events + some_events, position + size
    assert (output, events) == expected


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        ([24, "bad checksum", None], 24, "bad checksum"),
        ({"code": 24, "message": "no"}, 24, "no"),
        ("go away", 20, "go away"),
        (None, 20, ""),
        ([[], {}], 20, ""),
    ],
)
def test_a_refused_authorize_ends_the_session(error: object, code: int, text: str) -> None:
    session = MinerSession("a")
    session.connected()
    session.receive(SUBSCRIBED, 0.0)
    _, events = session.receive(line(id=2, result=None, error=error) + notify(), 0.0)
    assert events == [HandshakeRefused("mining.authorize", code, text)]
    assert session.receive(AUTHORIZED, 0.0) == (b"", [])


@pytest.mark.parametrize(
    "result",
    [5, [], [[], "00"], [[], 1, 4], [[], "0g", 4], [[], "00" * 17, 4], [[], "00", 0], [[], "00", 17],
     [[], "00", True], [[], "00", "4"]],
)  # fmt: skip
def test_a_malformed_answer_to_subscribe_is_a_fault(result: object) -> None:
    session = MinerSession("a")
    session.connected()
    output, [fault] = session.receive(line(id=1, result=result, error=None), 0.0)
    assert isinstance(fault, ServerFault)
    assert output == b""


# --- submissions ----------------------------------------------------------------------------------------


def test_a_submission_is_matched_with_its_answer() -> None:
    session, work = working_session()
    first, second = FoundShare(work, b"\x00\x00\x00\x01", 0xABC), FoundShare(work, b"\x00\x00\x00\x02", 1)
    [request] = sent(session.submit(first, 10.0))
    assert request["method"] == "mining.submit"
    assert request["params"] == ["address.worker", "1", "00000001", VECTOR["ntime"], "00000abc"]
    [other] = sent(session.submit(second, 11.0))
    assert session.unanswered_for(13.0) == 3.0
    refused = line(id=other["id"], result=None, error=[23, "low\x07 difficulty", None])
    _, events = session.receive(refused + line(id=request["id"], result=True, error=None), 12.0)
    assert events == [ShareRefused(second, 23, "low? difficulty"), ShareAccepted(first, 2.0)]
    assert session.unanswered_for(13.0) == 0.0


@pytest.mark.parametrize("result", [False, None, 1, "true", []])
def test_only_true_is_accepted(result: object) -> None:
    session, work = working_session()
    [request] = sent(session.submit(FoundShare(work, bytes(4), 0), 0.0))
    _, [event] = session.receive(line(id=request["id"], result=result, error=None), 0.0)
    assert isinstance(event, ShareRefused)


def test_nothing_is_submitted_that_this_connection_did_not_ask_for() -> None:
    session, work = working_session()
    share = FoundShare(work, bytes(4), 0)
    assert MinerSession("a").submit(share, 0.0) == b""
    foreign = Work(work.job, b"another", 4, work.difficulty, work.target)
    assert session.submit(FoundShare(foreign, bytes(4), 0), 0.0) == b""


def test_submissions_without_answers_are_bounded() -> None:
    session, work = working_session()
    requests = [session.submit(FoundShare(work, bytes(4), nonce), 0.0) for nonce in range(MAX_UNANSWERED * 2)]
    assert MAX_UNANSWERED - 3 <= sum(1 for request in requests if request) <= MAX_UNANSWERED
    request = sent(requests[0])[0]
    session.receive(line(id=request["id"], result=True, error=None), 0.0)
    assert session.submit(FoundShare(work, bytes(4), 0), 0.0)


# --- what the server sends on its own -------------------------------------------------------------------


def test_a_difficulty_holds_from_the_next_job_on() -> None:
    session, work = working_session()
    message = line(id=None, method="mining.set_difficulty", params=[4])
    assert session.receive(message, 0.0) == (b"", [])
    _, [changed] = session.receive(notify(job_id="2"), 0.0)
    assert isinstance(changed, WorkChanged)
    assert (work.difficulty, changed.work.difficulty) == (0.5, 4.0)
    assert changed.work.target == difficulty_to_target(4)
    assert abs(changed.work.target - DIFFICULTY_1_TARGET // 4) < 2**200


def test_the_same_job_again_is_no_new_work() -> None:
    session, _ = working_session()
    assert session.receive(notify(clean=False), 0.0) == (b"", [])
    _, events = session.receive(notify(job_id="2", clean=False), 0.0)
    assert len(events) == 1


@pytest.mark.parametrize("value", [None, "1", True, 0, -1, 1e-300, 1e300, [], {}])
def test_a_difficulty_that_is_none_is_a_fault(value: object) -> None:
    session, _ = working_session()
    for params in ([value], value):
        message = line(id=None, method="mining.set_difficulty", params=params)
        _, [fault] = session.receive(message, 0.0)
        assert isinstance(fault, ServerFault)
        assert not fault.fatal
    assert session.difficulty == 0.5


def test_set_extranonce_holds_from_the_next_job_on() -> None:
    session, work = working_session()
    message = line(id=None, method="mining.set_extranonce", params=["0102", 6])
    assert session.receive(message, 0.0) == (b"", [])
    _, [changed] = session.receive(notify(job_id="2"), 0.0)
    assert isinstance(changed, WorkChanged)
    assert (changed.work.extranonce1, changed.work.extranonce2_size) == (b"\x01\x02", 6)
    assert session.submit(FoundShare(work, bytes(4), 0), 0.0)


def test_questions_are_answered() -> None:
    session, _ = working_session()
    output, events = session.receive(
        line(id=7, method="mining.ping", params=[])
        + line(id="v", method="client.get_version")
        + line(id=8, method="client.dance\x00", params=[])
        + line(id=None, method="client.dance", params=[])
        + line(method="mining.ping"),
        0.0,
    )
    assert events == []
    assert sent(output) == [
        {"id": 7, "result": "pong", "error": None},
        {"id": "v", "result": session.user_agent, "error": None},
        {"id": 8, "result": None, "error": [20, "unknown method client.dance?", None]},
    ]


@pytest.mark.parametrize(
    ("params", "event"),
    [
        ([], ReconnectRequested(None, None, 0.0)),
        (["pool.example", 3333, 5], ReconnectRequested("pool.example", 3333, 5.0)),
        (["pool.example", "3333", "5"], ReconnectRequested("pool.example", 3333, 5.0)),
        (["", None, -4], ReconnectRequested(None, None, 0.0)),
        ([None, 1, 1e9], ReconnectRequested(None, 1, 3600.0)),
    ],
)
def test_a_wish_to_reconnect_is_an_event(params: list[object], event: ReconnectRequested) -> None:
    session, _ = working_session()
    message = line(id=None, method="client.reconnect", params=params)
    assert session.receive(message, 0.0) == (b"", [event])


def test_messages_and_masks() -> None:
    session, _ = working_session()
    _, events = session.receive(
        line(id=None, method="client.show_message", params=["hello\n" + "x" * 1000])
        + line(id=None, method="mining.set_version_mask", params=["1fffe000"]),
        0.0,
    )
    assert events == [MessageShown("hello?" + "x" * 194)]
    assert session.version_mask == 0x1FFFE000


# --- hostile lines --------------------------------------------------------------------------------------

HOSTILE = [
    b"hello", b"[]", b"17", b"null", b'"x"', b"{", b"\xff\xfe", b"[" * 60000, b'{"a":' * 10000,
    b'{"id":1e999,"result":true}', b'{"id":NaN}', b"{}", b'{"id":true,"result":true}',
    b'{"id":[],"result":true}', b'{"id":99,"result":true}', b'{"id":1,"method":1}',
    b'{"id":{},"method":"mining.ping"}', b'{"id":[1],"method":"x"}',
    b'{"id":null,"method":"mining.notify","params":{"a":1}}',
    b'{"id":null,"method":"mining.notify","params":[]}',
    b'{"id":null,"method":"mining.set_extranonce","params":["00"]}',
    b'{"id":null,"method":"mining.set_extranonce","params":[[],4]}',
    b'{"id":null,"method":"mining.set_version_mask","params":["00"]}',
    b'{"id":null,"method":"client.reconnect","params":[5]}',
    b'{"id":null,"method":"client.reconnect","params":["h",99999]}',
    b'{"id":null,"method":"client.reconnect","params":["h",1,{}]}',
    b'{"id":null,"method":"client.show_message","params":[{}]}',
]  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile[:40].decode("latin-1"))
def test_a_hostile_line_is_one_fault_and_the_session_goes_on(hostile: bytes) -> None:
    session, _ = working_session()
    output, [fault] = session.receive(hostile + b"\n", 0.0)
    assert output == b""
    assert isinstance(fault, ServerFault)
    assert not fault.fatal
    assert fault.text.isprintable()
    assert len(fault.text) < 300
    output, _ = session.receive(line(id=5, method="mining.ping"), 0.0)
    assert sent(output)[0]["result"] == "pong"


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_that_is_too_long_is_fatal(end: bytes) -> None:
    session, _ = working_session()
    _, [fault] = session.receive(b"x" * (MAX_LINE + 1) + end, 0.0)
    assert fault == ServerFault(f"a line of more than {MAX_LINE} bytes", fatal=True)
    assert session.receive(notify(job_id="9"), 0.0) == (b"", [])


def test_too_many_malformed_lines_are_fatal() -> None:
    session, _ = working_session()
    _, events = session.receive(b"x\n" * (MAX_MALFORMED * 3), 0.0)
    assert [event.fatal for event in events if isinstance(event, ServerFault)] == [False] * (MAX_MALFORMED - 1) + [
        True
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)
METHODS = st.sampled_from(
    ["mining.notify", "mining.set_difficulty", "mining.set_extranonce", "mining.set_version_mask",
     "client.reconnect", "client.show_message", "mining.ping", "client.get_version", "x"]
)  # fmt: skip


@given(st.fixed_dictionaries({}, optional={"id": JSON | st.integers(1, 4), "method": METHODS | JSON,
                                           "params": JSON, "result": JSON, "error": JSON}))  # fmt: skip
def test_no_message_is_an_exception(message: dict[str, object]) -> None:
    for session in (MinerSession("a"), working_session()[0]):
        session.connected()
        session.receive(line(**message), 0.0)


@given(st.binary(max_size=300))
def test_no_bytes_are_an_exception(data: bytes) -> None:
    session = MinerSession("a")
    session.connected()
    session.receive(data + b"\n", 0.0)
