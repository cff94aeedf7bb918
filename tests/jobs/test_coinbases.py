"""Generation transactions that share their outputs are the same, byte for byte, as those made one by one."""

from __future__ import annotations

import random
from hashlib import sha256

import pytest

from p2pool.dash.script import p2pkh_script
from p2pool.jobs.coinbases import Coinbases
from p2pool.share.payments import PaidPayments, pack_output
from p2pool.share.payouts import DONATION_SCRIPT, PayoutTable, gentx_prefix
from p2pool.share.weights import Weights

REF_HASH = bytes(range(32))


def make_table(payees: int, *, subsidy: int = 10**9) -> PayoutTable:
    rng = random.Random(payees)
    weights = {p2pkh_script(rng.randbytes(20)): rng.getrandbits(60) + 1 for _ in range(payees)}
    paid = PaidPayments(1, 77, pack_output(b"\x6a", 77))
    return PayoutTable(Weights(weights, sum(weights.values()), 0), subsidy + 77, paid)


@pytest.mark.parametrize("has_payload", [False, True])
@pytest.mark.parametrize("payees", [0, 1, 50, 57, 120, 252, 500, 700])
def test_every_finder_has_the_coinbase_that_is_made_for_it_alone(payees, has_payload):
    """With outputs before, at and behind each place where a state of SHA-256 is held, and with a count of outputs
    that needs one byte or three."""
    table = make_table(payees)
    coinbases = Coinbases(table, coinbase=b"\x03abc" * 20, has_payload=has_payload)
    rng = random.Random(1)
    finders = [*table.amounts, DONATION_SCRIPT, bytes(25), b"\xff" * 25]
    finders += [p2pkh_script(rng.randbytes(20)) for _ in range(100)]
    for finder in finders:
        expected = gentx_prefix(table, finder, coinbase=b"\x03abc" * 20, has_payload=has_payload)
        shared, start, own, end = coinbases.of(finder)
        assert shared.prefix(start, own, end) == expected
        absorbed = shared.absorb(start, own, end, ref_hash=REF_HASH)
        assert absorbed.digest() == sha256(expected + REF_HASH).digest()


def test_all_finders_share_the_outputs_and_differ_in_a_few_bytes():
    table = make_table(500)
    coinbases = Coinbases(table, coinbase=b"\x01\x01", has_payload=False)
    paid, others = list(table.amounts), [p2pkh_script(bytes([number]) * 20) for number in range(20)]
    assert len({id(coinbases.of(finder).shared) for finder in (*paid, DONATION_SCRIPT)}) == 1
    assert len({id(coinbases.of(finder).shared) for finder in others}) == 1
    made = [coinbases.of(finder) for finder in (*paid, *others)]
    assert len({id(each.shared.outputs) for each in made}) == 1
    assert max(len(each.own) for each in made) == 34


def test_a_payout_too_small_for_a_finder_s_part_changes_nothing():
    table = make_table(3, subsidy=49)
    coinbases = Coinbases(table, coinbase=b"\x01\x01", has_payload=False)
    for finder in (*table.amounts, DONATION_SCRIPT, bytes(25)):
        shared, start, own, end = coinbases.of(finder)
        expected = gentx_prefix(table, finder, coinbase=b"\x01\x01", has_payload=False)
        assert shared.prefix(start, own, end) == expected
