"""A version with another layout, window, coinbase and donation: made, parsed and checked like any other.

Values and bytes of VECTOR are those that c2pool publishes for the layout.
"""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.base.errors import ParseError
from p2pool.base.steps import finish
from p2pool.dash.hashes import sha256d
from p2pool.share.check import check_share
from p2pool.share.errors import Reason, ShareInvalid
from p2pool.share.generation import SolvedHeader
from p2pool.share.parsing import parse_share
from p2pool.share.payments import PaidPayments
from p2pool.share.share import Share
from p2pool.share.versions import VERSION_16, ShareVersions, parse_envelope
from p2pool.share.weights import Weights
from p2pool.sharechain.figures import expected_payouts
from p2pool.sharechain.tracker import Tracker
from p2pool.wire.codec import Reader, pack_varstr
from tests.share.builder import EASY, outputs_of, share_of, valid_draft
from tests.share.layout_36 import (
    DONATION_SCRIPT,
    VERSION_36,
    Fields,
    MergedAddress,
    MergedCoinbase,
    Payouts36,
    Share36,
    mined,
    mixed_chain,
)

BOTH = ShareVersions(VERSION_16, VERSION_36)
NETWORK = replace(EASY, chain_length=40, real_chain_length=30)
NOW = 1_700_000_000.0
TRANSACTIONS = [b"\x05" * 32]
VECTOR = bytes.fromhex(
    "02aa0000000000000000000000000000000000000000000000000000000000000044332211f0ff0f1e88776655"
    "010000000000000000000000000000000000000000000000000000000000000002abcd0d0c0b0aefbeadde"
    "0000000000000000000000000000000000ff00f2052a010000003412002400"
    "0200000000000000000000000000000000000000000000000000000000000000ffff0f1effff001dccbbaa9903020100"
    "ff0807060504030201000000000000000000000000000000000000000000000000000000000000000000"
    "000df0fecaefbeadde000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f03aabbcc800000"
    "02010201efcdab00000000010d21366130343031303230333034393000000000000003020102"
)
VALUES = Fields(
    header=SolvedHeader(2, 0xAA, 0x11223344, 0x1E0FFFF0, 0x55667788),
    previous_hash=1,
    coinbase=b"\xab\xcd",
    share_nonce=0x0A0B0C0D,
    pubkey_hash=0xDEADBEEF.to_bytes(20, "little"),
    subsidy=5_000_000_000,
    donation=0x1234,
    desired_version=36,
    far_share_hash=2,
    max_bits=0x1E0FFFFF,
    bits=0x1D00FFFF,
    timestamp=0x99AABBCC,
    absheight=0x00010203,
    abswork=0x0102030405060708,
    last_txout_nonce=0xDEADBEEFCAFEF00D.to_bytes(8, "little"),
    link_state=bytes(range(32)),
    link_extra=b"\xaa\xbb\xcc",
    link_length=128,
    coinbase_payload=b"\x01\x02",
    payment_amount=0xABCDEF01,
    payments=(("!6a0401020304", 12345),),
    packed_payload=b"\x02\x01\x02",
)


def read(contents: bytes) -> Fields:
    """The fields that the codec reads; ParseError if something follows them."""
    share, reader = Share36(), Reader(contents)
    share.contents = contents
    links = finish(VERSION_36.codec.read(reader, share))
    reader.expect_end()
    header = SolvedHeader(
        share.header_version, share.previous_block, share.header_timestamp, share.block_bits, share.header_nonce
    )
    given = {"header", "link_state", "link_extra", "link_length", "packed_payload", "share_info"}
    same = {each.name: getattr(share, each.name) for each in fields(Fields) if each.name not in given}
    assert links.ref_bytes == replace(VALUES, **same).pack_share_info() + pack_varstr(share.message_data)
    return Fields(
        header=header,
        link_state=links.state,
        link_extra=links.extra_data,
        link_length=links.length,
        packed_payload=links.packed_payload,
        **same,
    )


def test_a_type_older_than_all_known_ones_is_obsolete():
    assert [kind for kind in (0, 15, 16, 17, 35, 36, 37) if BOTH.is_obsolete(kind)] == [0, 15]


# --- the layout ------------------------------------------------------------------------------------------


def test_the_vector_is_read_and_written():
    assert len(VECTOR) == 295
    assert read(VECTOR) == VALUES
    assert VALUES.pack() == VECTOR


def test_the_vector_ends_where_it_ends():
    for length in range(len(VECTOR)):
        with pytest.raises(ParseError):
            read(VECTOR[:length])
    with pytest.raises(ParseError):
        read(VECTOR + b"\x00")


HASHES = st.binary(min_size=32, max_size=32)
NUMBERS = st.integers(0, 2**32 - 1)
LONG = st.integers(0, 2**64 - 1)
PAYEES = st.text(st.characters(max_codepoint=255), max_size=40)
FIELDS = st.builds(
    Fields,
    header=st.builds(SolvedHeader, LONG, st.integers(0, 2**256 - 1), NUMBERS, NUMBERS, NUMBERS),
    previous_hash=st.none() | st.integers(1, 2**256 - 1),
    coinbase=st.binary(max_size=100),
    share_nonce=NUMBERS,
    pubkey_hash=st.binary(min_size=20, max_size=20),
    pubkey_type=st.integers(0, 2),
    subsidy=LONG,
    donation=st.integers(0, 65535),
    stale_info=st.sampled_from((0, 253, 254)),
    desired_version=LONG,
    merged_addresses=st.lists(st.builds(MergedAddress, NUMBERS, st.binary(max_size=30))).map(tuple),
    far_share_hash=st.none() | st.integers(1, 2**256 - 1),
    max_bits=NUMBERS,
    bits=NUMBERS,
    timestamp=NUMBERS,
    absheight=NUMBERS,
    abswork=LONG,
    merged_coinbase_info=st.lists(
        st.builds(
            MergedCoinbase,
            NUMBERS,
            LONG,
            LONG,
            st.binary(min_size=80, max_size=80),
            st.lists(HASHES, max_size=3).map(tuple),
            st.binary(max_size=30),
        ),
        max_size=3,
    ).map(tuple),
    merged_payout_hash=HASHES,
    ref_merkle_link=st.lists(HASHES, max_size=3).map(tuple),
    last_txout_nonce=st.binary(min_size=8, max_size=8),
    link_state=HASHES,
    link_extra=st.binary(max_size=63),
    link_length=LONG,
    merkle_link=st.lists(HASHES, max_size=16).map(tuple),
    message_data=st.binary(max_size=100),
    coinbase_payload=st.binary(max_size=300),
    payment_amount=LONG,
    payments=st.lists(st.tuples(st.text(st.characters(max_codepoint=255), max_size=40), LONG), max_size=5).map(
        tuple
    ),
    packed_payload=st.binary(max_size=300),
)


@given(FIELDS)
def test_every_field_comes_back(written):
    assert read(written.pack()) == written


# --- shares on a chain -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mixed() -> tuple[Tracker, list[Share]]:
    """A chain of 50 shares, of types 16 and 36 in turns of five."""
    tracker = Tracker(NETWORK)
    return tracker, mixed_chain(tracker, 50, transactions=TRANSACTIONS)


def decayed(chain: list[Share], payout: int) -> dict[bytes, int]:
    """Duffs by script of the shares in `chain`, nearest first, in exact numbers of the decay's fixed point."""
    factor, halving = 2**40, NETWORK.chain_length // 4
    kept = 2**40 - 2**40 * 693147 // (10**6 * halving)
    weights, total = {}, 0
    for share in chain[:30]:
        attempts = share.attempts * factor // 2**40
        factor = factor * kept // 2**40
        weights[share.script] = weights.get(share.script, 0) + attempts * (65535 - share.donation)
        total += attempts * 65535
    return {script: payout * weight // total for script, weight in weights.items()}


def outputs_in(gentx: bytes) -> list[tuple[bytes, int]]:
    """(script, duffs) of each output of a coinbase."""
    reader = Reader(gentx)
    reader.take(4 + 1 + 36)
    reader.varstr()
    reader.take(4)
    outputs = []
    for _ in range(reader.varint()):
        amount = reader.uint64()
        outputs.append((reader.varstr(), amount))
    return outputs


def test_shares_of_both_types_follow_each_other_and_check(mixed):
    tracker, shares = mixed
    for number, share in enumerate(shares):
        version = (VERSION_16, VERSION_36)[number // 5 % 2]
        again = parse_envelope(share.envelope, NETWORK, BOTH)
        assert again.version is version
        assert again.envelope == share.envelope
        assert (again.hash, again.gentx_hash, again.ref_hash) == (share.hash, share.gentx_hash, share.ref_hash)
        assert sha256d(tracker.check(again).gentx) == share.gentx_hash
    assert {share.envelope[0] for share in shares} == {16, 36}
    thought = tracker.think(NOW, block_height=lambda block: 0, transaction_size=lambda transaction: None)
    assert thought.refused == []
    assert thought.best == shares[-1].hash


def test_a_window_is_that_of_the_share_s_own_version_whatever_is_in_it(mixed):
    """Of 36: from the parent on, decayed, without a finder's part, small amounts first."""
    tracker, shares = mixed
    payout = 50_000_000_000
    finder = b"\x77" * 20
    job, share = mined(tracker, shares[-1].hash, VERSION_36, finder=finder)
    outputs = outputs_in(tracker.check(share).gentx)
    workers, donation = outputs[:-2], outputs[-2]
    expected = decayed(shares[::-1], payout)
    assert len({script for script, _ in workers}) == 7
    assert dict(workers) == expected
    assert workers == sorted(workers, key=lambda output: (output[1], output[0]))
    assert workers != sorted(workers)
    assert donation == (DONATION_SCRIPT, payout - sum(expected.values()))
    assert share.script not in dict(workers)
    _, old = mined(tracker, shares[-1].hash, VERSION_16, finder=finder)
    draft = valid_draft(tracker, shares[-1].hash, pubkey_hash=finder, block_bits=0x1B00FFFF)
    assert outputs_in(tracker.check(old).gentx)[:-1] == outputs_of(draft, shares[::-1], ())
    told = [(script, duffs) for _, script, duffs in job.context.payouts.outputs_for(share.script)]
    assert told == outputs[:-1]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("version", VERSION_16, Reason.GENTX),
        ("abswork", 1, Reason.ABSWORK),
        ("subsidy", 1, Reason.GENTX),
        ("ref_hash", bytes(32), Reason.GENTX),
    ],
)
def test_a_share_is_checked_against_the_chain_by_its_own_version(mixed, name, value, reason):
    tracker, shares = mixed
    other = parse_share(VERSION_36, shares[-1].contents, NETWORK)
    check_share(other, tracker, NETWORK)
    setattr(other, name, value)
    with pytest.raises(ShareInvalid) as error:
        check_share(other, tracker, NETWORK)
    assert error.value.reason is reason


def test_the_contents_of_one_version_are_none_of_the_other(mixed):
    _, shares = mixed
    for version, share in ((VERSION_16, shares[-1]), (VERSION_36, shares[0])):
        assert share.version is not version
        with pytest.raises((ParseError, ShareInvalid)):
            parse_share(version, share.contents, NETWORK)


def test_the_ref_bytes_are_what_the_version_says(mixed):
    """Every byte up to ref_merkle_link is in them, and message_data; what Dash adds at the end is not."""
    _, shares = mixed
    share = shares[-1]
    for at in range(share.share_info_start, share.share_info_end):
        contents = bytearray(share.contents)
        contents[at] ^= 1
        try:
            changed = parse_share(VERSION_36, bytes(contents), NETWORK, known_hash=0)
        except (ParseError, ShareInvalid):
            continue
        assert changed.ref_hash != share.ref_hash
        assert changed.gentx_hash != share.gentx_hash
    assert share.contents.endswith(bytes(12))  # message_data, 25 to 28: all empty
    message = parse_share(VERSION_36, share.contents[:-12] + b"\x01m" + bytes(11), NETWORK, known_hash=0)
    assert message.message_data == b"m"  # type: ignore[attr-defined]
    assert message.ref_hash != share.ref_hash
    paying = parse_share(VERSION_36, share.contents[:-2] + b"\x01\x00" + bytes(9), NETWORK, known_hash=0)
    assert paying.payments == (("", 0),)
    assert paying.ref_hash == share.ref_hash


def test_a_share_says_nothing_of_its_transactions(mixed):
    tracker, shares = mixed
    job, share = mined(tracker, shares[-1].hash, VERSION_36, transactions=TRANSACTIONS)
    assert share.merkle_link == job.context.template.branch != ()
    assert (share.new_transaction_hashes, share.transaction_hash_refs) == ((), ())
    assert tracker.rebuild(share).other_transaction_hashes is None
    assert tracker.rebuild(shares[0]).other_transaction_hashes == (int.from_bytes(b"\x05" * 32, "little"),)


def test_a_chain_that_is_too_short_for_the_window_cannot_be_checked(mixed):
    """Where its window begins, how long it is and when it is too short: all that is a version's own matter."""
    _, shares = mixed
    tracker = Tracker(NETWORK)
    for share in shares[20:]:
        tracker.add(share, NOW)
    with pytest.raises(ShareInvalid, match="payout window not held"):
        check_share(shares[49], tracker, NETWORK)
    tracker.add(shares[19], NOW)
    check_share(shares[49], tracker, NETWORK)


def test_accumulated_work_has_the_room_that_the_version_gives_it():
    tracker = Tracker(NETWORK)
    heavy = share_of(replace(valid_draft(tracker, None), abswork=2**64 + 5))
    tracker.add(heavy, NOW)
    _, old = mined(tracker, heavy.hash, VERSION_16)
    _, new = mined(tracker, heavy.hash, VERSION_36)
    assert (old.abswork, new.abswork) == (2**64 + 5 + old.attempts, 5 + new.attempts)
    for share in (old, new):
        check_share(share, tracker, NETWORK)


def test_the_donation_gets_at_least_a_duff():
    table = Payouts36(Weights({b"a": 1, b"b": 1}, 2, 0), 10, PaidPayments(0, 0, b""))
    assert table.outputs_for(b"a") == [
        ("miner", b"b", 4),
        ("miner", b"a", 5),
        ("donation", DONATION_SCRIPT, 1),
    ]


def test_figures_give_the_rest_to_the_donation_of_the_newest_share(mixed):
    tracker, shares = mixed
    for share, donation in ((shares[-1], DONATION_SCRIPT), (shares[-6], VERSION_16.donation_script)):
        payouts = expected_payouts(tracker, share.hash, block_target=2**200, subsidy=10**9)
        assert sum(payouts.values()) == 10**9
        assert donation in payouts
        assert len(payouts) == 8
