"""The transactions that we know: what is told of them, what is forgotten, and what memory they may take."""

from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st

from p2pool.peers.transactions import MAX_FRESH, MAX_LOST, MiningChange, TransactionPool, hash_follows
from tests.dash import asset_unlock


class Told:
    def __init__(self, pool: TransactionPool) -> None:
        self.events: list = []
        for name in ("added", "removed", "mining_changed"):
            getattr(pool, name).subscribe(lambda value, name=name: self.events.append((name, value)))

    def take(self) -> list:
        taken, self.events = self.events, []
        return taken


def test_only_new_ones_are_reported():
    pool = TransactionPool()
    told = Told(pool)
    pool.add([(1, b"one"), (2, b"two")])
    pool.add([(2, b"two"), (3, b"three")])
    pool.add([(1, b"one")])
    pool.add([])
    assert told.take() == [("added", (1, 2)), ("added", (3,))]
    assert (pool.get(3), pool.get(4)) == (b"three", None)


def test_the_template_changes():
    pool = TransactionPool()
    told = Told(pool)
    pool.set_mining([(1, b"one"), (2, b"two")])
    assert told.take() == [("added", (1, 2)), ("mining_changed", MiningChange({1: b"one", 2: b"two"}, {}))]
    pool.set_mining([(2, b"two"), (3, b"three")])
    assert told.take() == [("added", (3,)), ("mining_changed", MiningChange({3: b"three"}, {1: b"one"}))]
    pool.set_mining([(3, b"three"), (2, b"two")])
    assert told.take() == []


def test_what_is_lost_stays_usable_for_twenty_seconds():
    pool = TransactionPool()
    pool.add([(1, b"one"), (2, b"two"), (3, b"three")])
    pool.set_mining([(3, b"three")])
    told = Told(pool)
    pool.trim({2}, 100.0)
    assert told.take() == [("removed", (1,))]
    assert set(pool.known) == {2, 3}
    pool.trim({2}, 120.0)
    assert pool.get(1) == b"one"
    pool.trim({2}, 120.1)
    assert pool.get(1) is None
    assert told.take() == []


def test_what_is_wanted_again_is_known_again():
    """A peer may name a transaction that we just lost: as long as it has us keep it, its block can be made."""
    pool = TransactionPool()
    pool.add([(1, b"one")])
    pool.trim(set(), 0.0)
    told = Told(pool)
    pool.trim({1}, 20.5)
    assert told.take() == [("added", (1,))]
    pool.trim({1}, 500.0)
    assert pool.get(1) == b"one"
    assert pool.known == {1: b"one"}


def test_a_loss_is_counted_from_the_last_time():
    pool = TransactionPool()
    for when in (0.0, 15.0):
        pool.add([(1, b"one")])
        pool.trim(set(), when)
    pool.trim(set(), 35.0)
    assert pool.get(1) == b"one"
    pool.trim(set(), 35.1)
    assert pool.get(1) is None


def test_memory_has_bounds():
    pool = TransactionPool()
    megabyte = bytes(1_000_000)
    for number in range(2 * MAX_LOST // len(megabyte)):
        pool.add([(number, megabyte)])
        if pool.fresh_bytes > MAX_FRESH:
            pool.trim(set(), 0.0)
            assert pool.fresh_bytes == 0
    pool.trim(set(), 0.0)
    kept = [n for n in range(200) if pool.get(n) is not None]
    assert 40 <= len(kept) <= 50
    assert kept[-1] == 99
    assert kept == list(range(kept[0], 100))


@given(
    st.lists(st.tuples(st.sampled_from(["add", "mine", "trim"]), st.sets(st.integers(0, 6)), st.integers(0, 30)))
)
def test_peers_who_listen_know_what_we_know(steps):
    """have_tx and losing_tx, as they are told, always add up to what is known."""
    pool, view, mined, now = TransactionPool(), set(), set(), 0.0
    pool.added.subscribe(lambda hashes: [view.add(h) for h in hashes])
    pool.removed.subscribe(lambda hashes: [view.remove(h) for h in hashes])
    pool.mining_changed.subscribe(
        lambda change: (mined.difference_update(change.removed), mined.update(change.added))
    )
    for kind, numbers, seconds in steps:
        now += seconds
        items = [(n, bytes([n])) for n in numbers]
        if kind == "add":
            pool.add(items)
        elif kind == "mine":
            pool.set_mining(items)
        else:
            before = set(pool.known)
            pool.trim(numbers, now)
            assert (numbers | set(pool.mining)) & before <= set(pool.known) <= numbers | set(pool.mining)
            assert all(pool.get(n) == bytes([n]) for n in before)
        assert view == set(pool.known)
        assert mined == set(pool.mining) <= view


def test_our_dashds_bytes_count_where_a_peer_sent_others_of_the_same_hash():
    """An asset unlock that was signed again has the same hash; a peer may also have made up the signature."""
    pool, again = TransactionPool(), asset_unlock.signed_again()
    tx_hash = asset_unlock.UNLOCK.hash
    pool.add([(tx_hash, again)])
    pool.set_mining([(tx_hash, asset_unlock.DATA)])
    assert pool.get(tx_hash) == asset_unlock.DATA
    pool.add([(tx_hash, again)])
    assert pool.get(tx_hash) == asset_unlock.DATA
    pool.set_mining([(tx_hash, again)])
    assert pool.get(tx_hash) == again


def test_whose_hash_everybody_makes_of_the_bytes():
    assert hash_follows(asset_unlock.UNLOCK.instance_hash, asset_unlock.DATA)
    assert not hash_follows(asset_unlock.UNLOCK.hash, asset_unlock.DATA)
    assert hash_follows(5, b"anything else")


def test_a_flood_that_is_over_leaves_no_large_tables_behind():
    pool = TransactionPool()
    pool.set_mining([(1, b"one")])
    for round_number in range(3):
        now = 100.0 * round_number
        pool.add([(number, b"x") for number in range(2, 20_000)])
        pool.trim(set(), now)
        pool.trim(set(), now + 21)
        assert list(pool.known) == [1]
        assert sys.getsizeof(pool.known) + sys.getsizeof(pool._lost) < 10_000
