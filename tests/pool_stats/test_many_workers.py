"""Addresses and tables with many workers: what is asked often costs no more than with few."""

from __future__ import annotations

import gc
import random

import pytest

from p2pool.pool_stats import PoolStats, workers
from p2pool.pool_stats.workers import MAX_RENEWED, MAX_WORKERS, WorkerTable
from tests.support import needs_interpreted

NOW = 1_700_000_000.0


def work(stats: PoolStats, name: str, now: float, attempts: float = 1000.0) -> None:
    stats.record_accepted(name, attempts=attempts, difficulty=1.0, dead=False, now=now)


def summed(stats: PoolStats, address: str, now: float) -> float:
    """The address's rate, worker by worker."""
    group = stats._workers._by_address.get(address)
    return sum(worker.rate.rate(now) for worker in group.workers.values()) if group else 0.0


@pytest.mark.parametrize("count", [8, 9, 40])
def test_the_rate_of_an_address_is_that_of_its_workers_at_any_time(count):
    rng, stats, now = random.Random(count), PoolStats(NOW), NOW
    names: list[str] = []
    for _ in range(4000):
        now += rng.expovariate(1.0)
        before = stats.address_hash_rate("yA", now)
        if len(names) < count and rng.random() < 0.02:
            names.append(f"yA.{len(names)}")
            stats.record_worker_on(names[-1], difficulty=1.0, now=now)
            # One more worker that has done nothing yet changes nothing.
            assert stats.address_hash_rate("yA", now) == pytest.approx(before, rel=0.01)
            joined = now
        for name in names[:: rng.randint(1, 3)]:
            if rng.random() < 0.3:
                work(stats, name, now, rng.uniform(1, 2000))
        rate = stats.address_hash_rate("yA", now)
        if count <= 8:
            assert rate == pytest.approx(summed(stats, "yA", now))
        elif len(names) == count and now > joined + 900:
            assert rate == pytest.approx(summed(stats, "yA", now), rel=0.12)
    assert len(names) == count
    assert (stats._workers._by_address["yA"].rate is not None) == (count > 8)
    assert stats.address_hash_rate("yA", now + 700) == 0


@pytest.mark.parametrize("hours", [0.1, 1, 1000])
def test_the_rate_of_an_address_recovers_when_the_clock_is_set_back(hours):
    stats, now = PoolStats(NOW), NOW
    for number in range(20):
        work(stats, f"yA.{number}", now + number)
    now -= 3600 * hours
    for step in range(1400):
        work(stats, f"yA.{step % 20}", now + step)
        assert 0 < stats.address_hash_rate("yA", now + step) < 3000
    assert stats.address_hash_rate("yA", now + 1400) == pytest.approx(1000, rel=0.05)


def test_what_a_forgotten_worker_has_done_counts_until_it_leaves_the_window(monkeypatch):
    monkeypatch.setattr(workers, "MAX_WORKERS", 20)
    stats = PoolStats(NOW)
    for number in range(20):
        work(stats, f"yA.{number}", NOW)
    for number in range(11):
        work(stats, f"yB.{number}", NOW + 100)
    assert 100 * stats.address_hash_rate("yA", NOW + 100) / 20 == pytest.approx(800, rel=0.1)
    assert stats.address_hash_rate("yA", NOW + 700) == 0


@needs_interpreted("p2pool.base.rates")
def test_the_rate_of_an_address_does_not_ask_each_worker(monkeypatch):
    """Each job for the address needs it: with ten thousand workers it took 10 ms."""
    stats = PoolStats(NOW)
    for second in range(0, 600, 10):
        for number in range(200):
            work(stats, f"yA.{number}", NOW + second)
    asked = []
    rate = workers.RateEstimator.rate
    monkeypatch.setattr(workers.RateEstimator, "rate", lambda self, now: asked.append(1) or rate(self, now))
    assert stats.address_hash_rate("yA", NOW + 595) == pytest.approx(200 * 1000 / 10, rel=0.05)
    assert len(asked) == 1


def test_the_connections_of_an_address_are_those_of_its_workers(monkeypatch):
    monkeypatch.setattr(workers, "MAX_WORKERS", 12)
    rng, table, connected = random.Random(1), WorkerTable(), []
    for step in range(2000):
        if rng.random() < 0.55:
            worker = table.seen(f"y{rng.randint(1, 4)}.{rng.randint(1, 9)}", NOW + step, "site")
            table.connected(worker, rng.randint(1, 3))
            connected.append(worker.name)
        elif connected:
            known = table.get(connected.pop(rng.randrange(len(connected))))
            if known is not None:
                table.disconnected(known, rng.randint(1, 4))
        for number in range(1, 5):
            group = table._by_address.get(f"y{number}")
            whole = sum(each.connections for each in group.workers.values()) if group else 0
            assert table.address_connections(f"y{number}") == whole


def renewed(stats: PoolStats, now: float) -> int:
    """How many workers have another snapshot than before."""
    before = {id(each) for each in stats._latest.workers} if stats._latest else set()
    kept = stats._latest
    after = stats.snapshot(now).workers
    assert kept is not None or not before
    return sum(id(each) not in before for each in after)


def test_when_all_workers_change_each_second_they_are_renewed_in_turns(monkeypatch):
    monkeypatch.setattr(workers, "MAX_RENEWED", 100)
    stats, names = PoolStats(NOW), [f"y{number % 7}.w{number}" for number in range(500)]

    def second(now: float) -> int:
        for name in names:
            work(stats, name, now)
        return renewed(stats, now)

    assert second(NOW) == 500  # nothing was known of them
    counts = [second(NOW + number) for number in range(1, 30)]
    assert max(counts) <= 100
    for worker in stats.snapshot(NOW + 30).workers:
        assert worker.accepted >= 30 - 6  # at most some seconds old
    totals = stats._latest.addresses
    assert sum(each.accepted for each in totals.values()) == sum(each.accepted for each in stats._latest.workers)
    # When they stop, all is shown within as many seconds.
    for number in range(31, 37):
        stats.snapshot(NOW + number)
    assert {worker.accepted for worker in stats._latest.workers} == {30}
    assert stats._latest.accepted == sum(worker.accepted for worker in stats._latest.workers)


def test_no_worker_is_shown_as_it_was_long_ago(monkeypatch):
    monkeypatch.setattr(workers, "MAX_RENEWED", 1)
    stats = PoolStats(NOW)
    for now in range(60):
        for number in range(100):
            work(stats, f"y.{number}", NOW + now)
        shown = stats.snapshot(NOW + now)
        assert min(worker.accepted for worker in shown.workers) >= now + 1 - 16


def test_few_changes_are_all_shown_at_once():
    stats = PoolStats(NOW)
    for second in range(5):
        for number in range(300):
            work(stats, f"y{number % 3}.{number}", NOW + second)
        assert {worker.accepted for worker in stats.snapshot(NOW + second).workers} == {second + 1}
    assert MAX_RENEWED < MAX_WORKERS


def test_workers_leave_little_for_garbage_collection_to_visit():
    stats, count = PoolStats(NOW), 500
    gc.collect()
    before = len(gc.get_objects())
    for number in range(count):
        stats.record_worker_on(f"y{number % 5}.{number}", difficulty=1.0, now=NOW)
        work(stats, f"y{number % 5}.{number}", NOW)
    stats.snapshot(NOW)
    gc.collect()
    gc.collect()
    assert len(gc.get_objects()) - before < 1.3 * count


def test_a_worker_that_connects_is_filed_as_if_it_was_seen_before_it_connected():
    rng, one, two = random.Random(2), WorkerTable(), WorkerTable()
    for step in range(3000):
        name, site, kind = f"y{rng.randint(1, 4)}.{rng.randint(1, 9)}", f"site {rng.randint(1, 3)}", rng.random()
        if kind < 0.5:
            one.connected(one.seen(name, NOW + step, site))
            two.seen(name, NOW + step, site, connects=True)
        for table in (one, two):
            worker = table.get(name)
            if worker is not None and 0.5 <= kind < 0.9:
                table.disconnected(worker)
            elif worker is not None and kind >= 0.9:
                worker.accepted += 1
                table.worked(worker)
        for queue in ("_unproven", "_idle", "_absent", "_by_site"):
            assert list(getattr(one, queue)) == list(getattr(two, queue))
        assert [each.connections for each in one._workers.values()] == [
            each.connections for each in two._workers.values()
        ]
