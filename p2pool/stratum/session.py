"""One miner's connection as a pure object: a line and the time in, bytes out.

What a method does is one small function; which methods exist and what must have happened before is the table
`METHODS`. Nothing here touches a socket; `protocol` feeds lines and writes `take_output()`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from p2pool.base.bounded import BoundedDict, BoundedSet
from p2pool.base.text import printable
from p2pool.dash.target import difficulty_to_average_attempts, difficulty_to_target
from p2pool.networks.parameters import Network
from p2pool.stratum.errors import Code, Refusal
from p2pool.stratum.jobs import IssuedJob, JobBook
from p2pool.stratum.ports import StatsPort, WorkPort
from p2pool.stratum.submission import Submission, parse_submission
from p2pool.stratum.username import Username, parse_username, password_difficulty, positive_number
from p2pool.stratum.vardiff import Vardiff, clamp

VERSION_MASK = 0x1FFFE000
"""Header version bits that miners may roll (BIP 320's, less the lowest)."""
EXTRANONCE2_SIZE = 4
LOGIN_TIME = 30.0
"""Seconds within which subscribe and authorize must be done."""
IDLE_RESEND = 25.0
"""A connection that got nothing for so long is sent its job again: some firmware drops a silent pool."""
MAX_WORKERS_PER_CONNECTION = 256
_MAX_JOBS = 64
"""Jobs that a connection may still answer."""
_MAX_SEEN = 8192
"""Submissions of one job remembered to refuse duplicates."""


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What all sessions of a server have in common. Difficulties; `share_rate` in seconds per pseudoshare."""

    network: Network
    start_difficulty: float
    min_difficulty: float = 0.001
    max_difficulty: float = 1_000_000.0
    share_rate: float = 10.0
    version_mask: int = VERSION_MASK


@dataclass(slots=True)
class _SentJob:
    """A job as this connection got it."""

    issued: IssuedJob
    difficulty: float
    target: int
    seen: BoundedSet[tuple[bytes, int, int, int]]


class Session:
    """The state of one connection. Bound: 64 jobs, 256 workers, 8192 remembered submissions a job."""

    def __init__(
        self,
        settings: SessionSettings,
        work: WorkPort,
        stats: StatsPort,
        book: JobBook,
        extranonce1: bytes,
        now: float,
    ) -> None:
        self.settings = settings
        self._work = work
        self._stats = stats
        self._book = book
        self.extranonce1 = extranonce1
        self.vardiff = Vardiff(
            settings.start_difficulty, settings.min_difficulty, settings.max_difficulty, settings.share_rate
        )
        self.subscribed = False
        self.user_agent = ""
        self.version_mask: int | None = None
        self.payee: Username | None = None
        self.workers: dict[str, Username] = {}
        self.earning = False
        """Whether anything was ever accepted: such connections are served first."""
        self.closing: str | None = None
        """Why the connection has to be closed; None while it is fine."""
        self._extranonce_subscribed = False
        self._jobs: BoundedDict[str, _SentJob] = BoundedDict(_MAX_JOBS)
        self._newest: _SentJob | None = None
        self._sent_difficulty: float | None = None
        self._connected = now
        self._last_sent = now
        self._output: list[bytes] = []
        self._work_due: bool | None = None
        """Whether a method leads to a job, and whether it is a clean one: sent after the method's answer."""

    # --- the outside -------------------------------------------------------------------------------------

    def take_output(self) -> bytes:
        """What is to be sent, and forget it."""
        output = self._output
        if not output:
            return b""
        data = output[0] if len(output) == 1 else b"".join(output)
        output.clear()
        return data

    def receive_line(self, line: bytes, now: float) -> None:
        """Handle one line. Never raises for what a miner sends."""
        if not line.strip():
            return
        try:
            message = orjson.loads(line)
        except orjson.JSONDecodeError:
            self._malformed(now, "a line that is not JSON")
            return
        if not isinstance(message, dict):
            self._malformed(now, "a line that is not a JSON object")
            return
        method = message.get("method")
        if not isinstance(method, str):
            if "method" in message or "result" not in message:
                self._malformed(now, "a request without a method")
            return  # an answer to something that we sent
        self._answer(message.get("id"), *self._call(method, message.get("params"), now))
        if self._work_due is not None:
            clean, self._work_due = self._work_due, None
            self.send_work(now, clean)

    def send_work(self, now: float, clean: bool) -> None:
        """Send the current job, preceded by its difficulty where that changed."""
        if self.payee is None or not self.subscribed:
            return
        issued = self._book.job_for(self.payee.key_hash, self.payee.share_difficulty)
        if issued is None:
            return
        newest = self._newest
        if newest is not None and newest.issued.job is issued.job:
            if newest.difficulty == self.vardiff.difficulty:
                self._send(newest.issued.notify(clean), now)
                return
            issued = self._book.reissue(issued)
        self._send_job(issued, now, clean)

    def tick(self, now: float) -> None:
        """Once a second or so: time limits, vardiff for the silent, and a sign of life."""
        if (self.payee is None or not self.subscribed) and now - self._connected > LOGIN_TIME:
            self.closing = "no subscribe and authorize in time"
            return
        idle = now - self._last_sent >= IDLE_RESEND
        if self._newest is not None and (self.vardiff.adjust(now) or idle):
            self.send_work(now, clean=False)

    def connection_lost(self) -> None:
        """The connection ended: its workers have one fewer."""
        for name in self.workers:
            self._stats.record_worker_off(name)

    @property
    def name(self) -> str:
        """How logs call this connection."""
        return self.payee.name if self.payee is not None else "not authorized"

    # --- answering ---------------------------------------------------------------------------------------

    def _call(self, method: str, params: Any, now: float) -> tuple[Any, Refusal | None]:
        """(result, refusal) of a request."""
        handler = METHODS.get(method)
        try:
            if handler is None:
                raise Refusal(Code.OTHER, f"unknown method {method[:60]}")
            if params is None:
                params = []
            if not isinstance(params, list):
                raise Refusal(Code.OTHER, "params is not a list")
            if handler.needs_subscribe and not self.subscribed:
                raise Refusal(Code.NOT_SUBSCRIBED, "not subscribed")
            return handler.function(self, params, now), None
        except Refusal as refusal:
            if method == "mining.submit":
                name = self.payee.name if self.payee is not None else None
                self._stats.record_refused(name, int(refusal.code), now)
            return None, refusal

    def _answer(self, request_id: Any, result: Any, refusal: Refusal | None) -> None:
        if isinstance(request_id, dict | list):
            request_id = None
        error = None
        if refusal is not None:
            error = [int(refusal.code), refusal.text, None]
            result = False
        self._output.append(orjson.dumps({"id": request_id, "result": result, "error": error}) + b"\n")

    def _malformed(self, now: float, what: str) -> None:
        """Not even a request: say so, and that is the end of it."""
        self._answer(None, None, Refusal(Code.OTHER, what))
        self.closing = what

    def _notify(self, method: str, params: list[Any], now: float) -> None:
        self._send(orjson.dumps({"id": None, "method": method, "params": params}) + b"\n", now)

    def _send(self, line: bytes, now: float) -> None:
        self._output.append(line)
        self._last_sent = now

    def _send_job(self, issued: IssuedJob, now: float, clean: bool) -> None:
        difficulty = self.vardiff.difficulty
        if difficulty != self._sent_difficulty:
            self._sent_difficulty = difficulty
            shown = int(difficulty) if difficulty.is_integer() else difficulty
            self._notify("mining.set_difficulty", [shown], now)
        newest = self._newest
        # The same work under another id: what was submitted for it counts as submitted.
        same_work = newest is not None and newest.issued.job is issued.job
        seen: BoundedSet[tuple[bytes, int, int, int]]
        seen = newest.seen if newest is not None and same_work else BoundedSet(_MAX_SEEN)
        sent = _SentJob(issued, difficulty, difficulty_to_target(difficulty), seen)
        self._jobs[issued.job_id] = self._newest = sent
        self._send(issued.notify(clean), now)

    # --- methods -----------------------------------------------------------------------------------------

    def configure(self, params: list[Any], now: float) -> dict[str, Any]:
        """mining.configure (BIP 310): every requested code gets an answer."""
        codes = params[0] if params and isinstance(params[0], list) else []
        options = params[1] if len(params) > 1 and isinstance(params[1], dict) else {}
        result: dict[str, Any] = {}
        for code in codes[:16]:
            if code == "version-rolling":
                asked = _mask(options.get("version-rolling.mask", "ffffffff"))
                self.version_mask = self.settings.version_mask & asked
                result[code] = True
                result["version-rolling.mask"] = f"{self.version_mask:08x}"
            elif code == "minimum-difficulty":
                minimum = positive_number(options.get("minimum-difficulty.value"))
                if minimum is not None:
                    self.vardiff.set_minimum(minimum)
                result[code] = minimum is not None or options.get("minimum-difficulty.value") == 0
            elif code == "subscribe-extranonce":
                self._extranonce_subscribed = result[code] = True
            elif isinstance(code, str):
                result[printable(code)] = code == "info"
        return result

    def subscribe(self, params: list[Any], now: float) -> list[Any]:
        """mining.subscribe: session id, extranonce1 and the size of extranonce2."""
        if params and isinstance(params[0], str):
            self.user_agent = printable(params[0], 128)
        self.subscribed = True
        self._work_due = True
        # Not a plain number: one checker reads that as a difficulty.
        session_id = "s" + self.extranonce1.hex()
        subscriptions = [["mining.set_difficulty", session_id], ["mining.notify", session_id]]
        return [subscriptions, self.extranonce1.hex(), EXTRANONCE2_SIZE]

    def authorize(self, params: list[Any], now: float) -> bool:
        """mining.authorize: several workers may share a connection, but only of one payout address."""
        if not params or not isinstance(params[0], str):
            raise Refusal(Code.UNAUTHORIZED, "no username")
        username = parse_username(params[0], self.settings.network)
        if self.payee is not None and username.key_hash != self.payee.key_hash:
            text = f"this connection mines to {self.payee.address}; use another connection for {username.address}"
            raise Refusal(Code.UNAUTHORIZED, text)
        if params[0] not in self.workers:
            if len(self.workers) >= MAX_WORKERS_PER_CONNECTION:
                raise Refusal(Code.UNAUTHORIZED, f"more than {MAX_WORKERS_PER_CONNECTION} workers")
            self.workers[params[0]] = username
            if self.payee is None:
                self.payee = username
                self._apply_options(username, params[1] if len(params) > 1 else None)
            self._stats.record_worker_on(username.name, self.vardiff.difficulty, now)
            self._work_due = True
        return True

    def _apply_options(self, username: Username, password: Any) -> None:
        start = password_difficulty(password)
        if start is not None:
            self.vardiff.set(start)
        if username.fixed_difficulty is not None:
            self.vardiff.set(username.fixed_difficulty, fixed=True)
        if username.share_rate is not None:
            self.vardiff.seconds = username.share_rate

    def suggest_difficulty(self, params: list[Any], now: float) -> bool:
        """mining.suggest_difficulty: a start, at any time."""
        difficulty = positive_number(params[0]) if params else None
        if difficulty is None:
            raise Refusal(Code.OTHER, "suggest_difficulty takes a positive number")
        return self._suggest(difficulty, now)

    def suggest_target(self, params: list[Any], now: float) -> bool:
        """mining.suggest_target: the same as 64 hex digits of a target."""
        text = params[0] if params else None
        if not isinstance(text, str) or len(text) != 64 or not (target := _hex_number(text)):
            raise Refusal(Code.OTHER, "suggest_target takes 64 hex digits")
        return self._suggest((0xFFFF << 208) / target, now)

    def _suggest(self, difficulty: float, now: float) -> bool:
        if not self.vardiff.fixed:
            self.vardiff.set(clamp(difficulty, self.vardiff.minimum, self.vardiff.maximum))
            if self._newest is not None:
                self._work_due = False
        return True

    def extranonce_subscribe(self, params: list[Any], now: float) -> bool:
        """mining.extranonce.subscribe: may be told of another extranonce (which this server never does)."""
        self._extranonce_subscribed = True
        return True

    def ping(self, params: list[Any], now: float) -> str:
        """mining.ping."""
        return "pong"

    def submit(self, params: list[Any], now: float) -> bool:
        """mining.submit: judge it by the job and the difficulty that it was issued with."""
        if not params or not isinstance(params[0], str) or params[0] not in self.workers:
            raise Refusal(Code.UNAUTHORIZED, "worker is not authorized on this connection")
        worker = self.workers[params[0]].name
        job_id = params[1] if len(params) > 1 else None
        sent = self._jobs.get(job_id) if isinstance(job_id, str) else None
        if sent is None or not self._book.is_valid(sent.issued, now):
            raise Refusal(Code.JOB_NOT_FOUND, "job not found (stale)")
        job = sent.issued.job
        submission = parse_submission(params, job, self.version_mask, now)
        key = submission.key
        if key in sent.seen:
            raise Refusal(Code.DUPLICATE, "duplicate share")
        sent.seen.add(key)
        return self._judge(sent, submission, worker, now)

    def _judge(self, sent: _SentJob, submission: Submission, worker: str, now: float) -> bool:
        job = sent.issued.job
        outcome = job.check(
            self.extranonce1 + submission.extranonce2, submission.timestamp, submission.nonce, submission.version
        )
        used = outcome.hash <= job.share_target or outcome.hash <= job.block_target
        if used:
            self._work.solved(outcome, worker)
        if outcome.hash > sent.target and not used:
            raise Refusal(Code.LOW_DIFFICULTY, f"low difficulty share: above difficulty {sent.difficulty:g}")
        attempts = difficulty_to_average_attempts(sent.difficulty)
        self._stats.record_accepted(worker, attempts, sent.difficulty, not self._work.is_current(job), now)
        self.earning = True
        self.vardiff.accepted(sent.difficulty, now)
        if self.vardiff.adjust(now):
            self._work_due = False
        return True


def _hex_number(text: Any) -> int | None:
    """A hex text as a number; None for anything else."""
    if not isinstance(text, str) or not 0 < len(text) <= 64:
        return None
    try:
        return int.from_bytes(bytes.fromhex(text.zfill(len(text) + len(text) % 2)), "big")
    except ValueError:
        return None


def _mask(text: Any) -> int:
    """A version mask out of hex digits; an odd one counts as the widest."""
    number = _hex_number(text)
    return 0xFFFFFFFF if number is None else number & 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class _Method:
    function: Callable[[Session, list[Any], float], Any]
    needs_subscribe: bool = False


METHODS: dict[str, _Method] = {
    "mining.configure": _Method(Session.configure),
    "mining.subscribe": _Method(Session.subscribe),
    "mining.authorize": _Method(Session.authorize),
    "mining.submit": _Method(Session.submit, needs_subscribe=True),
    "mining.suggest_difficulty": _Method(Session.suggest_difficulty),
    "mining.suggest_target": _Method(Session.suggest_target),
    "mining.extranonce.subscribe": _Method(Session.extranonce_subscribe),
    "mining.ping": _Method(Session.ping),
}
