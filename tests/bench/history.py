"""`python -m tests.bench history`: a year of history of a thousand workers: how large it is, how long each
question of the pages takes, and writing, rolling up and removing."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from p2pool.history.database import HistoryDatabase, parse_database_location
from p2pool.history.downsampling import remove_forgotten_series, remove_old, roll_up
from p2pool.history.reading import Span, read_blocks, read_events, read_pool, read_series, read_shares, read_top
from p2pool.history.records import (
    DAY,
    HOUR,
    PERIOD,
    POOL_FIGURES,
    SERIES_FIGURES,
    TIERS,
    HistorySample,
    SeriesKind,
)
from p2pool.history.restoring import read_restored
from p2pool.history.writing import SampleWriter
from p2pool.pool_stats import BlockRecord, EventKind, EventRecord, ShareRecord, WorkerSnapshot
from tests.bench.measure import Table

NOW = 1_767_225_600 + 15 * HOUR
"""In the middle of a day."""
WORKERS, ADDRESSES = 1000, 100
DAYS = 365
SHARES_A_DAY, EVENTS_A_DAY, BLOCKS_A_DAY = 400, 40, 5
ROUNDS = 5
QUERY_AIM_MS = 100.0


def worker_names() -> list[str]:
    """ADDRESSES addresses have WORKERS workers."""
    return [f"XaddressOfThirtyFourCharacters{number % ADDRESSES:04d}.rig{number:04d}" for number in range(WORKERS)]


def fill(database: HistoryDatabase) -> None:
    """What a node that ran for a year would have kept, as its rows."""
    names = worker_names()
    with database.writing() as connection:
        numbers = {
            SeriesKind.WORKER: database.series_numbers(connection, SeriesKind.WORKER, names),
            SeriesKind.ADDRESS: database.series_numbers(
                connection, SeriesKind.ADDRESS, sorted({name.partition(".")[0] for name in names})
            ),
            SeriesKind.VERSION: database.series_numbers(connection, SeriesKind.VERSION, ["16"]),
        }
    rng = random.Random(8)
    for tier in TIERS:
        reach = DAYS * DAY if tier.kept is None else tier.kept
        end = NOW // tier.step * tier.step
        times = range(end - reach // tier.step * tier.step, end, tier.step)
        for first in range(0, len(times), 200):
            _insert(database, times[first : first + 200], tier.step, numbers, rng)
    _insert_lists(database, names, rng)


def _insert(
    database: HistoryDatabase,
    times: range,
    step: int,
    numbers: dict[SeriesKind, dict[str, int]],
    rng: random.Random,
) -> None:
    # By the driver itself: eighteen million rows.
    pool = f"INSERT INTO pool_samples VALUES ({','.join('?' * (4 + len(POOL_FIGURES)))})"
    series = f"INSERT INTO series_samples VALUES ({','.join('?' * (4 + len(SERIES_FIGURES)))})"
    with database.writing() as connection:
        driver: Any = connection.connection.driver_connection
        driver.executemany(pool, [(database.node, step, each, step, *_figures(rng)) for each in times])
        driver.executemany(series, _series_rows(times, step, numbers, rng))


def _figures(rng: random.Random) -> list[float]:
    return [rng.random() * 1e12 for _ in POOL_FIGURES]


def _series_rows(
    times: range, step: int, numbers: dict[SeriesKind, dict[str, int]], rng: random.Random
) -> Iterator[tuple[object, ...]]:
    for each in times:
        for kind, named in numbers.items():
            for number in named.values():
                rate = rng.random() * 1e12
                counted = (step // 10, 0, int(rng.random() * 2), 0, 0, 0, 0)
                payout = rng.random() if kind is SeriesKind.ADDRESS else None
                yield (step, int(kind), each, number, rate, rate / 100, 64.0, payout, *counted)


def _insert_lists(database: HistoryDatabase, names: list[str], rng: random.Random) -> None:
    count = DAYS * SHARES_A_DAY
    shares = [
        ShareRecord(NOW - DAYS * DAY * (1 - n / count), rng.getrandbits(256), rng.choice(names), False, 10**9)
        for n in range(count)
    ]
    count = DAYS * EVENTS_A_DAY
    events = [
        EventRecord(NOW - DAYS * DAY * (1 - n / count), EventKind.WORKER_DOWN, rng.choice(names), "it is down")
        for n in range(count)
    ]
    count = DAYS * BLOCKS_A_DAY
    blocks = [
        BlockRecord(NOW - DAYS * DAY * (1 - n / count), rng.getrandbits(256), n, rng.choice(names), None, 10**8)
        for n in range(count)
    ]
    empty = dict.fromkeys(POOL_FIGURES)
    SampleWriter(database).write(
        [HistorySample(NOW - DAYS * DAY - DAY, empty, shares=shares, blocks=blocks)], events
    )


def _worker(name: str, accepted: int, now: float) -> WorkerSnapshot:
    return WorkerSnapshot(name, 1, 64.0, 1e12, 0.0, (1.0, 1.0, 1.0), accepted, 0, {}, 0, 0, now, now, "x")


def minute_of_samples(after: float) -> list[HistorySample]:
    """Six samples of all workers, each of whom did something."""
    return [
        HistorySample(
            after + number * PERIOD,
            dict.fromkeys(POOL_FIGURES, 1.0),
            [
                WorkerSnapshot(
                    name, 1, 64.0, 1e12, 0.0, (1.0, 1.0, 1.0), 100 + number, 0, {}, 0, 0, after, after, "x"
                )
                for name in worker_names()
            ],
            {},
            {"16": 1e12},
        )
        for number in range(int(60 / PERIOD))
    ]


def _once(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _best(function: Callable[[], object]) -> float:
    return min(_once(function) for _ in range(ROUNDS))


def questions(database: HistoryDatabase) -> dict[str, Callable[[], object]]:
    """What the pages ask, by a word for each."""
    node, name = database.node, worker_names()[7]
    spans = {"hour": HOUR, "day": DAY, "week": 7 * DAY, "month": 30 * DAY, "year": DAYS * DAY}
    asked: dict[str, Callable[[], object]] = {}
    for word, length in spans.items():
        span = Span(node, NOW - length, NOW, NOW)
        address = name.partition(".")[0]
        asked |= {
            f"pool_{word}": lambda span=span: read_pool(database, span, figures=POOL_FIGURES, points=500),
            f"worker_{word}": lambda span=span: read_series(
                database, span, kind=SeriesKind.WORKER, name=name, figures=SERIES_FIGURES, points=500
            ),
            f"address_{word}": lambda span=span, address=address: read_series(
                database, span, kind=SeriesKind.ADDRESS, name=address, figures=SERIES_FIGURES, points=500
            ),
            f"top_{word}": lambda span=span: read_top(database, span, SeriesKind.WORKER, limit=20),
            f"shares_{word}": lambda span=span: read_shares(database, span, worker=name, offset=0, limit=50),
        }
    year = Span(node, NOW - DAYS * DAY, NOW, NOW)
    return asked | {
        "blocks_year": lambda: read_blocks(database, year, offset=0, limit=50),
        "events_year": lambda: read_events(database, year, kind=None, offset=0, limit=50),
    }


def main() -> None:
    """Print the table."""
    table = Table(f"history: {WORKERS} workers of {ADDRESSES} addresses, {DAYS} days, SQLite")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "history.sqlite"
        database = HistoryDatabase(parse_database_location("--stats-db", str(path)), "bench", "0")
        table.add("fill_s", "(filling it by hand)", _once(lambda: fill(database)), "s")
        table.add("size_mb", "size of the database", path.stat().st_size / 1e6, "MB")
        slowest = 0.0
        for word, question in questions(database).items():
            took = _best(question)
            slowest = max(slowest, took)
            table.add_time(f"{word}_x11", f"question: {word.replace('_', ', ')}", took)
        table.add("slowest_ms", f"the slowest question (aim {QUERY_AIM_MS:g})", slowest * 1000, "ms")
        writer = SampleWriter(database)
        writer.write(minute_of_samples(NOW), [])
        minute = minute_of_samples(NOW + 60)
        table.add_time("write_minute_x11", "writing a minute", _once(lambda: writer.write(minute, [])))
        table.add_time("roll_up_x11", "rolling up after an hour", _once(lambda: roll_up(database, NOW + HOUR)))
        table.add_time("restore_x11", "taking over at a start", _once(lambda: read_restored(database, NOW)))
        year = DAYS * DAY
        removing = _once(lambda: remove_old(database, NOW + HOUR, year))
        table.add_time("remove_hour_x11", "removing what an hour made old", removing)
        names = _once(lambda: remove_forgotten_series(database, NOW))
        table.add_time("forget_names_x11", "removing names without samples", names)
        removing = _once(lambda: [remove_old(database, NOW + HOUR, 30 * DAY) for _ in range(3)])
        table.add("prune_s", "removing eleven months at once", removing, "s")
        database.close()
    table.finish()
