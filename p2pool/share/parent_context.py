"""What a parent share fixes for those that follow it, as values: computed by `rules`, used by codecs and jobs."""

from __future__ import annotations

from dataclasses import dataclass

from p2pool.dash.target import bits_to_target, target_to_average_attempts, target_to_bits
from p2pool.networks.parameters import Network
from p2pool.share.errors import Reason, ShareInvalid

MAX_TIMESTAMP = 2**32 - 1


def clip(value: int, low: int, high: int) -> int:
    """Return `value`, moved into [low, high]."""
    return low if value < low else min(value, high)


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
        """Return the compact target of a successor that requests `desired_target`."""
        return target_to_bits(clip(desired_target, self.target_limit // 30, self.target_limit))

    def timestamp_for(self, desired: int, network: Network) -> int:
        """Return the timestamp of a successor that requests `desired` (Unix seconds).

        ShareInvalid(TIMESTAMP) if it no longer fits 32 bits: such a parent can have no successor.
        """
        timestamp = desired
        if self.previous_timestamp is not None:
            latest = self.previous_timestamp + 2 * network.share_period - 1
            timestamp = clip(desired, self.previous_timestamp + 1, latest)
        if timestamp > MAX_TIMESTAMP:
            raise ShareInvalid(Reason.TIMESTAMP, f"{timestamp} does not fit 32 bits")
        return timestamp

    def abswork_for(self, bits: int) -> int:
        """Return the accumulated work of a successor with these bits."""
        return (self.previous_abswork + target_to_average_attempts(bits_to_target(bits))) % self.abswork_modulus


@dataclass(frozen=True, slots=True)
class TransactionRefs:
    """How a share names its transactions: those it introduces, and (distance, index) for each wanted one."""

    new_hashes: tuple[int, ...]
    refs: tuple[tuple[int, int], ...]
