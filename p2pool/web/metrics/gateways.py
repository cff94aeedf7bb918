"""Metrics of gateways, by the label `gateway`: what each one has of the miners that the other metrics sum up."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from p2pool.pool_stats import GatewaySnapshot
from p2pool.web.metrics.declared import Declared, DeclaredTimes, MetricType, Sample, View


def _by_gateway(
    name: str, kind: MetricType, help_text: str, *, value: Callable[[GatewaySnapshot], float]
) -> Declared:
    """Declare a figure of each gateway."""

    def samples(view: View) -> Iterator[Sample]:
        for gateway in view.snapshot.gateways:
            yield (gateway.name,), value(gateway)

    return Declared(name, kind, help_text, samples, ("gateway",))


GATEWAYS: tuple[Declared | DeclaredTimes, ...] = (
    _by_gateway(
        "p2pool_gateway_up",
        MetricType.GAUGE,
        "1 while a gateway reports to this node, 0 after a minute without a report.",
        value=lambda gateway: float(gateway.present),
    ),
    _by_gateway(
        "p2pool_gateway_connections",
        MetricType.GAUGE,
        "Open connections of miners to a gateway; part of p2pool_connections.",
        value=lambda gateway: gateway.connections,
    ),
    _by_gateway(
        "p2pool_gateway_hashrate",
        MetricType.GAUGE,
        "Estimated hash rate of a gateway's miners, in hashes per second; part of p2pool_local_hashrate.",
        value=lambda gateway: gateway.hash_rate,
    ),
    _by_gateway(
        "p2pool_gateway_shares_accepted_total",
        MetricType.COUNTER,
        "Accepted submissions of a gateway's miners; part of p2pool_shares_accepted.",
        value=lambda gateway: gateway.accepted,
    ),
    _by_gateway(
        "p2pool_gateway_shares_rejected_total",
        MetricType.COUNTER,
        "Rejected submissions of a gateway's miners; part of p2pool_shares_rejected.",
        value=lambda gateway: gateway.refused,
    ),
    _by_gateway(
        "p2pool_gateway_last_report_timestamp_seconds",
        MetricType.GAUGE,
        "When a gateway's last report arrived, in Unix time.",
        value=lambda gateway: gateway.last_heard,
    ),
)
