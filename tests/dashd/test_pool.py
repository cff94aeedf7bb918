"""Several daemons: who serves, who has failed, and that miners always have the newest work."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater

from p2pool.base.errors import ParseError
from p2pool.dash.block import BlockHeader
from p2pool.dash.target import bits_to_target
from p2pool.dashd.announced import AnnouncedChain
from p2pool.dashd.block_notifications import NotificationSource
from p2pool.dashd.daemon import FRESH, Daemon
from p2pool.dashd.pool import CALM, SILENT_TIME, STUCK_TIME, DaemonPool
from p2pool.dashd.rpc import RpcError, RpcTimeout, RpcUnavailable
from p2pool.dashd.service import HEARTBEAT_TIMEOUT, DashdService
from p2pool.networks import DASH_REGTEST
from tests.dashd.test_service import NETWORK_INFO, FakeRpc, template
from tests.environment import make_environment
from tests.logged import logged

DOWN = RpcUnavailable("connection refused")
EASY = 0x207FFFFF


class One(FakeRpc):
    """A daemon of the test's own."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.late = 0.0
        self.heartbeat: Callable[[], float] | None = None

    def at(self, number: int, **changes: Any) -> One:
        """Its tip is the block `number`; nobody says so."""
        self.answers["getblocktemplate"] = template(number, **changes)
        return self

    def block(self, number: int, **changes: Any) -> None:
        """It has a new tip and says so."""
        self.at(number, **changes)
        if self.long_polls and not self.long_polls[-1].called:
            self.long_polls[-1].callback(template(number, **changes))

    def die(self) -> None:
        """Killed: connections break, nobody listens."""
        self.best = DOWN
        for method in self.answers:
            self.answers[method] = DOWN
        if self.long_polls and not self.long_polls[-1].called:
            self.long_polls[-1].errback(DOWN)

    def live(self, number: int) -> None:
        """Started again."""
        fresh = FakeRpc()
        self.answers, self.best = fresh.answers, None
        self.at(number)

    def freeze(self) -> Deferred[Any]:
        """Stopped: connections stand, nothing is answered until the result is called back."""
        self.best = frozen = Deferred()
        return frozen

    async def call(self, method: str, *params: Any, timeout: float = 15.0) -> Any:
        if method == "getbestblockhash" and self.heartbeat is not None:
            await deferLater(self.clock, self.heartbeat(), lambda: None)
        if self.late and not params:
            await deferLater(self.clock, self.late, lambda: None)
        return await super().call(method, *params, timeout=timeout)


class Pool:
    """A pool of some daemons."""

    def __init__(self, count: int) -> None:
        self.clock = Clock()
        environment = make_environment(self.clock, clock=self.now)
        self.rpcs = [One(self.clock) for _ in range(count)]
        self.daemons = []
        for number, rpc in enumerate(self.rpcs):
            service = DashdService(environment, rpc, network=DASH_REGTEST, name=f"d{number}")
            self.daemons.append(Daemon(f"d{number}", rpc, service, clock=self.now))
        self.chain = AnnouncedChain()
        self.pool = DaemonPool(environment, self.daemons, self.chain)
        self.templates: list[tuple[str, int]] = []
        self.pool.template.subscribe(lambda t: self.templates.append((self.pool.serving.name, t.height)))

    def now(self) -> float:
        return 1e9 + self.clock.seconds()

    def start(self) -> Pool:
        self.pool.start()
        return self

    def wait(self, seconds: float, step: float = 0.25) -> Pool:
        for _ in range(round(seconds / step)):
            self.clock.advance(step)
        return self

    @property
    def serving(self) -> str:
        return self.pool.serving.name

    def stop(self) -> None:
        stopped: list[Any] = []
        Deferred.fromCoroutine(self.pool.stop()).addBoth(stopped.append)
        assert stopped == [None]
        assert self.clock.getDelayedCalls() == []


@pytest.fixture
def log():
    with logged() as lines:
        yield lines
    assert lines.tracebacks == []


@pytest.fixture
def two(log):
    made = Pool(2).start()
    yield made
    made.stop()


# --- who serves ------------------------------------------------------------------------------------------


def test_the_first_of_equals_serves_and_the_others_are_watched(two):
    assert two.serving == "d0"
    assert two.templates == [("d0", 1)]
    assert all(rpc.times("getblocktemplate") for rpc in two.rpcs)
    two.wait(60)
    assert set(two.templates) == {("d0", 1)}


def test_one_that_has_a_block_first_serves_and_goes_on_to(two, log):
    two.wait(1)
    two.rpcs[1].block(2)
    assert two.templates[-1] == ("d1", 2)
    two.rpcs[0].block(2)
    assert two.templates[-1] == ("d1", 2)
    assert two.serving == "d1"
    assert not any("switched to dashd" in line for line in log.lines)  # everyday life


def test_a_killed_daemon_is_replaced_at_once(two, log):
    two.wait(5)
    two.rpcs[0].die()
    assert two.serving == "d1"
    assert two.templates[-1] == ("d1", 1)
    assert two.pool.problem is None
    (line,) = [line for line in log.lines if "switched to dashd" in line]
    assert "d1 (was d0): connection refused" in line
    assert any("d0: connection refused" in warning for warning in two.pool.problems())
    two.rpcs[0].live(1)
    two.wait(30)
    assert two.serving == "d1"  # no need to change again
    assert two.pool.problems() == []


def test_a_frozen_daemon_is_replaced_within_two_seconds(two, log):
    two.wait(5)
    frozen = two.rpcs[0].freeze()
    two.wait(2)
    assert two.serving == "d1"
    two.rpcs[1].block(2)
    assert two.templates[-1] == ("d1", 2)
    two.rpcs[0].best = None
    two.rpcs[0].block(2)
    frozen.callback(f"{2:064x}")
    assert two.wait(20).serving == "d1"


def test_one_that_freezes_while_a_template_is_asked_for_again_is_replaced_too(two):
    two.wait(3)
    two.rpcs[0].answers["getblocktemplate"] = RpcError(-1, "odd")
    two.daemons[0].refresh()
    assert two.serving == "d1"
    two.rpcs[0].answers["getblocktemplate"] = Deferred()
    two.wait(2)
    two.rpcs[0].long_polls[-1].callback(template(2))
    assert two.templates[-1] == ("d0", 2)
    two.rpcs[0].freeze()
    two.rpcs[1].block(2)
    two.wait(2)
    assert two.serving == "d1"


def test_a_slow_daemon_is_replaced_within_two_seconds(two, log):
    two.wait(5)
    two.rpcs[0].late = 5.0
    two.wait(2)
    assert two.serving == "d1"
    assert two.wait(60).serving == "d1"  # every answer of the slow one looks well for a moment
    assert sum("switched to dashd" in line for line in log.lines) == 1


def test_two_that_are_both_about_as_slow_do_not_take_turns(log):
    made, luck = Pool(2), random.Random(1)
    for rpc in made.rpcs:
        rpc.heartbeat = lambda: luck.uniform(0.7, 1.3)
    made.start().wait(300, 0.05)
    assert [line for line in log.lines if "switched to dashd" in line] == []
    made.stop()


@pytest.mark.parametrize("error", [RpcError(-28, "Loading"), RpcError(-32603, "Internal error"), RpcTimeout("x")])
def test_a_daemon_that_answers_with_errors_is_replaced(two, error, log):
    two.wait(5)
    two.rpcs[0].best = two.rpcs[0].answers["getblocktemplate"] = error
    two.wait(2)
    assert two.serving == "d1"


def test_newer_work_of_a_daemon_that_then_died_is_better_than_older_work_for_a_while(two, log):
    two.rpcs[0].block(2)
    two.rpcs[0].die()
    assert two.wait(5).serving == "d0"
    assert two.pool.serving.template.height == 2
    two.rpcs[1].block(2)
    assert two.serving == "d1"
    two.rpcs[1].die()
    two.rpcs[0].live(1)
    two.wait(FRESH + 5)
    assert two.serving == "d0"


def test_all_dead_and_one_back(two, log):
    two.wait(5)
    for rpc in two.rpcs:
        rpc.die()
    two.wait(40)
    assert two.pool.problem == "no contact for 45 s: connection refused"
    assert two.pool.problems()[0] == "dashd at d1: no contact for 45 s: connection refused"
    two.rpcs[1].live(9)
    two.wait(1)
    assert two.templates[-1] == ("d1", 9)
    assert two.pool.problem is None


def test_a_reorganisation_of_three_blocks(two, log):
    for number in (2, 3, 4):
        for rpc in two.rpcs:
            rpc.block(number)
        two.wait(2)
    for rpc in two.rpcs:
        rpc.block(5, previousblockhash=f"{0xBEEF:064x}")
    assert two.pool.serving.template.previous_block == 0xBEEF
    assert two.templates[-1][1] == 5
    assert two.pool.problem is None


def test_one_that_goes_back_alone_makes_no_round_of_old_work(two, log):
    two.wait(1)
    for rpc in two.rpcs:
        rpc.block(5)
    two.wait(3)
    two.rpcs[0].block(3)  # restarted, or told to forget blocks
    assert two.templates == [("d0", 1), ("d0", 5), ("d1", 5)]
    two.wait(1)
    two.rpcs[1].block(6)
    assert two.templates[-1] == ("d1", 6)


def test_one_that_answers_much_faster_takes_over_after_a_while(two, log):
    two.rpcs[0].late = 0.6
    two.rpcs[0].at(1)
    for _ in range(20):
        two.wait(1)
        for daemon in two.daemons:
            daemon.refresh()
    assert two.clock.seconds() > CALM
    assert two.serving == "d1"
    assert sum("the former dashd answers slowly" in line for line in log.lines) == 1


def make_fast_fork(made: Pool) -> None:
    """The first daemon is slow; the second is fast, and has another block at the same height."""
    made.wait(1)
    made.rpcs[0].block(5)
    made.rpcs[1].block(5, previousblockhash=f"{0xBEEF:064x}")
    assert made.daemons[0].rank() == made.daemons[1].rank()
    made.rpcs[0].late = 0.6


def refresh_often(made: Pool, seconds: int) -> None:
    """Request a template from every daemon once a second."""
    for _ in range(seconds):
        made.wait(1)
        for daemon in made.daemons:
            daemon.refresh()


def test_a_much_faster_daemon_on_another_branch_takes_over_only_once_it_is_on_the_same_one(two, log):
    make_fast_fork(two)
    refresh_often(two, 30)
    assert two.clock.seconds() > 2 * CALM
    assert two.serving == "d0"
    assert two.templates[-1] == ("d0", 5)
    assert not any("switched to dashd" in line for line in log.lines)
    two.rpcs[1].block(5)  # it has left the other branch
    refresh_often(two, 3)
    assert two.serving == "d1"
    assert two.pool.serving.template.previous_block == 5


def test_at_equal_height_with_different_tips_the_daemon_that_serves_stays(two, log):
    two.wait(1)
    two.rpcs[0].block(5)
    two.rpcs[1].block(5, previousblockhash=f"{0xBEEF:064x}")
    two.wait(60)
    assert two.serving == "d0"
    assert set(two.templates) == {("d0", 1), ("d0", 5)}
    two.rpcs[1].block(6, previousblockhash=f"{0xF00D:064x}")  # the other branch is longer now
    assert two.templates[-1] == ("d1", 6)


def test_a_single_daemon_stays_and_its_trouble_shows(log):
    made = Pool(1).start()
    made.wait(5)
    made.rpcs[0].die()
    made.wait(10)
    assert made.serving == "d0"
    assert made.pool.problem == "no contact for 15 s: connection refused"
    made.rpcs[0].live(2)
    made.wait(1)
    assert made.templates[-1] == ("d0", 2)
    assert made.pool.problem is None
    made.stop()


# --- who is stuck ----------------------------------------------------------------------------------------


def test_a_daemon_that_stays_behind_the_others_has_failed_with_an_alarm(two, log):
    two.wait(1)
    two.rpcs[1].block(2)
    two.wait(STUCK_TIME - 1)
    assert two.daemons[0].problem is None
    two.wait(2)
    assert two.daemons[0].problem == "stuck at height 0, others are at 1"
    (alarm,) = [line for line in log.lines if "is stuck" in line]
    assert alarm == "dashd at d0 is stuck at height 0, others are at 1: check its debug.log and its connections"
    assert "dashd at d0: stuck at height 0, others are at 1" in two.pool.problems()
    two.rpcs[1].die()
    two.rpcs[0].block(2)
    two.wait(1)
    assert two.daemons[0].problem is None
    assert two.serving == "d0"
    assert any("d0 has caught up" in line for line in log.lines)


def header_on(previous: int, bits: int = EASY) -> BlockHeader:
    for nonce in range(1000):
        header = BlockHeader(0x20000000, previous, 5, 1_700_000_000, bits, nonce)
        if header.hash() <= bits_to_target(EASY):
            return header
    raise AssertionError("no header")


def test_a_single_daemon_that_stays_behind_what_peers_prove_is_stuck(log):
    made = Pool(1)
    made.rpcs[0].at(1, bits=f"{EASY:08x}")
    made.start().wait(1)
    first = header_on(1)
    second = header_on(first.hash())
    asked = len(made.rpcs[0].times())
    made.pool.headers_heard(NotificationSource.NETWORK, (first, second))
    assert len(made.rpcs[0].times()) == asked + 1  # it is asked at once
    made.pool.headers_heard(NotificationSource.NETWORK, (first, second))
    assert len(made.rpcs[0].times()) == asked + 1  # no news
    made.wait(SILENT_TIME - 5)
    assert made.pool.problem is None
    made.wait(5)
    assert made.pool.problem == "stuck at height 0, others are at 2"
    assert made.pool.problems() == ["dashd at d0: stuck at height 0, others are at 2"]
    made.rpcs[0].block(3, bits=f"{EASY:08x}")
    made.wait(1)
    assert made.pool.problem is None
    made.stop()


def test_headers_alone_do_not_make_a_daemon_stuck_that_has_new_blocks(log):
    """Somebody mines headers of blocks that nobody has, or that are invalid: cheap where blocks are."""
    made = Pool(1)
    made.rpcs[0].at(1, bits=f"{EASY:08x}")
    made.start().wait(1)
    tip = 1
    for _ in range(50):
        header = header_on(tip)
        made.pool.headers_heard(NotificationSource.NETWORK, (header,))
        tip = header.hash()
    for number in range(2, 8):
        made.wait(SILENT_TIME - 10)
        assert made.pool.problem is None
        made.rpcs[0].block(number, bits=f"{EASY:08x}")
    assert made.chain.height == 50
    made.stop()


def test_one_that_left_a_proved_block_again_is_not_stuck(log):
    made = Pool(1)
    made.rpcs[0].at(1, bits=f"{EASY:08x}")
    made.start().wait(1)
    header = header_on(1)
    made.pool.headers_heard(NotificationSource.NETWORK, (header,))
    made.rpcs[0].at(2, previousblockhash=f"{header.hash():064x}", bits=f"{EASY:08x}")
    made.wait(5)
    made.rpcs[0].at(1, bits=f"{EASY:08x}")  # invalidateblock
    made.wait(2 * SILENT_TIME)
    assert made.pool.problem is None
    assert not any("stuck" in line for line in log.lines)
    made.stop()


def test_one_that_comes_back_behind_is_reported(two, log):
    two.wait(1)
    two.rpcs[0].die()
    two.rpcs[1].block(2)
    two.wait(2 * STUCK_TIME)
    two.rpcs[0].live(1)
    two.wait(STUCK_TIME + 2)
    assert any("d0 is stuck" in line for line in log.lines)


def test_headers_without_work_prove_nothing(log):
    made = Pool(1)
    made.rpcs[0].at(1, bits="1b00ffff")
    made.start().wait(1)
    made.pool.headers_heard(NotificationSource.NETWORK, (header_on(1),))  # much too easy
    with pytest.raises(ParseError, match="too little work"):
        made.pool.headers_heard(NotificationSource.NETWORK, (header_on(1, bits=0x1B00FFFF),))
    made.pool.headers_heard(NotificationSource.NETWORK, (header_on(0xDEAD),))  # on a block that nobody knows
    made.wait(STUCK_TIME + 1)
    assert made.pool.problem is None
    made.stop()


# --- what others ask -------------------------------------------------------------------------------------


def call(pool: Pool, method: str) -> Any:
    results: list[Any] = []
    Deferred.fromCoroutine(pool.pool.call(method)).addBoth(results.append)
    return results[0]


def test_calls_go_to_the_one_that_serves_and_else_to_the_others(two, log):
    two.rpcs[0].answers["uptime"], two.rpcs[1].answers["uptime"] = 1, 2
    assert call(two, "uptime") == 1
    two.rpcs[0].answers["uptime"] = DOWN
    assert call(two, "uptime") == 2
    two.rpcs[1].answers["uptime"] = RpcTimeout("x")
    assert call(two, "uptime").value is DOWN
    error = two.rpcs[0].answers["uptime"] = RpcError(-1, "no")
    assert call(two, "uptime").value is error  # an answer is an answer


def test_figures(two):
    two.wait(1)
    first, second = two.pool.figures()
    assert (first.name, first.serving, first.problem, first.height) == ("d0", True, None, 0)
    assert (second.name, second.serving) == ("d1", False)
    assert first.since_answer == 1.0
    assert first.version == "/Dash Core:23.1.2/"
    assert Pool(1).pool.figures()[0].height is None


@pytest.mark.parametrize("other", [False, True])
def test_a_payee_that_cannot_be_paid_is_a_problem_and_no_work(log, other):
    made = Pool(1 + other)
    for rpc in made.rpcs:
        rpc.at(1)
    made.rpcs[0].at(1, masternode=[{"payee": "garbage", "amount": 100_000_000}])
    made.start().wait(3)
    (problem,) = made.pool.problems()
    assert "'garbage' must be paid 100000000 duffs" in problem
    assert "bad-cb-payee" in problem
    assert sum("'garbage'" in line for line in log.lines) == 1
    assert made.templates == ([("d1", 1)] if other else [])
    assert (made.pool.problem is None) is other
    made.rpcs[0].at(1)
    made.wait(3)
    assert made.pool.problems() == []
    made.stop()


def test_what_is_wrong_in_a_template_is_advice(log):
    made = Pool(1)
    made.rpcs[0].at(1, transactions=[{"data": "00", "hash": "ab" * 32}])
    made.start().wait(1)
    assert made.templates == [("d0", 1)]
    (advice,) = [text for text in made.pool.advice() if "ab" * 32 in text]
    assert advice.startswith("dashd at d0: transaction ")
    made.stop()


def test_a_daemons_own_warnings_and_a_wrong_clock(log):
    made = Pool(1)
    made.rpcs[0].answers["getnetworkinfo"] = NETWORK_INFO | {"warnings": "upgrade me"}
    made.rpcs[0].answers["getblockchaininfo"] = made.rpcs[0].answers["getblockchaininfo"] | {
        "initialblockdownload": True,
        "verificationprogress": 0.5,
        "blocks": 50,
        "headers": 100,
    }
    made.rpcs[0].at(1, curtime=int(1e9) + 500, mintime=int(1e9))
    made.start().wait(1)
    assert made.pool.problems() == []
    assert made.pool.advice() == [
        "dashd at d0 is still synchronising (50.0%, block 50 of 100)",
        "dashd at d0 warns: upgrade me",
        "dashd at d0: this machine's clock is 500 s behind dashd's: synchronise both clocks",
    ]
    made.stop()
    assert HEARTBEAT_TIMEOUT > 1
