"""Submissions that come in one turn of the reactor, hashed together.

X11 takes about half as long for each of four headers that are hashed side by side. Nothing waits for a batch to
fill: it is judged at the end of the turn that began it, or when it is full. With a reactor that cannot tell when a
turn ends, only the submissions of one connection that came together are a batch.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from twisted.logger import Logger

from p2pool.dash.pow import x11_digest, x11_digests
from p2pool.net.lean_reactor import AfterEvents
from p2pool.stratum.errors import StratumError
from p2pool.stratum.messages import answer_line
from p2pool.stratum.session import Session
from p2pool.stratum.submission import PreparedSubmission

BATCH: Final = 16
"""Submissions that are judged together: the first waits until the others are read, 10 microseconds for each."""
_SIDE_BY_SIDE: Final = 4
"""Headers from which on hashing them together is faster than one after the other."""
_log = Logger(namespace="p2pool.stratum")


class Refuse(Protocol):
    """Account for a rejected submission."""

    def __call__(self, session: Session, params: Any, error: StratumError, *, now: float) -> None:
        """Account for a submission of a session with these parameters, rejected with an error."""


class Connection(Protocol):
    """The connection of a session whose submissions wait."""

    def finish(self, session: Session, now: float) -> None:
        """Send the answers to the lines that came together."""

    def abort(self) -> None:
        """End the connection at once."""


WaitingSubmission = tuple[Session, Any, list[Any], PreparedSubmission, float]
"""A submission in a batch: its session, the id and the parameters of its request, what is to be hashed, and when
it was read."""


class SubmissionBatch:
    """The submissions of the present turn. Bound: BATCH submissions; a connection for each of the turn's events.

    Shares and blocks are judged, and so reported, before all others; answers are in the order of the requests.
    """

    __slots__ = ("_after_events", "_connections", "_is_scheduled", "_refuse", "_waiting")

    def __init__(self, refuse: Refuse, after_events: AfterEvents | None = None) -> None:
        self._refuse = refuse
        self._after_events = after_events
        self._is_scheduled = False
        self._waiting: list[WaitingSubmission] = []
        self._connections: list[tuple[Connection, Session, float]] = []
        """Connections whose lines are all read, and when they were; their answers are sent next."""

    def add(self, waiting: WaitingSubmission) -> None:
        """Add a submission to the batch, which is judged if it is full."""
        self._waiting.append(waiting)
        waiting[0].waiting += 1
        if len(self._waiting) >= BATCH:
            self.judge()

    def finish_later(self, connection: Connection, session: Session, now: float) -> None:
        """Send the answers of a connection, whose lines are all read, when its submissions are judged."""
        self._connections.append((connection, session, now))
        if self._after_events is None:
            self.judge()
        elif not self._is_scheduled:
            self._is_scheduled = True
            self._after_events(self._turn_ended)

    def _turn_ended(self) -> None:
        self._is_scheduled = False
        self.judge()

    def judge(self) -> None:
        """Hash and judge all submissions that wait, and send the answers."""
        waiting, self._waiting = self._waiting, []
        connections, self._connections = self._connections, []
        solutions = _hash_all(waiting)
        solved = {id(each): self._answer(each) for each in solutions} if solutions else None
        for each in waiting:
            session = each[0]
            session.waiting = 0
            answer = None if solved is None else solved.get(id(each))
            session.send(self._answer(each) if answer is None else answer, each[4])
        for connection, session, now in connections:
            try:
                connection.finish(session, now)
            except Exception:
                _log.failure("internal error while answering a miner; its connection is closed")
                connection.abort()

    def _answer(self, waiting: WaitingSubmission) -> bytes:
        """Judge a submission. Return the line that answers it; because of a bug, none, and the connection ends."""
        session, request_id, params, prepared, now = waiting
        try:
            return answer_line(request_id, session.judge(prepared, now), None)
        except StratumError as error:
            self._refuse(session, params, error, now=now)
            return answer_line(request_id, None, error)
        except Exception:
            _log.failure("internal error while judging a submission of {name}", name=session.name)
            session.closing = session.closing or "internal error"
            return b""


def _hash_all(waiting: list[WaitingSubmission]) -> list[WaitingSubmission]:
    """Set what is found by the headers of submissions. Return those that solve something."""
    headers = [each[3].header for each in waiting]
    digests = x11_digests(headers) if len(headers) >= _SIDE_BY_SIDE else map(x11_digest, headers)
    solutions = []
    for each, digest in zip(waiting, digests, strict=True):
        prepared = each[3]
        prepared.found = found = int.from_bytes(digest, "little")
        job = prepared.job
        if found <= job.share_target or found <= job.block_target or found <= job.aux_target:
            solutions.append(each)
    return solutions
