"""What docs/ gives to people who watch nodes: expressions of the dashboard and the alert rules, and the metrics
that they speak of."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import yaml

from tests.support import ROOT

DASHBOARD = ROOT / "docs" / "grafana" / "p2pool-dash.json"
ALERTS = ROOT / "docs" / "prometheus" / "alerts.yml"
CONFIG = ROOT / "docs" / "prometheus" / "prometheus.yml"
_OTHERS = {"up"}
"""Metrics that Prometheus makes itself."""
_METRIC = re.compile(r"\b(?:p2pool|process)_\w+|\bup\b")


@dataclass(frozen=True)
class Rule:
    """An alert."""

    name: str
    expr: str
    labels: dict[str, str]
    annotations: dict[str, str]


def dashboard() -> dict[str, Any]:
    return json.loads(DASHBOARD.read_text("utf-8"))


def rules() -> list[Rule]:
    groups = yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]
    return [
        Rule(rule["alert"], rule["expr"], rule["labels"], rule["annotations"])
        for group in groups
        for rule in group["rules"]
    ]


def dashboard_expressions() -> list[str]:
    """Of panels, annotations and variables, without Grafana's variables."""
    board = dashboard()
    found = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    found += [note["expr"] for note in board["annotations"]["list"]]
    return [
        expr.replace("$__rate_interval", "1m").replace("$__interval", "1m").replace("$instance", ".*")
        for expr in found
    ]


def metrics_in(expression: str) -> set[str]:
    """The metrics that a PromQL expression asks for; what stands in quotes is something else."""
    return set(_METRIC.findall(re.sub(r'"[^"]*"', '""', expression))) - _OTHERS
