"""Merkle trees as Bitcoin builds them: a level of odd length repeats its last hash; the root of nothing is 0.

Two forms: numbers (share chain) and 32-byte strings in hashing order (mining path).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256


def _parent(left: bytes, right: bytes) -> bytes:
    return sha256(sha256(left + right).digest()).digest()


def merkle_root(hashes: Sequence[int]) -> int:
    """Return the root of transaction hashes given as numbers."""
    if not hashes:
        return 0
    level = [h.to_bytes(32, "little") for h in hashes]
    while len(level) > 1:
        if len(level) % 2:
            level.append(level[-1])
        level = [_parent(level[i], level[i + 1]) for i in range(0, len(level), 2)]
    return int.from_bytes(level[0], "little")


def merkle_branch(hashes: Sequence[bytes], index: int = 0) -> list[bytes]:
    """Return the branch that leads from the leaf at `index` to the root. `hashes` are 32 bytes each; the one at
    `index` does not matter (pass anything of 32 bytes). IndexError if there is no such leaf."""
    if not 0 <= index < max(1, len(hashes)):
        raise IndexError(f"no leaf {index} among {len(hashes)}")
    branch: list[bytes] = []
    level = list(hashes)
    while len(level) > 1:
        if len(level) % 2:
            level.append(level[-1])
        branch.append(level[index ^ 1])
        level = [_parent(level[i], level[i + 1]) for i in range(0, len(level), 2)]
        index //= 2
    return branch


def coinbase_branch(other_hashes: Sequence[bytes]) -> list[bytes]:
    """Return the branch of the coinbase transaction (index 0), which is not known yet, over the other
    transactions."""
    branch: list[bytes] = []
    level = list(other_hashes)  # without the unknown left-most entry
    while level:
        branch.append(level[0])
        if len(level) % 2 == 0:
            level.append(level[-1])
        level = [_parent(level[i], level[i + 1]) for i in range(1, len(level), 2)]
    return branch


def walk_branch(leaf: bytes, branch: Sequence[bytes]) -> bytes:
    """Return the root over `leaf` at index 0: what a miner computes, and how a share leads to its header."""
    for entry in branch:
        leaf = sha256(sha256(leaf + entry).digest()).digest()
    return leaf


def walk_branch_indexed(leaf: bytes, branch: Sequence[bytes], index: int) -> bytes:
    """Return the root over `leaf` at `index`. IndexError if the index does not fit the branch."""
    if index >= 1 << len(branch):
        raise IndexError("index too large")
    for entry in branch:
        leaf = _parent(entry, leaf) if index & 1 else _parent(leaf, entry)
        index >>= 1
    return leaf
