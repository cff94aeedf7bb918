"""What front ends and scripts of p2pool read, by the names that they know; and the figures behind them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import pytest

from p2pool.web.api.pool import EXPLORERS
from p2pool.web.view_cache import LastMinute
from p2pool.web.views import Views
from tests.support import make_template
from tests.web.busy import ALICE, busy_pool
from tests.web.pages import Pool


@pytest.fixture(scope="module")
def busy() -> Pool:
    return busy_pool()


KNOWN = {
    "/local_stats": "attempts_to_block attempts_to_share block_value block_value_miner block_value_payments "
    "donation_proportion efficiency efficiency_if_miner_perfect fee miner_dead_hash_rates miner_hash_rates "
    "miner_last_difficulties my_hash_rates_in_last_hour my_share_counts_in_last_hour "
    "my_stale_proportions_in_last_hour peers protocol_version shares uptime version warnings",
    "/global_stats": "min_difficulty network_block_difficulty network_hashrate pool_hash_rate "
    "pool_nonstale_hash_rate pool_stale_prop",
    "/node_info": "external_ip network p2p_port worker_port",
    "/ban_stats": "ban_duration banned_ips banned_ips_count banned_workers banned_workers_count ip_connections "
    "ip_violations max_violations",
    "/stratum_security": "banned_ips_count banned_workers_count burst_ratio conn_worker_ratio limits rate_10s "
    "rate_60s reject_rate suspicious_workers threat_level threat_reasons",
    "/web_rate_stats": "active_ips burst_limit limit_per_minute requests_last_minute",
    "/luck_stats": "average_luck avg_luck avg_time_between_blocks blocks blocks_found blocks_with_luck "
    "current_expected_time current_luck_trend luck_approximate luck_available max_luck "
    "max_time_between_blocks min_luck min_time_between_blocks note time_since_last_block",
    "/hashrate_samples": "newest_sample oldest_sample sample_count sample_interval",
    "/broadcaster_status": "bootstrapped configuration database enabled health peers statistics",
    "/net_diff_samples": "newest_sample oldest_sample sample_count",
    "/security_config": "ban_duration_seconds ban_enabled ip_whitelist_count max_connections_per_ip "
    "max_share_rate_per_worker max_violations_before_ban web_auth_enabled web_auth_username web_burst_limit "
    "web_rate_limit_enabled web_requests_per_minute worker_whitelist_count",
    "/web/currency_info": "address_explorer_url_prefix block_explorer_url_prefix symbol tx_explorer_url_prefix",
    "/stale_rates": "good",
}
KNOWN_ROWS = {
    "/recent_blocks": "actual_hash_difficulty avg_hashrate_used block_reward expected_time explorer_url "
    "from_history hash hashrate_samples_used luck luck_approximate luck_method miner network_difficulty number "
    "pool_hashrate_at_find share status time_to_find ts",
    "/peer_list": "address downtime incoming txpool_size uptime version web_port",
    "/web/log": "attempts_to_block attempts_to_share block_value current_payout local_dead_hash_rates "
    "local_hash_rates peers pool_hash_rate pool_stale_prop shares stale_shares stale_shares_breakdown time",
}


@pytest.mark.parametrize("path", KNOWN)
def test_objects_have_the_known_fields(busy, path):
    assert set(KNOWN[path].split()) <= set(busy.ask(path).json)


@pytest.mark.parametrize("path", KNOWN_ROWS)
def test_rows_have_the_known_fields(busy, path):
    rows = busy.ask(path).json
    assert rows
    for row in rows:
        assert set(KNOWN_ROWS[path].split()) <= set(row)


def test_workers_of_stratum_stats_have_the_known_fields(busy):
    told = busy.ask("/stratum_stats").json
    known = {"total_accepted", "total_rejected", "submission_rate", "uptime", "ip_connections", "connections"}
    assert known <= set(told["pool"])
    first, second = told["workers"][f"{ALICE}.rig1"], told["workers"][f"{ALICE}.rig2"]
    assert (first["rejected"], first["active_connections"], first["connection_difficulties"]) == (1, 1, [8])
    assert (second["rejected"], second["active_connections"], second["connection_difficulties"]) == (0, 0, [])


def test_blocks_by_their_hashes(busy):
    told = busy.ask("/block_history").json
    for block_hash, block in told.items():
        assert block["hash"] == block_hash
        assert {"ts", "block_height", "share_hash", "miner", "pool_hashrate", "network_diff"} <= set(block)
        assert {"expected_time", "block_reward", "status", "stale_prop"} <= set(block)


def test_the_broadcaster_s_peers(busy):
    told = busy.ask("/broadcaster_status").json
    (peer,) = told["peers"]["active"]
    assert (peer["host"], peer["port"], peer["protected"], peer["uptime_seconds"]) == ("192.0.2.7", 9999, False, 5)
    health = told["health"]
    assert (health["healthy"], health["active_connections"], health["total_connections"]) == (True, 1, 1)
    pool = Pool()
    pool.views = Views(replace(pool.sources, broadcaster_enabled=False))
    pool.refresh()
    told = json.loads(pool.views.rendered["broadcaster_status"])
    assert (told["enabled"], told["health"]["healthy"]) == (False, False)


# --- figures -------------------------------------------------------------------------------------------------


def test_the_pool_s_rate_counts_the_whole_chain_s_stales():
    """The old software took the node's own stale proportion in places."""
    pool = Pool(60, make_template())
    for share in pool.shares[10:30]:
        share.stale_info = 253
    pool.refresh()
    told, node = pool.ask("/api/v1/pool").json, pool.ask("/global_stats").json
    assert pool.ask("/local_stats").json["shares"]["total"] == 0  # none of ours
    assert told["stale_proportion"] == node["pool_stale_prop"] == 0.25
    assert told["hash_rate"] == pytest.approx(told["nonstale_hash_rate"] / 0.75)
    assert pool.ask("/rate").json == told["hash_rate"] == node["pool_hash_rate"]
    rates = pool.ask("/stale_rates").json
    assert rates["good"] == pytest.approx(told["nonstale_hash_rate"])
    assert rates["orphan"] == pytest.approx(rates["good"] * 20 / 59, rel=0.01)
    assert rates["doa"] == 0
    assert (told["orphan_rate"], told["dead_rate"]) == (rates["orphan"], rates["doa"])


def test_our_shares_of_the_last_hour():
    pool = Pool(60, make_template())
    ours = pool.shares[::6]
    for share in ours:
        pool.node._own_shares.add(share)
    ours[1].stale_info, ours[2].stale_info, ours[3].stale_info = 253, 254, 254
    pool.refresh()
    told = pool.ask("/local_stats").json
    assert told["my_share_counts_in_last_hour"] == {
        "shares": 13,
        "unstale_shares": 10,
        "stale_shares": 3,
        "orphan_stale_shares": 1,
        "doa_stale_shares": 2,
    }
    stale = told["my_stale_proportions_in_last_hour"]
    assert stale == {
        "stale": pytest.approx(3 / 13),
        "orphan_stale": pytest.approx(1 / 13),
        "dead_stale": pytest.approx(2 / 13),
    }
    rates = told["my_hash_rates_in_last_hour"]
    work = sum(share.attempts for share in ours if share is not pool.shares[0])
    assert rates["nonstale"] == pytest.approx(work / (59 * 20))
    assert rates["actual"] == pytest.approx(rates["nonstale"] / (10 / 13))
    assert rates["rewarded"] == pytest.approx(rates["nonstale"] / (1 - 3 / 63))


def test_expected_time_to_a_block(busy):
    told = busy.ask("/api/v1/pool").json
    assert told["expected_time_to_block"] == pytest.approx(told["block_attempts"] / told["hash_rate"])
    assert told["block_value"]["duffs"] == 50_000_000_000
    assert told["block_value_miners"] == {"dash": "400.00000000", "duffs": 40_000_000_000}
    assert busy.ask("/luck_stats").json["current_expected_time"] == told["observed_time_to_block"]


@pytest.mark.parametrize(
    ("connections", "refused", "level"), [(2, 0, 0), (4, 0, 1), (6, 0, 2), (1, 3, 1), (1, 20, 2), (6, 20, 2)]
)
def test_when_the_old_front_ends_turn_red(connections, refused, level):
    pool = Pool()
    for _ in range(connections):
        pool.stats.record_connected(pool.now)
    pool.stats.record_worker_on("yA", difficulty=1.0, now=pool.now)
    for _ in range(10):
        pool.stats.record_accepted("yA", attempts=1, difficulty=1.0, dead=False, now=pool.now)
    for _ in range(refused):
        pool.stats.record_refused("yA", 23, pool.now)
    pool.refresh()
    told = pool.ask("/stratum_security").json
    assert told["threat_level"] == level
    assert bool(told["threat_reasons"]) == (level > 0)
    assert told["conn_worker_ratio"] == connections
    assert told["reject_rate"] == pytest.approx(refused / (10 + refused))


@dataclass
class Rates:
    """What counts the web's requests."""

    rate: float | None = 5.0
    burst: float | None = 50.0
    requests: int = 0
    limited: int = 0
    hosts: int = 0


def test_how_often_the_web_is_asked():
    pool, rates = Pool(), Rates()
    nothing = {
        "active_ips": 0,
        "requests_last_minute": 0,
        "limit_per_minute": None,
        "burst_limit": None,
        "requests": 0,
        "limited": 0,
    }
    pool.refresh()
    assert pool.ask("/web_rate_stats").json == nothing  # nobody counts
    pool.views = Views(replace(pool.sources, web_rates=lambda: rates))
    for _ in range(200):
        pool.now += 1
        rates.requests += 3
        pool.refresh()
    rates.hosts, rates.limited = 7, 2
    pool.refresh()
    assert json.loads(pool.views.rendered["web_rate_stats"]) == {
        "active_ips": 7,
        "requests_last_minute": 180,
        "limit_per_minute": 300,
        "burst_limit": 50,
        "requests": 600,
        "limited": 2,
    }


def test_the_last_minute_when_the_clock_steps():
    minute = LastMinute()
    assert [minute.since(total, now) for total, now in ((5, 100.0), (9, 110.0))] == [0, 4]
    assert minute.since(12, 50.0) == 0  # back: begun anew
    assert minute.since(13, 51.0) == 1
    assert minute.since(20, 5000.0) == 0


def test_where_things_are_looked_up():
    pool = Pool()
    pool.refresh()
    assert pool.ask("/web/currency_info").json == {
        "symbol": pool.node.network.parent.symbol,
        "block_explorer_url_prefix": "",
        "address_explorer_url_prefix": "",
        "tx_explorer_url_prefix": "",
    }
    for prefixes in EXPLORERS.values():
        assert all(prefix.startswith("https://") for prefix in prefixes)
