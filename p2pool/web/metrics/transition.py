"""Metrics of the transition to another share version: what shares vote for, and which ones are refused."""

from __future__ import annotations

from p2pool.pool_stats import PoolSnapshot
from p2pool.web.metrics.declared import Declared, DeclaredTimes, MetricType, by_word, gauge


def _newer(snapshot: PoolSnapshot) -> dict[str, float]:
    votes = snapshot.chain.votes
    parts = {"chain": votes.chain, "window": votes.window, "recent": votes.recent}
    return {span: part for span, part in parts.items() if part is not None}


def _refused(snapshot: PoolSnapshot) -> dict[str, float]:
    """Return the parts by rule, not by branch: others choose how many branches there are."""
    refused = snapshot.chain.refused
    parts: dict[str, float] = {}
    for branch in refused.branches:
        if branch.work:
            parts[branch.reason] = parts.get(branch.reason, 0.0) + branch.work / refused.heard
    return parts


TRANSITION: tuple[Declared | DeclaredTimes, ...] = (
    by_word(
        "p2pool_newer_votes_ratio",
        MetricType.GAUGE,
        "Fraction of the work that votes for share versions above this node's: in the whole chain, its oldest "
        "tenth (window), and the last hour (recent). The first two are absent while the chain is too short.",
        label="span",
        values=_newer,
    ),
    gauge(
        "p2pool_newer_votes_version",
        "The share version above this node's with the most work voting for it; absent if there is none.",
        lambda s: s.chain.votes.leading,
    ),
    gauge(
        "p2pool_own_votes_refused",
        "1 while c2pool-dash rejects shares that vote like this node's on top of shares that vote differently.",
        lambda s: float(s.chain.votes.refused),
    ),
    gauge(
        "p2pool_refused_votes",
        "Shares of the best chain in the last hour that c2pool-dash rejects because of their votes.",
        lambda s: s.chain.votes.refused_shares,
    ),
    gauge(
        "p2pool_refused_work_ratio",
        "Fraction of the work received in the last hour that is on branches that this node rejects.",
        lambda s: s.chain.refused.part,
    ),
    gauge(
        "p2pool_chain_split",
        "1 while more than half of the work received since the leading rejected branch began is on that branch.",
        lambda s: float(s.chain.refused.is_majority),
    ),
    by_word(
        "p2pool_refused_branch_work_ratio",
        MetricType.GAUGE,
        "Fraction of the work received in the last hour that is on rejected branches, by the rule that their "
        "first share breaks.",
        label="reason",
        values=_refused,
    ),
)
