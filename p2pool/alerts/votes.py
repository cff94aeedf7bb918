"""From the votes for newer share versions to what people are notified of. Pure; `watch` asks it once a snapshot.

A level (any vote, 50, 60, 85, 95 % of the work) is notified once when it is reached, and again only after the
votes fell clearly below it. Several levels that are reached at once are one event, that of the highest. What was
notified is not kept over a restart of the node: a level that still holds is notified once more then.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from p2pool.alerts.condition import Condition, Turn
from p2pool.base.text import format_duration
from p2pool.networks.parameters import SHARE_VERSION
from p2pool.pool_stats import EventKind, EventRecord, PoolSnapshot
from p2pool.share.votes import C2POOL_REFUSES_OLD, C2POOL_VERSION, LEVELS

MARGIN: Final = 5
"""Percentage points below a level at which the votes have left it."""
PATIENCE: Final = 30.0
"""Seconds that a level must hold: a fork may come and go."""
CALM: Final = 600.0
"""Seconds that the votes must stay below before that is notified."""
SPANS: Final = {"chain": "the whole share chain's work", "window": "the work of the share chain's oldest tenth"}
"""The stretches of the chain that are watched, in words."""


class VoteWatch:
    """Watches the votes of each stretch of the chain, and whether c2pool-dash refuses this node's own."""

    def __init__(self) -> None:
        self._levels = {span: {percent: Condition(PATIENCE, CALM) for percent in LEVELS} for span in SPANS}
        self._version: dict[str, int] = {}
        """The newer version that most voted for when a level was last notified, by stretch."""
        self._refused = Condition(PATIENCE, CALM)

    def looking(self, snapshot: PoolSnapshot) -> Iterator[EventRecord]:
        """Yield what is to be notified. While the chain is too short, everything stays as it was."""
        votes, now = snapshot.chain.votes, snapshot.time
        parts = {"chain": votes.chain, "window": votes.window}
        if votes.leading is not None:
            self._version.update(dict.fromkeys(SPANS, votes.leading))
        for span, part in parts.items():
            if part is not None:
                yield from self._look_at_levels(span, part, now)
        if votes.chain is not None:
            yield from self._look_at_own(votes.refused, now)

    def _look_at_levels(self, span: str, part: float, now: float) -> Iterator[EventRecord]:
        turns: dict[int, Turn] = {}
        for percent, condition in self._levels[span].items():
            limit = percent - MARGIN if condition.told else percent
            holds = part > 0 if percent == 0 else 100 * part >= limit
            turn = condition.look(span if holds else None, now)
            if turn is not None:
                turns[percent] = turn
        risen = [percent for percent, turn in turns.items() if turn.bad]
        fallen = [percent for percent, turn in turns.items() if not turn.bad]
        if risen:
            yield self._level_event(EventKind.VOTES_RISEN, span, part, max(risen), turns[max(risen)], now)
        if fallen:
            yield self._level_event(EventKind.VOTES_FALLEN, span, part, min(fallen), turns[min(fallen)], now)

    def _level_event(
        self, kind: EventKind, span: str, part: float, percent: int, turn: Turn, now: float
    ) -> EventRecord:
        version = self._version.get(span, SHARE_VERSION)
        figures = f"{SPANS[span]} votes for share versions above {SHARE_VERSION}"
        if turn.bad:
            level = "some" if percent == 0 else f"{percent} % or more"
            text = f"{level} of {figures}: {_percent(part)}, mostly for {version}"
        else:
            level = "none" if percent == 0 else f"less than {percent} %"
            text = f"{level} of {figures} any more: {_percent(part)}, after {format_duration(turn.lasted)}"
        details = {"span": span, "percent": percent, "part": part, "version": version}
        return EventRecord(now, kind, span, text, {**details, **_since(turn)})

    def _look_at_own(self, refused: bool, now: float) -> Iterator[EventRecord]:
        turn = self._refused.look("refused" if refused else None, now)
        if turn is None:
            return
        if turn.bad:
            text = (
                f"c2pool-dash refuses shares that vote {SHARE_VERSION}, as this node's do, on top of shares that "
                f"vote otherwise: {C2POOL_REFUSES_OLD} % of {SPANS['chain']} votes for {C2POOL_VERSION}"
            )
            yield EventRecord(now, EventKind.OWN_VOTES_REFUSED, "", text, _since(turn))
        else:
            text = f"c2pool-dash accepts this node's votes again, after {format_duration(turn.lasted)}"
            yield EventRecord(now, EventKind.OWN_VOTES_ACCEPTED, "", text, _since(turn))


def _since(turn: Turn) -> dict[str, object]:
    return {"since": turn.since} if turn.bad else {"since": turn.since, "lasted": turn.lasted}


def _percent(part: float) -> str:
    return f"{100 * part:.1f} %"
