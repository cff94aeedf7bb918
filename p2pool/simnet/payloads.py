"""Extra payloads of special transactions: the coinbase's (DIP 4) and the quorum commitment's (DIP 6).

Called by `economy` (to make them), `validation` (to compare them) and the RPC renderers (to show them).
"""

from __future__ import annotations

from dataclasses import dataclass

from p2pool.base.errors import ParseError
from p2pool.wire.codec import Reader, pack_uint16, pack_uint32, pack_uint64, pack_uint256, pack_varint

SIGNATURE_SIZE = 96
PUBLIC_KEY_SIZE = 48
# A quorum has at most 400 members; the bit sets of commitments are as long as the quorum.
_MAX_QUORUM_SIZE = 400


@dataclass(frozen=True, slots=True)
class CoinbasePayload:
    """The coinbase's payload. Fields of later versions are at their zero if the version lacks them."""

    version: int
    height: int
    masternode_list_root: int
    quorums_root: int = 0
    best_chainlock_height_difference: int = 0
    best_chainlock_signature: bytes = bytes(SIGNATURE_SIZE)
    credit_pool_balance: int = 0
    """Duffs."""
    asset_unlocks_root: int = 0

    def pack(self) -> bytes:
        """Return the bytes that a coinbase carries."""
        parts = [pack_uint16(self.version), pack_uint32(self.height), pack_uint256(self.masternode_list_root)]
        if self.version >= 2:
            parts.append(pack_uint256(self.quorums_root))
        if self.version >= 3:
            parts += [
                pack_varint(self.best_chainlock_height_difference),
                self.best_chainlock_signature,
                pack_uint64(self.credit_pool_balance),
            ]
        if self.version >= 4:
            parts.append(pack_uint256(self.asset_unlocks_root))
        return b"".join(parts)


def parse_coinbase_payload(data: bytes) -> CoinbasePayload:
    """Return the payload that is all of `data`, versions 1 to 4. Raises ParseError."""
    reader = Reader(data)
    version = reader.uint16()
    if not 1 <= version <= 4:
        raise ParseError(f"coinbase payload of version {version}")
    payload = CoinbasePayload(
        version,
        reader.uint32(),
        reader.uint256(),
        reader.uint256() if version >= 2 else 0,
        reader.varint() if version >= 3 else 0,
        reader.take(SIGNATURE_SIZE) if version >= 3 else bytes(SIGNATURE_SIZE),
        reader.uint64() if version >= 3 else 0,
        reader.uint256() if version >= 4 else 0,
    )
    reader.expect_end()
    return payload


@dataclass(frozen=True, slots=True)
class BitSet:
    """`size` bits, the first in the lowest bit of the first byte."""

    size: int
    data: bytes

    def pack(self) -> bytes:
        """Return the size as varint, then the bytes."""
        return pack_varint(self.size) + self.data

    def count(self) -> int:
        """Return how many are set."""
        return int.from_bytes(self.data, "little").bit_count()


def _read_bit_set(reader: Reader) -> BitSet:
    size = reader.varint()
    if size > _MAX_QUORUM_SIZE:
        raise ParseError(f"a quorum of {size} members")
    return BitSet(size, reader.take((size + 7) // 8))


@dataclass(frozen=True, slots=True)
class QuorumCommitment:
    """A final commitment. `quorum_index` is None in the versions (1 and 3) that do not carry it."""

    height: int
    version: int
    quorum_type: int
    quorum_hash: int
    quorum_index: int | None
    signers: BitSet
    valid_members: BitSet
    public_key: bytes = bytes(PUBLIC_KEY_SIZE)
    verification_vector_hash: int = 0
    quorum_signature: bytes = bytes(SIGNATURE_SIZE)
    members_signature: bytes = bytes(SIGNATURE_SIZE)
    payload_version: int = 1

    def pack(self) -> bytes:
        """Return the bytes that a type-6 transaction carries."""
        parts = [
            pack_uint16(self.payload_version),
            pack_uint32(self.height),
            pack_uint16(self.version),
            bytes([self.quorum_type]),
            pack_uint256(self.quorum_hash),
        ]
        if self.quorum_index is not None:
            parts.append(pack_uint16(self.quorum_index))
        parts += [
            self.signers.pack(),
            self.valid_members.pack(),
            self.public_key,
            pack_uint256(self.verification_vector_hash),
            self.quorum_signature,
            self.members_signature,
        ]
        return b"".join(parts)


def parse_quorum_commitment(data: bytes) -> QuorumCommitment:
    """Return the payload that is all of `data`. Raises ParseError."""
    reader = Reader(data)
    payload_version, height, version = reader.uint16(), reader.uint32(), reader.uint16()
    quorum_type, quorum_hash = reader.uint8(), reader.uint256()
    commitment = QuorumCommitment(
        height,
        version,
        quorum_type,
        quorum_hash,
        reader.uint16() if version in (2, 4) else None,
        _read_bit_set(reader),
        _read_bit_set(reader),
        reader.take(PUBLIC_KEY_SIZE),
        reader.uint256(),
        reader.take(SIGNATURE_SIZE),
        reader.take(SIGNATURE_SIZE),
        payload_version,
    )
    reader.expect_end()
    return commitment
