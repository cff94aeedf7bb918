"""The assembly of what gateways share about sessions: prefixes of extranonce1, and sessions that move."""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.defer import TimeoutError as DeferredTimeoutError

from p2pool.base.environment import Environment
from p2pool.broker.connection import leave_to_broker
from p2pool.broker.operations import Entry, StreamReader, recent
from p2pool.gateway.names import Names
from p2pool.gateway.ports import BrokerPort
from p2pool.gateway.prefix_lease import PrefixLease
from p2pool.gateway.remote_work import RemoteWork
from p2pool.gateway.session_codec import SessionCodec
from p2pool.gateway.session_exchange import SessionExchange
from p2pool.gateway.work_feed import KEPT_WORK
from p2pool.stratum.server import StratumServer

FIRST_LEASE_TIME: Final = 2.0
"""Seconds that a start waits for the first lease; without it, sessions do not move to other gateways."""
STOP_TIME: Final = 2.0
"""Seconds that a stop waits until the broker has all sessions."""


class SharedSessions:
    """The sessions of one gateway, shared with the others."""

    def __init__(
        self,
        environment: Environment,
        broker: BrokerPort,
        *,
        names: Names,
        server: StratumServer,
        work: RemoteWork,
    ) -> None:
        self._environment = environment
        self._broker = broker
        self._names = names
        self._work = work
        self._context = context = server.session_context
        token, keep = f"{environment.nonce():016x}", server.limits.session_timeout
        self.lease = PrefixLease(
            environment,
            broker,
            names=names,
            token=token,
            keep=keep,
            use=self._use_prefix,
            in_use=self._prefixes_in_use,
        )
        codec = SessionCodec(token=token, network=names.network, context=context, contexts=work.recent)
        self.exchange = SessionExchange(
            environment, broker, names=names, token=token, context=context, codec=codec, keep=keep
        )

    async def start(self) -> None:
        """Lease a prefix, then share sessions; call it before there are miners, and before work is followed."""
        leased = self.lease.start()
        asked = self._broker.ask(recent(self._names.work, KEPT_WORK))
        asked.addCallback(self._remember).addErrback(leave_to_broker)
        self._broker.follow(StreamReader(self._names.handovers), self._came)
        self.exchange.start()
        await self._wait(leased, FIRST_LEASE_TIME)

    async def pause(self) -> None:
        """Let miners that ask for sessions of other gateways wait for the process that takes over."""
        await self._wait(self.exchange.pause(), STOP_TIME)

    async def stop(self) -> None:
        """Write all sessions to the broker, and release the prefix; without the broker, they expire there."""
        written, released = self.exchange.stop(), self.lease.stop()
        await self._wait(DeferredList([written, released], consumeErrors=True), STOP_TIME)

    async def _wait(self, deferred: Deferred[Any], seconds: float) -> None:
        try:
            await deferred.addTimeout(seconds, self._environment.reactor)
        except DeferredTimeoutError:
            return

    def _remember(self, entries: list[Entry]) -> None:
        for entry in entries:
            self._work.remember(entry.data)

    def _came(self, entries: list[Entry]) -> None:
        for entry in entries:
            self.exchange.take(entry.data)

    def _use_prefix(self, prefix: bytes) -> None:
        start = self._environment.chance.getrandbits(24)
        self._context.sessions.use_prefix(prefix, start)
        self._context.registry.use_prefix(prefix, start)

    def _prefixes_in_use(self) -> set[int]:
        sessions = self._context.sessions
        return {
            *(session.state.extranonce1[0] for session in sessions.live_sessions()),
            *(state.extranonce1[0] for state in sessions.saved_states()),
        }
