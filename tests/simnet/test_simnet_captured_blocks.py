"""What a real Dash Core said of submitted blocks and proposals, and what it showed of blocks: we say the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from p2pool.dash.address import AddressVersions
from p2pool.dash.block import parse_block
from p2pool.dash.transaction import parse_transaction
from p2pool.simnet.economy import Payee
from p2pool.simnet.finder import template_coinbase
from p2pool.simnet.payloads import parse_coinbase_payload, parse_quorum_commitment
from p2pool.simnet.render import (
    bits_difficulty,
    render_coinbase_payload,
    render_commitment,
    render_transaction,
)
from p2pool.simnet.scripts import descriptor_checksum, signature_operations


def _load(captures: Path, name: str) -> Any:
    return orjson.loads((captures / f"{name}.json").read_bytes())


def _body(request: Any) -> bytes:
    return request.encode() if isinstance(request, str) else orjson.dumps(request)


def _reply(simulation: Any, body: bytes) -> tuple[int, bytes]:
    results: list[Any] = []
    simulation.request(body).addBoth(results.append)
    [reply] = results
    return reply.status, reply.body


def _call(method: str, *params: object) -> dict[str, object]:
    return {"jsonrpc": "1.0", "id": "cap", "method": method, "params": list(params)}


# --- submitblock and proposals --------------------------------------------------------------------------


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


@pytest.mark.parametrize("name", sorted(SUBMISSIONS))
def test_submitblock(simulation: Any, captures: Path, name: str) -> None:
    capture = _load(captures, name)
    simulation.busy(3)
    raw = SUBMISSIONS[name](simulation)
    status, body = _reply(simulation, _body(_call("submitblock", raw.hex())))
    assert (status, body.decode()) == (capture["http_status"], capture["response_raw"])


def test_every_captured_submission_is_looked_at(captures: Path) -> None:
    names = {path.stem for path in captures.glob("*submitblock*.json")}
    elsewhere = {"empty_string", "not_hex", "truncated_header", "no_params"}  # test_simnet_captures
    assert names == set(SUBMISSIONS) | {f"40_submitblock_{name}" for name in elsewhere}


PROPOSALS: dict[str, Callable[[Any], bytes]] = {
    "40_getblocktemplate_proposal_ok": lambda s: s.block(mined=False),
    "40_getblocktemplate_proposal_bad": _one_duff_over,
    "40_getblocktemplate_proposal_stale_prev": _four_deep,
}


@pytest.mark.parametrize("name", sorted(PROPOSALS))
def test_proposal(simulation: Any, captures: Path, name: str) -> None:
    capture = _load(captures, name)
    data = PROPOSALS[name](simulation).hex()
    request = _call("getblocktemplate", {"mode": "proposal", "data": data})
    status, body = _reply(simulation, _body(request))
    assert (status, body.decode()) == (capture["http_status"], capture["response_raw"])


# --- values from captures through our renderers ---------------------------------------------------------


def test_matched_coinbase(captures: Path, versions: AddressVersions) -> None:
    """Captures 61: the coinbase that a miner built from the template, and what Dash Core showed of it."""
    raw = bytes.fromhex((captures / "61_matched_2_coinbase.txt").read_text().strip())
    coinbase = parse_transaction(raw)
    template = _load(captures, "61_matched_1_getblocktemplate")["response"]["result"]
    shown = _load(captures, "61_matched_3_getblock_verbosity2")["response"]["result"]
    payload = parse_coinbase_payload(coinbase.extra_payload)
    assert payload.pack() == coinbase.extra_payload == bytes.fromhex(template["coinbase_payload"])
    assert (payload.version, payload.height) == (3, 616)
    assert render_coinbase_payload(payload) == shown["cbTx"]
    payees = [Payee(e["payee"], bytes.fromhex(e["script"]), e["amount"]) for e in template["masternode"]]
    paid = {(output.script, output.value) for output in coinbase.outputs}
    assert {(payee.script, payee.amount) for payee in payees} <= paid
    assert sum(output.value for output in coinbase.outputs) == template["coinbasevalue"]
    assert render_transaction(coinbase, coinbase.hash, versions, None) == shown["tx"][0]


@pytest.mark.parametrize(
    "name",
    ["10_getblock_verbosity2", "61_matched_3_getblock_verbosity2", "71_regtest_getblock_superblock"],
)
def test_captured_transactions_are_shown_alike(captures: Path, versions: AddressVersions, name: str) -> None:
    """Every transaction of the captured blocks: scripts, descriptors, payloads, commitments."""
    for shown in _load(captures, name)["response"]["result"]["tx"]:
        transaction = parse_transaction(bytes.fromhex(shown["hex"]))
        fee = round(shown["fee"] * 100_000_000) if "fee" in shown else None
        ours = render_transaction(transaction, transaction.hash, versions, fee)
        assert ours == shown
        assert list(ours) == list(shown)


def test_captured_commitments(captures: Path) -> None:
    for shown in _load(captures, "10_getblock_verbosity2")["response"]["result"]["tx"][1:]:
        raw = bytes.fromhex(shown["extraPayload"])
        commitment = parse_quorum_commitment(raw)
        assert commitment.pack() == raw
        assert render_commitment(commitment) == shown["qcTx"]


def test_captured_signature_operations(captures: Path) -> None:
    template = _load(captures, "61_matched_1_getblocktemplate")["response"]["result"]
    for entry in template["transactions"]:
        assert signature_operations(parse_transaction(bytes.fromhex(entry["data"]))) == entry["sigops"]


def test_difficulty_and_descriptor_checksum(captures: Path) -> None:
    assert bits_difficulty(0x207FFFFF) == _load(captures, "10_getdifficulty")["response"]["result"]
    main = _load(captures, "70_mainnet_getblockchaininfo_genesis")["response"]["result"]
    assert bits_difficulty(0x1E0FFFF0) == main["difficulty"]
    assert descriptor_checksum("raw(6a)") == "4mhr9ur5"
