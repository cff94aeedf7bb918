"""One miner's connection as a pure object: the state of its session, its submissions, and what is sent to it.

Nothing here touches a socket. `dispatch` reads the miner's lines and calls one small function of `methods` for
each request; these functions call the session. `protocol` writes `take_output()`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from p2pool.base.bounded import BoundedSet
from p2pool.dash.pow import x11_digest
from p2pool.dash.target import difficulty_to_average_attempts
from p2pool.stratum.errors import AnswerLater, ErrorCode, StratumError, low_difficulty
from p2pool.stratum.handshake import AFTER_AUTHORIZE, AFTER_SUBSCRIBE, Handshake
from p2pool.stratum.job_feed import JobFeed
from p2pool.stratum.job_registry import GRACE
from p2pool.stratum.messages import notification_line, request_line
from p2pool.stratum.miner_software import MinerSoftware
from p2pool.stratum.miner_state import MinerState, SentJob
from p2pool.stratum.reputation import ConnectionReputation, Offence
from p2pool.stratum.session_context import SessionContext
from p2pool.stratum.solutions import Solutions
from p2pool.stratum.submission import NO_MASKS, PreparedSubmission, VersionMasks, parse_submission
from p2pool.stratum.username import Username
from p2pool.stratum.vardiff import Vardiff

IDLE_RESEND = 25.0
"""Seconds without a line after which a connection gets its job again: some firmware leaves a silent pool."""
PING_AFTER = 60.0
"""Seconds of silence after which a miner that knows mining.ping is sent one."""
PING_TIME = 60.0
"""Seconds within which the miner must answer a ping."""
MIN_SECONDS_PER_PSEUDOSHARE = 1.0
"""The shortest interval of pseudoshares of one connection, however many workers share it."""
_MAX_TAKEOVERS = 8
"""Times that other connections may resume a session between two ticks."""
_MAX_REFUSED = 64
"""Hashes of rejected submissions that are remembered, so that their repetition is called a duplicate."""
_GET_VERSION_ID, _PING_ID = 1, 2
"""Ids of the server's own requests: at most one of each is unanswered."""


_WORKING = Handshake.WORKING


class Session:
    """The session of one connection. Bound: MinerState's jobs, 256 workers, 64 rejected submissions."""

    __slots__ = (
        "_asked_version",
        "_earners",
        "_former_mask",
        "_former_mask_until",
        "_is_taken_over",
        "_last_heard",
        "_last_sent",
        "_output",
        "_pinged",
        "_refused",
        "_takeovers",
        "_version_due",
        "alert_secret",
        "asked_elsewhere",
        "change_due",
        "closing",
        "connected",
        "context",
        "earning",
        "feed",
        "handshake",
        "mask_due",
        "payee",
        "reputation",
        "restart_due",
        "resumed",
        "software",
        "state",
        "submissions",
        "version_mask",
        "waiting",
        "workers",
    )

    def __init__(self, context: SessionContext, reputation: ConnectionReputation, now: float) -> None:
        self.context = context
        self.reputation = reputation
        self.connected = now
        self.handshake = Handshake.NEW
        self.feed = JobFeed(context.registry, reputation.site)
        self.state: MinerState = context.sessions.new_state(context.settings.new_vardiff())
        context.sessions.opened(self)
        self.resumed = False
        """Whether this connection continues the session of an earlier one."""
        self.asked_elsewhere = False
        """Whether a session of another server was already looked for: once a connection."""
        self.software = MinerSoftware()
        self.version_mask: int | None = None
        """The version bits that this miner may roll; None without version rolling."""
        self.payee: Username | None = None
        """The first worker, whose address all jobs of this connection pay; None before it is authorized."""
        self.alert_secret: bytes | None = None
        """The hash of the secret by which the miner proves its address to those who set alerts for it."""
        self.workers: dict[str, Username] = {}
        """The authorized workers, by the names that their submissions carry."""
        self.earning = False
        """Whether a submission was ever accepted: such connections are sent new work first."""
        self.closing: str | None = None
        """Why the connection has to be closed; None while it may stay open."""
        self.restart_due = self.change_due = False
        """Whether the miner starts over, or its difficulty changed: it is sent a job after all lines that came
        together are answered."""
        self.mask_due = False
        """Whether the miner must be sent its version mask, which is not done before it is authorized."""
        self._version_due = False
        self._takeovers = 0
        """How often other connections resumed this session since the last tick."""
        self._is_taken_over = False
        """Whether this connection ends because another one resumed its session: nobody knows the id of the state
        that it leaves."""
        self._last_sent = self._last_heard = now
        self._output: list[bytes] = []
        self._asked_version: float | None = None
        self._pinged: float | None = None
        """When the server's own requests were sent; None for those that are answered."""
        self._earners: tuple[str, ...] = ()
        """The names of workers with an accepted submission: mostly one, so a set would take more."""
        self._former_mask = 0
        self._former_mask_until = 0.0
        self._refused: BoundedSet[int] | None = None
        self.submissions = 0
        """Submissions in the lines that are being read; `protocol` resets it to 0."""
        self.waiting = 0
        """Submissions that wait in a SubmissionBatch; nothing after them is answered before they are."""

    # --- state -------------------------------------------------------------------------------------------

    @property
    def vardiff(self) -> Vardiff:
        """Return the variable difficulty of this session."""
        return self.state.vardiff

    @property
    def extranonce1(self) -> bytes:
        """Return the 4 bytes of extranonce1, which no other live connection has."""
        return self.state.extranonce1

    @property
    def name(self) -> str:
        """Return the name of this connection in the log."""
        return self.payee.name if self.payee is not None else "not authorized"

    @property
    def working(self) -> bool:
        """Return whether the miner is subscribed and authorized, so that jobs and messages are sent to it."""
        return self.handshake is _WORKING

    # --- input and output --------------------------------------------------------------------------------

    def heard(self, now: float) -> None:
        """Note that the miner sent a line."""
        self._last_heard = now
        self._pinged = None  # any line shows that the miner is there

    def take_output(self) -> bytes:
        """Return the bytes to send, and forget them."""
        output = self._output
        if not output:
            return b""
        data = output[0] if len(output) == 1 else b"".join(output)
        output.clear()
        return data

    def finish_input(self, now: float) -> None:
        """Send what follows from the lines that came together: one job, even if several of them lead to one."""
        if not self.working or self.closing is not None:
            return
        state, payee = self.state, self.payee
        if payee is not None and (self.restart_due or self.change_due):
            send = self.feed.restart if self.restart_due else self.feed.change
            self.restart_due = self.change_due = False
            self.send(send(state, payee), now)
        if self._version_due:
            self._version_due = False
            self._ask_version(now)
        if self.mask_due:
            self.mask_due = False
            self.notify("mining.set_version_mask", [f"{self.version_mask or 0:08x}"], now)

    def tick(self, now: float) -> None:
        """Enforce time limits, adjust the difficulty of silent miners, keep the connection alive; call it every
        few seconds."""
        if not self.working:
            if now - self.connected > self.context.settings.login_time:
                self.closing = f"not subscribed and authorized within {self.context.settings.login_time:g} s"
            return
        if self.state.knows_ping and not self._is_responsive(now):
            self.closing = f"ping not answered within {PING_TIME:g} s"
            return
        self._takeovers = 0
        state, payee = self.state, self.payee
        if payee is None or state.newest is None:
            return
        if self.vardiff.adjust(now):
            self.send(self.feed.change(state, payee), now)
        if now - self._last_sent >= IDLE_RESEND:
            self.send(self.feed.repeat(state, payee), now)

    def connection_lost(self, now: float) -> None:
        """Account for the end of the connection. Its state can be resumed for a while."""
        for username in self.workers.values():
            self.context.stats.record_worker_off(username.name)
        worth_keeping = self.working and not self._is_taken_over
        self.context.sessions.closed(self, site=self.reputation.site, worth_keeping=worth_keeping, now=now)
        self.context.guard.disconnected(
            self.reputation,
            lasted=now - self.connected,
            authorized=self.payee is not None,
            earned=bool(self._earners),
            now=now,
        )

    def lose_to_takeover(self, state: MinerState, now: float) -> None:
        """Give way to another connection that resumed this session.

        If the miner accepts a new extranonce1, it continues with the session id and extranonce1 of `state`, and
        the work that it has stays valid; else the connection is closed.
        """
        if not self.working or not self.state.extranonce_changes:
            self.closing = "its session was resumed by another connection"
            self._is_taken_over = True
        # A copy: `state` has the requests that the other connection made before, and `resume` still reads them.
        self.state = state = self.state.copied(state.session_id, state.extranonce1)
        self._takeovers += 1
        if self._takeovers > _MAX_TAKEOVERS:
            self.closing = self.closing or "its session was resumed by other connections too often"
        if self.closing is None and self.payee is not None:
            self.send(self.feed.change(state, self.payee, clean=True), now)

    # --- handshake ---------------------------------------------------------------------------------------

    def subscribe(self) -> None:
        """Note that the miner subscribed: it starts over, with the extranonce1 of its state."""
        self.handshake = AFTER_SUBSCRIBE.get(self.handshake, self.handshake)
        self.restart_due = True
        self.feed.subscribed(self.extranonce1)

    def resume(self, session_id: str, now: float) -> None:
        """Continue the session of an earlier connection, if that session is still known. Raises AnswerLater if
        another server may know it."""
        own, others = self.state, self.context.other_servers
        if others is not None and not self.asked_elsewhere and self.context.sessions.get(session_id) is None:
            self.asked_elsewhere = True
            fetched = others.fetch(session_id, self.reputation.site)
            if fetched is not None:
                raise AnswerLater(fetched)
        if session_id == own.session_id or not self.context.sessions.resume(self, session_id, now):
            return
        self.resumed = True
        # What the miner requested on this connection is newer than what the session remembers.
        state = self.state
        state.extranonce_changes |= own.extranonce_changes
        state.knows_ping |= own.knows_ping
        if own.vardiff.minimum > self.context.settings.min_difficulty:
            state.vardiff.set_minimum(own.vardiff.minimum)
        if own.vardiff.fixed:
            state.vardiff.set(own.vardiff.difficulty, fixed=True)
        requested = state.requested_mask if own.requested_mask is None else own.requested_mask
        if requested is not None:
            self.negotiate_mask(requested, now)

    def add_worker(self, given: str, username: Username, now: float) -> None:
        """Add a worker that was authorized; its submissions carry the name `given`."""
        context = self.context
        self.workers[given] = username
        context.stats.record_worker_on(
            username.name, difficulty=self.state.difficulty, now=now, site=self.reputation.site
        )
        context.stats.record_software(username.name, str(self.software))
        if self.payee is None:
            self.payee = username
            self.handshake = AFTER_AUTHORIZE.get(self.handshake, self.handshake)
            self.restart_due = True
            context.guard.authorized(self.reputation, now)
            context.recent_difficulties.apply(self.vardiff, username.name, now)
            self._version_due = True

    # --- what the operator and the server send -----------------------------------------------------------

    def send_work(self, now: float) -> None:
        """Send the job on the newest work, unless the miner has it."""
        if self.handshake is _WORKING and self.payee is not None:
            self.send(self.feed.renew(self.state, self.payee), now)

    def show_message(self, text: str, now: float) -> None:
        """Send a message for the people who run the miner."""
        if self.working:
            self.notify("client.show_message", [text], now)

    def reconnect(self, target: list[str | int | None], now: float) -> None:
        """Ask the miner to reconnect to `[host, port, wait]`; None means the present one, [] all three."""
        if self.working:
            self.notify("client.reconnect", target, now)

    def pool_mask_changed(self, now: float) -> None:
        """Apply a new version mask of the settings. Jobs at hand may use the former one for a while."""
        if self.state.requested_mask is None or not self.negotiate_mask(self.state.requested_mask, now):
            return
        if self.working:
            self.notify("mining.set_version_mask", [f"{self.version_mask:08x}"], now)
        else:
            self.mask_due = True

    def negotiate_mask(self, requested: int, now: float) -> bool:
        """Set the version bits that the miner may roll, of those it requested. Return whether they changed."""
        former, self.state.requested_mask = self.version_mask, requested
        self.version_mask = self.context.settings.version_mask & requested
        if former is not None and former != self.version_mask:
            self._former_mask, self._former_mask_until = former, now + GRACE
        return former != self.version_mask

    def _ask_version(self, now: float) -> None:
        """Ask the miner for the name of its software."""
        self._asked_version = now
        self.send(request_line(_GET_VERSION_ID, "client.get_version"), now)

    def notify(self, method: str, params: list[Any], now: float) -> None:
        """Send a notification, which the miner does not answer."""
        self.send(notification_line(method, params), now)

    def send(self, lines: bytes, now: float) -> None:
        """Add complete lines to the output; no bytes are nothing to send."""
        if lines:
            self._output.append(lines)
            self._last_sent = now

    def _is_responsive(self, now: float) -> bool:
        """Ping a silent miner. Return False if it did not answer in time."""
        pinged = self._pinged
        if pinged is not None:
            return now - pinged <= PING_TIME
        if now - self._last_heard >= PING_AFTER:
            self._pinged = now
            self.send(request_line(_PING_ID, "mining.ping"), now)
        return True

    # --- what the miner reports ----------------------------------------------------------------------------

    def receive_answer(self, request_id: Any, result: Any) -> None:
        """Take the miner's answer to a request of the server; any other answer is ignored."""
        if not isinstance(request_id, int):
            return
        if request_id == _PING_ID and self._pinged is not None:
            self._pinged = None
            self.state.knows_ping = True
        elif request_id == _GET_VERSION_ID and self._asked_version is not None:
            self._asked_version = None
            if isinstance(result, str):
                self.learn_software(result)

    def learn_software(self, text: str) -> None:
        """Note what the miner reports about its software, for the statistics of its workers."""
        if self.software.learn(text):
            for username in self.workers.values():
                self.context.stats.record_software(username.name, str(self.software))

    def close_for_malformed(self, reason: str, now: float) -> None:
        """Close the connection because of a malformed line, and charge its host."""
        self.closing = reason
        self.context.guard.offence(self.reputation, Offence.MALFORMED, now)

    def remembered(self) -> dict[str, Any]:
        """Return the tables of this session for the process that takes over."""
        earners, refused = tuple(sorted(self._earners)), tuple(self._refused or ())
        requests = (_GET_VERSION_ID, self._asked_version), (_PING_ID, self._pinged)
        awaited = {request_id: sent for request_id, sent in requests if sent is not None}
        return {"awaited": awaited, "earners": earners, "refused": refused}

    def remember(self, awaited: Mapping[int, float], earners: Iterable[str], refused: Iterable[int]) -> None:
        """Restore what `remembered` returned in an earlier process."""
        self._asked_version, self._pinged = awaited.get(_GET_VERSION_ID), awaited.get(_PING_ID)
        self._earners = tuple(earners)
        for found in refused:
            self._remember_refused(found)

    def _remember_refused(self, found: int) -> None:
        if self._refused is None:
            self._refused = BoundedSet(_MAX_REFUSED)
        self._refused.add(found)

    # --- submissions -------------------------------------------------------------------------------------

    def submit(self, params: list[Any], now: float, error: StratumError | None = None) -> bool:
        """Judge a submission at once. Raises StratumError."""
        prepared = self.prepare(params, now, error)
        prepared.found = int.from_bytes(x11_digest(prepared.header), "little")
        return self.judge(prepared, now)

    def prepare(self, params: list[Any], now: float, error: StratumError | None = None) -> PreparedSubmission:
        """Return what is to be hashed for a submission, by the job and the difficulty that it was issued with.

        A header that could be a block is hashed before the submission is rejected for anything that does not
        change the header, such as `error` (what is wrong with its line). Raises StratumError.
        """
        given = params[0] if params else None
        worker = self.workers.get(given) if isinstance(given, str) else None
        job_id = params[1] if len(params) > 1 else None
        sent = self.state.sent(job_id) if isinstance(job_id, str) else None
        job = None if sent is None else self.context.registry.judged_by(sent.issued, now)
        if sent is None or job is None:
            if worker is None:
                raise _unauthorized()
            raise StratumError(ErrorCode.JOB_NOT_FOUND, "job not found (stale)")
        masks = self._masks(now) if len(params) > 5 else NO_MASKS
        submission = parse_submission(params, job, masks=masks, now=now)
        if error is not None:
            submission = submission._replace(error=error)
        if sent.solutions is not None and submission.key in sent.solutions:
            raise _duplicate()
        return PreparedSubmission(sent, submission, job=job, worker=worker)

    def _masks(self, now: float) -> VersionMasks:
        former = self._former_mask if now <= self._former_mask_until else 0
        return VersionMasks(self.version_mask, former, self.context.settings.version_mask)

    def judge(self, prepared: PreparedSubmission, now: float) -> bool:
        """Judge a submission that `prepare` returned and that was hashed. What it solved is reported first.
        Raises StratumError."""
        sent, submission, worker, job = prepared.sent, prepared.submission, prepared.worker, prepared.job
        if sent.solutions is not None and submission.key in sent.solutions:
            raise _duplicate()  # it was accepted after this one was prepared
        found, context = prepared.found, self.context
        used = found <= job.share_target or found <= job.block_target
        name = worker.name if worker is not None else self.name
        # A block of an auxiliary chain is reported as well, but does not change how the submission is answered.
        if used or found <= job.aux_target:
            context.work.solved(prepared.outcome(), name)
        if not used:
            if worker is None:
                raise _unauthorized()
            if submission.error is not None:
                raise submission.error
            if sent.spent:
                self.change_due = True
                raise StratumError(ErrorCode.JOB_NOT_FOUND, "job not found (stale): too many solutions of one job")
            if self._refused is not None and found in self._refused:
                raise _duplicate()
            if found > sent.target:
                self._remember_refused(found)
                raise low_difficulty(found, sent.difficulty)
        self._remember(sent, submission.key, used)
        # A share that misses the connection's difficulty is used, but says nothing about the hash rate.
        difficulty = sent.difficulty if found <= sent.target else 0.0
        attempts = difficulty_to_average_attempts(difficulty)
        context.stats.record_accepted(
            name, attempts=attempts, difficulty=sent.difficulty, dead=not context.work.is_current(job), now=now
        )
        context.guard.submission(self.reputation, False, now)
        self._earned(name, difficulty, now)
        return True

    def _earned(self, name: str, difficulty: float, now: float) -> None:
        self.earning = True
        if name not in self._earners:
            self._earners = (*self._earners, name)
            self.update_interval()
            self._record_difficulty((name,), now)
        vardiff = self.state.vardiff
        if difficulty:
            vardiff.accepted(difficulty, now)
        if vardiff.adjust(now):
            self.change_due = True
            self._record_difficulty(self._earners, now)

    def _record_difficulty(self, workers: tuple[str, ...], now: float) -> None:
        self.context.recent_difficulties.record(
            workers, self.vardiff.difficulty, site=self.reputation.site, now=now
        )

    def _remember(self, sent: SentJob, key: bytes, used: bool) -> None:
        """Note that a submission was accepted, so that it is not accepted again."""
        if sent.solutions is None:
            sent.solutions = Solutions(sent.issued, self.reputation.site)
        if sent.solutions.add(key, used=used):
            self.context.solutions.grown(sent.solutions)

    def update_interval(self) -> None:
        """Set the interval of pseudoshares such that each worker of this connection has the requested one."""
        requested = self.state.share_rate
        interval = requested / max(1, len(self._earners))
        self.vardiff.seconds = max(interval, min(requested, MIN_SECONDS_PER_PSEUDOSHARE))


def _unauthorized() -> StratumError:
    return StratumError(ErrorCode.UNAUTHORIZED, "worker is not authorized on this connection")


def _duplicate() -> StratumError:
    return StratumError(ErrorCode.DUPLICATE, "duplicate share")
