"""Found blocks: offered until dashd has answered, and on disk wherever they were not taken."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure

from p2pool.dashd.rpc import RpcError, RpcTimeout, RpcUnauthorized, RpcUnavailable
from p2pool.dashd.submission import BEATEN, RETRY_PERIOD, RETRY_TIME, BlockSubmitter

HASH, DATA = 0xABC, bytes.fromhex("00ff10")
DOWN = RpcUnavailable("connection refused")


class FakeSink:
    """Answers in turn; the last answer stays. An exception is raised, a Deferred waited for."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[float] = []
        self.data: list[bytes] = []
        self.clock = Clock()
        self.depth: int | None = None

    async def confirmations(self, block_hash: int) -> int | None:
        assert block_hash == HASH
        return self.depth

    async def submit_block(self, data: bytes) -> str | None:
        self.asked.append(self.clock.seconds())
        self.data.append(data)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return await answer if isinstance(answer, Deferred) else answer


class Offer:
    """One block, offered."""

    def __init__(self, directory, *answers: Any) -> None:
        self.sink = FakeSink(*answers)
        self.clock = self.sink.clock
        self.results: list = []
        self.threads: list[Deferred] | None = None
        self.directory = directory / "blocks"
        self.path = self.directory / f"{HASH:064x}.hex"
        self.pending = self.directory / f"7-{HASH:064x}.pending"
        submitter = BlockSubmitter(self.clock, self.sink, directory / "blocks", self.run_in_thread)
        submitter.result.subscribe(self.results.append)
        self.submitter = submitter
        self.delayed: list = []
        submitter.delayed.subscribe(self.delayed.append)

    def run_in_thread(self, function) -> Deferred:
        if self.threads is not None:  # a disk that hangs
            self.threads.append(Deferred())
            return self.threads[-1]
        try:
            return succeed(function())
        except Exception:
            return fail(Failure())

    def start(self) -> Offer:
        self.submitter.offer(HASH, 7, DATA)
        return self

    def stop(self) -> Offer:
        assert Deferred.fromCoroutine(self.submitter.stop()).called
        return self

    def wait(self, seconds: float, step: float = 0.25) -> Offer:
        for _ in range(int(seconds / step)):
            self.clock.advance(step)
        return self

    @property
    def kept(self) -> bytes | None:
        return self.path.read_bytes() if self.path.exists() else None

    @property
    def waiting(self) -> bytes | None:
        return self.pending.read_bytes() if self.pending.exists() else None

    @property
    def ended(self) -> bool:
        return not self.submitter._tasks and not self.clock.getDelayedCalls()


@pytest.fixture
def offer(tmp_path):
    return lambda *answers: Offer(tmp_path, *answers).start()


@pytest.fixture
def lines():
    """What is logged meanwhile."""
    logged: list = []
    globalLogPublisher.addObserver(logged.append)
    yield logged
    globalLogPublisher.removeObserver(logged.append)


@pytest.mark.parametrize("answer", [None, "duplicate"])
def test_accepted_at_once(offer, answer):
    made = offer(answer)
    assert made.sink.data == [DATA]
    assert made.results == [(HASH, "")]
    assert made.ended
    assert list(made.directory.iterdir()) == []


@pytest.mark.parametrize("reason", ["high-hash", "duplicate-invalid", "bad-cb-payee", ""])
def test_refused_is_asked_once_and_kept(offer, reason, lines):
    made = offer(reason)
    assert made.results == [(HASH, reason or "refused")]
    assert made.ended
    assert made.kept == b"00ff10\n"
    assert made.wait(60).sink.data == [DATA]
    assert [line["log_level"].name for line in lines] == ["error"]


@pytest.mark.parametrize(
    ("answer", "depth", "result"),
    [
        ("duplicate", None, ""),
        ("duplicate", 1, ""),
        ("duplicate", 7, ""),
        ("duplicate", -1, BEATEN),
        ("inconclusive", None, BEATEN),
        ("inconclusive", -1, BEATEN),
        ("inconclusive", 1, ""),
    ],
)
def test_a_block_that_dashd_holds_is_accepted_or_was_beaten(tmp_path, answer, depth, result, lines):
    made = Offer(tmp_path, answer)
    made.sink.depth = depth
    assert made.start().results == [(HASH, result)]
    assert list(made.directory.iterdir()) == []
    assert [line["log_level"].name for line in lines] == ["info"]


def test_a_missing_parent_passes(offer):
    """A dashd that was killed gets the blocks that it lost from its peers again."""
    made = offer("prev-blk-not-found", "prev-blk-not-found", None).wait(5)
    assert made.sink.data == [DATA] * 3
    assert made.results == [(HASH, "")]
    assert list(made.directory.iterdir()) == []


def test_what_cannot_be_decoded_is_final(offer):
    made = offer(RpcError(-22, "Block decode failed"))
    assert made.results == [(HASH, "Block decode failed (code -22)")]
    assert made.kept == b"00ff10\n"
    assert made.wait(60).sink.data == [DATA]


@pytest.mark.parametrize(
    "error",
    [
        DOWN,
        RpcTimeout("did not answer"),
        RpcUnauthorized("refuses"),
        RpcError(-28, "Loading"),
        RpcError(-9, "no"),
        ZeroDivisionError("a defect of ours"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_trouble_is_retried_until_the_block_is_accepted(offer, error, lines):
    made = offer(error, error, error, error, error, None)
    assert made.results == []
    assert made.waiting == b"00ff10\n"
    made.wait(20)
    assert made.results == [(HASH, "")]
    assert made.sink.data == [DATA] * 6
    assert made.ended
    assert list(made.directory.iterdir()) == []  # it was taken: nothing is left to look at
    said = [line for line in lines if "NOT YET SENT" in (line.get("log_format") or "")]
    assert len(said) == 1
    assert any("log_failure" in line for line in lines) == isinstance(error, ZeroDivisionError)


def test_soon_at_first_then_steadily(offer):
    made = offer(DOWN).wait(30)
    gaps = [later - earlier for earlier, later in zip(made.sink.asked, made.sink.asked[1:], strict=False)]
    assert gaps[:5] == [0.25, 0.5, 1.0, 2.0, 2.0]
    assert set(gaps[3:]) == {RETRY_PERIOD}


def test_an_answer_that_was_lost_is_a_duplicate_afterwards(offer):
    made = offer(RpcTimeout("60 s"), "duplicate").wait(1)
    assert made.results == [(HASH, "")]


def test_trouble_and_then_a_refusal(offer):
    made = offer(DOWN, "bad-cb-amount").wait(1)
    assert made.results == [(HASH, "bad-cb-amount")]
    assert made.kept == b"00ff10\n"


def test_after_an_hour_it_is_given_up_and_kept(offer):
    made = offer(DOWN).wait(RETRY_TIME - 10, 2.0)
    assert made.results == []
    made.wait(20, 2.0)
    ((block_hash, reason),) = made.results
    assert block_hash == HASH
    assert reason == "not taken within 3600 s: connection refused"
    assert made.kept == b"00ff10\n"
    asked = len(made.sink.asked)
    made.wait(60)
    assert len(made.sink.asked) == asked
    assert made.clock.getDelayedCalls() == []


def test_a_disk_that_hangs_does_not_hold_up_the_next_try(tmp_path):
    made = Offer(tmp_path, DOWN, DOWN, None)
    made.threads = []
    made.start().wait(2)
    assert made.results == [(HASH, "")]


def test_a_disk_that_cannot_be_written(tmp_path, lines):
    (tmp_path / "blocks").write_text("a file where the directory should be")
    made = Offer(tmp_path, DOWN, "high-hash").start().wait(1)
    assert made.results == [(HASH, "high-hash")]
    assert made.ended
    assert any(line.get("kept") == "lost" for line in lines)
    taken = Offer(tmp_path, DOWN, None).start().wait(1)
    assert taken.results == [(HASH, "")]
    assert taken.ended


def test_nothing_half_written_is_left(offer):
    made = offer("high-hash")
    assert [path.name for path in made.path.parent.iterdir()] == [made.path.name]


def test_a_listener_that_fails_changes_nothing(tmp_path):
    made = Offer(tmp_path, None)
    made.submitter.result.subscribe(lambda settled: 1 / 0)
    assert made.start().ended


@pytest.mark.parametrize("answer", [Deferred(), DOWN], ids=["dashd thinks", "between two tries"])
def test_stopped_meanwhile_it_is_on_disk_and_offered_again_at_the_next_start(tmp_path, answer):
    made = Offer(tmp_path, answer).start()
    assert made.waiting == b"00ff10\n"  # from the first moment: the node may be killed
    assert made.stop().ended
    assert made.results == []
    again = Offer(tmp_path, None)
    assert Deferred.fromCoroutine(again.submitter.resume()).called
    assert again.sink.data == [DATA]
    assert again.results == [(HASH, "")]
    assert list(again.directory.iterdir()) == []


def test_stopping_waits_for_the_disk(tmp_path):
    made = Offer(tmp_path, Deferred())
    made.threads = []
    made.start()
    stopped = Deferred.fromCoroutine(made.submitter.stop())
    assert not stopped.called
    made.threads[0].callback(None)
    assert stopped.called


@pytest.mark.parametrize("answer", [Deferred(), DOWN], ids=["dashd thinks", "dashd is down"])
def test_the_other_road_is_tried_once_when_dashd_does_not_answer_soon(offer, answer):
    made = offer(answer).wait(0.75)
    assert made.delayed == []
    assert made.wait(10).delayed == [(7, DATA)]


def test_no_other_road_where_dashd_answers(offer):
    assert offer(None).wait(10).delayed == []
    assert offer("high-hash").wait(10).delayed == []


def test_the_same_block_is_under_way_once(offer):
    made = offer(Deferred()).start()
    assert made.sink.data == [DATA]


def test_what_is_no_block_is_passed_over_at_the_start(tmp_path, lines):
    made = Offer(tmp_path, None)
    made.directory.mkdir()
    (made.directory / "x-y.pending").write_text("00")
    (made.directory / "7-0a.pending").write_text("zz")
    (made.directory / "8-0b.pending").write_text("00ff\n")
    assert Deferred.fromCoroutine(made.submitter.resume()).called
    assert made.results == [(0x0B, "")] or made.sink.data == [b"\x00\xff"]
    assert [line["log_level"].name for line in lines].count("warn") == 2
    assert sorted(path.name for path in made.directory.glob("*.pending"))[-1] == "x-y.pending"


TROUBLE = st.sampled_from([DOWN, RpcTimeout("x"), RpcError(-28, "Loading"), RpcError(-1, "?")])
LAST = st.sampled_from([None, "duplicate", "high-hash", RpcError(-22, "Block decode failed")])


@given(st.lists(TROUBLE, max_size=6), LAST)
def test_one_result_whatever_happens_and_a_file_exactly_where_it_was_refused(tmp_path_factory, trouble, last):
    made = Offer(tmp_path_factory.mktemp("found"), *trouble, last).start().wait(30)
    accepted = last in (None, "duplicate")
    ((block_hash, reason),) = made.results
    assert block_hash == HASH
    assert (reason == "") == accepted
    assert (made.kept is None) == accepted
    assert made.sink.data == [DATA] * (len(trouble) + 1)
    assert made.ended
