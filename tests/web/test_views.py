"""The JSON figures: their shapes from an empty node to a busy one, and what their numbers mean."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from p2pool.base.text import printable
from p2pool.dash.address import encode_address
from p2pool.dash.hashes import hash160
from p2pool.dash.script import p2pk_script, p2pkh_script, p2sh_script
from p2pool.dashd.merged import AuxFigures
from p2pool.dashd.payout_addresses import OwnAddress
from p2pool.jobs.context import build_work_context
from p2pool.pool_stats import BlockRecord, BlockStatus, ShareRecord
from p2pool.web import views
from p2pool.web.api import payouts
from p2pool.web.api.legacy_luck import LUCK_SUMMARY
from p2pool.web.api.pool import pool_rate, stale_proportion
from p2pool.web.api.table import ALIASES
from p2pool.web.sources import script_to_text
from tests.chains import NOW
from tests.logged import logged
from tests.support import make_template
from tests.web.pages import Pool

HOSTILE = "yX.<script>alert('\"&\\')</script>\u2028"


def rendered(pool: Pool) -> dict:
    """All views, read back."""
    with logged() as log:
        pool.refresh()
    assert not log.tracebacks
    return {path: json.loads(body) for path, body in pool.views.rendered.items()}


def busy() -> Pool:
    pool = Pool(60, make_template(subsidy=50_000_000_000, payments=(("!6a", 7),), payment_amount=10_000_000_000))
    stats, now = pool.stats, pool.now
    stats.record_connected(NOW)
    stats.record_worker_on("yA.rig", difficulty=8.0, now=now)
    stats.record_accepted("yA.rig", attempts=6e6, difficulty=8.0, dead=False, now=now)
    stats.record_accepted("yB", attempts=6e5, difficulty=4.0, dead=True, now=now)
    stats.record_refused("yA.rig", 23, now)
    for number in range(2):
        stats.record_share(ShareRecord(now + number, 0xA0 + number, HOSTILE, bool(number), 5))
    for number, status in enumerate([BlockStatus.SENT, BlockStatus.ACCEPTED, BlockStatus.REFUSED]):
        reason = "bad-cb" if status is BlockStatus.REFUSED else ""
        depth = 3 if status is BlockStatus.ACCEPTED else 0
        stats.record_block(
            BlockRecord(
                *(now + number, 0xB0 + number, 100 + number, "yB", None, 50_000_000_000),
                *(status, reason, depth, bool(depth)),
            )
        )
    return pool


def test_an_empty_node_has_every_view():
    pages = rendered(Pool())
    assert set(pages) == set(views.VIEWS) | set(ALIASES)
    assert pages["recent_blocks"] == pages["recent_shares"] == []
    assert pages["current_payouts"] == {}
    assert pages["rate"] == 0
    assert (pages["fee"], pages["payout_addr"], pages["uptime"]) == (0.5, "yAddress", 5)
    assert pages["payout_addrs"] == ["yAddress"]
    assert pages["api/v1/node"]["payout_addresses"] == [{"address": "yAddress", "weight": 1, "taken": None}]
    local, overall = pages["local_stats"], pages["global_stats"]
    assert local["attempts_to_block"] is None
    assert local["efficiency"] is local["efficiency_if_miner_perfect"] is None
    assert local["shares"] == {"total": 0, "orphan": 0, "dead": 0}
    assert overall["block_height"] is None
    assert (overall["share_chain_height"], overall["shares_held"]) == (0, 0)


def test_payout_addresses_that_are_none_and_several():
    pool = Pool()
    pool.payouts.addresses = ()
    pool.payouts.problem = "dashd has no wallet: give -a ADDRESS"
    pages = rendered(pool)
    assert (pages["payout_addr"], pages["payout_addrs"]) == (None, [])
    assert pages["local_stats"]["warnings"] == ["payout address: dashd has no wallet: give -a ADDRESS"]
    pool.payouts.problem = None
    pool.payouts.addresses = tuple(OwnAddress(name, name.encode() * 20, NOW + 0.5) for name in "abcd")
    pages = rendered(pool)
    assert pages["payout_addr"] == "d"
    assert pages["payout_addrs"] == list("abcd")
    assert pages["api/v1/node"]["next_payout"] == {"dash": "0.00000000", "duffs": 0}
    told = [{"address": name, "weight": 0.25, "taken": int(NOW)} for name in "abcd"]
    assert pages["api/v1/node"]["payout_addresses"] == told
    assert pages["local_stats"]["warnings"] == []


@pytest.mark.parametrize("count", [1, 2, 3, 60, 250])
def test_a_chain_of_any_length_has_every_view(count):
    pages = rendered(Pool(count, make_template()))
    assert set(pages) == set(views.VIEWS) | set(ALIASES)
    assert pages["global_stats"]["share_chain_height"] == count
    assert (pages["rate"] > 0) == (count >= 2)


def test_an_empty_node_and_a_busy_one_have_the_same_shape():
    empty, full = rendered(Pool()), rendered(busy())
    for path in ("local_stats", "global_stats"):
        assert set(empty[path]) == set(full[path])


def test_local_stats():
    local = rendered(busy())["local_stats"]
    assert local["miner_hash_rates"].keys() == {"yA.rig", "yB"}
    assert local["miner_dead_hash_rates"].keys() == {"yB"}
    assert local["miner_last_difficulties"] == {"yA.rig": 8}  # only who is connected
    assert local["hash_rate"] == pytest.approx(sum(local["miner_hash_rates"].values()))
    assert local["dead_hash_rate"] == pytest.approx(local["miner_dead_hash_rates"]["yB"])
    assert local["submissions"] == {"accepted": 2, "dead": 1, "refused": {"23": 1}}
    assert local["connections"] == 1
    assert local["block_value"] == pytest.approx(500)
    assert local["block_value_payments"] == pytest.approx(100)
    assert local["block_value_miner"] == pytest.approx(400)
    assert local["donation_proportion"] == 0.01
    assert local["warnings"] == []
    assert local["version"] == "1.2.3"


def test_global_stats():
    pool = busy()
    overall = rendered(pool)["global_stats"]
    assert overall["pool_hash_rate"] == overall["pool_nonstale_hash_rate"]  # none announced a stale one
    assert overall["block_height"] == 199
    assert overall["share_chain_height"] == overall["shares_held"] == 60
    assert overall["network"] == pool.node.network.name
    assert overall["network_hashrate"] == pytest.approx(overall["network_block_difficulty"] * 2**32 / 150)


def test_stale_shares_raise_the_pool_s_rate():
    pool = Pool(60, make_template())
    chain_rate = pool_rate(pool.view_snapshot)
    for share in pool.shares[10:30]:
        share.stale_info = 253
    # 20 of 60 shares announce a stale one: 20 of 80 were stale.
    assert stale_proportion(pool.view_snapshot) == 0.25
    assert pool_rate(pool.view_snapshot) == pytest.approx(chain_rate / 0.75)


def test_efficiency_compares_our_stales_with_the_pool_s(monkeypatch):
    pool = Pool(60, make_template())
    for share in pool.shares[10:30]:
        share.stale_info = 253
    counts = type("Counts", (), {"total": 10, "orphans": 1, "dead": 2})
    monkeypatch.setattr(pool.node, "stale_counts", counts)
    local = rendered(pool)["local_stats"]
    assert local["efficiency_if_miner_perfect"] == pytest.approx(0.9 / 0.75)
    assert local["efficiency"] == pytest.approx(0.7 / 0.75)


def test_what_is_wrong_with_dashd_is_said():
    pool = busy()
    pool.problem = "dashd at x does not answer"
    assert rendered(pool)["local_stats"]["warnings"] == ["dashd: dashd at x does not answer"]


def test_found_blocks_newest_first():
    blocks = rendered(busy())["recent_blocks"]
    assert [(b["number"], b["detailed_status"], b["reason"]) for b in blocks] == [
        (102, "refused", "bad-cb"),
        (101, "accepted", None),
        (100, "sent", None),
    ]
    assert [(b["confirmations"], b["chainlock"]) for b in blocks] == [(0, False), (3, True), (0, False)]
    history = rendered(busy())["block_history"]
    assert list(history) == [block["hash"] for block in blocks]
    for block in blocks:
        told, alone = history[block["hash"]], {name: block[name] for name in block if name not in LUCK_SUMMARY}
        assert {name: told[name] for name in alone} == alone
        assert (told["block_height"], told["share_hash"]) == (block["number"], block["share"])
    assert blocks[0]["hash"] == f"{0xB2:064x}"
    assert blocks[0]["share"] is None
    assert blocks[0]["value"] == pytest.approx(500)


def test_found_shares_newest_first_and_names_as_they_are():
    pool = busy()
    shares = rendered(pool)["recent_shares"]
    assert [(s["hash"], s["dead"]) for s in shares] == [(f"{0xA1:064x}", True), (f"{0xA0:064x}", False)]
    assert shares[0]["miner"] == printable(HOSTILE)  # JSON, never HTML: pages put it in as text


def test_payouts_are_what_is_left_for_miners():
    paid = rendered(busy())["current_payouts"]
    assert sum(paid.values()) == pytest.approx(400)
    assert list(paid.values()) == sorted(paid.values(), reverse=True)
    assert len(paid) == 4  # three miners and the donation


def test_a_key_that_is_paid_twice_is_one_address(monkeypatch):
    pool = busy()
    public_key = b"\x02" + b"\x09" * 32
    both = {p2pk_script(public_key): 5, p2pkh_script(hash160(public_key)): 7, p2pkh_script(b"\x01" * 20): 0}
    monkeypatch.setattr(payouts, "expected_payouts", lambda *_, **__: both)
    versions = pool.node.network.parent.addresses
    assert payouts.current_payouts(pool.view_snapshot) == {
        encode_address(versions.pubkey_hash, hash160(public_key)): 12e-8
    }


def test_scripts_as_people_read_them():
    node = Pool().node
    versions = node.network.parent.addresses
    assert script_to_text(node, p2pkh_script(b"\x01" * 20)) == encode_address(versions.pubkey_hash, b"\x01" * 20)
    assert script_to_text(node, p2sh_script(b"\x01" * 20)) == encode_address(versions.script_hash, b"\x01" * 20)
    assert script_to_text(node, b"\x6a\x01<") == "!6a013c"


@pytest.mark.parametrize("bits", [0x1A00FFFF, 0x10000001, 0x03000001])
def test_no_difficulty_is_too_large_to_be_shown(bits):
    """Work beyond 64 bits once made /local_stats fail each second."""
    local = rendered(Pool(3, make_template(bits=bits)))["local_stats"]
    assert local["attempts_to_block"] >= 2**40


def test_a_view_that_fails_keeps_its_last_figures_and_is_logged(monkeypatch):
    pool = busy()
    pool.refresh()
    before = pool.views.rendered["rate"]
    monkeypatch.setitem(views.VIEWS, "rate", lambda snapshot: 1 / 0)
    pool.now += 10
    with logged() as log:
        pool.refresh()
    assert len(log.tracebacks) == 1
    assert pool.views.rendered["rate"] == before
    assert json.loads(pool.views.rendered["uptime"]) == pool.now - NOW


def test_looking_changes_nothing():
    pool = busy()
    first = rendered(pool)
    assert rendered(pool) == first


def test_merged_mining_is_shown_and_its_trouble_is_a_warning():
    pool = busy()
    assert rendered(pool)["local_stats"]["merged_mining"] == []
    figures = [AuxFigures("http://a:1/", 5, 2, 1, None), AuxFigures("http://b:2/", None, 0, 0, "refused")]
    pool.views = views.Views(replace(pool.sources, merged=lambda: figures))
    local = rendered(pool)["local_stats"]
    assert local["merged_mining"] == [
        {"daemon": "http://a:1/", "chain_id": 5, "accepted": 2, "refused": 1},
        {"daemon": "http://b:2/", "chain_id": None, "accepted": 0, "refused": 0},
    ]
    assert local["warnings"] == ["merged mining with http://b:2/: refused"]


def test_what_stands_against_blocks_is_a_warning():
    pool = Pool(3)
    network, best = pool.tracker.network, pool.node.best_share
    context = build_work_context(pool.tracker, best, template=make_template(), network=network, now=pool.now)
    pool.node.context = replace(context, refusal="a block has up to 2000001 bytes")
    text = "blocks: a block found now would be rejected: a block has up to 2000001 bytes"
    assert text in rendered(pool)["local_stats"]["warnings"]
