"""From a miner's line to the method that it calls, and to the answer.

`protocol` feeds lines; `methods` has one small function a method, and the tables that say which methods there are
and what must precede them.
"""

from __future__ import annotations

from typing import Any

from p2pool.net.lean_reactor import AfterEvents
from p2pool.stratum.errors import ErrorCode, StratumError
from p2pool.stratum.handshake import Handshake
from p2pool.stratum.messages import answer_line
from p2pool.stratum.methods import METHODS, NEEDS_SUBSCRIBE
from p2pool.stratum.reputation import Offence
from p2pool.stratum.requests import BadLine, parse_line
from p2pool.stratum.session import Session
from p2pool.stratum.submission_batch import Connection, SubmissionBatch

_SUBMIT = "mining.submit"
_SUBSCRIBED, _WORKING = Handshake.SUBSCRIBED, Handshake.WORKING


class Dispatcher:
    """Reads lines, calls methods of sessions, and adds the answers to their output.

    `in_batches` if submissions may wait for others that come in the same turn of the reactor, to be hashed with
    them; `judge_waiting` or `finish_later` is to be called for a session with `waiting` submissions. Else they are
    judged when their line is received.
    """

    __slots__ = ("_batch",)

    def __init__(self, *, in_batches: bool = False, after_events: AfterEvents | None = None) -> None:
        self._batch = SubmissionBatch(_refused, after_events) if in_batches else None

    def receive_line(self, session: Session, line: bytes, now: float) -> None:
        """Handle one line, whatever a miner sends. `Session.finish_input` is to follow. Raises only AnswerLater:
        then nothing was answered, and the same line is to be handled again later, before those after it."""
        if not line.strip():
            return
        session.heard(now)
        try:
            message, error = parse_line(line)
        except BadLine as bad:
            self.judge_waiting(session)
            self._reject_line(session, str(bad), fatal=bad.fatal, now=now)
            return
        method = message.get("method")
        if method == _SUBMIT and self._batch is not None and error is None:
            if self._submit_later(session, message, batch=self._batch, now=now):
                return
        elif session.waiting:
            self.judge_waiting(session)
        if not isinstance(method, str):
            if "method" in message or not ("result" in message or "error" in message):
                self._reject_line(session, "a request without a method", fatal=True, now=now)
            else:  # JSON-RPC 2.0 has either a result or an error
                session.receive_answer(message.get("id"), message.get("result"))
            return
        result, error = self._call(session, message, error, now=now)
        session.send(answer_line(message.get("id"), result, error), now)

    def _submit_later(
        self, session: Session, message: dict[str, Any], *, batch: SubmissionBatch, now: float
    ) -> bool:
        """Add a submission to the batch. Return False if it must be answered without one: then nothing waits."""
        params = message.get("params")
        handshake = session.handshake
        if isinstance(params, list) and (handshake is _WORKING or handshake is _SUBSCRIBED):
            try:
                prepared = session.prepare(params, now)
            except StratumError as error:
                session.submissions += 1
                self.judge_waiting(session)
                _refused(session, params, error, now=now)
                session.send(answer_line(message.get("id"), None, error), now)
                return True
            session.submissions += 1
            batch.add((session, message.get("id"), params, prepared, now))
            return True
        self.judge_waiting(session)
        return False

    def judge_waiting(self, session: Session) -> None:
        """Judge and answer the submissions of a session that wait in the batch, if there are any."""
        if session.waiting and self._batch is not None:
            self._batch.judge()

    def judge_all(self) -> None:
        """Judge and answer all submissions that wait."""
        if self._batch is not None:
            self._batch.judge()

    def finish_later(self, connection: Connection, session: Session, now: float) -> None:
        """Finish the input of a connection once its submissions that wait are judged."""
        if self._batch is not None:
            self._batch.finish_later(connection, session, now)

    def judge_line(self, session: Session, line: bytes, now: float) -> None:
        """Judge the submission in a line that came after the connection was closed. Nothing is answered."""
        try:
            message, error = parse_line(line)
        except BadLine:
            return
        if message.get("method") == _SUBMIT:
            self._call(session, message, error, now=now)

    def _call(
        self, session: Session, message: dict[str, Any], line_error: StratumError | None, *, now: float
    ) -> tuple[Any, StratumError | None]:
        """Return (result, error) of a request; `line_error` is what was wrong with the line that it came in."""
        method, params = message["method"], message.get("params")
        is_submit = method == _SUBMIT
        session.submissions += is_submit
        try:
            if line_error is not None and not is_submit:
                raise line_error
            handler = METHODS.get(method)
            if handler is None:
                raise StratumError(ErrorCode.OTHER, f"unknown method {method[:60]}")
            if params is None:
                params = []
            if not isinstance(params, list):
                raise StratumError(ErrorCode.OTHER, "params is not a list")
            handshake = session.handshake
            if handshake is not _WORKING and handshake is not _SUBSCRIBED and method in NEEDS_SUBSCRIBE:
                raise StratumError(ErrorCode.NOT_SUBSCRIBED, "not subscribed")
            if line_error is not None:
                return session.submit(params, now, line_error), None
            return handler(session, params, now), None
        except StratumError as raised:
            context, error = session.context, line_error or raised
            if is_submit:
                _refused(session, params, error, now=now)
            elif method == "mining.authorize" and error.is_offence:
                given = params[0] if isinstance(params, list) and params else None
                context.guard.login_refused(session.reputation, given, now)
            return None, error

    def _reject_line(self, session: Session, reason: str, *, fatal: bool, now: float) -> None:
        """Answer a line that is not a request, and charge its sender; if `fatal`, close the connection."""
        session.send(answer_line(None, None, StratumError(ErrorCode.OTHER, reason)), now)
        if fatal:
            session.close_for_malformed(reason, now)
        else:
            session.context.guard.offence(session.reputation, Offence.MALFORMED, now)


def _refused(session: Session, params: Any, error: StratumError, *, now: float) -> None:
    """Account for a submission that is rejected."""
    context = session.context
    context.stats.record_refused(submitter(session, params), int(error.code), now)
    context.guard.submission(session.reputation, True, now)


def submitter(session: Session, params: Any) -> str | None:
    """Return the name of the worker whose submission has these parameters, as far as it is known."""
    given = params[0] if isinstance(params, list) and params else None
    worker = session.workers.get(given) if isinstance(given, str) else None
    worker = worker or session.payee
    return None if worker is None else worker.name
