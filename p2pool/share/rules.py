"""What a parent share fixes for every share that follows it: retarget, timestamps, heights, references."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from p2pool.dash.hashes import hash_hex
from p2pool.dash.target import MAX_UINT256, target_to_average_attempts, target_to_bits
from p2pool.networks.parameters import Network
from p2pool.share.errors import Reason, ShareInvalid
from p2pool.share.parent_context import ParentContext, TransactionRefs, clip
from p2pool.share.share import ChainView, Share
from p2pool.share.weights import WEIGHT_UNIT, Weights

MAX_MERKLE_LINK = 16
MAX_REFS = (1 << MAX_MERKLE_LINK) - 1
"""Transactions besides the coinbase that a merkle link of the greatest length covers."""
FAR_SHARE_DISTANCE = 99
REF_LOOKBEHIND = 100
_MANY = 200
"""Transactions introduced by one share that are not gone through for each share above it."""


def check_form(share: Share) -> None:
    """Check the rules on single fields of a share of type 16. Raises ShareInvalid."""
    if not 2 <= len(share.coinbase) <= 100:
        raise ShareInvalid(Reason.COINBASE_SIZE, f"{len(share.coinbase)} bytes")
    if len(share.merkle_link) > MAX_MERKLE_LINK:
        raise ShareInvalid(Reason.MERKLE_LINK_TOO_LONG, f"{len(share.merkle_link)} entries")
    if share.header_version > 0xFFFFFFFF:
        raise ShareInvalid(Reason.HEADER_VERSION, str(share.header_version))


def parent_context(view: ChainView, previous_hash: int | None, network: Network) -> ParentContext:
    """Return what the rules need of the chain, which is read once. Raises ShareInvalid(NOT_CHECKABLE) if the chain
    ends before that without reaching its root."""
    if previous_hash is None:
        return ParentContext(
            previous_hash=None,
            height=0,
            target_limit=network.max_target,
            max_bits=target_to_bits(network.max_target),
            previous_timestamp=None,
            absheight=1,
            previous_abswork=0,
            far_share_hash=None,
            weights_start=None,
            weights_length=0,
        )
    previous = view.get(previous_hash)
    if previous is None:
        raise ShareInvalid(Reason.NOT_CHECKABLE, f"parent {hash_hex(previous_hash)} is not held")
    height = view.height(previous_hash)
    limit = _target_limit(view, previous_hash, height=height, network=network)
    far_share = view.nth_parent(previous_hash, FAR_SHARE_DISTANCE)
    return ParentContext(
        previous_hash=previous_hash,
        height=height,
        target_limit=limit,
        max_bits=target_to_bits(limit),
        previous_timestamp=previous.timestamp,
        absheight=(previous.absheight + 1) % (1 << 32),
        previous_abswork=previous.abswork,
        far_share_hash=None if far_share is None else far_share.hash,
        weights_start=previous.previous_hash,
        weights_length=max(0, min(height, network.real_chain_length) - 1),
    )


def _target_limit(view: ChainView, previous_hash: int, *, height: int, network: Network) -> int:
    """Return the limit of the target after the retarget: one share in share_period, by the work of the last
    target_lookbehind shares."""
    if height < network.target_lookbehind:
        return network.max_target
    count = network.target_lookbehind - 1
    previous, first = view.get(previous_hash), view.nth_parent(previous_hash, count)
    if previous is None or first is None:
        raise ShareInvalid(Reason.NOT_CHECKABLE, "retarget window not held")
    seconds = max(1, previous.timestamp - first.timestamp)
    attempts_per_second = view.minimum_work(previous_hash, count) // seconds
    if attempts_per_second == 0:
        target = MAX_UINT256
    else:
        target = 2**256 // (network.share_period * attempts_per_second) - 1
    last = previous.max_target
    target = clip(target, last * 9 // 10, last * 11 // 10)
    return clip(target, network.min_target, network.max_target)


def window_weights(view: ChainView, context: ParentContext, *, block_target: int, network: Network) -> Weights:
    """Return the weights of a share of type 16: those of the window, cut if they exceed SPREAD blocks' work."""
    return view.weights(
        context.weights_start,
        context.weights_length,
        WEIGHT_UNIT * network.spread * target_to_average_attempts(block_target),
    )


# Bound: the shares that references may name, and as many again for a fork.
@lru_cache(maxsize=2 * REF_LOOKBEHIND)
def _positions(share: Share) -> dict[int, int]:
    """Return the first position of each transaction that a share introduces. Made once: whoever introduces tens of
    thousands must not have them gone through for each share above."""
    hashes = share.new_transaction_hashes
    last = len(hashes) - 1
    return {transaction_hash: last - index for index, transaction_hash in enumerate(reversed(hashes))}


def reference_transactions(
    view: ChainView, previous_hash: int | None, *, height: int, wanted: Sequence[int]
) -> TransactionRefs:
    """Return the canonical references: nearest share first, first position first; not found ones are new."""
    if not wanted:
        return TransactionRefs((), ())
    known: dict[int, tuple[int, int]] = {}
    if previous_hash is not None:
        missing = set(wanted)
        for distance, share in enumerate(view.ancestors(previous_hash, min(height, REF_LOOKBEHIND)), 1):
            new = share.new_transaction_hashes
            if not new:
                continue
            found = missing & _positions(share).keys() if len(new) > _MANY else missing.intersection(new)
            if found:
                positions = _positions(share)
                for transaction_hash in found:
                    known[transaction_hash] = (distance, positions[transaction_hash])
                missing -= found
                if not missing:
                    return TransactionRefs((), tuple([known[transaction_hash] for transaction_hash in wanted]))
    new_hashes: list[int] = []
    refs = []
    for transaction_hash in wanted:
        ref = known.get(transaction_hash)
        if ref is None:
            ref = (0, len(new_hashes))
            new_hashes.append(transaction_hash)
        refs.append(ref)
    return TransactionRefs(tuple(new_hashes), tuple(refs))
