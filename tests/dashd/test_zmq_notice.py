"""Notice by ZeroMQ: what is a message of ours, and a socket that says what the test wants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.testing import MemoryReactorClock

from p2pool.base.errors import ParseError
from p2pool.dashd import zmq_notice
from p2pool.dashd.zmq_notice import MAX_AT_ONCE, OPTIONS, SILENCE_TIME, TOPIC, ZmqSubscriber, parse_hashblock
from tests.environment import make_environment
from tests.logged import Log, logged
from tests.support import capture

ADDRESS = "tcp://127.0.0.1:28332"


def message(block_hash: int, sequence: int = 0) -> list[bytes]:
    return [TOPIC, block_hash.to_bytes(32, "big"), sequence.to_bytes(4, "little")]


# --- messages --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("captured", capture("80_zmq_hashblock")["messages"], ids=range(2))
def test_what_a_real_one_sends(captured):
    frames = [bytes.fromhex(frame) for frame in captured["frames_hex"]]
    assert f"{parse_hashblock(frames):064x}" == captured["hash_rpc"]


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [b""],
        [TOPIC],
        message(1)[:2],
        [*message(1), b""],
        [b"hashtx", *message(1)[1:]],
        [b"hashblock2", *message(1)[1:]],
        [TOPIC, bytes(31), bytes(4)],
        [TOPIC, bytes(33), bytes(4)],
        [TOPIC, bytes(32), bytes(3)],
        [TOPIC, bytes(32), b""],
    ],
    ids=range(11),
)
def test_what_is_none(frames):
    with pytest.raises(ParseError, match=f"{len(frames)} frames"):
        parse_hashblock(frames)


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_any_frames_are_a_hash_or_an_error(frames):
    try:
        assert 0 <= parse_hashblock(frames) < 2**256
    except ParseError:
        pass


# --- the subscriber --------------------------------------------------------------------------------------


class FakeSocket:
    """Hands out what waits; an exception is raised."""

    def __init__(self) -> None:
        self.options: dict[int, Any] = {}
        self.address = ""
        self.waiting: list[Any] = []
        self.refuses: zmq.ZMQError | None = None
        self.closed = False

    def setsockopt(self, option: int, value: Any) -> None:
        self.options[option] = value

    def getsockopt(self, option: int) -> int:
        assert not self.closed
        return 77

    def connect(self, address: str) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.address = address

    def recv_multipart(self, flags: int) -> list[bytes]:
        assert flags == zmq.NOBLOCK
        assert not self.closed
        if not self.waiting:
            raise zmq.Again
        item = self.waiting.pop(0)
        if isinstance(item, Exception):
            raise item
        return item

    def close(self) -> None:
        self.closed = True


class FakeContext:
    def __init__(self) -> None:
        self.sockets: list[FakeSocket] = []
        self.refuses: zmq.ZMQError | None = None
        self.ended = False

    def socket(self, kind: int) -> FakeSocket:
        assert kind == zmq.SUB
        assert all(socket.closed for socket in self.sockets)
        self.sockets.append(FakeSocket())
        self.sockets[-1].refuses = self.refuses
        return self.sockets[-1]

    def term(self) -> None:
        assert all(socket.closed for socket in self.sockets)  # else it would wait for ever
        self.ended = True


class Subscribed:
    """A subscriber on a socket of the test's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reactor = MemoryReactorClock()
        self.context = FakeContext()
        monkeypatch.setattr(zmq_notice.zmq, "Context", lambda: self.context)
        self.announced: list[int] = []
        self.subscriber = ZmqSubscriber(make_environment(self.reactor), ADDRESS, self.announced.append)

    @property
    def socket(self) -> FakeSocket:
        return self.context.sockets[-1]

    def start(self) -> Subscribed:
        self.subscriber.start()
        return self

    def say(self, *messages: Any) -> None:
        """They arrive, and the descriptor tells so."""
        self.socket.waiting += messages
        self.subscriber.doRead()

    def ended(self) -> bool:
        return self.context.ended and self.reactor.readers == set() and self.reactor.getDelayedCalls() == []


@pytest.fixture
def log() -> Iterator[Log]:
    with logged() as log:
        yield log
    assert not log.tracebacks


@pytest.fixture
def made(log, monkeypatch) -> Subscribed:
    return Subscribed(monkeypatch)


def test_it_subscribes_to_blocks_only_and_takes_small_messages_only(made):
    made.start()
    assert made.socket.address == ADDRESS
    assert made.socket.options == OPTIONS | {zmq.SUBSCRIBE: TOPIC}
    assert made.socket.options[zmq.MAXMSGSIZE] >= 32
    assert made.reactor.readers == {made.subscriber}
    assert made.subscriber.fileno() == 77
    assert made.subscriber.logPrefix() == "zmq"


def test_the_real_library_knows_every_option():
    context = zmq.Context()
    socket = context.socket(zmq.SUB)
    for option, value in OPTIONS.items():
        socket.setsockopt(option, value)
        assert socket.getsockopt(option) == value
    socket.close()
    context.term()


def test_blocks_are_announced(made):
    made.start().say(message(5), message(6, 1))
    made.say(message(7, 2))
    assert made.announced == [5, 6, 7]


def test_what_came_before_the_descriptor_was_watched_is_not_missed(made):
    made.start()
    made.socket.waiting.append(message(5))
    made.reactor.advance(0)
    assert made.announced == [5]


def test_many_messages_are_read_in_several_turns(made):
    made.start()
    made.reactor.advance(0)
    made.say(*[message(number) for number in range(3 * MAX_AT_ONCE)])
    assert len(made.announced) == MAX_AT_ONCE
    made.reactor.advance(0)  # a Clock takes all turns at once
    assert made.announced == list(range(3 * MAX_AT_ONCE))
    assert len(made.reactor.getDelayedCalls()) == 1


def test_a_flood_is_never_read_by_more_than_one_turn_at_a_time(made):
    made.start()
    for _ in range(50):
        made.say(*[message(1)] * (3 * MAX_AT_ONCE))
        assert len(made.reactor.getDelayedCalls()) == 2  # one for more, one for silence


def test_a_publisher_of_something_else_costs_one_line(made, log):
    made.start().say([b"hashblock", b"short", b""], [b"x"] * 9, message(5), *[[TOPIC]] * 20)
    assert made.announced == [5]
    assert log.lines == [
        f"ZMQ block notifications from {ADDRESS}: a ZMQ message of 3 frames is not a hashblock notification"
    ]


def test_a_socket_that_fails_is_not_asked_for_ever(made, log):
    """The descriptor may say "readable" all the time."""
    made.start().say(message(5), zmq.ZMQError(zmq.ENOTSOCK))
    assert made.announced == [5]
    assert len(log.lines) == 1
    assert made.reactor.readers == set()
    made.reactor.advance(SILENCE_TIME)
    made.say(message(6))
    assert made.announced == [5, 6]
    assert made.reactor.readers == {made.subscriber}


def test_an_address_that_the_library_refuses_costs_a_line(made, log):
    made.context.refuses = zmq.ZMQError(zmq.EINVAL)
    made.start()
    made.reactor.advance(SILENCE_TIME)
    assert log.lines == [f"ZMQ block notifications from {ADDRESS}: Invalid argument"]
    assert all(socket.closed for socket in made.context.sockets)
    assert len(made.context.sockets) == 2
    assert made.reactor.readers == set()
    made.subscriber.stop()
    assert made.ended()


def test_after_a_long_silence_it_subscribes_anew(made, log):
    made.start()
    for number in range(10):
        made.reactor.advance(SILENCE_TIME - 1)
        made.say(message(number))
    assert len(made.context.sockets) == 1
    made.reactor.advance(SILENCE_TIME)
    first, second = made.context.sockets
    assert first.closed
    assert second.address == ADDRESS
    assert made.reactor.readers == {made.subscriber}
    made.reactor.advance(0)
    made.say(message(77))
    assert made.announced == [*range(10), 77]
    assert log.lines == []


@pytest.mark.parametrize("how_far", ["never started", "just started", "reading", "in the middle", "twice"])
def test_stopping_leaves_nothing(made, how_far):
    if how_far == "never started":
        made.subscriber.stop()
        assert made.subscriber.fileno() == -1
        return
    made.start()
    if how_far == "reading":
        made.reactor.advance(0)
        made.say(message(1))
    elif how_far == "in the middle":
        made.say(*[message(1)] * (2 * MAX_AT_ONCE))
    elif how_far == "twice":
        made.subscriber.stop()
    made.subscriber.stop()
    assert made.ended()
    assert made.subscriber.fileno() == -1
    before = len(made.announced)
    made.subscriber.doRead()
    made.reactor.advance(1)
    assert len(made.announced) == before


def test_stopping_because_of_a_message_reads_no_further(made):
    made.subscriber._announced = lambda block_hash: made.subscriber.stop()
    made.start().say(message(1), message(2))
    assert len(made.socket.waiting) == 1
    assert made.ended()
