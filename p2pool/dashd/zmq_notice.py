"""Notification of new blocks by ZeroMQ: dashd's `-zmqpubhashblock`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import zmq
from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from p2pool.base.endpoints import host_and_port
from p2pool.base.environment import Environment
from p2pool.base.errors import ParseError
from p2pool.base.outgoing import proxy_for
from p2pool.base.socks import Proxy

_log = Logger(namespace="p2pool.dashd")

TOPIC = b"hashblock"
MAX_MESSAGE = 1024
"""Bytes of a frame; those of a block notification have 32 at most."""
MAX_WAITING = 100
MAX_AT_ONCE = 50
"""Messages that are read in one turn of the reactor."""
SILENCE_TIME = 600.0
"""Seconds without a message after which the subscriber connects again: the library does not notice that the
publisher's machine is gone, and gives up an address for good if something else once answered there."""
OPTIONS = {
    zmq.LINGER: 0,
    zmq.RCVHWM: MAX_WAITING,
    zmq.MAXMSGSIZE: MAX_MESSAGE,
    zmq.IPV6: 1,
    # Milliseconds between attempts to connect, at first and in the end.
    zmq.RECONNECT_IVL: 100,
    zmq.RECONNECT_IVL_MAX: 5000,
}


def parse_hashblock(frames: Sequence[bytes]) -> int:
    """Return the block hash of a message: topic, 32 bytes in display order, uint32 sequence. Raises ParseError."""
    if len(frames) != 3 or frames[0] != TOPIC or len(frames[1]) != 32 or len(frames[2]) != 4:
        raise ParseError(f"a ZMQ message of {len(frames)} frames is not a hashblock notification")
    return int.from_bytes(frames[1], "big")


@implementer(IReadDescriptor)
class ZmqSubscriber:
    """Keeps subscribed to a publisher (the library reconnects by itself) and calls `announced(hash)`. A
    failure is logged and costs this source until the next attempt."""

    def __init__(self, environment: Environment, address: str, announced: Callable[[int], None]) -> None:
        self._reactor = environment.reactor
        self._address = address
        host = address.removeprefix("tcp://").rpartition(":")[0].strip("[]")
        self._proxy = proxy_for(environment, host, named=True)
        self._announced = announced
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._socket: zmq.Socket[bytes] | None = None
        self._again: IDelayedCall | None = None
        self._silence: IDelayedCall | None = None
        self._complained = False

    def start(self) -> None:
        """Subscribe to the publisher."""
        self._context = zmq.Context()
        self._subscribe(self._context)

    def stop(self) -> None:
        """Unsubscribe, and release the socket."""
        self._unsubscribe()
        context, self._context = self._context, None
        if context is not None:
            context.term()

    def _subscribe(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self._unsubscribe()
        self._silence = self._reactor.callLater(SILENCE_TIME, self._subscribe, context)
        socket = context.socket(zmq.SUB)
        for option, value in OPTIONS.items():
            socket.setsockopt(option, value)
        socket.setsockopt(zmq.SUBSCRIBE, TOPIC)
        if self._proxy is not None:
            self._set_proxy(socket, self._proxy)
        try:
            socket.connect(self._address)
        except zmq.ZMQError as error:
            socket.close()
            self._complain(str(error))
            return
        self._socket = socket
        self._reactor.addReader(self)
        # The descriptor signals changes only: what happened before it was watched would be missed.
        self._read_again()

    @staticmethod
    def _set_proxy(socket: zmq.Socket[bytes], proxy: Proxy) -> None:
        socket.setsockopt_string(zmq.SOCKS_PROXY, host_and_port(proxy.host, proxy.port))
        if proxy.user is not None:
            socket.setsockopt_string(zmq.SOCKS_USERNAME, proxy.user)
            socket.setsockopt_string(zmq.SOCKS_PASSWORD, proxy.password)

    def _unsubscribe(self) -> None:
        for waiting in (self._again, self._silence):
            if waiting is not None and waiting.active():
                waiting.cancel()
        self._again = self._silence = None
        if self._socket is not None:
            self._reactor.removeReader(self)  # while it has a descriptor
            self._socket.close()
            self._socket = None

    def _read_again(self) -> None:
        """Read in the next turn of the reactor; once, however often this is called."""
        if self._again is None:
            self._again = self._reactor.callLater(0, self._go_on)

    def _go_on(self) -> None:
        self._again = None
        self.doRead()

    def fileno(self) -> int:
        """Return the descriptor to watch, for the reactor."""
        return -1 if self._socket is None else int(self._socket.getsockopt(zmq.FD))

    def logPrefix(self) -> str:
        """Return what the reactor logs this reader as."""
        return "zmq"

    def connectionLost(self, reason: Failure) -> None:
        """Do nothing: the reactor gave the descriptor up."""

    def doRead(self) -> None:
        """Read messages until there are none, as the descriptor signals only changes."""
        for _ in range(MAX_AT_ONCE):
            if self._socket is None:
                return
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            except zmq.ZMQError as error:
                self._complain(str(error))
                self._reactor.removeReader(self)  # else it would call this again at once, and forever
                return
            if self._silence is not None:
                self._silence.reset(SILENCE_TIME)
            try:
                self._announced(parse_hashblock(frames))
            except ParseError as error:
                self._complain(str(error))
        self._read_again()

    def _complain(self, problem: str) -> None:
        """Log a problem once: a publisher of something else causes it again and again."""
        if not self._complained:
            self._complained = True
            _log.warn("ZMQ block notifications from {address}: {problem}", address=self._address, problem=problem)
