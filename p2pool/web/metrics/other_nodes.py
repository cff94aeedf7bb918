"""Metrics of other nodes: their software and protocol, share types that only they know, and whether they accept
this node. Labels are this node's own words: what a peer calls itself never becomes one."""

from __future__ import annotations

from collections import Counter

from p2pool.networks.parameters import ANNOUNCED_PROTOCOL, MINIMUM_PROTOCOL
from p2pool.peers.software import KNOWN, OTHER
from p2pool.pool_stats import PoolSnapshot
from p2pool.web.metrics.declared import Declared, DeclaredTimes, MetricType, by_word, gauge

_PROTOCOLS = (str(MINIMUM_PROTOCOL), str(ANNOUNCED_PROTOCOL))


def _software(snapshot: PoolSnapshot) -> dict[str, float]:
    counts: Counter[str] = Counter()
    for row in snapshot.peers.census.software:
        counts[row.software if row.software in KNOWN else OTHER] += row.incoming + row.outgoing
    return {name: counts[name] for name in (*KNOWN, OTHER)}


def _protocols(snapshot: PoolSnapshot) -> dict[str, float]:
    counts: Counter[str] = Counter()
    for row in snapshot.peers.census.software:
        protocol = str(row.protocol)
        counts[protocol if protocol in _PROTOCOLS else OTHER] += row.incoming + row.outgoing
    return {name: counts[name] for name in (*_PROTOCOLS, OTHER)}


OTHER_NODES: tuple[Declared | DeclaredTimes, ...] = (
    by_word(
        "p2pool_peers_by_software",
        MetricType.GAUGE,
        'Connected nodes, by the software that they report; "other" covers all names that this node does not '
        "know.",
        label="software",
        values=_software,
    ),
    by_word(
        "p2pool_peers_by_protocol",
        MetricType.GAUGE,
        "Connected nodes, by the protocol number that they announce.",
        label="protocol",
        values=_protocols,
    ),
    by_word(
        "p2pool_newer_type_shares_total",
        MetricType.COUNTER,
        'Shares of unknown types that peers sent and this node ignored; "other" covers all types above 127.',
        label="type",
        values=lambda s: {row.name: row.shares for row in s.peers.census.newer_types},
    ),
    gauge(
        "p2pool_peers_lost_software",
        "Peer software of which nodes were connected for half an hour or longer, and none is now.",
        lambda s: len(s.peers.census.lost),
    ),
    gauge(
        "p2pool_peers_closing_early",
        "Nodes that closed the connection within 10 s during the last hour and are not connected now.",
        lambda s: s.peers.census.early_closes.hosts,
    ),
)
