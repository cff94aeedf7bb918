"""What the node's jobs take from its chain and statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from typing_extensions import override

from p2pool.dash.address import cached_address
from p2pool.dashd.template import BlockTemplate
from p2pool.jobs.job_maker import JobTerms
from p2pool.networks.parameters import Network
from p2pool.pool_stats import PoolStats
from p2pool.sharechain.figures import observed_attempts_per_second
from p2pool.sharechain.found_times import FoundTimes
from p2pool.sharechain.own_shares import OwnShares
from p2pool.sharechain.tracker import Tracker

_RECENT_FINDERS = 20
_RATE_SECONDS = 3600
"""The pool's hash rate is that of the shares of so many seconds, by the share period."""


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """`operator_key_hash` is asked for each job that is the fee: the 20 bytes to pay, None while the node has no
    address of its own. `fee` in percent. `donation`: 65535 for 100 %."""

    operator_key_hash: Callable[[], bytes | None]
    fee: float
    donation: int


class NodeState(Protocol):
    """The part of the node that its jobs are made from."""

    network: Network
    tracker: Tracker
    settings: NodeSettings
    stats: PoolStats
    template: BlockTemplate | None
    best_share: int | None

    def found_times(self) -> FoundTimes:
        """Return what tells when shares were found, as of now."""


class NodeJobTerms(JobTerms):
    """The terms of jobs that the node makes itself: always those of this moment."""

    def __init__(self, node: NodeState, own_shares: OwnShares) -> None:
        self._node = node
        self._own_shares = own_shares
        self._pool_rate: tuple[int | None, float] = (None, 0.0)
        """The pool's hash rate as of a best share: every address's job asks for it."""

    @property
    @override
    def fee(self) -> float:
        return self._node.settings.fee

    @property
    @override
    def donation(self) -> int:
        return self._node.settings.donation

    @property
    @override
    def stale_info(self) -> int:
        return self._own_shares.stale_info

    @property
    @override
    def newest_template(self) -> BlockTemplate | None:
        return self._node.template

    @override
    def node_time(self, now: float) -> float:
        return now

    @override
    def operator_key_hash(self) -> bytes | None:
        return self._node.settings.operator_key_hash()

    @override
    def recent_finders(self) -> Iterable[bytes]:
        node = self._node
        return (share.pubkey_hash for share in node.tracker.ancestors(node.best_share, _RECENT_FINDERS))

    @override
    def local_rate(self, now: float) -> float:
        return self._node.stats.hash_rate(now)

    @override
    def pool_rate(self) -> float | None:
        node, best = self._node, self._node.best_share
        lookbehind = _RATE_SECONDS // node.network.share_period
        if best is None or node.tracker.height(best) <= lookbehind:
            return None
        if self._pool_rate[0] != best:
            rate = observed_attempts_per_second(node.tracker, best, count=lookbehind, found=node.found_times())
            self._pool_rate = (best, rate)
        return self._pool_rate[1]

    @override
    def address_rate(self, key_hash: bytes, now: float) -> float:
        address = cached_address(self._node.network.parent.addresses.pubkey_hash, key_hash)
        return self._node.stats.address_hash_rate(address, now)
