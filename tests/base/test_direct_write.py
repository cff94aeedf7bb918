"""Bytes go to the kernel at once where nothing waits before them, and come from it without a detour."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.protocol import Protocol
from twisted.internet.tcp import Server
from twisted.internet.testing import MemoryReactorClock
from zope.interface import directlyProvides

from p2pool.base.direct_write import (
    READ_SIZE,
    direct_writer,
    read_directly,
    unsent,
    write_at_once,
)


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


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, Server]]:
    """A client's socket and the server's real transport, whose reactor does nothing by itself."""
    client, accepted = socket.socketpair()
    transport = Server(accepted, Protocol(), ("192.0.2.1", 1), None, 0, MemoryReactorClock())
    yield client, transport
    client.close()
    accepted.close()


def test_a_real_connection_sends_at_once_what_the_kernel_takes(pair):
    client, transport = pair
    assert write_at_once(transport, direct_writer(transport), b"hello")
    assert client.recv(100) == b"hello"
    data = bytes(10_000_000)
    assert not write_at_once(transport, direct_writer(transport), data)
    assert 0 < unsent(transport) < len(data)
    assert not write_at_once(transport, direct_writer(transport), b"more")  # nothing overtakes


def test_a_lost_connection_does_not_raise_when_it_is_written_to(pair):
    client, transport = pair
    client.close()
    for _ in range(2):
        assert not write_at_once(transport, direct_writer(transport), b"hello")
    assert unsent(transport) == 10


def test_input_is_received_directly(pair):
    client, transport = pair
    received: list[bytes] = []
    transport.protocol.dataReceived = received.append
    read_directly(transport)
    assert transport.doRead() is None  # nothing is there yet
    client.send(bytes(READ_SIZE + 5))
    assert transport.doRead() is None
    assert transport.doRead() is None
    assert [len(data) for data in received] == [READ_SIZE, 5]
    client.close()
    assert transport.doRead() is CONNECTION_DONE


def test_a_connection_that_was_reset_is_reported_as_lost(pair):
    client, transport = pair
    client.close()
    transport.socket.shutdown(socket.SHUT_RDWR)
    transport.socket.close()
    read_directly(transport)
    assert transport.doRead() is CONNECTION_LOST


def test_an_aborted_connection_is_not_read_any_more(pair):
    client, transport = pair
    received: list[bytes] = []
    transport.protocol.dataReceived = received.append
    read_directly(transport)
    client.send(b"late")
    transport.abortConnection()
    assert transport.doRead() is None
    assert received == []


def test_direct_reading_follows_the_protocol(pair):
    client, transport = pair
    read_directly(transport)
    transport.protocol = Protocol()
    transport.protocol.dataReceived = (received := []).append
    client.send(b"hello")
    transport.doRead()
    assert received == [b"hello"]


def test_direct_reading_and_writing_hold_nothing_for_each_connection(pair):
    _, transport = pair
    before = set(vars(transport))
    read_directly(transport)
    read_directly(transport)
    assert set(vars(transport)) - {"repstr"} == before
    assert direct_writer(transport) is direct_writer(transport)


def test_other_transports_are_read_as_usual(pair):
    _, transport = pair
    directlyProvides(transport, ISSLTransport)
    for each in (transport, Transport()):
        usual = type(each)
        read_directly(each)
        assert type(each) is usual
