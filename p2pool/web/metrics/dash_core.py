"""Metrics of Dash Core: daemons, new blocks, and found blocks on their way. Daemons go by their address, of which
the operator gave a handful."""

from __future__ import annotations

from collections.abc import Iterator

from p2pool.web.metrics.declared import Declared, DeclaredTimes, MetricType, Times, View, by_word, gauge, times


def _notices(view: View) -> Iterator[Times]:
    for source, histogram in view.snapshot.notices.items():
        yield (source,), histogram


DASH_CORE: tuple[Declared | DeclaredTimes, ...] = (
    gauge(
        "p2pool_dashd_up",
        "1 while at least one dashd provides fresh templates.",
        lambda s: float(s.dashd.problem is None),
    ),
    by_word(
        "p2pool_daemon_up",
        MetricType.GAUGE,
        "1 while a dashd is healthy.",
        label="daemon",
        values=lambda s: {daemon.name: float(daemon.well) for daemon in s.dashd.daemons},
    ),
    by_word(
        "p2pool_daemon_serving",
        MetricType.GAUGE,
        "1 for the dashd that provides the work.",
        label="daemon",
        values=lambda s: {daemon.name: float(daemon.serving) for daemon in s.dashd.daemons},
    ),
    by_word(
        "p2pool_daemon_height",
        MetricType.GAUGE,
        "Block height of a dashd.",
        label="daemon",
        values=lambda s: {daemon.name: daemon.height for daemon in s.dashd.daemons if daemon.height is not None},
    ),
    by_word(
        "p2pool_daemon_answer_seconds",
        MetricType.GAUGE,
        "Time that a dashd takes to return a template, smoothed.",
        label="daemon",
        values=lambda s: {
            daemon.name: daemon.answer_time for daemon in s.dashd.daemons if daemon.answer_time is not None
        },
    ),
    gauge(
        "p2pool_block_height",
        "Height of the block that current work builds on.",
        lambda s: s.chain.block_height,
    ),
    gauge(
        "p2pool_network_difficulty",
        "Difficulty of a Dash block.",
        lambda s: s.chain.network_difficulty,
    ),
    gauge(
        "p2pool_broadcaster_peers",
        "Nodes of the Dash network that are ready to receive found blocks.",
        lambda s: s.dashd.broadcaster_peers,
    ),
    gauge("p2pool_blocks_waiting", "Found blocks whose outcome is pending.", lambda s: s.dashd.blocks_waiting),
    gauge(
        "p2pool_spool_problem",
        "1 while the node cannot write found blocks to disk.",
        lambda s: float(s.dashd.spool_problem is not None),
    ),
    DeclaredTimes(
        "p2pool_new_block_to_job_seconds",
        "Time from the first notification of a block to the first job on it, by the source of the notification.",
        _notices,
        ("road",),
    ),
    times(
        "p2pool_block_sending_seconds",
        "Time from finding a block to having sent it to all destinations.",
        lambda s: s.sending,
    ),
)
