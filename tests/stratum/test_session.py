"""Sessions of miners without sockets: lines and times in, lines out."""

from __future__ import annotations

import json
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pool.dash.pow import x11
from p2pool.dash.target import difficulty_to_target
from p2pool.stratum.errors import low_difficulty
from p2pool.stratum.job_registry import GRACE
from p2pool.stratum.miner_state import MAX_JOBS
from p2pool.stratum.session import IDLE_RESEND, Session
from p2pool.stratum.solutions import Solutions
from tests.stratum.miner import ADDRESS, DISPATCHER, EASY, NOW, OTHER_ADDRESS, FakeWork, Miner, code
from tests.support import make_template


def test_a_whole_session():
    miner = Miner()
    (answer,) = miner.call("mining.subscribe", "cpuminer/2.5")
    subscriptions, extranonce1, size = answer["result"]
    assert [s[0] for s in subscriptions] == ["mining.set_difficulty", "mining.notify"]
    assert (extranonce1, size) == ("01020304", 4)
    assert not subscriptions[0][1].isdigit()
    answer, difficulty, notify, _ = miner.call("mining.authorize", ADDRESS + ".rig", "x")
    assert answer == {"id": 2, "result": True, "error": None}
    assert difficulty["id"] is None
    assert difficulty["params"] == [2.0**-20]
    assert notify["id"] is None
    assert notify["params"][8] is True
    assert len(notify["params"][0]) <= 8
    nonce = miner.find(notify["params"], EASY)
    answer, *_ = miner.submit(notify["params"], nonce, ADDRESS + ".rig")
    assert answer == {"id": 3, "result": True, "error": None}
    ((name, attempts, at, dead, when),) = miner.stats.of("record_accepted")
    assert (name, at, dead, when) == (ADDRESS + ".rig", 2.0**-20, False, NOW)
    assert attempts == pytest.approx(2**12, rel=1e-4)
    miner.session.connection_lost(miner.now)
    assert miner.stats.of("record_worker_off") == [(ADDRESS + ".rig",)]


def test_every_error_code():
    miner = Miner()
    assert code(miner.call("mining.submit", ADDRESS, "1", "00000000", "00000000", "00000000")) == 25
    assert code(miner.call("mining.nonsense")) == 20
    notify = miner.login()
    nonce = miner.find(notify, EASY)
    assert code(miner.submit(notify, nonce, "somebody")) == 24
    assert code(miner.submit(notify, nonce, job="fffff")) == 21
    assert code(miner.submit(notify, nonce[:6])) == 20
    assert code(miner.submit(notify, nonce, extranonce2="0000 000")) == 20
    assert code(miner.submit(notify, nonce, ntime="zzzzzzzz")) == 20
    assert code(miner.submit(notify, nonce, ntime=f"{int(NOW) + 7300:08x}")) == 20
    assert code(miner.submit(notify, nonce, ntime=f"{int(NOW) - 20000:08x}")) == 20
    assert code(miner.submit(notify, nonce, ADDRESS, "20000001")) == 20
    assert miner.submit(notify, nonce)[0]["result"] is True
    assert code(miner.submit(notify, nonce)) == 22
    bad = miner.find(notify, 2**256, above=EASY)
    answer = miner.submit(notify, bad)
    assert code(answer) == 23
    text = answer[0]["error"][1]
    found, required = re.fullmatch(r"low difficulty share: (\S+) is below the required (\S+)", text).groups()
    assert float(found) < float(required) == pytest.approx(2.0**-20, rel=1e-5)
    codes = [c for _, c, _ in miner.stats.of("record_refused")]
    assert codes == [25, 24, 21, 20, 20, 20, 20, 20, 20, 22, 23]
    assert len(miner.stats.of("record_accepted")) == 1


@pytest.mark.parametrize(
    ("username", "text"),
    [
        ("XdgF55wEHBRWwbuBniNYH4GvvaoYMgL84u", "not an address of the network"),
        ("8epbR3BVXRugGKDznX5jiBqhaMNVQBBDC4", "P2SH"),
        (ADDRESS[:-1] + "V", "checksum"),
        ("", "no address in the username"),
        ("worker1", "worker1 is not a Dash address"),
        ("x" * 300, "300 characters"),
    ],
)
def test_addresses_that_cannot_be_paid_are_refused_with_the_reason(username, text):
    miner = Miner()
    miner.call("mining.subscribe")
    answer = miner.call("mining.authorize", username, "x")
    assert code(answer) == 24
    assert re.search(text, answer[0]["error"][1])
    assert len(answer) == 1


def test_several_workers_of_one_address_share_a_connection_and_another_address_does_not():
    miner = Miner()
    miner.login(ADDRESS + ".one")
    assert miner.call("mining.authorize", ADDRESS + ".two", "x")[0]["result"] is True
    answer = miner.call("mining.authorize", OTHER_ADDRESS, "x")
    assert code(answer) == 24
    assert OTHER_ADDRESS in answer[0]["error"][1]
    assert set(miner.session.workers) == {ADDRESS + ".one", ADDRESS + ".two"}


def test_username_and_password_options():
    miner = Miner()
    miner.login(ADDRESS + ".rig+0.5")
    assert miner.session.vardiff.difficulty == 0.5
    assert miner.session.vardiff.fixed
    miner = Miner()
    miner.login(ADDRESS + "_rig/7+s20")
    assert miner.session.payee.name == ADDRESS + ".rig"
    assert miner.session.payee.share_difficulty == 7
    assert miner.session.vardiff.seconds == 20
    miner = Miner()
    miner.login(ADDRESS, "x,d=64")
    assert miner.session.vardiff.difficulty == 64
    assert not miner.session.vardiff.fixed
    miner = Miner()
    miner.call("mining.subscribe")
    assert code(miner.call("mining.authorize", ADDRESS + "+nan", "x")) == 20


def test_version_rolling():
    miner = Miner()
    (answer,) = miner.call(
        "mining.configure",
        ["version-rolling", "minimum-difficulty", "subscribe-extranonce", "info", "strange"],
        {"version-rolling.mask": "1fffe000", "minimum-difficulty.value": 0.5, "info.sw-version": "1"},
    )
    assert answer["result"] == {
        "version-rolling": True,
        "version-rolling.mask": "1fffe000",
        "minimum-difficulty": True,
        "subscribe-extranonce": True,
        "info": True,
        "strange": False,
    }
    assert miner.session.vardiff.difficulty == 0.5
    miner = Miner()
    miner.call("mining.configure", ["version-rolling"], {"version-rolling.mask": "00ffe000"})
    notify = miner.login()
    rolled = 0x20000000 | 0x00002000
    for nonce in range(3_000_000):
        header = miner.header(notify, bytes(4), notify[7], nonce, f"{rolled:08x}")
        if x11(header) <= EASY:
            break
    nonce_text = f"{nonce:08x}"
    assert code(miner.submit(notify, nonce_text, ADDRESS, "01000000")) == 20
    assert miner.submit(notify, nonce_text, ADDRESS, "00002000")[0]["result"] is True


def test_suggestions_before_and_after_subscribe():
    miner = Miner()
    assert miner.call("mining.suggest_difficulty", "0.25")[0]["result"] is True
    miner.login()
    assert miner.session.vardiff.difficulty == 0.25
    answer, difficulty, notify = miner.call("mining.suggest_target", f"{0xFFFF << 209:064x}")
    assert answer["result"] is True
    assert difficulty["params"] == [0.5]
    assert notify["params"][8] is False
    assert code(miner.call("mining.suggest_difficulty", "-1")) == 20
    assert code(miner.call("mining.suggest_target", "00" * 32)) == 20
    assert miner.call("mining.ping")[0]["result"] == "pong"
    assert miner.call("mining.extranonce.subscribe")[0]["result"] is True


def test_a_share_is_used_whatever_the_connection_s_difficulty():
    work = FakeWork()
    work.share_target = EASY
    miner = Miner(min_difficulty=1024.0, start_difficulty=1024.0, work=work)
    notify = miner.login()
    nonce = miner.find(notify, EASY)
    assert miner.submit(notify, nonce)[0]["result"] is True
    ((outcome, worker),) = work.solved_outcomes
    assert worker == ADDRESS
    assert outcome.meets_share


def test_late_work_is_dead_on_arrival_then_unknown():
    miner = Miner()
    notify = miner.login()
    first = miner.find(notify, EASY)
    second = miner.find(notify, EASY, start=int(first, 16) + 1)
    miner.work.current = False
    miner.registry.work_changed(0xBEEF, True, NOW)
    assert miner.submit(notify, first)[0]["result"] is True
    assert miner.stats.of("record_accepted")[0][3] is True
    miner.now += GRACE + 1
    assert code(miner.submit(notify, second)) == 21


def test_a_changed_difficulty_comes_with_a_job_and_old_jobs_keep_theirs():
    miner = Miner()
    notify = miner.login()
    answer, difficulty, again = miner.call("mining.suggest_difficulty", 2.0**-10)
    assert answer["result"] is True
    assert difficulty["params"] == [2.0**-10]
    assert again["params"][0] != notify[0]
    assert again["params"][2] != notify[2]  # other work: miners begin anew, and would find the same once more
    nonce = miner.find(again["params"], EASY, above=difficulty_to_target(2.0**-10))
    assert code(miner.submit(again["params"], nonce)) == 23
    other = miner.find(notify, EASY, above=difficulty_to_target(2.0**-10))
    assert miner.submit(notify, other)[0]["result"] is True
    assert code(miner.submit(notify, other)) == 22


def test_time_limits():
    miner = Miner()
    miner.session.tick(NOW + 30.0 - 1)
    assert miner.session.closing is None
    miner.session.tick(NOW + 30.0 + 1)
    assert miner.session.closing
    miner = Miner()
    notify = miner.login()
    miner.session.tick(NOW + IDLE_RESEND - 1)
    assert miner.out() == []
    miner.session.tick(NOW + IDLE_RESEND)
    (again,) = miner.out()
    assert again["params"][:8] == notify[:8]
    assert again["params"][8] is False


def test_no_work_yet_then_work():
    miner = Miner()
    template, miner.work.template = miner.work.template, None
    miner.call("mining.subscribe")
    answer, question = miner.call("mining.authorize", ADDRESS, "x")
    assert answer["result"] is True
    assert question["method"] == "client.get_version"
    miner.work.template = template
    miner.session.send_work(NOW)
    assert [m["method"] for m in miner.out()] == ["mining.set_difficulty", "mining.notify"]


def test_connections_of_one_address_share_a_job():
    miner = Miner()
    first = miner.login()
    other = Session(miner.context, miner.reputation, NOW)
    for method, params in (("mining.subscribe", []), ("mining.authorize", [ADDRESS + ".b", "x"])):
        DISPATCHER.receive_line(other, json.dumps({"id": 1, "method": method, "params": params}).encode(), NOW)
    other.finish_input(NOW)
    notify = json.loads(other.take_output().splitlines()[-2])
    assert notify["params"] == first
    assert miner.work.made == 1


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b"[1,2]",
        b"7",
        b'{"id":1}',
        b'{"id":1,"method":5}',
        b'{"id":1,"method":null,"params":[]}',
        b"[" * 5000,
    ],
)
def test_what_is_no_request_ends_the_connection_without_an_exception(line):
    miner = Miner()
    answers = miner.raw(line)
    assert answers[0]["error"][0] == 20
    assert miner.session.closing


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
_METHODS = st.sampled_from(
    [
        *("mining.subscribe", "mining.authorize", "mining.submit", "mining.configure", "mining.ping"),
        *("mining.suggest_difficulty", "mining.suggest_target", "mining.extranonce.subscribe", "x"),
    ]
)


@settings(max_examples=300)
@given(st.lists(st.tuples(_METHODS, _json, _json), max_size=8), st.booleans())
def test_hostile_requests_never_raise(requests, logged_in):
    miner = Miner()
    if logged_in:
        miner.login()
    for method, params, request_id in requests:
        line = json.dumps({"id": request_id, "method": method, "params": params}).encode()
        for answer in miner.raw(line):
            assert set(answer) in ({"id", "result", "error"}, {"id", "method", "params"})


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_hostile_bytes_never_raise(data):
    Miner().raw(data.replace(b"\n", b""))


def test_submissions_in_random_order_are_judged_by_their_own_job():
    rng = random.Random(7)
    miner = Miner()
    notify = miner.login()
    nonces = []
    start = 0
    for _ in range(6):
        nonce = miner.find(notify, EASY, start=start)
        nonces.append(nonce)
        start = int(nonce, 16) + 1
    rng.shuffle(nonces)
    assert all(miner.submit(notify, nonce)[0]["result"] is True for nonce in nonces)
    assert all(code(miner.submit(notify, nonce)) == 22 for nonce in nonces)


def test_a_block_is_used_whatever_the_connection_s_difficulty():
    work = FakeWork()
    work.template = make_template(bits=0x2100FFFF)  # every hash is a block
    miner = Miner(start_difficulty=1000.0, work=work)
    notify = miner.login()
    assert miner.submit(notify, "00000000")[0]["result"] is True
    ((outcome, _),) = work.solved_outcomes
    assert outcome.meets_block
    assert not outcome.meets_share


def test_suggestions_stay_within_the_limits_and_never_move_a_fixed_difficulty():
    miner = Miner(min_difficulty=0.5, max_difficulty=64.0)
    miner.call("mining.configure", ["minimum-difficulty"], {"minimum-difficulty.value": 2})
    for asked, got in ((1e-9, 2), (1e9, 64), (10, 10)):
        assert miner.call("mining.suggest_difficulty", asked)[0]["result"] is True
        assert miner.session.vardiff.difficulty == got
    miner.login(ADDRESS + "+16")
    miner.call("mining.suggest_difficulty", 32)
    assert miner.session.vardiff.difficulty == 16


def test_the_order_of_subscribe_and_authorize_does_not_matter():
    miner = Miner()
    assert [m.get("result") for m in miner.call("mining.authorize", ADDRESS, "x")] == [True]
    answers = miner.call("mining.subscribe", None, None)
    methods = [m.get("method") for m in answers]
    assert methods == [None, "mining.set_difficulty", "mining.notify", "client.get_version"]


def next_work(miner: Miner, block: int = 0xABCD) -> None:
    """Send a miner the job on newer work."""
    miner.registry.work_changed(block, True, NOW)
    miner.session.send_work(NOW)


def test_released_jobs_are_forgotten_with_the_next_one_that_is_sent():
    miner = Miner()
    miner.login()
    for number in range(3):
        next_work(miner, 0xABCD + number)
    state = miner.session.state
    sent = list(state.jobs.values())
    assert len(sent) == 4
    for each in sent[:2]:
        each.issued.release()
    assert len(state.jobs) == 4
    next_work(miner, 0xABCD + 9)
    assert list(state.jobs.values()) == [*sent[2:], state.newest]


def test_of_jobs_without_solutions_only_what_was_issued_is_kept():
    miner = Miner()
    first = miner.login()
    next_work(miner)
    next_work(miner)
    state = miner.session.state
    kinds = [type(job).__name__ for job in state._jobs]
    assert kinds == ["IssuedJob", "IssuedJob", "SentJob"]
    vardiff = state.vardiff
    before, harder = vardiff.difficulty, vardiff.difficulty * 4
    vardiff.difficulty = harder
    for _ in range(3):
        next_work(miner)
    jobs = state.jobs
    assert [sent.difficulty for sent in jobs.values()] == [before] * 3 + [harder] * 3
    next_work(miner)
    assert list(state.jobs.values())[:-1] == list(jobs.values())  # what others may hold is never made again
    assert {sent.extranonce1 for sent in state.jobs.values()} == {state.extranonce1}
    assert state.jobs[first[0]] is state.sent(first[0])  # once it is made again, it remains the same
    assert state.sent("unknown") is None


def test_a_submission_that_waits_and_a_later_one_know_the_same_solutions():
    miner = Miner()
    first = miner.login()
    params = [ADDRESS, first[0], "00000000", first[7], "00000001"]
    waiting = miner.session.prepare(params, NOW)
    next_work(miner)
    assert miner.session.prepare(params, NOW).sent is waiting.sent


def test_a_job_with_a_solution_keeps_it():
    miner = Miner()
    miner.login()
    state = miner.session.state
    sent = state.newest
    sent.solutions = Solutions(sent.issued, "10.0.0.1")
    sent.solutions.add(b"solution", used=False)
    next_work(miner)
    next_work(miner)
    assert state.sent(sent.issued.job_id) is sent
    assert state.accepted == 1


def test_a_connection_remembers_the_last_256_jobs_and_256_workers():
    miner = Miner()
    first = miner.login()
    for number in range(MAX_JOBS - 1):
        miner.registry.work_changed(0xABCD, True, NOW)
        miner.session.send_work(NOW)
        assert [m["method"] for m in miner.out()] == ["mining.notify"], number  # the difficulty is the same
    assert code(miner.submit(first, "zz")) == 20  # still known: it is the nonce that is wrong
    miner.registry.work_changed(0xABCD, True, NOW)
    miner.session.send_work(NOW)
    miner.out()
    assert code(miner.submit(first, "zz")) == 21
    for number in range(255):
        assert miner.call("mining.authorize", f"{ADDRESS}.{number}", "x")[0]["result"] is True
    assert code(miner.call("mining.authorize", f"{ADDRESS}.more", "x")) == 24
    assert miner.call("mining.authorize", f"{ADDRESS}.7", "x")[0]["result"] is True
    miner.session.connection_lost(miner.now)
    assert len(miner.stats.of("record_worker_on")) == len(miner.stats.of("record_worker_off")) == 256


@pytest.mark.parametrize("required", [2.0**-30, 0.001, 1.0, 64.0, 1e6])
@pytest.mark.parametrize("excess", [1.0, 1.0000001, 1.5, 1e9])
def test_a_low_share_s_difficulty_is_always_said_to_be_below_the_required_one(required, excess):
    text = low_difficulty(int(difficulty_to_target(required) * excess) + 1, required).text
    found, wanted = re.fullmatch(r"low difficulty share: (\S+) is below the required (\S+)", text).groups()
    assert float(found) < float(wanted)
    assert float(wanted) == pytest.approx(required, rel=1e-5)
