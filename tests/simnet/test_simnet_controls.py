"""The controls beyond those of blocks and errors: ChainLocks, warnings, a frozen tip, a wrong clock, a start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from p2pool.dash.block import parse_block
from p2pool.simnet.faults import WARM_UP_STAGES
from p2pool.simnet.status import NodeStatus
from tests.simnet.capture_recipes import peer


def _error(simulation: Any, method: str, *params: object) -> tuple[int, str]:
    replies: list[Any] = []
    body = orjson.dumps({"id": 5, "method": method, "params": params})
    simulation.request(body).addBoth(replies.append)
    answer = orjson.loads(replies[0].body)
    assert answer["result"] is None
    return answer["error"]["code"], answer["error"]["message"]


# --- ChainLocks -----------------------------------------------------------------------------------------


def test_a_chainlock_covers_the_blocks_below(simulation: Any) -> None:
    hashes = simulation.find(5)
    assert simulation.call("getblockheader", hashes[0])["chainlock"] is False
    assert simulation.call("simnet_chainlock", hashes[2]) == hashes[2]
    locked = [simulation.call("getblockheader", hash_)["chainlock"] for hash_ in hashes]
    assert locked == [True, True, True, False, False]
    shown = simulation.call("getblock", hashes[1], 2)
    assert shown["chainlock"] is True
    assert shown["tx"][0]["instantlock"] is True  # a ChainLock is one for all that it covers
    assert shown["tx"][0]["instantlock_internal"] is False
    assert simulation.call("getblock", hashes[4], 2)["tx"][0]["instantlock"] is False
    in_block = simulation.call("getrawtransaction", shown["tx"][0]["txid"], True, hashes[1])
    assert (in_block["instantlock"], in_block["chainlock"]) == (True, True)


def test_getbestchainlock(simulation: Any) -> None:
    assert _error(simulation, "getbestchainlock") == (-32603, "Unable to find any ChainLock")
    assert simulation.call("spork", "show")["SPORK_19_CHAINLOCKS_ENABLED"] == 4070908800
    hashes = simulation.find(3)
    assert simulation.call("simnet_chainlock") == hashes[2]
    best = simulation.call("getbestchainlock")
    assert list(best) == ["blockhash", "height", "signature", "known_block", "hex"]
    assert (best["blockhash"], best["height"], best["known_block"]) == (hashes[2], 3, True)
    raw = bytes.fromhex(best["hex"])
    assert raw[:4] == (3).to_bytes(4, "little")
    assert raw[4:36][::-1].hex() == hashes[2]
    assert raw[36:].hex() == best["signature"]
    assert len(raw) == 4 + 32 + 96
    assert simulation.call("spork", "show")["SPORK_19_CHAINLOCKS_ENABLED"] == 0
    simulation.call("simnet_chainlock", hashes[0])  # an older one changes nothing
    assert simulation.call("getbestchainlock") == best


def test_a_chainlock_needs_a_block_of_the_best_chain(simulation: Any) -> None:
    simulation.find(2)
    [stale] = simulation.find(1, 1)
    assert _error(simulation, "simnet_chainlock", stale)[0] == -8
    assert _error(simulation, "simnet_chainlock", "1" * 64) == (-5, "Block not found")
    assert simulation.chain.chainlock is None


def test_a_locked_block_is_in_the_best_chain_for_good(simulation: Any) -> None:
    simulation.find(3)
    template = simulation.chain.template()
    simulation.call("simnet_chainlock", simulation.find()[0])
    sibling = simulation.block(template=template, coinbase=simulation.coinbase(template, b"other"))
    for _ in range(2):  # it is not remembered as a bad one
        assert simulation.call("submitblock", sibling.hex()) == "bad-chainlock"
    tip = simulation.chain.tip_hash
    assert simulation.find(3, 2) == []
    assert simulation.chain.tip_hash == tip
    above = simulation.find(2)
    assert simulation.chain.tip_hash == above[1]
    assert len(simulation.find(2, 1)) == 2  # above the locked block everything may happen
    assert simulation.call("getblockheader", above[1])["confirmations"] == -1


def test_a_side_branch_from_before_the_chainlock_grows_no_more(simulation: Any) -> None:
    simulation.find(3)
    [stale] = simulation.find(1, 1)
    simulation.call("simnet_chainlock")
    on_stale = simulation.chain.empty_template(simulation.chain.find(int(stale, 16)))
    block = simulation.block(template=on_stale)
    assert simulation.chain.submit(block) == "bad-chainlock"


# --- warnings, versions ---------------------------------------------------------------------------------


def test_warnings(simulation: Any) -> None:
    methods = ("getblockchaininfo", "getnetworkinfo", "getmininginfo")
    assert [simulation.call(method)["warnings"] for method in methods] == [""] * 3
    simulation.call("simnet_warnings", "the disk is full")
    assert [simulation.call(method)["warnings"] for method in methods] == ["the disk is full"] * 3
    simulation.call("simnet_warnings", "")
    assert [simulation.call(method)["warnings"] for method in methods] == [""] * 3
    assert _error(simulation, "simnet_warnings", "x" * 1001)[0] == -8


def test_reported_version(make_simulation: Callable[..., Any]) -> None:
    info = make_simulation(reported_version=190100).call("getnetworkinfo")
    assert (info["version"], info["buildversion"], info["subversion"]) == (
        190100,
        "v19.1.0",
        "/Dash Core:19.1.0/",
    )
    assert NodeStatus().sub_version == "/Dash Core:23.1.2/"
    assert NodeStatus(180203).release == "18.2.3"


# --- a frozen tip ---------------------------------------------------------------------------------------


def test_a_frozen_tip_takes_no_block(simulation: Any) -> None:
    simulation.find(2)
    [known] = simulation.find()
    simulation.call("simnet_freeze_tip", True)
    block = simulation.block()
    events: list[Any] = []
    simulation.chain.tip_changed.subscribe(events.append)
    for _ in range(2):
        assert simulation.call("submitblock", block.hex()) == "inconclusive"
    assert simulation.call("getbestblockhash") == known
    assert _error(simulation, "getblockheader", f"{parse_block(block).header.hash():064x}")[0] == -5
    assert simulation.find() == []
    assert events == []
    assert simulation.call("getblocktemplate", {})["previousblockhash"] == known  # all else goes on
    simulation.call("simnet_freeze_tip", False)
    assert simulation.call("submitblock", block.hex()) is None
    assert simulation.chain.height == 4


def test_a_frozen_tip_still_judges(simulation: Any) -> None:
    template = simulation.chain.template()
    simulation.find()
    simulation.call("simnet_freeze_tip", True)
    tip_block = simulation.chain.read(simulation.chain.tip).raw
    assert simulation.call("submitblock", tip_block.hex()) == "duplicate"
    too_much = simulation.coinbase(template=simulation.chain.template())
    outputs = (type(too_much.outputs[0])(2**40, b"\x51"), *too_much.outputs[1:])
    greedy = type(too_much)(3, 5, too_much.inputs, outputs, 0, too_much.extra_payload)
    bad = simulation.block(coinbase=greedy)
    for _ in range(2):
        assert simulation.call("submitblock", bad.hex()) == "bad-cb-amount"
    stale = simulation.block(template=template, coinbase=simulation.coinbase(template, b"other"))
    assert simulation.call("submitblock", stale.hex()) == "inconclusive"
    simulation.call("simnet_freeze_tip", False)
    assert simulation.call("submitblock", simulation.block().hex()) is None  # the ledger is as it was


# --- a wrong clock --------------------------------------------------------------------------------------


def test_a_wrong_clock(simulation: Any) -> None:
    simulation.wait_for_height(12)
    now = int(simulation.clock.seconds())
    simulation.call("simnet_clock_offset", 3600)
    assert simulation.call("getblocktemplate", {})["curtime"] == now + 3600
    assert simulation.call("getnettotals")["timemillis"] == (now + 3600) * 1000
    assert simulation.call("uptime") == 12 * 60  # a duration is one on any clock
    simulation.call("simnet_clock_offset", -30)
    assert simulation.call("getblocktemplate", {})["curtime"] == now - 30
    simulation.call("simnet_clock_offset", -86400)  # never below what the chain demands
    template = simulation.call("getblocktemplate", {})
    assert template["curtime"] == template["mintime"]
    block = simulation.block()
    assert simulation.call("submitblock", block.hex()) == "time-too-new"
    simulation.call("simnet_clock_offset", 0)
    assert simulation.call("submitblock", block.hex()) is None
    assert _error(simulation, "simnet_clock_offset", 1e10)[0] == -8


def test_peers_notice_a_wrong_clock(simulation: Any) -> None:
    simulation.call("simnet_clock_offset", 90)
    assert simulation.call("getnetworkinfo")["timeoffset"] == 0  # nobody is there to compare with
    peer(simulation)
    assert simulation.call("getnetworkinfo")["timeoffset"] == -90
    assert simulation.call("getpeerinfo")[0]["timeoffset"] == -90
    simulation.call("simnet_clock_offset", -7200)
    assert simulation.call("getnetworkinfo")["timeoffset"] == 0  # it trusts itself more than that


# --- a daemon that starts or catches up -----------------------------------------------------------------


def test_warm_up(simulation: Any) -> None:
    simulation.call("simnet_warmup", 8)
    said = []
    for _ in range(8):
        said.append(_error(simulation, "getblockchaininfo"))
        simulation.clock.advance(1)
    assert said == [(-28, stage) for stage in WARM_UP_STAGES for _ in range(2)]
    assert simulation.call("getblockcount") == 0


def test_syncing(simulation: Any) -> None:
    simulation.wait_for_height(8)
    info = simulation.call("getblockchaininfo")
    assert (info["initialblockdownload"], info["verificationprogress"]) == (False, 1)
    assert simulation.call("mnsync", "status")["IsSynced"] is True
    simulation.call("simnet_syncing", True)
    info = simulation.call("getblockchaininfo")
    assert info["initialblockdownload"] is True
    assert info["verificationprogress"] < 1
    assert simulation.call("mnsync", "status")["IsSynced"] is False
    # Test networks give templates all the same, except for superblocks.
    assert simulation.call("getblocktemplate", {})["height"] == 9
    simulation.find()
    assert _error(simulation, "getblocktemplate", {}) == (-10, "Dash Core is syncing with network...")
    simulation.call("simnet_syncing", False)
    assert simulation.call("getblocktemplate", {})["height"] == 10


def test_signalling(make_simulation: Callable[..., Any]) -> None:
    simulation = make_simulation(signalling_until=3)
    seen = []
    for _ in range(4):
        template = simulation.call("getblocktemplate", {})
        fork = simulation.call("getblockchaininfo")["softforks"]["testdummy"]
        seen.append((template["version"], template["rules"], fork["bip9"]["status"], fork.get("height")))
        simulation.find()
    plain, signalling = 0x20000000, 0x30000000
    assert seen == [
        (plain, ["csv"], "defined", None),
        (signalling, ["csv"], "started", None),
        (signalling, ["csv"], "started", None),
        (plain, ["csv", "testdummy"], "active", 3),
    ]


# --- figures --------------------------------------------------------------------------------------------


def test_estimated_fees(simulation: Any) -> None:
    nothing = {"errors": ["Insufficient data or no feerate found"], "blocks": 0}
    simulation.find(2)
    assert simulation.call("estimatesmartfee", 6) == nothing
    simulation.call("simnet_sendtx", 10)
    [block] = simulation.find()
    shown = simulation.call("getblock", block, 2)
    fees = sum(round(entry["fee"] * 10**8) for entry in shown["tx"][1:])
    estimate = simulation.call("estimatesmartfee", 6, "ECONOMICAL")
    assert estimate == {"feerate": fees * 1000 // shown["size"] / 10**8, "blocks": 6}
    assert _error(simulation, "estimatesmartfee", 1009)[0] == -8


def test_masternodes_take_turns(simulation: Any) -> None:
    simulation.wait_for_height(12)
    nodes = simulation.call("masternode", "list")
    assert simulation.call("masternode", "count")["total"] == len(nodes) == 8
    payees = {node["payee"] for node in nodes.values()}
    assert len(payees) == 8
    winners = simulation.call("masternode", "winners", "5")
    assert list(winners) == [str(height) for height in range(7, 21)]
    template = simulation.call("getblocktemplate", {})
    assert winners["13"] == template["masternode"][1]["payee"]
    last = {node["lastpaidblock"]: node["payee"] for node in nodes.values()}
    assert sorted(last) == list(range(5, 13))
    assert last[12] == winners["12"]
    [payment] = simulation.call("masternode", "payments")
    assert payment["blockhash"] == simulation.chain.tip_hash
    paid = {
        o["scriptPubKey"]["hex"]: o["valueSat"]
        for o in simulation.call("getblock", payment["blockhash"], 2)["tx"][0]["vout"]
    }
    for payee in payment["masternodes"][0]["payees"]:
        assert paid[payee["script"]] == payee["amount"]
    three = simulation.call("masternode", "payments", payment["blockhash"], 3)
    assert [each["height"] for each in three] == [10, 11, 12]
    assert three[2] == payment


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("masternode", ["payments", "12"], -8),
        ("masternode", ["payments", "1" * 64], -5),
        ("masternode", ["winners", "many"], -8),
        ("masternode", ["winners", -1], -8),
        ("masternode", ["start"], -32601),
        ("masternode", [], -32601),
        ("gobject", ["submit"], -32601),
        ("getsuperblockbudget", [7], -8),
        ("getsuperblockbudget", [0.5], -8),
        ("getnetworkhashps", [1.5], -1),
        ("sendrawtransaction", ["zz"], -22),
        ("simnet_connect", ["nowhere"], -8),
        ("simnet_connect", ["host:0"], -8),
        ("simnet_connect", [":1"], -8),
        ("simnet_connect", ["host:65536"], -8),
        ("simnet_warmup", [-1], -8),
        ("simnet_freeze_tip", [1], -3),
    ],
)
def test_refused(simulation: Any, method: str, params: list[object], code: int) -> None:
    assert _error(simulation, method, *params)[0] == code


def test_governance(simulation: Any, make_simulation: Callable[..., Any]) -> None:
    simulation.wait_for_height(12)
    info = simulation.call("getgovernanceinfo")
    assert (info["lastsuperblock"], info["nextsuperblock"], info["superblockcycle"]) == (10, 20, 10)
    objects = simulation.call("gobject", "list")
    [trigger] = [each for each in objects.values() if each["ObjectType"] == 2]
    proposals = [each for each in objects.values() if each["ObjectType"] == 1]
    data = orjson.loads(trigger["DataString"])
    assert bytes.fromhex(trigger["DataHex"]).decode() == trigger["DataString"]
    assert data["event_block_height"] == 20
    assert data["proposal_hashes"].split("|") == [each["Hash"] for each in proposals]
    simulation.wait_for_height(19)
    superblock = simulation.call("getblocktemplate", {})["superblock"]
    assert data["payment_addresses"].split("|") == [each["payee"] for each in superblock]
    amounts = [round(float(amount) * 10**8) for amount in data["payment_amounts"].split("|")]
    assert amounts == [each["amount"] for each in superblock]
    assert simulation.call("getsuperblockbudget", 20) == sum(amounts) / 10**8 == info["governancebudget"]
    without = make_simulation(superblock_interval=0)
    assert without.call("gobject", "list") == {}
    assert without.call("getgovernanceinfo")["nextsuperblock"] == 0


def test_sent_transactions(simulation: Any) -> None:
    coins = simulation.faucet_coins()
    first, again = simulation.spend(coins[0], 1000), simulation.spend(coins[0], 999)
    sent = simulation.call("sendrawtransaction", first.pack().hex())
    assert simulation.call("getrawmempool") == [sent]
    assert _error(simulation, "sendrawtransaction", first.pack().hex()) == (-26, "txn-already-in-mempool")
    assert _error(simulation, "sendrawtransaction", again.pack().hex()) == (-26, "txn-mempool-conflict")
    lost = simulation.spend((12345, 0), 1)
    assert _error(simulation, "sendrawtransaction", lost.pack().hex()) == (-25, "bad-txns-inputs-missingorspent")


def test_network_hashes_of_a_part_of_the_chain(make_simulation: Callable[..., Any]) -> None:
    simulation = make_simulation(initial_attempts=256)
    simulation.wait_for_height(30)
    expected = pytest.approx(256 / 60, rel=0.2)
    for params in ((), (10,), (10, 15), (-1,), (120, -1), (5, 1000)):
        assert simulation.call("getnetworkhashps", *params) == expected
    assert simulation.call("getnetworkhashps", 10, 0) == 0
