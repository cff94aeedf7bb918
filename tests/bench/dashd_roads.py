"""`python -m tests.bench.dashd_roads DIRECTORY SIZE COUNT`: found blocks on their way to three daemons and twenty
nodes of the network, over real sockets. Prints, as JSON, the milliseconds until each block had begun to arrive
everywhere.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from p2pool.dash.messages import Verack
from p2pool.dashd.block_book import BlockBook
from p2pool.dashd.credentials import Credentials, FixedCredentials
from p2pool.dashd.daemon import Daemon
from p2pool.dashd.found_block import FoundBlock
from p2pool.dashd.p2p import DashdLink
from p2pool.dashd.p2p_session import P2pSession
from p2pool.dashd.rpc import RpcClient
from p2pool.dashd.service import DashdService
from p2pool.dashd.spool import BlockSpool
from p2pool.dashd.submission import BlockSubmitter
from p2pool.networks import DASH_REGTEST
from p2pool.wire.framer import frame

DAEMONS, NODES = 3, 20
MAGIC = DASH_REGTEST.parent.p2p_magic
_BLOCK = MAGIC + b"block\x00"
reactor: Any = global_reactor


class Sink:
    """Counts the connections on which a block has begun to arrive."""

    def __init__(self) -> None:
        self.arrived = 0
        self.done: Deferred[None] = Deferred()

    def begin(self) -> Deferred[None]:
        self.arrived, self.done = 0, Deferred()
        return self.done

    def arrival(self) -> None:
        self.arrived += 1
        if self.arrived == DAEMONS + DAEMONS + NODES:
            self.done.callback(None)


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
        length = next(
            (int(h.split(b":")[1]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-l")), 0
        )
        if end and len(body) >= length:
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
            hello = P2pSession(MAGIC, b"/sink/", 1, time.time()).hello()
            self.transport.write(hello + frame(MAGIC, Verack.command, b""))
            return
        # A message may begin in the middle of what came, and be cut in its head.
        if _BLOCK in self._tail + data:
            self._sink.arrival()
        self._tail = data[-len(_BLOCK) + 1 :]


def factory_of(protocol: type[Protocol], sink: Sink) -> Factory:
    factory = Factory()
    factory.noisy = False
    factory.buildProtocol = lambda address: protocol(sink)
    return factory


async def measure(directory: Path, size: int, count: int) -> list[float]:
    """One block after another."""
    sink = Sink()
    daemons, links = [], []
    for _ in range(DAEMONS):
        port = reactor.listenTCP(0, factory_of(RpcSink, sink), interface="127.0.0.1").getHost().port
        rpc = RpcClient(reactor, f"http://127.0.0.1:{port}/", FixedCredentials(Credentials("u", "p", "given")))
        service = DashdService(reactor, rpc, DASH_REGTEST, time.time, "here")
        daemons.append(Daemon("here", rpc, service, time.time))
        await rpc.call("getblockcount")  # a connection that stands, as in real life
    for _ in range(DAEMONS + NODES):
        port = reactor.listenTCP(0, factory_of(NodeSink, sink), interface="127.0.0.1").getHost().port
        link = DashdLink(
            reactor, "127.0.0.1", port, MAGIC, b"/bench/", time.time, lambda: 7, lambda block_hash: None
        )
        link.startService()
        links.append(link)
    while not all(link.up for link in links):
        await deferLater(reactor, 0.01)
    submitter = BlockSubmitter(
        reactor,
        daemons,
        links,
        BlockSpool(directory / "blocks", deferToThread),
        BlockBook(directory / "blocks.json", deferToThread),
        time.time,
        lambda seconds: None,
    )
    times = []
    for number in range(count):
        block = FoundBlock(number + 1, number + 1, os.urandom(size), "bench", None, 1)
        done, start = sink.begin(), time.perf_counter()
        submitter.offer(block)
        await done
        times.append((time.perf_counter() - start) * 1000)
        await deferLater(reactor, 0.02)
    return times


def main() -> None:
    """Print the times."""

    async def run() -> None:
        try:
            print(json.dumps(await measure(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))), flush=True)
        finally:
            reactor.stop()

    reactor.callWhenRunning(lambda: ensureDeferred(run()).addErrback(lambda failure: failure.printTraceback()))
    reactor.run()


if __name__ == "__main__":
    main()
