"""How the difficulties of this node's miners are distributed, for /api/v1/stratum: a page that shows it would
otherwise have to fetch every worker."""

from __future__ import annotations

from collections.abc import Iterable
from math import frexp
from typing import Any, Final

from p2pool.pool_stats import WorkerSnapshot
from p2pool.web.api.schema import HASH_RATE, array, count, number, record


def difficulty_rows(workers: Iterable[WorkerSnapshot]) -> list[dict[str, Any]]:
    """Return the connected workers by difficulty, in powers of two, the lowest first. Bound: the exponents of
    the difficulties that stratum allows, some dozens."""
    sums: dict[int, list[float]] = {}
    for worker in workers:
        if worker.connections and worker.difficulty > 0:
            exponent = frexp(worker.difficulty)[1]
            row = sums.get(exponent)
            if row is None:
                row = sums[exponent] = [0, 0, 0.0]
            row[0] += 1
            row[1] += worker.connections
            row[2] += worker.hash_rate
    return [
        {"difficulty": 2.0 ** (exponent - 1), "workers": sum_[0], "connections": sum_[1], "hash_rate": sum_[2]}
        for exponent, sum_ in sorted(sums.items())
    ]


DIFFICULTY_ROWS: Final = array(
    record(
        difficulty=number("a power of two: the difficulty of these workers is at least this and below twice this"),
        workers=count("connected workers"),
        connections=count("connections of these workers; one with several workers counts for each of them"),
        hash_rate={**HASH_RATE, "description": "sum of the hash rates of these workers, hashes per second"},
    ),
    "connected workers by difficulty, the lowest first; powers of two without a worker are left out",
)
