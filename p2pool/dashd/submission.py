"""Deliver found blocks into the chain, and report what became of them.

A block is written to a file first, unless that takes more than a moment, then sent on all channels at once while
the disk syncs the file: submitblock to every daemon, and by p2p to every daemon and to peers of the network. It is
sent again until the chain has it, every daemon refused it, or another block of its height is buried so deep that
nothing can change that.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pool.base.backoff import Backoff
from p2pool.base.bounded import BoundedDict, BoundedSet
from p2pool.base.environment import Environment
from p2pool.base.ordered_set import OrderedSet
from p2pool.dash.hashes import hash_hex
from p2pool.dashd import delivery_log
from p2pool.dashd.answers import Verdict, judge, judge_error
from p2pool.dashd.block_store import BlockStore
from p2pool.dashd.daemon import BlockLink, BlockPosition
from p2pool.dashd.delivery import (
    BlockDaemon,
    BlockDelivery,
    DeliveryState,
    SubmissionAnswer,
    block_positions,
    wait_at_most,
)
from p2pool.dashd.delivery_log import BEATEN
from p2pool.dashd.found_block import FoundBlock
from p2pool.dashd.rpc import RpcError, RpcUnavailable
from p2pool.dashd.spool import UNKNOWN, BlockSpool
from p2pool.pool_stats import BlockRecord, BlockStatus

_log = Logger(namespace="p2pool.blocks")

SEND_PATIENCE = 0.002
"""Seconds for which writing its file may delay a block, should the system not take it at once: another block found
meanwhile would win. After that, the block is sent while it is being written."""
SPOOL_PATIENCE = 0.05
"""Seconds for which a slow disk may delay the news of a block that is on its way."""
FIRST_RETRY, RETRY_PERIOD = 0.25, 2.0
"""Seconds before a daemon that did not answer is asked again: at first (the connection may just have been closed),
and later on."""
PARTING = 2.0
"""Seconds for which the node's shutdown waits until a daemon has a block that was just found: at the next start
another one may have won."""
RESEND_PERIOD = 10.0
"""Seconds after which daemons are asked what became of a block; those that miss it are sent it again."""
STILL_OFFERED = 120.0
"""Seconds after one daemon took a block for which those that did not answer are still asked: the one may be
isolated."""
BURIED = 6
"""Blocks on another one of the same height, after which a block that is not in the chain is given up."""
SAFE = 6
"""Confirmations after which a block's file is no longer needed."""
MAX_UNDER_WAY = 20
"""Blocks that are delivered at a time; if there are more, the oldest wait on disk for the next start.
Each costs a connection to every daemon every RESEND_PERIOD; of those of one height only one can win."""
MAX_WRITTEN = 1000
"""Blocks that are known to be on disk."""
MAX_RECENT = 20
"""Blocks in the chain that are held in memory, should a daemon lose them."""


class BlockSubmitter:
    """Delivers found blocks. `links` take blocks without an answer; `record_sent(seconds)` counts how long sending
    took."""

    def __init__(
        self,
        environment: Environment,
        *,
        daemons: Sequence[BlockDaemon],
        links: Sequence[BlockLink],
        spool: BlockSpool,
        store: BlockStore,
        record_sent: Callable[[float], None],
    ) -> None:
        self._reactor = environment.reactor
        self._daemons = daemons
        self._links = links
        self._spool = spool
        self._store = store
        self._clock = environment.clock
        self._record_sent = record_sent
        self._deliveries: dict[int, BlockDelivery] = {}
        """By block hash. Bound: MAX_UNDER_WAY."""
        self._recent: BoundedDict[int, FoundBlock] = BoundedDict(MAX_RECENT)
        self._on_disk: BoundedSet[int] = BoundedSet(MAX_WRITTEN)
        """Hashes of blocks that are on disk; those of an earlier run may be missing."""
        self._tasks: OrderedSet[Deferred[Any]] = OrderedSet()
        """Bound: one per delivery, and one per delivery and daemon."""

    # --- from outside ------------------------------------------------------------------------------------

    def offer(self, block: FoundBlock) -> None:
        """Deliver a block that was found. One whose fate is known is not sent twice; one that an earlier run could
        not write to disk is."""
        record = self._store.records.get(block.block_hash)
        if block.block_hash not in self._deliveries and (record is None or record.status is BlockStatus.SENT):
            self._begin(block, sent_before=False)

    def offer_again(self, block_hash: int) -> None:
        """Deliver a block again that the chain had and lost."""
        block = self._recent.get(block_hash)
        if block is not None and block_hash not in self._deliveries:
            self._begin(block, sent_before=True)

    async def resume(self) -> None:
        """Go on with the blocks that an earlier run left on disk."""
        for block in (await self._spool.load())[-MAX_UNDER_WAY:]:
            if block.block_hash not in self._deliveries:
                self._begin(block, sent_before=True)

    async def stop(self) -> None:
        """Give up what is under way, after a moment for blocks that no daemon had the time to take. All blocks are
        on disk when this returns."""
        latest = self._reactor.seconds() + PARTING
        while self._reactor.seconds() < latest and any(
            delivery.is_on_its_way(self._daemons) for delivery in self._deliveries.values()
        ):
            await deferLater(self._reactor, 0.05, lambda: None)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await DeferredList(tasks, consumeErrors=True)

    def is_safe(self, block_hash: int) -> bool:
        """Return whether a block that was offered is on disk, or needs no more: its fate is known."""
        delivery, record = self._deliveries.get(block_hash), self._store.records.get(block_hash)
        if block_hash in self._on_disk or (delivery is not None and delivery.state is DeliveryState.SETTLED):
            return True
        return delivery is None and record is not None and record.status is not BlockStatus.SENT

    @property
    def waiting(self) -> int:
        """Return the number of blocks that are not settled yet."""
        return len(self._deliveries)

    # --- one block ---------------------------------------------------------------------------------------

    def _begin(self, block: FoundBlock, *, sent_before: bool) -> None:
        if sent_before:
            self._store.put(self._record_of(block))
        if len(self._deliveries) >= MAX_UNDER_WAY:
            self._postpone(next(iter(self._deliveries.values())))
        delivery = self._deliveries[block.block_hash] = BlockDelivery(block)
        self._start(self._deliver(delivery, sent_before))

    def _postpone(self, delivery: BlockDelivery) -> None:
        """Leave a block to the next start: a block that was found just now has a better chance."""
        delivery_log.log_postponed(delivery.block, len(self._deliveries))
        del self._deliveries[delivery.block.block_hash]
        delivery.postpone(self._reactor.seconds())

    def _record_of(self, block: FoundBlock) -> BlockRecord:
        """Return the stored record of a block, or a new one; what an earlier version could not know is added."""
        known, now = self._store.records.get(block.block_hash), self._clock()
        found = now if block.time is None else min(block.time, now)
        if known is None:
            return BlockRecord(
                found, block.block_hash, block.height, block.worker, block.share_hash, block.subsidy
            )
        if known.worker == UNKNOWN and block.subsidy:
            return replace(
                known, time=found, worker=block.worker, share_hash=block.share_hash, subsidy=block.subsidy
            )
        return known

    def _start(self, coroutine: Coroutine[Any, Any, Any]) -> Deferred[Any]:
        task: Deferred[Any] = Deferred.fromCoroutine(coroutine)
        if not task.called:
            self._tasks.add(task)
        task.addBoth(self._ended, task)
        return task

    def _ended(self, result: object, task: Deferred[Any]) -> object:
        self._tasks.discard(task)
        if isinstance(result, Failure):
            if not result.check(CancelledError):
                _log.failure("internal error while delivering a found block", result)
            return None
        return result

    async def _deliver(self, delivery: BlockDelivery, sent_before: bool) -> None:
        block, found = delivery.block, self._reactor.seconds()
        self._keep(delivery)
        try:
            await wait_at_most(self._reactor, delivery.written, SEND_PATIENCE)
            if sent_before:
                await self._try_to_check(delivery, send_again=False)
            if not delivery.is_over():
                self._send(delivery, self._daemons)
                self._record_sent(self._reactor.seconds() - found)
            await wait_at_most(self._reactor, delivery.writing, SPOOL_PATIENCE - SEND_PATIENCE)
            # Others are notified of a block once it is on disk (or after a moment) and on its way.
            self._store.put(self._record_of(block))
            while not delivery.is_over():
                answered = await delivery.wait_for_change(self._reactor, RESEND_PERIOD)
                await self._try_to_check(delivery, send_again=not answered)
        except CancelledError:
            await delivery.writing
            raise
        finally:
            if self._deliveries.get(block.block_hash) is delivery:
                del self._deliveries[block.block_hash]
        await delivery.writing
        if delivery.state is not DeliveryState.POSTPONED:
            await self._finish(delivery)

    def _keep(self, delivery: BlockDelivery) -> None:
        """Write a block, unless that is done or under way: a disk that hangs must not be given ever more to do."""
        if not delivery.on_disk and delivery.writing.called:
            delivery.writing = Deferred.fromCoroutine(self._write(delivery))

    async def _write(self, delivery: BlockDelivery) -> None:
        try:
            delivery.on_disk = await self._spool.keep(delivery.block, delivery.is_written)
            if delivery.on_disk:
                self._on_disk.add(delivery.block.block_hash)
        except CancelledError:
            raise
        except Exception:
            _log.failure("internal error while writing block {height} to disk", height=delivery.block.height)
        finally:
            delivery.is_written()

    # --- sending -----------------------------------------------------------------------------------------

    def _send(self, delivery: BlockDelivery, daemons: Sequence[BlockDaemon]) -> None:
        """Send a block on all channels: RPC first, since only it says why a block is refused."""
        block = delivery.block
        delivery.sent()
        for daemon in daemons:
            if daemon not in delivery.asking:
                delivery.asking.add(daemon)
                self._start(self._offer_to(delivery, daemon))
        taken = 0
        for link in self._links:
            try:
                taken += link.send_block(block.data)
            except Exception:
                _log.failure("internal error while sending block {height} over p2p", height=block.height)
        if taken:
            delivery_log.log_sent_over_p2p(block, taken)

    async def _offer_to(self, delivery: BlockDelivery, daemon: BlockDaemon) -> None:
        """Offer a block to one daemon until it has given a verdict, or no verdict is needed."""
        backoff = Backoff(FIRST_RETRY, RESEND_PERIOD)
        try:
            while self._reactor.seconds() < delivery.offered_until:
                verdict, text = await self._offer_once(delivery, daemon)
                if verdict in (Verdict.ACCEPTED, Verdict.CHECK, Verdict.REFUSED):
                    self._answered(delivery, daemon, SubmissionAnswer(verdict, text))
                    return
                if verdict is Verdict.UNCLEAR:
                    self._unclear(delivery, daemon, text)
                elif daemon not in delivery.unclear:
                    self._not_answered(delivery, daemon, text)
                longest = RETRY_PERIOD if verdict is Verdict.UNANSWERED else RESEND_PERIOD
                await deferLater(self._reactor, backoff.next_wait(longest), lambda: None)
        finally:
            delivery.asking.discard(daemon)

    async def _offer_once(self, delivery: BlockDelivery, daemon: BlockDaemon) -> tuple[Verdict, str]:
        """Offer a block to a daemon once. Return what the answer means, and its text."""
        try:
            answer = await daemon.submit_block(delivery.block.data)
        except CancelledError:
            raise
        except RpcError as error:
            return judge_error(error.code), str(error)
        except RpcUnavailable as error:
            return Verdict.UNANSWERED, str(error)
        except Exception as error:  # a bug must not cost the block either
            _log.failure("internal error while submitting block {height}", height=delivery.block.height)
            return Verdict.UNANSWERED, str(error)
        verdict = judge(answer)
        if verdict is Verdict.LATER:
            return verdict, f"dashd answered {answer}"
        return verdict, "" if answer is None else answer

    def _answered(self, delivery: BlockDelivery, daemon: BlockDaemon, answer: SubmissionAnswer) -> None:
        block, answer = delivery.block, delivery.answered(daemon, answer)
        if answer.verdict is Verdict.ACCEPTED:
            delivery_log.log_accepted(block, daemon.name)
            self._settle(delivery, BlockStatus.ACCEPTED, confirmations=1)
        elif answer.verdict is Verdict.CHECK:
            delivery_log.log_known(block, daemon.name, answer.text)
        else:
            delivery_log.log_refused(block, daemon.name, answer.text)
        delivery.wake()

    def _unclear(self, delivery: BlockDelivery, daemon: BlockDaemon, answer: str) -> None:
        """Log an answer without a verdict, once for each daemon, and have the chain checked at once."""
        if daemon not in delivery.unclear:
            delivery.unclear[daemon] = answer
            delivery_log.log_unclear(delivery.block, daemon.name, answer)
            delivery.wake()

    def _not_answered(self, delivery: BlockDelivery, daemon: BlockDaemon, trouble: str) -> None:
        """Log that a daemon did not answer, once for each, as an error if none has."""
        block = delivery.block
        if daemon not in delivery.failed:
            delivery.failed.add(daemon)
            delivery_log.log_not_answered(block, daemon.name, trouble)
        nobody = not delivery.answers and len(delivery.failed) == len(self._daemons)
        if nobody and not delivery.complained and not delivery.is_over():
            delivery.complained = True
            delivery_log.log_not_submitted(block)

    # --- what became of it -------------------------------------------------------------------------------

    def _record(self, delivery: BlockDelivery, status: BlockStatus, **changes: Any) -> None:
        self._store.put(replace(self._record_of(delivery.block), status=status, **changes))

    def _settle(self, delivery: BlockDelivery, status: BlockStatus, **changes: Any) -> None:
        if not delivery.is_over():
            still = STILL_OFFERED if status is BlockStatus.ACCEPTED else 0.0
            delivery.settle(offered_until=self._reactor.seconds() + still)
            if status is BlockStatus.ACCEPTED:
                self._recent[delivery.block.block_hash] = delivery.block
            self._record(delivery, status, **{"reason": ""} | changes)

    async def _try_to_check(self, delivery: BlockDelivery, send_again: bool) -> None:
        """Check a block; a bug in that must not end its delivery."""
        try:
            await self._check(delivery, send_again)
        except CancelledError:
            raise
        except Exception:
            _log.failure("internal error while checking the fate of block {height}", height=delivery.block.height)

    async def _check(self, delivery: BlockDelivery, send_again: bool) -> None:
        """Ask the daemons for the block's position; settle it, or send it again to those that miss it. Not if one
        has just answered: a daemon that says it holds the block but does not know it would be sent it without
        pause."""
        if delivery.is_over():
            return
        self._keep(delivery)
        block = delivery.block
        positions = await block_positions(self._daemons, block.block_hash)
        if delivery.is_over():  # meanwhile
            return
        known = [position for position in positions.values() if position.confirmations]
        deepest = max(known, key=lambda position: position.confirmations, default=None)
        # A stuck daemon has it in its chain forever, though the others went on without it.
        if deepest is not None and deepest.confirmations > 0:
            left_behind = block.height + deepest.confirmations - 1 + BURIED
            if all(
                position.confirmations > 0 or daemon.height < left_behind for daemon, position in positions.items()
            ):
                self._in_chain(delivery, deepest)
                return
        if all(delivery.refused_by(daemon) for daemon in self._daemons):
            self._settle(delivery, BlockStatus.REFUSED, reason=next(iter(delivery.objections().values())))
        elif not await self._is_buried(delivery, positions) and not delivery.is_over():
            if any(
                position.confirmations and delivery.is_known_valid_by(daemon)
                for daemon, position in positions.items()
            ):
                self._beaten(delivery)
            if send_again:
                self._send_again(delivery, positions)

    def _in_chain(self, delivery: BlockDelivery, position: BlockPosition) -> None:
        """Settle a block that the chain has; the log must not end with an earlier error."""
        objections = delivery.objections()
        if objections or delivery.complained:
            delivery_log.log_in_chain_after_all(delivery.block, objections)
        self._settle(
            delivery, BlockStatus.ACCEPTED, confirmations=position.confirmations, chainlocked=position.chainlocked
        )

    def _send_again(self, delivery: BlockDelivery, positions: dict[BlockDaemon, BlockPosition]) -> None:
        """Send a block to daemons that took it and no longer know it, and by p2p while none has answered."""
        missing = [
            daemon
            for daemon, position in positions.items()
            if not position.confirmations and daemon in delivery.answers and not delivery.refused_by(daemon)
        ]
        if missing or not delivery.answers:
            self._send(delivery, missing)

    def _beaten(self, delivery: BlockDelivery) -> None:
        """Record a block that is on a side branch; the next block decides."""
        block = delivery.block
        if self._store.records[block.block_hash].status is not BlockStatus.ORPHANED:
            delivery_log.log_beaten(block)
            self._record(delivery, BlockStatus.ORPHANED, reason=BEATEN)

    async def _is_buried(self, delivery: BlockDelivery, positions: dict[BlockDaemon, BlockPosition]) -> bool:
        """Settle a block if another one of its height is buried too deep for it to win. Return whether."""
        block = delivery.block
        for daemon in positions:
            if daemon.height < block.height + BURIED:
                continue
            rival = await daemon.block_at(block.height)
            if rival is None or rival == block.block_hash:
                continue
            objections = list(delivery.objections().values())
            status = BlockStatus.REFUSED if objections else BlockStatus.ORPHANED
            reason = objections[0] if objections else f"block {block.height} is {hash_hex(rival)}"
            self._settle(delivery, status, reason=reason)
            return True
        return False

    async def _finish(self, delivery: BlockDelivery) -> None:
        """Report what became of a settled block, and delete or quarantine its file."""
        block, record = delivery.block, self._store.records[delivery.block.block_hash]
        if record.status is BlockStatus.REFUSED:
            kept = await self._spool.quarantine(block.height, block.block_hash)
            delivery_log.log_lost(block, record.reason, kept)
        elif record.in_chain:
            if record.confirmations >= SAFE:
                await self._spool.forget(block.height, block.block_hash)
        else:
            delivery_log.log_orphaned(block, record.reason)
            await self._spool.forget(block.height, block.block_hash)
