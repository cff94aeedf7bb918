"""Malicious peers that are no nodes: hosts that speak the peers' protocol, as far as they like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from p2pool.base.errors import ParseError
from p2pool.networks.parameters import MINIMUM_PROTOCOL
from p2pool.peers.messages import (
    MAX_PAYLOAD,
    Message,
    PeerAddress,
    PeerPing,
    PeerVersion,
    ShareReply,
    ShareReq,
    parse_message,
)
from p2pool.wire.framer import Framer, frame
from tests.simulation.adversaries.base import Adversary
from tests.simulation.pool_node import P2P_PORT
from tests.simulation.reactor import SimulatedReactor

if TYPE_CHECKING:
    from tests.simulation.machine import Machine
    from tests.simulation.simulation import Simulation

PING_PERIOD = 60.0
FIRST_WAIT, WAIT = 120.0, 30.0
"""Seconds until it connects first, at most, and again, on average."""


class Identity:
    """A host of an adversary, which speaks for itself: others cannot tell that it is not alone."""

    def __init__(self, adversary: PeerAdversary, number: int) -> None:
        self.adversary = adversary
        self.host = adversary.add_host(number)
        self.reactor = SimulatedReactor(adversary.simulation.internet, self.host)
        self.nonce = adversary.chance.getrandbits(64)
        self.links: dict[Link, None] = {}
        """Connections that are open, in the order in which they were made."""

    def connect(self, machine: Machine, *, again: bool = True) -> None:
        """Connect with a node's port for peers, and again whenever that fails or ends."""
        self.reactor.connectTCP(machine.host.address, P2P_PORT, _Links(self, machine if again else None))

    def connect_soon(self, machine: Machine, wait: float = FIRST_WAIT) -> None:
        """Connect with a node within so many seconds."""
        self.reactor.callLater(wait * self.adversary.chance.random(), self.connect, machine)

    def listen(self) -> None:
        """Take connections of nodes."""
        self.reactor.listenTCP(P2P_PORT, _Links(self, None))

    @property
    def address(self) -> PeerAddress:
        """Return where it may listen."""
        return PeerAddress(self.host.address, P2P_PORT)


class Link(Protocol):
    """A connection between an adversary's identity and a node."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.adversary = identity.adversary
        self.reactor = identity.reactor
        self.network = identity.adversary.simulation.network
        self.introduced = False
        self._framer = Framer(self.network.prefix, MAX_PAYLOAD)

    def connectionMade(self) -> None:
        self.identity.links[self] = None
        self.adversary.began(self)

    def dataReceived(self, data: bytes) -> None:
        for command, payload in self._framer.feed(data):
            try:
                message = parse_message(command, payload)
            except ParseError:  # what honest nodes say is well-formed, and it is not an adversary's business
                continue
            if isinstance(message, PeerVersion) and not self.introduced:
                self.introduced = True
                self.adversary.connected(self)
            elif message is not None:
                self.adversary.heard(self, message)

    @property
    def is_open(self) -> bool:
        """Return whether the connection has not ended."""
        return self in self.identity.links

    def frame(self, message: Message) -> bytes:
        """Return a message's bytes."""
        return frame(self.network.prefix, message.command, message.pack())

    def send(self, message: Message) -> None:
        """Send a message."""
        self.write(self.frame(message))

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if self.transport is not None and self.is_open:
            self.transport.write(data)

    def reset(self) -> None:
        """End the connection at once."""
        if self.is_open:
            transport: Any = self.transport
            transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.identity.links.pop(self, None)


class _Links(Factory):
    """Makes connections; those with a `machine` are made again."""

    noisy = False

    def __init__(self, identity: Identity, machine: Machine | None) -> None:
        self._identity = identity
        self._machine = machine

    def buildProtocol(self, addr: object) -> Protocol:
        """Return the protocol of a connection."""
        return Link(self._identity)

    def startedConnecting(self, connector: object) -> None:
        """Nothing to do yet."""

    def clientConnectionFailed(self, connector: object, reason: Failure) -> None:
        """Try again in a while."""
        self._again()

    def clientConnectionLost(self, connector: object, reason: Failure) -> None:
        """Try again in a while."""
        self._again()

    def _again(self) -> None:
        if self._machine is not None:
            self._identity.connect_soon(self._machine, 2 * WAIT)


class PeerAdversary(Adversary):
    """An adversary that speaks the peers' protocol itself, from `count` hosts. What it does not change is what a
    dull peer does: it introduces itself, gives a sign of life now and then, and has no share that it is asked
    for."""

    def __init__(self, simulation: Simulation, name: str, *, count: int = 1) -> None:
        super().__init__(simulation, name)
        self.best: int | None = None
        """What it announces as its best share."""
        self.identities = [Identity(self, number) for number in range(count)]

    @property
    def reactor(self) -> SimulatedReactor:
        """Return the reactor of its first host."""
        return self.identities[0].reactor

    @property
    def links(self) -> list[Link]:
        """Return all connections on which a node has introduced itself."""
        return [link for each in self.identities for link in each.links if link.introduced]

    def start(self) -> None:
        """Connect all identities with all honest nodes."""
        self.every(self.reactor, PING_PERIOD, lambda: self.tell_all(PeerPing()))
        for identity in self.identities:
            for machine in self.victims:
                identity.connect_soon(machine)

    def tell_all(self, message: Message) -> None:
        """Send a message to everybody."""
        for link in self.links:
            link.send(message)

    def introduction(self, link: Link) -> PeerVersion:
        """Return what it says of itself at first."""
        return PeerVersion(
            version=MINIMUM_PROTOCOL,
            services=0,
            receiver=link.identity.address,
            sender=link.identity.address,
            nonce=link.identity.nonce,
            sub_version=b"p2pool-dash/honest",
            mode=1,
            best_share_hash=self.best,
        )

    def began(self, link: Link) -> None:
        """Handle a new connection."""
        link.send(self.introduction(link))

    def connected(self, link: Link) -> None:
        """Handle the end of the handshake."""

    def heard(self, link: Link, message: Message) -> None:
        """Handle a message."""
        if isinstance(message, ShareReq):
            link.send(ShareReply(message.id, 0, ()))
