"""What is around the pool in a node: history, alerts, pages and the status log, as `app.root` puts them together.
As many nodes have them as the world says in `surroundings`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol

from p2pool.app.config import Config
from p2pool.app.process_watch import ProcessWatch
from p2pool.app.root import App
from p2pool.base.environment import Environment
from p2pool.pool_stats import PoolStats
from tests.simulation.network import Host, Internet
from tests.simulation.reactor import SimulatedReactor

ALERTS_NAME, ALERTS_ADDRESS, ALERTS_PORT = "alerts", "70.0.0.1", 8080
FLAGS = (
    *("--webhook", f"http://{ALERTS_ADDRESS}:{ALERTS_PORT}/", "--alert-node", "simulated"),
    *("--alert-page", "http://simulated/"),
)
"""Where nodes send all events to, and what they call themselves instead of this machine's name."""


class NoProcessWatch(ProcessWatch):
    """Watches nothing: memory and delays are those of the simulation and not of one node."""

    loaded: Callable[[], None] = staticmethod(lambda: None)

    def start(self) -> None:
        """Measure nothing."""

    def spare_shares(self) -> None:
        """Note that the shares are loaded. The simulation itself decides when garbage is collected."""
        self.loaded()


def whole_node(environment: Environment, config: Config, loaded: Callable[[], None]) -> App:
    """Return a node as in a process of its own; `loaded` is called once its shares are loaded."""

    def watch(environment: Environment, stats: PoolStats) -> NoProcessWatch:
        made = NoProcessWatch(environment, stats)
        made.loaded = loaded
        return made

    return App(config, environment, lambda level: None, watch_process=watch)


class AlertReceiver(Factory):
    """The server on a host of its own that gets all events of all nodes."""

    noisy = False

    def __init__(self, internet: Internet) -> None:
        self.received = 0
        reactor = SimulatedReactor(internet, internet.add(Host(ALERTS_NAME, ALERTS_ADDRESS, "eu")))
        reactor.listenTCP(ALERTS_PORT, self)

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """Return the protocol of a connection."""
        return _Receiver(self)


class _Receiver(Protocol):
    """Answers one request, whatever it is, once its body is complete."""

    def __init__(self, server: AlertReceiver) -> None:
        self._server = server
        self._data = b""

    def dataReceived(self, data: bytes) -> None:
        self._data += data
        head, end, body = self._data.partition(b"\r\n\r\n")
        size = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if end and size is not None and len(body) >= int(size[1]):
            self._server.received += 1
            transport: Any = self.transport
            transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            transport.loseConnection()
