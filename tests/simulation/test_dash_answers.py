"""The simulated Dash Core answers as the real one does: what p2pool reads is there, with the same types."""

from __future__ import annotations

import json
from typing import Any

import pytest

from p2pool.dash.address import payee_script
from p2pool.dash.hashes import hash_hex
from p2pool.dashd.facts import parse_facts
from p2pool.dashd.rpc import WARMING_UP, RpcError
from p2pool.dashd.template_parsing import parse_template
from tests.simulation.dash_chain import DashChain
from tests.simulation.dash_daemon import DaemonState, DashNetwork, SimulatedDaemon
from tests.simulation.events import EventQueue
from tests.simulation.network import Host, Internet
from tests.simulation.world import EPOCH, NETWORK
from tests.support import ROOT

CAPTURES = ROOT / "tests" / "captures"
HEADER_FIELDS = {"chainlock", "confirmations", "height"}
"""What p2pool reads of a block's header."""


def captured(name: str) -> Any:
    """Return what a real Dash Core answered."""
    return json.loads((CAPTURES / f"{name}.json").read_text("utf-8"))["response"]


@pytest.fixture
def daemon() -> SimulatedDaemon:
    internet = Internet(EventQueue("test"), lambda source, target: 0.05)
    network = DashNetwork(internet, DashChain(NETWORK, 0x207FFFFF, EPOCH), others=0.0)
    return network.add(internet.add(Host("n0", "11.0.0.1", "eu")))


def same_types(simulated: Any, real: Any, where: str) -> list[str]:
    """Return where two answers differ in type: members that both have, and the first entries of lists."""
    numbers = isinstance(simulated, int | float) and isinstance(real, int | float)
    if type(simulated) is not type(real) and not numbers:
        return [f"{where}: {type(simulated).__name__} and not {type(real).__name__}"]
    if isinstance(simulated, dict):
        return [
            problem
            for key in simulated.keys() & real.keys()
            for problem in same_types(simulated[key], real[key], f"{where}.{key}")
        ]
    if isinstance(simulated, list) and simulated and real:
        return same_types(simulated[0], real[0], f"{where}[0]")
    return []


@pytest.mark.parametrize(
    ("method", "capture", "lacking"),
    [
        ("getblocktemplate", "60_getblocktemplate_with_masternodes_and_txs_empty_params", set()),
        ("getblockchaininfo", "10_getblockchaininfo", None),
        ("getnetworkinfo", "10_getnetworkinfo", None),
        ("getbestblockhash", "10_getbestblockhash", None),
    ],
)
def test_answers_have_the_real_types(daemon, method, capture, lacking):
    simulated, real = daemon.answer(method, ()), captured(capture)["result"]
    assert same_types(simulated, real, method) == []
    if isinstance(simulated, dict):
        assert simulated.keys() <= real.keys()
    if lacking is not None:
        assert real.keys() - simulated.keys() == lacking


def test_transactions_of_a_template_have_the_real_fields(daemon):
    real = captured("60_getblocktemplate_with_masternodes_and_txs_empty_params")["result"]
    simulated = daemon.answer("getblocktemplate", ())
    assert simulated["transactions"][0].keys() == real["transactions"][0].keys()
    assert [each.keys() for each in simulated["masternode"]] == [each.keys() for each in real["masternode"]]


def test_p2pool_takes_a_template(daemon):
    template = parse_template(daemon.answer("getblocktemplate", ()), NETWORK.parent.addresses, EPOCH)
    assert template.previous_block == daemon.tip.hash
    paid = [(payee_script(payee, NETWORK.parent.addresses), amount) for payee, amount in template.payments]
    assert paid == [(each.script, each.value) for each in daemon.network.chain.due(template.subsidy)]


def test_p2pool_reads_the_same_facts(daemon):
    facts = parse_facts(daemon.answer("getblockchaininfo", ()), daemon.answer("getnetworkinfo", ()))
    real = parse_facts(captured("10_getblockchaininfo")["result"], captured("10_getnetworkinfo")["result"])
    assert (facts.agent, facts.version, facts.chain) == (real.agent, real.version, real.chain)
    assert facts.forks


def test_a_header_has_what_p2pool_reads(daemon):
    simulated = daemon.answer("getblockheader", (hash_hex(daemon.tip.hash),))
    real = captured("10_getblockheader")["result"]
    assert simulated.keys() >= HEADER_FIELDS
    assert real.keys() >= HEADER_FIELDS
    assert same_types(simulated, real, "getblockheader") == []


@pytest.mark.parametrize(
    ("method", "params", "capture"),
    [
        ("getblockheader", ("0" * 64,), "10_getblockheader_unknown_hash"),
        ("getblockhash", (1_000_000,), "10_getblockhash_out_of_range"),
        ("submitblock", ("",), "40_submitblock_empty_string"),
        ("submitblock", ("xyz",), "40_submitblock_not_hex"),
    ],
)
def test_errors_are_the_real_ones(daemon, method, params, capture):
    real = captured(capture)["error"]
    with pytest.raises(RpcError) as caught:
        daemon.answer(method, params)
    assert (caught.value.code, caught.value.message) == (real["code"], real["message"])


def test_a_daemon_that_starts_refuses_all_calls_and_listens_later(daemon):
    daemon.stop()
    daemon.start()
    real = captured("20_warmup_minus28_2")["error"]
    with pytest.raises(RpcError) as caught:
        daemon.answer("getbestblockhash", ())
    assert (caught.value.code, caught.value.message) == (real["code"], real["message"])
    assert caught.value.code == WARMING_UP
    assert daemon.host.ports == {}
    daemon.network.events.run(60.0)
    assert daemon.state is DaemonState.RUNNING
    assert list(daemon.host.ports) == [9999]


def test_a_daemon_that_is_stopped_while_it_starts_stays_down(daemon):
    daemon.stop()
    daemon.start()
    daemon.stop()
    daemon.network.events.run(60.0)
    assert daemon.state is DaemonState.DOWN


def test_a_block_is_later_than_the_median_of_eleven(daemon):
    chain, tip = daemon.network.chain, daemon.tip
    for number in range(11):
        tip = chain.anonymous(tip, "somebody", 100.0 * number, number)
    times = sorted([daemon.tip.timestamp, *(int(EPOCH + 100 * number) for number in range(11))][1:])
    assert chain.earliest(tip) == times[5] + 1
