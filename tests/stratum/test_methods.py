"""What miners may ask and what they are sent: the lines of the specification that are about one method each."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from p2pool.dash.pow import x11
from p2pool.dash.target import difficulty_to_target
from p2pool.stratum.job_registry import GRACE
from p2pool.stratum.miner_software import MinerSoftware
from p2pool.stratum.operator import Operator
from p2pool.stratum.session import PING_AFTER, PING_TIME, Session
from tests.stratum.miner import ADDRESS, NOW, FakeWork, Miner, code
from tests.stratum.wire import StratumHarness, line

LOW = 2.0**-30
"""A difficulty that one of four hashes meets."""
TARGET = difficulty_to_target(LOW)
GET_VERSION, PING = 1, 2
"""Ids of the server's requests."""


def hunt(
    miner: Miner,
    notify: list,
    ntime: str | None = None,
    version: int | None = None,
    start: int = 0,
    target: int = TARGET,
    above: int = -1,
) -> str:
    """A nonce from `start` on whose hash lies in (above, target]."""
    text = None if version is None else f"{version:08x}"
    for nonce in range(start, start + 100_000):
        if above < x11(miner.header(notify, bytes(4), ntime or notify[7], nonce, text)) <= target:
            return f"{nonce:08x}"
    raise RuntimeError("nothing found")


def methods(messages: list[dict]) -> list[str | None]:
    return [m.get("method") for m in messages]


def said(miner: Miner, request_id: object, **rest: object) -> list[dict]:
    """The miner answers a request of the server's."""
    return miner.raw(json.dumps({"id": request_id, **rest}).encode())


def software(miner: Miner) -> str:
    return miner.stats.of("record_software")[-1][1]


# --- configure ---------------------------------------------------------------------------------------------


def test_every_requested_extension_gets_an_answer_and_no_other():
    miner = Miner()
    for codes, result in (
        (["info"], {"info": True}),
        (["minimum-difficulty"], {"minimum-difficulty": False}),
        (["never-heard-of"], {"never-heard-of": False}),
        ([], {}),
        (["subscribe-extranonce", "x"], {"subscribe-extranonce": True, "x": False}),
    ):
        assert miner.call("mining.configure", codes, {})[0]["result"] == result
    assert miner.call("mining.configure")[0]["result"] == {}


@pytest.mark.parametrize(
    ("asked", "got"),
    [
        ({}, "1fffe000"),
        ({"version-rolling.mask": "ffffffff"}, "1fffe000"),
        ({"version-rolling.mask": "00ffe000", "version-rolling.min-bit-count": 2}, "00ffe000"),
        ({"version-rolling.mask": "00FFE000", "version-rolling.min-bit-count": "sixteen"}, "00ffe000"),
        ({"version-rolling.mask": "00001fff", "version-rolling.min-bit-count": None}, "00000000"),
        ({"version-rolling.mask": "1fffe000", "version-rolling.min-bit-count": -7}, "1fffe000"),
    ],
)
@pytest.mark.parametrize("after", [False, True])
def test_the_version_mask_is_what_both_allow(asked, got, after):
    miner = Miner()
    if after:
        miner.login()
    (answer,) = miner.call("mining.configure", ["version-rolling"], asked)
    assert answer["result"] == {"version-rolling": True, "version-rolling.mask": got}


def test_minimum_difficulty_may_be_sent_again():
    miner = Miner(start_difficulty=LOW)
    miner.login()

    def configure(value: object) -> list[dict]:
        return miner.call("mining.configure", ["minimum-difficulty"], {"minimum-difficulty.value": value})

    answer, difficulty, notify = configure(4)
    assert answer["result"] == {"minimum-difficulty": True}
    assert difficulty["params"] == [4]
    assert notify["params"][8] is False
    assert methods(configure(4)) == [None]  # nothing changed
    miner.call("mining.suggest_difficulty", 1)
    assert miner.session.vardiff.difficulty == 4
    for odd in (-1, "x", None, [1], True, False, "nan"):
        assert configure(odd)[0]["result"] == {"minimum-difficulty": False}
        assert miner.session.vardiff.minimum == 4
    assert configure(0)[0]["result"] == {"minimum-difficulty": True}
    assert miner.call("mining.suggest_difficulty", 0.5)[1]["params"] == [0.5]


def test_minimum_difficulty_before_the_login_is_the_first_difficulty():
    miner = Miner(start_difficulty=LOW)
    assert methods(miner.call("mining.configure", ["minimum-difficulty"], {"minimum-difficulty.value": "2"})) == [
        None
    ]
    miner.call("mining.subscribe")
    assert miner.call("mining.authorize", ADDRESS, "x")[1]["params"] == [2]


@pytest.mark.parametrize("before", [True, False])
def test_info_is_kept_for_diagnostics_and_bounded(before):
    miner = Miner()
    if not before:
        miner.login()
    (answer,) = miner.call(
        "mining.configure",
        ["info"],
        {
            "info.sw-version": "bm 2.1",
            "info.hw-version": "D9\x07" + "y" * 5000,
            "info.hw-id": 7,
            "info.connection-url": "tcp://pool",
            "info.more": "secret",
        },
    )
    assert answer["result"] == {"info": True}
    if before:
        miner.login()
    text = software(miner)
    assert text.startswith("test/1; bm 2.1; D9?yyy")
    assert "secret" not in text
    assert len(text) < 300


# --- version masks -----------------------------------------------------------------------------------------


def test_a_miner_may_ask_for_a_mask_and_is_told_which_it_has():
    miner = Miner(start_difficulty=LOW)
    notify = miner.login()
    answer, told = miner.call("mining.set_version_mask", "00ffffff")
    assert answer["result"] is True
    assert told == {"id": None, "method": "mining.set_version_mask", "params": ["00ffe000"]}
    nonce = hunt(miner, notify, version=0x20002000)
    assert miner.submit(notify, nonce, ADDRESS, "00002000")[0]["result"] is True
    for odd in ("ffff", "zzzzzzzz", 7, None, "1fffe0000"):
        answers = miner.call("mining.set_version_mask", odd)
        assert code(answers) == 20
        assert len(answers) == 1
    assert miner.session.version_mask == 0x00FFE000


def test_a_mask_asked_for_before_the_login_is_confirmed_after_it():
    miner = Miner()
    assert methods(miner.call("mining.set_version_mask", "ffffffff")) == [None]
    assert methods(miner.call("mining.subscribe")) == [None]
    answers = miner.call("mining.authorize", ADDRESS, "x")
    assert methods(answers)[:3] == [None, "mining.set_difficulty", "mining.notify"]
    assert [m["params"] for m in answers if m.get("method") == "mining.set_version_mask"] == [["1fffe000"]]


def test_an_operator_s_mask_goes_to_those_who_negotiated_and_applies_at_once():
    miner, other = Miner(start_difficulty=LOW), Miner()
    miner.call("mining.configure", ["version-rolling"], {})
    notify = miner.login()
    other.login()
    for each in (miner, other):
        each.context.settings = replace(each.context.settings, version_mask=0x00FFE000)
        each.session.pool_mask_changed(NOW)
    assert other.out() == []
    assert miner.out() == [{"id": None, "method": "mining.set_version_mask", "params": ["00ffe000"]}]
    new = hunt(miner, notify, version=0x20002000)
    assert miner.submit(notify, new, ADDRESS, "00002000")[0]["result"] is True
    # what is under way still uses the former mask, for a while
    old = hunt(miner, notify, version=0x30000000)
    assert miner.submit(notify, old, ADDRESS, "10000000")[0]["result"] is True
    miner.now += GRACE + 1
    later = hunt(miner, notify, version=0x30000000, start=int(old, 16) + 1)
    assert code(miner.submit(notify, later, ADDRESS, "10000000")) == 20
    miner.session.pool_mask_changed(miner.now)
    assert miner.out() == []  # it is the same mask


# --- ping --------------------------------------------------------------------------------------------------


def pings(miner: Miner, seconds: float) -> int:
    """Time passes; how often the miner was pinged."""
    count = 0
    for _ in range(int(seconds / 5)):
        miner.now += 5
        miner.session.tick(miner.now)
        for message in miner.out():
            if message["method"] == "mining.ping":
                assert (message["id"], message["params"]) == (PING, [])
                count += 1
    return count


def test_who_never_showed_that_it_knows_ping_is_never_pinged():
    miner = Miner()
    miner.login()
    assert said(miner, PING, result="pong", error=None) == []  # nobody asked
    assert pings(miner, 1000) == 0
    assert miner.session.closing is None


def test_who_announced_ping_is_pinged_and_closed_when_it_does_not_answer():
    miner = Miner()
    miner.login()
    assert miner.call("mining.ping")[0]["result"] == "pong"
    assert pings(miner, PING_AFTER - 5) == 0
    assert pings(miner, 5) == 1
    assert PING_TIME == 60
    assert pings(miner, PING_TIME) == 0
    assert miner.session.closing is None
    pings(miner, 5)
    assert "ping" in miner.session.closing


@pytest.mark.parametrize(
    "answer", [{"result": "pong", "error": None}, {"error": {"code": -32601, "message": "no"}}]
)
def test_an_answered_ping_keeps_the_connection(answer):
    miner = Miner()
    miner.login()
    miner.call("mining.ping")
    for _ in range(5):
        assert pings(miner, PING_AFTER) == 1
        assert said(miner, PING, **answer) == []
    assert miner.session.closing is None


def test_who_talks_is_not_pinged():
    miner = Miner()
    miner.login()
    miner.call("mining.ping")
    for _ in range(10):
        assert pings(miner, 50) == 0
        miner.call("mining.extranonce.subscribe")


# --- client.get_version ------------------------------------------------------------------------------------


def test_the_version_is_asked_once_and_shown():
    miner = Miner()
    miner.call("mining.subscribe", "agent/1")
    question = miner.call("mining.authorize", ADDRESS + ".a", "x")[-1]
    assert question == {"id": GET_VERSION, "method": "client.get_version", "params": []}
    assert "client.get_version" not in methods(miner.call("mining.authorize", ADDRESS + ".b", "x"))
    assert "client.get_version" not in methods(miner.call("mining.authorize", ADDRESS + ".a", "x"))
    assert said(miner, GET_VERSION, result="firm\x00ware 7" + "z" * 4000, error=None) == []
    for name, text in miner.stats.of("record_software")[-2:]:
        assert name in (ADDRESS + ".a", ADDRESS + ".b")
        assert text.startswith("agent/1; firm?ware 7z")
        assert len(text) < 300
    said(miner, GET_VERSION, result="other", error=None)  # answered already
    assert "other" not in software(miner)


@pytest.mark.parametrize(
    "answer",
    [
        {"result": None, "error": [20, "unknown method", None]},
        {"result": {"version": 1}, "error": None},
        {"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}},
    ],
)
def test_a_miner_that_does_not_know_the_question_is_kept(answer):
    miner = Miner()
    miner.login()
    assert said(miner, GET_VERSION, **answer) == []
    assert miner.session.closing is None
    assert software(miner) == "test/1"


# --- order -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("subscribed", [False, True])
def test_before_the_answer_to_authorize_nothing_but_answers_is_sent(subscribed):
    harness = StratumHarness()
    operator = Operator(harness.server, harness.now)
    harness.server.start()
    protocol, wire = harness.connect()
    requests = [line("mining.configure", ["version-rolling", "subscribe-extranonce"], {}), line("mining.ping")]
    if subscribed:
        requests.append(line("mining.subscribe", "a"))
    protocol.dataReceived(b"".join(requests) + line("mining.set_version_mask", "ffffffff"))
    assert all(m["id"] == 1 and "method" not in m for m in wire.messages())
    assert operator.show_message("hello") == operator.reconnect(host="example.org", port=7903) == 0
    operator.set_version_mask(0x00FFE000)
    harness.server.work_changed(0xBEEF, clean=True)
    harness.reactor.pump([1] * 25)
    assert wire.messages() == []
    protocol.dataReceived(
        line("mining.subscribe", "a") * (not subscribed) + line("mining.authorize", ADDRESS, "x")
    )
    messages = wire.messages()[not subscribed :]
    assert methods(messages)[:3] == [None, "mining.set_difficulty", "mining.notify"]
    assert sorted(methods(messages)[3:]) == ["client.get_version", "mining.set_version_mask"]
    assert (
        operator.show_message("hello")
        == operator.reconnect(host="example.org", port=7903, wait=5)
        == operator.reconnect()
        == 1
    )
    assert [(m["id"], m["method"], m["params"]) for m in wire.messages()] == [
        (None, "client.show_message", ["hello"]),
        (None, "client.reconnect", ["example.org", 7903, 5]),
        (None, "client.reconnect", []),
    ]
    harness.server.stop()


def test_a_refused_authorize_is_followed_by_nothing():
    miner = Miner()
    miner.call("mining.subscribe")
    answers = miner.call("mining.authorize", "nobody", "x")
    assert code(answers) == 24
    assert len(answers) == 1


def test_set_difficulty_comes_only_with_a_job_and_only_when_it_changed():
    miner = Miner()
    miner.login()
    assert methods(miner.call("mining.suggest_difficulty", 8)) == [None, "mining.set_difficulty", "mining.notify"]
    assert "mining.set_difficulty" not in methods(miner.call("mining.suggest_difficulty", 8))
    miner.registry.work_changed(0xBEEF, True, NOW)
    miner.session.send_work(NOW)
    (notify,) = miner.out()
    assert notify["params"][8] is True


def test_unknown_methods_are_named_and_the_connection_is_kept():
    miner = Miner()
    (answer,) = miner.call("mining.get_transactions", "1")
    assert code([answer]) == 20
    assert "mining.get_transactions" in answer["error"][1]
    assert miner.session.closing is None


def test_the_form_of_a_job():
    miner = Miner()
    notify = miner.login()
    issued = miner.session.state.jobs[notify[0]].issued.job
    template = issued.context.template
    assert 1 <= len(notify[0]) <= 8
    assert int(notify[0], 16) > 0
    assert bytes.fromhex(notify[1]) == b"".join(
        template.previous_block.to_bytes(32, "little")[i : i + 4][::-1] for i in range(0, 32, 4)
    )
    assert notify[2:4] == [issued.coinb1.hex(), issued.coinb2.hex()]
    assert notify[4] == [entry.hex() for entry in template.branch]
    assert notify[5:8] == [f"{n:08x}" for n in (template.version, template.bits, int(NOW))]


# --- submissions -------------------------------------------------------------------------------------------


def test_the_version_is_the_job_s_but_for_the_negotiated_bits():
    miner = Miner(start_difficulty=LOW)
    miner.call("mining.configure", ["version-rolling"], {"version-rolling.mask": "0000e000"})
    notify = miner.login()
    base = int(notify[5], 16)
    for bits in (0x2000, 0xE000, 0):
        nonce = hunt(miner, notify, version=base & ~0xE000 | bits)
        assert miner.submit(notify, nonce, ADDRESS, f"{bits:08x}")[0]["result"] is True
    nonce = hunt(miner, notify, start=100_000)
    assert miner.submit(notify, nonce, ADDRESS, None)[0]["result"] is True
    nonce = hunt(miner, notify, start=200_000)
    for bits in ("00010000", "20000000", "00000001", "ffffffff"):
        answer = miner.submit(notify, nonce, ADDRESS, bits)
        assert code(answer) == 20
        assert bits in answer[0]["error"][1]
    for odd in ("2000", "0x002000", 8192, [], "zzzzzzzz"):
        assert code(miner.submit(notify, nonce, ADDRESS, odd)) == 20


def test_version_bits_of_a_miner_that_negotiated_none():
    miner = Miner(start_difficulty=LOW)
    notify = miner.login()
    first = hunt(miner, notify)
    second = hunt(miner, notify, start=int(first, 16) + 1)
    assert miner.submit(notify, first, ADDRESS, "00000000")[0]["result"] is True
    assert miner.submit(notify, second, ADDRESS, notify[5])[0]["result"] is True
    assert code(miner.submit(notify, first, ADDRESS, "00000000")) == 22
    assert code(miner.submit(notify, first, ADDRESS, "00002000")) == 20


def test_how_far_ntime_may_move():
    miner = Miner(start_difficulty=LOW)
    notify = miner.login()
    lowest = miner.work.template.minimum_time
    for good, bad in ((int(NOW) + 7200, int(NOW) + 7201), (lowest, lowest - 1)):
        ntime = f"{good:08x}"
        assert miner.submit(notify, hunt(miner, notify, ntime), ntime=ntime)[0]["result"] is True
        ntime = f"{bad:08x}"
        assert code(miner.submit(notify, hunt(miner, notify, ntime), ntime=ntime)) == 20
    miner.now += 10  # the limit moves with the time
    ntime = f"{int(NOW) + 7210:08x}"
    assert miner.submit(notify, hunt(miner, notify, ntime), ntime=ntime)[0]["result"] is True


def test_a_late_share_is_dead_on_arrival_up_to_the_end_of_the_grace_time():
    miner = Miner(start_difficulty=LOW)
    notify = miner.login()
    nonces = [hunt(miner, notify, start=n * 1000) for n in range(3)]
    assert miner.submit(notify, nonces[0])[0]["result"] is True
    miner.work.current = False
    miner.registry.work_changed(0xBEEF, True, NOW)
    miner.now = NOW + GRACE
    assert miner.submit(notify, nonces[1])[0]["result"] is True
    assert [dead for *_, dead, _ in miner.stats.of("record_accepted")] == [False, True]
    assert code(miner.submit(notify, nonces[1])) == 22
    miner.now += 0.1
    assert code(miner.submit(notify, nonces[2])) == 21
    assert len(miner.stats.of("record_accepted")) == 2


def test_the_workers_of_a_connection_are_counted_each():
    miner = Miner(start_difficulty=LOW)
    notify = miner.login(ADDRESS + ".one")
    assert miner.call("mining.authorize", ADDRESS + ".two+64/9+s3", "d=128")[0]["result"] is True
    assert miner.session.vardiff.difficulty == LOW  # the wishes of the first one hold
    assert miner.session.payee.name == ADDRESS + ".one"
    nonces = [hunt(miner, notify, start=n * 1000) for n in range(3)]
    assert miner.submit(notify, nonces[0], ADDRESS + ".one")[0]["result"] is True
    assert miner.submit(notify, nonces[1], ADDRESS + ".two+64/9+s3")[0]["result"] is True
    assert [name for name, *_ in miner.stats.of("record_accepted")] == [ADDRESS + ".one", ADDRESS + ".two"]
    for other in (ADDRESS + ".three", ADDRESS, ADDRESS + ".two", None, 7):
        assert code(miner.submit(notify, nonces[2], other)) == 24
    assert code(miner.submit(notify, nonces[0], ADDRESS + ".two+64/9+s3")) == 22  # whoever sends it again


def test_a_share_above_the_connection_s_difficulty_is_used_but_adds_no_work():
    work = FakeWork()
    work.share_target = difficulty_to_target(2.0**-28)
    miner = Miner(min_difficulty=2.0**-22, start_difficulty=2.0**-22, work=work)
    notify = miner.login()
    above = hunt(miner, notify, target=work.share_target, above=difficulty_to_target(2.0**-22))
    assert miner.submit(notify, above)[0]["result"] is True
    assert [outcome.meets_share for outcome, _ in work.solved_outcomes] == [True]
    ((_, attempts, difficulty, _, _),) = miner.stats.of("record_accepted")
    assert attempts == 0
    assert difficulty == 2.0**-22
    assert miner.session.vardiff.difficulty == 2.0**-22
    below = hunt(miner, notify, target=difficulty_to_target(2.0**-22))
    assert miner.submit(notify, below)[0]["result"] is True
    assert miner.stats.of("record_accepted")[1][1] > 0
    assert len(work.solved_outcomes) == 2


def test_the_pace_of_a_connection_is_that_of_its_earners_together():
    miner = Miner(start_difficulty=LOW, share_rate=10.0)
    names = [f"{ADDRESS}.{n}" for n in range(12)]
    notify = miner.login(names[0])
    for name in names[1:]:
        miner.call("mining.authorize", name, "x")
    assert miner.session.vardiff.seconds == 10
    paces = []
    for number, name in enumerate(names):
        nonce = hunt(miner, notify, start=number * 1000)
        assert miner.submit(notify, nonce, name)[0]["result"] is True
        paces.append(miner.session.vardiff.seconds)
    assert paces[:5] == [10, 5, pytest.approx(10 / 3), 2.5, 2]
    assert paces[9:] == [1, 1, 1]  # never faster


# --- the same work is the same work --------------------------------------------------------------------------


def test_what_was_refused_for_one_job_is_judged_anew_for_another():
    """The four fields of a submission say nothing without their job: here they are a block."""
    miner = Miner(start_difficulty=1000.0)
    first = miner.login()
    miner.registry.work_changed(0xABCD, True, NOW)
    miner.session.send_work(NOW)
    (message,) = miner.out()
    second = message["params"]
    nonce = hunt(miner, second, target=2**250)
    assert code(miner.submit(first, nonce)) == 23
    assert code(miner.submit(first, nonce)) == 22
    miner.session.state.jobs[second[0]].issued.job.block_target = 2**250
    assert miner.submit(second, nonce)[0]["result"] is True
    assert len(miner.work.solved_outcomes) == 1


def connect_again(miner: Miner, session_id: str) -> Session:
    """Another connection of the same rig, with its session."""
    miner.session = Session(miner.context, miner.reputation, miner.now)
    (answer,) = miner.call("mining.subscribe", "test/1", session_id)
    assert answer["result"][1] == miner.extranonce1.hex()
    return miner.session


@pytest.mark.parametrize("other_difficulty", [False, True])
def test_a_reconnect_does_not_make_submitted_shares_new_again(other_difficulty):
    miner = Miner(start_difficulty=LOW)
    notify = miner.login()
    first = hunt(miner, notify)
    assert miner.submit(notify, first)[0]["result"] is True
    miner.session.connection_lost(miner.now)
    connect_again(miner, miner.session.state.session_id)
    if other_difficulty:
        miner.call("mining.suggest_difficulty", 2.0**-29)
    answer, difficulty, again, *_ = miner.call("mining.authorize", ADDRESS, "x")
    assert answer["result"] is True
    assert difficulty["method"] == "mining.set_difficulty"
    assert again["params"][0] != notify[0]
    assert again["params"][2] != notify[2]  # other work: it begins anew, and would find the same once more
    assert code(miner.submit(notify, first)) == 22
    easy = hunt(miner, notify, start=int(first, 16) + 1, above=difficulty_to_target(2.0**-29))
    if other_difficulty:
        other = hunt(miner, again["params"], above=difficulty_to_target(2.0**-29))
        assert code(miner.submit(again["params"], other)) == 23
    assert miner.submit(notify, easy)[0]["result"] is True  # at the difficulty that it was issued with


def test_work_under_way_stays_valid_when_another_connection_takes_the_session():
    miner = Miner(start_difficulty=LOW)
    miner.call("mining.extranonce.subscribe")
    notify = miner.login()
    taken_over = miner.session
    connect_again(miner, taken_over.state.session_id)
    messages = [json.loads(text) for text in taken_over.take_output().splitlines()]
    assert methods(messages) == ["mining.set_extranonce", "mining.notify"]
    again = messages[1]["params"]
    assert again[0] != notify[0]
    miner.session = taken_over
    old = hunt(miner, notify)
    assert miner.submit(notify, old)[0]["result"] is True
    miner.extranonce1 = bytes.fromhex(messages[0]["params"][0])
    new = hunt(miner, again)
    assert miner.submit(again, new)[0]["result"] is True


def test_equal_user_agents_are_one_object():
    texts = []
    for _ in range(2):
        software = MinerSoftware()
        software.subscribed_as("".join(("cpu", "miner/2.5")))
        texts.append(str(software))
    assert texts == ["cpuminer/2.5"] * 2
    assert texts[0] is texts[1]
