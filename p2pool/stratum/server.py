"""All connections of miners: which are accepted, which exist, and when they end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from typing_extensions import override

from p2pool.base.direct_write import unsent_bytes
from p2pool.base.environment import Environment
from p2pool.base.hosts import site_key
from p2pool.base.timer import Timer
from p2pool.net.lean_reactor import after_events
from p2pool.stratum.dispatch import Dispatcher
from p2pool.stratum.guard import BANNED, Guard, GuardSettings
from p2pool.stratum.handover_export import export_miners
from p2pool.stratum.handover_import import Handover, RestoreSession, restore_shared
from p2pool.stratum.handover_records import ConnectionRecord, MinersRecord
from p2pool.stratum.host_loads import host_loads
from p2pool.stratum.job_broadcast import JobBroadcast
from p2pool.stratum.limits import ServerLimits
from p2pool.stratum.lingering import LingeringConnections
from p2pool.stratum.ports import StatsPort, WorkPort
from p2pool.stratum.protocol import StratumProtocol
from p2pool.stratum.reputation import ConnectionReputation
from p2pool.stratum.session import Session
from p2pool.stratum.session_context import SessionContext, SessionSettings
from p2pool.stratum.session_table import Resumable, SessionTable

_log = Logger(namespace="p2pool.stratum")

TICK = 1.0
"""Seconds between two checks of time limits."""
_ROTA = 5
"""The time limits of each connection are checked once in so many ticks."""
SUSPENDED = "there is no fresh work"
"""Why connections are closed while the server is suspended."""


class StratumServer(Factory):
    """The server of all miners, and Twisted's factory of their connections. Bound: `limits`.

    It lets connections in (`register`), runs their time limits, broadcasts new work, and closes connections that
    the guard or the operator does not want. While it is suspended, it has no connections and lets none in.
    """

    noisy = False

    def __init__(
        self,
        environment: Environment,
        *,
        settings: SessionSettings,
        work: WorkPort,
        stats: StatsPort,
        limits: ServerLimits | None = None,
        guard_settings: GuardSettings | None = None,
        dispatcher: Dispatcher | None = None,
    ) -> None:
        self.clock = environment.clock
        self.limits = limits or ServerLimits()
        self.dispatcher = dispatcher or Dispatcher(in_batches=True, after_events=after_events(environment.reactor))
        self.guard = Guard(guard_settings or GuardSettings(), stats)
        self.guard.banned.subscribe(self._host_banned)
        self.guard.misbehaved.subscribe(self._misbehaved)
        self._context = SessionContext(
            settings,
            work=work,
            stats=stats,
            guard=self.guard,
            sessions=SessionTable(self.limits.session_timeout, environment.chance),
        )
        self._context.sessions.taken_over.subscribe(self._taken_over)
        self._stats = stats
        self.record_submissions: Callable[[int, float], None] = stats.record_submissions
        self._reactor = environment.reactor
        self.connections: dict[Session, StratumProtocol] = {}
        self._broadcast = JobBroadcast(
            environment, registry=self._context.registry, sessions=self.connections, serve=self.serve
        )
        self._broadcast.all_served.subscribe(stats.record_job_broadcast)
        self.first_job_sent, self.all_jobs_sent = self._broadcast.first_sent, self._broadcast.all_served
        self._lingering: LingeringConnections[StratumProtocol] = LingeringConnections(environment.reactor)
        self._rota: list[Session] = []
        """The connections whose time limits are still to be checked before the rota starts over."""
        self._rota_step = 0
        self.suspended = False
        """Whether new connections are closed at once."""
        self._ticker: Timer | None = None

    # --- life --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start checking time limits."""
        self._ticker = Timer(self._reactor, TICK, self._tick, name="look after the miners", now=False)

    def stop(self) -> None:
        """Close all connections for good; miners fail over to their backup pools."""
        if self._ticker is not None:
            self._ticker.stop()
        self._broadcast.stop()
        self.dispatcher.judge_all()
        self.suspended = True
        for protocol in [*self.connections.values(), *self._lingering]:
            if protocol.transport is not None:
                protocol.transport.loseConnection()

    def ask_to_reconnect(self, *, all_miners: bool) -> int:
        """Ask the miners whose connections cannot be handed over, or all miners, to reconnect. Return how many
        were asked."""
        now, asked = self.clock(), 0
        for session, protocol in list(self.connections.items()):
            if all_miners or not protocol.can_be_handed_over:
                session.reputation.excused = True
                self.serve(session, session.reconnect, [], now)
                asked += 1
        return asked

    def hand_over(self, *, all_reconnect: bool = False) -> tuple[MinersRecord, list[Any]]:
        """Stop serving miners without closing their connections. Return the record of all of them, and the
        transports of the open connections in its order. Connections that cannot be handed over end, with
        `all_reconnect` all of them; their sessions are saved."""
        self.dispatcher.judge_all()
        for session, protocol in list(self.connections.items()):
            if all_reconnect or not protocol.can_be_handed_over:
                session.reputation.excused = True
                protocol.abort()
        left = [(session, protocol, protocol.detach()) for session, protocol in self.connections.items()]
        now = self.clock()
        record = export_miners(
            self._context,
            [
                (session, protocol.host, protocol.unread, unsent_bytes(transport))
                for session, protocol, transport in left
            ],
            now,
        )
        self.connections.clear()
        self._rota.clear()
        return record, [transport for _, _, transport in left]

    def restore_shared(self, record: MinersRecord) -> Handover:
        """Restore what an earlier process handed over, without the connections: `adopt` is for these. Raises
        ParseError."""
        return restore_shared(self._context, record)

    def adopt(self, record: ConnectionRecord, restore: RestoreSession) -> StratumProtocol:
        """Return the protocol that continues a connection of an earlier process. Raises ParseError."""
        now = self.clock()
        protocol = StratumProtocol(self, IPv4Address("TCP", record.host, 0))
        session = restore(now=now)
        session.reputation.owner = session
        self.connections[session] = protocol
        protocol.restore(session, record.unread)
        self._stats.record_connected(now)
        return protocol

    def suspend(self) -> None:
        """Close all connections, and new ones at once, until `resume`."""
        self.dispatcher.judge_all()
        self.suspended = True
        for session in list(self.connections):
            session.closing = session.closing or SUSPENDED
            session.reputation.excused = True
            self._flush(session)

    def resume(self) -> None:
        """Let connections in again after `suspend`."""
        self.suspended = False

    def __len__(self) -> int:
        return len(self.connections)

    # --- connections -------------------------------------------------------------------------------------

    @override
    def buildProtocol(self, address: IAddress | None) -> StratumProtocol:
        if address is None:
            raise ValueError("a connection without an address")
        return StratumProtocol(self, address)

    def register(self, protocol: StratumProtocol) -> Session | None:
        """Return a session for a new connection; None if the server is full or suspended, or its host banned."""
        if self.suspended:
            return None
        now = self.clock()
        reason = self.guard.turned_away(protocol.host, now)
        if reason is None and not self._has_place(protocol.host, now):
            reason = "too many connections"
        if reason is not None:
            self._stats.record_turned_away(reason, now)
            if reason != BANNED and self.guard.may_log(protocol.host, reason, now):
                _log.warn("rejected a connection of {host}: {reason}", host=protocol.host, reason=reason)
            return None
        connection = self.guard.connected(protocol.host, now)
        connection.owner = session = Session(self._context, connection, now)
        self.connections[session] = protocol
        self._stats.record_connected(now)
        return session

    @property
    def max_unsent(self) -> int:
        """Return the bytes that a connection may leave unread at the moment."""
        return self.limits.unsent(self._context.registry.line_size)

    def _has_place(self, host: str, now: float) -> bool:
        """Return whether there is room for one more connection of `host`. If the server is full, one that never
        worked is closed."""
        if len(self.connections) < self.limits.max_connections:
            return True
        evicted = self.guard.make_room(host, now)
        if evicted is None:
            return False
        evicted.closing, evicted.excused = "the server is full, and this connection never worked", True
        if evicted.authorized_at is None and evicted.owner in self.connections:
            self.connections[evicted.owner].abort()  # it has no work, so no submission can be under way
        self._close_connection(evicted)
        return len(self.connections) < self.limits.max_connections

    def unregister(self, session: Session) -> None:
        """Account for the end of a session's connection."""
        del self.connections[session]
        session.reputation.owner = None
        session.connection_lost(self.clock())
        self._stats.record_disconnected()

    def linger(self, protocol: StratumProtocol) -> None:
        """Read for a moment what a closed connection has already sent, then abort it."""
        self._lingering.add(protocol, site_key(protocol.host))

    def linger_ended(self, protocol: StratumProtocol) -> None:
        """Forget a connection that ended, if it was lingering."""
        self._lingering.discard(protocol)

    def may_log_close(self, host: str, reason: str) -> bool:
        """Return whether to log that a connection of `host` is closed: not while suspended, and once a minute."""
        return not self.suspended and self.guard.may_log(host, reason, self.clock())

    def _host_banned(self, key: str) -> None:
        """Close the connections of a banned host, after what is being done for one of them."""
        self._reactor.callLater(0, self._close_host, key)

    def _close_host(self, key: str) -> None:
        for connection in self.guard.connections_of(key):
            connection.closing = connection.closing or "its host is banned"
            self._close_connection(connection)

    def _misbehaved(self, connection: ConnectionReputation) -> None:
        """Close a connection that misbehaved, after what is being done for it."""
        self._reactor.callLater(0, self._close_connection, connection)

    def _close_connection(self, connection: ConnectionReputation) -> None:
        session = connection.owner
        if isinstance(session, Session):
            session.closing = session.closing or connection.closing
            self._flush(session)

    def _taken_over(self, session: Resumable) -> None:
        if isinstance(session, Session):
            self._flush(session)

    def _flush(self, session: Session) -> None:
        protocol = self.connections.get(session)
        if protocol is not None:
            protocol.flush()

    # --- work and messages -------------------------------------------------------------------------------

    def work_changed(self, previous_block: int, *, clean: bool, more_to_come: bool = False) -> None:
        """Broadcast new work. `clean` if it makes all earlier jobs worthless, `more_to_come` if newer work is
        expected within milliseconds."""
        self._broadcast.work_changed(previous_block, clean=clean, more_to_come=more_to_come)

    def set_version_mask(self, mask: int) -> None:
        """Set the header version bits that miners may roll from now on."""
        self._context.settings = replace(self._context.settings, version_mask=mask)

    @property
    def session_context(self) -> SessionContext:
        """Return what the sessions share, for what shares it with other servers."""
        return self._context

    @property
    def version_mask(self) -> int:
        """Return the header version bits that miners may roll."""
        return self._context.settings.version_mask

    def serve(self, session: Session, step: Callable[..., None], *arguments: object) -> None:
        """Run a step for one connection, and write its output. If that fails because of a bug, only this
        connection is ended: the others are still served."""
        protocol = self.connections.get(session)
        if protocol is None:
            return
        try:
            step(*arguments)
            protocol.flush()
        except Exception:
            _log.failure("internal error while serving {host}; its connection is closed", host=protocol.host)
            protocol.abort()

    def _tick(self) -> None:
        now = self.clock()
        self._context.registry.retire(now)
        if not self._rota:
            self._rota = list(self.connections)
            self._rota_step = -(-len(self._rota) // _ROTA)  # the rota takes its time even if most of them end
            self.guard.tick(now)
            self._context.solutions.retire()
            self._stats.record_host_loads(
                host_loads((session.reputation.key, session.workers) for session in self.connections)
            )
            self._context.sessions.expire(now)
        count = self._rota_step
        due, self._rota = self._rota[:count], self._rota[count:]
        for session in due:
            self.serve(session, session.tick, now)
        self._lingering.expire()
