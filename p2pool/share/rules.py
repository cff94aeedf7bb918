"""What a parent share fixes for every share that follows it: retarget, timestamps, heights, references."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from p2pool.dash.target import MAX_UINT256, bits_to_target, target_to_average_attempts, target_to_bits
from p2pool.networks.parameters import Network
from p2pool.share.chain_view import ChainView, Weights
from p2pool.share.errors import Reason, ShareInvalid
from p2pool.share.share import Share

MAX_MERKLE_LINK = 16
MAX_REFS = (1 << MAX_MERKLE_LINK) - 1
"""Transactions beside the coinbase that a merkle link of the greatest length covers."""
FAR_SHARE_DISTANCE = 99
REF_LOOKBEHIND = 100
_MANY = 200
"""Transactions introduced by one share that are not gone through for each share above it."""
MAX_TIMESTAMP = 2**32 - 1
WEIGHT_UNIT = 65535
"""A share's attempts are weighed times this; its donation field is a part of it."""


def clip(value: int, low: int, high: int) -> int:
    """`value`, moved into [low, high]."""
    return low if value < low else min(value, high)


def check_form(share: Share) -> None:
    """Check the rules on single fields of a share of type 16. Raises ShareInvalid."""
    if not 2 <= len(share.coinbase) <= 100:
        raise ShareInvalid(Reason.COINBASE_SIZE, f"{len(share.coinbase)} bytes")
    if len(share.merkle_link) > MAX_MERKLE_LINK:
        raise ShareInvalid(Reason.MERKLE_LINK_TOO_LONG, f"{len(share.merkle_link)} entries")
    if share.header_version > 0xFFFFFFFF:
        raise ShareInvalid(Reason.HEADER_VERSION, str(share.header_version))


@dataclass(frozen=True, slots=True)
class ParentContext:
    """All that the chain says about the successors of one share; the same for every payee."""

    previous_hash: int | None
    height: int
    """Length of the chain that ends in the parent."""
    target_limit: int
    """The easiest target that a successor may have (not rounded to compact form)."""
    max_bits: int
    previous_timestamp: int | None
    absheight: int
    previous_abswork: int
    far_share_hash: int | None
    weights_start: int | None
    """Where the PPLNS window begins: for type 16 the parent's parent."""
    weights_length: int
    abswork_modulus: int = 1 << 128
    """What the accumulated work is kept modulo of: the room that the share's version has for it."""

    def bits_for(self, desired_target: int) -> int:
        """The compact target of a successor that wishes `desired_target`."""
        return target_to_bits(clip(desired_target, self.target_limit // 30, self.target_limit))

    def timestamp_for(self, desired: int, network: Network) -> int:
        """The timestamp of a successor that wishes `desired` (Unix seconds).

        ShareInvalid(TIMESTAMP) where it no longer fits 32 bits: such a parent can have no successor.
        """
        timestamp = desired
        if self.previous_timestamp is not None:
            latest = self.previous_timestamp + 2 * network.share_period - 1
            timestamp = clip(desired, self.previous_timestamp + 1, latest)
        if timestamp > MAX_TIMESTAMP:
            raise ShareInvalid(Reason.TIMESTAMP, f"{timestamp} does not fit 32 bits")
        return timestamp

    def abswork_for(self, bits: int) -> int:
        """The accumulated work of a successor with these bits."""
        return (self.previous_abswork + target_to_average_attempts(bits_to_target(bits))) % self.abswork_modulus


def parent_context(view: ChainView, previous_hash: int | None, network: Network) -> ParentContext:
    """Ask the chain once. ShareInvalid(NOT_CHECKABLE) where it ends, unrooted, before what is needed."""
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
        raise ShareInvalid(Reason.NOT_CHECKABLE, f"parent {previous_hash:064x} is not held")
    height = view.height(previous_hash)
    limit = _target_limit(view, previous_hash, height, network)
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


def _target_limit(view: ChainView, previous_hash: int, height: int, network: Network) -> int:
    """The retarget: aim at one share in share_period, by the work of the last target_lookbehind shares."""
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


def window_weights(view: ChainView, context: ParentContext, block_target: int, network: Network) -> Weights:
    """Return the weights of a share of type 16: those of the window, cut where they exceed SPREAD blocks' work."""
    return view.weights(
        context.weights_start,
        context.weights_length,
        WEIGHT_UNIT * network.spread * target_to_average_attempts(block_target),
    )


# Bound: the shares that references may name, and as many again for a fork.
@lru_cache(maxsize=2 * REF_LOOKBEHIND)
def _positions(share: Share) -> dict[int, int]:
    """Where each transaction that a share introduces stands first. Made once: whoever introduces tens of thousands
    must not have them gone through for each share above."""
    hashes = share.new_transaction_hashes
    last = len(hashes) - 1
    return {transaction_hash: last - index for index, transaction_hash in enumerate(reversed(hashes))}


@dataclass(frozen=True, slots=True)
class TransactionRefs:
    """How a share names its transactions: those it introduces, and (distance, index) for each wanted one."""

    new_hashes: tuple[int, ...]
    refs: tuple[tuple[int, int], ...]


def reference_transactions(
    view: ChainView, previous_hash: int | None, height: int, wanted: Sequence[int]
) -> TransactionRefs:
    """The canonical references: nearest share first, first position first; not found ones are new."""
    if not wanted:
        return TransactionRefs((), ())
    known: dict[int, tuple[int, int]] = {}
    if previous_hash is not None:
        missing = set(wanted)
        for distance, share in enumerate(view.ancestors(previous_hash, min(height, REF_LOOKBEHIND)), 1):
            new = share.new_transaction_hashes
            found = missing & _positions(share).keys() if len(new) > _MANY else missing.intersection(new)
            if found:
                positions = _positions(share)
                for transaction_hash in found:
                    known[transaction_hash] = (distance, positions[transaction_hash])
                missing -= found
                if not missing:
                    break
    new_hashes: list[int] = []
    refs = []
    for transaction_hash in wanted:
        ref = known.get(transaction_hash)
        if ref is None:
            ref = (0, len(new_hashes))
            new_hashes.append(transaction_hash)
        refs.append(ref)
    return TransactionRefs(tuple(new_hashes), tuple(refs))
