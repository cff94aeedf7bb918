"""Votes for share versions over a chain: counted once for each best share, for pages, metrics and alerts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from p2pool.share.share import Share
from p2pool.share.versions import SHARE_VERSIONS
from p2pool.share.votes import OldWindow, reaches
from p2pool.sharechain.refused_votes import RefusedVotes, refused_votes
from p2pool.sharechain.tracker import Tracker

_FINE: Final = 1000
"""Parts of a hash in which forecasts are reckoned: test networks have shares of one hash."""


@dataclass(slots=True)
class Tally:
    """Votes of a stretch of the chain by version. `wanted` is how many shares the stretch has on a chain that is
    long enough. Bound: one entry a share."""

    wanted: int
    shares: dict[int, int] = field(default_factory=dict)
    work: dict[int, int] = field(default_factory=dict)
    total_shares: int = 0
    total_work: int = 0
    newer_shares: int = 0
    newer_work: int = 0
    """Shares that vote for versions above all that this node knows."""

    @classmethod
    def of(cls, shares: Iterable[Share], wanted: int) -> Tally:
        """Return the tally of these shares."""
        tally = cls(wanted)
        counts, work = tally.shares, tally.work
        for share in shares:
            version = share.desired_version
            counts[version] = counts.get(version, 0) + 1
            work[version] = work.get(version, 0) + share.attempts
        tally.total_shares, tally.total_work = sum(counts.values()), sum(work.values())
        newer = [version for version in counts if version > SHARE_VERSIONS.newest]
        tally.newer_shares = sum(counts[version] for version in newer)
        tally.newer_work = sum(work[version] for version in newer)
        return tally

    @property
    def is_complete(self) -> bool:
        """Return whether the chain held has all shares of this stretch."""
        return self.total_shares == self.wanted > 0

    def part(self, work: int) -> float:
        """Return `work` as a part of all work here; 0 if there is none."""
        return work / self.total_work if self.total_work else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class ChainVotes:
    """Votes of the chain that ends in the best share, which is the parent share of the next one.

    `chain` covers CHAIN_LENGTH shares, `window` the oldest tenth of them that rules read, `recent` the newest
    shares. `newest_first` are the shares that these were counted from.
    """

    parent_vote: int | None
    chain: Tally
    window: Tally
    recent: Tally
    old_window: OldWindow
    newest_first: Sequence[Share]
    refused: RefusedVotes
    """Recent shares that c2pool-dash refuses for their votes."""

    @property
    def has_history(self) -> bool:
        """Return whether CHAIN_LENGTH shares are held: no rule about votes counts before."""
        return self.chain.is_complete

    @property
    def leading(self) -> int | None:
        """Return the version above all that this node knows for which most of the chain's work votes; None if no
        share votes for any."""
        work = self.chain.work if self.chain.newer_shares else self.recent.work
        newer = [version for version in work if version > SHARE_VERSIONS.newest]
        return max(newer, key=lambda version: (work[version], -version), default=None)

    def shares_until(
        self, version: int, window: OldWindow, *, percents: Sequence[int], rate: float
    ) -> dict[int, int | None]:
        """Return after how many further shares each percentage of the work in `window` votes for `version` (0: it
        does now; None: it will not). Votes that were cast are counted exactly; of the work of shares to come, the
        part `rate` is taken to vote for it. To be asked only with `has_history`."""
        shares = self.newest_first[: window.start + window.count]
        usual = self.chain.total_work * _FINE // max(1, self.chain.total_shares)
        usual_votes = round(rate * usual)
        inside = Tally.of(shares[window.start :], window.count)
        votes, total = inside.work.get(version, 0) * _FINE, inside.total_work * _FINE
        found: dict[int, int | None] = dict.fromkeys(percents)
        missing = list(percents)
        for step in range(window.start + window.count + 1):
            reached = [percent for percent in missing if reaches(votes, total, percent)]
            found.update(dict.fromkeys(reached, step))
            missing = [percent for percent in missing if percent not in reached]
            if not missing or step == window.start + window.count:
                break
            leaving = shares[-1 - step]
            votes -= leaving.attempts * _FINE if leaving.desired_version == version else 0
            total -= leaving.attempts * _FINE
            if step < window.start:
                entering = shares[window.start - 1 - step]
                votes += entering.attempts * _FINE if entering.desired_version == version else 0
                total += entering.attempts * _FINE
            else:
                votes += usual_votes
                total += usual
        return found


def count_votes(tracker: Tracker, best: int | None, recent: int) -> ChainVotes:
    """Count the votes of the chain that ends in `best`, and those of its newest `recent` shares on their own.
    Costs a walk of CHAIN_LENGTH shares, a few milliseconds."""
    length = tracker.network.chain_length
    window = OldWindow.of(length)
    shares = list(tracker.ancestors(best, length + recent + 1))
    refused = RefusedVotes()
    if best is not None:
        height, rooted = tracker.height(best), tracker.is_rooted(best)
        refused = refused_votes(shares, recent, height=height, rooted=rooted, length=length)
    return ChainVotes(
        parent_vote=shares[0].desired_version if shares else None,
        chain=Tally.of(shares[:length], length),
        window=Tally.of(shares[window.start : window.start + window.count], window.count),
        recent=Tally.of(shares[:recent], recent),
        old_window=window,
        newest_first=shares[:length],
        refused=refused,
    )
