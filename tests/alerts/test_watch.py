"""What the watch makes of what it sees."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.alerts.condition import Condition
from p2pool.alerts.last_run import LastRun, read_last_run, write_last_run
from p2pool.alerts.watch import BACK, MAX_PER_HOUR, NEW_NORMAL, SPLIT_CALM, SPLIT_PATIENCE, WARM, Thresholds, Watch
from p2pool.alerts.workers import INTERVALS, MAX_WORKERS, STEP, WORKED, WorkerWatch
from p2pool.pool_stats import BanRecord, BlockStatus, ChainFigures, DashdFigures, EventKind, PeerCounts
from tests.alerts.happenings import block, snapshot, split, worker
from tests.chains import NOW


class Looker:
    """A watch and a clock."""

    def __init__(self, expects_peers: bool = True, **thresholds: float) -> None:
        self.history_problem: str | None = None
        self.bans: dict[str, BanRecord] = {}
        self.watch = Watch(
            Thresholds(**thresholds),
            symbol="DASH",
            expects_peers=expects_peers,
            history_problem=lambda: self.history_problem,
            ban_of=self.bans.get,
        )
        self.now = NOW

    def look(self, after: float = 5.0, **changes) -> list[EventKind]:
        """Kinds of what a look finds."""
        self.now += after
        self.found = [each for each in self.watch.check(snapshot(self.now, **changes)) if each is not None]
        return [each.kind for each in self.found]


# --- workers -----------------------------------------------------------------------------------------------------


class Hall:
    """Workers over time, looked at every five seconds."""

    def __init__(self, silence: float = 600.0) -> None:
        self.watch = WorkerWatch(silence)
        self.now = NOW
        self.workers: dict[str, tuple[int, float, int]] = {}

    def run(self, seconds: float, *working: str, interval: float = 10.0) -> list:
        """Time passes; those named submit every `interval` seconds."""
        found, end = [], self.now + seconds
        due = dict.fromkeys(working, self.now)
        while self.now < end:
            self.now += 5.0
            for name in working:
                while due[name] <= self.now:
                    accepted = self.workers.get(name, (0, 0.0, 1))[0]
                    self.workers[name] = (accepted + 1, due[name], 1)
                    due[name] += interval
            found += self.look()
        return found

    def look(self) -> list:
        rows = tuple(worker(name, n, last, c) for name, (n, last, c) in self.workers.items())
        return [each for each in self.watch.check(rows, self.now) if each is not None]


def kinds(events) -> list[str]:
    return [f"{each.kind.value} {each.subject}" for each in events]


def test_a_worker_that_falls_silent_is_reported_once_and_once_when_it_is_back():
    hall = Hall()
    assert hall.run(1000, "yA.1", "yA.2") == []
    assert hall.run(590, "yA.2") == []
    (down,) = hall.run(3000, "yA.2")
    assert kinds([down]) == ["worker_down yA.1"]
    assert 600 <= down.time - down.details["down_since"] < 610
    assert "submitted nothing for 10 min 0 s" in down.text
    assert "1.00 GH/s" in down.text
    assert "still connected" in down.text
    (up,) = hall.run(100, "yA.1", "yA.2")
    assert kinds([up]) == ["worker_up yA.1"]
    assert up.details["away"] == pytest.approx(3590, abs=20)
    assert hall.run(1000, "yA.1", "yA.2") == []


def test_a_worker_without_a_connection_is_said_to_have_none():
    hall = Hall()
    hall.run(1000, "yA.1")
    hall.workers["yA.1"] = (*hall.workers["yA.1"][:2], 0)
    (down,) = hall.run(1000)
    assert "it is not connected" in down.text


def test_one_that_was_forgotten_by_the_node_is_still_reported_and_then_forgotten():
    hall = Hall()
    hall.run(1000, "yA.1", "yA.2")
    del hall.workers["yA.1"]
    assert kinds(hall.run(5000, "yA.2")) == ["worker_down yA.1"]
    assert list(hall.watch._watched) == ["yA.2"]
    assert kinds(hall.run(1000, "yA.1", "yA.2")) == []  # a new one


def test_one_that_came_and_went_is_no_news():
    hall = Hall()
    hall.run(WORKED - 20, "yX.spam")
    assert hall.run(5000) == []


def test_one_that_flaps_after_it_was_reported_is_reported_each_time():
    hall = Hall()
    hall.run(1000, "yA.1")
    assert kinds(hall.run(1000)) == ["worker_down yA.1"]
    assert kinds(hall.run(30, "yA.1")) == ["worker_up yA.1"]
    assert kinds(hall.run(1000)) == ["worker_down yA.1"]


def test_those_silent_since_before_the_first_look_are_no_news():
    hall = Hall()
    hall.workers = {"yA.old": (50, NOW - 700, 1), "yA.new": (0, 0.0, 1)}
    hall.watch = WorkerWatch(600)
    rows = (worker("yA.old", 50, NOW - 700), worker("yA.new", 0, None))
    for late in (0.0, 5.0, 5000.0):
        assert list(hall.watch.check(rows, NOW + late)) == []


def test_one_that_submits_seldom_has_its_own_time():
    hall = Hall(60)
    assert hall.run(3000, "yA.slow", interval=100.0) == []
    assert kinds(hall.run(100 * INTERVALS - 100)) == []
    assert kinds(hall.run(300)) == ["worker_down yA.slow"]


def test_a_hall_of_any_size_is_bounded_and_looked_at_in_steps():
    watch = WorkerWatch(600)
    rows = tuple(worker(f"y.{n}", 5, NOW) for n in range(MAX_WORKERS))
    assert list(watch.check(rows, NOW)).count(None) == MAX_WORKERS // 500
    rows = tuple(worker(f"y.{n}", 5, NOW) for n in range(2000, MAX_WORKERS + 2000))
    list(watch.check(rows, NOW))
    assert len(watch._watched) == MAX_WORKERS


@given(st.lists(st.tuples(st.booleans(), st.floats(1, 2000)), max_size=30))
def test_down_and_up_always_take_turns(periods):
    hall, told = Hall(), []
    for working, seconds in periods:
        told += [each.kind for each in hall.run(seconds, *(["yA.1"] if working else []))]
    expected = [EventKind.WORKER_DOWN, EventKind.WORKER_UP] * len(told)
    assert told == expected[: len(told)]


def test_a_hall_that_goes_dark_again_and_again_is_looked_at_in_steps():
    looker = Looker(worker_down=600)

    def hall(accepted: int, last: float) -> dict:
        return {"workers": tuple(worker(f"yA.{n}", accepted, last) for n in range(MAX_WORKERS))}

    looker.now = NOW - NOW % 3600
    looker.look(**hall(1, looker.now))
    for again in range(2):
        last = looker.now
        for accepted in range(8):
            last = looker.now + 20
            looker.look(20, **hall(10 * again + accepted + 2, last))
        looker.now = last + 601
        steps = list(looker.watch.check(snapshot(looker.now, **hall(10 * again + 9, last))))
        down = [each for each in steps if each is not None and each.kind is EventKind.WORKER_DOWN]
        # The second time within an hour nobody is told, and that may not be one long step.
        assert (len(down), len(steps) > MAX_WORKERS // STEP) == ((MAX_WORKERS, 0)[again], True)


def test_a_condition_has_patience_both_ways():
    condition = Condition(60, calm=30)
    assert condition.check("bad", 0) is None
    assert condition.check(None, 50) is None
    assert condition.check("bad", 55) is None
    assert condition.check("worse", 114) is None
    transition = condition.check("worst", 115)
    assert transition is not None
    assert (transition.bad, transition.since, transition.lasted, transition.reason) == (True, 55, 60, "worst")
    assert condition.check("bad", 500) is None
    assert condition.check(None, 510) is None
    assert condition.check("bad", 520) is None
    assert condition.check(None, 530) is None
    assert condition.check(None, 559) is None
    transition = condition.check(None, 560)
    assert transition is not None
    assert (transition.bad, transition.since, transition.lasted) == (False, 55, 475)
    assert condition.check(None, 600) is None


@given(st.lists(st.tuples(st.booleans(), st.floats(-100, 1000)), max_size=60))
def test_a_condition_s_turns_alternate_whatever_the_clock_does(looks):
    condition, now, told = Condition(60), 1000.0, []
    for bad, step in looks:
        now += step
        transition = condition.check("bad" if bad else None, now)
        if transition is not None:
            told.append(transition.bad)
            assert transition.lasted >= 0
    assert told == [True, False] * (len(told) // 2) + [True] * (len(told) % 2)


def patience_of(watched: object) -> dict[str, object]:
    """All numbers and thresholds in a watch and its parts, by where they are."""
    found: dict[str, object] = {}
    slots = vars(watched) if hasattr(watched, "__dict__") else {}
    for name, value in (watched if isinstance(watched, dict) else slots).items():
        if isinstance(value, int | float | Thresholds):
            found[name] = value
        elif isinstance(value, dict) or type(value).__module__.startswith("p2pool.alerts"):
            found |= {f"{name}.{key}": each for key, each in patience_of(value).items()}
    return found


def test_other_thresholds_hold_from_now_on_everywhere():
    def watch(thresholds: Thresholds) -> Watch:
        return Watch(thresholds, symbol="DASH", expects_peers=True)

    others = Thresholds(*(700.0 + number for number in range(len(fields(Thresholds)))))
    changed = watch(Thresholds())
    assert sum(patience_of(changed)[key] != each for key, each in patience_of(watch(others)).items()) >= 9
    changed.set_thresholds(others)
    assert patience_of(changed) == patience_of(watch(others))


def test_dash_core_lost_and_back():
    looker, away = Looker(), DashdFigures(problem="dashd does not answer")
    assert looker.look(dashd=away) == []  # not there yet since the start
    assert looker.look(200, dashd=away) == []
    assert looker.look() == []
    assert looker.look(dashd=away) == []
    assert looker.look(59, dashd=away) == []
    assert looker.look(1, dashd=away) == [EventKind.DASHD_LOST]
    assert "dashd does not answer" in looker.found[0].text
    assert looker.found[0].details["since"] == looker.now - 60
    assert looker.look(500, dashd=away) == []
    assert looker.look() == []
    assert looker.look(30) == [EventKind.DASHD_BACK]
    assert "after 9 min 25 s" in looker.found[0].text


def test_dash_core_that_does_not_come_up_after_a_start():
    looker, away = Looker(), DashdFigures(problem="dashd does not answer")
    assert looker.look(dashd=away) == []
    assert looker.look(299, dashd=away) == []
    assert looker.look(1, dashd=away) == [EventKind.DASHD_LOST]
    assert "for 5 min" in looker.found[0].text
    assert looker.look(dashd=away) == []
    assert looker.look() == []
    assert looker.look(30) == [EventKind.DASHD_BACK]
    # From then on it is expected to be there.
    assert looker.look(dashd=away) == []
    assert looker.look(60, dashd=away) == [EventKind.DASHD_LOST]


def test_other_nodes_lost_and_back_where_they_are_expected():
    alone = PeerCounts(0, 0)
    looker = Looker(expects_peers=False)
    assert looker.look(1000, peers=alone) + looker.look(1000, peers=alone) == []
    looker = Looker()
    assert looker.look(peers=alone) == []
    assert looker.look(300, peers=alone) == [EventKind.PEERS_LOST]
    assert looker.look(peers=PeerCounts(0, 1)) == []
    assert looker.look(40, peers=PeerCounts(0, 1)) == [EventKind.PEERS_BACK]


@pytest.mark.parametrize("what", ["shares", "blocks", "history"])
def test_stores_that_cannot_be_written(what):
    looker = Looker()
    bad = {
        "shares": {"chain": ChainFigures(store_problem="disk full")},
        "blocks": {"dashd": DashdFigures(problem=None, spool_problem="disk full")},
        "history": {},
    }[what]
    looker.history_problem = "disk full" if what == "history" else None
    assert looker.look(**bad) == []
    assert looker.look(10, **bad) == [EventKind.STORAGE_PROBLEM]
    assert looker.found[0].subject == what
    assert looker.found[0].text == f"{what} cannot be written: disk full"
    looker.history_problem = None
    assert looker.look() == []
    assert looker.look(30) == [EventKind.STORAGE_BACK]


def test_most_of_the_work_on_a_refused_branch():
    looker, bad = Looker(), {"chain": ChainFigures(refused=split(NOW))}
    assert looker.look(**bad) == []
    assert looker.look(SPLIT_PATIENCE, **bad) == [EventKind.CHAIN_SPLIT]
    [found] = looker.found
    assert found.text == "67% of the work"
    assert found.details == {
        "since": looker.now - SPLIT_PATIENCE,
        "part": 2 / 3,
        "part_since": 0.75,
        "reason": "wrong absheight",
        "first_share": f"{0xBAD:064x}",
        "software": "c2pool",
    }
    assert looker.look(1) == []
    assert looker.look(SPLIT_CALM - 1) == []
    assert looker.look(1, **bad) == []  # not yet over
    assert looker.look(1) == []
    assert looker.look(SPLIT_CALM) == [EventKind.CHAIN_JOINED]


def test_a_hash_rate_that_drops_and_comes_back():
    looker = Looker()
    low = {"hash_rate": 49.0}
    assert looker.look(WARM - 100, **low) == []  # the hour's average means nothing yet
    assert looker.look(200) == []
    assert looker.look(hash_rate=51.0) == []
    assert looker.look(**low) == []
    assert looker.look(299, **low) == []
    # The average follows; what counts is what it was.
    assert looker.look(1, hash_rate=49.0, hash_rates=(49.0, 98.1, 100.0)) == [EventKind.HASH_RATE_DROP]
    assert looker.found[0].details == {"since": looker.now - 300, "hash_rate": 49.0, "average": 100.0}
    for rate in (49.0, 51.0, 50.0 + BACK - 1):
        assert looker.look(100, hash_rate=rate, hash_rates=(rate, rate, rate)) == []
    assert looker.look(hash_rate=66.0, hash_rates=(66.0, 50.0, 50.0)) == []
    assert looker.look(30, hash_rate=66.0, hash_rates=(66.0, 50.0, 50.0)) == [EventKind.HASH_RATE_BACK]


def test_a_lower_hash_rate_is_usual_after_a_day():
    looker = Looker()
    looker.look(WARM + 1)
    rates = {"hash_rate": 20.0, "hash_rates": (20.0, 100.0, 100.0)}
    looker.look(**rates)
    assert looker.look(300, **rates) == [EventKind.HASH_RATE_DROP]
    rates = {"hash_rate": 20.0, "hash_rates": (20.0, 20.0, 20.0)}
    assert looker.look(NEW_NORMAL + 10, **rates) == []
    assert looker.look(100, **rates) == []
    assert looker.look(100, hash_rate=25.0, hash_rates=(25.0, 20.0, 20.0)) == []
    rates = {"hash_rate": 9.0, "hash_rates": (9.0, 20.0, 20.0)}
    looker.look(**rates)
    assert looker.look(300, **rates) == [EventKind.HASH_RATE_DROP]


def test_an_idle_node_has_no_hash_rate_to_lose():
    looker = Looker()
    for _ in range(5):
        assert looker.look(WARM, hash_rate=0.0, hash_rates=(0.0, 0.0, 0.0)) == []


# --- blocks, bans, the node --------------------------------------------------------------------------------------


def told(looker: Looker, *records) -> list[str]:
    return [each.kind.value for record in records for each in looker.watch.block_changed(record, looker.now)]


def test_a_block_is_found_once_whatever_is_said_again():
    looker = Looker()
    (found,) = looker.watch.block_changed(block(), NOW + 1)
    assert (found.kind, found.time, found.subject) == (EventKind.BLOCK_FOUND, NOW, f"{1:064x}")
    assert found.text == "block 101 found by yA.rig: 1.77000000 DASH"
    assert found.details["value"] == 1.77
    assert found.details["value_duffs"] == 177_000_000
    assert found.details["block_height"] == 101
    steps = [block(status=BlockStatus.ACCEPTED, confirmations=n) for n in range(1, 5)]
    assert told(looker, *steps) == []
    assert told(looker, block(status=BlockStatus.CONFIRMED), block(status=BlockStatus.CONFIRMED)) == [
        "block_confirmed"
    ]


def test_blocks_that_are_orphaned_or_refused():
    looker = Looker()
    assert told(looker, block(), block(status=BlockStatus.REFUSED, reason="bad-cb-amount")) == [
        "block_found",
        "block_refused",
    ]
    orphan = block(2, BlockStatus.ORPHANED, reason="block 102 is another")
    assert told(looker, block(2, BlockStatus.ACCEPTED), orphan, orphan) == ["block_found", "block_orphaned"]
    back = block(2, BlockStatus.ACCEPTED)
    assert told(looker, back, orphan) == ["block_orphaned"]
    assert told(looker, block(3, worker="another node")) == ["block_found"]


def test_blocks_of_earlier_runs_are_no_news_but_what_becomes_of_them_is():
    looker = Looker()
    looker.watch.blocks_restored([block(1, BlockStatus.ACCEPTED), block(2, BlockStatus.ORPHANED)])
    assert told(looker, block(1, BlockStatus.ACCEPTED, confirmations=7)) == []
    assert told(looker, block(2, BlockStatus.ORPHANED, reason="another reason")) == []
    assert told(looker, block(1, BlockStatus.CONFIRMED)) == ["block_confirmed"]


def test_a_ban_says_why_and_a_flood_of_them_is_cut():
    looker = Looker()
    looker.bans["192.0.2.1"] = BanRecord("192.0.2.1", NOW, NOW + 300, "garbage")
    (ban,) = looker.watch.banned("192.0.2.1", NOW)
    assert ban.text == "192.0.2.1 is banned for 5 min 0 s: garbage"
    count = sum(1 for n in range(5000) for _ in looker.watch.banned(f"2001:db8:{n:x}::/64", NOW))
    assert count == MAX_PER_HOUR - 1
    assert len(list(looker.watch.banned("192.0.2.2", NOW + 3600))) == 1


@pytest.mark.parametrize(
    ("last", "part"),
    [
        (None, "for the first time"),
        (LastRun(NOW - 60, True), "it had been stopped for 1 min 0 s"),
        (LastRun(NOW - 60, False), "did not stop cleanly"),
        (LastRun(NOW + 60, True), "it had been stopped for 0 s"),
    ],
)
def test_a_start_says_how_the_last_run_ended(last, part):
    assert part in Looker().watch.started(last, NOW).text


def test_the_last_run_is_remembered_and_nonsense_is_none(tmp_path):
    path = tmp_path / "last-run.json"
    assert read_last_run(path) is None
    write_last_run(path, LastRun(5.5, True))
    assert read_last_run(path) == LastRun(5.5, True)
    for data in (b"", b"{", b"[]", b'{"time": "x", "orderly": true}', b'{"time": -1, "orderly": true}', b"\xff"):
        path.write_bytes(data)
        assert read_last_run(path) is None
