"""All miners of a server as a record for the process that takes over."""

from __future__ import annotations

from collections.abc import Iterable

from p2pool.jobs.job import Job
from p2pool.jobs.job_records import record_jobs
from p2pool.stratum.handover_records import (
    ConnectionRecord,
    DecayingFields,
    DifficultyRecord,
    FeedFields,
    HostFields,
    HostRecord,
    IssuedRecord,
    MinerRecord,
    MinersRecord,
    RegistryFields,
    ReputationFields,
    SavedRecord,
    SentRecord,
    SessionFields,
    SoftwareFields,
    SolutionsRecord,
    VardiffFields,
    read_fields,
)
from p2pool.stratum.job_registry import IssuedJob
from p2pool.stratum.miner_state import MinerState, SentJob
from p2pool.stratum.reputation import HostReputation
from p2pool.stratum.session import Session
from p2pool.stratum.session_context import SessionContext
from p2pool.stratum.solutions import Solutions

OpenConnection = tuple[Session, str, bytes, bytes]
"""A session, the host of its connection, and its unread and unsent bytes."""


def export_miners(context: SessionContext, connections: Iterable[OpenConnection], now: float) -> MinersRecord:
    """Return everything about these connections, and about the saved sessions and hosts of their server."""
    tables = _Tables(context, now)
    open_records = tuple([_connection(tables, connection) for connection in connections])
    saved = tuple(
        [
            SavedRecord(tables.miner(state), expires, site)
            for state, expires, site in context.sessions.saved()
            if now < expires
        ]
    )
    return MinersRecord(
        version_mask=context.settings.version_mask,
        registry=read_fields(RegistryFields, context.registry),
        jobs=record_jobs(context.settings.network, tables.jobs),
        issued=tuple(tables.issued),
        sent=tuple(tables.sent),
        hosts=tuple([_host(host) for host in context.guard.hosts()]),
        connections=open_records,
        saved=saved,
        recent_difficulties=tuple([DifficultyRecord(*known) for known in context.recent_difficulties.known()]),
    )


class _Tables:
    """The jobs that the exported sessions may still answer, each recorded once."""

    def __init__(self, context: SessionContext, now: float) -> None:
        self._registry = context.registry
        self._now = now
        self.jobs: list[Job] = []
        self.issued: list[IssuedRecord] = []
        self.sent: list[SentRecord] = []
        self._issued_places: dict[IssuedJob, int] = {}
        self._sent_places: dict[SentJob, int] = {}

    def miner(self, state: MinerState) -> MinerRecord:
        """Return the record of a miner's state, without jobs that are no longer valid."""
        places = {id(sent): place for sent in state.jobs.values() if (place := self._sent_place(sent)) is not None}
        return MinerRecord(
            session_id=state.session_id,
            extranonce1=state.extranonce1,
            vardiff=read_fields(VardiffFields, state.vardiff),
            share_rate=state.share_rate,
            requested_mask=state.requested_mask,
            extranonce_changes=state.extranonce_changes,
            knows_ping=state.knows_ping,
            jobs=tuple(places.values()),
            newest=None if state.newest is None else places.get(id(state.newest)),
        )

    def _sent_place(self, sent: SentJob) -> int | None:
        place = self._sent_places.get(sent)
        if place is not None:
            return place
        issued = self._issued_place(sent.issued)
        if issued is None:
            return None
        place = self._sent_places[sent] = len(self.sent)
        self.sent.append(SentRecord(issued, sent.difficulty, sent.extranonce1, _solutions(sent.solutions)))
        return place

    def _issued_place(self, issued: IssuedJob) -> int | None:
        place = self._issued_places.get(issued)
        if place is not None:
            return place
        job = self._registry.judged_by(issued, self._now)
        if job is None:
            return None
        place = self._issued_places[issued] = len(self.issued)
        self.jobs.append(job)
        self.issued.append(IssuedRecord(issued.job_id, issued.request, issued.generation, issued.variant))
        return place


def _solutions(solutions: Solutions | None) -> SolutionsRecord | None:
    if solutions is None:
        return None
    keys, used = solutions.keys()
    return SolutionsRecord(solutions.site, solutions.spent, tuple(sorted(keys)), tuple(sorted(used)))


def _connection(tables: _Tables, connection: OpenConnection) -> ConnectionRecord:
    session, host, unread, unsent = connection
    reputation = session.reputation
    return ConnectionRecord(
        host=host,
        unread=unread,
        unsent=unsent,
        handshake=session.handshake.name,
        plain=read_fields(SessionFields, session),
        state=tables.miner(session.state),
        software=read_fields(SoftwareFields, session.software),
        feed=read_fields(FeedFields, session.feed),
        workers=dict(session.workers),
        payee=session.payee,
        **session.remembered(),
        reputation=read_fields(ReputationFields, reputation),
        cost=read_fields(DecayingFields, reputation.cost),
    )


def _host(host: HostReputation) -> HostRecord:
    return HostRecord(
        read_fields(HostFields, host),
        cost=read_fields(DecayingFields, host.cost),
        working_peak=read_fields(DecayingFields, host.peaks[0]),
        good_peak=read_fields(DecayingFields, host.peaks[1]),
        refused_logins=dict(host.refused_logins),
    )
