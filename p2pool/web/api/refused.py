"""Branches of the share chain that this node refuses: the section `refused` of /api/v1/transition."""

from __future__ import annotations

from typing import Any

from p2pool.web.api.schema import HASH, PART, TIME, array, boolean, count, mapping, nullable, number, record, text
from p2pool.web.sources import Snapshot


def refused_section(snapshot: Snapshot) -> dict[str, Any]:
    """Return how much of the last hour's work is on refused branches, and which these are."""
    refused = snapshot.pool.chain.refused
    heard = refused.heard
    return {
        "part": refused.part,
        "part_since": refused.part_since,
        "split": refused.is_majority,
        "problem": refused.problem,
        "heard": heard,
        "branches": [
            {
                "first_share": f"{branch.first_share:064x}",
                "reason": branch.reason,
                "since": branch.since,
                "last": branch.last,
                "shares": branch.shares,
                "part": branch.work / heard if heard else 0.0,
                "software": dict(branch.software),
            }
            for branch in refused.branches
        ],
    }


REFUSED = record(
    "shares that break a rule of this node, and what others built on them",
    part={**PART, "description": "of the work heard in the last hour"},
    part_since={**PART, "description": "the first branch's part of what was heard since that branch began"},
    split=boolean("whether more than half of what was heard since the first branch began is on it"),
    problem=nullable(text("what an operator has to know; null while most work is accepted")),
    heard=number("work of all shares heard in the last hour, average attempts"),
    branches=array(
        record(
            first_share={**HASH, "description": "the share that breaks the rule"},
            reason=text("the rule"),
            since=TIME,
            last={**TIME, "description": "when its newest share was heard"},
            shares=count("heard on it, the first included"),
            part={**PART, "description": "of the work heard in the last hour"},
            software=mapping(count(), "shares by the software of the peer that sent them first"),
        ),
        "those of the last hour, the one with most work first",
    ),
)
