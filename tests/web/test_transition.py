"""Rehearsals in process: chains on which 0, 50, 60 and 95 % of the work votes for version 36. What this node
mints, what it accepts, what it warns of, and what API and metrics say."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from p2pool.alerts.watch import Thresholds, Watch
from p2pool.base.warn_once import WarnOnce
from p2pool.jobs.context import build_work_context
from p2pool.jobs.job import Job
from p2pool.pool_stats import EventKind
from p2pool.share.generation import PayeeFields
from p2pool.share.share import Share
from p2pool.share.versions import parse_envelope
from p2pool.web.api.transition import MOST_VERSIONS
from p2pool.web.votes import branch_problem, chain_votes
from tests.chains import voting
from tests.logged import logged
from tests.support import make_template
from tests.web.pages import Pool

LENGTH = 100
"""CHAIN_LENGTH of these chains: the window is 10 shares, from the best share's 90th parent back."""
SHARES = LENGTH + 20
TRANSITION = "/api/v1/transition"
C2POOL_RULES = ["c2pool_accepts", "legacy_switches", "c2pool_lifts_floor", "c2pool_refuses_old"]


def every(percent: int):
    """Votes of which so many of a hundred are for 36, spread evenly."""
    return lambda number: 36 if (number + 1) * percent // 100 > number * percent // 100 else 16


def make(percent: int, count: int = SHARES) -> Pool:
    """A node on such a chain, with work."""
    return Pool(count, make_template(), chain_length=LENGTH, vote=every(percent))


@cache
def rehearsed(percent: int) -> Pool:
    """One whose figures were made. Not to be changed."""
    pool = make(percent)
    with logged() as log:
        pool.refresh()
    assert not log.tracebacks
    return pool


def transition(pool: Pool) -> dict:
    pool.refresh()
    return pool.ask(TRANSITION).json


def solved(job: Job) -> Share:
    """A share of this job."""
    return next(
        outcome.share()
        for nonce in range(1 << 16)
        if (outcome := job.check(bytes(8), timestamp=job.timestamp, nonce=nonce, version=job.version)).meets_share
    )


def from_a_peer(pool: Pool, version: int) -> Share:
    """A share upon the best one that votes for a version, as its bytes come from a peer."""
    pool.now += 20
    tracker, template = pool.tracker, make_template()
    context = build_work_context(
        tracker, pool.node.best_share, template=template, network=tracker.network, now=pool.now
    )
    payee = PayeeFields(b"\x05" * 20, 655, 0, version & 0xFFFFFFFF)
    made = solved(
        Job(
            voting(context, tracker, version),
            payee,
            desired_target=2**256 - 1,
            share_timestamp=int(pool.now),
            header_timestamp=template.current_time,
        )
    )
    return parse_envelope(made.envelope, tracker.network)


# --- what is minted and accepted ---------------------------------------------------------------------------------


@pytest.mark.parametrize("percent", [0, 50, 60, 95, 100])
def test_what_is_minted_votes_16(percent):
    pool = make(percent)
    pool.node.renew_work()
    share = solved(pool.node.make_job(b"\x07" * 20, None))
    assert share.desired_version == 16
    assert share.previous_hash == pool.node.best_share
    pool.tracker.check(parse_envelope(share.envelope, pool.tracker.network))


@pytest.mark.parametrize("percent", [0, 50, 60, 95])
@pytest.mark.parametrize("version", [16, 17, 36, 2**64 - 1, 0])
def test_what_a_peer_s_share_votes_for_never_has_it_refused(percent, version):
    """As legacy p2pool-dash. Our next share is built upon it and votes 16."""
    pool = make(percent)
    for _ in range(2):
        share = from_a_peer(pool, version)
        assert share.desired_version == version
        thoughts = []
        pool.node.thought.subscribe(thoughts.append)
        assert pool.node.add_shares([share], "10.0.0.9:8999") == 1
        assert not thoughts[-1].refused
        assert not thoughts[-1].bad_senders
        assert pool.node.best_share == share.hash
        assert share.hash in pool.tracker.verified
    ours = solved(pool.node.make_job(b"\x07" * 20, None))
    assert (ours.previous_hash, ours.desired_version) == (share.hash, 16)


# --- what is said ------------------------------------------------------------------------------------------------


def test_0_percent_nothing_is_about_to_change():
    told = transition(rehearsed(0))
    votes = told["votes"]
    assert (votes["own"], votes["parent"], votes["enough_shares"], votes["problem"]) == (16, 16, True, None)
    assert votes["chain"]["versions"] == [{"version": 16, "work": 1.0, "shares": LENGTH}]
    assert (votes["window"]["from_parent"], votes["window"]["shares"], votes["window"]["wanted"]) == (90, 10, 10)
    assert [level["percent"] for level in votes["levels"]] == [0, 50, 60, 85, 95]
    assert not any(level["chain"] or level["window"] for level in votes["levels"])
    assert told["votes"]["chain"]["newer"] == told["votes"]["window"]["newer"] == 0
    nothing = {"version": None, "own_shares_refused": False, "own_share_now": None, "steps": []}
    assert told["next"] == {**nothing, "share_period": 20}


@pytest.mark.parametrize(
    ("percent", "levels", "reached", "says"),
    [
        (30, [0], [], None),
        (50, [0, 50], [], "50% of the last hour's work votes for share versions above 16 (mostly 36), which"),
        (60, [0, 50, 60], ["c2pool_accepts"], "60% of the last hour's work votes for"),
        # c2pool-dash rounds 95 % of these ten hashes down to nine.
        (90, [0, 50, 60, 85], C2POOL_RULES[:3], "90% of the last hour's work votes for"),
        (
            100,
            [0, 50, 60, 85, 95],
            C2POOL_RULES,
            "100% of the share chain's work votes for share version 36, so c2pool-dash rejects this node's shares",
        ),
    ],
)
def test_levels_rules_and_warnings(percent, levels, reached, says):
    pool = rehearsed(percent)
    told = transition(pool)
    work = percent / 100
    assert told["votes"]["chain"]["newer_work"] == pytest.approx(work)
    assert told["votes"]["window"]["newer_work"] == pytest.approx(work)
    for span in ("chain", "window"):
        assert [level["percent"] for level in told["votes"]["levels"] if level[span]] == levels
    steps = {step["rule"]: step for step in told["next"]["steps"]}
    assert told["next"]["version"] == 36
    assert list(steps) == C2POOL_RULES
    assert [rule for rule, step in steps.items() if step["reached"]] == reached
    assert {rule: step["percent"] for rule, step in steps.items()} == dict(
        zip(C2POOL_RULES, (60, 85, 95, 95), strict=True)
    )
    for step in steps.values():
        assert step["part"] == pytest.approx(work)
        assert step["missing"] == pytest.approx(max(0, step["percent"] / 100 - work))
        assert (step["at_the_earliest"]["shares"] == 0) == step["reached"]
        assert (step["at_present_rate"] == {"shares": 0, "seconds": 0}) == step["reached"]
        if step["percent"] > percent + 20:  # a window of ten shares swings by ten percent
            assert step["at_present_rate"] is None
        assert step["at_the_earliest"]["seconds"] == step["at_the_earliest"]["shares"] * 20
    warnings = [text for text in pool.ask("/api/v1/node").json["warnings"] if text.startswith("votes: ")]
    problem = told["votes"]["problem"]
    assert warnings == ([] if says is None else [f"votes: {problem}"])
    assert says is None or problem.startswith(says)
    assert told["next"]["own_shares_refused"] == (percent >= 95)


def test_95_percent_of_the_work_is_where_our_shares_are_refused():
    """Exactly: one share less, and they are not."""
    pool = Pool(LENGTH, make_template(), chain_length=LENGTH, vote=lambda number: 16 if number < 5 else 36)
    told = transition(pool)
    assert told["votes"]["chain"]["versions"][0] == {"version": 36, "work": 0.95, "shares": 95}
    assert told["next"]["own_shares_refused"] is True
    assert told["next"]["own_share_now"] == "95 % of the chain's work votes for 36"
    assert "p2pool_own_votes_refused 1.0" in pool.views.metrics.decode()
    pool = Pool(LENGTH, make_template(), chain_length=LENGTH, vote=lambda number: 16 if number < 6 else 36)
    told = transition(pool)
    assert (told["next"]["own_shares_refused"], told["next"]["own_share_now"]) == (False, None)
    assert "p2pool_own_votes_refused 0.0" in pool.views.metrics.decode()


def test_upon_a_share_that_votes_16_ours_passes_always():
    pool = Pool(
        SHARES, make_template(), chain_length=LENGTH, vote=lambda number: 16 if number == SHARES - 1 else 36
    )
    told = transition(pool)
    assert told["votes"]["parent"] == 16
    assert told["next"]["own_shares_refused"] is True
    assert told["next"]["own_share_now"] is None


def test_when_the_votes_come_into_the_window():
    """All of the last 30 shares vote 36: the window is 60 shares behind the oldest of them."""
    pool = Pool(SHARES, make_template(), chain_length=LENGTH, vote=lambda n: 36 if n >= SHARES - 30 else 16)
    told = transition(pool)
    steps = {step["rule"]: step for step in told["next"]["steps"]}
    assert told["votes"]["window"]["newer_work"] == 0
    assert steps["c2pool_accepts"]["missing"] == pytest.approx(0.6)
    assert steps["c2pool_accepts"]["at_the_earliest"] == {"shares": 66, "seconds": 66 * 20}
    assert steps["c2pool_lifts_floor"]["at_the_earliest"]["shares"] == 70
    assert steps["c2pool_refuses_old"]["part"] == pytest.approx(0.3)
    assert steps["c2pool_refuses_old"]["at_the_earliest"]["shares"] == 65


def test_a_chain_that_is_too_short_says_so():
    for count in (0, 1, 2, LENGTH - 1):
        pool = Pool(count, make_template(), chain_length=LENGTH, vote=lambda number: 36)
        told = transition(pool)
        assert told["votes"]["enough_shares"] is False
        assert told["votes"]["chain"]["shares"] == count
        assert told["votes"]["chain"]["wanted"] == LENGTH
        assert all(level["chain"] is level["window"] is None for level in told["votes"]["levels"])
        assert told["next"]["own_shares_refused"] is None
        for step in told["next"]["steps"]:
            assert step["part"] is step["reached"] is step["at_present_rate"] is step["at_the_earliest"] is None
        # The hour of a young chain says enough to warn.
        assert (told["votes"]["problem"] is not None) == (count >= 2)
        text = pool.views.metrics.decode()
        assert 'p2pool_newer_votes_ratio{span="chain"}' not in text
        assert ('p2pool_newer_votes_ratio{span="recent"}' in text) == (count >= 2)


def test_versions_that_are_listed_are_few_however_many_there_are():
    pool = Pool(SHARES, make_template(), chain_length=LENGTH, vote=lambda number: 2**64 - 1 - number)
    told = transition(pool)
    chain = told["votes"]["chain"]
    assert len(chain["versions"]) == MOST_VERSIONS
    assert chain["other_versions"] == LENGTH - MOST_VERSIONS
    assert chain["newer_work"] == pytest.approx(1.0)
    assert told["next"]["version"] > 36
    assert [step["rule"] for step in told["next"]["steps"]] == C2POOL_RULES[:3]


def test_another_version_than_36():
    pool = Pool(SHARES, make_template(), chain_length=LENGTH, vote=lambda number: 17)
    told = transition(pool)
    assert [step["rule"] for step in told["next"]["steps"]] == C2POOL_RULES[:2]
    assert told["next"]["own_shares_refused"] is False
    assert "(mostly 17)" in told["votes"]["problem"]


@pytest.mark.parametrize(
    ("vote", "found"),
    [
        (lambda depth: 16, None),
        (lambda depth: 36 if depth == 20 else 16, (1, 20)),
        (lambda depth: 36 if depth in (20, 50) else 16, (2, 20)),
        (lambda depth: 36 if depth == 4 else 16, None),  # it may yet be orphaned
        (lambda depth: 36 if depth == 200 else 16, None),  # it is more than an hour old
        (lambda depth: 16 if depth == 20 else 36, (1, 20)),  # as one of ours would be
        (lambda depth: 36 if depth % 3 else 16, None),  # 60 % of each window, less than 95 % of the chain
        (lambda depth: 36 if depth % 2 else 16, (53, 5)),  # half; below the 110th too little is held
        (lambda depth: 36 if depth > 90 or depth == 20 else 16, (1, 90)),  # 16 upon a chain of 36; 60 % at 20
        (lambda depth: 17 if depth == 20 else 16, (1, 20)),
        (lambda depth: 15 if depth == 20 else 16, None),
    ],
)
def test_a_share_of_the_best_chain_that_c2pool_refuses_is_named(vote, found):
    """Of 300 shares an hour has 180; depths count from the best share."""
    pool = Pool(300, make_template(), chain_length=LENGTH, vote=lambda number: vote(299 - number))
    told = transition(pool)["votes"]["refused_by_c2pool"]
    warnings = [text for text in pool.ask("/api/v1/node").json["warnings"] if text.startswith("branch: ")]
    if found is None:
        assert told == {"shares": 0, "newest": None, "shares_above": None, "problem": None}
        assert warnings == []
        return
    newest = pool.shares[299 - found[1]]
    assert (told["shares"], told["shares_above"]) == found
    assert told["newest"] == f"{newest.hash:064x}"
    assert warnings == [f"branch: {told['problem']}"]
    assert (
        f"{found[0]} in the last hour (the newest votes for {newest.desired_version}, its parent share for "
        in warnings[0]
    )
    assert f"p2pool_refused_votes {float(found[0])}" in pool.views.metrics.decode()


def test_a_further_refused_share_is_no_further_line_in_the_log():
    warnings = WarnOnce()
    for depth in (20, 21, 30):
        pool = Pool(
            300, make_template(), chain_length=LENGTH, vote=lambda n, at=depth: 36 if 299 - n == at else 16
        )
        problem = branch_problem(chain_votes(pool.sources))
        assert warnings.new([problem]) == ([problem] if depth == 20 else [])


def test_on_a_young_chain_every_vote_that_rises_is_refused_unless_more_may_be_known():
    pool = Pool(30, make_template(), chain_length=LENGTH, vote=lambda number: 36 if number == 9 else 16)
    assert transition(pool)["votes"]["refused_by_c2pool"]["shares_above"] == 20
    pool.tracker.forest.remove(pool.shares[0].hash)
    pool.node.best_share = pool.shares[-2].hash  # another one
    assert transition(pool)["votes"]["refused_by_c2pool"]["shares"] == 0


# --- one place that says it --------------------------------------------------------------------------------------


def test_all_that_speaks_of_votes_agrees():
    pool = rehearsed(60)
    told = transition(pool)["votes"]["recent"]
    assert pool.ask("/api/v1/pool").json["version_votes"] == {
        str(one["version"]): one["work"] for one in told["versions"]
    }
    figures = pool.stats.snapshot(pool.now).chain.votes
    assert (figures.recent, figures.leading) == (told["newer_work"], 36)
    text = pool.views.metrics.decode()
    for span, part in (("chain", figures.chain), ("window", figures.window), ("recent", figures.recent)):
        assert f'p2pool_newer_votes_ratio{{span="{span}"}} {part}' in text
    assert "p2pool_newer_votes_version 36.0" in text


@pytest.mark.parametrize(
    ("percent", "kinds"),
    [(0, []), (50, [("chain", 50), ("window", 50)]), (60, [("chain", 60), ("window", 60)]), (95, None)],
)
def test_alerts_see_the_same_votes(percent, kinds):
    pool, watch = make(percent), Watch(Thresholds(), symbol="DASH", expects_peers=False)
    found = []
    for _ in range(20):
        pool.now += 5
        pool.refresh()
        found += [each for each in watch.check(pool.stats.snapshot(pool.now)) if each is not None]
    risen = [(each.subject, each.details["percent"]) for each in found if each.kind is EventKind.VOTES_RISEN]
    refused = [each for each in found if each.kind is EventKind.OWN_VOTES_REFUSED]
    if kinds is None:
        assert [subject for subject, _ in risen] == ["chain", "window"]
        assert risen[0] == ("chain", 95)
        assert len(refused) == 1
    else:
        assert risen == kinds
        assert refused == []


# --- what it costs -----------------------------------------------------------------------------------------------


def test_the_chain_is_walked_once_for_each_best_share(monkeypatch):
    pool = make(60)
    walked = []
    count = chain_votes.__globals__["count_votes"]
    monkeypatch.setitem(chain_votes.__globals__, "count_votes", lambda *a: walked.append(a) or count(*a))
    pool.refresh()
    before = pool.ask(TRANSITION).body
    for _ in range(5):
        pool.refresh()
        pool.node.set_template(replace(make_template(), received=pool.now))
        assert pool.ask(TRANSITION).body == before
        pool.ask("/api/v1/node")
    assert len(walked) == 1
    pool.node.add_shares([from_a_peer(pool, 36)], "10.0.0.9:8999")
    for _ in range(3):
        pool.refresh()
    assert len(walked) == 2
    assert pool.ask(TRANSITION).body != before
