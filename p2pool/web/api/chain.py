"""The share chain as a whole: its ends, and a stretch of it share by share: /web/heads and so on, /api/v1/chain.

The lists have the shape that tools of p2pool know: hashes of 64 hex digits. A "tail" there is not the missing
previous share but the oldest share held above it, or a chain's first share: something that can be looked up.
"""

from __future__ import annotations

from typing import Any

from p2pool.dash.hashes import hash_hex, optional_hash_hex
from p2pool.dash.target import target_to_difficulty
from p2pool.node import Node
from p2pool.share.share import Share
from p2pool.sharechain.figures import newest_heads, oldest_shares, stale_name
from p2pool.sharechain.forest import Forest
from p2pool.sharechain.found_times import FoundSource, FoundTime
from p2pool.web.api.endpoint import (
    UNKNOWN_SHARE,
    Arguments,
    Endpoint,
    RequestContext,
    find_share,
    share_hash,
    whole_number,
)
from p2pool.web.api.schema import HASH, TIME, array, boolean, count, nullable, number, record, text, words
from p2pool.web.sources import script_to_text

MAX_LISTED = 1000
"""Hashes in a list: several times what the tracker keeps of heads; an answer of at most 67 kB."""
MAX_SHARES, DEFAULT_SHARES = 200, 50
"""Shares on a page of /web/chain: at most 80 kB."""


TIMESTAMP = {
    **TIME,
    "description": "timestamp of the share, Unix seconds; the rules keep it near that of the "
    "previous share, so it may lag",
}
FOUND = {
    "time_found": {**TIME, "description": "when the share was found, as far as this node can tell, Unix seconds"},
    "time_found_source": words(
        *(source.value for source in FoundSource),
        description="first_seen: when this node received it; header: derived from the times in its header and "
        "its neighbours'",
    ),
}


def found_fields(found: FoundTime) -> dict[str, Any]:
    """Return what `FOUND` describes."""
    return {"time_found": found.time, "time_found_source": found.source.value}


def heads(forest: Forest) -> list[str]:
    """Return the shares without children, the newest heads first; at most MAX_LISTED."""
    return [hash_hex(h) for h in newest_heads(forest, MAX_LISTED)]


def tails(forest: Forest) -> list[str]:
    """Return the shares whose previous share is not held or that have none; at most MAX_LISTED."""
    return [hash_hex(h) for h in oldest_shares(forest, MAX_LISTED)]


def best_share_hash(node: Node) -> str:
    """Return the best share's hash; 64 zeros if there is none."""
    return hash_hex(node.best_share or 0)


def chain_page(node: Node, start: Share | None, count: int) -> dict[str, Any]:
    """Return `count` shares from `start` (None: the best one) down. `next` is the first share of the next page,
    None at the end of the chain held; `missing_parent` is the share that is missing there, None if the chain
    goes down to a first share. `held` counts the shares from `start` down."""
    forest = node.tracker.forest
    first = node.best_share if start is None else start.hash
    page: dict[str, Any] = {
        "best_share": optional_hash_hex(node.best_share),
        "from": optional_hash_hex(first),
        "held": 0,
        "shares": [],
        "next": None,
        "missing_parent": None,
    }
    if first is None:
        return page
    shares = list(forest.ancestors(first, count))
    below = shares[-1].previous_hash
    page["held"] = forest.height(first)
    found = node.found_times().of_chain(first, count)
    page["shares"] = [_row(node, share, when) for share, when in zip(shares, found, strict=True)]
    page["next"] = optional_hash_hex(below) if below in forest else None
    page["missing_parent"] = optional_hash_hex(forest.tail(first))
    return page


def _row(node: Node, share: Share, found: FoundTime) -> dict[str, Any]:
    return {
        "ts": share.timestamp,
        **found_fields(found),
        "hash": hash_hex(share.hash),
        "payout_address": script_to_text(node, share.script),
        "difficulty": target_to_difficulty(share.target),
        "stale_info": stale_name(share.stale_info),
        "is_block": share.is_block,
        "verified": share.hash in node.tracker.verified,
        "absheight": share.absheight,
    }


def own_hashes(node: Node) -> list[str]:
    """Return the hashes of this node's shares that are held, the newest first."""
    return [hash_hex(h) for h in node.own_share_hashes()]


def _asked_page(context: RequestContext, arguments: Arguments) -> dict[str, Any]:
    start = arguments["from"]
    share = None if start is None else find_share(context.node, start)
    return chain_page(context.node, share, arguments["count"])


_LIST = array(HASH)
_PAGE = record(
    "",
    **{
        "best_share": nullable(HASH),
        "from": nullable(HASH),
        "held": count("number of shares that the node holds from this one backwards"),
        "shares": array(
            record(
                ts=TIMESTAMP,
                **FOUND,
                hash=HASH,
                payout_address=text(),
                difficulty=number(),
                stale_info=nullable(text("stale work that it reports: orphan or doa")),
                is_block=boolean(),
                verified=boolean(),
                absheight=count(),
            )
        ),
        "next": nullable(
            {
                **HASH,
                "description": "first share of the next page; null at the end of the chain that the node holds",
            }
        ),
        "missing_parent": nullable(
            {**HASH, "description": "hash of the first missing share at the end of the chain"}
        ),
    },
)
_PAGE_PARAMETERS = (
    share_hash("from", "the first share to return; default: the best share", in_path=False),
    whole_number("count", "number of shares", low=1, high=MAX_SHARES, default=DEFAULT_SHARES),
)
ENDPOINTS = (
    Endpoint(
        "/api/v1/chain",
        "The share chain from a share backwards, newest first, page by page",
        _PAGE,
        look_up=_asked_page,
        parameters=_PAGE_PARAMETERS,
        refusals=(UNKNOWN_SHARE,),
    ),
    Endpoint(
        "/web/chain",
        "The share chain from a share backwards",
        _PAGE,
        look_up=_asked_page,
        parameters=_PAGE_PARAMETERS,
        refusals=(UNKNOWN_SHARE,),
    ),
    Endpoint(
        "/web/heads",
        "Heads: shares that no other share builds on",
        _LIST,
        look_up=lambda context, _: heads(context.node.tracker.forest),
    ),
    Endpoint(
        "/web/verified_heads",
        "Heads among the verified shares",
        _LIST,
        look_up=lambda context, _: heads(context.node.tracker.verified),
    ),
    Endpoint(
        "/web/tails",
        "Tails: shares whose previous share the node does not hold, and first shares",
        _LIST,
        look_up=lambda context, _: tails(context.node.tracker.forest),
    ),
    Endpoint(
        "/web/verified_tails",
        "Tails among the verified shares",
        _LIST,
        look_up=lambda context, _: tails(context.node.tracker.verified),
    ),
    Endpoint(
        "/web/best_share_hash",
        "The best share; 64 zeros if there is none",
        HASH,
        look_up=lambda context, _: best_share_hash(context.node),
    ),
    Endpoint(
        "/web/my_share_hashes",
        "This node's shares, newest first",
        _LIST,
        look_up=lambda context, _: own_hashes(context.node),
    ),
    Endpoint(
        "/web/my_share_hashes50",
        "The newest 50 of this node's shares",
        _LIST,
        look_up=lambda context, _: own_hashes(context.node)[:50],
    ),
)
