"""Share contents and envelopes: packed, parsed, and the same again, for any values that the format can hold."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pool.base.errors import ParseError
from p2pool.share.parsing import open_envelope, parse_share
from p2pool.share.versions import VERSION_16, parse_envelope
from p2pool.sharechain.tracker import Tracker
from p2pool.wire.codec import Reader
from tests.share.builder import (
    BEFORE_REF_HASH,
    EASY,
    Draft,
    double_sha,
    mined,
    to_target,
    valid_draft,
    varint,
    varstr,
)

U16, U32, U64 = (st.integers(0, 2**bits - 1) for bits in (16, 32, 64))
HASH = st.integers(1, 2**256 - 1)
ENTRIES = st.binary(min_size=32, max_size=32)
PAYEES = st.text(st.characters(max_codepoint=255), max_size=300)


@st.composite
def drafts(draw) -> Draft:
    """Any share that can be parsed. No chain could have most of them."""
    fields = {
        "header_version": U32,
        "previous_block": st.integers(0, 2**256 - 1),
        "header_timestamp": U32,
        "block_bits": U32,
        "previous_hash": st.none() | HASH,
        "coinbase": st.binary(min_size=2, max_size=100),
        "coinbase_payload": st.binary(max_size=300),
        "share_nonce": U32,
        "pubkey_hash": st.binary(min_size=20, max_size=20),
        "subsidy": U64,
        "donation": U16,
        "stale_info": st.integers(0, 255),
        "desired_version": U64,
        "payment_amount": U64,
        "payments": st.lists(st.tuples(PAYEES, U64), max_size=4).map(tuple),
        "far_share_hash": st.none() | HASH,
        "max_bits": U32,
        "timestamp": U32,
        "absheight": U32,
        "abswork": st.integers(0, 2**128 - 1),
        "ref_merkle_link": st.lists(ENTRIES, max_size=20).map(tuple),
        "last_txout_nonce": st.binary(min_size=8, max_size=8),
        "merkle_link": st.lists(ENTRIES, max_size=16).map(tuple),
    }
    chosen = {name: draw(strategy) for name, strategy in fields.items()}
    new_hashes = tuple(draw(st.lists(st.integers(0, 2**256 - 1), max_size=5)))
    older = draw(st.lists(st.tuples(st.integers(1, 109), U64), max_size=5))
    refs = draw(st.permutations([*((0, index) for index in range(len(new_hashes))), *older]))
    chosen["gentx_prefix"] = draw(st.binary(max_size=300)) + BEFORE_REF_HASH
    return Draft(EASY, new_hashes=new_hashes, refs=tuple(refs), bits=0x200FFFFF, **chosen)


SAME_NAMES = (
    *("header_version", "previous_block", "header_timestamp", "block_bits", "previous_hash", "coinbase"),
    *("coinbase_payload", "share_nonce", "pubkey_hash", "subsidy", "donation", "stale_info", "desired_version"),
    *("payment_amount", "payments", "far_share_hash", "max_bits", "bits", "timestamp", "absheight", "abswork"),
    *("ref_merkle_link", "last_txout_nonce", "merkle_link"),
)


@settings(max_examples=150)
@given(drafts(), U32, HASH)
def test_share_contents(draft, nonce, work):
    work = min(work, to_target(draft.bits))
    contents = draft.contents(nonce)
    share = parse_share(VERSION_16, contents, EASY, known_hash=work)
    assert {name: getattr(share, name) for name in SAME_NAMES} == {n: getattr(draft, n) for n in SAME_NAMES}
    assert share.new_transaction_hashes == draft.new_hashes
    assert share.transaction_hash_refs == draft.refs
    assert share.header_nonce == nonce
    assert share.contents[share.share_info_start : share.share_info_end] == draft.share_info
    assert share.gentx_hash == double_sha(draft.gentx)
    assert share.header == draft.header(nonce)
    assert (share.target, share.block_target) == (to_target(draft.bits), to_target(draft.block_bits))
    assert share.envelope == b"\x10" + varstr(contents)


@settings(max_examples=60)
@given(drafts(), st.data())
def test_contents_cut_short_or_with_more_are_refused(draft, data):
    contents = draft.contents(0)
    cut = data.draw(st.integers(0, len(contents) - 1))
    for damaged in (contents[:cut], contents + data.draw(st.binary(min_size=1, max_size=40))):
        with pytest.raises(ParseError):
            parse_share(VERSION_16, damaged, EASY, known_hash=0)


@given(st.integers(0, 2**64 - 1), st.binary(max_size=300), st.binary(max_size=10))
def test_envelopes(kind, contents, after):
    reader = Reader(varint(kind) + varstr(contents) + after)
    assert open_envelope(reader) == (kind, contents)
    assert reader.take(len(after)) == after
    reader.expect_end()


def first_share() -> Draft:
    return valid_draft(Tracker(EASY), None)


@pytest.mark.parametrize("kind", [0, 1, 15, 17, 252, 253, 2**64 - 1])
def test_only_type_16_is_parsed(kind):
    """Below is obsolete, above unknown: who receives the envelope sees which, and decides."""
    packed = mined(first_share())
    with pytest.raises(ParseError, match=f"type {kind}, not 16"):
        parse_envelope(varint(kind) + varstr(packed), EASY)
    assert open_envelope(Reader(varint(kind) + varstr(packed))) == (kind, packed)


def test_an_envelope_is_all_of_the_data():
    envelope = b"\x10" + varstr(mined(first_share()))
    share = parse_envelope(envelope, EASY)
    assert share.envelope == envelope
    for damaged in (envelope + b"\x00", envelope[:-1], b"", b"\x10"):
        with pytest.raises(ParseError):
            parse_envelope(damaged, EASY)
