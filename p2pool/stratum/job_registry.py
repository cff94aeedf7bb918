"""Jobs as they are issued to miners: their ids, their notify lines, and how long each stays valid."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from p2pool.base.fair import FairShares
from p2pool.dash.target import difficulty_to_target, target_to_difficulty
from p2pool.jobs.context import WorkContext
from p2pool.jobs.job import Job
from p2pool.stratum.notify_lines import NotifyLines, line_size
from p2pool.stratum.ports import WorkPort

MAX_ADDRESS_JOBS = 20_000
"""Current jobs by payout address. Beyond it the oldest one is dropped, and built again when it is requested."""
MAX_VARIANTS = 4
"""Additional jobs on the same work per address, for connections whose difficulty changed. A connection that has
had all of them gets its next difficulty with the next work."""
MAX_HELD_BYTES = 160 * 1024 * 1024
"""Bytes of jobs that may still be answered, and of the contexts that these jobs share. Beyond it the oldest job of
the site and address that hold most is released; never one on the newest work, of which there are at most
MAX_VARIANTS + 1 per connection."""
JOB_BYTES = 1400
"""What a job takes, counted once per site that got it, however many payees there are; its context besides. Most of
it is for its place in the tables of jobs."""
_FEW_HOLDERS = 8
_RELEASED_AT_ONCE = 8
"""Jobs released to make room for one: a context is only dropped with its last job, which may take thousands."""
_RETIRED_AT_ONCE = 5_000
"""Jobs released in one call of `retire`: a few milliseconds."""
_REMEMBERED_BLOCKS = 16
"""Replaced previous blocks whose jobs may be in their grace time; there are hardly ever two."""
GRACE = 60.0
"""Seconds for which jobs stay valid after a new block: late work is counted as dead on arrival, not as unknown."""


JobRequest = tuple[bytes, float | None]
"""What a connection needs of its jobs: the payout address (20 bytes), and the requested difficulty of shares."""


ELSEWHERE: Final = -1
"""The generation of a job that another server issued: older than all work of this one."""


class JobOrigin(NamedTuple):
    """The server that issued a job, and the job's generation and variant there."""

    maker: str
    generation: int
    variant: int


class PseudoshareLimit(NamedTuple):
    """The highest difficulty at which a miner submits all that meets a share target, and the target of such
    pseudoshares."""

    difficulty: float
    target: int


@lru_cache(maxsize=4096)
def pseudoshare_limit(share_target: int) -> PseudoshareLimit:
    """Return the limit for a share target: a power of two, since common firmware rounds down to one. Below 1, it
    is the share's own difficulty: no firmware rounds that."""
    difficulty = target_to_difficulty(share_target)
    if difficulty >= 1:
        _, exponent = math.frexp(difficulty)
        difficulty = math.ldexp(1.0, exponent - 1)
    return PseudoshareLimit(difficulty, max(difficulty_to_target(difficulty), share_target))


@lru_cache(maxsize=4096)
def _only(site: str) -> tuple[str, ...]:
    """Return the same tuple for all jobs that one site holds: nearly all are."""
    return (site,)


class IssuedJob:
    """A Job under an id of at most 8 hex digits. `job` is None once it is released: connections may still know the
    id, but the work is gone. `lines` makes the notify lines of all jobs on the same work.

    `generation` counts changes of work; `variant` distinguishes jobs for one request on the same work."""

    __slots__ = ("generation", "holders", "job", "job_id", "limit", "lines", "origin", "request", "variant")

    def __init__(
        self, job_id: str, job: Job, *, request: JobRequest = (b"", None), generation: int = 0, variant: int = 0
    ) -> None:
        self.job_id = job_id
        self.job: Job | None = job
        self.limit = pseudoshare_limit(job.share_target)
        """The difficulty above which hashes that the miner does not submit would be shares."""
        self.request = request
        self.generation = generation
        self.variant = variant
        self.origin: JobOrigin | None = None
        """Where the job was issued if it came with the session of another server; None if it was issued here."""
        self.holders: tuple[str, ...] | set[str] = ()
        """Sites that were sent this job and still hold it: a set only if there are many, for it takes more."""
        self.lines: NotifyLines | None = None
        """None if a line is hardly ever needed: then it is made from scratch."""

    def notify(self, clean: bool) -> bytes:
        """Return the whole notify line; empty once the job is released."""
        job = self.job
        if job is None:
            return b""
        return (self.lines or NotifyLines(job.context)).line(self.job_id, job, clean=clean)

    def held_by(self, site: str) -> None:
        """Note that a site holds this job."""
        holders = self.holders
        if isinstance(holders, set):
            holders.add(site)
        elif site not in holders:
            if not holders:
                self.holders = _only(site)
            else:
                self.holders = (*holders, site) if len(holders) < _FEW_HOLDERS else {*holders, site}

    def let_go_by(self, site: str) -> None:
        """Note that a site no longer holds this job."""
        holders = self.holders
        if isinstance(holders, set):
            holders.discard(site)
        else:
            self.holders = tuple([each for each in holders if each != site])

    def release(self) -> None:
        """Drop the work: submissions for this job are no longer judged."""
        self.job = None


class _HeldContext:
    """A context, and how many jobs on it are held, once per site."""

    __slots__ = ("context", "count")

    def __init__(self, context: WorkContext) -> None:
        self.context = context
        self.count = 0


class JobRegistry:
    """One job per address and tip, and a few variants of it. Each connection has its own bounded list of the jobs
    that it may answer.

    Jobs on the current previous block are valid however old they are: a solution can still be a block. If there
    are too many, sites lose their own: see MAX_HELD_BYTES.
    """

    def __init__(self, work: WorkPort) -> None:
        self._work = work
        self._current: OrderedDict[tuple[JobRequest, int], IssuedJob] = OrderedDict()
        """By request and variant, the oldest first; MAX_ADDRESS_JOBS."""
        self._former: list[IssuedJob] = []
        """Jobs that were current before the last changes of work, and are to be shrunk: at most MAX_ADDRESS_JOBS,
        since others may as well stay as they are."""
        self.generation = 0
        """How often the work changed."""
        self._clean_generation = 0
        """The last change that made all earlier jobs worthless."""
        self._counter = 0
        self._prefix = ""
        """The first digits of new ids, if other servers make jobs as well."""
        self._previous_block: int | None = None
        self._held: dict[int, FairShares[IssuedJob]] = {}
        """By previous block: the jobs by (site, address); MAX_HELD_BYTES in all."""
        self._held_count = 0
        self._contexts: dict[int, _HeldContext] = {}
        """The contexts of these jobs, by their identity."""
        self._context_bytes = 0
        self._lines: NotifyLines | None = None
        """Of the newest work; None before its first job."""
        self._is_sent = True
        """Whether all connections have jobs on the newest work."""
        self.line_size = 0
        """About how many bytes a notify line has."""
        self._ended: dict[int, float] = {}
        """Replaced previous blocks, and when each was replaced; their jobs are released after GRACE."""

    def work_changed(self, previous_block: int, clean: bool, now: float) -> None:
        """Note that there is new work, which makes earlier jobs worthless if `clean`. New jobs are built when they
        are requested; jobs on another previous block stay valid for a grace time only."""
        if self._lines is not None:
            self._lines.close()
            self._lines = None
        self._former.extend(self._current.values())
        self._current.clear()
        if len(self._former) > MAX_ADDRESS_JOBS:
            self._former.clear()
        self._is_sent = False
        self.generation += 1
        if clean:
            self._clean_generation = self.generation
        if previous_block != self._previous_block:
            if self._previous_block is not None:
                self._ended[self._previous_block] = now
            self._previous_block = previous_block
            self._ended.pop(previous_block, None)
            if len(self._ended) > _REMEMBERED_BLOCKS:
                self._release_all(next(iter(self._ended)))

    def sent_to_all(self) -> None:
        """Note that all connections have jobs on the newest work, so their lines need not be kept."""
        self._is_sent = True
        if self._lines is not None:
            self._lines.sent_to_all()

    def retire(self, now: float) -> None:
        """Release jobs whose time is over, a portion in each call, and shrink those that newer work replaced; call
        it every second or so."""
        former, self._former = self._former, []
        for issued in former:
            if issued.job is not None:
                issued.job.shrink()
        portion = _RETIRED_AT_ONCE
        for previous_block in [block for block, ended in self._ended.items() if now - ended > GRACE]:
            portion -= self._release_all(previous_block, portion)

    def _release_all(self, previous_block: int, at_most: int | None = None) -> int:
        """Release jobs of a replaced previous block. Return how many were released."""
        held = self._held.get(previous_block)
        count = 0 if held is None else len(held)
        if at_most is not None:
            count = min(count, at_most)
        if held is not None and count < len(held):
            for _ in range(count):
                self._release_one(previous_block, held)
            return count
        if held is not None:
            del self._held[previous_block]
            for path, issued in held:
                self._let_go(issued, str(path[0]))
        self._ended.pop(previous_block, None)
        return count

    def judged_by(self, issued: IssuedJob, now: float) -> Job | None:
        """Return the job by which a submission for `issued` is judged; None if the job is no longer valid."""
        job = issued.job
        if job is None:
            return None
        previous_block = job.context.template.previous_block
        if previous_block == self._previous_block:
            return job
        ended = self._ended.get(previous_block)
        return job if ended is not None and now - ended <= GRACE else None

    def is_newest(self, issued: IssuedJob) -> bool:
        """Return whether a job is on the newest work."""
        return issued.generation == self.generation and issued.job is not None

    def ended(self, issued: IssuedJob) -> bool:
        """Return whether newer work made a job worthless. If so, the next job is sent with clean_jobs."""
        return issued.generation < self._clean_generation

    def job_for(self, site: str, request: JobRequest, variant: int = 0) -> IssuedJob | None:
        """Return the current job for a request of a connection of `site`; None if there is no work, and beyond
        MAX_VARIANTS.

        Variants are different work: a solution of one is not a solution of another."""
        if variant > MAX_VARIANTS:
            return None
        key = (request, variant)
        issued = self._current.get(key)
        if issued is None or issued.job is None:
            job = self._work.make_job(*request)
            if job is None:
                return None
            issued = IssuedJob(self._next_id(), job, request=request, generation=self.generation, variant=variant)
            if len(self._current) >= MAX_ADDRESS_JOBS and key not in self._current:
                self._current.popitem(last=False)
            self._current[key] = issued
            issued.lines = self._lines_of(job.context)
        if site not in issued.holders:
            self._hold(site, issued)
        return issued

    def _lines_of(self, context: WorkContext) -> NotifyLines:
        lines = self._lines
        if lines is None or lines.context is not context:
            if lines is not None:
                lines.close()
            lines = self._lines = NotifyLines(context, for_all=not self._is_sent)
            self.line_size = line_size(context)
        return lines

    def _next_id(self) -> str:
        if self._prefix:
            self._counter = (self._counter + 1) % (1 << 24)
            return f"{self._prefix}{self._counter:06x}"
        self._counter = (self._counter + 1) % (1 << 32)
        return f"{self._counter:x}"

    def use_prefix(self, prefix: bytes, start: int) -> None:
        """Let the ids of new jobs begin with a byte that no other server has, counted from `start` at first."""
        if not self._prefix:
            self._counter = start
        self._prefix = prefix.hex()

    def adopt(self, site: str, issued: IssuedJob, now: float) -> bool:
        """Hold a job of another server for a connection of `site`, as if it had been made here. Return False if it
        is no longer valid."""
        if self.judged_by(issued, now) is None:
            return False
        if site not in issued.holders:
            self._hold(site, issued)
        return True

    def restore(self, issued: IssuedJob, sites: Iterable[str]) -> None:
        """Take a job that an earlier process sent to miners of these sites. Called once for each of the miners."""
        if issued.job is not None and issued.generation == self.generation:
            issued.lines = self._lines_of(issued.job.context)
        for site in sites:
            if site not in issued.holders:
                self._hold(site, issued)

    def _hold(self, site: str, issued: IssuedJob) -> None:
        if issued.job is None:
            return
        previous_block = issued.job.context.template.previous_block
        held = self._held.get(previous_block)
        if held is None:
            held = self._held[previous_block] = FairShares()
        held.add((site, issued.request[0]), issued)
        issued.held_by(site)
        self._held_count += 1
        self._count_context(issued.job.context, 1)
        for _ in range(_RELEASED_AT_ONCE):
            if self._held_count * JOB_BYTES + self._context_bytes <= MAX_HELD_BYTES or not self._make_room():
                return

    def _count_context(self, context: WorkContext, change: int) -> None:
        """Note that a job on a context is held once more or less."""
        known = self._contexts.get(id(context))
        if known is None:
            known = self._contexts[id(context)] = _HeldContext(context)
            self._context_bytes += context.size
        known.count += change
        if not known.count:
            del self._contexts[id(context)]
            self._context_bytes -= context.size

    def _make_room(self) -> bool:
        """Release the oldest job of the greediest holder on the previous block with most jobs. Return False if its
        oldest job is on the newest work."""
        for previous_block, held in sorted(self._held.items(), key=lambda item: -len(item[1])):
            greediest = held.greediest()
            if greediest is not None and greediest[1].generation != self.generation:
                self._release_one(previous_block, held)
                return True
        return False

    def _release_one(self, previous_block: int, held: FairShares[IssuedJob]) -> None:
        greediest = held.greediest()
        if greediest is None:
            return
        path, issued = greediest
        held.remove(path, issued)
        self._let_go(issued, str(path[0]))
        if not held:
            self._held.pop(previous_block, None)

    def _let_go(self, issued: IssuedJob, site: str) -> None:
        """Let a site hold a job no longer; without any, its work is gone."""
        self._held_count -= 1
        if issued.job is not None:
            self._count_context(issued.job.context, -1)
        issued.let_go_by(site)
        if not issued.holders:
            issued.release()
