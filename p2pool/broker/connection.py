"""The connection to Redis: blocking calls in threads, so that a slow or dead server never blocks the reactor.

One thread asks in the order of the requests; one for each reader waits for new entries of streams. All connect
again by themselves. The client is redis-py: see docs/adr.
"""

from __future__ import annotations

import queue
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pool.base.environment import Environment
from p2pool.base.errors import OperatorError, reason_of
from p2pool.base.observable import Event
from p2pool.broker.operations import WAIT, Entry
from p2pool.broker.problems import Problems, describe
from p2pool.broker.request_queue import RequestQueue, Urgency
from p2pool.broker.settings import BrokerAddress

T = TypeVar("T")
_log = Logger(namespace="p2pool.broker")

ANSWER_TIME: Final = 5.0
"""Seconds that Redis has to answer a request, and to accept a connection."""
MAX_REQUESTS: Final = 1_000
"""Requests that wait for their turn; more fail at once. Shares may be twice as many, blocks any number."""
FIRST_RETRY, LAST_RETRY = 0.2, 0.5
"""Seconds between two attempts to read streams: doubled each time, up to the last. A process that notices much
later than others that the server is back delivers its shares too late for the tip."""
STOP_CHECK: Final = 1.0
"""Seconds after which a thread notices that it should end while entries are being taken."""
SHORTEST_READ: Final = 0.05
"""Seconds from one read that brought nothing to the next: a server may not wait as it is asked to."""


class BrokerError(Exception):
    """Redis did not do what it was asked; the message says why, for people."""


def leave_to_broker(failure: Failure) -> None:
    """Handle the failure of a request that need not succeed: the broker reports its problems itself. Other errors
    go on."""
    failure.trap(BrokerError)


class Broker:
    """Asks Redis. `changed` fires with the problem, or None, when the connection is lost and when it is back."""

    def __init__(self, environment: Environment, address: BrokerAddress) -> None:
        """Raise OperatorError if a certificate or key cannot be used."""
        check_files(address)
        self.changed: Event[str | None] = Event()
        self.problem: str | None = "not connected yet"
        """Why Redis cannot be used; None while it can."""
        self._environment = environment
        self._reactor = environment.reactor
        self._address = address
        self._problems = Problems()
        self._client = connect(address, patience=ANSWER_TIME)
        self._requests = RequestQueue(MAX_REQUESTS)
        self._stream_clients: list[redis.Redis] = []
        """Bound: one for each reader of the program."""
        self._thread = threading.Thread(target=self._serve, name="broker", daemon=True)
        self._stopped = threading.Event()

    def __str__(self) -> str:
        return str(self._address)

    def start(self) -> None:
        """Start the thread that asks."""
        self._thread.start()

    def stop(self) -> None:
        """End all threads soon; requests that wait are dropped. Reads that wait for entries end at once: they
        would take entries from the process that comes next."""
        self._stopped.set()
        for client in self._stream_clients:
            with suppress(Exception):
                client.connection_pool.disconnect()
        with suppress(queue.Full):
            self._requests.put_nowait(None)

    def ask(self, action: Callable[[redis.Redis], T], *, urgent: Urgency = Urgency.USUAL) -> Deferred[T]:
        """Run an action on the client in the thread, after those that are as urgent and were requested before. The
        Deferred fails with BrokerError."""
        result: Deferred[T] = Deferred()

        def run() -> None:
            value = self._attempt(action, self._client, "requests")
            self._reactor.callFromThread(result.callback, value)

        try:
            self._requests.put_nowait(run, urgent=urgent)
        except queue.Full:
            result.errback(Failure(BrokerError(f"{MAX_REQUESTS} requests to {self._address} are waiting")))
        return result

    def _serve(self) -> None:
        while (request := self._requests.get()) is not None and not self._stopped.is_set():
            request()

    def _attempt(self, action: Callable[[redis.Redis], T], client: redis.Redis, connection: str) -> T | Failure:
        """Return what an action returned, or a BrokerError in a Failure. Whatever a server answers raises nothing:
        the client raises errors of all kinds for answers that make no sense."""
        operation = _name(action)
        try:
            value = action(client)
        except Exception as error:
            if not self._stopped.is_set():
                self._reactor.callFromThread(self._failed, error, connection, operation)
            return Failure(BrokerError(self._text(error)))
        self._reactor.callFromThread(self._succeeded, connection, operation)
        return value

    def _text(self, error: Exception) -> str:
        return f"{self._address}: {describe(error, ANSWER_TIME)}"

    def _failed(self, error: Exception, connection: str, operation: str) -> None:
        problem, now = self._text(error), self._environment.monotonic()
        if self._problems.failed(error, connection=connection, operation=operation, text=problem, now=now):
            _log.error("the broker cannot be used: {problem}; retrying", problem=problem)
        self._set_problem()

    def _succeeded(self, connection: str, operation: str) -> None:
        now = self._environment.monotonic()
        if self._problems.succeeded(connection=connection, operation=operation, now=now):
            _log.info("connected to the broker {broker}", broker=self)
        self._set_problem()

    def _set_problem(self) -> None:
        former, self.problem = self.problem, self._problems.current
        if (former is None) != (self.problem is None):
            self.changed.fire(self.problem)

    # --- streams -----------------------------------------------------------------------------------------

    def follow(self, read: Callable[[redis.Redis], list[Entry]], take: Callable[[list[Entry]], Any]) -> None:
        """Call `read` again and again in a thread of its own, and `take` with what it returned on the reactor's.
        `read` may block for a few seconds; the next read begins once `take` has returned, or its Deferred has
        fired."""
        client = connect(self._address, patience=ANSWER_TIME + WAIT)
        self._stream_clients.append(client)
        threading.Thread(
            target=self._follow, args=(client, read, take), name="broker streams", daemon=True
        ).start()

    def _follow(
        self,
        client: redis.Redis,
        read: Callable[[redis.Redis], list[Entry]],
        take: Callable[[list[Entry]], Any],
    ) -> None:
        connection, pause = f"streams {_name(read)}", FIRST_RETRY
        while not self._stopped.is_set():
            started = time.monotonic()
            entries = self._attempt(read, client, connection)
            if isinstance(entries, Failure):
                self._stopped.wait(pause)
                pause = min(2 * pause, LAST_RETRY)
                continue
            pause = FIRST_RETRY
            if entries:
                taken = threading.Event()
                self._reactor.callFromThread(self._hand_over, entries, take, taken)
                while not taken.wait(STOP_CHECK) and not self._stopped.is_set():
                    pass
            else:
                self._stopped.wait(started + SHORTEST_READ - time.monotonic())

    def _hand_over(self, entries: list[Entry], take: Callable[[list[Entry]], Any], taken: threading.Event) -> None:
        try:
            result = take(entries)
        except Exception:
            _log.failure("internal error: cannot take what the broker brought")
            result = None
        if isinstance(result, Deferred):
            result.addErrback(lambda failure: _log.failure("internal error: cannot take what came", failure))
            result.addBoth(lambda _: taken.set())
        else:
            taken.set()


def _name(action: object) -> str:
    """Return a name for an action or reader, the same for all that the same code makes."""
    return str(getattr(action, "__qualname__", type(action).__qualname__))


def connect(address: BrokerAddress, patience: float) -> redis.Redis:
    """Return a client, which connects when it is first used. It is never used by two threads at once. An answer
    may take `patience` seconds. The client tries nothing twice: its callers do."""
    options: dict[str, Any] = {
        "db": address.database,
        "username": address.user,
        "password": address.password,
        "socket_timeout": patience,
        "socket_connect_timeout": ANSWER_TIME,
        "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 0),
    }
    if address.tls:
        options |= _tls_options(address)
    if address.master is None:
        host, port = address.hosts[0]
        return redis.Redis(host=host, port=port, **options)
    # Sentinels have no databases and no users of their own: their default user has the password, if they have one.
    of_sentinels = options | {"db": 0, "socket_timeout": ANSWER_TIME, "username": address.password and "default"}
    sentinels = Sentinel(list(address.hosts), sentinel_kwargs=of_sentinels, **options)  # type: ignore[no-untyped-call]
    return sentinels.master_for(address.master)  # type: ignore[no-any-return,no-untyped-call]


def check_files(address: BrokerAddress) -> None:
    """Raise OperatorError if a certificate or key that the URL names cannot be used."""
    if not address.tls:
        return
    context = ssl.create_default_context()
    try:
        if address.ca_file is not None:
            shown = f"?ca={address.ca_file}"
            context.load_verify_locations(address.ca_file)
        if address.certificate_file is not None:
            shown = f"?cert={address.certificate_file}&key={address.key_file}"
            context.load_cert_chain(address.certificate_file, address.key_file, password=lambda: b"")
    except OSError as error:  # errors of TLS are of this class, too
        raise OperatorError(
            f"--broker: {shown}: {reason_of(error)}; give files in PEM that this user may read"
        ) from None


def _tls_options(address: BrokerAddress) -> dict[str, Any]:
    options: dict[str, Any] = {"ssl": True, "ssl_cert_reqs": "required", "ssl_check_hostname": True}
    options |= {} if address.ca_file is None else {"ssl_ca_certs": address.ca_file}
    if address.certificate_file is not None:
        options |= {"ssl_certfile": address.certificate_file, "ssl_keyfile": address.key_file}
    return options
