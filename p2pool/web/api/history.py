"""/api/v1/history/...: history from the database: series for graphs, rankings by hash rate, blocks, shares and
events, as JSON and as CSV. The answers are made in history's own threads."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson
from twisted.internet.defer import Deferred
from twisted.web.http import BAD_REQUEST, NOT_FOUND

from p2pool.history import reading
from p2pool.history.database import HistoryDatabase
from p2pool.history.records import (
    DAY,
    MEANS,
    POOL_FIGURES,
    REFUSED,
    SERIES_FIGURES,
    Page,
    Points,
    SeriesKind,
)
from p2pool.pool_stats import EventKind
from p2pool.web.api.block_status import STATUS
from p2pool.web.api.endpoint import (
    Arguments,
    Endpoint,
    EndpointParameter,
    ErrorResponse,
    RequestContext,
    amount,
    choice,
    free_text,
    whole_number,
)
from p2pool.web.api.history_lists import ALL_ROWS, PAGE, csv_endpoint, listing, page_schema, table
from p2pool.web.api.history_question import NONE_IS_KEPT, OUT_OF_ORDER, REFUSALS, SPAN, ask
from p2pool.web.api.rounds import ROUND_FIELDS, round_fields
from p2pool.web.api.schema import (
    AMOUNT,
    HASH,
    HASH_RATE,
    TIME,
    array,
    boolean,
    count,
    integer,
    mapping,
    nullable,
    number,
    record,
    text,
    words,
)
from p2pool.web.csv_table import render_csv
from p2pool.web.luck import PoolBlock, Round
from p2pool.web.sources import Snapshot

MAX_FIGURES: Final = 32
_KINDS: Final = {"worker": SeriesKind.WORKER, "address": SeriesKind.ADDRESS, "version": SeriesKind.VERSION}
_FIGURES: Final = {"pool": POOL_FIGURES, "version": ("hash_rate",)}
"""Of what has others than SERIES_FIGURES."""
UNKNOWN_NAME: Final = ErrorResponse(NOT_FOUND, "unknown_name", "the history has no data for this name")
NAME_MISSING: Final = ErrorResponse(
    BAD_REQUEST, "name_missing", "the parameter name is missing: the worker, address or version"
)

# --- series and the strongest -----------------------------------------------------------------------------


def _points(arguments: Arguments) -> tuple[Callable[[HistoryDatabase, reading.Span], Points], Sequence[str]]:
    """Return what reads the points that the arguments ask for, and their figures. Raises EndpointError."""
    of, name, points = arguments["of"], arguments["name"], arguments["points"]
    there_are = _FIGURES.get(of, SERIES_FIGURES)
    figures = arguments["figures"] or there_are
    unknown = [figure for figure in figures if figure not in there_are]
    if unknown:
        raise ErrorResponse(
            BAD_REQUEST, "bad_figures", f"figures of a {of} are {', '.join(there_are)}"
        ).exception()
    if of == "pool":
        return lambda database, span: reading.read_pool(database, span, figures=figures, points=points), figures
    if name is None:
        raise NAME_MISSING.exception()

    def read(database: HistoryDatabase, span: reading.Span) -> Points:
        found = reading.read_series(database, span, kind=_KINDS[of], name=name, figures=figures, points=points)
        if found is None:
            raise UNKNOWN_NAME.exception()
        return found

    return read, figures


def series(context: RequestContext, arguments: Arguments) -> Deferred[bytes]:
    """Return the JSON of /api/v1/history/series."""
    read, _ = _points(arguments)

    def question(database: HistoryDatabase, span: reading.Span) -> bytes:
        points = read(database, span)
        return orjson.dumps(
            {
                "of": arguments["of"],
                "name": arguments["name"],
                "from": span.start,
                "to": span.end,
                "step": points.step,
                "times": points.times,
                "figures": points.figures,
            }
        )

    return ask(context, arguments, question)


def series_csv(context: RequestContext, arguments: Arguments) -> Deferred[bytes]:
    """Return the JSON of /api/v1/history/series.csv."""
    read, figures = _points(arguments)

    def question(database: HistoryDatabase, span: reading.Span) -> bytes:
        points = read(database, span)
        columns = [points.figures[name] for name in figures]
        return render_csv(("time", *figures), zip(points.times, *columns, strict=True))

    return ask(context, arguments, question)


_TOP_COLUMNS: Final = ("name", *MEANS, "accepted", "refused", "dead", "shares")


def _top(database: HistoryDatabase, span: reading.Span, arguments: Arguments) -> list[dict[str, Any]]:
    rows = reading.read_top(database, span, _KINDS[arguments["of"]], limit=arguments["limit"])
    return [
        {name: sum(row[each] for each in REFUSED) if name == "refused" else row[name] for name in _TOP_COLUMNS}
        for row in rows
    ]


def top(context: RequestContext, arguments: Arguments) -> Deferred[bytes]:
    """Return the JSON of /api/v1/history/top."""

    def question(database: HistoryDatabase, span: reading.Span) -> bytes:
        rows = _top(database, span, arguments)
        return orjson.dumps({"of": arguments["of"], "from": span.start, "to": span.end, "rows": rows})

    return ask(context, arguments, question)


def top_csv(context: RequestContext, arguments: Arguments) -> Deferred[bytes]:
    """Return the JSON of /api/v1/history/top.csv."""

    def question(database: HistoryDatabase, span: reading.Span) -> bytes:
        rows = _top(database, span, arguments)
        return render_csv(_TOP_COLUMNS, (tuple(row.values()) for row in rows))

    return ask(context, arguments, question)


# --- lists --------------------------------------------------------------------------------------------------


def _block(row: Mapping[str, Any]) -> dict[str, Any]:
    this = Round(
        PoolBlock(row["time"], int(row["hash"], 16), None),
        row["time_to_find"],
        row["difficulty"],
        row["expected_work"],
        row["actual_work"],
        row["method"],
    )
    return {
        "time": row["time"],
        "hash": row["hash"],
        "height": row["height"],
        "share": row["share"],
        "worker": row["worker"],
        "value": amount(row["value"]),
        "status": row["status"],
        "reason": row["reason"] or None,
        "confirmations": row["confirmations"],
        "chainlock": row["chainlocked"],
        "network_difficulty": this.difficulty,
        "round": round_fields(this),
    }


def _share(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("time", "hash", "worker", "dead", "attempts")}


def _event(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("time", "kind", "subject", "text", "details")}


def _flat_block(block: Mapping[str, Any]) -> dict[str, Any]:
    return {**block, **block["round"], "value": block["value"]["dash"], "round": None}


def _flat_event(event: Mapping[str, Any]) -> dict[str, Any]:
    return {**event, "details": orjson.dumps(event["details"]).decode()}


def _read_blocks(database: HistoryDatabase, span: reading.Span, arguments: Arguments) -> Page:
    return reading.read_blocks(database, span, offset=arguments["offset"], limit=arguments["limit"])


def _read_shares(database: HistoryDatabase, span: reading.Span, arguments: Arguments) -> Page:
    return reading.read_shares(
        database, span, worker=arguments["worker"], offset=arguments["offset"], limit=arguments["limit"]
    )


def _read_events(database: HistoryDatabase, span: reading.Span, arguments: Arguments) -> Page:
    return reading.read_events(
        database, span, kind=arguments["kind"], offset=arguments["offset"], limit=arguments["limit"]
    )


# --- the state ----------------------------------------------------------------------------------------------


def status(snapshot: Snapshot) -> dict[str, Any]:
    """Return the JSON of /api/v1/history/status."""
    history = snapshot.sources.history
    if history is None:
        return dict.fromkeys(_STATUS_FIELDS) | {"problem": NONE_IS_KEPT}
    state = history.state
    return {
        "problem": state.problem and OUT_OF_ORDER,
        "database": state.database,
        "node": state.node,
        "retention_days": state.retention / DAY,
        "waiting": state.waiting,
        "written": state.written,
    }


# --- the table ----------------------------------------------------------------------------------------------


def _read_figures(given: str) -> tuple[str, ...]:
    figures = tuple(given.split(","))
    if len(figures) > MAX_FIGURES or not all(re.fullmatch("[a-z_]{1,40}", figure) for figure in figures):
        raise ValueError
    return figures


_SERIES: Final = (
    choice("of", "what the figures are of", ("pool", *_KINDS), default="pool"),
    free_text("name", "name of the worker, address or version"),
    EndpointParameter(
        "figures",
        text("figures to return, separated by commas; default: all", pattern="^[a-z_]+(,[a-z_]+)*$"),
        _read_figures,
        "bad_figures",
        "figures must be names separated by commas",
        longest=1000,
    ),
    whole_number("points", "maximum number of points, plus one", low=10, high=1000, default=500),
    *SPAN,
)
_TOP: Final = (
    choice("of", "what the figures are of", ("worker", "address"), default="worker"),
    whole_number("limit", "number of entries", low=1, high=200, default=20),
    *SPAN,
)
_WORKER: Final = free_text("worker", "only shares of this worker, or of all workers of this address")
_KIND: Final = choice("kind", "only events of this kind", tuple(EventKind), default=None)
_TOP_ROW: Final = record(
    name=text(), **dict.fromkeys(MEANS, HASH_RATE), accepted=count(), refused=count(), dead=count(), shares=count()
)
_BLOCK: Final = {
    "time": TIME,
    "hash": HASH,
    "height": count(),
    "share": nullable(HASH),
    "worker": text("empty or 'another node' if it was not found here"),
    "value": AMOUNT,
    "status": STATUS,
    "reason": nullable(text("why the block was rejected or orphaned")),
    "confirmations": count(),
    "chainlock": boolean(),
    "network_difficulty": nullable(number()),
    "round": record("the mining round that led to the block", **ROUND_FIELDS),
}
_SHARE: Final = {
    "time": TIME,
    "hash": HASH,
    "worker": text(),
    "dead": boolean("whether it was dead on arrival"),
    "attempts": number("number of hashes that it represents"),
}
_EVENT: Final = {
    "time": TIME,
    "kind": words(*EventKind),
    "subject": text("a worker, a host or a block hash; empty for the node"),
    "text": text(),
    "details": mapping({}),
}
_STATUS_FIELDS: Final = {
    "problem": nullable(text("why history is not being written")),
    "database": nullable(words("sqlite", "postgresql")),
    "node": nullable(text("this node's name in the database")),
    "retention_days": nullable(number("retention time of everything except blocks, in days")),
    "waiting": nullable(count("samples that have not been written yet")),
    "written": nullable(TIME),
}


_BLOCK_COLUMNS: Final = (*(name for name in _BLOCK if name != "round"), *ROUND_FIELDS)
ENDPOINTS: Final = (
    Endpoint(
        "/api/v1/history/series",
        "Figures over time in equal steps, oldest first. Rates are averages over a step, submissions and "
        "shares are counts within it; a figure is null if the node was not running or has no data",
        record(
            of=text(),
            name=nullable(text()),
            **{"from": TIME, "to": TIME},
            step=integer("seconds"),
            times=array(integer("the step's start, Unix seconds")),
            figures=mapping(array(nullable(number())), "by figure: one number for each entry of `times`"),
        ),
        look_up=series,
        parameters=_SERIES,
        refusals=(*REFUSALS, NAME_MISSING, UNKNOWN_NAME),
    ),
    Endpoint(
        "/api/v1/history/top",
        "Average hash rates and counts over a time range, highest hash rate first",
        record(of=text(), **{"from": TIME, "to": TIME}, rows=array(_TOP_ROW)),
        look_up=top,
        parameters=_TOP,
        refusals=REFUSALS,
    ),
    Endpoint(
        "/api/v1/history/blocks",
        "Blocks that the pool found within a time range",
        page_schema("blocks", _BLOCK),
        look_up=listing("blocks", _read_blocks, _block),
        parameters=PAGE,
        refusals=REFUSALS,
    ),
    Endpoint(
        "/api/v1/history/shares",
        "Shares that this node's miners found within a time range",
        page_schema("shares", _SHARE),
        look_up=listing("shares", _read_shares, _share),
        parameters=(*PAGE, _WORKER),
        refusals=REFUSALS,
    ),
    Endpoint(
        "/api/v1/history/events",
        "Events within a time range",
        page_schema("events", _EVENT),
        look_up=listing("events", _read_events, _event),
        parameters=(*PAGE, _KIND),
        refusals=REFUSALS,
    ),
    Endpoint(
        "/api/v1/history/status",
        "State of the history database",
        record(**_STATUS_FIELDS),
        view=status,
    ),
    csv_endpoint(
        "/api/v1/history/series.csv",
        "`/api/v1/history/series` as CSV",
        look_up=series_csv,
        parameters=_SERIES,
    ),
    csv_endpoint("/api/v1/history/top.csv", "`/api/v1/history/top` as CSV", look_up=top_csv, parameters=_TOP),
    csv_endpoint(
        "/api/v1/history/blocks.csv",
        "`/api/v1/history/blocks` as CSV",
        look_up=table(_BLOCK_COLUMNS, _read_blocks, lambda row: _flat_block(_block(row))),
        parameters=ALL_ROWS,
    ),
    csv_endpoint(
        "/api/v1/history/shares.csv",
        "`/api/v1/history/shares` as CSV",
        look_up=table(tuple(_SHARE), _read_shares, _share),
        parameters=(*ALL_ROWS, _WORKER),
    ),
    csv_endpoint(
        "/api/v1/history/events.csv",
        "`/api/v1/history/events` as CSV",
        look_up=table(tuple(_EVENT), _read_events, lambda row: _flat_event(_event(row))),
        parameters=(*ALL_ROWS, _KIND),
    ),
)
