"""Whole nodes among nodes: chains and shares find their way, and nobody is dropped on it."""

from __future__ import annotations

from itertools import pairwise

import pytest

from p2pool.peers.errors import Misbehaviour
from tests.logged import logged
from tests.peers.members import Member, Street, bests, real_template, with_chain
from tests.peers.wiring import Moment, transaction


@pytest.fixture
def log():
    """Whatever is tested here, nothing may raise."""
    with logged() as log:
        yield log
    assert log.tracebacks == []


@pytest.mark.usefixtures("log")
def test_a_new_node_gets_the_chain_and_then_both_hear_of_each_others_shares():
    moment = Moment()
    old, new = with_chain(Member(moment, 1), 200).join(), Member(moment, 2).join()
    street = Street(old, new)
    street.connect(new, old)
    street.settle(20)
    assert bests(new) == bests(old) != [None]
    assert len(new.tracker) == len(new.tracker.verified) == 200
    asked = new.hub.downloader.received
    for miner in (old, new, new, old, new):
        share = miner.mine()
        street.settle()
        assert bests(old, new) == [share.hash] * 2
    assert new.hub.downloader.received == asked, "new shares come by themselves"
    assert len(old.tracker) == len(new.tracker) == 205
    assert street.all_stand()


@pytest.mark.usefixtures("log")
def test_two_forks_converge_on_the_one_with_more_work():
    moment = Moment()
    one, other = with_chain(Member(moment, 1), 30, seed=1).join(), with_chain(Member(moment, 2), 45, seed=2).join()
    longer = other.node.best_share
    assert bests(one) != bests(other)
    street = Street(one, other)
    street.connect(one, other)
    street.settle(20)
    assert bests(one, other) == [longer] * 2
    share = one.mine()
    street.settle()
    assert bests(one, other) == [share.hash] * 2
    assert street.all_stand()


@pytest.mark.usefixtures("log")
def test_a_share_crosses_a_street_of_nodes():
    moment = Moment()
    members = [Member(moment, number).join() for number in range(1, 5)]
    street = Street(*members)
    for one, other in pairwise(members):
        street.connect(one, other)
    for miner in (members[0], members[3], members[2]):
        share = miner.mine()
        street.settle(3)
        assert bests(*members) == [share.hash] * 4
    assert street.all_stand()


@pytest.mark.usefixtures("log")
def test_downloading_goes_on_after_a_lost_peer():
    moment = Moment()
    old, new = with_chain(Member(moment, 1), 150).join(), Member(moment, 2).join()
    third = with_chain(Member(moment, 3), 150).join()
    street = Street(old, new, third)
    street.connect(new, old)
    share = old.mine()
    new.fail(new.hub.peers[0], Misbehaviour("gone"))
    street.wires.clear()
    street.connect(new, third)
    street.settle(20)
    assert len(new.tracker.verified) >= 150
    assert share.previous_hash in new.tracker


@pytest.mark.usefixtures("log")
def test_a_new_connection_hears_of_no_share_that_is_held_back_nor_of_any_above_it():
    moment = Moment()
    one, other = Member(moment, 1).join(), Member(moment, 2).join()
    one.announcing = False
    first, block, _ = [one.mine() for _ in range(3)]
    one.pool.held_back.add(block.hash)
    street = Street(one, other)
    street.connect(one, other)
    street.settle()
    assert other.node.best_share == first.hash
    assert block.hash not in other.tracker
    one.pool.held_back.clear()
    assert one.pool.shown_share_hash() == one.node.best_share != first.hash


@pytest.mark.usefixtures("log")
def test_transactions_come_before_the_shares_that_name_them():
    moment = Moment()
    one, other = Member(moment, 1).join(real_template(1, 2)), Member(moment, 2).join()
    street = Street(one, other)
    street.connect(one, other)
    assert set(other.transactions.known) == {transaction(n).hash for n in (1, 2)}
    first = one.mine()
    assert set(first.new_transaction_hashes) == {transaction(n).hash for n in (1, 2)}
    street.settle()
    one.node.set_template(real_template(2, 3, long_poll_id="y", height=201))
    late = one.node.make_job(bytes(20), None)
    one.node.set_template(real_template(4, long_poll_id="z", height=202))
    outcome = next(
        o
        for n in range(999)
        if (o := late.check(bytes(8), timestamp=late.timestamp, nonce=n, version=late.version)).meets_share
    )
    one.node.solved(outcome, "late")
    one.news.share_announced((outcome.share(), True))
    moment.run()
    street.settle()
    assert outcome.hash in other.tracker
    assert bests(other) == bests(one)
    (session,) = other.hub.peers
    assert set(session.remembered) == {transaction(4).hash}
    assert street.all_stand()
