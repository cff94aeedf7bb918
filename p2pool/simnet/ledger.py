"""Unspent outputs: what transactions may spend, with the undo data that a reorganisation needs.

Signatures and scripts are not checked: the coins of a simulation are anyone's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from p2pool.base.errors import ParseError
from p2pool.dash.hashes import hash160
from p2pool.dash.script import p2sh_script
from p2pool.dash.transaction import Transaction
from p2pool.simnet.errors import BlockInvalid
from p2pool.simnet.special import AssetUnlock, is_asset_unlock, parse_asset_unlock

OutPoint = tuple[int, int]
"""Transaction hash and output index."""

COINBASE_MATURITY = 100

FAUCET_REDEEM_SCRIPT = b"\x51"
FAUCET_SCRIPT = p2sh_script(hash160(FAUCET_REDEEM_SCRIPT))
"""Anyone can spend it by pushing the redeem script OP_TRUE; the simulation's own transactions do."""


@dataclass(frozen=True, slots=True)
class Coin:
    """An unspent output: duffs, script, and where it was made."""

    value: int
    script: bytes
    height: int
    coinbase: bool


@dataclass(frozen=True, slots=True)
class Undo:
    """What connecting a block did: for disconnecting it, and for showing fees (one an ordinary transaction)."""

    spent: tuple[tuple[OutPoint, Coin], ...]
    created: tuple[OutPoint, ...]
    fees: tuple[int, ...]
    unlocks: tuple[int, ...] = ()
    """Indexes of asset unlocks."""

    @property
    def total_fees(self) -> int:
        """Return the sum of all fees, in duffs."""
        return sum(self.fees)


def is_unspendable(script: bytes) -> bool:
    """Return whether an output is provably lost: it does not enter the ledger."""
    return script[:1] == b"\x6a"


def check_spendable(coin: Coin, height: int) -> None:
    """Raise BlockInvalid if a transaction in a block at `height` may not spend `coin` yet."""
    if coin.coinbase and coin.height > 0 and height - coin.height < COINBASE_MATURITY:
        raise BlockInvalid("bad-txns-premature-spend-of-coinbase")


class Ledger:
    """The unspent outputs at one tip. It grows with the chain: nobody spends the miners' outputs."""

    __slots__ = ("coins", "faucet", "unlocks")

    def __init__(self) -> None:
        self.coins: dict[OutPoint, Coin] = {}
        self.faucet: dict[OutPoint, Coin] = {}
        """Return the `coins` that pay to FAUCET_SCRIPT, oldest first."""
        self.unlocks: set[int] = set()
        """Indexes of the asset unlocks in the chain."""

    def connect(self, transactions: Sequence[Transaction], hashes: Sequence[int], height: int) -> Undo:
        """Apply a block's transactions, the coinbase first. BlockInvalid leaves the ledger as it was."""
        spent: list[tuple[OutPoint, Coin]] = []
        created: list[OutPoint] = []
        fees: list[int] = []
        unlocks: list[int] = []
        try:
            for index, (transaction, transaction_hash) in enumerate(zip(transactions, hashes, strict=True)):
                if index > 0:
                    fees.append(self._spend(transaction, height, spent=spent, unlocks=unlocks))
                self._create(transaction, transaction_hash, height=height, coinbase=index == 0, created=created)
        except BlockInvalid:
            self.disconnect(Undo(tuple(spent), tuple(created), (), tuple(unlocks)))
            raise
        return Undo(tuple(spent), tuple(created), tuple(fees), tuple(unlocks))

    def disconnect(self, undo: Undo) -> None:
        """Take back what `connect` did."""
        self.unlocks.difference_update(undo.unlocks)
        for outpoint in reversed(undo.created):
            self._remove(outpoint)
        for outpoint, coin in reversed(undo.spent):
            self._add(outpoint, coin)
        # An output made and spent within the block is in both lists; it must not survive.
        for outpoint in undo.created:
            self._remove(outpoint)

    def check_unlock(self, transaction: Transaction) -> AssetUnlock:
        """Return the payload of an asset unlock that may be in the next block. Raises BlockInvalid."""
        try:
            unlock = parse_asset_unlock(transaction.extra_payload)
        except ParseError:
            raise BlockInvalid("bad-assetunlocktx-payload") from None
        if unlock.index in self.unlocks:
            raise BlockInvalid("bad-assetunlock-duplicated-index")
        return unlock

    def _spend(
        self,
        transaction: Transaction,
        height: int,
        *,
        spent: list[tuple[OutPoint, Coin]],
        unlocks: list[int],
    ) -> int:
        """Remove the inputs; the fee."""
        if is_asset_unlock(transaction):
            unlock = self.check_unlock(transaction)
            self.unlocks.add(unlock.index)
            unlocks.append(unlock.index)
            return unlock.fee
        if not transaction.inputs:
            return 0  # a quorum commitment
        total = 0
        for item in transaction.inputs:
            outpoint = (item.previous_hash, item.previous_index)
            coin = self.coins.get(outpoint)
            if coin is None:
                raise BlockInvalid("bad-txns-inputs-missingorspent")
            check_spendable(coin, height)
            self._remove(outpoint)
            spent.append((outpoint, coin))
            total += coin.value
        fee = total - sum(output.value for output in transaction.outputs)
        if fee < 0:
            raise BlockInvalid("bad-txns-in-belowout")
        return fee

    def _create(
        self, transaction: Transaction, hash_: int, *, height: int, coinbase: bool, created: list[OutPoint]
    ) -> None:
        for index, output in enumerate(transaction.outputs):
            if is_unspendable(output.script):
                continue
            outpoint = (hash_, index)
            if outpoint in self.coins:
                raise BlockInvalid("bad-txns-BIP30")
            self._add(outpoint, Coin(output.value, output.script, height, coinbase))
            created.append(outpoint)

    def _add(self, outpoint: OutPoint, coin: Coin) -> None:
        self.coins[outpoint] = coin
        if coin.script == FAUCET_SCRIPT:
            self.faucet[outpoint] = coin

    def _remove(self, outpoint: OutPoint) -> None:
        self.coins.pop(outpoint, None)
        self.faucet.pop(outpoint, None)
