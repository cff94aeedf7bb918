"""Malicious participants of a simulated world, as far as they can be tried without one."""

from __future__ import annotations

import random
import sys
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from p2pool.dash.target import target_to_bits
from p2pool.jobs.context import build_work_context
from p2pool.jobs.job import Job
from p2pool.peers.errors import Drop, Misbehaviour
from p2pool.peers.messages import Message
from p2pool.share.generation import PayeeFields
from p2pool.sharechain.tracker import Thought, Tracker
from p2pool.wire.framer import frame
from tests.chains import NOW, easy_network, grow_chain
from tests.peers.wiring import NETWORK, Talk, version
from tests.simulation.adversaries import KINDS, make_adversaries
from tests.simulation.adversaries.dishonest_node import Income, newest_shown
from tests.simulation.adversaries.false_time import LIES, FalseTime
from tests.simulation.adversaries.floods import TRICKS, HalfMessages
from tests.simulation.adversaries.forge import cheap_chain
from tests.simulation.adversaries.selfish import Selfish
from tests.simulation.adversaries.slow import DRIP, Slow
from tests.simulation.adversaries.thief import thievish
from tests.simulation.invariants.cost import StepsAreShort
from tests.support import make_template


def bare(kind: type, **attributes: Any) -> Any:
    """An adversary without a world."""
    adversary = kind.__new__(kind)
    vars(adversary).update(attributes)
    return adversary


def test_every_kind_says_what_it_hopes_for():
    for kind in KINDS.values():
        assert " hopes " in f"{kind.__doc__}".replace("\n", " ")


def test_an_unknown_kind_is_an_error():
    world = SimpleNamespace(adversaries={"nobody": 1})
    with pytest.raises(ValueError, match="nobody is not known"):
        list(make_adversaries(SimpleNamespace(world=world)))  # type: ignore[arg-type]


def test_gain_is_what_a_hash_earned_compared_with_an_honest_one():
    income = Income(hash_part=0.25, work_part=0.5, found=9, in_chain=8, duffs=1, paid_part=0.4)
    assert income.gain == 2.0


# --- forged chains -----------------------------------------------------------------------------------------------


def test_a_forged_chain_is_valid_old_and_as_cheap_as_rules_allow():
    network = easy_network()
    shares = cheap_chain(network, make_template(), 12, key_hash=b"\x01" * 20, end=int(NOW))
    tracker = Tracker(network)
    for share in shares:
        tracker.add(share, NOW)
        tracker.check(share)
    assert {share.bits for share in shares} == {target_to_bits(network.max_target)}
    assert shares[-1].timestamp == int(NOW)
    steps = {after.timestamp - before.timestamp for before, after in pairwise(shares)}
    assert steps == {2 * network.share_period - 1}


# --- selfish mining ----------------------------------------------------------------------------------------------


class Fork:
    """A selfish node's branch of `mine` shares, and `others` shares of the others, on ten that are common."""

    def __init__(self, mine: int, others: int) -> None:
        self.tracker = Tracker(easy_network())
        common = grow_chain(self.tracker, make_template(), 10, 1)[-1].hash
        self.shown: list[int] = []
        self.branch = [share.hash for share in grow_chain(self.tracker, make_template(), mine, 1, common, 2)]
        self.others = grow_chain(self.tracker, make_template(), others, 1, common, 3) if others else []
        self.selfish = bare(Selfish, branch=list(self.branch), wins=0, losses=0)
        self.secret = dict.fromkeys(self.branch)
        self.react()

    def react(self) -> None:
        process: Any = SimpleNamespace(node=SimpleNamespace(tracker=self.tracker))
        self.selfish._react(process, self, Thought())

    def publish(self, hashes: list[int]) -> None:
        """Take the part of a Veil."""
        self.shown += hashes
        for share_hash in hashes:
            del self.secret[share_hash]


def test_a_selfish_node_shows_nothing_while_nobody_else_finds_anything():
    assert Fork(mine=3, others=0).shown == []


def test_a_selfish_node_shows_all_when_it_is_one_share_ahead():
    fork = Fork(mine=3, others=2)
    assert fork.shown == fork.branch
    assert (fork.selfish.wins, fork.selfish.branch) == (1, [])


def test_a_selfish_node_that_is_level_shows_all_and_works_on():
    fork = Fork(mine=1, others=1)
    assert fork.shown == fork.branch == fork.selfish.branch


def test_a_selfish_node_far_ahead_shows_as_much_as_the_others_have():
    fork = Fork(mine=4, others=1)
    assert fork.shown == fork.branch[:1]
    fork.react()
    assert fork.shown == fork.branch[:1]
    assert fork.selfish.branch == fork.branch


def test_a_selfish_node_that_is_behind_gives_up():
    fork = Fork(mine=1, others=2)
    assert (fork.shown, fork.selfish.losses, fork.selfish.branch) == ([], 1, [])


def test_what_is_secret_is_hidden_behind_the_nearest_share_that_is_not():
    fork = Fork(mine=3, others=0)
    node: Any = SimpleNamespace(tracker=fork.tracker)
    common = fork.tracker.ancestors(fork.branch[0], 2)
    assert newest_shown(node, fork.branch[-1], fork.secret) == list(common)[1].hash
    assert newest_shown(node, fork.branch[-1], {}) == fork.branch[-1]
    assert newest_shown(node, None, fork.secret) is None


# --- what the others send ----------------------------------------------------------------------------------------


class Wire:
    """Takes the place of a link: keeps what is written, and when."""

    def __init__(self) -> None:
        self.network = NETWORK
        self.written: list[tuple[float, bytes]] = []
        self.later: list[tuple[float, Any, tuple[Any, ...]]] = []
        self.is_open = True
        self.identity: Any = SimpleNamespace(links={self: None})
        self.reactor: Any = self

    def callLater(self, delay: float, function: Any, *arguments: Any) -> None:
        self.later.append((delay, function, arguments))

    def write(self, data: bytes) -> None:
        self.written.append((0.0, data))

    def frame(self, message: Message) -> bytes:
        return frame(NETWORK.prefix, message.command, message.pack())

    def send(self, message: Message) -> None:
        self.write(self.frame(message))

    def reset(self) -> None:
        self.is_open = False


@pytest.mark.parametrize("trick", TRICKS)
@pytest.mark.parametrize("ready", [True, False])
def test_no_trick_with_half_messages_does_more_than_end_the_connection(trick, ready):
    for seed in range(5):
        wire, chance = Wire(), random.Random(seed)
        adversary = bare(HalfMessages, chance=chance, introduction=lambda link: version())
        trick(adversary, wire)
        talk = Talk(ready=ready)
        try:
            talk.raw(b"".join(data for _, data in wire.written))
        except (Drop, Misbehaviour):
            continue
        assert wire.written


def test_a_slow_peer_sends_everything_a_bit_at_a_time_and_just_in_time():
    wire = Wire()
    slow = bare(Slow, events=SimpleNamespace(now=100.0), _free={})
    slow.drip(wire, bytes(range(100)), 12.0)
    slow.drip(wire, b"more", 13.0)
    assert b"".join(arguments[0] for _, _, arguments in wire.later) == bytes(range(100)) + b"more"
    times = [delay for delay, _, _ in wire.later]
    assert times == sorted(times)
    assert 10.0 < times[-2] <= times[-1] <= 13.0 + DRIP


def test_each_lie_about_the_time_has_its_turn():
    liar = bare(FalseTime, period=300.0, events=SimpleNamespace(now=0.0))
    told = []
    for turn in range(len(LIES)):
        liar.events.now = turn * 300.0
        told.append(liar.lie)
    assert tuple(told) == LIES


def test_a_liars_share_is_forged_if_no_rule_allows_its_timestamp():
    tracker = Tracker(easy_network())
    parent, child = grow_chain(tracker, make_template(), 2, 1)[-2:]
    process: Any = SimpleNamespace(node=SimpleNamespace(tracker=tracker))
    liar = bare(FalseTime, simulation=SimpleNamespace(network=tracker.network))
    assert not liar._breaks_rules(process, child)
    for seconds, breaks in ((0, True), (1, False), (2 * tracker.network.share_period, True)):
        share: Any = SimpleNamespace(previous_hash=parent.hash, timestamp=parent.timestamp + seconds)
        assert liar._breaks_rules(process, share) is breaks


# --- stolen payouts ----------------------------------------------------------------------------------------------


def test_a_thiefs_job_pays_nobody_but_its_finder():
    tracker = Tracker(easy_network())
    best = grow_chain(tracker, make_template(), 5, 1)[-1].hash
    context = build_work_context(tracker, best, template=make_template(), network=tracker.network, now=NOW)
    assert context.payouts.amounts
    honest = Job(context, PayeeFields(bytes(20), 0, 0, 1), desired_target=1, share_timestamp=1, header_timestamp=1)
    job = thievish(honest)
    assert not job.context.payouts.amounts
    assert job.coinb1 != honest.coinb1
    assert (job.bits, job.share_timestamp, job.timestamp) == (honest.bits, 1, 1)


# --- the count of steps ------------------------------------------------------------------------------------------


def test_calls_are_counted_the_same_each_time():
    costs = bare(StepsAreShort, most={})
    for _ in range(2):
        assert costs.count("sorting", lambda: sorted(str(number) for number in range(50))) is not None
    first = dict(costs.most)
    costs.count("sorting", lambda: sorted(str(number) for number in range(50)))
    assert costs.most == first
    assert first["sorting"] > 50
    assert sys.getprofile() is None
