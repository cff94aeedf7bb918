"""Floods of browsers' connections: HTTP and WebSocket."""

from __future__ import annotations

import re
import time

from p2pool.web.api.table import ENDPOINTS
from tests.bench.floods_client import Client, batches, connected, serve
from tests.bench.floods_stratum import HOLD, address
from tests.e2e.websocket_client import handshake, masked

EACH = 10
"""How often every endpoint is asked, each time in another form."""
PATHS = 3000
"""Unknown paths and query strings."""
PER_CONNECTION, AT_ONCE = 25, 40
HALVES, SLOW, POSTS = 300, 60, 60
POST_SIZE = 1 << 20
WATCHERS, SLOW_WATCHERS = 400, 60
WATCHING = 3.0
"""Seconds for which they watch."""
VIEWS = b'{"type": "subscribe", "views": ["local_stats", "global_stats", "stratum_stats"]}'


def request(path: str, *headers: str, method: str = "GET", last: bool = False) -> bytes:
    """Return the bytes of a request without a body."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers]
    return "\r\n".join([*lines, *(["Connection: close"] if last else []), "", ""]).encode()


def _ask(port: int, requests: list[tuple[str, tuple[str, ...]]]) -> int:
    """Send them all, many on each connection; return how many were answered."""
    done = 0
    for batch in batches(len(requests), PER_CONNECTION * AT_ONCE):
        part = requests[batch.start : batch.stop]
        groups = [part[at : at + PER_CONNECTION] for at in range(0, len(part), PER_CONNECTION)]
        with connected(port, len(groups)) as clients:
            for client, group in zip(clients, groups, strict=True):
                for number, (path, headers) in enumerate(group, 1):
                    client.send(request(path, *headers, last=number == len(group)))
            serve(clients, lambda client: False)
            done += sum(client.data.count(b"HTTP/1.1 ") for client in clients)
    return done


def endpoints(port: int, round_number: int) -> int:
    """Every endpoint, again and again, with parameters that nobody gave before."""
    requests: list[tuple[str, tuple[str, ...]]] = []
    for at in range(EACH):
        encoding = ("Accept-Encoding: gzip",) if at % 2 else ()
        value = f"{round_number}{at}" if at % 3 else address(round_number, at)
        for path in [endpoint.path for endpoint in ENDPOINTS] + ["/metrics", "/static/index.html"]:
            requests.append((re.sub(r"\{[^}]+\}", value, path), (*encoding, f'If-None-Match: "{value}"')))
    return _ask(port, requests)


def unknown_paths(port: int, round_number: int) -> int:
    """Paths and query strings that nobody asked for before, and API keys and addresses that are wrong."""
    requests = []
    for at in range(PATHS):
        name = f"{round_number}x{at}"
        headers = (
            f"Authorization: Bearer key{name}",
            f"X-Forwarded-For: 10.{round_number}.{at // 250}.{at % 250}",
        )
        path = (
            f"/{name}/{name}",
            f"/static/{name}",
            f"/api/v1/history/graph?x={name}&limit={at}",
            f"/local_stats?{name}",
        )
        requests.append((path[at % 4], headers))
    return _ask(port, requests)


def slow_requests(port: int, round_number: int) -> int:
    """Half requests, bodies that are too long, and readers of long answers who do not read."""
    with connected(port, HALVES) as halves, connected(port, SLOW, receive_buffer=4096) as slow:
        for number, client in enumerate(halves):
            client.send(
                request(f"/half{round_number}.{number}")[: -2 - number % 8] + b"X-Long: " + b"x" * (number * 20)
            )
        for client in slow:
            client.send(request("/api/openapi.json") * 20 + request("/metrics") * 20)
        time.sleep(HOLD)
    with connected(port, POSTS) as posts:
        for number, client in enumerate(posts):
            head = request(
                ("/local_stats", "/api/v1/admin/ban")[number % 2], f"Content-Length: {POST_SIZE}", method="POST"
            )
            client.send(head + b"x" * POST_SIZE)
        serve(posts, lambda client: client.data.count(b"HTTP/1.1 ") > 0, 20.0)
    return HALVES + SLOW + POSTS


def _open(clients: list[Client], port: int) -> None:
    for client in clients:
        client.send(handshake(f"127.0.0.1:{port}", "/ws"))
    serve(clients, lambda client: b"\r\n\r\n" in client.data)


def websockets(port: int, round_number: int) -> int:
    """Watchers that subscribe and leave, slow ones that do not read, and ones that send nonsense."""
    done = 0
    for batch in batches(WATCHERS, AT_ONCE * 5):
        with connected(port, len(batch)) as clients:
            _open(clients, port)
            for number, client in enumerate(clients):
                client.send(masked(1, VIEWS))
                if number % 4 == 0:
                    client.send(masked(1, b'{"type": "%d"}' % number) + masked(2, b"\xff" * 2000))
            serve(clients, lambda client: False, WATCHING)
            done += sum(b" 101 " in client.data for client in clients)
    with connected(port, SLOW_WATCHERS, receive_buffer=4096) as slow:
        for client in slow:
            client.send(handshake(f"127.0.0.1:{port}", "/ws"))
        serve(slow, lambda client: client.received > 0)
        for _ in range(20):
            for client in slow:
                client.send(masked(1, VIEWS) * 20)
            time.sleep(HOLD / 20)
    return done + SLOW_WATCHERS
