"""Text from outside made fit for logs and pages, and numbers made fit for people."""

from __future__ import annotations

import re
from reprlib import Repr

_EXCERPT = Repr()
_EXCERPT.maxlevel, _EXCERPT.maxstring, _EXCERPT.maxlist, _EXCERPT.maxdict = 2, 70, 3, 3
_LOGIN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://(?=.*@)|(?=.*:.*@)).*@", re.DOTALL)


def printable(text: str, limit: int = 64) -> str:
    """Return `text` without control characters or surrogates, cut to `limit` characters."""
    cut = text[:limit]
    return cut if cut.isprintable() else "".join(c if c.isprintable() else "?" for c in cut)


def without_login(text: str) -> str:
    """Return `text` for an error message, with "..." in place of all before its last @ if a password may be in it:
    "https://user:password@host" and "user:password@host", but not "user@host"."""
    login = _LOGIN.match(text)
    return text if login is None else f"{login[1]}...@{text[login.end() :]}"


def excerpt(value: object) -> str:
    """Return what `value`, from JSON of any size and depth, looks like, in at most 80 characters (unlike
    repr())."""
    return _EXCERPT.repr(value)[:80]


def format_rate(hashes_per_second: float) -> str:
    """Return a hash rate for people: 1234567 -> '1.23 MH/s'."""
    value, decimals = hashes_per_second, 0
    for unit in ("H/s", "kH/s", "MH/s", "GH/s", "TH/s", "PH/s"):
        if round(value, decimals) < 1000:  # as it will be shown: never "1000.00 kH/s"
            return f"{value:.{decimals}f} {unit}"
        value, decimals = value / 1000, 2
    return f"{value:.2f} EH/s"


def format_dash(duffs: int) -> str:
    """Return an amount of duffs as decimal DASH: 123450000 -> '1.23450000'."""
    sign = "-" if duffs < 0 else ""
    return f"{sign}{abs(duffs) // 100_000_000}.{abs(duffs) % 100_000_000:08d}"


def format_duration(seconds: float) -> str:
    """Return a duration for people: 3720 -> '1 h 2 min'."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"
