"""The miners of an earlier process, restored from its record.

`restore_shared` is called before there is work, and restores what does not belong to a single connection; the
`Handover` that it returns restores the sessions one by one. A record that makes no sense raises ParseError.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from p2pool.base.errors import ParseError
from p2pool.jobs.job import Job
from p2pool.jobs.job_records import restore_jobs
from p2pool.stratum.handover_records import (
    ConnectionRecord,
    HostRecord,
    IssuedRecord,
    MinerRecord,
    MinersRecord,
    SentRecord,
    SolutionsRecord,
    VardiffFields,
    write_fields,
)
from p2pool.stratum.handshake import Handshake
from p2pool.stratum.job_registry import IssuedJob
from p2pool.stratum.miner_state import MAX_JOBS, MinerState, SentJob
from p2pool.stratum.reputation import HostReputation
from p2pool.stratum.session import Session
from p2pool.stratum.session_context import SessionContext
from p2pool.stratum.solutions import Solutions
from p2pool.stratum.vardiff import Vardiff

MAX_SESSION_ID = 64


class RestoreSession(Protocol):
    """Restores the session of one connection; called once."""

    def __call__(self, *, now: float) -> Session:
        """Return the session. Raises ParseError."""


class Handover:
    """The sessions of an earlier process, which are restored one by one."""

    def __init__(self, restores: Sequence[tuple[ConnectionRecord, RestoreSession]]) -> None:
        self.connections = restores
        """(record, what restores its session) for each connection, in the order of their sockets."""


def restore_shared(context: SessionContext, record: MinersRecord) -> Handover:
    """Restore jobs, saved sessions, hosts and difficulties. Return what restores the sessions of connections.
    `context` is that of a server without sessions. Raises ParseError."""
    if context.settings.version_mask != record.version_mask:
        context.settings = replace(context.settings, version_mask=record.version_mask)
    write_fields(replace(record.registry, ended=dict(record.registry.ended)), context.registry)
    jobs = restore_jobs(record.jobs, context.settings.network)
    if len(jobs) != len(record.issued):
        raise ParseError(f"{len(jobs)} jobs, and {len(record.issued)} that were issued")
    issued = [_issued(each, job) for each, job in zip(record.issued, jobs, strict=True)]
    sent = [_sent(each, issued) for each in record.sent]
    for host in record.hosts:
        context.guard.restore_host(_host(host))
    for known in record.recent_difficulties:
        context.recent_difficulties.record([known.name], known.difficulty, site=known.site, now=known.when)
    for saved in record.saved:
        state = _state(saved.state, sent)
        _hold(context, state, saved.site)
        context.sessions.restore_saved(state, expires=saved.expires, site=saved.site)
    for each in sent:
        if each.solutions is not None:
            context.solutions.restore(each.solutions)
    states = [(each, _state(each.state, sent)) for each in record.connections]
    return Handover([(each, partial(_restore_session, context, each, state=state)) for each, state in states])


def _issued(record: IssuedRecord, job: Job) -> IssuedJob:
    return IssuedJob(
        record.job_id,
        job,
        request=record.request,
        generation=record.generation,
        variant=record.variant,
    )


def _sent(record: SentRecord, issued: Sequence[IssuedJob]) -> SentJob:
    if not 0 <= record.issued < len(issued):
        raise ParseError(f"issued job {record.issued} of {len(issued)}")
    if not (0 < record.difficulty < math.inf):
        raise ParseError(f"difficulty {record.difficulty}")
    if len(record.extranonce1) != 4:
        raise ParseError(f"an extranonce1 of {len(record.extranonce1)} bytes")
    job = issued[record.issued]
    sent = SentJob(job, difficulty=record.difficulty, extranonce1=record.extranonce1)
    if record.solutions is not None:
        sent.solutions = _solutions(job, record.solutions)
    return sent


def _solutions(issued: IssuedJob, record: SolutionsRecord) -> Solutions:
    solutions = Solutions(issued, record.site)
    for key in {*record.keys, *record.used}:
        solutions.add(key, used=key in record.used)
    solutions.chunks = 0
    if record.spent:
        solutions.spend()
    return solutions


def _state(record: MinerRecord, sent: Sequence[SentJob]) -> MinerState:
    """Return a miner's state. Raises ParseError."""
    if len(record.extranonce1) != 4 or not 0 < len(record.session_id) <= MAX_SESSION_ID:
        raise ParseError("a session without a usable id or extranonce1")
    if len(record.jobs) > MAX_JOBS or not all(0 <= place < len(sent) for place in record.jobs):
        raise ParseError("a session with jobs that are not there")
    if record.newest is not None and record.newest not in record.jobs:
        raise ParseError("a session whose newest job is not among its jobs")
    state = MinerState(record.session_id, record.extranonce1, _vardiff_of(record.vardiff))
    state.share_rate = record.share_rate
    state.requested_mask = record.requested_mask
    state.extranonce_changes = record.extranonce_changes
    state.knows_ping = record.knows_ping
    state.jobs = {sent[place].issued.job_id: sent[place] for place in record.jobs}
    state.newest = None if record.newest is None else sent[record.newest]
    return state


def _vardiff_of(record: VardiffFields) -> Vardiff:
    if not (0 < record.difficulty < math.inf and 0 < record.seconds < math.inf):
        raise ParseError(f"difficulty {record.difficulty}, one submission in {record.seconds} s")
    vardiff = Vardiff(start=1.0, minimum=1.0, maximum=1.0, seconds=record.seconds)
    write_fields(record, vardiff)
    return vardiff


def _hold(context: SessionContext, state: MinerState, site: str) -> None:
    for sent in state.jobs.values():
        context.registry.restore(sent.issued, (site,))


def _host(record: HostRecord) -> HostReputation:
    host = HostReputation(record.plain.key, record.plain.admitted_at)
    write_fields(record.plain, host)
    write_fields(record.cost, host.cost)
    for peak, fields in zip(host.peaks, (record.working_peak, record.good_peak), strict=True):
        write_fields(fields, peak)
    host.refused_logins.update(record.refused_logins)
    return host


def _restore_session(
    context: SessionContext, record: ConnectionRecord, *, state: MinerState, now: float
) -> Session:
    """Return the session of a connection. Raises ParseError."""
    try:
        handshake = Handshake[record.handshake]
    except KeyError:
        raise ParseError(f"handshake {record.handshake!r}") from None
    reputation = context.guard.connected(record.host, now)
    write_fields(record.reputation, reputation)
    write_fields(record.cost, reputation.cost)
    context.guard.restored(reputation)
    session = Session(context, reputation, now)
    context.sessions.restore_live(session, state)
    write_fields(record.plain, session)
    write_fields(record.software, session.software)
    write_fields(record.feed, session.feed)
    session.handshake = handshake
    session.payee = record.payee
    session.workers.update(record.workers)
    session.remember(record.awaited, record.earners, record.refused)
    _hold(context, state, reputation.site)
    software = str(session.software)
    for username in session.workers.values():
        context.stats.record_worker_on(username.name, difficulty=state.difficulty, now=now, site=reputation.site)
        context.stats.record_software(username.name, software)
    return session
