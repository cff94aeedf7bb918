"""The gateway's side of statistics: sends the node a report a second, and each until the node has counted it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from p2pool.base.environment import Environment
from p2pool.base.errors import ParseError
from p2pool.base.timer import Timer
from p2pool.base.warn_once import WarnRarely
from p2pool.broker.connection import BrokerError
from p2pool.broker.operations import append
from p2pool.gateway.messages import pack_message, parse_message
from p2pool.gateway.names import Names
from p2pool.gateway.ports import BrokerPort
from p2pool.gateway.sums_collector import SumsCollector
from p2pool.gateway.sums_messages import CountedMessage, SumsMessage

_log = Logger(namespace="p2pool.gateway")

PERIOD: Final = 1.0
"""Seconds between two reports."""
HEARTBEAT: Final = 10.0
"""Seconds between two reports if there is nothing to report."""
FIRST_PATIENCE, LAST_PATIENCE = 5.0, 60.0
"""Seconds without an answer after which a report is sent again: doubled each time, up to the last."""
KEPT_SUMS: Final = 256
"""Reports that the broker keeps; each gateway has one under way."""
RATES_TIME: Final = 120.0
"""Seconds for which the node's hash rates of payout addresses hold."""


@dataclass(frozen=True, slots=True)
class GatewayIdentity:
    """Who a gateway is: its name, the address that miners use, and the version of its software."""

    name: str
    address: str
    version: str


@dataclass(slots=True)
class _UnderWay:
    """A report that the node has not counted yet."""

    number: int
    data: bytes
    patience: float
    sent: float
    """When it was last sent, by the reactor's clock."""


class SumsSender:
    """Sends a gateway's sums. What the node has not counted waits here, merged into one report."""

    def __init__(
        self,
        environment: Environment,
        broker: BrokerPort,
        *,
        names: Names,
        collector: SumsCollector,
    ) -> None:
        self._reactor = environment.reactor
        self._broker = broker
        self._names = names
        self._collector = collector
        self._identity = GatewayIdentity("", "", "")
        self._run = environment.nonce() >> 1  # MessagePack readers take 63 bits
        self._started = environment.clock()
        self._number = 0
        self._cut = environment.reactor.seconds()
        """When the sums of the newest report ended, by the reactor's clock."""
        self._under_way: _UnderWay | None = None
        self._node: int | None = None
        """The run of the node that answered last."""
        self._rates: dict[str, float] = {}
        self._rates_end = 0.0
        self._unreadable = WarnRarely(environment.monotonic)
        self._timer: Timer | None = None

    def start(self, identity: GatewayIdentity) -> None:
        """Send from now on, as the gateway that `identity` says."""
        self._identity = identity
        self._timer = Timer(self._reactor, PERIOD, self._tick, name="send sums to the node")

    def stop(self) -> Deferred[None]:
        """Send all that is left, without waiting for the node: the broker keeps it. Fires when that is done."""
        if self._timer is not None:
            self._timer.stop()
        done: Deferred[None] = succeed(None)
        if self._broker.problem is not None:
            if self._collector.unsent:
                _log.warn(
                    "the statistics of {count} submissions are lost: {problem}",
                    count=self._collector.unsent,
                    problem=self._broker.problem,
                )
            return done
        if self._under_way is not None:
            self._append(self._under_way.data)
        while self._collector.has_news:
            done = self._append(self._next_report())
        return self._append(self._next_report(leaving=True))

    def address_hash_rate(self, address: str, now: float) -> float:
        """Return the hash rate of a payout address: here or, if the node knows of more, of the whole pool."""
        here = self._collector.stats.address_hash_rate(address, now)
        if self._reactor.seconds() >= self._rates_end:
            return here
        return max(here, self._rates.get(address, 0.0))

    # --- sending -----------------------------------------------------------------------------------------

    def _tick(self) -> None:
        now, waiting = self._reactor.seconds(), self._under_way
        if waiting is None:
            if self._collector.has_news or now - self._cut >= HEARTBEAT or not self._number:
                self._send_next()
        elif now - waiting.sent >= waiting.patience and self._broker.problem is None:
            waiting.sent, waiting.patience = now, min(2 * waiting.patience, LAST_PATIENCE)
            self._append(waiting.data)

    def _send_next(self) -> None:
        data = self._next_report()
        self._under_way = _UnderWay(self._number, data, FIRST_PATIENCE, self._reactor.seconds())
        self._append(data)

    def _next_report(self, *, leaving: bool = False) -> bytes:
        now = self._reactor.seconds()
        seconds, self._cut = max(0.0, now - self._cut), now
        self._number += 1
        collector, identity = self._collector, self._identity
        workers, whole = collector.cut()
        connected, turned_away, offences = collector.cut_words()
        return pack_message(
            SumsMessage(
                gateway=identity.name[:128],
                address=identity.address[:128],
                version=identity.version[:128],
                run=self._run,
                number=self._number,
                started=self._started,
                seconds=seconds,
                connections=collector.connections,
                connected=connected,
                turned_away=turned_away,
                offences=offences,
                workers=workers,
                whole=whole,
                leaving=leaving,
            )
        )

    def _append(self, data: bytes) -> Deferred[None]:
        """Add a report to the stream. If that fails, it is sent again later."""

        def failed(failure: Any) -> None:
            failure.trap(BrokerError)

        return self._broker.ask(append(self._names.sums, data, keep=KEPT_SUMS)).addErrback(failed)

    # --- from the node -----------------------------------------------------------------------------------

    def take(self, data: bytes) -> None:
        """Take an answer of the node. What cannot be read is logged once."""
        try:
            answer = parse_message(CountedMessage, data)
        except ParseError as error:
            if self._unreadable.is_due(error):
                _log.error("cannot read what the node counted: {error}", error=error)
            return
        if answer.run != self._node:
            self._node = answer.run
            self._collector.name_all()
        if answer.rates is not None:
            self._rates, self._rates_end = answer.rates, self._reactor.seconds() + RATES_TIME
        waiting = self._under_way
        if waiting is not None and answer.counted.get(self._run, 0) >= waiting.number:
            self._under_way = None
            if self._collector.unfinished:
                self._send_next()
