"""/metrics for Prometheus: a first set, rendered from the same snapshot as the pages."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import CollectorRegistry

from p2pool.base.histogram import HistogramSnapshot
from p2pool.web.api.peers import peer_counts
from p2pool.web.api.pool import pool_rate, stale_proportion
from p2pool.web.sources import Moment


class _Collector:
    """Yields the metrics of one moment."""

    def __init__(self, moment: Moment) -> None:
        self._moment = moment

    def collect(self) -> Iterator[Metric]:
        """prometheus_client's."""
        moment, snapshot, node = self._moment, self._moment.snapshot, self._moment.node
        workers = sum(1 for worker in snapshot.workers if worker.connections)
        for name, text, value in (
            ("p2pool_connected_workers", "Workers with a connection", workers),
            ("p2pool_connections", "Miners' connections", snapshot.connections),
            ("p2pool_pool_hashrate", "Hashes a second of the whole pool", pool_rate(moment)),
            ("p2pool_local_hashrate", "Hashes a second of this node's miners", snapshot.hash_rate),
            ("p2pool_stale_ratio", "Stale part of the share chain's work", stale_proportion(moment)),
            (
                "p2pool_share_chain_height",
                "Length of the best share chain held",
                0 if node.best_share is None else node.tracker.height(node.best_share),
            ),
            (
                "p2pool_block_height",
                "Height of the parent chain",
                0 if node.template is None else node.template.height - 1,
            ),
            ("p2pool_dashd_up", "Whether dashd gives templates", float(moment.sources.dashd().problem is None)),
            ("p2pool_start_time_seconds", "When the node started, Unix time", snapshot.start_time),
        ):
            yield GaugeMetricFamily(name, text, value=value)
        yield from _peer_metrics(moment)
        yield CounterMetricFamily("p2pool_shares_accepted", "Pseudoshares accepted", value=snapshot.accepted)
        yield CounterMetricFamily(
            "p2pool_shares_dead", "Pseudoshares accepted that came too late", value=snapshot.dead
        )
        refused = CounterMetricFamily("p2pool_shares_rejected", "Submissions refused", labels=["reason"])
        for code, count in snapshot.refused.items():
            refused.add_metric([str(code)], count)
        yield refused
        yield CounterMetricFamily("p2pool_chain_shares_found", "Shares of the chain found", value=snapshot.shares)
        yield CounterMetricFamily(
            "p2pool_blocks_found", "Blocks that came into the chain", value=snapshot.blocks_accepted
        )
        yield from _dashd_metrics(moment)


def _dashd_metrics(moment: Moment) -> Iterator[Metric]:
    """Daemons by their address, of which the operator gave a handful."""
    figures, snapshot = moment.sources.dashd(), moment.snapshot
    up = GaugeMetricFamily("p2pool_daemon_up", "Whether a dashd is well", labels=["daemon"])
    height = GaugeMetricFamily("p2pool_daemon_height", "Height of a dashd's chain", labels=["daemon"])
    serving = GaugeMetricFamily("p2pool_daemon_serving", "Whether work comes from a dashd", labels=["daemon"])
    answer = GaugeMetricFamily(
        "p2pool_daemon_answer_seconds", "Time that a dashd takes for a template, smoothed", labels=["daemon"]
    )
    for daemon in figures.daemons:
        labels = [daemon.name]
        up.add_metric(labels, float(daemon.problem is None))
        height.add_metric(labels, daemon.height or 0)
        serving.add_metric(labels, float(daemon.serving))
        if daemon.answer_time is not None:
            answer.add_metric(labels, daemon.answer_time)
    yield from (up, height, serving, answer)
    yield GaugeMetricFamily(
        "p2pool_broadcaster_peers", "Nodes of the Dash network ready for blocks", value=len(figures.broadcaster)
    )
    yield GaugeMetricFamily(
        "p2pool_blocks_waiting", "Found blocks that are not settled", value=figures.blocks_waiting
    )
    notices = HistogramMetricFamily(
        "p2pool_new_block_to_job_seconds", "From the first news of a block to the first job on it", labels=["road"]
    )
    for road, times in snapshot.notices.items():
        notices.add_metric([road], _buckets(times), times.total)
    sending = HistogramMetricFamily(
        "p2pool_block_sending_seconds", "From finding a block to its being sent on all roads"
    )
    sending.add_metric([], _buckets(snapshot.sending), snapshot.sending.total)
    yield from (notices, sending)


def _buckets(times: HistogramSnapshot) -> list[tuple[str, float]]:
    """Cumulative, as Prometheus counts."""
    ends = [*(str(bound) for bound in times.bounds), "+Inf"]
    return list(zip(ends, accumulate(times.counts), strict=True))


def _peer_metrics(moment: Moment) -> Iterator[Metric]:
    """No label names a peer: their ports change with every connection, and series would pile up."""
    count = GaugeMetricFamily("p2pool_peers", "Connected nodes", labels=["direction"])
    for direction, number in peer_counts(moment).items():
        count.add_metric([direction], number)
    yield count
    times = [peer.round_trip for peer in moment.sources.peers() if peer.round_trip is not None]
    seconds = GaugeMetricFamily(
        "p2pool_peer_round_trip_seconds", "Round-trip times of connected nodes", labels=["of"]
    )
    if times:
        seconds.add_metric(["nearest"], min(times))
        seconds.add_metric(["farthest"], max(times))
    yield seconds


def render_metrics(moment: Moment) -> bytes:
    """The exposition text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(moment))
    return generate_latest(registry)
