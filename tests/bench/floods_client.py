"""Many blocking-free connections of one flooding client: sent to, read from and closed together."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

HOST = "127.0.0.1"
SOURCES = tuple(f"127.0.1.{number}" for number in range(1, 41))
"""Connections come from all of them, so that neither ports nor the limits of one address end a flood early."""
PROXY = "127.0.2.1"
"""Connections from here begin with a PROXY protocol header: they can claim any address."""
PATIENCE = 60.0
"""Seconds that a busy node may take to answer all connections of a batch."""
_RECEIVE = 1 << 16
_KEPT = 1 << 20
"""Bytes of what the node said that are kept; the rest is only counted."""


class Client:
    """One connection. `data` is what came, `received` how much of it there was."""

    __slots__ = ("_unsent", "data", "ended", "received", "socket")

    def __init__(self, port: int, source: str, *, receive_buffer: int | None = None) -> None:
        self.data = b""
        self.received = 0
        self.ended = False
        self._unsent = b""
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.bind((source, 0))
        self.socket.connect((HOST, port))
        self.socket.setblocking(False)

    def send(self, data: bytes) -> None:
        """Send now what the node takes; `serve` sends the rest."""
        self._unsent += data
        self.write()

    def write(self) -> None:
        """Send what is still unsent, as far as the node takes it."""
        try:
            while self._unsent:
                sent = self.socket.send(self._unsent)
                self._unsent = self._unsent[sent:]
        except BlockingIOError:
            pass
        except OSError:
            self.ended, self._unsent = True, b""

    def read(self) -> None:
        """Take what has come."""
        try:
            data = self.socket.recv(_RECEIVE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.ended, self._unsent = True, b""
        self.received += len(data)
        if len(self.data) < _KEPT:
            self.data += data

    @property
    def waits_to_send(self) -> bool:
        """Return whether the node has not taken everything yet."""
        return bool(self._unsent)


def serve(clients: Sequence[Client], done: Callable[[Client], bool], patience: float = PATIENCE) -> int:
    """Exchange bytes until each client is done or ended, or for `patience` seconds. Return how many are done."""
    open_ones = {client.socket.fileno(): client for client in clients if not client.ended and not done(client)}
    poll = select.poll()
    for number, client in open_ones.items():
        poll.register(number, select.POLLIN | (select.POLLOUT if client.waits_to_send else 0))
    deadline = time.monotonic() + patience
    while open_ones and time.monotonic() < deadline:
        for number, event in poll.poll(100):
            client = open_ones[number]
            if event & select.POLLOUT:
                client.write()
            if event & ~select.POLLOUT:
                client.read()
            if client.ended or (not client.waits_to_send and done(client)):
                poll.unregister(number)
                del open_ones[number]
            else:
                poll.modify(number, select.POLLIN | (select.POLLOUT if client.waits_to_send else 0))
    return sum(1 for client in clients if done(client))


@contextmanager
def connected(
    port: int, count: int, *, proxy: bool = False, receive_buffer: int | None = None
) -> Iterator[list[Client]]:
    """Open connections from several addresses; close those that still are at the end."""
    clients: list[Client] = []
    try:
        for number in range(count):
            source = PROXY if proxy else SOURCES[number % len(SOURCES)]
            clients.append(Client(port, source, receive_buffer=receive_buffer))
        yield clients
    finally:
        for client in clients:
            client.socket.close()


def batches(total: int, size: int) -> Iterator[range]:
    """Split range(total) into ranges of at most `size`."""
    for start in range(0, total, size):
        yield range(start, min(total, start + size))
