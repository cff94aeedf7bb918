"""Admin actions: always with a key, each with its fields, each in the audit log."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from p2pool.web.admin import LOG_LEVELS, AdminResource, admin_actions, with_gateways
from p2pool.web.audit import MAX_LINE
from p2pool.web.auth import key_fingerprint
from tests.chains import NOW
from tests.logged import logged
from tests.web.guarded import KEY, OTHER_KEY, Guarded, secret
from tests.web.pages import take_apart

ACTIONS = ("message", "reconnect", "version-mask", "ban", "unban", "log-level")


@pytest.fixture
def pool(tmp_path):
    return Guarded(tmp_path, keys=(secret(KEY), secret(OTHER_KEY)))


def code(answer) -> str:
    return answer.json["error"]["code"]


@pytest.mark.parametrize(
    ("action", "parameters", "done", "answered"),
    [
        ("message", {"text": "hello"}, ("message", "hello", None), {"connections": 3}),
        ("message", {"text": "hé", "worker": "yX.a"}, ("message", "hé", "yX.a"), {"connections": 3}),
        ("message", {"text": "hé", "worker": None}, ("message", "hé", None), {"connections": 3}),
        ("reconnect", {}, ("reconnect", "", 0, 0, None), {"connections": 2}),
        (
            "reconnect",
            {"host": "pool.example", "port": 7903, "wait": 5, "worker": "yX"},
            ("reconnect", "pool.example", 7903, 5, "yX"),
            {"connections": 2},
        ),
        ("version-mask", {"mask": "1fffe000"}, ("version-mask", 0x1FFFE000), {"connections": 1}),
        ("version-mask", {"mask": "0xFF"}, ("version-mask", 255), {"connections": 1}),
        ("version-mask", {"mask": 255}, ("version-mask", 255), {"connections": 1}),
        (
            "ban",
            {"host": "192.0.2.1", "seconds": 60},
            ("ban", "192.0.2.1", 60.0, "by the operator"),
            {"host": "192.0.2.1", "until": NOW + 60},
        ),
        (
            "ban",
            {"host": "2001:db8::/64", "seconds": 0.5, "reason": "a storm"},
            ("ban", "2001:db8::/64", 0.5, "a storm"),
            {"host": "2001:db8::/64", "until": NOW + 0.5},
        ),
        ("unban", {"host": "192.0.2.1"}, ("unban", "192.0.2.1"), {"was_banned": True}),
        ("log-level", {"level": "debug"}, ("log-level", "debug"), {"level": "debug"}),
    ],
)
def test_what_is_done_answered_and_written_down(pool, action, parameters, done, answered):
    answer = pool.post(action, parameters)
    assert answer.status == 200
    assert answer.json == {"action": action, **answered}
    assert answer.headers["cache-control"] == "no-store"
    assert pool.operator.done == [done]
    assert pool.audited() == [
        {
            "time": NOW,
            "client": "10.0.0.1",
            "key": key_fingerprint(KEY.encode()),
            "action": action,
            "parameters": parameters,
            "outcome": "done",
        }
    ]


def test_every_action_is_tested_above_and_there_are_no_others(pool):
    for action in ACTIONS:
        assert pool.post(action, {"nonsense": 1}).status == 400
    assert pool.post("other", {}).status == 404
    assert pool.post("", {}).status == 404
    assert pool.post("ban/192.0.2.1", {}).status == 400  # below an action is the action


@pytest.mark.parametrize("action", ACTIONS)
def test_without_the_right_key_nothing_is_done(pool, action):
    parameters = {"text": "x", "host": "192.0.2.1", "seconds": 1, "mask": 1, "level": "debug"}
    for key, expected in ((None, "api_key_required"), ("wrong" * 5, "wrong_api_key"), ("", "wrong_api_key")):
        answer = pool.post(action, parameters, key=key)
        assert answer.status == 401
        assert code(answer) == expected
    assert pool.operator.done == []
    assert pool.audited() == []


@pytest.mark.parametrize("action", [*ACTIONS, "other", ""])
def test_without_any_key_configured_the_answer_says_how(tmp_path, action):
    pool = Guarded(tmp_path)
    for key in (None, KEY):
        answer = pool.post(action, {}, key=key)
        assert answer.status == 403
        assert code(answer) == "no_api_key_configured"
        for way in ("--api-key ", "--api-key-file ", "P2POOL_API_KEYS"):
            assert way in answer.json["error"]["message"]
    assert pool.operator.done == []


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/admin/ban",
        "Xapi/v1/admin/ban",
        "/api/v1/%61dmin/ban",
        "/%61pi/v1/admin/ban/",
        "/api/v1/admin/ban?x",
    ],
)
def test_however_the_address_is_written_a_key_is_needed(pool, tmp_path, path):
    body = b'{"host": "192.0.2.1", "seconds": 60}'
    for site in (pool, Guarded(tmp_path)):
        protocol, transport = site.connect()
        head = f"POST {path} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        protocol.dataReceived(head.encode() + body)
        assert transport.value().split()[1] in (b"401", b"403")
        assert site.operator.done == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH"])
def test_only_post_acts(pool, method):
    answer = pool.ask("/api/v1/admin/unban", method, f"X-API-Key: {KEY}")
    assert answer.status == 405
    assert answer.headers["allow"] == "POST, OPTIONS"
    assert pool.operator.done == []


@pytest.mark.parametrize(
    ("action", "parameters", "part"),
    [
        ("message", {}, "text is missing; it must be text"),
        ("message", {"text": None}, "text is missing"),
        ("message", {"text": 5}, "text 5 is not valid; it must be text"),
        ("message", {"text": "x", "who": 1}, "unknown field 'who'"),
        ("reconnect", {"host": "x", "port": "7903"}, "port '7903'"),
        ("reconnect", {"wait": 1.5}, "wait 1.5"),
        ("reconnect", {"wait": True}, "wait True"),
        ("version-mask", {"mask": "xyz"}, "mask 'xyz'"),
        ("version-mask", {"mask": ""}, "mask ''"),
        ("version-mask", {"mask": "123456789"}, "mask '123456789'"),
        ("version-mask", {"mask": 1.0}, "mask 1.0"),
        ("ban", {"host": "192.0.2.1"}, "seconds is missing"),
        ("ban", {"host": "somewhere", "seconds": 1}, "host 'somewhere' is not valid; it must be an IP address"),
        ("ban", {"host": 5, "seconds": 1}, "host 5"),
        ("ban", {"host": "192.0.2.1", "seconds": "60"}, "seconds '60'"),
        ("ban", {"host": "192.0.2.1", "seconds": True}, "seconds True"),
        ("unban", {"host": ["192.0.2.1"]}, "host ["),
        ("log-level", {"level": "loud"}, "debug, info, warn, error, critical"),
        ("log-level", {"level": ["debug"]}, "one of"),
        ("message", b"", "not JSON"),
        ("message", b"{", "not JSON"),
        ("message", b"\xff", "not JSON"),
        ("message", b"[1]", "not a JSON object"),
        ("message", b"[" * 5000, "not JSON"),
        ("message", b"NaN", "not JSON"),
    ],
)
def test_parameters_that_make_no_sense(pool, action, parameters, part):
    with logged() as log:
        answer = pool.post(action, parameters)
    assert answer.status == 400
    assert code(answer) == "bad_request"
    assert part in answer.json["error"]["message"]
    assert pool.operator.done == []
    assert not log.tracebacks
    (line,) = pool.audited()
    assert line["outcome"].startswith("refused: ")
    assert line["parameters"] == (parameters if isinstance(parameters, dict) else {})


def test_what_the_operator_s_side_refuses_is_reported(pool):
    pool.operator.refusal = ValueError("127.0.0.1 is loopback or on the allow-list: it is never banned")
    answer = pool.post("ban", {"host": "127.0.0.1", "seconds": 60})
    assert answer.status == 400
    assert "never banned" in answer.json["error"]["message"]
    assert "never banned" in pool.audited()[0]["outcome"]


def test_an_internal_error_is_a_500_and_in_both_logs(pool):
    pool.operator.refusal = KeyError("surprise")
    with logged() as log:
        answer = pool.post("unban", {"host": "192.0.2.1"})
    assert answer.status == 500
    assert code(answer) == "internal"
    assert b"surprise" not in answer.body
    assert len(log.tracebacks) == 1
    assert pool.audited()[0]["outcome"] == "failed"


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
def test_other_bodies_than_json_are_not_looked_at(pool, kind):
    answer = pool.post("unban", {"host": "192.0.2.1"}, f"Content-Type: {kind}")
    assert answer.status in (400, 415)
    assert pool.operator.done == []


def test_json_may_say_its_charset(pool):
    assert pool.post("unban", {"host": "192.0.2.1"}, "Content-Type: Application/JSON; charset=utf-8").status == 200


def test_a_body_that_is_too_large(pool):
    answer = pool.post("message", {"text": "x" * 70_000})
    assert answer.status == 413
    assert code(answer) == "too_large"
    assert pool.operator.done == []


def test_who_did_it_is_distinguished_by_key_and_address(pool):
    pool.post("unban", {"host": "192.0.2.1"})
    pool.host = "2001:db8::7"
    pool.post("unban", {"host": "192.0.2.1"}, key=OTHER_KEY)
    first, second = pool.audited()
    assert (first["client"], second["client"]) == ("10.0.0.1", "2001:db8::7")
    assert first["key"] != second["key"]
    written = pool.audit._path.read_text()
    assert KEY not in written
    assert OTHER_KEY not in written


def test_parameters_of_any_size_and_depth_are_one_bounded_line(pool):
    deep = b'{"text": "x", "y": ' + b"[" * 900 + b"]" * 900 + b"}"
    for parameters in ({"text": "x" * 60_000}, deep, {"text": "\n\x1b[2J"}):
        with logged() as log:
            pool.post("message", parameters)
        assert not log.tracebacks
    lines = pool.audit._path.read_bytes().splitlines()
    assert len(lines) == 3
    assert all(len(line) <= MAX_LINE for line in lines)
    assert [json.loads(line)["parameters"] for line in lines] == [None, None, {"text": "\n\x1b[2J"}]


HOSTILE: list[Guarded] = []


@given(
    st.binary(max_size=80) | st.dictionaries(st.text(max_size=8), st.none() | st.integers() | st.text(max_size=9))
)
def test_no_body_makes_a_traceback(tmp_path_factory, body):
    if not HOSTILE:
        HOSTILE.append(Guarded(tmp_path_factory.mktemp("hostile"), keys=(secret(KEY),)))
    with logged() as log:
        for action in ACTIONS:
            assert HOSTILE[0].post(action, body).status in (200, 400)
    assert not log.tracebacks


def test_levels_are_twisted_s():
    from twisted.logger import LogLevel

    assert list(LOG_LEVELS) == [level.name for level in LogLevel.iterconstants()]


# --- actions that take their time --------------------------------------------------------------------------------


class FakeAlerts:
    """Alerts whose test is answered when `answer` is fired."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer: Deferred = Deferred()

    def test(self, destination: str) -> Deferred:
        self.asked.append(destination)
        if destination == "nothing":
            raise ValueError("there is no destination with this id; known ids: hook")
        return self.answer


def with_tester(pool) -> FakeAlerts:
    tester = FakeAlerts()
    action = admin_actions(pool.operator, pool.operator.set_log_level, tester)["alert-test"]
    admin = pool.site.resource.children[b"api"].children[b"v1"].children[b"admin"]
    admin.putChild(b"alert-test", AdminResource("alert-test", action, pool.audit))
    return tester


def begin(pool):
    body = b'{"destination": "hook"}'
    head = f"POST /api/v1/admin/alert-test HTTP/1.1\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\n"
    protocol, transport = pool.connect()
    protocol.dataReceived(head.encode() + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
    return protocol, transport


def test_a_test_of_alerts_is_answered_when_it_is_done(pool):
    tester = with_tester(pool)
    _, transport = begin(pool)
    assert tester.asked == ["hook"]
    assert transport.value() == b""
    assert pool.audited() == []
    tester.answer.callback({"results": [1]})
    answer = take_apart(transport.value())
    assert (answer.status, answer.json) == (200, {"action": "alert-test", "results": [1]})
    assert answer.headers["cache-control"] == "no-store"
    assert pool.audited()[0]["outcome"] == "done"


def test_a_test_of_alerts_that_makes_no_sense_or_fails(pool):
    tester = with_tester(pool)
    answer = pool.post("alert-test", {"destination": "nothing"})
    assert answer.status == 400
    assert "known ids: hook" in answer.json["error"]["message"]
    assert "destination is missing" in pool.post("alert-test", {}).json["error"]["message"]
    _, transport = begin(pool)
    with logged() as log:
        tester.answer.errback(KeyError("surprise"))
    answer = take_apart(transport.value())
    assert (answer.status, code(answer)) == (500, "internal")
    assert b"surprise" not in answer.body
    assert len(log.tracebacks) == 1
    assert pool.audited()[-1]["outcome"] == "failed"


def test_who_has_gone_before_the_answer_is_not_written_to(pool):
    tester = with_tester(pool)
    protocol, transport = begin(pool)
    protocol.connectionLost(Failure(ConnectionDone()))
    with logged() as log:
        tester.answer.callback({})
    assert transport.value() == b""
    assert not log.tracebacks
    assert pool.audited()[0]["outcome"] == "done"


# --- gateways ----------------------------------------------------------------------------------------------------


class FakeGateways:
    """Gateways that answer when `answer` is fired."""

    def __init__(self) -> None:
        self.asked: list[tuple] = []
        self.answer: Deferred = Deferred()

    def carry_out(self, action: str, given: dict) -> Deferred:
        self.asked.append((action, given))
        return self.answer


def test_actions_on_miners_are_done_by_the_gateways_too_and_the_answer_says_whom_they_reached(pool):
    gateways = FakeGateways()
    actions = with_gateways(admin_actions(pool.operator, pool.operator.set_log_level), gateways)
    results: list = []
    actions["message"].act(text="hello").addCallback(results.append)
    assert pool.operator.done == [("message", "hello", None)]
    assert gateways.asked == [("message", {"text": "hello"})]
    assert results == []
    gateways.answer.callback({"gateways": 2})
    assert results == [{"connections": 3, "gateways": 2}]
    assert actions["log-level"].act(level="debug") == {"level": "debug"}
    assert len(gateways.asked) == 1


def test_what_the_node_refuses_does_not_reach_the_gateways(pool):
    gateways = FakeGateways()
    pool.operator.refusal = ValueError("never banned")
    actions = with_gateways(admin_actions(pool.operator, pool.operator.set_log_level), gateways)
    with pytest.raises(ValueError, match="never banned"):
        actions["ban"].act(host="127.0.0.1", seconds=60.0)
    assert gateways.asked == []
