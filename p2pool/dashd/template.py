"""What the next block must be, as a frozen value.

One template, one job: header fields, payees, payload and transactions of a block always come from the same
BlockTemplate. `template_parsing` makes it of dashd's answer, `shortening` leaves transactions out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from p2pool.dash.target import bits_to_target

MAX_BLOCK_SIZE, MAX_SIGNATURE_OPERATIONS = 2_000_000, 40_000
"""What a block may have since DIP 1; templates report it as well."""


class TemplateTransaction(NamedTuple):
    """A transaction to include. `hash_bytes` is its hash in hashing order; `fee` in duffs; `signature_operations`
    as dashd counts them. (A tuple: thousands of them are made while miners wait.)"""

    data: bytes
    hash_bytes: bytes
    fee: int
    signature_operations: int = 0

    @property
    def hash(self) -> int:
        """Return the hash as the number that shares carry."""
        return int.from_bytes(self.hash_bytes, "little")


@dataclass(frozen=True, slots=True)
class BlockTemplate:
    """What the next block must be. Times in Unix seconds, amounts in duffs, hashes as numbers.

    `payments` are masternode, superblock and platform payees as shares carry them: an address, or "!<hex>" of a
    raw script; the first `masternode_payments` of them are the masternode's and the platform's. `received` is this
    machine's time when the answer came.
    """

    height: int
    version: int
    previous_block: int
    bits: int
    current_time: int
    minimum_time: int
    subsidy: int
    payments: tuple[tuple[str, int], ...]
    payment_amount: int
    transactions: tuple[TemplateTransaction, ...]
    coinbase_flags: bytes
    coinbase_payload: bytes
    long_poll_id: str
    received: float
    branch: tuple[bytes, ...] = field(repr=False)
    """The merkle branch of the coinbase."""
    masternode_payments: int = 0
    depends: tuple[tuple[int, ...], ...] = field(default=(), repr=False)
    """For each transaction, the places of those before it that it spends from; empty if nothing is known."""
    size_limit: int = MAX_BLOCK_SIZE
    """Bytes that the block may have."""
    signature_operations_limit: int = MAX_SIGNATURE_OPERATIONS
    problems: tuple[str, ...] = ()
    """What is wrong with dashd's answer although there is work on it, for the operator."""
    refusal: str | None = None
    """Why dashd would refuse every block made from this; None if it would not, as far as is known here."""

    @property
    def target(self) -> int:
        """Return what a block's hash must not exceed."""
        return bits_to_target(self.bits)

    @property
    def fees(self) -> int:
        """Return all fees of the template's transactions."""
        return sum(transaction.fee for transaction in self.transactions)

    @property
    def payload_version(self) -> int:
        """Return the version of the coinbase payload, 0 if there is none. Nothing else of the payload is read."""
        return int.from_bytes(self.coinbase_payload[:2], "little")

    def same_work(self, other: BlockTemplate | None) -> bool:
        """Return whether a job from the other template would do as well as one from this."""
        return (
            other is not None
            and self.previous_block == other.previous_block
            and self.branch == other.branch
            and self.subsidy == other.subsidy
            and self.payments == other.payments
            and self.coinbase_payload == other.coinbase_payload
            and (self.bits, self.version, self.height) == (other.bits, other.version, other.height)
            and self.minimum_time == other.minimum_time
        )
