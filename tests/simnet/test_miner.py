"""The miner as a service: a reactor in memory, real hashing threads, a server that the test plays."""

import json
import queue
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import LogEvent, globalLogPublisher
from twisted.python.failure import Failure

from p2pool.dash.pow import x11
from p2pool.dash.target import difficulty_to_target
from p2pool.simnet import miner as module
from p2pool.simnet.miner import CpuMiner
from p2pool.simnet.miner_flags import parse_arguments
from p2pool.simnet.miner_work import parse_notify
from tests.environment import make_environment

VECTOR = json.loads((Path(__file__).parents[1] / "vectors" / "stratum_jobs.json").read_text())["jobs"][0]
PATIENCE = 10.0
DIFFICULTY = 2.0**-26  # a share in 64 hashes


class Reactor(MemoryReactorClock):
    """MemoryReactorClock with a callFromThread whose calls wait for `turn`."""

    def __init__(self) -> None:
        super().__init__()
        self.from_threads: queue.Queue[tuple[Callable[..., object], tuple[object, ...]]] = queue.Queue()

    def callFromThread(self, function: Callable[..., object], *arguments: object) -> None:
        self.from_threads.put((function, arguments))

    def turn(self) -> None:
        """Wait for one call of a thread and make it."""
        function, arguments = self.from_threads.get(timeout=PATIENCE)
        function(*arguments)


class Transport(StringTransport):
    aborting = False

    def abortConnection(self) -> None:
        self.aborting = True


class Server:
    """The other end of the miner's latest connection."""

    def __init__(self, reactor: Reactor) -> None:
        self.host, self.port, factory, *_ = reactor.tcpClients[-1]
        self.protocol = factory.buildProtocol(None)
        self.transport = Transport()
        self.protocol.makeConnection(self.transport)

    def received(self) -> list[dict[str, Any]]:
        messages = [json.loads(line) for line in self.transport.value().splitlines()]
        self.transport.clear()
        return messages

    def send(self, **message: Any) -> None:
        self.protocol.dataReceived(json.dumps(message).encode() + b"\n")

    def lose(self) -> None:
        self.protocol.connectionLost(Failure(ConnectionDone()))

    def handshake(self) -> None:
        self.send(id=1, result=[[["mining.notify", "5e55"]], "01020304", 4], error=None)
        self.send(id=2, result=True, error=None)

    def work(self, job_id: str = "1", difficulty: float = DIFFICULTY) -> None:
        names = ("prevhash", "coinb1", "coinb2", "merkle_branch", "version", "nbits", "ntime")
        self.send(id=None, method="mining.set_difficulty", params=[difficulty])
        self.send(id=None, method="mining.notify", params=[job_id, *(VECTOR[n] for n in names), True])


@pytest.fixture
def reactor() -> Reactor:
    return Reactor()


@pytest.fixture
def logged() -> Iterator[list[LogEvent]]:
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)
    yield events
    globalLogPublisher.removeObserver(events.append)


@pytest.fixture
def miner(reactor: Reactor) -> Iterator[CpuMiner]:
    miner = CpuMiner(
        make_environment(reactor),
        host="127.0.0.1",
        port=3333,
        username="address",
        threads=2,
        retry_policy=lambda attempt: 2.0**attempt,
    )
    miner.startService()
    yield miner
    if miner.running:
        stop(miner, reactor)


def stop(miner: CpuMiner, reactor: Reactor, server: Server | None = None) -> None:
    done: list[object] = []
    miner.stopService().addCallback(done.append)
    if server is not None:
        server.lose()
    while miner._threads_ended and not all(ended.called for ended in miner._threads_ended):
        reactor.turn()
    for thread in miner._threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    if server is not None:
        assert done == [None]


def next_share(reactor: Reactor, server: Server) -> dict[str, Any]:
    while True:
        reactor.turn()
        for message in server.received():
            if message["method"] == "mining.submit":
                return message


def test_finds_shares_that_meet_the_difficulty_and_counts_the_answers(miner: CpuMiner, reactor: Reactor) -> None:
    server = Server(reactor)
    assert (server.host, server.port) == ("127.0.0.1", 3333)
    assert [message["method"] for message in server.received()] == ["mining.subscribe"]
    assert not miner.connected
    server.handshake()
    assert miner.connected
    server.work()
    assert miner.difficulty == DIFFICULTY
    share = next_share(reactor, server)
    _, job_id, extranonce2, ntime, nonce = share["params"]
    assert (job_id, ntime) == ("1", VECTOR["ntime"])
    names = ("prevhash", "coinb1", "coinb2", "merkle_branch", "version", "nbits", "ntime")
    job = parse_notify(["1", *(VECTOR[n] for n in names), True])
    header = job.header(bytes.fromhex("01020304"), bytes.fromhex(extranonce2), int(nonce, 16))
    assert x11(header) <= difficulty_to_target(DIFFICULTY)
    server.send(id=share["id"], result=True, error=None)
    for code in (21, 21, 23, 999):
        share = next_share(reactor, server)
        server.send(id=share["id"], result=None, error=[code, "no", None])
    assert miner.accepted == 1
    assert miner.refused == {21: 2, 23: 1, 0: 1}
    stop(miner, reactor, server)


def test_no_submission_twice(miner: CpuMiner, reactor: Reactor) -> None:
    server = Server(reactor)
    server.handshake()
    seen = set()
    for job_id in ("1", "1", "2", "1"):
        server.work(job_id)
        for _ in range(20):
            share = tuple(next_share(reactor, server)["params"])
            assert share not in seen
            seen.add(share)
    server.lose()
    reactor.advance(2.0)
    resumed = Server(reactor)
    assert resumed.received()[0]["params"][1] == "5e55"
    resumed.handshake()
    resumed.work()
    for _ in range(20):
        share = tuple(next_share(reactor, resumed)["params"])
        assert share not in seen
        seen.add(share)
    stop(miner, reactor, resumed)


def test_rests_while_disconnected(miner: CpuMiner, reactor: Reactor) -> None:
    server = Server(reactor)
    server.handshake()
    server.work()
    next_share(reactor, server)
    server.lose()
    assert miner.difficulty is None
    assert not miner.connected
    assert all(thread._work is None for thread in miner._threads)


def test_failed_handshakes_are_backed_off_like_failed_connections(
    miner: CpuMiner, reactor: Reactor, logged: list[LogEvent]
) -> None:
    for attempt in range(1, 4):
        assert len(reactor.tcpClients) == attempt
        server = Server(reactor)
        server.send(id=1, result=None, error=[20, "full", None])
        assert server.transport.aborting
        server.lose()
        reactor.advance(2.0 ** (attempt + 1) - 0.01)
        assert len(reactor.tcpClients) == attempt
        reactor.advance(0.02)
    server = Server(reactor)
    server.handshake()
    server.lose()
    reactor.advance(2.01)
    assert len(reactor.tcpClients) == 5
    refused = [event for event in logged if "method" in event and event.get("text") == "full"]
    assert len(refused) == 3


def test_a_silent_server_is_left(miner: CpuMiner, reactor: Reactor) -> None:
    server = Server(reactor)
    reactor.advance(module.HANDSHAKE_TIMEOUT + 0.1)
    assert server.transport.aborting


def test_a_server_that_answers_no_submission_is_left(miner: CpuMiner, reactor: Reactor) -> None:
    server = Server(reactor)
    server.handshake()
    server.work()
    next_share(reactor, server)
    reactor.advance(module.ANSWER_TIMEOUT)
    assert not server.transport.aborting
    reactor.advance(1.1)
    assert server.transport.aborting


def test_a_line_that_is_too_long_closes_the_connection(miner: CpuMiner, reactor: Reactor) -> None:
    server = Server(reactor)
    server.protocol.dataReceived(b"x" * 70000)
    assert server.transport.aborting


def test_reconnects_to_another_port_but_never_to_another_host(miner: CpuMiner, reactor: Reactor) -> None:
    server = Server(reactor)
    server.handshake()
    server.send(id=None, method="client.reconnect", params=["evil.example", 4444, 3])
    reactor.advance(2.9)
    assert not server.transport.disconnecting
    reactor.advance(0.2)
    assert server.transport.disconnecting
    server.lose()
    reactor.advance(2.0)
    server = Server(reactor)
    assert (server.host, server.port) == ("127.0.0.1", 3333)
    server.handshake()
    server.send(id=None, method="client.reconnect", params=["127.0.0.1", 4444, 0])
    reactor.advance(0.0)
    server.lose()
    reactor.advance(2.0)
    host, port, factory, *_ = reactor.tcpClients[-1]
    assert (host, port) == ("127.0.0.1", 4444)
    factory.clientConnectionFailed(reactor.connectors[-1], Failure(ConnectionRefusedError()))
    reactor.advance(60.0)
    assert reactor.tcpClients[-1][:2] == ("127.0.0.1", 3333)


def test_one_progress_line_a_period(miner: CpuMiner, reactor: Reactor, logged: list[LogEvent]) -> None:
    server = Server(reactor)
    server.handshake()
    server.work(difficulty=0.25)
    del logged[:]
    for _ in range(120):
        reactor.advance(1.0)
    lines = [event for event in logged if "accepted" in event]
    assert [event["difficulty"] for event in lines] == ["0.25", "0.25"]
    assert [event["log_namespace"] for event in lines] == ["p2pool.simnet.miner"] * 2


def test_starts_again_after_a_stop(miner: CpuMiner, reactor: Reactor) -> None:
    server = Server(reactor)
    server.handshake()
    server.work()
    first = next_share(reactor, server)["params"]
    stop(miner, reactor, server)
    miner.startService()
    again = Server(reactor)
    again.handshake()
    again.work()
    second = next_share(reactor, again)["params"]
    assert int(second[2], 16) > int(first[2], 16)
    stop(miner, reactor, again)


def test_stops_before_it_started_and_while_it_connects(reactor: Reactor) -> None:
    done: list[object] = []
    CpuMiner(make_environment(reactor), host="127.0.0.1", port=1, username="a").stopService().addCallback(
        done.append
    )
    assert done == [None]
    connecting = CpuMiner(make_environment(reactor), host="127.0.0.1", port=1, username="a")
    connecting.startService()
    stop(connecting, reactor)


@pytest.mark.parametrize("options", [{"threads": 0}, {"max_hash_rate": 0}, {"max_hash_rate": -1.0}])
def test_wrong_options_are_refused(reactor: Reactor, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"at least one thread|must be positive"):
        CpuMiner(make_environment(reactor), host="127.0.0.1", port=1, username="a", **options)


def test_the_command_line() -> None:
    options = parse_arguments(["-o", "stratum+tcp://[::1]:7903", "-u", "a", "-t", "2"])
    assert (options.url, options.user, options.threads) == (("::1", 7903), "a", 2)
    assert (options.password, options.max_hash_rate, options.report_every) == ("x", None, 5.0)


@pytest.mark.parametrize("url", ["127.0.0.1:7903", "stratum+ssl://h:1", "stratum+tcp://h", "stratum+tcp://h:x"])
def test_a_wrong_url_is_refused(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(["-o", url, "-u", "a"])
    assert "HOST:PORT" in capsys.readouterr().err
