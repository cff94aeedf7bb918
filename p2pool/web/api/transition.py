"""The transition to another share version, watched: /api/v1/transition. Each section has its own functions and its
own part of the schema; `SECTIONS` puts them together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from p2pool.dash.hashes import hash_hex
from p2pool.share.votes import (
    C2POOL_ACCEPTS,
    C2POOL_FLOOR,
    C2POOL_LIFTS_FLOOR,
    C2POOL_REFUSES_OLD,
    C2POOL_VERSION,
    LEGACY_SWITCHES,
    LEVELS,
    OldWindow,
    c2pool_lifts_floor,
    own_vote,
    reaches,
)
from p2pool.sharechain.votes import ChainVotes, Tally
from p2pool.web.api.endpoint import Endpoint
from p2pool.web.api.other_nodes import PEERS, TYPES, peers_section, types_section
from p2pool.web.api.refused import REFUSED, refused_section
from p2pool.web.api.schema import (
    HASH,
    PART,
    SECONDS,
    Schema,
    array,
    boolean,
    count,
    nullable,
    record,
    text,
    words,
)
from p2pool.web.sources import Snapshot
from p2pool.web.votes import branch_problem, chain_votes, own_shares_refused, refusal_upon, votes_problem

MOST_VERSIONS: Final = 10
"""Versions that a tally lists one by one: a vote is any 64-bit number, and each share could have its own."""


def transition(snapshot: Snapshot) -> dict[str, Any]:
    """Return the JSON of /api/v1/transition."""
    return {name: make(snapshot) for name, (make, _) in SECTIONS.items()}


# --- votes -------------------------------------------------------------------------------------------------------


def votes_section(snapshot: Snapshot) -> dict[str, Any]:
    """Return the votes for share versions, over three stretches of the chain."""
    votes = chain_votes(snapshot.sources)
    return snapshot.cache.latest("transition votes", votes, lambda: _votes(votes))


def _votes(votes: ChainVotes) -> dict[str, Any]:
    spans = {"chain": votes.chain, "window": votes.window}
    return {
        "own": own_vote(votes.parent_vote),
        "parent": votes.parent_vote,
        "enough_shares": votes.has_history,
        "problem": votes_problem(votes),
        "refused_by_c2pool": {
            "shares": votes.refused.count,
            "newest": None if votes.refused.newest is None else hash_hex(votes.refused.newest.hash),
            "shares_above": None if votes.refused.newest is None else votes.refused.above,
            "problem": branch_problem(votes),
        },
        "chain": _tally(votes.chain),
        "window": {"from_parent": votes.old_window.start, **_tally(votes.window)},
        "recent": _tally(votes.recent),
        "levels": [
            {
                "percent": percent,
                **{
                    name: reaches(tally.newer_work, tally.total_work, percent) if votes.has_history else None
                    for name, tally in spans.items()
                },
            }
            for percent in LEVELS
        ],
    }


def _tally(tally: Tally) -> dict[str, Any]:
    listed = sorted(tally.work, key=lambda version: (-tally.work[version], version))[:MOST_VERSIONS]
    others = len(tally.work) - len(listed)
    return {
        "shares": tally.total_shares,
        "wanted": tally.wanted,
        "newer_work": tally.part(tally.newer_work),
        "newer": tally.newer_shares,
        "versions": [
            {
                "version": version,
                "work": tally.part(tally.work[version]),
                "shares": tally.shares[version],
            }
            for version in listed
        ],
        "other_versions": others,
    }


_TALLY = {
    "shares": count("number of shares counted"),
    "wanted": count("number of shares in this span of a full chain"),
    "newer_work": {**PART, "description": "fraction of the work that votes for versions above this node's"},
    "newer": count("shares that vote for versions above this node's"),
    "versions": array(
        record(
            version=count(),
            work={**PART, "description": "fraction of the work that votes for this version"},
            shares=count("shares that vote for this version"),
        ),
        f"the {MOST_VERSIONS} versions with the most work, highest first",
    ),
    "other_versions": count("number of versions that are not listed"),
}
_CROSSED = nullable(boolean("whether the threshold is reached; null while the chain is too short"))
_VOTES = record(
    "votes for share versions",
    own=count("the version that this node's shares vote for"),
    parent=nullable(count("the version that the best share votes for; null without shares")),
    enough_shares=boolean("whether the chain has enough shares for the rules about votes"),
    problem=nullable(text("warning for the operator; null if there is none")),
    refused_by_c2pool=record(
        "shares of the best chain in the last hour that c2pool-dash rejects because of their votes",
        shares=count(),
        newest=nullable(HASH),
        shares_above=nullable(count("number of shares built on the newest of these")),
        problem=nullable(text("warning for the operator; null if there is none")),
    ),
    chain=record("the whole chain", **_TALLY),
    window=record(
        "the oldest tenth of the chain, which the rules use",
        from_parent=count("number of shares between the best share and the start of this span"),
        **_TALLY,
    ),
    recent=record("the newest shares, about an hour", **_TALLY),
    levels=array(
        record(
            percent=count("percent of the work that votes for versions above this node's; 0 stands for any vote"),
            chain=_CROSSED,
            window=_CROSSED,
        )
    ),
)


# --- next --------------------------------------------------------------------------------------------------------


def next_section(snapshot: Snapshot) -> dict[str, Any]:
    """Return what would happen next, and when at the earliest."""
    votes = chain_votes(snapshot.sources)
    period = snapshot.node.network.share_period
    return snapshot.cache.latest("transition next", votes, lambda: _next(votes, period))


@dataclass(frozen=True, slots=True)
class Rule:
    """What other software does once `percent` of the work in a stretch of the chain (`span`) votes for a version
    from `lowest` to `highest`. `meaning` is for people, with {version} for the version."""

    name: str
    span: str
    percent: int
    meaning: str
    lowest: int = 0
    highest: int = 2**64


RULES: Final = (
    Rule(
        "c2pool_accepts",
        "window",
        C2POOL_ACCEPTS,
        "c2pool-dash accepts shares that vote for {version} on top of shares that vote for a lower version",
    ),
    Rule(
        "legacy_switches",
        "window",
        LEGACY_SWITCHES,
        "a release of legacy p2pool-dash that knows version {version} accepts shares of that version",
    ),
    Rule(
        "c2pool_lifts_floor",
        "window",
        C2POOL_LIFTS_FLOOR,
        f"c2pool-dash accepts new peers only if they announce protocol {C2POOL_FLOOR} or higher",
        lowest=C2POOL_VERSION,
    ),
    Rule(
        "c2pool_refuses_old",
        "chain",
        C2POOL_REFUSES_OLD,
        "c2pool-dash rejects shares that vote for a version below {version}, such as this node's, on top of "
        "shares that vote differently",
        lowest=C2POOL_VERSION,
        highest=C2POOL_VERSION,
    ),
)


def _next(votes: ChainVotes, period: int) -> dict[str, Any]:
    refusal = refusal_upon(votes, votes.parent_vote)
    version = votes.leading
    return {
        "version": version,
        "share_period": period,
        "own_shares_refused": own_shares_refused(votes) if votes.has_history else None,
        "own_share_now": None if refusal is None else refusal.value,
        "steps": [] if version is None else _steps(votes, version, period),
    }


def _steps(votes: ChainVotes, version: int, period: int) -> list[dict[str, Any]]:
    rules = [rule for rule in RULES if rule.lowest <= version <= rule.highest]
    present = votes.recent.part(votes.recent.work.get(version, 0))
    waits = {
        (span, rate): votes.shares_until(
            version, window, percents=[rule.percent for rule in rules if rule.span == span], rate=rate
        )
        for span, window in (("window", votes.old_window), ("chain", OldWindow(0, votes.chain.wanted)))
        for rate in (present, 1.0)
        if votes.has_history
    }

    def step(rule: Rule) -> dict[str, Any]:
        standing = _standing(rule, votes, version)

        def wait(rate: float) -> dict[str, Any] | None:
            shares = 0 if standing["reached"] else waits.get((rule.span, rate), {}).get(rule.percent)
            return None if shares is None else {"shares": shares, "seconds": shares * period}

        return {
            "rule": rule.name,
            "meaning": rule.meaning.replace("{version}", str(version)),
            "span": rule.span,
            "percent": rule.percent,
            **standing,
            "at_present_rate": wait(present),
            "at_the_earliest": wait(1.0),
        }

    return [step(rule) for rule in rules]


def _standing(rule: Rule, votes: ChainVotes, version: int) -> dict[str, Any]:
    """Return how far a rule is from being met."""
    if not votes.has_history:
        return {"part": None, "missing": None, "reached": None}
    tally = votes.chain if rule.span == "chain" else votes.window
    work = tally.work.get(version, 0)
    part = tally.part(work)
    reached = reaches(work, tally.total_work, rule.percent)
    if rule.name == "c2pool_lifts_floor":  # rounded down there
        reached = c2pool_lifts_floor(version, has_history=True, window_work=tally.work)
    return {"part": part, "missing": max(0.0, rule.percent / 100 - part), "reached": reached}


_WAIT = nullable(
    record(
        shares=count("number of shares until then; 0 if already reached"),
        seconds={**SECONDS, "description": "seconds until then, at one share per share period"},
    )
)
_NEXT = record(
    "what other software would do next; this node itself does not react",
    version=nullable(
        count("the version above this node's with the most work voting for it; null if there is none")
    ),
    share_period={**SECONDS, "description": "average seconds between shares"},
    own_shares_refused=nullable(
        boolean(
            "whether c2pool-dash rejects shares that vote like this node's on top of shares that vote "
            "differently; null while the chain is too short"
        )
    ),
    own_share_now=nullable(
        text("why c2pool-dash would reject a share of this node on top of the best share; null if it would not")
    ),
    steps=array(
        record(
            rule=words(*(rule.name for rule in RULES)),
            meaning=text("what happens then, as text"),
            span=words("window", "chain", description="the span whose work counts"),
            percent=count("percent of the work that must vote for the version"),
            part=nullable(
                {
                    **PART,
                    "description": "fraction of the work that votes for it; null while the chain is too short",
                }
            ),
            missing=nullable(PART),
            reached=nullable(boolean()),
            at_present_rate={
                **_WAIT,
                "description": "forecast if votes continue as in the last hour; null for never",
            },
            at_the_earliest={**_WAIT, "description": "forecast if all shares from now on vote for it"},
        )
    ),
)


# --- the sections ------------------------------------------------------------------------------------------------

SECTIONS: Final[dict[str, tuple[Callable[[Snapshot], dict[str, Any]], Schema]]] = {
    "votes": (votes_section, _VOTES),
    "next": (next_section, _NEXT),
    "types": (types_section, TYPES),
    "peers": (peers_section, PEERS),
    "refused": (refused_section, REFUSED),
}
"""By name: what makes it, and its schema."""

ENDPOINTS = (
    Endpoint(
        "/api/v1/transition",
        "Votes for share versions, and how other software would react to them",
        record("", **{name: schema for name, (_, schema) in SECTIONS.items()}),
        view=transition,
    ),
)
