"""Framing against the share chain's and Dash's messages, in any fragmentation and with rubbish between."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.wire.framer import ChecksumError, Framer, frame
from tests.support import vectors

MAX_PAYLOAD = 3_145_728


def test_share_chain_messages():
    data = vectors("p2p_messages")
    prefix = bytes.fromhex(data["prefix"])
    stream = b""
    for message in data["messages"]:
        framed = frame(prefix, message["command"], bytes.fromhex(message["payload"]))
        assert framed.hex() == message["framed"]
        stream += framed
    got = list(Framer(prefix, MAX_PAYLOAD).feed(stream))
    assert got == [(m["command"], bytes.fromhex(m["payload"])) for m in data["messages"]]


def test_dash_messages():
    data = vectors("dashd_p2p_messages")
    prefix = bytes.fromhex(data["magic"])
    framer = Framer(prefix, MAX_PAYLOAD)
    for message in data["messages"]:
        ((command, payload),) = framer.feed(bytes.fromhex(message["framed"]))
        assert command == message["command"]
        assert frame(prefix, command, payload).hex() == message["framed"]


@given(st.lists(st.integers(1, 7), max_size=60), st.binary(max_size=20))
def test_fragments_and_rubbish(cuts, rubbish):
    prefix = b"\xc0\xd1\xe2\xf3"
    rubbish = rubbish.replace(prefix[:1], b"")
    stream = rubbish + frame(prefix, "ping", b"") + rubbish + frame(prefix, "version", b"abc" * 30)
    framer, got, at = Framer(prefix, 1000), [], 0
    for cut in [*cuts, len(stream)]:
        got += framer.feed(stream[at : at + cut])
        at += cut
    assert got == [("ping", b""), ("version", b"abc" * 30)]


def test_a_wrong_checksum_is_an_error_of_its_own():
    damaged = bytearray(frame(b"abcd", "ping", b"payload"))
    damaged[-1] ^= 1
    with pytest.raises(ChecksumError, match="ping"):
        list(Framer(b"abcd", 100).feed(bytes(damaged)))


def test_a_longer_payload_than_allowed_is_skipped_to_the_next_prefix():
    framer = Framer(b"abcd", 10)
    stream = frame(b"abcd", "block", b"x" * 11) + frame(b"abcd", "ping", b"")
    assert list(framer.feed(stream)) == [("ping", b"")]


def test_the_buffer_stays_bounded_without_a_prefix():
    framer = Framer(b"abcdefgh", 10)
    for _ in range(100):
        assert list(framer.feed(b"z" * 10_000)) == []
    assert len(framer._buffer) < 8


def test_what_has_come_of_a_message_is_known_before_it_is_complete():
    framer, data = Framer(b"prefix", 1000), frame(b"prefix", "news", b"0123456789")
    start = len(data) - 10
    for size in range(len(data)):
        framer.add(data[size : size + 1])
        came = size + 1 - start
        expected = ("news", came, b"0123"[:came]) if came >= 0 else None
        assert framer.pending(4) == expected
    assert framer.next_message() == ("news", b"0123456789")
    assert framer.pending(4) is None
    framer.add(b"noise" + data)
    assert framer.pending(4) is None
