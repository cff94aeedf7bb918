"""Dash transactions (DIP 2: a version and a type share Bitcoin's version field)."""

from __future__ import annotations

from dataclasses import dataclass

from p2pool.base.errors import ParseError
from p2pool.dash.hashes import sha256d_int
from p2pool.wire.codec import (
    Reader,
    pack_uint16,
    pack_uint32,
    pack_uint64,
    pack_uint256,
    pack_varint,
    pack_varstr,
)

NO_INDEX = 0xFFFFFFFF
NO_SEQUENCE = 0xFFFFFFFF
COINBASE_TYPE = 5
"""The type of a coinbase with a payload (DIP 4)."""
QUORUM_COMMITMENT_TYPE = 6
"""The type of a quorum commitment (DIP 6): no inputs, part of the block only."""

# The least bytes that an input, an output and a transaction can take: bounds for counts read from outside.
_MIN_INPUT, _MIN_OUTPUT = 41, 9
MIN_TRANSACTION = 10


@dataclass(frozen=True, slots=True)
class TxInput:
    """An input. `previous_hash`/`previous_index` are 0/0xffffffff for a coinbase."""

    previous_hash: int
    previous_index: int
    script: bytes
    sequence: int = NO_SEQUENCE


@dataclass(frozen=True, slots=True)
class TxOutput:
    """An output: `value` in duffs."""

    value: int
    script: bytes


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction. `extra_payload` is empty unless version >= 3 and type != 0."""

    version: int
    type: int
    inputs: tuple[TxInput, ...]
    outputs: tuple[TxOutput, ...]
    lock_time: int
    extra_payload: bytes = b""

    @property
    def has_payload(self) -> bool:
        """Whether the form of this transaction carries an extra payload."""
        return self.version >= 3 and self.type != 0

    def pack(self) -> bytes:
        """The bytes on the wire; their double SHA-256 is the transaction's hash."""
        parts = [pack_uint16(self.version), pack_uint16(self.type), pack_varint(len(self.inputs))]
        for item in self.inputs:
            parts += [
                pack_uint256(item.previous_hash),
                pack_uint32(item.previous_index),
                pack_varstr(item.script),
                pack_uint32(item.sequence),
            ]
        parts.append(pack_varint(len(self.outputs)))
        for output in self.outputs:
            parts += [pack_uint64(output.value), pack_varstr(output.script)]
        parts.append(pack_uint32(self.lock_time))
        if self.has_payload:
            parts.append(pack_varstr(self.extra_payload))
        return b"".join(parts)

    @property
    def hash(self) -> int:
        """The transaction's hash (computed anew at each call)."""
        return sha256d_int(self.pack())

    @property
    def is_coinbase(self) -> bool:
        """One input that spends nothing."""
        return (
            len(self.inputs) == 1
            and self.inputs[0].previous_hash == 0
            and self.inputs[0].previous_index == NO_INDEX
        )


def read_transaction(reader: Reader) -> Transaction:
    """The transaction at the reader's position. Raises ParseError."""
    version, kind = reader.uint16(), reader.uint16()
    inputs = tuple(
        TxInput(reader.uint256(), reader.uint32(), reader.varstr(), reader.uint32())
        for _ in range(reader.count(_MIN_INPUT))
    )
    outputs = tuple(TxOutput(reader.uint64(), reader.varstr()) for _ in range(reader.count(_MIN_OUTPUT)))
    lock_time = reader.uint32()
    payload = reader.varstr() if version >= 3 and kind != 0 else b""
    return Transaction(version, kind, inputs, outputs, lock_time, payload)


def pass_transaction(reader: Reader) -> None:
    """Move the reader behind a transaction, as `read_transaction` does, without making anything of its parts: a
    transaction of megabytes may have hundreds of thousands. Raises ParseError."""
    version, kind = reader.uint16(), reader.uint16()
    _pass_scripts(reader, reader.count(_MIN_INPUT), 36, 4)
    _pass_scripts(reader, reader.count(_MIN_OUTPUT), 8, 0)
    reader.take(4)
    if version >= 3 and kind != 0:
        reader.varstr()


def _pass_scripts(reader: Reader, count: int, before: int, after: int) -> None:
    """So many scripts, each with so many bytes before and after it."""
    data, end, position = reader.data, reader.end, reader.position
    for _ in range(count):
        position += before
        length = data[position] if position < end else 0
        if length < 0xFD:
            position += 1 + length + after
        else:
            reader.position = position
            length = reader.varint()
            position = reader.position + length + after
    if position > end:
        raise ParseError(f"a transaction ends {position - end} bytes after the data")
    reader.position = position


def parse_transaction(data: bytes) -> Transaction:
    """The transaction that is all of `data`. Raises ParseError."""
    reader = Reader(data)
    transaction = read_transaction(reader)
    reader.expect_end()
    return transaction


def transaction_type(data: bytes) -> int:
    """The type of a packed transaction without reading the rest. Raises ParseError."""
    if len(data) < 4:
        raise ParseError("a transaction of fewer than 4 bytes")
    return int.from_bytes(data[2:4], "little")
