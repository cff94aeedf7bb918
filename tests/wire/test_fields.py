"""Messages that declare their fields: bytes both ways, in order, and errors for what cannot be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest

from p2pool.base.errors import ParseError
from p2pool.wire.codec import Reader
from p2pool.wire.fields import (
    IpAddress,
    Port,
    Uint8,
    Uint32,
    Uint64,
    Uint256,
    WireFields,
    bounded_text,
    fixed_bytes,
    list_of,
    nested,
)


@dataclass(frozen=True, slots=True)
class Point(WireFields):
    x: Uint8
    y: Uint32


@dataclass(frozen=True, slots=True)
class Everything(WireFields):
    number: Uint64
    hash: Uint256
    ip: IpAddress
    port: Port
    name: Annotated[bytes, bounded_text(4, "a name")]
    seal: Annotated[bytes, fixed_bytes(2)]
    points: Annotated[tuple[Point, ...], list_of(nested(Point), item_size=5, limit=2)]


VALUE = Everything(1, 2, "1.2.3.4", 0x1234, b"name", b"ab", (Point(3, 4), Point(5, 6)))
PACKED = bytes.fromhex(
    "0100000000000000" + "02" + "00" * 31 + "00" * 10 + "ffff01020304" + "1234" + "04" + b"nameab".hex()
    + "02" + "0304000000" + "0506000000"
)  # fmt: skip


def test_bytes_both_ways():
    assert VALUE.pack() == PACKED
    reader = Reader(PACKED + b"more")
    assert Everything.read(reader) == VALUE
    assert reader.position == len(PACKED)


def test_every_truncation_is_a_parse_error():
    for size in range(len(PACKED)):
        with pytest.raises(ParseError):
            Everything.read(Reader(PACKED[:size]))


def test_what_is_too_long_is_refused():
    with pytest.raises(ParseError, match="a name of 5 bytes; at most 4 are allowed"):
        bounded_text(4, "a name").read(Reader(b"\x05abcde"))
    with pytest.raises(ParseError, match="a list of 3 items; at most 2 are allowed"):
        list_of(nested(Point), item_size=5, limit=2).read(Reader(b"\x03" + bytes(15)))


def test_a_field_without_a_codec_is_a_bug():
    @dataclass(frozen=True, slots=True)
    class Wrong(WireFields):
        value: int

    with pytest.raises(TypeError, match=r"Wrong\.value declares 0 codecs, not one"):
        Wrong(1).pack()
