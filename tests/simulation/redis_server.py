"""A simulated Redis: the data of fakeredis behind the simulated network and clock.

What the program asks (an action of `p2pool.broker`) runs on the server when it arrives there, as a whole: that
other clients come between two commands of one action is not simulated. Requests and answers travel by TCP: they
are late, lost, or carried out after their client has given up. Left out: Sentinels, TLS, passwords and replicas.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import fakeredis
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from tests.simulation.network import Host, Internet
from tests.simulation.reactor import SimulatedReactor

PORT = 6379
_FRAME = 8
_MAX_LOST = 10_000
"""Requests that may be under way to a server, lost ones included."""


class _ServerTime:
    """What fakeredis has for the module `time`: the clock of the simulated server that is at work, if one is."""

    clock: Callable[[], float] | None = None

    def time(self) -> float:
        """Return Unix seconds."""
        return time.time() if self.clock is None else self.clock()

    def run(self, clock: Callable[[], float], action: Callable[[Any], Any], client: Any) -> Any:
        """Run an action by a clock."""
        self.clock = clock
        try:
            return action(client)
        finally:
            self.clock = None

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


class Request:
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
        self._waiting: dict[int, tuple[Request, _ServerProtocol]] = {}
        """Reads that wait for entries, by number."""
        self._requests: dict[int, Request] = {}
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

    def expect(self, action: Callable[[Any], Any]) -> Request:
        """Return a request, which a client is about to send."""
        self._number += 1
        request = self._requests[self._number] = Request(self._number, action)
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

    def _carry_out(self, request: Request, connection: _ServerProtocol) -> None:
        self._attempt(request, connection)
        self._wake()

    def act(self, action: Callable[[Any], Any]) -> Any:
        """Do something with the data at once, by the server's own clock, and return the result."""
        self._client.patient = False
        result = _time.run(self._clock, action, self._client)
        self._wake()
        return result

    def _attempt(self, request: Request, connection: _ServerProtocol) -> None:
        assert self._reactor is not None
        now = self._reactor.seconds()
        self._client.patient = request.deadline is None or now < request.deadline
        request.state = _save(request.action)
        try:
            request.outcome = _time.run(self._clock, request.action, self._client)
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

    def _waited(self, request: Request, connection: _ServerProtocol) -> None:
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


class Frames(Protocol):
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


class _ServerProtocol(Frames):
    def __init__(self, server: SimulatedRedis) -> None:
        super().__init__()
        self._server = server

    def came(self, number: int) -> None:
        self._server.arrived(number, self)

    def answer(self, request: Request) -> None:
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
