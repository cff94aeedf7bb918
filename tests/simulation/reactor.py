"""What a simulated process has for a reactor: Twisted's interfaces on the world's clock and network."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IHostResolution,
    IReactorFromThreads,
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorTime,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from p2pool.base.environment import Environment
from tests.simulation.disk import Crash
from tests.simulation.events import PENDING, SimulatedCall
from tests.simulation.network import LOOPBACK_NAMES, Host, Internet
from tests.simulation.tcp import VirtualConnection, VirtualConnector, VirtualPort

_log = Logger(namespace="simulation")
T = TypeVar("T")


@implementer(IReactorTime, IReactorTCP, IReactorFromThreads, IReactorPluggableNameResolver)
class SimulatedReactor:
    """The reactor of one process. When the process ends, nothing of it happens any more."""

    def __init__(self, internet: Internet, host: Host) -> None:
        self.internet = internet
        self.host = host
        self.alive = True
        self.frozen = False
        self.thawed = 0.0
        """When it was last frozen, in the world's seconds."""
        self.waiting: list[SimulatedCall] = []
        """What has become due while it was frozen."""
        self.running = True
        self.connections: dict[VirtualConnection, None] = {}
        """Those that are open, in the order in which they began."""
        self.thread_time: Callable[[], float] = lambda: 0.0
        """How long the next call in a thread takes, in seconds."""
        self.in_thread: Callable[[Callable[[], Any]], Any] = lambda function: function()
        """Runs what a thread does."""
        self.crashed: Callable[[], None] = lambda: None
        """Called when the process has ended in the middle of that."""
        self.nameResolver = _NameResolver(self)
        self._events = internet.events
        self._port = 32_768

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function as an event of this process."""
        before, self._events.owner = self._events.owner, self
        try:
            return function(*arguments)
        finally:
            self._events.owner = before

    def kill(self, *, power: bool = False) -> None:
        """End the process at once; with `power` the machine has lost its power, and nobody hears of it."""
        self.alive = False
        for number, port in list(self.host.ports.items()):
            if port.reactor is self:
                del self.host.ports[number]
        for connection in list(self.connections):
            connection.cut_off(reset=not power)
        self.connections.clear()

    def freeze(self) -> None:
        """Stop as SIGSTOP does: whatever happens to the process waits until `thaw`."""
        self.frozen = True

    def thaw(self) -> None:
        """Go on, with all that waited."""
        self.frozen = False
        self.thawed = self._events.now
        waiting, self.waiting = self.waiting, []
        for call in waiting:
            if call.sequence == PENDING:
                self._events.move(call, self._events.now)
        for connection in list(self.connections):
            connection.read_soon()

    def next_port(self) -> int:
        """Return a port number for a connection from here."""
        self._port = 32_768 + (self._port - 32_767) % 28_000
        return self._port

    # --- IReactorTime ------------------------------------------------------------------------------------

    def seconds(self) -> float:
        """Return the seconds since the world began. Not since the process did: the difference would be rounded,
        and a timer that is due could find itself a trillionth of a second too early, again and again."""
        return self._events.now

    def callLater(
        self, delay: float, callable: Callable[..., Any], *args: object, **kwargs: object
    ) -> SimulatedCall:
        """Call a function after so many seconds."""
        if delay < 0:
            raise ValueError(f"callLater with {delay} seconds")
        return self._events.at(self._events.now + delay, self, callable, *args, **kwargs)

    def getDelayedCalls(self) -> list[SimulatedCall]:
        """Return nothing: nobody asks."""
        return []

    # --- threads -----------------------------------------------------------------------------------------

    def callFromThread(self, callable: Callable[..., Any], *args: object, **kwargs: object) -> None:
        """Call a function in the next turn."""
        self.callLater(0, callable, *args, **kwargs)

    def run_in_thread(self, function: Callable[[], T]) -> Deferred[T]:
        """Run a function later, as if a thread did; the Deferred fires with its result."""
        done: Deferred[T] = Deferred()
        self.callLater(self.thread_time(), self._run, function, done)
        return done

    def _run(self, function: Callable[[], T], done: Deferred[T]) -> None:
        try:
            result = self.in_thread(function)
        except Crash:
            self.crashed()
            return
        except BaseException:
            failure = Failure()
            self.callLater(0, _fire, done.errback, done, failure)
            return
        self.callLater(0, _fire, done.callback, done, result)

    # --- IReactorTCP -------------------------------------------------------------------------------------

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> VirtualPort:
        """Open a port. Raises CannotListenError."""
        listening = VirtualPort(self, port, factory)
        listening.startListening()
        return listening

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: Any,
        timeout: float | None = 30,
        bindAddress: object = None,
    ) -> VirtualConnector:
        """Begin to connect."""
        connector = VirtualConnector(self, (host, port), factory, timeout)
        connector.connect()
        return connector

    # --- what a running reactor has besides ----------------------------------------------------------------

    def addSystemEventTrigger(self, phase: str, event: str, function: Callable[..., Any], *arguments: Any) -> None:
        """Ignore what is to be done at the end: processes are stopped by the world."""

    def callWhenRunning(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> None:
        """Call a function at once: the reactor runs."""
        function(*arguments, **named)


def environment_of(reactor: SimulatedReactor, *, clock: Callable[[], float], chance: random.Random) -> Environment:
    """Return what a simulated process has of the world around it."""
    any_reactor: Any = reactor
    return Environment(
        reactor=any_reactor,
        clock=clock,
        monotonic=reactor.seconds,
        run_in_thread=reactor.run_in_thread,
        run_in_daemon_thread=reactor.run_in_thread,
        chance=chance,
    )


def _fire(fire: Callable[[Any], None], done: Deferred[Any], result: object) -> None:
    if not done.called:
        fire(result)


@implementer(IHostResolution)
class _Resolution:
    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        """Too late: it is done at once."""


class _NameResolver:
    """Names are those of hosts; a look-up takes no time."""

    def __init__(self, reactor: SimulatedReactor) -> None:
        self._reactor = reactor

    def resolveHostName(
        self, receiver: Any, hostName: str, portNumber: int = 0, *_: object, **__: object
    ) -> _Resolution:
        """Give the receiver the address of a host."""
        resolution = _Resolution(hostName)
        receiver.resolutionBegan(resolution)
        found = self._reactor.internet.find(self._reactor.host, hostName)
        if found is not None:
            address = "127.0.0.1" if hostName in LOOPBACK_NAMES else found.address
            receiver.addressResolved(IPv4Address("TCP", address, portNumber))
        elif hostName.replace(".", "").isdigit():
            receiver.addressResolved(IPv4Address("TCP", hostName, portNumber))
        receiver.resolutionComplete()
        return resolution
