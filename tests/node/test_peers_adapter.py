"""What passes between a node and its peers: what they may ask of it, and what they hear of it."""

from __future__ import annotations

import pytest

from p2pool.base.steps import finish
from p2pool.dash.block import BlockHeader, parse_block
from p2pool.dashd.template import BlockTemplate
from p2pool.node.peers_adapter import AGAIN_AFTER
from p2pool.peers.errors import Misbehaviour
from p2pool.peers.messages import Shares
from p2pool.peers.refusal_budget import TIMES
from p2pool.share.check import RebuiltShare
from p2pool.share.errors import Reason, ShareInvalid
from p2pool.share.share import Share
from p2pool.share.versions import VERSION_16
from p2pool.sharechain.tracker import Thought, Tracker
from tests.chains import NOW, grow_chain
from tests.logged import logged
from tests.peers.members import SHORT, Member, real_template, with_chain
from tests.peers.wiring import Guest, Moment, envelope, transaction
from tests.support import make_template

EVERY_HASH_A_BLOCK = 0x2100FFFF


@pytest.fixture
def log():
    """Whatever is tested here, nothing may raise."""
    with logged() as log:
        yield log
    assert log.tracebacks == []


@pytest.mark.usefixtures("log")
def test_who_sends_a_share_that_breaks_a_rule_of_the_chain_stays_and_who_floods_us_is_banned():
    member = Member(Moment(), 1, SHORT).join()
    neighbours = [Guest(member.hub, f"8.{n}.0.1", nonce=n) for n in (7, 8)]
    invalid = grow_chain(Tracker(SHORT), make_template(), 1, 3)[0]

    def refuse(share: Share) -> None:
        raise ShareInvalid(Reason.GENTX)

    member.tracker.check = refuse
    for sent in range(2 * TIMES * 180):
        neighbours[0].say(Shares((envelope(invalid),)))
        member.moment.run()
        if sent == TIMES * 180 - 1:
            assert neighbours[0].ended is None
    assert isinstance(neighbours[0].ended, Misbehaviour)
    assert neighbours[1].ended is None
    assert member.hub.bans.is_banned("8.7.0.1", member.moment.unix())
    assert invalid.hash not in member.tracker


@pytest.mark.usefixtures("log")
def test_shares_that_are_not_held_any_more_need_no_remembering():
    member = with_chain(Member(Moment(), 1, SHORT), 5).join()
    share = member.tracker.get(member.node.best_share)
    for thought in (Thought(removed=[share]), Thought(pruned=[share])):
        member.hub.broadcaster.mark_sent([share.hash])
        member.node.thought.fire(thought)
        assert member.hub.broadcaster.broadcast([share], []) == 1


@pytest.mark.usefixtures("log")
def test_the_node_learns_how_large_the_transactions_of_others_are():
    """A share whose block would be too large must not be built upon, whoever made it."""
    member = with_chain(Member(Moment(), 1, SHORT), 5).join()
    data = b"\x01" * 321
    member.transactions.add([(0xABC, data)])
    assert member.node._transaction_size(0xABC) == 321


@pytest.mark.usefixtures("log")
def test_the_transactions_of_a_template_are_gone_through_once_for_all_work_on_it():
    member = with_chain(Member(Moment(), 1, SHORT), 5).join()
    passed = []
    member.transactions.set_mining = lambda transactions: passed.append(dict(transactions))
    for number in (1, 2, 1):
        member.node.set_template(real_template(number))
        member.node.renew_work()
        member.node.renew_work()
    first, second = transaction(1).data, transaction(2).data
    assert [list(each.values()) for each in passed] == [[first], [second], [first]]


# --- what peers ask of the node ----------------------------------------------------------------------------------


def test_where_an_answer_may_end():
    member = with_chain(Member(Moment(), 1), 30).join()
    branch = grow_chain(member.tracker, make_template(), 3, 3, None, 9)
    best = member.node.best_share
    newest = [share.hash for share in member.tracker.ancestors(best, 30)]
    assert set(member.pool.request_stops(100)) == {newest[0], newest[10], branch[2].hash, branch[0].hash}
    assert len(member.pool.request_stops(3)) == 3
    assert member.pool.request_stops(0) == ()
    assert Member(Moment(), 1).join().pool.request_stops(100) == ()


def test_who_announced_what_builds_on_a_missing_share():
    """Whoever was asked for it does not count."""
    member = Member(Moment(), 1).join()
    missing, first = grow_chain(Tracker(member.tracker.network), make_template(), 2, 1)
    member.node.add_shares([first], "203.0.113.1:1")
    assert member.pool.senders_above(missing.hash) == {"203.0.113.1:1"}
    assert member.pool.senders_above(first.hash) == set()
    other = Member(Moment(), 2).join()
    other.node.add_shares([first], "203.0.113.2:1", requested=True)
    assert other.pool.senders_above(missing.hash) == set()


def test_the_chain_as_peers_see_it():
    member = with_chain(Member(Moment(), 1), 10).join()
    best = member.pool.best_share_hash()
    assert best == member.node.best_share
    assert member.pool.has_share(best)
    assert not member.pool.has_share(5)
    assert [s.hash for s in member.pool.chain_part(best, 3)] == [s.hash for s in member.tracker.ancestors(best, 3)]
    assert member.pool.chain_part(5, 3) == []
    (parsed,) = finish(member.pool.parse_steps([(VERSION_16, member.tracker.get(best).contents)]))
    assert parsed.hash == best
    assert member.pool.wanted() is member.node.wanted


@pytest.mark.parametrize(
    ("previous_block", "block_hash", "news"),
    [(0xABCD, 1, True), (0xABCD, 2**255, False), (0xABCE, 1, True)],
)
def test_only_a_block_with_its_work_is_news(previous_block, block_hash, news):
    member = Member(Moment(), 1).join()
    header = BlockHeader(1, previous_block, 0, 0, 0x1F00FFFF, 0)
    member.pool.best_block_heard(header, block_hash)
    assert member.heard_of_blocks == int(news)
    member.node.template = None
    member.pool.best_block_heard(header, block_hash)
    assert member.heard_of_blocks == int(news)


# --- what peers hear of the node ---------------------------------------------------------------------------------


class Listener:
    """A member and a peer that listens."""

    def __init__(self, template: BlockTemplate | None = None) -> None:
        self.moment = Moment()
        self.member = Member(self.moment, 1, SHORT)
        self.shares = grow_chain(self.member.tracker, make_template(), 12, 3)
        self.member.join(template)
        self.peer = Guest(self.member.hub, nonce=7)
        self.moment.run()
        self.peer.heard.take()

    def heard(self) -> list[list[bytes]]:
        return [[share.contents for share in said.shares] for said in self.peer.heard.take(Shares)]

    def block_from(
        self, transactions: tuple[int, ...] = (), previous_block: int = 0xABCD, parent: Share | None = None
    ) -> Share:
        """A share on top of ours, or of that one, which another node found and which is a block."""
        best = self.member.node.best_share if parent is None else parent.hash
        other = Tracker(SHORT)
        for share in reversed(list(self.member.tracker.ancestors(best, 100))):
            other.add(share, NOW)
            other.trust(share.hash)
        template = real_template(*transactions, bits=EVERY_HASH_A_BLOCK, previous_block=previous_block)
        (share,) = grow_chain(other, template, 1, 1, best, 9)
        assert share.is_block
        return share

    def give(self, share: Share) -> None:
        self.member.pool.add_shares([share], "8.5.0.1:4000")
        self.moment.run()


@pytest.mark.usefixtures("log")
def test_what_was_held_at_the_start_is_not_sent():
    listener = Listener()
    share = listener.member.mine()
    assert listener.heard() == [[share.contents]]


@pytest.mark.usefixtures("log")
def test_a_block_of_ours_waits_until_it_is_written_and_what_stands_on_it_with_it():
    listener = Listener(make_template(bits=EVERY_HASH_A_BLOCK))
    member = listener.member
    member.announcing = False
    block = member.mine()
    assert block.is_block
    assert listener.heard() == []
    member.node.set_template(make_template(long_poll_id="y"))
    member.announcing = True
    successor = member.mine()
    assert not successor.is_block
    assert member.node.best_share == successor.hash
    assert listener.heard() == []
    member.news.share_announced((block, True))
    listener.moment.run()
    assert sorted(contents for said in listener.heard() for contents in said) == sorted(
        [block.contents, successor.contents]
    )
    assert member.news._held_back == set()


@pytest.mark.usefixtures("log")
def test_a_share_of_ours_that_is_no_block_does_not_wait():
    listener = Listener()
    listener.member.announcing = False
    share = listener.member.mine()
    assert listener.heard() == [[share.contents]]
    listener.member.news.share_announced((share, True))
    assert listener.heard() == []


@pytest.mark.usefixtures("log")
def test_a_block_that_a_peer_found_is_sent_to_dashd_whole():
    listener = Listener()
    items = [transaction(n) for n in (1, 2)]
    listener.member.transactions.add([(item.hash, item.data) for item in items])
    share = listener.block_from(transactions=(1, 2))
    listener.give(share)
    (found,) = listener.member.blocks
    block = parse_block(found.data)
    assert block.header.hash() == found.block_hash == found.share_hash == share.hash
    assert found.height == 200
    assert found.time == parse_block(found.data).header.timestamp  # not when this node heard of it
    assert [tx.hash for tx in block.transactions[1:]] == [item.hash for item in items]
    assert share.contents in [contents for said in listener.heard() for contents in said]
    assert_quiet_after_five_seconds(listener, 1)


def assert_quiet_after_five_seconds(listener: Listener, blocks: int) -> None:
    listener.moment.now += AGAIN_AFTER
    listener.member.tick()
    assert len(listener.member.blocks) == blocks
    assert listener.heard() == []


@pytest.mark.usefixtures("log")
def test_without_all_its_transactions_a_block_cannot_be_sent():
    listener = Listener()
    items = [transaction(n) for n in (1, 2)]
    listener.member.transactions.add([(items[0].hash, items[0].data)])
    listener.give(listener.block_from(transactions=(1, 2)))
    assert listener.member.blocks == []


@pytest.mark.usefixtures("log")
def test_a_block_of_ours_is_not_sent_to_dashd_a_second_time():
    listener = Listener(make_template(bits=EVERY_HASH_A_BLOCK))
    listener.member.mine()
    assert listener.member.blocks == []


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize("known", [True, False])
def test_a_block_on_a_block_that_is_not_known_yet_is_looked_at_again_after_five_seconds(known):
    listener = Listener()
    share = listener.block_from(previous_block=0x1234)
    listener.give(share)
    assert listener.member.blocks == []
    if known:
        listener.member.node.learn_block_height(0x1234, 198)
    listener.moment.run()
    listener.moment.now += AGAIN_AFTER
    listener.member.tick()
    assert [block.share_hash for block in listener.member.blocks] == [share.hash] * known
    # Its parent lies one below the block that the template (of height 200) stands on.
    assert [block.height for block in listener.member.blocks] == [199] * known


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize(("height", "news"), [(195, True), (194, False)])
def test_a_block_is_spread_where_it_is_recent_though_it_is_not_the_best_share(height, news):
    listener = Listener()
    best = listener.member.node.best_share
    listener.member.node.learn_block_height(0x1234, height)
    share = listener.block_from(previous_block=0x1234, parent=listener.shares[3])
    listener.give(share)
    assert listener.member.node.best_share == best
    assert [block.height for block in listener.member.blocks] == [height + 1] * news
    assert listener.heard() == [[share.contents]] * news
    assert_quiet_after_five_seconds(listener, int(news))


@pytest.mark.usefixtures("log")
def test_a_block_that_dashd_is_on_already_has_its_own_height_not_that_of_the_next():
    listener = Listener()
    share = listener.block_from(previous_block=0x1234)
    listener.member.node.set_template(make_template(previous_block=share.hash))
    listener.give(share)
    assert [block.height for block in listener.member.blocks] == [listener.member.node.template.height - 1]


@pytest.mark.usefixtures("log")
def test_a_block_that_was_forgotten_meanwhile_is_nothing():
    listener = Listener()
    share = listener.block_from()
    listener.member.node.thought.fire(Thought(verified=[share]))
    listener.moment.now += AGAIN_AFTER
    listener.member.tick()
    assert listener.member.blocks == []
    assert listener.heard() == []


@pytest.mark.usefixtures("log")
def test_a_block_whose_share_does_not_name_its_transactions_is_passed_on_but_cannot_be_submitted(monkeypatch):
    listener = Listener()
    share = listener.block_from()
    monkeypatch.setattr(listener.member.node.tracker, "rebuild", lambda share: RebuiltShare(b"a coinbase", None))
    listener.give(share)
    assert listener.member.blocks == []
    assert listener.heard() == [[share.contents]]
