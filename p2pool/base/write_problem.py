"""What is wrong with writing a file, and the one log line about it."""

from __future__ import annotations

from pathlib import Path

from twisted.logger import Logger

from p2pool.base.errors import reason_of

_log = Logger(namespace="p2pool.files")


class WriteProblem:
    """Whether a file can be written. A failure is logged once, until a write succeeds. Its owner keeps what is
    not written, and tries again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.reason: str | None = None
        """Why the last write failed; None if it succeeded."""

    def failed(self, error: OSError) -> None:
        """Record that a write failed."""
        is_new, self.reason = self.reason is None, reason_of(error)
        if is_new:
            _log.warn(
                "cannot write {path}: {why}; changes since the last successful write are lost if the node stops "
                "before the next one",
                path=str(self._path),
                why=self.reason,
            )

    def succeeded(self) -> None:
        """Record that a write succeeded."""
        self.reason = None
