"""What the node says about votes for share versions, in one place: pages, metrics, warnings and alerts take it
from here. Counted once for each best share."""

from __future__ import annotations

from p2pool.networks.parameters import SHARE_VERSION
from p2pool.pool_stats import VoteFigures
from p2pool.share.versions import SHARE_VERSIONS
from p2pool.share.votes import C2POOL_VERSION, C2poolRefusal, c2pool_refusal, own_vote, reaches
from p2pool.sharechain.votes import ChainVotes, Tally, count_votes
from p2pool.web.sources import Sources

DOMINATES = 50
"""Percentage of the work for versions that this node does not know at which pages warn."""


_ADVICE = "Look for a newer release; the page /transition shows the votes"


def chain_votes(sources: Sources) -> ChainVotes:
    """Return the votes of the best chain: the same object until the best share changes."""
    tracker, best, recent = sources.node.tracker, sources.node.best_share, sources.lookbehind
    # The chain below the best share grows while it is loaded.
    key = best, 0 if best is None else tracker.height(best), recent
    return sources.cache.latest("votes", key, lambda: count_votes(tracker, best, recent))


def refusal_upon(votes: ChainVotes, parent_vote: int | None) -> C2poolRefusal | None:
    """Return why c2pool-dash refuses a share of this node if the best share votes `parent_vote`."""
    return c2pool_refusal(
        own_vote(parent_vote, votes.window.work),
        parent_vote,
        has_history=votes.has_history,
        chain_work=votes.chain.work,
        window_work=votes.window.work,
    )


def own_shares_refused(votes: ChainVotes) -> bool:
    """Return whether c2pool-dash refuses shares that vote as this node's do if their previous shares vote
    C2POOL_VERSION."""
    return refusal_upon(votes, C2POOL_VERSION) is not None


def votes_problem(votes: ChainVotes) -> str | None:
    """Return what an operator has to know of the votes, None while higher versions do not dominate."""
    if own_shares_refused(votes):
        part = votes.chain.part(votes.chain.work[C2POOL_VERSION])
        return (
            f"{part:.0%} of the share chain's work votes for share version {C2POOL_VERSION}, so c2pool-dash "
            f"rejects this node's shares, which vote for {SHARE_VERSION}, on top of shares that vote "
            f"differently. {_ADVICE}"
        )
    spans = [(votes.recent, "the last hour's work")]
    if votes.has_history:
        spans += [(votes.chain, "the share chain's work"), (votes.window, "the work of the chain's oldest tenth")]
    for tally, name in spans:
        if tally.total_shares > 1 and reaches(tally.newer_work, tally.total_work, DOMINATES):
            return (
                f"{tally.part(tally.newer_work):.0%} of {name} votes for share versions above "
                f"{SHARE_VERSIONS.newest} (mostly {votes.leading}), which this node does not know. {_ADVICE}"
            )
    return None


def branch_problem(votes: ChainVotes) -> str | None:
    """Return what an operator has to know of shares in the best chain that c2pool-dash refuses for their votes, or
    None. As more of them come, the text changes in its numbers only, so that it is logged once."""
    refused = votes.refused
    if refused.newest is None:
        return None
    return (
        f"c2pool-dash rejects shares of the best chain because of their votes: {refused.count} in the last hour "
        f"(the newest votes for {refused.newest.desired_version}, its parent share for {refused.parent_vote}). "
        "Nodes that run c2pool-dash follow another branch. The page /transition shows the newest of these "
        "shares"
    )


def vote_figures(sources: Sources) -> VoteFigures:
    """Return the votes as metrics, warnings and alerts take them."""
    votes = chain_votes(sources)
    return sources.cache.latest("vote figures", votes, lambda: _figures(votes))


def _figures(votes: ChainVotes) -> VoteFigures:
    def part(tally: Tally) -> float | None:
        return tally.part(tally.newer_work) if votes.has_history else None

    return VoteFigures(
        leading=votes.leading,
        chain=part(votes.chain),
        window=part(votes.window),
        recent=votes.recent.part(votes.recent.newer_work) if votes.recent.total_work else None,
        refused=own_shares_refused(votes),
        problem=votes_problem(votes),
        refused_shares=votes.refused.count,
        branch_problem=branch_problem(votes),
    )
