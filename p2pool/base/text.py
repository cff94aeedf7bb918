"""Text from outside made fit for logs and pages, and numbers made fit for people."""

from __future__ import annotations


def printable(text: str, limit: int = 64) -> str:
    """`text` without control characters or surrogates, cut to `limit` characters."""
    return "".join(c if c.isprintable() else "?" for c in text[:limit])


def format_rate(hashes_per_second: float) -> str:
    """A hash rate for people: 1234567 -> '1.23 MH/s'."""
    for factor, unit in ((1e15, "PH/s"), (1e12, "TH/s"), (1e9, "GH/s"), (1e6, "MH/s"), (1e3, "kH/s")):
        if hashes_per_second >= factor:
            return f"{hashes_per_second / factor:.2f} {unit}"
    return f"{hashes_per_second:.0f} H/s"


def format_dash(duffs: int) -> str:
    """An amount of duffs as decimal DASH: 123450000 -> '1.23450000'."""
    sign = "-" if duffs < 0 else ""
    return f"{sign}{abs(duffs) // 100_000_000}.{abs(duffs) % 100_000_000:08d}"


def format_duration(seconds: float) -> str:
    """A duration for people: 3720 -> '1 h 2 min'."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"
