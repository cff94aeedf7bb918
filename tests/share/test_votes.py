"""What shares of this node vote for, and what c2pool-dash makes of votes: its own vectors, and each case of its
rule."""

from __future__ import annotations

import pytest

from p2pool.networks import NETWORKS
from p2pool.networks.parameters import SHARE_VERSION
from p2pool.share.votes import (
    C2POOL_FLOOR,
    LEGACY_SWITCHES,
    LEVELS,
    C2poolRefusal,
    OldWindow,
    c2pool_lifts_floor,
    c2pool_refusal,
    own_vote,
    reaches,
)

OUTDATED, TOO_SHORT, TOO_EARLY = C2poolRefusal
ALL_16, ALL_36 = {16: 100}, {36: 100}


@pytest.mark.parametrize("parent", [None, 0, 15, 16, 17, 36, 2**64 - 1])
@pytest.mark.parametrize("work", [None, {}, ALL_16, {16: 40, 36: 60}, ALL_36, {37: 100}])
def test_a_share_of_this_node_votes_16_whatever_others_vote(parent, work):
    assert own_vote(parent, work) == SHARE_VERSION == 16


def test_the_old_window_of_each_network():
    assert OldWindow.of(4320) == OldWindow(start=3888, count=432)
    for network in NETWORKS.values():
        window = OldWindow.of(network.chain_length)
        assert 0 < window.count < window.start < window.start + window.count <= network.chain_length


@pytest.mark.parametrize(
    ("part", "total", "percent", "expected"),
    [
        # test_dash_conformance.cpp: SuccessorGuard60PercentWeightedKat, CrossingSuccessorFloor85Kat, V36Gate...
        (6, 10, 60, True),
        (60, 100, 60, True),
        (59, 100, 60, False),
        (85, 100, 85, True),
        (84, 100, 85, False),
        (95, 100, 95, True),
        (94, 100, 95, False),
        (19, 20, 95, True),
        (18, 20, 95, False),
        (95 << 240, 100 << 240, 95, True),
        (94 << 240, 100 << 240, 95, False),
        ((95 << 240) - 1, 100 << 240, 95, False),
        (0, 0, 60, False),
        (0, 0, 0, False),
        (0, 5, 0, False),
        (1, 10**40, 0, True),
        (1, 1, 60, True),
    ],
)
def test_levels_are_exact(part, total, percent, expected):
    assert reaches(part, total, percent) is expected


def test_the_levels_are_in_order():
    assert LEVELS == (0, 50, 60, 85, 95)


def test_facts_of_other_software():
    assert (LEGACY_SWITCHES, C2POOL_FLOOR) == (85, 3600)


def judged(vote, parent, *, chain=ALL_16, window=ALL_16, has_history=True):
    return c2pool_refusal(vote, parent, has_history=has_history, chain_work=chain, window_work=window)


@pytest.mark.parametrize("vote", [0, 16, 36, 37])
@pytest.mark.parametrize("has_history", [True, False])
@pytest.mark.parametrize("work", [{}, ALL_16, ALL_36])
def test_c2pool_accepts_any_vote_that_is_the_parent_s_and_any_first_share(vote, has_history, work):
    for parent in (vote, None):
        assert judged(vote, parent, chain=work, window=work, has_history=has_history) is None


@pytest.mark.parametrize(
    ("vote", "parent", "more", "expected"),
    [
        # test_dash_conformance.cpp, DashConformanceVersionWiring
        (36, 16, {"has_history": False}, TOO_SHORT),
        (36, 16, {"chain": ALL_36, "window": ALL_36}, None),
        (36, 16, {}, TOO_EARLY),
        (16, 36, {"chain": ALL_36, "window": ALL_36}, OUTDATED),
        # the levels
        (36, 16, {"window": {16: 40, 36: 60}}, None),
        (36, 16, {"window": {16: 41, 36: 59}}, TOO_EARLY),
        (36, 16, {"window": {37: 60, 36: 40}}, TOO_EARLY),
        (36, 16, {"window": {}}, TOO_EARLY),
        (16, 36, {"chain": {16: 5, 36: 95}}, OUTDATED),
        (16, 36, {"chain": {16: 6, 36: 94}}, None),
        (16, 36, {"chain": {37: 100}}, None),
        (16, 36, {"chain": ALL_36, "has_history": False}, None),
        (35, 36, {"chain": ALL_36}, OUTDATED),
        (36, 37, {"chain": {37: 100}}, None),
        # a vote below 36 that rises meets both rules
        (35, 16, {"chain": ALL_36, "window": {35: 100}}, OUTDATED),
        (35, 16, {"window": {35: 100}}, None),
        # a share of ours on one that votes lower
        (16, 15, {"has_history": False}, TOO_SHORT),
        (16, 15, {}, None),
        (16, 15, {"window": {15: 41, 16: 59}}, TOO_EARLY),
        # no vote at all, where the whole work is one hash
        (16, 36, {"chain": {16: 1}}, None),
        (36, 16, {"window": {16: 1}}, TOO_EARLY),
    ],
)
def test_what_c2pool_refuses(vote, parent, more, expected):
    assert judged(vote, parent, **more) is expected


@pytest.mark.parametrize(
    ("vote", "work", "has_history", "expected"),
    [
        # test_dash_auto_ratchet.cpp
        (36, {36: 100}, True, True),
        (36, {36: 95, 35: 5}, True, True),
        (36, {36: 94, 35: 6}, True, False),
        (36, {36: 95, 35: 6}, True, True),  # rounded down: 101 * 95 // 100 = 95
        (36, {35: 100}, True, False),
        (36, {35: 2}, True, False),  # rounded down: 2 * 95 // 100 = 1
        (36, {36: 96 << 256, 35: 4 << 256}, True, True),
        (36, {36: 1000, 35: 10}, True, True),
        (36, {36: 100}, False, False),
        (16, {16: 100}, True, False),  # all agree on the old version
        (37, {37: 100}, True, True),
        (37, {36: 100}, True, False),
    ],
)
def test_when_c2pool_lifts_its_lowest_accepted_protocol(vote, work, has_history, expected):
    assert c2pool_lifts_floor(vote, has_history=has_history, window_work=work) is expected
