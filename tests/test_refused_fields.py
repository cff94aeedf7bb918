"""Shares that c2pool-dash accepts, since it does not compare these fields with the chain, and this node refuses.

Their generation transaction is the right one and they have their work: nothing but one field is wrong. Whoever
sends such a share, and what was built on it, relays what its own rules accept: it stays connected, and the work is
counted.
"""

from __future__ import annotations

import pytest

from p2pool.peers.errors import Misbehaviour
from p2pool.peers.messages import Shares
from p2pool.peers.refusal_budget import TIMES
from p2pool.share.errors import Reason
from p2pool.share.parsing import parse_share
from p2pool.share.share import Share
from p2pool.share.versions import VERSION_16
from p2pool.sharechain.refused import WINDOW
from p2pool.sharechain.tracker import Tracker
from tests.chains import NOW
from tests.peers.members import Member
from tests.peers.wiring import Guest, Moment, envelope
from tests.share.breaches import CHAIN, Breach, World
from tests.share.builder import EASY, START, chain_below, grow

UNCHECKED = (
    Reason.MAX_BITS,
    Reason.BITS,
    Reason.TIMESTAMP,
    Reason.ABSHEIGHT,
    Reason.ABSWORK,
    Reason.FAR_SHARE,
    Reason.REF_TOO_FAR,
    Reason.NEW_TRANSACTIONS_NOT_NAMED,
    Reason.TRANSACTION_REFS,
    Reason.MERKLE_LINK,
)
HOST = "8.7.0.1"


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def breach_of(world: World, reason: Reason) -> Breach:
    """One whose share stands on the world's long or fast chain."""
    parents = {share.hash for share in world.tracker.heads()} | {world.fast_tip}
    return next(b for b in CHAIN[reason](world) if parse_share(VERSION_16, b.bad, EASY).previous_hash in parents)


def neighbours(tracker: Tracker, bad: Share) -> tuple[Member, Guest]:
    """A node that holds the chain below the share, all of it heard more than an hour ago, and its peer."""
    member = Member(Moment(), 1, EASY)
    member.moment.now = START - NOW
    for share in reversed(chain_below(tracker, bad.previous_hash)):
        member.tracker.add(share, member.moment.unix() - 2 * WINDOW)
        member.tracker.trust(share.hash)
    member.join()
    member.transactions.add([(tx_hash, b"") for tx_hash in bad.new_transaction_hashes])
    guest = Guest(member.hub, HOST, nonce=7)
    member.node.refused.software_of = {guest.session.label: "c2pool"}.get
    return member, guest


@pytest.mark.parametrize("reason", UNCHECKED, ids=lambda reason: reason.name)
def test_it_is_refused_and_noticed_and_its_sender_is_kept(world, reason):
    breach = breach_of(world, reason)
    bad = parse_share(VERSION_16, breach.bad, EASY)
    member, guest = neighbours(breach.tracker, bad)
    other = Tracker(EASY)
    for share in (*reversed(chain_below(breach.tracker, bad.previous_hash)), bad):
        other.add(share, 0.0)
    best = member.node.best_share
    for share in (bad, *grow(other, 2, bad.hash)):
        guest.say(Shares((envelope(share),)))
        member.moment.run()
        assert share.hash not in member.tracker
    figures = member.node.refused.figures(member.moment.unix())
    [branch] = figures.branches
    assert (branch.first_share, branch.reason, branch.shares) == (bad.hash, reason.value, 3)
    assert branch.software == {"c2pool": 3}
    assert reason.value in (figures.problem or "")
    assert guest.ended is None
    assert not member.hub.bans.is_banned(HOST, member.moment.unix())
    assert (member.node.best_share, member.node.context.parent.previous_hash) == (best, best)
    assert member.node.wanted == []


def test_its_software_may_have_it_as_the_best_share_and_is_not_asked_for_it_again(world):
    breach = breach_of(world, Reason.ABSHEIGHT)
    bad = parse_share(VERSION_16, breach.bad, EASY)
    member, guest = neighbours(breach.tracker, bad)
    guest.say(Shares((envelope(bad),)))
    member.moment.run()
    guest.heard.take()
    member.hub.share_hash_heard(bad.hash, guest.session)
    assert guest.heard.take() == []
    assert guest.ended is None


def test_a_flood_of_cheap_ones_costs_the_connection(world):
    """Each is a share of its own, far easier than what the chain asks for."""
    bad = parse_share(VERSION_16, breach_of(world, Reason.ABSHEIGHT).bad, EASY)
    member, guest = neighbours(world.tracker, bad)
    other = Tracker(EASY)
    for share in (*reversed(chain_below(world.tracker, bad.previous_hash)), bad):
        other.add(share, 0.0)
    guest.say(Shares((envelope(bad),)))
    member.moment.run()
    member.node.refused._asked = 4 * bad.attempts
    hour = 3600 // EASY.share_period
    sent = 1
    cheap = grow(other, 1, bad.hash)[0]
    while guest.ended is None and sent < 10 * TIMES * hour:
        guest.say(Shares((envelope(cheap),)))
        member.moment.run()
        sent += 1
    assert sent == pytest.approx(TIMES * hour / 4, abs=2)
    assert isinstance(guest.ended, Misbehaviour)
    assert member.hub.bans.is_banned(HOST, member.moment.unix())
