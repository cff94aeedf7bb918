"""The limits of a stratum server and its connections."""

from __future__ import annotations

from dataclasses import dataclass

from p2pool.stratum.settings import StratumSettings


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Limits of memory and time: bytes of a line, bytes that a slow reader may leave unsent, connections in all,
    and seconds for which a session can be resumed."""

    max_connections: int = StratumSettings.max_connections
    max_line: int = StratumSettings.max_line
    max_unsent: int = StratumSettings.max_unsent
    session_timeout: float = StratumSettings.session_timeout
