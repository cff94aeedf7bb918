"""The height that a coinbase claims: by its payload, or by the push that begins its script."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.dash.script import claimed_height, push_number


@given(st.integers(1, 2**31 - 1), st.binary(max_size=20))
def test_what_is_pushed_first(height, rest):
    assert claimed_height(push_number(height) + rest, b"") == height


@given(st.integers(0, 2**32 - 1), st.binary(), st.binary(max_size=40))
def test_the_payload_counts(height, script, rest):
    assert claimed_height(script, b"\x03\x00" + height.to_bytes(4, "little") + rest) == height


@pytest.mark.parametrize(
    "script", [b"", b"\x05\x01\x02\x03\x04\x05", b"\x03\x01", b"\x4c\x01\x05", b"\x02\x00\x80"]
)
def test_what_can_be_no_height(script):
    assert claimed_height(script, b"") is None
    assert claimed_height(script, b"\x03\x00\x01") is None


@given(st.binary(), st.binary())
def test_any_bytes(script, payload):
    height = claimed_height(script, payload)
    assert height is None or 0 <= height < 2**32
