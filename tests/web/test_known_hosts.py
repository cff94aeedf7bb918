"""Host names under which protected things can be reached, and a stranger's that leads here by DNS rebinding."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.app.config import load_config
from p2pool.app.web import known_host_names
from p2pool.base.errors import OperatorError
from p2pool.web.known_hosts import KnownHosts, machine_names, parse_host_name
from tests.logged import logged
from tests.web.guarded import KEY, Guarded, secret
from tests.web.pages import take_apart

HOSTS = KnownHosts(["pool.example.org", "rig"])
STRANGERS = (
    *("evil.example", "evil.example:7903", "pool.example.org.evil.example", "evilpool.example.org", "example.org"),
    *("localhost.evil.example", "127.0.0.1.evil.example", "127.1", "0x7f.0.0.1", "2130706433", "1.2.3.4.5"),
    *("pool.example.org@evil.example", "evil.example#pool.example.org", "evil.example/pool.example.org"),
    *("pool.example.org evil.example", "pool.example.org:80:80", "pool.example.org:x", "[evil.example]", "[::1"),
    *("::1", "[127.0.0.1.evil]", "", " ", "[]", "pool.example.org\x00", "\xff", "pool.example.org..", "."),
)


@pytest.mark.parametrize(
    "host",
    [
        *("pool.example.org", "pool.example.org:443", "POOL.Example.org.", "pool.example.org:", "rig", "rig:7903"),
        *(
            "localhost",
            "localhost:1",
            "rig.localhost",
            "127.0.0.1:7903",
            "192.0.2.7",
            "[::1]:7903",
            "[2001:db8::1]",
        ),
        *("[::ffff:10.0.0.1]", "0.0.0.0"),
    ],
)
def test_names_of_this_node_and_all_addresses_are_known(host):
    assert HOSTS.knows(host)


@pytest.mark.parametrize("host", STRANGERS)
def test_no_other_name_is_known_however_it_is_written(host):
    assert not HOSTS.knows(host)


@given(st.text(max_size=300))
def test_any_text_is_judged(text):
    assert isinstance(HOSTS.knows(text), bool)


def test_a_machine_is_known_by_its_own_name_only():
    assert machine_names("Rig1") == {"rig1", "rig1.local"}
    assert machine_names("rig1.farm.example.") == {"rig1.farm.example", "rig1", "rig1.local"}
    assert machine_names("") == machine_names("what ever") == frozenset()


def test_names_are_taken_as_browsers_send_them():
    assert parse_host_name("--web-host", " Pool.Example.ORG. ") == "pool.example.org"
    assert parse_host_name("--web-host", "pööl.example") == "xn--pl-fkaa.example"
    for text in ("a" * 64, "a..b", "ö" * 80, "a b", "-a.example", ".example.org"):
        with pytest.raises(OperatorError, match="--web-host"):
            parse_host_name("--web-host", text)


def test_the_names_in_other_settings_are_known(tmp_path):
    config = load_config(
        [
            *(
                "--net",
                "simnet",
                "-w",
                "worker.example:1",
                "--web-port",
                "Web.example:2",
                "--web-host",
                "a.example",
            ),
            *("--external-ip", "out.example", "--alert-page", "https://page.example:8443/pool/"),
        ],
        tmp_path,
        {},
    )
    assert known_host_names(config, "rig") == {
        *("rig", "rig.local", "worker.example", "web.example", "a.example", "out.example", "page.example"),
    }


# --- over HTTP -----------------------------------------------------------------------------------------------


@pytest.fixture
def make(tmp_path):
    (tmp_path / "index.html").write_text("<p>first page</p>")
    return lambda **settings: Guarded(tmp_path, **{"host_names": frozenset({"pool.example.org"}), **settings})


def ask(pool: Guarded, path: str, host: str | None, *headers: str, method: str = "GET", body: bytes = b""):
    """An answer to a request at `host`; None for no Host header."""
    lines = [f"{method} {path} HTTP/1.1", *([] if host is None else [f"Host: {host}"]), *headers]
    protocol, transport = pool.connect()
    protocol.dataReceived("\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body)
    return take_apart(transport.value())


def act(pool: Guarded, host: str | None, *headers: str):
    kind = "Content-Type: application/json"
    return ask(
        pool,
        "/api/v1/admin/unban",
        host,
        f"X-API-Key: {KEY}",
        kind,
        *headers,
        method="POST",
        body=b'{"host":"::1"}',
    )


def test_no_action_is_done_for_a_stranger_s_host_name(make):
    pool = make(keys=(secret(KEY),))
    with logged() as log:
        for host in ("evil.example", "evil.example:7903"):
            answer = act(pool, host)
            assert (answer.status, answer.json["error"]["code"]) == (403, "unknown_host")
    assert not pool.operator.done
    assert len(log.lines) == 1
    for host in ("pool.example.org", "pool.example.org:8443", "127.0.0.1:7903", "[::1]:7903", "localhost", None):
        assert act(pool, host).status == 200, host


def test_what_needs_a_key_or_the_password_is_not_shown_under_a_stranger_s_host_name(make):
    pool = make(keys=(secret(KEY),), key_endpoints=("/metrics",))
    assert ask(pool, "/metrics", "evil.example", f"X-API-Key: {KEY}").status == 403
    assert ask(pool, "/metrics", "pool.example.org", f"X-API-Key: {KEY}").status == 200
    closed = make(password=secret("me:secret"))
    login = "Authorization: Basic bWU6c2VjcmV0"
    for path in ("/", "/local_stats", "/static/index.html"):
        assert ask(closed, path, "evil.example", login).status == 403
        assert ask(closed, path, "pool.example.org", login).status in (200, 302)


def test_what_everybody_may_read_is_open_under_any_name(make):
    pool = make(keys=(secret(KEY),))
    for path in ("/local_stats", "/static/index.html", "/metrics"):
        assert ask(pool, path, "evil.example").status == 200


def test_no_keys_are_tried_out_from_there(make):
    pool = make(keys=(secret(KEY),))
    for _ in range(50):
        assert ask(pool, "/api/v1/admin/unban", "evil.example", "X-API-Key: wrong", method="POST").status == 403
    assert pool.access.figures().wrong_credentials == 0


def test_two_hosts_are_one_too_many(make):
    pool = make(keys=(secret(KEY),))
    assert act(pool, "127.0.0.1", "Host: evil.example").status in (400, 403)
    assert act(pool, "evil.example", "Host: 127.0.0.1").status in (400, 403)
    assert not pool.operator.done


def test_a_trusted_proxy_s_word_counts_besides_host_and_a_stranger_s_does_not(make):
    pool = make(keys=(secret(KEY),), trusted_proxies=(ip_network("10.0.0.1"),))
    assert act(pool, "127.0.0.1", "X-Forwarded-Host: evil.example").status == 403
    assert act(pool, "127.0.0.1", "X-Forwarded-Host: evil.example, pool.example.org").status == 200
    assert act(pool, "127.0.0.1", "X-Forwarded-Host: pool.example.org, evil.example").status == 403
    # It cannot hide the host: a proxy may pass on what a page has set.
    assert act(pool, "evil.example", "X-Forwarded-Host: pool.example.org").status == 403
    pool.host = "10.0.0.2"
    assert act(pool, "evil.example", "X-Forwarded-Host: pool.example.org").status == 403
    assert act(pool, "127.0.0.1", "X-Forwarded-Host: evil.example").status == 200
