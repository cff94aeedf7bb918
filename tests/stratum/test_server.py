"""All connections together: who may come, and getting new work to everyone at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pool.pool_stats import HostLoad
from p2pool.stratum import lingering
from p2pool.stratum.job_broadcast import PAUSE
from p2pool.stratum.job_broadcast import SLICE as _SLICE
from p2pool.stratum.session import IDLE_RESEND
from tests.logged import logged
from tests.stratum.miner import ADDRESS, OTHER_ADDRESS
from tests.stratum.wire import StratumHarness, line, notifies


def new_work(harness: StratumHarness, clean: bool = True, **changes) -> None:
    harness.work.template = replace(harness.work.template, **changes)
    harness.server.work_changed(harness.work.template.previous_block, clean=clean)


def prevhash(notify: list) -> int:
    words = bytes.fromhex(notify[1])
    return int.from_bytes(b"".join(words[i : i + 4][::-1] for i in range(0, 32, 4)), "little")


@pytest.mark.parametrize("clean", [True, False])
def test_new_work_goes_to_everyone_at_once(clean):
    harness = StratumHarness()
    wires = [harness.miner(f"{address}.{n}")[1] for n in range(20) for address in (ADDRESS, OTHER_ADDRESS)]
    firsts = [notifies(wire.messages())[-1] for wire in wires]
    made = harness.work.made
    new_work(harness, clean, previous_block=0xBEEF)
    for wire, first in zip(wires, firsts, strict=True):
        (notify,) = notifies(wire.messages())
        assert prevhash(notify) == 0xBEEF
        assert notify[8] is clean
        assert notify[0] != first[0]
    assert harness.work.made == made + 2  # one job an address, however many connections


def test_who_is_not_authorized_yet_is_told_nothing():
    harness = StratumHarness()
    protocol, wire = harness.connect()
    protocol.dataReceived(line("mining.subscribe"))
    wire.messages()
    new_work(harness, previous_block=0xBEEF)
    assert wire.messages() == []
    protocol.dataReceived(line("mining.authorize", ADDRESS, "x"))
    assert prevhash(notifies(wire.messages())[0]) == 0xBEEF


def test_a_thousand_miners_are_served_in_slices_those_that_earn_first():
    harness = StratumHarness()
    count = 2 * _SLICE + 50
    miners = [harness.miner() for _ in range(count)]
    earning = miners[-1]
    earning[0].session.earning = True
    for _, wire in miners:
        wire.clear()
    new_work(harness, previous_block=0xBEEF)

    def served() -> int:
        return sum(1 for _, wire in miners if wire.value())

    assert served() == _SLICE
    assert earning[1].value()
    harness.reactor.advance(0)
    assert served() == count
    assert not harness.reactor.getDelayedCalls()


def test_newer_work_in_the_middle_of_a_round_starts_it_over_and_stays_clean():
    harness = StratumHarness()
    wires = [harness.miner()[1] for _ in range(_SLICE + 10)]
    for wire in wires:
        wire.clear()
    new_work(harness, True, previous_block=0xBEEF)
    new_work(harness, False, subsidy=7)  # a mere refresh, but some have not heard of the new block yet
    while harness.reactor.getDelayedCalls():
        harness.reactor.advance(0.01)
    for wire in wires:
        jobs = notifies(wire.messages())
        assert prevhash(jobs[0]) == prevhash(jobs[-1]) == 0xBEEF
        assert jobs[0][8] is True
        assert bytes.fromhex(jobs[-1][2]) != bytes.fromhex(jobs[0][2]) or len(jobs) == 1
    new_work(harness, False, subsidy=8)
    while harness.reactor.getDelayedCalls():
        harness.reactor.advance(0.01)
    assert all(notifies(wire.messages())[-1][8] is False for wire in wires)


def test_a_connection_that_goes_in_the_middle_of_a_round_harms_nobody():
    harness = StratumHarness()
    miners = [harness.miner() for _ in range(_SLICE + 10)]
    new_work(harness, previous_block=0xBEEF)
    for protocol, _ in miners[:50] + miners[-5:]:
        protocol.connectionLost()
    harness.reactor.advance(0)
    assert len(harness.server) == len(miners) - 55
    assert all(prevhash(notifies(wire.messages())[-1]) == 0xBEEF for _, wire in miners[50:-5])


def test_an_internal_error_that_one_connection_meets_does_not_keep_the_others_from_their_work():
    """One exception in a round once ended all rounds: no miner got work any more."""
    harness = StratumHarness()
    miners = [harness.miner(f"{address}.a") for address in (ADDRESS, OTHER_ADDRESS, ADDRESS)]
    make_job = harness.work.make_job
    victim = miners[1][0].session.payee.key_hash

    def broken(key_hash, share_difficulty):
        if key_hash == victim:
            raise ZeroDivisionError
        return make_job(key_hash, share_difficulty)

    harness.work.make_job = broken
    with logged() as log:
        for block in (1, 2, 3):
            new_work(harness, previous_block=block)
            for _, wire in (miners[0], miners[2]):
                assert prevhash(notifies(wire.messages())[-1]) == block
    assert len(log.tracebacks) == 1
    assert miners[1][1].aborted
    assert len(harness.server) == 2


def test_a_wish_beyond_all_targets_made_before_there_is_work():
    harness = StratumHarness()
    template, harness.work.template = harness.work.template, None
    _, greedy = harness.miner(f"{ADDRESS}/1e-300")
    _, other = harness.miner(OTHER_ADDRESS)
    harness.work.template = template
    harness.server.work_changed(template.previous_block, clean=True)
    harness.reactor.advance(PAUSE)
    assert notifies(greedy.messages())
    assert notifies(other.messages())


def test_without_work_miners_stay_and_are_served_when_there_is_some():
    harness = StratumHarness()
    _, wire = harness.miner()
    wire.clear()
    template, harness.work.template = harness.work.template, None
    harness.server.work_changed(0xBEEF, clean=True)
    assert wire.messages() == []
    assert not wire.disconnecting
    harness.work.template = template
    harness.server.work_changed(template.previous_block, clean=True)
    assert len(notifies(wire.messages())) == 1


def test_a_server_without_work_is_closed_until_there_is_some():
    harness = StratumHarness()
    _, wire = harness.miner()
    harness.server.suspend()
    assert wire.disconnecting
    with logged() as log:
        _, refused = harness.connect()
    assert refused.disconnecting
    assert log.lines == []
    harness.server.resume()
    _, welcome = harness.connect()
    assert not welcome.disconnecting


def test_no_more_connections_than_the_server_holds():
    harness = StratumHarness(max_connections=3)
    miners = [harness.miner() for _ in range(3)]
    for protocol, _ in miners:
        harness.server.guard.submission(protocol.session.reputation, False, harness.now())
    with logged() as log:
        protocol, transport = harness.connect("10.1.2.3")
        protocol.dataReceived(line("mining.ping"))
        protocol.connectionLost()
    assert transport.disconnecting
    assert transport.value() == b""
    assert len(log.lines) == 1
    assert "10.1.2.3" in log.lines[0]
    assert len(harness.server) == 3
    assert len(harness.stats.of("record_connected")) == 3
    assert not harness.stats.of("record_disconnected")
    miners[0][0].connectionLost()
    _, transport = harness.connect()
    assert not transport.disconnecting


def test_live_connections_have_extranonces_of_their_own():
    harness = StratumHarness()
    extranonces = {harness.connect()[0].session.extranonce1 for _ in range(500)}
    assert len(extranonces) == len(harness.server) == 500
    assert {len(e) for e in extranonces} == {4}


def test_who_does_not_log_in_is_closed_and_who_does_is_kept_alive():
    harness = StratumHarness()
    harness.server.start()
    _, silent = harness.connect()
    half, half_wire = harness.connect()
    half.dataReceived(line("mining.subscribe"))
    _, wire = harness.miner()
    wire.clear()
    with logged() as log:
        for _ in range(40):
            harness.reactor.advance(1)
    assert silent.disconnecting
    assert half_wire.disconnecting
    assert len(log.lines) == 1  # of one host
    assert not wire.disconnecting
    (again,) = notifies(wire.messages())
    assert again[8] is False
    assert IDLE_RESEND < 30.0
    harness.server.stop()
    assert not harness.reactor.getDelayedCalls()


def test_connections_and_workers_of_each_host_are_counted():
    harness = StratumHarness()
    harness.server.start()
    for username in (f"{ADDRESS}.a", f"{ADDRESS}.a", f"{ADDRESS}.b"):
        harness.miner(username)
    harness.connect("10.0.0.2")
    harness.reactor.advance(1)
    assert harness.stats.of("record_host_loads")[-1] == ([HostLoad(3, 2), HostLoad(1, 0)],)
    harness.server.stop()


def test_an_internal_error_does_not_end_the_watch_over_time_limits():
    harness = StratumHarness()
    harness.server.start()
    protocol, _ = harness.miner()
    protocol.flush = lambda: 1 // 0
    _, silent = harness.connect()
    with logged() as log:
        for _ in range(40):
            harness.reactor.advance(1)
    assert len(log.tracebacks) == 1
    assert silent.disconnecting
    harness.server.stop()


def test_connections_that_are_drained_are_bounded_and_the_oldest_ends_first(monkeypatch):
    monkeypatch.setattr(lingering, "MAX_LINGERING", 3)
    harness = StratumHarness()
    wires = [harness.miner()[1] for _ in range(10)]
    harness.server.suspend()
    assert [wire.aborted for wire in wires] == [True] * 7 + [False] * 3
    assert len(harness.server._lingering) == 3


def test_stopping_closes_everything():
    harness = StratumHarness()
    harness.server.start()
    wires = [harness.miner()[1] for _ in range(3)]
    harness.server.stop()
    harness.server.stop()
    assert all(wire.disconnecting for wire in wires)
    assert not harness.reactor.getDelayedCalls()


def test_a_connection_needs_an_address():
    with pytest.raises(ValueError, match="address"):
        StratumHarness().server.buildProtocol(None)
