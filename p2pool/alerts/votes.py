"""Watches the votes for newer share versions. Pure; `watch` calls it once for each snapshot.

A level (any vote, 50, 60, 85, 95 % of the work) is reported once when it is reached, and again only after the
votes fell clearly below it. Several levels that are reached at once are one event, that of the highest. What was
reported is not kept over a restart of the node: a level that still holds is reported once more then.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from p2pool.alerts.condition import Condition, Transition
from p2pool.base.text import format_duration
from p2pool.networks.parameters import SHARE_VERSION
from p2pool.pool_stats import EventKind, EventRecord, PoolSnapshot
from p2pool.share.versions import SHARE_VERSIONS
from p2pool.share.votes import C2POOL_REFUSES_OLD, C2POOL_VERSION, LEVELS

MARGIN: Final = 5
"""Percentage points below a level at which the votes have left it."""
PATIENCE: Final = 30.0
"""Seconds that a level must hold: a fork may come and go."""
CALM: Final = 600.0
"""Seconds that the votes must stay below before that is reported."""
SPANS: Final = {"chain": "the whole share chain's work", "window": "the work of the share chain's oldest tenth"}
"""The stretches of the chain that are watched, in words."""


class VoteWatch:
    """Watches the votes of each stretch of the chain, and whether c2pool-dash refuses this node's own."""

    def __init__(self) -> None:
        self._levels = {span: {percent: Condition(PATIENCE, CALM) for percent in LEVELS} for span in SPANS}
        self._version: dict[str, int] = {}
        """The newer version that most voted for when a level was last reported, by stretch."""
        self._refused = Condition(PATIENCE, CALM)

    def check(self, snapshot: PoolSnapshot) -> Iterator[EventRecord]:
        """Yield the events to report. While the chain is too short, the state stays as it was."""
        votes, now = snapshot.chain.votes, snapshot.time
        parts = {"chain": votes.chain, "window": votes.window}
        if votes.leading is not None:
            self._version.update(dict.fromkeys(SPANS, votes.leading))
        for span, part in parts.items():
            if part is not None:
                yield from self._check_levels(span, part, now)
        if votes.chain is not None:
            yield from self._check_own(votes.refused, now)

    def _check_levels(self, span: str, part: float, now: float) -> Iterator[EventRecord]:
        transitions: dict[int, Transition] = {}
        for percent, condition in self._levels[span].items():
            limit = percent - MARGIN if condition.reported else percent
            holds = part > 0 if percent == 0 else 100 * part >= limit
            transition = condition.check(span if holds else None, now)
            if transition is not None:
                transitions[percent] = transition
        risen = [percent for percent, transition in transitions.items() if transition.bad]
        fallen = [percent for percent, transition in transitions.items() if not transition.bad]
        if risen:
            yield self._level_event(span, part, max(risen), transition=transitions[max(risen)], now=now)
        if fallen:
            yield self._level_event(span, part, min(fallen), transition=transitions[min(fallen)], now=now)

    def _level_event(
        self, span: str, part: float, percent: int, *, transition: Transition, now: float
    ) -> EventRecord:
        version = self._version.get(span, SHARE_VERSIONS.newest)
        figures = f"{SPANS[span]} votes for share versions above {SHARE_VERSIONS.newest}"
        if transition.bad:
            kind = EventKind.VOTES_RISEN
            level = "some" if percent == 0 else f"{percent}% or more"
            text = f"{level} of {figures}: {_percent(part)}, mostly for {version}"
        else:
            kind = EventKind.VOTES_FALLEN
            level = "none" if percent == 0 else f"less than {percent}%"
            still = "any more" if percent == 0 else "now"
            text = f"{level} of {figures} {still}: {_percent(part)}, after {format_duration(transition.lasted)}"
        details = {"span": span, "percent": percent, "part": part, "version": version}
        return EventRecord(now, kind, span, text, {**details, **transition.details()})

    def _check_own(self, refused: bool, now: float) -> Iterator[EventRecord]:
        transition = self._refused.check("refused" if refused else None, now)
        if transition is None:
            return
        if transition.bad:
            text = (
                f"c2pool-dash rejects this node's shares, which vote for {SHARE_VERSION}, on top of shares that "
                f"vote differently, because {C2POOL_REFUSES_OLD}% of {SPANS['chain']} votes for {C2POOL_VERSION}"
            )
            yield EventRecord(now, EventKind.OWN_VOTES_REFUSED, "", text, transition.details())
        else:
            text = f"c2pool-dash accepts this node's votes again, after {format_duration(transition.lasted)}"
            yield EventRecord(now, EventKind.OWN_VOTES_ACCEPTED, "", text, transition.details())


def _percent(part: float) -> str:
    return f"{100 * part:.1f}%"
