"""What a peer is told of transactions, checked against the rules by which it drops or bans us."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from p2pool.peers.messages import MAX_PAYLOAD, Envelope, ForgetTx, HaveTx, LosingTx, RawTransaction, RememberTx
from p2pool.peers.remote_view import (
    MAX_KNOWN,
    RemoteView,
    have_tx_messages,
    losing_tx_messages,
    share_messages,
    split,
)
from p2pool.peers.transactions import MAX_REMEMBERED, TransactionPool
from p2pool.peers.transactions import OVERHEAD as REMEMBERED_OVERHEAD
from tests.dash import asset_unlock
from tests.peers.wiring import Talk, transaction


class Strict:
    """A peer that keeps the rules of `remember_tx`: it raises where a real one would drop us."""

    def __init__(self) -> None:
        self.said: list = []
        self.known: dict[int, bytes] = {}
        self.kept: dict[int, bytes] = {}

    def send(self, message) -> None:
        self.said.append(message)
        assert len(message.pack()) <= MAX_PAYLOAD
        if isinstance(message, RememberTx):
            for tx_hash in message.tx_hashes:
                self.keep(tx_hash, self.known[tx_hash])
            for item in message.transactions:
                self.keep(item.hash, item.data)
        elif isinstance(message, ForgetTx):
            for tx_hash in message.tx_hashes:
                del self.kept[tx_hash]

    def keep(self, tx_hash: int, data: bytes) -> None:
        assert tx_hash not in self.kept
        self.kept[tx_hash] = data
        assert sum(len(data) + REMEMBERED_OVERHEAD for data in self.kept.values()) <= MAX_REMEMBERED

    def send_framed(self, data: bytes) -> None:
        self.said.append(data)

    def take(self) -> list:
        taken, self.said = self.said, []
        return taken


def wired(*items) -> tuple[RemoteView, Strict, TransactionPool]:
    view, peer, pool = RemoteView(), Strict(), TransactionPool()
    pool.add([(item.hash, item.data) for item in items])
    pool.mining_changed.subscribe(lambda change: view.send_mining(peer, change))
    return view, peer, pool


@given(st.lists(st.integers(0, 12), max_size=20))
def test_parts_of_a_list(sizes):
    parts = split(sizes, lambda size: size, room=10)
    assert [item for part in parts for item in part] == sizes
    for part, following in zip(parts, [*parts[1:], None], strict=False):
        assert part
        assert sum(part) <= 10 or len(part) == 1
        assert following is None or sum(part) + following[0] > 10


def test_hash_lists_are_split_below_the_limit():
    hashes = tuple(range(150_000))
    have, losing = have_tx_messages(hashes), losing_tx_messages(hashes)
    assert {type(message) for message in have} == {HaveTx}
    assert {type(message) for message in losing} == {LosingTx}
    assert len(have) == len(losing) == 2
    assert tuple(h for message in have for h in message.tx_hashes) == hashes
    assert tuple(h for message in losing for h in message.tx_hashes) == hashes
    assert have_tx_messages(()) == losing_tx_messages(()) == []


def test_shares_are_split_below_the_limit_in_order():
    envelopes = [Envelope(16, bytes([n]) * 1_100_000) for n in range(5)]
    parts = share_messages(envelopes)
    assert [len(part.shares) for part in parts] == [2, 2, 1]
    assert [share for part in parts for share in part.shares] == envelopes
    assert all(len(part.pack()) <= MAX_PAYLOAD for part in parts)


def test_what_the_peer_has_goes_by_hash_and_the_rest_in_full():
    a, b = transaction(1), transaction(2)
    view, peer, pool = wired(a, b)
    view.has([a.hash])
    peer.known[a.hash] = a.data
    pool.set_mining([(a.hash, a.data), (b.hash, b.data)])
    assert peer.take() == [RememberTx((a.hash,), ()), RememberTx((), (b,))]
    pool.set_mining([(b.hash, b.data)])
    assert peer.take() == [ForgetTx((a.hash,))]
    assert set(peer.kept) == {b.hash}


def test_old_ones_are_forgotten_before_new_ones_are_remembered():
    big = [transaction(n, 1_300_000) for n in (1, 2)]
    _, peer, pool = wired()
    pool.set_mining([(big[0].hash, big[0].data)])
    pool.set_mining([(big[1].hash, big[1].data)])
    assert set(peer.kept) == {big[1].hash}


def test_a_template_beyond_what_a_peer_keeps():
    items = [transaction(n, 500_000) for n in range(6)]
    view, peer, pool = wired()
    pool.set_mining([(item.hash, item.data) for item in items])
    assert set(peer.kept) == {item.hash for item in items[:4]}
    pool.set_mining([(item.hash, item.data) for item in items[3:]])
    assert set(peer.kept) == {items[3].hash}
    peer.take()
    view.send_shares(peer, new_hashes=[item.hash for item in items[3:]], framed=[b"share"], pool=pool)
    assert peer.take() == [RememberTx((), tuple(items[4:])), b"share", ForgetTx((items[4].hash, items[5].hash))]


def test_shares_have_what_is_lacking_before_them_and_it_is_forgotten_behind():
    mined, had, lacking = (transaction(n) for n in range(3))
    view, peer, pool = wired(mined, had, lacking)
    pool.set_mining([(mined.hash, mined.data)])
    view.has([had.hash])
    peer.take()
    view.send_shares(
        peer, new_hashes=[mined.hash, had.hash, lacking.hash, lacking.hash], framed=[b"one", b"two"], pool=pool
    )
    assert peer.take() == [RememberTx((), (lacking,)), b"one", b"two", ForgetTx((lacking.hash,))]
    assert set(peer.kept) == {mined.hash}
    view.send_shares(peer, new_hashes=[mined.hash], framed=[b"three"], pool=pool)
    assert peer.take() == [b"three"]


def test_a_transaction_just_lost_still_goes_with_its_share():
    item = transaction(1)
    view, peer, pool = wired(item)
    pool.trim(set(), 0.0)
    view.send_shares(peer, new_hashes=[item.hash], framed=[b"share"], pool=pool)
    assert peer.take() == [RememberTx((), (item,)), b"share", ForgetTx((item.hash,))]


def test_without_room_for_its_transactions_a_share_is_not_sent():
    mined, lacking = transaction(1, 2_000_000), transaction(2, 500_000)
    view, peer, pool = wired(mined, lacking)
    pool.set_mining([(mined.hash, mined.data)])
    peer.take()
    view.send_shares(peer, new_hashes=[lacking.hash], framed=[b"share"], pool=pool)
    assert peer.take() == []
    view.has([lacking.hash])
    view.send_shares(peer, new_hashes=[lacking.hash], framed=[b"share"], pool=pool)
    assert peer.take() == [b"share"]


def test_what_a_peer_can_learn():
    item, had = transaction(1), transaction(2)
    view, _, pool = wired(item)
    view.has([had.hash])
    assert view.can_learn([], pool)
    assert view.can_learn([item.hash, had.hash], pool)
    assert not view.can_learn([item.hash, 12345], pool)


def test_the_oldest_of_too_many_are_forgotten():
    view = RemoteView()
    view.has(range(MAX_KNOWN))
    view.has([0, MAX_KNOWN, MAX_KNOWN + 1])
    assert len(view) == MAX_KNOWN
    assert [n in view for n in (0, 1, 2, MAX_KNOWN + 1)] == [False, False, True, True]
    view.lost(range(5))
    assert len(view) == MAX_KNOWN - 3


ITEMS = [transaction(n, size) for n, size in enumerate((30, 30, 100, 600_000, 900_000, 900_000, 1_200_000))]
SOME = st.lists(st.sampled_from(ITEMS), unique_by=lambda item: item.hash)


@given(st.lists(st.tuples(st.sampled_from(["mine", "share", "has", "lost", "trim"]), SOME), max_size=20))
@settings(max_examples=60)
def test_no_order_of_events_makes_a_peer_drop_us(steps):
    view, peer, pool = wired()
    for kind, items in steps:
        pairs = [(item.hash, item.data) for item in items]
        if kind == "mine":
            pool.set_mining(pairs)
        elif kind == "share":
            pool.add(pairs)
            before = dict(peer.kept)
            peer.take()
            view.send_shares(peer, new_hashes=[item.hash for item in items], framed=[b"share"], pool=pool)
            assert peer.kept == before
            assert (
                b"share" in peer.take() or sum(map(size_of, [*before.values(), *dict(pairs).values()])) > 2_500_000
            )
        elif kind == "has":
            peer.known.update(pairs)
            view.has([item.hash for item in items])
        elif kind == "lost":
            view.lost([item.hash for item in items])
        else:
            pool.trim(set(), 0.0)


def size_of(data: bytes) -> int:
    return len(data) + REMEMBERED_OVERHEAD


# --- transactions that legacy p2pool-dash calls by another hash --------------------------------------------------

UNLOCK, INSTANCE = asset_unlock.UNLOCK.hash, asset_unlock.UNLOCK.instance_hash


def test_an_asset_unlock_is_not_sent_ahead_to_a_peer_that_may_call_it_otherwise():
    """Legacy p2pool-dash hashes all bytes: it would disconnect us for forgetting what it does not remember."""
    view, peer, pool = wired()
    pool.set_mining([(UNLOCK, asset_unlock.DATA)])
    pool.set_mining([])
    assert peer.take() == []
    view.has([UNLOCK])
    peer.known[UNLOCK] = asset_unlock.DATA
    pool.set_mining([(UNLOCK, asset_unlock.DATA)])
    assert peer.take() == [RememberTx((UNLOCK,), ())]
    pool.set_mining([])
    assert peer.take() == [ForgetTx((UNLOCK,))]


def test_with_a_share_that_introduces_it_it_is_sent_to_all():
    """Who hashes as Dash Core does learns it; legacy p2pool-dash drops us and asks for the share afterwards."""
    view, peer, pool = wired()
    pool.set_mining([(UNLOCK, asset_unlock.DATA)])
    assert view.can_learn([UNLOCK], pool)
    view.send_shares(peer, new_hashes=[UNLOCK], framed=[b"share"], pool=pool)
    whole = RememberTx((), (RawTransaction(UNLOCK, asset_unlock.DATA),))
    assert peer.take() == [whole, b"share", ForgetTx((UNLOCK,))]


def test_by_the_hash_of_its_bytes_it_is_sent_as_any_other():
    view, peer, pool = wired()
    pool.add([(INSTANCE, asset_unlock.DATA)])
    assert view.can_learn([INSTANCE], pool)
    view.send_shares(peer, new_hashes=[INSTANCE], framed=[b"share"], pool=pool)
    whole = RememberTx((), (RawTransaction(INSTANCE, asset_unlock.DATA),))
    assert peer.take() == [whole, b"share", ForgetTx((INSTANCE,))]


def test_shares_that_call_it_by_either_hash_go_to_one_peer_together():
    """A share of legacy p2pool-dash and one of ours, each new, may both introduce it."""
    view, _, pool = wired()
    talk = Talk()
    pool.add([(UNLOCK, asset_unlock.DATA), (INSTANCE, asset_unlock.DATA)])
    sent = []
    talk.session.send_framed = sent.append
    view.send_shares(talk.session, new_hashes=[UNLOCK, INSTANCE], framed=[b"share"], pool=pool)
    before, share, after = sent
    assert share == b"share"
    talk.raw(before)
    assert set(talk.session.remembered) == {UNLOCK, INSTANCE}
    talk.raw(after)
    assert talk.session.remembered == {}
    assert talk.session.remembered_size == 0
