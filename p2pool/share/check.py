"""Check a share against the chain below it: rebuild it from its own share_data and compare."""

from __future__ import annotations

from dataclasses import dataclass

from p2pool.dash.hashes import sha256d
from p2pool.dash.merkle import coinbase_branch
from p2pool.dash.target import bits_to_target
from p2pool.networks.parameters import Network
from p2pool.share.errors import Reason, ShareInvalid
from p2pool.share.parent_context import ParentContext
from p2pool.share.payouts import gentx_prefix, gentx_suffix, paid_payments
from p2pool.share.rules import reference_transactions
from p2pool.share.share import ChainView, Share

MAX_REF_DISTANCE = 110
"""Shares back that a reference may name. It is checked before the chain is."""


@dataclass(frozen=True, slots=True)
class RebuiltShare:
    """What checking computes anyway and a block needs: the coinbase's bytes and the other transactions."""

    gentx: bytes
    other_transaction_hashes: tuple[int, ...] | None
    """None if shares of this version do not say which transactions their block has."""


def check_share(share: Share, view: ChainView, network: Network) -> RebuiltShare:
    """Compare the share with what the chain below says it must be. Raises ShareInvalid.

    The caller makes sure that the chain is rooted or long enough: see "When a share can be checked"
    in docs/protocol/share-chain.md.
    """
    rules = share.version.rules
    context = rules.parent_context(view, share.previous_hash, network)
    _check_fields(share, context, network)
    named = rules.check_transactions(share, view, context)
    gentx = rebuild_gentx(share, view, context=context, network=network)
    if sha256d(gentx) != share.gentx_hash:
        raise ShareInvalid(Reason.GENTX)
    rules.check_merkle_link(share, named)
    return RebuiltShare(gentx, named)


def rebuild_share(share: Share, view: ChainView, network: Network) -> RebuiltShare:
    """Return what the chain says of a share that was checked. Raises ShareInvalid."""
    rules = share.version.rules
    context = rules.parent_context(view, share.previous_hash, network)
    return RebuiltShare(
        rebuild_gentx(share, view, context=context, network=network), rules.named_transactions(share, view)
    )


def _check_fields(share: Share, context: ParentContext, network: Network) -> None:
    expected_timestamp = context.timestamp_for(share.timestamp, network)
    if share.timestamp != expected_timestamp:
        raise ShareInvalid(Reason.TIMESTAMP, f"{share.timestamp}, not {expected_timestamp}")
    if share.max_bits != context.max_bits:
        raise ShareInvalid(Reason.MAX_BITS, f"{share.max_bits:08x}, not {context.max_bits:08x}")
    expected_bits = context.bits_for(bits_to_target(share.bits))
    if share.bits != expected_bits:
        raise ShareInvalid(Reason.BITS, f"{share.bits:08x}, not {expected_bits:08x}")
    if share.absheight != context.absheight:
        raise ShareInvalid(Reason.ABSHEIGHT, f"{share.absheight}, not {context.absheight}")
    expected_abswork = context.abswork_for(share.bits)
    if share.abswork != expected_abswork:
        raise ShareInvalid(Reason.ABSWORK, f"{share.abswork:x}, not {expected_abswork:x}")
    if share.far_share_hash != context.far_share_hash:
        raise ShareInvalid(Reason.FAR_SHARE)


def referenced_transactions(share: Share, view: ChainView) -> tuple[int, ...]:
    """Return the hashes of the transactions that a share's references name. ShareInvalid if one names none.

    c2pool-dash checks no reference, so these rules are not among those whose breach is misbehaviour."""
    hashes = []
    introduced = {0: share.new_transaction_hashes}  # by distance: many references name the same share
    for distance, index in share.transaction_hash_refs:
        if distance not in introduced:
            introduced[distance] = _introduced_at(distance, share, view)
        try:
            hashes.append(introduced[distance][index])
        except IndexError:
            raise ShareInvalid(Reason.REF_NAMES_NOTHING, f"({distance}, {index})") from None
    return tuple(hashes)


def _introduced_at(distance: int, share: Share, view: ChainView) -> tuple[int, ...]:
    """Return the transactions that the share so far back introduces; none if there is no such share."""
    if distance >= MAX_REF_DISTANCE:
        raise ShareInvalid(Reason.REF_TOO_FAR, f"{distance} shares back")
    holder = None if share.previous_hash is None else view.nth_parent(share.previous_hash, distance - 1)
    return () if holder is None else holder.new_transaction_hashes


def check_referenced_transactions(share: Share, view: ChainView, context: ParentContext) -> tuple[int, ...]:
    """Return the hashes that a share's references name. ShareInvalid if they are not in their canonical form."""
    new = {index for distance, index in share.transaction_hash_refs if distance == 0}
    if new != set(range(len(share.new_transaction_hashes))):
        raise ShareInvalid(Reason.NEW_TRANSACTIONS_NOT_NAMED)
    named = referenced_transactions(share, view)
    expected = reference_transactions(view, share.previous_hash, height=context.height, wanted=named)
    if share.transaction_hash_refs != expected.refs or share.new_transaction_hashes != expected.new_hashes:
        raise ShareInvalid(Reason.TRANSACTION_REFS)
    return named


def check_merkle_link(share: Share, named: tuple[int, ...] | None) -> None:
    """Raise ShareInvalid if the merkle link does not lead over the transactions that the share names."""
    branch = coinbase_branch([h.to_bytes(32, "little") for h in named or ()])
    if tuple(branch) != share.merkle_link:
        raise ShareInvalid(Reason.MERKLE_LINK)


def rebuild_gentx(share: Share, view: ChainView, *, context: ParentContext, network: Network) -> bytes:
    """Return the generation transaction that the chain prescribes for this share. Raises ShareInvalid."""
    version = share.version
    weights = version.weights(view, context, block_target=share.block_target, network=network)
    paid = share.paid
    if paid is None:
        paid = paid_payments(share.payments, network.parent.addresses)
    elif isinstance(paid, str):
        raise ShareInvalid(Reason.PAYEE_MALFORMED, paid)
    table = version.payouts(weights, share.subsidy, paid)
    return b"".join(
        (
            gentx_prefix(table, share.script, coinbase=share.coinbase, has_payload=bool(share.coinbase_payload)),
            share.ref_hash,
            share.last_txout_nonce,
            gentx_suffix(share.coinbase_payload),
        )
    )
