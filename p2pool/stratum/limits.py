"""The limits of a stratum server and its connections."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Limits of memory and time: bytes of a line, bytes that a slow reader may leave unsent, connections in all,
    and seconds for which a session can be resumed."""

    max_connections: int = 10_000
    max_line: int = 8192
    max_unsent: int = 256 * 1024
    session_timeout: float = 3600.0
