"""Which shares go out: the newest, once, and not to where they came from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.peers import remote_view
from p2pool.peers.broadcast import ShareBroadcaster
from p2pool.peers.messages import ForgetTx, RawTransaction, RememberTx, Shares
from p2pool.peers.transactions import TransactionPool
from tests.peers.wiring import TX, Talk, chain, envelope

NEWEST_FIRST = chain(8)[::-1]
TX_NUMBERS = [int.from_bytes(tx_hash, "little") for tx_hash in TX]


class Town:
    def __init__(self, peers: int = 3) -> None:
        self.senders: dict[int, str] = {}
        self.pool = TransactionPool()
        self.broadcaster = ShareBroadcaster(self.pool, self.senders.get)
        self.talks = [Talk(host=f"203.0.113.{number}") for number in range(1, peers + 1)]

    def broadcast(self, shares) -> int:
        return self.broadcaster.broadcast(shares, [talk.session for talk in self.talks])

    def heard(self) -> list[list]:
        return [talk.heard.take() for talk in self.talks]


def said(*shares) -> list[Shares]:
    return [Shares(tuple(map(envelope, shares)))]


def test_the_five_newest_newest_first_and_once():
    town = Town()
    assert town.broadcast(NEWEST_FIRST) == 5
    assert town.heard() == [said(*NEWEST_FIRST[:5])] * 3
    assert town.broadcast(NEWEST_FIRST) == 0
    assert town.heard() == [[]] * 3


def test_down_to_what_was_sent():
    town = Town(1)
    town.broadcaster.mark_sent([NEWEST_FIRST[2].hash])
    assert town.broadcast(NEWEST_FIRST) == 2
    assert town.heard() == [said(*NEWEST_FIRST[:2])]


def test_what_is_forgotten_may_be_sent_again():
    town = Town(1)
    town.broadcast(NEWEST_FIRST[:3])
    town.heard()
    town.broadcaster.forget(share.hash for share in NEWEST_FIRST[:2])
    town.broadcast(NEWEST_FIRST[:3])
    assert town.heard() == [said(*NEWEST_FIRST[:2])]


def test_nothing_goes_back_to_where_it_came_from():
    town = Town()
    town.senders = {NEWEST_FIRST[0].hash: town.talks[0].session.label, NEWEST_FIRST[1].hash: "elsewhere"}
    town.broadcaster = ShareBroadcaster(town.pool, town.senders.get)
    town.broadcast(NEWEST_FIRST[:2])
    assert town.heard() == [said(NEWEST_FIRST[1]), said(*NEWEST_FIRST[:2]), said(*NEWEST_FIRST[:2])]
    town.senders[NEWEST_FIRST[0].hash] = town.talks[1].session.label
    town.broadcaster.forget([NEWEST_FIRST[0].hash])
    town.broadcast(NEWEST_FIRST[:1])
    assert town.heard() == [said(NEWEST_FIRST[0]), [], said(NEWEST_FIRST[0])]


def test_nobody_there_still_counts_as_sent():
    town = Town(0)
    assert town.broadcast(NEWEST_FIRST[:2]) == 2
    town.talks = [Talk()]
    town.broadcast(NEWEST_FIRST[:2])
    assert town.heard() == [[]]


def test_each_peer_gets_the_transactions_that_it_lacks():
    share = chain(1, with_transactions=True)[0]
    town = Town(2)
    raw = dict(zip(TX_NUMBERS, (b"one", b"two"), strict=True))
    town.pool.add(raw.items())
    said_raw: list = []
    for talk in town.talks:  # the bytes of these are no transactions: they are looked at before they are framed
        talk.session.send = lambda message, talk=talk: said_raw.append((talk, message))
    town.talks[0].session.remote.has([TX_NUMBERS[0]])
    town.broadcast([share])
    first, second = ([m for t, m in said_raw if t is talk] for talk in town.talks)
    assert first == [RememberTx((), (RawTransaction(TX_NUMBERS[1], b"two"),)), ForgetTx((TX_NUMBERS[1],))]
    kept = {t.hash: t.data for t in second[0].transactions}
    assert kept == raw
    assert set(second[1].tx_hashes) == set(raw)
    assert town.heard() == [said(share)] * 2


def test_a_share_with_a_transaction_that_nobody_has_goes_only_to_who_knows_it():
    share, town = chain(1, with_transactions=True)[0], Town(2)
    town.talks[1].session.remote.has(TX_NUMBERS)
    town.broadcast([NEWEST_FIRST[0], share])
    assert town.heard() == [said(NEWEST_FIRST[0]), said(NEWEST_FIRST[0], share)]


def test_large_shares_are_split(monkeypatch: pytest.MonkeyPatch):
    size = len(NEWEST_FIRST[0].contents)
    monkeypatch.setattr(remote_view.split, "__defaults__", (2 * size + 40,))
    town = Town(1)
    town.broadcast(NEWEST_FIRST[:5])
    assert town.heard() == [[*said(*NEWEST_FIRST[:2]), *said(*NEWEST_FIRST[2:4]), *said(NEWEST_FIRST[4])]]


@given(st.lists(st.tuples(st.integers(0, 7), st.booleans()), max_size=12))
def test_no_share_is_ever_sent_twice(steps):
    town, got = Town(1), []
    for start, is_old in steps:
        if is_old:
            town.broadcaster.mark_sent([NEWEST_FIRST[start].hash])
        else:
            town.broadcast(NEWEST_FIRST[start:])
        for message in town.heard()[0]:
            got += [share.contents for share in message.shares]
    assert len(got) == len(set(got))
