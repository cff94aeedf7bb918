"""A service of peers without sockets, for tests of what it dials and whom it hears."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from p2pool.peers.bootstrap import BootstrapSettings
from p2pool.peers.hub import HubSettings, PeerHub
from p2pool.peers.messages import PeerAddress
from p2pool.peers.service import DialSettings, PeerService
from p2pool.peers.transactions import TransactionPool
from tests.chains import NOW
from tests.environment import make_environment
from tests.peers.wiring import NETWORK, Always, Pipe, StubPool, framed, version


class Resolver:
    """Names are addresses already. In place of MemoryReactor's own, which knows one address only."""

    def cancel(self) -> None:
        pass

    def resolveHostName(self, receiver, hostName, portNumber=0, addressTypes=None, transportSemantics="TCP"):
        receiver.resolutionBegan(self)
        kind = IPv6Address if ":" in hostName else IPv4Address
        receiver.addressResolved(kind("TCP", hostName, portNumber))
        receiver.resolutionComplete()
        return self


class Line:
    """One connection, whoever opened it."""

    def __init__(self, protocol, host: str, port: int) -> None:
        self.pipe = Pipe(("198.51.100.1", 9000), (host, port))
        self.protocol = protocol
        protocol.makeConnection(self.pipe)

    def greet(self, nonce: int) -> None:
        self.protocol.dataReceived(framed(version(nonce)))

    def lose(self) -> None:
        self.protocol.connectionLost(Failure(ConnectionDone()))


class World:
    def __init__(self, directory, settings: DialSettings | None = None) -> None:
        self.reactor = MemoryReactorClock()
        self.reactor.nameResolver = Resolver()
        environment = make_environment(self.reactor, clock=self.unix)
        self.pool = StubPool(best=1)
        self.hub = PeerHub(
            replace(environment, chance=Always(1)),
            HubSettings(NETWORK, b"test", 9000),
            pool=self.pool,
            transactions=TransactionPool(),
            sender_of=lambda share_hash: None,
        )
        self.hub.round_trips.step = lambda peers: None
        self.brings_shares = True
        """Whether peers bring a share each second."""
        self.service = PeerService(
            environment,
            self.hub,
            settings=settings or DialSettings(("", 9000)),
            directory=directory,
        )
        self.taken = 0

    def unix(self) -> float:
        return NOW + self.reactor.seconds()

    def start(self, listen: bool = True) -> World:
        if listen:
            self.service.listen()
        self.done(self.service.start())
        return self

    def done(self, coroutine) -> None:
        results: list = []
        Deferred.fromCoroutine(coroutine).addBoth(results.append)
        assert results == [None]

    def know(self, *hosts: str) -> None:
        for host in hosts:
            self.hub.addresses.add(PeerAddress(host, 9999), self.unix(), now=self.unix(), source=host)

    def seconds(self, count: int) -> None:
        for _ in range(count):
            for peer in self.hub.peers if self.brings_shares else ():
                peer.brought_at = self.reactor.seconds()
            self.reactor.advance(1.0)

    def dialled(self) -> list[tuple[str, int]]:
        """Where to, since the last call."""
        clients = self.reactor.tcpClients[self.taken :]
        self.taken = len(self.reactor.tcpClients)
        return [(client[0], client[1]) for client in clients]

    def connect(self, number: int, nonce: int | None = None) -> Line:
        host, port, factory, *_ = self.reactor.tcpClients[number]
        line = Line(factory.buildProtocol(IPv4Address("TCP", "1.1.1.1", 1)), host, port)
        if nonce is not None:
            line.greet(nonce)
        return line

    def refuse(self, number: int) -> None:
        self.reactor.tcpClients[number][2].clientConnectionFailed(None, Failure(ConnectionRefusedError()))

    def come(self, host: str, nonce: int | None = None) -> Line | None:
        """Somebody connects to us."""
        factory = self.reactor.tcpServers[0][1]
        protocol = factory.buildProtocol(IPv4Address("TCP", host, 5000))
        if protocol is None:
            return None
        line = Line(protocol, host, 5000)
        if nonce is not None:
            line.greet(nonce)
        return line


def looking(directory, *given: tuple[str, int], **more) -> World:
    """A world that looks for nodes at these places, and does not listen."""
    settings = BootstrapSettings(7777, given=given, **{"file": directory / "bootstrap.txt", **more})
    return World(directory, DialSettings(None, bootstrap=settings))
