"""Special transactions: asset unlocks (DIP 27), and those of masternodes with Dash Core 24's types 10 to 12.

Called by the chain (what a block's special transactions change in the coinbase payload), the mempool and the RPC.
Nobody signs anything: every signature counts as valid.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from p2pool.base.errors import ParseError
from p2pool.dash.hashes import sha256d_int
from p2pool.dash.merkle import merkle_root
from p2pool.dash.transaction import ASSET_UNLOCK_TYPE, Transaction
from p2pool.simnet.payloads import SIGNATURE_SIZE
from p2pool.wire.codec import Reader
from p2pool.wire.fields import Uint8, Uint32, Uint64, Uint256, WireFields, fixed_bytes

SHARED_MASTERNODE_TYPES = (10, 11, 12)
"""What Dash Core 24 brings for masternodes with several owners of the collateral."""
PROVIDER_TYPES = (1, 2, 3, 4, *SHARED_MASTERNODE_TYPES)
"""Registrations of masternodes, their changes and their end: they change the masternode list."""
SPECIAL_TYPES = (*PROVIDER_TYPES, ASSET_UNLOCK_TYPE)
"""Special transactions that may wait for a block."""
STABLE_UNLOCK = 2
"""The payload version of asset unlocks whose hash leaves out what a quorum signs: from Dash Core 24 on."""


def special_types(is_v24: bool) -> tuple[int, ...]:
    """Return the types of special transactions that may be in a block besides quorum commitments."""
    return (
        SPECIAL_TYPES if is_v24 else tuple(kind for kind in SPECIAL_TYPES if kind not in SHARED_MASTERNODE_TYPES)
    )


@dataclass(frozen=True, slots=True)
class AssetUnlock(WireFields):
    """The payload of an asset unlock. `fee` in duffs; the last three fields are signed anew when it expires."""

    version: Uint8
    index: Uint64
    fee: Uint32
    requested_height: Uint32
    quorum_hash: Uint256
    signature: Annotated[bytes, fixed_bytes(SIGNATURE_SIZE)]


def parse_asset_unlock(data: bytes) -> AssetUnlock:
    """Return the payload that is all of `data`, of version 1 or 2. Raises ParseError."""
    reader = Reader(data)
    unlock = AssetUnlock.read(reader)
    if unlock.version not in (1, 2):
        raise ParseError(f"asset unlock of version {unlock.version}")
    reader.expect_end()
    return unlock


def is_special(transaction: Transaction, types: Iterable[int]) -> bool:
    """Return whether this is a special transaction of one of the types."""
    return transaction.has_payload and transaction.type in types


def is_asset_unlock(transaction: Transaction) -> bool:
    """Return whether this is an asset unlock."""
    return is_special(transaction, (ASSET_UNLOCK_TYPE,))


@dataclass(frozen=True, slots=True)
class SpecialEffects:
    """What the special transactions of a block change in its coinbase payload."""

    unlocked: int = 0
    """Duffs that leave the credit pool."""
    unlocks_root: int = 0
    """The merkle root over the hashes of all bytes of asset unlocks from version 2 on, 0 for none."""
    providers: tuple[int, ...] = ()
    """Hashes of transactions that change the masternode list."""


NO_EFFECTS = SpecialEffects()


def special_effects(transactions: Iterable[Transaction]) -> SpecialEffects:
    """Return what these transactions change; payloads that cannot be read change nothing."""
    unlocked = 0
    instances: list[int] = []
    providers: list[int] = []
    for transaction in transactions:
        if is_special(transaction, PROVIDER_TYPES):
            providers.append(transaction.hash)
        if not is_asset_unlock(transaction):
            continue
        if transaction.has_stable_hash:
            instances.append(sha256d_int(transaction.pack()))
        try:
            unlocked += parse_asset_unlock(transaction.extra_payload).fee
        except ParseError:
            continue
        unlocked += sum(output.value for output in transaction.outputs)
    return SpecialEffects(unlocked, merkle_root(instances), tuple(providers))
