"""The payouts of a block: the outputs of a generation transaction."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate
from types import MappingProxyType
from typing import Final, Protocol

from p2pool.base.steps import finish
from p2pool.dash.address import AddressVersions
from p2pool.share.errors import Reason, ShareInvalid
from p2pool.share.payments import PaidPayments, judge_payments, pack_output
from p2pool.share.weights import Weights
from p2pool.wire.codec import pack_uint64, pack_varint, pack_varstr

DONATION_SCRIPT: Final = bytes.fromhex("76a91420cb5c22b1e4d5947e5c112c7696b51ad9af3c6188ac")
"""The script to which shares of type 16 give the rest."""


def before_ref_hash(donation_script: bytes) -> bytes:
    """Return the constant bytes right before ref_hash: the donation output's end and the last output's start."""
    return pack_varstr(donation_script) + pack_uint64(0) + b"\x2a\x6a\x28"


GENTX_BEFORE_REF_HASH: Final = before_ref_hash(DONATION_SCRIPT)
MINER, PAYMENT, DONATION = "miner", "payment", "donation"
"""Kinds of outputs: by weight in the window, what the chain itself pays, the rest."""
_WORKERS_PART, _FINDER_PART = 49, 50
"""49/50 of a payout goes by weight, 1/50 to the finder of the block."""


def paid_payments(payments: Sequence[tuple[str, int]], versions: AddressVersions) -> PaidPayments:
    """Return the outputs of a share's packed payments, in their order, without those that are skipped.

    Raises ShareInvalid if a payee's text makes the share invalid, whatever its amount.
    """
    return finish(judge_payments(payments, versions))


def worker_amounts(weights: Weights, payout: int) -> dict[bytes, int]:
    """Return duffs by script from the window alone, without the finder's part; may hold DONATION_SCRIPT and
    zeros."""
    total = weights.total
    if not total:
        return {}
    share_of_payout, divisor = payout * _WORKERS_PART, _FINDER_PART * total
    return {script: share_of_payout * weight // divisor for script, weight in weights.by_script.items()}


class Payouts(Protocol):
    """The outputs for one tip and template, ready for any finder: what a share version's `payouts` make."""

    donation_script: bytes
    amounts: Mapping[bytes, int]
    """Duffs by script from the window, without the donation's and the finder's part; no zeros."""
    finder_bonus: int
    """Duffs that the finder gets besides."""
    payout: int
    """Duffs left of the subsidy after the packed payments."""

    @property
    def payments(self) -> list[tuple[bytes, int]]:
        """Return (script, duffs) of what the chain itself pays, in their order."""

    def amounts_for(self, finder: bytes) -> dict[bytes, int]:
        """Return duffs by script if `finder` finds the block, the donation's included and the payments not."""

    def outputs_for(self, finder: bytes) -> list[tuple[str, bytes, int]]:
        """Return (MINER, PAYMENT or DONATION, script, duffs) in the transaction's order, without the last
        output."""

    def prefix_for(self, finder: bytes) -> tuple[int, bytes]:
        """Return (count of outputs, their bytes up to and including what is constant before ref_hash) for
        `finder`."""


class PayoutTable:
    """The outputs of type 16, ready for any finder.

    Everything is serialized once; an address then costs one bisection and one join (`prefix_for`).
    Raises ShareInvalid at construction if the payments exceed the subsidy.
    """

    __slots__ = (
        "_joined",
        "_offsets",
        "_paid",
        "_scripts",
        "_workers_total",
        "amounts",
        "finder_bonus",
        "payout",
    )
    donation_script = DONATION_SCRIPT

    def __init__(self, weights: Weights, subsidy: int, paid: PaidPayments) -> None:
        self._paid = paid
        self.payout = subsidy - paid.total
        if self.payout < 0:
            raise ShareInvalid(Reason.NEGATIVE_PAYOUT, f"{self.payout} duffs are left")
        self.finder_bonus = self.payout // _FINDER_PART
        amounts = worker_amounts(weights, self.payout)
        amounts.pop(DONATION_SCRIPT, None)
        self.amounts: Mapping[bytes, int] = MappingProxyType(
            {script: amount for script, amount in amounts.items() if amount}
        )
        self._workers_total = sum(self.amounts.values())
        self._scripts = tuple(sorted(self.amounts))
        pieces = [pack_output(script, self.amounts[script]) for script in self._scripts]
        self._offsets = tuple(accumulate(map(len, pieces), initial=0))
        self._joined = b"".join(pieces)

    @property
    def payments(self) -> list[tuple[bytes, int]]:
        """Return (script, duffs) of what the chain itself pays, in their order."""
        return self._paid.outputs()

    def amounts_for(self, finder: bytes) -> dict[bytes, int]:
        """Return duffs by script if `finder` finds the block, with the donation's and without the payments."""
        amounts = dict(self.amounts)
        if finder != DONATION_SCRIPT and self.finder_bonus:
            amounts[finder] = amounts.get(finder, 0) + self.finder_bonus
        amounts[DONATION_SCRIPT] = self.payout - sum(amounts.values())
        return amounts

    def outputs_for(self, finder: bytes) -> list[tuple[str, bytes, int]]:
        """Return the outputs: miners by their scripts, what the chain pays, the donation."""
        amounts = self.amounts_for(finder)
        rest = amounts.pop(DONATION_SCRIPT)
        return [
            *((MINER, script, amounts[script]) for script in sorted(amounts)),
            *((PAYMENT, script, duffs) for script, duffs in self.payments),
            (DONATION, DONATION_SCRIPT, rest),
        ]

    def prefix_for(self, finder: bytes) -> tuple[int, bytes]:
        """Return the count of outputs, and their bytes up to what is constant before ref_hash, for `finder`."""
        scripts, offsets, joined = self._scripts, self._offsets, self._joined
        spent = self._workers_total
        count = len(scripts) + self._paid.count + 2
        workers = joined
        if finder != DONATION_SCRIPT and self.finder_bonus:
            spent += self.finder_bonus
            amount = self.amounts.get(finder)
            at = bisect_left(scripts, finder)
            if amount is None:
                count += 1
                own = pack_output(finder, self.finder_bonus)
                workers = joined[: offsets[at]] + own + joined[offsets[at] :]
            else:
                own = pack_output(finder, amount + self.finder_bonus)
                workers = joined[: offsets[at]] + own + joined[offsets[at + 1] :]
        donation = pack_uint64(self.payout - spent)
        return count, b"".join((workers, self._paid.packed, donation, GENTX_BEFORE_REF_HASH))


def gentx_prefix(table: Payouts, finder: bytes, *, coinbase: bytes, has_payload: bool) -> bytes:
    """Return the generation transaction up to ref_hash."""
    version = b"\x03\x00\x05\x00" if has_payload else b"\x01\x00\x00\x00"
    count, outputs = table.prefix_for(finder)
    return b"".join(
        (
            version,
            b"\x01",
            b"\x00" * 32,
            b"\xff\xff\xff\xff",
            pack_varstr(coinbase),
            b"\xff\xff\xff\xff",
            pack_varint(count),
            outputs,
        )
    )


def gentx_suffix(coinbase_payload: bytes) -> bytes:
    """Return what follows the nonce in a generation transaction: lock_time and, if there is one, the payload."""
    return b"\x00\x00\x00\x00" + (pack_varstr(coinbase_payload) if coinbase_payload else b"")
