"""What a process shares with its pool besides work: bans, connections by host, and operators' actions."""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import ensureDeferred
from twisted.logger import Logger

from p2pool.app.stratum import StratumAssembly
from p2pool.base.environment import Environment
from p2pool.broker.connection import Broker
from p2pool.gateway.action_sender import ActionSender
from p2pool.gateway.action_taker import ActionTaker
from p2pool.gateway.names import Names
from p2pool.gateway.shared_bans import SharedBans
from p2pool.gateway.shared_counts import SharedCounts

_log = Logger(namespace="p2pool.gateway")

COMPARE_PAUSE: Final = 5.0
"""Seconds between two comparisons of the bans, however often the broker comes and goes."""


class SharedPool:
    """The process's part of what the pool shares. `name` is how the others call it; the node announces actions
    through `sender`, gateways carry them out."""

    def __init__(
        self,
        environment: Environment,
        broker: Broker,
        *,
        names: Names,
        stratum: StratumAssembly,
        name: str,
        is_gateway: bool,
    ) -> None:
        guard = stratum.server.guard
        self._reactor = environment.reactor
        self._broker = broker
        self._compared = 0.0
        """When the bans were last compared because the broker was back, by the reactor's clock."""
        self._bans = SharedBans(environment, broker, names=names, guard=guard, name=name)
        self._counts = SharedCounts(
            environment, broker, names=names, guard=guard, name=name, is_gateway=is_gateway
        )
        self._taker = ActionTaker(
            environment,
            broker,
            names=names,
            name=name,
            bans=self._bans,
            operations=stratum.operator if is_gateway else None,
        )
        self.sender = ActionSender(
            environment,
            broker,
            names=names,
            name=name,
            bans=self._bans,
            gateways=lambda: self._counts.gateways,
            mask=lambda: stratum.server.version_mask,
        )
        self._parts = (self._bans, self._counts, self._taker, *(() if is_gateway else (self.sender,)))

    def start(self) -> None:
        """Share from now on."""
        self._broker.changed.subscribe(self._broker_changed)
        for part in self._parts:
            part.start()

    async def stop(self) -> None:
        """Share no longer; the others no longer count this process's connections."""
        for part in self._parts:
            part.stop()
        await self._counts.leave()

    def _broker_changed(self, problem: str | None) -> None:
        """Compare the bans with the broker's at once when it is back: it may have lost them, or have others."""
        now = self._reactor.seconds()
        if problem is None and now - self._compared >= COMPARE_PAUSE:
            self._compared = now
            ensureDeferred(self._bans.compare()).addErrback(
                lambda failure: _log.failure("internal error: cannot compare the bans", failure)
            )
