"""The node's side of new work: publishes it to the gateways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pool.base.environment import Environment
from p2pool.base.errors import ParseError
from p2pool.base.timer import Timer
from p2pool.base.warn_once import WarnRarely
from p2pool.broker.connection import BrokerError
from p2pool.broker.operations import Entry, StreamReader, append
from p2pool.gateway.messages import WorkMessage, WorkSender, pack_message, parse_message
from p2pool.gateway.names import Names
from p2pool.gateway.ports import BrokerPort
from p2pool.gateway.transaction_feed import TransactionFeed
from p2pool.gateway.work_codec import WorkChangeSent, work_message
from p2pool.jobs.job_maker import JobTerms
from p2pool.share.share import ChainView

_log = Logger(namespace="p2pool.gateway")

KEPT_WORK: Final = 16
"""Messages of the stream of work that the broker keeps; gateways need the newest."""
REPEAT: Final = 10.0
"""Seconds after which the newest work is sent again, with new terms: gateways see that the node lives."""
TRANSACTIONS_FIRST: Final = 0.1
"""Seconds for which work waits at most until the broker has its transactions: without them, a block that a gateway
finds on it is lost if the node dies in that moment."""


class WorkFeed:
    """Publishes the work of a node. `number` counts the works of this run."""

    def __init__(
        self,
        environment: Environment,
        broker: BrokerPort,
        *,
        names: Names,
        view: ChainView,
        terms: JobTerms,
        blocked: Callable[[], str | None],
        withdrawn: Callable[[], bool],
    ) -> None:
        """Take `blocked`, which returns why there is no work, None while there is; and `withdrawn`, which returns
        whether miners must not wait for work either."""
        self._environment = environment
        self._broker = broker
        self._names = names
        self._view = view
        self._terms = terms
        self._blocked = blocked
        self._withdrawn = withdrawn
        self._run = environment.nonce() >> 1  # MessagePack readers take 63 bits
        self._number = 0
        self._change: WorkChangeSent | None = None
        self._under_way = False
        """Whether the broker is being given work."""
        self._next: WorkMessage | None = None
        """What it is given then: a slow broker gets the newest work, not all that there was."""
        self.transactions = TransactionFeed(environment, broker, names=names)
        self.transactions.stored.subscribe(self._transactions_stored)
        self._held: WorkMessage | None = None
        """Work whose transactions are being stored."""
        self._release: IDelayedCall | None = None
        self._has_sent = False
        """Whether the broker has brought work of this run."""
        self._other_node = WarnRarely(environment.monotonic)
        self._timer: Timer | None = None

    def start(self) -> None:
        """Send the newest work again and again."""
        self.transactions.start()
        self._broker.follow(StreamReader(self._names.work), self._entries_came)
        self._timer = Timer(
            self._environment.reactor, REPEAT, self.repeat, name="send work to gateways", now=False
        )

    def stop(self) -> None:
        """Send no more work."""
        self.transactions.stop()
        self._drop_held()
        if self._timer is not None:
            self._timer.stop()

    def work_changed(self, change: WorkChangeSent) -> None:
        """Publish new work for all gateways."""
        self._change = change
        self._number += 1
        self._send(change)

    def _entries_came(self, entries: list[Entry]) -> None:
        """Report work of another node. That of an earlier run comes before that of this one."""
        for entry in entries:
            try:
                run = parse_message(WorkSender, entry.data).run
            except ParseError:
                continue  # gateways report it
            if run == self._run:
                self._has_sent = True
            elif self._has_sent and self._other_node.is_due("another node"):
                _log.error(
                    "another node sends work for {network} through this broker: gateways change between the two, "
                    "and each takes solutions of the other. Stop one, or give it another database of Redis",
                    network=self._names.network,
                )

    def repeat(self) -> None:
        """Send the newest work again, with terms of now: the broker may be new, or may have lost it."""
        if self._change is not None and (self._blocked() is None or self._withdrawn()):
            self._send(self._change)

    def _send(self, change: WorkChangeSent) -> None:
        now = self._environment.clock()
        message = work_message(change, view=self._view, terms=self._terms, now=now)
        elapsed = self._environment.monotonic()
        message = msgspec.structs.replace(
            message, run=self._run, number=self._number, elapsed=elapsed, withdrawn=self._withdrawn()
        )
        self.transactions.offer(message.template.transactions, change.context.template)
        if self.transactions.is_stored(message.template.transactions):
            self._drop_held()
            self._publish(message)
        else:
            self._held = message
            if self._release is None:
                self._release = self._environment.reactor.callLater(TRANSACTIONS_FIRST, self._publish_held)

    def _transactions_stored(self, key: bytes) -> None:
        if self._held is not None and self._held.template.transactions == key:
            self._publish_held()

    def _publish_held(self) -> None:
        message = self._held
        self._drop_held()
        if message is not None:
            self._publish(message)

    def _drop_held(self) -> None:
        self._held = None
        release, self._release = self._release, None
        if release is not None and release.active():
            release.cancel()

    def _publish(self, message: WorkMessage) -> None:
        if self._under_way:
            self._next = message
            return
        self._under_way = True
        self._broker.ask(append(self._names.work, pack_message(message), keep=KEPT_WORK)).addBoth(self._published)

    def _published(self, result: object) -> None:
        """Go on with the newest work. If the broker failed, it reports that itself, and the next work will do."""
        self._under_way = False
        message, self._next = self._next, None
        if message is not None:
            self._publish(message)
        if isinstance(result, Failure):
            result.trap(BrokerError)
