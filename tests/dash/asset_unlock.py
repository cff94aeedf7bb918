"""Asset unlocks: one with a stable hash, as Dash Core 24 puts it into templates, and ways to make others."""

from __future__ import annotations

from dataclasses import replace

from p2pool.dash.transaction import Transaction, parse_transaction

DATA = bytes.fromhex(
    "03000900000100e1f505000000001976a9148a4ea265a450455223670b7ed824b9edf3e8971988ac000000009102070000000000000088"
    "130000b8010000d3e78ff41696cf2f50da830b41f62a0ed7ef39cf44a6f6981be7f505a7628de35e029fc0cf54703744b5ecaed3fae208"
    "abf5947e225634b43f264e876cfa9dd0509255b91dacd0f692121ee3c14bf99cd1be3971e15aaa57d776b5a9cf8e7ed696824a464ca539"
    "1e7d71fd9c8da750b11b4a352c9f0c61181f43d938af1d5366"
)
HASH = "98a1439add1d0b0734aa2a1a751ca4c1965f47e0c8490f7c291ba6995a5203cb"
"""What Dash Core 24 calls it."""
INSTANCE_HASH = "c4793a9e3539dee1bb5eb2fe428bd7e9d509955b805c8182a86d296cc1430234"
"""The double SHA-256 of all its bytes."""
ENTRY = {"data": DATA.hex(), "hash": HASH, "depends": [], "fee": 5000, "sigops": 1}
"""Its entry in a template."""
UNLOCK = parse_transaction(DATA)


def signed_again(data: bytes = DATA, byte: int = 0xAB) -> bytes:
    """Another signed instance of the same withdrawal."""
    return data[:-96] + bytes([byte]) * 96


def with_payload(payload: bytes, kind: int = 9, version: int = 3) -> Transaction:
    """The transaction with another payload, type or version."""
    return replace(UNLOCK, extra_payload=payload, type=kind, version=version)
