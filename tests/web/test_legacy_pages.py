"""What the front end of legacy p2pool-dash reads, field by field, with the units and words that it knows; and the
policy under which an operator's own pages work."""

from __future__ import annotations

from dataclasses import replace

import pytest
from twisted.internet.error import ConnectionRefusedError, TimeoutError
from twisted.python.failure import Failure

from p2pool.dashd.broadcast_counts import BroadcastCounts, BroadcasterTotals
from p2pool.dashd.broadcaster import BroadcasterPeer
from p2pool.dashd.figures import DashCoreFigures
from p2pool.dashd.network_peers import RestingAddress
from p2pool.peers.figures import PeerTraffic
from p2pool.pool_stats import BlockRecord, BlockStatus
from p2pool.stratum.host_loads import MAX_NAMES, SHOWN_HOSTS, HostLoad, host_loads
from p2pool.web import submission_pace
from p2pool.web.luck import LuckBook
from p2pool.web.sources import StratumLimits
from p2pool.web.static_files import CUSTOM_PAGES_POLICY
from tests.chains import NOW
from tests.support import make_template
from tests.web.busy import ALICE, NOBODY, SUBSIDY, busy_pool, payee
from tests.web.pages import Pool

HARD = 0x1D00FFFF
"""A block's difficulty of 1: no share of the tests is a block by chance."""


def with_sources(pool: Pool, **changes) -> Pool:
    for name, value in changes.items():
        object.__setattr__(pool.sources, name, value)
    return pool


# --- the policy ----------------------------------------------------------------------------------------------


@pytest.fixture
def pages(tmp_path):
    (tmp_path / "index.html").write_text("<script>let a = 1;</script>")
    (tmp_path / "app.js").write_text("1")
    return tmp_path


def directives(policy: str) -> dict[str, list[str]]:
    return {name: rest for name, *rest in (part.split() for part in policy.split(";"))}


def test_an_operator_s_own_pages_may_have_inline_scripts_and_libraries_of_other_sites(pages):
    pool = Pool(web_static=pages, custom_pages=True)
    for path in ("/static/", "/static/index.html", "/static/app.js"):
        policy = directives(pool.ask(path).headers["content-security-policy"])
        assert policy["script-src"] == ["'self'", "https:", "'unsafe-inline'"]
        assert policy["style-src"] == ["'self'", "https:", "'unsafe-inline'"]
        assert policy["frame-ancestors"] == policy["object-src"] == ["'none'"]
        assert "'unsafe-eval'" not in str(policy)


@pytest.mark.parametrize("path", ["/local_stats", "/web/heads", "/nothing", "/static/nothing", "/", "/metrics"])
def test_the_api_stays_strict_beside_an_operator_s_own_pages(pages, path):
    pool = Pool(5, make_template(), pages, custom_pages=True)
    pool.refresh()
    assert "unsafe" not in pool.ask(path).headers["content-security-policy"]


def test_our_own_pages_stay_strict(pages):
    for path in ("/static/", "/static/index.html", "/static/app.js"):
        policy = Pool(web_static=pages).ask(path).headers["content-security-policy"]
        assert "unsafe" not in policy
        assert policy != CUSTOM_PAGES_POLICY.decode()


# --- blocks --------------------------------------------------------------------------------------------------

WORDS = {
    BlockStatus.SENT: "pending",
    BlockStatus.ACCEPTED: "pending",
    BlockStatus.CONFIRMED: "confirmed",
    BlockStatus.ORPHANED: "orphaned",
    BlockStatus.REFUSED: "orphaned",
}


def lucky_pool() -> Pool:
    """Three blocks, of which the luck of two is known, and a refused one."""
    pool = busy_pool()
    for share in pool.shares:
        share.block_bits = HARD
    pool.sources.cache.luck = LuckBook()
    pool.sources.cache._latest.clear()
    pool.refresh()
    return pool


@pytest.mark.parametrize("status", BlockStatus)
def test_statuses_have_the_three_legacy_words_and_ours_beside_them(status):
    pool = Pool(40, make_template(subsidy=SUBSIDY))
    share = pool.shares[-2]
    share.block_bits = HARD
    pool.stats.record_block(BlockRecord(pool.now, share.hash, 7, payee(pool), share.hash, SUBSIDY, status))
    pool.refresh()
    block_hash = f"{share.hash:064x}"
    told = [
        pool.ask("/recent_blocks").json[0],
        pool.ask("/block_history").json[block_hash],
        pool.ask(f"/miner_payouts/{payee(pool)}").json["blocks"][0],
    ]
    if status is not BlockStatus.REFUSED:  # it ends no round
        told += [each for each in pool.ask("/luck_stats").json["blocks"] if each["number"] == 7]
        assert len(told) == 4
    assert {(each["status"], each["detailed_status"]) for each in told} == {(WORDS[status], status.value)}
    assert pool.ask("/api/v1/blocks").json["blocks"][0]["status"] == status.value


def test_the_newest_block_tells_of_the_luck_of_all():
    pool = lucky_pool()
    first, *others = pool.ask("/recent_blocks").json
    stats = pool.ask("/luck_stats").json
    assert first["pool_avg_luck"] == pytest.approx(stats["average_luck"])
    counted = ("blocks_for_luck", "accurate_luck_count", "approximate_luck_count", "time_weighted_luck_count")
    assert [first[name] for name in counted] == [2, 2, 0, 2]
    assert [first[name] for name in ("simple_avg_luck_count", "single_hashrate_luck_count")] == [0, 0]
    assert first["luck_note"] == "All luck values are measured by the shares between two blocks"
    assert all("pool_avg_luck" not in block for block in others)


def test_how_a_block_s_luck_is_known():
    refused, newest, middle, oldest = lucky_pool().ask("/recent_blocks").json
    assert [block["luck_method"] for block in (refused, newest, middle, oldest)] == [
        None,
        "time_weighted_avg",
        "time_weighted_avg",
        "first_block",
    ]
    assert (newest["hashrate_samples_used"], middle["hashrate_samples_used"]) == (28, 20)  # shares
    assert (newest["luck_approximate"], refused["hashrate_samples_used"]) == (False, 0)
    assert [block["from_history"] for block in (refused, newest)] == [True, False]


def test_luck_by_samples_is_approximate():
    pool = Pool(5, make_template(bits=HARD))
    for share in pool.shares:
        share.block_bits = HARD
    start = pool.now
    for _ in range(13):
        pool.refresh()
        pool.now += 10
    for number, second in enumerate((20, 80)):
        pool.stats.record_block(BlockRecord(start + second, 5 + number, 7, "yA", None, 1, BlockStatus.ACCEPTED))
    pool.refresh()
    first = pool.ask("/recent_blocks").json[0]
    assert (first["luck_method"], first["luck_approximate"]) == ("time_weighted_avg", True)
    assert 6 <= first["hashrate_samples_used"] <= 7
    assert (first["accurate_luck_count"], first["approximate_luck_count"]) == (0, 1)
    assert first["luck_note"] == "All luck values are measured by samples of the pool's hash rate"
    assert first["from_history"] is True


def test_without_any_known_luck_nothing_is_reported_of_it():
    pool = Pool(5, make_template())
    pool.stats.record_block(BlockRecord(pool.now, 5, 7, "yA", None, 1, BlockStatus.ACCEPTED))
    pool.refresh()
    (block,) = pool.ask("/recent_blocks").json
    assert "pool_avg_luck" not in block


# --- unknown miners and shares -------------------------------------------------------------------------------


def test_an_unknown_miner():
    pool = busy_pool()
    for unknown in (NOBODY, NOBODY[:-1], "x", "%3Cscript%3E"):
        answer = pool.ask(f"/miner_stats/{unknown}")
        assert (answer.status, answer.json) == (200, {"error": "Miner not found", "active": False})
    for path in ("/miner_stats", "/miner_stats/", "/miner_payouts", "/miner_payouts/"):
        assert (pool.ask(path).status, pool.ask(path).json) == (200, {"error": "No address provided"})
    answer = pool.ask(f"/miner_payouts/{NOBODY}")
    assert (answer.status, answer.json) == (
        200,
        {
            "address": NOBODY,
            "blocks_found": 0,
            "blocks_paid": 0,
            "total_estimated_rewards": 0,
            "confirmed_rewards": 0,
            "maturing_rewards": 0,
            "blocks": [],
        },
    )


def test_the_first_share_of_a_chain_has_the_parent_none():
    pool = Pool(3, make_template())
    pool.refresh()
    told = pool.ask(f"/web/share/{pool.shares[0].hash:064x}").json
    assert (told["parent"], told["far_parent"]) == ("None", "None")
    assert pool.ask(f"/web/share/{pool.shares[1].hash:064x}").json["parent"] == f"{pool.shares[0].hash:064x}"
    assert pool.ask("/web/share/" + "1" * 64).body == b"null"


# --- stratum -------------------------------------------------------------------------------------------------


def test_when_a_worker_was_seen_first():
    pool = Pool()
    pool.stats.record_worker_on("yA", difficulty=8.0, now=pool.now)
    pool.stats.record_accepted("yA", attempts=5, difficulty=8.0, dead=False, now=pool.now + 90)
    pool.now += 100
    pool.refresh()
    worker = pool.ask("/stratum_stats").json["workers"]["yA"]
    assert (worker["first_seen"], worker["last_seen"]) == (NOW + 5, NOW + 95)
    assert (worker["shares"], worker["chain_shares"]) == (1, 0)


def test_connections_and_workers_of_hosts_without_their_addresses():
    pool = Pool()
    hosts = [("10.0.0.1", ["a", "b"]), ("10.0.0.2", ["c"]), ("10.0.0.1", ["a"]), ("10.0.0.1", [])]
    pool.stats.record_host_loads(host_loads(hosts))
    pool.refresh()
    answer = pool.ask("/stratum_stats")
    assert answer.json["pool"]["ip_connections"] == {"host 1": 3, "host 2": 1}
    assert answer.json["pool"]["ip_workers"] == {"host 1": 2, "host 2": 1}
    assert b"10.0.0" not in answer.body


def test_the_busiest_hosts_are_shown_and_names_are_compared_within_a_bound():
    many = [(f"10.0.0.{number}", ["a"]) for number in range(SHOWN_HOSTS + 9)]
    assert host_loads([*many, ("10.0.0.3", ["b"])])[0] == HostLoad(2, 2)
    assert len(host_loads(many)) == SHOWN_HOSTS
    names = [str(number) for number in range(MAX_NAMES // 2 + 1)]
    assert host_loads([("x", names), ("x", names)]) == [HostLoad(2, 2 * len(names))]  # too many to compare
    assert host_loads([("x", names[1:]), ("x", names[1:])]) == [HostLoad(2, len(names) - 1)]
    assert host_loads([]) == []


def submit(pool: Pool, name: str, seconds: int, each: int) -> None:
    for _ in range(seconds):
        pool.now += 1
        for _ in range(each):
            pool.stats.record_accepted(name, attempts=1, difficulty=1.0, dead=False, now=pool.now)
        pool.refresh()


def test_a_burst_of_submissions():
    pool = Pool()
    pool.refresh()
    submit(pool, "yA", 60, 1)
    told = pool.ask("/stratum_security").json
    assert (told["rate_10s"], told["burst_ratio"]) == (pytest.approx(1, rel=0.15), pytest.approx(1, rel=0.15))
    assert (told["threat_level"], told["suspicious_workers"]) == (0, [])
    submit(pool, "yA", 10, 50)
    told = pool.ask("/stratum_security").json
    assert told["rate_10s"] == pytest.approx(50, rel=0.15)
    assert told["rate_60s"] == pytest.approx((500 + 50) / 60, rel=0.15)
    assert told["burst_ratio"] == pytest.approx(told["rate_10s"] / told["rate_60s"])
    assert told["threat_level"] == 2
    assert any("times as many submissions" in reason for reason in told["threat_reasons"])


def test_a_burst_of_a_few_is_chance():
    pool = Pool()
    submit(pool, "yA", 60, 0)
    submit(pool, "yA", 2, 1)
    told = pool.ask("/stratum_security").json
    assert told["burst_ratio"] > 1
    assert told["threat_level"] == 0


def test_workers_that_submit_too_fast():
    pool = Pool()
    pool.refresh()
    submit(pool, "yA.fast", 21, 15)
    submit(pool, "yB.good", 1, 1)
    told = pool.ask("/stratum_security").json
    assert [(each["name"], each["rate"]) for each in told["suspicious_workers"]] == [
        ("yA.fast", pytest.approx(15, rel=0.1))
    ]
    assert told["threat_level"] >= 1
    assert "1 workers submit more than 10 times a second" in told["threat_reasons"]
    submit(pool, "yB.good", 30, 1)
    assert pool.ask("/stratum_security").json["suspicious_workers"] == []


def test_what_is_shown_of_fast_workers_is_bounded(monkeypatch):
    monkeypatch.setattr(submission_pace, "SHOWN_WORKERS", 2)
    pool = Pool()
    pool.refresh()
    for number in range(4):
        for _ in range(200 + number):
            pool.stats.record_refused(f"y{number}", 23, pool.now)  # refused ones count, too
    pool.now += 11
    pool.refresh()
    assert [each["name"] for each in pool.ask("/stratum_security").json["suspicious_workers"]] == ["y3", "y2"]


def test_the_limits_are_those_in_force():
    pool = with_sources(Pool(), stratum_limits=lambda: StratumLimits(500, 20, 5.0, 64.0, 3))
    pool.refresh()
    assert pool.ask("/stratum_security").json["limits"] == {
        "max_submissions_per_sec": 100,
        "max_connections": 500,
        "min_difficulty": 64,
        "max_connections_per_ip": 20,
    }
    submit(pool, "yA", 60, 90)
    told = pool.ask("/stratum_security").json
    assert told["threat_level"] == 3
    assert any("expected at the connection limit" in reason for reason in told["threat_reasons"])


def test_what_guards_the_node():
    limits = StratumLimits(max_connections_per_host=20, never_banned=3)
    pool = with_sources(Pool(), stratum_limits=lambda: limits, web_password=True, ban_duration=60.0)
    rates = replace(pool.site.access.figures(), rate=4.0, burst=20.0)
    with_sources(pool, web_rates=lambda: rates).refresh()
    assert pool.ask("/security_config").json == {
        "web_auth_enabled": True,
        "web_auth_username": None,
        "web_rate_limit_enabled": True,
        "web_requests_per_minute": 240,
        "web_burst_limit": 20,
        "ban_enabled": True,
        "ban_duration_seconds": 60,
        "max_violations_before_ban": 100,
        "max_connections_per_ip": 20,
        "max_share_rate_per_worker": None,
        "ip_whitelist_count": 3,
        "worker_whitelist_count": 0,
    }


# --- the Dash network ----------------------------------------------------------------------------------------


def test_the_broadcaster_with_its_figures():
    counts = BroadcastCounts(30, 12, 18, 0, 0, 9, 1, 4, NOW - 7.5)
    for error in (TimeoutError(), ConnectionRefusedError(), ValueError()):
        counts.count_failure(Failure(error))
    resting = (RestingAddress("192.0.2.9", 9999, 3, 100.5, 240.0),)
    totals = BroadcasterTotals(counts, 200, {"dashd": 150, "network": 50}, resting, 20, 3, 10.0, 300.0)
    peer = BroadcasterPeer("192.0.2.7", 9999, "/x/", 5.0, 0.1, 7.5, "dashd", 9, 1, 40)
    pool = Pool()
    pool.now = NOW
    figures = DashCoreFigures(None, broadcaster=[peer], broadcasting=lambda: totals, links_up=1)
    with_sources(pool, dashd=lambda: figures).refresh()
    told = pool.ask("/broadcaster_status").json
    assert (told["enabled"], told["bootstrapped"]) == (True, True)
    assert told["health"] == {
        "healthy": True,
        "active_connections": 1,
        "protected_connections": 0,
        "total_connections": 1,
        "target_max_peers": 20,
        "target_min_peers": 1,
        "local_dashd_connected": True,
    }
    assert told["statistics"] == {
        "blocks_broadcast": 0,
        "total_peer_broadcasts": 10,
        "successful_broadcasts": 9,
        "failed_broadcasts": 1,
        "success_rate_percent": 90,
        "connection_attempts": 30,
        "successful_connections": 12,
        "failed_connections": 21,
        "timeouts": 1,
        "refused": 1,
        "dashd_refreshes": 4,
    }
    assert told["database"] == {
        "total_peers": 200,
        "sources": {"dashd": 150, "network": 50},
        "last_dashd_refresh": NOW - 7.5,
        "seconds_since_refresh": 7,
    }
    assert told["configuration"] == {
        "max_peers": 20,
        "min_peers": 1,
        "max_connection_attempts": 3,
        "connection_timeout_seconds": 10,
        "dashd_refresh_interval_seconds": 300,
    }
    (active,) = told["peers"]["active"]
    known = ("score", "source", "successful_broadcasts", "failed_broadcasts", "blocks_relayed", "txs_relayed")
    assert [active[name] for name in known] == [7.5, "dashd", 9, 1, 40, 0]
    assert told["peers"]["in_backoff"] == [
        {
            "host": "192.0.2.9",
            "port": 9999,
            "backoff_remaining_seconds": 100,
            "backoff_total_seconds": 240,
            "attempts": 3,
        }
    ]


def test_samples_of_the_network_s_difficulty():
    empty = Pool()
    empty.refresh()
    assert empty.ask("/net_diff_samples").json["oldest_sample"] is None
    pool = Pool(3, make_template(bits=HARD))
    for _ in range(3):
        pool.refresh()
        pool.now += 600
    told = pool.ask("/net_diff_samples").json
    assert told["sample_count"] == 3
    assert (told["oldest_sample"]["difficulty"], told["newest_sample"]["difficulty"]) == (1, 1)
    assert told["newest_sample"]["ts"] - told["oldest_sample"]["ts"] == 1200


# --- graphs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("view", "bins", "seconds"),
    [
        ("last_hour", 150, 3600),
        ("last_day", 300, 86400),
        ("last_week", 300, 604_800),
        ("last_month", 300, 2_592_000),
        ("last_year", 300, 31_557_600),
    ],
)
def test_graphs_have_the_legacy_bins(view, bins, seconds):
    pool = Pool(5, make_template())
    pool.refresh()
    rows = pool.ask(f"/web/graph_data/pool_rates/{view}").json
    assert len(rows) == bins
    assert {width for _, _, width, _ in rows[1:]} == {seconds / bins}


def test_traffic_with_other_nodes():
    traffic = [PeerTraffic()]
    pool = with_sources(Pool(5, make_template()), traffic=lambda: traffic[0])
    pool.refresh()
    pool.now += 10
    traffic[0] = PeerTraffic(5000, 300)
    pool.refresh()
    pool.now += 10
    pool.refresh()
    rows = pool.ask("/web/graph_data/traffic_rate/last_hour").json
    assert all(default == 0 for _, _, _, default in rows)
    measured = [(value, width) for _, value, width, _ in rows if value]
    assert {name for value, _ in measured for name in value} == {"p2p/in", "p2p/out"}
    points = {
        name: [value for _, value in pool.ask(f"/api/v1/samples?figure={name}").json["points"]]
        for name in ("peer_bytes_received", "peer_bytes_sent")
    }
    assert points == {"peer_bytes_received": [0, 500, 0], "peer_bytes_sent": [0, 30, 0]}


@pytest.mark.parametrize("view", ["last_hour", "last_day", "last_week", "last_month", "last_year"])
def test_the_newest_bin_of_a_graph_is_never_empty(view):
    """Else a graph falls to nothing at its end each time a bin begins."""
    pool = Pool(5, make_template())
    pool.stats.record_accepted(ALICE, attempts=1e6, difficulty=1.0, dead=False, now=pool.now)
    for _ in range(400):
        pool.refresh()
        newest = pool.ask(f"/web/graph_data/local_hash_rate/{view}").json[0]
        assert newest[1] > 0, (pool.now, newest)
        pool.now += 7
        pool.stats.record_accepted(ALICE, attempts=1e6, difficulty=1.0, dead=False, now=pool.now)
