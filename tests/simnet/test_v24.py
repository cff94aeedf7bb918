"""What Dash Core 24 brings to mining, on a simulation that demands it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from p2pool.base.errors import ParseError
from p2pool.dash.block import parse_block
from p2pool.dash.hashes import sha256d, sha256d_int
from p2pool.dash.merkle import merkle_root
from p2pool.dash.transaction import Transaction
from p2pool.simnet.errors import TransactionRefused
from p2pool.simnet.payloads import parse_coinbase_payload
from p2pool.simnet.special import AssetUnlock, parse_asset_unlock
from tests.dash import asset_unlock
from tests.simnet.pool_blocks import PoolMiner

HEIGHT = 5


@pytest.fixture
def v24(make_simulation: Any) -> Any:
    """A simulation on which the rules of Dash Core 24 hold."""
    simulation = make_simulation(v24_height=HEIGHT, owner_payouts=8, superblock_interval=10)
    simulation.wait_for_height(HEIGHT)
    return simulation


def test_a_pools_block_with_an_asset_unlock_is_valid(v24: Any) -> None:
    hash_ = v24.call("simnet_special", 9, 7)
    [entry] = v24.call("getblocktemplate")["transactions"]
    assert entry["hash"] == hash_ != sha256d(bytes.fromhex(entry["data"]))[::-1].hex()
    assert v24.chain.submit(PoolMiner(v24).mine()) is None
    block = v24.call("getblock", v24.chain.tip_hash, 2)
    assert [t["txid"] for t in block["tx"][1:]] == [hash_]
    assert block["cbTx"]["version"] == 4
    assert block["cbTx"]["merkleRootAssetUnlocks"] == block["tx"][1]["instanceHash"] != hash_
    balance = v24.call("getblock", v24.chain.tip.previous.hash_hex, 2)["cbTx"]["creditPoolBalance"]
    grows = v24.chain.economy.credit_pool(1, 0) / 1e8
    assert block["cbTx"]["creditPoolBalance"] == pytest.approx(balance + grows - 0.1 - 0.00005)
    assert v24.chain.submit(PoolMiner(v24).mine()) is None


def test_signed_again_between_two_templates_the_new_bytes_are_mined(v24: Any) -> None:
    miner = PoolMiner(v24)
    v24.call("simnet_special", 9, 7)
    first = miner.template()
    v24.call("simnet_special", 9, 7)
    second = miner.template()
    assert first.branch == second.branch
    assert first.coinbase_payload != second.coinbase_payload
    assert not second.same_work(first)
    assert v24.chain.submit(miner.mine(miner.context(second))) is None


def test_the_old_bytes_under_the_new_payload_are_refused(v24: Any) -> None:
    """Why the cache of transactions does not keep asset unlocks."""
    miner = PoolMiner(v24)
    v24.call("simnet_special", 9, 7)
    old = miner.template()
    v24.call("simnet_special", 9, 7)
    mixed = replace(miner.template(), transactions=old.transactions)
    assert v24.chain.submit(miner.mine(miner.context(mixed))) == "bad-cbtx-assetunlocksmerkleroot"


def test_the_plain_hash_in_the_merkle_tree_is_refused(v24: Any) -> None:
    v24.call("simnet_special", 9, 7)
    plain = parse_block(PoolMiner(v24).mine())
    root = merkle_root([sha256d_int(t.pack()) for t in plain.transactions])
    raw = v24.block(header=lambda header: replace(header, merkle_root=root))
    assert v24.chain.submit(raw) == "bad-txnmrklroot"


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 10, 11, 12])
def test_pools_blocks_with_transactions_of_masternodes_are_valid(v24: Any, kind: int) -> None:
    hash_ = v24.call("simnet_special", kind)
    assert v24.chain.submit(PoolMiner(v24).mine()) is None
    assert v24.call("getblock", v24.chain.tip_hash)["tx"][1:] == [hash_]


def test_they_change_the_masternode_list(v24: Any) -> None:
    before = v24.chain.template().coinbase_payload
    v24.call("simnet_special", 10)
    after = v24.chain.template().coinbase_payload
    roots = [parse_coinbase_payload(payload).masternode_list_root for payload in (before, after)]
    assert roots[0] != roots[1]
    raw = v24.block(coinbase=replace(v24.coinbase(), extra_payload=before))
    assert v24.chain.submit(raw) == "bad-cbtx-mnmerkleroot"


def test_eight_owners_and_an_operator_are_paid(v24: Any) -> None:
    for _ in range(6):  # a superblock is among them
        v24.call("simnet_sendtx", 3)
        answer = v24.call("getblocktemplate")
        assert len(answer["masternode"]) == 1 + 8 + v24.chain.template().height % 2
        block = PoolMiner(v24).mine()
        assert v24.chain.submit(block) is None
        paid = [(o.script.hex(), o.value) for o in parse_block(block).transactions[0].outputs]
        demanded = [(e["script"], e["amount"]) for e in answer["masternode"] + answer["superblock"]]
        at = paid.index(demanded[0])
        assert paid[at : at + len(demanded)] == demanded


def test_each_equal_payment_needs_an_output_of_its_own(v24: Any) -> None:
    economy, template = v24.chain.economy, v24.chain.template()
    payees = economy.masternode_payees(template.height, 0)
    twice = (*payees[:-1], payees[-2])
    value = sum(payee.amount for payee in payees) - sum(payee.amount for payee in twice)

    def masternode_payees(self: object, height: int, fees: int) -> Any:
        return twice

    changed = replace(template, masternode=twice, coinbase_value=template.coinbase_value - value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(economy), "masternode_payees", masternode_payees)
        once = v24.coinbase(replace(changed, masternode=twice[:-1]))
        assert v24.chain.submit(v24.block(coinbase=once)) == "bad-cb-payee"
        miner = PoolMiner(v24)
        v24.chain.last_template = None
        assert v24.chain.submit(miner.mine()) is None


def test_before_the_rules_hold_nothing_of_it_is_taken(make_simulation: Any) -> None:
    simulation = make_simulation(v24_height=HEIGHT, owner_payouts=8)
    simulation.wait_for_height(HEIGHT - 2)
    with pytest.raises(TransactionRefused, match="bad-tx-type"):
        simulation.transactions.make_special(10, 0)
    with pytest.raises(TransactionRefused, match="bad-assetunlocktx-version"):
        simulation.chain.add_transaction(asset_unlock.UNLOCK)
    assert parse_coinbase_payload(simulation.chain.template().coinbase_payload).version == 3
    assert len(simulation.chain.template().masternode) == 2
    early = simulation.block(others=(asset_unlock.UNLOCK,))
    assert simulation.chain.submit(early) == "bad-assetunlocktx-version"


def test_a_withdrawal_happens_once_and_a_reorganisation_brings_it_back(v24: Any) -> None:
    hash_ = v24.call("simnet_special", 9, 7)
    v24.find()
    assert v24.call("getrawmempool") == []
    with pytest.raises(TransactionRefused, match="bad-assetunlock-duplicated-index"):
        v24.transactions.make_special(9, 7)
    v24.find(2, 1)
    assert v24.call("getrawmempool") == [hash_]
    assert v24.chain.submit(PoolMiner(v24).mine()) is None


def test_no_more_than_the_credit_pool_holds(make_simulation: Any) -> None:
    simulation = make_simulation(v24_height=1)
    with pytest.raises(TransactionRefused, match="failed-creditpool-unlock-too-much"):
        simulation.transactions.make_special(9, 0)
    simulation.find()
    for index in range(10):
        simulation.transactions.make_special(9, index)
    with pytest.raises(TransactionRefused, match="failed-creditpool-unlock-too-much"):
        simulation.transactions.make_special(9, 10)


def test_payloads() -> None:
    unlock = AssetUnlock(2, 5, 7, 9, 11, bytes(96))
    assert len(unlock.pack()) == 145
    assert parse_asset_unlock(unlock.pack()) == unlock
    parsed = parse_asset_unlock(asset_unlock.UNLOCK.extra_payload)
    assert (parsed.version, parsed.index, parsed.fee) == (2, 7, 5000)
    for wrong in (b"", unlock.pack()[:-1], unlock.pack() + b"\x00", b"\x03" + unlock.pack()[1:]):
        with pytest.raises(ParseError):
            parse_asset_unlock(wrong)


def test_a_transaction_that_cannot_be_read_changes_nothing(v24: Any) -> None:
    odd = Transaction(3, 9, (), (), 0, b"\x02")
    with pytest.raises(TransactionRefused, match="bad-txns-vout-empty"):
        v24.chain.add_transaction(odd)
    odd = replace(odd, outputs=asset_unlock.UNLOCK.outputs)
    with pytest.raises(TransactionRefused, match="bad-assetunlocktx-payload"):
        v24.chain.add_transaction(odd)
    assert v24.chain.submit(v24.block(others=(odd,))) == "bad-assetunlocktx-payload"
