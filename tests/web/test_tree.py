"""/api/v1/tree: the newest shares of all heads, for drawing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pool.web.api import tree
from p2pool.web.sources import script_to_text
from tests.chains import NOW, grow_chain
from tests.support import make_template
from tests.web.pages import Pool


def forked_pool() -> Pool:
    """Forty shares, a fork of two on the 31st and one of three on the 38th, and four of a chain whose parents are
    missing."""
    pool = Pool(40, make_template())
    pool.short = grow_chain(pool.tracker, make_template(), 2, 1, pool.shares[30].hash, seed=9)
    pool.late = grow_chain(pool.tracker, make_template(), 3, 1, pool.shares[37].hash, seed=8)
    other = Pool(30, make_template(previous_block=0xEF))
    pool.detached = other.shares[26:]
    for share in pool.detached:
        pool.tracker.add(share, NOW, "10.0.0.9:8999")
    return pool


@pytest.fixture(scope="module")
def pool() -> Pool:
    return forked_pool()


def rows(pool: Pool, count: int) -> list[dict]:
    return pool.ask(f"/api/v1/tree?count={count}").json["shares"]


def names(shares) -> set[str]:
    return {f"{share.hash:064x}" for share in shares}


def test_an_empty_node():
    assert Pool().ask("/api/v1/tree").json == {"best_share": None, "heads": 0, "shares": []}


def test_all_heads_are_in_it_and_no_share_twice(pool):
    told = pool.ask("/api/v1/tree?count=500").json
    hashes = [row["hash"] for row in told["shares"]]
    assert told["heads"] == 4
    assert told["best_share"] == f"{pool.node.best_share:064x}"
    assert len(hashes) == len(set(hashes)) == 40 + 2 + 3 + 4
    assert set(hashes) == names([*pool.shares, *pool.short, *pool.late, *pool.detached])


def test_children_come_before_their_parents_and_lines_can_be_drawn(pool):
    seen: dict[str, dict] = {}
    children: dict[str, int] = {}
    for row in rows(pool, 500):
        assert row["parent"] not in seen
        seen[row["hash"]] = row
        if row["parent"] is not None:
            children[row["parent"]] = children.get(row["parent"], 0) + 1
    for name, row in seen.items():
        assert row["children"] == children.get(name, 0)
        parent = seen.get(row["parent"])
        assert parent is None or parent["height"] == row["height"] - 1
    assert seen[f"{pool.shares[30].hash:064x}"]["children"] == 2


def test_the_newest_come_first(pool):
    first = rows(pool, 6)
    # The highest of the two ends by the 38th share, which reach about equally high.
    assert {row["hash"] for row in first} <= names([*pool.shares[36:], *pool.late, *pool.detached])
    assert not names(pool.short) & {row["hash"] for row in first}
    twelve = {row["hash"] for row in rows(pool, 20)}
    assert names([*pool.short, *pool.late]) <= twelve


def test_a_share_as_it_is_reported(pool):
    share = pool.shares[35]
    (row,) = [row for row in rows(pool, 100) if row["hash"] == f"{share.hash:064x}"]
    assert row == {
        "hash": f"{share.hash:064x}",
        "parent": f"{share.previous_hash:064x}",
        "height": share.absheight,
        "timestamp": share.timestamp,
        "time_found": share.timestamp,
        "time_found_source": "first_seen",
        "address": script_to_text(pool.node, share.script),
        "difficulty": row["difficulty"],
        "own": False,
        "verified": True,
        "in_best_chain": True,
        "stale_info": None,
        "is_block": share.is_block,
        "children": 1,
    }


def test_which_shares_are_in_the_best_chain_and_which_are_verified(pool):
    told = {row["hash"]: row for row in rows(pool, 500)}
    best = pool.node.best_share
    chain = names(pool.tracker.ancestors(best, 100))
    assert {name for name, row in told.items() if row["in_best_chain"]} == chain
    assert {name for name, row in told.items() if not row["verified"]} == names(pool.detached)


def test_own_shares_are_marked(pool):
    share = pool.shares[38]
    pool.node._own_shares.add(share)
    assert [row["hash"] for row in rows(pool, 100) if row["own"]] == [f"{share.hash:064x}"]
    del pool.node._own_shares._shares[share.hash]


def test_who_makes_heights_up_does_not_hide_the_best_chain():
    pool = forked_pool()
    for share in pool.detached:
        share.absheight = 2**31
    (first, *_) = told = rows(pool, 8)
    assert first["in_best_chain"] or first["verified"]
    assert len([row for row in told if row["verified"]]) >= 4


def test_before_there_is_a_best_share_all_trees_are_reported():
    pool = forked_pool()
    pool.node.best_share = None
    told = rows(pool, 500)
    assert len(told) == 49
    assert not any(row["in_best_chain"] for row in told)


def test_a_best_share_that_others_build_on_is_reported_once():
    pool = forked_pool()
    pool.node.best_share = pool.shares[20].hash
    told = rows(pool, 500)
    assert len({row["hash"] for row in told}) == len(told) == 49
    assert sum(row["in_best_chain"] for row in told) == 21


def test_it_costs_no_more_than_it_tells(monkeypatch):
    """However long the chain is, only what is told is looked at."""
    pool, looked_at = Pool(150, make_template()), []
    real = tree._row
    monkeypatch.setattr(
        tree, "_row", lambda node, found, **more: (looked_at.append(found), real(node, found, **more))[1]
    )
    asked = []
    ancestors = pool.tracker.ancestors
    monkeypatch.setattr(
        pool.tracker, "ancestors", lambda best, count: (asked.append(count), ancestors(best, count))[1]
    )
    assert len(rows(pool, 5)) == 5
    assert len(looked_at) == 5
    assert asked == [5]


def test_beyond_the_bound_of_heads_the_best_one_is_still_there(monkeypatch, pool):
    monkeypatch.setattr(tree, "MAX_LISTED", 1)
    assert {row["hash"] for row in rows(pool, 500)} >= names(pool.tracker.ancestors(pool.node.best_share, 40))


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 500))
def test_so_many_as_were_asked_for(pool, count):
    assert len(rows(pool, count)) == min(count, 49)


@pytest.mark.parametrize("text", ["0", "501", "-1", "x", ""])
def test_a_count_out_of_range(pool, text):
    answer = pool.ask(f"/api/v1/tree?count={text}")
    assert (answer.status, answer.json["error"]["code"]) == (400, "bad_count")
