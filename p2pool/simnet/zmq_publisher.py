"""The ZMQ side of a simulated daemon: `hashblock`, published at each new tip, as capture 80 shows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import zmq

from p2pool.base.endpoints import host_and_port, host_in_url
from p2pool.base.errors import OperatorError
from p2pool.simnet.chain import SimulatedChain
from p2pool.simnet.index import ChainBlock
from p2pool.wire.codec import pack_uint32

_TOPIC = b"hashblock"
_HIGH_WATER_MARK = 1000
"""Messages that wait for a slow subscriber; what is beyond is lost, as with Dash Core."""


class HashBlockPublisher:
    """Sends (topic, hash in display order, number of the message as uint32 LE) for each new tip of a chain."""

    def __init__(self, chain: SimulatedChain, send: Callable[[Sequence[bytes]], None]) -> None:
        self._send = send
        self._sequence = 0
        self._unsubscribe = chain.tip_changed.subscribe(self._publish)

    def stop(self) -> None:
        """Stop publishing new tips."""
        self._unsubscribe()

    def _publish(self, tip: ChainBlock) -> None:
        self._send((_TOPIC, tip.hash.to_bytes(32, "big"), pack_uint32(self._sequence)))
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF


class PublisherSocket:
    """A PUB socket that listens. It never waits: ZMQ's own thread does the sending."""

    def __init__(self, host: str, port: int) -> None:
        """Port 0 is any free one. Raises OperatorError if the port is in use."""
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.PUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SNDHWM, _HIGH_WATER_MARK)
        try:
            self._socket.bind(f"tcp://{host_in_url(host)}:{port or '*'}")
        except zmq.ZMQError as error:
            self.close()
            raise OperatorError(
                f"cannot publish over ZMQ on {host_and_port(host, port)}: {error}; choose another --zmq-port"
            ) from None
        self.address = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        """tcp://host:port."""
        self.port = int(self.address.rpartition(":")[2])

    def send(self, frames: Sequence[bytes]) -> None:
        """Send to whoever listens; lost if a subscriber is too slow."""
        try:
            self._socket.send_multipart(frames, zmq.NOBLOCK)
        except zmq.Again:
            return

    def close(self) -> None:
        """Close the port at once."""
        self._socket.close(linger=0)
        self._context.term()
