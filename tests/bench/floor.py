"""What no server can do without: the system calls, the parsing and the hash of one submission, called from Python.

What a submission or a job takes beyond these is the node's own part. Both ends of the connection are in this
process, and nobody waits for what is sent: to wake another process costs the sender more.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable

import orjson

from p2pool.dash.pow import GENESIS_HEADER, x11
from tests.bench.measure import Table, seconds_of_steps, seconds_per_call

TOGETHER = 100
"""Packets that are under way before they are read: within the buffers of a socket."""
SUBMISSION = (
    b'{"id":4,"method":"mining.submit","params":["XkNPrBSJtrHZUvUqb3JF4g5rMB3uzaJfEL.rig1",'
    b'"000000000000000a","0000000000000001","5f5e1000","0c1d2e3f"]}\n'
)
RESPONSE = b'{"id":4,"result":true,"error":null}\n'
JOB_SIZE = 700
"""Bytes of a notify line with a merkle branch of some hashes."""


class Connection:
    """Both ends of a connection on the loopback."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.near = socket.create_connection(server.getsockname())
            self.far, _ = server.accept()
        for end in (self.near, self.far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        """Close both ends."""
        self.near.close()
        self.far.close()

    def send_and_receive(self, data: bytes) -> tuple[float, float]:
        """Return the seconds of one send and of one receipt of `data`."""
        best_send = best_receipt = float("inf")
        sends: list[Callable[[], object]] = [lambda: self.near.send(data)] * TOGETHER
        receipts: list[Callable[[], object]] = [lambda: self.far.recv(len(data))] * TOGETHER
        for _ in range(50):
            best_send = min(best_send, seconds_of_steps(sends))
            best_receipt = min(best_receipt, seconds_of_steps(receipts))
            self._drain()
        return best_send, best_receipt

    def _drain(self) -> None:
        self.far.setblocking(False)
        try:
            while self.far.recv(1 << 16):
                pass
        except BlockingIOError:
            pass
        self.far.setblocking(True)

    def wait(self) -> float:
        """Return the seconds of asking the kernel which connections are readable, one of which is."""
        poll = select.epoll()
        self.near.send(RESPONSE)
        poll.register(self.far, select.EPOLLIN)
        try:
            return seconds_per_call(lambda: poll.poll(0))
        finally:
            poll.close()
            self._drain()


def main() -> None:
    """Measure, and print the table."""
    table = Table("the least that a submission and a job take (one core, called from Python)")
    connection = Connection()
    try:
        wait = connection.wait()
        _, receipt = connection.send_and_receive(SUBMISSION)
        response, _ = connection.send_and_receive(RESPONSE)
        job, _ = connection.send_and_receive(b"x" * JOB_SIZE)
    finally:
        connection.close()
    parsing = seconds_per_call(lambda: orjson.loads(SUBMISSION))
    hashing = seconds_per_call(lambda: x11(GENESIS_HEADER))
    table.add_time("wait_x11", "asking which connections are readable", wait)
    table.add_time("recv_x11", f"receiving a submission of {len(SUBMISSION)} bytes", receipt)
    table.add_time("json_x11", "parsing its JSON", parsing)
    table.add_time("send_x11", f"sending a response of {len(RESPONSE)} bytes", response)
    all_of_them = wait + receipt + parsing + hashing + response
    table.add_time("floor_x11", "all these and one X11: a submission", all_of_them)
    table.add_time("job_send_x11", f"sending a job of {JOB_SIZE} bytes", job)
    table.finish()


if __name__ == "__main__":
    main()
