"""Block headers and blocks of Dash."""

from __future__ import annotations

from dataclasses import dataclass

from p2pool.dash.pow import HEADER_SIZE, x11
from p2pool.dash.transaction import MIN_TRANSACTION, Transaction, read_transaction
from p2pool.wire.codec import Reader, pack_uint32, pack_uint256, pack_varint


@dataclass(frozen=True, slots=True)
class BlockHeader:
    """The 80 bytes that are hashed. `previous_block` is 0 for a genesis; `bits` is the compact target."""

    version: int
    previous_block: int
    merkle_root: int
    timestamp: int
    bits: int
    nonce: int

    def pack(self) -> bytes:
        """Return the 80 bytes that are hashed."""
        return b"".join(
            (
                pack_uint32(self.version),
                pack_uint256(self.previous_block),
                pack_uint256(self.merkle_root),
                pack_uint32(self.timestamp),
                pack_uint32(self.bits),
                pack_uint32(self.nonce),
            )
        )

    def hash(self) -> int:
        """Return the block hash and at the same time the proof of work: one X11 a call, so keep the result."""
        return x11(self.pack())


def read_header(reader: Reader) -> BlockHeader:
    """Return the header at the reader's position. Raises ParseError."""
    return BlockHeader(
        reader.uint32(), reader.uint256(), reader.uint256(), reader.uint32(), reader.uint32(), reader.uint32()
    )


@dataclass(frozen=True, slots=True)
class Block:
    """A header and its transactions, the coinbase first."""

    header: BlockHeader
    transactions: tuple[Transaction, ...]


def read_block(reader: Reader) -> Block:
    """Return the block at the reader's position. Raises ParseError."""
    header = read_header(reader)
    count = reader.count(MIN_TRANSACTION)
    return Block(header, tuple(read_transaction(reader) for _ in range(count)))


def parse_block(data: bytes) -> Block:
    """Return the block that is all of `data`. Raises ParseError."""
    reader = Reader(data)
    block = read_block(reader)
    reader.expect_end()
    return block


def assemble_block(header: bytes, coinbase: bytes, other_transactions: tuple[bytes, ...]) -> bytes:
    """Return a block from bytes that are ready: what is sent to dashd when a share solves it."""
    if len(header) != HEADER_SIZE:
        raise ValueError(f"a header has {HEADER_SIZE} bytes, not {len(header)}")
    return b"".join((header, pack_varint(1 + len(other_transactions)), coinbase, *other_transactions))
