"""POST /api/v1/miner-alerts: what is taken, what is refused, and who is let in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from p2pool.alerts.miners.subscribing import Problem, RequestRefused
from p2pool.web.access import Access, AccessSettings
from p2pool.web.api.miner_alerts import POSTS, STATUSES
from p2pool.web.api.schema import ERROR
from p2pool.web.site import WebSite
from tests.environment import make_environment
from tests.support import make_template
from tests.web.pages import Answer, Pool, take_apart

SHOWN = {"address": "yA", "channel": "ntfy", "events": ["block"]}
ANSWERS = {
    "challenge": {"message": "sign this", "expires": 5},
    "": {"address": "yA", "events": ["block"], "confirmed": False},
    "confirm": SHOWN,
    "unsubscribe": SHOWN,
}
TOKEN = {"token": "ab" * 24}


class FakeAlerts:
    """Remembers what it was asked for."""

    def __init__(self, is_offered: bool = True) -> None:
        self.is_offered = is_offered
        self.asked: list[tuple[Any, ...]] = []
        self.refusal: RequestRefused | None = None

    def _do(self, name: str, *what: Any) -> dict[str, Any]:
        self.asked.append((name, *what))
        if self.refusal is not None:
            raise self.refusal
        return ANSWERS[name]

    def challenge(self, given: Any, client: str) -> dict[str, Any]:
        return self._do("challenge", given, client)

    def subscribe(self, given: Any, client: str) -> dict[str, Any]:
        return self._do("", given, client)

    def confirm(self, token: str) -> dict[str, Any]:
        return self._do("confirm", token)

    def unsubscribe(self, token: str) -> dict[str, Any]:
        return self._do("unsubscribe", token)


class Site(Pool):
    """A site with alerts of miners."""

    def __init__(self, alerts: FakeAlerts | None, **settings: Any) -> None:
        super().__init__(3, make_template())
        self.refresh()
        self.alerts = alerts
        access = Access(AccessSettings(**{"rate_limit": 0, "host_names": frozenset({"x"})} | settings))
        self.site = WebSite(
            make_environment(self.clock), self.views, Path("/nowhere"), access=access, miner_alerts=alerts
        )

    def post(self, name: str, given: Any, *headers: str, kind: str = "application/json") -> Answer:
        body = given if isinstance(given, bytes) else json.dumps(given).encode()
        path = f"/api/v1/miner-alerts/{name}".rstrip("/")
        lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
        protocol, transport = self.connect()
        protocol.dataReceived("\r\n".join([*lines, *headers, "", ""]).encode("latin-1") + body)
        return take_apart(transport.value())


def given_to(name: str) -> dict[str, Any]:
    """A request with all fields that are required."""
    (endpoint,) = [each for each in POSTS if each.name == name]
    return dict.fromkeys(endpoint.request["required"], "x")


@pytest.mark.parametrize("endpoint", POSTS, ids=lambda each: each.path)
def test_requests_and_their_answers(endpoint):
    site = Site(FakeAlerts())
    given = given_to(endpoint.name)
    answer = site.post(endpoint.name, given)
    assert answer.status == 200, answer.body
    jsonschema.validate(answer.json, endpoint.schema)
    assert answer.headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in answer.headers
    expected = (given["token"],) if "token" in given else (given, "10.0.0.1")
    assert site.alerts.asked == [(endpoint.name, *expected)]
    for problem in endpoint.problems:
        site.alerts.refusal = RequestRefused(problem, "why")
        answer = site.post(endpoint.name, given)
        assert (answer.status, answer.json["error"]) == (
            STATUSES[problem],
            {"code": problem.value, "message": "why"},
        )
        jsonschema.validate(answer.json, ERROR)
    assert set(Problem) == set(STATUSES)


@pytest.mark.parametrize("endpoint", POSTS, ids=lambda each: each.path)
@pytest.mark.parametrize("alerts", [None, FakeAlerts(is_offered=False)])
def test_a_node_that_does_not_offer_them_says_so(endpoint, alerts):
    answer = Site(alerts).post(endpoint.name, given_to(endpoint.name))
    assert (answer.status, answer.json["error"]["code"]) == (404, "not_offered")
    assert "--miner-alerts" in answer.json["error"]["message"]


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"", "application/json", 400, "bad_request"),
        (b"[]", "application/json", 400, "bad_request"),
        (b"{", "application/json", 400, "bad_request"),
        (b"\xff", "application/json", 400, "bad_request"),
        (b'{"token": 5}', "application/json", 400, "bad_request"),
        (b"{}", "application/json", 400, "bad_request"),
        (json.dumps({"token": "x" * 101}).encode(), "application/json", 400, "bad_request"),
        (json.dumps(TOKEN | {"more": 1}).encode(), "application/json", 400, "bad_request"),
        (b"[" * 30_000, "application/json", 400, "bad_request"),
        (json.dumps(TOKEN).encode(), "text/plain", 415, "not_json"),
        (json.dumps(TOKEN).encode(), "application/x-www-form-urlencoded", 415, "not_json"),
        (b"x" * 70_000, "application/json", 413, "too_large"),
    ],
)
def test_bodies_that_are_refused(body, kind, status, code):
    site = Site(FakeAlerts())
    answer = site.post("confirm", body, kind=kind)
    assert (answer.status, answer.json["error"]["code"]) == (status, code)
    assert site.alerts.asked == []


@pytest.mark.parametrize("name", ["", "/challenge", "/confirm", "/unsubscribe"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_only_post_changes_anything(name, method):
    """Programs that scan the links of messages send GET, pages of other sites OPTIONS first."""
    site = Site(FakeAlerts())
    headers = ("Origin: http://evil.example", "Access-Control-Request-Method: POST")
    answer = site.ask(f"/api/v1/miner-alerts{name}?token={TOKEN['token']}", method, *headers)
    assert answer.status == (204 if method == "OPTIONS" else 405)
    assert answer.headers["allow"] == "POST, OPTIONS"
    if method not in ("GET", "HEAD"):  # that they are not allowed may be read by anybody
        assert "access-control-allow-origin" not in answer.headers
    assert site.alerts.asked == []


def test_what_is_below_is_not_there():
    site = Site(FakeAlerts())
    assert [site.post(name, TOKEN).status for name in ("x", "confirm/x", "/x")] == [404] * 3
    assert site.alerts.asked == []


def test_password_and_keys_hold_here_as_well():
    from tests.web.guarded import secret

    site = Site(FakeAlerts(), password=secret("me:pw"))
    assert site.post("confirm", TOKEN).status == 401
    site = Site(FakeAlerts(), keys=(secret("0123456789abcdef"),), key_endpoints=("/api/v1/miner-alerts*",))
    assert site.post("", given_to("")).status == 401
    assert site.alerts.asked == []
    site = Site(FakeAlerts(), rate_limit=1.0)
    statuses = [site.post("confirm", TOKEN).status for _ in range(12)]
    assert statuses[0] == 200
    assert statuses[-1] == 429
