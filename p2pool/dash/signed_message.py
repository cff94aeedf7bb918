"""Messages that the owner of an address has signed, in the format of Dash Core's `signmessage`.

The signature is 65 bytes in base64: a header that says which of the four possible keys is the signer's, then r
and s. The key is recovered from it, so only an address that is the hash of one key can be proven, not that of a
script (P2SH).
The library coincurve does the arithmetic; it is optional (`pip install 'p2pool-dash[miner-alerts]'`).
"""

from __future__ import annotations

import base64
import binascii
from importlib.util import find_spec
from typing import Final

from p2pool.base.errors import ParseError
from p2pool.dash.hashes import hash160, sha256d
from p2pool.wire.codec import pack_varstr

MAGIC: Final = b"DarkCoin Signed Message:\n"
"""What precedes each message before it is hashed: no signature of a transaction can be one of a message."""
SIGNATURE_BYTES: Final = 65
MAX_SIGNATURE: Final = 100
"""Characters of a signature that are read: 88 are needed."""
_FIRST_HEADER, _COMPRESSED = 27, 4


class SignatureError(ParseError):
    """A text is not a usable signature; the message says why, for people."""


def can_verify() -> bool:
    """Return whether the library that verifies signatures is installed."""
    return find_spec("coincurve") is not None


def message_digest(message: bytes) -> bytes:
    """Return the 32 bytes that are signed for a message."""
    return sha256d(pack_varstr(MAGIC) + pack_varstr(message))


def signer_of(signature: str, message: str) -> bytes:
    """Return the 20 bytes of hash of the key that signed a message (UTF-8), as they are in its P2PKH address.

    Any 65 bytes are the signature of some key by some message: it is proven only if the hash is the one of the
    address. Raises SignatureError for what cannot be a signature.
    """
    import coincurve

    data = _decoded(signature)
    header = data[0] - _FIRST_HEADER
    if not 0 <= header < 2 * _COMPRESSED:
        raise SignatureError("it does not begin as signatures of messages do")
    try:
        key = coincurve.PublicKey.from_signature_and_message(
            data[1:] + bytes([header % _COMPRESSED]),
            message_digest(message.encode("utf-8", "replace")),
            hasher=None,
        )
    except Exception as error:  # the library raises ValueError, and Exception itself if no key can be recovered
        raise SignatureError("no key can have made it") from error
    return hash160(key.format(compressed=header >= _COMPRESSED))


def _decoded(signature: str) -> bytes:
    try:
        if len(signature) > MAX_SIGNATURE:
            raise ValueError
        data = base64.b64decode(signature.strip(), validate=True)
    except (ValueError, binascii.Error):
        raise SignatureError("it is not base64") from None
    if len(data) != SIGNATURE_BYTES:
        raise SignatureError(f"it has {len(data)} bytes instead of {SIGNATURE_BYTES}")
    return data
