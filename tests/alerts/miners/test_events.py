"""What miners are told: workers, rejected submissions, blocks; in how many messages, and in which words."""

from __future__ import annotations

import pytest

from p2pool.alerts.message import NodeIdentity
from p2pool.alerts.miners.digest import GATHER, HOUR, MAX_MESSAGES, NAMED, Digest, EventList, MinerEvent
from p2pool.alerts.miners.proof import NodeKey
from p2pool.alerts.miners.subscriptions import MinerEventKind
from p2pool.alerts.miners.watch import CALM, PayoutWatch, RefusalWatch, worker_event
from p2pool.alerts.miners.words import Links, confirmation, notification
from p2pool.alerts.workers import WorkerWatch
from p2pool.pool_stats import BlockStatus
from p2pool.pool_stats.recent_refusals import Refusals
from tests.alerts.happenings import block, event, worker
from tests.alerts.miners.test_subscribing import subscription
from tests.chains import NOW

LINKS = Links("https://pool.example.org/", NodeKey(b"k" * 32, "pool.example.org"))
IDENTITY = NodeIdentity("n", "dash", "https://pool.example.org/", "/log")


# --- workers -----------------------------------------------------------------------------------------------------


def test_workers_that_fall_silent_and_come_back():
    watch, told = WorkerWatch(100.0), []
    for now, accepted, last in ((0, 1, 0), (120, 100, 120), (230, 100, 120), (270, 101, 265)):
        events = watch.check((worker("yA.rig", accepted, NOW + last),), NOW + now)
        told += [worker_event(each) for each in events if each is not None]
    assert [(each.kind, each.address, each.text) for each in told] == [
        (
            MinerEventKind.SILENT,
            "yA",
            "worker rig has submitted nothing for 1 min 50 s; it is still connected; its hash rate was 1.00 GH/s",
        ),
        (MinerEventKind.SILENT, "yA", "worker rig is back, after 2 min 25 s"),
    ]
    assert [each.details["event"] for each in told] == ["worker_silent", "worker_back"]
    assert worker_event(event(subject="yA")).text.startswith("the worker without a name has submitted nothing")


def refused(name: str, count: int, connections: int = 1):
    return worker(name, 10, NOW, here=connections)._replace(
        refusals=Refusals(2, count, 23, count) if count else None
    )


def test_rejected_submissions_are_reported_once_and_when_they_are_over():
    watch, addresses = RefusalWatch(), {"yA"}

    def check(now: float, *workers) -> list[str]:
        return [each.text for each in watch.check(workers, addresses, NOW + now) if each is not None]

    assert check(0, refused("yA.rig", 3), refused("yB.rig", 50)) == []
    assert check(10, refused("yA.rig", 8)) == [
        "worker rig: 8 of its last 10 submissions were rejected, 8 of them as below the difficulty"
    ]
    assert check(20, refused("yA.rig", 9)) == []
    assert check(30, refused("yA.rig", 0)) == []
    assert check(20 + CALM, refused("yA.rig", 0)) == ["worker rig: its submissions are accepted again"]
    assert check(30 + CALM, refused("yA.rig", 0)) == []
    assert len(check(40 + CALM, refused("yA.rig", 9))) == 1
    assert check(40 + 2 * CALM, refused("yA.rig", 0, connections=0)) == []
    assert len(list(watch.check([refused(f"yB.{n}", 0) for n in range(1500)], addresses, NOW))) == 3  # steps


# --- blocks ------------------------------------------------------------------------------------------------------


def payouts() -> tuple[PayoutWatch, dict]:
    paid = {1: {"yA": 150_000_000, "yB": 5, "yC": 0}}
    return PayoutWatch(paid.get, symbol="DASH", period=150.0), paid


def test_a_block_that_pays_is_reported_once_it_is_in_the_chain():
    watch, paid = payouts()

    def check(*blocks) -> list[MinerEvent]:
        return list(watch.check(blocks, {"yA", "yC"}, NOW))

    assert check(block(1, BlockStatus.SENT)) == []
    assert check(block(2, BlockStatus.ACCEPTED)) == []  # what it pays is not known yet
    (told,) = check(block(1, BlockStatus.ACCEPTED, confirmations=1))
    assert (told.kind, told.address) == (MinerEventKind.BLOCK, "yA")
    assert told.text == (
        f"block 101 pays you 1.50000000 DASH, which can be spent in about 4 h 7 min; its hash is {1:064x}"
    )
    assert (told.details["value_duffs"], told.details["spendable_height"]) == (150_000_000, 201)
    assert check(block(1, BlockStatus.CONFIRMED)) == []
    paid[2] = {"yA": 7}
    assert len(check(block(1, BlockStatus.CONFIRMED), block(2, BlockStatus.ACCEPTED))) == 1
    (lost,) = check(block(1, BlockStatus.ORPHANED))
    assert "its payout of 1.50000000 DASH to you is lost" in lost.text
    assert check(block(1, BlockStatus.ORPHANED)) == []
    assert len(check(block(1, BlockStatus.ACCEPTED))) == 1  # it is back
    assert check(block(3, BlockStatus.ORPHANED)) == []


def test_reported_blocks_over_a_restart():
    watch, _ = payouts()
    list(watch.check([block(1, BlockStatus.ACCEPTED)], {"yA"}, NOW))
    again, _ = payouts()
    again.restore(watch.to_json())
    assert list(again.check([block(1, BlockStatus.ACCEPTED)], {"yA"}, NOW)) == []
    assert len(list(again.check([block(1, BlockStatus.ORPHANED)], {"yA"}, NOW))) == 1
    for damaged in (None, [], {"x": True, "0" * 64: 5, 3: True}):
        again.restore(damaged)


# --- messages ----------------------------------------------------------------------------------------------------


def told(number: int = 0) -> MinerEvent:
    return MinerEvent(
        NOW, MinerEventKind.SILENT, "yA", f"worker w{number} is back, after 5 s", {"event": "worker_back"}
    )


def test_events_are_gathered_and_none_is_lost():
    digest = Digest()
    for number in range(500):
        digest.offer(told(number), NOW)
    assert digest.due(NOW + GATHER - 1) is None
    found = digest.due(NOW + GATHER)
    assert (len(found.events), found.count) == (NAMED, 500)
    assert digest.is_idle
    sent, counts = 1, []
    for second in range(1, 3600, 20):
        now = NOW + GATHER + second
        digest.offer(told(), now)
        if (found := digest.due(now)) is not None:
            sent += 1
            counts.append(found.count)
    assert sent == MAX_MESSAGES
    found = digest.due(NOW + GATHER + HOUR)
    assert sum(counts) + found.count == len(range(1, 3600, 20))
    digest.offer(told(), NOW)
    assert digest.due(NOW, leaving=True).count == 1
    assert digest.due(NOW, leaving=True) is None


@pytest.mark.parametrize("step", [-7200.0, 7200.0])
def test_a_clock_that_is_set_holds_nothing_back_for_long(step):
    digest = Digest()
    for _ in range(MAX_MESSAGES):
        digest.offer(told(), NOW)
        assert digest.due(NOW + GATHER) is not None
    digest.offer(told(), NOW)
    assert digest.due(NOW + GATHER) is None
    assert digest.due(NOW + step) is not None


def test_messages_in_words():
    each = subscription(1, address="yA")
    content = notification(each, digest_of(2, 12), links=LINKS, identity=IDENTITY, now=NOW)
    page = "https://pool.example.org/static/worker.html?name=yA"
    token = LINKS.key.token("unsubscribe", each.id)
    assert content["subject"] == "[p2pool n] 12 events"
    lines = content["body"].splitlines()
    assert lines[0].endswith(" UTC  worker w0 is back, after 5 s")
    assert lines[2:] == [
        "... and 10 more",
        "",
        "Your address: yA",
        f"Its page: {page}",
        f"End these alerts: {page}#unsubscribe={token}",
    ]
    assert content["unsubscribe"] == f"{page}#unsubscribe={token}"
    assert [one["event"] for one in content["events"]] == ["worker_back", "worker_back"]
    first = confirmation(each, LINKS, IDENTITY, now=NOW)
    assert f"  {page}#confirm={LINKS.key.token('confirm', each.id)}\n" in first["body"]
    assert first["event"] == "miner_confirm"
    assert first["confirm"] in first["body"]
    single = notification(each, digest_of(1, 1), links=LINKS, identity=IDENTITY, now=NOW)
    assert single["subject"] == "[p2pool n] worker w0 is back, after 5 s"


def digest_of(named: int, count: int):
    return EventList(tuple(told(number) for number in range(named)), count)
