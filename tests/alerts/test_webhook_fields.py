"""What webhooks are told: docs/alerts.md names every field of every event with its type, and no more."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from p2pool.alerts.last_run import LastRun
from p2pool.alerts.watch import Thresholds, Watch
from p2pool.pool_stats import (
    BanRecord,
    BlockStatus,
    ChainFigures,
    DashdFigures,
    EarlyCloses,
    EventKind,
    EventRecord,
    LostSoftware,
    NewerType,
    PeerCensus,
    PeerCounts,
    VoteFigures,
)
from tests.alerts.happenings import block, snapshot, split, worker
from tests.alerts.test_service import HOOK, Running
from tests.chains import NOW
from tests.support import ROOT

ROW = re.compile(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|", re.MULTILINE)
KINDS = {
    "blocks": {"block_found", "block_confirmed", "block_orphaned", "block_refused"},
    "workers": {"worker_down", "worker_up"},
    "dashd": {"dashd_lost", "dashd_back"},
    "peers": {"peers_lost", "peers_back"},
    "storage": {"storage_problem", "storage_back"},
    "hash_rate": {"hash_rate_drop", "hash_rate_back"},
    "votes": {"votes_risen", "votes_fallen"},
    "own_votes": {"own_votes_refused", "own_votes_accepted"},
    "software": {"software_lost", "software_back"},
    "handshakes": {"handshakes_closed", "handshakes_kept"},
    "split": {"chain_split", "chain_joined"},
}
TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "text or null": (str, type(None)),
    "integer": (int,),
    "integer or null": (int, type(None)),
    "number": (int, float),
    "true or false": (bool,),
    "true, false or null": (bool, type(None)),
}
ADDED_BY_DELIVERY = {"delivery", "sent"}
MAY_BE_ABSENT = {"lasted", "down_since", "away", "reason", "until", "first_share", "software"}
"""Of some events, as the table says in words."""


def documented() -> dict[str, tuple[str, set[str]]]:
    """(type, events that it is in) by field; no events for all."""
    found = {}
    for name, kind, places in ROW.findall((ROOT / "docs" / "alerts.md").read_text("utf-8")):
        events: set[str] = set()
        for identity in places.split(", "):
            events |= KINDS.get(identity.strip(), {identity.strip()})
        found[name] = (kind.strip(), events - {"all"})
    return found


def everything() -> Iterator[EventRecord]:
    """One of each kind, at odd fractions of a second."""
    ban = BanRecord("192.0.2.1", NOW, NOW + 5.5, "why")
    watch = Watch(Thresholds(), symbol="DASH", expects_peers=True, ban_of=lambda host: ban)
    yield watch.started(None, NOW + 0.75)
    yield watch.started(LastRun(NOW, False), NOW + 9.5)
    yield watch.stopping(5.25, NOW + 10.5)
    yield from watch.banned("192.0.2.1", NOW + 0.25)
    for number, status in enumerate((BlockStatus.CONFIRMED, BlockStatus.ORPHANED, BlockStatus.REFUSED)):
        yield from watch.block_changed(block(number, status, time=NOW + 0.5, share_hash=None), NOW + 7.75)
    well = ChainFigures(votes=VoteFigures(None, 0.0, 0.0, 0.0))
    healthy = {"hash_rates": (1e9, 1e9, 1e9), "hash_rate": 1e9, "chain": well}
    bad = {
        "dashd": DashdFigures(problem="down", spool_problem="disk full"),
        "peers": PeerCounts(),
        "chain": ChainFigures(
            store_problem="disk full", votes=VoteFigures(36, 0.96, 0.625, 1.0, True), refused=split(NOW + 5000)
        ),
        "hash_rate": 5.0,
        "hash_rates": (5.0, 1e9, 1e9),
    }
    strange = PeerCensus(
        newer_types=(NewerType(36, 3, NOW + 0.5, NOW + 1.5, "8.1.0.1:9", "c2pool", 1),),
        lost=(LostSoftware("c2pool", 100.5, 2),),
        early_closes=EarlyCloses(3, 3, 5, 60.5, NOW + 0.5, 1700, 3600),
    )
    for second in range(0, 12_000, 10):
        now = NOW + second + 0.125
        is_bad = 5000 < second < 8000
        last = now - 1 if not is_bad else NOW + 5000.125
        nodes = {"peers": PeerCounts(1, 1, census=strange)} if 8500 < second < 10_000 else {}
        figures = {
            **healthy,
            **nodes,
            **(bad if is_bad else {}),
            "workers": (worker("yA.rig", second // 10, last),),
        }
        yield from (each for each in watch.check(snapshot(now, **figures)) if each is not None)


@pytest.fixture(scope="module")
def objects(tmp_path_factory) -> list[dict[str, Any]]:
    """What a webhook is told of everything, and a test."""
    node = Running(tmp_path_factory.mktemp("alerts"), HOOK).start()
    node.ways["hook"].got.clear()
    told = [node.alerts._object(event) for event in everything()]
    node.alerts.test("hook")
    node.run(1)
    return [json.loads(json.dumps(each)) for each in (*told, *(sent.content for sent in node.ways["hook"].got))]


def test_every_kind_of_event_is_there(objects):
    assert {each["event"] for each in objects} == {*(kind.value for kind in EventKind), "test"}


def test_every_field_has_the_type_that_is_documented(objects):
    table = documented()
    assert table["timestamp"][0] == "integer"
    for each in objects:
        for name, value in each.items():
            kind, events = table[name]
            assert not events or each["event"] in events, (each["event"], name)
            assert isinstance(value, TYPES[kind]), (each["event"], name, value)
            assert isinstance(value, bool) == (bool in TYPES[kind] and value is not None), (name, value)


def test_what_is_documented_is_there(objects):
    for name, (_, events) in documented().items():
        for each in objects:
            if name in ADDED_BY_DELIVERY or (events and each["event"] not in events):
                continue
            assert name in each or name in MAY_BE_ABSENT or each["event"] == "test", (each["event"], name)
    assert set(documented()) - {name for each in objects for name in each} == ADDED_BY_DELIVERY


def test_the_timestamp_is_the_whole_second_in_which_it_happened(objects):
    event = next(each for each in everything() if each.kind is EventKind.BLOCK_FOUND)
    found = next(each for each in objects if each["event"] == "block_found")
    assert (event.time, found["timestamp"]) == (NOW + 0.5, int(NOW))
    assert all(type(each["timestamp"]) is int for each in objects)
