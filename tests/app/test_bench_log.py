"""What --bench logs of a stratum server in memory, on a stopwatch that tests set."""

from __future__ import annotations

from p2pool.app.bench_log import BROADCAST, JOB, SUBMIT, TEMPLATE, BenchLog
from p2pool.networks import DASH_REGTEST
from p2pool.stratum.server import StratumServer
from p2pool.stratum.session import Session
from p2pool.stratum.session_context import SessionSettings
from tests.environment import make_environment
from tests.logged import logged
from tests.stratum.miner import ADDRESS, OTHER_ADDRESS
from tests.stratum.wire import StratumHarness, line


class Stopwatch:
    """Each measured step takes the next of `steps`, in seconds."""

    def __init__(self) -> None:
        self.now = 0.0
        self.steps: list[float] = []
        self._inside = False

    def __call__(self) -> float:
        self._inside = not self._inside
        if not self._inside and self.steps:
            self.now += self.steps.pop(0)
        return self.now


def measured() -> tuple[StratumHarness, BenchLog, Stopwatch]:
    """A server as --bench makes it."""
    harness, stopwatch = StratumHarness(), Stopwatch()
    bench = BenchLog(stopwatch)
    stopwatch._inside = False  # the beginning of the first minute is no step
    settings = SessionSettings(network=DASH_REGTEST, start_difficulty=2.0**-20, min_difficulty=2.0**-30)
    harness.server = StratumServer(
        make_environment(harness.reactor, clock=harness.now),
        settings=settings,
        work=bench.work(harness.work),
        stats=harness.stats,
        dispatcher=bench.dispatcher(),
    )
    harness.server.all_jobs_sent.subscribe(bench.job_broadcast)
    harness.server.work_changed(harness.work.template.previous_block, clean=True)
    return harness, bench, stopwatch


def submission(worker: str) -> bytes:
    return line("mining.submit", worker, "nonsense", "00000000", "00000000", "00000000")


def summary(bench: BenchLog) -> dict[str, str]:
    """The figures by the kind of step."""
    with logged() as log:
        bench.log_summary()
    bench._stopwatch._inside = False  # type: ignore[attr-defined]  # no step either
    texts = [text.partition("bench: ")[2] for text in log.lines]
    return {text.partition(" in ")[0]: text.partition(" s: ")[2] for text in texts}


def test_slow_submissions_are_logged_with_their_worker_and_quick_ones_are_counted():
    harness, bench, stopwatch = measured()
    protocol, _ = harness.miner(f"{ADDRESS}.rig")
    stopwatch.steps = [0.0005, 0.025, 0.0005]
    with logged() as log:
        protocol.dataReceived(submission(f"{ADDRESS}.rig") * 3)
    (slow,) = [text for text in log.lines if "bench" in text]
    assert f"bench: submit of {ADDRESS}.rig took 25.000 ms" in slow
    assert summary(bench)[SUBMIT].startswith("count 3, p50 0.5")
    assert summary(bench)[SUBMIT] == "count 0"


def test_other_requests_are_no_submissions():
    harness, bench, _ = measured()
    protocol, _ = harness.miner()
    protocol.dataReceived(line("mining.ping") + line("mining.suggest_difficulty", 5))
    assert summary(bench)[SUBMIT] == "count 0"


def test_a_submission_of_a_connection_that_is_over_is_measured_too():
    harness, bench, _ = measured()
    protocol, _ = harness.miner()
    harness.server.suspend()
    protocol.dataReceived(submission(ADDRESS))
    assert summary(bench)[SUBMIT].startswith("count 1")


def test_jobs_and_their_broadcast():
    harness, bench, stopwatch = measured()
    for address in (ADDRESS, OTHER_ADDRESS):
        harness.miner(address)
    assert summary(bench)[JOB].startswith("count 2")
    stopwatch.steps = [0.001, 0.03]
    with logged() as log:
        harness.server.work_changed(1, clean=True)
    assert [text.partition("bench: ")[2] for text in log.lines] == ["job took 30.000 ms"]
    figures = summary(bench)
    assert figures[JOB].startswith("count 2")
    assert figures[BROADCAST].startswith("count 1")


def test_templates_have_a_line_each_and_are_in_the_summary():
    _, bench, stopwatch = measured()
    taken: list[int] = []
    timed, other = bench.timed("template", taken.append, TEMPLATE), bench.timed("work to all", taken.append)
    stopwatch.steps = [0.002, 0.5]
    with logged() as log:
        timed(1)
        other(2)
    assert taken == [1, 2]
    assert [text.partition("bench: ")[2] for text in log.lines] == [
        "template took 2.00 ms",
        "work to all took 500.00 ms",
    ]
    assert summary(bench)[TEMPLATE].startswith("count 1, p50 2.0")


def test_without_bench_nothing_is_in_the_way():
    harness = StratumHarness()
    protocol, _ = harness.miner()
    assert type(protocol.session) is Session
    assert harness.server._context.work is harness.work
