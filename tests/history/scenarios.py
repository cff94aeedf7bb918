"""What any database has to do for history: run on SQLite by the tests beside, on PostgreSQL by tests/e2e. Each
takes what opens a database for a node by its name; all those that it opens are the same one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, func, inspect, select, text

from p2pool.history import schema
from p2pool.history.database import HistoryDatabase
from p2pool.history.downsampling import remove_forgotten_series, remove_old, roll_up
from p2pool.history.reading import (
    Span,
    find_node,
    oldest,
    read_blocks,
    read_events,
    read_income,
    read_payouts,
    read_pool,
    read_rounds,
    read_series,
    read_shares,
    read_top,
)
from p2pool.history.records import (
    DAY,
    HOUR,
    PERIOD,
    POOL_FIGURES,
    TIERS,
    BlockPayouts,
    HistoryProblem,
    HistorySample,
    RoundFigures,
    SeriesKind,
)
from p2pool.history.restoring import read_restored
from p2pool.history.schema import prepare
from p2pool.history.writing import SampleWriter
from p2pool.pool_stats import (
    BlockRecord,
    BlockStatus,
    EventKind,
    EventRecord,
    ShareRecord,
    WorkerSnapshot,
)

Open = Callable[..., HistoryDatabase]
START = 1_700_006_400
"""On a border of all tiers but the last."""
ALICE, BOB = "Xalice.rig1", "Xbob"


def worker(
    name: str,
    rate: float = 100.0,
    accepted: int = 1,
    refused: Mapping[int, int] | None = None,
    difficulty: float = 8.0,
    connections: int = 1,
    shares: int = 0,
) -> WorkerSnapshot:
    refused = dict(refused or {})
    return WorkerSnapshot(
        *(name, connections, difficulty, rate, rate / 10, (), accepted, sum(refused.values())),
        *(refused, 0, shares, 0.0, None, ""),
    )


def sample(time: float, *workers: WorkerSnapshot, pool: float | None = 1000.0, **more: Any) -> HistorySample:
    figures = dict.fromkeys(POOL_FIGURES) | {"pool_hash_rate": pool, "workers": float(len(workers))}
    return HistorySample(time, figures, workers, **more)


def every(
    seconds: int, count: int, rate: Callable[[int], float] = lambda n: 100.0, period: int = PERIOD
) -> list[HistorySample]:
    """Samples of ALICE, one each period for `count` times `seconds` from START, her accepted counting up."""
    return [
        sample(START + n * period, worker(ALICE, rate(n), accepted=n + 1), payouts={"Xalice": 2.5})
        for n in range(seconds * count // period)
    ]


def span(database: HistoryDatabase, start: float, end: float, now: float | None = None) -> Span:
    return Span(database.node, start, end, end if now is None else now)


def rows(database: HistoryDatabase, table: Any, **wanted: Any) -> int:
    with database.reading() as connection:
        conditions = [table.c[name] == value for name, value in wanted.items()]
        return connection.execute(select(func.count()).select_from(table).where(*conditions)).scalar_one()


def alice(database: HistoryDatabase, start: float, end: float, *figures: str, points: int = 1000, **more: Any):
    return read_series(
        database,
        span(database, start, end, **more),
        kind=SeriesKind.WORKER,
        name=ALICE,
        figures=figures,
        points=points,
    )


# --- samples ------------------------------------------------------------------------------------------------


def samples_come_back_as_they_were(open_database: Open) -> None:
    database = open_database()
    SampleWriter(database).write(
        [
            sample(START + 3, worker(ALICE, 100, 1), pool=5.0),
            sample(START + 13, worker(ALICE, 200, 4, {21: 1, 23: 2, 22: 3, 20: 1, 99: 1}), pool=None),
            sample(START + 23, pool=7.0),
        ],
        [],
    )
    pool = read_pool(
        database, span(database, START, START + 30), figures=["pool_hash_rate", "workers"], points=1000
    )
    assert (pool.step, pool.times) == (PERIOD, [START, START + 10, START + 20])
    assert pool.figures == {"pool_hash_rate": [5, None, 7], "workers": [1, 1, 0]}
    told = alice(
        database,
        *(START, START + 30, "hash_rate", "dead_rate", "difficulty", "accepted", "stale"),
        *("low_difficulty", "duplicate", "other_refused"),
    )
    assert told.figures == {
        "hash_rate": [100, 200, 0],
        "dead_rate": [10, 20, 0],
        "difficulty": [8, 8, None],
        "accepted": [1, 3, 0],
        "stale": [0, 1, 0],
        "low_difficulty": [0, 2, 0],
        "duplicate": [0, 3, 0],
        "other_refused": [0, 2, 0],
    }


def who_never_worked_is_nobody(open_database: Open) -> None:
    database = open_database()
    SampleWriter(database).write([sample(START, worker("Xmallory.1", 0.0, accepted=0, refused={23: 900}))], [])
    assert rows(database, schema.series) == 0
    SampleWriter(database).write([sample(START + 10, worker(BOB, 0.0, accepted=5, connections=0))], [])
    # ... whose five came before this writer: an earlier run's are not this period's, but a node starts at none.
    assert rows(database, schema.series_samples) == 2  # the worker and its address


def counters_that_begin_anew_count_from_nothing(open_database: Open) -> None:
    database, writer = open_database(), None
    writer = SampleWriter(database)
    for time, accepted in ((0, 10), (10, 12), (20, 3)):
        writer.write([sample(START + time, worker(ALICE, accepted=accepted))], [])
    assert alice(database, START, START + 30, "accepted").figures["accepted"] == [10, 2, 3]


def addresses_are_their_workers_together(open_database: Open) -> None:
    database = open_database()
    first, second = worker("Xa.1", 100, 2, {21: 1}), worker("Xa.2", 50, 3, {21: 2})
    SampleWriter(database).write([sample(START, first, second, worker("Xb", 7), payouts={"Xa": 1.25})], [])
    wanted = ("hash_rate", "accepted", "stale", "payout", "difficulty")
    told = read_series(
        database, span(database, START, START + 10), kind=SeriesKind.ADDRESS, name="Xa", figures=wanted, points=100
    )
    assert told.figures == {
        "hash_rate": [150],
        "accepted": [5],
        "stale": [3],
        "payout": [1.25],
        "difficulty": [None],
    }
    assert (
        read_series(
            database,
            span(database, START, START + 10),
            kind=SeriesKind.ADDRESS,
            name="Xc",
            figures=wanted,
            points=100,
        )
        is None
    )


def a_period_is_sampled_once(open_database: Open) -> None:
    """A clock that steps back, or a crash between writing and forgetting."""
    database = open_database()
    again = [sample(START, worker(ALICE, 100, 1)), sample(START + 10, worker(ALICE, 100, 2))]
    for writer in (SampleWriter(database), SampleWriter(database)):
        writer.write(again, [])
    assert rows(database, schema.pool_samples) == 2
    assert alice(database, START, START + 20, "accepted").figures["accepted"] == [1, 1]


# --- rolling up ---------------------------------------------------------------------------------------------


def coarser_periods_are_means_and_sums(open_database: Open) -> None:
    database = open_database()
    SampleWriter(database).write(every(HOUR, 2, lambda n: float(n % 6)), [])
    now = START + 2 * HOUR + 60
    assert roll_up(database, now) > 0
    assert roll_up(database, now) == 0
    for tier, periods in zip(TIERS, (720, 120, 12, 2, 0, 0), strict=True):
        assert rows(database, schema.pool_samples, step=tier.step) == periods
        assert rows(database, schema.series_samples, step=tier.step, kind=SeriesKind.WORKER) == periods
    with database.reading() as connection:
        table = schema.series_samples
        found = connection.execute(
            select(table.c.hash_rate, table.c.difficulty, table.c.accepted, table.c.payout)
            .where(table.c.step == HOUR, table.c.kind == SeriesKind.WORKER)
            .order_by(table.c.time)
        ).all()
    assert [tuple(each) for each in found] == [(2.5, 8, 360, None), (2.5, 8, 360, None)]
    told = read_series(
        database,
        span(database, START, now),
        kind=SeriesKind.ADDRESS,
        name="Xalice",
        figures=("payout", "accepted"),
        points=1,
    )
    assert told.figures["payout"][0] == 2.5


def who_was_away_for_half_was_idle_for_half(open_database: Open) -> None:
    database = open_database()
    half = [
        sample(START + n * PERIOD, *([worker(ALICE, 100, n + 1)] if n < 30 else []), pool=float(n < 30))
        for n in range(60)
    ]
    SampleWriter(database).write(half, [])
    roll_up(database, START + HOUR)
    told = alice(database, START, START + 600, "hash_rate", "accepted", "difficulty", points=1)
    assert told.figures == {"hash_rate": [50], "accepted": [30], "difficulty": [8]}
    assert told.step == 600


def an_hour_with_a_minute_weighs_a_minute(open_database: Open) -> None:
    """Means of means would take the first hour's 900 for as much as the second one's 100."""
    database = open_database()
    short = [sample(START + n * PERIOD, worker(ALICE, 900, n + 1), pool=900.0) for n in range(6)]
    whole = [
        sample(START + HOUR + n * PERIOD, worker(ALICE, 100, n + 7), pool=100.0) for n in range(HOUR // PERIOD)
    ]
    SampleWriter(database).write([*short, *whole], [])
    end = START + 2 * HOUR
    roll_up(database, end + 60)
    mean = (6 * 900 + 360 * 100) / 366
    (top,) = read_top(database, span(database, START, end), SeriesKind.WORKER, limit=5)
    assert top["hash_rate"] == pytest.approx(mean)
    told = alice(database, START, end, "hash_rate", points=1, now=START + 40 * DAY)
    assert told.figures["hash_rate"] == [pytest.approx(mean)]
    pool = read_pool(database, span(database, START, end, START + 40 * DAY), figures=["pool_hash_rate"], points=1)
    assert pool.figures["pool_hash_rate"] == [pytest.approx(mean)]
    roll_up(database, START + 2 * DAY)
    with database.reading() as connection:
        table = schema.pool_samples
        day = connection.execute(select(table.c.seconds, table.c.pool_hash_rate).where(table.c.step == DAY)).one()
    assert tuple(day) == (3660, pytest.approx(mean))


def while_the_node_was_off_nothing_is_known(open_database: Open) -> None:
    database = open_database()
    on = [sample(START + n * PERIOD, worker(ALICE, 60, n + 1)) for n in (*range(6), *range(30, 36))]
    SampleWriter(database).write(on, [])
    roll_up(database, START + HOUR)
    told = alice(database, START, START + 360, "hash_rate", "accepted", points=6)
    assert told.times == [START + 60 * n for n in range(6)]
    assert told.figures["hash_rate"] == [60, None, None, None, None, 60]
    assert told.figures["accepted"] == [6, None, None, None, None, 30]


def a_series_goes_on_where_coarse_periods_are_not_made_yet(open_database: Open) -> None:
    """A month's graph of a node that has run for three hours and some minutes shows all of them."""
    database = open_database()
    run = 3 * HOUR + 7 * 60 + 20
    SampleWriter(database).write(every(run, 1), [])
    end = START + run
    roll_up(database, end)
    for back in (HOUR, DAY, 30 * DAY, 365 * DAY):
        told = alice(database, end - back, end, "hash_rate", "accepted", points=500)
        counted = sum(each for each in told.figures["accepted"] if each is not None)
        whole = run // PERIOD if back > run else HOUR // PERIOD
        assert counted == pytest.approx(whole, abs=told.step // PERIOD), back
        assert {round(each, 6) for each in told.figures["hash_rate"] if each is not None} == {100}
        assert told.figures["hash_rate"][-1] == 100, back
        assert len(told.times) <= 501


def old_periods_go_by_their_tier(open_database: Open) -> None:
    database = open_database()
    SampleWriter(database).write(every(HOUR, 30, period=60), [EventRecord(START, EventKind.BAN, "h", "text")])
    now = START + 30 * HOUR
    roll_up(database, now + 60)
    while remove_old(database, now, 30 * DAY):
        pass  # it does so much at a time
    with database.reading() as connection:
        table = schema.pool_samples
        oldest_of = connection.execute(select(table.c.step, func.min(table.c.time)).group_by(table.c.step))
        found = {row.step: row[1] for row in oldest_of}
    assert found == {10: now - 70 * 60, 60: now - 25 * HOUR, 600: START, 3600: START, 86400: START}
    for tier in TIERS:
        assert rows(database, schema.series_samples, step=tier.step, kind=SeriesKind.WORKER) == rows(
            database, schema.pool_samples, step=tier.step
        )
    assert rows(database, schema.events) == 1


def what_is_older_than_all_of_it_goes_but_blocks_stay(open_database: Open) -> None:
    database = open_database()
    block = BlockRecord(START, 0xB, 5, ALICE, None, 1, BlockStatus.CONFIRMED)
    share = ShareRecord(START, 0x5, ALICE, False, 3)
    samples = [*every(HOUR, 2), sample(START + 2 * HOUR, shares=[share], blocks=[block])]
    SampleWriter(database).write(samples, [EventRecord(START, EventKind.BAN, "h", "text")])
    roll_up(database, START + 3 * HOUR)
    later = START + 3 * DAY
    SampleWriter(database).write([sample(later, worker(BOB))], [])
    remove_old(database, later, 2 * DAY)
    remove_forgotten_series(database, later)
    assert rows(database, schema.pool_samples) == 1
    assert rows(database, schema.shares) == rows(database, schema.events) == 0
    assert rows(database, schema.blocks) == 1
    with database.reading() as connection:
        names = set(connection.execute(select(schema.series.c.name)).scalars())
    assert names == {BOB}
    # A name that comes again is a series again.
    SampleWriter(database).write([sample(later + 10, worker(ALICE, 9))], [])
    assert alice(database, later, later + 20, "hash_rate").figures["hash_rate"] == [0, 9]


def a_clock_that_was_wrong_for_a_while_holds_up_nothing(open_database: Open) -> None:
    database = open_database()
    writer, accepted = SampleWriter(database), 0
    for at in (START, START + 5 * 365 * DAY, 0, START + 900):  # the year 2028, 1970, and back
        for n in range(90):
            accepted += 1
            writer.write([sample(at + n * PERIOD, worker(ALICE, accepted=accepted))], [])
        roll_up(database, at + 900)
    writer.write(every(3 * HOUR, 1)[180:], [])
    end = START + 3 * HOUR
    roll_up(database, end + 60)
    for back in (3 * HOUR, DAY, 30 * DAY):
        told = alice(database, end - back, end, "hash_rate", points=500)
        assert {each for each in told.figures["hash_rate"] if each is not None} == {100}, back
        known = sum(each is not None for each in told.figures["hash_rate"])
        assert known * told.step == pytest.approx(3 * HOUR, abs=2 * told.step), back
    top = read_top(database, span(database, START, end), SeriesKind.WORKER, limit=5)
    assert [each["hash_rate"] for each in top] == [pytest.approx(100)]
    restored = read_restored(database, end)
    assert {step: len(found) for step, found in restored.samples.items()} == {10: 360, 60: 180, 600: 18}


# --- the strongest, and lists ---------------------------------------------------------------------------------


def the_strongest_by_mean_rate(open_database: Open) -> None:
    database = open_database()
    samples = [
        sample(START + n * PERIOD, worker(ALICE, 100, n + 1), *([worker(BOB, 150, 7)] if n % 2 else []))
        for n in range(2 * HOUR // PERIOD)
    ]
    SampleWriter(database).write(samples, [])
    end = START + 2 * HOUR
    roll_up(database, end + 60)
    for start in (START, START + 25, START + 13 * 60):
        top = read_top(database, span(database, start, end), SeriesKind.WORKER, limit=5)
        assert [each["name"] for each in top] == [ALICE, BOB]
        assert top[0]["hash_rate"] == pytest.approx(100)
        assert top[1]["hash_rate"] == pytest.approx(75, rel=0.02)
        assert top[0]["accepted"] == pytest.approx((end - start) / PERIOD, abs=6)
    assert [
        each["name"] for each in read_top(database, span(database, START, end), SeriesKind.ADDRESS, limit=1)
    ] == ["Xalice"]
    assert read_top(database, span(database, START - DAY, START - HOUR), SeriesKind.WORKER, limit=5) == []


def blocks_follow_what_becomes_of_them(open_database: Open) -> None:
    database = open_database()
    writer, block = SampleWriter(database), BlockRecord(START, 0xB10C, 5, ALICE, 0x5A, 250)
    other = BlockRecord(START + 5, 0xB10D, 6, BOB, None, 1)
    writer.write([sample(START, blocks=[block, other])], [])
    accepted = BlockRecord(START, 0xB10C, 5, ALICE, 0x5A, 250, BlockStatus.ACCEPTED, "", 3, True)
    figures = RoundFigures(0xB10C, 0xA, 60.0, 2.0, 8e9, 4e9, "shares")
    writer.write([sample(START + 10, blocks=[accepted, other], rounds=[figures])], [])
    page = read_blocks(database, span(database, START - 1, START + 60), offset=0, limit=10)
    assert page.total == 2
    assert [row["hash"][-4:] for row in page.rows] == ["b10d", "b10c"]
    assert {
        name: page.rows[1][name] for name in ("status", "confirmations", "chainlocked", "value", "method")
    } == {
        "status": "accepted",
        "confirmations": 3,
        "chainlocked": True,
        "value": 250,
        "method": "shares",
    }
    assert page.rows[0]["method"] is None
    # The block before turns out to be none of the best chain: the round began earlier.
    longer = RoundFigures(0xB10C, 0x9, 90.0, 2.0, 8e9, 6e9, "shares")
    writer.write([sample(START + 20, blocks=[accepted, other], rounds=[longer])], [])
    assert [(row["start"], row["time_to_find"]) for row in read_rounds(database, database.node, 10)] == [
        (f"{0x9:064x}", 90)
    ]
    assert read_blocks(database, span(database, START + 6, START + 60), offset=0, limit=10).total == 0
    assert [
        row["height"] for row in read_blocks(database, span(database, 0, START + 60), offset=1, limit=1).rows
    ] == [5]


def payouts_are_written_once_and_summed_by_day(open_database: Open) -> None:
    database = open_database()
    statuses = {
        0xA1: BlockStatus.CONFIRMED,
        0xA2: BlockStatus.SENT,
        0xA3: BlockStatus.ORPHANED,
        0xA4: BlockStatus.SENT,
    }
    blocks = [
        BlockRecord(START - 10 + n * 20, number, 5 + n, BOB, None, 900, status)
        for n, (number, status) in enumerate(statuses.items())
    ]
    paid = {
        block.block_hash: BlockPayouts(block.block_hash + 0x100, {"Xalice": 10**n, "!script": 5})
        for n, block in enumerate(blocks[:3])
    }
    writer = SampleWriter(database)
    writer.write([sample(START, blocks=blocks, paid=paid)], [])
    # What a restarted node finds out again changes nothing, and what one of them pays is known later.
    again = dict.fromkeys(paid, BlockPayouts(1, {"Xalice": 77}))
    later = {0xA4: BlockPayouts(0x1A4, {"Xalice": 5000})}
    SampleWriter(database).write([sample(START + 10, blocks=blocks, paid={**paid, **later})], [])
    writer.write([sample(START + 20, blocks=blocks, paid={**again, **later})], [])
    whole = span(database, 0, START + 100)
    page = read_payouts(database, whole, address="Xalice", offset=0, limit=3)
    assert page.total == 4
    assert [(row["amount"], row["status"], row["height"]) for row in page.rows] == [
        (5000, "sent", 8),
        (100, "orphaned", 7),
        (10, "sent", 6),
    ]
    assert page.rows[0]["transaction"] == f"{0x1A4:064x}"
    assert read_payouts(database, whole, address="Xbob", offset=0, limit=3).total == 0
    assert [tuple(row.values()) for row in sorted(read_income(database, whole, "Xalice"), key=str)] == [
        (START - DAY, "confirmed", 1, 1),
        (START, "orphaned", 1, 100),
        (START, "sent", 2, 5010),
    ]
    assert read_income(database, span(database, START + 60, START + 100), "Xalice") == []


def shares_are_written_once_and_found_by_worker_and_address(open_database: Open) -> None:
    database, writer = open_database(), None
    names = ("Xa", "Xa.1", "Xab.1", "X%.1", "X_.1")
    shares = [ShareRecord(START + n, n + 1, name, n == 0, 10**9) for n, name in enumerate(names)]
    writer = SampleWriter(database)
    writer.write([sample(START + 10, shares=shares[:3])], [])
    writer.write([sample(START + 20, shares=shares)], [])
    SampleWriter(database).write([sample(START + 30, shares=shares)], [])
    everything = span(database, START, START + 100)

    def found(name: str | None) -> list[str]:
        return [row["worker"] for row in read_shares(database, everything, worker=name, offset=0, limit=50).rows]

    assert found(None) == list(reversed(names))
    assert found("Xa") == ["Xa.1", "Xa"]
    assert found("Xa.1") == ["Xa.1"]
    assert found("X%") == ["X%.1"]
    assert found("X_") == ["X_.1"]
    assert read_shares(database, everything, worker="Xa", offset=0, limit=50).rows[1]["dead"] is True


def events_of_any_text(open_database: Open) -> None:
    database = open_database()
    odd = "'; DROP TABLE events; -- \u202e\U0001f4a5 %s :x"
    events = [
        EventRecord(START, EventKind.WORKER_DOWN, odd, odd, {"since": 5, "names": [odd]}),
        EventRecord(START + 1, EventKind.BAN, "h" * 500, "t" * 5000),
    ]
    SampleWriter(database).write([], events)
    page = read_events(database, span(database, START, START + 9), kind=None, offset=0, limit=10)
    assert [row["kind"] for row in page.rows] == ["ban", "worker_down"]
    assert page.rows[1]["text"] == page.rows[1]["subject"] == odd
    assert page.rows[1]["details"] == {"since": 5, "names": [odd]}
    assert (len(page.rows[0]["subject"]), len(page.rows[0]["text"])) == (schema.MAX_NAME, schema.MAX_TEXT)
    assert read_events(database, span(database, START, START + 9), kind="ban", offset=0, limit=10).total == 1


def a_block_that_a_killed_node_finds_again_is_one_event(open_database: Open) -> None:
    found = EventRecord(START + 0.25, EventKind.BLOCK_FOUND, "ab" * 32, "block 7", {})
    for name, events in (("node", [found]), ("node", [found, replace(found, subject="cd" * 32)]), ("b", [found])):
        SampleWriter(open_database(name)).write([], events)
    database = open_database()
    page = read_events(database, span(database, START, START + 9), kind="block_found", offset=0, limit=10)
    assert sorted(row["subject"] for row in page.rows) == ["ab" * 32, "cd" * 32]


def texts_that_are_none_are_stored_all_the_same(open_database: Open) -> None:
    """Databases take neither NUL nor half of a surrogate pair; one such text must not hold up all that waits."""
    database = open_database()
    odd, kept = "a\0b\ud800", "a?b?"
    share = ShareRecord(START, 5, odd, False, 1)
    block = BlockRecord(START, 6, 1, odd, None, 1, BlockStatus.REFUSED, odd)
    event = EventRecord(START, EventKind.BAN, odd, odd, {odd: odd})
    SampleWriter(database).write([sample(START, shares=[share], blocks=[block])], [event])
    everything = span(database, START, START + 9)
    (told,) = read_events(database, everything, kind=None, offset=0, limit=9).rows
    assert (told["subject"], told["text"], told["details"]) == (kept, kept, {"a\0b?": "a\0b?"})
    (told,) = read_blocks(database, everything, offset=0, limit=9).rows
    assert (told["worker"], told["reason"]) == (kept, kept)
    for asked in (odd, kept):
        assert read_shares(database, everything, worker=asked, offset=0, limit=9).total == 1
        assert find_node(database, asked) is None
        assert (
            read_series(database, everything, kind=SeriesKind.WORKER, name=asked, figures=["hash_rate"], points=9)
            is None
        )


# --- nodes, versions, starts ------------------------------------------------------------------------------------


def nodes_in_one_database_are_told_apart(open_database: Open) -> None:
    one, two = open_database("one"), open_database("two")
    assert one.node != two.node
    assert open_database("one").node == one.node
    for database, rate in ((one, 100.0), (two, 900.0)):
        samples = [sample(START + n * PERIOD, worker(ALICE, rate, n + 1), pool=rate) for n in range(361)]
        SampleWriter(database).write(samples, [EventRecord(START, EventKind.BAN, "h", "text")])
        roll_up(database, START + HOUR + 60)
    for database, rate in ((one, 100.0), (two, 900.0)):
        told = alice(database, START, START + HOUR, "hash_rate", points=10)
        assert told.figures["hash_rate"] == [rate] * 10
        top = read_top(database, span(database, START, START + HOUR), SeriesKind.WORKER, limit=5)
        assert [each["hash_rate"] for each in top] == [rate]
        assert read_events(database, span(database, START, START + 9), kind=None, offset=0, limit=10).total == 1
        assert rows(database, schema.series_samples, step=HOUR, kind=SeriesKind.WORKER) == 2
    assert find_node(one, "two") == two.node
    assert find_node(one, None) == one.node
    assert find_node(one, "three") is None
    # The other one keeps its history for longer.
    remove_old(one, START + 10 * DAY, DAY)
    remove_forgotten_series(one, START + 10 * DAY)
    assert oldest(one, one.node) is None
    assert oldest(two, two.node) == START
    assert alice(two, START, START + HOUR, "hash_rate", points=10).figures["hash_rate"] == [900.0] * 10


def a_start_takes_over_what_was(open_database: Open) -> None:
    database = open_database()
    figures = RoundFigures(0xB10C, 0xA, 60.0, None, 8e9, 4e9, "samples")
    block = BlockRecord(START, 0xB10C, 5, ALICE, None, 250)
    samples = [
        sample(
            START + n * PERIOD,
            worker(ALICE, 100, n + 1),
            payouts={"Xalice": 2.5},
            versions={"16": 1000.0},
            blocks=[block],
            rounds=[figures],
        )
        for n in range(2 * HOUR // PERIOD)
    ]
    SampleWriter(database).write(samples, [])
    now = START + 2 * HOUR + 25
    roll_up(database, now)
    restored = read_restored(open_database(), now)
    assert list(restored.rounds) == [figures]
    assert {step: len(found) for step, found in restored.samples.items()} == {10: 357, 60: 120, 600: 12}
    newest = restored.samples[10][-1]
    assert newest.start == START + 2 * HOUR - PERIOD
    assert dict(zip(POOL_FIGURES, newest.pool, strict=True))["pool_hash_rate"] == 1000
    for step in (10, 60, 600):
        first = restored.samples[step][0]
        assert dict(first.workers) == {ALICE: 100}
        assert dict(first.dead) == {ALICE: 10}
        assert dict(first.payouts) == {"Xalice": 2.5}
        assert dict(first.versions) == {"16": 1000}


def tables_of_an_older_version_are_brought_up_to_date(open_database: Open) -> None:
    database = open_database()
    done: list[int] = []

    def step(version: int) -> Callable[[object], None]:
        return lambda connection: done.append(version)

    now = schema.SCHEMA_VERSION
    with database.writing() as connection:
        prepare(connection, now + 2, {now: step(now), now + 1: step(now + 1)})
    assert done == [now, now + 1]
    with pytest.raises(
        HistoryProblem, match=f"has schema version {now + 2}, and this program knows versions up to {now}"
    ):
        open_database()


def details_that_cannot_be_read_cost_no_answer(open_database: Open) -> None:
    database = open_database()
    event = EventRecord(START, EventKind.BAN, "here", "text", {"reason": "a"})
    SampleWriter(database).write([], [event])
    for details in ("nonsense", "[" * 100_000):
        with database.writing() as connection:
            connection.execute(schema.events.update().values(details=details))
        page = read_events(database, Span(database.node, 0, 2e9, 2e9), kind=None, offset=0, limit=10)
        assert [row["details"] for row in page.rows] == [{}]


def tables_of_no_usable_version_are_left_alone(open_database: Open) -> None:
    database = open_database()
    for value in ("nonsense", "-1", "0", "9" * 30):
        with database.writing() as connection:
            connection.execute(schema.facts.update().values(value=value))
        with pytest.raises(HistoryProblem, match="the history database has no schema version"):
            open_database()
    with database.writing() as connection:
        connection.execute(schema.facts.delete())
    with pytest.raises(HistoryProblem, match="has no schema version that this program knows"):
        open_database()
    with database.writing() as connection:
        connection.execute(schema.facts.insert(), {"name": "schema_version", "value": str(schema.SCHEMA_VERSION)})
    open_database()


def a_migration_that_fails_leaves_nothing_behind(open_database: Open) -> None:
    database, now = open_database(), schema.SCHEMA_VERSION

    def fail(connection: Connection) -> None:
        connection.execute(text("CREATE TABLE half (x integer)"))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), database.writing() as connection:
        prepare(connection, now + 1, {now: fail})
    with database.reading() as connection:
        assert not inspect(connection).has_table("half")
    open_database()


SCENARIOS = [
    samples_come_back_as_they_were,
    who_never_worked_is_nobody,
    counters_that_begin_anew_count_from_nothing,
    addresses_are_their_workers_together,
    a_period_is_sampled_once,
    coarser_periods_are_means_and_sums,
    who_was_away_for_half_was_idle_for_half,
    an_hour_with_a_minute_weighs_a_minute,
    while_the_node_was_off_nothing_is_known,
    a_series_goes_on_where_coarse_periods_are_not_made_yet,
    old_periods_go_by_their_tier,
    a_clock_that_was_wrong_for_a_while_holds_up_nothing,
    what_is_older_than_all_of_it_goes_but_blocks_stay,
    the_strongest_by_mean_rate,
    blocks_follow_what_becomes_of_them,
    payouts_are_written_once_and_summed_by_day,
    shares_are_written_once_and_found_by_worker_and_address,
    events_of_any_text,
    a_block_that_a_killed_node_finds_again_is_one_event,
    texts_that_are_none_are_stored_all_the_same,
    nodes_in_one_database_are_told_apart,
    a_start_takes_over_what_was,
    tables_of_an_older_version_are_brought_up_to_date,
    tables_of_no_usable_version_are_left_alone,
    details_that_cannot_be_read_cost_no_answer,
    a_migration_that_fails_leaves_nothing_behind,
]
