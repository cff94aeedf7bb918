"""What every version of the program can hand over to every other one: sessions that miners resume.

Its form must not change: then a process of another version, which cannot read the rest of the state, still has the
sessions of the miners, who are asked to reconnect.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from p2pool.jobs.job_records import JobRecords
from p2pool.networks.parameters import Network
from p2pool.stratum.handover_records import (
    MinerRecord,
    MinersRecord,
    RegistryFields,
    SavedRecord,
    VardiffFields,
    read_fields,
)
from p2pool.stratum.vardiff import Vardiff


@dataclass(frozen=True, slots=True)
class BasicSession:
    """A session that can be resumed until `expires`, without its jobs."""

    session_id: str
    extranonce1: bytes
    difficulty: float
    minimum: float
    maximum: float
    fixed: bool
    share_rate: float
    requested_mask: int | None
    extranonce_changes: bool
    knows_ping: bool
    expires: float
    site: str


def basic_sessions(record: MinersRecord) -> tuple[BasicSession, ...]:
    """Return the saved sessions of a record in the form that every version reads."""
    return tuple(
        [
            BasicSession(
                session_id=saved.state.session_id,
                extranonce1=saved.state.extranonce1,
                difficulty=saved.state.vardiff.difficulty,
                minimum=saved.state.vardiff.minimum,
                maximum=saved.state.vardiff.maximum,
                fixed=saved.state.vardiff.fixed,
                share_rate=saved.state.share_rate,
                requested_mask=saved.state.requested_mask,
                extranonce_changes=saved.state.extranonce_changes,
                knows_ping=saved.state.knows_ping,
                expires=saved.expires,
                site=saved.site,
            )
            for saved in record.saved
        ]
    )


def saved_miners(
    sessions: Iterable[BasicSession], *, network: Network, version_mask: int, counter: int
) -> MinersRecord:
    """Return a record with nothing but saved sessions. `counter` is the number of the last job, so that no id is
    given twice."""
    return MinersRecord(
        version_mask=version_mask,
        registry=RegistryFields(0, 0, counter, None, {}),
        jobs=JobRecords(network.name, (), (), ()),
        issued=(),
        sent=(),
        hosts=(),
        connections=(),
        saved=tuple([SavedRecord(_state(session), session.expires, session.site) for session in sessions]),
        recent_difficulties=(),
    )


def _state(session: BasicSession) -> MinerRecord:
    vardiff = Vardiff(start=1.0, minimum=session.minimum, maximum=session.maximum, seconds=session.share_rate)
    vardiff.set(session.difficulty, fixed=session.fixed)
    return MinerRecord(
        session_id=session.session_id,
        extranonce1=session.extranonce1,
        vardiff=read_fields(VardiffFields, vardiff),
        share_rate=session.share_rate,
        requested_mask=session.requested_mask,
        extranonce_changes=session.extranonce_changes,
        knows_ping=session.knows_ping,
        jobs=(),
        newest=None,
    )
