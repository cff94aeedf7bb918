"""Derives events from the node's snapshots, blocks and bans. Pure.

`service` calls `check` every few seconds, and passes on blocks and bans as they come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Final

from p2pool.alerts.blocks import BlockWatch
from p2pool.alerts.condition import Condition, Transition
from p2pool.alerts.last_run import LastRun
from p2pool.alerts.other_nodes import OtherNodesWatch
from p2pool.alerts.votes import VoteWatch
from p2pool.alerts.workers import MAX_WORKERS, WorkerWatch
from p2pool.base.text import format_duration, format_rate, printable
from p2pool.dash.hashes import hash_hex
from p2pool.pool_stats import BanRecord, BlockRecord, EventKind, EventRecord, PoolSnapshot

AT_START: Final = 300.0
"""Seconds that Dash Core has after the node's start at least: both are often started together."""
WARM: Final = 3600.0
"""Seconds since the start before the hour's average hash rate means anything."""
HOUR_RATE: Final = 1
"""The place of the hour's average in a snapshot's `hash_rates`."""
NEW_NORMAL: Final = 86400.0
"""Seconds after which a lower hash rate is what is usual now."""
BACK: Final = 15.0
"""Percent points above the threshold at which a dropped hash rate counts as back."""
MAX_PER_HOUR: Final = 1000
"""Events of one kind in an hour: a flood of bans must not fill anybody's database. Of workers there are as many as
are watched, so that a farm that loses power is reported with its true size."""
MAX_REASON: Final = 300
SPLIT_PATIENCE: Final = 5.0
"""Seconds that most of the network's work must be refused: two shares of it show that already."""
SPLIT_CALM: Final = 600.0
"""Seconds that it must be accepted again, since a part of it comes and goes with chance."""
_OF_WORKERS: Final = (EventKind.WORKER_DOWN, EventKind.WORKER_UP)


def _threshold(default: float, *, low: float, high: float) -> Any:
    """Return a field of `Thresholds` with its range."""
    return field(default=default, metadata={"limits": (low, high)})


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The thresholds of events, in seconds; `hash_rate_drop` in percent of the hour's average."""

    worker_down: float = _threshold(600.0, low=1, high=43_200)
    hash_rate_drop: float = _threshold(50.0, low=1, high=99)
    hash_rate_drop_time: float = _threshold(300.0, low=1, high=86_400)
    dashd_lost: float = _threshold(60.0, low=1, high=86_400)
    peers_lost: float = _threshold(300.0, low=1, high=86_400)
    storage_problem: float = _threshold(10.0, low=0, high=86_400)
    software_lost: float = _threshold(600.0, low=1, high=86_400)


def threshold_limits() -> dict[str, tuple[float, float]]:
    """Return the range of each threshold by its name."""
    return {each.name: each.metadata["limits"] for each in fields(Thresholds)}


class Watch:
    """Watches the node. `expects_peers` is set if being without other nodes is a fault; `history_problem`
    returns why history is not written, None while it is; `ban_of` returns the ban of a host."""

    def __init__(
        self,
        thresholds: Thresholds,
        *,
        symbol: str,
        expects_peers: bool,
        history_problem: Callable[[], str | None] = lambda: None,
        ban_of: Callable[[str], BanRecord | None] = lambda host: None,
    ) -> None:
        self._thresholds = thresholds
        self._expects_peers = expects_peers
        self._history_problem = history_problem
        self._ban_of = ban_of
        self._blocks = BlockWatch(symbol)
        self._workers = WorkerWatch(thresholds.worker_down)
        self._dashd = Condition(thresholds.dashd_lost)
        self._had_dashd = False
        self._dashd_at_start = Condition(max(thresholds.dashd_lost, AT_START))
        """Used while Dash Core has not been there since the node was started."""
        self._peers = Condition(thresholds.peers_lost)
        self._stores = {
            "shares": Condition(thresholds.storage_problem),
            "blocks": Condition(thresholds.storage_problem),
            "history": Condition(thresholds.storage_problem),
        }
        self._votes = VoteWatch()
        self._other_nodes = OtherNodesWatch(thresholds.software_lost)
        self._split = Condition(SPLIT_PATIENCE, SPLIT_CALM)
        self._rate = Condition(thresholds.hash_rate_drop_time)
        self._baseline = self._dropped = 0.0
        """What the hash rate was before it dropped, and when it did."""
        self._counts: dict[EventKind, tuple[int, int]] = {}
        """(hour, events in it) by kind."""

    def set_thresholds(self, thresholds: Thresholds) -> None:
        """Judge by these thresholds from now on. What was reported already stays reported."""
        self._thresholds = thresholds
        self._workers.silence = thresholds.worker_down
        self._dashd.patience = thresholds.dashd_lost
        self._dashd_at_start.patience = max(thresholds.dashd_lost, AT_START)
        self._peers.patience = thresholds.peers_lost
        for condition in self._stores.values():
            condition.patience = thresholds.storage_problem
        self._other_nodes.set_patience(thresholds.software_lost)
        self._rate.patience = thresholds.hash_rate_drop_time

    # --- what happens --------------------------------------------------------------------------------------------

    def started(self, last: LastRun | None, now: float) -> EventRecord:
        """Return the event of the node's start; `last` is what is known of its previous run."""
        details: dict[str, object] = {"orderly": None}
        if last is None:
            text = "the node started, for the first time with this data directory"
        else:
            away = max(0.0, now - last.time)
            text = (
                f"the node started; it had been stopped for {format_duration(away)}"
                if last.orderly
                else (
                    "the node started; its last run did not stop cleanly (a crash, a kill or a power cut); it "
                    f"was last seen running {format_duration(away)} ago"
                )
            )
            details = {"orderly": last.orderly, "down_since": last.time, "away": away}
        return EventRecord(now, EventKind.NODE_UP, "", text, details)

    def stopping(self, uptime: float, now: float) -> EventRecord:
        """Return the event of the node's stop in order."""
        text = f"the node is stopping, after {format_duration(uptime)}"
        return EventRecord(now, EventKind.NODE_DOWN, "", text, {"uptime": uptime})

    def blocks_restored(self, records: Sequence[BlockRecord]) -> None:
        """Take note of blocks of earlier runs."""
        self._blocks.restored(records)

    def block_is_old(self, record: BlockRecord) -> None:
        """Note that this block needs no report of having been found."""
        self._blocks.is_old(record)

    def block_found(self, record: BlockRecord) -> EventRecord:
        """Return the event of a found block, whatever its status is now."""
        return self._blocks.found(record)

    def block_changed(self, record: BlockRecord, now: float) -> Iterator[EventRecord]:
        """Yield the events of a block that is new or whose status changed."""
        for event in self._blocks.changed(record, now):
            yield from self._admitted(event)

    def banned(self, host: str, now: float) -> Iterator[EventRecord]:
        """Yield the event of a ban of a miner's host."""
        ban = self._ban_of(host)
        why = "" if ban is None else f" for {format_duration(ban.until - ban.since)}: {ban.reason}"
        details = {"host": host} if ban is None else {"host": host, "until": ban.until, "reason": ban.reason}
        yield from self._admitted(EventRecord(now, EventKind.BAN, host, f"{host} is banned{why}", details))

    # --- checks -------------------------------------------------------------------------------------------

    def check(self, snapshot: PoolSnapshot) -> Iterator[EventRecord | None]:
        """Yield what happened since the last check, in steps of a few milliseconds at most; None between two
        steps."""
        for check in (
            self._check_dashd,
            self._check_peers,
            self._check_stores,
            self._check_rate,
            self._votes.check,
            self._other_nodes.check,
            self._check_split,
        ):
            for event in check(snapshot):
                yield from self._admitted(event)
        yield None
        for found in self._workers.check(snapshot.workers, snapshot.time):
            # One that is not admitted is a step as well: thousands may follow.
            yield None if found is None else next(self._admitted(found), None)

    def _admitted(self, event: EventRecord) -> Iterator[EventRecord]:
        """Yield the event, unless there were too many of its kind within this hour."""
        hour = int(event.time // 3600)
        last, count = self._counts.get(event.kind, (hour, 0))
        count = count + 1 if last == hour else 1
        self._counts[event.kind] = hour, count
        if count <= (MAX_WORKERS if event.kind in _OF_WORKERS else MAX_PER_HOUR):
            yield event

    def _check_dashd(self, snapshot: PoolSnapshot) -> Iterator[EventRecord]:
        problem = snapshot.dashd.problem
        self._had_dashd = self._had_dashd or problem is None
        is_lost = self._had_dashd and not self._dashd_at_start.reported
        transition = (self._dashd if is_lost else self._dashd_at_start).check(problem, snapshot.time)
        if transition is not None:
            reason = printable(transition.reason, MAX_REASON)
            yield _event(
                transition,
                time=snapshot.time,
                kinds=(EventKind.DASHD_LOST, EventKind.DASHD_BACK),
                bad=f"no fresh work from Dash Core for {format_duration(transition.lasted)}: {reason}",
                good=f"Dash Core provides work again, after {format_duration(transition.lasted)}",
                details={"reason": reason},
            )

    def _check_peers(self, snapshot: PoolSnapshot) -> Iterator[EventRecord]:
        if not self._expects_peers:
            return
        alone = "no other node is connected" if snapshot.peers.incoming + snapshot.peers.outgoing == 0 else None
        transition = self._peers.check(alone, snapshot.time)
        if transition is not None:
            lasted = format_duration(transition.lasted)
            yield _event(
                transition,
                time=snapshot.time,
                kinds=(EventKind.PEERS_LOST, EventKind.PEERS_BACK),
                bad=f"no other node has been connected for {lasted}: miners get no work",
                good=f"other nodes are connected again, after {lasted}",
            )

    def _check_stores(self, snapshot: PoolSnapshot) -> Iterator[EventRecord]:
        problems = {
            "shares": snapshot.chain.store_problem,
            "blocks": snapshot.dashd.spool_problem,
            "history": self._history_problem(),
        }
        for what, problem in problems.items():
            transition = self._stores[what].check(problem, snapshot.time)
            if transition is not None:
                reason = printable(transition.reason, MAX_REASON)
                yield _event(
                    transition,
                    time=snapshot.time,
                    kinds=(EventKind.STORAGE_PROBLEM, EventKind.STORAGE_BACK),
                    subject=what,
                    bad=f"{what} cannot be written: {reason}",
                    good=f"{what} can be written again",
                    details={"what": what, "reason": reason},
                )

    def _check_split(self, snapshot: PoolSnapshot) -> Iterator[EventRecord]:
        refused = snapshot.chain.refused
        transition = self._split.check(refused.problem, snapshot.time)
        if transition is None:
            return
        leading = refused.branches[0] if refused.branches else None
        details: dict[str, object] = {"part": refused.part, "part_since": refused.part_since}
        if leading is not None:
            details |= {"reason": leading.reason, "first_share": hash_hex(leading.first_share)}
            details["software"] = ", ".join(leading.software)
        lasted = format_duration(transition.lasted)
        good = f"this node accepts most of the network's work again, after {lasted}"
        kinds = EventKind.CHAIN_SPLIT, EventKind.CHAIN_JOINED
        yield _event(
            transition, time=snapshot.time, kinds=kinds, bad=transition.reason, good=good, details=details
        )

    def _check_rate(self, snapshot: PoolSnapshot) -> Iterator[EventRecord]:
        now, rate, average = snapshot.time, snapshot.hash_rate, snapshot.hash_rates[HOUR_RATE]
        percent = self._thresholds.hash_rate_drop
        if not self._rate.reported:
            if now - snapshot.start_time < WARM or average <= 0:
                self._rate.forget()
                return
            low = rate < average * percent / 100
            if not low or not self._baseline:
                self._baseline = average  # the average falls as well: the one from before counts
        else:
            low = rate < self._baseline * min(percent + BACK, 100) / 100
        reason = f"{format_rate(rate)} instead of {format_rate(self._baseline)}" if low else None
        transition = self._rate.check(reason, now)
        if transition is not None:
            yield self._rate_event(transition, rate, now)
        elif low and self._rate.reported and now - self._dropped > NEW_NORMAL:
            self._rate.forget()

    def _rate_event(self, transition: Transition, rate: float, now: float) -> EventRecord:
        if transition.bad:
            self._dropped = now
        return _event(
            transition,
            time=now,
            kinds=(EventKind.HASH_RATE_DROP, EventKind.HASH_RATE_BACK),
            bad=(
                f"this node's hash rate fell to {format_rate(rate)}, from an average of "
                f"{format_rate(self._baseline)}"
            ),
            good=(
                f"this node's hash rate is back at {format_rate(rate)}, after {format_duration(transition.lasted)}"
            ),
            details={"hash_rate": rate, "average": self._baseline},
        )


def _event(
    transition: Transition,
    *,
    time: float,
    kinds: tuple[EventKind, EventKind],
    bad: str,
    good: str,
    subject: str = "",
    details: Mapping[str, object] = MappingProxyType({}),
) -> EventRecord:
    """Return the event of a change: the first of `kinds` and the text `bad`, or the second and `good`."""
    kind, text = (kinds[0], bad) if transition.bad else (kinds[1], good)
    return EventRecord(time, kind, subject, text, {**transition.details(), **details})
