"""One Dash Core as a source of templates.

Several sources notify of a new block: the long poll, announcements (`announced`: the p2p link, ZMQ, others), a
heartbeat twice a second, and polling as the last resort. A problem is reported once, not at each retry.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Coroutine
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from typing_extensions import override

from p2pool.base.backoff import Backoff
from p2pool.base.environment import Environment
from p2pool.base.errors import OperatorError, ParseError
from p2pool.base.observable import Event
from p2pool.base.text import printable
from p2pool.dashd.block_notifications import BlockNotifications, NotificationSource
from p2pool.dashd.facts import DaemonFacts, check_daemon, read_facts
from p2pool.dashd.rpc import STILL_COMING_UP, Caller, RpcError, RpcTimeout, RpcUnavailable
from p2pool.dashd.template import BlockTemplate
from p2pool.dashd.template_parsing import TransactionCache, decode_ahead, parse_template
from p2pool.networks.parameters import Network

_log = Logger(namespace="p2pool.dashd")

POLL_PERIOD = 15.0
HEARTBEAT = 0.5
"""Seconds between two heartbeats, which cost the daemon next to nothing."""
HEARTBEAT_TIMEOUT = 5.0
RETRY_PERIOD = 1.0
"""Seconds between two attempts to get a template from a daemon that answers but gives none."""
FACTS_PERIOD = 10.0
LONG_POLL_TIMEOUT = 24 * 3600.0
"""dashd answers a long poll when the mempool has grown for a minute, or when the tip changes. It does not notice
that a client has gone away, and keeps one of its few RPC threads for it: a long poll is not given up lightly."""
LONG_POLL_GRACE = 10.0
"""Seconds after a new tip, notified by another source, in which dashd must have answered the long poll as well."""
_FIRST_RETRY, _LAST_RETRY = 1.0, 30.0
LINES, LINES_PERIOD = 10, 600.0
"""Log lines about a daemon that comes and goes, and in how many seconds; pages always show the newest problem."""
_SMOOTHING = 0.3
"""The weight of the newest answer in the answer time."""
_MAX_PROBLEM = 1000
_FAILURES = (RpcError, RpcUnavailable, OperatorError, ParseError)


class DashdService(Service):
    """Polls one daemon for templates. `template` fires with each new one."""

    def __init__(
        self,
        environment: Environment,
        rpc: Caller,
        *,
        network: Network,
        name: str,
        notifications: BlockNotifications | None = None,
        transactions: TransactionCache | None = None,
        long_poll: bool = True,
    ) -> None:
        """Without `long_poll` it takes none of the daemon's few RPC threads for itself, and its templates are
        seconds old: for whoever does not work on them."""
        self.template: Event[BlockTemplate] = Event()
        self.changed: Event[None] = Event()
        """Fires when `problem` comes or goes."""
        self.current: BlockTemplate | None = None
        self.facts: DaemonFacts | None = None
        self.last_answer: float | None = None
        """When dashd last gave a template (Unix seconds)."""
        self.problem: str | None = "not polled yet"
        """What is wrong, for people; None while all is well."""
        self._reported: str | None = None
        """The problem that was logged last; None if its end was logged as well."""
        self._reported_at: deque[float] = deque(maxlen=LINES)
        self.answer_time: float | None = None
        """Seconds that the daemon takes for a template, smoothed."""
        self._reactor = reactor = environment.reactor
        self._rpc = rpc
        self._network = network
        self._clock = environment.clock
        self._name = name
        self._notifications = notifications or BlockNotifications(reactor.seconds, lambda source, seconds: None)
        self._transactions = transactions or TransactionCache()
        self._uses_long_poll = long_poll
        self._tasks: list[Deferred[None]] = []
        self._fetching: Deferred[None] | None = None
        self._fetch_again: NotificationSource | None = None
        self._asked: float | None = None
        """When the heartbeat under way was sent."""
        self._heartbeat_took = 0.0
        self._ready = False
        """Whether the daemon that is there now was checked."""
        self._long_polling: Deferred[None] | None = None
        self._long_poll_tip: int | None = None
        self._overdue: IDelayedCall | None = None
        """The delayed call that ends a long poll whose connection must be dead."""

    # --- life --------------------------------------------------------------------------------------------

    @override
    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]
        self._start(self._heartbeats())
        if self._uses_long_poll:
            self._start(self._long_poll())
        self._start(self._poll())
        self._start(self._poll_facts())

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = Deferred.fromCoroutine(coroutine)
        task.addErrback(lambda failure: failure.trap(CancelledError))
        task.addErrback(
            lambda failure: _log.failure("internal error while polling dashd at {name}", failure, name=self._name)
        )
        self._tasks.append(task)

    async def stopService(self) -> None:
        """Stop asking, and cancel the calls under way."""
        super().stopService()  # type: ignore[no-untyped-call]
        tasks, self._tasks = self._tasks, []
        self._ready = False
        if self._fetching is not None:
            tasks.append(self._fetching)
        for task in tasks:
            task.cancel()

    async def _sleep(self, seconds: float) -> None:
        await deferLater(self._reactor, seconds, lambda: None)

    @property
    def delay(self) -> float:
        """Return the seconds for which it has not answered a heartbeat, or those that it took for the last one."""
        waiting: float = 0.0 if self._asked is None else self._reactor.seconds() - self._asked
        return max(self._heartbeat_took, waiting)

    def _report(self, error: Exception) -> None:
        """Report a problem, once. A call that ended because the service stops is not a problem."""
        if not self.running:
            raise CancelledError
        text = printable(str(error), _MAX_PROBLEM)  # a path in it may not be UTF-8, which pages could not show
        problem = text.removeprefix(f"{self._name}: ").removeprefix(f"{self._name} ")
        if isinstance(error, RpcError) and error.code in STILL_COMING_UP:
            problem = f"dashd is not ready: {error.message}"
        if isinstance(error, RpcTimeout):
            problem += " (is it busy? rpcthreads=16 in dash.conf gives it more RPC threads)"
        changed, self.problem = problem != self.problem, problem
        if problem != self._reported and self._may_report():
            self._reported = problem
            _log.warn("dashd at {name}: {problem}; retrying", name=self._name, problem=problem)
        if changed:
            self.changed.fire(None)

    def _may_report(self) -> bool:
        """Return whether one more line may be logged now."""
        now = self._reactor.seconds()
        if len(self._reported_at) == LINES and now - self._reported_at[0] < LINES_PERIOD:
            return False
        self._reported_at.append(now)
        return True

    # --- heartbeats --------------------------------------------------------------------------------------

    async def _heartbeats(self) -> None:
        """Ask for the best block again and again: it shows that the daemon is alive, and new blocks."""
        next_try = 0.0
        while True:
            self._asked = asked = self._reactor.seconds()
            try:
                best = await self._rpc.call("getbestblockhash", timeout=HEARTBEAT_TIMEOUT)
                self._heartbeat_took, self._asked = self._reactor.seconds() - asked, None
                if self._ready and self.problem is None:
                    self._best_block(best)
                elif self._reactor.seconds() >= next_try:
                    next_try = self._reactor.seconds() + RETRY_PERIOD
                    if not self._ready:
                        await self._become_ready()
                    if self._fetching is None:
                        self.refresh()  # not waited for: a slow answer must not hide that the daemon froze
            except _FAILURES as error:
                self._asked, self._heartbeat_took = None, 0.0
                self._ready = False  # what comes back may be another daemon
                self._report(error)
            await self._sleep(HEARTBEAT)

    async def _become_ready(self) -> None:
        """Check a daemon that came up. Raises what the checks raise."""
        self.facts = await check_daemon(self._rpc, self._network)
        self._ready = True
        if self._may_report():
            _log.info("dashd at {name}: {about}", name=self._name, about=self.facts.line)

    def _best_block(self, answer: Any) -> None:
        try:
            block_hash = int(answer, 16) if isinstance(answer, str) and len(answer) == 64 else None
        except ValueError:
            block_hash = None
        if block_hash is not None:
            self.announced(NotificationSource.HEARTBEAT, block_hash)

    async def _poll_facts(self) -> None:
        """Poll warnings, versions and progress, apart from anything urgent."""
        while True:
            await self._sleep(FACTS_PERIOD)
            if not self._ready:
                continue
            try:
                self.facts = await read_facts(self._rpc)
            except _FAILURES:
                continue  # the heartbeat reports it

    # --- templates ---------------------------------------------------------------------------------------

    async def _fetch(self, source: NotificationSource, *params: Any, timeout: float = 30.0) -> None:
        asked = self._reactor.seconds()
        answer = await self._rpc.call("getblocktemplate", *params, timeout=timeout)
        if not params:
            took = self._reactor.seconds() - asked
            before = took if self.answer_time is None else self.answer_time
            self.answer_time = before + _SMOOTHING * (took - before)
        heard = self._reactor.seconds()
        for _ in decode_ahead(answer, self._transactions):
            await self._sleep(0)
        template = parse_template(answer, self._network.parent.addresses, self._clock(), known=self._transactions)
        self._take(template, source, heard)

    def _take(self, template: BlockTemplate, source: NotificationSource, heard: float) -> None:
        recovered, had_answered = self.problem is not None, self.last_answer is not None
        self.problem = None
        self.last_answer = template.received
        if self._reported is not None and (not had_answered or self._may_report()):
            self._reported = None
            if had_answered:
                _log.info("dashd at {name} provides templates again", name=self._name)
        current = self.current
        if (
            current is not None
            and template.height < current.height
            and abs(template.received - current.received) < 1.0
        ):
            return  # an answer that was overtaken by a newer one
        self.current = template
        if current is not None:
            self._notifications.received(source, template.previous_block, heard)
        polling = self._long_polling
        if polling is not None and self._overdue is None and template.previous_block != self._long_poll_tip:
            self._overdue = self._reactor.callLater(LONG_POLL_GRACE, polling.cancel)
        self.template.fire(template)
        if recovered:
            self.changed.fire(None)

    def announced(self, source: NotificationSource, block_hash: int) -> None:
        """Request a template on a block that was announced, unless there is one."""
        current = self.current
        if current is not None and current.previous_block != block_hash:
            self._notifications.received(source, block_hash)
            self.refresh(source)

    def refresh(self, source: NotificationSource = NotificationSource.POLL) -> None:
        """Request a template now from a daemon that was checked. Calls that come together cause one request."""
        if not self._ready:
            return  # it is not known yet which daemon answers: it may be on another chain
        if self._fetching is not None:
            self._fetch_again = self._fetch_again or source
            return
        self._fetching = task = Deferred.fromCoroutine(self._refresh(source))
        # A callback, not the coroutine's end: a call can fail at once, before `_fetching` is set.
        task.addBoth(self._refreshed)

    def _refreshed(self, result: Failure | None) -> None:
        self._fetching = None
        if isinstance(result, Failure) and not result.check(CancelledError):
            _log.failure("internal error while fetching a template from dashd at {name}", result, name=self._name)

    async def _refresh(self, source: NotificationSource) -> None:
        again: NotificationSource | None = source
        while again is not None:
            self._fetch_again = None
            try:
                await self._fetch(again)
            except _FAILURES as error:
                self._report(error)
            again = self._fetch_again if self._ready else None

    async def _poll(self) -> None:
        """Request a template at regular times: the last resort, and what keeps transactions fresh without long
        polls."""
        while True:
            await self._sleep(POLL_PERIOD)
            self.refresh()

    async def _long_poll(self) -> None:
        backoff = Backoff(_FIRST_RETRY, _LAST_RETRY)
        while True:
            current = self.current
            if current is None or not current.long_poll_id or not self._ready or self.problem is not None:
                await self._sleep(HEARTBEAT)
                continue
            asked, before = self._reactor.seconds(), current
            try:
                await self._long_poll_once({"longpollid": current.long_poll_id})
                backoff.reset()
                at_once = self._reactor.seconds() - asked < _FIRST_RETRY
                if at_once and self._on_block_of(before):
                    await self._sleep(_FIRST_RETRY)  # a dashd that does not wait: not a busy loop
            except RpcTimeout:
                if not self.running:
                    raise CancelledError from None
                continue  # nothing happened; the heartbeat finds out whether dashd is alive
            except _FAILURES as error:
                self._report(error)
                await self._sleep(backoff.next_wait())

    async def _long_poll_once(self, request: dict[str, str]) -> None:
        self._long_poll_tip = None if self.current is None else self.current.previous_block
        self._long_polling = call = Deferred.fromCoroutine(
            self._fetch(NotificationSource.LONG_POLL, request, timeout=LONG_POLL_TIMEOUT)
        )
        try:
            await call
        except CancelledError:
            if not self.running:
                raise
            raise RpcTimeout("the long poll's connection is dead") from None
        finally:
            self._long_polling = None
            overdue, self._overdue = self._overdue, None
            if overdue is not None and overdue.active():
                overdue.cancel()

    def _on_block_of(self, template: BlockTemplate | None) -> bool:
        current = self.current
        return current is None or template is None or current.previous_block == template.previous_block
