"""A full mempool and many payees: Dash Core fills a template to the limit, and the pool's block must keep it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from p2pool.dash.block import parse_block
from p2pool.dash.transaction import TxOutput
from p2pool.jobs.context import WorkContext
from p2pool.simnet.validation import MAX_TRANSACTION_SIZE
from tests.simnet.conftest import Simulation
from tests.simnet.pool_blocks import PoolMiner

FULL = {"block_max_size": 2_000_000, "v24_height": 3, "owner_payouts": 3}
PAYEES = 60
COIN = 10 * 100_000_000


def with_small_coins(make_simulation: Callable[..., Any], count: int) -> Simulation:
    """A chain with so many coins of ten DASH: what moves 1000 DASH may be a masternode's collateral."""
    simulation = make_simulation(**FULL)
    coin = simulation.faucet_coins()[0]
    simulation.chain.add_transaction(simulation.spend(coin, COIN, count))
    simulation.find(4)
    return simulation


def fill(simulation: Simulation, count: int, script: bytes, chained: bool = False) -> None:
    """So many waiting transactions with a script each; `chained`: each second one spends from the one before."""
    coins = [c for c, held in simulation.chain.ledger.faucet.items() if held.value == COIN]
    outpoint = coins[0]
    for number in range(count):
        if not chained or number % 2 == 0:
            outpoint = coins[number]
        value = COIN - 1_000_000 if outpoint in coins else COIN - 3_000_000
        spend = simulation.spend(outpoint, value - 1)
        entry = simulation.chain.add_transaction(
            replace(spend, outputs=(*spend.outputs, TxOutput(1, script + bytes([number]))))
        )
        outpoint = (entry.hash, 0)


def unfitted(context: WorkContext, miner: PoolMiner) -> WorkContext:
    """The work that would be given if nobody looked at limits."""
    assert context.whole_template is not None
    whole = replace(context.whole_template, size_limit=10**9, signature_operations_limit=10**9)
    return miner.context(whole)


@pytest.mark.parametrize("chained", [False, True])
def test_a_full_mempool_and_sixty_payees(make_simulation: Callable[..., Any], chained: bool) -> None:
    simulation = with_small_coins(make_simulation, 60)
    simulation.call("simnet_special", 9, 1)
    simulation.call("simnet_special", 11)
    fill(simulation, 50, bytes(41_000), chained)
    waiting = simulation.call("getblocktemplate")["transactions"]
    size = sum(len(entry["data"]) // 2 for entry in waiting)
    assert 1_955_000 < size < 1_998_000
    miner = PoolMiner(simulation, PAYEES)
    template = miner.template()
    tight = replace(template, size_limit=81 + size + 1000)  # as if the mempool had filled the last gap, too
    context = miner.context(tight)
    assert context.refusal is None
    assert context.left_out in (1, 2)
    block = miner.mine(context)
    assert len(block) <= tight.size_limit < len(miner.mine(unfitted(context, miner)))
    kept = {transaction.type for transaction in parse_block(block).transactions}
    assert {9, 11} <= kept
    assert simulation.chain.submit(block) is None


def test_without_leaving_out_it_is_too_long(make_simulation: Callable[..., Any]) -> None:
    """What happened to every block found: dashd's last thousand bytes are for a coinbase with 25 payees."""
    simulation = with_small_coins(make_simulation, 60)
    fill(simulation, 48, bytes(41_000))
    rest = 1_997_999 - sum(len(t.raw) for t in simulation.chain.template().transactions)
    fill_coins = [c for c, held in simulation.chain.ledger.faucet.items() if held.value == COIN][50:]
    spend = simulation.spend(fill_coins[0], COIN - 1_000_000)
    base = len(replace(spend, outputs=(*spend.outputs, TxOutput(1, bytes(1000)))).pack())
    simulation.chain.add_transaction(
        replace(spend, outputs=(*spend.outputs, TxOutput(1, bytes(1000 + rest - base))))
    )
    miner = PoolMiner(simulation, PAYEES)
    context = miner.context()
    assert sum(len(t.data) for t in miner.template().transactions) == 1_997_999
    assert (context.left_out, context.refusal) == (1, None)
    too_long = miner.mine(unfitted(context, miner))
    assert 2_000_000 < len(too_long) < 2_003_000
    assert simulation.chain.submit(too_long) == "bad-blk-length"
    block = miner.mine(context)
    assert simulation.chain.submit(block) is None


def test_signature_operations_beside_sixty_payees(make_simulation: Callable[..., Any]) -> None:
    simulation = with_small_coins(make_simulation, 60)
    for number, heavy in enumerate((16_000, 12_000, 11_899)):
        coin = [c for c, held in simulation.chain.ledger.faucet.items() if held.value == COIN][number]
        spend = simulation.spend(coin, COIN - 1_000_000)
        simulation.chain.add_transaction(replace(spend, outputs=(*spend.outputs, TxOutput(1, b"\xac" * heavy))))
    miner = PoolMiner(simulation, 120)
    assert len(miner.template().transactions) == 3
    context = miner.context()
    assert (context.left_out, context.refusal) == (1, None)
    assert simulation.chain.submit(miner.mine(unfitted(context, miner))) == "bad-blk-sigops"
    assert simulation.chain.submit(miner.mine(context)) is None


def test_what_is_left_out_is_not_paid_for(make_simulation: Callable[..., Any]) -> None:
    """The whole template's amounts without some of its transactions: both limits of the coinbase are broken."""
    simulation = with_small_coins(make_simulation, 60)
    fill(simulation, 48, bytes(41_000))
    miner = PoolMiner(simulation, PAYEES)
    whole = miner.template()
    context = miner.context(replace(whole, size_limit=1_500_000))
    assert context.left_out > 10
    shorter = context.template
    for changes, reason in (
        ({"subsidy": whole.subsidy}, "bad-cb-amount"),
        ({"payments": whole.payments, "payment_amount": whole.payment_amount}, "bad-cb-payee"),
    ):
        wrong = miner.context(replace(shorter, **changes))
        assert simulation.chain.submit(miner.mine(wrong)) == reason
    assert simulation.chain.submit(miner.mine(context)) is None


def test_what_moves_a_collateral_is_not_left_out(make_simulation: Callable[..., Any]) -> None:
    simulation = make_simulation(**FULL)
    for coin in simulation.faucet_coins()[:20]:
        big = simulation.spend(coin, 1)
        value = simulation.chain.ledger.coins[coin].value - 50_000
        simulation.chain.add_transaction(replace(big, outputs=(TxOutput(value, bytes(99_000)),)))
    miner = PoolMiner(simulation, PAYEES)
    context = miner.context(replace(miner.template(), size_limit=1_900_000))
    assert context.left_out == 0
    assert "must stay" in context.refusal


def test_transactions_and_coinbases_over_100_000_bytes(make_simulation: Callable[..., Any]) -> None:
    simulation = make_simulation()
    coinbase = simulation.coinbase()
    wide = replace(coinbase, outputs=(*coinbase.outputs, TxOutput(0, b"\x6a" + bytes(MAX_TRANSACTION_SIZE))))
    assert simulation.chain.submit(simulation.block(coinbase=wide)) == "bad-txns-oversize"
    rest = MAX_TRANSACTION_SIZE - len(coinbase.pack()) - 8 - 5
    fitting = replace(coinbase, outputs=(*coinbase.outputs, TxOutput(0, b"\x6a" + bytes(rest - 1))))
    assert len(fitting.pack()) == MAX_TRANSACTION_SIZE
    assert simulation.chain.submit(simulation.block(coinbase=fitting)) is None
