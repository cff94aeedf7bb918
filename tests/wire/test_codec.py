"""Primitive types against the vectors, round trips, and refusals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.base.errors import ParseError
from p2pool.wire.codec import (
    Reader,
    pack_ip,
    pack_uint16,
    pack_uint32,
    pack_uint64,
    pack_uint256,
    pack_uint256_list,
    pack_varint,
    pack_varstr,
)
from tests.support import vectors

PRIMITIVES = vectors("primitives")
READ_INT = {
    8: Reader.uint8,
    16: Reader.uint16,
    32: Reader.uint32,
    64: Reader.uint64,
    128: Reader.uint128,
    160: Reader.uint160,
    256: Reader.uint256,
}
PACK_INT = {16: pack_uint16, 32: pack_uint32, 64: pack_uint64, 256: pack_uint256}


@pytest.mark.parametrize("vector", PRIMITIVES["int"], ids=lambda v: f"{v['bits']}-{v['value'][:8]}")
def test_integers(vector):
    reader = Reader(bytes.fromhex(vector["le_hex"]))
    value = int(vector["value"], 16)
    assert READ_INT[vector["bits"]](reader) == value
    reader.expect_end()
    if vector["bits"] in PACK_INT:
        assert PACK_INT[vector["bits"]](value).hex() == vector["le_hex"]


def test_varints():
    for vector in PRIMITIVES["varint"]:
        assert pack_varint(int(vector["value"])).hex() == vector["hex"]
        assert Reader(bytes.fromhex(vector["hex"])).varint() == int(vector["value"])


def test_varstrs_lists_and_addresses():
    for vector in PRIMITIVES["varstr"]:
        assert pack_varstr(bytes.fromhex(vector["value"])).hex() == vector["hex"]
        assert Reader(bytes.fromhex(vector["hex"])).varstr().hex() == vector["value"]
    for vector in PRIMITIVES["list_u256"]:
        values = [int(v, 16) for v in vector["value"]]
        assert pack_uint256_list(values).hex() == vector["hex"]
        assert Reader(bytes.fromhex(vector["hex"])).uint256_list() == values
    for vector in PRIMITIVES["ipv6"]:
        assert pack_ip(vector["value"]).hex() == vector["hex"]
        assert pack_ip(Reader(bytes.fromhex(vector["hex"])).ip()).hex() == vector["hex"]


READ_BAD = {
    "noncanonical varint fd": Reader.varint,
    "noncanonical varint fe": Reader.varint,
    "noncanonical varint ff": Reader.varint,
    "trailing bytes": Reader.uint8,
    "empty varint": Reader.varint,
    "short varstr": Reader.varstr,
    "short u32": Reader.uint32,
    "short u256": Reader.uint256,
    "empty u256": Reader.uint256,
}


@pytest.mark.parametrize("vector", PRIMITIVES["bad"], ids=lambda v: v["name"])
def test_bad_input_is_refused(vector):
    reader = Reader(bytes.fromhex(vector["hex"]))
    with pytest.raises(ParseError):
        READ_BAD[vector["name"]](reader)
        reader.expect_end()


def test_a_huge_count_is_refused_before_anything_is_allocated():
    reader = Reader(pack_varint(2**60) + b"\x00" * 64)
    with pytest.raises(ParseError, match="cannot fit"):
        reader.uint256_list()


@given(st.integers(0, 2**64 - 1))
def test_varint_round_trip(value):
    reader = Reader(pack_varint(value))
    assert reader.varint() == value
    reader.expect_end()


@given(st.lists(st.integers(0, 2**256 - 1), max_size=300))
def test_list_round_trip(values):
    reader = Reader(pack_uint256_list(values))
    assert reader.uint256_list() == values
    reader.expect_end()


@given(st.ip_addresses())
def test_ip_round_trip(address):
    assert pack_ip(Reader(pack_ip(str(address))).ip()) == pack_ip(str(address))


@given(st.binary(max_size=80))
def test_any_bytes_give_a_value_or_a_parse_error(data):
    for read in (Reader.varint, Reader.varstr, Reader.uint256_list, Reader.ip):
        try:
            read(Reader(data))
        except ParseError:
            pass
