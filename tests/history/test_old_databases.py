"""Databases that earlier versions wrote are opened, brought up to date, and lose nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect

from p2pool.history import schema
from p2pool.history.database import HistoryDatabase, parse_database_location
from p2pool.history.reading import (
    Span,
    find_node,
    read_blocks,
    read_events,
    read_pool,
    read_rounds,
    read_series,
    read_shares,
    read_top,
)
from p2pool.history.records import HOUR, SeriesKind
from p2pool.history.restoring import read_restored
from p2pool.history.writing import SampleWriter
from tests.history.scenarios import ALICE, BOB, START, sample, worker

DUMPS = sorted(Path(__file__).parent.glob("version_*.sql"))
"""One for each version of the tables that a release had."""


@pytest.fixture(params=DUMPS, ids=lambda path: path.stem)
def path(tmp_path, request) -> Path:
    """A database file as a node of an earlier version left it."""
    made = tmp_path / "history.sqlite"
    with closing(sqlite3.connect(made)) as database:
        database.executescript(request.param.read_text("utf-8"))
    return made


@pytest.fixture
def database(path) -> Iterator[HistoryDatabase]:
    opened = HistoryDatabase(parse_database_location("--stats-db", str(path)), "node", "20231115-000000")
    yield opened
    opened.close()


def contents(path: Path) -> dict[str, list[dict[str, Any]]]:
    """All rows of a file by table, but for its version."""
    with closing(sqlite3.connect(path)) as database:
        database.row_factory = sqlite3.Row
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            name: [dict(row) for row in database.execute(f"SELECT * FROM {name}")]
            for name in names
            if name != schema.facts.name
        }


def test_there_is_a_database_of_each_version():
    assert [path.stem for path in DUMPS] == [f"version_{n}" for n in range(1, schema.SCHEMA_VERSION + 1)]


def test_opening_brings_the_tables_up_to_date_and_keeps_every_row(path):
    before = contents(path)
    assert all(before.values())
    location = parse_database_location("--stats-db", str(path))
    for _ in range(2):  # the second time there is nothing to do
        database = HistoryDatabase(location, "node", "20231115-000000")
        assert database.quarantined_as is None
        with database.reading() as connection:
            facts = connection.execute(schema.facts.select()).all()
        database.close()
        assert [tuple(row) for row in facts] == [("schema_version", str(schema.SCHEMA_VERSION))]
        after = contents(path)
        for name, rows in before.items():
            assert len(after[name]) == len(rows)
            for old, new in zip(rows, after[name], strict=True):
                assert old.items() <= new.items()  # a newer version may have more columns


def test_the_tables_are_those_of_a_new_database(database, tmp_path):
    new = HistoryDatabase(parse_database_location("--stats-db", str(tmp_path / "new.sqlite")), "node", "x")
    try:
        for table in schema.METADATA.tables:
            shapes = []
            for each in (database, new):
                with each.reading() as connection:
                    found = inspect(connection)
                    columns = [(c["name"], str(c["type"]), c["nullable"]) for c in found.get_columns(table)]
                    indexes = sorted((str(i["name"]), tuple(i["column_names"])) for i in found.get_indexes(table))
                    key = found.get_pk_constraint(table)["constrained_columns"]
                    shapes.append((sorted(columns), indexes, key))
            assert shapes[0] == shapes[1]
    finally:
        new.close()


def test_what_was_written_is_read(database):
    assert find_node(database, "node") == database.node
    span = Span(database.node, START, START + 60, START + 60)
    orphaned, accepted = (f"{number:064x}" for number in (0xB10C, 0xB20C))
    page = read_blocks(database, span, offset=0, limit=10)
    assert [(row["hash"], row["status"], row["value"]) for row in page.rows] == [
        (accepted, "accepted", 500_000_000),
        (orphaned, "orphaned", 250),
    ]
    shares = read_shares(database, span, worker=None, offset=0, limit=10)
    assert [(row["worker"], bool(row["dead"]), row["attempts"]) for row in shares.rows] == [
        (BOB, False, 8192.0),
        (ALICE, True, 4096.0),
    ]
    events = read_events(database, span, kind=None, offset=0, limit=10)
    assert [row["details"] for row in events.rows] == [{}, {"block_height": 5, "reason": "zwölf"}]
    assert [row["hash"] for row in read_rounds(database, database.node, 10)] == [accepted]
    pool = read_pool(database, span, figures=["pool_hash_rate"], points=10)
    assert set(pool.figures["pool_hash_rate"]) == {1000.0}
    alice = read_series(database, span, kind=SeriesKind.WORKER, name=ALICE, figures=["hash_rate"], points=10)
    assert alice is not None
    assert alice.figures["hash_rate"][:6] == [100.0, 101.0, 102.0, 103.0, 104.0, 105.0]
    top = read_top(database, Span(database.node, START, START + HOUR, START + HOUR), SeriesKind.WORKER, limit=5)
    assert [each["name"] for each in top] == [ALICE, BOB]


def test_a_node_continues_it(database):
    restored = read_restored(database, START + 65)
    assert dict(restored.samples[10][-1].workers) == {ALICE: 105.0, BOB: 50.0}
    writer = SampleWriter(database)
    writer.write([sample(START + 60, worker(ALICE, 90.0, 9))], [])
    span = Span(database.node, START, START + 80, START + 80)
    pool = read_pool(database, span, figures=["workers"], points=20)
    assert pool.figures["workers"][:7] == [2.0] * 6 + [1.0]
