"""The miner's side of stratum as a pure object: bytes and `now` in, bytes and events out.

`miner.CpuMiner` feeds it from a socket and gives the `Work` of its events to the threads of `miner_threads`.
The protocol: docs on stratum, "Stratum, as miners of Dash speak it".
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson

from p2pool.base.bounded import BoundedDict, BoundedSet
from p2pool.base.errors import ParseError
from p2pool.base.text import printable
from p2pool.dash.target import difficulty_to_target
from p2pool.simnet.miner_events import (
    Authorized,
    Event,
    HandshakeRefused,
    MessageShown,
    ReconnectRequested,
    ServerFault,
    ShareAccepted,
    ShareRefused,
    Subscribed,
    WorkChanged,
)
from p2pool.simnet.miner_work import FoundShare, MiningJob, Work, parse_extranonces, parse_hex, parse_notify

MAX_LINE = 65536
"""Bytes of one line from the server: some times the largest notify (a coinbase with hundreds of payouts)."""
MAX_UNANSWERED = 512
"""Submissions whose answer is awaited; a server that falls behind further gets no more of them."""
MAX_MALFORMED = 10
"""Malformed lines on one connection before it is given up: each costs a log line."""
MIN_DIFFICULTY, MAX_DIFFICULTY = 1e-12, 1e30
"""Below the first every hash is a share, above the second none is: neither is meant by a sane server."""

OTHER_ERROR = 20


def _session_id(subscriptions: object) -> str | None:
    """Return the id that the server gives with mining.notify, or None."""
    if not isinstance(subscriptions, list):
        return None
    for entry in subscriptions[:8]:
        match entry:
            case ["mining.notify", str(session_id)] if len(session_id) <= 128 and session_id.isascii():
                return session_id
    return None


def _refusal(error: object) -> tuple[int, str]:
    """Return code and text of the `error` of an answer, whichever of the usual forms it has."""
    match error:
        case [int(code), str(text), *_] | {"code": int(code), "message": str(text)}:
            return code, printable(text, 200)
        case str(text):
            return OTHER_ERROR, printable(text, 200)
    return OTHER_ERROR, ""


@dataclass(frozen=True, slots=True)
class _Submission:
    share: FoundShare
    sent_at: float


_Pending = str | _Submission  # what this request was: its method, or the submission


class MinerSession:
    """One connection's conversation. `previous_session` asks the server to resume that session."""

    def __init__(
        self,
        username: str,
        password: str = "x",
        *,
        user_agent: str = "p2pool-simnet-miner/1.0",
        previous_session: str | None = None,
    ) -> None:
        self.username = username
        self.user_agent = user_agent
        self.authorized = False
        self.difficulty = 1.0
        self.version_mask: int | None = None
        self._password = password
        self._previous_session = previous_session
        self._buffer = bytearray()
        self._next_id = 1
        # Bound: submissions by MAX_UNANSWERED, and three requests of the handshake.
        self._pending: BoundedDict[int, _Pending] = BoundedDict(MAX_UNANSWERED + 3)
        self._extranonce: tuple[bytes, int] | None = None
        self._issued: BoundedSet[bytes] = BoundedSet(64)  # extranonce1 values seen; servers send one or two
        self._job: MiningJob | None = None
        self._work: Work | None = None
        self._malformed = 0
        self._closed = False

    # --- what the owner calls -------------------------------------------------------------------------

    def connected(self) -> bytes:
        """Return what to send first on a new connection."""
        return self._request("mining.subscribe", [self.user_agent, self._previous_session])

    def receive(self, data: bytes, now: float) -> tuple[bytes, list[Event]]:
        """Take bytes from the server; the bytes to send and what happened. After a fatal fault: nothing."""
        output: list[bytes] = []
        events: list[Event] = []
        if self._closed:
            return b"", events
        self._buffer += data
        *lines, rest = self._buffer.split(b"\n")
        self._buffer = rest
        for line in (*lines, rest):
            if len(line) > MAX_LINE:
                events.append(self._give_up(f"a line of more than {MAX_LINE} bytes"))
            elif line is not rest and line.strip():
                self._line(bytes(line), now, output=output, events=events)
            if self._gave_up():
                break
        return b"".join(output), events

    def submit(self, share: FoundShare, now: float) -> bytes:
        """Return the request that submits `share`; nothing if it cannot be: not authorized, another connection's
        extranonce1, or MAX_UNANSWERED submissions on their way."""
        if not self.authorized or self._closed or len(self._pending) >= MAX_UNANSWERED:
            return b""
        if share.work.extranonce1 not in self._issued:
            return b""
        job = share.work.job
        extranonce2, timestamp, nonce = share.extranonce2.hex(), f"{job.timestamp:08x}", f"{share.nonce:08x}"
        params = [self.username, job.job_id, extranonce2, timestamp, nonce]
        return self._request("mining.submit", params, _Submission(share, now))

    def unanswered_for(self, now: float) -> float:
        """Return the seconds that the oldest submission has been waiting for its answer."""
        for pending in self._pending.values():
            if isinstance(pending, _Submission):
                return now - pending.sent_at
        return 0.0

    # --- lines ----------------------------------------------------------------------------------------

    def _request(self, method: str, params: Sequence[str | None], pending: _Pending | None = None) -> bytes:
        request_id = self._next_id
        self._next_id += 1
        self._pending[request_id] = pending or method
        return _line_of({"id": request_id, "method": method, "params": list(params)})

    def _gave_up(self) -> bool:
        return self._closed

    def _give_up(self, text: str) -> ServerFault:
        self._closed = True
        self._buffer.clear()
        return ServerFault(text, fatal=True)

    def _line(self, line: bytes, now: float, *, output: list[bytes], events: list[Event]) -> None:
        try:
            try:
                message = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise ParseError(f"not JSON: {printable(str(error))}") from None
            if not isinstance(message, dict):
                raise ParseError("not a JSON object")
            if "method" in message:
                self._method(message, output, events)
            else:
                self._answer(message, now, output=output, events=events)
        except ParseError as error:
            self._malformed += 1
            text = f"{error}: {printable(line.decode('latin-1'))}"
            events.append(self._give_up(text) if self._malformed >= MAX_MALFORMED else ServerFault(text))

    def _method(self, message: dict[str, object], output: list[bytes], events: list[Event]) -> None:
        method, params, request_id = message["method"], message.get("params"), message.get("id")
        if not isinstance(method, str):
            raise ParseError("the method is not text")
        if params is None:
            params = []
        if not isinstance(params, list):
            raise ParseError("the parameters are not a list")
        if request_id is not None and (not isinstance(request_id, int | str) or len(str(request_id)) > 64):
            raise ParseError("the id is neither a number nor a short text")
        notification = _NOTIFICATIONS.get(method)
        if notification is not None:
            notification(self, params, events)
            return
        if request_id is None:
            return  # an unknown notification, or a question that nobody waits for the answer of
        answer = _QUESTIONS.get(method)
        if answer is not None:
            output.append(_line_of({"id": request_id, "result": answer(self), "error": None}))
            return
        error = [OTHER_ERROR, f"unknown method {printable(method)}", None]
        output.append(_line_of({"id": request_id, "result": None, "error": error}))

    # --- answers to requests ----------------------------------------------------------------------

    def _answer(self, message: dict[str, object], now: float, *, output: list[bytes], events: list[Event]) -> None:
        request_id = message.get("id")
        pending = self._pending.pop(request_id, None) if type(request_id) is int else None
        if pending is None:
            raise ParseError("an answer to nothing that was asked")
        result, error = message.get("result"), message.get("error")
        if isinstance(pending, _Submission):
            if error is None and result is True:
                events.append(ShareAccepted(pending.share, now - pending.sent_at))
            else:
                events.append(ShareRefused(pending.share, *_refusal(error)))
            return
        handler = _ANSWERS.get(pending)
        if handler is None:
            return  # whatever it says, nothing depends on it
        if error is not None or result in (None, False):
            self._closed = True
            events.append(HandshakeRefused(pending, *_refusal(error)))
            return
        handler(self, result, output, events)

    def _subscribe_answered(self, result: object, output: list[bytes], events: list[Event]) -> None:
        if not isinstance(result, list) or len(result) < 3:
            raise ParseError("the answer to mining.subscribe is not a list of three")
        self._extranonce = parse_extranonces(result[1], result[2])
        events.append(Subscribed(_session_id(result[0])))
        output.append(self._request("mining.authorize", [self.username, self._password]))

    def _authorize_answered(self, result: object, output: list[bytes], events: list[Event]) -> None:
        if result is not True:
            raise ParseError("the answer to mining.authorize is not true")
        self.authorized = True
        events.append(Authorized())
        output.append(self._request("mining.extranonce.subscribe", []))
        if self._work is not None:
            events.append(WorkChanged(self._work))

    # --- what the server sends on its own -------------------------------------------------------------

    def _set_difficulty(self, params: list[object], events: list[Event]) -> None:
        difficulty = params[0] if params else None
        if isinstance(difficulty, bool) or not isinstance(difficulty, int | float):
            raise ParseError("the difficulty is not a number")
        if not math.isfinite(difficulty) or not MIN_DIFFICULTY <= difficulty <= MAX_DIFFICULTY:
            raise ParseError("the difficulty is out of all bounds")
        self.difficulty = float(difficulty)  # for the next job; the current one keeps what it came with

    def _notify(self, params: list[object], events: list[Event]) -> None:
        job = parse_notify(params)
        if self._extranonce is None:
            raise ParseError("a job before the answer to mining.subscribe")
        extranonce1, size = self._extranonce
        work = Work(job, extranonce1, size, self.difficulty, difficulty_to_target(self.difficulty))
        if work == self._work:
            return  # sent again to keep the connection alive: what has been hashed need not be hashed again
        self._work = work
        self._issued.add(extranonce1)
        if self.authorized:
            events.append(WorkChanged(work))

    def _set_extranonce(self, params: list[object], events: list[Event]) -> None:
        if len(params) < 2:
            raise ParseError("mining.set_extranonce has not two parameters")
        self._extranonce = parse_extranonces(params[0], params[1])  # from the next notify on

    def _set_version_mask(self, params: list[object], events: list[Event]) -> None:
        mask = parse_hex(params[0] if params else None, "the version mask", 4)
        self.version_mask = int.from_bytes(mask, "big")  # noted only: this miner rolls no version

    def _reconnect(self, params: list[object], events: list[Event]) -> None:
        host, port, wait = [*params, None, None, None][:3]
        if isinstance(port, str) and port.isascii() and port.isdigit():
            port = int(port[:6])
        if isinstance(wait, str) and wait.isascii() and wait.isdigit():
            wait = int(wait[:6])
        if host is not None and not (isinstance(host, str) and len(host) <= 255 and host.isascii()):
            raise ParseError("the host to reconnect to is not a name")
        if port is not None and not (type(port) is int and 0 < port < 65536):
            raise ParseError("the port to reconnect to is not a port")
        if wait is not None and not (type(wait) in (int, float) and isinstance(wait, int | float)):
            raise ParseError("the time to wait is not a number")
        # Bound: an hour; nobody means to send a miner away for longer.
        events.append(ReconnectRequested(host or None, port, min(max(float(wait or 0), 0.0), 3600.0)))

    def _show_message(self, params: list[object], events: list[Event]) -> None:
        if not params or not isinstance(params[0], str):
            raise ParseError("the message to show is not text")
        events.append(MessageShown(printable(params[0], 200)))


def _line_of(message: dict[str, object]) -> bytes:
    # json, not orjson: a username or id with a lone surrogate is escaped here, not an exception.
    return json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"


_NOTIFICATIONS: dict[str, Callable[[MinerSession, list[object], list[Event]], None]] = {
    "mining.set_difficulty": MinerSession._set_difficulty,
    "mining.notify": MinerSession._notify,
    "mining.set_extranonce": MinerSession._set_extranonce,
    "mining.set_version_mask": MinerSession._set_version_mask,
    "client.reconnect": MinerSession._reconnect,
    "client.show_message": MinerSession._show_message,
}
_QUESTIONS: dict[str, Callable[[MinerSession], str]] = {
    "mining.ping": lambda session: "pong",
    "client.get_version": lambda session: session.user_agent,
}
_ANSWERS: dict[str, Callable[[MinerSession, object, list[bytes], list[Event]], None]] = {
    "mining.subscribe": MinerSession._subscribe_answered,
    "mining.authorize": MinerSession._authorize_answered,
}
