"""What one process hands over to the next about its miners, as records.

A change here is another form of the state, which earlier versions of the program do not read. Records whose names
end in `Fields` have the fields of the object that they stand for, without the underscore of private ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from p2pool.jobs.job_records import JobRecords
from p2pool.stratum.username import Username

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class VardiffFields:
    """The state of a Vardiff."""

    difficulty: float
    fixed: bool
    minimum: float
    maximum: float
    seconds: float
    falls: int
    fast_time: float
    fast_work: float
    gap: float
    heard: bool
    last: float | None
    patience: float
    searched: float | None
    silence: float
    slow_time: float
    slow_work: float
    start: float


@dataclass(frozen=True, slots=True)
class DecayingFields:
    """The state of a Decaying; its half-life follows from its place."""

    value: float
    updated: float


@dataclass(frozen=True, slots=True)
class IssuedRecord:
    """An issued job; its Job is at the same place of the job records."""

    job_id: str
    request: tuple[bytes, float | None]
    generation: int
    variant: int


@dataclass(frozen=True, slots=True)
class SolutionsRecord:
    """The accepted solutions of a sent job."""

    site: str
    spent: bool
    keys: tuple[bytes, ...]
    used: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class SentRecord:
    """A job as it was sent: `issued` is its place in the table of issued jobs."""

    issued: int
    difficulty: float
    extranonce1: bytes
    solutions: SolutionsRecord | None


@dataclass(frozen=True, slots=True)
class MinerRecord:
    """The state of a miner; `jobs` and `newest` are places in the table of sent jobs."""

    session_id: str
    extranonce1: bytes
    vardiff: VardiffFields
    share_rate: float
    requested_mask: int | None
    extranonce_changes: bool
    knows_ping: bool
    jobs: tuple[int, ...]
    newest: int | None


@dataclass(frozen=True, slots=True)
class SavedRecord:
    """A state that a miner may resume until `expires`."""

    state: MinerRecord
    expires: float
    site: str


@dataclass(frozen=True, slots=True)
class ReputationFields:
    """The reputation of a connection."""

    connected_at: float
    authorized_at: float | None
    accepted: bool
    excused: bool
    login_refused: str | None
    submissions: int
    refused: int


@dataclass(frozen=True, slots=True)
class HostFields:
    """The reputation of a host, without its connections."""

    key: str
    submissions: int
    refused: int
    carried: int
    carried_refused: int
    limited_until: float
    admissions: float
    admitted_at: float


@dataclass(frozen=True, slots=True)
class HostRecord:
    """A host with its costs and the refused logins that it is remembered for."""

    plain: HostFields
    cost: DecayingFields
    working_peak: DecayingFields
    good_peak: DecayingFields
    refused_logins: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class SessionFields:
    """The fields of a Session that are plain values."""

    connected: float
    resumed: bool
    version_mask: int | None
    earning: bool
    restart_due: bool
    change_due: bool
    mask_due: bool
    version_due: bool
    takeovers: int
    is_taken_over: bool
    last_sent: float
    last_heard: float
    former_mask: int
    former_mask_until: float


@dataclass(frozen=True, slots=True)
class SoftwareFields:
    """What a miner reported about its software."""

    user_agent: str
    reported: str


@dataclass(frozen=True, slots=True)
class FeedFields:
    """What was last sent to a miner: its difficulty and extranonce1."""

    difficulty: float | None
    extranonce1: bytes


@dataclass(frozen=True, slots=True)
class ConnectionRecord:
    """A connection: `unread` is the beginning of a line, `unsent` what the kernel has not taken yet."""

    host: str
    unread: bytes
    unsent: bytes
    handshake: str
    plain: SessionFields
    state: MinerRecord
    software: SoftwareFields
    feed: FeedFields
    workers: Mapping[str, Username]
    payee: Username | None
    awaited: Mapping[int, float]
    earners: tuple[str, ...]
    refused: tuple[int, ...]
    reputation: ReputationFields
    cost: DecayingFields


@dataclass(frozen=True, slots=True)
class RegistryFields:
    """The state of a JobRegistry without its jobs; `ended` are replaced previous blocks."""

    generation: int
    clean_generation: int
    counter: int
    previous_block: int | None
    ended: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class DifficultyRecord:
    """A worker that is known to be fast."""

    name: str
    difficulty: float
    when: float
    site: str


@dataclass(frozen=True, slots=True)
class MinersRecord:
    """Everything about all miners of a process."""

    version_mask: int
    registry: RegistryFields
    jobs: JobRecords
    issued: tuple[IssuedRecord, ...]
    sent: tuple[SentRecord, ...]
    hosts: tuple[HostRecord, ...]
    connections: tuple[ConnectionRecord, ...]
    saved: tuple[SavedRecord, ...]
    recent_difficulties: tuple[DifficultyRecord, ...]


def read_fields(kind: type[T], source: Any) -> T:
    """Return a record of an object's fields."""
    return kind(*[getattr(source, name) for _, name in _names(kind, source)])


def write_fields(record: Any, target: Any) -> None:
    """Set an object's fields to those of a record."""
    for name, own in _names(type(record), target):
        setattr(target, own, getattr(record, name))


_known_names: dict[tuple[Any, type], tuple[tuple[str, str], ...]] = {}
"""Bound: pairs of classes in this program."""


def _names(kind: Any, owner: Any) -> tuple[tuple[str, str], ...]:
    """Return the names of a record's fields, each with that of an object's field, which is private if there is a
    private one."""
    known = _known_names.get((kind, type(owner)))
    if known is None:
        names = [each.name for each in fields(kind)]
        known = tuple([(name, f"_{name}" if hasattr(owner, f"_{name}") else name) for name in names])
        _known_names[kind, type(owner)] = known
    return known
