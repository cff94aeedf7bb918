"""Daemons of which one was not upgraded for a hard fork: it serves no templates, and the operator is warned."""

from __future__ import annotations

from typing import Any

import pytest

from p2pool.dashd.block_notifications import NotificationSource
from p2pool.dashd.pool import LEFT_ALONE_BLOCKS, LEFT_ALONE_TIME, SILENT_TIME, STUCK_TIME
from p2pool.dashd.service import FACTS_PERIOD
from tests.dashd.test_facts import CHAIN
from tests.dashd.test_pool import EASY, Pool, header_on
from tests.logged import logged

OLD, NEW = "0300" + "11" * 40, "0400" + "22" * 72
UNKNOWN = "0900" + "33" * 100


@pytest.fixture
def log():
    with logged() as lines:
        yield lines
    assert lines.tracebacks == []


@pytest.fixture
def two(log):
    """d0 was not upgraded and serves; both are on block 1, before the fork."""
    made = Pool(2)
    for rpc in made.rpcs:
        rpc.at(1, coinbase_payload=OLD)
    made.start().wait(1)
    assert made.serving == "d0"
    yield made
    made.stop()


def chain_info(state: str, **changes: Any) -> dict[str, Any]:
    """A daemon's answer with the fork v24 in a state."""
    forks = CHAIN["softforks"] | {"v24": {"type": "bip9", "bip9": {"status": state, "ehf": True}, "active": False}}
    if state == "locked_in":
        forks["v24"]["bip9"]["activation_height"] = 500
    return CHAIN | {"softforks": forks} | changes


# --- who serves ------------------------------------------------------------------------------------------


def test_one_with_the_older_payload_for_the_same_block_serves_no_more(two, log):
    two.rpcs[0].block(2, coinbase_payload=OLD)
    assert two.templates[-1] == ("d0", 2)
    two.rpcs[1].block(2, coinbase_payload=NEW)
    assert two.serving == "d1"
    assert two.templates[-1] == ("d1", 2)
    expected = (
        "outdated rules, upgrade it: its coinbase payload for block 2 has version 3, while dashd at d1 uses "
        "version 4; the network would reject its blocks, so this node does not use its templates"
    )
    assert [line for line in log.lines if "outdated" in line] == [
        f"dashd at d0 follows {expected}",
        f"switched to dashd at d1 (was d0): {expected}",
    ]
    assert two.pool.problems() == [f"dashd at d0: {expected}"]
    assert [figures.problem for figures in two.pool.figures()] == [expected, None]


def test_it_does_not_even_where_its_own_chain_is_longer(two, log):
    """Nobody else takes the blocks that it makes, or finds with others that were not upgraded."""
    for rpc, payload in zip(two.rpcs, (OLD, NEW), strict=True):
        rpc.block(2, coinbase_payload=payload)
    before = len(two.templates)
    for number in (3, 4, 5):
        two.rpcs[0].block(number, coinbase_payload=OLD)
        two.wait(STUCK_TIME)
    assert two.serving == "d1"
    assert set(two.templates[before:]) <= {("d1", 2)}
    two.rpcs[1].block(3, coinbase_payload=NEW, previousblockhash="ab" * 32)
    assert two.templates[-1] == ("d1", 3)
    assert not any("stuck" in text for text in two.pool.problems())
    assert len([line for line in log.lines if line.startswith("dashd at d0 follows outdated rules")]) == 1


def test_headers_on_its_chain_do_not_make_the_upgraded_one_stuck(two):
    easy = f"{EASY:08x}"
    for rpc, payload in zip(two.rpcs, (OLD, NEW), strict=True):
        rpc.block(2, coinbase_payload=payload, bits=easy)
    two.rpcs[0].block(3, coinbase_payload=OLD, bits=easy)
    two.pool.headers_heard(NotificationSource.P2P, (header_on(3),))
    two.wait(SILENT_TIME + 5)
    assert len(two.pool.problems()) == 1
    assert two.pool.problem is None


def test_where_the_upgraded_one_dies_it_does_not_take_over(two):
    for rpc, payload in zip(two.rpcs, (OLD, NEW), strict=True):
        rpc.block(2, coinbase_payload=payload)
    two.rpcs[1].die()
    before = len(two.templates)
    two.wait(120)
    two.rpcs[0].block(3, coinbase_payload=OLD)
    two.wait(5)
    assert two.templates[before:] == []
    assert two.serving == "d1"
    assert two.pool.problem is not None


@pytest.mark.parametrize("quick", [False, True])
def test_where_the_network_goes_on_with_its_blocks_alone_it_serves_again(two, quick):
    """The other one has rules of its own, or is cut off: miners must not work on its last block for ever."""
    for rpc, payload in zip(two.rpcs, (OLD, NEW), strict=True):
        rpc.block(2, coinbase_payload=payload)
    for number in range(3, 2 + LEFT_ALONE_BLOCKS):
        two.rpcs[0].block(number, coinbase_payload=OLD)
    two.wait(10 if quick else LEFT_ALONE_TIME + 5, step=1.0)
    assert two.serving == "d1"
    two.rpcs[0].block(2 + LEFT_ALONE_BLOCKS, coinbase_payload=OLD)
    two.wait(5)
    assert two.serving == ("d1" if quick else "d0")
    if not quick:
        two.wait(STUCK_TIME + 1)
        assert [text.partition(" is ")[0][:20] for text in two.pool.problems()] == ["dashd at d1: stuck a"]


def test_blocks_of_the_upgraded_one_keep_it_out(two):
    for rpc, payload in zip(two.rpcs, (OLD, NEW), strict=True):
        rpc.block(2, coinbase_payload=payload)
    two.wait(LEFT_ALONE_TIME, step=1.0)
    two.rpcs[1].block(3, coinbase_payload=NEW, previousblockhash="ab" * 32)
    for number in range(3, 5 + LEFT_ALONE_BLOCKS):
        two.rpcs[0].block(number, coinbase_payload=OLD)
    two.wait(5)
    assert two.serving == "d1"


def test_it_serves_again_once_it_was_upgraded(two, log):
    for rpc, payload in zip(two.rpcs, (OLD, NEW), strict=True):
        rpc.block(2, coinbase_payload=payload)
    two.rpcs[0].die()
    two.wait(2)
    two.rpcs[0].live(2)
    two.rpcs[0].at(2, coinbase_payload=NEW)
    two.wait(20)
    assert two.pool.problems() == []
    assert "dashd at d0 follows the current rules again" in log.lines
    two.rpcs[1].die()
    two.wait(40)
    assert two.serving == "d0"


def test_a_reorganisation_to_before_the_fork_makes_them_equal(two):
    for rpc, payload in zip(two.rpcs, (OLD, NEW), strict=True):
        rpc.block(2, coinbase_payload=payload)
    assert two.pool.problems() != []
    two.wait(2)
    for rpc in two.rpcs:
        rpc.block(1, coinbase_payload=OLD, previousblockhash="cd" * 32)
    assert two.pool.problems() == []


def test_all_upgraded_or_none_is_no_problem(two):
    """Templates for different blocks are not compared, nor versions that nobody knows understood."""
    for payload in (OLD, NEW, UNKNOWN):
        number = int(payload[:2])
        two.rpcs[0].block(number, coinbase_payload=payload)
        assert two.pool.problems() == []
        two.rpcs[1].block(number, coinbase_payload=payload)
        assert two.pool.problems() == []
    assert two.serving == "d0"


# --- before it comes to that -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "other", "text"),
    [
        ("defined", "locked_in", "begins at block 500"),
        ("defined", "active", "has begun"),
        (None, "locked_in", "begins at block 500"),
        ("failed", "active", "has begun"),
        ("started", "locked_in", None),
        ("locked_in", "active", None),
        ("defined", "started", None),
        ("active", "active", None),
        ("buried", "active", None),
    ],
)
def test_a_fork_that_is_locked_in_and_not_known_is_advice(log, own, other, text):
    made = Pool(2)
    info = chain_info(own or "")
    if own is None:
        del info["softforks"]["v24"]
    elif own == "buried":
        info["softforks"]["v24"] = {"type": "buried", "active": True, "height": 500}
    made.rpcs[0].answers["getblockchaininfo"] = info
    made.rpcs[1].answers["getblockchaininfo"] = chain_info(other)
    made.start().wait(FACTS_PERIOD + 1)
    expected = (
        f"dashd at d0 must be upgraded: it does not know hard fork v24, which {text} according to dashd at d1"
    )
    assert made.pool.advice() == ([expected] if text else [])
    made.stop()


@pytest.mark.parametrize("changes", [{"initialblockdownload": True}, {"blocks": CHAIN["blocks"] - 100}])
def test_one_that_is_behind_may_learn_of_it_yet(log, changes):
    made = Pool(2)
    made.rpcs[0].answers["getblockchaininfo"] = chain_info("defined", **changes)
    made.rpcs[1].answers["getblockchaininfo"] = chain_info("locked_in")
    made.start().wait(FACTS_PERIOD + 1)
    assert not any("hard fork" in text for text in made.pool.advice())
    made.stop()


@pytest.mark.parametrize(
    "forks",
    [
        None,
        5,
        [],
        {"v24": 5},
        {"v24": {"bip9": {"status": 7}}},
        {"v24": {"bip9": {}, "height": "x"}},
        {"a" * 999: {}},
    ],
)
def test_malformed_forks_cost_nothing(log, forks):
    made = Pool(2)
    made.rpcs[0].answers["getblockchaininfo"] = CHAIN | {"softforks": forks}
    made.start().wait(FACTS_PERIOD + 1)
    assert made.pool.problems() == []
    made.stop()
