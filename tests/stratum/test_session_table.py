"""What a miner finds again after a reconnect, and that nobody finds what is another's."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pool.stratum import session_table
from p2pool.stratum.miner_state import MinerState
from p2pool.stratum.session_context import VERSION_MASK
from p2pool.stratum.session_table import SessionTable
from p2pool.stratum.vardiff import Vardiff
from tests.logged import logged
from tests.stratum.miner import ADDRESS, EASY, NOW, TIMEOUT, Miner, code
from tests.stratum.wire import StratumHarness, line, notifies


class Guest:
    """A live session, as far as the table knows one."""

    def __init__(self, table: SessionTable) -> None:
        self.state = table.new_state(Vardiff(start=1.0, minimum=0.001, maximum=1000.0, seconds=10.0))
        self.taken_over = 0
        table.opened(self)

    def lose_to_takeover(self, state: MinerState, now: float) -> None:
        self.state = state
        self.taken_over += 1


class Rig:
    """A miner on the wire that may come back: asks for `session`, and works with the extranonce1 it is told."""

    header, find = Miner.header, Miner.find

    def __init__(self, harness: StratumHarness, session=None, username=ADDRESS, password="x", before=()) -> None:
        self.protocol, self.wire = harness.connect()
        self.session = self.protocol.session
        for request in before:
            assert self.call(*request)[0]["error"] is None
        (self.welcome,) = self.call("mining.subscribe", "rig/1", session)
        subscriptions, extranonce1, size = self.welcome["result"]
        assert size == 4
        self.session_id = subscriptions[0][1]
        self.extranonce1 = bytes.fromhex(extranonce1)
        self.greeting = self.call("mining.authorize", username, password)
        assert self.greeting[0]["result"] is True
        (self.notify,) = notifies(self.greeting)

    def call(self, method: str, *params) -> list[dict]:
        self.protocol.dataReceived(line(method, *params))
        return self.wire.messages()

    def submit(self, notify: list, nonce: str, *more, worker: str = ADDRESS) -> list[dict]:
        return self.call("mining.submit", worker, notify[0], "00000000", notify[7], nonce, *more)

    def leave(self) -> None:
        self.protocol.connectionLost()

    @property
    def told_difficulty(self) -> list:
        return [m["params"][0] for m in self.greeting if m.get("method") == "mining.set_difficulty"]


def new_tip(harness: StratumHarness, **changes) -> None:
    """New work on the same parent block, or on another one."""
    harness.reactor.advance(1)
    harness.work.template = replace(harness.work.template, **changes)
    harness.server.work_changed(harness.work.template.previous_block, clean=True)


class Drawing(random.Random):
    """Chance that gives these extranonces."""

    def __init__(self, extranonces: Iterator[bytes]) -> None:
        super().__init__(1)
        self._extranonces = extranonces

    def randbytes(self, n: int) -> bytes:
        return next(self._extranonces)


# --- the table -------------------------------------------------------------------------------------------------


def test_an_extranonce_in_use_is_not_given_again_whether_its_owner_is_here_or_gone():
    drawn = iter([b"aaaa", b"aaaa", b"aaaa", b"bbbb", b"aaaa", b"bbbb", b"cccc", b"aaaa"])
    table = SessionTable(TIMEOUT, Drawing(drawn))
    first = Guest(table)
    second = Guest(table)
    assert (first.state.extranonce1, second.state.extranonce1) == (b"aaaa", b"bbbb")
    table.closed(first, site="h", worth_keeping=True, now=NOW)
    third = Guest(table)
    assert third.state.extranonce1 == b"cccc"
    table.expire(NOW + TIMEOUT)
    assert Guest(table).state.extranonce1 == b"aaaa"


def test_a_session_id_is_no_number_in_any_notation():
    table = SessionTable(TIMEOUT, random.Random(1))
    ids = {
        table.new_state(Vardiff(start=1.0, minimum=0.001, maximum=1000.0, seconds=10.0)).session_id
        for _ in range(300)
    }
    assert len(ids) == 300
    for session_id in ids:
        assert re.fullmatch("[0-9a-f]{32}", session_id)
        # what strtod, parseFloat and their kind would read at its beginning
        assert not re.match(r"\s*[+-]?(\d|\.\d|0x|inf|nan)", session_id, re.IGNORECASE)
        with pytest.raises(ValueError, match="could not convert"):
            float(session_id)


@pytest.mark.parametrize(("later", "known"), [(0, True), (TIMEOUT - 1, True), (TIMEOUT, False), (1e9, False)])
@pytest.mark.parametrize("swept", [True, False])
def test_a_session_can_be_resumed_for_a_time(later, known, swept):
    table = SessionTable(TIMEOUT, random.Random(1))
    first = Guest(table)
    state = first.state
    table.closed(first, site="h", worth_keeping=True, now=NOW)
    assert len(table) == 1
    if swept:
        table.expire(NOW + later)
        assert len(table) == known
    second = Guest(table)
    own = second.state
    assert table.resume(second, state.session_id, NOW + later) is known
    assert second.state is (state if known else own)
    assert len(table) == 0
    assert table._extranonces == {second.state.extranonce1}
    assert not table.resume(Guest(table), own.session_id if known else state.session_id, NOW + later)


def test_with_a_timeout_of_zero_nothing_is_kept():
    table = SessionTable(0.0, random.Random(1))
    guest = Guest(table)
    table.closed(guest, site="h", worth_keeping=True, now=NOW)
    assert len(table) == 0
    assert not table._extranonces
    assert not table.resume(Guest(table), guest.state.session_id, NOW)


def test_what_is_not_worth_keeping_is_not_kept():
    table = SessionTable(TIMEOUT, random.Random(1))
    guest = Guest(table)
    table.closed(guest, site="h", worth_keeping=False, now=NOW)
    table.closed(guest, site="h", worth_keeping=True, now=NOW)  # a second time does nothing
    assert len(table) == 0
    assert not table._extranonces


def test_those_that_are_gone_are_bounded_and_the_oldest_goes(monkeypatch):
    monkeypatch.setattr(session_table, "MAX_SAVED", 3)
    table = SessionTable(TIMEOUT, random.Random(1))
    guests = [Guest(table) for _ in range(5)]
    for guest in guests:
        table.closed(guest, site="h", worth_keeping=True, now=NOW)
    assert len(table) == 3
    assert table._extranonces == {guest.state.extranonce1 for guest in guests[2:]}
    assert [table.resume(Guest(table), guest.state.session_id, NOW) for guest in guests] == [False] * 2 + [
        True
    ] * 3


def test_a_live_session_is_taken_over_and_both_go_on_with_extranonces_of_their_own():
    table = SessionTable(TIMEOUT, random.Random(1))
    taken_over: list = []
    table.taken_over.subscribe(taken_over.append)
    first, second = Guest(table), Guest(table)
    state, own = first.state, second.state
    assert table.resume(second, state.session_id, NOW)
    assert (second.state, first.state) == (state, own)
    assert taken_over == [first]
    assert (first.taken_over, second.taken_over) == (1, 0)
    assert table.resume(second, state.session_id, NOW)  # its own
    assert (first.taken_over, second.taken_over) == (1, 0)
    table.closed(first, site="h", worth_keeping=True, now=NOW)
    table.closed(second, site="h", worth_keeping=True, now=NOW)
    assert len(table) == 2
    third = Guest(table)
    assert table.resume(third, state.session_id, NOW)
    assert third.state is state


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["open", "close", "drop", "resume", "expire"]), st.integers(0, 30), st.integers(0, 30)
    ),
    max_size=60,
)


@given(STEPS)
def test_no_two_ever_have_the_same_extranonce_whatever_happens(steps):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session_table, "MAX_SAVED", 4)
        # every draw comes twice, and all of them again and again
        chance = Drawing((number // 2 % 64).to_bytes(4, "big") for number in count())
        table, live, ids, now = SessionTable(100.0, chance), [], [], NOW
        for kind, a, b in steps:
            if kind == "open" and len(live) < 20:
                live.append(Guest(table))
                ids.append(live[-1].state.session_id)
            elif kind in ("close", "drop") and live:
                table.closed(live.pop(a % len(live)), site=f"host{a % 3}", worth_keeping=kind == "close", now=now)
            elif kind == "resume" and live:
                guest, wanted = live[a % len(live)], ids[b % len(ids)]
                assert table.resume(guest, wanted, now) is (guest.state.session_id == wanted)
            elif kind == "expire":
                now += a * 10
                table.expire(now)
            saved = [state for state, _ in table._saved.values()]
            used = [state.extranonce1 for state in [*saved, *(guest.state for guest in live)]]
            assert len(set(used)) == len(used)
            assert table._extranonces == set(used)
            assert len(saved) <= 4
            assert {guest.state.session_id: guest for guest in live} == table._live


def test_a_host_that_leaves_many_sessions_behind_pushes_out_its_own(monkeypatch):
    monkeypatch.setattr(session_table, "MAX_SAVED", 10)
    table = SessionTable(TIMEOUT, random.Random(1))
    honest = Guest(table)
    table.closed(honest, site="honest", worth_keeping=True, now=NOW)
    flood = [Guest(table) for _ in range(50)]
    for number, guest in enumerate(flood):
        table.closed(guest, site=f"flood{number % 3}", worth_keeping=True, now=NOW)
    assert len(table) == 10
    assert table.resume(Guest(table), honest.state.session_id, NOW)


# --- sessions that move between servers ------------------------------------------------------------------------


def test_extranonces_under_a_prefix_are_counted_and_go_on_when_the_prefix_comes_back():
    table = SessionTable(TIMEOUT, random.Random(1))
    table.use_prefix(b"\x07", 0xFFFFFE)
    one, two = Guest(table).state.extranonce1, Guest(table).state.extranonce1
    assert (one, two) == (b"\x07\xff\xff\xff", b"\x07\x00\x00\x00")
    table.use_prefix(b"\x08", 0)
    assert Guest(table).state.extranonce1 == b"\x08\x00\x00\x01"
    table.use_prefix(b"\x07", 0xFFFFFE)
    assert Guest(table).state.extranonce1 == b"\x07\x00\x00\x01"


def test_an_extranonce_under_a_prefix_that_is_in_use_is_passed_over():
    table = SessionTable(TIMEOUT, random.Random(1))
    table.use_prefix(b"\x07", 0)
    visitor = MinerState("d" + "0" * 31, b"\x07\x00\x00\x01", Guest(table).state.vardiff)
    assert not table.adopt(visitor, site="h", now=NOW)
    visitor.extranonce1 = b"\x07\x00\x00\x02"
    assert table.adopt(visitor, site="h", now=NOW)
    assert Guest(table).state.extranonce1 == b"\x07\x00\x00\x03"


def test_a_session_moves_from_table_to_table():
    here, there = SessionTable(TIMEOUT, random.Random(1)), SessionTable(TIMEOUT, random.Random(1))
    taken_over: list = []
    here.taken_over.subscribe(taken_over.append)
    live, saved, rest = Guest(here), Guest(here), Guest(here)
    here.closed(saved, site="h", worth_keeping=True, now=NOW)
    for state in (live.state, saved.state):
        assert here.get(state.session_id) is state
        here.give_up(state.session_id, NOW)
        assert here.get(state.session_id) is None
        assert there.adopt(state, site="h", now=NOW)
        assert not there.adopt(state, site="h", now=NOW)
        assert there.resume(Guest(there), state.session_id, NOW)
    here.give_up("d" + "f" * 31, NOW)
    assert taken_over == [live]
    assert set(here.live_sessions()) == {live, rest}
    assert list(here.saved_states()) == []
    assert here._extranonces == {live.state.extranonce1, rest.state.extranonce1}


def test_sessions_that_come_are_bounded_like_those_that_are_left(monkeypatch):
    monkeypatch.setattr(session_table, "MAX_SAVED", 3)
    table = SessionTable(TIMEOUT, random.Random(1))
    vardiff = Guest(SessionTable(TIMEOUT, random.Random(1))).state.vardiff
    for number in range(10):
        assert table.adopt(MinerState(f"d{number:031x}", number.to_bytes(4, "big"), vardiff), site="h", now=NOW)
    assert len(table) == len(table._extranonces) == 3
    assert not SessionTable(0.0, random.Random(1)).adopt(MinerState("d", b"1234", vardiff), site="h", now=NOW)


# --- resumption over a reconnect -------------------------------------------------------------------------------


def settled(harness: StratumHarness, username: str = ADDRESS + "+s20") -> Rig:
    """A miner that has negotiated all there is."""
    rig = Rig(
        harness,
        username=username,
        before=[
            (
                "mining.configure",
                ["version-rolling", "minimum-difficulty"],
                {"version-rolling.mask": "00ffe000", "minimum-difficulty.value": 2.0**-22},
            ),
            ("mining.suggest_difficulty", 2.0**-19),
        ],
    )
    assert rig.told_difficulty == [2.0**-19]
    return rig


def test_a_reconnect_finds_everything_again():
    harness = StratumHarness()
    first = settled(harness)
    first.leave()
    Rig(harness).leave()
    harness.reactor.advance(100)
    second = Rig(harness, first.session_id, password="x,d=64")  # a starting difficulty is not for who goes on
    assert second.session_id == first.session_id
    assert second.extranonce1 == first.extranonce1
    assert second.told_difficulty == [2.0**-19]
    session = second.session
    assert session.version_mask == 0x00FFE000
    assert (session.vardiff.minimum, session.vardiff.fixed) == (2.0**-22, False)
    assert (session.vardiff.seconds, session.state.share_rate) == (20.0, 20.0)
    assert len(harness.server) == 1
    second.leave()
    third = Rig(harness, first.session_id)  # as often as it likes
    assert third.extranonce1 == first.extranonce1


def test_without_the_session_nothing_is_found_again():
    harness = StratumHarness()
    first = settled(harness)
    first.leave()
    second = Rig(harness, password="x,d=64")
    assert second.session_id != first.session_id
    assert second.extranonce1 != first.extranonce1
    assert second.told_difficulty == [64]
    assert second.session.version_mask is None
    assert second.session.vardiff.seconds == 10.0


def test_a_fixed_difficulty_in_the_username_counts_for_who_goes_on_too():
    harness = StratumHarness()
    first = settled(harness)
    first.leave()
    second = Rig(harness, first.session_id, ADDRESS + "+4", "d=64")
    assert second.extranonce1 == first.extranonce1
    assert second.told_difficulty == [4]
    assert second.session.vardiff.fixed


def test_what_was_said_before_the_session_was_asked_for_is_newer_than_what_it_remembers():
    harness = StratumHarness()
    old = Rig(harness, before=[("mining.configure", ["version-rolling"], {"version-rolling.mask": "1fffe000"})])
    old.leave()
    configured = ("version-rolling", "minimum-difficulty", "subscribe-extranonce")
    options = {"version-rolling.mask": "00006000", "minimum-difficulty.value": 2.0**-10}
    new = Rig(harness, old.session_id, before=[("mining.configure", list(configured), options)])
    assert new.extranonce1 == old.extranonce1
    assert new.session.version_mask == 0x6000
    assert new.session.vardiff.minimum == 2.0**-10
    assert new.told_difficulty == [2.0**-10]
    assert new.session.state.extranonce_changes
    assert new.session.state.requested_mask == 0x6000


def test_jobs_of_before_are_answered_after_the_reconnect():
    harness = StratumHarness()
    first = Rig(harness)
    one = first.find(first.notify, EASY)
    two = first.find(first.notify, EASY, start=int(one, 16) + 1)
    assert first.submit(first.notify, one)[0]["result"] is True
    first.leave()
    new_tip(harness, subsidy=7)
    second = Rig(harness, first.session_id)
    assert second.notify[0] != first.notify[0]
    assert code(second.submit(first.notify, one)) == 22
    assert second.submit(first.notify, two)[0]["result"] is True
    assert code(second.submit(first.notify, two)) == 22
    stranger = Rig(harness)
    assert code(stranger.submit(first.notify, two)) == 21


def test_a_repetition_is_one_after_a_reconnect_in_the_middle_of_a_job():
    """The job is still the current one. The miner begins anew, so it is sent other work; what it submits for the
    first job once more is known."""
    harness = StratumHarness()
    first = Rig(harness)
    nonce = first.find(first.notify, EASY)
    assert first.submit(first.notify, nonce)[0]["result"] is True
    first.leave()
    second = Rig(harness, first.session_id)
    assert second.notify[2] != first.notify[2]
    assert code(second.submit(first.notify, nonce)) == 22
    assert len(harness.stats.of("record_accepted")) == 1


def test_a_job_of_before_is_judged_by_the_difficulty_that_it_came_with():
    """The miner comes back with another difficulty in its username, and gets the same job under a new id."""
    harness = StratumHarness()
    first, username = Rig(harness), f"{ADDRESS}+{2.0**-14:.14f}"
    nonce = first.find(first.notify, EASY, above=EASY // 16)
    first.leave()
    second = Rig(harness, first.session_id, username)
    assert second.told_difficulty == [2.0**-14]
    assert second.notify[0] != first.notify[0]
    assert code(second.submit(second.notify, nonce, worker=username)) == 23
    other = first.find(first.notify, EASY, above=EASY // 16, start=int(nonce, 16) + 1)
    assert second.submit(first.notify, other, worker=username)[0]["result"] is True


def test_a_session_is_forgotten_after_its_time():
    harness = StratumHarness()
    harness.server.start()
    first = Rig(harness)
    first.leave()
    for _ in range(361):
        harness.reactor.advance(10)
    assert len(harness.server._context.sessions) == 0
    second = Rig(harness, first.session_id)
    assert second.session_id != first.session_id
    harness.server.stop()


def test_a_connection_that_never_worked_leaves_nothing_behind():
    harness = StratumHarness()
    protocol, wire = harness.connect()
    protocol.dataReceived(line("mining.subscribe", "x"))
    session_id = wire.messages()[0]["result"][0][0][1]
    protocol.connectionLost()
    assert len(harness.server._context.sessions) == 0
    assert Rig(harness, session_id).session_id != session_id


@pytest.mark.parametrize("asked", ["deadbeef", "", "d" * 5000, 5, 0.5, True, None, ["d"], {"a": "d"}, "\u0000"])
def test_unknown_sessions_are_new_ones(asked):
    harness = StratumHarness()
    first = Rig(harness)
    second = Rig(harness, asked)
    assert second.session_id not in (first.session_id, asked)
    assert second.extranonce1 != first.extranonce1
    assert not second.session.resumed
    assert len(harness.server) == 2


def test_asking_for_one_s_own_session_changes_nothing():
    harness = StratumHarness()
    rig = Rig(harness)
    (answer, *_) = rig.call("mining.subscribe", "x", rig.session_id)
    assert answer["result"] == rig.welcome["result"]
    assert not rig.wire.disconnecting


# --- resumption while the old connection still lives -----------------------------------------------------------


def test_a_session_that_is_resumed_elsewhere_ends_here():
    harness = StratumHarness()
    first = Rig(harness)
    nonce = first.find(first.notify, EASY)
    with logged() as log:
        second = Rig(harness, first.session_id)
    assert first.wire.disconnecting
    assert "resumed by another connection" in log.lines[0]
    assert list(harness.server.connections) == [second.session]
    assert second.extranonce1 == first.extranonce1
    assert second.session_id == first.session_id
    assert second.submit(first.notify, nonce)[0]["result"] is True


@pytest.mark.parametrize("how", ["mining.extranonce.subscribe", "mining.configure"])
def test_who_knows_of_extranonce_changes_goes_on_under_another(how):
    harness = StratumHarness()
    request = (how,) if how != "mining.configure" else (how, ["subscribe-extranonce"], {})
    first = Rig(harness, before=[request])
    old = first.notify
    one = first.find(old, EASY)
    two = first.find(old, EASY, start=int(one, 16) + 1)
    new_tip(harness, subsidy=7)
    first.wire.clear()
    second = Rig(harness, first.session_id)
    assert second.extranonce1 == first.extranonce1
    told, job = first.wire.messages()
    assert not first.wire.disconnecting
    assert (told["method"], job["method"]) == ("mining.set_extranonce", "mining.notify")
    changed, size = told["params"]
    assert size == 4
    assert bytes.fromhex(changed) != first.extranonce1
    assert job["params"][8] is True
    assert len(harness.server) == 2
    # what it was working on until then is not lost, and the other connection is not credited for it again
    assert first.submit(old, one)[0]["result"] is True
    assert code(second.submit(old, one)) == 22
    assert second.submit(old, two)[0]["result"] is True
    assert code(first.submit(old, two)) == 22
    first.extranonce1 = bytes.fromhex(changed)
    assert first.submit(job["params"], first.find(job["params"], EASY))[0]["result"] is True
    assert second.submit(second.notify, second.find(second.notify, EASY))[0]["result"] is True
    new_tip(harness, subsidy=8)
    for rig in (first, second):
        (notify,) = notifies(rig.wire.messages())
        assert rig.submit(notify, rig.find(notify, EASY))[0]["result"] is True


def test_who_is_taken_over_in_the_middle_of_a_job_may_finish_it():
    """Under another extranonce1 it gets another job."""
    harness = StratumHarness()
    first = Rig(harness, before=[("mining.extranonce.subscribe",)])
    old = first.notify
    one = first.find(old, EASY)
    two = first.find(old, EASY, start=int(one, 16) + 1)
    second = Rig(harness, first.session_id)
    told, job = first.wire.messages()
    assert job["params"][0] != old[0]
    assert job["params"][2] != old[2]
    assert first.submit(old, one)[0]["result"] is True
    assert second.submit(old, two)[0]["result"] is True
    assert code(second.submit(old, one)) == 22
    first.extranonce1 = bytes.fromhex(told["params"][0])
    assert first.submit(job["params"], first.find(job["params"], EASY))[0]["result"] is True


def test_who_was_taken_over_keeps_its_mask_and_difficulty():
    harness = StratumHarness()
    first = Rig(
        harness,
        before=[
            ("mining.configure", ["version-rolling", "subscribe-extranonce"], {}),
            ("mining.suggest_difficulty", 2.0**-19),
        ],
    )
    second = Rig(harness, first.session_id)
    assert first.session.version_mask == second.session.version_mask == VERSION_MASK
    assert first.session.vardiff.difficulty == second.session.vardiff.difficulty == 2.0**-19
    assert first.session.vardiff is not second.session.vardiff
    assert second.told_difficulty == [2.0**-19]
