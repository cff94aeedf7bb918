"""The PROXY protocol's header: both versions, any cut, all that is none, and that nothing else is raised."""

from __future__ import annotations

import struct
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from p2pool.base.errors import ParseError
from p2pool.net.proxy_protocol import MAX_BLOCK, MAX_LINE, HeaderReader, ProxiedFrom

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")
STRATUM = b'{"id":1,"method":"mining.subscribe"}\n'


def v2(command: int, family: int, block: bytes, length: int | None = None) -> bytes:
    """A header of version 2; `length` where it lies about its block."""
    return SIGNATURE + struct.pack(">BBH", command, family, len(block) if length is None else length) + block


def inet(source: str, port: int) -> bytes:
    return IPv4Address(source).packed + IPv4Address("192.0.2.1").packed + struct.pack(">HH", port, 3333)


def inet6(source: str, port: int) -> bytes:
    return IPv6Address(source).packed + IPv6Address("2001:db8::1").packed + struct.pack(">HH", port, 3333)


TLV = b"\x04\x00\x05hello" + b"\xea\x00\x03\x01ab"
LONGEST_V6 = b":".join([b"ffff"] * 8)

VALID = [
    (b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", "192.168.0.1", 56324),
    (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255", 65535),
    (b"PROXY TCP4 1.2.3.4 0.0.0.0 0 0\r\n", "1.2.3.4", 0),
    (b"PROXY TCP6 2001:DB8::0005 ::1 7 443\r\n", "2001:db8::5", 7),
    (b"PROXY TCP6 ::ffff:10.1.2.3 ::1 7 443\r\n", "10.1.2.3", 7),
    (b"PROXY TCP6 ::ffff:a01:203 ::1 7 443\r\n", "10.1.2.3", 7),
    (b"PROXY TCP6 %b %b 65535 65535\r\n" % (LONGEST_V6, LONGEST_V6), LONGEST_V6.decode(), 65535),
    (b"PROXY UNKNOWN\r\n", None, 0),
    (b"PROXY UNKNOWN \r\n", None, 0),
    (b"PROXY UNKNOWN \xff\x00 \n\r anything\r\n", None, 0),
    (b"PROXY UNKNOWN %b %b 65535 65535\r\n" % (LONGEST_V6, LONGEST_V6), None, 0),
    (v2(0x21, 0x11, inet("10.1.2.3", 50000)), "10.1.2.3", 50000),
    (v2(0x21, 0x11, inet("10.1.2.3", 50000) + TLV), "10.1.2.3", 50000),
    (v2(0x21, 0x21, inet6("2001:db8::5", 258)), "2001:db8::5", 258),
    (v2(0x21, 0x21, inet6("::ffff:10.1.2.3", 1) + TLV), "10.1.2.3", 1),
    (v2(0x21, 0x11, inet("10.1.2.3", 1) + bytes(MAX_BLOCK - 12)), "10.1.2.3", 1),
    (v2(0x20, 0x00, b""), None, 0),
    (v2(0x20, 0x11, inet("10.1.2.3", 1)), None, 0),
    (v2(0x20, 0x11, b""), None, 0),
    (v2(0x20, 0xFF, b"what it likes"), None, 0),
    (v2(0x21, 0x00, b""), None, 0),
    (v2(0x21, 0x00, TLV), None, 0),
    (v2(0x21, 0x01, b""), None, 0),
    (v2(0x21, 0x10, b"abc"), None, 0),
    (v2(0x21, 0x12, inet("10.1.2.3", 1)), None, 0),
    (v2(0x21, 0x22, inet6("2001:db8::5", 1)), None, 0),
    (v2(0x21, 0x31, bytes(216)), None, 0),
    (v2(0x21, 0x32, bytes(216) + TLV), None, 0),
]
"""(header, host, port)."""

WRONG = [
    b"{",
    STRATUM,
    b"GET / HTTP/1.1\r\n",
    b"\x16\x03\x01",
    b"P ",
    b"proxy",
    b"PROXY  ",
    b"PROXY\t",
    b"PROXY TCP5",
    b"PROXY UDP4",
    b"PROXY TCP4\r",
    b"PROXY UNKNOWNX",
    b"PROXY UNKNOWN\r\r",
    b"PROXY UNKNOWN\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\rX",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\r",
    b"PROXY TCP4 1.2.3.4\x00",
    b"PROXY TCP4 \xd9\xa1",
    b"PROXY TCP6 fe80::1%",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 -",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
    b"PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n",
    b"PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
    b"PROXY TCP4 \r\n",
    b"PROXY TCP4    \r\n",
    b"PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n",
    b"PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n",
    b"PROXY TCP4 256.2.3.4 5.6.7.8 1 2\r\n",
    b"PROXY TCP4 ::1 5.6.7.8 1 2\r\n",
    b"PROXY TCP4 1.2.3.4 5.6.7 1 2\r\n",
    b"PROXY TCP4 1.2.3.4 ::1 1 2\r\n",
    b"PROXY TCP6 1.2.3.4 ::1 1 2\r\n",
    b"PROXY TCP6 ::1 1.2.3.4 1 2\r\n",
    b"PROXY TCP6 1::2::3 ::1 1 2\r\n",
    b"PROXY TCP6 12345::1 ::1 1 2\r\n",
    b"PROXY TCP6 1:2:3:4:5:6:7:8:9 ::1 1 2\r\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1 00\r\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 0x1 2\r\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1.0 2\r\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 100000 2\r\n",
    SIGNATURE[:11] + b"\x00",
    SIGNATURE + b"\x11",
    SIGNATURE + b"\x31",
    SIGNATURE + b"\x22",
    SIGNATURE + b"\x2f",
    SIGNATURE + b"\x21\x41",
    SIGNATURE + b"\x21\x13",
    SIGNATURE + b"\x21\x03",
    SIGNATURE + b"\x21\xff",
    v2(0x21, 0x11, b"", MAX_BLOCK + 1),
    v2(0x20, 0x00, b"", 65535),
    v2(0x21, 0x11, b"", 11),
    v2(0x21, 0x12, b"", 11),
    v2(0x21, 0x21, b"", 35),
    v2(0x21, 0x22, b"", 35),
    v2(0x21, 0x31, b"", 215),
    v2(0x21, 0x32, b"", 215),
]
"""Each is wrong with its last byte at the latest."""


def fed(pieces: list[bytes]) -> ProxiedFrom | None:
    """What comes of a connection's pieces: those after the header are added to `rest`."""
    reader = HeaderReader()
    found = None
    for piece in pieces:
        found = replace(found, rest=found.rest + piece) if found else reader.feed(piece)
    return found


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The bytes in pieces, some of them empty."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[low:high] for low, high in pairwise(edges)]


@pytest.mark.parametrize(("header", "host", "port"), VALID)
def test_a_header_says_whom_the_connection_comes_from(header, host, port):
    assert fed([header]) == ProxiedFrom(host, port, b"")
    assert fed([header + STRATUM]) == ProxiedFrom(host, port, STRATUM)


@pytest.mark.parametrize(("header", "host", "port"), VALID)
def test_byte_by_byte_it_is_complete_with_its_last_byte_and_not_before(header, host, port):
    reader = HeaderReader()
    for place in range(len(header) - 1):
        assert reader.feed(header[place : place + 1]) is None
    assert reader.feed(header[-1:]) == ProxiedFrom(host, port, b"")


@given(st.sampled_from(VALID), st.binary(max_size=60), st.lists(st.integers(0, 2000), max_size=12))
def test_any_cut_gives_the_same(case, payload, places):
    header, host, port = case
    assert fed(cut(header + payload, places)) == ProxiedFrom(host, port, payload)


@pytest.mark.parametrize("data", WRONG)
def test_it_is_refused_as_soon_as_it_is_known_to_be_wrong(data):
    with pytest.raises(ParseError):
        fed([data])
    reader = HeaderReader()
    for place in range(len(data) - 1):
        try:
            assert reader.feed(data[place : place + 1]) is None
        except ParseError:
            # Earlier is better.
            return
    with pytest.raises(ParseError):
        reader.feed(data[-1:])


@pytest.mark.parametrize(
    ("data", "bytes_needed"),
    [
        (STRATUM, 1),
        (b"PROXZ TCP4", 5),
        (b"PROXY TCP7 1.2.3.4", 10),
        (b"PROXY TCP4 1.2.3.4,5.6.7.8 1 2\r\n", 19),
        (SIGNATURE + b"\x10\x11\x00\x0c", 13),
        (SIGNATURE + b"\x21\x51\x00\x0c", 14),
        (SIGNATURE + b"\x21\x11\x04\x01", 16),
        (SIGNATURE + b"\x21\x11\x00\x0b", 16),
    ],
)
def test_the_byte_that_is_wrong_is_the_last_that_is_waited_for(data, bytes_needed):
    reader = HeaderReader()
    for place in range(bytes_needed - 1):
        assert reader.feed(data[place : place + 1]) is None
    with pytest.raises(ParseError):
        reader.feed(data[bytes_needed - 1 : bytes_needed])


@pytest.mark.parametrize("opening", [b"PROXY UNKNOWN ", b"PROXY TCP4 ", b"PROXY TCP6 "])
def test_a_line_without_end_is_refused_at_its_bound(opening):
    reader = HeaderReader()
    assert reader.feed(opening + b"1" * (MAX_LINE - len(opening) - 1)) is None
    with pytest.raises(ParseError):
        reader.feed(b"1")


def test_a_line_may_be_as_long_as_the_bound_and_no_longer():
    longest = b"PROXY UNKNOWN ".ljust(MAX_LINE - 2, b"x") + b"\r\n"
    assert len(longest) == MAX_LINE == 107
    assert fed([longest + b"y"]) == ProxiedFrom(None, 0, b"y")
    with pytest.raises(ParseError):
        fed([longest[:-2] + b"x\r\n"])


def test_after_the_header_every_byte_is_the_clients():
    reader = HeaderReader()
    assert reader.feed(b"PROXY TCP4 1.2.3.4 5.6.7.8 9 2\r\n{") == ProxiedFrom("1.2.3.4", 9, b"{")
    assert reader.feed(b"PROXY UNKNOWN\r\n") == ProxiedFrom("1.2.3.4", 9, b"PROXY UNKNOWN\r\n")
    assert reader.feed(b"") == ProxiedFrom("1.2.3.4", 9, b"")
    # The client's first bytes are not kept for as long as it is connected.
    assert reader._found == ProxiedFrom("1.2.3.4", 9, b"")


def test_what_was_refused_stays_refused():
    reader = HeaderReader()
    with pytest.raises(ParseError) as first:
        reader.feed(b"GET /")
    with pytest.raises(ParseError) as second:
        reader.feed(b"PROXY UNKNOWN\r\n")
    assert str(first.value) == str(second.value)


def test_an_error_does_not_repeat_a_flood():
    with pytest.raises(ParseError) as refused:
        fed([b"x" * 100_000])
    assert len(str(refused.value)) < 200
    with pytest.raises(ParseError) as refused:
        fed([b"PROXY TCP4 " + b"1" * 50 + b" \r\n" + b"x" * 100_000])
    assert len(str(refused.value)) < 200


@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                [SIGNATURE, b"PROXY ", b"TCP4 ", b"TCP6 ", b"UNKNOWN", b"1.2.3.4 ", b"::1 ", b"1 2\r\n"]
            ),
            st.binary(max_size=40),
        ),
        max_size=30,
    )
)
@example([SIGNATURE, b"\x21\x33\x00\x00"])
def test_bytes_of_any_kind_raise_nothing_else_and_keep_little(pieces):
    reader = HeaderReader()
    given_bytes = 0
    for piece in pieces:
        try:
            found = reader.feed(piece)
        except ParseError:
            assert reader._buffer == b""
            return
        given_bytes += len(piece)
        assert len(reader._buffer) < 16 + MAX_BLOCK
        if found is not None:
            assert given_bytes >= 15
            assert reader._buffer == b""
            return


@given(st.sampled_from(VALID), st.data())
def test_a_changed_header_is_refused_or_read_but_nothing_else(case, data):
    header = bytearray(case[0])
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(header) - 1))
        header[place] = data.draw(st.integers(0, 255))
    places = data.draw(st.lists(st.integers(0, 2000), max_size=3))
    outcomes = []
    for pieces in ([bytes(header)], cut(bytes(header), places)):
        try:
            outcomes.append(fed(pieces))
        except ParseError:
            outcomes.append("refused")
    assert outcomes[0] == outcomes[1]


@given(st.ip_addresses(), st.ip_addresses(), st.integers(0, 65535), st.booleans(), st.binary(max_size=300))
def test_addresses_come_through_in_both_versions(source, destination, port, binary, tlvs):
    assume(source.version == destination.version)
    six = source.version == 6
    if binary:
        addresses = source.packed + destination.packed + struct.pack(">HH", port, 1)
        header = v2(0x21, 0x21 if six else 0x11, addresses + tlvs)
    else:
        header = f"PROXY TCP{source.version} {source} {destination} {port} 1\r\n".encode()
    expected = str((six and source.ipv4_mapped) or source)
    assert fed([header]) == ProxiedFrom(expected, port, b"")
