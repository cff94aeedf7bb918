"""One connection: what every message does, and what a peer is punished with for what it does wrong."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.base.turns import SLICE_TIME
from p2pool.dash.block import BlockHeader, read_header
from p2pool.peers.errors import Drop, Misbehaviour, OwnNode
from p2pool.peers.messages import (
    MAX_PAYLOAD,
    AddrMe,
    Addrs,
    BestBlock,
    Envelope,
    GetAddrs,
    HaveTx,
    PeerAddress,
    PeerPing,
    PeerVersion,
    RememberTx,
    SeenAddress,
    ShareReply,
    ShareReq,
    Shares,
)
from p2pool.peers.share_requests import MAX_REQUESTS
from p2pool.wire.codec import Reader
from p2pool.wire.framer import frame
from tests.peers.wiring import PREFIX, TX, Recorder, Talk, chain, envelope, framed, transaction, version
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


# --- the handshake -----------------------------------------------------------------------------------------------


def test_the_hello_says_who_we_are():
    talk = Talk(ready=False)
    talk.session.hello()
    (hello,) = talk.heard.take()
    assert isinstance(hello, PeerVersion)
    assert (hello.version, hello.services, hello.mode, hello.nonce) == (3600, 0, 1, 5)
    assert hello.receiver == PeerAddress("203.0.113.9", 4000)
    assert hello.sender == PeerAddress("198.51.100.1", 9999)
    assert hello.best_share_hash is None


def test_after_the_handshake_it_hears_what_we_know():
    talk = Talk(ready=False)
    mined, known = transaction(1), transaction(2)
    talk.hub.transactions.set_mining([(mined.hash, mined.data)])
    talk.hub.transactions.add([(known.hash, known.data)])
    assert not talk.session.ready
    talk.say(version(best=99))
    assert talk.session.ready
    assert talk.hub.calls == [("welcome",), ("share_hash", 99)]
    have, remember = talk.heard.take()
    assert have == HaveTx((mined.hash, known.hash))
    assert remember == RememberTx((), (mined,))


def test_nothing_to_tell_is_not_told():
    talk = Talk(ready=False)
    talk.say(version())
    assert talk.heard.take() == []
    assert talk.hub.names() == ["welcome"]


@pytest.mark.parametrize(
    "first",
    [PeerPing(), AddrMe(9), GetAddrs(1), HaveTx(()), Shares(()), ShareReq(1, (), 0, ()), Addrs(())],
    ids=lambda message: message.command,
)
def test_anything_before_version_is_misbehaviour(first):
    talk = Talk(ready=False)
    with pytest.raises(Misbehaviour):
        talk.say(first)
    assert talk.hub.calls == []


def test_even_what_nobody_knows_is_misbehaviour_before_version():
    with pytest.raises(Misbehaviour):
        Talk(ready=False).raw(frame(PREFIX, "sendcmpct", b""))


def test_a_second_version_is_misbehaviour():
    talk = Talk()
    with pytest.raises(Misbehaviour):
        talk.say(version())


@pytest.mark.parametrize("number", [0, 1699])
def test_an_old_protocol_is_refused(number):
    talk = Talk(ready=False)
    with pytest.raises(Misbehaviour):
        talk.say(version(number=number))
    assert not talk.session.ready


@pytest.mark.parametrize("number", [1700, 1701, 3599, 3600, 3601, 0xFFFFFFFF])
def test_every_protocol_from_the_lowest_accepted_on_is_welcome(number):
    talk = Talk(ready=False)
    talk.say(version(number=number))
    assert talk.session.ready
    assert talk.session.version.version == number


def test_our_own_nonce_is_ourselves_no_misbehaviour():
    talk = Talk(ready=False)
    with pytest.raises(OwnNode) as error:
        talk.say(version(nonce=5))
    assert not isinstance(error.value, Misbehaviour)
    assert not talk.session.ready
    assert talk.hub.calls == []


def test_who_is_not_welcome_hears_nothing():
    talk = Talk(ready=False)
    talk.hub.unwelcome = True
    with pytest.raises(Drop) as error:
        talk.say(version(best=9))
    assert only_dropped(error)
    assert talk.hub.calls == []
    assert talk.heard.take() == []


# --- the form of messages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["command"])
def test_a_wrong_checksum_and_a_malformed_payload_are_misbehaviour(vector):
    talk = Talk(ready=vector["command"] != "version")
    damaged = bytearray(bytes.fromhex(vector["framed"]))
    damaged[8 + 12 + 4] ^= 1
    with pytest.raises(Misbehaviour, match="checksum"):
        talk.raw(bytes(damaged))
    talk = Talk(ready=vector["command"] != "version")
    with pytest.raises(Misbehaviour, match="malformed"):
        talk.raw(frame(PREFIX, vector["command"], bytes.fromhex(vector["payload"]) + b"\x00"))


def test_unknown_commands_are_ignored():
    talk = Talk()
    talk.raw(frame(PREFIX, "sendcmpct", b"whatever"))
    talk.raw(PREFIX + b"\xff" * 12 + frame(PREFIX, "x", b"")[20:])
    assert talk.hub.calls == []
    assert not talk.session.closed


def test_noise_and_a_message_that_is_too_long_are_passed_over():
    talk = Talk()
    too_long = PREFIX + b"addrme".ljust(12, b"\0") + (MAX_PAYLOAD + 1).to_bytes(4, "little") + bytes(4)
    talk.raw(b"noise" + too_long + framed(AddrMe(7)))
    assert talk.hub.calls == [("listens", 7)]


@given(st.lists(st.integers(1, 60), max_size=12))
def test_messages_come_in_any_pieces(sizes):
    talk = Talk(ready=False)
    data = framed(version(), AddrMe(1), PeerPing(), GetAddrs(3), AddrMe(2))
    for size in [*sizes, len(data)]:
        talk.raw(data[:size])
        data = data[size:]
    assert talk.hub.calls == [("welcome",), ("listens", 1), ("addresses_for", 3), ("listens", 2)]


def test_a_slow_sender_costs_one_message_of_memory():
    talk = Talk()
    head = PREFIX + b"have_tx".ljust(12, b"\0") + MAX_PAYLOAD.to_bytes(4, "little") + bytes(4)
    talk.raw(head)
    for _ in range(47):
        talk.raw(bytes(65536))
    assert len(talk.session._framer._buffer) <= MAX_PAYLOAD + len(head)


def test_nothing_is_heard_after_the_end():
    talk = Talk()
    talk.session.close()
    talk.say(AddrMe(1), BestBlock(real_header(0x03000001)))
    talk.session.send(PeerPing())
    assert talk.hub.calls == []
    assert talk.heard.take() == []


# --- time --------------------------------------------------------------------------------------------------------


def test_ten_seconds_for_the_handshake():
    talk = Talk(ready=False)
    talk.session.check_time(10.0)
    talk.raw(b"slowly")
    with pytest.raises(Drop) as error:
        talk.session.check_time(10.1)
    assert only_dropped(error)


def test_a_hundred_seconds_of_silence():
    talk = Talk()
    talk.now = 50.0
    talk.raw(b"x")
    talk.session.check_time(150.0)
    with pytest.raises(Drop) as error:
        talk.session.check_time(150.1)
    assert only_dropped(error)


def test_fifteen_seconds_for_an_answer():
    talk = Talk()
    late, answered = Recorder(), Recorder()
    talk.session.request(1, 9, parents=0, stops=(), now=20.0, answered=late)
    talk.session.request(2, 9, parents=0, stops=(), now=10.0, answered=answered)
    talk.say(ShareReply(2, 0, ()))
    talk.session.check_time(35.0)
    with pytest.raises(Drop) as error:
        talk.session.check_time(35.1)
    assert only_dropped(error)
    talk.session.close()
    assert (late.answers, answered.answers) == ([None], [[]])


# --- requests of ours --------------------------------------------------------------------------------------------


def ask(talk: Talk, share_hash: int, parents: int = 499) -> Recorder:
    answer = Recorder()
    talk.session.request(1, share_hash, parents=parents, stops=(4,), now=0.0, answered=answer)
    return answer


def test_a_request_and_its_answer():
    talk = Talk()
    shares = chain(4)[::-1]
    answer = ask(talk, shares[0].hash)
    assert talk.session.requests == 1
    assert talk.heard.take() == [ShareReq(1, (shares[0].hash,), 499, (4,))]
    talk.say(ShareReply(1, 0, tuple(map(envelope, shares))))
    assert answer.answers == [[share.hash for share in shares]]
    assert talk.session.requests == 0
    talk.say(ShareReply(1, 0, tuple(map(envelope, shares))))
    talk.session.close()
    talk.session.close()
    assert len(answer.answers) == 1
    assert "shares" not in talk.hub.names()


@pytest.mark.parametrize("result", [1, 2, 6])
def test_an_answer_of_failure_is_an_empty_one(result):
    talk = Talk()
    share = chain(1)[0]
    answer = ask(talk, share.hash)
    talk.say(ShareReply(1, result, (envelope(share),)))
    assert answer.answers == [[]]


def test_other_shares_than_asked_for_are_not_believed():
    shares = chain(6)[::-1]
    for asked, answers, taken in [
        (shares[1], shares, 0),
        (shares[0], (shares[0], shares[2], shares[1]), 1),
        (shares[0], (shares[0], shares[0]), 1),
        (shares[2], shares[2:], 4),
    ]:
        talk = Talk()
        answer = ask(talk, asked.hash)
        talk.say(ShareReply(1, 0, tuple(map(envelope, answers))))
        assert answer.answers == [[share.hash for share in answers[:taken]]]


def test_more_shares_than_asked_for_are_not_taken():
    talk, shares = Talk(), chain(6)[::-1]
    answer = ask(talk, shares[0].hash, parents=2)
    talk.say(ShareReply(1, 0, tuple(map(envelope, shares))))
    assert answer.answers == [[share.hash for share in shares[:3]]]


def test_an_answer_nobody_asked_for_is_not_looked_at():
    talk = Talk()
    talk.say(ShareReply(8, 0, (Envelope(16, bytes(300)),)))
    assert talk.hub.calls == []


def test_requests_beyond_the_bound_and_after_the_end_are_answered_at_once():
    talk, beyond = Talk(), Recorder()
    all_answers = Recorder()
    for number in range(MAX_REQUESTS):
        talk.session.request(number, 9, parents=0, stops=(), now=0.0, answered=all_answers)
    talk.session.request(MAX_REQUESTS, 9, parents=0, stops=(), now=0.0, answered=beyond)
    assert beyond.answers == [None]
    talk.session.close()
    assert all_answers.answers == [None] * MAX_REQUESTS
    talk.session.request(1, 9, parents=0, stops=(), now=0.0, answered=beyond)
    assert beyond.answers == [None, None]


def test_an_invalid_share_in_an_answer_is_misbehaviour_and_the_request_is_answered_once():
    talk, shares = Talk(), chain(3)[::-1]
    answer = ask(talk, shares[0].hash)
    with pytest.raises(Misbehaviour):
        talk.say(ShareReply(1, 0, (envelope(shares[0]), Envelope(16, shares[1].contents[:-1]))))
    talk.session.close()
    assert answer.answers == [None]


def test_a_long_answer_is_worked_through_in_turns_and_the_peer_is_not_late_meanwhile():
    talk, shares = Talk(), chain(200)[::-1]
    talk.hub.tick = SLICE_TIME
    answer = ask(talk, shares[0].hash)
    talk.session.receive(framed(ShareReply(1, 0, tuple(map(envelope, shares)))), 14.0)
    assert (answer.answers, talk.flow, talk.session.requests) == ([], [True], 1)
    talk.session.check_time(2000.0)
    talk.hub.run()
    talk.session.check_time(20.0)
    assert answer.answers == [[share.hash for share in shares]]
    assert talk.flow == [True, False]


def test_the_end_in_the_middle_of_a_long_answer():
    talk, shares = Talk(), chain(200)[::-1]
    talk.hub.tick = SLICE_TIME
    answer = ask(talk, shares[0].hash)
    talk.session.receive(framed(ShareReply(1, 0, tuple(map(envelope, shares)))), 1.0)
    talk.session.close()
    assert answer.answers == [None]
    talk.hub.run()
    assert answer.answers == [None]


def test_a_session_that_has_ended_keeps_nothing_that_the_peer_sent():
    """Somebody may still refer to it: its protocol does, until the garbage collector runs."""
    tracemalloc.start()
    try:
        talk = Talk()
        talk.say(RememberTx((), tuple(transaction(number, 400) for number in range(500))))
        talk.say(HaveTx(tuple(range(2**200, 2**200 + 5000))))
        talk.raw(frame(PREFIX, "shares", bytes(500_000))[:-1])
        talk.hub.transactions.trim(set(), 0.0)
        talk.hub.transactions.trim(set(), 100.0)
        held, _ = tracemalloc.get_traced_memory()
        talk.session.close()
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held > 1_200_000
    assert left < 100_000
