"""The service on a reactor in memory, its cookie, and the command line."""

from __future__ import annotations

import random
import stat
from pathlib import Path
from typing import Any

import orjson
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import connectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport

from p2pool.base.errors import OperatorError
from p2pool.dash.messages import NetworkAddress
from p2pool.networks import DASH_REGTEST, SIMNET
from p2pool.simnet import service as service_module
from p2pool.simnet.__main__ import make_parameters, parse_arguments
from p2pool.simnet.parameters import SimnetParameters
from p2pool.simnet.service import SimulatedDash
from tests.environment import make_environment


def _reactor() -> Any:
    reactor = MemoryReactorClock()
    reactor.advance(1_795_340_000)
    return reactor


class Zeros(random.Random):
    """Random numbers that are all 0."""

    def getrandbits(self, k: int, /) -> int:
        return 0


def _service(reactor: Any, **changes: Any) -> SimulatedDash:
    changes.setdefault("initial_attempts", 16)
    return SimulatedDash(make_environment(reactor, chance=Zeros()), SimnetParameters(**changes))


def _stopped(service: SimulatedDash) -> bool:
    results: list[Any] = []
    service.stopService().addBoth(results.append)
    return results == [None]


def test_life(tmp_path: Path) -> None:
    reactor = _reactor()
    service = _service(reactor, data_directory=tmp_path, rpc_port=19888, p2p_port=19889)
    assert not (tmp_path / ".cookie").exists()
    service.startService()
    assert service.running
    assert [(port, interface) for port, _, _, interface in reactor.tcpServers] == [
        (19888, "127.0.0.1"),
        (19889, "127.0.0.1"),
    ]
    cookie = tmp_path / ".cookie"
    assert cookie.read_text() == "__cookie__:" + "00" * 32
    assert stat.S_IMODE(cookie.stat().st_mode) == 0o600
    reactor.advance(3)
    reactor.advance(3)
    assert len(service.chain.mempool) == 2
    assert _stopped(service)
    assert not cookie.exists()
    assert reactor.getDelayedCalls() == []
    again = _service(reactor, data_directory=tmp_path)  # the lock is gone
    assert _stopped(again)


def test_given_credentials_write_no_cookie(tmp_path: Path) -> None:
    service = _service(_reactor(), data_directory=tmp_path, rpc_user="u", rpc_password="p")
    service.startService()
    assert (service.rpc_user, service.rpc_password, service.cookie_path) == ("u", "p", None)
    assert not (tmp_path / ".cookie").exists()
    assert _stopped(service)


def test_half_of_the_credentials() -> None:
    with pytest.raises(OperatorError, match="neither"):
        _service(_reactor(), rpc_user="u")


def test_no_transactions() -> None:
    reactor = _reactor()
    service = _service(reactor, transaction_period=0.0)
    service.startService()
    reactor.advance(100)
    assert len(service.chain.mempool) == 0
    assert _stopped(service)


@pytest.mark.parametrize("refused", [0, 1])
def test_a_port_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: int) -> None:
    reactor = _reactor()
    listen = reactor.listenTCP
    stopped: list[Any] = []

    def listen_or_fail(port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        if len(reactor.tcpServers) == refused:
            raise CannotListenError(interface, port, OSError(98, "Address already in use"))
        made = listen(port, factory, backlog, interface)
        monkeypatch.setattr(made, "stopListening", lambda: stopped.append(port), raising=False)
        return made

    monkeypatch.setattr(reactor, "listenTCP", listen_or_fail)
    service = _service(reactor, data_directory=tmp_path)
    with pytest.raises(CannotListenError):
        service.startService()
    assert len(stopped) == refused
    assert not service.running
    assert not (tmp_path / ".cookie").exists()
    assert reactor.getDelayedCalls() == []
    assert _stopped(_service(_reactor(), data_directory=tmp_path))


def test_stop_waits_for_connections_but_not_for_long(tmp_path: Path) -> None:
    for patient in (True, False):
        reactor = _reactor()
        service = _service(reactor, transaction_period=0.0)
        service.startService()
        running: Any = service._running
        transport = StringTransport()
        peer = running.p2p.buildProtocol(None)
        transport.abortConnection = lambda peer=peer: peer.connectionLost(connectionDone)  # type: ignore[method-assign]
        peer.makeConnection(transport)
        stopped: list[Any] = []
        service.stopService().addBoth(stopped.append)
        assert transport.disconnecting
        assert stopped == []
        if patient:
            peer.connectionLost(connectionDone)
        else:
            reactor.advance(0.5)
        assert stopped == [None]
        assert reactor.getDelayedCalls() == []


def test_block_connected_is_heard() -> None:
    service = _service(_reactor())
    heard: list[tuple[int, str]] = []
    service.chain.block_connected.subscribe(lambda block: heard.append((block.height, block.hash_hex)))
    Deferred.fromCoroutine(service.finder.find(2))
    assert heard[-1] == (2, service.chain.tip_hash)
    assert service.chain.height == 2


class FakeSocket:
    """A PUB socket without a network."""

    address, port = "tcp://127.0.0.1:28332", 28332

    def __init__(self, host: str, port: int) -> None:
        self.asked = (host, port)
        self.sent: list[Any] = []
        self.closed = False
        FakeSocket.last = self

    def send(self, frames: Any) -> None:
        assert not self.closed
        self.sent.append(frames)

    def close(self) -> None:
        self.closed = True

    last: FakeSocket


def _call(service: SimulatedDash, method: str, *params: object) -> Any:
    running: Any = service._running
    replies: list[Any] = []
    body = orjson.dumps({"method": method, "params": params})
    Deferred.fromCoroutine(running.dispatcher.handle(body)).addBoth(replies.append)
    return orjson.loads(replies[0].body)["result"]


def test_zmq(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "PublisherSocket", FakeSocket)
    service = _service(_reactor(), zmq_port=0)
    assert service.zmq_port == 0
    service.startService()
    socket = FakeSocket.last
    assert socket.asked == ("127.0.0.1", 0)
    assert service.zmq_port == 28332
    assert _call(service, "getzmqnotifications")[0]["address"] == socket.address
    Deferred.fromCoroutine(service.finder.find(2))
    assert [frames[1].hex() for frames in socket.sent][-1] == service.chain.tip_hash
    assert not socket.closed
    assert _stopped(service)
    assert socket.closed
    assert len(socket.sent) == 2


def test_zmq_that_cannot_listen_and_ports_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(host: str, port: int) -> None:
        raise OperatorError(f"cannot publish on {host}:{port}")

    monkeypatch.setattr(service_module, "PublisherSocket", refuse)
    reactor = _reactor()
    with pytest.raises(OperatorError, match="on 127"):
        _service(reactor, zmq_port=77, data_directory=tmp_path).startService()
    assert reactor.tcpServers == []
    monkeypatch.setattr(service_module, "PublisherSocket", FakeSocket)

    def in_use(port: int, *_: Any, interface: str = "") -> None:
        raise CannotListenError(interface, port, OSError(98, "Address already in use"))

    monkeypatch.setattr(reactor, "listenTCP", in_use)
    with pytest.raises(CannotListenError):
        _service(reactor, zmq_port=0, data_directory=tmp_path).startService()
    assert FakeSocket.last.closed


def test_other_daemons_are_called_at_the_start() -> None:
    reactor = _reactor()
    service = _service(reactor, connect=(("127.0.0.1", 19899), ("127.0.0.2", 19899)), p2p_port=19900)
    assert reactor.tcpClients == []
    service.startService()
    assert [client[:2] for client in reactor.tcpClients] == [("127.0.0.1", 19899), ("127.0.0.2", 19899)]
    running: Any = service._running
    assert running.p2p.own_address == NetworkAddress(0x1C05, "127.0.0.1", 19900)
    assert _stopped(service)
    assert reactor.getDelayedCalls() == []


def test_stop_is_passed_on() -> None:
    service = _service(_reactor())
    service.startService()
    heard: list[None] = []
    service.stop_requested.subscribe(heard.append)
    running: Any = service._running
    Deferred.fromCoroutine(running.dispatcher.handle(b'{"method": "stop"}'))
    assert heard == [None]
    assert _stopped(service)


def test_arguments() -> None:
    defaults = make_parameters(parse_arguments([]))
    assert defaults.parent is SIMNET.parent
    assert (defaults.rpc_port, defaults.p2p_port, defaults.block_period) == (19888, 19889, 60.0)
    assert (defaults.initial_attempts, defaults.transaction_period) == (2**20, 3.0)
    chosen = make_parameters(
        parse_arguments(
            [
                *("--network", "dash_regtest", "--datadir", "/x", "--rpc-port", "0", "--p2p-port", "5"),
                *("--rpc-user", "u", "--rpc-password", "p", "--block-period", "2.5"),
                *("--initial-attempts", "100", "--no-transactions", "--zmq-port", "7"),
                *("--connect", "127.0.0.1:9", "--connect", "host:10", "--reported-version", "190000"),
            ]
        )
    )
    assert chosen == SimnetParameters(
        *(DASH_REGTEST.parent, Path("/x"), "127.0.0.1", 0, 5, "u", "p", 2.5, 100),
        transaction_period=0.0,
        zmq_port=7,
        connect=(("127.0.0.1", 9), ("host", 10)),
        reported_version=190000,
    )
    assert (defaults.zmq_port, defaults.connect, defaults.reported_version) == (None, (), 230102)
    assert make_parameters(parse_arguments(["--network", "dash_regtest"])).rpc_port == 19898


@pytest.mark.parametrize(
    "arguments",
    [
        *("--rpc-port 70000", "--block-period 0", "--block-period nan", "--network dash", "--what"),
        *("--zmq-port x", "--connect here", "--connect a:0", "--reported-version -1"),
        " ".join(f"--connect a:{port}" for port in range(1, 10)),
    ],
)
def test_wrong_arguments(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(arguments.split())
    assert "usage" in capsys.readouterr().err
