"""Workers and addresses: pages of thousands, sorted and filtered, and what one of them has."""

from __future__ import annotations

import gzip
import random
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from p2pool.pool_stats import BlockRecord, BlockStatus
from p2pool.pool_stats.judgement import MinerState
from p2pool.web import worker_index
from p2pool.web.api.workers import STATE_GROUPS
from p2pool.web.worker_index import (
    ADDRESS_ORDERS,
    MAX_LISTS,
    MAX_LISTS_PER_HOST,
    ORDERS,
    TooManyLists,
    WorkerFilter,
    WorkerIndex,
)
from tests.logged import logged
from tests.support import make_template
from tests.web.busy import ALICE, BOB, NOBODY, SUBSIDY, busy_pool, payee
from tests.web.pages import Pool

COUNT = 2500
MAX_LOADED = 100_000
"""Bytes, compressed, that the page of miners loads."""


@pytest.fixture(scope="module")
def crowd() -> Pool:
    """Many workers of two addresses, each with figures of its own."""
    pool, rng = Pool(5, make_template()), random.Random(4)
    numbers = list(range(COUNT))
    rng.shuffle(numbers)
    for number in numbers:
        name = f"{ALICE if number % 5 else BOB}.Rig{number:05d}"
        pool.stats.record_worker_on(name, difficulty=float(number), now=pool.now)
        for _ in range(number % 3):
            pool.stats.record_refused(name, 23, pool.now)
        pool.stats.record_accepted(
            name, attempts=1000.0 * number, difficulty=float(number), dead=False, now=pool.now + number / COUNT
        )
        if number % 2:
            pool.stats.record_worker_off(name)
    pool.now += 2
    pool.refresh()
    return pool


@pytest.fixture(scope="module")
def busy() -> Pool:
    return busy_pool()


def ask(pool: Pool, query: str) -> dict:
    pool.host = (
        f"10.0.{len(query)}.{sum(query.encode()) % 250}"  # many ask: one host may search a few times a second
    )
    answer = pool.ask(f"/api/v1/workers?{query}")
    assert answer.status == 200, answer.body
    return answer.json


def numbers(page: dict) -> list[int]:
    return [int(worker["name"].rpartition("Rig")[2]) for worker in page["workers"]]


def sorted_by(sort: str, row: dict) -> Any:
    """What a row is sorted by, as clients see it."""
    if sort.startswith("hash_rate_1"):
        return row["hash_rates"][sort.removeprefix("hash_rate_")]
    if sort == "dead_part":
        return row["dead_hash_rate"] / row["hash_rate"] if row["hash_rate"] else 0
    if sort == "refused_part":
        all_of_them = row["accepted"] + row["refused"]
        return row["refused"] / all_of_them if all_of_them else 0
    return row[{"name": "address"}.get(sort, sort)] if "address" in row else row[sort]


# --- pages ---------------------------------------------------------------------------------------------------


def test_the_fastest_come_first(crowd):
    page = ask(crowd, "")
    assert (page["total"], page["offset"], page["limit"]) == (COUNT, 0, 100)
    assert numbers(page) == list(range(COUNT - 1, COUNT - 101, -1))


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("sort", list(ORDERS))
def test_following_the_pages_meets_every_worker_once(crowd, sort, order):
    workers, offset = [], 0
    while True:
        page = ask(crowd, f"sort={sort}&order={order}&limit=499&offset={offset}")
        if not page["workers"]:
            break
        workers += page["workers"]
        offset += len(page["workers"])
    assert len({worker["name"] for worker in workers}) == len(workers) == COUNT
    values = [sorted_by(sort, worker) for worker in workers]
    assert values == sorted(values, reverse=order == "desc")


def test_the_page_of_miners_is_light_however_many_there_are(crowd):
    """All that it loads at first, as browsers get it: itself, its scripts and styles, and a page of the list."""
    static = Path(__file__).parents[2] / "web-static"
    page = (static / "miners.html").read_text("utf-8")
    script = (static / "pages" / "miners.js").read_text("utf-8")
    (rows,) = re.findall(r"^const PAGE = (\d+);", script, re.MULTILINE)
    files = [static / name for name in re.findall(r'(?:href|src)="([\w/.-]+\.(?:js|css))"', page)]
    assert len(files) > 10
    paths = (f"workers?limit={rows}", "node", "stratum")
    told = [len(crowd.ask(f"/api/v1/{path}", "GET", "Accept-Encoding: gzip").body) for path in paths]
    loaded = [page.encode(), *(path.read_bytes() for path in files)]
    assert sum(len(gzip.compress(each, 6)) for each in loaded) + sum(told) < MAX_LOADED


def test_pages_beyond_the_end_are_empty(crowd):
    for offset in (COUNT, COUNT + 1, 100_000):
        for order in ("asc", "desc"):
            assert ask(crowd, f"offset={offset}&order={order}")["workers"] == []
    for order, last in (("asc", COUNT - 1), ("desc", 0)):
        assert numbers(ask(crowd, f"offset={COUNT - 1}&order={order}")) == [last]


def test_filters(crowd):
    assert ask(crowd, "connected=true")["total"] == COUNT // 2
    assert ask(crowd, "connected=false")["total"] == COUNT // 2
    assert ask(crowd, f"address={BOB}")["total"] == COUNT // 5
    assert ask(crowd, f"address={BOB}&connected=true")["total"] == COUNT // 10
    assert ask(crowd, f"address={NOBODY}") | {"time": 0} == {
        "time": 0,
        "known": COUNT,
        "total": 0,
        "offset": 0,
        "limit": 100,
        "workers": [],
    }
    found = ask(crowd, "search=rIG0012&sort=name&order=asc")
    assert sorted(numbers(found)) == list(range(120, 130))
    assert found["total"] == 10
    assert numbers(ask(crowd, f"search=rig0012&address={BOB}&sort=name")) == [125, 120]
    assert ask(crowd, "search=" + quote("<script>"))["total"] == 0


def test_states_and_software_are_found(busy):
    by_state = {each["name"]: each["state"] for each in ask(busy, "limit=500")["workers"]}
    for group, states in STATE_GROUPS.items():
        found = {each["name"] for each in ask(busy, f"state={group}")["workers"]}
        assert found == {name for name, state in by_state.items() if state in states}
    assert {state for states in STATE_GROUPS.values() for state in states} == set(MinerState)
    assert ask(busy, "search=MINER/1")["total"] == len(by_state)


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("sort", list(ADDRESS_ORDERS))
def test_addresses_are_listed_with_the_sums_of_their_workers(busy, sort, order):
    told = busy.ask(f"/api/v1/addresses?sort={sort}&order={order}").json
    assert told["total"] == told["known"] == len(told["addresses"]) > 1
    values = [sorted_by(sort, row) for row in told["addresses"]]
    assert [each or 0 for each in values] == sorted([each or 0 for each in values], reverse=order == "desc")
    for row in told["addresses"]:
        alone = busy.ask(f"/api/v1/addresses/{row['address']}").json
        assert {name: row[name] for name in row if name != "state"} == {
            name: alone[name] for name in row if name != "state"
        }
        own = ask(busy, f"address={row['address']}")["workers"]
        for field in ("connections", "accepted", "refused", "dead", "shares", "hash_rate", "dead_hash_rate"):
            assert row[field] == pytest.approx(sum(worker[field] for worker in own))
        assert row["hash_rates"]["1h"] == pytest.approx(sum(worker["hash_rates"]["1h"] for worker in own))
        assert sum(row["refused_by"].values()) == sum(sum(worker["refused_by"].values()) for worker in own)
        assert row["state"] == busy.ask(f"/api/v1/miners/{row['address']}").json["state"]


def test_an_address_is_found_by_one_of_its_workers(busy):
    found = busy.ask("/api/v1/addresses?search=rig2").json
    assert [each["address"] for each in found["addresses"]] == [ALICE]
    assert (found["total"], found["addresses"][0]["known_workers"]) == (1, 2)
    assert busy.ask("/api/v1/addresses?search=nobody-has-this").json["addresses"] == []
    assert busy.ask("/api/v1/addresses?offset=1&limit=1").json["addresses"] != []


def test_equal_workers_are_in_the_order_of_their_names(crowd):
    told = ask(crowd, "sort=shares&order=asc&limit=500")["workers"]
    names = [worker["name"] for worker in told]
    assert names == sorted(names)


# --- bounds --------------------------------------------------------------------------------------------------


def test_a_snapshot_is_sorted_once_for_each_order(crowd, monkeypatch):
    ask(crowd, "sort=accepted")
    monkeypatch.setattr(worker_index, "_sorted", lambda workers, order: 1 / 0)
    for offset in range(0, 500, 100):
        ask(crowd, f"sort=accepted&order=asc&offset={offset}")


def test_searches_of_one_second_are_bounded():
    pool = busy_pool()
    for number in range(MAX_LISTS):
        pool.host = f"10.0.0.{number // MAX_LISTS_PER_HOST}"
        assert pool.ask(f"/api/v1/workers?search=x{number}").status == 200
    pool.host = "10.0.0.99"
    with logged() as log:
        refused = pool.ask("/api/v1/workers?search=more")
    assert (refused.status, refused.json["error"]["code"]) == (503, "busy")
    assert not log.lines
    assert pool.ask("/api/v1/workers?search=x3").status == 200  # known already
    assert pool.ask("/api/v1/workers?sort=name").status == 200  # no search
    pool.refresh()
    assert pool.ask("/api/v1/workers?search=more").status == 200


def test_one_host_does_not_keep_the_others_from_searching():
    pool = busy_pool()
    for number in range(MAX_LISTS):
        pool.ask(f"/api/v1/workers?search=x{number}")
    assert pool.ask("/api/v1/workers?search=more").status == 503
    pool.host = "10.0.0.2"
    assert pool.ask("/api/v1/workers?search=more").status == 200


def test_the_index_without_a_node(crowd):
    index = WorkerIndex(crowd.stats.snapshot(crowd.now).workers)
    for number in range(MAX_LISTS):
        index.ordered("name", WorkerFilter(search=str(number)), str(number % 5))
    with pytest.raises(TooManyLists):
        index.ordered("name", WorkerFilter(search="more"))
    assert WorkerIndex(()).ordered("name") == []
    assert WorkerIndex(()).address(ALICE) is None


# --- one of them ---------------------------------------------------------------------------------------------


def test_one_worker(crowd, busy):
    name = f"{ALICE}.Rig00123"
    assert crowd.ask(f"/api/v1/workers/{name}").json == ask(crowd, "search=rig00123")["workers"][0]
    told = busy.ask(f"/api/v1/workers/{ALICE}.rig1").json
    assert (told["name"], told["accepted"], told["dead"], told["refused"]) == (f"{ALICE}.rig1", 5, 1, 1)
    assert told["refused_by"]["low_difficulty"] == 1


@pytest.mark.parametrize("name", ["a/b", "/", "a b", "\u00e4\u20ac", "<script>", "%41", "?x", "a/", "..", "#"])
def test_workers_of_any_name_are_found(name):
    pool = Pool()
    pool.stats.record_worker_on(name, difficulty=1.0, now=pool.now)
    pool.refresh()
    told = pool.ask("/api/v1/workers/" + quote(name, safe=""))
    assert told.status == 200
    assert told.json["name"] == name


def test_an_address_is_the_sum_of_its_workers(busy):
    told = busy.ask(f"/api/v1/addresses/{ALICE}").json
    workers = [busy.ask(f"/api/v1/workers/{ALICE}.{rig}").json for rig in ("rig1", "rig2")]
    assert (told["known_workers"], told["workers"], told["connections"]) == (2, 1, 1)
    for field in ("hash_rate", "dead_hash_rate", "accepted", "refused", "dead", "shares"):
        assert told[field] == pytest.approx(sum(worker[field] for worker in workers))
    assert told["next_payout"] == {"dash": "0.00000000", "duffs": 0}  # its shares are not in the chain
    miner = busy.ask(f"/api/v1/addresses/{payee(busy)}").json
    listed = {each["address"]: each for each in busy.ask("/api/v1/payouts").json["payouts"]}[payee(busy)]
    assert (miner["next_payout"], miner["next_payout_part"]) == (listed["amount"], listed["part"])
    assert miner["next_payout"]["duffs"] > 0


def test_an_address_that_is_paid_but_does_not_mine_here(busy):
    other = payee(busy, 1)
    told = busy.ask(f"/api/v1/addresses/{other}").json
    assert (told["workers"], told["hash_rate"], told["last_share"]) == (0, 0, None)
    assert told["next_payout"]["duffs"] > 0
    stats = busy.ask(f"/miner_stats/{other}").json
    assert (stats["active"], stats["time_to_share"], stats["doa_rate"]) == (False, None, 0)
    assert stats["current_payout"] == pytest.approx(told["next_payout"]["duffs"] / 1e8)


def test_miner_stats(busy):
    told = busy.ask(f"/miner_stats/{ALICE}").json
    both = busy.ask(f"/api/v1/addresses/{ALICE}").json
    assert told["active"] is True
    assert told["hashrate"] == both["hash_rate"]
    assert told["doa_rate"] == pytest.approx(both["dead_hash_rate"] / both["hash_rate"])
    assert told["share_difficulty"] == 8
    attempts = busy.ask("/local_stats").json["attempts_to_share"]
    assert told["time_to_share"] == pytest.approx(attempts / told["hashrate"])


# --- what blocks paid ----------------------------------------------------------------------------------------


def test_payouts_of_blocks_found_while_the_node_runs():
    pool = Pool(40, make_template(subsidy=SUBSIDY))
    pool.refresh()
    near, far = pool.shares[-3], pool.shares[2]
    for number, (share, status) in enumerate(((far, BlockStatus.CONFIRMED), (near, BlockStatus.ACCEPTED))):
        record = BlockRecord(pool.now, share.hash, 100 + number, payee(pool), share.hash, SUBSIDY, status)
        pool.stats.record_block(record)
    for _ in range(3):
        pool.refresh()
    told = pool.ask(f"/miner_payouts/{payee(pool)}").json
    assert told["blocks_found"] == 2
    newest, oldest = told["blocks"]
    assert (newest["block_height"], oldest["block_height"]) == (101, 100)
    assert oldest["estimated_payout"] is None  # its place in the chain is too far back to look it up
    assert newest["estimated_payout"] > 0
    assert newest["payout"] == f"{newest['estimated_payout']:.8f}"
    assert told["maturing_rewards"] == told["total_estimated_rewards"] == pytest.approx(newest["estimated_payout"])
    assert told["confirmed_rewards"] == 0
    # What all are paid is the block's value.
    amounts = pool.sources.cache.paid[near.hash].amounts
    assert sum(amounts.values()) == SUBSIDY
    other = next(address for address in amounts if address != payee(pool) and not address.startswith("!"))
    of_other = pool.ask(f"/miner_payouts/{other}").json
    assert [each["block_height"] for each in of_other["blocks"]] == [101]
    assert (told["blocks_paid"], of_other["blocks_found"], of_other["blocks_paid"]) == (1, 0, 1)


def test_orphaned_blocks_pay_nobody():
    pool = Pool(40, make_template(subsidy=SUBSIDY))
    share = pool.shares[-1]
    for status in (BlockStatus.ACCEPTED, BlockStatus.ORPHANED):
        pool.stats.record_block(BlockRecord(pool.now, share.hash, 1, payee(pool), share.hash, SUBSIDY, status))
        pool.refresh()
    told = pool.ask(f"/miner_payouts/{payee(pool)}").json
    assert told["blocks"][0]["status"] == "orphaned"
    assert told["total_estimated_rewards"] == 0


def test_a_miner_without_blocks(busy):
    told = busy.ask(f"/miner_payouts/{payee(busy, 1)}").json
    assert told["blocks_found"] in (0, 1)
    idle = Pool(10, make_template())
    idle.refresh()
    assert idle.ask(f"/miner_payouts/{payee(idle)}").json["blocks"] == []
