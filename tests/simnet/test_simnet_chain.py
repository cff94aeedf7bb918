"""Following the most work, surviving a restart, steering the difficulty, and the simulation's own transactions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from p2pool.base.errors import OperatorError, ParseError
from p2pool.dash.target import bits_to_target, target_to_average_attempts
from p2pool.dash.transaction import TxOutput, parse_transaction
from p2pool.simnet.economy import BLOCK_SUBSIDY, burn_amount, masternode_share
from p2pool.simnet.errors import TransactionRefused
from p2pool.simnet.finder import FinderBusy
from p2pool.simnet.ledger import FAUCET_SCRIPT
from p2pool.simnet.parameters import SimnetParameters, chain_rules
from p2pool.simnet.payloads import parse_coinbase_payload, parse_quorum_commitment
from p2pool.simnet.retarget import TimedBits, next_bits

# --- fork choice ----------------------------------------------------------------------------------------


def test_sibling_of_the_tip_is_inconclusive(simulation: Any) -> None:
    chain = simulation.chain
    template = chain.template()
    first = simulation.block(template=template)
    second = simulation.block(template=template, coinbase=simulation.coinbase(template, b"other"))
    assert chain.submit(first) is None
    tip = chain.tip_hash
    assert chain.submit(second) == "inconclusive"
    assert chain.submit(second) == "duplicate"
    assert chain.tip_hash == tip


def test_more_work_wins(simulation: Any) -> None:
    chain = simulation.chain
    simulation.transactions.make()
    simulation.wait_for_height(5)
    connected: list[int] = []
    tips: list[int] = []
    chain.block_connected.subscribe(lambda block: connected.append(block.height))
    chain.tip_changed.subscribe(lambda block: tips.append(block.height))
    old = [chain.active.at(height) for height in (4, 5)]
    coins = dict(chain.ledger.coins)
    found = simulation.find(3, 2)
    assert chain.height == 6
    assert chain.tip_hash == found[-1]
    assert connected == [4, 5, 6]
    assert tips == [6]
    assert all(block not in chain.active for block in old)
    assert [tip.hash_hex for tip, _ in chain.branches()] == [found[-1], old[1].hash_hex]
    # The old branch comes back when it becomes longer, and the ledger with it.
    template = chain.empty_template(old[1])
    assert chain.submit(simulation.block(template=template, others=())) == "inconclusive"
    back = chain.find(int(_hash_of(simulation, template), 16))
    assert chain.submit(simulation.block(template=chain.empty_template(back), others=())) is None
    assert chain.height == 7
    assert old[1] in chain.active
    assert set(coins) <= set(chain.ledger.coins)


def _hash_of(simulation: Any, template: Any) -> str:
    [hash_] = [tip.hash_hex for tip, _ in simulation.chain.branches() if tip.previous is template.previous]
    return str(hash_)


def test_ledger_is_the_same_after_there_and_back(make_simulation: Callable[..., Any]) -> None:
    simulation = make_simulation()
    straight = make_simulation()
    for each in (simulation, straight):
        for _ in range(6):
            for _ in range(3):
                each.transactions.make()
            each.find()
    assert simulation.chain.tip_hash == straight.chain.tip_hash
    simulation.find(4, 3)
    assert simulation.chain.tip_hash != straight.chain.tip_hash
    branch = straight.chain
    for height in range(4, 7):
        assert simulation.chain.submit(branch.read(branch.active.at(height)).raw) == "duplicate"
    # Two more on the old branch: without the waiting transactions, as the finder makes them on forks.
    previous = simulation.chain.find(branch.tip.hash)
    for number in range(2):
        raw = simulation.block(template=simulation.chain.empty_template(previous), others=())
        assert simulation.chain.submit(raw) == ("inconclusive" if number == 0 else None)
        assert branch.submit(raw) is None
        previous = simulation.chain.find(branch.tip.hash)
    assert simulation.chain.tip_hash == branch.tip_hash
    assert simulation.chain.ledger.coins == branch.ledger.coins
    assert simulation.chain.ledger.faucet == branch.ledger.faucet


def test_a_branch_that_turns_out_invalid_is_left_again(simulation: Any) -> None:
    chain = simulation.chain
    simulation.wait_for_height(3)
    tip = chain.tip_hash
    template = chain.empty_template(chain.active.at(2))
    coinbase = simulation.coinbase(template)
    greedy = replace(coinbase.outputs[0], value=coinbase.outputs[0].value + 1)
    bad = simulation.block(
        template=template, others=(), coinbase=replace(coinbase, outputs=(greedy, *coinbase.outputs[1:]))
    )
    assert chain.submit(bad) == "inconclusive"  # nobody looked at its payments yet
    entry = next(block for block, _ in chain.branches() if block.hash_hex != tip)
    coins = dict(chain.ledger.coins)
    child = simulation.block(template=chain.empty_template(entry), others=())
    assert chain.submit(child) == "bad-prevblk"
    assert chain.tip_hash == tip
    assert chain.ledger.coins == coins
    assert chain.submit(bad) == "duplicate-invalid"
    assert chain.submit(child) == "duplicate-invalid"
    simulation.find()
    assert chain.height == 4


def test_transactions_of_a_left_branch_wait_again(simulation: Any) -> None:
    simulation.find()
    entries = [simulation.transactions.make() for _ in range(5)]
    simulation.find()
    assert len(simulation.chain.mempool) == 0
    simulation.find(2, 1)
    assert simulation.chain.height == 3
    assert {entry.hash for entry in simulation.chain.mempool} == {entry.hash for entry in entries if entry}


def test_search_bounds(simulation: Any) -> None:
    with pytest.raises(ValueError, match="number of blocks"):
        simulation.find(0)
    with pytest.raises(ValueError, match="fork_depth"):
        simulation.find(1, 5)


def test_one_search_at_a_time(simulation: Any) -> None:
    simulation.finder._busy = True
    with pytest.raises(FinderBusy):
        simulation.find()


# --- disk -----------------------------------------------------------------------------------------------


def _restarted(make_simulation: Callable[..., Any], directory: Path) -> Any:
    return make_simulation(data_directory=directory)


def _fill(simulation: Any) -> None:
    for _ in range(3):
        simulation.transactions.make()
        simulation.find()
    simulation.find(1, 1)  # a stale block
    simulation.find()
    simulation.chain.close()


def test_restart(make_simulation: Callable[..., Any], tmp_path: Path) -> None:
    first = _restarted(make_simulation, tmp_path)
    _fill(first)
    second = _restarted(make_simulation, tmp_path)
    assert second.chain.height == 4
    assert second.chain.tip_hash == first.chain.tip_hash
    assert second.chain.ledger.coins == first.chain.ledger.coins
    assert len(second.chain.branches()) == 2
    second.clock.advance(1000)
    second.find()
    second.chain.close()
    assert _restarted(make_simulation, tmp_path).chain.height == 5


@pytest.mark.parametrize("cut", [1, 50, 399])
def test_torn_tail_is_quarantined(make_simulation: Callable[..., Any], tmp_path: Path, cut: int) -> None:
    _fill(_restarted(make_simulation, tmp_path))
    path = tmp_path / "blocks.dat"
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    again = _restarted(make_simulation, tmp_path)
    assert again.chain.height == 3
    [aside] = tmp_path.glob("blocks.dat.torn-at-*")
    assert path.read_bytes() + aside.read_bytes() == whole[:-cut]
    again.clock.advance(1000)
    again.find()
    again.chain.close()
    assert _restarted(make_simulation, tmp_path).chain.height == 4


def test_corrupt_byte(make_simulation: Callable[..., Any], tmp_path: Path) -> None:
    _fill(_restarted(make_simulation, tmp_path))
    path = tmp_path / "blocks.dat"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert _restarted(make_simulation, tmp_path).chain.height == 3


def test_other_chain_or_second_process(make_simulation: Callable[..., Any], tmp_path: Path) -> None:
    first = _restarted(make_simulation, tmp_path)
    first.find()
    with pytest.raises(OperatorError, match="in use"):
        _restarted(make_simulation, tmp_path)
    first.chain.close()
    with pytest.raises(OperatorError, match="other parameters"):
        make_simulation(data_directory=tmp_path, seed=7)
    data = (tmp_path / "blocks.dat").read_bytes().replace(b"simnet 1\n", b"simnet 2\n", 1)
    (tmp_path / "blocks.dat").write_bytes(data)
    with pytest.raises(OperatorError, match=r"blocks\.dat has version 2 of its format, and this program knows 1"):
        _restarted(make_simulation, tmp_path)
    assert (tmp_path / "blocks.dat").read_bytes() == data
    (tmp_path / "file").write_text("")
    with pytest.raises(OperatorError, match="cannot open"):
        make_simulation(data_directory=tmp_path / "file")


def test_a_full_disk_changes_nothing(simulation: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(raw: bytes) -> int:
        raise OSError(28, "No space left on device")

    simulation.find(2)
    raw = simulation.block()
    tip, coins = simulation.chain.tip_hash, dict(simulation.chain.ledger.coins)
    with monkeypatch.context() as patch:
        patch.setattr(simulation.chain.store, "append", fail)
        with pytest.raises(OSError, match="No space"):
            simulation.chain.submit(raw)
        assert (simulation.chain.tip_hash, simulation.chain.ledger.coins) == (tip, coins)
    assert simulation.chain.submit(raw) is None


# --- determinism and difficulty ---------------------------------------------------------------------------


def test_same_seed_same_chain(make_simulation: Callable[..., Any]) -> None:
    tips = []
    for seed in (1, 1, 2):
        simulation = make_simulation(seed=seed)
        for _ in range(5):
            simulation.transactions.make()
            simulation.find()
        tips.append(simulation.chain.tip_hash)
    assert tips[0] == tips[1] != tips[2]


def test_rules_make_the_genesis() -> None:
    base = SimnetParameters()
    rules = chain_rules(base)
    assert target_to_average_attempts(rules.initial_target) == pytest.approx(2**20, rel=0.001)
    assert chain_rules(replace(base, initial_attempts=0)).initial_bits == 0x207FFFFF
    others = [
        replace(base, seed=1),
        replace(base, block_period=61.0),
        replace(base, initial_attempts=2**21),
        replace(base, superblock_interval=11),
        replace(base, commitment_interval=17),
    ]
    assert len({chain_rules(p).fingerprint() for p in [base, *others]}) == 6
    assert chain_rules(replace(base, rpc_port=1)).fingerprint() == rules.fingerprint()


INITIAL = chain_rules(SimnetParameters()).initial_bits


def _history(bits: int, interval: int, count: int = 30) -> list[TimedBits]:
    return [TimedBits(1_000_000 + interval * i, bits) for i in range(count)]


def _ratio(before: int, after: int) -> float:
    return bits_to_target(after) / bits_to_target(before)


def test_retarget() -> None:
    hard = next_bits(_history(INITIAL, 0), 60, INITIAL)
    assert _ratio(INITIAL, hard) == pytest.approx(0.5, rel=0.001)  # at most by half
    assert next_bits([], 60, INITIAL) == INITIAL
    assert next_bits(_history(INITIAL, 60), 60, INITIAL) == INITIAL
    assert next_bits(_history(INITIAL, 600), 60, INITIAL) == INITIAL  # never easier than at first
    assert _ratio(hard, next_bits(_history(hard, 60), 60, INITIAL)) == pytest.approx(1, rel=0.001)
    assert _ratio(hard, next_bits(_history(hard, 45), 60, INITIAL)) == pytest.approx(0.75, rel=0.001)
    harder = next_bits(_history(hard, 0), 60, INITIAL)
    harder = next_bits(_history(harder, 0), 60, INITIAL)
    assert _ratio(harder, next_bits(_history(harder, 10_000), 60, INITIAL)) == pytest.approx(2, rel=0.001)
    assert _ratio(hard, next_bits(_history(hard, -5), 60, INITIAL)) == pytest.approx(0.5, rel=0.001)


def test_fast_blocks_make_the_chain_harder(simulation: Any) -> None:
    start = bits_to_target(simulation.chain.next_bits(simulation.chain.tip))
    simulation.find(8)
    assert bits_to_target(simulation.chain.next_bits(simulation.chain.tip)) < start / 2


# --- money ----------------------------------------------------------------------------------------------


def test_amounts_are_split_as_captured() -> None:
    """Captures 60, 30 and 71: subsidy, fees, burn, masternode."""
    for subsidy, fees, burn, masternode in (
        (371733134, 101936, 104549943, 174326359),
        (371428572, 0, 104464285, 174107144),
        (400327990, 101936, 112592247, None),
    ):
        assert burn_amount(subsidy) == burn
        if masternode is not None:
            assert masternode_share(subsidy + fees) - burn == masternode


def test_template_payees(simulation: Any) -> None:
    simulation.wait_for_height(8)
    simulation.transactions.make()
    template = simulation.chain.template()
    fees = sum(transaction.fee for transaction in template.transactions)
    assert fees > 0
    burn, masternode = template.masternode
    assert (burn.payee, burn.script) == ("", b"\x6a")
    assert masternode.payee[0] == "y"
    assert burn.amount + masternode.amount == (BLOCK_SUBSIDY + fees) * 3 // 4
    assert template.coinbase_value == BLOCK_SUBSIDY + fees
    assert template.superblock == ()
    simulation.find()
    template = simulation.chain.template()
    assert [payee.payee[0] in "y" for payee in template.superblock] == [True, False]
    assert template.coinbase_value == BLOCK_SUBSIDY + sum(payee.amount for payee in template.superblock)


def test_the_masternode_changes_with_the_height(simulation: Any) -> None:
    economy = simulation.chain.economy
    payees = [economy.masternode_payees(height, 0)[1].payee for height in range(16)]
    assert payees[:8] == payees[8:]
    assert len(set(payees)) == 8
    assert [payee for payee in payees[:8] if payee[0] in "89"] == [payees[7]]


def test_credit_pool_grows_by_the_burn(simulation: Any) -> None:
    balances = []
    for _ in range(3):
        payload = parse_coinbase_payload(simulation.chain.template().coinbase_payload)
        balances.append(payload.credit_pool_balance)
        simulation.find()
    step = burn_amount(BLOCK_SUBSIDY)
    assert balances == [step, 2 * step, 3 * step]


def test_intervals_can_be_switched_off(make_simulation: Callable[..., Any]) -> None:
    simulation = make_simulation(superblock_interval=0, commitment_interval=0)
    simulation.wait_for_height(33)
    assert simulation.chain.tip.transaction_count == 1


def test_payload_parsers_raise_parse_errors_only(simulation: Any) -> None:
    simulation.wait_for_height(15)
    template = simulation.chain.template()
    cases: list[tuple[Callable[[bytes], object], bytes]] = [
        (parse_coinbase_payload, template.coinbase_payload),
        (parse_quorum_commitment, parse_transaction(template.transactions[0].raw).extra_payload),
    ]
    for parse, raw in cases:
        parse(raw)
        for size in range(len(raw)):
            with pytest.raises(ParseError):
                parse(raw[:size])
        with pytest.raises(ParseError):
            parse(raw + b"\x00")
        for position in range(len(raw)):
            changed = bytearray(raw)
            changed[position] ^= 0xFF
            try:
                parse(bytes(changed))
            except ParseError:
                continue


# --- mempool --------------------------------------------------------------------------------------------


def test_mempool_refusals(simulation: Any) -> None:
    chain = simulation.chain
    coin = simulation.faucet_coins()[0]
    value = chain.ledger.coins[coin].value
    spend = simulation.spend(coin, value - 500)
    entry = chain.add_transaction(spend)
    assert (entry.fee, entry.size) == (500, len(spend.pack()))
    for transaction, reason in (
        (spend, "already-in-mempool"),
        (simulation.spend(coin, 1), "mempool-conflict"),
        (simulation.spend((99, 0), 1), "missingorspent"),
        (simulation.spend((spend.hash, 0), value), "belowout"),
        (simulation.spend((spend.hash, 7), 1), "missingorspent"),
        (simulation.coinbase(), "coinbase"),
        (replace(spend, version=3, type=6), "bad-tx-type"),
        (replace(spend, outputs=(TxOutput(1, bytes(100_001)),)), "tx-size"),
    ):
        with pytest.raises(TransactionRefused, match=reason):
            chain.add_transaction(transaction)
    assert len(chain.mempool) == 1


def test_mempool_is_bounded(make_simulation: Callable[..., Any]) -> None:
    simulation = make_simulation(mempool_limit=10)
    made = [simulation.transactions.make() for _ in range(15)]
    assert len(simulation.chain.mempool) == 10
    assert made[10:] == [None] * 5


def test_long_chains_of_waiting_transactions_end(simulation: Any) -> None:
    coin = simulation.faucet_coins()[0]
    for _ in range(25):
        spend = simulation.spend(coin, 100)
        simulation.chain.add_transaction(spend)
        coin = (spend.hash, 0)
    with pytest.raises(TransactionRefused, match="too-long-mempool-chain"):
        simulation.chain.add_transaction(simulation.spend(coin, 100))


def test_own_transactions(simulation: Any) -> None:
    """Hundreds of them: templates stay valid, some depend on others, and the ledger stays small."""
    dependent = 0
    for _ in range(40):
        for _ in range(20):
            assert simulation.transactions.make() is not None
        template = simulation.chain.template()
        dependent += sum(1 for transaction in template.transactions if transaction.depends)
        for position, transaction in enumerate(template.transactions, 1):
            assert all(parent < position for parent in transaction.depends)
        simulation.find()
        assert len(simulation.chain.mempool) == 0
    assert simulation.chain.height == 40
    assert 50 < dependent < 600
    assert len(simulation.chain.ledger.faucet) < 400


def test_a_template_leaves_out_what_does_not_fit(simulation: Any) -> None:
    chain = simulation.chain
    coins = simulation.faucet_coins()
    for coin in coins[:20]:
        chain.add_transaction(replace(simulation.spend(coin, 1), outputs=(TxOutput(1, bytes(99_900)),)))
    parents = [simulation.spend(coin, 1000) for coin in coins[20:22]]
    for parent in parents:
        chain.add_transaction(parent)
        chain.add_transaction(simulation.spend((parent.hash, 0), 500))
    template = chain.template()
    assert sum(len(t.raw) for t in template.transactions) <= 1_850_000
    assert len(template.transactions) == 18 + 4
    assert [t.depends for t in template.transactions[-4:]] == [(), (19,), (), (21,)]
    assert chain.submit(simulation.block()) is None
    assert len(chain.mempool) == 2


def test_faucet_script_is_that_of_the_captures() -> None:
    assert FAUCET_SCRIPT.hex() == "a914da1745e9b549bd0bfa1a569971c77eba30cd5a4b87"
