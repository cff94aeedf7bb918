"""What the library apprise says of an attempt, without a server (tests/e2e/test_alerts.py has those)."""

from __future__ import annotations

import logging
import threading

import apprise

from p2pool.alerts.apprise_channel import MAX_LINES, notify
from p2pool.alerts.channel import DeliveryOutcome


def test_what_is_said_of_another_url_meanwhile_is_not_reported_and_no_token_is(monkeypatch):
    said = logging.getLogger("apprise").warning

    def deliver(self, *_: object, **__: object) -> bool:
        other = threading.Thread(target=said, args=("the token of another is 0THERT0KEN",))
        other.start()
        other.join()
        said("127.0.0.1 does not know p@SSWORD1 and p%40SSWORD1")
        for _each in range(MAX_LINES):
            said("so there")
        return False

    monkeypatch.setattr(apprise.Apprise, "notify", deliver)
    answer = notify("json://me:p%40SSWORD1@192.0.2.1/", "subject", "body")
    assert answer.text == " ".join(["127.0.0.1 does not know p@... and p%..."] + ["so there"] * (MAX_LINES - 1))
    assert answer.outcome is DeliveryOutcome.RETRY
    assert not logging.getLogger("apprise").handlers[1:]  # but for the library's own, which says nothing
