"""One connection: whatever comes, in whatever order, it costs bounded time and memory and raises only Drop."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pool.dash.block import BlockHeader, read_header
from p2pool.peers.errors import Drop, Misbehaviour
from p2pool.peers.messages import (
    AddrMe,
    Addrs,
    Envelope,
    ForgetTx,
    GetAddrs,
    HaveTx,
    LosingTx,
    PeerAddress,
    PeerPing,
    RememberTx,
    SeenAddress,
    ShareReply,
    ShareReq,
    Shares,
)
from p2pool.peers.remote_view import MAX_KNOWN
from p2pool.wire.codec import Reader, pack_uint256_list, pack_varint
from p2pool.wire.framer import frame
from tests.peers.wiring import PREFIX, TX, Recorder, Talk, chain, transaction, version
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


# --- bounds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "payload"),
    [
        ("have_tx", pack_uint256_list(range(98_000))),
        ("losing_tx", pack_uint256_list(range(98_000))),
        ("forget_tx", pack_uint256_list(range(98_000))),
        ("shares", pack_varint(1_500_000) + b"\x11\x00" * 1_500_000),
        ("sharereply", bytes(33) + pack_varint(1_500_000) + b"\x11\x00" * 1_500_000),
        ("remember_tx", b"\x00" + pack_varint(300_000) + bytes(10) * 300_000),
        ("have_tx", b"\xff" + b"\xff" * 8),
        ("shares", b"\xfe\xff\xff\xff\x7f"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_three_megabytes_cost_no_second(command, payload):
    talk = Talk()
    start = time.process_time()
    try:
        talk.raw(frame(PREFIX, command, payload))
    except Misbehaviour:
        pass
    assert time.process_time() - start < 0.6  # ten times what it takes; each took more than a second once
    assert len(talk.session.remote) <= MAX_KNOWN


# --- whatever comes ----------------------------------------------------------------------------------------------

SHARES = chain(5)
POOL = [transaction(number) for number in range(6)]
hashes = st.lists(st.sampled_from([*(t.hash for t in POOL), *(s.hash for s in SHARES), 1]), max_size=4).map(tuple)
shares = st.lists(
    st.builds(Envelope, st.sampled_from([16, 16, 16, 17]), st.sampled_from([s.contents for s in SHARES])),
    max_size=4,
).map(tuple)
some_address = st.builds(
    SeenAddress,
    st.integers(0, 2**64 - 1),
    st.builds(PeerAddress, st.sampled_from(["1.2.3.4", "::1", "2001:db8::1"]), st.integers(0, 65535)),
)
MESSAGES = st.one_of(
    st.just(PeerPing()),
    st.just(version()),
    st.builds(AddrMe, st.integers(0, 65535)),
    st.builds(Addrs, st.lists(some_address, max_size=3).map(tuple)),
    st.builds(GetAddrs, st.integers(0, 2**32 - 1)),
    st.builds(Shares, shares),
    st.builds(ShareReq, st.integers(0, 3), hashes, st.integers(0, 2**64 - 1), hashes),
    st.builds(ShareReply, st.integers(0, 3), st.integers(0, 6), shares),
    st.builds(HaveTx, hashes),
    st.builds(LosingTx, hashes),
    st.builds(RememberTx, hashes, st.lists(st.sampled_from(POOL), max_size=3).map(tuple)),
    st.builds(ForgetTx, hashes),
)


@given(st.lists(MESSAGES, max_size=12), st.booleans(), st.integers(0, 5))
@settings(max_examples=150)
def test_any_messages_in_any_order(said, greets, asked):
    talk, answers = Talk(ready=greets), Recorder()
    for number in range(asked):
        talk.session.request(number, SHARES[number % 5].hash, parents=3, stops=(), now=0.0, answered=answers)
    try:
        for message in said:
            talk.say(message)
    except Drop:
        pass
    else:
        assert talk.session.remembered.keys() <= talk.hub.transactions.known.keys()
    kept = talk.session.remembered
    assert talk.session.remembered_size == sum(len(data) + 100 for data in kept.values())
    talk.session.close()
    assert len(answers.answers) == asked


@given(st.lists(st.sampled_from(VECTORS), min_size=1, max_size=4), st.booleans(), st.data())
@settings(max_examples=300)
def test_real_messages_with_corruption(vectors, greets, data):
    stream = bytearray()
    for vector in vectors:
        if data.draw(st.booleans()):  # damage that the checksum does not tell
            payload = bytearray(bytes.fromhex(vector["payload"]))
            mutate(payload, data)
            stream += frame(PREFIX, vector["command"], bytes(payload))
        else:
            stream += bytes.fromhex(vector["framed"])
    if data.draw(st.booleans()):
        mutate(stream, data)
    talk = Talk(ready=greets)
    cut = data.draw(st.integers(0, len(stream)))
    try:
        talk.raw(bytes(stream[:cut]))
        talk.raw(bytes(stream[cut:]))
    except Drop:
        pass
    assert len(talk.session._framer._buffer) <= len(stream)
    assert len(talk.session.remote) <= 100


def mutate(data: bytearray, choice) -> None:
    for _ in range(choice.draw(st.integers(1, 4))):
        at = choice.draw(st.integers(0, len(data)))
        kind = choice.draw(st.sampled_from(("set", "cut", "insert")))
        if kind == "set" and at < len(data):
            data[at] = choice.draw(st.integers(0, 255))
        elif kind == "cut":
            del data[at : at + choice.draw(st.integers(1, 40))]
        else:
            data[at:at] = choice.draw(st.binary(max_size=20))
