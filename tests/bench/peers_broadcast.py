"""The program behind `tests.bench.peers`: one node with real sockets, and its peers in a process of their own.

Prints a JSON list of seconds, one for each share: from a miner's solution to the last peer having its bytes.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time

from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol

from p2pool.networks.parameters import ANNOUNCED_PROTOCOL
from p2pool.peers.messages import MAX_PAYLOAD, PeerAddress, PeerVersion
from p2pool.peers.protocol import PeerFactory
from p2pool.wire.framer import Framer, frame
from tests.bench.peers import Station, bench_template, solve
from tests.chains import easy_network, grow_chain
from tests.support import ROOT

CHAIN = 300
SPACING = 0.03


class Listener(Protocol):
    """A peer that only notes when each `shares` message is complete."""

    def __init__(self, number: int, arrivals: list[list[float]]) -> None:
        self.number = number
        self.arrivals = arrivals
        self.framer = Framer(easy_network().prefix, MAX_PAYLOAD)

    def connectionMade(self) -> None:
        """Say hello."""
        nowhere = PeerAddress("127.0.0.1", 1)
        hello = PeerVersion(ANNOUNCED_PROTOCOL, 0, nowhere, nowhere, self.number, b"bench", 1, None)
        self.transport.write(frame(easy_network().prefix, hello.command, hello.pack()))

    def dataReceived(self, data: bytes) -> None:
        """Note arrivals."""
        for command, _ in self.framer.feed(data):
            if command == "shares":
                self.arrivals[self.number].append(time.monotonic())


def listen_to(port: int, count: int, shares: int) -> None:
    """The other process: print each peer's arrivals once all have come."""
    arrivals: list[list[float]] = [[] for _ in range(count)]
    for number in range(count):
        factory = Factory.forProtocol(lambda number=number: Listener(number, arrivals))
        from twisted.internet.endpoints import TCP4ClientEndpoint

        TCP4ClientEndpoint(reactor, "127.0.0.1", port).connect(factory)

    def look() -> None:
        if min(map(len, arrivals)) >= shares:
            reactor.stop()
        else:
            reactor.callLater(0.1, look)

    look()
    reactor.run()
    print(json.dumps(arrivals))


def serve(count: int, shares: int) -> None:
    """The node."""
    station = Station(1, 0.0)
    chain = grow_chain(station.node.tracker, bench_template(1), CHAIN, 50)
    station.now = float(chain[-1].timestamp + 20)
    station.node._call_soon = station.hub._call_soon = station.hub.turns._call_soon = lambda call: (
        reactor.callLater(0, call)
    )
    station.node.loaded()
    station.start()
    station.node.set_template(bench_template(1))
    port = reactor.listenTCP(0, PeerFactory(station.hub, True), interface="127.0.0.1")
    # All of 127.0.0.0/8 is the loopback, which has no limit of connections.
    other = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.bench.peers_broadcast",
            "listen",
            str(port.getHost().port),  # type: ignore[attr-defined]
            str(count),
            str(shares),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    starts: list[float] = []
    rng = random.Random(9)

    def next_share() -> None:
        if len(station.hub.peers) < count:
            reactor.callLater(0.1, next_share)
            return
        if len(starts) == shares:
            reactor.callLater(1.0, reactor.stop)
            return
        station.now += 20
        starts.append(time.monotonic())
        solve(station.node, rng, station.now)
        reactor.callLater(SPACING, next_share)

    next_share()
    reactor.run()
    output, _ = other.communicate(timeout=30)
    arrivals = json.loads(output.splitlines()[-1])
    print(json.dumps([max(peer[n] for peer in arrivals) - starts[n] for n in range(shares)]))


if __name__ == "__main__":
    if sys.argv[1] == "listen":
        listen_to(*map(int, sys.argv[2:5]))
    else:
        serve(int(sys.argv[1]), int(sys.argv[2]))
