"""The node's side of a block's transactions: stores each once in the broker, and again when the broker lost it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from p2pool.base.bounded import BoundedDict
from p2pool.base.environment import Environment
from p2pool.base.observable import Event
from p2pool.base.timer import Timer
from p2pool.broker.connection import BrokerError
from p2pool.broker.operations import Entry, StreamReader, extend
from p2pool.broker.tables import count_fields, remove
from p2pool.dashd.template import BlockTemplate
from p2pool.gateway.names import Names
from p2pool.gateway.ports import BrokerPort
from p2pool.gateway.template_transactions import (
    LIFETIME,
    TemplateTransactions,
    previous_block_of,
    store_transactions,
    transactions_of,
)

_log = Logger(namespace="p2pool.gateway")

MAX_TEMPLATES: Final = 128
"""Templates whose transactions this node remembers to complete blocks: those of some minutes. They have most
transactions in common."""
MAX_BLOCKS: Final = 8
"""Previous blocks whose transactions are in the broker; those of older ones are deleted."""
MAX_STORED: Final = 32 * 1024 * 1024
"""Bytes of transactions in the broker for one previous block; if there are more, it begins anew."""
CHECK: Final = 5.0
"""Seconds between two checks whether the broker still has what it was given."""
STORE_AGAIN: Final = 3.0
"""Seconds for which further requests for the same template are ignored."""


@dataclass(slots=True)
class _Stored:
    """What the broker has for one previous block."""

    hashes: set[bytes] = field(default_factory=set)
    size: int = 0


class TransactionFeed:
    """Stores the transactions of templates in the broker."""

    def __init__(self, environment: Environment, broker: BrokerPort, *, names: Names) -> None:
        self._environment = environment
        self._broker = broker
        self._names = names
        self._templates: BoundedDict[bytes, BlockTemplate] = BoundedDict(MAX_TEMPLATES)
        self._waiting: OrderedDict[bytes, None] = OrderedDict()
        """Templates that are to be stored, the most urgent last. Bound: as `_templates`."""
        self._stored: OrderedDict[bytes, _Stored] = OrderedDict()
        """By previous block. Bound: MAX_BLOCKS."""
        self._current: bytes | None = None
        self._answered: BoundedDict[bytes, float] = BoundedDict(MAX_TEMPLATES)
        """When a request for a template was answered last."""
        self._complete: BoundedDict[bytes, None] = BoundedDict(MAX_TEMPLATES)
        """Templates whose transactions the broker has, as far as is known."""
        self.stored: Event[bytes] = Event()
        """(key): the broker has all transactions of a template."""
        self._busy = False
        self._timer: Timer | None = None

    def start(self) -> None:
        """Check what the broker has now and then, and answer gateways that miss transactions."""
        self._timer = Timer(
            self._environment.reactor, CHECK, self.check, name="check the transactions in the broker", now=False
        )
        self._broker.follow(StreamReader(self._names.missing), self._requested)

    def stop(self) -> None:
        """Store nothing more in the broker."""
        if self._timer is not None:
            self._timer.stop()

    def offer(self, key: bytes, template: BlockTemplate) -> None:
        """Store the transactions of the template that work is made of now."""
        self._current = key or None
        if key and key not in self._templates:
            self._templates[key] = template
            self._store(key)

    def is_stored(self, key: bytes) -> bool:
        """Return whether the broker has all transactions of a template, as far as is known."""
        return not key or key in self._complete

    def transactions(self, key: bytes) -> tuple[bytes, ...] | None:
        """Return the transactions of a template; None if this node does not remember it."""
        if not key:
            return ()
        template = self._templates.get(key)
        return None if template is None else tuple(each.data for each in template.transactions)

    # --- storing -----------------------------------------------------------------------------------------

    def _store(self, key: bytes) -> None:
        self._waiting[key] = None
        self._waiting.move_to_end(key)
        while len(self._waiting) > MAX_TEMPLATES:
            self._waiting.popitem(last=False)
        if not self._busy:
            self._busy = True
            Deferred.fromCoroutine(self._store_all()).addErrback(
                lambda failure: _log.failure("internal error: cannot store transactions in the broker", failure)
            )

    async def _store_all(self) -> None:
        """Store what waits, the newest first. If the broker fails, the next check goes on."""
        try:
            while self._waiting:
                key = next(reversed(self._waiting))
                template = self._templates.get(key)
                if template is not None:
                    await self._store_one(transactions_of(template, key))
                self._waiting.pop(key, None)
                if template is not None:
                    self._complete[key] = None
                    self.stored.fire(key)
        except BrokerError:
            pass
        finally:
            self._busy = False

    async def _store_one(self, content: TemplateTransactions) -> None:
        previous = content.previous_block
        stored = self._stored.setdefault(previous, _Stored())
        if stored.size > MAX_STORED:
            stored = self._stored[previous] = _Stored()
            await self._broker.ask(remove(self._names.block_transactions(previous)))
        while len(self._stored) > MAX_BLOCKS:
            oldest, _ = self._stored.popitem(last=False)
            await self._broker.ask(remove(self._names.block_transactions(oldest)))
        new = {each.hash: each.size for each in content.listed if each.hash not in stored.hashes}
        stored.size += sum(new.values())
        await store_transactions(self._broker, self._names, content, stored=stored.hashes)

    # --- what the broker lost ----------------------------------------------------------------------------

    async def check(self) -> None:
        """Store the transactions of the current template again if the broker lost them, and what could not be
        stored."""
        key = self._current
        template = None if key is None else self._templates.get(key)
        if key is not None and template is not None and key not in self._waiting:
            previous = previous_block_of(template)
            table = self._names.block_transactions(previous)
            try:
                listed = await self._broker.ask(extend(self._names.template(key), seconds=LIFETIME))
                count = await self._broker.ask(count_fields(table, seconds=LIFETIME))
            except BrokerError:
                return
            if not listed or count < len(self._stored.get(previous, _Stored()).hashes):
                self._lost(previous)
                self._store(key)
        elif self._waiting:
            self._store(next(reversed(self._waiting)))

    def _requested(self, entries: list[Entry]) -> None:
        """Store the transactions again that gateways did not find."""
        now = self._environment.monotonic()
        for key in {entry.data for entry in entries}:
            template = self._templates.get(key)
            if template is None or now - self._answered.get(key, -STORE_AGAIN) < STORE_AGAIN:
                continue
            self._answered[key] = now
            self._lost(previous_block_of(template))
            self._store(key)

    def _lost(self, previous_block: bytes) -> None:
        self._stored.pop(previous_block, None)
        self._complete.clear()
