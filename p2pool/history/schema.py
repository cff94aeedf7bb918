"""The tables, alike in SQLite and PostgreSQL, and how those of older versions become today's.

Samples are kept in the order of time, not of series: writing and removing them touches few pages, and a series is
read by looking up the times that it can have (all of them are multiples of the tier's step).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    inspect,
    select,
    text,
)

from p2pool.history.records import COUNTS, LEVELS, MEANS, POOL_FIGURES, HistoryProblem

SCHEMA_VERSION: Final = 2
MAX_NAME: Final = 128
"""Characters of a series' or a node's name."""
MAX_TEXT: Final = 2000


def storable(value: str, limit: int = MAX_NAME) -> str:
    """Return a text that databases accept: without NUL and lone surrogates, cut to `limit` characters."""
    return value[:limit].encode("utf-8", "replace").decode("utf-8").replace("\0", "?")


METADATA: Final = MetaData()
# Identifiers that increment: SQLite supports that for INTEGER only.
_IDENTIFIER = BigInteger().with_variant(Integer, "sqlite")


def _table(name: str, *parts: Column[Any] | Index) -> Table:
    """Return a table whose rows SQLite keeps in the order of the primary key as well."""
    return Table(name, METADATA, *parts, sqlite_with_rowid=False)


facts = _table(
    "facts",
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)
nodes = Table(
    "nodes",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", String(MAX_NAME), nullable=False, unique=True),
)
series = Table(
    "series",
    METADATA,
    Column("id", _IDENTIFIER, primary_key=True),
    Column("node", Integer, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("name", String(MAX_NAME), nullable=False),
    UniqueConstraint("node", "kind", "name"),
)
pool_samples = _table(
    "pool_samples",
    Column("node", Integer, primary_key=True, autoincrement=False),
    Column("step", Integer, primary_key=True, autoincrement=False),
    Column("time", BigInteger, primary_key=True, autoincrement=False),
    Column("seconds", Integer, nullable=False),  # of the period in which the node ran: what means weigh by
    *(Column(name, Double) for name in POOL_FIGURES),
)
series_samples = _table(
    "series_samples",
    Column("step", Integer, primary_key=True, autoincrement=False),
    Column("kind", SmallInteger, primary_key=True, autoincrement=False),
    Column("time", BigInteger, primary_key=True, autoincrement=False),
    Column("series", _IDENTIFIER, primary_key=True, autoincrement=False),
    *(Column(name, Double, nullable=False) for name in MEANS),
    *(Column(name, Double) for name in LEVELS),
    *(Column(name, BigInteger, nullable=False) for name in COUNTS),
)
shares = _table(
    "shares",
    Column("node", Integer, primary_key=True, autoincrement=False),
    Column("time", Double, primary_key=True),
    Column("hash", String(64), primary_key=True),
    Column("worker", String(MAX_NAME), nullable=False),
    Column("dead", Boolean, nullable=False),
    Column("attempts", Double, nullable=False),
)
blocks = _table(
    "blocks",
    Column("node", Integer, primary_key=True, autoincrement=False),
    Column("hash", String(64), primary_key=True),
    Column("time", Double, nullable=False),
    Column("height", BigInteger, nullable=False),
    Column("worker", String(MAX_NAME), nullable=False),
    Column("share", String(64)),
    Column("value", BigInteger, nullable=False),
    Column("status", String(16), nullable=False),
    Column("reason", String(MAX_TEXT), nullable=False),
    Column("confirmations", BigInteger, nullable=False),
    Column("chainlocked", Boolean, nullable=False),
    Index("blocks_by_time", "node", "time"),
)
rounds = _table(
    "rounds",
    Column("node", Integer, primary_key=True, autoincrement=False),
    Column("hash", String(64), primary_key=True),
    Column("start", String(64), nullable=False),
    Column("time_to_find", Double, nullable=False),
    Column("difficulty", Double),
    Column("expected_work", Double),
    Column("actual_work", Double),
    Column("method", String(16)),
)
coinbases = _table(
    "coinbases",
    Column("node", Integer, primary_key=True, autoincrement=False),
    Column("hash", String(64), primary_key=True),  # of the block
    Column("transaction", String(64), nullable=False),
)
payouts = _table(
    "payouts",
    Column("node", Integer, primary_key=True, autoincrement=False),
    Column("address", String(MAX_NAME), primary_key=True),
    Column("time", Double, primary_key=True),  # of the block, and so are the next two
    Column("hash", String(64), primary_key=True),
    Column("day", BigInteger, nullable=False),  # the start of the UTC day, which sums are grouped by
    Column("amount", BigInteger, nullable=False),
    Index("payouts_by_time", "node", "time"),
)
events = Table(
    "events",
    METADATA,
    Column("id", _IDENTIFIER, primary_key=True),
    Column("node", Integer, nullable=False),
    Column("time", Double, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("subject", String(MAX_NAME), nullable=False),
    Column("text", String(MAX_TEXT), nullable=False),
    Column("details", Text, nullable=False),
    Index("events_by_time", "node", "time"),
)


def _add_payouts(connection: Connection) -> None:
    METADATA.create_all(connection, [coinbases, payouts])


MIGRATIONS: Final[Mapping[int, Callable[[Connection], None]]] = {1: _add_payouts}
"""By the version that they start from: each makes the next version of it, in the transaction that it is given."""
_LOCK: Final = 7_903_001
"""PostgreSQL's advisory lock that a node holds while it checks the tables: several may start at once."""


def prepare(
    connection: Connection,
    version: int = SCHEMA_VERSION,
    migrations: Mapping[int, Callable[[Connection], None]] = MIGRATIONS,
) -> None:
    """Make the tables, or bring those of an older version up to date, in the caller's transaction. Raises
    HistoryProblem if they are of a newer version than this one."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    if not inspect(connection).has_table(facts.name):
        METADATA.create_all(connection)
        connection.execute(facts.insert(), {"name": "schema_version", "value": str(version)})
        return
    found = connection.execute(select(facts.c.value).where(facts.c.name == "schema_version")).scalar_one_or_none()
    current = parse_version(found, version, migrations)
    while current < version:
        migrations[current](connection)
        current += 1
        connection.execute(facts.update().where(facts.c.name == "schema_version"), {"value": str(current)})


def parse_version(
    found: str | None,
    version: int = SCHEMA_VERSION,
    migrations: Mapping[int, Callable[[Connection], None]] = MIGRATIONS,
) -> int:
    """Return the version in the table of facts. Raises HistoryProblem if tables of it cannot be used."""
    current = int(found) if found is not None and re.fullmatch("[0-9]{1,9}", found) else -1
    if current < min(migrations, default=version):
        raise HistoryProblem(
            f"the history database has no schema version that this program knows ({found!r}): give another "
            "database with --stats-db"
        )
    if current > version:
        raise HistoryProblem(
            f"the history database has schema version {current}, and this program knows versions up to {version}: "
            "install the newer p2pool-dash again, or restore a backup from before the upgrade, or give another "
            "database with --stats-db"
        )
    return current
