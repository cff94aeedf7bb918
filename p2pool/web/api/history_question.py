"""What all questions to history have in common: the time that they are about, which node's it is, and that there
may be no answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.web.http import BAD_REQUEST, NOT_FOUND, SERVICE_UNAVAILABLE

from p2pool.history import reading
from p2pool.history.database import HistoryDatabase
from p2pool.history.records import DAY, HOUR, HistoryBusy, HistoryProblem
from p2pool.history.service import History
from p2pool.web.api.endpoint import (
    Arguments,
    EndpointError,
    EndpointParameter,
    ErrorResponse,
    RequestContext,
    choice,
    free_text,
)
from p2pool.web.api.schema import number

RANGES: Final = {"hour": HOUR, "day": DAY, "week": 7 * DAY, "month": 30 * DAY, "year": 365 * DAY}
NONE_IS_KEPT: Final = "no history is kept (--stats-db none)"
OUT_OF_ORDER: Final = "the history database is unavailable; the node's log says why"
"""The error for strangers: the reason itself may name hosts, users and paths."""
TOO_MANY_QUESTIONS: Final = "too many history requests from this host at once; try again in a moment"
NO_HISTORY: Final = ErrorResponse(SERVICE_UNAVAILABLE, "no_history", NONE_IS_KEPT)
BROKEN: Final = ErrorResponse(SERVICE_UNAVAILABLE, "no_history", OUT_OF_ORDER)
UNKNOWN_NODE: Final = ErrorResponse(NOT_FOUND, "unknown_node", "no node with this name writes to this database")
BAD_RANGE: Final = ErrorResponse(BAD_REQUEST, "bad_range", "from must be before to")
REFUSALS: Final = (NO_HISTORY, BROKEN, UNKNOWN_NODE, BAD_RANGE)

Question = Callable[[HistoryDatabase, reading.Span], bytes]


def ask(
    context: RequestContext,
    arguments: Arguments,
    question: Question,
    *,
    oldest: Callable[[HistoryDatabase, int], float | None] = reading.oldest,
) -> Deferred[bytes]:
    """Ask history about the span that the arguments name; the Deferred fires with the answer. `oldest` tells when
    the span of all that a node recorded begins. Raises EndpointError if no history is kept, or the span makes no
    sense."""
    history, now = context.sources.history, context.snapshot.pool.time
    if history is None:
        raise NO_HISTORY.exception()
    start, end = arguments["from"], arguments["to"]
    end = now if end is None else min(end, now)
    if start is None and arguments["range"] in RANGES:
        start = end - RANGES[arguments["range"]]
    if start is not None and start >= end:
        raise BAD_RANGE.exception()

    def answer(database: HistoryDatabase) -> bytes:
        node = reading.find_node(database, arguments["node"])
        if node is None:
            raise UNKNOWN_NODE.exception()
        first = oldest(database, node) if start is None else start
        return question(database, reading.Span(node, min(end - 1, end if first is None else first), end, now))

    return ensureDeferred(_answered(context, history, answer))


async def _answered(
    context: RequestContext, history: History, answer: Callable[[HistoryDatabase], bytes]
) -> bytes:
    if not context.questions.take(context.client):
        raise EndpointError(SERVICE_UNAVAILABLE, "no_history", TOO_MANY_QUESTIONS)
    try:
        return await history.ask(answer)
    except HistoryBusy as busy:
        raise EndpointError(SERVICE_UNAVAILABLE, "no_history", str(busy)) from None
    except HistoryProblem:
        raise BROKEN.exception() from None
    finally:
        context.questions.give_back(context.client)


def _time(name: str, description: str) -> EndpointParameter:
    def read(given: str) -> float:
        if not re.fullmatch(r"[0-9]{1,11}(\.[0-9]{1,6})?", given):
            raise ValueError
        return float(given)

    schema = number(description, minimum=0, maximum=99_999_999_999)
    return EndpointParameter(name, schema, read, f"bad_{name}", f"{name} must be a time in Unix seconds")


SPAN: Final = (
    choice("range", "how far back from `to`", (*RANGES, "all"), default="day"),
    _time("from", "start of the time range, instead of `range`"),
    _time("to", "end of the time range; default: now"),
    free_text("node", "name of another node that writes to the same database"),
)
