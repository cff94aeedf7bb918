"""The other nodes in JSON, in the metrics and in this node's own figures."""

from __future__ import annotations

import json

import pytest
from prometheus_client.parser import text_string_to_metric_families

from p2pool.base.hosts import NetworkKind
from p2pool.peers.figures import (
    AddressCounts,
    EndedConnection,
    FoundBy,
    KnownBy,
    KnownNode,
    MappedPort,
    NodeLookUps,
    NodeOrigin,
    PeerFigures,
    Reachable,
    ReachableFigures,
)
from p2pool.web.sources import NodePorts
from tests.chains import NOW
from tests.logged import logged
from tests.support import make_template
from tests.web.pages import Pool

HOSTILE = "<script>alert('\"&\\')</script>"
VIEWS = ("peer_addresses", "peer_versions", "peer_list", "peer_txpool_sizes", "pings")


def peer(host: str, port: int, **changed) -> PeerFigures:
    figures = {
        "incoming": True,
        "software": "p2pool-dash/1.0",
        "protocol": 1700,
        "connected_for": 61.7,
        "known_transactions": 12,
        "remembered_bytes": 3456,
        "round_trip": 0.0123456,
    }
    return PeerFigures(host=host, port=port, **{**figures, **changed})


def pool_with(*peers: PeerFigures) -> Pool:
    pool = Pool(5, make_template())
    pool.peers = list(peers)
    with logged() as log:
        pool.refresh()
    assert not log.tracebacks
    return pool


@pytest.fixture
def pool() -> Pool:
    usual = Pool().node.network.p2p_port
    return pool_with(
        peer("10.1.2.3", usual, incoming=False),
        peer("10.1.2.4", 40001, software=HOSTILE, round_trip=None),
        peer("2001:db8::5", usual + 1, connected_for=0.2, known_transactions=0, remembered_bytes=0),
    )


def test_without_peers():
    pool = pool_with()
    assert [pool.ask(f"/{view}").json for view in VIEWS] == ["", {}, [], {}, {}]
    assert pool.ask("/local_stats").json["peers"] == {"incoming": 0, "outgoing": 0}


def test_addresses_are_one_text_in_which_the_usual_port_is_not_said(pool):
    usual = pool.node.network.p2p_port
    assert pool.ask("/peer_addresses").json == f"10.1.2.3 10.1.2.4:40001 [2001:db8::5]:{usual + 1}"


def test_the_maps_have_every_peer_by_host_and_port(pool):
    usual = pool.node.network.p2p_port
    keys = [f"10.1.2.3:{usual}", "10.1.2.4:40001", f"[2001:db8::5]:{usual + 1}"]
    versions, sizes, pings = (
        pool.ask(f"/{view}").json for view in ("peer_versions", "peer_txpool_sizes", "pings")
    )
    assert list(versions) == list(sizes) == list(pings) == keys
    assert versions[keys[1]] == HOSTILE
    assert list(sizes.values()) == [3456, 3456, 0]
    assert list(pings.values()) == [12.346, None, 12.346]  # milliseconds


def test_the_list_has_all_of_it(pool):
    network = pool.node.network
    first, second, third = pool.ask("/peer_list").json
    assert first == {
        "address": f"10.1.2.3:{network.p2p_port}",
        "web_port": network.worker_port,
        "version": "p2pool-dash/1.0",
        "protocol_version": 1700,
        "incoming": False,
        "uptime": 61,
        "downtime": 0,
        "connected_since": round(pool.now - 61.7),
        "txpool_size": 3456,
        "known_transactions": 12,
        "ping": 12.346,
    }
    assert second["incoming"] is True
    assert second["ping"] is None
    assert (third["uptime"], third["known_transactions"]) == (0, 0)


def test_the_node_s_own_figures_count_them(pool):
    assert pool.ask("/local_stats").json["peers"] == {"incoming": 2, "outgoing": 1}


def metrics_of(pool: Pool) -> dict[str, float]:
    return {
        sample.name + "".join(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(pool.ask("/metrics").body.decode())
        for sample in family.samples
    }


def test_metrics(pool):
    found = metrics_of(pool)
    assert (found["p2pool_peersincoming"], found["p2pool_peersoutgoing"]) == (2, 1)
    assert found["p2pool_peer_round_trip_secondsnearest"] == pytest.approx(0.0123456)
    alone = metrics_of(pool_with(peer("10.1.2.3", 1, round_trip=None)))
    assert not [name for name in alone if "round_trip" in name]
    assert (alone["p2pool_peersincoming"], alone["p2pool_peersoutgoing"]) == (1, 0)


def test_looking_asks_no_peer(pool):
    """Views come from the last refresh: what a page costs does not depend on the peers."""
    before = [pool.ask(f"/{view}").body for view in VIEWS]
    pool.peers = []
    assert [pool.ask(f"/{view}").body for view in VIEWS] == before


def test_no_text_of_a_peer_breaks_the_json():
    software = "\u00ff\u0080\ud7ff" + HOSTILE
    pool = pool_with(peer("10.1.2.3", 1, software=software))
    assert json.loads(pool.ask("/peer_versions").body) == {"10.1.2.3:1": software}


def test_how_nodes_became_known_is_said_of_each_and_in_sum():
    named, told = FoundBy(NodeOrigin.BUILT_IN, "node.example"), FoundBy(NodeOrigin.PEER)
    pool = pool_with(
        peer("10.1.2.3", 1, incoming=False, found_by=named),
        peer("10.1.2.4", 2, incoming=False, found_by=told),
        peer("10.1.2.5", 3, incoming=False, found_by=told),
        peer("10.1.2.6", 4),
    )
    known = [
        KnownNode("10.1.2.3", 1, NOW, NOW, named),
        *(KnownNode("10.2.2.2", n, NOW, NOW, told) for n in (1, 2)),
    ]
    object.__setattr__(pool.sources, "known_nodes", lambda: known)
    assert pool.ask("/api/v1/node").json["bootstrap"] == {"last_look_up": None, "addresses_found": 0}
    object.__setattr__(pool.sources, "look_ups", lambda: NodeLookUps(NOW, 3))
    pool.now += 1
    pool.refresh()
    first, second, *_ = pool.ask("/api/v1/peers").json["peers"]
    assert (first["found_by"], first["found_by_name"]) == ("built_in", "node.example")
    assert (second["found_by"], second["found_by_name"]) == ("peer", None)
    node = pool.ask("/api/v1/node").json
    assert node["peers_found_by"] == {"peer": 2, "built_in": 1, "remembered": 1}
    assert node["bootstrap"] == {"last_look_up": NOW, "addresses_found": 3}
    answer = pool.ask("/api/v1/known_nodes").json
    assert answer["found_by"] == {"peer": 2, "built_in": 1}
    by_address = {each["address"]: (each["found_by"], each["found_by_name"]) for each in answer["nodes"]}
    assert by_address == {
        "10.1.2.3:1": ("built_in", "node.example"),
        "10.2.2.2:1": ("peer", None),
        "10.2.2.2:2": ("peer", None),
    }


def test_what_a_node_says_of_its_ways_to_others():
    pool = pool_with(peer("10.1.2.3", 1, incoming=False))
    node = pool.ask("/api/v1/node").json
    assert (node["through_proxy"], node["onion"], node["warnings"]) == (False, None, [])
    changes = {
        "settings": {"proxy": "socks5://127.0.0.1:9050"},
        "ports": lambda: NodePorts(onion="x.onion", onion_problem="not published: the log says why"),
        "peers_notice": lambda: "not connected to any other node: miners keep their work for another 9 s",
    }
    for name, value in changes.items():
        object.__setattr__(pool.sources, name, value)
    pool.now += 1
    pool.refresh()
    node = pool.ask("/api/v1/node").json
    assert (node["through_proxy"], node["onion"]) == (True, "x.onion")
    assert node["warnings"] == [
        "peers: not connected to any other node: miners keep their work for another 9 s",
        "onion service: not published: the log says why",
    ]


def show(pool: Pool, **changes) -> None:
    for name, value in changes.items():
        object.__setattr__(pool.sources, name, value)
    pool.now += 1
    pool.refresh()


def test_who_brings_shares_and_why_connections_ended():
    end = EndedConnection(NOW, "10.1.2.3", 5, True, HOSTILE, 61.5, f"banned: {HOSTILE}")
    pool = pool_with(peer("10.1.2.3", 1, group="10.1.2.3", brought_shares=7, last_brought=20.0, last_end=end))
    show(pool, ended_connections=lambda: [end], address_counts=lambda: AddressCounts(3, 2))
    answer = pool.ask("/api/v1/peers").json
    assert (answer["addresses"], answer["connect_only"]) == ({"new": 3, "tried": 2}, False)
    (row,) = answer["peers"]
    assert (row["group"], row["brought_shares"], row["last_brought"]) == ("10.1.2.3", 7, pool.now - 20)
    assert row["last_disconnection"] == {"time": NOW, "reason": f"banned: {HOSTILE}"}
    assert answer["disconnections"] == [
        {
            "address": "10.1.2.3:5",
            "incoming": True,
            "software": HOSTILE,
            "lasted": 61.5,
            "time": NOW,
            "reason": f"banned: {HOSTILE}",
        }
    ]


def test_which_known_addresses_answered_and_who_sent_the_others():
    pool = pool_with()
    known = [
        KnownNode("10.2.2.2", 1, NOW, NOW + 1, group="10.2.2.2", answered=True),
        KnownNode("8.2.2.2", 2, NOW, NOW, group="8.2.0.0/16", sources=("8.3.0.0/16", "bootstrap")),
    ]
    show(pool, known_nodes=lambda: known, address_counts=lambda: AddressCounts(1, 1))
    answer = pool.ask("/api/v1/known_nodes").json
    assert (answer["new"], answer["tried"]) == (1, 1)
    assert [(each["tried"], each["group"], each["sent_by"]) for each in answer["nodes"]] == [
        (True, "10.2.2.2", []),
        (False, "8.2.0.0/16", ["8.3.0.0/16", "bootstrap"]),
    ]


def test_whether_others_can_connect():
    pool = pool_with()
    node = pool.ask("/api/v1/node").json
    assert node["reachable"] == {"answer": "unknown", "since": None, "known_by": "nothing"}
    assert (node["mapped_ports"], node["connect_only"]) == ([], False)
    mapped = MappedPort(NetworkKind.IPV6, "PCP", "2606:4700::7", 8999, NOW - 5.0)
    show(
        pool,
        reachable=lambda: ReachableFigures(Reachable.YES, NOW - 5.0, KnownBy.ROUTER),
        mapped_ports=lambda: [mapped],
        settings={"connect-only": True},
    )
    node = pool.ask("/api/v1/node").json
    assert node["reachable"] == {"answer": "yes", "since": NOW - 5, "known_by": "router"}
    assert node["mapped_ports"] == [
        {"network": "ipv6", "method": "PCP", "address": "[2606:4700::7]:8999", "since": NOW - 5}
    ]
    assert node["connect_only"] is pool.ask("/api/v1/peers").json["connect_only"] is True
