"""Collects the figures of the node, its peers and Dash Core into pool_stats once a second, before the snapshot is
taken, so that one value holds all that is shown or stored."""

from __future__ import annotations

from twisted.logger import Logger

from p2pool.dash.target import target_to_difficulty
from p2pool.node import Node
from p2pool.pool_stats import ChainFigures, DaemonRecord, DashdFigures, PeerCounts, StaleRatios
from p2pool.share.share import STALE_DOA, STALE_ORPHAN
from p2pool.sharechain.figures import observed_attempts_per_second, pool_attempts_per_second
from p2pool.sharechain.own_shares import StaleCounts
from p2pool.web.sources import Sources
from p2pool.web.votes import vote_figures

_log = Logger(namespace="p2pool.web")


class Collector:
    """Records the figures of all `sources`. What walks the share chain is computed once for each best share."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._walked: tuple[int | None, int] | None = None
        self._stales, self._pool_rate, self._observed_rate = StaleRatios(), 0.0, 0.0
        self._found: float | None = None

    def collect(self) -> None:
        """Record all figures. If one part fails, its last figures stay and the failure is logged."""
        for collect in (self._collect_chain, self._collect_peers, self._collect_dashd):
            try:
                collect()
            except Exception:
                _log.failure("internal error: collecting figures failed; the last ones are shown")

    def _collect_chain(self) -> None:
        sources, node = self._sources, self._sources.node
        tracker, best, template, work = node.tracker, node.best_share, node.template, node.context
        share = None if best is None else tracker.get(best)
        self._walk(node, best, sources.lookbehind)
        own = node.stale_counts()
        sources.stats.record_chain(
            ChainFigures(
                height=0 if best is None else tracker.height(best),
                absolute_height=0 if share is None else share.absheight,
                held=len(tracker),
                verified=len(tracker.verified.nodes),
                heads=len(tracker.forest.heads),
                last_share_time=None if share is None else float(share.timestamp),
                last_share_found=self._found,
                share_difficulty=target_to_difficulty(
                    node.network.max_target if share is None else share.max_target
                ),
                pool_rate=self._pool_rate,
                observed_rate=self._observed_rate,
                stales=self._stales,
                own_stales=_own_ratios(own),
                block_height=0 if template is None else template.height - 1,
                network_difficulty=0.0 if template is None else target_to_difficulty(template.target),
                store_problem=sources.store_problem(),
                work_problem=node.work_problem,
                block_problem=None if work is None else work.refusal,
                left_out=0 if work is None else work.left_out,
                votes=vote_figures(sources),
                refused=node.refused_work(),
            )
        )

    def _walk(self, node: Node, best: int | None, count: int) -> None:
        """Compute the whole pool's rates from the last hour's shares. A share announces a stale one of its miner,
        which is not in the chain itself."""
        if self._walked == (best, count):
            return
        self._walked, self._stales = (best, count), StaleRatios()
        self._pool_rate, self._observed_rate, self._found = 0.0, 0.0, None
        if best is None:
            return
        found = node.found_times()
        self._found = found.of(best).time
        if not count:
            return
        orphans = dead = 0
        for share in node.tracker.ancestors(best, count):
            orphans += share.stale_info == STALE_ORPHAN
            dead += share.stale_info == STALE_DOA
        made = count + orphans + dead
        self._stales = StaleRatios(orphans / made, dead / made)
        self._pool_rate = pool_attempts_per_second(node.tracker, best, count) * made / count
        self._observed_rate = (
            observed_attempts_per_second(node.tracker, best, count=count, found=found) * made / count
        )

    def _collect_peers(self) -> None:
        peers = self._sources.peers()
        incoming = sum(1 for peer in peers if peer.incoming)
        times = [peer.round_trip for peer in peers if peer.round_trip is not None]
        self._sources.stats.record_peers(
            PeerCounts(
                incoming,
                len(peers) - incoming,
                min(times, default=None),
                max(times, default=None),
                self._sources.census(),
            )
        )

    def _collect_dashd(self) -> None:
        figures = self._sources.dashd()
        self._sources.stats.record_dashd(
            DashdFigures(
                problem=figures.problem,
                daemons=tuple(
                    DaemonRecord(
                        daemon.name, daemon.problem is None, daemon.serving, daemon.height, daemon.answer_time
                    )
                    for daemon in figures.daemons
                ),
                broadcaster_peers=len(figures.broadcaster),
                blocks_waiting=figures.blocks_waiting,
                spool_problem=figures.spool_problem,
            )
        )


def _own_ratios(own: StaleCounts) -> StaleRatios:
    return StaleRatios(own.orphans / own.total, own.dead / own.total) if own.total else StaleRatios()
