"""What the next share is made of: share_info before the work is done, the whole share once it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


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


@dataclass(frozen=True, slots=True)
class SolvedHeader:
    """The fields of a header whose work is done."""

    version: int
    previous_block: int
    timestamp: int
    bits: int
    nonce: int


class SharePacker(Protocol):
    """Packs the shares of many payees that follow one share on one template. Made by `ShareCodec.packer`."""

    def share_info(self, payee: PayeeFields, bits: int, timestamp: int) -> bytes:
        """Return the bytes that are fixed before the work is done, from previous_share_hash on.

        `bits` and `timestamp` come from `ParentContext.bits_for`/`timestamp_for`.
        """

    def ref_bytes(self, share_info: bytes) -> bytes:
        """Return what ref_hash commits to, without the network's identifier."""

    def contents(
        self,
        header: SolvedHeader,
        *,
        share_info: bytes,
        gentx_prefix: bytes,
        last_txout_nonce: bytes,
        merkle_link: tuple[bytes, ...],
    ) -> bytes:
        """Return the contents of the share's envelope once the work is done. `gentx_prefix` is the generation
        transaction up to ref_hash, `last_txout_nonce` 8 bytes."""
