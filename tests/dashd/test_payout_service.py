"""Own addresses over time: asked for, renewed, kept over restarts, and never in anybody's way."""

from __future__ import annotations

import json
import random
from errno import EACCES
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock

from p2pool.dash.address import encode_address
from p2pool.dashd.payout_addresses import PayoutAddresses, PayoutMode
from p2pool.dashd.payout_service import CACHED_FILE, LAST_RETRY, LAST_RETRY_OF_KEYS, PayoutService
from p2pool.dashd.rpc import RpcError, RpcUnavailable
from p2pool.dashd.wallet import Wallet
from p2pool.networks import DASH, DASH_REGTEST
from tests.environment import make_environment
from tests.failing_disk import failing_disk
from tests.logged import logged
from tests.support import capture

START = 1_700_000_000.0
DOWN = RpcUnavailable("connection refused")
NO_WALLET = RpcError(-32601, capture("20_wallet_method_without_wallet")["response"]["error"]["message"])
MAIN = encode_address(DASH.parent.addresses.pubkey_hash, b"\x01" * 20)
P2SH = encode_address(DASH_REGTEST.parent.addresses.script_hash, b"\x01" * 20)


def address(number: int) -> str:
    return encode_address(DASH_REGTEST.parent.addresses.pubkey_hash, number.to_bytes(20, "big"))


class FakeDashd:
    """A wallet that gives address(1), address(2), ...; `refusal` instead where it is set."""

    def __init__(self) -> None:
        self.given = 0
        self.refusal: Any = None
        self.says: Any = None
        """What getnewaddress answers instead."""
        self.mine: Any = {"ismine": True}
        self.calls: list[tuple[Any, ...]] = []

    async def call(self, *request: Any, timeout: float = 15.0) -> Any:
        self.calls.append(request)
        if isinstance(self.refusal, Exception):
            raise self.refusal
        if isinstance(self.refusal, Deferred):
            return await self.refusal
        if request[0] == "getaddressinfo":
            return self.mine
        if self.says is not None:
            return self.says
        self.given += 1
        return address(self.given)


class Run:
    """One run of the node, as far as its own addresses go."""

    def __init__(self, stage: Stage, mode: PayoutMode, wanted: int, lifetime: float | None) -> None:
        self.stage = stage
        self.payouts = PayoutAddresses(random.Random(1), wanted=wanted, lifetime=lifetime)
        self.service = PayoutService(
            make_environment(stage.clock, clock=stage.now, run_in_thread=stage.run_in_thread),
            payouts=self.payouts,
            mode=mode,
            wallet=Wallet(stage.dashd, DASH_REGTEST),
            network=DASH_REGTEST,
            directory=stage.directory,
        )
        self.service.start()

    @property
    def addresses(self) -> list[str]:
        return [own.address for own in self.payouts.addresses]

    def stop(self) -> None:
        """Stopped, nothing is under way."""
        self.service.stop()
        assert self.stage.clock.getDelayedCalls() == []


class Stage:
    """A data directory, a clock and a dashd that outlive runs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = Clock()
        self.offset = START
        self.dashd = FakeDashd()
        self.run_in_thread: Any = maybeDeferred

    def now(self) -> float:
        return self.offset + self.clock.seconds()

    def wait(self, seconds: float, step: float = 0.5) -> None:
        for _ in range(round(seconds / step)):
            self.clock.advance(step)

    def wallet(self) -> Run:
        return Run(self, PayoutMode.WALLET, 1, None)

    def dynamic(self, wanted: int = 2, lifetime: float = 1000.0) -> Run:
        return Run(self, PayoutMode.DYNAMIC, wanted, lifetime)

    @property
    def cached(self) -> Path:
        return self.directory / "cached_payout_address"

    @property
    def listed(self) -> Path:
        return self.directory / "dynamic-addresses.json"

    def rows(self) -> list[str]:
        return [row["address"] for row in json.loads(self.listed.read_bytes())["addresses"]]


@pytest.fixture
def stage(tmp_path):
    made = Stage(tmp_path / "data")
    with logged() as log:
        yield made
    assert not log.tracebacks


# --- one address, kept -------------------------------------------------------------------------------------------


def test_one_is_asked_for_once_and_kept(stage):
    with logged() as log:
        run = stage.wallet()
    assert run.addresses == [address(1)]
    assert log.lines == [f"this node's own payouts go to {address(1)}"]
    assert stage.cached.read_text() == address(1) + "\n"
    assert stage.clock.getDelayedCalls() == []
    run.stop()
    stage.dashd.refusal = DOWN
    again = stage.wallet()
    assert again.addresses == [address(1)]
    again.stop()
    stage.dashd.refusal = None
    stage.wallet().stop()
    assert stage.dashd.given == 1
    assert [call[0] for call in stage.dashd.calls] == ["getnewaddress", "getaddressinfo", "getaddressinfo"]


def test_that_of_the_older_software_is_gone_on_with(stage):
    stage.directory.mkdir()
    stage.cached.write_text(address(77))
    run = stage.wallet()
    assert run.addresses == [address(77)]
    assert stage.dashd.given == 0
    assert stage.cached.read_text() == address(77)
    run.stop()


def test_one_that_the_wallet_does_not_know_is_used_with_a_warning(stage):
    stage.wallet().stop()
    stage.dashd.mine = {"ismine": False}
    with logged() as log:
        run = stage.wallet()
        stage.wait(2000)
    assert run.addresses == [address(1)]
    (warning,) = [line for line in log.lines if "not in dashd's wallet" in line]
    assert address(1) in warning
    assert str(stage.cached) in warning
    assert "give -a ADDRESS" in warning


@pytest.mark.parametrize("answer", [None, {}, {"ismine": None}, RpcError(-32601, "Method not found")])
def test_where_the_wallet_says_nothing_nothing_is_said(stage, answer):
    stage.wallet().stop()
    stage.dashd.mine, stage.dashd.refusal = answer, answer if isinstance(answer, Exception) else None
    with logged() as log:
        run = stage.wallet()
        stage.wait(100)
    assert log.lines == [f"this node's own payouts go to {address(1)}"]
    assert run.payouts.problem is None


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"", "25 bytes"),
        (b"\xff" * 10, "not a line"),
        (MAIN.encode(), "not an address of the network"),
        (P2SH.encode(), "P2SH"),
        (address(5)[:-1].encode() + b"1", "checksum"),
        (b" " * (CACHED_FILE.max_bytes + 1), "more than"),
    ],
)
def test_a_kept_one_that_cannot_be_paid_is_quarantined(stage, data, part):
    stage.directory.mkdir()
    stage.cached.write_bytes(data)
    with logged() as log:
        run = stage.wallet()
    assert part in log.lines[0]
    assert str(stage.cached) in log.lines[0]
    assert run.addresses == [address(1)]
    assert stage.cached.read_text() == address(1) + "\n"
    assert stage.cached.with_name("cached_payout_address.damaged").read_bytes() == data


# --- dashd is not there, or has no wallet ------------------------------------------------------------------------


@pytest.mark.parametrize("down", [DOWN, RpcError(-28, "Loading block index…")])
def test_a_dashd_that_comes_late_is_waited_for(stage, down):
    stage.dashd.refusal = down
    with logged() as log:
        run = stage.wallet()
        stage.wait(1800)
    assert run.payouts.key_hash() is None
    assert run.payouts.problem is None  # that dashd is not there is said elsewhere
    assert [line for line in log.lines if "waiting for dashd" in line] == log.lines
    assert len(log.lines) == 1
    assert 60 < len(stage.dashd.calls) < 70
    stage.dashd.refusal = None
    stage.wait(LAST_RETRY)
    assert run.addresses == [address(1)]
    assert stage.cached.read_text() == address(1) + "\n"


def test_a_known_address_is_used_before_dashd_is_there(stage):
    stage.wallet().stop()
    stage.dashd.refusal = DOWN
    stage.dashd.mine = {"ismine": False}
    run = stage.wallet()
    assert run.addresses == [address(1)]
    stage.wait(100)
    stage.dashd.refusal = None
    with logged() as log:
        stage.wait(LAST_RETRY)
    assert len(log.lines) == 1
    assert "not in dashd's wallet" in log.lines[0]


@pytest.mark.parametrize(
    ("refusal", "part"),
    [
        (NO_WALLET, "dashd was built or started without a wallet"),
        (RpcError(-18, "No wallet is loaded."), "dash-cli loadwallet"),
        (RpcError(-19, "Wallet file not specified"), "dash-cli unloadwallet"),
    ],
)
@pytest.mark.parametrize("mode", ["wallet", "dynamic"])
def test_without_a_wallet_the_operator_reads_what_to_do(stage, refusal, part, mode):
    stage.dashd.refusal = refusal
    with logged() as log:
        run = getattr(stage, mode)()
        stage.wait(600)
    assert len(log.lines) == 1
    for text in (log.lines[0], run.payouts.problem):
        assert "this node has no payout address of its own and takes no fee: " in text
        assert part in text
        assert "give -a ADDRESS" in text
    stage.dashd.refusal = None  # a wallet was loaded
    stage.wait(LAST_RETRY)
    assert run.payouts.problem is None
    assert run.addresses[0] == address(1)
    run.stop()


@pytest.mark.parametrize("answer", [P2SH, MAIN, "", None, 7, {"x": 1}])
def test_a_hostile_answer_is_not_used_and_not_asked_for_again_and_again(stage, answer):
    stage.dashd.says = {} if answer is None else answer
    with logged() as log:
        run = stage.wallet()
        stage.wait(6 * 3600, 5)
    assert run.payouts.key_hash() is None
    assert not stage.cached.exists()
    assert len(log.lines) == 1
    assert "cannot be used" in log.lines[0]
    assert len(stage.dashd.calls) < 6 * 3600 / LAST_RETRY_OF_KEYS + 12
    stage.dashd.says = None
    stage.wait(LAST_RETRY_OF_KEYS)
    assert run.addresses == [address(1)]


# --- fresh ones --------------------------------------------------------------------------------------------------


def test_fresh_ones_take_turns(stage):
    run = stage.dynamic(wanted=3, lifetime=1000)
    assert run.addresses == [address(1), address(2), address(3)]
    assert stage.rows() == run.addresses
    stage.wait(999)
    assert stage.dashd.given == 3
    for number in (4, 5, 6, 7):
        stage.wait(1)
        assert run.addresses == stage.rows() == [address(number - 2), address(number - 1), address(number)]
        assert run.payouts.newest.taken == stage.now()
        stage.wait(999)
    assert {run.payouts.key_hash() for _ in range(200)} == {own.key_hash for own in run.payouts.addresses}
    assert {call[0] for call in stage.dashd.calls} == {"getnewaddress"}
    run.stop()


def test_a_restart_goes_on_with_them(stage):
    run = stage.dynamic()
    stage.wait(400)
    run.stop()
    stage.wait(300)
    run = stage.dynamic()
    assert run.addresses == [address(1), address(2)]
    assert stage.dashd.calls[-2:] == [("getaddressinfo", address(1)), ("getaddressinfo", address(2))]
    stage.wait(299)
    assert run.addresses == [address(1), address(2)]
    stage.wait(1)
    assert run.addresses == [address(2), address(3)]
    run.stop()
    stage.wait(50_000, 50)  # a long time later one is due, not fifty
    run = stage.dynamic()
    assert run.addresses == [address(3), address(4)]
    run.stop()
    run = stage.dynamic(wanted=4)
    assert run.addresses == [address(n) for n in (3, 4, 5, 6)]
    run.stop()
    run = stage.dynamic(wanted=1)
    assert run.addresses == [address(6)]
    run.stop()


def test_each_kept_one_is_checked(stage):
    stage.directory.mkdir()
    rows = [{"address": text, "taken": START - 5} for text in (MAIN, P2SH, address(50), "x")]
    stage.listed.write_text(json.dumps([None, *rows]))
    stage.dashd.mine = {"ismine": False}
    with logged() as log:
        run = stage.dynamic()
    assert run.addresses == [address(50), address(1)]
    assert "ignored 4 unusable addresses in" in log.lines[0]
    assert [line for line in log.lines if "not in dashd's wallet" in line and address(50) in line]
    assert stage.rows() == [address(50), address(1)]


@pytest.mark.parametrize("data", [b"", b"{}", b"[" * 9999, b"[" + b" " * CACHED_FILE.max_bytes + b"]"])
def test_a_list_that_cannot_be_read_is_quarantined(stage, data):
    stage.directory.mkdir()
    stage.listed.write_bytes(data)
    with logged() as log:
        run = stage.dynamic()
    assert "quarantined as" in log.lines[0]
    assert run.addresses == stage.rows() == [address(1), address(2)]
    assert stage.listed.with_name("dynamic-addresses.json.damaged").read_bytes() == data


def test_without_dashd_the_old_ones_stay_in_use(stage):
    run = stage.dynamic()
    stage.wait(500)
    stage.dashd.refusal = DOWN
    stage.wait(5000)
    assert run.addresses == [address(1), address(2)]
    stage.dashd.refusal = NO_WALLET
    stage.wait(LAST_RETRY)
    assert run.payouts.problem.startswith("dashd was built or started without a wallet")
    stage.dashd.refusal = None
    stage.wait(LAST_RETRY)
    assert run.addresses == [address(2), address(3)]
    assert run.payouts.problem is None


def test_patience_begins_anew_with_each_trouble(stage):
    run = stage.dynamic()
    for _ in range(2):
        stage.wait(990)
        stage.dashd.refusal = DOWN
        calls = len(stage.dashd.calls)
        stage.wait(10 + 7)
        assert len(stage.dashd.calls) == calls + 4  # at once, after 1, 3 and 7 s
        stage.dashd.refusal = None
        stage.wait(8)
    assert run.addresses == [address(3), address(4)]


def test_a_wallet_that_repeats_itself_is_not_believed(stage):
    run = stage.dynamic()
    stage.dashd.says = address(1)
    with logged() as log:
        stage.wait(1100)
    assert run.addresses == [address(1), address(2)]
    assert len(log.lines) == 1
    assert "it is in use already" in log.lines[0]


def test_clocks_that_are_set(stage):
    run = stage.dynamic()
    stage.offset += 5000
    stage.wait(60)
    assert run.addresses == [address(2), address(3)]
    stage.offset -= 100_000
    stage.wait(60)
    assert run.addresses == [address(2), address(3)]
    stage.wait(1000)
    assert run.addresses == [address(3), address(4)]


# --- disk and end ------------------------------------------------------------------------------------------------


def test_a_disk_that_fails_is_said_once_and_tried_again(stage):
    stage.directory.write_text("a file where the directory should be")
    with logged() as log:
        run = stage.wallet()
        stage.wait(3600, 5)
    assert run.addresses == [address(1)]
    assert len([line for line in log.lines if "cannot write" in line]) == 1
    stage.directory.unlink()
    stage.wait(60)
    assert stage.cached.read_text() == address(1) + "\n"
    assert stage.dashd.given == 1
    assert stage.clock.getDelayedCalls() == []


def test_a_file_that_cannot_even_be_quarantined_stops_nothing(stage):
    stage.cached.mkdir(parents=True)
    with logged() as log, failing_disk(OSError(EACCES, "Permission denied")):
        run = stage.wallet()
        stage.wait(300)
    assert run.addresses == [address(1)]
    assert len([line for line in log.lines if "cannot be quarantined" in line]) == 1
    assert len([line for line in log.lines if "cannot write" in line]) == 1
    assert len(log.lines) == 3
    run.stop()


def test_files_are_read_and_written_in_threads(stage):
    waiting: list[tuple[Any, Deferred[Any]]] = []

    def run_in_thread(call: Any) -> Deferred[Any]:
        waiting.append((call, Deferred()))
        return waiting[-1][1]

    def work() -> None:
        call, done = waiting.pop()
        maybeDeferred(call).chainDeferred(done)

    stage.run_in_thread = run_in_thread
    run = stage.wallet()
    assert stage.dashd.calls == []
    work()
    assert run.addresses == [address(1)]
    assert not stage.cached.exists()
    work()
    assert stage.cached.exists()
    run = stage.wallet()
    run.stop()  # while it is read
    assert run.addresses == []


@pytest.mark.parametrize("refusal", [DOWN, NO_WALLET, Deferred()])
def test_stopping_gives_up_whatever_is_under_way(stage, refusal):
    stage.dashd.refusal = refusal
    run = stage.dynamic()
    stage.wait(100)
    calls = len(stage.dashd.calls)
    with logged() as log:
        run.stop()
        stage.wait(1000)
    assert log == []
    assert len(stage.dashd.calls) == calls


def test_a_call_that_breaks_off_because_of_the_end_is_no_trouble(stage):
    def broke_off(call: Deferred[Any]) -> None:
        call.errback(RpcUnavailable("broke off"))

    stage.dashd.refusal = Deferred(broke_off)
    run = stage.wallet()
    with logged() as log:
        run.stop()
    assert log == []
    assert len(stage.dashd.calls) == 1
