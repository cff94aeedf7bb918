"""One Dash Core as a source of templates and a drain for blocks.

Three roads bring a new block's template: long polling, the Dash p2p link where there is one (`refresh`), and
polling as the last resort. What was wrong is said once, not at each retry.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pool.base.errors import OperatorError, ParseError
from p2pool.base.observable import Event
from p2pool.base.text import excerpt, printable
from p2pool.dash.block import BlockHeader, read_header
from p2pool.dashd.rpc import Caller, RpcError, RpcTimeout, RpcUnavailable
from p2pool.dashd.template import BlockTemplate, parse_template
from p2pool.networks.parameters import Network
from p2pool.wire.codec import Reader

_log = Logger(namespace="p2pool.dashd")

MINIMUM_VERSION = 200_000
POLL_PERIOD = 15.0
LONG_POLL_TIMEOUT = 24 * 3600.0
"""dashd answers a long poll when the mempool has grown for a minute, or when the tip changes. It does not notice
that a client has gone away, and keeps one of its few RPC threads for it: a long poll is not given up lightly."""
LONG_POLL_GRACE = 10.0
"""Seconds after a new tip, heard of by another road, in which dashd must have answered the long poll, too."""
SUBMIT_TIMEOUT = 60.0
_FIRST_RETRY, _LAST_RETRY = 1.0, 30.0
_BLOCK_NOT_FOUND = -5
_STILL_COMING_UP = frozenset({-28, -10, -9})
"""Warming up, in initial download, without connections: goes away by waiting."""


class WrongDaemon(OperatorError):
    """A Dash Core that this node must not mine on: another chain, or too old."""


async def check_daemon(rpc: Caller, network: Network) -> str:
    """The start-up checks; returns a line for the log. Raises WrongDaemon, RpcError, RpcUnavailable."""
    parent = network.parent
    chain_info = await rpc.call("getblockchaininfo")
    network_info = await rpc.call("getnetworkinfo")
    if not isinstance(chain_info, dict) or not isinstance(network_info, dict):
        raise RpcUnavailable("getblockchaininfo or getnetworkinfo did not answer with an object")
    chain = chain_info.get("chain")
    wrong = f"dashd is on the chain {excerpt(chain)}, but --net {network.name} needs "
    if parent.chain is not None and chain != parent.chain:
        raise WrongDaemon(f"{wrong}{parent.chain!r}: start the right dashd, or choose another --net")
    if parent.chain is None and chain == "main":
        raise WrongDaemon(f"{wrong}a test network: start the right dashd, or choose another --net")
    if parent.known_block is not None:
        try:
            await rpc.call("getblockheader", parent.known_block)
        except RpcError as error:
            if error.code != _BLOCK_NOT_FOUND:
                raise
            raise WrongDaemon(f"{wrong}the one that has block {parent.known_block}") from None
    version = network_info.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < MINIMUM_VERSION:
        raise WrongDaemon(
            f"dashd has version {excerpt(version)}; {MINIMUM_VERSION} (20.0) or newer is needed: upgrade it"
        )
    agent = printable(str(network_info.get("subversion", "")))
    return f"{agent} on chain {printable(str(chain))}, height {excerpt(chain_info.get('blocks'))}"


class DashdService(Service):
    """Keeps asking for templates. `template` fires with each new one; `refresh` asks at once."""

    def __init__(
        self,
        reactor: Any,
        rpc: Caller,
        network: Network,
        clock: Callable[[], float],
        where: str,
    ) -> None:
        self.template: Event[BlockTemplate] = Event()
        self.current: BlockTemplate | None = None
        self.last_answer: float | None = None
        """When dashd last gave a template (Unix seconds)."""
        self.problem: str | None = "not asked yet"
        """What is wrong, for people; None while all is well."""
        self._reactor = reactor
        self._rpc = rpc
        self._network = network
        self._clock = clock
        self._where = where
        self._tasks: list[Deferred[None]] = []
        self._fetching: Deferred[None] | None = None
        self._fetch_again = False
        self._long_polling: Deferred[None] | None = None
        self._long_poll_tip: int | None = None
        self._overdue: Any = None
        """The delayed call that ends a long poll whose connection must be dead."""

    # --- life --------------------------------------------------------------------------------------------

    def startService(self) -> None:
        """Twisted's: begin."""
        super().startService()  # type: ignore[no-untyped-call]
        task = Deferred.fromCoroutine(self._run())
        task.addErrback(lambda failure: failure.trap(CancelledError))
        task.addErrback(lambda failure: _log.failure("dashd task failed", failure))
        self._tasks.append(task)

    async def stopService(self) -> None:
        """Twisted's: end; calls under way are given up."""
        super().stopService()  # type: ignore[no-untyped-call]
        tasks, self._tasks = self._tasks, []
        if self._fetching is not None:
            tasks.append(self._fetching)
        for task in tasks:
            task.cancel()

    async def _run(self) -> None:
        await self._until_ready()
        poll = Deferred.fromCoroutine(self._poll())
        self._tasks.append(poll)
        poll.addErrback(lambda failure: failure.trap(CancelledError))
        poll.addErrback(lambda failure: _log.failure("polling dashd failed", failure))
        await self._long_poll()

    async def _sleep(self, seconds: float) -> None:
        await deferLater(self._reactor, seconds, lambda: None)

    def _trouble(self, error: Exception) -> None:
        """Say what is wrong, once. A call that broke off because we stop is no trouble."""
        if not self.running:
            raise CancelledError
        problem = str(error)
        if isinstance(error, RpcError) and error.code in _STILL_COMING_UP:
            problem = f"dashd is not ready: {error.message}"
        if isinstance(error, RpcTimeout):
            problem += " (is it busy? It has few RPC threads: rpcthreads=16 in dash.conf gives it more)"
        if problem != self.problem:
            self.problem = problem
            _log.warn("dashd at {where}: {problem}; trying again", where=self._where, problem=problem)

    async def _until_ready(self) -> None:
        """Retry the start-up checks and the first template with back-off."""
        wait = _FIRST_RETRY
        while True:
            try:
                about = await check_daemon(self._rpc, self._network)
                await self._fetch()
            except (RpcError, RpcUnavailable, OperatorError, ParseError) as error:
                self._trouble(error)
                await self._sleep(wait)
                wait = min(wait * 2, _LAST_RETRY)
                continue
            _log.info("dashd at {where}: {about}", where=self._where, about=about)
            return

    # --- templates ---------------------------------------------------------------------------------------

    async def _fetch(self, *params: Any, timeout: float = 30.0) -> None:
        answer = await self._rpc.call("getblocktemplate", *params, timeout=timeout)
        template = parse_template(answer, self._network.parent.addresses, self._clock(), self.current)
        self._take(template)

    def _take(self, template: BlockTemplate) -> None:
        if self.problem is not None and self.last_answer is not None:
            _log.info("dashd at {where} gives templates again", where=self._where)
        self.problem = None
        self.last_answer = template.received
        current = self.current
        if (
            current is not None
            and template.height < current.height
            and abs(template.received - current.received) < 1.0
        ):
            return  # an answer that was overtaken by a newer one
        self.current = template
        polling = self._long_polling
        if polling is not None and self._overdue is None and template.previous_block != self._long_poll_tip:
            self._overdue = self._reactor.callLater(LONG_POLL_GRACE, polling.cancel)
        self.template.fire(template)

    def refresh(self) -> None:
        """Ask for a template now: there seems to be a new block. Calls that come together are one."""
        if not self.running or self.current is None:
            return
        if self._fetching is not None:
            self._fetch_again = True
            return
        self._fetching = task = Deferred.fromCoroutine(self._refresh())
        # A callback, not the coroutine's end: a call can fail at once, before `_fetching` is set.
        task.addBoth(self._refreshed)

    def _refreshed(self, result: Failure | None) -> None:
        self._fetching = None
        if isinstance(result, Failure) and not result.check(CancelledError):
            _log.failure("dashd refresh failed", result)

    async def _refresh(self) -> None:
        while True:
            self._fetch_again = False
            try:
                await self._fetch()
            except (RpcError, RpcUnavailable, OperatorError, ParseError) as error:
                self._trouble(error)
            if not self._fetch_again:
                return

    async def _poll(self) -> None:
        """The last resort, and what notices a dead daemon."""
        while True:
            await self._sleep(POLL_PERIOD)
            self.refresh()

    async def _long_poll(self) -> None:
        wait = _FIRST_RETRY
        while True:
            current = self.current
            request = {"longpollid": current.long_poll_id} if current is not None and current.long_poll_id else {}
            if not request:
                await self._sleep(POLL_PERIOD)
                continue
            asked, before = self._reactor.seconds(), current
            try:
                await self._long_poll_once(request)
                wait = _FIRST_RETRY
                at_once = self._reactor.seconds() - asked < _FIRST_RETRY
                if at_once and self._on_block_of(before):
                    await self._sleep(_FIRST_RETRY)  # a dashd that does not wait: not a busy loop
            except RpcTimeout:
                continue  # nothing happened; whether dashd is alive, the poll finds out
            except (RpcError, RpcUnavailable, OperatorError, ParseError) as error:
                self._trouble(error)
                await self._sleep(wait)
                wait = min(wait * 2, _LAST_RETRY)

    async def _long_poll_once(self, request: dict[str, str]) -> None:
        self._long_poll_tip = None if self.current is None else self.current.previous_block
        self._long_polling = call = Deferred.fromCoroutine(self._fetch(request, timeout=LONG_POLL_TIMEOUT))
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

    async def block_header(self, block_hash: int) -> BlockHeader:
        """The header of a block that dashd knows. Raises RpcError, RpcUnavailable, ParseError."""
        answer = await self._rpc.call("getblockheader", f"{block_hash:064x}", False)
        try:
            reader = Reader(bytes.fromhex(answer))
        except (TypeError, ValueError):
            raise ParseError(f"getblockheader: {excerpt(answer)} is not hexadecimal") from None
        header = read_header(reader)
        reader.expect_end()
        return header

    # --- blocks ------------------------------------------------------------------------------------------

    async def confirmations(self, block_hash: int) -> int | None:
        """How deep a block lies: 1 at the tip, -1 beside the best chain, None where dashd does not say."""
        try:
            header = await self._rpc.call("getblockheader", f"{block_hash:064x}")
        except (RpcError, RpcUnavailable):
            return None
        depth = header.get("confirmations") if isinstance(header, dict) else None
        return depth if isinstance(depth, int) and not isinstance(depth, bool) else None

    async def submit_block(self, data: bytes) -> str | None:
        """Give dashd a block. None: accepted, else its reason. Raises RpcError, RpcUnavailable."""
        result = await self._rpc.call("submitblock", data.hex(), timeout=SUBMIT_TIMEOUT)
        return None if result is None else printable(str(result), 200)
