"""What an operator can set about history, from which graphs and lists are made."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from p2pool.base.errors import OperatorError
from p2pool.base.settings import Given, Secret, Shown, setting
from p2pool.base.text import without_login
from p2pool.history.database import DatabaseLocation, parse_database_location

FILE_NAME: Final = "history.sqlite"
"""The database in the data directory that is used unless the operator names another one."""


_WITHOUT_SCHEME: Final = "a PostgreSQL database is given as postgresql://USER:PASSWORD@HOST/DATABASE"


def default_location(datadir: Path) -> DatabaseLocation:
    """Return the database of a data directory."""
    return parse_database_location("--stats-db", str(datadir / FILE_NAME))


def read_location(given: Given) -> DatabaseLocation | None:
    """Return the database that the operator names, None for `none`. A file's directory has to exist: one that does
    not is a typing error, or a disk that is not mounted. Raises OperatorError."""
    if given.text == "none":
        return None
    if re.match("[^/]*:[^/]*@", given.text) and "://" not in given.text:
        raise OperatorError(
            f"{given.source} {without_login(given.text)}: {_WITHOUT_SCHEME}; give a file of such a name as ./NAME"
        )
    location = parse_database_location(given.source, given.text)
    if location.path is not None and not location.path.parent.is_dir():
        if without_login(given.text) != given.text:
            raise OperatorError(
                f"{given.source} {without_login(given.text)}: there is no such directory, and {_WITHOUT_SCHEME}"
            )
        raise OperatorError(
            f"{given.source} {location.path}: there is no directory {location.path.parent}: create it, or mount "
            "its disk, first"
        )
    return location


def _read_node_name(given: Given) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._:-]{1,64}", given.text):
        raise given.refused("give up to 64 letters, digits and .-_:")
    return given.text


@dataclass(frozen=True, kw_only=True)
class HistorySettings:
    """Settings of the database of history."""

    stats_db: DatabaseLocation | None = setting(
        None,  # the data directory's own is put in its place; `none` leaves None
        metavar="FILE|URL",
        read=read_location,
        secret=Secret("P2POOL_STATS_DB"),
        shown=Shown.COMPOSED,
        help="keep history in this SQLite file, or in PostgreSQL: postgresql://USER:PASSWORD@HOST/DATABASE (needs "
        "the package psycopg; several nodes can share a database); 'none' keeps no history",
        default_text=f"DATADIR/NET/{FILE_NAME}",
    )
    stats_retention: float = setting(
        30.0,
        metavar="DAYS",
        limits=(1, 100 * 366),
        unit="days",
        shown=Shown.VALUE,
        help="keep history for this long; blocks are kept forever",
    )
    stats_node: str | None = setting(
        None,
        metavar="NAME",
        read=_read_node_name,
        shown=Shown.VALUE,
        help="this node's name in the database",
        default_text="a name chosen at the first start",
    )
