"""Sessions that move between gateways: keeps them in the broker, claims those of others, hands over its own.

A record in the broker says what a session was some time ago, and which gateway has it. A gateway whose miner asks
for it puts its own name into the record and says so in the stream of handovers, both at once (a claim); the other
one gives the session up, and answers with its newest state. If several claim it, the last one in the stream gets
it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pool.base.bounded import BoundedDict
from p2pool.base.environment import Environment
from p2pool.base.errors import ParseError
from p2pool.base.timer import Timer
from p2pool.base.warn_once import WarnRarely
from p2pool.broker.connection import BrokerError, leave_to_broker
from p2pool.broker.leases import change_value, delete_all, put_all
from p2pool.broker.operations import append
from p2pool.gateway.messages import pack_message, parse_message
from p2pool.gateway.names import Names
from p2pool.gateway.ports import BrokerPort
from p2pool.gateway.prefix_lease import NO_PREFIX
from p2pool.gateway.session_codec import SessionCodec
from p2pool.gateway.session_messages import HandoverMessage, SessionRecord
from p2pool.stratum.miner_state import MinerState
from p2pool.stratum.session_context import SessionContext
from p2pool.stratum.solutions import Solutions

_log = Logger(namespace="p2pool.gateway")
_ID = re.compile("d[0-9a-f]{31}")
_NO_HASH: Final = -1
"""A target that no hash meets."""

DEADLINE: Final = 0.2
"""Seconds that a miner waits for a session of another gateway; then it gets what the broker has, or a new one."""
MAX_WANTED: Final = 2_000
"""Sessions that miners wait for at a time; another miner gets a new one at once."""
MAX_ASKED: Final = 200
"""Requests for sessions that the broker has not answered."""
MAX_ASKED_BY_SITE: Final = 100
"""Those for connections of one site: whoever connects again and again with ids that nobody has must not use up
what belongs to all."""
PERIOD: Final = 1.0
"""Seconds between two writes of sessions to the broker."""
MAX_WRITTEN: Final = 200
"""Sessions that one write has, of those that changed since they were last written."""
_MAX_EXAMINED: Final = 1_000
"""Sessions that are looked at for one write."""
_WRITTEN_AT_STOP: Final = 500
"""Sessions that one request has when the gateway stops."""
KEPT_HANDOVERS: Final = 2_000
"""Entries of the stream of handovers that the broker keeps."""
_MAX_CLAIMS: Final = 5_000
CLAIM_TIME: Final = 30.0
"""Seconds within which a gateway reads its own claim, unless the broker lost its data."""


class _Wanted:
    """A session that a miner asked for, until it is found or the time is over."""

    def __init__(self, site: str) -> None:
        self.site = site
        self.done: Deferred[None] = Deferred()
        self.record: SessionRecord | None = None
        """The newest state that is known."""
        self.deadline: IDelayedCall | None = None


class SessionExchange:
    """The sessions of one gateway, for the others. Implements `stratum.ports.OtherServers`.

    Bounds: MAX_WANTED, MAX_ASKED, and what was written of each session that the SessionTable has.
    """

    def __init__(
        self,
        environment: Environment,
        broker: BrokerPort,
        *,
        names: Names,
        token: str,
        context: SessionContext,
        codec: SessionCodec,
        keep: float,
    ) -> None:
        """Take `keep`, the seconds for which a session can be resumed."""
        self._reactor = environment.reactor
        self._clock = environment.clock
        self._broker = broker
        self._names = names
        self._token = token
        self._context = context
        self._sessions = context.sessions
        self._codec = codec
        self._keep = keep
        self._wanted: dict[str, _Wanted] = {}
        self._asked: Counter[str] = Counter()
        """How many requests for sessions the broker has not answered, by site. Bound: MAX_ASKED."""
        self._claims: BoundedDict[str, float] = BoundedDict(_MAX_CLAIMS)
        """Sessions that this gateway claims, and since when, until it reads its own claim: those of others before
        it are older."""
        self._written: dict[str, tuple[Any, float]] = {}
        """By session id: what the broker has, and since when."""
        self._rota: list[str] = []
        """The sessions that are still to be looked at before the rota starts over."""
        self._writing = False
        self._paused = False
        """Whether miners wait for another process with their requests for sessions."""
        self._unreadable = WarnRarely(environment.monotonic)
        self._timer: Timer | None = None

    def start(self) -> None:
        """Keep sessions in the broker, and let miners resume those of others."""
        self._context.other_servers = self
        self._timer = Timer(self._reactor, PERIOD, self.write, name="write sessions to the broker", now=False)

    def pause(self) -> Deferred[Any]:
        """Let miners that ask for sessions of others wait for the process that takes over. The Deferred fires when
        no session is looked for any more."""
        self._paused = True
        return DeferredList([_fired_with(wanted.done) for wanted in self._wanted.values()])

    def stop(self) -> Deferred[Any]:
        """Write all sessions for the last time; the Deferred fires when the broker has them."""
        self._context.other_servers = None
        if self._timer is not None:
            self._timer.stop()
        ids = list(self._session_ids())
        pieces = range(0, len(ids), _WRITTEN_AT_STOP)
        writes = [self._write_last(ids[start : start + _WRITTEN_AT_STOP]) for start in pieces]
        return DeferredList(writes, consumeErrors=True)

    # --- records -----------------------------------------------------------------------------------------

    def write(self) -> None:
        """Write sessions that changed, a portion in each call."""
        if self._broker.problem is not None or self._keep <= 0 or self._writing:
            return
        if not self._rota:
            self._rota = list(self._session_ids())
            self._delete_ended()
        values: dict[str, bytes] = {}
        now = self._reactor.seconds()
        for _ in range(_MAX_EXAMINED):
            if not self._rota or len(values) >= MAX_WRITTEN:
                break
            session_id = self._rota.pop()
            state = self._travelling(session_id)
            if state is None:
                continue
            summary = _summary(state)
            former, when = self._written.get(session_id, (None, now))
            if former == summary and now - when < self._keep / 2:
                continue
            record = self._codec.record(state)
            self._written[session_id] = summary, now
            if record is not None:
                values[self._names.session(session_id)] = pack_message(record)
        self._writing = True
        self._put(values).addBoth(self._has_written)

    def _has_written(self, _: Any) -> None:
        self._writing = False

    def _delete_ended(self) -> None:
        """Delete the records of sessions that can be resumed no longer: the broker keeps as many as gateways."""
        known = set(self._rota)
        ended = [session_id for session_id in self._written if session_id not in known]
        for session_id in ended:
            del self._written[session_id]
        if ended:
            self._broker.ask(delete_all(map(self._names.session, ended))).addErrback(leave_to_broker)

    def _session_ids(self) -> Iterator[str]:
        for session in self._sessions.live_sessions():
            yield session.state.session_id
        for state in self._sessions.saved_states():
            yield state.session_id

    def _travelling(self, session_id: str) -> MinerState | None:
        """Return a session that may move to another gateway: it was sent work, under a leased prefix."""
        state = self._sessions.get(session_id)
        if state is None or state.newest is None or state.extranonce1[0] == NO_PREFIX:
            return None
        return state

    def _write_last(self, ids: list[str]) -> Deferred[Any]:
        values = {}
        for session_id in ids:
            state = self._travelling(session_id)
            record = None if state is None else self._codec.record(state, released=True)
            if record is not None:
                values[self._names.session(session_id)] = pack_message(record)
        return self._put(values)

    def _put(self, values: dict[str, bytes]) -> Deferred[Any]:
        if not values or self._keep <= 0:
            return succeed(None)
        return self._broker.ask(put_all(values, seconds=self._keep)).addErrback(leave_to_broker)

    # --- sessions of others ------------------------------------------------------------------------------

    def fetch(self, session_id: str, site: str) -> Deferred[None] | None:
        """Bring a session of another gateway into the SessionTable: see `OtherServers`."""
        if self._broker.problem is not None or self._keep <= 0 or not _ID.fullmatch(session_id):
            return None
        if self._paused:
            return Deferred()
        if session_id in self._wanted or len(self._wanted) >= MAX_WANTED:
            return None
        if self._asked.total() >= MAX_ASKED or self._asked[site] >= MAX_ASKED_BY_SITE:
            return None
        wanted = self._wanted[session_id] = _Wanted(site)
        wanted.deadline = self._reactor.callLater(DEADLINE, self._finish, session_id)
        self._claims[session_id] = self._reactor.seconds()
        claim = pack_message(HandoverMessage(session_id=session_id, gateway=self._token, is_claim=True))

        def change(data: bytes) -> tuple[bytes, bytes]:
            record = self._read(SessionRecord, data, session_id)
            return pack_message(msgspec.structs.replace(record, gateway=self._token, released=False)), claim

        action = change_value(
            self._names.session(session_id),
            change,
            stream=self._names.handovers,
            keep=KEPT_HANDOVERS,
            seconds=self._keep,
        )
        self._asked[site] += 1
        asked = self._broker.ask(action).addBoth(self._answered, site)
        asked.addCallback(self._claimed, session_id, wanted).addErrback(self._failed, session_id)
        return wanted.done

    def _read(self, kind: type[SessionRecord], data: bytes, session_id: str) -> SessionRecord:
        record = parse_message(kind, data)
        if record.session_id != session_id or record.network != self._names.network:
            raise ParseError("the record of a session is that of another session, or of another network")
        return record

    def _answered(self, result: Any, site: str) -> Any:
        self._asked[site] -= 1
        if not self._asked[site]:
            del self._asked[site]
        return result

    def _claimed(self, data: bytes | None, session_id: str, wanted: _Wanted) -> None:
        if data is None:
            self._claims.pop(session_id, None)
        if self._wanted.get(session_id) is not wanted:
            return
        if data is None:
            self._finish(session_id)
            return
        record = self._read(SessionRecord, data, session_id)
        wanted.record = record
        if record.released or record.gateway == self._token:
            self._finish(session_id)

    def _failed(self, failure: Failure, session_id: str) -> None:
        failure.trap(BrokerError, ParseError)
        self._claims.pop(session_id, None)
        if failure.check(ParseError):
            self._report(failure.value)
        self._finish(session_id)

    def _finish(self, session_id: str) -> None:
        """Let the miner go on, with the session if it is known by now."""
        wanted = self._wanted.pop(session_id, None)
        if wanted is None:
            return
        if wanted.deadline is not None and wanted.deadline.active():
            wanted.deadline.cancel()
        if wanted.record is not None:
            try:
                now = self._clock()
                state = self._codec.state(wanted.record, site=wanted.site, now=now)
                self._sessions.adopt(state, site=wanted.site, now=now)
            except ParseError as error:
                self._report(error)
        wanted.done.callback(None)

    def _report(self, error: BaseException | None) -> None:
        if self._unreadable.is_due(error):
            _log.error("cannot use a session of another gateway: {error}; the miner gets a new one", error=error)

    # --- the stream of handovers -------------------------------------------------------------------------

    def take(self, data: bytes) -> None:
        """Take an entry of the stream of handovers."""
        try:
            message = parse_message(HandoverMessage, data)
        except ParseError as error:
            self._report(error)
            return
        if message.is_claim:
            self._take_claim(message)
        elif message.gateway != self._token:
            self._take_answer(message)

    def _take_claim(self, message: HandoverMessage) -> None:
        session_id = message.session_id
        if message.gateway == self._token:
            self._claims.pop(session_id, None)
            return
        claimed = self._claims.get(session_id)
        if claimed is not None and self._reactor.seconds() - claimed < CLAIM_TIME:
            return  # this gateway's own claim is newer
        wanted = self._wanted.get(session_id)
        if wanted is not None:
            wanted.record = None
            self._finish(session_id)
        state = self._travelling(session_id)
        if state is not None:
            self._hand_over(state)

    def _hand_over(self, state: MinerState) -> None:
        """Give a session up, and answer with its newest state."""
        session_id = state.session_id
        record = self._codec.record(state)
        self._retire(state)
        self._sessions.give_up(session_id, self._clock())
        self._written.pop(session_id, None)
        answer = HandoverMessage(session_id=session_id, gateway=self._token, is_claim=False, record=record)
        action = append(self._names.handovers, pack_message(answer), keep=KEPT_HANDOVERS)
        self._broker.ask(action).addErrback(leave_to_broker)

    def _retire(self, state: MinerState) -> None:
        """Credit no submissions for the jobs of a session that is handed over. A share or a block among them is
        still used."""
        for sent in state.jobs.values():
            if sent.extranonce1 == state.extranonce1:
                sent.solutions = sent.solutions or Solutions(sent.issued, "")
                sent.solutions.spend()
                sent.target = _NO_HASH

    def _take_answer(self, message: HandoverMessage) -> None:
        session_id, record = message.session_id, message.record
        if record is not None and (record.session_id != session_id or record.network != self._names.network):
            return
        wanted = self._wanted.get(session_id)
        if wanted is not None:
            wanted.record = record
            self._finish(session_id)
            return
        state = self._sessions.get(session_id)
        if state is not None and record is not None:  # it came after the deadline
            self._codec.merge(state, record)


def _summary(state: MinerState) -> tuple[Any, ...]:
    """Return what changes when a session changes."""
    newest, vardiff = state.newest, state.vardiff
    return (
        None if newest is None else newest.issued.job_id,
        state.accepted,
        state.extranonce1,
        vardiff.difficulty,
        vardiff.minimum,
        vardiff.fixed,
        state.share_rate,
        state.requested_mask,
        state.extranonce_changes,
        state.knows_ping,
    )


def _fired_with(other: Deferred[None]) -> Deferred[None]:
    """Return a Deferred that fires when another one does, whose result stays as it is."""
    made: Deferred[None] = Deferred()

    def fired(result: None) -> None:
        made.callback(None)
        return result

    other.addCallback(fired)
    return made
