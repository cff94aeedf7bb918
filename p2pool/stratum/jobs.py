"""Jobs as miners know them: ids, ready notify lines, and how long each stays valid."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from p2pool.base.bounded import BoundedDict
from p2pool.jobs.job import Job
from p2pool.stratum.ports import WorkPort

MAX_ADDRESS_JOBS = 20_000
"""Payout addresses with a current job; beyond it the oldest job is built again when wanted."""
GRACE = 60.0
"""Seconds for which jobs outlive their parent block: late work is counted as dead on arrival, not as unknown."""
_REMEMBERED_PARENTS = 16


def swap_words(hash_bytes: bytes) -> bytes:
    """prevhash in a notify: the 32 internal bytes with the bytes of each 4-byte word reversed."""
    return b"".join(hash_bytes[i : i + 4][::-1] for i in range(0, 32, 4))


@dataclass(slots=True)
class IssuedJob:
    """A Job under an id of at most 8 hex digits. Its notify lines are made once for all connections."""

    job_id: str
    job: Job
    _line: tuple[bytes, bytes] | None = None

    def notify(self, clean: bool) -> bytes:
        """The whole notify line."""
        if self._line is None:
            job, template = self.job, self.job.context.template
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
            self._line = (head + b",false]}\n", head + b",true]}\n")
        return self._line[clean]


class JobBook:
    """One job an address and tip. Which jobs a connection may answer is the connection's own, bounded, list."""

    def __init__(self, work: WorkPort) -> None:
        self._work = work
        self._current: BoundedDict[tuple[bytes, float | None], IssuedJob] = BoundedDict(MAX_ADDRESS_JOBS)
        self._counter = 0
        self._parent_block: int | None = None
        self._ended: BoundedDict[int, float] = BoundedDict(_REMEMBERED_PARENTS)

    def work_changed(self, parent_block: int, now: float) -> None:
        """There is new work: jobs are built anew when asked for. Those on another parent block have had their
        day and live for a grace time only."""
        self._current.clear()
        if parent_block != self._parent_block:
            if self._parent_block is not None:
                self._ended[self._parent_block] = now
            self._parent_block = parent_block

    def is_valid(self, issued: IssuedJob, now: float) -> bool:
        """Whether a submission for this job is still judged."""
        parent_block = issued.job.context.template.previous_block
        if parent_block == self._parent_block:
            return True
        ended = self._ended.get(parent_block)
        return ended is not None and now - ended <= GRACE

    def job_for(self, key_hash: bytes, share_difficulty: float | None) -> IssuedJob | None:
        """The current job of a payout address that wishes shares of a difficulty; None while there is no work."""
        key = (key_hash, share_difficulty)
        issued = self._current.get(key)
        if issued is None:
            job = self._work.make_job(key_hash, share_difficulty)
            if job is None:
                return None
            issued = self._current[key] = self._issue(job)
        return issued

    def reissue(self, issued: IssuedJob) -> IssuedJob:
        """The same work under a new id: a difficulty may change only together with a job."""
        return self._issue(issued.job)

    def _issue(self, job: Job) -> IssuedJob:
        self._counter = (self._counter + 1) % (1 << 32)
        return IssuedJob(f"{self._counter:x}", job)
