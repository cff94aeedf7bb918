"""Codecs of Dash's p2p messages: the vectors both ways, bounds, and damage of every kind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.base.errors import ParseError
from p2pool.dash import messages
from p2pool.dash.block import BlockHeader
from p2pool.wire.codec import pack_varint
from p2pool.wire.framer import Framer, frame

_VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "dashd_p2p_messages.json").read_text())
_MAGIC = bytes.fromhex(_VECTORS["magic"])
_FRAMED = [(entry["command"], bytes.fromhex(entry["framed"])) for entry in _VECTORS["messages"]]


def _payload(framed: bytes) -> tuple[str, bytes]:
    [(command, payload)] = Framer(_MAGIC, messages.MAX_PAYLOAD).feed(framed)
    return command, payload


@pytest.mark.parametrize(("command", "framed"), _FRAMED, ids=[c for c, _ in _FRAMED])
def test_vector_round_trip(command: str, framed: bytes) -> None:
    name, payload = _payload(framed)
    message = messages.parse_message(name, payload)
    assert name == command
    assert message is not None
    assert message.command == command
    assert frame(_MAGIC, message.command, message.pack()) == framed


@pytest.mark.parametrize(("command", "framed"), _FRAMED, ids=[c for c, _ in _FRAMED])
def test_bytes_after_the_end_are_ignored(command: str, framed: bytes) -> None:
    payload = _payload(framed)[1]
    if command == "version":
        payload += b"\x01"  # relay, which would take the first extra byte
    whole = messages.parse_message(command, payload)
    assert messages.parse_message(command, payload + b"\x00\xff\x17") == whole


@pytest.mark.parametrize(("command", "framed"), _FRAMED, ids=[c for c, _ in _FRAMED])
def test_every_truncation_is_a_parse_error(command: str, framed: bytes) -> None:
    payload = _payload(framed)[1]
    for size in range(min(len(payload), 300)):
        with pytest.raises(ParseError):
            messages.parse_message(command, payload[:size])


def test_fields_of_the_vectors() -> None:
    parsed = {command: messages.parse_message(command, _payload(framed)[1]) for command, framed in _FRAMED}
    version = parsed["version"]
    assert isinstance(version, messages.Version)
    assert version.version == 70238
    assert version.sub_version == b"/P2Pool:x/"
    assert version.relay is None
    inventory = parsed["inv"]
    assert isinstance(inventory, messages.Inv)
    assert [item.kind for item in inventory.items] == [2, 1]
    headers = parsed["headers"]
    block = parsed["block"]
    assert isinstance(headers, messages.Headers)
    assert isinstance(block, messages.BlockMessage)
    assert headers.headers == (block.block.header,)


@pytest.mark.parametrize(
    ("command", "count", "item"),
    [
        ("inv", messages.MAX_INVENTORY + 1, 36),
        ("getdata", messages.MAX_INVENTORY + 1, 36),
        ("headers", messages.MAX_HEADERS + 1, 81),
        ("addr", messages.MAX_ADDRESSES + 1, 30),
    ],
)
def test_lists_are_bounded(command: str, count: int, item: int) -> None:
    with pytest.raises(ParseError, match="at most"):
        messages.parse_message(command, pack_varint(count) + bytes(item * count))


def test_locator_and_sub_version_are_bounded() -> None:
    with pytest.raises(ParseError, match="at most"):
        messages.parse_message("getheaders", messages.GetHeaders(70238, (1,) * 102, 0).pack())
    nobody = messages.NO_ADDRESS
    with pytest.raises(ParseError, match="sub-version"):
        messages.parse_message("version", messages.Version(70238, 1, 0, nobody, nobody, 0, b"x" * 257, 0).pack())


def test_a_claimed_count_allocates_nothing() -> None:
    with pytest.raises(ParseError, match="cannot fit"):
        messages.parse_message("inv", b"\xfe\xff\xff\xff\x00")


def test_unknown_command_is_none() -> None:
    assert messages.parse_message("senddsq", b"\x01") is None


_NUMBER = st.integers(0, 2**32 - 1)
_HASH = st.integers(0, 2**256 - 1)
_ADDRESS = st.builds(
    messages.NetworkAddress,
    st.integers(0, 2**64 - 1),
    st.ip_addresses().map(lambda ip: str(getattr(ip, "ipv4_mapped", None) or ip)),
    st.integers(0, 65535),
)
_HEADER = st.builds(BlockHeader, _NUMBER, _HASH, _HASH, _NUMBER, _NUMBER, _NUMBER)
_ITEMS = st.lists(st.builds(messages.InventoryItem, _NUMBER, _HASH), max_size=5).map(tuple)
_MESSAGE = st.one_of(
    st.builds(messages.Ping, st.integers(0, 2**64 - 1)),
    st.builds(messages.Inv, _ITEMS),
    st.builds(messages.GetData, _ITEMS),
    st.builds(messages.GetHeaders, _NUMBER, st.lists(_HASH, max_size=5).map(tuple), _HASH),
    st.builds(messages.Headers, st.lists(_HEADER, max_size=4).map(tuple)),
    st.builds(
        messages.Addr,
        st.lists(st.builds(messages.TimedAddress, _NUMBER, _ADDRESS), max_size=4).map(tuple),
    ),
    st.builds(
        messages.Version,
        _NUMBER,
        st.integers(0, 2**64 - 1),
        st.integers(0, 2**64 - 1),
        _ADDRESS,
        _ADDRESS,
        st.integers(0, 2**64 - 1),
        st.binary(max_size=40),
        _NUMBER,
        st.sampled_from([None, True, False]),
    ),
)


@given(_MESSAGE)
def test_round_trip(message: messages.Message) -> None:
    assert messages.parse_message(message.command, message.pack()) == message


@given(st.sampled_from(sorted(messages.KNOWN_COMMANDS)), st.binary(max_size=400))
def test_arbitrary_bytes_raise_only_parse_errors(command: str, payload: bytes) -> None:
    try:
        messages.parse_message(command, payload)
    except ParseError:
        pass
