"""The gateway's side of solved work: keeps each solution on disk and sends it until the node has stored it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from twisted.logger import Logger

from p2pool.base.environment import Environment
from p2pool.base.errors import ParseError, reason_of
from p2pool.base.timer import Timer
from p2pool.broker.connection import BrokerError
from p2pool.broker.request_queue import Urgency
from p2pool.broker.tables import append_unless_there
from p2pool.dash.hashes import hash_hex
from p2pool.gateway.messages import OtherSchema, SolutionMessage, pack_message, parse_message
from p2pool.gateway.names import Names
from p2pool.gateway.ports import BrokerPort
from p2pool.gateway.solution_disk import SolutionDisk
from p2pool.gateway.solution_spool import LeftFile, SolutionSpool

_log = Logger(namespace="p2pool.gateway")

MAX_UNTAKEN: Final = 10_000
"""Solutions that the node has not stored yet; beyond that the oldest shares stay on disk for the next start."""
KEPT_SOLUTIONS: Final = 20_000
"""Solutions that the broker keeps; gateways send those again that it dropped."""
SEND_AGAIN, SEND_AGAIN_LAST = 5.0, 300.0
"""Seconds without word from the node after which a solution is sent again if the broker no longer has it: doubled
each time that it was sent, up to the last, or for blocks up to BLOCK_AGAIN."""
BLOCK_AGAIN: Final = 20.0
"""Seconds after which a block is sent again at the latest."""
CHECK: Final = 0.5
"""Seconds between two checks for those, and between two attempts while the broker is gone."""
MOST_AT_ONCE: Final = 100
"""Solutions that are sent again at once: the queue to the broker has room for new ones."""


@dataclass(slots=True)
class _Untaken:
    """A solution that the node has not stored yet."""

    data: bytes
    message: SolutionMessage
    due: float
    """When to look after it, by the reactor's clock."""
    wait: float = SEND_AGAIN
    entry_id: str | None = None
    """Where it is in the stream; None before the broker has answered."""
    under_way: bool = False
    """Whether the broker is being asked."""

    @property
    def is_block(self) -> bool:
        """Return whether it is a block of the parent chain."""
        return self.message.block is not None


class SolutionSender:
    """Sends solutions to the node. A solution leaves at once, whether or not the disk has it already. `left` is
    called with each solution with a block of an earlier run, and `delayed` with each that the node does not
    store."""

    def __init__(
        self,
        environment: Environment,
        broker: BrokerPort,
        *,
        names: Names,
        spool: SolutionSpool,
        left: Callable[[SolutionMessage], None] = lambda message: None,
        delayed: Callable[[SolutionMessage], None] = lambda message: None,
    ) -> None:
        self._reactor = environment.reactor
        self._broker = broker
        self._names = names
        self._left = left
        self._delayed = delayed
        self._untaken: OrderedDict[bytes, _Untaken] = OrderedDict()
        """Bound: MAX_UNTAKEN."""
        self.disk = SolutionDisk(environment, spool)
        self._timer: Timer | None = None

    def __len__(self) -> int:
        """Return how many solutions the node has not stored yet."""
        return len(self._untaken)

    async def start(self) -> None:
        """Send what an earlier run left on disk, and from now on what the node does not report as stored."""
        self._timer = Timer(self._reactor, CHECK, self._send_again, name="send solutions again", now=False)
        sent = 0
        for file in await self.disk.load(MAX_UNTAKEN):
            message = await self._message_of(file)
            if message is not None and message.hash not in self._untaken and isinstance(file.content, bytes):
                sent += 1
                self._add(message.hash, message, file.content, is_new=False)
                if message.block is not None:
                    self._left(message)
        if sent:
            _log.info("sending {count} solutions of an earlier run to the node", count=sent)

    async def _message_of(self, file: LeftFile) -> SolutionMessage | None:
        """Return the solution in a file; None if there is none, which is logged."""
        content = file.content
        try:
            if isinstance(content, ParseError):
                raise content
            if isinstance(content, bytes):
                message = parse_message(SolutionMessage, content)
                if message.hash == file.solution_hash:
                    return message
                raise ParseError(f"it holds solution {message.hash.hex()}")
        except OtherSchema as error:
            _log.error(
                "{path} cannot be sent: {error}; it is left where it is: to have it sent, install the version "
                "that wrote it, and start this gateway again",
                path=file.path,
                error=error,
            )
            return None
        except ParseError as error:
            _log.error("{path} is no solution: {error}; it is quarantined", path=file.path, error=error)
            await self.disk.quarantine(file.path)
            return None
        _log.error(
            "cannot read {path}: {problem}; it is left where it is", path=file.path, problem=reason_of(content)
        )
        return None

    async def stop(self) -> None:
        """Send nothing again; what the node has not stored is on disk when this returns, if the disk takes it."""
        if self._timer is not None:
            self._timer.stop()
        await self.disk.finished()

    def send(self, message: SolutionMessage) -> None:
        """Send a new solution, and write it to disk meanwhile."""
        data = pack_message(message)
        self._add(message.hash, message, data, is_new=True)
        self.disk.keep(message.hash, data, is_block=message.block is not None)
        _log.info(
            "solution {hash} of {worker} sent to the node: {what}"
            if self._broker.problem is None
            else "solution {hash} of {worker} waits for the broker: {what}",
            hash=hash_hex(int.from_bytes(message.hash, "little")),
            worker=message.worker,
            what="BLOCK" if message.block is not None else "share",
        )

    def taken(self, solution_hash: bytes) -> None:
        """Forget a solution: the node has stored it."""
        untaken = self._untaken.pop(solution_hash, None)
        if untaken is not None:
            self.disk.forget(solution_hash, is_block=untaken.is_block)

    # --- sending -----------------------------------------------------------------------------------------

    def _add(self, solution_hash: bytes, message: SolutionMessage, data: bytes, *, is_new: bool) -> None:
        untaken = self._untaken[solution_hash] = _Untaken(data, message, self._reactor.seconds())
        if len(self._untaken) > MAX_UNTAKEN:
            oldest = next((key for key, each in self._untaken.items() if not each.is_block), solution_hash)
            del self._untaken[oldest]
        self._append(untaken, is_new=is_new)

    def _send_again(self) -> None:
        self.disk.try_again()
        now, broken = self._reactor.seconds(), self._broker.problem is not None
        # The oldest first: the share that the node hears of first is the one that others build on.
        due = [each for each in self._untaken.values() if (broken or now >= each.due) and not each.under_way]
        due.sort(key=lambda each: not each.is_block)
        for untaken in due[: self._most_at_once()]:
            self._append(untaken)
            if untaken.is_block and not broken:
                self._delayed(untaken.message)

    def _most_at_once(self) -> int:
        """Return how many may be sent again now: one at a time while the broker has a problem, which may be that
        it refuses solutions."""
        if self._broker.problem is None:
            return MOST_AT_ONCE
        return 0 if any(each.under_way for each in self._untaken.values()) else 1

    def broker_is_back(self) -> None:
        """Send at once all that the broker may not have, the oldest first: a share that came late would find
        younger ones in its place."""
        for each in self._untaken.values():
            each.due = self._reactor.seconds()
        self._send_again()

    def _send_rest(self) -> None:
        """Send what the broker never got, now that it took something: that all is well is known only later."""
        room = MOST_AT_ONCE - sum(each.under_way for each in self._untaken.values())
        rest = [each for each in self._untaken.values() if each.entry_id is None and not each.under_way]
        for untaken in rest[: max(0, room)]:
            self._append(untaken)

    def _append(self, untaken: _Untaken, *, is_new: bool = False) -> None:
        """Add a solution to the stream unless it is there: at once if `is_new`, since a share is worth less each
        second, or if it is a block. If that fails, it is sent again later."""
        untaken.due, untaken.under_way = self._reactor.seconds() + untaken.wait, True
        former = untaken.entry_id

        def added(entry_id: str) -> None:
            untaken.under_way = False
            if former is not None and entry_id != former:
                untaken.wait = min(2 * untaken.wait, BLOCK_AGAIN if untaken.is_block else SEND_AGAIN_LAST)
            untaken.entry_id = entry_id
            if self._broker.problem is not None:
                self._send_rest()

        def failed(failure: object) -> None:
            untaken.under_way = False
            if untaken.is_block:
                untaken.due = self._reactor.seconds()
            failure.trap(BrokerError)  # type: ignore[attr-defined]

        self._broker.ask(
            append_unless_there(self._names.solutions, untaken.data, entry_id=former, keep=KEPT_SOLUTIONS),
            urgent=Urgency.BLOCK if untaken.is_block else Urgency.SHARE if is_new else Urgency.USUAL,
        ).addCallbacks(added, failed)
