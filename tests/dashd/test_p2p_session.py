"""One connection to a node of the Dash network: bytes in, bytes and news out, whatever comes."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.base.errors import ParseError
from p2pool.dash import messages
from p2pool.dash.block import BlockHeader
from p2pool.dash.messages import GetAddr, GetHeaders, Headers, Inv, InventoryItem, Ping, Pong, SendHeaders, Verack
from p2pool.dashd.p2p_session import MAX_PARSED, Heard, P2pSession, pack_block
from p2pool.wire.framer import Framer, frame
from tests.dashd.talk import HANDSHAKE, MAGIC, NOW, addr, block_inv, packed, unpacked, version

NONCE = 0x1122334455667788
HEADER = BlockHeader(1, 2, 3, 4, 5, 6)
NOTHING = Heard(b"")


def new_session() -> P2pSession:
    return P2pSession(MAGIC, sub_version=b"/test:1/", nonce=NONCE, now=NOW)


def ready_session() -> P2pSession:
    session = new_session()
    session.receive(HANDSHAKE)
    assert session.ready
    return session


# --- what we say -----------------------------------------------------------------------------------------


def test_hello():
    (said,) = unpacked(new_session().hello())
    assert (said.version, said.sub_version) == (messages.PROTOCOL_VERSION, b"/test:1/")
    assert (said.nonce, said.time) == (NONCE, int(NOW))
    assert said.relay is False  # no transactions, please
    assert said.services == 0


def test_questions():
    session = new_session()
    assert unpacked(session.ask_headers(7)) == [
        SendHeaders(),
        GetHeaders(messages.PROTOCOL_VERSION, (7,), 0),
    ]
    assert unpacked(session.ask_addresses()) == [GetAddr()]


def test_a_block_is_one_message_for_every_connection():
    block = bytes(range(256)) * 8000
    assert list(Framer(MAGIC, messages.MAX_PAYLOAD).feed(pack_block(MAGIC, block))) == [("block", block)]


# --- the handshake ---------------------------------------------------------------------------------------


def test_handshake():
    session = new_session()
    assert session.version is None
    heard = session.receive(packed(version(sub_version=b"/x/")))
    assert unpacked(heard.output) == [Verack()]
    assert heard == NOTHING._replace(output=heard.output)
    assert session.version == version(sub_version=b"/x/")
    assert not session.ready
    assert session.receive(packed(Verack())) == NOTHING
    assert session.ready


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (packed(Verack()), "it sent verack before version"),
        (packed(Verack(), version()), "it sent verack before version"),
        (packed(version(), version()), "a second version"),
        (HANDSHAKE + packed(version(time=0)), "a second version"),
    ],
)
def test_what_comes_in_the_wrong_order_is_an_error(said, why):
    session = new_session()
    with pytest.raises(ParseError, match=why):
        session.receive(said)


def test_a_second_verack_changes_nothing():
    session = ready_session()
    assert session.receive(packed(Verack(), Verack())) == NOTHING
    assert session.ready


def test_a_version_of_an_older_or_newer_kind_is_one():
    old = version(relay=None, version=70000)
    session = new_session()
    session.receive(packed(old))
    assert session.version == old
    session = new_session()
    session.receive(frame(MAGIC, "version", version().pack() + b"fields to come"))
    assert session.version == version()


@pytest.mark.parametrize("cut", [0, 1, 45, 80, 84])
def test_half_a_version_is_an_error(cut):
    with pytest.raises(ParseError):
        new_session().receive(frame(MAGIC, "version", version().pack()[:cut]))


# --- news ------------------------------------------------------------------------------------------------


def test_pings_are_answered_with_their_number():
    heard = ready_session().receive(packed(Ping(7), Ping(2**64 - 1)))
    assert unpacked(heard.output) == [Pong(7), Pong(2**64 - 1)]


@pytest.mark.parametrize(
    ("said", "blocks"),
    [
        (block_inv(5), (5,)),
        (block_inv(5, 6), (5, 6)),
        (Inv((InventoryItem(messages.INVENTORY_COMPACT_BLOCK, 5),)), (5,)),
        (Inv((InventoryItem(1, 1), InventoryItem(messages.INVENTORY_BLOCK, 5), InventoryItem(1, 2))), (5,)),
        (Inv((InventoryItem(messages.INVENTORY_TRANSACTION, 5),)), ()),
        (Inv((InventoryItem(messages.INVENTORY_CHAINLOCK, 5), InventoryItem(12345, 5))), ()),
        (Inv(()), ()),
        (Headers(()), ()),
        (messages.SendHeaders(), ()),
        (messages.GetHeaders(1, (1,), 0), ()),
        (GetAddr(), ()),
        (Pong(1), ()),
    ],
)
def test_which_blocks_it_tells_of(said, blocks):
    assert ready_session().receive(packed(said)) == NOTHING._replace(blocks=blocks)


def test_headers_and_addresses():
    other = BlockHeader(9, 8, 7, 6, 5, 4)
    places = addr(("1.2.3.4", 9999), ("2a00::1", 1))
    heard = ready_session().receive(packed(Headers((HEADER,)), places, Headers((other,)), places))
    assert heard == NOTHING._replace(headers=(HEADER, other), addresses=places.entries * 2)


def test_unknown_commands_and_what_nobody_asked_for_are_passed_over():
    session = ready_session()
    noise = b"".join(
        frame(MAGIC, command, b"\x05nonsense")
        for command in ("qsendrecsigs", "tx", "block", "getdata", "getheaders", "addrv2", "\x01", "")
    )
    assert unpacked(session.receive(noise + packed(Ping(1))).output) == [Pong(1)]


def test_the_longest_list_of_headers_is_read_and_a_longer_message_of_anything_is_passed_over():
    session = ready_session()
    headers = Headers((HEADER,) * messages.MAX_HEADERS)
    assert len(session.receive(packed(headers)).headers) == messages.MAX_HEADERS
    assert len(headers.pack()) < MAX_PARSED
    inv = block_inv(*range(messages.MAX_INVENTORY))
    heard = session.receive(packed(inv, Ping(1)))
    assert heard.blocks == ()
    assert unpacked(heard.output) == [Pong(1)]
    assert len(session.receive(packed(addr(*[("1.2.3.4", 5)] * messages.MAX_ADDRESSES))).addresses) == 1000


# --- damage ----------------------------------------------------------------------------------------------


def test_messages_of_three_megabytes_cost_no_more_memory_than_one():
    session = ready_session()
    tracemalloc.start()
    for command in ("inv", "addr", "headers", "version", "ping", "block", "nonsense"):
        message = frame(MAGIC, command, bytes(messages.MAX_PAYLOAD))
        for start in range(0, len(message), 65536):
            session.receive(message[start : start + 65536])
        del message
    left, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert left < 4 * 1024 * 1024


def test_a_length_beyond_all_limits_is_no_message():
    session = ready_session()
    huge = MAGIC + b"inv".ljust(12, b"\x00") + b"\xff\xff\xff\xff" + b"\x00" * 4
    assert unpacked(session.receive(huge + packed(Ping(1))).output) == [Pong(1)]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff" * 9,
        b"\xfe\xff\xff\xff\xff",
        b"\x02" + bytes(36),
        b"\xfd\x01\x00" + bytes(36),  # a count that is longer than it needs to be
    ],
)
@pytest.mark.parametrize("command", ["inv", "headers", "addr"])
def test_lists_that_are_not_as_long_as_they_say(command, payload):
    with pytest.raises(ParseError):
        ready_session().receive(frame(MAGIC, command, payload))


def test_a_wrong_checksum_is_an_error():
    message = bytearray(packed(Ping(1)))
    message[-1] ^= 1
    with pytest.raises(ParseError, match="checksum"):
        ready_session().receive(bytes(message))


CONVERSATION = HANDSHAKE + packed(Ping(3), block_inv(5), addr(("1.2.3.4", 9999)), Headers((HEADER,)), Ping(4))


@given(st.lists(st.integers(0, len(CONVERSATION)), max_size=10))
def test_it_does_not_matter_how_the_bytes_are_cut(cuts):
    session, output, blocks, headers, addresses = new_session(), b"", [], [], []
    for start, end in pairwise([0, *sorted(cuts), len(CONVERSATION)]):
        heard = session.receive(CONVERSATION[start:end])
        output += heard.output
        blocks += heard.blocks
        headers += heard.headers
        addresses += heard.addresses
    assert unpacked(output) == [Verack(), Pong(3), Pong(4)]
    assert (blocks, headers, addresses) == ([5], [HEADER], list(addr(("1.2.3.4", 9999)).entries))
    assert session.ready


COMMANDS = st.sampled_from(["version", "verack", "ping", "inv", "headers", "addr", "block", "x", "\xff"])


@given(st.lists(st.tuples(COMMANDS.filter(str.isascii), st.binary(max_size=300), st.booleans()), max_size=8))
def test_whatever_comes_is_a_parse_error_or_something_of_this_kind(items):
    session = new_session()
    for command, data, framed in items:
        try:
            heard = session.receive(frame(MAGIC, command, data) if framed else MAGIC + data)
        except ParseError:
            break
        assert all(isinstance(block, int) for block in heard.blocks)
        unpacked(heard.output)
    assert session.version is not None or not session.ready


@given(st.data())
def test_one_flipped_byte_is_a_parse_error_or_passes(data):
    damaged = bytearray(CONVERSATION)
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        new_session().receive(bytes(damaged))
    except ParseError:
        pass
