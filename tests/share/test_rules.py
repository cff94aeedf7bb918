"""Every rule of the share chain by itself: what breaks only it is refused for it, its neighbour is accepted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pool.share.errors import Reason, ShareInvalid
from p2pool.share.parsing import parse_share
from p2pool.share.rules import parent_context
from p2pool.share.share import STALE_DOA, STALE_NONE, STALE_ORPHAN
from p2pool.share.versions import VERSION_16
from p2pool.sharechain.tracker import Tracker
from tests.share.breaches import CHAIN, LOAD, Breach, World
from tests.share.builder import (
    EASY,
    START,
    mined,
    share_of,
    target_limit,
    to_bits,
    to_target,
    valid_draft,
    work_nonce,
)


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def test_every_reason_has_a_breaker():
    assert set(LOAD) | set(CHAIN) == set(Reason)
    assert not set(LOAD) & set(CHAIN)


def assert_neighbour_is_accepted(breach: Breach) -> None:
    tracker = breach.elsewhere or breach.tracker
    share = parse_share(VERSION_16, breach.good, tracker.network)
    tracker.check(share)


@pytest.mark.parametrize("reason", LOAD, ids=lambda r: r.name)
def test_rules_that_need_no_parents(world, reason):
    for breach in LOAD[reason](world):
        with pytest.raises(ShareInvalid) as caught:
            parse_share(VERSION_16, breach.bad, EASY)
        assert caught.value.reason is reason, breach.label
        assert_neighbour_is_accepted(breach)


@pytest.mark.parametrize("reason", CHAIN, ids=lambda r: r.name)
def test_rules_against_the_chain(world, reason):
    for breach in CHAIN[reason](world):
        share = parse_share(VERSION_16, breach.bad, EASY)
        with pytest.raises(ShareInvalid) as caught:
            breach.tracker.check(share)
        assert caught.value.reason is reason, breach.label
        assert_neighbour_is_accepted(breach)


def test_the_chain_of_the_builder_is_valid_throughout(world):
    """The builder's reading of the rules is the checker's, from the first share on."""
    for tracker in (world.tracker, world.fast):
        for node in tracker.forest.nodes.values():
            tracker.check(node.share)


@pytest.mark.parametrize("distance", [101, 109])
def test_a_reference_beyond_100_shares_loads_but_is_never_canonical(world, distance):
    draft = replace(world.draft(world.announced(distance)), new_hashes=(), refs=((distance, 0),))
    share = parse_share(VERSION_16, mined(draft), EASY)
    with pytest.raises(ShareInvalid) as caught:
        world.tracker.check(share)
    assert caught.value.reason is Reason.TRANSACTION_REFS


def test_a_hash_equal_to_the_target_is_enough(world):
    """Equality cannot be mined: the hash is given."""
    draft = world.draft()
    contents, target = draft.contents(work_nonce(draft)), to_target(draft.bits)
    assert parse_share(VERSION_16, contents, EASY, known_hash=target).hash == target
    with pytest.raises(ShareInvalid) as caught:
        parse_share(VERSION_16, contents, EASY, known_hash=target + 1)
    assert caught.value.reason is Reason.NO_WORK


def test_a_hash_equal_to_the_block_s_target_is_a_block(world):
    draft = world.draft(block_bits=0x1F00FFFF)
    contents, target = draft.contents(work_nonce(draft)), to_target(draft.block_bits)
    assert parse_share(VERSION_16, contents, EASY, known_hash=target).is_block
    assert not parse_share(VERSION_16, contents, EASY, known_hash=target + 1).is_block


@pytest.mark.parametrize(("last", "possible"), [(2**32 - 2, True), (2**32 - 1, False)])
def test_no_work_is_made_on_the_last_timestamp_of_all(last, possible):
    tracker, tip = parents_with_times(EASY, [last])
    context = parent_context(tracker, tip, EASY)
    if possible:
        assert context.timestamp_for(START, EASY) == 2**32 - 1
        return
    with pytest.raises(ShareInvalid) as caught:
        context.timestamp_for(START, EASY)
    assert caught.value.reason is Reason.TIMESTAMP


def test_nothing_follows_a_share_that_is_not_held():
    tracker, _ = parents_with_times(EASY, [START])
    with pytest.raises(ShareInvalid) as caught:
        parent_context(tracker, 5, EASY)
    assert caught.value.reason is Reason.NOT_CHECKABLE


@pytest.mark.parametrize("before", [2**127 - 1, 2**127, 2**128 - 16, 2**128 - 1])
def test_accumulated_work_has_128_bits(before):
    """An unverified parent claims it."""
    tracker = Tracker(EASY)
    parent = share_of(replace(valid_draft(tracker, None), abswork=before))
    tracker.add(parent, 0.0)
    share = share_of(valid_draft(tracker, parent.hash))
    assert share.abswork == (before + 16) % 2**128
    tracker.check(share)


def test_what_shares_announce_of_stale_ones():
    assert (STALE_NONE, STALE_ORPHAN, STALE_DOA) == (0, 253, 254)


# --- the retarget ----------------------------------------------------------------------------------------


def test_the_retarget_begins_at_a_height_of_target_lookbehind():
    tracker = Tracker(EASY)
    shares = []
    for _ in range(EASY.target_lookbehind + 1):
        previous = shares[-1].hash if shares else None
        share = share_of(valid_draft(tracker, previous, seconds=1))
        tracker.check(share)
        tracker.add(share, 0.0)
        shares.append(share)
    easiest = to_bits(EASY.max_target)
    assert [share.max_bits for share in shares[:-1]] == [easiest] * EASY.target_lookbehind
    # In 9 s came 9 shares of 16 attempts: far too many, so the target goes down as far as it may at once.
    assert shares[-1].max_bits == to_bits(shares[-2].max_target * 9 // 10)


def parents_with_times(network, times):
    """A tracker with shares of these timestamps, valid or not, and the last one's hash."""
    tracker, tip = Tracker(network), None
    for time in times:
        share = share_of(replace(valid_draft(tracker, tip), timestamp=time))
        tracker.add(share, 0.0)
        tip = share.hash
    return tracker, tip


@pytest.mark.parametrize("seconds", [1, 0, -1, -50])
def test_time_that_goes_backwards_over_the_window_counts_as_one_second(seconds):
    """The window is one share here, so that one second more or less is seen at once; a valid chain's timestamps
    rise, but below an unrooted chain anything may stand."""
    network = replace(EASY, target_lookbehind=2, share_period=1)
    tracker, tip = parents_with_times(network, (START, START + seconds))
    work_of_one = 2**256 // (to_target(to_bits(network.max_target)) + 1)
    expected = to_bits(min(2**256 // work_of_one - 1, network.max_target))
    share = share_of(valid_draft(tracker, tip, seconds=1))
    assert share.max_bits == expected
    tracker.check(share)


@pytest.mark.parametrize(
    ("sign", "seconds"), [(-1, 1), (1, 90 * 17)], ids=["as fast as can be", "as slow as can be"]
)
def test_the_retarget_moves_a_tenth_at_most(sign, seconds):
    """From a target in the middle, which an unverified parent claims."""
    tracker, tip = parents_with_times(EASY, [START + seconds * n for n in range(9)])
    middle = to_bits(2**250)
    parent = replace(valid_draft(tracker, tip), timestamp=START + seconds * 9, max_bits=middle, bits=middle)
    share = share_of(parent)
    tracker.add(share, 0.0)
    draft = valid_draft(tracker, share.hash, seconds=1)
    assert draft.max_bits == to_bits(2**250 * (10 + sign) // 10)
    tracker.check(share_of(draft))


def test_the_retarget_is_exact_where_the_compact_form_shows_the_last_bit():
    """16 attempts a second: 2**252 - 1, which is truncated to another compact form than 2**252."""
    network = replace(EASY, target_lookbehind=2, share_period=1, max_target=2**254)
    tracker, tip = parents_with_times(network, [START])
    claim = replace(valid_draft(tracker, tip, seconds=1), max_bits=0x200FFFFF, bits=0x200FFFFF)
    parent = share_of(claim)
    assert parent.minimum_attempts == 16
    tracker.add(parent, 0.0)
    draft = valid_draft(tracker, parent.hash, seconds=1)
    assert draft.max_bits == 0x200FFFFF
    tracker.check(share_of(draft))
    assert parent_context(tracker, parent.hash, network).target_limit == 2**252 - 1


def test_an_idle_chain_s_target_is_not_infinite():
    """Fewer attempts than seconds: the quotient is 0, which stands for the easiest target of all."""
    network = replace(EASY, max_target=2**256 - 1)
    tracker, tip = parents_with_times(network, [START + 1000 * n for n in range(10)])
    limit = target_limit([tracker.get(tip), *tracker.ancestors(tracker.get(tip).previous_hash, 99)], network)
    assert limit == min(to_target(0x2100FFFF) * 11 // 10, 2**256 - 1)
    draft = valid_draft(tracker, tip)
    assert draft.max_bits == to_bits(2**256 - 1)
    tracker.check(share_of(draft))
