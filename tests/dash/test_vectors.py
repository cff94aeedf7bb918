"""Dash primitives against the vectors."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.base.errors import ParseError
from p2pool.dash import hashes, sha256_hashlib, target
from p2pool.dash.address import (
    AddressError,
    base58_decode,
    base58_encode,
    decode_address,
    encode_address,
    payee_script,
    payout_hash160,
)
from p2pool.dash.block import assemble_block, parse_block, read_header
from p2pool.dash.merkle import (
    coinbase_branch,
    merkle_branch,
    merkle_root,
    walk_branch_indexed,
)
from p2pool.dash.pow import GENESIS_HASH, GENESIS_HEADER, x11
from p2pool.dash.script import (
    coinbase_height,
    coinbase_script,
    p2pk_script,
    p2pkh_hash,
    p2pkh_script,
    p2sh_hash,
    p2sh_script,
    push_data,
    push_number,
)
from p2pool.dash.sha256 import load_built_in
from p2pool.dash.transaction import Transaction, TxInput, TxOutput, parse_transaction
from p2pool.networks import NETWORKS
from p2pool.wire.codec import Reader
from tests.support import le, vectors


def test_the_genesis_block_hashes_to_what_everybody_knows():
    assert x11(GENESIS_HEADER) == GENESIS_HASH
    with pytest.raises(ValueError, match="80 bytes"):
        x11(GENESIS_HEADER[:-1])


def test_headers_and_blocks():
    data = vectors("header")
    for vector in data["headers"]:
        raw = bytes.fromhex(vector["hex"])
        header = read_header(Reader(raw))
        assert header.pack() == raw
        assert header.bits == int(vector["bits"], 16)
        assert header.timestamp == vector["timestamp"]
        assert f"{header.merkle_root:064x}" == vector["merkle_root"]
        assert f"{header.hash():064x}" == vector["x11"]
        assert f"{hashes.sha256d_int(raw):064x}" == vector["sha256d"]
        assert (header.hash() <= target.bits_to_target(header.bits)) == vector["is_block"]
    for vector in data["blocks"]:
        block = parse_block(bytes.fromhex(vector["hex"]))
        packed = tuple(t.pack() for t in block.transactions)
        assert [p.hex() for p in packed] == vector["txs"]
        assert assemble_block(block.header.pack(), packed[0], packed[1:]).hex() == vector["hex"]


def test_real_blocks():
    for vector in vectors("real_dashd")["blocks"]:
        raw = bytes.fromhex(vector["hex"])
        block = parse_block(raw)
        assert f"{block.header.hash():064x}" == vector["x11"] == vector["hash"]
        txids = [t.hash for t in block.transactions]
        assert f"{merkle_root(txids):064x}" == vector["merkle_root"] == vector["header_merkle_root"]
        assert [t.type for t in block.transactions] == vector["tx_types"]
        assert block.transactions[0].inputs[0].script.hex() == vector["coinbase_scriptsig"]
        if vector["coinbase_scriptsig"] != "6a":  # since DIP 3 the payload has the height
            assert coinbase_height(block.transactions[0].inputs[0].script) == vector["height"]
        packed = tuple(t.pack() for t in block.transactions)
        assert assemble_block(block.header.pack(), packed[0], packed[1:]) == raw


def test_transactions():
    data = vectors("tx")
    for vector in data["valid"]:
        raw = bytes.fromhex(vector["hex"])
        transaction = parse_transaction(raw)
        assert transaction.pack() == raw
        assert len(raw) == vector["packed_size"]
        assert f"{transaction.hash:064x}" == vector["txid"]
        fields = vector["fields"]
        assert (transaction.version, transaction.type) == (fields["version"], fields["type"])
        assert transaction.lock_time == fields["lock_time"]
        assert transaction.extra_payload.hex() == (fields["extra_payload"] or "")
        for item, expected in zip(transaction.inputs, fields["tx_ins"], strict=True):
            previous = expected["previous_output"] or {"hash": "0", "index": 0xFFFFFFFF}
            assert item.previous_hash == int(previous["hash"], 16)
            assert item.previous_index == previous["index"]
            assert item.script.hex() == expected["script"]
            assert item.sequence == (0xFFFFFFFF if expected["sequence"] is None else expected["sequence"])
        for output, expected in zip(transaction.outputs, fields["tx_outs"], strict=True):
            assert (output.value, output.script.hex()) == (expected["value"], expected["script"])
    for vector in data["invalid"]:
        with pytest.raises(ParseError):
            parse_transaction(bytes.fromhex(vector["hex"]))


_transactions = st.builds(
    Transaction,
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFF),
    st.lists(
        st.builds(
            TxInput,
            st.integers(0, 2**256 - 1),
            st.integers(0, 2**32 - 1),
            st.binary(max_size=300),
            st.integers(0, 2**32 - 1),
        ),
        max_size=4,
    ).map(tuple),
    st.lists(st.builds(TxOutput, st.integers(0, 2**64 - 1), st.binary(max_size=80)), max_size=4).map(tuple),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=50),
)


@given(_transactions)
def test_transaction_round_trip(transaction):
    again = parse_transaction(transaction.pack())
    assert again.pack() == transaction.pack()
    assert again.outputs == transaction.outputs


@given(st.binary(max_size=200))
def test_any_bytes_are_a_transaction_or_a_parse_error(data):
    try:
        parse_transaction(data)
    except ParseError:
        pass


def test_merkle_trees():
    data = vectors("merkle")
    for vector in data["vectors"]:
        numbers = [int(h, 16) for h in vector["hashes"]]
        leaves = [le(h) for h in vector["hashes"]]
        assert f"{merkle_root(numbers):064x}" == vector["merkle_root"]
        for link in vector["links"]:
            branch = merkle_branch(leaves, link["index"])
            assert branch == [le(h) for h in link["branch"]]
            if leaves:
                root = walk_branch_indexed(leaves[link["index"]], branch, link["index"])
                assert root == le(vector["merkle_root"])
        if leaves:
            assert coinbase_branch(leaves[1:]) == [le(h) for h in vector["link_none_first"]]
    with pytest.raises(IndexError):
        walk_branch_indexed(b"\x00" * 32, [b"\x00" * 32], 2)


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40))
def test_the_coinbase_branch_is_the_branch_of_leaf_0(leaves):
    assert coinbase_branch(leaves[1:]) == merkle_branch(leaves, 0)


COMPRESS = {"python": sha256_hashlib.compress_python}
if (built_in := load_built_in()) is not None:
    COMPRESS["built-in"] = built_in.compress
if (found := sha256_hashlib.load_libcrypto()) is not None:
    COMPRESS["libcrypto"] = found


@pytest.mark.parametrize("compress", COMPRESS.values(), ids=COMPRESS)
def test_hash_links(compress, monkeypatch):
    monkeypatch.setattr(hashes, "_compress", compress)
    monkeypatch.setattr(sha256_hashlib, "fastest_compress", lambda: compress)
    for vector in vectors("hash_link")["vectors"]:
        prefix, ending = bytes.fromhex(vector["prefix"]), bytes.fromhex(vector["const_ending"])
        state = hashes.midstate(prefix)
        assert state.hex() == vector["state"]
        assert len(prefix) == vector["length"]
        unfinished = len(prefix) % 64
        extra = prefix[len(prefix) - unfinished :][: max(0, unfinished - len(ending))]
        assert extra.hex() == vector["extra_data"]
        tail = prefix[len(prefix) - unfinished :] + bytes.fromhex(vector["data"])
        for continued in (hashes.continue_sha256d, sha256_hashlib.continue_sha256d):
            assert continued(state, len(prefix) - unfinished, tail).hex() == vector["result_bytes"]


def test_libcrypto_is_used_if_this_machine_has_it():
    expected = COMPRESS.get("libcrypto", sha256_hashlib.compress_python)
    assert sha256_hashlib.fastest_compress() is expected


@given(st.binary(max_size=400), st.binary(max_size=100))
def test_midstate_continues_to_the_whole_digest(prefix, tail):
    whole = len(prefix) - len(prefix) % 64
    message = prefix + tail
    for compress in COMPRESS.values():
        state = compress(hashes.INITIAL_STATE, prefix[:whole])
        assert compress(state, message[whole:] + sha256_hashlib.padding(len(message))) == sha256(message).digest()
    assert hashes.continue_sha256d(hashes.midstate(prefix), whole, message[whole:]) == hashes.sha256d(message)


def test_targets():
    data = vectors("targets")
    for v in data["from_target_upper_bound"]:
        bits = target.target_to_bits(int(v["target"], 16))
        assert f"{bits:08x}" == v["bits"]
        assert bits.to_bytes(4, "little").hex() == v["bits_le"]
        assert target.bits_to_target(bits) == int(v["bits_target"], 16)
    for v in data["bits_to_target"]:
        assert target.bits_to_target(int(v["bits"], 16)) == int(v["target"], 16)
    for v in data["target_to_average_attempts"]:
        assert target.target_to_average_attempts(int(v["target"], 16)) == int(v["attempts"], 16)
    for v in data["average_attempts_to_target"]:
        attempts = float(v["attempts"]) if v["is_float"] else int(v["attempts"].rstrip("L"))
        assert target.average_attempts_to_target(attempts) == int(v["target"], 16)
    for v in data["target_to_difficulty"]:
        assert repr(target.target_to_difficulty(int(v["target"], 16))) == v["difficulty_repr"]
    for v in data["difficulty_to_target"]:
        difficulty = float(v["difficulty"]) if v["is_float"] else int(v["difficulty"].rstrip("L"))
        assert target.difficulty_to_target(difficulty) == int(v["target"], 16)


@given(st.integers(0, 2**256 - 1))
def test_compact_form_never_exceeds_its_target(value):
    assert target.bits_to_target(target.target_to_bits(value)) <= value


def test_addresses():
    data = vectors("addresses")
    for v in data["addresses"]:
        parent = NETWORKS[v["net"]].parent
        key_hash = bytes.fromhex(v["hash160_bytes"])
        versions = parent.addresses
        assert (versions.pubkey_hash, versions.script_hash) == (
            v["address_version"],
            v["script_address_version"],
        )
        assert encode_address(versions.pubkey_hash, key_hash) == v["address"]
        assert encode_address(versions.script_hash, key_hash) == v["script_address"]
        assert p2pkh_script(key_hash).hex() == v["script"]
        assert p2sh_script(key_hash).hex() == v["script_of_script_address"]
        assert payee_script(v["address"], versions) == p2pkh_script(key_hash)
        assert payee_script(v["script_address"], versions) == p2sh_script(key_hash)
        assert payout_hash160(v["address"], versions, v["net"]) == key_hash
        assert p2pkh_hash(p2pkh_script(key_hash)) == key_hash
        assert p2sh_hash(p2sh_script(key_hash)) == key_hash
        with pytest.raises(AddressError, match="P2SH"):
            payout_hash160(v["script_address"], versions, v["net"])
    for v in data["invalid"]:
        versions = NETWORKS[v["net"]].parent.addresses
        if v["error"] is None:
            decode_address(v["address"])
            continue
        with pytest.raises(AddressError):
            payout_hash160(v["address"], versions, v["net"])
    for v in data["base58"]:
        assert base58_encode(bytes.fromhex(v["data"])) == v["base58"]
        assert base58_decode(v["base58"]).hex() == v["data"]
    for v in data["pubkeys"]:
        public_key = bytes.fromhex(v["pubkey"])
        assert hashes.hash160(public_key)[::-1].hex() == v["hash160"]
        assert p2pk_script(public_key).hex() == v["script"]
        version = NETWORKS["dash"].parent.addresses.pubkey_hash
        assert encode_address(version, hashes.hash160(public_key)) == v["mainnet_address"]


def test_scripts():
    data = vectors("addresses")
    for v in data["bip34"]:
        if v["height"] < 0:  # no block has one
            continue
        assert push_number(v["height"]).hex() == v["script"]
        if v["parse_bip0034"] is not None:
            assert coinbase_height(bytes.fromhex(v["script"])) == v["parse_bip0034"]
    for v in data["coinbase"]:
        flags, extension = bytes.fromhex(v["coinbaseflags"]), bytes.fromhex(v["coinbaseext"])
        assert coinbase_script(v["height"], flags, extension).hex() == v["coinbase"]
    for v in data["push_scripts"]:
        items = [push_number(d) if isinstance(d, int) else bytes.fromhex(d) for d in v["datums"]]
        pushes = [
            i if isinstance(d, int) else push_data(i)
            for i, d in zip(items, v["datums"], strict=True)
            if not (v["error"] and len(i) > 75)
        ]
        if v["error"] is None:
            assert b"".join(pushes).hex() == v["script"]
        else:
            with pytest.raises(ValueError, match="push"):
                push_data(items[-1])


def test_payees_of_shares_have_their_own_rules():
    versions = NETWORKS["dash_regtest"].parent.addresses
    assert payee_script("", versions) is None
    assert payee_script("script:6a", versions) is None
    assert payee_script("!", versions) == b""
    assert payee_script("!6A", versions) == b"\x6a"
    good = encode_address(versions.pubkey_hash, b"\x01" * 20)
    payload = base58_decode(good)
    assert payee_script(good, versions) == p2pkh_script(b"\x01" * 20)
    assert payee_script(good[:-1] + "0", versions) is None
    for bad in ("!6", "!6g", "! 6a", "!６a"):
        with pytest.raises(ParseError):
            payee_script(bad, versions)
    with pytest.raises(ParseError):
        payee_script(base58_encode(payload + b"\x00"), versions)
    with pytest.raises(ParseError):
        payee_script(base58_encode(payload + b"\x01" * 5000), versions)


def test_hashes_as_people_see_them():
    number = 0x00000000000001C3 << 192 | 0xDEADBEEF
    assert hashes.hash_hex(number) == "00000000000001c3" + "0" * 40 + "deadbeef"
    assert (hashes.short_hash(number), hashes.short_hash(None)) == ("deadbeef", "none")


def test_an_address_is_decoded_once_however_many_miners_have_it(monkeypatch):
    versions = NETWORKS["dash"].parent.addresses
    text, decoded = encode_address(versions.pubkey_hash, bytes(range(20))), []

    def counted(address: str) -> tuple[int, bytes]:
        decoded.append(address)
        return decode_address(address)

    monkeypatch.setattr("p2pool.dash.address.decode_address", counted)
    payout_hash160.cache_clear()
    assert [payout_hash160(text, versions, "dash") for _ in range(3)] == [bytes(range(20))] * 3
    assert decoded == [text]
    for _ in range(2):  # no room for what is wrong
        with pytest.raises(AddressError):
            payout_hash160("wrong", versions, "dash")
    assert len(decoded) == 3
    assert payout_hash160.cache_info().currsize == 1
    assert payout_hash160.cache_info().maxsize == 10_000
