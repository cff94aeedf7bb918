"""Where redirects lead: to the same site, also where a reverse proxy serves it below a path."""

from __future__ import annotations

from ipaddress import ip_network
from urllib.parse import urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.web.redirects import MAX_PREFIX, parse_prefix
from tests.web.guarded import Guarded


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("/pool", "/pool"),
        ("/pool/", "/pool"),
        (" /a/b-c_d.e~f ", "/a/b-c_d.e~f"),
        ("/.well-known", "/.well-known"),
        ("/...", "/..."),
        (None, ""),
        ("", ""),
        ("/", ""),
        ("pool", ""),
        ("//evil.example", ""),
        ("/pool//x", ""),
        ("/\\evil.example", ""),
        ("https://evil.example", ""),
        ("/a/../b", ""),
        ("/..", ""),
        ("/.", ""),
        ("/./a", ""),
        ("/a\r\nSet-Cookie: b", ""),
        ("/a\n", ""),
        ("/a b", ""),
        ("/a?b", ""),
        ("/a#b", ""),
        ("/%2e%2e", ""),
        ("/ä", ""),
        ("/a,/b", ""),
        ("/" + "a" * MAX_PREFIX, ""),
    ],
)
def test_a_prefix_is_a_plain_path_or_none(text, prefix):
    assert parse_prefix(text) == prefix


@given(st.text(max_size=30))
def test_no_prefix_leads_to_another_host(text):
    assert urljoin("http://node.example/", parse_prefix("/" + text) + "/x").startswith("http://node.example/")


@pytest.fixture
def pool(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a:b").mkdir()
    (tmp_path / "index.html").write_text("x")
    return Guarded(tmp_path, trusted_proxies=(ip_network("10.0.0.1"),))


@pytest.mark.parametrize(
    ("path", "relative", "below"),
    [
        ("/", "static/index.html", "/pool/static/index.html"),
        ("/?a=b", "static/index.html?a=b", "/pool/static/index.html?a=b"),
        ("/static", "static/", "/pool/static/"),
        ("/static/sub?x=1", "sub/?x=1", "/pool/static/sub/?x=1"),
        ("/static/a:b", "./a:b/", "/pool/static/a:b/"),
        ("/static/a%3ab", "a%3ab/", "/pool/static/a%3ab/"),
    ],
)
def test_redirects_keep_the_prefix(pool, path, relative, below):
    plain = pool.ask(path)
    assert (plain.status, plain.headers["location"]) == (302, relative)
    # What a browser makes of it, with the site at its root and below a path that the proxy takes off.
    for base in ("https://node.example", "https://node.example/pool"):
        assert urljoin(base + path, relative).startswith(base + "/static/")
    answer = pool.ask(path, "GET", "X-Forwarded-Prefix: /pool")
    assert (answer.status, answer.headers["location"]) == (302, below)
    assert answer.headers["cache-control"] == "no-store"


def test_a_hostile_prefix_and_one_of_a_stranger_change_nothing(pool):
    for prefix in ("//evil.example", "https://evil.example", "/..//evil.example", "/\\evil.example"):
        assert pool.ask("/", "GET", f"X-Forwarded-Prefix: {prefix}").headers["location"] == "static/index.html"
    pool.host = "10.0.0.2"
    assert pool.ask("/", "GET", "X-Forwarded-Prefix: /pool").headers["location"] == "static/index.html"


def test_the_description_of_the_interface_is_relative_to_itself(pool):
    [server] = pool.ask("/api/openapi.json").json["servers"]
    assert urljoin("https://node.example/pool/api/openapi.json", server["url"]) == "https://node.example/pool/"
