"""Events that live pages are told of, and how the node's own become them."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from p2pool.peers.figures import PeerFigures
from p2pool.pool_stats import BlockRecord, BlockStatus, EventKind, EventRecord
from p2pool.web.live_events import (
    MAX_REPORTED,
    SHARE_AGE,
    BlockEvents,
    PeerEvents,
    alert_events,
    daemon_events,
    happened_event,
    share_event,
)
from p2pool.web.live_wiring import LiveWiring
from tests.support import make_template
from tests.web.pages import Pool

BLOCK = BlockRecord(1000.0, 0xAB, 77, "yAddress.worker", 0xAB, 123_456_789)


def peer(host: str, port: int = 8999, incoming: bool = False) -> PeerFigures:
    return PeerFigures(host, port, incoming, "/x/", 1700, 5.0, 0, 0, None)


def test_a_share():
    pool = Pool(5, make_template())
    share = pool.shares[-1]
    event = share_event(pool.node, share, own=True, now=share.timestamp + 1.0)
    assert event is not None
    assert (event["event"], event["hash"], event["own"]) == ("share", f"{share.hash:064x}", True)
    assert event["payout_address"].startswith("y")
    assert event["difficulty"] > 0
    assert event["is_block"] is share.is_block
    assert share_event(pool.node, share, own=False, now=share.timestamp + SHARE_AGE + 1) is None


def test_a_block_and_what_became_of_it():
    events = BlockEvents()
    first = events.of(BLOCK)
    assert first == {
        "event": "block",
        "hash": f"{0xAB:064x}",
        "number": 77,
        "miner": "yAddress.worker",
        "status": "sent",
        "reason": None,
        "value_duffs": 123_456_789,
        "found": 1000.0,
    }
    accepted = replace(BLOCK, status=BlockStatus.ACCEPTED, confirmations=1)
    assert (events.of(accepted) or {})["status"] == "accepted"
    assert events.of(replace(accepted, confirmations=2, chainlocked=True)) is None
    orphaned = replace(accepted, status=BlockStatus.ORPHANED, reason="another one")
    assert (events.of(orphaned) or {})["reason"] == "another one"
    assert (events.of(replace(BLOCK, block_hash=1)) or {})["hash"] == f"{1:064x}"


def test_peers_that_come_and_go():
    events = PeerEvents()
    assert events.of([]) == []
    assert events.of([peer("10.0.0.1")]) == [
        {"event": "peer", "address": "10.0.0.1:8999", "incoming": False, "connected": True, "peers": 1}
    ]
    assert events.of([peer("10.0.0.1")]) == []
    changes = events.of([peer("2001:db8::1", 5, True)])
    assert [(each["address"], each["connected"], each["peers"]) for each in changes] == [
        ("[2001:db8::1]:5", True, 1),
        ("10.0.0.1:8999", False, 1),
    ]
    assert len(events.of([peer("10.0.0.1", port) for port in range(50)])) == MAX_REPORTED


def test_alerts_are_warnings_that_come_and_go():
    before, now = {"warnings": ["disk", "clock"]}, {"warnings": ["clock", "dashd"]}
    assert list(alert_events(before, now)) == [
        {"event": "alert", "text": "dashd", "over": False},
        {"event": "alert", "text": "disk", "over": True},
    ]
    assert not list(alert_events(now, now))
    assert not list(alert_events({"warnings": ["silent for 5 s"]}, {"warnings": ["silent for 16.5 s"]}))
    assert len(list(alert_events({"warnings": []}, {"warnings": [chr(n) for n in range(65, 90)]}))) == MAX_REPORTED


def status(problem: str | None = None, serving: str | None = "a") -> dict[str, Any]:
    daemons = [{"address": name, "serving": name == serving} for name in "ab"]
    return {"problem": problem, "daemons": daemons}


def test_trouble_with_dash_core():
    assert not list(daemon_events(status(), status()))
    assert not list(daemon_events(status("for 5 s", None), status("for 6 s", None)))
    assert list(daemon_events(status(), status("gone", None))) == [
        {"event": "dashd", "problem": "gone", "serving": None}
    ]
    assert list(daemon_events(status(), status(serving="b"))) == [
        {"event": "dashd", "problem": None, "serving": "b"}
    ]


def test_what_the_node_fires_is_reported():
    told: list[dict[str, Any]] = []
    pool = Pool(5)
    peers: list[PeerFigures] = []
    live: Any = SimpleNamespace(event=told.append)
    wiring = LiveWiring(live, pool.node, peers=lambda: peers, clock=lambda: pool.now)
    pool.node.work_changed.subscribe(wiring.work)

    def names() -> list[str]:
        names = [event["event"] for event in told]
        told.clear()
        return names

    template = make_template(height=300, previous_block=0xCD)
    pool.node.set_template(template)
    assert told == [{"event": "dashd", "height": 299, "block_hash": f"{0xCD:064x}"}]
    assert names() == ["dashd"]
    pool.node.renew_work()
    assert names() == []  # other work on the same block
    wiring.share((pool.shares[-1], False))
    pool.now += 2 * SHARE_AGE
    wiring.share((pool.shares[-1], False))
    assert names() == ["share"]
    wiring.block(BLOCK)
    wiring.block(BLOCK)
    assert names() == ["block"]
    peers += [peer("10.0.0.1"), peer("10.0.0.2")]
    wiring.peers(2)
    assert names() == ["peer", "peer"]
    wiring.ban("192.0.2.1")
    assert told == [{"event": "ban", "host": "192.0.2.1"}]


def test_what_people_want_to_know_of_is_reported_as_history_keeps_it():
    record = EventRecord(5.0, EventKind.WORKER_DOWN, "Xa.1", "Xa.1 is down", {"since": 4})
    assert happened_event(record) == {
        "event": "happened",
        "kind": "worker_down",
        "subject": "Xa.1",
        "text": "Xa.1 is down",
        "details": {"since": 4},
    }
