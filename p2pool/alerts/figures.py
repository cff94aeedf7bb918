"""Alerts as pages show them. `service` makes the figures, `web.api.alerts` renders them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DestinationFigures:
    """One destination: no address, no URL, but the `host`. Times in Unix seconds, None for never; `delivered` and
    `lost` since the start; `last_reason` is why the last failed attempt failed."""

    id: str
    kind: str
    host: str
    events: tuple[str, ...]
    waiting: int
    delivered: int
    lost: int
    last_success: float | None
    last_failure: float | None
    last_reason: str
    next_attempt: float | None


@dataclass(frozen=True, slots=True)
class AlertFigures:
    """All destinations. `events` are those that people are notified of; `held` counts those that wait for the
    quiet hours to end; `problem` says why pending alerts are not on disk, None while they are."""

    destinations: tuple[DestinationFigures, ...]
    events: tuple[str, ...]
    quiet_times: tuple[str, ...]
    is_quiet: bool
    held: int
    problem: str | None
