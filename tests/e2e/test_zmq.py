"""Notice by ZeroMQ over a real socket, by a real reactor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq

from p2pool.dashd.zmq_notice import TOPIC
from tests.e2e.process import Process, free_port, wait_for

pytestmark = pytest.mark.e2e

PROGRAM = """
import sys
from twisted.internet import reactor
from p2pool.base.environment import real_environment
from p2pool.dashd import zmq_notice
from p2pool.app.logs import start_logging
from pathlib import Path

start_logging(Path(sys.argv[2]), debug=False, terminal=sys.stdout)
zmq_notice.SILENCE_TIME = float(sys.argv[3])
subscriber = zmq_notice.ZmqSubscriber(
    real_environment(reactor), sys.argv[1], lambda block_hash: print(f"block {block_hash:x}", flush=True)
)
reactor.callWhenRunning(subscriber.start)
reactor.addSystemEventTrigger("before", "shutdown", subscriber.stop)
print("running", flush=True)
reactor.run()
print("ended", flush=True)
"""


@contextmanager
def publishing(port: int) -> Iterator[zmq.Socket]:
    """What dashd's -zmqpubhashblock makes, as far as a subscriber can tell."""
    context = zmq.Context()
    socket = context.socket(zmq.PUB)
    socket.setsockopt(zmq.LINGER, 0)
    socket.bind(f"tcp://127.0.0.1:{port}")
    try:
        yield socket
    finally:
        socket.close()
        context.term()


class Subscriber(Process):
    def __init__(self, directory: Path, port: int, silence: float = 600.0) -> None:
        address = f"tcp://127.0.0.1:{port}"
        super().__init__(["-c", PROGRAM, address, str(directory / "log"), str(silence)], directory / "out.log")
        self.wait_for_line("running")

    def wait_for_block(self, publisher: zmq.Socket, block_hash: int) -> None:
        """Publish it until it arrives: who has not subscribed yet, or lags behind, misses it."""

        def arrived() -> bool:
            publisher.send_multipart([TOPIC, block_hash.to_bytes(32, "big"), bytes(4)])
            return f"block {block_hash:x}\n" in self.output

        wait_for(f"block {block_hash:x}", arrived)


def test_blocks_come_through_and_a_publisher_may_come_late_and_come_back(tmp_path):
    port = free_port()
    with Subscriber(tmp_path, port) as subscriber:
        for first in (0xA000, 0xB000):
            with publishing(port) as publisher:
                subscriber.wait_for_block(publisher, first)
                for number in range(1, 200):  # more than are read, or wait, at a time
                    publisher.send_multipart([b"hashtx", bytes(32), bytes(4)])
                    publisher.send_multipart([TOPIC, (first + number).to_bytes(32, "big"), bytes(4)])
                subscriber.wait_for_block(publisher, first + 0xFFF)
        assert subscriber.interrupt() < 10
    assert "ended" in subscriber.output
    assert "Traceback" not in subscriber.output


def test_a_publisher_of_something_else_does_not_end_it_for_good(tmp_path):
    port = free_port()
    with Subscriber(tmp_path, port, silence=2.0) as subscriber:
        with publishing(port) as publisher:
            subscriber.wait_for_block(publisher, 0xA000)
            publisher.send_multipart([TOPIC, b"short"])
            publisher.send_multipart([TOPIC, bytes(5000), bytes(4)])  # the library gives the address up
            subscriber.wait_for_block(publisher, 0xB000)
        assert subscriber.interrupt() < 10
    assert subscriber.output.count("a ZMQ message of 2 frames is not a hashblock notification") == 1
    assert "Traceback" not in subscriber.output


def test_without_any_publisher_it_ends_at_once(tmp_path):
    with Subscriber(tmp_path, free_port()) as subscriber:
        assert subscriber.interrupt() < 10
    assert subscriber.output == "running\nended\n"
