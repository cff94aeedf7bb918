"""JSON-RPC over connections of memory: real HTTP, every way in which an answer can go wrong."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.testing import MemoryReactorClock

from p2pool.base.errors import OperatorError
from p2pool.dashd import rpc as rpc_module
from p2pool.dashd.credentials import Credentials
from p2pool.dashd.rpc import (
    RpcClient,
    RpcError,
    RpcForbidden,
    RpcTimeout,
    RpcUnauthorized,
    RpcUnavailable,
    _result,
)
from tests.dashd.wires import Wire, refuse
from tests.environment import make_environment
from tests.support import capture

URL = "http://127.0.0.1:9998/"


class FakeSource:
    """Passwords in turn; the last one stays. An exception is raised."""

    def __init__(self, *passwords: Any) -> None:
        self.passwords = list(passwords) or ["p"]
        self.reads = 0

    def read(self) -> Credentials:
        self.reads += 1
        password = self.passwords.pop(0) if len(self.passwords) > 1 else self.passwords[0]
        if isinstance(password, Exception):
            raise password
        return Credentials("user", password, "from a test")


class Call:
    """A call under way."""

    def __init__(self, deferred: Deferred[Any]) -> None:
        self.deferred = deferred
        self.results: list = []
        self.errors: list = []
        deferred.addCallbacks(self.results.append, lambda failure: self.errors.append(failure.value))

    @property
    def result(self) -> Any:
        assert not self.errors, self.errors
        (result,) = self.results
        return result

    @property
    def error(self) -> Exception:
        assert not self.results, self.results
        (error,) = self.errors
        return error

    @property
    def pending(self) -> bool:
        return not self.results and not self.errors


class Dashd:
    """The client, and the other end of its connections."""

    def __init__(self, *passwords: Any) -> None:
        self.reactor = MemoryReactorClock()
        self.source = FakeSource(*passwords)
        self.client = RpcClient(make_environment(self.reactor), URL, self.source)
        self.wires: list[Wire] = []

    def call(self, method: str = "getblockcount", *params: Any, **options: Any) -> Call:
        return Call(Deferred.fromCoroutine(self.client.call(method, *params, **options)))

    def accept(self) -> Wire:
        self.wires.append(Wire(self.reactor, len(self.wires)))
        return self.wires[-1]

    def stop(self) -> None:
        """Closed, nothing is left."""
        closed = Call(Deferred.fromCoroutine(self.client.close()))
        self.reactor.advance(0)
        assert not closed.pending
        for wire in self.wires:
            wire.hang_up()
        assert self.reactor.getDelayedCalls() == []


def request_of(wire: Wire) -> tuple[str, bytes, dict]:
    """(first line, decoded authorization, body) of the request that was sent."""
    head, _, body = wire.take().partition(b"\r\n\r\n")
    first, *headers = head.decode().split("\r\n")
    fields = dict(line.split(": ", 1) for line in headers)
    assert int(fields["Content-Length"]) == len(body)
    return first, base64.b64decode(fields["Authorization"].removeprefix("Basic ")), json.loads(body)


def reply(body: Any, status: int = 200, length: int | None = None) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    size = len(data) if length is None else length
    return f"HTTP/1.1 {status} Whatever\r\nContent-Length: {size}\r\n\r\n".encode() + data


def ok(result: Any) -> bytes:
    return reply({"result": result, "error": None, "id": 1})


REFUSED = reply(b"", 401)


@pytest.fixture
def dashd() -> Dashd:
    return Dashd()


# --- calls -----------------------------------------------------------------------------------------------


def test_a_call_and_its_result(dashd):
    call = dashd.call("getblockhash", 5, {"a": [None]})
    wire = dashd.accept()
    assert (wire.host, wire.port) == ("127.0.0.1", 9998)
    first, authorization, body = request_of(wire)
    assert first == "POST / HTTP/1.1"
    assert authorization == b"user:p"
    assert (body["method"], body["params"]) == ("getblockhash", [5, {"a": [None]}])
    wire.send(ok("00ff"))
    assert call.result == "00ff"
    dashd.stop()


def test_a_connection_is_used_again_and_requests_have_numbers(dashd):
    first = dashd.call()
    wire = dashd.accept()
    number = request_of(wire)[2]["id"]
    wire.send(ok(1))
    second = dashd.call()
    assert request_of(wire)[2]["id"] == number + 1
    wire.send(ok(2))
    assert (first.result, second.result) == (1, 2)
    assert len(dashd.reactor.tcpClients) == 1
    dashd.stop()


def test_calls_do_not_wait_for_a_long_one(dashd):
    long = dashd.call("getblocktemplate", timeout=600)
    dashd.accept()
    short = dashd.call()
    dashd.accept().send(ok(1))
    assert short.result == 1
    assert long.pending
    dashd.wires[0].send(ok({}))
    assert long.result == {}
    dashd.stop()


def test_a_large_block_leaves_in_one_piece(dashd):
    dashd.call("submitblock", "00" * 2_000_000)
    wire = dashd.accept()
    assert request_of(wire)[2]["params"] == ["00" * 2_000_000]


def test_a_null_result_is_a_result(dashd):
    call = dashd.call("submitblock", "00")
    dashd.accept().send(reply(capture("40_submitblock_accepted")["response_raw"].encode()))
    assert call.results == [None]


# --- answers that are none -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "code", "text"),
    [
        ("20_warmup_minus28_1", -28, "Loading banlist…"),
        ("20_unknown_method", -32601, "Method not found"),
        ("40_submitblock_not_hex", -22, "Block decode failed"),
        ("70_mainnet_getblocktemplate_not_connected", -9, "Dash Core is not connected!"),
    ],
)
def test_errors_of_a_real_dash_core(dashd, name, code, text):
    recorded = capture(name)
    call = dashd.call()
    dashd.accept().send(reply(recorded["response_raw"].encode(), recorded["http_status"]))
    assert isinstance(call.error, RpcError)
    assert (call.error.code, call.error.message) == (code, text)
    assert str(call.error) == f"{text} (code {code})"
    dashd.stop()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"\xff\xfe",
        b"{",
        b"[]",
        b"null",
        b"5",
        b'"text"',
        b"{}",
        b'{"id":1}',
        b'{"error":5}',
        b'{"error":{}}',
        b'{"error":{"code":"x","message":"y"}}',
        b'{"error":{"message":"y"},"result":1}',
        b'{"error":' + b"[" * 1000 + b"]" * 1000 + b"}",
        b"[" * 100_000,
        b"x" * 100_000,
    ],
    ids=lambda body: repr(body[:30]),
)
@pytest.mark.parametrize("status", [200, 500, 503])
def test_garbage_is_unavailability_in_few_words(dashd, body, status):
    call = dashd.call()
    dashd.accept().send(reply(body, status))
    assert type(call.error) is RpcUnavailable
    assert str(status) in str(call.error)
    assert len(str(call.error)) < 500
    dashd.stop()


def test_what_an_error_says_is_cut_and_printable():
    for message in ("a\x1b[2J\n" * 500, ["[" * 500], None, 5):
        with pytest.raises(RpcError) as error:
            _result(500, json.dumps({"error": {"code": 1, "message": message}}).encode())
        assert len(str(error.value)) < 520
        assert str(error.value).isprintable()


NAMES = st.sampled_from(["error", "result", "code", "message"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(NAMES, children),
)


@given(st.integers(100, 599), st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_a_result_or_one_of_two_errors(status, body):
    try:
        _result(status, body)
    except (RpcError, RpcUnavailable):
        pass


def test_an_answer_that_is_too_large_is_not_read_to_its_end(dashd, monkeypatch):
    monkeypatch.setattr(rpc_module, "MAX_ANSWER", 1000)
    call = dashd.call()
    wire = dashd.accept()
    wire.send(reply(b" " * 900, length=5000))
    assert call.pending
    wire.send(b" " * 101)
    assert "more than 1000 bytes" in str(call.error)
    assert wire.disconnecting
    wire.send(b" " * 500)  # what was on the way
    dashd.stop()


def test_forbidden_names_the_settings_that_forbid(dashd):
    call = dashd.call("getblocktemplate")
    wire = dashd.accept()
    wire.send(reply(b"", 403))
    assert type(call.error) is RpcForbidden
    assert str(call.error).startswith(
        f"{URL} answered getblocktemplate with HTTP 403: it does not let this machine in"
    )
    assert "rpcallowip" in str(call.error)
    assert "add getblocktemplate to its rpcwhitelist" in str(call.error)
    call = dashd.call()
    wire.send(ok(5))
    assert call.result == 5
    call = dashd.call("submitblock")
    wire.send(reply(b"", 403))
    assert "rpcallowip" not in str(call.error)  # another call went well from here
    assert "let user 'user' call it: add submitblock to its rpcwhitelist in dash.conf" in str(call.error)
    dashd.stop()


@pytest.mark.parametrize(
    ("status", "body"), [(503, b"Work queue depth exceeded"), (500, b"Work queue depth exceeded\r\n"), (503, b"")]
)
def test_a_full_queue_names_the_setting_that_helps(dashd, status, body):
    call = dashd.call("getblocktemplate")
    dashd.accept().send(reply(body, status))
    assert type(call.error) is RpcUnavailable
    assert f"answered getblocktemplate with HTTP {status}: too many calls are queued" in str(call.error)
    assert "rpcworkqueue=64" in str(call.error)
    dashd.stop()


def flood(wire: Wire, piece: bytes) -> int:
    """The bytes that were taken until our side hung up, a MiB at most."""
    sent = 0
    while not wire.disconnecting and sent < 2**20:
        wire.send(piece)
        sent += len(piece)
    return sent


@pytest.mark.parametrize(
    ("begin", "piece", "words"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-Long: " + b"y" * 992 + b"\r\n", "more than 65536 bytes of headers"),
        (b"HTTP/1.1 200 OK\r\n", b"a:b\r\n", "more than 200 headers"),
        (b"HTTP/1.1 200 OK\nX: y\n", b" and on\n", "more than 200 headers"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", "more than 5 interim responses"),
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", "more than 5 interim responses"),
    ],
)
def test_headers_without_end_are_cut_off(dashd, begin, piece, words):
    call = dashd.call("getblocktemplate")
    wire = dashd.accept()
    wire.send(begin)
    assert flood(wire, piece) < 70_000
    dashd.reactor.advance(0)
    assert type(call.error) is RpcUnavailable
    assert str(call.error) == f"{URL} answered getblocktemplate with {words}"
    dashd.stop()


@pytest.mark.parametrize("piece", [b"H", b"HTTP/1.1 200 " + b"x" * 1000, b" " * 999])
def test_a_status_line_without_end_is_cut_off(dashd, piece):
    call = dashd.call()
    wire = dashd.accept()
    assert flood(wire, piece) < 70_000
    dashd.reactor.advance(0)
    assert type(call.error) is RpcUnavailable


def test_headers_that_drip_are_waited_for_as_long_as_for_an_answer(dashd):
    call = dashd.call(timeout=15.0)
    wire = dashd.accept()
    wire.send(b"HTTP/1.1 200 OK\r\n")
    for _ in range(16):
        if not wire.lost:
            wire.send(b"X: y\r\n")
        dashd.reactor.advance(1)
    assert type(call.error) is RpcTimeout
    assert wire.lost
    dashd.stop()


def test_an_answer_in_chunks_of_a_byte_is_read_and_takes_no_more_than_its_size(dashd):
    call = dashd.call()
    wire = dashd.accept()
    wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for number in b'{"result":7}':
        wire.send(b"1\r\n" + bytes([number]) + b"\r\n")
    wire.send(b"0\r\n\r\n")
    assert call.result == 7
    dashd.stop()


@pytest.mark.parametrize("piece", [b"0;" + b"x" * 5000, b"0\r\n" + b"t: x\r\n" * 20_000])
def test_chunk_extensions_and_trailers_without_end_are_cut_off(dashd, piece):
    call = dashd.call()
    wire = dashd.accept()
    wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    wire.send(piece)
    dashd.reactor.advance(0)
    assert type(call.error) is RpcUnavailable
    assert wire.disconnecting


def test_an_interim_answer_and_a_second_request_on_the_connection_are_fine(dashd):
    first = dashd.call()
    wire = dashd.accept()
    wire.send(b"HTTP/1.1 102 Processing\r\n\r\n" + ok(1))
    assert first.result == 1
    for number in range(5):
        call = dashd.call()
        wire.send(ok("x" * 60_000))  # each has a measure of its own
        assert len(call.result) == 60_000, number
    dashd.stop()


def test_an_answer_of_just_the_limit_is_read(dashd, monkeypatch):
    monkeypatch.setattr(rpc_module, "MAX_ANSWER", 100)
    call = dashd.call()
    dashd.accept().send(reply(b'{"result":5}'.ljust(100)))
    assert call.result == 5


def test_an_answer_without_a_length_ends_with_the_connection(dashd):
    call = dashd.call()
    wire = dashd.accept()
    wire.send(b'HTTP/1.0 200 OK\r\n\r\n{"result"')
    wire.send(b":7}")
    assert call.pending
    wire.hang_up()
    assert call.result == 7
    dashd.stop()


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200", reply(b'{"result":1}', length=50), b"\x00garbage\r\n\r\n"])
def test_a_connection_that_breaks_off(dashd, sent):
    call = dashd.call("getblockhash")
    wire = dashd.accept()
    wire.send(sent)
    wire.hang_up()
    assert type(call.error) is RpcUnavailable
    assert "getblockhash" in str(call.error)
    dashd.stop()


def test_nobody_listens(dashd):
    call = dashd.call()
    refuse(dashd.reactor, 0)
    dashd.reactor.advance(1)
    assert type(call.error) is RpcUnavailable
    assert str(call.error).startswith(URL)
    assert "refused" in str(call.error)
    dashd.stop()


# --- time and cancelling ---------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", reply(b'{"result":1', length=500)])
def test_a_dashd_that_hangs(dashd, sent):
    call = dashd.call("getblocktemplate", timeout=30)
    wire = dashd.accept()
    wire.send(sent)
    dashd.reactor.advance(29.9)
    assert call.pending
    dashd.reactor.advance(0.2)
    dashd.reactor.advance(0)
    assert isinstance(call.error, RpcTimeout)
    assert str(call.error) == f"{URL} did not answer getblocktemplate within 30 s"
    assert wire.lost
    dashd.stop()


def test_a_connection_that_is_not_made_in_time(dashd):
    call = dashd.call(timeout=3)
    dashd.reactor.advance(3)
    assert isinstance(call.error, RpcTimeout)
    dashd.reactor.advance(60)
    dashd.stop()


@pytest.mark.parametrize("how_far", ["connecting", "asked", "half answered"])
def test_a_caller_that_gives_up_hears_just_that(dashd, how_far):
    call = dashd.call()
    if how_far != "connecting":
        wire = dashd.accept()
        if how_far == "half answered":
            wire.send(reply(b'{"result":1', length=500))
    call.deferred.cancel()
    dashd.reactor.advance(0)
    assert type(call.error) is CancelledError
    dashd.stop()


# --- passwords -------------------------------------------------------------------------------------------


def test_a_wrong_password_says_where_it_came_from_and_not_what_it_is():
    dashd = Dashd("secret")
    call = dashd.call()
    dashd.accept().send(REFUSED)
    assert isinstance(call.error, RpcUnauthorized)
    assert str(call.error) == f"{URL} rejects user 'user' with the password from a test"
    assert dashd.source.reads == 1
    dashd.call()  # the next call reads again
    assert dashd.source.reads == 2


def test_a_cookie_that_changed_is_read_again_within_the_call():
    dashd = Dashd("old", "new")
    first = dashd.call()
    wire = dashd.accept()
    assert request_of(wire)[1] == b"user:old"
    wire.send(ok(1))
    second = dashd.call()
    assert request_of(wire)[1] == b"user:old"
    wire.send(REFUSED)
    assert request_of(wire)[1] == b"user:new"
    wire.send(ok(2))
    assert (first.result, second.result) == (1, 2)
    assert dashd.source.reads == 2
    dashd.stop()


def test_a_changed_cookie_that_is_refused_as_well_is_not_tried_for_ever():
    dashd = Dashd("old", "new")
    dashd.call()
    wire = dashd.accept()
    wire.send(ok(1))
    call = dashd.call()
    wire.send(REFUSED)
    wire.send(REFUSED)
    assert isinstance(call.error, RpcUnauthorized)
    wire.take()
    assert dashd.source.reads == 2


def test_a_cookie_that_is_missing_passes():
    dashd = Dashd(OperatorError("no cookie"), "p")
    call = dashd.call()
    assert type(call.error) is RpcUnavailable
    assert str(call.error) == "no cookie"
    again = dashd.call()
    dashd.accept().send(ok(3))
    assert again.result == 3


def test_a_password_is_sent_as_its_bytes():
    dashd = Dashd(b"stra\xdfe \xc3\x9f".decode("utf-8", "surrogateescape"))
    dashd.call()
    assert request_of(dashd.accept())[1] == b"user:stra\xdfe \xc3\x9f"


@pytest.mark.parametrize(
    "url", ["http://dash_core:9998/", "https://dash_core:9998/", "http://a..b/", "http://h\xe9/"]
)
def test_an_address_that_twisted_cannot_use_is_no_internal_error(url):
    client = RpcClient(make_environment(MemoryReactorClock()), url, FakeSource())
    call = Call(Deferred.fromCoroutine(client.call("getblockcount")))
    assert isinstance(call.error, RpcUnavailable)
    assert "cannot be reached" in str(call.error)
