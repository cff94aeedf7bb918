"""The transactions of templates in the broker: each once, verified, bounded, and again after a loss."""

from __future__ import annotations

from typing import Any

import fakeredis
import pytest
from redis.exceptions import OutOfMemoryError
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from p2pool.base.errors import ParseError
from p2pool.dash.hashes import sha256d
from p2pool.dashd.template import TemplateTransaction
from p2pool.gateway import template_transactions, transaction_feed
from p2pool.gateway.names import Names
from p2pool.gateway.template_transactions import (
    Listed,
    is_genuine,
    parse_list,
    portions,
    restore_transactions,
    transactions_key,
)
from p2pool.gateway.transaction_feed import CHECK, MAX_BLOCKS, STORE_AGAIN, TransactionFeed
from p2pool.gateway.transaction_fetch import ASK_NODE, ATTEMPTS, FETCH_AGAIN, MAX_REQUESTED, TransactionFetcher
from p2pool.gateway.transaction_table import TransactionTable
from tests.environment import make_environment
from tests.gateway.fake_broker import FakeBroker
from tests.gateway.transactions import template_with, transaction
from tests.logged import logged

NAMES = Names("net")
PREVIOUS = (0xABCD).to_bytes(32, "little")


class CountingBroker(FakeBroker):
    """Counts requests, and may refuse to write as a full Redis does."""

    def __init__(self, server: fakeredis.FakeServer) -> None:
        super().__init__(server)
        self.asked = 0
        self.full = False

    def ask(self, action: Any) -> Deferred[Any]:
        self.asked += 1
        if not self.full:
            return super().ask(action)
        real, self.client = self.client, FullClient(self.client)
        try:
            return super().ask(action)
        finally:
            self.client = real


class FullClient:
    """A client of a server that is out of memory: reads and deletes only."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        if name in ("hset", "set", "xadd", "pipeline"):
            raise OutOfMemoryError("OOM command not allowed")
        return getattr(self._client, name)


class Sides:
    """The node's feed and a gateway's fetcher."""

    def __init__(self) -> None:
        self.server = fakeredis.FakeServer()
        self.node, self.gateway = CountingBroker(self.server), CountingBroker(self.server)
        self.clock = Clock()
        environment = make_environment(self.clock)
        self.feed = TransactionFeed(environment, self.node, names=NAMES)
        self.fetcher = TransactionFetcher(environment, self.gateway, names=NAMES)
        self.completed: list[bytes] = []
        self.fetcher.completed.subscribe(self.completed.append)
        self.feed.start()

    def offer(self, template: Any) -> bytes:
        key = transactions_key(template)
        self.feed.offer(key, template)
        return key

    def request(self, key: bytes, previous: bytes = PREVIOUS, **options: Any) -> None:
        self.fetcher.request(previous, key, **options)

    def client(self) -> Any:
        return self.node.client


@pytest.fixture
def sides(monkeypatch):
    monkeypatch.setattr("p2pool.broker.operations.WAIT", 0.001)
    return Sides()


def data_of(template: Any) -> tuple[bytes, ...]:
    return tuple(each.data for each in template.transactions)


# --- keys --------------------------------------------------------------------------------------------------------


def test_transactions_are_named_by_what_they_are_and_by_their_order():
    a, b, c = transaction(1), transaction(2), transaction(3)
    keys = {transactions_key(template_with(*each)) for each in ((a, b), (b, a), (a, c), (a,), ())}
    assert len(keys) == 5
    assert transactions_key(template_with()) == b""


def test_a_withdrawal_that_was_signed_anew_is_another_one_under_the_same_hash():
    one, other = (TemplateTransaction(b"\x03\x00\x09\x00" + bytes([n]), b"\x01" * 32, 0) for n in (1, 2))
    assert transactions_key(template_with(one)) != transactions_key(template_with(other))


def test_a_list_is_verified_before_anything_else():
    template = template_with(transaction(1))
    key = transactions_key(template)
    packed = template.transactions[0].hash_bytes + (60).to_bytes(4, "little")
    assert parse_list(key, packed) == (Listed(template.transactions[0].hash_bytes, 60),)
    with pytest.raises(ParseError, match="does not match"):
        parse_list(key, packed + packed)
    from hashlib import sha256

    huge = bytes(32) + (2**32 - 1).to_bytes(4, "little")
    with pytest.raises(ParseError, match="bytes"):
        parse_list(sha256(huge).digest(), huge)
    with pytest.raises(ParseError, match="has 37 bytes"):
        parse_list(sha256(huge + b"x").digest(), huge + b"x")


def test_only_the_listed_bytes_are_genuine():
    data = transaction(1).data
    listed = Listed(sha256d(data), len(data))
    assert is_genuine(listed, data)
    assert not is_genuine(listed, data + b"\0")
    assert not is_genuine(listed._replace(size=61), data)
    assert not is_genuine(listed, None)


def test_portions_are_small_unless_one_transaction_is_large():
    sizes = [100_000, 100_000, 100_000, 500_000, 10]
    listed = [Listed(bytes([n]) * 32, size) for n, size in enumerate(sizes)]
    assert [[each.size for each in portion] for portion in portions(listed)] == [
        [100_000, 100_000],
        [100_000],
        [500_000],
        [10],
    ]
    many = [Listed(n.to_bytes(32, "big"), 1) for n in range(2_500)]
    assert [len(portion) for portion in portions(many)] == [1000, 1000, 500]


# --- from the node to a gateway ----------------------------------------------------------------------------------


def test_each_is_stored_once_and_fetched_once(sides):
    first = template_with(*[transaction(n) for n in range(5)])
    second = template_with(*[transaction(n) for n in range(1, 7)])
    key = sides.offer(first)
    sides.request(key)
    assert sides.fetcher.get(key) == data_of(first)
    table = NAMES.block_transactions(PREVIOUS)
    for n in range(5):
        sides.client().hset(table, transaction(n).hash_bytes, b"would be fetched or stored again")
    other = sides.offer(second)
    sides.request(other)
    assert sides.fetcher.get(other) == data_of(second)
    assert sides.client().hget(table, transaction(1).hash_bytes) == b"would be fetched or stored again"
    assert sides.completed == [key, other]


def test_everything_in_the_broker_expires(sides):
    sides.offer(template_with(transaction(1)))
    keys = sides.client().keys("*")
    assert len(keys) == 2
    assert all(0 < sides.client().ttl(key) <= template_transactions.LIFETIME for key in keys)


def test_large_templates_travel_in_portions(sides):
    template = template_with(*[transaction(n, 100_000) for n in range(20)])
    key = sides.offer(template)
    assert sides.node.asked == 11  # ten portions and the list
    sides.request(key)
    assert sides.gateway.asked == 11
    assert sides.fetcher.get(key) == data_of(template)


def test_only_the_last_previous_blocks_have_transactions_in_the_broker(sides):
    for n in range(MAX_BLOCKS + 3):
        sides.offer(template_with(transaction(n), previous_block=n + 1))
    assert len(sides.client().keys("*:transactions:*")) == MAX_BLOCKS


def test_a_previous_block_begins_anew_before_it_takes_too_much_memory(sides, monkeypatch):
    monkeypatch.setattr(transaction_feed, "MAX_STORED", 1_000)
    table = NAMES.block_transactions(PREVIOUS)
    for n in range(0, 100, 5):
        key = sides.offer(template_with(*[transaction(k) for k in range(n, n + 5)]))
    assert sides.client().hlen(table) <= 25
    sides.request(key)
    assert sides.fetcher.get(key) is not None


# --- faults ------------------------------------------------------------------------------------------------------


def test_a_broker_that_lost_everything_gets_the_current_transactions_again(sides):
    template = template_with(transaction(1), transaction(2))
    key = sides.offer(template)
    sides.client().flushall()
    sides.clock.advance(CHECK)
    sides.request(key)
    assert sides.fetcher.get(key) == data_of(template)


def test_a_broker_that_lost_some_transactions_gets_them_again(sides):
    template = template_with(transaction(1), transaction(2))
    key = sides.offer(template)
    sides.client().hdel(NAMES.block_transactions(PREVIOUS), transaction(2).hash_bytes)
    sides.clock.advance(CHECK)
    sides.request(key)
    assert sides.fetcher.get(key) == data_of(template)


def test_a_gateway_asks_the_node_for_those_of_an_older_template(sides):
    old = sides.offer(template_with(transaction(1)))
    sides.client().flushall()
    sides.offer(template_with(transaction(2), previous_block=9))
    sides.request(old)
    sides.clock.advance(FETCH_AGAIN)
    assert sides.client().xlen(NAMES.missing) == ASK_NODE - 1
    sides.node.turn()
    sides.clock.advance(FETCH_AGAIN)
    assert sides.fetcher.get(old) == (transaction(1).data,)


def test_many_gateways_that_miss_the_same_cause_it_to_be_stored_once(sides):
    old = sides.offer(template_with(transaction(1)))
    for _ in range(10):
        sides.client().xadd(NAMES.missing, {"data": old})
    sides.node.turn()
    asked = sides.node.asked
    sides.client().xadd(NAMES.missing, {"data": old})
    sides.client().xadd(NAMES.missing, {"data": b"of another node"})
    sides.node.turn()
    assert sides.node.asked == asked
    sides.clock.advance(STORE_AGAIN)
    sides.client().xadd(NAMES.missing, {"data": old})
    sides.node.turn()
    assert sides.node.asked > asked


def test_bytes_that_do_not_match_are_not_used_and_are_stored_again(sides):
    key = sides.offer(template_with(transaction(1)))
    sides.client().hset(NAMES.block_transactions(PREVIOUS), transaction(1).hash_bytes, transaction(2).data)
    with logged() as log:
        sides.request(key)
        sides.clock.advance(FETCH_AGAIN)
    assert len(log.lines) == 1
    assert "other bytes under the hash of a transaction" in log.lines[0]
    assert sides.fetcher.get(key) is None
    sides.node.turn()
    sides.clock.advance(FETCH_AGAIN)
    assert sides.fetcher.get(key) == (transaction(1).data,)


def test_a_list_that_does_not_match_is_not_used(sides):
    key = sides.offer(template_with(transaction(1)))
    sides.client().set(NAMES.template(key), b"\x00" * 36)
    with logged() as log:
        sides.request(key)
    assert "does not match its key" in log.lines[0]
    assert len(sides.fetcher.table) == 0


@pytest.mark.parametrize("fault", ["gone", "full"])
def test_what_a_broker_did_not_take_is_stored_when_it_is_well_again(sides, fault):
    if fault == "gone":
        sides.node.problem = "connection refused"
    sides.node.full = fault == "full"
    first = sides.offer(template_with(transaction(1)))
    second = sides.offer(template_with(transaction(2)))
    sides.clock.advance(CHECK)
    assert sides.client().keys("*") == []
    sides.node.problem, sides.node.full = None, False
    sides.clock.advance(CHECK)
    for key in (first, second):
        sides.request(key)
        assert sides.fetcher.get(key) is not None


def test_a_gateway_goes_on_when_the_broker_is_back(sides):
    key = sides.offer(template_with(transaction(1)))
    sides.gateway.problem = "connection refused"
    sides.request(key)
    sides.clock.advance(FETCH_AGAIN)
    sides.gateway.problem = None
    sides.clock.advance(FETCH_AGAIN)
    assert sides.fetcher.get(key) is not None


def test_it_ends_unless_a_block_needs_them(sides):
    sides.request(b"a" * 32)
    sides.request(b"b" * 32, for_block=True)
    for _ in range(ATTEMPTS + 1):
        sides.clock.advance(FETCH_AGAIN)
    assert list(sides.fetcher._requested) == [b"b" * 32]
    sides.fetcher.stop()
    assert [call for call in sides.clock.getDelayedCalls() if call.func == sides.fetcher._go_on] == []


def test_requests_are_bounded_and_those_for_blocks_stay(sides):
    sides.gateway.problem = "gone"
    sides.request(bytes(32), for_block=True)
    for n in range(1, MAX_REQUESTED + 10):
        sides.request(n.to_bytes(32, "big"))
    assert len(sides.fetcher._requested) == MAX_REQUESTED
    assert bytes(32) in sides.fetcher._requested


def test_blocks_are_completed_first_then_the_newest_work(sides):
    held: list[Any] = []
    hanging: Deferred[Any] = Deferred()
    sides.gateway.ask = lambda action: held.append(action) or hanging
    for n in range(3):
        sides.request(bytes([n]) * 32, for_block=n == 1)
    assert len(held) == 1  # one request at a time
    assert sides.fetcher._next() == b"\x01" * 32


def test_a_gateway_gives_transactions_back_to_a_broker_that_lost_them(sides):
    template = template_with(transaction(1), transaction(2))
    key = sides.offer(template)
    sides.request(key)
    content = sides.fetcher.content(PREVIOUS, key)
    asked = sides.gateway.asked
    Deferred.fromCoroutine(restore_transactions(sides.gateway, NAMES, content))
    assert sides.gateway.asked == asked + 2  # all is there
    sides.client().flushall()
    Deferred.fromCoroutine(restore_transactions(sides.gateway, NAMES, content))
    other = TransactionFetcher(make_environment(), FakeBroker(sides.server), names=NAMES)
    other.request(PREVIOUS, key)
    assert other.get(key) == data_of(template)


# --- memory ------------------------------------------------------------------------------------------------------


def test_the_table_forgets_the_oldest_templates_and_what_only_they_name():
    table = TransactionTable(max_templates=2)
    listed = [Listed(bytes([n]) * 32, 10) for n in range(4)]
    for n in range(3):
        table.add_list(bytes([n]), (listed[n], listed[n + 1]))
        for each in (listed[n], listed[n + 1]):
            table.add(each.hash, b"x" * 10)
    assert bytes([0]) not in table
    assert table.get(bytes([1])) == table.get(bytes([2])) == (b"x" * 10,) * 2
    assert table.size == 30
    table.add(b"nobody lists it", b"y")
    assert table.size == 30


def test_the_table_is_bounded_in_bytes_but_has_the_newest_template():
    table = TransactionTable(max_held=100)
    for n in range(3):
        listed = Listed(bytes([n]) * 32, 80)
        table.add_list(bytes([n]), (listed,))
        table.add(listed.hash, b"x" * 80)
    assert (len(table), table.size) == (1, 80)
    assert table.get(bytes([2])) is not None


def test_a_template_in_use_is_forgotten_last():
    table = TransactionTable(max_templates=2)
    for n in range(3):
        table.add_list(bytes([n]), ())
        table.use(bytes([0]))
    assert bytes([0]) in table
