"""One connection: shares, addresses, blocks and transactions that come, and what may be wrong with them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pool.base.turns import SLICE_TIME, TURN_TIME
from p2pool.dash.block import BlockHeader, read_header
from p2pool.dash.hashes import sha256d_int
from p2pool.dash.target import bits_to_target
from p2pool.peers import messages
from p2pool.peers.allowance import MAX_ADDRESSES
from p2pool.peers.errors import Drop, Misbehaviour
from p2pool.peers.messages import (
    MAX_PAYLOAD,
    AddrMe,
    Addrs,
    BestBlock,
    Envelope,
    ForgetTx,
    GetAddrs,
    HaveTx,
    LosingTx,
    PeerAddress,
    PeerPing,
    RawTransaction,
    RememberTx,
    SeenAddress,
    ShareReply,
    ShareReq,
    Shares,
)
from p2pool.peers.remote_view import MAX_KNOWN
from p2pool.peers.transactions import MAX_REMEMBERED
from p2pool.peers.transactions import OVERHEAD as REMEMBERED_OVERHEAD
from p2pool.wire.codec import Reader
from tests.dash import asset_unlock
from tests.peers.wiring import TX, Recorder, Talk, chain, envelope, framed, transaction
from tests.support import vectors

VECTORS = vectors("p2p_messages")["messages"]
SEEN = SeenAddress(5, PeerAddress("8.8.8.8", 9))
TX_NUMBERS = tuple(int.from_bytes(tx_hash, "little") for tx_hash in TX)


def only_dropped(error: pytest.ExceptionInfo[Drop]) -> bool:
    return type(error.value) is Drop


def real_header(bits: int) -> BlockHeader:
    """A header that meets its bits, or not: the first nonce for which it does."""
    vector = next(v for v in VECTORS if v["command"] == "bestblock")
    header = read_header(Reader(bytes.fromhex(vector["fields"]["header"])))
    return replace(header, bits=bits)


# --- shares that come --------------------------------------------------------------------------------------------


def test_shares_come_in():
    talk, shares = Talk(), chain(3)[::-1]
    talk.say(Shares(tuple(map(envelope, shares))), Shares(()))
    assert talk.hub.calls == [("shares", tuple(share.hash for share in shares))]


def test_an_older_type_is_misbehaviour():
    talk, (share,) = Talk(), chain(1)
    with pytest.raises(Misbehaviour, match="obsolete type 15"):
        talk.say(Shares((envelope(share, 15),)))


def test_a_share_without_work_is_misbehaviour():
    share = chain(1)[0]
    contents = bytearray(share.contents)
    at = share.share_info_end - 2 * 4 - 4 - 16  # bits: 4 bytes before timestamp, absheight, abswork
    assert contents[at : at + 4] == share.bits.to_bytes(4, "little")
    contents[at : at + 4] = (0x03000001).to_bytes(4, "little")
    talk = Talk()
    with pytest.raises(Misbehaviour, match="invalid share"):
        talk.say(Shares((Envelope(16, bytes(contents)),)))
    assert talk.hub.calls == []


def test_a_malformed_share_is_misbehaviour():
    talk = Talk()
    with pytest.raises(Misbehaviour):
        talk.say(Shares((Envelope(16, chain(1)[0].contents + b"\x00"),)))


def test_the_transactions_of_a_share_must_be_known():
    share = chain(1, with_transactions=True)[0]
    assert set(share.new_transaction_hashes) == set(TX_NUMBERS)
    talk = Talk()
    talk.hub.transactions.add([(TX_NUMBERS[0], b"one")])
    with pytest.raises(Drop) as error:
        talk.say(Shares((envelope(share),)))
    assert only_dropped(error)
    assert talk.hub.calls == []
    talk = Talk()
    talk.hub.transactions.add([(TX_NUMBERS[0], b"one")])
    talk.session.remembered[TX_NUMBERS[1]] = b"two"
    talk.say(Shares((envelope(share),)))
    assert talk.hub.calls == [("shares", (share.hash,))]


def test_a_transaction_just_lost_is_known_for_twenty_seconds():
    share, talk = chain(1, with_transactions=True)[0], Talk()
    talk.hub.transactions.add([(TX_NUMBERS[0], b"one"), (TX_NUMBERS[1], b"two")])
    talk.hub.transactions.trim(set(), 100.0)
    talk.hub.transactions.trim(set(), 120.0)
    talk.say(Shares((envelope(share),)))
    assert talk.hub.names() == ["shares"]
    talk.hub.transactions.trim(set(), 120.1)
    with pytest.raises(Drop) as error:
        talk.say(Shares((envelope(share),)))
    assert only_dropped(error)


def test_an_answer_to_a_request_needs_no_transactions():
    share, talk = chain(1, with_transactions=True)[0], Talk()
    answer = Recorder()
    talk.session.request(1, share.hash, parents=0, stops=(), now=0.0, answered=answer)
    talk.say(ShareReply(1, 0, (envelope(share),)))
    assert answer.answers == [[share.hash]]


def test_long_lists_take_turns_in_order_with_the_connection_paused():
    talk, shares = Talk(), chain(200)[::-1]
    first = chain(1, with_transactions=True)[0]
    raw = transaction(1)
    for tx_hash in TX_NUMBERS:
        talk.session.remembered[tx_hash] = raw.data
    long_list = (*map(envelope, shares), envelope(first))
    talk.hub.tick = TURN_TIME
    talk.session.receive(framed(Shares(long_list), ForgetTx(TX_NUMBERS), AddrMe(1)), 1.0)
    assert talk.flow == [True]
    assert talk.hub.calls == []
    talk.session.receive(framed(AddrMe(2)), 2.0)
    assert talk.hub.run() >= 201 // 64
    assert talk.hub.names() == ["shares", "listens", "listens"]
    assert len(talk.hub.calls[0][1]) == 201
    assert talk.hub.calls[1:] == [("listens", 1), ("listens", 2)]
    assert talk.session.remembered == {}
    assert talk.flow == [True, False]
    assert talk.failed == []


def test_what_is_wrong_far_down_a_list_is_found():
    talk, shares = Talk(), chain(200)[::-1]
    talk.hub.tick = SLICE_TIME
    talk.session.receive(framed(Shares((*map(envelope, shares), Envelope(15, bytes(200)))), AddrMe(1)), 1.0)
    assert talk.failed == []
    talk.hub.run()
    assert [type(error) for error in talk.failed] == [Misbehaviour]
    assert talk.hub.calls == []


def test_an_internal_error_in_a_later_turn_is_reported():
    talk, shares = Talk(), chain(200)[::-1]
    talk.hub.tick = SLICE_TIME
    talk.hub.shares_came = lambda shares, session: 1 / 0
    talk.session.receive(framed(Shares(tuple(map(envelope, shares)))), 1.0)
    talk.hub.run()
    assert [type(error) for error in talk.failed] == [ZeroDivisionError]


def test_thousands_of_small_messages_at_once_are_seen_to_the_last():
    """In turns: no flood holds up the others, and no depth of calls grows with it."""
    talk = Talk()
    talk.hub.tick = SLICE_TIME / 100
    talk.session.receive(framed(Shares(())) * 5000 + framed(GetAddrs(1)), 1.0)
    assert talk.flow == [True]
    assert talk.hub.calls == []
    turns = talk.hub.run()
    assert talk.failed == []
    assert talk.hub.names() == ["addresses_for"]
    assert turns >= 5
    assert talk.flow == [True, False]


# --- sharereq ----------------------------------------------------------------------------------------------------


def test_shares_are_answered():
    talk, shares = Talk(), chain(3)
    talk.hub.held = shares
    talk.say(ShareReq(7, (1, 2), 10, (3, 4)))
    assert talk.hub.calls == [("asked", 2, 10, (3, 4))]
    assert talk.heard.take() == [ShareReply(7, 0, tuple(map(envelope, shares)))]


@given(st.integers(1, 3000), st.one_of(st.integers(0, 2000), st.just(2**64 - 1)))
@settings(max_examples=30)
def test_the_limit_of_parents(count, parents):
    talk = Talk()
    talk.say(ShareReq(7, (1,) * count, parents, ()))
    assert sum(asked for _, asked, _, _ in talk.hub.calls) == count
    assert {(told, stops) for _, _, told, stops in talk.hub.calls} == {(min(parents, 1000 // count), ())}


def test_a_request_for_nothing_is_answered_with_nothing():
    talk = Talk()
    talk.say(ShareReq(7, (), 10, ()))
    assert talk.heard.take() == [ShareReply(7, 0, ())]


def test_an_answer_beyond_the_limit_is_refused():
    talk = Talk()
    share = chain(1)[0]
    fitting = (MAX_PAYLOAD - 64) // (len(share.contents) + 10)
    talk.hub.held = (share,) * fitting
    talk.say(ShareReq(7, (1,), 10, ()))
    assert [len(reply.shares) for reply in talk.heard.take(ShareReply)] == [fitting]
    talk.hub.held = (share,) * (MAX_PAYLOAD // len(share.contents) + 1)
    talk.say(ShareReq(8, (1,), 10, ()))
    assert talk.heard.take() == [ShareReply(8, messages.TOO_LONG, ())]
    assert talk.heard.largest <= MAX_PAYLOAD


def test_one_answer_in_a_turn():
    talk = Talk()
    talk.hub.tick = TURN_TIME
    talk.hub.held = chain(3)
    talk.session.receive(framed(*[ShareReq(n, (1,), 10, ()) for n in range(5)]), 1.0)
    talk.session.receive(framed(PeerPing()), 1.0)
    assert len(talk.heard.messages) == 0, "it is put together in one turn and sent in another"
    for turn in range(2, 11):
        talk.hub.run(1)
        assert [reply.id for reply in talk.heard.messages] == list(range(turn // 2))
    talk.hub.run()
    assert talk.flow == [True, False]


# --- addresses ---------------------------------------------------------------------------------------------------


def test_addresses_come_and_go():
    talk = Talk()
    talk.hub.addresses = [SEEN] * 200
    talk.say(Addrs((SEEN, SEEN)), AddrMe(65535), GetAddrs(2), GetAddrs(2**32 - 1), GetAddrs(0))
    assert talk.hub.calls == [
        ("address", SEEN),
        ("address", SEEN),
        ("listens", 65535),
        ("addresses_for", 2),
        ("addresses_for", 100),
        ("addresses_for", 0),
    ]
    assert [len(said.addresses) for said in talk.heard.take()] == [2, 100, 0]


def test_a_flood_of_addresses_is_cut():
    talk = Talk()
    talk.say(Addrs((SEEN,) * 92_000))
    assert len(talk.hub.calls) == MAX_ADDRESSES == 100
    talk.say(Addrs((SEEN,)), AddrMe(5))
    assert len(talk.hub.calls) == 100
    talk.now = 20.0
    talk.say(Addrs((SEEN,)), AddrMe(5), Addrs((SEEN,)))
    assert talk.hub.calls[100:] == [("address", SEEN), ("listens", 5)]
    talk.session.request_addresses(8)
    assert talk.heard.take() == [GetAddrs(8)]
    talk.say(Addrs((SEEN,) * 100))
    assert len(talk.hub.calls) == 110


# --- the best block ----------------------------------------------------------------------------------------------


def test_a_best_block_must_have_its_work():
    easiest = real_header(0x207FFFFF)
    header = next(h for n in range(64) if (h := replace(easiest, nonce=n)).hash() <= bits_to_target(easiest.bits))
    talk = Talk()
    talk.say(BestBlock(header))
    assert talk.hub.calls == [("best_block", header.hash())]
    with pytest.raises(Misbehaviour):
        talk.say(BestBlock(replace(header, bits=0x1B00FFFF)))
    assert len(talk.hub.calls) == 1


# --- transactions ------------------------------------------------------------------------------------------------


def test_what_the_peer_knows_is_bounded():
    talk = Talk()
    talk.say(HaveTx(tuple(range(1, 4))), LosingTx((2, 99)))
    assert [number in talk.session.remote for number in (1, 2, 3, 99)] == [True, False, True, False]
    talk.say(HaveTx(tuple(range(100, 98_000))))
    assert len(talk.session.remote) == MAX_KNOWN
    assert 97_999 in talk.session.remote
    assert 1 not in talk.session.remote


def test_remembered_transactions_are_known_and_usable():
    talk, ours, theirs = Talk(), transaction(1), transaction(2)
    talk.hub.transactions.add([(ours.hash, ours.data)])
    talk.say(RememberTx((ours.hash,), (theirs,)))
    assert talk.session.remembered == {ours.hash: ours.data, theirs.hash: theirs.data}
    assert talk.session.remembered_size == len(ours.data) + len(theirs.data) + 2 * REMEMBERED_OVERHEAD
    assert talk.hub.transactions.known[theirs.hash] == theirs.data
    talk.say(ForgetTx((ours.hash, 12345)))
    talk.say(ForgetTx((theirs.hash, theirs.hash)))
    assert talk.session.remembered == {}
    assert talk.session.remembered_size == 0


def test_a_transaction_that_nobody_knows_cannot_be_remembered_by_hash():
    talk = Talk()
    with pytest.raises(Drop) as error:
        talk.say(RememberTx((3,), ()))
    assert only_dropped(error)


@pytest.mark.parametrize("first", ["hash", "full"])
@pytest.mark.parametrize("second", ["hash", "full"])
def test_remembering_twice_keeps_it_once(first, second):
    """c2pool-dash sends what its shares name again where our `have_tx` has not reached it yet."""
    talk, item = Talk(), transaction(1)
    talk.hub.transactions.add([(item.hash, item.data)])
    for how in (first, second):
        talk.say(RememberTx((item.hash,), ()) if how == "hash" else RememberTx((), (item,)))
    talk.say(RememberTx((item.hash, item.hash), (item, item)))
    assert talk.session.remembered == {item.hash: item.data}
    assert talk.session.remembered_size == len(item.data) + REMEMBERED_OVERHEAD
    talk.say(ForgetTx((item.hash,)))
    assert talk.session.remembered_size == 0


def test_forgotten_ones_may_be_remembered_again():
    talk, item = Talk(), transaction(1)
    for _ in range(3):
        talk.say(RememberTx((), (item,)), ForgetTx((item.hash,)))


def test_beyond_the_bound_the_oldest_go():
    """c2pool-dash fills it at the handshake, and sends on top what its shares name: no fault of an honest node."""
    talk, rest = Talk(), MAX_REMEMBERED - 1_000_000 - REMEMBERED_OVERHEAD
    first, second = transaction(1, 1_000_000 - REMEMBERED_OVERHEAD), transaction(2, rest)
    third = transaction(3, 27)
    talk.say(RememberTx((), (first,)), RememberTx((), (second,)))
    assert talk.session.remembered_size == MAX_REMEMBERED
    talk.say(RememberTx((), (third,)))
    assert set(talk.session.remembered) == {second.hash, third.hash}
    assert talk.session.remembered_size == MAX_REMEMBERED - 1_000_000 + 27 + REMEMBERED_OVERHEAD
    talk.say(ForgetTx((first.hash,)))
    assert talk.session.remembered_size == MAX_REMEMBERED - 1_000_000 + 27 + REMEMBERED_OVERHEAD


def test_one_transaction_that_exceeds_the_bound_is_misbehaviour():
    with pytest.raises(Misbehaviour):
        Talk().say(RememberTx((), (transaction(1, MAX_REMEMBERED - REMEMBERED_OVERHEAD + 1),)))


def test_each_transaction_counts_a_hundred_bytes_more():
    talk = Talk()
    small = [transaction(number, 27) for number in range(MAX_REMEMBERED // 127 + 1)]
    talk.say(RememberTx((), tuple(small[:-1])))
    assert len(talk.session.remembered) == len(small) - 1
    talk.say(RememberTx((), tuple(small[-1:])))
    assert small[0].hash not in talk.session.remembered
    assert len(talk.session.remembered) == len(small) - 1


# --- transactions whose hash leaves bytes out --------------------------------------------------------------------

UNLOCK = RawTransaction(asset_unlock.UNLOCK.hash, asset_unlock.DATA, asset_unlock.UNLOCK.instance_hash)
AGAIN_DATA = asset_unlock.signed_again()
AGAIN = RawTransaction(UNLOCK.hash, AGAIN_DATA, sha256d_int(AGAIN_DATA))


def test_an_asset_unlock_is_remembered_by_dash_cores_hash_and_by_that_of_its_bytes():
    talk = Talk()
    for forgotten in (UNLOCK.hash, UNLOCK.other_hash):
        talk.say(RememberTx((), (UNLOCK,)))
        assert talk.session.remembered == {UNLOCK.hash: UNLOCK.data, UNLOCK.other_hash: UNLOCK.data}
        assert talk.session.remembered_size == len(UNLOCK.data) + REMEMBERED_OVERHEAD
        assert set(talk.hub.transactions.known) == {UNLOCK.hash, UNLOCK.other_hash}
        talk.say(ForgetTx((forgotten,)))
        assert talk.session.remembered == {}
        assert talk.session.remembered_size == 0


def test_a_withdrawal_that_was_signed_again_is_remembered_beside_the_first():
    talk = Talk()
    talk.say(RememberTx((), (UNLOCK,)), RememberTx((), (AGAIN,)))
    assert set(talk.session.remembered) == {UNLOCK.hash, UNLOCK.other_hash, AGAIN.other_hash}
    talk.say(ForgetTx((UNLOCK.other_hash,)))
    assert talk.session.remembered == {AGAIN.other_hash: AGAIN_DATA}
    talk.say(ForgetTx((AGAIN.other_hash,)))
    assert talk.session.remembered_size == 0


@pytest.mark.parametrize("names", [(), ("hash",), ("other_hash",)])
def test_remembering_an_asset_unlock_twice_keeps_it_once(names):
    talk = Talk()
    talk.say(RememberTx((), (UNLOCK,)))
    talk.say(RememberTx(tuple(getattr(UNLOCK, name) for name in names), () if names else (UNLOCK,)))
    assert talk.session.remembered_size == len(UNLOCK.data) + REMEMBERED_OVERHEAD
    talk.say(ForgetTx((UNLOCK.hash,)))
    assert talk.session.remembered == {}


def test_an_asset_unlock_goes_with_both_names_where_it_is_the_oldest():
    talk = Talk()
    talk.say(RememberTx((), (UNLOCK,)), RememberTx((), (transaction(1, MAX_REMEMBERED - REMEMBERED_OVERHEAD),)))
    assert len(talk.session.remembered) == 1
    assert talk.session.remembered_size == MAX_REMEMBERED
