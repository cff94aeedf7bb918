"""Make the next share: share_info before the work is done, the whole share once it is."""

from __future__ import annotations

from dataclasses import dataclass

from p2pool.dash.hashes import BLOCK_SIZE, midstate
from p2pool.share.rules import ParentContext, TransactionRefs
from p2pool.share.share import GENTX_BEFORE_REF_HASH
from p2pool.wire.codec import (
    pack_uint16,
    pack_uint32,
    pack_uint64,
    pack_uint256_list,
    pack_varint,
    pack_varstr,
)


@dataclass(frozen=True, slots=True)
class ShareData:
    """What the maker of a share chooses freely, but for the payee's part. Amounts in duffs."""

    previous_hash: int | None
    coinbase: bytes
    coinbase_payload: bytes
    subsidy: int
    payment_amount: int
    payments: tuple[tuple[str, int], ...]
    desired_version: int


@dataclass(frozen=True, slots=True)
class PayeeFields:
    """The part of share_data that differs from job to job. `key_hash` is 20 bytes, `donation` 65535 for 100 %."""

    key_hash: bytes
    donation: int
    stale_info: int
    nonce: int


class ShareInfoPacker:
    """Packs share_info for many payees on one tip: what they have in common is packed once."""

    __slots__ = ("_before_nonce", "_data", "_parent", "_payments", "_refs", "_subsidy")

    def __init__(self, data: ShareData, parent: ParentContext, refs: TransactionRefs) -> None:
        self._parent = parent
        self._before_nonce = b"".join(
            (
                (data.previous_hash or 0).to_bytes(32, "little"),
                pack_varstr(data.coinbase),
                pack_varstr(data.coinbase_payload),
            )
        )
        self._subsidy = pack_uint64(data.subsidy)
        payments = [pack_varstr(payee.encode("latin-1")) + pack_uint64(amount) for payee, amount in data.payments]
        self._payments = b"".join(
            (
                pack_varint(data.desired_version),
                pack_uint64(data.payment_amount),
                pack_varint(len(payments)),
                *payments,
            )
        )
        self._refs = b"".join(
            (
                pack_uint256_list(refs.new_hashes),
                pack_varint(len(refs.refs)),
                *[pack_varint(distance) + pack_varint(index) for distance, index in refs.refs],
                (parent.far_share_hash or 0).to_bytes(32, "little"),
                pack_uint32(parent.max_bits),
            )
        )

    def pack(self, payee: PayeeFields, bits: int, timestamp: int) -> bytes:
        """The bytes of share_info; `bits` and `timestamp` come from `ParentContext.bits_for`/`timestamp_for`."""
        parent = self._parent
        return b"".join(
            (
                self._before_nonce,
                pack_uint32(payee.nonce),
                payee.key_hash,
                self._subsidy,
                pack_uint16(payee.donation),
                payee.stale_info.to_bytes(1, "little"),
                self._payments,
                self._refs,
                pack_uint32(bits),
                pack_uint32(timestamp),
                pack_uint32(parent.absheight),
                parent.abswork_for(bits).to_bytes(16, "little"),
            )
        )


@dataclass(frozen=True, slots=True)
class SolvedHeader:
    """The fields of a header whose work is done."""

    version: int
    previous_block: int
    timestamp: int
    bits: int
    nonce: int


def assemble_contents(
    header: SolvedHeader,
    share_info: bytes,
    gentx_prefix: bytes,
    last_txout_nonce: bytes,
    merkle_link: tuple[bytes, ...],
    coinbase_payload: bytes,
) -> bytes:
    """The contents of a share envelope. `gentx_prefix` is the generation transaction up to ref_hash,
    `last_txout_nonce` 8 bytes, `coinbase_payload` the payload itself (it travels length-prefixed twice)."""
    unfinished = len(gentx_prefix) % BLOCK_SIZE
    tail = gentx_prefix[len(gentx_prefix) - unfinished :]
    extra_data = tail[: max(0, unfinished - len(GENTX_BEFORE_REF_HASH))]
    return b"".join(
        (
            pack_varint(header.version),
            header.previous_block.to_bytes(32, "little"),
            pack_uint32(header.timestamp),
            pack_uint32(header.bits),
            pack_uint32(header.nonce),
            share_info,
            b"\x00",  # ref_merkle_link: no branch
            last_txout_nonce,
            midstate(gentx_prefix),
            pack_varstr(extra_data),
            pack_varint(len(gentx_prefix)),
            pack_varint(len(merkle_link)),
            *merkle_link,
            pack_varstr(pack_varstr(coinbase_payload) if coinbase_payload else b""),
        )
    )
