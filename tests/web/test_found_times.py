"""Pages and metrics of a slow pool: figures for people, and those by timestamps beside them."""

from __future__ import annotations

import pytest

from p2pool.web.live_events import share_event
from tests.chains import NOW
from tests.support import make_template
from tests.web.pages import Pool

HOUR = 3600.0
FACTOR = HOUR / 39
"""So many times too high is the rate by timestamps if a share takes an hour and the rules allow 39 seconds."""


@pytest.fixture(scope="module")
def slow() -> Pool:
    pool = Pool(200, make_template(), chain_length=400, pace=HOUR)
    pool.refresh()
    return pool


def test_the_observed_rate_is_beside_that_by_timestamps(slow):
    told = slow.ask("/api/v1/pool").json
    attempts = slow.shares[-1].attempts
    assert told["observed_hash_rate"] == pytest.approx(attempts / HOUR)
    assert told["observed_nonstale_hash_rate"] == told["observed_hash_rate"]
    assert told["hash_rate"] / told["observed_hash_rate"] == pytest.approx(FACTOR)
    assert told["observed_seconds"] == 179 * HOUR
    assert told["observed_time_to_block"] / told["expected_time_to_block"] == pytest.approx(FACTOR)


def test_paths_of_legacy_front_ends_keep_the_rate_by_timestamps(slow):
    rate = slow.ask("/api/v1/pool").json["hash_rate"]
    assert slow.ask("/global_stats").json["pool_hash_rate"] == slow.ask("/rate").json == rate
    assert slow.ask("/stale_rates").json["good"] == rate


def test_graphs_and_expected_times_are_for_people(slow):
    told = slow.ask("/api/v1/pool").json
    samples = slow.ask("/api/v1/samples?figure=pool_hash_rate&period=hour").json
    assert samples["points"][-1][1] == pytest.approx(told["observed_hash_rate"])
    luck = slow.ask("/api/v1/luck").json
    assert luck["current_round"]["expected_time"] == pytest.approx(told["observed_time_to_block"])


def test_shares_have_the_time_at_which_they_were_found(slow):
    share = slow.shares[150]
    when = {"time_found": NOW + 151 * HOUR, "time_found_source": "first_seen"}
    name = f"{share.hash:064x}"
    details = slow.ask(f"/api/v1/shares/{name}").json
    legacy = slow.ask(f"/web/share/{name}").json
    (chain,) = slow.ask(f"/api/v1/chain?from={name}&count=1").json["shares"]
    (tree,) = [row for row in slow.ask("/api/v1/tree?count=100").json["shares"] if row["hash"] == name]
    for told in (details, legacy["local"], chain, tree):
        assert when.items() <= told.items()
    assert details["timestamp"] == legacy["share_data"]["timestamp"] == chain["ts"] == tree["timestamp"]
    assert tree["timestamp"] == share.timestamp
    assert when["time_found"] - share.timestamp > 6 * 24 * HOUR


def test_metrics_have_both(slow):
    lines = slow.ask("/metrics").body.decode().splitlines()
    values = {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if not line.startswith("#")}
    assert values["p2pool_pool_hashrate"] / values["p2pool_pool_observed_hashrate"] == pytest.approx(FACTOR)
    assert values["p2pool_share_chain_last_share_found_timestamp_seconds"] == NOW + 200 * HOUR
    assert values["p2pool_share_chain_last_share_timestamp_seconds"] == slow.shares[-1].timestamp


def test_a_new_share_of_a_slow_pool_is_news(slow):
    assert share_event(slow.node, slow.shares[-1], own=False, now=slow.now) is not None
    assert share_event(slow.node, slow.shares[-2], own=False, now=slow.now) is None
