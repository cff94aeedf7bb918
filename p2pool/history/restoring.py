"""What a starting node loads from earlier runs: the samples of the last month, for graphs and luck, and the
rounds of blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select

from p2pool.history import schema
from p2pool.history.database import HistoryDatabase
from p2pool.history.reading import TIMES_AT_ONCE, Span, read_rounds, read_top
from p2pool.history.records import DAY, HOUR, POOL_FIGURES, TIERS, RoundFigures, SeriesKind, Tier

RESTORED: Final = tuple(zip(TIERS[:3], (HOUR, DAY, 30 * DAY), (TIERS[0], TIERS[1], TIERS[3]), strict=True))
"""The tiers that graphs in memory are made of, how far back they reach, in seconds, and the tiers that their
figures by name are taken from: a month in steps of ten minutes for sixty names would take seconds."""
NAMES: Final = 20
"""Series of a kind that are loaded, the strongest of each reach."""
MAX_ROUNDS: Final = 2000


@dataclass(frozen=True, slots=True)
class RestoredSample:
    """One period that began at `start`: POOL_FIGURES in their order, and figures of series by name."""

    start: float
    pool: Sequence[float | None]
    workers: Mapping[str, float]
    dead: Mapping[str, float]
    payouts: Mapping[str, float]
    versions: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Restored:
    """Samples by their step in seconds, the oldest first, and rounds, the oldest first as well."""

    samples: Mapping[int, Sequence[RestoredSample]]
    rounds: Sequence[RoundFigures]


def read_restored(database: HistoryDatabase, now: float) -> Restored:
    """Return all that a starting node loads. Raises HistoryProblem."""
    return Restored(
        {
            tier.step: _samples(database, Span(database.node, now - reach, now, now), tier=tier, named=named)
            for tier, reach, named in RESTORED
        },
        [_round(row) for row in read_rounds(database, database.node, MAX_ROUNDS)],
    )


def _samples(database: HistoryDatabase, span: Span, *, tier: Tier, named: Tier) -> list[RestoredSample]:
    table = schema.pool_samples
    columns = [table.c[name] for name in POOL_FIGURES]
    with database.reading() as connection:
        rows = connection.execute(
            select(table.c.time, *columns)
            .where(
                table.c.node == span.node,
                table.c.step == tier.step,
                table.c.time >= span.start,
                table.c.time <= span.now,
            )
            .order_by(table.c.time)
        ).all()
    times = sorted({row[0] // named.step * named.step for row in rows})
    workers, dead = _by_time(database, span, SeriesKind.WORKER, "hash_rate", "dead_rate", tier=named, times=times)
    (payouts,) = _by_time(database, span, SeriesKind.ADDRESS, "payout", tier=named, times=times)
    (versions,) = _by_time(database, span, SeriesKind.VERSION, "hash_rate", tier=named, times=times)
    restored = []
    for time, *values in rows:
        at = time // named.step * named.step
        by_name = (each.get(at, {}) for each in (workers, dead, payouts, versions))
        restored.append(RestoredSample(float(time), values, *by_name))
    return restored


def _by_time(
    database: HistoryDatabase, span: Span, kind: SeriesKind, *figures: str, tier: Tier, times: Sequence[int]
) -> list[dict[int, dict[str, float]]]:
    """Return for each figure the strongest series' numbers by time and name, those that are not 0."""
    table, series = schema.series_samples, schema.series
    found: list[dict[int, dict[str, float]]] = [{} for _ in figures]
    strongest = [row["name"] for row in read_top(database, span, kind, limit=NAMES)]
    with database.reading() as connection:
        selected = select(series.c.id, series.c.name).where(
            series.c.node == span.node, series.c.kind == kind, series.c.name.in_(strongest)
        )
        names = {row.id: row.name for row in connection.execute(selected)}
        for first in range(0, len(times), TIMES_AT_ONCE):
            rows = connection.execute(
                select(table.c.time, table.c.series, *(table.c[figure] for figure in figures)).where(
                    table.c.step == tier.step,
                    table.c.kind == kind,
                    table.c.time.in_(times[first : first + TIMES_AT_ONCE]),
                    table.c.series.in_(names),
                )
            )
            for time, number, *values in rows:
                for by_time, value in zip(found, values, strict=True):
                    if value:
                        by_time.setdefault(time, {})[names[number]] = value
    return found


def _round(row: Mapping[str, Any]) -> RoundFigures:
    known = ("time_to_find", "difficulty", "expected_work", "actual_work", "method")
    return RoundFigures(int(row["hash"], 16), int(row["start"], 16), *(row[name] for name in known))
