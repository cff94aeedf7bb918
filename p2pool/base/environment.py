"""What services take from the world around them: the reactor, time, threads and chance, as one value.

`app.process` makes the one of the real world; tests make theirs of a simulated clock. Pure objects (sessions,
rules, tables) are given a clock or a random generator alone.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IReactorCore,
    IReactorFDSet,
    IReactorFromThreads,
    IReactorPluggableNameResolver,
    IReactorProcess,
    IReactorSocket,
    IReactorTCP,
    IReactorThreads,
    IReactorTime,
)
from twisted.internet.threads import deferToThread

from p2pool.base.daemon_thread import run_in_daemon_thread
from p2pool.base.socks import Proxy

T = TypeVar("T")


class IReactor(
    IReactorTime,
    IReactorTCP,
    IReactorCore,
    IReactorThreads,
    IReactorFromThreads,
    IReactorFDSet,
    IReactorProcess,
    IReactorSocket,
    IReactorPluggableNameResolver,
):
    """Everything that this program asks of a Twisted reactor."""


class RunInThread(Protocol):
    """Run a callable without arguments in another thread; the Deferred fires on the reactor thread."""

    def __call__(self, function: Callable[[], T], /) -> Deferred[T]:
        """Return what will be the callable's result, or its failure."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The surroundings of a service.

    `clock` gives Unix time in seconds and may jump; `monotonic` gives seconds that never do. `run_in_thread` uses
    the reactor's pool, which is waited for at the end; `run_in_daemon_thread` is for calls that may hang (name
    look-ups, mail servers, databases), and nothing waits for them. `chance` gives random numbers.
    """

    reactor: IReactor
    clock: Callable[[], float]
    monotonic: Callable[[], float]
    run_in_thread: RunInThread
    run_in_daemon_thread: RunInThread
    chance: random.Random = field(default_factory=random.SystemRandom)
    proxy: Proxy | None = None
    """What `base.outgoing` makes connections through; None for directly."""

    def call_soon(self, function: Callable[[], Any]) -> IDelayedCall:
        """Call a function in the next turn of the reactor. Returns what can cancel it."""
        return self.reactor.callLater(0, function)

    def nonce(self) -> int:
        """Return 64 random bits, by which a node recognises a connection to itself."""
        return self.chance.getrandbits(64)

    def random_hex(self, size: int) -> str:
        """Return so many random bytes in hexadecimal."""
        return self.chance.randbytes(size).hex()


def real_environment(reactor: IReactor) -> Environment:
    """Return the real world's environment around a running reactor."""
    return Environment(
        reactor=reactor,
        clock=time.time,
        monotonic=time.monotonic,
        run_in_thread=deferToThread,
        run_in_daemon_thread=lambda function: run_in_daemon_thread(reactor, function),
    )
