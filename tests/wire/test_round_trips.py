"""Every field type packed and read again, alone and one after another; blocks and headers as wholes."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pool.base.errors import ParseError
from p2pool.dash.block import Block, BlockHeader, assemble_block, parse_block, read_header
from p2pool.dash.transaction import Transaction, TxInput, TxOutput, parse_transaction, transaction_type
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


def numbers(bits: int) -> st.SearchStrategy[int]:
    """Among them often those at the ends, and at the lengths of varints."""
    edges = {0, 1, 2**bits - 1, *(n for n in (0xFC, 0xFD, 0xFFFF, 2**16, 2**32 - 1, 2**32) if n < 2**bits)}
    return st.integers(0, 2**bits - 1) | st.sampled_from(sorted(edges))


def little(size: int) -> Callable[[int], bytes]:
    return lambda value: value.to_bytes(size, "little")


ADDRESSES = st.ip_addresses().map(lambda ip: str(getattr(ip, "ipv4_mapped", None) or ip))
U32, U64, U256 = numbers(32), numbers(64), numbers(256)
Field = tuple[st.SearchStrategy, Callable[[Any], bytes], Callable[[Reader], Any]]
FIELDS: dict[str, Field] = {
    "uint8": (numbers(8), little(1), Reader.uint8),
    "uint16": (numbers(16), pack_uint16, Reader.uint16),
    "uint16 big-endian": (numbers(16), lambda v: v.to_bytes(2, "big"), Reader.uint16_big_endian),
    "uint32": (U32, pack_uint32, Reader.uint32),
    "uint64": (U64, pack_uint64, Reader.uint64),
    "uint128": (numbers(128), little(16), Reader.uint128),
    "uint160": (numbers(160), little(20), Reader.uint160),
    "uint256": (U256, pack_uint256, Reader.uint256),
    "varint": (U64, pack_varint, Reader.varint),
    "varstr": (st.binary(max_size=300), pack_varstr, Reader.varstr),
    "list of uint256": (st.lists(U256, max_size=5), pack_uint256_list, Reader.uint256_list),
    "ip": (ADDRESSES, pack_ip, Reader.ip),
}


@pytest.mark.parametrize("name", FIELDS)
@given(data=st.data())
def test_each_type_alone(name, data):
    values, pack, read = FIELDS[name]
    value = data.draw(values)
    packed = pack(value)
    reader = Reader(packed)
    assert read(reader) == value
    reader.expect_end()
    for size in range(len(packed)):
        with pytest.raises(ParseError):
            read(Reader(packed[:size]))


@given(st.lists(st.sampled_from(sorted(FIELDS)), max_size=12), st.binary(max_size=5), st.data())
def test_types_one_after_another(names, after, data):
    values = [data.draw(FIELDS[name][0]) for name in names]
    packed = b"".join(FIELDS[name][1](value) for name, value in zip(names, values, strict=True))
    reader = Reader(b"before" + packed + after, 6)
    assert [FIELDS[name][2](reader) for name in names] == values
    if after:
        with pytest.raises(ParseError, match=f"{len(after)} bytes after"):
            reader.expect_end()
    assert reader.take(len(after)) == after
    reader.expect_end()


@given(U64)
def test_a_varint_has_one_form_only(value):
    """Any longer form of the same number is refused."""
    for prefix, size in ((0xFD, 2), (0xFE, 4), (0xFF, 8)):
        if value >= 1 << (8 * size):
            continue
        packed = bytes([prefix]) + value.to_bytes(size, "little")
        if packed == pack_varint(value):
            assert Reader(packed).varint() == value
        else:
            with pytest.raises(ParseError, match="shortest"):
                Reader(packed).varint()


@pytest.mark.parametrize("address", ["1.2.3.4", "::ffff:1.2.3.4", "::", "::1.2.3.4", "2001:db8::1"])
def test_an_address_has_one_form_of_16_bytes(address):
    packed = pack_ip(address)
    assert len(packed) == 16
    read = Reader(packed).ip()
    parsed = ipaddress.ip_address(address)
    assert ipaddress.ip_address(read) == (getattr(parsed, "ipv4_mapped", None) or parsed)


HEADERS = st.builds(BlockHeader, U32, U256, U256, U32, U32, U32)
SCRIPTS = st.binary(max_size=260)
TRANSACTIONS = st.builds(
    Transaction,
    numbers(16),
    st.sampled_from([0, 1, 5, 6, 0xFFFF]),
    st.lists(st.builds(TxInput, U256, U32, SCRIPTS, U32), max_size=3).map(tuple),
    st.lists(st.builds(TxOutput, U64, SCRIPTS), max_size=3).map(tuple),
    U32,
)


@st.composite
def transactions(draw) -> Transaction:
    """A payload only where the form has one: nowhere else would it be written."""
    plain = draw(TRANSACTIONS)
    if not plain.has_payload:
        return plain
    payload = draw(st.binary(max_size=300))
    return Transaction(plain.version, plain.type, plain.inputs, plain.outputs, plain.lock_time, payload)


@given(HEADERS)
def test_headers(header):
    packed = header.pack()
    assert len(packed) == 80
    assert read_header(Reader(packed)) == header


@settings(max_examples=60)
@given(transactions(), st.data())
def test_transactions(transaction, data):
    """Every field, and no byte less or more."""
    packed = transaction.pack()
    assert parse_transaction(packed) == transaction
    assert transaction_type(packed) == transaction.type
    for damaged in (packed[: data.draw(st.integers(0, len(packed) - 1))], packed + b"\x00"):
        with pytest.raises(ParseError):
            parse_transaction(damaged)


@settings(max_examples=60)
@given(HEADERS, st.lists(transactions(), min_size=1, max_size=4))
def test_blocks(header, contents):
    packed = [transaction.pack() for transaction in contents]
    block = assemble_block(header.pack(), packed[0], tuple(packed[1:]))
    assert parse_block(block) == Block(header, tuple(contents))
    for damaged in (block[:-1], block + b"\x00"):
        with pytest.raises(ParseError):
            parse_block(damaged)
