"""Messages that declare their fields: the annotation of each is its type together with its codec.

    @dataclass(frozen=True, slots=True)
    class Ping(WireFields):
        nonce: Uint64

`pack` and `read` follow from the declaration, in the order of the fields. Each field costs a call: what is read by
the thousand while others wait has a codec of its own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any, Generic, NamedTuple, Self, TypeVar, get_type_hints

from p2pool.base.errors import ParseError
from p2pool.wire.codec import (
    Reader,
    pack_ip,
    pack_uint32,
    pack_uint64,
    pack_uint256,
    pack_varint,
    pack_varstr,
)

T = TypeVar("T")


class Codec(NamedTuple, Generic[T]):
    """How a value is packed, and how it is read. `read` raises ParseError."""

    pack: Callable[[T], bytes]
    read: Callable[[Reader], T]


Uint8 = Annotated[int, Codec(lambda value: bytes([value]), Reader.uint8)]
Uint32 = Annotated[int, Codec(pack_uint32, Reader.uint32)]
Uint64 = Annotated[int, Codec(pack_uint64, Reader.uint64)]
Uint256 = Annotated[int, Codec(pack_uint256, Reader.uint256)]
Port = Annotated[int, Codec(lambda port: port.to_bytes(2, "big"), Reader.uint16_big_endian)]
IpAddress = Annotated[str, Codec(pack_ip, Reader.ip)]


def fixed_bytes(size: int) -> Codec[bytes]:
    """Return the codec of exactly so many bytes."""
    return Codec(lambda data: data, lambda reader: reader.take(size))


def bounded_text(limit: int, name: str) -> Codec[bytes]:
    """Return the codec of a length and that many bytes, at most `limit`. `name` is for the error."""

    def read(reader: Reader) -> bytes:
        text = reader.varstr()
        if len(text) > limit:
            raise ParseError(f"{name} of {len(text)} bytes; at most {limit} are allowed")
        return text

    return Codec(pack_varstr, read)


def list_of(item: Codec[T], *, item_size: int, limit: int) -> Codec[tuple[T, ...]]:
    """Return the codec of a count and at most `limit` items, each of at least `item_size` bytes."""

    def pack(items: tuple[T, ...]) -> bytes:
        return pack_varint(len(items)) + b"".join([item.pack(each) for each in items])

    def read(reader: Reader) -> tuple[T, ...]:
        count = reader.count(item_size)
        if count > limit:
            raise ParseError(f"a list of {count} items; at most {limit} are allowed")
        read_item = item.read
        return tuple([read_item(reader) for _ in range(count)])

    return Codec(pack, read)


class WireFields:
    """A frozen dataclass whose fields declare their codecs."""

    __slots__ = ()

    def pack(self) -> bytes:
        """Return the fields' bytes, one after another."""
        return b"".join([codec.pack(getattr(self, name)) for name, codec in _layout(type(self))])

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Return the value at the reader's position. Raises ParseError."""
        return cls(*[codec.read(reader) for _, codec in _layout(cls)])


W = TypeVar("W", bound=WireFields)


def nested(kind: type[W]) -> Codec[W]:
    """Return the codec of a field that has fields of its own."""
    return Codec(lambda value: value.pack(), kind.read)


Layout = tuple[tuple[str, Codec[Any]], ...]
_layouts: dict[type, Layout] = {}
"""Bound: one a class."""


def _layout(kind: type[WireFields]) -> Layout:
    known = _layouts.get(kind)
    if known is None:
        known = _layouts[kind] = _declared_layout(kind)
    return known


def _declared_layout(kind: type[WireFields]) -> Layout:
    """Return the fields of a kind of message with their codecs. Raises TypeError for one that declares none."""
    hints = get_type_hints(kind, include_extras=True)
    layout = []
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        codecs = [each for each in getattr(hints[field.name], "__metadata__", ()) if isinstance(each, Codec)]
        if len(codecs) != 1:
            raise TypeError(f"{kind.__name__}.{field.name} declares {len(codecs)} codecs, not one")
        layout.append((field.name, codecs[0]))
    return tuple(layout)
