"""Field codecs: the primitive types of the share chain and of Dash (little-endian unless noted otherwise).

`Reader` walks once over a buffer; the `pack_*` functions build bytes. Nothing here knows what the fields mean.
Source: Bitcoin's protocol documentation, as narrowed by the share chain (non-minimal varints and strings cut
short by the end of the data are refused).
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable
from typing import Any

from p2pool.base.errors import ParseError

_U16 = struct.Struct("<H")
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
ONE_BYTE_VARINTS = 0xFD
"""Numbers below this are variable-length integers of one byte."""


class Reader:
    """One pass over `data`, which must be `bytes`. Every method raises ParseError if the data ends early."""

    __slots__ = ("data", "end", "position")

    def __init__(self, data: bytes, position: int = 0) -> None:
        self.data = data
        self.position = position
        self.end = len(data)

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        start = self.position
        stop = start + size
        if stop > self.end:
            raise ParseError(f"{size} bytes needed at offset {start}, {self.end - start} left")
        self.position = stop
        return self.data[start:stop]

    def unpack(self, fields: struct.Struct) -> tuple[Any, ...]:
        """Read fields of a fixed size together."""
        start = self.position
        stop = start + fields.size
        if stop > self.end:
            raise ParseError(f"{fields.size} bytes needed at offset {start}, {self.end - start} left")
        self.position = stop
        return fields.unpack_from(self.data, start)

    def uint8(self) -> int:
        """Read a number of one byte."""
        return self.take(1)[0]

    def uint16(self) -> int:
        """Read a number of two bytes, little-endian."""
        return int.from_bytes(self.take(2), "little")

    def uint16_big_endian(self) -> int:
        """Read two bytes, big-endian: the port of an address."""
        return int.from_bytes(self.take(2), "big")

    def uint32(self) -> int:
        """Read a number of four bytes, little-endian."""
        return int.from_bytes(self.take(4), "little")

    def uint64(self) -> int:
        """Read a number of eight bytes, little-endian."""
        return int.from_bytes(self.take(8), "little")

    def uint128(self) -> int:
        """Read a number of sixteen bytes, little-endian."""
        return int.from_bytes(self.take(16), "little")

    def uint160(self) -> int:
        """Read a number of twenty bytes, little-endian."""
        return int.from_bytes(self.take(20), "little")

    def uint256(self) -> int:
        """Read 32 bytes, little-endian: a hash or a target."""
        return int.from_bytes(self.take(32), "little")

    def varint(self) -> int:
        """Return a variable-length integer; a form longer than needed is refused."""
        position = self.position
        if position >= self.end:
            raise ParseError(f"1 bytes needed at offset {position}, {self.end - position} left")
        self.position = position + 1
        first = self.data[position]
        if first < ONE_BYTE_VARINTS:
            return first
        size, least = {0xFD: (2, 0xFD), 0xFE: (4, 0x10000), 0xFF: (8, 0x100000000)}[first]
        value = int.from_bytes(self.take(size), "little")
        if value < least:
            raise ParseError(f"varint {value} is not in its shortest form")
        return value

    def varstr(self) -> bytes:
        """Return a length as varint, then that many bytes."""
        size = self.varint()
        start = self.position
        stop = start + size
        if stop > self.end:
            raise ParseError(f"{size} bytes needed at offset {start}, {self.end - start} left")
        self.position = stop
        return self.data[start:stop]

    def count(self, item_size: int) -> int:
        """Return the count of a list whose items take at least `item_size` bytes: a claim that the rest of the
        data cannot hold is refused before anything is allocated for it."""
        count = self.varint()
        if count * item_size > self.end - self.position:
            raise ParseError(f"a list of {count} items cannot fit into {self.end - self.position} bytes")
        return count

    def uint256_list(self) -> list[int]:
        """Return a varint count, then that many 32-byte little-endian numbers."""
        count = self.count(32)
        start = self.position
        self.position = stop = start + 32 * count
        data = self.data
        from_bytes = int.from_bytes
        return [from_bytes(data[i : i + 32], "little") for i in range(start, stop, 32)]

    def ip(self) -> str:
        """Read the 16 bytes of an IPv6 address; a mapped IPv4 address comes out in dotted form."""
        address = ipaddress.IPv6Address(self.take(16))
        return str(address.ipv4_mapped or address)

    def address(self) -> tuple[int, str, int]:
        """Read 26 bytes, as both protocols send where a node is: (services, ip, port)."""
        return self.uint64(), self.ip(), self.uint16_big_endian()

    def expect_end(self) -> None:
        """Refuse bytes after the last field."""
        if self.position != self.end:
            raise ParseError(f"{self.end - self.position} bytes after the end")


def pack_uint16(value: int) -> bytes:
    """Return a number in two bytes, little-endian."""
    return _U16.pack(value)


def pack_uint32(value: int) -> bytes:
    """Return a number in four bytes, little-endian."""
    return _U32.pack(value)


def pack_uint64(value: int) -> bytes:
    """Return a number in eight bytes, little-endian."""
    return _U64.pack(value)


def pack_uint256(value: int) -> bytes:
    """Return a number in 32 bytes, little-endian."""
    return value.to_bytes(32, "little")


def pack_varint(value: int) -> bytes:
    """Return the shortest form of `value`, 0 <= value < 2**64."""
    if value < 0xFD:
        return value.to_bytes(1, "little")
    if value < 0x10000:
        return b"\xfd" + _U16.pack(value)
    if value < 0x100000000:
        return b"\xfe" + _U32.pack(value)
    return b"\xff" + _U64.pack(value)


def pack_varstr(value: bytes) -> bytes:
    """Return the length as varint, then the bytes."""
    return pack_varint(len(value)) + value


def pack_uint256_list(values: Iterable[int]) -> bytes:
    """Return a varint count, then each number in 32 bytes."""
    packed = [value.to_bytes(32, "little") for value in values]
    return pack_varint(len(packed)) + b"".join(packed)


def pack_ip(address: str) -> bytes:
    """Return the 16 bytes of an address; IPv4 becomes ::ffff:a.b.c.d."""
    parsed = ipaddress.ip_address(address)
    if parsed.version == 4:
        return b"\x00" * 10 + b"\xff\xff" + parsed.packed
    return parsed.packed


def pack_address(services: int, ip: str, port: int) -> bytes:
    """Return 26 bytes: uint64 services, ip, port big-endian."""
    return _U64.pack(services) + pack_ip(ip) + port.to_bytes(2, "big")
