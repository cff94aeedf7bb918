"""Keeps blocks within Dash's limits on size and signature operations, regardless of which miner finds them.

dashd fills a template to `blockmaxsize` of dash.conf (2,000,000 bytes by default, as many as a block may have) and
reserves 1000 bytes and 100 signature operations for the coinbase. The coinbase of the pool pays everybody in the
PPLNS window, with 34 bytes and one operation each. Transactions that do not fit are left out, as far as Dash
allows (`dashd.shortening`). The payees are a rule of the share chain and cannot be changed.
"""

from __future__ import annotations

from dataclasses import dataclass

from p2pool.dash.pow import HEADER_SIZE
from p2pool.dash.script import script_signature_operations
from p2pool.dashd.shortening import shorten
from p2pool.dashd.template import BlockTemplate
from p2pool.share.payouts import Payouts, gentx_prefix
from p2pool.wire.codec import pack_varint

MAX_COINBASE_SIZE = 100_000
"""Bytes that any transaction may have since DIP 1."""
ADVISED_BLOCK_MAX_SIZE = 1_900_000
"""The advice for dash.conf: it leaves room for the largest valid coinbase."""
_CURE = f"set blockmaxsize={ADVISED_BLOCK_MAX_SIZE} in dash.conf and restart dashd"
_REF_HASH_AND_NONCE = 40
_SOMEBODY_ELSE = bytes(25)
"""A finder's script that no share can have, so that it gets an output of its own; it has the usual length."""


@dataclass(frozen=True, slots=True)
class Coinbase:
    """The size of the largest coinbase of one context: that of a finder who is not paid for earlier shares."""

    size: int
    signature_operations: int

    @classmethod
    def largest(cls, table: Payouts, *, script: bytes, suffix: bytes, has_payload: bool) -> Coinbase:
        """Return the largest coinbase with this coinbase script; `suffix` is what follows the nonce."""
        size = (
            len(gentx_prefix(table, _SOMEBODY_ELSE, coinbase=script, has_payload=has_payload))
            + _REF_HASH_AND_NONCE
            + len(suffix)
        )
        paid = sum(script_signature_operations(payee) for payee, _ in table.payments)
        finder_and_donation = 2
        operations = script_signature_operations(script) + len(table.amounts) + paid + finder_and_donation
        return cls(size, operations)


@dataclass(frozen=True, slots=True)
class BlockFit:
    """A template whose transactions fit into a block, or the reason why blocks would be rejected."""

    template: BlockTemplate
    refusal: str | None
    """Why dashd would reject a block found now, and what to do; None if it would not."""


def fit_block(template: BlockTemplate, coinbase: Coinbase, reusable: BlockTemplate | None = None) -> BlockFit:
    """Return the template without the transactions that do not fit into a block in addition to the coinbase.

    `reusable` is the same template as it was shortened for an earlier coinbase: it is used if it fits, since
    shortening takes milliseconds.
    """
    room = _room(template, coinbase)
    operations = template.signature_operations_limit - coinbase.signature_operations
    if reusable is not None and _fits(reusable, room, operations):
        fitting, obstacle = reusable, None
    else:
        fitting, obstacle = shorten(template, room, operations)
    if template.refusal is not None:
        return BlockFit(fitting, template.refusal)
    if coinbase.size > MAX_COINBASE_SIZE:
        refusal = (
            f"the coinbase has up to {coinbase.size} bytes, but Dash accepts at most {MAX_COINBASE_SIZE} "
            "(bad-txns-oversize): the share chain pays too many addresses"
        )
        return BlockFit(fitting, refusal)
    if obstacle is None:
        return BlockFit(fitting, None)
    size = template.size_limit - room + _size(template)
    if size > template.size_limit:
        excess = f"{size} bytes, but Dash accepts at most {template.size_limit} (bad-blk-length)"
    else:
        count = coinbase.signature_operations + _operations(template)
        limit = template.signature_operations_limit
        excess = f"{count} signature operations, but Dash accepts at most {limit} (bad-blk-sigops)"
    return BlockFit(template, f"a block has up to {excess}; no transaction can be left out: {obstacle}; {_CURE}")


def left_out_notice(whole: BlockTemplate, fitting: BlockTemplate) -> str | None:
    """Return a text about the transactions that are left out so that the block fits; None if none are."""
    count = len(whole.transactions) - len(fitting.transactions)
    if not count:
        return None
    return (
        f"{count} of {len(whole.transactions)} transactions, {whole.subsidy - fitting.subsidy} duffs of fees, are "
        f"left out: with the coinbase, blocks would exceed Dash's limits; {_CURE}"
    )


def _room(template: BlockTemplate, coinbase: Coinbase) -> int:
    """Return the bytes of a block that are left for transactions."""
    count = pack_varint(1 + len(template.transactions))
    return template.size_limit - HEADER_SIZE - len(count) - coinbase.size


def _fits(template: BlockTemplate, room: int, operations: int) -> bool:
    return _size(template) <= room and _operations(template) <= operations


def _size(template: BlockTemplate) -> int:
    return sum(len(transaction.data) for transaction in template.transactions)


def _operations(template: BlockTemplate) -> int:
    return sum(transaction.signature_operations for transaction in template.transactions)
