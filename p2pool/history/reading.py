"""Queries of the database, each answered in a thread. The cost of each is that of its answer: a series is looked
up at the times that it can have, sums over a range are taken of the coarsest tiers that make it up.

Raises HistoryProblem if the database fails.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, Connection, Select, Table, and_, cast, func, select, union_all

from p2pool.history import schema
from p2pool.history.bins import Bins
from p2pool.history.database import HistoryDatabase
from p2pool.history.records import COUNTS, MEANS, TIERS, Page, Points, SeriesKind, Tier

MAX_PERIODS: Final = 1500
"""Periods of one tier that a series is made of."""
TIMES_AT_ONCE: Final = 500
"""Times in one statement."""


@dataclass(frozen=True, slots=True)
class Span:
    """What a query covers: the samples of `node` from `start` to `end`, asked at `now`. Unix seconds."""

    node: int
    start: float
    end: float
    now: float


@dataclass(frozen=True, slots=True)
class Stretch:
    """Periods of one tier that begin from `start` on, before `end`."""

    tier: Tier
    start: int
    end: int


def find_node(database: HistoryDatabase, name: str | None) -> int | None:
    """Return the number of a node that writes to the same database, of this node for None; None if there is no
    such node."""
    if name is None:
        return database.node
    table = schema.nodes
    with database.reading() as connection:
        found: int | None = connection.execute(
            select(table.c.id).where(table.c.name == schema.storable(name))
        ).scalar_one_or_none()
        return found


def oldest(database: HistoryDatabase, node: int) -> float | None:
    """Return when the oldest period of a node began; None before the first."""
    table = schema.pool_samples
    with database.reading() as connection:
        found = [
            connection.execute(
                select(func.min(table.c.time)).where(table.c.node == node, table.c.step == tier.step)
            ).scalar_one_or_none()
            for tier in TIERS
        ]
    return min((float(each) for each in found if each is not None), default=None)


def oldest_listed(database: HistoryDatabase, node: int) -> float | None:
    """Return the time of the oldest entry that lists have: blocks are kept for longer than samples."""
    table = schema.blocks
    with database.reading() as connection:
        block = connection.execute(select(func.min(table.c.time)).where(table.c.node == node)).scalar_one_or_none()
    return min((each for each in (block, oldest(database, node)) if each is not None), default=None)


# --- which tiers make up a span -------------------------------------------------------------------------------


def tier_for(span: Span) -> Tier:
    """Return the finest tier that reaches back to the start and has no more than MAX_PERIODS in the span."""
    for tier in TIERS:
        if _reaches(tier, span, span.start) and (span.end - span.start) / tier.step <= MAX_PERIODS:
            return tier
    return TIERS[-1]


def _reaches(tier: Tier, span: Span, time: float) -> bool:
    return tier.kept is None or span.now - time <= tier.kept


def _newest(connection: Connection, span: Span) -> dict[int, int]:
    """Return up to when each tier is made, by its step; what a wrong clock put into the future does not count."""
    table = schema.pool_samples
    made = {}
    for tier in TIERS:
        last = connection.execute(
            select(func.max(table.c.time)).where(
                table.c.node == span.node, table.c.step == tier.step, table.c.time <= span.now
            )
        ).scalar_one_or_none()
        if last is not None:
            made[tier.step] = last + tier.step
    return made


def fine_stretches(connection: Connection, span: Span, tier: Tier) -> list[Stretch]:
    """Return a span as periods of `tier` and, if those are not made yet, of the finer ones, down to the
    samples."""
    newest, found = _newest(connection, span), []
    at = int(span.start) // tier.step * tier.step
    for each in reversed(TIERS[: TIERS.index(tier) + 1]):
        end = min(int(span.end), newest.get(each.step, at))
        if at < end:
            found.append(Stretch(each, at, end))
            at += -(-(end - at) // each.step) * each.step
    return found


def coarse_stretches(connection: Connection, span: Span) -> list[Stretch]:
    """Return a span as few periods: those of the coarsest tier that are within it, and finer ones at both ends."""
    newest = _newest(connection, span)
    return list(_cover(span, newest, len(TIERS) - 1, start=span.start, end=span.end))


def _cover(span: Span, newest: dict[int, int], level: int, *, start: float, end: float) -> Iterator[Stretch]:
    tier = TIERS[level]
    first = -(-int(start) // tier.step) * tier.step
    finest = level == 0 or not _reaches(TIERS[level - 1], span, start)
    if finest:
        first = int(start) // tier.step * tier.step
    last = min(int(end) // tier.step * tier.step, newest.get(tier.step, first))
    if level == 0:
        last = min(int(end), newest.get(tier.step, first))
    if first >= last:
        if level > 0:
            yield from _cover(span, newest, level - 1, start=start, end=end)
        return
    if not finest and start < first:
        yield from _cover(span, newest, level - 1, start=start, end=first)
    yield Stretch(tier, first, last)
    if level > 0 and last < end:
        yield from _cover(span, newest, level - 1, start=last, end=end)


# --- series ---------------------------------------------------------------------------------------------------


def read_pool(database: HistoryDatabase, span: Span, *, figures: Sequence[str], points: int) -> Points:
    """Return figures of POOL_FIGURES as at most `points` points and one."""
    table = schema.pool_samples
    columns = [table.c[name] for name in figures]
    tier = tier_for(span)
    bins = Bins(figures, start=span.start, end=span.end, step=tier.step, points=points)
    with database.reading() as connection:
        for stretch in fine_stretches(connection, span, tier):
            rows = connection.execute(_of_pool(span, stretch, table.c.time, table.c.seconds, *columns))
            for time, seconds, *values in rows:
                bins.add(time, seconds, values)
    return bins.points()


def _of_pool(span: Span, stretch: Stretch, *columns: ColumnElement[Any]) -> Select[Any]:
    table = schema.pool_samples
    return select(*columns).where(
        table.c.node == span.node,
        table.c.step == stretch.tier.step,
        table.c.time >= stretch.start,
        table.c.time < stretch.end,
    )


def read_series(
    database: HistoryDatabase, span: Span, *, kind: SeriesKind, name: str, figures: Sequence[str], points: int
) -> Points | None:
    """Return figures of SERIES_FIGURES as at most `points` points and one; None if there is no such series."""
    table, tier = schema.series_samples, tier_for(span)
    columns = [table.c[each] for each in figures]
    bins = Bins(figures, start=span.start, end=span.end, step=tier.step, points=points)
    with database.reading() as connection:
        number = database.series_number(connection, kind, name, node=span.node)
        if number is None:
            return None
        for stretch in fine_stretches(connection, span, tier):
            step, pool = stretch.tier.step, schema.pool_samples
            ran = {
                row.time: row.seconds
                for row in connection.execute(_of_pool(span, stretch, pool.c.time, pool.c.seconds))
            }
            for time, seconds in ran.items():
                bins.ran(time, seconds)
            times = list(ran)
            for first in range(0, len(times), TIMES_AT_ONCE):
                rows = connection.execute(
                    select(table.c.time, *columns).where(
                        table.c.step == step,
                        table.c.kind == kind,
                        table.c.time.in_(times[first : first + TIMES_AT_ONCE]),
                        table.c.series == number,
                    )
                )
                for time, *values in rows:
                    bins.add(time, ran[time], values)
    return bins.points()


def read_top(database: HistoryDatabase, span: Span, kind: SeriesKind, *, limit: int) -> list[dict[str, Any]]:
    """Return the series with the greatest mean hash rates over a span: name, hash_rate, dead_rate, and COUNTS."""
    table, series, pool = schema.series_samples, schema.series, schema.pool_samples
    with database.reading() as connection:
        parts, seconds = [], 0
        for stretch in coarse_stretches(connection, span):
            step = stretch.tier.step
            seconds += connection.execute(_of_pool(span, stretch, func.sum(pool.c.seconds))).scalar_one() or 0
            parts.append(
                select(
                    table.c.series,
                    *(func.sum(table.c[name] * pool.c.seconds).label(name) for name in MEANS),
                    *(func.sum(table.c[name]).label(name) for name in COUNTS),
                )
                .select_from(pool)
                .join(table, and_(table.c.step == pool.c.step, table.c.time == pool.c.time))
                .where(
                    pool.c.node == span.node,
                    pool.c.step == step,
                    pool.c.time >= stretch.start,
                    pool.c.time < stretch.end,
                    table.c.kind == kind,
                )
                .group_by(table.c.series)
            )
        if not parts or not seconds:
            return []
        whole = union_all(*parts).subquery()
        sums = [func.sum(whole.c[name]).label(name) for name in (*MEANS, *COUNTS)]
        rows = connection.execute(
            select(series.c.name, *sums)
            .join(series, series.c.id == whole.c.series)
            .where(series.c.node == span.node)
            .group_by(series.c.name)
            .order_by(sums[0].desc(), series.c.name)
            .limit(limit)
        ).mappings()
        return [
            {"name": row["name"]}
            | {name: row[name] / seconds for name in MEANS}
            | {name: int(row[name]) for name in COUNTS}
            for row in rows
        ]


# --- lists ----------------------------------------------------------------------------------------------------


def read_blocks(database: HistoryDatabase, span: Span, *, offset: int, limit: int) -> Page:
    """Return blocks of the pool, with their rounds as far as known (`start`, `time_to_find`, ...; else None)."""
    table, rounds = schema.blocks, schema.rounds
    joined = table.outerjoin(rounds, (rounds.c.node == table.c.node) & (rounds.c.hash == table.c.hash))
    known = [column for column in rounds.c if column.name not in ("node", "hash")]
    statement = select(*table.c, *known).select_from(joined)
    return _page(database, span, _Listing(statement, table, table.c.hash), offset=offset, limit=limit)


def read_payouts(database: HistoryDatabase, span: Span, *, address: str, offset: int, limit: int) -> Page:
    """Return what blocks paid an address: `amount` in duffs, with the block's `height`, `status` and
    `confirmations`, and `transaction`, its coinbase."""
    table, blocks, coinbases = schema.payouts, schema.blocks, schema.coinbases
    joined = table.join(blocks, (blocks.c.node == table.c.node) & (blocks.c.hash == table.c.hash)).join(
        coinbases, (coinbases.c.node == table.c.node) & (coinbases.c.hash == table.c.hash)
    )
    of_block = (blocks.c.height, blocks.c.status, blocks.c.confirmations, coinbases.c.transaction)
    statement = select(table.c.time, table.c.hash, table.c.amount, *of_block).select_from(joined)
    statement = statement.where(table.c.address == schema.storable(address))
    return _page(database, span, _Listing(statement, table, table.c.hash), offset=offset, limit=limit)


def read_income(database: HistoryDatabase, span: Span, address: str) -> list[dict[str, Any]]:
    """Return what blocks paid an address by UTC day and by what became of them, the newest day first: `day` (Unix
    seconds), `status`, `blocks`, `amount` (duffs)."""
    table, blocks = schema.payouts, schema.blocks
    joined = table.join(blocks, (blocks.c.node == table.c.node) & (blocks.c.hash == table.c.hash))
    total = cast(func.sum(table.c.amount), BigInteger)  # PostgreSQL's sums are of another type
    statement = (
        select(table.c.day, blocks.c.status, func.count().label("blocks"), total.label("amount"))
        .select_from(joined)
        .where(table.c.node == span.node, table.c.address == schema.storable(address))
        .where(table.c.time >= span.start, table.c.time <= span.end)
        .group_by(table.c.day, blocks.c.status)
        .order_by(table.c.day.desc())
    )
    with database.reading() as connection:
        return [dict(row) for row in connection.execute(statement).mappings()]


def read_shares(database: HistoryDatabase, span: Span, *, worker: str | None, offset: int, limit: int) -> Page:
    """Return shares that this node's miners found; those of a worker, or of all workers of an address."""
    table = schema.shares
    statement = select(*table.c)
    if worker is not None:
        worker = schema.storable(worker)
        own = table.c.worker == worker
        if "." not in worker:
            own |= table.c.worker.startswith(f"{worker}.", autoescape=True)
        statement = statement.where(own)
    return _page(database, span, _Listing(statement, table, table.c.hash), offset=offset, limit=limit)


def read_events(database: HistoryDatabase, span: Span, *, kind: str | None, offset: int, limit: int) -> Page:
    """Return events, of one kind or of all."""
    table = schema.events
    statement = select(*table.c)
    if kind is not None:
        statement = statement.where(table.c.kind == kind)
    page = _page(database, span, _Listing(statement, table, table.c.id), offset=offset, limit=limit)
    for row in page.rows:
        row["details"] = _details(row["details"])
    return page


def _details(text: object) -> Any:
    """Return the details that were written, {} if another program wrote something malformed."""
    try:
        return json.loads(str(text))
    except (ValueError, RecursionError):
        return {}


@dataclass(frozen=True, slots=True)
class _Listing:
    """The rows of `table` that `statement` selects, ordered by time and then by `tie_breaker`."""

    statement: Select[Any]
    table: Table
    tie_breaker: ColumnElement[Any]


def _page(database: HistoryDatabase, span: Span, listing: _Listing, *, offset: int, limit: int) -> Page:
    """Return a page of a listing within a span, the newest first."""
    node, time = listing.table.c.node, listing.table.c.time
    within = listing.statement.where(node == span.node, time >= span.start, time <= span.end)
    order = time.desc(), listing.tie_breaker.desc()
    with database.reading() as connection:
        total = connection.execute(select(func.count()).select_from(within.subquery())).scalar_one()
        rows = connection.execute(within.order_by(*order).offset(offset).limit(limit)).mappings()
        return Page(total, [dict(row) for row in rows])


def read_rounds(database: HistoryDatabase, node: int, limit: int) -> list[dict[str, Any]]:
    """Return the newest rounds, the oldest of them first; fields as the table's."""
    table, blocks = schema.rounds, schema.blocks
    joined = table.join(blocks, (blocks.c.node == table.c.node) & (blocks.c.hash == table.c.hash))
    statement = select(*table.c).select_from(joined).where(table.c.node == node)
    with database.reading() as connection:
        rows = connection.execute(statement.order_by(blocks.c.time.desc()).limit(limit)).mappings()
        return [dict(row) for row in rows][::-1]
