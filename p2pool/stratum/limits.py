"""The limits of a stratum server and its connections."""

from __future__ import annotations

from dataclasses import dataclass

from p2pool.stratum.settings import UNREAD_LINES, StratumSettings


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Limits of memory and time: bytes of a line, bytes that a slow reader may leave unsent (see `unsent`),
    connections in all, and seconds for which a session can be resumed."""

    max_connections: int = StratumSettings.max_connections
    max_line: int = StratumSettings.max_line
    max_unsent: int = StratumSettings.max_unsent
    session_timeout: float = StratumSettings.session_timeout

    def unsent(self, line_size: int) -> int:
        """Return the bytes that a slow reader may leave unsent while a notify line has `line_size` bytes: with
        2,000 payees, two of them would exceed the default."""
        return max(self.max_unsent, UNREAD_LINES * line_size)
