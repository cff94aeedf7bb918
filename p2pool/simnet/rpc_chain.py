"""RPC methods about the block chain."""

from __future__ import annotations

from p2pool.dash.hashes import hash_hex
from p2pool.simnet.context import NodeContext
from p2pool.simnet.deployments import softforks
from p2pool.simnet.index import ChainBlock
from p2pool.simnet.render import Json, bits_difficulty, render_block, render_chainlock, render_header
from p2pool.simnet.rpc import (
    INTERNAL_ERROR,
    INVALID_PARAMETER,
    MISC_ERROR,
    TYPE_ERROR,
    JsonKind,
    MethodError,
    MethodParameter,
    Row,
    kind_of,
)
from p2pool.simnet.rpc_arguments import find_block, hash_argument


class ChainMethods:
    """Methods that show blocks and the state of the chain."""

    def __init__(self, context: NodeContext) -> None:
        self._context = context
        self._chain = context.chain

    def rows(self) -> list[Row]:
        """Return the methods with their parameters."""
        block_hash = MethodParameter("blockhash", JsonKind.STRING, required=True)
        return [
            (self.getblockchaininfo, ()),
            (self.getblock, (block_hash, MethodParameter("verbosity", JsonKind.ANY))),
            (self.getblockheader, (block_hash, MethodParameter("verbose", JsonKind.BOOL))),
            (self.getbestblockhash, ()),
            (self.getblockcount, ()),
            (self.getblockhash, (MethodParameter("height", JsonKind.NUMBER, True),)),
            (self.getchaintips, ()),
            (self.getbestchainlock, ()),
            (self.getdifficulty, ()),
            (self.getindexinfo, (MethodParameter("index_name", JsonKind.STRING),)),
        ]

    def getblockchaininfo(self) -> object:
        """Return the state of the chain."""
        chain, tip, status = self._chain, self._chain.tip, self._context.status
        return {
            "chain": self._context.chain_name,
            "blocks": tip.height,
            "headers": tip.height,
            "bestblockhash": tip.hash_hex,
            "difficulty": bits_difficulty(tip.header.bits),
            "time": tip.header.timestamp,
            "mediantime": tip.median_time,
            "verificationprogress": 0.5 if status.initial_download else 1,
            "initialblockdownload": status.initial_download,
            "chainwork": hash_hex(tip.work),
            "size_on_disk": chain.store.size,
            "pruned": False,
            "softforks": softforks(self._context.is_main, tip.height, self._context.signalling),
            "warnings": status.warnings,
        }

    def getblock(self, hash_: str, verbosity: object) -> object:
        """Return a block: hex, an object, or an object with whole transactions."""
        level = 1 if verbosity is None else verbosity
        if not isinstance(level, (int, float)):
            raise MethodError(
                TYPE_ERROR, f"JSON value of type {kind_of(level).value} is not of expected type number"
            )
        block = find_block(self._chain, hash_argument(hash_, "blockhash"))
        if level <= 0:
            return self._chain.read(block).raw.hex()
        return render_block(self._chain, block, level >= 2)

    def getblockheader(self, hash_: str, verbose: bool | None) -> object:
        """Return a header: an object, or hex."""
        block = find_block(self._chain, hash_argument(hash_, "hash"))
        return block.header.pack().hex() if verbose is False else render_header(self._chain, block)

    def getbestblockhash(self) -> object:
        """Return the hash of the tip."""
        return self._chain.tip_hash

    def getblockcount(self) -> object:
        """Return the height of the tip."""
        return self._chain.height

    def getblockhash(self, height: object) -> object:
        """Return the hash of the best chain's block at a height."""
        if not isinstance(height, int):
            raise MethodError(MISC_ERROR, "JSON integer out of range")
        block = self._chain.active.at(height)
        if block is None:
            raise MethodError(INVALID_PARAMETER, "Block height out of range")
        return block.hash_hex

    def getchaintips(self) -> object:
        """Return the tips of all branches, the best first."""
        return [self._chain_tip(tip, fork) for tip, fork in self._chain.branches()]

    def getbestchainlock(self) -> object:
        """Return the newest ChainLock; there is one only if a test made it."""
        if self._chain.chainlock is None:
            raise MethodError(INTERNAL_ERROR, "Unable to find any ChainLock")
        return render_chainlock(self._chain.chainlock, self._chain.rules)

    def getdifficulty(self) -> object:
        """Return the difficulty of the tip."""
        return bits_difficulty(self._chain.tip.header.bits)

    def getindexinfo(self, index_name: str | None) -> object:
        """Return the indices that are kept: that of transactions, as on every node that people ask things of."""
        if index_name not in (None, "txindex"):
            return {}
        return {"txindex": {"synced": True, "best_block_height": self._chain.height}}

    def _chain_tip(self, tip: ChainBlock, fork: ChainBlock) -> Json:
        return {
            "height": tip.height,
            "hash": tip.hash_hex,
            "difficulty": bits_difficulty(tip.header.bits),
            "chainwork": hash_hex(tip.work),
            "branchlen": tip.height - fork.height,
            "forkpoint": fork.hash_hex,
            "status": "active" if tip is self._chain.tip else "invalid" if tip.failed else "valid-headers",
        }
