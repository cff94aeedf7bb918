"""The other nodes: /peer_addresses, /peer_versions, /peer_list, /peer_txpool_sizes, /pings, /api/v1/peers.

Names, units and the forms of addresses are those that tools of p2pool know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from p2pool.base.endpoints import host_and_port
from p2pool.peers.addresses import Origin
from p2pool.web.api.endpoint import OFFSET, Arguments, Endpoint, Scene, whole_number
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
from p2pool.web.sources import KnownNode, Moment, NodeOrigin, PeerFigures


def _key(peer: PeerFigures) -> str:
    return host_and_port(peer.host, peer.port)


def peer_addresses(moment: Moment) -> str:
    """/peer_addresses: one text, blanks between; a port is left out where it is the network's own."""
    usual = moment.node.network.p2p_port
    return " ".join(peer.host if peer.port == usual else _key(peer) for peer in moment.sources.peers())


def peer_versions(moment: Moment) -> dict[str, str]:
    """/peer_versions: each peer's software, as it calls itself."""
    return {_key(peer): peer.software for peer in moment.sources.peers()}


def peer_txpool_sizes(moment: Moment) -> dict[str, int]:
    """/peer_txpool_sizes: bytes of transactions that each peer has us keep."""
    return {_key(peer): peer.remembered_bytes for peer in moment.sources.peers()}


def pings(moment: Moment) -> dict[str, float | None]:
    """/pings: round-trip times in milliseconds, as they were last measured; null where none is known yet."""
    return {_key(peer): _milliseconds(peer.round_trip) for peer in moment.sources.peers()}


def peer_list(moment: Moment) -> list[dict[str, Any]]:
    """/peer_list: all of it, those connected longest first. `web_port` is not known of a peer but guessed: the
    network's usual one."""
    return [
        {
            "address": _key(peer),
            "web_port": moment.node.network.worker_port,
            "version": peer.software,
            "protocol_version": peer.protocol,
            "incoming": peer.incoming,
            "uptime": int(peer.connected_for),
            "downtime": 0,
            "connected_since": round(moment.snapshot.time - peer.connected_for),
            "txpool_size": peer.remembered_bytes,
            "known_transactions": peer.known_transactions,
            "ping": _milliseconds(peer.round_trip),
        }
        for peer in moment.sources.peers()
    ]


def peer_figures(moment: Moment) -> dict[str, Any]:
    """/api/v1/peers."""
    return {
        **peer_counts(moment),
        "peers": [
            {
                "address": _key(peer),
                "incoming": peer.incoming,
                "software": peer.software,
                "protocol": peer.protocol,
                "connected_since": moment.snapshot.time - peer.connected_for,
                "known_transactions": peer.known_transactions,
                "remembered_bytes": peer.remembered_bytes,
                "round_trip": peer.round_trip,
                **_origin(peer.found_by),
            }
            for peer in moment.sources.peers()
        ],
    }


def _origin(found_by: NodeOrigin) -> dict[str, Any]:
    return {"found_by": found_by.origin, "found_by_name": found_by.name or None}


def origins(nodes: Iterable[PeerFigures | KnownNode]) -> dict[str, int]:
    """Return how many nodes became known in which way, most first."""
    return dict(Counter(node.found_by.origin for node in nodes).most_common())


def peer_origins(moment: Moment) -> dict[str, int]:
    """Return how the connected nodes became known."""
    return origins(moment.sources.peers())


def bootstrap_figures(moment: Moment) -> dict[str, Any]:
    """Return when it was last looked for other nodes, and what that gave."""
    last = moment.sources.look_ups()
    return {"last_look_up": last.time, "addresses_found": last.found}


def _in_order(moment: Moment) -> list[KnownNode]:
    return sorted(moment.sources.known_nodes(), key=lambda known: (-known.last_seen, known.host, known.port))


def _known_origins(moment: Moment) -> dict[str, int]:
    return origins(moment.sources.known_nodes())


def known_nodes(scene: Scene, arguments: Arguments) -> dict[str, Any]:
    """/api/v1/known_nodes: sorted once for each snapshot."""
    moment, offset, limit = scene.moment, arguments["offset"], arguments["limit"]
    known = moment.once(_in_order)
    connected = {(peer.host, peer.port) for peer in moment.sources.peers()}
    return {
        "total": len(known),
        "found_by": moment.once(_known_origins),
        "offset": offset,
        "limit": limit,
        "nodes": [
            {
                "address": host_and_port(each.host, each.port),
                "first_seen": each.first_seen,
                "last_seen": each.last_seen,
                "connected": (each.host, each.port) in connected,
                **_origin(each.found_by),
            }
            for each in known[offset : offset + limit]
        ],
    }


def peer_counts(moment: Moment) -> dict[str, int]:
    """How many peers came to us, and to how many we went."""
    peers = moment.sources.peers()
    incoming = sum(1 for peer in peers if peer.incoming)
    return {"incoming": incoming, "outgoing": len(peers) - incoming}


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


_FOUND_BY = {
    "found_by": words(
        *(origin.value for origin in Origin),
        description="how it became known: --p2pool-node, --bootstrap, the list bootstrap.txt, a built-in name "
        "or list, another node, an incoming connection, or the memory of an earlier version",
    ),
    "found_by_name": nullable(text("the name that resolved to its address; null if it was given as an address")),
}
_PING = nullable(number("milliseconds; null if not known yet"))
ENDPOINTS = (
    Endpoint(
        "/api/v1/peers",
        "Connected nodes, longest connected first",
        record(
            incoming=count(),
            outgoing=count(),
            peers=array(
                record(
                    address=text(),
                    incoming=boolean("whether the connection is incoming"),
                    software=text("software name that it announces"),
                    protocol=count(),
                    connected_since=TIME,
                    known_transactions=count("transactions that it says it has"),
                    remembered_bytes=count("bytes of transactions that it asked this node to remember"),
                    round_trip=nullable(SECONDS),
                    **_FOUND_BY,
                )
            ),
        ),
        view=peer_figures,
    ),
    Endpoint(
        "/api/v1/known_nodes",
        "Known addresses of other nodes, most recently seen first; the node dials these",
        record(
            total=count(),
            found_by=mapping(count(), "number of nodes, by how they became known"),
            offset=count(),
            limit=count(),
            nodes=array(
                record(
                    address=text(),
                    first_seen=TIME,
                    last_seen=TIME,
                    connected=boolean("whether this node is connected to it now"),
                    **_FOUND_BY,
                )
            ),
        ),
        look_up=known_nodes,
        parameters=(OFFSET, whole_number("limit", "number of entries", 1, 500, 50)),
    ),
    Endpoint(
        "/peer_addresses",
        "Connected nodes in one text, separated by spaces; the default port is omitted",
        text(),
        view=peer_addresses,
    ),
    Endpoint("/peer_versions", "Connected nodes' software", mapping(text()), view=peer_versions),
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
