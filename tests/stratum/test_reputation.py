"""A few broken or mistyped rigs do not get the farm behind their address banned; an abuser there is bounded."""

from __future__ import annotations

import pytest

from p2pool.stratum.guard import BANNED, LIMITED, Guard, GuardSettings
from p2pool.stratum.reputation import (
    MAX_UNPROVEN_WEIGHT,
    PEAK_HALF_LIFE,
    REPEATED_LOGIN_COST,
    SETTLED_AFTER,
    ConnectionReputation,
    HostReputation,
    Offence,
    Standing,
)
from tests.logged import logged
from tests.stratum.miner import ADDRESS, NOW, OTHER_ADDRESS, FakeStats
from tests.stratum.wire import StratumHarness, line, notifies

HOST = "10.0.0.1"
BAD = ADDRESS[:-1] + ("1" if ADDRESS[-1] != "1" else "2")


def make_guard(**settings) -> Guard:
    return Guard(GuardSettings(**settings), FakeStats())


def working(guard: Guard, now: float = NOW, proven: bool = False, host: str = HOST) -> ConnectionReputation:
    connection = guard.connected(host, now)
    guard.authorized(connection, now)
    if proven:
        guard.submission(connection, False, now)
    return connection


def mistyped(harness: StratumHarness, username: str) -> None:
    """A rig with a wrong setting, as cpuminer tries it once."""
    protocol, _ = harness.connect()
    protocol.dataReceived(line("mining.subscribe") + line("mining.authorize", username, "x"))
    harness.reactor.advance(0.5)
    protocol.connectionLost()


# --- refused logins --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("good", [1, 20])
def test_two_mistyped_rigs_do_not_take_the_good_ones_of_their_address_down(good):
    harness = StratumHarness()
    miners = [harness.miner(f"{ADDRESS}.g{number}") for number in range(good)]
    for _ in range(60):
        for number in range(2):
            mistyped(harness, f"{BAD}.b{number}")
        assert not any(wire.disconnecting for _, wire in miners)
        harness.reactor.advance(9)
    assert harness.server.guard.bans() == ()
    assert harness.server.guard.turned_away(HOST, harness.now()) is None


def test_a_mistyped_rig_alone_keeps_its_way_in_and_is_right_at_once_when_it_is_corrected():
    harness = StratumHarness()
    for _ in range(60):
        mistyped(harness, f"{BAD}.rig")
        harness.reactor.advance(9.5)
    _, wire = harness.miner(f"{ADDRESS}.rig")
    assert notifies(wire.messages())


def test_guessing_usernames_is_a_ban():
    harness = StratumHarness()
    for number in range(11):
        mistyped(harness, f"nobody{number}")
    assert [ban.reason for ban in harness.server.guard.bans()] == [Offence.LOGIN.text]


def test_the_same_wrong_username_again_and_again_on_one_connection_costs_in_full():
    guard = make_guard()
    connection = guard.connected(HOST, NOW)
    for number in range(10):
        assert guard.bans() == (), number
        guard.login_refused(connection, "nobody.1", NOW)
    assert [ban.host for ban in guard.bans()] == [HOST]


def test_a_proxy_with_mistyped_workers_among_many_keeps_its_connection():
    harness = StratumHarness()
    proxy, wire = harness.miner(f"{ADDRESS}.0")
    for number in range(1, 200):
        proxy.dataReceived(line("mining.authorize", f"{BAD if number % 10 == 0 else ADDRESS}.{number}", "x"))
        harness.reactor.advance(0)
    assert sum(m.get("result") is False for m in wire.messages()) == 19
    assert not wire.disconnecting
    assert harness.server.guard.bans() == ()


@pytest.mark.parametrize(
    "usernames",
    [
        [f"{ADDRESS}.{number}" for number in range(1, 456)],  # 200 more than a connection may have
        [f"{OTHER_ADDRESS}.{number}" for number in range(200)],
    ],
)
def test_limits_of_the_server_are_no_offence(usernames):
    harness = StratumHarness()
    _, other = harness.miner()
    proxy, wire = harness.miner(f"{ADDRESS}.0")
    for username in usernames:
        proxy.dataReceived(line("mining.authorize", username, "x"))
    refusals = [m["error"] for m in wire.messages() if m.get("result") is False]
    assert len(refusals) == 200
    assert {error[0] for error in refusals} == {24}
    assert all("use another connection" in error[1] for error in refusals)
    harness.reactor.advance(1)
    assert not wire.disconnecting
    assert not other.disconnecting
    assert harness.stats.of("record_offence") == []


def test_a_username_is_remembered_by_its_address_and_for_ten_minutes():
    guard = make_guard()
    first, second = guard.connected(HOST, NOW), guard.connected(HOST, NOW)
    expected = 0.0
    for connection, username, when, cost in (
        (first, "a.1", NOW, Offence.LOGIN.cost),
        (second, "a+5", NOW, REPEATED_LOGIN_COST),
        (first, "a_2/7", NOW, REPEATED_LOGIN_COST),
        (first, ["no text"], NOW, Offence.LOGIN.cost),
        (second, None, NOW, REPEATED_LOGIN_COST),
    ):
        guard.login_refused(connection, username, when)
        expected += cost
        assert first.host.cost.at(NOW) == expected
    guard.login_refused(second, "a", NOW + 601)
    assert first.host.cost.at(NOW + 601) == pytest.approx(Offence.LOGIN.cost, abs=0.1)


# --- what works there counts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("offence", [Offence.MALFORMED, Offence.LOGIN, Offence.SUBMISSIONS])
def test_every_offence_is_divided_by_the_good_connections(offence):
    guard = make_guard()
    for _ in range(50):
        working(guard, proven=True)
    bad = guard.connected(HOST, NOW)
    guard.offence(bad, offence, NOW)
    assert bad.host.cost.at(NOW) == offence.cost / 50


def test_idle_connections_buy_little():
    guard = make_guard()
    for _ in range(900):
        working(guard)
    bad = guard.connected(HOST, NOW)
    guard.offence(bad, Offence.LOGIN, NOW)
    assert bad.host.cost.at(NOW) == Offence.LOGIN.cost / MAX_UNPROVEN_WEIGHT


def test_a_farm_that_has_gone_is_remembered_for_a_while_and_not_for_ever():
    guard = make_guard()
    farm = [working(guard, proven=True) for _ in range(1000)]
    for connection in farm:
        guard.disconnected(connection, lasted=100, authorized=True, earned=True, now=NOW)
    now = NOW + PEAK_HALF_LIFE
    assert guard.connected(HOST, now).host.weight(now) == 500
    now = NOW + 3 * 3600
    host = guard.connected(HOST, now).host
    assert host.weight(now) == host.working_weight(now) == 1
    # A single rig there reconnects at the price of a single rig.
    for _ in range(20):
        guard.disconnected(working(guard, now), lasted=1, authorized=True, earned=False, now=now)
    assert guard.turned_away(HOST, now) == BANNED


# --- one broken rig among good ones ------------------------------------------------------------------------------


def refuse(connection: ConnectionReputation, guard: Guard, count: int, now: float) -> None:
    for _ in range(count):
        guard.submission(connection, True, now)


@pytest.mark.parametrize("good", [1, 2, 100])
def test_a_broken_rig_is_closed_and_the_good_ones_stay(good):
    guard = make_guard()
    closed: list[ConnectionReputation] = []
    guard.misbehaved.subscribe(closed.append)
    farm = [working(guard, proven=True) for _ in range(good)]
    now = NOW
    for number in range(50):
        now += 300
        rig = working(guard, now)
        for connection in farm:
            guard.submission(connection, False, now)
        refuse(rig, guard, 100, now)
        assert closed == [rig] * len(closed)
        assert closed, number
        closed.clear()
        guard.disconnected(rig, lasted=300, authorized=True, earned=False, now=now)
    assert guard.bans() == ()
    assert all(connection.closing is None for connection in farm)


def test_a_broken_rig_is_closed_on_the_wire():
    harness = StratumHarness()
    _, good = harness.miner()
    harness.server.guard.submission(next(iter(harness.server.connections)).reputation, False, harness.now())
    rig, wire = harness.miner()
    with logged() as log:
        rig.dataReceived(line("mining.submit", ADDRESS, "fffff", "00000000", "00000000", "00000000") * 100)
        harness.reactor.advance(0)
    assert wire.disconnecting
    assert not good.disconnecting
    assert harness.server.guard.bans() == ()
    assert any(Offence.SUBMISSIONS.text in text for text in log.lines)


def test_a_rig_that_works_alone_and_badly_is_banned():
    guard = make_guard()
    rig = working(guard, proven=True)
    refuse(rig, guard, 99, NOW)
    assert guard.turned_away(HOST, NOW) == BANNED


# --- an abuser behind the address of a farm ----------------------------------------------------------------------


def test_an_abuser_among_good_ones_gets_no_free_ride_and_the_good_ones_stay_and_come_back():
    harness = StratumHarness()
    harness.server.start()
    good = [harness.miner(f"{ADDRESS}.{number}") for number in range(10)]
    harness.reactor.pump([1] * int(SETTLED_AFTER))
    let_in = 0
    with logged() as log:
        for second in range(120):
            for number in range(100):
                protocol, wire = harness.connect()
                let_in += not wire.disconnecting
                protocol.dataReceived(line("mining.authorize", f"nobody{second}.{number}", "x"))
                protocol.dataReceived(b"nonsense\n")
                protocol.connectionLost()
            harness.reactor.advance(1)
    assert let_in < 500  # of 12,000
    assert not any(wire.disconnecting for _, wire in good)
    assert harness.server.guard.bans() == ()
    assert any("10 working connections stay" in text for text in log.lines)
    assert len(log.lines) < 10
    # One of the good ones comes back as soon as the abuser pauses.
    good[0][0].connectionLost()
    harness.reactor.advance(6)
    _, wire = harness.miner(f"{ADDRESS}.0")
    assert not wire.disconnecting
    assert notifies(wire.messages())
    harness.server.stop()


def test_a_limited_farm_comes_back_within_a_minute_or_two_and_is_free_after_the_ban_s_time():
    guard = make_guard(ban_duration=300.0)
    farm = [working(guard, proven=True) for _ in range(200)]
    bad = guard.connected(HOST, NOW)
    for _ in range(200):
        guard.offence(bad, Offence.SUBMISSIONS, NOW)
    assert farm[0].host.limited_until == NOW + 300
    for connection in farm:
        guard.disconnected(connection, lasted=1000, authorized=True, earned=True, now=NOW)
    back, now = 0, NOW
    while back < 200:
        now += 1
        while back < 200 and guard.turned_away(HOST, now) is None:
            working(guard, now)
            back += 1
    assert 30 < now - NOW < 120
    assert LIMITED in {guard.turned_away(HOST, now) for _ in range(10)}
    assert guard.turned_away(HOST, NOW + 300) is None
    assert guard.turned_away(HOST, NOW + 300) is None


def test_where_nothing_works_any_more_the_limit_becomes_a_ban():
    guard = make_guard()
    connection = working(guard, proven=True)
    bad = guard.connected(HOST, NOW)
    guard.offence(bad, Offence.SUBMISSIONS, NOW)
    guard.offence(bad, Offence.SUBMISSIONS, NOW)
    assert guard.bans() == ()
    guard.disconnected(connection, lasted=1000, authorized=True, earned=True, now=NOW)
    guard.offence(bad, Offence.SUBMISSIONS, NOW)
    assert [ban.host for ban in guard.bans()] == [HOST]


def test_who_misbehaves_settled_is_no_shield_for_itself():
    guard = make_guard()
    connection = working(guard)
    now = NOW + SETTLED_AFTER + 1
    for _ in range(5):
        assert guard.bans() == ()
        guard.offence(connection, Offence.MALFORMED, now)
    assert [ban.host for ban in guard.bans()] == [HOST]


def test_a_connection_of_an_allowed_host_is_not_closed_for_its_submissions():
    guard = make_guard()
    connection = working(guard, host="127.0.0.1")
    refuse(connection, guard, 1000, NOW)
    assert connection.closing is None


@pytest.mark.parametrize("how", ["no place", "no work"])
def test_what_the_server_ends_for_its_own_reasons_is_no_offence(how):
    harness = StratumHarness(max_connections=50)
    for _ in range(5):
        for _ in range(50):
            harness.connect()
        harness.miner()
        if how == "no work":
            harness.server.suspend()
            harness.server.resume()
    assert harness.stats.of("record_offence") == []


def good_counts(host: HostReputation) -> list[int]:
    """How many connections count as good: idle, proven."""
    return [host.counts[Standing.IDLE], host.counts[Standing.PROVEN]]


def test_who_offends_does_not_make_its_own_offences_cheaper():
    guard = make_guard()
    good = working(guard, proven=True)
    for number in range(4):
        bad = working(guard, proven=True)
        guard.offence(bad, Offence.MALFORMED, NOW)
        assert good.host.cost.at(NOW) == Offence.MALFORMED.cost * (number + 1)
        guard.disconnected(bad, lasted=5, authorized=True, earned=True, now=NOW)
    guard.offence(guard.connected(HOST, NOW), Offence.MALFORMED, NOW)
    assert good.host.limited_until > NOW  # the good one stays
    assert good.closing is None
    guard.unban(HOST)
    assert good_counts(good.host) == [0, 1]


def test_the_counts_of_good_connections_return_to_nothing():
    guard = make_guard()
    host = guard.connected(HOST, NOW).host
    members = [working(guard, proven=number % 2 == 0) for number in range(10)]
    for connection in members[:4]:
        guard.offence(connection, Offence.LOGIN, NOW)
    assert good_counts(host) == [3, 3]
    host.forgive(NOW)
    assert good_counts(host) == [5, 5]
    for connection in members:
        guard.disconnected(connection, lasted=100, authorized=True, earned=True, now=NOW)
    assert (host.working, set(host.counts.values())) == (0, {1, 0})
    assert host.counts[Standing.NOT_COUNTED] == 1  # the one that never authorized


def test_who_worked_before_is_no_shield_for_itself_either():
    guard = make_guard()
    for _ in range(5):
        assert guard.bans() == ()
        bad = working(guard, proven=True)
        guard.offence(bad, Offence.MALFORMED, NOW)
        guard.disconnected(bad, lasted=5, authorized=True, earned=True, now=NOW)
    assert [ban.host for ban in guard.bans()] == [HOST]


def test_a_connection_that_was_never_charged_has_no_cost_to_remember():
    connection = ConnectionReputation(HostReputation("10.0.0.1", 0.0), 0.0)
    connection.authorized_at = 0.0
    assert connection.standing is Standing.IDLE
    assert connection.is_settled(100.0)
    connection.forgive(100.0)
    assert not connection.is_charged
    assert connection._cost is None
    connection.cost.add(5.0, 100.0)
    assert connection.is_charged
    assert connection.standing is Standing.NOT_COUNTED
    assert not connection.is_settled(100.0)
    connection.forgive(101.0)
    assert not connection.is_charged
