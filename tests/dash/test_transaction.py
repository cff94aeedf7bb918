"""The hash of a transaction, where it is not simply that of all its bytes."""

from __future__ import annotations

import pytest

from p2pool.dash.hashes import sha256d, sha256d_int
from p2pool.dash.transaction import has_stable_hash, parse_transaction, special_type, transaction_hash
from tests.dash.asset_unlock import DATA, HASH, INSTANCE_HASH, UNLOCK, signed_again, with_payload

PAYLOAD = UNLOCK.extra_payload


def test_an_asset_unlock_of_version_2_has_the_hash_that_dash_core_24_gives():
    assert f"{UNLOCK.hash:064x}" == HASH
    assert transaction_hash(DATA)[::-1].hex() == HASH
    assert f"{UNLOCK.instance_hash:064x}" == INSTANCE_HASH
    assert UNLOCK.pack() == DATA


def test_all_signed_instances_of_a_withdrawal_have_one_hash():
    again = signed_again()
    assert again != DATA
    assert parse_transaction(again).hash == UNLOCK.hash
    assert parse_transaction(again).instance_hash == sha256d_int(again) != UNLOCK.instance_hash


@pytest.mark.parametrize("at", [len(DATA) - 133, len(DATA) - 145, 20])
def test_all_else_of_it_changes_the_hash(at):
    changed = bytearray(DATA)
    changed[at] ^= 4
    assert transaction_hash(bytes(changed))[::-1].hex() != HASH


def test_later_payload_versions_follow_and_earlier_ones_do_not():
    assert with_payload(b"\x03" + PAYLOAD[1:]).has_stable_hash
    assert with_payload(b"\xff" + PAYLOAD[1:]).has_stable_hash
    for transaction in (
        with_payload(b"\x01" + PAYLOAD[1:]),
        with_payload(PAYLOAD[:-1]),
        with_payload(PAYLOAD + b"\x00"),
        with_payload(b""),
        with_payload(PAYLOAD, kind=8),
        with_payload(PAYLOAD, kind=10),
        with_payload(PAYLOAD, kind=0x0109),
    ):
        assert not transaction.has_stable_hash
        assert transaction.hash == transaction.instance_hash == sha256d_int(transaction.pack())
        assert transaction_hash(transaction.pack()) == sha256d(transaction.pack())
    plain = with_payload(PAYLOAD, version=2)
    assert plain.hash == plain.instance_hash


@pytest.mark.parametrize("data", [b"", DATA[:4], DATA[:-1], DATA + b"\x00", DATA[:4] + b"\xff" * 400])
def test_bytes_that_are_no_transaction_are_hashed_whole(data):
    assert not has_stable_hash(data)
    assert transaction_hash(data) == sha256d(data)


def test_the_type_of_special_transactions_only():
    assert special_type(DATA) == 9
    assert special_type(b"\x02\x00\x09\x00") == 0
    assert special_type(b"\x03\x00\x00\x00") == 0
    assert special_type(b"\x03\x80\x09\x00") == 0
    assert special_type(b"\x04\x00\x0d\x00") == 13
    assert special_type(b"\x03") == 0
