"""Who is kept out, for what and how long, and who never is."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from p2pool.base.hosts import host_key
from p2pool.pool_stats import BanRecord, PoolStats
from p2pool.stratum import guard as guard_module
from p2pool.stratum.guard import (
    MAX_REASON,
    Guard,
    GuardSettings,
    ip_network,
)
from p2pool.stratum.protocol import ConnectionState
from p2pool.stratum.reputation import BAN_COST, JUDGED_SUBMISSIONS, ConnectionReputation, Decaying, Offence
from tests.logged import logged
from tests.stratum.miner import ADDRESS, NOW, FakeStats
from tests.stratum.wire import StratumHarness, line

HOST, OTHER = "10.0.0.1", "10.0.0.2"


def make_guard(*allowed: str, stats=None, **settings) -> Guard:
    networks = tuple(ip_network(network) for network in allowed)
    return Guard(GuardSettings(allowed=networks, **settings), stats or FakeStats())


def cost(connection: ConnectionReputation, now: float = NOW) -> float:
    """What is left of its host's cost."""
    return connection.host.cost.at(now)


def is_out(guard: Guard, host: str = HOST, now: float = NOW) -> bool:
    return guard.turned_away(host, now) == guard_module.BANNED


def worker(guard: Guard, host: str = HOST, now: float = NOW) -> ConnectionReputation:
    """A connection that is authorized."""
    known = guard.connected(host, now)
    guard.authorized(known, now)
    return known


# --- hosts ---------------------------------------------------------------------------------------------------


def test_a_cost_halves_in_a_minute():
    cost = Decaying(60.0, NOW)
    assert cost.add(40, NOW) == 40
    assert cost.at(NOW + 60) == 20
    assert cost.at(NOW - 1000) == 40  # a clock set back makes it no larger
    assert cost.add(1, NOW + 120) == 11
    assert cost.at(NOW + 180) == 5.5
    assert cost.at(NOW + 1e9) == 0


# --- offences ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offence", "count"),
    [(Offence.MALFORMED, 5), (Offence.LOGIN, 10), (Offence.RECONNECT, 20), (Offence.SUBMISSIONS, 1)],
)
def test_so_many_of_an_offence_at_once_are_a_ban(offence, count):
    guard = make_guard()
    banned: list[str] = []
    guard.banned.subscribe(banned.append)
    host = worker(guard)
    for _ in range(count - 1):
        guard.offence(host, offence, NOW)
    assert not is_out(guard)
    guard.offence(host, offence, NOW)
    assert is_out(guard)
    assert not is_out(guard, OTHER)
    assert banned == [HOST]
    assert guard.bans() == (BanRecord(HOST, NOW, NOW + 300, offence.text, is_automatic=True),)
    assert guard._stats.of("record_offence") == [(offence.text,)] * count  # type: ignore[attr-defined]
    assert cost(host) == 0  # after the ban it begins anew


def test_the_same_offences_with_time_between_them_are_none():
    guard = make_guard()
    host = worker(guard)
    for number in range(200):
        guard.offence(host, Offence.MALFORMED, NOW + 32 * number)
        guard.offence(host, Offence.LOGIN, NOW + 32 * number)
    assert cost(host, NOW + 32 * 199) > 90  # near the limit: no room for more
    assert not is_out(guard, now=NOW + 32 * 199)
    guard.offence(host, Offence.MALFORMED, NOW + 32 * 199)
    assert is_out(guard, now=NOW + 32 * 199)


def test_what_a_banned_host_does_makes_its_ban_no_longer():
    guard = make_guard()
    host = worker(guard)
    guard.ban(HOST, now=NOW, seconds=100, reason="why")
    for _ in range(50):
        guard.offence(host, Offence.MALFORMED, NOW + 50)
    assert guard.bans() == (BanRecord(HOST, NOW, NOW + 100, "why"),)
    guard.tick(NOW + 100)
    assert not is_out(guard, now=NOW + 100)
    guard.offence(host, Offence.MALFORMED, NOW + 100)
    assert not is_out(guard, now=NOW + 100)


@pytest.mark.parametrize(
    ("lasted", "authorized", "earned", "costs"),
    [
        (9.9, True, False, True),
        (9.9, True, True, False),
        (10.0, True, False, False),
        (9.9, False, False, True),
        (3000.0, False, False, True),
    ],
)
def test_which_ends_of_connections_cost(lasted, authorized, earned, costs):
    guard = make_guard()
    host = guard.connected(HOST, NOW)
    if authorized:
        guard.authorized(host, NOW)
    guard.disconnected(host, lasted=lasted, authorized=authorized, earned=earned, now=NOW)
    assert cost(host) == (Offence.RECONNECT.cost if costs else 0)
    assert (len(host.host.connections), host.host.working) == (0, 0)


def test_a_hall_that_reconnects_at_once_is_welcome_again_and_again():
    """A thousand authorized miners behind one address, as the server sees them."""
    harness = StratumHarness()
    for _ in range(4):
        miners = [harness.miner() for _ in range(1000)]
        assert len(harness.server) == 1000
        assert all(protocol.session.working for protocol, _ in miners)
        harness.reactor.advance(3)
        for protocol, _ in miners:
            protocol.connectionLost()
        harness.reactor.advance(1)
    assert harness.server.guard.bans() == ()
    assert harness.stats.of("record_offence") == [(Offence.RECONNECT.text,)] * 4000
    assert harness.server.guard.turned_away(HOST, harness.now()) is None


def test_a_single_rig_that_reconnects_thirty_times_in_ten_seconds_is_banned():
    harness = StratumHarness()
    with logged() as log:
        for _ in range(30):
            protocol, wire = harness.connect()
            if wire.disconnecting:
                break
            protocol.dataReceived(line("mining.subscribe") + line("mining.authorize", ADDRESS, "x"))
            assert protocol.session.working
            protocol.connectionLost()
            harness.reactor.advance(1 / 3)
    assert wire.disconnecting
    assert [ban.reason for ban in harness.server.guard.bans()] == [Offence.RECONNECT.text]
    assert log.lines == [f"banned {HOST} for 300 s: {Offence.RECONNECT.text}"]


def test_the_same_thirty_reconnects_in_ten_minutes_are_fine():
    harness = StratumHarness()
    for _ in range(30):
        protocol, wire = harness.miner()
        assert not wire.disconnecting
        protocol.connectionLost()
        harness.reactor.advance(20)
    assert harness.server.guard.bans() == ()


def test_a_storm_of_connections_that_never_authorize_is_banned():
    harness = StratumHarness()
    for _ in range(21):
        protocol, _ = harness.connect()
        protocol.connectionLost()
    assert harness.connect()[1].disconnecting


# --- submissions -----------------------------------------------------------------------------------------------


def submissions(guard: Guard, host: ConnectionReputation, refused: int, accepted: int, now: float = NOW) -> None:
    for number in range(refused + accepted):
        guard.submission(host, number < refused, now)


def test_more_than_half_of_a_hundred_submissions_refused_is_a_ban():
    assert JUDGED_SUBMISSIONS == 100
    guard = make_guard()
    host = worker(guard)
    submissions(guard, host, 51, 48)
    assert not is_out(guard)  # not a hundred yet
    guard.submission(host, False, NOW)
    assert is_out(guard)
    assert guard.bans()[0].reason == Offence.SUBMISSIONS.text


def test_exactly_half_is_not_and_every_hundred_is_judged_by_itself():
    guard = make_guard()
    host = worker(guard)
    for _ in range(20):
        submissions(guard, host, 50, 50)
    assert not is_out(guard)
    assert cost(host) == 0
    submissions(guard, host, 0, 1000)  # a good past buys nothing
    submissions(guard, host, 51, 49)
    assert is_out(guard)


def test_submissions_are_judged_across_reconnects():
    guard = make_guard()
    first = worker(guard)
    submissions(guard, first, 30, 0)
    guard.disconnected(first, lasted=100, authorized=True, earned=True, now=NOW)
    second = worker(guard, now=NOW + 60)
    submissions(guard, second, 21, 48, NOW + 60)
    guard.disconnected(second, lasted=100, authorized=True, earned=True, now=NOW + 60)
    assert not is_out(guard, now=NOW + 60)
    third = worker(guard, now=NOW + 60)
    submissions(guard, third, 0, 1, NOW + 60)
    guard.disconnected(third, lasted=100, authorized=True, earned=True, now=NOW + 60)
    assert is_out(guard, now=NOW + 60)


def test_refused_submissions_on_the_wire_are_a_ban():
    harness = StratumHarness()
    protocol, wire = harness.miner()
    for _ in range(100):
        protocol.dataReceived(line("mining.submit", ADDRESS, "fffff", "00000000", "00000000", "00000000"))
    assert len([m for m in wire.messages() if (m.get("error") or [0])[0] == 21]) == 100
    harness.reactor.advance(0)
    assert wire.disconnecting
    assert harness.connect()[1].disconnecting


# --- who is never banned ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allowed", "host", "exempt"),
    [
        ([], "127.0.0.1", True),
        ([], "127.200.1.1", True),
        ([], "::1", True),
        ([], "::ffff:127.0.0.1", True),
        ([], "10.0.0.1", False),
        (["10.0.0.0/8"], "10.200.0.1", True),
        (["10.0.0.0/8"], "::ffff:10.200.0.1", True),
        (["10.0.0.0/8"], "11.0.0.1", False),
        (["10.0.0.0/8"], "2001:db8::1", False),
        (["2001:db8::/32"], "2001:db8:9:9::1", True),
        (["2001:db8:0:5::7/128"], "2001:db8:0:5::1", True),  # a part of its /64 is allowed
        (["2001:db8:0:5::7/128"], "2001:db8:0:6::7", False),
        (["::/0"], "10.0.0.1", False),
        (["2001:db8::/32", "10.0.0.1/32"], "10.0.0.1", True),
    ],
)
def test_loopback_and_the_allow_list_are_never_banned(allowed, host, exempt):
    guard = make_guard(*allowed)
    known = worker(guard, host)
    for offence in Offence:
        for _ in range(30):
            guard.offence(known, offence, NOW)
    submissions(guard, known, 1000, 0)
    assert is_out(guard, host) is not exempt
    assert guard.never_banned(host) is exempt
    assert {record.never_banned for record in guard._worst(NOW)} <= {exempt}
    rows = [[host_key(host), NOW, NOW + 100, "from a file"]]
    assert make_guard(*allowed).read_json(rows, NOW) == (not exempt)


# --- limits ----------------------------------------------------------------------------------------------------


def test_so_many_connections_of_one_host():
    guard = make_guard(max_connections_per_host=3)
    hosts = [guard.connected(f"2001:db8::{n}", NOW) for n in range(3)]
    assert len({id(host.host) for host in hosts}) == 1
    assert guard.turned_away("2001:db8::99", NOW) == "too many connections of one host"
    assert guard.turned_away("2001:db8:0:1::99", NOW) is None
    guard.disconnected(hosts[0], lasted=100, authorized=False, earned=False, now=NOW)
    assert guard.turned_away("2001:db8::99", NOW) is None


def test_connections_beyond_the_limit_are_closed_with_one_log_line_a_minute():
    harness = StratumHarness(guard=GuardSettings(max_connections_per_host=2))
    for _ in range(2):
        harness.miner()
    with logged() as log:
        for _ in range(50):
            assert harness.connect()[1].disconnecting
        assert len(log.lines) == 1
        assert HOST in log.lines[0]
        assert not harness.connect(OTHER)[1].disconnecting
        harness.reactor.advance(60)
        harness.connect()
        harness.connect()
        assert len(log.lines) == 2
    assert len(harness.stats.of("record_turned_away")) == 52
    assert harness.server.guard.bans() == ()


# --- bans ------------------------------------------------------------------------------------------------------


def test_ban_list_and_unban():
    stats = PoolStats(NOW)
    guard = make_guard(stats=stats)
    changes: list[None] = []
    guard.bans_changed.subscribe(changes.append)
    for number, host in enumerate(["10.0.0.1", "2001:db8::1", "10.0.0.3"]):
        guard.ban(host, now=NOW + number, seconds=100, reason=f"reason {number}")
    assert [ban.host for ban in guard.bans()] == ["10.0.0.1", "2001:db8::/64", "10.0.0.3"]
    assert stats.snapshot(NOW).security.bans == guard.bans()
    assert is_out(guard, "2001:db8::ffff")
    assert len(changes) == 3
    guard.ban("10.0.0.1", now=NOW + 5, seconds=500, reason="again")
    assert [(ban.host, ban.since) for ban in guard.bans()][-1] == ("10.0.0.1", NOW + 5)  # the newest is the last
    assert len(guard.bans()) == 3
    assert guard.unban("2001:db8::7")
    assert not guard.unban("2001:db8::7")
    assert not is_out(guard, "2001:db8::1")
    assert [ban.host for ban in guard.bans()] == ["10.0.0.3", "10.0.0.1"]
    assert stats.snapshot(NOW).security.bans == guard.bans()
    assert len(changes) == 5


@pytest.mark.parametrize("here", [True, False])
def test_who_is_unbanned_begins_anew_wherever_it_is(here):
    guard = make_guard()
    host = worker(guard)
    for _ in range(4):
        guard.offence(host, Offence.MALFORMED, NOW)
    submissions(guard, host, 60, 0)
    if not here:
        guard.disconnected(host, lasted=100, authorized=True, earned=False, now=NOW)
    guard.ban(HOST, now=NOW, seconds=100, reason="by the operator")
    assert guard.unban(HOST)
    host = host if here else worker(guard)
    guard.offence(host, Offence.MALFORMED, NOW)
    submissions(guard, host, 0, 40)
    assert not is_out(guard)


def test_a_ban_ends_by_time():
    stats = PoolStats(NOW)
    guard = make_guard(stats=stats)
    guard.ban(HOST, now=NOW, seconds=300, reason="short")
    guard.ban(OTHER, now=NOW, seconds=600, reason="long")
    changes: list[None] = []
    guard.bans_changed.subscribe(changes.append)
    guard.tick(NOW + 299)
    assert is_out(guard, now=NOW + 299.9)
    assert not is_out(guard, now=NOW + 300)  # whether or not the tick came
    assert not changes
    guard.tick(NOW + 300)
    assert [ban.host for ban in guard.bans()] == [OTHER]
    assert [ban.host for ban in stats.snapshot(NOW).security.bans] == [OTHER]
    assert len(changes) == 1


def test_a_ban_lasts_as_long_as_is_set():
    guard = make_guard(ban_duration=7.0)
    host = worker(guard)
    guard.offence(host, Offence.SUBMISSIONS, NOW)
    assert is_out(guard, now=NOW + 6.9)
    assert not is_out(guard, now=NOW + 7)


def test_those_that_cost_most_are_shown():
    stats = PoolStats(NOW)
    guard = make_guard(stats=stats)
    for number in range(80):
        host = worker(guard, f"10.0.1.{number}")
        host.host.cost.add(number, NOW)
        submissions(guard, host, 2, 1)
        if number % 2:
            guard.disconnected(host, lasted=100, authorized=True, earned=False, now=NOW)
    guard.tick(NOW)
    shown = stats.snapshot(NOW).security.hosts
    assert [host.cost for host in shown] == list(range(79, 29, -1))
    assert (shown[1].host, shown[1].connections, shown[1].submissions, shown[1].refused) == ("10.0.1.78", 1, 3, 2)
    guard.tick(NOW + 3600)
    assert stats.snapshot(NOW).security.hosts == ()


# --- the wire --------------------------------------------------------------------------------------------------


def test_all_connections_of_a_banned_host_are_closed_and_no_others():
    harness = StratumHarness()
    ours = [harness.connect() for _ in range(5)]
    waiting, waiting_wire = harness.connect()
    other, other_wire = harness.connect(OTHER)
    for number in range(10):
        assert harness.server.guard.bans() == (), number
        ours[2][0].dataReceived(line("mining.authorize", "nobody", "x"))
    assert [ban.host for ban in harness.server.guard.bans()] == [HOST]
    answers = [m for m in ours[2][1].messages() if m.get("result") is False]
    assert len(answers) == 10  # the one that led to the ban is answered, too
    harness.reactor.advance(0)
    assert all(wire.disconnecting for _, wire in ours)
    assert waiting_wire.disconnecting
    assert waiting.state is ConnectionState.LINGERING
    assert not other_wire.disconnecting
    assert list(harness.server.connections) == [other.session]


def test_a_banned_host_is_turned_away_without_a_log_line():
    harness = StratumHarness()
    harness.server.guard.ban(HOST, now=harness.now(), seconds=300, reason="why")
    with logged() as log:
        for _ in range(10):
            protocol, wire = harness.connect()
            protocol.dataReceived(line("mining.subscribe"))
            assert wire.disconnecting
            assert wire.value() == b""
    assert log.lines == []
    assert harness.stats.of("record_turned_away") == [("banned", NOW)] * 10
    assert not harness.stats.of("record_connected")
    harness.reactor.advance(300)
    assert not harness.connect()[1].disconnecting


def test_malformed_lines_on_the_wire_are_a_ban():
    harness = StratumHarness()
    miners = [harness.connect() for _ in range(6)]
    harness.reactor.advance(20)
    for protocol, wire in miners[:5]:
        assert not wire.disconnecting
        protocol.dataReceived(b"nonsense\n")
        assert wire.disconnecting
    assert not miners[5][1].disconnecting
    harness.reactor.advance(0)
    assert miners[5][1].disconnecting
    assert [ban.reason for ban in harness.server.guard.bans()] == [Offence.MALFORMED.text]


# --- between runs ----------------------------------------------------------------------------------------------


def test_bans_survive_a_restart():
    before = make_guard()
    before.ban("10.0.0.1", now=NOW, seconds=100, reason="r" * MAX_REASON)
    before.ban("2001:db8::1", now=NOW + 1.5, seconds=1e6, reason="long")
    before.ban("10.0.0.3", now=NOW + 2, seconds=5, reason="over by then")
    rows = json.loads(json.dumps(before.to_json()))
    stats = PoolStats(NOW)
    after = make_guard(stats=stats)
    assert after.read_json(rows, NOW + 10) == 2
    assert after.bans() == before.bans()[:2]
    assert stats.snapshot(NOW).security.bans == after.bans()
    assert is_out(after, "2001:db8::9", NOW + 10)
    after.tick(NOW + 100)
    assert [ban.host for ban in after.bans()] == ["2001:db8::/64"]


_scalar = (
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers(-(10**400), 10**400)
    | st.text(max_size=80)
    | st.ip_addresses().map(str)
)
_time = st.floats() | st.integers(-(10**400), 10**400) | st.integers(int(NOW) - 5, int(NOW) + 5)
_row = st.tuples(st.text(max_size=80) | st.ip_addresses().map(str), _time, _time, st.text(max_size=200)).map(list)


@given(_scalar | st.lists(_row | _scalar | st.lists(_scalar, max_size=5) | st.dictionaries(st.text(), _scalar)))
@example([["10.0.0.1", 0, 10**400, "no float is so large"]])
@example([["10.0.0.1", -(10**400), NOW + 1, "nor so small"]])
@example([["10.0.0.1", 0, math.inf, "never"], ["10.0.0.1", math.nan, NOW + 1, "when"]])
@example([[f"10.0.0.{n}", NOW, NOW + 1, "\ud800"] for n in range(20)])
def test_hostile_files_do_no_harm(rows):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guard_module, "MAX_BANS", 7)
        guard = make_guard()
        taken = guard.read_json(rows, NOW)
        bans = guard.bans()
        assert len(bans) <= min(taken, 7)
        for ban in bans:
            assert 0 <= ban.since < math.inf
            assert NOW < ban.until < math.inf
            assert len(ban.host) <= 64
            assert len(ban.reason) <= MAX_REASON
            json.dumps([ban.host, ban.reason]).encode()
            assert (ban.host + ban.reason).isprintable()
        again = make_guard()
        again.read_json(json.loads(json.dumps(guard.to_json())), NOW)
        assert again.bans() == bans
        guard.tick(NOW + 1)


def test_of_a_file_with_more_than_there_is_room_for_the_first_are_taken(monkeypatch):
    monkeypatch.setattr(guard_module, "MAX_BANS", 3)
    guard = make_guard()
    assert guard.read_json([[f"10.0.0.{n}", NOW, NOW + 9, ""] for n in range(9)], NOW) == 3
    assert [ban.host for ban in guard.bans()] == ["10.0.0.0", "10.0.0.1", "10.0.0.2"]


# --- bounds ----------------------------------------------------------------------------------------------------


def test_bans_are_bounded_and_the_oldest_goes(monkeypatch):
    monkeypatch.setattr(guard_module, "MAX_BANS", 3)
    guard = make_guard()
    for number in range(3):
        guard.ban(f"10.0.0.{number}", now=NOW + number, seconds=100, reason="")
    guard.ban("10.0.0.0", now=NOW + 3, seconds=100, reason="")  # known: costs no other
    assert len(guard.bans()) == 3
    guard.ban("10.0.0.9", now=NOW + 4, seconds=100, reason="")
    assert [ban.host for ban in guard.bans()] == ["10.0.0.2", "10.0.0.0", "10.0.0.9"]


def test_hosts_that_are_gone_are_remembered_within_bounds(monkeypatch):
    monkeypatch.setattr(guard_module, "MAX_ABSENT_HOSTS", 3)
    guard = make_guard()
    for number in range(10):
        host = worker(guard, f"10.0.0.{number}")
        guard.offence(host, Offence.MALFORMED, NOW)
        guard.disconnected(host, lasted=100, authorized=True, earned=False, now=NOW)
    assert len(guard._absent) == 3
    assert not guard._hosts
    costs = [cost(guard.connected(f"10.0.0.{number}", NOW)) for number in (6, 7, 9)]
    assert costs == [0, 20, 20]
    assert len(guard._absent) == 1
    assert max(costs) < BAN_COST


def test_the_log_s_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(guard_module, "_LOGGED_HOSTS", 3)
    guard = make_guard()
    assert all(guard.may_log(f"10.0.0.{number}", "a", NOW) for number in range(10))
    assert len(guard._logged) == 3
    assert not guard.may_log("10.0.0.9", "a", NOW + 59)
    assert guard.may_log("10.0.0.9", "b", NOW + 59)  # another kind of line
    assert guard.may_log("10.0.0.9", "a", NOW + 60)
    assert guard.may_log("10.0.0.9", "a", NOW - 1000)  # the clock was set back


def test_a_ban_looks_at_no_other_host_s_connections():
    class Counted(dict):
        looked_at = 0

        def __iter__(self):
            for session in super().__iter__():
                Counted.looked_at += 1
                yield session

    harness = StratumHarness()
    for number in range(20):
        harness.connect(f"10.0.1.{number}")
    banned = [harness.connect("10.0.0.9")[1] for _ in range(3)]
    harness.server.connections = Counted(harness.server.connections)
    harness.server.guard.ban("10.0.0.9", now=harness.now(), seconds=300.0, reason="test")
    harness.reactor.advance(0)
    assert all(wire.disconnecting for wire in banned)
    assert len(harness.server.connections) == 20
    assert Counted.looked_at == 0


# --- other gateways ----------------------------------------------------------------------------------------------


def test_connections_at_other_gateways_count_for_the_limit_of_a_host():
    guard = make_guard(max_connections_per_host=3)
    guard.elsewhere = {HOST: 2, OTHER: 3}
    assert guard.turned_away(HOST, NOW) is None
    guard.connected(HOST, NOW)
    assert guard.turned_away(HOST, NOW) == guard_module.TOO_MANY_OF_HOST
    assert guard.turned_away(OTHER, NOW) == guard_module.TOO_MANY_OF_HOST
    guard.elsewhere = {}
    assert guard.turned_away(HOST, NOW) is None
    assert guard.connection_counts(1) == {HOST: 1}
    assert guard.connection_counts(2) == {}


def test_a_ban_says_who_made_it_also_after_a_restart():
    guard = make_guard()
    with logged() as log:
        guard.ban(HOST, now=NOW, seconds=60, reason="x", source="gate-1")
        guard.ban(OTHER, now=NOW, seconds=60, reason="x")
    assert [line for line in log.lines if "banned by" in line] == [f"banned {HOST} for 60 s: x (banned by gate-1)"]
    again = make_guard()
    rows = json.loads(json.dumps(guard.to_json()))
    assert [len(row) for row in rows] == [5, 4]
    assert again.read_json(rows, NOW) == 2
    assert again.bans() == guard.bans()
    assert again.read_json([[HOST, NOW, NOW + 60, "x", 7]], NOW) == 1
    assert again.ban_of(HOST).source == ""
