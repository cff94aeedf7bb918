"""The checks of a Dash Core, from what was learnt of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pool.app.config import load_config
from p2pool.dashd.facts import DaemonFacts, WrongDaemon
from p2pool.dashd.rpc import RpcError, RpcForbidden, RpcTimeout, RpcUnauthorized, RpcUnavailable
from p2pool.dashd.wallet import wallet_problem
from p2pool.operators.dashd_checks import (
    DaemonReport,
    check_clock,
    check_daemon_report,
    check_p2p,
    check_reached,
    check_synchronised,
    check_wallet,
    check_zmq,
)
from p2pool.operators.dashd_facts import needs_wallet
from p2pool.operators.findings import Level

FACTS = DaemonFacts(
    agent="/Dash Core:23.1.2/",
    version=230_102,
    chain="main",
    blocks=10,
    headers=10,
    initial_download=False,
    progress=1.0,
    connections=8,
    time_offset=0,
    warnings="",
)
GOOD = DaemonReport(url="http://h:9998/", facts=FACTS, template_time=1000, local_time=1001.0, p2p_port=9999)


def test_a_good_daemon():
    found = list(check_daemon_report(GOOD))
    assert {each.level for each in found} == {Level.OK}
    assert [each.subject for each in found] == ["dashd", "dashd templates", "clock", "wallet", "dashd p2p", "ZMQ"]


@pytest.mark.parametrize(
    ("error", "subject", "words"),
    [
        (RpcUnauthorized("rejects user 'u'"), "dashd login", "rpcpassword"),
        (RpcForbidden("add submitblock to its rpcwhitelist"), "dashd login", "rpcwhitelist"),
        (WrongDaemon("dashd is on the chain 'test'"), "dashd version and chain", "chain 'test'"),
        (RpcError(-28, "Loading block index"), "dashd", "wait until it has started"),
        (RpcError(-32601, "Method not found"), "dashd", "debug.log"),
        (RpcTimeout("did not answer"), "dashd", "restart it"),
        (RpcUnavailable("Connection refused"), "dashd", "start dashd"),
    ],
)
def test_a_daemon_that_cannot_be_used_is_one_fault(error, subject, words):
    report = DaemonReport(url="http://h:9998/", error=error)
    (found,) = check_daemon_report(report)
    assert found == check_reached(report)
    assert (found.level, found.subject) == (Level.FAULT, subject)
    assert words in f"{found.text} {found.advice}"


def test_synchronised():
    assert check_synchronised(GOOD).level is Level.OK
    behind = replace(GOOD, facts=replace(FACTS, initial_download=True, progress=0.5))
    assert "50.0%" in check_synchronised(behind).text
    assert check_synchronised(behind).level is Level.FAULT
    alone = replace(GOOD, template_error=RpcError(-9, "Dash Core is not connected!"))
    assert check_synchronised(alone).level is Level.FAULT
    assert "peers" in check_synchronised(alone).advice
    assert check_synchronised(replace(GOOD, template_error=RpcUnavailable("gone"))).level is Level.FAULT


@pytest.mark.parametrize(
    ("local", "level", "words"),
    [
        (1060.0, Level.OK, "agrees"),
        (1100.0, Level.WARNING, "1 min 40 s ahead of"),
        (940.0, Level.OK, "agrees"),
        (900.0, Level.WARNING, "behind"),
        (1000.0 + 3 * 3600, Level.FAULT, "3 h 0 min ahead of"),
    ],
)
def test_clock(local, level, words):
    found = check_clock(replace(GOOD, local_time=local))
    assert found.level is level
    assert words in found.text


def test_clocks_that_others_have():
    peers = check_clock(replace(GOOD, facts=replace(FACTS, time_offset=-90)))
    assert (peers.level, "-90 s" in peers.text) == (Level.WARNING, True)
    assert check_clock(replace(GOOD, template_time=None)).level is Level.WARNING


def test_wallet():
    assert check_wallet(GOOD).level is Level.OK
    assert check_wallet(replace(GOOD, wallet_needed=True)).level is Level.OK
    for code in (-18, -19, -32601, -4):
        error = wallet_problem(RpcError(code, "no"))
        found = check_wallet(replace(GOOD, wallet_needed=True, wallet_error=error))
        assert found.level is Level.FAULT
        assert "give -a" in f"{found.text} {found.advice}"


def test_when_a_wallet_is_needed(tmp_path):
    address = "XdgF55wEHBRWwbuBniNYH4GvvaoYMgL84u"
    assert not needs_wallet(load_config(["-a", address], tmp_path, {}))
    assert needs_wallet(load_config(["-a", "dynamic"], tmp_path, {}))
    config = load_config([], tmp_path, {})
    assert needs_wallet(config)
    config.datadir.mkdir()
    (config.datadir / "cached_payout_address").write_text(address)
    assert not needs_wallet(config)


def test_p2p_and_zmq():
    assert check_p2p(replace(GOOD, p2p_problem="h:9999: Connection refused")).level is Level.WARNING
    offered = "tcp://127.0.0.1:28332"
    assert offered in check_zmq(replace(GOOD, published=(offered,))).text
    used = replace(GOOD, zmq="tcp://h:1", published=(offered,))
    assert check_zmq(used).level is Level.OK
    wrong = check_zmq(replace(used, zmq_problem="Connection refused"))
    assert (wrong.level, offered in wrong.text) == (Level.WARNING, True)
    assert "set zmqpubhashblock" in check_zmq(replace(used, zmq_problem="refused", published=())).text
    silent = check_zmq(replace(used, published=()))
    assert (silent.level, "zmqpubhashblock=tcp://h:1" in silent.advice) == (Level.WARNING, True)


def test_what_the_daemon_warns_of():
    *_, last = check_daemon_report(replace(GOOD, facts=replace(FACTS, warnings="unknown rules")))
    assert last.level is Level.WARNING
    assert "unknown rules" in last.text
