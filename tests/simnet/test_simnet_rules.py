"""Each refusal by a block that breaks exactly that rule, and the words for blocks that are valid."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from p2pool.dash.block import parse_block
from p2pool.dash.hashes import sha256d_int
from p2pool.dash.merkle import merkle_root
from p2pool.dash.script import coinbase_script
from p2pool.dash.transaction import Transaction, TxInput, TxOutput
from p2pool.simnet.errors import BlockUndecodable, TransactionRefused
from p2pool.simnet.payloads import parse_coinbase_payload
from p2pool.wire.codec import pack_varint


def _paying(coinbase: Transaction, index: int, change: int) -> Transaction:
    """The coinbase with one output's value changed."""
    outputs = list(coinbase.outputs)
    outputs[index] = replace(outputs[index], value=outputs[index].value + change)
    return replace(coinbase, outputs=tuple(outputs))


def _without(coinbase: Transaction, index: int) -> Transaction:
    """The coinbase without one payee, whose amount the miner takes."""
    outputs = list(coinbase.outputs)
    missing = outputs.pop(index)
    outputs[0] = replace(outputs[0], value=outputs[0].value + missing.value)
    return replace(coinbase, outputs=tuple(outputs))


def _payload(coinbase: Transaction, **changes: Any) -> Transaction:
    payload = replace(parse_coinbase_payload(coinbase.extra_payload), **changes)
    return replace(coinbase, extra_payload=payload.pack())


def _refused(simulation: Any, raw: bytes, reason: str, remembered: bool) -> None:
    """The block is refused, the tip stays, and later it is as known as Dash Core would have it."""
    before = (simulation.chain.tip_hash, dict(simulation.chain.ledger.coins))
    assert simulation.chain.submit(raw) == reason
    assert simulation.chain.submit(raw) == ("duplicate-invalid" if remembered else reason)
    assert (simulation.chain.tip_hash, dict(simulation.chain.ledger.coins)) == before
    assert simulation.chain.submit(simulation.block()) is None


def test_accepted(simulation: Any) -> None:
    raw = simulation.block()
    assert simulation.chain.submit(raw) is None
    assert simulation.chain.height == 1
    assert simulation.chain.submit(raw) == "duplicate"


def test_bytes_after_a_block_are_ignored(simulation: Any) -> None:
    assert simulation.chain.submit(simulation.block() + b"\x00\x01") is None
    assert simulation.chain.read(simulation.chain.tip).raw == simulation.chain.store.read(0)


@pytest.mark.parametrize("data", [b"", b"\x00" * 40, b"\x00" * 80, b"\xff" * 200])
def test_undecodable(simulation: Any, data: bytes) -> None:
    with pytest.raises(BlockUndecodable, match="Block decode failed"):
        simulation.chain.submit(data)


def test_truncated_anywhere(simulation: Any) -> None:
    raw = simulation.block()
    for size in range(len(raw)):
        with pytest.raises(BlockUndecodable):
            simulation.chain.submit(raw[:size])


def test_no_coinbase(simulation: Any) -> None:
    raw = simulation.block()
    with pytest.raises(BlockUndecodable, match="Block does not start with a coinbase"):
        simulation.chain.submit(raw[:80] + pack_varint(0))
    spend = simulation.spend(simulation.faucet_coins()[0], 1)
    with pytest.raises(BlockUndecodable, match="Block does not start with a coinbase"):
        simulation.chain.submit(simulation.block(coinbase=spend))


def test_high_hash(simulation: Any) -> None:
    for extra in range(100):
        raw = simulation.block(coinbase=simulation.coinbase(extra=b"%d" % extra), mined=False)
        if simulation.chain.submit(raw) is not None:
            break
    else:
        pytest.fail("a hundred blocks in a row had enough work by chance")
    _refused(simulation, raw, "high-hash", remembered=False)


def test_bits_easier_than_any_chain_allows_are_high_hash(simulation: Any) -> None:
    raw = simulation.block(header=lambda header: replace(header, bits=0x2100FFFF), mined=False)
    _refused(simulation, raw, "high-hash", remembered=False)


def test_bad_bits(simulation: Any) -> None:
    raw = simulation.block(header=lambda header: replace(header, bits=0x207FFFFF))
    _refused(simulation, raw, "bad-diffbits", remembered=False)


def test_previous_block_unknown(simulation: Any) -> None:
    raw = simulation.block(header=lambda header: replace(header, previous_block=0x1111))
    _refused(simulation, raw, "prev-blk-not-found", remembered=False)


def test_previous_block_invalid(simulation: Any) -> None:
    bad = simulation.block(coinbase=_paying(simulation.coinbase(), 0, 1))
    assert simulation.chain.submit(bad) == "bad-cb-amount"
    bad_hash = parse_block(bad).header.hash()
    raw = simulation.block(header=lambda header: replace(header, previous_block=bad_hash))
    assert simulation.chain.submit(raw) == "bad-prevblk"


def test_time_too_old(simulation: Any) -> None:
    simulation.wait_for_height(12)
    median = simulation.chain.tip.median_time
    raw = simulation.block(header=lambda header: replace(header, timestamp=median))
    _refused(simulation, raw, "time-too-old", remembered=False)
    oldest = simulation.chain.tip.median_time + 1
    assert simulation.chain.submit(simulation.block(header=lambda h: replace(h, timestamp=oldest))) is None


def test_time_too_new(simulation: Any) -> None:
    now = int(simulation.clock.seconds())
    raw = simulation.block(header=lambda header: replace(header, timestamp=now + 7201))
    _refused(simulation, raw, "time-too-new", remembered=False)
    newest = now + 7200
    assert simulation.chain.submit(simulation.block(header=lambda h: replace(h, timestamp=newest))) is None


def test_merkle_root(simulation: Any) -> None:
    raw = simulation.block(header=lambda header: replace(header, merkle_root=header.merkle_root ^ 1))
    _refused(simulation, raw, "bad-txnmrklroot", remembered=False)


def test_duplicate_transactions(simulation: Any) -> None:
    spend = simulation.spend(simulation.faucet_coins()[0], 1)
    _refused(simulation, simulation.block(others=(spend, spend)), "bad-txns-duplicate", remembered=False)


def test_second_coinbase(simulation: Any) -> None:
    second = simulation.coinbase(extra=b"second")
    _refused(simulation, simulation.block(others=(second,)), "bad-cb-multiple", remembered=False)


def test_block_too_large(simulation: Any) -> None:
    coin = simulation.faucet_coins()[0]
    big = replace(simulation.spend(coin, 1), outputs=(TxOutput(1, bytes(2_000_000)),))
    _refused(simulation, simulation.block(others=(big,)), "bad-blk-length", remembered=False)


def test_too_many_signature_operations(simulation: Any) -> None:
    coin = simulation.faucet_coins()[0]
    heavy = replace(simulation.spend(coin, 1), outputs=(TxOutput(1, b"\xac" * 40_001),))
    _refused(simulation, simulation.block(others=(heavy,)), "bad-blk-sigops", remembered=False)


def test_coinbase_type(simulation: Any) -> None:
    plain = replace(simulation.coinbase(), version=1, type=0, extra_payload=b"")
    _refused(simulation, simulation.block(coinbase=plain), "bad-cb-type", remembered=True)


@pytest.mark.parametrize("script", [coinbase_script(2, b"", b"xx"), b"\x6a\x6a", b"\x4c\x01\x01"])
def test_coinbase_height(simulation: Any, script: bytes) -> None:
    coinbase = simulation.coinbase()
    wrong = replace(coinbase, inputs=(replace(coinbase.inputs[0], script=script),))
    _refused(simulation, simulation.block(coinbase=wrong), "bad-cb-height", remembered=True)


@pytest.mark.parametrize("size", [0, 101])
def test_coinbase_script_length(simulation: Any, size: int) -> None:
    coinbase = simulation.coinbase()
    wrong = replace(coinbase, inputs=(replace(coinbase.inputs[0], script=bytes(size)),))
    _refused(simulation, simulation.block(coinbase=wrong), "bad-cb-length", remembered=False)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": 2}, "bad-cbtx-version"),
        ({"height": 7}, "bad-cbtx-height"),
        ({"masternode_list_root": 1}, "bad-cbtx-mnmerkleroot"),
        ({"quorums_root": 1}, "bad-cbtx-quorummerkleroot"),
        ({"best_chainlock_height_difference": 1}, "bad-cbtx-invalid-clsig"),
        ({"best_chainlock_signature": b"\x01" * 96}, "bad-cbtx-invalid-clsig"),
        ({"credit_pool_balance": 1}, "bad-cbtx-assetlocked-amount"),
    ],
)
def test_payload_fields(simulation: Any, changes: dict[str, Any], reason: str) -> None:
    coinbase = _payload(simulation.coinbase(), **changes)
    _refused(simulation, simulation.block(coinbase=coinbase), reason, remembered=True)


def test_payload_unreadable(simulation: Any) -> None:
    coinbase = replace(simulation.coinbase(), extra_payload=b"\x03\x00\x01")
    _refused(simulation, simulation.block(coinbase=coinbase), "bad-cbtx-payload", remembered=True)


def test_pays_too_much(simulation: Any) -> None:
    coinbase = _paying(simulation.coinbase(), 0, 1)
    _refused(simulation, simulation.block(coinbase=coinbase), "bad-cb-amount", remembered=True)


def test_pays_too_little_is_the_miners_loss(simulation: Any) -> None:
    coinbase = _paying(simulation.coinbase(), 0, -1000)
    assert simulation.chain.submit(simulation.block(coinbase=coinbase)) is None


def test_fees_claimed_without_transactions(simulation: Any) -> None:
    assert simulation.transactions.make() is not None
    assert simulation.chain.template().transactions
    raw = simulation.block(others=())
    _refused(simulation, raw, "bad-cb-amount", remembered=True)


@pytest.mark.parametrize("index", [1, 2])
def test_masternode_or_burn_missing(simulation: Any, index: int) -> None:
    coinbase = _without(simulation.coinbase(), index)
    _refused(simulation, simulation.block(coinbase=coinbase), "bad-cb-payee", remembered=True)


@pytest.mark.parametrize("index", [1, 2])
def test_masternode_or_burn_amount_wrong(simulation: Any, index: int) -> None:
    coinbase = _paying(_paying(simulation.coinbase(), index, -1), 0, 1)
    _refused(simulation, simulation.block(coinbase=coinbase), "bad-cb-payee", remembered=True)


@pytest.mark.parametrize("index", [3, 4])
def test_superblock_payee_missing(simulation: Any, index: int) -> None:
    simulation.wait_for_height(9)
    assert len(simulation.coinbase().outputs) == 5
    coinbase = _without(simulation.coinbase(), index)
    _refused(simulation, simulation.block(coinbase=coinbase), "bad-cb-amount", remembered=True)


def test_superblock_not_paid_and_not_claimed(simulation: Any) -> None:
    """Capture 71_regtest_submitblock_superblock_output_missing."""
    simulation.wait_for_height(9)
    coinbase = simulation.coinbase()
    coinbase = replace(coinbase, outputs=coinbase.outputs[:3])
    _refused(simulation, simulation.block(coinbase=coinbase), "bad-cb-amount", remembered=True)


def test_order_of_outputs_is_free(simulation: Any) -> None:
    simulation.wait_for_height(8)
    coinbase = simulation.coinbase()
    assert (
        simulation.chain.submit(simulation.block(coinbase=replace(coinbase, outputs=coinbase.outputs[::-1])))
        is None
    )


def test_superblock_payees_have_their_order(simulation: Any) -> None:
    """Dash Core looks for each behind the one before it (governance/classes.cpp)."""
    simulation.wait_for_height(9)
    coinbase = simulation.coinbase()
    reversed_ = replace(coinbase, outputs=coinbase.outputs[::-1])
    assert simulation.chain.submit(simulation.block(coinbase=reversed_)) == "bad-cb-amount"
    moved = replace(coinbase, outputs=(*coinbase.outputs[-2:], *coinbase.outputs[:-2]))
    assert simulation.chain.submit(simulation.block(coinbase=moved)) is None


def test_commitments(simulation: Any) -> None:
    simulation.wait_for_height(15)
    [commitment] = simulation.chain.template().transactions
    assert commitment.fee == 0
    template_block = parse_block(simulation.block())
    due = template_block.transactions[1]
    assert (due.type, due.inputs, due.outputs) == (6, (), ())
    _refused_all = [
        ((), "bad-qc-missing"),
        ((due, replace(due, extra_payload=due.extra_payload + b"\x00")), "bad-qc-not-allowed"),
        ((replace(due, extra_payload=due.extra_payload[:-1] + b"\x01"),), "bad-qc-invalid"),
    ]
    for others, reason in _refused_all:
        assert simulation.chain.submit(simulation.block(others=others)) == reason
    assert simulation.chain.submit(simulation.block()) is None
    assert simulation.chain.submit(simulation.block(others=(due,))) == "bad-qc-not-allowed"


def _fee_paid(simulation: Any, fee: int) -> Transaction:
    """A coinbase for a block whose only other transactions pay `fee` together."""
    template = simulation.chain.template()
    economy = simulation.chain.economy
    changed = replace(
        template,
        coinbase_value=economy.coinbase_value(template.height, fee),
        masternode=economy.masternode_payees(template.height, fee),
    )
    return simulation.coinbase(changed)


def test_transactions_and_their_fees(simulation: Any) -> None:
    coin = simulation.faucet_coins()[0]
    value = simulation.chain.ledger.coins[coin].value
    parent = simulation.spend(coin, value - 600)
    child = simulation.spend((parent.hash, 0), value - 1000)
    raw = simulation.block(coinbase=_fee_paid(simulation, 1000), others=(parent, child))
    assert simulation.chain.submit(raw) is None
    assert simulation.chain.fees(simulation.chain.tip) == (600, 400)
    assert (parent.hash, 0) not in simulation.chain.ledger.coins
    assert (child.hash, 0) in simulation.chain.ledger.coins


def test_child_before_parent(simulation: Any) -> None:
    coin = simulation.faucet_coins()[0]
    value = simulation.chain.ledger.coins[coin].value
    parent = simulation.spend(coin, value)
    child = simulation.spend((parent.hash, 0), value)
    raw = simulation.block(others=(child, parent))
    _refused(simulation, raw, "bad-txns-inputs-missingorspent", remembered=True)


def test_spends_nothing_that_exists(simulation: Any) -> None:
    raw = simulation.block(others=(simulation.spend((1234, 0), 1),))
    _refused(simulation, raw, "bad-txns-inputs-missingorspent", remembered=True)


def test_double_spend(simulation: Any) -> None:
    coin = simulation.faucet_coins()[0]
    raw = simulation.block(others=(simulation.spend(coin, 1), simulation.spend(coin, 2)))
    _refused(simulation, raw, "bad-txns-inputs-missingorspent", remembered=True)


def test_outputs_above_inputs(simulation: Any) -> None:
    coin = simulation.faucet_coins()[0]
    value = simulation.chain.ledger.coins[coin].value
    raw = simulation.block(others=(simulation.spend(coin, value + 1),))
    _refused(simulation, raw, "bad-txns-in-belowout", remembered=True)


def test_immature_coinbase(simulation: Any) -> None:
    assert simulation.chain.submit(simulation.block()) is None
    hash_ = simulation.chain.read(simulation.chain.tip).transaction_hashes[0]
    raw = simulation.block(others=(simulation.spend((hash_, 0), 1),))
    _refused(simulation, raw, "bad-txns-premature-spend-of-coinbase", remembered=True)


def test_lock_time(simulation: Any) -> None:
    coin = simulation.faucet_coins()[0]
    value = simulation.chain.ledger.coins[coin].value
    base = simulation.spend(coin, value)
    locked = replace(base, inputs=(replace(base.inputs[0], sequence=0),), lock_time=1)
    raw = simulation.block(others=(locked,))
    assert simulation.chain.submit(raw) == "bad-txns-nonfinal"
    simulation.find()
    assert simulation.chain.submit(simulation.block(others=(locked,))) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: replace(t, inputs=()), "bad-txns-vin-empty"),
        (lambda t: replace(t, outputs=()), "bad-txns-vout-empty"),
        (lambda t: replace(t, outputs=(TxOutput(2**60, b"\x51"),)), "bad-txns-vout-toolarge"),
        (lambda t: replace(t, outputs=(TxOutput(2 * 10**15, b"\x51"),) * 2), "bad-txns-txouttotal-toolarge"),
        (lambda t: replace(t, inputs=t.inputs * 2), "bad-txns-inputs-duplicate"),
        (lambda t: replace(t, inputs=(*t.inputs, TxInput(0, 5, b""))), "bad-txns-prevout-null"),
    ],
)
def test_malformed_transactions(simulation: Any, change: Any, reason: str) -> None:
    wrong = change(simulation.spend(simulation.faucet_coins()[0], 1))
    _refused(simulation, simulation.block(others=(wrong,)), reason, remembered=False)
    with pytest.raises(TransactionRefused, match=reason):
        simulation.chain.add_transaction(wrong)


def test_special_transactions_of_other_types(simulation: Any) -> None:
    special = replace(simulation.spend(simulation.faucet_coins()[0], 1), version=3, type=10)
    _refused(simulation, simulation.block(others=(special,)), "bad-tx-type", remembered=True)


# --- proposals ------------------------------------------------------------------------------------------


def test_proposals(simulation: Any) -> None:
    chain = simulation.chain
    simulation.transactions.make()
    before = dict(chain.ledger.coins)
    good = simulation.block(mined=False)
    assert chain.propose(good) is None
    too_much = simulation.block(coinbase=_paying(simulation.coinbase(), 0, 1), mined=False)
    assert chain.propose(too_much) == "bad-cb-amount"
    assert chain.propose(too_much) == "bad-cb-amount"
    assert (chain.height, dict(chain.ledger.coins)) == (0, before)
    mined = simulation.block()
    assert chain.submit(mined) is None
    assert chain.propose(mined) == "duplicate"
    assert chain.propose(good) in ("inconclusive-not-best-prevblk", "duplicate")
    with pytest.raises(BlockUndecodable):
        chain.propose(b"\x00")


def test_merkle_root_of_a_block_is_what_it_says(simulation: Any) -> None:
    for _ in range(5):
        simulation.transactions.make()
    simulation.find()
    block = simulation.chain.read(simulation.chain.tip).block
    assert len(block.transactions) == 6
    assert block.header.merkle_root == merkle_root([sha256d_int(t.pack()) for t in block.transactions])
