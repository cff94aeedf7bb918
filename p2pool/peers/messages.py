"""The messages between nodes of the share chain: payload bytes <-> frozen values. Pure, both directions.

Each message is declared by its fields; the type of a field says how it is packed and read.

Hashes are numbers, ports big-endian inside addresses and little-endian in `addrme`. Bytes after the last field
make a message malformed. See docs/protocol/peers.md.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Final, NamedTuple, get_args, get_type_hints

from p2pool.base.errors import ParseError
from p2pool.base.steps import finish
from p2pool.dash.block import BlockHeader, read_header
from p2pool.dash.hashes import sha256d_int
from p2pool.dash.transaction import MIN_TRANSACTION, has_stable_hash, pass_transaction, transaction_hash
from p2pool.share.parsing import open_envelope
from p2pool.wire.codec import (
    Reader,
    pack_address,
    pack_uint16,
    pack_uint32,
    pack_uint64,
    pack_uint256,
    pack_uint256_list,
    pack_varint,
    pack_varstr,
)

MAX_PAYLOAD = 3_145_728
MAX_SUB_VERSION = 512
_MIN_SHARE = 200
"""Bytes. No share of a type that is known has fewer."""
_MIN_ENVELOPE = 2
"""Bytes of a share without contents: what types to come have in them is not known."""
MAX_SHARES = MAX_PAYLOAD // _MIN_SHARE
"""Shares that are read of one message: more fit in only if they are shorter than any that is known. What follows
them is passed over, so that megabytes of empty ones cost no second."""
MAX_TRANSACTIONS = 25_000
"""Transactions in one `remember_tx`. At 110 bytes each they exceed what a peer may have another one keep."""

MAX_ADDRS = 1000
"""Addresses that are read of one `addrs`."""
MAX_HAVE_TX = 10_000
"""Hashes that are read of one `have_tx`: so many are kept of a peer."""
_TRANSACTIONS_AT_ONCE = 500
_TRANSACTION_BYTES_AT_ONCE = 500_000
"""Transactions hashed in a step, and their bytes: about 2 ms."""
_ENVELOPES_AT_ONCE = 1000
"""Shares taken out of a message in a step: about 2 ms."""
_HASHES_AT_ONCE = 10_000
"""Hashes read in a step: about 2 ms."""
_SEEN_SIZE, _HASH_SIZE = 34, 32
REQUEST_ID_SIZE = 32
"""Bytes of the id that a `sharereply` begins with."""

GOOD, TOO_LONG = 0, 1
"""Results of a `sharereply`; 2 to 6 are unknown errors."""
_LAST_RESULT = 6


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """Where a node listens. `host` is an IP address as text, IPv4 in dotted form."""

    host: str
    port: int
    services: int = 0

    def pack(self) -> bytes:
        """Return the address as 26 bytes."""
        return pack_address(self.services, self.host, self.port)


@dataclass(frozen=True, slots=True)
class SeenAddress:
    """An address and when it was last seen (Unix seconds)."""

    timestamp: int
    address: PeerAddress


@dataclass(frozen=True, slots=True)
class Envelope:
    """A share as it travels."""

    kind: int
    contents: bytes

    def pack(self) -> bytes:
        """Return the share as varint type, varstr contents."""
        return pack_varint(self.kind) + pack_varstr(self.contents)


@dataclass(frozen=True, slots=True)
class RawTransaction:
    """A transaction's bytes and its hash. `other_hash` is the double SHA-256 of all bytes if the hash is
    another number (see `dash.transaction`): legacy p2pool-dash calls the transaction by that."""

    hash: int
    data: bytes
    other_hash: int | None = None


def _pack_list(items: Iterable[bytes]) -> bytes:
    packed = list(items)
    return pack_varint(len(packed)) + b"".join(packed)


# --- fields: how each is packed and read -----------------------------------------------------------------


class WireField(NamedTuple):
    """How a field of a message is packed and read. `read` gives the value, or, with `in_steps`, a generator of it:
    each yield ends a step of a few milliseconds."""

    pack: Callable[[Any], bytes]
    read: Callable[[Reader], Any]
    in_steps: bool = False


def _read_address(reader: Reader) -> PeerAddress:
    services, host, port = reader.address()
    return PeerAddress(host, port, services)


def _read_sub_version(reader: Reader) -> bytes:
    sub_version = reader.varstr()
    if len(sub_version) > MAX_SUB_VERSION:
        raise ParseError(f"a sub-version of {len(sub_version)} bytes; at most {MAX_SUB_VERSION} are allowed")
    return sub_version


def _read_result(reader: Reader) -> int:
    result = reader.varint()
    if result > _LAST_RESULT:
        raise ParseError(f"a sharereply with result {result}")
    return result


def _read_seen_addresses(reader: Reader) -> tuple[SeenAddress, ...]:
    count = reader.count(_SEEN_SIZE)
    read = min(count, MAX_ADDRS)
    addresses = tuple(SeenAddress(reader.uint64(), _read_address(reader)) for _ in range(read))
    reader.position += (count - read) * _SEEN_SIZE
    return addresses


def _hashes_steps(reader: Reader) -> Generator[None, None, tuple[int, ...]]:
    count, hashes = reader.count(_HASH_SIZE), []
    for number in range(1, count + 1):
        hashes.append(reader.uint256())
        if number % _HASHES_AT_ONCE == 0:
            yield
    return tuple(hashes)


def _read_newest_hashes(reader: Reader) -> tuple[int, ...]:
    """Return the end of a long list, as nobody remembers more of a peer."""
    count = reader.count(_HASH_SIZE)
    reader.position += max(0, count - MAX_HAVE_TX) * _HASH_SIZE
    return tuple(reader.uint256() for _ in range(min(count, MAX_HAVE_TX)))


def _envelopes_steps(reader: Reader) -> Generator[None, None, tuple[Envelope, ...]]:
    """Read up to MAX_SHARES, of any type and with any contents; the rest of a longer list is not read."""
    count, envelopes = reader.count(_MIN_ENVELOPE), []
    for number in range(1, min(count, MAX_SHARES) + 1):
        envelopes.append(Envelope(*open_envelope(reader)))
        if number % _ENVELOPES_AT_ONCE == 0:
            yield
    if count > MAX_SHARES:
        reader.position = reader.end
    return tuple(envelopes)


def _transactions_steps(reader: Reader) -> Generator[None, None, tuple[RawTransaction, ...]]:
    transactions = []
    count = reader.count(MIN_TRANSACTION)
    if count > MAX_TRANSACTIONS:
        raise ParseError(f"{count} transactions to remember")
    read = 0
    for number in range(1, count + 1):
        start = reader.position
        pass_transaction(reader)
        data = reader.data[start : reader.position]
        whole = sha256d_int(data)
        if has_stable_hash(data):
            transactions.append(RawTransaction(int.from_bytes(transaction_hash(data), "little"), data, whole))
        else:
            transactions.append(RawTransaction(whole, data))
        read += len(data)
        if number % _TRANSACTIONS_AT_ONCE == 0 or read > _TRANSACTION_BYTES_AT_ONCE:
            read = 0
            yield
    return tuple(transactions)


Uint16 = Annotated[int, WireField(pack_uint16, Reader.uint16)]
Uint32 = Annotated[int, WireField(pack_uint32, Reader.uint32)]
Uint64 = Annotated[int, WireField(pack_uint64, Reader.uint64)]
Uint256 = Annotated[int, WireField(pack_uint256, Reader.uint256)]
Varint = Annotated[int, WireField(pack_varint, Reader.varint)]
OptionalHash = Annotated[
    int | None, WireField(lambda value: pack_uint256(value or 0), lambda reader: reader.uint256() or None)
]
"""A hash; 0 means none."""
SubVersion = Annotated[bytes, WireField(pack_varstr, _read_sub_version)]
Result = Annotated[int, WireField(pack_varint, _read_result)]
Address = Annotated[PeerAddress, WireField(PeerAddress.pack, _read_address)]
SeenAddresses = Annotated[
    tuple[SeenAddress, ...],
    WireField(
        lambda addresses: _pack_list(pack_uint64(seen.timestamp) + seen.address.pack() for seen in addresses),
        _read_seen_addresses,
    ),
]
Header = Annotated[BlockHeader, WireField(BlockHeader.pack, read_header)]
Hashes = Annotated[tuple[int, ...], WireField(pack_uint256_list, _hashes_steps, in_steps=True)]
NewestHashes = Annotated[tuple[int, ...], WireField(pack_uint256_list, _read_newest_hashes)]
Envelopes = Annotated[
    tuple[Envelope, ...],
    WireField(lambda shares: _pack_list(share.pack() for share in shares), _envelopes_steps, in_steps=True),
]
Transactions = Annotated[
    tuple[RawTransaction, ...],
    WireField(
        lambda transactions: _pack_list(transaction.data for transaction in transactions),
        _transactions_steps,
        in_steps=True,
    ),
]


# --- messages: their fields, in the order of the payload -------------------------------------------------


class WireMessage:
    """A message whose payload is its fields, one after another."""

    __slots__ = ()
    command: ClassVar[str]
    layout: ClassVar[tuple[tuple[str, WireField], ...]]
    """Name of each field, and how it is packed and read."""

    def pack(self) -> bytes:
        """Return the message's payload."""
        return b"".join([wire.pack(getattr(self, name)) for name, wire in self.layout])


@dataclass(frozen=True, slots=True)
class PeerVersion(WireMessage):
    """The first message of each side."""

    command: ClassVar[str] = "version"
    version: Uint32
    services: Uint64
    receiver: Address
    sender: Address
    nonce: Uint64
    sub_version: SubVersion
    mode: Uint32
    best_share_hash: OptionalHash


@dataclass(frozen=True, slots=True)
class PeerPing(WireMessage):
    """A sign of life; nothing answers it."""

    command: ClassVar[str] = "ping"


@dataclass(frozen=True, slots=True)
class AddrMe(WireMessage):
    """ "I listen on this port", at the address that this connection comes from."""

    command: ClassVar[str] = "addrme"
    port: Uint16


@dataclass(frozen=True, slots=True)
class Addrs(WireMessage):
    """Addresses of nodes, as the sender knows them."""

    command: ClassVar[str] = "addrs"
    addresses: SeenAddresses


@dataclass(frozen=True, slots=True)
class GetAddrs(WireMessage):
    """Asks for that many addresses."""

    command: ClassVar[str] = "getaddrs"
    count: Uint32


@dataclass(frozen=True, slots=True)
class Shares(WireMessage):
    """New shares of the sender's chain."""

    command: ClassVar[str] = "shares"
    shares: Envelopes


@dataclass(frozen=True, slots=True)
class ShareReq(WireMessage):
    """Asks for shares by hash, each with up to `parents` ancestors, ending before a stop."""

    command: ClassVar[str] = "sharereq"
    id: Uint256
    hashes: Hashes
    parents: Varint
    stops: Hashes


@dataclass(frozen=True, slots=True)
class ShareReply(WireMessage):
    """The answer to the `sharereq` of the same id."""

    command: ClassVar[str] = "sharereply"
    id: Uint256
    result: Result
    shares: Envelopes


@dataclass(frozen=True, slots=True)
class BestBlock(WireMessage):
    """The parent chain's best block header."""

    command: ClassVar[str] = "bestblock"
    header: Header


@dataclass(frozen=True, slots=True)
class HaveTx(WireMessage):
    """Transactions that the sender knows."""

    command: ClassVar[str] = "have_tx"
    tx_hashes: NewestHashes


@dataclass(frozen=True, slots=True)
class LosingTx(WireMessage):
    """Transactions that the sender knows no longer."""

    command: ClassVar[str] = "losing_tx"
    tx_hashes: Hashes


@dataclass(frozen=True, slots=True)
class RememberTx(WireMessage):
    """Transactions to keep for shares to come: by hash what the receiver said it has, the others in full."""

    command: ClassVar[str] = "remember_tx"
    tx_hashes: Hashes
    transactions: Transactions


@dataclass(frozen=True, slots=True)
class ForgetTx(WireMessage):
    """Transactions to keep no longer."""

    command: ClassVar[str] = "forget_tx"
    tx_hashes: Hashes


Message = (
    PeerVersion
    | PeerPing
    | AddrMe
    | Addrs
    | GetAddrs
    | Shares
    | ShareReq
    | ShareReply
    | BestBlock
    | HaveTx
    | LosingTx
    | RememberTx
    | ForgetTx
)


def _layout_of(kind: type[Message]) -> tuple[tuple[str, WireField], ...]:
    hints = get_type_hints(kind, include_extras=True)
    return tuple((field.name, hints[field.name].__metadata__[0]) for field in fields(kind))


KINDS: Final[dict[str, type[Message]]] = {kind.command: kind for kind in get_args(Message)}
"""Message types by their command."""
for _kind in KINDS.values():
    _kind.layout = _layout_of(_kind)


def parse_message(command: str, payload: bytes) -> Message | None:
    """Return the message of a frame's command and payload; None for a command that is not known here (it is
    ignored).

    Raises ParseError for anything that is not exactly the message. Of lists that nobody makes full use of, a part
    is read: see MAX_ADDRS, MAX_HAVE_TX and MAX_SHARES.
    """
    return finish(message_steps(command, payload))


def message_steps(command: str, payload: bytes) -> Generator[None, None, Message | None]:
    """Return what `parse_message` does; every yield ends a step of a few milliseconds."""
    kind = KINDS.get(command)
    if kind is None:
        return None
    reader = Reader(payload)
    values = []
    for _, wire in kind.layout:
        value = wire.read(reader)
        if wire.in_steps:
            value = yield from value
        values.append(value)
    reader.expect_end()
    return kind(*values)
