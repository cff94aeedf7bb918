"""All miners' connections together: who is let in, who is there, and what ends them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from p2pool.base.fair import FairQueue
from p2pool.base.hosts import site_key
from p2pool.stratum.conduct import Conduct
from p2pool.stratum.fanout import FanOut
from p2pool.stratum.guard import BANNED, Guard, GuardSettings
from p2pool.stratum.host_loads import host_loads
from p2pool.stratum.house import House, SessionSettings
from p2pool.stratum.ports import StatsPort, WorkPort
from p2pool.stratum.protocol import StratumProtocol
from p2pool.stratum.session import Session
from p2pool.stratum.sessions import Resumable, SessionTable
from p2pool.stratum.settings import StratumSettings

_log = Logger(namespace="p2pool.stratum")

TICK = 1.0
_ROTA = 5
"""Every connection's time limits are looked at once in so many ticks."""
DRAIN_TIME = 2.0
"""Seconds for which a connection that is over is still read."""
MAX_DRAINING = 2000
"""Connections that are drained at a time; beyond it the site with most of them has its oldest ended at once."""


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Bytes of a line and of what a slow reader may leave unsent; connections in all; seconds for which a session
    can be resumed."""

    max_connections: int = StratumSettings.max_connections
    max_line: int = StratumSettings.max_line
    max_unsent: int = StratumSettings.max_unsent
    session_timeout: float = StratumSettings.session_timeout


class StratumServer(Factory):
    """Factory of connections. Bound: `limits`."""

    noisy = False

    def __init__(
        self,
        settings: SessionSettings,
        work: WorkPort,
        stats: StatsPort,
        reactor: IReactorTime,
        clock: Callable[[], float],
        limits: ServerLimits | None = None,
        guard_settings: GuardSettings | None = None,
        make_session: Callable[[House, Conduct, float], Session] = Session,
    ) -> None:
        self.clock = clock
        self.limits = limits or ServerLimits()
        self.guard = Guard(guard_settings or GuardSettings(), stats)
        self.guard.banned.subscribe(self._host_banned)
        self.guard.misbehaved.subscribe(self._misbehaved)
        self._house = House(settings, work, stats, self.guard, SessionTable(self.limits.session_timeout))
        self._house.sessions.displaced.subscribe(self._displaced)
        self._make_session = make_session
        self._stats = stats
        self.record_submissions = stats.record_submissions
        self._reactor = reactor
        self.connections: dict[Session, StratumProtocol] = {}
        self._fan_out = FanOut(reactor, self._house.registry, self.connections, self.serve, clock)
        self._fan_out.all_served.subscribe(stats.record_fan_out)
        self.first_job_sent, self.all_jobs_sent = self._fan_out.first_sent, self._fan_out.all_served
        self._draining: dict[StratumProtocol, float] = {}
        """Until when (the reactor's seconds), in the order in which it ends."""
        self._draining_by_site: FairQueue[StratumProtocol, str] = FairQueue()
        self._rota: list[Session] = []
        self._rota_step = 0
        self.suspended = False
        self._ticker = LoopingCall(self._tick)
        self._ticker.clock = reactor

    # --- life --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to watch time limits."""
        self._ticker.start(TICK, now=False)

    def stop(self) -> None:
        """Close all connections; miners go to their backup pools."""
        if self._ticker.running:
            self._ticker.stop()
        self._fan_out.stop()
        self.suspended = True
        for protocol in [*self.connections.values(), *self._draining]:
            if protocol.transport is not None:
                protocol.transport.loseConnection()

    def suspend(self) -> None:
        """The same for a time: new connections are closed at once until `resume`."""
        self.suspended = True
        for session in list(self.connections):
            session.closing = session.closing or "there is no fresh work"
            session.host.excused = True
            self._flush(session)

    def resume(self) -> None:
        """Miners are welcome again."""
        self.suspended = False

    def __len__(self) -> int:
        return len(self.connections)

    # --- connections -------------------------------------------------------------------------------------

    def buildProtocol(self, address: IAddress | None) -> StratumProtocol:
        """Twisted's: a connection for `address`."""
        if address is None:
            raise ValueError("a connection without an address")
        return StratumProtocol(self, address)

    def register(self, protocol: StratumProtocol) -> Session | None:
        """A session with an extranonce1 of its own, or None where the house is full or closed to this host."""
        if self.suspended:
            return None
        now = self.clock()
        reason = self.guard.turned_away(protocol.host, now)
        if reason is None and not self._has_place(protocol.host, now):
            reason = "too many connections"
        if reason is not None:
            self._stats.record_turned_away(reason, now)
            if reason != BANNED and self.guard.may_log(protocol.host, reason, now):
                _log.warn("{host} is not let in: {reason}", host=protocol.host, reason=reason)
            return None
        conduct = self.guard.connected(protocol.host, now)
        conduct.owner = session = self._make_session(self._house, conduct, now)
        self.connections[session] = protocol
        self._stats.record_connected(now)
        return session

    def _has_place(self, host: str, now: float) -> bool:
        """Return whether one more connection of `host` has a place, after closing one that never worked if all are
        taken."""
        if len(self.connections) < self.limits.max_connections:
            return True
        evicted = self.guard.make_room(host, now)
        if evicted is None:
            return False
        evicted.closing, evicted.excused = "it never worked and others need its place", True
        if evicted.authorized_at is None and evicted.owner in self.connections:
            self.connections[evicted.owner].abort()  # it has no work, so there is nothing to wait for
        self._close_connection(evicted)
        return len(self.connections) < self.limits.max_connections

    def unregister(self, session: Session) -> None:
        """The connection is over."""
        del self.connections[session]
        session.host.owner = None
        session.connection_lost(self.clock())
        self._stats.record_disconnected()

    def drain(self, protocol: StratumProtocol) -> None:
        """What a connection that is over has already sent is read for a moment."""
        site = site_key(protocol.host)
        if len(self._draining) >= MAX_DRAINING:
            evicted = self._draining_by_site.candidate(site)
            if evicted is not None:
                self.drained(evicted)  # the reactor tells of its end later
                evicted.abort()
        self._draining[protocol] = self._reactor.seconds() + DRAIN_TIME
        self._draining_by_site.add(protocol, site)

    def drained(self, protocol: StratumProtocol) -> None:
        """It is gone."""
        self._draining.pop(protocol, None)
        self._draining_by_site.discard(protocol)

    def _host_banned(self, key: str) -> None:
        """Its connections are closed, after what is being done for one of them."""
        self._reactor.callLater(0, self._close_host, key)

    def _close_host(self, key: str) -> None:
        for conduct in self.guard.connections_of(key):
            conduct.closing = conduct.closing or "its host is banned"
            self._close_connection(conduct)

    def _misbehaved(self, conduct: Conduct) -> None:
        """Close the connection, after what is being done for it."""
        self._reactor.callLater(0, self._close_connection, conduct)

    def _close_connection(self, conduct: Conduct) -> None:
        session = conduct.owner
        if isinstance(session, Session):
            session.closing = session.closing or conduct.closing
            self._flush(session)

    def _displaced(self, session: Resumable) -> None:
        if isinstance(session, Session):
            self._flush(session)

    def _flush(self, session: Session) -> None:
        protocol = self.connections.get(session)
        if protocol is not None:
            protocol.flush()

    # --- work and messages -------------------------------------------------------------------------------

    def work_changed(self, parent_block: int, clean: bool, more_to_come: bool = False) -> None:
        """There is new work: send it to all. `more_to_come` where newer work is expected within milliseconds."""
        self._fan_out.work_changed(parent_block, clean, more_to_come)

    def set_version_mask(self, mask: int) -> None:
        """The header version bits that miners may roll, from now on."""
        self._house.settings = replace(self._house.settings, version_mask=mask)

    @property
    def version_mask(self) -> int:
        """The header version bits that miners may roll."""
        return self._house.settings.version_mask

    def serve(self, session: Session, step: Callable[..., None], *arguments: object) -> None:
        """One connection's step of a round and what it has to say. A defect that only one connection meets ends
        that connection: the others are still served."""
        protocol = self.connections.get(session)
        if protocol is None:
            return
        try:
            step(*arguments)
            protocol.flush()
        except Exception:
            _log.failure("serving {host} failed", host=protocol.host)
            protocol.abort()

    def _tick(self) -> None:
        now, seconds = self.clock(), self._reactor.seconds()
        self._house.registry.retire(now)
        if not self._rota:
            self._rota = list(self.connections)
            self._rota_step = -(-len(self._rota) // _ROTA)  # a round takes its time even if most of them go
            self.guard.tick(now)
            self._house.solutions.retire()
            self._stats.record_host_loads(
                host_loads((session.host.key, session.workers) for session in self.connections)
            )
            self._house.sessions.expire(now)
        count = self._rota_step
        due, self._rota = self._rota[:count], self._rota[count:]
        for session in due:
            self.serve(session, session.tick, now)
        while self._draining:
            protocol, until = next(iter(self._draining.items()))
            if seconds < until:
                break
            self.drained(protocol)
            protocol.abort()
