"""The messages of Dash's own p2p protocol: payload bytes <-> frozen values. Pure, both directions.

Called by the link to Dash Core (`p2pool/dashd`) and by the simulated Dash Core (`p2pool/simnet`), which frame the
payloads themselves with `p2pool.wire.framer` and the network's 4-byte magic. Numbers are little-endian but for
ports; hashes are numbers. Source: Bitcoin's protocol documentation and the specification's page on Dash Core.

Bytes after the last known field of a message are ignored: newer versions append fields.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from p2pool.base.errors import ParseError
from p2pool.dash.block import Block, BlockHeader, read_block, read_header
from p2pool.dash.transaction import Transaction, read_transaction
from p2pool.wire.codec import (
    Reader,
    pack_address,
    pack_uint32,
    pack_uint64,
    pack_uint256,
    pack_uint256_list,
    pack_varint,
    pack_varstr,
)

PROTOCOL_VERSION = 70238
"""What we say in `version`."""

NODE_NETWORK = 1
"""The service bit of a node that keeps all blocks."""

INVENTORY_TRANSACTION = 1
INVENTORY_BLOCK = 2
INVENTORY_COMPACT_BLOCK = 20
INVENTORY_CHAINLOCK = 29
INVENTORY_INSTANTSEND_LOCK = 31

MAX_PAYLOAD = 3 * 1024 * 1024
"""Bytes: Dash Core's own limit of one message; a block has at most 2 000 000."""

# What Dash Core itself puts into one message at most; a longer list is refused.
MAX_INVENTORY = 50_000
MAX_HEADERS = 2000
MAX_LOCATOR = 101
MAX_ADDRESSES = 1000
MAX_SUB_VERSION = 256


@dataclass(frozen=True, slots=True)
class NetworkAddress:
    """An address as `version` and `addr` carry it. `ip` is text, IPv4 in dotted form."""

    services: int
    ip: str
    port: int

    def pack(self) -> bytes:
        """26 bytes."""
        return pack_address(self.services, self.ip, self.port)


NO_ADDRESS = NetworkAddress(0, "0.0.0.0", 0)


def _read_address(reader: Reader) -> NetworkAddress:
    return NetworkAddress(*reader.address())


@dataclass(frozen=True, slots=True)
class InventoryItem:
    """A thing that a peer has or wants. Kinds that are not known here are kept, and skipped by who reads them."""

    kind: int
    hash: int


@dataclass(frozen=True, slots=True)
class Version:
    """The first message of each side. `time` in seconds; `relay` is None where the message ends before it."""

    command: ClassVar[str] = "version"
    version: int
    services: int
    time: int
    receiver: NetworkAddress
    sender: NetworkAddress
    nonce: int
    sub_version: bytes
    start_height: int
    relay: bool | None = None

    def pack(self) -> bytes:
        """The payload."""
        return b"".join(
            (
                pack_uint32(self.version),
                pack_uint64(self.services),
                pack_uint64(self.time),
                self.receiver.pack(),
                self.sender.pack(),
                pack_uint64(self.nonce),
                pack_varstr(self.sub_version),
                pack_uint32(self.start_height),
                b"" if self.relay is None else bytes([self.relay]),
            )
        )


@dataclass(frozen=True, slots=True)
class Verack:
    """The answer to `version`."""

    command: ClassVar[str] = "verack"

    def pack(self) -> bytes:
        """Nothing."""
        return b""


@dataclass(frozen=True, slots=True)
class SendHeaders:
    """Announce blocks by `headers` instead of `inv` from now on."""

    command: ClassVar[str] = "sendheaders"

    def pack(self) -> bytes:
        """Nothing."""
        return b""


@dataclass(frozen=True, slots=True)
class GetAddr:
    """Ask for addresses of other nodes."""

    command: ClassVar[str] = "getaddr"

    def pack(self) -> bytes:
        """Nothing."""
        return b""


@dataclass(frozen=True, slots=True)
class Ping:
    """To be answered by `pong` with the same nonce."""

    command: ClassVar[str] = "ping"
    nonce: int

    def pack(self) -> bytes:
        """8 bytes."""
        return pack_uint64(self.nonce)


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to `ping`."""

    command: ClassVar[str] = "pong"
    nonce: int

    def pack(self) -> bytes:
        """8 bytes."""
        return pack_uint64(self.nonce)


def _pack_inventory(items: tuple[InventoryItem, ...]) -> bytes:
    parts = [pack_varint(len(items))]
    for item in items:
        parts += [pack_uint32(item.kind), pack_uint256(item.hash)]
    return b"".join(parts)


@dataclass(frozen=True, slots=True)
class Inv:
    """What the sender has."""

    command: ClassVar[str] = "inv"
    items: tuple[InventoryItem, ...]

    def pack(self) -> bytes:
        """A count and 36 bytes an item."""
        return _pack_inventory(self.items)


@dataclass(frozen=True, slots=True)
class GetData:
    """What the sender wants."""

    command: ClassVar[str] = "getdata"
    items: tuple[InventoryItem, ...]

    def pack(self) -> bytes:
        """A count and 36 bytes an item."""
        return _pack_inventory(self.items)


@dataclass(frozen=True, slots=True)
class GetHeaders:
    """Ask for the headers that follow the first known hash of `locator`, up to `stop` (0: as many as fit)."""

    command: ClassVar[str] = "getheaders"
    version: int
    locator: tuple[int, ...]
    stop: int

    def pack(self) -> bytes:
        """The payload."""
        return pack_uint32(self.version) + pack_uint256_list(self.locator) + pack_uint256(self.stop)


@dataclass(frozen=True, slots=True)
class Headers:
    """Block headers, oldest first; on the wire each is followed by a transaction count of 0."""

    command: ClassVar[str] = "headers"
    headers: tuple[BlockHeader, ...]

    def pack(self) -> bytes:
        """A count and 81 bytes a header."""
        return pack_varint(len(self.headers)) + b"".join(header.pack() + b"\x00" for header in self.headers)


@dataclass(frozen=True, slots=True)
class BlockMessage:
    """A block. `raw` is what was received, without bytes after its end."""

    command: ClassVar[str] = "block"
    block: Block
    raw: bytes

    def pack(self) -> bytes:
        """The block's bytes."""
        return self.raw


@dataclass(frozen=True, slots=True)
class TransactionMessage:
    """A transaction."""

    command: ClassVar[str] = "tx"
    transaction: Transaction

    def pack(self) -> bytes:
        """The transaction's bytes."""
        return self.transaction.pack()


@dataclass(frozen=True, slots=True)
class TimedAddress:
    """An entry of `addr`: when the node was seen (seconds), and where it is."""

    time: int
    address: NetworkAddress


@dataclass(frozen=True, slots=True)
class Addr:
    """Addresses of other nodes."""

    command: ClassVar[str] = "addr"
    entries: tuple[TimedAddress, ...]

    def pack(self) -> bytes:
        """A count and 30 bytes an entry."""
        parts = [pack_varint(len(self.entries))]
        for entry in self.entries:
            parts += [pack_uint32(entry.time), entry.address.pack()]
        return b"".join(parts)


Message = (
    Version
    | Verack
    | Ping
    | Pong
    | Inv
    | GetData
    | GetHeaders
    | Headers
    | SendHeaders
    | BlockMessage
    | TransactionMessage
    | Addr
    | GetAddr
)


def _bounded_count(reader: Reader, item_size: int, limit: int) -> int:
    count = reader.count(item_size)
    if count > limit:
        raise ParseError(f"a list of {count} items; at most {limit} are allowed")
    return count


def _read_version(reader: Reader) -> Version:
    version, services, time = reader.uint32(), reader.uint64(), reader.uint64()
    receiver, sender = _read_address(reader), _read_address(reader)
    nonce, sub_version = reader.uint64(), reader.varstr()
    if len(sub_version) > MAX_SUB_VERSION:
        raise ParseError(f"a sub-version of {len(sub_version)} bytes; at most {MAX_SUB_VERSION} are allowed")
    start_height = reader.uint32()
    relay = bool(reader.uint8()) if reader.position < reader.end else None
    return Version(version, services, time, receiver, sender, nonce, sub_version, start_height, relay)


def _read_inventory(reader: Reader) -> tuple[InventoryItem, ...]:
    count = _bounded_count(reader, 36, MAX_INVENTORY)
    return tuple(InventoryItem(reader.uint32(), reader.uint256()) for _ in range(count))


def _read_getheaders(reader: Reader) -> GetHeaders:
    version = reader.uint32()
    count = _bounded_count(reader, 32, MAX_LOCATOR)
    locator = tuple(reader.uint256() for _ in range(count))
    return GetHeaders(version, locator, reader.uint256())


def _read_headers(reader: Reader) -> Headers:
    headers = []
    for _ in range(_bounded_count(reader, 81, MAX_HEADERS)):
        headers.append(read_header(reader))
        reader.varint()  # the transaction count, which says nothing here
    return Headers(tuple(headers))


def _read_block_message(reader: Reader) -> BlockMessage:
    start = reader.position
    block = read_block(reader)
    return BlockMessage(block, reader.data[start : reader.position])


def _read_addr(reader: Reader) -> Addr:
    count = _bounded_count(reader, 30, MAX_ADDRESSES)
    return Addr(tuple(TimedAddress(reader.uint32(), _read_address(reader)) for _ in range(count)))


_READERS: dict[str, Callable[[Reader], Message]] = {
    "version": _read_version,
    "verack": lambda reader: Verack(),
    "ping": lambda reader: Ping(reader.uint64()),
    "pong": lambda reader: Pong(reader.uint64()),
    "inv": lambda reader: Inv(_read_inventory(reader)),
    "getdata": lambda reader: GetData(_read_inventory(reader)),
    "getheaders": _read_getheaders,
    "headers": _read_headers,
    "sendheaders": lambda reader: SendHeaders(),
    "block": _read_block_message,
    "tx": lambda reader: TransactionMessage(read_transaction(reader)),
    "addr": _read_addr,
    "getaddr": lambda reader: GetAddr(),
}

KNOWN_COMMANDS = frozenset(_READERS)


def parse_message(command: str, payload: bytes) -> Message | None:
    """The message of a frame's command and payload; None for a command that is not known here.

    Raises ParseError where the payload ends early or a list is longer than the protocol allows.
    """
    read = _READERS.get(command)
    return None if read is None else read(Reader(payload))
