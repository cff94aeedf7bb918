"""/web/share/<hash>: one share for people."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from p2pool.dash.address import encode_address
from p2pool.dash.hashes import sha256d
from p2pool.dash.pow import x11
from p2pool.share.share import pack_header
from p2pool.sharechain.tracker import Tracker
from p2pool.web import rebuilds as rebuilding
from p2pool.web.api.shares import share_details
from p2pool.web.rebuilds import Rebuilds
from tests.chains import NOW, grow_chain
from tests.support import make_template
from tests.web.pages import Pool


def details_of(pool: Pool, share_hash: int):
    """The details, made anew."""
    return share_details(pool.node, share_hash, Rebuilds(pool.tracker))


def test_a_share_is_reported_as_it_is():
    pool = Pool(20, make_template(transactions=[b"\x05" * 32, b"\x06" * 32]))
    share, parent, child = pool.shares[9], pool.shares[8], pool.shares[10]
    details = json.loads(json.dumps(details_of(pool, share.hash)))
    assert details["hash"] == details["block"]["hash"] == f"{share.hash:064x}"
    assert details["parent"] == f"{parent.hash:064x}"
    assert details["children"] == [f"{child.hash:064x}"]
    assert details["local"] == {
        "verified": True,
        "time_first_seen": NOW + 10 * 20,
        "time_found": NOW + 10 * 20,
        "time_found_source": "first_seen",
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


def test_a_share_that_does_not_name_its_transactions(monkeypatch):
    pool = Pool(3, make_template(transactions=[b"\x05" * 32]))
    rebuild = pool.tracker.rebuild
    monkeypatch.setattr(
        pool.tracker, "rebuild", lambda share: replace(rebuild(share), other_transaction_hashes=None)
    )
    block = details_of(pool, pool.shares[-1].hash)["block"]
    assert block["other_transaction_hashes"] == []
    assert sha256d(bytes.fromhex(block["gentx"]["raw"]))[::-1].hex() == block["gentx"]["hash"]


def test_anyone_can_check_the_work_from_what_is_reported():
    pool = Pool(20, make_template())
    for share in pool.shares:
        block = details_of(pool, share.hash)["block"]
        header = block["header"]
        packed = pack_header(
            version=header["version"],
            previous_block=int(header["previous_block"], 16),
            merkle_root=bytes.fromhex(header["merkle_root"])[::-1],
            timestamp=header["timestamp"],
            bits=share.block_bits,
            nonce=header["nonce"],
        )
        assert f"{x11(packed):064x}" == block["hash"]
        gentx = bytes.fromhex(block["gentx"]["raw"])
        assert sha256d(gentx)[::-1].hex() == block["gentx"]["hash"]
        assert bytes.fromhex(block["gentx"]["coinbase"]) in gentx


def test_a_share_that_is_not_held():
    assert details_of(Pool(3, make_template()), 5) is None


def test_the_ends_of_a_chain_have_no_parent_and_no_children():
    pool = Pool(3, make_template())
    assert details_of(pool, pool.shares[0].hash)["parent"] == "None"
    assert details_of(pool, pool.shares[-1].hash)["children"] == []


def test_a_coinbase_that_cannot_be_computed_from_the_chain_held_is_not_reported():
    """At the old end of the chain the window is cut: what would come out there is not what was hashed."""
    whole = Pool(80, make_template())
    pool = Pool(chain_length=20)
    tracker: Tracker = pool.tracker
    for share in whole.shares[10:]:
        tracker.add(share, NOW, "10.0.0.9:8999")
    told = 0
    for share in whole.shares[10:]:
        details = details_of(pool, share.hash)
        raw = details["block"]["gentx"]["raw"]
        told += raw != "unknown"
        assert raw == "unknown" or sha256d(bytes.fromhex(raw)) == share.gentx_hash
        assert details["local"]["verified"] is False
        assert details["local"]["peer_first_received_from"] == "10.0.0.9:8999"
    assert details_of(pool, whole.shares[10].hash)["block"]["other_transaction_hashes"] == []
    assert told < 70


@pytest.mark.parametrize(("stale_info", "name"), [(0, None), (253, "orphan"), (254, "doa"), (7, "unk7")])
def test_what_a_share_announces(stale_info, name):
    pool = Pool(3, make_template())
    pool.shares[-1].stale_info = stale_info
    assert details_of(pool, pool.shares[-1].hash)["share_data"]["stale_info"] == name


# --- what is kept ------------------------------------------------------------------------------------------------


def counting(pool: Pool, monkeypatch) -> list[int]:
    """The hashes of the shares that are rebuilt from now on."""
    made: list[int] = []
    rebuild = pool.tracker.rebuild

    def counted(share):
        made.append(share.hash)
        return rebuild(share)

    monkeypatch.setattr(pool.tracker, "rebuild", counted)
    return made


def test_a_share_asked_for_again_is_not_rebuilt_but_reported_afresh(monkeypatch):
    pool = Pool(20, make_template())
    share = pool.shares[-1]
    made = counting(pool, monkeypatch)
    first = pool.ask(f"/web/share/{share.hash:064x}").json
    assert pool.ask(f"/web/share/{share.hash:064x}").json == first
    assert made == [share.hash]
    (child,) = grow_chain(pool.tracker, make_template(), 1, 1, share.hash)
    pool.tracker.verified.remove(child.hash)
    pool.tracker.verified.remove(share.hash)
    again = pool.ask(f"/web/share/{share.hash:064x}").json
    assert again["children"] == [f"{child.hash:064x}"]
    assert again["local"]["verified"] is False
    assert first["children"] == []
    assert first["local"]["verified"] is True
    assert again["block"] == first["block"]
    assert made.count(share.hash) == 1


def test_only_the_last_few_shares_are_kept(monkeypatch):
    pool = Pool(rebuilding._KEPT_REBUILDS + 1, make_template())
    rebuilds, made = Rebuilds(pool.tracker), counting(pool, monkeypatch)
    first, second, *rest = pool.shares
    for share in (first, second, *rest[:-1], first, rest[-1]):
        rebuilds.of(share)
    assert len(made) == len(pool.shares)
    assert len(rebuilds._known) == rebuilding._KEPT_REBUILDS
    rebuilds.of(first)  # asked for lately: kept
    assert len(made) == len(pool.shares)
    rebuilds.of(second)  # the one not asked for the longest: forgotten
    assert made[-1] == second.hash


def test_what_could_not_be_reported_is_tried_again_when_the_chain_below_has_grown(monkeypatch):
    whole = Pool(12, make_template())
    pool = Pool()
    for share in whole.shares[5:]:
        pool.tracker.add(share, NOW, None)
    share = whole.shares[5]
    rebuilds, made = Rebuilds(pool.tracker), counting(pool, monkeypatch)
    assert rebuilds.of(share) is None
    assert rebuilds.of(share) is None
    assert made == [share.hash]  # not each time
    for parent in whole.shares[:5]:
        pool.tracker.add(parent, NOW, None)
    rebuilt = rebuilds.of(share)
    assert rebuilt is not None
    assert sha256d(rebuilt.gentx) == share.gentx_hash
    assert rebuilds.of(share) is rebuilt
    assert made == [share.hash] * 2


def test_what_was_told_once_stays_known_when_the_chain_below_is_forgotten(monkeypatch):
    pool = Pool(12, make_template())
    share = pool.shares[6]
    rebuilds, made = Rebuilds(pool.tracker), counting(pool, monkeypatch)
    rebuilt = rebuilds.of(share)
    for parent in pool.shares[:6]:
        pool.tracker.remove(parent.hash)
    assert rebuilds.of(share) is rebuilt
    assert made == [share.hash]
