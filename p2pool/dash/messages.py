"""The messages of Dash's own p2p protocol: payload bytes <-> frozen values. Pure, both directions.

Called by the link to Dash Core (`p2pool/dashd`) and by the simulated Dash Core (`p2pool/simnet`), which frame the
payloads themselves with `p2pool.wire.framer` and the network's 4-byte magic. Numbers are little-endian but for
ports; hashes are numbers. Source: Bitcoin's protocol documentation and docs/protocol/dash-core.md.

Each message declares its fields with their codecs (`wire.fields`). Bytes after the last known field of a message
are ignored: newer versions append fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Self, get_args

from p2pool.dash.block import Block, BlockHeader, read_block, read_header
from p2pool.dash.transaction import Transaction, read_transaction
from p2pool.wire.codec import Reader, pack_uint32, pack_uint256
from p2pool.wire.fields import (
    Codec,
    IpAddress,
    Port,
    Uint32,
    Uint64,
    Uint256,
    WireFields,
    bounded_text,
    list_of,
    nested,
)

PROTOCOL_VERSION = 70238
"""The protocol version that this node announces in `version`."""

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
class NetworkAddress(WireFields):
    """An address as `version` and `addr` carry it. `ip` is text, IPv4 in dotted form."""

    services: Uint64
    ip: IpAddress
    port: Port


NO_ADDRESS = NetworkAddress(0, "0.0.0.0", 0)


@dataclass(frozen=True, slots=True)
class InventoryItem:
    """A thing that a peer has or wants. Unknown kinds are kept; readers skip them."""

    kind: int
    hash: int


# By hand: an `inv` has thousands of them.
_INVENTORY = list_of(
    Codec(
        lambda item: pack_uint32(item.kind) + pack_uint256(item.hash),
        lambda reader: InventoryItem(reader.uint32(), reader.uint256()),
    ),
    item_size=36,
    limit=MAX_INVENTORY,
)


def _read_announced_header(reader: Reader) -> BlockHeader:
    header = read_header(reader)
    reader.varint()  # the transaction count, which is of no use here
    return header


_HEADERS = list_of(
    Codec(lambda header: header.pack() + b"\x00", _read_announced_header), item_size=81, limit=MAX_HEADERS
)
_LOCATOR = list_of(Codec(pack_uint256, Reader.uint256), item_size=32, limit=MAX_LOCATOR)


def _pack_relay(relay: bool | None) -> bytes:
    return b"" if relay is None else bytes([relay])


def _read_relay(reader: Reader) -> bool | None:
    return bool(reader.uint8()) if reader.position < reader.end else None


@dataclass(frozen=True, slots=True)
class Version(WireFields):
    """The first message of each side. `time` in seconds; `relay` is None if the message ends before it."""

    command: ClassVar[str] = "version"
    version: Uint32
    services: Uint64
    time: Uint64
    receiver: Annotated[NetworkAddress, nested(NetworkAddress)]
    sender: Annotated[NetworkAddress, nested(NetworkAddress)]
    nonce: Uint64
    sub_version: Annotated[bytes, bounded_text(MAX_SUB_VERSION, "a sub-version")]
    start_height: Uint32
    relay: Annotated[bool | None, Codec(_pack_relay, _read_relay)] = None


@dataclass(frozen=True, slots=True)
class Verack(WireFields):
    """The answer to `version`, without fields."""

    command: ClassVar[str] = "verack"


@dataclass(frozen=True, slots=True)
class SendHeaders(WireFields):
    """A request to announce blocks by `headers` instead of `inv` from now on."""

    command: ClassVar[str] = "sendheaders"


@dataclass(frozen=True, slots=True)
class GetAddr(WireFields):
    """A request for addresses of other nodes."""

    command: ClassVar[str] = "getaddr"


@dataclass(frozen=True, slots=True)
class Ping(WireFields):
    """A request to be answered by `pong` with the same nonce."""

    command: ClassVar[str] = "ping"
    nonce: Uint64


@dataclass(frozen=True, slots=True)
class Pong(WireFields):
    """The answer to `ping`, with its nonce."""

    command: ClassVar[str] = "pong"
    nonce: Uint64


@dataclass(frozen=True, slots=True)
class Inv(WireFields):
    """What the sender has: a count and 36 bytes an item."""

    command: ClassVar[str] = "inv"
    items: Annotated[tuple[InventoryItem, ...], _INVENTORY]


@dataclass(frozen=True, slots=True)
class GetData(WireFields):
    """What the sender requests: a count and 36 bytes an item."""

    command: ClassVar[str] = "getdata"
    items: Annotated[tuple[InventoryItem, ...], _INVENTORY]


@dataclass(frozen=True, slots=True)
class GetHeaders(WireFields):
    """A request for the headers after the first known hash of `locator`, up to `stop` (0: as many as fit)."""

    command: ClassVar[str] = "getheaders"
    version: Uint32
    locator: Annotated[tuple[int, ...], _LOCATOR]
    stop: Uint256


@dataclass(frozen=True, slots=True)
class Headers(WireFields):
    """Block headers, oldest first; on the wire each is followed by a transaction count of 0."""

    command: ClassVar[str] = "headers"
    headers: Annotated[tuple[BlockHeader, ...], _HEADERS]


@dataclass(frozen=True, slots=True)
class BlockMessage:
    """A block. `raw` is what was received, without bytes after its end."""

    command: ClassVar[str] = "block"
    block: Block
    raw: bytes

    def pack(self) -> bytes:
        """Return the bytes of the block."""
        return self.raw

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Return the block at the reader's position. Raises ParseError."""
        start = reader.position
        block = read_block(reader)
        return cls(block, reader.data[start : reader.position])


@dataclass(frozen=True, slots=True)
class TransactionMessage(WireFields):
    """A transaction that its sender relays."""

    command: ClassVar[str] = "tx"
    transaction: Annotated[Transaction, Codec(Transaction.pack, read_transaction)]


@dataclass(frozen=True, slots=True)
class TimedAddress(WireFields):
    """An entry of `addr`: when the node was seen (seconds), and where it is."""

    time: Uint32
    address: Annotated[NetworkAddress, nested(NetworkAddress)]


@dataclass(frozen=True, slots=True)
class Addr(WireFields):
    """Addresses of other nodes: a count and 30 bytes an entry."""

    command: ClassVar[str] = "addr"
    entries: Annotated[tuple[TimedAddress, ...], list_of(nested(TimedAddress), item_size=30, limit=MAX_ADDRESSES)]


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

_KINDS: dict[str, type[Message]] = {kind.command: kind for kind in get_args(Message)}
KNOWN_COMMANDS = frozenset(_KINDS)


def parse_message(command: str, payload: bytes) -> Message | None:
    """Return the message of a frame's command and payload; None for a command that is not known here.

    Raises ParseError if the payload ends early or a list is longer than the protocol allows.
    """
    kind = _KINDS.get(command)
    return None if kind is None else kind.read(Reader(payload))
