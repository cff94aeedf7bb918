"""Watches other nodes: shares of a newer type, a software of which all nodes were lost, connections that others
close at once. Pure; `watch` calls it once for each snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from p2pool.alerts.condition import Condition, Transition
from p2pool.base.text import format_duration
from p2pool.networks.parameters import ANNOUNCED_PROTOCOL
from p2pool.pool_stats import EarlyCloses, EventKind, EventRecord, NewerType, PoolSnapshot
from p2pool.share.versions import SHARE_VERSIONS

MANY_SITES: Final = 3
"""Neighbourhoods from which hosts must close at once, while there are peers: a host that comes and goes, or an
operator with several, is not reported."""
PART_OF_ALL: Final = 3
"""These hosts must be a third of all, those connected included: in a large network some are always full."""
ONLY_CLOSES: Final = 3
ONLY_TIME: Final = 300.0
"""While no node is connected: so many closed connections, over so many seconds, are enough, be it of one host."""
PATIENCE: Final = 30.0
CALM: Final = 600.0
MAX_TYPES: Final = 8
"""Types that are reported in one run: a node that invents more is not worth more messages."""
MAX_NAMES: Final = 32
"""Names of software that are watched at once; more than `peers` ever reports."""


class OtherNodesWatch:
    """`software_lost`: seconds that a software must be missing."""

    def __init__(self, software_lost: float) -> None:
        self._types: set[int | None] = set()
        """Reported ones. Bound: MAX_TYPES."""
        self._software_lost = software_lost
        self._lost: dict[str, Condition] = {}
        """By software. Bound: MAX_NAMES."""
        self._closed = Condition(PATIENCE, CALM)

    def set_patience(self, software_lost: float) -> None:
        """Report a software that is missing for so many seconds, from now on."""
        self._software_lost = software_lost
        for condition in self._lost.values():
            condition.patience = software_lost

    def check(self, snapshot: PoolSnapshot) -> Iterator[EventRecord]:
        """Yield the events to report."""
        yield from self._check_types(snapshot)
        yield from self._check_software(snapshot)
        yield from self._check_closes(snapshot)

    def _check_types(self, snapshot: PoolSnapshot) -> Iterator[EventRecord]:
        for row in snapshot.peers.census.newer_types:
            if row.kind not in self._types and len(self._types) < MAX_TYPES:
                self._types.add(row.kind)
                yield _type_event(row, snapshot.time)

    def _check_software(self, snapshot: PoolSnapshot) -> Iterator[EventRecord]:
        peers, now = snapshot.peers, snapshot.time
        if peers.incoming + peers.outgoing == 0:
            for condition in self._lost.values():  # all are lost, which is another event
                if not condition.reported:
                    condition.forget()
            return
        missing = {each.software: each for each in peers.census.lost}
        for name in missing:
            if name not in self._lost and len(self._lost) < MAX_NAMES:
                self._lost[name] = Condition(self._software_lost)
        for name, condition in list(self._lost.items()):
            transition = condition.check(name if name in missing else None, now)
            if transition is not None:
                yield _software_event(name, transition, most=missing[name].most if name in missing else 0, now=now)
            if name not in missing and not condition.reported:
                del self._lost[name]

    def _check_closes(self, snapshot: PoolSnapshot) -> Iterator[EventRecord]:
        peers, now = snapshot.peers, snapshot.time
        closes = peers.census.early_closes
        connected = peers.incoming + peers.outgoing
        transition = self._closed.check("closed" if _is_refused(closes, connected) else None, now)
        if transition is None:
            return
        if not transition.bad:
            text = f"other nodes keep new connections open again, after {format_duration(transition.lasted)}"
            yield EventRecord(now, EventKind.HANDSHAKES_KEPT, "", text, transition.details())
            return
        text = (
            f"{_nodes(closes.hosts)} closed new connections within seconds, {closes.closes} times in total; "
            f"{_nodes(connected)} connected. They may require a higher protocol than this node announces "
            f"({ANNOUNCED_PROTOCOL})"
        )
        details = {"hosts": closes.hosts, "closes": closes.closes, "connected": connected}
        yield EventRecord(now, EventKind.HANDSHAKES_CLOSED, "", text, {**transition.details(), **details})


def _is_refused(closes: EarlyCloses, connected: int) -> bool:
    if connected == 0:
        return closes.closes >= ONLY_CLOSES and closes.lasting >= ONLY_TIME
    return closes.sites >= MANY_SITES and PART_OF_ALL * closes.hosts >= closes.hosts + connected


def _type_event(row: NewerType, now: float) -> EventRecord:
    kind = f"type {row.kind}" if row.kind is not None else "several further types"
    text = (
        f"{row.peer} ({row.software}) sent the first share of {kind}; this node knows types up to "
        f"{SHARE_VERSIONS.newest}, and ignores others"
    )
    details = {
        "share_type": row.kind,
        "peer": row.peer,
        "software": row.software,
        "shares": row.shares,
        "since": row.first_seen,
    }
    return EventRecord(now, EventKind.NEWER_SHARE_TYPE, row.name, text, details)


def _software_event(name: str, transition: Transition, *, most: int, now: float) -> EventRecord:
    if transition.bad:
        away = format_duration(transition.lasted)
        text = f"no node that runs {name} has been connected for {away}; before that, up to {most} were"
        details = {**transition.details(), "software": name, "most": most}
        return EventRecord(now, EventKind.SOFTWARE_LOST, name, text, details)
    text = f"nodes that run {name} are connected again, after {format_duration(transition.lasted)}"
    return EventRecord(now, EventKind.SOFTWARE_BACK, name, text, {**transition.details(), "software": name})


def _nodes(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"
