"""The estimate of a hash rate with its bounds, as the API shows it for workers, addresses and the node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

from p2pool.pool_stats import is_estimating
from p2pool.web.api.schema import boolean, number, record

_WINDOWS: Final = {"1m": "a minute", "1h": "an hour", "1d": "a day"}


class Estimate(Protocol):
    """A hash rate with its bounds, in hashes a second."""

    @property
    def hash_rate(self) -> float: ...
    @property
    def hash_rate_low(self) -> float: ...
    @property
    def hash_rate_high(self) -> float: ...


def rate_figures(estimate: Estimate) -> dict[str, Any]:
    """Return a hash rate and its bounds for JSON."""
    return {
        "hash_rate": estimate.hash_rate,
        "hash_rate_low": estimate.hash_rate_low,
        "hash_rate_high": estimate.hash_rate_high,
        "estimating": is_estimating(estimate.hash_rate, estimate.hash_rate_high),
    }


def rates_by_window(estimate: float, smoothed: Sequence[float]) -> dict[str, float]:
    """Return hashes a second by window: the estimate, and the averages over pool_stats' RATE_WINDOWS."""
    return {"10m": estimate, **dict(zip(_WINDOWS, smoothed, strict=True))}


RATE_FIELDS: Final = {
    "hash_rate": number(
        "hashes per second, estimated from the submissions of the last ten minutes, or from the last 16 if there "
        "were fewer; 0 before the first one"
    ),
    "hash_rate_low": number("lower end of the 90 % credible interval of hash_rate, in hashes per second"),
    "hash_rate_high": number("upper end of the 90 % credible interval of hash_rate, in hashes per second"),
    "estimating": boolean(
        "true if hash_rate rests on too few submissions to be reliable; show the interval instead"
    ),
}
RATES_BY_WINDOW: Final = record(
    "hashes per second by window",
    **{"10m": number("the same as hash_rate")},
    **{window: number(f"hashes per second, average over {span}") for window, span in _WINDOWS.items()},
)
