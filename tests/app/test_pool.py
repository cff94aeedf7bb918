"""What mines, put together: the order of start and stop, and what a stop in the middle of a start leaves out."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock

from p2pool.app.config import SIMNET_ADDRESS, load_config
from p2pool.app.pool import DISK_END, NETWORK_END, Pool
from p2pool.app.stopping import END_TIME, StopTimes
from p2pool.base.text import format_duration
from p2pool.dash.address import encode_address
from p2pool.networks import DASH
from tests.environment import make_environment
from tests.logged import logged
from tests.support import make_template

MAINNET_ADDRESS = encode_address(DASH.parent.addresses.pubkey_hash, bytes(20))


class Reactor(MemoryReactorClock):
    """A reactor in memory whose threads are this one."""

    def callFromThread(self, function, *arguments):
        function(*arguments)


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    flags = ["--net", "simnet", "-a", SIMNET_ADDRESS, "--datadir", str(tmp_path)]
    config = load_config(flags, tmp_path)
    config.datadir.mkdir(parents=True, exist_ok=True)
    return Pool(make_environment(Reactor()), config)


def note_starts(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of the parts that were started, which is going to be filled."""
    started: list[str] = []

    async def start_dash_core(addresses):
        started.append(f"Dash Core {addresses}")

    monkeypatch.setattr(pool.dashd, "start", start_dash_core)
    monkeypatch.setattr(pool.stratum, "start", lambda: started.append("miners"))
    return started


def codes(pool: Pool) -> list[str]:
    return [each.code for each in pool.missing()]


def test_what_is_missing_for_work(pool, monkeypatch):
    assert codes(pool) == ["loading_shares"]
    pool.listen(Factory())
    ensureDeferred(pool.load())
    assert codes(pool) == ["no_dashd"]
    monkeypatch.setattr(type(pool.dashd), "problem", None)
    assert codes(pool) == ["no_work"]
    pool.node.set_template(make_template())
    assert codes(pool) == []
    monkeypatch.setattr(type(pool.dashd), "problem", "no contact for 3 s")
    assert codes(pool) == ["no_dashd"], "the work from before is still there, but not fresh"
    ensureDeferred(pool.interrupt())
    assert codes(pool) == ["stopping"]
    ensureDeferred(pool.stop())


def test_other_nodes_are_missing_where_the_network_needs_them(tmp_path, monkeypatch):
    config = load_config(["-a", MAINNET_ADDRESS, "--datadir", str(tmp_path)], tmp_path)
    config.datadir.mkdir(parents=True, exist_ok=True)
    pool = Pool(make_environment(Reactor()), config)
    pool.listen(Factory())
    ensureDeferred(pool.load())
    monkeypatch.setattr(type(pool.dashd), "problem", None)
    assert codes(pool) == ["no_peers"]
    monkeypatch.setattr(type(pool.peers.hub), "peers", [object()])
    assert codes(pool) == ["downloading_shares"]
    monkeypatch.undo()
    ensureDeferred(pool.stop())


class Peer:
    """Stands for a connection that is up."""

    incoming = False


@pytest.mark.parametrize(
    ("flags", "seconds"), [((), 60), (("--peer-patience", "5"), 5), (("--peer-patience", "0"), 0)]
)
def test_miners_keep_their_work_for_a_while_without_peers(tmp_path, monkeypatch, flags, seconds):
    config = load_config(["-a", MAINNET_ADDRESS, "--datadir", str(tmp_path), *flags], tmp_path)
    reactor = Reactor()
    pool = Pool(make_environment(reactor), config)
    pool._loaded = True
    monkeypatch.setattr(type(pool.dashd), "problem", None)
    peers = pool.peers
    pool.node.best_share, pool.node.may_work = 1, peers._work_problem
    context, pool.node.context = object(), None
    renewed = []

    def renew_work() -> None:
        pool.node.work_problem = peers._work_problem()
        renewed.append(pool.node.work_problem)
        for _ in range(2):
            pool.stratum._check_work()

    monkeypatch.setattr(pool.node, "renew_work", renew_work)
    peers._patience._expired = renew_work

    def peers_are(*connected: Peer) -> None:
        monkeypatch.setattr(type(peers.hub), "peers", list(connected))
        peers._peers_changed(len(connected))

    peers_are()
    assert renewed.pop() == "not connected to any other node", "there never was one: nothing to wait for"
    assert not pool.stratum.server.suspended, "it is being looked for"
    peers_are(Peer())
    peers_are()
    assert renewed.pop() == "not connected to any other node", "the chain was being downloaded: there is no work"
    assert not pool.stratum.server.suspended
    renewed.clear()
    pool.node.context = context
    peers_are(Peer())
    with logged() as log:
        peers_are()
    if seconds:
        assert [f"keep their work for {format_duration(seconds)}" in line for line in log.lines] == [True]
        assert renewed == [None, None]
        assert "no_peers" not in codes(pool)
        assert (
            peers.notice()
            == f"not connected to any other node: miners keep their work for another {format_duration(seconds)}"
        )
        reactor.advance(seconds - 1)
        peers_are(Peer())
        assert peers.notice() is None
        peers_are()
        reactor.advance(seconds - 0.5)
        assert renewed[-1] is None
        assert not pool.stratum.server.suspended
        reactor.advance(0.5)
    assert renewed[-1] == "not connected to any other node"
    assert codes(pool) == ["no_peers"]
    assert peers.notice() is None
    assert reactor.getDelayedCalls() == []
    assert pool.stratum.server.suspended, "the last job is good for one share at most"
    peers_are(Peer())
    assert not pool.stratum.server.suspended


def test_services_start_after_those_that_need_to_be_first(pool, monkeypatch):
    started, first = note_starts(pool, monkeypatch), Deferred()
    pool.listen(Factory())
    ensureDeferred(pool.load())
    done = ensureDeferred(pool.start(list, lambda: first))
    assert started == []
    first.callback(None)
    assert done.called
    assert started == ["Dash Core []", "miners"]
    assert ensureDeferred(pool.stop()).called


def test_a_stop_during_the_start_waits_for_one_service_and_starts_no_more(pool, monkeypatch):
    started, first = note_starts(pool, monkeypatch), Deferred()
    pool.listen(Factory())
    ensureDeferred(pool.load())
    ensureDeferred(pool.start(list, lambda: first))
    stopped = ensureDeferred(pool.stop())
    assert not stopped.called
    first.callback(None)
    assert stopped.called
    assert started == []


def test_a_stop_before_the_start_starts_nothing(pool, monkeypatch):
    started = note_starts(pool, monkeypatch)
    assert ensureDeferred(pool.stop()).called
    assert ensureDeferred(pool.start(list)).called
    assert started == []


def test_a_disk_that_takes_five_seconds_for_a_write_gets_the_last_shares(pool, monkeypatch):
    written = Deferred()

    async def stop() -> None:
        await written

    monkeypatch.setattr(pool.persistence, "stop", stop)
    stopped = ensureDeferred(pool.stop())
    pool.environment.reactor.advance(10.0)  # the write under way, and one more
    assert not stopped.called
    written.callback(None)
    assert stopped.called


def test_after_a_signal_everything_may_hang_and_the_shares_have_time_still(pool, monkeypatch):
    clock = pool.environment.reactor
    begun: dict[str, float] = {}
    for name in ("persistence", "merged", "dashd", "peers", "stratum"):

        def stop(name: str = name) -> Deferred[None]:
            begun[name] = clock.seconds()
            return Deferred()

        monkeypatch.setattr(getattr(pool, name), "stop", stop)
    times, began = StopTimes(clock, bounded=True), clock.seconds()
    pool._starting.acquire()
    with logged():
        stopped = ensureDeferred(pool.stop(times))
        clock.pump([0.1] * 100)
    assert stopped.called
    assert begun["persistence"] - began <= NETWORK_END + 0.2
    assert DISK_END - NETWORK_END >= 2, "a write takes a second or less"
    assert DISK_END < END_TIME


def test_shares_are_written_last_and_miners_leave_first(pool, monkeypatch):
    order: list[str] = []
    for name in ("persistence", "merged", "dashd", "peers", "stratum"):

        async def stop(name: str = name) -> None:
            order.append(name)
            if name == "peers":
                raise ValueError("a bug")

        monkeypatch.setattr(getattr(pool, name), "stop", stop)
    with logged():
        ensureDeferred(pool.stop())
    assert order == ["stratum", "peers", "dashd", "merged", "persistence"]
