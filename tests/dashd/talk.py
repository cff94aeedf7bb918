"""What nodes of the Dash network say to us, and what we said to them."""

from __future__ import annotations

from typing import Any

from p2pool.dash import messages
from p2pool.dash.block import BlockHeader
from p2pool.dash.messages import Addr, Headers, Inv, InventoryItem, NetworkAddress, TimedAddress, Verack, Version
from p2pool.dash.target import bits_to_target
from p2pool.wire.framer import Framer, frame

MAGIC = bytes.fromhex("fcc1b7dc")
NOW = 1_700_000_000.7
EASY = 0x207FFFFF
"""Bits that every second hash meets."""


def packed(*said: messages.Message) -> bytes:
    return b"".join(frame(MAGIC, message.command, message.pack()) for message in said)


def unpacked(data: bytes) -> list[Any]:
    return [messages.parse_message(*item) for item in Framer(MAGIC, messages.MAX_PAYLOAD).feed(data)]


def version(time: float = NOW, **changes: Any) -> Version:
    fields: dict[str, Any] = {
        "version": messages.PROTOCOL_VERSION,
        "services": 5,
        "time": int(time),
        "receiver": messages.NO_ADDRESS,
        "sender": messages.NO_ADDRESS,
        "nonce": 99,
        "sub_version": b"/Dash Core:23.1.2/",
        "start_height": 7,
        "relay": True,
    }
    return Version(**fields | changes)


HANDSHAKE = packed(version(), Verack())


def block_inv(*hashes: int) -> Inv:
    return Inv(tuple(InventoryItem(messages.INVENTORY_BLOCK, value) for value in hashes))


def addr(*places: tuple[str, int]) -> Addr:
    return Addr(tuple(TimedAddress(int(NOW), NetworkAddress(1, host, port)) for host, port in places))


def header_on(previous: int, bits: int = EASY, salt: int = 5, works: bool = True) -> BlockHeader:
    """A header on a block, with work that meets EASY, or that does not."""
    for nonce in range(1000):
        header = BlockHeader(0x20000000, previous, salt, int(NOW), bits, nonce)
        if (header.hash() <= bits_to_target(EASY)) is works:
            return header
    raise AssertionError("no header")


def headers_on(previous: int, count: int) -> Headers:
    """A chain of headers on a block."""
    found = []
    for _ in range(count):
        found.append(header_on(previous))
        previous = found[-1].hash()
    return Headers(tuple(found))
