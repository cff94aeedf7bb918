"""Lists from the history database: how a page of one becomes JSON, and all of it CSV."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson
from twisted.internet.defer import Deferred

from p2pool.history import reading
from p2pool.history.database import HistoryDatabase
from p2pool.history.records import Page
from p2pool.web.api.endpoint import (
    OFFSET,
    Arguments,
    Endpoint,
    EndpointParameter,
    RequestContext,
    whole_number,
)
from p2pool.web.api.history_question import REFUSALS, SPAN, ask
from p2pool.web.api.schema import TIME, Schema, array, count, record, text
from p2pool.web.csv_table import CSV_TYPE, render_csv

MAX_CSV_ROWS: Final = 10_000
PAGE: Final = (OFFSET, whole_number("limit", "maximum number of entries", low=1, high=500, default=50), *SPAN)
ALL_ROWS: Final = (
    OFFSET,
    whole_number("limit", "number of rows", low=1, high=MAX_CSV_ROWS, default=MAX_CSV_ROWS),
    *SPAN,
)

Read = Callable[[HistoryDatabase, reading.Span, Arguments], Page]


def listing(
    word: str, read: Read, shape: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> Callable[[RequestContext, Arguments], Deferred[bytes]]:
    """Return a look-up that answers a page of a list as JSON, under `word`."""

    def look_up(context: RequestContext, arguments: Arguments) -> Deferred[bytes]:
        def question(database: HistoryDatabase, span: reading.Span) -> bytes:
            page = read(database, span, arguments)
            return orjson.dumps(
                {
                    "total": page.total,
                    "offset": arguments["offset"],
                    "limit": arguments["limit"],
                    "from": span.start,
                    "to": span.end,
                    word: [shape(row) for row in page.rows],
                }
            )

        return ask(context, arguments, question, oldest=reading.oldest_listed)

    return look_up


def table(
    columns: Sequence[str], read: Read, shape: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> Callable[[RequestContext, Arguments], Deferred[bytes]]:
    """Return a look-up that answers all rows of a list as CSV."""

    def look_up(context: RequestContext, arguments: Arguments) -> Deferred[bytes]:
        def question(database: HistoryDatabase, span: reading.Span) -> bytes:
            shaped = (shape(row) for row in read(database, span, arguments).rows)
            return render_csv(columns, ([row[name] for name in columns] for row in shaped))

        return ask(context, arguments, question, oldest=reading.oldest_listed)

    return look_up


def page_schema(word: str, fields: Mapping[str, Schema]) -> Schema:
    """Return the schema of what a `listing` answers."""
    return record(
        total=count("number of entries on all pages"),
        offset=count(),
        limit=count(),
        **{"from": TIME, "to": TIME, word: array(record(**fields), "newest first")},
    )


def csv_endpoint(
    path: str,
    summary: str,
    *,
    look_up: Any,
    parameters: tuple[EndpointParameter, ...],
) -> Endpoint:
    """Return the endpoint of a `table`."""
    return Endpoint(
        path,
        summary,
        text("a header line, then the rows"),
        look_up=look_up,
        parameters=parameters,
        refusals=REFUSALS,
        content_type=CSV_TYPE,
    )
