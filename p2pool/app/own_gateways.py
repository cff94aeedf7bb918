"""The assembly of the gateways that a node starts itself: how each is started, and what former ones left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.internet.task import deferLater
from twisted.logger import Logger

from p2pool.app.child_process import ChildProcess
from p2pool.app.child_settings import child_command
from p2pool.app.config import Config
from p2pool.app.gateway_children import GatewayChildren
from p2pool.app.leftover_gateways import collect_leftovers
from p2pool.app.stratum import StratumAssembly
from p2pool.base.environment import Environment

BROKER_TIME: Final = 300.0
"""Seconds to wait for the broker before gateways take over: without it they have no work. Former ones go on."""
BROKER_NOTICE: Final = 5.0
"""Seconds without the broker after which the operator is told what is waited for."""
_POLL: Final = 0.5
_log = Logger(namespace="p2pool.gateway")


class OwnGateways:
    """The gateways of one node. The processes, `children`, outlive it if another process may take over.
    `has_broker` returns whether the broker answers."""

    def __init__(
        self,
        environment: Environment,
        config: Config,
        *,
        stratum: StratumAssembly,
        children: GatewayChildren,
        has_broker: Callable[[], bool],
    ) -> None:
        self._environment = environment
        self._config = config
        self._stratum = stratum
        self._children = children
        self._has_broker = has_broker
        self._adopts = self._stopping = self._kept = False

    def wait_for_adoption(self) -> None:
        """Start no gateways before `take_over`: those of the process that this one replaces serve the miners."""
        self._adopts = True

    def start(self) -> None:
        """Start the gateways, unless those of another process are to be replaced."""
        if not self._adopts:
            self._start_soon(one_by_one=False)

    def take_over(self) -> None:
        """Start the gateways one by one: each takes over from the former process' one."""
        self._adopts = False
        self._start_soon(one_by_one=True)

    def _start_soon(self, *, one_by_one: bool) -> None:
        ensureDeferred(self._start(one_by_one=one_by_one)).addErrback(
            lambda failure: _log.failure("internal error: cannot start the gateways", failure)
        )

    async def _start(self, *, one_by_one: bool) -> None:
        config = self._config
        if one_by_one and not self._children.running():
            await self._wait_for_broker()
        if self._stopping:
            return
        await collect_leftovers(
            self._environment, config.datadir, network=config.network.name, count=config.gateways
        )
        if not self._stopping:
            self._children.start(self._start_one, one_by_one=one_by_one)

    async def _wait_for_broker(self) -> None:
        """Wait until the broker answers: gateways that take over without it have no work for their miners."""
        began, noticed = self._environment.monotonic(), False
        while not self._has_broker() and not self._stopping:
            waited = self._environment.monotonic() - began
            if waited >= BROKER_TIME:
                return
            if waited >= BROKER_NOTICE and not noticed:
                noticed = True
                _log.warn("the broker does not answer: the former gateways keep their miners until it does")
            await deferLater(self._environment.reactor, _POLL, lambda: None)

    def _start_one(
        self, number: int, *, said: Callable[[str], None], ended: Callable[[int], None]
    ) -> ChildProcess:
        """Start the gateway of a number. Raises OSError."""
        command = child_command(self._config, number, port=self._stratum.port, tls_port=self._stratum.tls_port)
        return ChildProcess(
            self._environment.reactor,
            command.arguments,
            environment=command.environment,
            said=said,
            ended=ended,
        )

    def keep(self) -> None:
        """Let the gateways run when the node stops: another process may take over."""
        self._stopping = self._kept = True
        self._children.keep()

    def stop(self) -> Deferred[None]:
        """Stop all gateways unless they are kept. The Deferred fires when they have ended."""
        self._stopping = True
        return succeed(None) if self._kept else self._children.stop()
