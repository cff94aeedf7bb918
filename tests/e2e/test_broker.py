"""The broker's connection with a real redis-server, and with servers that are none: what the operator reads, and
that nothing blocks, spins or keeps the program from stopping."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import redis
from twisted.internet.defer import Deferred

from p2pool.base.settings import Given
from p2pool.broker.connection import Broker, BrokerError
from p2pool.broker.operations import GroupReader, StreamReader, acknowledge, append, append_all, get, newest
from p2pool.broker.settings import read_broker_address
from tests.broker.thread_calls import ThreadCalls
from tests.e2e.alert_servers import make_certificate
from tests.e2e.process import free_port, wait_for
from tests.e2e.redis_server import RedisServer, SentinelServer
from tests.environment import make_environment
from tests.logged import Log, logged

pytestmark = pytest.mark.e2e
FAST = 0.5
"""Seconds that a server has to answer in these tests."""


class Connection:
    """A Broker, and what is logged of it."""

    def __init__(self, url: str, log: Log) -> None:
        self.reactor = ThreadCalls()
        self.log = log
        self.broker = Broker(make_environment(self.reactor), read_broker_address(Given("--broker", url)))
        self.broker.start()

    def ask(self, action: Callable[[redis.Redis], object]) -> object:
        """Return what an action returns; a failure's exception."""
        results: list[object] = []
        deferred: Deferred[object] = self.broker.ask(action)
        deferred.addCallbacks(results.append, lambda failure: results.append(failure.value))
        self.reactor.run_until(lambda: results)
        return results[0]

    def problem_of(self, action: Callable[[redis.Redis], object]) -> str:
        """Return the only line that is logged of an action that fails, without the broker's name."""
        error = self.ask(action)
        assert isinstance(error, Exception), error
        (line,) = self.log.lines
        head, tail = f"the broker cannot be used: {self.broker}: ", "; retrying"
        assert line.startswith(head)
        assert line.endswith(tail)
        assert self.broker.problem == f"{self.broker}: {line[len(head) : -len(tail)]}"
        return line[len(head) : -len(tail)]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Connection]]:
    monkeypatch.setattr("p2pool.broker.connection.ANSWER_TIME", FAST)
    with ExitStack() as stack, logged() as log:

        def make(url: str) -> Connection:
            made = Connection(url, log)
            stack.callback(made.broker.stop)
            return made

        yield make


@contextmanager
def strange_server(behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """A TCP server that is no Redis: the URL of one that does something with each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=attend, args=(connection,), daemon=True).start()

        def attend(connection: socket.socket) -> None:
            with connection:
                try:
                    behave(connection)
                except OSError:
                    pass

        threading.Thread(target=serve, daemon=True).start()
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def answers(data: bytes) -> Callable[[socket.socket], None]:
    """Return a behaviour: the same bytes for whatever comes."""

    def behave(connection: socket.socket) -> None:
        while connection.recv(65536):
            connection.sendall(data)

    return behave


def test_full(tmp_path: Path, connect: Callable[[str], Connection]):
    arguments = ("--maxmemory", "1", "--maxmemory-policy", "noeviction")
    with RedisServer(tmp_path, arguments=arguments) as server:
        connection = connect(server.url)
        problem = connection.problem_of(append("stream", b"data"))
        assert problem.endswith("; Redis is full: raise its maxmemory")
        assert connection.ask(newest("stream")) is None
        assert connection.broker.problem is not None  # it can be read, and is full nevertheless
        refused = connection.ask(append_all("stream", [b"one", b"two"], keep=9))
        assert str(refused) == connection.broker.problem
        assert len(connection.log.lines) == 1
        server.call("CONFIG", "SET", "maxmemory", "0")
        assert connection.ask(append("stream", b"data")) is None
        assert connection.ask(append_all("stream", [b"one", b"two"], keep=9)) is None
        assert connection.broker.problem is None
        assert server.call("XLEN", "stream") == 3


@pytest.mark.parametrize("has_group", [True, False])
def test_full_of_solutions_it_gets_room_from_a_node_that_takes_them(
    tmp_path: Path, connect: Callable[[str], Connection], has_group: bool
):
    with RedisServer(tmp_path, arguments=("--maxmemory", "6mb", "--maxmemory-policy", "noeviction")) as server:
        connection, reader = connect(server.url), GroupReader("s", "node")
        if has_group:
            connection.ask(reader)
        while not isinstance(connection.ask(append("s", bytes(8000))), BrokerError):
            pass
        ids: list[str] = []
        while not ids:
            read = connection.ask(reader)
            assert isinstance(read, list), read
            ids = [entry.id for entry in read]
        assert connection.ask(acknowledge("s", "node", ids)) is None
        assert connection.ask(append_all("taken", [bytes(32)] * len(ids), keep=1000)) is None
        later = [connection.ask(reader) for _ in range(2)]
        assert all(isinstance(each, list) for each in later), later


def test_read_only(tmp_path: Path, connect: Callable[[str], Connection]):
    with (
        RedisServer(tmp_path / "master") as master,
        RedisServer(tmp_path / "replica", replica_of=master.port) as replica,
    ):
        problem = connect(replica.url).problem_of(append("stream", b"data"))
        assert "this is a replica: name the master in the broker's URL" in problem


def test_wrong_password(tmp_path: Path, connect: Callable[[str], Connection]):
    with RedisServer(tmp_path, password="right") as server:
        connection = connect(server.url.replace("right", "wrong"))
        problem = connection.problem_of(get("key"))
        assert problem.endswith("; check user and password in the broker's URL")
        assert "wrong" not in problem


def test_no_password(tmp_path: Path, connect: Callable[[str], Connection]):
    with RedisServer(tmp_path, password="right") as server:
        problem = connect(server.url.replace(":right@", "")).problem_of(get("key"))
        assert problem.endswith("; check user and password in the broker's URL")


def test_tls(tmp_path: Path, connect: Callable[[str], Connection]):
    certificate, key = make_certificate(tmp_path)
    with RedisServer(tmp_path / "redis", certificate=certificate, key=key) as server:
        assert connect(server.url).ask(get("key")) is None


def test_tls_of_a_stranger(tmp_path: Path, connect: Callable[[str], Connection]):
    certificate, key = make_certificate(tmp_path)
    with RedisServer(tmp_path / "redis", certificate=certificate, key=key) as server:
        url = server.url.partition("?")[0]
        assert "certificate" in connect(url).problem_of(get("key"))


def test_tls_where_there_is_none(tmp_path: Path, connect: Callable[[str], Connection]):
    with RedisServer(tmp_path) as server:
        problem = connect(server.url.replace("redis://", "rediss://")).problem_of(get("key"))
        assert "whether the server has TLS" in problem


def test_nobody_listens(connect: Callable[[str], Connection]):
    port = free_port()
    connection = connect(f"redis://127.0.0.1:{port}")
    problem = connection.problem_of(get("key"))
    assert problem == f"Error 111 connecting to 127.0.0.1:{port}. Connection refused."
    for _ in range(10):
        connection.ask(get("key"))
    assert len(connection.log.lines) == 1


def test_no_answer(connect: Callable[[str], Connection]):
    with strange_server(lambda connection: time.sleep(20)) as url:
        assert connect(url).problem_of(get("key")) == f"no answer within {FAST:g} s"


@pytest.mark.parametrize(
    "data",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\xff" * 50_000 + b"\r\n", b"*3\r\n:1\r\n", b"$x\r\n", b":\r\n"],
)
def test_no_redis(connect: Callable[[str], Connection], data: bytes):
    with strange_server(answers(data)) as url:
        connection = connect(url)
        for action in (get("key"), append("stream", b"data"), newest("stream")):
            connection.ask(action)
        assert connection.broker.problem is not None
        assert all(len(line) < 500 and line.isprintable() for line in connection.log.lines)
        assert connection.log.tracebacks == []


def test_streams_survive_what_is_no_redis(connect: Callable[[str], Connection]):
    """The thread that reads streams neither ends nor spins."""
    requests: list[bytes] = []

    def behave(connection: socket.socket) -> None:
        while data := connection.recv(65536):
            requests.append(data)
            connection.sendall(b"*-1\r\n")

    with strange_server(behave) as url:
        connection = connect(url)
        for reader in (StreamReader("work"), GroupReader("solutions", "node")):
            connection.broker.follow(reader, lambda entries: None)
        time.sleep(1.0)
        assert 1 < len(requests) < 200
        assert sum(thread.name == "broker streams" for thread in threading.enumerate()) >= 2
        assert connection.log.tracebacks == []


def test_streams_go_on_when_a_server_comes_up(tmp_path: Path, connect: Callable[[str], Connection]):
    server = RedisServer(tmp_path)
    connection = connect(server.url)
    taken: list[bytes] = []
    connection.broker.follow(
        GroupReader("solutions", "node"), lambda entries: taken.extend(entry.data for entry in entries)
    )
    connection.reactor.run_until(lambda: connection.log.lines)
    with server:
        assert connection.ask(append("solutions", b"first")) is None
        connection.reactor.run_until(lambda: taken == [b"first"])
        server.call("FLUSHALL")
        assert connection.ask(append("solutions", b"second")) is None
        connection.reactor.run_until(lambda: taken == [b"first", b"second"])


def test_a_sentinel_names_the_master_and_its_successor(tmp_path: Path, connect: Callable[[str], Connection]):
    with ExitStack() as stack:
        master = stack.enter_context(RedisServer(tmp_path / "master"))
        replica = stack.enter_context(RedisServer(tmp_path / "replica", replica_of=master.port))
        sentinel = stack.enter_context(SentinelServer(tmp_path / "sentinel", master))
        connection = connect(sentinel.url)
        assert connection.ask(append("stream", b"first")) is None
        wait_for("replica", sentinel.knows_replica)
        wait_for("replication", lambda: replica.call("XLEN", "stream") == 1)
        master.kill()
        wait_for("successor", lambda: connection.ask(append("stream", b"second")) is None, 60)
        assert replica.call("XLEN", "stream") == 2
        assert connection.broker.problem is None
        assert connection.log.tracebacks == []


def test_stop_while_a_read_waits(tmp_path: Path, connect: Callable[[str], Connection]):
    earlier = set(threading.enumerate())
    with RedisServer(tmp_path) as server:
        connection = connect(server.url)
        connection.broker.follow(StreamReader("work"), lambda entries: None)
        connection.ask(get("key"))
        server.freeze()
        connection.broker.ask(get("key"))
        started = time.monotonic()
        connection.broker.stop()
        assert time.monotonic() - started < 1  # it does not wait for the threads
        wait_for("end of the threads", lambda: not set(threading.enumerate()) - earlier, 3.0)
        server.thaw()
