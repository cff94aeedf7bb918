"""What a connection is sent: never the same work twice under two ids, and one job however much it asked at
once."""

from __future__ import annotations

import json

import pytest

from p2pool.dash.target import difficulty_to_target
from p2pool.stratum import solutions as solutions_module
from p2pool.stratum.job_registry import MAX_VARIANTS
from p2pool.stratum.session import PING_AFTER, PING_TIME
from tests.stratum.miner import ADDRESS, EASY, NOW, Miner, code
from tests.stratum.test_session_table import Rig
from tests.stratum.wire import StratumHarness, line, notifies

OTHER = 2.0**-10
ANY = 2.0**-33
"""Every hash meets it."""
EVERY = f"{ADDRESS}+{ANY:.14f}"


def works(messages: list[dict]) -> list[str]:
    """The work of each job among messages: its coinbase."""
    return [params[2] for params in notifies(messages)]


# --- a change of difficulty --------------------------------------------------------------------------------------


def test_a_change_of_difficulty_takes_other_work():
    """cpuminer begins at nonce 0 again on a new id: on the same work it would find what it has submitted."""
    miner = Miner()
    notify = miner.login()
    nonce = miner.find(notify, EASY)
    assert miner.submit(notify, nonce)[0]["result"] is True
    _, difficulty, again = miner.call("mining.suggest_difficulty", OTHER)
    assert difficulty["params"] == [OTHER]
    assert again["params"][2] != notify[2]
    assert again["params"][8] is False
    assert code(miner.submit(notify, nonce)) == 22


def test_no_work_ever_comes_under_two_ids_and_a_last_change_waits_for_the_next():
    miner = Miner()
    ids: dict[str, str] = {}
    notify = miner.login()
    ids[notify[2]] = notify[0]
    for number in range(20):
        for params in notifies(miner.call("mining.suggest_difficulty", 1.0 + number)):
            assert ids.setdefault(params[2], params[0]) == params[0]
    assert len(ids) == 1 + MAX_VARIANTS
    miner.registry.work_changed(0xABCD, True, miner.now)
    miner.session.send_work(miner.now)
    difficulty, _ = miner.out()
    assert difficulty["params"] == [20]


def test_connections_of_one_address_share_its_variants():
    """A change of difficulty of a thousand miners is one job more, not a thousand."""
    harness = StratumHarness()
    rigs = [Rig(harness) for _ in range(10)]
    made = harness.work.made
    for rig in rigs:
        assert len(notifies(rig.call("mining.suggest_difficulty", 8))) == 1
    assert harness.work.made == made + 1


def test_while_a_change_waits_the_old_job_is_repeated_as_what_it_is():
    miner = Miner()
    miner.login()
    for number in range(20):
        miner.call("mining.suggest_difficulty", 1.0 + number)
    last = miner.session.state.newest
    miner.now += 30
    miner.session.tick(miner.now)
    (repeated,) = miner.out()
    assert repeated["params"][0] == last.issued.job_id
    assert last.difficulty != miner.session.vardiff.difficulty


def test_the_credit_of_a_solution_is_that_of_the_difficulty_that_its_work_was_sent_with():
    """It cannot be chosen afterwards: no other id stands for the same work."""
    miner = Miner(start_difficulty=2.0**-26)
    notify = miner.login()
    nonce = miner.find(notify, difficulty_to_target(2.0**-24))  # good enough for four times the difficulty
    changed = notifies(miner.call("mining.suggest_difficulty", 2.0**-24))[0]
    assert code(miner.submit(changed, nonce)) in (22, 23)
    assert miner.submit(notify, nonce)[0]["result"] is True
    assert [call[2] for call in miner.stats.of("record_accepted")] == [2.0**-26]


# --- a miner that begins anew ------------------------------------------------------------------------------------


def test_a_worker_that_joins_a_connection_is_sent_no_job():
    """cgminer begins anew where clean_jobs is true, and would submit again what it has."""
    miner = Miner()
    miner.login(ADDRESS + ".a")
    assert miner.call("mining.authorize", ADDRESS + ".b", "x") == [{"id": 3, "result": True, "error": None}]


def test_a_session_that_is_resumed_in_the_middle_of_a_job_goes_on_with_other_work():
    harness = StratumHarness()
    first = Rig(harness)
    assert first.submit(first.notify, first.find(first.notify, EASY))[0]["result"] is True
    first.leave()
    second = Rig(harness, first.session_id)
    assert second.notify[2] != first.notify[2]
    assert second.notify[8] is True


def test_a_session_that_has_submitted_nothing_is_sent_its_job_again():
    harness = StratumHarness()
    first = Rig(harness)
    first.leave()
    assert Rig(harness, first.session_id).notify == first.notify
    assert harness.work.made == 1


def test_a_second_subscribe_is_a_miner_that_begins_anew():
    harness = StratumHarness()
    rig = Rig(harness)
    assert rig.submit(rig.notify, rig.find(rig.notify, EASY))[0]["result"] is True
    (again,) = notifies(rig.call("mining.subscribe", "rig/1"))
    assert again[2] != rig.notify[2]


def test_who_resumes_again_and_again_still_gets_a_job():
    harness = StratumHarness()
    rig = Rig(harness)
    nonce = "0"
    for _ in range(MAX_VARIANTS + 3):
        nonce = rig.find(rig.notify, EASY, start=int(nonce, 16) + 1)
        assert rig.submit(rig.notify, nonce)[0]["result"] is True
        rig.leave()
        rig = Rig(harness, rig.session_id)
        assert rig.notify
    assert harness.work.made == 1 + MAX_VARIANTS


# --- what comes together -----------------------------------------------------------------------------------------


def test_a_proxy_that_authorizes_its_workers_in_one_write_gets_one_job():
    """256 answers and 256 times the same 2 to 4 KB job were more than a connection may leave unread."""
    harness = StratumHarness()
    protocol, wire = harness.connect()
    protocol.dataReceived(
        line("mining.subscribe", "farm-proxy/1")
        + b"".join(line("mining.authorize", f"{ADDRESS}.w{number}", "x") for number in range(256))
    )
    data = wire.value()
    messages = wire.messages()
    assert sum(m.get("result") is True for m in messages) == 256
    assert len(notifies(messages)) == 1
    assert messages[-1]["method"] == "client.get_version"
    assert len(data) < 32 * 1024
    assert not wire.disconnecting


def test_every_line_that_comes_alone_is_answered_with_its_job():
    harness = StratumHarness()
    protocol, wire = harness.connect()
    protocol.dataReceived(line("mining.subscribe", "x"))
    assert [set(m) for m in wire.messages()] == [{"id", "result", "error"}]
    protocol.dataReceived(line("mining.authorize", ADDRESS, "x")[:20])
    assert wire.messages() == []
    protocol.dataReceived(line("mining.authorize", ADDRESS, "x")[20:])
    assert len(notifies(wire.messages())) == 1


# --- solutions are counted once ----------------------------------------------------------------------------------


def test_what_was_accepted_is_never_accepted_again_however_much_came_after_it(monkeypatch):
    """Before, the 8,192 newest of a job were remembered, and older ones accepted once more."""
    monkeypatch.setattr(solutions_module, "CHUNK", 8)
    monkeypatch.setattr(solutions_module, "MAX_CHUNKS", 4)
    miner = Miner(start_difficulty=ANY, min_difficulty=ANY)
    notify = miner.login(EVERY)
    nonces = [f"{number:08x}" for number in range(100)]
    answers = [miner.submit(notify, nonce, EVERY) for nonce in nonces]
    accepted = [answer[0]["result"] is True for answer in answers]
    assert 30 <= sum(accepted) < 100
    assert accepted == sorted(accepted, reverse=True)  # those that can no longer be remembered are refused
    assert {answer[0]["error"][0] for answer, good in zip(answers, accepted, strict=True) if not good} == {21}
    # and other work is on its way, on which everything counts again
    refused = answers[accepted.index(False)]
    (other,) = notifies(refused[1:])
    assert other[2] != notify[2]
    again = [miner.submit(notify, nonce, EVERY)[0]["result"] for nonce in nonces]
    assert not any(again)
    assert len(miner.stats.of("record_accepted")) == sum(accepted)


def test_a_spent_job_can_still_be_a_block(monkeypatch):
    monkeypatch.setattr(solutions_module, "CHUNK", 2)
    monkeypatch.setattr(solutions_module, "MAX_CHUNKS", 2)
    miner = Miner(start_difficulty=ANY, min_difficulty=ANY)
    notify = miner.login()
    for number in range(8):
        miner.submit(notify, f"{number:08x}")
    sent = miner.session.state.jobs[notify[0]]
    assert sent.spent
    assert code(miner.submit(notify, "00000100")) == 21
    sent.issued.job.block_target = 2**256
    assert miner.submit(notify, "00000101")[0]["result"] is True
    assert len(miner.work.solved_outcomes) == 1
    assert code(miner.submit(notify, "00000101")) == 22  # not a second time
    assert len(miner.work.solved_outcomes) == 1


def test_solutions_of_released_jobs_are_forgotten(monkeypatch):
    monkeypatch.setattr(solutions_module, "CHUNK", 2)
    miner = Miner(start_difficulty=ANY, min_difficulty=ANY)
    notify = miner.login()
    for number in range(8):
        miner.submit(notify, f"{number:08x}")
    ledger = miner.context.solutions
    assert len(ledger) > 0
    ledger.retire()
    assert len(ledger) > 0
    solutions = miner.session.state.jobs[notify[0]].solutions
    miner.registry.work_changed(0xBEEF, True, NOW)
    miner.registry.work_changed(0xBEE0, True, NOW)
    miner.registry.retire(NOW + 1000)
    ledger.retire()
    assert len(ledger) == len(solutions) == 0


def test_solutions_that_are_spread_over_many_jobs_are_bounded_too(monkeypatch):
    """With 1,000 connections and four other jobs of each on the same work there are enough to spread them over."""
    allowed = 20_000
    monkeypatch.setattr(solutions_module, "MAX_CHUNKS", allowed // solutions_module.CHUNK)
    ledger = solutions_module.SolutionLedger()
    spread = [solutions_module.Solutions(None, "greedy") for _ in range(100)]
    for number in range(1000):
        for solutions in spread:
            if not solutions.spent and solutions.add(number.to_bytes(4, "big"), used=False):
                ledger.grown(solutions)
    assert sum(map(len, spread)) < allowed + len(spread) * 64


def test_one_greedy_host_spends_its_own_jobs(monkeypatch):
    monkeypatch.setattr(solutions_module, "MAX_CHUNKS", 4)
    ledger = solutions_module.SolutionLedger()

    def grow(host: str, count: int) -> solutions_module.Solutions:
        solutions = solutions_module.Solutions(None, host)
        for number in range(count * solutions_module.CHUNK):
            if solutions.add(number.to_bytes(4, "big"), used=False):
                ledger.grown(solutions)
        return solutions

    honest = grow("honest", 2)
    greedy = [grow("greedy", 1) for _ in range(5)]
    assert not honest.spent
    assert len(honest) == 2 * solutions_module.CHUNK
    assert [solutions.spent for solutions in greedy] == [True, True, True, False, False]
    assert len(ledger) == 4


# --- signs of life, and bad bytes --------------------------------------------------------------------------------


@pytest.mark.parametrize("talk", [b'{"id":9,"method":"mining.nothing"}', b'{"id":9,"met\x00hod":', b"\xff"])
def test_a_connection_that_talks_is_alive_whatever_it_leaves_unanswered(talk):
    miner = Miner()
    miner.login()
    miner.call("mining.ping")
    for _ in range(int(PING_AFTER + PING_TIME)):
        miner.now += 2
        miner.session.tick(miner.now)
        if any(m.get("method") == "mining.ping" for m in miner.out()):
            miner.now += PING_TIME - 1
            miner.raw(talk)
        miner.session.tick(miner.now)
        assert miner.session.closing is None
    miner.now += PING_AFTER + 1
    miner.session.tick(miner.now)
    miner.now += PING_TIME + 1
    miner.session.tick(miner.now)
    assert miner.session.closing is not None  # silence is still the end


@pytest.mark.parametrize(
    ("bad", "request_id", "what"),
    [
        (b'{"id":7,"method":"mining.authorize","params":["%s.caf\xe9","x"]}', 7, "UTF-8"),
        (b'{"id":7,"method":"mining.authorize","params":["%s.a\x00b","x"]}', 7, "control character"),
        (b'{"id":7,"method":"mining.authorize","params":["%s.\\ud800","x"]}', 7, "surrogate"),
        (b'{"id":7,"method":"mining.ping"\x00,"params":[]}', 7, "control character"),
        (b'{"id":7,"meth\xffod":"mi', None, "UTF-8"),
        (b'{"id":"\\udc00","method":"mining.ping"}', None, "surrogate"),
        (b'{"id":%d,"method":"mining.ping\x01"}' % 10**30, None, "control character"),
    ],
)
def test_a_bad_byte_costs_its_line_an_error_and_not_the_connection(bad, request_id, what):
    miner = Miner()
    miner.login()
    (answer,) = miner.raw(bad.replace(b"%s", ADDRESS.encode()))
    assert answer["id"] == request_id
    assert code([answer]) == 20
    assert what in answer["error"][1]
    assert miner.session.closing is None
    assert miner.call("mining.ping")[0]["result"] == "pong"
    assert list(miner.session.workers) == [ADDRESS]


def test_a_submission_with_a_bad_byte_is_a_refused_one():
    miner = Miner()
    notify = miner.login()
    text = json.dumps(
        {"id": 5, "method": "mining.submit", "params": [ADDRESS, notify[0], "0" * 8, notify[7], "?"]}
    )
    (answer,) = miner.raw(text.encode().replace(b"?", b"0000000\x00"))
    assert code([answer]) == 20
    assert len(miner.stats.of("record_refused")) == 1
