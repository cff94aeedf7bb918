"""The RPC beyond the captures: parameters, controls and faults, long polls, and HTTP in front of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

from tests.simnet.http_wire import AUTHORIZED, HttpWire


def _ask(simulation: Any, method: str, *params: object) -> list[Any]:
    """The list that will hold the reply."""
    replies: list[Any] = []
    body = orjson.dumps({"id": 5, "method": method, "params": params})
    simulation.request(body).addBoth(replies.append)
    return replies


def _error(simulation: Any, method: str, *params: object) -> tuple[int, int, str]:
    [reply] = _ask(simulation, method, *params)
    answer = orjson.loads(reply.body)
    assert answer["result"] is None
    return reply.status, answer["error"]["code"], answer["error"]["message"]


# --- parameters -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "params", "code", "message"),
    [
        ("getblock", ["12"], -8, "blockhash must be of length 64 (not 2, for '12')"),
        ("getblock", ["x" * 64], -8, f"blockhash must be hexadecimal string (not '{'x' * 64}')"),
        ("getblock", ["_" * 64], -8, f"blockhash must be hexadecimal string (not '{'_' * 64}')"),
        ("getblock", ["0" * 64, "2"], -3, "JSON value of type string is not of expected type number"),
        ("getblockheader", [True], -3, "JSON value of type bool is not of expected type string"),
        ("getblockheader", ["0" * 64, 1], -3, "JSON value of type number is not of expected type bool"),
        ("getblockhash", [-1], -8, "Block height out of range"),
        ("getblockhash", [True], -3, "JSON value of type bool is not of expected type number"),
        ("getblockhash", [1.5], -1, "JSON integer out of range"),
        ("submitblock", [None], -3, "JSON value of type null is not of expected type string"),
        ("submitblock", ["00 00"], -22, "Block decode failed"),
        ("submitblock", ["é" * 200], -22, "Block decode failed"),
        ("getblocktemplate", [{"longpollid": "12"}], -8, "longpollid must be of length 64 (not 2, for '12')"),
        ("getblocktemplate", [[]], -3, "JSON value of type array is not of expected type object"),
        ("simnet_findblock", [0], -8, "the number of blocks must be between 1 and 100"),
        ("simnet_findblock", [1, 99], -8, "fork_depth must not exceed the height"),
        ("simnet_findblock", [1.5], -8, "count must be a whole number"),
        ("simnet_delay", [-1], -8, "seconds must be between 0 and 3600"),
        ("simnet_silence", [1e9], -8, "seconds must be between 0 and 3600"),
        ("simnet_error", [1, "x"], -8, "kind must be one of internal, warmup, notconnected, initialdownload"),
        ("simnet_sendtx", [1000], -8, "count must be between 0 and 200"),
    ],
)
def test_wrong_parameters(simulation: Any, method: str, params: list[object], code: int, message: str) -> None:
    assert _error(simulation, method, *params) == (500, code, message)


def test_named_parameters(simulation: Any) -> None:
    simulation.find()
    tip = simulation.chain.tip_hash

    def named(**params: object) -> Any:
        replies: list[Any] = []
        body = orjson.dumps({"id": 1, "method": "getblock", "params": params})
        simulation.request(body).addBoth(replies.append)
        return orjson.loads(replies[0].body)

    assert named(blockhash=tip, verbosity=1)["result"]["hash"] == tip
    assert named(blockhash=tip)["result"]["hash"] == tip
    assert named(hash=tip)["error"] == {"code": -8, "message": "Unknown named parameter hash"}
    assert named(verbosity=1)["error"]["code"] == -3


def test_verbosity_as_bool(simulation: Any) -> None:
    simulation.find()
    tip = simulation.chain.tip_hash
    assert simulation.call("getblock", tip, False) == simulation.call("getblock", tip, 0)
    assert simulation.call("getblock", tip, True) == simulation.call("getblock", tip)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 500, -32700),
        (b"null", 500, -32700),
        (b'"x"', 500, -32700),
        (b"{}", 400, -32600),
        (b'{"method": 5}', 400, -32600),
        (b'{"method": null}', 400, -32600),
        (b'{"method": "uptime", "params": "x"}', 400, -32600),
        (b"\xff\xfe", 500, -32700),
        (b"[" * 5000, 500, -32700),
    ],
)
def test_malformed_requests(simulation: Any, body: bytes, status: int, code: int) -> None:
    replies: list[Any] = []
    simulation.request(body).addBoth(replies.append)
    assert replies[0].status == status
    assert orjson.loads(replies[0].body)["error"]["code"] == code


def test_batches(simulation: Any) -> None:
    replies: list[Any] = []
    simulation.request(b'[5, {"id": 1}, {"id": 2, "method": "uptime"}]').addBoth(replies.append)
    answers = orjson.loads(replies[0].body)
    assert [a["error"] and a["error"]["code"] for a in answers] == [-32600, -32600, None]
    simulation.request(b"[" + b"5," * 1000 + b"5]").addBoth(replies.append)
    assert replies[1].status == 400


METHODS = [
    *("getblock", "getblockheader", "getblockhash", "submitblock", "validateaddress", "getblocktemplate"),
    *("getrawmempool", "getnewaddress", "help", "stop", "simnet_error", "simnet_sendtx", "simnet_delay"),
    *("masternode", "gobject", "getnetworkhashps", "estimatesmartfee", "sendrawtransaction", "getindexinfo"),
    *("getsuperblockbudget", "simnet_chainlock", "simnet_connect", "simnet_disconnect", "simnet_warnings"),
    *("simnet_clock_offset", "simnet_warmup", "simnet_syncing"),
]
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(METHODS),
    _JSON,
)
def test_any_parameters_get_an_answer(simulation: Any, method: str, params: Any) -> None:
    simulation.faults.fail(0)
    simulation.faults.delay(0)
    simulation.faults.warm_up(0)
    replies: list[Any] = []
    try:
        body = orjson.dumps({"id": 1, "method": method, "params": params})
    except TypeError:  # a lone surrogate
        return
    waiting = simulation.request(body)
    waiting.addBoth(replies.append)
    if not replies:  # a long poll
        simulation.long_polls._release_all()
    assert replies[0].status in (200, 400, 404, 500)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_bytes_get_an_answer(simulation: Any, body: bytes) -> None:
    replies: list[Any] = []
    simulation.request(body).addBoth(replies.append)
    assert replies[0].status in (200, 400, 404, 500)


def test_small_methods(simulation: Any) -> None:
    first, second = simulation.call("getnewaddress"), simulation.call("getnewaddress", "label")
    assert first != second
    assert simulation.call("validateaddress", first)["isvalid"]
    simulation.clock.advance(12.7)
    assert simulation.call("uptime") == 12
    assert "getblocktemplate" in simulation.call("help").split("\n")
    assert simulation.call("help", "simnet_delay").startswith('simnet_delay "seconds"')
    assert "unknown command" in simulation.call("help", "x")
    stopped: list[None] = []
    simulation.methods.stop_requested.subscribe(stopped.append)
    assert simulation.call("stop") == "Dash Core stopping"
    assert stopped == [None]


def test_network_hash_rate(make_simulation: Callable[..., Any]) -> None:
    simulation = make_simulation(initial_attempts=256)
    assert simulation.call("getmininginfo")["networkhashps"] == 0
    simulation.wait_for_height(20)
    assert simulation.call("getmininginfo")["networkhashps"] == pytest.approx(256 / 60, rel=0.1)


def test_disk_failure_is_an_error(simulation: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(raw: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(simulation.chain.store, "append", fail)
    status, code, message = _error(simulation, "submitblock", simulation.block().hex())
    assert (status, code) == (500, -20)
    assert "No space left" in message


# --- transactions ---------------------------------------------------------------------------------------


def test_getrawtransaction_waits_then_stands_in_a_block(simulation: Any) -> None:
    [waiting] = simulation.call("simnet_sendtx", 1)
    raw = simulation.call("getrawtransaction", waiting)
    shown = simulation.call("getrawtransaction", waiting, True)
    assert (shown["txid"], shown["hex"], shown["chainlock"]) == (waiting, raw, False)
    assert "blockhash" not in shown
    assert "in_active_chain" not in shown
    [block] = simulation.call("simnet_findblock")
    assert simulation.call("getrawtransaction", waiting) == raw
    assert simulation.call("getrawtransaction", waiting, False, block) == raw
    by_hash, in_block = (simulation.call("getrawtransaction", waiting, 1, *where) for where in ((), (block,)))
    assert in_block == {"in_active_chain": True} | by_hash
    assert (by_hash["blockhash"], by_hash["height"], by_hash["confirmations"]) == (block, 1, 1)
    assert by_hash["time"] == by_hash["blocktime"] == simulation.call("getblock", block)["time"]


def test_getrawtransaction_of_a_left_branch(simulation: Any) -> None:
    [left] = simulation.call("simnet_findblock")
    coinbase = simulation.call("getblock", left)["tx"][0]
    simulation.call("simnet_findblock", 2, 1)
    shown = simulation.call("getrawtransaction", coinbase, True, left)
    assert (shown["in_active_chain"], shown["height"], shown["confirmations"]) == (False, -1, 0)
    assert "time" not in shown


def test_getrawtransaction_refused(simulation: Any) -> None:
    [first, block] = simulation.call("simnet_findblock", 2)
    coinbase = simulation.call("getblock", first)["tx"][0]
    hint = "Use gettransaction for wallet transactions."
    for params, code, message in (
        (("1" * 64,), -5, f"No such mempool or blockchain transaction. {hint}"),
        ((coinbase, True, block), -5, f"No such transaction found in the provided block. {hint}"),
        ((coinbase, True, "1" * 64), -5, "Block hash not found"),
        (("12",), -8, "parameter 1 must be of length 64 (not 2, for '12')"),
        ((coinbase, True, "12"), -8, "parameter 3 must be of length 64 (not 2, for '12')"),
        ((coinbase, "yes"), -3, "JSON value of type string is not of expected type bool"),
    ):
        assert _error(simulation, "getrawtransaction", *params) == (500, code, message)


def test_getrawtransaction_looks_through_the_newest_blocks_only(
    simulation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("p2pool.simnet.rpc_transactions._SEARCHED_BLOCKS", 2)
    [first, _] = simulation.call("simnet_findblock", 2)
    coinbase = simulation.call("getblock", first)["tx"][0]
    assert simulation.call("getrawtransaction", coinbase, True)["confirmations"] == 2
    simulation.call("simnet_findblock")
    assert _error(simulation, "getrawtransaction", coinbase)[1] == -5
    assert simulation.call("getrawtransaction", coinbase, True, first)["confirmations"] == 3


# --- controls and faults --------------------------------------------------------------------------------


def test_find_and_send(simulation: Any) -> None:
    hashes = simulation.call("simnet_sendtx", 5)
    assert simulation.call("getrawmempool") == hashes
    found = simulation.call("simnet_findblock", 2)
    assert simulation.call("getbestblockhash") == found[1]
    assert simulation.call("getblock", found[0])["nTx"] == 6
    assert simulation.call("simnet_findblock", 2, 1)[1] == simulation.call("getbestblockhash")
    assert simulation.call("getblockheader", found[1])["confirmations"] == -1
    assert len(simulation.call("simnet_findblock")) == 1


def test_silence(simulation: Any) -> None:
    simulation.call("simnet_silence", 30)
    assert _ask(simulation, "uptime") == [None]
    assert simulation.call("simnet_sendtx") != []  # the controls are heard
    simulation.clock.advance(29)
    assert _ask(simulation, "getblockcount") == [None]
    simulation.clock.advance(1)
    assert simulation.call("getblockcount") == 0


def test_errors(simulation: Any) -> None:
    simulation.call("simnet_error", 2)
    assert _error(simulation, "uptime")[:2] == (500, -32603)
    simulation.call("simnet_error", 1, "warmup")
    assert _error(simulation, "uptime")[:2] == (500, -28)
    assert simulation.call("uptime") == 0


def test_delay(simulation: Any) -> None:
    simulation.call("simnet_delay", 3)
    replies = _ask(simulation, "getblockcount")
    simulation.clock.advance(2.9)
    assert replies == []
    simulation.clock.advance(0.2)
    assert replies[0].status == 200
    simulation.call("simnet_delay", 0)
    assert simulation.call("getblockcount") == 0


# --- long polls -----------------------------------------------------------------------------------------


def _poll(simulation: Any) -> list[Any]:
    identifier = simulation.call("getblocktemplate", {})["longpollid"]
    return _ask(simulation, "getblocktemplate", {"longpollid": identifier})


def test_long_poll_ends_with_a_block(simulation: Any) -> None:
    replies = _poll(simulation)
    simulation.clock.advance(59)
    assert replies == []
    assert simulation.chain.submit(simulation.block()) is None
    assert orjson.loads(replies[0].body)["result"]["height"] == 2
    assert simulation.clock.getDelayedCalls() == []


def test_long_poll_ends_a_minute_after_the_mempool_grew(simulation: Any) -> None:
    replies = _poll(simulation)
    simulation.clock.advance(1)
    simulation.transactions.make()
    simulation.clock.advance(58.5)
    assert replies == []
    simulation.clock.advance(1)
    assert len(orjson.loads(replies[0].body)["result"]["transactions"]) == 1
    replies = _poll(simulation)
    simulation.clock.advance(60)
    assert replies == []
    simulation.transactions.make()
    simulation.clock.advance(10)
    assert len(replies) == 1


def test_long_poll_for_an_old_tip_is_answered_at_once(simulation: Any) -> None:
    old = simulation.call("getblocktemplate", {})["longpollid"]
    simulation.find()
    assert simulation.call("getblocktemplate", {"longpollid": old})["height"] == 2
    assert simulation.call("getblocktemplate", {"longpollid": "0" * 64 + "x"})["height"] == 2


def test_long_poll_of_a_caller_who_went_away(simulation: Any) -> None:
    identifier = simulation.call("getblocktemplate", {})["longpollid"]
    body = orjson.dumps({"id": 1, "method": "getblocktemplate", "params": [{"longpollid": identifier}]})
    waiting = simulation.request(body)
    waiting.addErrback(lambda failure: None)
    waiting.cancel()
    assert simulation.clock.getDelayedCalls() == []
    assert simulation.chain.submit(simulation.block()) is None


def test_long_polls_are_bounded(simulation: Any) -> None:
    polls = [_poll(simulation) for _ in range(70)]
    assert sum(1 for replies in polls if replies) == 6
    simulation.long_polls.release()
    assert all(len(replies) == 1 for replies in polls)


# --- HTTP -----------------------------------------------------------------------------------------------


CALL = b'{"jsonrpc": "1.0", "id": "cap", "method": "getblockcount", "params": []}'


def test_http_call(simulation: Any) -> None:
    connection = HttpWire(simulation)
    for kind in ("application/json", "application/x-www-form-urlencoded", "text/plain"):
        connection.send(CALL, AUTHORIZED, f"Content-Type: {kind}")
        status, headers, body = connection.take()
        assert (status, headers["Content-Type"]) == (200, "application/json")
        assert body == b'{"result":0,"error":null,"id":"cap"}\n'


def test_http_statuses(simulation: Any) -> None:
    connection = HttpWire(simulation)
    for body, status in ((b'{"method":"x"}', 404), (b"{}", 400), (b"{", 500), (b"[]", 200)):
        connection.send(body, AUTHORIZED)
        assert connection.take()[0] == status
    connection.send(b"", method="GET")
    assert connection.take()[::2] == (405, b"JSONRPC server handles only POST requests")


def test_http_authorization(simulation: Any, captures: Any) -> None:
    capture = orjson.loads((captures / "20_auth_missing.json").read_bytes())
    connection = HttpWire(simulation)
    connection.send(CALL)
    status, headers, body = connection.take()
    assert (status, body) == (capture["http_status"], b"")
    for name in ("WWW-Authenticate", "Content-Type", "Content-Length"):
        assert headers[name] == capture["http_headers"][name]
    for wrong in ("Basic !!!", "Basic dTp4", "Bearer x", "Basic"):
        connection.send(CALL, f"Authorization: {wrong}")
        assert connection.transport.value() == b""
        simulation.clock.advance(0.25)  # a wrong password is answered late
        assert connection.take()[0] == 401


def test_http_long_poll_and_lost_connection(simulation: Any) -> None:
    connection = HttpWire(simulation)
    identifier = simulation.call("getblocktemplate", {})["longpollid"]
    body = orjson.dumps({"method": "getblocktemplate", "params": [{"longpollid": identifier}]})
    connection.send(body, AUTHORIZED)
    assert connection.transport.value() == b""
    simulation.find()
    assert connection.take()[0] == 200
    identifier = simulation.call("getblocktemplate", {})["longpollid"]
    connection.send(
        orjson.dumps({"method": "getblocktemplate", "params": [{"longpollid": identifier}]}), AUTHORIZED
    )
    connection.protocol.connectionLost(Failure(ConnectionDone()))
    assert len(simulation.long_polls._waiting) == 0


def test_http_body_is_bounded(simulation: Any) -> None:
    connection = HttpWire(simulation)
    connection.protocol.dataReceived(
        f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {10**9}\r\n{AUTHORIZED}\r\n\r\n".encode()
    )
    chunk = bytes(1024 * 1024)
    for _ in range(20):
        if connection.transport.disconnecting:
            break
        connection.protocol.dataReceived(chunk)
    assert connection.transport.disconnecting


def test_http_connections_are_bounded(simulation: Any) -> None:
    connection = HttpWire(simulation)
    others = []
    for _ in range(100):
        protocol = connection.site.buildProtocol(None)
        if protocol is not None:
            protocol.makeConnection(StringTransport())
            others.append(protocol)
    assert len(others) == 63
    closed: list[None] = []
    connection.site.close().addCallback(closed.append)
    assert connection.transport.disconnecting
    for protocol in (connection.protocol, *others):
        assert closed == []
        protocol.connectionLost(Failure(ConnectionDone()))
    assert closed == [None]


def test_our_own_bug_is_a_500_and_logged(simulation: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(body: bytes) -> Deferred[None]:
        raise RuntimeError("a bug")

    monkeypatch.setattr(simulation.dispatcher, "handle", broken)
    connection = HttpWire(simulation)
    with capturedLogs() as logged:
        connection.send(CALL, AUTHORIZED)
    assert connection.take()[0] == 500
    assert [event["log_failure"].type for event in logged if "log_failure" in event] == [RuntimeError]
