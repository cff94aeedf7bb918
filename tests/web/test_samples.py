"""Samples in rings of fixed size, and the graphs, logs and lists made of them."""

from __future__ import annotations

import itertools
import json
import math

import pytest
from jsonschema import Draft202012Validator

from p2pool.history.records import POOL_FIGURES
from p2pool.history.restoring import RestoredSample
from p2pool.pool_stats import ShareRecord
from p2pool.web.api import samples as graphs
from p2pool.web.api.table import ENDPOINTS
from p2pool.web.samples import KEPT, SCALARS, Ring, Samples, keyed, make_sample, restored_samples
from p2pool.web.view_cache import LOG_ENTRIES
from tests.logged import logged
from tests.support import make_template
from tests.web.busy import ALICE, busy_pool, payee
from tests.web.pages import Pool

START = 1_700_000_400.0
"""On a border of every period."""
GRAPHS = list(graphs._GRAPHS)
VIEWS = ["last_hour", "last_day", "last_week", "last_month", "last_year"]


def sample(second: float, rate: float | None = 1.0, **workers: float):
    return make_sample(START + second, {"pool_hash_rate": rate}, {"worker_hash_rates": workers})


def rates(ring: Ring) -> list[tuple[float, float | None]]:
    return [(each.start - START, each.scalar("pool_hash_rate")) for each in ring.samples()]


def test_a_ring_keeps_means_of_its_periods():
    ring = Ring(60, 10)
    assert ring.samples() == []
    assert (len(ring), ring.oldest, ring.ends()) == (0, None, None)
    for second in range(0, 130, 10):
        ring.add(sample(second, second))
    assert rates(ring) == [(0, 25), (60, 85), (120, 120)]
    assert (len(ring), ring.oldest) == (3, START)
    first, last = ring.ends()
    assert (first.start, last.start) == (START, START + 120)


def test_a_ring_is_bounded():
    ring = Ring(10, 5)
    for second in range(0, 1000, 10):
        ring.add(sample(second, second))
        assert len(ring) == len(ring.samples()) <= 5
    assert rates(ring) == [(second, second) for second in range(950, 1000, 10)]


def test_what_is_not_known_is_not_zero():
    ring = Ring(60, 5)
    ring.add(sample(0, None))
    assert rates(ring) == [(0, None)]
    ring.add(sample(10, 4))
    assert rates(ring) == [(0, 4)]
    assert ring.samples()[0].scalar("memory") is None


def test_names_that_are_missing_count_as_nothing():
    ring = Ring(60, 5)
    ring.add(sample(0, a=6, b=2))
    ring.add(sample(10, a=2))
    assert dict(ring.samples()[0].of("worker_hash_rates").items()) == {"a": 4, "b": 1}


def test_the_greatest_names_are_kept():
    kept = keyed({f"w{number:04d}": float(number) for number in range(5000)})
    assert dict(kept.items()) == {f"w{number:04d}": number for number in range(5000 - KEPT, 5000)}
    assert list(keyed({}).items()) == []


def test_a_clock_that_steps():
    ring = Ring(10, 5)
    for second in (0, 10, 20, 15, 3):  # back a little: counted into the newest
        ring.add(sample(second, second))
    assert [start for start, _ in rates(ring)] == [0, 10, 20]
    for _ in range(1000):  # a clock that stands
        ring.add(sample(20))
    assert len(ring._open) <= 2
    ring.add(sample(-86400, 7))  # back a day: what there is lies in the future now
    assert rates(ring) == [(-86400, 7)]
    ring.add(sample(86400, 8))  # ahead
    assert rates(ring) == [(-86400, 7), (86400, 8)]


def test_samples_come_every_ten_seconds():
    samples = Samples()
    assert samples.due(START)
    samples.add(sample(0))
    assert not samples.due(START + 9.9)
    assert samples.due(START + 10)
    assert samples.due(START - 1)


def test_a_month_fits_into_little_memory():
    """All rings full, each sample with its names."""
    samples, names = Samples(), {f"yAddress.worker{number}": float(number) for number in range(KEPT)}
    one = make_sample(START, dict.fromkeys(SCALARS, 1.0), dict.fromkeys(("worker_hash_rates", "payouts"), names))
    size = sum(each.values.itemsize * len(each.values) + 8 * len(each.names) for each in one.keyed)
    size += one.scalars.itemsize * len(one.scalars)
    assert size < 1000
    count = sum((ring._done.maxlen or 0) + 1 for ring in (samples.hour, samples.day, samples.month))
    assert count == 360 + 1440 + 4320


# --- on pages ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def busy() -> Pool:
    return busy_pool()


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("source", GRAPHS)
def test_graphs_have_the_form_that_old_front_ends_draw(busy, source, view):
    rows = busy.ask(f"/web/graph_data/{source}/{view}").json
    span = graphs._SPANS[view.removeprefix("last_")]
    assert len(rows) == span.bins
    middles = [middle for middle, _, _, _ in rows]
    assert middles == sorted(middles, reverse=True)  # the newest first
    for middle, value, width, _ in rows:
        assert 0 < width <= span.width
        assert middle - width / 2 < busy.now
        assert value is None or isinstance(value, (int, float, dict))
    # Neighbours touch.
    for (newer, _, width, _), (older, _, before, _) in itertools.pairwise(rows):
        assert newer - width / 2 == pytest.approx(older + before / 2)


def test_graphs_show_what_was(busy):
    def newest(source: str):
        rows = busy.ask(f"/web/graph_data/{source}/last_hour").json
        return next(value for _, value, _, _ in rows if value not in (None, 0, {}))

    stats = busy.ask("/local_stats").json
    assert newest("local_hash_rate") == pytest.approx(stats["hash_rate"], rel=0.3)
    assert newest("local_dead_hash_rate") > 0
    assert set(newest("miner_hash_rates")) == set(stats["miner_hash_rates"])
    assert set(newest("miner_dead_hash_rates")) == set(stats["miner_dead_hash_rates"])
    assert newest("pool_rates")["good"] > 0
    assert newest("peers") == {"incoming": 1, "outgoing": 1}
    assert (newest("worker_count"), newest("unique_miner_count"), newest("connected_miners")) == (2, 2, 2)
    assert list(newest("current_payouts")) == [payee(busy)]
    assert newest("getwork_latency") == 0.25
    assert sum(newest("desired_version_rates").values()) == pytest.approx(sum(newest("pool_rates").values()))


def test_own_shares_are_rates_of_work():
    pool = Pool(10, make_template())
    pool.refresh()
    pool.now += 10
    pool.stats.record_share(ShareRecord(pool.now - 5, 1, "yA", False, 500))
    pool.stats.record_share(ShareRecord(pool.now - 4, 2, "yA", True, 200))
    pool.refresh()
    pool.now += 10
    pool.refresh()
    values = [value for _, value, _, _ in pool.ask("/web/graph_data/local_share_hash_rates/last_hour").json]
    told = [value for value in values if value and any(value.values())]
    assert sum(value["good"] for value in told) > 0
    good = [point for _, point in pool.ask("/api/v1/samples?figure=local_good_share_rate").json["points"]]
    dead = [point for _, point in pool.ask("/api/v1/samples?figure=local_dead_share_rate").json["points"]]
    assert good == [0, pytest.approx(50), 0]
    assert dead == [0, pytest.approx(20), 0]


def test_a_graph_is_made_once_of_the_same_samples(busy, monkeypatch):
    path = "/web/graph_data/peers/last_week"
    before = busy.ask(path).body
    monkeypatch.setattr(graphs, "_graph", lambda *arguments: 1 / 0)
    assert busy.ask(path).body == before


def test_the_network_s_difficulty_over_time():
    pool = Pool(5, make_template(bits=0x1D00FFFF))
    for _ in range(5):
        pool.refresh()
        pool.now += 60
    for period in graphs._SPANS:
        told = pool.ask(f"/network_difficulty?period={period}").json
        assert told
        assert all(each["network_diff"] == pytest.approx(1) for each in told)
        assert [each["ts"] for each in told] == sorted(each["ts"] for each in told)
    assert pool.ask("/network_difficulty").json == pool.ask("/network_difficulty?period=day").json
    assert pool.ask("/current_network_difficulty").json == pytest.approx(1)
    pool.now += 3 * 3600
    pool.refresh()
    assert pool.ask("/network_difficulty?period=hour").json[0]["ts"] >= pool.now - 3600


def test_samples_one_figure_at_a_time(busy):
    for figure in SCALARS:
        for period, interval in (("hour", 10), ("day", 60), ("month", 600)):
            told = busy.ask(f"/api/v1/samples?figure={figure}&period={period}").json
            assert (told["figure"], told["period"], told["interval"]) == (figure, period, interval)
            assert told["points"]
    times = [when for when, _ in busy.ask("/api/v1/samples").json["points"]]
    assert all(later - earlier == 10 for earlier, later in itertools.pairwise(times))


def test_what_samples_there_are(busy):
    told = busy.ask("/hashrate_samples").json
    assert told["sample_count"] == 1
    assert told["sample_interval"] == 600
    assert told["oldest_sample"]["hashrate"] > 0


def test_the_log_of_a_day(busy):
    entries = busy.ask("/web/log").json
    assert entries
    last = entries[-1]
    assert last["pool_hash_rate"] > 0
    assert set(last["local_hash_rates"]) == {f"{ALICE}.rig1", f"{ALICE}.rig2", payee(busy)}
    pool = Pool(3, make_template())
    for _ in range(LOG_ENTRIES + 10):
        pool.refresh()
        pool.now += graphs.LOG_PERIOD
    entries = pool.ask("/web/log").json
    assert len(entries) == LOG_ENTRIES
    (endpoint,) = (each for each in ENDPOINTS if each.path == "/web/log")
    Draft202012Validator(endpoint.schema).validate(entries)
    assert entries[-1]["time"] - entries[0]["time"] == (LOG_ENTRIES - 1) * graphs.LOG_PERIOD


def test_ten_refreshes_in_a_period_make_one_sample():
    pool = Pool(3, make_template())
    pool.now = START
    for _ in range(10):
        pool.refresh()
        pool.now += 1
    assert len(pool.sources.cache.samples.hour) == 1


def test_memory_is_reported_where_it_is_known():
    pool = Pool(3, make_template())
    object.__setattr__(pool.sources, "process_memory", lambda: 123e6)
    pool.refresh()
    assert pool.ask("/api/v1/node").json["memory"] == 123e6
    assert pool.ask("/web/graph_data/memory_usage/last_hour").json[0][1] == 123e6


def test_a_sample_that_fails_leaves_the_pages_alone(monkeypatch):
    pool = Pool(3, make_template())
    monkeypatch.setattr(graphs, "_scalars", lambda snapshot, last: 1 / 0)
    with logged() as log:
        pool.refresh()
    assert len(log.tracebacks) == 1
    assert pool.ask("/local_stats").status == 200


def test_not_a_number_never_reaches_a_client(busy):
    for source in GRAPHS:
        text = busy.ask(f"/web/graph_data/{source}/last_hour").body.decode()
        assert "NaN" not in text
        assert not any(isinstance(v, float) and math.isnan(v) for _, v, _, _ in json.loads(text))


def test_the_network_s_difficulty_at_a_time():
    samples = Samples()
    for second, difficulty in ((0, 1.0), (10, 2.0), (20, 3.0), (400, 4.0)):
        samples.add(make_sample(START + second, {"network_difficulty": difficulty}, {}))
    told = [samples.difficulty_at(START + when) for when in (-1, 0, 9, 15, 29, 200, 395, 409, 5000)]
    assert told == [None, 1, 1, 2, 3, None, 4, 4, None]
    assert Samples().difficulty_at(START) is None


def test_periods_from_a_time_on():
    ring = Ring(10, 100)
    for second in range(0, 100, 10):
        ring.add(sample(second, second))
    assert [each.start - START for each in ring.after(START + 75)] == [70, 80, 90]
    assert [each.start - START for each in ring.after(START + 70)] == [70, 80, 90]
    assert len(list(ring.after(START - 50))) == 10
    assert list(ring.after(START + 100)) == []


# --- what earlier runs left ------------------------------------------------------------------------------------


def restored(second: float, rate: float, **workers: float) -> RestoredSample:
    figures = dict.fromkeys(POOL_FIGURES) | {"pool_hash_rate": rate, "network_difficulty": 2.0}
    return RestoredSample(START + second, tuple(figures.values()), workers, {}, {}, {})


def test_a_ring_goes_on_from_an_earlier_run():
    samples = Samples()
    for second in (3600, 3610):
        samples.add(sample(second, 7))
    samples.restore(restored_samples({10: [restored(second, 5, rig=3) for second in range(3540, 3610, 10)]}))
    assert rates(samples.hour) == [(3540 + 10 * n, 5) for n in range(6)] + [(3600, 7), (3610, 7)]
    assert dict(samples.hour.samples()[0].of("worker_hash_rates").items()) == {"rig": 3}
    assert samples.first == START + 3540
    samples.add(sample(3620, 8))
    assert rates(samples.hour)[-1] == (3620, 8)


def test_a_ring_stays_bounded_whatever_is_restored():
    ring = Ring(10, 5)
    for second in range(1000, 1030, 10):
        ring.add(sample(second, 1))
    ring.restore([make_sample(START + second, {}, {}) for second in range(0, 1000, 10)])
    assert [each.start - START for each in ring.samples()] == [980, 990, 1000, 1010, 1020]


def test_work_is_known_across_a_restart():
    samples = Samples()
    assert samples.work_between(START, START + 60) is None
    samples.add(sample(60, 7))
    samples.restore(restored_samples({10: [restored(second, 5) for second in range(0, 60, 10)]}))
    assert samples.work_between(START, START + 60) == pytest.approx(300)
    assert samples.difficulty_at(START + 30) == 2


def test_expected_blocks_count_what_was_sampled():
    samples = Samples()
    assert samples.expected_blocks(START, START + 100) == (0, 0)
    for second in range(0, 100, 10):
        samples.add(make_sample(START + second, {"pool_hash_rate": 2.0**32, "network_difficulty": 4.0}, {}))
    expected, seconds = samples.expected_blocks(START + 20, START + 80)
    assert (expected, seconds) == (pytest.approx(60 / 4), pytest.approx(60))
    # Where the time begins before the first sample, the period that it lies in counts from there.
    expected, seconds = samples.expected_blocks(START - 86400, START + 100)
    assert (expected, seconds) == (pytest.approx(25), pytest.approx(100))


def test_samples_that_wait_to_be_written_do_not_keep_workers_that_never_worked():
    pool = Pool(5, make_template())
    for number in range(50):
        pool.stats.record_worker_on(f"yA.idle{number}", difficulty=1.0, now=pool.now)
        pool.stats.record_refused(f"yA.idle{number}", 23, pool.now)
    pool.stats.record_accepted("yA.busy", attempts=1000.0, difficulty=1.0, dead=False, now=pool.now)
    snapshot = pool.view_snapshot
    assert len(snapshot.pool.workers) == 51
    made = graphs._history_sample(snapshot, {}, {"payouts": {}, "version_rates": {}})
    assert [worker.name for worker in made.workers] == ["yA.busy"]
