"""One miner's connection as a pure object: a line and the time in, bytes out.

What a method does is one small function in `methods`, whose table says what must have happened before. Nothing
here touches a socket; `protocol` feeds lines and writes `take_output()`.
"""

from __future__ import annotations

from typing import Any

from p2pool.base.bounded import BoundedSet
from p2pool.dash.target import difficulty_to_average_attempts
from p2pool.jobs.job import Job
from p2pool.stratum.conduct import Conduct, Offence
from p2pool.stratum.errors import Code, Refusal, low_difficulty
from p2pool.stratum.feed import JobFeed
from p2pool.stratum.house import House
from p2pool.stratum.jobs import GRACE
from p2pool.stratum.messages import answer_line, notification_line, request_line
from p2pool.stratum.methods import METHODS, NEEDS_SUBSCRIBE
from p2pool.stratum.requests import BadLine, parse_line
from p2pool.stratum.seen import Solutions
from p2pool.stratum.sessions import MinerState, SentJob
from p2pool.stratum.software import Software
from p2pool.stratum.submission import Submission, VersionMasks, parse_submission
from p2pool.stratum.username import Username
from p2pool.stratum.vardiff import Vardiff

IDLE_RESEND = 25.0
"""A connection that got nothing for so long is sent its job again: some firmware drops a silent pool."""
PING_AFTER = 60.0
"""A miner that knows mining.ping and was silent for so long is asked whether it is there."""
PING_TIME = 60.0
"""Seconds that it has to answer."""
MIN_SECONDS_PER_PSEUDOSHARE = 1.0
"""However many workers share a connection."""
_MAX_TAKEOVERS = 8
"""Times between two ticks that a session may be resumed by other connections."""
_MAX_REFUSED = 64
"""Hashes of refused submissions remembered, to call their repetition what it is."""
_GET_VERSION_ID, _PING_ID = 1, 2
"""Ids of our own requests: at most one of each is unanswered."""


class Session:
    """One connection. Bound: what `MinerState` remembers, 256 workers, 64 refused submissions."""

    __slots__ = (
        "_awaited",
        "_earners",
        "_former_mask",
        "_former_mask_until",
        "_is_displaced",
        "_last_heard",
        "_last_sent",
        "_output",
        "_refused",
        "_takeovers",
        "_version_due",
        "change_due",
        "closing",
        "connected",
        "earning",
        "feed",
        "host",
        "house",
        "mask_due",
        "payee",
        "restart_due",
        "resumed",
        "software",
        "state",
        "submissions",
        "subscribed",
        "version_mask",
        "workers",
    )

    def __init__(self, house: House, host: Conduct, now: float) -> None:
        self.house = house
        self.host = host
        self.connected = now
        self.feed = JobFeed(house.registry, host.site)
        self.state: MinerState = house.sessions.new_state(house.settings.new_vardiff())
        house.sessions.opened(self)
        self.subscribed = self.resumed = False
        self.software = Software()
        self.version_mask: int | None = None
        """Negotiated with this miner; None where version rolling was not."""
        self.payee: Username | None = None
        self.workers: dict[str, Username] = {}
        self.earning = False
        """Whether anything was ever accepted: such connections are served first."""
        self.closing: str | None = None
        """Why the connection has to be closed; None while it is fine."""
        self.restart_due = self.change_due = False
        """Whether the miner begins anew, or its difficulty changed: it gets a job after all that it sent at once
        is answered."""
        self.mask_due = False
        """Whether the miner has to be told its version mask: not before it is authorized."""
        self._version_due = False
        self._takeovers = 0
        """Since the last tick."""
        self._is_displaced = False
        """Whether it ends because another connection has its session: nobody knows the id of what it leaves."""
        self._last_sent = self._last_heard = now
        self._output: list[bytes] = []
        self._awaited: dict[int, float] = {}
        """When our own unanswered requests were sent, by id."""
        self._earners: set[str] = set()
        self._former_mask = 0
        self._former_mask_until = 0.0
        self._refused: BoundedSet[int] | None = None
        self.submissions = 0
        """Judged of what is being read; `protocol` sets it to 0."""

    # --- the outside -------------------------------------------------------------------------------------

    @property
    def vardiff(self) -> Vardiff:
        """Its difficulty."""
        return self.state.vardiff

    @property
    def extranonce1(self) -> bytes:
        """4 bytes that no other live connection has."""
        return self.state.extranonce1

    @property
    def name(self) -> str:
        """How logs call this connection."""
        return self.payee.name if self.payee is not None else "not authorized"

    @property
    def working(self) -> bool:
        """Subscribed and authorized: jobs and messages reach it."""
        return self.subscribed and self.payee is not None

    def take_output(self) -> bytes:
        """What is to be sent, and forget it."""
        output = self._output
        if not output:
            return b""
        data = output[0] if len(output) == 1 else b"".join(output)
        output.clear()
        return data

    def receive_line(self, line: bytes, now: float) -> None:
        """Handle one line. Never raises for what a miner sends. `finish_input` is to follow."""
        if not line.strip():
            return
        self._last_heard = now
        self._awaited.pop(_PING_ID, None)  # whoever talks is there
        try:
            message, refusal = parse_line(line)
        except BadLine as error:
            self._malformed(now, str(error), error.fatal)
            return
        method = message.get("method")
        if not isinstance(method, str):
            if "method" in message or not ("result" in message or "error" in message):
                self._malformed(now, "a request without a method", fatal=True)
            else:  # JSON-RPC 2.0 has no result beside an error
                self._answered(message.get("id"), message.get("result"))
            return
        self._answer(message.get("id"), *self._call(method, message.get("params"), now, refusal), now)

    def finish_input(self, now: float) -> None:
        """Send what follows from the lines that came together: one job, however many of them lead to one."""
        if not self.working or self.closing is not None:
            return
        state, payee = self.state, self.payee
        if payee is not None and (self.restart_due or self.change_due):
            send = self.feed.restart if self.restart_due else self.feed.change
            self.restart_due = self.change_due = False
            self._send(send(state, payee), now)
        if self._version_due:
            self._version_due = False
            self._ask_version(now)
        if self.mask_due:
            self.mask_due = False
            self.notify("mining.set_version_mask", [f"{self.version_mask or 0:08x}"], now)

    def judge_line(self, line: bytes, now: float) -> None:
        """A line that came after the connection was given up: a submission is still judged, without an answer."""
        try:
            message, refusal = parse_line(line)
        except BadLine:
            return
        if message.get("method") == "mining.submit":
            self._call("mining.submit", message.get("params"), now, refusal)

    def tick(self, now: float) -> None:
        """Every few seconds: time limits, vardiff for the silent, and a sign of life."""
        if not self.working:
            if now - self.connected > self.house.settings.login_time:
                self.closing = "no subscribe and authorize in time"
            return
        if self.state.knows_ping and not self._still_there(now):
            self.closing = "a ping was not answered in time"
            return
        self._takeovers = 0
        state, payee = self.state, self.payee
        if payee is None or state.newest is None:
            return
        if self.vardiff.adjust(now):
            self._send(self.feed.change(state, payee), now)
        if now - self._last_sent >= IDLE_RESEND:
            self._send(self.feed.repeat(state, payee), now)

    def connection_lost(self, now: float) -> None:
        """The connection ended: its workers have one fewer, and what it was can be resumed."""
        for username in self.workers.values():
            self.house.stats.record_worker_off(username.name)
        worth_keeping = self.working and not self._is_displaced
        self.house.sessions.closed(self, self.host.site, worth_keeping, now)
        self.house.guard.disconnected(
            self.host, now - self.connected, self.payee is not None, bool(self._earners), now
        )

    def displace(self, state: MinerState, now: float) -> None:
        """Another connection resumed this session. Where the miner can be told so, it goes on with the session id
        and extranonce1 of `state`; the work that it has stays valid."""
        if not self.working or not self.state.extranonce_changes:
            self.closing = "its session was resumed by another connection"
            self._is_displaced = True
        # A state of its own: what the other one said before is in `state`, and is still read there.
        self.state = state = self.state.copied(state.session_id, state.extranonce1)
        self._takeovers += 1
        if self._takeovers > _MAX_TAKEOVERS:
            self.closing = self.closing or "its session was resumed by other connections again and again"
        if self.closing is None and self.payee is not None:
            self._send(self.feed.change(state, self.payee, clean=True), now)

    # --- joining -----------------------------------------------------------------------------------------

    def resume(self, session_id: str, now: float) -> None:
        """Go on where an earlier connection was, where its session is still known."""
        own = self.state
        if session_id == own.session_id or not self.house.sessions.resume(self, session_id, now):
            return
        self.resumed = True
        # What was said on this connection before is newer than what the session remembers.
        state = self.state
        state.extranonce_changes |= own.extranonce_changes
        state.knows_ping |= own.knows_ping
        if own.vardiff.minimum > self.house.settings.min_difficulty:
            state.vardiff.set_minimum(own.vardiff.minimum)
        if own.vardiff.fixed:
            state.vardiff.set(own.vardiff.difficulty, fixed=True)
        asked = state.asked_mask if own.asked_mask is None else own.asked_mask
        if asked is not None:
            self.negotiate_mask(asked, now)

    def add_worker(self, given: str, username: Username, now: float) -> None:
        """A worker was authorized; `given` is what it calls itself in submissions."""
        house = self.house
        self.workers[given] = username
        house.stats.record_worker_on(username.name, self.vardiff.difficulty, now, self.host.site)
        house.stats.record_software(username.name, str(self.software))
        if self.payee is None:
            self.payee = username
            self.restart_due = True
            house.guard.authorized(self.host, now)
            house.paces.tell(self.vardiff, username.name, now)
            self._version_due = True

    # --- what the operator and the server send -------------------------------------------------------------

    def send_work(self, now: float) -> None:
        """Send the job on the newest work, unless the miner has it."""
        if self.subscribed and self.payee is not None:
            self._send(self.feed.renew(self.state, self.payee), now)

    def show_message(self, text: str, now: float) -> None:
        """A message for the people behind the machine."""
        if self.working:
            self.notify("client.show_message", [text], now)

    def reconnect(self, where: list[str | int | None], now: float) -> None:
        """Ask the machine to connect again: `[host, port, wait]`, None for what it has, or [] for all of it."""
        if self.working:
            self.notify("client.reconnect", where, now)

    def pool_mask_changed(self, now: float) -> None:
        """The settings have another mask now. What the machine has in work may use the former for a while."""
        if self.state.asked_mask is None or not self.negotiate_mask(self.state.asked_mask, now):
            return
        if self.working:
            self.notify("mining.set_version_mask", [f"{self.version_mask:08x}"], now)
        else:
            self.mask_due = True

    def negotiate_mask(self, asked: int, now: float) -> bool:
        """The miner wishes to roll these version bits; whether its mask is another one now."""
        former, self.state.asked_mask = self.version_mask, asked
        self.version_mask = self.house.settings.version_mask & asked
        if former is not None and former != self.version_mask:
            self._former_mask, self._former_mask_until = former, now + GRACE
        return former != self.version_mask

    def _ask_version(self, now: float) -> None:
        """client.get_version: what the machine runs."""
        self._awaited[_GET_VERSION_ID] = now
        self._send(request_line(_GET_VERSION_ID, "client.get_version"), now)

    def notify(self, method: str, params: list[Any], now: float) -> None:
        """Send a notification."""
        self._send(notification_line(method, params), now)

    def _send(self, lines: bytes, now: float) -> None:
        if lines:
            self._output.append(lines)
            self._last_sent = now

    def _still_there(self, now: float) -> bool:
        """Ask a silent miner whether it is; False where it did not say so in time."""
        asked = self._awaited.get(_PING_ID)
        if asked is not None:
            return now - asked <= PING_TIME
        if now - self._last_heard >= PING_AFTER:
            self._awaited[_PING_ID] = now
            self._send(request_line(_PING_ID, "mining.ping"), now)
        return True

    # --- answering ---------------------------------------------------------------------------------------

    def _call(
        self, method: str, params: Any, now: float, refusal: Refusal | None = None
    ) -> tuple[Any, Refusal | None]:
        """(result, refusal) of a request; `refusal` if the line that it came in was not well-formed."""
        is_submit = method == "mining.submit"
        self.submissions += is_submit
        try:
            if refusal is not None and not is_submit:
                raise refusal
            handler = METHODS.get(method)
            if handler is None:
                raise Refusal(Code.OTHER, f"unknown method {method[:60]}")
            if params is None:
                params = []
            if not isinstance(params, list):
                raise Refusal(Code.OTHER, "params is not a list")
            if method in NEEDS_SUBSCRIBE and not self.subscribed:
                raise Refusal(Code.NOT_SUBSCRIBED, "not subscribed")
            if refusal is not None:
                return self.submit(params, now, refusal), None
            return handler(self, params, now), None
        except Refusal as raised:
            house, error = self.house, refusal or raised
            if is_submit:
                house.stats.record_refused(self._submitter(params), int(error.code), now)
                house.guard.submission(self.host, True, now)
            elif method == "mining.authorize" and error.is_offence:
                given = params[0] if isinstance(params, list) and params else None
                house.guard.login_refused(self.host, given, now)
            return None, error

    def _submitter(self, params: Any) -> str | None:
        """Whose refused submission it is, as far as that is known."""
        given = params[0] if isinstance(params, list) and params else None
        worker = self.workers.get(given) if isinstance(given, str) else None
        worker = worker or self.payee
        return None if worker is None else worker.name

    def _answer(self, request_id: Any, result: Any, refusal: Refusal | None, now: float) -> None:
        self._send(answer_line(request_id, result, refusal), now)

    def _answered(self, request_id: Any, result: Any) -> None:
        """An answer of the miner's; those to something else than our open requests are passed over."""
        if not isinstance(request_id, int) or self._awaited.pop(request_id, None) is None:
            return
        if request_id == _PING_ID:
            self.state.knows_ping = True
        elif isinstance(result, str):
            self.learn_software(result)

    def learn_software(self, text: str) -> None:
        """What the machine says of itself: kept for the statistics of its workers."""
        if self.software.learn(text):
            for username in self.workers.values():
                self.house.stats.record_software(username.name, str(self.software))

    def _malformed(self, now: float, what: str, fatal: bool) -> None:
        """Answer a line that is no request; if `fatal`, that ends the connection."""
        self._answer(None, None, Refusal(Code.OTHER, what), now)
        if fatal:
            self.end_for_malformed(what, now)
        else:
            self.house.guard.offence(self.host, Offence.MALFORMED, now)

    def end_for_malformed(self, what: str, now: float) -> None:
        """The connection is to be closed, and its host pays for the line."""
        self.closing = what
        self.house.guard.offence(self.host, Offence.MALFORMED, now)

    # --- submissions -------------------------------------------------------------------------------------

    def submit(self, params: list[Any], now: float, refusal: Refusal | None = None) -> bool:
        """Judge a submission by the job and the difficulty that it was issued with. What could be a block is
        hashed before anything is refused that does not make it another header, as `refusal` (what is wrong with
        its line). Raises Refusal."""
        given = params[0] if params else None
        worker = self.workers.get(given) if isinstance(given, str) else None
        job_id = params[1] if len(params) > 1 else None
        sent = self.state.jobs.get(job_id) if isinstance(job_id, str) else None
        job = None if sent is None else self.house.registry.judged_by(sent.issued, now)
        if sent is None or job is None:
            if worker is None:
                raise _unauthorized()
            raise Refusal(Code.JOB_NOT_FOUND, "job not found (stale)")
        former = self._former_mask if now <= self._former_mask_until else 0
        masks = VersionMasks(self.version_mask, former, self.house.settings.version_mask)
        submission = parse_submission(params, job, masks, now)
        if refusal is not None:
            submission = submission._replace(refusal=refusal)
        key = submission.key
        if sent.solutions is not None and key in sent.solutions:
            raise Refusal(Code.DUPLICATE, "duplicate share")
        return self._judge(sent, job, submission, worker, now)

    def _judge(self, sent: SentJob, job: Job, submission: Submission, worker: Username | None, now: float) -> bool:
        outcome = job.check(
            sent.extranonce1 + submission.extranonce2, submission.timestamp, submission.nonce, submission.version
        )
        found, house = outcome.hash, self.house
        used = found <= job.share_target or found <= job.block_target
        name = worker.name if worker is not None else self.name
        # A block of another chain is handed on, too, but does not change what its miner is told.
        if used or found <= job.aux_target:
            house.work.solved(outcome, name)
        if not used:
            if worker is None:
                raise _unauthorized()
            if submission.refusal is not None:
                raise submission.refusal
            if sent.spent:
                self.change_due = True
                raise Refusal(Code.JOB_NOT_FOUND, "job not found (stale): too many solutions of one job")
            if self._refused is not None and found in self._refused:
                raise Refusal(Code.DUPLICATE, "duplicate share")
            if found > sent.target:
                if self._refused is None:
                    self._refused = BoundedSet(_MAX_REFUSED)
                self._refused.add(found)
                raise low_difficulty(found, sent.difficulty)
        self._remember(sent, submission.key, used)
        # A share of the chain that misses the connection's difficulty is used, but says nothing of the hash rate.
        difficulty = sent.difficulty if found <= sent.target else 0.0
        attempts = difficulty_to_average_attempts(difficulty)
        house.stats.record_accepted(name, attempts, sent.difficulty, not house.work.is_current(job), now)
        house.guard.submission(self.host, False, now)
        self._earned(name, difficulty, now)
        return True

    def _earned(self, name: str, difficulty: float, now: float) -> None:
        self.earning = True
        if name not in self._earners:
            self._earners.add(name)
            self.share_pace()
            self.house.paces.record({name}, self.vardiff.difficulty, self.host.site, now)
        vardiff = self.state.vardiff
        if difficulty:
            vardiff.accepted(difficulty, now)
        if vardiff.adjust(now):
            self.change_due = True
            self.house.paces.record(self._earners, vardiff.difficulty, self.host.site, now)

    def _remember(self, sent: SentJob, key: bytes, used: bool) -> None:
        """Note what was accepted, so that it is not accepted again."""
        if sent.solutions is None:
            sent.solutions = Solutions(sent.issued, self.host.site)
        if sent.solutions.add(key, used=used):
            self.house.solutions.grown(sent.solutions)

    def share_pace(self) -> None:
        """Each worker that submits on this connection should have its pseudoshare in the time wished."""
        wanted = self.state.share_rate
        pace = wanted / max(1, len(self._earners))
        self.vardiff.seconds = max(pace, min(wanted, MIN_SECONDS_PER_PSEUDOSHARE))


def _unauthorized() -> Refusal:
    return Refusal(Code.UNAUTHORIZED, "worker is not authorized on this connection")
