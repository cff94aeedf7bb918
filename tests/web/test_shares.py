"""/web/share/<hash>: one share for people."""

from __future__ import annotations

import json

import pytest

from p2pool.dash.address import encode_address
from p2pool.dash.hashes import sha256d
from p2pool.dash.pow import x11
from p2pool.share.share import pack_header
from p2pool.sharechain.tracker import Tracker
from p2pool.web.api.shares import share_details
from tests.chains import NOW
from tests.support import make_template
from tests.web.pages import Pool


def test_a_share_is_told_as_it_is():
    pool = Pool(20, make_template(transactions=[b"\x05" * 32, b"\x06" * 32]))
    share, parent, child = pool.shares[9], pool.shares[8], pool.shares[10]
    details = json.loads(json.dumps(share_details(pool.node, share.hash)))
    assert details["hash"] == details["block"]["hash"] == f"{share.hash:064x}"
    assert details["parent"] == f"{parent.hash:064x}"
    assert details["children"] == [f"{child.hash:064x}"]
    assert details["local"] == {
        "verified": True,
        "time_first_seen": NOW + 10 * 20,
        "peer_first_received_from": None,
    }
    data = details["share_data"]
    versions = pool.node.network.parent.addresses
    assert data["payout_address"] == encode_address(versions.pubkey_hash, share.pubkey_hash)
    assert (data["target"], data["max_target"]) == (share.target, share.max_target)
    assert (data["donation"], data["stale_info"]) == (655 / 65535, None)
    assert (data["absheight"], data["timestamp"]) == (share.absheight, share.timestamp)
    hashes = details["block"]["other_transaction_hashes"]
    assert hashes == [f"{int.from_bytes(byte * 32, 'little'):064x}" for byte in (b"\x05", b"\x06")]


def test_anyone_can_check_the_work_from_what_is_told():
    pool = Pool(20, make_template())
    for share in pool.shares:
        block = share_details(pool.node, share.hash)["block"]
        header = block["header"]
        packed = pack_header(
            header["version"],
            int(header["previous_block"], 16),
            bytes.fromhex(header["merkle_root"])[::-1],
            header["timestamp"],
            share.block_bits,
            header["nonce"],
        )
        assert f"{x11(packed):064x}" == block["hash"]
        gentx = bytes.fromhex(block["gentx"]["raw"])
        assert sha256d(gentx)[::-1].hex() == block["gentx"]["hash"]
        assert bytes.fromhex(block["gentx"]["coinbase"]) in gentx


def test_a_share_that_is_not_held():
    assert share_details(Pool(3, make_template()).node, 5) is None


def test_the_ends_of_a_chain_have_no_parent_and_no_children():
    pool = Pool(3, make_template())
    assert share_details(pool.node, pool.shares[0].hash)["parent"] is None
    assert share_details(pool.node, pool.shares[-1].hash)["children"] == []


def test_a_coinbase_that_cannot_be_told_from_the_chain_held_is_not_told():
    """At the old end of the chain the window is cut: what would come out there is not what was hashed."""
    whole = Pool(80, make_template())
    pool = Pool(chain_length=20)
    tracker: Tracker = pool.tracker
    for share in whole.shares[10:]:
        tracker.add(share, NOW, "10.0.0.9:8999")
    told = 0
    for share in whole.shares[10:]:
        details = share_details(pool.node, share.hash)
        raw = details["block"]["gentx"]["raw"]
        told += raw is not None
        assert raw is None or sha256d(bytes.fromhex(raw)) == share.gentx_hash
        assert details["local"]["verified"] is False
        assert details["local"]["peer_first_received_from"] == "10.0.0.9:8999"
    assert share_details(pool.node, whole.shares[10].hash)["block"]["other_transaction_hashes"] == []
    assert told < 70


@pytest.mark.parametrize(("stale_info", "name"), [(0, None), (253, "orphan"), (254, "doa"), (7, "unk7")])
def test_what_a_share_announces(stale_info, name):
    pool = Pool(3, make_template())
    pool.shares[-1].stale_info = stale_info
    assert share_details(pool.node, pool.shares[-1].hash)["share_data"]["stale_info"] == name
