"""Templates by three roads, trouble said once, and nothing left behind."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from p2pool.base.errors import OperatorError, ParseError
from p2pool.dashd.rpc import RpcError, RpcTimeout, RpcUnavailable
from p2pool.dashd.service import (
    LONG_POLL_GRACE,
    LONG_POLL_TIMEOUT,
    POLL_PERIOD,
    SUBMIT_TIMEOUT,
    DashdService,
    WrongDaemon,
    check_daemon,
)
from p2pool.networks import DASH, DASH_REGTEST, DASH_TESTNET
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
        }
        self.calls: list[tuple[float, str, tuple[Any, ...], float]] = []
        self.long_polls: list[Deferred[Any]] = []
        self.at_once: Any = None  # what every long poll is answered with, where it is set
        self.clock = Clock()

    async def call(self, method: str, *params: Any, timeout: float = 15.0) -> Any:
        self.calls.append((self.clock.seconds(), method, params, timeout))
        answer = self.answers[method]
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

    def times(self, method: str = "getblocktemplate", long: bool = False) -> list[float]:
        return [when for when, name, params, _ in self.calls if name == method and bool(params) == long]


class Dashd:
    """A service on a Dash Core of the test's own, with all that it said."""

    def __init__(self) -> None:
        self.rpc = FakeRpc()
        self.clock = self.rpc.clock
        self.templates: list[int] = []
        self.service = DashdService(self.clock, self.rpc, DASH_REGTEST, lambda: 1e9 + self.clock.seconds(), "HERE")
        self.service.template.subscribe(lambda value: self.templates.append(value.height))
        self.lines: list[tuple[str, str]] = []
        self.failures: list[Any] = []

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
    if not isinstance(result, str):
        result.raiseException()
    if network.parent.known_block is not None:
        assert (network.parent.known_block,) in [params for _, _, params, _ in rpc.calls]
    return result


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
    assert dashd.service.problem == "not asked yet"
    assert dashd.service.current is None
    dashd.start()
    assert dashd.templates == [1]
    assert dashd.service.current.height == 1
    assert dashd.service.problem is None
    assert dashd.service.last_answer == 1e9
    assert dashd.lines == [("info", "dashd at HERE: /Dash Core:23.1.2/ on chain regtest, height 450")]
    dashd.stop()


def test_a_dashd_that_is_down_is_asked_ever_more_slowly_and_that_is_said_once(dashd):
    dashd.rpc.answers["getblockchaininfo"] = DOWN
    dashd.start()
    dashd.wait(200)
    asked = dashd.rpc.times("getblockchaininfo")
    assert asked == [0, 1, 3, 7, 15, 31, 61, 91, 121, 151, 181]
    assert dashd.warnings() == ["dashd at HERE: connection refused; trying again"]
    assert dashd.service.problem == "connection refused"
    dashd.rpc.answers["getblockchaininfo"] = CHAIN_INFO
    dashd.wait(30)
    assert dashd.templates[:1] == [1]
    assert dashd.service.problem is None
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
    dashd.wait(4)
    first, second, third = dashd.warnings()
    assert "odd (code -1)" in first
    assert "getblocktemplate: " in second
    assert "needs 'regtest'" in third
    dashd.stop()


# --- long polling ----------------------------------------------------------------------------------------


def test_a_new_block_by_long_poll_is_published_once(dashd):
    dashd.start()
    (poll,) = dashd.rpc.long_polls
    assert dashd.rpc.calls[-1][2:] == (({"longpollid": "1"},), LONG_POLL_TIMEOUT)
    dashd.wait(5)
    poll.callback(template(2))
    assert dashd.templates == [1, 2]
    assert dashd.rpc.calls[-1][2] == ({"longpollid": "2"},)  # without a pause: the next block may come at once
    dashd.rpc.long_polls[-1].callback(template(3))
    assert dashd.templates == [1, 2, 3]
    assert len(dashd.rpc.long_polls) == 3
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
    assert dashd.rpc.calls[-1][2] == ({"longpollid": "2"},)
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


def test_long_polls_that_fail_back_off_and_recover(dashd):
    dashd.start()
    dashd.rpc.answers["getblocktemplate"] = DOWN
    dashd.rpc.at_once = DOWN
    dashd.rpc.long_polls[0].errback(DOWN)
    dashd.wait(100)
    asked = [round(when) for when in dashd.rpc.times(long=True)]
    assert asked == [0, 1, 3, 7, 15, 31, 61, 91]
    assert dashd.warnings() == ["dashd at HERE: connection refused; trying again"]
    dashd.rpc.at_once = None
    dashd.rpc.answers["getblocktemplate"] = template(1)
    dashd.wait(30)
    dashd.rpc.long_polls[-1].callback(template(2))
    assert dashd.templates[-1] == 2
    assert dashd.lines[-1] == ("info", "dashd at HERE gives templates again")
    dashd.rpc.long_polls[-1].errback(DOWN)
    polls = len(dashd.rpc.long_polls)
    dashd.wait(1)
    assert len(dashd.rpc.long_polls) == polls + 1  # the back-off began anew
    dashd.stop()


def test_without_a_longpollid_there_is_no_long_poll(dashd):
    dashd.rpc.answers["getblocktemplate"] = template(1, longpollid="")
    dashd.start()
    dashd.wait(POLL_PERIOD * 3 + 1)
    assert dashd.rpc.times(long=True) == []
    assert dashd.rpc.times() == [0, 15, 30, 45]
    dashd.stop()


# --- polling and refreshing ------------------------------------------------------------------------------


def test_polling_notices_a_dead_dashd_while_the_long_poll_hangs(dashd):
    dashd.start()
    dashd.rpc.answers["getblocktemplate"] = RpcTimeout("did not answer")
    dashd.wait(POLL_PERIOD * 3 + 1)
    assert dashd.rpc.times() == [0, 15, 30, 45]
    (line,) = dashd.warnings()
    assert line.startswith("dashd at HERE: did not answer (is it busy? It has few RPC threads: rpcthreads=16")
    assert dashd.service.last_answer == 1e9
    dashd.rpc.answers["getblocktemplate"] = template(2)
    dashd.wait(POLL_PERIOD)
    assert dashd.templates == [1, 2]
    assert dashd.service.problem is None
    dashd.stop()


def test_announcements_that_come_together_are_one_question_and_one_more(dashd):
    dashd.start()
    dashd.rpc.answers["getblocktemplate"] = answer = Deferred()
    for _ in range(5):
        dashd.service.refresh()
    assert len(dashd.rpc.times()) == 2
    dashd.rpc.answers["getblocktemplate"] = template(3)
    answer.callback(template(2))
    assert len(dashd.rpc.times()) == 3  # what was announced meanwhile may be newer than the answer
    assert dashd.templates == [1, 2, 3]
    dashd.wait(5)
    assert len(dashd.rpc.times()) == 3
    dashd.service.refresh()
    assert len(dashd.rpc.times()) == 4
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


@pytest.mark.parametrize("method", ["getblockchaininfo", "getnetworkinfo", "getblocktemplate"])
@pytest.mark.parametrize("answer", ["hangs", "fails"])
def test_stopping_while_it_starts(dashd, method, answer):
    dashd.rpc.answers[method] = Deferred() if answer == "hangs" else DOWN
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


# --- blocks ----------------------------------------------------------------------------------------------


def submit(dashd: Dashd, answer: Any) -> Any:
    dashd.rpc.answers["submitblock"] = answer
    results: list[Any] = []
    Deferred.fromCoroutine(dashd.service.submit_block(b"\x00\xff")).addBoth(results.append)
    assert dashd.rpc.calls[-1][1:] == ("submitblock", ("00ff",), SUBMIT_TIMEOUT)
    return results[0]


def test_blocks(dashd):
    assert submit(dashd, None) is None
    assert submit(dashd, "high-hash") == "high-hash"
    assert submit(dashd, "a\nb" * 500) == ("a?b" * 500)[:200]
    assert submit(dashd, {"odd": 1}) == "{'odd': 1}"
    for error in (DOWN, RpcError(-22, "Block decode failed")):
        assert submit(dashd, error).value is error
