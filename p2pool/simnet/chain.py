"""The simulated block chain: takes blocks, follows the most work, keeps ledger, mempool and store in step.

Called by the RPC methods, the p2p session and the simulated network's own miner. Not a consensus implementation of
Dash: it keeps the rules that a pool can break (see `validation`), with Dash Core's words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from twisted.logger import Logger

from p2pool.base.bounded import BoundedDict, BoundedSet
from p2pool.base.observable import Event
from p2pool.dash.hashes import hash_hex
from p2pool.dash.transaction import Transaction
from p2pool.simnet.economy import Economy
from p2pool.simnet.errors import BlockInvalid, TransactionRefused
from p2pool.simnet.genesis import genesis_block
from p2pool.simnet.index import ActiveChain, ChainBlock
from p2pool.simnet.ledger import Ledger, Undo
from p2pool.simnet.mempool import Mempool, MempoolEntry
from p2pool.simnet.parameters import DEFAULT_BLOCK_MAX_SIZE, ChainRules
from p2pool.simnet.retarget import WINDOW, TimedBits, next_bits
from p2pool.simnet.special import is_asset_unlock, special_effects
from p2pool.simnet.store import MemoryStore, RawBlockStore
from p2pool.simnet.template import SimulatedTemplate, build_template
from p2pool.simnet.validation import (
    DecodedBlock,
    HeaderContext,
    check_commitments,
    check_contents,
    check_contents_in_context,
    check_header,
    check_payload,
    check_payments,
    check_work,
    decode_block,
)

# The deepest reorganisation: older blocks' undo data is forgotten.
_MAX_UNDO = 1000
# Hashes of blocks that failed before they entered the index: enough to answer "duplicate-invalid".
_MAX_FAILED = 4096


@dataclass(frozen=True, slots=True)
class _Switch:
    """A change of the tip: blocks that left the best chain and that joined it, oldest first."""

    disconnected: tuple[ChainBlock, ...]
    connected: tuple[ChainBlock, ...]


class SimulatedChain:
    """A block chain from a deterministic genesis. `now` gives Unix time in seconds.

    `block_connected` fires for each block that joins the best chain, oldest first, `tip_changed` once after them;
    both after ledger, mempool and disk are up to date.
    """

    _log = Logger(namespace="p2pool.simnet.chain")

    def __init__(
        self,
        rules: ChainRules,
        now: Callable[[], float],
        *,
        open_store: Callable[[int], RawBlockStore] = lambda genesis_hash: MemoryStore(),
        mempool_limit: int = 200,
        block_max_size: int = DEFAULT_BLOCK_MAX_SIZE,
    ) -> None:
        """`open_store(genesis hash)` gives the store, whose blocks are replayed. Raises what it raises."""
        self._block_max_size = block_max_size
        self.rules = rules
        self.economy = Economy(rules)
        self.block_connected: Event[ChainBlock] = Event()
        self.tip_changed: Event[ChainBlock] = Event()
        self.last_template: SimulatedTemplate | None = None
        """The last template that was asked for: getmininginfo shows its size."""
        self.frozen = False
        """Whether blocks are judged but not taken: a daemon that runs and is stuck."""
        self.chainlock: ChainBlock | None = None
        """The newest block with a ChainLock; it is in the best chain for good. Not kept over a restart."""
        self.ledger = Ledger()
        self.mempool = Mempool(self.ledger, mempool_limit, rules.is_v24)
        self._now = now
        self._genesis = genesis_block(rules)
        genesis = ChainBlock(
            self._genesis.header, self._genesis.hash, None, size=len(self._genesis.raw), transaction_count=1
        )
        self._index: dict[int, ChainBlock] = {genesis.hash: genesis}
        self._undo: BoundedDict[int, Undo] = BoundedDict(_MAX_UNDO)
        self._failed = BoundedSet[int](_MAX_FAILED)
        self.active = ActiveChain(genesis)
        self.ledger.connect(self._genesis.block.transactions, self._genesis.transaction_hashes, 0)
        self.store = open_store(genesis.hash)
        self._replay()

    # --- state -----------------------------------------------------------------------------------------

    @property
    def tip(self) -> ChainBlock:
        """Return the newest block of the best chain."""
        return self.active.tip

    @property
    def height(self) -> int:
        """Return the tip's height; the genesis has 0."""
        return self.active.tip.height

    @property
    def tip_hash(self) -> str:
        """Return the tip's hash, 64 hex digits."""
        return self.active.tip.hash_hex

    def find(self, hash_: int) -> ChainBlock | None:
        """Return a known block, on the best chain or not."""
        return self._index.get(hash_)

    def read(self, block: ChainBlock) -> DecodedBlock:
        """Return a known block with its transactions. OSError if the disk fails."""
        return self._genesis if block.position < 0 else decode_block(self.store.read(block.position))

    def branches(self) -> list[tuple[ChainBlock, ChainBlock]]:
        """Return the tips of all known branches with their fork points, highest first, the best chain's before
        others."""
        inner = {block.previous for block in self._index.values()}
        tips = [block for block in self._index.values() if block not in inner]
        tips.sort(key=lambda block: (block.height, block is self.tip), reverse=True)
        return [(tip, self.active.fork_point(tip)) for tip in tips]

    def fees(self, block: ChainBlock) -> tuple[int, ...] | None:
        """Return the fees (duffs) of a connected block's transactions but the coinbase; None if they are
        forgotten."""
        undo = self._undo.get(block.hash)
        return None if undo is None or block not in self.active else undo.fees

    def count_version_bit(self, first: int, last: int, bit: int) -> int:
        """Return how many blocks of the best chain from height `first` to `last` have a bit of their version
        set."""
        blocks = (self.active.at(height) for height in range(max(0, first), last + 1))
        return sum(block is not None and block.header.version >> bit & 1 for block in blocks)

    def is_locked(self, block: ChainBlock) -> bool:
        """Return whether a ChainLock covers the block: its own, or that of one above it."""
        return self.chainlock is not None and block.height <= self.chainlock.height and block in self.active

    def lock(self, block: ChainBlock) -> None:
        """Give a block of the best chain a ChainLock. ValueError for another block."""
        if block not in self.active:
            raise ValueError("a ChainLock for a block that is not in the best chain")
        if self.chainlock is None or block.height > self.chainlock.height:
            self.chainlock = block

    def close(self) -> None:
        """Release the store of blocks."""
        self.store.close()

    # --- blocks ----------------------------------------------------------------------------------------

    def submit(self, data: bytes) -> str | None:
        """Take a block: None if it is the new tip, else Dash Core's word for what became of it.

        Raises BlockUndecodable, and OSError if the block could not be kept (then nothing changed).
        """
        decoded = decode_block(data)
        known = self._known(decoded.hash)
        if known is not None:
            return known
        if self.frozen:
            return self._judge(decoded)
        try:
            entry, switch = self._accept(decoded, self._now())
        except BlockInvalid as error:
            return error.reason
        if entry is None:
            return "inconclusive"
        self._announce(switch)
        return None

    def propose(self, data: bytes) -> str | None:
        """Judge a block on top of the tip without proof of work and without taking it (BIP 23 proposals).

        None if it would be valid. Raises BlockUndecodable.
        """
        decoded = decode_block(data)
        known = self._known(decoded.hash)
        if known is not None:
            return known
        if decoded.header.previous_block != self.tip.hash:
            return "inconclusive-not-best-prevblk"
        try:
            check_contents(decoded)
            check_header(decoded.header, self._header_context(self.tip, self._now()))
            self._check_in_context(decoded, self.tip)
            self.ledger.disconnect(self._connect(decoded, self.height + 1))
        except BlockInvalid as error:
            return error.reason
        return None

    def next_bits(self, previous: ChainBlock) -> int:
        """Return the compact target of the block after `previous`."""
        history: list[TimedBits] = []
        block: ChainBlock | None = previous
        while block is not None and block.height > 0 and len(history) <= WINDOW:
            history.append(TimedBits(block.header.timestamp, block.header.bits))
            block = block.previous
        return next_bits(history[::-1], self.rules.block_period, self.rules.initial_bits)

    # --- templates and transactions --------------------------------------------------------------------

    def template(self) -> SimulatedTemplate:
        """Return the template for the block after the tip, with the waiting transactions."""
        last = self.last_template
        if last is None or last.previous is not self.tip or last.updates != self.mempool.updates:
            last = self._template(self.tip, self.mempool, self.mempool.updates)
            self.last_template = last
        return last

    def empty_template(self, previous: ChainBlock) -> SimulatedTemplate:
        """Return a template without waiting transactions for the block after any known block."""
        return self._template(previous, (), 0)

    def add_transaction(self, transaction: Transaction) -> MempoolEntry:
        """Take a transaction into the mempool. Raises TransactionRefused."""
        waiting = {entry.hash: entry.transaction for entry in self.mempool} | {transaction.hash: transaction}
        unlocked = special_effects(waiting.values()).unlocked if is_asset_unlock(transaction) else 0
        if unlocked > self.economy.credit_pool(self.height, self.tip.unlocked):
            raise TransactionRefused("failed-creditpool-unlock-too-much")
        return self.mempool.add(transaction, now=self._now(), height=self.height, median_time=self.tip.median_time)

    def _template(self, previous: ChainBlock, waiting: Iterable[MempoolEntry], updates: int) -> SimulatedTemplate:
        bits = self.next_bits(previous)
        return build_template(
            self.economy, previous, bits=bits, waiting=waiting, updates=updates, max_size=self._block_max_size
        )

    # --- inside ----------------------------------------------------------------------------------------

    def _known(self, hash_: int) -> str | None:
        entry = self._index.get(hash_)
        if entry is not None:
            return "duplicate-invalid" if entry.failed else "duplicate"
        return "duplicate-invalid" if hash_ in self._failed else None

    def _header_context(self, previous: ChainBlock, now: float | None) -> HeaderContext:
        return HeaderContext(self.next_bits(previous), previous.median_time, now)

    def _previous_of(self, decoded: DecodedBlock) -> ChainBlock:
        previous = self._index.get(decoded.header.previous_block)
        if previous is None:
            raise BlockInvalid(
                "bad-prevblk" if decoded.header.previous_block in self._failed else "prev-blk-not-found"
            )
        if previous.failed:
            raise BlockInvalid("bad-prevblk")
        return previous

    def _check_header(self, decoded: DecodedBlock, now: float | None) -> ChainBlock:
        """Check what does not depend on the block's position. Return the previous block. Raises BlockInvalid."""
        check_work(decoded)
        check_contents(decoded)
        previous = self._previous_of(decoded)
        check_header(decoded.header, self._header_context(previous, now))
        locked = self.chainlock
        if locked is not None and self.active.fork_point(previous).height < locked.height:
            raise BlockInvalid("bad-chainlock")
        return previous

    def _check_in_context(self, decoded: DecodedBlock, previous: ChainBlock) -> None:
        height = previous.height + 1
        check_contents_in_context(decoded.block, height, previous.median_time, is_v24=self.rules.is_v24(height))

    def _judge(self, decoded: DecodedBlock) -> str:
        """Return the verdict on a block that will not be taken because the tip is frozen."""
        try:
            previous = self._check_header(decoded, self._now())
            self._check_in_context(decoded, previous)
            if previous is self.tip:
                self.ledger.disconnect(self._connect(decoded, previous.height + 1))
        except BlockInvalid as error:
            return error.reason
        return "inconclusive"

    def _accept(
        self, decoded: DecodedBlock, now: float | None, position: int | None = None
    ) -> tuple[ChainBlock | None, _Switch]:
        """Check, connect if best, and store (unless it is in the store at `position` already).

        The entry is None if the block did not become the tip. Raises BlockInvalid and OSError.
        """
        previous = self._check_header(decoded, now)
        # From here on the header is good: a block that fails is remembered.
        try:
            self._check_in_context(decoded, previous)
            entry = ChainBlock(
                decoded.header,
                decoded.hash,
                previous,
                size=len(decoded.raw),
                transaction_count=len(decoded.transaction_hashes),
            )
            entry.unlocked = previous.unlocked + special_effects(decoded.block.transactions).unlocked
            switch = self._connect_if_best(entry, decoded)
        except BlockInvalid:
            self._failed.add(decoded.hash)
            raise
        if position is None:
            try:
                position = self.store.append(decoded.raw)
            except OSError:
                self._revert(switch)
                raise
        entry.position = position
        self._index[entry.hash] = entry
        if switch.connected:
            self._update_mempool(switch)
            return entry, switch
        return None, switch

    def _connect_if_best(self, entry: ChainBlock, decoded: DecodedBlock) -> _Switch:
        """Make `entry` the tip if it has more work. BlockInvalid leaves the best chain as it was."""
        if entry.work <= self.tip.work:
            return _Switch((), ())
        fork = self.active.fork_point(entry)
        leaving = [self.active.at(height) for height in range(fork.height + 1, self.height + 1)]
        old = tuple(block for block in leaving if block is not None)
        if any(block.hash not in self._undo for block in old):
            self._log.warn("refusing a reorganisation of {depth} blocks", depth=len(old))
            return _Switch((), ())
        branch: list[ChainBlock] = []
        block = entry
        while block is not fork and block.previous is not None:
            branch.append(block)
            block = block.previous
        branch.reverse()
        for _ in old:
            self._disconnect_tip()
        for number, block in enumerate(branch):
            try:
                self._connect_tip(block, decoded if block is entry else self.read(block))
            except (BlockInvalid, OSError) as error:
                self._restore(fork, old)
                if isinstance(error, OSError) or block is entry:
                    raise
                for descendant in branch[number:]:
                    descendant.failed = True
                raise BlockInvalid("bad-prevblk") from None
        return _Switch(old, tuple(branch))

    def _restore(self, fork: ChainBlock, old: Iterable[ChainBlock]) -> None:
        while self.tip is not fork:
            self._disconnect_tip()
        for block in old:
            self._connect_tip(block, self.read(block))

    def _revert(self, switch: _Switch) -> None:
        """Undo a switch whose block could not be stored."""
        for _ in switch.connected:
            self._disconnect_tip()
        for block in switch.disconnected:
            self._connect_tip(block, self.read(block))

    def _connect_tip(self, entry: ChainBlock, decoded: DecodedBlock) -> None:
        self._undo[entry.hash] = self._connect(decoded, entry.height)
        self.active.push(entry)

    def _disconnect_tip(self) -> None:
        self.ledger.disconnect(self._undo.pop(self.active.pop().hash))

    def _connect(self, decoded: DecodedBlock, height: int) -> Undo:
        """Apply a block on top of the tip to the ledger. BlockInvalid leaves the ledger as it was."""
        economy, effects = self.economy, special_effects(decoded.block.transactions)
        check_payload(decoded.coinbase, economy.coinbase_payload(height, effects, self.tip.unlocked))
        check_commitments(decoded.block, economy.commitments(height, decoded.header.previous_block))
        undo = self.ledger.connect(decoded.block.transactions, decoded.transaction_hashes, height)
        try:
            check_payments(
                decoded.coinbase,
                limit=economy.coinbase_value(height, undo.total_fees),
                superblock=economy.superblock_payees(height),
                masternode=economy.masternode_payees(height, undo.total_fees),
                each_its_own=self.rules.is_v24(height),
            )
        except BlockInvalid:
            self.ledger.disconnect(undo)
            raise
        return undo

    def _update_mempool(self, switch: _Switch) -> None:
        freed: list[Transaction] = []
        try:
            for block in switch.disconnected:
                freed += self.read(block).block.transactions[1:]
        except OSError as error:
            self._log.warn("transactions of a disconnected block are lost: {error}", error=str(error))
        self.mempool.follow_tip(freed, now=self._now, height=self.height, median_time=self.tip.median_time)

    def _announce(self, switch: _Switch) -> None:
        if switch.disconnected:
            self._log.info("reorganisation: {depth} blocks left the best chain", depth=len(switch.disconnected))
        for block in switch.connected:
            self.block_connected.fire(block)
        self.tip_changed.fire(self.tip)

    def _replay(self) -> None:
        """Take the blocks of the store, in the order in which they came."""
        for position in self.store.positions():
            decoded = decode_block(self.store.read(position))
            try:
                self._accept(decoded, None, position)
            except BlockInvalid as error:
                self._log.warn(
                    "stored block {hash} is refused: {reason}", hash=hash_hex(decoded.hash), reason=error.reason
                )
