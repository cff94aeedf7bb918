"""How many connections each host has at all processes of a pool, for --max-connections-per-ip.

Each process publishes its own counts every PERIOD seconds under a key that expires, and its guard adds those of
the others. Without the broker each process goes by its own counts.
"""

from __future__ import annotations

import heapq
from contextlib import suppress
from typing import Final

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from p2pool.base.environment import Environment
from p2pool.base.errors import ParseError
from p2pool.base.timer import Timer
from p2pool.base.warn_once import WarnOnce
from p2pool.broker.connection import BrokerError
from p2pool.broker.shared import exchange, leave
from p2pool.gateway.action_messages import MAX_HOSTS, HostCounts
from p2pool.gateway.messages import pack_message, parse_message
from p2pool.gateway.names import Names
from p2pool.gateway.ports import BrokerPort
from p2pool.stratum.guard import Guard

_log = Logger(namespace="p2pool.gateway")

PERIOD: Final = 3.0
"""Seconds between two publications."""
LIFETIME: Final = 15.0
"""Seconds for which counts are valid."""
LEAST_PART: Final = 100
"""A host that has less than this part of the limit at a process is not published by it."""
MAX_ELSEWHERE: Final = 100_000
"""Hosts of other processes that are counted, as often as they occur; further processes are left out."""


class SharedCounts:
    """Exchanges the counts of a guard with those of the other processes."""

    def __init__(
        self,
        environment: Environment,
        broker: BrokerPort,
        *,
        names: Names,
        guard: Guard,
        name: str,
        is_gateway: bool,
    ) -> None:
        self.gateways: frozenset[str] = frozenset()
        """The other gateways that published within LIFETIME."""
        self._reactor = environment.reactor
        self._broker = broker
        self._group = names.members
        self._guard = guard
        self._name = name
        self._is_gateway = is_gateway
        self._timer: Timer | None = None
        self._expiry: IDelayedCall | None = None
        self._unreadable = WarnOnce()

    def start(self) -> None:
        """Exchange counts from now on."""
        self._timer = Timer(self._reactor, PERIOD, self.exchange, name="exchange connection counts")

    def stop(self) -> None:
        """Stop exchanging connection counts."""
        if self._timer is not None:
            self._timer.stop()
        self._expect_until(None)

    async def leave(self) -> None:
        """Take the own counts back, if the broker is there."""
        if self._broker.problem is None:
            with suppress(BrokerError):
                await self._broker.ask(leave(self._group, self._name))

    async def exchange(self) -> None:
        """Publish the own counts, and take those of the others."""
        value = pack_message(HostCounts(name=self._name, is_gateway=self._is_gateway, hosts=self._own()))
        try:
            values = await self._broker.ask(exchange(self._group, self._name, value, seconds=LIFETIME))
        except BrokerError:
            return
        self._take(values)
        self._expect_until(LIFETIME)

    def _own(self) -> dict[str, int]:
        least = max(1, self._guard.settings.max_connections_per_host // LEAST_PART)
        counts = self._guard.connection_counts(least)
        if len(counts) <= MAX_HOSTS:
            return counts
        return dict(heapq.nlargest(MAX_HOSTS, counts.items(), key=lambda item: item[1]))

    def _take(self, values: list[bytes]) -> None:
        total: dict[str, int] = {}
        gateways, problems, left = set(), [], MAX_ELSEWHERE
        for value in values:
            if left <= 0:
                break
            try:
                counts = parse_message(HostCounts, value)
            except ParseError as error:
                problems.append(str(error))
                continue
            if counts.is_gateway:
                gateways.add(counts.name)
            left -= len(counts.hosts)
            for host, count in counts.hosts.items():
                total[host] = total.get(host, 0) + count
        for problem in self._unreadable.new(problems[:1]):
            _log.error("cannot read the connection counts of another process: {problem}", problem=problem)
        self._guard.elsewhere = total
        self.gateways = frozenset(gateways)

    def _expect_until(self, seconds: float | None) -> None:
        """Forget the others' counts in so many seconds unless there are new ones before; None for never."""
        if self._expiry is not None and self._expiry.active():
            self._expiry.cancel()
        self._expiry = None if seconds is None else self._reactor.callLater(seconds, self._forget)

    def _forget(self) -> None:
        self._guard.elsewhere = {}
        self.gateways = frozenset()
