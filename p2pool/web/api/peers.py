"""The other nodes: /peer_addresses, /peer_versions, /peer_list, /peer_txpool_sizes, /pings, /api/v1/peers.

Names, units and the forms of addresses are those that tools of p2pool know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from p2pool.base.endpoints import host_and_port
from p2pool.base.hosts import NetworkKind
from p2pool.peers.figures import EndedConnection, FoundBy, KnownBy, KnownNode, NodeOrigin, PeerFigures, Reachable
from p2pool.web.api.endpoint import OFFSET, Arguments, Endpoint, RequestContext, whole_number
from p2pool.web.api.schema import (
    SECONDS,
    TIME,
    array,
    boolean,
    count,
    mapping,
    nullable,
    number,
    record,
    text,
    words,
)
from p2pool.web.sources import Snapshot


def _key(peer: PeerFigures) -> str:
    return host_and_port(peer.host, peer.port)


def peer_addresses(snapshot: Snapshot) -> str:
    """Return the JSON of /peer_addresses: one text, separated by blanks; a port is left out if it is the
    network's default."""
    usual = snapshot.node.network.p2p_port
    return " ".join(peer.host if peer.port == usual else _key(peer) for peer in snapshot.sources.peers())


def peer_versions(snapshot: Snapshot) -> dict[str, str]:
    """Return the JSON of /peer_versions: each peer's software, as it calls itself."""
    return {_key(peer): peer.software for peer in snapshot.sources.peers()}


def peer_txpool_sizes(snapshot: Snapshot) -> dict[str, int]:
    """Return the JSON of /peer_txpool_sizes: bytes of transactions that each peer has this node keep."""
    return {_key(peer): peer.remembered_bytes for peer in snapshot.sources.peers()}


def pings(snapshot: Snapshot) -> dict[str, float | None]:
    """Return the JSON of /pings: round-trip times in milliseconds, as last measured; null while unknown."""
    return {_key(peer): _milliseconds(peer.round_trip) for peer in snapshot.sources.peers()}


def peer_list(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return the JSON of /peer_list: all of it, those connected longest first. `web_port` is not known of a
    peer but guessed: the network's usual one."""
    return [
        {
            "address": _key(peer),
            "web_port": snapshot.node.network.worker_port,
            "version": peer.software,
            "protocol_version": peer.protocol,
            "incoming": peer.incoming,
            "uptime": int(peer.connected_for),
            "downtime": 0,
            "connected_since": round(snapshot.pool.time - peer.connected_for),
            "txpool_size": peer.remembered_bytes,
            "known_transactions": peer.known_transactions,
            "ping": _milliseconds(peer.round_trip),
        }
        for peer in snapshot.sources.peers()
    ]


def peer_figures(snapshot: Snapshot) -> dict[str, Any]:
    """Return the JSON of /api/v1/peers."""
    return {
        **peer_counts(snapshot),
        "connect_only": connects_only(snapshot),
        "addresses": snapshot.sources.address_counts()._asdict(),
        "peers": [
            {
                "address": _key(peer),
                "incoming": peer.incoming,
                "software": peer.software,
                "protocol": peer.protocol,
                "connected_since": snapshot.pool.time - peer.connected_for,
                "known_transactions": peer.known_transactions,
                "remembered_bytes": peer.remembered_bytes,
                "round_trip": peer.round_trip,
                "group": peer.group,
                "brought_shares": peer.brought_shares,
                "last_brought": _time_of(snapshot, peer.last_brought),
                "last_disconnection": None if peer.last_end is None else _ended(peer.last_end),
                **_origin(peer.found_by),
            }
            for peer in snapshot.sources.peers()
        ],
        "disconnections": [
            {
                "address": host_and_port(each.host, each.port),
                "incoming": each.incoming,
                "software": each.software,
                "lasted": each.lasted,
                **_ended(each),
            }
            for each in snapshot.sources.ended_connections()
        ],
    }


def _time_of(snapshot: Snapshot, seconds_ago: float | None) -> float | None:
    return None if seconds_ago is None else snapshot.pool.time - seconds_ago


def _ended(end: EndedConnection) -> dict[str, Any]:
    return {"time": end.time, "reason": end.reason}


def connects_only(snapshot: Snapshot) -> bool:
    """Return whether the node connects only to the nodes that the operator names."""
    return bool(snapshot.sources.settings.get("connect-only"))


def reachable_figures(snapshot: Snapshot) -> dict[str, Any]:
    """Return whether other nodes can connect to this one, since when, and how that is known."""
    answer = snapshot.sources.reachable()
    return {"answer": answer.reachable.value, "since": answer.since, "known_by": answer.known_by.value}


def mapped_ports(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return the ports that routers forward to this node."""
    return [
        {
            "network": each.network.value,
            "method": each.method,
            "address": host_and_port(each.host, each.port),
            "since": each.since,
        }
        for each in snapshot.sources.mapped_ports()
    ]


def _origin(found_by: FoundBy) -> dict[str, Any]:
    return {"found_by": found_by.origin.value, "found_by_name": found_by.name or None}


def origins(nodes: Iterable[PeerFigures | KnownNode]) -> dict[str, int]:
    """Return how many nodes became known in which way, most first."""
    return dict(Counter(node.found_by.origin.value for node in nodes).most_common())


def peer_origins(snapshot: Snapshot) -> dict[str, int]:
    """Return how the connected nodes became known."""
    return origins(snapshot.sources.peers())


def bootstrap_figures(snapshot: Snapshot) -> dict[str, Any]:
    """Return when the node last looked for other nodes, and how many addresses that gave."""
    last = snapshot.sources.look_ups()
    return {"last_look_up": last.time, "addresses_found": last.found}


def _in_order(snapshot: Snapshot) -> list[KnownNode]:
    return sorted(snapshot.sources.known_nodes(), key=lambda known: (-known.last_seen, known.host, known.port))


def _known_origins(snapshot: Snapshot) -> dict[str, int]:
    return origins(snapshot.sources.known_nodes())


def known_nodes(context: RequestContext, arguments: Arguments) -> dict[str, Any]:
    """Return the JSON of /api/v1/known_nodes: sorted once for each snapshot."""
    snapshot, offset, limit = context.snapshot, arguments["offset"], arguments["limit"]
    known = snapshot.once(_in_order)
    connected = {(peer.host, peer.port) for peer in snapshot.sources.peers()}
    return {
        "total": len(known),
        "found_by": snapshot.once(_known_origins),
        **snapshot.sources.address_counts()._asdict(),
        "offset": offset,
        "limit": limit,
        "nodes": [
            {
                "address": host_and_port(each.host, each.port),
                "first_seen": each.first_seen,
                "last_seen": each.last_seen,
                "connected": (each.host, each.port) in connected,
                "tried": each.answered,
                "group": each.group,
                "sent_by": list(each.sources),
                **_origin(each.found_by),
            }
            for each in known[offset : offset + limit]
        ],
    }


def peer_counts(snapshot: Snapshot) -> dict[str, int]:
    """Return the numbers of incoming and outgoing connections with peers."""
    peers = snapshot.sources.peers()
    incoming = sum(1 for peer in peers if peer.incoming)
    return {"incoming": incoming, "outgoing": len(peers) - incoming}


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


_FOUND_BY = {
    "found_by": words(
        *(origin.value for origin in NodeOrigin),
        description="how it became known: --p2pool-node, --bootstrap, the list bootstrap.txt, a built-in name "
        "or list, another node, an incoming connection, or the memory of an earlier version",
    ),
    "found_by_name": nullable(text("the name that resolved to its address; null if it was given as an address")),
}
_GROUP = text("its neighbourhood: at most one outgoing connection leads to each")
_ADDRESS_COUNTS = {
    "new": count("known addresses that this node only heard of"),
    "tried": count("known addresses at which a node answered this one"),
}
_ENDED = {"time": {**TIME, "description": "when it ended, Unix seconds"}, "reason": text("why it ended")}
REACHABLE = record(
    "whether other nodes can connect to this one",
    answer=words(*(each.value for each in Reachable), description="as far as this node knows"),
    since=nullable({**TIME, "description": "since when, Unix seconds; null if that is not known"}),
    known_by=words(
        *(each.value for each in KnownBy),
        description="how that is known: another node connected from a public address; a router forwards the "
        "port (no: its own address is not public); others are told of this node, and nobody came for a day; the "
        "port is open to this machine only; not known",
    ),
)
MAPPED_PORTS = array(
    record(
        network=words(NetworkKind.IPV4.value, NetworkKind.IPV6.value, description="the kind of address"),
        method=text("PCP, NAT-PMP or UPnP"),
        address=text("the router's address and port, to which others connect"),
        since={**TIME, "description": "since when, Unix seconds"},
    ),
    "ports that the router forwards to this node",
)
_PING = nullable(number("milliseconds; null if not known yet"))
ENDPOINTS = (
    Endpoint(
        "/api/v1/peers",
        "Connected nodes, longest connected first",
        record(
            incoming=count(),
            outgoing=count(),
            connect_only=boolean("whether the node connects only to those of --p2pool-node (--connect-only)"),
            addresses=record("numbers of known addresses", **_ADDRESS_COUNTS),
            peers=array(
                record(
                    address=text(),
                    incoming=boolean("whether the connection is incoming"),
                    software=text("software name that it reports"),
                    protocol=count(),
                    connected_since=TIME,
                    known_transactions=count("transactions that it has announced"),
                    remembered_bytes=count("bytes of transactions that it asked this node to remember"),
                    round_trip=nullable(SECONDS),
                    group=_GROUP,
                    brought_shares=count("new shares that it was the first to bring"),
                    last_brought=nullable({**TIME, "description": "when it brought the last of them"}),
                    last_disconnection=nullable(
                        record("how the last connection with the same host ended", **_ENDED)
                    ),
                    **_FOUND_BY,
                )
            ),
            disconnections=array(
                record(
                    address=text("host and port of the other end"),
                    incoming=boolean("whether the connection was incoming"),
                    software=text("software name that it reported"),
                    lasted={**SECONDS, "description": "duration of the connection, in seconds"},
                    **_ENDED,
                ),
                "the last connection of each host that ended, newest first; at most 50",
            ),
        ),
        view=peer_figures,
    ),
    Endpoint(
        "/api/v1/known_nodes",
        "Known addresses of other nodes, most recently seen first; the node connects to these when it needs peers",
        record(
            total=count(),
            found_by=mapping(count(), "number of nodes, by how they became known"),
            **_ADDRESS_COUNTS,
            offset=count(),
            limit=count(),
            nodes=array(
                record(
                    address=text(),
                    first_seen=TIME,
                    last_seen=TIME,
                    connected=boolean("whether this node is connected to it now"),
                    tried=boolean("whether it answered this node at some time"),
                    group=_GROUP,
                    sent_by=array(text(), "neighbourhoods of the nodes that sent it, while it is not tried"),
                    **_FOUND_BY,
                )
            ),
        ),
        look_up=known_nodes,
        parameters=(OFFSET, whole_number("limit", "number of entries", low=1, high=500, default=50)),
    ),
    Endpoint(
        "/peer_addresses",
        "Addresses of connected nodes in one text, separated by spaces; the default port is omitted",
        text(),
        view=peer_addresses,
    ),
    Endpoint("/peer_versions", "Software of connected nodes", mapping(text()), view=peer_versions),
    Endpoint(
        "/peer_list",
        "Connected nodes",
        array(
            record(
                address=text(),
                web_port=count("assumed: the network's default port"),
                version=text(),
                protocol_version=count(),
                incoming=boolean(),
                uptime=count("seconds"),
                downtime=count("not measured: 0"),
                connected_since=TIME,
                txpool_size=count("bytes"),
                known_transactions=count(),
                ping=_PING,
            )
        ),
        view=peer_list,
    ),
    Endpoint(
        "/peer_txpool_sizes",
        "Bytes of transactions that each connected node asked this node to remember",
        mapping(count()),
        view=peer_txpool_sizes,
    ),
    Endpoint("/pings", "Round-trip times of connected nodes", mapping(_PING), view=pings),
)
