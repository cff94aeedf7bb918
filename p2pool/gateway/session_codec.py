"""MinerState <-> SessionRecord: another gateway makes the very same jobs, and judges them as they were judged."""

from __future__ import annotations

import math

from p2pool.base.bounded import BoundedDict
from p2pool.base.errors import ParseError
from p2pool.gateway.recent_contexts import ContextId, RecentContexts
from p2pool.gateway.session_messages import MAX_JOBS, MAX_KEYS, JobPart, SessionRecord
from p2pool.jobs.job import UNUSABLE, Job
from p2pool.share.generation import PayeeFields
from p2pool.stratum.job_registry import ELSEWHERE, MAX_VARIANTS, IssuedJob, JobOrigin
from p2pool.stratum.miner_state import MinerState, SentJob
from p2pool.stratum.session_context import SessionContext
from p2pool.stratum.solutions import Solutions

MAX_REBUILT = 5_000
"""Jobs of other gateways that are remembered, so that the connections of an address share them."""
_SHARE_RATES = (0.1, 3600.0)


class SessionCodec:
    """Packs and reads the sessions of one gateway, whose `token` no other has. Bound: MAX_REBUILT."""

    def __init__(self, *, token: str, network: str, context: SessionContext, contexts: RecentContexts) -> None:
        self._token = token
        self._network = network
        self._context = context
        self._contexts = contexts
        self._rebuilt: BoundedDict[tuple[str, bytes], IssuedJob] = BoundedDict(MAX_REBUILT)

    # --- out ---------------------------------------------------------------------------------------------

    def record(self, state: MinerState, *, released: bool = False) -> SessionRecord | None:
        """Return a session as a record; None if it cannot travel: if jobs on the newest work were left out, they
        could be issued again, and if shares or blocks were, they could be used again."""
        jobs: list[JobPart] = []
        for sent in reversed(state.jobs.values()):
            job = sent.issued.job
            context_id = None if job is None else self._contexts.id_of(job.context)
            if job is None or context_id is None or sent.extranonce1 != state.extranonce1:
                continue
            if len(jobs) == MAX_JOBS:
                if self._contexts.is_newest(context_id):
                    return None
                break
            if sent.solutions is not None and len(sent.solutions.keys()[1]) > MAX_KEYS:
                return None
            jobs.append(self._job_part(sent, job, context_id))
        vardiff = state.vardiff
        return SessionRecord(
            network=self._network,
            gateway=self._token,
            released=released,
            session_id=state.session_id,
            extranonce1=state.extranonce1,
            difficulty=vardiff.difficulty,
            minimum=vardiff.minimum,
            fixed=vardiff.fixed,
            share_rate=state.share_rate,
            requested_mask=state.requested_mask,
            extranonce_changes=state.extranonce_changes,
            knows_ping=state.knows_ping,
            jobs=jobs[::-1],
        )

    def _job_part(self, sent: SentJob, job: Job, context_id: ContextId) -> JobPart:
        issued, payee, solutions = sent.issued, job.payee, sent.solutions
        accepted, used = ((), ()) if solutions is None else solutions.keys()
        too_many = len(accepted) > MAX_KEYS
        origin = issued.origin or JobOrigin(self._token, issued.generation, issued.variant)
        run, number = context_id
        address, share_difficulty = issued.request
        return JobPart(
            job_id=issued.job_id,
            maker=origin.maker,
            generation=origin.generation,
            variant=origin.variant,
            run=run,
            number=number,
            address=address,
            share_difficulty=share_difficulty,
            paid=payee.key_hash,
            donation=payee.donation,
            stale_info=payee.stale_info,
            nonce=payee.nonce,
            target=job.share_target.to_bytes(32, "little"),
            share_time=job.share_timestamp,
            header_time=job.timestamp,
            digest=job.digest,
            difficulty=sent.difficulty,
            accepted=[] if too_many else list(accepted),
            used=list(used),
            spent=sent.spent or too_many,
        )

    # --- in ----------------------------------------------------------------------------------------------

    def state(self, record: SessionRecord, *, site: str, now: float) -> MinerState:
        """Return the session of a record for a connection of `site`, with those of its jobs that are still valid.
        Raises ParseError."""
        numbers = (record.difficulty, record.minimum, record.share_rate, *(job.difficulty for job in record.jobs))
        if not all(map(math.isfinite, numbers)):
            raise ParseError("a session with a difficulty or share rate that is no number")
        settings = self._context.settings
        vardiff = settings.new_vardiff()
        vardiff.set_minimum(max(record.minimum, settings.min_difficulty))
        vardiff.set(record.difficulty, fixed=record.fixed)
        vardiff.seconds = min(max(record.share_rate, _SHARE_RATES[0]), _SHARE_RATES[1])
        state = MinerState(record.session_id, record.extranonce1, vardiff)
        state.requested_mask = record.requested_mask
        state.extranonce_changes = record.extranonce_changes
        state.knows_ping = record.knows_ping
        for part in record.jobs:
            issued = self._issued(part)
            if issued is not None and self._context.registry.adopt(site, issued, now):
                state.remember(self._sent(part, issued, extranonce1=record.extranonce1, site=site))
        return state

    def merge(self, state: MinerState, record: SessionRecord) -> None:
        """Remember submissions that another gateway accepted before it gave a session up, if it says so late."""
        for part in record.jobs:
            sent = state.jobs.get(part.job_id)
            job = None if sent is None else sent.issued.job
            if sent is not None and job is not None and job.digest == part.digest:
                sent.solutions = sent.solutions or Solutions(sent.issued, "")
                self._fill(sent.solutions, part)

    def _sent(self, part: JobPart, issued: IssuedJob, *, extranonce1: bytes, site: str) -> SentJob:
        sent = SentJob(issued, difficulty=part.difficulty, extranonce1=extranonce1)
        if not (part.accepted or part.used or part.spent):
            return sent
        sent.solutions = solutions = Solutions(issued, site)
        self._fill(solutions, part)
        return sent

    def _fill(self, solutions: Solutions, part: JobPart) -> None:
        used = set(part.used)
        for key in (*part.accepted, *part.used):
            if solutions.add(key, used=key in used):
                self._context.solutions.grown(solutions)
        if part.spent:
            solutions.spend()

    def _issued(self, part: JobPart) -> IssuedJob | None:
        """Return a job, made again if it is not known; None if its work is not known, or makes another job."""
        key = (part.job_id, part.digest)
        known = self._rebuilt.get(key)
        if known is not None and known.job is not None:
            return known
        context = self._contexts.get((part.run, part.number))
        if context is None:
            return None
        try:
            job = Job(
                context,
                PayeeFields(part.paid, part.donation, part.stale_info, part.nonce),
                desired_target=int.from_bytes(part.target, "little"),
                share_timestamp=part.share_time,
                header_timestamp=part.header_time,
            )
        except UNUSABLE as error:
            raise ParseError(f"a session with a job that cannot be made: {error}") from None
        if job.digest != part.digest:
            raise ParseError(f"job {part.job_id} of another gateway is not the job that its parts make")
        is_own = part.maker == self._token and part.variant <= MAX_VARIANTS
        issued = IssuedJob(
            part.job_id,
            job,
            request=(part.address, part.share_difficulty),
            generation=part.generation if is_own else ELSEWHERE,
            variant=part.variant,
        )
        issued.origin = JobOrigin(part.maker, part.generation, part.variant)
        self._rebuilt[key] = issued
        return issued
