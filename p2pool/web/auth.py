"""API keys and the web's password: what is kept of them, how they are compared, and how requests carry them.

Nothing is kept in clear: a keyed hash with a salt of this run. Comparisons take the same time whatever differs.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass

MAX_CREDENTIAL = 1024
"""Bytes of a presented credential: hashing longer ones would be wasted time."""


@dataclass(frozen=True, slots=True, repr=False)
class HashedSecret:
    """What is kept of a key or a password. `fingerprint` tells keys apart in the audit log, across restarts: a
    hash of 32 bits, useless for guessing the key."""

    salt: bytes
    digest: bytes
    fingerprint: str

    @classmethod
    def of(cls, secret: bytes, salt: bytes) -> HashedSecret:
        """Hash a secret. `salt` is random, of this run only, 16 bytes or more."""
        return cls(salt, _hashed(secret, salt), key_fingerprint(secret))

    def matches(self, presented: bytes) -> bool:
        """Return whether `presented` is this secret, in constant time."""
        return hmac.compare_digest(self.digest, _hashed(presented, self.salt))

    def __repr__(self) -> str:
        return f"<secret {self.fingerprint}>"


def _hashed(secret: bytes, salt: bytes) -> bytes:
    return hmac.digest(salt, secret, "sha256")


def key_fingerprint(secret: bytes) -> str:
    """Return eight hexadecimal digits that identify a key in the audit log."""
    return hashlib.blake2b(secret, digest_size=4, person=b"p2pool-audit").hexdigest()


def find_key(keys: Sequence[HashedSecret], presented: bytes) -> HashedSecret | None:
    """Return the key that was presented, None for an unknown one. All keys are compared, wherever the right one
    is."""
    found = None
    if len(presented) <= MAX_CREDENTIAL:
        for key in keys:
            if key.matches(presented):
                found = key
    return found


# --- what a request carries --------------------------------------------------------------------------------------


def presented_key(api_key: str | None, authorization: str | None) -> bytes | None:
    """Return the key of `X-API-Key: KEY`, else of `Authorization: Bearer KEY`; None without one."""
    if api_key is not None:
        return api_key.strip().encode("utf-8", "replace")
    scheme, _, rest = (authorization or "").partition(" ")
    return rest.strip().encode("utf-8", "replace") if scheme.lower() == "bearer" else None


def presented_login(authorization: str | None) -> bytes | None:
    """Return USER:PASSWORD of `Authorization: Basic ...`, b"" if it is malformed; None without one."""
    scheme, _, rest = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return b64decode(rest.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""
