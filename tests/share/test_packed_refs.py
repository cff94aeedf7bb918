"""References are packed as pairs of varints, whatever their size."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from p2pool.share.codec_16 import _pack_refs
from p2pool.wire.codec import pack_varint

NUMBERS = st.one_of(st.integers(0, 300), st.integers(0, 2**64 - 1))


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=5))
def test_references_are_pairs_of_varints(refs):
    assert _pack_refs(refs) == b"".join(pack_varint(distance) + pack_varint(index) for distance, index in refs)


def test_the_largest_byte_and_the_smallest_varint_of_three_bytes():
    assert _pack_refs([(0, 252)]) == b"\x00\xfc"
    assert _pack_refs([(0, 253)]) == b"\x00\xfd\xfd\x00"
