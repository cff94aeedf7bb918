"""What a real Dash Core said of submitted blocks and proposals, and what it showed of blocks: we say the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from p2pool.dash.address import AddressVersions
from p2pool.dash.transaction import parse_transaction
from p2pool.simnet.economy import Payee
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
    assert render_transaction(coinbase, coinbase.hash, versions, fee=None) == shown["tx"][0]


@pytest.mark.parametrize(
    "name",
    ["10_getblock_verbosity2", "61_matched_3_getblock_verbosity2", "71_regtest_getblock_superblock"],
)
def test_captured_transactions_are_shown_alike(captures: Path, versions: AddressVersions, name: str) -> None:
    """Every transaction of the captured blocks: scripts, descriptors, payloads, commitments."""
    for shown in _load(captures, name)["response"]["result"]["tx"]:
        transaction = parse_transaction(bytes.fromhex(shown["hex"]))
        fee = round(shown["fee"] * 100_000_000) if "fee" in shown else None
        ours = render_transaction(transaction, transaction.hash, versions, fee=fee)
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
