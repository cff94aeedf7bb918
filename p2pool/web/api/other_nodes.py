"""The sections `types` and `peers` of /api/v1/transition: share types that only other nodes know, and which
software and protocol these nodes announce."""

from __future__ import annotations

from typing import Any

from p2pool.networks.parameters import ANNOUNCED_PROTOCOL, MINIMUM_PROTOCOL
from p2pool.share.versions import SHARE_VERSIONS
from p2pool.web.api.schema import TIME, array, count, nullable, record, text
from p2pool.web.sources import Snapshot


def types_section(snapshot: Snapshot) -> dict[str, Any]:
    """Return the shares of types above this node's that peers sent."""
    rows = snapshot.pool.peers.census.newer_types
    return {
        "known": SHARE_VERSIONS.newest,
        "shares": sum(row.shares for row in rows),
        "newer": [
            {
                "type": row.kind,
                "shares": row.shares,
                "first_seen": row.first_seen,
                "last_seen": row.last_seen,
                "peer": row.peer,
                "software": row.software,
                "hosts": row.hosts,
            }
            for row in rows
        ],
    }


TYPES = record(
    "shares of types above this node's that peers have sent since it started; the node ignores them",
    known=count("the newest share type that this node knows"),
    shares=count("shares of all newer types"),
    newer=array(
        record(
            type=nullable(count("null stands for all types above 127 together")),
            shares=count(),
            first_seen=TIME,
            last_seen=TIME,
            peer=text("the peer that sent the first one, host:port"),
            software=text("software name that the peer reports"),
            hosts=count("number of hosts that sent such shares; at most 100 are distinguished"),
        )
    ),
)


def peers_section(snapshot: Snapshot) -> dict[str, Any]:
    """Return the connected nodes by announced protocol and software, and what became of others."""
    pool = snapshot.pool
    census = pool.peers.census
    closes = census.early_closes
    return {
        "announced": ANNOUNCED_PROTOCOL,
        "minimum": MINIMUM_PROTOCOL,
        "software": [
            {
                "software": row.software,
                "protocol": row.protocol,
                "incoming": row.incoming,
                "outgoing": row.outgoing,
            }
            for row in census.software
        ],
        "lost": [
            {"software": lost.software, "since": pool.time - lost.lost_for, "most": lost.most}
            for lost in census.lost
        ],
        "closing_early": {
            "hosts": closes.hosts,
            "closes": closes.closes,
            "since": closes.since,
            "lowest_protocol": closes.lowest,
            "highest_protocol": closes.highest,
        },
    }


PEERS = record(
    "connected nodes by announced protocol and software",
    announced=count("the protocol that this node announces"),
    minimum=count("the lowest protocol that it accepts"),
    software=array(
        record(
            software=text("a name without a version, or other"),
            protocol=nullable(count("null if the row combines several with few nodes")),
            incoming=count("nodes with incoming connections"),
            outgoing=count("nodes with outgoing connections"),
        ),
        "most nodes first",
    ),
    lost=array(
        record(
            software=text(), since=TIME, most=count("most nodes with this software connected at the same time")
        ),
        "software whose nodes were connected for half an hour or longer and are all disconnected now",
    ),
    closing_early=record(
        "nodes that closed the connection within 10 s during the last hour and are not connected now",
        hosts=count(),
        closes=count("connections"),
        since=nullable(TIME),
        lowest_protocol=nullable(count("what they announced; null if none announced it")),
        highest_protocol=nullable(count()),
    ),
)
