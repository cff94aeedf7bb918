"""Blocks of the rest of the network: the simulation finds competing blocks itself on request.

`build_block` and `search` are also what tests make blocks with.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from p2pool.dash.block import BlockHeader, assemble_block
from p2pool.dash.hashes import sha256d
from p2pool.dash.merkle import coinbase_branch, walk_branch
from p2pool.dash.pow import x11_digest
from p2pool.dash.script import coinbase_script, p2pkh_script
from p2pool.dash.target import bits_to_target, target_to_average_attempts
from p2pool.dash.transaction import COINBASE_TYPE, NO_INDEX, Transaction, TxInput, TxOutput
from p2pool.simnet.chain import SimulatedChain
from p2pool.simnet.index import ChainBlock
from p2pool.simnet.template import SimulatedTemplate

BLOCK_VERSION = 0x20000000

# Searches that take longer than this (about 50 ms) go to a thread.
_INLINE_ATTEMPTS = 4096
_NONCES = 1 << 32
# Attempts after which a search checks whether it was cancelled.
_CANCEL_INTERVAL = 4096
MAX_BLOCKS = 100
"""Blocks that one call may ask for."""

RunInThread = Callable[[Callable[[], int | None]], Awaitable[int | None]]
"""Runs a search away from the reactor; the nonce."""


class FinderBusy(Exception):
    """A search is under way; there is one at a time."""


@dataclass(frozen=True, slots=True)
class UnminedBlock:
    """A block whose header lacks only the nonce."""

    header: BlockHeader
    coinbase: bytes
    others: tuple[bytes, ...]

    def pack(self, nonce: int) -> bytes:
        """Return the block with a nonce."""
        return assemble_block(replace(self.header, nonce=nonce).pack(), self.coinbase, self.others)


def template_coinbase(template: SimulatedTemplate, script: bytes, extra: bytes = b"") -> Transaction:
    """Return the coinbase that pays the template's payees and the rest to `script`; `extra` follows the height."""
    payees = (*template.masternode, *template.superblock)
    rest = template.coinbase_value - sum(payee.amount for payee in payees)
    outputs = (TxOutput(rest, script), *(TxOutput(payee.amount, payee.script) for payee in payees))
    height = coinbase_script(template.height, b"", bytes([len(extra)]) + extra)
    return Transaction(3, COINBASE_TYPE, (TxInput(0, NO_INDEX, height),), outputs, 0, template.coinbase_payload)


def build_block(template: SimulatedTemplate, coinbase: Transaction, timestamp: int) -> UnminedBlock:
    """Return a block of the template's transactions."""
    packed = coinbase.pack()
    others = tuple(transaction.raw for transaction in template.transactions)
    branch = coinbase_branch([entry.hash.to_bytes(32, "little") for entry in template.transactions])
    root = int.from_bytes(walk_branch(sha256d(packed), branch), "little")
    header = BlockHeader(BLOCK_VERSION, template.previous.hash, root, timestamp, template.bits, 0)
    return UnminedBlock(header, packed, others)


def search(header: BlockHeader, cancelled: Callable[[], bool] = lambda: False) -> int | None:
    """Return the first nonce whose hash meets the header's target; None if there is none or it was cancelled."""
    prefix = header.pack()[:76]
    target = bits_to_target(header.bits)
    for nonce in range(_NONCES):
        if int.from_bytes(x11_digest(prefix + nonce.to_bytes(4, "little")), "little") <= target:
            return nonce
        if nonce % _CANCEL_INTERVAL == 0 and cancelled():
            return None
    return None


class BlockFinder:
    """The rest of the network's miners. `run` is None if everything is to happen at once (tests)."""

    def __init__(self, chain: SimulatedChain, now: Callable[[], float], run: RunInThread | None = None) -> None:
        self._chain = chain
        self._now = now
        self._run = run
        self._script = p2pkh_script(chain.rules.derive("network miner")[:20])
        self._counter = 0
        self._busy = False
        self._cancelled = False

    async def find(self, count: int = 1, fork_depth: int = 0) -> list[str]:
        """Find `count` blocks in a row, the first on the block `fork_depth` below the tip; their hashes.

        On the tip the first block contains the waiting transactions; blocks of a fork contain none. Raises
        FinderBusy, and ValueError for numbers out of range.
        """
        if not 1 <= count <= MAX_BLOCKS:
            raise ValueError(f"the number of blocks must be between 1 and {MAX_BLOCKS}")
        if not 0 <= fork_depth <= self._chain.height:
            raise ValueError("fork_depth must not exceed the height")
        if self._busy:
            raise FinderBusy
        self._busy = True
        try:
            previous = self._chain.tip.ancestor(self._chain.height - fork_depth)
            found: list[str] = []
            while len(found) < count:
                block = await self._find_one(previous)
                if block is None:
                    break
                found.append(block.hash_hex)
                previous = block
            return found
        finally:
            self._busy = False

    def cancel(self) -> None:
        """End a search that runs in a thread, and every later one."""
        self._cancelled = True

    async def _find_one(self, previous: ChainBlock) -> ChainBlock | None:
        chain = self._chain
        template = chain.template() if previous is chain.tip else chain.empty_template(previous)
        self._counter += 1
        coinbase = template_coinbase(template, self._script, b"simnet %d" % self._counter)
        block = build_block(template, coinbase, max(int(self._now()), template.minimum_time))

        wanted = True

        def work() -> int | None:
            return search(block.header, lambda: self._cancelled or not wanted)

        attempts = target_to_average_attempts(bits_to_target(block.header.bits))
        try:
            nonce = work() if self._run is None or attempts <= _INLINE_ATTEMPTS else await self._run(work)
        finally:
            wanted = False  # a caller that went away takes the search with it
        if nonce is None or self._cancelled:
            return None
        raw = block.pack(nonce)
        chain.submit(raw)
        return chain.find(replace(block.header, nonce=nonce).hash())
