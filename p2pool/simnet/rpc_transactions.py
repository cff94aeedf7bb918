"""RPC methods about transactions, waiting and confirmed."""

from __future__ import annotations

from collections.abc import Iterator

from p2pool.base.errors import ParseError
from p2pool.dash.hashes import hash_hex
from p2pool.dash.transaction import parse_transaction
from p2pool.simnet.context import NodeContext
from p2pool.simnet.errors import TransactionRefused
from p2pool.simnet.index import ChainBlock
from p2pool.simnet.render import (
    render_mempool,
    render_mempool_info,
    render_transaction,
    render_transaction_in_block,
)
from p2pool.simnet.rpc import (
    DESERIALIZATION_ERROR,
    INVALID_ADDRESS_OR_KEY,
    TYPE_ERROR,
    VERIFY_ERROR,
    VERIFY_REJECTED,
    JsonKind,
    MethodError,
    MethodParameter,
    Row,
    kind_of,
)
from p2pool.simnet.rpc_arguments import hash_argument

_SEARCHED_BLOCKS = 100
"""The newest blocks in which a transaction is searched by its hash alone: there is no index."""
_INPUTS_MISSING = "bad-txns-inputs-missingorspent"


class TransactionMethods:
    """Methods that show and take transactions."""

    def __init__(self, context: NodeContext) -> None:
        self._chain = context.chain

    def rows(self) -> list[Row]:
        """Return the methods with their parameters."""
        text, anything = JsonKind.STRING, JsonKind.ANY
        return [
            (self.getrawmempool, (MethodParameter("verbose", JsonKind.BOOL),)),
            (self.getmempoolinfo, ()),
            (
                self.getrawtransaction,
                (
                    MethodParameter("txid", text, True),
                    MethodParameter("verbose", anything),
                    MethodParameter("blockhash", text),
                ),
            ),
            (
                self.sendrawtransaction,
                (MethodParameter("hexstring", text, True), MethodParameter("maxfeerate", anything)),
            ),
        ]

    def getrawmempool(self, verbose: bool | None) -> object:
        """Return the waiting transactions: hashes, or an object."""
        if verbose:
            return render_mempool(self._chain.mempool)
        return [hash_hex(entry.hash) for entry in self._chain.mempool]

    def getmempoolinfo(self) -> object:
        """Figures about the waiting transactions."""
        return render_mempool_info(self._chain.mempool)

    def getrawtransaction(self, txid: str, verbose: object, blockhash: str | None) -> object:
        """Return a transaction: hex, or an object. Without a block hash one that waits, or of the newest
        blocks."""
        hash_ = hash_argument(txid, "parameter 1")
        if verbose is not None and not isinstance(verbose, (int, float)):
            raise MethodError(
                TYPE_ERROR, f"JSON value of type {kind_of(verbose).value} is not of expected type bool"
            )
        versions = self._chain.rules.addresses
        if blockhash is None:
            waiting = self._chain.mempool.get(hash_)
            if waiting is not None:
                shown = render_transaction(waiting.transaction, hash_, versions, fee=None) | {"chainlock": False}
                return shown if verbose else waiting.raw.hex()
            blocks = self._newest_blocks()
        else:
            block = self._chain.find(hash_argument(blockhash, "parameter 3"))
            if block is None:
                raise MethodError(INVALID_ADDRESS_OR_KEY, "Block hash not found")
            blocks = iter((block,))
        for block in blocks:
            found = render_transaction_in_block(self._chain, block, hash_, in_active_chain=blockhash is not None)
            if found is not None:
                return found if verbose else found["hex"]
        where = "transaction found in the provided block" if blockhash else "mempool or blockchain transaction"
        raise MethodError(INVALID_ADDRESS_OR_KEY, f"No such {where}. Use gettransaction for wallet transactions.")

    def sendrawtransaction(self, hexstring: str, maxfeerate: object) -> object:
        """Take a transaction into the mempool and announce it to peers; its hash."""
        try:
            transaction = parse_transaction(bytes.fromhex(hexstring))
        except (ParseError, ValueError):
            raise MethodError(
                DESERIALIZATION_ERROR, "TX decode failed. Make sure the tx has at least one input."
            ) from None
        try:
            return hash_hex(self._chain.add_transaction(transaction).hash)
        except TransactionRefused as error:
            code = VERIFY_ERROR if error.reason == _INPUTS_MISSING else VERIFY_REJECTED
            raise MethodError(code, error.reason) from None

    def _newest_blocks(self) -> Iterator[ChainBlock]:
        block: ChainBlock | None = self._chain.tip
        for _ in range(_SEARCHED_BLOCKS):
            if block is None:
                return
            yield block
            block = block.previous
