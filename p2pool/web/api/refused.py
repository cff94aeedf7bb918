"""Branches of the share chain that this node refuses: the section `refused` of /api/v1/transition."""

from __future__ import annotations

from typing import Any

from p2pool.dash.hashes import hash_hex
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
                "first_share": hash_hex(branch.first_share),
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
    "shares that break a rule of this node, and the shares that others built on them",
    part={**PART, "description": "fraction of the work received in the last hour that is on rejected branches"},
    part_since={**PART, "description": "fraction of the work received since the first branch began that is on it"},
    split=boolean("whether more than half of the work received since the first branch began is on it"),
    problem=nullable(text("warning for the operator; null while most work is accepted")),
    heard=number("work of all shares received in the last hour, in expected hashes"),
    branches=array(
        record(
            first_share={**HASH, "description": "the share that breaks the rule"},
            reason=text("the rule that it breaks"),
            since=TIME,
            last={**TIME, "description": "when its newest share was received"},
            shares=count("shares received on it, including the first"),
            part={
                **PART,
                "description": "fraction of the work received in the last hour that is on rejected branches",
            },
            software=mapping(count(), "shares by the software of the peer that first sent them"),
        ),
        "the branches of the last hour, sorted by work, highest first",
    ),
)
