"""Shares of a chain that c2pool-dash refuses for their votes, though this node and legacy p2pool-dash accept them.
Nodes that run c2pool-dash do not follow such a chain until CHAIN_LENGTH shares have followed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from p2pool.share.share import Share
from p2pool.share.votes import C2POOL_VERSION, OldWindow, c2pool_refusal

SETTLED: Final = 5
"""Shares above another one from which on it is not likely to be orphaned: newer ones are not judged."""
_OTHERS: Final = -1
"""In a tally: all versions but the one that is asked for."""


@dataclass(frozen=True, slots=True)
class RefusedVotes:
    """How many of the shares that were checked c2pool-dash refuses; the newest of them with its parent share's
    vote, and how many shares are above it."""

    count: int = 0
    newest: Share | None = None
    parent_vote: int = 0
    above: int = 0


def refused_votes(shares: Sequence[Share], count: int, *, height: int, rooted: bool, length: int) -> RefusedVotes:
    """Judge the `count` newest of `shares`, but for the SETTLED newest. They are a chain of `height` shares from
    its best share down, as far as the rule reads. `length` is CHAIN_LENGTH. `rooted` says whether the chain
    that is held goes down to a first share: if not, c2pool-dash may know more, and what is too short is not
    judged."""
    turns = [
        place
        for place in range(SETTLED, min(count, len(shares) - 1))
        if shares[place].desired_version != shares[place + 1].desired_version
    ]
    if not turns:
        return RefusedVotes()
    work = _Work(shares)
    refused = [
        place
        for place in turns
        if _is_refused(work, place, parent_height=height - place - 1, rooted=rooted, length=length)
    ]
    if not refused:
        return RefusedVotes()
    first = refused[0]
    return RefusedVotes(len(refused), shares[first], shares[first + 1].desired_version, first)


class _Work:
    """Sums of work over stretches of a chain. Any stretch costs the same for C2POOL_VERSION; for other versions it
    is gone through, so ask only for short ones."""

    def __init__(self, shares: Sequence[Share]) -> None:
        self.shares = shares
        self._total = [0, *accumulate(share.attempts for share in shares)]
        prepared = (share.attempts if share.desired_version == C2POOL_VERSION else 0 for share in shares)
        self._prepared = [0, *accumulate(prepared)]

    def over(self, version: int, start: int, count: int) -> dict[int, int]:
        """Work for `version` and for all others, of `count` shares from place `start` on."""
        end = min(start + count, len(self.shares))
        if version == C2POOL_VERSION:
            part = self._prepared[end] - self._prepared[start]
        else:
            votes = (share for share in self.shares[start:end] if share.desired_version == version)
            part = sum(share.attempts for share in votes)
        return {version: part, _OTHERS: self._total[end] - self._total[start] - part}


def _is_refused(work: _Work, place: int, *, parent_height: int, rooted: bool, length: int) -> bool:
    has_history = parent_height >= length
    if not has_history and not rooted:
        return False
    vote, parent_vote = work.shares[place].desired_version, work.shares[place + 1].desired_version
    window = OldWindow.of(length)
    refusal = c2pool_refusal(
        vote,
        parent_vote,
        has_history=has_history,
        chain_work=work.over(C2POOL_VERSION, place + 1, length) if has_history else {},
        window_work=work.over(vote, place + 1 + window.start, window.count) if has_history else {},
    )
    return refusal is not None
