"""The payouts of a block: the outputs of a generation transaction."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from p2pool.base.steps import finish
from p2pool.dash.address import AddressVersions
from p2pool.share.errors import Reason, ShareInvalid
from p2pool.share.payments import PaidPayments, judge_payments, pack_output
from p2pool.share.payout_order import PayoutOrder, payout_order
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


class FinderOutputs(NamedTuple):
    """The outputs of a generation transaction for one finder: `shared[:start] + own + shared[end:]`, up to what is
    constant before ref_hash, which is included. `shared` is one object for all finders."""

    number: int
    """How many outputs there are, with the one that commits to the share."""
    shared: bytes
    start: int
    own: bytes
    """What the finder changes."""
    end: int


class Payouts(Protocol):
    """The outputs for one tip and template, ready for any finder: what a share version's `payouts` make."""

    donation_script: bytes
    finder_bonus: int
    """Duffs that the finder gets besides."""
    payout: int
    """Duffs left of the subsidy after the packed payments."""

    @property
    def amounts(self) -> Mapping[bytes, int]:
        """Return duffs by script from the window, without the donation's and the finder's part; no zeros."""

    @property
    def payments(self) -> list[tuple[bytes, int]]:
        """Return (script, duffs) of what the chain itself pays, in their order."""

    def amounts_for(self, finder: bytes) -> dict[bytes, int]:
        """Return duffs by script if `finder` finds the block, the donation's included and the payments not."""

    def outputs_for(self, finder: bytes) -> list[tuple[str, bytes, int]]:
        """Return (MINER, PAYMENT or DONATION, script, duffs) in the transaction's order, without the last
        output."""

    def outputs_around(self, finder: bytes) -> FinderOutputs:
        """Return the outputs if `finder` finds the block."""


class PayoutTable:
    """The outputs of type 16, ready for any finder.

    Everything is serialized once; an address then costs one bisection (`outputs_around`).
    Raises ShareInvalid at construction if the payments exceed the subsidy.
    """

    __slots__ = ("_amounts", "_offsets", "_paid", "_scripts", "_shared", "finder_bonus", "payout")
    donation_script = DONATION_SCRIPT

    def __init__(self, weights: Weights, subsidy: int, paid: PaidPayments) -> None:
        self._paid = paid
        self.payout = subsidy - paid.total
        if self.payout < 0:
            raise ShareInvalid(Reason.NEGATIVE_PAYOUT, f"{self.payout} duffs are left")
        self.finder_bonus = self.payout // _FINDER_PART
        by_script: Mapping[bytes, int] = weights.by_script if weights.total else {}
        scripts: AbstractSet[bytes] = by_script.keys()
        if DONATION_SCRIPT in by_script:
            scripts = scripts - {DONATION_SCRIPT}
        order = payout_order(scripts)
        for_workers, divisor = self.payout * _WORKERS_PART, _FINDER_PART * weights.total
        amounts = [for_workers * weight // divisor for weight in map(by_script.__getitem__, order.scripts)]
        if 0 in amounts:
            order = PayoutOrder(script for script, amount in zip(order.scripts, amounts, strict=True) if amount)
            amounts = [amount for amount in amounts if amount]
        self._scripts, self._offsets = order.scripts, order.offsets
        self._amounts = tuple(amounts)
        """Duffs of each script; no zeros."""
        rest = self.payout - sum(amounts) - self.finder_bonus
        self._shared = b"".join((order.pack(amounts), paid.packed, pack_uint64(rest), GENTX_BEFORE_REF_HASH))
        """The outputs without what the finder gets."""

    @property
    def amounts(self) -> Mapping[bytes, int]:
        """Return duffs by script from the window, without the donation's and the finder's part; no zeros."""
        return MappingProxyType(dict(zip(self._scripts, self._amounts, strict=True)))

    @property
    def payments(self) -> list[tuple[bytes, int]]:
        """Return (script, duffs) of what the chain itself pays, in their order."""
        return self._paid.outputs()

    def amounts_for(self, finder: bytes) -> dict[bytes, int]:
        """Return duffs by script if `finder` finds the block, with the donation's and without the payments."""
        amounts = dict(zip(self._scripts, self._amounts, strict=True))
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

    def outputs_around(self, finder: bytes) -> FinderOutputs:
        """Return the outputs if `finder` finds the block."""
        scripts, offsets, shared, bonus = self._scripts, self._offsets, self._shared, self.finder_bonus
        number = len(scripts) + self._paid.count + 2
        if finder == DONATION_SCRIPT:
            # The bonus is part of the rest.
            place = len(shared) - len(GENTX_BEFORE_REF_HASH) - 8
            rest = int.from_bytes(shared[place : place + 8], "little") + bonus
            return FinderOutputs(number, shared, place, pack_uint64(rest), place + 8)
        at = bisect_left(scripts, finder)
        start = offsets[at]
        if not bonus:
            return FinderOutputs(number, shared, start, b"", start)
        if at < len(scripts) and scripts[at] == finder:
            own = pack_output(finder, self._amounts[at] + bonus)
            return FinderOutputs(number, shared, start, own, offsets[at + 1])
        return FinderOutputs(number + 1, shared, start, pack_output(finder, bonus), start)


def gentx_head(count: int, *, coinbase: bytes, has_payload: bool) -> bytes:
    """Return the generation transaction up to its outputs, of which it has `count`."""
    version = b"\x03\x00\x05\x00" if has_payload else b"\x01\x00\x00\x00"
    return b"".join(
        (
            version,
            b"\x01",
            b"\x00" * 32,
            b"\xff\xff\xff\xff",
            pack_varstr(coinbase),
            b"\xff\xff\xff\xff",
            pack_varint(count),
        )
    )


def gentx_prefix(table: Payouts, finder: bytes, *, coinbase: bytes, has_payload: bool) -> bytes:
    """Return the generation transaction up to ref_hash."""
    count, shared, start, own, end = table.outputs_around(finder)
    head = gentx_head(count, coinbase=coinbase, has_payload=has_payload)
    return b"".join((head, shared[:start], own, shared[end:]))


def gentx_suffix(coinbase_payload: bytes) -> bytes:
    """Return what follows the nonce in a generation transaction: lock_time and, if there is one, the payload."""
    return b"\x00\x00\x00\x00" + (pack_varstr(coinbase_payload) if coinbase_payload else b"")
