"""Templates by three sources, trouble said once, and nothing left behind."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure

from p2pool.base.errors import OperatorError, ParseError
from p2pool.dashd.block_notifications import BlockNotifications, NotificationSource
from p2pool.dashd.facts import WrongDaemon, check_daemon
from p2pool.dashd.rpc import RpcError, RpcTimeout, RpcUnavailable
from p2pool.dashd.service import (
    FACTS_PERIOD,
    HEARTBEAT,
    LINES,
    LINES_PERIOD,
    LONG_POLL_GRACE,
    LONG_POLL_TIMEOUT,
    POLL_PERIOD,
    RETRY_PERIOD,
    DashdService,
)
from p2pool.networks import DASH, DASH_REGTEST, DASH_TESTNET
from tests.environment import make_environment
from tests.support import capture

DOWN = RpcUnavailable("connection refused")
CHAIN_INFO = capture("10_getblockchaininfo")["response"]["result"]
NETWORK_INFO = capture("10_getnetworkinfo")["response"]["result"]


def template(number: int, **changes: Any) -> dict[str, Any]:
    """An answer on the block `number`; its longpollid is `number`, too."""
    answer = capture("01_getblocktemplate_h151_pre_dip3")["response"]["result"]
    return answer | {"height": number, "previousblockhash": f"{number:064x}", "longpollid": str(number)} | changes


class FakeRpc:
    """Answers set by method: a value, an exception, or a Deferred. Long polls wait until the test answers them."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {
            "getblockchaininfo": CHAIN_INFO,
            "getnetworkinfo": NETWORK_INFO,
            "getblockheader": {},
            "getblocktemplate": template(1),
            "submitblock": RpcError(-22, "Block decode failed"),
        }
        self.best: Any = None  # what getbestblockhash says; None: the block that the newest template stands on
        self.calls: list[tuple[float, str, tuple[Any, ...], float]] = []
        self.long_polls: list[Deferred[Any]] = []
        self.at_once: Any = None  # what every long poll is answered with, where it is set
        self.clock = Clock()

    async def call(self, method: str, *params: Any, timeout: float = 15.0) -> Any:
        self.calls.append((self.clock.seconds(), method, params, timeout))
        answer = self.best_block() if method == "getbestblockhash" else self.answers[method]
        if method == "getblocktemplate" and params:
            answer = self.at_once
            if answer is None:
                answer = Deferred()
                self.long_polls.append(answer)
        if isinstance(answer, Deferred):
            answer = await answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    def best_block(self) -> Any:
        newest = self.answers["getblocktemplate"]
        known = newest.get("previousblockhash") if isinstance(newest, dict) else None
        self.last_best = known or getattr(self, "last_best", f"{1:064x}")
        return self.last_best if self.best is None else self.best

    def times(self, method: str = "getblocktemplate", long: bool = False) -> list[float]:
        return [when for when, name, params, _ in self.calls if name == method and bool(params) == long]


class Dashd:
    """A service on a Dash Core of the test's own, with all that it said."""

    def __init__(self, *, long_poll: bool = True) -> None:
        self.rpc = FakeRpc()
        self.clock = self.rpc.clock
        self.templates: list[int] = []
        self.sources: list[tuple[str, float]] = []
        self.notifications = BlockNotifications(
            self.clock.seconds, lambda source, seconds: self.sources.append((source, seconds))
        )
        self.service = DashdService(
            make_environment(self.clock, clock=lambda: 1e9 + self.clock.seconds()),
            self.rpc,
            network=DASH_REGTEST,
            name="HERE",
            notifications=self.notifications,
            long_poll=long_poll,
        )
        self.changes = 0
        self.service.changed.subscribe(self.count)
        self.service.template.subscribe(lambda value: self.templates.append(value.height))
        self.lines: list[tuple[str, str]] = []
        self.failures: list[Any] = []

    def count(self, _: None) -> None:
        self.changes += 1

    def observe(self, event: Any) -> None:
        if event["log_namespace"] == "p2pool.dashd":
            self.lines.append((event["log_level"].name, (event.get("log_format") or "").format(**event)))
            self.failures += [event["log_failure"]] if "log_failure" in event else []

    def wait(self, seconds: float, step: float = 0.25) -> None:
        for _ in range(round(seconds / step)):
            self.clock.advance(step)

    def start(self) -> Dashd:
        self.service.startService()
        return self

    def stop(self) -> None:
        """Stopped, nothing is under way, and nothing is said about that."""
        said = len(self.lines)
        ended: list[Any] = []
        Deferred.fromCoroutine(self.service.stopService()).addBoth(ended.append)
        assert ended == [None]
        assert self.clock.getDelayedCalls() == []
        calls = len(self.rpc.calls)
        self.wait(700, 5)
        assert len(self.rpc.calls) == calls
        assert self.lines[said:] == []

    def warnings(self) -> list[str]:
        return [text for level, text in self.lines if level == "warn"]


@pytest.fixture
def dashd():
    made = Dashd()
    globalLogPublisher.addObserver(made.observe)
    yield made
    globalLogPublisher.removeObserver(made.observe)
    assert made.failures == []


# --- the right daemon ------------------------------------------------------------------------------------


def check(network=DASH_REGTEST, chain: Any = None, version: Any = None, header: Any = None) -> str:
    rpc = FakeRpc()
    rpc.answers["getblockchaininfo"] = CHAIN_INFO if chain is None else CHAIN_INFO | {"chain": chain}
    rpc.answers["getnetworkinfo"] = NETWORK_INFO if version is None else NETWORK_INFO | {"version": version}
    rpc.answers["getblockheader"] = header or {}
    results: list[Any] = []
    Deferred.fromCoroutine(check_daemon(rpc, network)).addBoth(results.append)
    (result,) = results
    if isinstance(result, Failure):
        result.raiseException()
    if network.parent.known_block is not None:
        assert (network.parent.known_block,) in [params for _, _, params, _ in rpc.calls]
    return result.line


def test_the_right_daemon_and_a_line_about_it():
    assert check() == "/Dash Core:23.1.2/ on chain regtest, height 450"
    assert "chain main" in check(DASH, "main")
    assert "chain test" in check(DASH_TESTNET, "test")
    assert "chain devnet-x" in check(DASH_TESTNET, "devnet-x")


UNKNOWN_BLOCK = RpcError(-5, "Block not found")


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"network": DASH}, ["'regtest'", "--net dash needs 'main'"]),
        ({"chain": "main"}, ["'main'", "--net dash_regtest needs 'regtest'"]),
        ({"network": DASH_TESTNET, "chain": "main"}, ["'main'", "--net dash_testnet needs a test network"]),
        ({"network": DASH_TESTNET, "chain": "test", "header": UNKNOWN_BLOCK}, ["00000bafbc94", "dash_testnet"]),
        ({"network": DASH, "chain": "main", "header": UNKNOWN_BLOCK}, ["00000ffd590b"]),
        ({"chain": ["x" * 10_000] * 50}, ["needs 'regtest'"]),
        ({"version": 199_999}, ["version 199999", "20.0", "upgrade"]),
        ({"version": "230102"}, ["version '230102'"]),
        ({"version": True}, ["version True"]),
    ],
)
def test_a_wrong_daemon_and_what_to_do(options, parts):
    with pytest.raises(WrongDaemon) as error:
        check(**options)
    assert isinstance(error.value, OperatorError)
    assert all(part in str(error.value) for part in parts), error.value
    assert len(str(error.value)) < 400


def test_the_oldest_version_that_will_do():
    check(version=200_000)


def test_other_errors_about_the_known_block_are_no_verdict():
    with pytest.raises(RpcError, match="Loading"):
        check(DASH, "main", header=RpcError(-28, "Loading"))


@pytest.mark.parametrize("method", ["getblockchaininfo", "getnetworkinfo"])
@pytest.mark.parametrize("answer", [[], "text", None, 5])
def test_answers_of_a_wrong_type(dashd, method, answer):
    dashd.rpc.answers[method] = answer
    dashd.start()
    assert "did not answer with an object" in dashd.service.problem
    dashd.stop()


# --- starting --------------------------------------------------------------------------------------------


def test_the_first_template(dashd):
    assert dashd.service.problem == "not polled yet"
    assert dashd.service.current is None
    dashd.start()
    assert dashd.templates == [1]
    assert dashd.service.current.height == 1  # type: ignore[attr-defined]
    assert dashd.service.problem is None
    assert dashd.service.last_answer == 1e9
    assert dashd.lines == [("info", "dashd at HERE: /Dash Core:23.1.2/ on chain regtest, height 450")]
    dashd.stop()


def test_a_dashd_that_is_down_is_asked_twice_a_second_and_that_is_said_once(dashd):
    dashd.rpc.best = DOWN
    dashd.start()
    dashd.wait(200)
    assert len(dashd.rpc.times("getbestblockhash")) == 200 / HEARTBEAT + 1
    assert dashd.rpc.times("getblockchaininfo") == []
    assert dashd.warnings() == ["dashd at HERE: connection refused; retrying"]
    assert dashd.service.problem == "connection refused"
    dashd.rpc.best = None
    dashd.wait(1)
    assert dashd.templates[:1] == [1]
    assert dashd.service.problem is None
    dashd.stop()


def test_a_dashd_that_was_gone_serves_within_a_second_and_is_checked_anew(dashd):
    """Whatever comes back at this address may be another one."""
    dashd.start()
    dashd.wait(3)
    dashd.rpc.best = dashd.rpc.answers["getblocktemplate"] = DOWN
    dashd.rpc.long_polls[0].errback(DOWN)
    assert dashd.service.problem == "connection refused"  # at once
    assert dashd.changes == 2
    dashd.wait(60)
    checks = len(dashd.rpc.times("getblockchaininfo"))
    dashd.rpc.best, dashd.rpc.answers["getblocktemplate"] = None, template(2)
    dashd.wait(1)
    assert dashd.templates == [1, 2]
    assert dashd.service.problem is None
    assert dashd.changes == 3
    assert len(dashd.rpc.times("getblockchaininfo")) == checks + 1
    assert len(dashd.rpc.long_polls) == 2
    dashd.wait(60)
    dashd.rpc.best = RpcTimeout("no answer")
    dashd.rpc.answers["getblockchaininfo"] = CHAIN_INFO | {"chain": "main"}
    dashd.wait(1)
    dashd.rpc.best = None
    dashd.wait(2)
    assert "needs 'regtest'" in dashd.service.problem
    dashd.stop()


@pytest.mark.parametrize(
    "other",
    [{"getblockchaininfo": CHAIN_INFO | {"chain": "main"}}, {"getnetworkinfo": NETWORK_INFO | {"version": 1}}],
)
def test_no_work_is_taken_from_a_wrong_daemon_that_came_back(dashd, other):
    dashd.start()
    dashd.wait(3)
    dashd.rpc.best = DOWN
    dashd.wait(1)
    dashd.rpc.best = None
    dashd.rpc.answers.update(other | {"getblocktemplate": template(77)})
    for _ in range(4):
        dashd.wait(POLL_PERIOD)
        dashd.service.announced(NotificationSource.P2P, 77)
        dashd.service.refresh()
    assert dashd.templates == [1]
    assert dashd.service.problem.startswith("dashd ")
    assert len(dashd.lines) == 3  # it came, it went, it is the wrong one
    dashd.stop()


def test_an_announcement_that_waited_is_forgotten_where_the_daemon_went(dashd):
    dashd.start()
    dashd.rpc.answers["getblocktemplate"] = under_way = Deferred()
    dashd.service.refresh()
    dashd.service.announced(NotificationSource.P2P, 2)
    dashd.rpc.best = DOWN
    dashd.wait(1)
    dashd.rpc.answers["getblocktemplate"] = template(77)
    under_way.errback(DOWN)
    assert dashd.templates == [1]
    dashd.stop()


def test_a_heartbeat_that_is_not_answered_shows_at_once(dashd):
    dashd.start()
    dashd.wait(1)
    assert dashd.service.delay == 0
    dashd.rpc.best = slow = Deferred()
    dashd.wait(5)
    assert 4 <= dashd.service.delay <= 5
    assert dashd.service.problem is None  # the caller's time limit decides
    dashd.rpc.best = None
    slow.callback(f"{1:064x}")
    assert 4 <= dashd.service.delay <= 5  # it took so long
    dashd.wait(1)
    assert dashd.service.delay == 0
    dashd.stop()


def test_a_heartbeat_tells_of_a_new_block(dashd):
    dashd.start()
    dashd.rpc.answers["getblocktemplate"] = template(2)
    dashd.wait(HEARTBEAT)
    assert dashd.templates == [1, 2]
    dashd.notifications.job_sent(2)
    assert dashd.sources == [(NotificationSource.HEARTBEAT, 0.0)]
    dashd.stop()


@pytest.mark.parametrize("best", ["", "zz" * 32, None, 5, ["x"], {"a": 1}, "1" * 63])
def test_a_heartbeat_with_garbage_tells_of_nothing(dashd, best):
    dashd.start()
    if best is not None:
        dashd.rpc.best = best
    dashd.wait(5)
    assert dashd.templates == [1]
    assert dashd.warnings() == []
    dashd.stop()


def test_what_it_says_of_itself_is_looked_at_from_time_to_time(dashd):
    dashd.start()
    assert dashd.service.facts.warnings == ""
    dashd.rpc.answers["getnetworkinfo"] = NETWORK_INFO | {"warnings": ["disk is full"], "timeoffset": 100}
    dashd.wait(FACTS_PERIOD + 1)
    assert dashd.service.facts.problems() == [
        "warns: disk is full",
        "has a clock that differs by 100 s from those of its peers: synchronise it",
    ]
    dashd.rpc.answers["getnetworkinfo"] = RpcError(-1, "?")
    dashd.wait(FACTS_PERIOD + 1)
    assert dashd.service.problem is None
    dashd.stop()


def test_how_long_it_takes_for_a_template_is_smoothed(dashd):
    dashd.start()
    assert dashd.service.answer_time == 0
    dashd.rpc.answers["getblocktemplate"] = slow = Deferred()
    dashd.service.refresh()
    dashd.wait(2)
    slow.callback(template(1))
    assert dashd.service.answer_time == pytest.approx(0.6)
    dashd.stop()


@pytest.mark.parametrize(
    "name",
    [
        "20_warmup_minus28_1",
        "70_mainnet_getblocktemplate_in_ibd",
        "70_mainnet_getblocktemplate_not_connected",
        "71_regtest_getblocktemplate_superblock_height_not_synced",
    ],
)
def test_a_dashd_that_is_still_coming_up(dashd, name):
    error = capture(name)["response"]["error"]
    dashd.rpc.answers["getblocktemplate"] = RpcError(error["code"], error["message"])
    dashd.start()
    dashd.wait(60)
    assert dashd.service.problem == f"dashd is not ready: {error['message']}"
    assert len(dashd.warnings()) == 1
    assert dashd.templates == []
    dashd.service.refresh()  # an announced block changes nothing yet
    dashd.stop()


def test_another_error_shows_its_code_and_each_new_trouble_is_said(dashd):
    dashd.rpc.answers["getblocktemplate"] = RpcError(-1, "odd")
    dashd.start()
    dashd.rpc.answers["getblocktemplate"] = {"height": "x"}
    dashd.wait(2)
    dashd.rpc.answers["getblockchaininfo"] = CHAIN_INFO | {"chain": "main"}
    dashd.rpc.best = DOWN  # another one is started in its place
    dashd.wait(2)
    dashd.rpc.best = None
    dashd.wait(2)
    first, second, _, third = dashd.warnings()
    assert "odd (code -1)" in first
    assert "getblocktemplate: " in second
    assert "needs 'regtest'" in third
    dashd.stop()


def test_a_problem_can_always_be_shown(dashd):
    dashd.rpc.best = RpcUnavailable("the cookie file /h\udcff/.cookie\ncannot be read")
    dashd.start()
    assert dashd.service.problem == "the cookie file /h?/.cookie?cannot be read"
    dashd.stop()


def test_one_that_comes_and_goes_does_not_fill_the_log(dashd):
    dashd.start()
    for _ in range(600):
        dashd.rpc.answers["getblocktemplate"] = RpcError(-1, "odd")
        dashd.service.refresh()
        assert dashd.service.problem == "odd (code -1)"
        dashd.wait(1)
        dashd.rpc.answers["getblocktemplate"] = template(1)
        dashd.wait(2)
        assert dashd.service.problem is None
    assert len(dashd.lines) <= 4 * LINES  # in three periods and what came before them
    dashd.wait(LINES_PERIOD)
    assert dashd.lines[-1][1] == "dashd at HERE provides templates again"  # what is last is the truth
    dashd.stop()


def test_one_that_answers_nonsense_of_many_kinds_does_not_fill_the_log(dashd):
    for number in range(1190):
        dashd.rpc.best = RpcUnavailable(f"nonsense {number}")
        if number == 0:
            dashd.start()
        dashd.wait(HEARTBEAT)
    assert len(dashd.lines) <= LINES
    dashd.wait(LINES_PERIOD)
    assert "nonsense 1189" in dashd.lines[-1][1]
    dashd.stop()


# --- long polling ----------------------------------------------------------------------------------------


def test_a_new_block_by_long_poll_is_published_once(dashd):
    dashd.start()
    (poll,) = dashd.rpc.long_polls
    assert dashd.rpc.calls[-1][2:] == (({"longpollid": "1"},), LONG_POLL_TIMEOUT)
    dashd.wait(5)
    dashd.rpc.answers["getblocktemplate"] = template(3)
    poll.callback(template(2))
    assert dashd.templates == [1, 2]
    assert dashd.rpc.calls[-1][2] == ({"longpollid": "2"},)  # without a pause: the next block may come at once
    dashd.rpc.long_polls[-1].callback(template(3))
    assert dashd.templates == [1, 2, 3]
    assert len(dashd.rpc.long_polls) == 3
    dashd.notifications.job_sent(3)
    assert dashd.sources == [(NotificationSource.LONG_POLL, 0.0)]
    assert dashd.warnings() == []
    dashd.stop()


def test_a_long_poll_that_times_out_is_quiet_and_asked_again(dashd):
    dashd.start()
    for number in range(3):
        assert len(dashd.rpc.long_polls) == number + 1
        dashd.rpc.long_polls[-1].errback(RpcTimeout("600 s"))
    assert dashd.warnings() == []
    assert dashd.service.problem is None
    assert dashd.templates == [1]
    dashd.stop()


def test_without_long_polls_it_takes_no_thread_of_the_daemon_and_notices_blocks():
    dashd = Dashd(long_poll=False).start()
    dashd.wait(5)
    dashd.rpc.answers["getblocktemplate"] = template(2)
    dashd.wait(2 * HEARTBEAT)
    assert dashd.templates == [1, 2]
    assert dashd.service.problem is None
    dashd.wait(600, 5)
    assert dashd.rpc.long_polls == []
    dashd.stop()


def test_a_long_poll_is_given_up_only_when_its_connection_must_be_dead(dashd):
    """dashd keeps a thread for each one that is given up, and has few."""
    dashd.start()
    dashd.wait(7200, 5)
    assert len(dashd.rpc.long_polls) == 1
    dashd.rpc.answers["getblocktemplate"] = template(2)
    dashd.service.refresh()
    assert dashd.templates[-1] == 2
    dashd.wait(LONG_POLL_GRACE - 1)
    assert len(dashd.rpc.long_polls) == 1
    dashd.wait(2)
    assert len(dashd.rpc.long_polls) == 2
    assert [params for _, _, params, _ in dashd.rpc.calls if params][-1] == ({"longpollid": "2"},)
    assert dashd.warnings() == []
    dashd.stop()


@pytest.mark.parametrize("changes", [{}, {"longpollid": "another each time"}])
def test_a_dashd_that_does_not_wait_is_no_busy_loop(dashd, changes):
    dashd.rpc.at_once = template(1, **changes)
    dashd.start()
    dashd.wait(10)
    assert 9 <= len(dashd.rpc.times(long=True)) <= 11
    dashd.stop()


def test_an_answer_about_the_mempool_is_followed_by_the_next_question_at_once(dashd):
    dashd.start()
    dashd.wait(60)
    dashd.rpc.long_polls[0].callback(template(1, longpollid="the mempool grew"))
    assert dashd.rpc.calls[-1][2] == ({"longpollid": "the mempool grew"},)
    assert len(dashd.rpc.long_polls) == 2
    dashd.stop()


def test_a_long_poll_that_fails_is_tried_again_once_the_daemon_is_back(dashd):
    dashd.start()
    dashd.rpc.answers["getblocktemplate"] = dashd.rpc.at_once = dashd.rpc.best = DOWN
    dashd.rpc.long_polls[0].errback(DOWN)
    dashd.wait(100)
    assert dashd.rpc.times(long=True) == [0]  # while nobody is there
    assert dashd.warnings() == ["dashd at HERE: connection refused; retrying"]
    dashd.rpc.at_once = dashd.rpc.best = None
    dashd.rpc.answers["getblocktemplate"] = template(1)
    dashd.wait(2)
    assert "dashd at HERE provides templates again" in [text for _, text in dashd.lines]
    assert len(dashd.rpc.long_polls) == 2
    dashd.rpc.long_polls[-1].callback(template(2))
    assert dashd.templates[-1] == 2
    dashd.stop()


def test_long_polls_that_alone_fail_back_off(dashd):
    dashd.start()
    dashd.rpc.at_once = RpcError(-1, "no long polls today")
    dashd.rpc.long_polls[0].errback(dashd.rpc.at_once)
    dashd.wait(100)
    asked = dashd.rpc.times(long=True)
    assert 5 <= len(asked) <= 10
    assert asked[-1] - asked[-2] >= 30
    assert dashd.service.problem is None  # it serves
    dashd.stop()


def test_without_a_longpollid_there_is_no_long_poll(dashd):
    dashd.rpc.answers["getblocktemplate"] = template(1, longpollid="")
    dashd.start()
    dashd.wait(POLL_PERIOD * 3 + 1)
    assert dashd.rpc.times(long=True) == []
    assert dashd.rpc.times() == [0, 15, 30, 45]
    dashd.stop()


# --- polling and refreshing ------------------------------------------------------------------------------


def test_templates_that_do_not_come_are_trouble_though_it_answers_heartbeats(dashd):
    dashd.start()
    dashd.rpc.answers["getblocktemplate"] = RpcTimeout("did not answer")
    dashd.wait(POLL_PERIOD + 10)
    assert dashd.rpc.times()[:2] == [0, 15]
    assert len(dashd.rpc.times()) == pytest.approx(2 + 10 / RETRY_PERIOD, abs=2)
    (line,) = dashd.warnings()
    assert line.startswith(
        "dashd at HERE: did not answer (is it busy? rpcthreads=16 in dash.conf gives it more RPC threads)"
    )
    assert dashd.service.last_answer == 1e9
    dashd.rpc.answers["getblocktemplate"] = template(2)
    dashd.wait(RETRY_PERIOD + HEARTBEAT)
    assert dashd.templates == [1, 2]
    assert dashd.service.problem is None
    dashd.stop()


def test_announcements_that_come_together_are_one_question_and_one_more(dashd):
    dashd.start()
    dashd.rpc.answers["getblocktemplate"] = answer = Deferred()
    for _ in range(5):
        dashd.service.announced(NotificationSource.P2P, 2)
    assert len(dashd.rpc.times()) == 2
    dashd.rpc.answers["getblocktemplate"] = template(3)
    answer.callback(template(2))
    assert len(dashd.rpc.times()) == 3  # what was announced meanwhile may be newer than the answer
    assert dashd.templates == [1, 2, 3]
    dashd.wait(5)
    assert len(dashd.rpc.times()) == 3
    dashd.service.announced(NotificationSource.ZMQ, 3)  # there is work on it
    assert len(dashd.rpc.times()) == 3
    dashd.service.refresh()
    assert len(dashd.rpc.times()) == 4
    dashd.stop()


def test_the_first_road_counts_and_is_timed_until_there_is_work(dashd):
    dashd.start()
    dashd.rpc.answers["getblocktemplate"] = answer = Deferred()
    dashd.service.announced(NotificationSource.ZMQ, 2)
    dashd.clock.advance(0.1)
    dashd.service.announced(NotificationSource.P2P, 2)
    dashd.clock.advance(0.1)
    dashd.rpc.answers["getblocktemplate"] = template(2)
    answer.callback(template(2))
    dashd.notifications.job_sent(1)  # nobody announced it
    dashd.notifications.job_sent(2)
    dashd.notifications.job_sent(2)
    assert dashd.sources == [("zmq", pytest.approx(0.2))]
    dashd.notifications.job_sent(1)
    dashd.notifications.job_sent(2)
    assert len(dashd.sources) == 1  # a reorganisation there and back
    dashd.stop()


def test_an_answer_that_was_overtaken_is_dropped_but_a_reorganisation_is_not(dashd):
    dashd.start()
    dashd.rpc.answers["getblocktemplate"] = late = Deferred()
    dashd.service.refresh()
    dashd.rpc.long_polls[0].callback(template(5))
    late.callback(template(4))
    assert dashd.templates == [1, 5]
    dashd.wait(1)
    dashd.rpc.long_polls[-1].callback(template(4))
    assert dashd.templates == [1, 5, 4]
    dashd.stop()


@pytest.mark.parametrize("answer", [None, [], {}, ParseError("x"), DOWN, RpcError(-1, "?")])
def test_a_bad_answer_leaves_the_last_template(dashd, answer):
    dashd.start()
    dashd.rpc.answers["getblocktemplate"] = answer
    dashd.service.refresh()
    assert dashd.service.problem is not None
    assert dashd.service.current.height == 1
    assert dashd.templates == [1]
    dashd.stop()


def test_a_listener_that_fails_does_not_stop_the_templates():
    dashd = Dashd()
    dashd.service.template.subscribe(lambda value: 1 / 0)
    dashd.start()
    dashd.rpc.long_polls[0].callback(template(2))
    assert dashd.templates == [1, 2]
    dashd.stop()


def test_transactions_are_taken_over_from_template_to_template(dashd):
    answer = capture("61_matched_1_getblocktemplate")["response"]["result"]
    dashd.rpc.answers["getblocktemplate"] = answer
    dashd.start()
    before = dashd.service.current.transactions
    dashd.service.refresh()
    assert len(before) == 14
    assert all(a is b for a, b in zip(before, dashd.service.current.transactions, strict=True))
    dashd.stop()


# --- stopping --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["getbestblockhash", "getblockchaininfo", "getnetworkinfo", "getblocktemplate"])
@pytest.mark.parametrize("answer", ["hangs", "fails"])
def test_stopping_while_it_starts(dashd, method, answer):
    dashd.rpc.answers[method] = Deferred() if answer == "hangs" else DOWN
    if method == "getbestblockhash":
        dashd.rpc.best = dashd.rpc.answers[method]
    dashd.start()
    dashd.stop()


def test_stopping_while_everything_is_under_way(dashd):
    dashd.start()
    dashd.rpc.answers["getblocktemplate"] = Deferred()
    dashd.service.refresh()
    dashd.stop()
    dashd.service.refresh()
    assert len(dashd.rpc.times()) == 2


@pytest.mark.parametrize("fails_with", [DOWN, RpcTimeout("x"), CancelledError()])
def test_calls_that_break_off_because_we_stop_are_no_trouble(dashd, fails_with):
    """However a call ends that is cancelled: a transport may call it broken off."""
    dashd.start()
    poll = dashd.rpc.answers["getblocktemplate"] = Deferred(lambda d: d.errback(fails_with))
    dashd.rpc.long_polls[0]._canceller = lambda d: d.errback(fails_with)
    dashd.service.refresh()
    dashd.stop()
    assert poll.called
    assert dashd.service.problem is None


def test_it_can_be_started_again(dashd):
    dashd.start().stop()
    dashd.start()
    assert dashd.templates == [1, 1]
    dashd.stop()
