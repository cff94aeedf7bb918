"""Requests at full speed, where wrk is not installed: `python -m tests.bench.web_load URL SECONDS CONNECTIONS`.

Prints "Requests/sec: N", as wrk does.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from urllib.parse import urlsplit


class Connection:
    """One request after another."""

    def __init__(self, host: str, port: int, request: bytes) -> None:
        self.socket = socket.create_connection((host, port))
        self._request = request
        self._data = b""
        self.done = 0
        self.socket.sendall(request)

    def read(self) -> None:
        """What is there; an answer that is complete is followed by the next request. Raises RuntimeError where the
        server ends or answers in a way that is not understood."""
        data = self.socket.recv(1 << 18)
        if not data:
            raise RuntimeError("the server closed a connection")
        self._data += data
        head, found, rest = self._data.partition(b"\r\n\r\n")
        if not found:
            return
        _, named, length = head.lower().partition(b"content-length: ")
        if not named:
            raise RuntimeError(f"no length: {head!r}")
        if len(rest) >= int(length.split(b"\r\n")[0]):
            self._data = b""
            self.done += 1
            self.socket.sendall(self._request)


def main() -> None:
    """See the module."""
    url, seconds, count = urlsplit(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    host, port = str(url.hostname), url.port or 80
    request = f"GET {url.path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
    connections = [Connection(host, port, request) for _ in range(count)]
    by_file = {connection.socket.fileno(): connection for connection in connections}
    poll = select.poll()
    for fileno in by_file:
        poll.register(fileno, select.POLLIN)
    start = time.monotonic()
    while (passed := time.monotonic() - start) < seconds:
        for fileno, _ in poll.poll(100):
            by_file[fileno].read()
    print(f"Requests/sec: {sum(connection.done for connection in connections) / passed:.2f}")


if __name__ == "__main__":
    main()
