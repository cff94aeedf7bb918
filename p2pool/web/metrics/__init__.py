"""/metrics for Prometheus: every metric is declared once, in `miners`, `gateways`, `chain`, `transition`,
`other_nodes`, `dash_core` or `process`; `page` renders them out of one snapshot. docs/metrics.md describes the
same ones for people."""

from p2pool.web.metrics.page import METRICS, MetricsPage, render_metrics

__all__ = ["METRICS", "MetricsPage", "render_metrics"]
