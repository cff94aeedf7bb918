"""Why the difficulty of a miner's submissions is what it is, as far as its figures tell. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from p2pool.base.text import format_duration
from p2pool.pool_stats.workers import HASHES_PER_DIFFICULTY

_AT_PACE: Final = 3.0
"""Vardiff rounds to powers of two and is patient: a difficulty so many times too high or too low is meant so."""


class DifficultyReason(StrEnum):
    """Why the difficulty is what it is."""

    SEARCHING = "searching"
    SHARE = "share"
    PACE = "pace"
    HIGH = "high"
    LOW = "low"
    HIGHEST = "highest"


def difficulty_reason(difficulty: float, *, rate: float, share_difficulty: float, pace: float) -> DifficultyReason:
    """Return why a connection has its difficulty. `rate` in hashes a second, 0 if it is not known yet; `pace` is
    the time between two submissions that the node aims at, in seconds."""
    if rate <= 0:
        return DifficultyReason.SEARCHING
    suits = rate * pace / HASHES_PER_DIFFICULTY
    ratio = difficulty / min(suits, share_difficulty)
    if ratio > _AT_PACE:
        return DifficultyReason.HIGH
    if ratio < 1 / _AT_PACE:
        return DifficultyReason.LOW
    return DifficultyReason.PACE if suits <= share_difficulty else DifficultyReason.SHARE


def submission_interval(difficulty: float, rate: float) -> float | None:
    """Return the average seconds between two submissions; None if the hash rate is not known."""
    return difficulty * HASHES_PER_DIFFICULTY / rate if rate > 0 else None


def difficulty_why(reason: DifficultyReason, difficulty: float, *, rate: float, pace: float) -> str:
    """Return the reason as a sentence. Arguments as of `difficulty_reason`."""
    seconds = submission_interval(difficulty, rate) or 0.0
    interval = f"{seconds:.1f} s" if seconds < 10 else format_duration(seconds)
    target = format_duration(pace)
    match reason:
        case DifficultyReason.SEARCHING:
            return "The node is still finding the difficulty that suits the hash rate."
        case DifficultyReason.SHARE:
            return "As hard as a share is: more would cost shares."
        case DifficultyReason.PACE:
            return f"One submission about every {interval}, near the {target} that the node aims at."
        case DifficultyReason.HIGH:
            return (
                f"One submission every {interval} on average. The node aims at {target}: the username, the "
                "password or the mining software requests this difficulty, or the node allows no lower one."
            )
        case DifficultyReason.LOW:
            return (
                f"One submission every {interval} on average. The node aims at {target}: it is raising the "
                "difficulty, or the username fixes it."
            )
    return "The highest of the connected workers; each has one that suits its hash rate."
