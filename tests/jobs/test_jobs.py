"""Jobs against the vectors, and generating a share that then checks."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pool.base.errors import ParseError
from p2pool.dash.block import parse_block
from p2pool.dash.hashes import sha256d
from p2pool.dash.merkle import merkle_root, walk_branch
from p2pool.dash.pow import x11
from p2pool.dashd.template_parsing import parse_template
from p2pool.jobs.context import build_work_context
from p2pool.jobs.job import Job
from p2pool.networks import DASH_REGTEST
from p2pool.share import parsing
from p2pool.share.errors import Reason, ShareInvalid
from p2pool.share.generation import PayeeFields, ShareData
from p2pool.share.parsing import parse_share
from p2pool.share.payouts import DONATION_SCRIPT
from p2pool.share.rules import reference_transactions
from p2pool.share.versions import VERSION_16, parse_envelope
from p2pool.sharechain.tracker import Tracker
from p2pool.stratum.notify_lines import swap_words
from tests.support import capture, make_template, network_of, vectors

NETWORK = DASH_REGTEST
NOW = 1_700_000_000.0


def mine_share(tracker: Tracker, best: int | None, template, rng: random.Random, now: float):
    """The share that follows `best`, found by trying nonces."""
    context = build_work_context(tracker, best, template=template, network=NETWORK, now=now)
    payee = PayeeFields(
        rng.randbytes(4) * 5, rng.choice([0, 655, 65535]), rng.choice([0, 253, 254]), rng.getrandbits(32)
    )
    job = Job(
        context,
        payee,
        desired_target=rng.choice([2**256 - 1, 2**250]),
        share_timestamp=int(now),
        header_timestamp=template.current_time,
    )
    for nonce in range(1 << 20):
        outcome = job.check(
            rng.randbytes(8), timestamp=template.current_time, nonce=nonce, version=template.version
        )
        if outcome.meets_share:
            return job, outcome
    raise RuntimeError("no share found")


def test_the_jobs_of_the_vectors_lead_to_their_headers():
    """What our stratum sends must lead a miner to the header that the share holds."""
    shares = vectors("shares")["shares"]
    for vector in vectors("stratum_jobs")["jobs"]:
        share = shares[vector["share_index"]]
        previous = int(share["min_header"]["previous_block"], 16).to_bytes(32, "little")
        assert swap_words(previous).hex() == vector["prevhash"]
        coinbase = bytes.fromhex(
            vector["coinb1"] + vector["extranonce1"] + vector["extranonce2"] + vector["coinb2"]
        )
        assert coinbase.hex() == vector["coinbase_tx"] == share["gentx"]
        root = walk_branch(sha256d(coinbase), [bytes.fromhex(b) for b in vector["merkle_branch"]])
        header = bytes.fromhex(vector["header"])
        assert header[36:68] == root
        for part, name in ((header[0:4], "version"), (header[68:72], "ntime"), (header[72:76], "nbits")):
            assert part[::-1].hex() == vector[name]
        assert header[76:80][::-1].hex() == vector["nonce"]
        assert f"{x11(header):064x}" == vector["pow_hash"]


def test_a_share_of_the_vectors_is_rebuilt_by_our_own_generation():
    """Our generation, given the inputs that a share's maker had, makes the very same bytes."""
    data = vectors("shares")
    network = network_of(data["net"])
    tracker = Tracker(network)
    for vector in data["shares"][:120]:
        share = parse_envelope(bytes.fromhex(vector["raw"]), network)
        template = make_template(
            previous_block=share.previous_block,
            bits=share.block_bits,
            version=share.header_version,
            subsidy=share.subsidy,
            payments=share.payments,
            payment_amount=share.payment_amount,
            coinbase_payload=share.coinbase_payload,
            transactions=[bytes.fromhex(h)[::-1] for h in vector["other_tx_hashes"]],
        )
        context = build_work_context(tracker, share.previous_hash, template=template, network=network, now=NOW)
        if share.coinbase != context.coinbase or share.desired_version != 16:
            context = context_with(context, tracker, share, template, network)
        payee = PayeeFields(share.pubkey_hash, share.donation, share.stale_info, share.share_nonce)
        inputs = vector["inputs"]
        job = Job(
            context,
            payee,
            desired_target=int(inputs["desired_target"], 16),
            share_timestamp=inputs["desired_timestamp"],
            header_timestamp=0,
        )
        outcome = job.check(
            share.last_txout_nonce,
            timestamp=share.header_timestamp,
            nonce=share.header_nonce,
            version=share.header_version,
        )
        assert outcome.hash == share.hash
        assert outcome.gentx.hex() == vector["gentx"]
        assert outcome.share().envelope.hex() == vector["raw"]
        parts = job.payee, job.coinb1, job.share_info, job.digest
        job.shrink()
        assert parts == (payee, job.coinb1, job.share_info, job.digest)
        job.shrink()
        again = job.check(
            share.last_txout_nonce,
            timestamp=share.header_timestamp,
            nonce=share.header_nonce,
            version=share.header_version,
        )
        assert (again.header, again.share().envelope) == (outcome.header, outcome.share().envelope)
        tracker.add(share, 0.0)


def context_with(context, tracker, share, template, network):
    """The context with a coinbase script and a vote that only the share's maker chose."""
    refs = reference_transactions(
        tracker, share.previous_hash, height=context.parent.height, wanted=[t.hash for t in template.transactions]
    )
    data = ShareData(
        share.previous_hash,
        share.coinbase,
        share.coinbase_payload,
        share.subsidy,
        share.payment_amount,
        share.payments,
        share.desired_version,
    )
    return replace(context, coinbase=share.coinbase, packer=VERSION_16.codec.packer(data, context.parent, refs))


@settings(max_examples=12)
@given(st.integers(0, 2**32))
def test_what_is_generated_checks_and_what_is_changed_does_not(seed):
    rng = random.Random(seed)
    tracker = Tracker(NETWORK)
    best, now = None, NOW
    raw = capture("60_getblocktemplate_with_masternodes_and_txs_empty_obj")["response"]["result"]
    real = parse_template(raw, NETWORK.parent.addresses, NOW)
    for height in range(25):
        template = real if height % 3 else make_template(height=200 + height, previous_block=height + 1)
        _job, outcome = mine_share(tracker, best, template, rng, now)
        share = outcome.share()
        tracker.add(share, now)
        rebuilt = tracker.check(share)
        assert rebuilt.gentx == outcome.gentx
        assert rebuilt.other_transaction_hashes == tuple(t.hash for t in template.transactions)
        assert parse_envelope(share.envelope, NETWORK).hash == share.hash
        block = parse_block(outcome.block())
        assert block.header.hash() == share.hash
        assert block.header.merkle_root == merkle_root([t.hash for t in block.transactions])
        assert sum(o.value for o in block.transactions[0].outputs) == template.subsidy
        best = share.hash
        now += rng.choice([0, 1, 5, 40])
    assert_changes_are_refused(tracker, outcome, rng)


FREE_FIELDS = (
    # what a share's maker may choose; work apart, any value is as good as another
    *("header_version", "previous_block", "header_timestamp", "header_nonce", "block_bits"),
    *("share_nonce", "donation", "stale_info", "desired_version", "payment_amount", "last_txout_nonce"),
    "timestamp",  # within its window
    "bits",  # within its window, where the work stays the same number
)


def assert_changes_are_refused(tracker: Tracker, outcome, rng: random.Random) -> None:
    """Flip any bit of a share: the work is gone, or a rule is broken, or its maker was free to choose that bit.

    On this network nearly every hash has enough work, so that the rules themselves are put to the test."""
    original = outcome.share()
    for _ in range(100):
        contents = bytearray(original.contents)
        contents[rng.randrange(len(contents))] ^= 1 << rng.randrange(8)
        try:
            changed = parse_share(VERSION_16, bytes(contents), NETWORK)
            assert changed.hash != original.hash
            tracker.check(changed)
        except (ParseError, ShareInvalid):
            continue
        derived = ("contents", "hash", "gentx_hash", "ref_hash")
        different = [
            name.removeprefix("_")
            for name in type(original).__slots__
            if getattr(changed, name) != getattr(original, name) and name not in derived
        ]
        assert len(different) == 1
        assert different[0] in FREE_FIELDS


def test_payees_beyond_the_subsidy_make_no_work():
    tracker = Tracker(NETWORK)
    template = make_template(subsidy=100, payments=(("!6a", 101),), payment_amount=101)
    with pytest.raises(ShareInvalid) as caught:
        build_work_context(tracker, None, template=template, network=NETWORK, now=NOW)
    assert caught.value.reason is Reason.NEGATIVE_PAYOUT


def test_an_outcome_that_misses_the_share_target_is_no_share():
    tracker = Tracker(NETWORK)
    context = build_work_context(tracker, None, template=make_template(), network=NETWORK, now=NOW)
    job = Job(
        context,
        PayeeFields(b"\x01" * 20, 0, 0, 0),
        desired_target=0,
        share_timestamp=int(NOW),
        header_timestamp=int(NOW),
    )
    outcomes = [job.check(bytes(8), timestamp=int(NOW), nonce=nonce, version=1) for nonce in range(200)]
    miss = next(o for o in outcomes if not o.meets_share)
    with pytest.raises(ShareInvalid) as caught:
        miss.share()
    assert caught.value.reason is Reason.NO_WORK


def test_the_hash_of_a_share_of_our_own_is_not_computed_twice(monkeypatch):
    _job, outcome = mine_share(Tracker(NETWORK), None, make_template(), random.Random(1), NOW)
    monkeypatch.setattr(parsing, "x11_digest", lambda header: 1 // 0)
    assert outcome.share().hash == outcome.hash


def test_the_first_two_shares_pay_all_but_the_finder_s_part_to_the_donation():
    tracker = Tracker(NETWORK)
    template = make_template(subsidy=1000)
    context = build_work_context(tracker, None, template=template, network=NETWORK, now=NOW)
    assert context.payouts.amounts_for(b"\x01") == {b"\x01": 20, DONATION_SCRIPT: 980}
    assert context.payouts.amounts_for(DONATION_SCRIPT) == {DONATION_SCRIPT: 1000}
