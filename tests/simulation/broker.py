"""The program's own `Broker` on a simulated Redis: without threads and sockets, on the simulated clock."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any, ClassVar

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ClientFactory, connectionDone
from twisted.python.failure import Failure

from p2pool.base.environment import Environment
from p2pool.broker import operations
from p2pool.broker.connection import (
    ANSWER_TIME,
    FIRST_RETRY,
    LAST_RETRY,
    MAX_REQUESTS,
    SHORTEST_READ,
    Broker,
    BrokerError,
    _name,
)
from p2pool.broker.request_queue import Urgency
from p2pool.broker.settings import BrokerAddress
from tests.simulation.events import SimulatedCall
from tests.simulation.reactor import SimulatedReactor
from tests.simulation.redis_server import PORT, Frames, Request, SimulatedRedis


class _Broken:
    """A client on which every command fails: what an action sees when its answer does not come."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        raise self._error


class _Link(ClientFactory):
    """What a redis-py client is to the program: one request at a time, by a connection that is made when it is
    needed. An answer may take `patience` seconds."""

    noisy = False

    def __init__(self, reactor: SimulatedReactor, server: SimulatedRedis, patience: Callable[[], float]) -> None:
        self._reactor = reactor
        self._server = server
        self._patience = patience
        self._protocol: _ClientProtocol | None = None
        self._request: Request | None = None
        self._done: Callable[[Any], None] | None = None
        self._deadline: SimulatedCall | None = None

    def ask(self, action: Callable[[Any], Any], done: Callable[[Any], None]) -> None:
        """Send an action, and call `done` with what it returned, or with the exception."""
        self._request, self._done = self._server.expect(action), done
        if self._protocol is None:
            self._reactor.connectTCP(self._server.host.address, PORT, self, timeout=ANSWER_TIME)
        else:
            self._send()

    def _send(self) -> None:
        if self._request is not None and self._protocol is not None:
            self._deadline = self._reactor.callLater(self._patience(), self._timed_out)
            self._protocol.send(self._request.number)

    def _finish(self, outcome: Any) -> None:
        done, self._done, self._request = self._done, None, None
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        if done is not None:
            done(outcome)

    def came(self, number: int) -> None:
        """Take an answer."""
        request = self._request
        if request is not None and request.number == number:
            self._finish(request.outcome)

    def _timed_out(self) -> None:
        self._failed(RedisTimeoutError("Timeout reading from socket"))

    def _failed(self, error: Exception) -> None:
        """Let the action see that no answer comes, as if none of it had been carried out."""
        self.close()
        request = self._request
        if request is None:
            return
        request.given_up = True
        request.restore()
        outcome: Any = error
        try:
            request.action(_Broken(error))
        except Exception as raised:
            outcome = raised
        self._finish(outcome)

    def close(self) -> None:
        """Close the connection; what is under way on it may still be carried out."""
        protocol, self._protocol = self._protocol, None
        if protocol is not None and protocol.transport is not None:
            protocol.link = None
            protocol.transport.loseConnection()

    # --- the connection ----------------------------------------------------------------------------------

    def buildProtocol(self, addr: IAddress | None) -> _ClientProtocol:
        """Return the protocol of a new connection."""
        return _ClientProtocol(self)

    def connected(self, protocol: _ClientProtocol) -> None:
        """Send the request that waits for the connection."""
        self._protocol = protocol
        self._send()

    def clientConnectionFailed(self, connector: object, reason: Failure) -> None:
        """Say why there is no connection, as redis-py does."""
        if reason.check(ConnectionRefusedError) is not None:
            where = f"{self._server.host.address}:{PORT}"
            self._failed(RedisConnectionError(f"Error 111 connecting to {where}. Connection refused."))
        else:
            self._failed(RedisTimeoutError("Timeout connecting to server"))

    def lost(self, protocol: _ClientProtocol) -> None:
        """Forget a connection that the server has ended."""
        if protocol is self._protocol:
            self._protocol = None
            self._failed(RedisConnectionError("Connection closed by server."))


class _ClientProtocol(Frames):
    def __init__(self, link: _Link) -> None:
        super().__init__()
        self.link: _Link | None = link

    def connectionMade(self) -> None:
        if self.link is not None:
            self.link.connected(self)

    def came(self, number: int) -> None:
        if self.link is not None:
            self.link.came(number)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.link is not None:
            self.link.lost(self)


class _Taken:
    """What `Broker` has an event of threads for: entries were taken."""

    def __init__(self, go_on: Callable[[], None]) -> None:
        self.set = go_on


class SimulatedBroker(Broker):
    """The connection to a simulated Redis. Its queue, its words for problems and its rules are real; what
    its threads do, this class does on the simulated clock."""

    servers: ClassVar[dict[str, SimulatedRedis]] = {}
    """Those of the world that is simulated, by address."""

    def __init__(self, environment: Environment, address: BrokerAddress) -> None:
        super().__init__(environment, address)
        self._server = self.servers[address.hosts[0][0]]
        self._link = self._make_link(lambda: ANSWER_TIME)
        self._links: list[_Link] = []
        self._started = self._busy = False
        self._queued = 0

    def _make_link(self, patience: Callable[[], float]) -> _Link:
        reactor: Any = self._reactor
        return _Link(reactor, self._server, patience)

    def start(self) -> None:
        """Ask from now on."""
        self._started = True
        self._serve_next()

    def stop(self) -> None:
        """Ask no more, after the request that is under way."""
        self._stopped.set()
        for link in self._links:
            link.close()

    def ask(self, action: Callable[[Any], Any], *, urgent: Urgency = Urgency.USUAL) -> Deferred[Any]:
        """Run an action on the server, after those that are as urgent and were requested before."""
        result: Deferred[Any] = Deferred()

        def run() -> None:
            self._busy = True
            self._link.ask(action, answered)

        def answered(outcome: Any) -> None:
            value = self._attempt(_repeat(action, outcome), self._client, "requests")
            self._reactor.callFromThread(result.callback, value)
            self._busy = False
            self._serve_next()

        try:
            self._requests.put_nowait(run, urgent=urgent)
        except queue.Full:
            result.errback(Failure(BrokerError(f"{MAX_REQUESTS} requests to {self._address} are waiting")))
            return result
        self._queued += 1
        self._serve_next()
        return result

    def _serve_next(self) -> None:
        if self._started and not self._busy and self._queued and not self._stopped.is_set():
            self._queued -= 1
            run = self._requests.get()
            assert run is not None
            run()

    # --- streams -----------------------------------------------------------------------------------------

    def follow(self, read: Callable[[Any], Any], take: Callable[[Any], Any]) -> None:
        """Read again and again, and give `take` what came."""
        link = self._make_link(lambda: ANSWER_TIME + operations.WAIT)
        self._links.append(link)
        connection, reactor = f"streams {_name(read)}", self._reactor
        pause = FIRST_RETRY

        def begin() -> None:
            if not self._stopped.is_set():
                started = reactor.seconds()
                link.ask(read, lambda outcome: came(outcome, started))

        def came(outcome: Any, started: float) -> None:
            nonlocal pause
            entries = self._attempt(_repeat(read, outcome), self._client, connection)
            if isinstance(entries, Failure):
                reactor.callLater(pause, begin)
                pause = min(2 * pause, LAST_RETRY)
                return
            pause = FIRST_RETRY
            if entries:
                taken: Any = _Taken(lambda: reactor.callFromThread(begin))
                reactor.callFromThread(self._hand_over, entries, take, taken)
            else:
                reactor.callLater(max(0.0, started + SHORTEST_READ - reactor.seconds()), begin)

        reactor.callFromThread(begin)


def _repeat(action: object, outcome: Any) -> Callable[[Any], Any]:
    """Return an action of the same name that returns, or raises, what that one did on the server."""

    def repeat(client: Any) -> Any:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    repeat.__qualname__ = _name(action)
    return repeat
