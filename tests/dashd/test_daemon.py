"""What is asked of one daemon about blocks and peers, and how good it is."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from p2pool.base.errors import ParseError
from p2pool.dashd.daemon import FRESH, SUBMIT_TIMEOUT, BlockPosition, Daemon
from p2pool.dashd.rpc import RpcError, RpcTimeout, RpcUnavailable
from p2pool.dashd.service import DashdService
from p2pool.networks import DASH_REGTEST
from tests.environment import make_environment
from tests.support import capture

DOWN = RpcUnavailable("connection refused")


class FakeRpc:
    """One answer for all, and what was asked."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.calls: list[tuple[Any, ...]] = []

    async def call(self, method: str, *params: Any, timeout: float = 15.0) -> Any:
        self.calls.append((method, params, timeout))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def daemon(answer: Any) -> Daemon:
    rpc, clock = FakeRpc(answer), Clock()
    return Daemon(
        "HERE",
        rpc,
        DashdService(make_environment(clock), rpc, network=DASH_REGTEST, name="HERE"),
        clock=clock.seconds,
    )


def result_of(coroutine) -> Any:
    results: list[Any] = []
    Deferred.fromCoroutine(coroutine).addBoth(results.append)
    return results[0]


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (None, None),
        ("high-hash", "high-hash"),
        ("a\nb" * 500, ("a?b" * 500)[:200]),
        ({"odd": 1}, "{'odd': 1}"),
    ],
)
def test_submitting_a_block(answer, result):
    made = daemon(answer)
    assert result_of(made.submit_block(b"\x00\xff")) == result
    assert made.rpc.calls == [("submitblock", ("00ff",), SUBMIT_TIMEOUT)]  # type: ignore[attr-defined]


def test_a_large_block_is_made_ready_once_for_all_daemons():
    one, other, data = daemon(None), daemon(None), bytes(1000)
    result_of(one.submit_block(data))
    result_of(other.submit_block(data))
    assert one.rpc.calls[0][1][0] is other.rpc.calls[0][1][0]  # type: ignore[attr-defined]


@pytest.mark.parametrize("error", [DOWN, RpcError(-22, "Block decode failed")])
def test_submitting_a_block_in_vain(error):
    assert result_of(daemon(error).submit_block(b"")).value is error


def answer_of(name: str) -> Any:
    return capture(name)["response"]["result"]


@pytest.mark.parametrize(
    ("answer", "position"),
    [
        (answer_of("10_getblockheader"), BlockPosition(1, False)),
        (answer_of("40_getblockheader_stale_confirmations_minus1"), BlockPosition(-1, False)),
        ({"confirmations": 7, "chainlock": True}, BlockPosition(7, True)),
        ({"confirmations": 7, "chainlock": "yes"}, BlockPosition(7, False)),
        (RpcError(-5, "Block not found"), BlockPosition(0, False)),
        (RpcError(-28, "Loading"), None),
        (DOWN, None),
        (RpcTimeout("5 s"), None),
        ({}, None),
        ({"confirmations": True}, None),
        ({"confirmations": "7"}, None),
        (None, None),
        ([1], None),
    ],
)
def test_where_a_block_lies(answer, position):
    made = daemon(answer)
    assert result_of(made.block_position(0xAB)) == position
    assert made.rpc.calls[0][:2] == ("getblockheader", (f"{0xAB:064x}",))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (f"{0xAB:064x}", 0xAB),
        ("zz" * 32, None),
        ("ab", None),
        (7, None),
        (None, None),
        (RpcError(-8, "Block height out of range"), None),
        (DOWN, None),
    ],
)
def test_the_block_of_a_height(answer, found):
    assert result_of(daemon(answer).block_at(7)) == found


def test_a_header():
    header = result_of(daemon(answer_of("10_getblockheader_false_hex")).block_header(5))
    assert f"{header.hash():064x}" == answer_of("10_getblockheader")["hash"]
    for garbage in ("", "zz", "00" * 79, "00" * 81, None, 5):
        assert result_of(daemon(garbage).block_header(5)).check(ParseError)
    assert result_of(daemon(DOWN).block_header(5)).value is DOWN


def test_the_nodes_that_it_connected_to():
    """Those that connected to it have a port that nobody listens on."""
    inbound, outbound = answer_of("11_getpeerinfo_one_peer"), answer_of("11_getpeerinfo_outbound_side")
    assert result_of(daemon(inbound).network_peers()) == []
    assert result_of(daemon(outbound).network_peers()) == [outbound[0]["addr"]]
    assert result_of(daemon([*inbound, *outbound]).network_peers()) == [outbound[0]["addr"]]
    for garbage in (None, {}, [1, None, {"addr": 5, "inbound": False}, {"addr": "x"}], "text"):
        assert result_of(daemon(garbage).network_peers()) == []
    assert result_of(daemon(DOWN).network_peers()).value is DOWN


def test_without_a_template_it_ranks_below_all():
    made = daemon(None)
    assert made.height == -1
    assert made.rank() == (-1, False, False)
    assert FRESH > 0
