"""SHA-256 and merkle trees: by the extension `_sha256` if it was compiled and computes what hashlib does, else by
`sha256_hashlib`.

The choice is made once, when this module is imported. The rest of the program uses `hashes` and `merkle`.
"""

from __future__ import annotations

import hashlib
import random
from typing import Protocol

from p2pool.dash import sha256_hashlib
from p2pool.dash.sha256_hashlib import BLOCK_SIZE, INITIAL_STATE, Data, Hashes

_LONGEST_MESSAGE = 130
_LEAVES = 9


class Implementation(Protocol):
    """What the extension and `sha256_hashlib` both compute."""

    def sha256d(self, data: Data, /) -> bytes:
        """Return the SHA-256 of the SHA-256 of the data."""

    def compress(self, state: bytes, blocks: bytes, /) -> bytes:
        """Return the state (32 bytes) after blocks of 64 bytes each."""

    def continue_sha256(self, state: bytes, hashed: int, data: bytes, /) -> bytes:
        """Return the SHA-256 of a message whose first `hashed` bytes, a multiple of 64, led to `state` and which
        goes on with `data`."""

    def continue_sha256d(self, state: bytes, hashed: int, data: bytes, /) -> bytes:
        """Return the SHA-256 of the SHA-256 of a message whose first `hashed` bytes, a multiple of 64, led to
        `state` and which goes on with `data`."""

    def merkle_root(self, hashes: Hashes, /) -> bytes:
        """Return the root; 32 zero bytes without hashes."""

    def merkle_branch(self, hashes: Hashes, index: int, /) -> list[bytes]:
        """Return the branch of the leaf at `index`. IndexError if there is no such leaf."""

    def coinbase_branch(self, other_hashes: Hashes, /) -> list[bytes]:
        """Return the branch of the first leaf, which is unknown, over the others."""

    def walk_branch(self, leaf: bytes, branch: Hashes, index: int, /) -> bytes:
        """Return the root over a leaf. ValueError if the index does not fit the branch."""


def load_built_in() -> Implementation | None:
    """Return the extension that is part of this package; None if it was not compiled."""
    try:
        from p2pool.dash import _sha256
    except ImportError:
        return None
    # In a checkout where it was not compiled, the folder of its sources is imported as an empty package.
    return _sha256 if hasattr(_sha256, "sha256d") else None


def _sha256d(data: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def is_correct(implementation: Implementation, chance: random.Random) -> bool:
    """Return whether an implementation computes what hashlib does for random messages of all short lengths and for
    merkle trees. Takes less than a millisecond."""
    for size in range(_LONGEST_MESSAGE):
        message = chance.randbytes(BLOCK_SIZE + size)
        expected = _sha256d(message)
        state = implementation.compress(INITIAL_STATE, message[:BLOCK_SIZE])
        once = implementation.continue_sha256(state, BLOCK_SIZE, message[BLOCK_SIZE:])
        continued = implementation.continue_sha256d(state, BLOCK_SIZE, message[BLOCK_SIZE:])
        if once != hashlib.sha256(message).digest():
            return False
        if not implementation.sha256d(message) == continued == expected:
            return False
    leaves = [chance.randbytes(32) for _ in range(_LEAVES)]
    root = _root(leaves)
    last = _LEAVES - 1
    return (
        implementation.merkle_root(leaves)
        == implementation.walk_branch(leaves[0], implementation.coinbase_branch(leaves[1:]), 0)
        == implementation.walk_branch(leaves[last], implementation.merkle_branch(leaves, last), last)
        == root
    )


def _root(level: list[bytes]) -> bytes:
    while len(level) > 1:
        level = [*level, level[-1]] if len(level) % 2 else level
        level = [_sha256d(left + right) for left, right in zip(level[::2], level[1::2], strict=True)]
    return level[0]


def choose(built_in: Implementation | None, chance: random.Random) -> tuple[Implementation, str]:
    """Return the implementation to use, and the problem of the extension if it has one; else ""."""
    if built_in is None:
        return sha256_hashlib, ""
    if is_correct(built_in, chance):
        return built_in, ""
    problem = (
        "the built-in code computes a wrong hash; hashlib is used instead. Report this as a bug, with the model "
        "of this machine's processor"
    )
    return sha256_hashlib, problem


IMPLEMENTATION, PROBLEM = choose(load_built_in(), random.Random())
