"""A real Prometheus server scrapes a real node, with the rules and the dashboard's questions of docs/."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from p2pool.web.metrics import METRICS
from p2pool.web.metrics.gateways import GATEWAYS
from tests.e2e.process import NodeProcess, free_port, wait_for
from tests.web.metric_causes import ANNOUNCED
from tests.web.monitoring import ALERTS, CONFIG, dashboard_expressions, rules

PROMETHEUS = shutil.which("prometheus")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(PROMETHEUS is None, reason="Prometheus is not installed (Debian: apt install prometheus)"),
]
MAY_BE_ABSENT = {
    "p2pool_connections_turned_away_total": "nobody was turned away",
    "p2pool_offences_total": "nobody misbehaved",
    "p2pool_peer_round_trip_seconds": "there are no peers",
    "p2pool_newer_votes_version": "all vote for the version that is known",
    "p2pool_newer_type_shares_total": "nobody sent such shares",
    "p2pool_refused_branch_work_ratio": "nothing was refused",
    **{metric.name: "there are no gateways" for metric in GATEWAYS},
}


class Prometheus:
    """A server of its own; `ask` is its HTTP API."""

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, path: str, **params: str) -> Any:
        answer = requests.get(f"{self._url}/api/v1/{path}", params=params, timeout=10).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def value(self, query: str) -> float | None:
        """Of a query with one result; None while there is none."""
        try:
            found = self.ask("query", query=query)["result"]
        except requests.RequestException:
            return None
        return float(found[0]["value"][1]) if found else None


@contextmanager
def prometheus(directory: Path, node_port: int) -> Iterator[Prometheus]:
    """On the configuration of docs/, with this node as target, and once a second."""
    text = CONFIG.read_text("utf-8").replace("127.0.0.1:7903", f"127.0.0.1:{node_port}").replace("15s", "1s")
    assert str(node_port) in text
    config = directory / "prometheus.yml"
    config.write_text(text)
    shutil.copy(ALERTS, directory)
    port = free_port()
    with open(directory / "prometheus.log", "wb") as log:
        process = subprocess.Popen(
            [
                *(PROMETHEUS or "", f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}"),
                f"--storage.tsdb.path={directory / 'tsdb'}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Prometheus(f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()


def test_prometheus_scrapes_a_node(tmp_path):
    with NodeProcess(tmp_path, "--simnet-miners", "2", "--simnet-block-period", "2") as node:
        node.wait_for_line("miners (X11) connect to stratum+tcp://")
        with prometheus(tmp_path, node.port) as server:
            wait_for("a scrape", lambda: server.value('up{job="p2pool-dash"} == 1'))
            wait_for("a block of the pool", lambda: server.value("p2pool_blocks_found > 0"))
            wait_for("a share of the chain", lambda: server.value("p2pool_chain_shares_found_total > 0"))
            wait_for("the hash rate of workers", lambda: server.value("count(p2pool_worker_hashrate > 0) == 2"))
            wait_for("new blocks", lambda: server.value("count(rate(p2pool_new_block_to_job_seconds_count[1m]))"))
            wait_for("the process", lambda: server.value("process_resident_memory_bytes > 1e7"))
            check_names(server)
            check_values(server, node)
            check_rules(server)
            check_dashboard(server)


def check_names(server: Prometheus) -> None:
    """Every metric arrived, with its type and its text."""
    known = server.ask("metadata")
    names = set(server.ask("label/__name__/values"))
    for metric in METRICS:
        (described,) = known[metric.name]
        assert described["type"] == metric.kind
        assert described["help"] == metric.help
        sample = f"{metric.name}_count" if metric.kind == "histogram" else metric.name
        assert sample in names or metric.name in MAY_BE_ABSENT, metric.name


def check_values(server: Prometheus, node: NodeProcess) -> None:
    """They are those of the node's own pages."""
    assert server.value("p2pool_connected_workers") == 2
    assert server.value("p2pool_dashd_up") == 1
    assert {name: server.ask("metadata", metric=name)[name][0]["type"] for name in ANNOUNCED} == ANNOUNCED
    (sample,) = server.ask("query", query="p2pool_shares_rejected")["result"]
    assert set(sample["metric"]) == {"__name__", "instance", "job"}
    by_reason = "sum(p2pool_shares_rejected_by_reason_total)"
    assert server.value(f"p2pool_shares_rejected - on() {by_reason}") == 0
    accepted = node.get("local_stats")["submissions"]["accepted"]
    wait_for("all submissions", lambda: (server.value("p2pool_shares_accepted") or 0) >= accepted or None)
    assert server.value("p2pool_submit_latency_seconds_count") > 0
    assert server.value("p2pool_job_fan_out_seconds_count") > 0
    assert server.value("p2pool_reactor_delay_seconds_count") > 10
    assert 0 < server.value("process_open_fds") < server.value("process_max_fds")


def check_rules(server: Prometheus) -> None:
    """Prometheus evaluates all of them."""
    loaded = [rule for group in server.ask("rules")["groups"] for rule in group["rules"]]
    assert {rule["name"] for rule in loaded} == {rule.name for rule in rules()}
    wait_for(
        "every rule to be evaluated",
        lambda: all(rule["health"] == "ok" for group in server.ask("rules")["groups"] for rule in group["rules"]),
    )


def check_dashboard(server: Prometheus) -> None:
    """Prometheus understands what every panel asks, and has an answer for nearly all."""
    empty = [
        expression for expression in dashboard_expressions() if not server.ask("query", query=expression)["result"]
    ]
    silent = {name for name in MAY_BE_ABSENT for expression in empty if name in expression}
    assert silent == set(MAY_BE_ABSENT)
    others = [expression for expression in empty if not any(name in expression for name in MAY_BE_ABSENT)]
    assert [expression for expression in others if "changes(" not in expression] == [], json.dumps(others)
