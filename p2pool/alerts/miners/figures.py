"""Alerts of miners as pages show them: what may be set, and counts, without an address or a destination."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MinerAlertFigures:
    """Empty `channels` if there are none. `proofs` are the ways to prove an address, `events` what miners can be
    notified of; `sent` and `failed` count messages since the start, `waiting` those under way; `problem` says why
    subscriptions are not on disk, None while they are."""

    channels: tuple[str, ...] = ()
    proofs: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    subscriptions: int = 0
    unconfirmed: int = 0
    waiting: int = 0
    sent: int = 0
    failed: int = 0
    problem: str | None = None
