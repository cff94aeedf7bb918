"""The miners' side of this node in JSON: what /stratum_stats, /stratum_security and /ban_stats say."""

from __future__ import annotations

import json
import tracemalloc

import orjson
import pytest

from p2pool.base.text import printable
from p2pool.pool_stats import ShareRecord
from p2pool.stratum.guard import Guard, GuardSettings, Offence
from p2pool.web.api import stratum
from p2pool.web.api.node import warnings
from tests.logged import logged
from tests.support import make_template
from tests.web.metric_causes import with_sources
from tests.web.pages import Pool

HOSTILE = "<script>alert('\"&\\')</script>\u2028"
VIEWS = ("stratum_stats", "stratum_security", "ban_stats")
NO_BANS = {
    "total": 0,
    "bans": [],
    "banned_ips_count": 0,
    "banned_workers_count": 0,
    "banned_ips": [],
    "banned_workers": [],
    "ip_violations": [],
    "ip_connections": {},
    "ban_duration": 300,
    "max_violations": 100,
}
NO_REFUSALS = {
    "malformed": 0,
    "stale": 0,
    "duplicate": 0,
    "low_difficulty": 0,
    "unauthorized": 0,
    "not_subscribed": 0,
}


def look(pool: Pool) -> list:
    """The three views at this moment."""
    with logged() as log:
        pool.refresh()
    assert not log.tracebacks
    return [pool.ask(f"/{view}").json for view in VIEWS]


@pytest.fixture
def pool() -> Pool:
    return Pool()


def test_an_idle_node(pool):
    stats, security, bans = look(pool)
    assert stats == {
        "pool": {
            "total_accepted": 0,
            "total_rejected": 0,
            "submission_rate": 0,
            "uptime": 5,
            "ip_connections": {},
            "ip_workers": {},
            "threat_thresholds": {"connection_worker_elevated": 3, "connection_worker_warning": 5},
            "connections": 0,
            "workers": 0,
            "accepted": 0,
            "refused": 0,
            "refused_by": NO_REFUSALS,
            "dead": 0,
            "shares": 0,
            "dead_shares": 0,
            "hash_rate": 0,
            "hash_rate_low": 0,
            "hash_rate_high": 0,
            "estimating": False,
            "dead_hash_rate": 0,
            "hash_rates": {"10m": 0, "1m": 0, "1h": 0, "1d": 0},
            "submissions_per_second": 0,
            "user_agents": {},
        },
        "workers": {},
        "gateways": [],
    }
    assert security == {
        "connections": 0,
        "connections_per_second": 0,
        "submissions_per_second": 0,
        "refused_per_second": 0,
        "turned_away_per_second": 0,
        "turned_away": {},
        "offences": {},
        "banned_hosts": 0,
        "hosts": [],
        "rate_10s": 0,
        "rate_60s": 0,
        "burst_ratio": 0,
        "conn_worker_ratio": 0,
        "reject_rate": 0,
        "suspicious_workers": [],
        "threat_level": 0,
        "threat_reasons": [],
        "banned_ips_count": 0,
        "banned_workers_count": 0,
        "limits": {
            "max_submissions_per_sec": 1000,
            "max_connections": 10_000,
            "min_difficulty": None,
            "max_connections_per_ip": 1000,
        },
    }
    assert bans == NO_BANS


def test_workers_and_the_sum_of_them(pool):
    stats, start = pool.stats, pool.now
    stats.record_connected(start)
    stats.record_worker_on("yA.rig", difficulty=8.0, now=start)
    stats.record_software("yA.rig", "miner/1")
    for second in range(0, 1200, 2):
        pool.now = start + second
        stats.record_accepted("yA.rig", attempts=1000, difficulty=8.0, dead=second % 4 == 0, now=pool.now)
        stats.record_accepted("yB", attempts=500, difficulty=4.0, dead=False, now=pool.now)
    stats.record_refused("yA.rig", 21, pool.now)
    stats.record_refused("yA.rig", 23, pool.now)
    stats.record_refused("yB", 23, pool.now)
    stats.record_refused(None, 25, pool.now)
    stats.record_share(ShareRecord(pool.now, 0xA0, "yB", True, 5))
    figures = look(pool)[0]
    about = pytest.approx
    assert set(figures["workers"]) == {"yA.rig", "yB"}
    rig, other, whole = figures["workers"]["yA.rig"], figures["workers"]["yB"], figures["pool"]
    assert (rig["connections"], rig["difficulty"], rig["accepted"], rig["dead"]) == (1, 8.0, 600, 300)
    assert rig["refused_by"] == {**NO_REFUSALS, "stale": 1, "low_difficulty": 1}
    assert (rig["refused"], rig["chain_shares"], rig["user_agent"]) == (2, 0, "miner/1")
    assert (rig["shares"], other["shares"]) == (602, 601)  # submissions
    assert (rig["first_seen"], other["first_seen"]) == (start, start)
    assert (rig["last_share"], rig["last_seen"]) == (pool.now, pool.now)
    assert rig["hash_rate"] == about(500, rel=0.05)
    assert rig["dead_hash_rate"] == about(250, rel=0.05)
    assert rig["hash_rates"] == {window: about(500, rel=0.05) for window in ("10m", "1m", "1h", "1d")}
    assert (other["connections"], other["chain_shares"], other["user_agent"]) == (0, 1, "")
    assert whole["refused_by"] == {**NO_REFUSALS, "stale": 1, "low_difficulty": 2, "not_subscribed": 1}
    assert (whole["refused"], whole["accepted"], whole["dead"]) == (4, 1200, 300)
    assert (whole["connections"], whole["workers"]) == (1, 1)  # yB has no connection
    assert (whole["shares"], whole["dead_shares"]) == (1, 1)
    assert whole["hash_rate"] == about(750, rel=0.05)
    assert whole["hash_rates"]["1h"] == about(750, rel=0.05)


def test_a_worker_that_never_submitted_has_no_last_share(pool):
    pool.stats.record_worker_on("yA", difficulty=8.0, now=pool.now)
    worker = look(pool)[0]["workers"]["yA"]
    assert worker["last_share"] is None
    assert worker["last_seen"] == pool.now


def test_submissions_a_second(pool):
    start = pool.now
    pool.refresh()
    for second in range(120):
        pool.now = start + second
        pool.stats.record_accepted("yA", attempts=1, difficulty=1.0, dead=False, now=pool.now)
        pool.stats.record_accepted("yA", attempts=1, difficulty=1.0, dead=False, now=pool.now)
        pool.stats.record_refused("yA", 23, pool.now)
        pool.refresh()
    figures, security, _ = look(pool)
    assert figures["pool"]["submissions_per_second"] == pytest.approx(3, rel=0.1)
    assert security["submissions_per_second"] == pytest.approx(3, rel=0.1)
    assert security["refused_per_second"] == pytest.approx(1, rel=0.1)
    pool.now += 100
    assert look(pool)[1]["submissions_per_second"] == 0


def test_what_the_machines_run(pool):
    for number in range(12):
        name = f"yA.{number}"
        pool.stats.record_worker_on(name, difficulty=1.0, now=pool.now)
        pool.stats.record_software(name, "common/1" if number < 6 else "rare/2" if number < 8 else "")
    pool.stats.record_worker_off("yA.0")
    agents = look(pool)[0]["pool"]["user_agents"]
    assert agents == {"common/1": 5, "unknown": 4, "rare/2": 2}
    assert next(iter(agents)) == "common/1"


def test_the_list_of_software_is_bounded_the_commonest_first(pool):
    for number in range(stratum._MAX_SOFTWARE + 50):
        for copy in range(2 if number == 120 else 1):
            pool.stats.record_worker_on(f"y{number}.{copy}", difficulty=1.0, now=pool.now)
            pool.stats.record_software(f"y{number}.{copy}", f"miner/{number}")
    agents = look(pool)[0]["pool"]["user_agents"]
    assert len(agents) == stratum._MAX_SOFTWARE
    assert next(iter(agents.items())) == ("miner/120", 2)


def test_who_comes_and_who_is_turned_away(pool):
    start = pool.now
    for second in range(120):
        pool.now = start + second
        pool.stats.record_connected(pool.now)
        pool.stats.record_turned_away("banned", pool.now)
        pool.stats.record_turned_away("too many connections", pool.now)
    pool.stats.record_offence(Offence.LOGIN.text)
    security = look(pool)[1]
    assert security["connections"] == 120
    assert security["connections_per_second"] == pytest.approx(1, rel=0.1)
    assert security["turned_away_per_second"] == pytest.approx(2, rel=0.1)
    assert security["turned_away"] == {"banned": 120, "too many connections": 120}
    assert security["offences"] == {Offence.LOGIN.text: 1}


def test_hosts_and_bans_as_the_guard_tells_them(pool):
    guard = Guard(GuardSettings(), pool.stats)
    bad, worse = guard.connected("10.0.0.1", pool.now), guard.connected("2001:db8::1", pool.now)
    guard.offence(bad, Offence.LOGIN, pool.now)
    guard.submission(worse, True, pool.now)
    guard.submission(worse, False, pool.now)
    for _ in range(2):
        guard.offence(worse, Offence.MALFORMED, pool.now)
    guard.ban("10.9.9.9", now=pool.now - 10, seconds=100, reason="by the operator")
    guard.tick(pool.now)
    _, security, bans = look(pool)
    assert security["hosts"] == [
        {
            "host": "2001:db8::/64",
            "connections": 1,
            "cost": 40.0,
            "submissions": 2,
            "refused": 1,
            "never_banned": False,
        },
        {
            "host": "10.0.0.1",
            "connections": 1,
            "cost": 10.0,
            "submissions": 0,
            "refused": 0,
            "never_banned": False,
        },
    ]
    assert security["banned_hosts"] == 1
    assert security["offences"] == {Offence.LOGIN.text: 1, Offence.MALFORMED.text: 2}
    assert bans == {
        **NO_BANS,
        "banned_ips_count": 1,
        "banned_ips": [
            {
                "ip": "10.9.9.9",
                "banned_at": pool.now - 10,
                "expires_at": pool.now + 90,
                "remaining_seconds": 90,
                "reason": "by the operator",
            }
        ],
        "ip_violations": [
            {"ip": "2001:db8::/64", "violations": 40},
            {"ip": "10.0.0.1", "violations": 10},
        ],
        "ip_connections": {"2001:db8::/64": 1, "10.0.0.1": 1},
        "total": 1,
        "bans": [
            {
                "host": "10.9.9.9",
                "since": pool.now - 10,
                "until": pool.now + 90,
                "remaining": 90,
                "reason": "by the operator",
                "source": "",
            }
        ],
    }


def test_a_ban_that_is_over_is_not_shown_whether_or_not_the_guard_has_noticed(pool):
    guard = Guard(GuardSettings(), pool.stats)
    guard.ban("10.0.0.1", now=pool.now, seconds=10, reason="short")
    guard.ban("10.0.0.2", now=pool.now, seconds=20, reason="long")
    assert look(pool)[2]["total"] == 2
    pool.now += 10
    _, security, bans = look(pool)
    assert security["banned_hosts"] == bans["total"] == 1
    assert [ban["host"] for ban in bans["bans"]] == ["10.0.0.2"]
    guard.unban("10.0.0.2")
    assert look(pool)[2] == NO_BANS


def test_no_text_of_a_miner_breaks_the_json(pool):
    pool.stats.record_worker_on(HOSTILE, difficulty=1.0, now=pool.now)
    pool.stats.record_software(HOSTILE, HOSTILE)
    pool.stats.record_turned_away(HOSTILE, pool.now)
    pool.stats.record_offence(HOSTILE)
    Guard(GuardSettings(), pool.stats).ban("10.0.0.1", now=pool.now, seconds=10, reason=HOSTILE)
    stats, security, bans = look(pool)
    clean = printable(HOSTILE)
    assert stats["workers"][clean]["user_agent"] == clean
    assert stats["pool"]["user_agents"] == {clean: 1}
    assert security["turned_away"] == security["offences"] == {HOSTILE: 1}
    assert bans["bans"][0]["reason"] == HOSTILE


def test_every_error_code_has_a_word():
    from p2pool.stratum.errors import ErrorCode

    assert set(stratum.REFUSALS) == {int(code) for code in ErrorCode}
    assert len(set(stratum.REFUSALS.values())) == len(stratum.REFUSALS)
    assert stratum.refusals({23: 5, 99: 7}) == {**NO_REFUSALS, "low_difficulty": 5}


def test_looking_asks_nobody(pool):
    """Views come from the last refresh: what a page costs does not depend on the miners."""
    before = look(pool)
    pool.stats.record_worker_on("yA", difficulty=1.0, now=pool.now)
    assert [pool.ask(f"/{view}").json for view in VIEWS] == before
    assert json.loads(pool.views.rendered["stratum_stats"]) == before[0]


def test_the_kept_json_of_workers_takes_no_more_memory_than_it_has_bytes(pool):
    """There may be ten thousand of them, and anybody may name them."""
    count = 300
    for number in range(count):
        pool.stats.record_worker_on(f"yA.{number}", difficulty=1.0, now=pool.now)
    workers = pool.stats.snapshot(pool.now).workers
    render = stratum._RenderedWorkers()
    tracemalloc.start()
    try:
        rendered = render(workers)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(rendered) == count
    assert size / count < len(orjson.dumps(rendered)) / count + 400


def test_a_broker_that_cannot_be_used_is_a_warning():
    pool = Pool(30, make_template())
    with_sources(pool, broker_problem=lambda: "redis://h:6379/0: Connection refused.")
    assert "gateways get no new work: redis://h:6379/0: Connection refused." in warnings(pool.view_snapshot)


def test_workers_are_rendered_in_steps_before_the_view_that_has_them(monkeypatch):
    """Rendering thousands of changed workers at once would delay miners."""
    pool = Pool(3, make_template())
    for number in range(1000):
        pool.stats.record_accepted(f"y.{number}", attempts=1, difficulty=1.0, dead=False, now=pool.now)
    rendered = [0]
    figures = stratum._old_worker

    def counted(worker):
        rendered[-1] += 1
        return figures(worker)

    monkeypatch.setattr(stratum, "_old_worker", counted)
    for _ in pool.views.refreshing(pool.now):
        rendered.append(0)
    assert sum(rendered) == 1000
    assert max(rendered) == stratum.STEP
    assert len(orjson.loads(pool.views.rendered["stratum_stats"])["workers"]) == 1000
    pool.now += 1
    pool.stats.record_accepted("y.7", attempts=1, difficulty=1.0, dead=False, now=pool.now)
    rendered = [0]
    pool.refresh()
    assert sum(rendered) == 1
    assert orjson.loads(pool.views.rendered["stratum_stats"])["workers"]["y.7"]["shares"] == 2


def test_workers_that_cannot_be_rendered_do_not_stop_the_other_views(monkeypatch):
    pool = Pool(3, make_template())
    pool.refresh()
    pool.now += 1
    pool.stats.record_accepted("y.7", attempts=1, difficulty=1.0, dead=False, now=pool.now)
    monkeypatch.setattr(stratum, "_old_worker", lambda worker: 1 // 0)
    with logged() as log:
        pool.refresh()
    assert log.tracebacks
    assert any("rendering the workers failed" in line for line in log.lines)
    assert orjson.loads(pool.views.rendered["local_stats"])["miner_hash_rates"]


def test_a_slow_miner_begins_as_a_range_and_does_not_spike(pool):
    """500 H/s at a difficulty for 400 kH/s: the first submission takes hours, and was shown as 210 kH/s."""
    name, difficulty = "yA.cpu", 2.0**-10
    pool.stats.record_worker_on(name, difficulty=difficulty, now=pool.now)
    pool.now += 3600
    for accepted in range(3):
        pool.refresh()
        metric = f'p2pool_worker_hashrate{{worker="{name}"}} '.encode()
        for path in ("/api/v1/stratum", f"/api/v1/workers/{name}", "/api/v1/node"):
            shown = pool.ask(path).json
            assert shown["estimating"]
            assert shown["hash_rate_low"] <= shown["hash_rate"] < 1000
            assert 500 < shown["hash_rate_high"] < 3000
            assert (shown["hash_rate"] > 0) == (accepted > 0)
            assert metric + str(shown["hash_rate"]).encode().removesuffix(b".0") in pool.views.metrics
            assert shown["dead_hash_rate"] == 0
        pool.now += 4800
        pool.stats.record_accepted(name, attempts=2.0**22, difficulty=difficulty, dead=False, now=pool.now)


def test_connected_workers_are_counted_by_difficulty(pool):
    """In powers of two, however many they are: the page that shows it fetches no worker."""
    pool.refresh()
    assert pool.ask("/api/v1/stratum").json["difficulties"] == []
    for name, difficulty in (("yA.1", 1.0), ("yA.2", 1.5), ("yA.2", 1.5), ("yB", 2.0**-12), ("yC", 1024.0)):
        pool.stats.record_worker_on(name, difficulty=difficulty, now=pool.now)
    pool.stats.record_accepted("yGone", attempts=1e12, difficulty=4.0, dead=False, now=pool.now)
    for name in ("yA.1", "yA.2", "yC"):
        pool.stats.record_accepted(name, attempts=1e12, difficulty=1.0, dead=False, now=pool.now)
    pool.stats.record_accepted("yC", attempts=1e15, difficulty=1024.0, dead=False, now=pool.now)
    pool.now += 60
    pool.refresh()
    workers = {each["name"]: each["hash_rate"] for each in pool.ask("/api/v1/workers").json["workers"]}
    rows = pool.ask("/api/v1/stratum").json["difficulties"]
    assert [(row["difficulty"], row["workers"], row["connections"]) for row in rows] == [
        (2.0**-12, 1, 1),
        (1.0, 2, 3),
        (1024.0, 1, 1),
    ]
    sums = [workers["yB"], workers["yA.1"] + workers["yA.2"], workers["yC"]]
    assert [row["hash_rate"] for row in rows] == pytest.approx(sums)
    assert sums[2] > sums[1] > 0
