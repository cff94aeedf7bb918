"""The node: what new templates and shares make of the work, and what happens to solved work, in which order."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from p2pool.dash.address import encode_address
from p2pool.dash.block import parse_block
from p2pool.dash.target import difficulty_to_target, target_to_average_attempts
from p2pool.jobs.job_maker import LOCAL_PART
from p2pool.share.errors import Reason, ShareInvalid
from p2pool.share.share import STALE_DOA, STALE_NONE, STALE_ORPHAN
from p2pool.sharechain.store import StoredShare
from p2pool.sharechain.tracker import UNKNOWN_BLOCK_HEIGHT
from tests.chains import NOW, grow_chain
from tests.home import EVERY_HASH_A_BLOCK, KEY, OPERATOR, Home, at_work, elsewhere
from tests.logged import logged
from tests.support import make_template


def test_the_first_template_makes_work():
    home = Home()
    assert home.node.make_job(KEY, None) is None
    home.node.set_template(make_template())
    assert home.names() == ["work_changed"]
    job = home.node.make_job(KEY, None)
    assert job.key_hash == KEY
    assert home.node.is_current(job)


@pytest.mark.parametrize(
    ("changes", "clean"),
    [
        ({"previous_block": 0xBEEF, "height": 201}, True),
        ({"transactions": [b"\x05" * 32]}, False),
        ({"subsidy": 49_000_000_000}, False),
        ({"bits": 0x1F00FFFE}, False),
    ],
)
def test_a_template_of_other_work_is_reported_at_once(changes, clean):
    home = at_work()
    job = home.node.make_job(KEY, None)
    home.node.set_template(make_template(**changes))
    change = home.last("work_changed")
    assert change.clean is clean
    assert change.context is home.node.context
    assert home.node.is_current(job) is not clean
    assert home.soon == []  # not even a turn of the reactor later


@pytest.mark.parametrize(("before", "after", "clean"), [(3, 4, True), (4, 3, True), (4, 4, False)])
def test_another_version_of_the_coinbase_payload_makes_clean_work(before, after, clean):
    """Another daemon, which was upgraded for a hard fork: blocks of the former work would be refused. Shares of it
    are as good as ever."""
    home = Home()
    home.node.set_template(make_template(coinbase_payload=before.to_bytes(2, "little") + bytes(60)))
    job = home.node.make_job(KEY, None)
    home.node.set_template(make_template(coinbase_payload=after.to_bytes(2, "little") + bytes(61)))
    assert home.last("work_changed").clean is clean
    assert home.node.is_current(job)


def test_a_template_of_the_same_work_disturbs_nobody():
    home = at_work()
    home.node.set_template(make_template(current_time=1_700_000_030, received=NOW + 30, long_poll_id="y"))
    assert home.names() == []


def test_a_new_share_makes_clean_work_on_it_for_everyone():
    home = at_work()
    old_job = home.node.make_job(KEY, None)
    share = home.mine()
    assert home.node.best_share == share.hash
    assert home.last("work_changed").clean is True
    assert home.node.context.parent.previous_hash == share.hash
    assert not home.node.is_current(old_job)
    assert home.node.make_job(KEY, None).context is home.node.context


def test_a_share_that_does_not_become_the_best_changes_no_work():
    home = at_work()
    early_job = home.node.make_job(KEY, None)
    for _ in range(3):
        home.mine()
    home.told.clear()
    home.mine(job=early_job)
    assert "work_changed" not in home.names()


def test_a_template_that_no_share_can_carry_leaves_the_old_work():
    home = at_work()
    context = home.node.context
    with logged() as log:
        home.node.set_template(make_template(height=201, previous_block=5, subsidy=1, payments=(("!6a", 2),)))
    assert home.node.context is context
    assert home.names() == []
    assert len(log.lines) == 1
    assert "201" in log.lines[0]
    assert not log.tracebacks
    assert "201" in home.node.work_problem
    home.node.set_template(make_template(height=202, previous_block=6))
    assert home.last("work_changed").clean
    assert home.node.work_problem is None


def test_blocks_that_would_be_refused_are_work_and_said_once():
    home = at_work()
    assert home.node.block_problems() == []
    with logged() as log:
        for number in range(201, 206):
            refused = make_template(height=number, previous_block=number, refusal=f"{number} bytes are too many")
            home.node.set_template(refused)
            assert home.last("work_changed").context.template is refused
    assert log.lines == ["a block found now would be rejected: 201 bytes are too many"]
    assert home.node.block_problems() == ["a block found now would be rejected: 205 bytes are too many"]
    home.node.set_template(make_template(height=206, previous_block=206))
    assert home.node.block_problems() == []


def test_what_is_left_out_so_that_blocks_fit_is_known():
    home, empty = at_work(), bytes.fromhex("02000000000000000000")
    template = make_template(transactions=[bytes([n]) * 32 for n in range(3)], previous_block=5)
    transactions = tuple(t._replace(data=empty, fee=7) for t in template.transactions)
    whole = replace(template, transactions=transactions, depends=((),) * 3)
    home.node.set_template(whole)
    assert (home.node.context.left_out, home.node.block_problems()) == (0, [])
    job = home.node.make_job(b"\xee" * 20, None)
    limit = len(job.check(bytes(8), timestamp=job.timestamp, nonce=0, version=job.version).block()) - 1
    tight = replace(whole, size_limit=limit, previous_block=6)
    home.node.set_template(tight)
    context = home.node.context
    assert (context.left_out, context.whole_template) == (1, tight)
    assert context.template.subsidy == tight.subsidy - 7
    assert home.node.template is tight
    (notice,) = home.node.block_problems()
    assert notice.startswith("1 of 3 transactions, 7 duffs of fees, are left out")
    assert home.solve().gentx
    home.node.set_template(replace(tight, received=tight.received + 15))
    assert home.node.context is context


def test_the_header_s_time_is_dashd_s_and_goes_on():
    home = at_work(current_time=1_700_000_500, received=NOW)
    home.now += 7
    assert home.node.make_job(KEY, None).timestamp == 1_700_000_507
    home = at_work(current_time=1_700_000_000, minimum_time=1_700_000_900)
    assert home.node.make_job(KEY, None).timestamp == 1_700_000_900


@pytest.mark.parametrize(("fee", "expected"), [(0.0, 0), (25.0, 25), (100.0, 100)])
def test_the_fee_is_a_part_of_the_jobs(fee, expected):
    class Dice(random.Random):
        rolls = iter(range(100))

        def uniform(self, low, high):
            assert (low, high) == (0, 100)
            return next(self.rolls)

    Dice.rolls = iter(range(100))
    home = Home(fee=fee, rng=Dice(1))
    home.node.set_template(make_template())
    paid = [home.node.make_job(KEY, None).key_hash for _ in range(100)]
    assert paid.count(OPERATOR) == expected
    assert set(paid) <= {OPERATOR, KEY}


def test_the_fee_goes_to_the_miner_while_the_operator_has_no_address():
    home = Home(fee=100.0)
    home.operator = None
    home.node.set_template(make_template())
    assert home.node.make_job(KEY, None).key_hash == KEY
    home.operator = b"\x02" * 20
    assert home.node.make_job(KEY, None).key_hash == b"\x02" * 20


# --- the share target --------------------------------------------------------------------------------------------


def desired(home: Home, share_difficulty: float | None = None, key: bytes = KEY) -> int:
    return home.node._jobs.desired_target(home.node.context, key, share_difficulty=share_difficulty, now=home.now)


def test_a_share_is_as_easy_as_it_may_be_unless_the_miner_wishes_otherwise():
    home = at_work()
    assert desired(home) == 2**256 - 1
    assert desired(home, 2.0**-20) == difficulty_to_target(2.0**-20)


def test_a_node_that_finds_a_large_part_makes_harder_shares():
    home = at_work()
    home.stats.record_accepted("x", attempts=6e8, difficulty=1.0, dead=False, now=NOW)
    home.now += 300
    rate = home.stats.hash_rate(home.now)
    assert rate > 0
    wished = target_to_average_attempts(desired(home))
    assert wished == pytest.approx(rate * home.network.share_period / LOCAL_PART, rel=1e-6)


def grown(count: int = 200, pace: float = 20, **changes) -> Home:
    home = Home(chain_length=400)
    grow_chain(home.tracker, make_template(), count, 5, pace=pace)
    home.now = NOW + count * pace
    home.node.loaded()
    home.node.set_template(make_template(**changes))
    return home


def test_who_would_be_paid_dust_makes_harder_shares_and_who_earns_does_not():
    home = grown()
    template = home.node.template
    dust = home.network.parent.dust_threshold
    attempts = target_to_average_attempts(template.target) * home.network.spread * dust / template.subsidy
    assert target_to_average_attempts(desired(home)) == pytest.approx(attempts, rel=0.01)
    address = encode_address(home.network.parent.addresses.pubkey_hash, KEY)
    home.stats.record_accepted(
        address + ".a", attempts=60.0, difficulty=1.0, dead=False, now=home.now
    )  # a large part of a tiny pool
    easier = desired(home)
    assert target_to_average_attempts(easier) != pytest.approx(attempts, rel=0.01)


def test_rates_that_all_addresses_share_are_asked_for_once_a_second_and_context(monkeypatch):
    home, asked = grown(), []
    terms = home.node.job_terms
    real = terms.local_rate
    monkeypatch.setattr(terms, "local_rate", lambda now: (asked.append(now), real(now))[1])
    for number in range(10):
        desired(home, key=bytes([number]) * 20)
    assert len(asked) == 1
    home.now += 1
    desired(home)
    assert len(asked) == 2
    home.node.set_template(make_template(subsidy=1))
    desired(home)
    assert len(asked) == 3


def test_what_is_dust_in_a_slow_pool_is_reported_by_the_rate_that_it_has():
    """By timestamps it would seem 92 times as fast, and everybody's part of it as small."""
    home = grown(pace=3600)
    desired(home)
    best = home.tracker.get(home.node.best_share)
    assert home.node.job_terms._pool_rate == (best.hash, pytest.approx(best.attempts / 3600))


def test_a_block_that_pays_nothing_still_has_work():
    home = grown(subsidy=0)
    assert home.node.make_job(KEY, None) is not None


# --- solved work -------------------------------------------------------------------------------------------------


def test_a_block_is_sent_before_anything_else_is_done():
    home = at_work(bits=EVERY_HASH_A_BLOCK)
    outcome = home.solve()
    home.node.solved(outcome, "me.rig")
    found = home.last("block_found")
    assert home.names() == ["block_found", "add", "share_added", "record_share"]
    assert (found.block_hash, found.share_hash) == (outcome.hash, outcome.hash)
    assert (found.height, found.worker, found.subsidy) == (200, "me.rig", 50_000_000_000)
    # What is sent is the block: header and coinbase are those that were hashed.
    block = parse_block(found.data)
    assert block.header.hash() == outcome.hash
    assert found.data[:80] == outcome.header


def test_a_block_on_an_old_template_is_sent_as_that_template_says():
    home = at_work(bits=EVERY_HASH_A_BLOCK)
    outcome = home.solve()
    home.node.set_template(make_template(previous_block=0xBEEF, height=201, bits=EVERY_HASH_A_BLOCK))
    home.told.clear()
    home.node.solved(outcome, "w")
    found = home.last("block_found")
    assert home.names()[0] == "block_found"
    assert found.height == 200
    assert parse_block(found.data).header.previous_block == 0xABCD
    (record,) = home.stats.snapshot(home.now).recent_shares
    assert record.dead


def test_a_block_whose_share_the_chain_refuses_was_sent_all_the_same():
    home = at_work(bits=EVERY_HASH_A_BLOCK)

    def refuse(share):
        raise ShareInvalid(Reason.GENTX)

    home.tracker.check = refuse
    outcome = home.solve()
    with logged() as log:
        home.node.solved(outcome, "w")
        assert home.names()[0] == "block_found"
        home.run()
    assert home.node.best_share is None
    assert outcome.hash not in home.tracker
    (line,) = log.lines
    assert f"{outcome.hash:064x}" in line
    assert Reason.GENTX.value in line


def test_a_block_that_is_no_share_is_sent_and_is_no_share():
    home = at_work(bits=EVERY_HASH_A_BLOCK)
    job = home.node.make_job(KEY, None)
    job.share_target = 0
    outcome = job.check(bytes(8), timestamp=job.timestamp, nonce=1, version=job.version)
    home.node.solved(outcome, "w")
    assert home.last("block_found").share_hash is None
    assert home.names() == ["block_found"]
    assert home.soon == []


def test_a_subscriber_that_fails_does_not_keep_the_share_from_being_held():
    home = at_work(bits=EVERY_HASH_A_BLOCK)
    home.node.block_found.subscribe(lambda found: 1 / 0)
    outcome = home.solve()
    with logged() as log:
        home.node.solved(outcome, "w")
    assert len(log.tracebacks) == 1
    assert outcome.hash in home.tracker


def test_an_own_share_is_held_reported_and_counted_and_no_block():
    home = at_work()
    share = home.mine()
    announced, own = home.last("share_added")
    assert (announced.hash, own) == (share.hash, True)
    names = home.names()
    assert names == ["add", "share_added", "record_share", "thought", "work_changed"]
    snapshot = home.stats.snapshot(home.now)
    assert (snapshot.shares, snapshot.dead_shares) == (1, 0)
    assert snapshot.recent_shares[0].attempts == share.attempts
    assert home.tracker.arrival(share.hash).sender is None


def test_the_same_share_twice_is_reported_once():
    home = at_work()
    outcome = home.solve()
    home.node.solved(outcome, "w")
    home.run()
    home.told.clear()
    home.node.solved(outcome, "w")
    assert home.names() == ["add"]
    assert home.soon == []
    assert home.stats.snapshot(home.now).shares == 1
    assert home.node.stale_counts().dead == 0


def test_what_meets_nothing_does_nothing():
    home = at_work()
    job = home.node.make_job(KEY, None)
    job.share_target = job.block_target = 0
    home.node.solved(job.check(bytes(8), timestamp=job.timestamp, nonce=1, version=job.version), "w")
    assert home.names() == []


# --- shares from elsewhere ---------------------------------------------------------------------------------------


def test_shares_of_peers_are_thought_about_once_and_make_work():
    home = at_work()
    shares = elsewhere(home, None, 10)
    home.now += 400
    assert home.node.add_shares(shares[:5], "peer") == 5
    assert home.node.add_shares(shares, "peer") == 5
    assert home.node.add_shares(shares[:3], "other") == 0
    assert len(home.soon) == 1
    assert [value[1] for name, value in home.told if name == "share_added"] == [False] * 10
    home.told.clear()
    home.run()
    assert home.names() == ["thought", "work_changed"]
    assert home.node.best_share == shares[-1].hash
    assert home.tracker.arrival(shares[0].hash).sender == "peer"


def test_missing_parents_are_wanted():
    home = at_work()
    shares = elsewhere(home, None, 10)
    home.now += 200
    home.node.add_shares(shares[4:], "peer")
    home.run()
    assert home.node.wanted == [shares[3].hash]
    assert home.node.best_share is None
    home.node.add_shares(shares[:4], "peer")
    home.run()
    assert home.node.wanted == []
    assert home.node.best_share == shares[-1].hash


def test_what_the_store_kept_is_taken_over_without_being_announced():
    home = Home()
    shares = elsewhere(home, None, 10)
    home.node.load(StoredShare(share, NOW, number < 8, number % 2 == 0) for number, share in enumerate(shares))
    home.node.loaded()
    assert home.node.best_share == shares[-1].hash
    assert [share.hash for share in home.last("thought").verified] == [shares[9].hash, shares[8].hash]
    assert set(home.names()) == {"add", "thought"}  # no share_added, and no template yet: no work
    assert home.node.stale_counts().total == 5
    home.node.set_template(make_template())
    assert home.node.context.parent.previous_hash == shares[-1].hash


def test_an_unknown_height_is_asked_for_and_the_choice_is_made_again_when_it_is_known():
    home = at_work()
    wanted: list = []
    home.node.block_wanted.subscribe(wanted.append)
    assert home.node.block_height(0xDEAD) == UNKNOWN_BLOCK_HEIGHT
    assert wanted == [0xDEAD]
    home.node.learn_block_height(0xDEAD, 150)
    assert len(home.soon) == 1
    home.run()
    assert home.node.block_height(0xDEAD) == 150 - 199
    home.node.learn_block_height(0xDEAD, 150)
    assert home.soon == []
    assert wanted == [0xDEAD]


def test_heights_of_parent_blocks():
    home = at_work()
    home.node.set_template(make_template(previous_block=0xBEEF, height=203))
    assert home.node.block_height(0xBEEF) == 0
    assert home.node.block_height(0xABCD) == -3
    home.node.set_template(make_template(height=200))  # a reorganisation: what was higher is no help now
    assert home.node.block_height(0xBEEF) == 0
    assert home.node.block_height(0xF00) == UNKNOWN_BLOCK_HEIGHT
    assert Home().node.block_height(1) == UNKNOWN_BLOCK_HEIGHT


# --- stales ------------------------------------------------------------------------------------------------------


def stale_info(home: Home) -> int:
    return home.solve().share().stale_info


def test_a_dead_share_is_announced_once():
    home = at_work()
    assert stale_info(home) == STALE_NONE
    early_job = home.node.make_job(KEY, None)
    for _ in range(3):
        home.mine()
    home.mine(job=early_job)
    home.mine()
    counts = home.node.stale_counts()
    assert (counts.total, counts.dead, counts.orphans, counts.dead_recorded) == (5, 1, 0, 0)
    assert home.mine().stale_info == STALE_DOA
    assert home.node.stale_counts().dead_recorded == 1
    assert home.mine().stale_info == STALE_NONE


def test_an_orphan_is_announced_once():
    home = at_work()
    base = home.mine()
    fork = elsewhere(home, base.hash, 9)
    lost = home.mine()
    home.now += 300
    home.node.add_shares(fork, "peer")
    home.run()
    assert home.node.best_share == fork[-1].hash
    counts = home.node.stale_counts()
    assert (counts.total, counts.orphans, counts.dead) == (2, 1, 0)
    assert home.mine().stale_info == STALE_ORPHAN
    assert home.mine().stale_info == STALE_NONE
    assert lost.hash not in [share.hash for share in home.tracker.ancestors(home.node.best_share, 100)]


def test_shares_that_grew_old_do_not_pass_for_orphans():
    """What the tracker forgets at the old end of the chain once counted as stale: a node that finds little
    announced orphans with every share."""
    home = at_work()
    home.mine()
    for seed in range(12):
        best = home.node.best_share
        home.now = float(home.tracker.get(best).timestamp) + 210
        home.node.add_shares(elsewhere(home, best, 10, seed), "peer")
        home.run()
    assert home.tracker.height(home.node.best_share) < 121  # the first one is forgotten
    counts = home.node.stale_counts()
    assert (counts.total, counts.orphans) == (0, 0)
    assert stale_info(home) == STALE_NONE


def test_own_shares_are_remembered_within_bounds():
    home = Home(chain_length=4320)
    shares = elsewhere(home, None, 520)
    home.now += 520 * 20
    home.node.load(StoredShare(share, NOW, True, True) for share in shares)
    home.node.loaded()
    assert home.node.stale_counts().total == 500


def test_templates_are_remembered_within_bounds():
    home = Home()
    template = make_template()
    for number in range(5100):
        home.node.set_template(replace(template, previous_block=number, long_poll_id=str(number)))
    assert len(home.node._block_heights) == 5000


def test_where_something_stands_against_it_there_is_no_work():
    home = at_work()
    assert home.node.make_job(KEY, None) is not None
    home.node.may_work = lambda: "nobody is there"
    with logged() as log:
        home.node.set_template(make_template(previous_block=0xBEEF))
        home.node.renew_work()
    assert home.node.work_problem == "nobody is there"
    assert home.node.make_job(KEY, None) is None
    assert len(log.lines) == 1
    home.node.may_work = lambda: None
    home.node.renew_work()
    assert home.node.work_problem is None
    assert home.node.make_job(KEY, None) is not None
    assert home.names()[-1] == "work_changed"


def test_of_shares_that_a_peer_announces_the_newest_came_live():
    """Those that it builds on may be old: the peer sends what we may lack."""
    home = at_work()
    shares = elsewhere(home, None, 10)
    home.node.add_shares(shares[:5], "peer", requested=True)
    home.node.add_shares(shares[5:], "peer")
    arrivals = [home.tracker.arrival(share.hash) for share in shares]
    assert [arrival.live for arrival in arrivals] == [False] * 9 + [True]
    outcome = home.solve()
    home.node.solved(outcome, "w")
    assert home.tracker.arrival(outcome.hash).live
