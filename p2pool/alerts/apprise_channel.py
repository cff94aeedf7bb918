"""Everything that the library apprise reaches: Telegram, Discord, Slack, SMS and some hundred others, each by a
URL of its own. The library is large and is imported when it is used; it blocks, and is called in a thread."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final
from urllib.parse import unquote

from twisted.internet.defer import Deferred

from p2pool.alerts.channel import MAX_ANSWER, Answer, Delivery, failed, without_secrets

MAX_LINES: Final = 10
"""Of what the library says of one attempt."""


class AppriseChannel:
    """One URL of apprise's. `run_in_thread` is for the library."""

    def __init__(self, url: str, run_in_thread: Callable[[Callable[[], Any]], Deferred[Any]]) -> None:
        self._url = url
        self._run_in_thread = run_in_thread
        self._hangs = False

    async def deliver(self, delivery: Delivery, now: float) -> Answer:
        """Channel's."""
        subject, body = str(delivery.content.get("subject", "")), str(delivery.content.get("body", ""))
        if self._hangs:
            return failed("the last attempt has not ended yet")
        self._hangs = True
        answer: Answer = await self._run_in_thread(lambda: self._notify(subject, body))
        return answer

    def _notify(self, subject: str, body: str) -> Answer:
        """In the thread: whoever waits may have given up, but there is never more than one."""
        try:
            return notify(self._url, subject, body)
        finally:
            self._hangs = False


def service_of(url: str) -> str | None:
    """The name of the service that a URL is for, such as "tgram"; None where apprise cannot use it. Imports the
    library, which takes a second."""
    import apprise

    found = apprise.Apprise.instantiate(url, suppress_exceptions=True)
    if found is None:
        return None
    return re.sub(r"[^a-z0-9+.-]", "", url.partition("://")[0].lower())[:20] or "service"


def notify(url: str, subject: str, body: str) -> Answer:
    """One attempt. Blocks for as long as the library waits (its own time limits are seconds)."""
    import apprise

    asset = apprise.AppriseAsset(app_id="p2pool-dash", async_mode=False, secure_logging=True)
    service = apprise.Apprise(asset=asset)
    if not service.add(url):
        return failed("apprise cannot use this URL", again=False)
    logger, said = logging.getLogger("apprise"), _Said()
    logger.setLevel(logging.DEBUG)  # nobody else listens
    logger.addHandler(said)
    mine = _attempt.set(said)
    try:
        text = apprise.NotifyFormat.TEXT
        delivered = bool(service.notify(body, subject, body_format=text, interpret_escapes=False))
    finally:
        _attempt.reset(mine)
        logger.removeHandler(said)
    if delivered:
        return Answer(True, "the service took the message")
    secret = url.partition("://")[2]
    why = without_secrets(" ".join(said.lines), f"{secret} {unquote(secret)}")
    return failed(why or "apprise could not deliver it, and does not say why")


class _Said(logging.Handler):
    """What the library logs about one attempt: its warnings, and the detail that follows each (the exception, or
    the server's answer).

    Current versions send in threads of their own, with the caller's context: that tells attempts apart. The
    library's own LogCapture would take in what is logged about other URLs meanwhile, with their tokens.
    """

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self._detail_due = False

    def emit(self, record: logging.LogRecord) -> None:
        """logging's."""
        if _attempt.get() is not self or len(self.lines) >= MAX_LINES:
            return
        is_warning = record.levelno >= logging.WARNING
        if is_warning or self._detail_due:
            self.lines.append(record.getMessage()[:MAX_ANSWER])
        self._detail_due = is_warning


_attempt: ContextVar[_Said | None] = ContextVar("attempt of apprise", default=None)
