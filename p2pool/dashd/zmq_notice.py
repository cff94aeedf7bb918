"""Notice of new blocks by ZeroMQ: dashd's `-zmqpubhashblock`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import zmq
from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from p2pool.base.errors import ParseError

_log = Logger(namespace="p2pool.dashd")

TOPIC = b"hashblock"
MAX_MESSAGE = 1024
"""Bytes of a frame; ours have 32 at most."""
MAX_WAITING = 100
MAX_AT_ONCE = 50
"""Messages that are read in one turn of the reactor."""


def parse_hashblock(frames: Sequence[bytes]) -> int:
    """The block hash of a message: topic, 32 bytes in display order, uint32 sequence. Raises ParseError."""
    if len(frames) != 3 or frames[0] != TOPIC or len(frames[1]) != 32 or len(frames[2]) != 4:
        raise ParseError(f"a ZMQ message of {len(frames)} frames is no hashblock")
    return int.from_bytes(frames[1], "big")


@implementer(IReadDescriptor)
class ZmqSubscriber:
    """Keeps subscribed to a publisher (the library reconnects by itself) and calls `announced(hash)`."""

    def __init__(self, reactor: Any, address: str, announced: Callable[[int], None]) -> None:
        self._reactor = reactor
        self._address = address
        self._announced = announced
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._socket: zmq.Socket[bytes] | None = None
        self._complained = False

    def start(self) -> None:
        """Subscribe."""
        self._context = zmq.Context()
        self._socket = socket = self._context.socket(zmq.SUB)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RCVHWM, MAX_WAITING)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE)
        socket.setsockopt(zmq.IPV6, 1)
        socket.setsockopt(zmq.SUBSCRIBE, TOPIC)
        socket.connect(self._address)
        self._reactor.addReader(self)
        # The descriptor tells of changes only: what happened before it was watched would be missed.
        self._reactor.callLater(0, self.doRead)

    def stop(self) -> None:
        """End it."""
        socket, self._socket = self._socket, None
        if socket is not None and self._context is not None:
            self._reactor.removeReader(self)
            socket.close()
            self._context.term()

    def fileno(self) -> int:
        """Twisted's."""
        return -1 if self._socket is None else int(self._socket.getsockopt(zmq.FD))

    def logPrefix(self) -> str:
        """Twisted's."""
        return "zmq"

    def connectionLost(self, reason: Failure) -> None:
        """Twisted's: the reactor gave the descriptor up."""

    def doRead(self) -> None:
        """Twisted's: there may be messages. Reads until there are none, as the descriptor tells only once."""
        for _ in range(MAX_AT_ONCE):
            if self._socket is None:
                return
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            except zmq.ZMQError as error:
                self._complain(str(error))
                return
            try:
                self._announced(parse_hashblock(frames))
            except ParseError as error:
                self._complain(str(error))
        self._reactor.callLater(0, self.doRead)

    def _complain(self, problem: str) -> None:
        """Once: a publisher of something else says it again and again."""
        if not self._complained:
            self._complained = True
            _log.warn("ZMQ at {address}: {problem}", address=self._address, problem=problem)
