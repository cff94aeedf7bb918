"""The running node's API: where it is, the login, and what goes wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from p2pool.base.errors import OperatorError
from p2pool.operators.arguments import Arguments
from p2pool.operators.explain import explain
from p2pool.operators.node_api import NodeApi, NotFound, node_api
from p2pool.operators.status import status
from p2pool.operators.top import top


class Web:
    """Answers every request with `status` and `body`, and keeps the requests."""

    def __init__(self) -> None:
        self.status, self.body = 200, json.dumps({"a": 1}).encode()
        self.asked: list[tuple[str, Any]] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.asked.append((self.path, self.headers))
                self.send_response(web.status)
                self.send_header("Content-Length", str(len(web.body)))
                self.end_headers()
                self.wfile.write(web.body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}/"


@pytest.fixture
def web() -> Iterator[Web]:
    found = Web()
    thread = threading.Thread(target=found.server.serve_forever, daemon=True)
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join()


def named(*rest: str, **flags: str) -> Arguments:
    return Arguments((), {f"--{name}": value for name, value in flags.items()}, rest, Path("/nowhere"))


def test_an_answer_and_the_parts_of_a_path(web):
    assert NodeApi(web.url).get("workers", "a/b c") == {"a": 1}
    assert web.asked[0][0] == "/api/v1/workers/a%2Fb%20c"


def test_the_settings_say_where_it_is_and_how_to_log_in(web):
    words = ["-w", f"127.0.0.1:{web.port}", "--web-password", "me:hunter2"]
    api = node_api(named(*words), {"P2POOL_API_KEYS": "0123456789abcdef another-0123456789"})
    assert api.url == web.url
    assert "hunter2" not in repr(api)
    assert "bWU6" not in repr(api)
    api.get("node")
    headers = web.asked[0][1]
    assert headers["Authorization"] == "Basic bWU6aHVudGVyMg=="
    assert headers["X-API-Key"] == "0123456789abcdef"


@pytest.mark.parametrize(
    ("words", "url"),
    [
        (["--net", "simnet"], "http://127.0.0.1:19783/"),
        (["-w", "0.0.0.0:1"], "http://127.0.0.1:1/"),
        (["-w", "[::1]:1"], "http://[::1]:1/"),
        (["--web-port", "10.0.0.1:80"], "http://10.0.0.1:80/"),
        (["--web-port", "443", "--web-ssl-self-signed"], "https://127.0.0.1:443/"),
    ],
)
def test_addresses(words, url):
    assert node_api(named(*words), {}).url == url


def test_an_address_of_its_own():
    assert node_api(named("-w", "0", url="https://node.example/"), {}) == NodeApi("https://node.example/")
    with pytest.raises(OperatorError, match="give the node's address with --url"):
        node_api(named("-w", "0"), {})
    with pytest.raises(OperatorError, match=r"\.\.\.@h: give an address like") as refused:
        node_api(named(url="me:hunter2@h"), {})
    assert "hunter2" not in str(refused.value)
    with pytest.raises(OperatorError, match="--web-password-file") as refused:
        node_api(named(url="https://me:hunter2@h"), {})
    assert "hunter2" not in str(refused.value)


def test_errors(web):
    api = NodeApi(web.url)
    web.status, web.body = 404, json.dumps({"error": {"code": "unknown_share", "message": "no share"}}).encode()
    with pytest.raises(NotFound, match=r"^no share$"):
        api.get("shares", "ff")
    web.body = b"<html>"
    with pytest.raises(OperatorError, match=r"answered with HTTP 404$"):
        api.get("node")
    web.status = 401
    with pytest.raises(OperatorError, match="requires a login"):
        api.get("node")
    web.status = 200
    with pytest.raises(OperatorError, match="is no p2pool-dash node"):
        api.get("node")


def test_nobody_answers():
    with pytest.raises(
        OperatorError, match=r"no node answers at http://127.0.0.1:1/ \(Connection refused\)"
    ) as refused:
        NodeApi("http://127.0.0.1:1/").get("node")
    assert refused.value.exit_status == 1


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b'{"warnings": 1, "total": "x", "address": []}'])
@pytest.mark.parametrize(
    ("command", "words"), [(status, []), (top, []), (explain, ["f" * 64]), (explain, ["yAddress"])]
)
def test_answers_of_something_else_are_named(web, tmp_path, capsys, command, words, body):
    web.body = body
    with pytest.raises(OperatorError, match="is not p2pool-dash"):
        command([*words, "--url", web.url], tmp_path)
    assert capsys.readouterr().out == ""
