"""Bytes go to the kernel at once where nothing waits before them."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.interfaces import ISSLTransport
from zope.interface import directlyProvides

from p2pool.base.direct_write import direct_writer, unsent, write_at_once


class Transport:
    """Whose kernel takes `room` bytes at a time, None where the connection is lost."""

    def __init__(self, room: int | None = 1000) -> None:
        self.room = room
        self.sent = b""
        self.queued = b""
        self.connected, self.disconnecting = True, False
        self.dataBuffer, self.offset, self._tempDataLen = b"", 0, 0

    def writeSomeData(self, data: bytes) -> int | Exception:
        if self.room is None:
            return ConnectionError()
        self.sent += data[: self.room]
        return min(self.room, len(data))

    def write(self, data: bytes) -> None:
        self.queued += data


def written(transport: Any, data: bytes = b"hello") -> tuple[bool, bytes, bytes]:
    done = write_at_once(transport, direct_writer(transport), data)
    return done, transport.sent, transport.queued


@pytest.mark.parametrize(
    ("room", "expected"),
    [
        (1000, (True, b"hello", b"")),
        (5, (True, b"hello", b"")),
        (2, (False, b"he", b"llo")),
        (0, (False, b"", b"hello")),
        (None, (False, b"", b"hello")),
    ],
)
def test_what_the_kernel_does_not_take_is_queued(room, expected):
    assert written(Transport(room)) == expected


@pytest.mark.parametrize(
    "state",
    [{"connected": False}, {"disconnecting": True}, {"dataBuffer": b"abc", "offset": 1}, {"_tempDataLen": 3}],
)
def test_nothing_overtakes_what_waits(state):
    transport = Transport()
    vars(transport).update(state)
    assert written(transport) == (False, b"", b"hello")


def test_tls_and_other_transports_have_their_own_way():
    transport = Transport()
    directlyProvides(transport, ISSLTransport)
    assert written(transport) == (False, b"", b"hello")
    assert direct_writer(object()) is None


def test_what_is_unsent():
    transport = Transport()
    transport.dataBuffer, transport.offset, transport._tempDataLen = b"abcdef", 2, 10
    assert unsent(transport) == 14
    assert unsent(object()) == 0
