"""Variable difficulty: how soon it fits miners of any size, and how often it changes then. Simulated time.

Rates of miners are in hashes per second, times in seconds since the connection's first job.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import mean, median

from p2pool.stratum.vardiff import Vardiff
from tests.bench.measure import Table, seconds_per_call

RATES = (*(10.0**exponent * factor for exponent in range(4, 13) for factor in (1.0, 2.2, 4.7)), 1e13)
"""10 kH/s to 10 TH/s."""
SEEDS = 6
HOURS = 3.0
STEP_AT, STEP_END = 3600.0, 9000.0
STEP_RATES = (3e8, 2.2e9, 1e10, 4.7e10, 2.2e11, 1e12)
STEPS = (4.0, 16.0, 1 / 4, 1 / 16)
FLAP_RATES = (1e9, 1e10, 1e11, 1e12)
HASHES = 2.0**48 / 0xFFFF
"""Average attempts per share of difficulty 1."""
MINIMUM, MAXIMUM, SECONDS = 0.001, 1e6, 10.0
MAINNET_START = 64.0
LATENCY = (0.05, 0.3)
NEW_WORK = 20.0
TICK = 5.0
FASTEST = 5000.0
"""Submissions a second that a connection delivers at most."""
TOLERANCE = math.log(1.25)
STANDS = 900.0
"""Settled is a difficulty that fits from then on for so long, or until the miner changes."""


class Miner:
    """Works on its newest job. Where `at_once`, set_difficulty applies to whatever it is hashing."""

    def __init__(self, at_once: bool = False, rounds: bool = False) -> None:
        self.at_once = at_once
        self.rounds = rounds
        self.job = -1
        self.difficulty = 0.0
        self.announced = 0.0

    def receive(self, lines: Iterable[tuple[str, float]]) -> None:
        """One segment's lines."""
        for method, value in lines:
            if method == "set_difficulty":
                self.announced = value
                if self.rounds and value >= 1:
                    self.announced = 2.0 ** math.floor(math.log2(value))
                if self.at_once:
                    self.difficulty = self.announced
            else:
                self.job, self.difficulty = int(value), self.announced


KINDS = ({}, {"at_once": True}, {"rounds": True})


@dataclass
class Run:
    """What came of one simulated connection."""

    changes: list[tuple[float, float]]
    """(time, difficulty from then on); the first is the start."""
    accepted: int = 0
    refused: int = 0


@dataclass
class Connection:
    """A server and a miner, and the time between them."""

    miner: Miner
    phases: list[tuple[float, float]]
    """(time, hashes per second from then on)."""
    end: float
    rng: random.Random
    vardiff: Vardiff
    now: float = 0.0
    number: int = 0
    sent_difficulty: float = 0.0
    arrival: float = 0.0
    jobs: dict[int, float] = field(default_factory=dict)
    on_the_way: deque[tuple[float, list[tuple[str, float]]]] = field(default_factory=deque)

    def run(self) -> Run:
        """The whole story, event by event."""
        result = Run([(0.0, self.vardiff.difficulty)])
        next_work, next_tick = 0.0, TICK
        phases = deque(self.phases)
        attempts = 0.0
        rng = self.rng
        while True:
            # When the next share is found depends on what the miner knows now; nothing is remembered of the
            # search so far (it has no memory), so it is drawn anew whenever anything changes.
            rate = attempts / self.miner.difficulty / HASHES if self.miner.job >= 0 else 0.0
            found = self.now + rng.expovariate(min(rate, FASTEST)) if rate > 0 else math.inf
            arrival = self.on_the_way[0][0] if self.on_the_way else math.inf
            change = phases[0][0] if phases else math.inf
            soonest = min(found, arrival, change, next_work, next_tick)
            if soonest >= self.end:
                return result
            self.now = soonest
            due = False
            if soonest == change:
                attempts = phases.popleft()[1]
            elif soonest == arrival:
                self.miner.receive(self.on_the_way.popleft()[1])
            elif soonest == found:
                due = self._submit(result)
            elif soonest == next_work:
                next_work += rng.expovariate(1 / NEW_WORK)
                due = True
            else:
                next_tick += TICK
                due = self.vardiff.adjust(soonest)
            if due:
                self._send_job(result)

    def _send_job(self, result: Run) -> None:
        """A new job, and before it the difficulty where that changed, in one segment."""
        difficulty = self.vardiff.difficulty
        lines = []
        if difficulty != self.sent_difficulty:
            if self.number:
                result.changes.append((self.now, difficulty))
            self.sent_difficulty = difficulty
            lines.append(("set_difficulty", difficulty))
        self.number += 1
        self.jobs[self.number] = difficulty
        self.jobs.pop(self.number - 64, None)
        lines.append(("notify", float(self.number)))
        # Segments do not overtake each other.
        self.arrival = max(self.arrival, self.now + self.rng.uniform(*LATENCY))
        self.on_the_way.append((self.arrival, lines))

    def _submit(self, result: Run) -> bool:
        miner = self.miner
        wanted = self.jobs[miner.job]
        # A hash below the target of difficulty d is below that of D > d with probability d / D.
        if miner.difficulty < wanted and self.rng.random() * wanted > miner.difficulty:
            result.refused += 1
            return False
        result.accepted += 1
        self.vardiff.accepted(wanted, self.now)
        return self.vardiff.adjust(self.now)


def misfit(rate: float, difficulty: float) -> float:
    """How far the pace at a difficulty is from the wanted one (logarithm, absolute)."""
    return abs(math.log(rate / HASHES / difficulty * SECONDS))


def best_misfit(rate: float) -> float:
    """The same of the best difficulty there is."""
    powers = [2.0**exponent for exponent in range(-9, 20)]
    return min(misfit(rate, difficulty) for difficulty in (MINIMUM, *powers))


def settled_at(changes: list[tuple[float, float]], rate: float, start: float, end: float) -> float | None:
    """When the difficulty began to fit for STANDS seconds (or to the end); None for never."""
    allowed = best_misfit(rate) + TOLERANCE
    since: float | None = None
    for index, (when, difficulty) in enumerate(changes):
        until = changes[index + 1][0] if index + 1 < len(changes) else end
        if until <= start:
            continue
        when = max(when, start)
        if when >= end:
            break
        if misfit(rate, difficulty) > allowed:
            since = None
            continue
        since = when if since is None else since
        if min(until, end) - since >= STANDS or until >= end:
            return since
    return None


@dataclass
class Summary:
    """What all runs come to."""

    settle: list[float] = field(default_factory=list)
    moving: list[float] = field(default_factory=list)
    """From both starts, only those that the start does not fit already."""
    settle_100: list[float] = field(default_factory=list)
    """From the mainnet's start, which was 100 when the figure was named."""
    steady_changes: list[float] = field(default_factory=list)
    unfit: list[float] = field(default_factory=list)
    """Parts of the time after settling in which the difficulty did not fit."""
    steps: dict[float, list[float]] = field(default_factory=dict)
    flapping_changes: list[float] = field(default_factory=list)
    refused: int = 0
    accepted: int = 0

    def connect(self, name: str, kind: int, phases: list[tuple[float, float]], end: float, start: float) -> Run:
        """One connection; its random numbers follow from its name."""
        vardiff = Vardiff(start=start, minimum=MINIMUM, maximum=MAXIMUM, seconds=SECONDS)
        miner = Miner(**KINDS[kind % len(KINDS)])
        run = Connection(miner, phases, end, random.Random(f"{name} {kind}"), vardiff).run()
        self.refused += run.refused
        self.accepted += run.accepted
        return run

    def steady(self) -> None:
        """The same rate for hours, from both starts."""
        end = HOURS * 3600
        for start, least, times in ((MINIMUM, 0.0, self.settle), (MAINNET_START, 1e10, self.settle_100)):
            for nominal in (rate for rate in RATES if rate >= least):
                for seed in range(SEEDS):
                    rate = nominal * jitter(seed, nominal)
                    run = self.connect(f"steady {start} {nominal}", seed, [(0.0, rate)], end, start)
                    settled = settled_at(run.changes, rate, 0.0, end)
                    times.append(end if settled is None else settled)
                    if misfit(rate, start) > best_misfit(rate) + TOLERANCE:
                        self.moving.append(times[-1])
                    if settled is None:
                        continue
                    later = sum(1 for when, _ in run.changes if when > settled)
                    self.steady_changes.append(later / (end - settled) * 3600)
                    self.unfit.append(misfit_time(run.changes, rate, settled, end) / (end - settled))

    def stepping(self) -> None:
        """One rate for an hour, another for an hour and a half."""
        for factor in STEPS:
            times = self.steps.setdefault(factor, [])
            for nominal in STEP_RATES:
                for seed in range(2 * SEEDS):
                    rate = nominal * jitter(seed, nominal)
                    phases = [(0.0, rate), (STEP_AT, rate * factor)]
                    start = MAINNET_START if rate >= 1e10 else MINIMUM
                    run = self.connect(f"step {factor} {nominal}", seed, phases, STEP_END, start)
                    settled = settled_at(run.changes, rate * factor, STEP_AT, STEP_END)
                    times.append((STEP_END if settled is None else settled) - STEP_AT)

    def flapping(self) -> None:
        """On and off, or between a rate and a quarter of it, both for minutes."""
        for rate in FLAP_RATES:
            for factor in (0.0, 0.25):
                for seed in range(SEEDS):
                    rng = random.Random(f"flapping {rate} {factor} {seed}")
                    phases, when = [], 0.0
                    while when < HOURS * 3600:
                        low = when + rng.uniform(120, 900)
                        phases += [(when, rate), (low, rate * factor)]
                        when = low + rng.uniform(60, 600)
                    run = self.connect(f"flap {rate} {factor}", seed, phases, HOURS * 3600, 1.0)
                    self.flapping_changes.append((len(run.changes) - 1) / HOURS)


def misfit_time(changes: list[tuple[float, float]], rate: float, start: float, end: float) -> float:
    """Seconds between `start` and `end` in which the difficulty does not fit."""
    allowed = best_misfit(rate) + TOLERANCE
    ends = [when for when, _ in changes[1:]] + [end]
    return sum(
        max(0.0, until - max(when, start))
        for (when, difficulty), until in zip(changes, ends, strict=True)
        if misfit(rate, difficulty) > allowed
    )


def jitter(seed: int, rate: float) -> float:
    """Between 1/sqrt(2) and sqrt(2): rates anywhere between two powers of two. 1 for the first seed."""
    return 2.0 ** random.Random(f"jitter {seed} {rate}").uniform(-0.5, 0.5) if seed else 1.0


def percentile_90(values: list[float]) -> float:
    """The value that nine of ten do not exceed."""
    return sorted(values)[min(len(values) - 1, int(0.9 * len(values)))]


def seconds_per_submission() -> float:
    """`accepted` and `adjust` of a miner at about the wanted pace."""
    vardiff = Vardiff(start=16.0, minimum=MINIMUM, maximum=MAXIMUM, seconds=SECONDS)
    rng = random.Random(1)
    gaps = [rng.expovariate(1 / SECONDS) for _ in range(10_000)]

    def judge() -> None:
        now = 0.0
        for gap in gaps:
            now += gap
            vardiff.accepted(16.0, now)
            vardiff.adjust(now)

    return seconds_per_call(judge) / len(gaps)


def main() -> None:
    """Print the table."""
    table = Table("variable difficulty (simulated miners, 10 kH/s to 10 TH/s, one pseudoshare in 10 s wanted)")
    summary = Summary()
    summary.steady()
    summary.stepping()
    summary.flapping()
    table.add("settle_median_s", "from 0.001 to settled, median", median(summary.settle), "s")
    table.add("settle_p90_s", "from 0.001 to settled, 9 of 10 within", percentile_90(summary.settle), "s")
    table.add("settle_moving_median_s", "either start, where it does not fit, median", median(summary.moving), "s")
    label = f"from {MAINNET_START:g} to settled, median (10 GH/s and more)"
    table.add("settle_100_median_s", label, median(summary.settle_100), "s")
    table.add("settle_100_p90_s", "the same, 9 of 10 within", percentile_90(summary.settle_100), "s")
    table.add("steady_changes_per_hour", "changes after settling", mean(summary.steady_changes), "/h")
    table.add("misfit_percent", "time after settling that does not fit", 100 * mean(summary.unfit), "%")
    every_step = [seconds for times in summary.steps.values() for seconds in times]
    table.add("step_settle_median_s", "another rate to settled, median", median(every_step), "s")
    for factor, times in summary.steps.items():
        name = f"x{factor:g}" if factor > 1 else f"/{1 / factor:g}"
        key = "step_" + name.replace("x", "up_").replace("/", "down_") + "_median_s"
        table.add(key, f"another rate to settled, {name}, median", median(times), "s")
    table.add("flapping_changes_per_hour", "changes, flapping miners", mean(summary.flapping_changes), "/h")
    table.add("refused_by_changes", "refused because of a change", summary.refused, "")
    table.add("submissions", "submissions simulated", summary.accepted + summary.refused, "")
    table.add("call_us", "accepted and adjust, one core", seconds_per_submission() * 1e6, "us")
    print(
        f"Settled: the pace is within 25 % of the best difficulty's for the next {STANDS / 60:g} minutes.\n"
        f"Miners below 10 GH/s are not measured from {MAINNET_START:g}: they find nothing before the difficulty\n"
        "of a silent connection is lowered (see tests/stratum/test_vardiff.py)."
    )
    table.finish()
