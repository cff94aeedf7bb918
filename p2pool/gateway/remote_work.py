"""The gateway's side of new work: stratum's WorkPort on the work that the node publishes."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from twisted.logger import Logger
from typing_extensions import override

from p2pool.base.environment import Environment
from p2pool.base.errors import ParseError
from p2pool.base.observable import Event
from p2pool.base.warn_once import WarnOnce
from p2pool.dash.address import cached_address
from p2pool.dashd.template import BlockTemplate
from p2pool.gateway.messages import TermsPart, WorkMessage, parse_message
from p2pool.gateway.names import Names
from p2pool.gateway.ports import BrokerPort
from p2pool.gateway.recent_contexts import RecentContexts
from p2pool.gateway.transaction_fetch import TransactionFetcher
from p2pool.gateway.work_codec import WorkChangeSent, context_of
from p2pool.jobs.context import WorkContext
from p2pool.jobs.job import Job, Outcome
from p2pool.jobs.job_maker import JobMaker, JobTerms
from p2pool.networks.parameters import Network

_log = Logger(namespace="p2pool.gateway")

SILENCE: Final = 30.0
"""Seconds without a message after which the node counts as gone: it repeats its work three times as often."""
CLOCK_MESSAGES: Final = 8
"""Messages by which the node's clock is known: if it is set back, the gateway follows that many messages later."""


class Rates(Protocol):
    """The part of the statistics that jobs are made from."""

    def address_hash_rate(self, address: str, now: float) -> float:
        """Return the hash rate of the miners of one address, at all gateways as far as is known."""


@dataclass(frozen=True, slots=True)
class Solved:
    """What a miner of this gateway solved, and when by the node's clock."""

    outcome: Outcome
    worker: str
    found: float


class NodeClock:
    """The node's clock, by its messages. Each of them was under way for a while, some for many seconds in a broker
    that hung: the one that shows the latest time is right."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._run: int | None = None
        self._by_age = False
        """Whether only a message that had been in the broker is known."""
        self._offsets: deque[float] = deque(maxlen=CLOCK_MESSAGES)

    def take(self, run: int, sent: float, age: float) -> None:
        """Take what the clock showed when a message was sent, `age` seconds ago or more. Another run of the node
        may be on another machine; an age is right only as far as the broker's clock is, and does not count if
        other messages are known."""
        if run != self._run or self._by_age:
            self._offsets.clear()
        elif age > 0 and self._offsets:
            age = 0.0
        self._run, self._by_age = run, age > 0
        self._offsets.append(sent + age - self._monotonic())

    def now(self) -> float:
        """Return the node's time. Call it after `take`."""
        return self._monotonic() + max(self._offsets)


class Journey:
    """How long the node's messages were under way. A network that was cut, or a broker that hung, delivers minutes
    later what was sent before, perhaps by a node that is dead by then."""

    def __init__(self, clock: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._run: int | None = None
        self._offsets: deque[float] = deque(maxlen=CLOCK_MESSAGES)

    def time(self, message: WorkMessage) -> float:
        """Return for how many seconds longer a message was under way than the quickest of the newest ones of its
        run: two clocks that are never set may still differ in speed. The first one of a run is compared with this
        machine's clock: if one of the two is wrong by more than SILENCE, it takes the next message to tell."""
        if message.elapsed is None:
            return 0.0
        is_first = message.run != self._run
        if is_first:
            self._offsets.clear()
            self._run = message.run
        self._offsets.append(self._monotonic() - message.elapsed)
        if is_first:
            late = self._clock() - message.sent
            return late if late > SILENCE else 0.0
        return self._offsets[-1] - min(self._offsets)


class RemoteTerms(JobTerms):
    """The terms of jobs as the node sent them; `node_clock` returns its time."""

    def __init__(
        self, part: TermsPart, *, node_clock: Callable[[], float], network: Network, rates: Rates
    ) -> None:
        self._part = part
        self._node_clock = node_clock
        self._network = network
        self._rates = rates

    @property
    @override
    def fee(self) -> float:
        return self._part.fee

    @property
    @override
    def donation(self) -> int:
        return self._part.donation

    @property
    @override
    def stale_info(self) -> int:
        return self._part.stale_info

    @property
    @override
    def newest_template(self) -> BlockTemplate | None:
        return None

    @override
    def node_time(self, now: float) -> float:
        # Not `now`: this machine's clock may be set while the broker is gone.
        return self._node_clock()

    @override
    def operator_key_hash(self) -> bytes | None:
        return self._part.operator_key_hash

    @override
    def recent_finders(self) -> Iterable[bytes]:
        return self._part.recent_finders

    @override
    def local_rate(self, now: float) -> float:
        return self._part.local_rate

    @override
    def pool_rate(self) -> float | None:
        return self._part.pool_rate

    @override
    def address_rate(self, key_hash: bytes, now: float) -> float:
        address = cached_address(self._network.parent.addresses.pubkey_hash, key_hash)
        return self._rates.address_hash_rate(address, now)


class RemoteWork:
    """Makes jobs of the work that the node sent last. Implements `stratum.ports.WorkPort`.

    `work_changed` fires when there is other work, `solved_work` with what miners solve.
    """

    def __init__(
        self, environment: Environment, network: Network, *, broker: BrokerPort, names: Names, rates: Rates
    ) -> None:
        self.work_changed: Event[WorkChangeSent] = Event()
        self.solved_work: Event[Solved] = Event()
        self.context: WorkContext | None = None
        self.recent = RecentContexts()
        self._environment = environment
        self._clock = environment.clock
        self._network = network
        self._broker = broker
        self._rates = rates
        self._message: WorkMessage | None = None
        self._heard: float | None = None
        """When the node's last message came, by the clock that never steps."""
        self._node_clock = NodeClock(environment.monotonic)
        self._journey = Journey(environment.clock, environment.monotonic)
        self._terms: RemoteTerms | None = None
        self._maker: JobMaker | None = None
        self.transactions = TransactionFetcher(environment, broker, names=names)
        self._reported = WarnOnce()
        self._unusable: str | None = None
        """Why the newest message cannot be used; None if it can."""

    # --- from the node -----------------------------------------------------------------------------------

    def take(self, data: bytes, age: float = 0.0) -> None:
        """Take a message of the stream of work, which has been there for `age` seconds. What cannot be read is
        logged once, and the work stays."""
        now = self._clock()
        try:
            message = parse_message(WorkMessage, data)
            repeated = message.repeats(self._message)
            context = self.context if repeated else context_of(message, self._network, now - age)
        except ParseError as error:
            self._unusable = f"cannot use the node's work: {error}"
            for text in self._reported.new([self._unusable]):
                _log.error("{problem}", problem=text)
            return
        self._unusable = None
        self._reported.new([])
        heard = self._environment.monotonic()
        heard -= max(age, self._journey.time(message))
        self._heard = heard if self._heard is None else max(self._heard, heard)
        self._message = message
        self._node_clock.take(message.run, message.sent, age)
        self._terms = RemoteTerms(
            message.terms, node_clock=self._node_clock.now, network=self._network, rates=self._rates
        )
        self._maker = JobMaker(self._terms, self._environment.chance)
        self.transactions.request(message.template.previous_block, message.template.transactions)
        if context is not None and not repeated:
            self._use(context, message)

    def remember(self, data: bytes) -> None:
        """Remember earlier work, of a message that came before this gateway started: miners that come from other
        gateways may still have jobs on it."""
        try:
            message = parse_message(WorkMessage, data)
            key = (message.run, message.number)
            if self.recent.get(key) is None:
                self.recent.keep(key, context_of(message, self._network, self._clock()))
        except ParseError:
            return  # the newest message is reported, if it cannot be read either

    def _use(self, context: WorkContext, message: WorkMessage) -> None:
        former, self.context = self.context, context
        self.recent.keep((message.run, message.number), context)
        # Not only what the node says: work before this one may have been passed over.
        clean = message.clean or former is None or context.makes_worthless(former)
        self.work_changed.fire(WorkChangeSent(context, clean=clean, more_to_come=message.more_to_come))

    def problem(self) -> str | None:
        """Return why there is no fresh work, for people; None if there is."""
        if self._heard is None:
            return self._broker.problem or self._unusable or "the node has not sent any work yet"
        silent = self._environment.monotonic() - self._heard
        if silent <= SILENCE:
            return "the node has lost all other nodes" if self._is_withdrawn else None
        return self._broker.problem or self._unusable or f"the node has sent nothing for {silent:.0f} s"

    def missing(self) -> float:
        """Return for how many seconds there has been no fresh work, as far as the node's last message tells: it
        may have been in the broker for long when this gateway started. Infinity if the node has withdrawn it."""
        if self._heard is None:
            return 0.0
        if self._is_withdrawn:
            return math.inf
        return max(0.0, self._environment.monotonic() - self._heard - SILENCE)

    @property
    def _is_withdrawn(self) -> bool:
        return self._message is not None and self._message.withdrawn

    # --- for stratum -------------------------------------------------------------------------------------

    def make_job(self, key_hash: bytes, share_difficulty: float | None) -> Job | None:
        """Return a job on the newest work; None without work."""
        if self.context is None or self._maker is None:
            return None
        return self._maker.make(self.context, key_hash, share_difficulty=share_difficulty, now=self._clock())

    def is_current(self, job: Job) -> bool:
        """Return whether a job is on the tip."""
        return self.context is not None and job.context.tip == self.context.tip

    def solved(self, outcome: Outcome, worker: str) -> None:
        """Hand on a solution."""
        now = self._clock()
        self.solved_work.fire(Solved(outcome, worker, now if self._terms is None else self._terms.node_time(now)))
