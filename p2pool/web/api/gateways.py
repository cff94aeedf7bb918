"""The gateways that serve miners of this node, as rows of /api/v1/stratum and /stratum_stats."""

from __future__ import annotations

from typing import Any

from p2pool.pool_stats import PoolSnapshot
from p2pool.web.api.schema import HASH_RATE, SECONDS, TIME, array, boolean, count, record, text


def gateway_rows(pool: PoolSnapshot) -> list[dict[str, Any]]:
    """Return the gateways that serve miners of this node, by name; the totals include them."""
    return [
        {
            "name": gateway.name,
            "address": gateway.address,
            "version": gateway.version,
            "present": gateway.present,
            "connections": gateway.connections,
            "workers": gateway.workers,
            "hash_rate": gateway.hash_rate,
            "dead_hash_rate": gateway.dead_rate,
            "accepted": gateway.accepted,
            "dead": gateway.dead,
            "refused": gateway.refused,
            "last_heard": gateway.last_heard,
            "seconds_since_heard": max(0.0, pool.time - gateway.last_heard),
        }
        for gateway in pool.gateways
    ]


GATEWAY_ROWS = array(
    record(
        name=text(),
        address=text("where miners connect to, as the gateway says"),
        version=text("version of its software"),
        present=boolean("false after a minute without a report; its connections no longer count"),
        connections=count(),
        workers=count("connected workers"),
        hash_rate=HASH_RATE,
        dead_hash_rate=HASH_RATE,
        accepted=count("submissions since this node started"),
        dead=count("accepted submissions that arrived too late"),
        refused=count("submissions since this node started"),
        last_heard=TIME,
        seconds_since_heard=SECONDS,
    ),
    "the gateways of the last day; all other figures include them",
)
