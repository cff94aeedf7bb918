"""A stratum server without sockets: transports in memory, and miners that speak through them."""

from __future__ import annotations

import json

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from zope.interface import implementer

from p2pool.networks import DASH_REGTEST
from p2pool.stratum.guard import GuardSettings
from p2pool.stratum.limits import ServerLimits
from p2pool.stratum.protocol import StratumProtocol
from p2pool.stratum.server import StratumServer
from p2pool.stratum.session_context import SessionSettings
from tests.environment import make_environment
from tests.stratum.miner import ADDRESS, NOW, FakeStats, FakeWork


@implementer(ITCPTransport)
class Transport(StringTransport):
    """Remembers what a TCP transport would have been told. `dataBuffer` is what "the kernel did not take"."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted = False
        self.reads = True
        self.options: dict = {}
        self.dataBuffer = b""

    def abortConnection(self) -> None:
        self.aborted = True

    def loseWriteConnection(self) -> None:
        self.disconnecting = True

    def unregisterProducer(self) -> None:
        """As a TCP transport does: without a producer, nothing."""
        if self.producer is not None:
            super().unregisterProducer()

    def stopReading(self) -> None:
        self.reads = False

    def stopWriting(self) -> None:
        pass

    def setTcpNoDelay(self, enabled) -> None:
        self.options["nodelay"] = enabled

    def setTcpKeepAlive(self, enabled) -> None:
        self.options["keepalive"] = enabled

    def getHandle(self) -> Transport:
        return self

    def setsockopt(self, level, option, value) -> None:
        self.options[option] = value

    def messages(self) -> list[dict]:
        """What came since the last call."""
        data = self.value()
        self.clear()
        return [json.loads(line) for line in data.splitlines()]


class StratumHarness:
    """A server with work that tests control. Its clock is the reactor's, from NOW on."""

    def __init__(self, max_connections: int = 10_000, guard: GuardSettings | None = None) -> None:
        self.work = FakeWork()
        self.stats = FakeStats()
        self.reactor = Clock()
        settings = SessionSettings(network=DASH_REGTEST, start_difficulty=2.0**-20, min_difficulty=2.0**-30)
        self.server = StratumServer(
            make_environment(self.reactor, clock=self.now),
            settings=settings,
            work=self.work,
            stats=self.stats,
            limits=ServerLimits(max_connections=max_connections),
            guard_settings=guard,
        )
        self.server.work_changed(self.work.template.previous_block, clean=True)

    def now(self) -> float:
        return NOW + self.reactor.seconds()

    def connect(self, host: str = "10.0.0.1") -> tuple[StratumProtocol, Transport]:
        protocol, transport = self.server.buildProtocol(IPv4Address("TCP", host, 1)), Transport()
        protocol.makeConnection(transport)
        return protocol, transport

    def miner(self, username: str = ADDRESS) -> tuple[StratumProtocol, Transport]:
        """One that is authorized, with its first job taken from the wire."""
        protocol, transport = self.connect()
        protocol.dataReceived(line("mining.subscribe", "test/1") + line("mining.authorize", username, "x"))
        return protocol, transport


def line(method: str, *params) -> bytes:
    """A request."""
    return json.dumps({"id": 1, "method": method, "params": params}).encode() + b"\n"


def notifies(messages: list[dict]) -> list[list]:
    """The parameters of the jobs among messages."""
    return [m["params"] for m in messages if m.get("method") == "mining.notify"]
