"""The counters: right, and bounded whoever feeds them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from p2pool.base.process import ProcessFigures
from p2pool.base.rates import RATE_WINDOW
from p2pool.base.text import printable
from p2pool.pool_stats import (
    BanRecord,
    BlockRecord,
    BlockStatus,
    ChainFigures,
    DashdFigures,
    HostRecord,
    PeerCounts,
    PoolStats,
    ShareRecord,
    workers,
)
from p2pool.pool_stats.stats import MAX_BLOCKS, MAX_REASONS, MAX_RECENT, MAX_SOURCES
from p2pool.pool_stats.workers import (
    MAX_REFUSAL_CODES,
    MAX_SOFTWARE,
    MAX_WORKER_NAME,
    SILENCE,
    STEP,
)

NOW = 1_700_000_000.0


@pytest.fixture
def stats() -> PoolStats:
    return PoolStats(NOW)


@pytest.fixture
def three_workers(monkeypatch) -> PoolStats:
    """Stats that hold three workers at most."""
    monkeypatch.setattr(workers, "MAX_WORKERS", 3)
    return PoolStats(NOW)


def names(stats: PoolStats) -> list[str]:
    return [worker.name for worker in stats.snapshot(NOW).workers]


def worker_of(stats: PoolStats, name: str, now: float = NOW):
    (found,) = [worker for worker in stats.snapshot(now).workers if worker.name == name]
    return found


def block(number: int, status: BlockStatus = BlockStatus.SENT, **more) -> BlockRecord:
    return BlockRecord(NOW + number, number, 1000 + number, "me", None, 5, status, **more)


def test_what_another_node_found_before_the_start_is_shown_but_not_counted():
    stats = PoolStats(NOW)
    old = BlockRecord(NOW - 1, 1, 7, "another node", 1, 5, BlockStatus.ACCEPTED)
    stats.record_block(old)
    stats.record_block(replace(old, confirmations=5))
    stats.restore_blocks([replace(old, block_hash=2, time=NOW - 9)])
    stats.record_block(replace(old, block_hash=2, time=NOW - 9, confirmations=3))
    assert stats.snapshot(NOW).blocks_accepted == 0
    assert [record.block_hash for record in stats.snapshot(NOW).blocks] == [2, 1]
    stats.record_block(replace(old, block_hash=3, worker="me.rig"))  # out of the spool
    stats.record_block(replace(old, block_hash=4, time=NOW))
    assert stats.snapshot(NOW + 9).blocks_accepted == 2


def test_nothing_happened_yet(stats):
    snapshot = stats.snapshot(NOW + 1)
    assert (snapshot.time, snapshot.start_time) == (NOW + 1, NOW)
    assert (snapshot.connections, snapshot.accepted, snapshot.dead, snapshot.shares) == (0, 0, 0, 0)
    assert snapshot.refused == {}
    assert snapshot.workers == snapshot.recent_shares == snapshot.blocks == ()
    assert snapshot.hash_rate == stats.hash_rate(NOW) == stats.address_hash_rate("X", NOW) == 0


def test_connections_are_counted_for_the_pool_and_each_worker(stats):
    stats.record_connected(NOW)
    stats.record_connected(NOW)
    stats.record_worker_on("X.a", difficulty=4.0, now=NOW)
    stats.record_worker_on("X.a", difficulty=8.0, now=NOW + 1)
    assert stats.snapshot(NOW).connections == 2
    worker = worker_of(stats, "X.a")
    assert (worker.connections, worker.difficulty, worker.last_seen) == (2, 8.0, NOW + 1)
    stats.record_disconnected()
    for _ in range(3):  # once more than it was on
        stats.record_worker_off("X.a")
    stats.record_worker_off("X.unknown")
    assert stats.snapshot(NOW).connections == 1
    assert worker_of(stats, "X.a").connections == 0


def test_rates_of_pool_worker_and_address(stats):
    for second in range(0, 1200, 10):
        stats.record_accepted("X.a", attempts=1000, difficulty=2.0, dead=False, now=NOW + second)
        stats.record_accepted("X.b", attempts=500, difficulty=2.0, dead=second % 20 == 0, now=NOW + second)
        stats.record_accepted("Y", attempts=100, difficulty=2.0, dead=True, now=NOW + second)
    now = NOW + 1194
    about = pytest.approx
    assert stats.hash_rate(now) == about(160, rel=0.02)
    assert stats.address_hash_rate("X", now) == about(150, rel=0.02)
    assert stats.address_hash_rate("Y", now) == about(10, rel=0.02)
    snapshot = stats.snapshot(now)
    assert snapshot.hash_rate == about(160, rel=0.02)
    assert snapshot.dead_rate == about(35, rel=0.03)
    assert (snapshot.accepted, snapshot.dead) == (360, 180)
    worker = worker_of(stats, "X.b", now)
    assert (worker.hash_rate, worker.dead_rate) == (about(50, rel=0.02), about(25, rel=0.05))
    assert (worker.accepted, worker.dead, worker.difficulty) == (120, 60, 2.0)
    assert stats.hash_rate(now + RATE_WINDOW + 20) == 0


def test_refusals_by_code(stats):
    stats.record_refused("X.a", 21, NOW)
    stats.record_refused("X.a", 23, NOW + 5)
    stats.record_refused(None, 23, NOW)
    assert stats.snapshot(NOW).refused == {21: 1, 23: 2}
    assert worker_of(stats, "X.a").refused == 2
    assert worker_of(stats, "X.a").last_seen == NOW + 5


def test_refusal_codes_are_bounded_and_known_ones_still_count(stats):
    for code in range(MAX_REFUSAL_CODES + 10):
        stats.record_refused(None, code, NOW)
    stats.record_refused(None, 0, NOW)
    refused = stats.snapshot(NOW).refused
    assert len(refused) == MAX_REFUSAL_CODES
    assert refused[0] == 2


def test_shares(stats):
    for number in range(MAX_RECENT + 5):
        stats.record_share(ShareRecord(NOW + number, number, "X.a", number % 5 == 0, 100))
    snapshot = stats.snapshot(NOW)
    assert (snapshot.shares, snapshot.dead_shares) == (105, 21)
    assert [share.share_hash for share in snapshot.recent_shares] == list(range(5, 105))
    assert worker_of(stats, "X.a").shares == 105


def test_what_becomes_of_a_block_is_recorded_where_it_stands(stats):
    stats.record_block(block(1))
    stats.record_block(block(2))
    stats.record_block(block(1, BlockStatus.ACCEPTED, confirmations=1))
    stats.record_block(block(2, BlockStatus.REFUSED, reason="high-hash"))
    first, second = stats.snapshot(NOW).blocks
    assert (first.block_hash, first.status, first.confirmations) == (1, BlockStatus.ACCEPTED, 1)
    assert (second.block_hash, second.status, second.reason) == (2, BlockStatus.REFUSED, "high-hash")


def test_blocks_are_bounded_and_a_known_one_costs_no_other(stats):
    for number in range(MAX_BLOCKS):
        stats.record_block(block(number))
    stats.record_block(block(5, BlockStatus.ORPHANED))
    assert len(stats.snapshot(NOW).blocks) == MAX_BLOCKS
    stats.record_block(block(MAX_BLOCKS))
    assert [b.block_hash for b in stats.snapshot(NOW).blocks] == list(range(1, MAX_BLOCKS + 1))


def test_every_block_in_the_chain_counts_once_and_the_total_never_falls(stats):
    totals = []
    for number in range(20):
        stats.record_block(block(number))
        stats.record_block(block(number, BlockStatus.ACCEPTED if number % 2 == 0 else BlockStatus.REFUSED))
        if number % 2 == 0:
            stats.record_block(block(number, BlockStatus.ORPHANED))
            stats.record_block(block(number, BlockStatus.ACCEPTED))
            stats.record_block(block(number, BlockStatus.CONFIRMED))
        totals.append(stats.snapshot(NOW).blocks_accepted)
    assert totals == [number // 2 + 1 for number in range(20)]


def test_blocks_of_earlier_runs_are_shown_and_not_counted(stats):
    stats.restore_blocks([block(1, BlockStatus.CONFIRMED), block(2, BlockStatus.ACCEPTED), block(3)])
    stats.record_block(block(2, BlockStatus.CONFIRMED))
    assert [b.block_hash for b in stats.snapshot(NOW).blocks] == [1, 2, 3]
    assert stats.snapshot(NOW).blocks_accepted == 0
    stats.record_block(block(3, BlockStatus.ACCEPTED))
    assert stats.snapshot(NOW).blocks_accepted == 1


def test_how_soon_there_was_work_on_a_new_block_is_counted_by_road(stats):
    for seconds in (0.001, 0.003, 0.3, 1000.0):
        stats.record_new_block_job("p2p", seconds)
    stats.record_block_sent(0.0015)
    for number in range(100):
        stats.record_new_block_job(f"road{number}", 1.0)
    snapshot = stats.snapshot(NOW)
    assert snapshot.notices["p2p"].count == 4
    assert snapshot.notices["p2p"].total == pytest.approx(1000.304)
    assert snapshot.notices["p2p"].quantile(0.5) == 0.005
    assert len(snapshot.notices) == MAX_SOURCES
    assert snapshot.sending.quantile(0.99) == 0.002


def test_names_are_cut_alike_wherever_they_come(stats):
    name = "X." + "n" * 500
    stats.record_worker_on(name, difficulty=1.0, now=NOW)
    stats.record_accepted(name, attempts=1, difficulty=1.0, dead=False, now=NOW)
    stats.record_worker_off(name)
    (worker,) = stats.snapshot(NOW).workers
    assert (len(worker.name), worker.accepted, worker.connections) == (MAX_WORKER_NAME, 1, 0)


def test_the_worker_that_was_silent_longest_is_forgotten(three_workers):
    stats = three_workers
    for number, name in enumerate("abc"):
        stats.record_accepted(name, attempts=1, difficulty=1.0, dead=False, now=NOW + number)
    stats.record_refused("a", 21, NOW + 3)
    stats.record_accepted("d", attempts=1, difficulty=1.0, dead=False, now=NOW + 4)
    assert names(stats) == ["c", "a", "d"]
    assert stats.address_hash_rate("b", NOW + 4) == 0
    assert stats.address_hash_rate("d", NOW + 4) > 0


def test_connected_workers_are_forgotten_last(three_workers):
    stats = three_workers
    for name in ("X.connected", "X.left"):
        stats.record_worker_on(name, difficulty=1.0, now=NOW)
        stats.record_accepted(name, attempts=1, difficulty=1.0, dead=False, now=NOW)
    stats.record_accepted("X.passing", attempts=1, difficulty=1.0, dead=False, now=NOW)
    stats.record_worker_off("X.left")
    for name in ("Y.a", "Y.b"):  # cost X.passing and X.left
        stats.record_worker_on(name, difficulty=1.0, now=NOW)
        stats.record_accepted(name, attempts=1, difficulty=1.0, dead=False, now=NOW)
    assert names(stats) == ["X.connected", "Y.a", "Y.b"]
    stats.record_worker_on("Y.c", difficulty=1.0, now=NOW)  # all are connected: the one silent longest
    assert names(stats) == ["Y.a", "Y.b", "Y.c"]
    assert stats.address_hash_rate("X", NOW) == 0


def test_workers_that_never_worked_are_forgotten_first(three_workers):
    stats = three_workers
    stats.record_accepted("X.gone", attempts=1, difficulty=1.0, dead=False, now=NOW)
    stats.record_worker_on("X.idle", difficulty=1.0, now=NOW)
    stats.record_worker_on("X.left", difficulty=1.0, now=NOW)
    stats.record_worker_off("X.left")
    stats.record_worker_on("Y.a", difficulty=1.0, now=NOW)  # costs X.left
    assert names(stats) == ["X.gone", "X.idle", "Y.a"]
    stats.record_worker_on("Y.b", difficulty=1.0, now=NOW)  # costs X.idle
    assert names(stats) == ["X.gone", "Y.a", "Y.b"]


@pytest.mark.parametrize("connected", [True, False])
def test_one_client_s_names_do_not_push_out_the_statistics_of_others(connected, monkeypatch):
    monkeypatch.setattr(workers, "MAX_WORKERS", 100)
    stats = PoolStats(NOW)
    for number in range(30):
        name = f"X.works{number}"
        stats.record_worker_on(name, difficulty=1.0, now=NOW, site="10.0.0.1")
        stats.record_accepted(name, attempts=1, difficulty=1.0, dead=False, now=NOW)
        if number % 2:
            stats.record_worker_off(name)
    for number in range(30):
        stats.record_worker_on(f"X.backup{number}", difficulty=1.0, now=NOW, site=f"10.0.1.{number}")
    for number in range(2000):
        name = f"address{number % 7}.{number}"
        stats.record_worker_on(name, difficulty=1.0, now=NOW, site="10.9.9.9")
        if not connected:
            stats.record_worker_off(name)
    kept = names(stats)
    assert len(kept) == 100
    assert sum(name.startswith("X.works") for name in kept) == 30
    assert sum(name.startswith("X.backup") for name in kept) == 30
    for number in range(2000):  # with one submission each: all that it pushes out is its own
        stats.record_worker_on(f"w.{number}", difficulty=1.0, now=NOW, site="10.9.9.9")
        stats.record_accepted(f"w.{number}", attempts=1, difficulty=1.0, dead=False, now=NOW)
        stats.record_worker_off(f"w.{number}")
    kept = names(stats)
    assert sum(name.startswith("X.works") for name in kept) == 30


def test_names_that_all_work_and_are_connected_do_not_push_out_those_of_others(monkeypatch):
    monkeypatch.setattr(workers, "MAX_WORKERS", 100)
    stats = PoolStats(NOW)
    for number in range(30):
        stats.record_worker_on(f"X.works{number}", difficulty=1.0, now=NOW, site="10.0.0.1")
        stats.record_accepted(f"X.works{number}", attempts=1, difficulty=1.0, dead=False, now=NOW)
    for number in range(2000):
        stats.record_worker_on(f"w.{number}", difficulty=1.0, now=NOW, site="10.9.9.9")
        stats.record_accepted(f"w.{number}", attempts=1, difficulty=1.0, dead=False, now=NOW)
    kept = names(stats)
    assert len(kept) == 100
    assert sum(name.startswith("X.works") for name in kept) == 30


def test_who_authorizes_a_name_of_somebody_else_takes_it_to_no_other_site(stats):
    stats.record_worker_on("X.a", difficulty=1.0, now=NOW, site="10.0.0.1")
    stats.record_accepted("X.a", attempts=1, difficulty=1.0, dead=False, now=NOW)
    stats.record_worker_on("X.a", difficulty=1.0, now=NOW, site="10.9.9.9")
    assert stats._workers.get("X.a").site == "10.0.0.1"
    stats.record_worker_off("X.a")
    stats.record_worker_off("X.a")
    stats.record_worker_on("X.a", difficulty=1.0, now=NOW, site="10.0.0.2")
    assert stats._workers.get("X.a").site == "10.0.0.2"


def test_what_was_forgotten_leaves_nothing_behind(three_workers):
    stats = three_workers
    for number in range(100):
        stats.record_worker_on(f"address{number}.w", difficulty=1.0, now=NOW)
        if number % 3 == 0:
            stats.record_worker_off(f"address{number}.w")
    assert len(stats._workers._workers) == 3
    assert len(stats._workers._by_address) == 3
    assert len(stats._workers._absent) <= 3


EVENTS = st.lists(st.tuples(st.sampled_from(["on", "off", "accepted", "refused"]), st.sampled_from("abcdef")))


@given(EVENTS)
@example(  # all worked and are connected: the most silent one goes
    [
        *[("accepted", "e"), ("accepted", "d"), ("on", "e"), ("on", "d"), ("on", "b")],
        *[("accepted", "e"), ("accepted", "b"), ("on", "c")],
    ]
)
def test_workers_whatever_the_order_of_events(events):
    """The table against one that is searched: bounded, in order of silence, those that worked kept, of these the
    connected ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "MAX_WORKERS", 3)
        stats, model, left, proven = PoolStats(NOW), {}, [], set()
        for kind, name in events:
            if kind == "off":
                stats.record_worker_off(name)
                if model.get(name):
                    model[name] -= 1
                    left += [] if model[name] else [name]
                continue
            if name not in model and len(model) == 3:
                unproven = [n for n in model if n not in proven]
                idle = [n for n in left if n in unproven]
                absent = [n for n in left if n in model and not model[n]]
                forgotten = next(iter(idle or unproven or absent or model))
                del model[forgotten]
                proven.discard(forgotten)
                left = [n for n in left if n != forgotten]
            model[name] = model.pop(name, 0) + (kind == "on")
            if kind == "accepted":
                proven.add(name)
            left = [n for n in left if n != name] + ([] if model[name] else [name])
            if kind == "on":
                stats.record_worker_on(name, difficulty=1.0, now=NOW)
            elif kind == "accepted":
                stats.record_accepted(name, attempts=1, difficulty=1.0, dead=False, now=NOW)
            else:
                stats.record_refused(name, 20, NOW)
        assert [(w.name, w.connections) for w in stats.snapshot(NOW).workers] == list(model.items())


def test_a_snapshot_does_not_change_afterwards(stats):
    stats.record_refused("X", 21, NOW)
    snapshot = stats.snapshot(NOW)
    stats.record_refused("X", 21, NOW)
    stats.record_block(block(1))
    assert snapshot.refused == {21: 1}
    assert snapshot.workers[0].refused == 1
    assert snapshot.blocks == ()


def test_refusals_are_counted_by_worker_and_code(stats):
    for name, code in [("X.a", 21), ("X.a", 23), ("X.a", 23), ("X.b", 20), (None, 25)]:
        stats.record_refused(name, code, NOW)
    assert worker_of(stats, "X.a").refused_by == {21: 1, 23: 2}
    assert (worker_of(stats, "X.a").refused, worker_of(stats, "X.b").refused) == (3, 1)
    assert worker_of(stats, "X.b").refused_by == {20: 1}
    assert stats.snapshot(NOW).refused == {20: 1, 21: 1, 23: 2, 25: 1}
    for code in range(MAX_REFUSAL_CODES + 10):
        stats.record_refused("X.b", code, NOW)
    assert len(worker_of(stats, "X.b").refused_by) == MAX_REFUSAL_CODES
    assert worker_of(stats, "X.b").refused_by[20] == 2


def test_software_is_the_newest_that_was_said_and_bounded(stats):
    stats.record_software("X.a", "nobody yet")
    assert stats.snapshot(NOW).workers == ()
    stats.record_worker_on("X.a", difficulty=1.0, now=NOW)
    assert worker_of(stats, "X.a").software == ""
    stats.record_software("X.a", "one/1")
    stats.record_software("X.a", "two/2")
    stats.record_software("X.a", "")
    assert worker_of(stats, "X.a").software == "two/2"
    stats.record_software("X.a", "x" * 5000)
    assert worker_of(stats, "X.a").software == "x" * MAX_SOFTWARE
    stats.record_worker_off("X.a")
    assert worker_of(stats, "X.a").software == "x" * MAX_SOFTWARE


def test_smoothed_rates_of_pool_and_workers(stats):
    for second in range(1, 7200):
        stats.record_accepted("X.a", attempts=30, difficulty=1.0, dead=False, now=NOW + second)
        stats.record_accepted("X.b", attempts=10, difficulty=1.0, dead=False, now=NOW + second)
    now = NOW + 7200
    about = pytest.approx
    assert stats.snapshot(now).hash_rates == about([40, 40, 40], rel=0.01)
    assert worker_of(stats, "X.a", now).hash_rates == about([30, 30, 30], rel=0.01)
    minute, hour, day = stats.snapshot(now + 600).hash_rates
    assert minute < 0.01
    assert 30 < hour < 36
    assert 36 < day < 40


def test_a_worker_s_snapshot_is_made_again_when_something_changed_or_after_a_while(stats):
    stats.record_accepted("X.a", attempts=6000, difficulty=1.0, dead=False, now=NOW)
    stats.record_accepted("X.b", attempts=6000, difficulty=1.0, dead=False, now=NOW)
    first = worker_of(stats, "X.a", NOW + 100)
    later = NOW + 104  # sooner than any snapshot is made anew
    assert worker_of(stats, "X.a", later) is first
    stats.record_accepted("X.b", attempts=6000, difficulty=1.0, dead=False, now=later)
    assert worker_of(stats, "X.a", later) is first
    assert worker_of(stats, "X.b", later).accepted == 2
    again = worker_of(stats, "X.a", NOW + 115)
    assert again is not first
    assert again.hash_rate < first.hash_rate
    assert worker_of(stats, "X.a", NOW - 1000) is not again  # the clock was set back


CHANGES = {
    "connections": lambda stats: stats.record_worker_on("X.a", difficulty=1.0, now=NOW),
    "difficulty": lambda stats: stats.record_worker_on("X.a", difficulty=7.0, now=NOW),
    "software": lambda stats: stats.record_software("X.a", "other"),
    "accepted": lambda stats: stats.record_accepted("X.a", attempts=1, difficulty=1.0, dead=False, now=NOW),
    "dead": lambda stats: stats.record_accepted("X.a", attempts=1, difficulty=1.0, dead=True, now=NOW),
    "hash_rate": lambda stats: stats.record_accepted("X.a", attempts=1, difficulty=1.0, dead=False, now=NOW),
    "last_accepted": lambda stats: stats.record_accepted(
        "X.a", attempts=1, difficulty=1.0, dead=False, now=NOW + 1
    ),
    "refused": lambda stats: stats.record_refused("X.a", 23, NOW),
    "refused_by": lambda stats: stats.record_refused("X.a", 23, NOW),
    "last_seen": lambda stats: stats.record_refused("X.a", 23, NOW + 1),
    "shares": lambda stats: stats.record_share(ShareRecord(NOW, 1, "X.a", False, 5)),
}


@pytest.mark.parametrize("field", CHANGES)
def test_every_change_shows_at_once(stats, field):
    stats.record_worker_on("X.a", difficulty=1.0, now=NOW)
    stats.record_software("X.a", "one")
    before = worker_of(stats, "X.a")
    CHANGES[field](stats)
    assert getattr(worker_of(stats, "X.a"), field) != getattr(before, field)
    stats.record_worker_off("X.a")
    assert worker_of(stats, "X.a").connections == before.connections - (field not in ("connections", "difficulty"))


def test_who_comes_and_who_is_kept_out(stats):
    assert stats.snapshot(NOW).security.turned_away == stats.snapshot(NOW).security.offences == {}
    for second in range(120):
        now = NOW + second
        stats.record_connected(now)
        stats.record_turned_away("banned", now)
        stats.record_accepted("X", attempts=1, difficulty=1.0, dead=False, now=now)
        stats.record_refused("X", 23, now)
        stats.record_refused(None, 24, now)
        security = stats.snapshot(now).security
    about = pytest.approx
    assert security.connection_rate == security.turned_away_rate == about(1, rel=0.1)
    assert (security.submission_rate, security.refusal_rate) == (about(3, rel=0.1), about(2, rel=0.1))
    assert security.turned_away == {"banned": 120}
    later = stats.snapshot(NOW + 300).security
    assert later.connection_rate == later.turned_away_rate == later.submission_rate == later.refusal_rate == 0
    assert later.turned_away == {"banned": 120}  # since the start


def test_reasons_and_offences_are_bounded_and_known_ones_still_count(stats):
    for number in range(MAX_REASONS + 10):
        stats.record_turned_away(f"reason {number}", NOW)
        stats.record_offence(f"offence {number}")
    stats.record_turned_away("reason 0", NOW)
    stats.record_offence("offence 0")
    security = stats.snapshot(NOW).security
    assert len(security.turned_away) == len(security.offences) == MAX_REASONS
    assert security.turned_away["reason 0"] == security.offences["offence 0"] == 2


def test_bans_and_hosts_are_those_of_the_last_time(stats):
    ban, host = BanRecord("10.0.0.1", NOW, NOW + 5, "why"), HostRecord("10.0.0.2", 1, 5.0, 3, 2)
    bans = {"10.0.0.1": ban}
    stats.record_bans(bans.values())
    stats.record_hosts(iter([host]))
    bans.clear()  # what is shown does not change afterwards
    first = stats.snapshot(NOW).security
    assert (first.bans, first.hosts) == ((ban,), (host,))
    assert stats.snapshot(NOW).security.hosts == (host,)
    stats.record_bans([])
    stats.record_hosts([])
    assert (stats.snapshot(NOW).security.bans, stats.snapshot(NOW).security.hosts) == ((), ())
    assert first.bans == (ban,)


# --- snapshots, names, silence ---------------------------------------------------------------------------------


def test_snapshots_are_taken_once_a_second_however_many_look(stats):
    first = stats.snapshot(NOW)
    stats.record_connected(NOW)
    assert stats.snapshot(NOW + 0.001) is stats.snapshot(NOW + 0.999) is first
    second = stats.snapshot(NOW + 1)
    assert (second.connections, first.connections) == (1, 0)
    assert stats.snapshot(NOW + 1.5) is second
    assert stats.snapshot(NOW - 50) is not second  # the clock was set back


def test_a_snapshot_in_steps_is_the_newest_when_it_is_done_and_never_before(stats):
    for number in range(3 * STEP):
        stats.record_accepted(f"y{number}.w", attempts=1, difficulty=1.0, dead=False, now=NOW)
    before = stats.snapshot(NOW)
    steps = stats.taking(NOW + 2)
    for _ in range(3):
        next(steps)
        stats.record_accepted("late.w", attempts=1, difficulty=1.0, dead=False, now=NOW + 2)
        assert stats.snapshot(NOW + 0.5) is before
    with pytest.raises(StopIteration) as end:
        while True:
            next(steps)
    taken = end.value.value
    assert stats.snapshot(NOW + 2.5) is taken
    assert taken.time == NOW + 2
    assert taken.accepted == 3 * STEP + 3
    assert len(taken.workers) == 3 * STEP  # who came meanwhile is in the next one
    assert "late.w" in names_at(stats, NOW + 4)


def names_at(stats: PoolStats, now: float) -> list[str]:
    return [worker.name for worker in stats.snapshot(now).workers]


@pytest.mark.parametrize("addresses", [1, 7, 1000])
def test_no_step_of_a_snapshot_looks_at_many_workers(stats, monkeypatch, addresses):
    for number in range(1000):
        stats.record_accepted(f"y{number % addresses}.w{number}", attempts=1, difficulty=1.0, dead=False, now=NOW)
    looks = [0]

    def count(function):
        def counted(self, now):
            looks[-1] += 1
            return function(self, now)

        return counted

    for name in ("snapshot", "shown"):
        monkeypatch.setattr(workers.Worker, name, count(getattr(workers.Worker, name)))
    for _ in stats.taking(NOW + 5):
        looks.append(0)
    assert sum(looks) == 2000  # each once for itself and once for its address
    assert max(looks) <= 3 * STEP


def test_workers_without_a_connection_are_forgotten_after_a_day_of_silence(stats):
    stats.record_accepted("X.passing", attempts=1, difficulty=1.0, dead=False, now=NOW)
    stats.record_worker_on("X.connected", difficulty=1.0, now=NOW)
    stats.record_worker_on("X.left", difficulty=1.0, now=NOW)
    stats.record_worker_off("X.left")
    stats.record_accepted("Y.later", attempts=1, difficulty=1.0, dead=False, now=NOW + 10)
    assert len(names_at(stats, NOW + SILENCE)) == 4
    assert names_at(stats, NOW + SILENCE + 5) == ["X.connected", "Y.later"]
    assert set(stats.snapshot(NOW + SILENCE + 5).addresses) == {"X", "Y"}
    assert names_at(stats, NOW + SILENCE + 20) == ["X.connected"]
    stats.record_worker_off("X.connected")
    assert names_at(stats, NOW + SILENCE + 30) == []
    assert stats.snapshot(NOW + SILENCE + 30).addresses == {}


def test_a_clock_that_was_years_ahead_keeps_nobody_for_years(stats):
    stats.record_accepted("X.a", attempts=1, difficulty=1.0, dead=False, now=NOW + 1e9)
    stats.record_accepted("X.b", attempts=1, difficulty=1.0, dead=False, now=NOW)
    assert names_at(stats, NOW + 1) == ["X.b"]


def test_thousands_are_forgotten_in_steps(stats):
    for number in range(5 * STEP):
        stats.record_accepted(f"y{number}", attempts=1, difficulty=1.0, dead=False, now=NOW)
    steps = stats.taking(NOW + 2 * SILENCE)
    next(steps)
    assert len(stats._workers._workers) == 4 * STEP
    for _ in steps:
        pass
    assert stats._workers._workers == stats._workers._by_address == {}
    assert len(stats._workers._absent) == len(stats._workers._idle) == len(stats._workers._unproven) == 0


UNCLEAN = "y.\x1b[31m\u2028\ud800" + "n" * 500


def test_names_are_cleaned_alike_wherever_they_come(stats):
    clean = printable(UNCLEAN, MAX_WORKER_NAME)
    stats.record_worker_on(UNCLEAN, difficulty=1.0, now=NOW)
    stats.record_software(UNCLEAN, "soft\x00ware")
    stats.record_accepted(UNCLEAN, attempts=1, difficulty=1.0, dead=False, now=NOW)
    stats.record_refused(UNCLEAN, 21, NOW)
    stats.record_share(ShareRecord(NOW, 1, UNCLEAN, False, 5))
    stats.record_block(BlockRecord(NOW, 1, 1, UNCLEAN, None, 5))
    stats.restore_blocks([BlockRecord(NOW, 2, 1, UNCLEAN, None, 5)])
    stats.record_worker_off(UNCLEAN)
    snapshot = stats.snapshot(NOW)
    (worker,) = snapshot.workers
    assert (worker.name, worker.software) == (clean, "soft?ware")
    assert (worker.accepted, worker.refused, worker.shares, worker.connections) == (1, 1, 1, 0)
    assert [share.worker for share in snapshot.recent_shares] == [clean]
    assert [block.worker for block in snapshot.blocks] == [clean, clean]
    assert list(snapshot.addresses) == ["y"]


# --- addresses -------------------------------------------------------------------------------------------------


def test_an_address_is_the_sum_of_its_workers(stats):
    for second in range(0, 600, 10):
        stats.record_accepted("X.a", attempts=1000, difficulty=1.0, dead=False, now=NOW + second)
        stats.record_accepted("X.b", attempts=500, difficulty=1.0, dead=True, now=NOW + second)
        stats.record_accepted("X", attempts=100, difficulty=1.0, dead=False, now=NOW + second)
        stats.record_accepted("Y.a", attempts=7, difficulty=1.0, dead=False, now=NOW + second)
    stats.record_worker_on("X.a", difficulty=1.0, now=NOW + 600)
    stats.record_worker_on("X.a", difficulty=1.0, now=NOW + 600)
    stats.record_worker_on("X.b", difficulty=1.0, now=NOW + 600)
    stats.record_refused("X", 21, NOW + 650)
    stats.record_share(ShareRecord(NOW + 600, 1, "X.b", False, 5))
    snapshot = stats.snapshot(NOW + 700)
    assert set(snapshot.addresses) == {"X", "Y"}
    address = snapshot.addresses["X"]
    members = [worker for worker in snapshot.workers if worker.name.startswith("X")]
    assert (address.address, address.known, address.workers, address.connections) == ("X", 3, 2, 3)
    assert (address.accepted, address.refused, address.dead, address.shares) == (180, 1, 60, 1)
    assert address.hash_rate == pytest.approx(sum(worker.hash_rate for worker in members))
    assert address.hash_rate == pytest.approx(stats.address_hash_rate("X", NOW + 700))
    assert address.dead_rate > 0
    assert address.dead_rate == pytest.approx(sum(worker.dead_rate for worker in members))
    for index, rate in enumerate(address.hash_rates):
        assert rate > 0
        assert rate == pytest.approx(sum(worker.hash_rates[index] for worker in members))
    assert (address.last_seen, address.last_accepted) == (NOW + 650, NOW + 590)


def test_an_address_is_summed_again_only_where_one_of_its_workers_changed(stats):
    for name in ("X.a", "X.b", "Y.a"):
        stats.record_accepted(name, attempts=1, difficulty=1.0, dead=False, now=NOW)
    first = stats.snapshot(NOW).addresses
    assert stats.snapshot(NOW + 2).addresses["X"] is first["X"]
    stats.record_accepted("X.b", attempts=1, difficulty=1.0, dead=False, now=NOW + 3)
    second = stats.snapshot(NOW + 4).addresses
    assert second["X"].accepted == 3
    assert second["Y"] is first["Y"]
    assert first["X"].accepted == 2


def test_an_address_whose_worker_is_forgotten_or_changes_during_the_sum(three_workers):
    stats = three_workers
    for name in ("X.a", "X.b", "Y.a"):
        stats.record_accepted(name, attempts=1, difficulty=1.0, dead=False, now=NOW)
    assert stats.snapshot(NOW).addresses["X"].known == 2
    stats.record_accepted("Y.b", attempts=1, difficulty=1.0, dead=False, now=NOW + 1)  # costs X.a
    snapshot = stats.snapshot(NOW + 2)
    assert (snapshot.addresses["X"].known, snapshot.addresses["X"].accepted) == (1, 1)
    assert snapshot.addresses["Y"].known == 2


def test_a_change_between_two_steps_shows_in_the_next_sum(stats):
    for number in range(2 * STEP):
        stats.record_accepted(f"X.{number}", attempts=1, difficulty=1.0, dead=False, now=NOW)
    steps = stats.taking(NOW)
    for _ in range(3):  # the workers, and half of the address
        next(steps)
    stats.record_accepted("X.0", attempts=1, difficulty=1.0, dead=False, now=NOW)
    for _ in steps:
        pass
    assert stats.snapshot(NOW + 0.5).addresses["X"].accepted == 2 * STEP
    assert stats.snapshot(NOW + 1.5, good_for=5).addresses["X"].accepted == 2 * STEP
    assert stats.snapshot(NOW + 1).addresses["X"].accepted == 2 * STEP + 1


# --- latencies, process, others --------------------------------------------------------------------------------


def test_latencies_are_never_negative_and_submissions_count_together(stats):
    stats.record_submissions(3, 0.003)
    stats.record_submissions(1, -5.0)  # the clock was set back meanwhile
    stats.record_job_broadcast(0.25)
    stats.record_job_broadcast(-1.0)
    snapshot = stats.snapshot(NOW)
    assert (snapshot.submits.count, snapshot.submits.total) == (4, pytest.approx(0.009))
    assert (snapshot.job_broadcasts.count, snapshot.job_broadcasts.total) == (2, 0.25)


def test_the_worst_delay_is_that_of_the_last_minute_or_two(stats):
    def worst(now: float) -> float:
        return stats.snapshot(now).process.worst_delay

    assert worst(NOW) == 0
    stats.record_reactor_delay(0.5, NOW + 1)
    stats.record_reactor_delay(0.1, NOW + 2)
    process = stats.snapshot(NOW + 3).process
    assert (process.worst_delay, process.last_delay, process.delays.count) == (0.5, 0.1, 2)
    stats.record_reactor_delay(0.2, NOW + 70)
    assert worst(NOW + 69.9) == 0.5  # who looks has read the clock a little earlier
    assert worst(NOW + 71) == 0.5
    assert worst(NOW + 140) == 0.2
    assert worst(NOW + 400) == 0
    stats.record_reactor_delay(0.3, NOW - 1000)  # the clock was set back
    assert worst(NOW - 999) == 0.3


def test_what_others_say_is_shown_as_it_was_recorded_last(stats):
    assert stats.snapshot(NOW).dashd.problem is not None  # nobody was asked yet
    chain, peers, dashd = ChainFigures(height=5), PeerCounts(1, 2), DashdFigures(problem=None)
    figures = ProcessFigures(1, 2.0, 3, 4, 5)
    stats.record_chain(ChainFigures(height=4))
    stats.record_chain(chain)
    stats.record_peers(peers)
    stats.record_dashd(dashd)
    stats.record_process(figures)
    stats.record_gc_pause(0.1)
    stats.record_alert()
    snapshot = stats.snapshot(NOW)
    assert (snapshot.chain, snapshot.peers, snapshot.dashd, snapshot.alerts) == (chain, peers, dashd, 1)
    assert (snapshot.process.figures, snapshot.process.pauses.total) == (figures, 0.1)
