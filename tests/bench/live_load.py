"""A thousand browsers that watch live, in one cheap process of their own.

`python -m tests.bench.live_load PORT NODE_PID` takes commands, a JSON object a line, on standard input (`do` names
a method of `Watchers`, the rest are its arguments) and answers each with one on standard output. Between commands
it goes on reading. It ends with its standard input.
"""

from __future__ import annotations

import gc
import json
import os
import select
import socket
import sys
import time
from collections.abc import Callable

from tests.bench.stratum_links import HOST, SOURCES
from tests.bench.stratum_load import Stopwatch
from tests.e2e.websocket_client import PING, PONG, handshake, masked

_STDIN = 0
_TICK = 0.05
_AT_ONCE = 20
_RECEIVE = 1 << 16
_SNAPSHOT, _EVENT = b'"type":"snapshot"', b'"event":"dashd"'


class Watcher:
    """One of them. Bytes are looked at, not parsed: this process must not be what is measured."""

    __slots__ = ("data", "socket", "watching")

    def __init__(self, port: int, source: str) -> None:
        self.socket = socket.socket()
        self.socket.bind((source, 0))
        self.socket.connect((HOST, port))
        self.socket.sendall(handshake(f"{HOST}:{port}", "/ws"))
        self.socket.setblocking(False)
        self.data = b""
        self.watching = False


class Watchers:
    """All of them."""

    def __init__(self, port: int, node: int) -> None:
        self._port = port
        self._node = node
        self._epoll = select.epoll()
        self._epoll.register(_STDIN, select.EPOLLIN)
        self._watchers: dict[int, Watcher] = {}
        self._input = b""
        self._opened = self._watching = self._lost = self._octets = 0
        self._behind: set[int] = set()
        self._first = self._last = 0.0

    def run(self) -> None:
        """Until standard input ends."""
        while True:
            self._pump(3600.0, lambda: b"\n" in self._input)
            line, _, self._input = self._input.partition(b"\n")
            command = json.loads(line)
            print(json.dumps(getattr(self, command.pop("do"))(**command)), flush=True)

    # --- commands ----------------------------------------------------------------------------------------

    def connect(self, count: int, patience: float) -> dict[str, object]:
        """Open so many connections, a few under way at a time, until each has its snapshot."""
        watch = Stopwatch(self._node)

        def all_settled() -> bool:
            while self._opened < count and self._opened - self._watching - self._lost < _AT_ONCE:
                self._open()
            return self._watching + self._lost >= count

        self._pump(patience, all_settled)
        return {**watch.read(), "watching": self._watching, "lost": self._lost}

    def rest(self, seconds: float) -> dict[str, object]:
        """Go on reading; what it cost, and the bytes that came."""
        before, watch = self._octets, Stopwatch(self._node)
        self._pump(seconds)
        return {**watch.read(), "octets": self._octets - before, "lost": self._lost}

    def wait_for_event(self, patience: float) -> dict[str, object]:
        """Say that it begins; then wait until every one has heard of a new block."""
        self._behind = {fileno for fileno, watcher in self._watchers.items() if watcher.watching}
        self._first = self._last = 0.0
        print(json.dumps({"ready": True}), flush=True)
        self._pump(patience, lambda: not self._behind)
        missing, self._behind = len(self._behind), set()
        return {"first": self._first, "last": self._last, "missing": missing}

    # --- events ------------------------------------------------------------------------------------------

    def _open(self) -> None:
        watcher = Watcher(self._port, SOURCES[self._opened % len(SOURCES)])
        self._opened += 1
        self._watchers[watcher.socket.fileno()] = watcher
        self._epoll.register(watcher.socket.fileno(), select.EPOLLIN)

    def _pump(self, seconds: float, done: Callable[[], bool] = lambda: False) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            left = deadline - time.monotonic()
            if left <= 0:
                return
            for fileno, _ in self._epoll.poll(min(left, _TICK)):
                if fileno == _STDIN:
                    data = os.read(_STDIN, 65536)
                    if not data:
                        raise SystemExit(0)
                    self._input += data
                else:
                    self._read(fileno)

    def _read(self, fileno: int) -> None:
        watcher = self._watchers[fileno]
        try:
            data = watcher.socket.recv(_RECEIVE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost += 1
            del self._watchers[fileno]
            self._epoll.unregister(fileno)
            watcher.socket.close()
            return
        self._octets += len(data)
        if not watcher.watching:
            watcher.data += data
            if _SNAPSHOT in watcher.data:
                watcher.watching, watcher.data = True, b""
                self._watching += 1
        elif data[:2] == bytes([0x80 | PING, 0]):
            watcher.socket.sendall(masked(PONG, b""))
        if fileno in self._behind and _EVENT in data:
            self._behind.discard(fileno)
            self._last = time.monotonic()
            self._first = self._first or self._last


def main() -> None:
    """See the module."""
    gc.disable()
    Watchers(int(sys.argv[1]), int(sys.argv[2])).run()


if __name__ == "__main__":
    main()
