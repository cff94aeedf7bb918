"""A pool mines across the height at which the rules of Dash Core 24 begin: before, at and after it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from p2pool.base.errors import ParseError
from p2pool.dash.block import parse_block
from p2pool.dash.transaction import parse_transaction
from p2pool.dashd.template import BlockTemplate
from p2pool.simnet.deployments import V24_BIT, V24_PERIOD
from p2pool.simnet.payloads import parse_coinbase_payload
from p2pool.simnet.rule_sets import parse_rules
from p2pool.simnet.special import parse_asset_unlock
from tests.simnet.conftest import Simulation, connect, settle
from tests.simnet.pool_blocks import PoolMiner

HEIGHT = 30
SIGNAL = 1 << V24_BIT


@pytest.fixture
def crossing(make_simulation: Any) -> Any:
    """A simulation two blocks before the height."""
    simulation = make_simulation(v24_height=HEIGHT, owner_payouts=8, superblock_interval=10)
    simulation.wait_for_height(HEIGHT - 2)
    return simulation


def payload_version(template: BlockTemplate) -> int:
    """The version of the coinbase payload."""
    return parse_coinbase_payload(template.coinbase_payload).version


def test_blocks_before_at_and_after_the_height_are_valid(crossing: Any) -> None:
    """HEIGHT is a superblock's, too: nine owners' and operators' payments, the platform's and two more."""
    miner = PoolMiner(crossing)
    versions, masternode_payments = [], []
    for _ in range(3):
        crossing.call("simnet_sendtx", 3)
        crossing.call("simnet_special", 9, crossing.chain.height)
        template = miner.template()
        versions.append(payload_version(template))
        masternode_payments.append(template.masternode_payments)
        raw = miner.mine(miner.context(template))
        assert parse_block(raw).transactions[0].extra_payload == template.coinbase_payload
        assert crossing.chain.submit(raw) is None
    assert versions == [3, 4, 4]
    assert masternode_payments == [2, 9, 10]
    assert crossing.chain.height == HEIGHT + 1


def test_a_job_from_before_the_height_is_a_block_until_its_height_is_taken(crossing: Any) -> None:
    """The rules come with the template: what was issued before the change and solved in time is as good as ever,
    and what is solved late is an orphan, not an invalid block."""
    miner = PoolMiner(crossing)
    context = miner.context()
    in_time = miner.mine(context)
    crossing.clock.advance(1)
    late = miner.mine(context)
    assert late != in_time
    assert crossing.chain.submit(in_time) is None
    assert crossing.chain.submit(late) == "inconclusive"
    assert crossing.chain.submit(miner.mine()) is None
    assert crossing.chain.height == HEIGHT


def test_the_old_payload_at_the_height_is_refused_and_so_is_the_new_one_before_it(crossing: Any) -> None:
    chain = crossing.chain
    for height in (HEIGHT - 1, HEIGHT):
        coinbase = crossing.coinbase()
        payload = parse_coinbase_payload(coinbase.extra_payload)
        other = replace(payload, version=7 - payload.version, asset_unlocks_root=0)
        wrong = crossing.block(coinbase=replace(coinbase, extra_payload=other.pack()))
        assert chain.submit(wrong) == "bad-cbtx-version"
        assert chain.height == height - 1
        crossing.find()


def test_a_wrong_split_among_owners_is_refused(crossing: Any) -> None:
    crossing.wait_for_height(HEIGHT)
    template = crossing.chain.template()
    owners = template.masternode[1:]
    swapped = (
        replace(owners[0], amount=owners[0].amount + 1),
        replace(owners[1], amount=owners[1].amount - 1),
        *owners[2:],
    )
    for wrong in (swapped, owners[1:], owners[:1]):
        coinbase = crossing.coinbase(replace(template, masternode=(template.masternode[0], *wrong)))
        assert crossing.chain.submit(crossing.block(coinbase=coinbase)) == "bad-cb-payee"
    assert crossing.chain.submit(crossing.block()) is None


@pytest.mark.parametrize("again", [False, True])
def test_a_withdrawal_waits_across_the_height(make_simulation: Any, again: bool) -> None:
    """Version 1 stays valid. Signed again after the height it is another transaction, which replaces it."""
    simulation = make_simulation(v24_height=HEIGHT, block_max_size=1)
    simulation.wait_for_height(HEIGHT - 2)
    old = simulation.call("simnet_special", 9, 7)
    simulation.find()  # its blocks have no room
    assert simulation.call("getrawmempool") == [old]
    if again:
        new = simulation.call("simnet_special", 9, 7)
        assert new != old
        assert simulation.call("simnet_special", 9, 7) == new
        assert simulation.call("getrawmempool") == [new]
    simulation.chain._block_max_size = 1_000_000
    simulation.chain.last_template = None
    miner = PoolMiner(simulation)
    [entry] = miner.template().transactions
    assert parse_asset_unlock(parse_transaction(entry.data).extra_payload).version == 1 + again
    assert simulation.chain.submit(miner.mine()) is None
    assert simulation.call("getrawmempool") == []


def test_miners_signal_with_the_version_of_the_template(make_simulation: Any) -> None:
    """Bit 12 is asked for in two periods before the height, and counted; afterwards it is not set any more."""
    simulation = make_simulation(v24_height=HEIGHT, superblock_interval=10)
    miner = PoolMiner(simulation)
    states = []
    while simulation.chain.height <= HEIGHT:
        fork = simulation.call("getblockchaininfo")["softforks"]["v24"]
        answer = simulation.call("getblocktemplate")
        states.append(fork["bip9"]["status"])
        signalled = states[-1] in ("started", "locked_in")
        assert answer["version"] == 0x20000000 | (SIGNAL if signalled else 0)
        assert answer["vbavailable"] == ({"v24": V24_BIT} if signalled else {})
        assert ("v24" in answer["rules"]) == fork["active"] == (states[-1] == "active")
        assert fork["bip9"]["ehf"] is True
        if signalled:
            statistics = fork["bip9"]["statistics"]
            elapsed = simulation.chain.height + 1 - fork["bip9"]["since"]
            assert (statistics["elapsed"], statistics["count"]) == (elapsed, elapsed)
            assert ("threshold" in statistics) == (states[-1] == "started")
        if states[-1] == "locked_in":
            assert fork["bip9"]["activation_height"] == HEIGHT
        simulation.clock.advance(60)
        assert simulation.chain.submit(miner.mine()) is None
    expected = {
        "defined": HEIGHT - 2 * V24_PERIOD - 1,
        "started": V24_PERIOD,
        "locked_in": V24_PERIOD,
        "active": 2,
    }
    assert {state: states.count(state) for state in dict.fromkeys(states)} == expected


def test_a_daemon_that_was_not_upgraded_parts_with_the_others_at_the_height(make_simulation: Any) -> None:
    upgraded, old = make_simulation(v24_height=HEIGHT), Simulation(nonce=77)
    for _ in range(HEIGHT - 1):
        old.clock.advance(old.parameters.block_period)
        upgraded.find()
    line = connect(upgraded, old)
    settle(line)
    assert old.chain.tip_hash == upgraded.chain.tip_hash
    new_block = PoolMiner(upgraded).mine()
    old_block = PoolMiner(old).mine()
    assert old.chain.submit(new_block) == "bad-cbtx-version"
    assert upgraded.chain.submit(old_block) == "bad-cbtx-version"
    assert upgraded.chain.submit(new_block) is None
    settle(line)
    assert old.chain.height == HEIGHT - 1
    old.find(3)
    upgraded.find(2)
    settle(line)
    assert (old.chain.height, upgraded.chain.height) == (HEIGHT + 2, HEIGHT + 2)
    assert old.chain.tip_hash != upgraded.chain.tip_hash


def test_a_network_makes_withdrawals_and_signs_them_again(make_simulation: Any) -> None:
    simulation = make_simulation(v24_height=1, transaction_period=3.0)
    simulation.find()
    seen: set[tuple[str, str]] = set()
    for _ in range(20):
        simulation.transactions.make_next(True)
        seen |= {(e["hash"], e["data"]) for e in simulation.call("getblocktemplate")["transactions"]}
    unlocks = {(hash_, data) for hash_, data in seen if data[4:8] == "0900"}
    assert len({hash_ for hash_, _ in unlocks}) == 1
    assert len(unlocks) == 5
    assert simulation.chain.submit(PoolMiner(simulation).mine()) is None
    for _ in range(4):
        simulation.transactions.make_next(True)
    [entry] = [e for e in simulation.call("getblocktemplate")["transactions"] if e["data"][4:8] == "0900"]
    assert entry["hash"] not in {hash_ for hash_, _ in unlocks}


@pytest.mark.parametrize(("text", "height"), [("v23", None), ("v24", 1), ("v24@150", 150)])
def test_rule_sets_by_name(text: str, height: int | None) -> None:
    assert parse_rules(text) == height


@pytest.mark.parametrize("text", ["", "v22", "v24@-1", "v24@1_0", "v24@٣", "v24@123456789", "V24"])
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not v23|is not a height"):
        parse_rules(text)


@pytest.mark.parametrize("version", [3, 4, 5, 9, 65535])
def test_a_payload_of_a_version_that_is_not_known_is_passed_through(crossing: Any, version: int) -> None:
    """What a coinbase payload says is Dash Core's affair: a newer one costs no work."""
    miner = PoolMiner(crossing)
    payload = version.to_bytes(2, "little") + bytes(range(251))
    template = miner.template(coinbase_payload=payload.hex())
    assert template.coinbase_payload == payload
    block = parse_block(miner.mine(miner.context(template)))
    assert block.transactions[0].extra_payload == payload
    with pytest.raises(ParseError):
        parse_coinbase_payload(payload)
