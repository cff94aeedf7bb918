"""Votes for share versions: which version shares of this node vote for, and what other software makes of votes.

Each share carries a number, `desired_version`, by which its maker votes for the version of future shares. Like
legacy p2pool-dash, this node neither accepts nor refuses a share for its vote. c2pool-dash does: its rules are
here to be reported, never to be enforced. Pure: `sharechain.votes` counts the votes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from p2pool.networks.parameters import SHARE_VERSION

LEVELS: Final = (0, 50, 60, 85, 95)
"""Percentages of the work at which people are notified; 0 means any vote at all."""
C2POOL_ACCEPTS: Final = 60
"""Percentage of the old window's work from which c2pool-dash accepts a vote above the parent share's."""
LEGACY_SWITCHES: Final = 85
"""Percentage of the old window's work from which legacy p2pool-dash, in a release that has a successor version,
would accept shares of that version."""
C2POOL_REFUSES_OLD: Final = 95
"""Percentage of the whole chain's work from which c2pool-dash refuses votes below C2POOL_VERSION."""
C2POOL_LIFTS_FLOOR: Final = 95
"""Percentage of the old window's work from which c2pool-dash accepts new peers from C2POOL_FLOOR on only."""
C2POOL_VERSION: Final = 36
"""The share version that c2pool-dash prepares."""
C2POOL_FLOOR: Final = 3600
"""The lowest protocol version that c2pool-dash accepts once the votes have lifted it from 1700."""

Work = Mapping[int, int]
"""Work (average attempts) by the version that it votes for."""


@dataclass(frozen=True, slots=True)
class OldWindow:
    """The oldest tenth of the chain, which rules about votes read: `count` shares from the `start`-th parent of a
    share's parent back."""

    start: int
    count: int

    @classmethod
    def of(cls, chain_length: int) -> OldWindow:
        """Return the window of a network whose chain has this many shares."""
        return cls(chain_length * 9 // 10, chain_length // 10)


def own_vote(parent_vote: int | None, window_work: Work | None = None) -> int:
    """Return the version that a share of this node votes for, upon a parent share with `parent_vote` (None: the
    first share of a chain) and an old window of `window_work` (None: not counted).

    It is always SHARE_VERSION, and no option changes it: no other version is specified, and c2pool-dash refuses
    a vote above the parent share's until 60 % of the old window's work has voted for it, and bans whoever sent
    it for 300 s.

    Following the parent share's vote is prepared here and not switched on. It would be (by returning
    `parent_vote`) once 95 % of the whole chain's work votes for 36: from then on c2pool-dash refuses a lower
    vote upon a parent share that votes otherwise, while the parent share's own vote always passes. The operator
    is warned of that case and decides with the rest of the pool."""
    del parent_vote, window_work
    return SHARE_VERSION


def reaches(part: int, total: int, percent: int) -> bool:
    """Return whether `part` is at least `percent` of `total`, exactly; 0 percent means anything at all."""
    return part > 0 if percent == 0 else total > 0 and 100 * part >= percent * total


class C2poolRefusal(Enum):
    """Why c2pool-dash refuses a share for its vote."""

    OUTDATED = "95 % of the chain's work votes for 36"
    TOO_SHORT = "the vote rises on a chain that is too short"
    TOO_EARLY = "the vote rises before 60 % of the old window's work voted for it"


def c2pool_refusal(
    vote: int, parent_vote: int | None, *, has_history: bool, chain_work: Work, window_work: Work
) -> C2poolRefusal | None:
    """Return why c2pool-dash refuses a share with this vote upon a parent share with `parent_vote`, None if it
    accepts it. `parent_vote` is None if there is no parent share. `has_history` is whether the chain that ends
    in the parent share has CHAIN_LENGTH shares; `chain_work` is that of CHAIN_LENGTH shares from the parent
    share back, `window_work` that of its old window.

    Facts from c2pool-dash's verify_version_transition as of August 2026.
    """
    if parent_vote is None or vote == parent_vote:
        return None
    if vote < C2POOL_VERSION and has_history:
        newer = chain_work.get(C2POOL_VERSION, 0)
        if reaches(newer, sum(chain_work.values()), C2POOL_REFUSES_OLD):
            return C2poolRefusal.OUTDATED
    if vote > parent_vote:
        if not has_history:
            return C2poolRefusal.TOO_SHORT
        if not reaches(window_work.get(vote, 0), sum(window_work.values()), C2POOL_ACCEPTS):
            return C2poolRefusal.TOO_EARLY
    return None


def c2pool_lifts_floor(best_vote: int, *, has_history: bool, window_work: Work) -> bool:
    """Return whether c2pool-dash stops accepting peers below protocol C2POOL_FLOOR if its best share has this
    vote. `has_history` and `window_work` are those of the best share's parent. c2pool-dash rounds the threshold
    down."""
    if best_vote < C2POOL_VERSION or not has_history:
        return False
    return window_work.get(best_vote, 0) >= sum(window_work.values()) * C2POOL_LIFTS_FLOOR // 100
