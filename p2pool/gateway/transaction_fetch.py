"""Fetches the transactions of templates from the broker: only those that are missing, in portions, verified."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from p2pool.base.environment import Environment
from p2pool.base.errors import ParseError
from p2pool.base.observable import Event
from p2pool.base.warn_once import WarnRarely
from p2pool.broker.connection import BrokerError
from p2pool.broker.operations import append, get
from p2pool.broker.tables import get_fields
from p2pool.gateway.names import Names
from p2pool.gateway.ports import BrokerPort
from p2pool.gateway.template_transactions import TemplateTransactions, is_genuine, parse_list, portions
from p2pool.gateway.transaction_table import TransactionTable

_log = Logger(namespace="p2pool.gateway")

MAX_REQUESTED: Final = 64
"""Templates whose transactions are being fetched; beyond that the oldest that completes no found block is given
up."""
FETCH_AGAIN: Final = 1.0
"""Seconds until transactions that were missing are requested again."""
ATTEMPTS: Final = 60
"""How often they are requested, if no found block needs them."""
ATTEMPTS_FOR_BLOCK: Final = 7200
"""How often they are requested for a found block: for two hours."""
ASK_NODE: Final = 2
"""Attempts after which the node is asked to store them again."""
KEPT_MISSING: Final = 100
"""Requests to the node that the broker keeps."""


@dataclass(slots=True)
class _Requested:
    """A template whose transactions are being fetched. `due` is the time of the next attempt."""

    previous_block: bytes
    due: float
    for_block: bool = False
    attempts: int = 0


class TransactionFetcher:
    """Fetches transactions in the background. `completed` fires with the key of each template that has all."""

    def __init__(self, environment: Environment, broker: BrokerPort, *, names: Names) -> None:
        self.completed: Event[bytes] = Event()
        self._environment = environment
        self._broker = broker
        self._names = names
        self._table = TransactionTable()
        self._requested: OrderedDict[bytes, _Requested] = OrderedDict()
        """By key, the newest last. Bound: MAX_REQUESTED."""
        self._busy = False
        self._later: IDelayedCall | None = None
        self._stopped = False
        self._unreadable = WarnRarely(environment.monotonic)

    @property
    def table(self) -> TransactionTable:
        """Return what was fetched."""
        return self._table

    def get(self, key: bytes) -> tuple[bytes, ...] | None:
        """Return the transactions of a template; None if they have not come yet."""
        return self._table.get(key) if key else ()

    def content(self, previous_block: bytes, key: bytes) -> TemplateTransactions | None:
        """Return the transactions of a template as the broker stores them; None if they have not come yet."""
        data = self._table.get(key)
        if data is None:
            return None
        return TemplateTransactions(key, previous_block, self._table.listed(key), data)

    def request(self, previous_block: bytes, key: bytes, *, for_block: bool = False) -> None:
        """Fetch the transactions of a template, unless they are here or under way."""
        if self._stopped or not key or self._table.get(key) is not None:
            return
        now = self._environment.monotonic()
        requested = self._requested.setdefault(key, _Requested(previous_block, now))
        self._requested.move_to_end(key)
        requested.for_block |= for_block
        if len(self._requested) > MAX_REQUESTED:
            del self._requested[next((each for each, its in self._requested.items() if not its.for_block), key)]
        self._go_on()

    def stop(self) -> None:
        """Fetch nothing more from the broker."""
        self._stopped = True
        if self._later is not None and self._later.active():
            self._later.cancel()

    # --- fetching ----------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        if not self._busy and not self._stopped:
            self._busy = True
            Deferred.fromCoroutine(self._fetch_all()).addErrback(
                lambda failure: _log.failure("internal error: cannot fetch transactions", failure)
            )

    def _next(self) -> bytes | None:
        """Return the template to fetch now: those of found blocks first, then the newest."""
        now = self._environment.monotonic()
        due = [
            (its.for_block, place, key)
            for place, (key, its) in enumerate(self._requested.items())
            if its.due <= now
        ]
        return max(due)[2] if due else None

    async def _fetch_all(self) -> None:
        try:
            while not self._stopped and (key := self._next()) is not None:
                await self._attempt(key, self._requested[key])
        finally:
            self._busy = False
            self._wake_later()

    def _wake_later(self) -> None:
        if self._later is not None and self._later.active():
            self._later.cancel()
        if self._requested and not self._stopped:
            wait = min(each.due for each in self._requested.values()) - self._environment.monotonic()
            self._later = self._environment.reactor.callLater(max(0.0, wait), self._go_on)

    async def _attempt(self, key: bytes, requested: _Requested) -> None:
        """Fetch what is missing of one template. Failures of the broker are reported by itself."""
        requested.attempts += 1
        requested.due = self._environment.monotonic() + FETCH_AGAIN
        try:
            complete = await self._fetch(key, requested.previous_block)
            if not complete and requested.attempts >= ASK_NODE:
                await self._broker.ask(append(self._names.missing, key, keep=KEPT_MISSING))
        except BrokerError:
            complete = False
        except ParseError as error:
            complete = False
            self._report(str(error))
        if complete or requested.attempts >= (ATTEMPTS_FOR_BLOCK if requested.for_block else ATTEMPTS):
            self._requested.pop(key, None)
        if complete:
            self.completed.fire(key)

    async def _fetch(self, key: bytes, previous_block: bytes) -> bool:
        """Fetch what is missing. Return whether all has come. Raises BrokerError, ParseError."""
        if self._table.missing(key) is None:
            data = await self._broker.ask(get(self._names.template(key)))
            if data is None:
                return False
            self._table.add_list(key, parse_list(key, data))
        self._table.use(key)
        table = self._names.block_transactions(previous_block)
        for portion in portions(self._table.missing(key) or []):
            values = await self._broker.ask(get_fields(table, [each.hash for each in portion]))
            for each, value in zip(portion, values, strict=True):
                if value is not None and is_genuine(each, value):
                    self._table.add(each.hash, value)
                elif value is not None:
                    self._report("the broker holds other bytes under the hash of a transaction")
        return self._table.get(key) is not None

    def _report(self, problem: str) -> None:
        if self._unreadable.is_due(problem):
            _log.error("cannot use transactions of the broker: {problem}", problem=problem)
