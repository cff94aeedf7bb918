"""Everything that history does with a database, on SQLite; and what is SQLite's alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
from sqlalchemy import func, select

from p2pool.base.errors import OperatorError
from p2pool.history import schema
from p2pool.history.database import CorruptDatabase, HistoryDatabase, is_corruption, parse_database_location
from p2pool.history.records import HistoryProblem
from p2pool.history.writing import SampleWriter
from tests.history import scenarios
from tests.history.scenarios import START, Open, alice, sample, worker

STAMP = "20231115-000000"


@pytest.fixture
def open_database(tmp_path) -> Iterator[Open]:
    opened: list[HistoryDatabase] = []
    (tmp_path / "sub").mkdir(exist_ok=True)

    def open_it(name: str = "node") -> HistoryDatabase:
        opened.append(
            HistoryDatabase(parse_database_location("--stats-db", f"{tmp_path}/sub/history.sqlite"), name, STAMP)
        )
        return opened[-1]

    yield open_it
    for database in opened:
        database.close()


@pytest.mark.parametrize("scenario", scenarios.SCENARIOS, ids=lambda each: each.__name__)
def test_on_sqlite(open_database, scenario):
    scenario(open_database)


def test_a_directory_that_is_missing_is_not_made(open_database, tmp_path):
    (tmp_path / "sub").rmdir()  # a disk that is not mounted, say
    with pytest.raises(HistoryProblem, match=r"the directory .*/sub does not exist"):
        open_database()
    assert not (tmp_path / "sub").exists()


def test_what_is_no_database_is_quarantined(open_database, tmp_path):
    path = tmp_path / "sub/history.sqlite"
    path.write_bytes(b"no database at all " * 100)
    database = open_database()
    aside = path.with_name(f"history.sqlite.damaged-{STAMP}")
    assert database.quarantined_as == aside
    assert aside.read_bytes().startswith(b"no database")
    SampleWriter(database).write([sample(START, worker("Xa"))], [])


def test_a_file_of_a_newer_version_is_left_alone(open_database, tmp_path):
    database = open_database()
    with database.writing() as connection:
        connection.execute(schema.facts.update().values(value="7"))
    database.close()
    data = (tmp_path / "sub/history.sqlite").read_bytes()
    with pytest.raises(
        HistoryProblem,
        match=r"history.sqlite: .* has schema version 7, .* versions up to 2: install the newer p2pool-dash",
    ):
        open_database()
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["history.sqlite"]
    assert (tmp_path / "sub/history.sqlite").read_bytes() == data


def test_corruption_within_is_distinguished_from_other_trouble(open_database, tmp_path):
    database = open_database()
    SampleWriter(database).write(
        [sample(START + n * 10, *(worker(f"X{i}") for i in range(99))) for n in range(9)], []
    )
    database.close()
    path = tmp_path / "sub/history.sqlite"
    data = bytearray(path.read_bytes())
    for page in range(2, len(data) // 4096):
        data[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(data)
    with pytest.raises(CorruptDatabase, match="is corrupt"):
        alice(open_database(), START, START + 90, "hash_rate")


def test_a_question_sees_one_state(open_database):
    database = open_database()
    SampleWriter(database).write([sample(START)], [])
    count = select(func.count()).select_from(schema.pool_samples)
    with database.reading() as connection:
        before = connection.execute(count).scalar_one()
        SampleWriter(database).write([sample(START + 10)], [])
        assert connection.execute(count).scalar_one() == before == 1


@pytest.mark.parametrize(
    ("code", "damaged"),
    [
        (sqlite3.SQLITE_CORRUPT, True),
        (sqlite3.SQLITE_CORRUPT_INDEX, True),
        (sqlite3.SQLITE_FULL, False),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, False),
        (None, False),
    ],
)
def test_what_is_corruption(code, damaged):
    error = sqlite3.ProgrammingError("ours") if code is None else sqlite3.DatabaseError("SQLite's")
    if code is not None:
        error.sqlite_errorcode = code
    assert is_corruption(error) is damaged


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HistoryProblem, match="cannot open"):
        HistoryDatabase(parse_database_location("--stats-db", f"{tmp_path}/file/history.sqlite"), "node", STAMP)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/a/b.sqlite", "/a/b.sqlite"),
        ("postgresql://u:secret@h:5/db", "postgresql+psycopg://u:***@h:5/db"),
        ("postgres://u@h/db", "postgresql+psycopg://u@h/db"),
        ("postgresql+psycopg:///db?host=/run/postgresql", "postgresql+psycopg:///db?host=%2Frun%2Fpostgresql"),
    ],
)
def test_which_database(text, shown):
    target = parse_database_location("--stats-db", text)
    assert str(target) == shown
    assert target.kind == ("sqlite" if "://" not in text else "postgresql")
    assert "secret" not in repr(target)


@pytest.mark.parametrize(
    "text", ["mysql://h/db", "postgresql://h", "postgresql://u:secret@h:port/db", "http://x/", "sqlite:///x"]
)
def test_what_names_none(text):
    with pytest.raises(OperatorError, match="--stats-db") as caught:
        parse_database_location("--stats-db", text)
    assert "secret" not in str(caught.value)
