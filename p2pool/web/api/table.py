"""The one table of the JSON interface: exactly what is in it is served, described and documented.

A topic's rows are in its own module, next to the functions that answer. `routing` makes resources of them,
`openapi` the document at /api/openapi.json, and docs/api.md is written from them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from p2pool.web.api import (
    alerts,
    blocks,
    calculator,
    chain,
    coinbase,
    dashd,
    health,
    history,
    legacy_blocks,
    miners,
    node,
    operation,
    payout_book,
    payouts,
    peers,
    pool,
    samples,
    shares,
    stratum,
    transition,
    tree,
    window,
    workers,
)
from p2pool.web.api.descriptions import described
from p2pool.web.api.endpoint import Endpoint

_ROWS: Final[dict[str, tuple[Endpoint, ...]]] = {
    "pool": pool.ENDPOINTS,
    "node": (*node.ENDPOINTS, *operation.ENDPOINTS, *health.ENDPOINTS),
    "workers": (*workers.ENDPOINTS, *miners.ENDPOINTS, *calculator.ENDPOINTS),
    "stratum": stratum.ENDPOINTS,
    "payouts": (*payouts.ENDPOINTS, *coinbase.ENDPOINTS, *window.ENDPOINTS),
    "blocks": (*blocks.ENDPOINTS, *legacy_blocks.ENDPOINTS),
    "shares": (*shares.ENDPOINTS, *chain.ENDPOINTS, *tree.ENDPOINTS),
    "peers": peers.ENDPOINTS,
    "transition": transition.ENDPOINTS,
    "dashd": dashd.ENDPOINTS,
    "history": (*history.ENDPOINTS, *payout_book.ENDPOINTS, *samples.ENDPOINTS),
    "alerts": alerts.ENDPOINTS,
}
TOPICS: Final = {
    topic: tuple(replace(each, schema=described(each.schema, each.path)) for each in rows)
    for topic, rows in _ROWS.items()
}
ENDPOINTS: Final[tuple[Endpoint, ...]] = tuple(endpoint for rows in TOPICS.values() for endpoint in rows)
ALIASES: Final[dict[str, str]] = {each.key: each.same_as[1:] for each in ENDPOINTS if each.same_as}
"""Paths (without the first slash) that are served with another view's rendering."""
