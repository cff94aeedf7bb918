"""Workers that are known to be fast keep the start difficulty, however silent a connection of theirs is."""

from __future__ import annotations

from p2pool.stratum import recent_difficulties as module
from p2pool.stratum.recent_difficulties import MEMORY, RecentDifficulties
from p2pool.stratum.vardiff import Vardiff
from tests.stratum.miner import ADDRESS, EASY, NOW, Miner


def is_searched(vardiff: Vardiff, now: float = NOW) -> bool:
    """Whether a silent connection's difficulty falls."""
    return any(vardiff.adjust(now + 5 * number) for number in range(100))


def second_connection(first: Miner, username: str) -> Miner:
    miner = Miner(context=first.context)
    miner.now = first.now
    miner.call("mining.subscribe")
    miner.call("mining.authorize", username, "x")
    return miner


def works(username: str) -> Miner:
    """A miner with an accepted submission at the start difficulty."""
    miner = Miner(start_difficulty=2.0**-20)
    miner.submit(notify := miner.login(username), miner.find(notify, EASY), username)
    assert miner.stats.of("record_accepted")
    return miner


def test_a_second_connection_of_a_fast_worker_keeps_its_start():
    first = works(ADDRESS + ".rig")
    assert len(first.context.recent_difficulties) == 1
    first.context.recent_difficulties.record([ADDRESS + ".rig"], 100.0, site="10.0.0.1", now=NOW)
    for username, searched in ((ADDRESS + ".rig", False), (ADDRESS + ".other", True)):
        vardiff = second_connection(first, username).session.vardiff
        vardiff.difficulty = 16.0
        assert is_searched(vardiff) == searched


def test_a_worker_is_remembered_for_a_day():
    first = works(ADDRESS + ".rig")
    first.context.recent_difficulties.record([ADDRESS + ".rig"], 100.0, site="10.0.0.1", now=NOW + 1000)
    for age, searched in ((MEMORY - 1, False), (MEMORY, True), (-1, True)):
        vardiff = Vardiff(start=16.0, minimum=0.001, maximum=1e6, seconds=10.0)
        first.context.recent_difficulties.apply(vardiff, ADDRESS + ".rig", NOW + 1000 + age)
        assert is_searched(vardiff) == searched


def test_a_worker_that_was_slower_than_the_start_is_searched_for():
    difficulties = RecentDifficulties()
    difficulties.record(["a"], 8.0, site="10.0.0.1", now=NOW)
    vardiff = Vardiff(start=16.0, minimum=0.001, maximum=1e6, seconds=10.0)
    difficulties.apply(vardiff, "a", NOW)
    assert is_searched(vardiff)


def test_one_site_s_workers_do_not_push_out_those_of_others(monkeypatch):
    monkeypatch.setattr(module, "MAX_WORKERS", 10)
    difficulties = RecentDifficulties()
    difficulties.record(["honest"], 100.0, site="10.0.0.1", now=NOW)
    for number in range(1000):
        difficulties.record([f"w{number}"], 100.0, site="10.9.9.9", now=NOW)
    assert len(difficulties) == 10
    vardiff = Vardiff(start=16.0, minimum=0.001, maximum=1e6, seconds=10.0)
    difficulties.apply(vardiff, "honest", NOW)
    assert not is_searched(vardiff)


def test_a_change_of_difficulty_is_remembered():
    miner = works(ADDRESS + ".rig")
    before = miner.session.vardiff.difficulty
    for _ in range(200):
        miner.now += 0.02
        miner.session._earned(ADDRESS + ".rig", miner.session.vardiff.difficulty, miner.now)
    assert miner.session.vardiff.difficulty > before
    vardiff = Vardiff(start=2 * before, minimum=2.0**-30, maximum=1e6, seconds=10.0)
    miner.context.recent_difficulties.apply(vardiff, ADDRESS + ".rig", miner.now)
    assert not is_searched(vardiff, miner.now)
