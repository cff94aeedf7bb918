"""Blocks that a gateway found: completed as soon as their transactions are there, and given to its own daemons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from p2pool.base.bounded import BoundedDict
from p2pool.broker.connection import leave_to_broker
from p2pool.dash.hashes import hash_hex
from p2pool.dash.pow import x11
from p2pool.dashd.found_block import FoundBlock
from p2pool.gateway.messages import SolutionMessage
from p2pool.gateway.names import Names
from p2pool.gateway.ports import BrokerPort
from p2pool.gateway.solution_codec import SolvedBlock
from p2pool.gateway.template_transactions import restore_transactions
from p2pool.gateway.transaction_fetch import TransactionFetcher

_log = Logger(namespace="p2pool.gateway")

MAX_INCOMPLETE: Final = 20
"""Blocks that wait for their transactions: of those of one height only one can win. More are left to the node, to
which the sender sends all of them."""


class BlockCompletion:
    """Completes a gateway's blocks. `deliver` gets each whole block; None if the gateway has no daemon."""

    def __init__(
        self,
        broker: BrokerPort,
        *,
        names: Names,
        fetcher: TransactionFetcher,
        deliver: Callable[[FoundBlock], None] | None,
    ) -> None:
        self._broker = broker
        self._names = names
        self._fetcher = fetcher
        self._deliver = deliver
        self._incomplete: BoundedDict[bytes, SolvedBlock] = BoundedDict(MAX_INCOMPLETE)
        """By the hash of the header. The header and the coinbase are on disk in the spool of solutions."""
        fetcher.completed.subscribe(self._completed)

    @property
    def waiting(self) -> int:
        """Return how many blocks wait for their transactions."""
        return len(self._incomplete)

    def offer(self, message: SolutionMessage) -> None:
        """Deliver the block of a solution at once, or as soon as its transactions are there."""
        part = message.block
        if part is None:
            return
        block = SolvedBlock(
            part=part,
            block_hash=x11(part.header),
            worker=message.worker,
            share_hash=int.from_bytes(message.hash, "little") if message.share is not None else None,
            found=message.found,
        )
        if self._deliver is not None and not self._complete(block):
            _log.warn(
                "block {height} {block_hash} waits for its transactions, which the broker has not brought yet",
                height=part.height,
                block_hash=hash_hex(block.block_hash),
            )
            self._incomplete[message.hash] = block
        self._fetcher.request(block.previous_block, part.transactions, for_block=True)

    def delayed(self, message: SolutionMessage) -> None:
        """Let the node have the transactions of a block that it does not store: it may have been restarted, and
        the broker may have lost them."""
        part = message.block
        if part is None or not part.transactions:
            return
        previous_block = part.header[4:36]
        content = self._fetcher.content(previous_block, part.transactions)
        if content is None:
            self._fetcher.request(previous_block, part.transactions, for_block=True)
        else:
            restoring = Deferred.fromCoroutine(restore_transactions(self._broker, self._names, content))
            restoring.addErrback(leave_to_broker)

    def _complete(self, block: SolvedBlock) -> bool:
        transactions = self._fetcher.get(block.part.transactions)
        if transactions is None or self._deliver is None:
            return False
        self._deliver(block.complete(transactions))
        return True

    def _completed(self, key: bytes) -> None:
        for solution_hash, block in list(self._incomplete.items()):
            if block.part.transactions == key and self._complete(block):
                self._incomplete.pop(solution_hash, None)
