"""The node's side of solved work: takes the gateways' solutions, completes blocks, and says what it has stored.

A solution is taken in the turn in which it came, its block first; nothing that waits for a disk or for the broker
holds up another one. It is acknowledged once its share and its block are on disk: until then the broker keeps it,
and a node that restarts takes it again. The same solution may come any number of times.

After the broker was gone shares wait for a second, until all gateways have delivered what they found meanwhile:
otherwise younger shares would be built on the one that came first, and the one that was found first would be lost.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from p2pool.base.bounded import BoundedSet
from p2pool.base.environment import Environment
from p2pool.base.errors import ParseError
from p2pool.base.time_slice import TimeSlice
from p2pool.base.timer import Timer
from p2pool.base.warn_once import WarnRarely
from p2pool.broker.connection import BrokerError
from p2pool.broker.operations import Entry, GroupReader, acknowledge, append_all, count_unacknowledged
from p2pool.dash.hashes import hash_hex
from p2pool.gateway.messages import SolutionMessage, parse_message
from p2pool.gateway.names import NODE_GROUP, Names
from p2pool.gateway.ports import BrokerPort, NotStored, StoreShares
from p2pool.gateway.solution_codec import ReadSolution, SolvedBlock, read_solution
from p2pool.gateway.solution_spool import MAX_SOLUTION
from p2pool.gateway.transaction_fetch import TransactionFetcher
from p2pool.networks.parameters import Network
from p2pool.node.node import FoundAuxBlock, Solution

_log = Logger(namespace="p2pool.gateway")

KEPT_TAKEN: Final = 20_000
"""Hashes of stored solutions that the broker keeps for gateways to read."""
KEPT_REJECTED: Final = 200
"""Solutions that could not be read or taken that the broker keeps, each once."""
MAX_OPEN: Final = 5_000
MAX_OPEN_BYTES: Final = 64 * 1024 * 1024
"""Solutions that are not acknowledged yet, and their bytes. Beyond that the oldest without a block are left to the
broker and to their gateways."""
MAX_EXCERPT: Final = 1_000
"""Bytes that are kept of what is too large to be a solution."""
MAX_QUARANTINED: Final = 1_000
"""Solutions that could not be taken whose hashes are remembered."""
AGAIN: Final = 1.0
"""Seconds until a solution is tried again that could not be taken, completed, stored or acknowledged."""
CHECK_MISSED: Final = 2.0
"""Seconds between two checks for solutions that another process read for this node, and left: one that is being
replaced, or a second node by mistake."""
GATHERING: Final = 1.0
"""Seconds for which shares wait for those of other gateways after the broker was gone."""
ATTEMPTS: Final = 3
"""How often a solution is tried that fails by a bug."""
GIVE_UP: Final = 3600.0
"""Seconds after which a block without its transactions is given up: its rivals are buried deep by then."""


@dataclass(slots=True)
class _Open:
    """A solution that was read and is not acknowledged yet."""

    entry: Entry
    since: float
    hash: bytes = b""
    """Empty if the solution cannot be read."""
    block: SolvedBlock | None = None
    """The block until it was taken: it may wait for its transactions."""
    parts: list[Solution] = field(default_factory=list)
    """What else is to be taken."""
    is_read: bool = False
    block_hash: int | None = None
    """A block that must be on disk before the solution is acknowledged."""
    attempts: int = 0
    rejected: str | None = None
    """Why it is kept for people in the stream of rejected solutions."""

    @property
    def done(self) -> bool:
        """Return whether nothing of it is left to be taken."""
        return self.is_read and self.block is None and not self.parts


class SolutionIntake:
    """Takes the gateways' solutions for a node.

    `transactions` returns those of a template by their key, None if they are not known, and `fetcher` fetches them
    then; `take` gets each part of a solution, `store` writes the shares to disk, and `is_safe` returns whether a
    block is on disk.
    """

    def __init__(
        self,
        environment: Environment,
        broker: BrokerPort,
        *,
        names: Names,
        network: Network,
        transactions: Callable[[bytes], tuple[bytes, ...] | None],
        fetcher: TransactionFetcher,
        take: Callable[[Solution], None],
        store: StoreShares,
        is_safe: Callable[[int], bool],
    ) -> None:
        self._environment = environment
        self._broker = broker
        self._names = names
        self._network = network
        self._transactions = transactions
        self._fetcher = fetcher
        self._take = take
        self._store = store
        self._is_safe = is_safe
        self._reader = GroupReader(names.solutions, NODE_GROUP)
        self._open: OrderedDict[str, _Open] = OrderedDict()
        """By the id of the entry, the oldest first. Bound: MAX_OPEN, and MAX_OPEN_BYTES of `_bytes`."""
        self._bytes = 0
        self._quarantined: BoundedSet[bytes] = BoundedSet(MAX_QUARANTINED)
        self._kept: BoundedSet[int] = BoundedSet(KEPT_REJECTED)
        """Hashes of what this run added to the stream of rejected solutions."""
        self._unreadable = WarnRarely(environment.monotonic)
        self._busy = False
        self._left_out = False
        """Whether the broker has solutions that were read and are no longer in `_open`."""
        self._missed = 0
        """How many solutions were read by another process, by the last check."""
        self._timers: list[Timer] = []
        self._was_gone = False
        """Whether the broker was gone, and shares have not waited since."""
        self._gathering: IDelayedCall | None = None
        """When the shares are taken that wait for those of other gateways; None if they are taken at once."""

    def start(self) -> None:
        """Read solutions from now on, first those that an earlier run did not finish."""
        self._fetcher.completed.subscribe(lambda _: self._go_on())
        reactor = self._environment.reactor
        self._timers = [
            Timer(reactor, AGAIN, self._go_on, name="finish the gateways' solutions", now=False),
            Timer(reactor, CHECK_MISSED, self._check_for_missed, name="check for missed solutions", now=False),
        ]
        self._broker.follow(self._reader, self.take_entries)

    def stop(self) -> None:
        """Take nothing more; what is not acknowledged comes again at the next start."""
        self._fetcher.stop()
        for timer in self._timers:
            timer.stop()
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None

    def __len__(self) -> int:
        """Return how many solutions are not acknowledged yet."""
        return len(self._open)

    def take_entries(self, entries: list[Entry]) -> Deferred[None]:
        """Take entries of the stream of solutions, so many in each turn of the reactor; they are acknowledged
        later."""
        return Deferred.fromCoroutine(self._take_entries(entries))

    async def _take_entries(self, entries: list[Entry]) -> None:
        time_slice = TimeSlice(self._environment)
        self._gather()
        for entry in entries:
            await time_slice.pause_if_over()
            if entry.id not in self._open:
                self._open[entry.id] = each = _Open(entry, self._environment.monotonic())
                self._process(each)
                self._bytes += len(each.entry.data)
                self._make_room()
        self._finish_soon()

    def _make_room(self) -> None:
        """Leave the oldest solutions without a block to the broker; it has them until they are acknowledged."""
        while len(self._open) > MAX_OPEN or (self._bytes > MAX_OPEN_BYTES and len(self._open) > 1):
            without_block = (
                key for key, its in self._open.items() if its.block is None and its.block_hash is None
            )
            self._forget(next(without_block, next(iter(self._open))))
            self._left_out = True

    def _forget(self, entry_id: str) -> None:
        each = self._open.pop(entry_id, None)
        if each is not None:
            self._bytes -= len(each.entry.data)

    def broker_changed(self, problem: str | None) -> None:
        """Take the first shares together that come when the broker is back; `problem` is None then."""
        if problem is None:
            self._gather()
        else:
            self._was_gone = True

    def _gather(self) -> None:
        """Let shares wait from now on, unless they did since the broker was gone: it may refuse requests for long
        and deliver shares all the same."""
        if self._was_gone and self._gathering is None:
            self._was_gone = False
            self._gathering = self._environment.reactor.callLater(GATHERING, self._gathered)

    def _gathered(self) -> None:
        self._gathering = None
        self._go_on()

    def _go_on(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._take_left()).addErrback(
            lambda failure: _log.failure("internal error: cannot go on with solutions", failure)
        )

    async def _take_left(self) -> None:
        """Take what is left, the oldest shares first, so many in each turn of the reactor."""
        time_slice = TimeSlice(self._environment)
        left = [each for each in self._open.values() if not each.done]
        for each in sorted(left, key=lambda its: its.parts[0].found if its.parts else 0.0):
            await time_slice.pause_if_over()
            self._process(each)
        self._finish_soon()

    async def _check_for_missed(self) -> None:
        """Read all unacknowledged solutions again if there are more than are known here, by two checks: one batch
        may be on its way from the reader."""
        try:
            count = await self._broker.ask(count_unacknowledged(self._names.solutions, NODE_GROUP))
        except BrokerError:
            return
        before, self._missed = self._missed, 0 if self._left_out else max(0, count - len(self._open))
        if before and self._missed:
            self._missed = 0
            self._reader.read_again()

    # --- taking ------------------------------------------------------------------------------------------

    def _process(self, each: _Open) -> None:
        """Take what is not taken yet of a solution: its block first, and each part regardless of the others."""
        failed = False
        for action in (self._read, self._take_block, self._take_parts):
            try:
                action(each)
            except ParseError as error:
                self._reject(each, str(error))
            except Exception:
                failed = True
                _log.failure("internal error: cannot take a gateway's solution {hash}", hash=each.hash[::-1].hex())
                if action == self._take_block and each.attempts + 1 >= ATTEMPTS:
                    each.block = None
        each.attempts += failed
        if failed and each.attempts >= ATTEMPTS:
            self._quarantined.add(each.hash)
            self._reject(each, "an internal error, see the log")

    def _read(self, each: _Open) -> None:
        if each.is_read:
            return
        size = len(each.entry.data)
        if size > MAX_SOLUTION:
            each.entry = replace(each.entry, data=each.entry.data[:MAX_EXCERPT])
            raise ParseError(f"a solution of {size} bytes, of which {MAX_EXCERPT} are kept")
        message = parse_message(SolutionMessage, each.entry.data)
        each.hash = message.hash
        if each.hash not in self._quarantined:
            read = read_solution(message, self._network)
            now = self._environment.clock()
            found = min(read.found, now) or now
            each.block = None if read.block is None else replace(read.block, found=found)
            each.parts = list(_parts(read, found))
            each.rejected = read.problem
        each.is_read = True

    def _take_block(self, each: _Open) -> None:
        block = each.block
        if block is None:
            return
        key = block.part.transactions
        transactions = self._transactions(key)
        if transactions is None:
            transactions = self._fetcher.get(key)
        if transactions is not None:
            found = block.complete(transactions)
            self._take(Solution(worker=block.worker, found=block.found, block=found, share=None, aux=()))
            each.block, each.block_hash = None, block.block_hash
        elif self._environment.monotonic() - each.since < GIVE_UP:
            self._fetcher.request(block.previous_block, key, for_block=True)
        else:
            each.block = None
            self._reject(each, f"no transactions for block {block.part.height} {hash_hex(block.block_hash)}")

    def _take_parts(self, each: _Open) -> None:
        """Take the other parts, but no share that waits. Raises the first exception after all were tried."""
        failures: list[Exception] = []
        left = []
        for part in each.parts:
            if part.share is not None and self._gathering is not None:
                left.append(part)
                continue
            try:
                self._take(part)
            except Exception as error:
                failures.append(error)
                left.append(part)
        each.parts = left
        if failures:
            raise failures[0]

    def _reject(self, each: _Open, problem: str) -> None:
        """Keep a solution for people, and take nothing more of it but its block."""
        each.rejected = problem
        each.is_read = True
        each.parts = []

    # --- acknowledging -----------------------------------------------------------------------------------

    def _finish_soon(self) -> None:
        if not self._busy and self._open:
            self._busy = True
            Deferred.fromCoroutine(self._finish()).addErrback(
                lambda failure: _log.failure("internal error: cannot acknowledge solutions", failure)
            )

    def _finished(self) -> list[_Open]:
        return [
            each
            for each in self._open.values()
            if each.done and (each.block_hash is None or self._is_safe(each.block_hash))
        ]

    async def _finish(self) -> None:
        """Acknowledge what is on disk. What fails is tried again by the timer."""
        try:
            while finished := self._finished():
                await self._store()
                await self._acknowledge(finished)
                for each in finished:
                    self._forget(each.entry.id)
            if self._left_out and len(self._open) < MAX_OPEN // 2 and self._bytes < MAX_OPEN_BYTES // 2:
                self._left_out = False
                self._reader.read_again()
        except (BrokerError, NotStored):
            pass
        finally:
            self._busy = False

    async def _acknowledge(self, finished: list[_Open]) -> None:
        """Remove the entries, which makes room in a full broker, then tell the gateways what is stored. A gateway
        keeps what was rejected on its disk, for a node that can read it. Raises BrokerError."""
        await self._broker.ask(
            acknowledge(self._names.solutions, NODE_GROUP, [each.entry.id for each in finished])
        )
        hashes = [each.hash for each in finished if each.rejected is None and each.hash not in self._quarantined]
        if hashes:
            await self._broker.ask(append_all(self._names.taken, hashes, keep=KEPT_TAKEN))
        rejected = [(each.rejected, each.entry.data) for each in finished if each.rejected is not None]
        new = {hash(data): data for _, data in rejected if hash(data) not in self._kept}
        if new:
            await self._broker.ask(append_all(self._names.rejected, new.values(), keep=KEPT_REJECTED))
        for key in new:
            self._kept.add(key)
        for problem, _ in rejected:
            self._log_rejected(problem)

    def _log_rejected(self, problem: str) -> None:
        if self._unreadable.is_due(problem):
            _log.error(
                "cannot take a gateway's solution: {problem}; kept in the broker's stream {stream} and on the "
                "gateway's disk",
                problem=problem,
                stream=self._names.rejected,
            )


def _parts(read: ReadSolution, found: float) -> Iterator[Solution]:
    """Yield a solution's share and its auxiliary blocks, as what the node takes one by one."""
    if read.share is not None:
        yield Solution(worker=read.worker, found=found, block=None, share=read.share, aux=())
    for work, proof in read.aux:
        aux = FoundAuxBlock(work, partial(bytes, proof), read.worker)
        yield Solution(worker=read.worker, found=found, block=None, share=None, aux=(aux,))
