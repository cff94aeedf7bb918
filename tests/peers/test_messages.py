"""Messages between nodes: the existing network's bytes, both ways; garbage is never more than a ParseError."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.base.errors import ParseError
from p2pool.dash.block import read_header
from p2pool.dash.hashes import sha256d_int
from p2pool.networks.parameters import MINIMUM_PROTOCOL
from p2pool.peers import messages
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
    PeerVersion,
    RawTransaction,
    RememberTx,
    SeenAddress,
    ShareReply,
    ShareReq,
    Shares,
    parse_message,
)
from p2pool.wire.codec import Reader
from p2pool.wire.framer import Framer, frame
from tests.dash import asset_unlock
from tests.support import number, vectors

VECTORS = vectors("p2p_messages")
PREFIX = bytes.fromhex(VECTORS["prefix"])
RESULTS = {"good": 0, "too long": 1}


def numbers(texts) -> tuple[int, ...]:
    return tuple(int(text, 16) for text in texts)


def address(fields: dict[str, Any]) -> PeerAddress:
    return PeerAddress(str(ipaddress.ip_address(fields["address"])), fields["port"], fields["services"])


def envelopes(items) -> tuple[Envelope, ...]:
    return tuple(Envelope(item["type"], bytes.fromhex(item["contents"])) for item in items)


def transactions(items) -> tuple[RawTransaction, ...]:
    return tuple(RawTransaction(sha256d_int(bytes.fromhex(raw)), bytes.fromhex(raw)) for raw in items)


EXPECTED = {
    "version": lambda f: PeerVersion(
        f["version"],
        f["services"],
        address(f["addr_to"]),
        address(f["addr_from"]),
        int(f["nonce"], 16),
        bytes.fromhex(f["sub_version"]),
        f["mode"],
        number(f["best_share_hash"]),
    ),
    "ping": lambda f: PeerPing(),
    "addrme": lambda f: AddrMe(f["port"]),
    "addrs": lambda f: Addrs(tuple(SeenAddress(a["timestamp"], address(a["address"])) for a in f["addrs"])),
    "getaddrs": lambda f: GetAddrs(f["count"]),
    "shares": lambda f: Shares(envelopes(f["shares"])),
    "sharereq": lambda f: ShareReq(int(f["id"], 16), numbers(f["hashes"]), f["parents"], numbers(f["stops"])),
    "sharereply": lambda f: ShareReply(int(f["id"], 16), RESULTS[f["result"]], envelopes(f["shares"])),
    "bestblock": lambda f: BestBlock(read_header(Reader(bytes.fromhex(f["header"])))),
    "have_tx": lambda f: HaveTx(numbers(f["tx_hashes"])),
    "losing_tx": lambda f: LosingTx(numbers(f["tx_hashes"])),
    "remember_tx": lambda f: RememberTx(numbers(f["tx_hashes"]), transactions(f["txs"])),
    "forget_tx": lambda f: ForgetTx(numbers(f["tx_hashes"])),
}


@pytest.mark.parametrize("vector", VECTORS["messages"], ids=lambda vector: vector["command"])
def test_the_existing_networks_bytes(vector):
    payload = bytes.fromhex(vector["payload"])
    message = EXPECTED[vector["command"]](vector["fields"])
    assert parse_message(vector["command"], payload) == message
    assert message.command == vector["command"]
    assert message.pack() == payload
    framed = frame(PREFIX, message.command, message.pack())
    assert framed == bytes.fromhex(vector["framed"])
    assert list(Framer(PREFIX, MAX_PAYLOAD).feed(framed)) == [(vector["command"], payload)]


def test_constants():
    assert (VECTORS["protocol_version"], VECTORS["max_payload"]) == (MINIMUM_PROTOCOL, MAX_PAYLOAD)
    assert set(EXPECTED) == {vector["command"] for vector in VECTORS["messages"]} == set(messages.KINDS)


def test_an_unknown_command_is_nothing():
    assert parse_message("sendcmpct", b"\x00") is None
    assert parse_message("", b"") is None


@pytest.mark.parametrize("vector", VECTORS["messages"], ids=lambda vector: vector["command"])
def test_a_message_is_exactly_its_bytes(vector):
    command, payload = vector["command"], bytes.fromhex(vector["payload"])
    with pytest.raises(ParseError):
        parse_message(command, payload + b"\x00")
    if payload:
        with pytest.raises(ParseError):
            parse_message(command, payload[:-1])


@pytest.mark.parametrize(
    ("command", "payload"),
    [
        ("have_tx", b"\xff" + b"\xff" * 8),
        ("have_tx", b"\xfe\x40\x42\x0f\x00" + bytes(32)),
        ("addrs", b"\xfd\xff\xff" + bytes(34)),
        ("shares", b"\xfe\xff\xff\xff\x7f\x10\x00"),
        ("remember_tx", b"\x00\xff" + b"\xff" * 8),
        ("sharereply", bytes(32) + b"\x07\x00"),
        ("version", bytes(4 + 8 + 26 + 26 + 8) + b"\xfd\x01\x02" + bytes(513 + 36)),
    ],
)
def test_claims_that_the_data_cannot_hold(command, payload):
    with pytest.raises(ParseError):
        parse_message(command, payload)


@given(st.sampled_from(VECTORS["messages"]), st.data())
def test_mutated_messages_are_messages_or_parse_errors(vector, data):
    payload = bytearray(bytes.fromhex(vector["payload"]))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(payload)))
        kind = data.draw(st.sampled_from(("set", "cut", "insert")))
        if kind == "set" and at < len(payload):
            payload[at] = data.draw(st.integers(0, 255))
        elif kind == "cut":
            del payload[at : at + data.draw(st.integers(1, 40))]
        else:
            payload[at:at] = data.draw(st.binary(max_size=40))
    try:
        message = parse_message(vector["command"], bytes(payload))
    except ParseError:
        return
    assert message is not None
    assert message.pack() == bytes(payload)


def test_an_asset_unlock_has_dash_cores_hash_and_that_of_its_bytes():
    said = RememberTx((), (RawTransaction(0, asset_unlock.DATA),))
    (heard,) = parse_message("remember_tx", said.pack()).transactions
    assert (f"{heard.hash:064x}", f"{heard.other_hash:064x}") == (asset_unlock.HASH, asset_unlock.INSTANCE_HASH)
    assert heard.data == asset_unlock.DATA
    plain = asset_unlock.with_payload(b"\x01" + asset_unlock.UNLOCK.extra_payload[1:]).pack()
    (heard,) = parse_message("remember_tx", RememberTx((), (RawTransaction(0, plain),)).pack()).transactions
    assert heard == RawTransaction(sha256d_int(plain), plain)
