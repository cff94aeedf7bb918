"""All places are taken: who makes room."""

from __future__ import annotations

from p2pool.stratum import guard as guard_module
from p2pool.stratum import lingering
from p2pool.stratum.eviction_queue import LOGIN_PATIENCE
from p2pool.stratum.guard import Guard, GuardSettings
from p2pool.stratum.reputation import Offence
from tests.logged import logged
from tests.stratum.miner import ADDRESS, NOW, FakeStats
from tests.stratum.wire import StratumHarness, line, notifies


def miner(harness: StratumHarness, host: str, proven: bool = False):
    """An authorized rig of a host; `proven` if something of it was accepted."""
    protocol, wire = harness.connect(host)
    protocol.dataReceived(line("mining.subscribe") + line("mining.authorize", ADDRESS, "x"))
    if proven:
        harness.server.guard.submission(protocol.session.reputation, False, harness.now())
    return protocol, wire


def test_300_idle_connections_of_one_address_do_not_keep_an_honest_miner_out():
    harness = StratumHarness(max_connections=300)
    idle = [miner(harness, "10.9.9.9") for _ in range(300)]
    with logged() as log:
        honest, wire = miner(harness, "10.1.1.1")
    assert notifies(wire.messages())
    assert len(harness.server) == 300
    assert [w.disconnecting for _, w in idle] == [True] + [False] * 299
    # The attacker's own newcomers cost only its own.
    for _ in range(1000):
        miner(harness, "10.9.9.9")
    assert honest.session is not None
    assert len(harness.server) == 300
    assert len(log.lines) < 5
    assert not wire.disconnecting


def test_who_has_worked_never_makes_room():
    harness = StratumHarness(max_connections=20)
    workers = [miner(harness, "10.9.9.9", proven=True) for _ in range(20)]
    _, wire = harness.connect("10.1.1.1")
    assert wire.disconnecting
    assert not any(w.disconnecting for _, w in workers)
    assert harness.stats.of("record_turned_away")[0][0] == "too many connections"


def test_a_farm_that_works_does_not_go_for_a_smaller_host_that_is_idle():
    harness = StratumHarness(max_connections=20)
    farm = [miner(harness, "10.2.0.1", proven=True) for _ in range(15)]
    idle = [miner(harness, "10.9.9.9") for _ in range(5)]
    for number in range(5):
        assert not miner(harness, f"10.1.1.{number}")[1].disconnecting
    assert not any(w.disconnecting for _, w in farm)
    assert sum(w.disconnecting for _, w in idle) == 4  # then every host has one


def test_those_that_do_not_log_in_go_first_and_at_once():
    harness = StratumHarness(max_connections=10)
    authorized = [miner(harness, "10.9.9.9") for _ in range(8)]
    pending, pending_wire = harness.connect("10.8.8.8")
    late = harness.connect("10.8.8.8")
    harness.reactor.advance(LOGIN_PATIENCE)
    miner(harness, "10.1.1.1")
    assert pending_wire.aborted
    assert pending.session is None
    assert not any(w.disconnecting for _, w in authorized)
    assert not late[1].aborted
    assert len(harness.server._lingering) == 0


def test_who_has_just_connected_has_time_to_log_in():
    harness = StratumHarness(max_connections=10)
    for _ in range(10):
        miner(harness, "10.9.9.9")
    pending = [harness.connect(f"10.1.1.{number}") for number in range(5)]
    assert not any(w.disconnecting or w.aborted for _, w in pending)


def test_an_ipv6_network_of_48_bits_is_one_site():
    harness = StratumHarness(max_connections=100)
    idle = [miner(harness, f"2001:db8:7:{number:x}::1") for number in range(100)]
    honest = [miner(harness, "10.1.1.1"), miner(harness, "10.1.1.2")]
    for number in range(500):
        miner(harness, f"2001:db8:7:{number:x}::2")
    assert not any(w.disconnecting for _, w in honest)
    assert sum(w.disconnecting for _, w in idle) == 100
    assert len(harness.server) == 100


def test_connections_that_linger_are_shared_as_well(monkeypatch):
    monkeypatch.setattr(lingering, "MAX_LINGERING", 3)
    harness = StratumHarness()
    honest, honest_wire = miner(harness, "10.1.1.1")
    others = [miner(harness, "10.9.9.9") for _ in range(10)]
    for protocol in [honest, *(each for each, _ in others)]:
        protocol.session.closing = "a test"
        protocol.flush()
    assert not honest_wire.aborted
    assert sum(wire.aborted for _, wire in others) == 8
    assert len(harness.server._lingering) == len(harness.server._lingering._by_site) == 3


# --- the guard's tables ------------------------------------------------------------------------------------------


def make_guard() -> Guard:
    return Guard(GuardSettings(), FakeStats())


def test_one_site_s_bans_do_not_push_out_those_of_others(monkeypatch):
    monkeypatch.setattr(guard_module, "MAX_BANS", 10)
    guard = make_guard()
    guard.ban("10.0.0.1", now=NOW, seconds=5, reason="by the operator")
    for number in range(1000):
        guard.ban(f"2001:db8:7:{number:x}::", now=NOW + 1, seconds=300, reason="one /48")
    hosts = [ban.host for ban in guard.bans()]
    assert len(hosts) == 10
    assert hosts[0] == "10.0.0.1"
    assert hosts[-1] == "2001:db8:7:3e7::/64"
    guard.tick(NOW + 400)
    assert guard.bans() == ()
    assert len(guard._bans_by_site) == 0


def test_one_site_s_hosts_do_not_push_out_what_others_have_on_their_account(monkeypatch):
    monkeypatch.setattr(guard_module, "MAX_ABSENT_HOSTS", 10)
    guard = make_guard()
    for host in ["10.0.0.1"] + [f"2001:db8:7:{number:x}::" for number in range(100)]:
        connection = guard.connected(host, NOW)
        guard.offence(connection, Offence.MALFORMED, NOW)
        guard.disconnected(connection, lasted=100, authorized=False, earned=False, now=NOW)
    assert len(guard._absent) == 10
    assert guard.connected("10.0.0.1", NOW).host.cost.at(NOW) == Offence.MALFORMED.cost


def test_who_left_nothing_behind_takes_no_room():
    guard = make_guard()
    connection = guard.connected("10.0.0.1", NOW)
    guard.authorized(connection, NOW)
    guard.submission(connection, False, NOW)
    connection.submissions = 0
    guard.disconnected(connection, lasted=100, authorized=True, earned=True, now=NOW)
    assert len(guard._absent) == 0


def test_one_site_does_not_get_others_logged_again_and_again(monkeypatch):
    monkeypatch.setattr(guard_module, "_LOGGED_HOSTS", 10)
    guard = make_guard()
    assert guard.may_log("10.0.0.1", "a", NOW)
    for number in range(1000):
        guard.may_log(f"2001:db8:7:{number:x}::", "a", NOW)
    assert not guard.may_log("10.0.0.1", "a", NOW)
    assert len(guard._logged) == 10
