"""What our own generation makes is byte for byte what the share-chain format says, and always passes the check."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pool.dash.address import base58_encode
from p2pool.dash.transaction import parse_transaction
from p2pool.jobs.context import build_work_context
from p2pool.jobs.job import Job
from p2pool.networks import Network
from p2pool.share.generation import PayeeFields
from p2pool.share.payments import PaidPayments, pack_output
from p2pool.share.payouts import DONATION as TO_DONATION
from p2pool.share.payouts import MINER, PAYMENT, PayoutTable, gentx_prefix, gentx_suffix
from p2pool.share.share import Share
from p2pool.share.versions import parse_envelope
from p2pool.share.weights import Weights
from p2pool.sharechain.tracker import Tracker
from tests.share.builder import (
    DONATION,
    EASY,
    START,
    chain_below,
    clipped,
    double_sha,
    target_limit,
    to_bits,
    valid_draft,
)
from tests.support import make_template

KEY = bytes([140]) + b"\x05" * 20
PAYMENTS = (
    # (payee, amount, the script that is paid)
    ("!6a", 1000, b"\x6a"),
    ("!", 0, None),
    ("", 77, None),
    ("script:6a", 77, None),
    ("no address", 77, None),
    (base58_encode(KEY + double_sha(KEY)[:4]), 2000, b"\x76\xa9\x14" + b"\x05" * 20 + b"\x88\xac"),
)
PAYEES = [*(bytes([n]) * 20 for n in range(1, 6)), DONATION[3:23]]


def random_network(rng: random.Random) -> Network:
    length = rng.choice([12, 20, 100])
    return replace(
        EASY,
        chain_length=length,
        real_chain_length=length,
        target_lookbehind=rng.choice([2, 5, 10]),
        share_period=rng.choice([1, 7, 10]),
        spread=rng.choice([1, 3, 50]),
        max_target=rng.choice([2**252 - 1, 2**253, 2**256 - 1, 2**252 // 3]),
    )


def random_template(rng: random.Random, number: int):
    """Old and new transactions, all kinds of payees, a weight limit that cuts or not, payouts down to nothing."""
    hashes = [bytes([rng.randrange(1, 9)]) * 32 for _ in range(rng.choice([0, 1, 2, 5]))]
    payments = tuple(rng.sample(PAYMENTS, rng.randrange(4)))
    template = make_template(
        height=200 + number,
        previous_block=number,
        bits=rng.choice([0x1B00FFFF, 0x1F0FFFFF, 0x200FFFFF, 0x21FFFFFF]),
        subsidy=rng.choice([50_000_000_000, 3000, 3049, 2**63]),
        transactions=hashes,
        payments=tuple(payment[:2] for payment in payments),
        payment_amount=sum(payment[1] for payment in payments),
        coinbase_payload=rng.choice([b"", b"\x02\x00" + bytes(36)]),
    )
    paid = [(script, amount) for _, amount, script in payments if script is not None and amount]
    return template, [int.from_bytes(h, "little") for h in hashes], paid


def next_share(tracker: Tracker, tip: int | None, rng: random.Random, number: int) -> Share:
    """Make a share with our own generation, and compare it with the builder's."""
    network = tracker.network
    template, wanted, paid = random_template(rng, number)
    chain = chain_below(tracker, tip)
    time = chain[0].timestamp + rng.choice([-5, 0, 1, 2, 9, 13, 500]) if chain else START
    context = build_work_context(tracker, tip, template=template, network=network, now=float(time))
    payee = PayeeFields(rng.choice(PAYEES), rng.choice([0, 655, 65535]), rng.choice([0, 253]), rng.getrandbits(32))
    desired = rng.choice([2**256 - 1, 2**250, 0])
    job = Job(context, payee, desired_target=desired, share_timestamp=time, header_timestamp=template.current_time)
    extranonce = rng.randbytes(8)
    outcomes = (
        job.check(extranonce, timestamp=START, nonce=nonce, version=template.version) for nonce in range(1 << 20)
    )
    outcome = next(outcome for outcome in outcomes if outcome.meets_share)
    share = outcome.share()
    limit = target_limit(chain, network)
    period = network.share_period
    expected = valid_draft(
        tracker,
        tip,
        wanted,
        paid,
        seconds=clipped(time - chain[0].timestamp, 1, 2 * period - 1) if chain else None,
        bits=to_bits(clipped(desired, limit // 30, limit)),
        header_version=template.version,
        previous_block=number,
        block_bits=template.bits,
        coinbase=context.coinbase,
        coinbase_payload=template.coinbase_payload,
        share_nonce=payee.nonce,
        pubkey_hash=payee.key_hash,
        subsidy=template.subsidy,
        donation=payee.donation,
        stale_info=payee.stale_info,
        payment_amount=template.payment_amount,
        payments=template.payments,
        last_txout_nonce=extranonce,
    )
    assert share.contents == expected.contents(share.header_nonce)
    assert outcome.gentx == expected.gentx
    return share


@settings(max_examples=40)
@given(st.integers(0, 2**32))
def test_generated_shares_check_on_random_chains_with_forks(seed):
    rng = random.Random(seed)
    tracker = Tracker(random_network(rng))
    tips: list[int | None] = [None]
    for number in range(25):
        tip = rng.choice([tips[-1], tips[-1], tips[-1], *tips[-3:]])
        share = next_share(tracker, tip, rng, number)
        received = parse_envelope(share.envelope, tracker.network)
        assert received.hash == share.hash
        tracker.check(received)
        tracker.add(received, 0.0)
        tips.append(share.hash)


# --- the outputs as they are listed ------------------------------------------------------------------------


def outputs_in_coinbase(table: PayoutTable, finder: bytes) -> list[tuple[bytes, int]]:
    """All but the last, which commits to the share."""
    whole = gentx_prefix(table, finder, coinbase=b"\x01\x01", has_payload=False) + bytes(40) + gentx_suffix(b"")
    return [(output.script, output.value) for output in parse_transaction(whole).outputs[:-1]]


@pytest.mark.parametrize("finder", [b"\x01", b"\x02\x01", b"\x03", b"\x05", DONATION])
@pytest.mark.parametrize("subsidy", [10_077, 77 + 49])
def test_the_outputs_that_are_listed_are_those_of_the_coinbase(finder, subsidy):
    """Finders paid already, before, between and after the others, and by the donation; also with a payout too
    small for a finder's part."""
    weights = Weights({b"\x03": 100, b"\x01": 200, DONATION: 300, b"\x02": 400}, 1000, 0)
    paid = PaidPayments(2, 77, pack_output(b"\x6a", 70) + pack_output(b"\x00", 7))
    table = PayoutTable(weights, subsidy, paid)
    listed = table.outputs_for(finder)
    assert [(script, duffs) for _, script, duffs in listed] == outputs_in_coinbase(table, finder)
    miners = [script for kind, script, _ in listed if kind == MINER]
    new_finder = {finder} if finder != DONATION and subsidy > 126 else set()
    assert miners == sorted({b"\x01", b"\x02", b"\x03"} | new_finder)
    assert [kind for kind, *_ in listed] == [*[MINER] * len(miners), PAYMENT, PAYMENT, TO_DONATION]
    assert sum(duffs for *_, duffs in listed) == subsidy
    assert all(duffs for *_, duffs in listed)


def test_no_work_in_the_window_leaves_all_but_the_finder_s_part_to_the_donation():
    table = PayoutTable(Weights({}, 0, 0), 1000, PaidPayments(0, 0, b""))
    assert table.amounts_for(b"\x01") == {b"\x01": 20, DONATION: 980}
