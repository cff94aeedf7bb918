"""The node's side of statistics: counts the reports of gateways, each once, and answers which it has counted.

The answers are a stream of the broker, which the next run of the node reads first: a report that this one has
counted and not acknowledged is not counted again.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from p2pool.base.bounded import BoundedDict
from p2pool.base.environment import Environment
from p2pool.base.errors import ParseError
from p2pool.base.time_slice import TimeSlice
from p2pool.base.timer import Timer
from p2pool.base.warn_once import WarnRarely
from p2pool.broker.connection import BrokerError
from p2pool.broker.operations import Entry, GroupReader, acknowledge, append, newest
from p2pool.gateway.messages import pack_message, parse_message
from p2pool.gateway.name_watch import NameWatch
from p2pool.gateway.names import NODE_GROUP, Names
from p2pool.gateway.ports import BrokerPort
from p2pool.gateway.sums_messages import MAX_COUNTED, MAX_RATES, CountedMessage, SumsMessage
from p2pool.pool_stats import PoolStats
from p2pool.pool_stats.gateways import GATEWAY_SILENCE

_log = Logger(namespace="p2pool.gateway")

KEPT_ANSWERS: Final = 256
"""Answers that the broker keeps; gateways need the newest ones."""
ANSWER_PERIOD: Final = 10.0
"""Seconds between two answers with hash rates, which show gateways which node is there."""


class _AnswersFirst:
    """Reads the newest answer of an earlier run, then the reports of gateways: call it with a client."""

    def __init__(self, names: Names) -> None:
        self.reports = GroupReader(names.sums, NODE_GROUP)
        self._answers: str | None = names.counted

    def __call__(self, client: Any) -> list[Entry]:
        """Return the next entries; wait for them if there are none."""
        if self._answers is not None:
            entry = newest(self._answers)(client)
            self._answers = None
            if entry is not None:
                return [entry]
        return self.reports(client)


class SumsIntake:
    """Counts the gateways' reports into a node's statistics."""

    def __init__(self, environment: Environment, broker: BrokerPort, *, names: Names, stats: PoolStats) -> None:
        self._environment = environment
        self._broker = broker
        self._names = names
        self._stats = stats
        self._run = environment.nonce() >> 1  # MessagePack readers take 63 bits
        self._reader = _AnswersFirst(names)
        self._counted: BoundedDict[int, int] = BoundedDict(MAX_COUNTED)
        """The last report that is counted, by the run of the gateway; the one that was heard last at the end."""
        self._present: set[str] = set()
        self._name_watch = NameWatch()
        self._unreadable = WarnRarely(environment.monotonic)
        self._timer: Timer | None = None

    def start(self) -> None:
        """Count from now on, first what an earlier run did not acknowledge."""
        self._broker.follow(self._reader, self._entries_came)
        self._timer = Timer(
            self._environment.reactor, ANSWER_PERIOD, self._answer_rates, name="answer gateways", now=False
        )

    def stop(self) -> None:
        """Answer no more; what gateways report from now on waits for the next start."""
        if self._timer is not None:
            self._timer.stop()

    def _entries_came(self, entries: list[Entry]) -> Deferred[None]:
        return Deferred.fromCoroutine(self.take_entries(entries))

    async def take_entries(self, entries: list[Entry]) -> None:
        """Count reports, answer, and acknowledge them. An answer of an earlier run says what it had counted."""
        time_slice = TimeSlice(self._environment)
        for entry in entries:
            try:
                if entry.stream == self._names.counted:
                    self._remember(parse_message(CountedMessage, entry.data))
                else:
                    for _ in self._count(parse_message(SumsMessage, entry.data)):
                        await time_slice.pause_if_over()
            except ParseError as error:
                if self._unreadable.is_due(error):
                    _log.error("cannot count what a gateway reports: {problem}", problem=error)
        await self._try(self._answer(None))
        reports = [entry.id for entry in entries if entry.stream == self._names.sums]
        if reports:
            await self._try(acknowledge(self._names.sums, NODE_GROUP, reports))

    def _remember(self, answer: CountedMessage) -> None:
        for run, number in answer.counted.items():
            self._counted[run] = number

    def _count(self, report: SumsMessage) -> Generator[None, None, None]:
        """Count a report, unless it was counted before, in steps."""
        last = self._counted.pop(report.run, 0)
        self._counted[report.run] = max(last, report.number)
        if report.number > last:
            yield from self._stats.gateway_steps(report, self._environment.clock())
            problem = self._name_watch.problem(report)
            if problem is not None:
                _log.error("{problem}", problem=problem)
        yield

    def _answer(self, rates: dict[str, float] | None) -> Callable[[Any], None]:
        message = CountedMessage(run=self._run, counted=dict(self._counted), rates=rates)
        return append(self._names.counted, pack_message(message), keep=KEPT_ANSWERS)

    async def _answer_rates(self) -> None:
        """Send the hash rates of the addresses that mine in several places, and log which gateways are there."""
        now = self._environment.clock()
        rates = {address[:128]: rate for address, rate in self._stats.shared_rates(MAX_RATES, now)}
        self._log_changes(now)
        await self._try(self._answer(rates))

    def _log_changes(self, now: float) -> None:
        gateways = self._stats.gateways(now)
        present = {gateway.name for gateway in gateways if gateway.present}
        for gateway in gateways:
            if gateway.name in present - self._present:
                _log.info(
                    "gateway {name} is connected: version {version}, {connections} connections",
                    name=gateway.name,
                    version=gateway.version,
                    connections=gateway.connections,
                )
            elif gateway.name in self._present - present:
                silent = now - gateway.last_heard
                if silent > GATEWAY_SILENCE:
                    _log.warn(
                        "gateway {name} is gone: no report for {seconds:.0f} s", name=gateway.name, seconds=silent
                    )
                else:
                    _log.info("gateway {name} has stopped", name=gateway.name)
        self._present = present

    async def _try(self, action: Callable[[Any], None]) -> None:
        """Ask the broker. If that fails, the reports come again."""
        try:
            await self._broker.ask(action)
        except BrokerError:
            self._reader.reports.read_again()
