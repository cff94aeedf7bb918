"""Jobs as miners know them: ids, ready notify lines, and how long each stays valid."""

from __future__ import annotations

from collections import deque

import orjson

from p2pool.base.bounded import BoundedDict
from p2pool.jobs.job import Job
from p2pool.stratum.ports import WorkPort

MAX_ADDRESS_JOBS = 20_000
"""Payout addresses with a current job; beyond it the oldest job is built again when wanted."""
MAX_ISSUED = 100_000
"""Jobs that may still be answered, about 3 KB each with 50 payees; the oldest are given up first."""
_REMEMBERED_PARENTS = 16
"""Earlier parent blocks whose jobs may be in their grace time; there are hardly ever two."""
GRACE = 60.0
"""Seconds for which jobs outlive their parent block: late work is counted as dead on arrival, not as unknown."""


def swap_words(hash_bytes: bytes) -> bytes:
    """prevhash in a notify: the 32 internal bytes with the bytes of each 4-byte word reversed."""
    return b"".join(hash_bytes[i : i + 4][::-1] for i in range(0, 32, 4))


class IssuedJob:
    """A Job under an id of at most 8 hex digits. `job` is None when its time is over: connections may hold on to
    the id, but the work and its lines are let go. The notify lines are made once for all connections."""

    __slots__ = ("_lines", "job", "job_id")

    def __init__(self, job_id: str, job: Job) -> None:
        self.job_id = job_id
        self.job: Job | None = job
        self._lines: tuple[bytes, bytes] | None = None

    def notify(self, clean: bool) -> bytes:
        """The whole notify line; empty when the job's time is over."""
        if self._lines is None:
            if self.job is None:
                return b""
            self._lines = self._make_lines(self.job)
        return self._lines[clean]

    def _make_lines(self, job: Job) -> tuple[bytes, bytes]:
        template = job.context.template
        body = orjson.dumps(
            [
                self.job_id,
                swap_words(template.previous_block.to_bytes(32, "little")).hex(),
                job.coinb1.hex(),
                job.coinb2.hex(),
                [entry.hex() for entry in template.branch],
                f"{job.version:08x}",
                f"{template.bits:08x}",
                f"{job.timestamp:08x}",
            ]
        )[:-1]
        head = b'{"id":null,"method":"mining.notify","params":' + body
        return head + b",false]}\n", head + b",true]}\n"

    def superseded(self) -> None:
        """There is a newer one: the lines are hardly wanted any more (and would be made again)."""
        self._lines = None


class JobBook:
    """One job an address and tip. Which jobs a connection may answer is the connection's own, bounded, list.

    Jobs on the current parent block are valid however old they are: one that solves the block is a block.
    """

    def __init__(self, work: WorkPort) -> None:
        self._work = work
        self._current: BoundedDict[tuple[bytes, float | None], IssuedJob] = BoundedDict(MAX_ADDRESS_JOBS)
        self._counter = 0
        self._parent_block: int | None = None
        self._issued: dict[int, deque[IssuedJob]] = {}
        """By parent block, in order of issue; MAX_ISSUED in all."""
        self._issued_count = 0
        self._ended: dict[int, float] = {}
        """When the earlier parent blocks were left; retired after GRACE."""

    def work_changed(self, parent_block: int, now: float) -> None:
        """There is new work: jobs are built anew when asked for. Those on another parent block have had their
        day and live for a grace time only."""
        for issued in self._current.values():
            issued.superseded()
        self._current.clear()
        if parent_block != self._parent_block:
            if self._parent_block is not None:
                self._ended[self._parent_block] = now
            self._parent_block = parent_block
            self._ended.pop(parent_block, None)
            if len(self._ended) > _REMEMBERED_PARENTS:
                self._let_go(next(iter(self._ended)))

    def retire(self, now: float) -> None:
        """Let go of the jobs whose time is over; called again and again."""
        for parent_block in [block for block, ended in self._ended.items() if now - ended > GRACE]:
            self._let_go(parent_block)

    def _let_go(self, parent_block: int) -> None:
        del self._ended[parent_block]
        for issued in self._issued.pop(parent_block, ()):
            self._issued_count -= 1
            issued.job = None
            issued.superseded()

    def judged_by(self, issued: IssuedJob, now: float) -> Job | None:
        """The job, where a submission for it is still judged."""
        job = issued.job
        if job is None:
            return None
        parent_block = job.context.template.previous_block
        if parent_block == self._parent_block:
            return job
        ended = self._ended.get(parent_block)
        return job if ended is not None and now - ended <= GRACE else None

    def job_for(self, key_hash: bytes, share_difficulty: float | None) -> IssuedJob | None:
        """The current job of a payout address that wishes shares of a difficulty; None while there is no work."""
        key = (key_hash, share_difficulty)
        issued = self._current.get(key)
        if issued is None or issued.job is None:
            job = self._work.make_job(key_hash, share_difficulty)
            if job is None:
                return None
            issued = self._current[key] = self._issue(job)
        return issued

    def reissue(self, job: Job) -> IssuedJob:
        """The same work under a new id: a difficulty may change only together with a job."""
        return self._issue(job)

    def _issue(self, job: Job) -> IssuedJob:
        self._counter = (self._counter + 1) % (1 << 32)
        issued = IssuedJob(f"{self._counter:x}", job)
        self._issued.setdefault(job.context.template.previous_block, deque()).append(issued)
        self._issued_count += 1
        if self._issued_count > MAX_ISSUED:
            self._give_up_oldest()
        return issued

    def _give_up_oldest(self) -> None:
        parent_block, oldest = next(iter(self._issued.items()))
        oldest.popleft().job = None
        self._issued_count -= 1
        if not oldest:
            del self._issued[parent_block]
