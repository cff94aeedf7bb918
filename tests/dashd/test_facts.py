"""What a Dash Core says of itself, and what it may say instead."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from p2pool.dashd.facts import MAX_TIME_OFFSET, DaemonFacts, WrongDaemon, check_daemon, parse_facts, read_facts
from p2pool.dashd.rpc import RpcError, RpcForbidden, RpcUnavailable
from p2pool.networks import DASH, DASH_REGTEST, DASH_TESTNET
from tests.support import capture

CHAIN = capture("10_getblockchaininfo")["response"]["result"]
NETWORK = capture("10_getnetworkinfo")["response"]["result"]
MAIN_CHAIN = capture("70_mainnet_getblockchaininfo_genesis")["response"]["result"]
MAIN_NETWORK = capture("70_mainnet_getnetworkinfo")["response"]["result"]


class Rpc:
    """Answers by method; an exception is raised."""

    def __init__(self, chain: Any = CHAIN, network: Any = NETWORK, header: Any = None) -> None:
        self.answers = {"getblockchaininfo": chain, "getnetworkinfo": network, "getblockheader": header}
        self.answers["submitblock"] = RpcError(-22, "Block decode failed")
        self.asked: list[tuple[Any, ...]] = []

    async def call(self, method: str, *params: Any, timeout: float = 15.0) -> Any:
        self.asked.append((method, *params))
        answer = self.answers[method]
        if isinstance(answer, Exception):
            raise answer
        return answer


def result_of(coroutine: Any) -> Any:
    results: list[Any] = []
    Deferred.fromCoroutine(coroutine).addBoth(results.append)
    return results[0]


def check(on: Any = DASH_REGTEST, **answers: Any) -> Any:
    return result_of(check_daemon(Rpc(**answers), on))


def test_a_real_one():
    facts = result_of(read_facts(Rpc()))
    assert facts.agent == NETWORK["subversion"]
    assert facts.version == NETWORK["version"]
    assert (facts.chain, facts.blocks, facts.headers) == ("regtest", CHAIN["blocks"], CHAIN["headers"])
    assert facts.line == f"{NETWORK['subversion']} on chain regtest, height {CHAIN['blocks']}"
    assert facts.connections == NETWORK["connections"]
    assert facts.initial_download is CHAIN["initialblockdownload"]
    assert check() == facts


def test_a_real_one_that_synchronises():
    facts = parse_facts(MAIN_CHAIN, MAIN_NETWORK)
    assert facts.chain == "main"
    assert facts.initial_download
    assert any(text.startswith("is still synchronising (0.0%, block 0 of") for text in facts.problems())


def facts(**changes: Any) -> DaemonFacts:
    return parse_facts(CHAIN | {"warnings": ""} | changes, NETWORK | {"warnings": ""} | changes)


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        ({"initialblockdownload": False}, []),
        (
            {"initialblockdownload": True, "verificationprogress": 0.4567, "blocks": 5, "headers": 10},
            ["is still synchronising (45.7%, block 5 of 10)"],
        ),
        ({"warnings": "upgrade"}, ["warns: upgrade"]),
        ({"warnings": ["one", "two"]}, ["warns: one; two"]),
        ({"timeoffset": MAX_TIME_OFFSET}, []),
        (
            {"timeoffset": -MAX_TIME_OFFSET - 1},
            ["has a clock that differs by -61 s from those of its peers: synchronise it"],
        ),
    ],
)
def test_problems(changes, problems):
    assert facts(**changes).problems() == problems


def test_warnings_of_both_answers_are_said_once_each():
    def warned(first: Any, second: Any) -> str:
        return parse_facts(CHAIN | {"warnings": first}, NETWORK | {"warnings": second}).warnings

    assert warned("a", "a") == "a"
    assert warned("a", "b") == "a; b"
    assert warned(["a", "b"], "") == "a; b"
    assert warned(" ", []) == ""
    assert warned(None, 5) == ""
    assert len(warned(["x" * 1000] * 1000, "y" * 10**6)) < 700
    assert warned("two\nlines\x1b[31m", "") == "two?lines?[31m"


def deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(5000):
        value = [value]
    return value


@pytest.mark.parametrize("name", ["chain", "subversion", "version", "warnings", "verificationprogress"])
@pytest.mark.parametrize(
    "value", [None, True, 5, -1, 1e300, float("inf"), float("nan"), 10**400, "x", [], {}, deep()]
)
def test_wrong_types_are_no_traceback(name, value):
    answered = parse_facts(CHAIN | {name: value}, NETWORK | {name: value})
    assert 0.0 <= answered.progress <= 1.0
    assert len(answered.line) < 300
    answered.problems()
    checked = check(chain=CHAIN | {name: value}, network=NETWORK | {name: value})
    right = name not in ("chain", "version") or (name == "version" and value == 10**400)
    assert isinstance(checked, DaemonFacts) if right else checked.check(WrongDaemon)


@pytest.mark.parametrize("value", [None, True, 1.5, 2**53, -(2**53), 10**400, "7", [7]])
def test_what_is_no_number_that_there_can_be_counts_as_none(value):
    answered = parse_facts(
        CHAIN | {"blocks": value, "headers": value}, {"connections": value, "timeoffset": value}
    )
    numbers = answered.blocks, answered.headers, answered.connections, answered.time_offset, answered.version
    assert [(number, type(number)) for number in numbers] == [(0, int)] * 5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
ANSWER = st.dictionaries(st.sampled_from(sorted({*CHAIN, *NETWORK})), JSON)


@given(ANSWER, ANSWER)
def test_whatever_is_answered_becomes_facts(chain, network):
    answered = parse_facts(chain, network)
    assert answered.line.isprintable()
    assert all(problem.isprintable() for problem in answered.problems())


@pytest.mark.parametrize("answer", [None, [], "text", 5])
def test_answers_that_are_no_objects(answer):
    for rpc in (Rpc(chain=answer), Rpc(network=answer)):
        assert result_of(read_facts(rpc)).check(RpcUnavailable)
        assert result_of(check_daemon(rpc, DASH_REGTEST)).check(RpcUnavailable)


@pytest.mark.parametrize("error", [RpcError(-28, "Loading"), RpcUnavailable("refused")])
def test_what_the_calls_raise_is_raised(error):
    assert check(chain=error).value is error
    assert check(network=error).value is error
    assert check(network=NETWORK | {"version": 1}, chain=MAIN_CHAIN).check(WrongDaemon)


# --- is it the right one? --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on", "answers", "why"),
    [
        (DASH_REGTEST, {"chain": MAIN_CHAIN}, "'main', but --net dash_regtest needs 'regtest'"),
        (DASH, {}, "'regtest', but --net dash needs 'main'"),
        (DASH_TESTNET, {"chain": MAIN_CHAIN}, "needs a test network"),
        (DASH_REGTEST, {"chain": CHAIN | {"chain": None}}, "None"),
        (DASH_TESTNET, {"header": RpcError(-5, "Block not found")}, "the one that has block 00000bafbc94add7"),
        (DASH_REGTEST, {"network": NETWORK | {"version": 199_999}}, "has version 199999; 200000"),
        (DASH_REGTEST, {"network": NETWORK | {"version": "230000"}}, "has version '230000'"),
        (DASH_REGTEST, {"network": NETWORK | {"version": True}}, "has version True"),
        (DASH_REGTEST, {"network": {"subversion": "/x/"}}, "has version None"),
    ],
)
def test_the_wrong_one(on, answers, why):
    failure = check(on, **answers)
    assert failure.check(WrongDaemon)
    assert why in str(failure.value)


def test_the_oldest_that_is_right():
    assert check(network=NETWORK | {"version": 200_000}).version == 200_000


def test_a_user_that_may_not_submit_blocks_is_found_out_before_there_is_work():
    """A found block would be refused otherwise, and nobody had known."""
    rpc = Rpc()
    assert isinstance(result_of(check_daemon(rpc, DASH_REGTEST)), DaemonFacts)
    assert rpc.asked[-1] == ("submitblock", "")
    rpc.answers["submitblock"] = trouble = RpcForbidden("answers submitblock with HTTP 403")
    assert result_of(check_daemon(rpc, DASH_REGTEST)).value is trouble
    for harmless in (RpcError(-22, "Block decode failed"), RpcError(-32601, "Method not found"), "inconclusive"):
        rpc.answers["submitblock"] = harmless
        assert isinstance(result_of(check_daemon(rpc, DASH_REGTEST)), DaemonFacts)


def test_a_chain_with_a_known_block_is_asked_for_it():
    rpc = Rpc(header={})
    assert isinstance(result_of(check_daemon(rpc, DASH_TESTNET)), DaemonFacts)
    assert ("getblockheader", DASH_TESTNET.parent.known_block) in rpc.asked
    trouble = RpcError(-28, "Loading")
    assert check(DASH_TESTNET, header=trouble).value is trouble
