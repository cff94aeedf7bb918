"""The counters: right, and bounded whoever feeds them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.pool_stats import BanRecord, BlockRecord, BlockStatus, HostRecord, PoolStats, ShareRecord, workers
from p2pool.pool_stats.stats import MAX_BLOCKS, MAX_REASONS, MAX_RECENT, MAX_ROADS
from p2pool.pool_stats.workers import MAX_REFUSAL_CODES, MAX_SOFTWARE, MAX_WORKER_NAME, RATE_WINDOW

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
    stats.record_worker_on("X.a", 4.0, NOW)
    stats.record_worker_on("X.a", 8.0, NOW + 1)
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
        stats.record_accepted("X.a", 1000, 2.0, False, NOW + second)
        stats.record_accepted("X.b", 500, 2.0, second % 20 == 0, NOW + second)
        stats.record_accepted("Y", 100, 2.0, True, NOW + second)
    now = NOW + 1199
    about = pytest.approx
    assert stats.hash_rate(now) == about(160, rel=0.02)
    assert stats.address_hash_rate("X", now) == about(150, rel=0.02)
    assert stats.address_hash_rate("Y", now) == about(10, rel=0.02)
    snapshot = stats.snapshot(now)
    assert snapshot.hash_rate == stats.hash_rate(now)
    assert snapshot.dead_rate == about(35, rel=0.02)
    assert (snapshot.accepted, snapshot.dead) == (360, 180)
    worker = worker_of(stats, "X.b", now)
    assert (worker.hash_rate, worker.dead_rate) == (about(50, rel=0.02), about(25, rel=0.02))
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
    assert len(snapshot.notices) == MAX_ROADS
    assert snapshot.sending.quantile(0.99) == 0.002


def test_names_are_cut_alike_wherever_they_come(stats):
    name = "X." + "n" * 500
    stats.record_worker_on(name, 1.0, NOW)
    stats.record_accepted(name, 1, 1.0, False, NOW)
    stats.record_worker_off(name)
    (worker,) = stats.snapshot(NOW).workers
    assert (len(worker.name), worker.accepted, worker.connections) == (MAX_WORKER_NAME, 1, 0)


def test_the_worker_that_was_silent_longest_is_forgotten(three_workers):
    stats = three_workers
    for number, name in enumerate("abc"):
        stats.record_accepted(name, 1, 1.0, False, NOW + number)
    stats.record_refused("a", 21, NOW + 3)
    stats.record_accepted("d", 1, 1.0, False, NOW + 4)
    assert names(stats) == ["c", "a", "d"]
    assert stats.address_hash_rate("b", NOW + 4) == 0
    assert stats.address_hash_rate("d", NOW + 4) > 0


def test_connected_workers_are_forgotten_last(three_workers):
    stats = three_workers
    stats.record_worker_on("X.connected", 1.0, NOW)
    stats.record_worker_on("X.left", 1.0, NOW)
    stats.record_accepted("X.passing", 1, 1.0, False, NOW)
    stats.record_worker_off("X.left")
    stats.record_worker_on("Y.a", 1.0, NOW)  # costs X.passing
    stats.record_worker_on("Y.b", 1.0, NOW)  # costs X.left
    assert names(stats) == ["X.connected", "Y.a", "Y.b"]
    stats.record_worker_on("Y.c", 1.0, NOW)  # all are connected: the one silent longest
    assert names(stats) == ["Y.a", "Y.b", "Y.c"]
    assert stats.address_hash_rate("X", NOW) == 0


def test_what_was_forgotten_leaves_nothing_behind(three_workers):
    stats = three_workers
    for number in range(100):
        stats.record_worker_on(f"address{number}.w", 1.0, NOW)
        if number % 3 == 0:
            stats.record_worker_off(f"address{number}.w")
    assert len(stats._workers._workers) == 3
    assert len(stats._workers._by_address) == 3
    assert len(stats._workers._absent) <= 3


EVENTS = st.lists(st.tuples(st.sampled_from(["on", "off", "accepted", "refused"]), st.sampled_from("abcdef")))


@given(EVENTS)
def test_workers_whatever_the_order_of_events(events):
    """The table against one that is searched: bounded, in order of silence, connected ones kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "MAX_WORKERS", 3)
        stats, model, left = PoolStats(NOW), {}, []
        for kind, name in events:
            if kind == "off":
                stats.record_worker_off(name)
                if model.get(name):
                    model[name] -= 1
                    left += [] if model[name] else [name]
                continue
            if name not in model and len(model) == 3:
                forgotten = next((n for n in left if n in model and not model[n]), next(iter(model)))
                del model[forgotten]
                left = [n for n in left if n != forgotten]
            model[name] = model.pop(name, 0) + (kind == "on")
            left = [n for n in left if n != name] + ([] if model[name] else [name])
            if kind == "on":
                stats.record_worker_on(name, 1.0, NOW)
            elif kind == "accepted":
                stats.record_accepted(name, 1, 1.0, False, NOW)
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
    stats.record_worker_on("X.a", 1.0, NOW)
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
        stats.record_accepted("X.a", 30, 1.0, False, NOW + second)
        stats.record_accepted("X.b", 10, 1.0, False, NOW + second)
    now = NOW + 7200
    about = pytest.approx
    assert stats.snapshot(now).hash_rates == about([40, 40, 40], rel=0.01)
    assert worker_of(stats, "X.a", now).hash_rates == about([30, 30, 30], rel=0.01)
    minute, hour, day = stats.snapshot(now + 600).hash_rates
    assert minute < 0.01
    assert 30 < hour < 36
    assert 36 < day < 40


def test_a_worker_s_snapshot_is_made_again_when_something_changed_or_after_a_while(stats):
    stats.record_accepted("X.a", 6000, 1.0, False, NOW)
    stats.record_accepted("X.b", 6000, 1.0, False, NOW)
    first = worker_of(stats, "X.a", NOW + 100)
    later = NOW + 104  # sooner than any snapshot is made anew
    assert worker_of(stats, "X.a", later) is first
    stats.record_accepted("X.b", 6000, 1.0, False, later)
    assert worker_of(stats, "X.a", later) is first
    assert worker_of(stats, "X.b", later).accepted == 2
    again = worker_of(stats, "X.a", NOW + 115)
    assert again is not first
    assert again.hash_rate < first.hash_rate
    assert worker_of(stats, "X.a", NOW - 1000) is not again  # the clock was set back


CHANGES = {
    "connections": lambda stats: stats.record_worker_on("X.a", 1.0, NOW),
    "difficulty": lambda stats: stats.record_worker_on("X.a", 7.0, NOW),
    "software": lambda stats: stats.record_software("X.a", "other"),
    "accepted": lambda stats: stats.record_accepted("X.a", 1, 1.0, False, NOW),
    "dead": lambda stats: stats.record_accepted("X.a", 1, 1.0, True, NOW),
    "hash_rate": lambda stats: stats.record_accepted("X.a", 1, 1.0, False, NOW),
    "last_accepted": lambda stats: stats.record_accepted("X.a", 1, 1.0, False, NOW + 1),
    "refused": lambda stats: stats.record_refused("X.a", 23, NOW),
    "refused_by": lambda stats: stats.record_refused("X.a", 23, NOW),
    "last_seen": lambda stats: stats.record_refused("X.a", 23, NOW + 1),
    "shares": lambda stats: stats.record_share(ShareRecord(NOW, 1, "X.a", False, 5)),
}


@pytest.mark.parametrize("field", CHANGES)
def test_every_change_shows_at_once(stats, field):
    stats.record_worker_on("X.a", 1.0, NOW)
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
        stats.record_accepted("X", 1, 1.0, False, now)
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
