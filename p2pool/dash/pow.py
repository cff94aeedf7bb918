"""X11, the proof of work and at the same time the block hash of Dash.

The implementation is chosen when this module is imported: see `x11_providers`. Call `x11` once per header: block
hash and work hash are the same number. Submissions that come together are hashed together: see
docs/adr/0015-submissions-hashed-together.md.
"""

from __future__ import annotations

import os
import random

from p2pool.dash.x11_providers import (
    HEADER_SIZE,
    KNOWN_ANSWERS,
    choose_provider,
    load_built_in,
    load_dash_hash,
    load_x11_hash,
    random_headers,
)

__all__ = (
    "GENESIS_HASH",
    "GENESIS_HEADER",
    "HEADER_SIZE",
    "PROBLEM",
    "PROVIDER",
    "x11",
    "x11_digest",
    "x11_digests",
)

GENESIS_HEADER, GENESIS_HASH = KNOWN_ANSWERS[0]
"""Those of mainnet."""

_headers = random_headers(random.Random(os.urandom(16)))
_choice = choose_provider(load_built_in(), (load_x11_hash(), load_dash_hash()), _headers)

PROVIDER = _choice.provider
"""The implementation that is used."""
PROBLEM = _choice.problem
"""Why the fastest implementation is not used; "" if it is, or if it is not installed."""

x11_digest = PROVIDER.digest
"""The function from an 80-byte header to the 32 bytes of its digest. The length is not checked here: pass 80
bytes."""

x11_digests = PROVIDER.many
"""The function from any number of 80-byte headers to their digests. Faster than one at a time from four on."""


def x11(header: bytes) -> int:
    """Return the X11 hash of an 80-byte header, as the little-endian number compared with targets.

    Raises ValueError if the header is not 80 bytes long.
    """
    if len(header) != HEADER_SIZE:
        raise ValueError(f"a header has {HEADER_SIZE} bytes, not {len(header)}")
    return int.from_bytes(x11_digest(header), "little")
