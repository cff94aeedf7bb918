"""The messages between nodes of the share chain: payload bytes <-> frozen values. Pure, both directions.

Hashes are numbers, ports big-endian inside addresses and little-endian in `addrme`. Bytes after the last field
make a message malformed. Source: the specification's page on peers.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import ClassVar

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
        """26 bytes."""
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
        """varint type, varstr contents."""
        return pack_varint(self.kind) + pack_varstr(self.contents)


@dataclass(frozen=True, slots=True)
class RawTransaction:
    """A transaction's bytes and its hash. `other_hash` is the double SHA-256 of all bytes where the hash is
    another number (see `dash.transaction`): legacy p2pool-dash calls the transaction by that."""

    hash: int
    data: bytes
    other_hash: int | None = None


def _pack_list(items: Iterable[bytes]) -> bytes:
    packed = list(items)
    return pack_varint(len(packed)) + b"".join(packed)


@dataclass(frozen=True, slots=True)
class Version:
    """The first message of each side."""

    command: ClassVar[str] = "version"
    version: int
    services: int
    receiver: PeerAddress
    sender: PeerAddress
    nonce: int
    sub_version: bytes
    mode: int
    best_share_hash: int | None

    def pack(self) -> bytes:
        """The payload."""
        return b"".join(
            (
                pack_uint32(self.version),
                pack_uint64(self.services),
                self.receiver.pack(),
                self.sender.pack(),
                pack_uint64(self.nonce),
                pack_varstr(self.sub_version),
                pack_uint32(self.mode),
                pack_uint256(self.best_share_hash or 0),
            )
        )


@dataclass(frozen=True, slots=True)
class Ping:
    """A sign of life; nothing answers it."""

    command: ClassVar[str] = "ping"

    def pack(self) -> bytes:
        """Nothing."""
        return b""


@dataclass(frozen=True, slots=True)
class AddrMe:
    """ "I listen on this port", at the address that this connection comes from."""

    command: ClassVar[str] = "addrme"
    port: int

    def pack(self) -> bytes:
        """The payload."""
        return pack_uint16(self.port)


@dataclass(frozen=True, slots=True)
class Addrs:
    """Addresses of nodes."""

    command: ClassVar[str] = "addrs"
    addresses: tuple[SeenAddress, ...]

    def pack(self) -> bytes:
        """The payload."""
        return _pack_list(pack_uint64(seen.timestamp) + seen.address.pack() for seen in self.addresses)


@dataclass(frozen=True, slots=True)
class GetAddrs:
    """Asks for that many addresses."""

    command: ClassVar[str] = "getaddrs"
    count: int

    def pack(self) -> bytes:
        """The payload."""
        return pack_uint32(self.count)


@dataclass(frozen=True, slots=True)
class Shares:
    """New shares."""

    command: ClassVar[str] = "shares"
    shares: tuple[Envelope, ...]

    def pack(self) -> bytes:
        """The payload."""
        return _pack_list(share.pack() for share in self.shares)


@dataclass(frozen=True, slots=True)
class ShareReq:
    """Asks for shares by hash, each with up to `parents` ancestors, ending before a stop."""

    command: ClassVar[str] = "sharereq"
    id: int
    hashes: tuple[int, ...]
    parents: int
    stops: tuple[int, ...]

    def pack(self) -> bytes:
        """The payload."""
        return b"".join(
            (
                pack_uint256(self.id),
                pack_uint256_list(self.hashes),
                pack_varint(self.parents),
                pack_uint256_list(self.stops),
            )
        )


@dataclass(frozen=True, slots=True)
class ShareReply:
    """The answer to the `sharereq` of the same id."""

    command: ClassVar[str] = "sharereply"
    id: int
    result: int
    shares: tuple[Envelope, ...]

    def pack(self) -> bytes:
        """The payload."""
        shares = _pack_list(share.pack() for share in self.shares)
        return pack_uint256(self.id) + pack_varint(self.result) + shares


@dataclass(frozen=True, slots=True)
class BestBlock:
    """The parent chain's best block header."""

    command: ClassVar[str] = "bestblock"
    header: BlockHeader

    def pack(self) -> bytes:
        """80 bytes."""
        return self.header.pack()


@dataclass(frozen=True, slots=True)
class HaveTx:
    """Transactions that the sender knows."""

    command: ClassVar[str] = "have_tx"
    tx_hashes: tuple[int, ...]

    def pack(self) -> bytes:
        """The payload."""
        return pack_uint256_list(self.tx_hashes)


@dataclass(frozen=True, slots=True)
class LosingTx:
    """Transactions that the sender knows no longer."""

    command: ClassVar[str] = "losing_tx"
    tx_hashes: tuple[int, ...]

    def pack(self) -> bytes:
        """The payload."""
        return pack_uint256_list(self.tx_hashes)


@dataclass(frozen=True, slots=True)
class RememberTx:
    """Transactions to keep for shares to come: by hash what the receiver said it has, the others in full."""

    command: ClassVar[str] = "remember_tx"
    tx_hashes: tuple[int, ...]
    transactions: tuple[RawTransaction, ...]

    def pack(self) -> bytes:
        """The payload."""
        return pack_uint256_list(self.tx_hashes) + _pack_list(t.data for t in self.transactions)


@dataclass(frozen=True, slots=True)
class ForgetTx:
    """Transactions to keep no longer."""

    command: ClassVar[str] = "forget_tx"
    tx_hashes: tuple[int, ...]

    def pack(self) -> bytes:
        """The payload."""
        return pack_uint256_list(self.tx_hashes)


Message = (
    Version
    | Ping
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


def _read_address(reader: Reader) -> PeerAddress:
    services, host, port = reader.address()
    return PeerAddress(host, port, services)


def _read_version(reader: Reader) -> Version:
    version, services = reader.uint32(), reader.uint64()
    receiver, sender = _read_address(reader), _read_address(reader)
    nonce, sub_version = reader.uint64(), reader.varstr()
    if len(sub_version) > MAX_SUB_VERSION:
        raise ParseError(f"a sub-version of {len(sub_version)} bytes; at most {MAX_SUB_VERSION} are allowed")
    return Version(
        version, services, receiver, sender, nonce, sub_version, reader.uint32(), reader.uint256() or None
    )


def _read_addrs(reader: Reader) -> Addrs:
    count = reader.count(_SEEN_SIZE)
    read = min(count, MAX_ADDRS)
    addresses = tuple(SeenAddress(reader.uint64(), _read_address(reader)) for _ in range(read))
    reader.position += (count - read) * _SEEN_SIZE
    return Addrs(addresses)


def _read_have_tx(reader: Reader) -> HaveTx:
    """Of a long list the end, as nobody remembers more of a peer."""
    count = reader.count(_HASH_SIZE)
    reader.position += max(0, count - MAX_HAVE_TX) * _HASH_SIZE
    return HaveTx(tuple(reader.uint256() for _ in range(min(count, MAX_HAVE_TX))))


def _envelopes_steps(reader: Reader) -> Generator[None, None, tuple[Envelope, ...]]:
    """Up to MAX_SHARES, of any type and with any contents; of a longer list nothing more is looked at."""
    count, envelopes = reader.count(_MIN_ENVELOPE), []
    for number in range(1, min(count, MAX_SHARES) + 1):
        envelopes.append(Envelope(*open_envelope(reader)))
        if number % _ENVELOPES_AT_ONCE == 0:
            yield
    if count > MAX_SHARES:
        reader.position = reader.end
    return tuple(envelopes)


def _shares_steps(reader: Reader) -> Generator[None, None, Shares]:
    return Shares((yield from _envelopes_steps(reader)))


def _read_hashes(reader: Reader) -> tuple[int, ...]:
    return tuple(reader.uint256_list())


def _share_reply_steps(reader: Reader) -> Generator[None, None, ShareReply]:
    request_id, result = reader.uint256(), reader.varint()
    if result > _LAST_RESULT:
        raise ParseError(f"a sharereply with result {result}")
    return ShareReply(request_id, result, (yield from _envelopes_steps(reader)))


def _remember_tx_steps(reader: Reader) -> Generator[None, None, RememberTx]:
    tx_hashes = _read_hashes(reader)
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
    return RememberTx(tx_hashes, tuple(transactions))


_READERS: dict[str, Callable[[Reader], Message]] = {
    "version": _read_version,
    "ping": lambda reader: Ping(),
    "addrme": lambda reader: AddrMe(reader.uint16()),
    "addrs": _read_addrs,
    "getaddrs": lambda reader: GetAddrs(reader.uint32()),
    "sharereq": lambda reader: ShareReq(
        reader.uint256(), _read_hashes(reader), reader.varint(), _read_hashes(reader)
    ),
    "bestblock": lambda reader: BestBlock(read_header(reader)),
    "have_tx": _read_have_tx,
    "losing_tx": lambda reader: LosingTx(_read_hashes(reader)),
    "forget_tx": lambda reader: ForgetTx(_read_hashes(reader)),
}
_LONG: dict[str, Callable[[Reader], Generator[None, None, Message]]] = {
    "remember_tx": _remember_tx_steps,
    "shares": _shares_steps,
    "sharereply": _share_reply_steps,
}
"""Messages that take longer than a step."""


def parse_message(command: str, payload: bytes) -> Message | None:
    """The message of a frame's command and payload; None for a command that is not known here (it is ignored).

    Raises ParseError for anything that is not exactly the message. Of lists that nobody makes full use of, a part
    is read: see MAX_ADDRS, MAX_HAVE_TX and MAX_SHARES.
    """
    return finish(message_steps(command, payload))


def message_steps(command: str, payload: bytes) -> Generator[None, None, Message | None]:
    """Return what `parse_message` does; every yield ends a step of a few milliseconds."""
    reader = Reader(payload)
    steps, read = _LONG.get(command), _READERS.get(command)
    if steps is not None:
        message = yield from steps(reader)
    elif read is not None:
        message = read(reader)
    else:
        return None
    reader.expect_end()
    return message
