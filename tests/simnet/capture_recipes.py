"""For each capture of a real Dash Core: how the simulated one is brought to answer the same request, and how much
of its answer must be the same. `test_simnet_captures` runs them all, and demands one for each file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from twisted.internet.testing import StringTransport

from p2pool.dash import messages
from p2pool.dash.block import parse_block
from p2pool.dash.transaction import TxOutput
from p2pool.networks import DASH
from p2pool.simnet.finder import template_coinbase
from p2pool.simnet.p2p import SERVICES
from p2pool.simnet.payloads import parse_coinbase_payload
from p2pool.wire.framer import frame
from tests.dashd.wires import Wire

Request = Any
"""A request's JSON, or a text that is none."""


class Same(Enum):
    """How much of an answer must be the same; the HTTP status and the error's code always are."""

    BYTES = "bytes"
    """Everything, but how amounts are written: Dash Core pads them to eight digits."""
    SHAPE = "shape"
    """Keys in their order, and JSON types."""


@dataclass(frozen=True)
class Recipe:
    """How one capture is answered.

    `prepare` brings a simulation of `parameters` to the state and returns the request, or None for the captured
    one. `afterwards` makes a request that waits be answered. `credentials` are user:password, None for none.
    """

    same: Same
    prepare: Callable[[Any], Request | None] = lambda simulation: None
    afterwards: Callable[[Any], object] = lambda simulation: None
    parameters: dict[str, Any] = field(default_factory=dict)
    credentials: str | None = "u:p"


def call(method: str, *params: object) -> dict[str, object]:
    """A request as those of the captures."""
    return {"jsonrpc": "1.0", "id": "cap", "method": method, "params": list(params)}


# --- states ---------------------------------------------------------------------------------------------


def crowded(simulation: Any) -> None:
    """Fees were paid, and a waiting transaction is both spent and depends on another."""
    quiet_chain(simulation)
    for _ in range(60):
        simulation.transactions.make()


def busy_with_template(simulation: Any) -> None:
    """Transactions wait, and somebody asked for a template."""
    simulation.busy()
    simulation.call("getblocktemplate", {})


def quiet_chain(simulation: Any) -> None:
    """Some blocks, among them one with transactions, and nothing that waits."""
    simulation.busy()
    simulation.find()


def syncing(simulation: Any) -> None:
    """Still catching up."""
    simulation.call("simnet_syncing", True)


def _before_commitments(simulation: Any) -> None:
    """The next block begins with a quorum commitment."""
    simulation.busy(15)


def _commitments_only(simulation: Any) -> None:
    simulation.wait_for_height(15)


def _before_superblock(simulation: Any) -> None:
    simulation.busy(9)


def _unsynced_before_superblock(simulation: Any) -> None:
    simulation.wait_for_height(9)
    syncing(simulation)


def _stale_block(simulation: Any) -> str:
    simulation.wait_for_height(5)
    stale: str = simulation.find(1, 1)[0]
    return stale


def _branches(simulation: Any) -> None:
    _stale_block(simulation)
    simulation.find(2)


def _warming_up(stage: int) -> Callable[[Any], None]:
    def prepare(simulation: Any) -> None:
        simulation.call("simnet_warmup", 4)
        simulation.clock.advance(stage + 0.5)

    return prepare


def peer(simulation: Any) -> StringTransport:
    """Another daemon connects and completes the handshake."""
    transport = StringTransport()
    protocol = simulation.p2p.buildProtocol(transport.getPeer())
    protocol.makeConnection(transport)
    _shake(protocol, simulation)
    return transport


def called_peer(simulation: Any) -> Wire:
    """This daemon connects to another one, which has all the blocks that are here."""
    simulation.wait_for_height(3)
    simulation.call("simnet_connect", "127.0.0.1:19899")
    wire = Wire(simulation.clock, len(simulation.clock.tcpClients) - 1)
    _shake(wire, simulation)
    headers = messages.Headers((simulation.chain.tip.header,))
    _tell(wire, simulation, headers)
    return wire


def _tell(protocol: Any, simulation: Any, message: messages.Message) -> None:
    receive = getattr(protocol, "send", None) if isinstance(protocol, Wire) else protocol.dataReceived
    assert receive is not None
    receive(frame(simulation.parameters.parent.p2p_magic, message.command, message.pack()))


def _shake(protocol: Any, simulation: Any) -> None:
    version = messages.Version(
        70238,
        SERVICES,
        int(simulation.clock.seconds()),
        messages.NO_ADDRESS,
        messages.NO_ADDRESS,
        77,
        b"/Dash Core:23.1.2/",
        3,
        True,
    )
    _tell(protocol, simulation, version)
    _tell(protocol, simulation, messages.Verack())
    _tell(protocol, simulation, messages.Pong(0x1234))


def _with_peer(simulation: Any) -> None:
    peer(simulation)


def _with_called_peer(simulation: Any) -> None:
    called_peer(simulation)


def _syncing_with_peer(simulation: Any) -> None:
    peer(simulation)
    syncing(simulation)


# --- requests that name something of our own chain ------------------------------------------------------


def _tip(method: str, *params: object, prepare: Callable[[Any], object] = quiet_chain) -> Callable[[Any], Request]:
    def make(simulation: Any) -> Request:
        prepare(simulation)
        return call(method, simulation.chain.tip_hash, *params)

    return make


def _full_block(height: int, transactions: bool) -> Callable[[Any], Request]:
    """The block above `height`, with whole transactions; its own are quorum commitments where there are any."""

    def make(simulation: Any) -> Request:
        simulation.busy(height)
        if transactions:
            _send_data(simulation)
        else:
            simulation.drop_waiting()
        simulation.find()
        return call("getblock", simulation.chain.tip_hash, 2)

    return make


def _send_data(simulation: Any) -> None:
    """A transaction waits that carries data."""
    free = [coin for coin in simulation.faucet_coins() if simulation.chain.mempool.spender(coin) is None]
    spend = simulation.spend(free[0], 1_000_000)
    simulation.chain.add_transaction(replace(spend, outputs=(*spend.outputs, TxOutput(0, b"\x6a\x01\x01"))))


def _stale(method: str) -> Callable[[Any], Request]:
    return lambda simulation: call(method, _stale_block(simulation))


def _coinbase(simulation: Any) -> Request:
    simulation.find()
    tip = simulation.chain.tip_hash
    [coinbase] = simulation.call("getblock", tip)["tx"]
    return call("getrawtransaction", coinbase, True, tip)


def _hash_of_tip(simulation: Any) -> Request:
    simulation.wait_for_height(3)
    return call("getblockhash", 3)


def _superblock_budget(simulation: Any) -> Request:
    return call("getsuperblockbudget", 20)


def _long_poll(simulation: Any) -> Request:
    simulation.wait_for_height(2)
    identifier = simulation.call("getblocktemplate", {})["longpollid"]
    return call("getblocktemplate", {"longpollid": identifier, "capabilities": ["longpoll"]})


# --- blocks to submit and to propose --------------------------------------------------------------------


def _template(simulation: Any, **changes: Any) -> Any:
    return replace(simulation.chain.template(), **changes)


def _with_payload(simulation: Any, **changes: Any) -> bytes:
    coinbase = simulation.coinbase()
    payload = replace(parse_coinbase_payload(coinbase.extra_payload), **changes)
    return bytes(simulation.block(coinbase=replace(coinbase, extra_payload=payload.pack())))


def _header(**changes: Any) -> Callable[[Any], bytes]:
    return lambda simulation: bytes(simulation.block(header=lambda header: replace(header, **changes)))


def _one_duff_over(simulation: Any) -> bytes:
    value = simulation.chain.template().coinbase_value
    coinbase = template_coinbase(_template(simulation, coinbase_value=value + 1), b"\x51")
    return bytes(simulation.block(coinbase=coinbase))


def _plain_coinbase(simulation: Any) -> bytes:
    return bytes(simulation.block(coinbase=replace(simulation.coinbase(), version=1, type=0, extra_payload=b"")))


def _no_masternode(simulation: Any) -> bytes:
    coinbase = template_coinbase(_template(simulation, masternode=()), b"\x51")
    return bytes(simulation.block(coinbase=coinbase))


def _submitted(simulation: Any, raw: bytes) -> bytes:
    simulation.chain.submit(raw)
    return raw


def _sibling_of_tip(simulation: Any) -> bytes:
    template = simulation.chain.template()
    simulation.chain.submit(simulation.block(template=template))
    return bytes(simulation.block(template=template, coinbase=simulation.coinbase(template, b"other")))


def _four_deep(simulation: Any) -> bytes:
    template = simulation.chain.template()
    simulation.find(5)
    return bytes(simulation.block(template=template))


def _little_work(simulation: Any) -> bytes:
    for extra in range(100):
        raw = bytes(simulation.block(coinbase=simulation.coinbase(extra=b"%d" % extra), mined=False))
        header = parse_block(raw).header
        if header.hash() > simulation.chain.rules.initial_target:
            return raw
    raise AssertionError("no block without work")


def _without_superblock(simulation: Any) -> bytes:
    simulation.drop_waiting()
    simulation.wait_for_height(9)
    template = simulation.chain.template()
    paid = sum(payee.amount for payee in template.superblock)
    changed = replace(template, superblock=(), coinbase_value=template.coinbase_value - paid)
    return bytes(simulation.block(coinbase=simulation.coinbase(changed)))


def _with_superblock(simulation: Any) -> bytes:
    simulation.wait_for_height(9)
    return bytes(simulation.block())


SUBMISSIONS: dict[str, Callable[[Any], bytes]] = {
    "40_submitblock_accepted": lambda s: s.block(),
    "40_submitblock_bad_merkle_root": _header(merkle_root=1),
    "40_submitblock_coinbase_pays_too_much": _one_duff_over,
    "40_submitblock_coinbase_plain_v1": _plain_coinbase,
    "40_submitblock_duplicate": lambda s: _submitted(s, s.block()),
    "40_submitblock_duplicate_invalid": lambda s: _submitted(s, _one_duff_over(s)),
    "40_submitblock_fees_claimed_without_txs": lambda s: s.block(others=()),
    "40_submitblock_header_only_no_tx": lambda s: s.block()[:80] + b"\x00",
    "40_submitblock_high_hash": _little_work,
    "40_submitblock_masternode_output_missing": _no_masternode,
    "40_submitblock_payload_wrong_creditpool": lambda s: _with_payload(s, credit_pool_balance=1),
    "40_submitblock_payload_wrong_height": lambda s: _with_payload(s, height=1000),
    "40_submitblock_payload_wrong_mnroot": lambda s: _with_payload(s, masternode_list_root=1),
    "40_submitblock_prev_not_found": _header(previous_block=0x11),
    "40_submitblock_stale_4_deep": _four_deep,
    "40_submitblock_stale_again": lambda s: _submitted(s, _sibling_of_tip(s)),
    "40_submitblock_stale_same_height": _sibling_of_tip,
    "40_submitblock_time_too_new": _header(timestamp=1_795_340_000 + 100_000),
    "40_submitblock_time_too_old": _header(timestamp=1_700_000_000),
    "61_matched_2_submitblock": lambda s: s.block(),
    "71_regtest_submitblock_superblock_accepted": _with_superblock,
    "71_regtest_submitblock_superblock_output_missing": _without_superblock,
}
PROPOSALS: dict[str, Callable[[Any], bytes]] = {
    "40_getblocktemplate_proposal_ok": lambda s: s.block(mined=False),
    "40_getblocktemplate_proposal_bad": _one_duff_over,
    "40_getblocktemplate_proposal_stale_prev": _four_deep,
}


def _submission(make: Callable[[Any], bytes]) -> Recipe:
    def prepare(simulation: Any) -> Request:
        simulation.busy(3)
        return call("submitblock", make(simulation).hex())

    return Recipe(Same.BYTES, prepare)


def _proposal(make: Callable[[Any], bytes]) -> Recipe:
    return Recipe(
        Same.BYTES,
        lambda simulation: call("getblocktemplate", {"mode": "proposal", "data": make(simulation).hex()}),
    )


# --- the table ------------------------------------------------------------------------------------------

ON_MAIN = {"parent": DASH.parent}
ZMQ = {"zmq_port": 28332}
"""The port of the captures; nothing listens there in these tests."""
NO_SUPERBLOCKS = {"superblock_interval": 0}
SIGNALLING = {"signalling_until": 100}


def _same_bytes(*names: str, **options: Any) -> dict[str, Recipe]:
    return dict.fromkeys(names, Recipe(Same.BYTES, **options))


def _same_shape(*names: str, **options: Any) -> dict[str, Recipe]:
    return dict.fromkeys(names, Recipe(Same.SHAPE, **options))


def _every_form(prefix: str) -> list[str]:
    """The four ways of asking for a template."""
    return [f"{prefix}_{form}" for form in ("capabilities", "empty_obj", "empty_params", "mode_template")]


RECIPES: dict[str, Recipe] = {
    # A fresh chain, or none of the chain at all.
    **_same_bytes(
        *("10_estimatesmartfee", "10_estimatesmartfee_conservative", "10_getbestchainlock"),
        *("10_getblock_unknown_hash", "10_getblockhash_out_of_range", "10_getblockheader_unknown_hash"),
        *("10_getconnectioncount", "10_getmempoolinfo", "10_getnetworkinfo", "10_getpeerinfo"),
        *("10_getrawmempool", "10_getrawmempool_verbose", "10_quorum_list"),
        *("10_validateaddress_badchecksum", "10_validateaddress_empty", "10_validateaddress_garbage"),
        *("10_validateaddress_mainnet_addr", "10_validateaddress_p2pkh_regtest"),
        *("10_validateaddress_p2sh_regtest", "20_batch_empty", "20_estimatesmartfee_bad_target"),
        *("20_getblock_wrong_type", "20_getblocktemplate_invalid_mode_str"),
        *("20_getblocktemplate_invalid_mode_type", "20_getblocktemplate_param_string", "20_getwork_removed"),
        *("20_invalid_request_method_missing", "20_jsonrpc2_error", "20_not_an_object"),
        *("20_params_wrong_type", "20_parse_error", "20_sendrawtransaction_bad_hex", "20_unknown_method"),
        *("40_getblocktemplate_proposal_baddata", "40_getblocktemplate_proposal_nodata"),
        *("40_submitblock_empty_string", "40_submitblock_not_hex", "40_submitblock_truncated_header"),
    ),
    **_same_bytes(
        *("90_getbestchainlock", "90_getconnectioncount", "90_getmempoolinfo", "90_getnetworkinfo"),
        *("90_getpeerinfo", "90_getrawmempool", "90_getrawmempool_verbose", "90_quorum_list"),
        prepare=quiet_chain,
    ),
    **_same_bytes("10_spork_show", "90_spork_show", parameters=NO_SUPERBLOCKS),
    **_same_bytes("10_getzmqnotifications", "90_getzmqnotifications", parameters=ZMQ),
    **_same_bytes("20_wallet_method_without_wallet", parameters={"wallet": False}),
    **_same_bytes("11_getnetworkinfo_one_peer", prepare=_with_peer),
    **{f"20_warmup_minus28_{n + 1}": Recipe(Same.BYTES, _warming_up(n)) for n in range(4)},
    # The main network, and daemons that have no template.
    **_same_bytes(
        *("70_mainnet_getblocktemplate_not_connected", "70_mainnet_getpeerinfo_empty", "70_mainnet_stop"),
        parameters=ON_MAIN,
    ),
    **_same_bytes("70_mainnet_getblocktemplate_in_ibd", prepare=_syncing_with_peer, parameters=ON_MAIN),
    **_same_bytes("70_mainnet_getnetworkinfo", prepare=_with_peer, parameters=ON_MAIN),
    **_same_shape("70_mainnet_getpeerinfo_one_peer", prepare=_with_peer, parameters=ON_MAIN),
    **_same_shape("70_mainnet_getblockchaininfo_genesis", "70_mainnet_getmininginfo", parameters=ON_MAIN),
    **_same_bytes("71_regtest_getblocktemplate_superblock_height_not_synced", prepare=_unsynced_before_superblock),
    # Blocks.
    **{name: _submission(make) for name, make in SUBMISSIONS.items()},
    **{name: _proposal(make) for name, make in PROPOSALS.items()},
    # Authorization.
    **_same_bytes("20_auth_missing", credentials=None),
    **_same_bytes("20_auth_wrong_password", credentials="u:wrong"),
    # Help texts are ours: Dash Core's are long, and nobody parses them.
    **_same_shape("20_getblock_too_many_args", "20_validateaddress_no_params", "40_submitblock_no_params"),
    # Templates.
    **_same_shape("00_getblocktemplate_height0_in_ibd", prepare=syncing),
    **_same_shape("01_getblocktemplate_h151_pre_dip3", prepare=_commitments_only, parameters=SIGNALLING),
    **_same_shape("01_getblocktemplate_h432_first_dip3_v20_mnrr"),
    **_same_shape(*_every_form("10_getblocktemplate"), prepare=_commitments_only),
    **_same_shape(
        *_every_form("30_getblocktemplate_with_txs"),
        *_every_form("60_getblocktemplate_with_masternodes_and_txs"),
        "61_matched_1_getblocktemplate",
        prepare=_before_commitments,
    ),
    **_same_shape("71_regtest_getblocktemplate_superblock", prepare=_before_superblock, parameters=SIGNALLING),
    **_same_shape(
        "71_regtest_getblocktemplate_superblock_height_synced_no_trigger",
        prepare=_commitments_only,
        parameters=SIGNALLING,
    ),
    "50_getblocktemplate_longpoll_new_block": Recipe(
        Same.SHAPE, _long_poll, afterwards=lambda simulation: simulation.find()
    ),
    # The chain.
    **_same_shape("00_getblockchaininfo_height0"),
    **_same_shape(
        *("10_getblockchaininfo", "90_getblockchaininfo", "10_getbestblockhash", "90_getbestblockhash"),
        *("10_getblockcount", "90_getblockcount", "10_getdifficulty", "90_getdifficulty", "10_getchaintips"),
        *("10_getindexinfo", "90_getindexinfo", "10_uptime", "90_uptime", "20_batch", "20_jsonrpc2_ok"),
        *("20_named_params", "10_getnetworkhashps", "90_getnetworkhashps", "30_getmempoolinfo"),
        *("30_getrawmempool", "30_getrawmempool_verbose", "90_estimatesmartfee"),
        "90_estimatesmartfee_conservative",
        prepare=crowded,
    ),
    **_same_shape("10_getmininginfo", "30_getmininginfo", "90_getmininginfo", prepare=busy_with_template),
    **_same_shape("40_getchaintips_after_stale", "90_getchaintips", prepare=_branches),
    "10_getblockhash_tip": Recipe(Same.SHAPE, _hash_of_tip),
    "10_getblock_verbosity0": Recipe(Same.SHAPE, _tip("getblock", 0)),
    "10_getblock_verbosity1": Recipe(Same.SHAPE, _tip("getblock", 1)),
    "10_getblock_verbosity2": Recipe(Same.SHAPE, _full_block(15, transactions=False)),
    "61_matched_3_getblock_verbosity2": Recipe(Same.SHAPE, _full_block(15, transactions=True)),
    "71_regtest_getblock_superblock": Recipe(Same.SHAPE, _full_block(79, transactions=False)),
    **_same_shape(
        *("10_getblockheader", "90_getblockheader", "61_matched_3_getblockheader"), prepare=_tip("getblockheader")
    ),
    **_same_shape(
        "10_getblockheader_false_hex", "90_getblockheader_false_hex", prepare=_tip("getblockheader", False)
    ),
    "40_getblock_stale_confirmations_minus1": Recipe(Same.SHAPE, _stale("getblock")),
    "40_getblockheader_stale_confirmations_minus1": Recipe(Same.SHAPE, _stale("getblockheader")),
    **_same_shape(
        "10_getrawtransaction_coinbase_verbose", "90_getrawtransaction_coinbase_verbose", prepare=_coinbase
    ),
    # Peers.
    **_same_shape("11_getpeerinfo_one_peer", prepare=_with_peer),
    **_same_shape("11_getpeerinfo_outbound_side", prepare=_with_called_peer),
    **_same_shape("10_getnettotals"),
    **_same_shape("90_getnettotals", prepare=_with_peer),
    # Masternodes and governance.
    **_same_shape(
        *("10_masternode_count", "90_masternode_count", "10_masternode_list", "90_masternode_list"),
        *("10_masternode_payments", "90_masternode_payments", "10_masternode_winners", "90_masternode_winners"),
        *("10_getgovernanceinfo", "90_getgovernanceinfo", "71_regtest_gobject_list"),
        prepare=quiet_chain,
    ),
    **_same_shape("10_mnsync_status", "90_mnsync_status", prepare=syncing),
    "71_regtest_getsuperblockbudget": Recipe(Same.SHAPE, _superblock_budget),
}

EXCEPTIONS: dict[str, str] = {
    "61_matched_2_coinbase.txt": "no answer but what a miner made of one: test_simnet_captured_blocks parses it, "
    "shows it as Dash Core does, and test_template_parsing builds the block's merkle root from it",
    "80_zmq_hashblock.json": "no JSON-RPC: test_simnet_zmq publishes the same hashes and compares the frames",
}
"""Files that no recipe is for, and why."""
