"""Access to the database. Everything here blocks and is called in threads only."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Table, create_engine, event, make_url, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.sql.dml import Insert

from p2pool.base.bounded import BoundedDict
from p2pool.base.database_format import open_unchanged
from p2pool.base.errors import OperatorError
from p2pool.base.files import quarantine_database
from p2pool.base.paths import parse_path
from p2pool.history import schema
from p2pool.history.records import HistoryProblem, SeriesKind

MAX_SERIES: Final = 50_000
"""Identifiers of series that are cached; others are looked up again."""
CONNECTIONS: Final = 4
"""Connections to the database: one writes, the others read."""
CONNECT_TIME: Final = 10
STATEMENT_TIME: Final = 60
"""Seconds that a server may take for a statement."""
_NAMES_AT_ONCE: Final = 500
_WRITES: Final = "p2pool_writes"
"""The option of a connection that is to write."""
_POSTGRESQL: Final = re.compile(r"postgres(ql)?(\+psycopg)?://")


@dataclass(frozen=True, slots=True)
class DatabaseLocation:
    """The location of a database. `path` is that of an SQLite file, None for a server."""

    url: URL
    path: Path | None

    @property
    def kind(self) -> str:
        """Return "sqlite" or "postgresql"."""
        return "postgresql" if self.path is None else "sqlite"

    def __str__(self) -> str:
        """Return the location for people, without the password."""
        return str(self.path) if self.path is not None else _shown_url(self.url)


def parse_database_location(flag: str, text: str) -> DatabaseLocation:
    """Parse FILE or postgresql://USER[:PASSWORD]@HOST[:PORT]/DATABASE. Raises OperatorError."""
    if "://" not in text:
        path = parse_path(flag, text)
        return DatabaseLocation(URL.create("sqlite", database=str(path)), path)
    if not _POSTGRESQL.match(text):
        scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text)
        shown = "" if scheme is None else f" {scheme[0]}..."
        raise OperatorError(f"{flag}{shown}: give a file, or postgresql://USER:PASSWORD@HOST/DATABASE")
    try:
        url = make_url(_POSTGRESQL.sub("postgresql+psycopg://", text, count=1))
    except (ArgumentError, ValueError):
        raise OperatorError(f"{flag}: this is not a URL like postgresql://USER:PASSWORD@HOST/DATABASE") from None
    if not url.database:
        raise OperatorError(f"{flag} {_shown_url(url)}: name the database after the host: .../DATABASE")
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise OperatorError(
            f"{flag} needs the PostgreSQL driver ({error}): install it with pip install 'psycopg[binary]'"
        ) from None
    return DatabaseLocation(url, None)


def _shown_url(url: URL) -> str:
    """Return a URL without its passwords, of which some may be options after the ?."""
    options = {name: value for name, value in url.query.items() if "password" not in name.lower()}
    return url.set(query=options).render_as_string(hide_password=True)


class HistoryDatabase:
    """An open database whose tables are up to date. `node` is the number of this node in it.

    Raises HistoryProblem if it cannot be opened, as all methods do if the database fails.
    """

    def __init__(self, location: DatabaseLocation, node_name: str, stamp: str) -> None:
        """Open the database. A corrupt file is quarantined under a name with `stamp`: `quarantined_as` is its
        path then."""
        self.location = location
        self.quarantined_as: Path | None = None
        self._series: BoundedDict[tuple[int, str], int] = BoundedDict(MAX_SERIES)
        if location.path is not None:
            self._check_file(location.path, stamp)
        self._engine = create_engine(
            location.url,
            pool_size=CONNECTIONS,
            max_overflow=0,
            pool_pre_ping=location.path is None,
            connect_args=_connect_arguments(location),
        )
        self._write_engine = self._engine
        if location.path is not None:
            event.listen(self._engine, "connect", _set_up_sqlite)
            event.listen(self._engine, "begin", _begin_on_sqlite)
            self._write_engine = self._engine.execution_options(**{_WRITES: True})
        try:
            with self.writing() as connection:
                self._prepare(connection)
                self.node = _node_number(connection, node_name)
        except BaseException:
            self._engine.dispose()
            raise

    def _prepare(self, connection: Connection) -> None:
        try:
            schema.prepare(connection)
        except HistoryProblem as error:
            raise HistoryProblem(f"{self.location}: {error}") from None

    def _check_file(self, path: Path, stamp: str) -> None:
        """Quarantine a file that is not a database, or whose beginning is corrupt. (Checking all of a large one
        takes minutes: other corruption is found when the part is used.)"""
        try:
            if not path.parent.is_dir():
                raise HistoryProblem(f"cannot open {path}: the directory {path.parent} does not exist")
            connection = sqlite3.connect(path, timeout=CONNECT_TIME)
            try:
                connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            finally:
                connection.close()
        except sqlite3.OperationalError as error:
            raise HistoryProblem(f"cannot open {path}: {error}") from None
        except sqlite3.DatabaseError:
            self.quarantined_as = quarantine_file(path, stamp)
        except OSError as error:
            raise HistoryProblem(f"cannot open {path}: {error.strerror}") from None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a connection that sees one state of an SQLite file; with a server, each statement sees the
        newest."""
        with self._problems(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction, which is committed at the end."""
        with self._problems(), self._write_engine.begin() as connection:
            yield connection

    @contextmanager
    def _problems(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            if self.location.path is not None and is_corruption(error.orig):
                raise CorruptDatabase(f"{self.location} is corrupt: {_first_line(error.orig)}") from None
            raise HistoryProblem(f"{self.location}: {_first_line(error.orig)}") from None
        except SQLAlchemyError as error:
            raise HistoryProblem(f"{self.location}: {_first_line(error)}") from None

    def close(self) -> None:
        """Close all connections to the database."""
        self._engine.dispose()

    # --- names -------------------------------------------------------------------------------------------

    def series_number(self, connection: Connection, kind: SeriesKind, name: str, *, node: int) -> int | None:
        """Return the number of a series; None if there is none of this name."""
        table = schema.series
        found: int | None = connection.execute(
            select(table.c.id).where(
                table.c.node == node, table.c.kind == kind, table.c.name == schema.storable(name)
            )
        ).scalar_one_or_none()
        return found

    def series_numbers(self, connection: Connection, kind: SeriesKind, names: Iterable[str]) -> dict[str, int]:
        """Return the numbers of this node's series; new ones are made."""
        numbers: dict[str, int] = {}
        missing: list[str] = []
        for name in names:
            known = self._series.get((kind, name))
            if known is None:
                missing.append(name)
            else:
                numbers[name] = known
        for start in range(0, len(missing), _NAMES_AT_ONCE):
            numbers.update(self._make(connection, kind, missing[start : start + _NAMES_AT_ONCE]))
        return numbers

    def _make(self, connection: Connection, kind: SeriesKind, names: list[str]) -> dict[str, int]:
        table = schema.series
        rows = [{"node": self.node, "kind": int(kind), "name": name} for name in names]
        connection.execute(insert_new(connection, table), rows)
        found = connection.execute(
            select(table.c.name, table.c.id).where(
                table.c.node == self.node, table.c.kind == kind, table.c.name.in_(names)
            )
        )
        return {row.name: row.id for row in found}

    def remember(self, kind: SeriesKind, numbers: dict[str, int]) -> None:
        """Cache the numbers that a transaction made; only called once it is committed."""
        for name, number in numbers.items():
            self._series[kind, name] = number

    def forget_series(self) -> None:
        """Empty the cache of numbers after series were removed."""
        self._series.clear()


def try_connection(location: DatabaseLocation) -> None:
    """Connect to a database server, and change nothing. Raises HistoryProblem."""
    engine = create_engine(location.url, connect_args=_connect_arguments(location))
    try:
        engine.connect().close()
    except DBAPIError as error:
        raise HistoryProblem(f"{location}: {_first_line(error.orig)}") from None
    except SQLAlchemyError as error:
        raise HistoryProblem(f"{location}: {_first_line(error)}") from None
    finally:
        engine.dispose()


def check_file_version(location: DatabaseLocation) -> None:
    """Raise HistoryProblem if an SQLite file is of a version that this program does not know. The file stays as it
    is; one that cannot be read is ignored."""
    if location.path is None:
        return
    with suppress(sqlite3.Error), closing(open_unchanged(location.path)) as database:
        row = database.execute("SELECT value FROM facts WHERE name = 'schema_version'").fetchone()
        try:
            schema.parse_version(None if row is None else str(row[0]))
        except HistoryProblem as error:
            raise HistoryProblem(f"{location}: {error}") from None


class CorruptDatabase(HistoryProblem):
    """The SQLite file is corrupt."""


def quarantine_file(path: Path, stamp: str) -> Path:
    """Rename a corrupt file, with its journals. Returns its new name. Raises HistoryProblem."""
    try:
        return quarantine_database(path, stamp)
    except OSError as error:
        raise HistoryProblem(f"{path} is corrupt and cannot be quarantined: {error.strerror}") from None


def is_corruption(error: object) -> bool:
    """Return whether an error says that the file is corrupt, as opposed to temporarily unusable."""
    # Errors of Python's module itself have no code; the lowest byte is the kind of error, the rest its details.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return isinstance(error, sqlite3.DatabaseError) and code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def insert_new(connection: Connection, table: Table) -> Insert:
    """Return an INSERT of rows; rows that are there already stay as they are."""
    return _dialect_insert(connection, table).on_conflict_do_nothing()  # type: ignore[attr-defined, no-any-return]


def insert_or_update(connection: Connection, table: Table) -> Insert:
    """Return an INSERT of rows that replace those of the same primary key."""
    statement: Any = _dialect_insert(connection, table)
    key = [column.name for column in table.primary_key]
    others = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in key}
    made: Insert = statement.on_conflict_do_update(index_elements=key, set_=others)
    return made


def _dialect_insert(connection: Connection, table: Table) -> Insert:
    made: Insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)
    return made


def _node_number(connection: Connection, name: str) -> int:
    table = schema.nodes
    connection.execute(insert_new(connection, table), {"name": name})
    number: int = connection.execute(select(table.c.id).where(table.c.name == name)).scalar_one()
    return number


def _connect_arguments(location: DatabaseLocation) -> dict[str, object]:
    if location.path is not None:
        # No isolation level: _begin_on_sqlite begins transactions, not the module.
        return {"timeout": CONNECT_TIME, "check_same_thread": False, "isolation_level": None}
    return {
        "connect_timeout": CONNECT_TIME,
        "options": f"-c statement_timeout={STATEMENT_TIME * 1000}",
        "application_name": "p2pool-dash",
        # So a server that disappeared is noticed.
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": STATEMENT_TIME * 1000,
    }


def _set_up_sqlite(connection: sqlite3.Connection, _: object) -> None:
    # The last minute may be lost with the machine's power; the file stays whole.
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "cache_size=-16384", "temp_store=MEMORY"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_on_sqlite(connection: Connection) -> None:
    # Tables are also made and changed in the transaction, and questions see one state. A writer takes the lock
    # at once: if it read first, another process might write meanwhile, and it would fail without waiting.
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _first_line(error: object) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
