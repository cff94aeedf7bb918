"""The dashboard and the alert rules: they can be loaded, and they speak of metrics that there are. Each alert
comes when it should, as promtool finds, and not before."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

from p2pool.web.metrics import METRICS
from tests.support import make_template
from tests.web.metric_causes import ANNOUNCED, CAUSES
from tests.web.monitoring import (
    ALERTS,
    CONFIG,
    dashboard,
    dashboard_expressions,
    metrics_in,
    rules,
)
from tests.web.pages import Pool

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not installed (Debian's package prometheus has it)"
)
ME = 'instance="n", job="p2pool-dash"'
ASKED_FOR = """
    connected_workers pool_hashrate local_hashrate shares_accepted shares_rejected_by_reason_total blocks_found
    worker_hashrate worker_shares_accepted_total share_chain_height orphan_ratio dead_on_arrival_ratio peers
    daemon_answer_seconds daemon_height job_fan_out_seconds_bucket submit_latency_seconds_bucket
    new_block_to_job_seconds_bucket reactor_delay_worst_seconds bans blocks_waiting spool_problem alerts_sent_total
"""


def eventful_pages() -> Iterator[str]:
    """The page after each of the things that can happen."""
    pool = Pool(30, make_template())
    for cause in CAUSES.values():
        cause.happen(pool)
        pool.refresh()
        yield pool.views.metrics.decode()


@cache
def names_on_the_page() -> set[str]:
    """Of all samples that ever are."""
    lines = [line for page in eventful_pages() for line in page.splitlines() if not line.startswith("#")]
    return {line.partition(" ")[0].partition("{")[0] for line in lines}


def promtool(*arguments: str, given: str = "") -> tuple[int, str]:
    """(exit status, what it said)."""
    done = subprocess.run(
        [PROMTOOL or "", *arguments], input=given, capture_output=True, text=True, timeout=300, check=False
    )
    return done.returncode, done.stdout + done.stderr


# --- the dashboard ---------------------------------------------------------------------------------------------


def test_the_dashboard_asks_for_metrics_that_there_are():
    asked = set().union(*map(metrics_in, dashboard_expressions()))
    assert asked <= names_on_the_page()
    assert {f"p2pool_{name}" for name in ASKED_FOR.split()} <= asked
    older = {"process_start_time_seconds"}
    families = {name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for name in asked}
    assert {metric.name for metric in METRICS} - older <= families


def test_every_panel_asks_the_chosen_data_source_and_has_a_place_of_its_own():
    board = dashboard()
    assert [variable["type"] for variable in board["templating"]["list"]] == ["datasource", "query"]
    source = {"type": "prometheus", "uid": "${datasource}"}
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
        if panel["type"] == "row":
            continue
        assert panel["title"]
        assert panel["datasource"] == source
        assert panel["targets"]
        assert all(target["datasource"] == source and "$instance" in target["expr"] for target in panel["targets"])
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    assert board["schemaVersion"] >= 36  # Grafana 10 reads it without a change


# --- the rules -------------------------------------------------------------------------------------------------


def test_alerts_ask_for_metrics_that_there_are_and_say_what_to_do():
    on_the_page, names = names_on_the_page(), [rule.name for rule in rules()]
    assert len(set(names)) == len(names)
    for rule in rules():
        asked = metrics_in(rule.expr)
        assert asked <= on_the_page
        assert asked or "up{" in rule.expr
        assert rule.labels["severity"] in ("page", "ticket")
        assert set(rule.annotations) == {"summary", "description"}
        assert rule.annotations["description"].endswith(".")


def test_the_configuration_takes_the_rules():
    config = yaml.safe_load(CONFIG.read_text("utf-8"))
    assert config["rule_files"] == [ALERTS.name]
    (job,) = config["scrape_configs"]
    assert job["job_name"] == "p2pool-dash"  # the alerts' own word for it


@needs_promtool
@pytest.mark.parametrize(("what", "path"), [("rules", ALERTS), ("config", CONFIG)])
def test_promtool_takes_it(what, path):
    status, said = promtool("check", what, str(path))
    assert status == 0, said


@needs_promtool
def test_promtool_finds_nothing_to_say_of_the_metrics_but_that_old_names_are_old():
    *_, last = eventful_pages()
    _, said = promtool("check", "metrics", given=last)
    counters = [name for name, kind in ANNOUNCED.items() if kind == "counter"]
    expected = [f'{name} counter metrics should have "_total" suffix' for name in counters]
    assert sorted(said.splitlines()) == sorted(expected)


HEALTHY = {
    "up": "1",
    "process_start_time_seconds": "0",
    "process_open_fds": "50",
    "process_max_fds": "1024",
    "process_resident_memory_bytes": "1e8",
    "p2pool_dashd_up": "1",
    "p2pool_work_problem": "0",
    'p2pool_daemon_up{daemon="a"}': "1",
    'p2pool_daemon_answer_seconds{daemon="a"}': "0.1",
    'p2pool_daemon_height{daemon="a"}': "100",
    'p2pool_daemon_height{daemon="b"}': "100",
    'p2pool_peers{direction="incoming"}': "0",
    'p2pool_peers{direction="outgoing"}': "6",
    "p2pool_share_chain_last_share_found_timestamp_seconds": "0+60x100000",
    'p2pool_orphan_ratio{scope="local"}': "0.05",
    'p2pool_orphan_ratio{scope="pool"}': "0.04",
    'p2pool_dead_on_arrival_ratio{scope="local"}': "0.05",
    'p2pool_dead_on_arrival_ratio{scope="pool"}': "0.04",
    "p2pool_stale_ratio": "0.08",
    'p2pool_newer_votes_ratio{span="chain"}': "0",
    'p2pool_newer_votes_ratio{span="window"}': "0",
    'p2pool_newer_votes_ratio{span="recent"}': "0.6",
    "p2pool_own_votes_refused": "0",
    "p2pool_store_problem": "0",
    "p2pool_chain_split": "0",
    "p2pool_refused_work_ratio": "0.1",
    "p2pool_block_problem": "0",
    "p2pool_spool_problem": "0",
    "p2pool_blocks_waiting": "0",
    'p2pool_blocks{status="refused"}': "3",
    'p2pool_blocks{status="orphaned"}': "3",
    "p2pool_local_hashrate": "1e12",
    "p2pool_shares_rejected": "0+1x100000",
    "p2pool_shares_accepted": "0+1000x100000",
    'p2pool_connections_turned_away_total{reason="banned"}': "0+1x100000",
    'p2pool_submit_latency_seconds_bucket{le="0.001"}': "0+1000x100000",
    'p2pool_submit_latency_seconds_bucket{le="0.5"}': "0+1000x100000",
    'p2pool_submit_latency_seconds_bucket{le="+Inf"}': "0+1000x100000",
    'p2pool_new_block_to_job_seconds_bucket{road="p2p", le="0.1"}': "0+1x100000",
    'p2pool_new_block_to_job_seconds_bucket{road="p2p", le="30"}': "0+1x100000",
    'p2pool_new_block_to_job_seconds_bucket{road="p2p", le="+Inf"}': "0+1x100000",
    'p2pool_job_fan_out_seconds_bucket{le="0.1"}': "0+10x100000",
    'p2pool_job_fan_out_seconds_bucket{le="5"}': "0+10x100000",
    'p2pool_job_fan_out_seconds_bucket{le="+Inf"}': "0+10x100000",
    "p2pool_reactor_delay_worst_seconds": "0.01",
    'p2pool_gateway_up{gateway="north"}': "1",
}
"""A node that is well; a value a minute."""
DAYS = 2 * 1440

TROUBLE: dict[str, tuple[dict[str, str], int]] = {
    "P2poolNodeDown": ({"up": "0"}, 5),
    "P2poolRestarted": ({"process_start_time_seconds": "0x99 5940x2 6120x2 6300x2 6480x200"}, 110),
    "P2poolNoTemplates": ({"p2pool_dashd_up": "0"}, 5),
    "P2poolNoWork": ({"p2pool_work_problem": "1"}, 10),
    "P2poolBlockProblem": ({"p2pool_block_problem": "1"}, 10),
    "P2poolDaemonDown": ({'p2pool_daemon_up{daemon="a"}': "0"}, 10),
    "P2poolDaemonSlow": ({'p2pool_daemon_answer_seconds{daemon="a"}': "2"}, 15),
    "P2poolDaemonBehind": ({'p2pool_daemon_height{daemon="b"}': "97"}, 15),
    "P2poolNoPeers": ({'p2pool_peers{direction="outgoing"}': "0"}, 15),
    "P2poolChainStands": ({"p2pool_share_chain_last_share_found_timestamp_seconds": "0"}, 40),
    "P2poolChainSplit": ({"p2pool_chain_split": "1"}, 1),
    "P2poolWorkRefused": ({"p2pool_refused_work_ratio": "0.3"}, 40),
    "P2poolStalesHigh": ({'p2pool_orphan_ratio{scope="local"}': "0.2"}, 70),
    "P2poolStoreProblem": ({"p2pool_store_problem": "1"}, 10),
    "P2poolNewerVotes": ({'p2pool_newer_votes_ratio{span="window"}': "0.6"}, 70),
    "P2poolOwnVotesRefused": ({"p2pool_own_votes_refused": "1"}, 10),
    "P2poolSpoolProblem": ({"p2pool_spool_problem": "1"}, 1),
    "P2poolBlockWaits": ({"p2pool_blocks_waiting": "1"}, 15),
    "P2poolBlockRefused": ({'p2pool_blocks{status="refused"}': "3x50 4x1000"}, 60),
    "P2poolBlockOrphaned": ({'p2pool_blocks{status="orphaned"}': "3x50 4x1000"}, 60),
    "P2poolHashrateFell": ({"p2pool_local_hashrate": "1e12x600 4e11x1000"}, 620),
    "P2poolManyRefused": (
        {"p2pool_shares_rejected": "0+70x100000"},
        30,
    ),
    "P2poolManyTurnedAway": ({'p2pool_connections_turned_away_total{reason="banned"}': "0+90x100000"}, 20),
    "P2poolGatewayGone": ({'p2pool_gateway_up{gateway="north"}': "0"}, 10),
    "P2poolSubmitsSlow": ({'p2pool_submit_latency_seconds_bucket{le="0.001"}': "0+900x100000"}, 20),
    "P2poolNewBlocksSlow": (
        {'p2pool_new_block_to_job_seconds_bucket{road="p2p", le="0.1"}': "0+0.5x100000"},
        60,
    ),
    "P2poolFanOutSlow": ({'p2pool_job_fan_out_seconds_bucket{le="0.1"}': "0+5x100000"}, 60),
    "P2poolReactorBlocked": ({"p2pool_reactor_delay_worst_seconds": "0.6"}, 15),
    "P2poolFilesRunOut": ({"process_open_fds": "950"}, 10),
    "P2poolMemoryGrows": ({"process_resident_memory_bytes": f"1e8x{DAYS} 2e8x1000"}, DAYS + 200),
}
"""What is otherwise than in HEALTHY, and after how many minutes the alert is there."""


def test_every_alert_has_its_trouble():
    assert set(TROUBLE) == {rule.name for rule in rules()}


def promtool_test(directory: Path, series: dict[str, str], checks: list[tuple[int, list[str]]]) -> str:
    """What promtool finds wrong: (minute, alerts that are there then) are expected."""
    inputs = []
    for name, values in series.items():
        bare, _, labels = name.partition("{")
        inputs.append(
            {
                "series": f"{bare}{{{labels.removesuffix('}')}{', ' if labels else ''}{ME}}}",
                "values": values if "x" in values else f"{values}x20000",
            }
        )
    tests = [
        {
            "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in alerts],
        }
        for minute, alerts in checks
    ]
    path = directory / "test.json"
    group = {"interval": "1m", "input_series": inputs, "promql_expr_test": tests}
    path.write_text(json.dumps({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": [group]}))
    status, said = promtool("test", "rules", str(path))
    return "" if status == 0 else said


@needs_promtool
def test_a_node_that_is_well_wakes_nobody(tmp_path):
    assert promtool_test(tmp_path, HEALTHY, [(minute, []) for minute in (1, 30, 120, 2000)]) == ""


@needs_promtool
@pytest.mark.parametrize("alert", TROUBLE)
def test_each_alert_comes_alone_when_there_is_trouble(tmp_path, alert):
    changes, minute = TROUBLE[alert]
    assert set(changes) <= set(HEALTHY)
    assert promtool_test(tmp_path, HEALTHY | changes, [(minute, [alert])]) == ""
