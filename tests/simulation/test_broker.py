"""The simulated Redis, and the program's connection to it, without nodes and gateways."""

from __future__ import annotations

import random
from typing import Any

import pytest

from p2pool.base.environment import Environment
from p2pool.broker.connection import ANSWER_TIME, BrokerError
from p2pool.broker.operations import (
    Entry,
    GroupReader,
    StreamReader,
    acknowledge,
    append,
    count_unacknowledged,
    get,
    put,
    recent,
    server_time,
)
from p2pool.broker.request_queue import Urgency
from p2pool.broker.settings import BrokerAddress
from tests.simulation.broker import SimulatedBroker
from tests.simulation.events import EventQueue
from tests.simulation.network import Host, Internet
from tests.simulation.reactor import SimulatedReactor
from tests.simulation.redis_server import PORT, SimulatedRedis

LATENCY = 0.05
EPOCH = 1_760_000_000.0


class Place:
    """A server, and clients on machines of their own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seed: str = "1") -> None:
        self.events = EventQueue(seed)
        self.internet = Internet(self.events, lambda source, target: LATENCY)
        self.host = self.internet.add(Host("r", "51.0.0.1", "eu"))
        self.redis = SimulatedRedis(self.internet, self.host, lambda: EPOCH + self.events.now)
        self.redis.start()
        monkeypatch.setattr(SimulatedBroker, "servers", {self.host.address: self.redis})
        self.clients = 0

    def client(self, *, started: bool = True) -> SimulatedBroker:
        """Return a client on a new machine."""
        self.clients += 1
        host = self.internet.add(Host(f"c{self.clients}", f"52.0.0.{self.clients}", "eu"))
        reactor: Any = SimulatedReactor(self.internet, host)
        environment = Environment(
            reactor=reactor,
            clock=lambda: EPOCH + self.events.now,
            monotonic=reactor.seconds,
            run_in_thread=reactor.run_in_thread,
            run_in_daemon_thread=reactor.run_in_thread,
            chance=random.Random(1),
        )
        broker = SimulatedBroker(environment, BrokerAddress(hosts=((self.host.address, PORT),)))
        if started:
            broker.start()
        return broker

    def ask(self, broker: SimulatedBroker, action: Any, *, urgent: Urgency = Urgency.USUAL) -> list[Any]:
        """Ask, as an event of the client's process. Return a list that gets what was answered: a result, or the
        text of a BrokerError."""
        got: list[Any] = []

        def failed(failure: Any) -> None:
            failure.trap(BrokerError)
            got.append(str(failure.value))

        def ask() -> None:
            broker.ask(action, urgent=urgent).addCallbacks(got.append, failed)

        reactor: Any = broker._reactor
        self.events.at(self.events.now, reactor, ask)
        return got

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.events.run(self.events.now + seconds)

    def cut(self, broker: SimulatedBroker) -> None:
        """Let nothing pass between a client and the server, either way."""
        client: Any = broker._reactor
        self.internet.cut(client.host, self.host)
        self.internet.cut(self.host, client.host)


@pytest.fixture
def place(monkeypatch):
    return Place(monkeypatch)


class Follower:
    """Reads with a reader, and remembers what came and when."""

    def __init__(self, place: Place, broker: SimulatedBroker, reader: Any) -> None:
        self.came: list[tuple[float, bytes]] = []
        self._place = place
        broker.follow(reader, self._take)

    def _take(self, entries: list[Entry]) -> None:
        self.came += [(self._place.events.now, entry.data) for entry in entries]

    @property
    def data(self) -> list[bytes]:
        """Return what came."""
        return [data for _, data in self.came]


def test_an_answer_takes_the_way_there_and_back(place):
    broker = place.client()
    first = place.ask(broker, put("key", b"value", seconds=60))
    place.run(4 * LATENCY - 0.001)
    assert first == []  # a connection is made first
    place.run(1.0)
    assert first == [None]
    second = place.ask(broker, get("key"))
    place.run(2 * LATENCY - 0.001)
    assert second == []
    place.run(2 * 0.15 * LATENCY + 0.002)
    assert second == [b"value"]
    assert broker.problem is None


def test_the_server_has_a_clock_of_its_own(place):
    broker = place.client()
    place.run(100)
    asked = place.ask(broker, server_time)
    place.ask(broker, put("key", b"value", seconds=10))
    place.ask(broker, append("stream", b"entry"))
    place.run(5)
    alive, ids = place.ask(broker, get("key")), place.ask(broker, recent("stream", 1))
    place.run(10)
    gone = place.ask(broker, get("key"))
    place.run(1)
    assert asked[0] == pytest.approx(EPOCH + 100, abs=0.5)
    assert (alive, gone) == ([b"value"], [None])
    assert int(ids[0][0].id.partition("-")[0]) / 1000 == pytest.approx(EPOCH + 100, abs=0.5)


def test_requests_are_carried_out_in_their_order_and_blocks_first(place):
    broker = place.client(started=False)
    for number, urgent in enumerate([Urgency.USUAL, Urgency.SHARE, Urgency.USUAL, Urgency.BLOCK, Urgency.SHARE]):
        place.ask(broker, append("stream", b"%d" % number), urgent=urgent)
    place.run(0)
    reactor: Any = broker._reactor
    place.events.at(0.0, reactor, broker.start)
    place.run(5)
    entries = place.ask(broker, recent("stream", 10))
    place.run(1)
    assert [entry.data for entry in entries[0]] == [b"3", b"1", b"4", b"0", b"2"]


def test_a_read_waits_for_entries_without_stopping_the_world(place):
    writer, reader = place.client(), place.client()
    follower = Follower(place, reader, StreamReader("stream"))
    place.run(30)
    began = place.events.now
    place.ask(writer, append("stream", b"entry"))
    place.run(10)
    ((when, data),) = follower.came
    assert data == b"entry"
    assert when - began < 6 * LATENCY  # a connection, there, and on to the reader: it was waiting


def test_a_server_that_is_down_refuses_and_keeps_its_data(place):
    broker = place.client()
    problems: list[Any] = []
    broker.changed.subscribe(problems.append)
    place.ask(broker, put("key", b"value", seconds=600))
    place.run(1)
    place.redis.kill()
    place.run(1)
    refused = place.ask(broker, get("key"))
    place.run(1)
    assert "Connection refused" in refused[0]
    place.redis.start()
    back = place.ask(broker, get("key"))
    place.run(1)
    assert back == [b"value"]
    assert [problem is None for problem in problems] == [True, False, True]


def test_a_server_that_was_emptied_has_nothing_and_makes_groups_again(place):
    broker = place.client()
    follower = Follower(place, broker, GroupReader("stream", "node"))
    place.ask(broker, put("key", b"value", seconds=600))
    place.ask(broker, append("stream", b"before"))
    place.run(3)
    place.redis.empty()
    gone = place.ask(broker, get("key"))
    place.run(3)
    place.ask(broker, append("stream", b"after"))
    place.run(3)
    assert gone == [None]
    assert follower.data == [b"before", b"after"]


def test_what_a_silent_server_was_asked_is_done_when_it_goes_on(place):
    broker = place.client()
    place.ask(broker, get("key"))
    place.run(1)
    place.redis.freeze()
    lost = place.ask(broker, append("stream", b"late"))
    place.run(ANSWER_TIME + 1)
    assert "no answer within 5 s" in lost[0]
    place.redis.thaw()
    place.run(1)
    entries = place.ask(broker, recent("stream", 10))
    place.run(1)
    assert [entry.data for entry in entries[0]] == [b"late"]


def test_a_reader_whose_answers_are_lost_is_where_it_was(place):
    writer, reader = place.client(), place.client()
    follower = Follower(place, reader, StreamReader("stream"))
    place.run(2)
    place.cut(reader)
    for number in range(5):
        place.ask(writer, append("stream", b"%d" % number))
    place.run(30)
    assert follower.data == []
    place.internet.mend_all()
    place.run(30)
    assert follower.data == [b"0", b"1", b"2", b"3", b"4"]


def test_entries_of_a_group_that_went_to_a_dead_connection_are_read_again(place):
    writer, reader = place.client(), place.client()
    follower = Follower(place, reader, GroupReader("stream", "node"))
    place.run(2)
    place.cut(reader)
    place.ask(writer, append("stream", b"entry"))
    place.run(0.5)
    pending = place.ask(writer, count_unacknowledged("stream", "node"))
    place.run(30)
    assert (pending, follower.data) == ([1], [])
    place.internet.mend_all()
    place.run(30)
    assert follower.data == [b"entry"]
    ids = place.ask(writer, recent("stream", 1))
    place.run(1)
    place.ask(writer, acknowledge("stream", "node", [ids[0][0].id]))
    place.run(1)
    pending = place.ask(writer, count_unacknowledged("stream", "node"))
    place.run(1)
    assert pending == [0]


def test_a_slow_server_does_one_thing_after_another(place):
    first, second = place.client(), place.client()
    place.redis.slowness = 1.0
    answers = [place.ask(broker, get("key")) for broker in (first, second)]
    place.run(1.0 + 5 * LATENCY)
    assert answers == [[None], []]
    place.run(1.0)
    assert answers == [[None], [None]]


def test_a_process_that_stopped_asks_no_more(place):
    broker = place.client()
    follower = Follower(place, broker, StreamReader("stream"))
    place.run(2)
    broker.stop()
    waits = place.ask(broker, get("key"))
    place.run(20)
    actions = place.redis.actions
    place.run(20)
    assert (waits, follower.came) == ([], [])
    assert place.redis.actions == actions


def test_the_same_seed_gives_the_same_ids(monkeypatch):
    def entries() -> list[Any]:
        place = Place(monkeypatch, "7")
        broker = place.client()
        for number in range(20):
            place.ask(broker, append("stream", b"%d" % number))
            place.run(0.37)
        got = place.ask(broker, recent("stream", 20))
        place.run(1)
        return [(entry.id, entry.data) for entry in got[0]]

    assert entries() == entries()
    assert len(entries()) == 20
