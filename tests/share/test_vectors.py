"""Whole shares against the vectors: every field, every hash, every verdict at its stage."""

from __future__ import annotations

import pytest

from p2pool.base.errors import ParseError
from p2pool.dash.hashes import sha256d
from p2pool.dash.transaction import parse_transaction
from p2pool.networks import Network
from p2pool.share.errors import Reason, ShareInvalid
from p2pool.share.parsing import open_envelope, ref_hash_of
from p2pool.share.payouts import paid_payments
from p2pool.share.share import Share
from p2pool.share.versions import parse_envelope
from p2pool.share.weights import WEIGHT_UNIT
from p2pool.sharechain.figures import (
    average_stale_proportion,
    expected_payouts,
    pool_attempts_per_second,
    stale_work,
)
from p2pool.sharechain.tracker import Tracker
from p2pool.sharechain.votes import Tally
from p2pool.wire.codec import Reader
from tests.support import TESTS, le, network_of, number, vectors

STALE = {None: 0, "orphan": 253, "doa": 254}


def assert_fields(share: Share, vector: dict, network: Network) -> None:
    """Every parsed and derived field of an entry."""
    assert share.envelope.hex() == vector["raw"]
    assert share.hash == int(vector["hash"], 16) == int(vector["pow_hash"], 16)
    assert share.header.hex() == vector["header"]
    assert share.gentx_hash == le(vector["gentx_hash"])
    info_bytes = share.contents[share.share_info_start : share.share_info_end]
    assert ref_hash_of(info_bytes, share.ref_merkle_link, network).hex() == vector["ref_hash"]
    assert share.target == int(vector["target"], 16)
    assert share.is_block == vector["is_block_solution"]
    assert share.previous_hash == number(vector["previous_share_hash"])
    if "max_target" not in vector:  # not checkable: the vector says no more
        return
    assert share.max_target == int(vector["max_target"], 16)
    assert share.attempts == int(vector["average_attempts"], 16)
    assert share.script.hex() == vector["new_script"]
    assert list(share.ref_merkle_link) == [le(h) for h in vector["ref_merkle_link"]["branch"]]
    assert list(share.merkle_link) == [le(h) for h in vector["merkle_link"]["branch"]]
    assert share.last_txout_nonce == bytes.fromhex(vector["last_txout_nonce"])[::-1]
    if "share_info_packed" in vector:
        assert info_bytes.hex() == vector["share_info_packed"]
    header = vector["min_header"]
    assert share.header_version == header["version"]
    assert share.previous_block == (number(header["previous_block"]) or 0)
    assert share.header_timestamp == header["timestamp"]
    assert share.block_bits == int(header["bits"], 16)
    assert share.header_nonce == header["nonce"]
    info = vector.get("share_info")
    if info is not None:
        assert_share_info(share, info)


def assert_share_info(share: Share, info: dict) -> None:
    """The fields of share_info."""
    data = info["share_data"]
    assert share.coinbase.hex() == data["coinbase"]
    assert share.coinbase_payload.hex() == (data["coinbase_payload"] or "")
    assert share.share_nonce == data["nonce"]
    assert share.pubkey_hash == bytes.fromhex(data["pubkey_hash"])[::-1]
    assert share.subsidy == data["subsidy"]
    assert share.donation == data["donation"]
    stale = data["stale_info"]
    assert share.stale_info == (STALE[stale] if stale in STALE else int(stale.removeprefix("unk")))
    assert share.desired_version == data["desired_version"]
    assert share.payment_amount == data["payment_amount"]
    assert [(p or None, a or None) for p, a in share.payments] == [
        (p["payee"] or None, p["amount"] or None) for p in data["packed_payments"]
    ]
    assert list(share.new_transaction_hashes) == [int(h, 16) for h in info["new_transaction_hashes"]]
    refs = info["transaction_hash_refs"]
    flat = [n for ref in share.transaction_hash_refs for n in ref]
    assert flat == (refs if not refs or isinstance(refs[0], int) else [n for ref in refs for n in ref])
    assert share.far_share_hash == number(info["far_share_hash"])
    assert share.max_bits == int(info["max_bits"], 16)
    assert share.bits == int(info["bits"], 16)
    assert share.timestamp == info["timestamp"]
    assert share.absheight == info["absheight"]
    assert share.abswork == int(info["abswork"], 16)


def assert_weights(tracker: Tracker, vector: dict) -> None:
    """One of the `weights` of an entry."""
    start = number(vector.get("start"))
    desired = int(vector["desired_weight"], 16)
    got = tracker.weights(start, vector["max_shares"], desired)
    assert {script.hex(): f"{w:x}" for script, w in got.by_script.items()} == vector["weights"]
    assert got.total == int(vector["total_weight"], 16)
    assert got.donation == int(vector["donation_weight"], 16)


FOUND_LATER = (Reason.REF_TOO_FAR, Reason.NEW_TRANSACTIONS_NOT_NAMED)
"""Rules that legacy p2pool-dash looks at when it loads a share, and this node when it checks it: c2pool-dash
relays what breaks them."""


def judge(tracker: Tracker, raw: bytes) -> tuple[str, str | None, Share | None]:
    """(verdict, stage, share) as the vectors name them; an accepted share or one not checkable stays held."""
    network = tracker.network
    try:
        share = parse_envelope(raw, network)
    except (ParseError, ShareInvalid):
        return "refused", "load", None
    tracker.add(share, 0.0)
    if not tracker.can_check(share):
        return "not checkable", None, share
    try:
        rebuilt = tracker.check(share)
    except ShareInvalid as error:
        return "refused", "load" if error.reason in FOUND_LATER else "check", share
    assert sha256d(rebuilt.gentx) == share.gentx_hash
    tracker.trust(share.hash)
    return "accepted", None, share


def assert_chain_figures(tracker: Tracker, share: Share, vector: dict) -> None:
    """What follows from the chain below an accepted share."""
    assert tracker.height(share.hash) == vector["height"]
    assert tracker.forest.work(share.hash) == int(vector["cumulative_work"], 16)
    assert tracker.minimum_work(share.hash, vector["height"]) == int(vector["cumulative_min_work"], 16)
    rebuilt = tracker.rebuild(share)
    assert rebuilt.gentx.hex() == vector["gentx"]
    if "other_tx_hashes" in vector and vector["other_tx_hashes"] is not None:
        assert list(rebuilt.other_transaction_hashes) == [int(h, 16) for h in vector["other_tx_hashes"]]


def test_the_chain_of_shares_json():
    data = vectors("shares")
    network = network_of(data["net"])
    tracker = Tracker(network)
    for vector in data["shares"]:
        verdict, _, share = judge(tracker, bytes.fromhex(vector["raw"]))
        assert verdict == "accepted"
        assert_fields(share, vector, network)
        assert_chain_figures(tracker, share, vector)
        assert share.contents.hex() == vector["contents"]
        for weights in vector["weights"].values():
            assert_weights(tracker, weights)
        payouts = expected_payouts(
            tracker, share.hash, block_target=share.block_target, subsidy=vector["expected_payouts_subsidy"]
        )
        assert {script.hex(): amount for script, amount in payouts.items()} == vector["expected_payouts"]
    assert_statistics(tracker, data["think"])


def assert_statistics(tracker: Tracker, think: dict) -> None:
    """The figures that shares.json gives for its best share."""
    best = int(think["best"], 16)
    for entry in think["nth_parent"]:
        assert tracker.nth_parent(best, entry["n"]).hash == int(entry["hash"], 16)
    for entry in think["pool_attempts_per_second"]:
        assert repr(pool_attempts_per_second(tracker, best, entry["dist"])) == entry["float"]
    assert repr(average_stale_proportion(tracker, best, 100)) == think["average_stale_prop"]
    counts = Tally.of(tracker.ancestors(best, 50), 50).work
    assert {str(k): f"{v:x}" for k, v in counts.items()} == think["desired_version_counts"]
    stales = stale_work(tracker, best, 100)  # sums over one fewer, as the vector's 99
    assert {k: f"{v:x}" for k, v in stales.items()} == think["stale_counts"]


def test_the_invalid_shares_of_shares_invalid_json():
    data = vectors("shares_invalid")
    network = network_of(data["net"])
    tracker = Tracker(network)
    for vector in vectors("shares")["shares"]:
        assert judge(tracker, bytes.fromhex(vector["raw"]))[0] == "accepted"
    for vector in data["invalid"]:
        stage = stage_of_failure(tracker, bytes.fromhex(vector["raw"]))
        expected = vector["fails_at"]
        if vector["name"].startswith("truncated") or vector["name"].startswith("type 1"):
            # the other software reads a share that is cut short, and knows types later: we refuse both at once
            expected = "malformed"
        elif expected in ("outer_unpack", "contents_unpack"):
            expected = "malformed"
        assert stage == expected, vector["name"]


def stage_of_failure(tracker: Tracker, raw: bytes) -> str:
    """Where one of shares_invalid.json fails, in that file's words."""
    try:
        share = parse_envelope(raw, tracker.network)
    except ParseError:
        return "malformed"
    except ShareInvalid:
        return "load_share"
    tracker.add(share, 0.0)
    try:
        tracker.check(share)
    except ShareInvalid as error:
        return "load_share" if error.reason in FOUND_LATER else "check"
    finally:
        if share.hash not in tracker.verified:
            tracker.forest.remove(share.hash)
    return "ACCEPTED"


@pytest.mark.parametrize("chain", vectors("shares_rules")["chains"], ids=lambda c: c["name"])
def test_the_rules_of_shares_rules_json(chain):
    network = network_of(vectors("shares_rules")["nets"][chain["net"]])
    tracker = Tracker(network)
    for vector in chain["shares"]:
        assert_judged(tracker, vector, network)
    for vector in chain["probes"]:
        share = assert_judged(tracker, vector, network)
        if "payments" in vector:
            assert_payments(vector, network)
        if share is not None and share.hash in tracker.forest:
            held = share.hash in [int(v["hash"], 16) for v in chain["shares"] if v.get("hash")]
            if not held:
                if share.hash in tracker.verified:
                    tracker.verified.remove(share.hash)
                tracker.forest.remove(share.hash)


def assert_judged(tracker: Tracker, vector: dict, network: Network) -> Share | None:
    """Judge one entry of shares_rules.json and compare all that it says."""
    verdict, stage, share = judge(tracker, bytes.fromhex(vector["raw"]))
    assert (verdict, stage) == (vector["verdict"], vector["stage"]), vector["name"]
    if verdict == "refused":
        if share is not None:
            tracker.forest.remove(share.hash)
        return None
    if share is not None:
        assert_fields(share, vector, network)
    if verdict == "accepted":
        assert_chain_figures(tracker, share, vector)
        used = vector["weights"]["used_by_gentx"]
        if used.get("start") is not None:
            assert_weights(tracker, used)
            assert int(used["desired_weight"], 16) % WEIGHT_UNIT == 0
    return share


def assert_payments(vector: dict, network: Network) -> None:
    """What becomes of the payments of a probe, and what the generation transaction pays in the end."""
    payments = [(bytes.fromhex(p["payee_hex"]).decode("latin-1"), p["amount"]) for p in vector["payments"]]
    if vector["effect"] == "refused":
        with pytest.raises(ShareInvalid):
            paid_payments(payments, network.parent.addresses)
        return
    first = paid_payments(payments[:1], network.parent.addresses).outputs()
    assert [amount for _, amount in first] == ([payments[0][1]] if vector["effect"] == "paid" else [])
    if "outputs" in vector:
        gentx = parse_transaction(bytes.fromhex(vector["gentx"]))
        outputs = [{"script": o.script.hex(), "value": o.value} for o in gentx.outputs]
        assert outputs == vector["outputs"]
        for script, amount in first:
            assert {"script": script.hex(), "value": amount} in outputs


def test_the_store_of_the_other_software_holds_shares_that_we_read():
    stored = vectors("sharestore")
    network = network_of(vectors("shares")["net"])
    hashes = []
    for line in (TESTS / "vectors" / "sharestore" / "shares.0").read_text().splitlines():
        kind, _, value = line.partition(" ")
        if kind == "5":
            hashes.append(f"{parse_envelope(bytes.fromhex(value), network).hash:064x}")
    assert sorted(hashes) == sorted(stored["share_hashes"])


def test_the_shares_inside_peer_messages():
    """Envelopes as they travel in `shares` and `sharereply`."""
    known = {s["raw"] for s in vectors("shares")["shares"]}
    found = 0
    for message in vectors("p2p_messages")["messages"]:
        if message["command"] not in ("shares", "sharereply"):
            continue
        reader = Reader(bytes.fromhex(message["payload"]))
        if message["command"] == "sharereply":
            reader.uint256()
            reader.varint()
        for _ in range(reader.count(2)):
            start = reader.position
            open_envelope(reader)
            found += reader.data[start : reader.position].hex() in known
    assert found > 0
