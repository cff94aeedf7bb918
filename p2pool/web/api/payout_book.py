"""What blocks paid an address, from the history database: /api/v1/history/payouts/{address}, block by block, and
/api/v1/history/income/{address}, by day or month. What a block pays is unknown if it came while the node was not
running."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from twisted.internet.defer import Deferred

from p2pool.dashd.followup import CONFIRMED
from p2pool.history import reading
from p2pool.history.database import HistoryDatabase
from p2pool.history.records import Page
from p2pool.pool_stats import BlockStatus
from p2pool.web.api.block_status import STATUS
from p2pool.web.api.endpoint import (
    Arguments,
    Endpoint,
    RequestContext,
    amount,
    choice,
)
from p2pool.web.api.history_lists import ALL_ROWS, PAGE, csv_endpoint, listing, page_schema, table
from p2pool.web.api.history_question import REFUSALS, SPAN, ask
from p2pool.web.api.schema import AMOUNT, HASH, SECONDS, TIME, array, boolean, count, nullable, record, text
from p2pool.web.api.workers import ADDRESS
from p2pool.web.csv_table import render_csv

LOST: Final = (BlockStatus.ORPHANED.value, BlockStatus.REFUSED.value)
_BY: Final = choice("by", "length of a period", ("day", "month"), default="day")


# --- block by block -----------------------------------------------------------------------------------------


def _read(database: HistoryDatabase, span: reading.Span, arguments: Arguments) -> Page:
    return reading.read_payouts(
        database, span, address=arguments["address"], offset=arguments["offset"], limit=arguments["limit"]
    )


def _payout(row: Mapping[str, Any], block_period: float) -> dict[str, Any]:
    """Return a payout for JSON; `block_period` is the mean time between blocks of the Dash chain, in seconds."""
    confirmed, lost = row["status"] == BlockStatus.CONFIRMED.value, row["status"] in LOST
    missing = max(0, CONFIRMED - row["confirmations"])
    return {
        "time": row["time"],
        "hash": row["hash"],
        "height": row["height"],
        "transaction": row["transaction"],
        "amount": amount(row["amount"]),
        "status": row["status"],
        "confirmations": row["confirmations"],
        "spendable": confirmed,
        "spendable_in": None if lost else 0 if confirmed else missing * block_period,
    }


_PAYOUT: Final = {
    "time": TIME,
    "hash": HASH,
    "height": count(),
    "transaction": HASH,
    "amount": AMOUNT,
    "status": STATUS,
    "confirmations": count(),
    "spendable": boolean(),
    "spendable_in": nullable(SECONDS),
}


def payouts(context: RequestContext, arguments: Arguments) -> Deferred[bytes]:
    """Return the JSON of /api/v1/history/payouts."""
    period = context.node.network.parent.block_period
    return listing("payouts", _read, lambda row: _payout(row, period))(context, arguments)


def payouts_csv(context: RequestContext, arguments: Arguments) -> Deferred[bytes]:
    """Return the CSV of /api/v1/history/payouts.csv."""
    period = context.node.network.parent.block_period

    def flat(row: Mapping[str, Any]) -> dict[str, Any]:
        return _payout(row, period) | {"amount": amount(row["amount"])["dash"]}

    return table(tuple(_PAYOUT), _read, flat)(context, arguments)


# --- by period ----------------------------------------------------------------------------------------------


def _period(day: int, by: str) -> str:
    """Return the name of the UTC day or month that a day belongs to: 2026-11-30 or 2026-11."""
    date = datetime.fromtimestamp(day, UTC).date()
    return date.isoformat() if by == "day" else f"{date:%Y-%m}"


def income_rows(days: Iterable[Mapping[str, Any]], by: str) -> list[dict[str, Any]]:
    """Return sums by period, in the order of the days; what was lost counts nothing."""
    periods: dict[str, dict[str, Any]] = {}
    for row in days:
        if row["status"] in LOST:
            continue
        name = _period(row["day"], by)
        period = periods.setdefault(name, {"period": name, "blocks": 0, "duffs": 0, "maturing": 0})
        period["blocks"] += row["blocks"]
        period["duffs"] += row["amount"]
        if row["status"] != BlockStatus.CONFIRMED.value:
            period["maturing"] += row["amount"]
    return list(periods.values())


def _income(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "period": row["period"],
        "blocks": row["blocks"],
        "amount": amount(row["duffs"]),
        "maturing": amount(row["maturing"]),
    }


def income(context: RequestContext, arguments: Arguments) -> Deferred[bytes]:
    """Return the JSON of /api/v1/history/income."""
    address, by = arguments["address"], arguments["by"]

    def question(database: HistoryDatabase, span: reading.Span) -> bytes:
        rows = income_rows(reading.read_income(database, span, address), by)
        total = {name: sum(row[name] for row in rows) for name in ("blocks", "duffs", "maturing")}
        return orjson.dumps(
            {
                "from": span.start,
                "to": span.end,
                "by": by,
                "blocks": total["blocks"],
                "amount": amount(total["duffs"]),
                "maturing": amount(total["maturing"]),
                "periods": [_income(row) for row in rows],
            }
        )

    return ask(context, arguments, question, oldest=reading.oldest_listed)


_INCOME_COLUMNS: Final = ("period", "blocks", "amount", "maturing")


def income_csv(context: RequestContext, arguments: Arguments) -> Deferred[bytes]:
    """Return the CSV of /api/v1/history/income.csv."""
    address, by = arguments["address"], arguments["by"]

    def question(database: HistoryDatabase, span: reading.Span) -> bytes:
        rows = [_income(row) for row in income_rows(reading.read_income(database, span, address), by)]
        cells = ((r["period"], r["blocks"], r["amount"]["dash"], r["maturing"]["dash"]) for r in rows)
        return render_csv(_INCOME_COLUMNS, cells)

    return ask(context, arguments, question, oldest=reading.oldest_listed)


# --- the table ----------------------------------------------------------------------------------------------

ENDPOINTS: Final = (
    Endpoint(
        "/api/v1/history/payouts/{address}",
        "What blocks of a time range paid an address, if the node was running when they came",
        page_schema("payouts", _PAYOUT),
        look_up=payouts,
        parameters=(ADDRESS, *PAGE),
        refusals=REFUSALS,
    ),
    Endpoint(
        "/api/v1/history/income/{address}",
        "What blocks of a time range paid an address, by UTC day or month. Blocks outside the Dash chain count "
        "nothing",
        record(
            **{"from": TIME, "to": TIME},
            by=text(),
            blocks=count(),
            amount=AMOUNT,
            maturing=AMOUNT,
            periods=array(record(period=text(), blocks=count(), amount=AMOUNT, maturing=AMOUNT)),
        ),
        look_up=income,
        parameters=(ADDRESS, _BY, *SPAN),
        refusals=REFUSALS,
    ),
    csv_endpoint(
        "/api/v1/history/payouts.csv/{address}",
        "`/api/v1/history/payouts/{address}` as CSV",
        look_up=payouts_csv,
        parameters=(ADDRESS, *ALL_ROWS),
    ),
    csv_endpoint(
        "/api/v1/history/income.csv/{address}",
        "`/api/v1/history/income/{address}` as CSV",
        look_up=income_csv,
        parameters=(ADDRESS, _BY, *SPAN),
    ),
)
