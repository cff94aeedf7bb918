"""Log lines about the node as a whole: one status line a minute, and warnings while their cause lasts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.logger import Logger

from p2pool.base.environment import Environment
from p2pool.base.text import format_duration, format_rate
from p2pool.base.timer import Timer
from p2pool.base.warn_once import WarnOnce
from p2pool.web.api.pool import observed_rate
from p2pool.web.sources import Snapshot, Sources
from p2pool.web.votes import vote_figures

STATUS_PERIOD: Final = 60.0
ADVICE_PERIOD: Final = 10.0
"""Seconds between two checks for warnings."""
SNAPSHOT_AGE: Final = 5.0
"""Seconds for which figures are new enough for the log."""
_log = Logger(namespace="p2pool")


class StatusLog:
    """Writes status and warnings. `advice` gives what Dash Core's side warns of, as complete sentences."""

    def __init__(self, environment: Environment, sources: Sources, advice: Callable[[], list[str]]) -> None:
        self._environment = environment
        self._sources = sources
        self._advice = advice
        self._warned = WarnOnce()
        self._timers: list[Timer] = []

    def start(self) -> None:
        """Write from now on: the first status after a minute."""
        reactor = self._environment.reactor
        self._timers = [
            Timer(reactor, STATUS_PERIOD, self.log_status, name="log the status", now=False),
            Timer(reactor, ADVICE_PERIOD, self.log_warnings, name="log warnings", now=False),
        ]

    def stop(self) -> None:
        """Stop writing to the log."""
        for timer in self._timers:
            timer.stop()

    def log_warnings(self) -> None:
        """Log each warning that no other line reports, once while it holds."""
        node = self._sources.node
        votes, work = vote_figures(self._sources), node.context
        found = [
            *self._advice(),
            votes.problem,
            votes.branch_problem,
            node.refused_work().problem,
            None if work is None else work.notice,
        ]
        for text in self._warned.new([text for text in found if text is not None]):
            _log.warn("warning: {text}", text=text)

    def log_status(self) -> None:
        """Log one line about chain, pool, miners and uptime."""
        node, stats, now = self._sources.node, self._sources.stats, self._environment.clock()
        snapshot = stats.snapshot(now, SNAPSHOT_AGE)
        _log.info(
            "share chain of {height} shares; pool {pool}; this node {local} from {connections} connections, "
            "{shares} shares, {blocks} blocks, {refused} rejected submissions; uptime {uptime}",
            height=0 if node.best_share is None else node.tracker.height(node.best_share),
            pool=format_rate(observed_rate(Snapshot(self._sources, snapshot))),
            local=format_rate(snapshot.hash_rate),
            connections=snapshot.connections,
            shares=snapshot.shares,
            blocks=snapshot.blocks_accepted,
            refused=sum(snapshot.refused.values()),
            uptime=format_duration(now - stats.start_time),
        )
