"""What peers choose to have us do: how much of a turn of the reactor it gets, who comes next, who is charged."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.base.errors import ParseError
from p2pool.base.turns import TURN_TIME
from p2pool.dash.transaction import Transaction, TxInput, TxOutput, pass_transaction, read_transaction
from p2pool.peers import messages
from p2pool.peers.allowance import MAX_BYTES, MAX_TRANSACTIONS, PERIOD, Allowance
from p2pool.peers.errors import Drop, Misbehaviour
from p2pool.peers.messages import (
    MAX_ADDRS,
    MAX_HAVE_TX,
    AddrMe,
    Addrs,
    ForgetTx,
    HaveTx,
    LosingTx,
    PeerAddress,
    RawTransaction,
    RememberTx,
    SeenAddress,
    parse_message,
)
from p2pool.peers.share_requests import LONGEST_REQUEST
from p2pool.wire import codec
from p2pool.wire.codec import Reader, pack_varint
from p2pool.wire.framer import frame
from tests.peers.wiring import PREFIX, Guest, Moment, StubPool, Talk, framed, make_hub, transaction

HASH_COST = 20e-6
"""Seconds that taking over a transaction costs in these tests."""


class Node:
    """A hub with a clock that only hashing transactions moves."""

    def __init__(self, monkeypatch) -> None:
        self.moment = Moment()
        self.hub = make_hub(self.moment, StubPool(), max_incoming=100)
        self.hashed: Counter[int] = Counter()
        """By turn."""
        self.turn = 0
        self.longest = 0.0
        whole = messages.sha256d_int

        def hashing(data: bytes) -> int:
            self.moment.now += HASH_COST
            self.hashed[self.turn] += 1
            return whole(data)

        monkeypatch.setattr(messages, "sha256d_int", hashing)

    def guest(self, number: int) -> Guest:
        guest = Guest(self.hub, f"8.{number}.0.1", nonce=1000 + number)
        self.moment.run()
        guest.heard.take()
        return guest

    def run(self, turns: int = 100_000) -> int:
        """So many turns, or until nothing waits; how many there were."""
        for done in range(turns):
            if not self.moment.soon:
                return done
            self.turn += 1
            before = self.moment.now
            calls = len(self.moment.soon)
            for _ in range(calls):
                self.moment.soon.popleft()()
            self.longest = max(self.longest, self.moment.now - before)
        return turns


def remember(first: int, count: int) -> RememberTx:
    return RememberTx((), tuple(transaction(number, 60) for number in range(first, first + count)))


def test_twenty_floods_of_transactions_leave_the_others_their_turns(monkeypatch):
    """20 peers with 14,000 transactions each cost 15 s of processor time, and a web answer took 41 s."""
    node = Node(monkeypatch)
    guests = [node.guest(number) for number in range(20)]
    flood = [framed(remember(100_000 * number, 2000)) for number in range(20)]
    started = node.moment.now
    for guest, data in zip(guests, flood, strict=True):
        guest.session.receive(data, node.moment.now)
    # All of them in one turn of the reactor: what its time allows, and one step more.
    one_step = 500 * HASH_COST
    assert node.moment.now - started <= TURN_TIME + one_step
    node.run()
    assert node.longest <= TURN_TIME + one_step
    assert sum(node.hashed.values()) == 20 * 2000
    assert all(len(guest.session.remembered) == 2000 for guest in guests)
    assert [guest.ended for guest in guests] == [None] * 20


def test_a_modest_peer_is_heard_soon(monkeypatch):
    node = Node(monkeypatch)
    greedy = [node.guest(number) for number in range(20)]
    modest = node.guest(99)
    for number, guest in enumerate(greedy):
        guest.session.receive(framed(*[remember(100_000 * number + 1000 * n, 1000) for n in range(20)]), 0.0)
    node.run(30)
    listening = []
    node.hub.listens = lambda session, port: listening.append(port)
    modest.session.receive(framed(AddrMe(5)), node.moment.now)
    assert node.run(3) <= 3
    assert listening == [5]
    assert any(len(guest.session.remembered) < 20_000 for guest in greedy), "the others are not done"


def test_connections_of_one_host_share_its_part(monkeypatch):
    node = Node(monkeypatch)
    many = [Guest(node.hub, "8.1.0.1", 4000 + n, nonce=50 + n) for n in range(3)]
    one = node.guest(2)
    node.moment.run()
    for number, guest in enumerate((*many, one)):
        guest.session.receive(framed(*[remember(100_000 * number + 500 * n, 500) for n in range(30)]), 0.0)
    node.run(30)
    theirs = sum(len(guest.session.remembered) for guest in many)
    assert theirs == pytest.approx(len(one.session.remembered), abs=1500)
    assert theirs > 3000


def test_a_peer_whose_input_waits_is_not_late(monkeypatch):
    """It is we who are slow: neither silent, nor without a handshake, nor late with an answer."""
    talk = Talk()
    talk.hub.tick = TURN_TIME
    talk.session.request(1, 5, parents=0, stops=(), now=0.0, answered=lambda shares: None)
    talk.session.receive(framed(*[AddrMe(n) for n in range(1, 5)]), 1.0)
    assert talk.flow == [True]
    for second in range(2, 101):
        talk.session.check_time(float(second))
    talk.hub.run()
    assert talk.flow == [True, False]
    talk.session.check_time(100.9)  # what came meanwhile has not been read yet
    talk.session.check_time(115.0)
    with pytest.raises(Drop, match="15 s"):
        talk.session.check_time(115.1)


def test_a_flood_keeps_no_request_open_without_end():
    """Four hosts that flood and never answer would have all places for requests, and nobody else is asked."""
    talk = Talk()
    talk.hub.tick = TURN_TIME
    talk.session.request(1, 5, parents=0, stops=(), now=0.0, answered=lambda shares: None)
    talk.session.receive(framed(*[AddrMe(n) for n in range(1, 200)]), 1.0)
    for second in range(2, int(LONGEST_REQUEST) + 1):
        talk.session.check_time(float(second))
    assert talk.flow == [True]
    with pytest.raises(Drop, match="did not answer"):
        talk.session.check_time(LONGEST_REQUEST + 1)


def test_the_wrong_far_down_a_list_of_transactions_is_found_and_nothing_of_it_is_kept():
    talk = Talk()
    good = remember(0, 1500).pack()
    with pytest.raises(Misbehaviour, match="malformed remember_tx"):
        talk.raw(frame(PREFIX, "remember_tx", good[:1] + pack_varint(1501) + good[4:] + b"\x00" * 9))
    assert talk.session.remembered == {}


# --- what is read of long lists ----------------------------------------------------------------------------------


def test_of_a_long_list_of_addresses_a_part_is_read(monkeypatch):
    """92,000 of them cost 0.7 s, and a thousand a minute are looked at."""
    read = []
    whole = codec.ipaddress.IPv6Address
    monkeypatch.setattr(codec.ipaddress, "IPv6Address", lambda data: read.append(1) or whole(data))
    seen = SeenAddress(5, PeerAddress("8.8.8.8", 9999))
    payload = pack_varint(92_000) + (codec.pack_uint64(5) + seen.address.pack()) * 92_000
    message = parse_message("addrs", payload)
    assert message == Addrs((seen,) * MAX_ADDRS)
    assert len(read) == MAX_ADDRS
    with pytest.raises(ParseError):
        parse_message("addrs", payload[:-1])
    with pytest.raises(ParseError):
        parse_message("addrs", payload + b"\x00")


def test_of_a_long_have_tx_the_end_is_read():
    hashes = tuple(range(1, 90_001))
    assert parse_message("have_tx", HaveTx(hashes).pack()) == HaveTx(hashes[-MAX_HAVE_TX:])
    with pytest.raises(ParseError):
        parse_message("have_tx", HaveTx(hashes).pack() + b"\x00")


scripts = st.one_of(st.binary(max_size=20), st.integers(250, 260).map(bytes))
transactions = st.builds(
    Transaction,
    st.integers(0, 4),
    st.integers(0, 9),
    st.lists(st.builds(TxInput, st.integers(1, 9), st.integers(0, 9), scripts, st.integers(0, 9)), max_size=4).map(
        tuple
    ),
    st.lists(st.builds(TxOutput, st.integers(0, 9), scripts), max_size=4).map(tuple),
    st.integers(0, 9),
    st.binary(max_size=9),
)


def behind(read, data: bytes) -> int | None:
    reader = Reader(data)
    try:
        read(reader)
    except ParseError:
        return None
    return reader.position


@given(transactions, st.data())
def test_passing_a_transaction_ends_where_reading_it_does(item, data):
    packed = item.pack() + b"rest"
    assert behind(pass_transaction, packed) == behind(read_transaction, packed)
    cut = data.draw(st.integers(0, len(packed)))
    assert behind(pass_transaction, packed[:cut]) == behind(read_transaction, packed[:cut])
    damaged = bytearray(packed)
    damaged[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    assert behind(pass_transaction, bytes(damaged)) == behind(read_transaction, bytes(damaged))


# --- what all peers hear of --------------------------------------------------------------------------------------


def test_a_list_for_all_peers_is_framed_once(monkeypatch):
    packed = []
    for kind in (HaveTx, LosingTx):
        whole = kind.pack
        monkeypatch.setattr(kind, "pack", lambda message, whole=whole: packed.append(1) or whole(message))
    node = Node(monkeypatch)
    guests = [node.guest(number) for number in range(30)]
    packed.clear()
    pool = node.hub.transactions
    pool.add([(number, b"data") for number in range(1000)])
    pool.trim(set(), 0.0)
    assert len(packed) == 2
    for guest in guests:
        assert [type(message) for message in guest.heard.take()] == [HaveTx, LosingTx]


def items(first: int, count: int, size: int = 100) -> list[tuple[int, bytes]]:
    return [(number, bytes(size)) for number in range(first, first + count)]


def test_the_allowance_of_a_host_is_its_own():
    allowance = Allowance()
    assert len(allowance.take("a", items(0, MAX_TRANSACTIONS + 5), 0.0)) == MAX_TRANSACTIONS
    assert allowance.take("a", items(50_000, 1), PERIOD - 0.1) == []
    assert len(allowance.take("b", items(0, 3), PERIOD - 0.1)) == 3
    assert len(allowance.take("a", items(0, 1), PERIOD)) == 1


def test_the_allowance_counts_bytes():
    allowance = Allowance()
    taken = allowance.take("a", items(0, 5000, 2400), 0.0)
    assert len(taken) == MAX_BYTES // 2500


def test_what_exceeds_the_allowance_is_kept_for_its_sender_only(monkeypatch):
    node = Node(monkeypatch)
    flooder, other = node.guest(1), node.guest(2)
    big = [transaction(number, 400_000) for number in range(18)]
    for number in range(0, 18, 6):
        some = tuple(big[number : number + 6])
        flooder.session.receive(framed(RememberTx((), some)), node.moment.now)
        node.run()
        if number < 12:
            flooder.session.receive(framed(ForgetTx(tuple(item.hash for item in some))), node.moment.now)
            node.run()
    assert flooder.ended is None
    assert len(flooder.session.remembered) == 6
    known = node.hub.transactions.known
    assert len(known) == MAX_BYTES // 400_100
    assert big[-1].hash in flooder.session.remembered
    assert big[-1].hash not in known
    told = [tx_hash for message in other.heard.take() for tx_hash in message.tx_hashes]
    assert set(told) == set(known)
    small = transaction(999, 100)
    other.session.receive(framed(RememberTx((), (RawTransaction(small.hash, small.data),))), node.moment.now)
    node.run()
    assert small.hash in known


def test_peers_hear_of_a_full_template_over_several_turns(monkeypatch):
    """2 MB of transactions for each of 46 peers were packed in one turn: 0.4 s."""
    node = Node(monkeypatch)
    guests = [node.guest(number) for number in range(30)]
    packed = Counter()
    whole = RememberTx.pack

    def pack(message: RememberTx) -> bytes:
        node.moment.now += 0.004
        packed[node.turn] += 1
        return whole(message)

    monkeypatch.setattr(RememberTx, "pack", pack)
    first, second = transaction(1), transaction(2)
    pool = node.hub.transactions
    pool.set_mining([(first.hash, first.data)])
    pool.set_mining([(second.hash, second.data)])
    node.run()
    assert sum(packed.values()) == 60
    assert max(packed.values()) <= 4
    for guest in guests:
        said = [message for message in guest.heard.take() if not isinstance(message, HaveTx)]
        assert said == [RememberTx((), (first,)), ForgetTx((first.hash,)), RememberTx((), (second,))]


def test_who_left_meanwhile_is_spared_the_template(monkeypatch):
    node = Node(monkeypatch)
    guests = [node.guest(number) for number in range(30)]
    packed = []
    whole = RememberTx.pack

    def pack(message: RememberTx) -> bytes:
        node.moment.now += 0.004
        packed.append(message)
        return whole(message)

    monkeypatch.setattr(RememberTx, "pack", pack)
    item = transaction(1)
    node.hub.transactions.set_mining([(item.hash, item.data)])
    at_once = len(packed)
    assert at_once < 10
    for guest in guests:
        guest.leave()
    node.run()
    assert len(packed) == at_once


def test_many_small_transactions_are_trimmed_before_the_time(monkeypatch):
    monkeypatch.setattr("p2pool.peers.transaction_relay.MAX_FRESH_COUNT", 500)
    node = Node(monkeypatch)
    node.guest(1)
    for number in range(30):
        node.hub.transactions.add([(1000 * number + n, b"x") for n in range(100)])
        assert len(node.hub.transactions.known) <= 600


def test_what_peers_have_us_remember_is_collected_over_several_turns(monkeypatch):
    node = Node(monkeypatch)
    guests = [node.guest(number) for number in range(30)]
    item = transaction(5)
    guests[0].session.receive(framed(RememberTx((), (item,))), 0.0)
    node.run()

    class Remembered(list):
        def __iter__(self):
            node.moment.now += 0.004
            return super().__iter__()

    for guest in guests:
        guest.session.remembered = Remembered(guest.session.remembered)
    node.longest = 0.0
    node.hub.transactions.add([(77, b"unwanted")])
    node.moment.now += 100
    node.hub.tick(lambda session, error: None)
    assert node.run() > 5
    assert node.longest <= 0.010 + 0.005
    assert set(node.hub.transactions.known) == {item.hash}
