"""The answers of a real Dash Core 23, capture by capture: the same keys in the same order, the same JSON types,
and where nothing depends on the chain the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from twisted.internet.defer import Deferred

# --- the same bytes -------------------------------------------------------------------------------------

IDENTICAL = [
    "10_getbestchainlock",
    "10_getblock_unknown_hash",
    "10_getblockhash_out_of_range",
    "10_getblockheader_unknown_hash",
    "10_getconnectioncount",
    "10_getmempoolinfo",
    "10_getnetworkinfo",
    "10_getpeerinfo",
    "10_getrawmempool",
    "10_getrawmempool_verbose",
    "10_validateaddress_badchecksum",
    "10_validateaddress_empty",
    "10_validateaddress_garbage",
    "10_validateaddress_mainnet_addr",
    "10_validateaddress_p2pkh_regtest",
    "10_validateaddress_p2sh_regtest",
    "20_batch_empty",
    "20_getblock_wrong_type",
    "20_getblocktemplate_invalid_mode_str",
    "20_getblocktemplate_invalid_mode_type",
    "20_getblocktemplate_param_string",
    "20_getwork_removed",
    "20_invalid_request_method_missing",
    "20_jsonrpc2_error",
    "20_not_an_object",
    "20_params_wrong_type",
    "20_parse_error",
    "20_unknown_method",
    "40_getblocktemplate_proposal_baddata",
    "40_getblocktemplate_proposal_nodata",
    "40_submitblock_empty_string",
    "40_submitblock_not_hex",
    "40_submitblock_truncated_header",
    "70_mainnet_stop",
]


def _load(captures: Path, name: str) -> Any:
    return orjson.loads((captures / f"{name}.json").read_bytes())


def _body(request: Any) -> bytes:
    return request.encode() if isinstance(request, str) else orjson.dumps(request)


def _reply(simulation: Any, body: bytes) -> tuple[int, bytes]:
    results: list[Any] = []
    simulation.request(body).addBoth(results.append)
    [reply] = results
    return reply.status, reply.body


@pytest.mark.parametrize("name", IDENTICAL)
def test_identical(simulation: Any, captures: Path, name: str) -> None:
    capture = _load(captures, name)
    status, body = _reply(simulation, _body(capture["request"]))
    assert status == capture["http_status"]
    assert orjson.loads(body) == capture["response"]
    if ":0.0000" not in capture["response_raw"]:  # Dash Core pads amounts to eight digits; the number is the same
        assert body.decode() == capture["response_raw"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("20_warmup_minus28_2", "warmup"),
        ("70_mainnet_getblocktemplate_not_connected", "notconnected"),
        ("70_mainnet_getblocktemplate_in_ibd", "initialdownload"),
    ],
)
def test_errors_on_demand(simulation: Any, captures: Path, name: str, kind: str) -> None:
    capture = _load(captures, name)
    simulation.call("simnet_error", 1, kind)
    status, body = _reply(simulation, _body(capture["request"]))
    assert (status, body.decode()) == (capture["http_status"], capture["response_raw"])


# --- the help texts are ours, the rest of these answers is the same -------------------------------------


@pytest.mark.parametrize(
    ("name", "first_word"),
    [
        ("20_getblock_too_many_args", "getblockcount"),
        ("20_validateaddress_no_params", "validateaddress"),
        ("40_submitblock_no_params", "submitblock"),
    ],
)
def test_help_as_error(simulation: Any, captures: Path, name: str, first_word: str) -> None:
    capture = _load(captures, name)
    status, body = _reply(simulation, _body(capture["request"]))
    ours, theirs = orjson.loads(body), capture["response"]
    assert status == capture["http_status"] == 500
    assert (ours["result"], ours["id"]) == (None, "cap")
    assert ours["error"]["code"] == theirs["error"]["code"] == -1
    assert ours["error"]["message"].split()[0] == theirs["error"]["message"].split()[0] == first_word


# --- the same shape -------------------------------------------------------------------------------------

# Objects whose keys are data.
DYNAMIC = {"result:getrawmempool", "bytessent_per_msg", "bytesrecv_per_msg"}


def _type(value: object) -> str:
    for name, types in (("bool", bool), ("number", (int, float)), ("string", str), ("object", dict)):
        if isinstance(value, types):  # type: ignore[arg-type]
            return name
    return "null" if value is None else "array"


def differences(ours: Any, theirs: Any, path: str) -> list[str]:
    """What is different in form: missing and extra keys, their order, types."""
    if _type(ours) != _type(theirs):
        return [f"{path}: {_type(ours)} instead of {_type(theirs)}"]
    if isinstance(ours, dict):
        if path.rsplit("/", 1)[-1] in DYNAMIC:
            return differences(list(ours.values()), list(theirs.values()), path)
        if list(ours) != list(theirs):
            return [f"{path}: keys {list(ours)} instead of {list(theirs)}"]
        return [d for key in ours for d in differences(ours[key], theirs[key], f"{path}/{key}")]
    if isinstance(ours, list) and theirs:
        found = []
        for index, item in enumerate(ours):
            candidates = [differences(item, other, f"{path}[{index}]") for other in theirs]
            best = min(candidates, key=len)
            found += best
        return found
    return []


def _same_form(simulation: Any, captures: Path, name: str, request: Any = None, drop: tuple[str, ...] = ()) -> Any:
    capture = _load(captures, name)
    asked = request or capture["request"]
    status, body = _reply(simulation, _body(asked))
    ours, theirs = orjson.loads(body), capture["response"]
    assert status == capture["http_status"]
    for key in drop:
        theirs["result"].pop(key)
    method = asked["method"] if isinstance(asked, dict) else "batch"
    assert list(ours) == list(theirs) if isinstance(ours, dict) else True
    if isinstance(ours, list):
        assert differences(ours, theirs, "batch") == []
    else:
        assert differences(ours["result"], theirs["result"], f"result:{method}") == []
        assert differences(ours["error"], theirs["error"], "error") == []
    return ours


def _call(method: str, *params: object) -> dict[str, object]:
    return {"jsonrpc": "1.0", "id": "cap", "method": method, "params": list(params)}


SIMPLE = [
    "00_getblockchaininfo_height0",
    "10_getblockchaininfo",
    "10_getbestblockhash",
    "10_getblockcount",
    "10_getdifficulty",
    "10_uptime",
    "20_batch",
    "20_jsonrpc2_ok",
    "20_named_params",
    "90_getblockchaininfo",
    "90_getrawmempool",
    "90_getrawmempool_verbose",
    "30_getrawmempool",
    "30_getrawmempool_verbose",
    "30_getmempoolinfo",
    "10_getblocktemplate_capabilities",
    "10_getblocktemplate_empty_obj",
    "10_getblocktemplate_empty_params",
    "10_getblocktemplate_mode_template",
    "30_getblocktemplate_with_txs_capabilities",
    "30_getblocktemplate_with_txs_empty_obj",
    "30_getblocktemplate_with_txs_empty_params",
    "30_getblocktemplate_with_txs_mode_template",
    "60_getblocktemplate_with_masternodes_and_txs_capabilities",
    "60_getblocktemplate_with_masternodes_and_txs_empty_obj",
    "60_getblocktemplate_with_masternodes_and_txs_empty_params",
    "60_getblocktemplate_with_masternodes_and_txs_mode_template",
    "61_matched_1_getblocktemplate",
    "50_getblocktemplate_longpoll_new_block",
    "10_getchaintips",
]


@pytest.mark.parametrize("name", SIMPLE)
def test_form(simulation: Any, captures: Path, name: str) -> None:
    simulation.busy()
    if name == "00_getblockchaininfo_height0":
        # Before its activation testdummy has no `height`; all is active from our first block on.
        capture = _load(captures, name)["response"]["result"]
        ours = simulation.call("getblockchaininfo")
        del ours["softforks"]["testdummy"]["height"]
        assert differences(ours, capture, "result") == []
        return
    _same_form(simulation, captures, name)


@pytest.mark.parametrize("name", ["10_getmininginfo", "30_getmininginfo", "90_getmininginfo"])
def test_getmininginfo_form(simulation: Any, captures: Path, name: str) -> None:
    simulation.busy()
    simulation.call("getblocktemplate", {})
    _same_form(simulation, captures, name)


def test_getmininginfo_before_a_template(simulation: Any, captures: Path) -> None:
    _same_form(simulation, captures, "70_mainnet_getmininginfo")


def test_superblock_template_form(simulation: Any, captures: Path) -> None:
    capture = _load(captures, "71_regtest_getblocktemplate_superblock")["response"]["result"]
    simulation.busy()
    ours = simulation.call("getblocktemplate", {})
    assert ours["height"] == 10
    # On the captured chain the version bit of testdummy was still being signalled.
    capture["vbavailable"] = {}
    assert differences(ours, capture, "result") == []
    assert [entry["script"][:2] for entry in ours["superblock"]] == ["76", "a9"]
    assert [entry["script"][:2] for entry in capture["superblock"]] == ["76", "a9"]


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("10_getblock_verbosity0", (0,)),
        ("10_getblock_verbosity1", (1,)),
        ("10_getblockheader", ()),
        ("10_getblockheader_false_hex", (False,)),
        ("61_matched_3_getblockheader", ()),
    ],
)
def test_tip_form(simulation: Any, captures: Path, name: str, extra: tuple[object, ...]) -> None:
    simulation.busy()
    simulation.find()
    method = name.split("_")[1] if name[:2] == "10" else "getblockheader"
    _same_form(simulation, captures, name, _call(method, simulation.chain.tip_hash, *extra))


@pytest.mark.parametrize(
    "name", ["10_getrawtransaction_coinbase_verbose", "90_getrawtransaction_coinbase_verbose"]
)
def test_coinbase_form(simulation: Any, captures: Path, name: str) -> None:
    simulation.find()
    tip = simulation.chain.tip_hash
    [coinbase] = simulation.call("getblock", tip)["tx"]
    _same_form(simulation, captures, name, _call("getrawtransaction", coinbase, True, tip))


@pytest.mark.parametrize(
    "name",
    ["10_getblock_verbosity2", "61_matched_3_getblock_verbosity2", "71_regtest_getblock_superblock"],
)
def test_full_block_form(simulation: Any, captures: Path, name: str) -> None:
    simulation.busy(15 if name[:2] == "10" else 9)
    if name[:2] != "61":
        simulation.drop_waiting()  # these captured blocks hold no ordinary transactions
    simulation.find()
    ours = _same_form(simulation, captures, name, _call("getblock", simulation.chain.tip_hash, 2))
    assert len(ours["result"]["tx"]) > (1 if name[:2] != "71" else 0)


def test_stale_form(simulation: Any, captures: Path) -> None:
    simulation.wait_for_height(5)
    stale = simulation.find(1, 1)[0]
    for name in ("40_getblock_stale_confirmations_minus1", "40_getblockheader_stale_confirmations_minus1"):
        ours = _same_form(simulation, captures, name, _call(name.split("_")[1], stale))
        assert ours["result"]["confirmations"] == -1
    ours = _same_form(simulation, captures, "40_getchaintips_after_stale", _call("getchaintips"))
    assert len(ours["result"]) == 2


def test_getblockhash_form(simulation: Any, captures: Path) -> None:
    simulation.wait_for_height(3)
    ours = _same_form(simulation, captures, "10_getblockhash_tip", _call("getblockhash", 3))
    assert ours["result"] == simulation.chain.tip_hash


def test_blocks_below_the_tip_name_their_follower(simulation: Any) -> None:
    simulation.wait_for_height(3)
    first = simulation.call("getblockhash", 1)
    shown = simulation.call("getblock", first)
    assert shown["nextblockhash"] == simulation.call("getblockhash", 2)
    assert shown["confirmations"] == 3
    genesis = simulation.call("getblockheader", simulation.call("getblockhash", 0))
    assert "previousblockhash" not in genesis


def test_which_captures_are_not_compared(captures: Path) -> None:
    """Calls that nobody makes of us, or states that a simulation of an active test chain cannot have."""
    compared = {*IDENTICAL, *SIMPLE}
    compared |= {
        *("10_getblock_verbosity0", "10_getblock_verbosity1", "10_getblock_verbosity2"),
        *("10_getblockhash_tip", "10_getblockheader", "10_getblockheader_false_hex", "10_getmininginfo"),
        *("30_getmininginfo", "70_mainnet_getmininginfo", "71_regtest_getblocktemplate_superblock"),
        *("61_matched_3_getblockheader", "61_matched_3_getblock_verbosity2", "71_regtest_getblock_superblock"),
        *("40_getblock_stale_confirmations_minus1", "40_getblockheader_stale_confirmations_minus1"),
        *("40_getchaintips_after_stale", "20_warmup_minus28_2", "40_submitblock_no_params"),
        *("10_getrawtransaction_coinbase_verbose", "90_getrawtransaction_coinbase_verbose"),
        *("20_getblock_too_many_args", "20_validateaddress_no_params", "11_getpeerinfo_one_peer"),
    }
    reasons = {
        # before DIP 3 and during initial download: the simulated chain has everything active from block 1
        "00_getblocktemplate_height0_in_ibd": "dip3",
        "01_getblocktemplate_h151_pre_dip3": "dip3",
        "01_getblocktemplate_h432_first_dip3_v20_mnrr": "no masternodes",
        "71_regtest_getblocktemplate_superblock_height_not_synced": "never unsynced",
        "71_regtest_getblocktemplate_superblock_height_synced_no_trigger": "a trigger always exists",
        # the authorization is tested with the HTTP server
        "20_auth_missing": "http",
        "20_auth_wrong_password": "http",
        # the other texts of the same error
        "20_warmup_minus28_1": "text",
        "20_warmup_minus28_3": "text",
        "20_warmup_minus28_4": "text",
        # our node has a wallet: getnewaddress answers
        "20_wallet_method_without_wallet": "wallet",
        # with one peer: the figures of 10_getnetworkinfo, and what the connecting side sees
        "11_getnetworkinfo_one_peer": "figures",
        "11_getpeerinfo_outbound_side": "outbound",
        # one main network, which a simulation never is, and no JSON-RPC
        "80_zmq_hashblock": "zmq",
    }
    unused_methods = (
        *("estimatesmartfee", "getgovernanceinfo", "getindexinfo", "getnettotals", "getnetworkhashps"),
        *("getzmqnotifications", "masternode", "mnsync", "quorum", "spork"),
        *("sendrawtransaction", "gobject", "getsuperblockbudget"),
    )
    for path in captures.glob("*.json"):
        name = path.stem
        method = name.split("_", 1)[1].removeprefix("regtest_")
        known = (
            name in compared
            or name in reasons
            or method.startswith(unused_methods)
            or "submitblock" in name  # test_simnet_captured_blocks, which checks that it has them all
            or "_proposal_" in name
            or name.startswith(("70_mainnet", "90_"))  # main network; the calls of 10 at another height
        )
        assert known, name


def test_long_poll_answer_is_a_template(simulation: Any, captures: Path) -> None:
    capture = _load(captures, "50_getblocktemplate_longpoll_new_block")
    simulation.wait_for_height(2)
    identifier = simulation.call("getblocktemplate", {})["longpollid"]
    request = _call("getblocktemplate", {"longpollid": identifier, "capabilities": ["longpoll"]})
    answers: list[Any] = []
    waiting: Deferred[Any] = simulation.request(_body(request))
    waiting.addBoth(answers.append)
    assert answers == []
    simulation.find()
    ours = orjson.loads(answers[0].body)
    assert differences(ours, capture["response"], "answer") == []
    assert ours["result"]["previousblockhash"] == simulation.chain.tip_hash
