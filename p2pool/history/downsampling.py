"""Downsampling: each tier's periods are made of the tier before it, once they are over. Retention: what is older
than its tier, or the whole history, is kept is removed.

Called in the thread that writes. Everything is done in portions, between which others may read, and can be
repeated after a crash: the tables tell what was rolled up.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Integer, and_, case, delete, func, literal_column, select, union

from p2pool.history import schema
from p2pool.history.database import HistoryDatabase, insert_new
from p2pool.history.records import COUNTS, LEVELS, MEANS, PERIOD, POOL_FIGURES, TIERS, SeriesKind, Tier

PERIODS_AT_ONCE: Final = 60
"""Periods that one transaction rolls up, or removes."""
TRANSACTIONS: Final = 100
"""Transactions of each kind that one call makes: the rest is left to the next one."""
_GRACE: Final = 2 * PERIOD
"""Seconds after the end of a period until its last sample is written."""


def roll_up(database: HistoryDatabase, written_to: float) -> int:
    """Make the periods of all coarser tiers that ended before `written_to` (the time up to which all samples are
    written). Returns how many transactions that took. Raises HistoryProblem."""
    done = 0
    for source, tier in pairwise(TIERS):
        for _ in range(TRANSACTIONS):
            if not _roll_up_some(database, source, tier, written_to=written_to):
                break
            done += 1
    return done


def _roll_up_some(database: HistoryDatabase, source: Tier, tier: Tier, *, written_to: float) -> bool:
    """Make the next few periods of one tier; return False if there are none."""
    table, node, step = schema.pool_samples, database.node, tier.step
    with database.writing() as connection:
        # Periods that a wrong clock put into the future must not stop the others.
        made = [table.c.node == node, table.c.step == step, table.c.time < written_to]
        last = _time(connection, func.max(table.c.time), *made)
        missing = [table.c.node == node, table.c.step == source.step]
        if last is not None:
            missing.append(table.c.time >= last + step)
        first = _time(connection, func.min(table.c.time), *missing)
        if first is None:
            return False
        start = first // step * step
        end = min(start + PERIODS_AT_ONCE * step, int(written_to - _GRACE) // step * step)
        if end <= start:
            return False
        periods = _Periods(node=node, source=source.step, step=step, start=start, end=end)
        _roll_up_pool(connection, periods)
        _roll_up_series(connection, periods)
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Periods:
    """Periods of a node to be made in one transaction: of `step` seconds, from `start` to `end`, out of those of
    `source` seconds."""

    node: int
    source: int
    step: int
    start: int
    end: int


def _time(connection: Connection, what: ColumnElement[Any], *conditions: ColumnElement[bool]) -> int | None:
    found: int | None = connection.execute(select(what).where(*conditions)).scalar_one_or_none()
    return found


def _roll_up_pool(connection: Connection, periods: _Periods) -> None:
    table = schema.pool_samples
    period = _period(table.c.time, periods.step)
    means = (
        select(
            *(table.c.node, _whole(periods.step), period, func.sum(table.c.seconds)),
            *(_mean(table.c[name], table.c.seconds) for name in POOL_FIGURES),
        )
        .where(
            table.c.node == periods.node,
            table.c.step == periods.source,
            table.c.time >= periods.start,
            table.c.time < periods.end,
        )
        .group_by(table.c.node, period)
    )
    names = ["node", "step", "time", "seconds", *POOL_FIGURES]
    connection.execute(insert_new(connection, table).from_select(names, means))


def _roll_up_series(connection: Connection, periods: _Periods) -> None:
    """Make the periods of all series. Means are over all the time that the node ran in a period: a worker that was
    away for half of it counts as idle in that half."""
    node, source, step, start, end = periods.node, periods.source, periods.step, periods.start, periods.end
    pool, table, series = schema.pool_samples, schema.series_samples, schema.series
    taken = (
        select(_period(pool.c.time, step).label("period"), func.sum(pool.c.seconds).label("seconds"))
        .where(pool.c.node == node, pool.c.step == source, pool.c.time >= start, pool.c.time < end)
        .group_by(_period(pool.c.time, step))
        .subquery()
    )
    period = _period(table.c.time, step)
    names = ["step", "kind", "time", "series", *MEANS, *LEVELS, *COUNTS]
    for kind in SeriesKind:
        rows = (
            select(
                _whole(step),
                table.c.kind,
                period,
                table.c.series,
                *(func.sum(table.c[name] * pool.c.seconds) / func.max(taken.c.seconds) for name in MEANS),
                *(_mean(table.c[name], pool.c.seconds) for name in LEVELS),
                *(func.sum(table.c[name]) for name in COUNTS),
            )
            .join(series, and_(series.c.id == table.c.series, series.c.node == node))
            .join(taken, taken.c.period == period)
            .join(pool, and_(pool.c.node == node, pool.c.step == table.c.step, pool.c.time == table.c.time))
            .where(table.c.step == source, table.c.kind == kind, table.c.time >= start, table.c.time < end)
            .group_by(table.c.kind, period, table.c.series)
        )
        connection.execute(insert_new(connection, table).from_select(names, rows))


def _mean(column: ColumnElement[Any], seconds: ColumnElement[int]) -> ColumnElement[Any]:
    """Return the mean over the seconds in which the column is known."""
    return func.sum(column * seconds) / func.sum(case((column.is_not(None), seconds)))


def _whole(value: int) -> ColumnElement[int]:
    """Return a number as a literal of the statement: PostgreSQL treats two parameters as different, even if
    they are equal, and would not group by them."""
    return literal_column(str(value), Integer)


def _period(column: ColumnElement[Any], step: int) -> ColumnElement[int]:
    """Return the start of the period that a time is in."""
    return column // _whole(step) * _whole(step)


# --- removing -----------------------------------------------------------------------------------------------


def remove_old(database: HistoryDatabase, now: float, retention: float) -> int:
    """Remove what is older than its tier is kept, and all but blocks that is older than `retention` (seconds).
    Returns how many transactions that took. Raises HistoryProblem."""
    done = 0
    for tier in TIERS:
        kept = retention if tier.kept is None else min(retention, tier.kept)
        before = int(now - kept) // tier.step * tier.step
        for _ in range(TRANSACTIONS):
            if not _remove_some(database, tier.step, before):
                break
            done += 1
    with database.writing() as connection:
        for table in (schema.shares, schema.events, schema.payouts):
            connection.execute(delete(table).where(table.c.node == database.node, table.c.time < now - retention))
    return done


def _remove_some(database: HistoryDatabase, step: int, before: int) -> bool:
    """Remove the oldest periods of one tier; return False if none is older than `before`."""
    pool, table, node = schema.pool_samples, schema.series_samples, database.node
    with database.writing() as connection:
        oldest = _time(connection, func.min(pool.c.time), pool.c.node == node, pool.c.step == step)
        if oldest is None or oldest >= before:
            return False
        end = min(before, oldest + PERIODS_AT_ONCE * step)
        own = select(schema.series.c.id).where(schema.series.c.node == node)
        for kind in SeriesKind:
            connection.execute(
                delete(table).where(
                    table.c.step == step, table.c.kind == kind, table.c.time < end, table.c.series.in_(own)
                )
            )
        connection.execute(delete(pool).where(pool.c.node == node, pool.c.step == step, pool.c.time < end))
        return True


def remove_forgotten_series(database: HistoryDatabase, now: float) -> None:
    """Remove the names of series without any sample left. Raises HistoryProblem."""
    table, series = schema.series_samples, schema.series
    # A newer tier's samples are not in the coarser ones yet.
    reach = {finer.step: now - 2 * coarser.step for finer, coarser in pairwise(TIERS)}
    used = union(
        *(
            select(table.c.series).where(
                table.c.step == tier.step, table.c.kind == kind, table.c.time >= int(reach.get(tier.step, 0))
            )
            for tier in TIERS
            for kind in SeriesKind
        )
    )
    with database.writing() as connection:
        connection.execute(delete(series).where(series.c.node == database.node, series.c.id.not_in(used)))
    database.forget_series()
