"""/metrics, read with Prometheus' own parser."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from p2pool.dashd.broadcaster import BroadcasterPeer
from p2pool.dashd.pool import DaemonFigures
from p2pool.pool_stats import BlockRecord, BlockStatus
from p2pool.pool_stats.stats import MAX_BLOCKS
from p2pool.web import views
from tests.chains import NOW
from tests.logged import logged
from tests.support import make_template
from tests.web.pages import Pool


def families(pool: Pool) -> dict:
    """Metric families by name."""
    pool.refresh()
    found = list(text_string_to_metric_families(pool.views.metrics.decode()))
    assert len({family.name for family in found}) == len(found)
    return {family.name: family for family in found}


def values(pool: Pool) -> dict[str, float]:
    return {
        sample.name + "".join(sample.labels.values()): sample.value
        for family in families(pool).values()
        for sample in family.samples
    }


def test_every_metric_has_a_type_and_a_help_text():
    for family in families(Pool(5, make_template())).values():
        assert family.name.startswith("p2pool_")
        assert family.type in ("gauge", "counter", "histogram")
        assert family.documentation


def test_an_empty_node():
    found = values(Pool())
    assert found["p2pool_share_chain_height"] == found["p2pool_block_height"] == 0
    assert found["p2pool_start_time_seconds"] == NOW
    assert found["p2pool_shares_accepted_total"] == 0


def test_the_figures():
    pool = Pool(30, make_template())
    stats, now = pool.stats, pool.now
    for name in ("yA.1", "yA.2"):
        stats.record_connected(NOW)
        stats.record_worker_on(name, 8.0, now)
    stats.record_worker_on("yB", 8.0, now)
    stats.record_worker_off("yB")
    stats.record_accepted("yA.1", 6e6, 8.0, False, now)
    stats.record_accepted("yA.1", 6e6, 8.0, True, now)
    for code in (23, 23, 21):
        stats.record_refused("yA.1", code, now)
    for number, status in enumerate(["accepted", "confirmed", "refused", "sent", "orphaned"]):
        stats.record_block(BlockRecord(now, number, 1, "yA.1", None, 1, BlockStatus(status)))
    found = values(pool)
    assert found["p2pool_connected_workers"] == found["p2pool_connections"] == 2
    assert found["p2pool_shares_accepted_total"] == 2
    assert found["p2pool_shares_dead_total"] == 1
    assert found["p2pool_shares_rejected_total23"] == 2
    assert found["p2pool_shares_rejected_total21"] == 1
    assert found["p2pool_blocks_found_total"] == 2
    assert found["p2pool_share_chain_height"] == 30
    assert found["p2pool_block_height"] == 199
    assert found["p2pool_local_hashrate"] > 0
    assert found["p2pool_pool_hashrate"] > 0
    assert found["p2pool_dashd_up"] == 1
    pool.problem = "it does not answer"
    assert values(pool)["p2pool_dashd_up"] == 0


def test_found_blocks_are_a_total_that_outlives_the_pages():
    pool = Pool()
    for number in range(MAX_BLOCKS + 20):
        pool.stats.record_block(BlockRecord(pool.now, number, 1, "yA.1", None, 1))
        pool.stats.record_block(BlockRecord(pool.now, number, 1, "yA.1", None, 1, BlockStatus.ACCEPTED))
    assert values(pool)["p2pool_blocks_found_total"] == MAX_BLOCKS + 20


def test_daemons_notices_and_sending():
    pool = Pool()
    pool.daemons = [
        DaemonFigures("http://a:1/", True, None, 100, 1.5, 0.25, "/Dash Core:23.1.2/", 8),
        DaemonFigures("http://b:1/", False, "down", None, None, None, "", None),
    ]
    pool.broadcaster = [BroadcasterPeer("192.0.2.7", 9999, "/x/", 5.0, 0.1)]
    for seconds in (0.001, 0.015, 100.0):
        pool.stats.record_new_block_job("zmq", seconds)
    pool.stats.record_block_sent(0.0015)
    found = values(pool)
    assert (found["p2pool_daemon_uphttp://a:1/"], found["p2pool_daemon_uphttp://b:1/"]) == (1, 0)
    assert (found["p2pool_daemon_heighthttp://a:1/"], found["p2pool_daemon_servinghttp://a:1/"]) == (100, 1)
    assert found["p2pool_daemon_answer_secondshttp://a:1/"] == 0.25
    assert "p2pool_daemon_answer_secondshttp://b:1/" not in found
    assert found["p2pool_broadcaster_peers"] == 1
    assert found["p2pool_new_block_to_job_seconds_bucket0.005zmq"] == 1
    assert found["p2pool_new_block_to_job_seconds_bucket0.02zmq"] == 2
    assert found["p2pool_new_block_to_job_seconds_bucket+Infzmq"] == 3
    assert found["p2pool_new_block_to_job_seconds_countzmq"] == 3
    assert found["p2pool_block_sending_seconds_sum"] == 0.0015


def test_metrics_that_fail_keep_their_last_figures_and_the_pages_live(monkeypatch):
    pool = Pool(3, make_template())
    pool.refresh()
    before = pool.views.metrics
    monkeypatch.setattr(views, "render_metrics", lambda moment: 1 / 0)
    with logged() as log:
        pool.refresh()
    assert len(log.tracebacks) == 1
    assert pool.views.metrics == before
    assert set(pool.views.rendered) >= set(views.VIEWS)
