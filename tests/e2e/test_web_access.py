"""A real node whose web is on a port of its own, through TLS, with password and keys: who is let in, what an
operator has done to real miners, and that browsers on the worker port are told where to go."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.e2e.process import NodeProcess, free_port, wait_for
from tests.e2e.stratum_client import ConnectionEnded, StratumClient

pytestmark = pytest.mark.e2e
KEY = "end-to-end-0123456789"
LOGIN = ("me", "a:long sécret")
WITH_KEY = {"X-API-Key": KEY}


class WebNode:
    """The node and its web's address."""

    def __init__(self, directory) -> None:
        self.web_port = free_port()
        (directory / "keys").write_text(KEY + "\n")
        self.node = NodeProcess(
            directory,
            *("--simnet-miners", "0", "--outgoing-conns", "0", "--stratum-proxy-protocol", "127.0.0.1"),
            *("--web-port", f"127.0.0.1:{self.web_port}", "--web-ssl-self-signed"),
            *("--web-password", ":".join(LOGIN), "--api-key-file", str(directory / "keys")),
            *("--api-key-endpoints", "/metrics", "--web-trusted-proxy", "127.0.0.1", "--web-rate-limit", "20"),
        )
        self.data = directory / "data" / "simnet"
        self.certificate = self.data / "web-cert.pem"

    def ask(self, path: str, method: str = "GET", host: str = "198.51.100.1", **more: Any) -> requests.Response:
        """As a reverse proxy asks for a client at `host`."""
        headers = {"X-Forwarded-For": host, **more.pop("headers", {})}
        return requests.request(
            method,
            f"https://127.0.0.1:{self.web_port}/{path}",
            headers=headers,
            auth=more.pop("auth", None) and tuple(part.encode() for part in LOGIN),
            verify=str(self.certificate),
            timeout=30,
            allow_redirects=False,
            **more,
        )

    def act(self, action: str, **parameters: Any) -> requests.Response:
        return self.ask(f"api/v1/admin/{action}", "POST", headers=WITH_KEY, json=parameters)


@pytest.fixture(scope="module")
def web(tmp_path_factory) -> Iterator[WebNode]:
    started = WebNode(tmp_path_factory.mktemp("web"))
    with started.node as node:
        node.wait_for_line(f"dashboard: https://127.0.0.1:{started.web_port}/")
        wait_for("figures", lambda: started.ask("local_stats", auth=True).status_code == 200)
        node.wait_for_line("on chain regtest")
        yield started
        assert node.interrupt() < 5
        assert "Traceback" not in node.output


def miner(web: WebNode, host: str) -> StratumClient:
    return StratumClient(web.node.port, header=b"PROXY TCP4 %b 127.0.0.1 1 2\r\n" % host.encode())


def test_everything_needs_the_password_and_is_encrypted(web):
    for path, status in (
        *(("", 302), ("static/index.html", 200), ("local_stats", 200), ("web/heads", 200), ("nothing", 404)),
        ("ws", 426),  # no page, but a WebSocket
    ):
        refused = web.ask(path)
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"].startswith("Basic")
        assert refused.json()["error"]["code"] == "password_required"
        assert web.ask(path, auth=True).status_code == status
    page = web.ask("static/index.html", auth=True)
    assert page.headers["Strict-Transport-Security"].startswith("max-age=")
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert web.ask("metrics", auth=True).json()["error"]["code"] == "api_key_required"
    assert "p2pool_" in web.ask("metrics", headers={"Authorization": f"Bearer {KEY}"}).text


def test_what_a_browser_has_is_not_sent_again_and_the_rest_is_compressed(web):
    script = web.ask("static/pages/index.js", auth=True)
    assert script.headers["Content-Encoding"] == "gzip"
    assert int(script.headers["Content-Length"]) < len(script.content)
    again = web.ask("static/pages/index.js", auth=True, headers={"If-None-Match": script.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    plain = web.ask("static/pages/index.js", auth=True, headers={"Accept-Encoding": "identity"})
    assert plain.content == script.content
    assert plain.headers["ETag"] != script.headers["ETag"]


def test_the_worker_port_is_for_miners_and_says_so(web):
    with socket.create_connection(("127.0.0.1", web.node.port), 30) as browser:
        browser.sendall(b"PROXY TCP4 203.0.113.50 127.0.0.1 1 2\r\nGET /local_stats HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b"".join(iter(lambda: browser.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert str(web.web_port).encode() in answer
    with miner(web, "203.0.113.51") as one:
        one.subscribe()


def test_plain_http_and_stratum_get_nowhere_on_the_encrypted_port(web):
    for data in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b'{"id": 1, "method": "mining.subscribe", "params": []}\n'):
        with socket.create_connection(("127.0.0.1", web.web_port), 30) as client:
            client.sendall(data)
            assert b"HTTP/1.1 200" not in b"".join(iter(lambda: client.recv(4096), b""))


def test_a_miner_is_banned_and_let_in_again(web):
    host = "203.0.113.7"
    with miner(web, host) as one, miner(web, "203.0.113.8") as other:
        one.subscribe()
        other.subscribe()
        made = web.act("ban", host=host, seconds=600, reason="a test of ours")
        assert made.status_code == 200
        assert made.json()["host"] == host
        one.wait_for_the_end()
        assert [ban["host"] for ban in wait_for("ban", lambda: bans(web))] == [host]
        with pytest.raises((ConnectionEnded, OSError)):
            miner(web, host).subscribe()
        assert web.act("unban", host=host).json() == {"action": "unban", "was_banned": True}
        assert web.act("unban", host=host).json()["was_banned"] is False
        with miner(web, host) as again:
            again.subscribe()
    assert web.act("ban", host="127.0.0.1", seconds=5).status_code == 400
    # Written by a thread: in order, but not before the answer.
    wait_for("two bans in the audit log", lambda: len(audited(web, "ban")) == 2, 30)
    lines = audited(web, "ban")
    assert [line["outcome"][:7] for line in lines] == ["done", "refused"]
    assert lines[0]["parameters"] == {"host": host, "seconds": 600, "reason": "a test of ours"}
    assert lines[0]["client"] == "198.51.100.1"
    assert len(audited(web, "unban")) == 2
    assert KEY not in (web.data / "audit.log").read_text()
    assert (web.data / "audit.log").stat().st_mode & 0o077 == 0


def bans(web: WebNode) -> list[dict[str, Any]]:
    bans: list[dict[str, Any]] = web.ask("ban_stats", auth=True).json()["bans"]
    return bans


def audited(web: WebNode, action: str) -> list[dict[str, Any]]:
    entries = [json.loads(line) for line in (web.data / "audit.log").read_text().splitlines()]
    return [entry for entry in entries if entry["action"] == action]


def test_the_log_s_level_is_changed_while_the_node_runs(web):
    for level, host in (("error", "203.0.113.90"), ("info", "203.0.113.91")):
        assert web.act("log-level", level=level).json() == {"action": "log-level", "level": level}
        assert web.act("ban", host=host, seconds=1).status_code == 200  # one warning
    web.node.wait_for_line("203.0.113.91 is banned")
    assert "203.0.113.90" not in web.node.output


def test_who_may_not_act_is_refused(web):
    for headers, code in (
        ({}, "api_key_required"),
        ({"X-API-Key": "wrong-wrong-wrong-wrong"}, "wrong_api_key"),
    ):
        answer = web.ask("api/v1/admin/unban", "POST", headers=headers, json={"host": "192.0.2.1"}, auth=True)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, code)
    assert web.ask("api/v1/admin/unban", "GET", headers=WITH_KEY).status_code == 405
    large = web.ask("api/v1/admin/message", "POST", headers=WITH_KEY, data=b"x" * 70_000)
    assert large.status_code == 413


def test_a_host_that_asks_too_fast_waits_and_the_others_do_not(web):
    session = requests.Session()
    session.auth = tuple(part.encode() for part in LOGIN)  # type: ignore[assignment]
    session.verify = str(web.certificate)
    session.trust_env = False  # or the environment's certificates would go before ours

    def ask(number: int) -> requests.Response:
        # What the client says of itself changes nothing.
        headers = {"X-Forwarded-For": f"203.0.113.{number % 200}, 198.51.100.66"}
        return session.get(f"https://127.0.0.1:{web.web_port}/rate", headers=headers, timeout=30)

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(ask, range(400)))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(answers) - len(refused) >= 100
    assert refused
    assert int(refused[0].headers["Retry-After"]) >= 1
    assert web.ask("rate", auth=True, host="198.51.100.67").status_code == 200
    time.sleep(int(refused[-1].headers["Retry-After"]))
    assert ask(0).status_code == 200


def test_a_request_that_never_ends_ends(web):
    context = ssl.create_default_context(cafile=str(web.certificate))
    with socket.create_connection(("127.0.0.1", web.web_port), 60) as plain:
        client = context.wrap_socket(plain, server_hostname="localhost")
        client.sendall(b"GET /rate HTTP/1.1\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 408 ")
