"""A CPU miner that speaks real stratum over TCP: for simulated networks, tests and trying a pool out.

`CpuMiner` is a Twisted service; `python -m p2pool.simnet.miner -o stratum+tcp://HOST:PORT -u ADDRESS` runs
one alone. The conversation is `miner_session`'s, the socket `miner_connection`'s, the hashing `miner_threads`'.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

from twisted.application.internet import ClientService
from twisted.application.service import Service
from twisted.internet import task
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger, globalLogBeginner, textFileLogObserver
from twisted.python.failure import Failure

from p2pool.base.backoff import reconnect_policy
from p2pool.base.environment import Environment, IReactor, real_environment
from p2pool.base.rates import WindowedSum
from p2pool.base.signals import stop_at_hangup
from p2pool.base.terminal import open_standard_streams, open_terminal
from p2pool.base.text import format_rate, printable
from p2pool.simnet.miner_connection import MinerFactory, MinerProtocol, PoolEndpoint
from p2pool.simnet.miner_events import (
    Authorized,
    Event,
    HandshakeRefused,
    MessageShown,
    ReconnectRequested,
    ServerFault,
    ShareAccepted,
    ShareRefused,
    Subscribed,
    WorkChanged,
)
from p2pool.simnet.miner_flags import parse_arguments
from p2pool.simnet.miner_session import MinerSession
from p2pool.simnet.miner_threads import HashingThread
from p2pool.simnet.miner_work import FoundShare, Work

_log = Logger(namespace="p2pool.simnet.miner")  # not __name__: the module is also run as __main__

HASH_RATE_WINDOW = 10.0
HANDSHAKE_TIMEOUT = 30.0
"""Seconds from the connection to the answer to authorize."""
ANSWER_TIMEOUT = 60.0
"""Seconds that a server may take to answer a submission."""
MAX_UNDELIVERED = 64
"""Shares between the threads and the reactor; beyond it threads wait (at absurdly low difficulties)."""
CLOSE_GRACE = 0.5
"""Seconds that a connection may take to send its last bytes when it is closed."""
OTHER_CODE = 0
"""The key in `refused` of every code that stratum does not define."""
_KNOWN_CODES = range(20, 26)


class CpuMiner(Service):
    """A miner with `threads` hashing threads, `max_hash_rate` hashes a second among them (None: no limit).

    `accepted`, `refused` (by stratum's code), `dropped` (found but not sent: no connection, or a server that
    does not answer) count shares; `difficulty` is the current work's, None while there is none.
    """

    def __init__(
        self,
        environment: Environment,
        *,
        host: str,
        port: int,
        username: str,
        password: str = "x",
        threads: int = 1,
        max_hash_rate: float | None = None,
        name: str = "miner",
        report_every: float = 60.0,
        retry_policy: Callable[[int], float] | None = None,
    ) -> None:
        if threads < 1:
            raise ValueError(f"a miner has at least one thread, not {threads}")
        if max_hash_rate is not None and max_hash_rate <= 0:
            raise ValueError(f"max_hash_rate must be positive, not {max_hash_rate}")
        self.name = name
        self.accepted = 0
        self.refused: dict[int, int] = {}  # bound: the codes of _KNOWN_CODES and OTHER_CODE
        self.dropped = 0
        self.difficulty: float | None = None
        self._reactor = environment.reactor
        self._username = username
        self._password = password
        self._thread_count = threads
        self._thread_rate = None if max_hash_rate is None else max_hash_rate / threads
        self._report_every = report_every
        self._retry_policy = retry_policy or reconnect_policy(environment.chance, first=0.5, longest=30.0)
        self._endpoint = PoolEndpoint(environment.reactor, host, port)
        self._client: ClientService | None = None
        self._connection: MinerProtocol | None = None
        self._session_id: str | None = None
        self._failed_handshakes = 0
        self._threads: list[HashingThread] = []
        self._threads_ended: list[Deferred[None]] = []
        self._stopping = threading.Event()
        self._undelivered = threading.Semaphore(MAX_UNDELIVERED)
        self._hashes = WindowedSum(HASH_RATE_WINDOW, buckets=20)
        self._hashes_counted = 0
        self._timers: list[task.LoopingCall] = []
        self._deadline: IDelayedCall | None = None  # IDelayedCall: of the handshake, later of a wait to reconnect

    # --- figures --------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Return whether the miner is authorized at its pool."""
        return self._connection is not None and self._connection.session.authorized

    @property
    def hashes(self) -> int:
        """Return the number of hashes since the start."""
        return sum(thread.hashes for thread in self._threads)

    def hash_rate(self) -> float:
        """Return the hashes per second over the last ten seconds."""
        self._count_hashes()
        return self._hashes.rate(self.now())

    def now(self) -> float:
        """Return the reactor's time in seconds."""
        return float(self._reactor.seconds())

    # --- service --------------------------------------------------------------------------------------

    def startService(self) -> None:
        """Start hashing threads (they rest until there is work) and connect."""
        super().startService()  # type: ignore[no-untyped-call]
        self._stopping.clear()
        self._hashes_counted = 0
        self._hashes.add(0.0, self.now())
        first = max((thread.next_extranonce2 for thread in self._threads), default=0)
        self._threads_ended = [Deferred() for _ in range(self._thread_count)]
        self._threads = [self._new_thread(i, first, ended) for i, ended in enumerate(self._threads_ended)]
        for thread in self._threads:
            thread.start()
        self._start_timer(self._tick, 1.0)
        self._start_timer(self._report, self._report_every)
        endpoint: Any = self._endpoint  # mypy does not see zope's interfaces
        factory: Any = MinerFactory(self)
        self._client = ClientService(endpoint, factory, retryPolicy=self._delay, clock=self._reactor)
        self._client.startService()

    def stopService(self) -> Deferred[None]:
        """Disconnect and end the threads; fires when both are done."""
        super().stopService()  # type: ignore[no-untyped-call]
        self._stopping.set()
        for thread in self._threads:
            thread.stop()
        for timer in self._timers:
            timer.stop()
        self._timers.clear()
        self._cancel_deadline()
        waiting: list[Deferred[Any]] = [*self._threads_ended]
        if self._client is not None:
            waiting.append(self._client.stopService())
            self._client = None
        if self._connection is not None:
            self._set_deadline(CLOSE_GRACE, self._connection.abort)
        return gatherResults(waiting).addCallback(lambda _: None)

    def _new_thread(self, index: int, first_extranonce2: int, ended: Deferred[None]) -> HashingThread:
        return HashingThread(
            self._deliver,
            index=index,
            lanes=self._thread_count,
            first_extranonce2=first_extranonce2,
            max_hash_rate=self._thread_rate,
            on_ended=lambda failure: self._reactor.callFromThread(self._thread_ended, ended, failure),
            name=str(self.name),
        )

    def _thread_ended(self, ended: Deferred[None], failure: BaseException | None) -> None:
        if failure is not None:
            _log.failure("internal error: a hashing thread of miner {name} died", Failure(failure), name=self.name)
        ended.callback(None)

    def _start_timer(self, function: Callable[[], None], interval: float) -> None:
        timer = task.LoopingCall(function)
        timer.clock = self._reactor
        timer.start(interval, now=False).addErrback(
            lambda failure: _log.failure("internal error in a timer of miner {name}", failure, name=self.name)
        )
        self._timers.append(timer)

    def _delay(self, attempt: int) -> float:
        """Return the seconds before the next attempt to connect; handshakes that failed count like failed
        attempts."""
        return self._retry_policy(attempt + self._failed_handshakes)

    # --- the connection -------------------------------------------------------------------------------

    def new_session(self) -> MinerSession:
        """Return the session of a new connection; it resumes the last one if the server knows that."""
        return MinerSession(self._username, self._password, previous_session=self._session_id)

    def connection_made(self, connection: MinerProtocol) -> None:
        """Note a new connection, and await its handshake."""
        self._connection = connection
        self._failed_handshakes += 1  # until it is authorized
        self._set_deadline(HANDSHAKE_TIMEOUT, self._handshake_timed_out)

    def connection_lost(self, connection: MinerProtocol, reason: Failure) -> None:
        """Note the end of a connection: there is no work from then on."""
        if connection is not self._connection:
            return
        self._connection = None
        self._cancel_deadline()
        self._set_work(None)
        if not isinstance(reason.value, ConnectionDone | ConnectionAborted):
            _log.info("{name}: connection lost: {reason}", name=self.name, reason=reason.value)

    def _handshake_timed_out(self) -> None:
        self._deadline = None
        self._drop("{name}: no answer to subscribe and authorize", name=self.name)

    def _drop(self, text: str, /, **fields: object) -> None:
        """Give the connection up, with a line in the log; ClientService makes the next."""
        _log.warn(text, **fields)
        if self._connection is not None:
            self._connection.abort()

    def _set_deadline(self, delay: float, function: Callable[[], None]) -> None:
        self._cancel_deadline()
        self._deadline = self._reactor.callLater(delay, function)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None

    # --- what happens ---------------------------------------------------------------------------------

    def handle(self, connection: MinerProtocol, event: Event) -> None:
        """One event of the session of `connection`."""
        if connection is not self._connection or not self.running:
            return
        match event:
            case WorkChanged(work):
                self._set_work(work)
            case ShareAccepted():
                self.accepted += 1
            case ShareRefused(_, code, text):
                self._share_refused(code, text)
            case Subscribed(session_id):
                self._session_id = session_id
            case Authorized():
                self._failed_handshakes = 0
                self._cancel_deadline()
                _log.info("{name}: mining at {pool}", name=self.name, pool=self._endpoint)
            case HandshakeRefused(method, code, text):
                self._session_id = None
                self._drop(
                    "{name}: {method} refused: {code} {text}",
                    name=self.name, method=method, code=code, text=text,
                )  # fmt: skip
            case MessageShown(text):
                _log.info("{name}: the pool says: {text}", name=self.name, text=text)
            case ReconnectRequested():
                self._reconnect_requested(connection, event)
            case ServerFault(text, fatal):
                fault = (
                    "{name}: not stratum, connection closed: {text}" if fatal else "{name}: not stratum: {text}"
                )
                _log.warn(fault, name=self.name, text=text)
                if fatal:
                    connection.abort()

    def _share_refused(self, code: int, text: str) -> None:
        code = code if code in _KNOWN_CODES else OTHER_CODE
        self.refused[code] = self.refused.get(code, 0) + 1
        _log.debug("{name}: share refused: {code} {text}", name=self.name, code=code, text=text)

    def _reconnect_requested(self, connection: MinerProtocol, event: ReconnectRequested) -> None:
        # Never to another host: whoever can write one line into the connection could take the miner away.
        if event.host is not None and event.host != self._endpoint.host:
            _log.warn(
                "{name}: asked to reconnect to {host}; stays with {pool}",
                name=self.name, host=printable(event.host), pool=self._endpoint,
            )  # fmt: skip
        elif event.port is not None:
            self._endpoint.port = event.port
        self._set_deadline(event.wait, lambda: self._close(connection))

    def _close(self, connection: MinerProtocol) -> None:
        connection.close()
        self._set_deadline(CLOSE_GRACE, connection.abort)

    def _set_work(self, work: Work | None) -> None:
        self.difficulty = None if work is None else work.difficulty
        for thread in self._threads:
            thread.set_work(work)

    # --- shares ---------------------------------------------------------------------------------------

    def _deliver(self, share: FoundShare) -> None:
        """Deliver a solution from a hashing thread, which waits while the reactor is behind."""
        while not self._undelivered.acquire(timeout=0.05):
            if self._stopping.is_set():
                return
        self._reactor.callFromThread(self._found, share)

    def _found(self, share: FoundShare) -> None:
        self._undelivered.release()
        request = b""
        if self._connection is not None and self.running:
            request = self._connection.session.submit(share, self.now())
            self._connection.send(request)
        if not request:
            self.dropped += 1

    # --- timers ---------------------------------------------------------------------------------------

    def _count_hashes(self) -> None:
        total = self.hashes
        self._hashes.add(total - self._hashes_counted, self.now())
        self._hashes_counted = total

    def _tick(self) -> None:
        self._count_hashes()
        if self._connection is not None and self._connection.session.unanswered_for(self.now()) > ANSWER_TIMEOUT:
            self._drop("{name}: the pool does not answer submissions", name=self.name)

    def _report(self) -> None:
        codes = ", ".join(f"{count} x {code}" for code, count in sorted(self.refused.items()))
        _log.info(
            "{name}: {rate}, {accepted} accepted, {refused} refused{codes}, difficulty {difficulty}",
            name=self.name,
            rate=format_rate(self.hash_rate()),
            accepted=self.accepted,
            refused=sum(self.refused.values()),
            codes=f" ({codes})" if codes else "",
            difficulty="none (no work)" if self.difficulty is None else f"{self.difficulty:g}",
        )


# --- command line ---------------------------------------------------------------------------------------


def _mine(reactor: IReactor, options: argparse.Namespace) -> Deferred[None]:
    host, port = options.url
    miner = CpuMiner(
        real_environment(reactor),
        host=host,
        port=port,
        username=options.user,
        password=options.password,
        threads=options.threads,
        max_hash_rate=options.max_hash_rate,
        report_every=options.report_every,
    )
    miner.startService()
    stop_at_hangup(reactor)
    reactor.addSystemEventTrigger("before", "shutdown", miner.stopService)
    return Deferred()  # until Ctrl-C


def main() -> NoReturn:
    """Run the command line, and never return."""
    open_standard_streams()
    options = parse_arguments(sys.argv[1:])
    observer: Any = textFileLogObserver(open_terminal(sys.stdout))
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
    task.react(_mine, [options])


if __name__ == "__main__":
    main()
