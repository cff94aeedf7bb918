"""Simulated errors of hash-rate estimates: `python -m tests.base.rate_errors` prints the table of
docs/design/hash-rate.md."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from p2pool.base.rates import RATE_WINDOW, RateEstimator, WindowedSum

HASHES: Final = 2.0**32
MINERS: Final = (
    ("500 H/s", 500.0, 2.0**-10),
    ("1.5 kH/s", 1500.0, 2.0**-10),
    ("100 kH/s", 1e5, 2.0**-10),
    ("1 GH/s", 1e9, 2.0),
)
"""Name, hashes a second, and difficulty."""
RUNS: Final = 200
LATER: Final = (3, 10, 30)
"""Mean intervals after which estimates are read."""


@dataclass(frozen=True)
class Run:
    """One miner's estimates divided by its hash rate."""

    average: float
    """The average of ten minutes at the first submission, as it was shown before."""
    first: float
    """The estimate at the first submission."""
    later: tuple[float, ...]
    """The estimates after LATER."""
    within: tuple[bool, ...]
    """Whether the intervals after LATER include the hash rate."""


def simulate(rate: float, difficulty: float, seed: int) -> Run:
    """Let a miner submit by chance for LATER[-1] mean intervals from 0 s on."""
    rng, work, start = random.Random(seed), difficulty * HASHES, 0.0
    mean = work / rate
    estimator, average = RateEstimator(start), WindowedSum(RATE_WINDOW)
    submission = rng.expovariate(1 / mean)
    average.add(work, submission)
    at_first, later, within = 0.0, [], []
    for intervals in LATER:
        now = start + intervals * mean
        while submission <= now:
            estimator.add(work, submission)
            at_first = at_first or estimator.rate(submission)
            submission += rng.expovariate(1 / mean)
        later.append(estimator.rate(now) / rate)
        low, high = estimator.estimate(now, work)[2:]
        within.append(low <= rate <= high)
    if not at_first:
        estimator.add(work, submission)
        at_first = estimator.rate(submission)
    return Run(average.rate(average.first or 0.0) / rate, at_first / rate, tuple(later), tuple(within))


def runs(rate: float, difficulty: float) -> list[Run]:
    """Return RUNS simulated miners, the same each time."""
    return [simulate(rate, difficulty, seed) for seed in range(RUNS)]


def spread(values: list[float]) -> str:
    """Return the median of values, and their 5 % and 95 % quantiles."""
    ordered = sorted(values)
    low, middle, high = (ordered[round(part * (len(ordered) - 1))] for part in (0.05, 0.5, 0.95))
    return f"{middle:.3g} ({low:.2g} to {high:.3g})"


def table() -> Iterator[str]:
    """Yield the lines of the table."""
    after = [f"after {intervals} intervals" for intervals in LATER]
    head = ["miner", "mean interval", "average at first submission", "estimate at first submission", *after]
    yield f"| {' | '.join([*head, 'within interval'])} |"
    yield "| --- |" + " --- |" * len(head)
    for name, rate, difficulty in MINERS:
        simulated = runs(rate, difficulty)
        within = sum(sum(run.within) for run in simulated) / (RUNS * len(LATER))
        cells = [
            name,
            f"{difficulty * HASHES / rate:,.0f} s",
            spread([run.average for run in simulated]),
            spread([run.first for run in simulated]),
            *[spread([run.later[index] for run in simulated]) for index in range(len(LATER))],
            f"{within:.0%}",
        ]
        yield f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print("\n".join(table()))
