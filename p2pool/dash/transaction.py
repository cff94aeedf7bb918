"""Dash transactions (DIP 2: a version and a type share Bitcoin's version field)."""

from __future__ import annotations

from dataclasses import dataclass

from p2pool.base.errors import ParseError
from p2pool.dash.hashes import sha256d, sha256d_int
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
ASSET_UNLOCK_TYPE = 9
"""The type of a withdrawal from the credit pool (DIP 27)."""
LAST_KNOWN_TYPE = 12
"""The last transaction type whose hashing is known: types 10 to 12 (shared masternodes) come with Dash Core 24."""

# The payload of an asset unlock: version (1 byte), index (8), fee (4), then what the quorum signs anew when the
# withdrawal expires: height (4), quorum hash (32), signature (96). From payload version 2 on (Dash Core 24) the
# transaction's hash is made with these 132 bytes zeroed, so that all signed instances of a withdrawal share it.
_UNLOCK_PAYLOAD_SIZE = 145
_UNLOCK_SIGNING_SIZE = 132
_STABLE_HASH_VERSION = 2
_ASSET_UNLOCK_BYTES = ASSET_UNLOCK_TYPE.to_bytes(2, "little")

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
        """Return whether the form of this transaction carries an extra payload."""
        return self.version >= 3 and self.type != 0

    def pack(self) -> bytes:
        """Return the bytes on the wire. Their double SHA-256 is the hash of every type but some asset unlocks."""
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
    def has_stable_hash(self) -> bool:
        """Return whether the hash leaves out what a quorum signs: an asset unlock with a payload of version 2 or
        more."""
        return (
            self.type == ASSET_UNLOCK_TYPE
            and self.has_payload
            and len(self.extra_payload) == _UNLOCK_PAYLOAD_SIZE
            and self.extra_payload[0] >= _STABLE_HASH_VERSION
        )

    @property
    def hash(self) -> int:
        """Return the hash that names the transaction in inputs and merkle trees (computed anew at each call)."""
        data = self.pack()
        return sha256d_int(_without_signing(data) if self.has_stable_hash else data)

    @property
    def instance_hash(self) -> int:
        """Return the double SHA-256 of all bytes. It differs from `hash` where that leaves bytes out."""
        return sha256d_int(self.pack())

    @property
    def is_coinbase(self) -> bool:
        """Return whether this is a coinbase: one input that spends nothing."""
        return (
            len(self.inputs) == 1
            and self.inputs[0].previous_hash == 0
            and self.inputs[0].previous_index == NO_INDEX
        )


def read_transaction(reader: Reader) -> Transaction:
    """Return the transaction at the reader's position. Raises ParseError."""
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
    if _pass_body(reader):
        reader.varstr()


def _pass_body(reader: Reader) -> bool:
    """Move the reader behind all but the extra payload; whether there is one."""
    version, kind = reader.uint16(), reader.uint16()
    _pass_scripts(reader, reader.count(_MIN_INPUT), before=36, after=4)
    _pass_scripts(reader, reader.count(_MIN_OUTPUT), before=8, after=0)
    reader.take(4)
    return version >= 3 and kind != 0


def _pass_scripts(reader: Reader, count: int, *, before: int, after: int) -> None:
    """Move the reader past `count` scripts, each with fixed numbers of bytes before and after it."""
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
    """Return the transaction that is all of `data`. Raises ParseError."""
    reader = Reader(data)
    transaction = read_transaction(reader)
    reader.expect_end()
    return transaction


def _without_signing(data: bytes) -> bytes:
    """Return the bytes that the hash of an asset unlock with a stable hash is made of: its payload is the end of
    it."""
    return data[:-_UNLOCK_SIGNING_SIZE] + bytes(_UNLOCK_SIGNING_SIZE)


def has_stable_hash(data: bytes) -> bool:
    """Return whether a packed transaction has `Transaction.has_stable_hash`. Cheap for all other transactions: the
    payload is the end of the bytes."""
    end = data[-1 - _UNLOCK_PAYLOAD_SIZE : 1 - _UNLOCK_PAYLOAD_SIZE]
    if data[2:4] != _ASSET_UNLOCK_BYTES or len(end) < 2 or end[0] != _UNLOCK_PAYLOAD_SIZE:
        return False
    if end[1] < _STABLE_HASH_VERSION:
        return False
    reader = Reader(data)
    try:
        has_payload = _pass_body(reader)
        payload = reader.varstr() if has_payload else b""
        reader.expect_end()
    except ParseError:
        return False
    return len(payload) == _UNLOCK_PAYLOAD_SIZE


def transaction_hash(data: bytes) -> bytes:
    """Return the hash of a packed transaction, in hashing order, as Dash Core computes it for its type. Bytes that
    are not a transaction are hashed whole."""
    return sha256d(_without_signing(data) if has_stable_hash(data) else data)


def special_type(data: bytes) -> int:
    """Return the type of a packed special transaction (version 3 or newer); 0 for an ordinary one and for bytes
    that are too short."""
    return int.from_bytes(data[2:4], "little") if int.from_bytes(data[:2], "little", signed=True) >= 3 else 0


def transaction_type(data: bytes) -> int:
    """Return the type of a packed transaction without reading the rest. Raises ParseError."""
    if len(data) < 4:
        raise ParseError("a transaction of fewer than 4 bytes")
    return int.from_bytes(data[2:4], "little")
