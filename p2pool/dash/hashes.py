"""SHA-256 in the forms that Dash and the share chain use, among them the midstate that hash_link needs.

`sha256` chooses the implementation.
"""

from __future__ import annotations

import hashlib
from hashlib import sha256
from typing import Final, Protocol

from p2pool.dash import sha256_hashlib
from p2pool.dash.sha256 import IMPLEMENTATION
from p2pool.dash.sha256_hashlib import BLOCK_SIZE, INITIAL_STATE

__all__ = ["BLOCK_SIZE", "INITIAL_STATE"]  # also from here

sha256d: Final = IMPLEMENTATION.sha256d
"""Return the SHA-256 of the SHA-256 of the data."""
continue_sha256d: Final = IMPLEMENTATION.continue_sha256d
"""(state, hashed, data) -> the SHA-256 of the SHA-256 of a message whose first `hashed` bytes, a multiple of 64,
led to `state` and which goes on with `data`."""
_continue_sha256: Final = IMPLEMENTATION.continue_sha256
_compress: Final = IMPLEMENTATION.compress


def sha256d_int(data: bytes) -> int:
    """Return the double SHA-256 as the little-endian number that names transactions and shares."""
    return int.from_bytes(sha256d(data), "little")


def hash160(data: bytes) -> bytes:
    """Return the RIPEMD-160 of the SHA-256: the 20 bytes of a key hash. ValueError if OpenSSL was built without
    RIPEMD-160."""
    return hashlib.new("ripemd160", sha256(data).digest()).digest()


def hash_hex(value: int) -> str:
    """Return a hash as Dash Core displays it: 64 hex digits, the most significant first."""
    return f"{value:064x}"


def optional_hash_hex(value: int | None) -> str | None:
    """Return `hash_hex(value)`; None without a hash."""
    return None if value is None else hash_hex(value)


def short_hash(value: int | None) -> str:
    """Return the last eight hex digits of a hash, which logs show; "none" without one."""
    return "none" if value is None else hash_hex(value)[-8:]


def midstate(data: bytes) -> bytes:
    """Return the state (32 bytes, eight big-endian words) after the whole 64-byte blocks of `data`."""
    return _compress(INITIAL_STATE, data[: len(data) - len(data) % BLOCK_SIZE])


# --- prefixes -------------------------------------------------------------------------------------------


class Prefix(Protocol):
    """The beginning of many messages, hashed once. Immutable."""

    def extended(self, data: bytes) -> Prefix:
        """Return the prefix with these bytes after it."""

    def digest(self) -> bytes:
        """Return the SHA-256 of the prefix."""

    def sha256d(self, rest: bytes) -> bytes:
        """Return the SHA-256 of the SHA-256 of the prefix with `rest` after it."""


class MidstatePrefix:
    """A prefix as SHA-256's state after its whole blocks, and what is left."""

    __slots__ = ("_hashed", "_left", "_state")

    def __init__(self, state: bytes = INITIAL_STATE, hashed: int = 0, left: bytes = b"") -> None:
        self._state = state
        self._hashed = hashed
        self._left = left

    def extended(self, data: bytes) -> MidstatePrefix:
        data = self._left + data
        whole = len(data) - len(data) % BLOCK_SIZE
        return MidstatePrefix(_compress(self._state, data[:whole]), self._hashed + whole, data[whole:])

    def digest(self) -> bytes:
        return _continue_sha256(self._state, self._hashed, self._left)

    def sha256d(self, rest: bytes) -> bytes:
        return continue_sha256d(self._state, self._hashed, self._left + rest)


class HashlibPrefix:
    """A prefix as an object of hashlib: faster than a midstate if there is no extension."""

    __slots__ = ("_hash",)

    def __init__(self) -> None:
        self._hash = sha256()

    def extended(self, data: bytes) -> HashlibPrefix:
        longer = HashlibPrefix()
        longer._hash = self._hash.copy()
        longer._hash.update(data)
        return longer

    def digest(self) -> bytes:
        return self._hash.digest()

    def sha256d(self, rest: bytes) -> bytes:
        whole = self._hash.copy()
        whole.update(rest)
        return sha256(whole.digest()).digest()


EMPTY_PREFIX: Final[Prefix] = HashlibPrefix() if IMPLEMENTATION is sha256_hashlib else MidstatePrefix()
