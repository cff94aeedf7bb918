"""API keys and the web's password: what is kept of them, how they are compared, and how requests carry them.

Nothing is kept in clear: a keyed hash with a salt of this run. Comparisons take the same time whatever differs.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
from base64 import b64decode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from p2pool.base.errors import OperatorError
from p2pool.base.paths import decode_text

MIN_KEY, MAX_KEY = 16, 256
"""Characters of an API key: sixteen cannot be guessed."""
MAX_KEYS = 100
"""Each is compared with at every request that brings one."""
MAX_KEY_FILE = 64 * 1024
MAX_CREDENTIAL = 1024
"""Bytes of a presented credential: hashing longer ones would be wasted time."""
_KEY = re.compile(r"[!-+\--~]+")
"""Printable ASCII but for white space and the comma, as headers and lists carry them."""


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


# --- what the operator says --------------------------------------------------------------------------------------


def hash_keys(flags: Iterable[str], *, file: Path | None, variable: str, salt: bytes) -> tuple[HashedSecret, ...]:
    """Return the hashed keys of `--api-key`, the lines of `--api-key-file`, and P2POOL_API_KEYS (separated by
    commas or white space), each once. Raises OperatorError."""
    found: dict[str, str] = {}
    """The source of each key, for errors."""
    for key in flags:
        found.setdefault(key.strip(), "--api-key")
    if file is not None:
        for line in _lines_of(file):
            found.setdefault(line, f"--api-key-file {file}")
    for key in variable.replace(",", " ").split():
        found.setdefault(key, "P2POOL_API_KEYS")
    if len(found) > MAX_KEYS:
        raise OperatorError(f"{len(found)} API keys are given; at most {MAX_KEYS} are held: remove some")
    for key, source in found.items():
        if not MIN_KEY <= len(key) <= MAX_KEY or not _KEY.fullmatch(key):
            raise OperatorError(
                f"{source}: a key of {len(key)} characters cannot be used; give {MIN_KEY} to {MAX_KEY} printable "
                "ASCII characters without spaces or commas (openssl rand -hex 24 makes a good one)"
            )
    return tuple(HashedSecret.of(key.encode(), salt) for key in found)


def _lines_of(file: Path) -> list[str]:
    """Return the keys of a file, one a line; lines that begin with # are comments."""
    try:
        with open(file, "rb") as opened:
            data = opened.read(MAX_KEY_FILE + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OperatorError(
            f"--api-key-file: cannot read {file}: {reason}; give a file with one key a line"
        ) from None
    if len(data) > MAX_KEY_FILE:
        raise OperatorError(f"--api-key-file: {file} has more than {MAX_KEY_FILE} bytes; give one key a line")
    try:
        lines = [line.strip() for line in decode_text(data).splitlines()]
    except UnicodeDecodeError:
        raise OperatorError(f"--api-key-file: {file} is not text; give one key a line") from None
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys:
        raise OperatorError(f"--api-key-file: {file} holds no key; give one a line")
    return keys


def hash_password(text: str, salt: bytes) -> HashedSecret:
    """Return --web-password USER:PASSWORD hashed. Raises OperatorError, which does not repeat the password."""
    user, colon, password = text.partition(":")
    if not colon or not user or not password or not text.isprintable() or len(text) > MAX_KEY:
        raise OperatorError(
            f"--web-password: give USER:PASSWORD, printable, together at most {MAX_KEY} characters"
        )
    return HashedSecret.of(text.encode("utf-8", "replace"), salt)
