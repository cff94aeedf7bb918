"""Connections to nodes of the Dash network: kept ready, sent blocks, and given up where they are of no use."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import nullcontext
from errno import ENOSPC, EROFS
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError, TimeoutError
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from p2pool.base.errors import ParseError
from p2pool.dash import messages
from p2pool.dash.messages import GetAddr, GetHeaders, Headers, Ping, SendHeaders, Verack
from p2pool.dashd.broadcaster import (
    ASK_PERIOD,
    ASK_RETRY,
    CLOCKS,
    CONNECT_TIME,
    DIAL_PERIOD,
    DIALS_AT_ONCE,
    MAX_ADDRESSES,
    MAX_MISSED,
    MISSED_PAUSE,
    SAVE_PERIOD,
    BlockBroadcaster,
    BroadcasterSettings,
)
from p2pool.dashd.network_peers import FIRST_PAUSE, MAX_KNOWN, Address, PeerBook
from p2pool.dashd.p2p import HANDSHAKE_TIME, SILENCE_TIME
from p2pool.dashd.rpc import RpcError, RpcTimeout, RpcUnavailable
from p2pool.wire.framer import Framer, frame
from tests.dashd.talk import HANDSHAKE, MAGIC, NOW, addr, block_inv, header_on, packed, unpacked, version
from tests.dashd.wires import Wire, refuse
from tests.environment import make_environment
from tests.failing_disk import failing_disk
from tests.logged import Log, logged

TIP = 0xABCDEF


def place(number: int) -> str:
    return f"{number + 11}.1.1.1"


@pytest.fixture
def log() -> Iterator[Log]:
    """All that is logged; never a traceback."""
    with logged() as log:
        yield log
    assert not log.tracebacks


class Network:
    """A broadcaster, and the network that it knows."""

    def __init__(self, path: Path, max_peers: int = 3, local: bool = False, ours: Any = ()) -> None:
        self.reactor = MemoryReactorClock()
        self.book = PeerBook(local, random.Random(1))
        self.path = path
        self.answer: Any = []
        """What dashd says when it is asked for its peers."""
        self.asked = 0
        self.headers: list[Any] = []
        self.headers_error: ParseError | None = None
        self.tip: int | None = TIP
        self.threads: list[tuple[Any, Deferred[Any]]] | None = None
        """Calls that wait for a thread, where they do."""
        self.disk_error: OSError | None = None
        self.wires: dict[str, Wire] = {}
        self._seen = 0
        self.broadcaster = BlockBroadcaster(
            make_environment(
                self.reactor, clock=lambda: NOW + self.reactor.seconds(), run_in_thread=self.run_in_thread
            ),
            BroadcasterSettings(max_peers, MAGIC, b"/t/", frozenset(ours)),
            book=self.book,
            path=path,
            ask_addresses=self.ask,
            headers_heard=self.headers_heard,
            tip=lambda: self.tip,
        )

    async def ask(self) -> list[str]:
        self.asked += 1
        answer = await self.answer if isinstance(self.answer, Deferred) else self.answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    def headers_heard(self, headers: Any) -> None:
        if self.headers_error is not None:
            raise self.headers_error
        self.headers += headers

    def run_in_thread(self, function: Any) -> Deferred[Any]:
        if self.threads is not None:
            self.threads.append((function, Deferred()))
            return self.threads[-1][1]
        try:
            with failing_disk(self.disk_error) if self.disk_error is not None else nullcontext():
                return succeed(function())
        except Exception:
            return fail(Failure())

    def start(self) -> Network:
        self.broadcaster.startService()
        return self

    def know(self, *hosts: str) -> Network:
        for host in hosts:
            self.book.learn((host, 9999))
        return self

    def wait(self, seconds: float, step: float = 0.5) -> Network:
        for _ in range(round(seconds / step)):
            self.reactor.advance(step)
        return self

    def dialled(self) -> list[tuple[str, int]]:
        """Where it connected to since the last time."""
        clients = self.reactor.tcpClients[self._seen :]
        self._seen = len(self.reactor.tcpClients)
        return [(host, port) for host, port, *_ in clients]

    def accept(self) -> list[Wire]:
        """Whoever was dialled takes the connection."""
        start = self._seen
        wires = [Wire(self.reactor, start + number) for number in range(len(self.dialled()))]
        for wire in wires:
            self.wires[wire.host] = wire
        return wires

    def ready(self, count: int, **said: Any) -> list[Wire]:
        """So many nodes, with the handshake done."""
        self.know(*[place(number) for number in range(count)]).start()
        wires: list[Wire] = []
        while len(wires) < count:
            for wire in self.accept():
                wire.send(packed(version(**said), Verack()))
                wire.take()
                wires.append(wire)
            self.wait(DIAL_PERIOD)
        assert len(self.broadcaster.figures()) == count
        return wires

    def peer(self, wire: Wire) -> Any:
        return self.book.known[wire.host, 9999]

    def stop(self) -> None:
        """Stopped, no connection and no delayed call is left."""
        ended: list[Any] = []
        Deferred.fromCoroutine(self.broadcaster.stopService()).addBoth(ended.append)
        self.reactor.advance(0)
        assert ended == [None]
        assert self.reactor.getDelayedCalls() == []
        assert self.broadcaster.figures() == []
        assert all(wire.lost for wire in self.wires.values())
        attempts = len(self.reactor.tcpClients)
        self.wait(200, 5)
        assert len(self.reactor.tcpClients) == attempts


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "data" / "peers.json"


@pytest.fixture
def network(path, log) -> Iterator[Network]:
    made = Network(path)
    yield made
    made.stop()


# --- dialling --------------------------------------------------------------------------------------------


def test_the_nodes_that_dashd_is_connected_with_are_dialled(network):
    network.answer = [f"{place(1)}:9999", "[2a00::1]:9999", "xyz.onion:9999", "127.0.0.1:9999", "garbage", ""]
    network.start()
    assert sorted(network.dialled()) == [(place(1), 9999), ("2a00::1", 9999)]


@pytest.mark.parametrize("trouble", [RpcError(-28, "Loading"), RpcUnavailable("refused"), RpcTimeout("5 s"), []])
def test_a_dashd_that_names_nobody_is_asked_again_soon(network, log, trouble):
    """It is just starting, as after a power cut."""
    network.answer = trouble
    network.start().wait(60)
    asked = network.asked
    assert 3 < asked < 10
    network.answer = [f"{place(1)}:9999"]
    network.wait(ASK_RETRY + DIAL_PERIOD)
    assert network.dialled() == [(place(1), 9999)]
    network.wait(ASK_PERIOD - ASK_RETRY - DIAL_PERIOD - 1)
    assert network.asked == asked + 1
    assert log.lines == []


def test_a_dashd_that_never_answers_holds_nothing_up(network):
    network.answer = Deferred()
    network.know(place(1)).start()
    assert network.dialled() == [(place(1), 9999)]
    network.wait(2000)
    network.answer.callback([f"{place(2)}:9999"])
    network.wait(DIAL_PERIOD)
    assert (place(2), 9999) in network.dialled()


def test_only_so_many_at_once_and_so_many_in_all(path, log):
    network = Network(path, max_peers=5)
    network.know(*[place(number) for number in range(50)]).start()
    assert len(network.dialled()) == DIALS_AT_ONCE
    network.wait(5 * DIAL_PERIOD)
    assert network.dialled() == []  # none has answered yet
    network._seen = 0
    network.accept()
    network.wait(2 * DIAL_PERIOD)  # handshakes count, too
    assert len(network.accept()) == 2
    network.wait(HANDSHAKE_TIME - 2 * DIAL_PERIOD - 1)
    assert network.dialled() == []
    network.stop()


def test_once_it_has_enough_nobody_is_dialled(network):
    network.ready(3)
    network.know(*[place(number) for number in range(10, 50)]).wait(300)
    assert network.dialled() == []


def test_a_lost_one_is_replaced_by_another(network):
    wires = network.ready(3)
    network.know(place(50))
    wires[1].hang_up()
    network.wait(DIAL_PERIOD)
    assert network.dialled() == [(place(50), 9999)]


def test_our_own_daemons_are_not_dialled(path, log):
    ours = ((place(1), 9999), ("127.0.0.1", 19899))
    network = Network(path, local=True, max_peers=9, ours=ours)
    network.answer = [f"{place(1)}:9999", "127.0.0.1:19899", "127.0.0.1:19999"]
    network.start().wait(20)
    (wire,) = network.accept()
    assert (wire.host, wire.port) == ("127.0.0.1", 19999)
    wire.send(HANDSHAKE + packed(addr((place(1), 9999), ("::ffff:127.0.0.1", 19899), (place(2), 9999))))
    network.wait(500)
    assert set(network.dialled()) == {(place(2), 9999)}
    network.stop()


def test_nobody_is_dialled_twice_at_a_time(network):
    (wire,) = network.ready(1)
    network.answer = [f"{place(0)}:9999", f"[::ffff:{place(0)}]:9999"]
    for _ in range(10):
        network.wait(100, 5)
        wire.send(packed(Ping(1)))
    assert network.dialled() == []
    assert len(network.broadcaster.figures()) == 1


def test_one_that_refuses_is_tried_ever_more_rarely(network):
    network.know(place(1)).start()
    times = []
    for number in range(6):
        times.append(network.reactor.seconds())
        refuse(network.reactor, number)
        while len(network.reactor.tcpClients) == number + 1:
            network.wait(DIAL_PERIOD)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    for number, gap in enumerate(gaps):
        assert FIRST_PAUSE * 2**number <= gap <= FIRST_PAUSE * 2**number + DIAL_PERIOD


def test_one_that_does_not_answer_at_all_is_given_up(network):
    network.know(place(1)).start()
    *_, timeout, _ = network.reactor.tcpClients[0]
    assert timeout == CONNECT_TIME
    refuse(network.reactor, 0)  # what the reactor does then
    assert network.book.known[place(1), 9999].failures == 1


# --- the handshake ---------------------------------------------------------------------------------------


def test_after_the_handshake_it_is_asked_for_headers_and_addresses(network):
    network.know(place(1)).start()
    (wire,) = network.accept()
    assert unpacked(wire.take())[0].sub_version == b"/t/"
    assert network.broadcaster.figures() == []
    wire.send(HANDSHAKE)
    assert unpacked(wire.take()) == [
        Verack(),
        GetAddr(),
        SendHeaders(),
        GetHeaders(messages.PROTOCOL_VERSION, (TIP,), 0),
    ]
    assert network.peer(wire).worked


def test_before_any_template_there_is_nothing_to_ask_headers_for(network):
    network.tip = None
    network.know(place(1)).start()
    (wire,) = network.accept()
    wire.take()
    wire.send(HANDSHAKE)
    assert unpacked(wire.take()) == [Verack(), GetAddr()]


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n" * 100,
        packed(version()),
        packed(Ping(1), block_inv(1)),
        packed(Verack()),
        packed(version(), version()),
        frame(MAGIC, "version", b"\x00" * 20),
        bytes(1_000_000),
    ],
    ids=["nothing", "http", "no verack", "no version", "verack first", "twice", "damaged", "zeros"],
)
def test_who_does_not_get_through_the_handshake_is_given_up(network, log, said):
    network.know(place(1)).start()
    (wire,) = network.accept()
    wire.send(said)
    network.wait(HANDSHAKE_TIME)
    assert wire.lost
    assert network.peer(wire).failures == 1
    assert not network.peer(wire).worked
    assert network.broadcaster.figures() == []
    assert log.lines == []


def test_who_hangs_up_after_each_handshake_is_tried_ever_more_rarely(network):
    network.know(place(1)).start()
    times = []
    while len(times) < 5:
        for wire in network.accept():
            times.append(network.reactor.seconds())
            wire.send(HANDSHAKE)
            wire.hang_up()
        network.wait(DIAL_PERIOD)
    assert times[4] - times[3] >= FIRST_PAUSE * 8


# --- news ------------------------------------------------------------------------------------------------


def test_headers_are_passed_on(network):
    (wire,) = network.ready(1)
    header = header_on(TIP)
    wire.send(packed(Headers((header,))))
    assert network.headers == [header]


def test_a_header_without_work_ends_the_connection(network, log):
    (wire,) = network.ready(1)
    network.headers_error = ParseError("too little work")
    wire.send(packed(Headers((header_on(TIP),))) + packed(block_inv(1)))
    network.wait(1)
    assert wire.lost
    assert network.peer(wire).failures == 1
    assert log.lines == []  # at debug level: it happens all day


def test_a_block_announced_by_hash_is_asked_for_as_header_once_a_second(network):
    (wire,) = network.ready(1)
    network.wait(2)
    for number in range(100):
        wire.send(packed(block_inv(number)))
    asked = [message for message in unpacked(wire.take()) if isinstance(message, GetHeaders)]
    assert asked == [GetHeaders(messages.PROTOCOL_VERSION, (TIP,), 0)]
    network.wait(1)
    wire.send(packed(block_inv(TIP)))  # is known
    assert wire.take() == b""
    wire.send(packed(block_inv(7)))
    assert len(unpacked(wire.take())) == 2


def test_addresses_are_learned_and_only_usable_ones(network):
    (wire,) = network.ready(1)
    places = [
        ("::ffff:127.0.0.1", 9999),
        ("10.0.0.1", 9999),
        ("2a00::1", 9999),
        ("44.1.1.1", 25),
        ("45.1.1.1", 9999),
    ]
    wire.send(packed(addr(*places, ("fd87:d87e:eb43::1", 9999), ("0.0.0.0", 0))))
    assert set(network.book.known) == {(place(0), 9999), ("2a00::1", 9999), ("45.1.1.1", 9999)}


def test_one_node_fills_only_a_small_part_of_the_book(network):
    (wire,) = network.ready(1)
    network.book.known.clear()
    for number in range(20):
        network.wait(60)
        places = [(f"{20 + number}.{n // 250}.{n % 250}.1", 9999) for n in range(messages.MAX_ADDRESSES)]
        wire.send(packed(addr(*places)))
    assert len(network.book.known) <= MAX_ADDRESSES < MAX_KNOWN / 5
    assert not wire.lost


@pytest.mark.parametrize(
    "said",
    [
        packed(addr(*[("44.1.1.1", 9999)] * 1000)),
        packed(Headers((header_on(1),) * 2000)),
        packed(block_inv(*range(1000))),
        packed(*[Ping(1)] * 1000),
        frame(MAGIC, "block", bytes(messages.MAX_PAYLOAD)),
        frame(MAGIC, "nonsense", b"") * 1000,
    ],
    ids=["addr", "headers", "inv", "ping", "block", "nonsense"],
)
def test_floods_end_the_connection(network, log, said):
    (wire,) = network.ready(1)
    for _ in range(2000):
        if wire.disconnecting:
            break
        wire.send(said)
        wire.take()
    assert wire.disconnecting
    network.wait(1)
    assert wire.lost
    assert network.peer(wire).failures == 1
    assert len(network.book.known) == 2 if b"addr" in said[:12] else 1
    assert log.lines == []


def test_a_silent_one_is_given_up(network):
    quiet, other = network.ready(2)
    for _ in range(round(SILENCE_TIME / 100) + 1):
        network.wait(100, 10)
        other.send(packed(Ping(1)))
    assert quiet.lost
    assert not other.lost


# --- whether they are of use -----------------------------------------------------------------------------


def new_block(network: Network, number: int, *tellers: Wire, late: bool = False, pause: float = 150) -> None:
    network.wait(pause, 10)
    for wire in network.wires.values():
        if not wire.lost:
            wire.send(packed(Ping(1)))  # they live
    if not late:
        for wire in tellers:
            wire.send(packed(block_inv(number)))
    network.tip = number
    network.broadcaster.block_known(number)
    if late:
        for wire in tellers:
            wire.send(packed(block_inv(number)))


def test_who_tells_of_blocks_before_or_after_our_daemons_gains(network):
    before, after, never = network.ready(3)
    for number in range(1, MAX_MISSED + 1):
        new_block(network, 2 * number, before)
        new_block(network, 2 * number + 1, after, late=True)
        for wire in (before, after):
            wire.send(packed(block_inv(2 * number + 1)))
    assert network.peer(before).score > network.peer(after).score - 3
    assert network.peer(after).score >= MAX_MISSED
    assert never.lost
    assert not before.lost
    assert not after.lost


def test_who_misses_too_many_blocks_is_given_up(network, log):
    slow, good = network.ready(2)
    for number in range(1, MAX_MISSED + 1):
        new_block(network, number, good)
    assert not slow.lost
    new_block(network, 100, good)
    network.wait(1)
    assert slow.lost
    assert not good.lost
    assert network.peer(slow).failures == 1
    assert log.lines == []


def test_a_block_announced_late_makes_up_for_those_missed(network):
    slow, good = network.ready(2)
    for number in range(1, 50):
        new_block(network, number, good)
        if number % MAX_MISSED == 0:
            slow.send(packed(Headers((header_on(number - 1),))))  # another block
            slow.send(packed(block_inv(number)))
    assert not slow.lost


def test_telling_of_one_block_again_and_again_is_one_good_turn(network):
    (wire,) = network.ready(1)
    new_block(network, 1, wire)
    for _ in range(20):
        wire.send(packed(block_inv(1)))
    assert network.peer(wire).score == 1.0


def test_daemons_that_catch_up_do_not_cost_us_the_nodes_that_were_ahead(network):
    wires = network.ready(3)
    for wire in wires:
        wire.send(packed(block_inv(500)))  # long ago
    for number in range(400, 501):
        new_block(network, number, pause=10)
    assert not any(wire.lost for wire in wires)
    assert MISSED_PAUSE > 10


# --- blocks ----------------------------------------------------------------------------------------------


def blocks_in(wire: Wire) -> list[bytes]:
    return [
        payload for command, payload in Framer(MAGIC, messages.MAX_PAYLOAD).feed(wire.take()) if command == "block"
    ]


def test_a_block_goes_to_all_that_are_ready(path, log):
    network = Network(path, max_peers=20)
    network.know(place(100))
    wires = network.ready(12)
    assert network.broadcaster.send_block(b"a block") == 12
    assert all(blocks_in(wire) == [b"a block"] for wire in wires)
    network.stop()


def test_without_anybody_a_block_goes_nowhere(network):
    assert network.broadcaster.send_block(b"a block") == 0
    network.know(place(1)).start()
    (wire,) = network.accept()
    wire.send(packed(version()))
    assert network.broadcaster.send_block(b"a block") == 0
    wire.send(packed(Verack()))
    wire.take()
    assert network.broadcaster.send_block(b"a block") == 1
    assert blocks_in(wire) == [b"a block"]


def test_nodes_that_hang_cost_the_others_nothing_and_only_so_much_memory(path, log):
    network = Network(path, max_peers=10)
    wires = network.ready(10)
    hanging = wires[::2]
    for wire in hanging:
        wire.producer.pauseProducing()  # as a transport does whose buffer fills
    counts = [network.broadcaster.send_block(bytes([number]) * 2_000_000) for number in range(12)]
    assert counts[0] == 10
    assert counts[-1] == 5
    assert network.broadcaster.send_block(bytes([11]) * 2_000_000) == 0  # nobody is sent it twice
    network.wait(1)
    for wire in wires:
        assert wire.lost is (wire in hanging)
        assert len(blocks_in(wire)) == (12 if wire not in hanging else counts.index(5))
    network.stop()


def test_one_that_hung_up_just_now_is_not_counted(network):
    wires = network.ready(3)
    wires[0].send(frame(MAGIC, "inv", b"\x05"))
    assert network.broadcaster.send_block(b"x") == 2


# --- clocks and figures ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offsets", "median"),
    [
        ([], None),
        ([100.0] * (CLOCKS - 1), None),
        ([-7.0, 3.0, 5.0, 900.0], 4.0),
        ([0.0, 0.0, 0.0, 2.0**64, 2.0**64], 0.0),
        ([100.0, 110.0, 90.0, 100.0, -(2.0**40)], 100.0),
    ],
)
def test_the_median_of_the_clocks(path, log, offsets, median):
    network = Network(path, max_peers=20)
    network.know(*[place(number) for number in range(len(offsets))]).start()
    for offset in offsets:
        network.wait(DIAL_PERIOD)
        for wire in network.accept():
            now = NOW + network.reactor.seconds()
            wire.send(packed(version(time=min(2**64 - 1, max(0, round(now + offset)))), Verack()))
            offsets = offsets[1:]
    assert network.broadcaster.clock_offset() == (median if median is None else pytest.approx(median, abs=300))
    network.stop()


def test_figures(network):
    network.know(place(1)).start().wait(DIAL_PERIOD)
    network._seen = 0
    (wire,) = network.accept()
    wire.send(packed(version(sub_version=b"/evil\n\x1b[2J\xff/" + b"x" * 200, time=NOW + 60), Verack()))
    network.wait(10)
    (figures,) = network.broadcaster.figures()
    assert (figures.host, figures.port, figures.connected_for) == (place(1), 9999, 10)
    assert figures.software.startswith("/evil??[2J")
    assert figures.software.isprintable()
    assert len(figures.software) <= 100
    assert figures.clock_offset == pytest.approx(60 - DIAL_PERIOD, abs=1)


def test_what_is_counted(network):
    network.answer = [f"{place(1)}:9999", f"{place(2)}:9999", f"{place(3)}:9999"]
    network.start().wait(DIAL_PERIOD)
    asked = network.reactor.seconds()
    network._seen = 0
    good, bad, never = network.accept()
    good.send(packed(version(), Verack()))
    bad.send(packed(version(), Verack()))
    never.hang_up()
    totals = network.broadcaster.totals()
    assert (totals.known, totals.sources, totals.max_peers) == (3, {"dashd": 3}, 3)
    counts = totals.counts
    assert (counts.attempts, counts.connected, counts.failed) == (3, 2, 1)
    assert (counts.refreshes, counts.refreshed) == (1, pytest.approx(NOW, abs=asked))
    assert [each.host for each in totals.resting] == [never.host]
    bad.producer.pauseProducing()
    for number in range(9):
        network.broadcaster.send_block(bytes([number]) * 2_000_000)
    counts = network.broadcaster.totals().counts
    assert counts.failed_deliveries == 1
    shown = {peer.host: peer for peer in network.broadcaster.figures()}
    assert (shown[good.host].delivered, shown[good.host].failed, shown[good.host].source) == (9, 0, "dashd")
    assert counts.deliveries >= 9
    heard = network.broadcaster.totals().counts
    heard.attempts = 99
    assert network.broadcaster.totals().counts.attempts == 3  # a copy


def test_a_refused_connection_and_one_without_an_answer_are_distinguished(network):
    network.know(place(1), place(2)).start()
    for number, error in enumerate((ConnectionRefusedError(), TimeoutError())):
        _, _, factory, *_ = network.reactor.tcpClients[number]
        factory.clientConnectionFailed(None, Failure(error))
    counts = network.broadcaster.totals().counts
    assert (counts.failed, counts.refused, counts.timeouts) == (2, 1, 1)


def test_new_blocks_that_a_node_announced_are_counted(network):
    (wire,) = network.ready(1)
    for block in (1, 1, 2):
        wire.send(packed(block_inv(block)))
    (figures,) = network.broadcaster.figures()
    assert figures.relayed == 2


# --- between runs ----------------------------------------------------------------------------------------


def test_addresses_are_remembered(path, log):
    first = Network(path)
    wires = first.ready(3)
    new_block(first, 1, wires[1])
    first.stop()
    second = Network(path).start()
    assert set(second.book.known) == {(place(number), 9999) for number in range(3)}
    assert second.book.known[wires[1].host, 9999].score == 1.0
    assert len(second.dialled()) == 3
    second.stop()


def test_they_are_written_now_and_then(network, path):
    network.know(place(1)).start()
    network.wait(SAVE_PERIOD - 1)
    assert not path.exists()
    network.wait(2)
    assert place(1) in path.read_text()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense",
        b"\xff\xfe",
        b"[" * 100_000,
        b"[" * 1000 + b"]" * 1000,
        b'{"peers": 5}',
        b'{"peers": NaN}',
        b'{"peers": [1e999]}',
        b'{"peers": []' + b" " * 2_000_000 + b"}",
    ],
    ids=["empty", "text", "bytes", "deep", "lists", "number", "nan", "infinite", "large"],
)
def test_a_corrupt_file_costs_a_line(path, log, data):
    path.parent.mkdir()
    path.write_bytes(data)
    network = Network(path).know(place(1)).start()
    assert len(log.lines) == 1
    assert str(path) in log.lines[0]
    assert network.dialled() == [(place(1), 9999)]
    network.stop()
    assert place(1) in path.read_text()


def test_entries_that_lead_nowhere_are_not_dialled(path, log):
    path.parent.mkdir()
    good = {"host": place(1), "port": 9999, "score": 1, "worked": True}
    deep = "[" * 900 + "]" * 900
    bad = [
        ("host", '"127.0.0.1"'),
        ("host", '"localhost"'),
        ("host", deep),
        ("port", deep),
        ("port", "22"),
        ("score", "1e300"),
        ("score", deep),
    ]
    rows = [orjson.dumps(good).decode(), "null", "7", deep]
    rows += [orjson.dumps(good | {name: "?"}).decode().replace('"?"', value) for name, value in bad]
    path.write_text(f'{{"peers": [{", ".join(rows)}]}}')
    network = Network(path).start()
    assert network.dialled() == [(place(1), 9999)]
    assert log.lines == []
    network.stop()


@pytest.mark.parametrize(
    "error", [OSError(ENOSPC, "No space left on device"), OSError(EROFS, "Read-only"), OSError()]
)
def test_a_disk_that_fails_costs_a_line_and_nothing_else(network, log, error):
    network.disk_error = error
    network.know(place(1)).start()
    assert len(log.lines) == 1
    network.wait(SAVE_PERIOD + 1)
    assert len(log.lines) == 2
    assert network.dialled() == [(place(1), 9999)]


def test_a_directory_where_the_file_should_be(path, log):
    path.mkdir(parents=True)
    network = Network(path).know(place(1)).start()
    network.stop()
    assert len(log.lines) == 1
    assert path.with_name(path.name + ".damaged").is_dir()
    assert place(1) in path.read_text()


def test_a_slow_disk_is_written_by_one_thread_at_a_time(path, log):
    network = Network(path).know(place(1)).start()
    network.threads = []
    network.wait(SAVE_PERIOD + 1)
    network.know(place(2))
    ended: list[Any] = []
    Deferred.fromCoroutine(network.broadcaster.stopService()).addBoth(ended.append)
    network.reactor.advance(0)
    assert len(network.threads) == 1
    assert ended == []
    for number in range(2):
        function, done = network.threads[number]
        done.callback(function())
    assert ended == [None]
    assert place(2) in path.read_text()


# --- the end ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how_far", ["loading", "dialling", "connected", "handshake", "ready", "sending", "full"])
def test_stopping_leaves_nothing(path, log, how_far):
    network = Network(path)
    if how_far == "loading":
        network.threads = []
        network.know(place(1)).start()
        assert len(network.threads) == 1
    elif how_far == "full":
        network.ready(3)
    else:
        network.know(*[place(number) for number in range(5)]).start()
    if how_far not in ("loading", "dialling", "full"):
        wires = network.accept()
        assert len(wires) == 3
        if how_far != "connected":
            wires[0].send(packed(version()))
        if how_far in ("ready", "sending"):
            wires[0].send(packed(Verack()))
            wires[1].send(HANDSHAKE)
        if how_far == "sending":
            assert network.broadcaster.send_block(bytes(1000)) == 2
    network.stop()
    if how_far == "dialling":
        assert [connector.stoppedConnecting for connector in network.reactor.connectors] == [True] * 3
    if how_far == "loading":
        _, done = network.threads[0]
        done.callback([])
        network.reactor.advance(100)
        assert network.reactor.tcpClients == []
        assert network.reactor.getDelayedCalls() == []
    assert all(peer.failures == 0 for peer in network.book.known.values())  # our own end is nobody's fault


def test_a_connection_that_comes_about_while_we_end_is_ended(path, log):
    network = Network(path).know(place(1)).start()
    network.broadcaster.running = 0  # what stopService does first
    (wire,) = network.accept()
    network.reactor.advance(0)
    assert wire.lost
    network.broadcaster.running = 1
    network.stop()


# --- everything at once ----------------------------------------------------------------------------------

SAID = st.sampled_from(
    [
        HANDSHAKE,
        packed(version()),
        packed(Verack()),
        packed(Ping(1)),
        packed(block_inv(TIP), block_inv(3)),
        packed(Headers((header_on(TIP),))),
        packed(addr(("44.1.1.1", 9999), ("127.0.0.1", 1))),
        frame(MAGIC, "inv", b"\xff"),
        b"nonsense",
    ]
)
STEP = st.one_of(
    st.tuples(st.just("say"), st.integers(0, 5), SAID),
    st.tuples(st.just("hang up"), st.integers(0, 5), st.none()),
    st.tuples(st.just("wait"), st.floats(0.1, 700), st.none()),
    st.tuples(st.just("block"), st.integers(1, 5), st.none()),
    st.tuples(st.just("send"), st.none(), st.none()),
    st.tuples(st.just("accept"), st.none(), st.none()),
    st.tuples(st.just("refuse"), st.none(), st.none()),
    st.tuples(st.just("learn"), st.integers(0, 50), st.none()),
)


@given(st.lists(STEP, max_size=40))
def test_whatever_nodes_do(tmp_path_factory, steps):
    with logged() as log:
        network = Network(tmp_path_factory.mktemp("any") / "peers.json", max_peers=4)
        network.know(*[place(number) for number in range(6)]).start()
        wires: list[Wire] = []
        for what, which, said in steps:
            if what in ("say", "hang up") and wires:
                wire = wires[which % len(wires)]
                if what == "hang up":
                    wire.hang_up()
                elif not wire.lost:
                    wire.send(said)
            elif what == "wait":
                network.reactor.pump([which / 10] * 10)
            elif what == "block":
                network.broadcaster.block_known(which)
            elif what == "send":
                network.broadcaster.send_block(b"x" * 1000)
            elif what == "accept":
                wires += network.accept()
            elif what == "refuse":
                start = network._seen
                for number in range(len(network.dialled())):
                    refuse(network.reactor, start + number)
            elif what == "learn":
                network.know(place(which))
            assert len(network.broadcaster._peers) + len(network.broadcaster._handshakes) <= 4
            assert len(network.broadcaster._dialling) <= DIALS_AT_ONCE
            held = [address_of(wire) for wire in wires if not wire.disconnecting and not wire.lost]
            assert len(held) == len(set(held)) <= 4
        network.stop()
    assert not log.tracebacks
    assert log.lines == []


def address_of(wire: Wire) -> Address:
    return wire.host, wire.port
