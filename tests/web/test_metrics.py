"""/metrics, read with Prometheus' own parser."""

from __future__ import annotations

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from p2pool.base.process import ProcessFigures
from p2pool.dashd.pool import DaemonFigures
from p2pool.pool_stats import BlockRecord, BlockStatus
from p2pool.pool_stats.stats import MAX_BLOCKS
from p2pool.web import views
from p2pool.web.metrics import METRICS, page
from p2pool.web.metrics.miners import REASONS
from tests.chains import NOW
from tests.logged import logged
from tests.support import ROOT, make_template
from tests.web.metric_causes import ANNOUNCED, CAUSES, CHANGED, SHARES, own_stales, with_sources
from tests.web.pages import Pool

Labels = frozenset[tuple[str, str]]
DOCUMENTED = re.compile(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \| ([^|]*) \|$", re.MULTILINE)


def own_name(name: str) -> str:
    """As it is on the page: the parser gives every counter the suffix _total."""
    bare = name.removesuffix("_total")
    return bare if bare in ANNOUNCED else name


def samples(pool: Pool) -> dict[tuple[str, Labels], float]:
    """What a scrape brings, by name and labels; each is there once."""
    pool.refresh()
    found = [
        ((own_name(sample.name), frozenset(sample.labels.items())), sample.value)
        for family in text_string_to_metric_families(pool.views.metrics.decode())
        for sample in family.samples
    ]
    assert len(dict(found)) == len(found)
    return dict(found)


def value(pool: Pool, name: str, **labels: str) -> float | None:
    return samples(pool).get((name, frozenset(labels.items())))


def workers_named(pool: Pool) -> list[str]:
    """In the order of the page."""
    return [
        dict(labels)["worker"] for (name, labels) in samples(pool) if name == "p2pool_worker_shares_accepted_total"
    ]


@pytest.mark.parametrize("name", CAUSES)
def test_every_metric_moves_when_its_cause_happens(name):
    cause, pool = CAUSES[name], Pool(SHARES, make_template())
    key = (cause.sample or name, frozenset(cause.labels))
    before = samples(pool).get(key)
    cause.happen(pool)
    after = samples(pool).get(key)
    assert after is not None
    assert after != before
    assert cause.before is CHANGED or before == cause.before
    assert cause.after is CHANGED or after == pytest.approx(cause.after)


def test_every_metric_has_a_cause_a_type_and_a_text():
    assert [metric.name for metric in METRICS] == list(CAUSES)
    pool = Pool(SHARES, make_template())
    pool.refresh()
    text = pool.views.metrics.decode()
    for metric in METRICS:
        assert f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {metric.kind}\n" in text
        assert metric.name.startswith(("p2pool_", "process_"))
        assert metric.name.endswith("_total") == (metric.kind == "counter" and metric.name not in ANNOUNCED)
        assert metric.name.endswith("_seconds") or metric.kind != "histogram"
    assert text.count("# TYPE ") == len(METRICS)


def test_the_page_describes_exactly_these_metrics():
    text = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    described = [tuple(part.strip() for part in row) for row in DOCUMENTED.findall(text)]
    assert described == [
        (metric.name, str(metric.kind), ", ".join(f"`{label}`" for label in metric.labels), metric.help)
        for metric in METRICS
    ]


@pytest.mark.parametrize("name", ANNOUNCED)
def test_the_first_metrics_keep_their_names_and_types_and_have_no_labels(name):
    pool = Pool(SHARES, make_template())
    CAUSES[name].happen(pool)
    pool.refresh()
    lines = pool.views.metrics.decode().splitlines()
    assert f"# TYPE {name} {ANNOUNCED[name]}" in lines
    (sample,) = [line for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
    assert float(sample.removeprefix(f"{name} ")) > 0
    assert not any(line.startswith(f"{name}_total") for line in lines)


def test_a_worker_s_name_cannot_change_a_type():
    pool = Pool()
    pool.stats.record_worker_on("y.\n# TYPE p2pool_blocks_found untyped\n", difficulty=1.0, now=pool.now)
    pool.refresh()
    text = pool.views.metrics.decode()
    assert text.count("\n# TYPE p2pool_blocks_found counter\n") == 1
    assert "\n# TYPE p2pool_blocks_found untyped\n" not in text


def test_an_empty_node():
    found = Pool()
    assert value(found, "p2pool_share_chain_height") == value(found, "p2pool_block_height") == 0
    assert value(found, "p2pool_start_time_seconds") == NOW
    assert value(found, "p2pool_pool_hashrate") == 0
    assert value(found, "p2pool_share_chain_last_share_timestamp_seconds") is None


def test_refusals_have_words_and_those_without_a_case_are_there():
    pool = Pool()
    for code in (21, 99, 99):
        pool.stats.record_refused(None, code, pool.now)
    assert value(pool, "p2pool_shares_rejected_by_reason_total", reason="stale", code="21") == 1
    assert value(pool, "p2pool_shares_rejected_by_reason_total", reason="other", code="99") == 2
    assert value(pool, "p2pool_shares_rejected") == 3
    by_reason = "p2pool_shares_rejected_by_reason_total"
    zeros = [number for (name, _), number in samples(pool).items() if name == by_reason]
    assert sorted(zeros) == [0.0] * (len(REASONS) - 1) + [1.0, 2.0]


def test_every_stratum_error_code_has_a_word():
    from p2pool.stratum.errors import ErrorCode

    assert set(REASONS) == {int(code) for code in ErrorCode}
    assert len(set(REASONS.values())) == len(REASONS)


def test_the_stale_rates_are_those_of_the_chain_and_of_our_own_shares():
    pool = Pool(SHARES, make_template())
    own_stales(pool)
    assert value(pool, "p2pool_orphan_ratio", scope="local") == 0.1
    assert value(pool, "p2pool_dead_on_arrival_ratio", scope="local") == 0.05
    assert value(pool, "p2pool_orphan_ratio", scope="pool") == 0
    assert value(pool, "p2pool_stale_ratio") == 0


def test_the_pool_s_rate_is_that_of_the_other_pages():
    from p2pool.web.api.pool import pool_rate

    pool = Pool(SHARES, make_template())
    CAUSES["p2pool_stale_ratio"].happen(pool)
    assert value(pool, "p2pool_pool_hashrate") == pytest.approx(pool_rate(pool.view_snapshot))


def test_only_the_strongest_workers_are_named():
    pool = Pool()
    with_sources(pool, metrics_max_workers=3)
    pool.stats.record_worker_on("yIdle.1", difficulty=1.0, now=pool.now)
    pool.stats.record_refused("yGone.1", 21, pool.now)
    assert workers_named(pool) == ["yIdle.1"]
    for number in range(10):
        pool.stats.record_accepted(
            f"y.{number}", attempts=100 + number * (-1) ** number, difficulty=1.0, dead=False, now=pool.now
        )
    assert workers_named(pool) == ["y.8", "y.6", "y.4"]
    with_sources(pool, metrics_max_workers=0)
    assert workers_named(pool) == []
    assert value(pool, "p2pool_connected_workers") == 1
    assert value(pool, "p2pool_known_workers") == 12


def test_found_blocks_are_a_total_that_outlives_the_pages():
    pool = Pool()
    for number in range(MAX_BLOCKS + 20):
        pool.stats.record_block(BlockRecord(pool.now, number, 1, "yA.1", None, 1))
        pool.stats.record_block(BlockRecord(pool.now, number, 1, "yA.1", None, 1, BlockStatus.ACCEPTED))
    assert value(pool, "p2pool_blocks_found") == MAX_BLOCKS + 20
    assert value(pool, "p2pool_blocks", status="accepted") == MAX_BLOCKS


def test_a_daemon_of_which_nothing_is_known():
    pool = Pool()
    pool.daemons = [DaemonFigures("http://b:1/", False, "down", None, None, None, "", None)]
    assert value(pool, "p2pool_daemon_up", daemon="http://b:1/") == 0
    assert value(pool, "p2pool_daemon_height", daemon="http://b:1/") is None
    assert value(pool, "p2pool_daemon_answer_seconds", daemon="http://b:1/") is None


def test_buckets_are_cumulative():
    pool = Pool()
    for seconds in (0.001, 0.015, 100.0):
        pool.stats.record_new_block_job("zmq", seconds)
    name, road = "p2pool_new_block_to_job_seconds_bucket", {"road": "zmq"}
    assert [value(pool, name, le=le, **road) for le in ("0.005", "0.02", "30.0", "+Inf")] == [1, 2, 2, 3]


def test_a_process_that_may_open_any_number_of_files():
    pool = Pool()
    pool.stats.record_process(ProcessFigures(1, 1.0, None, -1, 1))
    assert value(pool, "process_max_fds") == float("inf")
    assert value(pool, "process_open_fds") is None


def test_names_of_workers_cannot_forge_samples():
    pool = Pool()
    name = 'y."} 7\np2pool_alerts_sent_total 9\\'
    pool.stats.record_worker_on(name, difficulty=1.0, now=pool.now)
    pool.stats.record_alert()
    assert workers_named(pool) == [name.replace("\n", "?")]
    assert value(pool, "p2pool_alerts_sent_total") == 1


def test_it_is_rendered_once_for_each_snapshot_and_only_when_asked(monkeypatch):
    pool, rendered = Pool(3, make_template()), []
    render = page.render_metrics
    monkeypatch.setattr(page, "render_metrics", lambda *asked: rendered.append(asked) or render(*asked))
    assert pool.views.metrics == b""
    for _ in range(3):
        pool.refresh()
    assert rendered == []
    first = pool.ask("/metrics").body
    pool.stats.record_alert()
    assert pool.ask("/metrics").body == first
    assert len(rendered) == 1
    pool.refresh()
    assert pool.ask("/metrics").body != first
    assert len(rendered) == 2


def test_metrics_that_fail_keep_their_last_figures_and_the_pages_live(monkeypatch):
    pool = Pool(3, make_template())
    pool.refresh()
    before = pool.views.metrics
    monkeypatch.setattr(page, "render_metrics", lambda *asked: 1 / 0)
    with logged() as log:
        pool.refresh()
        for _ in range(3):
            assert pool.views.metrics == before
    assert len(log.tracebacks) == 1
    assert set(pool.views.rendered) >= set(views.VIEWS)


def test_a_source_that_fails_keeps_its_last_figures_and_the_others_go_on():
    pool = Pool(3, make_template())
    CAUSES["p2pool_peers"].happen(pool)
    assert value(pool, "p2pool_peers", direction="incoming") == 1
    pool.peers = None
    pool.problem = "down"
    with logged() as log:
        assert value(pool, "p2pool_peers", direction="incoming") == 1
        assert value(pool, "p2pool_dashd_up") == 0
    assert log.tracebacks
