"""Hashing threads: they find shares, take new work, and stop. No sleeps: queues and events with timeouts."""

import queue
import threading
import time

import pytest

from p2pool.dash.pow import x11
from p2pool.simnet.miner_threads import MAX_CATCH_UP, THROTTLED_BATCH_SECONDS, HashingThread, scan_nonces
from p2pool.simnet.miner_work import FoundShare, MiningJob, Work

PATIENCE = 10.0
EASY = 2**250  # a share in 64 hashes
NEVER = 0


def work(job_id: str = "1", target: int = EASY, size: int = 4) -> Work:
    job = MiningJob(job_id, bytes(32), b"\x01", b"\x02", (bytes(32),), 1, 0x207FFFFF, 1, True)
    return Work(job, b"abcd", size, 1.0, target)


def hash_of(share: FoundShare) -> int:
    return x11(share.work.job.header(share.work.extranonce1, share.extranonce2, share.nonce))


class Running:
    """A thread with a queue of what it finds."""

    def __init__(self, **options: object) -> None:
        self.found: queue.Queue[FoundShare] = queue.Queue()
        self.ended: queue.Queue[BaseException | None] = queue.Queue()
        self.thread = HashingThread(self.found.put, on_ended=self.ended.put, **options)  # type: ignore[arg-type]

    def __enter__(self) -> "Running":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.thread.stop()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()


def test_scan_finds_exactly_the_nonces_that_meet_the_target() -> None:
    header = bytearray(work().header(bytes(4)))
    expected = [nonce for nonce in range(500) if x11(bytes(header[:76]) + nonce.to_bytes(4, "little")) <= EASY]
    assert len(expected) > 1
    assert scan_nonces(header, EASY, range(500)) == expected
    assert scan_nonces(header, 2**256 - 1, range(5, 9)) == [5, 6, 7, 8]
    assert scan_nonces(header, NEVER, range(500)) == []


def test_a_hash_equal_to_the_target_meets_it() -> None:
    header = bytearray(work().header(bytes(4)))
    target = x11(bytes(header[:76]) + bytes(4))
    assert scan_nonces(header, target, range(1)) == [0]
    assert scan_nonces(header, target - 1, range(1)) == []


def test_finds_a_share_and_stops_when_told() -> None:
    with Running() as running:
        running.thread.set_work(work())
        share = running.found.get(timeout=PATIENCE)
        assert hash_of(share) <= EASY
        assert share.work == work()
        running.thread.stop()
        assert running.ended.get(timeout=PATIENCE) is None
    assert running.thread.hashes > 0


def test_a_resting_thread_stops_too() -> None:
    with Running() as running:
        running.thread.stop()
        assert running.ended.get(timeout=PATIENCE) is None
    assert running.thread.hashes == 0


def test_takes_new_work_and_never_the_same_extranonce2_again() -> None:
    with Running(index=1, lanes=3, first_extranonce2=10) as running:
        seen = []
        for job_id in ("1", "2", "2"):
            running.thread.set_work(work(job_id))
            share = running.found.get(timeout=PATIENCE)
            while share.work.job.job_id != job_id or (seen and share.extranonce2 == seen[-1]):
                share = running.found.get(timeout=PATIENCE)
            seen.append(share.extranonce2)
    values = [int.from_bytes(extranonce2, "big") for extranonce2 in seen]
    assert values == sorted(set(values))
    assert all(value % 3 == 11 % 3 for value in values)


def test_the_counter_wraps_at_the_size_of_the_extranonce2() -> None:
    with Running(first_extranonce2=0x1FF) as running:
        running.thread.set_work(work(size=1))
        assert running.found.get(timeout=PATIENCE).extranonce2 == b"\xff"


def test_rests_without_work() -> None:
    with Running() as running:
        running.thread.set_work(work())
        running.found.get(timeout=PATIENCE)
        running.thread.set_work(None)
        running.thread.stop()
        assert running.ended.get(timeout=PATIENCE) is None


@pytest.mark.parametrize("rate", [20.0, 2000.0])
def test_the_throttle_limits_the_rate(rate: float) -> None:
    enough = threading.Event()
    times: list[float] = []
    count = int(max(6, rate / 10))

    def deliver(share: FoundShare) -> None:
        times.append(time.monotonic())
        if len(times) >= count:
            enough.set()

    thread = HashingThread(deliver, max_hash_rate=rate)
    thread.start()
    try:
        thread.set_work(work(target=2**256 - 1))
        assert enough.wait(PATIENCE)
    finally:
        thread.stop()
        thread.join(PATIENCE)
    at_once = max(1, int(rate * THROTTLED_BATCH_SECONDS)) + int(rate * MAX_CATCH_UP)
    assert times[count - 1] - times[0] >= 0.9 * (count - 1 - at_once) / rate


def test_stops_at_once_from_a_throttled_sleep() -> None:
    with Running(max_hash_rate=0.01) as running:
        running.thread.set_work(work(target=2**256 - 1))
        running.found.get(timeout=PATIENCE)
        running.thread.stop()
        assert running.ended.get(timeout=PATIENCE) is None


def test_a_failure_is_reported_and_not_swallowed() -> None:
    ended: queue.Queue[BaseException | None] = queue.Queue()

    def deliver(share: FoundShare) -> None:
        raise RuntimeError("a bug")

    thread = HashingThread(deliver, on_ended=ended.put)
    thread.start()
    thread.set_work(work())
    assert isinstance(ended.get(timeout=PATIENCE), RuntimeError)
    thread.join(PATIENCE)


@pytest.mark.parametrize("options", [{"index": 1}, {"index": -1}, {"max_hash_rate": 0.0}])
def test_wrong_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"no lane|must be positive"):
        HashingThread(lambda share: None, **options)  # type: ignore[arg-type]
