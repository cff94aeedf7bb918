"""The node's side of new work: publishes it to the gateways, and the transactions that complete a block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from twisted.logger import Logger

from p2pool.base.bounded import BoundedDict
from p2pool.base.environment import Environment
from p2pool.base.timer import Timer
from p2pool.broker.connection import BrokerError
from p2pool.broker.operations import append, put
from p2pool.gateway.messages import WorkMessage, pack_message
from p2pool.gateway.names import Names
from p2pool.gateway.ports import BrokerPort
from p2pool.gateway.work_codec import WorkChangeSent, transactions_key, work_message
from p2pool.jobs.job_maker import JobTerms
from p2pool.share.share import ChainView

_log = Logger(namespace="p2pool.gateway")

KEPT_WORK: Final = 16
"""Messages of the stream of work that the broker keeps; gateways need the newest."""
REPEAT: Final = 10.0
"""Seconds after which the newest work is sent again, with new terms: gateways see that the node lives."""
TRANSACTIONS_TIME: Final = 3600.0
"""Seconds for which the broker keeps the transactions of a template after it was last in use."""
MAX_TEMPLATES: Final = 32
"""Templates whose transactions this node remembers to complete blocks; about 2 MB each at most."""


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
    ) -> None:
        """Take `blocked`, which returns why there is no work; None while there is."""
        self._environment = environment
        self._broker = broker
        self._names = names
        self._view = view
        self._terms = terms
        self._blocked = blocked
        self._run = environment.nonce() >> 1  # MessagePack readers take 63 bits
        self._number = 0
        self._change: WorkChangeSent | None = None
        self._templates: BoundedDict[bytes, tuple[bytes, ...]] = BoundedDict(MAX_TEMPLATES)
        self._stored: dict[bytes, float] = {}
        """When each template's transactions were last stored in the broker. Bound: as `_templates`."""
        self._timer: Timer | None = None

    def start(self) -> None:
        """Send the newest work again and again."""
        self._timer = Timer(
            self._environment.reactor, REPEAT, self._repeat, name="send work to gateways", now=False
        )

    def stop(self) -> None:
        """Send no more work."""
        if self._timer is not None:
            self._timer.stop()

    def work_changed(self, change: WorkChangeSent) -> None:
        """Publish new work for all gateways."""
        self._change = change
        self._number += 1
        template = change.context.template
        key = transactions_key(template)
        if key:
            self._templates[key] = tuple(transaction.data for transaction in template.transactions)
        self._send(change)

    def transactions(self, key: bytes) -> tuple[bytes, ...] | None:
        """Return the transactions of a template that this node made work of; None if it remembers none."""
        return () if not key else self._templates.get(key)

    def _repeat(self) -> None:
        if self._change is not None and self._blocked() is None:
            self._send(self._change)

    def _send(self, change: WorkChangeSent) -> None:
        now = self._environment.clock()
        message = work_message(change, view=self._view, terms=self._terms, now=now)
        message = msgspec.structs.replace(message, run=self._run, number=self._number)
        self._ask_quietly(self._names.work, message)
        self._store_transactions(message.template.transactions, now)

    def _ask_quietly(self, stream: str, message: WorkMessage) -> None:
        """Send a message. If that fails, the next one will do: the broker reports its own problems."""
        self._broker.ask(append(stream, pack_message(message), keep=KEPT_WORK)).addErrback(
            lambda failure: failure.trap(BrokerError) and None
        )

    def _store_transactions(self, key: bytes, now: float) -> None:
        """Store a template's transactions in the broker, at most twice in their lifetime."""
        transactions = self._templates.get(key)
        if transactions is None or now - self._stored.get(key, 0.0) < TRANSACTIONS_TIME / 2:
            return
        self._stored = {each: when for each, when in self._stored.items() if each in self._templates}
        self._stored[key] = now

        def failed(failure: object) -> None:
            self._stored.pop(key, None)

        self._broker.ask(_put_transactions(self._names.transactions(key), transactions)).addErrback(failed)


def _put_transactions(name: str, transactions: tuple[bytes, ...]) -> Callable[[Any], None]:
    """Return the action that stores transactions. They are packed in the broker's thread: there may be 2 MB."""

    def act(client: Any) -> None:
        put(name, msgspec.msgpack.encode(transactions), seconds=TRANSACTIONS_TIME)(client)

    return act
