"""Everything that the library apprise reaches: Telegram, Discord, Slack, SMS and some hundred others, each by a
URL of its own. The library is large and is imported when it is used; it blocks, and is called in a thread."""

from __future__ import annotations

import logging
import re
from contextvars import ContextVar
from typing import Final
from urllib.parse import unquote

from typing_extensions import override

from p2pool.alerts.channel import (
    MAX_ANSWER,
    DeliveryOutcome,
    DeliveryResult,
    OutboxEntry,
    delivered,
    failed,
    without_secrets,
)
from p2pool.base.environment import RunInThread

MAX_LINES: Final = 10
"""Lines that the library logs about one attempt."""


class AppriseChannel:
    """The channel to one URL of apprise. The library is called with `run_in_thread`."""

    def __init__(self, url: str, run_in_thread: RunInThread) -> None:
        self._url = url
        self._run_in_thread = run_in_thread
        self._is_busy = False

    async def deliver(self, entry: OutboxEntry, now: float) -> DeliveryResult:
        """Send the entry's subject and body, and return the result."""
        subject, body = str(entry.content.get("subject", "")), str(entry.content.get("body", ""))
        if self._is_busy:
            return failed("the previous attempt is still running")
        self._is_busy = True
        result: DeliveryResult = await self._run_in_thread(lambda: self._notify(subject, body))
        return result

    def _notify(self, subject: str, body: str) -> DeliveryResult:
        """Notify, in the thread. The caller may have given up meanwhile, but only one call is made at a time."""
        try:
            return notify(self._url, subject, body)
        finally:
            self._is_busy = False


def service_of(url: str) -> str | None:
    """Return the name of the service that a URL is for, such as "tgram"; None if apprise cannot use it. Imports
    the library, which takes a second."""
    import apprise

    found = apprise.Apprise.instantiate(url, suppress_exceptions=True)
    if found is None:
        return None
    return re.sub(r"[^a-z0-9+.-]", "", url.partition("://")[0].lower())[:20] or "service"


def notify(url: str, subject: str, body: str) -> DeliveryResult:
    """Make one attempt. Blocks for as long as the library waits (its own time limits are seconds)."""
    import apprise

    asset = apprise.AppriseAsset(app_id="p2pool-dash", async_mode=False, secure_logging=True)
    service = apprise.Apprise(asset=asset)
    if not service.add(url):
        return failed("apprise cannot use this URL", outcome=DeliveryOutcome.REJECTED)
    logger, captured = logging.getLogger("apprise"), _Captured()
    logger.setLevel(logging.DEBUG)  # nobody else listens
    logger.addHandler(captured)
    mine = _attempt.set(captured)
    try:
        text = apprise.NotifyFormat.TEXT
        succeeded = bool(service.notify(body, subject, body_format=text, interpret_escapes=False))
    finally:
        _attempt.reset(mine)
        logger.removeHandler(captured)
    if succeeded:
        return delivered("the service accepted the message")
    secret = url.partition("://")[2]
    why = without_secrets(" ".join(captured.lines), f"{secret} {unquote(secret)}")
    return failed(why or "apprise could not deliver it and gave no reason")


class _Captured(logging.Handler):
    """What the library logs about one attempt: its warnings, and the detail that follows each (the exception, or
    the server's answer).

    Current versions send in threads of their own, with the caller's context: that tells attempts apart. The
    library's own LogCapture would take in what is logged about other URLs meanwhile, with their tokens.
    """

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self._detail_due = False

    @override
    def emit(self, record: logging.LogRecord) -> None:
        if _attempt.get() is not self or len(self.lines) >= MAX_LINES:
            return
        is_warning = record.levelno >= logging.WARNING
        if is_warning or self._detail_due:
            self.lines.append(record.getMessage()[:MAX_ANSWER])
        self._detail_due = is_warning


_attempt: ContextVar[_Captured | None] = ContextVar("attempt of apprise", default=None)
