"""The fake c2pool-dash peer on a real socket: dials a node, as a thread of a test or as a program of its own.

python -m tests.e2e.c2pool_peer 127.0.0.1:PORT [--net simnet] [--floor 3600] [--version 3600] [--seconds 60]
"""

from __future__ import annotations

import argparse
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from p2pool.networks import NETWORKS, SIMNET
from p2pool.peers.messages import Message
from tests.peers.fake_c2pool import LIFTED_FLOOR, PROTOCOL, FakeC2pool

READ = 65536


class C2poolPeer:
    """One connection to a node on this machine. `options` are those of FakeC2pool; it must be used in a `with`."""

    def __init__(self, port: int, host: str = "127.0.0.1", prefix: bytes = SIMNET.prefix, **options: Any) -> None:
        self._address = host, port
        self._socket = socket.socket()
        self._lock = threading.RLock()
        """Guards `fake`: the thread reads, the test speaks."""
        self.closed_by_node = False
        self.fake = FakeC2pool(prefix, self._write, self._shut, **{"listen_port": None} | options)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> C2poolPeer:
        self._socket.connect(self._address)
        with self._lock:
            self.fake.connected(*self._address)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._shut()
        self._thread.join(10)
        self._socket.close()

    def _write(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError:
            self.closed_by_node = True

    def _shut(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it is closed already

    def _run(self) -> None:
        while True:
            try:
                data = self._socket.recv(READ)
            except OSError:
                data = b""
            if not data:
                self.closed_by_node = self.closed_by_node or self.fake.closed_because is None
                return
            with self._lock:
                self.fake.receive(data)

    def say(self, *messages: Message) -> None:
        """Send messages."""
        with self._lock:
            self.fake.say(*messages)

    def raw(self, data: bytes) -> None:
        """Send bytes."""
        with self._lock:
            self.fake.raw(data)

    def look(self, what: Callable[[FakeC2pool], Any]) -> Any:
        """Return what `what(fake)` gives, while nothing changes."""
        with self._lock:
            return what(self.fake)

    @property
    def stands(self) -> bool:
        """Whether neither side has ended the connection."""
        return self._thread.is_alive() and not self.closed_by_node and self.fake.closed_because is None


def main() -> None:
    """Say what is heard, until the connection ends or the time is over."""
    parser = argparse.ArgumentParser()
    parser.add_argument("node", help="HOST:PORT")
    parser.add_argument("--net", default=SIMNET.name, choices=sorted(NETWORKS))
    parser.add_argument("--floor", type=int, default=LIFTED_FLOOR)
    parser.add_argument("--version", type=int, default=PROTOCOL)
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    host, _, port = given.node.rpartition(":")
    network = NETWORKS[given.net]
    with C2poolPeer(int(port), host, network.prefix, floor=given.floor, version=given.version) as peer:
        end = time.monotonic() + given.seconds
        while peer.stands and time.monotonic() < end:
            time.sleep(0.5)
        stands = peer.stands
    fake = peer.fake
    print("stands" if stands else f"closed: {fake.closed_because or 'by the node'}")
    print("version:", fake.their_version)
    print("heard:", dict(fake.heard), "shares:", len(fake.got), "ignored:", dict(fake.ignored))


if __name__ == "__main__":
    main()
