"""Metrics of the transition to another share version: what shares vote for."""

from __future__ import annotations

from p2pool.pool_stats import PoolSnapshot
from p2pool.web.metrics.declared import Declared, DeclaredTimes, Kind, by_word, gauge


def _newer(snapshot: PoolSnapshot) -> dict[str, float]:
    votes = snapshot.chain.votes
    parts = {"chain": votes.chain, "window": votes.window, "recent": votes.recent}
    return {span: part for span, part in parts.items() if part is not None}


TRANSITION: tuple[Declared | DeclaredTimes, ...] = (
    by_word(
        "p2pool_newer_votes_ratio",
        Kind.GAUGE,
        "Part of the work that votes for share versions above this node's: of the whole chain, of its oldest "
        "tenth (window), and of the last hour (recent). The first two are absent while the chain is too short.",
        "span",
        _newer,
    ),
    gauge(
        "p2pool_newer_votes_version",
        "The share version above this node's that most of the work votes for; absent if none does.",
        lambda s: s.chain.votes.leading,
    ),
    gauge(
        "p2pool_own_votes_refused",
        "1 while c2pool-dash refuses shares that vote as this node's do, on top of shares that vote otherwise.",
        lambda s: float(s.chain.votes.refused),
    ),
)
