"""The node's side of solved work: takes the gateways' solutions, completes blocks, and says what it has stored.

A solution is acknowledged once its share is on disk: until then the broker keeps it, and a node that restarts
takes it again. The same solution may come any number of times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from p2pool.base.environment import Environment
from p2pool.base.errors import ParseError
from p2pool.broker.connection import BrokerError
from p2pool.broker.operations import Entry, GroupReader, acknowledge, append, get
from p2pool.dash.hashes import hash_hex
from p2pool.dashd.found_block import FoundBlock
from p2pool.gateway.messages import SolutionMessage, parse_message
from p2pool.gateway.names import NODE_GROUP, Names
from p2pool.gateway.ports import BrokerPort, StoreShares
from p2pool.gateway.solution_codec import ReadSolution, SolvedBlock, read_solution
from p2pool.networks.parameters import Network
from p2pool.node.node import FoundAuxBlock, Solution

_log = Logger(namespace="p2pool.gateway")

KEPT_TAKEN: Final = 20_000
"""Hashes of stored solutions that the broker keeps for gateways to read."""
KEPT_REJECTED: Final = 1_000
"""Solutions that could not be read that the broker keeps."""


class SolutionIntake:
    """Takes the gateways' solutions for a node. `transactions` returns those of a template by their key, None if
    they are not known; `take` gets each solution, and `store` writes its share to disk."""

    def __init__(
        self,
        environment: Environment,
        broker: BrokerPort,
        *,
        names: Names,
        network: Network,
        transactions: Callable[[bytes], tuple[bytes, ...] | None],
        take: Callable[[Solution], None],
        store: StoreShares,
    ) -> None:
        self._broker = broker
        self._names = names
        self._network = network
        self._transactions = transactions
        self._take = take
        self._store = store
        self._reader = GroupReader(names.solutions, NODE_GROUP)

    def start(self) -> None:
        """Read solutions from now on, first those that an earlier run did not finish."""
        self._broker.follow(self._reader, self._entries_came)

    def _entries_came(self, entries: list[Entry]) -> Deferred[None]:
        return Deferred.fromCoroutine(self.take_entries(entries))

    async def take_entries(self, entries: list[Entry]) -> None:
        """Take entries of the stream of solutions, and acknowledge them."""
        taken = []
        for entry in entries:
            try:
                message = parse_message(SolutionMessage, entry.data)
                read = read_solution(message, self._network)
            except ParseError as error:
                await self._quarantine(entry, error)
                continue
            self._take(
                Solution(
                    worker=read.worker,
                    found=read.found,
                    block=await self._complete(read.block),
                    share=read.share,
                    aux=tuple(_aux_blocks(read)),
                )
            )
            taken.append(message.hash)
        await self._store()
        await self._acknowledge(entries, taken)

    async def _complete(self, block: SolvedBlock | None) -> FoundBlock | None:
        """Return a found block with its transactions; None, logged, if nobody has them any more."""
        if block is None:
            return None
        key = block.part.transactions
        transactions = self._transactions(key)
        if transactions is None:
            transactions = await self._fetch(key)
        if transactions is None:
            _log.error(
                "block {height} {block_hash} of a gateway cannot be completed: its transactions are neither here "
                "nor in the broker; it is lost unless the gateway has a dashd of its own (--dashd)",
                height=block.part.height,
                block_hash=hash_hex(block.block_hash),
            )
            return None
        return block.complete(transactions)

    async def _fetch(self, key: bytes) -> tuple[bytes, ...] | None:
        try:
            data = await self._broker.ask(get(self._names.transactions(key)))
            return None if data is None else msgspec.msgpack.decode(data, type=tuple[bytes, ...])
        except (BrokerError, msgspec.DecodeError):
            return None

    async def _quarantine(self, entry: Entry, error: ParseError) -> None:
        """Keep a solution that cannot be read in a stream of its own."""
        _log.error(
            "cannot read a gateway's solution: {error}; kept in the broker's stream {stream}",
            error=error,
            stream=self._names.rejected,
        )
        await self._try(append(self._names.rejected, entry.data, keep=KEPT_REJECTED))

    async def _acknowledge(self, entries: list[Entry], taken: list[bytes]) -> None:
        for solution_hash in taken:
            await self._try(append(self._names.taken, solution_hash, keep=KEPT_TAKEN))
        await self._try(acknowledge(self._names.solutions, NODE_GROUP, [entry.id for entry in entries]))

    async def _try(self, action: Callable[[Any], None]) -> None:
        """Ask the broker. If that fails, the entries come again."""
        try:
            await self._broker.ask(action)
        except BrokerError:
            self._reader.read_again()


def _aux_blocks(read: ReadSolution) -> Iterator[FoundAuxBlock]:
    for work, proof in read.aux:
        yield FoundAuxBlock(work, lambda proof=proof: proof, read.worker)  # type: ignore[misc]
