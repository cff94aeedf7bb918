"""What may be left out of a template, and what the rest must pay then."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.dash.merkle import coinbase_branch
from p2pool.dash.transaction import Transaction, TxInput, TxOutput
from p2pool.dashd.shortening import COLLATERAL, leave_out, payments_without, shorten
from p2pool.dashd.template import BlockTemplate, TemplateTransaction
from p2pool.dashd.template_parsing import parse_template
from p2pool.networks import DASH_REGTEST
from p2pool.simnet.economy import SHARED_MASTERNODE, Economy
from p2pool.simnet.parameters import SimnetParameters, chain_rules
from tests.dash import asset_unlock
from tests.support import capture, make_template

VERSIONS = DASH_REGTEST.parent.addresses
MATCHED = "61_matched_1_getblocktemplate"
WITHOUT = "60_getblocktemplate_with_masternodes_and_txs_capabilities"


def captured(name: str, **changes: Any) -> BlockTemplate:
    return parse_template(capture(name)["response"]["result"] | changes, VERSIONS, 0.0)


# --- what the masternode is paid -------------------------------------------------------------------------


def of_economy(owners: int, height: int, fees: int) -> BlockTemplate:
    """The template's amounts on a simulated network whose masternodes have so many owners."""
    parameters = SimnetParameters(v24_height=None if owners == 1 else 1, owner_payouts=owners)
    economy = Economy(chain_rules(parameters))
    masternode, superblock = economy.masternode_payees(height, fees), economy.superblock_payees(height)
    payments = tuple((f"!{payee.script.hex()}", payee.amount) for payee in (*masternode, *superblock))
    return make_template(
        height=height,
        subsidy=economy.coinbase_value(height, fees),
        payments=payments,
        payment_amount=sum(amount for _, amount in payments),
        masternode_payments=len(masternode),
        coinbase_payload=economy.coinbase_payload(height).pack(),
    )


@given(st.integers(1, 8), st.integers(1, 40), st.integers(0, 10**8), st.floats(0, 1))
def test_amounts_are_those_that_dash_core_demands_without_the_fees(owners, height, fees, part):
    left_out = int(fees * part)
    transaction = TemplateTransaction(b"", bytes(32), fees)
    before = replace(of_economy(owners, height, fees), transactions=(transaction,))
    after = of_economy(owners, height, fees - left_out)
    payments = payments_without(before, left_out)
    if payments is not None:  # two readings of the same amounts may differ by a duff
        assert payments == after.payments
    elif owners == 1:
        raise AssertionError("the amounts of one owner can always be computed")


def test_most_amounts_of_several_owners_can_be_computed():
    computed = 0
    for fees in range(100_000, 200_000, 1000):
        for owners in range(2, 9):
            before = of_economy(owners, 7, fees)
            before = replace(before, transactions=(TemplateTransaction(b"", bytes(32), fees),))
            computed += payments_without(before, 12_345) is not None
    assert computed > 600


@pytest.mark.parametrize("owners", range(2, 9))
def test_parts_of_a_shared_collateral(owners):
    """They can be told from the amounts where they are multiples of 0.1 DASH. Else nothing is left out, rather
    than that somebody is paid a duff too little."""
    fees, left_out = 150_000, 12_345
    before = of_economy(owners, SHARED_MASTERNODE, fees)
    before = replace(before, transactions=(TemplateTransaction(b"", bytes(32), fees),))
    after = of_economy(owners, SHARED_MASTERNODE, fees - left_out)
    tenths_of_a_coin = owners == 4  # which have 1, 2, 3 and 4 tenths of 1000 DASH
    assert payments_without(before, left_out) == (after.payments if tenths_of_a_coin else None)
    assert payments_without(before, 0) == before.payments


@pytest.mark.parametrize("name", [MATCHED, WITHOUT])
def test_the_captured_amounts_follow_the_formula(name):
    template = captured(name)
    payments = payments_without(template, template.fees)
    assert payments is not None
    reward = template.subsidy - template.fees
    burn = template.payments[0][1]
    assert payments == (template.payments[0], (template.payments[1][0], reward * 3 // 4 - burn))
    assert payments_without(template, 0) == template.payments


def test_an_operator_keeps_its_share():
    answer = capture(MATCHED)["response"]["result"]
    burn, owner = answer["masternode"]
    for points in (1, 500, 1234, 9999):
        operator = owner["amount"] * points // 10_000
        masternode = [burn, owner | {"amount": owner["amount"] - operator}, burn | {"amount": operator}]
        template = captured(MATCHED, masternode=masternode)
        left = (template.subsidy - 50_000) * 3 // 4 - burn["amount"]
        payments = payments_without(template, 50_000)
        assert payments is not None
        assert payments[2][1] == left * points // 10_000
        assert payments[1][1] == left - payments[2][1]


def test_without_a_masternode_nothing_depends_on_fees():
    answer = capture(MATCHED)["response"]["result"]
    template = captured(MATCHED, masternode=answer["masternode"][:1])
    assert payments_without(template, 50_000) == template.payments
    assert payments_without(captured(MATCHED, masternode=[]), 50_000) == ()


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("change", [-1, 1])
def test_amounts_by_another_rule_are_not_computed(which, change):
    masternode = [dict(entry) for entry in capture(MATCHED)["response"]["result"]["masternode"]]
    masternode[which]["amount"] += change
    assert payments_without(captured(MATCHED, masternode=masternode), 50_000) is None


def test_three_payees_before_version_24_are_not_understood():
    burn, owner = capture(MATCHED)["response"]["result"]["masternode"]
    third = owner["amount"] // 3
    masternode = [burn, *[owner | {"amount": a} for a in (third, third, owner["amount"] - 2 * third)]]
    assert payments_without(captured(MATCHED, masternode=masternode), 50_000) is None


# --- leaving out -----------------------------------------------------------------------------------------


def ordinary(number: int, value: int = 5, fee: int = 100) -> TemplateTransaction:
    """A transaction of about 1000 bytes that pays `value` duffs."""
    made = Transaction(2, 0, (TxInput(number + 1, 0, b""),), (TxOutput(value, bytes(939)),), 0)
    return TemplateTransaction(made.pack(), made.hash.to_bytes(32, "little"), fee, 1)


def special(number: int) -> TemplateTransaction:
    made = replace(asset_unlock.UNLOCK, lock_time=number)
    return TemplateTransaction(made.pack(), made.hash.to_bytes(32, "little"), 5000, 0)


def template_of(
    *transactions: TemplateTransaction, depends: dict[int, tuple[int, ...]] | None = None
) -> BlockTemplate:
    names = [transaction.hash_bytes for transaction in transactions]
    found = tuple((depends or {}).get(place, ()) for place in range(len(transactions)))
    return replace(make_template(transactions=names), transactions=transactions, depends=found)


def kept(whole: BlockTemplate, size: int, operations: int = 10**6) -> list[int]:
    """The places of what is kept in so many bytes."""
    shorter, obstacle = shorten(whole, size, operations)
    assert obstacle is None
    assert sum(len(transaction.data) for transaction in shorter.transactions) <= size
    assert shorter.branch == tuple(coinbase_branch([t.hash_bytes for t in shorter.transactions]))
    assert shorter.subsidy == whole.subsidy - whole.fees + shorter.fees
    return [whole.transactions.index(transaction) for transaction in shorter.transactions]


def test_nothing_is_left_out_where_all_fits():
    whole = template_of(*map(ordinary, range(5)))
    size = sum(len(transaction.data) for transaction in whole.transactions)
    shorter, obstacle = shorten(whole, size, 5)
    assert shorter is whole
    assert obstacle is None


def test_the_last_ones_go_first():
    whole = template_of(*map(ordinary, range(5)))
    size = sum(len(transaction.data) for transaction in whole.transactions)
    assert kept(whole, size - 1) == [0, 1, 2, 3]
    assert kept(whole, size - 1500) == [0, 1, 2]
    assert kept(whole, size, 2) == [0, 1]
    assert kept(whole, 0, 0) == []


def test_special_transactions_stay_with_all_that_they_spend():
    transactions = [ordinary(0), special(1), *map(ordinary, range(2, 6)), special(6), ordinary(7)]
    whole = template_of(*transactions, depends={4: (2,), 6: (4,), 7: (6,)})
    least = sum(len(transactions[place].data) for place in (1, 2, 4, 6))
    assert kept(whole, least) == [1, 2, 4, 6]
    _, obstacle = shorten(whole, least - 1, 10**6)
    assert obstacle is not None
    assert kept(whole, least + len(transactions[0].data)) == [0, 1, 2, 4, 6]


def test_what_could_spend_a_masternodes_collateral_stays():
    """The coinbase payload commits to the masternode list, which such a transaction changes."""
    transactions = [
        ordinary(0),
        ordinary(1, value=COLLATERAL, fee=0),
        ordinary(2, value=COLLATERAL - 1, fee=1),
        ordinary(3, value=COLLATERAL - 1, fee=0),
        TemplateTransaction(b"\x02\x00\x00\x00nothing", bytes(32), 5),
    ]
    whole = template_of(*transactions)
    assert kept(whole, sum(len(transactions[place].data) for place in (1, 2, 4))) == [1, 2, 4]


def test_where_dependencies_are_not_said_nothing_is_left_out():
    whole = replace(template_of(*map(ordinary, range(5))), depends=())
    shorter, obstacle = shorten(whole, 10, 10**6)
    assert shorter is whole
    assert obstacle is not None


def test_where_amounts_cannot_be_computed_nothing_is_left_out():
    whole = replace(template_of(*map(ordinary, range(5))), payments=(("!51", 7),), masternode_payments=1)
    shorter, obstacle = shorten(whole, 10, 10**6)
    assert shorter is whole
    assert "masternode" in str(obstacle)


def test_superblock_payments_stay_as_they_are():
    whole = replace(template_of(*map(ordinary, range(5))), payments=(("!51", 7),), payment_amount=7)
    shorter, obstacle = shorten(whole, 10, 10**6)
    assert (shorter.payments, shorter.payment_amount, obstacle) == (whole.payments, 7, None)


def test_more_fees_than_a_block_is_worth_are_not_believed():
    whole = template_of(*(ordinary(number, fee=9 * 10**10) for number in range(5)))
    shorter, obstacle = shorten(whole, 10, 10**6)
    assert shorter is whole
    assert "fees" in str(obstacle)


def test_dependants_go_along_and_places_move():
    whole = template_of(*map(ordinary, range(6)), depends={2: (1,), 3: (2, 0), 5: (4,)})
    shorter, refusal = leave_out(whole, [1])
    assert [whole.transactions.index(t) for t in shorter.transactions] == [0, 4, 5]
    assert shorter.depends == ((), (), (1,))
    assert shorter.subsidy == whole.subsidy - 300
    assert refusal is None
