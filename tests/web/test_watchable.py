"""Live views: what needs a key by itself needs one over the WebSocket, too."""

from __future__ import annotations

from p2pool.web.access import Access, AccessSettings, Admitted

VIEWS = frozenset({"local_stats", "uptime", "api/v1/workers", "api/v1/pool", "metrics"})


def test_without_keys_all_may_be_watched():
    assert Access(AccessSettings()).watchable(None, VIEWS) == VIEWS


def test_what_needs_a_key_is_watched_with_one_only():
    access = Access(AccessSettings(key_endpoints=("/api/v1/*", "/uptime")))
    stranger, known = Admitted("192.0.2.1", None, False), Admitted("192.0.2.1", "fingerprint", False)
    assert access.watchable(stranger, VIEWS) == {"local_stats", "metrics"}
    assert access.watchable(None, VIEWS) == {"local_stats", "metrics"}
    assert access.watchable(known, VIEWS) == VIEWS
