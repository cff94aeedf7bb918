"""One connection to a node of the Dash network, without sockets: bytes in, bytes and events out."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from p2pool.base.errors import ParseError
from p2pool.dash.block import BlockHeader
from p2pool.dash.messages import (
    INVENTORY_BLOCK,
    INVENTORY_COMPACT_BLOCK,
    MAX_PAYLOAD,
    NO_ADDRESS,
    NODE_NETWORK,
    PROTOCOL_VERSION,
    Addr,
    GetAddr,
    GetHeaders,
    Headers,
    Inv,
    Message,
    NetworkAddress,
    Ping,
    Pong,
    SendHeaders,
    TimedAddress,
    Verack,
    Version,
    parse_message,
)
from p2pool.wire.framer import Framer, frame

_BLOCKS = frozenset({INVENTORY_BLOCK, INVENTORY_COMPACT_BLOCK})
_READ = frozenset({"version", "verack", "ping", "inv", "headers", "addr"})
"""The commands that are parsed; all others (transactions, blocks that nobody requested) are skipped."""
MAX_PARSED = 256 * 1024
"""Bytes: longer messages are skipped as well. 2000 headers, the most that comes at once, have 162 000; parsing an
`inv` of the greatest size that the protocol allows would hold up everybody."""


class Heard(NamedTuple):
    """What received data amounts to: bytes to send, blocks that it announces by hash (the newest last) and by
    header, addresses of others."""

    output: bytes
    blocks: tuple[int, ...] = ()
    headers: tuple[BlockHeader, ...] = ()
    addresses: tuple[TimedAddress, ...] = ()


_NOTHING = Heard(b"")


class P2pSession:
    """One connection without its socket. Raises ParseError if the other side sends something malformed."""

    def __init__(self, magic: bytes, *, sub_version: bytes, nonce: int, now: float) -> None:
        self._framer = Framer(magic, MAX_PAYLOAD)
        self._magic = magic
        self.ready = False
        """Whether the handshake is done."""
        self.version: Version | None = None
        """The first message of the other side."""
        address = NetworkAddress(NODE_NETWORK, NO_ADDRESS.ip, NO_ADDRESS.port)
        self._version = Version(
            version=PROTOCOL_VERSION,
            services=0,
            time=int(now),
            receiver=address,
            sender=address,
            nonce=nonce,
            sub_version=sub_version,
            start_height=0,
            relay=False,
        )

    def hello(self) -> bytes:
        """Return the bytes that this side sends first."""
        return self._pack(self._version)

    def _pack(self, message: Message) -> bytes:
        return frame(self._magic, message.command, message.pack())

    def ask_headers(self, known: int) -> bytes:
        """Return a request for the headers that follow a block, and for later ones to be announced as such."""
        return self._pack(SendHeaders()) + self._pack(GetHeaders(PROTOCOL_VERSION, (known,), 0))

    def ask_addresses(self) -> bytes:
        """Return a request for addresses of other nodes."""
        return self._pack(GetAddr())

    def receive(self, data: bytes) -> Heard:
        """Handle all that was received, as one event."""
        self.add(data)
        every: list[Heard] = []
        while (heard := self.next_heard()) is not None:
            every.append(heard)
        return Heard(
            b"".join(heard.output for heard in every),
            tuple(block for heard in every for block in heard.blocks),
            tuple(header for heard in every for header in heard.headers),
            tuple(address for heard in every for address in heard.addresses),
        )

    def add(self, data: bytes) -> None:
        """Take received bytes. `next_heard` handles the messages that they complete."""
        self._framer.add(data)

    def next_heard(self) -> Heard | None:
        """Handle the next complete message. Return None if there is none. Raises ParseError."""
        framed = self._framer.next_message()
        if framed is None:
            return None
        command, payload = framed
        if command not in _READ or len(payload) > MAX_PARSED:
            return _NOTHING
        match parse_message(command, payload):
            case Version() as version:
                if self.version is not None:
                    raise ParseError("it sent a second version message")
                self.version = version
                return Heard(self._pack(Verack()))
            case Verack():
                if self.version is None:
                    raise ParseError("it sent verack before version")
                self.ready = True
            case Ping(nonce):
                return Heard(self._pack(Pong(nonce)))
            case Inv(items):
                return Heard(b"", blocks=tuple(item.hash for item in items if item.kind in _BLOCKS))
            case Headers(some):
                return Heard(b"", headers=some)
            case Addr(entries):
                return Heard(b"", addresses=entries)
        return _NOTHING


@lru_cache(maxsize=1)
def pack_block(magic: bytes, data: bytes) -> bytes:
    """Return the message that carries a block. It is the same for every connection, and its checksum takes a
    while."""
    return frame(magic, "block", data)
