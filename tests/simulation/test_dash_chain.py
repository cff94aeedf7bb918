"""The rules of the simulated Dash chain: a good block is taken, and each rule refuses one that breaks it alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from p2pool.dash.block import BlockHeader, assemble_block
from p2pool.dash.merkle import merkle_root
from p2pool.dash.target import target_to_bits
from p2pool.dash.transaction import NO_INDEX, Transaction, TxInput, TxOutput, parse_transaction
from tests.simulation.dash_chain import FEE, SUBSIDY, DashChain
from tests.simulation.world import EPOCH, NETWORK

EASY, IMPOSSIBLE = target_to_bits(2**256 - 1), target_to_bits(1)
VALUE = SUBSIDY + 3 * FEE


def make_chain(bits: int = EASY) -> DashChain:
    return DashChain(NETWORK, bits, EPOCH)


GOOD_PAYLOAD = make_chain().payload(make_chain().genesis.height + 1)


def coinbase_of(chain: DashChain, **changes: Any) -> Transaction:
    """Return the coinbase of a good block, with some fields changed."""
    due = chain.due(VALUE)
    outputs = (TxOutput(VALUE - sum(output.value for output in due), b"\x51"), *due)
    payload = chain.payload(chain.genesis.height + 1)
    spent = (TxInput(0, NO_INDEX, b"\x01\x02"),)
    good = Transaction(version=3, type=5, inputs=spent, outputs=outputs, lock_time=0, extra_payload=payload)
    return replace(good, **changes)


def block_of(chain: DashChain, coinbase: Transaction, others: tuple[bytes, ...], **changes: Any) -> bytes:
    """Return a block on the genesis block, with some fields of its header changed."""
    hashes = [coinbase.hash, *(parse_transaction(each).hash for each in others)]
    good = BlockHeader(0x20000000, chain.genesis.hash, merkle_root(hashes), int(EPOCH), chain.bits, 0)
    return assemble_block(replace(good, **changes).pack(), coinbase.pack(), others)


def judge(chain: DashChain, data: bytes, *, now: float = 0.0) -> Any:
    return chain.take(data, "a daemon", now, lambda block_hash: block_hash == chain.genesis.hash)


def test_good_block_is_taken() -> None:
    chain = make_chain()
    block = judge(chain, block_of(chain, coinbase_of(chain), chain.waiting(chain.genesis)))
    assert block.height == chain.genesis.height + 1
    assert chain.blocks[block.hash] is block


def test_known_block_is_a_duplicate_and_one_without_its_parent_is_not_taken() -> None:
    chain = make_chain()
    data = block_of(chain, coinbase_of(chain), chain.waiting(chain.genesis))
    assert chain.take(data, "a daemon", 0.0, lambda block_hash: True) == "duplicate"
    assert chain.take(data, "a daemon", 0.0, lambda block_hash: False) == "prev-blk-not-found"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"bits": IMPOSSIBLE}, "bad-diffbits"),
        ({"timestamp": int(EPOCH) - 3600}, "time-too-old"),
        ({"timestamp": int(EPOCH) + 7201}, "time-too-new"),
        ({"merkle_root": 1}, "bad-txnmrklroot"),
    ],
)
def test_header_that_breaks_a_rule(changes: dict[str, int], word: str) -> None:
    chain = make_chain()
    assert judge(chain, block_of(chain, coinbase_of(chain), chain.waiting(chain.genesis), **changes)) == word


def test_block_without_work() -> None:
    chain = make_chain(IMPOSSIBLE)
    assert judge(chain, block_of(chain, coinbase_of(chain), chain.waiting(chain.genesis))) == "high-hash"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"inputs": (TxInput(1, 0, b"\x01\x02"),)}, "bad-cb-missing"),
        ({"extra_payload": b"\x00" * 70}, "bad-cbtx-height"),
        ({"extra_payload": GOOD_PAYLOAD[:6] + b"\x00" * 64}, "bad-cbtx-mnmerkleroot"),
        ({"outputs": (TxOutput(VALUE + 1, b"\x51"),)}, "bad-cb-amount"),
        ({"outputs": (TxOutput(VALUE, b"\x51"),)}, "bad-cb-payee"),
    ],
)
def test_coinbase_that_breaks_a_rule(changes: dict[str, Any], word: str) -> None:
    chain = make_chain()
    assert judge(chain, block_of(chain, coinbase_of(chain, **changes), chain.waiting(chain.genesis))) == word


def test_transaction_that_nobody_knows() -> None:
    chain = make_chain()
    strange = Transaction(2, 0, (TxInput(7, 0, b"\x01"),), (TxOutput(1, b"\x51"),), 0).pack()
    data = block_of(chain, coinbase_of(chain), (*chain.waiting(chain.genesis)[1:], strange))
    assert judge(chain, data) == "bad-txns-inputs-missingorspent"
