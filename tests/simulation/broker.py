"""A simulated Redis: the data of fakeredis behind the simulated network and clock, and the program's own `Broker`
on top of it, without threads and sockets.

What the program asks (an action of `p2pool.broker`) runs on the server when it arrives there, as a whole: that
other clients come between two commands of one action is not simulated. Requests and answers travel by TCP: they
are late, lost, or carried out after their client has given up. Left out: Sentinels, TLS, passwords and replicas.
"""

from __future__ import annotations

import queue
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import fakeredis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ClientFactory, Factory, Protocol, connectionDone
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
from tests.simulation.network import Host, Internet
from tests.simulation.reactor import SimulatedReactor

PORT = 6379
_FRAME = 8
_MAX_LOST = 10_000
"""Requests that may be under way to a server, lost ones included."""


class _ServerTime:
    """What fakeredis has for the module `time`: the clock of the server that is at work."""

    def __init__(self) -> None:
        self.clock: Callable[[], float] = time.time

    def time(self) -> float:
        """Return Unix seconds."""
        return self.clock()

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


_time = _ServerTime()


def _give_time() -> None:
    """Let all modules of fakeredis take their time from `_time`."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "fakeredis" and getattr(module, "time", None) is time:
            setattr(module, "time", _time)  # noqa: B010  # a module has no such attribute for mypy


_give_time()


class _WouldBlock(BaseException):
    """A read has nothing to return yet. No Exception: no reader of the program may take it for an answer."""

    def __init__(self, streams: Iterable[Any], seconds: float) -> None:
        super().__init__()
        self.keys = {each.encode() if isinstance(each, str) else bytes(each) for each in streams}
        self.seconds = seconds


class _Client(fakeredis.FakeRedis):
    """A client of the data that never blocks: it raises _WouldBlock instead."""

    patient = True
    """Whether reads wait for entries."""

    def xread(self, streams: Any, count: Any = None, block: Any = None) -> Any:  # type: ignore[override]
        """Return new entries of streams."""
        return self._or_block(super().xread(streams, count=count), streams, block)

    def xreadgroup(  # type: ignore[override]
        self, groupname: Any, consumername: Any, streams: Any, count: Any = None, block: Any = None
    ) -> Any:
        """Return new entries of streams to a consumer of a group."""
        reply = super().xreadgroup(groupname, consumername, streams, count=count)
        return self._or_block(reply, streams, block)

    def _or_block(self, reply: Any, streams: Any, block: int | None) -> Any:
        if not reply and block is not None and self.patient:
            raise _WouldBlock(streams, block / 1000)
        return reply


class _Broken:
    """A client on which every command fails: what an action sees when its answer does not come."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        raise self._error


class _Request:
    """An action on its way to the server, and its answer on the way back."""

    def __init__(self, number: int, action: Callable[[Any], Any]) -> None:
        self.number = number
        self.action = action
        self.outcome: Any = None
        """What the action returned, or the exception that it raised."""
        self.deadline: float | None = None
        """When a read gives up waiting; None before it waits."""
        self.keys: set[bytes] = set()
        """The streams that it waits for."""
        self.state: list[tuple[Any, dict[str, Any]]] = []
        """What a reader had been before: see `_save`."""
        self.given_up = False
        """Whether the client waits no longer."""

    def restore(self) -> None:
        """Let a reader be as it was: it never sees the answer."""
        for reader, state in self.state:
            vars(reader).update(state)


class SimulatedRedis:
    """A Redis server on a host."""

    def __init__(self, internet: Internet, host: Host, clock: Callable[[], float]) -> None:
        self.host = host
        self.slowness = 0.0
        """Seconds that each action takes."""
        self.actions = 0
        """Actions that were carried out."""
        self._internet = internet
        self._clock = clock
        self._reactor: SimulatedReactor | None = None
        self._data = fakeredis.FakeServer()
        self._client = _Client(server=self._data)
        self._changed: set[bytes] = set()
        self._busy_until = 0.0
        self._waiting: dict[int, tuple[_Request, _ServerProtocol]] = {}
        """Reads that wait for entries, by number."""
        self._requests: dict[int, _Request] = {}
        """Those on their way here. Bound: _MAX_LOST."""
        self._number = 0
        database = self._data.dbs[0]
        notify = database.notify_watch

        def changed(key: bytes) -> None:
            self._changed.add(key)
            notify(key)

        database.notify_watch = changed  # type: ignore[method-assign]

    # --- life --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the server, with the data that it had."""
        if self._reactor is None and self.host.up:
            self._reactor = SimulatedReactor(self._internet, self.host)
            factory = _ServerFactory(self)
            self._reactor.listenTCP(PORT, factory)

    def kill(self) -> None:
        """End the server; its append-only file keeps the data."""
        if self._reactor is not None:
            self._reactor.kill()
            self._reactor = None
            self._waiting.clear()
            self._busy_until = 0.0

    def freeze(self) -> None:
        """Stop as SIGSTOP does."""
        if self._reactor is not None:
            self._reactor.freeze()

    def thaw(self) -> None:
        """Go on, with all requests that came meanwhile."""
        if self._reactor is not None and self._reactor.frozen:
            self._reactor.thaw()

    def empty(self) -> None:
        """Lose all data, as by FLUSHALL."""
        self.act(lambda client: client.flushall())

    # --- requests ----------------------------------------------------------------------------------------

    def expect(self, action: Callable[[Any], Any]) -> _Request:
        """Return a request, which a client is about to send."""
        self._number += 1
        request = self._requests[self._number] = _Request(self._number, action)
        if len(self._requests) > _MAX_LOST:
            del self._requests[next(iter(self._requests))]
        return request

    def arrived(self, number: int, connection: _ServerProtocol) -> None:
        """Carry a request out, after those that came before."""
        request, reactor = self._requests.pop(number, None), self._reactor
        if request is None or reactor is None:
            return
        now = reactor.seconds()
        if self._busy_until <= now and not self.slowness:
            self._carry_out(request, connection)
            return
        self._busy_until = max(self._busy_until, now) + self.slowness
        reactor.callLater(self._busy_until - now, self._carry_out, request, connection)

    def _carry_out(self, request: _Request, connection: _ServerProtocol) -> None:
        self._attempt(request, connection)
        self._wake()

    def act(self, action: Callable[[Any], Any]) -> Any:
        """Do something with the data at once, by the server's own clock, and return the result."""
        self._client.patient = False
        _time.clock = self._clock
        result = action(self._client)
        self._wake()
        return result

    def _attempt(self, request: _Request, connection: _ServerProtocol) -> None:
        assert self._reactor is not None
        now = self._reactor.seconds()
        self._client.patient = request.deadline is None or now < request.deadline
        _time.clock = self._clock
        request.state = _save(request.action)
        try:
            request.outcome = request.action(self._client)
        except _WouldBlock as waits:
            if request.deadline is None:
                request.deadline = now + waits.seconds
                self._reactor.callLater(waits.seconds, self._waited, request, connection)
            request.keys = waits.keys
            self._waiting[request.number] = request, connection
            return
        except Exception as error:
            request.outcome = error
        finally:
            if request.given_up:
                request.restore()
        self.actions += 1
        connection.answer(request)

    def _waited(self, request: _Request, connection: _ServerProtocol) -> None:
        if self._waiting.pop(request.number, None) is not None:
            self._carry_out(request, connection)

    def _wake(self) -> None:
        """Let reads go on that wait for what has changed. What they change themselves wakes nobody."""
        if self._changed:
            for number, (request, connection) in list(self._waiting.items()):
                if request.keys & self._changed and self._waiting.pop(number, None) is not None:
                    self._attempt(request, connection)
            self._changed.clear()

    def forget(self, connection: _ServerProtocol) -> None:
        """Drop the reads of a connection that has ended."""
        for number, (_, waiting) in list(self._waiting.items()):
            if waiting is connection:
                del self._waiting[number]


def _save(action: Any) -> list[tuple[Any, dict[str, Any]]]:
    """Return what readers remember: an answer that does not arrive has taught them nothing."""
    saved, waiting = [], [action]
    while waiting:
        reader = waiting.pop()
        if type(reader).__module__.startswith("p2pool.") and callable(reader):
            state = dict(vars(reader))
            saved.append((reader, {name: dict(it) if isinstance(it, dict) else it for name, it in state.items()}))
            waiting += state.values()
    return saved


class _Frames(Protocol):
    """Either end of a connection: takes the numbers of requests apart."""

    def __init__(self) -> None:
        self._buffer = b""

    def dataReceived(self, data: bytes) -> None:
        data = self._buffer + data
        whole = len(data) - len(data) % _FRAME
        self._buffer = data[whole:]
        for start in range(0, whole, _FRAME):
            self.came(int.from_bytes(data[start : start + _FRAME], "big"))

    def came(self, number: int) -> None:
        """Take a number."""
        raise NotImplementedError

    def send(self, number: int) -> None:
        """Send a number."""
        if self.transport is not None:
            self.transport.write(number.to_bytes(_FRAME, "big"))


class _ServerProtocol(_Frames):
    def __init__(self, server: SimulatedRedis) -> None:
        super().__init__()
        self._server = server

    def came(self, number: int) -> None:
        self._server.arrived(number, self)

    def answer(self, request: _Request) -> None:
        """Send the outcome of a request."""
        self.send(request.number)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._server.forget(self)


class _ServerFactory(Factory):
    noisy = False

    def __init__(self, server: SimulatedRedis) -> None:
        self._server = server

    def buildProtocol(self, addr: IAddress | None) -> _ServerProtocol:
        return _ServerProtocol(self._server)


class _Link(ClientFactory):
    """What a redis-py client is to the program: one request at a time, by a connection that is made when it is
    needed. An answer may take `patience` seconds."""

    noisy = False

    def __init__(self, reactor: SimulatedReactor, server: SimulatedRedis, patience: Callable[[], float]) -> None:
        self._reactor = reactor
        self._server = server
        self._patience = patience
        self._protocol: _ClientProtocol | None = None
        self._request: _Request | None = None
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


class _ClientProtocol(_Frames):
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
