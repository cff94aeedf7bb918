"""`python -m tests.bench.dashd_sink`: what found blocks are sent to: three daemons' RPC and twenty-three nodes.

Prints the ports as one line of JSON, then, each time that a block has begun to arrive everywhere, when that was
(monotonic seconds).
"""

from __future__ import annotations

import json
import time
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.protocol import Factory, Protocol

from p2pool.dash.messages import Verack
from p2pool.dashd.p2p_session import P2pSession
from p2pool.networks import DASH_REGTEST
from p2pool.wire.framer import frame

DAEMONS, NODES = 3, 23
MAGIC = DASH_REGTEST.parent.p2p_magic
_BLOCK = MAGIC + b"block\x00"
reactor: Any = global_reactor


class Sink:
    """Counts the connections on which a block has begun to arrive."""

    def __init__(self) -> None:
        self._arrived = 0

    def arrival(self) -> None:
        self._arrived += 1
        if self._arrived % (DAEMONS + NODES) == 0:
            print(time.monotonic(), flush=True)


class RpcSink(Protocol):
    """Answers every request with null once its body is there."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._buffer = b""
        self._told = False

    def dataReceived(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if b"submitblock" in body[:100] and not self._told:
            self._told = True
            self._sink.arrival()
        lengths = [int(h.split(b":")[1]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length")]
        if end and len(body) >= lengths[0]:
            answer = b'{"result":null,"error":null,"id":1}'
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
            self._buffer, self._told = b"", False


class NodeSink(Protocol):
    """A node of the network: shakes hands, then waits for blocks."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._tail = b""
        self._greeted = False

    def dataReceived(self, data: bytes) -> None:
        if not self._greeted:
            self._greeted = True
            hello = P2pSession(MAGIC, sub_version=b"/sink/", nonce=1, now=time.time()).hello()
            self.transport.write(hello + frame(MAGIC, Verack.command, b""))
            return
        # A message may begin in the middle of what came, and be cut in its head.
        if _BLOCK in self._tail + data:
            self._sink.arrival()
        self._tail = data[-len(_BLOCK) + 1 :]


def main() -> None:
    """Listen until killed."""
    sink = Sink()

    def listen(protocol: Any) -> int:
        factory = Factory()
        factory.noisy = False
        factory.buildProtocol = lambda address: protocol(sink)
        return int(reactor.listenTCP(0, factory, interface="127.0.0.1").getHost().port)

    ports = {"rpc": [listen(RpcSink) for _ in range(DAEMONS)], "p2p": [listen(NodeSink) for _ in range(NODES)]}
    print(json.dumps(ports), flush=True)
    reactor.run()


if __name__ == "__main__":
    main()
