"""Merkle trees as Bitcoin builds them: a level of odd length repeats its last hash; the root of nothing is 0.

Hashes are 32-byte strings in hashing order, in a tuple or list; `merkle_root` takes and returns numbers. `sha256`
chooses the implementation.
"""

from __future__ import annotations

from collections.abc import Iterable

from p2pool.dash.sha256 import IMPLEMENTATION
from p2pool.dash.sha256_hashlib import Hashes

_walk = IMPLEMENTATION.walk_branch


def merkle_root(hashes: Iterable[int]) -> int:
    """Return the root of transaction hashes given as numbers."""
    packed = [transaction_hash.to_bytes(32, "little") for transaction_hash in hashes]
    return int.from_bytes(IMPLEMENTATION.merkle_root(packed), "little")


def merkle_branch(hashes: Hashes, index: int = 0) -> list[bytes]:
    """Return the branch that leads from the leaf at `index` to the root. IndexError if there is no such leaf."""
    return IMPLEMENTATION.merkle_branch(hashes, index)


coinbase_branch = IMPLEMENTATION.coinbase_branch
"""(other hashes) -> the branch of the coinbase transaction (index 0), which is not known yet, over the other
transactions."""


def walk_branch(leaf: bytes, branch: Hashes) -> bytes:
    """Return the root over `leaf` at index 0: what a miner computes, and how a share leads to its header."""
    return _walk(leaf, branch, 0)


def walk_branch_indexed(leaf: bytes, branch: Hashes, index: int) -> bytes:
    """Return the root over `leaf` at `index`. IndexError if the index does not fit the branch."""
    if index >= 1 << len(branch):
        raise IndexError("index too large")
    return _walk(leaf, branch, index)
