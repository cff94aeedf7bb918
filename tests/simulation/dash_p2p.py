"""The p2p port of a simulated Dash Core: it says hello, announces blocks, and takes those that the pool found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from p2pool.base.errors import ParseError
from p2pool.dash.messages import (
    INVENTORY_BLOCK,
    MAX_PAYLOAD,
    NO_ADDRESS,
    NODE_NETWORK,
    PROTOCOL_VERSION,
    BlockMessage,
    Inv,
    InventoryItem,
    Message,
    Ping,
    Pong,
    Verack,
    Version,
    parse_message,
)
from p2pool.wire.framer import Framer, frame

if TYPE_CHECKING:
    from tests.simulation.dash_chain import SimulatedBlock
    from tests.simulation.dash_daemon import SimulatedDaemon

PORT = 9999
PING_PERIOD = 120.0


class DashPort(Factory):
    """Makes the daemon's side of connections; `links` are those that are open."""

    noisy = False

    def __init__(self, daemon: SimulatedDaemon) -> None:
        self.daemon = daemon
        self.links: dict[_Link, None] = {}

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """Return the protocol of a connection."""
        return _Link(self)

    def announce(self, block: SimulatedBlock) -> None:
        """Tell everybody of a new block."""
        for link in list(self.links):
            link.send(Inv((InventoryItem(INVENTORY_BLOCK, block.hash),)))


class _Link(Protocol):
    def __init__(self, port: DashPort) -> None:
        self._port = port
        self._magic = port.daemon.network.chain.network.parent.p2p_magic
        self._framer = Framer(self._magic, MAX_PAYLOAD)

    def connectionMade(self) -> None:
        self._port.links[self] = None
        now = int(self._port.daemon.network.chain.epoch + self._port.daemon.network.events.now)
        height = self._port.daemon.tip.height
        ends = {"receiver": NO_ADDRESS, "sender": NO_ADDRESS}
        hello: dict[str, Any] = {**ends, "nonce": 1, "sub_version": b"/Dash Core:23.1.2/"}
        self.send(Version(version=PROTOCOL_VERSION, services=NODE_NETWORK, time=now, start_height=height, **hello))
        self._port.daemon.reactor.callLater(PING_PERIOD, self._ping)

    def _ping(self) -> None:
        if self in self._port.links:
            self.send(Ping(1))
            self._port.daemon.reactor.callLater(PING_PERIOD, self._ping)

    def send(self, message: Message) -> None:
        """Send a message."""
        if self.transport is not None:
            self.transport.write(frame(self._magic, message.command, message.pack()))

    def dataReceived(self, data: bytes) -> None:
        try:
            for command, payload in self._framer.feed(data):
                message = parse_message(command, payload)
                if isinstance(message, Version):
                    self.send(Verack())
                elif isinstance(message, Ping):
                    self.send(Pong(message.nonce))
                elif isinstance(message, BlockMessage):
                    self._port.daemon.take_raw(message.raw)
        except ParseError:
            if self.transport is not None:
                self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._port.links.pop(self, None)
