"""The generation transactions of one WorkContext: what all of them have in common is held and hashed once.

The transaction of a job differs from all others in the finder's output and in ref_hash, which is at the end. A job
holds these two; the outputs of thousands of payees, and the states of SHA-256 before each few of them, belong to
its context.
"""

from __future__ import annotations

from typing import NamedTuple

from p2pool.dash.hashes import EMPTY_PREFIX, Prefix
from p2pool.share.payouts import Payouts, gentx_head

_STEP = 2048
"""Bytes between two held states of SHA-256, some 60 payees: hashing so many takes a microsecond. More than a head
has, so that only the first state is within it."""
_SOMEBODY_ELSE = bytes(25)
"""A finder's script that no share can have: an output more than for a finder who is paid anyway."""


class SharedCoinbase:
    """The generation transactions with the same number of outputs, up to ref_hash, without what the finder
    changes. Immutable; the methods take the place and the bytes that the finder has in `outputs`."""

    __slots__ = ("_states", "head", "outputs")

    def __init__(self, head: bytes, outputs: bytes) -> None:
        self.head = head
        self.outputs = outputs
        whole = head + outputs
        states = [EMPTY_PREFIX]
        for start in range(0, len(whole) - _STEP, _STEP):
            states.append(states[-1].extended(whole[start : start + _STEP]))
        self._states = tuple(states)
        """SHA-256 after each multiple of _STEP bytes."""

    def prefix(self, start: int, own: bytes, end: int) -> bytes:
        """Return the transaction up to ref_hash."""
        outputs = self.outputs
        return b"".join((self.head, outputs[:start], own, outputs[end:]))

    def absorb(self, start: int, own: bytes, end: int, *, ref_hash: bytes) -> Prefix:
        """Return SHA-256 with everything up to and including `ref_hash`."""
        head, outputs = self.head, self.outputs
        number = (len(head) + start) // _STEP
        before = outputs[number * _STEP - len(head) : start] if number else head + outputs[:start]
        return self._states[number].extended(b"".join((before, own, outputs[end:], ref_hash)))


class FinderCoinbase(NamedTuple):
    """The generation transactions of one finder: what is shared, and what the finder changes in its outputs."""

    shared: SharedCoinbase
    start: int
    own: bytes
    end: int


class Coinbases:
    """The generation transactions for any finder. Immutable."""

    __slots__ = ("_coinbase", "_has_payload", "_payouts", "_shared")

    def __init__(self, payouts: Payouts, *, coinbase: bytes, has_payload: bool) -> None:
        self._payouts = payouts
        self._coinbase = coinbase
        self._has_payload = has_payload
        usual = (payouts.outputs_around(finder) for finder in (payouts.donation_script, _SOMEBODY_ELSE))
        self._shared = tuple((each.number, self._made(each.number, each.shared)) for each in usual)
        """By the number of outputs."""

    def of(self, finder: bytes) -> FinderCoinbase:
        """Return the transactions of a finder, by its script."""
        number, outputs, start, own, end = self._payouts.outputs_around(finder)
        for known, shared in self._shared:
            if known == number and shared.outputs == outputs:
                return FinderCoinbase(shared, start, own, end)
        return FinderCoinbase(self._made(number, outputs), start, own, end)

    @property
    def size(self) -> int:
        """Return the bytes of the transaction of a finder who is not paid otherwise, up to ref_hash."""
        _, outputs, start, own, end = self._payouts.outputs_around(_SOMEBODY_ELSE)
        return len(self._shared[-1][1].head) + len(outputs) + len(own) - (end - start)

    def _made(self, number: int, outputs: bytes) -> SharedCoinbase:
        head = gentx_head(number, coinbase=self._coinbase, has_payload=self._has_payload)
        return SharedCoinbase(head, outputs)
