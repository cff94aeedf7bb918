"""/ws in memory: handshakes and refusals, browsers on the worker port, rude clients, a transport that is full."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from p2pool.net.worker_port import WebConnections, WorkerPort
from p2pool.web.access import Access, AccessSettings
from p2pool.web.api.table import ALIASES
from p2pool.web.live import PAGE_VIEWS, LiveService
from p2pool.web.live_hub import LiveLimits
from p2pool.web.site import WebSite
from p2pool.web.views import VIEWS
from tests.e2e.websocket_client import CLOSE, PING, PONG, handshake, masked
from tests.environment import make_environment
from tests.logged import logged
from tests.stratum.wire import Transport
from tests.support import make_template
from tests.web.pages import Pool, take_apart
from tests.web.test_live_patch import patched

HOST = "node.example:7903"


class LivePool(Pool):
    """A site with /ws, on a worker port."""

    def __init__(self, origins: frozenset[str] = frozenset(), **limits) -> None:
        super().__init__(5, make_template())
        self.live = LiveService(make_environment(self.clock), origins=origins, limits=LiveLimits(**limits))
        access = Access(AccessSettings(host_names=frozenset({"node.example"})))
        self.site = WebSite(
            make_environment(self.clock), self.views, Path("/nowhere"), live=self.live.resource, access=access
        )
        self.browsers = WebConnections()
        self.port = WorkerPort(
            make_environment(self.clock), stratum=Factory(), web=self.site, browsers=self.browsers
        )

    def refresh(self) -> None:
        """A second passes, and views are rendered."""
        self.clock.advance(1)
        self.now += 1
        super().refresh()
        for _ in self.live.refreshing(self.views, self.clock.seconds()):
            pass
        self.run()

    def run(self) -> None:
        """The reactor's next turns."""
        for _ in range(3):
            self.clock.advance(0)

    def open(self, path: str = "/ws", *headers: str, address=None) -> Client:
        return Client(self, handshake(HOST, path, *headers), address)


class Client:
    """A connection to the worker port that begins with `data`."""

    def __init__(self, pool: LivePool, data: bytes, address=None, transport=None) -> None:
        self.pool = pool
        address = address or IPv4Address("TCP", "10.0.0.1", 1)
        self.protocol = pool.port.buildProtocol(address)
        self.transport = transport or Transport()
        self.transport.peerAddr = address
        self.protocol.makeConnection(self.transport)
        self.values: dict = {}
        self.feed(data)

    def feed(self, data: bytes) -> None:
        # As Twisted does: nothing is read of a connection that is being closed.
        if not self.transport.disconnecting and not self.transport.aborted:
            self.protocol.dataReceived(data)
        self.pool.run()

    def lose(self) -> None:
        self.protocol.connectionLost(Failure(ConnectionDone()))

    @property
    def answer(self):
        """The HTTP answer of a refusal."""
        return take_apart(self.transport.value())

    def head(self) -> bytes:
        """The handshake's answer."""
        head, _, rest = self.transport.value().partition(b"\r\n\r\n")
        self.transport.clear()
        self.transport.write(rest)
        return head

    def frames(self) -> list[tuple[int, bytes]]:
        """(opcode, payload) of what came since the last call; frames here are whole messages."""
        data, frames = self.transport.value(), []
        self.transport.clear()
        while data:
            first, length, rest = data[0], data[1], data[2:]
            if length == 126:
                (length,), rest = struct.unpack(">H", rest[:2]), rest[2:]
            frames.append((first & 15, rest[:length]))
            data = rest[length:]
        return frames

    def messages(self) -> list[dict]:
        messages = [json.loads(payload) for opcode, payload in self.frames() if opcode == 1]
        for message in messages:
            if message["type"] == "snapshot":
                self.values = message["views"]
            elif message["type"] == "changes":
                for view, patch in message["views"].items():
                    self.values[view] = patched(self.values[view], patch)
        return messages


@pytest.fixture
def pool():
    pool = LivePool()
    pool.refresh()
    return pool


def opened(pool, *arguments, **more) -> Client:
    client = pool.open(*arguments, **more)
    assert client.head().startswith(b"HTTP/1.1 101 ")
    return client


# --- what a browser has ------------------------------------------------------------------------------------------


def test_a_handshake_a_snapshot_and_changes(pool):
    client = pool.open()
    head = client.head()
    assert head.startswith(b"HTTP/1.1 101 ")
    assert b"server:" not in head.lower()
    assert b"extensions" not in head.lower()  # nothing is compressed
    (snapshot,) = client.messages()
    assert snapshot["type"] == "snapshot"
    assert set(snapshot["views"]) == PAGE_VIEWS
    for view, value in snapshot["views"].items():
        assert value == json.loads(pool.views.rendered[view])
    pool.stats.record_connected(pool.now)
    pool.stats.record_worker_on("yAddress.one", difficulty=2.5, now=pool.now)
    pool.stats.record_accepted("yAddress.one", attempts=1e6, difficulty=2.5, dead=False, now=pool.now)
    pool.refresh()
    (changes,) = client.messages()
    assert changes["type"] == "changes"
    assert changes["views"]["local_stats"]["set"]["connections"] == 1
    assert client.values == {view: json.loads(pool.views.rendered[view]) for view in PAGE_VIEWS}


def test_what_pages_show_is_all_there():
    assert {*VIEWS, *ALIASES} >= PAGE_VIEWS


def test_an_event_comes_at_once(pool):
    client = opened(pool)
    client.messages()
    pool.live.event({"event": "block", "number": 7})
    pool.run()
    assert client.messages() == [{"type": "event", "time": pool.clock.seconds(), "event": "block", "number": 7}]


def test_views_that_are_asked_for(pool):
    client = opened(pool, "/ws?views=uptime,rate")
    (snapshot,) = client.messages()
    assert set(snapshot["views"]) == {"uptime", "rate"}
    client.feed(masked(1, b'{"type":"subscribe","views":["fee"]}'))
    (snapshot,) = client.messages()
    assert snapshot["views"] == {"fee": 0.5}


def test_views_that_not_everybody_may_watch():
    pool = LivePool()
    pool.live.allowed_views = lambda request, known: (
        known - ({"fee"} if request.getHeader("x-key") is None else set())
    )
    pool.refresh()
    assert pool.open("/ws?views=fee").answer.json["error"]["code"] == "unknown_view"
    assert opened(pool, "/ws?views=fee", "X-Key: k").messages()[0]["views"] == {"fee": 0.5}
    client = opened(pool, "/ws?views=rate")
    client.messages()
    client.feed(masked(1, b'{"type":"subscribe","views":["fee"]}'))
    assert [opcode for opcode, _ in client.frames()] == [CLOSE]


def test_what_a_client_sends_right_behind_its_request_is_read(pool):
    client = Client(pool, handshake(HOST, "/ws") + masked(1, b'{"type":"ping"}'))
    client.head()
    assert {message["type"] for message in client.messages()} == {"snapshot", "pong"}


def test_a_request_and_its_messages_byte_by_byte(pool):
    client = Client(pool, b"")
    for octet in handshake(HOST, "/ws?views=fee") + masked(1, b'{"type":"ping"}'):
        client.feed(bytes([octet]))
    client.head()
    assert [message["type"] for message in client.messages()] == ["snapshot", "pong"]


def test_after_other_requests_on_the_same_connection(pool):
    client = Client(pool, f"GET /fee HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    assert client.answer.status == 200
    client.transport.clear()
    client.feed(handshake(HOST, "/ws"))
    assert client.head().startswith(b"HTTP/1.1 101 ")
    assert client.messages()[0]["type"] == "snapshot"
    pool.clock.advance(20)  # the time limit of requests is over
    pool.refresh()
    assert not client.transport.disconnecting


# --- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("/ws", ("Origin: http://evil.example",), 403, "origin_not_allowed"),
        ("/ws", ("Origin: null",), 403, "origin_not_allowed"),
        ("/ws", (f"Origin: http://{HOST}", "Origin: http://evil.example"), 403, "origin_not_allowed"),
        ("/ws", ("Origin: http://\xff",), 403, "origin_not_allowed"),
        ("/ws?views=nothing", (), 400, "unknown_view"),
        ("/ws?views=", (), 400, "unknown_view"),
        ("/ws?views=fee&views=%ff", (), 400, "unknown_view"),
        ("/ws?views=" + "fee," * 100 + "fee", (), 400, "unknown_view"),
    ],
)
def test_refusals(pool, path, headers, status, code):
    with logged() as log:
        client = Client(pool, handshake(HOST, path, *headers).decode().encode("latin-1"))
    assert client.answer.status == status
    assert client.answer.json["error"]["code"] == code
    assert not pool.live.hub.clients
    assert not log.lines
    assert not log.tracebacks


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Upgrade: websocket\r\n", ""),
        ("Upgrade: websocket", "Upgrade: h2c"),
        ("Connection: keep-alive, Upgrade\r\n", ""),
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8"),
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: x"),
        ("Sec-WebSocket-Key: ", "Sec-WebSocket-Key: A"),
        ("Sec-WebSocket-Key: ", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Key: "),
        ("Sec-WebSocket-Key", "X-Key"),
        ("HTTP/1.1\r\n", "HTTP/1.0\r\n"),
        ("GET", "HEAD"),
    ],
)
def test_what_is_no_handshake(pool, old, new):
    request = handshake(HOST, "/ws").decode()
    assert old in request
    client = Client(pool, request.replace(old, new, 1).encode())
    answer = client.answer
    assert answer.status == 426
    assert answer.headers["upgrade"] == "websocket"
    if new != "HEAD":
        assert answer.json["error"]["code"] == "upgrade_required"
    assert not pool.live.hub.clients


def test_another_method(pool):
    protocol, transport = pool.connect()
    protocol.dataReceived(f"POST /ws HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    assert take_apart(transport.value()).status == 405


@pytest.mark.parametrize("headers", [(), ("Origin: http://evil.example:7903",)])
def test_a_page_whose_host_name_leads_here_by_dns_rebinding_may_not_listen(pool, headers):
    with logged() as log:
        client = Client(pool, handshake("evil.example:7903", "/ws", *headers))
    assert client.answer.status == 403
    assert client.answer.json["error"]["code"] == "unknown_host"
    [line] = log.lines
    assert "10.0.0.1 for the host name evil.example:7903" in line
    assert "--web-host" in line


@pytest.mark.parametrize("host", ["10.1.2.3:7903", "[::1]:7903", "localhost:7903", "NODE.example"])
def test_pages_at_an_address_and_at_known_names_may_listen(pool, host):
    client = Client(pool, handshake(host, "/ws", f"Origin: http://{host.lower()}"))
    assert client.head().startswith(b"HTTP/1.1 101 ")


def test_pages_of_this_node_and_of_friends_may_listen():
    pool = LivePool(frozenset({"https://friend.example"}))
    pool.refresh()
    for origin in (f"http://{HOST}", "https://friend.example"):
        opened(pool, "/ws", f"Origin: {origin}")
    assert pool.open("/ws", "Origin: https://other.example").answer.status == 403


def test_before_the_first_figures():
    client = LivePool().open()
    assert client.answer.status == 503
    assert client.answer.json["error"]["code"] == "starting"


def test_bounds_of_clients():
    pool = LivePool(clients=4, per_host=2)
    pool.refresh()
    first = opened(pool)
    opened(pool)
    refused = pool.open()
    assert (refused.answer.status, refused.answer.json["error"]["code"]) == (503, "too_many_clients")
    mapped = IPv6Address("TCP", "::ffff:10.0.0.1", 1)
    assert pool.open(address=mapped).answer.status == 503
    near = [IPv6Address("TCP", f"2001:db8::{n}", 1) for n in range(3)]
    for address in near[:2]:
        opened(pool, address=address)
    first.lose()
    assert pool.open(address=near[2]).answer.status == 503  # of the same /64
    opened(pool)


# --- the end of a connection -------------------------------------------------------------------------------------


def test_the_worker_port_hears_of_the_end(pool):
    client = opened(pool)
    assert pool.browsers.count == 1
    client.lose()
    assert pool.browsers.count == 0
    assert not pool.live.hub.clients
    with logged() as log:
        pool.refresh()
        pool.live.event({"event": "block"})
        pool.run()
    assert not log.tracebacks


def test_a_client_that_closes_is_answered(pool):
    client = opened(pool)
    client.messages()
    client.feed(masked(CLOSE, struct.pack(">H", 1001)))
    ((opcode, _),) = client.frames()
    assert opcode == CLOSE
    assert client.transport.disconnecting
    pool.refresh()
    assert client.frames() == []


def test_the_node_says_when_it_stops(pool):
    client = opened(pool)
    client.messages()
    pool.live.stop()
    ((opcode, payload),) = client.frames()
    assert (opcode, payload[:2]) == (CLOSE, struct.pack(">H", 1001))
    assert client.transport.disconnecting


@pytest.mark.parametrize(
    "payload", [b"nonsense", b"{}", b'{"type":"subscribe","views":["nothing"]}', b"[" * 3000, b"\x00" * 100]
)
def test_what_is_no_message_costs_the_connection_and_one_line(pool, payload):
    client = opened(pool)
    client.messages()
    with logged() as log:
        client.feed(masked(1, payload))
        client.feed(masked(1, payload))
    ((opcode, reason),) = client.frames()
    assert (opcode, reason[:2]) == (CLOSE, struct.pack(">H", 1008))
    assert client.transport.disconnecting
    assert len(log.lines) == 1
    assert not log.tracebacks


@pytest.mark.parametrize(
    "data",
    [
        masked(2, b'{"type":"ping"}'),
        masked(1, b"\xff\xfe"),
        masked(1, b"x" * 5000),
        masked(3, b"reserved"),
        masked(0, b"no message to continue"),
        b"\x81\x04ping",
        b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xffmask",
        masked(1, b'{"type":', False) + masked(1, b"x"),
        masked(PING, b"x" * 126),
        masked(CLOSE, b"\x00"),
    ],
    ids=range(10),
)
def test_bytes_that_are_no_frames_of_a_client_end_it(pool, data):
    client = opened(pool)
    with logged() as log:
        client.feed(data)
    assert client.transport.aborted or client.transport.disconnecting
    assert not log.tracebacks
    assert len(log.lines) <= 1
    client.lose()
    assert not pool.live.hub.clients


def test_a_flood_of_small_frames_ends_it(pool):
    client = opened(pool)
    for _ in range(3000):
        client.feed(masked(0 if _ else 1, b"", False))
    assert client.transport.aborted


def test_many_messages_end_it(pool):
    client = opened(pool)
    client.messages()
    for _ in range(12):
        client.feed(masked(1, b'{"type":"ping"}'))
    opcodes = [opcode for opcode, _ in client.frames()]
    assert opcodes == [1] * 10 + [CLOSE]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=40) | st.binary(max_size=40).map(lambda data: masked(1, data)), max_size=5))
@example([b"\x81\x80", bytes(6)])  # an empty message, which ends the connection, and a violation at once
def test_no_bytes_make_a_traceback(pieces):
    pool = LivePool()
    pool.refresh()
    client = opened(pool)
    with logged() as log:
        for piece in pieces:
            client.feed(piece)
        pool.refresh()
        client.lose()
    assert not log.tracebacks
    assert not pool.live.hub.clients


# --- silence and slowness ----------------------------------------------------------------------------------------


def test_pings(pool):
    answering, silent = opened(pool), opened(pool)
    for _ in range(45):
        pool.refresh()
        for opcode, payload in answering.frames():
            if opcode == PING:
                answering.feed(masked(PONG, payload))
    assert PING in [opcode for opcode, _ in silent.frames()]
    for _ in range(20):
        pool.refresh()
    assert silent.transport.aborted
    assert not answering.transport.aborted


def test_a_client_s_ping_is_answered(pool):
    client = opened(pool)
    client.messages()
    client.feed(masked(PING, b"hello"))
    assert client.frames() == [(PONG, b"hello")]


def test_a_transport_that_is_full_is_given_nothing_and_ended_when_it_stays_full(pool):
    client, other = opened(pool), opened(pool)
    client.messages()
    assert client.transport.producer is not None
    client.transport.producer.pauseProducing()
    for _ in range(15):
        pool.refresh()
    assert client.frames() == []
    assert len(other.messages()) == 16
    client.transport.producer.resumeProducing()
    pool.run()
    client.messages()
    assert client.values == {view: json.loads(pool.views.rendered[view]) for view in PAGE_VIEWS}
    client.transport.producer.pauseProducing()
    for _ in range(22):
        pool.refresh()
    assert client.transport.aborted
    assert not other.transport.aborted


def test_a_large_snapshot_waits_for_its_transport(pool):
    for number in range(5000):
        pool.stats.record_worker_on(f"yAddress.worker{number}", difficulty=2.5, now=pool.now)
    pool.refresh()
    full = WriteOnce()
    client = Client(pool, handshake(HOST, "/ws?views=local_stats"), transport=full)
    client.head()
    pieces = [full.value()]
    for _ in range(100):
        full.clear()
        full.producer.resumeProducing()
        pool.run()
        if not full.value():
            break
        assert len(full.value()) < 40_000
        pieces.append(full.value())
    assert len(pieces) > 2
    full.clear()
    full.io.write(b"".join(pieces))
    frames = client.frames()
    assert [opcode for opcode, _ in frames] == [1] + [0] * (len(frames) - 1)
    message = json.loads(b"".join(payload for _, payload in frames))
    assert message["views"]["local_stats"] == json.loads(pool.views.rendered["local_stats"])


class WriteOnce(Transport):
    """Full after each write."""

    def write(self, data: bytes) -> None:
        super().write(data)
        if self.producer is not None and len(data) > 1000:
            self.producer.pauseProducing()
