"""The accepted solutions of each job: each is credited once; what cannot be remembered is not credited.

A connection with a far too low difficulty can have thousands of solutions accepted in a second. `SolutionLedger`
bounds what all connections together make the node remember: when it is full, the oldest job of the site that holds
most is spent. Submissions for a spent job are still hashed, since one could be a share or a block, but no longer
credited.
"""

from __future__ import annotations

from p2pool.base.fair import FairQueue
from p2pool.stratum.job_registry import IssuedJob

CHUNK = 64
"""Solutions of one job that are accounted for together; most jobs never have so many. If it were larger, a client
with many connections could spread its solutions so that none of them are counted."""
MAX_CHUNKS = 16_384
"""Chunks in all: a million solutions of some 100 bytes each. Solutions of jobs with less than one chunk, about as
large as the job itself, are bounded by the jobs that connections may answer."""


class Solutions:
    """The accepted submissions for one job under one extranonce1, by their bytes."""

    __slots__ = ("_keys", "_used", "chunks", "issued", "site", "spent")

    def __init__(self, issued: IssuedJob, site: str) -> None:
        self.issued = issued
        self.site = site
        self.chunks = 0
        """How many chunks were filled."""
        self.spent = False
        """Whether nothing is credited any more, because not all credited solutions are remembered."""
        self._keys: set[bytes] = set()
        self._used: set[bytes] = set()

    def __contains__(self, key: bytes) -> bool:
        return key in self._keys

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> tuple[set[bytes], set[bytes]]:
        """Return the submissions that are remembered, and those of them that were shares or blocks."""
        return self._keys, self._used

    def add(self, key: bytes, *, used: bool) -> bool:
        """Remember a submission, `used` if it was a share or a block; return whether that filled another chunk."""
        self._keys.add(key)
        if used:
            self._used.add(key)
        if self.spent or len(self._keys) < (self.chunks + 1) * CHUNK:
            return False
        self.chunks += 1
        return True

    def spend(self) -> None:
        """Stop crediting, and remember only shares and blocks, which are few."""
        self.spent = True
        self._keys = self._used


class SolutionLedger:
    """The chunks of all connections' jobs, by site. Bound: MAX_CHUNKS."""

    def __init__(self) -> None:
        self._held: FairQueue[tuple[Solutions, int], str] = FairQueue()
        self._jobs: dict[Solutions, None] = {}
        """The solutions of jobs with at least one chunk."""

    def __len__(self) -> int:
        return len(self._held)

    def grown(self, solutions: Solutions) -> None:
        """Note that `solutions` filled another chunk. If there are too many, spend the greediest site's oldest
        job."""
        self._jobs[solutions] = None
        self._held.add((solutions, solutions.chunks), solutions.site)
        while len(self._held) > MAX_CHUNKS:
            candidate = self._held.candidate()
            if candidate is None:
                return
            self._spend(candidate[0])

    def restore(self, solutions: Solutions) -> None:
        """Count what an earlier process accepted for a job."""
        chunks = 0 if solutions.spent else len(solutions) // CHUNK
        for solutions.chunks in range(1, chunks + 1):
            if solutions.spent:
                return
            self.grown(solutions)

    def retire(self) -> None:
        """Forget the solutions of jobs that were released; call it every few seconds."""
        for solutions in [solutions for solutions in self._jobs if solutions.issued.job is None]:
            self._spend(solutions)

    def _spend(self, solutions: Solutions) -> None:
        solutions.spend()
        del self._jobs[solutions]
        for chunk in range(1, solutions.chunks + 1):
            self._held.discard((solutions, chunk))
