"""Tables as CSV (RFC 4180), for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any, Final

CSV_TYPE: Final = b"text/csv; charset=utf-8"


def render_csv(columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> bytes:
    """Return a line of column names and the rows as CSV."""
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return written.getvalue().encode()


def _cell(value: Any) -> Any:
    """Return a cell that spreadsheets do not take for a formula: names of workers come from anybody."""
    return "'" + value if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
