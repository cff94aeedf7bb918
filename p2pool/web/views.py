"""All figures that pages show, rendered once a second by a timer, however many look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson
from twisted.logger import Logger

from p2pool.web.api.blocks import block_history, recent_blocks
from p2pool.web.api.dashd import broadcaster_status, daemon_list
from p2pool.web.api.payouts import current_payouts, own_address, own_addresses
from p2pool.web.api.peers import peer_addresses, peer_list, peer_txpool_sizes, peer_versions, pings
from p2pool.web.api.pool import global_stats, local_stats, pool_rate
from p2pool.web.api.stratum import ban_stats, stratum_security, stratum_stats
from p2pool.web.gathering import Gathering
from p2pool.web.metrics import MetricsPage
from p2pool.web.sources import Moment, Sources

_log = Logger(namespace="p2pool.web")

VIEWS: dict[str, Callable[[Moment], Any]] = {
    "local_stats": local_stats,
    "global_stats": global_stats,
    "stratum_stats": stratum_stats,
    "stratum_security": stratum_security,
    "ban_stats": ban_stats,
    "recent_blocks": recent_blocks,
    "block_history": block_history,
    "dashd_status": daemon_list,
    "broadcaster_status": broadcaster_status,
    "current_payouts": current_payouts,
    "rate": pool_rate,
    "peer_addresses": peer_addresses,
    "peer_versions": peer_versions,
    "peer_list": peer_list,
    "peer_txpool_sizes": peer_txpool_sizes,
    "pings": pings,
    "fee": lambda moment: moment.sources.fee,
    "uptime": lambda moment: moment.snapshot.time - moment.snapshot.start_time,
    "payout_addr": own_address,
    "payout_addrs": own_addresses,
    "recent_shares": lambda moment: [
        {
            "ts": share.time,
            "hash": f"{share.share_hash:064x}",
            "miner": share.worker,
            "dead": share.dead,
        }
        for share in reversed(moment.snapshot.recent_shares)
    ],
}
"""By the path that serves them."""


class Views:
    """The rendered bytes, by path, and the values that they are of. Bound: one rendering of each view."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.rendered: dict[str, bytes] = {}
        self.values: dict[str, Any] = {}
        """Each made anew for each rendering, and never changed."""
        self._gathering = Gathering(sources)
        self._metrics = MetricsPage(sources.metrics_max_workers)

    @property
    def metrics(self) -> bytes:
        """/metrics, rendered when somebody asks, once for each snapshot; empty before the first."""
        return self._metrics.text()

    def refresh(self, now: float) -> None:
        """Render everything anew. A view that fails keeps its last rendering; the failure is logged."""
        for _ in self.refreshing(now):
            pass

    def refreshing(self, now: float) -> Iterator[None]:
        """The same in steps: with ten thousand workers, all views at once would hold miners up."""
        self._gathering.gather()
        snapshot = yield from self.sources.stats.taking(now)
        self._metrics.show(snapshot)
        moment = Moment(self.sources, snapshot)
        for path, view in VIEWS.items():
            yield
            try:
                value = view(moment)
                self.rendered[path] = orjson.dumps(value)
                self.values[path] = value
            except Exception:
                _log.failure("view {path} failed", path=path)
