"""Small transactions between the simulation's own coins, so that templates have fees and dependencies.

Every coin of the faucet script is anyone's. Transactions split coins while there are few and join them when there
are many, so that the ledger does not grow with their number.
"""

from __future__ import annotations

import random

from p2pool.dash.script import p2pkh_script
from p2pool.dash.transaction import ASSET_UNLOCK_TYPE, Transaction, TxInput, TxOutput
from p2pool.simnet.chain import SimulatedChain
from p2pool.simnet.errors import TransactionRefused
from p2pool.simnet.ledger import FAUCET_REDEEM_SCRIPT, FAUCET_SCRIPT, Coin, OutPoint
from p2pool.simnet.mempool import MAX_ANCESTORS, MempoolEntry
from p2pool.simnet.payloads import SIGNATURE_SIZE
from p2pool.simnet.special import STABLE_UNLOCK, AssetUnlock, is_asset_unlock

_SPEND_FAUCET = bytes([len(FAUCET_REDEEM_SCRIPT)]) + FAUCET_REDEEM_SCRIPT
_FEES = range(226, 50_000)
_MANY_COINS = 256
_DEPENDENT_SHARE = 0.3
"""How often a transaction spends what still waits, if it has the choice."""
_PAYMENT_SHARE = 0.1
"""How often a transaction pays a small amount to a key, which stays in the ledger for good."""
_PAYMENTS = range(10_000, 1_000_000)
_SMALLEST_COIN = 2_000_000
_WITHDRAWAL = 10_000_000
"""Duffs that an asset unlock pays out."""
_SPECIAL_FEE = 5000
_SPECIAL_PAYLOAD = 150
"""Bytes. What they say does not matter to a simulation."""
_WITHDRAWAL_EVERY = 4
"""In a simulation with withdrawals, so many transactions to one of these."""


class TransactionMaker:
    """Makes transactions, the same ones for the same seed and the same course of the chain."""

    def __init__(self, chain: SimulatedChain) -> None:
        self._chain = chain
        self._random = random.Random(f"transactions/{chain.rules.seed}")
        self._turn = 0
        self._withdrawal = 0

    def make_next(self, withdrawals: bool) -> None:
        """Make what a network makes by itself: a transaction or, `withdrawals`, now and then an asset unlock. The
        one that waits is signed again before there is another, as an expired one is."""
        self._turn += 1
        if not withdrawals or self._turn % _WITHDRAWAL_EVERY:
            self.make()
            return
        waiting = any(is_asset_unlock(entry.transaction) for entry in self._chain.mempool)
        if not waiting or self._withdrawal in self._chain.ledger.unlocks:
            self._withdrawal += 1
            while self._withdrawal in self._chain.ledger.unlocks:
                self._withdrawal += 1
        try:
            self.make_special(ASSET_UNLOCK_TYPE, self._withdrawal)
        except TransactionRefused:
            return  # the mempool is full, or the credit pool too small

    def make(self) -> MempoolEntry | None:
        """Put one transaction into the mempool; None if it is full or there is no coin to spend."""
        coins = self._pick_coins()
        if not coins:
            return None
        total = sum(coin.value for _, coin in coins)
        fee = self._random.choice(_FEES)
        transaction = Transaction(
            2,
            0,
            tuple(TxInput(hash_, index, _SPEND_FAUCET) for (hash_, index), _ in coins),
            self._outputs(total - fee),
            0,
        )
        try:
            return self._chain.add_transaction(transaction)
        except TransactionRefused:
            return None

    def make_special(self, kind: int, index: int) -> MempoolEntry:
        """Put a special transaction into the mempool: an asset unlock (type 9) of the withdrawal `index`, signed
        anew if it waits already, or one of another type that spends a coin. Raises TransactionRefused."""
        if kind == ASSET_UNLOCK_TYPE:
            return self._chain.add_transaction(self._asset_unlock(index))
        coins = self._pick_coins()[:1]
        if not coins:
            raise TransactionRefused("mempool full")
        ((hash_, number), coin) = coins[0]
        transaction = Transaction(
            3,
            kind,
            (TxInput(hash_, number, _SPEND_FAUCET),),
            (TxOutput(coin.value - _SPECIAL_FEE, FAUCET_SCRIPT),),
            0,
            self._random.randbytes(_SPECIAL_PAYLOAD),
        )
        return self._chain.add_transaction(transaction)

    def _asset_unlock(self, index: int) -> Transaction:
        output = TxOutput(_WITHDRAWAL, p2pkh_script(self._chain.rules.derive(f"withdrawal/{index}")[:20]))
        quorum = int.from_bytes(self._random.randbytes(32), "little")
        signature = self._random.randbytes(SIGNATURE_SIZE)
        version = STABLE_UNLOCK if self._chain.rules.is_v24(self._chain.height + 1) else STABLE_UNLOCK - 1
        payload = AssetUnlock(version, index, _SPECIAL_FEE, self._chain.height, quorum, signature)
        return Transaction(3, ASSET_UNLOCK_TYPE, (), (output,), 0, payload.pack())

    def _outputs(self, total: int) -> tuple[TxOutput, ...]:
        outputs = []
        if self._random.random() < _PAYMENT_SHARE:
            amount = self._random.choice(_PAYMENTS)
            outputs.append(TxOutput(amount, p2pkh_script(self._random.randbytes(20))))
            total -= amount
        if len(self._chain.ledger.faucet) < _MANY_COINS and total > 2 * _SMALLEST_COIN:
            part = self._random.randrange(total // 4, total // 2)
            outputs.append(TxOutput(part, FAUCET_SCRIPT))
            total -= part
        outputs.append(TxOutput(total, FAUCET_SCRIPT))
        return tuple(outputs)

    def _pick_coins(self) -> list[tuple[OutPoint, Coin]]:
        """Return one coin, or several if there are many of them."""
        confirmed = self._confirmed()
        waiting = self._waiting()
        if waiting and (not confirmed or self._random.random() < _DEPENDENT_SHARE):
            return [self._random.choice(waiting)]
        if not confirmed:
            return []
        count = self._random.randint(1, 2) + (len(confirmed) >= _MANY_COINS)
        return self._random.sample(confirmed, min(count, len(confirmed)))

    def _confirmed(self) -> list[tuple[OutPoint, Coin]]:
        mempool = self._chain.mempool
        return [
            (outpoint, coin)
            for outpoint, coin in self._chain.ledger.faucet.items()
            if coin.value >= _SMALLEST_COIN and mempool.spender(outpoint) is None
        ]

    def _waiting(self) -> list[tuple[OutPoint, Coin]]:
        mempool = self._chain.mempool
        found = []
        for entry in mempool:
            if entry.ancestors >= MAX_ANCESTORS:
                continue
            for index, output in enumerate(entry.transaction.outputs):
                outpoint = (entry.hash, index)
                if output.script != FAUCET_SCRIPT or output.value < _SMALLEST_COIN:
                    continue
                coin = mempool.waiting_coin(outpoint)
                if coin is not None and mempool.spender(outpoint) is None:
                    found.append((outpoint, coin))
        return found
