"""Nodes that vote for another share version, as c2pool-dash does: a change of the vote, and of nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from p2pool.jobs import context
from p2pool.networks.parameters import SHARE_VERSION
from p2pool.share.votes import C2POOL_VERSION

if TYPE_CHECKING:
    from tests.simulation.events import EventQueue


def set_voters(events: EventQueue, names: frozenset[str]) -> None:
    """Let the nodes of these names vote for C2POOL_VERSION, and all others for the version that they know."""

    def vote(parent_vote: int | None, window_work: object = None) -> int:
        owner = events.owner
        return C2POOL_VERSION if owner is not None and owner.host.name in names else SHARE_VERSION

    context.own_vote = vote
