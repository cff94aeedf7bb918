"""The gateway's side of solved work: keeps each solution on disk and sends it until the node has stored it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from p2pool.base.environment import Environment
from p2pool.base.errors import ParseError, reason_of
from p2pool.base.timer import Timer
from p2pool.base.warn_once import WarnOnce
from p2pool.broker.connection import BrokerError
from p2pool.broker.operations import append
from p2pool.dash.hashes import hash_hex
from p2pool.gateway.messages import SolutionMessage, pack_message, parse_message
from p2pool.gateway.names import Names
from p2pool.gateway.ports import BrokerPort
from p2pool.gateway.solution_spool import SolutionSpool

T = TypeVar("T")
_log = Logger(namespace="p2pool.gateway")

MAX_UNTAKEN: Final = 10_000
"""Solutions that the node has not stored yet; the oldest stay on disk beyond that, for the next start."""
SEND_AGAIN: Final = 5.0
"""Seconds without word from the node after which a solution is sent again."""
CHECK: Final = 1.0
"""Seconds between two checks for those."""


@dataclass(slots=True)
class _Untaken:
    """A solution that the node has not stored yet."""

    data: bytes
    sent: float
    """When it was last sent, by the reactor's clock."""


class SolutionSender:
    """Sends solutions to the node. A solution leaves at once, whether or not the disk has it already."""

    def __init__(
        self, environment: Environment, broker: BrokerPort, *, names: Names, spool: SolutionSpool
    ) -> None:
        self._environment = environment
        self._reactor = environment.reactor
        self._broker = broker
        self._names = names
        self._spool = spool
        self._untaken: OrderedDict[bytes, _Untaken] = OrderedDict()
        self._disk = DeferredLock()
        """One action on the disk at a time, in their order."""
        self._disk_problem = WarnOnce()
        self._timer: Timer | None = None

    def __len__(self) -> int:
        """Return how many solutions the node has not stored yet."""
        return len(self._untaken)

    async def start(self) -> None:
        """Send what an earlier run left on disk, and from now on what the node does not report as stored."""
        nothing: list[tuple[bytes, bytes]] = []
        left = await self._on_disk(lambda: list(self._spool.load(MAX_UNTAKEN)), nothing)
        for solution_hash, data in left:
            try:
                parse_message(SolutionMessage, data)
            except ParseError as error:
                _log.error(
                    "solution {hash} on disk cannot be read: {error}; its file is quarantined",
                    hash=solution_hash.hex(),
                    error=error,
                )
                await self._on_disk(lambda each=solution_hash: self._spool.quarantine(each), None)  # type: ignore[misc]
                continue
            self._untaken.setdefault(solution_hash, _Untaken(data, self._reactor.seconds()))
            self._append(data)
        if left:
            _log.info("sending {count} solutions of an earlier run to the node", count=len(left))
        self._timer = Timer(self._reactor, CHECK, self._send_again, name="send solutions again", now=False)

    def stop(self) -> None:
        """Send nothing more; what the node has not stored is on disk."""
        if self._timer is not None:
            self._timer.stop()

    def send(self, message: SolutionMessage) -> None:
        """Send a new solution, and write it to disk meanwhile."""
        data = pack_message(message)
        self._untaken[message.hash] = _Untaken(data, self._reactor.seconds())
        if len(self._untaken) > MAX_UNTAKEN:
            self._untaken.popitem(last=False)
        self._append(data)
        self._in_background(lambda: self._spool.keep(message.hash, data))
        _log.info(
            "solution {hash} of {worker} sent to the node: {what}",
            hash=hash_hex(int.from_bytes(message.hash, "little")),
            worker=message.worker,
            what="BLOCK" if message.block is not None else "share",
        )

    def taken(self, solution_hash: bytes) -> None:
        """Forget a solution: the node has stored it."""
        if self._untaken.pop(solution_hash, None) is not None:
            self._in_background(lambda: self._spool.forget(solution_hash))

    def _send_again(self) -> None:
        now = self._reactor.seconds()
        if self._broker.problem is not None:
            return
        for untaken in self._untaken.values():
            if now - untaken.sent >= SEND_AGAIN:
                untaken.sent = now
                self._append(untaken.data)

    def _append(self, data: bytes) -> None:
        """Add a solution to the stream. If that fails, it is sent again later."""

        def failed(failure: object) -> None:
            failure.trap(BrokerError)  # type: ignore[attr-defined]

        self._broker.ask(append(self._names.solutions, data)).addErrback(failed)

    # --- disk --------------------------------------------------------------------------------------------

    def _in_background(self, action: Callable[[], None]) -> None:
        Deferred.fromCoroutine(self._on_disk(action, None)).addErrback(
            lambda failure: _log.failure("internal error: cannot write solutions", failure)
        )

    async def _on_disk(self, action: Callable[[], T], otherwise: T) -> T:
        """Do something on the disk in a thread; return `otherwise` if it fails, which is reported once."""
        await self._disk.acquire()
        try:
            result: T = await self._environment.run_in_thread(action)
        except OSError as error:
            for problem in self._disk_problem.new([reason_of(error)]):
                _log.error(
                    "cannot write solutions to disk: {problem}; they are lost if this gateway stops before the "
                    "node has them",
                    problem=problem,
                )
            return otherwise
        finally:
            self._disk.release()
        self._disk_problem.new([])
        return result
