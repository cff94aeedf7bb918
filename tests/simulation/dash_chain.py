"""The simulated Dash chain: all blocks that anyone made, and the rules that a block has to meet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from p2pool.base.errors import ParseError
from p2pool.dash.address import encode_address, payee_script
from p2pool.dash.block import Block, parse_block
from p2pool.dash.hashes import hash_hex, sha256d
from p2pool.dash.merkle import merkle_root
from p2pool.dash.pow import x11
from p2pool.dash.target import bits_to_target
from p2pool.dash.transaction import Transaction, TxInput, TxOutput
from p2pool.networks import Network

SUBSIDY = 177_000_000
"""Duffs of a block, without its fees."""
MASTERNODE_PART = 0.6
FEE = 226
"""Duffs of each transaction."""
VERSION = 0x20000000
GENESIS = 0x5EED
_PAYLOAD_VERSION = 2


@dataclass(eq=False)
class SimulatedBlock:
    """A block of the simulated Dash chain. `time` is when it was found, in the world's seconds."""

    hash: int
    previous: SimulatedBlock | None
    height: int
    time: float
    timestamp: int
    finder: str
    """Which daemon had it first."""
    coinbase: Transaction | None = None
    header: bytes = b""
    transactions: tuple[bytes, ...] = ()


@dataclass
class DashChain:
    """All blocks. `bits` is the difficulty, which stays; `transactions` is how many each block may have."""

    network: Network
    bits: int
    epoch: float
    transactions: int = 3
    blocks: dict[int, SimulatedBlock] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.genesis = SimulatedBlock(GENESIS, None, 1000, 0.0, int(self.epoch) - 3600, "genesis")
        self.blocks[self.genesis.hash] = self.genesis
        addresses = self.network.parent.addresses
        self.masternode = encode_address(addresses.pubkey_hash, b"\x4d" * 20)
        self.masternode_script = payee_script(self.masternode, addresses)
        self._waiting: dict[int, tuple[bytes, ...]] = {}

    def waiting(self, previous: SimulatedBlock) -> tuple[bytes, ...]:
        """Return the transactions that the block after `previous` may have."""
        found = self._waiting.get(previous.hash)
        if found is None:
            seed = previous.hash.to_bytes(32, "little")
            found = tuple(
                Transaction(
                    version=2,
                    type=0,
                    inputs=(TxInput(int.from_bytes(sha256d(seed + bytes([number])), "little"), 0, b"\x01" * 70),),
                    outputs=(TxOutput(10_000 + number, b"\x76\xa9\x14" + seed[:20] + b"\x88\xac"),),
                    lock_time=0,
                ).pack()
                for number in range(self.transactions)
            )
            if len(self._waiting) > 100:
                self._waiting.pop(next(iter(self._waiting)))
            self._waiting[previous.hash] = found
        return found

    def payload(self, height: int) -> bytes:
        """Return the coinbase payload that a block of this height must have."""
        return (
            _PAYLOAD_VERSION.to_bytes(2, "little")
            + height.to_bytes(4, "little")
            + sha256d(b"masternodes")
            + sha256d(b"quorums")
        )

    def template(self, tip: SimulatedBlock, now: int) -> dict[str, Any]:
        """Return the answer to getblocktemplate."""
        transactions = self.waiting(tip)
        subsidy = SUBSIDY + FEE * len(transactions)
        return {
            "version": VERSION,
            "height": tip.height + 1,
            "previousblockhash": hash_hex(tip.hash),
            "bits": f"{self.bits:08x}",
            "curtime": max(now, tip.timestamp + 1),
            "mintime": tip.timestamp + 1,
            "coinbasevalue": subsidy,
            "coinbaseaux": {"flags": ""},
            "coinbase_payload": self.payload(tip.height + 1).hex(),
            "masternode": [
                {
                    "payee": self.masternode,
                    "script": self.masternode_script.hex(),
                    "amount": int(subsidy * MASTERNODE_PART),
                }
            ],
            "superblock": [],
            "transactions": [
                {
                    "data": data.hex(),
                    "hash": hash_hex(int.from_bytes(sha256d(data), "little")),
                    "fee": FEE,
                    "depends": [],
                }
                for data in transactions
            ],
            "longpollid": hash_hex(tip.hash) + "1",
        }

    def take(self, data: bytes, finder: str, now: float, known: Callable[[int], bool]) -> SimulatedBlock | str:
        """Judge a block that a daemon was given, which knows the blocks that are `known`. Return Dash Core's word
        for what is wrong with it. Raises ParseError if it is no block."""
        block = parse_block(data)
        block_hash = x11(data[:80])
        if known(block_hash):
            return "duplicate"
        if block.header.previous_block not in self.blocks or not known(block.header.previous_block):
            return "prev-blk-not-found"
        previous = self.blocks[block.header.previous_block]
        problem = self._problem(block, block_hash, previous, now)
        if problem is not None:
            return problem
        made = self.blocks.get(block_hash)
        if made is None:
            made = SimulatedBlock(
                block_hash,
                previous,
                previous.height + 1,
                now,
                block.header.timestamp,
                finder,
                block.transactions[0],
                data[:80],
                tuple(each.pack() for each in block.transactions[1:]),
            )
            self.blocks[block_hash] = made
        return made

    def _problem(self, block: Block, block_hash: int, previous: SimulatedBlock, now: float) -> str | None:
        """Return what is wrong with a block, by rules that were written without regard to the pool's."""
        header, coinbase = block.header, block.transactions[0]
        if header.bits != self.bits:
            return "bad-diffbits"
        if block_hash > bits_to_target(header.bits):
            return "high-hash"
        if header.timestamp <= previous.timestamp:
            return "time-too-old"
        if header.timestamp > self.epoch + now + 7200:
            return "time-too-new"
        if header.merkle_root != merkle_root([each.hash for each in block.transactions]):
            return "bad-txnmrklroot"
        if not coinbase.is_coinbase or any(each.is_coinbase for each in block.transactions[1:]):
            return "bad-cb-missing"
        allowed = set(self.waiting(previous))
        if any(each.pack() not in allowed for each in block.transactions[1:]):
            return "bad-txns-inputs-missingorspent"
        if coinbase.extra_payload != self.payload(previous.height + 1):
            return "bad-cbtx-payload"
        value = SUBSIDY + FEE * (len(block.transactions) - 1)
        if sum(output.value for output in coinbase.outputs) > value:
            return "bad-cb-amount"
        due = TxOutput(int(value * MASTERNODE_PART), self.masternode_script)
        if due not in coinbase.outputs:
            return "bad-cb-payee"
        return None

    def anonymous(self, previous: SimulatedBlock, finder: str, now: float, number: int) -> SimulatedBlock:
        """Return a block of a miner who has nothing to do with the pool."""
        seed = b"other block" + previous.hash.to_bytes(32, "little") + number.to_bytes(8, "little")
        block = SimulatedBlock(
            int.from_bytes(sha256d(seed), "little"),
            previous,
            previous.height + 1,
            now,
            max(previous.timestamp + 1, int(self.epoch + now)),
            finder,
        )
        self.blocks[block.hash] = block
        return block

    def ancestor(self, block: SimulatedBlock, height: int) -> SimulatedBlock | None:
        """Return the block of a height below a block."""
        found: SimulatedBlock | None = block
        while found is not None and found.height > height:
            found = found.previous
        return found if found is not None and found.height == height else None


class NotABlock(ParseError):
    """What submitblock was given is not a block."""
