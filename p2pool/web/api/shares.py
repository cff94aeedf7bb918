"""One share of the chain: /web/share and its like, /api/v1/shares; and those that were found here."""

from __future__ import annotations

import json
from typing import Any, Final

import orjson

from p2pool.dash.hashes import hash_hex, optional_hash_hex
from p2pool.dash.merkle import walk_branch
from p2pool.dash.target import target_to_difficulty
from p2pool.node import Node
from p2pool.sharechain.figures import stale_name
from p2pool.web.api.chain import FOUND, TIMESTAMP, found_fields
from p2pool.web.api.endpoint import (
    UNKNOWN_SHARE,
    Arguments,
    Endpoint,
    RequestContext,
    amount,
    find_share,
    share_hash,
)
from p2pool.web.api.schema import (
    AMOUNT,
    DASH,
    HASH,
    PART,
    TIME,
    array,
    boolean,
    count,
    integer,
    nullable,
    number,
    record,
    text,
)
from p2pool.web.rebuilds import Rebuilds
from p2pool.web.sources import Snapshot, script_to_text

NO_SHARE: Final = "None"
"""The parent of a chain's first share, as front ends of p2pool know it."""
NOT_KNOWN: Final = "unknown"
"""The coinbase of a share whose chain is not held, as they know it."""


def share_details(node: Node, share_hash: int, rebuilds: Rebuilds) -> dict[str, Any] | None:
    """Return the JSON of /web/share/<hash>; None if the share is not held. Targets are numbers, as front ends
    expect."""
    tracker = node.tracker
    share = tracker.get(share_hash)
    if share is None:
        return None
    arrival, found = tracker.arrival(share_hash), node.found_times().of(share_hash)
    nodes = tracker.forest.nodes
    children = sorted(nodes[share_hash].children, key=lambda child: -len(nodes[child].children))
    rebuilt = rebuilds.of(share)
    root = walk_branch(share.gentx_hash, share.merkle_link)
    return {
        "hash": hash_hex(share_hash),
        "parent": optional_hash_hex(share.previous_hash) or NO_SHARE,
        "far_parent": optional_hash_hex(share.far_share_hash) or NO_SHARE,
        "children": [hash_hex(child) for child in children],
        "type_name": "Share",
        "local": {
            "verified": share_hash in tracker.verified,
            "time_first_seen": arrival.time_seen,
            **found_fields(found),
            "peer_first_received_from": arrival.sender,
        },
        "share_data": {
            "timestamp": share.timestamp,
            "target": share.target,
            "max_target": share.max_target,
            "payout_address": script_to_text(node, share.script),
            "donation": share.donation / 65535,
            "stale_info": stale_name(share.stale_info),
            "nonce": share.share_nonce,
            "desired_version": share.desired_version,
            "absheight": share.absheight,
            "abswork": share.abswork,
        },
        "block": {
            "hash": hash_hex(share_hash),
            "is_block": share.is_block,
            "header": {
                "version": share.header_version,
                "previous_block": hash_hex(share.previous_block),
                "merkle_root": root[::-1].hex(),
                "timestamp": share.header_timestamp,
                "target": share.block_target,
                "nonce": share.header_nonce,
            },
            "gentx": {
                "hash": share.gentx_hash[::-1].hex(),
                "raw": NOT_KNOWN if rebuilt is None else rebuilt.gentx.hex(),
                "coinbase": share.coinbase.hex(),
                "value": share.subsidy * 1e-8,
                "last_txout_nonce": share.last_txout_nonce[::-1].hex(),
            },
            "other_transaction_hashes": []
            if rebuilt is None or rebuilt.other_transaction_hashes is None
            else [hash_hex(h) for h in rebuilt.other_transaction_hashes],
        },
    }


def share_figures(context: RequestContext, arguments: Arguments) -> dict[str, Any]:
    """Return the JSON of /api/v1/shares/{hash}: targets as 64 hex digits, since JSON's numbers are too short
    for them in most programs. Without the coinbase, which would have to be computed."""
    share = find_share(context.node, arguments["hash"])
    tracker = context.node.tracker
    arrival, found = tracker.arrival(share.hash), context.node.found_times().of(share.hash)
    return {
        "hash": hash_hex(share.hash),
        "parent": optional_hash_hex(share.previous_hash),
        "far_parent": optional_hash_hex(share.far_share_hash),
        "children": [hash_hex(child) for child in tracker.forest.nodes[share.hash].children],
        "verified": share.hash in tracker.verified,
        "first_seen": arrival.time_seen,
        "received_from": arrival.sender,
        "timestamp": share.timestamp,
        **found_fields(found),
        "height": share.absheight,
        "chain_work": hash_hex(share.abswork),
        "address": script_to_text(context.node, share.script),
        "donation": share.donation / 65535,
        "stale_info": stale_name(share.stale_info),
        "desired_version": share.desired_version,
        "target": hash_hex(share.target),
        "easiest_target": hash_hex(share.max_target),
        "difficulty": target_to_difficulty(share.target),
        "is_block": share.is_block,
        "block_target": hash_hex(share.block_target),
        "previous_block": hash_hex(share.previous_block),
        "subsidy": amount(share.subsidy),
        "transactions": len(share.transaction_hash_refs),
    }


def recent_shares(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return the JSON of /recent_shares: those that this node's miners found, the newest first."""
    return [
        {"ts": share.time, "hash": hash_hex(share.share_hash), "miner": share.worker, "dead": share.dead}
        for share in reversed(snapshot.pool.recent_shares)
    ]


def own_shares(snapshot: Snapshot) -> dict[str, Any]:
    """Return the JSON of /api/v1/shares."""
    pool = snapshot.pool
    return {
        "total": pool.shares,
        "dead": pool.dead_shares,
        "shares": [
            {
                "time": share.time,
                "hash": hash_hex(share.share_hash),
                "worker": share.worker,
                "dead": share.dead,
                "work": share.attempts,
            }
            for share in reversed(pool.recent_shares)
        ],
    }


def _old_details(context: RequestContext, arguments: Arguments) -> bytes:
    """Return the details of a share, `null` for one that is not held."""
    details = share_details(context.node, arguments["hash"], context.sources.cache.rebuilds(context.node.tracker))
    # Python's own JSON: targets are numbers beyond 64 bits.
    return json.dumps(details).encode()


def _packed(context: RequestContext, arguments: Arguments) -> bytes:
    """Return a share's bytes, none for one that is not held."""
    share = context.node.tracker.get(arguments["hash"])
    return b"" if share is None else share.envelope


def _address(context: RequestContext, arguments: Arguments) -> bytes:
    """Return a share's payout address, `null` for one that is not held."""
    share = context.node.tracker.get(arguments["hash"])
    return orjson.dumps(None if share is None else script_to_text(context.node, share.script))


_BY_HASH = (share_hash("hash", "hash of the share"),)
_TARGET = {**HASH, "description": "a target as 64 hexadecimal digits"}
_STALE = nullable(text("stale work that it reports: orphan or doa"))
_SHARE = record(
    hash=HASH,
    parent=nullable(HASH),
    far_parent=nullable(HASH),
    children=array(HASH),
    verified=boolean(),
    first_seen=TIME,
    received_from=nullable(text("null if the share is this node's own or was loaded from disk")),
    timestamp=TIMESTAMP,
    **FOUND,
    height=count("height in the share chain, as the share claims"),
    chain_work={
        **HASH,
        "description": "cumulative work of the chain up to this share, as the share claims, modulo 2^128",
    },
    address=text("the address that it pays"),
    donation=PART,
    stale_info=_STALE,
    desired_version=count(),
    target=_TARGET,
    easiest_target=_TARGET,
    difficulty=number(),
    is_block=boolean(),
    block_target=_TARGET,
    previous_block=HASH,
    subsidy=AMOUNT,
    transactions=count("transactions besides the coinbase"),
)
_OLD_PARENT = text(f"a share's hash, or {NO_SHARE}", pattern=f"^([0-9a-f]{{64}}|{NO_SHARE})$")
_OLD_SHARE = record(
    "null if the node does not hold the share",
    hash=HASH,
    parent=_OLD_PARENT,
    far_parent=_OLD_PARENT,
    children=array(HASH),
    type_name=text(),
    local=record(verified=boolean(), time_first_seen=TIME, **FOUND, peer_first_received_from=nullable(text())),
    share_data=record(
        timestamp=TIMESTAMP,
        target=integer(),
        max_target=integer(),
        payout_address=text(),
        donation=PART,
        stale_info=_STALE,
        nonce=count(),
        desired_version=count(),
        absheight=count(),
        abswork=count(),
    ),
    block=record(
        hash=HASH,
        is_block=boolean(),
        header=record(
            version=integer(),
            previous_block=HASH,
            merkle_root=HASH,
            timestamp=TIME,
            target=integer(),
            nonce=count(),
        ),
        gentx=record(
            hash=HASH,
            raw=text(f"in hexadecimal, or {NOT_KNOWN}"),
            coinbase=text(),
            value=DASH,
            last_txout_nonce=text(),
        ),
        other_transaction_hashes=array(HASH),
    ),
)
ENDPOINTS = (
    Endpoint(
        "/api/v1/shares",
        "Shares that this node's miners found since it started, with the latest ones listed",
        record(
            total=count(),
            dead=count("those that were dead on arrival"),
            shares=array(record(time=TIME, hash=HASH, worker=text(), dead=boolean(), work=number("hashes"))),
        ),
        view=own_shares,
    ),
    Endpoint(
        "/api/v1/shares/{hash}",
        "One share of the chain",
        _SHARE,
        look_up=share_figures,
        parameters=_BY_HASH,
        refusals=(UNKNOWN_SHARE,),
    ),
    Endpoint(
        "/recent_shares",
        "Shares that this node's miners found, newest first",
        array(record(ts=TIME, hash=HASH, miner=text(), dead=boolean())),
        view=recent_shares,
    ),
    Endpoint(
        "/web/share/{hash}",
        "One share of the chain",
        nullable(_OLD_SHARE),
        look_up=_old_details,
        parameters=_BY_HASH,
    ),
    Endpoint(
        "/web/share_data/{hash}",
        "A share in its network encoding; empty if the node does not hold the share",
        text(),
        look_up=_packed,
        parameters=_BY_HASH,
        content_type=b"application/octet-stream",
    ),
    Endpoint(
        "/web/payout_address/{hash}",
        "The address that a share pays; null if the node does not hold the share",
        nullable(text()),
        look_up=_address,
        parameters=_BY_HASH,
    ),
)
