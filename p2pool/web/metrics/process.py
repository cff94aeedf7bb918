"""Metrics of the node's own process. Those called process_* are named as in all that Prometheus watches."""

from __future__ import annotations

import math

from p2pool.pool_stats import PoolSnapshot
from p2pool.web.metrics.declared import Declared, DeclaredTimes, MetricType, Sample, View, counter, gauge, times


def _cpu_seconds(view: View) -> list[Sample]:
    figures = view.snapshot.process.figures
    return [] if figures is None else [((), figures.cpu_seconds)]


def _resident(snapshot: PoolSnapshot) -> float | None:
    figures = snapshot.process.figures
    return None if figures is None else figures.resident_bytes


def _open_files(snapshot: PoolSnapshot) -> float | None:
    figures = snapshot.process.figures
    return None if figures is None else figures.open_files


def _max_files(snapshot: PoolSnapshot) -> float | None:
    figures = snapshot.process.figures
    if figures is None:
        return None
    return math.inf if figures.max_files < 0 else figures.max_files


def _threads(snapshot: PoolSnapshot) -> float | None:
    figures = snapshot.process.figures
    return None if figures is None else figures.threads


def _x11_provider(view: View) -> list[Sample]:
    x11 = view.snapshot.process.x11
    return [((x11.provider, x11.instructions), 1.0)] if x11.provider else []


PROCESS: tuple[Declared | DeclaredTimes, ...] = (
    gauge("p2pool_start_time_seconds", "When the node started, in Unix time.", lambda s: s.start_time),
    gauge("process_start_time_seconds", "The same as p2pool_start_time_seconds.", lambda s: s.start_time),
    gauge("process_resident_memory_bytes", "Resident memory of the process.", _resident),
    Declared(
        "process_cpu_seconds_total",
        MetricType.COUNTER,
        "CPU time used by all threads.",
        _cpu_seconds,
    ),
    gauge("process_open_fds", "Open file descriptors.", _open_files),
    gauge("process_max_fds", "Maximum number of open file descriptors.", _max_files),
    gauge("process_threads", "Number of threads.", _threads),
    times(
        "p2pool_reactor_delay_seconds",
        "Delay of the event loop (reactor), sampled ten times a second.",
        lambda s: s.process.delays,
    ),
    gauge(
        "p2pool_reactor_delay_last_seconds",
        "The most recent sample of p2pool_reactor_delay_seconds.",
        lambda s: s.process.last_delay,
    ),
    gauge(
        "p2pool_reactor_delay_worst_seconds",
        "The longest sample of p2pool_reactor_delay_seconds within the last minute or two.",
        lambda s: s.process.worst_delay,
    ),
    times(
        "p2pool_gc_pause_seconds",
        "Duration of garbage collection pauses.",
        lambda s: s.process.pauses,
    ),
    Declared(
        "p2pool_x11_provider_info",
        MetricType.GAUGE,
        "The implementation of X11 that the node uses, and its processor instructions; always 1.",
        _x11_provider,
        ("provider", "instructions"),
    ),
    gauge(
        "p2pool_x11_problem",
        "1 if the built-in X11 failed its self-test at the start, so that another one is used, else 0.",
        lambda s: 0.0 if s.process.x11.problem is None else 1.0,
    ),
    counter("p2pool_alerts_sent_total", "Alerts sent to people.", lambda s: s.alerts),
)
