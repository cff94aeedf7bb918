"""Every answer of a real Dash Core, as the node reads it.

Each capture with an HTTP body goes through the RPC client. Those of methods that the node calls go on to what
calls them, and what comes out is compared with what the capture says. A method that the node calls and that is not
looked at here makes a test fail.
"""

from __future__ import annotations

import ast
import json
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock

from p2pool.base.errors import ParseError
from p2pool.dash.address import decode_address
from p2pool.dash.block import parse_block
from p2pool.dash.hashes import sha256d_int
from p2pool.dashd.credentials import Credentials
from p2pool.dashd.daemon import BlockPosition, Daemon
from p2pool.dashd.facts import WrongDaemon, check_daemon, parse_facts
from p2pool.dashd.heights import BlockHeights
from p2pool.dashd.rpc import RpcClient, RpcError, RpcUnauthorized, RpcUnavailable
from p2pool.dashd.service import DashdService
from p2pool.dashd.template_parsing import parse_template
from p2pool.dashd.wallet import Wallet, WalletProblem
from p2pool.dashd.zmq_notice import parse_hashblock
from p2pool.networks import DASH, DASH_REGTEST
from tests.dashd.wires import Wire
from tests.environment import make_environment
from tests.support import ROOT, TESTS, capture, parse_module

FILES = sorted(path.stem for path in (TESTS / "captures").glob("*.json"))
ANSWERS = [name for name in FILES if "response_raw" in capture(name)]


def of_method(method: str) -> list[str]:
    """The captures of one method's answers."""
    return [name for name in ANSWERS if capture(name)["request"] and _method(name) == method]


def _method(name: str) -> str | None:
    request = capture(name)["request"]
    return request.get("method") if isinstance(request, dict) else None


# --- the RPC client --------------------------------------------------------------------------------------


class OnePassword:
    """Credentials that never change."""

    def read(self) -> Credentials:
        return Credentials("u", "p", "from a test")


class Replayed:
    """A client whose calls are answered with the captures of these names, in their order, over HTTP in memory."""

    def __init__(self, *names: str) -> None:
        self._captures = [capture(name) for name in names]
        self._reactor = MemoryReactorClock()
        self._client = RpcClient(make_environment(self._reactor), "http://127.0.0.1:9998/", OnePassword())
        self._wire: Wire | None = None
        self.asked: list[tuple[str, tuple[Any, ...]]] = []

    async def call(self, method: str, *params: Any, timeout: float = 15.0) -> Any:
        self.asked.append((method, params))
        calling = Deferred.fromCoroutine(self._client.call(method, *params, timeout=timeout))
        if self._wire is None:
            self._wire = Wire(self._reactor, 0)
        recorded = self._captures.pop(0)
        body = recorded["response_raw"].encode()
        head = [f"HTTP/1.1 {recorded['http_status']} Whatever"]
        head += [f"{name}: {value}" for name, value in recorded.get("http_headers", {}).items()]
        if "http_headers" not in recorded:
            head.append(f"Content-Length: {len(body)}")
        self._wire.send("\r\n".join([*head, "", ""]).encode() + body)
        return await calling


def result_of(coroutine: Any) -> Any:
    """What it returns, or raises."""
    results: list[Any] = []
    failures: list[Any] = []
    Deferred.fromCoroutine(coroutine).addCallbacks(results.append, failures.append)
    for failure in failures:
        failure.raiseException()
    return results[0]


def answered(name: str) -> Any:
    """The result of a capture, through the client."""
    return result_of(Replayed(name).call("anything"))


def test_every_file_is_an_answer_or_zmq() -> None:
    assert set(FILES) - set(ANSWERS) == {"80_zmq_hashblock"}
    assert len(ANSWERS) > 150


@pytest.mark.parametrize("name", ANSWERS)
def test_result_or_error(name: str) -> None:
    recorded = capture(name)
    response = recorded["response"]
    if recorded["http_status"] == 401:
        with pytest.raises(RpcUnauthorized):
            answered(name)
    elif isinstance(response, list):  # the answer to a batch, which the node never sends
        with pytest.raises(RpcUnavailable, match="list instead of an object"):
            answered(name)
    elif response["error"] is not None:
        with pytest.raises(RpcError) as error:
            answered(name)
        assert error.value.code == response["error"]["code"]
        first_line = response["error"]["message"].split("\n")[0]
        assert error.value.message.startswith(first_line)
    else:
        assert answered(name) == response["result"] == json.loads(recorded["response_raw"])["result"]


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("20_warmup_minus28_1", -28, "Loading banlist…"),
        ("20_warmup_minus28_2", -28, "Loading block index…"),
        ("20_warmup_minus28_3", -28, "Verifying blocks…"),
        ("20_warmup_minus28_4", -28, "Starting network threads…"),
        ("70_mainnet_getblocktemplate_not_connected", -9, "Dash Core is not connected!"),
        ("70_mainnet_getblocktemplate_in_ibd", -10, "Dash Core is in initial sync and waiting for blocks..."),
        (
            "71_regtest_getblocktemplate_superblock_height_not_synced",
            -10,
            "Dash Core is syncing with network...",
        ),
        ("10_getblockheader_unknown_hash", -5, "Block not found"),
        ("10_getblockhash_out_of_range", -8, "Block height out of range"),
        ("40_submitblock_not_hex", -22, "Block decode failed"),
        ("20_wallet_method_without_wallet", -32601, "Method not found"),
        ("10_getbestchainlock", -32603, "Unable to find any ChainLock"),
    ],
)
def test_errors_that_matter(name: str, code: int, message: str) -> None:
    with pytest.raises(RpcError) as error:
        answered(name)
    assert (error.value.code, error.value.message) == (code, message)


# --- what the node calls ---------------------------------------------------------------------------------

LOOKED_AT = frozenset(
    {
        *("getbestblockhash", "getblockchaininfo", "getblockhash", "getblockheader", "getblocktemplate"),
        *("getnetworkinfo", "getnewaddress", "getpeerinfo", "submitblock"),
    }
)
NOT_CAPTURED = {
    "getauxblock": "daemons of other chains",
    "getaddressinfo": "the captured daemon was built without a wallet",
}


def test_every_method_that_the_node_calls_is_looked_at_here() -> None:
    called = set()
    for path in sorted((ROOT / "p2pool" / "dashd").glob("*.py")):
        for node in ast.walk(parse_module(path)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ("call", "_call")
                and node.args
                and isinstance(node.args[0], ast.Constant)
            ):
                called.add(node.args[0].value)
    assert called == LOOKED_AT | set(NOT_CAPTURED)
    for method in LOOKED_AT:
        assert of_method(method), method
    for method in NOT_CAPTURED:
        assert not of_method(method), method


def daemon(*names: str) -> Daemon:
    """A daemon that answers so."""
    rpc, clock = Replayed(*names), Clock()
    service = DashdService(make_environment(clock), rpc, network=DASH_REGTEST, name="HERE")
    return Daemon("HERE", rpc, service, clock=clock.seconds)


@pytest.mark.parametrize("name", of_method("getblocktemplate"))
def test_templates(name: str) -> None:
    """A template, the verdict on a proposal (which is no template), or an error."""
    if capture(name)["response"]["error"] is not None:
        with pytest.raises(RpcError):
            answered(name)
        return
    answer = answered(name)
    if not isinstance(answer, dict):
        assert "proposal" in name
        with pytest.raises(ParseError):
            parse_template(answer, DASH_REGTEST.parent.addresses, 0.0)
        return
    template = parse_template(answer, DASH_REGTEST.parent.addresses, 5.0)
    assert template.height == answer["height"]
    assert f"{template.previous_block:064x}" == answer["previousblockhash"]
    assert (template.version, f"{template.bits:08x}") == (answer["version"], answer["bits"])
    assert (template.current_time, template.minimum_time) == (answer["curtime"], answer["mintime"])
    assert (template.subsidy, template.long_poll_id) == (answer["coinbasevalue"], answer["longpollid"])
    payees = answer["masternode"] + answer["superblock"]
    assert template.payment_amount == sum(payee["amount"] for payee in payees)
    assert [amount for _, amount in template.payments] == [payee["amount"] for payee in payees]
    assert template.coinbase_payload.hex() == answer["coinbase_payload"]
    assert [transaction.data.hex() for transaction in template.transactions] == [
        transaction["data"] for transaction in answer["transactions"]
    ]
    assert template.fees == sum(transaction["fee"] for transaction in answer["transactions"])


@pytest.mark.parametrize(
    ("name", "height", "subsidy", "payments", "transactions"),
    [
        ("00_getblocktemplate_height0_in_ibd", 1, 50_000_000_000, 0, 0),
        ("01_getblocktemplate_h151_pre_dip3", 151, 46_428_571_429, 0, 0),
        ("01_getblocktemplate_h432_first_dip3_v20_mnrr", 432, 431_122_450, 1, 0),
        ("60_getblocktemplate_with_masternodes_and_txs_empty_obj", 616, 371_835_070, 2, 14),
        ("71_regtest_getblocktemplate_superblock", 180, 746_428_572, 4, 4),
    ],
)
def test_templates_in_figures(name: str, height: int, subsidy: int, payments: int, transactions: int) -> None:
    template = parse_template(answered(name), DASH_REGTEST.parent.addresses, 0.0)
    assert (template.height, template.subsidy) == (height, subsidy)
    assert (len(template.payments), len(template.transactions)) == (payments, transactions)


REASONS = {
    "40_submitblock_accepted": None,
    "40_submitblock_bad_merkle_root": "bad-txnmrklroot",
    "40_submitblock_coinbase_pays_too_much": "bad-cb-amount",
    "40_submitblock_coinbase_plain_v1": "bad-cb-type",
    "40_submitblock_duplicate": "duplicate",
    "40_submitblock_duplicate_invalid": "duplicate-invalid",
    "40_submitblock_fees_claimed_without_txs": "bad-cb-amount",
    "40_submitblock_high_hash": "high-hash",
    "40_submitblock_masternode_output_missing": "bad-cb-payee",
    "40_submitblock_payload_wrong_creditpool": "bad-cbtx-assetlocked-amount",
    "40_submitblock_payload_wrong_height": "bad-cbtx-height",
    "40_submitblock_payload_wrong_mnroot": "bad-cbtx-mnmerkleroot",
    "40_submitblock_prev_not_found": "prev-blk-not-found",
    "40_submitblock_stale_4_deep": "inconclusive",
    "40_submitblock_stale_again": "duplicate",
    "40_submitblock_stale_same_height": "inconclusive",
    "40_submitblock_time_too_new": "time-too-new",
    "40_submitblock_time_too_old": "time-too-old",
    "61_matched_2_submitblock": None,
    "71_regtest_submitblock_superblock_accepted": None,
    "71_regtest_submitblock_superblock_output_missing": "bad-cb-amount",
}
ERRORS = {
    "40_submitblock_empty_string": -22,
    "40_submitblock_header_only_no_tx": -22,
    "40_submitblock_no_params": -1,
    "40_submitblock_not_hex": -22,
    "40_submitblock_truncated_header": -22,
}


@pytest.mark.parametrize("name", of_method("submitblock"))
def test_submissions(name: str) -> None:
    if name in REASONS:
        assert result_of(daemon(name).submit_block(b"")) == REASONS[name]
        return
    with pytest.raises(RpcError) as error:
        result_of(daemon(name).submit_block(b""))
    assert error.value.code == ERRORS[name]


def test_the_block_of_the_matched_set() -> None:
    """The block that was accepted (61) is the one that getblock and getblockheader show."""
    raw = bytes.fromhex(capture("61_matched_2_submitblock")["request"]["params"][0])
    block = parse_block(raw)
    shown = answered("61_matched_3_getblock_verbosity2")
    assert f"{block.header.hash():064x}" == shown["hash"] == answered("61_matched_3_getblockheader")["hash"]
    assert [f"{sha256d_int(t.pack()):064x}" for t in block.transactions] == [t["txid"] for t in shown["tx"]]


POSITIONS = {
    "10_getblockheader": BlockPosition(1, False),
    "10_getblockheader_unknown_hash": BlockPosition(0, False),
    "40_getblockheader_stale_confirmations_minus1": BlockPosition(-1, False),
    "61_matched_3_getblockheader": BlockPosition(1, False),
    "90_getblockheader": BlockPosition(1, False),
}
HEADERS = ("10_getblockheader_false_hex", "90_getblockheader_false_hex")


@pytest.mark.parametrize("name", of_method("getblockheader"))
def test_headers(name: str) -> None:
    if name in HEADERS:
        wanted = capture(name)["request"]["params"][0]
        header = result_of(daemon(name).block_header(int(wanted, 16)))
        assert f"{header.hash():064x}" == wanted
        return
    assert result_of(daemon(name).block_position(5)) == POSITIONS[name]
    recorded = capture(name)["response"]
    learned: list[tuple[int, int]] = []
    heights = BlockHeights(Replayed(name), lambda *block: learned.append(block), lambda: 0.0)
    heights.request(77)
    assert learned == ([] if recorded["error"] else [(77, recorded["result"]["height"])])


@pytest.mark.parametrize("name", of_method("getblockhash"))
def test_block_hashes(name: str) -> None:
    result = capture(name)["response"]["result"]
    assert result_of(daemon(name).block_at(1)) == (None if result is None else int(result, 16))


@pytest.mark.parametrize("name", of_method("getbestblockhash"))
def test_heartbeats(name: str) -> None:
    """What the heartbeat compares with the template's parent."""
    assert int(answered(name), 16) == int(capture(name)["response"]["result"], 16) < 2**255


NETWORK_INFOS = {
    "10_getnetworkinfo": 0,
    "11_getnetworkinfo_one_peer": 1,
    "70_mainnet_getnetworkinfo": 1,
    "90_getnetworkinfo": 0,
}
"""Connections."""
CHAIN_INFOS: dict[str, tuple[str, int, bool, float]] = {
    "00_getblockchaininfo_height0": ("regtest", 0, True, 1.0),
    "10_getblockchaininfo": ("regtest", 450, False, 1.0),
    "70_mainnet_getblockchaininfo_genesis": ("main", 0, True, 1.135389020183264e-08),
    "90_getblockchaininfo": ("regtest", 618, False, 1.0),
}
"""Chain, blocks, initial download, progress."""


@pytest.mark.parametrize("network", of_method("getnetworkinfo"))
@pytest.mark.parametrize("chain", of_method("getblockchaininfo"))
def test_facts(chain: str, network: str) -> None:
    facts = parse_facts(answered(chain), answered(network))
    assert (facts.chain, facts.blocks, facts.initial_download, facts.progress) == CHAIN_INFOS[chain]
    assert facts.headers == facts.blocks
    assert facts.connections == NETWORK_INFOS[network]
    assert (facts.version, facts.agent) == (230102, "/Dash Core:23.1.2/")
    assert (facts.time_offset, facts.warnings) == (0, "")
    assert len(facts.problems()) == (1 if facts.initial_download else 0)


def test_the_right_and_the_wrong_daemon() -> None:
    right = Replayed("10_getblockchaininfo", "10_getnetworkinfo", "40_submitblock_empty_string")
    assert result_of(check_daemon(right, DASH_REGTEST)).line == "/Dash Core:23.1.2/ on chain regtest, height 450"
    main = Replayed(
        *("70_mainnet_getblockchaininfo_genesis", "70_mainnet_getnetworkinfo", "10_getblockheader"),
        "40_submitblock_empty_string",
    )
    assert result_of(check_daemon(main, DASH)).chain == "main"
    for network, chain in ((DASH, "10_getblockchaininfo"), (DASH_REGTEST, "70_mainnet_getblockchaininfo_genesis")):
        with pytest.raises(WrongDaemon, match="start the right dashd"):
            result_of(check_daemon(Replayed(chain, "10_getnetworkinfo"), network))
    fork = Replayed(
        "70_mainnet_getblockchaininfo_genesis", "70_mainnet_getnetworkinfo", "10_getblockheader_unknown_hash"
    )
    with pytest.raises(WrongDaemon, match="the one that has block"):
        result_of(check_daemon(fork, DASH))


PEERS = {
    "10_getpeerinfo": [],
    "11_getpeerinfo_one_peer": [],
    "11_getpeerinfo_outbound_side": ["127.0.0.1:19899"],
    "70_mainnet_getpeerinfo_empty": [],
    "70_mainnet_getpeerinfo_one_peer": [],
    "90_getpeerinfo": [],
}
"""Those that the daemon connected to itself."""


@pytest.mark.parametrize("name", of_method("getpeerinfo"))
def test_peers(name: str) -> None:
    assert result_of(daemon(name).network_peers()) == PEERS[name]


@pytest.mark.parametrize("name", of_method("getnewaddress"))
def test_a_daemon_without_a_wallet(name: str) -> None:
    with pytest.raises(WalletProblem, match="without a wallet: give -a ADDRESS"):
        result_of(Wallet(Replayed(name), DASH_REGTEST).new_address(None))


# --- what the node does not ask, but reads the same way --------------------------------------------------


@pytest.mark.parametrize("name", [name for name in of_method("validateaddress") if "no_params" not in name])
def test_addresses_are_judged_alike(name: str) -> None:
    """Our own reading of an address agrees with Dash Core's."""
    [text], told = capture(name)["request"]["params"], answered(name)
    versions = DASH_REGTEST.parent.addresses
    try:
        version, hash_bytes = decode_address(text)
    except ParseError:
        assert told["isvalid"] is False
        return
    assert told["isvalid"] is (version in (versions.pubkey_hash, versions.script_hash))
    if told["isvalid"]:
        assert told["isscript"] is (version == versions.script_hash)
        assert hash_bytes.hex() in told["scriptPubKey"]


@pytest.mark.parametrize("name", [name for name in of_method("getblock") if "verbosity0" in name])
def test_blocks(name: str) -> None:
    block = parse_block(bytes.fromhex(answered(name)))
    assert f"{block.header.hash():064x}" == capture(name)["request"]["params"][0]


def test_zmq() -> None:
    for message in capture("80_zmq_hashblock")["messages"]:
        frames = [bytes.fromhex(frame) for frame in message["frames_hex"]]
        assert f"{parse_hashblock(frames):064x}" == message["hash_rpc"]
