"""Each way of being refused, over HTTP in memory: no key, a wrong one, the password, too many requests, forged
addresses, paths written otherwise; and what is open all the same."""

from __future__ import annotations

from base64 import b64encode
from ipaddress import ip_network

import pytest

from p2pool.web import access
from p2pool.web.access import WRONG_TRIES, WRONG_TRY_SECONDS, WebHostFigures, WebRateFigures
from p2pool.web.views import VIEWS
from tests.logged import logged
from tests.web.guarded import KEY, LOGIN, OTHER_KEY, Guarded, secret

PATHS = ("/", *(f"/{path}" for path in VIEWS), "/metrics", "/web/heads", "/web/share/1", "/static/index.html")
GOOD, BAD = f"X-API-Key: {KEY}", "X-API-Key: 0123456789abcdef-wrong"


def basic(login: str) -> str:
    return "Authorization: Basic " + b64encode(login.encode()).decode()


def code(answer) -> str:
    assert set(answer.json["error"]) == {"code", "message"}
    return answer.json["error"]["code"]


@pytest.fixture
def make(tmp_path):
    (tmp_path / "index.html").write_text("<p>first page</p>")
    return lambda **settings: Guarded(tmp_path, **settings)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_orchestrators_need_no_key_and_no_password(make, method):
    for settings in ({"password": secret(LOGIN)}, {"keys": (secret(KEY),), "key_endpoints": ("/*",)}):
        pool = make(**settings)
        for path in ("/healthz", "/readyz"):
            for headers in ((), (BAD,), (basic("x:y"),), ("Host: strange.example",)):
                answer = pool.ask(path, method, *headers)
                assert answer.status == 200, path
                assert "access-control-allow-origin" not in answer.headers
        for path in ("/healthz/", "/readyz/x", "/readyz/../metrics", "//healthz", "/%68ealthz", "/metrics"):
            assert pool.ask(path, method).status == 401, path


# --- keys --------------------------------------------------------------------------------------------------------


def test_without_restrictions_all_can_be_read(make):
    pool = make(keys=(secret(KEY),))
    for path in PATHS:
        for headers in ((), (BAD,), (basic("x:y"),)):
            assert pool.ask(path, "GET", *headers).status in (200, 302, 404), path


@pytest.mark.parametrize(
    "headers",
    [
        (f"X-API-Key: {OTHER_KEY}",),
        (f"Authorization: Bearer {OTHER_KEY}",),
        (f"authorization: bearer {OTHER_KEY}",),
    ],
)
def test_a_key_opens_what_needs_one(make, headers):
    pool = make(keys=(secret(KEY), secret(OTHER_KEY)), key_endpoints=("/metrics", "/web/*"))
    for path in ("/metrics", "/web/heads"):
        refused = pool.ask(path)
        assert refused.status == 401
        assert code(refused) == "api_key_required"
        assert refused.headers["www-authenticate"].startswith("Bearer")
        assert pool.ask(path, "GET", *headers).status == 200
    assert pool.ask("/local_stats").status == 200


@pytest.mark.parametrize(
    "header", [BAD, f"X-API-Key: {KEY}x", f"X-API-Key: {KEY[:-1]}", "X-API-Key:", "Authorization: Bearer \xff\xfe"]
)
def test_a_wrong_key(make, header):
    pool = make(keys=(secret(KEY),), key_endpoints=("/metrics",))
    with logged() as log:
        answer = pool.ask("/metrics", "GET", header)
    assert answer.status == 401
    assert code(answer) == "wrong_api_key"
    assert log.lines == ["web client 10.0.0.1 presented a wrong API key"]
    assert not log.tracebacks
    assert KEY not in answer.body.decode()


@pytest.mark.parametrize(
    ("glob", "covered", "open_paths"),
    [
        ("/local_stats", ["/local_stats", "/local_stats/", "/local_stats/more", "/local_stats?x=1"], ["/rate"]),
        ("/local_stats", ["/%6cocal_stats", "/local%5Fstats", "Xlocal_stats"], ["/global_stats"]),
        ("/web", ["/web/heads", "/web/share/1", "/web/%68eads"], ["/rate"]),
        ("/web/*", ["/web/heads", "/web/share/1", "/%77eb/heads"], ["/rate"]),
        ("/*", PATHS, []),
        ("/static*", ["/static/index.html", "/static/", "/static", "/static/%69ndex.html"], ["/"]),
        ("/r?te", ["/rate"], ["/fee"]),
    ],
)
def test_however_a_path_is_written_it_needs_its_key(make, glob, covered, open_paths):
    pool = make(keys=(secret(KEY),), key_endpoints=(glob,))
    for path in covered:
        assert pool.ask(path).status == 401, path
        assert pool.ask(path, "HEAD").status == 401, path
        assert pool.ask(path, "GET", GOOD).status in (200, 302, 404), path
    for path in open_paths:
        assert pool.ask(path).status in (200, 302), path


# --- the password ------------------------------------------------------------------------------------------------


def test_a_password_protects_everything(make):
    pool = make(password=secret(LOGIN))
    for path in (*PATHS, "/nothing", "/ws", "/api/v1/nothing", "*"):
        for method in ("GET", "HEAD", "POST", "OPTIONS"):
            answer = pool.ask(path, method)
            assert answer.status == 401, (path, method)
            assert answer.headers["www-authenticate"] == 'Basic realm="p2pool", charset="UTF-8"'
            assert method == "HEAD" or code(answer) == "password_required"
            assert "access-control-allow-origin" not in answer.headers
    for path in PATHS:
        answer = pool.ask(path, "GET", basic(LOGIN))
        assert answer.status in (200, 302, 404)
        assert "access-control-allow-origin" not in answer.headers
    assert pool.ask("/local_stats", "GET", basic(LOGIN)).headers["cache-control"] == "private, no-cache"


@pytest.mark.parametrize(
    "login", ["me:wrong", "you:sécret:with colons", "me", ":", "", "me:sécret", "ME:sécret:with"]
)
def test_a_wrong_password(make, login):
    answer = make(password=secret(LOGIN)).ask("/rate", "GET", basic(login))
    assert answer.status == 401
    assert code(answer) == "wrong_password"


def test_a_key_opens_what_the_password_opens_but_not_the_other_way_round(make):
    pool = make(password=secret(LOGIN), keys=(secret(KEY),), key_endpoints=("/metrics",))
    assert pool.ask("/rate", "GET", GOOD).status == 200
    assert pool.ask("/metrics", "GET", GOOD).status == 200
    assert code(pool.ask("/metrics", "GET", basic(LOGIN))) == "api_key_required"
    assert pool.ask("/metrics", "GET", basic(LOGIN), GOOD).status == 200
    # A wrong key is a wrong key, whatever comes with it: else who has the password could guess on.
    assert code(pool.ask("/rate", "GET", basic(LOGIN), BAD)) == "wrong_api_key"


@pytest.mark.parametrize(("good", "bad"), [(basic(LOGIN), basic("me:wrong")), (GOOD, BAD)])
def test_who_guesses_has_to_wait_and_the_others_do_not(make, good, bad):
    pool = make(password=secret(LOGIN), keys=(secret(KEY),))
    with logged() as log:
        for _ in range(WRONG_TRIES):
            assert pool.ask("/rate", "GET", bad).status == 401
        refused = pool.ask("/rate", "GET", bad)
        assert refused.status == 429
        assert refused.headers["retry-after"] == str(int(WRONG_TRY_SECONDS))
        # Not even the right one is looked at: else guessing would go on.
        assert pool.ask("/rate", "GET", good).status == 429
        pool.host = "10.0.0.2"
        assert pool.ask("/rate", "GET", good).status == 200
        pool.host = "10.0.0.1"
        assert pool.ask("/rate").status == 401  # who shows nothing guesses nothing
        pool.clock.advance(WRONG_TRY_SECONDS)
        assert pool.ask("/rate", "GET", good).status == 200
    assert len(log.lines) == 1
    figures = pool.access.figures()
    assert (figures.wrong_credentials, figures.throttled_credentials) == (WRONG_TRIES, 2)


# --- rates -------------------------------------------------------------------------------------------------------


def test_a_host_that_asks_too_fast(make):
    pool = make(rate_limit=4)
    statuses = [pool.ask("/rate").status for _ in range(25)]
    assert statuses == [200] * 20 + [429] * 5
    answer = pool.ask("/nothing")
    assert answer.status == 429
    assert code(answer) == "too_many_requests"
    assert answer.headers["retry-after"] == "1"
    assert "10.0.0.1" in answer.json["error"]["message"]
    pool.host = "10.0.0.2"
    assert pool.ask("/rate").status == 200
    pool.host = "10.0.0.1"
    pool.clock.advance(0.25)
    assert [pool.ask("/rate").status for _ in range(2)] == [200, 429]


def test_a_page_with_all_its_parts_is_shown_however_low_the_limit(make):
    pool = make(rate_limit=0.1)
    assert [pool.ask("/rate").status for _ in range(11)] == [200] * 10 + [429]
    assert pool.ask("/rate").headers["retry-after"] == "10"


def test_addresses_of_one_network_share_what_is_theirs(make):
    pool = make(rate_limit=2)
    for number in range(10):
        pool.host = f"2001:db8::{number:x}"
        assert pool.ask("/rate").status == 200
    pool.host = "2001:db8:0:0:ffff::1"
    assert pool.ask("/rate").status == 429
    pool.host = "2001:db8:0:1::1"
    assert pool.ask("/rate").status == 200
    pool.host = "10.0.0.1"
    for _ in range(10):
        assert pool.ask("/rate").status == 200
    pool.host = "::ffff:10.0.0.1"
    assert pool.ask("/rate").status == 429


def test_without_a_limit(make):
    pool = make(rate_limit=0)
    assert {pool.ask("/rate").status for _ in range(300)} == {200}
    assert pool.access.figures() == WebRateFigures(None, None, 300, 0, 0, 0, 0, ())


def test_figures(make):
    pool = make(rate_limit=2)
    for host, count in (("10.0.0.1", 12), ("2001:db8::1", 15), ("10.0.0.3", 1)):
        pool.host = host
        for _ in range(count):
            pool.ask("/rate")
    worst = (WebHostFigures("2001:db8::/64", 5), WebHostFigures("10.0.0.1", 2))
    assert pool.access.figures() == WebRateFigures(2, 10, 28, 7, 0, 0, 3, worst)
    assert pool.sources.web_rates() is None  # nobody plugged it in here


# --- whose address it is -----------------------------------------------------------------------------------------


def test_a_forged_address_changes_nothing(make):
    pool = make(rate_limit=2)
    for number in range(10):
        assert pool.ask("/rate", "GET", f"X-Forwarded-For: 198.51.100.{number}").status == 200
    for forged in ("127.0.0.1", "198.51.100.77", "10.0.0.1, 198.51.100.78", "\xff"):
        assert pool.ask("/rate", "GET", f"X-Forwarded-For: {forged}").status == 429
    assert [figures.host for figures in pool.access.figures().worst] == ["10.0.0.1"]


def test_behind_a_trusted_proxy_its_clients_are_distinguished(make):
    pool = make(rate_limit=2, trusted_proxies=(ip_network("10.0.0.0/24"),))
    for _ in range(10):
        assert pool.ask("/rate", "GET", "X-Forwarded-For: 198.51.100.1").status == 200
    assert pool.ask("/rate", "GET", "X-Forwarded-For: 198.51.100.1").status == 429
    # What the client says of itself stands left of what the proxy says of it.
    for forged in ("127.0.0.1", "10.0.0.7", "198.51.100.99", "\xff"):
        assert pool.ask("/rate", "GET", f"X-Forwarded-For: {forged}, 198.51.100.1").status == 429
        assert (
            pool.ask("/rate", "GET", f"X-Forwarded-For: {forged}", "X-Forwarded-For: 198.51.100.1").status == 429
        )
    assert pool.ask("/rate", "GET", "X-Forwarded-For: 198.51.100.2").status == 200
    assert pool.ask("/rate").status == 200  # the proxy's own
    assert [figures.host for figures in pool.access.figures().worst] == ["198.51.100.1"]


# --- other sites' scripts ----------------------------------------------------------------------------------------

PREFLIGHT = ("Origin: https://elsewhere.example", "Access-Control-Request-Method: GET")


def test_other_sites_may_read_what_anybody_may(make):
    pool = make(keys=(secret(KEY),))
    for path in ("/rate", "/web/heads", "/nothing", "/web/share/1"):  # errors are JSON, too
        assert pool.ask(path).headers["access-control-allow-origin"] == "*"
    for path in ("/metrics", "/static/index.html", "/"):
        assert "access-control-allow-origin" not in pool.ask(path).headers
    assert "access-control-allow-origin" not in pool.ask("/rate", "POST").headers
    answer = pool.ask("/rate", "OPTIONS", *PREFLIGHT)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-methods"] == "GET, HEAD"
    assert answer.headers["access-control-max-age"] == "86400"
    plain = pool.ask("/rate", "OPTIONS")
    assert plain.status == 204
    assert plain.headers["allow"] == "GET, HEAD, OPTIONS"
    assert "access-control-allow-origin" not in plain.headers


def test_other_sites_may_not_read_what_needs_a_key_nor_act(make):
    pool = make(keys=(secret(KEY),), key_endpoints=("/metrics",))
    for path in ("/rate", "/metrics", "/nothing"):
        for method in ("GET", "OPTIONS"):
            for headers in (PREFLIGHT, (*PREFLIGHT, GOOD)):
                assert "access-control-allow-origin" not in pool.ask(path, method, *headers).headers
    pool = make(keys=(secret(KEY),))
    for headers in (PREFLIGHT, (*PREFLIGHT, GOOD)):
        for method in ("OPTIONS", "POST", "GET"):
            answer = pool.ask("/api/v1/admin/ban", method, *headers)
            assert not [name for name in answer.headers if name.startswith("access-control")]
    assert pool.ask("/api/v1/admin/ban", "OPTIONS", GOOD).headers["allow"] == "POST, OPTIONS"


# --- the table of log lines --------------------------------------------------------------------------------------


def test_wrong_tries_of_many_hosts_are_remembered_so_far(make, monkeypatch):
    monkeypatch.setattr(access, "_LOGGED_HOSTS", 5)
    pool = make(password=secret(LOGIN))
    with logged() as log:
        for number in range(20):
            pool.host = f"10.0.1.{number}"
            pool.ask("/rate", "GET", basic("me:wrong"))
    assert len(log.lines) == 20
    assert len(pool.access._logged) == 5
