"""The daemons that a gateway was given: found blocks go to them at once, in addition to the node.

Unlike a node, a gateway has no default: without a flag that names a dashd, or the password of one, it polls none.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from p2pool.app.config import Config
from p2pool.app.dashd import DashdAssembly, daemon_addresses
from p2pool.base.environment import Environment
from p2pool.dash.hashes import hash_hex
from p2pool.dashd.found_block import FoundBlock
from p2pool.pool_stats import PoolStats

_log = Logger(namespace="p2pool.gateway")


class GatewayDaemons:
    """The delivery of a gateway's blocks to its own daemons and over p2p; nothing without a daemon."""

    def __init__(self, environment: Environment, config: Config, *, stats: PoolStats) -> None:
        """Raise OperatorError for daemons that are given twice or without credentials."""
        self._addresses = daemon_addresses(config, local=False)
        self._assembly: DashdAssembly | None = None
        if self._addresses:
            self._assembly = DashdAssembly(
                environment, config, node=None, stats=stats, new_template=lambda template: None
            )

    @property
    def deliver(self) -> Callable[[FoundBlock], None] | None:
        """Return what takes found blocks; None without a daemon."""
        return None if self._assembly is None else self._deliver

    @property
    def problem(self) -> str | None:
        """Return what is wrong with the daemons; None while all is well, or if there are none."""
        return None if self._assembly is None else self._assembly.problem

    async def start(self) -> None:
        """Connect to the daemons, and go on with blocks that an earlier run left on disk."""
        if self._assembly is None:
            _log.info(
                "no --dashd: found blocks go to the node, through the broker; give --dashd URL to send them to a "
                "dashd as well, in case the broker or the node is down"
            )
            return
        await self._assembly.start(self._addresses)

    async def stop(self) -> None:
        """Disconnect; found blocks are on disk when this returns."""
        if self._assembly is not None:
            await self._assembly.stop()

    def _deliver(self, found: FoundBlock) -> None:
        if self._assembly is not None:
            self._assembly.block_found(found)
            _log.info(
                "BLOCK {height} {block_hash} found by {worker}: sent to {count} dashd as well as to the node",
                height=found.height,
                block_hash=hash_hex(found.block_hash),
                worker=found.worker,
                count=len(self._addresses),
            )
