"""The rules that a block must keep, in Dash Core's order and with Dash Core's reasons.

Called by `chain`. Pure: all that a rule needs is passed in. One rule is stricter than Dash Core's: the height at
the start of the coinbase script (BIP 34) is still demanded, although Dash Core, after DIP 3, checks only the
payload; a pool writes it, and a wrong one is a bug that a simulation should show.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from p2pool.base.errors import ParseError
from p2pool.dash.block import Block, BlockHeader, read_block
from p2pool.dash.merkle import merkle_root
from p2pool.dash.script import coinbase_height
from p2pool.dash.target import bits_to_target
from p2pool.dash.transaction import COINBASE_TYPE, NO_SEQUENCE, QUORUM_COMMITMENT_TYPE, Transaction
from p2pool.simnet.economy import Payee
from p2pool.simnet.errors import BlockInvalid, BlockUndecodable
from p2pool.simnet.parameters import EASIEST_BITS
from p2pool.simnet.payloads import CoinbasePayload, parse_coinbase_payload
from p2pool.simnet.scripts import signature_operations
from p2pool.simnet.special import is_asset_unlock, special_types
from p2pool.wire.codec import Reader

MAX_BLOCK_SIZE = 2_000_000
MAX_SIGNATURE_OPERATIONS = 40_000
MAX_TRANSACTION_SIZE = 100_000
"""Bytes of any transaction since DIP 1, the coinbase included."""
MAX_FUTURE_SECONDS = 7200
_MAX_MONEY = 21_000_000 * 100_000_000
_COINBASE_SCRIPT_SIZES = range(1, 101)
_LOCK_TIME_IS_A_TIME = 500_000_000


@dataclass(frozen=True, slots=True)
class DecodedBlock:
    """A block with what is computed once: its bytes, its hash (one X11), and its transactions' hashes."""

    block: Block
    raw: bytes
    hash: int
    transaction_hashes: tuple[int, ...]

    @property
    def header(self) -> BlockHeader:
        """Return the header of the block."""
        return self.block.header

    @property
    def coinbase(self) -> Transaction:
        """Return the block's first transaction."""
        return self.block.transactions[0]


def decode_block(data: bytes) -> DecodedBlock:
    """Return the block at the start of `data`; bytes after it are ignored, as Dash Core does.

    Raises BlockUndecodable with Dash Core's message.
    """
    reader = Reader(data)
    try:
        block = read_block(reader)
    except ParseError:
        raise BlockUndecodable("Block decode failed") from None
    if not block.transactions or not block.transactions[0].is_coinbase:
        raise BlockUndecodable("Block does not start with a coinbase")
    hashes = tuple(transaction.hash for transaction in block.transactions)
    return DecodedBlock(block, data[: reader.position], block.header.hash(), hashes)


# --- without context --------------------------------------------------------------------------------------


def check_work(decoded: DecodedBlock) -> None:
    """Check that the hash meets the target that the header itself claims, and that this is not easier than any
    chain allows."""
    target = bits_to_target(decoded.header.bits)
    if not 0 < target <= bits_to_target(EASIEST_BITS) or decoded.hash > target:
        raise BlockInvalid("high-hash")


def check_contents(decoded: DecodedBlock) -> None:
    """Check what can be said of a block's transactions without knowing the chain."""
    hashes = decoded.transaction_hashes
    if merkle_root(hashes) != decoded.header.merkle_root:
        raise BlockInvalid("bad-txnmrklroot")
    if len(set(hashes)) != len(hashes):
        raise BlockInvalid("bad-txns-duplicate")
    if len(decoded.raw) > MAX_BLOCK_SIZE:
        raise BlockInvalid("bad-blk-length")
    transactions = decoded.block.transactions
    if any(transaction.is_coinbase for transaction in transactions[1:]):
        raise BlockInvalid("bad-cb-multiple")
    for transaction in transactions:
        check_transaction(transaction)
    if sum(map(signature_operations, transactions)) > MAX_SIGNATURE_OPERATIONS:
        raise BlockInvalid("bad-blk-sigops")


def check_transaction(transaction: Transaction) -> None:
    """Check what can be said of a transaction alone. Raises BlockInvalid."""
    is_commitment = transaction.version >= 3 and transaction.type == QUORUM_COMMITMENT_TYPE
    if not transaction.inputs and not is_commitment and not is_asset_unlock(transaction):
        raise BlockInvalid("bad-txns-vin-empty")
    if not transaction.outputs and not is_commitment:
        raise BlockInvalid("bad-txns-vout-empty")
    total = 0
    for output in transaction.outputs:
        if output.value > _MAX_MONEY:
            raise BlockInvalid("bad-txns-vout-toolarge")
        total += output.value
        if total > _MAX_MONEY:
            raise BlockInvalid("bad-txns-txouttotal-toolarge")
    spent = [(item.previous_hash, item.previous_index) for item in transaction.inputs]
    if len(set(spent)) != len(spent):
        raise BlockInvalid("bad-txns-inputs-duplicate")
    if transaction.is_coinbase:
        if len(transaction.inputs[0].script) not in _COINBASE_SCRIPT_SIZES:
            raise BlockInvalid("bad-cb-length")
    elif any(hash_ == 0 for hash_, _ in spent):
        raise BlockInvalid("bad-txns-prevout-null")


# --- with the chain below ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HeaderContext:
    """What the chain below a block demands of its header. Times in seconds."""

    bits: int
    median_time: int
    now: float | None
    """None: blocks from disk, which were not too new when they came."""


def check_header(header: BlockHeader, context: HeaderContext) -> None:
    """Check the target, and that the time is between the median of the last 11 blocks and two hours from now."""
    if header.bits != context.bits:
        raise BlockInvalid("bad-diffbits")
    if header.timestamp <= context.median_time:
        raise BlockInvalid("time-too-old")
    if context.now is not None and header.timestamp > context.now + MAX_FUTURE_SECONDS:
        raise BlockInvalid("time-too-new")


def check_contents_in_context(block: Block, height: int, median_time: int, *, is_v24: bool = False) -> None:
    """Check sizes and lock times of transactions, the coinbase's form, and its height push."""
    if any(len(transaction.pack()) > MAX_TRANSACTION_SIZE for transaction in block.transactions):
        raise BlockInvalid("bad-txns-oversize")
    if not all(is_final(transaction, height, median_time) for transaction in block.transactions):
        raise BlockInvalid("bad-txns-nonfinal")
    coinbase = block.transactions[0]
    if coinbase.version != 3 or coinbase.type != COINBASE_TYPE:
        raise BlockInvalid("bad-cb-type")
    types = (0, QUORUM_COMMITMENT_TYPE, *special_types(is_v24))
    for transaction in block.transactions[1:]:
        if transaction.version >= 3 and transaction.type not in types:
            raise BlockInvalid("bad-tx-type")
        check_unlock_version(transaction, is_v24)
    try:
        pushed = coinbase_height(coinbase.inputs[0].script)
    except ParseError:
        raise BlockInvalid("bad-cb-height") from None
    if pushed != height:
        raise BlockInvalid("bad-cb-height")


def check_unlock_version(transaction: Transaction, is_v24: bool) -> None:
    """Check the version of an asset unlock: those with a stable hash come with Dash Core 24; version 1 stays
    valid. Raises BlockInvalid."""
    if is_asset_unlock(transaction) and transaction.extra_payload[:1] > b"\x01" and not is_v24:
        raise BlockInvalid("bad-assetunlocktx-version")


def is_final(transaction: Transaction, height: int, median_time: int) -> bool:
    """Return whether the lock time allows the transaction in a block at `height`."""
    lock_time = transaction.lock_time
    limit = height if lock_time < _LOCK_TIME_IS_A_TIME else median_time
    return lock_time < limit or all(item.sequence == NO_SEQUENCE for item in transaction.inputs)


# --- against the state at the block below -----------------------------------------------------------------


def check_payload(coinbase: Transaction, expected: CoinbasePayload) -> None:
    """Check that every field of the coinbase payload is what the chain expects at this height."""
    try:
        payload = parse_coinbase_payload(coinbase.extra_payload)
    except ParseError:
        raise BlockInvalid("bad-cbtx-payload") from None
    if payload.version != expected.version:
        raise BlockInvalid("bad-cbtx-version")
    if payload.height != expected.height:
        raise BlockInvalid("bad-cbtx-height")
    if payload.masternode_list_root != expected.masternode_list_root:
        raise BlockInvalid("bad-cbtx-mnmerkleroot")
    if payload.quorums_root != expected.quorums_root:
        raise BlockInvalid("bad-cbtx-quorummerkleroot")
    chainlock = (payload.best_chainlock_height_difference, payload.best_chainlock_signature)
    if chainlock != (expected.best_chainlock_height_difference, expected.best_chainlock_signature):
        raise BlockInvalid("bad-cbtx-invalid-clsig")
    if payload.credit_pool_balance != expected.credit_pool_balance:
        raise BlockInvalid("bad-cbtx-assetlocked-amount")
    if payload.asset_unlocks_root != expected.asset_unlocks_root:
        raise BlockInvalid("bad-cbtx-assetunlocksmerkleroot")


def check_commitments(block: Block, expected: Sequence[Transaction]) -> None:
    """Check that the quorum commitments are those that are due, unchanged, and no others."""
    found = [t for t in block.transactions if t.version >= 3 and t.type == QUORUM_COMMITMENT_TYPE]
    if len(found) < len(expected):
        raise BlockInvalid("bad-qc-missing")
    if len(found) > len(expected):
        raise BlockInvalid("bad-qc-not-allowed")
    if found != list(expected):
        raise BlockInvalid("bad-qc-invalid")


def check_payments(
    coinbase: Transaction,
    *,
    limit: int,
    superblock: Sequence[Payee],
    masternode: Sequence[Payee],
    each_its_own: bool = False,
) -> None:
    """Check that the coinbase pays at most `limit` duffs, and every payee its exact amount; `each_its_own`: two
    equal payments need two outputs, as from Dash Core 24 on.

    A missing superblock payee makes the amount wrong, not the payee (capture 71); superblock payees have their
    order.
    """
    if sum(output.value for output in coinbase.outputs) > limit:
        raise BlockInvalid("bad-cb-amount")
    in_order = [(output.script, output.value) for output in coinbase.outputs]
    start = 0
    for payee in superblock:
        try:
            start = in_order.index((payee.script, payee.amount), start) + each_its_own
        except ValueError:
            raise BlockInvalid("bad-cb-amount") from None
    paid = set(in_order)
    if any((payee.script, payee.amount) not in paid for payee in masternode):
        raise BlockInvalid("bad-cb-payee")
    if each_its_own:
        outputs = Counter((output.script, output.value) for output in coinbase.outputs)
        if Counter((payee.script, payee.amount) for payee in masternode) - outputs:
            raise BlockInvalid("bad-cb-payee")
