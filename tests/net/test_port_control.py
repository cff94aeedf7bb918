"""The packets of PCP and NAT-PMP, byte by byte as the RFCs draw them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest

from p2pool.base.errors import ParseError
from p2pool.net.port_control import Answer, NatPmp, Operation, Pcp

NONCE = bytes(range(12))
MAPPED = bytes(10) + b"\xff\xff"
"""Before the four bytes of an address of IPv4."""
PCP = Pcp(IPv4Address("192.168.1.7"), 8999, NONCE)
NAT_PMP = NatPmp(8999)
PORT = b"\x23\x27"
OUTSIDE = MAPPED + b"\xcb\x00\x71\x05"
PCP_HEAD = b"\x02\x81\x00\x00" + b"\x00\x00\x0e\x10" + b"\x00\x01\x00\x00" + bytes(12)
PCP_BODY = NONCE + b"\x06\0\0\0" + PORT + b"\x9c\x41" + OUTSIDE


def test_requests_of_pcp():
    head = b"\x02\x01\x00\x00" + b"\x00\x00\x0e\x10" + MAPPED + b"\xc0\xa8\x01\x07"
    no_address = MAPPED + bytes(4)
    assert PCP.map(3600, "", 8999) == head + NONCE + b"\x06\0\0\0" + PORT + PORT + no_address
    assert PCP.map(3600, "203.0.113.5", 40001)[-18:] == b"\x9c\x41" + OUTSIDE
    assert PCP.map(0, "", 0)[4:8] == bytes(4)
    assert PCP.check() == b"\x02\x00" + bytes(6) + MAPPED + b"\xc0\xa8\x01\x07"
    six = Pcp(IPv6Address("2001:db8::7"), 8999, NONCE)
    assert six.check()[8:] == IPv6Address("2001:db8::7").packed
    assert six.map(1, "", 8999)[-16:] == bytes(16)
    with pytest.raises(ValueError, match="12 bytes"):
        Pcp(IPv4Address("192.168.1.7"), 8999, b"short")


def test_requests_of_nat_pmp():
    assert NAT_PMP.check() == b"\0\0"
    assert NAT_PMP.map(3600, "203.0.113.5", 40001) == b"\0\x02\0\0" + PORT + b"\x9c\x41" + b"\x00\x00\x0e\x10"
    assert NAT_PMP.map(0, "", 0) == b"\0\x02\0\0" + PORT + bytes(6)


MAP, CHECK = Operation.MAP, Operation.CHECK


@pytest.mark.parametrize(
    ("dialect", "data", "answer"),
    [
        (PCP, PCP_HEAD + PCP_BODY, Answer(MAP, 65536, "", 3600, "203.0.113.5", 40001)),
        (PCP, PCP_HEAD + PCP_BODY + bytes(8), Answer(MAP, 65536, "", 3600, "203.0.113.5", 40001)),
        (
            PCP,
            PCP_HEAD + PCP_BODY[:-16] + IPv6Address("2001:db8::9").packed,
            Answer(MAP, 65536, "", 3600, "2001:db8::9", 40001),
        ),
        (
            PCP,
            PCP_HEAD[:3] + b"\x02" + PCP_HEAD[4:] + PCP_BODY,
            Answer(MAP, 65536, "it does not permit that", 3600, "203.0.113.5", 40001),
        ),
        (PCP, b"\x02\x80" + bytes(6) + b"\0\0\0\x09" + bytes(12), Answer(CHECK, 9)),
        (
            PCP,
            b"\x02\x80\0\x63" + bytes(4) + b"\0\0\0\x09" + bytes(12),
            Answer(CHECK, 9, "result 99"),
        ),
        (PCP, b"\x00\x81\x00\x01\0\0\0\x09", Answer(MAP, 0, refuses_version=True)),
        (PCP, b"\x00\x80\x00\x01\0\0\0\x09" + bytes(4), Answer(MAP, 0, refuses_version=True)),
        (
            PCP,
            b"\x01\x81\0\x01" + bytes(4) + b"\0\0\0\x09" + bytes(48),
            Answer(MAP, 9, "it does not support this version of PCP"),
        ),
        (NAT_PMP, b"\0\x80\0\0\0\1\0\0\xcb\x00\x71\x05", Answer(CHECK, 65536, host="203.0.113.5")),
        (
            NAT_PMP,
            b"\0\x82\0\0\0\1\0\0" + PORT + b"\x9c\x41" + b"\x00\x00\x0e\x10",
            Answer(MAP, 65536, lifetime=3600, port=40001),
        ),
        (NAT_PMP, b"\0\x82\0\x02\0\0\0\1", Answer(MAP, 1, "it does not permit that")),
        (NAT_PMP, b"\0\x80\0\x03\0\0\0\1" + bytes(4), Answer(CHECK, 1, "it has no connection to the internet")),
    ],
)
def test_answers(dialect, data, answer):
    assert dialect.read(data) == answer


@pytest.mark.parametrize(
    ("dialect", "data", "why"),
    [
        (PCP, b"", "0 bytes"),
        (PCP, PCP_HEAD[:-4], "20 bytes"),
        (PCP, PCP_HEAD + PCP_BODY + b"x", "61 bytes"),
        (PCP, PCP_HEAD + PCP_BODY + bytes(1100), "1160 bytes"),
        (PCP, PCP_HEAD + PCP_BODY[:-4], "56 bytes"),
        (PCP, b"\x02\x01" + PCP_HEAD[2:] + PCP_BODY, "a PCP request"),
        (PCP, b"\x02\x83" + PCP_HEAD[2:] + PCP_BODY, "operation 3"),
        (PCP, b"\x03\x81" + PCP_HEAD[2:] + PCP_BODY, "version 3"),
        (PCP, PCP_HEAD + b"\xff" + PCP_BODY[1:], "another nonce"),
        (PCP, PCP_HEAD + NONCE + b"\x11" + PCP_BODY[13:], "protocol 17"),
        (PCP, PCP_HEAD + NONCE + b"\x06\0\0\0\0\x01" + PCP_BODY[18:], "port 1"),
        (NAT_PMP, b"", "0 bytes"),
        (NAT_PMP, bytes(7), "7 bytes"),
        (NAT_PMP, bytes(17), "17 bytes"),
        (NAT_PMP, b"\0\x02" + bytes(10), "operation 2"),
        (NAT_PMP, b"\x02\x82" + bytes(10), "version 2"),
        (NAT_PMP, b"\0\x81" + bytes(10), "operation 1"),
        (NAT_PMP, b"\0\x80" + bytes(14), "16 bytes"),
        (NAT_PMP, b"\0\x82" + bytes(10), "12 bytes"),
        (NAT_PMP, b"\0\x82" + bytes(14), "port 0"),
    ],
)
def test_what_is_no_answer(dialect, data, why):
    with pytest.raises(ParseError, match=why):
        dialect.read(data)


def test_every_cut_and_flip_is_read_or_refused():
    """No bytes raise anything but ParseError."""
    answers = [(PCP, PCP_HEAD + PCP_BODY), (NAT_PMP, b"\0\x82" + bytes(6) + PORT + bytes(6))]
    for dialect, data in answers:
        for at in range(len(data)):
            for changed in (data[:at], data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]):
                try:
                    assert isinstance(dialect.read(changed), Answer)
                except ParseError:
                    pass


@pytest.mark.parametrize(
    ("dialect", "before", "after", "restarted"),
    [
        (PCP, (100, 0.0), (400, 300.0), False),
        (PCP, (100, 0.0), (99, 0.0), False),
        (PCP, (100, 0.0), (98, 0.0), True),
        (PCP, (100, 0.0), (410, 300.0), False),
        (PCP, (100, 0.0), (430, 300.0), True),
        (PCP, (100, 0.0), (385, 300.0), False),
        (PCP, (100, 0.0), (375, 300.0), True),
        (PCP, (5000, 0.0), (3, 300.0), True),
        (NAT_PMP, (100, 0.0), (400, 300.0), False),
        (NAT_PMP, (100, 0.0), (361, 300.0), False),
        (NAT_PMP, (100, 0.0), (360, 300.0), True),
        (NAT_PMP, (100, 0.0), (9000, 300.0), False),
        (NAT_PMP, (5000, 0.0), (3, 300.0), True),
    ],
)
def test_a_router_that_was_restarted(dialect, before, after, restarted):
    """RFC 6887, section 8.5: a sixteenth and two seconds; RFC 6886, section 3.6: an eighth and two seconds."""
    assert dialect.has_restarted(before, after) is restarted
